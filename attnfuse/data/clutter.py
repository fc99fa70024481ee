"""Digits in clutter: 24×24 scenes with one whole digit among pieces of others.

Made from scikit-learn's digits (see `attnfuse.data.digits` for source and licence). A scene holds one
whole digit of 8×8 pixels, anywhere, and six pieces of 5×5 pixels cut from other digits. A piece may
overlap another piece, but never the digit. The label is the whole digit's; its place, the *box*, is
known. Each part has its own digits: no picture of the test scenes, whole or in pieces, occurs in a
training scene. (The same hands wrote both.)
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from attnfuse import settings
from attnfuse.data import digits

SIDE = 24
PIECES, PIECE = 6, 5
SIZES = {"train": 3000, "validation": 600, "test": 1000}


class Scenes(NamedTuple):
    """Images float32 `(B, 24, 24, 1)`, 0 is paper and 1 is ink; labels int64 `(B,)`; boxes int64 `(B, 4)`.

    A box is (top, left, bottom, right) in pixels, bottom and right not included: rows top … bottom−1.
    """

    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray


class Clutter(NamedTuple):
    """Three parts made from different digits."""

    train: Scenes
    validation: Scenes
    test: Scenes


def compose(
    images: np.ndarray,
    labels: np.ndarray,
    scenes: int,
    rng: np.random.Generator,
    pieces: int = PIECES,
) -> Scenes:
    """Put digits and pieces of other digits on empty paper.

    Args:
        images: float `(pictures, 64)`, at least two; every picture is used equally often as the whole digit.
        labels: int `(pictures,)`.
        scenes: how many to make.
        rng: decides places and pieces.
        pieces: how many in each scene.

    Returns:
        `Scenes`.

    Raises:
        ValueError: if the shapes do not fit.
    """
    if images.ndim != 2 or images.shape[1] != digits.SIDE**2 or len(images) < 2:
        raise ValueError(
            f"images must be (pictures, 64) with two pictures or more, got {images.shape}"
        )
    if labels.shape != images.shape[:1]:
        raise ValueError(f"labels must be (pictures,) = ({len(images)},), got {labels.shape}")
    pictures = images.reshape(-1, digits.SIDE, digits.SIDE)
    paper = np.zeros((scenes, SIDE, SIDE, 1), np.float32)
    boxes = np.zeros((scenes, 4), np.int64)
    whole = np.resize(rng.permutation(len(pictures)), scenes)
    for scene, box, index in zip(paper[..., 0], boxes, whole, strict=True):
        top, left = rng.integers(0, SIDE - digits.SIDE + 1, 2)
        box[:] = top, left, top + digits.SIDE, left + digits.SIDE
        for _ in range(pieces):
            spot = _free(scene, box, rng)
            other = (index + rng.integers(1, len(pictures))) % len(pictures)
            i, j = rng.integers(0, digits.SIDE - PIECE + 1, 2)
            spot[:] = np.maximum(spot, pictures[other, i : i + PIECE, j : j + PIECE])
        scene[top : box[2], left : box[3]] = pictures[index]
    return Scenes(paper, labels[whole], boxes)


def _free(scene, box, rng):
    """A random 5×5 part of the scene that does not touch the box."""
    while True:
        i, j = rng.integers(0, SIDE - PIECE + 1, 2)
        if i + PIECE <= box[0] or i >= box[2] or j + PIECE <= box[1] or j >= box[3]:
            return scene[i : i + PIECE, j : j + PIECE]


@cache
def _load(seed: int, quick: bool) -> Clutter:
    split = digits.load(seed)
    rng = np.random.default_rng([seed, 8])
    parts = zip(SIZES.values(), zip(split[::2], split[1::2], strict=True), strict=True)
    return Clutter(*(compose(*part, size // 10 if quick else size, rng) for size, part in parts))


def load(seed: int = 0) -> Clutter:
    """3,000 scenes for training, 600 for validation, 1,000 for the test.

    Args:
        seed: splits the digits and makes the scenes; the same seed gives the same scenes. Quick mode
            makes a tenth of them.

    Returns:
        `Clutter`, copies that may be changed.
    """
    parts = _load(seed, settings.quick())
    return Clutter(*(Scenes(*(array.copy() for array in part)) for part in parts))
