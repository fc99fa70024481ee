"""Keras 3 layers: the finished versions that later lessons build on.

Letters: B batch, T query positions, S key positions, D width, N heads, H width of a head, V width of a
value. `mask` is bool, True where a query may attend to a key; a row without any True gives zero weights,
a zero context and zero gradients, in half precision too. Where a key carries a mask of its own (from an
`Embedding(mask_zero=True)`, say), its padding is closed as well; the query's mask is handed on.

A key that is closed to every query has no influence, whatever it holds, NaN included: neither on the
outputs nor on the gradients; nor has a query that may attend to no key. A NaN in a key that is open to
one query of an item reaches all of them, because 0 · NaN is NaN.

Scores that are dot products are computed in float32 where a layer computes in half precision.
"""

import numpy as np

from attnfuse.own import course_version
from attnfuse.settings import quiet

with quiet():
    import keras
    from keras import ops

serialisable = keras.saving.register_keras_serializable(package="attnfuse")


def as_array(x):
    """A nested list of numbers as an array; anything else as it is."""
    first = x
    while isinstance(first, list | tuple) and len(first):
        first = first[0]
    is_list = isinstance(x, list | tuple) and isinstance(first, int | float | np.number | np.bool_)
    return np.asarray(x) if is_list else x


def to_numpy(x) -> np.ndarray:
    """A tensor as an array; half precision is widened to float32, of which NumPy knows more."""
    half = keras.backend.standardize_dtype(x.dtype) in ("float16", "bfloat16")
    return ops.convert_to_numpy(ops.cast(x, "float32") if half else x)


class Saved:
    """What the course's layers and models share, beside what Keras gives them.

    They can be saved and made again, and they take nested lists where they take arrays.
    """

    arguments: tuple[str, ...] = ()  # of __init__; the layer keeps each under its name

    def get_config(self):
        return {**super().get_config(), **{name: getattr(self, name) for name in self.arguments}}

    def __call__(self, *inputs, **options):
        inputs = map(as_array, inputs)
        return super().__call__(*inputs, **{name: as_array(x) for name, x in options.items()})

    def _cast(self, *arrays):
        """Arrays and weights in the dtype of the layer's computations.

        Keras does so inside `__call__` alone, and not with integers.
        """
        return [ops.cast(x, self.compute_dtype) for x in arrays]

    def _widened(self, *arrays):
        """The same, in float32 where computations are in half precision: a dot product can overflow there."""
        half = self.compute_dtype in ("float16", "bfloat16")
        dtype = "float32" if half else self.compute_dtype
        return [ops.cast(x, dtype) for x in self._cast(*arrays)]

    def _spec(self, *shape):
        """What stands for an output of this shape while a functional model is put together."""
        return keras.KerasTensor(shape, self.compute_dtype)


class OfTwo(Saved):
    """`Saved` for what is called with one list of two inputs; their batches must not differ."""

    def __call__(self, inputs, **options):
        inputs = [as_array(x) for x in inputs]
        sizes = [x.shape[0] for x in inputs if len(x.shape)]
        if len({B for B in sizes if B is not None}) > 1:
            raise ValueError(f"the inputs differ in their batches (axis 0): {sizes} items")
        return super().__call__(inputs, **options)


def bool_mask(mask, **sizes):
    """The mask itself, if it is bool and fits.

    Args:
        mask: broadcastable to the axes.
        sizes: name of each axis → its size, None if that is unknown.

    Raises:
        ValueError: if it is not bool, or does not fit; the message names the axis.
    """
    mask = as_array(mask)
    dtype = keras.backend.standardize_dtype(mask.dtype)
    if dtype != "bool":
        raise ValueError(
            f"mask must be bool, True where attention is allowed, got {dtype}; for 0 and 1 write `mask == 1`"
        )
    shape, names = tuple(mask.shape), list(sizes)
    if len(shape) > len(names):
        raise ValueError(f"mask must be ({', '.join(names)}), got shape {shape}")
    for axis in range(-len(shape), 0):
        name = names[axis]
        if shape[axis] != 1 and not same_size(shape[axis], sizes[name]):
            hint = "; a padding mask (B, S) is passed as mask[:, None]" if "query" in names else ""
            raise ValueError(
                f"mask has {shape[axis]} on the {name} axis ({axis}), expected {sizes[name]}{hint}"
            )
    return mask


def same_size(a, b) -> bool:
    """Two sizes are one, as far as they are known."""
    return a is None or b is None or a == b


