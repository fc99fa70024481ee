"""Lesson 03, gradients of attention: what its exercises must satisfy."""

import math

import numpy as np

from attnfuse.checking import (
    Case,
    Exercise,
    Misconception,
    Mismatch,
    Option,
    Property,
    Quiz,
    properties,
)

LESSON = "03_attention_gradients"


def _softmax(scores, mask=True):
    """Vectorised, for the wrong answers below; rows without an allowed key are zeros."""
    shifted = np.where(mask, scores, -np.inf)
    top = shifted.max(axis=-1, keepdims=True)
    powers = np.exp(shifted - np.where(np.isfinite(top), top, 0))
    total = powers.sum(axis=-1, keepdims=True)
    return powers / np.where(total > 0, total, 1)


def _allowed(mask):
    return True if mask is None else np.asarray(mask, dtype=bool)


def _turn(x):
    return np.swapaxes(x, -1, -2)


def _backward(weights, d_weights):
    return weights * (d_weights - (weights * d_weights).sum(axis=-1, keepdims=True))


def _diagonal_only(weights, d_weights):
    return weights * (1 - weights) * d_weights


def _product_only(weights, d_weights):
    return weights * d_weights


# -- pull (a prediction) --------------------------------------------------------------------------

SCORES, VALUES = np.log([2.0, 1.0, 1.0]), np.array([10.0, 20.0, 40.0])


def pulls():
    """Slope of the context for each score, by central differences."""
    slopes = []
    for s in range(3):
        nudge = 1e-5 * np.eye(3)[s]
        ahead, behind = (_softmax(SCORES + sign * nudge) @ VALUES for sign in (1, -1))
        slopes.append((ahead - behind) / 2e-5)
    return tuple(slopes)


PULL = Exercise(
    name="pull",
    lesson=LESSON,
    title="Which score moves the context where?",
    kind="predict",
    minutes=6,
    difficulty=1,
    points=2,
    reference=pulls,
    value=True,
    misconceptions=[
        Misconception(
            "weight times value",
            "You multiplied weight and value, as if only the key's own weight moved, and as fast as the weight "
            "itself. The other two weights shrink meanwhile: count what they take away.",
            (5, 5, 10),
        ),
        Misconception(
            "diagonal only",
            "Your slopes are w(1 - w) × value: the key's own weight grows, and that is right. But the other two "
            "weights shrink, at -w·w' each, and take their values with them.",
            (2.5, 3.75, 7.5),
        ),
        Misconception(
            "others only",
            "You counted what the other keys lose and left out what the key itself gains: w(1 - w) × its value.",
            (-7.5, -3.75, -2.5),
        ),
        Misconception(
            "weight forgotten",
            "You have how far each value lies from the context: half of the truth. A score moves the context in "
            "proportion to its key's weight.",
            (-10, 0, 20),
        ),
        Misconception(
            "always upwards",
            "A higher score of key 1 gives more weight to the value 10, below the context of 20. Which way does the "
            "context go?",
            (5, 0, 5),
        ),
        Misconception(
            "slopes of the weights",
            "Those are slopes of *weights*, one row of the table. The context is their sum with the values: "
            "multiply by 10, 20 and 40 and add up.",
            (0.25, -0.125, -0.125),
        ),
        Misconception(
            "other direction",
            "The sizes are right, the directions are not. More weight for the value 10 pulls a context of 20 *down*; "
            "more for 40 pulls it up.",
            (5, 0, -5),
        ),
        Misconception(
            "values",
            "Those are the values: slopes for the *weights*. A score moves all three weights; go through the table of "
            "slopes first.",
            (10, 20, 40),
        ),
        Misconception(
            "weights",
            "Those are the weights. How much does the *context* change when a score grows?",
            (0.5, 0.25, 0.25),
        ),
    ],
    reread="section 2",
    hint="Take one row of the table of slopes: key 1's score changes the three weights by 1/4, -1/8 and -1/8. "
    "Multiply by the three values and add. Then the other two rows.",
    rtol=1e-3,
    atol=1e-3,
)

# -- softmax_gradient -----------------------------------------------------------------------------


def softmax_gradient_by_loops(weights, d_weights):
    """The definition: every weight i, for every score s, through the Jacobian."""
    T, S = weights.shape
    d_scores = np.zeros((T, S))
    for t in range(T):
        for s in range(S):
            for i in range(S):
                slope = float(weights[t, i]) * ((1.0 if i == s else 0.0) - float(weights[t, s]))
                d_scores[t, s] += float(d_weights[t, i]) * slope
    return d_scores


def _partial_mask(rng, *shape):
    """At least one key allowed and one forbidden in every row."""
    mask = rng.random(shape) < 0.5
    places = np.argsort(rng.random(shape), axis=-1)
    np.put_along_axis(mask, places[..., :1], True, axis=-1)
    np.put_along_axis(mask, places[..., 1:2], False, axis=-1)
    return mask


