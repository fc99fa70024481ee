"""Right answers to the exercises of lesson 08, written differently."""

from fractions import Fraction

import numpy as np

from attnfuse.attention import softmax
from attnfuse.settings import quiet

# --- whole_picture


def with_the_keras_layer(maps):
    with quiet():
        import keras
    _, h, w, C = maps.shape
    places = keras.ops.reshape(maps, (-1, h * w, C))
    return keras.ops.reshape(keras.layers.Attention()([places, places]), (-1, h, w, C))


def with_einsum(maps):
    scores = np.einsum("bijc,bklc->bijkl", maps, maps)
    weights = softmax(scores.reshape(*maps.shape[:3], -1)).reshape(scores.shape)
    return np.einsum("bijkl,bklc->bijc", weights, maps)


def picture_by_picture(maps):
    mixed = []
    for picture in maps:
        places = picture.reshape(-1, picture.shape[-1])
        mixed.append((softmax(places @ places.T) @ places).reshape(picture.shape))
    return np.stack(mixed)


def columns_first_both_ways(maps):
    B, h, w, C = maps.shape
    places = maps.transpose(0, 2, 1, 3).reshape(B, w * h, C)
    mixed = softmax(places @ places.swapaxes(1, 2)) @ places
    return mixed.reshape(B, w, h, C).transpose(0, 2, 1, 3)


# --- query_pooling


def _layer(rule):
    """A layer class whose `call` is `rule(layer, places)`."""

    def make(units):
        with quiet():
            import keras

        class QueryPooling(keras.layers.Layer):
            def __init__(self, units):
                super().__init__()
                self.units = units

            def build(self, places_shape):
                C = places_shape[-1]
                self.key_matrix = self.add_weight(shape=(C, self.units), name="key_matrix")
                self.bias = self.add_weight(shape=(self.units,), name="bias")
                self.query = self.add_weight(shape=(self.units,), name="query")

            def call(self, places):
                return rule(self, places)

        return QueryPooling(units)

    return type(rule.__name__, (), {"__new__": lambda cls, units: make(units)})


def _with_sum(layer, places):
    from keras import ops

    keys = ops.tanh(ops.matmul(places, layer.key_matrix) + layer.bias)
    weights = ops.softmax(ops.sum(keys * layer.query, axis=-1), axis=1)
    return ops.sum(weights[..., None] * places, axis=1), weights


def _with_column(layer, places):
    from keras import ops

    keys = ops.tanh(ops.dot(places, layer.key_matrix) + layer.bias)
    weights = ops.softmax(ops.matmul(keys, layer.query[:, None]), axis=1)  # (B, S, 1)
    context = ops.matmul(ops.transpose(weights, (0, 2, 1)), places)[:, 0]
    return [context, ops.squeeze(weights, axis=-1)]


def _with_tensorflow(layer, places):
    import tensorflow as tf

    keys = tf.tanh(tf.einsum("bsc,ch->bsh", places, layer.key_matrix) + layer.bias)
    powers = tf.exp(tf.einsum("bsh,h->bs", keys, layer.query))
    weights = powers / tf.reduce_sum(powers, axis=1, keepdims=True)
    return tf.einsum("bs,bsc->bc", weights, places), weights


def _with_the_attention_layer(layer, places):
    import keras

    keys = keras.ops.tanh(places @ layer.key_matrix + layer.bias)
    query = keras.ops.broadcast_to(layer.query, (len(places), 1, layer.units))
    context, weights = keras.layers.Attention()([query, places, keys], return_attention_scores=True)
    return context[:, 0], weights[:, 0]


# --- points_at_digit


def pointing_by_comparing(weights, boxes, columns, stride):
    best = np.argmax(weights, axis=-1)
    y = best // columns * stride + stride / 2
    x = best % columns * stride + stride / 2
    return (y >= boxes[:, 0]) & (y < boxes[:, 2]) & (x >= boxes[:, 1]) & (x < boxes[:, 3])


def pointing_on_the_map(weights, boxes, columns, stride):
    hits = []
    for row, (top, left, bottom, right) in zip(weights, boxes, strict=True):
        i, j = np.unravel_index(row.argmax(), (len(row) // columns, columns))
        y, x = stride * (2 * i + 1) / 2, stride * (2 * j + 1) / 2
        hits.append(bool(top <= y < bottom and left <= x < right))
    return hits


def pointing_with_a_mask(weights, boxes, columns, stride):
    place = (np.arange(weights.shape[1]) // columns, np.arange(weights.shape[1]) % columns)
    middle = (np.stack(place, axis=1) + 0.5) * stride  # (S, 2)
    inside = (middle >= boxes[:, None, :2]) & (middle < boxes[:, None, 2:])
    return np.take_along_axis(inside.all(axis=2), weights.argmax(axis=1)[:, None], axis=1)[:, 0]


# --- occlusion


def occlusion_at_once(predict, image, patch):
    h, w = image.shape[0] // patch, image.shape[1] // patch
    covered = np.repeat(image[None], h * w, axis=0).reshape(h, w, h, patch, w, patch)
    for i in range(h):
        for j in range(w):
            covered[i, j, i, :, j] = 0
    before = np.asarray(predict(image[None]))[0]
    after = np.asarray(predict(covered.reshape(h * w, *image.shape)))
    return (before.max() - after[:, before.argmax()]).reshape(h, w)


def occlusion_with_a_mask(predict, image, patch):
    h, w = image.shape[0] // patch, image.shape[1] // patch
    before = predict(image[None])[0]
    result = []
    for place in range(h * w):
        mask = np.ones(h * w)
        mask[place] = 0
        big = np.kron(mask.reshape(h, w), np.ones((patch, patch)))
        result.append(before[before.argmax()] - predict((image * big)[None])[0][before.argmax()])
    return [result[i * w : (i + 1) * w] for i in range(h)]


def occlusion_as_dictionary(predict, image, patch):
    h, w = image.shape[0] // patch, image.shape[1] // patch
    (start,) = predict(image[np.newaxis]).tolist()
    favourite = start.index(max(start))
    lost = {}
    for i in range(h):
        for j in range(w):
            rows = (np.arange(image.shape[0]) // patch == i)[:, None]
            columns = np.arange(image.shape[1]) // patch == j
            after = predict(np.where(rows & columns, 0, image)[np.newaxis])
            lost[i, j] = start[favourite] - after[0][favourite]
    return np.array([[lost[i, j] for j in range(w)] for i in range(h)], dtype=np.float32)


ALTERNATIVES = {
    "whole_picture": [
        with_the_keras_layer,
        with_einsum,
        picture_by_picture,
        columns_first_both_ways,
    ],
    "query_pooling": [
        _layer(_with_sum),
        _layer(_with_column),
        _layer(_with_tensorflow),
        _layer(_with_the_attention_layer),
    ],
    "shuffled_places": [
        [False, True, False, False, True, False],
        np.array([False, True, False, False, True, False]),
        (0, 1, 0, 0, 1, 0),
    ],
    "pointing_by_chance": [4 / 36, 0.111, np.float32(1 / 9), 64 / 576, Fraction(1, 9)],
    "points_at_digit": [pointing_by_comparing, pointing_on_the_map, pointing_with_a_mask],
    "occlusion": [occlusion_at_once, occlusion_with_a_mask, occlusion_as_dictionary],
}
