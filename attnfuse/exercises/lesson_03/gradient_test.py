"""Write the gradient check yourself."""

import numpy as np

from attnfuse.checking import Case, Exercise, properties
from attnfuse.driving import Handle
from attnfuse.exercises.lesson_03.attend_backward import by_loops, one, sketch


def changed(**factors):
    """Right, but for a factor at some of the slopes."""

    def backward(query, key, value, d_context, mask=None):
        slopes = zip(
            ("query", "key", "value"), sketch(query, key, value, d_context, mask), strict=True
        )
        return tuple(x * factors.get(name, 1) for name, x in slopes)

    return backward


def with_choice(**choice):
    return lambda query, key, value, d_context, mask=None: sketch(
        query, key, value, d_context, mask, **choice
    )


# name → function, whether it is right, what is shown of it
SUSPECTS = {
    "vectorised": (with_choice(), True, "a right one"),
    "loops": (by_loops, True, "a right one that works in another order"),
    "scale": (with_choice(backwards=one), False, "it forgets 1/√H"),
    "diagonal": (
        with_choice(through=lambda w, d: w * (1 - w) * d),
        False,
        "it takes the diagonal of the softmax alone",
    ),
    "mask": (with_choice(allow=np.ones_like), False, "it forgets the mask"),
    "value": (with_choice(roots=(1, 1, 1)), False, "it divides d_value by √H"),
    "more": (changed(key=1.01), False, "its d_key is 1 % too large"),
    "less": (changed(key=0.99), False, "its d_key is 1 % too small"),
    "ignored": (with_choice(arrives=np.ones_like), False, "it ignores d_context"),
    "nan": (changed(query=np.nan), False, "its d_query is NaN"),
}
BROKEN = {name: True for name, (_, right, _) in SUSPECTS.items() if not right}


def name_of(backward) -> str:
    return next(name for name, (f, _, _) in SUSPECTS.items() if backward.function is f)


def verdict(backward):
    return SUSPECTS[name_of(backward)][1]


def by_verdicts(backward, **otherwise):
    """A test by its verdicts: right but where a choice says otherwise."""
    name = name_of(backward)
    return otherwise.get(name, SUSPECTS[name][1])


def _verdicts(**lets_pass):
    return lambda backward: by_verdicts(backward, **lets_pass)


GRADIENT_TEST = Exercise(
    name="gradient_test",
    lesson="03_attention_gradients",
    title="Write the gradient check yourself",
    kind="stretch",
    minutes=12,
    difficulty=3,
    points=0,
    reference=verdict,
    cases=lambda rng: [
        Case({"backward": Handle(shown, f)}, shown) for f, _, shown in SUSPECTS.values()
    ],
    outputs={"verdict": ""},
    properties=[properties.right_or_broken("check", verdict)],
    sketch=by_verdicts,
    says="""
    d_value not looked at | A fault in `d_value` alone gets past your check. Compare all three slopes, all of each.
    no mask | A backward pass that forgets the mask goes through. Pass a mask that hides something, to both sides of the comparison.
    slope 1 everywhere | A backward pass that ignores `d_context`, as if it were 1 everywhere, goes through. Draw it at random.
    the factor is hidden | A forgotten 1/√H at query and key goes through. Where H = 1, or where only directions are compared, it cannot show.
    only the diagonal goes through | A backward pass that takes the diagonal of the softmax alone goes through. Compare `d_query` and `d_key`, number by number.
    too large goes through | A `d_key` that is 1 % too *large* goes through. Compare the size of the difference, whatever its sign, and closely.
    too small goes through | A `d_key` that is 1 % too *small* goes through. Compare the size of the difference, whatever its sign, and closely.
    too loose | Your check lets an error of 1 % pass. In float64, with a step near 1e-5, right gradients agree to eight digits or so: ask for five at least.
    NaN goes through | NaN goes through. Every comparison with NaN is False, so ask whether the numbers *agree*, not whether they differ.
    no factor shows | Wrong factors go through: 1/√H at query and key, and at the value. Is H = 1, where √H is 1? Or do you compare directions only?
    direction only | Your check lets wrong factors go through, in all three slopes. Compare the numbers, not their directions.
    query only | A fault in `d_key` or `d_value` alone gets past your check. Compare all three slopes.
    rejects right ones | Your check rejects right gradients, too. Is the step so small that rounding wins (1e-5 is good), is the difference one-sided, do both sides use the same mask and `d_context`, do you compare with `==`, or is True never returned?
    everything passes | Your check lets every function pass, the wrong ones included. Try it on one that forgets the scale.
    all finite ones pass | Your check rejects NaN only. Compare what `backward` returns with `numerical_gradient`.
    the wrong way round | Your check answers the wrong way round: True for wrong gradients.
    """,
    choices={
        "value": {"d_value not looked at": True, "no factor shows": True},
        "mask": {"no mask": True},
        "ignored": {"slope 1 everywhere": True},
        "scale": {"the factor is hidden": True, "no factor shows": True},
        "diagonal": {"only the diagonal goes through": True},
        "more": {"too large goes through": True, "too loose": True},
        "less": {"too small goes through": True, "too loose": True},
        "nan": {"NaN goes through": True},
    },
    wholes={
        "direction only": _verdicts(scale=True, value=True, more=True, less=True),
        "query only": _verdicts(value=True, more=True, less=True),
        "rejects right ones": lambda backward: False,
        "everything passes": lambda backward: True,
        "all finite ones pass": _verdicts(**{**BROKEN, "nan": False}),
        "the wrong way round": lambda backward: not verdict(backward),
    },
    reread="section 4",
    hint="Draw small arrays, a mask and a random `d_context`. The loss is `np.sum(context * d_context)`. Compare what `backward` returns with `numerical_gradient` of that loss, for query, key and value.",
)
