"""Gradients without calculus: change one number a little and see what happens."""

from collections.abc import Callable

import numpy as np


def numerical_gradient(
    function: Callable[[np.ndarray], float], values, step: float = 1e-5
) -> np.ndarray:
    """The slope of `function` at `values`, one central difference for each number.

    Costs two calls for each number, so it is for a handful of parameters, and for checking a
    gradient that was worked out by hand.

    Args:
        function: takes an array of the shape of `values` and returns one number.
        values: float array of any shape; it is not changed.
        step: how far each number is moved, both ways.

    Returns:
        float64 array of the shape of `values`: (f(v + step) - f(v - step)) / (2 step).

    Raises:
        ValueError: if `function` returns anything but one number, or `step` is not positive.

    Source: central differences, e.g. Press et al. 2007, "Numerical Recipes", section 5.7.
    """
    if not step > 0:
        raise ValueError(f"step must be positive, got {step}")
    values = np.array(values, dtype=np.float64)
    gradient = np.zeros_like(values)
    for place in np.ndindex(values.shape):
        ahead, behind = values.copy(), values.copy()
        ahead[place] += step
        behind[place] -= step
        rise = np.asarray(function(ahead)) - np.asarray(function(behind))
        if rise.size != 1:
            raise ValueError(f"function must return one number, got the shape {rise.shape}")
        gradient[place] = rise.item() / (2 * step)
    return gradient
