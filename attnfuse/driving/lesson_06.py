"""How answers of lesson 06 are called."""

import numpy as np

from attnfuse.driving.answer import Unusable
from attnfuse.driving.layers import pair, set_weights


def decoder_asks(candidate, decoder_states, encoder_states, is_letter, **weights):
    """Build the learner's layer, give it the weights, call it.

    Returns:
        `(context, weights, learns)`; `learns` is whether a gradient gets from context to query_matrix.
    """
    if not isinstance(candidate, type):
        raise Unusable("check needs the class itself, DecoderAsks, not a layer made from it.")
    inputs = (decoder_states, encoder_states, is_letter)
    layer = candidate(units=len(weights["vector"]))
    if pair(layer(*inputs)) is None:  # builds it
        return None
    set_weights(layer, **weights)
    import tensorflow as tf

    with tf.GradientTape() as tape:
        context, shares = layer(*inputs)
        context = tf.convert_to_tensor(context)
    learns = context.dtype.is_floating and (
        tape.gradient(context, layer.query_matrix.value) is not None
    )
    return np.asarray(context), np.asarray(shares), learns
