"""Row softmax."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, properties
from attnfuse.exercises.lesson_01.shared import LESSON


def by_loops(scores):
    T, S = np.shape(scores)
    weights = np.zeros((T, S))
    for t in range(T):
        highest = max(float(scores[t, s]) for s in range(S))
        parts = [math.exp(float(scores[t, s]) - highest) for s in range(S)]
        for s in range(S):
            weights[t, s] = parts[s] / sum(parts)
    return weights


def cases(rng):
    def case(T, S, note, shift=0.0, dtype=float):
        return Case({"scores": (rng.normal(size=(T, S)) + shift).astype(dtype)}, note)

    far = rng.permuted([[3000.0, 1, 0, 0, 2, 1], [-2900, 0, 1, 0, 1, 2]], axis=1)
    return [
        case(1, 3, "one query"),
        case(2, 3, "two queries, three keys"),
        case(3, 1, "one key"),
        case(3, 4, "scores near 1000", 1000),
        case(2, 4, "scores near -1000", -1000),
        case(4, 6, "two rows far below the others", np.array([[0], [-2000], [-5000], [0]])),
        case(4, 3, "one row far above the others", np.array([[0], [0], [4000], [0]])),
        Case({"scores": np.array([[0.0, 800, 0], [-800, 0, -1]])}, "scores 800 apart in a row"),
        Case({"scores": far}, "scores thousands apart in a row"),
        Case({"scores": np.array([[2.0, 2, 2], [0, 0, -1]])}, "equal scores"),
        case(4, 7, "float32", dtype=np.float32),
        case(8, 5, "eight queries"),
    ]


def row(reduce):
    """One number for each row."""
    return lambda x: reduce(x, axis=-1, keepdims=True)


highest, row_mean, row_sum = row(np.max), row(np.mean), row(np.sum)


def sketch(
    scores,
    *,
    shift=highest,
    change=np.subtract,
    power=np.exp,
    below=lambda parts, scores: row_sum(parts),
    finish=np.asarray,
):
    parts = power(change(scores, shift(scores)))
    return finish(parts / below(parts, scores))


SOFTMAX = Exercise(
    name="softmax",
    lesson=LESSON,
    title="Row softmax",
    kind="write",
    minutes=8,
    difficulty=2,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"weights": "T S"},
    properties=[
        properties.finite(),
        properties.not_negative(),
        properties.rows_sum_to_one(),
        properties.stays(
            "a shifted row",
            "A number was added to all scores of each row, and the weights changed.",
            lambda inputs, rng: {
                "scores": inputs["scores"] + rng.integers(1, 9, (len(inputs["scores"]), 1))
            },
            "weights",
        ),
    ],
    sketch=sketch,
    says="""
    no shift | `np.exp(1000)` is infinite and `np.exp(-1000)` is 0. Subtract each row's maximum first: the weights stay the same.
    no shift, NaN to 0 | `np.exp(1000)` is infinite and `np.exp(-1000)` is 0. Subtract each row's maximum first: turning the NaN into 0 afterwards only hides that, and such a row no longer sums to 1.
    no shift, a small number below | `np.exp(1000)` is infinite and `np.exp(-1000)` is 0. Subtract each row's maximum first: a small number below the line only hides that, and such a row no longer sums to 1.
    one maximum for all rows, NaN to 0 | You take the same number off *all* rows. In a row thousands below it every exponential is rounded to 0. A small number below the line, or 0 for NaN, only hides that: such a row no longer sums to 1. Each row needs its own maximum.
    one maximum for all rows | You take the same number off *all* rows. In a row thousands below it every exponential is rounded to 0, in a row thousands above it they overflow. Each row needs its own maximum: `scores.max(axis=-1, keepdims=True)`.
    shift by the mean | Subtracting the row's mean is not enough: a score 1000 away from it can still overflow. After subtracting the maximum, the largest exponent is 0.
    shift by the minimum | Subtracting the row's *smallest* score makes every exponent positive, and 1000 overflows. After subtracting the largest one, no exponent is above 0.
    shift by the largest size | You subtract the largest *absolute* value. In a row of -1000s that takes off another 1000, and every exponential is rounded to 0. Subtract the maximum itself, with its sign.
    the columns' maxima | You subtract each *column's* maximum: another number for each key of a row, and that changes weights. Each row needs one number, its own maximum: `scores.max(axis=-1, keepdims=True)`.
    maximum without keepdims | The row maxima have shape (T,) and line up with the columns, not with the rows. Keep the axis: `scores.max(axis=-1, keepdims=True)` has shape (T, 1).
    shifted if high | You shift rows of high scores only. In a row of low ones, all near -1000, every exponential is rounded to 0. Shift each row.
    maximum added | You add the maximum. Subtract it: then the largest exponent is 0.
    divided by the maximum | You divide by the row's maximum. That changes how far scores are apart, and with it the weights; *subtracting* the same number from a whole row does not.
    divided by the largest size | You divide by the row's largest absolute value. That changes how far scores are apart, and with it the weights; *subtracting* the same number from a whole row does not.
    standardised | You divide by the row's standard deviation. That changes how far scores are apart, and with it the weights.
    clipped | You cut scores off at a limit: 1000 and 1001 become the same then. Subtract each row's maximum instead, and nothing is lost.
    shifted above only | You take the maximum off above the line, but not below it. Both must be the same exponentials.
    shifted below only | You take the maximum off below the line, but not above it. Both must be the same exponentials.
    not divided | These are the exponentials. Divide each row by its sum.
    softmax over queries | Your columns sum to 1. Each query (row) has one unit of attention to spread over the keys: divide by sums along the last axis, -1.
    columns sum to one | Your columns sum to 1. Each query (row) has one unit of attention to spread over the keys: divide by sums along the last axis, -1.
    one sum for all rows | You divide by the sum of *all* exponentials. Each row must sum to 1 by itself: `axis=-1`.
    sum without keepdims | The row sums have shape (T,) and line up with the columns. Keep the axis: `sum(axis=-1, keepdims=True)` has shape (T, 1).
    divided by the sum of scores | Below the line you add up the *scores*. Add up the exponentials.
    a small number on each exponential | You add a small number to each exponential: that gives weight to keys that should have none. Once each row's maximum is subtracted, its sum is at least 1 and nothing can be 0/0.
    wrong sign | Higher scores get less weight in your answer: a sign is the wrong way round.
    wrong sign, shifted by the minimum | Higher scores get less weight in your answer: a sign is the wrong way round.
    no exponential | You divide the scores by their sum, without an exponential. Scores may be negative; e to the power of a score never is.
    only the best key | You give everything to the best key. Softmax shares: e to the power of each score, divided by the sum.
    log-softmax | These are the logarithms of the weights (log-softmax). Return the weights themselves.
    logarithms | These are the logarithms of the weights (log-softmax). Return the weights themselves.
    the first row only | You return the first row's weights only. Does a `return` stand inside the loop?
    turned round | Your rows and columns are exchanged: asked is (T, S), a row for each query.
    """,
    choices={
        "shift": {
            "one maximum for all rows": np.max,
            "one maximum for all rows, NaN to 0": np.max,
            "shift by the mean": row_mean,
            "shift by the minimum": row(np.min),
            "wrong sign, shifted by the minimum": row(np.min),
            "shift by the largest size": lambda scores: highest(abs(scores)),
            "the columns' maxima": lambda scores: scores.max(axis=0),
            "softmax over queries": lambda scores: scores.max(axis=0),
            "maximum without keepdims": lambda scores: scores.max(axis=-1),
            "shifted if high": lambda scores: highest(scores) * (highest(scores) > 709),
        }
        | dict.fromkeys(
            [
                "no shift",
                "no shift, NaN to 0",
                "no shift, a small number below",
                "shifted below only",
            ],
            lambda scores: 0.0,
        ),
        "change": {
            "maximum added": np.add,
            "divided by the maximum": np.divide,
            "divided by the largest size": lambda s, shift: (
                s / np.abs(s).max(axis=-1, keepdims=True)
            ),
            "standardised": lambda s, shift: (s - row_mean(s)) / s.std(axis=-1, keepdims=True),
            "clipped": lambda scores, shift: np.clip(scores, -700, 700),
        },
        "below": {
            "no shift, a small number below": lambda parts, scores: row_sum(parts) + 1e-9,
            "shifted above only": lambda parts, scores: row_sum(np.exp(scores)),
            "shifted below only": lambda parts, s: row_sum(np.exp(s - highest(s))),
            "not divided": lambda parts, scores: 1.0,
            "softmax over queries": lambda parts, scores: parts.sum(axis=0, keepdims=True),
            "columns sum to one": lambda parts, scores: parts.sum(axis=0, keepdims=True),
            "one sum for all rows": lambda parts, scores: parts.sum(),
            "sum without keepdims": lambda parts, scores: parts.sum(axis=-1),
            "divided by the sum of scores": lambda parts, scores: row_sum(scores),
        },
        "power": {
            "a small number on each exponential": lambda scores: np.exp(scores) + 1e-9,
            "wrong sign": lambda scores: np.exp(-scores),
            "wrong sign, shifted by the minimum": lambda scores: np.exp(-scores),
            "no exponential": np.asarray,
        },
        "finish": {
            "no shift, NaN to 0": np.nan_to_num,
            "one maximum for all rows, NaN to 0": np.nan_to_num,
            "logarithms": np.log,
            "the first row only": lambda weights: weights[0],
            "turned round": np.transpose,
        },
    },
    wholes={
        "only the best key": lambda scores: np.eye(scores.shape[1])[scores.argmax(axis=1)],
        "log-softmax": lambda scores: scores - np.logaddexp.reduce(scores, -1)[:, None],
    },
    together={
        (name, "no exponential"): "You divide shifted scores by their sum, without an exponential."
        for name in ("shift by the minimum", "shift by the mean")
    },
    own=["attnfuse.attention.softmax"],
    reread="section 3, Softmax",
    hint="Subtract each row's own maximum (keep the axis), take exponentials, divide each row by its own sum (keep the axis again).",
    atol=1e-12,
)
