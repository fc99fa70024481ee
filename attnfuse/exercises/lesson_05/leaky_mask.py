"""Self-attention by Keras's own layer, with a mask of what is neither future nor padding."""

from functools import partial

import numpy as np

from attnfuse.checking import Case, Exercise, properties
from attnfuse.driving import Raised, lesson_05
from attnfuse.exercises.common import draw, softmax
from attnfuse.exercises.lesson_05.shared import (
    LESSON,
    eight_arrays,
    multi_head_by_loops,
    numpy_heads,
)


def by_loops(x, future, padding, **weights):
    """Zeros at padding, as the driver puts them there: anything may stand there."""
    mask = np.array(
        [
            [[not (f or p) for f, p in zip(row, item, strict=True)] for row in future]
            for item in padding
        ]
    )
    output, _ = multi_head_by_loops(x, x, x, mask, 2, **weights)
    output[padding > 0] = 0
    return output


def cases(rng):
    def case(H, padding, note):
        inputs = {"padding": np.array(padding, np.float32)}
        (B, T), D = inputs["padding"].shape, 2 * H
        inputs |= draw(rng, np.float32, x=(B, T, D)) | eight_arrays(rng, (D, D, D), D)
        return Case({"future": 1 - np.tri(T, dtype=np.float32), **inputs}, note)

    return [
        case(2, [[0, 0, 0]], "three words, no padding"),
        case(3, [[0, 0, 0, 0], [0, 0, 1, 1]], "two sentences, one with padding"),
        case(2, [[0, 0, 1, 1, 1], [0, 0, 0, 0, 0], [0, 1, 1, 1, 1]], "three sentences"),
        case(2, [[0, 0, 1], [0, 1, 1], [0, 0, 0]], "as many sentences as words"),
        case(2, [[1, 1, 0, 0], [0, 1, 0, 0]], "padding in front and in the middle"),
    ]


def sketch(
    x,
    future,
    padding,
    *,
    past=np.logical_not,
    real=lambda padding: ~padding[:, None],
    join=np.logical_and,
    turned=False,
    source=lambda x, padding: x,
    empty=None,
    give=lambda output, weights: output,
    **arrays,
):
    padding = padding > 0
    allowed = join(past(future > 0), real(padding)) ^ turned
    allowed = np.broadcast_to(allowed, (len(x), *future.shape))[:, None]
    x = source(x, padding)
    weigh = partial(softmax, empty=empty)  # where all is closed, Keras weighs evenly
    result = give(*numpy_heads(x, x, x, allowed, 2, weigh, **arrays))
    return result if isinstance(result, tuple) else np.where(padding[..., None], 0, result)


def without_axis(padding):
    if len(padding) not in (1, padding.shape[1]):
        raise Raised("InvalidArgumentError")
    return ~padding[None]


def change(inputs, where):
    return inputs | {"x": inputs["x"] + np.asarray(where, np.float32)[..., None]}


LEAKY_MASK = Exercise(
    name="leaky_mask",
    lesson=LESSON,
    title="The mask that leaks",
    kind="bug",
    minutes=6,
    difficulty=2,
    points=0,
    reference=by_loops,
    cases=cases,
    outputs={"output": "B T D"},
    run=lesson_05.leaky_mask,
    properties=[
        properties.finite(),
        properties.stays(
            "nothing from the future",
            "Later words were changed, and the first two outputs changed with them: it leaks.",
            lambda inputs, rng: change(inputs, inputs["future"][1]),
            "output",
            lambda output: output[:, :2],
            tolerance=1e-4,
        ),
        properties.stays(
            "nothing from padding",
            "What stands at padding was changed, and the outputs of words changed with it.",
            lambda inputs, rng: change(inputs, inputs["padding"]),
            "output",
            tolerance=1e-4,
        ),
    ],
    sketch=sketch,
    says="""
    as given | The mask is the wrong way round, as in the broken one: 1 means *closed* in these two arrays, and Keras's layer reads everything that is not 0 as *may attend*. (So it reads -1e9, too.)
    future open | The future is open: words see what comes after them.
    future the wrong way round | `future` is the wrong way round: 1 means *closed* there, and True means *may attend* in Keras.
    future transposed | You transposed `future`: that closes the past and opens the future.
    not itself | A word may not attend to itself in your version: the first has nothing left.
    padding open | Padding is open. (`padding[:, :, None]` closes what padding *asks*. Keys stand on the last axis: `padding[:, None]`.)
    padding the wrong way round | `padding` is the wrong way round: a word sees padding and not the other words.
    padding turned round alone | Of the two only `padding` is turned round: `future` still opens what it should close, and a place that one of them opens is open.
    future turned round alone | Of the two only `future` is turned round: `padding` still opens what it should close, and a place that one of them opens is open.
    the first item's padding | You use the first item's padding for the whole batch. Each item has its own.
    padding without an axis | `padding` is (B, T), the mask (B, T, T): without an axis for the queries, `padding[:, None]`, its items are taken for queries. (Where B and T differ, it raises an error.)
    padding without an axis, by ops | `padding` is (B, T), the mask (B, T, T): without an axis for the queries, `padding[:, None]`, its items are taken for queries. (Where B and T differ, it raises an error.)
    nothing closed | Nothing is closed: every word sees the future and padding.
    open where both are 1 | Only what is future *and* padding is open. It must be neither.
    padding set to zero | You set what stands at padding to zero and leave it open. A vector of zeros still gets a score, and takes a share of the weights: it belongs into the mask.
    one of the two is enough | You open a place if it is not future *or* not padding. It must be neither: `and` between open masks, or `maximum` between closed ones before you turn them round.
    open where both are closed | Where a place is future *and* padding, your two masks cancel: `1 - future - padding` is -1 there, and all that is not 0 counts as open (so does `future == padding`).
    weights returned | You return two things. Without `return_attention_scores` the layer returns its output alone.
    """,
    choices={
        "turned": {
            "as given": True,
            "padding turned round alone": True,
            "future turned round alone": True,
            "open where both are 1": True,
        },
        "past": {
            "future open": np.ones_like,
            "nothing closed": np.ones_like,
            "future the wrong way round": lambda future: future,
            "future transposed": lambda future: ~future.T,
            "not itself": lambda future: future.T,
            "future turned round alone": lambda future: future,
        },
        "real": {
            "padding open": lambda padding: np.ones_like(padding[:, None]),
            "nothing closed": lambda padding: np.ones_like(padding[:, None]),
            "padding the wrong way round": lambda padding: padding[:, None],
            "padding turned round alone": lambda padding: padding[:, None],
            "the first item's padding": lambda padding: ~padding[:1, None],
            "padding without an axis": lambda padding: ~padding[None],
            "padding without an axis, by ops": without_axis,
            "padding set to zero": lambda padding: np.ones_like(padding[:, None]),
        },
        "source": {"padding set to zero": lambda x, padding: np.where(padding[..., None], 0, x)},
        "join": {
            "one of the two is enough": np.logical_or,
            "open where both are 1": np.logical_or,
            "open where both are closed": np.equal,
        },
        "give": {"weights returned": lambda output, weights: (output, weights)},
        "empty": {"weights returned": 0.0},
    },
    reread="section 8",
    hint="`padding[:, None]` is (B, 1, T) and fits `future`. Join the two closed masks, then turn the result round: `closed == 0` is bool and True where attention is allowed.",
    rtol=1e-4,
    atol=1e-4,
)
