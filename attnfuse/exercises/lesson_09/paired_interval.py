"""A paired interval: is A really better than B?"""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property, properties


def by_loops(right_a, right_b):
    """The definition: one difference per item, then mean and standard error over the items."""
    seeds, B = right_a.shape
    gains = [
        sum(float(right_a[s][item]) - float(right_b[s][item]) for s in range(seeds)) / seeds
        for item in range(B)
    ]
    mean = sum(gains) / B
    margin = 1.96 * math.sqrt(sum((x - mean) ** 2 for x in gains) / (B - 1) / B)
    return mean - margin, mean + margin


def cases(rng):
    def case(seeds, B, twins, note):
        right_a = rng.random((seeds, B)) < rng.random(B)
        right_b = np.where(rng.random((seeds, B)) < twins, right_a, rng.random((seeds, B)) < 0.5)
        right_a[:, :5] = [True, False, False, False, True]
        right_a[0, 1] = True  # an item on which the seeds disagree
        right_b[:, :5] = [False, False, False, True, False]
        right_b[-1, [1, 4]] = right_b[0, 2] = True  # here A, there B; no seed of B is like another
        return Case({"right_a": right_a, "right_b": right_b}, note)

    a = np.array([[1, 1, 1, 0, 1], [1, 0, 1, 0, 1]], bool)
    b = np.array([[1, 0, 0, 0, 1], [1, 0, 1, 1, 1]], bool)
    return [
        Case({"right_a": a, "right_b": b}, "2 seeds, 5 items"),
        case(1, 12, 0.5, "1 seed"),
        case(3, 40, 0.8, "3 seeds, 40 items"),
        case(9, 6, 0.3, "more seeds than items"),
        Case({"right_a": b[:, ::-1].copy(), "right_b": a[:, ::-1].copy()}, "A is the worse one"),
        Case({"right_a": a, "right_b": a}, "both are right on the same items"),
    ]


def low_first(attempt, case, rng):
    low, high = attempt.result.values()
    if low > high:
        raise Mismatch(f"low, {low:.3g}, lies above high, {high:.3g}.")


def in_the_middle(attempt, case, rng):
    got, right = np.mean(list(attempt.result.values())), [x.mean() for x in case.inputs.values()]
    if not np.isclose(got, right[0] - right[1]):
        text = "The middle of your interval is not how much more often A is right."
        raise Mismatch(text, right[0] - right[1], got)


def sketch(
    right_a,
    right_b,
    *,
    items=lambda x: x.mean(axis=0),
    gain=lambda a, b: a - b,
    ddof=1,
    spread=lambda d, a, b, ddof: var(d, ddof) ** 0.5,
    over=lambda items, seeds: items**0.5,
    factor=1.96,
    give=lambda middle, margin: (middle - margin, middle + margin),
):
    a, b = items(right_a), items(right_b)
    d = gain(a, b)
    return give(d.mean(), factor * spread(d, a, b, ddof) / over(len(d), len(right_a)))


def var(x, ddof):
    return np.square(x - x.mean()).sum() / np.float64(len(x) - ddof)


def percentiles(right_a, right_b):
    return tuple(np.percentile(right_a.mean(axis=0) - right_b.mean(axis=0), (2.5, 97.5)))


