"""Predict how many forecasts a network without a query makes."""

import numpy as np

from attnfuse.checking import Exercise
from attnfuse.exercises.lesson_01.pool import by_loops as pool_by_loops
from attnfuse.exercises.lesson_01.shared import LESSON


def answers_without_a_query() -> int:
    """A random network that sees keys only, asked about 365 days: how many answers differ?"""
    rng = np.random.default_rng(0)
    days = 365
    scores = np.zeros((days, 5)) + np.tanh(rng.normal(size=(5, 3))) @ rng.normal(size=3)
    context, _ = pool_by_loops(scores, rng.normal(15, 7, 5))
    return len({round(float(temperature), 6) for temperature in context})


SAYS = {  # numbers → what is said to whoever predicts one of them
    "365 366 364": "A different forecast for each day would need scores that depend on the day asked about. Step one computes each score from the key alone.",
    "182 183 184": "Distances from 0 to 182 would give 183 answers, but the network sees no distance: a distance has two ends, and the day asked about is not among its inputs.",
    "1096 1095 400040": "The network gives a score to each key, but then all keys are mixed into one answer, with the same weights whatever was asked.",
    "3 9": "The numbers of the network help to compute one score for each key. They do not see the day asked about.",
    "2 4 7 12 52": "Nothing in the forecasts follows the calendar: the day asked about is not among the network's inputs.",
    "0": "It does answer: a weighted average of all temperatures.",
}

NO_QUERY = Exercise(
    name="no_query",
    lesson=LESSON,
    title="How many forecasts?",
    kind="predict",
    minutes=2,
    difficulty=1,
    points=0,
    reference=answers_without_a_query,
    value=True,
    outputs={"how_many": ""},
    says="\n".join(f"{n} | {says}" for numbers, says in SAYS.items() for n in numbers.split()),
    wholes={n: int(n) for numbers in SAYS for n in numbers.split()},
    reread="section 6, An attention network",
    hint="Which inputs does step one use to compute a score? Is the day asked about among them?",
)
