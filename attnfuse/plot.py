"""Pictures: arrays in, Axes out. Readable in grey, on light and dark pages."""

import base64
import html
import io
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

SIZE = (6, 3)  # inches
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7f7f7f")  # Okabe & Ito 2008, and a grey
STYLES = ("-", "--", "-.", ":", "-")


def figure(columns: int = 1, rows: int = 1, size: tuple[float, float] = SIZE, **options):
    """A figure on white (so that it reads on dark pages too) and its Axes.

    Args:
        columns, rows: the grid of Axes.
        size: width and height in inches.
        options: passed to `plt.subplots`.

    Returns:
        `(fig, ax)`; `ax` is an array of Axes if there are several.
    """
    fig, ax = plt.subplots(
        rows, columns, figsize=size, dpi=100, layout="constrained", facecolor="white", **options
    )
    return fig, ax


def show(fig, alt: str) -> None:
    """Show a figure with its alternative text, and close it.

    JupyterLab and Colab give an image in an output no `alt`, whatever its metadata say. So the picture
    is an `<img>` with an `alt`, in HTML: it survives the cleaning of notebooks that are not trusted,
    and exports and feedback take it over. Beside it stand the sentence as plain text, and the bare
    image for what shows no HTML (LaTeX and PDF). With 256 colours both together are smaller than one
    picture in full colour.

    Args:
        fig: the figure.
        alt: one or two sentences that say what is to be seen.

    Raises:
        ValueError: if `alt` is empty.
    """
    if not alt.strip():
        raise ValueError("a figure needs an alternative text")
    from IPython.display import display
    from PIL import Image

    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=fig.dpi)
    plt.close(fig)
    picture = Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(buffer := io.BytesIO(), format="png", optimize=True)
    png = base64.b64encode(buffer.getvalue()).decode()
    tag = (
        f'<img src="data:image/png;base64,{png}" alt="{html.escape(alt)}" '
        f'width="{picture.width}" style="max-width: 100%; height: auto; background: white">'
    )
    data = {"text/html": tag, "image/png": png, "text/plain": f"[figure] {alt}"}
    display(data, metadata={"image/png": {"alt": alt}}, raw=True)


def attention_map(
    weights: np.ndarray,
    queries: Sequence,
    keys: Sequence,
    title: str,
    mask: np.ndarray | None = None,
    ax=None,
    bar: bool = True,
):
    """Draw weights: a row per query, a column per key, from 0 (dark) to 1 (bright).

    Args:
        weights: float `(T, S)`.
        queries, keys: T and S labels; `[]` leaves the ticks to matplotlib.
        title: what the picture shows, as a sentence.
        mask: optional bool `(T, S)`; cells that are not True are hatched.
        ax: where to draw; a new figure if None.
        bar: draw the colour bar.

    Returns:
        the Axes.

    Raises:
        ValueError: if labels and weights do not fit.
    """
    weights = np.asarray(weights, dtype=float)
    if weights.ndim != 2:
        raise ValueError(f"weights must be (T, S), got shape {weights.shape}")
    for labels, length, what in (
        (queries, weights.shape[0], "query"),
        (keys, weights.shape[1], "key"),
    ):
        if len(labels) not in (0, length):
            raise ValueError(f"{len(labels)} {what} labels for {length} positions")
    ax = ax or figure()[1]
    image = ax.imshow(
        weights, vmin=0, vmax=1, cmap="viridis", aspect="auto", interpolation="nearest"
    )
    if len(keys):
        ax.set_xticks(range(len(keys)), keys)
    if len(queries):
        ax.set_yticks(range(len(queries)), queries)
    ax.set(xlabel="key", ylabel="query", title=title)
    if mask is not None:
        for t, s in np.argwhere(~np.broadcast_to(np.asarray(mask, bool), weights.shape)):
            ax.add_patch(
                plt.Rectangle((s - 0.5, t - 0.5), 1, 1, fill=False, hatch="///", ec="white", lw=0)
            )
    if bar:
        ax.figure.colorbar(image, ax=ax, label="weight")
    return ax