PAIRED_INTERVAL = Exercise(
    name="paired_interval",
    lesson="09_fusion",
    title="Real, or noise?",
    kind="stretch",
    minutes=8,
    difficulty=2,
    points=0,
    reference=by_loops,
    cases=cases,
    outputs={"low": "", "high": ""},
    properties=[
        Property("low before high", low_first),
        Property("the middle", in_the_middle),
        properties.stays(
            "every seed twice",
            "Listing every seed twice moved `low`.",
            lambda inputs, rng: {name: np.repeat(x, 2, axis=0) for name, x in inputs.items()},
            "low",
        ),
        properties.stays(
            "order of the seeds",
            "Another order of A's seeds moved `low`.",
            lambda inputs, rng: {**inputs, "right_a": inputs["right_a"][::-1].copy()},
            "low",
        ),
    ],
    sketch=sketch,
    says="""
    the best seed wins | You compare the best seed of each model. The best of several is always flattering. Use all seeds: average each item's difference over them.
    the first seed only | Your interval depends on the first seed only. Use all of them: average each item's difference over axis 0.
    every seed counts as new items | Each item counts once for every seed, as if these were new items. Three models on 262 items have seen 262 items: average over the seeds first.
    over the seeds | Your interval says how far the seeds differ. It leaves out that another test set would hold other items.
    a sum over the seeds | An item's number is the *mean* over the seeds, between −1 and 1; yours is their sum.
    a majority vote | Each item counts by a vote among its seeds. Right with two of three seeds is two thirds: take the mean.
    bools cannot be subtracted | Are these bools that you subtract? NumPy does not subtract True and False. Make numbers first: `right_a.astype(float)`, or the mean over the seeds.
    B minus A | Your interval is for B − A. Asked for is how much more often *A* is right.
    differences without sign | An item on which B is better must count against A. Keep the sign of each item's difference.
    A alone | B takes no part in your interval.
    disagreements counted | You count the items on which A and B disagree. One on which B is right must count against A: keep the sign.
    std without ddof=1 | You divide the sum of squares by the number of values. Use `std(ddof=1)`, which divides by one less.
    unpaired | You treat the two models as if they had been tested on different items. Both saw the same ones: easy items are easy for both, and that cancels in the difference, item by item.
    the variance | You take the variance where the standard deviation belongs, its square root.
    not divided by the root | You do not divide by a root. The mean of B items varies less than a single one: divide by √B.
    divided by the number | You divide by the number of values; it is the square root of that number.
    divided by the root of the seeds | You divide by the root of the number of *seeds*. The mean is one over items: divide by √B.
    divided by the root of seeds and items | You divide by the root of seeds × items. The seeds have seen the same B items: divide by √B.
    divided by the root of one less | You divide by √(B − 1). The −1 belongs into the standard deviation (`ddof=1`) and nowhere else.
    no factor | The factor 1.96 is missing: a 95 % interval goes 1.96 standard errors each way.
    half the width | You take half of 1.96 standard errors each way. They go to *each* side.
    1.645 | Your factor is 1.645: that leaves out 5 % on each side. An interval of 95 % goes 1.96 standard errors.
    2 for 1.96 | Your factor is 2; the task says 1.96.
    high before low | Return (low, high): the mean minus the margin comes first.
    mean and margin | You return the mean and the margin. Asked for are the two ends, mean minus margin and mean plus margin.
    around 0 | Your interval has 0 in its middle. Its middle is the mean difference; whether 0 lies inside is the question.
    not two numbers | Two numbers are asked for, the lower and the upper end, and nothing beside them.
    percentiles of the items | These are percentiles of the items' differences: where 95 % of single items lie. Asked for is how well their *mean* is known: 1.96 standard errors on each side.
    """,
    choices={
        "items": {
            "the best seed wins": lambda x: 1.0 * x[x.mean(axis=1).argmax()],
            "the first seed only": lambda x: 1.0 * x[0],
            "every seed counts as new items": lambda x: 1.0 * x.ravel(),
            "over the seeds": lambda x: x.mean(axis=1),
            "a sum over the seeds": lambda x: 1.0 * x.sum(axis=0),
            "a majority vote": lambda x: 1.0 * (x.mean(axis=0) > 0.5),
            "bools cannot be subtracted": lambda x: x - x,
        },
        "gain": {
            "B minus A": lambda a, b: b - a,
            "differences without sign": lambda a, b: abs(a - b),
            "A alone": lambda a, b: a,
        },
        "ddof": {"std without ddof=1": 0},
        "spread": {
            "unpaired": lambda d, a, b, ddof: (var(a, ddof) + var(b, ddof)) ** 0.5,
            "the variance": lambda d, a, b, ddof: var(d, ddof),
        },
        "over": {
            "not divided by the root": lambda items, seeds: 1,
            "divided by the number": lambda items, seeds: items,
            "divided by the root of the seeds": lambda items, seeds: seeds**0.5,
            "divided by the root of seeds and items": lambda items, seeds: (items * seeds) ** 0.5,
            "divided by the root of one less": lambda items, seeds: (items - 1) ** 0.5,
        },
        "factor": {"no factor": 1, "half the width": 0.98, "1.645": 1.645, "2 for 1.96": 2},
        "give": {
            "high before low": lambda middle, margin: (middle + margin, middle - margin),
            "mean and margin": lambda middle, margin: (middle, margin),
            "around 0": lambda middle, margin: (-margin, margin),
            "not two numbers": lambda middle, margin: (middle - margin, middle, middle + margin),
        },
    },
    wholes={
        "percentiles of the items": percentiles,
        "disagreements counted": lambda right_a, right_b: sketch(right_a != right_b, 0 * right_b),
    },
    cancel=[("std without ddof=1", "divided by the root of one less")],
    own=["attnfuse.fusion.paired_interval"],
    reread="section 7",
    hint="First one number per item: the difference, averaged over the seeds. Then mean ± 1.96 · std(ddof=1) / √B.",
)
