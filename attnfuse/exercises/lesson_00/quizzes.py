"""Questions of lesson 00."""

import numpy as np

from attnfuse.checking import Quiz
from attnfuse.exercises.lesson_00.weighted_average import by_loop


def _effect_of_doubling() -> int:
    value, parts = np.array([21.0, 23.0, 12.0]), np.array([2.0, 1.0, 1.0])
    before, after = by_loop(value, parts), by_loop(value, 2 * parts)
    return [np.isclose(after, 2 * before), np.isclose(after, before)].index(True)


OPTIONS = {
    "It doubles.": "Parts × value doubles, and so does the sum you divide by.",
    "Nothing.": "(2 × parts × value, added up) / (2 × parts, added up): the 2 stands above and below the line and cancels.",
    "It moves towards the plain average.": "The weights stay what they were: parts divided by all parts.",
}
QUIZZES = [
    Quiz(
        id="00-doubling",
        question="You double the parts of every value. What happens to the weighted average?",
        options=OPTIONS,
        answer=_effect_of_doubling,
    )
]
