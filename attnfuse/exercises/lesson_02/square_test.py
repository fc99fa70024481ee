"""Find the bug: attention over padded texts that passes a square test."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, properties
from attnfuse.exercises.common import padding, query_key_value, softmax
from attnfuse.exercises.lesson_02.attend import by_loops as attend_by_loops
from attnfuse.exercises.lesson_02.attend import reshaped


def by_loops(query, key, value, is_word):
    """Every item by itself, with its own padding."""
    return attend_by_loops(query, key, value, np.asarray(is_word, dtype=bool)[:, None, :])


def cases(rng):
    def case(B, T, S, H, V, is_word, note):
        return Case({**query_key_value(rng, B, T, S, H, V), "is_word": is_word}, note)

    alike = np.repeat(padding(rng, 1, 3), 3, axis=0)
    large = case(2, 3, 4, 5, 6, padding(rng, 2, 4), "scores in the thousands")
    large.inputs["query"] *= 1e4
    return [
        case(1, 1, 2, 4, 3, np.array([[True, False]]), "one item, one query"),
        case(3, 3, 3, 3, 3, alike, "all sizes equal, same padding"),
        case(3, 3, 3, 3, 3, padding(rng, 3, 3), "all sizes equal"),
        case(3, 3, 5, 2, 4, padding(rng, 3, 5), "as many items as queries"),
        case(2, 3, 5, 4, 6, padding(rng, 2, 5), "all sizes different"),
        case(2, 3, 5, 4, 6, padding(rng, 2, 5)[:, ::-1].copy(), "filling in front"),
        large,
    ]


def sketch(
    query,
    key,
    value,
    is_word,
    *,
    product=lambda query, key: np.einsum("bth,bsh->bts", query, key),
    scale=lambda query, key, value: math.sqrt(query.shape[-1]),
    words=lambda is_word: is_word,
    place=lambda is_word: is_word[:, None, :],
    weigh=softmax,
    mix=lambda weights, key, value: weights @ value,
    give=lambda context, weights: (context, weights),
):
    scores = product(query, key) / scale(query, key, value)
    weights = weigh(scores, place(words(is_word)))
    return give(mix(weights, key, value), weights)


def _padding_is_dead(inputs, rng):
    for name in ("key", "value"):
        inputs[name] = np.where(inputs["is_word"][:, :, None], inputs[name], 1e4)
    return inputs


SQUARE_TEST = Exercise(
    name="square_test",
    lesson="02_scaled_dot_product",
    title="A square test proves little",
    kind="bug",
    minutes=10,
    difficulty=2,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"context": "B T V", "weights": "B T S"},
    properties=[
        properties.finite(),
        properties.not_negative(),
        properties.rows_sum_to_one(),
        properties.batch_items_do_not_mix(),
        properties.stays(
            "padding",
            "Padded places of an item were filled with 10,000, and `context` changed.",
            _padding_is_dead,
            "context",
        ),
    ],
    sketch=sketch,
    says="""
    root of the number of queries | The root is still that of `query.shape[1]`: T, the number of queries. A score is a sum over the width H.
    root of the number of keys | You divide by the root of the number of keys; a score is a sum over the width H.
    root of the value width | You divide by the root of the width of the *values*; a score is a sum over the width H of query and key.
    not scaled | The scores are not divided at all: the colleague's root was right, what stands under it was not. It is the width H.
    divided by the width | You divide by the width H; it is its square root.
    mask without an axis | Beside (B, T, S), NumPy reads your mask (B, S) as (T, S): query t of every item gets the padding of *item* t, or the shapes do not fit. It needs an axis of length 1 for the queries.
    axis on the wrong side | You made `is_word` (B, S, 1): that closes whole *queries*. Padding closes *keys*, the last axis: (B, 1, S).
    mask inverted | Your mask lets the padding in and keeps the words out: `is_word` is True where attention is allowed.
    one padding for all | You use the first item's padding for all. Each item has its own.
    padding of all joined | You open a key if it is a word in *any* item. Each item has its own padding.
    mask forgotten | The padding is not masked.
    words counted | You count the words and open as many keys from the front. The filling may stand anywhere: use `is_word` itself.
    mask after the softmax | You set the padded weights to zero after the softmax: the rest of the row no longer sums to 1.
    padding scores 0 | Padding still has the score 0 (or next to it), and e⁰ is 1: it takes weight. Mask it before the softmax.
    padding scores -10 | Padding has a score of -10: a small weight, not none, and beside scores of -20 it wins.
    softmax over queries | Your weights sum to 1 over the queries; each *query* spreads one unit over the *keys*, the last axis.
    without the max-shift | Your exponentials overflow where scores are large: take off each row's maximum, or use `attention.softmax`.
    reshaped instead of transposed | You `reshape` the keys to (B, H, S): that deals the same numbers out in another order. `np.swapaxes(key, -1, -2)` turns axes round.
    keys used as values | You mix the keys. Keys only decide the weights; what is mixed is `value`.
    outputs exchanged | You return (weights, context). Asked is (context, weights).
    padded values set to 0 | You set padded *values* to 0 and leave their keys in the softmax: they still take weight, and the rest of the row is too small.
    """,
    choices={
        "scale": {
            "root of the number of queries": lambda query, key, value: math.sqrt(query.shape[1]),
            "root of the number of keys": lambda query, key, value: math.sqrt(key.shape[1]),
            "root of the value width": lambda query, key, value: math.sqrt(value.shape[2]),
            "not scaled": lambda query, key, value: 1.0,
            "divided by the width": lambda query, key, value: query.shape[2],
        },
        "place": {
            "mask without an axis": lambda is_word: is_word,
            "axis on the wrong side": lambda is_word: is_word[:, :, None],
        },
        "words": {
            "mask inverted": np.logical_not,
            "one padding for all": lambda is_word: np.broadcast_to(is_word[:1], is_word.shape),
            "padding of all joined": lambda is_word: np.broadcast_to(
                is_word.any(axis=0), is_word.shape
            ),
            "mask forgotten": np.ones_like,
            "words counted": lambda is_word: (
                np.arange(is_word.shape[1]) < is_word.sum(axis=1, keepdims=True)
            ),
        },
        "weigh": {
            "mask after the softmax": lambda scores, mask: softmax(scores, mask, late=True),
            "padding scores 0": lambda scores, mask: softmax(np.where(mask, scores, 0)),
            "padding scores -10": lambda scores, mask: softmax(np.where(mask, scores, -10)),
            "softmax over queries": lambda scores, mask: softmax(scores, mask, axis=1),
            "without the max-shift": lambda scores, mask: softmax(scores, mask, shift=None),
        },
        "product": {
            "reshaped instead of transposed": reshaped,
        },
        "mix": {
            "keys used as values": lambda weights, key, value: weights @ key,
        },
        "give": {
            "outputs exchanged": lambda context, weights: (weights, context),
        },
    },
    wholes={
        "padded values set to 0": lambda query, key, value, is_word: sketch(
            query, key, value * is_word[:, :, None], is_word, words=np.ones_like
        ),
    },
    reread="section 6",
    hint="Write down the shape of every array for B=2, T=3, S=5, H=4. Two lines use an axis that is only right when sizes coincide.",
)
