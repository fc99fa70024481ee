"""Set a head by hand that looks a given number of words on."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise
from attnfuse.driving import lesson_04

SPEEDS = (1.0, 0.1)  # the first two of four hands, in radians a word


def right_word(steps, words):
    """All weight on the word `steps` places on, for every word that has one."""
    weights = np.zeros((words - abs(steps), words))
    for row in range(len(weights)):  # the first of them is word 0, or the first with one before it
        weights[row, row + max(steps, 0)] = 1.0
    return weights


def cases(rng):
    def case(steps, words):
        return Case({"steps": steps, "words": words}, f"steps = {steps}, {words} words")

    return [case(steps, words) for steps, words in ((1, 3), (2, 5), (-1, 4), (0, 12))] + [
        case(steps, 50) for steps in (3, -3, -2, 1)
    ]


def sketch(
    steps,
    words,
    *,
    turned=lambda steps: steps,
    length=lambda steps: 200.0,
    hands=(1.0, 1.0),
    sign=1,
):
    """The score of a key d words from the right one is a sum of cosines, one for each hand."""
    asked = np.arange(words) + steps
    rows = np.flatnonzero((asked >= 0) & (asked < words))
    off = np.arange(words) - rows[:, None] - turned(steps)  # (R, S)
    scores = sum(hand * np.cos(speed * off) for hand, speed in zip(hands, SPEEDS, strict=True))
    scores = sign * length(steps) * scores / math.sqrt(8)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


SET_HEAD = Exercise(
    name="set_head",
    lesson="04_multi_head_attention",
    title="Set a head",
    kind="stretch",
    minutes=8,
    difficulty=2,
    points=0,
    reference=right_word,
    cases=cases,
    outputs={"weights": "R S"},
    run=lesson_04.set_head,
    sketch=sketch,
    says="""
    turned the other way | Your head looks as many places *back* as it should look on. A query turned by t asks as if it stood t places further on.
    not turned | Your words look at themselves, whatever `steps` is. Turn the query by `steps` places.
    always the next word | Your words look at the next word, whatever `steps` is. Turn the query by `steps` places.
    a quarter turn off | Your head misses by more than a place: the hands are turned by something else than `steps` places, or start at a quarter turn. Turn `[1, 0, 1, 0, 0, 0, 0, 0]`, by `attention.rotary`.
    too short | The right word has the largest weight, and too little of it: the scores lie too near to one another. A longer query makes larger differences.
    first hand alone | You ask with the first hand alone. It is round in 2π words, so 44 words off it has been round seven times and looks as right. The second hand, ten times slower, tells these apart.
    second hand alone | You ask with the second hand alone. It turns by a tenth of a radian a word: the neighbours look nearly as right. The first hand tells these apart.
    longer for more steps | You multiply by `steps`. The steps are a *turn*; the length is the same for all.
    sign turned round | Your query points away from what it should find: it likes the right word least.
    """,
    choices={
        "turned": {
            "turned the other way": lambda steps: -steps,
            "not turned": lambda steps: 0,
            "always the next word": lambda steps: 1,
            "a quarter turn off": lambda steps: steps + math.pi / 2,
        },
        "length": {
            "too short": lambda steps: 10.0,
            "longer for more steps": lambda steps: 100.0 * steps,
        },
        "hands": {"first hand alone": (1.0, 0.0), "second hand alone": (0.0, 1.0)},
        "sign": {"sign turned round": -1},
    },
    reread="sections 8 and 9",
    hint="Turn the row `[1, 0, 1, 0, 0, 0, 0, 0]` by `steps` places with `attention.rotary`, and make it long: softmax needs scores that lie apart.",
    rtol=0,
    atol=0.1,
)
