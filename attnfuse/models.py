"""Keras 3 models: the finished versions that lessons train and later lessons build on.

Letters: B batch, T target positions, S source positions, D width.
"""

from typing import NamedTuple

import numpy as np

from attnfuse import training
from attnfuse.data.number_words import END, PAD, START, Pairs, exact_match, shift_targets
from attnfuse.layers import (
    AdditiveAttention,
    MultiplicativeAttention,
    OfTwo,
    must_have_positions,
    serialisable,
    to_numpy,
)
from attnfuse.own import course_version
from attnfuse.settings import quiet

with quiet():
    import keras
    from keras import ops


class Memory(NamedTuple):
    """What the encoder leaves for the decoder.

    `states (B, S, D)`, one per letter; `mask (B, S)`, True where there is a letter; `summary (B, D)`.
    """

    states: object
    mask: object
    summary: object


@serialisable
class Seq2Seq(OfTwo, keras.Model):
    """A bidirectional GRU reads letters, a GRU writes words, with or without attention.

    In Luong's arrangement: the decoder's state asks, the context joins it *before* the word is chosen and
    does not flow back into the state, so that all positions of a known target are computed at once.
    Without attention the encoder's summary is handed to the decoder again at every step.

    Args:
        letters, words: how many source and target tokens there are.
        attention: `"additive"`, `"multiplicative"` or None.
        width: D; both directions of the encoder together are D wide.

    Called with `[source (B, S), decoder_input (B, T)]`; returns logits `(B, T, words)`. Raises
    `ValueError` if either is empty, or the batches differ.

    Sources: Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder" (summary at
    every step); Bahdanau et al. 2015; Luong et al. 2015.
    """

    arguments = ("letters", "words", "attention", "width")

    def __init__(self, letters, words, attention=None, width=64, **options):
        super().__init__(**options)
        self.letters, self.words, self.attention, self.width = letters, words, attention, width
        same = {"dtype": self.dtype_policy}
        gru = {"return_sequences": True, "return_state": True, **same}
        self.embed_letter = keras.layers.Embedding(letters, width, **same)
        self.embed_word = keras.layers.Embedding(words, width, **same)
        self.encoder = keras.layers.Bidirectional(keras.layers.GRU(width // 2, **gru), **same)
        self.bridge = keras.layers.Dense(width, activation="tanh", **same)
        self.decoder = keras.layers.GRU(width, **gru)
        self.attend = {
            None: lambda: None,
            "additive": lambda: AdditiveAttention(width, **same),
            "multiplicative": lambda: MultiplicativeAttention(**same),
        }[attention]()
        self.hidden = keras.layers.Dense(width, activation="tanh", **same)
        self.choose = keras.layers.Dense(words, **same)
        self([np.ones((1, 2), np.int32), np.ones((1, 2), np.int32)])  # builds every layer

    def encode(self, source) -> Memory:
        """Letters `(B, S)` → `Memory`."""
        source = ops.convert_to_tensor(source)
        must_have_positions("source", source)
        mask = ops.not_equal(source, PAD)
        states, forwards, backwards = self.encoder(self.embed_letter(source), mask=mask)
        summary = self.bridge(ops.concatenate([forwards, backwards], axis=-1))
        return Memory(states, mask, summary)

    def decode(self, decoder_input, memory: Memory, state):
        """Write on from `state` after having read `decoder_input`.

        Args:
            decoder_input: words `(B, T)`.
            memory: what `encode` gave.
            state: `(B, D)`; at the first word the memory's summary.

        Returns:
            `(logits, weights, state)`: `(B, T, words)`; `(B, T, S)`, or None without attention;
            `(B, D)` to go on from.
        """
        decoder_input = ops.convert_to_tensor(decoder_input)
        must_have_positions("decoder_input", decoder_input)
        x = self.embed_word(decoder_input)
        if self.attend is None:
            again = ops.zeros_like(x) + memory.summary[:, None]
            states, state = self.decoder(ops.concatenate([x, again], -1), initial_state=state)
            return self.choose(self.hidden(states)), None, state
        states, state = self.decoder(x, initial_state=state)
        context, weights = self.attend(states, memory.states, mask=memory.mask[:, None])
        both = ops.concatenate([states, context], axis=-1)
        return self.choose(self.hidden(both)), weights, state

    def call(self, inputs):
        source, decoder_input = inputs
        memory = self.encode(source)
        return self.decode(decoder_input, memory, memory.summary)[0]

    def compute_output_spec(self, inputs, **options):
        return self._spec(*inputs[1].shape, self.words)


def fit_pairs(
    model,
    train: Pairs,
    validation: Pairs,
    *,
    epochs: int,
    learning_rate: float = 8e-3,
    batch_size: int = 64,
    shifted: bool = True,
    name: str = "training",
) -> dict[str, list[float]]:
    """Teach a model to translate, the right words before its eyes (teacher forcing).

    Args:
        model: called with `[source, decoder_input]`, returns logits `(B, T, words)`.
        train, validation: pairs.
        epochs: passes over `train` (one in quick mode).
        learning_rate: Adam's, after a short warm-up; it falls along a cosine.
        batch_size: pairs per step.
        shifted: False shows the decoder the word that it is to write.
        name: the word in front of the progress line.

    Returns:
        the history; `"val_exact"` is the share of validation pairs with every word right, given the
        right words before it, `"seconds"` the training time so far.

    Raises:
        ValueError: if either part holds no pairs.
    """
    training.must_hold_rows(train=train.target, validation=validation.target)
    steps = -(-len(train.target) // batch_size) * epochs
    training.compile_for_logits(model, steps, learning_rate, steps // 20, clipnorm=1.0)
    read = shift_targets(train.target) if shifted else train.target
    counts = train.target != PAD  # what stands behind END is not asked for
    exact: list[float] = []

    def validate(epoch, logs):
        predicted = teacher_forced(model, validation, shifted)
        exact.append(float(exact_match(predicted, validation.target).mean()))

    history = training.fit(
        model,
        [train.source, read],
        train.target,
        sample_weight=counts.astype("float32"),
        epochs=epochs,
        batch_size=batch_size,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=validate)],
        name=name,
    )
    return {**history, "val_exact": exact}


def teacher_forced(model, pairs: Pairs, shifted: bool = True) -> np.ndarray:
    """The word chosen at each position, given the right words before it (or, unshifted, at it).

    Returns:
        int `(pairs, T)`.
    """
    read = shift_targets(pairs.target) if shifted else pairs.target
    return chosen(model, pairs.source, read)


def free_running(model, source: np.ndarray, longest: int = 8) -> np.ndarray:
    """The words a model writes by itself, each read back before the next (greedy decoding).

    Works for every model that is called with `[source, decoder_input]`. All words are computed anew
    at each step, which costs time and needs no state; what stands behind END has no meaning.

    Returns:
        int `(pairs, longest)`.
    """
    read = np.full((len(source), longest), START, np.int32)
    written = np.zeros((len(source), longest), np.int32)
    if not len(source):
        return written
    for t in range(longest):
        written = chosen(model, source, read)
        if t + 1 < longest:
            read[:, t + 1] = written[:, t]
    return written


def chosen(model, source, read) -> np.ndarray:
    """The most probable token at each position: int `(B, T)`."""
    return to_numpy(ops.convert_to_tensor(model.predict_on_batch([source, read]))).argmax(axis=-1)


@course_version
def greedy_decode(step, state, longest: int) -> list[int]:
    """Write word after word, the most probable each time, until END.

    Args:
        step: function `(token, state) → (logits, state)`: reads one word, scores the next.
        state: the state before START is read.
        longest: the most words to write.

    Returns:
        the words, without START and END.
    """
    token, written = START, []
    while len(written) < longest:
        logits, state = step(token, state)
        token = int(np.argmax(logits))
        if token == END:
            break
        written.append(token)
    return written


def reader(model: Seq2Seq, source: np.ndarray):
    """Encode one source `(S,)`; returns `(step, state)` for `greedy_decode`."""
    memory = model.encode(np.asarray(source)[None])

    def step(token, state):
        logits, _, state = model.decode(np.array([[token]], np.int32), memory, state)
        return to_numpy(logits)[0, 0], state

    return step, memory.summary


def greedy_recurrent(model: Seq2Seq, source: np.ndarray, longest: int = 10) -> np.ndarray:
    """`free_running` for `Seq2Seq`, faster: it goes on from its state, one token at a time.

    Returns:
        int `(B, longest)`; what stands behind END has no meaning.
    """
    written = np.full((len(source), longest + 1), START, np.int32)
    if not len(source):
        return written[:, 1:]
    memory = model.encode(source)
    state = memory.summary
    for t in range(longest):
        logits, _, state = model.decode(written[:, t : t + 1], memory, state)
        written[:, t + 1] = to_numpy(logits)[:, 0].argmax(axis=-1)
    return written[:, 1:]


def alignment(model: Seq2Seq, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The weights `(B, T, S)` with which a model reads `source (B, S)` while it writes `target (B, T)`.

    Raises:
        ValueError: if the model has no attention.
    """
    if model.attend is None:
        raise ValueError("a model without attention has no weights")
    memory = model.encode(source)
    return to_numpy(model.decode(shift_targets(target), memory, memory.summary)[1])