def must_have_positions(name: str, x) -> None:
    """Raise ValueError if `x (B, T, …)` is an empty sequence."""
    if x.shape[1] == 0:
        raise ValueError(f"{name} is an empty sequence: no positions on axis 1")


def without_closed(mask, x, axis: int = -1):
    """Zero the positions of `x (B, S, D)` that no query may attend to.

    A weight of 0 does not do it: 0 · NaN is NaN, in the products of the gradient, too.

    Args:
        mask: bool, broadcastable to `(B, T, S)` or `(B, N, T, S)`, or None.
        x: keys or values; with `axis` -2 queries `(B, T, D)`: zeroed are those that may attend to no key.
        axis: the mask's axis for the positions of `x`.
    """
    if mask is None:
        return x
    while len(mask.shape) < 3:
        mask = mask[None]
    others = set(range(1, len(mask.shape))) - {len(mask.shape) + axis}
    some = ops.any(mask, axis=tuple(others))  # (B, S)
    return ops.where(some[..., None], x, ops.zeros_like(x))


@course_version
def masked_softmax(scores, mask=None):
    """Weights from scores, computed in float32 where the scores are narrower.

    Args:
        scores: float `(..., T, S)`.
        mask: optional bool, broadcastable to `scores`, True where attention is allowed.

    Returns:
        weights `(..., T, S)` in the scores' dtype. A row without an allowed key is all zeros, and so
        is its gradient.

    Raises:
        ValueError: if the mask is not bool, or does not fit.
    """
    scores = ops.convert_to_tensor(scores)
    if not keras.backend.is_float_dtype(scores.dtype):
        scores = ops.cast(scores, keras.config.floatx())
    dtype = keras.backend.standardize_dtype(scores.dtype)
    if dtype in ("float16", "bfloat16"):
        scores = ops.cast(scores, "float32")
    alone = scores.shape[-1] == 1  # one key gets all; Keras warns of a softmax over it
    if mask is None:
        weights = 0 * scores + 1 if alone else ops.softmax(scores, axis=-1)
        return ops.cast(weights, dtype)
    names = [*(f"leading {i}" for i in range(len(scores.shape) - 2)), "query", "key"]
    mask = bool_mask(mask, **dict(zip(names, scores.shape, strict=True)))
    closed = ops.cast(-1e30, scores.dtype)  # finite: a row of infinities would be 0/0
    scores = ops.where(mask, scores, closed)
    weights = 0 * scores + 1 if alone else ops.softmax(scores, axis=-1)
    return ops.cast(ops.where(mask, weights, ops.zeros_like(weights)), dtype)


@course_version
def causal_mask(T, S):
    """Bool `(T, S)`: query t may attend to keys 0 … t, both counted from their start."""
    return ops.arange(T)[:, None] >= ops.arange(S)[None]


class _Attention(Saved, keras.layers.Layer):
    """What the layers below share: they refuse what does not fit, and join all masks."""

    supports_masking = True

    def compute_mask(self, query, previous_mask=None):
        return getattr(query, "_keras_mask", None)  # the context has the query's positions

    def _must_fit(self, query, key, value, widths=None):
        """Raise ValueError, naming the axis, unless the shapes fit each other (and the weights)."""
        named = {"query": query, "key": key, "value": value}
        for name, x in named.items():
            if len(x.shape) != 3:
                raise ValueError(
                    f"{name} must have three axes (batch, positions, width), got shape "
                    f"{tuple(x.shape)}; without a position axis attention would run across the batch"
                )
            must_have_positions(name, x)
            if not same_size(x.shape[0], query.shape[0]):
                raise ValueError(
                    f"{name} has {x.shape[0]} items (axis 0, batch), query {query.shape[0]}"
                )
        if not same_size(key.shape[1], value.shape[1]):
            raise ValueError(
                f"key has {key.shape[1]} positions (axis 1), value {value.shape[1]}: each key has one value"
            )
        for name, width in (widths or {}).items():
            if not same_size(named[name].shape[-1], width):
                raise ValueError(
                    f"{name} is {named[name].shape[-1]} wide (axis -1), expected {width}"
                )

    def _without_closed(self, mask, query, key, value):
        """What may neither attend nor be attended to is zeroed: a NaN there would reach the gradients."""
        query = without_closed(mask, query, axis=-2)
        return query, without_closed(mask, key), without_closed(mask, value)

    def _all_masks(self, query, key, masks, causal=False, heads=None):
        """One bool mask, broadcastable to `(B, T, S)` or `(B, N, T, S)`, or None.

        Args:
            masks: the explicit mask, or None, and then masks `(B, S)` of keys, or None.
            heads: N, if the scores have an axis for heads.
        """
        explicit, *padding = masks
        (B, T), S = query.shape[:2], key.shape[1]
        joined = [bool_mask(mask, batch=B, key=S)[:, None] for mask in padding if mask is not None]
        if explicit is not None:
            four = heads and len(explicit.shape) == 4
            sizes = {"batch": B, **({"head": heads} if four else {}), "query": T, "key": S}
            joined.append(bool_mask(explicit, **sizes))
        if causal:
            joined.append(causal_mask(ops.shape(query)[1], ops.shape(key)[1]))
        total = None
        for mask in joined:
            if heads and len(mask.shape) == 3:
                mask = mask[:, None]
            total = mask if total is None else ops.logical_and(total, mask)
        return total


