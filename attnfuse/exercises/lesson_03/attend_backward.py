"""Backward through attention."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property, properties
from attnfuse.exercises.common import dot, draw, partial_mask, softmax, weights_by
from attnfuse.exercises.lesson_03.softmax_gradient import through_softmax


def by_loops(query, key, value, d_context, mask=None):
    """The chain rule, one number at a time."""
    B, T, H = query.shape
    S, V = value.shape[1:]
    mask = np.broadcast_to(True if mask is None else mask, (B, T, S))
    d_query, d_key, d_value = (np.zeros(x.shape) for x in (query, key, value))
    root = math.sqrt(H)
    for b in range(B):
        for t in range(T):
            keys = [s for s in range(S) if mask[b, t, s]]
            scores = {s: dot(query[b, t], key[b, s]) / root for s in keys}
            top = max(scores.values(), default=0.0)
            total = sum(math.exp(scores[s] - top) for s in keys)
            weights = {s: math.exp(scores[s] - top) / total for s in keys}
            d_weights = {s: dot(d_context[b, t], value[b, s]) for s in keys}
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


def cases(rng):
    def case(B, T, S, H, V, note, mask=None, dtype=float):
        shapes = {"query": (B, T, H), "key": (B, S, H), "value": (B, S, V), "d_context": (B, T, V)}
        return Case({**draw(rng, dtype, **shapes), "mask": mask}, note)

    without = case(2, 3, 5, 4, 6, "called without `mask`")
    del without.inputs["mask"]
    huge = case(1, 2, 4, 5, 3, "a score of 5,000")
    first = huge.inputs["key"][0, 0]
    huge.inputs["query"][0, 0] = 5e3 * math.sqrt(5) * first / (first @ first)
    nothing = partial_mask(rng, 2, 3, 5)
    nothing[1, 1] = False
    return [
        case(1, 1, 1, 2, 3, "one key"),
        case(1, 2, 3, 4, 5, "no mask"),
        case(1, 3, 3, 4, 2, "as many queries as keys"),
        without,
        case(2, 3, 5, 4, 6, "mask (B, T, S)", partial_mask(rng, 2, 3, 5)),
        case(3, 2, 4, 6, 5, "mask (B, 1, S)", partial_mask(rng, 3, 1, 4)),
        case(2, 3, 4, 6, 5, "mask (1, T, S)", partial_mask(rng, 1, 3, 4)),
        case(2, 3, 4, 6, 5, "mask (T, S)", partial_mask(rng, 3, 4)),
        case(2, 3, 4, 5, 6, "mask (S,)", partial_mask(rng, 4)),
        huge,
        case(2, 3, 4, 5, 1, "float32", dtype=np.float32),
        case(2, 3, 5, 4, 6, "item 1, query 1 may see no key", nothing),
    ]


def turn(x):
    return np.swapaxes(x, -1, -2)


def root(query, value):
    return math.sqrt(query.shape[-1])


def one(query, value):
    return 1.0


def sketch(
    query,
    key,
    value,
    d_context,
    mask=None,
    *,
    forwards=root,
    backwards=root,
    roots=(1, 1, 0),
    allow=lambda mask: mask,
    weigh=softmax,
    empty=0.0,
    through=through_softmax,
    arrives=lambda d_context: d_context,
    to_key=lambda d_scores, query: turn(d_scores) @ query,
    to_value=lambda weights, d_context: turn(weights) @ d_context,
    add_up=lambda x, T: x,
    give=lambda d_query, d_key, d_value: (d_query, d_key, d_value),
):
    """Attention backwards; `roots` says how often the slopes of query, key and value are divided by √H."""
    scores = query @ turn(key) / forwards(query, value)
    mask = (
        np.ones_like(scores, bool) if mask is None else allow(np.broadcast_to(mask, scores.shape))
    )
    weights = weights_by(weigh, scores, mask, empty)
    d_context = arrives(d_context)
    d_scores = through(weights, d_context @ turn(value))
    by = backwards(query, value)
    slopes = d_scores @ key, to_key(d_scores, query), to_value(weights, d_context)
    slopes = [x / by**times for x, times in zip(slopes, roots, strict=True)]
    return give(slopes[0], *(add_up(x, query.shape[1]) for x in slopes[1:]))


def _keys_cancel(attempt, case, rng):
    """The same vector added to every key moves all scores of a row alike: no weight changes."""
    sums = np.asarray(attempt.result["d_key"], dtype=float).sum(axis=-2)
    if not np.allclose(sums, 0, atol=1e-6 * max(1, np.abs(case.inputs["query"]).max())):
        raise Mismatch(
            "The same small step for *all* keys moves all scores of a row alike, and no weight changes. So `d_key` must sum to 0 over the keys; sums:",
            got=sums,
        )


def _values_take_it_all(attempt, case, rng):
    """Every query hands its whole slope to the values, in shares."""
    inputs = case.inputs
    shape = (*inputs["query"].shape[:-1], inputs["key"].shape[-2])
    mask = inputs.get("mask")
    sees = np.broadcast_to(True if mask is None else mask, shape).any(axis=-1)
    want = (inputs["d_context"] * sees[..., None]).sum(axis=-2)
    got = np.asarray(attempt.result["d_value"], dtype=float).sum(axis=-2)
    if not np.allclose(want, got, rtol=1e-4, atol=1e-4):
        raise Mismatch(
            "Weights sum to 1, so `d_value`, summed over keys, must be `d_context`, summed over the queries that see a key.",
            want,
            got,
        )


def dealt_out_again(d_scores, query):
    B, T, S = d_scores.shape
    return d_scores.reshape(B, S, T) @ query


def mask_on_slopes_only(query, key, value, d_context, mask=None):
    """The weights of all keys; masked places of d_scores set to zero afterwards."""
    weights = softmax(query @ turn(key) / root(query, value))
    d_scores = through_softmax(weights, d_context @ turn(value)) / root(query, value)
    d_scores = d_scores if mask is None else d_scores * mask
    return d_scores @ key, turn(d_scores) @ query, turn(weights) @ d_context


ATTEND_BACKWARD = Exercise(
    name="attend_backward",
    lesson="03_attention_gradients",
    title="Backward through attention",
    kind="write",
    minutes=15,
    difficulty=3,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"d_query": "B T H", "d_key": "B S H", "d_value": "B S V"},
    properties=[
        properties.finite(),
        Property("values take it all", _values_take_it_all),
        Property("slopes of the keys cancel", _keys_cancel),
        properties.batch_items_do_not_mix("d_query"),
        properties.batch_items_do_not_mix("d_key"),
        properties.key_order_is_irrelevant("d_query"),
        properties.masked_equals_deleted("d_query"),
    ],
    sketch=sketch,
    says="""
    1/√H forgotten backwards | The forward pass divides by √H, so the slopes of query and key are divided by √H, too: a score moves only 1/√H as far as q·k.
    1/√H forgotten forwards | Your scores are not divided by √H. The layer is softmax(query keyᵀ / √H) value.
    no 1/√H anywhere | Your scores are not divided by √H, forwards or backwards. The layer is softmax(query keyᵀ / √H) value.
    root of the number of queries | You divide by the root of T, the number of queries. H is the *width* of a query: its last axis.
    root of the value width | You divide by the root of the width of the *values*. H is the width of a query: its last axis.
    d_key not divided | `d_query` is divided by √H and `d_key` is not. Both come from `d_scores`: divide that, once.
    d_query not divided | `d_key` is divided by √H and `d_query` is not. Both come from `d_scores`: divide that, once.
    divided by H | You divide by H: 1/√H once too often. The slope passes that division once.
    1/√H for the value as well | You divide `d_value` by √H. Values do not pass through the scores: `d_value` knows no √H.
    softmax left out | You hand `d_weights` on as `d_scores`. Between them lies the softmax: use `gradients.softmax_gradient`.
    diagonal only | You go through the softmax with w(1 - w): the diagonal alone. Every score moves all weights of its row; use exercise 2.
    product only | You go through the softmax with weights × d_weights. The row's weighted mean is missing; use exercise 2.
    mean added | In the softmax you add the row's weighted mean; it is taken off.
    sum over queries | In the softmax you sum over the queries. Each query's row is a softmax of its own: axis -1.
    key product not transposed | `d_key` has a row for each *key*, so d_scores must be turned: (S, T) @ (T, H). Yours multiplies (T, S) by (T, H); where T = S that gives no error and a wrong result.
    reshaped instead of transposed | You `reshape` d_scores to (B, S, T). That deals the same numbers out again in another order; to turn axes round, use `np.swapaxes(d_scores, -1, -2)`.
    value product not transposed | `d_value` has a row for each *key*, so the weights must be turned: (S, T) @ (T, V). Where T = S the other product gives no error and a wrong result.
    mask not used | Your backward pass computes the weights again, without the mask: masked keys get slopes.
    mask inverted | Your mask works the wrong way round: True means that the query *may* attend.
    the first item's mask for all | You use the first item's mask for the whole batch. Each item has its own.
    mask after the softmax | You set weights to zero after the softmax, so the others keep too little. Mask before the softmax, as in the forward pass.
    masked scores set to 0 | A masked key still has the score 0 (or next to it), and e⁰ is 1: it takes a share. `attention.softmax(scores, mask)` gives it none.
    without the max-shift | Your exponentials overflow where scores are large. `attention.softmax` takes the maximum off first.
    a row without keys is uniform | A query that may see no key spreads its slope evenly over all of them (the same low score for all does that). Its context is zero whatever the others are: it must add zeros.
    a row without keys is not masked | Taking the same large number off *every* score of a row changes nothing: a query that may see no key gets weights as if there were no mask. It must add nothing to any slope.
    a row without keys is NaN | A query that may see no key gives NaN (0/0, or −∞ − (−∞)), and one NaN row spoils `d_key` and `d_value` of its whole item. `attention.softmax` with its mask gives zeros there.
    d_context ignored | Your slopes are those of the *sum* of the context: `d_context`, the slope that arrives from behind, takes no part.
    averaged over queries | You take the mean over the queries in `d_key` and `d_value`. Slopes of something that is used several times add up: take the sum.
    added up over the batch | You add `d_key` and `d_value` up over the batch. Each item has its own keys and values.
    value before key | The order is (d_query, d_key, d_value); you return the value's slope before the key's.
    mask on d_scores only | You set `d_scores` to zero where the mask is False, but the weights were shared among all keys. The mask belongs into the softmax: `attention.softmax(scores, mask)`; the zeros then come by themselves.
    """,
    choices={
        "forwards": {
            "1/√H forgotten forwards": one,
            "no 1/√H anywhere": one,
            "root of the number of queries": lambda query, value: math.sqrt(query.shape[1]),
            "root of the value width": lambda query, value: math.sqrt(value.shape[2]),
        },
        "backwards": {
            "1/√H forgotten backwards": one,
            "no 1/√H anywhere": one,
            "root of the number of queries": lambda query, value: math.sqrt(query.shape[1]),
            "root of the value width": lambda query, value: math.sqrt(value.shape[2]),
        },
        "roots": {
            "d_key not divided": (1, 0, 0),
            "d_query not divided": (0, 1, 0),
            "divided by H": (2, 2, 0),
            "1/√H for the value as well": (1, 1, 1),
        },
        "through": {
            "softmax left out": lambda weights, d_weights: d_weights,
            "diagonal only": lambda w, d: w * (1 - w) * d,
            "product only": lambda w, d: w * d,
            "mean added": lambda w, d: w * (d + (w * d).sum(axis=-1, keepdims=True)),
            "sum over queries": lambda w, d: w * (d - (w * d).sum(axis=-2, keepdims=True)),
        },
        "to_key": {
            "key product not transposed": lambda d_scores, query: d_scores @ query,
            "reshaped instead of transposed": dealt_out_again,
        },
        "to_value": {
            "value product not transposed": lambda weights, d_context: weights @ d_context
        },
        "allow": {
            "mask not used": np.ones_like,
            "mask inverted": np.logical_not,
            "the first item's mask for all": lambda mask: np.broadcast_to(mask[:1], mask.shape),
        },
        "weigh": {
            "mask after the softmax": lambda scores, mask: softmax(scores, mask, late=True),
            "masked scores set to 0": lambda scores, mask: softmax(np.where(mask, scores, 0)),
            "without the max-shift": lambda scores, mask: softmax(scores, mask, shift=None),
        },
        "empty": {
            "masked scores set to 0": None,
            "a row without keys is uniform": None,
            "a row without keys is not masked": softmax,
            "a row without keys is NaN": np.nan,
        },
        "arrives": {"d_context ignored": np.ones_like},
        "add_up": {
            "averaged over queries": lambda x, T: x / T,
            "added up over the batch": lambda x, T: np.broadcast_to(x.sum(axis=0), x.shape),
        },
        "give": {"value before key": lambda d_query, d_key, d_value: (d_query, d_value, d_key)},
    },
    wholes={"mask on d_scores only": mask_on_slopes_only},
    own=["attnfuse.gradients.attention_gradients"],
    reread="section 3",
    hint="Weights with `attention.softmax(scores, mask)`. Then backwards: `d_value` and `d_weights` from `d_context`; `d_scores` with `gradients.softmax_gradient`; divide by √H; two more matrix products. Write the shape of each result first.",
)
