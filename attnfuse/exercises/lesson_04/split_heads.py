"""Cut the width into heads."""

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property


def by_loops(x, heads):
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


def cases(rng):
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


def split(x, heads):
    B, T, D = x.shape
    return x.reshape(B, T, heads, D // heads).transpose(0, 2, 1, 3)


def every_nth(x, heads):
    return x.reshape(*x.shape[:2], -1, heads).transpose(0, 3, 1, 2)


def in_one_go(x, heads):
    return x.reshape(len(x), heads, x.shape[1], x.shape[2] // heads)


def turned_first(x, heads):
    """Words and columns exchanged, then reshaped: right for one text."""
    B, T, D = x.shape
    return x.transpose(2, 0, 1).reshape(B, heads, D // heads, T).swapaxes(-1, -2)


def overlapping(x, heads):
    H = x.shape[2] // heads
    return np.stack([x[:, :, n : n + H] for n in range(heads)], axis=1)


def sketch(
    x,
    heads,
    *,
    cut=split,
    number=lambda D, N: N,
    order=lambda parts: parts,
    finish=lambda parts: parts,
):
    return finish(order(cut(x, number(x.shape[2], heads))))


def _words_stay_whole(attempt, case, rng):
    x, heads = case.inputs["x"], case.inputs["heads"]
    for word in range(x.shape[1]):
        changed = x.copy()
        changed[:, word] += 100
        moved = attempt(x=changed, heads=heads)["parts"] != attempt.result["parts"]
        rows = sorted({int(t) for t in np.argwhere(moved)[:, 2]})
        if rows != [word]:
            raise Mismatch(
                f"Word {word} was changed. In every head row {word} must change, and no other; with yours the rows {rows} did."
            )


SPLIT_HEADS = Exercise(
    name="split_heads",
    lesson="04_multi_head_attention",
    title="Cut the width into heads",
    kind="write",
    minutes=6,
    difficulty=1,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"parts": "B N T H"},
    properties=[Property("a word stays in its row", _words_stay_whole)],
    sketch=sketch,
    says="""
    reshaped in one go | You `reshape` straight to (B, N, T, H). That deals the numbers out in the order in which they lie in memory, so words are torn apart and mixed into heads. First cut the *last* axis, (B, T, N, H), then swap T and N.
    every N-th column | Your head 0 gets the columns 0, N, 2N, …: you cut the width into (H, N). A head takes H columns that lie side by side: cut it into (N, H).
    turned first | You turn the axes round before you cut, and `reshape` then mixes texts. First cut the *last* axis, (B, T, N, H), then swap T and N.
    overlapping | Head n of yours starts at column n. It starts at n·H: heads do not share columns.
    split along the words | You cut the *words* into groups, axis 1. Every head sees all words; what is cut is the width, the last axis.
    repeated | Every head of yours holds the whole width. Heads share it: H = D / N columns each.
    heads for the width | You take `heads` for the width of a head. It is their number, N; the width is H = D / N.
    axes not swapped | You left the axes as (B, T, N, H). Swap T and N, so that each head has a table of words (T, H) of its own, and one matrix product serves all heads.
    heads before the batch | Your heads are the first axis. The batch stays first: (B, N, T, H).
    already turned for the product | Your heads are (H, T), words in columns. Keep each word a row: (B, N, T, H).
    heads in reverse | Your heads stand in reverse order. Head 0 holds the first columns.
    a column short | The last column of each head is missing: a slice `a:b` ends before b.
    axes of length 1 dropped | Axes of length 1 are gone. Keep all four, (B, N, T, H), for one head, one word, one text, too.
    no axis for one head | With one head you return `x` as it is. It needs the axis all the same: (B, 1, T, D).
    fractions cut off | Your result holds whole numbers: the fractions are cut off. `np.zeros(…, dtype=int)` does that.
    the first text for all | You split the first text and use it for all.
    """,
    choices={
        "cut": {
            "reshaped in one go": in_one_go,
            "every N-th column": every_nth,
            "turned first": turned_first,
            "overlapping": overlapping,
            "split along the words": lambda x, N: np.stack(np.split(x, N, axis=1), axis=1),
            "repeated": lambda x, N: np.repeat(x[:, None], N, axis=1),
        },
        "number": {"heads for the width": lambda D, N: D // N},
        "order": {
            "axes not swapped": lambda parts: parts.swapaxes(1, 2),
            "heads before the batch": lambda parts: parts.swapaxes(0, 1),
            "already turned for the product": lambda parts: parts.swapaxes(-1, -2),
        },
        "finish": {
            "heads in reverse": lambda parts: parts[:, ::-1],
            "a column short": lambda parts: parts[..., :-1],
            "axes of length 1 dropped": np.squeeze,
            "no axis for one head": lambda parts: parts[:, 0] if parts.shape[1] == 1 else parts,
            "fractions cut off": lambda parts: parts.astype(int),
            "the first text for all": lambda parts: np.broadcast_to(parts[:1], parts.shape),
        },
    },
    own=["attnfuse.attention.split_heads"],
    reread="section 3",
    hint="Two steps: `x.reshape(B, T, heads, H)` cuts the last axis and leaves words alone; then swap axes 1 and 2.",
)
