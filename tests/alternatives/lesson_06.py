"""Right answers to the exercises of lesson 06, written differently."""

import numpy as np

from attnfuse.settings import quiet

START, END = 1, 2

# --- shift_targets


def shifted_by_concatenation(target):
    start = np.full((len(target), 1), START)
    return np.concatenate([start, target[:, :-1]], axis=1)


def shifted_in_place(target):
    decoder_input = np.empty_like(target)
    decoder_input[:, 0] = START
    decoder_input[:, 1:] = target[:, :-1]
    return decoder_input


def shifted_by_roll(target):
    decoder_input = np.roll(target, 1, axis=1)
    decoder_input[:, 0] = START
    return decoder_input


def shifted_in_lists(target):
    return [[START, *row[:-1]] for row in target.tolist()]


def shifted_by_padding(target):
    return np.pad(target, ((0, 0), (1, 0)), constant_values=START)[:, : target.shape[1]]


# --- exact_match


def exact_by_or(predicted, target):
    return np.all((target == 0) | (predicted == target), axis=-1)


def exact_by_counting(predicted, target):
    wrong = (predicted != target) & (target > 0)
    return wrong.sum(axis=1) == 0


def exact_by_cutting(predicted, target):
    rows = zip(predicted.tolist(), target.tolist(), strict=True)
    return [p[: t.index(END) + 1] == t[: t.index(END) + 1] for p, t in rows]


def exact_by_closing(predicted, target):
    return (np.where(target == 0, 0, predicted) == target).all(1)


# --- decoder_asks


def _layer(rule):
    """A layer class whose `call` is `rule(layer, decoder_states, encoder_states, is_letter)`."""

    def make(units):
        with quiet():
            import keras

        class DecoderAsks(keras.layers.Layer):
            def __init__(self, units):
                super().__init__()
                self.units = units

            def build(self, decoder_states_shape, encoder_states_shape):
                shape = (decoder_states_shape[-1], self.units)
                self.query_matrix = self.add_weight(shape=shape, name="query_matrix")
                shape = (encoder_states_shape[-1], self.units)
                self.key_matrix = self.add_weight(shape=shape, name="key_matrix")
                self.vector = self.add_weight(shape=(self.units,), name="vector")

            def call(self, decoder_states, encoder_states, is_letter):
                return rule(self, decoder_states, encoder_states, is_letter)

        return DecoderAsks(units)

    # The engine is given a class; it only has to make a layer from `units`.
    return type(rule.__name__, (), {"__new__": lambda cls, units: make(units)})


def _with_where(layer, decoder_states, encoder_states, is_letter):
    from keras import ops

    q = ops.expand_dims(ops.matmul(decoder_states, layer.query_matrix), 2)
    k = ops.expand_dims(ops.matmul(encoder_states, layer.key_matrix), 1)
    scores = ops.sum(ops.tanh(q + k) * layer.vector, axis=-1)
    weights = ops.softmax(ops.where(is_letter[:, None, :], scores, -1e9), axis=-1)
    return ops.matmul(weights, encoder_states), weights


def _with_einsum(layer, decoder_states, encoder_states, is_letter):
    import tensorflow as tf

    q = tf.einsum("btd,du->btu", decoder_states, layer.query_matrix)
    k = tf.einsum("bsd,du->bsu", encoder_states, layer.key_matrix)
    scores = tf.einsum("btsu,u->bts", tf.tanh(q[:, :, None] + k[:, None]), layer.vector)
    scores += (1 - tf.cast(is_letter, tf.float32)[:, None]) * -1e9
    weights = tf.nn.softmax(scores)
    return [tf.einsum("bts,bsd->btd", weights, encoder_states), weights]


def _word_by_word(layer, decoder_states, encoder_states, is_letter):
    from keras import ops

    contexts, rows = [], []
    for t in range(decoder_states.shape[1]):
        asked = ops.matmul(decoder_states[:, t : t + 1], layer.query_matrix)
        hidden = ops.tanh(asked + ops.matmul(encoder_states, layer.key_matrix))
        powers = ops.exp(ops.matmul(hidden, layer.vector[:, None])[..., 0])
        powers = powers * ops.cast(is_letter, "float32")
        row = powers / ops.sum(powers, axis=1, keepdims=True)
        rows.append(row)
        contexts.append(ops.sum(row[:, :, None] * encoder_states, axis=1))
    return ops.stack(contexts, axis=1), ops.stack(rows, axis=1)


def _with_matmul_and_bias(layer, decoder_states, encoder_states, is_letter):
    from keras import ops

    q = ops.matmul(decoder_states, layer.query_matrix)
    k = ops.matmul(encoder_states, layer.key_matrix)
    hidden = ops.tanh(q[:, :, None, :] + k[:, None, :, :])
    scores = ops.squeeze(hidden @ ops.reshape(layer.vector, (-1, 1)), axis=-1)
    bias = ops.where(is_letter, 0.0, -np.inf)
    weights = ops.softmax(scores + bias[:, None])
    return weights @ encoder_states, weights


# --- greedy_decode


def greedy_forever(step, state, longest):
    token, written = START, []
    while len(written) < longest:
        logits, state = step(token, state)
        token = np.argmax(logits)
        if token == END:
            return written
        written.append(token)
    return written


def greedy_as_array(step, state, longest):
    written = np.zeros(longest, int)
    token = START
    for i in range(longest):
        logits, state = step(token, state)
        token = written[i] = int(np.asarray(logits).argmax())
        if token == END:
            return written[:i]
    return written


def greedy_recursive(step, state, longest, token=START):
    if longest == 0:
        return []
    logits, state = step(token, state)
    token = int(np.argmax(logits))
    return [] if token == END else [token, *greedy_recursive(step, state, longest - 1, token)]


ALTERNATIVES = {
    "shift_targets": [
        shifted_by_concatenation,
        shifted_in_place,
        shifted_by_roll,
        shifted_in_lists,
        shifted_by_padding,
    ],
    "exact_match": [exact_by_or, exact_by_counting, exact_by_cutting, exact_by_closing],
    "decoder_asks": [
        _layer(_with_where),
        _layer(_with_einsum),
        _layer(_word_by_word),
        _layer(_with_matmul_and_bias),
    ],
    "shuffled_source": [
        [False, False, True, True],
        np.array([False, False, True, True]),
        (0, 0, 1, 1),
    ],
    "greedy_decode": [greedy_forever, greedy_as_array, greedy_recursive],
}
