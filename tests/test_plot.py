"""Pictures and curves: what is drawn, what is named, what is refused."""

import matplotlib
import numpy as np
import pytest

matplotlib.use("agg")

from attnfuse import plot


def test_pictures_have_captions_and_row_labels():
    images = np.random.default_rng(0).random((5, 8, 8))
    fig = plot.pictures(images, list("abcde"), "five", columns=3, rows=["first", "second"])
    assert [ax.get_title() for ax in fig.axes] == [*"abcde", ""]
    assert [text.get_text() for ax in fig.axes for text in ax.texts] == ["first", "second"]
    np.testing.assert_array_equal(fig.axes[4].images[0].get_array(), images[4])
    with pytest.raises(ValueError, match="4 captions for 5 pictures"):
        plot.pictures(images, list("abcd"), "five")
    with pytest.raises(ValueError, match="1 labels for 2 rows"):
        plot.pictures(images, list("abcde"), "five", columns=3, rows=["first"])


def test_rows_of_pictures_are_scaled_one_by_one_and_framed():
    images = np.random.default_rng(0).random((3, 6, 6)) * np.array([1, 5, 0])[:, None, None]
    boxes = np.array([[0, 1, 2, 4]] * 3)
    fig = plot.picture_rows({"one": images, "two": 2 * images}, "abc", "rows", boxes)
    axes = np.array(fig.axes).reshape(2, 3)
    assert [ax.get_title() for ax in axes[0]] == [*"abc"]
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["one", "two"]
    assert axes[0, 1].images[0].get_clim() == (0, images[1].max())
    np.testing.assert_array_equal(axes[1, 0].images[0].get_array(), 2 * images[0])
    for ax in axes.flat:
        assert ax.patches[0].get_bbox().bounds == (0.5, -0.5, 3, 2)


def test_pictures_are_square_and_fill_the_figure():
    fig = plot.pictures(np.zeros((8, 8, 8)), ["one\ntwo"] * 8, "a row")
    fig.canvas.draw()
    box = fig.axes[0].get_window_extent()
    assert box.width == pytest.approx(box.height, rel=0.01)
    assert box.y0 < 0.1 * fig.bbox.height


def test_lines_name_the_band_only_where_there_is_one():
    x, runs = [1, 10, 100], np.arange(12.0).reshape(4, 3)
    ax = plot.lines(x, {"many": runs, "one": [1, 2, 3]}, "title", "width", runs="splits")
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "many",
        "one",
        "range of 4 splits",
    ]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), runs.mean(axis=0))
    np.testing.assert_allclose(ax.lines[1].get_ydata(), runs.min(axis=0))
    np.testing.assert_allclose(ax.lines[2].get_ydata(), runs.max(axis=0))
    ax = plot.lines(x, {"one": [1, 2, 3]}, "title", "width")
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["one"]


def test_lines_on_a_log_axis_label_the_ticks_asked_for():
    ax = plot.lines([0.003, 1, 8], {"one": [1, 2, 3]}, "title", "τ", ticks=(0.003, 8), legend="")
    assert ax.get_xscale() == "log"
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0.003", "8"]
    assert len(ax.get_xticks(minor=True)) == 0
    assert ax.get_legend() is None
