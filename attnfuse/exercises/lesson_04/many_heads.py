"""Find the bug: multi-head attention that is right with one head."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, properties
from attnfuse.exercises.common import dot, draw, partial_mask, softmax, weights_by
from attnfuse.exercises.lesson_04.split_heads import every_nth, in_one_go, split


def by_loops(query, key, value, heads, mask=None, turn=lambda row, position: row):
    """Head by head, query by query, one weight at a time."""
    B, T, D = query.shape
    S, H, V = key.shape[1], D // heads, value.shape[2] // heads
    mask = np.ones((B, T, S), bool) if mask is None else np.broadcast_to(mask, (B, T, S))
    context, weights = np.zeros((B, T, heads * V)), np.zeros((B, heads, T, S))
    for b in range(B):
        for n in range(heads):
            rows = slice(n * H, (n + 1) * H)
            for t in range(T):
                asked = turn(query[b, t, rows], t)
                scores = {
                    s: dot(asked, turn(key[b, s, rows], s)) / math.sqrt(H)
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


def heads_of(rng, B, T, S, N, H, V, dtype=float):
    arrays = draw(rng, dtype, query=(B, T, N * H), key=(B, S, N * H), value=(B, S, N * V))
    return {**arrays, "heads": N}


def cases(rng):
    def case(*sizes, note, mask=None, dtype=float):
        return Case({**heads_of(rng, *sizes, dtype=dtype), "mask": mask}, note)

    nothing = partial_mask(rng, 2, 3, 5)
    nothing[1, 1] = False
    own_test = "one head and a mask: the colleague's own test"
    without = case(1, 3, 4, 2, 5, 5, note="two heads, called without `mask`")
    del without.inputs["mask"]
    large = case(1, 2, 4, 2, 3, 3, note="scores in the thousands")
    large.inputs["query"] *= 1e4
    return [
        case(1, 2, 3, 1, 4, 4, note="one head"),
        case(1, 2, 3, 1, 4, 4, note=own_test, mask=partial_mask(rng, 1, 2, 3)),
        without,
        case(
            2, 3, 5, 2, 4, 4, note="as many items as heads, a mask", mask=partial_mask(rng, 2, 3, 5)
        ),
        case(
            3, 4, 5, 2, 6, 6, note="three items, two heads, a mask", mask=partial_mask(rng, 3, 4, 5)
        ),
        case(2, 3, 5, 4, 6, 7, note="four heads, value of another width"),
        case(2, 3, 4, 3, 2, 2, note="float32", dtype=np.float32),
        large,
        case(2, 3, 5, 4, 6, 6, note="item 1, query 1 may see no key", mask=nothing),
    ]


def side_by_side(context):
    B, N, T, V = context.shape
    return context.transpose(0, 2, 1, 3).reshape(B, T, N * V)


def merged_by_reshape(context):
    B, N, T, V = context.shape
    return context.reshape(B, T, N * V)


def merged_in_turns(context):
    B, N, T, V = context.shape
    return context.transpose(0, 2, 3, 1).reshape(B, T, N * V)


def tiled(mask, heads):
    """Copies of the whole batch one after another, then read as if they were copies of each item."""
    B, T, S = mask.shape
    return np.tile(mask, (heads, 1, 1)).reshape(B, heads, T, S)


def values_cut_by(width):
    """Slices n·H … (n+1)·H of the values, whatever their own width."""

    def cut(value, heads):
        return np.stack([value[..., n * width : (n + 1) * width] for n in range(heads)], axis=1)

    return cut


def sketch(
    query,
    key,
    value,
    heads,
    mask=None,
    *,
    cut=split,
    scale=lambda q, k, v, heads: math.sqrt(q.shape[-1]),
    allow=lambda mask: mask,
    place=lambda mask, heads: mask[:, None],
    weigh=softmax,
    empty=0.0,
    merge=side_by_side,
    show=lambda weights: weights,
    give=lambda context, weights: (context, weights),
):
    q, k, v = (cut(x, heads) for x in (query, key, value))
    scores = q @ k.swapaxes(-1, -2) / scale(q, k, v, heads)
    allowed = True if mask is None else place(allow(mask), heads)
    allowed = np.broadcast_to(allowed, scores.shape)
    weights = weights_by(weigh, scores, allowed, empty)
    return give(merge(weights @ v), show(weights))


def shaped_like_query(query, key, value, heads, mask=None):
    context, weights = sketch(query, key, value, heads, mask)
    return context.reshape(query.shape), weights


MANY_HEADS = Exercise(
    name="many_heads",
    lesson="04_multi_head_attention",
    title="Right with one head and one text",
    kind="bug",
    minutes=12,
    difficulty=2,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"context": "B T N·V", "weights": "B N T S"},
    properties=[
        properties.finite(),
        properties.not_negative(),
        properties.rows_sum_to_one(zero_rows=True),
        properties.batch_items_do_not_mix(),
        properties.key_order_is_irrelevant(),
        properties.no_leak_from_masked(),
    ],
    sketch=sketch,
    says="""
    scaled by the whole width | The scores are divided by √(N·H), the whole width, as the colleague's are. A head's score is a sum of H products: divide by √H, the last axis of the *split* query.
    scaled by the number of heads | You divide by √N. A score's size comes from its number of terms, the width H of a head.
    scaled by the number of keys | You divide by √S, the number of keys. A score's size comes from its number of terms, the width H of a head.
    not scaled | Your scores are not divided by √H at all.
    scaled by H | You divide by H. The spread of a sum of H products is √H: divide by the root.
    scaled by the value's width | You divide by √V, the width of a head's value. A score is a product of query and key: divide by √H.
    mask without an axis | Your mask lacks an axis for the heads, as the colleague's does, or has it in front: NumPy lines (B, T, S) up with (B, N, T, S) from the right, so an *item's* mask lands on a *head*. It needs an axis of length 1 for the heads: (B, 1, T, S).
    mask axis on the wrong side | You made the mask (B, T, 1, S). Scores are (B, N, T, S): the new axis belongs where the heads stand, `mask[:, None]`.
    one mask for all items | You use the first item's mask for all items. Each item keeps its own, shared by its heads: (B, 1, T, S).
    masks tiled over the heads | Your copies of the masks stand in the order item 0, item 1, …, item 0, item 1, …; heads folded into the batch need item 0 N times, then item 1 N times. `np.repeat` does that, `np.tile` does not; `mask[:, None]` needs no copies.
    merged without swapping | The context is (B, N, T, V), and a plain `reshape`, the colleague's, puts one head's different words side by side. Swap N and T back first: heads of the *same* word belong together.
    merged column by column | Your context has the columns of the heads in turns: head 0's first, head 1's first, … Put each head's columns side by side: (B, T, N, V), then `reshape`.
    heads added up | You add the heads up. They are put side by side, (B, T, N·V); mixing them is the output projection's task.
    heads averaged | You average the heads. They are put side by side, (B, T, N·V); mixing them is the output projection's task.
    not merged | Your context still has an axis for the heads, (B, N, T, V). Swap it back and merge: (B, T, N·V).
    split in one go | You `reshape` straight to (B, N, T, H), which tears words apart. Cut the last axis first, then swap; or use `attention.split_heads`.
    every N-th column | Your head 0 gets the columns 0, N, 2N, … A head takes columns that lie side by side.
    mask ignored | Your function never uses `mask`.
    mask inverted | Your mask is the wrong way round. True means *may attend*.
    mask after the softmax | You set weights to zero after the softmax, so the rest of the row sums to less than 1.
    masked scores set to 0 | A masked key still has the score 0 (or next to it), and e⁰ is 1: it takes a share.
    softmax over queries | Your weights sum to 1 over the queries. Each query spreads one unit over the *keys*, the last axis.
    softmax over heads | Your weights sum to 1 over the heads. In every head each query spreads one unit over the *keys*, the last axis.
    without the max-shift | Your exponentials overflow where scores are large. `attention.softmax` takes each row's maximum off first.
    nothing allowed, equal weights | A query that may see no key gets equal weights from you: the same low number for every score does that. It must get zeros; `attention.softmax(scores, mask)` and `attention_pooling` see to that.
    nothing allowed, not masked | Taking the same large number off *every* score of a row changes nothing: a query that may see no key weighs them as if there were no mask. In this course such a row is all zeros.
    nothing allowed, NaN | A query that may see no key gets NaN from you: 0/0, or −∞ − (−∞). It must get zeros; `attention.softmax(scores, mask)` and `attention_pooling` see to that.
    weights averaged over the heads | You average the weights over the heads. Some libraries do that by default; here each head shows its own table, (B, N, T, S).
    heads before the batch | Your weights have the heads in front. The batch stays first: (B, N, T, S).
    outputs exchanged | You return (weights, context). Asked is (context, weights).
    shaped like the query | You reshape the context to the shape of `query`. It has N·V columns, and V may differ from H: take T from the query and leave the last axis to NumPy (-1).
    values cut by the query's width | You cut the values into pieces as wide as the query's. V may differ from H.
    """,
    choices={
        "scale": {
            "scaled by the whole width": lambda q, k, v, N: math.sqrt(N * q.shape[-1]),
            "scaled by the number of heads": lambda q, k, v, N: math.sqrt(N),
            "scaled by the number of keys": lambda q, k, v, N: math.sqrt(k.shape[-2]),
            "not scaled": lambda q, k, v, N: 1.0,
            "scaled by H": lambda q, k, v, N: q.shape[-1],
            "scaled by the value's width": lambda q, k, v, N: math.sqrt(v.shape[-1]),
        },
        "place": {
            "mask without an axis": lambda mask, N: mask,
            "mask axis on the wrong side": lambda mask, N: mask[:, :, None],
            "one mask for all items": lambda mask, N: mask[:1, None],
            "masks tiled over the heads": tiled,
        },
        "merge": {
            "merged without swapping": merged_by_reshape,
            "merged column by column": merged_in_turns,
            "heads added up": lambda context: context.sum(axis=1),
            "heads averaged": lambda context: context.mean(axis=1),
            "not merged": lambda context: context,
        },
        "cut": {"split in one go": in_one_go, "every N-th column": every_nth},
        "allow": {"mask ignored": np.ones_like, "mask inverted": np.logical_not},
        "weigh": {
            "mask after the softmax": lambda scores, mask: softmax(scores, mask, late=True),
            "masked scores set to 0": lambda scores, mask: softmax(np.where(mask, scores, 0)),
            "softmax over queries": lambda scores, mask: softmax(scores, mask, axis=-2),
            "softmax over heads": lambda scores, mask: softmax(scores, mask, axis=1),
            "without the max-shift": lambda scores, mask: softmax(scores, mask, shift=None),
        },
        "empty": {
            "masked scores set to 0": None,
            "nothing allowed, equal weights": None,
            "nothing allowed, not masked": softmax,
            "nothing allowed, NaN": np.nan,
        },
        "show": {
            "weights averaged over the heads": lambda weights: weights.mean(axis=1),
            "heads before the batch": lambda weights: weights.swapaxes(0, 1),
        },
        "give": {"outputs exchanged": lambda context, weights: (weights, context)},
    },
    wholes={
        "shaped like the query": shaped_like_query,
        "values cut by the query's width": lambda query, key, value, heads, mask=None: sketch(
            query,
            key,
            value,
            heads,
            mask,
            cut=lambda x, N: (values_cut_by(query.shape[2] // N) if x is value else split)(x, N),
        ),
    },
    own=["attnfuse.attention.multi_head_attention"],
    reread="sections 3 and 5",
    hint="With one head √(N·H) is √H, an axis of length 1 may stand anywhere, and (B, 1, T, V) reshapes rightly. So look at the divisor, at the mask and at the last line.",
)
