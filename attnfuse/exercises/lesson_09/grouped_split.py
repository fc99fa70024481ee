"""Near-twins: deal whole families to training and test."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property


def cases(rng):
    def case(sizes, share, note, first=1000):
        base = np.repeat(first + 3 * np.arange(len(sizes)), sizes)
        base = base if "side by side" in note else rng.permutation(base)
        return Case({"base": base, "share": share, "seed": int(rng.integers(1000))}, note)

    return [
        Case({"base": np.repeat([4, 7, 9, 2], 2), "share": 0.25, "seed": 1}, "4 bases of 2"),
        case([1] * 40, 0.25, "40 bases of 1"),
        case([4] * 32, 0.25, "32 bases of 4, side by side"),
        case(rng.integers(3, 8, 60), 0.3, "60 bases of 3 to 7, in any order", first=0),
        case([30, *[3] * 40], 0.25, "one base has ten times as many rows as the others"),
        case([6] * 40, 0.9, "a share of 0.9"),
    ]


def as_rows(base, train, test):
    """What both parts are (rows, masks, bases or other), and both as arrays of row numbers."""
    parts = [np.asarray(part) for part in (train, test)]
    if all(part.dtype == bool and part.shape == base.shape for part in parts):
        return "masks", *map(np.flatnonzero, parts)
    parts = [part if part.size else part.astype(int) for part in parts]
    if any(part.ndim != 1 or part.dtype.kind not in "iu" for part in parts):
        return "other", None, None
    both = np.concatenate(parts)
    if np.array_equal(np.unique(both), np.unique(base)):
        return "bases", *(np.flatnonzero(np.isin(base, part)) for part in parts)
    inside = not both.size or (both.min() >= 0 and both.max() < len(base))
    return "rows" if inside else "other", *parts


def splits(attempt, case):
    """What is dealt by the case's seed, by the same again, and by four others."""
    base, seed = case.inputs["base"], case.inputs["seed"]
    others = [attempt(**{**case.inputs, "seed": seed + i}) for i in range(5)]
    return [as_rows(base, **result) for result in (attempt.result, *others)]


def always(name, text, right):
    """A property that the split of every seed must have: `right(base, share, train, test)`."""

    def test(attempt, case, rng):
        base, share, seed = case.inputs.values()
        for i, (kind, train, test) in enumerate(splits(attempt, case)):
            if kind != "rows" or not right(base, share, train, test):
                inputs = {**case.inputs, "seed": seed + max(i - 1, 0)}
                raise Mismatch(text, got=test, labels=("", "your test"), inputs=inputs)

    return Property(name, test)


def about(share, bases):
    """The numbers of bases that are a share of them, rounded up or down."""
    return math.floor(share * bases + 1e-9), math.ceil(share * bases - 1e-9)


def seeds_count(attempt, case, rng):
    first, *others = (set(test) for _, _, test in splits(attempt, case))
    if first != others[0]:
        raise Mismatch("The same seed dealt other bases the second time.")
    if len(np.unique(case.inputs["base"])) > 20 and first in others[1:]:
        raise Mismatch("Another seed must deal other bases.")


def seen(attempt, case):
    """What is true of the splits of all six calls: the same for two answers of one kind."""
    base, share, _ = case.inputs.values()
    bases, family = np.unique(base, return_inverse=True)
    if len(bases) < 20:  # there chance says more than the kind
        return {}
    kinds, *parts = zip(*splits(attempt, case), strict=True)
    if "other" in kinds:
        return {"facts": "no row numbers"}
    counts = [np.array([np.bincount(family[x], minlength=len(bases)) for x in p]) for p in parts]
    (train, test), size, held = counts, np.bincount(family), counts[1] > 0
    torn = (held & (train > 0)).sum(axis=1).max()
    facts = [
        kinds[0],
        (train + test < size).any(),
        (train + test > size).any(),
        (train >= size).all(),
        min(torn, 2),
        [part.max() == 1 for part in counts],
        np.array_equal(test[0], test[1]),
        (test == test[0]).all(),
        (held[:, :-1] >= held[:, 1:]).all(),  # the smallest numbers
        held[:, bases >= len(bases)].any(),
        "" if torn else amount(held.sum(axis=1), share, len(bases)),
    ]
    return {"facts": str(facts)}


