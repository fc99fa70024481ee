"""Find the bug: days apart on a circle."""

from functools import lru_cache

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property, properties
from attnfuse.checking.show import same
from attnfuse.exercises.lesson_01.shared import LESSON

YEAR = 365
EVERY_DAY = np.arange(1, 367)


def by_loops(query, key):
    return np.array(_apart(tuple(query.tolist()), tuple(key.tolist())), dtype=float)


@lru_cache
def _apart(query, key):
    return [[min((q - k) % YEAR, (k - q) % YEAR) for k in key] for q in query]


def cases(rng):
    def case(query, key, note):
        return Case({"query": np.array(query), "key": np.array(key)}, note)

    def days(count, first=1, last=366):
        return rng.integers(first, last + 1, count)

    return [
        case([365], [1], "asked on 31 December"),
        case([1], [365], "asked on 1 January"),
        case([100], [90, 100, 120], "spring"),
        case([1, 184, 200], [183, 366, 1, 17, 18], "182 and 183 days apart"),
        case([366, 1, 365], [366, 1, 365, 2, 183], "day 366"),
        case(days(3, 1, 60), days(5, 300, 365), "winter, keys in autumn"),
        case(days(5, 300, 365), days(3, 1, 60), "autumn, keys in winter"),
        case(days(6), days(9), "days of all year"),
    ]


def sketch(
    query,
    key,
    *,
    place=lambda day: day,
    gap=np.subtract.outer,
    year=YEAR,
    way=lambda gap, year: np.minimum(abs(gap), year - abs(gap)),
    finish=lambda apart: apart,
):
    return finish(way(gap(place(query), place(key)), year))


def one_by_one(query, key):
    return np.array([q - k for q, k in zip(query, key, strict=False)])


def _at_most_half_a_year(attempt, case, rng):
    apart = attempt.result["apart"]
    if (apart > YEAR / 2).any():
        raise Mismatch("No two days are more than half a year apart.", got=apart)


def _both_ways_alike(attempt, case, rng):
    there = attempt.result["apart"]
    back = attempt(query=case.inputs["key"], key=case.inputs["query"])["apart"]
    if not same(there.T, back, 1e-6, 1e-8):
        text = "Swap queries and keys: the way back must be as long as the way there."
        raise Mismatch(text, there.T, back, labels=("there", "back"))


def _every_pair(attempt, case, rng):
    """All 366 × 366 pairs of days, once for each answer."""
    if case.note != "days of all year":
        return
    right = by_loops(EVERY_DAY, EVERY_DAY)
    apart = np.asarray(attempt(query=EVERY_DAY, key=EVERY_DAY)["apart"])
    if apart.shape != right.shape:
        raise Mismatch(f"For all 366 × 366 pairs of days the shape is {apart.shape}.")
    wrong = np.argwhere(~np.isclose(apart, right, 1e-6, 1e-8))
    if len(wrong):
        t, s = wrong[0]
        raise Mismatch(
            f"Of all 366 × 366 pairs of days, {len(wrong)} are not right. One of them: day {t + 1} and day {s + 1} are {right[t, s]:g} apart, yours {apart[t, s]:g}."
        )


