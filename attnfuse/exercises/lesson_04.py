"""Lesson 04, multi-head attention and positions: what its exercises must satisfy."""

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

LESSON = "04_multi_head_attention"
BASE = 10_000.0


def _softmax(scores, mask=True):
    """Vectorised, for the wrong answers below; rows without an allowed key are zeros."""
    shifted = np.where(mask, scores, -np.inf)
    top = shifted.max(axis=-1, keepdims=True)
    powers = np.exp(shifted - np.where(np.isfinite(top), top, 0))
    total = powers.sum(axis=-1, keepdims=True)
    return powers / np.where(total > 0, total, 1)


def _dot(a, b):
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


# -- split_heads ----------------------------------------------------------------------------------


def split_by_loops(x, heads):
    """The definition: head n holds the columns n·H … (n+1)·H of every word."""
    B, T, D = x.shape
    H = D // heads
    parts = np.zeros((B, heads, T, H))
    for b in range(B):
        for n in range(heads):
            for t in range(T):
                for h in range(H):
                    parts[b, n, t, h] = x[b, t, n * H + h]
    return parts


def split_cases(rng):
    def case(B, T, N, H, note):
        return Case({"x": rng.standard_normal((B, T, N * H)), "heads": N}, note)

    counted = np.arange(12.0).reshape(1, 2, 6)
    return [
        case(1, 1, 1, 2, "one word, one head"),
        Case({"x": counted, "heads": 3}, "two words, three heads of width 2"),
        case(1, 4, 2, 3, "two heads"),
        case(2, 3, 4, 5, "two items"),
        case(3, 2, 5, 1, "as many heads as columns"),
        case(2, 6, 1, 4, "one head"),
    ]


