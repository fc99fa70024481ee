"""Build every derived file from `solutions/*.py`, or prove that nothing drifted.

- `build.py`: build everything; execute the lessons whose cells changed
- `build.py 01_attention_pooling --force`: build one lesson and execute it in any case
- `build.py --check`: rebuild in memory, compare, change nothing
"""

import argparse
import ast
import copy
import json
import os
import re
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from traitlets.config import Config

from attnfuse.cells import bound
from attnfuse.checking.exercise import KINDS
from attnfuse.exercises import EXERCISES, QUIZZES

# jsonschema would load this and build 38 grammars, a third of `make check`, that no schema here uses.
sys.modules.setdefault("rfc3987_syntax", None)
import jupytext  # noqa: E402
import nbformat  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
FRONT = {"title", "sentence", "you_will", "needs", "minutes", "seconds", "keras"}
MARKER = re.compile(r'(\w+)="([^"]*)"|(\w+)=(true)|(\w+)')
NAMED = ("task", "exercise", "try", "check", "quiz")
FLAGS = ("setup", "measured", "long")
UNNUMBERED = ("Warm-up", "What to remember")
# What JupyterLab writes when it saves, without the learner's version of Python.
LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
MOST_CELLS, MOST_LINES, MOST_WORDS = 80, 15, 90


class SourceError(Exception):
    """Something is wrong in a lesson's source; the message starts with file:line."""


@dataclass
class Cell:
    line: int
    markdown: bool
    source: str
    marks: dict = field(default_factory=dict)


@dataclass
class Lesson:
    path: Path
    front: dict
    cells: list[Cell]

    @property
    def slug(self) -> str:
        return self.path.stem

    def fail(self, line: int, text: str):
        raise SourceError(f"{_relative(self.path)}:{line}: {text}")


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


# ---------------------------------------------------------------- reading the source


def read(path: Path) -> Lesson:
    """Parse and validate one source file."""
    text = path.read_text(encoding="utf-8")
    lesson = Lesson(path, {}, [])
    lesson.front = _front_matter(lesson, text)
    marks = []
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"#\s*%%", line) and not line.startswith("# %%"):
            lesson.fail(number, f"malformed marker {line!r}: write '# %%'")
        if line.startswith("# %%"):
            marks.append((number, *_marker(lesson, number, line)))
    notebook = jupytext.reads(text, fmt="py:percent")
    if len(notebook.cells) != len(marks):
        lesson.fail(1, f"{len(marks)} markers, {len(notebook.cells)} cells: text before a marker?")
    for (number, markdown, marked), cell in zip(marks, notebook.cells, strict=True):
        if markdown != (cell.cell_type == "markdown"):
            lesson.fail(number, f"this marker made a {cell.cell_type} cell")
        lesson.cells.append(Cell(number, markdown, cell.source.strip("\n"), marked))
    _validate(lesson)
    return lesson


def _front_matter(lesson: Lesson, text: str) -> dict:
    match = re.match(r"# ---\n((?:#.*\n)+?)# ---\n", text)
    if not match:
        lesson.fail(1, "the file must start with '# ---', front matter, '# ---'")
    try:
        front = yaml.safe_load(re.sub(r"^# ?", "", match[1], flags=re.M))
    except yaml.YAMLError as error:
        lesson.fail(1, f"front matter is not YAML: {error}".replace("\n", " "))
    if not isinstance(front, dict) or set(front) != {"jupyter"}:
        lesson.fail(2, "front matter must stand under 'jupyter:'")
    ours = front["jupyter"].get("attnfuse") or {}
    if set(ours) != FRONT:
        lesson.fail(2, f"front matter 'attnfuse:' must have exactly {', '.join(sorted(FRONT))}")
    if len(ours["you_will"]) != 3:
        lesson.fail(2, "'you_will' must have three entries")
    return ours


