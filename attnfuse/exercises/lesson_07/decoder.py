"""A decoder of one layer."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, properties
from attnfuse.driving import Raised, lesson_07
from attnfuse.exercises.common import draw, softmax
from attnfuse.exercises.lesson_07.shared import LESSON, START


class Weights(dict):
    """Name of a weight → array; printed short."""

    def __repr__(self):
        return f"random weights, {len(self)} arrays"


def random_weights(rng, names, D, hidden, longest=12):
    shapes = {"embed.embeddings": (names, D), "positions": (longest, D)}
    for name in ("look_back", "look_at_letters"):
        for part in ("query", "key", "value", "output"):
            shapes |= {f"{name}.{part}_matrix": (D, D), f"{name}.{part}_bias": (D,)}
    for name, shape in (("widen", (D, hidden)), ("narrow", (hidden, D))):
        shapes |= {f"{name}.kernel": shape, f"{name}.bias": shape[1:]}
    for i in (1, 2, 3):
        shapes |= {f"norm_{i}.gamma": (D,), f"norm_{i}.beta": (D,)}
    weights = Weights(draw(rng, np.float32, **shapes))
    for name, x in weights.items():
        x *= 0.6 if "matrix" in name else 0.3 if x.ndim == 1 else 1
        x += name.endswith("gamma")
    return weights


def cases(rng):
    def case(B, T, S, D, heads, hidden, lengths, note):
        tokens = rng.integers(3, 9, (B, T)).astype(np.int32)
        tokens[:, 0] = START
        inputs = {"tokens": tokens, **draw(rng, np.float32, letter_states=(B, S, D))}
        inputs["is_letter"] = np.arange(S) < np.array(lengths)[:, None]
        return Case(inputs | {"weights": random_weights(rng, 9, D, hidden), "heads": heads}, note)

    return [
        case(1, 3, 2, 4, 1, 5, [2], "one word, no padding, one head"),
        case(2, 4, 5, 6, 2, 7, [5, 3], "two words, two heads, padding in the second"),
        case(3, 3, 4, 6, 3, 5, [3, 1, 4], "as many words as tokens"),
        case(2, 1, 3, 4, 2, 6, [3, 3], "START alone"),
    ]


def all_of_them(rows, tokens):
    if tokens.shape[1] not in (1, len(rows)):
        raise Raised("InvalidArgumentError")
    return rows


def without_axis(is_letter, T):
    """`mask=is_letter`: its B rows are taken for T queries."""
    if len(is_letter) not in (1, T):
        raise Raised("ValueError")
    return is_letter[None]


def sketch(
    tokens,
    letter_states,
    is_letter,
    weights,
    heads,
    *,
    shift=lambda tokens: tokens,
    scale=lambda D: 1,
    rows=lambda rows, tokens: rows[: tokens.shape[1]],
    join=np.add,
    added="first",
    order=("back", "letters", "think"),
    which=None,
    before=lambda T: np.tri(T, dtype=bool),
    asks=lambda x, normed: normed,
    keys=lambda x, normed, states: normed,
    letters=lambda is_letter, T: is_letter[:, None],
    states=lambda states, is_letter, asking, norm: states,
    attention="look_at_letters",
    norm_1="before",
    norm_2="before",
    norm_3="before",
    keep_1="x",
    keep_2="x",
    keep_3="x",
    apart=False,
    result=lambda x, norm: x,
):
    w, B, D = weights, len(tokens), letter_states.shape[-1]

    def norm(x, i):
        gap = x - x.sum(axis=-1, keepdims=True) / D
        spread = np.sqrt((gap * gap).sum(axis=-1, keepdims=True) / D + 1e-5)
        return gap / spread * w[f"norm_{i}.gamma"] + w[f"norm_{i}.beta"]

    def attend(name, query, key, mask):
        def project(x, part):
            x = x @ w[f"{name}.{part}_matrix"] + w[f"{name}.{part}_bias"]
            return x.reshape(B, -1, heads, D // heads).swapaxes(1, 2)

        scores = project(query, "query") @ project(key, "key").swapaxes(2, 3)
        mask = mask if mask.ndim < 3 else mask[:, None]
        context = softmax(scores / math.sqrt(D // heads), mask) @ project(key, "value")
        context = context.swapaxes(1, 2).reshape(query.shape)
        return context @ w[f"{name}.output_matrix"] + w[f"{name}.output_bias"]

    def part(name, y, x):
        if name == "back":
            return attend("look_back", asks(x, y), keys(x, y, letter_states), before(y.shape[1]))
        if name == "letters":
            asked = states(letter_states, is_letter, y, norm)
            return attend(attention, y, asked, letters(is_letter, y.shape[1]))
        wide = np.maximum(y @ w["widen.kernel"] + w["widen.bias"], 0)
        return wide @ w["narrow.kernel"] + w["narrow.bias"]

    x = w["embed.embeddings"][shift(tokens)] * scale(D)
    places = rows(w["positions"], tokens)
    x = first = x if added == "late" else join(x, places)
    numbers = {"back": 1, "letters": 2, "think": 3}
    hows, kept = (norm_1, norm_2, norm_3), (keep_1, keep_2, keep_3)
    for i, name in enumerate(order, 1):
        n = (which or numbers)[name]
        how = hows[n - 1]
        source = first if apart else x
        normed = norm(source, n) if how == "before" else source
        new = part(name, normed, source)
        new = norm(new, n) if how == "part" else new
        x = new + {"x": x, "normed": normed, "first": first, "none": 0}[kept[n - 1]]
        x = norm(x, n) if how == "after" else x
        x = x + places if (added, i) in (("late", 1), ("again", 1), ("again", 2)) else x
    return result(x, norm)


def other_end(inputs, rng):
    """Another last token."""
    if inputs["tokens"].shape[1] < 2:
        return None
    inputs["tokens"] = inputs["tokens"].copy()
    inputs["tokens"][:, -1] = 3 + (inputs["tokens"][:, -1] - 2) % 6
    return inputs


def other_padding(inputs, rng):
    padded = ~inputs["is_letter"]
    if not padded.any():
        return None
    inputs["letter_states"] = np.where(padded[..., None], np.float32(100), inputs["letter_states"])
    return inputs


def nothing_closed(is_letter, T):
    return np.ones_like(is_letter[:, None])


def strict(T):
    return np.tri(T, k=-1, dtype=bool)


DECODER = Exercise(
    name="decoder",
    lesson=LESSON,
    title="A decoder",
    kind="finish",
    minutes=15,
    difficulty=3,
    points=2,
    reference=sketch,
    cases=cases,
    outputs={"x": "B T D"},
    run=lesson_07.decode,
    rtol=1e-3,
    atol=1e-4,
    properties=[
        properties.finite(),
        properties.stays(
            "no token sees a later one",
            "The last token was changed, and what comes out before it changed, too: the decoder looks ahead.",
            other_end,
            "x",
            lambda x: x[:, :-1],
            1e-4,
        ),
        properties.stays(
            "padding closed",
            "The states of the padding were set to 100, and the output changed.",
            other_padding,
            "x",
            tolerance=1e-3,
        ),
    ],
    sketch=sketch,
    says="""
    shifted twice | You shift the tokens. They come shifted already, START first: position t reads what position t−1 had to write.
    embedding scaled | You multiply the embedded tokens by √D (as Vaswani et al. did). Here they are taken as they are.
    no positions | The positions are not added: the same phonemes in another order look the same to it.
    all positions | You add `self.positions` with all its rows. Take the first T: `self.positions[:T]`.
    positions from 1 | Your first token gets the positions' row 1. Rows count from 0: `self.positions[:T]`.
    positions of tokens | You look up positions by *token*. They follow the place: rows 0 to T−1 of `self.positions`.
    one row of positions | `self.positions[T]` is one row, added everywhere. Take the first T rows: `self.positions[:T]`.
    position 0 everywhere | Every token gets the positions' first row. Token t gets row t: `self.positions[:T]`.
    positions multiplied | You multiply by the positions. They are added.
    positions late | You add the positions *after* the first attention. While it attends, it does not know where anything stands. Add them to the embedded tokens, before everything else.
    positions again and again | You add the positions again between the parts. They are added once, to the embedded tokens.
    letters first | You look at the letters first and back at the tokens afterwards. The order is: back, letters, feed-forward.
    letters first, norms in turn | You look at the letters first and back at the tokens afterwards. The order is: back, letters, feed-forward.
    feed-forward second | `widen` and `narrow` come before the letters in yours. The order is: back, letters, feed-forward.
    feed-forward second, norms in turn | `widen` and `narrow` come before the letters in yours. The order is: back, letters, feed-forward.
    no look_back | One of the three parts is missing: look_back.
    no look_at_letters | One of the three parts is missing: look_at_letters.
    no feed-forward | One of the three parts is missing: widen and narrow.
    looks ahead | Nothing keeps a token from looking at later tokens, which are the answer: `causal=True` in the first attention.
    looks ahead only | Your causal mask is turned around: each token sees itself and what comes *later*.
    does not see itself | A token does not see itself in your mask. It may look at itself and at what came before.
    does not see itself, but the first | A token does not see itself in your mask. It may look at itself and at what came before.
    query not normalised | In `look_back` only the keys are normalised; the query is the plain `x`. The part reads norm(x) on both sides.
    keys not normalised | In `look_back` only the query is normalised; the keys are the plain `x`. The part reads norm(x) on both sides.
    looks at the letters twice | In `look_back` your tokens look at the letters' states. First they look at one another.
    mask inverted | Your mask for the letters works the wrong way round: True means *may attend*, and `is_letter` is True at letters.
    padding open | Attention goes to the letters' padding, too. `is_letter` closes it; it needs an axis for the queries: `mask=is_letter[:, None]`.
    padding set to zero | You set the states of the padding to 0 and leave it open, so that it takes a share. Close it: `mask=is_letter[:, None]`.
    mask without an axis | Your mask is `(B, S)`, and its rows are taken for *queries*. It needs an axis of its own for them: `is_letter[:, None]`, (B, 1, S).
    letters causal, too | Token t sees only letters 0 to t. All letters are there from the start: no `causal` in the second attention.
    the first word's letters for all | You use the first word's `is_letter` for the whole batch. Each word has its own.
    letters normalised again | You put the letters' states through `norm_2`. They are normalised already: take them as they are.
    tokens asked again | In `look_at_letters` your tokens look at tokens. The letters' states are its keys: `self.look_at_letters(…, letter_states, …)`.
    tokens asked again, ahead, too | In `look_at_letters` your tokens look at tokens, later ones included. The letters' states are its keys: `self.look_at_letters(…, letter_states, …)`.
    one attention for both | You use `look_back` for the letters, too. That is `look_at_letters`, with weights of its own.
    no norm_1 | You leave out norm_1, before look_back.
    no norm_2 | You leave out norm_2, before look_at_letters.
    no norm_3 | You leave out norm_3, before widen and narrow.
    no norms | The three layer norms are not used.
    norms of the parts | You normalise what a part returns. The norm stands before the part: `x = x + part(norm(x))`.
    normalised afterwards | You normalise the sum (as Vaswani et al. did in 2017). Here the layer norm stands *before* each part, inside: `x = x + part(norm(x))`.
    norm_1 three times | You use `norm_1` for every part. Each part has a norm with weights of its own: norm_1, norm_2, norm_3.
    norms exchanged | You exchange `norm_2` and `norm_3`.
    residual 1 missing | After look_back `x` is replaced, not added to: `x = x + …`.
    residual 2 missing | After look_at_letters `x` is replaced, not added to: `x = x + …`.
    residual 3 missing | After widen and narrow `x` is replaced, not added to: `x = x + …`.
    no residuals | You replace `x` by what each part returns. It is *added*: `x = x + …`, three times.
    residual 1 normalised | With look_back you add to the *normalised* x. The residual carries `x` itself: `x = x + part(norm(x))`.
    residual 2 normalised | With look_at_letters you add to the *normalised* x. The residual carries `x` itself: `x = x + part(norm(x))`.
    residual 3 normalised | With widen and narrow you add to the *normalised* x. The residual carries `x` itself: `x = x + part(norm(x))`.
    residuals normalised | You overwrite `x` by its norm, and add to that. The residual carries `x` itself: `x = x + part(norm(x))`.
    the embedding added each time | You add each part to the *embedded tokens*, so the part before it is lost. Add it to `x` as it is by then.
    side by side | Each part reads the embedded tokens. One after the other: each reads `x` as the part before it left it.
    a norm at the end | You normalise once more at the end. Return `x` as the third part leaves it.
    """,
    choices={
        "shift": {
            "shifted twice": lambda tokens: np.insert(tokens, 0, START, axis=1)[:, :-1],
        },
        "scale": {"embedding scaled": math.sqrt},
        "rows": {
            "no positions": lambda rows, tokens: 0,
            "all positions": all_of_them,
            "positions from 1": lambda rows, tokens: rows[1 : tokens.shape[1] + 1],
            "positions of tokens": lambda rows, tokens: rows[tokens],
            "one row of positions": lambda rows, tokens: rows[tokens.shape[1]],
            "position 0 everywhere": lambda rows, tokens: rows[0],
        },
        "join": {"positions multiplied": np.multiply},
        "added": {"positions late": "late", "positions again and again": "again"},
        "order": {
            "letters first": ("letters", "back", "think"),
            "letters first, norms in turn": ("letters", "back", "think"),
            "feed-forward second": ("back", "think", "letters"),
            "feed-forward second, norms in turn": ("back", "think", "letters"),
            "no look_back": ("letters", "think"),
            "no look_at_letters": ("back", "think"),
            "no feed-forward": ("back", "letters"),
        },
        "which": {
            "letters first, norms in turn": {"letters": 1, "back": 2, "think": 3},
            "feed-forward second, norms in turn": {"back": 1, "think": 2, "letters": 3},
            "norm_1 three times": {"back": 1, "letters": 1, "think": 1},
            "norms exchanged": {"back": 1, "letters": 3, "think": 2},
        },
        "before": {
            "looks ahead": lambda T: np.ones((T, T), bool),
            "looks ahead only": lambda T: np.tri(T, dtype=bool).T,
            "does not see itself": strict,
            "does not see itself, but the first": lambda T: (
                strict(T) | (np.arange(T * T) < 1).reshape(T, T)
            ),
            "looks at the letters twice": lambda T: np.ones(1, bool),
        },
        "asks": {"query not normalised": lambda x, normed: x},
        "keys": {
            "keys not normalised": lambda x, normed, states: x,
            "looks at the letters twice": lambda x, normed, states: states,
        },
        "letters": {
            "mask inverted": lambda is_letter, T: ~is_letter[:, None],
            "padding open": nothing_closed,
            "padding set to zero": nothing_closed,
            "mask without an axis": without_axis,
            "letters causal, too": lambda is_letter, T: (
                is_letter[:, None] & np.tri(T, is_letter.shape[1], dtype=bool)
            ),
            "the first word's letters for all": lambda is_letter, T: is_letter[:1, None],
            "tokens asked again": lambda is_letter, T: np.tri(T, dtype=bool),
            "tokens asked again, ahead, too": lambda is_letter, T: np.ones((T, T), bool),
        },
        "states": {
            "padding set to zero": lambda states, is_letter, y, norm: states * is_letter[..., None],
            "letters normalised again": lambda states, is_letter, y, norm: norm(states, 2),
            "tokens asked again": lambda states, is_letter, y, norm: y,
            "tokens asked again, ahead, too": lambda states, is_letter, y, norm: y,
        },
        "attention": {"one attention for both": "look_back"},
        "apart": {"side by side": True},
        "result": {
            "a norm at the end": lambda x, norm: norm(x, 3),
        },
        **{
            f"norm_{i}": {
                f"no norm_{i}": None,
                "no norms": None,
                "norms of the parts": "part",
                "normalised afterwards": "after",
            }
            for i in (1, 2, 3)
        },
        **{
            f"keep_{i}": {
                f"residual {i} missing": "none",
                "no residuals": "none",
                f"residual {i} normalised": "normed",
                "residuals normalised": "normed",
                "the embedding added each time": "first",
            }
            for i in (1, 2, 3)
        },
    },
    own=["attnfuse.transformer.DecoderLayer", "attnfuse.transformer.Transformer"],
    reread="section 3",
    hint="Five lines: embed and add `self.positions[: tokens.shape[1]]`; three times `x = x + part(norm(x))`; return x. The first attention gets the normalised x twice and `causal=True`, the second the letters' states and `mask=is_letter[:, None]`.",
)