def softmax_gradient_cases(rng):
    def case(T, S, note, scale=1.0, mask=True, dtype=float):
        weights = _softmax(scale * rng.standard_normal((T, S)), mask)
        slopes = rng.standard_normal((T, S)) + 1
        return Case({"weights": weights.astype(dtype), "d_weights": slopes.astype(dtype)}, note)

    nobody = _partial_mask(rng, 4, 5)
    nobody[2] = False
    by_hand = {"weights": np.array([[0.5, 0.25, 0.25]]), "d_weights": VALUES[None]}
    return [
        case(2, 1, "one key: its weight is 1, whatever its score"),
        Case(by_hand, "the example worked by hand"),
        case(1, 4, "one query"),
        case(2, 3, "two queries"),
        case(4, 4, "as many queries as keys"),
        case(3, 5, "sharp weights", scale=20),
        case(3, 6, "some keys are masked", mask=_partial_mask(rng, 3, 6)),
        case(4, 5, "query 2 may see no key", mask=nobody),
        case(3, 7, "float32", dtype=np.float32),
    ]


def _test_rows_cancel(attempt, case, rng):
    sums = np.asarray(attempt.result["d_scores"], dtype=float).sum(axis=-1)
    if not np.allclose(sums, 0, atol=1e-5):
        raise Mismatch(
            "Adding the same number to all scores of a row changes no weight, so the slopes of a row "
            "must sum to 0; sums:",
            got=sums,
        )


def _test_no_weight_no_slope(attempt, case, rng):
    hidden = case.inputs["weights"] == 0
    if np.any(attempt.result["d_scores"][hidden] != 0):
        raise Mismatch("A key with weight 0 has the slope 0.", got=attempt.result["d_scores"])


SOFTMAX_GRADIENT = Exercise(
    name="softmax_gradient",
    lesson=LESSON,
    title="Backward through softmax",
    kind="write",
    minutes=8,
    difficulty=2,
    points=2,
    reference=softmax_gradient_by_loops,
    cases=softmax_gradient_cases,
    outputs={"d_scores": "T S"},
    properties=[
        properties.finite(),
        Property("masked keys get no slope", _test_no_weight_no_slope),
        Property("slopes of a row cancel", _test_rows_cancel),
    ],
    misconceptions=[
        Misconception(
            "diagonal only",
            "Your slope is w(1 - w) times d_weights: the diagonal of the table alone. Every score also moves all "
            "*other* weights of its row, by -w·w' each. (That p(1 - p) is right for a sigmoid, where there are no "
            "others.)",
            _diagonal_only,
        ),
        Misconception(
            "product only",
            "You multiply by the weights and stop. Take the row's weighted mean of d_weights off first: a score "
            "that rises takes weight from everybody.",
            _product_only,
        ),
        Misconception(
            "others with the wrong sign",
            "The sign of the other keys is wrong: when a score rises, the other weights *shrink*, by -w·w'.",
            lambda weights, d_weights: (
                weights
                * (
                    d_weights
                    + (weights * d_weights).sum(axis=-1, keepdims=True)
                    - 2 * weights * d_weights
                )
            ),
        ),
        Misconception(
            "mean added",
            "You add the row's weighted mean; it is taken off. A key that does as well as the mean gets no slope.",
            lambda weights, d_weights: (
                weights * (d_weights + (weights * d_weights).sum(axis=-1, keepdims=True))
            ),
        ),
        Misconception(
            "plain mean",
            "You take off the plain mean of d_weights. It is the mean *under the weights*: "
            "`(weights * d_weights).sum(...)`.",
            lambda weights, d_weights: (
                weights * (d_weights - d_weights.mean(axis=-1, keepdims=True))
            ),
        ),
        Misconception(
            "mean of the products",
            "You take the *mean* of weights × d_weights. The weights already sum to 1: take the sum.",
            lambda weights, d_weights: (
                weights * (d_weights - (weights * d_weights).mean(axis=-1, keepdims=True))
            ),
        ),
        Misconception(
            "sum over queries",
            "You sum over the queries, axis 0. Each row is a softmax of its own: sum over the keys, axis -1.",
            lambda weights, d_weights: weights * (d_weights - (weights * d_weights).sum(axis=0)),
        ),
        Misconception(
            "sum over everything",
            "You sum over the whole array. Each row is a softmax of its own: sum over the keys, axis -1.",
            lambda weights, d_weights: weights * (d_weights - (weights * d_weights).sum()),
        ),
        Misconception(
            "keepdims forgotten",
            "Your sum has shape (T,), and NumPy lines it up with the *keys*: an error, or worse, none where T = S. "
            "`keepdims=True` makes it (T, 1).",
            lambda weights, d_weights: weights * (d_weights - (weights * d_weights).sum(axis=-1)),
        ),
        Misconception(
            "not multiplied by the weight",
            "You have how much better each key does than the mean. Multiply by the key's weight: who has none, "
            "moves nothing.",
            lambda weights, d_weights: (
                d_weights - (weights * d_weights).sum(axis=-1, keepdims=True)
            ),
        ),
        Misconception(
            "sign turned round",
            "The size is right, the sign is not: a key that does *better* than the row's mean has the slope of its "
            "advantage, d_weights - mean.",
            lambda weights, d_weights: -_backward(weights, d_weights),
        ),
        Misconception(
            "mean not multiplied by the weight",
            "You take the whole row's mean off each product. A key pays only its share of it: brackets, "
            "weights * (d_weights - mean).",
            lambda weights, d_weights: (
                weights * d_weights - (weights * d_weights).sum(axis=-1, keepdims=True)
            ),
        ),
        Misconception(
            "plain sum",
            "You take off the plain sum of d_weights. It is the sum *under the weights*: "
            "`(weights * d_weights).sum(...)`.",
            lambda weights, d_weights: (
                weights * (d_weights - d_weights.sum(axis=-1, keepdims=True))
            ),
        ),
        Misconception(
            "softmax again",
            "You put `weights` through a softmax again. They are weights already; only the way back is asked for.",
            lambda weights, d_weights: _backward(_softmax(weights), d_weights),
        ),
        Misconception(
            "the mean of every other row",
            "`weights @ d_weights.T` pairs each row with all rows, (T, T). Only a row with itself counts: multiply "
            "elementwise and sum over axis -1.",
            lambda weights, d_weights: weights * (d_weights - weights @ d_weights.T),
        ),
    ],
    own=["attnfuse.gradients.softmax_gradient", "attnfuse.gradients.attention_gradients"],
    reread="section 2",
    hint="weight × (d_weights - the row's mean of d_weights under the weights). The mean is a sum over the last axis "
    "with `keepdims=True`.",
)