def _marker(lesson: Lesson, number: int, line: str) -> tuple[bool, dict]:
    rest = line.removeprefix("# %%").strip()
    markdown = rest.startswith("[markdown]")
    rest = rest.removeprefix("[markdown]").strip()
    marks: dict = {}
    position = 0
    for match in MARKER.finditer(rest):
        if rest[position : match.start()].strip():
            break
        position = match.end()
        name = match[1] or match[3] or match[5]
        if name in marks:
            lesson.fail(number, f"{name!r} stands twice in one marker")
        if name not in (NAMED if match[1] else FLAGS):
            lesson.fail(number, f"unknown marker {match[0]!r}")
        marks[name] = match[2] or True
    if rest[position:].strip():
        lesson.fail(number, f"malformed marker {line!r}")
    if markdown != ("task" in marks) and ("task" in marks or (marks and markdown)):
        lesson.fail(number, "'task' belongs to a [markdown] cell, every other mark to a code cell")
    if sum(name in marks for name in NAMED) > 1:
        lesson.fail(number, "a cell has one of " + ", ".join(NAMED))
    return markdown, marks


def _validate(lesson: Lesson) -> None:
    seen: dict[tuple[str, str], int] = {}
    for cell in lesson.cells:
        for role in NAMED:
            if role not in cell.marks:
                continue
            name = cell.marks[role]
            if (role, name) in seen:
                lesson.fail(cell.line, f'{role}="{name}" stands already at line {seen[role, name]}')
            seen[role, name] = cell.line
            table, what = (QUIZZES, "question") if role == "quiz" else (EXERCISES, "exercise")
            if name not in table:
                lesson.fail(cell.line, f"unknown {what} {name!r}")
            if role in ("try", "check") and ("exercise", name) not in seen:
                lesson.fail(cell.line, f'{role}="{name}" without exercise="{name}" before it')
            if role != "quiz" and EXERCISES[name].lesson != lesson.slug:
                lesson.fail(cell.line, f"{name!r} belongs to lesson {EXERCISES[name].lesson}")
        _validate_solution(lesson, cell)
        _validate_style(lesson, cell)
    _validate_names(lesson)
    for (role, name), line in seen.items():
        for other in ("task", "try", "check"):
            if role == "exercise" and (other, name) not in seen:
                lesson.fail(line, f'exercise="{name}" has no {other}="{name}"')
    _validate_headings(lesson)
    declared = {name for name, exercise in EXERCISES.items() if exercise.lesson == lesson.slug}
    missing = declared - {name for role, name in seen if role == "exercise"}
    if missing:
        lesson.fail(1, f"declared for this lesson but not in it: {', '.join(sorted(missing))}")


def _validate_names(lesson: Lesson) -> None:
    """Two answers of a lesson have two names, as a check would else judge the other one's answer."""
    seen: dict[str, str] = {}
    for cell in lesson.cells:
        for name in bound(cell.source) if "exercise" in cell.marks else ():
            if name in seen:
                lesson.fail(cell.line, f"{name!r} is already the answer of {seen[name]!r}")
            seen[name] = cell.marks["exercise"]


def _validate_headings(lesson: Lesson) -> None:
    """Sections are `## 1 · Title`, `## 2 · Title`, …; before and after them stand `UNNUMBERED` ones."""
    number = 0
    for cell in lesson.cells:
        for heading in re.findall(r"^## +(.*)", cell.source, re.M) if cell.markdown else ():
            if not heading.startswith(UNNUMBERED):
                number += 1
                if not re.match(rf"{number} · \S", heading):
                    lesson.fail(cell.line, f"{heading!r} must be '## {number} · Title'")


def _validate_solution(lesson: Lesson, cell: Cell) -> None:
    open_line = 0
    regions = 0
    for offset, line in enumerate(cell.source.splitlines(), 1):
        mark = re.search(r"(BEGIN|END) SOLUTION", line)
        if not mark:
            continue
        number = cell.line + offset
        if "exercise" not in cell.marks:
            lesson.fail(number, f"'{mark[0]}' outside an exercise cell")
        if line.strip() != f"### {mark[0]}":
            lesson.fail(number, f"write '### {mark[0]}' on a line of its own")
        if (mark[1] == "BEGIN") == bool(open_line):
            lesson.fail(number, f"'{mark[0]}' without its partner")
        open_line = number if mark[1] == "BEGIN" else 0
        regions += mark[1] == "BEGIN"
    if open_line:
        lesson.fail(open_line, "'### BEGIN SOLUTION' without '### END SOLUTION'")
    if "exercise" in cell.marks and not regions:
        lesson.fail(cell.line, "an exercise cell needs '### BEGIN SOLUTION' … '### END SOLUTION'")
    if "check" in cell.marks:
        _check_call(lesson, cell)
    if "quiz" in cell.marks and cell.source:
        lesson.fail(cell.line, "a quiz cell has no text of its own: the build writes it")


