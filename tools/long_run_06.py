"""Lesson 06, the longer run: does the model without attention catch up, and how much is luck?

Trains on the lesson's data with the lesson's settings, three seeds each: the three models within the
lesson's budget, section 8's model with positions and no recurrence, and the model without attention
for five times as long. About eight minutes on two calm cores: `python tools/long_run_06.py`.

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

from attnfuse import models
from attnfuse.data import number_words

RUNS = [
    # name, attention, epochs; "positions" stands for section 8's model without any recurrence
    ("no attention", None, 8),
    ("additive", "additive", 6),
    ("multiplicative", "multiplicative", 6),
    ("positions, no GRU", "positions", 5),
    ("no attention, longer", None, 40),
]


def train(data, name, attention, epochs, seed) -> tuple[float, float]:
    """Exact match on the test numbers, writing alone, and the seconds of CPU time it took."""
    models.keras.utils.set_random_seed(seed)
    sizes = len(data.letters), len(data.words)
    settings = {"epochs": epochs, "name": f"{name}, seed {seed}"}
    if attention == "positions":
        model = models.ArticleModel(*sizes, positions=True)
        settings["learning_rate"] = 0.02
    else:
        model = models.Seq2Seq(*sizes, attention=attention, reverse=attention is None)
    start = time.process_time()
    models.fit_pairs(model, data.train, data.validation, **settings)
    return models.scores(model, data.test)[1], time.process_time() - start


def main(seeds=(0, 1, 2)) -> None:
    data = number_words.load()
    rows = []
    for name, attention, epochs in RUNS:
        exact, seconds = zip(
            *(train(data, name, attention, epochs, seed) for seed in seeds), strict=True
        )
        row = f"{name:22}{epochs:7}{statistics.mean(seconds):9.0f}   "
        rows.append(row + "  ".join(f"{x:.3f}" for x in exact))
        print(rows[-1], flush=True)
    print(f"\n{'':22}{'epochs':>7}{'CPU s':>9}   exact match on 500 test numbers, seeds {seeds}")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
