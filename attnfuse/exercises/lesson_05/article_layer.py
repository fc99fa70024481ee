"""A published layer, repaired: score = W2(W1([query; value])), W1 with relu."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, properties
from attnfuse.driving import Raised, lesson_05
from attnfuse.exercises.common import draw, softmax
from attnfuse.exercises.lesson_05.shared import LESSON, floats


def by_loops(query, values, W1_kernel, W1_bias, W2_kernel, W2_bias):
    query, values, A, a, C, c = floats(query, values, W1_kernel, W1_bias, W2_kernel, W2_bias)
    (B, T, _), (_, S, D) = query.shape, values.shape
    context, weights = np.zeros((B, T, D)), np.zeros((B, T, S))
    for b in range(B):
        for t in range(T):
            hidden = [np.concatenate([query[b, t], values[b, s]]) @ A + a for s in range(S)]
            scores = [float(np.maximum(h, 0) @ C[:, 0] + c[0]) for h in hidden]
            total = sum(math.exp(score) for score in scores)
            for s in range(S):
                weights[b, t, s] = math.exp(scores[s]) / total
                context[b, t] += weights[b, t, s] * values[b, s]
    return context, weights


def cases(rng):
    def case(B, T, S, Q, D, units, note):
        arrays = draw(rng, np.float32, query=(B, T, Q), values=(B, S, D))
        arrays |= draw(rng, np.float32, W1_kernel=(Q + D, units), W1_bias=(units,))
        return Case(arrays | draw(rng, np.float32, W2_kernel=(units, 1), W2_bias=(1,)), note)

    return [
        case(2, 4, 4, 4, 4, 3, "T = S = D, where even the printed layer runs"),
        case(1, 2, 3, 4, 4, 6, "one item"),
        case(3, 4, 2, 5, 7, 6, "all sizes different"),
        case(2, 1, 3, 5, 4, 6, "one query"),
        case(3, 1, 1, 2, 4, 5, "one query, one value"),
    ]


def grid(q, v):
    """Every query and every value, both `(B, T, S, …)`."""
    shape = (*q.shape[:2], v.shape[1])
    offered = np.broadcast_to(v[:, None], (*shape, v.shape[-1]))
    return np.broadcast_to(q[:, :, None], (*shape, q.shape[-1])), offered


def pairs(q, v):
    return np.concatenate(grid(q, v), axis=-1)


def relu(x):
    return np.maximum(x, 0)


def sketch(
    query,
    values,
    *,
    meet=lambda q, v, W1: W1(pairs(q, v)),
    bend=relu,
    score=lambda hidden, W2: W2(hidden)[..., 0],
    scale=lambda units, Q, D: 1,
    weigh=softmax,
    give=lambda context, weights, scores: (context, weights),
    **w,
):
    widths = set()

    def W1(x):
        widths.add(x.shape[-1])
        if len(widths) > 1:
            raise Raised("ValueError")  # as Dense does, of a second width
        kernel = np.resize(w["W1_kernel"], (x.shape[-1], len(w["W1_bias"])))
        return bend(x @ kernel + w["W1_bias"])

    try:
        scores = score(meet(query, values, W1), lambda x: x @ w["W2_kernel"] + w["W2_bias"])
        weights = weigh(scores / scale(len(w["W1_bias"]), query.shape[-1], values.shape[-1]) ** 0.5)
        return give(weights @ values, weights, scores)
    except ValueError:
        raise Raised("InvalidArgumentError") from None


def as_printed(query, values, W1_kernel, W1_bias, **W2):
    """Article 0, section 4.1: the query is reshaped twice, W2 is never used."""
    if len({query.shape[1], *values.shape[1:]}) > 1:
        raise Raised("InvalidArgumentError")
    x = relu(query @ W1_kernel[: query.shape[-1]] + W1_bias).reshape(1, -1, query.shape[1])
    weights = softmax(x @ values, axis=1)
    return weights @ values, weights


def meeting(meet):
    """What W1 sees, as one array."""
    return lambda q, v, W1: W1(meet(q, v))


def multiplied(q, v, W1):
    return W1(q)[:, :, None] * W1(v)[:, None]


def of_other_items(q, v):
    offered = np.tile(v, (q.shape[1], 1, 1)).reshape(*q.shape[:2], *v.shape[1:])
    return np.concatenate([grid(q, v)[0], offered], axis=-1)


ARTICLE_LAYER = Exercise(
    name="article_layer",
    lesson=LESSON,
    title="A published layer, fault by fault",
    kind="bug",
    minutes=12,
    difficulty=3,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"context": "B T D", "weights": "B T S"},
    run=lesson_05.article_layer,
    properties=[
        properties.finite(),
        properties.not_negative(),
        properties.rows_sum_to_one(),
        properties.last_item_apart("values", "context", 1e-4),
    ],
    sketch=sketch,
    says="""
    value before query | You put the value in front of the query. W1's first rows are for the query.
    query alone | Every value gets the same score, as it does where W1 never sees one. W1 is to see query and value side by side.
    values alone | W1 sees the values alone. It is to see query and value side by side.
    query and value added | You add query and value before W1. It is to see the two side by side, as one longer vector: `ops.concatenate(…, axis=-1)`.
    projections added | You send query and value through W1 apart and add. W1 is to see the two side by side, as one longer vector: concatenate first.
    projections multiplied | You send query and value through W1 apart and multiply. W1 is to see the two side by side, as one longer vector: concatenate first.
    dot product of projections | You score by the dot product of two projections; W2 is still never used. The score of a pair is W2(W1([query; value])).
    not repeated | `ops.concatenate` does not broadcast, as + does: give both the full shape (B, T, S, …) first, with `ops.repeat` or `ops.broadcast_to`.
    pairs exchanged | Your scores are (B, S, T), a row for each value. Rows are for queries: (B, T, S).
    dealt out by reshape | A query does not meet the values in their order: `reshape` deals the pairs out afresh. Add an axis of size 1 before you repeat: `query[:, :, None]` along axis 2, `values[:, None]` along axis 1.
    values of other items | A query meets values of other items: `tile` along the batch axis and `reshape` mix the batch. Repeat along an axis of its own, `values[:, None]`.
    one query for all | Every position asks with the first query. Each has its own.
    the mean query for all | Every position asks with the mean of the queries. Each has its own.
    relu lost | The relu of W1 got lost. Without it the query cancels in the softmax: section 3.
    tanh for relu | W1 bends by tanh. It is to bend by its relu.
    tanh after relu | After the relu of W1 comes a tanh. W2 reads what W1 returns, as it is.
    W2 unused, units summed | W2 takes no part in your scores: it makes one number of the units of W1.
    W2 unused, units averaged | W2 takes no part in your scores: it makes one number of the units of W1.
    relu on the score | The score is bent once more, by a relu: negative scores become 0. It is W2's number as it is.
    tanh on the score | The score is bent once more, by tanh. It is W2's number as it is.
    scaled by the units | You divide the score by √units. Dot products are scaled; this score is W2's number as it is.
    scaled by the query's width | You divide the score by the root of the query's width. Dot products are scaled; this score is W2's number as it is.
    scaled by the values' width | You divide the score by the root of the values' width. Dot products are scaled; this score is W2's number as it is.
    last axis kept | W2 leaves an axis of size 1: (B, T, S, 1). Take `[..., 0]` of it before the softmax.
    every axis of size 1 squeezed | `squeeze` without an axis drops every axis of size 1: with one item or one query the scores lose that axis, too. Take `[..., 0]`, or say `axis=-1`.
    softmax over the queries | Your softmax runs over the queries (axis 1). Each query spreads one unit over the *keys*: axis -1.
    softmax over the batch | Your softmax runs over the batch (axis 0), and items share their weights. Axis -1 holds the values.
    softmax over all pairs | Your softmax runs over all pairs of an item at once. *Each* query spreads one unit over the values: axis -1 alone.
    all weights 1 | All your weights are 1, as from a softmax over an axis of size 1. W2 leaves (B, T, S, 1): take `[..., 0]` first, then softmax over the values.
    sigmoid | You weigh by a sigmoid: each weight by itself, and a row does not sum to 1. Softmax over the values.
    no softmax | The scores serve as weights: no softmax makes them positive and a row sum to 1.
    softmax twice | A softmax of a softmax: the weights are nearly even. Once is enough.
    weights first | You return the weights first. It is `context, weights`.
    context alone | `call` is to return two things, context and weights.
    weights with an axis more | Your weights keep an axis of size 1, (B, T, S, 1): return them without.
    scores for weights | The second thing you return is the scores. Return the weights, after the softmax.
    as printed | This still behaves as the printed layer does: W1 sees the query alone, W2 nothing, and the reshapes mix items of the batch. Begin with pairs: every query next to every value, (B, T, S, …).
    as printed, with weights | This still behaves as the printed layer does: W1 sees the query alone, W2 nothing, and the reshapes mix items of the batch. Begin with pairs: every query next to every value, (B, T, S, …).
    """,
    choices={
        "meet": {
            "value before query": meeting(lambda q, v: np.concatenate(grid(q, v)[::-1], axis=-1)),
            "query alone": meeting(lambda q, v: grid(q, v)[0]),
            "values alone": meeting(lambda q, v: grid(q, v)[1]),
            "query and value added": meeting(lambda q, v: q[:, :, None] + v[:, None]),
            "projections added": lambda q, v, W1: W1(q)[:, :, None] + W1(v)[:, None],
            "projections multiplied": multiplied,
            "dot product of projections": multiplied,
            "not repeated": meeting(
                lambda q, v: np.concatenate([q[:, :, None], v[:, None]], axis=-1)
            ),
            "pairs exchanged": meeting(lambda q, v: pairs(q, v).swapaxes(1, 2)),
            "dealt out by reshape": meeting(
                lambda q, v: pairs(q, v).swapaxes(1, 2).reshape(pairs(q, v).shape)
            ),
            "values of other items": meeting(of_other_items),
            "one query for all": meeting(lambda q, v: pairs(0 * q + q[:, :1], v)),
            "the mean query for all": meeting(
                lambda q, v: pairs(0 * q + q.mean(axis=1, keepdims=True), v)
            ),
        },
        "score": {
            "dot product of projections": lambda hidden, W2: hidden.sum(axis=-1),
            "W2 unused, units summed": lambda hidden, W2: hidden.sum(axis=-1),
            "W2 unused, units averaged": lambda hidden, W2: hidden.mean(axis=-1),
            "relu on the score": lambda hidden, W2: relu(W2(hidden)[..., 0]),
            "tanh on the score": lambda hidden, W2: np.tanh(W2(hidden)[..., 0]),
            "last axis kept": lambda hidden, W2: W2(hidden),
            "every axis of size 1 squeezed": lambda hidden, W2: np.squeeze(W2(hidden)),
        },
        "bend": {
            "relu lost": lambda x: x,
            "tanh for relu": np.tanh,
            "tanh after relu": lambda x: np.tanh(relu(x)),
        },
        "scale": {
            "scaled by the units": lambda units, Q, D: units,
            "scaled by the query's width": lambda units, Q, D: Q,
            "scaled by the values' width": lambda units, Q, D: D,
        },
        "weigh": {
            "softmax over the queries": lambda scores: softmax(scores, axis=1),
            "softmax over the batch": lambda scores: softmax(scores, axis=0),
            "softmax over all pairs": lambda scores: softmax(scores, axis=(1, 2)),
            "all weights 1": np.ones_like,
            "sigmoid": lambda scores: 1 / (1 + np.exp(-scores)),
            "no softmax": lambda scores: scores,
            "softmax twice": lambda scores: softmax(softmax(scores)),
        },
        "give": {
            "weights first": lambda context, weights, scores: (weights, context),
            "context alone": lambda context, weights, scores: [context],
            "weights with an axis more": lambda context, weights, scores: (
                context,
                weights[..., None],
            ),
            "scores for weights": lambda context, weights, scores: (context, scores),
        },
    },
    wholes={
        "as printed": lambda **inputs: [as_printed(**inputs)[0]],
        "as printed, with weights": as_printed,
    },
    own=["attnfuse.layers", "attnfuse.attention"],
    reread="section 7",
    hint="`ops.repeat(query[:, :, None], S, axis=2)` and `ops.repeat(values[:, None], T, axis=1)` are both (B, T, S, …). Put them side by side with `ops.concatenate(…, axis=-1)`, then W1, then W2, and take `[..., 0]`.",
    rtol=1e-4,
    atol=1e-4,
)
