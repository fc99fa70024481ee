"""The learner's folder: what a learner changed is never overwritten, and a lesson can be reset."""

import hashlib
import json
import os
import subprocess
import sys

import pytest

from attnfuse import progress
from attnfuse.cli import main
from attnfuse.released import released_lessons, work_digest
from attnfuse.work import STATE, copy_lessons

LESSON = "01_attention_pooling"


@pytest.fixture
def course(tmp_path):
    """A released lesson, a working folder, and `update(text)`: release that text and copy."""

    class Course:
        work = tmp_path / "work"
        mine = work / f"{LESSON}.ipynb"
        release = tmp_path / f"{LESSON}.ipynb"

        def update(self, text: str) -> list[str]:
            self.release.write_text(text)
            return copy_lessons({LESSON: self.release}, self.work)

        def beside(self) -> dict[str, str]:
            found = sorted(self.work.glob("*.new*.ipynb"))
            return {path.name.removeprefix(LESSON): path.read_text() for path in found}

    return Course()


def test_first_copy_and_a_second_run_that_changes_nothing(course):
    assert course.update("v1") == ["1 lesson copied into work/"]
    before = {path: path.stat().st_mtime_ns for path in course.work.iterdir()}
    assert course.update("v1") == []
    assert {path: path.stat().st_mtime_ns for path in course.work.iterdir()} == before


def test_an_unchanged_lesson_follows_the_release(course):
    course.update("v1")
    assert course.update("v2") == ["1 unchanged lesson replaced by a newer one"]
    assert course.mine.read_text() == "v2"
    assert course.beside() == {}


def test_a_changed_lesson_stays_and_the_newer_release_lands_beside_it(course):
    course.update("v1")
    course.mine.write_text("my work")
    assert course.update("v1") == []
    (message,) = course.update("v2")
    assert f"{LESSON}.new.ipynb" in message
    assert course.mine.read_text() == "my work"
    assert course.beside() == {".new.ipynb": "v2"}
    assert course.update("v2") == []  # said once


def test_a_new_file_beside_is_refreshed_unless_the_learner_changed_it(course):
    course.update("v1")
    course.mine.write_text("my work")
    course.update("v2")
    course.update("v3")
    assert course.beside() == {".new.ipynb": "v3"}
    (course.work / f"{LESSON}.new.ipynb").write_text("more work")
    course.update("v4")
    assert course.beside() == {".new.ipynb": "more work", ".new2.ipynb": "v4"}
    assert course.mine.read_text() == "my work"


def test_taking_over_the_new_release_ends_the_story(course):
    course.update("v1")
    course.mine.write_text("my work")
    course.update("v2")
    os.replace(course.work / f"{LESSON}.new.ipynb", course.mine)
    assert course.update("v2") == []
    course.update("v3")
    assert course.mine.read_text() == "v3"
    assert course.beside() == {}


def test_a_deleted_lesson_comes_back(course):
    course.update("v1")
    course.mine.unlink()
    assert course.update("v1") == ["1 lesson copied into work/"]
    assert course.mine.read_text() == "v1"


@pytest.mark.parametrize("state", ["", "{", "[]", '{"x": 3}', "\udcff"])
def test_without_a_readable_state_nothing_is_overwritten(course, state):
    course.update("v1")
    (course.work / STATE).write_bytes(state.encode(errors="surrogateescape"))
    course.mine.write_text("my work")
    course.update("v2")
    assert course.mine.read_text() == "my work"
    assert course.beside() == {".new.ipynb": "v2"}
    course.update("v3")
    assert course.beside() == {".new.ipynb": "v3"}


def test_a_failed_write_leaves_the_old_file(course, monkeypatch):
    course.update("v1")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "disk full")))
    with pytest.raises(OSError, match="disk full"):
        course.update("v2")
    assert course.mine.read_text() == "v1"


# Opening is not changing


def notebook(*sources: str, **metadata) -> str:
    cells = [
        {"cell_type": "code", "source": source, "metadata": {}, "outputs": []} for source in sources
    ]
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def opened_and_saved(text: str) -> str:
    """What JupyterLab writes: sources as lists of lines, outputs, language_info, indentation."""
    saved = json.loads(text)
    for cell in saved["cells"]:
        cell |= {"source": cell["source"].splitlines(True), "metadata": {"trusted": True}}
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "3"}]
    saved["metadata"]["language_info"] = {"name": "python", "version": "3.13.1"}
    return json.dumps(saved, indent=1)


def test_a_lesson_opened_run_and_saved_follows_the_release(course):
    course.update(notebook("x = 1\nx"))
    course.mine.write_text(opened_and_saved(notebook("x = 1\nx")))
    assert course.update(notebook("x = 2")) == ["1 unchanged lesson replaced by a newer one"]
    assert course.mine.read_text() == notebook("x = 2")


@pytest.mark.parametrize("change", [("x = 3",), ("x = 1", "y"), ()])
def test_a_lesson_with_another_cell_stays(course, change):
    course.update(notebook("x = 1"))
    course.mine.write_text(opened_and_saved(notebook(*change)))
    assert "you changed" in course.update(notebook("x = 2"))[0]
    assert course.mine.read_text() == opened_and_saved(notebook(*change))


def test_a_pasted_picture_is_a_change_and_odd_files_have_a_digest():
    plain = {"cell_type": "markdown", "source": "![](attachment:a.png)"}
    pasted = plain | {"attachments": {"a.png": {"image/png": "AAAA"}}}
    first, second = (json.dumps({"cells": [cell]}).encode() for cell in (plain, pasted))
    assert work_digest(first) != work_digest(second)
    for odd in (b"", b"[]", b"\xff", b'{"cells": null}', b'{"cells": [1]}', b"[" * 100_000):
        assert work_digest(odd) == hashlib.sha256(odd).hexdigest()


