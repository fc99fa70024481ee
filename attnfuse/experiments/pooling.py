"""Lesson 08's comparison: every way to pool a picture's places, over seeds, and what each one rests on.

- `python -m attnfuse.experiments.pooling`: every way to pool, three seeds, and what the encoder and more
  time change (about six minutes on two calm cores)
- `… --settings`: learning rates, on the validation scenes only (three minutes)
- `… --settings --plain`: the same without batch normalisation
- `… --repair`: the second article's program with each attention, three seeds (a minute)
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterable

import numpy as np

from attnfuse import settings, training, vision
from attnfuse.data import clutter
from attnfuse.data.clutter import SIDE, Clutter, Scenes
from attnfuse.settings import quiet
from attnfuse.vision import CLASSES, NAMES, STRIDE, SceneModel

with quiet():
    import keras
    from keras import ops

RATE, EPOCHS, BATCH = 0.008, 4, 32
# Learning rates chosen on the validation scenes (`--settings`) where they are not RATE.
RATES = {"average": 0.016, "max": 0.016, "self": 0.004, "self+places": 0.004}
PLAIN = {"average": 0.008, "max": 0.008, "query": 0.004}  # without batch normalisation
TRIED = (0.002, 0.004, 0.008, 0.016, 0.032)
LONG = 3 * EPOCHS
RUNS = [  # kind, epochs, batch normalisation
    *((kind, EPOCHS, True) for kind in NAMES),
    *((kind, LONG, True) for kind in ("average", "flatten", "query")),
    *((kind, LONG, False) for kind in PLAIN),
]


def train(
    data: Clutter,
    kind: str,
    seed: int,
    *,
    epochs: int = EPOCHS,
    normalise: bool = True,
    rate: float | None = None,
) -> SceneModel:
    """Train one model on the training scenes; `rate` is its own best one if None."""
    keras.utils.set_random_seed(seed)
    model = SceneModel(kind, normalise=normalise)
    rate = rate or (RATES if normalise else PLAIN).get(kind, RATE)
    steps = -(-len(data.train.labels) // BATCH) * epochs
    training.compile_for_logits(model, steps, rate, steps // 10)
    options = {"epochs": epochs, "batch_size": BATCH, "name": f"{NAMES[kind]}, seed {seed}"}
    training.fit(model, data.train.images, data.train.labels, **options)
    return model


def train_all(data: Clutter, kinds: Iterable[str], seeds: int = 3) -> dict[str, list[SceneModel]]:
    """Train every kind with several seeds (one in quick mode) → kind → models."""
    return {kind: [train(data, kind, seed) for seed in settings.seeds(seeds)] for kind in kinds}


# -- the second article's program, repaired ------------------------------------------------------------------


def colleague(maps):
    """Each row of a map attends to itself: what Keras 3.15's `Attention()([maps, maps])` computes.

    Maps `(B, h, w, C)` → the same shape. (Keras 3.13 refuses maps.)
    """
    weights = ops.softmax(ops.matmul(maps, ops.transpose(maps, (0, 1, 3, 2))), axis=-1)
    return ops.matmul(weights, maps)


def repaired_program(data: Clutter, attend: Callable, seed: int, epochs: int = 10) -> keras.Model:
    """Train the second article's network with this attention over maps, a mean over places and a head."""
    keras.utils.set_random_seed(seed)
    image = x = keras.Input((SIDE, SIDE, 1))
    last = {"data_format": "channels_last"}
    for channels in (32, 64):
        x = keras.layers.Conv2D(channels, kernel_size=(3, 3), activation="relu", **last)(x)
        x = keras.layers.MaxPooling2D(pool_size=(2, 2), **last)(x)
    x = keras.layers.GlobalAveragePooling2D(**last)(attend(x))
    model = keras.Model(image, keras.layers.Dense(CLASSES, activation="softmax")(x))
    model.compile(
        "adam", "sparse_categorical_crossentropy", jit_compile=False, steps_per_execution=10
    )
    name = f"{attend.__name__}, seed {seed}"
    training.fit(model, data.train.images, data.train.labels, epochs=epochs, name=name)
    return model


