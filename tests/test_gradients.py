"""The numerical gradient against slopes worked out by hand."""

import numpy as np
import pytest

from attnfuse.gradients import numerical_gradient


@pytest.mark.parametrize("shape", [(), (1,), (4,), (2, 3)])
def test_agrees_with_calculus(shape):
    values = np.random.default_rng(0).normal(size=shape)
    gradient = numerical_gradient(lambda v: np.sum(np.sin(v) * v), values)
    assert gradient.shape == shape
    np.testing.assert_allclose(gradient, np.cos(values) * values + np.sin(values), rtol=1e-7)


def test_leaves_the_values_alone_even_if_the_function_does_not():
    values = np.array([1.0, 2.0])

    def spoil(v):
        total = float(np.sum(v**2))
        v[:] = 99
        return total

    np.testing.assert_allclose(numerical_gradient(spoil, values), [2, 4], rtol=1e-6)
    assert values.tolist() == [1, 2]


def test_integers_are_not_rounded():
    np.testing.assert_allclose(numerical_gradient(lambda v: v[0] * v[1], [3, 5]), [5, 3])


def test_function_must_return_one_number():
    with pytest.raises(ValueError, match="one number"):
        numerical_gradient(lambda v: v, [1.0, 2.0])


def test_step_must_be_positive():
    with pytest.raises(ValueError, match="positive"):
        numerical_gradient(np.sum, [1.0], step=0)
