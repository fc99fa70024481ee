"""Ask the picture: six digits in six inks, and a question about one of them, such as "the red one".

Made from scikit-learn's digits (see `attnfuse.data.digits` for source and licence). A picture has two
rows of three tiles of 8×8 pixels; each tile holds a digit in an ink of its own. A question names one
ink; the answer is the digit written in it, and the tile where it stands is known. Digits may occur
several times. Each part has its own digits: no tile of a test picture occurs in a training picture.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from attnfuse import settings
from attnfuse.data import digits

INKS = {
    "red": (0.85, 0.1, 0.1),
    "orange": (1.0, 0.55, 0.0),
    "green": (0.1, 0.6, 0.2),
    "blue": (0.1, 0.3, 0.85),
    "purple": (0.55, 0.1, 0.65),
    "black": (0.1, 0.1, 0.1),
}
ROWS, COLUMNS, SIDE = 2, 3, digits.SIDE
TILES = ROWS * COLUMNS
PATCH = SIDE * SIDE * 3  # numbers in one tile
QUESTIONS = (("the", "INK", "one"), ("what", "is", "INK"), ("INK",))
VOCABULARY = ("", "the", "one", "what", "is", *INKS)  # word 0 is padding
WORDS = max(map(len, QUESTIONS))
SIZES = {"train": 6000, "validation": 1000, "test": 1000}


class Asked(NamedTuple):
    """Pictures, questions and answers.

    Attributes:
        image: float32 `(B, 16, 24, 3)`, from 0 (black) to 1 (white).
        text: int32 `(B, 3)`, word numbers; 0 where a question has fewer words.
        label: int64 `(B,)`, the digit that is asked for.
        tile: int64 `(B,)`, where it stands: 0 … 5, row by row.
        digit: int64 `(B, 6)`, the digit in each tile.
    """

    image: np.ndarray
    text: np.ndarray
    label: np.ndarray
    tile: np.ndarray
    digit: np.ndarray


class Tiles(NamedTuple):
    """Three parts made from different digits."""

    train: Asked
    validation: Asked
    test: Asked


def compose(images: np.ndarray, labels: np.ndarray, n: int, rng: np.random.Generator) -> Asked:
    """Make pictures and questions.

    Args:
        images: float `(pictures, 64)`, ink from 0 to 1; labels: int `(pictures,)`.
        n: how many to make.
        rng: decides digits, inks, tiles and questions.

    Raises:
        ValueError: if the shapes do not fit.
    """
    if images.ndim != 2 or images.shape[1] != SIDE**2 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"images must be (pictures, 64) and labels (pictures,), got {images.shape}, {labels.shape}"
        )
    rows = np.arange(n)
    pick = rng.integers(len(images), size=(n, TILES))
    ink = rng.permuted(np.tile(np.arange(TILES), (n, 1)), axis=1)  # every ink once
    tile = rng.integers(TILES, size=n)
    absorbs = 1 - np.array(list(INKS.values()))[ink]  # (n, 6, 3): what an ink takes from white
    drawn = images[pick].reshape(n, TILES, SIDE, SIDE, 1) * absorbs[:, :, None, None]
    paper = (1 - drawn).reshape(n, ROWS, COLUMNS, SIDE, SIDE, 3).swapaxes(2, 3)
    return Asked(
        paper.reshape(n, ROWS * SIDE, COLUMNS * SIDE, 3).astype(np.float32),
        questions(ink[rows, tile], rng.integers(len(QUESTIONS), size=n)),
        labels[pick[rows, tile]],
        tile,
        labels[pick],
    )


def questions(ink: np.ndarray, form: np.ndarray) -> np.ndarray:
    """Word numbers `(B, 3)` of questions for inks 0 … 5 in the forms 0 … 2 of `QUESTIONS`."""
    number = {word: i for i, word in enumerate(VOCABULARY)}
    texts = np.zeros((len(QUESTIONS), len(INKS), WORDS), np.int32)
    for f, question in enumerate(QUESTIONS):
        for i, name in enumerate(INKS):
            words = [number[name if word == "INK" else word] for word in question]
            texts[f, i, : len(words)] = words
    return texts[form, ink]


def patches(image: np.ndarray) -> np.ndarray:
    """Cut pictures `(B, 16, 24, 3)` into their six tiles, one row of numbers each: `(B, 6, 192)`."""
    B = len(image)
    apart = image.reshape(B, ROWS, SIDE, COLUMNS, SIDE, 3).swapaxes(2, 3)
    return apart.reshape(B, TILES, PATCH)


def words(text: np.ndarray) -> list[str]:
    """The words of one question `(3,)`, padding left out.

    >>> words(np.array([1, 5, 2]))
    ['the', 'red', 'one']
    """
    return [VOCABULARY[i] for i in text if i]


def best_without_question(asked: Asked) -> float:
    """How often one is right who reads all six digits and does not know which is asked for.

    The best guess is the commonest digit of the picture.
    """
    counts = np.apply_along_axis(np.bincount, 1, asked.digit, minlength=digits.CLASSES)
    return float(counts.max(axis=1).mean() / TILES)


@cache
def _load(seed: int, quick: bool) -> Tiles:
    split = digits.load(seed)
    rng = np.random.default_rng([seed, 10])
    parts = zip(SIZES.values(), zip(split[::2], split[1::2], strict=True), strict=True)
    return Tiles(*(compose(*part, size // 10 if quick else size, rng) for size, part in parts))


def load(seed: int = 0) -> Tiles:
    """6,000 questions for training, 1,000 for validation, 1,000 for the test.

    Args:
        seed: splits the digits and makes pictures and questions. Quick mode makes a tenth.

    Returns:
        `Tiles`, copies that may be changed.
    """
    parts = _load(seed, settings.quick())
    return Tiles(*(Asked(*(array.copy() for array in part)) for part in parts))
