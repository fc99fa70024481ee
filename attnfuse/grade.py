"""`attnfuse grade`: run a learner's notebooks and judge them by the course's own checks.

A score never comes from what a notebook printed or stored. The learner's cells run in a fresh
kernel; where a check cell stands, the check of the *released* lesson is evaluated instead of it.
"""

import ast
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Empty

from .released import Malformed, code_cells, find_check, release_checks, released_lessons

VERDICT = "__import__('attnfuse.feedback').feedback.verdict_json({name!r}, lambda: {candidate})"
WATCH = "__import__('attnfuse.cells').cells.watch().limit = {limit!r}"
INTERRUPT_GRACE = 5.0  # seconds that an interrupted cell has to stop


class CannotGrade(Exception):
    """Why a file cannot be graded, in one line."""


class KernelGone(Exception):
    """The kernel died, or had to be killed; the message says why."""


@dataclass
class ExerciseResult:
    exercise: str
    title: str
    points: float
    max_points: float
    passed: bool
    message: str
    misconception: str | None = None


@dataclass
class LessonResult:
    lesson: str
    notebook: str
    started: bool = True
    exercises: list[ExerciseResult] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def points(self) -> float:
        return sum(result.points for result in self.exercises)

    @property
    def max_points(self) -> float:
        return sum(result.max_points for result in self.exercises)


def grade(notebooks: list[str], as_json: bool = False, timeout: float = 600) -> int:
    """The command: grade, print, return the exit code (0 full marks, 1 not, 2 not all graded)."""
    paths = [Path(name) for name in notebooks] or own_notebooks(Path.cwd())
    if not paths:
        print("attnfuse grade: no notebooks in work/ or here; name some", file=sys.stderr)
        return 2
    results, skipped = [], {}
    for path in paths:
        try:
            if notebooks or not is_untouched(path):
                with progress(path.name) as show:
                    results.append(grade_notebook(path, timeout=timeout, progress=show))
            else:
                results.append(not_started(path))
        except CannotGrade as problem:
            skipped[str(path)] = str(problem)
        except Exception as problem:  # one odd file must not take the others with it
            skipped[str(path)] = f"{type(problem).__name__}: {problem}"
    if as_json:
        in_utf8(as_data(results, skipped))
    else:
        print(as_text(results, skipped))
    points, most = total(results)
    return 2 if skipped else int(points < most)


def own_notebooks(folder: Path) -> list[Path]:
    """The notebooks of `work/`, else of `folder`; not those that an update or a reset put beside them."""
    for place in (folder / "work", folder):
        found = [path for path in sorted(place.glob("*.ipynb")) if not is_beside(path)]
        if found:
            return [path.relative_to(folder) for path in found]
    return []


def is_beside(path: Path) -> bool:
    """Whether `attnfuse lab` (`NAME.new.ipynb`) or `attnfuse reset` (`NAME.mine2.ipynb`) made it."""
    return path.stem.partition(".")[2].startswith(("new", "mine"))


