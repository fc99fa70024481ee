"""Attention over pictures: encoder, five ways to pool its places, and maps that show where a model looks.

Letters: B batch, h and w the rows and columns of the encoder's map, C channels, S = h·w places. Places are
numbered row by row: place s stands in row s // w and column s % w.
"""

from collections.abc import Callable

import numpy as np

from attnfuse.data import digits
from attnfuse.data.clutter import SIDE, Scenes
from attnfuse.layers import Saved, as_array, bool_mask, masked_softmax, to_numpy, without_closed
from attnfuse.own import course_version
from attnfuse.settings import quiet

with quiet():
    import keras
    from keras import ops

serialisable = keras.saving.register_keras_serializable(package="attnfuse.vision")

CLASSES = digits.CLASSES
LAST = {
    "data_format": "channels_last"
}  # where pictures have their channels, whatever keras.json says
STRIDE = 4  # pixels from one place of the encoder's map to the next: two poolings by 2
NAMES = {
    "average": "average pooling",
    "max": "max pooling",
    "flatten": "flatten",
    "query": "attention pooling",
    "self": "self-attention",
    "self+places": "… with positions",
    "conv": "CNN attention network",
    "rnn": "RNN attention network",
}


# -- map and sequence ------------------------------------------------------------------------------


@course_version
def to_sequence(maps):
    """A map `(B, h, w, C)` → places in a row `(B, h·w, C)`, row by row.

    Raises:
        ValueError: if `maps` does not have four axes, or holds no place.
    """
    maps = as_array(maps)
    if len(maps.shape) != 4 or 0 in maps.shape[1:3]:
        raise ValueError(f"maps must be (B, h, w, C) with places, got shape {tuple(maps.shape)}")
    _, h, w, C = maps.shape
    return ops.reshape(maps, (-1, h * w, C))


@course_version
def attend_over_picture(maps):
    """Every place attends to every place of its own picture: `(B, h, w, C)` → the same shape.

    Queries, keys and values are the map's places, unchanged; scores are dot products, unscaled, as in
    `keras.layers.Attention`.
    """
    maps = as_array(maps)
    places = to_sequence(maps)
    weights = ops.softmax(ops.matmul(places, ops.transpose(places, (0, 2, 1))), axis=-1)
    return ops.reshape(ops.matmul(weights, places), (-1, *maps.shape[1:]))


def _check_places(shape) -> None:
    if len(shape) != 3:
        raise ValueError(f"places must be (B, S, C), got shape {tuple(shape)}")
    if shape[1] == 0:
        raise ValueError("places must hold at least one place, got S = 0")


# -- layers ----------------------------------------------------------------------------------------


@serialisable
class QueryPooling(Saved, keras.layers.Layer):
    """Attention pooling: one learnt query asks all places; the context is their weighted mean.

    keys = tanh(places · W + b), scores = keys · query, weights = softmax over the places.

    Called with `places (B, S, C)` and an optional bool `mask (B, S)`, True where attention is allowed.
    Returns `(context, weights)`, `(B, C)` and `(B, S)`; without an allowed place both are zero. What a
    closed place holds has no influence, NaN neither.

    Args:
        units: H, the width of keys and query.

    Raises:
        ValueError: if `places` does not have three axes, S is 0, or the mask is not bool or does not fit.

    Source: Yang et al. 2016, "Hierarchical Attention Networks for Document Classification",
    section 2.2.
    """

    arguments = ("units",)
    supports_masking = True  # it takes a mask and hands none on

    def __init__(self, units: int, **options):
        super().__init__(**options)
        self.units = units

    def _check(self, shape):
        _check_places(shape)

    def build(self, places_shape):
        self._check(places_shape)
        self.key_matrix = self.add_weight(shape=(places_shape[-1], self.units), name="key_matrix")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        small = keras.initializers.RandomNormal(stddev=0.1)
        self.query = self.add_weight(shape=(self.units,), initializer=small, name="query")

    @course_version
    def call(self, places, mask=None):
        self._check(places.shape)
        [places] = self._cast(places)
        if mask is not None:
            mask = bool_mask(mask, batch=places.shape[0], place=places.shape[1])
            places = without_closed(mask[:, None], places)
        return pool(places, self.scores(places), mask)

    def compute_output_spec(self, places, **options):
        self._check(places.shape)
        B, S, C = places.shape
        return self._spec(B, C), self._spec(B, S)

    def compute_mask(self, *args, **options):
        return None

    def scores(self, places):
        """Scores `(B, S)`, one for each place."""
        places, W, b, query = self._cast(places, self.key_matrix, self.bias, self.query)
        keys = ops.tanh(ops.matmul(places, W) + b)  # (B, S, H)
        return ops.matmul(keys, query[:, None])[..., 0]


