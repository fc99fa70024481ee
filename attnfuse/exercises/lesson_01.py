"""What the exercises of lesson 01 must satisfy, and how people get them wrong."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, Misconception, Mismatch, Property, properties
from attnfuse.checking.show import same

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
        Case({"scores": rng.normal(size=(3, 1))}, "one key"),
        Case({"scores": rng.normal(size=(2, 3))}, "two queries, three keys"),
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


def _parts(scores, shift):
    return np.exp(scores - shift)


def _no_shift(scores):
    parts = np.exp(scores)
    return parts / parts.sum(axis=-1, keepdims=True)


def _global_maximum(scores):
    parts = _parts(scores, scores.max())
    return parts / parts.sum(axis=-1, keepdims=True)


def _mean_shift(scores):
    parts = _parts(scores, scores.mean(axis=-1, keepdims=True))
    return parts / parts.sum(axis=-1, keepdims=True)


def _over_queries(scores):
    parts = _parts(scores, scores.max(axis=0, keepdims=True))
    return parts / parts.sum(axis=0, keepdims=True)


def _over_everything(scores):
    parts = _parts(scores, scores.max())
    return parts / parts.sum()


def _only_exponentials(scores):
    return _parts(scores, scores.max(axis=-1, keepdims=True))


def _no_exponential(scores):
    return scores / scores.sum(axis=-1, keepdims=True)


def _no_keepdims(scores):
    parts = _parts(scores, scores.max(axis=-1, keepdims=True))
    return parts / parts.sum(axis=-1)


def _small_number_below(scores):
    parts = np.exp(scores)
    return parts / (parts.sum(axis=-1, keepdims=True) + 1e-9)


def _log_softmax(scores):
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


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
            "Your columns sum to 1. Each query (row) has one unit of attention to spread over the "
            "keys: normalise along the last axis, -1.",
            _over_queries,
        ),
        Misconception(
            "one sum for all rows",
            "All your weights together sum to 1. Each row must sum to 1 by itself: `axis=-1`.",
            _over_everything,
        ),
        Misconception(
            "not divided",
            "These are the exponentials. Divide each row by its sum.",
            _only_exponentials,
        ),
        Misconception(
            "no exponential",
            "You divide the scores by their sum. Scores may be negative; the exponential makes "
            "them positive before you divide.",
            _no_exponential,
        ),
        Misconception(
            "sum without keepdims",
            "The row sums have shape (T,) and line up with the columns. Keep the axis: "
            "`sum(axis=-1, keepdims=True)` has shape (T, 1).",
            _no_keepdims,
        ),
        Misconception(
            "a small number below",
            "A small number in the denominator hides 0/0 but gives rows that do not sum to 1, and "
            "`np.exp(1000)` stays infinite. Subtract each row's maximum instead.",
            _small_number_below,
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
    minutes=4,
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


COPIES = Exercise(
    name="copies",
    lesson=LESSON,
    title="The same day twice",
    kind="predict",
    minutes=5,
    difficulty=2,
    points=2,
    reference=copies_by_loops,
    value=True,
    rtol=0.002,
    outputs={"prediction": ""},
    misconceptions=[
        Misconception(
            "copies share their day's weight",
            "The first is right. But the copy of the warm day does not share that day's weight: "
            "its score is as high, so it takes an equal part, and the weights are 3 : 1 : 1.",
            (12.5, 12.5),
        ),
        Misconception(
            "weights not renormalised",
            "You kept the old weights and added those of the copies. Softmax divides by the sum "
            "over all keys, copies included: the weights sum to 1 again, and no average of 10 and "
            "20 can exceed 20.",
            (25.0, 17.5),
        ),
        Misconception(
            "plain average",
            "That is the average of the temperatures, without the weights. The cold day weighs "
            "three times as much as the warm one.",
            (15.0, 50 / 3),
        ),
        Misconception(
            "more keys, less difference",
            "The second is right. But with everything twice the weights are 3 : 3 : 1 : 1, so both "
            "days keep their shares, 6/8 and 2/8.",
            (15.0, 14.0),
        ),
        Misconception(
            "a copy takes all from the cold day",
            "The first is right. In the second you gave both warm entries a quarter and the cold "
            "one the rest. All three are divided by the same new sum: 3/5, 1/5, 1/5.",
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


def _own_year(scores, value, query_year, key_year):
    mask = ~_mask(query_year, key_year)
    weights = _softmax(np.where(mask, scores, -np.inf))
    return _pooled(np.where(mask.any(axis=-1, keepdims=True), weights, 0), value)


def _score_zero(scores, value, query_year, key_year):
    return _pooled(_softmax(scores * _mask(query_year, key_year)), value)


def _filled(fill):
    def wrong(scores, value, query_year, key_year):
        return _pooled(_softmax(np.where(_mask(query_year, key_year), scores, fill)), value)

    return wrong


def _earlier_years(scores, value, query_year, key_year):
    mask = query_year[:, None] > key_year[None, :]
    weights = _softmax(np.where(mask, scores, -np.inf))
    return _pooled(np.where(mask.any(axis=-1, keepdims=True), weights, 0), value)


def _no_mask(scores, value, query_year, key_year):
    return _pooled(_softmax(scores), value)


OTHER_YEARS = Exercise(
    name="other_years",
    lesson=LESSON,
    title="Only other years",
    kind="write",
    minutes=10,
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
            "the mask upside down",
            "Your mask keeps the query's own year and drops the others. True means: may attend.",
            _own_year,
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
            _earlier_years,
        ),
        Misconception(
            "no mask",
            "The query's own year still has weight. Build the mask from the two year arrays and "
            "apply it to the scores.",
            _no_mask,
        ),
    ],
    own=["attnfuse.attention.softmax", "attnfuse.attention.attention_pooling"],
    reread="section 5, A day may not see itself",
    hint="`mask = query_year[:, None] != key_year` has shape (T, S). Put `-np.inf` where it is "
    "False, then softmax. Where a row of the mask has no True at all, the weights are 0.",
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
        """Each year has the same days, and its weather lasts for a while."""
        middle = rng.choice(np.arange(20, 346), count - 2, replace=False)
        days = np.sort([rng.integers(1, 8), *middle, rng.integers(358, 366)])  # New Year in between
        day, year = np.tile(days, 3), np.repeat([2012, 2013, 2014], count)
        season = 15 - 9 * np.cos(2 * np.pi * day / YEAR)
        order = rng.permutation(len(day))
        weather = np.repeat(rng.normal(0, 4, (len(day) + 2) // 3), 3)[: len(day)]
        return Case(
            {
                "bandwidths": np.array(bandwidths),
                "day": day[order],
                "year": year[order],
                "temperature": (season + weather)[order],
            },
            note,
        )

    return [
        case(2, [50.0], "one bandwidth, six days"),
        case(4, [1.0, 30.0], "a narrow and a wide one"),
        case(7, [0.5, 10.0, 40.0, 150.0]),
    ]


def _errors(bandwidths, day, year, temperature, mask=None, measure=None, apart=None):
    measure = measure or (lambda wrong: np.sqrt(np.mean(wrong**2)))
    apart = days_apart_by_loops(day, day) if apart is None else apart
    errors = []
    for bandwidth in bandwidths:
        scores = -(apart**2) / (2 * bandwidth**2)
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


def _own_year_only(bandwidths, day, year, temperature):
    return _errors(bandwidths, day, year, temperature, ~_mask(year, year))


YEAR_OUT_ERRORS = Exercise(
    name="year_out_errors",
    lesson=LESSON,
    title="How wide?",
    kind="stretch",
    minutes=12,
    difficulty=3,
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
    title="A network that is asked nothing",
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