def _check_call(lesson: Lesson, cell: Cell) -> None:
    try:
        (statement,) = ast.parse(cell.source).body
        call = statement.value
        good = call.func.id == "check" and len(call.args) == 2 and not call.keywords
        good = good and call.args[0].value == cell.marks["check"]
    except (SyntaxError, ValueError, AttributeError):
        good = False
    if not good:
        lesson.fail(cell.line, f'a check cell is exactly check("{cell.marks["check"]}", answer)')


def _validate_style(lesson: Lesson, cell: Cell) -> None:
    if cell.markdown:
        prose = re.sub(
            r"\$\$.*?\$\$|```.*?```|<details>.*?</details>|^\|.*$",
            "",
            cell.source,
            flags=re.S | re.M,
        )
        words = len(re.findall(r"\w[\w'’-]*", prose))
        most = 3 * MOST_WORDS if "task" in cell.marks else MOST_WORDS
        if words > most:
            lesson.fail(cell.line, f"{words} words; a text cell has {most} at most")
    elif not {"exercise", "long"} & set(cell.marks):
        lines = [x for x in cell.source.splitlines() if x.strip() and not x.strip().startswith("#")]
        if len(lines) > MOST_LINES:
            lesson.fail(cell.line, f"{len(lines)} lines; a code cell has {MOST_LINES} at most")


# ---------------------------------------------------------------- making the notebooks


