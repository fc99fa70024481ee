"""Drivers of lesson 09: a function by position, and a fusion layer with given factors."""

import numpy as np

from attnfuse.driving.layers import in_plain_words, keras_module, make_layer, set_weights


def corners(candidate, model, image, other_image, text, other_text):
    """The lesson calls it by position, so that the order of the arguments counts."""
    return candidate(model, image, other_image, text, other_text)


def low_rank(candidate, image, text, image_factors, text_factors):
    """The layer's result, and for each of its two weights whether a gradient reaches it."""
    import tensorflow as tf

    keras = keras_module()
    layer = make_layer(
        candidate, units=image_factors.shape[-1], rank=len(image_factors), dtype="float32"
    )
    layer.build([(None, image.shape[1]), (None, text.shape[1])])
    set_weights(layer, image_factors=image_factors, text_factors=text_factors)
    weights = [layer.image_factors, layer.text_factors]
    with tf.GradientTape() as tape, in_plain_words():
        fused = layer.call([keras.ops.convert_to_tensor(x) for x in (image, text)])
        if fused is None:
            return None
        total = keras.ops.sum(fused)
    slopes = tape.gradient(total, [weight.value for weight in weights])
    return [np.asarray(fused), np.array([slope is not None for slope in slopes], int)]
