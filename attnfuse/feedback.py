"""What a notebook calls: `check`, `hint` and `quiz`."""

import difflib
import html
import json
import sys
import textwrap
from collections import Counter
from functools import cache
from importlib import resources

from attnfuse import cells
from attnfuse.marks import bold, plain

_failures: Counter[str] = Counter()
_hints: Counter[str] = Counter()
FAILURES_BEFORE_A_HINT = 3
cells.watch()


class _Plain(Exception):
    """Notebooks show the message alone, its long lines broken, without a traceback."""

    def _render_traceback_(self):
        lines = []
        for line in str(self).splitlines():
            numbers = line.startswith("  ") or not line
            lines += [line] if numbers else textwrap.wrap(line, 88)
        return bold("\n".join(lines)).splitlines()


class CheckFailed(_Plain, AssertionError):
    """The answer is not right yet."""


class NotWritten(CheckFailed):
    """There is no answer yet: nothing was judged."""


class UnknownName(_Plain, ValueError):
    """There is no exercise or question of that name."""


def _find(table, name, what: str):
    if name in table:
        return table[name]
    near = difflib.get_close_matches(str(name), list(table), n=1)
    suggestion = f" Did you mean {near[0]!r}?" if near else ""
    raise UnknownName(f"There is no {what} {name!r}.{suggestion}")


def _show(text: str, page: str | None = None, markdown: str | None = None) -> None:
    """Show a text: in a notebook as HTML or as Markdown, elsewhere without Markdown's marks."""
    text = plain(text)
    rich = {"text/html": page} if page else {"text/markdown": markdown}
    if "IPython" in sys.modules:
        from IPython import get_ipython
        from IPython.display import display

        if get_ipython():
            display({"text/plain": text, **rich}, raw=True)
            return
    print(text)


def check(name: str, candidate, seed: int | None = None) -> None:
    """Judge an answer; show one line if it is right.

    What is not written yet is not judged, and no failure; neither is an answer whose cell stopped
    when it was last run, as the candidate would be the one before it.

    Args:
        name: the name of the exercise.
        candidate: your function, class, model or value.
        seed: repeats the random cases of an earlier check.

    Raises:
        CheckFailed: if the answer is not right yet; the message says what was seen.
        UnknownName: if there is no such exercise.
    """
    from attnfuse import progress
    from attnfuse.exercises import EXERCISES

    exercise = _find(EXERCISES, name, "exercise")
    _refuse(exercise, candidate, cells.trouble())
    verdict = exercise.judge(candidate, seed)
    progress.record(name, verdict.passed)
    if verdict.passed:
        lines = [verdict.message, *progress.so_far(exercise.lesson)]
        first, *more = map(html.escape, lines)
        page = "<br>".join([f"<b>{first}</b>", *more])
        _show("\n".join(lines), page=f'<div style="{_GREEN_BAR}">{page}</div>')
        return
    _failures[name] += 1
    message = verdict.message
    if _failures[name] >= FAILURES_BEFORE_A_HINT:
        message += f'\nStuck? hint("{name}")'
    raise CheckFailed(message) from None


_GREEN_BAR = "border-left: 6px solid #2da44e; padding-left: 8px"


def _refuse(exercise, candidate, trouble: cells.Trouble | None) -> None:
    """Raise if there is no answer to judge."""
    if trouble and trouble.unwritten:
        raise NotWritten(trouble.why)
    if trouble:
        raise CheckFailed(f"✗ {exercise.name}\n{trouble.why} Nothing was judged.")
    if _blank(candidate, inside=exercise.value):
        raise NotWritten(f"not written yet: `{exercise.name}`")


def _blank(x, inside: bool) -> bool:
    """Whether a place for an answer is empty; `inside` a list or a dict, too."""
    if inside and isinstance(x, list | tuple):
        return any(_blank(part, inside) for part in x)
    if inside and isinstance(x, dict):
        return any(_blank(part, inside) for part in x.values())
    return x is None or x is Ellipsis


def verdict_json(name: str, thunk, seed: int | None = None) -> str:
    """Judge what `thunk()` returns, for graders: JSON with exercise, passed, message, misconception.

    The message has no Markdown's marks. If the cell of a name that `thunk` reads stopped, or is as it
    was released, the message says that and nothing is judged.
    """
    from attnfuse.exercises import EXERCISES

    exercise, misconception, passed = EXERCISES[name], None, False
    trouble = cells.trouble(thunk.__code__.co_names)
    try:
        candidate = None if trouble else thunk()
        _refuse(exercise, candidate, trouble)
    except CheckFailed as refused:
        message = str(refused)
    except Exception as error:  # outside IPython most often NameError
        message = f"✗ {name}\nNo answer found ({cells.describe(error)})."
    else:
        verdict = exercise.judge(candidate, seed)
        passed, message, misconception = verdict.passed, verdict.message, verdict.misconception
    return json.dumps(
        {
            "exercise": name,
            "passed": passed,
            "message": plain(message),
            "misconception": misconception,
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
        more = f"{missing} more time{'s' * (missing != 1)}"
        _say(f"Try the check {more} first: its answer often says more.")
        return
    step = _hints[name]
    _hints[name] += 1
    if step == 0:
        _say(f"Hint: {exercise.hint}\n\nStill stuck? Ask again for half of an answer.")
    elif step == 1:
        _say("Half of an answer:", _answers()[name]["half"], "Ask again for all of it.")
    else:
        _say("An answer:", _answers()[name]["answer"])


def _say(text: str, code: str = "", after: str = "") -> None:
    parts = [text, code, after]
    fenced = [text, code and f"```python\n{code}\n```", after]
    _show("\n\n".join(filter(None, parts)), markdown="\n\n".join(filter(None, fenced)))


def quiz(id: str, answer=None) -> None:
    """Answer a question (ungraded): shows why the chosen option is right or what is wrong with it."""
    from attnfuse.exercises import QUIZZES

    _say(_find(QUIZZES, id, "question").reply(answer))