# -- attend_backward ------------------------------------------------------------------------------


def attend_backward_by_loops(query, key, value, d_context, mask=None):
    """The chain rule, one number at a time."""
    B, T, H = query.shape
    S, V = value.shape[1:]
    mask = np.broadcast_to(_allowed(mask), (B, T, S))
    d_query, d_key, d_value = (np.zeros(x.shape) for x in (query, key, value))
    root = math.sqrt(H)
    for b in range(B):
        for t in range(T):
            keys = [s for s in range(S) if mask[b, t, s]]
            scores = {s: _dot(query[b, t], key[b, s]) / root for s in keys}
            top = max(scores.values(), default=0.0)
            total = sum(math.exp(scores[s] - top) for s in keys)
            weights = {s: math.exp(scores[s] - top) / total for s in keys}
            d_weights = {s: _dot(d_context[b, t], value[b, s]) for s in keys}
            for s in keys:
                for v in range(V):
                    d_value[b, s, v] += weights[s] * float(d_context[b, t, v])
                d_score = sum(
                    d_weights[i] * weights[i] * ((1.0 if i == s else 0.0) - weights[s])
                    for i in keys
                )
                for h in range(H):
                    d_query[b, t, h] += d_score * float(key[b, s, h]) / root
                    d_key[b, s, h] += d_score * float(query[b, t, h]) / root
    return d_query, d_key, d_value


def _dot(a, b):
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def _draw(rng, B, T, S, H, V, dtype=float):
    shapes = {"query": (B, T, H), "key": (B, S, H), "value": (B, S, V), "d_context": (B, T, V)}
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


def attend_backward_cases(rng):
    huge = _draw(rng, 1, 2, 4, 5, 3)
    first = huge["key"][0, 0]
    huge["query"][0, 0] = 5e3 * math.sqrt(5) * first / (first @ first)  # score 5,000 for key 0
    nothing = _partial_mask(rng, 2, 3, 5)
    nothing[1, 2] = False
    return [
        Case({**_draw(rng, 1, 1, 1, 2, 3), "mask": None}, "one key"),
        Case({**_draw(rng, 1, 2, 3, 4, 5), "mask": None}, "no mask"),
        Case({**_draw(rng, 1, 3, 3, 4, 2), "mask": None}, "as many queries as keys"),
        Case({**_draw(rng, 2, 3, 5, 4, 6), "mask": None}, "no mask, two items"),
        Case({**_draw(rng, 2, 3, 5, 4, 6), "mask": _partial_mask(rng, 2, 3, 5)}, "a mask"),
        Case({**_draw(rng, 3, 2, 4, 6, 5), "mask": _partial_mask(rng, 3, 1, 4)}, "mask (B, 1, S)"),
        Case({**huge, "mask": None}, "a score of 5,000"),
        Case({**_draw(rng, 2, 3, 4, 5, 1, np.float32), "mask": None}, "float32"),
        Case({**_draw(rng, 2, 3, 5, 4, 6), "mask": nothing}, "item 1, query 2 may see no key"),
    ]


def _attend_backward(
    softmax=_softmax,
    through=_backward,
    d_key=None,
    d_value=None,
    scale=None,
    also_value=False,
    forwards=None,
):
    """The backward pass with one step replaced."""

    def wrong(query, key, value, d_context, mask=None):
        root = math.sqrt(query.shape[-1])
        scores = query @ _turn(key) / (root if forwards is None else forwards(query, key, value))
        mask = np.broadcast_to(_allowed(mask), scores.shape)
        weights = softmax(scores, mask)
        d_scores = through(weights, d_context @ _turn(value))
        d_scores = d_scores / (root if scale is None else scale(query, key, value))
        to_key = d_key(d_scores, query) if d_key else _turn(d_scores) @ query
        to_value = d_value(weights, d_context) if d_value else _turn(weights) @ d_context
        return d_scores @ key, to_key, to_value / root if also_value else to_value

    return wrong


def _uniform_without_keys(scores, mask):
    return _softmax(np.where(mask, scores, -1e9))


