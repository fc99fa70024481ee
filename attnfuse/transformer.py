"""An encoder-decoder Transformer in Keras 3, how it is trained, and how it writes.

Letters: B batch, T target positions, S source positions, D width, N heads, H width of a head. Targets
are int `(B, T)`, END behind the last token, then padding (0); `attnfuse.data.spelling` has such pairs.

Source: Vaswani et al. 2017, "Attention Is All You Need"; here every sublayer is normalised *before* it
(Xiong et al. 2020, "On Layer Normalization in the Transformer Architecture").
"""

from typing import NamedTuple

import numpy as np

from attnfuse import attention, layers, settings, training
from attnfuse.data.number_words import shift_targets
from attnfuse.data.spelling import END, PAD, START
from attnfuse.layers import OfTwo, Saved, serialisable, to_numpy
from attnfuse.own import course_version
from attnfuse.settings import quiet

with quiet():
    import keras
    from keras import ops


class Memory(NamedTuple):
    """What the encoder leaves for the decoder: `states (B, S, D)`, and `mask (B, S)`, True at letters."""

    states: object
    mask: object


class Cache(NamedTuple):
    """What a decoder keeps while it writes, per layer: keys and values `(B, N, …, H)`.

    `past`: of the tokens read so far, `(B, N, t, H)`; `letters`: of the encoder's states,
    `(B, N, S, H)`, computed once; `mask (B, 1, 1, S)`.
    """

    past: tuple
    letters: tuple
    mask: object


@serialisable
class FeedForward(Saved, keras.layers.Layer):
    """Two dense layers with a ReLU between, for every position by itself."""

    arguments = ("width", "hidden")

    def __init__(self, width: int, hidden: int, **options):
        super().__init__(**options)
        self.width, self.hidden = width, hidden
        self.widen = keras.layers.Dense(hidden, activation="relu", dtype=self.dtype_policy)
        self.narrow = keras.layers.Dense(width, dtype=self.dtype_policy)

    def build(self, shape):
        self.widen.build(shape)
        self.narrow.build((*shape[:-1], self.hidden))

    def call(self, x):
        return self.narrow(self.widen(x))

    def compute_output_shape(self, shape):
        return (*shape[:-1], self.width)


class _Sublayers(Saved, keras.layers.Layer):
    """What encoder and decoder layers share: their parts that come in numbers, and their shape."""

    arguments = ("width", "heads", "hidden", "dropout")
    supports_masking = True  # the mask of `x` travels on

    def __init__(self, width: int, heads: int, hidden: int, dropout: float = 0.0, **options):
        super().__init__(**options)
        self.width, self.heads, self.hidden, self.dropout = width, heads, hidden, dropout

    def _norms(self, number: int) -> list:
        norm = keras.layers.LayerNormalization
        return [norm(epsilon=1e-5, dtype=self.dtype_policy) for _ in range(number)]

    def _attention(self):
        return layers.MultiHeadAttention(self.heads, self.width, dtype=self.dtype_policy)

    def _rest(self):
        think = FeedForward(self.width, self.hidden, dtype=self.dtype_policy)
        return think, keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)


@serialisable
class EncoderLayer(_Sublayers):
    """Letters look at letters, then each is worked on by itself; both are added to what was there.

    Called with `x (B, S, D)` and `mask (B, S)`, True at letters; returns `(B, S, D)`. What stands at
    other positions has no influence on the letters, whatever it holds.
    """

    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self.norms = self._norms(2)
        self.look_around = self._attention()
        self.think, self.drop = self._rest()

    def build(self, x_shape, mask_shape=None):
        for layer in (*self.norms, self.think):
            layer.build(x_shape)
        self.look_around.build(x_shape, x_shape)

    def call(self, x, mask, training=None):
        mask = layers.bool_mask(mask, batch=x.shape[0], key=x.shape[1])
        x = layers.without_closed(mask[:, None], *self._cast(x))
        normed = self.norms[0](x)
        around = self.look_around(normed, normed, mask=mask[:, None])
        x = x + self.drop(around, training=training)
        return x + self.drop(self.think(self.norms[1](x)), training=training)

    def compute_output_spec(self, x, mask, **options):
        return self._spec(*x.shape)


