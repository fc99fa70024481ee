"""Lesson 06's comparison: translators with and without attention, and an article's program repaired.

`python -m attnfuse.experiments.translations` trains on the lesson's data with the lesson's settings: the
three models within the lesson's budget, section 8's model with positions and no recurrence, and the model
without attention for five times as many passes. Does it catch up, and how much is luck? About twelve minutes
on two calm cores. With `--save` the rows go into `translations.json` beside this file, which the lesson reads.

Settings were chosen on the 500 validation numbers: among learning rates .003, .004, .005, .006, .008 and
.012 for the model without attention .008 was best in the mean (.31, .62, .57 in three seeds; .005 gave
.74, .17, .20; .012 gave .07, .40, .51). With attention the choice hardly matters (.005: .994 to .996;
.008: .994 to .996), so all three use .008.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from attnfuse import models, saved_rows, settings
from attnfuse.data import number_words
from attnfuse.data.number_words import (
    PAD,
    NumberWords,
    both_texts,
    exact_match,
    shuffle_letters,
    to_text,
)
from attnfuse.layers import AdditiveAttention, OfTwo, serialisable
from attnfuse.settings import quiet

with quiet():
    import keras
    from keras import ops

SAVED = Path(__file__).with_suffix(".json")
RUNS = [
    # name, attention, epochs, seeds; "positions" stands for section 8's model without any recurrence
    ("no attention", None, 8, 6),
    ("additive", "additive", 6, 3),
    ("multiplicative", "multiplicative", 6, 3),
    ("positions, no GRU", "positions", 5, 3),
    ("no attention, longer", None, 40, 3),
]


@serialisable
class ArticleModel(OfTwo, keras.Model):
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

    arguments = ("letters", "words", "context_as_weights", "masked", "positions", "width")

    def __init__(
        self,
        letters,
        words,
        context_as_weights=False,
        masked=True,
        positions=False,
        width=64,
        **options,
    ):
        super().__init__(**options)
        self.letters, self.words, self.width = letters, words, width
        self.context_as_weights, self.masked, self.positions = context_as_weights, masked, positions
        same = {"dtype": self.dtype_policy}
        self.encoder = keras.layers.Embedding(letters, width, **same)
        self.decoder = keras.layers.Embedding(words, width, **same)
        self.place = keras.layers.Embedding(100, width, **same) if positions else None
        self.attend = AdditiveAttention(width, **same)
        self.fc = keras.layers.Dense(words, **same)
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

    def compute_output_spec(self, inputs, **options):
        return self._spec(*inputs[1].shape, self.words)


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


def by_position(predicted: np.ndarray, target: np.ndarray) -> list[float]:
    """The share of right words at each position of the target, padding left out; both int `(B, T)`.

    Raises:
        ValueError: if the two are not of one shape, or a position holds nothing but padding.
    """
    predicted, target = both_texts(predicted, target)
    if not (target != PAD).any(axis=0).all():
        raise ValueError("target holds nothing but padding at a position (axis 1)")
    right, counts = (predicted == target) & (target != PAD), (target != PAD).sum(axis=0)
    return (right.sum(axis=0) / counts).round(4).tolist()


def saved() -> dict[str, list[dict]]:
    """What `--save` wrote: name of the run → its seeds' rows."""
    return saved_rows.read(SAVED, [name for name, *_ in RUNS])


def save(row: dict) -> None:
    """Add a row to `SAVED`, in the place of the same name and seed."""
    saved_rows.add(SAVED, [name for name, *_ in RUNS], row)


def train(data: NumberWords, name: str, attention: str | None, epochs: int, seed: int) -> dict:
    """Train one model.

    Returns:
        its row: `seconds` of CPU time; `exact`, the share of test numbers that are right, writing alone;
        `curve`, the same of the validation numbers after each pass, with the right words before it;
        `forced` and `free`, the share of right words at each position of the test numbers.
    """
    keras.utils.set_random_seed(seed)
    sizes = len(data.letters), len(data.words)
    options = {"epochs": epochs, "name": f"{name}, seed {seed}"}
    if attention == "positions":
        model = ArticleModel(*sizes, positions=True)
        options["learning_rate"] = 0.02
    else:
        model = models.Seq2Seq(*sizes, attention=attention)
    start = time.process_time()
    history = models.fit_pairs(model, data.train, data.validation, **options)
    seconds = time.process_time() - start
    target = data.test.target
    forced = models.teacher_forced(model, data.test)
    free = models.free_running(model, data.test.source, target.shape[1])
    return {
        "name": name,
        "seed": seed,
        "seconds": round(seconds),
        "exact": float(exact_match(free, target).mean()),
        "curve": np.round(history["val_exact"], 3).tolist(),
        "forced": by_position(forced, target),
        "free": by_position(free, target),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="the run of this name")
    parser.add_argument("--seeds", type=int, nargs="*", help="instead of those of RUNS")
    parser.add_argument("--save", action="store_true", help=f"write the rows into {SAVED.name}")
    chosen = parser.parse_args()
    data, lines = number_words.load(), []
    for name, attention, epochs, seeds in RUNS:
        if chosen.only and chosen.only != name:
            continue
        rows = []
        for seed in chosen.seeds or settings.seeds(seeds):
            rows.append(train(data, name, attention, epochs, seed))
            if chosen.save:
                save(rows[-1])
        seconds = np.mean([row["seconds"] for row in rows])
        exact = "  ".join(f"{row['exact']:.3f}" for row in rows)
        lines.append(f"{name:22}{epochs:7}{seconds:9.0f}   {exact}")
        print(lines[-1], flush=True)
    print(f"\n{'':22}{'epochs':>7}{'CPU s':>9}   exact match on 500 test numbers, a seed each")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
