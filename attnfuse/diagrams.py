"""Drawings of how a layer is put together."""

from collections.abc import Mapping, Sequence

from attnfuse import plot

PART = {"boxstyle": "round,pad=0.35", "fc": "#dbe9f4", "ec": "black"}
NORM = {"boxstyle": "round,pad=0.25", "fc": "#eeeeee", "ec": "grey"}
SUM = {"boxstyle": "circle,pad=0.12", "fc": "white", "ec": "black"}


def layers(rows: Mapping[str, Sequence[str]], title: str, memory: tuple[int, int] | None = None):
    """Draw layers as chains of x + part(norm(x)), one row each, read from left to right.

    Args:
        rows: what flows in → its parts, in order; the first row stands at the top.
        title: what there is to see, as a sentence.
        memory: `(row, part)`, counted from 0: the part that reads what the first row gives.

    Returns:
        the figure.
    """
    most = max(map(len, rows.values()))
    fig, ax = plot.figure(size=(2 + 2.1 * most, 1.75 * len(rows) + 0.3))
    ax.set(xlim=(-1.5, 3 * most + 0.9), ylim=(-2.2 * len(rows) + 1.3, 1.3), title=title)
    ax.set_axis_off()
    line = {"arrowstyle": "-|>", "color": "black", "shrinkA": 0, "shrinkB": 0}
    for i, (name, parts) in enumerate(rows.items()):
        y = -2.2 * i
        ax.text(-1.4, y, name, va="center")
        ax.annotate("", (3 * len(parts) + 0.5, y), (-0.2, y), arrowprops=line)
        for j, part in enumerate(parts):
            x = 3 * j
            ax.plot([x, x, x + 2.6], [y, y + 0.75, y + 0.75], color="black", lw=1)
            ax.annotate("", (x + 2.6, y + 0.15), (x + 2.6, y + 0.77), arrowprops=line)
            ax.text(x + 0.5, y, "norm", ha="center", va="center", fontsize="small", bbox=NORM)
            ax.text(x + 1.6, y, part, ha="center", va="center", fontsize="small", bbox=PART)
            ax.text(x + 2.6, y, "+", ha="center", va="center", bbox=SUM)
    if memory:
        row, part = memory
        start, x = 3 * len(next(iter(rows.values()))) + 0.5, 3 * part + 1.6
        path = [(start, 0), (start, -1.1), (x, -1.1)]
        ax.plot(*zip(*path, strict=True), color=plot.COLOURS[1], lw=1.5, ls="--")
        line = line | {"color": plot.COLOURS[1], "ls": "--"}
        ax.annotate("", (x, -2.2 * row + 0.28), (x, -1.1), arrowprops=line)
    return fig
