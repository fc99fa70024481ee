"""What a learner meets in a notebook: pictures that speak, unwritten and broken answers, letters, progress."""

import html.parser
import json
import threading
from pathlib import Path

import build
import nbformat
import numpy as np
import pytest

from attnfuse import cells, progress
from attnfuse.checking.quizzes import Quiz
from attnfuse.exercises import EXERCISES
from attnfuse.marks import bold, plain
from attnfuse.work import STATE

STUB = '''def softmax(scores):
    """Weights (T, S) from scores (T, S): none is negative, each row sums to 1."""
    pass  # YOUR CODE HERE'''
RIGHT = """def softmax(scores):
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)"""
MISSPELT = "def softmax(scores):\n    retrun np.exp(scores)"
TRY = "print(softmax(np.zeros((1, 2))).round(2))"
CHECK = 'check("softmax", softmax)'
ALT = 'A "steep" line, x < y & z.'
OTHER_WAYS = [f"%%time\n{RIGHT}", "from mine import *", "%run mine.py", f"exec({RIGHT!r})"]
OTHER_WAYS += ["def f():\n    global softmax\n    import mine\n    softmax = mine.softmax\nf()"]
BROKEN = ["dfe softmax(scores):\n    pass", "softmax(scores):\n    pass", "softmax = " + "(" * 5000]
FIRST_OF_MORE = 25
PICTURE = f"from attnfuse import plot\nfig, ax = plot.figure()\nplot.show(fig, alt={ALT!r})"


def run(*sources: str, folder: Path):
    """The cells of a notebook made of these sources, run one after the other in one kernel."""
    from nbclient import NotebookClient

    setup = "import numpy as np\nfrom attnfuse import check, hint, quiz"
    made = [nbformat.v4.new_code_cell(source) for source in (setup, *sources)]
    notebook = nbformat.v4.new_notebook(cells=made)
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, allow_errors=True, kernel_name="python3", resources=resources)
    client.execute(env=build.kernel_environment())
    return notebook


