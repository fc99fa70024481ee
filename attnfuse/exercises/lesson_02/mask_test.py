"""Write the test yourself: does a mask act as if keys were deleted?"""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, properties
from attnfuse.driving import Handle
from attnfuse.exercises.common import softmax
from attnfuse.exercises.lesson_02.attend import by_loops


def other_digits(query, key, value, mask=None):
    """Right, but its last digits depend on the number of keys, as where sums are split up."""
    context, weights = by_loops(query, key, value, mask)
    rounding = 1 + 1e-14 * key.shape[-2]
    return context * rounding, weights * rounding


def inverted(query, key, value, mask=None):
    return by_loops(query, key, value, None if mask is None else ~np.asarray(mask, dtype=bool))


def masked_by(rule):
    """Attention whose weights, and what they are multiplied by, come from `rule(scores, mask)`."""

    def attend(query, key, value, mask=None):
        scores = np.einsum("bth,bsh->bts", query, key) / math.sqrt(query.shape[-1])
        mask = np.broadcast_to(True if mask is None else mask, scores.shape)
        weights, factors = rule(scores, mask)
        return factors @ value, weights

    return attend


def once(weights):
    return weights, weights


# name → function, whether it is right, what is shown of it
SUSPECTS = {
    "definition": (by_loops, True, "a right one: the definition itself"),
    "digits": (other_digits, True, "a right one, its last digits depend on the number of keys"),
    "ignored": (
        lambda query, key, value, mask=None: by_loops(query, key, value),
        False,
        "it ignores the mask",
    ),
    "inverted": (inverted, False, "it attends where the mask is False"),
    "late": (
        masked_by(lambda scores, mask: once(softmax(scores, mask, late=True))),
        False,
        "it sets weights to zero after the softmax",
    ),
    "values": (
        masked_by(lambda scores, mask: (softmax(scores), softmax(scores) * mask)),
        False,
        "it multiplies the values by the mask",
    ),
    "zero": (
        masked_by(lambda scores, mask: once(softmax(scores * mask))),
        False,
        "it sets masked scores to 0",
    ),
    "ten": (
        masked_by(lambda scores, mask: once(softmax(np.where(mask, scores, -10)))),
        False,
        "it sets masked scores to -10",
    ),
}


def cases(rng):
    return [
        Case({"attend": Handle(shown, function)}, shown) for function, _, shown in SUSPECTS.values()
    ]


def name_of(attend) -> str:
    return next(name for name, (f, _, _) in SUSPECTS.items() if attend.function is f)


def verdict(attend):
    return SUSPECTS[name_of(attend)][1]


def sketch(attend, **otherwise):
    """A test by its verdicts: right but where a choice says otherwise."""
    name = name_of(attend)
    return otherwise.get(name, SUSPECTS[name][1])


def _verdicts(**lets_pass):
    return lambda attend: sketch(attend, **lets_pass)


BROKEN = {name: True for name, (_, right, _) in SUSPECTS.items() if not right}

MASK_TEST = Exercise(
    name="mask_test",
    lesson="02_scaled_dot_product",
    title="Write the test yourself",
    kind="stretch",
    minutes=10,
    difficulty=2,
    points=0,
    reference=verdict,
    cases=cases,
    outputs={"verdict": ""},
    properties=[properties.right_or_broken("test", verdict)],
    sketch=sketch,
    says="""
    -10 is enough | Your test lets an attention pass that only pushes masked scores down to -10. Give the masked key a value of a million, so that the smallest leak shows, and compare strictly.
    equal to the last bit | Your test rejects a right function whose last digits differ, as they do where sums are added up in another order. Compare with `np.allclose`.
    after the softmax is enough | Your test lets a mask pass that comes too late, after the softmax: the masked weight is zero, but the other weights no longer sum to 1. Mask one key of several and compare with the result for fewer keys.
    on the values is enough | Your test lets a function pass that leaves the masked key its weight and strikes out its value only. Compare the *weights* of the keys that stay, or the context, with the result for fewer keys.
    a score of 0 is enough | Your test lets a function pass whose masked keys have the score 0. e⁰ is 1: they take weight.
    either polarity | Your test lets an inverted mask pass: one that attends exactly where the mask is False. Hide fewer keys than you leave open, and give them another value.
    no mask is enough | Your test lets a function pass that ignores the mask.
    no leak is enough | Your test lets functions pass whose masked *value* counts for nothing while its key still takes weight. Mask one key of several and compare with the result for fewer keys.
    rows that sum to one are enough | Your test only lets those fail whose weights do not sum to 1. They do without any mask, too. Compare with the result for fewer keys.
    some effect is enough | Your test only rejects the function that ignores the mask: the others change *something*. A wrong mask does that, too. Compare with the result for fewer keys.
    nothing is masked | Your test only rejects the inverted mask. Does it hide a key at all, and compare with the result without that key?
    other polarity | Your test expects True to hide a key, or answers the wrong way round. Here True means: may attend.
    the other way round | Your test answers the wrong way round: True where the mask does not work.
    everything passes | Your test lets every function pass, the broken ones included. Try it on one that ignores the mask.
    nothing passes | Your test rejects every function, the right ones included. Try it on `attention.scaled_dot_product_attention`. Are masked and deleted compared in the same shape?
    """,
    choices={
        "ten": {
            "-10 is enough": True,
        },
        "digits": {
            "equal to the last bit": False,
        },
        "late": {
            "after the softmax is enough": True,
        },
        "values": {
            "on the values is enough": True,
        },
        "zero": {
            "a score of 0 is enough": True,
        },
        "inverted": {
            "either polarity": True,
        },
        "ignored": {
            "no mask is enough": True,
        },
    },
    wholes={
        "no leak is enough": _verdicts(late=True, values=True),
        "rows that sum to one are enough": _verdicts(**{**BROKEN, "late": False}),
        "some effect is enough": _verdicts(**{**BROKEN, "ignored": False}),
        "nothing is masked": _verdicts(**{**BROKEN, "inverted": False}),
        "other polarity": lambda attend: name_of(attend) == "inverted",
        "the other way round": lambda attend: not verdict(attend),
        "everything passes": lambda attend: True,
        "nothing passes": lambda attend: False,
    },
    reread="section 5",
    hint="Call `attend` twice: with key 2 masked, and with key 2 deleted from `key` and `value`. Give the masked key a value of a million first. Compare the two contexts, and the weights of the keys that stay.",
)