def grade_notebook(
    path: str | Path,
    quick: bool = False,
    timeout: float = 600,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> LessonResult:
    """Run one notebook and judge its exercises.

    Args:
        path: the learner's notebook; its file name need not be the lesson's.
        quick: judge trained models by their wiring only, on a tenth of the data.
        timeout: seconds that one cell may run before it is interrupted.
        progress: called after each cell with the number done and the number there are.

    Raises:
        CannotGrade: if the file is not a notebook of a known lesson.
    """
    start = time.monotonic()
    path = Path(path)
    notebook = read_notebook(path)
    cells, lesson = code_cells(notebook), lesson_of(notebook, path)
    checks = release_checks(released_lessons()[lesson])
    verdicts: dict[str, dict] = {}
    plan = steps(cells, checks)
    try:
        with Kernel(path.parent, quick, timeout) as kernel:
            for done, (cell, names) in enumerate(plan, start=1):
                if cell is not None:
                    kernel.run(cell["source"], grade_id(cell) or str(cell.get("id", "")))
                for name in names:
                    verdicts[name] = kernel.judge(name, checks[name])
                progress(done, len(plan))
    except KernelGone as problem:
        for name in checks.keys() - verdicts.keys():
            verdicts[name] = {"passed": False, "message": str(problem)}
    progress(len(plan), len(plan))
    result = LessonResult(lesson, str(path), seconds=round(time.monotonic() - start, 1))
    for name in checks:
        result.exercises.append(exercise_result(name, verdicts[name]))
    return result


def steps(cells: list[dict], checks: dict[str, str]) -> list[tuple[dict | None, list[str]]]:
    """What to do, in order: a cell to run (None for a check cell), then exercises to judge.

    An exercise is judged where its own check cell stands, known by its grade id; without one,
    after the last cell that checks it; without any, at the end.
    """
    place: dict[str, int] = {}
    own: set[str] = set()
    plan = []
    for index, cell in enumerate(cells):
        name = grade_id(cell).removesuffix("-check")
        if grade_id(cell).endswith("-check") and name in checks:
            own.add(name)
            place[name] = index
            plan.append((None, []))
            continue
        found = find_check(cell)
        if found and found[0] in checks and found[0] not in own:
            place[found[0]] = index
        plan.append((None if found and found[2] else cell, []))
    plan.append((None, []))
    for name in checks:
        plan[place.get(name, len(cells))][1].append(name)
    return plan


def grade_id(cell: dict) -> str:
    metadata = cell.get("metadata", {}).get("nbgrader", {})
    return str(metadata.get("grade_id", "")) if isinstance(metadata, dict) else ""


def exercise_result(name: str, verdict: dict) -> ExerciseResult:
    from .exercises import EXERCISES

    exercise, passed = EXERCISES[name], bool(verdict["passed"])
    return ExerciseResult(
        exercise=name,
        title=exercise.title,
        points=exercise.points if passed else 0,
        max_points=exercise.points,
        passed=passed,
        message=verdict["message"],
        misconception=verdict.get("misconception"),
    )


# What a file is


def read_notebook(path: Path) -> dict:
    """A notebook as JSON, in UTF-8, UTF-16 or UTF-32, with a byte-order mark or without.

    Raises:
        CannotGrade: if it cannot be read, or is no notebook.
    """
    try:
        content = path.read_bytes()
        if not content.strip():
            raise CannotGrade("the file is empty")
        notebook = json.loads(content)
        code_cells(notebook)
    except OSError as problem:
        raise CannotGrade(problem.strerror or "cannot be read") from None
    except Malformed as problem:
        raise CannotGrade(str(problem)) from None
    except UnicodeDecodeError as problem:
        raise CannotGrade(f"not a notebook: its text is not {problem.encoding}") from None
    except RecursionError:
        raise CannotGrade("not a notebook: its JSON is nested too deeply") from None
    except ValueError as problem:
        raise CannotGrade(f"not a notebook, or a broken one ({problem})") from None
    return notebook


def lesson_of(notebook: dict, path: Path) -> str:
    """The lesson of a notebook: by its metadata, else its file name, else the checks in it."""
    known = released_lessons()
    metadata = notebook.get("metadata")
    ours = metadata.get("attnfuse") if isinstance(metadata, dict) else None
    if isinstance(ours, dict) and ours.get("lesson") in list(known):  # also where it is no text
        return ours["lesson"]
    for name in known:
        if name in path.name:
            return name
    found = {check[0] for check in map(find_check, code_cells(notebook)) if check}
    matches = {name: len(found & release_checks(file).keys()) for name, file in known.items()}
    best = max(matches, key=matches.get)
    if not matches[best]:
        raise CannotGrade("not one of the course's lessons")
    return best


def is_untouched(path: Path) -> bool:
    """Whether a notebook's code is still that of the release."""
    notebook = read_notebook(path)
    sources = [cell["source"] for cell in code_cells(notebook)]
    release = read_notebook(released_lessons()[lesson_of(notebook, path)])
    return sources == [cell["source"] for cell in code_cells(release)]


def not_started(path: Path) -> LessonResult:
    lesson = lesson_of(read_notebook(path), path)
    verdict = {"passed": False, "message": "not started"}
    names = release_checks(released_lessons()[lesson])
    exercises = [exercise_result(name, verdict) for name in names]
    return LessonResult(lesson, str(path), started=False, exercises=exercises)


# The kernel


class Kernel:
    """A fresh kernel of this Python in which cells run one by one, each under a time limit.

    Only replies are read: what the cells print is never received.
    """

    def __init__(self, folder: Path, quick: bool, timeout: float):
        self.folder, self.quick, self.timeout = folder, quick, timeout

    def __enter__(self) -> "Kernel":
        try:
            from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
            from jupyter_client.manager import KernelManager
        except ImportError:
            raise CannotGrade("grading needs the package jupyter-client") from None

        class ThisPython(KernelSpecManager):
            def get_kernel_spec(self, kernel_name):
                command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
                return KernelSpec(argv=command, display_name="attnfuse", language="python")

        environment = os.environ.copy()
        for name in ("PYTEST_CURRENT_TEST", "ATTNFUSE_QUICK"):
            environment.pop(name, None)
        if self.quick:
            environment["ATTNFUSE_QUICK"] = "1"
        self.manager = KernelManager(kernel_spec_manager=ThisPython())
        self.manager.start_kernel(
            env=environment,
            cwd=str(self.folder.resolve()),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.client = self.manager.blocking_client()
        self.client.start_channels(iopub=False, stdin=False, hb=False)
        try:
            self.reply(self.client.kernel_info(), limit=60)
        except KernelGone:
            self.__exit__()
            raise CannotGrade("no kernel could be started; is ipykernel installed?") from None
        self.reply(self.client.execute(WATCH.format(limit=self.timeout), silent=True), limit=60)
        return self

    def __exit__(self, *_):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, source: str, id: str = "") -> None:
        """Run a cell, as the notebook's cell of this id; whether it raises does not matter here."""
        content = {"code": source, "silent": False, "allow_stdin": False, "stop_on_error": False}
        message = self.client.session.msg("execute_request", content, metadata={"cellId": id})
        self.client.shell_channel.send(message)
        self.reply(message["header"]["msg_id"])

    def judge(self, name: str, candidate: str) -> dict:
        """The verdict on the learner's object: a dict with passed, message, misconception."""
        verdict = VERDICT.format(name=name, candidate=candidate)
        message = self.client.execute(
            "", silent=True, user_expressions={"verdict": verdict}, allow_stdin=False
        )
        reply = self.reply(message).get("user_expressions", {}).get("verdict", {})
        try:
            found = json.loads(ast.literal_eval(reply["data"]["text/plain"]))
            return {"passed": found["passed"] is True} | found
        except (KeyError, TypeError, ValueError, SyntaxError):
            why = reply.get("ename", "interrupted: it ran too long")
            return {"passed": False, "message": f"no verdict ({why} {reply.get('evalue', '')})"}

    def reply(self, message_id: str, limit: float | None = None) -> dict:
        """Wait for the answer to a request; past the limit interrupt, then kill."""
        limit = limit or self.timeout
        end, interrupted = time.monotonic() + limit, False
        while True:
            try:
                message = self.client.get_shell_msg(timeout=0.2)
                if message["parent_header"].get("msg_id") == message_id:
                    return message["content"]
            except Empty:
                if not self.manager.is_alive():
                    raise KernelGone("not reached: an earlier cell ended Python") from None
            if time.monotonic() > end and not interrupted:
                self.manager.interrupt_kernel()
                interrupted, end = True, time.monotonic() + INTERRUPT_GRACE
            elif time.monotonic() > end:
                self.manager.shutdown_kernel(now=True)
                raise KernelGone(f"not reached: an earlier cell ran on after {limit:g} s")


# What is shown


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr, if that is a terminal."""
    from tqdm import tqdm

    with tqdm(desc=label, leave=False, disable=None, file=sys.stderr, unit="cell") as bar:

        def update(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        yield update


def in_utf8(text: str) -> None:
    """Print in UTF-8, whatever the terminal's encoding; half a surrogate pair as JSON's escape."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    print(text)


def title_of(lesson: str) -> str:
    """A lesson's number and title, as its first cell has them: "05 Attention layers in Keras"."""
    cells = read_notebook(released_lessons()[lesson])["cells"]
    return "".join(cells[0]["source"]).splitlines()[0].lstrip("# ").replace(" · ", " ")


def total(results: list[LessonResult]) -> tuple[float, float]:
    """Points and most points, each lesson counted once: by the best of its notebooks."""
    best: dict[str, LessonResult] = {}
    for result in results:
        if result.lesson not in best or result.points > best[result.lesson].points:
            best[result.lesson] = result
    lessons = best.values()
    return sum(one.points for one in lessons), sum(one.max_points for one in lessons)


def as_text(results: list[LessonResult], skipped: dict[str, str]) -> str:
    names = [one.exercise for result in results if result.started for one in result.exercises]
    width = max(map(len, names), default=0)
    right, wrong = marks()
    lines = []
    for result in results:
        if not result.started:
            lines.append(f"{title_of(result.lesson)}: not started, {result.max_points:g} points")
            continue
        lines.append(f"{result.lesson}  ({result.notebook}, {result.seconds:.0f} s)")
        for one in result.exercises:
            mark = right if one.passed else wrong
            points = f"{one.points:g}/{one.max_points:g}" if one.max_points else "extra"
            lines.append(
                f"  {mark} {one.exercise:{width}}  {points:>5}  {first_line(one)}".rstrip()
            )
        lines += [f"    {'':{width}}  {f'{result.points:g}/{result.max_points:g}':>5}", ""]
    for path, reason in skipped.items():
        lines.append(f"skipped {path}: {reason}")
    points, most = total(results)
    lines.append(f"total {points:g}/{most:g}")
    return "\n".join(lines)


def marks() -> str:
    """The marks of right and wrong that the terminal can show."""
    try:
        "✓✗".encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return "+-"
    return "✓✗"


def first_line(result: ExerciseResult) -> str:
    """What a failed check says first; the line above it only repeats the exercise's name."""
    lines = [line.strip() for line in result.message.splitlines() if line.strip(" ✗✓")]
    said = [line for line in lines if line.strip(" ✗✓") != result.exercise]
    if result.passed or not said:
        return ""
    return said[0] if len(said[0]) <= 120 else said[0][:119] + "…"


def as_data(results: list[LessonResult], skipped: dict[str, str]) -> str:
    points, most = total(results)
    lessons = [
        {
            **asdict(result),
            "points": result.points,
            "max_points": result.max_points,
        }
        for result in results
    ]
    left_out = [{"notebook": path, "reason": reason} for path, reason in skipped.items()]
    data = {"points": points, "max_points": most, "lessons": lessons, "skipped": left_out}
    return json.dumps(data, indent=1, ensure_ascii=False)
