"""What the declarations of several exercises share: softmax with its choices, draws, masks."""

import numpy as np


def softmax(scores, mask=True, axis=-1, *, low=-np.inf, late=False, shift="open", empty=0.0):
    """Softmax in NumPy, with the choices people get wrong.

    Args:
        scores: float, any shape.
        mask: bool, broadcastable to `scores`, True where open.
        axis: over which the weights sum to 1.
        low: the score of a closed place.
        late: closed places are set to zero after the softmax, and their share is lost.
        shift: what is taken off before the exponential: the maximum of the `"open"` places, of the
            whole `"row"`, of `"all"` scores, or None.
        empty: the weights of a row without an open place; None for 1/S.

    Returns:
        Weights of the shape of `scores`.
    """
    scores = np.asarray(scores, dtype=float)
    mask = np.broadcast_to(mask, scores.shape)
    open_to = np.ones_like(mask) if late else mask
    kept = np.where(open_to, scores, low)
    top = {
        "open": lambda: kept.max(axis=axis, keepdims=True),
        "row": lambda: scores.max(axis=axis, keepdims=True),
        "all": lambda: kept.max(),
        None: lambda: 0.0,
    }[shift]()
    with np.errstate(all="ignore"):
        powers = np.exp(kept - np.where(np.isfinite(top), top, 0))
        weights = powers / powers.sum(axis=axis, keepdims=True)
    if late:
        weights = np.where(mask, weights, 0)
    even = 1 / scores.shape[axis] if empty is None else empty
    return np.where(mask.any(axis=axis, keepdims=True), weights, even)


def weights_by(weigh, scores, mask, empty=0.0):
    """Weights by `weigh(scores, mask)`, but `empty` in rows without an open place.

    None stands for 1/S, a function for weights made of the scores.
    """
    even = 1 / scores.shape[-1] if empty is None else empty
    even = even(scores) if callable(even) else even
    return np.where(mask.any(axis=-1, keepdims=True), weigh(scores, mask), even)


def hard(scores, mask=True):
    """All the weight to the best open place, the first of equal ones."""
    return np.eye(scores.shape[-1])[np.where(mask, scores, -np.inf).argmax(axis=-1)]


def draw(rng, dtype=float, **shapes):
    """Standard normal arrays: name → shape, in; name → array, out."""
    return {n: rng.standard_normal(shape).astype(dtype) for n, shape in shapes.items()}


def query_key_value(rng, B, T, S, H, V, dtype=float):
    return draw(rng, dtype, query=(B, T, H), key=(B, S, H), value=(B, S, V))


def partial_mask(rng, *shape):
    """At least one key allowed and one forbidden in every row."""
    mask = rng.random(shape) < 0.5
    places = np.argsort(rng.random(shape), axis=-1)
    np.put_along_axis(mask, places[..., :1], True, axis=-1)
    np.put_along_axis(mask, places[..., 1:2], False, axis=-1)
    return mask


def padding(rng, B, S):
    """One to S-1 words, then padding; the first two items never have the same length."""
    lengths = rng.integers(1, S, size=B)
    if B > 1:
        lengths[:2] = rng.permutation(np.arange(1, S))[:2]
    return np.arange(S) < lengths[:, None]


def dot(a, b):
    """One sum of products, number by number."""
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))
