"""Attention pooling with one learnt query."""

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property, properties
from attnfuse.driving import lesson_08
from attnfuse.exercises.common import draw, hard, softmax


def by_loops(places, key_matrix, bias, query):
    B, S, C = places.shape
    context, weights = np.zeros((B, C)), np.zeros((B, S))
    for b in range(B):
        keys = [np.tanh(places[b, s].astype(float) @ key_matrix + bias) for s in range(S)]
        powers = [np.exp(key @ query) for key in keys]
        for s in range(S):
            weights[b, s] = powers[s] / sum(powers)
            context[b] += weights[b, s] * places[b, s]
    return context, weights


def cases(rng):
    def case(B, S, C, H, note):
        shapes = {"places": (B, S, C), "key_matrix": (C, H), "bias": (H,), "query": (H,)}
        return Case(draw(rng, np.float32, **shapes), note)

    return [
        case(1, 4, 3, 2, "one picture with four places"),
        case(3, 6, 4, 5, "three pictures"),
        case(2, 3, 1, 4, "one channel"),
        case(2, 5, 3, 1, "one unit"),
    ]


def same_as(x):
    return x


def weighted(weights, x):
    return weights[..., None] * x


def sketch(
    places,
    key_matrix,
    bias,
    query,
    *,
    add=1,
    squash=np.tanh,
    compare=lambda keys, query: keys @ query,
    scale=lambda S, C, H: 1.0,
    after=same_as,
    weigh=softmax,
    mix=lambda w, x, keys, scores: weighted(w, x).sum(axis=1),
    give=lambda context, weights, scores: (context, weights),
):
    keys = squash(places.astype(float) @ key_matrix + add * bias)  # (B, S, H)
    scores = after(compare(keys, query) / scale(*places.shape[1:], len(query)))
    weights = weigh(scores)
    return give(mix(weights, places, keys, scores), weights, scores)


def _weighted_sum(attempt, case, rng):
    context, weights = attempt.result["context"], attempt.result["weights"]
    mixed = np.einsum("bs,bsc->bc", weights, case.inputs["places"])
    if not np.allclose(context, mixed, rtol=1e-4, atol=1e-5):
        raise Mismatch(
            "`context` is not the sum of the places, each times its weight.",
            mixed,
            context,
            labels=("places summed with your weights", "your context"),
        )


def _reorder(inputs, rng):
    order = rng.permutation(inputs["places"].shape[1])
    return {**inputs, "places": inputs["places"][:, order]}


MOVED = "The places were put in another order, and the context changed."

