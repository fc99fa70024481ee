"""What the exercises of lesson 01 must satisfy, and how people get them wrong."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, Misconception, Mismatch, Property, properties
from attnfuse.checking.show import same, to_output

LESSON = "01_attention_pooling"
YEAR = 365


# --- softmax -------------------------------------------------------------------------------------


def softmax_by_loops(scores):
    T, S = np.shape(scores)
    weights = np.zeros((T, S))
    for t in range(T):
        highest = max(float(scores[t, s]) for s in range(S))
        parts = [math.exp(float(scores[t, s]) - highest) for s in range(S)]
        for s in range(S):
            weights[t, s] = parts[s] / sum(parts)
    return weights


def softmax_cases(rng):
    uneven = rng.normal(size=(4, 6))
    uneven[1:3] -= [[2000], [5000]]
    return [
        Case({"scores": rng.normal(size=(2, 3))}, "two queries, three keys"),
        Case({"scores": rng.normal(size=(3, 1))}, "one key"),
        Case({"scores": rng.normal(size=(3, 4)) + 1000}, "scores near 1000"),
        Case({"scores": uneven}, "two rows far below the others"),
        Case({"scores": 1000 * rng.normal(size=(3, 5))}, "scores thousands apart in one row"),
        Case({"scores": rng.normal(size=(4, 7)).astype(np.float32)}, "float32"),
        Case({"scores": 5 * rng.normal(size=(8, 5))}),
    ]


def _shifting_a_row(attempt, case, rng):
    scores = case.inputs["scores"]
    shift = rng.integers(1, 9, (len(scores), 1)).astype(scores.dtype)
    got = attempt(scores=scores + shift)["weights"]
    if not same(attempt.result["weights"], got, 1e-3, 1e-5):
        raise Mismatch(
            "Adding a number to all scores of a row must not change its weights. "
            f"Added to the rows: {shift.ravel().tolist()}.",
            expected=attempt.result["weights"],
            got=got,
        )


def _shifted(scores):
    return np.exp(scores - scores.max(axis=-1, keepdims=True))


def _divided(parts, axis=-1, keepdims=True):
    return parts / parts.sum(axis=axis, keepdims=keepdims)


def _no_shift(scores):
    return _divided(np.exp(scores))


def _global_maximum(scores):
    return _divided(np.exp(scores - scores.max()))


def _mean_shift(scores):
    return _divided(np.exp(scores - scores.mean(axis=-1, keepdims=True)))


def _over_queries(scores):
    return _divided(np.exp(scores - scores.max(axis=0, keepdims=True)), axis=0)


def _over_everything(scores):
    return _divided(np.exp(scores - scores.max()), axis=None)


def _no_exponential(scores):
    return _divided(scores)


def _maximum_without_keepdims(scores):
    return _divided(np.exp(scores - scores.max(axis=-1)))


def _neither_keeps_its_axis(scores):
    return _divided(np.exp(scores - scores.max(axis=-1)), keepdims=False)


def _small_number_below(scores):
    parts = np.exp(scores)
    return parts / (parts.sum(axis=-1, keepdims=True) + 1e-9)


def _small_number_on_each(scores):
    return _divided(_shifted(scores) + 1e-9)


def _log_softmax(scores):
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


_COLUMNS = (
    "Your columns sum to 1. Each query (row) has one unit of attention to spread over the keys: "
    "normalise along the last axis, -1."
)
_ONE_SUM = "All your weights together sum to 1. Each row must sum to 1 by itself: `axis=-1`."
_SUM_AXIS = (
    "The row sums have shape (T,) and line up with the columns. Keep the axis: "
    "`sum(axis=-1, keepdims=True)` has shape (T, 1)."
)
_SMALL = (
    "You add a small number. Once each row's maximum is subtracted, its sum is at least 1 and "
    "nothing can be 0/0: the small number only gives weight to keys that should have none."
)

SOFTMAX = Exercise(
    name="softmax",
    lesson=LESSON,
    title="Row softmax",
    kind="write",
    minutes=8,
    difficulty=2,
    points=2,
    reference=softmax_by_loops,
    cases=softmax_cases,
    outputs={"weights": "T S"},
    properties=[
        properties.finite(),
        properties.not_negative(),
        properties.rows_sum_to_one(),
        Property("a shifted row keeps its weights", _shifting_a_row),
    ],
    misconceptions=[
        Misconception(
            "one maximum for all rows",
            "You subtract the largest score of the whole array. A row far below it still "
            "underflows to 0/0. Each row needs its own: `scores.max(axis=-1, keepdims=True)`.",
            _global_maximum,
        ),
        Misconception(
            "no shift",
            "`np.exp(1000)` is infinite and `np.exp(-1000)` is zero, and both end in NaN. Subtract "
            "each row's maximum first: the weights stay the same.",
            _no_shift,
        ),
        Misconception(
            "shift by the mean",
            "Subtracting the row's mean is not enough: a score 1000 above the mean still "
            "overflows. After subtracting the maximum, the largest exponent is 0.",
            _mean_shift,
        ),
        Misconception(
            "softmax over queries",
            _COLUMNS,
            _over_queries,
        ),
        Misconception(
            "softmax over queries, no shift",
            f"{_COLUMNS} And subtract each row's maximum first: `np.exp(1000)` is infinite.",
            lambda scores: _divided(np.exp(scores), axis=0),
        ),
        Misconception(
            "one sum for all rows",
            _ONE_SUM,
            _over_everything,
        ),
        Misconception(
            "one sum for all rows, each with its own shift",
            _ONE_SUM,
            lambda scores: _divided(_shifted(scores), axis=None),
        ),
        Misconception(
            "one sum for all rows, no shift",
            f"{_ONE_SUM} And subtract each row's maximum first: `np.exp(1000)` is infinite.",
            lambda scores: _divided(np.exp(scores), axis=None),
        ),
        Misconception(
            "not divided",
            "These are the exponentials. Divide each row by its sum.",
            _shifted,
        ),
        Misconception(
            "not divided, no shift",
            "These are the exponentials. Subtract each row's maximum first, and in the end divide "
            "each row by its sum.",
            lambda scores: np.exp(scores),
        ),
        Misconception(
            "no exponential",
            "You divide the scores by their sum. Scores may be negative; the exponential makes "
            "them positive before you divide.",
            _no_exponential,
        ),
        Misconception(
            "sum without keepdims",
            _SUM_AXIS,
            lambda scores: _divided(_shifted(scores), keepdims=False),
        ),
        Misconception(
            "sum without keepdims, no shift",
            f"{_SUM_AXIS} And subtract each row's maximum first: `np.exp(1000)` is infinite.",
            lambda scores: _divided(np.exp(scores), keepdims=False),
        ),
        Misconception(
            "maximum without keepdims",
            "The row maxima have shape (T,) and line up with the columns, not with the rows. Keep "
            "the axis: `scores.max(axis=-1, keepdims=True)` has shape (T, 1).",
            _maximum_without_keepdims,
        ),
        Misconception(
            "neither keeps its axis",
            "The row maxima and the row sums have shape (T,) and line up with the columns, not "
            "with the rows. Give both `keepdims=True`: then they have shape (T, 1).",
            _neither_keeps_its_axis,
        ),
        Misconception(
            "a small number below",
            "A small number in the denominator hides 0/0 but gives rows that do not sum to 1, and "
            "`np.exp(1000)` stays infinite. Subtract each row's maximum instead.",
            _small_number_below,
        ),
        Misconception(
            "a small number on each exponential",
            _SMALL,
            _small_number_on_each,
        ),
        Misconception(
            "a small number on each weight",
            _SMALL,
            lambda scores: _divided(_shifted(scores)) + 1e-9,
        ),
        Misconception(
            "logarithms",
            "These are the logarithms of the weights (log-softmax). Return the weights themselves.",
            _log_softmax,
        ),
    ],
    own=["attnfuse.attention.softmax"],
    reread="section 3, Softmax",
    hint="Subtract each row's own maximum (keep the axis), take exponentials, divide each row by "
    "its own sum (keep the axis again).",
    atol=1e-12,
)


# --- days apart on a circle ----------------------------------------------------------------------


def days_apart_by_loops(query, key):
    apart = np.zeros((len(query), len(key)))
    for t in range(len(query)):
        for s in range(len(key)):
            forwards = (query[t] - key[s]) % YEAR
            backwards = (key[s] - query[t]) % YEAR
            apart[t, s] = min(forwards, backwards)
    return apart


def days_apart_cases(rng):
    def days(count, first=1, last=366):
        return rng.integers(first, last + 1, count)

    return [
        Case({"query": np.array([365]), "key": np.array([1])}, "asked on 31 December"),
        Case({"query": np.array([1]), "key": np.array([365])}, "asked on 1 January"),
        Case({"query": np.array([100]), "key": np.array([90, 100, 120])}, "spring"),
        Case({"query": days(3, 1, 60), "key": days(5, 300, 365)}, "winter, keys in autumn"),
        Case({"query": days(5, 300, 365), "key": days(3, 1, 60)}, "autumn, keys in winter"),
        Case({"query": days(6), "key": days(9)}),
    ]


def _at_most_half_a_year(attempt, case, rng):
    apart = attempt.result["apart"]
    if (apart > YEAR / 2).any():
        raise Mismatch("No two days are more than half a year apart.", got=apart)


def _both_ways_alike(attempt, case, rng):
    there = attempt.result["apart"]
    back = attempt(query=case.inputs["key"], key=case.inputs["query"])["apart"]
    if back.shape != there.T.shape or not same(there.T, back, 1e-9, 1e-9):
        raise Mismatch(
            "Swap queries and keys: the way back must be as long as the way there.",
            expected=there.T,
            got=back,
        )


def _gap(query, key):
    return np.asarray(query)[:, None] - np.asarray(key)[None, :]


DAYS_APART = Exercise(
    name="days_apart",
    lesson=LESSON,
    title="Days on a circle",
    kind="bug",
    minutes=6,
    difficulty=1,
    points=2,
    reference=days_apart_by_loops,
    cases=days_apart_cases,
    outputs={"apart": "T S"},
    properties=[
        properties.finite(),
        properties.not_negative("apart"),
        Property("nothing is more than half a year apart", _at_most_half_a_year),
        Property("as far back as there", _both_ways_alike),
    ],
    misconceptions=[
        Misconception(
            "the program as it was",
            "That is still the broken program: it goes round New Year in one direction only. "
            "A December query is 364 days from a January key.",
            lambda query, key: np.minimum(abs(_gap(query, key)), abs(_gap(query, key) + YEAR)),
        ),
        Misconception(
            "round in the other direction only",
            "Now December queries are right and January queries are wrong: 1 January is 364 days "
            "from 31 December. Both directions are needed at once.",
            lambda query, key: np.minimum(abs(_gap(query, key)), abs(_gap(query, key) - YEAR)),
        ),
        Misconception(
            "a circle of 366",
            "Your circle has 366 days: 31 December and 1 January are two days apart on it. The way "
            "back is 365 minus the way there.",
            lambda query, key: np.minimum(abs(_gap(query, key)), YEAR + 1 - abs(_gap(query, key))),
        ),
        Misconception(
            "days on a line",
            "You measure along a line: 31 December is 364 days from 1 January. On a circle there "
            "is a second way, 365 minus the first; take the shorter.",
            lambda query, key: abs(_gap(query, key)),
        ),
        Misconception(
            "forwards only",
            "You always go from the key forwards to the query, even when that takes 364 days. "
            "Compare with the way backwards and take the shorter.",
            lambda query, key: _gap(query, key) % YEAR,
        ),
        Misconception(
            "the longer way",
            "You take the longer of the two ways round. The nearer one counts.",
            lambda query, key: np.maximum(abs(_gap(query, key)), YEAR - abs(_gap(query, key))),
        ),
        Misconception(
            "a sign left over",
            "Some of your distances are negative: a key ten days ahead must be as far as one ten "
            "days behind. Take the absolute value first.",
            lambda query, key: np.minimum(_gap(query, key), YEAR - _gap(query, key)),
        ),
        Misconception(
            "which side",
            "The size is right, but keys after the query come out negative: no sign in a distance.",
            lambda query, key: (_gap(query, key) + YEAR // 2) % YEAR - YEAR // 2,
        ),
        Misconception(
            "rows and columns swapped",
            "Rows belong to queries and columns to keys: the shape is (T, S).",
            lambda query, key: np.minimum(abs(_gap(query, key)), YEAR - abs(_gap(query, key))).T,
        ),
    ],
    own=["attnfuse.data.weather.days_apart"],
    reread="section 2, Nearness on a circle",
    hint="There are two ways round a circle of 365 days. If one takes g days, with g positive, how "
    "many does the other take?",
)


# --- pooling -------------------------------------------------------------------------------------


def pool_by_loops(scores, value):
    weights = softmax_by_loops(scores)
    T, S = weights.shape
    context = np.zeros(T)
    for t in range(T):
        for s in range(S):
            context[t] += weights[t, s] * float(value[s])
    return context, weights


def pool_cases(rng):
    def case(T, S, spread=1.0, note=""):
        return Case(
            {"scores": spread * rng.normal(size=(T, S)), "value": rng.normal(15, 7, S)}, note
        )

    return [
        case(1, 2, note="one query, two keys"),
        case(3, 1, note="one key"),
        case(2, 3),
        case(4, 6, spread=300, note="scores hundreds apart"),
        case(5, 3),
    ]


def _inside_the_values(attempt, case, rng):
    context, value = attempt.result["context"], case.inputs["value"]
    if (context < value.min() - 1e-6).any() or (context > value.max() + 1e-6).any():
        raise Mismatch(
            "A weighted average lies between the smallest value "
            f"({value.min():.2f}) and the largest ({value.max():.2f}).",
            got=context,
        )


def _pool_over_queries(scores, value):
    weights = _over_queries(scores)
    return weights @ value, weights


def _pool_over_everything(scores, value):
    weights = _over_everything(scores)
    return weights @ value, weights


def _pool_exponentials(scores, value):
    parts = np.exp(scores)
    return parts @ value, parts


def _pool_shifted_exponentials(scores, value):
    parts = _shifted(scores)
    return parts @ value, parts


def _pool_value_first(scores, value):
    weights = softmax_by_loops(scores)
    return value @ weights, weights


def _pool_mean(scores, value):
    weights = softmax_by_loops(scores)
    return (weights * value).mean(axis=-1), weights


def _pool_scores(scores, value):
    return scores @ value, scores


def _pool_by_scores(scores, value):
    return scores @ value, softmax_by_loops(scores)


def _pool_hardest(scores, value):
    weights = np.eye(len(value))[scores.argmax(axis=-1)]
    return weights @ value, weights


def _pool_no_sum(scores, value):
    weights = softmax_by_loops(scores)
    return weights * value, weights


def _pool_returned_swapped(scores, value):
    context, weights = pool_by_loops(scores, value)
    return weights, context


POOL = Exercise(
    name="pool",
    lesson=LESSON,
    title="Two blanks in a pool",
    kind="finish",
    minutes=3,
    difficulty=1,
    points=0,
    reference=pool_by_loops,
    cases=pool_cases,
    outputs={"context": "T", "weights": "T S"},
    properties=[
        properties.finite(),
        properties.rows_sum_to_one(),
        Property("the context lies among the values", _inside_the_values),
    ],
    misconceptions=[
        Misconception(
            "normalised over queries",
            "Your weights sum to 1 over the queries. Then a day's forecast depends on which other "
            "days are asked for. Each query spreads one unit over the keys: axis -1.",
            _pool_over_queries,
        ),
        Misconception(
            "normalised over everything",
            "All weights together sum to 1, so the queries share one unit of attention. Each query "
            "has a whole unit of its own.",
            _pool_over_everything,
        ),
        Misconception(
            "not divided",
            "Your weights are the exponentials of the scores. Divide each row by its sum.",
            _pool_exponentials,
        ),
        Misconception(
            "shifted, not divided",
            "Your weights are exponentials, at most 1. Divide each row by its sum.",
            _pool_shifted_exponentials,
        ),
        Misconception(
            "the value first",
            "Mind the order of the product. `weights @ value` sums over the keys: (T, S) with (S,) "
            "gives (T,). The other way round, or transposed, the axes do not fit.",
            _pool_value_first,
        ),
        Misconception(
            "mean of the products",
            "You average weight × value over the keys. The weights already sum to 1: add up the "
            "products, do not divide again.",
            _pool_mean,
        ),
        Misconception(
            "scores as weights",
            "You mix with the raw scores. They may be negative and do not sum to 1: softmax first.",
            _pool_scores,
        ),
        Misconception(
            "the context ignores the weights",
            "Your weights are right, but the context is computed from the scores. Multiply the "
            "weights with the values.",
            _pool_by_scores,
        ),
        Misconception(
            "only the best key",
            "You copy the value of the best key: that is the nearest neighbour. In pooling every "
            "key has a say, according to its weight.",
            _pool_hardest,
        ),
        Misconception(
            "products not summed",
            "You have weight × value for each key; now add them up over the keys, so that one "
            "number is left for each query.",
            _pool_no_sum,
        ),
        Misconception(
            "returned the other way round",
            "Return the context first, then the weights.",
            _pool_returned_swapped,
        ),
    ],
    own=["attnfuse.attention.attention_pooling"],
    reread="section 4, Pooling",
    hint="Blank 1: the softmax of each row of scores. Blank 2: `@` multiplies a (T, S) array with "
    "an (S,) array and sums over S.",
)


# --- copies of keys ------------------------------------------------------------------------------


def copies_by_loops():
    """The record of the task: parts 3 and 1, values 10 and 20."""
    parts, values = (3.0, 1.0), (10.0, 20.0)

    def context(keys):
        total = sum(parts[key] for key in keys)
        return sum(parts[key] / total * values[key] for key in keys)

    return context([0, 0, 1, 1]), context([0, 1, 1])


def _two_numbers(prediction):
    """The two numbers, or which of them is wrong; a prediction's check never shows the right ones."""
    numbers = to_output(prediction)
    if (
        not isinstance(numbers, np.ndarray)
        or numbers.shape != (2,)
        or numbers.dtype.kind not in "if"
    ):
        raise Mismatch("Two numbers are asked for: `prediction = (first, second)`.")
    right = np.isclose(numbers, copies_by_loops(), rtol=0.002)
    if not right.all():
        says = "Neither is right in its place."
        if right.any():
            says = f"The {'first' if right[0] else 'second'} is right, the other is not."
        raise Mismatch(f"You say {numbers[0]:.3g} and {numbers[1]:.3g}. {says}")
    return numbers