def pictures(
    images: np.ndarray,
    captions: Sequence[str],
    title: str,
    columns: int = 8,
    rows: Sequence[str] = (),
):
    """Draw pictures in a grid, dark ink on white, a caption above each.

    Args:
        images: float `(pictures, height, width)`, 0 is paper and 1 is ink; all in one scale.
        captions: one text for each picture.
        title: what there is to see, as a sentence.
        columns: pictures in a row; the figure keeps the usual width.
        rows: optional labels, one for each row, written upwards on its left.

    Returns:
        the figure, just high enough for square pictures.

    Raises:
        ValueError: if the number of captions is not the number of pictures, or that of labels not
            the number of rows.
    """
    images = np.asarray(images)
    if len(captions) != len(images):
        raise ValueError(f"{len(captions)} captions for {len(images)} pictures")
    high = -(-len(images) // columns)
    if len(rows) not in (0, high):
        raise ValueError(f"{len(rows)} labels for {high} rows")
    lines = max((caption.count("\n") + 1 for caption in captions), default=0)
    side = (SIZE[0] - 0.3 * bool(len(rows))) / columns - 0.08
    size = (SIZE[0], 0.35 + high * (side + 0.15 * lines))
    fig, axes = figure(columns, high, size=size, squeeze=False)
    fig.suptitle(title, fontsize="large")
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, image, caption in zip(axes.flat, images, captions, strict=False):
        ax.imshow(image, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        ax.set_title(caption, fontsize="small")
    for ax, label in zip(axes[:, 0], rows, strict=False):
        place = {"rotation": 90, "ha": "right", "va": "center", "transform": ax.transAxes}
        ax.text(-0.08, 0.5, label, **place)
    return fig


def picture_rows(rows: dict[str, np.ndarray], captions: Sequence[str], title: str, boxes=None):
    """Draw labelled rows of pictures, dark on white, each in its own scale from 0 to its largest value.

    Args:
        rows: label → float `(n, height, width)`.
        captions: n texts, one above each column.
        title: what there is to see, as a sentence.
        boxes: optional `(n, 4)`: top, left, bottom, right in pixels, outlined in every row.

    Returns:
        the figure.
    """
    n = len(captions)
    size = (7, 0.5 + 7 / max(n, 5) * 1.02 * len(rows))
    fig, axes = figure(n, len(rows), size=size, squeeze=False)
    fig.suptitle(title, fontsize="large")
    for ax, caption in zip(axes[0], captions, strict=True):
        ax.set_title(caption, fontsize="small")
    for line, (label, pictures) in zip(axes, rows.items(), strict=True):
        line[0].set_ylabel(label, fontsize="small")
        for i, (ax, picture) in enumerate(zip(line, pictures, strict=True)):
            most = max(picture.max(), 1e-9)
            ax.imshow(picture, cmap="gray_r", vmin=0, vmax=most, interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            if boxes is not None:
                top, left, bottom, right = boxes[i]
                corner, size = (left - 0.5, top - 0.5), (right - left, bottom - top)
                frame = plt.Rectangle(
                    corner, *size, fill=False, ec=COLOURS[1], lw=1.8, clip_on=False
                )
                ax.add_patch(frame)
    return fig


def lines(
    x,
    curves: dict,
    title: str,
    xlabel: str,
    ylabel: str = "",
    ax=None,
    legend: str = "best",
    ticks: Sequence = (),
    runs: str = "runs",
):
    """Draw curves over the same x, each with its own colour, dash and marker.

    Args:
        x: float `(P,)`.
        curves: label → float `(P,)`, or `(runs, P)`: then the mean, with a band from the lowest to the
            highest run, which the legend names. Up to five curves.
        title: what the picture shows, as a sentence.
        xlabel, ylabel: what the axes count.
        ax: where to draw; a new figure if None.
        legend: where it stands, as in matplotlib; `""` for none.
        ticks: makes the x-axis logarithmic, with these places labelled.
        runs: what the rows of `(runs, P)` are, for the legend.

    Returns:
        the Axes.
    """
    ax = ax or figure()[1]
    bands = 0
    for (name, y), colour, style, marker in zip(
        curves.items(), COLOURS, STYLES, "os^Dv", strict=False
    ):
        y = np.atleast_2d(y)
        ax.plot(x, y.mean(axis=0), style, marker=marker, markersize=4, color=colour, label=name)
        if len(y) > 1:
            bands = max(bands, len(y))
            ends = y.min(axis=0), y.max(axis=0)
            ax.fill_between(x, *ends, color=colour, alpha=0.15, lw=0)
            ax.plot(x, np.transpose(ends), style, color=colour, lw=0.6)  # bands part in grey, too
    several = len(ax.figure.axes) > 1
    ax.set_title(title, fontsize="medium" if several else "large")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if len(ticks):
        ax.set_xscale("log")
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.minorticks_off()
    if legend:
        if bands:
            band = plt.Rectangle((0, 0), 1, 1, fc="0.85", ec="0.4", lw=0.6)
            handles, labels = ax.get_legend_handles_labels()
            ax.legend([*handles, band], [*labels, f"range of {bands} {runs}"], loc=legend)
        else:
            ax.legend(loc=legend)
    return ax


def intervals(rows: dict, title: str, xlabel: str):
    """Draw one interval per row, filled where it leaves out 0.

    Args:
        rows: label → `(low, middle, high)`; the first row stands at the top.
        title: what the picture shows, as a sentence.
        xlabel: what is counted.

    Returns:
        the figure.
    """
    fig, ax = figure(size=(SIZE[0], 0.8 + 0.22 * len(rows)))
    for y, (low, middle, high) in enumerate(rows.values()):
        fill = "white" if low <= 0 <= high else "black"
        ax.plot([low, high], [y, y], color="black", lw=1)
        ax.plot(middle, y, "o", markersize=6, color="black", markerfacecolor=fill)
    ax.axvline(0, color="grey", lw=1, ls=":")
    ax.set_yticks(range(len(rows)), list(rows))
    ax.invert_yaxis()
    ax.set_xlabel(xlabel)
    fig.suptitle(title)
    return fig
