"""The first lesson in a real browser, as a new learner sees it."""

import os
import re
import subprocess
import sys
import time

import browser
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from attnfuse.released import released_lessons

LACKING = browser.missing()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(LACKING) and not os.environ.get("ATTNFUSE_BROWSER"),
        reason=f"not tested in a browser: {' and '.join(LACKING)} not installed",
    ),
]
WRONG = "    return value.mean()"
RIGHT = "    return (value * {second}).sum() / {second}.sum()"
CONTRAST = 4.5  # WCAG 2.2, level AA

# What a page shows of a notebook: each piece of text with its colours, and whether it is cut.
SCRIPT = r"""
const panel = document.querySelector('.jp-NotebookPanel .jp-WindowedPanel-outer');
const room = panel.getBoundingClientRect();
const right = room.left + panel.clientWidth;
function rgba(text) { const n = text.match(/[\d.]+/g).map(Number); return [...n, 1].slice(0, 4); }
function behind(element) {
  for (let e = element; e; e = e.parentElement) {
    const colour = rgba(getComputedStyle(e).backgroundColor);
    if (colour[3] > 0.5) return colour;
  }
  return [255, 255, 255, 1];
}
function clips(element) {
  for (let e = element; e !== panel; e = e.parentElement) {
    const style = getComputedStyle(e);
    if (style.overflowX !== 'visible' && e.scrollWidth > e.clientWidth + 1) return true;
  }
  return false;
}
const found = [];
const walker = document.createTreeWalker(arguments[0] || panel, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode, parent = node.parentElement;
  const shown = parent.closest('.jp-RenderedMarkdown, .jp-OutputArea-output, .cm-line');
  if (!node.data.trim() || !shown || parent.closest('.MathJax, mjx-container')) continue;
  const range = document.createRange();
  range.selectNodeContents(node);
  const boxes = [...range.getClientRects()].filter(box => box.width > 0);
  if (!boxes.length) continue;
  found.push({
    text: node.data.trim(), colour: rgba(getComputedStyle(parent).color), behind: behind(parent),
    cut: clips(parent) || boxes.some(box => box.left < room.left || box.right > right + 1),
  });
}
return found;
"""