@serialisable
class DecoderLayer(_Sublayers):
    """Tokens look back at tokens, then at the letters, then each is worked on by itself.

    Called with `x (B, T, D)`, the encoder's `states (B, S, D)` and `mask (B, S)`; returns `(B, T, D)`.
    """

    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self.norms = self._norms(3)
        self.look_back, self.look_at_letters = self._attention(), self._attention()
        self.think, self.drop = self._rest()

    def build(self, x_shape, states_shape, mask_shape=None):
        for layer in (*self.norms, self.think):
            layer.build(x_shape)
        self.look_back.build(x_shape, x_shape)
        self.look_at_letters.build(x_shape, states_shape)

    @course_version
    def call(self, x, states, mask, training=None, return_weights=False):
        mask = layers.bool_mask(mask, batch=states.shape[0], key=states.shape[1])
        [x] = self._cast(x)
        normed = self.norms[0](x)
        back = self.look_back(normed, normed, causal=True)
        x = x + self.drop(back, training=training)
        letters, weights = self.look_at_letters(
            self.norms[1](x), states, mask=mask[:, None], return_weights=True
        )
        x = x + self.drop(letters, training=training)
        x = x + self.drop(self.think(self.norms[2](x)), training=training)
        return (x, weights) if return_weights else x

    def compute_output_spec(self, x, states, mask, return_weights=False, **options):
        weights = self._spec(x.shape[0], self.heads, x.shape[1], states.shape[1])
        return (self._spec(*x.shape), weights) if return_weights else self._spec(*x.shape)

    def step(self, x, past, letters, mask):
        """The same for one new position `(B, 1, D)`; returns it and the longer `past`."""
        normed = self.norms[0](x)
        new = self.look_back.project_memory(normed)
        if past is not None:
            new = tuple(ops.concatenate(both, axis=2) for both in zip(past, new, strict=True))
        x = x + self.look_back.attend(self.look_back.project_query(normed), *new)[0]
        query = self.look_at_letters.project_query(self.norms[1](x))
        x = x + self.look_at_letters.attend(query, *letters, mask)[0]
        return x + self.think(self.norms[2](x)), new


