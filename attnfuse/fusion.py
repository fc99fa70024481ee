"""Fusion of two modalities: encoders, five ways to fuse, two heads, and how to compare them fairly.

Letters: B items, C classes, D width of an encoder's features, F width of the fused features,
R rank. Prefixes `image_` and `text_` say which modality an array belongs to.

The NumPy part (four corners, EMAP, paired intervals) comes first, the Keras part after it.
"""

from dataclasses import dataclass, field

import numpy as np

from attnfuse import settings
from attnfuse.checking.own import course_version
from attnfuse.data import digit_pairs
from attnfuse.data.emoji import UNKNOWN
from attnfuse.settings import quiet
from attnfuse.training import build_optimizer, show_line

with quiet():
    import keras
    from keras import ops

# ------------------------------------------------------------------ what a fusion can express


@course_version
def split_concatenation(matrix: np.ndarray, image_width: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut the matrix of a dense layer behind a concatenation in two.

    Args:
        matrix: float `(D_image + D_text, C)`, the kernel of the dense layer.
        image_width: D_image; the image features come first.

    Returns:
        `(image_matrix, text_matrix)` with `concat(x, y) @ matrix == x @ image_matrix + y @ text_matrix`.
    """
    return matrix[:image_width], matrix[image_width:]


@course_version
def four_corners(model, image, other_image, text, other_text) -> np.ndarray:
    """How much the effect of the image on the logits depends on the text.

    Args:
        model: a function `(image, text) -> logits (B, C)`.
        image, other_image: two image inputs, batch first.
        text, other_text: two text inputs.

    Returns:
        `(B, C)`: l(a, b) - l(a', b) - l(a, b') + l(a', b'), zero wherever the logits are a function
        of the image plus a function of the text.
    """
    return (
        model(image, text)
        - model(other_image, text)
        - model(image, other_text)
        + model(other_image, other_text)
    )


def emap(grid: np.ndarray) -> np.ndarray:
    """Keep of a model's logits only what is a function of the image plus a function of the text.

    Args:
        grid: float `(B, B, C)`, logits for *every* image (axis 0) with *every* text (axis 1).

    Returns:
        `(B, C)`: the projected logits of the true pairs (the diagonal):
        mean over texts + mean over images - mean over both.

    Source: Hessel & Lee 2020, "Does my multimodal model learn cross-modal interactions?".
    """
    grid = np.asarray(grid, dtype=float)
    return grid.mean(axis=1) + grid.mean(axis=0) - grid.mean(axis=(0, 1))


# ------------------------------------------------------------------ comparing two models


@course_version
def paired_interval(right_a: np.ndarray, right_b: np.ndarray) -> tuple[float, float, float]:
    """How much more often model A is right than model B, with a 95 % interval.

    Args:
        right_a, right_b: bool `(seeds, B)`: was the model trained with this seed right on this item?
            Both models see the same seeds and the same items.

    Returns:
        `(low, mean, high)`. Each item's difference is averaged over the seeds first; the interval is
        mean ± 1.96 standard errors over the items.
    """
    per_item = (np.asarray(right_a, float) - np.asarray(right_b, float)).mean(axis=0)
    mean = per_item.mean()
    margin = 1.96 * per_item.std(ddof=1) / np.sqrt(per_item.size)
    return float(mean - margin), float(mean), float(mean + margin)


def accuracy(logits: np.ndarray, label: np.ndarray) -> float:
    """The share of rows whose largest logit is the label's.

    >>> accuracy(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]))
    0.5
    """
    return float((np.argmax(logits, axis=-1) == label).mean())


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities, `(B, C)`."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


# ------------------------------------------------------------------ one encoder per modality


class WordMean(keras.layers.Layer):
    """The mean of the vectors of the known words; zero where an item has none.

    Args:
        vocabulary: how many word numbers there are; 0 (no word) and 1 (unknown) never count.
        width: width of a word's vector.
        hide: the share of words hidden during training, so that no single word is relied on.
    """

    def __init__(self, vocabulary: int, width: int = 64, hide: float = 0.5, **options):
        super().__init__(**options)
        self.vectors = keras.layers.Embedding(vocabulary, width)
        self.hide = hide
        self.random = keras.random.SeedGenerator()

    def call(self, text, training=False):
        counts = ops.cast(text > UNKNOWN, "float32")  # (B, words)
        if training:
            kept = keras.random.uniform(ops.shape(counts), seed=self.random) >= self.hide
            counts = counts * ops.cast(kept, "float32")
        total = ops.maximum(ops.sum(counts, axis=1, keepdims=True), 1.0)
        return ops.einsum("bs,bsd->bd", counts / total, self.vectors(text))


def text_encoder(words: int, vocabulary: int, width: int = 64) -> keras.Model:
    """Word numbers `(B, words)` → features `(B, width)`."""
    text = keras.Input((words,), dtype="int32", name="text")
    mean = WordMean(vocabulary)(text)
    return keras.Model(
        text, keras.layers.Dense(width, activation="relu")(mean), name="text_encoder"
    )


def image_encoder(size: int, width: int = 64) -> keras.Model:
    """Pictures `(B, size, size, 3)` → features `(B, width)`: four convolutions, mean and maximum over the places."""
    image = keras.Input((size, size, 3), name="image")
    x = keras.layers.Rescaling(-1.0, 1.0)(image)  # ink is 1, paper is 0
    x = keras.layers.RandomFlip("horizontal")(x)  # during training only
    for filters, kernel, stride in ((32, 4, 2), (48, 3, 1), (64, 3, 1), (96, 3, 1)):
        x = keras.layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = keras.layers.Activation("relu")(x)
        if stride == 1:
            x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Concatenate()(
        [keras.layers.GlobalAveragePooling2D()(x), keras.layers.GlobalMaxPooling2D()(x)]
    )
    x = keras.layers.Dropout(0.3)(x)
    return keras.Model(image, keras.layers.Dense(width, activation="relu")(x), name="image_encoder")


# ------------------------------------------------------------------ five ways to fuse


class Fusion(keras.layers.Layer):
    """Base of the fusions: `[image (B, D), text (B, D)]` → `(B, width_out)`, one projection per modality."""

    def __init__(self, units: int, **options):
        super().__init__(**options)
        self.units = units
        self.image = keras.layers.Dense(units, use_bias=False)
        self.text = keras.layers.Dense(units, use_bias=False)


class Concatenation(Fusion):
    """The two projections side by side."""

    def call(self, inputs):
        image, text = inputs
        return ops.concatenate([self.image(image), self.text(text)], axis=-1)


class Sum(Fusion):
    """The sum of the two projections."""

    def call(self, inputs):
        image, text = inputs
        return self.image(image) + self.text(text)


class Product(Fusion):
    """The product of the two projections, component by component."""

    def call(self, inputs):
        image, text = inputs
        return self.image(image) * self.text(text)


class Gate(Fusion):
    """A share per component, computed from both modalities, says how much each may contribute.

    Source: Arevalo et al. 2017, "Gated multimodal units for information fusion".
    """

    def __init__(self, units: int, **options):
        super().__init__(units, **options)
        self.share = keras.layers.Dense(units, activation="sigmoid")

    def call(self, inputs):
        image, text = inputs
        share = self.share(ops.concatenate([image, text], axis=-1))
        return share * ops.tanh(self.image(image)) + (1 - share) * ops.tanh(self.text(text))


class LowRankBilinear(keras.layers.Layer):
    """A sum of R products of two projections; a 1 is appended to each modality first.

    The appended 1 lets the products keep each modality alone, beside all pairs of features.

    Args:
        units: F, the width of the result.
        rank: R, the number of products.

    Source: Liu et al. 2018, "Efficient low-rank multimodal fusion with modality-specific factors".
    """

    def __init__(self, units: int, rank: int = 4, **options):
        super().__init__(**options)
        self.units, self.rank = units, rank

    def build(self, shapes):
        image, text = shapes
        shape = {
            "image": (self.rank, image[-1] + 1, self.units),
            "text": (self.rank, text[-1] + 1, self.units),
        }
        self.image_factors = self.add_weight(
            shape=shape["image"], initializer=_factors, name="image_factors"
        )
        self.text_factors = self.add_weight(
            shape=shape["text"], initializer=_factors, name="text_factors"
        )

    @course_version
    def call(self, inputs):
        image, text = (ops.concatenate([x, ops.ones_like(x[:, :1])], axis=-1) for x in inputs)
        image = ops.einsum("bd,rdf->brf", image, self.image_factors)
        text = ops.einsum("bd,rdf->brf", text, self.text_factors)
        return ops.sum(image * text, axis=1)


def _factors(shape, dtype=None):
    """Glorot's range for one factor (Keras would count the rank as part of a convolution)."""
    _, fan_in, fan_out = shape
    limit = (6 / (fan_in + fan_out)) ** 0.5
    return keras.random.uniform(shape, -limit, limit, dtype=dtype)


