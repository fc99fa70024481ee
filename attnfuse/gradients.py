"""Gradients: by trying (change one number a little and see what happens), and by the chain rule.

`d_x` is the slope of the loss for every number of `x`: an array of the shape of `x`. The letters are
those of `attnfuse.attention`: T query positions, S key positions, H width of a key, V of a value. As
there, closed keys have no influence whatever they hold, and float16 is widened inside.
"""

from collections.abc import Callable

import numpy as np

from attnfuse import attention
from attnfuse.own import course_version


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


@course_version
def softmax_gradient(weights: np.ndarray, d_weights: np.ndarray) -> np.ndarray:
    """Backward through softmax: from the slopes for the weights to the slopes for the scores.

    A score's slope is its weight times how much better its key does than the row's weighted mean:
    `d_scores[s] = weights[s] * (d_weights[s] - sum(weights * d_weights))`.

    Args:
        weights: float `(..., T, S)`, what `softmax` returned; the last axis are the keys.
        d_weights: float of the same shape.

    Returns:
        d_scores, `(..., T, S)`. Each row sums to 0; where a weight is 0 (a masked key, a row without
        any allowed key) the slope is 0, whatever `d_weights` holds there.

    Raises:
        ValueError: if the two shapes differ, or there are no keys.

    Source: Bridle 1990, "Training Stochastic Model Recognition Algorithms as Networks can Lead to
    Maximum Mutual Information Estimation of Parameters".
    """
    (weights, d_weights), dtype = attention.widened(weights, d_weights)
    if weights.shape != d_weights.shape:
        raise ValueError(f"weights has shape {weights.shape}, d_weights {d_weights.shape}")
    if weights.shape[-1:] in ((), (0,)):
        raise ValueError("weights has no keys (axis -1 is empty)")
    d_weights = np.where(weights == 0, 0, d_weights)
    mean = (weights * d_weights).sum(axis=-1, keepdims=True)
    return (weights * (d_weights - mean)).astype(dtype)


@course_version
def attention_gradients(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    d_context: np.ndarray,
    mask: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Backward through `attention.scaled_dot_product_attention`, with the forward pass repeated.

    Args:
        query: float `(..., T, H)`.
        key: float `(..., S, H)`.
        value: float `(..., S, V)`.
        d_context: float `(..., T, V)`, the slope of the loss for every number of the context.
        mask: optional bool, broadcastable to `(..., T, S)`, True where attention is allowed.
            A row without any True has no influence: it adds zeros to every slope.

    Returns:
        `(d_query, d_key, d_value)`, of the shapes of `query`, `key` and `value`. Where an axis was
        broadcast (one key array for a whole batch) the slopes are summed over it.

    Raises:
        ValueError: if the shapes do not fit; the message names the axis.

    Source: the chain rule on Vaswani et al. 2017, eq. 1. Rumelhart, Hinton and Williams 1986,
    "Learning Representations by Back-Propagating Errors", made the order of work known.
    """
    arrays, dtype = attention.widened(query, key, value, d_context)
    query, key, value, d_context = arrays
    attention.must_have(2, query=query, key=key, value=value)
    context, weights = attention.scaled_dot_product_attention(
        query=query, key=key, value=value, mask=mask
    )
    if d_context.shape != context.shape:
        raise ValueError(f"d_context has shape {d_context.shape}, the context {context.shape}")
    d_value = attention.weighted_sum(np.swapaxes(weights, -1, -2), d_context)  # (..., S, V)
    with np.errstate(invalid="ignore"):  # a closed value may hold anything
        d_weights = d_context @ np.swapaxes(value, -1, -2)  # (..., T, S)
    d_scores = softmax_gradient(weights, d_weights) / query.shape[-1] ** 0.5
    d_query = attention.weighted_sum(d_scores, key)  # (..., T, H)
    d_key = attention.weighted_sum(np.swapaxes(d_scores, -1, -2), query)  # (..., S, H)
    slopes = ((d_query, query), (d_key, key), (d_value, value))
    return tuple(_sum_to(slope, x.shape).astype(dtype) for slope, x in slopes)


def log_loss(share: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean of -log(share of the right class), and its slope for every share.

    Args:
        share: float `(T, C)`, such as the context of one-hot values; rows sum to 1 at most.
        labels: int `(T,)`, the right class of each row.

    Returns:
        `(loss, d_share)`: one number, and `(T, C)`: -1/share/T at the right class, 0 elsewhere.
        A share below 1e-12 (6e-5 in float16) counts as that, so that nothing is infinite.

    Raises:
        ValueError: if there is not one whole number for each row, no row at all, or no such class.

    Source: Good 1952, "Rational Decisions" (the logarithmic score).
    """
    (share,), dtype = attention.widened(share)
    labels = np.asarray(labels)
    if share.ndim != 2:
        raise ValueError(f"share must be (T, C), got shape {share.shape}")
    if labels.shape != share.shape[:1]:
        raise ValueError(
            f"labels has shape {labels.shape}, share has {share.shape[0]} rows (axis 0)"
        )
    if not len(labels):
        raise ValueError("share has no rows (axis 0 is empty): nothing has a mean loss")
    if labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be whole numbers, got {labels.dtype}")
    if labels.min() < 0 or labels.max() >= share.shape[1]:
        raise ValueError(f"labels must lie between 0 and {share.shape[1] - 1}")
    rows = np.arange(len(labels))
    right = np.maximum(share[rows, labels], 6e-5 if dtype.itemsize < 4 else 1e-12)
    d_share = np.zeros_like(share)
    d_share[rows, labels] = -1 / right / len(labels)
    return float(-np.log(right).mean()), d_share.astype(dtype)


def _sum_to(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Add up what was broadcast: one number used many times collects the slope of every use."""
    extra = gradient.ndim - len(shape)
    stretched = tuple(
        axis
        for axis in range(gradient.ndim)
        if axis < extra or shape[axis - extra] != gradient.shape[axis]
    )
    return gradient.sum(axis=stretched, keepdims=True).reshape(shape) if stretched else gradient
