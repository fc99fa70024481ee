"""Lesson 06's comparison: translators with and without attention, and an article's program repaired.

`python -m attnfuse.experiments.translations` trains on the lesson's data with the lesson's settings, three
seeds each: the three models within the lesson's budget, section 8's model with positions and no recurrence,
and the model without attention for five times as long. Does it catch up, and how much is luck? About eight
minutes on two calm cores.

On Python 3.11, TensorFlow 2.21, two cores (exact match on the 500 test numbers, seeds 0, 1, 2):

                       epochs    CPU s
no attention                8       25   0.342  0.592  0.552
additive                    6       23   0.990  0.994  0.994
multiplicative              6       18   0.990  0.990  0.990
positions, no GRU           5        5   0.896  0.794  0.860
no attention, longer       40       99   0.990  0.998  0.992

Settings were chosen on the 500 validation numbers: among learning rates .003, .004, .005, .006, .008 and
.012 for the model without attention .008 was best in the mean (.31, .62, .57 in three seeds; .005 gave
.74, .17, .20; .012 gave .07, .40, .51). With attention the choice hardly matters (.005: .994 to .996;
.008: .994 to .996), so all three use .008.
"""

import statistics
import time

import numpy as np

from attnfuse import models, settings
from attnfuse.data import number_words
from attnfuse.data.number_words import PAD, NumberWords, exact_match, shuffle_letters, to_text
from attnfuse.layers import AdditiveAttention
from attnfuse.settings import quiet

with quiet():
    import keras
    from keras import ops

RUNS = [
    # name, attention, epochs; "positions" stands for section 8's model without any recurrence
    ("no attention", None, 8),
    ("additive", "additive", 6),
    ("multiplicative", "multiplicative", 6),
    ("positions, no GRU", "positions", 5),
    ("no attention, longer", None, 40),
]


class ArticleModel(keras.Model):
    """Article 0's model (section 4.1) around a working attention layer, its faults still choosable.

    Two embeddings, attention, one dense layer: no recurrence. It reads words without their order.

    Args:
        letters, words: how many source and target tokens there are.
        context_as_weights: as printed: the encoder asks, and the context is multiplied with the
            encoder's output as if it were weights; one vector of logits per *sentence*, here repeated
            for every position, because training fails without it.
        masked: padding is closed to attention.
        positions: a learnt vector per position is added to the embeddings.

    Called with `[source (B, S), decoder_input (B, T)]`; returns logits `(B, T, words)`.
    """

    def __init__(
        self, letters, words, context_as_weights=False, masked=True, positions=False, width=64
    ):
        super().__init__()
        self.context_as_weights, self.masked = context_as_weights, masked
        self.encoder = keras.layers.Embedding(letters, width)
        self.decoder = keras.layers.Embedding(words, width)
        self.place = keras.layers.Embedding(100, width) if positions else None
        self.attend = AdditiveAttention(width)
        self.fc = keras.layers.Dense(words)
        self([np.ones((1, 2), np.int32), np.ones((1, 2), np.int32)])

    def embed(self, layer, tokens):
        x = layer(tokens)
        return x if self.place is None else x + self.place(ops.arange(ops.shape(x)[1]))

    def read(self, source, decoder_input):
        """`(context, weights)` of every target position."""
        source = ops.convert_to_tensor(source)
        memory, query = self.embed(self.encoder, source), self.embed(self.decoder, decoder_input)
        mask = ops.not_equal(source, PAD)[:, None] if self.masked else None
        return self.attend(query, memory, mask=mask)

    def as_printed(self, source, decoder_input):
        """What article 0 calls `attention_weights` `(B, S, D)`, and its output `(B, words)`."""
        memory, words = self.encoder(source), self.decoder(decoder_input)
        called_weights, _ = self.attend(memory, words)
        return called_weights, self.fc(ops.sum(called_weights * memory, axis=1))

    def call(self, inputs):
        source, decoder_input = inputs
        if self.context_as_weights:
            logits = self.as_printed(source, decoder_input)[1]
            return ops.repeat(logits[:, None], decoder_input.shape[1], axis=1)
        context, _ = self.read(source, decoder_input)
        return self.fc(context)


def measure_repair(model, data: NumberWords, shifted: bool = True) -> tuple[float, ...]:
    """Four measurements of a trained translator on the validation numbers, each from 0 to 1.

    Args:
        model: called with `[source, decoder_input]`.
        data: the number words.
        shifted: whether it learnt with shifted targets; for the first measurement.

    Returns:
        exact match with teacher forcing; the same running free; the share of answers that change when
        each source gets 20 more columns of padding; the share that changes when its letters are
        shuffled.
    """
    source, target = data.validation.source, data.validation.target
    longest = target.shape[1]
    forced = exact_match(models.teacher_forced(model, data.validation, shifted), target).mean()
    written = models.free_running(model, source, longest)
    before = [to_text(row) for row in written]
    changed = []
    for other in (np.pad(source, ((0, 0), (0, 20))), shuffle_letters(source)):
        after = [to_text(row) for row in models.free_running(model, other, longest)]
        changed.append(float(np.mean([a != b for a, b in zip(before, after, strict=True)])))
    return float(forced), float(exact_match(written, target).mean()), *changed


def train(data: NumberWords, name, attention, epochs: int, seed: int) -> tuple[float, float]:
    """Exact match on the test numbers, writing alone, and the seconds of CPU time it took."""
    keras.utils.set_random_seed(seed)
    sizes = len(data.letters), len(data.words)
    options = {"epochs": epochs, "name": f"{name}, seed {seed}"}
    if attention == "positions":
        model = ArticleModel(*sizes, positions=True)
        options["learning_rate"] = 0.02
    else:
        model = models.Seq2Seq(*sizes, attention=attention, reverse=attention is None)
    start = time.process_time()
    models.fit_pairs(model, data.train, data.validation, **options)
    seconds = time.process_time() - start
    target = data.test.target
    written = models.free_running(model, data.test.source, target.shape[1])
    return float(exact_match(written, target).mean()), seconds


def main() -> None:
    data, seeds, rows = number_words.load(), settings.seeds(3), []
    for name, attention, epochs in RUNS:
        exact, seconds = zip(
            *(train(data, name, attention, epochs, seed) for seed in seeds), strict=True
        )
        row = f"{name:22}{epochs:7}{statistics.mean(seconds):9.0f}   "
        rows.append(row + "  ".join(f"{x:.3f}" for x in exact))
        print(rows[-1], flush=True)
    print(
        f"\n{'':22}{'epochs':>7}{'CPU s':>9}   exact match on 500 test numbers, seeds {(*seeds,)}"
    )
    print("\n".join(rows))


if __name__ == "__main__":
    main()