DAYS_APART = Exercise(
    name="days_apart",
    lesson=LESSON,
    title="Days on a circle",
    kind="bug",
    minutes=6,
    difficulty=1,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"apart": "T S"},
    properties=[
        properties.finite(),
        properties.not_negative("apart"),
        Property("at most half a year", _at_most_half_a_year),
        Property("as far back as there", _both_ways_alike),
        Property("every pair of days", _every_pair),
    ],
    sketch=sketch,
    says="""
    the program as it was | That is what the broken program does: it goes round New Year in one direction only. A December query is 364 days from a January key.
    round in the other direction only | Now December queries are right and January queries are wrong: 1 January is 364 days from 31 December. Both directions are needed at once.
    days on a line | You measure along a line: 31 December is 364 days from 1 January. On a circle there is a second way, 365 minus the first; take the shorter.
    signed days on a line | You return plain differences. A distance has no sign, and on a circle there is a second way, 365 minus the first; take the shorter.
    forwards only | You always go from the key forwards to the query, even when that takes 364 days. Compare with the way backwards and take the shorter.
    backwards only | You always go from the query forwards to the key, even when that takes 364 days. Compare with the other way and take the shorter.
    the longer way | You take the longer of the two ways round. The nearer one counts.
    always round New Year | You always go the other way round, 365 minus the gap, even to a neighbour. Take the shorter of both ways.
    a sign left over | Some of your distances come out negative: a key ten days ahead must be as far as one ten days behind. Take the absolute value *before* you look for the way round.
    a sign left over, near | Some of your distances come out negative: a key ten days ahead must be as far as one ten days behind. Take the absolute value *before* you look for the way round.
    one number at a time | Python's `min` and `if` take one number, not a table of them: `np.minimum` and `np.where` go through (T, S) place by place.
    half a year taken as 183 | You count half a year as 183 days, so that a gap of 182 days comes out as 183.
    which side | The size is right, but keys after the query come out negative: no sign in a distance.
    cut off at 182 | You cut long distances off. A key 200 days ahead is 165 days behind: the way back is 365 minus the way there.
    cut off at 182.5 | You cut long distances off. A key 200 days ahead is 165 days behind: the way back is 365 minus the way there.
    remainder by 182 | A remainder starts again at 0 after half a year: a key 200 days away comes out next door. The way back is 365 minus the way there.
    remainder by 183 | A remainder starts again at 0 after half a year: a key 200 days away comes out next door. The way back is 365 minus the way there.
    turned too late | You go the other way round only from a gap of 184 days on. 183 days one way are 182 the other.
    turned too early | You go the other way round from a gap of 182 days on. That makes 183 of it.
    below 0 beyond half a year | The way round is 365 minus the gap, not the gap minus 365: that is negative, and so always the smaller one.
    a circle of 366 | Your circle has not 365 days. The way back is 365 minus the way there: 31 December and 1 January are one day apart.
    a circle of 364 | Your circle has not 365 days. The way back is 365 minus the way there: 31 December and 1 January are one day apart.
    a circle of 360 | Your circle has not 365 days. The way back is 365 minus the way there: 31 December and 1 January are one day apart.
    day 366 at the place of day 365 | You put day 366 at the place of day 365. It lies at the place of day 1, one day further.
    query by query | You compare the first query with the first key, the second with the second … Asked is each query with each key, (T, S): `query[:, None] - key[None, :]`.
    pair by pair | You compare the first query with the first key, the second with the second … Asked is each query with each key, (T, S): `query[:, None] - key[None, :]`.
    rows and columns swapped | Rows belong to queries and columns to keys: the shape is (T, S).
    both ends counted | You add 1: both ends are counted. A day is 0 days from itself.
    squared | You square the distances. Asked are the days themselves.
    """,
    choices={
        "way": {
            "the program as it was": lambda f, year: np.minimum(abs(f), abs(f + year)),
            "round in the other direction only": lambda f, year: np.minimum(abs(f), abs(f - year)),
            "days on a line": lambda gap, year: abs(gap),
            "signed days on a line": lambda gap, year: gap,
            "forwards only": lambda gap, year: gap % year,
            "backwards only": lambda gap, year: -gap % year,
            "the longer way": lambda gap, year: np.maximum(abs(gap), year - abs(gap)),
            "always round New Year": lambda gap, year: year - abs(gap),
            "a sign left over": lambda gap, year: np.minimum(gap, year - gap),
            "a sign left over, near": lambda f, year: np.where(abs(f) > 182, year - abs(f), f),
            "one number at a time": lambda f, year: np.array(min(abs(f), year - abs(f))),
            "half a year taken as 183": lambda f, year: abs((f + 183) % year - 183),
            "which side": lambda gap, year: (gap + year // 2) % year - year // 2,
            "cut off at 182": lambda gap, year: np.minimum(abs(gap), 182),
            "cut off at 182.5": lambda gap, year: np.minimum(abs(gap), year / 2),
            "remainder by 182": lambda gap, year: abs(gap) % 182,
            "remainder by 183": lambda gap, year: abs(gap) % 183,
            "turned too late": lambda f, year: np.where(abs(f) > 183, year - abs(f), abs(f)),
            "turned too early": lambda f, year: np.where(abs(f) > 181, year - abs(f), abs(f)),
            "below 0 beyond half a year": lambda gap, year: np.minimum(abs(gap), abs(gap) - year),
        },
        "year": {
            "a circle of 366": 366,
            "a circle of 364": 364,
            "a circle of 360": 360,
        },
        "place": {
            "day 366 at the place of day 365": lambda day: np.minimum(day, 365),
        },
        "gap": {
            "query by query": lambda query, key: query - key,
            "pair by pair": one_by_one,
        },
        "finish": {
            "rows and columns swapped": np.transpose,
            "both ends counted": lambda apart: apart + 1,
            "squared": np.square,
        },
    },
    own=["attnfuse.data.weather.days_apart"],
    reread="section 2, Nearness on a circle",
    hint="There are two ways round a circle of 365 days. If one takes g days, with g positive, how many does the other take?",
)
