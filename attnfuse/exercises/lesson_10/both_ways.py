"""Co-attention: one table of scores, read by rows and by columns."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, properties
from attnfuse.exercises.common import draw, padding, softmax
from attnfuse.exercises.lesson_10.shared import LESSON


def by_loops(scores, words, patches, word_mask, patch_mask):
    B, T, S = scores.shape
    seen, read = np.zeros((B, T, patches.shape[2])), np.zeros((B, S, words.shape[2]))
    for b in range(B):
        real_words = [t for t in range(T) if word_mask[b, t]]
        real_patches = [s for s in range(S) if patch_mask[b, s]]
        for t in real_words:
            top = max((scores[b, t, s] for s in real_patches), default=0)
            powers = {s: math.exp(scores[b, t, s] - top) for s in real_patches}
            for s, power in powers.items():
                seen[b, t] += power / sum(powers.values()) * patches[b, s]
        for s in real_patches:
            top = max((scores[b, t, s] for t in real_words), default=0)
            powers = {t: math.exp(scores[b, t, s] - top) for t in real_words}
            for t, power in powers.items():
                read[b, s] += power / sum(powers.values()) * words[b, t]
    return seen, read


def in_front(mask):
    """As many as are real, but the first ones."""
    return np.arange(mask.shape[1]) < mask.sum(axis=1, keepdims=True)


def cases(rng):
    def case(B, T, S, D, P, note, masks=True, size=1):
        inputs = draw(rng, scores=(B, T, S), words=(B, T, D), patches=(B, S, P))
        inputs["scores"] *= size
        full = np.ones((B, T), bool), np.ones((B, S), bool)
        word_mask, patch_mask = (padding(rng, B, T), padding(rng, B, S)) if masks else full
        return Case(inputs | {"word_mask": word_mask, "patch_mask": patch_mask}, note)

    empty = case(3, 4, 5, 2, 3, "item 0 has no word, item 1 no patch")
    empty.inputs["word_mask"][0] = False
    empty.inputs["patch_mask"][1] = False
    gap = case(2, 4, 5, 3, 2, "padding in the middle")
    gap.inputs["word_mask"][:] = [[True, False, True, True], [False, True, False, True]]
    gap.inputs["patch_mask"][:] = [
        [True, False, True, True, False],
        [False, True, True, False, True],
    ]
    return [
        case(1, 2, 3, 1, 2, "two words, three patches, nothing is padding", masks=False),
        case(2, 3, 3, 4, 4, "as many words as patches", masks=False),
        case(2, 3, 5, 4, 2, "padding in both"),
        gap,
        empty,
        case(2, 3, 4, 2, 5, "scores in the thousands", size=2000),
    ]


def sketch(
    scores,
    words,
    patches,
    word_mask,
    patch_mask,
    *,
    over=(2, 1),
    keys=(1, 1),
    queries=(1, 1),
    masks=lambda mask: mask,
    scale=lambda words, patches: (1, 1),
    weigh=softmax,
    empty=0.0,
    joint=None,
    turn=lambda weights: weights.swapaxes(1, 2),
    second=lambda seen, read: read,
    give=lambda seen, read: (seen, read),
):
    w, p = masks(word_mask)[:, :, None], masks(patch_mask)[:, None]
    real = {1: (w, p), 0: (w | True, p | True), -1: (~w, ~p)}
    seen_mask = real[queries[0]][0] & real[keys[0]][1]
    read_mask = real[keys[1]][0] & real[queries[1]][1]
    each = []
    for mask, axis, by in zip((seen_mask, read_mask), over, scale(words, patches), strict=True):
        weights = weigh(scores / by, mask, axis=axis) if joint is None else joint(scores, mask)
        nothing = 1 / scores.shape[axis] if empty is None else empty
        each.append(np.where(mask.any(axis=axis, keepdims=True), weights, nothing))
    seen, read = each
    return give(seen @ patches, turn(second(seen, read)) @ words)


def over_all(scores, mask):
    """One softmax over all pairs of an item."""
    B = len(scores)
    return softmax(scores.reshape(B, -1), mask.reshape(B, -1)).reshape(scores.shape)


BOTH_WAYS = Exercise(
    name="both_ways",
    lesson=LESSON,
    title="Both ways",
    kind="write",
    minutes=10,
    difficulty=2,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"seen": "B T P", "read": "B S D"},
    properties=[properties.finite()],
    sketch=sketch,
    says="""
    one softmax for both | You turn one table of weights for the second result. Its rows sum to 1, its columns do not: take a second softmax, over the words.
    the words' softmax for both | Your weights sum to 1 over the words in both directions. A *word* spreads one unit over the patches, a *patch* over the words.
    directions exchanged | Your softmaxes are exchanged: for `seen` the weights of a word sum to 1 over the patches, for `read` those of a patch over the words.
    one softmax over all pairs | You take one softmax over all pairs of an item. Every word, and every patch, has one unit of its own.
    padded patches are seen | Patches that are padding get weight in `seen`. Close them with `patch_mask`.
    padded words are read | Words that are padding get weight in `read`. Close them with `word_mask`.
    padded words see | A word that is padding sees something. It gets zeros: close its row with `word_mask`.
    padded patches read | A patch that is padding reads something. It gets zeros: close its row with `patch_mask`.
    masks inverted | Both masks work the wrong way round. True means real.
    masks after the softmax | You set weights to zero after the softmax only: what padding took there is missing.
    real ones in front | You take the masks for lengths. Real words and patches may stand in any places.
    the first item's masks for all | You use the first item's masks for all items.
    scaled once more | You divide the scores by a root again. They are given as they go into the softmax.
    padding scores 0 | A place that is padding still has the score 0 in the softmax, and e⁰ is 1: it takes weight.
    nothing open: equal weights | Where nothing is open you give all places equal weight, and mix padding: the same low score for all does that. There is nothing to look at: the result is zeros.
    shares divided by column sums | You divide a table whose rows were made by softmax by the sums of its columns. Each patch has a softmax of its own, of the *scores* in its column.
    softmax of the weights | You take the second softmax of the weights. It is a softmax of the *scores*, over the words.
    reshaped, not turned | You `reshape` a table to (B, S, T), which mixes its entries. Turn it: `np.swapaxes(…, 1, 2)`.
    without the max-shift | Your exponentials overflow where scores are large. `attention.softmax(scores, mask)` takes each row's maximum off first.
    nothing open: NaN | Where nothing is open you get 0/0, NaN. There is nothing to look at: the result is zeros.
    outputs exchanged | You return (read, seen). Asked is (seen, read).
    """,
    choices={
        "over": {
            "one softmax for both": (2, 2),
            "the words' softmax for both": (1, 1),
            "directions exchanged": (1, 2),
        },
        "joint": {"one softmax over all pairs": over_all},
        "keys": {
            "padded patches are seen": (0, 1),
            "padded words are read": (1, 0),
            "masks inverted": (-1, -1),
        },
        "queries": {
            "padded words see": (0, 1),
            "padded patches read": (1, 0),
            "masks inverted": (-1, -1),
        },
        "weigh": {
            "masks after the softmax": lambda scores, mask, axis: softmax(
                scores, mask, axis, late=True
            ),
            "without the max-shift": lambda scores, mask, axis: softmax(
                scores, mask, axis, shift=None
            ),
            "padding scores 0": lambda scores, mask, axis: softmax(
                np.where(mask, scores, 0), axis=axis
            ),
        },
        "empty": {"nothing open: NaN": np.nan, "nothing open: equal weights": None},
        "masks": {
            "real ones in front": in_front,
            "the first item's masks for all": lambda mask: np.broadcast_to(mask[:1], mask.shape),
        },
        "scale": {
            "scaled once more": lambda words, patches: (
                patches.shape[2] ** 0.5,
                words.shape[2] ** 0.5,
            )
        },
        "second": {
            "shares divided by column sums": lambda seen, read: (
                seen / np.maximum(seen.sum(axis=1, keepdims=True), 1e-300)
            ),
            "softmax of the weights": lambda seen, read: np.where(
                read > 0, softmax(seen, read > 0, 1), 0
            ),
        },
        "turn": {
            "reshaped, not turned": lambda weights: weights.reshape(
                len(weights), weights.shape[2], weights.shape[1]
            )
        },
        "give": {"outputs exchanged": lambda seen, read: (read, seen)},
    },
    own=["attnfuse.cross", "attnfuse.layers"],
    reread="section 5",
    hint="A pair counts where word *and* patch are real: one mask (B, T, S). `attention.softmax(scores, mask) @ patches` is `seen`; for `read` turn scores and mask, `np.swapaxes(…, 1, 2)`, and do the same with `words`.",
)