COPIES = Exercise(
    name="copies",
    lesson=LESSON,
    title="The same day twice",
    kind="predict",
    minutes=5,
    difficulty=2,
    points=2,
    reference=copies_by_loops,
    run=_two_numbers,
    rtol=0.002,
    outputs={"prediction": ""},
    misconceptions=[
        Misconception(
            "copies share their day's weight",
            "In the second, the copy does not share its day's part: its score is as high as the "
            "original's, so it has as many parts.",
            (12.5, 12.5),
        ),
        Misconception(
            "weights not divided again",
            "You kept the old weights and added those of the copies. Softmax divides by the sum "
            "over all entries, copies included. No average of 10 and 20 can exceed 20.",
            (25.0, 17.5),
        ),
        Misconception(
            "the first not divided again",
            "In the first you kept the old weights and added those of the copies. No average of 10 "
            "and 20 can exceed 20: divide by the new sum of the parts.",
            (25.0, 14.0),
        ),
        Misconception(
            "the second not divided again",
            "In the second you kept the old weights and added that of the copy. Then they sum to "
            "more than 1: divide by the new sum of the parts.",
            (12.5, 17.5),
        ),
        Misconception(
            "plain average",
            "That is the average of the temperatures, without the weights. The cold day has three "
            "times as many parts as the warm one.",
            (15.0, 50 / 3),
        ),
        Misconception(
            "more keys, less difference",
            "In the first, the cold day is there twice as well. Count the parts of all four entries.",
            (15.0, 14.0),
        ),
        Misconception(
            "a copy takes all from the cold day",
            "In the second you gave the warm day twice its old weight, and the cold day the rest. "
            "Add up the parts of all three entries, and divide by that sum.",
            (12.5, 15.0),
        ),
        Misconception(
            "the two swapped",
            "Both numbers are right, in the other order: first everything twice, then the warm day "
            "twice.",
            (14.0, 12.5),
        ),
    ],
    reread="section 4, Pooling",
    hint="Write the weights as parts, 3 : 1. A copy has the same score, so it gets the same part. "
    "Then divide by the new sum of the parts.",
)


