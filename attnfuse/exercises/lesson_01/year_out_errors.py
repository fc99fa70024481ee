"""A stretch: how wide, for any record?"""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property, properties
from attnfuse.exercises.common import softmax
from attnfuse.exercises.lesson_01.days_apart import by_loops as days_apart_by_loops
from attnfuse.exercises.lesson_01.shared import LESSON


def by_loops(bandwidths, day, year, temperature):
    errors = np.zeros(len(bandwidths))
    apart = days_apart_by_loops(day, day)
    for b in range(len(bandwidths)):
        squares = []
        for t in range(len(day)):
            allowed = [s for s in range(len(day)) if year[s] != year[t]]
            scores = [-(apart[t, s] ** 2) / (2 * bandwidths[b] ** 2) for s in allowed]
            parts = [math.exp(score - max(scores)) for score in scores]
            mixed = sum(p * temperature[s] for p, s in zip(parts, allowed, strict=True))
            squares.append((mixed / sum(parts) - temperature[t]) ** 2)
        errors[b] = math.sqrt(sum(squares) / len(squares))
    return errors


def cases(rng):
    def case(count, bandwidths, note, years=(2012, 2013, 2014), lost=0):
        """Each year has the same days around New Year, and its weather lasts for a while."""
        near = np.r_[1:25, 340:367]
        middle = rng.choice(near[8:-9], count - 2, replace=False)
        days = np.sort([rng.integers(1, 8), *middle, rng.integers(358, 367)])
        lasting = np.repeat(rng.normal(8, 4, len(years) * count // 2 + 1), 2)
        order = rng.permutation(len(years) * count)[lost:]
        record = {
            "day": np.tile(days, len(years))[order],
            "year": np.repeat(years, count)[order],
            "temperature": lasting[order],
        }
        return Case({"bandwidths": np.array(bandwidths), **record}, note)

    too_cold = case(3, [8.0], "one bandwidth, nine days")
    too_cold.inputs["temperature"] *= -np.sign(sketch(**too_cold.inputs, measure=signed))
    best_between = case(7, [5.0, 12.0, 40.0], "years of different lengths", lost=5)
    ranks = np.argsort(by_loops(**best_between.inputs))
    best_between.inputs["bandwidths"] = best_between.inputs["bandwidths"][ranks[[1, 0, 2]]]
    far = case(4, [1.5, 12.5, 0.25, 12.5], "any order, one twice, fractions, a day far from all")
    far.inputs["day"][0] = 200
    return [
        too_cold,
        case(5, [20, 3], "whole numbers, the wide one first"),
        case(4, [4.0, 10.0], "years far apart", (2001, 2014, 2009)),
        far,
        best_between,
    ]


def signed(wrong, year):
    return wrong.mean(axis=-1)


def sketch(
    bandwidths,
    day,
    year,
    temperature,
    *,
    apart=days_apart_by_loops,
    power=2,
    width=lambda h: 2 * h**2,
    sign=-1,
    turn=lambda scores: scores,
    allow=np.not_equal,
    weigh=softmax,
    measure=lambda wrong, year: np.sqrt((wrong**2).mean(axis=-1)),
    order=lambda bandwidths: bandwidths,
    give=lambda errors, bandwidths: errors,
):
    h = order(bandwidths)[:, None, None]
    scores = turn(sign * apart(day, day) ** power / width(h))
    weights = weigh(scores, allow(year[:, None], year[None]))
    return give(measure(weights @ temperature - temperature, year), bandwidths)


def line(query, key):
    return abs(np.subtract.outer(query, key)).astype(float)


def by_year(then):
    def measure(wrong, year):
        return then([(wrong[:, year == y] ** 2).mean(axis=-1) for y in np.unique(year)])

    return measure


def _temperatures_count(attempt, case, rng):
    before = attempt.result["errors"]
    after = attempt(**case.inputs | {"temperature": 2 * case.inputs["temperature"]})["errors"]
    if not np.allclose(after, 2 * before, 1e-6, 1e-8, equal_nan=True):
        text = (
            "Every temperature of the record was doubled. That doubles every error, but not yours."
        )
        if np.array_equal(before, after):
            text = "Every temperature of the record was changed, and your errors stayed the same: does your function use the record it is given?"
        raise Mismatch(text, before, after, labels=("before", "after"))


YEAR_OUT_ERRORS = Exercise(
    name="year_out_errors",
    lesson=LESSON,
    title="How wide?",
    kind="stretch",
    minutes=8,
    difficulty=2,
    points=0,
    reference=by_loops,
    cases=cases,
    outputs={"errors": "bandwidths"},
    properties=[
        properties.finite(),
        properties.not_negative("errors"),
        Property("doubled temperatures", _temperatures_count),
    ],
    sketch=sketch,
    says="""
    days on a line | You measure days along a line. Use `weather.days_apart`, which goes the shorter way round the year.
    distance not squared | You do not square the distance. The score is -distance² / (2 · bandwidth²).
    without the 2 | You divide by the squared bandwidth; the 2 is missing. The score is -distance² / (2 · bandwidth²).
    bandwidth not squared | You divide by the bandwidth instead of its square. The score is -distance² / (2 · bandwidth²).
    neither 2 | You divide by the bandwidth alone. The score is -distance² / (2 · bandwidth²).
    the 2 squared as well | You square the 2 as well. The score is -distance² / (2 · bandwidth²).
    multiplied | You multiply by the squared bandwidth: `a / 2 * h**2` is (a / 2) · h². The score is -distance² / (2 · bandwidth²).
    bandwidth ignored | The bandwidth takes no part in your scores. The score is -distance² / (2 · bandwidth²).
    farthest wins | Your weights grow with the distance: a minus is missing. The score is -distance² / (2 · bandwidth²).
    parts for scores | You take the exponential twice: `attention_pooling` wants *scores* and takes it itself. The score is -distance² / (2 · bandwidth²).
    lowest training error | Each day sees itself, so the narrowest bandwidth always looks best: it copies. Mask the day's own year.
    all but the day itself | A day does not see itself, but it sees yesterday and tomorrow of the same year, and weather lasts for days. Mask the whole own year.
    nobody is seen | Every forecast is 0: your mask closes all keys. `year != year` compares each day with itself; `year[:, None] != year` is a table (S, S).
    the own year only | Your mask keeps the own year and drops the others: upside down.
    earlier years only | You allow earlier years only. Every other year may be used, later ones too.
    later years only | You allow later years only. Every other year may be used, earlier ones too.
    neighbouring years only | You allow the years just before and after. Every other year may be used, however far.
    no shift | For a day far from all others every exponential is rounded to 0, and 0/0 is NaN. `attention.attention_pooling` takes each row's maximum off first.
    zeros after the softmax | You set weights to 0 after the softmax: the rest no longer sums to 1. Hand the mask to `attention.attention_pooling`.
    no square root | These are mean squared errors, in squared degrees. Take the square root.
    absolute errors | You average the absolute errors. Square them, average, take the root: then this table can stand beside the others in the lesson.
    errors cancel | You average signed errors: too warm and too cold cancel. Square them first.
    errors cancel, sign dropped | You average signed errors: too warm and too cold cancel. Square them first.
    standard deviation | You take the standard deviation of the errors: an error that is always the same counts nothing there. Square the errors themselves, average, take the root.
    root of the sum | You take the root of the *sum* of squares. Average them first: `np.mean`.
    one for each day | You return one error for each day. Square them, average over the days, take the root.
    average over years | You average over the years by themselves. Asked is one RMSE over all days together.
    every year alike | You average over the years by themselves. Asked is one RMSE over all days together.
    sorted | You sort the bandwidths. Asked is one error for each bandwidth, in the order given, repeated ones too.
    one mean of all errors | You return one number for all bandwidths. Asked is the error of *each* bandwidth, in the order given.
    the smallest error | You return the smallest error. Asked is the error of *each* bandwidth, in the order given.
    the best bandwidth | You return the best bandwidth. Asked is the error of *each* bandwidth, in the order given.
    the first only | You return the first bandwidth's error. Does a `return` stand inside the loop? Asked is the error of *each* bandwidth, in the order given.
    the last only | You return the last bandwidth's error. Collect them in a list. Asked is the error of *each* bandwidth, in the order given.
    """,
    choices={
        "apart": {
            "days on a line": line,
        },
        "power": {
            "distance not squared": 1,
        },
        "width": {
            "without the 2": lambda h: h**2,
            "bandwidth not squared": lambda h: 2 * h,
            "neither 2": lambda h: h,
            "the 2 squared as well": lambda h: (2 * h) ** 2,
            "multiplied": lambda h: 2 / h**2,
            "bandwidth ignored": lambda h: 2.0 + 0 * h,
        },
        "sign": {
            "farthest wins": 1,
        },
        "turn": {
            "parts for scores": np.exp,
        },
        "allow": {
            "lowest training error": lambda query, key: np.full((key.size, key.size), True),
            "all but the day itself": lambda query, key: ~np.eye(key.size, dtype=bool),
            "nobody is seen": lambda query, key: np.full((key.size, key.size), False),
            "the own year only": np.equal,
            "earlier years only": np.greater,
            "later years only": np.less,
            "neighbouring years only": lambda query, key: abs(query - key) == 1,
        },
        "weigh": {
            "no shift": lambda scores, mask: softmax(scores, mask, shift=None),
            "zeros after the softmax": lambda scores, mask: softmax(scores, mask, late=True),
        },
        "measure": {
            "no square root": lambda wrong, year: (wrong**2).mean(axis=-1),
            "absolute errors": lambda wrong, year: abs(wrong).mean(axis=-1),
            "errors cancel": signed,
            "errors cancel, sign dropped": lambda wrong, year: abs(wrong.mean(axis=-1)),
            "standard deviation": lambda wrong, year: wrong.std(axis=-1),
            "root of the sum": lambda wrong, year: np.sqrt((wrong**2).sum(axis=-1)),
            "one for each day": lambda wrong, year: abs(wrong),
            "average over years": by_year(lambda squares: np.sqrt(squares).mean(axis=0)),
            "every year alike": by_year(lambda squares: np.sqrt(np.mean(squares, axis=0))),
        },
        "order": {
            "sorted": np.sort,
        },
        "give": {
            "one mean of all errors": lambda errors, bandwidths: errors.mean(),
            "the smallest error": lambda errors, bandwidths: errors.min(),
            "the best bandwidth": lambda errors, bandwidths: bandwidths[errors.argmin()],
            "the first only": lambda errors, bandwidths: errors[0],
            "the last only": lambda errors, bandwidths: errors[-1],
        },
    },
    reread="section 5, A day may not see itself",
    hint="Inside a loop over the bandwidths: the scores are -apart² / (2 bandwidth²), then `attention.attention_pooling(scores, temperature, mask)`, then the root of the mean square.",
)
