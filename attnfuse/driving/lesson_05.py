"""Drivers of lesson 05: layers and functions are made, weighed and called."""

import numpy as np

from attnfuse.driving.answer import Unusable
from attnfuse.driving.layers import keras_module, make_layer, pair, set_weights


def scaled_dot(candidate, query, key, value, mask=None):
    """The layer's context and weights, and the gradient of the context's sum by the query."""
    keras_module()
    import tensorflow as tf

    layer = make_layer(candidate, dtype=str(query.dtype))
    query = tf.constant(query)
    with tf.GradientTape() as tape:
        tape.watch(query)
        outputs = layer(query, tf.constant(key), tf.constant(value), mask=mask)
        found = pair(outputs)
        if found is None:
            return None
        total = tf.reduce_sum(tf.cast(outputs[0], tf.float32))
    gradient = tape.gradient(total, query)
    if gradient is None:
        raise Unusable(
            "No gradient reaches the query: somewhere `call` leaves TensorFlow. Use `ops`, not NumPy, and "
            "no bool array as a factor: `weights * mask` is NumPy's; `ops.where` is not."
        )
    return *found, np.asarray(gradient)


def additive(candidate, query, key, value, **weights):
    """Context, weights, and what of the layer survives `get_config` and `from_config`."""
    units = len(weights["vector"])
    layer = make_layer(candidate, units=units)
    layer(query, key, value)  # makes the weights
    set_weights(layer, **weights)
    found = pair(layer(query, key, value))
    if found is None:
        return None
    return *found, made_again(make_layer(candidate, units=units, name="mine", dtype="float16"))


def made_again(layer):
    """What a layer's config lacks, what it has too much, and the layer that is made from it."""
    config = layer.get_config()
    if not isinstance(config, dict):
        return {"get_config": type(config).__name__}
    own = keras_module().layers.Layer.get_config(layer)
    facts = {
        "lacks": [name for name in ("units", "name", "dtype") if name not in config],
        "has too much": sorted(config.keys() - own.keys() - {"units"}),
    }
    try:
        again = type(layer).from_config(config)
    except Exception:
        return facts | {"made again": "an error"}
    return facts | {
        "units": getattr(again, "units", None),
        "name": again.name if again.name == layer.name else "another",
        "dtype": again.dtype_policy.name,
    }


def multi_head(candidate, query, key, value, heads, mask=None, key_mask=None, **weights):
    """Output and weights; then what a call without `return_weights` gives."""
    ops = keras_module().ops
    layer = make_layer(candidate, heads=heads, width=len(weights["output_bias"]))
    layer(query, key, value)  # makes the weights
    set_weights(layer, **weights)
    key = ops.convert_to_tensor(key)
    if key_mask is not None:
        key._keras_mask = ops.convert_to_tensor(key_mask)
    given = {} if mask is None else {"mask": mask}
    found = layer(query, key, value, **given, return_weights=True)
    found = pair(found, "(output, weights)", "With `return_weights=True`, `call`")
    if found is None:
        return None
    alone = layer(query, key, value, **given)
    several = isinstance(alone, tuple | list)
    return *found, [np.asarray(x) for x in alone] if several else np.asarray(alone)


def things(outputs):
    """However many were returned, a list of arrays; None as it is."""
    if outputs is None or outputs is Ellipsis:
        return None
    several = outputs if isinstance(outputs, tuple | list) else [outputs]
    return [None if x is None else np.asarray(x) for x in several]


def article_layer(candidate, query, values, W1_kernel, W1_bias, W2_kernel, W2_bias):
    """What `call` returns. A Dense layer that meets fewer numbers than meant gets the first rows of its
    kernel, one that meets more gets them again."""
    layer = make_layer(candidate, units=len(W1_bias))
    if layer(query, values) is None:
        return None
    for name, kernel, bias in (("W1", W1_kernel, W1_bias), ("W2", W2_kernel, W2_bias)):
        dense = getattr(layer, name, None)
        if dense is None:
            raise Unusable(f"The layer has no `{name}`. Keep `__init__` as it was printed.")
        if not dense.weights:  # never called
            continue
        meets, makes = dense.kernel.shape
        if makes != len(bias) or len(dense.weights) != 2:
            raise Unusable(f"`{name}` is to make {len(bias)}. Keep `__init__` as it was printed.")
        dense.set_weights([np.resize(kernel, (meets, makes)), bias])
    return things(layer(query, values))


def leaky_mask(candidate, x, future, padding, **weights):
    """The output of a real `keras.layers.MultiHeadAttention`, at padding set to zero."""
    D = x.shape[-1]
    layer = keras_module().layers.MultiHeadAttention(2, D // 2)
    layer.build(x.shape, x.shape)
    arrays = zip(weights.values(), layer.weights, strict=True)
    layer.set_weights([array.reshape(weight.shape) for array, weight in arrays])
    output = candidate(layer=layer, x=x, future=future, padding=padding)
    if isinstance(output, tuple | list) or np.shape(output) != x.shape:
        return output
    return np.where(padding[..., None] > 0, 0, output)


def decoder_state(candidate, words, memory, summary, query_matrix, key_matrix, vector, **gru):
    """T steps with a real GRU and the course's attention: every output and every state."""
    keras = keras_module()
    from attnfuse import layers

    (B, T, W), D = words.shape, summary.shape[-1]
    cell = keras.layers.GRU(D, return_sequences=True, return_state=True)
    cell.build((B, 1, D + W))
    cell.set_weights([gru["kernel"], gru["recurrent"], gru["bias"]])
    attend = layers.AdditiveAttention(len(vector))
    attend.build((B, 1, D), memory.shape)
    set_weights(attend, query_matrix=query_matrix, key_matrix=key_matrix, vector=vector)
    memory, state = (keras.ops.convert_to_tensor(x) for x in (memory, summary))
    steps = []
    for t in range(T):
        word = keras.ops.convert_to_tensor(words[:, t])
        returned = candidate(gru=cell, attend=attend, word=word, state=state, memory=memory)
        step = things(returned)
        if step is None or len(step) != 2 or step[0] is None or step[1] is None:
            return step
        steps.append(step)
        state = returned[1]
    return [np.stack(parts, axis=1) for parts in zip(*steps, strict=True)]
