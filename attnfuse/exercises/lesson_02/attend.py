"""Scaled dot-product attention."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, properties
from attnfuse.exercises.common import dot, hard, partial_mask, query_key_value, softmax, weights_by


def by_loops(query, key, value, mask=None):
    """The definition: one weight at a time."""
    B, T, H = query.shape
    S, V = value.shape[1:]
    mask = np.broadcast_to(True if mask is None else mask, (B, T, S))
    weights, context = np.zeros((B, T, S)), np.zeros((B, T, V))
    for b in range(B):
        for t in range(T):
            keys = [s for s in range(S) if mask[b, t, s]]
            scores = {s: dot(query[b, t], key[b, s]) / math.sqrt(H) for s in keys}
            top = max(scores.values(), default=0.0)
            total = sum(math.exp(scores[s] - top) for s in keys)
            for s in keys:
                weights[b, t, s] = math.exp(scores[s] - top) / total
                for v in range(V):
                    context[b, t, v] += weights[b, t, s] * float(value[b, s, v])
    return context, weights


def cases(rng):
    def case(B, T, S, H, V, note, mask=None, dtype=float):
        return Case({**query_key_value(rng, B, T, S, H, V, dtype), "mask": mask}, note)

    without = case(2, 3, 5, 4, 7, "called without `mask`")
    del without.inputs["mask"]
    huge = case(1, 2, 4, 5, 3, "scores in the thousands")
    first = huge.inputs["key"][0, 0]
    huge.inputs["query"] *= 1e3
    huge.inputs["query"][0, 0] = 5e3 * math.sqrt(5) * first / (first @ first)  # scores key 0 5,000
    closed = case(1, 2, 3, 4, 2, "the masked key has by far the largest score", np.arange(3) > 0)
    closed.inputs["key"][0, :, 0] = [5e3, 0, 0]
    closed.inputs["query"][..., 0] = 1.0
    nothing = partial_mask(rng, 2, 3, 5)
    nothing[1, 1] = False
    return [
        case(1, 1, 1, 2, 3, "one key"),
        case(1, 2, 3, 4, 5, "no mask"),
        without,
        case(2, 3, 5, 4, 7, "mask (B, T, S)", partial_mask(rng, 2, 3, 5)),
        case(3, 2, 4, 6, 5, "mask (B, 1, S)", partial_mask(rng, 3, 1, 4)),
        case(3, 2, 4, 6, 5, "mask (1, T, S)", partial_mask(rng, 1, 2, 4)),
        case(2, 3, 4, 6, 5, "mask (T, S)", partial_mask(rng, 3, 4)),
        case(2, 3, 4, 5, 6, "mask (S,)", partial_mask(rng, 4)),
        closed,
        huge,
        case(2, 3, 4, 5, 1, "float32", dtype=np.float32),
        case(2, 3, 5, 4, 7, "item 1, query 1 may see no key", nothing),
    ]


def sketch(
    query,
    key,
    value,
    mask=None,
    *,
    product=lambda query, key: np.einsum("bth,bsh->bts", query, key),
    scale=lambda query, key, value: math.sqrt(query.shape[-1]),
    allow=lambda mask: mask,
    weigh=softmax,
    empty=0.0,
    mix=lambda weights, key, value: weights @ value,
    give=lambda context, weights: (context, weights),
):
    scores = product(query, key) / scale(query, key, value)
    mask = (
        np.ones_like(scores, bool) if mask is None else allow(np.broadcast_to(mask, scores.shape))
    )
    weights = weights_by(weigh, scores, mask, empty)
    return give(mix(weights, key, value), weights)


def even(scores, mask):
    return mask / np.maximum(mask.sum(axis=-1, keepdims=True), 1)


def reshaped(query, key):
    B, S, H = key.shape
    return query @ key.reshape(B, H, S)


ATTEND = Exercise(
    name="attend",
    lesson="02_scaled_dot_product",
    title="Scaled dot-product attention",
    kind="write",
    minutes=12,
    difficulty=2,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"context": "B T V", "weights": "B T S"},
    properties=[
        properties.finite(),
        properties.not_negative(),
        properties.rows_sum_to_one(zero_rows=True),
        properties.batch_items_do_not_mix(),
        properties.key_order_is_irrelevant(),
        properties.duplicating_every_key_changes_nothing(),
        properties.no_leak_from_masked(),
        properties.masked_equals_deleted(),
    ],
    sketch=sketch,
    says="""
    scaled by the value width | You divide by the square root of the *value* width. A score is a sum over the components of query and key, so their width H, `query.shape[-1]`, sets its size. Values take no part in it.
    not scaled | The scores are not divided by √H, the square root of the width of query and key.
    multiplied by the root | You multiply by √H where you should divide by it: that sharpens what it should soften.
    scaled by the number of keys | You divide by the square root of the *number of keys*. A score adds up H products, however many keys there are: divide by √H, the last axis of the query.
    scaled by the number of queries | You divide by the square root of the *number of queries*: `query.shape[1]` is T. A score adds up H products: divide by √H, `query.shape[-1]`.
    scaled by the width | You divide by the width H; it is its square root.
    batch items mixed | Your scores use the keys of other items of the batch: each item's queries meet its own keys only. In an einsum, all inputs must carry the same batch letter.
    reshaped instead of transposed | You `reshape` the keys to (B, H, S). That deals the same numbers out again in another order; to turn axes round, use `np.swapaxes(key, -1, -2)`.
    softmax over queries | Your weights sum to 1 over the queries. Each *query* spreads one unit of attention over the *keys*: softmax over axis -1 of `(B, T, S)`.
    argmax | You give everything to the best key. That is a hard look-up; attention mixes, by softmax.
    uniform | All your weights of a row are equal: the scores take no part.
    mask after the softmax | You set weights to zero after the softmax, so the rest of the row sums to less than 1. Mask the scores before the softmax, so that the allowed keys have the whole unit.
    without the max-shift | Your exponentials overflow where scores are large. Subtract each row's maximum first, as in lesson 01.
    maximum over masked keys | The maximum you subtract counts masked keys, too. Where one of them has by far the largest score, every allowed exponential is rounded to 0, and 0/0 is NaN. Mask first, then take the maximum.
    masked scores set to 0 | A masked key still has the score 0 (or next to it), and e⁰ is 1: it takes weight. Its score must be minus infinity, or its exponential 0. (And a query that may see no key gets zeros.)
    masked scores set to 0, empty rows zeroed | A masked key still has the score 0 (or next to it), and e⁰ is 1: it takes weight. Its score must be minus infinity, or its exponential 0.
    masked scores set to -10 | You give masked keys a score of -10. That is a small weight, not none: with a large value it shows, and beside scores of -20 it wins. Use minus infinity (and mind rows without any allowed key).
    mask ignored | Your function takes a mask and does not use it.
    mask inverted | Your mask works the wrong way round: True means that the query *may* attend.
    the first item's mask for all | You use the first item's mask for the whole batch. Each item has its own.
    a row without keys is uniform | A query that may see no key gets equal weights for all of them: the same low score everywhere does that. In this course such a row is all zeros, and so is its context.
    a row without keys is not masked | Taking the same large number off *every* score of a row changes nothing: a query that may see no key weighs them as if there were no mask. In this course such a row is all zeros.
    a row without keys is NaN | A query that may see no key divides 0 by 0. In this course such a row is all zeros: give `attention.softmax` the mask, or catch the case yourself.
    keys used as values | You mix the keys. Keys only decide the weights; what is mixed is `value`.
    outputs exchanged | You return (weights, context). Asked is (context, weights).
    added up, not mixed | The values are added up without their weights.
    weights divided by the root | Your rows sum to 1/√H: the root divides the *scores*, before the softmax.
    """,
    choices={
        "scale": {
            "scaled by the value width": lambda query, key, value: math.sqrt(value.shape[-1]),
            "not scaled": lambda query, key, value: 1.0,
            "multiplied by the root": lambda query, key, value: query.shape[-1] ** -0.5,
            "scaled by the number of keys": lambda query, key, value: math.sqrt(key.shape[-2]),
            "scaled by the number of queries": lambda query, key, value: math.sqrt(query.shape[-2]),
            "scaled by the width": lambda query, key, value: query.shape[-1],
        },
        "product": {
            "batch items mixed": lambda query, key: np.einsum("bth,csh->bts", query, key),
            "reshaped instead of transposed": reshaped,
        },
        "weigh": {
            "softmax over queries": lambda scores, mask: softmax(scores, mask, axis=-2),
            "argmax": hard,
            "uniform": even,
            "mask after the softmax": lambda scores, mask: softmax(scores, mask, late=True),
            "without the max-shift": lambda scores, mask: softmax(scores, mask, shift=None),
            "maximum over masked keys": lambda scores, mask: softmax(scores, mask, shift="row"),
            "masked scores set to 0": lambda scores, mask: softmax(np.where(mask, scores, 0)),
            "masked scores set to 0, empty rows zeroed": lambda scores, mask: softmax(
                np.where(mask, scores, 0)
            ),
            "masked scores set to -10": lambda scores, mask: softmax(np.where(mask, scores, -10)),
        },
        "empty": {
            "masked scores set to 0": None,
            "masked scores set to -10": None,
            "a row without keys is uniform": None,
            "a row without keys is not masked": softmax,
            "a row without keys is NaN": np.nan,
        },
        "allow": {
            "mask ignored": np.ones_like,
            "mask inverted": np.logical_not,
            "the first item's mask for all": lambda mask: np.broadcast_to(mask[:1], mask.shape),
        },
        "mix": {
            "keys used as values": lambda weights, key, value: weights @ key,
            "added up, not mixed": lambda weights, key, value: np.repeat(
                value.sum(axis=1, keepdims=True), weights.shape[1], axis=1
            ),
        },
        "give": {
            "outputs exchanged": lambda context, weights: (weights, context),
        },
    },
    wholes={
        "weights divided by the root": lambda query, key, value, mask=None: sketch(
            query,
            key,
            value,
            mask,
            scale=lambda query, key, value: 1.0,
            weigh=lambda scores, mask: softmax(scores, mask) / math.sqrt(query.shape[-1]),
        ),
    },
    own=["attnfuse.attention.scaled_dot_product_attention"],
    reread="section 3",
    hint="Three lines: scores with a matrix product, divided by √H; softmax over the keys, with the mask; a matrix product with the values. `np.swapaxes(key, -1, -2)` turns (B, S, H) into (B, H, S).",
)