def amount(held, share, bases):
    """How many bases the test part holds, in a word."""
    for word, part in {"share": share, "rest": 1 - share, "none": 0, "all": 1}.items():
        if np.isin(held, about(part, bases)).all():
            return word
    far = held.mean() / share / bases
    if share < 0.5:  # a smaller part says less
        return "far more" if far > 1.5 else "off"
    return "far fewer" if far < 0.8 else "off, always by as much" if np.ptp(held) == 0 else "off"


def sketch(
    base,
    share,
    seed,
    *,
    divide=lambda base: (base, np.unique(base)),
    generator=np.random.default_rng,
    count=lambda units, family: len(units),
    draw=lambda rng, units, k: rng.permutation(units)[:k],
    take=np.isin,
    rest=np.logical_not,
    give=lambda base, part: np.flatnonzero(part),
    order=(0, 1),
):
    """One right answer: shuffle the bases, deal the first ones to the test, whole."""
    family, units = divide(base)
    chosen = draw(generator(seed), units, round(share * count(units, family)))
    test = take(family, chosen)
    parts = [give(base, part) for part in (rest(test), test)]
    return parts[order[0]], parts[order[1]]


def single(base):
    return np.arange(len(base)), np.arange(len(base))


def runs(base):
    family = np.cumsum(np.diff(base, prepend=base[0]) != 0)
    return family, np.unique(family)


def until_full(base, share, seed):
    shuffled = np.random.default_rng(seed).permutation(np.unique(base))
    size = np.array([(base == b).sum() for b in shuffled])
    chosen = shuffled[size.cumsum() - size < share * len(base)]
    return sketch(base, share, seed, draw=lambda *_: chosen)


def first_row(family, chosen):
    first = np.unique(family, return_index=True)[1]
    return np.isin(np.arange(len(family)), first) & np.isin(family, chosen)


def cut_among_rows(base, share, seed):
    shuffled = np.random.default_rng(seed).permutation(np.unique(base))
    order = np.concatenate([np.flatnonzero(base == b) for b in shuffled])
    return np.split(order, [round(share * len(base))])[::-1]


def twins_lost(base, share, seed):
    train, test = sketch(base, share, seed, divide=single)
    return train[~np.isin(base[train], base[test])], test


def twins_added(base, share, seed):
    train, test = sketch(base, share, seed, divide=single)
    return train, np.flatnonzero(np.isin(base, base[test]))


def one_a_base(base, share, seed):
    first = np.unique(base, return_index=True)[1]
    return [np.intersect1d(part, first) for part in sketch(base, share, seed)]


