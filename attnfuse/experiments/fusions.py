"""Lesson 09's comparison: ways to fuse on emoji, beside each modality alone, and on pairs of digits.

`python -m attnfuse.experiments.fusions [seeds]` prints both tables with more seeds: 3 for the digits,
`seeds` (5) for the emoji. A few minutes on two cores.
"""

import sys
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from attnfuse.data import digit_pairs, emoji
from attnfuse.data.emoji import UNKNOWN
from attnfuse.fusion import (
    FUSIONS,
    HEADS,
    WIDTH,
    LowRankBilinear,
    Sum,
    accuracy,
    all_pairs,
    emap,
    fusion_model,
    head,
    image_encoder,
    log_softmax,
    outputs,
    paired_interval,
    text_encoder,
)
from attnfuse.settings import quiet
from attnfuse.training import announce, fit_small

with quiet():
    import keras

EPOCHS = {"image": 25, "text": 25, "heads": 20, "together": 25, "early": 15}
EARLY = {  # early fusion, and the same network with one modality
    "early": ("image", "text"),
    "early, picture only": ("image",),
    "early, words only": ("text",),
}
PARTS = ("train", "validation", "test")
PAIR_MODELS = (
    "picture a alone",
    "picture b alone",
    "concatenation + linear",
    "sum + ReLU",
    "low rank + linear",
)


# ------------------------------------------------------------------ emoji


@dataclass
class Encoders:
    """Two trained encoders of one seed, their features and each modality's own logits.

    Attributes:
        features: part name → `[image (B, D), text (B, D)]`.
        image_logits, text_logits: part name → `(B, C)`, each modality alone.
    """

    features: dict = field(default_factory=lambda: {part: [] for part in PARTS})
    image_logits: dict = field(default_factory=dict)
    text_logits: dict = field(default_factory=dict)


def new_encoder(modality: str, data):
    """A fresh encoder for the pictures or the words of `data`."""
    if modality == "image":
        return image_encoder(data.train.image.shape[1], WIDTH)
    return text_encoder(data.train.text.shape[1], len(data.vocabulary) + 2, WIDTH)


def train_encoders(data, seeds) -> list[Encoders]:
    """Train one encoder per modality and seed, each alone with one dense layer on top.

    Args:
        data: the emoji.
        seeds: the seeds; one pair of encoders each.

    Returns:
        An `Encoders` per seed, with the features of all three parts.
    """
    trained = {seed: Encoders() for seed in seeds}
    both, done = product(seeds, ("image", "text")), f"{2 * len(trained)} encoders trained"
    for seed, modality in announce(both, "seed {}: the {} encoder …", done):
        keras.utils.set_random_seed(seed)
        encoder = new_encoder(modality, data)
        choose, drop = keras.layers.Dense(len(data.classes)), keras.layers.Dropout(0.3)
        model = keras.Model(encoder.input, choose(drop(encoder.output)))
        x, label = getattr(data.train, modality), data.train.label
        fit_small(model, x, label, EPOCHS[modality], seed)
        for part in PARTS:
            x = getattr(getattr(data, part), modality)
            trained[seed].features[part].append(outputs(encoder, x))
            getattr(trained[seed], f"{modality}_logits")[part] = outputs(model, x)
    return list(trained.values())


def train_heads(data, encoders: list[Encoders], fusions=tuple(FUSIONS), heads=HEADS) -> dict:
    """Train every fusion with every head on the cached features of every seed.

    Returns:
        `(fusion, head)` → list of models, one per seed.
    """
    models = {pair: [] for pair in product(fusions, heads)}
    done = f"{len(models) * len(encoders)} heads trained"
    for fused, kind in announce(models, "{} + {} head …", done):
        for seed, encoded in enumerate(encoders):
            keras.utils.set_random_seed(seed)
            model = fusion_model(fused, kind, len(data.classes))
            x, label = encoded.features["train"], data.train.label
            fit_small(model, x, label, EPOCHS["heads"], seed, batch_size=128)
            models[fused, kind].append(model)
    return models


