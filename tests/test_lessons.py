"""Every lesson is run: solved, once and in full, and as released.

The solved run serves two judges: nbval compares its outputs with the stored ones, nbgrader grades
it. nbclient runs it, as in the build and in nbgrader; `pytest --nbval` keeps no outputs to grade
and does not see what a cell's libraries write to file descriptor 2.
"""

import copy
import re
from pathlib import Path

import build
import learners
import nbformat
import pytest
from nbgrader.utils import determine_grade, is_grade
from nbval.plugin import IPyNbFile, coalesce_streams

from attnfuse.exercises import EXERCISES


def solution(lesson: str) -> Path:
    return build.ROOT / "solutions" / f"{lesson}.ipynb"


def read(path: Path):
    return nbformat.read(path, nbformat.NO_CONVERT)


def points(lesson: str) -> dict[str, float]:
    return {one.name: one.points for one in EXERCISES.values() if one.lesson == lesson}


def marks(ran) -> dict[str, float]:
    """nbgrader's points for each exercise, from the outputs of the check cells."""
    graded = [cell for cell in ran.cells if is_grade(cell)]
    return {cell.id.removesuffix("-check"): determine_grade(cell)[0] for cell in graded}


def differences(path: Path, ran, session) -> dict[str, str]:
    """What nbval finds between the outputs stored in a file and those of a run, by cell id.

    Of a picture in HTML it compares everything but its bytes: that it is there, and its description.
    """
    found = {}
    cells = [cell for cell in ran.cells if cell.cell_type == "code"]
    file = IPyNbFile.from_parent(session, path=path)
    file.sanitize_patterns = {r"(?<=base64,)[A-Za-z0-9+/=]+": "…"}
    for stored, cell in zip(file.collect(), cells, strict=True):
        if stored.options["check"] and not stored.compare_outputs(
            coalesce_streams(copy.deepcopy(cell.outputs)), coalesce_streams(stored.cell.outputs)
        ):
            found[cell.id] = "\n".join(stored.comparison_traceback)
    return found


def run_solved(path: Path, lesson: str, session) -> None:
    """Run a solved lesson in full: no error, nothing on stderr, full marks, the stored outputs."""
    ran = build.execute(read(path), timeout=600)
    assert build.complaints(ran) == []
    assert marks(ran) == points(lesson)
    differ = differences(path, ran, session)
    assert not differ, "\n".join(f"{id}:\n{what}" for id, what in differ.items())


@pytest.mark.slow
@pytest.mark.parametrize("lesson", learners.LESSONS)
def test_solved(lesson, request):
    run_solved(solution(lesson), lesson, request.session)


@pytest.mark.slow
@pytest.mark.parametrize("lesson", learners.LESSONS)
def test_released_it_runs_to_the_end_and_earns_nothing(lesson):
    ran = build.execute(read(build.ROOT / "notebooks" / f"{lesson}.ipynb"), learners.QUICK, 600)
    learners.assert_ran_unsolved(ran)
    assert marks(ran) == dict.fromkeys(points(lesson), 0)


# That outputs are compared at all


def strip(cell) -> bool:
    """Take a cell's outputs away; whether there were any."""
    had, cell.outputs = bool(cell.outputs), []
    return had


def change_a_digit(cell) -> bool:
    """Change the last digit of what a cell printed; whether it printed one."""
    for output in cell.outputs:
        where, key = (output, "text") if "text" in output else (output.data, "text/plain")
        if digits := list(re.finditer(r"\d", where[key])):
            at = digits[-1].start()
            where[key] = f"{where[key][:at]}{(int(where[key][at]) + 1) % 10}{where[key][at + 1 :]}"
            return True
    return False


def describe_otherwise(cell) -> bool:
    """Change the description of a cell's picture; whether it has one."""
    pages = [one.data for one in cell.outputs if "<img" in one.get("data", {}).get("text/html", "")]
    for page in pages:
        page["text/html"] = page["text/html"].replace('alt="', 'alt="Not ')
    return bool(pages)


@pytest.mark.parametrize("lesson", learners.LESSONS)
@pytest.mark.parametrize("spoil", [strip, change_a_digit, describe_otherwise])
def test_in_every_cell_a_spoiled_output_is_seen(lesson, spoil, tmp_path, request):
    stored = read(solution(lesson))
    spoiled = {
        cell.id
        for cell in stored.cells
        if cell.cell_type == "code"
        and spoil(cell)
        and "nbval-ignore-output" not in cell.metadata.get("tags", [])
    }
    assert spoiled
    path = tmp_path / f"{lesson}.ipynb"
    nbformat.write(stored, path)
    unspoiled = read(solution(lesson))
    assert differences(path, unspoiled, request.session).keys() == spoiled
    assert differences(solution(lesson), unspoiled, request.session) == {}


def test_other_bytes_of_a_picture_are_no_difference(tmp_path, request):
    lesson = learners.LESSONS[0]
    stored = read(solution(lesson))
    pictures = [
        one.data for cell in stored.cells for one in cell.get("outputs", []) if "data" in one
    ]
    pictures = [data for data in pictures if "<img" in data.get("text/html", "")]
    assert pictures
    for data in pictures:
        data["text/html"] = data["text/html"].replace("base64,iVBOR", "base64,jVBOR")
    nbformat.write(stored, path := tmp_path / "other.ipynb")
    assert differences(path, read(solution(lesson)), request.session) == {}


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [strip, change_a_digit, describe_otherwise])
def test_a_run_does_not_pass_with_one_spoiled_cell(spoil, tmp_path, request):
    lesson = "00_start_here"
    notebook = read(solution(lesson))
    spoiled = next(cell for cell in notebook.cells if cell.cell_type == "code" and spoil(cell))
    path = tmp_path / f"{lesson}.ipynb"
    nbformat.write(notebook, path)
    with pytest.raises(AssertionError, match=f"{spoiled.id}:\n"):
        run_solved(path, lesson, request.session)
