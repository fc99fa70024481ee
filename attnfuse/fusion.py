"""Fusion of two modalities: encoders, five ways to fuse, two heads, and how to compare them fairly.

Letters: B items, C classes, D width of an encoder's features, F width of the fused features,
R rank. Prefixes `image_` and `text_` say which modality an array belongs to.

The measures (four corners, EMAP, paired intervals) come first, encoders and fusions after them.
"""

import numpy as np

from attnfuse.attention import widened
from attnfuse.data.emoji import UNKNOWN
from attnfuse.layers import OfTwo, Saved, serialisable
from attnfuse.own import course_version
from attnfuse.settings import quiet
from attnfuse.training import must_hold_rows

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

    Raises:
        ValueError: if `matrix` has not two axes, or fewer rows than the image features.
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or not 0 <= image_width <= len(matrix):
        raise ValueError(
            f"matrix must be (D_image + D_text, C) with D_image = {image_width}, got {matrix.shape}"
        )
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

    Raises:
        ValueError: if the inputs, or the four logits, differ in shape.
    """
    _must_agree(image=np.shape(image), other_image=np.shape(other_image))
    _must_agree(text=np.shape(text), other_text=np.shape(other_text))
    corners = [np.asarray(model(x, y)) for x in (image, other_image) for y in (text, other_text)]
    a_b, a_other, other_b, both_other = corners
    _must_agree(**{f"logits {i}": np.shape(one) for i, one in enumerate(corners, 1)})
    return a_b - other_b - a_other + both_other


def emap(grid: np.ndarray) -> np.ndarray:
    """Keep of a model's logits only what is a function of the image plus a function of the text.

    Args:
        grid: float `(B, B, C)`, logits for *every* image (axis 0) with *every* text (axis 1).

    Returns:
        `(B, C)`: the projected logits of the true pairs (the diagonal):
        mean over texts + mean over images - mean over both.

    Raises:
        ValueError: if `grid` is not `(B, B, C)`, or holds no pair.

    Source: Hessel & Lee 2020, "Does my multimodal model learn cross-modal interactions?".
    """
    grid = np.asarray(grid, dtype=float)
    if grid.ndim != 3 or grid.shape[0] != grid.shape[1] or not grid.size:
        raise ValueError(f"grid must be (B, B, C), every image with every text; got {grid.shape}")
    return grid.mean(axis=1) + grid.mean(axis=0) - grid.mean(axis=(0, 1))


def outputs(model, x) -> np.ndarray:
    """The model's outputs as an array, without dropout."""
    return np.asarray(model(x, training=False))


