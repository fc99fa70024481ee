"""`attnfuse grade`: what learners get for what they wrote, and for what they tried."""

import json
import os
import subprocess
import sys

import learners
import pytest

from attnfuse.cli import main
from attnfuse.exercises import EXERCISES
from attnfuse.grade import CannotGrade, Kernel, grade_notebook, lesson_of, read_notebook

LESSON, EXERCISE = "00_start_here", "weighted_average"
POINTS = EXERCISES[EXERCISE].points


@pytest.fixture
def notebook(tmp_path):
    """Saves a notebook under a name and returns its path."""
    return lambda content, name=f"{LESSON}.ipynb": learners.save(content, tmp_path / name)


def code(source: str) -> dict:
    return {"cell_type": "code", "metadata": {}, "source": source, "outputs": []}


# Every lesson


@pytest.mark.slow
@pytest.mark.parametrize("lesson", learners.SOME)
def test_solved_gets_full_marks(lesson, notebook):
    result = grade_notebook(
        notebook(learners.solved(lesson), f"{lesson}.ipynb"), quick=learners.QUICK
    )
    assert [one.message for one in result.exercises if not one.passed] == []
    assert result.points == result.max_points == learners.full_marks(lesson)


@pytest.mark.slow
@pytest.mark.parametrize("lesson", learners.SOME)
def test_the_release_gets_nothing(lesson, notebook):
    result = grade_notebook(
        notebook(learners.stub(lesson), f"{lesson}.ipynb"), quick=learners.QUICK
    )
    assert {one.exercise for one in result.exercises if one.passed} == set()
    assert (result.points, result.max_points) == (0, learners.full_marks(lesson))


@pytest.mark.slow
@pytest.mark.parametrize("lesson", learners.LESSONS)
def test_a_wrong_and_a_missing_answer_lose_exactly_their_points(lesson, notebook):
    *others, wrong = learners.core(lesson)
    lost = [wrong, *others[:1]]
    content = learners.wrong(lesson, wrong, unsolved=others[:1])
    result = grade_notebook(notebook(content, f"{lesson}.ipynb"), quick=learners.QUICK)
    failed = {one.exercise: one for one in result.exercises if not one.passed}
    assert failed.keys() == set(lost)
    assert result.points == result.max_points - sum(EXERCISES[name].points for name in lost)
    assert result.max_points == learners.full_marks(lesson)
    assert failed[wrong].misconception


# What learners do to notebooks


def stub_with(cells: list[dict]) -> dict:
    content = learners.stub(LESSON)
    content["cells"] += cells
    return content


def test_a_check_cell_without_metadata_is_found_by_its_text(notebook):
    content = learners.solved(LESSON)
    for cell in content["cells"]:
        cell["metadata"] = {}
    assert grade_notebook(notebook(content)).points == POINTS


def test_an_edited_check_cell_is_restored(notebook):
    content = learners.stub(LESSON)
    learners.cell(content, f"{EXERCISE}-check")["source"] = "print('✓ weighted_average')"
    assert grade_notebook(notebook(content)).points == 0


def test_a_deleted_check_cell_is_judged_at_the_end(notebook):
    content = learners.solved(LESSON)
    content["cells"].remove(learners.cell(content, f"{EXERCISE}-check"))
    assert grade_notebook(notebook(content)).points == POINTS


def test_an_answer_after_the_check_cell_is_too_late(notebook):
    late = code("def weighted_average(value, parts):\n    return value @ parts / parts.sum()")
    assert grade_notebook(notebook(stub_with([late]))).points == 0


def test_an_answer_and_its_check_merged_into_one_cell(notebook):
    content = learners.solved(LESSON)
    check = learners.cell(content, f"{EXERCISE}-check")
    content["cells"].remove(check)
    answer = learners.cell(content, EXERCISE)
    answer["metadata"] = {}
    answer["source"] = [*answer["source"], "\n", *check["source"]]
    assert grade_notebook(notebook(content)).points == POINTS