PASTE = """
const [editor, text] = arguments, clipboardData = new DataTransfer();
clipboardData.setData('text/plain', text);
editor.dispatchEvent(new ClipboardEvent('paste', {clipboardData, bubbles: true, cancelable: true}));
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """`attnfuse lab` on an empty folder, with settings of its own; ends without a word too many."""
    assert not LACKING, f"ATTNFUSE_BROWSER is set, but {LACKING} are not installed"
    folder = tmp_path_factory.mktemp("learner")
    environment = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    for kind in ("CONFIG", "DATA", "RUNTIME"):
        environment[f"JUPYTER_{kind}_DIR"] = str(folder / kind.lower())
    command = [sys.executable, "-m", "attnfuse.cli", "lab", "--no-browser"]
    log = folder / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + 120
        while not (found := re.search(r"http://localhost\S+token=\w+", log.read_text())):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield found[0]
    finally:
        server.terminate()
        server.wait(timeout=30)
    assert re.findall(r"(?m)^\[[WE] .*", log.read_text()) == []


@pytest.fixture(scope="module")
def desk(address):
    desk = Desk(browser.start(), address)
    try:
        yield desk
    finally:
        desk.page.quit()


class Desk:
    """The first lesson, open in a browser."""

    def __init__(self, page, address: str):
        self.page, self.address = page, address
        browser.resize(page, 1280, 900)
        self.open()

    def open(self) -> None:
        """Load the page; the kernel, once started, is the same."""
        self.page.get(self.address)
        self.until(lambda: len(self.cells()) > 10)
        self.until(
            lambda: self.find(".jp-NotebookPanel .jp-Notebook-ExecutionIndicator[data-status=idle]")
        )

    def until(self, condition, what: str = ""):
        return WebDriverWait(self.page, 120).until(lambda _: condition(), what)

    def find(self, selector: str, within=None) -> list:
        return (within or self.page).find_elements(By.CSS_SELECTOR, selector)

    def cells(self) -> list:
        return self.find(".jp-NotebookPanel .jp-Notebook .jp-Cell")

    def codes(self) -> list:
        return self.find(".jp-NotebookPanel .jp-CodeCell")

    def cell(self, text: str):
        """The first code cell that holds this text."""
        return next(cell for cell in self.codes() if text in self.source(cell))

    def source(self, cell) -> str:
        lines = self.find(".cm-line", cell)
        return "\n".join(line.get_property("textContent") for line in lines)

    def run(self, cell, answer: str | None = None) -> None:
        """Run a cell, with another text in it if given, and wait until it has run."""
        self.page.execute_script("arguments[0].scrollIntoView({block: 'center'})", cell)
        editor = cell.find_element(By.CSS_SELECTOR, ".cm-content")
        editor.click()
        if answer is not None:
            self.press("a")
            self.page.execute_script(PASTE, editor, answer)
        number = self.prompt(cell)
        self.press(Keys.ENTER)
        self.until(lambda: re.search(r"\d", self.prompt(cell)) and self.prompt(cell) != number)

    def press(self, key: str) -> None:
        """Press a key with Control held."""
        ActionChains(self.page).key_down(Keys.CONTROL).send_keys(key).key_up(Keys.CONTROL).perform()

    def prompt(self, cell) -> str:
        return cell.find_element(By.CSS_SELECTOR, ".jp-InputPrompt").text

    def output(self, cell) -> str:
        return "\n".join(output.text for output in self.find(".jp-OutputArea-output", cell))

    def texts(self, cell=None) -> list[dict]:
        return self.page.execute_script(SCRIPT, cell)

    def theme(self, name: str) -> None:
        """Choose a theme as the settings do, and load the page again."""
        self.page.execute_async_script(
            """const [name, done] = arguments;
            const token = document.cookie.match(/_xsrf=([^;]+)/)[1];
            fetch('/lab/api/settings/@jupyterlab/apputils-extension:themes', {
              method: 'PUT', headers: {'X-XSRFToken': token},
              body: JSON.stringify({raw: JSON.stringify({theme: name})})}).then(r => done(r.status));
            """,
            name,
        )
        self.open()


def test_the_first_lesson_opens_with_nothing_in_the_way(desk):
    assert desk.find(".jp-Dialog, .Toastify__toast") == []
    assert "Start here" in desk.cells()[0].text
    names = desk.find(".jp-DirListing-content .jp-DirListing-itemText")
    assert len(names) == len(released_lessons())
    for name in names:
        width, needed = (name.get_property(x) for x in ("clientWidth", "scrollWidth"))
        assert 0 < needed <= width, f"{name.text} is cut in the file browser"
    for image in desk.find(".jp-NotebookPanel img"):
        assert image.get_property("naturalWidth") > 0, "a broken picture"


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_a_wrong_answer_a_right_one_and_a_picture(desk, theme):
    desk.theme(theme)
    picture = desk.cell("plot.show(")
    for cell in desk.codes():
        desk.run(cell)
        if cell == picture:
            break
    (image,) = desk.until(lambda: desk.find(".jp-OutputArea-output img", picture))
    assert image.get_property("naturalWidth") > 300
    assert len(image.get_attribute("alt")) > 30
    assert image.get_attribute("alt") in desk.source(picture)

    answer = desk.cell("def weighted_average(")
    head = "\n".join(desk.source(answer).split("\n")[:2])
    second = re.search(r"def weighted_average\(value, (\w+)\)", head)[1]
    checked, shown = desk.cell('check("weighted_average"'), []
    for body in (WRONG, RIGHT.format(second=second)):
        desk.run(answer, f"{head}\n{body}")
        desk.run(checked)
        shown.append(desk.until(lambda: desk.output(checked)))
        for piece in desk.texts(checked):
            assert contrast(piece["colour"], piece["behind"]) >= CONTRAST, piece
    wrong, right = shown
    assert wrong.startswith("✗ weighted_average\nEvery value counts the same")
    assert right.startswith("✓ weighted_average")
    assert "Traceback" not in wrong + right


@pytest.mark.parametrize("width", [420, 768, 1280, 1920])
def test_no_text_of_the_notebook_is_cut(desk, width):
    """At 420 pixels the file browser is folded away, as its tab does."""
    browser.resize(desk.page, width, 900)
    sidebar = desk.find("#jp-left-stack")[0]
    tab = desk.find('.lm-TabBar-tab[data-id="filebrowser"]')[0]
    if sidebar.is_displayed() == (width < 600):
        tab.click()
    desk.until(lambda: sidebar.is_displayed() == (width >= 600))
    texts = desk.until(lambda: settled(desk))
    assert len(texts) > 100
    assert [piece["text"] for piece in texts if piece["cut"]] == []


def settled(desk) -> list[dict] | None:
    """The texts of the page, once they no longer move."""
    before = desk.texts()
    return before if desk.texts() == before else None


def contrast(first: list[float], second: list[float]) -> float:
    """The contrast of two colours by WCAG 2.2: (lighter + .05) / (darker + .05)."""
    low, high = sorted(luminance(colour) for colour in (first, second))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: list[float]) -> float:
    parts = [part / 255 for part in colour[:3]]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast():
    assert contrast([0, 0, 0], [255, 255, 255]) == pytest.approx(21)
    assert contrast([119, 119, 119], [255, 255, 255]) == pytest.approx(4.48, abs=0.01)