# --- only other years ----------------------------------------------------------------------------


def other_years_by_loops(scores, value, query_year, key_year):
    T, S = np.shape(scores)
    weights = np.zeros((T, S))
    for t in range(T):
        allowed = [s for s in range(S) if key_year[s] != query_year[t]]
        if not allowed:
            continue
        highest = max(float(scores[t, s]) for s in allowed)
        total = sum(math.exp(float(scores[t, s]) - highest) for s in allowed)
        for s in allowed:
            weights[t, s] = math.exp(float(scores[t, s]) - highest) / total
    context = np.zeros(T)
    for t in range(T):
        for s in range(S):
            context[t] += weights[t, s] * float(value[s])
    return context, weights


def other_years_cases(rng):
    def case(query_year, key_year, note="", scores=None):
        T, S = len(query_year), len(key_year)
        return Case(
            {
                "scores": rng.normal(size=(T, S)) if scores is None else np.asarray(scores, float),
                "value": rng.normal(15, 7, S),
                "query_year": np.array(query_year),
                "key_year": np.array(key_year),
            },
            note,
        )

    years = [2012, 2013, 2014]
    far = rng.normal(size=(2, 5)) - 3000
    far[0, 1], far[1, 3] = 0, 0  # each query's own day, in its own year
    return [
        case([2013], [2012, 2013, 2014], "one query"),
        case([2013, 2012], [2012, 2012, 2014], "keys of two years"),
        case([2012, 2014], [2013, 2012, 2012, 2014, 2013], "the own year is far nearer", far),
        case([2013, 2012, 2014], [2012, 2012], "no key of another year for one query"),
        case(rng.permutation(years + years[:1]), rng.permutation(years + years)),
        case(rng.choice(years, 7), rng.permutation(years + years[:2])),
    ]


