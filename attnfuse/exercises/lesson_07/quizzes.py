"""Three questions on earlier lessons."""

import numpy as np

from attnfuse.checking import Quiz
from attnfuse.exercises.common import softmax


def positions_matter_for():
    """Options: with two letters exchanged, states change places only; they change; nothing changes at all."""
    x = np.random.default_rng(0).standard_normal((4, 3))
    order = np.array([1, 0, 2, 3])
    states = [softmax(y @ y.T) @ y for y in (x, x[order])]
    if np.allclose(*states):
        return 2
    return 0 if np.allclose(states[0][order], states[1]) else 1


def parameters_of_heads():
    """Parameters of the projections of 1 and of 8 heads at width 64: more, fewer, as many?"""
    one, eight = (3 * heads * 64 * (64 // heads) + 64 * 64 for heads in (1, 8))
    return 0 if eight > one else 1 if eight < one else 2


def what_is_read():
    """What the decoder reads at position 1 while it learns K AE T: START, K, AE?"""
    read = ["START", "K", "AE", "T"]  # one step behind K AE T END
    return ["START", "K", "AE"].index(read[1])


QUIZZES = [
    Quiz(
        id="07-order",
        question="Lesson 04: self-attention without positions reads *tac* instead of *cat*. What happens to the state "
        "of the letter c?",
        options={
            "It is the same, at another place": "Without positions the states change places with their letters, and that is all.",
            "It changes: c now stands at the end": "Nothing tells it where it stands. Its state is a mixture of the same values with the same weights.",
            "Nothing changes, in no row": "The *rows* change places: the state of c now stands in the last one.",
        },
        answer=positions_matter_for,
    ),
    Quiz(
        id="07-heads",
        question="Lesson 04: one head of width 64 becomes eight heads of width 8. The layer now has …",
        options={
            "more parameters": "Eight heads, but each an eighth as wide: 8 · (64 · 8) = 64 · 64.",
            "fewer parameters": "Each head is narrower, but there are eight of them.",
            "as many parameters": "Heads share the width out; they cost no parameters.",
        },
        answer=parameters_of_heads,
    ),
    Quiz(
        id="07-shift",
        question="Lesson 06: the target is K AE T END, the decoder learns with teacher forcing. What does it read last "
        "before it must write AE, at position 1?",
        options={
            "START": "START stands at position 0, where K is to be written.",
            "K": "Shifted by one: at position 1 it reads the token of position 0.",
            "AE": "This is what it must write. Reading it, it would learn to copy.",
        },
        answer=what_is_read,
    ),
]