def _nan_without_keys(scores, mask):
    return np.where(mask.any(axis=-1, keepdims=True), _softmax(scores, mask), np.nan)


def _without_max_shift(scores, mask):
    powers = np.where(mask, np.exp(scores), 0)
    total = powers.sum(axis=-1, keepdims=True)
    return powers / np.where(total == 0, 1, total)


def _over_queries(weights, d_weights):
    return weights * (d_weights - (weights * d_weights).sum(axis=-2, keepdims=True))


def _plus_mean(weights, d_weights):
    return weights * (d_weights + (weights * d_weights).sum(axis=-1, keepdims=True))


def _dealt_out_again(d_scores, query):
    B, T, S = d_scores.shape
    return d_scores.reshape(B, S, T) @ query


def _root_of_queries(query, key, value):
    return math.sqrt(query.shape[1])


def _key_slope_not_divided(query, key, value, d_context, mask=None):
    d_query, d_key, d_value = _attend_backward()(query, key, value, d_context, mask)
    return d_query, d_key * math.sqrt(query.shape[-1]), d_value


def _query_slope_not_divided(query, key, value, d_context, mask=None):
    d_query, d_key, d_value = _attend_backward()(query, key, value, d_context, mask)
    return d_query * math.sqrt(query.shape[-1]), d_key, d_value


def _value_before_key(query, key, value, d_context, mask=None):
    d_query, d_key, d_value = _attend_backward()(query, key, value, d_context, mask)
    return d_query, d_value, d_key


def _mask_on_slopes_only(query, key, value, d_context, mask=None):
    """The weights of all keys; masked places of d_scores set to zero afterwards."""
    root = math.sqrt(query.shape[-1])
    weights = _softmax(query @ _turn(key) / root)
    d_scores = _backward(weights, d_context @ _turn(value)) * _allowed(mask) / root
    return d_scores @ key, _turn(d_scores) @ query, _turn(weights) @ d_context


def _d_context_ignored(query, key, value, d_context, mask=None):
    return _attend_backward()(query, key, value, np.ones_like(d_context), mask)


def _test_keys_cancel(attempt, case, rng):
    """The same vector added to every key moves all scores of a row alike: no weight changes."""
    sums = np.asarray(attempt.result["d_key"], dtype=float).sum(axis=-2)
    if not np.allclose(sums, 0, atol=1e-6 * max(1, np.abs(case.inputs["query"]).max())):
        raise Mismatch(
            "The same small step for *all* keys moves all scores of a row alike, and no weight "
            "changes. So `d_key` must sum to 0 over the keys; sums:",
            got=sums,
        )


def _test_values_take_it_all(attempt, case, rng):
    """Every query hands its whole slope to the values, in shares."""
    inputs = case.inputs
    shape = (*inputs["query"].shape[:-1], inputs["key"].shape[-2])
    sees = np.broadcast_to(_allowed(inputs["mask"]), shape).any(axis=-1)
    want = (inputs["d_context"] * sees[..., None]).sum(axis=-2)
    got = np.asarray(attempt.result["d_value"], dtype=float).sum(axis=-2)
    if not np.allclose(want, got, rtol=1e-4, atol=1e-4):
        raise Mismatch(
            "Weights sum to 1, so `d_value`, summed over keys, must be `d_context`, summed over the "
            "queries that see a key.",
            expected=want,
            got=got,
        )


