"""Pooling with a mask: only other years."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property, properties
from attnfuse.checking.show import same
from attnfuse.exercises.common import softmax
from attnfuse.exercises.lesson_01.shared import GIVE, LESSON, MIX, SAYS, WEIGH, mixed_by_its_weights


def by_loops(scores, value, query_year, key_year):
    T, S = np.shape(scores)
    context, weights = np.zeros(T), np.zeros((T, S))
    for t in range(T):
        allowed = [s for s in range(S) if key_year[s] != query_year[t]]
        highest = max((float(scores[t, s]) for s in allowed), default=0.0)
        total = sum(math.exp(float(scores[t, s]) - highest) for s in allowed)
        for s in allowed:
            weights[t, s] = math.exp(float(scores[t, s]) - highest) / total
            context[t] += weights[t, s] * float(value[s])
    return context, weights


def cases(rng):
    def case(query_year, key_year, note, shift=0.0):
        query_year, key_year = np.array(query_year), np.array(key_year)
        scores = rng.normal(size=(len(query_year), len(key_year))) + shift
        years = {"query_year": query_year, "key_year": key_year}
        return Case({"scores": scores, "value": rng.normal(15, 7, len(key_year)), **years}, note)

    years = [2012, 2013, 2014]
    nearer = np.full((2, 5), -3000.0)
    nearer[0, 1:3], nearer[1, 3] = [-1, 0], 0  # each query's own days, in its own year
    apart = np.add.outer([3000, -6000], [2000, 0, 0])
    return [
        case([2013], years, "one query"),
        case([2013, 2012], [2012, 2012, 2014], "keys of two years"),
        case([2015, 2013, 2015, 2012], [2014, 2012], "a query of a year without keys"),
        case([2012, 2014], [2013, 2012, 2012, 2014, 2013], "the own year is far nearer", nearer),
        case([2012, 2014], [2013, 2012, 2014], "scores and rows thousands apart", apart),
        case([2013, 2012, 2014], [2012, 2012], "no key of another year for one query"),
        case(rng.permutation([*years, 2012]), rng.permutation(years + years), "six keys"),
        case(rng.choice(years, 7), rng.permutation([*years, 2012, 2013]), "seven queries"),
    ]


def sketch(
    scores,
    value,
    query_year,
    key_year,
    *,
    allow=lambda query, key: query != key,
    weigh=softmax,
    empty=lambda scores: 0.0,
    mix=lambda weights, value, scores: weights @ value,
    give=lambda context, weights: (context, weights),
):
    mask = np.broadcast_to(allow(query_year[:, None], key_year[None]), scores.shape)
    weights = weigh(scores, mask)
    weights = np.where(mask.any(axis=-1, keepdims=True), weights, empty(scores))
    return give(mix(weights, value, scores), weights)


def filled(low):
    return lambda scores, mask: softmax(np.where(mask, scores, low))


def without_nan(shift):
    return lambda scores, mask: np.nan_to_num(softmax(scores, mask, shift=shift))


def average_if_empty(weights, value, scores):
    return np.where(weights.any(axis=1), weights @ value, value.mean())


def _nothing_from_the_own_year(attempt, case, rng):
    own = case.inputs["query_year"][:, None] == case.inputs["key_year"][None, :]
    weights = attempt.result["weights"]
    if (abs(weights[own]) > 1e-12).any():
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
        text = f"Query {t}: masking its own year must equal deleting those keys from the record."
        raise Mismatch(text, shorter, got, labels=("deleted", "masked"))


OTHER_YEARS = Exercise(
    name="other_years",
    lesson=LESSON,
    title="Only other years",
    kind="write",
    minutes=8,
    difficulty=3,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"context": "T", "weights": "T S"},
    properties=[
        properties.finite(),
        Property("own year closed", _nothing_from_the_own_year),
        properties.rows_sum_to_one(zero_rows=True),
        Property("a masked key is as if deleted", _like_a_shorter_record),
        mixed_by_its_weights(),
    ],
    sketch=sketch,
    says=SAYS
    + """
    no mask | The query's own year still has weight. Build the mask from the two year arrays and apply it to the scores.
    the mask upside down | Your mask keeps the query's own year and drops the others. True means: may attend.
    earlier years only | You allow earlier years only. Here every other year may be used, later ones too.
    later years only | You allow later years only. Here every other year may be used, earlier ones too.
    earlier years and its own | You allow the own year and earlier ones. Here every *other* year may be used, later ones too.
    neighbouring years only | You allow the years just before and after. Here every other year may be used, however far.
    not the key of the same place | You close the diagonal: key t for query t. Close every key whose *year* is the query's.
    the first query's year for all | You close the first query's year for all queries. Each query has its own: `query_year[:, None]` is a column.
    years side by side | You compare the two year arrays place by place. Each query meets each key, (T, S): `query_year[:, None]` is a column.
    zeros after the softmax | You set weights to 0 after the softmax. The rest of the row no longer sums to 1: the own year still takes its weight, and the forecast is pulled towards 0. Mask the scores, before the softmax.
    zeros, then divided again | The own year's scores take part until after the exponentials. That is right until one is so high that all others have been rounded to 0: then nothing is left to divide. Mask the scores first.
    zeros, then divided by zero | The own year's scores take part until after the exponentials. That is right until one is so high that all others have been rounded to 0: then nothing is left to divide. Mask the scores first.
    one maximum for all rows, NaN to 0 | You take the same number off all rows. In a row thousands below it every exponential is rounded to 0. Each row needs its own maximum, or `attention.softmax`.
    no shift, NaN to 0 | `np.exp(1000)` is infinite and `np.exp(-1000)` is 0. Take off each row's maximum first, or use `attention.softmax`.
    NaN for the others | The *allowed* keys get NaN: minus infinity times 0 is not a number. Put it in place with `np.where` instead of multiplying.
    minus infinity for a weight | You put minus infinity in the place of *weights*. It belongs in the place of scores, before the softmax.
    plus infinity for no | Closed keys have the score *plus* infinity in your answer: the highest there is. It needs a minus.
    score 0 for no | A closed key still has the score 0 (or next to it). That is an ordinary score, e⁰ is 1, and often it is the highest of all. What gets no weight has the score minus infinity.
    -10 for no | What you give to keys of the own year is low, but finite. Where the other scores are lower still, the own year wins. Use minus infinity.
    -100 for no | What you give to keys of the own year is low, but finite. Where the other scores are lower still, the own year wins. Use minus infinity.
    1000 less for no | What you give to keys of the own year is low, but finite. Where the other scores are lower still, the own year wins. Use minus infinity.
    an empty row is uniform | A query without a key of another year must get zero weights. Yours are all equal: the same low score everywhere does that.
    an empty row is not masked | A query without a key of another year must get zero weights. Yours come from its own year: the same number taken off *every* score of a row changes nothing.
    an empty row is NaN | A row in which every key is closed becomes NaN: minus infinity minus minus infinity, or 0/0. Such a row of weights, and its context, must be 0.
    context without the mask | Your context is made from weights without the mask. Use the masked ones.
    context divided again | Where all weights of a row are 0, your context is NaN: dividing by their sum is 0/0. Asked is a zero context.
    an empty row's context is the average | A query whose weights are all 0 gets the plain average as its context. Asked is a zero context.
    """,
    choices={
        "allow": {
            "no mask": lambda query, key: True,
            "the mask upside down": np.equal,
            "earlier years only": np.greater,
            "later years only": np.less,
            "earlier years and its own": np.greater_equal,
            "neighbouring years only": lambda query, key: abs(query - key) == 1,
            "not the key of the same place": lambda q, key: ~np.eye(q.size, key.size, dtype=bool),
            "the first query's year for all": lambda query, key: key != query[0],
            "years side by side": lambda query, key: query[:, 0] != key[0],
        },
        "weigh": WEIGH
        | {
            "zeros after the softmax": lambda scores, mask: softmax(scores, mask, late=True),
            "zeros, then divided again": without_nan("row"),
            "zeros, then divided by zero": lambda scores, mask: softmax(scores, mask, shift="row"),
            "one maximum for all rows, NaN to 0": without_nan("all"),
            "no shift, NaN to 0": without_nan(None),
            "NaN for the others": lambda scores, mask: np.where(mask, np.nan, 0.0),
            "minus infinity for a weight": lambda s, mask: np.where(mask, softmax(s), -np.inf),
            "plus infinity for no": filled(np.inf),
            "score 0 for no": filled(0.0),
            "-10 for no": filled(-10.0),
            "-100 for no": filled(-100.0),
            "1000 less for no": lambda scores, mask: softmax(scores - 1000.0 * ~mask),
        },
        "empty": dict.fromkeys(
            ["no mask", "1000 less for no", "an empty row is not masked"], softmax
        )
        | dict.fromkeys(["zeros, then divided by zero", "plus infinity for no"], lambda s: np.nan)
        | dict.fromkeys(["score 0 for no", "-10 for no", "-100 for no"], lambda s: 1 / s.shape[1])
        | {
            "minus infinity for a weight": lambda scores: -np.inf,
            "an empty row is uniform": lambda scores: 1 / scores.shape[1],
            "an empty row is NaN": lambda scores: np.nan,
        },
        "mix": MIX
        | {
            "context without the mask": lambda weights, value, scores: softmax(scores) @ value,
            "context divided again": lambda w, value, scores: w @ value / w.sum(axis=1),
            "an empty row's context is the average": average_if_empty,
        },
        "give": GIVE,
    },
    own=["attnfuse.attention.attention_pooling"],
    reread="section 5, A day may not see itself",
    hint="`mask = query_year[:, None] != key_year` has shape (T, S). Put `-np.inf` where it is False, then `attention.softmax`. With a softmax of your own, a row of nothing but `-np.inf` becomes NaN: set its weights to 0.",
)
