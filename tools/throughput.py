"""How much faster training is when all decoder steps are computed at once.

Trains lesson 06's GRUs with attention on its number words, and lesson 07's Transformer on its spellings, each
beside a decoder of the kind that tutorials use: a GRU called once per target position in a Python loop, with
additive attention in every step and its context fed into the next state (Bahdanau's arrangement), one
optimizer step per batch. That loop runs twice: eagerly, step by step, and inside `tf.function`, as in
TensorFlow's translation tutorial of 2019, where it is traced once and unrolled into one graph. All have width
64 and the same batches of the same words. Reported: target tokens per second (padding not counted), the median
over single steps, without the first ones, which compile.

On two CPU cores both lessons' models are about ten times as fast as the eager loop. The unrolled graph is as
fast: against it lesson 06's model is ahead by about a quarter, and the Transformer, which computes more per
token, behind. With 8 to 10 target tokens the loop is short, and a Keras GRU on a CPU is itself a loop: what
counts here are Python's calls, and the graph has none.

    python tools/throughput.py

"""

import argparse
import time

import numpy as np

from attnfuse import models, transformer
from attnfuse.data import number_words, spelling
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
    parser.add_argument("--steps", type=int, default=25)
    options = parser.parse_args()
    numbers, words = number_words.load(), spelling.load()
    sizes = [
        (len(numbers.letters), len(numbers.words)),
        (len(words.letters), len(words.phonemes)),
    ]
    keras.utils.set_random_seed(0)
    lessons = {
        "lesson 06, GRUs": (numbers.train, sizes[0], models.Seq2Seq(*sizes[0], "additive")),
        "lesson 07, Transformer": (
            words.train,
            sizes[1],
            transformer.Transformer(*sizes[1], width=64, heads=2),
        ),
    }
    for lesson, (train, size, model) in lessons.items():
        trainers = {
            "step by step, eager": step_by_step(*size, compiled=False),
            "step by step, tf.function": step_by_step(*size, compiled=True),
            lesson: all_at_once(model),
        }
        S, T = train.source.shape[1], train.target.shape[1]
        print(f"batches of {options.batch}, {S} source and {T} target positions: tokens per second")
        rates = {
            name: tokens_per_second(step, train, options.batch, options.steps)
            for name, step in trainers.items()
        }
        for name, rate in rates.items():
            print(f"{name:28}{rate:10,.0f}   all at once: {rates[lesson] / rate:.1f} times as many")


if __name__ == "__main__":
    main()
