"""Attention in NumPy, in the course's words: scores → weights → context.

Letters: B batch, T query positions, S key positions, H width of a key, V width of a value.
`mask` is bool, True where a query may attend to a key; a row without any True gives zeros.
"""

import numpy as np

from attnfuse.checking.own import course_version


@course_version
def softmax(scores: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Turn each row of scores into weights that are positive and sum to 1.

    Args:
        scores: float `(..., T, S)`, any finite size; the last axis are the keys.
        mask: optional bool, broadcastable to `scores`, True where attention is allowed.

    Returns:
        weights, `(..., T, S)`. A row without an allowed key is all zeros.

    Source: Bridle 1990, "Probabilistic Interpretation of Feedforward Classification Network
    Outputs"; each row is shifted by its own maximum so that no exponential overflows.
    """
    scores = np.asarray(scores)
    allowed = np.ones(scores.shape, bool) if mask is None else np.broadcast_to(mask, scores.shape)
    top = scores.max(axis=-1, keepdims=True, where=allowed, initial=-np.inf)
    shifted = np.where(allowed, scores - np.where(np.isfinite(top), top, 0), -np.inf)
    powers = np.exp(shifted)
    total = powers.sum(axis=-1, keepdims=True)
    return powers / np.where(total > 0, total, 1)


@course_version
def attention_pooling(
    scores: np.ndarray, value: np.ndarray, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Average the values, each query with its own weights: `context = softmax(scores) @ value`.

    Args:
        scores: float `(..., T, S)`, how well each key fits each query.
        value: float `(..., S, V)`, or `(S,)` where each key carries one number.
        mask: optional bool, broadcastable to `scores`.

    Returns:
        `(context, weights)`: `(..., T, V)`, or `(..., T)` for one number each, and `(..., T, S)`.

    Raises:
        ValueError: if the number of values is not the number of keys.

    Source: Nadaraya 1964, "On Estimating Regression"; Watson 1964, "Smooth Regression Analysis".
    """
    scores, value = np.asarray(scores), np.asarray(value)
    axis = -1 if value.ndim == 1 else -2
    if scores.shape[-1] != value.shape[axis]:
        raise ValueError(
            f"scores has {scores.shape[-1]} keys (axis -1), value has {value.shape[axis]} (axis {axis})"
        )
    weights = softmax(scores, mask)
    return weights @ value, weights


@course_version
def scaled_dot_product_attention(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mix the rows of `value` by how well their `key` matches each `query`.

    Args:
        query: float `(..., T, H)`.
        key: float `(..., S, H)`.
        value: float `(..., S, V)`.
        mask: optional bool, broadcastable to `(..., T, S)`, True where attention is allowed.
            A row without any True gives a zero `context` row.

    Returns:
        `(context, weights)`: `(..., T, V)` and `(..., T, S)`.

    Raises:
        ValueError: if the shapes do not fit; the message names the axis.

    Source: Vaswani et al. 2017, "Attention Is All You Need", eq. 1.
    """
    query, key, value = np.asarray(query), np.asarray(key), np.asarray(value)
    width = query.shape[-1]
    if key.shape[-1] != width:
        raise ValueError(f"query is {width} wide (axis -1), key is {key.shape[-1]} wide")
    if key.shape[-2] == 0:
        raise ValueError("key has no rows (axis -2 is empty): there is nothing to attend to")
    scores = query @ np.swapaxes(key, -1, -2) / np.sqrt(width).astype(query.dtype)  # (..., T, S)
    return attention_pooling(scores, value, mask)


@course_version
def causal_mask(T: int, S: int | None = None) -> np.ndarray:
    """Bool `(T, S)`: query position t may attend to key positions 0 … t.

    Args:
        T: number of query positions.
        S: number of key positions, `T` if not given. Positions are counted from the start of both.
    """
    return np.tri(T, T if S is None else S, dtype=bool)


@course_version
def padding_mask(lengths, S: int) -> np.ndarray:
    """Bool `(B, 1, S)`: in item b the first `lengths[b]` keys are real, the rest is padding.

    Args:
        lengths: int `(B,)`.
        S: number of key positions, padding included.

    Raises:
        ValueError: if a length is negative or larger than `S`.
    """
    lengths = np.asarray(lengths)
    if ((lengths < 0) | (lengths > S)).any():
        raise ValueError(f"lengths must lie between 0 and {S}")
    return (np.arange(S) < lengths[:, None])[:, None, :]
