"""Three questions on earlier lessons, their keys computed."""

import numpy as np

from attnfuse.checking import Quiz
from attnfuse.exercises.common import softmax


def equal_scores():
    """Options: the mean, the first value, the sum. Four values, all scores alike."""
    value = np.array([2.0, 4.0, 6.0, 12.0])
    got = softmax(np.zeros(4)) @ value
    return int(np.argmin(np.abs(np.array([value.mean(), value[0], value.sum()]) - got)))


def queries_shuffled():
    """Options: nothing, the rows are shuffled likewise, the columns are."""
    rng = np.random.default_rng(0)
    query, key, order = rng.normal(size=(3, 2)), rng.normal(size=(4, 2)), [2, 0, 1]
    before, after = softmax(query @ key.T), softmax(query[order] @ key.T)
    if np.allclose(before, after):
        return 0
    return 1 if np.allclose(before[order], after) else 2


def pooled_weights():
    """Which shape do the weights have when two (B, C) tensors attend?"""
    B, C = 32, 64
    weights = np.zeros((B, C)) @ np.zeros((B, C)).T
    return [(32, 64), (64, 64), (32, 32)].index(weights.shape)


QUIZZES = [
    Quiz(
        id="08-equal-scores",
        question="(Lesson 01.) Four keys have the same score. What does attention return?",
        options={
            "the mean of the values": "Each weight is 1/4. So the mean is a special case.",
            "the first value": "No key is first: attention knows no order, only scores.",
            "the sum of the values": "Weights sum to 1: with 1/4 each it is the mean.",
        },
        answer=equal_scores,
    ),
    Quiz(
        id="08-queries-shuffled",
        question="(Lesson 02.) You put the *queries* in another order. What happens to the rows of the weights?",
        options={
            "nothing": "Each row belongs to a query, and moves with it.",
            "they move along, otherwise unchanged": "Each query asks for itself: its row is the same, elsewhere.",
            "their columns move": "Columns belong to keys, and these stayed.",
        },
        answer=queries_shuffled,
    ),
    Quiz(
        id="08-pooled",
        question="(Lesson 05.) Two tensors `(32, 64)`, batch and channels, go into `keras.layers.Attention`. Which shape do its weights have, and so who attends to whom?",
        options={
            "(32, 64)": "Weights hold one number for each pair of query and key.",
            "(64, 64)": "The channels are multiplied away in the dot product.",
            "(32, 32)": "The batch stands where the sequence belongs: every example reads the others. Keras 3.15 raises no error.",
        },
        answer=pooled_weights,
    ),
]