ATTEND_BACKWARD = Exercise(
    name="attend_backward",
    lesson=LESSON,
    title="Backward through attention",
    kind="write",
    minutes=15,
    difficulty=3,
    points=2,
    reference=attend_backward_by_loops,
    cases=attend_backward_cases,
    outputs={"d_query": "B T H", "d_key": "B S H", "d_value": "B S V"},
    properties=[
        properties.finite(),
        Property("values take the whole slope", _test_values_take_it_all),
        Property("slopes of the keys cancel", _test_keys_cancel),
        properties.batch_items_do_not_mix("d_query"),
        properties.batch_items_do_not_mix("d_key"),
        properties.key_order_is_irrelevant("d_query"),
        properties.masked_equals_deleted("d_query"),
    ],
    misconceptions=[
        Misconception(
            "1/√H forgotten",
            "The forward pass divides by √H, so the slopes of query and key are divided by √H, too: a score moves "
            "only 1/√H as far as q·k.",
            _attend_backward(scale=lambda query, key, value: 1.0),
        ),
        Misconception(
            "no 1/√H anywhere",
            "Your scores are not divided by √H, forwards or backwards. The layer is softmax(query keyᵀ / √H) value.",
            _attend_backward(
                forwards=lambda query, key, value: 1.0, scale=lambda query, key, value: 1.0
            ),
        ),
        Misconception(
            "root of the number of queries",
            "You divide by the root of T, the number of queries. H is the *width* of a query: its last axis.",
            _attend_backward(forwards=_root_of_queries, scale=_root_of_queries),
        ),
        Misconception(
            "d_key not divided",
            "`d_query` is divided by √H and `d_key` is not. Both come from `d_scores`: divide that, once.",
            _key_slope_not_divided,
        ),
        Misconception(
            "d_query not divided",
            "`d_key` is divided by √H and `d_query` is not. Both come from `d_scores`: divide that, once.",
            _query_slope_not_divided,
        ),
        Misconception(
            "softmax left out",
            "You hand `d_weights` on as `d_scores`. Between them lies the softmax: use `gradients.softmax_gradient`.",
            _attend_backward(through=lambda weights, d_weights: d_weights),
        ),
        Misconception(
            "value before key",
            "The order is (d_query, d_key, d_value); you return the value's slope before the key's.",
            _value_before_key,
        ),
        Misconception(
            "divided by H",
            "You divide by H: 1/√H once too often. The slope passes that division once.",
            _attend_backward(scale=lambda query, key, value: query.shape[-1]),
        ),
        Misconception(
            "1/√H for the value as well",
            "You divide `d_value` by √H. Values do not pass through the scores: `d_value` knows no √H.",
            _attend_backward(also_value=True),
        ),
        Misconception(
            "diagonal only",
            "You go through the softmax with w(1 - w): the diagonal alone. Every score moves all weights of its row; "
            "use exercise 2.",
            _attend_backward(through=_diagonal_only),
        ),
        Misconception(
            "product only",
            "You go through the softmax with weights × d_weights. The row's weighted mean is missing; use exercise 2.",
            _attend_backward(through=_product_only),
        ),
        Misconception(
            "mean added",
            "In the softmax you add the row's weighted mean; it is taken off.",
            _attend_backward(through=_plus_mean),
        ),
        Misconception(
            "sum over queries",
            "In the softmax you sum over the queries. Each query's row is a softmax of its own: axis -1.",
            _attend_backward(through=_over_queries),
        ),
        Misconception(
            "key product not transposed",
            "`d_key` has a row for each *key*, so d_scores must be turned: (S, T) @ (T, H). Yours multiplies "
            "(T, S) by (T, H); where T = S that gives no error and a wrong result.",
            _attend_backward(d_key=lambda d_scores, query: d_scores @ query),
        ),
        Misconception(
            "value product not transposed",
            "`d_value` has a row for each *key*, so the weights must be turned: (S, T) @ (T, V). Where T = S the "
            "other product gives no error and a wrong result.",
            _attend_backward(d_value=lambda weights, d_context: weights @ d_context),
        ),
        Misconception(
            "reshaped instead of transposed",
            "You `reshape` d_scores to (B, S, T). That deals the same numbers out again in another order; to turn "
            "axes round, use `np.swapaxes(d_scores, -1, -2)`.",
            _attend_backward(d_key=_dealt_out_again),
        ),
        Misconception(
            "mask not used",
            "Your backward pass computes the weights again, without the mask: masked keys get slopes.",
            _attend_backward(softmax=lambda scores, mask: _softmax(scores)),
        ),
        Misconception(
            "mask on d_scores only",
            "You set `d_scores` to zero where the mask is False, but the weights were shared among all keys. The mask "
            "belongs into the softmax: `attention.softmax(scores, mask)`; the zeros then come by themselves.",
            _mask_on_slopes_only,
        ),
        Misconception(
            "mask after the softmax",
            "You set weights to zero after the softmax, so the others keep too little. Mask before the softmax, "
            "as in the forward pass.",
            _attend_backward(softmax=lambda scores, mask: _softmax(scores) * mask),
        ),
        Misconception(
            "mask inverted",
            "Your mask works the wrong way round: True means that the query *may* attend.",
            _attend_backward(
                softmax=lambda scores, mask: _softmax(scores, True if mask.all() else ~mask)
            ),
        ),
        Misconception(
            "a row without keys is uniform",
            "A query that may see no key spreads its slope evenly over all of them (-1e9 for every score does that). "
            "Its context is zero whatever the others are: it must add zeros.",
            _attend_backward(softmax=_uniform_without_keys),
        ),
        Misconception(
            "a row without keys is NaN",
            "A query that may see no key gives 0/0, and one NaN row spoils `d_key` and `d_value` for all. "
            "`attention.softmax` with its mask gives zeros there.",
            _attend_backward(softmax=_nan_without_keys),
        ),
        Misconception(
            "without the max-shift",
            "Your exponentials overflow where scores are large. `attention.softmax` takes the maximum off first.",
            _attend_backward(softmax=_without_max_shift),
        ),
        Misconception(
            "d_context ignored",
            "Your slopes are those of the *sum* of the context: `d_context`, the slope that arrives from behind, "
            "takes no part.",
            _d_context_ignored,
        ),
    ],
    own=["attnfuse.gradients.attention_gradients"],
    reread="section 3",
    hint="Weights with `attention.softmax(scores, mask)`. Then backwards: `d_value` and `d_weights` from "
    "`d_context`; `d_scores` with `gradients.softmax_gradient`; divide by √H; two more matrix products. Write the "
    "shape of each result first.",
)

# -- gradient_test (stretch) ----------------------------------------------------------------------

right = _attend_backward()