@course_version
def pool(places, scores, mask=None):
    """Places `(B, S, C)` and their scores `(B, S)` → `(context, weights)`."""
    weights = masked_softmax(scores, mask)
    return ops.sum(weights[..., None] * places, axis=1), weights


@serialisable
class ConvPooling(QueryPooling):
    """Attention pooling whose scores come from a small CNN: 3×3 neighbours, tanh, one score.

    Args:
        grid: (h, w), the map that the places come from.
        units: channels between the two convolutions.
    """

    arguments = ("grid", "units")

    def __init__(self, grid, units=16, **options):
        super().__init__(units, **options)
        self.grid = tuple(grid)
        same = {"dtype": self.dtype_policy, **LAST}
        self.see = keras.layers.Conv2D(units, 3, padding="same", activation="tanh", **same)
        self.score = keras.layers.Conv2D(1, 1, **same)

    def _check(self, shape):
        super()._check(shape)
        h, w = self.grid
        if shape[0] == 0 or shape[1] not in (h * w, None):
            raise ValueError(
                f"places must be (B, {h * w}, C), one item at least and all of a map of {h} by {w}; "
                f"got {tuple(shape)}"
            )

    def build(self, places_shape):
        self._check(places_shape)
        self.see.build((None, *self.grid, places_shape[-1]))
        self.score.build((None, *self.grid, self.see.filters))

    def scores(self, places):
        maps = ops.reshape(places, (-1, *self.grid, places.shape[-1]))
        return ops.reshape(self.score(self.see(maps)), (-1, self.grid[0] * self.grid[1]))


@serialisable
class RNNPooling(QueryPooling):
    """Attention pooling whose scores come from a GRU that reads the places row by row.

    Args:
        units: width of the GRU's state.
    """

    def __init__(self, units=16, **options):
        super().__init__(units, **options)
        self.read = keras.layers.GRU(units, return_sequences=True, dtype=self.dtype_policy)
        self.score = keras.layers.Dense(1, dtype=self.dtype_policy)

    def build(self, places_shape):
        self._check(places_shape)
        self.read.build(places_shape)
        self.score.build((None, None, self.read.units))

    def scores(self, places):
        return self.score(self.read(places))[..., 0]


@serialisable
class SelfAttention(Saved, keras.layers.Layer):
    """Every place asks every place (one head), and adds what it hears to itself.

    Called with `places (B, S, C)`; returns `(places, weights)`, `(B, S, C)` and `(B, S, S)`.

    Args:
        units: H, the width of queries and keys.

    Raises:
        ValueError: if `places` does not have three axes, or S is 0.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.
    """

    arguments = ("units",)

    def __init__(self, units: int, **options):
        super().__init__(**options)
        self.units = units

    def build(self, places_shape):
        _check_places(places_shape)
        C = places_shape[-1]
        for name, wide in (("query", self.units), ("key", self.units), ("value", C)):
            setattr(self, f"{name}_matrix", self.add_weight(shape=(C, wide), name=f"{name}_matrix"))

    def call(self, places):
        _check_places(places.shape)
        [places] = self._cast(places)
        query, key, value = (
            ops.matmul(places, matrix)
            for matrix in (self.query_matrix, self.key_matrix, self.value_matrix)
        )
        query, key = self._widened(query / self.units**0.5, key)
        scores = ops.matmul(query, ops.transpose(key, (0, 2, 1)))  # (B, S, S)
        weights = ops.cast(masked_softmax(scores), self.compute_dtype)
        return places + ops.matmul(weights, value), weights

    def compute_output_spec(self, places, **options):
        _check_places(places.shape)
        B, S, C = places.shape
        return self._spec(B, S, C), self._spec(B, S, S)


