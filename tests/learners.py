"""Notebooks as learners leave them: solved, untouched, or with one answer wrong."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from attnfuse.exercises import EXERCISES
from attnfuse.released import release_checks, released_lessons

ROOT = Path(__file__).resolve().parent.parent
QUICK = not os.environ.get("ATTNFUSE_TEST_FULL")  # `make test-all` runs these rounds in full
LESSONS = list(released_lessons())
# Three that differ (the first, NumPy, Keras) stand for all in rounds that depend little on the lesson.
SOME = [one for one in LESSONS if not QUICK or one[:2] in ("00", "02", "05")]


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


def wrong(lesson: str, exercise: str, unsolved: Sequence[str] = ()) -> dict:
    """Solved, but for one exercise with a wrong answer, and those that were left as released."""
    notebook = solved(lesson)
    for name in unsolved:
        cell(notebook, name)["source"] = cell(stub(lesson), name)["source"]
    name = release_checks(released_lessons()[lesson])[exercise]
    # The solved answer still runs, as other cells may lean on it; then it is replaced.
    cell(notebook, exercise)["source"] += [
        "\nfrom attnfuse.exercises import EXERCISES\n",
        f"{name} = next(iter(EXERCISES[{exercise!r}].wrong_answers().values()))",
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


def assert_ran_unsolved(notebook: dict) -> None:
    """Every check raised, beside them at most try-it cells, and nothing went to stderr."""
    outputs = [(cell["id"], one) for cell in notebook["cells"] for one in cell.get("outputs", [])]
    assert not [(id, one) for id, one in outputs if one.get("name") == "stderr"]
    raised = {id for id, one in outputs if one["output_type"] == "error"}
    assert {cell["id"] for cell in notebook["cells"] if cell["id"].endswith("-check")} <= raised
    assert all(id.endswith(("-try", "-check")) for id in raised), raised