@pytest.mark.parametrize(
    "forgery",
    [
        f"print('✓ {EXERCISE} · 5 cases · {POINTS} points')",
        "import attnfuse\nattnfuse.check = lambda *_, **__: print('✓')\ncheck = attnfuse.check",
    ],
)
def test_what_a_notebook_prints_or_shadows_earns_nothing(notebook, forgery):
    content = learners.stub(LESSON)
    content["cells"].insert(3, code(forgery))
    check = learners.cell(content, f"{EXERCISE}-check")
    text = [f"✓ {EXERCISE} · 5 cases · {POINTS} points"]
    check["outputs"] = [{"output_type": "stream", "name": "stdout", "text": text}]
    assert grade_notebook(notebook(content)).points == 0


def test_a_cell_that_raises_or_is_no_python_does_not_stop_the_rest(notebook):
    content = learners.solved(LESSON)
    content["cells"][3:3] = [code("1 / 0"), code("this is no Python"), code("raise SystemExit")]
    assert grade_notebook(notebook(content)).points == POINTS


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("def weighted_average(value, parts):\n    return (", "SyntaxError"),
        ("1 / 0\ndef weighted_average(value, parts):\n    return 0", "ZeroDivisionError"),
    ],
)
def test_a_cell_that_stopped_is_named_and_no_older_answer_judged(notebook, broken, says):
    content = learners.solved(LESSON)
    place = content["cells"].index(learners.cell(content, EXERCISE))
    content["cells"].insert(place + 1, code(broken))
    (result,) = grade_notebook(notebook(content)).exercises
    assert not result.passed
    assert says in result.message
    assert "line" in result.message
    assert "No answer found" not in result.message


def test_a_deleted_answer_is_named(notebook):
    content = learners.solved(LESSON)
    content["cells"].remove(learners.cell(content, EXERCISE))
    (result,) = grade_notebook(notebook(content)).exercises
    assert not result.passed
    assert "weighted_average is not defined yet" in result.message


@pytest.mark.parametrize("above", [False, True])
@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("dfe weighted_average(value, parts):\n    pass", "SyntaxError: invalid syntax (line 1)."),
        ("import sys\nsys.exit(0)", "SystemExit: 0 (line 2)."),
        ("def f():\n    f()\nf()", "RecursionError: maximum recursion depth exceeded (line 3)."),
        ("(" * 5000 + ")" * 5000, "SyntaxError: too many nested parentheses (line 1)."),
        ("while True:\n    pass", "ran longer than 4 s."),
    ],
)
def test_an_answers_cell_is_known_by_its_id(notebook, broken, says, above):
    """It says what stopped that cell, also where an older answer is still there."""
    content = learners.solved(LESSON)
    cell = learners.cell(content, EXERCISE)
    if above:
        content["cells"].insert(content["cells"].index(cell), code(cell["source"]))
    cell["source"] = broken
    (result,) = grade_notebook(notebook(content), timeout=4).exercises
    assert not result.passed
    assert says in result.message
    assert "The cell of weighted_average" in result.message


def test_a_cell_that_runs_without_defining_its_answer(notebook):
    content = learners.solved(LESSON)
    learners.cell(content, EXERCISE)["source"] = "%%bash\ntrue"
    (result,) = grade_notebook(notebook(content)).exercises
    assert "ran, but defined no weighted_average" in result.message


@pytest.mark.parametrize("magic", ["%%time", "exec"])
def test_an_answer_below_its_stub_counts(notebook, magic):
    content = learners.stub(LESSON)
    source = "".join(learners.cell(learners.solved(LESSON), EXERCISE)["source"])
    answer = f"%%time\n{source}" if magic == "%%time" else f"exec({source!r})"
    place = content["cells"].index(learners.cell(content, EXERCISE))
    content["cells"].insert(place + 1, code(answer))
    assert grade_notebook(notebook(content)).points == POINTS


def test_a_flood_of_output_is_survived(notebook):
    content = learners.solved(LESSON)
    content["cells"].insert(3, code("for _ in range(20_000):\n    print('x' * 500)"))
    assert grade_notebook(notebook(content)).points == POINTS


def test_a_looping_cell_is_interrupted_and_the_rest_graded(notebook):
    content = learners.solved(LESSON)
    content["cells"].insert(3, code("while True:\n    pass"))
    assert grade_notebook(notebook(content), timeout=4).points == POINTS