FUSIONS = {
    "concatenation": Concatenation,
    "sum": Sum,
    "product": Product,
    "gate": Gate,
    "low rank": LowRankBilinear,
}
HEADS = ("linear", "ReLU")
HIDDEN = 32  # width of the ReLU head's hidden layer


def head(fused, kind: str, classes: int):
    """Logits from fused features: one dense layer, or a hidden ReLU layer and one dense layer."""
    if kind == "ReLU":
        fused = keras.layers.Dense(HIDDEN, activation="relu")(fused)
    return keras.layers.Dense(classes)(fused)


# ------------------------------------------------------------------ training

WIDTH = 64  # features per modality
BUDGET = 8_000  # parameters of every fusion with its head
EPOCHS = {"image": 25, "text": 25, "heads": 20, "together": 25, "early": 15}


def fit(model, x, y, epochs: int, seed: int, rate: float = 5e-3, batch_size: int = 64) -> None:
    """Train for logits with cross-entropy: Adam, a learning rate that falls to zero along a cosine.

    The models here are so small that most of the time of `model.fit` goes into its bookkeeping per
    epoch; this loop over `train_on_batch` takes half of it.

    Args:
        model: a Keras model that returns logits.
        x: an array, or a list of arrays for several inputs; `y`: int labels.
        epochs: passes over the data (one in quick mode).
        seed: the order of the items.
        rate, batch_size: first learning rate; items per step (an incomplete batch is left out).
    """
    epochs, batch_size = settings.epochs(epochs), min(batch_size, len(y))
    steps = len(y) // batch_size
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, epochs * steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
        run_eagerly=settings.quick(),  # for a step or two a compiled graph does not pay
    )
    build_optimizer(model)
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(y))[: steps * batch_size]
        for rows in order.reshape(steps, batch_size):
            batch = [part[rows] for part in x] if isinstance(x, list) else x[rows]
            model.train_on_batch(batch, y[rows])