def _nothing_from_the_own_year(attempt, case, rng):
    own = case.inputs["query_year"][:, None] == case.inputs["key_year"][None, :]
    weights = np.asarray(attempt.result["weights"])
    if (np.abs(weights[own]) > 1e-12).any():
        raise Mismatch("A key of the query's own year must get weight 0.", got=weights)


def _like_a_shorter_record(attempt, case, rng):
    """Deleting the own year's keys, for one query, gives the same context."""
    inputs = case.inputs
    t = int(rng.integers(len(inputs["query_year"])))
    kept = inputs["key_year"] != inputs["query_year"][t]
    if not kept.any():
        return
    shorter = attempt(
        scores=inputs["scores"][t : t + 1, kept],
        value=inputs["value"][kept],
        query_year=inputs["query_year"][t : t + 1],
        key_year=inputs["key_year"][kept],
    )["context"]
    got = attempt.result["context"][t : t + 1]
    if not same(shorter, got, 1e-6, 1e-8):
        raise Mismatch(
            f"Query {t}: masking its own year must equal deleting those keys from the record.",
            expected=shorter,
            got=got,
        )


def _mask(query_year, key_year):
    return query_year[:, None] != key_year[None, :]


def _softmax(scores):
    """Row softmax; a row of minus infinity becomes NaN, as in most first versions."""
    parts = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return parts / parts.sum(axis=-1, keepdims=True)