def train_together(data, seeds, epochs: int = EPOCHS["together"]) -> list[keras.Model]:
    """Train both encoders, concatenation and a ReLU head in one go, from pictures and words to logits."""
    models, done = [], f"{len(seeds)} models trained end to end"
    text = "seed {}: both encoders and the fusion together …"
    for (seed,) in announce(zip(seeds, strict=True), text, done):
        keras.utils.set_random_seed(seed)
        image, words = new_encoder("image", data), new_encoder("text", data)
        fused = fusion_model("concatenation", "ReLU", len(data.classes))
        logits = fused([image.output, words.output])
        model = keras.Model([image.input, words.input], logits)
        fit_small(model, [data.train.image, data.train.text], data.train.label, epochs, seed)
        models.append(model)
    return models


def raw(data, part: str, modalities=EARLY["early"]) -> np.ndarray:
    """Early fusion's input: all pixels and a 0 or 1 for every known word, in one row, or one of both."""
    rows = getattr(data, part)
    words = np.zeros((len(rows), len(data.vocabulary) + 2), np.float32)
    np.put_along_axis(words, rows.text, 1.0, axis=1)
    both = {"image": 1 - rows.image.reshape(len(rows), -1), "text": words[:, UNKNOWN + 1 :]}
    return np.concatenate([both[modality] for modality in modalities], axis=1)


def train_early(data, seeds) -> dict[str, list[keras.Model]]:
    """Early fusion, and each modality alone: one hidden ReLU layer on the raw inputs side by side.

    Returns:
        a name of `EARLY` → one model for each seed.
    """
    models = {name: [] for name in EARLY}
    for name, seed in announce(
        list(product(EARLY, seeds)), "{}, seed {} …", "early fusion trained"
    ):
        x = raw(data, "train", EARLY[name])
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((x.shape[1],))
        hidden = keras.layers.Dense(WIDTH, activation="relu")(keras.layers.Dropout(0.3)(inputs))
        dropped = keras.layers.Dropout(0.3)(hidden)
        model = keras.Model(inputs, head(dropped, "linear", len(data.classes)))
        fit_small(model, x, data.train.label, EPOCHS["early"], seed, rate=1e-3)
        models[name].append(model)
    return models


def test_results(data, encoders, heads, together, early) -> dict:
    """Every model's answers on the test part.

    Returns:
        name → `(logits (seeds, B, C), number of parameters behind the encoders)`; for early fusion and
        the models trained together the number is that of the
        whole model.
    """
    B, C = len(data.test), len(data.classes)
    majority = np.zeros((len(encoders), B, C))
    majority[:, :, np.bincount(data.train.label, minlength=C).argmax()] = 1.0
    image = np.stack([one.image_logits["test"] for one in encoders])
    text = np.stack([one.text_logits["test"] for one in encoders])
    alone, both = (WIDTH + 1) * C, [data.test.image, data.test.text]
    results = {
        "largest class": (majority, 0),
        "image alone": (image, alone),
        "text alone": (text, alone),
    }
    for name, models in early.items():
        row = raw(data, "test", EARLY[name])
        logits = np.stack([outputs(model, row) for model in models])
        results[name] = (logits, models[0].count_params())
    results["late"] = (log_softmax(image) + log_softmax(text), 0)
    for (fused, kind), models in heads.items():
        pairs = zip(models, encoders, strict=True)
        logits = np.stack([outputs(model, one.features["test"]) for model, one in pairs])
        results[f"{fused} + {kind}"] = (logits, models[0].count_params())
    logits = np.stack([outputs(model, both) for model in together])
    results["trained together"] = (logits, together[0].count_params())
    return results


def emap_results(data, encoders, heads) -> dict:
    """Which test items a fusion gets right, as it is and reduced to f(image) + g(text).

    Returns:
        name → `(right, right after EMAP)`, both bool `(seeds, B)`.
    """
    kept = {}
    for (fused, kind), models in heads.items():
        pairs = zip(models, encoders, strict=True)
        grids = [all_pairs(model, *one.features["test"]) for model, one in pairs]
        kept[f"{fused} + {kind}"] = tuple(
            np.stack([np.argmax(logits(grid), axis=-1) == data.test.label for grid in grids])
            for logits in (lambda grid: np.einsum("bbc->bc", grid), emap)
        )
    return kept


