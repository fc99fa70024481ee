"""The build: malformed sources fail with file and line, nothing drifts, nothing leaks."""

import html
import json
import re
import subprocess
import sys

import build
import nbformat
import pytest

from attnfuse.exercises import EXERCISES

SOURCE = (build.ROOT / "solutions" / "00_start_here.py").read_text()
PATHS = sorted((build.ROOT / "solutions").glob("[0-9]*.py"))


def read(tmp_path, text):
    path = tmp_path / "00_start_here.py"
    path.write_text(text)
    return build.read(path)


def line_of(text, needle):
    return next(i for i, line in enumerate(text.splitlines(), 1) if needle in line)


BROKEN = {
    "unknown exercise": ('# %% exercise="weighted_average"', '# %% exercise="wieghted"'),
    "unknown question": ('quiz="00-doubling"', 'quiz="00-nothing"'),
    "malformed marker": ('# %% exercise="weighted_average"', '# %% exercise="weighted_average'),
    "unknown marker": ("# %% setup", "# %% setpu"),
    "marker without its space": ("# %% setup", "#%% setup"),
    "missing END": ("    ### END SOLUTION\n", ""),
    "missing BEGIN": ("    ### BEGIN SOLUTION\n", ""),
    "END with more on its line": ("### END SOLUTION", "### END SOLUTION of it"),
    "check without exercise": ('# %% exercise="weighted_average"', "# %%"),
    "task on a code cell": (
        '# %% [markdown] task="weighted_average"',
        '# %% task="weighted_average"',
    ),
    "exercise on a text cell": ("# %% try=", "# %% [markdown] try="),
    "two roles": (
        '# %% try="weighted_average"',
        '# %% try="weighted_average" check="weighted_average"',
    ),
    "the same mark twice": ("# %% setup", "# %% setup setup"),
    "nothing to try": ('# %% try="weighted_average"', "# %%"),
    "no check": ('# %% check="weighted_average"', "# %%"),
    "another check": ('check("weighted_average", weighted_average)', "assert True"),
    "no front matter": ("# ---\n# jupyter:", "# jupyter:"),
    "front matter elsewhere": ("# jupyter:\n", "# other:\n"),
    "front matter is not YAML": ("#     needs: []", "#     needs: [}"),
    "missing field": ("#     minutes: 10\n", ""),
    "a heading of another style": ("# ## 1 · Cells", "# ## 1. Cells"),
    "a section left out": ("# ## 2 · ", "# ## 3 · "),
    "too many words": ("## 1 · Cells\n", "## 1 · Cells\n# " + "word " * 91 + "\n"),
    "too many lines": ("# %% setup\n", "# %%\n" + "print(1)\n" * 16 + "\n# %% setup\n"),
}


def test_the_source_itself_is_fine(tmp_path):
    assert read(tmp_path, SOURCE).slug == "00_start_here"


@pytest.mark.parametrize("name", BROKEN)
def test_malformed_source_fails_with_file_and_line(tmp_path, name):
    old, new = BROKEN[name]
    assert old in SOURCE
    with pytest.raises(build.SourceError, match=r"00_start_here\.py:\d+: "):
        read(tmp_path, SOURCE.replace(old, new, 1))


def test_duplicate_is_reported_at_its_own_line(tmp_path):
    cell = '# %% check="weighted_average"\ncheck("weighted_average", weighted_average)\n\n'
    text = SOURCE.replace(cell, cell + cell)
    with pytest.raises(build.SourceError) as error:
        read(tmp_path, text)
    second = line_of(text, '# %% check="weighted_average"') + 3
    assert f":{second}: " in str(error.value)
    assert f"already at line {second - 3}" in str(error.value)


def test_two_answers_of_a_lesson_have_two_names(tmp_path):
    lesson = read(tmp_path, SOURCE)
    (answer,) = [cell for cell in lesson.cells if "exercise" in cell.marks]
    lesson.cells.append(build.Cell(999, False, answer.source, {"exercise": "other"}))
    with pytest.raises(build.SourceError, match=":999: 'weighted_average' is already the answer"):
        build._validate_names(lesson)


def test_nothing_drifted():
    assert build.drift(build.all_lessons()) == []