def test_a_cell_that_ignores_interrupts_is_ended(notebook, monkeypatch):
    monkeypatch.setattr("attnfuse.grade.INTERRUPT_GRACE", 1)
    loop = "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"
    content = learners.solved(LESSON)
    content["cells"].insert(3, code(loop))
    (result,) = grade_notebook(notebook(content), timeout=4).exercises
    assert not result.passed
    assert "ran on after 4 s" in result.message


def test_an_answer_that_loops_scores_nothing(notebook):
    content = learners.solved(LESSON)
    learners.cell(content, EXERCISE)["source"] = (
        "def weighted_average(value, parts):\n    while True:\n        pass"
    )
    (result,) = grade_notebook(notebook(content), timeout=4).exercises
    assert not result.passed
    assert "Your answer was still running" in result.message


def test_a_kernel_that_ends_itself(notebook):
    content = learners.solved(LESSON)
    content["cells"].insert(3, code("import os\nos._exit(0)"))
    (result,) = grade_notebook(notebook(content)).exercises
    assert not result.passed
    assert "ended Python" in result.message


def test_the_kernel_hides_quick_mode_and_pytest_from_the_notebook(tmp_path, monkeypatch):
    monkeypatch.setenv("ATTNFUSE_QUICK", "1")
    spy = "import os; s = {'ATTNFUSE_QUICK', 'PYTEST_CURRENT_TEST'} & set(os.environ)"
    with Kernel(tmp_path, quick=False, timeout=60) as kernel:
        kernel.run(f"{spy}\nif s: os._exit(1)")
        kernel.run("pass")


# Which lesson a file is


@pytest.mark.parametrize("name", [f"{LESSON} (1).ipynb", "Untitled.ipynb", "homework.ipynb"])
@pytest.mark.parametrize("keeps_metadata", [True, False])
def test_the_lesson_is_found(notebook, name, keeps_metadata):
    content = learners.stub(LESSON)
    if not keeps_metadata:
        content["metadata"] = {}
    else:
        content["metadata"]["attnfuse"] = {"lesson": [LESSON]}  # no text; the checks still tell
    path = notebook(content, name)
    assert lesson_of(read_notebook(path), path) == LESSON


def one_cell(**content) -> str:
    return json.dumps({"cells": [{"cell_type": "code", "metadata": {}} | content], "metadata": {}})


BROKEN = {  # the file's content → the reason that is shown
    "empty": (" \n", "the file is empty"),
    "no JSON": ("no JSON", "not a notebook"),
    "a list": ("[]", "no list of cells"),
    "a text": ('"cells"', "no list of cells"),
    "no cells": ("{}", "no list of cells"),
    "cells null": ('{"cells": null}', "no list of cells"),
    "cells a number": ('{"cells": 3}', "no list of cells"),
    "a cell a number": ('{"cells": [7]}', "cell 1 is no cell"),
    "no lesson": ('{"cells": []}', "not one of the course's lessons"),
    "source null": (one_cell(source=None), "source of cell 1"),
    "source of numbers": (one_cell(source=[1]), "source of cell 1"),
    "metadata null": (one_cell(source="", metadata=None), "metadata of cell 1"),
    "half a surrogate pair": (one_cell(source='x = "\ud83d"'), "cell 1 holds half a character"),
    "a long sum": (one_cell(source="+".join(["1"] * 20_000)), "cell 1 is nested too deeply"),
    "deep JSON": ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    "Latin-1": (b'{"cells": ["\xe4"]}', "not utf-8"),
}