def right_by_einsum(query, key, value, d_context, mask=None):
    """Right, in another order of operations."""
    scores = np.einsum("bth,bsh->bts", query, key) * query.shape[-1] ** -0.5
    weights = _softmax(scores, _allowed(mask))
    context = weights @ value
    d_weights = np.einsum("btv,bsv->bts", d_context, value)
    d_scores = weights * (d_weights - np.sum(d_context * context, axis=-1, keepdims=True))
    d_scores = d_scores * query.shape[-1] ** -0.5
    return (
        np.einsum("bts,bsh->bth", d_scores, key),
        np.einsum("bts,bth->bsh", d_scores, query),
        np.einsum("bts,btv->bsv", weights, d_context),
    )


forgets_the_scale = _attend_backward(scale=lambda query, key, value: 1.0)
scales_the_value = _attend_backward(also_value=True)
takes_the_diagonal = _attend_backward(through=_diagonal_only)
forgets_the_mask = _attend_backward(softmax=lambda scores, mask: _softmax(scores))


def forgets_d_context(query, key, value, d_context, mask=None):
    """The slopes of the plain sum of the context."""
    return _d_context_ignored(query, key, value, d_context, mask)


def one_percent_off(query, key, value, d_context, mask=None):
    """d_key is 1 % too large."""
    d_query, d_key, d_value = right(query, key, value, d_context, mask)
    return d_query, 1.01 * d_key, d_value


SUSPECTS = [
    (right, True, "a right one"),
    (right_by_einsum, True, "a right one that works in another order"),
    (forgets_the_scale, False, "it forgets 1/√H"),
    (takes_the_diagonal, False, "it takes the diagonal of the softmax alone"),
    (forgets_the_mask, False, "it forgets the mask"),
    (scales_the_value, False, "it divides d_value by √H"),
    (one_percent_off, False, "its d_key is 1 % too large"),
    (forgets_d_context, False, "it ignores d_context"),
]
for _suspect, _, _ in SUSPECTS:  # a message shows the name: it must not give a wrong hint
    _suspect.__name__ = "suspect"
NAMES = ("query", "key", "value")


def _loss(inputs, d_context, mask):
    scores = inputs["query"] @ _turn(inputs["key"]) / math.sqrt(inputs["query"].shape[-1])
    return float(np.sum(_softmax(scores, _allowed(mask)) @ inputs["value"] * d_context))


def _slopes(inputs, d_context, mask, name, step, central=True):
    slopes = np.zeros(inputs[name].shape)
    for place in np.ndindex(slopes.shape):
        ends = []
        for way in (1, -1 if central else 0):
            moved = {**inputs, name: inputs[name].copy()}
            moved[name][place] += way * step
            ends.append(_loss(moved, d_context, mask))
        slopes[place] = (ends[0] - ends[1]) / (2 * step if central else step)
    return slopes


def _a_test(near, names=NAMES, H=4, masked=True, ones=False, step=1e-5, central=True):
    """A learner's test: small random arrays, and `near(analytic, numerical)` for each of `names`."""

    def wrong(backward):
        inputs = _draw(np.random.default_rng(5), 1, 2, 3, H, 2)
        d_context = inputs.pop("d_context")
        if ones:
            d_context = np.ones_like(d_context)
        mask = np.array([[[True, True, False], [True, True, True]]]) if masked else None
        got = dict(zip(NAMES, backward(**inputs, d_context=d_context, mask=mask), strict=True))
        return all(
            near(got[name], _slopes(inputs, d_context, mask, name, step, central)) for name in names
        )

    return wrong


def _near(a, b):
    return bool(np.allclose(a, b, rtol=1e-5, atol=1e-7))


def _roughly(a, b):
    return bool(np.abs(a - b).max() < 0.05 * np.abs(b).max())


def _same_direction(a, b):
    return bool(np.sum(a * b) > 0.9999 * np.linalg.norm(a) * np.linalg.norm(b))


GRADIENT_TEST = Exercise(
    name="gradient_test",
    lesson=LESSON,
    title="Write the gradient check yourself",
    kind="stretch",
    minutes=12,
    difficulty=3,
    points=0,
    reference=lambda backward: next(verdict for f, verdict, _ in SUSPECTS if f is backward),
    cases=lambda rng: [Case({"backward": function}, note) for function, _, note in SUSPECTS],
    outputs={"verdict": ""},
    misconceptions=[
        Misconception(
            "query only",
            "Your check looks at `d_query` alone. Compare all three: a fault may sit in one of them only.",
            _a_test(_near, names=("query",)),
        ),
        Misconception(
            "query and key only",
            "Your check never looks at `d_value`.",
            _a_test(_near, names=("query", "key")),
        ),
        Misconception(
            "no mask",
            "Your check never passes a mask, so a backward pass that forgets it goes through.",
            _a_test(_near, masked=False),
        ),
        Misconception(
            "width 1",
            "Your arrays have the width H = 1, where √H is 1 and a forgotten division cannot show.",
            _a_test(_near, H=1),
        ),
        Misconception(
            "slope 1 everywhere",
            "Your loss is the plain sum of the context, so `d_context` is 1 everywhere, and whoever ignores it goes "
            "through. Draw it at random.",
            _a_test(_near, ones=True),
        ),
        Misconception(
            "too loose",
            "Your check lets an error of 1 % pass. In float64, with a step near 1e-5, right gradients agree to eight "
            "digits or so: ask for five at least.",
            _a_test(_roughly),
        ),
        Misconception(
            "direction only",
            "Your check compares directions, so a wrong factor goes through. Compare the numbers.",
            _a_test(_same_direction),
        ),
        Misconception(
            "rejects right ones",
            "Your check rejects right gradients, too. Is the step so small that rounding wins (1e-5 is good), is the "
            "difference one-sided, do you compare with `==`, or is True never returned?",
            _a_test(_near, step=1e-14),
        ),
        Misconception(
            "everything passes",
            "Your check lets every function pass, the wrong ones included. Try it on one that forgets the scale.",
            lambda backward: True,
        ),
    ],
    reread="section 4",
    hint="Draw small arrays, a mask and a random `d_context`. The loss is `np.sum(context * d_context)`. Compare what "
    "`backward` returns with `numerical_gradient` of that loss, for query, key and value.",
)

