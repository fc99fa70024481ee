"""Returning questions of lesson 04."""

import math

import numpy as np

from attnfuse.checking import Quiz
from attnfuse.exercises.common import softmax

VALUES, ANSWERS = np.array([2.0, 5.0, 9.0]), (2.0, 5.3, 8.9, 9.5)


def _impossible_context() -> int:
    """The one answer that lies outside what weights can mix: from the least to the largest value."""
    outside = [not VALUES.min() <= answer <= VALUES.max() for answer in ANSWERS]
    return outside.index(True)


def _share_beside_masked_keys() -> int:
    mask = np.array([True, True, False, False, True])
    share = softmax(np.zeros(5), mask)[0]
    return int(np.argmin(np.abs(np.array([1 / 3, 1 / 5, 1 / 2]) - share)))


def _spread_when_divided_by_8() -> int:
    """16 independent products of variance 1, the sum divided by √64; coins, all outcomes counted."""
    outcomes = [(2 * k - 16, math.comb(16, k) / 2**16) for k in range(17)]
    spread = math.sqrt(sum(p * (total / 8) ** 2 for total, p in outcomes))
    return int(np.argmin(np.abs(np.array([0.25, 0.5, 1.0, 2.0]) - spread)))


QUIZZES = [
    Quiz(
        id="04-mixture",
        question="Three keys have the values 2, 5 and 9. Which context can no weights produce?",
        options={
            "2": "All the weight on the first key gives 2 (as nearly as you like).",
            "5.3": "Many weights do: mostly the 5, and a little of the 9.",
            "8.9": "Nearly all the weight on the third key gives that.",
            "9.5": "Weights are not negative and sum to 1, so the context is an average. It never exceeds the largest value. Keep that in mind for section 2.",
        },
        answer=_impossible_context,
    ),
    Quiz(
        id="04-masked",
        question="Five keys fit a query equally well. You mask two of them. What weight does each of the others get?",
        options={
            "1/3": "A masked key acts like a deleted one: three keys share the whole unit.",
            "1/5": "So it would be if weights were set to zero *after* the softmax. A masked key acts like a deleted one.",
            "1/2": "Two keys are masked, but there are three others: they share one unit.",
        },
        answer=_share_beside_masked_keys,
    ),
    Quiz(
        id="04-scale",
        question="Query and key have 16 independent components, mean 0, variance 1. A colleague divides their dot product by √64. What is the spread (standard deviation) of such a score?",
        options={
            "1/4": "16/64 is the *variance*. The spread is its square root.",
            "1/2": "The sum has the spread √16 = 4, and 4/8 = 1/2. Attention is softer than meant, and nothing fails: such a slip is hard to see.",
            "1": "That is the spread after division by √16, the square root of the width.",
            "2": "It is the other way round: 4/8, not 8/4.",
        },
        answer=_spread_when_divided_by_8,
    ),
]