def _split(x, heads):
    B, T, D = x.shape
    return x.reshape(B, T, heads, D // heads).transpose(0, 2, 1, 3)


def _test_words_stay_whole(attempt, case, rng):
    x, heads = case.inputs["x"], case.inputs["heads"]
    for word in range(x.shape[1]):
        changed = x.copy()
        changed[:, word] += 100
        moved = attempt(x=changed, heads=heads)["parts"] != attempt.result["parts"]
        rows = sorted({int(t) for t in np.argwhere(moved)[:, 2]})
        if rows != [word]:
            raise Mismatch(
                f"Word {word} was changed. In every head row {word} must change, and no other; "
                f"with yours the rows {rows} did."
            )


SPLIT_HEADS = Exercise(
    name="split_heads",
    lesson=LESSON,
    title="Cut the width into heads",
    kind="write",
    minutes=6,
    difficulty=1,
    points=2,
    reference=split_by_loops,
    cases=split_cases,
    outputs={"parts": "B N T H"},
    properties=[Property("a word stays in its row, in every head", _test_words_stay_whole)],
    misconceptions=[
        Misconception(
            "reshaped in one go",
            "You `reshape` straight to (B, N, T, H). That deals the numbers out in the order in which they lie in "
            "memory, so words are torn apart and mixed into heads. First cut the *last* axis, (B, T, N, H), then swap T and N.",
            lambda x, heads: x.reshape(len(x), heads, x.shape[1], x.shape[2] // heads),
        ),
        Misconception(
            "axes not swapped",
            "You cut the width and left the axes as (B, T, N, H). Swap T and N, so that each head has a table of "
            "words (T, H) of its own, and one matrix product serves all heads.",
            lambda x, heads: x.reshape(len(x), x.shape[1], heads, x.shape[2] // heads),
        ),
        Misconception(
            "every N-th column",
            "Your head 0 gets the columns 0, N, 2N, …: you cut the width into (H, N). A head takes H columns that lie "
            "side by side: cut it into (N, H).",
            lambda x, heads: x.reshape(len(x), x.shape[1], x.shape[2] // heads, heads).transpose(
                0, 3, 1, 2
            ),
        ),
        Misconception(
            "heads before the batch",
            "Your heads are the first axis. The batch stays first: (B, N, T, H).",
            lambda x, heads: _split(x, heads).swapaxes(0, 1),
        ),
        Misconception(
            "split along the words",
            "You cut the *words* into groups, axis 1. Every head sees all words; what is cut is the width, the last axis.",
            lambda x, heads: np.stack(np.split(x, heads, axis=1), axis=1),
        ),
        Misconception(
            "already turned for the product",
            "Your heads are (H, T), words in columns. Keep each word a row: (B, N, T, H).",
            lambda x, heads: _split(x, heads).swapaxes(-1, -2),
        ),
        Misconception(
            "repeated",
            "Every head of yours holds the whole width. Heads share it: H = D / N columns each.",
            lambda x, heads: np.repeat(x[:, None], heads, axis=1),
        ),
    ],
    own=["attnfuse.attention.split_heads"],
    reread="section 3",
    hint="Two steps: `x.reshape(B, T, heads, H)` cuts the last axis and leaves words alone; then swap axes 1 and 2.",
)

# -- head_cost ------------------------------------------------------------------------------------


def costs(D, T, N):
    """Parameters, multiplications and weights of attention with N heads, counted one by one."""
    H = D // N
    parameters = multiplications = weights = 0
    for _ in range(N):
        parameters += 3 * D * H  # this head's columns of the projections of query, key and value
        multiplications += 3 * T * D * H  # these three projections, for T words
        multiplications += T * T * H  # scores: T·T dot products of width H
        multiplications += T * T * H  # context: T mixtures of T values of width H
        weights += T * T
    return parameters + D * D, multiplications + T * D * D, weights  # and the output projection


def cost_factors():
    one, eight = costs(512, 100, 1), costs(512, 100, 8)
    return tuple(many / few for many, few in zip(eight, one, strict=True))


HEAD_COST = Exercise(
    name="head_cost",
    lesson=LESSON,
    title="What do eight heads cost?",
    kind="predict",
    minutes=5,
    difficulty=1,
    points=2,
    reference=cost_factors,
    value=True,
    misconceptions=[
        Misconception(
            "every head costs a whole attention",
            "You count eight attentions of full width. The heads *share* the width: each projects to 64 columns and "
            "its dot products have 64 terms, an eighth of the work. (Only the tables of weights are eight.)",
            (8, 8, 8),
        ),
        Misconception(
            "more to multiply",
            "The parameters are the same, you say; so are the multiplications: eight times as many dot products, "
            "each with an eighth of the terms.",
            (1, 8, 8),
        ),
        Misconception(
            "more parameters only",
            "Side by side, eight matrices of 512×64 *are* one of 512×512: not one parameter more.",
            (8, 1, 8),
        ),
        Misconception(
            "nothing grows",
            "The first two are right. But each head has a table of weights of its own, 100×100, and there are eight.",
            (1, 1, 1),
        ),
        Misconception(
            "cheaper by narrowness",
            "One narrow head costs an eighth. There are eight of them.",
            (1 / 8, 1 / 8, 1),
        ),
        Misconception(
            "narrower products",
            "Each dot product has an eighth of the terms, that is right. But every pair of words now has eight of them.",
            (1, 1 / 8, 8),
        ),
        Misconception(
            "one head counted",
            "You count one head of the eight: parameters and products fall to an eighth in each, and there are eight. (The "
            "tables of weights you did count eight times.)",
            (1 / 8, 1 / 8, 8),
        ),
        Misconception(
            "amounts instead of factors",
            "These are the amounts for eight heads, rightly counted. Asked are factors: divide by the amounts for one head.",
            costs(512, 100, 8),
        ),
        Misconception(
            "weights shrink",
            "A head's table of weights has a row for each query and a column for each key. The width is not in it, so "
            "it stays 100×100, and there are eight.",
            (1, 1, 1 / 8),
        ),
    ],
    reread="section 4",
    hint="Write the shapes of everything for one head of width 512, then for one of width 64. Multiply the second by eight.",
    rtol=1e-3,
)

# -- many_heads (a bug) ---------------------------------------------------------------------------


def heads_by_loops(query, key, value, heads, mask=None, turn=None):
    """Head by head, query by query, one weight at a time."""
    B, T, D = query.shape
    S, H, V = key.shape[1], D // heads, value.shape[2] // heads
    mask = np.ones((B, T, S), bool) if mask is None else np.broadcast_to(mask, (B, T, S))
    turn = turn or (lambda row, position: row)
    context, weights = np.zeros((B, T, heads * V)), np.zeros((B, heads, T, S))
    for b in range(B):
        for n in range(heads):
            rows = slice(n * H, (n + 1) * H)
            for t in range(T):
                asked = turn(query[b, t, rows], t)
                scores = {
                    s: _dot(asked, turn(key[b, s, rows], s)) / math.sqrt(H)
                    for s in range(S)
                    if mask[b, t, s]
                }
                top = max(scores.values(), default=0.0)
                total = sum(math.exp(score - top) for score in scores.values())
                for s, score in scores.items():
                    weights[b, n, t, s] = math.exp(score - top) / total
                    for v in range(V):
                        share = weights[b, n, t, s] * float(value[b, s, n * V + v])
                        context[b, t, n * V + v] += share
    return context, weights


def _qkv(rng, B, T, S, N, H, V, dtype=float):
    shapes = {"query": (B, T, N * H), "key": (B, S, N * H), "value": (B, S, N * V)}
    arrays = {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}
    return {**arrays, "heads": N}


def _partial_mask(rng, *shape):
    """At least one key allowed and one forbidden in every row."""
    mask = rng.random(shape) < 0.5
    places = np.argsort(rng.random(shape), axis=-1)
    np.put_along_axis(mask, places[..., :1], True, axis=-1)
    np.put_along_axis(mask, places[..., 1:2], False, axis=-1)
    return mask


def many_heads_cases(rng):
    nothing = _partial_mask(rng, 2, 3, 5)
    nothing[1, 2] = False
    return [
        Case({**_qkv(rng, 1, 2, 3, 1, 4, 4), "mask": None}, "one head"),
        Case(
            {**_qkv(rng, 1, 2, 3, 1, 4, 4), "mask": _partial_mask(rng, 1, 2, 3)},
            "one head and a mask: the colleague's own test",
        ),
        Case({**_qkv(rng, 1, 3, 4, 2, 5, 5), "mask": None}, "two heads"),
        Case(
            {**_qkv(rng, 2, 3, 5, 2, 4, 4), "mask": _partial_mask(rng, 2, 3, 5)},
            "as many items as heads, a mask",
        ),
        Case(
            {**_qkv(rng, 3, 4, 5, 2, 6, 6), "mask": _partial_mask(rng, 3, 4, 5)},
            "three items, two heads, a mask",
        ),
        Case({**_qkv(rng, 2, 3, 5, 4, 6, 7), "mask": None}, "four heads, value of another width"),
        Case({**_qkv(rng, 2, 3, 4, 3, 2, 2, np.float32), "mask": None}, "float32"),
        Case({**_qkv(rng, 2, 3, 5, 4, 6, 6), "mask": nothing}, "item 1, query 2 may see no key"),
    ]


def _same(x):
    return x


def _merge(context):
    B, N, T, V = context.shape
    return context.transpose(0, 2, 1, 3).reshape(B, T, N * V)


def _merge_by_reshape(context):
    B, N, T, V = context.shape
    return context.reshape(B, T, N * V)


def _new_axis(mask, heads):
    return mask[:, None]


def _as_it_is(mask, heads):
    return mask


def _tiled(mask, heads):
    """Copies of the whole batch one after another, then read as if they were copies of each item."""
    B, T, S = mask.shape
    return np.tile(mask, (heads, 1, 1)).reshape(B, heads, T, S)


def _by_width(q, v, heads):
    return math.sqrt(q.shape[-1])


def _by_full_width(q, v, heads):
    return math.sqrt(heads * q.shape[-1])


def _heads(divisor=_by_width, mask_axes=_new_axis, merge=_merge, split=_split, weigh=_softmax):
    """Multi-head attention with one part or another done differently."""

    def wrong(query, key, value, heads, mask=None):
        q, k, v = (split(x, heads) for x in (query, key, value))
        scores = q @ k.swapaxes(-1, -2) / divisor(q, v, heads)
        allowed = np.ones(scores.shape, bool) if mask is None else mask_axes(mask, heads)
        weights = weigh(scores, np.broadcast_to(allowed, scores.shape))
        return merge(weights @ v), weights

    return wrong


def _without_guard(scores, mask):
    """Minus infinity and no thought for a row of nothing else: 0/0 there."""
    powers = np.exp(np.where(mask, scores, -np.inf))
    return powers / powers.sum(axis=-1, keepdims=True)


def _shaped_like_query(query, key, value, heads, mask=None):
    context, weights = _heads(merge=_same)(query, key, value, heads, mask)
    return context.transpose(0, 2, 1, 3).reshape(query.shape), weights


def _averaged_weights(query, key, value, heads, mask=None):
    context, weights = _heads()(query, key, value, heads, mask)
    return context, weights.mean(axis=1)


_ASIS = {"mask": {"mask_axes": _as_it_is}, "scale": {"divisor": _by_full_width}}
_ASIS["merge"] = {"merge": _merge_by_reshape}
_LEFT = {
    "mask": "the mask (B, T, S) meets scores (B, N, T, S): NumPy lines them up from the right, so an *item's* mask "
    "lands on a *head*. It needs an axis of length 1 for the heads: (B, 1, T, S)",
    "scale": "the scores are still divided by √(N·H), the whole width. A head's score is a sum of H products: divide "
    "by √H, the last axis of the *split* query",
    "merge": "the context is (B, N, T, V), and a plain `reshape` puts one head's different words side by side. Swap N and T "
    "back first: heads of the *same* word belong together",
}


def _unrepaired(*faults):
    """Says what is left: of three faults none by name, of two the first, of one that one."""
    slips = {}
    for fault in faults:
        slips.update(_ASIS[fault])
    if len(faults) == 3:
        name = "nothing repaired"
        says = (
            "This still behaves as the broken one does: right with one head, wrong with several. Write down the "
            "shape of every array for B=2, N=3, T=4, S=5, H=6, and ask of each line what it does when N is 1."
        )
    else:
        name = f"{' and '.join(faults)} not repaired"
        count = "One fault is" if len(faults) == 1 else "One fault is repaired, two are"
        first = _LEFT[faults[0]]
        says = f"{count} left. {first[:1].upper()}{first[1:]}."
    return Misconception(name, says, _heads(**slips))


MANY_HEADS = Exercise(
    name="many_heads",
    lesson=LESSON,
    title="Right with one head",
    kind="bug",
    minutes=12,
    difficulty=2,
    points=2,
    reference=heads_by_loops,
    cases=many_heads_cases,
    outputs={"context": "B T N·V", "weights": "B N T S"},
    properties=[
        properties.finite(),
        properties.not_negative(),
        properties.rows_sum_to_one(zero_rows=True),
        properties.batch_items_do_not_mix(),
        properties.key_order_is_irrelevant(),
        properties.no_leak_from_masked(),
    ],
    misconceptions=[
        _unrepaired("scale", "mask", "merge"),
        _unrepaired("merge", "mask"),
        _unrepaired("scale", "merge"),
        _unrepaired("scale", "mask"),
        _unrepaired("merge"),
        _unrepaired("mask"),
        _unrepaired("scale"),
        Misconception(
            "mask axis on the wrong side",
            "You made the mask (B, T, 1, S). Scores are (B, N, T, S): the new axis belongs where the heads stand, "
            "`mask[:, None]`.",
            _heads(mask_axes=lambda mask, heads: mask[:, :, None]),
        ),
        Misconception(
            "one mask for all items",
            "You use the first item's mask for all items. Each item keeps its own, shared by its heads: (B, 1, T, S).",
            _heads(mask_axes=lambda mask, heads: mask[:1, None]),
        ),
        Misconception(
            "merged column by column",
            "Your context has the columns of the heads in turns: head 0's first, head 1's first, … Put each head's "
            "columns side by side: (B, T, N, V), then `reshape`.",
            _heads(merge=lambda c: c.transpose(0, 2, 3, 1).reshape(len(c), c.shape[2], -1)),
        ),
        Misconception(
            "heads added up",
            "You add the heads up. They are put side by side, (B, T, N·V); mixing them is the output projection's task.",
            _heads(merge=lambda context: context.sum(axis=1)),
        ),
        Misconception(
            "scaled by the number of heads",
            "You divide by √N. A score's size comes from its number of terms, the width H of a head.",
            _heads(divisor=lambda q, v, heads: math.sqrt(heads)),
        ),
        Misconception(
            "not scaled",
            "Your scores are not divided by √H at all.",
            _heads(divisor=lambda q, v, heads: 1.0),
        ),
        Misconception(
            "scaled by H",
            "You divide by H. The spread of a sum of H products is √H: divide by the root.",
            _heads(divisor=lambda q, v, heads: q.shape[-1]),
        ),
        Misconception(
            "scaled by the value's width",
            "You divide by √V, the width of a head's value. A score is a product of query and key: divide by √H.",
            _heads(divisor=lambda q, v, heads: math.sqrt(v.shape[-1])),
        ),
        Misconception(
            "mask ignored",
            "Your answer is right as long as there is no mask: it never uses `mask`.",
            _heads(mask_axes=lambda mask, heads: np.ones_like(mask)[:, None]),
        ),
        Misconception(
            "mask inverted",
            "Your mask is the wrong way round. True means *may attend*.",
            _heads(mask_axes=lambda mask, heads: ~mask[:, None]),
        ),
        Misconception(
            "masks tiled over the heads",
            "Your copies of the masks stand in the order item 0, item 1, …, item 0, item 1, …; heads folded into the batch "
            "need item 0 N times, then item 1 N times. `np.repeat` does that, `np.tile` does not; `mask[:, None]` needs no copies.",
            _heads(mask_axes=_tiled),
        ),
        Misconception(
            "nothing allowed, equal weights",
            "A query that may see no key gets equal weights from you: a large negative number instead of minus infinity "
            "makes all its scores alike. It must get zeros; `attention.softmax(scores, mask)` and `attention_pooling` see to that.",
            _heads(weigh=lambda scores, mask: _softmax(np.where(mask, scores, -1e9))),
        ),
        Misconception(
            "nothing allowed, 0/0",
            "A query that may see no key gets 0/0 from you, NaN. It must get zeros; `attention.softmax(scores, mask)` and "
            "`attention_pooling` see to that.",
            _heads(weigh=_without_guard),
        ),
        Misconception(
            "not merged",
            "Your context still has an axis for the heads, (B, N, T, V). Swap it back and merge: (B, T, N·V).",
            _heads(merge=_same),
        ),
        Misconception(
            "shaped like the query",
            "You reshape the context to the shape of `query`. It has N·V columns, and V may differ from H: take T from the "
            "query and leave the last axis to NumPy (-1).",
            _shaped_like_query,
        ),
        Misconception(
            "weights averaged over the heads",
            "You average the weights over the heads. Some libraries do that by default; here each head shows its own table, "
            "(B, N, T, S).",
            _averaged_weights,
        ),
        Misconception(
            "mask after the softmax",
            "You set weights to zero after the softmax, so the rest of the row sums to less than 1.",
            _heads(weigh=lambda scores, mask: _softmax(scores) * mask),
        ),
    ],
    own=["attnfuse.attention.multi_head_attention"],
    reread="sections 3 and 5",
    hint="With one head √(N·H) is √H, an axis of length 1 may stand anywhere, and (B, 1, T, V) reshapes rightly. "
    "So look at the divisor, at the mask and at the last line.",
)

# -- rotary_heads ---------------------------------------------------------------------------------


def _turned(row, position):
    """One row of width H at one position: each pair of neighbours turned by its own angle."""
    out, H = [0.0] * len(row), len(row)
    for i in range(H // 2):
        angle = position / BASE ** (2 * i / H)
        a, b = float(row[2 * i]), float(row[2 * i + 1])
        out[2 * i] = a * math.cos(angle) - b * math.sin(angle)
        out[2 * i + 1] = a * math.sin(angle) + b * math.cos(angle)
    return out


def rotary_heads_by_loops(query, key, value, heads):
    """Head by head; query and key rows turned by their position, values not."""
    return heads_by_loops(query, key, value, heads, turn=_turned)


def rotary_heads_cases(rng):
    def case(*sizes, dtype=float, note=""):
        inputs = _qkv(rng, *sizes, dtype=dtype)
        inputs["query"] *= 2  # weights far from uniform
        return Case(inputs, note)

    return [
        case(1, 1, 2, 1, 2, 2, note="one query, one head"),
        case(1, 3, 4, 1, 4, 6, note="one head"),
        case(1, 3, 5, 2, 4, 2, note="two heads"),
        case(2, 3, 5, 4, 6, 2, note="four heads, two items"),
        case(3, 4, 2, 3, 2, 4, dtype=np.float32, note="float32"),
        case(2, 5, 7, 2, 8, 4, note="seven keys"),
    ]


def _places(positions, x):
    """The angles of the pairs of x (…, T, H) at these positions: (T, H/2)."""
    return positions[:, None] * BASE ** (-np.arange(0, x.shape[-1], 2) / x.shape[-1])


def _turn(x):
    """Rows of (…, T, H) by their positions, vectorised, for the wrong answers."""
    return _turn_by(x, _places(np.arange(x.shape[-2]), x))


def _turn_by(x, angles):
    a, b = x[..., ::2], x[..., 1::2]
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack([a * cos - b * sin, a * sin + b * cos], axis=-1).reshape(x.shape)


def _codes(T, D):
    angles = np.arange(T)[:, None] * BASE ** (-np.arange(0, D, 2) / D)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(T, D)


def _add_codes(x):
    return x + _codes(*x.shape[-2:])


def _rotated(
    query_turn=_turn,
    key_turn=_turn,
    value_turn=_same,
    before=_same,
    after=_same,
    divisor=_by_width,
    merge=_merge,
):
    def wrong(query, key, value, heads):
        q, k, v = _split(before(query), heads), _split(before(key), heads), _split(value, heads)
        q, k, v = query_turn(q), key_turn(k), value_turn(v)
        weights = _softmax(q @ k.swapaxes(-1, -2) / divisor(q, v, heads))
        return after(merge(weights @ v)), weights

    return wrong


def _one_wide_head(query, key, value, heads):
    weights = _softmax(_turn(query) @ _turn(key).swapaxes(-1, -2) / math.sqrt(query.shape[-1]))
    return weights @ value, weights


def _test_equal_values(attempt, case, rng):
    """A mixture of equal rows is that row."""
    value = np.ones_like(case.inputs["value"]) * np.arange(1, case.inputs["value"].shape[2] + 1)
    context = attempt(**{**case.inputs, "value": value})["context"]
    expected = np.broadcast_to(value[:, :1], context.shape)
    if not np.allclose(context, expected, rtol=1e-5, atol=1e-5):
        raise Mismatch(
            "All values were made equal. Whatever the weights are, their mixture must be that value.",
            expected=expected,
            got=context,
        )


def _test_first_words(attempt, case, rng):
    """With one query and one key nothing can depend on positions; with more, order must count."""
    inputs = case.inputs
    if inputs["key"].shape[1] < 3:
        return
    alike = {**inputs, "key": np.repeat(inputs["key"][:, :1], inputs["key"].shape[1], axis=1)}
    weights = attempt(**alike)["weights"]
    if np.allclose(weights, weights[..., :1], atol=1e-6):
        raise Mismatch(
            "All keys were made equal, so that only their places differ, and all weights became equal: "
            "your attention does not see the places."
        )


ROTARY_HEADS = Exercise(
    name="rotary_heads",
    lesson=LESSON,
    title="Heads that know their places",
    kind="write",
    minutes=12,
    difficulty=3,
    points=2,
    reference=rotary_heads_by_loops,
    cases=rotary_heads_cases,
    outputs={"context": "B T N·V", "weights": "B N T S"},
    properties=[
        properties.finite(),
        properties.rows_sum_to_one(),
        properties.batch_items_do_not_mix(),
        Property("order counts", _test_first_words),
        Property("equal values give that value", _test_equal_values),
    ],
    misconceptions=[
        Misconception(
            "values turned too",
            "You turn the values as well. Places belong to the *scores*: turn queries and keys. A value has to arrive "
            "as it was sent, wherever it stood.",
            _rotated(value_turn=_turn),
        ),
        Misconception(
            "turned before the split",
            "You turn the whole width and split afterwards. So head 0 gets all the fast pairs and the last head all the "
            "slow ones. Split first: each head has pairs of every speed.",
            _rotated(query_turn=_same, key_turn=_same, before=_turn),
        ),
        Misconception(
            "keys not turned",
            "You turn the queries only. A score then depends on where the query stands, not on the distance to the key: "
            "turn the keys as well.",
            _rotated(key_turn=_same),
        ),
        Misconception(
            "queries not turned",
            "You turn the keys only. A score then depends on where the key stands, not on its distance from the query: "
            "turn the queries as well.",
            _rotated(query_turn=_same),
        ),
        Misconception(
            "positions after attention",
            "You turn the context, when attention is over. The weights were made without any positions: turn queries and "
            "keys *before* the scores.",
            _rotated(_same, _same, after=lambda context: _turn(context)),
        ),
        Misconception(
            "positions added after attention",
            "You add position codes to the context. Then each row says where it stands, but the weights were made "
            "without any positions: turn queries and keys *before* the scores.",
            _rotated(_same, _same, after=_add_codes),
        ),
        Misconception(
            "codes added",
            "You *add* position codes to queries and keys. That is the other way of this lesson. Here they are turned, "
            "by `attention.rotary`.",
            _rotated(_add_codes, _add_codes),
        ),
        Misconception(
            "no positions",
            "Your attention knows no positions. Either nothing is turned, or it is turned along the wrong axis: "
            "`attention.rotary` counts along axis -2, so that axis must be the words. On (B, T, N, H) it counts the "
            "*heads*; query and key of a head then turn alike, and their product stays what it was.",
            _rotated(_same, _same),
        ),
        Misconception(
            "scaled by the whole width",
            "You divide by √(N·H). A head's score is a sum of H products: divide by √H.",
            _rotated(divisor=_by_full_width),
        ),
        Misconception(
            "not split",
            "You have one head over the whole width: `heads` is not used. Split query, key and value first, and merge last.",
            _one_wide_head,
        ),
        Misconception(
            "query counted from one",
            "Your queries are turned one place further than your keys. Both count from the same start.",
            _rotated(query_turn=lambda x: _turn_by(x, _places(1 + np.arange(x.shape[-2]), x))),
        ),
        Misconception(
            "merged column by column",
            "Your context has the columns of the heads in turns: head 0's first, head 1's first, … Put each head's "
            "columns side by side, or use `attention.merge_heads`.",
            _rotated(merge=lambda c: c.transpose(0, 2, 3, 1).reshape(len(c), c.shape[2], -1)),
        ),
        Misconception(
            "merged without swapping",
            "You reshape (B, N, T, V) straight to (B, T, N·V): one head's different words stand side by side. Swap N and "
            "T back first, or use `attention.merge_heads`.",
            _rotated(merge=_merge_by_reshape),
        ),
    ],
    own=["attnfuse.attention.multi_head_attention"],
    reread="sections 3, 5 and 8",
    hint="Split all three; `attention.rotary` on two of them; `attention.scaled_dot_product_attention`; merge. "
    "All of these take arrays with more axes in front.",
)

# -- rotate (stretch) -----------------------------------------------------------------------------


def rotate_by_loops(x, positions):
    B, T, H = x.shape
    turned = np.zeros((B, T, H))
    for b in range(B):
        for t in range(T):
            turned[b, t] = _turned(x[b, t], float(positions[t]))
    return turned


def rotate_cases(rng):
    def case(B, T, H, note, positions=None, dtype=float):
        positions = rng.permutation(30)[:T] if positions is None else positions
        x = rng.standard_normal((B, T, H)).astype(dtype)
        return Case({"x": x, "positions": np.asarray(positions)}, note)

    return [
        case(1, 1, 2, "one pair, position 1", [1]),
        case(1, 2, 4, "two pairs, positions 0 and 1", [0, 1]),
        case(2, 3, 4, "positions in any order"),
        case(2, 5, 6, "three pairs"),
        case(3, 4, 8, "float32", dtype=np.float32),
        case(1, 3, 4, "far away, and in front of the start", [5000, 17, -2]),
    ]


def _speeds(H):
    return BASE ** (-np.arange(0, H, 2) / H)


def _rotate(speeds=_speeds, of=lambda positions: positions):
    return lambda x, positions: _turn_by(x, of(positions)[:, None] * speeds(x.shape[-1]))


def _halves(x, positions):
    angles = positions[:, None] * _speeds(x.shape[-1])
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return np.concatenate(
        [a * np.cos(angles) - b * np.sin(angles), a * np.sin(angles) + b * np.cos(angles)], axis=-1
    )


def _sign_lost(x, positions):
    angles = positions[:, None] * _speeds(x.shape[-1])
    a, b = x[..., ::2], x[..., 1::2]
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack([a * cos + b * sin, a * sin + b * cos], axis=-1).reshape(x.shape)


def _half_overwritten(x, positions):
    """b is turned with the new a: the classic slip of turning in place."""
    angles = positions[:, None] * _speeds(x.shape[-1])
    cos, sin = np.cos(angles), np.sin(angles)
    a = x[..., ::2] * cos - x[..., 1::2] * sin
    return np.stack([a, a * sin + x[..., 1::2] * cos], axis=-1).reshape(x.shape)


def _added(x, positions):
    angles = positions[:, None] * _speeds(x.shape[-1])
    return x + np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(x.shape[1:])


def _blocks_left(x, positions):
    """The right pairs, turned, but left as two blocks."""
    turned = _turn_by(x, positions[:, None] * _speeds(x.shape[-1]))
    return np.concatenate([turned[..., ::2], turned[..., 1::2]], axis=-1)


def _test_lengths(attempt, case, rng):
    def lengths(x):
        return np.sqrt(x[..., ::2] ** 2 + x[..., 1::2] ** 2)

    before, after = lengths(case.inputs["x"]), lengths(attempt.result["turned"])
    if not np.allclose(before, after, rtol=1e-4, atol=1e-5):
        raise Mismatch(
            "Turning a pair leaves its length as it is. Lengths of the pairs:",
            expected=before,
            got=after,
        )


def _test_origin(attempt, case, rng):
    x = case.inputs["x"]
    got = attempt(x=x, positions=np.zeros(x.shape[1], int))["turned"]
    if not np.allclose(got, x, atol=1e-6):
        raise Mismatch("At position 0 nothing is turned.", expected=x, got=got)


def _test_shift(attempt, case, rng):
    x, positions = case.inputs["x"], case.inputs["positions"]
    key = rng.standard_normal(x.shape)

    def scores(shift):
        q = attempt(x=x, positions=positions + shift)["turned"]
        k = attempt(x=key, positions=positions + shift)["turned"]
        return q @ np.swapaxes(k, -1, -2)

    if not np.allclose(scores(0), scores(7), rtol=1e-3, atol=1e-3):
        raise Mismatch("All positions were moved by 7: no distance changed, but the scores did.")


ROTATE = Exercise(
    name="rotate",
    lesson=LESSON,
    title="Turn the pairs yourself",
    kind="stretch",
    minutes=12,
    difficulty=2,
    points=0,
    reference=rotate_by_loops,
    cases=rotate_cases,
    outputs={"turned": "B T H"},
    properties=[
        properties.finite(),
        Property("position 0 leaves all as it is", _test_origin),
        Property("a pair keeps its length", _test_lengths),
        Property("only the distance counts", _test_shift),
    ],
    misconceptions=[
        Misconception(
            "halves instead of neighbours",
            "You pair column i with column i + H/2. Some models do (with their own weights that is as good). Here "
            "neighbours are a pair: columns 2i and 2i+1.",
            _halves,
        ),
        Misconception(
            "pairs left apart",
            "Your turned numbers are right but stand in two blocks, all the first ones, then all the second ones. "
            "Put them back in turns: columns 2i and 2i+1.",
            _blocks_left,
        ),
        Misconception(
            "exponent without the 2",
            "Your speeds fall too slowly: pair i turns at 10000^(-2i/H), and yours at 10000^(-i/H). With "
            "`np.arange(0, H, 2)` the 2 is in the range, with `np.arange(H // 2)` it is not.",
            _rotate(lambda H: BASE ** (-np.arange(H // 2) / H)),
        ),
        Misconception(
            "exponent with the 2 twice",
            "Your speeds fall too fast. `np.arange(0, H, 2)` already counts 0, 2, 4, …: do not double it again.",
            _rotate(lambda H: BASE ** (-2 * np.arange(0, H, 2) / H)),
        ),
        Misconception(
            "exponent without its minus",
            "Your pairs turn faster and faster. The position is *divided* by 10000^(2i/H).",
            _rotate(lambda H: BASE ** (np.arange(0, H, 2) / H)),
        ),
        Misconception(
            "one speed for all",
            "All your pairs turn at the same speed. Pair i turns at 10000^(-2i/H): the first fast, the last slowly.",
            _rotate(lambda H: np.ones(H // 2)),
        ),
        Misconception(
            "in degrees",
            "Your angles are degrees. `np.cos` and `np.sin` expect radians, and so does the formula: no factor π/180.",
            _rotate(lambda H: _speeds(H) * np.pi / 180),
        ),
        Misconception(
            "positions ignored",
            "You count 0, 1, 2, … yourself. Use `positions`: they may be any numbers.",
            _rotate(of=lambda positions: np.arange(len(positions))),
        ),
        Misconception(
            "counted from one",
            "You turn by one position too many. Position 0 does not turn.",
            _rotate(of=lambda positions: positions + 1),
        ),
        Misconception(
            "turned backwards",
            "You turn the other way: (a, b) becomes (a cos - b sin, a sin + b cos). (Distances would still count alone, "
            "but 'ahead' and 'behind' change places.)",
            _rotate(of=lambda positions: -positions),
        ),
        Misconception(
            "sign lost",
            "Both your parts have a plus. A rotation has one minus: (a cos - b sin, a sin + b cos). Without it lengths "
            "change.",
            _sign_lost,
        ),
        Misconception(
            "turned in place",
            "You overwrite a before b has used it: the second part needs the *old* a. Compute both, then write.",
            _half_overwritten,
        ),
        Misconception(
            "added",
            "You add sines and cosines to x. That is the sinusoidal code; a rotary one multiplies.",
            _added,
        ),
    ],
    own=["attnfuse.attention.rotary"],
    reread="section 8",
    hint="`angles = positions[:, None] * 10000.0 ** (-np.arange(0, H, 2) / H)` is (T, H/2). "
    "`x[..., ::2]` and `x[..., 1::2]` are the first and the second number of each pair.",
)

EXERCISES = [SPLIT_HEADS, HEAD_COST, MANY_HEADS, ROTARY_HEADS, ROTATE]

# -- returning questions --------------------------------------------------------------------------

VALUES, ANSWERS = np.array([2.0, 5.0, 9.0]), (2.0, 5.3, 8.9, 9.5)


def _impossible_context() -> int:
    """The one answer that lies outside what weights can mix: from the least to the largest value."""
    outside = [not VALUES.min() <= answer <= VALUES.max() for answer in ANSWERS]
    return outside.index(True)


def _share_beside_masked_keys() -> int:
    mask = np.array([True, True, False, False, True])
    share = _softmax(np.zeros(5), mask)[0]
    return int(np.argmin(np.abs(np.array([1 / 5, 1 / 3, 1 / 2]) - share)))


def _spread_when_divided_by_8() -> int:
    """16 independent products of variance 1, the sum divided by √64; coins, all outcomes counted."""
    outcomes = [(2 * k - 16, math.comb(16, k) / 2**16) for k in range(17)]
    spread = math.sqrt(sum(p * (total / 8) ** 2 for total, p in outcomes))
    return int(np.argmin(np.abs(np.array([0.25, 0.5, 1.0, 2.0]) - spread)))


QUIZZES = [
    Quiz(
        id="04-mixture",
        question="Three keys have the values 2, 5 and 9. Which context can no weights produce?",
        options=[
            Option("2", "All the weight on the first key gives 2 (as nearly as you like)."),
            Option("5.3", "Many weights do: mostly the 5, and a little of the 9."),
            Option("8.9", "Nearly all the weight on the third key gives that."),
            Option(
                "9.5",
                "Weights are positive and sum to 1, so the context is an average. It never exceeds the largest value. "
                "Keep that in mind for section 2.",
            ),
        ],
        answer=_impossible_context,
    ),
    Quiz(
        id="04-masked",
        question="Five keys fit a query equally well. You mask two of them. What weight does each of the others get?",
        options=[
            Option(
                "1/5",
                "So it would be if weights were set to zero *after* the softmax. A masked key acts like a deleted one.",
            ),
            Option("1/3", "A masked key acts like a deleted one: three keys share the whole unit."),
            Option("1/2", "Two keys are masked, but there are three others: they share one unit."),
        ],
        answer=_share_beside_masked_keys,
    ),
    Quiz(
        id="04-scale",
        question="Query and key have 16 independent components, mean 0, variance 1. A colleague divides their dot "
        "product by √64. What is the spread (standard deviation) of such a score?",
        options=[
            Option(
                "1/4",
                "16/64 is the *variance*. The spread is its square root.",
            ),
            Option(
                "1/2",
                "The sum has the spread √16 = 4, and 4/8 = 1/2. Attention is softer than meant, and nothing fails: "
                "such a slip is hard to see.",
            ),
            Option("1", "That is the spread after division by √16, the square root of the width."),
            Option("2", "It is the other way round: 4/8, not 8/4."),
        ],
        answer=_spread_when_divided_by_8,
    ),
]