# -- what the models rest on ------------------------------------------------------------------------


def shuffle_places(model: SceneModel, scenes: Scenes, seed: int = 0) -> tuple[float, float, float]:
    """What happens when each picture's places are shuffled between encoder and pooling.

    Returns:
        accuracy with the places in order; accuracy shuffled; the share of answers that changed.
    """
    places = np.asarray(model.encode(scenes.images))
    order = np.random.default_rng(seed).random(places.shape[:2]).argsort(axis=1)
    shuffled = np.take_along_axis(places, order[..., None], axis=1)
    before, after = (np.asarray(model.read(x)[0]).argmax(axis=1) for x in (places, shuffled))
    right = [float(np.mean(x == scenes.labels)) for x in (before, after)]
    return *right, float(np.mean(before != after))


def reliance(model: SceneModel, scenes: Scenes) -> tuple[float, ...]:
    """How much a model's answers rest on the places in the digit's box.

    Returns:
        mean length of a place's content in the box; elsewhere; mean weight of a place in the box (1/S
        without attention); elsewhere; accuracy with the contents elsewhere set to zero; accuracy with
        those in the box set to zero.
    """
    inside = vision.in_box(scenes.boxes, model.side)
    places = np.asarray(model.encode(scenes.images))
    length = np.linalg.norm(places, axis=2)
    weights = np.full(inside.shape, 1 / inside.shape[1])
    if vision.has_attention(model.kind):
        weights = vision.looks(model, scenes.images)
    kept = [
        np.asarray(model.read(places * some[..., None])[0]).argmax(axis=1)
        for some in (inside, ~inside)
    ]
    right = [float(np.mean(answers == scenes.labels)) for answers in kept]
    means = [float(x[some].mean()) for x in (length, weights) for some in (inside, ~inside)]
    return *means, *right


def scores_that_move(kind: str, row: int, column: int) -> np.ndarray:
    """Change the content of one place: which scores of an untrained attention network move?

    Args:
        kind: "query", "conv" or "rnn".
        row, column: the place.

    Returns:
        bool `(h, w)`.
    """
    keras.utils.set_random_seed(0)
    model = SceneModel(kind)
    h, w = model.grid
    places = np.random.default_rng(0).normal(size=(1, h * w, 64)).astype("float32")
    changed = places.copy()
    changed[0, row * w + column] += 1
    moved = np.asarray(model.pool.scores(changed)) - np.asarray(model.pool.scores(places))
    return np.abs(moved[0]).reshape(h, w) > 1e-7


def pointing(models: dict[str, list[SceneModel]], scenes: Scenes) -> dict[str, list[np.ndarray]]:
    """Maps that say where each model looks: name of the map → for each seed float `(B, S)`.

    Weights of every model with attention; class activation and occlusion of the models of the kind
    "average", which have none.
    """
    maps = {
        f"{NAMES[kind]}: weights": [vision.looks(model, scenes.images) for model in models[kind]]
        for kind in models
        if vision.has_attention(kind)
    }
    for model in models.get("average", ()):
        activation = vision.class_activation(model, scenes.images)
        drops = vision.occlusion_map(lambda x, m=model: vision.probabilities(m, x), scenes.images)
        for name, found in (("class activation", activation), ("occlusion", drops)):
            maps.setdefault(f"{NAMES['average']}: {name}", []).append(found)
    return maps


def hits(maps: list[np.ndarray], scenes: Scenes) -> np.ndarray:
    """Which maps `(B, S)`, one for each seed, point at the digit: bool `(seeds, B)`."""
    side = scenes.images.shape[1] // STRIDE
    return np.stack([vision.points_at(each, scenes.boxes, side, STRIDE) for each in maps])