# ------------------------------------------------------------------ pairs of digits


def pair_model(name: str, width: int = WIDTH, hidden: int = 128, rank: int = 2) -> keras.Model:
    """Pictures `[a (B, 64), b (B, 64)]` → logits `(B, 10)`; one ReLU layer encodes each picture."""
    inputs = [keras.Input((64,), name="picture_a"), keras.Input((64,), name="picture_b")]
    a, b = (keras.layers.Dense(width, activation="relu")(x) for x in inputs)
    if name == "sum + ReLU":
        fused = keras.layers.Dense(hidden, activation="relu")(Sum(width)([a, b]))
    elif name == "low rank + linear":
        fused = LowRankBilinear(width, rank)([a, b])
    else:
        alone = {"picture a alone": a, "picture b alone": b}
        fused = alone[name] if name in alone else keras.layers.Concatenate()([a, b])
    return keras.Model(inputs, keras.layers.Dense(10)(fused))


def train_pairs(kinds, seeds, names=PAIR_MODELS, epochs: int = 20) -> dict:
    """Train every model on every kind of label, encoders and fusion together.

    Returns:
        `(kind, name)` → list over the seeds of `(model, accuracy on the test pairs)`.
    """
    result = {pair: [] for pair in product(kinds, names)}
    done = f"{len(result) * len(seeds)} models trained"
    for kind, name in announce(result, "{}: {} …", done):
        for seed in seeds:
            pairs = digit_pairs.load(kind, seed)
            keras.utils.set_random_seed(seed)
            model = pair_model(name)
            x, label = [pairs.train_a, pairs.train_b], pairs.train_label
            fit_small(model, x, label, epochs, seed, rate=6e-3, batch_size=250)
            logits = outputs(model, [pairs.test_a, pairs.test_b])
            result[kind, name].append((model, accuracy(logits, pairs.test_label)))
    return result


# ------------------------------------------------------------------ the longer tables


def print_pairs(seeds) -> None:
    trained = train_pairs(digit_pairs.KINDS, seeds)
    print(f"\naccuracy on 1,000 test pairs, mean and range over {len(seeds)} seeds")
    print(f"{'':24s}" + "".join(f"{kind:>22s}" for kind in digit_pairs.KINDS))
    for name in PAIR_MODELS:
        print(f"{name:24s}", end="")
        for kind in digit_pairs.KINDS:
            right = [share for _, share in trained[kind, name]]
            print(f"  {np.mean(right):.3f} [{min(right):.3f}, {max(right):.3f}]", end="")
        print()


def print_fusions(seeds) -> None:
    data = emoji.load()
    encoders = train_encoders(data, seeds)
    heads = train_heads(data, encoders)
    together, early = train_together(data, seeds), train_early(data, seeds)
    results = test_results(data, encoders, heads, together, early)
    longer = train_together(data, seeds, 2 * EPOCHS["together"])
    logits = np.stack([outputs(model, [data.test.image, data.test.text]) for model in longer])
    results["together, twice as long"] = (logits, longer[0].count_params())
    right = {name: np.argmax(z, axis=-1) == data.test.label for name, (z, _) in results.items()}
    kept = emap_results(data, encoders, heads)
    reference = "concatenation + ReLU"
    print(f"\n{len(data.test)} test emoji, {len(seeds)} seeds; difference to {reference}")
    for name, (_, size) in results.items():
        low, mean, high = paired_interval(right[name], right[reference])
        projected = f"  EMAP {kept[name][1].mean():.3f}" if name in kept else ""
        print(
            f"{name:26s} {size:8,d}  {right[name].mean():.3f} ± {right[name].mean(axis=1).std():.3f} over seeds"
            f"  {mean:+.3f} [{low:+.3f}, {high:+.3f}]{projected}"
        )


def main() -> None:
    print_pairs(range(3))
    print_fusions(range(int(sys.argv[1]) if len(sys.argv) > 1 else 5))


if __name__ == "__main__":
    main()
