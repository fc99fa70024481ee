"""Right answers to the exercises of lesson 05, written differently."""

import numpy as np

from attnfuse.driving.layers import keras_module


def _ops():
    return keras_module().ops


def lazy_layer(call, arguments=(), **methods):
    """A class that makes a Keras layer with this `call` (defined only now, so that importing is fast)."""

    def new(cls, **options):
        Layer = keras_module().layers.Layer

        def __init__(self, **options):
            given = {name: options.pop(name) for name in arguments}
            Layer.__init__(self, **options)
            for name, value in given.items():
                setattr(self, name, value)

        return type("Mine", (Layer,), {"__init__": __init__, "call": call, **methods})(**options)

    return type(call.__name__, (), {"__new__": new})


# --- scaled_dot_layer


def _dot_added(self, query, key, value, mask=None):
    ops = _ops()
    scores = ops.einsum("bth,bsh->bts", query * query.shape[-1] ** -0.5, key)
    if mask is not None:
        allowed = ops.cast(mask, scores.dtype)
        weights = ops.softmax(scores + 1e4 * allowed) * allowed
    else:
        weights = ops.softmax(scores)
    return [ops.einsum("bts,bsv->btv", weights, value), weights]


def _dot_by_exponentials(self, query, key, value, mask=None):
    ops = _ops()
    H = ops.cast(ops.shape(query)[-1], query.dtype)
    scores = ops.matmul(query, ops.transpose(key, (0, 2, 1))) / ops.sqrt(H)
    allowed = np.array(True) if mask is None else ops.convert_to_tensor(mask)
    scores = ops.where(allowed, scores, float(np.finfo(np.float16).min))
    powers = ops.exp(scores - ops.max(scores, axis=-1, keepdims=True))
    powers = powers * ops.cast(allowed, powers.dtype)
    total = ops.sum(powers, axis=-1, keepdims=True)
    weights = powers / ops.maximum(total, ops.ones_like(total))
    return ops.matmul(weights, value), weights


def _dot_in_float32(self, query, key, value, mask=None):
    ops = _ops()
    import tensorflow as tf

    q, k = (tf.cast(x, tf.float32) for x in (query, key))
    scores = tf.matmul(q, k, transpose_b=True) / q.shape[-1] ** 0.5
    allowed = tf.ones_like(scores, tf.bool) if mask is None else tf.convert_to_tensor(mask)
    weights = tf.nn.softmax(tf.where(allowed, scores, tf.float32.min))
    weights = tf.cast(tf.where(allowed, weights, 0.0), value.dtype)
    return ops.matmul(weights, value), weights


def _dot_closed_by_infinity(self, query, key, value, mask=None):
    ops = _ops()
    scores = ops.matmul(query, ops.transpose(key, (0, 2, 1))) / query.shape[-1] ** 0.5
    if mask is not None:
        scores = ops.where(mask, scores, -np.inf)
    weights = ops.softmax(scores)
    weights = ops.where(ops.isnan(weights), ops.zeros_like(weights), weights)
    return ops.matmul(weights, value), weights


# --- additive_layer


def _config(self):
    return {**_base(self), "units": self.units}


def _base(self):
    return keras_module().layers.Layer.get_config(self)


def _config_updated(self):
    config = _base(self)
    config.update(units=self.units)
    return config


def _additive_expanded(self, query, key, value):
    ops = _ops()
    q = ops.expand_dims(ops.matmul(query, self.query_matrix), 2)
    k = ops.expand_dims(ops.matmul(key, self.key_matrix), 1)
    weights = ops.softmax(ops.sum(self.vector * ops.tanh(q + k), axis=-1))
    return ops.matmul(weights, value), weights


def _additive_einsum(self, query, key, value):
    import tensorflow as tf

    q = tf.einsum("btd,du->btu", query, self.query_matrix)
    k = tf.einsum("bsd,du->bsu", key, self.key_matrix)
    scores = tf.einsum("btsu,u->bts", tf.tanh(q[:, :, None] + k[:, None]), self.vector)
    weights = tf.nn.softmax(scores)
    return [tf.einsum("bts,bsv->btv", weights, value), weights]


def _additive_row_by_row(self, query, key, value):
    ops = _ops()
    offered, contexts, rows = ops.matmul(key, self.key_matrix), [], []
    for t in range(query.shape[1]):
        hidden = ops.tanh(ops.matmul(query[:, t : t + 1], self.query_matrix) + offered)
        row = ops.softmax(ops.squeeze(ops.matmul(hidden, self.vector[:, None]), 2))
        rows.append(row)
        contexts.append(ops.sum(row[..., None] * value, axis=1))
    return ops.stack(contexts, axis=1), ops.stack(rows, axis=1)


