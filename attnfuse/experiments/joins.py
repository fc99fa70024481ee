"""Lesson 10's comparison: fusions that answer a question about a picture, and four ways to join the two.

`python -m attnfuse.experiments.joins --save` trains every model with three seeds and the lesson's settings,
measures it on the test questions, and writes the rows into `joins.json` beside this file, which the lesson
reads. About fifteen minutes on two calm cores.

Learning rates and passes were chosen on the validation questions; the hidden width of each joined model
brings it near 135,000 parameters, and its passes bring its training near equal seconds.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from attnfuse import plot, saved_rows, settings, training
from attnfuse.cross import HIDDEN, AskModel, JoinModel
from attnfuse.data import tiles
from attnfuse.data.tiles import Asked, Tiles
from attnfuse.settings import quiet

with quiet():
    import keras

SAVED = Path(__file__).with_suffix(".json")
JOIN_RATE, BATCH = 2e-3, 64
ASKS = {  # name of the run: kind, width and hidden width, learning rate, passes
    "question": ("question", 64, 128, 1e-3, 10),
    "picture": ("picture", 64, 128, 1e-3, 40),
    "concatenation": ("concatenation", 64, 128, 1e-3, 40),
    "product": ("product", 64, 128, 1e-3, 40),
    "attention": ("attention", 64, 128, 2e-3, 10),
    "concatenation, wider": ("concatenation", 256, 256, 1e-3, 40),
    "product, wider": ("product", 256, 256, 1e-3, 40),
    "attention, longer": ("attention", 64, 128, 1e-3, 40),
}
JOINS = {  # name of the run: kind, hidden width, passes, further arguments
    "prefix": ("prefix", 258, 8, {}),
    "one sequence": ("one sequence", 258, 8, {}),
    "gated": ("gated", HIDDEN, 7, {}),
    "gated, open at the start": ("gated", HIDDEN, 7, {"gate": 1.0}),
    "2 latents": ("latents", HIDDEN, 7, {"latents": 2}),
    "8 latents": ("latents", HIDDEN, 7, {"latents": 8}),
}
LONGER = {  # three times as many passes
    "gated, longer": ("gated", HIDDEN, 21, {}),
    "2 latents, longer": ("latents", HIDDEN, 21, {"latents": 2}),
    "8 latents, longer": ("latents", HIDDEN, 21, {"latents": 8}),
}


def inputs(part: Asked) -> list[np.ndarray]:
    """What the models are called with: patches `(B, 6, 192)` and text `(B, 3)`."""
    return [tiles.patches(part.image), part.text]


def accuracy(model, part: Asked) -> float:
    """The share of right answers."""
    logits = np.asarray(model.predict_on_batch(inputs(part)))
    return float((logits.argmax(axis=-1) == part.label).mean())


def pointing(weights: np.ndarray, part: Asked) -> float:
    """How often the ink's word looks most at the tile that is asked for; weights `(B, 3, 6)`."""
    ink = np.argmax(part.text >= tiles.VOCABULARY.index("red"), axis=1)
    return float((weights[np.arange(len(ink)), ink].argmax(axis=-1) == part.tile).mean())


def draw_question(part: Asked, i: int, weights: np.ndarray):
    """Question i: the picture, and beside it the weights `(words, 6)` of its words; the figure."""
    words, names = tiles.words(part.text[i]), [f"tile {s}" for s in range(tiles.TILES)]
    fig, (left, right) = plot.figure(2, size=(7, 3), width_ratios=[1, 1.4])
    left.imshow(part.image[i])
    left.set_title(f"tiles 0 1 2 / 3 4 5; answer {part.label[i]}", fontsize="medium")
    left.set_axis_off()
    ink = next(word for word in words if word in tiles.INKS)
    title = f"'{ink}' looks at tile {weights[words.index(ink)].argmax()}"
    plot.attention_map(weights[: len(words)], words, names, title, ax=right)
    right.set(xlabel="patch (key)", ylabel="word (query)")
    right.tick_params(axis="x", rotation=45)
    return fig


def train(data: Tiles, model, rate: float, epochs: int, name: str) -> dict[str, list[float]]:
    """Train a model on the training questions; its learning rate rises, then falls along a cosine."""
    x, y = inputs(data.train), data.train.label
    steps = -(-len(y) // BATCH) * settings.epochs(epochs)
    training.compile_for_logits(model, steps, rate, steps // 10)
    return training.fit(model, x, y, epochs=epochs, batch_size=BATCH, name=name)


def train_asking(data: Tiles, name: str, seed: int = 0) -> AskModel:
    """Train one of `ASKS`."""
    kind, width, hidden, rate, epochs = ASKS[name]
    keras.utils.set_random_seed(seed)
    model = AskModel(kind, tiles.PATCH, len(tiles.VOCABULARY), width=width, hidden=hidden)
    train(data, model, rate, epochs, name)
    return model


def train_joined(data: Tiles, name: str, seed: int = 0) -> JoinModel:
    """Train one of `JOINS` or `LONGER`."""
    kind, hidden, epochs, more = (JOINS | LONGER)[name]
    keras.utils.set_random_seed(seed)
    model = JoinModel(kind, tiles.PATCH, len(tiles.VOCABULARY), hidden=hidden, **more)
    train(data, model, JOIN_RATE, epochs, name)
    return model


def saved() -> dict[str, list[dict]]:
    """What `--save` wrote: name of the run → its seeds' rows."""
    return saved_rows.read(SAVED, NAMES)


NAMES = (*ASKS, *JOINS, *LONGER)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=NAMES, help="the runs of these names")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--save", action="store_true", help=f"write the rows into {SAVED.name}")
    chosen = parser.parse_args()
    data = tiles.load()
    print(f"no question, all digits read: {tiles.best_without_question(data.test):.3f}")
    for name in chosen.only:
        for seed in range(chosen.seeds):
            start = time.process_time()
            asks = name in ASKS
            model = (train_asking if asks else train_joined)(data, name, seed)
            row = {"name": name, "seed": seed, "seconds": round(time.process_time() - start, 1)}
            row |= {
                "parameters": model.count_params(),
                "validation": accuracy(model, data.validation),
            }
            row["test"] = accuracy(model, data.test)
            if "attention" in name:
                row["points"] = pointing(model.looks(*inputs(data.test)), data.test)
            print(row, flush=True)
            if chosen.save:
                saved_rows.add(SAVED, NAMES, row)


if __name__ == "__main__":
    main()
