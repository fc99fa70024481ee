"""Which of the eight arrays of multi-head attention never learns, and with rotary positions?"""

import numpy as np

from attnfuse.checking import Exercise
from attnfuse.exercises.common import draw
from attnfuse.exercises.lesson_04 import many_heads
from attnfuse.exercises.lesson_04.rotate import turned
from attnfuse.exercises.lesson_05.shared import LESSON, PARTS, eight_arrays


def as_it_stands(row, position):
    return row


def array_without_effect(turn):
    """Of the eight arrays, the one whose change does not change the output; `turn` is of query and key."""
    rng = np.random.default_rng(0)
    inputs = draw(rng, query=(2, 3, 5), key=(2, 4, 7), value=(2, 4, 8))
    arrays = eight_arrays(rng, (5, 7, 8), 8)

    def output(**w):
        projected = {n: x @ w[f"{n}_matrix"] + w[f"{n}_bias"] for n, x in inputs.items()}
        context, _ = many_heads.by_loops(**projected, heads=2, turn=turn)
        return context @ w["output_matrix"] + w["output_bias"]

    for name, array in arrays.items():
        moved = arrays | {name: array + rng.standard_normal(array.shape)}
        if np.allclose(output(**moved), output(**arrays)):
            return name
    return "none"


def both():
    return array_without_effect(as_it_stands), array_without_effect(turned)


def sketch(*, plain="key_bias", rotary="none"):
    return plain, rotary


ARRAYS = [f"{name}_{what}" for name in PARTS for what in ("matrix", "bias")]
MISSPELT = ["key bias", "self.key_bias", "Key_bias", "bias", *PARTS]
AS_LISTED = 'Write names as they stand in the list, such as `"query_matrix"`: matrices and biases are counted apart.'
OTHERS = [name for name in ARRAYS if name != "key_bias"]

KEY_BIAS = Exercise(
    name="key_bias",
    lesson=LESSON,
    title="The array that never learns",
    kind="explain",
    minutes=8,
    difficulty=2,
    points=0,
    reference=both,
    value=True,
    sketch=sketch,
    says="""
    query_bias | First name: the query's bias b adds b·k to the score of key k, another number for each key. That does change weights. Which bias adds the *same* number to a whole row of scores?
    value_bias | First name: the value's bias arrives in every context, since a row of weights sums to 1. It changes the output.
    output_bias | First name: the output's bias is added at the very end. Nothing cancels it.
    key_matrix | First name: the key's matrix decides what each key looks like. That is the heart of the scores.
    query_matrix | First name: a matrix decides what is compared and what is handed over. Print its gradient: it learns.
    value_matrix | First name: a matrix decides what is compared and what is handed over. Print its gradient: it learns.
    output_matrix | First name: a matrix decides what is compared and what is handed over. Print its gradient: it learns.
    none | First name: you expect all eight to learn. Print the largest gradient of each once more: one is rounding noise.
    rotary: the same | Second name: the bias is part of the key when the key is *turned*, and each place turns it differently. Is q · (turned bias) still the same for every key?
    with one name | Answer with two names: for the layer as it is, and for one with rotary positions.
    """
    + "".join(
        f"rotary: {name} | Second name: turning mixes two columns of queries and keys. It takes nothing of what this array does.\n"
        for name in OTHERS
    )
    + "".join(f"{name} | {AS_LISTED}\n" for name in MISSPELT),
    choices={
        "plain": {name: name for name in (*OTHERS, "none", *MISSPELT)},
        "rotary": {"rotary: the same": "key_bias"} | {f"rotary: {name}": name for name in OTHERS},
    },
    wholes={"with one name": "key_bias"},
    reread="section 4",
    hint="A score is (query + its bias) · (key + its bias). Multiply it out into four products. Which of them are the same for every key? Then turn query and key by their places, as lesson 04 did, and ask again.",
)
