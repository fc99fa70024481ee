"""Finish it: two blanks in a pool."""

import numpy as np

from attnfuse.checking import Case, Exercise, properties
from attnfuse.exercises.common import softmax
from attnfuse.exercises.lesson_01.shared import GIVE, LESSON, MIX, SAYS, WEIGH, mixed_by_its_weights
from attnfuse.exercises.lesson_01.softmax import by_loops as softmax_by_loops


def by_loops(scores, value):
    weights = softmax_by_loops(scores)
    T, S = weights.shape
    context = np.zeros(T)
    for t in range(T):
        for s in range(S):
            context[t] += weights[t, s] * float(value[s])
    return context, weights


def cases(rng):
    def case(T, S, note, spread=1.0, shift=0.0):
        scores = spread * rng.normal(size=(T, S)) + shift
        return Case({"scores": scores, "value": rng.normal(15, 7, S)}, note)

    apart = np.add.outer([1000, 0, -3000], [2000, 0, 0, 0])
    return [
        case(1, 2, "one query, two keys"),
        case(3, 1, "one key"),
        case(2, 3, "two queries, three keys"),
        case(4, 6, "scores hundreds apart", spread=300),
        case(3, 4, "scores and rows thousands apart", shift=apart),
        case(5, 3, "more queries than keys"),
    ]


def sketch(
    scores,
    value,
    *,
    weigh=softmax,
    mix=lambda weights, value, scores: weights @ value,
    give=lambda context, weights: (context, weights),
):
    weights = weigh(scores, np.ones_like(scores, bool))
    return give(mix(weights, value, scores), weights)


POOL = Exercise(
    name="pool",
    lesson=LESSON,
    title="Two blanks in a pool",
    kind="finish",
    minutes=3,
    difficulty=1,
    points=0,
    reference=by_loops,
    cases=cases,
    outputs={"context": "T", "weights": "T S"},
    properties=[
        properties.finite(),
        properties.not_negative(),
        properties.rows_sum_to_one(),
        mixed_by_its_weights(),
    ],
    sketch=sketch,
    says=SAYS
    + """
    shifted exponentials as weights | Your weights are the exponentials of the scores. Divide each row by its sum.
    no exponential | You divide the scores by their sum, without an exponential. Scores may be negative; the weights of a softmax never are.
    softmax twice | You take the softmax twice. The first one's weights are the weights.
    scaled | You divide the scores by √S first. Here they go into the softmax as they are.
    """,
    choices={
        "weigh": WEIGH
        | {
            "shifted exponentials as weights": lambda s, mask: np.exp(s - s.max(1, keepdims=True)),
            "no exponential": lambda scores, mask: scores / scores.sum(axis=1, keepdims=True),
            "softmax twice": lambda scores, mask: softmax(softmax(scores)),
            "scaled": lambda scores, mask: softmax(scores / scores.shape[1] ** 0.5),
        },
        "mix": MIX,
        "give": GIVE,
    },
    own=["attnfuse.attention.attention_pooling"],
    reread="section 4, Pooling",
    hint="Blank 1: the softmax of each row of scores. Blank 2: `@` multiplies a (T, S) array with an (S,) array and sums over S.",
)
