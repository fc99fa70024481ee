"""Returning questions of lesson 10."""

import numpy as np

from attnfuse.checking import Quiz
from attnfuse.exercises.common import softmax

QUIZZES = [
    Quiz(
        id="10-shapes",
        question="Attention with queries (B, 3, D) and keys (B, 6, D). What shape have the weights?",
        options={
            "(B, 6, 3)": "A row belongs to a query, and there are three of them.",
            "(B, 3, 6)": "A row for each query, a column for each key.",
            "(B, 3, 3)": "That would be the queries looking at each other: self-attention.",
        },
        answer=lambda: [(6, 3), (3, 6), (3, 3)].index(
            (np.zeros((1, 3, 2)) @ np.zeros((1, 6, 2)).swapaxes(1, 2)).shape[1:]
        ),
    ),
    Quiz(
        id="10-additive",
        question="Concatenate two modalities, then one dense layer, nothing else. What can the picture's part of a logit depend on?",
        options={
            "On the picture alone": "The logits are f(image) + g(text), lesson 09. A question cannot choose a place in the picture.",
            "On the picture and the question": "Only if something bends after they meet. A single dense layer does not.",
        },
        answer=lambda: 0 if _four_corners_of_a_sum() < 1e-9 else 1,
    ),
    Quiz(
        id="10-zeros",
        question="Scores (2, −1), then a third key arrives that is padding, set to the score 0 and not closed. What happens to the first key's weight?",
        options={
            "It stays": "e⁰ is 1, not 0: the third key joins the sum.",
            "It grows": "One unit is spread; a further key can only take some of it.",
            "It falls": "e⁰ = 1 joins the sum under the fraction. To close a key, give it a score of minus infinity, or nearly.",
        },
        answer=lambda: int(1 - np.sign(softmax([2.0, -1, 0])[0] - softmax([2.0, -1])[0])),
    ),
]  # fmt: skip


def _four_corners_of_a_sum() -> float:
    rng = np.random.default_rng(0)
    matrix, (a, c, b, d) = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))

    def logits(x, y):
        return np.concatenate([x, y]) @ matrix

    return float(np.abs(logits(a, b) - logits(c, b) - logits(a, d) + logits(c, d)).max())
