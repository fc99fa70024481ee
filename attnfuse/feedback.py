"""What a notebook calls: `check`, `hint` and `quiz`."""

import difflib
import json
import textwrap
from collections import Counter
from functools import cache
from importlib import resources

_failures: Counter[str] = Counter()
_hints: Counter[str] = Counter()
FAILURES_BEFORE_A_HINT = 3


class _Plain(Exception):
    """Notebooks show the message alone, its long lines broken, without a traceback."""

    def _render_traceback_(self):
        lines = []
        for line in str(self).splitlines():
            numbers = line.startswith("  ") or not line
            lines += [line] if numbers else textwrap.wrap(line, 88)
        return lines


class CheckFailed(_Plain, AssertionError):
    """The answer is not right yet."""


class UnknownName(_Plain, ValueError):
    """There is no exercise or question of that name."""


def _find(table, name, what: str):
    if name in table:
        return table[name]
    near = difflib.get_close_matches(str(name), list(table), n=1)
    suggestion = f" Did you mean {near[0]!r}?" if near else ""
    raise UnknownName(f"There is no {what} {name!r}.{suggestion}")


def check(name: str, candidate, seed: int | None = None) -> None:
    """Judge an answer; print one line if it is right.

    Args:
        name: the name of the exercise.
        candidate: your function, class, model or value.
        seed: repeats the random cases of an earlier check.

    Raises:
        CheckFailed: if the answer is not right yet; the message says what was seen.
        UnknownName: if there is no such exercise.
    """
    from attnfuse.exercises import EXERCISES

    verdict = _find(EXERCISES, name, "exercise").judge(candidate, seed)
    if verdict.passed:
        print(verdict.message)
        return
    _failures[name] += 1
    message = verdict.message
    if _failures[name] >= FAILURES_BEFORE_A_HINT:
        message += f'\nStuck? hint("{name}")'
    raise CheckFailed(message) from None


def verdict_json(name: str, thunk, seed: int | None = None) -> str:
    """Judge what `thunk()` returns, for graders: JSON with exercise, passed, message, misconception."""
    from attnfuse.exercises import EXERCISES

    try:
        candidate = thunk()
    except Exception as error:  # most often NameError: the answer's cell is gone or failed
        return json.dumps(
            {
                "exercise": name,
                "passed": False,
                "message": f"✗ {name}\nNo answer found ({type(error).__name__}: {error}).",
                "misconception": None,
            }
        )
    verdict = EXERCISES[name].judge(candidate, seed)
    return json.dumps(
        {
            "exercise": name,
            "passed": verdict.passed,
            "message": verdict.message,
            "misconception": verdict.misconception,
        }
    )


@cache
def _answers() -> dict[str, dict]:
    text = resources.files("attnfuse").joinpath("answers.json").read_text(encoding="utf-8")
    return json.loads(text)


def hint(name: str) -> None:
    """Ask for help after three failed checks: the hint, then half of an answer, then all of it."""
    from attnfuse.exercises import EXERCISES

    exercise = _find(EXERCISES, name, "exercise")
    missing = FAILURES_BEFORE_A_HINT - _failures[name]
    if missing > 0:
        print(
            f"Try the check {missing} more time{'s' * (missing != 1)} first: its answer often says more."
        )
        return
    step = _hints[name]
    _hints[name] += 1
    if step == 0:
        print(f"Hint: {exercise.hint}\nStill stuck? Ask again for a part of an answer.")
        return
    answer, half = _answers()[name].values()
    if step == 1 and half:
        first = "\n".join(answer.splitlines()[:half])
        print(f"The first half of an answer:\n\n{first}\n\nAsk again for all of it.")
        return
    print(f"An answer:\n\n{answer}")


def quiz(id: str, answer=None) -> None:
    """Answer a question (ungraded): prints why the chosen option is right or what is wrong with it."""
    from attnfuse.exercises import QUIZZES

    print(_find(QUIZZES, id, "question").reply(answer))