class Attend(_Attention):
    """Scores → weights → context; a subclass says how a query is scored against a key.

    Called with `query (B, T, D)`, `key (B, S, D)`, optionally `value (B, S, V)` (else the key is the
    value, too), `mask`, bool, broadcastable to `(B, T, S)`, and `causal`. Returns `(context, weights)`,
    `(B, T, V)` and `(B, T, S)`, or the context alone with `return_weights=False`.

    Raises:
        ValueError: if the shapes do not fit (the message names the axis), or a sequence is empty.
    """

    def build(self, query_shape, key_shape=None, value_shape=None):
        pass

    def scores(self, query, key):
        """Scores `(B, T, S)`; dot products in float32 at least."""
        raise NotImplementedError

    def call(
        self,
        query,
        key,
        value=None,
        mask=None,
        causal=False,
        return_weights=True,
        key_mask=None,
        value_mask=None,
    ):
        query, key, value = self._cast(query, key, key if value is None else value)
        self._must_fit(query, key, value, self._widths(query))
        mask = self._all_masks(query, key, (mask, key_mask, value_mask), causal)
        query, key, value = self._without_closed(mask, query, key, value)
        weights = ops.cast(masked_softmax(self.scores(query, key), mask), self.compute_dtype)
        context = ops.matmul(weights, value)
        return (context, weights) if return_weights else context

    def compute_output_spec(self, query, key, value=None, return_weights=True, **options):
        value = key if value is None else value
        self._must_fit(query, key, value, self._widths(query))
        context = self._spec(*query.shape[:2], value.shape[-1])
        weights = self._spec(*query.shape[:2], key.shape[1])
        return (context, weights) if return_weights else context

    def _widths(self, query):
        """The widths that `scores` expects."""
        return {}


@serialisable
class AdditiveAttention(Attend):
    """score(q, k) = v · tanh(W q + U k).

    Args:
        units: the width of the hidden layer in which query and key meet.

    Source: Bahdanau, Cho & Bengio 2015, "Neural Machine Translation by Jointly Learning to Align
    and Translate", appendix A.1.2. (Keras's layer of this name has neither W nor U.)
    """

    arguments = ("units",)

    def __init__(self, units: int, **options):
        super().__init__(**options)
        self.units = units

    def build(self, query_shape, key_shape=None, value_shape=None):
        width = query_shape[-1]
        wide = width if key_shape is None else key_shape[-1]
        self.query_matrix = self.add_weight(shape=(width, self.units), name="query_matrix")
        self.key_matrix = self.add_weight(shape=(wide, self.units), name="key_matrix")
        self.vector = self.add_weight(
            shape=(self.units,), name="vector", initializer=keras.initializers.RandomNormal(0, 0.1)
        )

    def _widths(self, query):
        return {"query": self.query_matrix.shape[0], "key": self.key_matrix.shape[0]}

    @course_version
    def scores(self, query, key):
        query, key, W, U = self._cast(query, key, self.query_matrix, self.key_matrix)
        [vector] = self._cast(self.vector)
        q = ops.matmul(query, W)[:, :, None]  # (B, T, 1, units)
        k = ops.matmul(key, U)[:, None]  # (B, 1, S, units)
        return ops.sum(vector * ops.tanh(q + k), axis=-1)


@serialisable
class MultiplicativeAttention(Attend):
    """score(q, k) = q · W k / √D, "general" in Luong's words; the √D is lesson 02's.

    Source: Luong, Pham & Manning 2015, "Effective Approaches to Attention-based Neural Machine
    Translation", section 3.1 (there without the √D).
    """

    def build(self, query_shape, key_shape=None, value_shape=None):
        width = query_shape[-1]
        wide = width if key_shape is None else key_shape[-1]
        self.matrix = self.add_weight(shape=(width, wide), name="matrix")

    def _widths(self, query):
        return dict(zip(("query", "key"), self.matrix.shape, strict=True))

    @course_version
    def scores(self, query, key):
        query, key, W = self._widened(query, key, self.matrix)
        scaled = query / query.shape[-1] ** 0.5  # first: a product can overflow
        return ops.matmul(ops.matmul(scaled, W), ops.transpose(key, (0, 2, 1)))