# -- one_matrix (a bug) ---------------------------------------------------------------------------


def one_matrix_by_loops(pictures, memory, W, value, d_context, mask=None):
    """Each number of W, through each query and each key that uses it."""
    query, key = (
        np.asarray(x, dtype=float) @ np.asarray(W, dtype=float) for x in (pictures, memory)
    )
    (T, D), S, H = pictures.shape, len(memory), W.shape[1]
    mask = None if mask is None else np.broadcast_to(mask, (T, S))[None]
    d_query, d_key, _ = attend_backward_by_loops(
        query[None], key[None], value[None], d_context[None], mask
    )
    d_W = np.zeros((D, H))
    for d in range(D):
        for h in range(H):
            for t in range(T):
                d_W[d, h] += float(pictures[t, d]) * d_query[0, t, h]
            for s in range(S):
                d_W[d, h] += float(memory[s, d]) * d_key[0, s, h]
    return d_W


def one_matrix_cases(rng):
    def case(T, S, D, H, V, note, mask=None, same=False):
        shapes = {"pictures": (T, D), "memory": (S, D), "W": (D, H), "value": (S, V)}
        inputs = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
        if same:
            inputs["memory"] = inputs["pictures"].copy()
        inputs["d_context"] = rng.standard_normal((T, V))
        return Case({**inputs, "mask": mask}, note)

    nobody = _partial_mask(rng, 3, 5)
    nobody[1] = False
    return [
        case(1, 2, 3, 1, 4, "one query, width 1"),
        case(2, 3, 4, 5, 1, "no mask"),
        case(3, 5, 4, 2, 6, "a mask", mask=_partial_mask(rng, 3, 5)),
        case(
            4,
            4,
            3,
            2,
            5,
            "pictures look at each other, not at themselves",
            ~np.eye(4, dtype=bool),
            True,
        ),
        case(3, 5, 2, 4, 6, "query 1 may see no key", mask=nobody),
    ]


def _one_matrix(join, root=lambda H: math.sqrt(H), through=_backward, softmax=_softmax, turn=_turn):
    """The slope of W, with one step replaced; `join(query's part, key's part)`."""

    def wrong(pictures, memory, W, value, d_context, mask=None):
        query, key = pictures @ W, memory @ W
        scores = query @ key.T / math.sqrt(W.shape[1])
        weights = softmax(scores, np.broadcast_to(_allowed(mask), scores.shape))
        d_scores = through(weights, d_context @ value.T) / root(W.shape[1])
        return join(pictures.T @ (d_scores @ key), memory.T @ (turn(d_scores) @ query))

    return wrong


def _both(a, b):
    return a + b


def _one_part_divided(divided, other):
    """One part of the slope divided by √H, the other not."""
    with_root, without = _one_matrix(divided), _one_matrix(other, root=lambda H: 1.0)
    return lambda pictures, memory, W, value, d_context, mask=None: (
        with_root(pictures, memory, W, value, d_context, mask)
        + without(pictures, memory, W, value, d_context, mask)
    )


def _root_of_pixels(pictures, memory, W, value, d_context, mask=None):
    """√D instead of √H, forwards and backwards."""
    query, key, root = pictures @ W, memory @ W, math.sqrt(len(W))
    weights = _softmax(query @ key.T / root, _allowed(mask))
    d_scores = _backward(weights, d_context @ value.T) / root
    return pictures.T @ (d_scores @ key) + memory.T @ (d_scores.T @ query)


