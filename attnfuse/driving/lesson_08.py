"""Driver of lesson 08: a pooling layer with given weights."""

from attnfuse.driving.layers import in_plain_words, keras_module, make_layer, pair, set_weights


def query_pooling(candidate, places, **weights):
    """The layer's context and weights; a first call builds it."""
    places = keras_module().ops.convert_to_tensor(places)
    layer = make_layer(candidate, units=len(weights["query"]))
    with in_plain_words():
        layer(places)
        set_weights(layer, **weights)
        return pair(layer(places))
