"""Notebooks as learners leave them: solved, untouched, or with one answer wrong."""

import json
import os
from pathlib import Path

from attnfuse.exercises import EXERCISES
from attnfuse.released import release_checks, released_lessons

ROOT = Path(__file__).resolve().parent.parent
QUICK = not os.environ.get("ATTNFUSE_TEST_FULL")  # `make test-all` runs these rounds in full
LESSONS = list(released_lessons())


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def save(notebook: dict, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def solved(lesson: str) -> dict:
    return read(ROOT / "solutions" / f"{lesson}.ipynb")


def stub(lesson: str) -> dict:
    return read(released_lessons()[lesson])


def wrong(lesson: str, exercise: str) -> dict:
    """Solved, but for one exercise with the first misconception as its answer."""
    notebook = solved(lesson)
    name = release_checks(released_lessons()[lesson])[exercise]
    # The solved answer still runs, as other cells may lean on it; then it is replaced.
    cell(notebook, exercise)["source"] += [
        "\nfrom attnfuse.exercises import EXERCISES\n",
        f"{name} = EXERCISES[{exercise!r}].misconceptions[0].wrong",
    ]
    return notebook


def cell(notebook: dict, grade_id: str) -> dict:
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == grade_id:
            return cell
    raise KeyError(grade_id)


def core(lesson: str) -> list[str]:
    """The exercises of a lesson that carry points."""
    return [one.name for one in EXERCISES.values() if one.lesson == lesson and one.points]


def full_marks(lesson: str) -> float:
    return sum(EXERCISES[name].points for name in core(lesson))