def address() -> str | None:
    """The repository's address, from its one place; None until somebody sets it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project.get("urls", {}).get("Repository")


def colab_link(slug: str) -> str:
    """A link in words, as a picture from elsewhere is broken offline; "" without a GitHub address."""
    github = "https://github.com/"
    if not (address() or "").startswith(github):
        return ""
    path = address().removeprefix(github).rstrip("/").removesuffix(".git")
    target = f"https://colab.research.google.com/github/{path}/blob/main/notebooks/{slug}.ipynb"
    return f"[Open in Colab]({target})"


def _title_cell(lesson: Lesson) -> str:
    front = lesson.front
    needs = ", ".join(front["needs"]) or "nothing"
    will = "\n".join(f"- {item}" for item in front["you_will"])
    link = f"{colab_link(lesson.slug)}\n\n".lstrip()
    return (
        f"# {lesson.slug[:2]} · {front['title']}\n\n{link}{front['sentence']}\n\n"
        f"**You will**\n\n{will}\n\n**Needs** {needs}  \n"
        f"**Takes** about {front['minutes']} minutes to read and solve, "
        f"{front['seconds']} seconds to run on two cores"
    )


NOT_INSTALLED = """\
The course is not installed where this notebook runs. Run one of these in a cell of its own, then
this cell again:
  %pip install "PATH/attnfuse-VERSION-py3-none-any.whl[keras]"   a wheel; on Colab, upload it first
  %pip install "PATH/attnfuse[keras]"                            a clone of the repository"""


def _bootstrap_cell() -> str:
    if address():
        return (
            "# On Colab this installs the course; where the course is installed it does nothing.\n"
            "import importlib.util\n\n"
            'if importlib.util.find_spec("attnfuse") is None:\n'
            f'    %pip install -q "attnfuse @ git+{address()}"'
        )
    return (
        "# Where the course is installed this does nothing; elsewhere it says how to install it.\n"
        "import importlib.util\n\n"
        'if importlib.util.find_spec("attnfuse") is None:\n\n'
        "    class NotInstalled(ImportError):\n"
        "        def _render_traceback_(self):\n"
        "            return str(self).splitlines()\n\n"
        f'    raise NotInstalled("""\\\n{NOT_INSTALLED}""")'
    )


def _task_heading(number: int, name: str) -> str:
    exercise = EXERCISES[name]
    worth = f"{exercise.points} points" if exercise.points != 1 else "1 point"
    if not exercise.points:
        worth = "no points"
    stars = "★" * exercise.difficulty + "☆" * (3 - exercise.difficulty)
    return (
        f"### Exercise {number} · {exercise.title}\n\n"
        f"*{KINDS[exercise.kind]} · {stars} · {exercise.minutes} minutes · {worth}*\n\n"
    )


def notebook(lesson: Lesson):
    """The solved notebook without outputs: nbgrader metadata, deterministic ids."""
    cells = []

    def add(kind: str, source: str, id: str, metadata: dict | None = None):
        source = re.sub(r"  # noqa\b.*", "", source)
        cell = {"id": id, "cell_type": kind, "metadata": metadata or {}, "source": source}
        code = {"execution_count": None, "outputs": []} if kind == "code" else {}
        cells.append(nbformat.from_dict(cell | code))

    add("markdown", _title_cell(lesson), "title")
    add("code", _bootstrap_cell(), "bootstrap")
    task = 0
    for i, cell in enumerate(lesson.cells):
        marks = cell.marks
        tags = {"tags": ["nbval-ignore-output"]} if "measured" in marks else {}
        if "task" in marks:
            task += 1
            text = _task_heading(task, marks["task"]) + cell.source
            add("markdown", text, f"{marks['task']}-task")
        elif "exercise" in marks:
            name = marks["exercise"]
            add("code", cell.source, name, {"nbgrader": _nbgrader(name, solution=True)})
        elif "try" in marks:
            add("code", cell.source, f"{marks['try']}-try", tags)
        elif "check" in marks:
            name = marks["check"]
            add(
                "code", cell.source, f"{name}-check", {"nbgrader": _nbgrader(f"{name}-check", name)}
            )
        elif "quiz" in marks:
            quiz = QUIZZES[marks["quiz"]]
            options = "\n".join(
                f"- **{a})** {text}" for a, text in zip(quiz.letters, quiz.options, strict=True)
            )
            add("markdown", f"**Question.** {quiz.question}\n\n{options}", f"quiz-{quiz.id}-text")
            add("code", f'quiz("{quiz.id}", "{quiz.key}")  # your letter', f"quiz-{quiz.id}")
        else:
            add("markdown" if cell.markdown else "code", cell.source, f"cell-{i:02d}", tags)
    if len(cells) > MOST_CELLS:
        lesson.fail(1, f"{len(cells)} cells; a lesson has {MOST_CELLS} at most")
    result = nbformat.v4.new_notebook(cells=cells)
    result.nbformat_minor = 5
    result.metadata = nbformat.from_dict(
        {
            "attnfuse": {"lesson": lesson.slug},
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "name": "python3",
            },
            "language_info": LANGUAGE,
        }
    )
    return result


def _nbgrader(grade_id: str, check: str | None = None, solution: bool = False) -> dict:
    data = {
        "grade": check is not None,
        "grade_id": grade_id,
        "locked": check is not None,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }
    if check:
        data["points"] = EXERCISES[check].points
    return data


def nbgrader_config() -> Config:
    """`nbgrader_config.py` at the root, loaded."""
    config = Config()
    code = (ROOT / "nbgrader_config.py").read_text()
    exec(compile(code, "nbgrader_config.py", "exec"), {"get_config": lambda: config})
    return config


def assignment(source):
    """The notebook that nbgrader's `generate_assignment` makes, by its own preprocessors."""
    from nbgrader import preprocessors as steps

    result = copy.deepcopy(source)
    config = nbgrader_config()
    for step in (
        steps.LockCells,
        steps.ClearSolutions,
        steps.ClearOutput,
        steps.CheckCellMetadata,
        steps.ClearHiddenTests,
        steps.ClearMarkScheme,
        steps.ComputeChecksums,
        steps.CheckCellMetadata,
    ):
        result, _ = step(config=config).preprocess(result, {})
    return result


def release(solved):
    """The learner's notebook: an assignment, questions unanswered; try and check cells may raise."""
    result = assignment(solved)
    for cell in result.cells:
        if cell.id.startswith("quiz-") and cell.cell_type == "code":
            cell.source = re.sub(r', "\w"\)', ', "")', cell.source)
        if cell.id.endswith(("-try", "-check")):
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "raises-exception"]
    return result


def dump(notebook) -> str:
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n"


