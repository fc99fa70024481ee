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
    """Try every slip alone, then in pairs, on the case that failed first, then on the others.

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

    wholes = {one.name: one.says for one in exercise.misconceptions}
    says = wholes | {slip.name: slip.says for slip in exercise.slips}
    single = [name for name, answer in exercise.wrong_answers().items() if behaves(answer)]
    if single:
        sentences = {says[name] for name in single}
        return Found(single[0], [says[single[0]]]) if len(sentences) == 1 else None
    return shared(exercise, [p for p in exercise.pairs() if behaves(exercise.sketched(*p))])


def shared(exercise: Exercise, pairs: Sequence[tuple[Slip, Slip]]) -> Found | None:
    """What pairs of slips that behave alike have in common."""
    if not pairs:
        return None
    if len(pairs) == 1:
        return Found(" + ".join(slip.name for slip in pairs[0]), sentences(exercise, pairs[0]))
    names = set.intersection(*({slip.name for slip in pair} for pair in pairs))
    common = [slip for slip in pairs[0] if slip.name in names]
    return Found(common[0].name, [common[0].says, MORE]) if common else None


def sentences(exercise: Exercise, pair: tuple[Slip, Slip]) -> list[str]:
    """A pair's own sentence, or those of its slips."""
    one, other = pair
    for names in ((one.name, other.name), (other.name, one.name)):
        if names in exercise.together:
            return [exercise.together[names]]
    return [one.says, other.says]
