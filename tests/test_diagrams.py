"""Drawings of layers: every part is there, once, and what another row gives ends at its reader."""

import matplotlib.pyplot as plt

from attnfuse import diagrams


def test_each_part_has_a_norm_and_a_sum():
    rows = {"letters": ["look", "think"], "tokens": ["look back", "read", "think"]}
    fig = diagrams.layers(rows, "two layers", memory=(1, 1))
    (ax,) = fig.axes
    texts = [text.get_text() for text in ax.texts if text.get_text()]
    assert sorted(texts) == sorted(
        ["letters", "tokens", *rows["letters"], *rows["tokens"], *["norm", "+"] * 5]
    )
    read = next(text for text in ax.texts if text.get_text() == "read")
    arrow = ax.texts[-1].xy  # the last arrow is that from the first row
    assert arrow[0] == read.get_position()[0]
    assert abs(arrow[1] - read.get_position()[1]) < 0.5
    assert ax.get_title() == "two layers"
    plt.close(fig)
