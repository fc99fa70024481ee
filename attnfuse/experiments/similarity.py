"""Lesson 03's comparison: attention that learns which digits are alike, beside what learns nothing.

`python -m attnfuse.experiments.similarity` prints the table of ten splits (about fifteen seconds).
"""

from typing import NamedTuple

import numpy as np

from attnfuse import attention, gradients, settings
from attnfuse.data import digits
from attnfuse.data.digits import Digits

RATE, KEPT, BATCH, STEPS, EVERY = 0.3, 0.9, 200, 100, 10
TEMPERATURES = (0.003, 0.01, 0.03, 0.1, 0.3, 1, 2, 4, 8)
STARTS = {"raw pixels": (8, 2, 0.3), "unit length": (0.01,)}

Matrices = list[np.ndarray]  # two of (64, 64): for the queries, for the keys


class Comparison(NamedTuple):
    """What `compare` measured.

    `tests`: way → test accuracy of each split. `curves`: start → validation accuracy every 10 steps, a
    row for each split. `kept`: (seed, way) → the matrices that did best on that split's validation part.
    """

    tests: dict[str, list[float]]
    curves: dict[str, list[list[float]]]
    kept: dict[tuple[int, str], Matrices]


def start(tau: float) -> Matrices:
    """Two matrices that make attention the dot product at temperature tau: √(8/τ)² / √64 = 1/τ."""
    return [(8 / tau) ** 0.5 * np.eye(64, dtype="float32") for _ in range(2)]


def prepared(part: Digits, unit: bool = False) -> Digits:
    """The same split in float32; `unit` gives every picture the length 1."""

    def prepare(images):
        length = np.linalg.norm(images, axis=1, keepdims=True) if unit else 1
        return (images / length).astype("float32")

    images = {name: prepare(x) for name, x in part._asdict().items() if name.endswith("images")}
    return part._replace(**images)


def given(part: Digits, W: Matrices, asked: np.ndarray) -> dict[str, np.ndarray]:
    """Query, key and value when these pictures ask all training pictures for their digit."""
    value = digits.one_hot(part.train_labels).astype("float32")
    return {"query": asked @ W[0], "key": part.train_images @ W[1], "value": value}


def accuracy(part: Digits, W: Matrices, images: np.ndarray, labels: np.ndarray) -> float:
    """How many of the pictures give their largest share to the right digit."""
    context, _ = attention.scaled_dot_product_attention(**given(part, W, images))
    return np.mean(context.argmax(axis=-1) == labels)


def slopes(part: Digits, W: Matrices, batch: np.ndarray) -> Matrices:
    """Slopes of the log loss for both matrices, on a batch of training pictures (their places)."""
    asked, memory = part.train_images[batch], part.train_images
    arrays = given(part, W, asked)
    mask = batch[:, None] != np.arange(len(memory))  # not its own key
    context, _ = attention.scaled_dot_product_attention(**arrays, mask=mask)
    _, d_context = gradients.log_loss(context, part.train_labels[batch])
    d_query, d_key, _ = gradients.attention_gradients(**arrays, d_context=d_context, mask=mask)
    return [asked.T @ d_query, memory.T @ d_key]


def train(
    part: Digits, tau: float, steps: int = STEPS
) -> tuple[list[float], tuple[float, Matrices]]:
    """Walk downhill with momentum from temperature tau.

    Returns:
        `(curve, (best, W))`: validation accuracy every 10 steps, its best value and the matrices then.
    """
    draw, size = np.random.default_rng(0), len(part.train_images)
    W, speed, curve = start(tau), [0, 0], []
    best = (-1, W)
    for step in range(settings.epochs(steps) + 1):
        if step % EVERY == 0:
            curve.append(accuracy(part, W, part.validation_images, part.validation_labels))
            best = max(best, (curve[-1], W), key=lambda pair: pair[0])
        batch = draw.choice(size, min(BATCH, size), replace=False)
        speed = [KEPT * v + d for v, d in zip(speed, slopes(part, W, batch), strict=True)]
        W = [w - RATE * v for w, v in zip(W, speed, strict=True)]
    return curve, best


def compare(splits: int = 10) -> Comparison:
    """Every way on every split: temperatures and starts are chosen on that split's validation pictures.

    Args:
        splits: how many (one in quick mode).
    """
    tests, curves, kept = {}, {}, {}
    for seed in settings.seeds(splits):
        raw = digits.load(seed)
        for name, starts in STARTS.items():
            part = prepared(raw, unit=name == "unit length")
            fixed = [train(part, tau, steps=0) for tau in TEMPERATURES]
            learnt = [train(part, tau) for tau in starts]
            for way, runs in ((name, fixed), (f"{name}, learnt", learnt)):
                _, W = max((best for _, best in runs), key=lambda pair: pair[0])
                right = accuracy(part, W, part.test_images, part.test_labels)
                tests.setdefault(way, []).append(right)
                kept[seed, way] = W
            for tau, (curve, _) in zip(starts, learnt, strict=True):
                curves.setdefault(f"{name}, from τ = {tau}", []).append(curve)
        for way, seen in baselines(raw).items():
            tests.setdefault(way, []).append(np.mean(seen == raw.test_labels))
    return Comparison(tests, curves, kept)


def baselines(part: Digits) -> dict[str, np.ndarray]:
    """What three programs without attention say to the test pictures."""
    from sklearn.linear_model import LogisticRegression

    nearness = 2 * part.test_images @ part.train_images.T - np.square(part.train_images).sum(axis=1)
    fits = [LogisticRegression(C=c, max_iter=2000).fit(*part[:2]) for c in (0.1, 1, 10)]
    linear = max(fits, key=lambda fit: fit.score(*part[2:4]))
    return {
        "majority class": np.full(len(part.test_labels), np.bincount(part.train_labels).argmax()),
        "linear classifier": linear.predict(part.test_images),
        "nearest neighbour": part.train_labels[nearness.argmax(axis=1)],
    }


def rows(tests: dict[str, list[float]]) -> list[str]:
    """The table as lines, worst first: the mean, and each split."""
    ways = sorted(tests, key=lambda way: np.mean(tests[way]))
    return [
        f"{way:20s} {np.mean(tests[way]):.3f}   splits: {np.round(tests[way], 3)}" for way in ways
    ]


def main() -> None:
    print(*rows(compare().tests), sep="\n")


if __name__ == "__main__":
    main()
