"""How much faster training is when all decoder steps are computed at once.

Trains three models on the same words of lesson 07, in one run: lesson 06's GRUs with attention, lesson 07's
Transformer, and, as the comparison, a decoder of the kind that most tutorials use: a GRU cell that is called
word by word in a Python loop, with additive attention in every step and its context fed into the next state
(Bahdanau's arrangement), one step of the optimizer per batch, compiled by `tf.function`. All have width 64
and the same batches. Reported: target tokens per second (padding not counted), without the first steps, which
compile.

    python tools/throughput.py

"""

import argparse
import time

import numpy as np

from attnfuse import models, transformer
from attnfuse.data import spelling
from attnfuse.data.number_words import shift_targets
from attnfuse.settings import quiet

with quiet():
    import keras
    import tensorflow as tf


class StepByStep(keras.Model):
    """Encoder GRU, then a decoder that is called once per target position."""

    def __init__(self, letters, tokens, width=64):
        super().__init__()
        self.embed_letter = keras.layers.Embedding(letters, width)
        self.embed_token = keras.layers.Embedding(tokens, width)
        self.encoder = keras.layers.GRU(width, return_sequences=True, return_state=True)
        self.decoder = keras.layers.GRU(width, return_sequences=True, return_state=True)
        self.query, self.key = keras.layers.Dense(width), keras.layers.Dense(width)
        self.score = keras.layers.Dense(1)
        self.choose = keras.layers.Dense(tokens)

    def one(self, token, state, memory):
        hidden = tf.tanh(self.query(state)[:, None] + self.key(memory))
        weights = tf.nn.softmax(self.score(hidden), axis=1)
        context = tf.reduce_sum(weights * memory, axis=1)
        x = tf.concat([context[:, None], self.embed_token(token)[:, None]], axis=-1)
        output, state = self.decoder(x, initial_state=state)
        return self.choose(output[:, 0]), state


def step_by_step(letters, tokens, compiled):
    """A training step of the tutorial kind: `train(source, target)`."""
    model = StepByStep(letters, tokens)
    optimizer = keras.optimizers.Adam()
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")

    def train(source, target):
        with tf.GradientTape() as tape:
            memory, state = model.encoder(model.embed_letter(source))
            token = tf.fill([tf.shape(target)[0]], spelling.START)
            loss = 0.0
            for t in range(target.shape[1]):
                logits, state = model.one(token, state, memory)
                counts = tf.cast(target[:, t] != spelling.PAD, tf.float32)
                loss += tf.reduce_mean(cross_entropy(target[:, t], logits) * counts)
                token = target[:, t]
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    train(tf.ones((2, 3), tf.int32), tf.ones((2, 3), tf.int32))  # makes the weights
    optimizer.build(model.trainable_variables)
    return tf.function(train) if compiled else train


def all_at_once(model):
    """The training step that `model.fit` takes."""
    model.compile(
        optimizer=keras.optimizers.Adam(),
        loss=transformer.SmoothedLoss(0.0),
        jit_compile=False,
    )

    def train(source, target):
        return model.train_on_batch([source, shift_targets(target)], target)

    return train


def tokens_per_second(train, words, batch, steps) -> float:
    """Median over single steps, after two that compile."""
    rates = []
    for i in range(steps + 2):
        some = slice(i * batch, (i + 1) * batch)
        source, target = words.source[some], words.target[some]
        start = time.perf_counter()
        np.asarray(train(source, target))
        if i >= 2:
            rates.append((target != spelling.PAD).sum() / (time.perf_counter() - start))
    return float(np.median(rates))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    words = spelling.load().train
    sizes = tuple(map(len, spelling.vocabulary()))
    keras.utils.set_random_seed(0)
    trainers = {
        "step by step, eager": step_by_step(*sizes, compiled=False),
        "step by step, tf.function": step_by_step(*sizes, compiled=True),
        "lesson 06, GRUs": all_at_once(models.Seq2Seq(*sizes, attention="additive")),
        "lesson 07, Transformer": all_at_once(transformer.Transformer(*sizes, width=64, heads=2)),
    }
    rates = {}
    print(
        f"batches of {options.batch} words\n{'':28}{'tokens/s':>10}{'to eager':>10}{'to tf.function':>16}"
    )
    for name, train in trainers.items():
        rates[name] = tokens_per_second(train, words, options.batch, options.steps)
        eager, graph = (
            rates.get(f"step by step, {kind}", np.nan) for kind in ("eager", "tf.function")
        )
        print(
            f"{name:28}{rates[name]:10,.0f}{rates[name] / eager:10.1f}{rates[name] / graph:16.1f}"
        )


if __name__ == "__main__":
    main()