def outputs(model, x) -> np.ndarray:
    """The model's outputs as an array, without dropout."""
    return np.asarray(model(x, training=False))


@dataclass
class Encoders:
    """Two trained encoders of one seed, their features and each modality's own logits.

    Attributes:
        features: part name → `[image (B, D), text (B, D)]`.
        image_logits, text_logits: part name → `(B, C)`, each modality alone.
    """

    features: dict = field(default_factory=dict)
    image_logits: dict = field(default_factory=dict)
    text_logits: dict = field(default_factory=dict)


PARTS = ("train", "validation", "test")


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
    line, trained = None, []
    for seed in seeds:
        result = Encoders({part: [] for part in PARTS})
        for modality in ("image", "text"):
            line = show_line(f"seed {seed}: the {modality} encoder …", line)
            keras.utils.set_random_seed(seed)
            encoder = new_encoder(modality, data)
            logits = keras.layers.Dense(len(data.classes))(
                keras.layers.Dropout(0.3)(encoder.output)
            )
            model = keras.Model(encoder.input, logits)
            fit(model, getattr(data.train, modality), data.train.label, EPOCHS[modality], seed)
            for part in PARTS:
                x = getattr(getattr(data, part), modality)
                result.features[part].append(outputs(encoder, x))
                getattr(result, f"{modality}_logits")[part] = outputs(model, x)
        trained.append(result)
    show_line(f"{2 * len(trained)} encoders trained", line)
    return trained


