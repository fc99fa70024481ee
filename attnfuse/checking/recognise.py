"""Recognise what went wrong: the fewest slips that behave as the answer does on every case."""

from collections.abc import Sequence
from dataclasses import dataclass

from attnfuse.checking.exercise import Exercise, Slip
from attnfuse.checking.show import same

MORE = "That is not all: something else differs, too. Mend this first."


@dataclass(frozen=True)
class Found:
    """What the candidates share: the names of slips, joined by " + ", and their sentences."""

    name: str
    says: Sequence[str]


def recognise(exercise: Exercise, attempt, first: int) -> Found | None:
    """Try every slip alone, then in pairs (of a value in threes, too), the telling case first.

    If nothing behaves as the answer does on every case, a slip is looked for that does on most cases on
    which it shows: one fault must not hide another.

    Args:
        exercise: whose slips are tried.
        attempt: the answer's `Attempt`.
        first: the number of the case that tells most: where the answer failed.

    Returns:
        The one candidate's sentences; of several, only what all of them share; None if nothing.
    """
    from attnfuse.checking.attempt import Attempt

    cases = attempt.cases
    order = [first, *(i for i in range(len(cases)) if i != first)]

    def behaves(answer) -> bool:
        other = Attempt(exercise, answer, cases, attempt.seed)
        return all(
            same(other.behaviour(i), attempt.behaviour(i), *exercise.tolerance(cases[i]))
            for i in order
        )

    single = [slip for slip in exercise.slips if behaves(exercise.sketched(slip))]
    if single:
        said = {slip.says for slip in single}
        return Found(single[0].name, list(said)) if len(said) == 1 else None
    for size in (2, 3) if exercise.value else (2,):
        groups = [group for group in exercise.groups(size) if not _cancel(exercise, group)]
        groups = [group for group in groups if behaves(exercise.sketched(*group))]
        if groups:
            return shared(exercise, groups)
    if exercise.value or exercise.sketch is None:
        return None
    return chief(exercise, attempt, first)


def chief(exercise: Exercise, attempt, first: int) -> Found | None:
    """The one slip that explains where the answer first fails, and most cases on which it shows.

    Only results count, not errors; and where the slip shows, the answer must never be right.
    """
    from attnfuse.checking.attempt import Attempt

    cases = attempt.cases
    right = Attempt(exercise, exercise.sketched(), cases, attempt.seed)

    def alike(a, b, i: int) -> bool:
        return same(a.behaviour(i), b.behaviour(i), *exercise.tolerance(cases[i]))

    def explains(slip: Slip) -> bool:
        wrong = Attempt(exercise, exercise.sketched(slip), cases, attempt.seed)
        shows = [i for i in range(len(cases)) if not alike(wrong, right, i)]
        agree = [
            i for i in shows if alike(wrong, attempt, i) and "failure" not in wrong.behaviour(i)
        ]
        hidden = [i for i in shows if i not in agree]
        return (
            first in agree
            and len(agree) > max(1, len(hidden))
            and not any(alike(attempt, right, i) for i in hidden)
        )

    found = [slip for slip in exercise.slips if explains(slip)]
    said = {slip.says for slip in found}
    return Found(found[0].name, [found[0].says, MORE]) if len(said) == 1 else None


def _cancel(exercise: Exercise, group) -> bool:
    names = {slip.name for slip in group}
    return any(set(pair) == names for pair in exercise.cancel)


def shared(exercise: Exercise, groups: Sequence[tuple[Slip, ...]]) -> Found | None:
    """What groups of slips that behave alike have in common."""
    if len(groups) == 1:
        return Found(" + ".join(slip.name for slip in groups[0]), sentences(exercise, groups[0]))
    names = set.intersection(*({slip.name for slip in group} for group in groups))
    common = [slip for slip in groups[0] if slip.name in names]
    return Found(common[0].name, [common[0].says, MORE]) if common else None


def sentences(exercise: Exercise, group: tuple[Slip, ...]) -> list[str]:
    """A pair's own sentence, or those of its slips."""
    for pair, sentence in exercise.together.items():
        if set(pair) == {slip.name for slip in group}:
            return [sentence]
    return [slip.says for slip in group]
