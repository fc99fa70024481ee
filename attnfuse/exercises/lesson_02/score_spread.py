"""Predict how far scores spread."""

import math

from attnfuse.checking import Exercise, properties

WIDTH = 64


def spread_of_sum(size: float, terms: int) -> float:
    """Standard deviation of a sum of `terms` fair coins that show +size or -size, all outcomes counted."""
    return math.sqrt(
        sum(
            math.comb(terms, heads) / 2**terms * (size * (2 * heads - terms)) ** 2
            for heads in range(terms + 1)
        )
    )


def spreads():
    """Components are fair coins ±1 (mean 0, variance 1), so that every product is a coin, too."""
    independent = spread_of_sum(1, WIDTH)
    twice_as_wide = spread_of_sum(2 * 2, WIDTH)
    all_the_same = spread_of_sum(WIDTH, 1)  # 64 equal products: one coin that counts 64 times
    return independent, twice_as_wide, all_the_same


def sketch(*, first=8, second=32, third=64):
    return first, second, third


SCORE_SPREAD = Exercise(
    name="score_spread",
    lesson="02_scaled_dot_product",
    title="How far do scores spread?",
    kind="predict",
    minutes=6,
    difficulty=2,
    points=2,
    reference=spreads,
    value=True,
    outputs={"spread": "three"},
    properties=[properties.each_number("spread")],
    sketch=sketch,
    says="""
    first: variance | 64 is a variance. The spread asked for is the standard deviation, its root.
    first: one product | 1 is the spread of one of the 64 products, or of q·k/√64.
    second: one side stretched | In the second, query *and* key are stretched: each product is 2 × 2 = 4 times as large, and so is their sum.
    second: not stretched | In the second, each product is 2 × 2 = 4 times as large, and so is their sum.
    second: the variance's factor | In the second, the *variance* of a product grows 16 times; its spread grows 4 times.
    second: variance | 1,024 is a variance. The spread asked for is the standard deviation, its root.
    second: spreads added | 256 is 64 spreads of 4 added up. For independent terms the *variances* add up: signs differ and partly cancel.
    second: one product | 4 is the spread of one product in the second, or of q·k/√64.
    third: dependence ignored | In the third all 64 products are the same number, so nothing cancels: the sum is 64 times one of them.
    third: variance | 4,096 is a variance. The spread asked for is the standard deviation, its root.
    third: 64 times the first | The sum in the third is 64 times *one product*, whose spread is 1, and not 64 times the first sum.
    third: one product | In the third, q·k adds the same product up 64 times. 1 is the spread of one of them.
    variances | Those are variances. The spread asked for is the standard deviation, their square root.
    spreads add up | You let the spreads of 64 terms add up. For independent terms the *variances* add up (signs differ and partly cancel): 64 terms of spread 1 have spread √64.
    spreads add up, one side stretched | You let the spreads of 64 terms add up. For independent terms the *variances* add up: 64 terms of spread 1 have spread √64. And in the second each product is 2 × 2 = 4 times as large.
    divided already | You divided by √64 already. The spread of q·k itself is asked for.
    """,
    choices={
        "first": {
            "first: variance": 64,
            "first: one product": 1,
        },
        "second": {
            "second: one side stretched": 16,
            "second: not stretched": 8,
            "second: the variance's factor": 128,
            "second: variance": 1024,
            "second: spreads added": 256,
            "second: one product": 4,
        },
        "third": {
            "third: dependence ignored": 8,
            "third: variance": 4096,
            "third: 64 times the first": 512,
            "third: one product": 1,
        },
    },
    wholes={
        "variances": (64, 1024, 4096),
        "spreads add up": (64, 256, 64),
        "spreads add up, one side stretched": (64, 128, 64),
        "divided already": (1, 4, 8),
    },
    reread="section 4",
    hint="A score is a sum of 64 products, and two independent numbers of mean 0 have a product whose spread is the product of their spreads. Independent terms: add their variances, then take the root. Equal terms: the sum is 64 times one of them.",
    rtol=0.03,
)