def _pooled(weights, value):
    return weights @ value, weights


def _zeros_afterwards(scores, value, query_year, key_year):
    return _pooled(_softmax(scores) * _mask(query_year, key_year), value)


def _zeros_and_renormalised(scores, value, query_year, key_year):
    weights = _softmax(scores) * _mask(query_year, key_year)
    total = weights.sum(axis=-1, keepdims=True)
    return _pooled(weights / np.where(total == 0, 1, total), value)


def _zeros_and_divided_by_zero(scores, value, query_year, key_year):
    return _pooled(_divided(_softmax(scores) * _mask(query_year, key_year)), value)


def _kept(mask, scores, value, empty_rows_zero):
    weights = _softmax(np.where(mask, scores, -np.inf))
    if empty_rows_zero:
        weights = np.where(mask.any(axis=-1, keepdims=True), weights, 0)
    return _pooled(weights, value)


def _own_year(empty_rows_zero):
    def wrong(scores, value, query_year, key_year):
        return _kept(~_mask(query_year, key_year), scores, value, empty_rows_zero)

    return wrong


def _score_zero(scores, value, query_year, key_year):
    return _pooled(_softmax(scores * _mask(query_year, key_year)), value)


def _filled(fill):
    def wrong(scores, value, query_year, key_year):
        return _pooled(_softmax(np.where(_mask(query_year, key_year), scores, fill)), value)

    return wrong


