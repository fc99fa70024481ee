"""Lesson 07's comparison: two models that pronounce, what each part is worth, and what a cache saves.

`python -m attnfuse.experiments.pronunciations` trains on the lesson's data with the lesson's settings, three
seeds each: the lesson's two models; the Transformer without warm-up, without label smoothing, without
positions, and with its norms after the sums, with and without warm-up; and lesson 06's model without
attention. About twenty minutes on two calm cores. With `--save` the rows go into `pronunciations.json`
beside this file, which the lesson reads.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from attnfuse import models, saved_rows, settings, transformer
from attnfuse.data import spelling
from attnfuse.layers import serialisable
from attnfuse.settings import quiet

with quiet():
    import keras
    from keras import ops

SAVED = Path(__file__).with_suffix(".json")
PLAIN = {"width": 64, "heads": 2, "depth": 2, "hidden": 256}
RECURRENT = {"width": 128}
RUNS = [
    # name, kind, options of the model, options of the training
    ("Transformer", "transformer", {}, {}),
    ("GRUs + attention", "recurrent", {"attention": "multiplicative"}, {}),
    ("GRUs, no attention", "recurrent", {"attention": None}, {}),
    ("no warm-up", "transformer", {}, {"warm_up": 0.0}),
    ("no smoothing", "transformer", {}, {"smoothing": 0.0}),
    ("no positions", "transformer", {"positions": False}, {}),
    ("norm after", "norm after", {}, {}),
    ("norm after, no warm-up", "norm after", {}, {"warm_up": 0.0}),
]


@serialisable
class NormAfter(transformer.Transformer):
    """The same parts, each normalised *after* it was added, x ← norm(x + part(x)), as in Vaswani et al. 2017."""

    def build(self, shapes):
        for norm in self.norms:  # not used: the last part of each stack is normalised already
            norm.build((None, self.width))
            norm.trainable = False

    def encode(self, source, training=None):
        source = ops.convert_to_tensor(source)
        mask = ops.not_equal(source, transformer.PAD)
        x = self.embed(self.embed_letter, source)
        for layer in self.encoder:
            x = layer.norms[0](x + layer.look_around(x, x, mask=mask[:, None]))
            x = layer.norms[1](x + layer.think(x))
        return transformer.Memory(x, mask)

    def decode(self, decoder_input, memory, training=None):
        x, weights = self.embed(self.embed_token, decoder_input), []
        for layer in self.decoder:
            x = layer.norms[0](x + layer.look_back(x, x, causal=True))
            looks, found = layer.look_at_letters(
                x, memory.states, mask=memory.mask[:, None], return_weights=True
            )
            x = layer.norms[1](x + looks)
            x = layer.norms[2](x + layer.think(x))
            weights.append(found)
        return self.choose(x), weights


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


def saved() -> dict[str, list[dict]]:
    """What `--save` wrote: name of the run → its seeds' rows."""
    return saved_rows.read(SAVED, [name for name, *_ in RUNS])


def save(row: dict) -> None:
    """Add a row to `SAVED`, in the place of the same name and seed."""
    saved_rows.add(SAVED, [name for name, *_ in RUNS], row)


def train(data, kind, model_options, options, seed):
    """Train one model; returns a function that writes, and the CPU seconds."""
    keras.utils.set_random_seed(seed)
    sizes = len(data.letters), len(data.phonemes)
    start = time.process_time()
    if kind == "recurrent":
        model = models.Seq2Seq(*sizes, **(RECURRENT | model_options))
        chosen = {"epochs": 8, "learning_rate": 4e-3, "batch_size": 128} | options
        models.fit_pairs(model, data.train, data.validation, **chosen)
    else:
        make = transformer.Transformer if kind == "transformer" else NormAfter
        model = make(*sizes, **(PLAIN | model_options))
        transformer.fit(model, data.train, **({"epochs": 7} | options))
    seconds = time.process_time() - start
    return (lambda source: models.free_running(model, source, 10)), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="the run of this name")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--save", action="store_true", help=f"write the rows into {SAVED.name}")
    chosen = parser.parse_args()
    data = spelling.load()
    print("name, seed, CPU s: phoneme and word error on validation | random test | stem test")
    for name, kind, model_options, options in RUNS:
        if chosen.only and chosen.only != name:
            continue
        for seed in chosen.seeds:
            write, seconds = train(data, kind, model_options, options, seed)
            row = {"name": name, "seed": seed, "seconds": round(seconds)}
            for part, words in zip(data._fields[1:4], data[1:4], strict=True):
                found = spelling.errors(write(words.source), words)
                row[part] = [round(found.phoneme, 4), round(found.word, 4)]
            rates = " | ".join("{:.4f} {:.4f}".format(*row[part]) for part in data._fields[1:4])
            print(f"{name:22} {seed} {seconds:5.0f}: {rates}", flush=True)
            if chosen.save:
                save(row)


if __name__ == "__main__":
    main()
