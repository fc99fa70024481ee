"""Find the bug: a gated block that starts at zero twice and never moves."""

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property, properties
from attnfuse.driving import lesson_10
from attnfuse.exercises.common import dot, draw, softmax
from attnfuse.exercises.lesson_10.shared import LESSON

MATRICES = ("query_matrix", "key_matrix", "output_matrix")


def by_loops(words, picture, query_matrix, key_matrix, output_matrix, gate):
    """Whether the layer is silent at the start; its output with given weights; whether anything can move
    at the start, and what learns later."""
    B, T, D = words.shape
    output = np.array(words, dtype=float)
    for b, t in np.ndindex(B, T):
        query = [dot(words[b, t], column) for column in query_matrix.T]
        keys = [[dot(row, column) for column in key_matrix.T] for row in picture[b]]
        powers = np.exp([dot(query, key) / len(query) ** 0.5 for key in keys])
        context = powers / powers.sum() @ picture[b]
        for d in range(D):
            output[b, t, d] += np.tanh(float(gate)) * dot(context, output_matrix[:, d])
    return np.ones(1), output, np.ones(1), np.ones(4)


def cases(rng):
    def case(B, T, S, D, P, H, gate, note):
        shapes = {"words": (B, T, D), "picture": (B, S, P), "query_matrix": (D, H)}
        shapes |= {"key_matrix": (P, H), "output_matrix": (P, D)}
        return Case(draw(rng, np.float32, **shapes) | {"gate": np.float32(gate)}, note)

    return [
        case(1, 1, 2, 2, 3, 4, 0.5, "one word, two patches; trained weights, gate .5"),
        case(2, 3, 4, 5, 3, 2, -1.5, "trained weights, gate −1.5"),
        case(2, 3, 5, 4, 4, 3, 3.0, "as wide as a patch; trained weights, gate 3"),
    ]


def starts_silent(attempt, case, rng):
    if not attempt.result["silent"].all():
        raise Mismatch(
            "Before training the picture must change nothing: the layer returns `words`. Yours adds something."
        )


def moves(attempt, case, rng):
    if not attempt.result["moves"].all():
        raise Mismatch(
            "Before training no weight has a gradient other than 0, so no step will ever change one: the layer stays silent for good."
        )


def learns(attempt, case, rng):
    for name, found in zip((*MATRICES, "gate"), attempt.result["learns"], strict=True):
        if not found:
            raise Mismatch(f"With trained weights no gradient reaches `{name}`.")


def sketch(
    words,
    picture,
    query_matrix,
    key_matrix,
    output_matrix,
    gate,
    *,
    start=0.0,
    first=1.0,
    bend=np.tanh,
    slope=lambda g: 1 / np.cosh(g) ** 2,
    scale=lambda q, k: q.shape[-1] ** 0.5,
    axis=-1,
    keep=lambda words, g: words,
    order=lambda words, added: words + added,
    around=False,
    move=None,
    learn=(1, 1, 1, 1),
):
    query, key = words @ query_matrix, picture @ key_matrix
    weights = softmax(query @ key.swapaxes(1, 2) / scale(query, key), axis=axis)
    shown = weights @ picture @ output_matrix
    added = np.tanh(gate * shown) if around else bend(gate) * shown
    output = order(keep(words, gate), added)
    at_start = order(keep(words, start), bend(start) * first * shown) - words
    silent = np.abs(at_start).max() <= 1e-6
    moves = (first != 0 or bend(start) != 0) if move is None else move
    return np.array([silent], float), output, np.array([moves], float), np.array(learn)


DEAD_GATE = Exercise(
    name="dead_gate",
    lesson=LESSON,
    title="The gate that never opens",
    kind="bug",
    minutes=12,
    difficulty=3,
    points=2,
    reference=by_loops,
    cases=cases,
    run=lesson_10.dead_gate,
    outputs={"silent": "1", "output": "B T D", "moves": "1", "learns": "4"},
    properties=[
        properties.finite("output"),
        Property("silent at the start", starts_silent),
        Property("can move", moves),
        Property("weights learn", learns),
    ],
    sketch=sketch,
    says="""
    zero twice | At the start nothing can move. The gate's gradient has the factor `context @ output_matrix`, the matrix's has the factor tanh(gate): where both start at 0, or a closed gate is skipped, no weight ever changes. Let the matrix start elsewhere, and let the gate always count.
    the gate cannot learn | No gradient reaches the gate: it is not trainable, or cut off. So the layer stays silent for good.
    the picture is not used | You return the words alone: nothing of the picture reaches them, whatever the weights are.
    tanh around the product | Your tanh bends the whole product. Only the gate is bent: `tanh(gate) * (…)`.
    subtracted | You take off what the picture adds. The sign is plus.
    the gate starts open | The gate does not start at 0: before training the picture already changes what the words say.
    a sigmoid | A sigmoid is ½ at 0: the gate starts half open. tanh(0) is 0.
    a shifted gate | Your gate is closed at another value than 0. Its factor is tanh(gate), nothing taken off.
    no bend | The gate multiplies as it is. Asked is its tanh, which keeps it between −1 and 1.
    words gated, too | You take the words times (1 − gate) as well. They pass as they are; the gate is for the picture only.
    words lost | You return what the picture adds and lose the words: add it to them.
    not scaled | Your scores are not divided by √H, the columns of `query_matrix`.
    softmax over the words | Your weights sum to 1 over the words. Each word spreads one unit over the patches, the last axis.
    NumPy inside | With trained weights no gradient reaches them: NumPy leaves no trace of what it computes. Use `ops`.
    """,
    choices={
        "first": {"zero twice": 0.0},
        "start": {"the gate starts open": 1.0, "a shifted gate": 1.0},
        "bend": {
            "a sigmoid": lambda g: 1 / (1 + np.exp(-g)),
            "a shifted gate": lambda g: np.tanh(g - 1),
            "no bend": lambda g: g,
        },
        "keep": {"words gated, too": lambda words, g: words * (1 - np.tanh(g))},
        "order": {
            "words lost": lambda words, added: added,
            "the picture is not used": lambda words, added: words,
            "subtracted": lambda words, added: words - added,
        },
        "around": {"tanh around the product": True},
        "move": {"the gate cannot learn": False, "the picture is not used": False},
        "scale": {"not scaled": lambda q, k: 1.0},
        "axis": {"softmax over the words": 1},
        "learn": {
            "NumPy inside": (0, 0, 0, 0),
            "the gate cannot learn": (1, 1, 1, 0),
            "the picture is not used": (0, 0, 0, 0),
        },
    },
    cancel=[("zero twice", "the gate starts open")],
    own=["attnfuse.cross", "attnfuse.layers"],
    reread="section 8",
    hint="At the start, write down the gradient of `tanh(gate) · (context @ output_matrix)` by the gate, and by the matrix. Which factor is left in each?",
    rtol=1e-4,
    atol=1e-4,
)
