"""Returning questions of lesson 03."""

import numpy as np

from attnfuse.checking import Quiz
from attnfuse.exercises.common import softmax


def _calls() -> int:
    """Count how often `numerical_gradient` computes the loss for nine numbers."""
    from attnfuse.gradients import numerical_gradient

    calls = 0

    def loss(values):
        nonlocal calls
        calls += 1
        return float(np.sum(values**2))

    numerical_gradient(loss, np.ones(9))
    return [9, 10, 18, 81].index(calls)


def _three_times_as_long() -> int:
    rng = np.random.default_rng(0)
    query, key = rng.normal(size=(50, 4)), rng.normal(size=(6, 4))
    before, after = (softmax(query @ (size * key).T / 2).max(axis=-1) for size in (1, 3))
    return 0 if np.allclose(before, after) else 1 if (after > before).all() else 2


def _nobody_to_see() -> int:
    from attnfuse import attention

    weights = attention.softmax(np.zeros((1, 4)), np.zeros((1, 4), bool))
    return 2 if np.isnan(weights).any() else 0 if (weights == 0).all() else 1


QUIZZES = [
    Quiz(
        id="03-calls",
        question="Lesson 01 trained nine numbers: it moved each a little both ways, to see what the loss does. How often is the loss computed for one step of training?",
        options={
            "9 times": "One move for each number says nothing without a second value to compare with.",
            "10 times": "That is one-sided: nine moves and the start. We moved both ways.",
            "18 times": "Twice for each number. For today's 8,192 numbers that would be 16,384 times.",
            "81 times": "Numbers are moved one at a time, not in pairs.",
        },
        answer=_calls,
    ),
    Quiz(
        id="03-sharper",
        question="All keys of a dot-product attention are multiplied by 3. What happens to the weights?",
        options={
            "Nothing, it cancels.": "Adding one number to all scores cancels. Here every score is multiplied by 3.",
            "They get sharper.": "Scores and their differences are three times as large: the best key takes more.",
            "They get more even.": "Smaller scores do that. These are three times as large.",
        },
        answer=_three_times_as_long,
    ),
    Quiz(
        id="03-nobody",
        question="A query's mask is False for every key. What are its weights in this course?",
        options={
            "All 0, and the context is 0.": "It asked nobody. Today: no slope comes back from it either.",
            "All equal.": "Some libraries do that (-1e9 for every score is a draw). It means looking at forbidden keys.",
            "Not a number.": "A careless softmax gets 0/0 there, or −∞ − (−∞) if closed scores are −∞. Ours catches that case.",
        },
        answer=_nobody_to_see,
    ),
]