def answers(lessons: list[Lesson]) -> str:
    """What `hint` shows, as JSON: each answer, and half of it."""
    found = {}
    for lesson in lessons:
        for cell in lesson.cells:
            if "exercise" not in cell.marks:
                continue
            lines, own, inside = [], [], False  # own: where the solution's lines stand
            for line in cell.source.splitlines():
                if "### BEGIN SOLUTION" in line or "### END SOLUTION" in line:
                    inside = not inside
                    continue
                lines.append(line)
                own += [len(lines)] * inside
            if len(own) > 1:
                half = lines[: own[(len(own) - 1) // 2]]
            else:
                half = [*lines[: own[0] - 1], half_line(lines[own[0] - 1])]
                if half[-1] in lines:
                    lesson.fail(cell.line, "an answer of one value needs a comment: half of it")
            answer, half = "\n".join(lines), "\n".join(half)
            found[cell.marks["exercise"]] = {"answer": answer, "half": half}
    return json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def half_line(line: str) -> str:
    """Half of an answer of one line: `…` for its second half; for one value, if a comment explains it."""
    code, _, comment = line.partition("  # ")
    indent, code = code[: len(code) - len(code.lstrip())], code.strip().encode()
    (statement,) = ast.parse(code).body
    value, gap = statement.value, "…"
    first, last = value, value
    if isinstance(value, ast.Tuple | ast.List):
        kept = len(value.elts) // 2
        first, last, gap = value.elts[kept], value.elts[-1], ", ".join("…" * len(value.elts[kept:]))
    elif isinstance(value, ast.BinOp):
        first = last = value.right
    elif not comment:
        return line
    half = code[: first.col_offset].decode() + gap + code[last.end_col_offset :].decode()
    return f"{indent}{half}  # {comment}" if first is value else indent + half


def answer_lines(lesson: Lesson) -> set[str]:
    """Every line inside a solution region that is long enough to give something away."""
    lines: set[str] = set()
    for cell in lesson.cells:
        for region in re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", cell.source, re.S):
            lines |= {line.strip() for line in region.splitlines() if len(line.strip()) >= 12}
    return lines


def leaks(lesson: Lesson, released) -> list[str]:
    """Answer lines that occur anywhere in a release: sources, outputs, attachments, metadata."""

    def texts(x):
        if isinstance(x, str):
            yield x
        elif isinstance(x, dict):
            for key, value in x.items():
                yield key
                yield from texts(value)
        elif isinstance(x, list):
            for value in x:
                yield from texts(value)

    everything = "\n".join(texts(json.loads(dump(released))))
    return sorted(line for line in answer_lines(lesson) if line in everything)


def readme(lessons: list[Lesson], text: str) -> str:
    """README's text with the table of lessons brought up to date."""
    rows = ["| | lesson | you get | minutes | run time |", "|---|---|---|---|---|"]
    for lesson in lessons:
        front, link = lesson.front, colab_link(lesson.slug)
        rows.append(
            f"| {lesson.slug[:2]} | [{front['title']}](notebooks/{lesson.slug}.ipynb) | "
            f"{front['sentence']} | {front['minutes']} | {front['seconds']} s |"
            + f" {link} |"
            * bool(link)
        )
    if colab_link("any"):
        rows[:2] = [rows[0] + " |", rows[1] + "---|"]
    table = "\n".join(rows)
    pattern = r"(<!-- lessons: built from the front matter -->\n).*?(<!-- end of lessons -->)"
    new, count = re.subn(pattern, lambda m: f"{m[1]}{table}\n{m[2]}", text, flags=re.S)
    if count != 1:
        raise SourceError("README.md:1: the markers of the lesson table are missing")
    return new


# ---------------------------------------------------------------- executing


def kernel_environment(quick: bool = False) -> dict[str, str]:
    """The environment for kernels: pytest's own variable hides what a cell writes to stderr."""
    hidden = ("PYTEST_CURRENT_TEST", "ATTNFUSE_QUICK")
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    return environment | ({"ATTNFUSE_QUICK": "1"} if quick else {})


def execute(nb, quick: bool = False, timeout: int = 900):
    """Run a notebook in a fresh kernel and an empty folder; returns it with its outputs."""
    from nbclient import NotebookClient

    nb = copy.deepcopy(nb)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            nb,
            timeout=timeout,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            record_timing=False,
        )
        client.execute(env=kernel_environment(quick))
    nb.metadata["language_info"] = LANGUAGE
    return nb


def complaints(nb) -> list[str]:
    """What a learner should not see in an executed notebook: anything on stderr."""
    return [
        f"{cell.id}: {output.text[:300]}"
        for cell in nb.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream" and output.name == "stderr"
    ]


def solved_drift(lesson: Lesson, solved) -> str | None:
    """Why solutions/*.ipynb is not what the source gives, or None."""
    path = ROOT / "solutions" / f"{lesson.slug}.ipynb"
    if not path.exists():
        return "was never built"
    stored = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in stored["cells"] if cell["cell_type"] == "code"]
    executed = all(cell["execution_count"] for cell in code)
    outputs = any(cell["outputs"] for cell in code)
    for cell in code:
        cell["outputs"], cell["execution_count"] = [], None
    if stored != json.loads(dump(solved)):
        return "has other cells than its source"
    if not executed:
        return "holds cells that were not executed"
    return None if outputs else "has no outputs"


