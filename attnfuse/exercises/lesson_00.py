"""Lesson 00: one tiny exercise, to see how a check works."""

import numpy as np

from attnfuse.checking import Case, Exercise, Misconception, Mismatch, Option, Property, Quiz

LESSON = "00_start_here"


def weighted_average_by_loop(value, weights):
    total = mixture = 0.0
    for x, weight in zip(value, weights, strict=True):
        total += weight
        mixture += weight * x
    return mixture / total


def _cases(rng):
    def case(n, note=""):
        return Case({"value": rng.normal(15, 5, n), "weights": rng.uniform(0.5, 3, n)}, note)

    huge = Case(
        {"value": rng.normal(15, 5, 3), "weights": rng.uniform(1e6, 2e6, 3)}, "huge weights"
    )
    return [case(1, "one value"), case(2), case(3), case(7), huge]


def _between(attempt, case, rng):
    result, value = attempt.result["average"], case.inputs["value"]
    if not value.min() - 1e-9 <= result <= value.max() + 1e-9:
        raise Mismatch(
            f"An average lies between the smallest value, {value.min():.4g}, and the largest, "
            f"{value.max():.4g}.",
            got=result,
        )


def _scale(attempt, case, rng):
    doubled = attempt(**{**case.inputs, "weights": 2 * case.inputs["weights"]})["average"]
    if not np.isclose(doubled, attempt.result["average"]):
        raise Mismatch(
            "Doubling every weight must change nothing.", attempt.result["average"], doubled
        )


def _effect_of_doubling() -> int:
    value, weights = np.array([21.0, 23.0, 12.0]), np.array([2.0, 1.0, 1.0])
    before = weighted_average_by_loop(value, weights)
    after = weighted_average_by_loop(value, 2 * weights)
    return [np.isclose(after, 2 * before), np.isclose(after, before)].index(True)


EXERCISES = [
    Exercise(
        name="weighted_average",
        lesson=LESSON,
        title="A weighted average",
        kind="write",
        minutes=5,
        difficulty=1,
        points=2,
        reference=weighted_average_by_loop,
        cases=_cases,
        outputs={"average": ""},
        properties=[
            Property("the result lies between the values", _between),
            Property("only the ratio of the weights counts", _scale),
        ],
        misconceptions=[
            Misconception(
                "plain mean",
                "Every value counts the same in your average: the weights are not used.",
                lambda value, weights: value.mean(),
            ),
            Misconception(
                "not divided",
                "You add up weight × value, and stop there. Divide by the sum of the weights, "
                "or the result grows with them.",
                lambda value, weights: (value * weights).sum(),
            ),
            Misconception(
                "divided by the number",
                "You divide by the number of values. Divide by the sum of the weights: a value "
                "with weight 2 counts as two values.",
                lambda value, weights: (value * weights).mean(),
            ),
            Misconception(
                "largest weight wins",
                "You return the value with the largest weight. The others count too, each as much "
                "as its weight says.",
                lambda value, weights: value[np.argmax(weights)],
            ),
            Misconception(
                "multiplied by the sum",
                "You multiply by the sum of the weights; divide by it.",
                lambda value, weights: (value * weights).sum() * weights.sum(),
            ),
        ],
        reread="section 2",
        hint="Multiply value by weights, add up, and divide by the sum of the weights.",
    )
]
QUIZZES = [
    Quiz(
        id="00-doubling",
        question="You double every weight. What happens to the weighted average?",
        options=[
            Option("It doubles.", "weight × value doubles, and so does the sum you divide by."),
            Option(
                "Nothing.", "The 2 stands above and below the line and cancels: only ratios count."
            ),
            Option(
                "It moves towards the plain average.", "The ratios of the weights are the same."
            ),
        ],
        answer=_effect_of_doubling,
    )
]