def units_for(fusion: str, head_kind: str, classes: int, budget: int = BUDGET) -> int:
    """The width of a fusion that brings it and its head nearest to `budget` parameters."""
    per_unit = {"gate": 4 * WIDTH + 1, "low rank": 4 * 2 * (WIDTH + 1)}.get(fusion, 2 * WIDTH)
    fused = 2 if fusion == "concatenation" else 1
    out = HIDDEN if head_kind == "ReLU" else classes
    fixed = HIDDEN + (HIDDEN + 1) * classes if head_kind == "ReLU" else classes
    return max(1, round((budget - fixed) / (per_unit + fused * out)))


def fusion_model(fusion: str, head_kind: str, classes: int, dropout: float = 0.5) -> keras.Model:
    """`[image (B, D), text (B, D)]` → logits `(B, C)` by one of `FUSIONS` and one of `HEADS`."""
    inputs = [keras.Input((WIDTH,), name="image"), keras.Input((WIDTH,), name="text")]
    dropped = [keras.layers.Dropout(dropout)(x) for x in inputs]
    fused = FUSIONS[fusion](units_for(fusion, head_kind, classes))(dropped)
    return keras.Model(inputs, head(fused, head_kind, classes))


def train_heads(data, encoders: list[Encoders], fusions=tuple(FUSIONS), heads=HEADS) -> dict:
    """Train every fusion with every head on the cached features of every seed.

    Returns:
        `(fusion, head)` → list of models, one per seed.
    """
    line, models = None, {}
    for fusion in fusions:
        for kind in heads:
            line = show_line(f"{fusion} + {kind} head …", line)
            models[fusion, kind] = []
            for seed, encoded in enumerate(encoders):
                keras.utils.set_random_seed(seed)
                model = fusion_model(fusion, kind, len(data.classes))
                fit(
                    model,
                    encoded.features["train"],
                    data.train.label,
                    EPOCHS["heads"],
                    seed,
                    batch_size=128,
                )
                models[fusion, kind].append(model)
    show_line(f"{len(models) * len(encoders)} heads trained", line)
    return models


def train_together(data, seeds, fusion="concatenation", head_kind="ReLU") -> list[keras.Model]:
    """Train both encoders and the fusion in one go, from the pictures and the words to the logits."""
    line, models = None, []
    for seed in seeds:
        line = show_line(f"seed {seed}: both encoders and the fusion together …", line)
        keras.utils.set_random_seed(seed)
        image, text = new_encoder("image", data), new_encoder("text", data)
        fused = fusion_model(fusion, head_kind, len(data.classes))([image.output, text.output])
        model = keras.Model([image.input, text.input], fused)
        fit(model, [data.train.image, data.train.text], data.train.label, EPOCHS["together"], seed)
        models.append(model)
    show_line(f"{len(models)} models trained end to end", line)
    return models


def raw(data, part: str) -> np.ndarray:
    """Early fusion's input: all pixels and a 0 or 1 for every known word, in one row."""
    rows = getattr(data, part)
    words = np.zeros((len(rows), len(data.vocabulary) + 2), np.float32)
    np.put_along_axis(words, rows.text, 1.0, axis=1)
    return np.concatenate([1 - rows.image.reshape(len(rows), -1), words[:, UNKNOWN + 1 :]], axis=1)