def test_drift_is_seen(tmp_path, monkeypatch):
    first, *rest = build.all_lessons()
    other = build.read(first.path)
    other.cells[0].source += " More."
    problems = "\n".join(build.drift([other, *rest]))
    assert "solutions/00_start_here.ipynb has other cells" in problems
    assert "notebooks/00_start_here.ipynb is out of date" in problems
    other = build.read(first.path)
    other.front["sentence"] = "Another sentence."
    assert "README.md is out of date" in "\n".join(build.drift([other, *rest]))
    monkeypatch.setattr(build, "address", lambda: "https://github.com/elsewhere/course")
    problems = "\n".join(build.drift([first, *rest]))
    assert "README.md is out of date" in problems
    assert "notebooks/00_start_here.ipynb is out of date" in problems


class TestAddress:
    """Until somebody sets an address in pyproject.toml, nothing that is built leads anywhere."""

    PROJECT = '[project]\nname = "x"\n'
    ADDRESS = "https://github.com/owner/course"

    def built(self, tmp_path, monkeypatch, project: str) -> dict[str, str]:
        """The title and the first cell of lesson 00, and README, for this pyproject.toml."""
        lesson = build.read(PATHS[0])
        page = (build.ROOT / "README.md").read_text(encoding="utf-8")
        (tmp_path / "pyproject.toml").write_text(project)
        monkeypatch.setattr(build, "ROOT", tmp_path)
        title, bootstrap = build.notebook(lesson).cells[:2]
        page = build.readme([lesson], page)
        return {"title": title.source, "bootstrap": bootstrap.source, "readme": page}

    def test_without_one_there_is_no_link_and_no_address(self, tmp_path, monkeypatch):
        built = self.built(tmp_path, monkeypatch, self.PROJECT)
        assert "colab.research.google.com" not in "".join(built.values())
        assert "://" not in built["title"] + built["bootstrap"]
        assert "| run time |\n|---|---|---|---|---|\n" in built["readme"]

    def test_with_one_links_and_installation_appear(self, tmp_path, monkeypatch):
        urls = f'[project.urls]\nRepository = "{self.ADDRESS}"\n'
        built = self.built(tmp_path, monkeypatch, self.PROJECT + urls)
        place = "github/owner/course/blob/main/notebooks/00_start_here.ipynb"
        link = f"[Open in Colab](https://colab.research.google.com/{place})"
        assert link in built["title"]
        assert link in built["readme"]
        assert "| run time | |\n|---|---|---|---|---|---|\n" in built["readme"]
        assert f'%pip install -q "attnfuse @ git+{self.ADDRESS}"' in built["bootstrap"]
        assert not re.search(
            r"!\[[^]]*\]\(http", "".join(built.values())
        )  # no picture from elsewhere

    def test_elsewhere_than_on_github_colab_opens_nothing(self, tmp_path, monkeypatch):
        urls = '[project.urls]\nRepository = "https://example.org/course.git"\n'
        built = self.built(tmp_path, monkeypatch, self.PROJECT + urls)
        assert "Open in Colab" not in built["title"] + built["readme"]
        assert "git+https://example.org/course.git" in built["bootstrap"]

    def test_one_commented_line_of_pyproject_sets_it(self, tmp_path, monkeypatch):
        project = (build.ROOT / "pyproject.toml").read_text(encoding="utf-8")
        (tmp_path / "pyproject.toml").write_text(
            project.replace("# [project.urls]", "[project.urls]").replace(
                "# Repository", "Repository"
            )
        )
        monkeypatch.setattr(build, "ROOT", tmp_path)
        assert build.address() == "https://github.com/OWNER/REPOSITORY"

    def test_without_the_course_the_first_cell_says_how_to_install_it(self, tmp_path, monkeypatch):
        """In a kernel that cannot see attnfuse: the message alone, and later cells fail plainly."""
        source = self.built(tmp_path, monkeypatch, self.PROJECT)["bootstrap"]
        code = f"""
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(colors="NoColor")
sys.modules["attnfuse"] = None  # as if it were not installed
first = shell.run_cell({source!r})
print("first cell:", type(first.error_in_exec).__name__)
later = shell.run_cell("from attnfuse import check")
print("later:", type(later.error_in_exec).__name__)
"""
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.stderr == ""
        message, _, rest = done.stdout.partition("first cell: ")
        assert message.strip() == build.NOT_INSTALLED
        assert rest.startswith("NotInstalled\n")
        assert "later: ModuleNotFoundError" in rest


def test_halves_of_answers_of_one_line():
    assert build.half_line("x = (1, 2, 3)") == "x = (1, …, …)"
    assert build.half_line("    return a / b  # why") == "    return a / …"
    assert build.half_line('x = "é" + f(1)') == 'x = "é" + …'
    assert build.half_line("x = 4  # two and two") == "x = …  # two and two"
    assert build.half_line("x = 4") == "x = 4"  # refused by `answers`


