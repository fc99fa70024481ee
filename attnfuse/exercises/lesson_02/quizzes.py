"""Returning questions of lesson 02."""

import numpy as np

from attnfuse.checking import Quiz
from attnfuse.exercises.common import softmax


def _shifted_scores() -> int:
    before, after = (softmax(np.array([1.0, 2.0, 3.0]) + shift) for shift in (0, 100))
    return 2 if np.allclose(before, after) else 0


BANDWIDTHS = (0.2, 2.0, 20.0)


def _best_on_its_own_keys() -> int:
    """Which bandwidth has the lowest error on the very days that are its keys?"""
    from attnfuse.data import weather

    days, _ = weather.load()
    asked, truth = days.day[::10], days.temperature[::10]
    gaps = weather.days_apart(asked, days.day)
    errors = [
        np.mean((softmax(-((gaps / width) ** 2) / 2) @ days.temperature - truth) ** 2)
        for width in BANDWIDTHS
    ]
    return int(np.argmin(errors))


def _weight_of_the_copied_key() -> int:
    scores = np.zeros(5)  # four keys that fit equally well; the first is listed twice
    weight = softmax(scores)[:2].sum()
    return int(np.argmin(np.abs(np.array([1 / 4, 2 / 5, 1 / 2]) - weight)))


QUIZZES = [
    Quiz(
        id="02-shift",
        question="You add 100 to every score of a row. What happens to that row's weights?",
        options={
            "They get sharper.": "Multiplying scores does that. Adding the same number cancels out.",
            "They get more even.": "Dividing scores does that. Adding the same number cancels out.",
            "Nothing.": "e¹⁰⁰ is a factor of every term, above and below: softmax only sees differences.",
            "They overflow.": "They would without the shift by the row's maximum. Our softmax takes it off first.",
        },
        answer=_shifted_scores,
    ),
    Quiz(
        id="02-own-day",
        question="You choose the bandwidth for the weather by the error on the very days that serve as keys, without a mask. Which one wins?",
        options={
            "0.2 days": "Each day gives nearly all its weight to its own date, a third of it to itself, and copies. The error is low and says little about a new year.",
            "2 days": "This wins when a day may not see itself: then it copies its neighbours.",
            "20 days": "This is good on a new year, and that is why the mask must hide the own year.",
        },
        answer=_best_on_its_own_keys,
    ),
    Quiz(
        id="02-copies",
        question="Four keys fit a query equally well. Now the first one is listed twice. How much weight do its two copies get together?",
        options={
            "1/4": "Attention does not know that two keys are copies. Each of the five gets a fifth.",
            "2/5": "Five equal scores, five equal weights, two of them for the copies: attention counts.",
            "1/2": "The first key is listed twice, but there are three others beside its two copies: two of five.",
        },
        answer=_weight_of_the_copied_key,
    ),
]
