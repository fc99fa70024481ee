"""Predict how often a blind map hits."""

import numpy as np

from attnfuse.checking import Exercise


def chance_of_pointing():
    """How many of the 36 middles lie in a box, averaged over all boxes."""
    middles = 4 * np.arange(6) + 2
    inside = [np.sum((top <= middles) & (middles < top + 8)) for top in range(24 - 8 + 1)]
    return float(np.mean(np.outer(inside, inside)) / 36)


def sketch(*, hits=4, of=36, form=lambda share: share):
    return form(hits / of)


POINTING_BY_CHANCE = Exercise(
    name="pointing_by_chance",
    lesson="08_image_attention",
    title="Pointing by chance",
    kind="predict",
    minutes=3,
    difficulty=1,
    points=0,
    reference=chance_of_pointing,
    value=True,
    rtol=0.02,
    sketch=sketch,
    says="""
    one place in 36 | 1/36 is the chance to hit one certain place. The box holds several middles: count them.
    two places | You count 2 places. There are 2 rows *and* 2 columns whose middles lie in the box: how many places?
    three in one direction | You count 6 places. One direction first: how many of the middles lie in 8 pixels, the far edge not counted? It is the same in both.
    three in each direction | You count 3 middles in each direction. Middles are 4 pixels apart, and the far edge does not belong to the box.
    one direction | That is the share in *one* direction. Row and column must both fit.
    one of 24 × 24 | You count pixels, 24 × 24 of them. A map points at one of 36 places.
    box positions | 17 × 17 is the number of places for a *box*. The box is given; what is drawn is one of 36 middles.
    percent | Asked was a share, between 0 and 1, not percent.
    a count | That is a number of places. Asked was their share of all 36.
    misses | That is the share that misses. Asked was the share that hits.
    odds | You divide hits by misses. A share is hits by all: divide by all 36 places (or all pixels).
    one of 17 × 17 | That is one of the 17 × 17 places where a box may lie. A map points at one of 36 places.
    one class in ten | 1/10 is the chance to guess the *class*. Here a place is guessed.
    one in two | In the box or not are two cases, but not equally likely ones.
    doubled | You double the share of one direction. Row *and* column must fit: the shares are multiplied.
    squared twice | You square once too often: once for the two directions is enough.
    """,
    choices={
        "hits": {
            "one place in 36": 1,
            "two places": 2,
            "three in one direction": 6,
            "three in each direction": 9,
            "one direction": 12,
            "box positions": 64,
        },
        "of": {"box positions": 289},
        "form": {
            "percent": lambda share: 100 * share,
            "a count": lambda share: 36 * share,
            "misses": lambda share: 1 - share,
            "odds": lambda share: share / (1 - share),
        },
    },
    wholes={
        "one of 24 × 24": 1 / 576,
        "one of 17 × 17": 1 / 289,
        "one class in ten": 1 / 10,
        "one in two": 1 / 2,
        "doubled": 2 / 3,
        "squared twice": 1 / 81,
    },
    together={
        (
            "one direction",
            "misses",
        ): "You double the share of one direction, or take what misses in one. Row *and* column must fit: the shares are multiplied.",
    },
    reread="section 6",
    hint="Middles stand at pixels 2, 6, 10, … How many of them does an interval of 8 pixels hold?",
)