@serialisable
class Transformer(OfTwo, keras.Model):
    """Reads letters and writes phonemes (or anything else that comes as tokens).

    Args:
        letters, tokens: how many source and target tokens there are, padding included.
        width: D.
        heads: N, a divisor of D.
        depth: layers of the encoder, and of the decoder.
        hidden: the width inside the feed-forward layers.
        dropout: the share of a sublayer's output that is dropped in training.
        positions: False leaves positions out.
        longest: the most positions, of source or target.

    Called with `[source (B, S), decoder_input (B, T)]`; returns logits `(B, T, tokens)`. Raises
    `ValueError` if either is empty, has more positions than `longest`, or the batches differ.
    """

    arguments = (
        *("letters", "tokens", "width", "heads", "depth"),
        *("hidden", "dropout", "positions", "longest"),
    )

    def __init__(
        self,
        letters: int,
        tokens: int,
        width: int = 128,
        heads: int = 4,
        depth: int = 2,
        hidden: int = 256,
        dropout: float = 0.0,
        positions: bool = True,
        longest: int = 64,
        **options,
    ):
        super().__init__(**options)
        near = keras.initializers.RandomNormal(stddev=width**-0.5)
        self.letters, self.tokens, self.width, self.heads = letters, tokens, width, heads
        self.depth, self.hidden, self.dropout = depth, hidden, dropout
        self.positions, self.longest = positions, longest
        self.places = attention.sinusoidal_positions(longest, width).astype("float32")
        same = {"dtype": self.dtype_policy}
        embedding = {"embeddings_initializer": near, **same}
        self.embed_letter = keras.layers.Embedding(letters, width, **embedding)
        self.embed_token = keras.layers.Embedding(tokens, width, **embedding)
        sizes = {"width": width, "heads": heads, "hidden": hidden, "dropout": dropout, **same}
        self.encoder = [EncoderLayer(**sizes) for _ in range(depth)]
        self.decoder = [DecoderLayer(**sizes) for _ in range(depth)]
        self.norms = [keras.layers.LayerNormalization(epsilon=1e-5, **same) for _ in range(2)]
        self.choose = keras.layers.Dense(tokens, **same)
        self([np.ones((1, 2), np.int32), np.ones((1, 2), np.int32)])  # builds every layer

    def embed(self, layer, tokens, first: int = 0):
        """Tokens `(B, T)` → `(B, T, D)`: their vectors times √D, plus a row for each place."""
        if len(tokens.shape) != 2:
            raise ValueError(f"tokens must be (B, T), got shape {tuple(tokens.shape)}")
        x = layer(tokens) * self.width**0.5
        if not self.positions:
            return x
        T = tokens.shape[1]
        if first + T > len(self.places):
            raise ValueError(f"{first + T} positions (axis 1), at most {len(self.places)}")
        return x + ops.cast(self.places[first : first + T], x.dtype)

    def encode(self, source, training=None) -> Memory:
        """Letters `(B, S)` → `Memory`."""
        source = ops.convert_to_tensor(source)
        mask = ops.not_equal(source, PAD)
        x = self.embed(self.embed_letter, source)
        for layer in self.encoder:
            x = layer(x, mask, training=training)
        return Memory(self.norms[0](x), mask)

    def decode(self, decoder_input, memory: Memory, training=None):
        """Score the next token at every position.

        Args:
            decoder_input: tokens `(B, T)`; position t sees positions 0 … t.
            memory: what `encode` gave.

        Returns:
            `(logits, weights)`: `(B, T, tokens)`, and per layer `(B, N, T, S)`, how the tokens look at
            the letters.
        """
        x, weights = self.embed(self.embed_token, ops.convert_to_tensor(decoder_input)), []
        for layer in self.decoder:
            x, looks = layer(x, *memory, training=training, return_weights=True)
            weights.append(looks)
        return self.choose(self.norms[1](x)), weights

    def call(self, inputs, training=None):
        source, decoder_input = inputs
        return self.decode(decoder_input, self.encode(source, training), training)[0]

    def compute_output_spec(self, inputs, **options):
        return self._spec(*inputs[1].shape, self.tokens)

    def begin(self, source) -> Cache:
        """Read the letters `(B, S)`; nothing is written yet."""
        memory = self.encode(source)
        letters = tuple(x.look_at_letters.project_memory(memory.states) for x in self.decoder)
        return Cache((None,) * len(self.decoder), letters, memory.mask[:, None, None])

    def step(self, token, cache: Cache):
        """Read one token per row, `(B,)`; returns `(logits, cache)`, `(B, tokens)` for the next one."""
        read = 0 if cache.past[0] is None else cache.past[0][0].shape[2]
        x = self.embed(self.embed_token, ops.convert_to_tensor(token)[:, None], first=read)
        past = []
        for layer, old, letters in zip(self.decoder, cache.past, cache.letters, strict=True):
            x, new = layer.step(x, old, letters, cache.mask)
            past.append(new)
        return self.choose(self.norms[1](x))[:, 0], cache._replace(past=tuple(past))


# -- training ---------------------------------------------------------------------------------------


@course_version
def learning_rate(step, steps: int, peak: float, warm_up: int):
    """Up in a straight line to `peak` in `warm_up` steps, then down along half a cosine.

    Args:
        step: 0 … steps-1, a number or an array of them; earlier ones get the first one's rate, later
            ones the last one's.
        steps: how many there are.
        peak: the highest rate, at step `warm_up` - 1.
        warm_up: how many steps it takes to get there, 0 for none.

    Returns:
        the rate at each step; never 0.

    Raises:
        ValueError: if there is no step, or the warm-up is longer than the training.

    Sources: Vaswani et al. 2017, section 5.3 (warm-up, there with another fall); Loshchilov and Hutter
    2017, "SGDR: Stochastic Gradient Descent with Warm Restarts" (cosine).
    """
    _must_end(steps, warm_up)
    step = np.clip(np.asarray(step) + 1.0, 1, steps)
    up = peak * step / max(warm_up, 1)
    return np.where(step <= warm_up, up, peak * (0.5 + 0.5 * np.cos(_turn(step, steps, warm_up))))


def _must_end(steps, warm_up):
    if steps < 1:
        raise ValueError(f"a training has one step at least, got {steps}")
    if not 0 <= warm_up <= steps:
        raise ValueError(f"a warm-up of {warm_up} steps does not fit into {steps}")


def _turn(step, steps, warm_up):
    """How far the fall has come, 0 to π, at step 1 … steps."""
    return np.pi * (step - warm_up) / (steps + 1.0 - warm_up)


