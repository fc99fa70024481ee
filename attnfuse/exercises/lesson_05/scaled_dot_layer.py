"""A layer for scaled dot products that holds in float16, too."""

import math
from dataclasses import replace

import numpy as np

from attnfuse.checking import Case, Exercise, properties
from attnfuse.driving import Raised, lesson_05
from attnfuse.exercises.common import partial_mask, query_key_value
from attnfuse.exercises.lesson_05.shared import LESSON, floats


def by_loops(query, key, value, mask=None):
    """Context, weights and the gradient of the context's sum by the query."""
    query, key, value = floats(query, key, value)
    B, T, D = query.shape
    S, V = value.shape[1:]
    mask = np.broadcast_to(True if mask is None else mask, (B, T, S))
    context, weights, gradient = np.zeros((B, T, V)), np.zeros((B, T, S)), np.zeros((B, T, D))
    for b in range(B):
        for t in range(T):
            keys = [s for s in range(S) if mask[b, t, s]]
            scores = {s: query[b, t] @ key[b, s] / math.sqrt(D) for s in keys}
            powers = {s: math.exp(scores[s] - max(scores.values())) for s in keys}
            for s in keys:
                weights[b, t, s] = powers[s] / sum(powers.values())
                context[b, t] += weights[b, t, s] * value[b, s]
            for s in keys:
                ahead = weights[b, t, s] * (value[b, s] - context[b, t]).sum()
                gradient[b, t] += ahead * key[b, s] / math.sqrt(D)
    return context, weights, gradient


def cases(rng):
    def case(B, T, S, D, V, note, mask=None):
        inputs = query_key_value(rng, B, T, S, D, V, np.float32)
        return Case(inputs if mask is None else inputs | {"mask": mask}, note)

    closed = partial_mask(rng, 2, 3, 5)
    closed[1, 2] = False
    large = case(1, 2, 4, 4, 3, "scores in the thousands, the best key closed by a mask (S,)")
    order = rng.permutation(4)
    scores = [[-2000, -2001, 5000, -2003], [3000, 3001, 4000, 2998]]
    large.inputs["query"][0] = 2 * np.array(scores)[:, order]
    large.inputs["key"][0] = np.eye(4)
    large.inputs["mask"] = (np.arange(4) != 2)[order]
    query, key = (rng.choice([-1, 1], shape) for shape in ((2, 3, 4), (2, 4, 4)))
    key[0, 0], key[0, 1], query[1, 0], query[1, 2] = *query[0, :2], -key[1, 0], 0
    allowed = partial_mask(rng, 2, 3, 4)
    allowed[0, 0, 0], allowed[0, 1, 1], allowed[0, 1, 2] = True, False, True
    allowed[1, 0], allowed[1, 2] = np.arange(4) == 0, False
    half = {"query": 20 * query, "key": key, "value": rng.integers(-2, 3, (2, 4, 2))}
    half = {name: x.astype(np.float16) for name, x in half.items()}
    return [
        case(1, 1, 2, 4, 3, "one query, two keys, called without `mask`"),
        case(2, 3, 4, 2, 5, "mask (B, T, S)", partial_mask(rng, 2, 3, 4)),
        case(2, 3, 4, 4, 1, "mask (B, 1, S)", partial_mask(rng, 2, 1, 4)),
        case(3, 2, 4, 6, 6, "mask (1, T, S)", partial_mask(rng, 1, 2, 4)),
        case(2, 3, 5, 4, 6, "mask (T, S)", partial_mask(rng, 3, 5)),
        case(2, 3, 5, 4, 1, "the last query of the last item may attend to no key", closed),
        large,
        Case(half | {"mask": allowed}, "dtype float16; one query may attend to no key"),
    ]


# Each step returns its result and the way back, from slopes of the result to slopes of what it got.


def where(low):
    """Closed places get the score `low`."""

    def close(scores, mask, dtype):
        return np.where(mask, scores, dtype(low)), lambda slope: np.where(mask, slope, 0)

    return close


LOW, ZERO = where(-1e4), where(0)


def times(scores, mask, dtype):
    return scores * mask, lambda slope: slope * mask


def added(low, by=None):
    """`low` is added to closed places; by 0 and 1 as factors, if `by` is `times`."""

    def close(scores, mask, dtype):
        extra = ~mask * dtype(low) if by is times else np.where(mask, dtype(0), dtype(low))
        return (scores.astype(dtype) + extra).astype(float), lambda slope: slope

    return close


def untouched(scores, mask, dtype=None):
    return scores, lambda slope: slope


def inverted(step):
    return lambda scores, mask, dtype: step(scores, ~mask, dtype)


