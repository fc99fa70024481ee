"""English number words and what each word is worth: lesson 04's reading task, for training.

"two" in "two hundred and three thousand" is followed by two noughts for the next "hundred" and three
for a later "thousand". Whoever knows these noughts for each word can read the number.
Source: num2words (LGPL).
"""

from typing import NamedTuple

import numpy as np
from num2words import num2words

from attnfuse.settings import quick

_FACES = {num2words(number): number for number in [*range(20), *range(20, 100, 10)]}
VOCABULARY = ["", *_FACES, "hundred", "thousand", "and", "."]  # 0 is padding
NOUGHTS = (0, 2, 3, 5)
LONGEST = 12


class Spelled(NamedTuple):
    """`number (B,)`, `tokens (B, 12)` with 0 as padding, `noughts (B, 12)`: an index into NOUGHTS."""

    number: np.ndarray
    tokens: np.ndarray
    noughts: np.ndarray


def encode(numbers, length: int = LONGEST) -> np.ndarray:
    """Tokens `(B, length)` of whole numbers from 0 to 999,999, closed by a full stop."""
    index = {word: token for token, word in enumerate(VOCABULARY)}
    tokens = np.zeros((len(numbers), length), np.int32)
    for row, number in zip(tokens, numbers, strict=True):
        words = num2words(int(number)).replace("-", " ").replace(",", "").split()
        row[: len(words) + 1] = [index[word] for word in [*words, "."]]
    return tokens


def noughts(tokens: np.ndarray) -> np.ndarray:
    """0 to 3 for each token `(B, T)`: nothing, next word "hundred", a later "thousand", both.

    Raises:
        ValueError: if `tokens` has not two axes.
    """
    tokens = np.asarray(tokens)
    if tokens.ndim != 2:
        raise ValueError(f"tokens must be (B, T), got shape {tokens.shape}")
    hundred, thousand = (tokens == VOCABULARY.index(word) for word in ("hundred", "thousand"))
    found = np.zeros((2, *tokens.shape), np.int32)
    found[0, :, :-1] = hundred[:, 1:]
    found[1, :, :-1] = np.cumsum(thousand[:, ::-1], axis=1)[:, -2::-1] > 0
    return found[0] + 2 * found[1]


def read(tokens: np.ndarray, noughts: np.ndarray) -> np.ndarray:
    """The number `(B,)` that tokens and noughts, both `(B, T)`, make together.

    Raises:
        ValueError: if the two are not of one shape.
    """
    if np.ndim(tokens) != 2 or np.shape(tokens) != np.shape(noughts):
        shapes = f"{np.shape(tokens)} and {np.shape(noughts)}"
        raise ValueError(f"tokens and noughts must both be (B, T), got {shapes}")
    faces = np.array([_FACES.get(word, 0) for word in VOCABULARY])
    return (faces[tokens] * 10 ** np.array(NOUGHTS)[noughts]).sum(axis=1)


def load(seed: int = 0, train: int = 3000, test: int = 1000) -> tuple[Spelled, Spelled]:
    """Numbers of one to six digits, each length about as often; none is in both parts.

    (In quick mode a tenth of the training numbers.)
    """
    rng = np.random.default_rng(seed)
    drawn = np.unique((10 ** rng.uniform(0, 6, 4 * (train + test))).astype(int))
    drawn = rng.permutation(drawn)[: train + test]
    parts = drawn[test : test + (train // 10 if quick() else train)], drawn[:test]
    return tuple(Spelled(part, encode(part), noughts(encode(part))) for part in parts)


def share_read(model, part: Spelled) -> float:
    """The share of numbers that a model reads right.

    Args:
        model: called with tokens `(B, T)`, returns scores `(B, T, 4)`, one for each of NOUGHTS.
        part: the numbers, one at least.

    Raises:
        ValueError: if there are none.
    """
    if not len(part.number):
        raise ValueError("part holds no numbers: no share of them is read")
    found = model.predict_on_batch(part.tokens).argmax(axis=-1)
    return float(np.mean(read(part.tokens, found) == part.number))
