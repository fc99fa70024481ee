"""Pairs of handwritten digits with labels built to be redundant, unique or synergistic.

The pictures are scikit-learn's digits (see `attnfuse.data.digits`); a pair holds two *modalities*:
the picture of digit a and the picture of digit b.

| kind | the second picture | label | who knows it |
|---|---|---|---|
| redundant | shows the same digit, written by someone else | a | either modality |
| unique | shows any digit | a | the first modality only |
| synergistic | shows any digit | (a + b) mod 10 | neither alone, only both together |

Every digit (redundant) or every one of the 100 pairs of digits (the others) occurs equally often.
Terms: Williams & Beer 2010, "Nonnegative decomposition of multivariate information".
"""

from dataclasses import dataclass

import numpy as np

from attnfuse.settings import quick

KINDS = ("redundant", "unique", "synergistic")


@dataclass(frozen=True)
class Pairs:
    """Training and test pairs; `*_a` and `*_b` are float32 `(B, 64)` pictures from 0 to 1."""

    train_a: np.ndarray
    train_b: np.ndarray
    train_label: np.ndarray
    test_a: np.ndarray
    test_b: np.ndarray
    test_label: np.ndarray


def label_of(kind: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The label of digits a and b.

    >>> label_of("synergistic", np.array([7]), np.array([5]))
    array([2])

    Raises:
        ValueError: if `kind` is unknown, or a and b differ in shape.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        raise ValueError(f"a has shape {a.shape}, b has shape {b.shape}")
    return (a + b) % 10 if kind == "synergistic" else a


def load(kind: str, seed: int = 0, train: int = 4000, test: int = 1000) -> Pairs:
    """Balanced pairs; the pictures of the test pairs never occur in training.

    Args:
        kind: one of `KINDS`.
        seed: which pictures are paired.
        train, test: numbers of pairs, multiples of 100.

    Raises:
        ValueError: if `kind` is unknown, or a number of pairs is no multiple of 100.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    if train % 100 or test % 100:
        raise ValueError(f"train and test must be multiples of 100, got {train} and {test}")
    from sklearn.datasets import load_digits

    pictures, digits = load_digits(return_X_y=True)
    pictures = (pictures / 16).astype(np.float32)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(digits))
    parts = []
    for rows, size in ((shuffled[:1300], train), (shuffled[1300:], test)):
        a, b = np.divmod(np.arange(size // (8 if quick() else 1) // 100 * 100) % 100, 10)
        if kind == "redundant":
            b = a
        choose = [rows[digits[rows] == digit] for digit in range(10)]
        image_a, image_b = (pictures[[rng.choice(choose[x]) for x in side]] for side in (a, b))
        parts += [image_a, image_b, label_of(kind, a, b)]
    return Pairs(*parts)