def spread(scores, axis=-1):
    powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
    weights = powers / powers.sum(axis=axis, keepdims=True)
    return (
        weights,
        lambda slope: weights * (slope - (slope * weights).sum(axis=axis, keepdims=True)),
    )


def three_steps(scores, mask, dtype, close, weigh, after):
    scores, to_scores = close(scores, mask, dtype)
    inner, to_closed = weigh(scores)
    weights, to_inner = after(inner, mask, dtype)
    return weights, inner, lambda slope: to_scores(to_closed(to_inner(slope)))


def by_hand(top, extra, factor):
    """Exponentials relative to `top`, closed ones set to zero, over their sum plus `extra`."""

    def weigh(scores, mask, dtype, **_):
        kept = {"all": scores, "open": np.where(mask, scores, -1e4), None: 0 * scores}[top]
        powers = np.exp((scores - kept.max(axis=-1, keepdims=True)).astype(dtype)).astype(float)
        cleared = powers * mask if factor else np.where(mask, powers, 0)
        total = cleared.sum(axis=-1, keepdims=True) + float(dtype(extra))
        weights = cleared / total

        def back(slope):
            inner = (slope - (slope * weights).sum(axis=-1, keepdims=True)) / total
            return (inner * mask if factor else np.where(mask, inner, 0)) * powers

        return weights, weights, back

    return weigh


def turned(key, value):
    return key.swapaxes(1, 2)


def sketch(
    query,
    key,
    value,
    mask=None,
    *,
    turn=turned,
    scale=lambda query, key, value: query.shape[-1] ** 0.5,
    allow=lambda mask: mask,
    none=None,
    steps=three_steps,
    close=LOW,
    weigh=spread,
    after=ZERO,
    mix="value",
    mixed="weights",
    given="weights",
    order=("context", "weights"),
):
    if mask is None and none:
        raise Raised(none)
    dtype = query.dtype.type
    q, k, v = floats(query, key, value)
    try:
        offered, root = turn(k, v), scale(query, k, v)
        scores = q @ offered / root
        mask = np.broadcast_to(True if mask is None else allow(mask), scores.shape)
        weights, inner, back = steps(scores, mask, dtype, close=close, weigh=weigh, after=after)
        stages = {"weights": weights, "inner": inner}
        values = {"value": v, "key": k}[mix]
        found = {"context": stages[mixed] @ values, "weights": stages[given]}
    except ValueError:
        raise Raised("InvalidArgumentError") from None
    slope = values.sum(axis=-1)[:, None] if order[0] == "context" else 1.0
    slope = np.broadcast_to(slope, scores.shape)
    which = mixed if order[0] == "context" else given
    if which == "inner":
        back = steps(scores, mask, dtype, close=close, weigh=weigh, after=untouched)[2]
    gradient = back(slope) @ offered.swapaxes(1, 2) / root
    return found[order[0]], found[order[1]], gradient


def refuse_half(query, key, value):
    if query.dtype == np.float16:
        raise Raised("InvalidArgumentError")
    return query.shape[-1] ** 0.5


HANDS = {
    f"by hand, maximum {top}, {extra} added{factor * ', by a factor'}": by_hand(top, extra, factor)
    for top, extra, factor in [
        *((None, extra, factor) for extra in (0, 1e-7) for factor in (False, True)),
        *(("open", extra, False) for extra in (0, 1e-7)),
        *(("all", extra, factor) for extra in (0, 1e-9) for factor in (False, True)),
        ("all", 1e-7, False),
    ]
}