def train_early(data, seeds) -> list[keras.Model]:
    """Early fusion: one network with a hidden ReLU layer on the raw inputs side by side."""
    models, x = [], raw(data, "train")
    for seed in seeds:
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((x.shape[1],))
        hidden = keras.layers.Dense(WIDTH, activation="relu")(keras.layers.Dropout(0.3)(inputs))
        model = keras.Model(
            inputs, head(keras.layers.Dropout(0.3)(hidden), "linear", len(data.classes))
        )
        fit(model, x, data.train.label, EPOCHS["early"], seed, rate=1e-3)
        models.append(model)
    return models


def all_pairs(model, image: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Logits of every image with every text: `(B, B, C)`, the images along axis 0."""
    B = len(image)
    logits = outputs(model, [np.repeat(image, B, axis=0), np.tile(text, (B, 1))])
    return logits.reshape(B, B, -1)


def test_results(data, encoders, heads, together, early) -> dict:
    """Every model's answers on the test part.

    Returns:
        name → `(logits (seeds, B, C), number of parameters behind the encoders)`; for early fusion and
        the models trained together the number is that of the whole model.
    """
    B, C = len(data.test), len(data.classes)
    majority = np.zeros((len(encoders), B, C))
    majority[:, :, np.bincount(data.train.label, minlength=C).argmax()] = 1.0
    image = np.stack([one.image_logits["test"] for one in encoders])
    text = np.stack([one.text_logits["test"] for one in encoders])
    alone = (WIDTH + 1) * C
    results = {
        "largest class": (majority, 0),
        "image alone": (image, alone),
        "text alone": (text, alone),
        "early": (
            np.stack([outputs(m, raw(data, "test")) for m in early]),
            early[0].count_params(),
        ),
        "late": (log_softmax(image) + log_softmax(text), 0),
    }
    for (fusion, kind), models in heads.items():
        logits = [
            outputs(model, one.features["test"])
            for model, one in zip(models, encoders, strict=True)
        ]
        results[f"{fusion} + {kind}"] = (np.stack(logits), models[0].count_params())
    logits = [outputs(model, [data.test.image, data.test.text]) for model in together]
    results["trained together"] = (np.stack(logits), together[0].count_params())
    return results


def emap_results(data, encoders, heads) -> dict:
    """Which test items a fusion gets right, as it is and reduced to f(image) + g(text).

    Returns:
        name → `(right, right after EMAP)`, both bool `(seeds, B)`.
    """
    label, kept = data.test.label, {}
    for (fusion, kind), models in heads.items():
        pair = ([], [])
        for model, one in zip(models, encoders, strict=True):
            grid = all_pairs(model, *one.features["test"])
            pair[0].append(np.argmax(np.einsum("bbc->bc", grid), axis=-1) == label)
            pair[1].append(np.argmax(emap(grid), axis=-1) == label)
        kept[f"{fusion} + {kind}"] = (np.stack(pair[0]), np.stack(pair[1]))
    return kept


# ------------------------------------------------------------------ pairs of digits

PAIR_MODELS = (
    "picture a alone",
    "picture b alone",
    "concatenation + linear",
    "sum + ReLU",
    "low rank + linear",
)


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
    line, result = None, {}
    for kind in kinds:
        for name in names:
            line = show_line(f"{kind}: {name} …", line)
            result[kind, name] = []
            for seed in seeds:
                pairs = digit_pairs.load(kind, seed)
                keras.utils.set_random_seed(seed)
                model = pair_model(name)
                x = [pairs.train_a, pairs.train_b]
                fit(model, x, pairs.train_label, epochs, seed, rate=6e-3, batch_size=250)
                logits = outputs(model, [pairs.test_a, pairs.test_b])
                result[kind, name].append((model, accuracy(logits, pairs.test_label)))
    show_line(f"{len(result) * len(seeds)} models trained", line)
    return result