def said(cell) -> str:
    """What a cell shows, as text; an error begins with its name in brackets."""
    texts = []
    for output in cell.outputs:
        if output.output_type == "error":
            texts.append(f"[{output.ename}] " + "\n".join(output.traceback))
        else:
            texts.append(output.get("text") or output.data["text/plain"])
    return "\n".join(texts).strip()


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """One kernel's cells, as (source, text shown), the setup left out; in a learner's folder."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / STATE).write_text("{}")
    sources = [STUB, TRY, *[CHECK] * 4, 'hint("softmax")']
    sources += ["def softmax(scores):\n    return scores", TRY, CHECK, MISSPELT, CHECK]
    sources += ["softmax = 1 / 0", CHECK, RIGHT, CHECK, CHECK]
    sources += ["prediction = None\n# my guess\npass", "print(prediction[0])"]
    sources += ['check("no_query", prediction)', 'quiz("00-doubling", b)']
    sources += ['check("pool", pool)', "print(pool(1, 2))", "print(nobody)", PICTURE]
    assert len(sources) == FIRST_OF_MORE
    (folder / "mine.py").write_text(f"import numpy as np\n{RIGHT}\n")
    for above in OTHER_WAYS:
        sources += [STUB, above, TRY, CHECK]
    for broken in BROKEN:
        sources += [RIGHT, broken, CHECK]
    sources += [f"%%time\n{STUB}", CHECK, "def helper(v):\n    return softmax(v)\nz = 3", "z"]
    sources += [RIGHT, "print(softmax(np.zeros(3))", CHECK]
    sources += ["1 / 0\ndef pool(scores, value):\n    pass", 'check("pool", pool)']
    sources += ['b = "a"', 'quiz("00-doubling", b)', 'quiz("00-doubling", answer=c)']
    notebook = run(*sources, folder=folder)
    return notebook, folder


@pytest.fixture
def shown(desk):
    return [(cell.source, said(cell)) for cell in desk[0].cells[1:]]


@pytest.fixture
def more(shown):
    """The cells after those that `shown[0]` to `shown[24]` tell of, errors without their marks."""
    return [(source, plain_error(text)) for source, text in shown[FIRST_OF_MORE:]]


@pytest.mark.slow
class TestInAKernel:
    def test_an_unwritten_answer_says_so_and_fails_nothing(self, shown):
        assert shown[1] == (TRY, "not written yet: softmax")
        for source, text in shown[2:6]:
            assert source == CHECK
            assert plain_error(text) == "[NotWritten] not written yet: softmax"
        assert "3 more times" in shown[6][1]  # four checks of a stub opened no hint

    def test_a_wrong_answer_shows_what_it_does(self, shown):
        assert shown[8] == (TRY, "[[0. 0.]]")
        assert shown[9][1].startswith("[CheckFailed] ✗ softmax\n")

    def test_an_answer_whose_cell_stopped_is_not_judged(self, shown):
        first, second = (" ".join(plain_error(shown[i][1]).split()) for i in (11, 13))
        for text, why in [
            (first, "SyntaxError: invalid syntax (line 2)"),
            (second, "ZeroDivisionError: division by zero (line 1)"),
        ]:
            assert f"The cell of softmax stopped when it last ran: {why}." in text
            assert "Nothing was judged" in text

    def test_a_mended_answer_is_judged_and_progress_is_one_line(self, shown):
        first, progress_line = shown[15][1].splitlines()
        assert first.startswith("✓ softmax · ")
        most = sum(one.points for one in EXERCISES.values())
        here = [one for one in EXERCISES.values() if one.lesson == EXERCISES["softmax"].lesson]
        points = EXERCISES["softmax"].points
        assert progress_line == f"1 of {len(here)} in this lesson · {points} of {most} points"
        assert shown[16] == shown[15]

    def test_success_is_a_page_of_its_own_look(self, desk):
        (output,) = desk[0].cells[16].outputs
        assert "border-left" in output.data["text/html"]
        assert "color:" not in output.data["text/html"]  # the page's own, in light and dark

    def test_an_unwritten_prediction(self, shown):
        assert shown[18][1] == "not written yet: prediction"
        assert plain_error(shown[19][1]) == "[NotWritten] not written yet: prediction"

    def test_an_answer_whose_cell_never_ran(self, shown):
        assert (
            plain_error(shown[21][1]) == "[NotWritten] pool is not defined yet: run its cell first"
        )
        assert shown[22][1] == "pool is not defined yet: run its cell first"
        assert "name 'nobody' is not defined" in plain_error(shown[23][1])  # no answer's name

    def test_an_answer_counts_however_it_came_there(self, more):
        for i, above in enumerate(OTHER_WAYS):
            _, (source, _), (_, tried), (_, checked) = more[4 * i : 4 * i + 4]
            assert (source, tried) == (above, "[[0.5 0.5]]")
            assert checked.startswith("✓ softmax")

    def test_a_definition_that_python_cannot_read_leaves_no_older_one_to_judge(self, more):
        start = 4 * len(OTHER_WAYS)
        for i, broken in enumerate(BROKEN):
            _, (source, _), (_, checked) = more[start + 3 * i : start + 3 * i + 3]
            assert source == broken
            assert "The cell of softmax stopped when it last ran: SyntaxError" in checked

    def test_what_is_written_round_a_stub_or_uses_it(self, more):
        timed, checked, helper, z, *_ = more[-12:]
        assert timed[0].startswith("%%time")
        assert checked[1] == "[NotWritten] not written yet: softmax"
        assert (helper[1], z[1]) == ("", "3")  # a cell of one's own runs whole

    def test_a_slip_in_another_cell_takes_nothing_from_an_answer(self, more):
        assert "SyntaxError" in more[-7][1]
        assert more[-6][1].startswith("✓ softmax")

    def test_an_answer_whose_cell_stopped_at_once(self, more):
        text = " ".join(more[-4][1].split())
        assert text.startswith("[CheckFailed] ✗ pool The cell of pool stopped")
        assert "ZeroDivisionError: division by zero (line 1)" in text

    def test_a_letter_needs_no_quotes(self, shown, more):
        assert shown[20][1].startswith("✓ b) ")
        assert more[-2][1].startswith("✗ a) ")  # b is the learner's own name, for "a"
        assert more[-1][1].startswith("✗ c) ")

    def test_stubs_and_stopped_cells_are_no_tries(self, desk):
        assert (
            progress.read(desk[1])["softmax"].tries == 2
        )  # one wrong, one right; later ones do not count

    def test_a_picture_speaks(self, desk):
        (output,) = desk[0].cells[FIRST_OF_MORE].outputs
        assert [one["alt"] for one in images(output.data["text/html"])] == [ALT]
        assert output.data["text/plain"] == f"[figure] {ALT}"
        assert output.metadata["image/png"]["alt"] == ALT

    @pytest.mark.parametrize("template", ["lab", "classic"])
    def test_a_picture_speaks_in_an_exported_page(self, desk, template):
        from nbconvert.exporters import HTMLExporter

        page, _ = HTMLExporter(template_name=template).from_notebook_node(desk[0])
        assert ALT in [one.get("alt") for one in images(page)]


def plain_error(text: str) -> str:
    return text.replace("\x1b[1m", "").replace("\x1b[0m", "")


def images(page: str) -> list[dict]:
    """The attributes of every image of a page."""
    found = []

    class Parser(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            found.extend([dict(attributes)] if tag == "img" else [])

    Parser().feed(page)
    return found


@pytest.mark.slow
def test_elsewhere_no_progress_is_kept_or_shown(tmp_path):
    (*_, cell) = run(RIGHT, CHECK, folder=tmp_path).cells
    assert said(cell).count("\n") == 0
    assert list(tmp_path.iterdir()) == []


# What cells bind and read


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def f(x):\n    y = x", {"f"}),
        ("class A:\n    b = 1", {"A"}),
        ("a, (b, c) = 1, (2, 3)\nd: int = 4", {"a", "b", "c", "d"}),
        ("import numpy as np", {"np"}),
        ("for i in x:\n    pass", {"i"}),
        ("def f(:\n    y = 1", {"f"}),
        ("dfe f(x):\n    return 1", {"f"}),
        ("f(x):\n    return 1", {"f"}),
        ("print(f(x)", set()),
        ("print f(x)", set()),
        ("for f in (", set()),
        ("a, b = (1,\n", {"a", "b"}),
        ("x == (1", set()),
    ],
)
def test_what_a_cell_binds(source, names):
    assert cells.bound(source) == names


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("print(f(1))", {"print", "f"}),
        ("a.split(b)", {"a", "b"}),
        ("def g(split):\n    return split + h", {"h"}),
        ("[step for step in x]", {"x"}),
        ("f = 1\nf", set()),
    ],
)
def test_what_a_cell_reads(source, names):
    assert cells.names_read(source) == names


@pytest.mark.parametrize("path", sorted((build.ROOT / "solutions").glob("[0-9]*.py")), ids=str)
def test_only_try_and_check_cells_wait_for_an_answer(path):
    """In an untouched lesson every other cell runs, whatever is not written yet."""
    unwritten, waiting = set(), []
    for cell in build.release(build.notebook(build.read(path))).cells:
        if cell.cell_type != "code":
            continue
        source = cell.source.replace("%pip", "# %pip")
        if unwritten & cells.names_read(source):
            waiting.append(cell.id)
        unwritten -= cells.bound(source)
        if cell.metadata.get("nbgrader", {}).get("solution"):
            unwritten |= cells.bound(source)
    assert all(id.endswith(("-try", "-check")) for id in waiting)
    checks = [id for id in waiting if id.endswith("-check")]
    assert len(checks) == len([one for one in EXERCISES.values() if one.lesson == path.stem])


# Words


def test_marks_are_taken_off_and_stars_that_multiply_stay():
    text = "Take off *half* of `k ** 2`, **not** $W^Q$; 2 * 3 * 4, a*b*c and f(*args, **rest)"
    assert plain(text) == "Take off half of k ** 2, not W^Q; 2 * 3 * 4, a*b*c and f(*args, **rest)"
    assert bold("a `b`") == "a \x1b[1mb\x1b[0m"


@pytest.mark.parametrize("answer", ["b", "B", " b ", "b)", ["b"], ("B",)])
def test_a_letter_is_understood(answer):
    asked = Quiz("id", "?", {"x": "No.", "y": "Yes.", "z": "No."}, 1)
    assert asked.reply(answer) == "✓ b) Yes."


@pytest.mark.parametrize("answer", [None, ..., "", "d", 2, ["a", "b"], np.arange(3), {}, "ab"])
def test_anything_else_gets_a_kind_answer(answer):
    asked = Quiz("id", "?", {"x": "No.", "y": "Yes.", "z": "No."}, 1)
    assert "Write a letter between the quotes: a, b or c." in asked.reply(answer)


# The diary


@pytest.fixture
def work(tmp_path):
    (tmp_path / STATE).write_text("{}")
    return tmp_path


def test_progress_counts_tries_until_solved(work):
    for passed in (False, False, True, True, False):
        progress.record("softmax", passed, work)
    progress.record("attend", False, work)
    found = progress.read(work)
    assert (found["softmax"].tries, found["attend"].tries) == (3, 1)
    assert found["softmax"].solved is not None
    assert found["attend"].solved is None
    text = progress.status(work)
    assert "✓ softmax" in text
    assert "3 tries" in text
    assert "· attend" in text
    most = sum(one.points for one in EXERCISES.values())
    assert f"{EXERCISES['softmax'].points} of {most} points" in text.splitlines()[-1]


def test_a_broken_diary_loses_only_what_is_broken(work):
    progress.record("softmax", True, work)
    with (work / progress.FILE).open("ab") as file:
        file.write(
            b'{"exercise": "attend", "pas\xff\n[1]\n{"exercise": [], "passed": 1, "when": ""}'
        )
    progress.record("pool", True, work)
    assert set(progress.read(work)) == {"softmax", "pool"}


def test_two_writers_lose_nothing(work):
    def write(name):
        for _ in range(200):
            progress.record(name, False, work)

    writers = [threading.Thread(target=write, args=(name,)) for name in ("softmax", "pool")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert {name: one.tries for name, one in progress.read(work).items()} == {
        "softmax": 200,
        "pool": 200,
    }


def test_without_a_learners_folder_nothing_is_written(tmp_path):
    progress.record("softmax", True, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert progress.so_far(EXERCISES["softmax"].lesson, tmp_path) == []
    assert progress.status(tmp_path) == f"No check has run yet in {tmp_path}."


def test_a_folder_that_cannot_be_written_stops_no_check(work):
    (work / progress.FILE).mkdir()
    progress.record("softmax", True, work)
    assert progress.read(work) == {}


def test_entries_are_lines_of_json(work):
    progress.record("softmax", True, work)
    (entry,) = filter(None, (work / progress.FILE).read_text().splitlines())
    assert json.loads(entry).keys() == {"exercise", "passed", "when"}