QUERY_POOLING = Exercise(
    name="query_pooling",
    lesson="08_image_attention",
    title="One learnt query",
    kind="finish",
    minutes=10,
    difficulty=2,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"context": "B C", "weights": "B S"},
    run=lesson_08.query_pooling,
    properties=[
        properties.finite(),
        properties.not_negative(),
        properties.rows_sum_to_one(),
        properties.last_item_apart("places", "weights"),
        properties.stays("order of places", MOVED, _reorder, "context", tolerance=1e-4),
        Property("context is the weighted sum", _weighted_sum),
    ],
    sketch=sketch,
    says="""
    no bias | The bias has no effect: it is missing, or stands outside, behind the tanh. There it adds the same to every score, and a softmax does not notice. keys = tanh(places · W + b).
    no tanh | Your keys are not squashed: keys = tanh(places · W + b).
    relu | You take a ReLU. keys = tanh(places · W + b).
    sigmoid of the keys | You squash the keys by a sigmoid. keys = tanh(places · W + b).
    softmax of the keys | You take a softmax over the units of each key. keys = tanh(places · W + b), and the softmax comes later, over the places.
    tanh after the query | You take the tanh of the *scores*. It belongs to the keys, before they meet the query: keys = tanh(places · W + b).
    tanh of the scores, too | You take the tanh of the scores, which holds them between -1 and 1. A score is k · q as it is.
    query unused | Your scores add up the units of a key; the query has no say. A score is k · q.
    distance | You compare key and query by their distance. The score is the dot product k · q.
    scaled by the root of units | You divide by √units. This score is the additive kind of lesson 05: tanh keeps it small, nothing is divided.
    mean over the units | You divide by the number of units: a dot product *adds up* the products, it takes no mean.
    scaled by the root of channels | You divide by √C. This score is the additive kind of lesson 05: tanh keeps it small, nothing is divided.
    scaled by the root of places | You divide by the square root of the number of places. In this formula nothing is divided.
    sign turned round | The sign of your scores is turned round: the place that fits best gets the smallest weight.
    softmax over the batch | Your weights sum to 1 over the *pictures* (axis 0). Each picture spreads one unit over its places: axis 1.
    softmax over pictures and places | One softmax runs over the places of all pictures. Each picture spreads one unit over its own places: axis 1.
    softmax over an axis of length one | Every weight is 1: your softmax did not go over the places. The last axis of (B, S, 1) has a single entry, and a softmax over one number is 1; a softmax over the units of a key sums to 1 at every place. One score for each place first; then the softmax over the places.
    no softmax | Scores stand where weights belong: the softmax over the places is missing.
    sigmoid | You weigh by a sigmoid, which judges each place by itself: the weights do not sum to 1. Softmax makes the places compete.
    only the best place | You take the best place alone (argmax). Nothing can be learnt through that: its slope is zero.
    average pooling | Your weights are all 1/S: this is average pooling, the query has no say.
    exponentials not divided | Your weights are exponentials that do not sum to 1. Divide by their sum over the places.
    divided without exponentials | You divide scores by their sum. Weights are exponentials of scores, divided by *their* sum.
    softmax twice | You take the softmax of a softmax. Weights that are scores again become nearly equal: one softmax.
    keys mixed instead of places | You mix the *keys*. Keys only decide who is heard; what is mixed are the places.
    mean of the weighted places | You take the *mean* of the weighted places. Weights already sum to 1: take the sum.
    not summed | You weight the places and do not add them up: the context is one vector per picture.
    places averaged | Your context is the plain mean of the places; the weights take no part in it.
    places added up | Your context is the plain sum of the places; the weights take no part in it.
    mixed with scores | You mix with scores. The context is mixed with the weights, which come out of the softmax.
    context and weights swapped | The two results have changed places: first the context, then the weights.
    scores returned | The second thing you return are scores. Return the weights, which come out of the softmax.
    an axis left in the context | The context still has an axis of length 1. Drop it: (B, C).
    an axis left in the weights | The weights still have an axis of length 1 at the end. Drop it: (B, S).
    a batch of one lost | With one picture the weights have lost their batch axis: a squeeze without `axis` drops every axis of length 1. Give it the axis.
    every axis of length 1 lost | Axes of length 1 are gone: a squeeze without `axis` drops them all, the batch of one picture as well. Give it the axis.
    """,
    choices={
        "add": {"no bias": 0},
        "squash": {
            "no tanh": same_as,
            "relu": lambda x: np.maximum(x, 0),
            "sigmoid of the keys": lambda x: 1 / (1 + np.exp(-x)),
            "softmax of the keys": softmax,
            "tanh after the query": same_as,
        },
        "after": {"tanh after the query": np.tanh, "tanh of the scores, too": np.tanh},
        "compare": {
            "query unused": lambda keys, query: keys.sum(axis=-1),
            "distance": lambda keys, query: -((keys - query) ** 2).sum(axis=-1),
        },
        "scale": {
            "scaled by the root of units": lambda S, C, H: H**0.5,
            "mean over the units": lambda S, C, H: H,
            "scaled by the root of channels": lambda S, C, H: C**0.5,
            "scaled by the root of places": lambda S, C, H: S**0.5,
            "sign turned round": lambda S, C, H: -1,
        },
        "weigh": {
            "softmax over the batch": lambda x: softmax(x, axis=0),
            "softmax over pictures and places": lambda x: softmax(x.ravel()).reshape(x.shape),
            "softmax over an axis of length one": np.ones_like,
            "no softmax": same_as,
            "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
            "only the best place": hard,
            "average pooling": lambda x: softmax(0 * x),
            "exponentials not divided": np.exp,
            "divided without exponentials": lambda x: x / x.sum(axis=1, keepdims=True),
            "softmax twice": lambda x: softmax(softmax(x)),
        },
        "mix": {
            "keys mixed instead of places": lambda w, x, keys, scores: weighted(w, keys).sum(
                axis=1
            ),
            "mean of the weighted places": lambda w, x, *_: weighted(w, x).mean(axis=1),
            "not summed": lambda w, x, *_: weighted(w, x),
            "places averaged": lambda w, x, *_: x.mean(axis=1),
            "places added up": lambda w, x, *_: x.sum(axis=1),
            "mixed with scores": lambda w, x, keys, scores: weighted(scores, x).sum(axis=1),
        },
        "give": {
            "context and weights swapped": lambda c, w, scores: (w, c),
            "scores returned": lambda c, w, scores: (c, scores),
            "an axis left in the context": lambda c, w, scores: (c[:, None], w),
            "an axis left in the weights": lambda c, w, scores: (c, w[..., None]),
            "a batch of one lost": lambda c, w, scores: (c, np.squeeze(w)),
            "every axis of length 1 lost": lambda c, w, scores: (np.squeeze(c), np.squeeze(w)),
        },
    },
    own=["attnfuse.vision.QueryPooling", "attnfuse.vision.pool"],
    reread="section 3",
    hint="keys are (B, S, units). `ops.sum(keys * self.query, axis=-1)` gives the scores (B, S); softmax over axis -1. Then `weights[..., None] * places`, summed over axis 1.",
)