@serialisable
class ScaledDotProductAttention(Attend):
    """score(q, k) = q · k / √D: nothing to learn; query and key have the same width.

    Source: Vaswani et al. 2017, "Attention Is All You Need", eq. 1.
    """

    def _widths(self, query):
        return {"key": query.shape[-1]}

    @course_version
    def scores(self, query, key):
        query, key = self._widened(query, key)
        scale = query.shape[-1] ** -0.5  # on the query: a product can overflow
        return ops.matmul(query * scale, ops.transpose(key, (0, 2, 1)))


@serialisable
class MultiHeadAttention(_Attention):
    """Project, split into heads, attend in each, merge, project.

    Args:
        heads: N.
        width: D = N·H, of the projections together and of the output.
        bias: add a bias after each of the four projections.
        dropout: the share of weights that is dropped in training.

    Called with

        query: float `(B, T, ...)`.
        key: float `(B, S, ...)`; the widths of query, key and value are free.
        value: float `(B, S, ...)`; the key if None.
        mask: bool, broadcastable to `(B, T, S)`, or with four axes to `(B, N, T, S)`. A row without any
            True gives zero weights; its output is then the output projection's bias.
        causal: query t sees keys 0 … t only, counted from the start of both.
        return_weights: return the weights, too.

    Returns the output `(B, T, D)`; with `return_weights`, `(output, weights)`, `(B, T, D)` and
    `(B, N, T, S)`.

    Raises:
        ValueError: if the shapes do not fit (the message names the axis), or a sequence is empty.

    For decoding word by word, `project_query`, `project_memory` and `attend` do the parts of a call.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.2.
    """

    arguments = ("heads", "width", "bias", "dropout")

    def __init__(self, heads: int, width: int, bias: bool = True, dropout: float = 0.0, **options):
        super().__init__(**options)
        if heads < 1 or width < 1 or width % heads:
            raise ValueError(f"the width {width} cannot be cut into {heads} equal heads")
        self.heads, self.width, self.bias, self.dropout = heads, width, bias, dropout
        self.drop = keras.layers.Dropout(dropout, dtype=self.dtype_policy) if dropout else None

    def build(self, query_shape, key_shape, value_shape=None):
        value_shape = key_shape if value_shape is None else value_shape
        self.query_matrix, self.query_bias = self._weights("query", query_shape[-1])
        self.key_matrix, self.key_bias = self._weights("key", key_shape[-1])
        self.value_matrix, self.value_bias = self._weights("value", value_shape[-1])
        self.output_matrix, self.output_bias = self._weights("output", self.width)

    def _weights(self, name, wide):
        matrix = self.add_weight(shape=(wide, self.width), name=f"{name}_matrix")
        if not self.bias:
            return matrix, None
        return matrix, self.add_weight(
            shape=(self.width,), name=f"{name}_bias", initializer="zeros"
        )

    def _project(self, x, matrix, bias):
        x = ops.matmul(*self._cast(x, matrix))
        return x if bias is None else x + self._cast(bias)[0]

    def _split(self, x):
        """`(B, T, N·H)` → `(B, N, T, H)`."""
        T, H = ops.shape(x)[1], self.width // self.heads
        return ops.transpose(ops.reshape(x, (-1, T, self.heads, H)), (0, 2, 1, 3))

    @course_version
    def project_query(self, query):
        """Query `(B, T, ...)` → `(B, N, T, H)`, already divided by √H."""
        query = self._project(query, self.query_matrix, self.query_bias)
        return self._split(query * (self.width // self.heads) ** -0.5)

    @course_version
    def project_memory(self, key, value=None):
        """Keys and values `(B, N, S, H)` of what is attended to; they can be kept and reused."""
        value = key if value is None else value
        return (
            self._split(self._project(key, self.key_matrix, self.key_bias)),
            self._split(self._project(value, self.value_matrix, self.value_bias)),
        )

    @course_version
    def attend(self, query, keys, values, mask=None, training=None):
        """Projected query `(B, N, T, H)`, keys and values `(B, N, S, H)` → `(output, weights)`.

        `mask` is bool, broadcastable to `(B, N, T, S)`.
        """
        wide, wide_keys = self._widened(query, keys)
        scores = ops.matmul(wide, ops.transpose(wide_keys, (0, 1, 3, 2)))
        weights = ops.cast(masked_softmax(scores, mask), self.compute_dtype)
        used = weights if self.drop is None else self.drop(weights, training=training)
        context = ops.transpose(ops.matmul(used, values), (0, 2, 1, 3))  # (B, T, N, H)
        merged = ops.reshape(context, (-1, ops.shape(context)[1], self.width))
        return self._project(merged, self.output_matrix, self.output_bias), weights

    @course_version
    def call(
        self,
        query,
        key,
        value=None,
        mask=None,
        causal=False,
        return_weights=False,
        key_mask=None,
        value_mask=None,
        training=None,
    ):
        value = key if value is None else value
        matrices = {"query": self.query_matrix, "key": self.key_matrix, "value": self.value_matrix}
        self._must_fit(query, key, value, {n: matrix.shape[0] for n, matrix in matrices.items()})
        masks = (mask, key_mask, value_mask)
        mask = self._all_masks(query, key, masks, causal, heads=self.heads)
        query, key, value = self._without_closed(mask, query, key, value)
        output, weights = self.attend(
            self.project_query(query), *self.project_memory(key, value), mask, training
        )
        return (output, weights) if return_weights else output

    def compute_output_spec(self, query, key, value=None, return_weights=False, **options):
        self._must_fit(query, key, key if value is None else value)
        B, T, _ = query.shape
        output = self._spec(B, T, self.width)
        return (output, self._spec(B, self.heads, T, key.shape[1])) if return_weights else output


def keras_twin(layer):
    """Keras's own layer of this kind, with the arrays of a layer that has been called.

    Args:
        layer: a `ScaledDotProductAttention`, `AdditiveAttention` or `MultiHeadAttention`.

    Returns:
        a function `(query, key, value, key_mask=None)`, `key_mask` bool `(B, S)`, that returns the
        context and Keras's weights (which `MultiHeadAttention` computes on another path if it is not
        asked for them: closed rows are then uniform). What Keras leaves to the caller is done before:
        its `Attention` does not scale, its `AdditiveAttention` has neither W nor U.
    """
    if isinstance(layer, MultiHeadAttention):
        return _multi_head_twin(layer)
    if isinstance(layer, AdditiveAttention):
        twin = keras.layers.AdditiveAttention(dtype=layer.dtype_policy)
        twin.build([(None, None, layer.units)] * 3)
        twin.scale.assign(layer.vector)

        def prepare(query, key):
            query, W, key, U = layer._cast(query, layer.query_matrix, key, layer.key_matrix)
            return ops.matmul(query, W), ops.matmul(key, U)
    else:
        twin = keras.layers.Attention(dtype=layer.dtype_policy)

        def prepare(query, key):
            return query / query.shape[-1] ** 0.5, key

    def attend(query, key, value, key_mask=None):
        query, key = prepare(query, key)
        return twin([query, value, key], mask=[None, key_mask], return_attention_scores=True)

    return attend


def _multi_head_twin(layer):
    arrays = layer.query_matrix, layer.value_matrix, layer.key_matrix
    H = layer.width // layer.heads
    options = {"output_shape": layer.width, "use_bias": layer.bias, "dtype": layer.dtype_policy}
    twin = keras.layers.MultiHeadAttention(layer.heads, H, **options)
    twin.build(*((None, None, array.shape[0]) for array in arrays))
    pairs = zip(layer.get_weights(), twin.weights, strict=True)
    twin.set_weights([array.reshape(other.shape) for array, other in pairs])

    def attend(query, key, value, key_mask=None):
        mask = None if key_mask is None else key_mask[:, None]
        return twin(query, value, key, attention_mask=mask, return_attention_scores=True)

    return attend


@serialisable
class Positions(Saved, keras.layers.Layer):
    """Adds a learnt vector for each position to `(B, T, D)`, and hands the mask on.

    Args:
        longest: the largest T.

    Raises:
        ValueError: if the sequence is longer.
    """

    arguments = ("longest",)

    def __init__(self, longest: int, **options):
        super().__init__(**options)
        self.longest, self.supports_masking = longest, True

    def build(self, shape):
        self.table = self.add_weight(shape=(self.longest, shape[-1]), name="table")

    def call(self, x):
        self._must_fit(x.shape)
        return self._cast(x)[0] + self.table[: ops.shape(x)[1]]

    def compute_output_shape(self, shape):
        self._must_fit(shape)
        return shape

    def _must_fit(self, shape):
        if shape[1] is not None and shape[1] > self.longest:
            raise ValueError(f"{shape[1]} positions (axis 1), at most {self.longest}")
