"""Lesson 06, the longer run: does the model without attention catch up, and how much is luck?

Trains on the lesson's data with the lesson's settings, three seeds each: the three models within the
lesson's budget, and the model without attention for five times as long. About seven minutes on two
calm cores. Run `python tools/long_run_06.py`.

RESULTS
"""

import statistics

import keras

from attnfuse import models
from attnfuse.data import number_words

RUNS = [
    # name, attention, epochs, learning rate
    ("no attention", None, 8, 5e-3),
    ("additive", "additive", 6, 5e-3),
    ("multiplicative", "multiplicative", 6, 5e-3),
    ("no attention, longer", None, 40, 5e-3),
]


def main(seeds=(0, 1, 2)) -> None:
    data = number_words.load()
    rows = []
    for name, attention, epochs, rate in RUNS:
        exact, seconds = [], []
        for seed in seeds:
            keras.utils.set_random_seed(seed)
            sizes = len(data.letters), len(data.words)
            model = models.Seq2Seq(*sizes, attention=attention, reverse=attention is None)
            history = models.fit_pairs(
                model, data.train, data.validation, epochs=epochs, learning_rate=rate, name=name
            )
            exact.append(models.scores(model, data.test)[1])
            seconds.append(history["seconds"][-1])
        row = f"{name:22}{epochs:7}{statistics.mean(seconds):9.0f}   "
        rows.append(row + "  ".join(f"{x:.3f}" for x in exact))
        print(rows[-1], flush=True)
    print(f"\n{'':22}{'epochs':>7}{'seconds':>9}   exact match on 500 test numbers, seeds {seeds}")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
