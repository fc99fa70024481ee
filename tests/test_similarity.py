"""Lesson 03's comparison."""

import numpy as np

from attnfuse import attention
from attnfuse.data import digits
from attnfuse.experiments import similarity
from attnfuse.gradients import log_loss, numerical_gradient


def test_start_is_the_dot_product_at_that_temperature():
    part = similarity.prepared(digits.load())
    arrays = similarity.given(part, similarity.start(0.3), part.test_images[:2])
    scores = arrays["query"] @ arrays["key"].T / np.sqrt(64)
    np.testing.assert_allclose(
        scores, part.test_images[:2] @ part.train_images.T / 0.3, rtol=1e-4, atol=1e-3
    )


def test_slopes_agree_with_differences(monkeypatch):
    monkeypatch.setenv("ATTNFUSE_QUICK", "1")
    part, batch = digits.load(), np.array([3, 1, 4])
    W = [w.astype(float) for w in similarity.start(2)]
    mask = batch[:, None] != np.arange(len(part.train_images))

    def loss(corner, which):
        moved = [w.copy() for w in W]
        moved[which][2:4, 2:5] = corner
        arrays = similarity.given(part, moved, part.train_images[batch])
        context, _ = attention.scaled_dot_product_attention(**arrays, mask=mask)
        return log_loss(context, part.train_labels[batch])[0]

    for which, slope in enumerate(similarity.slopes(part, W, batch)):
        corner = numerical_gradient(lambda x, n=which: loss(x, n), W[which][2:4, 2:5])
        np.testing.assert_allclose(slope[2:4, 2:5], corner, rtol=1e-5, atol=1e-9)


def test_table_has_every_way(monkeypatch, capsys):
    monkeypatch.setenv("ATTNFUSE_QUICK", "1")
    similarity.main()
    assert len(capsys.readouterr().out.splitlines()) == 7
