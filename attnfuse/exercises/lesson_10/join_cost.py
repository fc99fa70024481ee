"""Predict how many scores four ways to join a picture to a text compute."""

import numpy as np

from attnfuse.checking import Exercise, properties
from attnfuse.exercises.lesson_10.shared import LESSON

T, S, L = 20, 196, 8


def counted():
    """Every pair of a query and a key in one layer, one by one."""
    prefix = sum(1 for _ in np.ndindex(S + T, S + T))
    gated = sum(1 for _ in np.ndindex(T, S)) + sum(1 for _ in np.ndindex(T, T))
    latents = sum(1 for _ in np.ndindex(L, S)) + sum(1 for _ in np.ndindex(L + T, L + T))
    return prefix, gated, latents


def _half(tokens):
    return tokens * (tokens + 1) // 2


def sketch(
    *, prefix=(S + T) ** 2, gated=T * S + T * T, latents=L * S + (L + T) ** 2, order=(0, 1, 2)
):
    numbers = prefix, gated, latents
    return np.array([numbers[i] for i in order])


JOIN_COST = Exercise(
    name="join_cost",
    lesson=LESSON,
    title="How many scores?",
    kind="predict",
    minutes=6,
    difficulty=1,
    points=2,
    reference=counted,
    value=True,
    outputs={"scores": "3"},
    properties=[properties.each_number("scores")],
    sketch=sketch,
    says="""
    prefix: words times patches | Number 1: in one sequence patches look at patches, and words at words, too: all 216 tokens are queries and keys.
    prefix: words ask only | Number 1: not the words alone ask. Patches are tokens like any other and ask as well.
    prefix: two tables | Number 1: one softmax over one sequence: pairs of a word and a patch count, too.
    prefix: half of it | Number 1: the causal mask forbids half of the pairs, but here all that are computed count, those under a mask included.
    prefix: the tokens | Number 1: that is the number of tokens. Each is a query and looks at every key.
    gated: words times patches | Number 2: beside the picture the words look at each other, 20 · 20 more.
    gated: words times words | Number 2: the words look at the picture, too, 20 · 196 more.
    gated: one sequence and more | Number 2: no patch is a query here. Words look at words, and words at patches: two tables.
    gated: one sequence | Number 2: no patch is a query here. Words look at words, and words at patches: two tables.
    gated: both ways | Number 2: the patches ask nobody. One table of words × patches.
    latents: forgets the reading | Number 3: the latents must read the picture first, 8 · 196.
    latents: forgets the sequence | Number 3: after that the latents stand before the words: 28 tokens look at each other.
    latents: apart from the words | Number 3: the latents are tokens of the sequence: 8 + 20 of them, 28².
    latents: the words read, too | Number 3: the words never look at the patches. Only the 8 latents do.
    latents: words without latents | Number 3: the latents are tokens of the words' sequence: 28² there.
    latents: they see each other while reading | Number 3: while reading the latents look at the patches only, 8 · 196 (Flamingo's look at each other as well; ours do so in the sequence).
    latents: words times latents | Number 3: after the reading all 28 tokens look at each other.
    another order | The order is prefix, gated, latents.
    latents before gated | The order is prefix, gated, latents.
    tokens instead of pairs | You count tokens. A score belongs to a *pair*: each query with each key.
    half of all | You count what a causal mask leaves. Here all pairs that are computed count, those under a mask included.
    """,
    choices={
        "prefix": {
            "prefix: words times patches": T * S,
            "prefix: words ask only": T * (S + T),
            "prefix: two tables": S * S + T * T,
            "prefix: half of it": (S + T) * (S + T + 1) // 2,
            "prefix: the tokens": S + T,
        },
        "gated": {
            "gated: words times patches": T * S,
            "gated: one sequence": (S + T) ** 2,
            "gated: words times words": T * T,
            "gated: one sequence and more": (S + T) ** 2 + T * S,
            "gated: both ways": 2 * T * S + T * T,
        },
        "latents": {
            "latents: forgets the reading": (L + T) ** 2,
            "latents: forgets the sequence": L * S,
            "latents: apart from the words": L * S + L * L + T * T,
            "latents: the words read, too": (L + T) * S + (L + T) ** 2,
            "latents: words without latents": L * S + T * T,
            "latents: they see each other while reading": L * (S + L) + (L + T) ** 2,
            "latents: words times latents": L * S + T * L,
        },
        "order": {"another order": (2, 1, 0), "latents before gated": (0, 2, 1)},
    },
    wholes={
        "tokens instead of pairs": (S + T, T, L + T),
        "half of all": (_half(S + T), T * S + _half(T), L * S + _half(L + T)),
    },
    reread="section 7",
    hint="Draw each as a table: a row for every token that asks, a column for every token that is asked. Where there are two tables, add them.",
)