def _earlier_years(empty_rows_zero):
    def wrong(scores, value, query_year, key_year):
        mask = query_year[:, None] > key_year[None, :]
        return _kept(mask, scores, value, empty_rows_zero)

    return wrong


def _no_mask(scores, value, query_year, key_year):
    return _pooled(_softmax(scores), value)


OTHER_YEARS = Exercise(
    name="other_years",
    lesson=LESSON,
    title="Only other years",
    kind="write",
    minutes=8,
    difficulty=3,
    points=2,
    reference=other_years_by_loops,
    cases=other_years_cases,
    outputs={"context": "T", "weights": "T S"},
    properties=[
        properties.finite(),
        Property("the own year gets nothing", _nothing_from_the_own_year),
        properties.rows_sum_to_one(zero_rows=True),
        Property("a masked key equals a deleted key", _like_a_shorter_record),
    ],
    misconceptions=[
        Misconception(
            "zeros after the softmax",
            "You set weights to 0 after the softmax. The rest of the row no longer sums to 1: the "
            "own year still takes its share, and the forecast is pulled towards 0. Mask the "
            "scores, before the softmax.",
            _zeros_afterwards,
        ),
        Misconception(
            "zeros, then divided again",
            "Dividing again after the zeros is right until the own year is so near that all other "
            "weights have underflowed to 0: then nothing is left to divide. Mask the scores first.",
            _zeros_and_renormalised,
        ),
        Misconception(
            "zeros, then divided by zero",
            "Dividing again after the zeros is right until the own year is so near that all other "
            "weights have underflowed to 0: then it is 0/0. Mask the scores, before the softmax.",
            _zeros_and_divided_by_zero,
        ),
        Misconception(
            "the mask upside down",
            "Your mask keeps the query's own year and drops the others. True means: may attend.",
            _own_year(empty_rows_zero=True),
        ),
        Misconception(
            "the mask upside down, empty rows NaN",
            "Your mask keeps the query's own year and drops the others. True means: may attend.",
            _own_year(empty_rows_zero=False),
        ),
        Misconception(
            "score 0 for no",
            "You multiply the scores by the mask. A score of 0 is an ordinary score, often the "
            "highest of all. What gets no weight has the score minus infinity.",
            _score_zero,
        ),
        Misconception(
            "minus ten for no",
            "A score of -10 is not low enough: where the other scores are lower still, the masked "
            "key wins. Use minus infinity.",
            _filled(-10.0),
        ),
        Misconception(
            "minus a billion everywhere",
            "With -1e9 a row without any allowed key has all scores equal, and softmax spreads its "
            "weight over the very keys that were forbidden. Such a row must be all zeros.",
            _filled(-1e9),
        ),
        Misconception(
            "an empty row is NaN",
            "Right, except for a query without any key of another year: minus infinity minus minus "
            "infinity is NaN. That row of weights, and its context, must be 0.",
            _filled(-np.inf),
        ),
        Misconception(
            "earlier years only",
            "You allow earlier years only. Here every other year may be used, later ones too.",
            _earlier_years(empty_rows_zero=True),
        ),
        Misconception(
            "earlier years only, empty rows NaN",
            "You allow earlier years only. Here every other year may be used, later ones too.",
            _earlier_years(empty_rows_zero=False),
        ),
        Misconception(
            "no mask",
            "The query's own year still has weight. Build the mask from the two year arrays and "
            "apply it to the scores.",
            _no_mask,
        ),
    ],
    own=["attnfuse.attention.attention_pooling"],
    reread="section 5, A day may not see itself",
    hint="`mask = query_year[:, None] != key_year` has shape (T, S). Put `-np.inf` where it is "
    "False, then `attention.softmax`. With a softmax of your own, a row of nothing but `-np.inf` "
    "becomes NaN: set its weights to 0.",
)