def _additive_build(self, query_shape, key_shape, value_shape):
    shapes = {"query_matrix": query_shape, "key_matrix": key_shape}
    for name, shape in shapes.items():
        setattr(self, name, self.add_weight(shape=(shape[-1], self.units), name=name))
    self.vector = self.add_weight(shape=(self.units,), name="vector")


def _additive(call, get_config=_config):
    return lazy_layer(call, ("units",), build=_additive_build, get_config=get_config)


# --- multi_head_layer

NAMES = ("query", "key", "value", "output")


def _heads_build(self, query_shape, key_shape, value_shape):
    shapes = (query_shape, key_shape, value_shape, (self.width,))
    for name, shape in zip(NAMES, shapes, strict=True):
        matrix = self.add_weight(shape=(shape[-1], self.width), name=f"{name}_matrix")
        bias = self.add_weight(shape=(self.width,), name=f"{name}_bias")
        setattr(self, f"{name}_matrix", matrix)
        setattr(self, f"{name}_bias", bias)


def _heads_with_einsum(self, query, key, value, mask=None, key_mask=None, return_weights=False):
    import tensorflow as tf

    N, H = self.heads, self.width // self.heads

    def project(x, name):
        matrix = tf.reshape(getattr(self, f"{name}_matrix"), (-1, N, H))
        bias = tf.reshape(getattr(self, f"{name}_bias"), (N, 1, H))
        return tf.einsum("btd,dnh->bnth", x, matrix) + bias

    q, k, v = (project(x, n) for n, x in zip(NAMES, (query, key, value)))  # noqa: B905
    scores = tf.einsum("bnth,bnsh->bnts", q, k) / H**0.5
    allowed = tf.ones_like(scores) if mask is None else tf.cast(mask, tf.float32)[:, None]
    if key_mask is not None:
        allowed *= tf.cast(key_mask, tf.float32)[:, None, None]
    weights = tf.nn.softmax(tf.where(allowed > 0, scores, tf.float32.min)) * allowed
    context = tf.einsum("bnts,bnsh->btnh", weights, v)
    matrix = tf.reshape(self.output_matrix, (N, H, -1))
    output = tf.einsum("btnh,nhd->btd", context, matrix) + self.output_bias
    return [output, weights] if return_weights else output


def _heads_one_by_one(self, query, key, value, mask=None, key_mask=None, return_weights=False):
    ops = _ops()
    from attnfuse import layers

    H, contexts, tables = self.width // self.heads, [], []
    q = ops.add(ops.matmul(query, self.query_matrix), self.query_bias)
    k = ops.add(ops.matmul(key, self.key_matrix), self.key_bias)
    v = ops.add(ops.matmul(value, self.value_matrix), self.value_bias)
    allowed = np.array([[[True]]]) if mask is None else mask
    if key_mask is not None:
        allowed = ops.logical_and(allowed, key_mask[:, None])
    for n in range(self.heads):
        mine = slice(n * H, (n + 1) * H)
        scores = ops.einsum("bth,bsh->bts", q[..., mine], k[..., mine]) / H**0.5
        tables.append(layers.masked_softmax(scores, allowed))
        contexts.append(ops.matmul(tables[-1], v[..., mine]))
    output = ops.matmul(ops.concatenate(contexts, axis=-1), self.output_matrix) + self.output_bias
    return (output, ops.stack(tables, axis=1)) if return_weights else output


def _heads(call):
    return lazy_layer(call, ("heads", "width"), build=_heads_build)


# --- article_layer


def _article_layer(call):
    """A layer with the printed `__init__` and this `call`."""

    def new(cls, units):
        keras = keras_module()

        class Attention(keras.layers.Layer):
            def __init__(self, units):
                super().__init__()
                self.units = units
                self.W1 = keras.layers.Dense(units, activation="relu")
                self.W2 = keras.layers.Dense(1)

        Attention.call = call
        return Attention(units)

    return type(call.__name__, (), {"__new__": new})


def _pairs_broadcast(self, query, values):
    ops = _ops()
    B, T, Q = query.shape
    S, D = values.shape[1:]
    asked = ops.broadcast_to(ops.expand_dims(query, 2), (B, T, S, Q))
    offered = ops.broadcast_to(ops.expand_dims(values, 1), (B, T, S, D))
    scores = ops.squeeze(self.W2(self.W1(ops.concatenate([asked, offered], axis=-1))), axis=-1)
    weights = ops.softmax(scores)
    return ops.einsum("bts,bsd->btd", weights, values), weights


