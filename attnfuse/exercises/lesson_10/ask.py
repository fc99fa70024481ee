"""Cross-modal attention: words ask, patches answer."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, properties
from attnfuse.driving import lesson_10
from attnfuse.exercises.common import dot, draw, partial_mask, softmax, weights_by
from attnfuse.exercises.lesson_10.shared import LESSON, learn, product, refused

MATRICES = ("query_matrix", "key_matrix", "value_matrix")


def by_loops(words, patches, query_matrix, key_matrix, value_matrix, mask=None):
    B, T, _ = words.shape
    S, (H, V) = patches.shape[1], (key_matrix.shape[1], value_matrix.shape[1])
    context, weights = np.zeros((B, T, V)), np.zeros((B, T, S))
    for b, t in np.ndindex(B, T):
        query = [dot(words[b, t], column) for column in query_matrix.T]
        scores = {}
        for s in range(S):
            if mask is None or mask[b, s]:
                key = [dot(patches[b, s], column) for column in key_matrix.T]
                scores[s] = dot(query, key) / math.sqrt(H)
        powers = {s: math.exp(x - max(scores.values())) for s, x in scores.items()}
        for s, power in powers.items():
            weights[b, t, s] = power / sum(powers.values())
            for v in range(V):
                context[b, t, v] += weights[b, t, s] * dot(patches[b, s], value_matrix[:, v])
    return context, weights, np.ones(3)


def cases(rng):
    def case(B, T, S, D, P, H, V, note, mask=None):
        shapes = {"words": (B, T, D), "patches": (B, S, P), "query_matrix": (D, H)}
        shapes |= {"key_matrix": (P, H), "value_matrix": (P, V)}
        inputs = draw(rng, np.float32, **shapes)
        return Case(inputs if mask is None else inputs | {"mask": mask}, note)

    none = partial_mask(rng, 3, 5)
    none[1] = False
    large = case(1, 2, 4, 3, 5, 2, 3, "scores in the thousands, all of the second word's negative")
    large.inputs["mask"] = one_closed(rng, 1, 4)
    given = large.inputs
    given["patches"] = given["patches"][:, :1] * np.linspace(1, 2, 4, dtype=np.float32)[:, None]
    query, key = given["words"] @ given["query_matrix"], given["patches"] @ given["key_matrix"]
    scores = query @ key.swapaxes(1, 2)
    given["words"][0, 0] *= 9000 / scores[0, 0, -1]
    given["words"][0, 1] *= -9000 / scores[0, 1, -1]
    return [
        case(1, 1, 2, 2, 3, 4, 2, "one word, two patches, called without `mask`"),
        case(2, 3, 4, 5, 6, 2, 3, "all sizes different, called without `mask`"),
        case(2, 3, 5, 4, 6, 2, 3, "a mask: some patches are padding", partial_mask(rng, 2, 5)),
        case(4, 4, 4, 4, 4, 4, 4, "all sizes alike, a mask", one_closed(rng, 4, 4)),
        case(3, 2, 5, 4, 3, 2, 6, "item 1 has no patch at all", none),
        large,
    ]


def one_closed(rng, B, S):
    """In every item one patch is padding, not the same in the first two."""
    gone = rng.integers(S, size=B)
    gone[:2] = rng.permutation(S)[: min(B, 2)]
    return np.arange(S) != gone[:, None]


def late(scores, mask):
    return softmax(scores, mask, late=True)


def places(mask, scores):
    """The mask `(B, S)` at the scores `(B, T, S)`."""
    return np.broadcast_to(mask[:, None], scores.shape)


def placed(add):
    """An axis added elsewhere; TensorFlow refuses what does not broadcast."""

    def place(mask, scores):
        try:
            return np.broadcast_to(add(mask), scores.shape)
        except ValueError:
            refused()

    return place


def sketch(
    words,
    patches,
    query_matrix,
    key_matrix,
    value_matrix,
    mask=None,
    *,
    ask=lambda words, patches: (words, patches),
    project=lambda Wq, Wk, Wv: (Wq, Wk, Wv),
    scale=lambda q, k, words, patches: math.sqrt(q.shape[-1]),
    allow=lambda mask: mask,
    place=places,
    weigh=softmax,
    empty=0.0,
    turn=lambda k: k.swapaxes(1, 2),
    mix=lambda k, v, patches: v,
    late=False,
    give=("context", "weights"),
    learns=(1, 1, 1),
):
    asking, offered = ask(words, patches)
    Wq, Wk, Wv = project(query_matrix, key_matrix, value_matrix)
    q, k, v = product(asking, Wq), product(offered, Wk), product(offered, Wv)
    if q.shape[-1] != k.shape[-1]:
        refused()
    scores = q @ turn(k) / scale(q, k, words, patches)
    opened = np.ones(scores.shape, bool) if mask is None else place(allow(mask), scores)
    weights = weights_by(weigh, scores, opened, empty)
    mixing = weights_by(weigh, scores, opened, None) if late else weights
    found = {"context": mixing @ mix(k, v, offered), "weights": weights}
    return *(found[name] for name in give), np.array(learns)


ASK = Exercise(
    name="ask",
    lesson=LESSON,
    title="Words ask, patches answer",
    kind="write",
    minutes=12,
    difficulty=2,
    points=2,
    reference=by_loops,
    cases=cases,
    run=lesson_10.ask,
    outputs={"context": "B T V", "weights": "B T S", "learns": "3"},
    properties=[
        properties.finite("context", "weights"),
        properties.not_negative(),
        properties.rows_sum_to_one(zero_rows=True),
        learn(MATRICES),
    ],
    sketch=sketch,
    says="""
    the patches ask | Your queries come from the patches. Here the words ask: queries from `words`, keys and values from `patches`.
    the words answer themselves | Your keys and values come from the words. The picture is asked: keys and values from `patches`.
    key and value matrix exchanged | You make the keys with `value_matrix` and the values with `key_matrix`.
    keys by the query's matrix | You project the patches by `query_matrix`. They have `key_matrix`.
    keys mixed | Your context mixes the keys. The values are `patches @ value_matrix`.
    patches mixed as they are | Your context mixes the patches as they are. Project them by `value_matrix` first.
    not scaled | Your scores are not divided by √H. H is the width in which words and patches meet, the columns of `query_matrix`.
    divided by H | You divide by H. The spread of a sum of H products is √H: divide by the root.
    multiplied by the root | You multiply by √H. Divide by it.
    root of the word's width | You divide by the root of the words' own width. The score is a product of *projected* rows: their width is H, the columns of `query_matrix`.
    root of the patch's width | You divide by the root of the patches' own width. The score is a product of *projected* rows: their width is H, the columns of `query_matrix`.
    root of the number of patches | You divide by √S, the number of patches. A score's size comes from its number of terms, H.
    root of the number of words | You divide by √T, the number of words. A score's size comes from its number of terms, H.
    mask ignored | Your answer never uses `mask`: patches that are padding get weight.
    mask inverted | Your mask is the wrong way round. True means that there is a patch.
    mask without an axis | Your mask lacks an axis: it is (B, S), and without `mask[:, None]` it meets the words of the batch, not the items.
    mask on the words | Your mask stands at the words, (B, S, 1). It says which *patches* there are: `mask[:, None]`.
    the first item's mask for all | You use the first item's mask for all items.
    mask after the softmax | You set weights to zero after the softmax only: what padding took there is missing in the row.
    padding scores 0 | A patch that is padding still has the score 0 in the softmax, and e⁰ is 1: it takes weight.
    padding scores -100 | The score that you give to padding is not low enough: where real patches score less, it takes the most. -1e9 will do.
    no patch: equal weights | Where a picture has no patch you give all of them equal weight: the same low number for every score does that. Set closed places to zero *after* the softmax, too.
    no patch: NaN | Where a picture has no patch you get 0/0, NaN. Close with a low finite score such as -1e9, and set closed places to zero after the softmax.
    keys reshaped | You `reshape` the keys to (B, H, S), which tears them apart. Exchange the axes: `ops.transpose(key, (0, 2, 1))`.
    context before the zeros | Your context is mixed before closed places are set to zero. Mix with the weights that you return.
    softmax over the words | Your weights sum to 1 over the words. Each word spreads one unit over the *patches*, the last axis.
    without the max-shift | Your exponentials overflow where scores are large. `ops.softmax` takes care of that.
    all weight on the best patch | You give all weight to the best patch. Softmax gives every patch its part.
    no softmax | Your weights are the scores themselves. They need a softmax.
    outputs exchanged | You return (weights, context). Asked is (context, weights).
    NumPy inside | No gradient reaches the matrices, so they would never be trained: NumPy leaves no trace of what it computes. Use `ops` and `@`.
    """,
    choices={
        "ask": {
            "the patches ask": lambda words, patches: (patches, patches),
            "the words answer themselves": lambda words, patches: (words, words),
        },
        "project": {
            "key and value matrix exchanged": lambda Wq, Wk, Wv: (Wq, Wv, Wk),
            "keys by the query's matrix": lambda Wq, Wk, Wv: (Wq, Wq, Wv),
        },
        "scale": {
            "not scaled": lambda q, k, words, patches: 1.0,
            "divided by H": lambda q, k, words, patches: q.shape[-1],
            "multiplied by the root": lambda q, k, words, patches: q.shape[-1] ** -0.5,
            "root of the word's width": lambda q, k, words, patches: math.sqrt(words.shape[-1]),
            "root of the patch's width": lambda q, k, words, patches: math.sqrt(patches.shape[-1]),
            "root of the number of patches": lambda q, k, words, patches: math.sqrt(k.shape[1]),
            "root of the number of words": lambda q, k, words, patches: math.sqrt(q.shape[1]),
        },
        "allow": {
            "mask ignored": np.ones_like,
            "mask inverted": np.logical_not,
            "the first item's mask for all": lambda mask: np.broadcast_to(mask[:1], mask.shape),
        },
        "place": {
            "mask without an axis": placed(lambda mask: mask),
            "mask on the words": placed(lambda mask: mask[:, :, None]),
        },
        "weigh": {
            "mask after the softmax": late,
            "padding scores 0": lambda scores, mask: softmax(np.where(mask, scores, 0)),
            "padding scores -100": lambda scores, mask: softmax(np.where(mask, scores, -100)),
            "softmax over the words": lambda scores, mask: softmax(scores, mask, axis=1),
            "without the max-shift": lambda scores, mask: softmax(scores, mask, shift=None),
            "all weight on the best patch": lambda scores, mask: np.eye(scores.shape[-1])[
                np.where(mask, scores, -np.inf).argmax(axis=-1)
            ],
            "no softmax": lambda scores, mask: np.where(mask, scores, 0),
        },
        "empty": {
            "padding scores 0": None,
            "padding scores -100": None,
            "no patch: equal weights": None,
            "no patch: NaN": np.nan,
        },
        "turn": {"keys reshaped": lambda k: k.reshape(k.shape[0], k.shape[2], k.shape[1])},
        "late": {"context before the zeros": True},
        "mix": {
            "keys mixed": lambda k, v, patches: k,
            "patches mixed as they are": lambda k, v, patches: patches,
        },
        "give": {"outputs exchanged": ("weights", "context")},
        "learns": {"NumPy inside": (0, 0, 0)},
    },
    own=["attnfuse.layers", "attnfuse.attention", "attnfuse.cross"],
    reread="section 2",
    hint="Project: `query = words @ query_matrix`, and keys and values from `patches` alike. Scores are `query @ ops.transpose(key, (0, 2, 1))` over √H; the mask, `mask[:, None]`, closes before the softmax and zeroes after it.",
    rtol=1e-4,
    atol=1e-4,
)