@serialisable
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """`learning_rate` for a Keras optimizer."""

    def __init__(self, steps: int, peak: float, warm_up: int):
        _must_end(steps, warm_up)
        self.steps, self.peak, self.warm_up = steps, peak, warm_up

    def __call__(self, step):
        step = ops.clip(ops.cast(step, "float32") + 1.0, 1, self.steps)
        fall = 0.5 + 0.5 * ops.cos(_turn(step, self.steps, self.warm_up))
        up = step / max(self.warm_up, 1)
        return self.peak * ops.where(step <= self.warm_up, up, fall)

    def get_config(self):
        return {"steps": self.steps, "peak": self.peak, "warm_up": self.warm_up}


@course_version
def smoothed(target: np.ndarray, classes: int, epsilon: float) -> np.ndarray:
    """What a smoothed target asks for: `epsilon` spread evenly over all classes, the rest on the right one.

    Args:
        target: int `(B, T)`.
        classes: how many there are.
        epsilon: 0 for no smoothing.

    Returns:
        float `(B, T, classes)`, each row sums to 1.

    Raises:
        ValueError: if epsilon is not a share, or a target no class.

    Source: Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision", section 7.
    """
    target = np.asarray(target)
    if target.size and target.dtype.kind not in "iu":
        raise ValueError(f"targets must be int, got {target.dtype}")
    if not 0 <= epsilon <= 1:
        raise ValueError(f"epsilon must lie between 0 and 1, got {epsilon}")
    if target.size and not 0 <= target.min() <= target.max() < classes:
        raise ValueError(f"targets must lie between 0 and {classes - 1}")
    return (1 - epsilon) * np.eye(classes)[target.astype(int)] + epsilon / classes


@serialisable
class SmoothedLoss(keras.losses.Loss):
    """Cross-entropy between smoothed targets and logits, the mean over what is not padding.

    Called with targets int `(..., T)` and logits `(..., T, classes)`. 0 where all is padding; what the
    logits hold there has no influence. That a target is one of the classes is not checked (a graph cannot
    look): another one is right nowhere, and only epsilon counts.

    Args:
        epsilon: how much of each target is spread over all classes.

    Raises:
        ValueError: if the targets' shape is not the logits' without its last axis.
    """

    def __init__(self, epsilon: float = 0.1, name: str = "smoothed_loss", dtype=None):
        super().__init__(name=name, reduction="none", dtype=dtype)
        self.epsilon = epsilon

    def call(self, y_true, y_pred):
        target = ops.cast(y_true, "int32")
        asked, given = tuple(target.shape), tuple(y_pred.shape)
        if len(asked) + 1 != len(given) or not all(map(layers.same_size, asked, given)):
            raise ValueError(f"targets {asked} do not fit logits {given}: one row for each target")
        counts = ops.not_equal(target, PAD)
        log_p = ops.log_softmax(ops.where(counts[..., None], y_pred, ops.zeros_like(y_pred)))
        right = ops.sum(log_p * ops.one_hot(target, y_pred.shape[-1], dtype=log_p.dtype), axis=-1)
        loss = -(1 - self.epsilon) * right - self.epsilon * ops.mean(log_p, axis=-1)
        counts = ops.cast(counts, loss.dtype)
        return ops.sum(loss * counts) / ops.maximum(ops.sum(counts), 1)

    def get_config(self):
        return {"epsilon": self.epsilon, "name": self.name, "dtype": self.dtype}