def _pairs_tiled(self, query, values):
    import tensorflow as tf

    T, S = query.shape[1], values.shape[1]
    pairs = tf.concat(
        [
            tf.tile(tf.convert_to_tensor(query)[:, :, None], (1, 1, S, 1)),
            tf.tile(tf.convert_to_tensor(values)[:, None], (1, T, 1, 1)),
        ],
        -1,
    )
    weights = tf.nn.softmax(self.W2(self.W1(pairs)), axis=2)  # (B, T, S, 1)
    return tf.reduce_sum(weights * values[:, None], axis=2), tf.squeeze(weights, 3)


def _pair_by_pair(self, query, values):
    ops = _ops()
    rows = []
    for t in range(query.shape[1]):
        row = [
            self.W2(self.W1(ops.concatenate([query[:, t], values[:, s]], axis=1)))
            for s in range(values.shape[1])
        ]
        rows.append(ops.softmax(ops.concatenate(row, axis=1)))
    weights = ops.stack(rows, axis=1)
    return ops.matmul(weights, values), weights


# --- across_batch


def fuse_with_einsum(image, text):
    ops = _ops()
    keys = ops.stack([image, text], axis=1)
    weights = ops.softmax(ops.einsum("bd,bsd->bs", image, keys))
    return ops.einsum("bs,bsd->bd", weights, keys)


def fuse_by_sums(image, text):
    own, other = (image * image).sum(1), (image * text).sum(1)
    share = 1 / (1 + np.exp(other - own))[:, None]
    return share * image + (1 - share) * text


def fuse_one_by_one(image, text):
    fused = []
    for i, t in zip(image, text, strict=True):
        powers = np.exp([i @ i, i @ t])
        fused.append((powers[0] * i + powers[1] * t) / powers.sum())
    return fused


# --- leaky_mask


def mask_by_equality(layer, x, future, padding):
    closed = np.maximum(future, padding[:, None])
    return layer(x, x, attention_mask=closed == 0)


def mask_by_subtraction(layer, x, future, padding):
    allowed = (1 - future) * (1 - padding)[:, None]
    return layer(x, x, attention_mask=allowed)


def mask_by_logic(layer, x, future, padding):
    ops = _ops()
    closed = ops.logical_or(future, padding[:, None, :])
    return layer(query=x, value=x, attention_mask=ops.logical_not(closed))


def mask_by_keras(layer, x, future, padding):
    return layer(x, x, attention_mask=padding[:, None] < 1, use_causal_mask=True)


# --- decoder_state


def step_by_state(gru, attend, word, state, memory):
    context, _ = attend(state[:, None], memory)
    _, new = gru(_ops().concatenate([context, word[:, None]], axis=2), initial_state=state)
    return new, new


def step_in_a_list(gru, attend, word, state, memory):
    ops = _ops()
    context = ops.squeeze(attend(ops.expand_dims(state, 1), memory)[0], 1)
    x = ops.concatenate([context, word], axis=1)
    _, new = gru(ops.expand_dims(x, 1), initial_state=[state])
    return [new, new]


ALTERNATIVES = {
    "scaled_dot_layer": [
        lazy_layer(_dot_added),
        lazy_layer(_dot_by_exponentials),
        lazy_layer(_dot_in_float32),
        lazy_layer(_dot_closed_by_infinity),
    ],
    "additive_layer": [
        _additive(_additive_expanded),
        _additive(_additive_einsum, _config_updated),
        _additive(_additive_row_by_row),
    ],
    "forgets_query": [
        [True, True, False, True],
        np.array([True, True, False, True]),
        (1, 1, 0, 1),
    ],
    "multi_head_layer": [
        _heads(_heads_with_einsum),
        _heads(_heads_one_by_one),
    ],
    "key_bias": [["key_bias", "none"]],
    "article_layer": [
        _article_layer(_pairs_broadcast),
        _article_layer(_pairs_tiled),
        _article_layer(_pair_by_pair),
    ],
    "across_batch": [fuse_with_einsum, fuse_by_sums, fuse_one_by_one],
    "leaky_mask": [mask_by_equality, mask_by_subtraction, mask_by_logic, mask_by_keras],
    "decoder_state": [step_by_state, step_in_a_list],
}