ONE_MATRIX = Exercise(
    name="one_matrix",
    lesson=LESSON,
    title="The loss falls, the gradient is wrong",
    kind="bug",
    minutes=10,
    difficulty=2,
    points=2,
    reference=one_matrix_by_loops,
    cases=one_matrix_cases,
    outputs={"d_W": "D H"},
    properties=[properties.finite()],
    misconceptions=[
        Misconception(
            "as it was",
            "Both faults are still in it: the second `slope = …` throws the first away, and a step of the forward "
            "pass has no counterpart.",
            _one_matrix(lambda a, b: b, root=lambda H: 1.0),
        ),
        Misconception(
            "key's part only",
            "√H is repaired. But W is used twice, for the queries and for the keys, and the second `slope = …` "
            "still throws the first away.",
            _one_matrix(lambda a, b: b),
        ),
        Misconception(
            "√H still missing",
            "The two parts are added, which is right. The other fault: the forward pass divides the scores by √H, "
            "the backward pass does not.",
            _one_matrix(_both, root=lambda H: 1.0),
        ),
        Misconception(
            "query's part only",
            "You kept the query's part and threw the key's away. W is used twice; both uses count.",
            _one_matrix(lambda a, b: a),
        ),
        Misconception(
            "query's part only, without √H",
            "You kept the query's part and threw the key's away, and the division by √H is still missing.",
            _one_matrix(lambda a, b: a, root=lambda H: 1.0),
        ),
        Misconception(
            "averaged",
            "You average the two parts. A number that is used twice moves the loss twice: add them.",
            _one_matrix(lambda a, b: (a + b) / 2),
        ),
        Misconception(
            "query's part divided only",
            "The query's part is divided by √H, the key's part is not. Both come from `d_scores`: divide that.",
            _one_part_divided(lambda a, b: a, lambda a, b: b),
        ),
        Misconception(
            "key's part divided only",
            "The key's part is divided by √H, the query's part is not. Both come from `d_scores`: divide that.",
            _one_part_divided(lambda a, b: b, lambda a, b: a),
        ),
        Misconception(
            "root of D",
            "You divide by √D, the number of pixels. H is the width of a projected query: `W.shape[1]`.",
            _root_of_pixels,
        ),
        Misconception(
            "divided by H",
            "You divide by H; the forward pass divides by its square root.",
            _one_matrix(_both, root=lambda H: H),
        ),
        Misconception(
            "multiplied by √H",
            "You multiply by √H. Where the forward pass divides by a number, so does the backward pass.",
            _one_matrix(_both, root=lambda H: 1 / math.sqrt(H)),
        ),
        Misconception(
            "key product not transposed",
            "The slope of the keys has a row for each key: `d_scores.T @ query`, as it was.",
            _one_matrix(_both, turn=lambda d_scores: d_scores),
        ),
        Misconception(
            "mask lost",
            "Your weights do not use the mask any more.",
            _one_matrix(_both, softmax=lambda scores, mask: _softmax(scores)),
        ),
        Misconception(
            "diagonal only",
            "You go through the softmax with w(1 - w). That step was right before: `gradients.softmax_gradient`.",
            _one_matrix(_both, through=_diagonal_only),
        ),
    ],
    own=[],
    reread="sections 3 and 7",
    hint="Walk through the forward pass line by line and ask for each: where is it in the backward pass? Then count "
    "how often W is used.",
)

EXERCISES = [PULL, SOFTMAX_GRADIENT, ATTEND_BACKWARD, GRADIENT_TEST, ONE_MATRIX]

# -- returning questions --------------------------------------------------------------------------


def _calls() -> int:
    """Count how often `numerical_gradient` computes the loss for nine numbers."""
    from attnfuse.gradients import numerical_gradient

    calls = 0

    def loss(values):
        nonlocal calls
        calls += 1
        return float(np.sum(values**2))

    numerical_gradient(loss, np.ones(9))
    return [9, 10, 18, 81].index(calls)


def _three_times_as_long() -> int:
    rng = np.random.default_rng(0)
    query, key = rng.normal(size=(50, 4)), rng.normal(size=(6, 4))
    before, after = (_softmax(query @ (size * key).T / 2).max(axis=-1) for size in (1, 3))
    return 0 if np.allclose(before, after) else 1 if (after > before).all() else 2


def _nobody_to_see() -> int:
    from attnfuse import attention

    weights = attention.softmax(np.zeros((1, 4)), np.zeros((1, 4), bool))
    return 2 if np.isnan(weights).any() else 0 if (weights == 0).all() else 1


QUIZZES = [
    Quiz(
        id="03-calls",
        question="Lesson 01 trained nine numbers: it moved each a little both ways, to see what the loss does. "
        "How often is the loss computed for one step of training?",
        options=[
            Option(
                "9 times",
                "One move for each number says nothing without a second value to compare with.",
            ),
            Option("10 times", "That is one-sided: nine moves and the start. We moved both ways."),
            Option(
                "18 times",
                "Twice for each number. For today's 8,192 numbers that would be 16,384 times.",
            ),
            Option("81 times", "Numbers are moved one at a time, not in pairs."),
        ],
        answer=_calls,
    ),
    Quiz(
        id="03-sharper",
        question="All keys of a dot-product attention are multiplied by 3. What happens to the weights?",
        options=[
            Option(
                "Nothing, it cancels.",
                "Adding one number to all scores cancels. Here every score is multiplied by 3.",
            ),
            Option(
                "They get sharper.",
                "Scores and their differences are three times as large: the best key takes more.",
            ),
            Option(
                "They get more even.",
                "Smaller scores do that. These are three times as large.",
            ),
        ],
        answer=_three_times_as_long,
    ),
    Quiz(
        id="03-nobody",
        question="A query's mask is False for every key. What are its weights in this course?",
        options=[
            Option(
                "All 0, and the context is 0.",
                "It asked nobody. Today: no slope comes back from it either.",
            ),
            Option(
                "All equal.",
                "Some libraries do that (-1e9 for every score is a draw). It means looking at forbidden keys.",
            ),
            Option(
                "Not a number.",
                "0/0 is what a careless softmax returns there. Ours catches that case.",
            ),
        ],
        answer=_nobody_to_see,
    ),
]