def with_stored_outputs(path: Path, solved):
    """The new notebook with the stored outputs, if only text cells changed; else None."""
    if not path.exists():
        return None
    stored = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    old = [cell for cell in stored.cells if cell.cell_type == "code"]
    result = copy.deepcopy(solved)
    new = [cell for cell in result.cells if cell.cell_type == "code"]
    if [(c.source, c.metadata) for c in old] != [(c.source, c.metadata) for c in new]:
        return None
    if any(cell.execution_count is None for cell in old):
        return None
    for before, after in zip(old, new, strict=True):
        after.outputs, after.execution_count = before.outputs, before.execution_count
    return result


def build(lesson: Lesson, force: bool) -> None:
    solved = notebook(lesson)
    released = release(solved)
    found = leaks(lesson, released)
    if found:
        lesson.fail(1, f"answer text in the release: {found[0]!r}")
    path = ROOT / "solutions" / f"{lesson.slug}.ipynb"
    why = "asked for" if force else solved_drift(lesson, solved)
    if why and not force and (same := with_stored_outputs(path, solved)):
        path.write_text(dump(same), encoding="utf-8")
    elif why:
        print(f"{lesson.slug}: executing ({why}) …", flush=True)
        start = time.perf_counter()
        done = execute(solved)
        if complaints(done):
            lesson.fail(1, "stderr in cell " + "; ".join(complaints(done)))
        path.write_text(dump(done), encoding="utf-8")
        print(f"{lesson.slug}: {time.perf_counter() - start:.1f} s")
    (ROOT / "notebooks" / f"{lesson.slug}.ipynb").write_text(dump(released), encoding="utf-8")


def drift(lessons: list[Lesson]) -> list[str]:
    """Every derived file that is not what its source gives."""
    problems = []

    def compare(path: Path, text: str):
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            problems.append(f"{_relative(path)} is out of date: run `make build`")

    for lesson in lessons:
        solved = notebook(lesson)
        released = release(solved)
        problems += [
            f"{lesson.slug}: answer in the release: {x!r}" for x in leaks(lesson, released)
        ]
        why = solved_drift(lesson, solved)
        if why:
            problems.append(f"solutions/{lesson.slug}.ipynb {why}: run `make build`")
        compare(ROOT / "notebooks" / f"{lesson.slug}.ipynb", dump(released))
    slugs = {lesson.slug for lesson in lessons}
    for folder in ("solutions", "notebooks"):
        for path in (ROOT / folder).glob("*.ipynb"):
            if path.stem not in slugs:
                problems.append(f"{_relative(path)} has no source")
    compare(ROOT / "attnfuse" / "answers.json", answers(lessons))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    compare(ROOT / "README.md", readme(lessons, text))
    return problems


def all_lessons() -> list[Lesson]:
    return [read(path) for path in sorted((ROOT / "solutions").glob("[0-9]*.py"))]


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lessons", nargs="*", help="slugs; all lessons if none is named")
    parser.add_argument("--check", action="store_true", help="compare only, change nothing")
    parser.add_argument("--force", action="store_true", help="execute even if nothing changed")
    options = parser.parse_args(argv)
    try:
        if options.check:
            problems = drift(all_lessons())
            print("\n".join(problems) or "Nothing drifted.")
            return bool(problems)
        if options.lessons:
            lessons = [read(ROOT / "solutions" / f"{slug}.py") for slug in options.lessons]
        else:
            lessons = all_lessons()
        for lesson in lessons:
            build(lesson, options.force)
        if not options.lessons:
            lessons = all_lessons()
            text = answers(lessons)
            (ROOT / "attnfuse" / "answers.json").write_text(text, encoding="utf-8")
            page = ROOT / "README.md"
            page.write_text(readme(lessons, page.read_text(encoding="utf-8")), encoding="utf-8")
    except SourceError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
