"""Lesson 08, the longer table: every way to pool, three seeds, and what the encoder and more time change.

- `python tools/benchmark_08.py`: the table (about six minutes on two calm cores)
- `python tools/benchmark_08.py --settings`: learning rates, on the validation scenes only (three minutes)
- `python tools/benchmark_08.py --settings --plain`: the same without batch normalisation
"""

import statistics
import sys
import time

from attnfuse import vision
from attnfuse.data import clutter

RATES = (0.002, 0.004, 0.008, 0.016, 0.032)
PLAIN = {"average": 0.008, "max": 0.008, "query": 0.004}  # without normalisation: --plain
LONG = 3 * vision.EPOCHS
RUNS = [  # kind, epochs, batch normalisation
    *((kind, vision.EPOCHS, True) for kind in vision.NAMES),
    *((kind, LONG, True) for kind in ("average", "flatten", "query")),
    *((kind, LONG, False) for kind in PLAIN),
]


def train(data, kind, seed, epochs=vision.EPOCHS, normalise=True, rate=None):
    """A trained model and the seconds of CPU time it took."""
    vision.keras.utils.set_random_seed(seed)
    model = vision.SceneModel(kind, normalise=normalise)
    rate = rate or (vision.RATES.get(kind, vision.RATE) if normalise else PLAIN[kind])
    start = time.process_time()
    name = f"{kind}, seed {seed}"
    vision.fit_scenes(model, data.train, epochs=epochs, learning_rate=rate, name=name)
    return model, time.process_time() - start


def settings(data, normalise=True, seed=0) -> None:
    """Accuracy on the validation scenes for each learning rate, one seed."""
    print(f"{'validation':24}" + "".join(f"{rate:>8}" for rate in RATES))
    kinds, epochs = (vision.NAMES, vision.EPOCHS) if normalise else (PLAIN, LONG)
    for kind in kinds:
        models = [train(data, kind, seed, epochs, normalise, rate)[0] for rate in RATES]
        cells = "".join(f"{vision.accuracy(m, data.validation):8.3f}" for m in models)
        print(f"\n{vision.NAMES[kind]:24}{cells}", flush=True)


def row(data, kind, epochs, normalise, seeds) -> str:
    right, hits, seconds = [], [], []
    for seed in seeds:
        model, spent = train(data, kind, seed, epochs, normalise)
        seconds.append(spent)
        right.append(vision.accuracy(model, data.test))
        if vision.has_attention(kind):
            weights = vision.looks(model, data.test.images)
            hits.append(
                vision.points_at(weights, data.test.boxes, model.grid[1], vision.STRIDE).mean()
            )
    mean, half = vision.interval(right)
    name = vision.NAMES[kind] + ("" if normalise else ", plain")
    each, points = ("  ".join(f"{x:.3f}" for x in values) for values in (right, hits))
    return (
        f"{name:26}{epochs:6}{model.count_params():11}{statistics.mean(seconds):7.0f}   "
        f"{each}   {mean:.3f} ± {half:.3f}   {points}"
    )


def main(seeds=(0, 1, 2)) -> None:
    data = clutter.load()
    if "--settings" in sys.argv:
        settings(data, normalise="--plain" not in sys.argv)
        return
    rows = [row(data, *run, seeds) for run in RUNS]
    print(f"{'':26}{'epochs':>6}{'parameters':>11}{'CPU s':>7}   test accuracy, seeds {seeds}")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
