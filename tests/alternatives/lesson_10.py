"""Right answers written differently: every one must pass."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from attnfuse import attention


def ask_softmax(words, patches, query_matrix, key_matrix, value_matrix, mask=None):
    query = ops.matmul(words, query_matrix) / query_matrix.shape[1] ** 0.5
    key, value = ops.matmul(patches, key_matrix), ops.matmul(patches, value_matrix)
    scores = ops.einsum("bth,bsh->bts", query, key)
    if mask is None:
        weights = ops.softmax(scores)
    else:
        open_to = ops.expand_dims(mask, 1)
        weights = ops.softmax(ops.where(open_to, scores, -1e30))
        weights = ops.where(open_to, weights, ops.zeros_like(weights))
    return ops.einsum("bts,bsv->btv", weights, value), weights


def ask_tensorflow(words, patches, query_matrix, key_matrix, value_matrix, mask=None):
    """TensorFlow's own names; the values are projected after they were mixed."""
    scores = tf.matmul(words @ query_matrix, patches @ key_matrix, transpose_b=True)
    scores /= tf.sqrt(tf.cast(tf.shape(key_matrix)[1], scores.dtype))
    counts = tf.ones_like(scores)
    if mask is not None:
        counts *= tf.cast(mask[:, tf.newaxis, :], scores.dtype)
    weights = tf.nn.softmax(scores - (1 - counts) * 1e30) * counts
    return (weights @ patches) @ value_matrix, weights


def ask_by_hand(words, patches, query_matrix, key_matrix, value_matrix, mask=None):
    """Exponentials relative to the largest open score."""
    query, key, value = words @ query_matrix, patches @ key_matrix, patches @ value_matrix
    scores = query @ ops.transpose(key, (0, 2, 1)) / query.shape[-1] ** 0.5
    counts = 1.0 if mask is None else ops.cast(mask[:, None], scores.dtype)
    scores = scores - (1 - counts) * 1e30
    powers = ops.exp(scores - ops.max(scores, axis=-1, keepdims=True)) * counts
    weights = powers / ops.maximum(ops.sum(powers, axis=-1, keepdims=True), 1e-30)
    return [weights @ value, weights]


def both_ways_one_mask(scores, words, patches, word_mask, patch_mask):
    pairs = word_mask[:, :, None] & patch_mask[:, None]
    seen = attention.softmax(scores, pairs) @ patches
    turned = attention.softmax(scores.transpose(0, 2, 1), pairs.transpose(0, 2, 1))
    return seen, turned @ words


def both_ways_pooling(scores, words, patches, word_mask, patch_mask):
    """The other side's padding is closed, then padded rows are set to zero."""
    seen, _ = attention.attention_pooling(scores, patches, patch_mask[:, None])
    read, _ = attention.attention_pooling(np.swapaxes(scores, 1, 2), words, word_mask[:, None])
    return seen * word_mask[..., None], read * patch_mask[..., None]


def both_ways_loops(scores, words, patches, word_mask, patch_mask):
    B, T, S = scores.shape
    seen, read = np.zeros((B, T, patches.shape[-1])), np.zeros((B, S, words.shape[-1]))
    for b in range(B):
        t, s = np.flatnonzero(word_mask[b]), np.flatnonzero(patch_mask[b])
        if not len(t) or not len(s):
            continue
        table = scores[b][np.ix_(t, s)]
        rows = np.exp(table - table.max(axis=1, keepdims=True))
        seen[b, t] = rows / rows.sum(axis=1, keepdims=True) @ patches[b, s]
        columns = np.exp(table - table.max(axis=0))
        read[b, s] = (columns / columns.sum(axis=0)).T @ words[b, t]
    return seen, read


def modalities_stack(image, text, sound, present):
    x = np.stack([image, text, sound], axis=1)
    scores = x @ np.swapaxes(x, 1, 2) / np.sqrt(x.shape[-1])
    return attention.softmax(scores, present[:, :, None] & present[:, None, :])


def modalities_attention(image, text, sound, present):
    x = np.concatenate([v[:, None] for v in (image, text, sound)], axis=1)
    _, weights = attention.scaled_dot_product_attention(
        query=x, key=x, value=x, mask=present[:, None]
    )
    return weights * present[..., None]


def modalities_loop(image, text, sound, present):
    weights = []
    for *vectors, there in zip(image, text, sound, present, strict=True):
        x = np.array(vectors)
        scores = np.where(there, x @ x.T / x.shape[1] ** 0.5, -np.inf)
        table = np.zeros((3, 3))
        for m in np.flatnonzero(there):
            powers = np.exp(scores[m] - scores[m].max())
            table[m] = powers / powers.sum()
        weights.append(table)
    return weights


class GateAtZero(keras.layers.Layer):
    """Only the matrix starts elsewhere."""

    def __init__(self, units, dtype=None):
        super().__init__(dtype=dtype)
        self.units = units

    def build(self, words_shape, picture_shape):
        D, P = words_shape[-1], picture_shape[-1]
        self.query_matrix = self.add_weight(shape=(D, self.units), name="query_matrix")
        self.key_matrix = self.add_weight(shape=(P, self.units), name="key_matrix")
        self.output_matrix = self.add_weight(shape=(P, D), name="output_matrix")
        self.gate = self.add_weight(initializer="zeros", name="gate")

    def look(self, words, picture):
        query, key = words @ self.query_matrix, picture @ self.key_matrix
        scores = query @ ops.transpose(key, (0, 2, 1)) / self.units**0.5
        return ops.softmax(scores) @ picture @ self.output_matrix

    def call(self, words, picture):
        return words + ops.tanh(self.gate) * self.look(words, picture)


class MatrixAtZero(GateAtZero):
    """The gate starts open, at a matrix of zeros."""

    def build(self, words_shape, picture_shape):
        super().build(words_shape, picture_shape)
        self.gate.assign(ops.ones_like(self.gate))
        self.output_matrix.assign(ops.zeros_like(self.output_matrix))


class GateOfOneNumber(GateAtZero):
    """TensorFlow's names; the sum in another order."""

    def call(self, words, picture):
        scores = tf.einsum("bth,bsh->bts", words @ self.query_matrix, picture @ self.key_matrix)
        weights = tf.nn.softmax(scores / tf.sqrt(float(self.units)))
        shown = tf.matmul(weights, picture @ self.output_matrix)
        return tf.tanh(self.gate) * shown + words


ALTERNATIVES = {
    "ask": [ask_softmax, ask_tensorflow, ask_by_hand],
    "both_ways": [both_ways_one_mask, both_ways_pooling, both_ways_loops],
    "modalities": [modalities_stack, modalities_attention, modalities_loop],
    "join_cost": [(46656, 4320, 2352), [46656, 4320, 2352.0]],
    "dead_gate": [GateAtZero, MatrixAtZero, GateOfOneNumber],
}
