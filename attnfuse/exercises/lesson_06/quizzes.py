"""Returning questions of lesson 06."""

import numpy as np

from attnfuse.checking import Quiz


def _right_of_softmax_over_two():
    """Scores 0, 0 and a padded third: which weight does the first key get?"""
    options = [1 / 2, 1 / 3, 0.0]
    scores = np.array([0.0, 0.0, -np.inf])
    weights = np.exp(scores) / np.exp(scores).sum()
    return int(np.argmin(np.abs(np.array(options) - weights[0])))


def _effect_of_a_longer_key():
    """Options: a gains, b gains, nothing changes. Key b is doubled; the query is (1, 1)."""
    query = np.ones(2)
    before, after = (np.exp(np.array([[1, 0], [0, long]]) @ query) for long in (1.0, 2.0))
    a, b = after / after.sum() - before / before.sum()
    return 0 if a > 1e-9 else 1 if b > 1e-9 else 2


def _shape_of_context():
    B, T, S, V = 2, 3, 5, 7
    context = np.zeros((B, T, S)) @ np.zeros((B, S, V))
    return [(B, T, S), (B, S, V), (B, T, V)].index(context.shape)


QUIZZES = [
    Quiz(
        id="06-padding",
        question="Three keys have the same score; the third is padding, and a mask closes it before the softmax. Which weight does the first key get?",
        options={
            "1/2": "The two open keys share the whole unit.",
            "1/3": "That would leave the row with 2/3: so it is when a mask comes *after* the softmax.",
            "0": "Only the closed key gets 0.",
        },
        answer=_right_of_softmax_over_two,
    ),
    Quiz(
        id="06-shape",
        question="3 queries meet 5 keys of width 4, whose values are 7 wide, in a batch of 2. Which shape has the context?",
        options={
            "(2, 3, 5)": "These are the weights: one for each pair of query and key.",
            "(2, 5, 7)": "These are the values. There is one context per query, not per key.",
            "(2, 3, 7)": "One row per *query*, as wide as a *value*.",
        },
        answer=_shape_of_context,
    ),
    Quiz(
        id="06-long-key",
        question="Two keys score the same by dot product. Now the second is made twice as long, in the same direction; its score was positive. Who gains attention?",
        options={
            "The first": "Its score stays; the other's has doubled.",
            "The second": "Its score doubles. A dot product rewards long keys, near or not: lesson 02's trap.",
            "Nobody": "So it would be with keys brought to unit length first.",
        },
        answer=_effect_of_a_longer_key,
    ),
]
