"""Draw docs/feedback.svg, README's picture of what a check says, from the check itself."""

import textwrap
from html import escape
from pathlib import Path

import numpy as np

from attnfuse.exercises import EXERCISES
from attnfuse.marks import plain

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "feedback.svg"
ANSWER = """\
def softmax(scores):
    exp = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exp / exp.sum()


check("softmax", softmax)
"""
LINE, LEFT = 19, 20  # pixels


def message() -> list[str]:
    """What the check says to the answer, its long lines broken as a notebook breaks them."""
    names = {"np": np, "check": lambda *_: None}
    exec(ANSWER, names)
    lines = []
    for line in plain(EXERCISES["softmax"].judge(names["softmax"], seed=1).message).splitlines():
        lines += [line] if line.startswith("  ") or not line else textwrap.wrap(line, 88)
    return lines


def draw() -> str:
    """The picture: the answer on grey and the message on red, black on light on every page."""
    answer, said = ANSWER.splitlines(), message()
    middle = 16 + LINE * len(answer)
    height = middle + 16 + LINE * len(said)
    rows = [(line, 20 + LINE * row) for row, line in enumerate(answer)]
    rows += [(line, middle + 24 + LINE * row) for row, line in enumerate(said)]
    texts = "\n".join(
        f'<text x="{LEFT}" y="{y}" xml:space="preserve">{escape(line)}</text>'
        for line, y in rows
        if line
    )
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {height}" width="760" height="{height}"
  font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="13">
<rect width="760" height="{height}" fill="#f5f5f5"/>
<rect y="{middle}" width="760" height="{height - middle}" fill="#ffdddd"/>
<rect width="760" height="{height}" fill="none" stroke="#999999" stroke-width="2"/>
{texts}
</svg>
"""


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(draw(), encoding="utf-8")
