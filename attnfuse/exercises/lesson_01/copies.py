"""Predict what copies of keys do."""

from attnfuse.checking import Exercise, properties
from attnfuse.exercises.lesson_01.shared import LESSON


def by_loops():
    """The record of the task: parts 3 and 1, values 10 and 20."""
    parts, values = (3.0, 1.0), (10.0, 20.0)

    def context(keys):
        total = sum(parts[key] for key in keys)
        return sum(parts[key] / total * values[key] for key in keys)

    return context([0, 0, 1, 1]), context([0, 1, 1])


def sketch(*, first=12.5, second=14.0):
    return first, second


COPIES = Exercise(
    name="copies",
    lesson=LESSON,
    title="The same day twice",
    kind="predict",
    minutes=5,
    difficulty=2,
    points=2,
    reference=by_loops,
    value=True,
    outputs={"prediction": "two"},
    properties=[properties.each_number("prediction")],
    sketch=sketch,
    says="""
    first: 25 | In the first you kept the old weights and added those of the copies. No average of 10 and 20 can exceed 20: divide by the new sum of the parts.
    first: 15 | In the first you weigh both days alike. The cold day is there twice as well: count the parts of all four entries.
    first: 6.25 | In the first your number is below both values. Each copy has as many parts as its original: count the parts of all four entries, and divide by their sum.
    first: 17.5 | In the first you have the two days' parts exchanged: the cold day has three.
    first: 14 | In the first, the cold day is there twice as well, not only the warm one.
    first: 11.43 | In the first, the warm day is there twice as well, not only the cold one.
    second: 12.5 | In the second, the copy does not share its day's part: its score is as high as the original's, so it has as many parts.
    second: 17.5 | In the second you kept the old weights and added that of the copy. Then they sum to more than 1: divide by the new sum of the parts.
    second: 15 | In the second you gave both days the same weight. Add up the parts of all three entries, and divide by that sum.
    second: 16.67 | In the second that is the plain average of three temperatures. The cold day has three parts, each copy of the warm one has one.
    second: 11.43 | In the second it is the *warm* day that is in the record twice.
    second: 16.25 | In the second, 16.25 is the average of the old context and 20. The copy is one entry among three, with one part of five.
    second: 16 | In the second you have the two days' parts exchanged.
    plain average | That is the average of the temperatures, without the weights. The cold day has three times as many parts as the warm one.
    the two swapped | You have the two in the other order: first everything twice, then the warm day twice.
    weights | Those are weights of the cold day. Asked are the contexts: weight × value, added up.
    weights of the warm day | Those are weights of the warm day. Asked are the contexts: weight × value, added up.
    """,
    choices={
        "first": {
            "first: 25": 25.0,
            "first: 15": 15.0,
            "first: 6.25": 6.25,
            "first: 17.5": 17.5,
            "first: 14": 14.0,
            "first: 11.43": 80 / 7,
        },
        "second": {
            "second: 12.5": 12.5,
            "second: 17.5": 17.5,
            "second: 15": 15.0,
            "second: 16.67": 50 / 3,
            "second: 11.43": 80 / 7,
            "second: 16.25": 16.25,
            "second: 16": 16.0,
        },
    },
    wholes={
        "plain average": (15.0, 50 / 3),
        "the two swapped": (14.0, 12.5),
        "weights": (0.75, 0.6),
        "weights of the warm day": (0.25, 0.4),
    },
    reread="section 4, Pooling",
    hint="Write the weights as parts, 3 : 1. A copy has the same score, so it gets the same part. Then divide by the new sum of the parts.",
    rtol=0.002,
)
