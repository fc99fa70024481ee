"""Multi-head attention whose heads know their places."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property, properties
from attnfuse.exercises.common import softmax
from attnfuse.exercises.lesson_04 import many_heads
from attnfuse.exercises.lesson_04.rotate import sketch as rotate_pairs
from attnfuse.exercises.lesson_04.rotate import turned
from attnfuse.exercises.lesson_04.split_heads import split


def by_loops(query, key, value, heads):
    """Head by head; query and key rows turned by their position, values not."""
    return many_heads.by_loops(query, key, value, heads, turn=turned)


def cases(rng):
    def case(*sizes, dtype=float, note=""):
        inputs = many_heads.heads_of(rng, *sizes, dtype=dtype)
        inputs["query"] *= 2  # weights far from uniform
        return Case(inputs, note)

    large = case(1, 3, 4, 2, 4, 6, note="scores in the thousands")
    large.inputs["query"] *= 1e4
    return [
        case(1, 1, 2, 1, 2, 2, note="one query, one head"),
        case(1, 3, 4, 1, 4, 6, note="one head"),
        case(1, 3, 5, 2, 4, 2, note="two heads"),
        case(2, 3, 5, 4, 6, 2, note="four heads, two items"),
        case(3, 4, 2, 3, 2, 4, dtype=np.float32, note="float32"),
        case(2, 5, 7, 2, 8, 4, note="seven keys"),
        large,
    ]


def turn(x, first=0, step=1, **choice):
    return rotate_pairs(x, first + step * np.arange(x.shape[-2]), **choice)


def codes(x):
    T, D = x.shape[-2:]
    angles = np.arange(T)[:, None] * 10_000.0 ** (-np.arange(0, D, 2) / D)
    return x + np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(T, D)


def same(x):
    return x


def both(rule):
    return lambda query, key: (rule(query), rule(key))


def flattened(x):
    """Places that run on through heads and items."""
    return turn(x.reshape(1, 1, -1, x.shape[-1])).reshape(x.shape)


def sketch(
    query,
    key,
    value,
    heads,
    *,
    before=same,
    places=lambda query, key: (turn(query), turn(key)),
    of_value=same,
    scale=lambda q, v, heads: math.sqrt(q.shape[-1]),
    weigh=softmax,
    after=same,
    merge=many_heads.side_by_side,
    show=same,
    give=lambda context, weights: (context, weights),
):
    q, k = (split(before(x), heads) for x in (query, key))
    v = of_value(split(value, heads))
    q, k = places(q, k)
    weights = weigh(q @ k.swapaxes(-1, -2) / scale(q, v, heads))
    return give(after(merge(weights @ v)), show(weights))


def one_wide_head(query, key, value, heads):
    weights = softmax(turn(query) @ turn(key).swapaxes(-1, -2) / math.sqrt(query.shape[-1]))
    return weights @ value, weights


def _equal_values(attempt, case, rng):
    """A mixture of equal rows is that row."""
    value = np.ones_like(case.inputs["value"]) * np.arange(1, case.inputs["value"].shape[2] + 1)
    context = attempt(**{**case.inputs, "value": value})["context"]
    expected = np.broadcast_to(value[:, :1], context.shape)
    if not np.allclose(context, expected, rtol=1e-5, atol=1e-5):
        raise Mismatch(
            "All values were made equal. Whatever the weights are, their mixture must be that value.",
            expected,
            context,
        )


def _order_counts(attempt, case, rng):
    inputs = case.inputs
    if inputs["key"].shape[1] < 3:
        return
    alike = {**inputs, "key": np.repeat(inputs["key"][:, :1], inputs["key"].shape[1], axis=1)}
    weights = attempt(**alike)["weights"]
    if np.allclose(weights, weights[..., :1], atol=1e-6):
        raise Mismatch(
            "All keys were made equal, so that only their places differ, and all weights became equal: your attention does not see the places."
        )


ROTARY_HEADS = Exercise(
    name="rotary_heads",
    lesson="04_multi_head_attention",
    title="Heads that know their places",
    kind="write",
    minutes=12,
    difficulty=3,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"context": "B T N·V", "weights": "B N T S"},
    properties=[
        properties.finite(),
        properties.rows_sum_to_one(),
        properties.batch_items_do_not_mix(),
        Property("order counts", _order_counts),
        Property("equal values", _equal_values),
    ],
    sketch=sketch,
    says="""
    turned before the split | You turn the whole width and split afterwards. So head 0 gets all the fast pairs and the last head all the slow ones. Split first: each head has pairs of every speed.
    keys not turned | You turn the queries only. A score then depends on where the query stands, not on the distance to the key: turn the keys as well.
    queries not turned | You turn the keys only. A score then depends on where the key stands, not on its distance from the query: turn the queries as well.
    no positions | Your weights know no positions. Either nothing is turned before the scores, or it is turned along the wrong axis: `attention.rotary` counts along axis -2, so that axis must be the words. On (B, T, N, H) it counts the *heads*; query and key of a head then turn alike, and their product stays what it was.
    codes added | You *add* position codes to queries and keys. That is the other way of this lesson. Here they are turned, by `attention.rotary`.
    query counted from one | Your queries are turned one place further than your keys. Both count from the same start.
    key counted from one | Your keys are turned one place further than your queries. Both count from the same start.
    aligned at the end | Your queries stand at the *end* of the keys: their places are S-T, S-T+1, … Both count from 0.
    turned backwards | You turn the other way: places count 0, 1, 2, … (Distances still count alone, but 'ahead' and 'behind' change places.)
    turned against one another | Query and key are turned in opposite directions, so the *sum* of the places counts. Turn both the same way.
    turned twice | Query and key are turned twice, so every distance counts double.
    halves instead of neighbours | You pair column i with column i + H/2. Here neighbours are a pair, as `attention.rotary` has it.
    exponent without the 2 | Your slow pairs are too fast: pair i turns at 10000^(-2i/H).
    places run on | Your places run on through heads and items. In every head of every item they begin at 0.
    values turned too | You turn the values as well. Places belong to the *scores*: turn queries and keys. A value has to arrive as it was sent, wherever it stood.
    scaled by the whole width | You divide by √(N·H). A head's score is a sum of H products: divide by √H.
    not scaled | Your scores are not divided by √H.
    causal | You hide what lies ahead. No mask is asked for.
    softmax over queries | Your weights sum to 1 over the queries. Each query spreads one unit over the *keys*, the last axis.
    positions after attention | You turn the context, when attention is over. Positions belong to the scores: turn queries and keys, before.
    positions added after attention | You add position codes to the context. Positions belong to the scores: turn queries and keys, before.
    merged column by column | Your context has the columns of the heads in turns: head 0's first, head 1's first, … Put each head's columns side by side, or use `attention.merge_heads`.
    merged without swapping | You reshape (B, N, T, V) straight to (B, T, N·V): one head's different words stand side by side. Swap N and T back first, or use `attention.merge_heads`.
    not merged | Your context still has an axis for the heads. Merge them: (B, T, N·V), by `attention.merge_heads`.
    weights averaged over the heads | You average the weights over the heads. Each head shows its own table, (B, N, T, S).
    outputs exchanged | You return (weights, context). Asked is (context, weights).
    not split | You have one head over the whole width: `heads` is not used. Split query, key and value first, and merge last.
    """,
    choices={
        "before": {"turned before the split": turn},
        "places": {
            "turned before the split": both(same),
            "keys not turned": lambda q, k: (turn(q), k),
            "queries not turned": lambda q, k: (q, turn(k)),
            "no positions": both(same),
            "codes added": both(codes),
            "query counted from one": lambda q, k: (turn(q, first=1), turn(k)),
            "key counted from one": lambda q, k: (turn(q), turn(k, first=1)),
            "aligned at the end": lambda q, k: (turn(q, first=k.shape[2] - q.shape[2]), turn(k)),
            "turned backwards": both(lambda x: turn(x, step=-1)),
            "turned against one another": lambda q, k: (turn(q), turn(k, step=-1)),
            "turned twice": both(lambda x: turn(x, step=2)),
            "halves instead of neighbours": both(
                lambda x: turn(x, pairs=lambda x: np.split(x, 2, axis=-1))
            ),
            "exponent without the 2": both(
                lambda x: turn(x, exponent=lambda H: np.arange(H // 2) / H)
            ),
            "places run on": both(flattened),
            "positions after attention": both(same),
            "positions added after attention": both(same),
        },
        "of_value": {"values turned too": turn},
        "scale": {
            "scaled by the whole width": lambda q, v, N: math.sqrt(N * q.shape[-1]),
            "not scaled": lambda q, v, N: 1.0,
        },
        "weigh": {
            "causal": lambda scores: softmax(scores, np.tri(*scores.shape[-2:], dtype=bool)),
            "softmax over queries": lambda scores: softmax(scores, axis=-2),
        },
        "after": {"positions after attention": turn, "positions added after attention": codes},
        "merge": {
            "merged column by column": many_heads.merged_in_turns,
            "merged without swapping": many_heads.merged_by_reshape,
            "not merged": same,
        },
        "show": {"weights averaged over the heads": lambda weights: weights.mean(axis=1)},
        "give": {"outputs exchanged": lambda context, weights: (weights, context)},
    },
    wholes={"not split": one_wide_head},
    own=["attnfuse.attention.multi_head_attention"],
    reread="sections 3, 5 and 8",
    hint="Split all three; `attention.rotary` on two of them; `attention.scaled_dot_product_attention`; merge. All of these take arrays with more axes in front.",
)
