"""Which of the eight arrays of multi-head attention never learns?"""

import numpy as np

from attnfuse.checking import Exercise
from attnfuse.exercises.common import draw
from attnfuse.exercises.lesson_05.shared import LESSON, PARTS, eight_arrays, multi_head_by_loops


def array_without_effect():
    """Of the eight arrays, the one whose change does not change the output."""
    rng = np.random.default_rng(0)
    inputs = draw(rng, query=(2, 3, 5), key=(2, 4, 7), value=(2, 4, 8)) | {"mask": None, "heads": 3}
    arrays = eight_arrays(rng, (5, 7, 8), 6)
    before, _ = multi_head_by_loops(**inputs, **arrays)
    for name, array in arrays.items():
        moved = arrays | {name: array + rng.standard_normal(array.shape)}
        if np.allclose(multi_head_by_loops(**inputs, **moved)[0], before):
            return name
    return "none"


ARRAYS = [f"{name}_{what}" for name in PARTS for what in ("matrix", "bias")]
WRONG = [*(name for name in ARRAYS if name != "key_bias"), "none"]
MISSPELT = ["key bias", "self.key_bias", "Key_bias", "bias", *PARTS]
AS_LISTED = 'Write one name as it stands in the list, such as `"query_matrix"`: matrices and biases are counted apart.'

KEY_BIAS = Exercise(
    name="key_bias",
    lesson=LESSON,
    title="The array that never learns",
    kind="explain",
    minutes=6,
    difficulty=2,
    points=0,
    reference=array_without_effect,
    value=True,
    says="""
    query_bias | The query's bias b adds b·k to the score of key k: another number for each key. That does change weights. Which bias adds the *same* number to a whole row of scores?
    value_bias | The value's bias arrives in every context, since a row of weights sums to 1. It changes the output.
    output_bias | The output's bias is added at the very end. Nothing cancels it.
    key_matrix | The key's matrix decides what each key looks like. That is the heart of the scores.
    query_matrix | A matrix decides what is compared and what is handed over. Print its gradient: it learns.
    value_matrix | A matrix decides what is compared and what is handed over. Print its gradient: it learns.
    output_matrix | A matrix decides what is compared and what is handed over. Print its gradient: it learns.
    none | You expect all eight to learn. Print the largest gradient of each once more: one is rounding noise.
    """
    + "".join(f"{name} | {AS_LISTED}\n" for name in MISSPELT),
    wholes={name: name for name in (*WRONG, *MISSPELT)},
    reread="section 4",
    hint="A score is (query + its bias) · (key + its bias). Multiply it out into four products. Which of them are the same for every key?",
)