# --- choosing the bandwidth ----------------------------------------------------------------------


def year_out_errors_by_loops(bandwidths, day, year, temperature):
    errors = np.zeros(len(bandwidths))
    apart = days_apart_by_loops(day, day)
    for b in range(len(bandwidths)):
        squares = []
        for t in range(len(day)):
            allowed = [s for s in range(len(day)) if year[s] != year[t]]
            scores = [-(apart[t, s] ** 2) / (2 * bandwidths[b] ** 2) for s in allowed]
            parts = [math.exp(score - max(scores)) for score in scores]
            pooled = sum(p * temperature[s] for p, s in zip(parts, allowed, strict=True)) / sum(
                parts
            )
            squares.append((pooled - temperature[t]) ** 2)
        errors[b] = math.sqrt(sum(squares) / len(squares))
    return errors


def year_out_errors_cases(rng):
    def case(count, bandwidths, note=""):
        """Each year has the same days around New Year, and its weather lasts for a while."""
        near = np.r_[1:25, 340:366]
        middle = rng.choice(near[8:-8], count - 2, replace=False)
        days = np.sort([rng.integers(1, 8), *middle, rng.integers(358, 366)])
        day, year = np.tile(days, 3), np.repeat([2012, 2013, 2014], count)
        lasting = np.repeat(rng.normal(8, 4, len(day) // 2 + 1), 2)[: len(day)]
        order = rng.permutation(len(day))
        return Case(
            {
                "bandwidths": np.array(bandwidths),
                "day": day[order],
                "year": year[order],
                "temperature": lasting[order],
            },
            note,
        )

    return [
        case(3, [8.0], "one bandwidth, nine days"),
        case(5, [3.0, 20.0], "a narrow and a wide one"),
        case(7, [1.0, 5.0, 12.0, 20.0]),
    ]


def _gaussian(apart, bandwidth):
    return -(apart**2) / (2 * bandwidth**2)


def _errors(
    bandwidths, day, year, temperature, mask=None, measure=None, apart=None, score=_gaussian
):
    measure = measure or (lambda wrong: np.sqrt(np.mean(wrong**2)))
    apart = days_apart_by_loops(day, day) if apart is None else apart
    errors = []
    for bandwidth in bandwidths:
        scores = score(apart, bandwidth)
        weights = _softmax(scores if mask is None else np.where(mask, scores, -np.inf))
        errors.append(measure(weights @ temperature - temperature))
    return np.array(errors)


def _with_itself(bandwidths, day, year, temperature):
    return _errors(bandwidths, day, year, temperature)


def _without_itself(bandwidths, day, year, temperature):
    return _errors(bandwidths, day, year, temperature, ~np.eye(len(day), dtype=bool))


def _squared(bandwidths, day, year, temperature):
    mask = _mask(year, year)
    return _errors(bandwidths, day, year, temperature, mask, lambda wrong: np.mean(wrong**2))


def _absolute(bandwidths, day, year, temperature):
    mask = _mask(year, year)
    return _errors(bandwidths, day, year, temperature, mask, lambda wrong: np.mean(abs(wrong)))


def _signed(bandwidths, day, year, temperature):
    return _errors(bandwidths, day, year, temperature, _mask(year, year), np.mean)


def _on_a_line(bandwidths, day, year, temperature):
    return _errors(
        bandwidths, day, year, temperature, _mask(year, year), apart=abs(_gap(day, day)) * 1.0
    )


def _scored(score):
    def wrong(bandwidths, day, year, temperature):
        return _errors(bandwidths, day, year, temperature, _mask(year, year), score=score)

    return wrong


def _own_year_only(bandwidths, day, year, temperature):
    return _errors(bandwidths, day, year, temperature, ~_mask(year, year))


YEAR_OUT_ERRORS = Exercise(
    name="year_out_errors",
    lesson=LESSON,
    title="How wide?",
    kind="stretch",
    minutes=8,
    difficulty=2,
    points=0,
    reference=year_out_errors_by_loops,
    cases=year_out_errors_cases,
    outputs={"errors": "bandwidths"},
    properties=[properties.finite(), properties.not_negative("errors")],
    misconceptions=[
        Misconception(
            "lowest training error",
            "Each day sees itself, so the narrowest bandwidth always looks best: it copies. Mask "
            "the day's own year.",
            _with_itself,
        ),
        Misconception(
            "all but the day itself",
            "A day does not see itself, but it sees yesterday and tomorrow of the same year, and "
            "weather lasts for days. Mask the whole own year.",
            _without_itself,
        ),
        Misconception(
            "the own year only",
            "Your mask keeps the own year and drops the others: upside down.",
            _own_year_only,
        ),
        Misconception(
            "no square root",
            "These are mean squared errors, in squared degrees. Take the square root.",
            _squared,
        ),
        Misconception(
            "absolute errors",
            "You average the absolute errors. Square them, average, take the root: then this table "
            "can stand beside the others in the lesson.",
            _absolute,
        ),
        Misconception(
            "errors cancel",
            "You average signed errors: too warm and too cold cancel. Square them first.",
            _signed,
        ),
        Misconception(
            "without the 2",
            "You divide by the squared bandwidth; the 2 is missing. The score is "
            "-distance² / (2 · bandwidth²).",
            _scored(lambda apart, bandwidth: -(apart**2) / bandwidth**2),
        ),
        Misconception(
            "bandwidth not squared",
            "You divide by the bandwidth instead of its square. The score is "
            "-distance² / (2 · bandwidth²).",
            _scored(lambda apart, bandwidth: -(apart**2) / (2 * bandwidth)),
        ),
        Misconception(
            "distance not squared",
            "You forgot to square the distance. The score is -distance² / (2 · bandwidth²).",
            _scored(lambda apart, bandwidth: -apart / (2 * bandwidth**2)),
        ),
        Misconception(
            "days on a line",
            "You measure days along a line. Use `weather.days_apart`, which goes the shorter way "
            "round the year.",
            _on_a_line,
        ),
    ],
    reread="section 5, A day may not see itself",
    hint="Inside a loop over the bandwidths: the scores are -apart² / (2 bandwidth²), then "
    "`attention.attention_pooling(scores, temperature, mask)`, then the root of the mean square.",
)


# --- the network as written ----------------------------------------------------------------------


def answers_without_a_query() -> int:
    """A random network that sees keys only, asked about 365 days: how many answers differ?"""
    rng = np.random.default_rng(0)
    days = 365
    scores = np.zeros((days, 5)) + np.tanh(rng.normal(size=(5, 3))) @ rng.normal(size=3)
    context, _ = pool_by_loops(scores, rng.normal(15, 7, 5))
    return len({round(float(temperature), 6) for temperature in context})


NO_QUERY = Exercise(
    name="no_query",
    lesson=LESSON,
    title="How many forecasts?",
    kind="predict",
    minutes=2,
    difficulty=1,
    points=0,
    reference=answers_without_a_query,
    value=True,
    outputs={"prediction": ""},
    misconceptions=[
        Misconception(
            "one for each day",
            "A different forecast for each day would need scores that depend on the day asked "
            "about. Step 1 computes each weight from the element alone.",
            365,
        ),
        Misconception(
            "one for each distance",
            "Distances from 0 to 182 would give 183 answers, but the network sees no distance: a "
            "distance has two ends, and the day asked about is not among its inputs.",
            183,
        ),
        Misconception(
            "one for each key",
            "The network gives a score to each key, but then all keys are mixed into one answer, "
            "with the same weights whatever was asked.",
            1096,
        ),
        Misconception(
            "one for each hidden unit",
            "The hidden units help to compute one score for each key. They do not see the day "
            "asked about either.",
            3,
        ),
        Misconception(
            "none",
            "It does answer: a weighted average of all temperatures.",
            0,
        ),
    ],
    reread="section 6, An attention network",
    hint="Which inputs does step 1 use to compute a weight? Is the day asked about among them?",
)


EXERCISES = [SOFTMAX, DAYS_APART, POOL, COPIES, OTHER_YEARS, YEAR_OUT_ERRORS, NO_QUERY]
QUIZZES = []
