"""Questions of lesson 00."""

import numpy as np

from attnfuse.checking import Quiz
from attnfuse.exercises.lesson_00.weighted_average import by_loop


def _effect_of_doubling() -> int:
    value, weights = np.array([21.0, 23.0, 12.0]), np.array([2.0, 1.0, 1.0])
    before, after = by_loop(value, weights), by_loop(value, 2 * weights)
    return [np.isclose(after, 2 * before), np.isclose(after, before)].index(True)


OPTIONS = {
    "It doubles.": "weight × value doubles, and so does the sum you divide by.",
    "Nothing.": "The 2 stands above and below the line and cancels: only ratios count.",
    "It moves towards the plain average.": "The ratios of the weights are the same.",
}
QUIZZES = [
    Quiz(
        id="00-doubling",
        question="You double every weight. What happens to the weighted average?",
        options=OPTIONS,
        answer=_effect_of_doubling,
    )
]