def test_a_note_to_the_linter_is_not_shown(tmp_path):
    text = SOURCE.replace("import numpy as np\n", "import numpy as np  # noqa: F401\n", 1)
    assert text != SOURCE
    sources = [cell.source for cell in build.notebook(read(tmp_path, text)).cells]
    assert "noqa" not in "".join(sources)
    assert any(source.startswith("import numpy as np\n") for source in sources)


def test_a_change_of_text_keeps_the_outputs_and_a_change_of_code_does_not():
    path = build.ROOT / "solutions" / "00_start_here.ipynb"
    solved = build.notebook(build.read(PATHS[0]))
    solved.cells[0].source += "\n\nMore text."
    same = build.with_stored_outputs(path, solved)
    assert same.cells[0].source.endswith("More text.")
    assert any(cell.get("outputs") for cell in same.cells)
    next(cell for cell in solved.cells if cell.cell_type == "code").source += "\n1 + 1"
    assert build.with_stored_outputs(path, solved) is None


def test_stripped_outputs_count_as_drift(tmp_path, monkeypatch):
    for folder in ("solutions", "notebooks"):
        (tmp_path / folder).mkdir()
    stored = nbformat.read(build.ROOT / "solutions" / "00_start_here.ipynb", nbformat.NO_CONVERT)
    for cell in stored.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    (tmp_path / "solutions" / "00_start_here.ipynb").write_text(build.dump(stored))
    lesson = build.read(PATHS[0])
    solved = build.notebook(lesson)
    monkeypatch.setattr(build, "ROOT", tmp_path)
    assert build.solved_drift(lesson, solved) == "has no outputs"


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def lesson(request):
    return build.read(request.param)


class TestEveryLesson:
    def test_ids_are_deterministic_and_unique(self, lesson):
        first, second = build.notebook(lesson), build.notebook(build.read(lesson.path))
        assert build.dump(first) == build.dump(second)
        ids = [cell.id for cell in first.cells]
        assert len(set(ids)) == len(ids)
        for name, exercise in EXERCISES.items():
            if exercise.lesson == lesson.slug:
                assert {f"{name}-task", name, f"{name}-check"} <= set(ids)

    def test_release_holds_no_answer(self, lesson):
        released = build.release(build.notebook(lesson))
        assert build.answer_lines(lesson)
        assert build.leaks(lesson, released) == []
        text = build.dump(released)
        assert "SOLUTION" not in text
        quizzes = [c.source for c in released.cells if re.match(r"quiz-.*(?<!-text)$", c.id)]
        assert all(re.fullmatch(r'quiz\("[\w-]+", ""\)  # your letter', x) for x in quizzes)

    def test_leaks_are_seen_wherever_they_hide(self, lesson):
        line = max(build.answer_lines(lesson), key=len)
        code = next(i for i, c in enumerate(build.notebook(lesson).cells) if c.cell_type == "code")
        for place in ("source", "output", "attachment", "metadata"):
            released = build.release(build.notebook(lesson))
            cell = released.cells[code]
            if place == "source":
                cell.source += f"\n# {line}"
            elif place == "output":
                cell.outputs = [nbformat.v4.new_output("stream", text=line)]
            elif place == "attachment":
                released.cells[0]["attachments"] = {"a.txt": {"text/plain": line}}
            else:
                released.metadata["widgets"] = {"state": [{"text": f"x {line} y"}]}
            assert line in build.leaks(lesson, released)

    def test_only_try_and_check_cells_may_raise(self, lesson):
        for cell in build.release(build.notebook(lesson)).cells:
            allowed = "raises-exception" in cell.metadata.get("tags", [])
            assert allowed == cell.id.endswith(("-try", "-check"))
        for cell in build.notebook(lesson).cells:
            assert "raises-exception" not in cell.metadata.get("tags", [])

    def test_solved_notebook_has_clean_outputs(self, lesson):
        path = build.ROOT / "solutions" / f"{lesson.slug}.ipynb"
        stored = nbformat.read(path, nbformat.NO_CONVERT)
        assert build.complaints(stored) == []
        for cell in stored.cells:
            for output in cell.get("outputs", []):
                assert output.output_type != "error", cell.id
                text = json.dumps(output)
                assert not re.search(r"0x[0-9a-f]{6,}|[Ww]arning:|/home/|/tmp/", text), cell.id
                data = output.get("data", {})
                if "image/png" in data:
                    alt = output.metadata["image/png"]["alt"]
                    assert alt.strip(), cell.id
                    assert f'alt="{html.escape(alt)}"' in data["text/html"], cell.id
