"""Drivers of lesson 10: functions and layers get arrays, and are asked for their gradients."""

import numpy as np

from attnfuse.driving.layers import in_plain_words, keras_module, make_layer, pair, set_weights


def ask(candidate, words, patches, query_matrix, key_matrix, value_matrix, mask=None):
    """Context, weights, and for each matrix whether a gradient reaches it."""
    keras_module()
    import tensorflow as tf

    matrices = [tf.constant(x) for x in (query_matrix, key_matrix, value_matrix)]
    given = {} if mask is None else {"mask": tf.constant(mask)}
    with tf.GradientTape() as tape, in_plain_words():
        tape.watch(matrices)
        outputs = candidate(tf.constant(words), tf.constant(patches), *matrices, **given)
        found = pair(outputs, asked="`ask`")
        if found is None:
            return None
        total = sum(tf.reduce_sum(tf.sin(tf.cast(x, "float32"))) for x in outputs)
    slopes = tape.gradient(total, matrices)
    return *found, np.array([slope is not None for slope in slopes], int)


def dead_gate(candidate, words, picture, gate, **matrices):
    """Whether the layer returns the words before training, and whether any weight could move then; its
    output with given weights, and which of them a gradient reaches."""
    keras_module()
    import tensorflow as tf

    layer = make_layer(candidate, units=matrices["query_matrix"].shape[1], dtype="float32")
    words, picture = tf.constant(words), tf.constant(picture)

    def run():
        with tf.GradientTape() as tape, in_plain_words():
            output = layer(words, picture)
            if output is None:
                return None, []
            total = tf.reduce_sum(tf.sin(output))
        return output, tape.gradient(total, [weight.value for weight in layer.weights])

    output, slopes = run()
    if output is None:
        return None
    moves = any(slope is not None and float(abs(slope).numpy().max()) > 0 for slope in slopes)
    silent = float(np.abs(np.asarray(output) - np.asarray(words)).max()) <= 1e-6
    set_weights(layer, gate=gate, **matrices)
    output, slopes = run()
    reached = {
        weight.name: slope is not None for weight, slope in zip(layer.weights, slopes, strict=True)
    }
    names = ("query_matrix", "key_matrix", "output_matrix", "gate")
    learns = np.array([reached.get(name, False) for name in names], int)
    return np.array([silent], int), np.asarray(output), np.array([moves], int), learns