SCALED_DOT_LAYER = Exercise(
    name="scaled_dot_layer",
    lesson=LESSON,
    title="A layer for scaled dot products",
    kind="write",
    minutes=10,
    difficulty=2,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"context": "B T V", "weights": "B T S", "gradient": "B T D"},
    run=lesson_05.scaled_dot,
    properties=[
        properties.finite("context", "weights"),
        properties.not_negative(),
        properties.rows_sum_to_one(zero_rows=True),
        replace(properties.finite("gradient"), name="finite gradient"),
    ],
    sketch=sketch,
    says="""
    not scaled | Divide the scores by √D, the square root of the width of a query. Keras's own `Attention` does not unless told to; here it is asked for.
    divided by D | You divide by D. It is its square root, `query.shape[-1] ** 0.5`.
    multiplied by the root | You multiply by √D where you should divide by it.
    scaled by the number of keys | You divide by the root of the number of keys. It is the root of the *width* of a query, `query.shape[-1]`.
    scaled by the number of queries | You divide by the root of the number of queries. It is the root of the *width* of a query, `query.shape[-1]`.
    scaled by the width of a value | You divide by the root of the width of a value. It is the root of the *width* of a query, `query.shape[-1]`.
    root in float32 | TensorFlow refuses float16 here: something else comes in float32, such as the root `ops.sqrt(…)` of a plain number. A Python number goes with every type: `query.shape[-1] ** 0.5`.
    keys not transposed | Query is (B, T, D), key (B, S, D): for a product (B, T, S) the keys must be turned to (B, D, S).
    shapes refused | TensorFlow refuses your shapes on every case. Write the shape behind each line: query (B, T, D), keys turned to (B, D, S) by `ops.transpose(key, (0, 2, 1))` (not all three axes), scores (B, T, S), value (B, S, V).
    reshaped instead of transposed | You `reshape` the keys to (B, D, S). That deals the same numbers out again in another order; `ops.transpose(key, (0, 2, 1))` turns axes round.
    values compared | You compare the query with the values. It is compared with *keys*; values are what is mixed.
    keys mixed | You mix the keys. Keys decide the weights; what is mixed is `value`.
    softmax over the queries | Your softmax runs over the queries (axis 1). Each query spreads one unit over the *keys*: axis -1.
    no softmax | The softmax that makes weights of scores is missing.
    mask ignored | Your layer does not use `mask`.
    mask inverted | Your mask works the wrong way round. True means *may attend*.
    the first item's mask for all | You use the first item's mask for the whole batch. Each item has its own.
    two axes taken for (B, S) | A mask of two axes is not (T, S) to your layer. It is broadcastable to (B, T, S), and broadcasting counts from the right: no axis has to be added.
    mask None raises ValueError | Without a mask your layer raises an error. `mask` may be None, and then every key is open: ask `if mask is not None` before you use it.
    mask None raises TypeError | Without a mask your layer raises an error. `mask` may be None, and then every key is open: ask `if mask is not None` before you use it.
    mask after the softmax | You do not close keys before the softmax: what closed ones take there is missing in the row. Closed places need a low score first, and zero afterwards.
    closed keys score 0 | A closed key still has the score 0 (or next to it) in the softmax, and e⁰ is 1, not nothing. Give it a low score.
    closed keys score -1 | The score that you give to closed keys is not low enough: where open keys score less, a closed one takes the most. -1e4 will do.
    closed keys score -5 | The score that you give to closed keys is not low enough: where open keys score less, a closed one takes the most. -1e4 will do.
    closed keys score -10 | The score that you give to closed keys is not low enough: where open keys score less, a closed one takes the most. -1e4 will do.
    closed keys score -100 | The score that you give to closed keys is not low enough: where open keys score less, a closed one takes the most. -1e4 will do.
    mask inverted before the softmax | Before the softmax your mask works the wrong way round: the low number goes where the mask is *False*, `ops.where(mask, scores, low)`.
    minus infinity added | You add minus infinity. (In float16, -1e9 *is* minus infinity.) In a row without an allowed key that makes NaN inside the softmax. Zeros put there afterwards hide it forwards only: backwards it passes the sum. Take a low *finite* number, such as -1e4.
    -1e9 added | You add minus infinity. (In float16, -1e9 *is* minus infinity.) In a row without an allowed key that makes NaN inside the softmax. Zeros put there afterwards hide it forwards only: backwards it passes the sum. Take a low *finite* number, such as -1e4.
    minus infinity by a factor | Where the factor 0 meets minus infinity the result is NaN, in open places, too. (In float16, -1e9 *is* minus infinity.) Take a low *finite* number: the lowest in float16 is -65,504, and -1e4 will do.
    -1e9 by a factor | Where the factor 0 meets minus infinity the result is NaN, in open places, too. (In float16, -1e9 *is* minus infinity.) Take a low *finite* number: the lowest in float16 is -65,504, and -1e4 will do.
    closed rows not zero | Closing before the softmax is not enough: where *every* score of a row is low, softmax sees no difference, and a query that may attend to no key still gets weights. Ours are zero: set closed places to zero *after* the softmax as well.
    -1e4 added, nothing after | Closing before the softmax is not enough: where *every* score of a row is low, softmax sees no difference, and a query that may attend to no key still gets weights. Ours are zero: set closed places to zero *after* the softmax as well.
    -1e9, nothing after | Closing before the softmax is not enough: where *every* score of a row is low, softmax sees no difference, and a query that may attend to no key still gets weights. Ours are zero: set closed places to zero *after* the softmax as well. And -1e9 is minus infinity in float16: take a number that exists there, such as -1e4.
    -1e9 added, nothing after | Closing before the softmax is not enough: where *every* score of a row is low, softmax sees no difference, and a query that may attend to no key still gets weights. Ours are zero: set closed places to zero *after* the softmax as well. And -1e9 is minus infinity in float16: take a number that exists there, such as -1e4.
    -1e9 by a factor, nothing after | Where the factor 0 meets minus infinity the result is NaN, in open places, too. (In float16, -1e9 *is* minus infinity.) Take a low *finite* number: the lowest in float16 is -65,504, and -1e4 will do.
    minus infinity, nothing after | A query that may attend to no key gets NaN: with minus infinity everywhere its softmax is −∞ − (−∞). (In float16, -1e9 *is* minus infinity.) A factor of 0 leaves NaN as it is. Close with a low *finite* number, such as -1e4.
    -1e9, a factor after | A query that may attend to no key gets NaN: with minus infinity everywhere its softmax is −∞ − (−∞). (In float16, -1e9 *is* minus infinity.) A factor of 0 leaves NaN as it is. Close with a low *finite* number, such as -1e4.
    mask inverted after the softmax | After the softmax your mask works the wrong way round: zeros go where the mask is *False*, `ops.where(mask, weights, 0.0)`.
    context from other weights | Your context is mixed before closed places are set to zero. Mix with the weights that you return.
    other weights returned | The weights that you return are those from before closed places are set to zero. Return those that mix.
    order of outputs | You return (weights, context). Asked is (context, weights).
    """
    + "".join(
        f"{name} | Where scores are large, your exponentials overflow or vanish (those of closed keys count as well), and what is left is 0/0, zeros, or NaN that shows only backwards. Close keys first, by a low score; then `ops.softmax` does the rest.\n"
        for name in HANDS
    ),
    choices={
        "scale": {
            "not scaled": lambda query, key, value: 1.0,
            "divided by D": lambda query, key, value: query.shape[-1],
            "multiplied by the root": lambda query, key, value: query.shape[-1] ** -0.5,
            "scaled by the number of keys": lambda query, key, value: key.shape[1] ** 0.5,
            "scaled by the number of queries": lambda query, key, value: query.shape[1] ** 0.5,
            "scaled by the width of a value": lambda query, key, value: value.shape[-1] ** 0.5,
            "root in float32": refuse_half,
        },
        "turn": {
            "keys not transposed": lambda key, value: key,
            "shapes refused": lambda key, value: key.T,
            "reshaped instead of transposed": lambda key, value: key.reshape(
                key.shape[0], key.shape[2], key.shape[1]
            ),
            "values compared": lambda key, value: value.swapaxes(1, 2),
        },
        "mix": {"keys mixed": "key"},
        "weigh": {
            "softmax over the queries": lambda scores: spread(scores, 1),
            "no softmax": untouched,
            **dict.fromkeys(HANDS),
        },
        "allow": {
            "mask ignored": np.ones_like,
            "mask inverted": np.logical_not,
            "the first item's mask for all": lambda mask: mask[:1] if mask.ndim == 3 else mask,
            "two axes taken for (B, S)": lambda mask: mask[:, None] if mask.ndim == 2 else mask,
        },
        "none": {
            "mask None raises ValueError": "ValueError",
            "mask None raises TypeError": "TypeError",
        },
        "close": {
            "mask after the softmax": untouched,
            "closed keys score 0": times,
            "closed keys score -1": where(-1),
            "closed keys score -5": where(-5),
            "closed keys score -10": where(-10),
            "closed keys score -100": where(-100),
            "mask inverted before the softmax": inverted(LOW),
            "minus infinity added": added(-np.inf),
            "-1e9 added": added(-1e9),
            "minus infinity by a factor": added(-np.inf, times),
            "-1e9 by a factor": added(-1e9, times),
            "-1e4 added, nothing after": added(-1e4),
            "-1e9, nothing after": where(-1e9),
            "-1e9 added, nothing after": added(-1e9),
            "-1e9 by a factor, nothing after": added(-1e9, times),
            "minus infinity, nothing after": where(-np.inf),
            "-1e9, a factor after": where(-1e9),
            **dict.fromkeys(HANDS),
        },
        "after": {
            "closed rows not zero": untouched,
            "-1e4 added, nothing after": untouched,
            "-1e9, nothing after": untouched,
            "-1e9 added, nothing after": untouched,
            "-1e9 by a factor, nothing after": untouched,
            "minus infinity, nothing after": untouched,
            "-1e9, a factor after": times,
            "mask inverted after the softmax": inverted(ZERO),
            **dict.fromkeys(HANDS),
        },
        "steps": HANDS,
        "mixed": {"context from other weights": "inner"},
        "given": {"other weights returned": "inner"},
        "order": {"order of outputs": ("weights", "context")},
    },
    own=["attnfuse.layers", "attnfuse.attention"],
    reread="section 2",
    hint="`ops.transpose(key, (0, 2, 1))` turns the keys. Close with `ops.where(mask, scores, -1e4)` (low enough only while open scores stay well above it), take the softmax, then `ops.where(mask, weights, 0.0)`. Without a mask, neither.",
    rtol=2e-3,
    atol=2e-3,
)
