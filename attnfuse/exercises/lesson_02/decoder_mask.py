"""Padding and causal mask together."""

import numpy as np

from attnfuse.checking import Case, Exercise
from attnfuse.exercises.common import padding


def by_loops(is_word):
    B, S = np.shape(is_word)
    mask = np.zeros((B, S, S), dtype=bool)
    for b in range(B):
        for t in range(S):
            for s in range(S):
                mask[b, t, s] = is_word[b, s] and s <= t
    return mask


def cases(rng):
    gaps = np.array(
        [[True, False, True, True, False, True], [False, True, True, False, True, False]]
    )
    return [
        Case({"is_word": np.array([[True]])}, "one word"),
        Case({"is_word": padding(rng, 2, 4)}, "two texts"),
        Case({"is_word": padding(rng, 3, 7)}, "three texts"),
        Case(
            {"is_word": padding(rng, 3, 5)[:, ::-1].copy()}, "filling in front: rows without a key"
        ),
        Case({"is_word": gaps}, "filling in the middle"),
    ]


def sketch(
    is_word,
    *,
    join=np.logical_and,
    words=lambda is_word: is_word,
    ahead=0,
    causal=lambda S, ahead: np.tri(S, k=ahead, dtype=bool),
    place=lambda is_word: is_word[:, None, :],
    finish=lambda mask: mask,
):
    S = is_word.shape[1]
    return finish(
        join(place(words(is_word)), np.broadcast_to(causal(S, ahead), (len(is_word), S, S)))
    )


def _open_if_empty(mask):
    return mask | ~mask.any(axis=-1, keepdims=True)


DECODER_MASK = Exercise(
    name="decoder_mask",
    lesson="02_scaled_dot_product",
    title="Padding and causal mask together",
    kind="stretch",
    minutes=5,
    difficulty=1,
    points=0,
    reference=by_loops,
    cases=cases,
    outputs={"mask": "B S S"},
    sketch=sketch,
    says="""
    or | You join the two masks with *or*: a key is open as soon as one of them allows it. It must be a word *and* not lie ahead: `&`.
    causal only | The filling takes no part in your mask.
    padding only | Your mask forgets that a position may not look ahead.
    filling for words | You take the filling for the words: `is_word` is True at words.
    the first item for all | You use the first text's words for the whole batch. Each text has its own.
    words counted | You count the words and open as many places from the front. The filling may stand anywhere: use `is_word` itself.
    not itself | Your positions may not see themselves. In a causal mask they may: s ≤ t.
    one ahead | Your positions may see the next one, too. A causal mask ends at the position itself: s ≤ t.
    looks ahead | Your causal triangle is the upper one: positions see what comes later. Row t may see keys 0 … t: the lower triangle.
    padding closes queries | You close the *rows* of filled places. Filling must close *columns*: nobody may look at it.
    padded queries closed as well | You close the rows of padded queries, too. Keep them: what they return is thrown away later, and the task asks for `is_word` of the *key* only.
    polarity | Your mask is True where attention is *blocked*. Here True means: may attend.
    empty rows opened | You open rows that have no key. The rule leaves them without any True.
    itself always | You let every position see itself, filling too. A filled key is closed to everybody.
    not bool | Return True and False, not numbers.
    as numbers to add | Those are numbers to add to scores. Asked is bool: True where a query may attend.
    an axis too many | Your mask has an axis too many: asked is (B, S, S).
    """,
    choices={
        "join": {
            "or": np.logical_or,
            "causal only": lambda words, causal: causal,
            "padding only": lambda words, causal: words & np.ones_like(causal),
        },
        "words": {
            "filling for words": np.logical_not,
            "the first item for all": lambda is_word: np.broadcast_to(is_word[:1], is_word.shape),
            "words counted": lambda is_word: (
                np.arange(is_word.shape[1]) < is_word.sum(axis=1, keepdims=True)
            ),
        },
        "ahead": {
            "not itself": -1,
            "one ahead": 1,
        },
        "causal": {
            "looks ahead": lambda S, ahead: np.tri(S, k=ahead, dtype=bool).T,
        },
        "place": {
            "padding closes queries": lambda is_word: is_word[:, :, None],
            "padded queries closed as well": lambda is_word: (
                is_word[:, None, :] & is_word[:, :, None]
            ),
        },
        "finish": {
            "polarity": np.logical_not,
            "empty rows opened": _open_if_empty,
            "itself always": lambda mask: mask | np.eye(mask.shape[1], dtype=bool),
            "not bool": lambda mask: mask.astype(int),
        },
    },
    wholes={
        "as numbers to add": lambda is_word: np.where(by_loops(is_word), 0.0, -np.inf),
        "an axis too many": lambda is_word: by_loops(is_word)[:, None],
    },
    reread="section 5",
    hint="`is_word[:, None, :]` has shape (B, 1, S) and `attention.causal_mask(S)` has shape (S, S). NumPy stretches the first over the queries, the second over the batch.",
)