def all_pairs(model, image: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Logits of every image with every text: `(B, B, C)`, the images along axis 0.

    Raises:
        ValueError: if there are not as many images as texts, or none.
    """
    must_hold_rows(image=image)
    B = len(image)
    if len(text) != B:
        raise ValueError(f"there are {B} images and {len(text)} texts (axis 0)")
    logits = outputs(model, [np.repeat(image, B, axis=0), np.tile(text, (B, 1))])
    return logits.reshape(B, B, -1)


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

    Raises:
        ValueError: if the two shapes differ, or there is no seed, or one item only: no spread is known.
    """
    right_a, right_b = np.asarray(right_a, float), np.asarray(right_b, float)
    _must_agree(right_a=right_a.shape, right_b=right_b.shape)
    if right_a.ndim != 2 or not len(right_a) or right_a.shape[1] < 2:
        raise ValueError(
            f"right_a must be (seeds, B), a seed and two items (axis 1) at least; got {right_a.shape}"
        )
    per_item = (right_a - right_b).mean(axis=0)
    mean = per_item.mean()
    margin = 1.96 * per_item.std(ddof=1) / np.sqrt(per_item.size)
    return float(mean - margin), float(mean), float(mean + margin)


def accuracy(logits: np.ndarray, label: np.ndarray) -> float:
    """The share of rows whose largest logit is the label's.

    Args:
        logits: float `(B, C)`.
        label: int `(B,)`.

    Raises:
        ValueError: if there is not one label for each row, no row at all, a logit that is NaN, or no such
            class.

    >>> accuracy(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]))
    0.5
    """
    (logits,), label = widened(logits)[0], np.asarray(label)
    if logits.ndim != 2 or not logits.size or label.shape != logits.shape[:1]:
        raise ValueError(
            f"logits must be (B, C) and label (B,), one for each row (axis 0) and one row at least; "
            f"got {logits.shape} and {label.shape}"
        )
    if np.isnan(logits).any():
        raise ValueError("logits hold NaN, which is neither larger nor smaller than another logit")
    if label.min() < 0 or label.max() >= logits.shape[1]:
        raise ValueError(f"label must lie between 0 and {logits.shape[1] - 1}")
    return float((logits.argmax(axis=1) == label).mean())


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities: `(..., C)` → `(..., C)`, computed in 32 bits or more.

    A row of -inf alone stays one: no class is possible.

    Raises:
        ValueError: if there are no classes (axis -1 is empty).
    """
    (logits,), dtype = widened(logits)
    if logits.shape[-1:] in ((), (0,)):
        raise ValueError("logits has no classes (axis -1 is empty)")
    top = logits.max(axis=-1, keepdims=True)
    shifted = logits - np.where(top == -np.inf, 0, top)
    total = np.exp(shifted).sum(axis=-1, keepdims=True)
    return (shifted - np.log(np.where(total == 0, 1, total))).astype(dtype)


def _must_agree(**shapes: tuple[int, ...]) -> None:
    """The shapes are one: nothing is stretched in silence."""
    if len(set(shapes.values())) > 1:
        raise ValueError("; ".join(f"{name} has shape {x}" for name, x in shapes.items()))


# ------------------------------------------------------------------ one encoder per modality


@serialisable
class WordMean(Saved, keras.layers.Layer):
    """The mean of the vectors of the known words; zero where an item has none.

    Args:
        vocabulary: how many word numbers there are; 0 (no word) and 1 (unknown) never count.
        width: width of a word's vector.
        hide: the share of words hidden during training, so that no single word is relied on.
    """

    arguments = ("vocabulary", "width", "hide")

    def __init__(self, vocabulary: int, width: int = 64, hide: float = 0.5, **options):
        super().__init__(**options)
        self.vocabulary, self.width, self.hide = vocabulary, width, hide
        self.vectors = keras.layers.Embedding(vocabulary, width, dtype=self.dtype_policy)
        self.random = keras.random.SeedGenerator()

    def build(self, shape):
        self.vectors.build(shape)

    def call(self, text, training=False):
        counts = ops.cast(text > UNKNOWN, "float32")  # (B, words)
        if training:
            kept = keras.random.uniform(ops.shape(counts), seed=self.random) >= self.hide
            counts = counts * ops.cast(kept, "float32")
        total = ops.maximum(ops.sum(counts, axis=1, keepdims=True), 1.0)
        shares = ops.cast(counts / total, self.compute_dtype)
        vectors = ops.where(counts[..., None] > 0, self.vectors(text), 0.0)
        return ops.einsum("bs,bsd->bd", shares, vectors)

    def compute_output_shape(self, shape):
        return shape[0], self.width


def text_encoder(words: int, vocabulary: int, width: int = 64) -> keras.Model:
    """Word numbers `(B, words)` → features `(B, width)`."""
    text = keras.Input((words,), dtype="int32", name="text")
    mean = WordMean(vocabulary)(text)
    return keras.Model(
        text, keras.layers.Dense(width, activation="relu")(mean), name="text_encoder"
    )


def image_encoder(size: int, width: int = 64) -> keras.Model:
    """Pictures `(B, size, size, 3)` → features `(B, width)`: four convolutions, mean and maximum over the places."""
    last = {"data_format": "channels_last"}  # whatever keras.json says
    image = keras.Input((size, size, 3), name="image")
    x = keras.layers.Rescaling(-1.0, 1.0)(image)  # ink is 1, paper is 0
    x = keras.layers.RandomFlip("horizontal", **last)(x)  # during training only
    for filters, kernel, stride in ((32, 4, 2), (48, 3, 1), (64, 3, 1), (96, 3, 1)):
        x = keras.layers.Conv2D(filters, kernel, stride, "same", **last, use_bias=False)(x)
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = keras.layers.Activation("relu")(x)
        if stride == 1:
            x = keras.layers.MaxPooling2D(**last)(x)
    pools = keras.layers.GlobalAveragePooling2D(**last), keras.layers.GlobalMaxPooling2D(**last)
    x = keras.layers.Concatenate()([pool(x) for pool in pools])
    x = keras.layers.Dropout(0.3)(x)
    return keras.Model(image, keras.layers.Dense(width, activation="relu")(x), name="image_encoder")


# ------------------------------------------------------------------ five ways to fuse


class Fusion(OfTwo, keras.layers.Layer):
    """Base of the fusions: `[image (B, D), text (B, D)]` → `(B, width_out)`, one projection per modality."""

    arguments = ("units",)

    def __init__(self, units: int, **options):
        super().__init__(**options)
        self.units = units
        self.image = keras.layers.Dense(units, use_bias=False, dtype=self.dtype_policy)
        self.text = keras.layers.Dense(units, use_bias=False, dtype=self.dtype_policy)

    def build(self, shapes):
        self.image.build(shapes[0])
        self.text.build(shapes[1])

    def compute_output_shape(self, shapes):
        return shapes[0][0], self.units


@serialisable
class Concatenation(Fusion):
    """The two projections side by side."""

    def call(self, inputs):
        image, text = inputs
        return ops.concatenate([self.image(image), self.text(text)], axis=-1)

    def compute_output_shape(self, shapes):
        return shapes[0][0], 2 * self.units


@serialisable
class Sum(Fusion):
    """The sum of the two projections."""

    def call(self, inputs):
        image, text = inputs
        return self.image(image) + self.text(text)


@serialisable
class Product(Fusion):
    """The product of the two projections, component by component."""

    def call(self, inputs):
        image, text = inputs
        return self.image(image) * self.text(text)


@serialisable
class Gate(Fusion):
    """A share per component, computed from both modalities, says how much each may contribute.

    Source: Arevalo et al. 2017, "Gated multimodal units for information fusion".
    """

    def __init__(self, units: int, **options):
        super().__init__(units, **options)
        self.share = keras.layers.Dense(units, activation="sigmoid", dtype=self.dtype_policy)

    def build(self, shapes):
        image, text = shapes
        self.share.build((image[0], image[-1] + text[-1]))
        super().build(shapes)

    def call(self, inputs):
        image, text = inputs
        share = self.share(ops.concatenate([image, text], axis=-1))
        return share * ops.tanh(self.image(image)) + (1 - share) * ops.tanh(self.text(text))


@serialisable
class LowRankBilinear(OfTwo, keras.layers.Layer):
    """A sum of R products of two projections; a 1 is appended to each modality first.

    The appended 1 lets the products keep each modality alone, beside all pairs of features.

    Args:
        units: F, the width of the result.
        rank: R, the number of products.

    Source: Liu et al. 2018, "Efficient low-rank multimodal fusion with modality-specific factors".
    """

    arguments = ("units", "rank")

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

    def compute_output_shape(self, shapes):
        return shapes[0][0], self.units


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
WIDTH = 64  # features per modality
BUDGET = 8_000  # parameters of a fusion with its head
HIDDEN = 32  # width of the ReLU head's hidden layer


def head(fused, kind: str, classes: int):
    """Logits from fused features: one dense layer, or a hidden ReLU layer and one dense layer."""
    if kind == "ReLU":
        fused = keras.layers.Dense(HIDDEN, activation="relu")(fused)
    return keras.layers.Dense(classes)(fused)


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
