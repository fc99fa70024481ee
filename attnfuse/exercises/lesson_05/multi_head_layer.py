"""Multi-head attention as a layer, with an explicit mask and one that comes by itself."""

import numpy as np

from attnfuse.checking import Case, Exercise, properties
from attnfuse.driving import Raised, lesson_05
from attnfuse.exercises.common import draw, padding, partial_mask, softmax
from attnfuse.exercises.lesson_05.shared import (
    LESSON,
    PARTS,
    cut,
    eight_arrays,
    merge,
    multi_head_by_loops,
)


def by_loops(query, key, value, heads, mask=None, key_mask=None, **weights):
    """Output and weights, and the output once more."""
    allowed = np.ones((*query.shape[:2], key.shape[1]), bool) if mask is None else mask
    if key_mask is not None:
        allowed = allowed & key_mask[:, None]
    output, shares = multi_head_by_loops(query, key, value, allowed, heads, **weights)
    return output, shares, output


def cases(rng):
    def case(B, T, S, N, H, wide, note, **masks):
        shapes = {n: (B, T if n == "query" else S, w) for n, w in zip(PARTS, wide, strict=False)}
        inputs = draw(rng, np.float32, **shapes) | eight_arrays(rng, wide, N * H)
        return Case({**inputs, "heads": N, **masks}, note)

    closed, some = partial_mask(rng, 3, 2, 4), partial_mask(rng, 2, 4, 4)
    closed[2, 0] = False
    real = padding(rng, 2, 4)
    real[0], some[0, 1] = np.arange(4) > 0, np.arange(4) == 0  # each opens keys, but not the same
    both = {"mask": some, "key_mask": real}
    one = "an explicit mask; one query may attend to no key"
    return [
        case(1, 1, 2, 1, 2, (3, 3, 3), "one head, no mask"),
        case(2, 3, 4, 3, 2, (5, 7, 8), "three heads, no mask"),
        case(2, 3, 5, 2, 3, (5, 5, 5), "the keys carry a mask", key_mask=padding(rng, 2, 5)),
        case(3, 2, 4, 2, 3, (4, 5, 7), one, mask=closed),
        case(2, 4, 4, 2, 3, (6, 6, 6), "both masks; together they leave one query no key", **both),
    ]


