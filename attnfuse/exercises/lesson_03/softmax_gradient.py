"""Backward through softmax."""

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property, properties
from attnfuse.exercises.common import partial_mask, softmax
from attnfuse.exercises.lesson_03.pull import VALUES


def by_loops(weights, d_weights):
    """The definition: every weight i, for every score s, through the Jacobian."""
    T, S = weights.shape
    d_scores = np.zeros((T, S))
    for t in range(T):
        for s in range(S):
            for i in range(S):
                slope = float(weights[t, i]) * ((1.0 if i == s else 0.0) - float(weights[t, s]))
                d_scores[t, s] += float(d_weights[t, i]) * slope
    return d_scores


def cases(rng):
    def case(T, S, note, scale=1.0, mask=True, dtype=float):
        weights = softmax(scale * rng.standard_normal((T, S)), mask)
        slopes = rng.standard_normal((T, S)) + 1
        return Case({"weights": weights.astype(dtype), "d_weights": slopes.astype(dtype)}, note)

    nobody = partial_mask(rng, 4, 5)
    nobody[2] = False
    by_hand = {"weights": np.array([[0.5, 0.25, 0.25]]), "d_weights": VALUES[None]}
    return [
        case(2, 1, "one key: its weight is 1, whatever its score"),
        Case(by_hand, "the example worked by hand"),
        case(1, 4, "one query"),
        case(2, 3, "two queries"),
        case(4, 4, "as many queries as keys"),
        case(3, 5, "sharp weights", scale=20),
        case(3, 6, "some keys are masked", mask=partial_mask(rng, 3, 6)),
        case(4, 5, "query 2 may see no key", mask=nobody),
        case(3, 7, "float32", dtype=np.float32),
    ]


def row_sum(products):
    return products.sum(axis=-1, keepdims=True)


def through_softmax(
    weights,
    d_weights,
    *,
    times=lambda w, d: w * d,
    add_up=row_sum,
    take_off=lambda w, d, total: w * (d - total),
    sign=1,
    given=lambda w: w,
):
    weights = given(weights)
    return sign * take_off(weights, d_weights, add_up(times(weights, d_weights)))


def _rows_cancel(attempt, case, rng):
    sums = np.asarray(attempt.result["d_scores"], dtype=float).sum(axis=-1)
    if not np.allclose(sums, 0, atol=1e-5):
        raise Mismatch(
            "Adding the same number to all scores of a row changes no weight, so the slopes of a row must sum to 0; sums:",
            got=sums,
        )


def _no_weight_no_slope(attempt, case, rng):
    hidden = case.inputs["weights"] == 0
    if np.any(attempt.result["d_scores"][hidden] != 0):
        raise Mismatch("A key with weight 0 has the slope 0.", got=attempt.result["d_scores"])


def _line_up_with_keys(products):
    return products.sum(axis=-1)


SOFTMAX_GRADIENT = Exercise(
    name="softmax_gradient",
    lesson="03_attention_gradients",
    title="Backward through softmax",
    kind="write",
    minutes=8,
    difficulty=2,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"d_scores": "T S"},
    properties=[
        properties.finite(),
        Property("no weight, no slope", _no_weight_no_slope),
        Property("slopes of a row cancel", _rows_cancel),
    ],
    sketch=through_softmax,
    says="""
    diagonal only | Your slope is w(1 - w) times d_weights: the diagonal of the table alone. Every score also moves all *other* weights of its row, by -w·w' each. (That p(1 - p) is right for a sigmoid, where there are no others.)
    off the diagonal only | Your slope counts what the *other* weights do, -w·w' each, and leaves out the key's own: w(1 - w).
    product only | You multiply by the weights and stop. Take the row's weighted mean of d_weights off first: a score that rises takes weight from everybody.
    others with the wrong sign | The sign of the other keys is wrong: when a score rises, the other weights *shrink*, by -w·w'.
    mean added | You add the row's sum where it is taken off. A key that does as well as the mean gets no slope.
    not multiplied by the weight | You have how much better each key does than the mean. Multiply by the key's weight: who has none, moves nothing.
    multiplied by 1/S | The outer factor is the key's own weight, not 1/S: who has no weight, moves nothing.
    mean not multiplied by the weight | You take the whole row's sum off each product. A key pays only its share of it: brackets, weights * (d_weights - mean).
    plain sum | You take off the plain sum of d_weights. It is the sum *under the weights*: `(weights * d_weights).sum(...)`.
    weights squared | In the sum the weights count squared. The mean under the weights is the sum of weights × d_weights.
    plain mean | You take off the plain mean of d_weights. It is the mean *under the weights*: `(weights * d_weights).sum(...)`.
    mean of the products | You take the *mean* of weights × d_weights. The weights already sum to 1: take the sum.
    sum over queries | You sum over the queries, axis 0. Each row is a softmax of its own: sum over the keys, axis -1.
    sum over everything | You sum over the whole array. Each row is a softmax of its own: sum over the keys, axis -1.
    mean over everything | You take a mean over the whole array. Each row is a softmax of its own: sum over the keys, axis -1.
    keepdims forgotten | Your sum has shape (T,), and NumPy lines it up with the *keys*: an error, or worse, none where T = S. `keepdims=True` makes it (T, 1).
    sign turned round | The sign is turned round: a key that does *better* than the row's mean has the slope of its advantage, d_weights - mean.
    softmax again | You put `weights` through a softmax again. They are weights already; only the way back is asked for.
    the mean of every other row | `weights @ d_weights.T` pairs each row with all rows, (T, T). Only a row with itself counts: multiply elementwise and sum over axis -1.
    a masked key silences its row | A row with one weight of 0 gets no slopes at all. Only the key without weight has none.
    """,
    choices={
        "take_off": {
            "diagonal only": lambda w, d, total: w * (1 - w) * d,
            "off the diagonal only": lambda w, d, total: w * (w * d - total),
            "product only": lambda w, d, total: w * d,
            "others with the wrong sign": lambda w, d, total: w * (d + total - 2 * w * d),
            "mean added": lambda w, d, total: w * (d + total),
            "not multiplied by the weight": lambda w, d, total: d - total,
            "multiplied by 1/S": lambda w, d, total: (d - total) / w.shape[-1],
            "mean not multiplied by the weight": lambda w, d, total: w * d - total,
            "a masked key silences its row": lambda w, d, total: (
                w * (d - total) * (w > 0).all(axis=-1, keepdims=True)
            ),
        },
        "times": {
            "plain sum": lambda w, d: d,
            "plain mean": lambda w, d: d / w.shape[-1],
            "weights squared": lambda w, d: w**2 * d,
        },
        "add_up": {
            "mean of the products": lambda x: x.mean(axis=-1, keepdims=True),
            "sum over queries": lambda x: x.sum(axis=-2, keepdims=True),
            "sum over everything": lambda x: x.sum(),
            "mean over everything": lambda x: x.mean(),
            "keepdims forgotten": _line_up_with_keys,
        },
        "sign": {"sign turned round": -1},
        "given": {"softmax again": softmax},
    },
    wholes={
        "the mean of every other row": lambda weights, d_weights: (
            weights * (d_weights - weights @ d_weights.T)
        )
    },
    own=["attnfuse.gradients.softmax_gradient", "attnfuse.gradients.attention_gradients"],
    reread="section 2",
    hint="weight × (d_weights - the row's mean of d_weights under the weights). The mean is a sum over the last axis with `keepdims=True`.",
)