def fit(
    model: Transformer,
    train,
    *,
    epochs: int,
    peak: float = 4e-3,
    warm_up: float = 0.1,
    smoothing: float = 0.1,
    batch_size: int = 128,
    jit: bool = False,
    name: str = "Transformer",
) -> dict[str, list[float]]:
    """Teach a model to write `train.target` from `train.source`, the right tokens before its eyes.

    Args:
        model: called with `[source, decoder_input]`, returns logits.
        train: has `source` and `target`; a last batch that is not full is left out of every pass.
        epochs: passes over `train` (one in quick mode).
        peak: Adam's highest learning rate.
        warm_up: the share of all steps in which it rises.
        smoothing: the epsilon of `smoothed`.
        batch_size: rows per step.
        jit: compile with XLA; on two cores that costs more seconds than it saves here.
        name: the word in front of the progress line.

    Returns:
        the history; `"seconds"` is the training time so far.

    Raises:
        ValueError: if `train` holds no rows.
    """
    training.must_hold_rows(train=train.target)
    rows = max(len(train.target) // batch_size, 1) * batch_size
    source, target = train.source[:rows], train.target[:rows]
    steps = -(-len(target) // batch_size) * settings.epochs(epochs)
    rate = WarmUp(steps, peak, round(warm_up * steps))
    model.compile(
        optimizer=keras.optimizers.Adam(rate, beta_2=0.98),
        loss=SmoothedLoss(smoothing),
        jit_compile=jit,
        steps_per_execution=10,  # fewer returns to Python; the result is the same
    )
    inputs = [source, shift_targets(target)]
    return training.fit(model, inputs, target, epochs=epochs, batch_size=batch_size, name=name)


# -- writing ----------------------------------------------------------------------------------------


def greedy(model: Transformer, source: np.ndarray, longest: int = 10, cached: bool = True):
    """Write the most probable token, again and again, for all rows at once.

    Args:
        model: a trained one.
        source: letters `(B, S)`.
        longest: the number of tokens to write.
        cached: False reads everything written so far anew for every token.

    Returns:
        int `(B, longest)`; what stands behind END has no meaning.
    """
    written = np.zeros((len(source), longest + 1), np.int32)
    written[:, 0] = START
    if not len(source):
        return written[:, 1:]
    state = model.begin(source) if cached else model.encode(source)
    for t in range(longest):
        if cached:
            logits, state = model.step(written[:, t], state)
        else:
            logits = model.decode(written[:, : t + 1], state)[0][:, -1]
        written[:, t + 1] = to_numpy(logits).argmax(axis=-1)
        if (written == END).any(axis=1).all():
            break
    return written[:, 1:]


@course_version
def beam(
    model: Transformer, source: np.ndarray, width: int = 4, longest: int = 10, power: float = 0.0
):
    """Keep the `width` most probable beginnings of every row; return the best that is finished.

    Args:
        model: a trained one.
        source: letters `(B, S)`.
        width: how many beginnings are kept; 1 is greedy.
        longest: the number of tokens to write.
        power: in the end log-probabilities are divided by length ** power (0 compares them as they are,
            1 compares means).

    Returns:
        `(written, log_probability)`: int `(B, longest)` and float `(B,)`, before the division.

    Raises:
        ValueError: if `width` is less than 1.

    Source: Wu et al. 2016, "Google's Neural Machine Translation System", section 7 (there with another
    length normalisation).
    """
    if width < 1:
        raise ValueError(f"width must be at least 1, got {width}")
    B = len(source)
    if not B:
        return np.zeros((0, longest), np.int32), np.zeros(0)
    written = np.zeros((B, width, longest + 1), np.int32)
    written[..., 0] = START
    total = np.full((B, width), -np.inf)
    total[:, 0] = 0  # one beginning, not `width` copies of it
    ended = np.zeros((B, width), bool)
    cache = model.begin(np.repeat(source, width, axis=0))
    for t in range(longest):
        logits, cache = model.step(written[..., t].reshape(-1), cache)
        log_p = np.array(ops.log_softmax(to_numpy(logits))).reshape(B, width, -1)
        log_p[ended] = -np.inf
        log_p[ended, PAD] = 0  # what has ended stays as it is
        K = log_p.shape[-1]
        candidates = (total[..., None] + log_p).reshape(B, -1)  # (B, width·K)
        best = np.argsort(-candidates, axis=1, kind="stable")[:, :width]
        parent, token = best // K, best % K
        rows = np.arange(B)[:, None]
        total, ended = candidates[rows, best], ended[rows, parent]
        written = written[rows, parent]
        written[..., t + 1] = token
        ended |= token == END
        order = (rows * width + parent).reshape(-1)
        past = tuple(tuple(ops.take(x, order, axis=0) for x in both) for both in cache.past)
        cache = cache._replace(past=past)
        if ended.all():
            break
    length = (written[..., 1:] != PAD).sum(axis=-1)
    best = np.argmax(total / np.maximum(length, 1) ** power, axis=1)
    return written[np.arange(B), best, 1:], total[np.arange(B), best]