@pytest.mark.parametrize(("content", "reason"), BROKEN.values(), ids=BROKEN)
def test_broken_and_foreign_files_are_refused_with_a_reason(tmp_path, content, reason):
    path = tmp_path / "mine.ipynb"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CannotGrade, match=reason):
        grade_notebook(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_other_encodings_are_read(notebook, encoding):
    path = notebook(learners.stub(LESSON), "mine.ipynb")
    expected = read_notebook(path)
    path.write_bytes(path.read_text("utf-8").encode(encoding))
    assert read_notebook(path) == expected


# The command


def test_the_command_grades_the_rest_names_the_broken_and_exits_2(notebook, capsys):
    good = notebook(learners.solved(LESSON))
    broken = good.with_name("broken.ipynb")
    broken.write_text("{")
    foreign = notebook({"cells": [code("x = 1")], "metadata": {}}, "foreign.ipynb")
    missing, folder = good.with_name("missing.ipynb"), good.with_name("folder.ipynb")
    folder.mkdir()
    odd = [broken, foreign, missing, folder]
    for number, (content, _) in enumerate(BROKEN.values()):
        odd.append(good.with_name(f"odd{number}.ipynb"))
        odd[-1].write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["grade", *map(str, [*odd, good])]) == 2
    shown = capsys.readouterr().out
    assert f"total {POINTS}/{POINTS}" in shown
    for path in odd:
        assert f"skipped {path}: " in shown


def test_what_nobody_foresaw_ends_no_other_notebook(notebook, capsys, monkeypatch):
    odd, fine = notebook(learners.stub(LESSON), "odd.ipynb"), notebook(learners.solved(LESSON))
    graded = grade_notebook(fine)

    def fail(path, **_):
        if path == odd:
            raise MemoryError("too large")
        return graded

    monkeypatch.setattr("attnfuse.grade.grade_notebook", fail)
    assert main(["grade", str(odd), str(fine)]) == 2
    shown = capsys.readouterr().out
    assert f"skipped {odd}: MemoryError: too large" in shown
    assert f"total {POINTS}/{POINTS}" in shown


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_any_terminal_can_print_and_json_is_utf_8(notebook, encoding):
    content = learners.stub(LESSON)
    text = "def weighted_average(value, parts):\n    raise ValueError('\\ud83d 中')"
    learners.cell(content, EXERCISE)["source"] = text
    path = str(notebook(content, "中.ipynb"))
    environment = os.environ | {"PYTHONIOENCODING": encoding, "LC_ALL": "C"}

    def printed(*options):
        command = [sys.executable, "-m", "attnfuse.cli", "grade", *options, path]
        ran = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert ran.returncode == 1, ran.stderr.decode()
        return ran.stdout

    assert f"- {EXERCISE}" in printed().decode(encoding)
    data = json.loads(printed("--json").decode("utf-8"))
    assert data["lessons"][0]["notebook"] == path
    assert "\ud83d 中" in data["lessons"][0]["exercises"][0]["message"]


def test_the_command_as_json(notebook, capsys):
    path = notebook(learners.solved(LESSON))
    assert main(["grade", "--json", str(path)]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["points"], data["max_points"], data["skipped"]) == (POINTS, POINTS, [])
    (lesson,) = data["lessons"]
    assert lesson["lesson"] == LESSON
    assert lesson["exercises"][0] | {"message": ""} == {
        "exercise": EXERCISE,
        "title": EXERCISES[EXERCISE].title,
        "points": POINTS,
        "max_points": POINTS,
        "passed": True,
        "message": "",
        "misconception": None,
    }


def test_by_default_it_grades_work_and_skips_what_was_not_started(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["grade"]) == 2
    for lesson in learners.LESSONS:
        learners.save(learners.stub(lesson), tmp_path / "work" / f"{lesson}.ipynb")
    beside = [tmp_path / "work" / f"{LESSON}.{kind}.ipynb" for kind in ("new", "mine", "mine2")]
    for path in beside:
        learners.save(learners.solved(LESSON), path)
    capsys.readouterr()
    assert main(["grade"]) == 1
    shown = capsys.readouterr().out
    *lessons, total = shown.splitlines()
    assert len(lessons) == len(learners.LESSONS)
    assert lessons[0] == f"00 Start here: not started, {POINTS} points"
    assert total == f"total 0/{sum(map(learners.full_marks, learners.LESSONS))}"


def test_two_notebooks_of_a_lesson_count_once_by_the_better(notebook, capsys):
    good = notebook(learners.solved(LESSON))
    bad = notebook(learners.stub(LESSON), f"{LESSON} (1).ipynb")
    assert main(["grade", str(bad), str(good)]) == 0
    assert f"total {POINTS}/{POINTS}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["grade", "--timeout"], ["nothing"], []])
def test_wrong_usage_exits_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
