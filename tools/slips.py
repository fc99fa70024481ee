"""Print which slips and pairs of slips behave alike, so that a check can name only what they share."""

import argparse
import sys

from attnfuse.checking.attempt import Attempt
from attnfuse.checking.recognise import shared
from attnfuse.checking.show import same
from attnfuse.exercises import EXERCISES


class Behaviours:
    """What every slip, pair of slips and misconception does on the cases of one seed.

    Each is computed once: pairs are compared with one another by this table, not by judging them.
    """

    def __init__(self, exercise, seed: int):
        self.exercise, self.seed = exercise, seed
        self.cases = exercise.drawn_cases(seed)
        self.tolerances = [exercise.tolerance(case) for case in self.cases]
        self.right = self._row(exercise.sketched()) if exercise.sketch else None
        wrong = exercise.wrong_answers().items()
        self.singles = {name: self._row(answer) for name, answer in wrong}
        self.pairs = {pair: self._row(exercise.sketched(*pair)) for pair in exercise.groups(2)}

    def _row(self, answer) -> list[dict]:
        attempt = Attempt(self.exercise, answer, self.cases, self.seed)
        return [attempt.behaviour(i) for i in range(len(self.cases))]

    def alike(self, one, other) -> bool:
        parts = zip(one, other, self.tolerances, strict=True)
        return all(same(a, b, *tolerance) for a, b, tolerance in parts)

    def is_right(self, pair) -> bool:
        """Whether the two slips cancel on every case, and the properties hold, too."""
        if not self.alike(self.pairs[pair], self.right):
            return False
        return self.exercise.judge(self.exercise.sketched(*pair), self.seed, False).passed

    def like_pair(self, pair) -> tuple[list[str], list]:
        """The single ones that behave as this pair does; the pairs that do, itself among them."""
        row = self.pairs[pair]
        singles = [name for name, other in self.singles.items() if self.alike(row, other)]
        pairs = [] if singles else [p for p, other in self.pairs.items() if self.alike(row, other)]
        return singles, pairs


def names(pair) -> str:
    return " + ".join(slip.name for slip in pair)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exercises", nargs="*", help="all by default")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for name in options.exercises or EXERCISES:
        table = Behaviours(EXERCISES[name], options.seed)
        print(f"\n{name}: {len(table.singles)} slips, {len(table.pairs)} pairs")
        done = set()
        for pair in table.pairs:
            singles, pairs = table.like_pair(pair)
            key = tuple(singles) or tuple(map(names, pairs))
            if table.is_right(pair):
                print(f"  right: {names(pair)}")
            elif singles and not set(singles) & {slip.name for slip in pair}:
                print(f"  {names(pair)}  =  {' = '.join(singles)}")
            elif len(pairs) > 1 and key not in done:
                done.add(key)
                said = shared(table.exercise, pairs)
                print(f"  {'  =  '.join(key)}   → {said.name if said else 'not named'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