GROUPED_SPLIT = Exercise(
    name="grouped_split",
    lesson="09_fusion",
    title="Near-twins",
    kind="bug",
    minutes=8,
    difficulty=1,
    points=2,
    reference=sketch,
    cases=cases,
    outputs={"train": "rows", "test": "rows"},
    properties=[
        always(
            "row numbers",
            "Return two arrays of row numbers, from 0 to len(base) - 1.",
            lambda *_: True,
        ),
        always(
            "every row once",
            "Every row must be in exactly one of the two parts.",
            lambda base, share, train, test: sorted([*train, *test]) == list(range(len(base))),
        ),
        always(
            "near-twins together",
            "Near-twins, rows with the same number in `base`, are on both sides.",
            lambda base, share, train, test: not set(base[train]) & set(base[test]),
        ),
        always(
            "share of the bases",
            "The test part must hold `share` of the bases, rounded up or down.",
            lambda base, share, train, test: len(set(base[test])) in about(share, len(set(base))),
        ),
        Property("the seed decides", seeds_count),
    ],
    seen=seen,
    sketch=sketch,
    says="""
    near-twins are harmless | You deal single emoji. A running man lands in training and the running woman in the test, and the test then rewards remembering. Deal whole bases: shuffle `np.unique(base)`, not the rows.
    near-twins stand side by side | Near-twins are kept together only where they stand side by side. They may stand anywhere: ask with `np.isin(base, …)` which rows belong to the bases of a part.
    bases are numbered from 0 | A base whose number is as large as the number of bases, or larger, never reaches the test part. The numbers in `base` may have gaps: deal `np.unique(base)`, not `range(number of bases)`.
    the bases of random rows | Where bases are large, far too many of them are dealt to the test part. A base must be in the draw once, however many rows it has: shuffle `np.unique(base)`.
    bases in their order | Every seed deals the same bases here, those with the smallest numbers. Unshuffled, they are sorted by class, and the test would hold two or three classes only. Shuffle them, with `default_rng(seed)`.
    the seed is ignored | Every seed deals the same bases. Shuffle them with `np.random.default_rng(seed)`.
    no seed at all | The same seed deals other bases the second time. Shuffle them with `np.random.default_rng(seed)`, so that a split can be repeated.
    a share of the rows | All bases land in the test part where they are large. The cut must come after `share` times the number of *bases*: rows are several times as many.
    until the rows are full | The test part has its share where all bases are equally large, and not where they differ. What counts is the number of *bases*: deal `round(share * number of bases)` of them, whatever their sizes.
    drawn with replacement | Too few different bases reach the test part, and with a large share far too few: that is what happens when a base can be drawn twice. A permutation, cut in two, has each of them once.
    a coin for each base | How many bases are dealt must not be left to chance: it is `share` times their number, rounded. Shuffle them and cut there.
    one row for each chosen base | The test part gets one emoji of each base that it is dealt. Its near-twins belong there, too.
    training keeps everything | Your training part holds every row, the test's among them. Training is what the test leaves.
    train and test swapped | `share` is the share of the *test* part, and the test part is returned second.
    bases instead of rows | You return the numbers of the bases. Asked for are the numbers of the *rows* with these bases: `np.flatnonzero(np.isin(base, …))`.
    masks instead of rows | You return True and False for each row. Asked for are row numbers: `np.flatnonzero(mask)`.
    a cut inside a base | One base is torn in two: the cut falls among its rows. Cut the list of shuffled *bases*; the rows follow.
    one emoji per base | You keep one emoji of each base and lose the others. Nothing needs to be thrown away: near-twins may stay, together on one side.
    twins taken out of training | Near-twins of test rows are thrown away: they are in neither part. Every row is to be kept; deal whole bases, not rows.
    twins added to the test | The near-twins of test rows are in the test part, and some of them in training as well. Deal whole bases from the start; then each row has one side.
    """,
    choices={
        "divide": {
            "near-twins are harmless": single,
            "near-twins stand side by side": runs,
            "bases are numbered from 0": lambda base: (base, np.arange(len(np.unique(base)))),
            "the bases of random rows": lambda base: (base, base),
        },
        "count": {"a share of the rows": lambda units, family: len(family)},
        "draw": {
            "bases in their order": lambda rng, units, k: units[:k],
            "drawn with replacement": lambda rng, units, k: rng.choice(units, k),
            "a coin for each base": lambda rng, units, k: units[
                rng.random(len(units)) < k / len(units)
            ],
        },
        "generator": {
            "the seed is ignored": lambda seed: np.random.default_rng(0),
            "no seed at all": lambda seed: np.random.default_rng(),
        },
        "take": {"one row for each chosen base": first_row},
        "rest": {"training keeps everything": np.ones_like},
        "order": {"train and test swapped": (1, 0)},
        "give": {
            "bases instead of rows": lambda base, part: np.unique(base[part]),
            "masks instead of rows": lambda base, part: part,
        },
    },
    wholes={
        "until the rows are full": until_full,
        "a cut inside a base": cut_among_rows,
        "one emoji per base": one_a_base,
        "twins taken out of training": twins_lost,
        "twins added to the test": twins_added,
    },
    own=["attnfuse.data.emoji.split_by_base"],
    reread="section 2",
    hint="np.unique(base) lists every base once. Shuffle that list, cut it, then ask with np.isin which rows belong "
    "to the bases of each piece.",
)