def covering(model: SceneModel, maps: np.ndarray, scenes: Scenes, seed: int = 0) -> np.ndarray:
    """What the favourite class loses when one place's 4×4 pixels are covered with paper.

    Args:
        maps: float `(B, S)`, what is said to matter.
        seed: draws the random places.

    Returns:
        `(3,)` means over the scenes of the probability before minus after: the place where the map is
        largest covered; a random place; a random other one in the digit's box.
    """
    rng = np.random.default_rng(seed)
    before = vision.probabilities(model, scenes.images)
    each, favourite, largest = np.arange(len(maps)), before.argmax(axis=1), maps.argmax(axis=1)
    other = vision.in_box(scenes.boxes, model.side)
    other[each, largest] = False
    beside = np.array([rng.choice(np.flatnonzero(places)) for places in other])
    losses = []
    for places in (largest, rng.integers(maps.shape[1], size=len(maps)), beside):
        covered = scenes.images.copy()
        corners = np.stack(np.divmod(places, model.grid[1]), axis=1) * STRIDE
        for image, (y, x) in zip(covered, corners, strict=True):
            image[y : y + STRIDE, x : x + STRIDE] = 0
        after = vision.probabilities(model, covered)
        losses.append(np.mean(before[each, favourite] - after[each, favourite]))
    return np.array(losses)


# -- the longer tables ------------------------------------------------------------------------------


def row(data: Clutter, kind: str, epochs: int, normalise: bool, seeds) -> str:
    """One line of the table: size, CPU seconds, accuracy of each seed, and how often it points."""
    right, found, seconds = [], [], []
    for seed in seeds:
        start = time.process_time()
        model = train(data, kind, seed, epochs=epochs, normalise=normalise)
        seconds.append(time.process_time() - start)
        right.append(vision.accuracy(model, data.test))
        if vision.has_attention(kind):
            found.append(hits([vision.looks(model, data.test.images)], data.test).mean())
    mean, half = vision.interval(right)
    name = NAMES[kind] + ("" if normalise else ", plain")
    each, points = ("  ".join(f"{x:.3f}" for x in values) for values in (right, found))
    return (
        f"{name:26}{epochs:6}{model.count_params():11}{statistics.mean(seconds):7.0f}   "
        f"{each}   {mean:.3f} ± {half:.3f}   {points}"
    )


def rates(data: Clutter, normalise: bool) -> None:
    """Print accuracy on the validation scenes for each learning rate, one seed."""
    print(f"{'validation':24}" + "".join(f"{rate:>8}" for rate in TRIED))
    kinds, epochs = (NAMES, EPOCHS) if normalise else (PLAIN, LONG)
    for kind in kinds:
        options = {"epochs": epochs, "normalise": normalise}
        models = [train(data, kind, 0, rate=rate, **options) for rate in TRIED]
        cells = "".join(f"{vision.accuracy(m, data.validation):8.3f}" for m in models)
        print(f"\n{NAMES[kind]:24}{cells}", flush=True)


def repairs(data: Clutter, seeds) -> None:
    """Print accuracy on the validation scenes of the repaired program, rows apart and whole pictures."""
    for attend in (colleague, vision.attend_over_picture):
        models = [repaired_program(data, attend, seed) for seed in seeds]
        right = "  ".join(f"{vision.accuracy(model, data.validation):.3f}" for model in models)
        print(f"\n{attend.__name__:24}{right}", flush=True)


def main() -> None:
    data, seeds = clutter.load(), settings.seeds(3)
    if "--repair" in sys.argv:
        repairs(data, seeds)
        return
    if "--settings" in sys.argv:
        rates(data, normalise="--plain" not in sys.argv)
        return
    rows = [row(data, *run, seeds) for run in RUNS]
    print(f"{'':26}{'epochs':>6}{'parameters':>11}{'CPU s':>7}   test accuracy, seeds {(*seeds,)}")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
