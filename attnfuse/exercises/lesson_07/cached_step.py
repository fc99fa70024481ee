"""A step with a memory: causal attention that keeps keys and values."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property, properties
from attnfuse.checking.show import same
from attnfuse.driving import lesson_07
from attnfuse.exercises.common import dot, draw, softmax
from attnfuse.exercises.lesson_07.shared import LESSON


def by_loops(x, query_matrix, key_matrix, value_matrix, last=()):
    """One head if all positions are there at once: `(B, T, D)` → `(B, T, V)`.

    `last` holds the key and value matrix of the last position, if they are others there.
    """
    B, T, _ = x.shape
    context = np.zeros((B, T, value_matrix.shape[1]))
    for b in range(B):
        both = [(key_matrix, value_matrix)] * (T - 1) + [last or (key_matrix, value_matrix)]
        keys, values = zip(*([x[b, s] @ m for m in both[s]] for s in range(T)), strict=True)
        for t in range(T):
            query = x[b, t] @ query_matrix
            scores = [dot(query, keys[s]) / math.sqrt(len(query)) for s in range(t + 1)]
            powers = [math.exp(score - max(scores)) for score in scores]
            for power, value in zip(powers, values, strict=False):
                context[b, t] += power / sum(powers) * value
    return context


def cases(rng):
    def case(B, T, D, H, V, note, others=""):
        inputs = draw(rng, x=(B, T, D), query_matrix=(D, H), key_matrix=(D, H), value_matrix=(D, V))
        if others:
            new = rng.standard_normal(inputs[others].shape)
            inputs["last"] = [
                new if n == others else inputs[n] for n in ("key_matrix", "value_matrix")
            ]
        return Case(inputs, note)

    return [
        case(1, 1, 2, 3, 4, "the first position"),
        case(1, 2, 3, 2, 4, "two positions"),
        case(3, 5, 4, 2, 6, "three words, five positions"),
        case(2, 3, 3, 5, 2, "H larger than D"),
        case(2, 4, 3, 2, 5, "another key_matrix at the last step", "key_matrix"),
        case(2, 4, 3, 2, 5, "another value_matrix at the last step", "value_matrix"),
    ]


def behind(old, new, t):
    return np.concatenate([old, new], axis=1)


# What is kept of keys and of values.
KEPT = {
    "forgets the past": lambda old, new, t: new,
    "remembers one": lambda old, new, t: behind(old, new, t)[:, -2:],
    "remembers two": lambda old, new, t: behind(old, new, t)[:, -3:],
    "cache not extended": lambda old, new, t: behind(old[:, :1], new, t),
    "first one not kept": lambda old, new, t: behind(old, new, t)[:, -t:],
}


def sketch(
    x,
    query_matrix,
    key_matrix,
    value_matrix,
    last=(),
    *,
    matrices=lambda q, k: (q, k),
    asks=lambda x, t: x[:, t : t + 1],
    keep_keys=behind,
    keep_values=behind,
    anew_keys=False,
    anew_values=False,
    sees=lambda z: z,
    scale=lambda H, D, V, S: math.sqrt(H),
    weigh=softmax,
    mix=lambda weights, keys, values: weights @ values,
    contexts_kept=False,
    drop=False,
):
    (D, V), T, contexts, keys, values = value_matrix.shape, x.shape[1], [], None, None
    for t in range(T):
        k, v = last if len(last) and t == T - 1 else (key_matrix, value_matrix)
        q, k = matrices(query_matrix, k)
        new = x[:, t : t + 1]
        keys = keep_keys(keys, new @ k, t) if t else new @ k
        values = keep_values(values, new @ v, t) if t else new @ v
        keys = x[:, : t + 1] @ k if anew_keys else keys
        values = x[:, : t + 1] @ v if anew_values else values
        seen = sees(keys)
        scores = asks(x, t) @ q @ seen.swapaxes(1, 2)
        weights = weigh(scores / scale(q.shape[1], D, V, seen.shape[1]))
        context = mix(weights, seen, sees(values))
        values = np.concatenate([values[:, :-1], context], axis=1) if contexts_kept else values
        contexts.append(context[:, 0] if drop else context)
    return np.concatenate(contexts, axis=1)


def begins_anew(attempt, case, rng):
    """A text after another one."""
    again = attempt(**case.inputs)["context"]
    if not same(attempt.result["context"], again, 1e-9, 1e-9):
        raise Mismatch(
            "The same text a second time gives another context: what was kept of the first is still there. Where `past` "
            "is None a new text begins.",
            attempt.result["context"],
            again,
            labels=("first time", "second time"),
        )


CACHED_STEP = Exercise(
    name="cached_step",
    lesson=LESSON,
    title="A step with a memory",
    kind="stretch",
    minutes=10,
    difficulty=2,
    points=0,
    reference=by_loops,
    cases=cases,
    outputs={"context": "B T V"},
    run=lesson_07.step_by_step,
    properties=[
        properties.finite(),
        Property("a new text begins anew", begins_anew),
        properties.last_item_apart("x", "context"),
    ],
    sketch=sketch,
    says="""
    forgets the past | Each position attends to itself only: what came before is not used. Put the new key and value behind the old ones.
    remembers one | A position sees the last two only, itself included; what came before is forgotten. Return *all* keys and values so far.
    remembers two | A position sees the last three only, itself included; what came before is forgotten. Return *all* keys and values so far.
    cache not extended | You use the new key and value, but return the past as it came. The next step will not know this one.
    first one not kept | The first position's key and value are not kept: the later ones do not see it.
    keys and values out of step | New keys and new values are put at opposite ends: each weight meets another position's value.
    does not see itself | A position attends to what came before and not to itself. In causal attention it may see itself: add its key and value *before* attending.
    sees the first only | Every position sees the first one only. A causal triangle over one row of scores leaves only its first place open. All keys kept so far are earlier: no mask.
    keys computed anew | Old keys change with the `key_matrix` of a later step: they are computed again. Keep the keys themselves, and project only the new position.
    values computed anew | Old values change with the `value_matrix` of a later step: they are computed again. Keep the values themselves, and project only the new position.
    asks with the first query | Every step asks with the query of the first position. Each asks with its own, new query.
    all contexts | You return a context for *every* position so far. Only the new one asks: (B, 1, V).
    keys by query_matrix | You project the keys with `query_matrix`.
    queries by key_matrix | You project the query with `key_matrix`.
    matrices exchanged | You project the query with `key_matrix` and the keys with `query_matrix`.
    not scaled | The scores are not divided by √H.
    scaled by H | You divide the scores by H; it is its square root.
    multiplied by the root | You multiply the scores by √H. Divide them.
    scaled by the root of D | You divide by √D, the width of x. It is √H, the width of a key.
    scaled by D | You divide by D, the width of x. It is √H, the root of the width of a key.
    scaled by the root of V | You divide by √V, the width of a value. It is √H, the width of a key.
    scaled by the number of keys | You divide by the root of the number of keys. It is √H, the width of a key.
    plain mean | You average the values. Weigh them by softmax of query·key/√H.
    all weights 1 | The values so far are added up, each with weight 1. Keys stand side by side (`np.concatenate(…, axis=1)`), and the softmax runs over them, the *last* axis of the scores (B, 1, S).
    softmax over the batch | Your weights sum to 1 over the batch. The softmax runs over the keys, the last axis.
    softmax over everything | All weights of the batch sum to 1 together. Those of each word do: softmax over the last axis.
    no softmax | You mix the values by the scores themselves, without softmax.
    not normalised | You mix by exp(score), not divided by the sum.
    not normalised, shifted | You mix by exp(score − the largest), not divided by the sum.
    best key only | You take the value of the best key. Attention mixes all of them, by softmax.
    nothing for the first | Where a position has only itself to look at, your context is zero. It may look at itself.
    keys mixed | You mix the keys. They only decide the weights.
    value added | You add the newest value to the context.
    contexts kept | You keep the *context* in the place of the position's value, so that later ones mix mixtures.
    an axis dropped | Your context has lost the axis of the position: (B, 1, V) is asked.
    """,
    choices={
        "keep_keys": KEPT
        | {"keys and values out of step": lambda old, new, t: behind(new, old, t)},
        "keep_values": KEPT,
        "sees": {
            "does not see itself": lambda z: z[:, :-1] if z.shape[1] > 1 else z,
            "sees the first only": lambda z: z[:, :1],
        },
        "anew_keys": {"keys computed anew": True},
        "anew_values": {"values computed anew": True},
        "asks": {
            "asks with the first query": lambda x, t: x[:, :1],
            "all contexts": lambda x, t: x[:, : t + 1],
        },
        "matrices": {
            "keys by query_matrix": lambda q, k: (q, q),
            "queries by key_matrix": lambda q, k: (k, k),
            "matrices exchanged": lambda q, k: (k, q),
        },
        "scale": {
            "not scaled": lambda H, D, V, S: 1,
            "scaled by H": lambda H, D, V, S: H,
            "multiplied by the root": lambda H, D, V, S: 1 / math.sqrt(H),
            "scaled by the root of D": lambda H, D, V, S: math.sqrt(D),
            "scaled by D": lambda H, D, V, S: D,
            "scaled by the root of V": lambda H, D, V, S: math.sqrt(V),
            "scaled by the number of keys": lambda H, D, V, S: math.sqrt(S),
        },
        "weigh": {
            "plain mean": lambda scores: np.full_like(scores, 1 / scores.shape[-1]),
            "all weights 1": np.ones_like,
            "softmax over the batch": lambda scores: softmax(scores, axis=0),
            "softmax over everything": lambda scores: softmax(scores, axis=(0, 1, 2)),
            "no softmax": lambda scores: scores,
            "not normalised": np.exp,
            "not normalised, shifted": lambda s: np.exp(s - s.max(axis=-1, keepdims=True)),
            "best key only": lambda scores: np.eye(scores.shape[-1])[scores.argmax(axis=-1)],
            "nothing for the first": lambda s: softmax(s) * (s.shape[-1] > 1),
        },
        "mix": {
            "keys mixed": lambda weights, keys, values: weights @ keys,
            "value added": lambda weights, keys, values: weights @ values + values[:, -1:],
        },
        "contexts_kept": {"contexts kept": True},
        "drop": {"an axis dropped": True},
    },
    reread="section 6",
    hint="Project x three times. If there is a past, `np.concatenate([old, new], axis=1)` for keys and for values. Attend with the one new query over all of them; return the context and the pair (keys, values).",
)
