"""Stock nbgrader, through its command line, on the course that `make course` lays out."""

import os
import re
import subprocess
import sys
from pathlib import Path

import build
import course as tool
import learners
import nbformat
import pytest

from attnfuse.exercises import EXERCISES
from attnfuse.teaching import with_mathml

BIN = str(Path(sys.executable).parent)  # nbgrader calls alembic by name


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course") / "attention"
    assert tool.make_course(folder) == learners.LESSONS
    return folder


def nbgrader(course: Path, *arguments: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    environment |= {"ATTNFUSE_QUICK": "1" if learners.QUICK else ""}
    environment |= {"PATH": BIN + os.pathsep + os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


@pytest.mark.parametrize("lesson", learners.LESSONS)
def test_nbgraders_preprocessors_make_the_release(course, lesson):
    source = nbformat.read(course / "source" / lesson / f"{lesson}.ipynb", nbformat.NO_CONVERT)
    assert parts(build.assignment(source)) == parts(learners.stub(lesson))


@pytest.mark.slow
@pytest.mark.parametrize("lesson", learners.SOME)
def test_release_submit_autograde(course, lesson, monkeypatch):
    nbgrader(course, "generate_assignment", lesson, "--force")
    released = learners.read(course / "release" / lesson / f"{lesson}.ipynb")
    assert parts(released) == parts(learners.stub(lesson))

    exercise = learners.core(lesson)[0]
    submissions = {
        "solved": learners.solved(lesson),
        "stub": released,
        "wrong": learners.wrong(lesson, exercise),
    }
    for student, notebook in submissions.items():
        learners.save(notebook, course / "submitted" / student / lesson / f"{lesson}.ipynb")
    nbgrader(course, "autograde", lesson)

    monkeypatch.setenv("PATH", BIN + os.pathsep + os.environ["PATH"])
    most = learners.full_marks(lesson)
    expected = {"solved": most, "stub": 0, "wrong": most - EXERCISES[exercise].points}
    assert scores(course, lesson) == {name: (points, most) for name, points in expected.items()}
    graded = course / "autograded"
    solved = learners.read(graded / "solved" / lesson / f"{lesson}.ipynb")
    outputs = [output for cell in solved["cells"] for output in cell.get("outputs", [])]
    assert not [one for one in outputs if one["output_type"] == "error"]
    assert not [one for one in outputs if one.get("name") == "stderr"]
    learners.assert_ran_unsolved(learners.read(graded / "stub" / lesson / f"{lesson}.ipynb"))


@pytest.mark.slow
def test_feedback_names_its_exercises_and_asks_no_network(course):
    """The page of a lesson is whole by itself, formulas and pictures too."""
    lesson = learners.LESSONS[0]
    nbgrader(course, "generate_assignment", lesson, "--force")
    notebook = learners.solved(lesson)
    notebook["cells"][4]["source"] = "A formula: $w_i$, and a price of `$5`, `$6`."
    learners.save(notebook, course / "submitted" / "noether" / lesson / f"{lesson}.ipynb")
    nbgrader(course, "autograde", lesson, "--student", "noether")
    nbgrader(course, "generate_feedback", lesson, "--student", "noether")
    page = (course / "feedback" / "noether" / lesson / f"{lesson}.html").read_text()
    assert re.search(r'<a href="#weighted_average-check">Exercise 1 · A weighted average</a>', page)
    assert "Test cell" not in page
    assert "<msub><mi>w</mi><mi>i</mi></msub>" in page
    assert "<code>$5</code>" in page
    assert re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=.(?:https?:)?//[^>]*>", page) == []
    alts = re.findall(r'<img[^>]*alt="([^"]*)"', page)
    assert any("shares" in alt or "weights" in alt for alt in alts), alts


def test_every_formula_of_the_lessons_becomes_mathml():
    for lesson in learners.LESSONS:
        for cell in learners.stub(lesson)["cells"]:
            if cell["cell_type"] == "markdown":
                shown = with_mathml("".join(cell["source"]))
                assert "$" not in re.sub(r"(?s)```.*?```|`[^`]*`", "", shown)


def scores(course: Path, lesson: str) -> dict[str, tuple[float, float]]:
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        found = gradebook.assignment_submissions(lesson)
        assert not any(submission.needs_manual_grade for submission in found)
        return {one.student.id: (one.score, one.max_score) for one in found}


def parts(notebook: dict) -> list:
    """What makes a release: kinds, ids, sources, nbgrader's metadata, no outputs or attachments."""
    return [
        (
            cell["cell_type"],
            cell["id"],
            "".join(cell["source"]),
            cell["metadata"].get("nbgrader"),
            cell["metadata"].get("tags"),
            cell.get("outputs"),
            cell.get("attachments"),
        )
        for cell in notebook["cells"]
    ]


# Laying out a course


def test_the_course_leaks_no_outputs(course):
    for stage in ("source", "release"):
        for path in sorted((course / stage).glob("*/*.ipynb")):
            notebook = learners.read(path)
            assert "widgets" not in notebook["metadata"]
            for cell in notebook["cells"]:
                assert not cell.get("outputs")
                assert "attachments" not in cell


def test_a_second_run_refreshes_the_lessons_and_keeps_what_is_the_teachers(tmp_path, capsys):
    tool.make_course(tmp_path)
    lesson = learners.LESSONS[0]
    source = tmp_path / "source" / lesson / f"{lesson}.ipynb"
    before = source.read_text()
    source.write_text("stale")
    kept = {
        "gradebook.db": "grades",
        f"submitted/ada/{lesson}/{lesson}.ipynb": "her work",
        f"autograded/ada/{lesson}/{lesson}.ipynb": "graded",
        "source/essay/essay.ipynb": "the teacher's own",
    }
    for name, text in kept.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    config = tmp_path / "nbgrader_config.py"
    config.write_text(config.read_text() + "c.CourseDirectory.db_url = 'sqlite:///my.db'\n")
    mine = config.read_text()
    tool.make_course(tmp_path)
    assert source.read_text() == before
    assert config.read_text() == mine
    assert "was kept" in capsys.readouterr().out
    assert {name: (tmp_path / name).read_text() for name in kept} == kept


@pytest.mark.parametrize("name", ["thesis.tex", "nbgrader_config.py"])
def test_a_folder_that_is_something_else_is_refused(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(tool.CourseError, match="nothing written"):
        tool.make_course(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with pytest.raises(tool.CourseError, match="is a file"):
        tool.make_course(tmp_path / name)
