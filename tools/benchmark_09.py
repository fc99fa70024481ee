"""Lesson 09 with more seeds: the three kinds of labels, and the table of fusions on the emoji.

`python tools/benchmark_09.py [seeds]` prints both tables; 3 seeds for the digits, `seeds` (5) for the
emoji. A few minutes on two cores.
"""

import sys

import numpy as np

from attnfuse import fusion
from attnfuse.data import digit_pairs, emoji


def digits(seeds) -> None:
    trained = fusion.train_pairs(digit_pairs.KINDS, seeds)
    print(f"\naccuracy on 1,000 test pairs, mean and range over {len(seeds)} seeds")
    print(f"{'':24s}" + "".join(f"{kind:>22s}" for kind in digit_pairs.KINDS))
    for name in fusion.PAIR_MODELS:
        print(f"{name:24s}", end="")
        for kind in digit_pairs.KINDS:
            right = [accuracy for _, accuracy in trained[kind, name]]
            print(f"  {np.mean(right):.3f} [{min(right):.3f}, {max(right):.3f}]", end="")
        print()


def fusions(seeds) -> None:
    data = emoji.load()
    encoders = fusion.train_encoders(data, seeds)
    heads = fusion.train_heads(data, encoders)
    together, early = fusion.train_together(data, seeds), fusion.train_early(data, seeds)
    results = fusion.test_results(data, encoders, heads, together, early)
    right = {
        name: np.argmax(logits, axis=-1) == data.test.label for name, (logits, _) in results.items()
    }
    kept = fusion.emap_results(data, encoders, heads)
    reference = "concatenation + ReLU"
    print(f"\n{len(data.test)} test emoji, {len(seeds)} seeds; difference to {reference}")
    for name, (_, size) in results.items():
        low, mean, high = fusion.paired_interval(right[name], right[reference])
        emap = f"  EMAP {kept[name][1].mean():.3f}" if name in kept else ""
        print(
            f"{name:26s} {size:8,d}  {right[name].mean():.3f} ± {right[name].mean(axis=1).std():.3f} over seeds"
            f"  {mean:+.3f} [{low:+.3f}, {high:+.3f}]{emap}"
        )


if __name__ == "__main__":
    digits(range(3))
    fusions(range(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