@serialisable
class Positions(Saved, keras.layers.Layer):
    """Add a learnt vector to each place: `(B, S, C)` → `(B, S, C)`."""

    def build(self, places_shape):
        _check_places(places_shape)
        self.vectors = self.add_weight(
            shape=tuple(places_shape[1:]),
            initializer=keras.initializers.RandomNormal(stddev=0.05),
            name="vectors",
        )

    def call(self, places):
        return self._cast(places)[0] + self.vectors

    def compute_output_shape(self, places_shape):
        return places_shape


# -- models ----------------------------------------------------------------------------------------


@serialisable
class SceneModel(Saved, keras.Model):
    """The second article's encoder, one way to make one vector of its places, and a head of ten classes.

    Args:
        kind: "average", "max", "flatten", "query", "self", "self+places", "conv" or "rnn"; `NAMES`
            says what they are.
        channels: of the two convolutions.
        normalise: batch normalisation after each convolution (that article has none).
        side: of the scenes; a multiple of 4.

    Called with images `(B, side, side, 1)`; returns logits `(B, 10)`.

    Raises:
        ValueError: for an unknown kind, images of another shape, or none.
    """

    arguments = ("kind", "channels", "side", "normalise")

    def __init__(self, kind: str, channels=(32, 64), side: int = SIDE, normalise=True, **options):
        super().__init__(**options)
        if kind not in NAMES:
            raise ValueError(f"kind must be one of {', '.join(NAMES)}, got {kind!r}")
        self.kind, self.side, self.grid = kind, side, (side // STRIDE, side // STRIDE)
        self.channels, self.normalise = tuple(channels), normalise
        same = {"dtype": self.dtype_policy}
        convolution = {"padding": "same", "activation": "relu", **LAST, **same}
        self.convolutions = [keras.layers.Conv2D(c, 3, **convolution) for c in channels]
        self.norms = [  # momentum .9: .99, the default, takes more steps than we train
            keras.layers.BatchNormalization(momentum=0.9, **same) for _ in channels if normalise
        ]
        self.smaller = keras.layers.MaxPooling2D(**LAST, **same)
        self.positions = Positions(**same) if kind == "self+places" else None
        self.mix = SelfAttention(channels[-1] // 2, **same) if kind.startswith("self") else None
        pools = {
            "query": lambda: QueryPooling(channels[-1], **same),
            "conv": lambda: ConvPooling(self.grid, **same),
            "rnn": lambda: RNNPooling(**same),
        }
        self.pool = pools[kind]() if kind in pools else None
        self.head = keras.layers.Dense(CLASSES, **same)
        self(np.zeros((1, side, side, 1), "float32"))  # builds every layer

    def encode(self, images, training=False):
        """Images `(B, side, side, 1)` → places `(B, S, C)`."""
        images = as_array(images)
        if tuple(images.shape[1:]) != (self.side, self.side, 1) or images.shape[0] == 0:
            raise ValueError(
                f"images must be (B, {self.side}, {self.side}, 1), one at least; "
                f"got {tuple(images.shape)}"
            )
        x = images
        for i, convolution in enumerate(self.convolutions):
            x = self.smaller(convolution(x))
            if self.norms:
                x = self.norms[i](x, training=training)
        return to_sequence(x)

    def read(self, places):
        """Places `(B, S, C)` → `(logits, weights)`, `(B, 10)` and `(B, S)`; None without attention.

        Self-attention has S rows of weights; returned is their mean, what a place gets on average.
        """
        weights = None
        if self.positions is not None:
            places = self.positions(places)
        if self.mix is not None:
            places, rows = self.mix(places)
            weights = ops.mean(rows, axis=1)
        if self.pool is not None:
            vector, weights = self.pool(places)
        elif self.kind == "flatten":
            vector = ops.reshape(places, (-1, places.shape[1] * places.shape[2]))
        elif self.kind == "max":
            vector = ops.max(places, axis=1)
        else:
            vector = ops.mean(places, axis=1)
        return self.head(vector), weights

    def call(self, images, training=False):
        return self.read(self.encode(images, training))[0]

    def compute_output_shape(self, images_shape):
        return images_shape[0], CLASSES


def probabilities(model, images: np.ndarray) -> np.ndarray:
    """What a model that returns logits gives each class: `(B, 10)`, rows sum to 1."""
    if not len(images):
        return np.zeros((0, CLASSES), np.float32)
    logits = [model.predict_on_batch(images[i : i + 1000]) for i in range(0, len(images), 1000)]
    return np.asarray(ops.softmax(to_numpy(np.concatenate(logits))))


def accuracy(model, scenes: Scenes) -> float:
    """The share of scenes whose largest output, logit or probability, is that of the label.

    Raises:
        ValueError: if there is no scene, or not one label for each.
    """
    if not len(scenes.labels):
        raise ValueError("no scenes: there is no share of none")
    if np.shape(scenes.labels) != (len(scenes.images),):
        raise ValueError(f"labels must be ({len(scenes.images)},), got {np.shape(scenes.labels)}")
    return float(np.mean(probabilities(model, scenes.images).argmax(axis=1) == scenes.labels))


def has_attention(kind: str) -> bool:
    return kind not in ("average", "max", "flatten")


def looks(model: SceneModel, images: np.ndarray) -> np.ndarray:
    """The weights `(B, S)` with which a model looks at the places of its pictures.

    Raises:
        ValueError: if the model has no attention.
    """
    weights = model.read(model.encode(images))[1]
    if weights is None:
        raise ValueError(f"{NAMES[model.kind]} has no attention weights")
    return to_numpy(weights)


def interval(values) -> tuple[float, float]:
    """Mean and half the width of the 95 % interval of a few runs (Student's t; 0 for one run).

    Raises:
        ValueError: if `values` is not one number for each run.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"values must be (runs,), at least one; got shape {values.shape}")
    if len(values) < 2:
        return float(values.mean()), 0.0
    t = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}.get(len(values), 2.0)
    return float(values.mean()), float(t * values.std(ddof=1) / len(values) ** 0.5)


# -- where a model looks -----------------------------------------------------------------------------


def centres(grid: tuple[int, int], stride: int) -> np.ndarray:
    """Where each place's patch has its middle: pixels (y, x) `(S, 2)`; pixel i reaches from i to i+1."""
    rows, columns = np.divmod(np.arange(grid[0] * grid[1]), grid[1])
    return (np.stack([rows, columns], axis=1) + 0.5) * stride


@course_version
def points_at(weights, boxes, columns: int, stride: int) -> np.ndarray:
    """Does the largest weight stand in the box?

    Args:
        weights: float `(B, S)`, a weight for each place, row by row.
        boxes: `(B, 4)`: top, left, bottom, right in pixels.
        columns: w, the places in a row.
        stride: pixels from one place to the next.

    Returns:
        bool `(B,)`: the middle of the place's patch is in the box.

    Raises:
        ValueError: if there is not one box for each map, or the places do not fill their rows.
    """
    if np.ndim(weights) != 2:
        raise ValueError(f"weights must be (B, S), got shape {np.shape(weights)}")
    B, S = np.shape(weights)
    if S == 0 or columns < 1 or S % columns:
        raise ValueError(f"{S} places (axis 1) do not fill rows of {columns}")
    if np.shape(boxes) != (B, 4):
        raise ValueError(f"boxes must be ({B}, 4), one for each map; got {np.shape(boxes)}")
    row, column = np.divmod(np.argmax(weights, axis=1), columns)
    y, x = (row + 0.5) * stride, (column + 0.5) * stride
    top, left, bottom, right = np.transpose(boxes)
    return (top <= y) & (y < bottom) & (left <= x) & (x < right)


def in_box(boxes: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Which places have the middle of their patch in the box: `(B, 4)` → bool `(B, S)`.

    Raises:
        ValueError: if `boxes` is not `(B, 4)`.
    """
    boxes, middle = np.asarray(boxes), centres((side // STRIDE,) * 2, STRIDE)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes must be (B, 4), got shape {boxes.shape}")
    return ((boxes[:, None, :2] <= middle) & (middle < boxes[:, None, 2:])).all(axis=2)


@course_version
def occlusion_map(predict: Callable, images: np.ndarray, patch: int = STRIDE, stride: int = STRIDE):
    """How much a model's favourite class loses when a patch of the picture is covered with paper.

    Args:
        predict: images `(B, side, side, 1)` → probabilities `(B, classes)`.
        images: float `(B, side, side, 1)`.
        patch: side of the covered square; of 4, 6, 8 and 10 pixels 4 pointed best on validation scenes.
        stride: from one square's middle to the next; middles stand as the places' do.

    Returns:
        float `(B, S)`, S = (side / stride)²: probability before minus after, row by row.

    Raises:
        ValueError: if the images are not square, their side is no multiple of `stride`, or `predict` does
            not return a row for each.

    Source: Zeiler & Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[1] % stride:
        raise ValueError(
            f"images must be (B, side, side, 1), side a multiple of {stride}; got {images.shape}"
        )
    before = np.asarray(predict(images))
    if before.ndim != 2 or len(before) != len(images):
        raise ValueError(
            f"predict must return ({len(images)}, classes), a row for each image; got {before.shape}"
        )
    rows = np.arange(len(images))
    favourite = before.argmax(axis=1)
    side = images.shape[1]
    drops = []
    for y, x in centres((side // stride,) * 2, stride).astype(int) - patch // 2:
        covered = images.copy()
        covered[:, max(y, 0) : y + patch, max(x, 0) : x + patch] = 0
        after = np.asarray(predict(covered))
        drops.append(before[rows, favourite] - after[rows, favourite])
    return np.stack(drops, axis=1)


def class_activation(model: SceneModel, images: np.ndarray) -> np.ndarray:
    """What each place adds to the logit of the model's favourite class, for average pooling.

    The head is linear, so the logit is the mean over places of `place · (the favourite's column)`.

    Returns:
        float `(B, S)`.

    Raises:
        ValueError: if the model does not pool by the average.

    Source: Zhou et al. 2016, "Learning Deep Features for Discriminative Localization".
    """
    if model.kind != "average":
        raise ValueError(f"class activation maps need average pooling, not {model.kind!r}")
    places = to_numpy(model.encode(images))
    favourite = to_numpy(model.read(places)[0]).argmax(axis=1)
    return np.einsum("bsc,cb->bs", places, np.asarray(model.head.kernel)[:, favourite])


def to_picture(weights: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Weights `(…, S)` of a square map → `(…, side, side)`, each place as a square patch."""
    weights = np.asarray(weights)
    S = weights.shape[-1] if weights.ndim else 0
    h = round(S**0.5)
    if not h or h * h != S or side % h:
        raise ValueError(f"S = {S} places do not make a square map in {side} pixels")
    maps = weights.reshape(*weights.shape[:-1], h, h)
    return maps.repeat(side // h, axis=-2).repeat(side // h, axis=-1)
