"""Three questions on earlier lessons, their keys computed."""

import numpy as np

from attnfuse.checking import Quiz
from attnfuse.exercises.common import softmax


def parameters_of_heads():
    """Matrices of one head of width 512 against eight of width 64: more, fewer, the same?"""
    one, eight = (N * 3 * 512 * (512 // N) + 512 * 512 for N in (1, 8))
    return 0 if eight > one else 1 if eight < one else 2


def gradient_of_large_scores():
    """The largest entry of the softmax's Jacobian for scores (0, 1) and for ten times those."""

    def largest(scores):
        p = softmax(np.array(scores, dtype=float))
        return np.abs(np.diag(p) - np.outer(p, p)).max()

    small, large = largest([0, 1]), largest([0, 10])
    return 0 if large < small else 1 if large > small else 2


def permuted_keys():
    """What changes if keys and values are permuted together: context, weights' order, nothing?"""
    rng = np.random.default_rng(0)
    query, key, value = rng.standard_normal((3, 4, 4))
    order = np.array([2, 0, 3, 1])
    before, after = softmax(query @ key.T), softmax(query @ key[order].T)
    if not np.allclose(before @ value, after @ value[order]):
        return 0
    return 1 if np.allclose(before[:, order], after) else 2


QUIZZES = [
    Quiz(
        id="05-permuted",
        question="You put keys and values into another order, both the same way. What changes?",
        options={
            "The context": "It is a sum over the keys, and a sum has no order.",
            "Only the order of the weights' columns": "Each weight moves with its key, and the context stays.",
            "Nothing at all": "The context stays, but each weight moves with its key.",
        },
        answer=permuted_keys,
    ),
    Quiz(
        id="05-saturated",
        question="The scores of a row are (0, 1). You multiply them by ten. What happens to the softmax's slopes, that is, to how far the weights move when a score moves?",
        options={
            "They nearly vanish": "The softmax is saturated: lesson 03. The √D keeps scores from growing with the width.",
            "They grow": "The *scores* grow; the weights hardly move any more when scores do.",
            "They stay": "They would if softmax were linear.",
        },
        answer=gradient_of_large_scores,
    ),
    Quiz(
        id="05-heads",
        question="One head of width 512 is replaced by eight of width 64. The number of parameters (all four matrices) …",
        options={
            "grows": "Eight times as many matrices, each an eighth as wide.",
            "shrinks": "The matrices are narrower, but there are eight times as many.",
            "stays the same": "They are the same matrices, cut into eight strips: lesson 04.",
        },
        answer=parameters_of_heads,
    ),
]