def test_a_state_file_of_before_still_tells_what_is_unchanged(course):
    """It held the hash of the file's bytes."""
    first = notebook("x = 1")
    course.update(first)
    (course.work / STATE).write_text(
        json.dumps({course.mine.name: hashlib.sha256(first.encode()).hexdigest()})
    )
    assert course.update(notebook("x = 2")) == ["1 unchanged lesson replaced by a newer one"]


# Starting a lesson afresh


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work"
    copy_lessons(released_lessons(), folder)
    return folder


def reset(work, *names: str) -> int:
    return main(["reset", *names, "--dir", str(work)])


@pytest.mark.parametrize("name", ["1", "01", LESSON, LESSON[3:], f"work/{LESSON}.ipynb"])
def test_reset_keeps_what_is_the_learners(work, name, capsys):
    target, fresh = work / f"{LESSON}.ipynb", released_lessons()[LESSON].read_text()
    target.write_text("my work")
    assert reset(work, name) == 0
    assert capsys.readouterr().out == (
        f"attnfuse: {LESSON}.ipynb is fresh; yours is now {LESSON}.mine.ipynb\n"
    )
    assert target.read_text() == fresh
    target.write_text("my second try")
    assert reset(work, name) == 0
    assert (work / f"{LESSON}.mine.ipynb").read_text() == "my work"
    assert (work / f"{LESSON}.mine2.ipynb").read_text() == "my second try"
    assert copy_lessons(released_lessons(), work) == []


def test_reset_of_what_is_fresh_or_gone(work, capsys):
    assert reset(work, "01", "01") == 0
    assert capsys.readouterr().out == f"attnfuse: {LESSON}.ipynb is as released; nothing to do\n"
    (work / f"{LESSON}.ipynb").unlink()
    assert reset(work, "01") == 0
    assert capsys.readouterr().out == f"attnfuse: {LESSON}.ipynb is fresh\n"
    assert not list(work.glob("*.mine*"))


def test_reset_of_what_was_only_opened_and_saved_keeps_no_copy(work, capsys):
    target = work / f"{LESSON}.ipynb"
    target.write_text(json.dumps(json.loads(target.read_text()) | {"metadata": {"saved": True}}))
    assert reset(work, "01") == 0
    assert capsys.readouterr().out == f"attnfuse: {LESSON}.ipynb is fresh\n"
    assert target.read_bytes() == released_lessons()[LESSON].read_bytes()
    assert not list(work.glob("*.mine*"))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("1O", "there are 00_start_here"),
        ("01_atention_pooling", f"did you mean {LESSON}?"),
        ("", ""),
    ],
)
def test_reset_of_no_lesson_changes_nothing(work, name, hint, capsys):
    (work / "02_scaled_dot_product.ipynb").write_text("my work")
    assert reset(work, "02", name) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"attnfuse reset: no lesson {name!r}")
    assert hint in line
    assert (work / "02_scaled_dot_product.ipynb").read_text() == "my work"


def test_reset_without_a_folder(tmp_path, capsys):
    assert reset(tmp_path / "none", "01") == 1
    assert "`attnfuse lab` makes it" in capsys.readouterr().err
    assert main(["status", "--dir", str(tmp_path / "none")]) == 1
    assert f"attnfuse status: there is no folder {tmp_path / 'none'}" in capsys.readouterr().err


def test_in_the_learners_folder_here_is_meant(work, monkeypatch, capsys):
    """JupyterLab's own terminal begins there."""
    progress.record("weighted_average", True, work)
    for place in (work, work.parent):
        monkeypatch.chdir(place)
        assert main(["status"]) == 0
        assert "weighted_average" in capsys.readouterr().out
        assert main(["reset", "01"]) == 0
        assert "nothing to do" in capsys.readouterr().out


def test_a_reader_that_leaves_early_makes_no_noise(work):
    progress.record("weighted_average", True, work)
    command = [sys.executable, "-m", "attnfuse.cli", "status", "--dir", str(work)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        run.stdout.close()
        assert run.stderr.read() == b""
    assert run.returncode == 141


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_reset_that_stops_half_way_loses_nothing(work, writes, monkeypatch, capsys):
    """`writes` files are written, then the disk is full; afterwards the reset goes through."""
    (work / f"{LESSON}.ipynb").write_text("my work")
    done, replace = [], os.replace

    def full(*arguments):
        if len(done) == writes:
            raise OSError(28, "No space left on device")
        done.append(replace(*arguments))

    monkeypatch.setattr(os, "replace", full)
    assert reset(work, "01") == 1
    assert "No space left" in capsys.readouterr().err
    monkeypatch.setattr(os, "replace", replace)
    assert reset(work, "01") == 0
    kept = [path.name for path in sorted(work.glob(f"{LESSON}.mine*.ipynb"))]
    assert kept == [f"{LESSON}.mine.ipynb"]
    assert (work / kept[0]).read_text() == "my work"
    assert (work / f"{LESSON}.ipynb").read_bytes() == released_lessons()[LESSON].read_bytes()


def test_status_says_what_is_solved_without_running_anything(work, capsys):
    progress.record("weighted_average", False, work)
    progress.record("weighted_average", True, work)
    assert main(["status", "--dir", str(work)]) == 0
    printed = capsys.readouterr().out
    assert "weighted_average" in printed
    assert "2 tries" in printed
