"""Lesson 07's comparison: two models that pronounce, what each part is worth, and what a cache saves.

`python -m attnfuse.experiments.pronunciations` trains on the lesson's data with the lesson's settings: both
models with three seeds, then one seed each of the Transformer without warm-up, without label smoothing and
without positions, and of lesson 06's model without attention. About ten minutes on two calm cores.
"""

import argparse
import time

import numpy as np

from attnfuse import models, settings, transformer
from attnfuse.data import spelling
from attnfuse.settings import quiet

with quiet():
    import keras

PLAIN = {"width": 64, "heads": 2, "depth": 2, "hidden": 256}
RECURRENT = {"width": 128}
RUNS = [
    # name, kind, options of the model, options of the training, seeds
    ("Transformer", "transformer", {}, {}, 3),
    ("GRUs + attention", "recurrent", {"attention": "multiplicative"}, {}, 3),
    ("GRUs, no attention", "recurrent", {"attention": None, "reverse": True}, {}, 1),
    ("no warm-up", "transformer", {}, {"warm_up": 0.0}, 1),
    ("no smoothing", "transformer", {}, {"smoothing": 0.0}, 1),
    ("no positions", "transformer", {"positions": False}, {}, 1),
]


def seconds_to_write(
    model: transformer.Transformer, source: np.ndarray, longest: int = 10
) -> dict[str, float]:
    """Processor seconds to write `longest` tokens for every row, without and with a cache.

    The two take turns, three times, and the best of each counts: a busy machine slows both alike.
    """
    seconds: dict[str, list[float]] = {"anew": [], "cached": []}
    for _ in settings.seeds(3):
        for name, times in seconds.items():
            start = time.process_time()
            transformer.greedy(model, source, longest, name == "cached")
            times.append(time.process_time() - start)
    return {name: min(times) for name, times in seconds.items()}


def train(data, kind, model_options, options, seed):
    """Train one model; returns a function that writes, and the CPU seconds."""
    keras.utils.set_random_seed(seed)
    sizes = len(data.letters), len(data.phonemes)
    start = time.process_time()
    if kind == "transformer":
        model = transformer.Transformer(*sizes, **(PLAIN | model_options))
        transformer.fit(model, data.train, **({"epochs": 7} | options))
        seconds = time.process_time() - start
        return (lambda source: transformer.greedy(model, source)), seconds
    model = models.Seq2Seq(*sizes, **(RECURRENT | model_options))
    chosen = {"epochs": 8, "learning_rate": 4e-3, "batch_size": 128} | options
    models.fit_pairs(model, data.train, data.validation, **chosen)
    seconds = time.process_time() - start
    return (lambda source: models.free_running(model, source, 10)), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="names that contain this text")
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    data = spelling.load()
    related = spelling.has_relatives(data.test.word, data.train.word)
    print("name, seed, CPU s: phoneme and word error on validation | random test | stem test")
    for name, kind, model_options, options, seeds in RUNS:
        if chosen.only and chosen.only not in name:
            continue
        for seed in range(min(seeds, chosen.seeds)):
            write, seconds = train(data, kind, model_options, options, seed)
            found = [spelling.errors(write(part.source), part) for part in data[1:4]]
            row = " | ".join(f"{one.phoneme:.4f} {one.word:.4f}" for one in found)
            test = found[1]
            apart = [
                test.edits[some].sum() / test.length[some].sum() for some in (related, ~related)
            ]
            kin = f"with and without relatives {apart[0]:.4f} {apart[1]:.4f}"
            print(f"{name:20} {seed} {seconds:5.0f}: {row} | {kin}", flush=True)


if __name__ == "__main__":
    main()
