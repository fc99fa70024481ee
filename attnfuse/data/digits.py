"""Handwritten digits: 1,797 pictures of 8×8 pixels, ink from 0 to 1.

Source: E. Alpaydin and C. Kaynak (1998), "Optical Recognition of Handwritten Digits", UCI Machine
Learning Repository, licence CC BY 4.0; shipped inside scikit-learn (BSD), read without a download.
The pictures are the test part of that set, written by 13 people. `load` splits them at random, so the
same hands wrote training and test pictures. That flatters: the nearest neighbour reads .97 of the
pictures when 130 that follow each other in the file are left out together, .99 when 130 random ones
are (`tests/test_digits.py` measures it).
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from attnfuse import settings

SIDE = 8
CLASSES = 10
TRAIN, VALIDATION = 1000, 300  # the other 497 are test pictures


class Digits(NamedTuple):
    """One split. Images are float64 `(pictures, 64)` rows of pixels, labels are int64 `(pictures,)`."""

    train_images: np.ndarray
    train_labels: np.ndarray
    validation_images: np.ndarray
    validation_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


@cache
def _everything() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return images / 16, labels.astype(np.int64)


def load(seed: int = 0) -> Digits:
    """Split the pictures into 1,000 for training, 300 for validation and 497 for the test.

    Args:
        seed: the split; another seed gives another one. Quick mode keeps the first 100, 60 and 100.

    Returns:
        `Digits`: every picture is in one part only.
    """
    images, labels = _everything()
    order = np.random.default_rng(seed).permutation(len(images))
    parts = np.split(order, [TRAIN, TRAIN + VALIDATION])
    if settings.quick():
        parts = [part[:size] for part, size in zip(parts, (100, 60, 100), strict=True)]
    return Digits(*(array[part] for part in parts for array in (images, labels)))


def one_hot(labels: np.ndarray) -> np.ndarray:
    """Turn labels `(...)` into rows `(..., 10)` with a single 1 at the label.

    Raises:
        ValueError: if a label is not one of 0 … 9.
    """
    labels = np.asarray(labels)
    if not np.isin(labels, np.arange(CLASSES)).all():
        raise ValueError(f"labels must be whole numbers from 0 to {CLASSES - 1}")
    return np.eye(CLASSES)[labels.astype(int)]