def sketch(
    query,
    key,
    value,
    heads,
    mask=None,
    key_mask=None,
    *,
    sources=("query", "key", "value"),
    names=("query", "key", "value"),
    bias_of_query=True,
    bias_of_value=True,
    split=cut,
    scale=lambda D, H, S: H**0.5,
    explicit=lambda mask: mask[:, None],
    own=lambda key_mask: key_mask[:, None, None],
    late=None,
    both=np.logical_and,
    allow=lambda allowed, masked: allowed,
    weigh=softmax,
    join=merge,
    project=lambda merged, matrix, bias: merged @ matrix + bias,
    empty=False,
    given=lambda weights: weights,
    order=(0, 1),
    alone="output",
    **w,
):
    inputs = {"query": query, "key": key, "value": value}
    biased = (bias_of_query, True, bias_of_value)
    B, T, D, S = *query.shape[:2], len(w["output_bias"]), key.shape[1]
    try:
        q, k, v = (
            split(inputs[source] @ w[f"{name}_matrix"] + bias * w[f"{name}_bias"], heads)
            for source, name, bias in zip(sources, names, biased, strict=True)
        )
        masks = {
            "mask": mask is not None and explicit(mask),
            "key_mask": key_mask is not None and own(key_mask),
        }
        masks = {name: one for name, one in masks.items() if one is not False}
        after, masks = masks.pop(late, True), list(masks.values())
        allowed = both(*masks) if len(masks) == 2 else masks[0] if masks else np.array(True)
        allowed = np.broadcast_to(allow(allowed, bool(masks)), (B, heads, T, S))
        weights = weigh(q @ k.swapaxes(-1, -2) / scale(D, D // heads, S), allowed) * after
        output = project(join(weights @ v), w["output_matrix"], w["output_bias"])
    except ValueError:
        raise Raised("InvalidArgumentError") from None
    if empty:
        output = output * allowed.any(axis=(1, 3))[..., None]
    pair = (output, given(weights))
    return pair[order[0]], pair[order[1]], [pair[i] for i in order] if alone == "pair" else output


def refuse(mask):
    raise ValueError


MULTI_HEAD_LAYER = Exercise(
    name="multi_head_layer",
    lesson=LESSON,
    title="Multi-head attention as a layer",
    kind="write",
    minutes=14,
    difficulty=3,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"output": "B T D", "weights": "B N T S", "output alone": "B T D"},
    run=lesson_05.multi_head,
    properties=[
        properties.finite("output", "weights"),
        properties.not_negative(),
        properties.rows_sum_to_one(zero_rows=True),
    ],
    sketch=sketch,
    says="""
    split without transpose | You reshape to (B, N, T, H) at once: a head then gets *positions* from the front or the back instead of columns. Reshape to (B, T, N, H), then exchange two axes.
    every N-th column | You cut the width into (H, N): head n then gets every N-th column. Its columns are neighbours: (N, H).
    merged without transpose | You merge (B, N, T, H) by reshape alone, and heads and positions mix. Exchange the axes back first.
    merged column by column | You merge (B, T, H, N): the heads' columns alternate. Each head's stand side by side: (B, T, N, H) first.
    scaled by the whole width | You divide by √D, the whole width. Scores are dot products in one head, H = D/N wide: divide by √H.
    not scaled | You do not divide the scores. Scores are dot products in one head, H = D/N wide: divide by √H.
    divided by H | You divide by H, not its root. Scores are dot products in one head, H = D/N wide: divide by √H.
    multiplied | You multiply by the root. Scores are dot products in one head, H = D/N wide: divide by √H.
    scaled by the number of keys | You divide by √S. Scores are dot products in one head, H = D/N wide: divide by √H.
    softmax over the heads | Your softmax runs over the heads (axis 1). Each head spreads one unit over the *keys*: axis -1.
    softmax over the queries | Your softmax runs over the queries (axis 2). Each query spreads one unit over the *keys*: axis -1.
    masks after the softmax | You set closed places to zero after the softmax only: what they took is missing in the row.
    mask after the softmax | `mask` sets weights to zero after the softmax only: what those took is missing in the row.
    key_mask after the softmax | `key_mask` sets weights to zero after the softmax only: what those took is missing in the row.
    closed keys score 0 | A closed key still has the score 0 (or next to it) in the softmax, and e⁰ is 1, not nothing.
    closed rows uniform | A query that may attend to no key gets the same weight for every key. They are to be zero, so that its output is the bias: `layers.masked_softmax` does that.
    closed rows open | A query that may attend to no key gets weights as if nothing were closed. They are to be zero, so that its output is the bias: `layers.masked_softmax` does that.
    closed rows NaN | A query that may attend to no key gets NaN: −∞ − (−∞), or 0/0. Its weights are to be zero: `layers.masked_softmax` does that.
    closed rows have no output | You set the *output* of a query without an open key to zero. Its weights are zero; the output's bias stays.
    propagated mask ignored | You do not use `key_mask`. The keys announce their padding themselves: Keras hands it to `key_mask`, bool (B, S). A key is open if neither mask closes it.
    explicit mask ignored | You do not use `mask`.
    explicit mask inverted | `mask` is turned round. True means *may attend*.
    key mask inverted | `key_mask` is turned round. True means *may attend*.
    both masks inverted | Your masks are turned round. True means *may attend*.
    the joined mask inverted | The mask that you hand to the softmax is turned round. True means *may attend*.
    everything inverted | The mask that you hand to the softmax is turned round. True means *may attend*.
    one mask is enough | You open a key if `mask` *or* `key_mask` says so. Both must: `ops.logical_and`.
    key mask only without a mask | Where `mask` is given you forget `key_mask`. Both may come, and then both must agree.
    mask only without a key mask | Where `key_mask` is given you forget `mask`. Both may come, and then both must agree.
    mask on the axis of heads | `mask` is (B, T, S), the scores are (B, N, T, S): without an axis for the heads, `mask[:, None]`, its items are taken for heads. (Where B and N differ, it raises an error.)
    key mask on the axis of heads | `key_mask` is (B, S), the scores are (B, N, T, S): with one axis in the middle its items are taken for heads. `key_mask[:, None, None]` has two. (Where B and N differ, it raises an error.)
    key mask on the axis of queries | `key_mask` stands on the axis of the queries. Keys are the last axis: `key_mask[:, None, None]` is (B, 1, 1, S). (Where T and S differ, it raises an error.)
    key mask refused | Wherever `key_mask` comes, TensorFlow refuses the shapes. Scores are (B, N, T, S), `key_mask` is (B, S): `key_mask[:, None, None]` puts two axes in the middle.
    mask refused | Wherever `mask` comes, TensorFlow refuses the shapes. Scores are (B, N, T, S), `mask` is (B, T, S): `mask[:, None]` makes room for the heads.
    no query bias | `self.query_bias` is not added after the query's matrix.
    no value bias | `self.value_bias` is not added after the value's matrix.
    no output bias | `self.output_bias` is not added after the output's matrix.
    no bias | Biases are missing: there is one after each of the four matrices.
    no output projection | The heads stand side by side, but the output's matrix is missing.
    no output projection, but its bias | The heads stand side by side, but the output's matrix is missing.
    key by the query's arrays | You project the key by the query's arrays. Each of the three has a matrix and a bias of its own.
    query by the key's arrays | You project the query by the key's arrays. Each of the three has a matrix and a bias of its own.
    value by the key's arrays | You project the value by the key's arrays. Each of the three has a matrix and a bias of its own.
    arrays of key and value exchanged | You project key and value by each other's arrays. Each of the three has a matrix and a bias of its own.
    arrays of query and key exchanged | You project query and key by each other's arrays. Each of the three has a matrix and a bias of its own.
    keys as values | You project `key` where `value` belongs: values go through `value_matrix`.
    key and value exchanged | Key and value are exchanged: `key` goes through `key_matrix`, `value` through `value_matrix`.
    weights averaged | You return the weights' mean over the heads. Asked are those of each head, (B, N, T, S).
    order of outputs | You return (weights, output). Asked is (output, weights).
    always a pair | Without `return_weights=True` the layer must return the output alone.
    """,
    choices={
        "split": {
            "split without transpose": lambda x, N: x.reshape(len(x), N, x.shape[1], -1),
            "every N-th column": lambda x, N: x.reshape(*x.shape[:2], -1, N).transpose(0, 3, 1, 2),
        },
        "join": {
            "merged without transpose": lambda x: x.reshape(len(x), x.shape[2], -1),
            "merged column by column": lambda x: x.transpose(0, 2, 3, 1).reshape(
                len(x), x.shape[2], -1
            ),
        },
        "scale": {
            "scaled by the whole width": lambda D, H, S: D**0.5,
            "not scaled": lambda D, H, S: 1.0,
            "divided by H": lambda D, H, S: H,
            "multiplied": lambda D, H, S: H**-0.5,
            "scaled by the number of keys": lambda D, H, S: S**0.5,
        },
        "weigh": {
            "softmax over the heads": lambda scores, mask: softmax(scores, mask, axis=1),
            "softmax over the queries": lambda scores, mask: softmax(scores, mask, axis=2),
            "masks after the softmax": lambda scores, mask: softmax(scores, mask, late=True),
            "closed keys score 0": lambda scores, mask: softmax(scores * mask),
            "closed rows uniform": lambda scores, mask: softmax(scores, mask, empty=None),
            "closed rows open": lambda scores, mask: softmax(
                scores, mask | ~mask.any(axis=-1, keepdims=True)
            ),
            "closed rows NaN": lambda scores, mask: softmax(scores, mask, empty=np.nan),
        },
        "late": {"mask after the softmax": "mask", "key_mask after the softmax": "key_mask"},
        "empty": {"closed rows have no output": True},
        "own": {
            "propagated mask ignored": lambda mask: np.array(True),
            "key mask inverted": lambda mask: ~mask[:, None, None],
            "both masks inverted": lambda mask: ~mask[:, None, None],
            "key mask on the axis of heads": lambda mask: mask[:, None],
            "key mask on the axis of queries": lambda mask: mask[:, None, :, None],
            "key mask refused": refuse,
        },
        "explicit": {
            "explicit mask ignored": lambda mask: np.array(True),
            "explicit mask inverted": lambda mask: ~mask[:, None],
            "both masks inverted": lambda mask: ~mask[:, None],
            "mask on the axis of heads": lambda mask: mask,
            "mask refused": refuse,
        },
        "allow": {
            "the joined mask inverted": lambda allowed, masked: allowed ^ masked,
            "everything inverted": lambda allowed, masked: ~allowed,
        },
        "both": {
            "one mask is enough": np.logical_or,
            "key mask only without a mask": lambda mask, key_mask: mask,
            "mask only without a key mask": lambda mask, key_mask: key_mask,
        },
        "bias_of_query": {"no query bias": False, "no bias": False},
        "bias_of_value": {"no value bias": False, "no bias": False},
        "project": {
            "no output bias": lambda merged, matrix, bias: merged @ matrix,
            "no bias": lambda merged, matrix, bias: merged @ matrix,
            "no output projection": lambda merged, matrix, bias: merged,
            "no output projection, but its bias": lambda merged, matrix, bias: merged + bias,
        },
        "names": {
            "key by the query's arrays": ("query", "query", "value"),
            "query by the key's arrays": ("key", "key", "value"),
            "value by the key's arrays": ("query", "key", "key"),
            "arrays of key and value exchanged": ("query", "value", "key"),
            "arrays of query and key exchanged": ("key", "query", "value"),
        },
        "sources": {
            "keys as values": ("query", "key", "key"),
            "key and value exchanged": ("query", "value", "key"),
        },
        "given": {"weights averaged": lambda weights: weights.mean(axis=1)},
        "order": {"order of outputs": (1, 0)},
        "alone": {"always a pair": "pair"},
    },
    together={
        (
            "split without transpose",
            "merged without transpose",
        ): "You reshape to (B, N, T, H) and back without exchanging axes. So a head gets *positions* from the front or the back instead of columns. Reshape to (B, T, N, H), then exchange two axes."
    },
    own=["attnfuse.layers.MultiHeadAttention", "attnfuse.attention"],
    reread="section 4",
    hint="A helper `split` turns (B, T, D) into (B, N, T, H): `ops.reshape(x, (-1, ops.shape(x)[1], N, H))`, then `ops.transpose(x, (0, 2, 1, 3))`. The weights are (B, N, T, S), so `mask[:, None]` and `key_mask[:, None, None]` fit; `ops.logical_and` joins them. The same transpose merges.",
    rtol=1e-4,
    atol=1e-4,
)
