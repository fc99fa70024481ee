"""Attention in NumPy, in the course's words: scores → weights → context.

Letters: B batch, T query positions, S key positions, H width of a key, V width of a value.
`mask` is bool, True where a query may attend to a key; a row without any True gives zeros.

A key that is closed to a query has no influence on it, whatever it holds, NaN and infinity included;
with masks that differ by query, what it holds reaches those queries alone that may attend to it.
Everything is computed in 32 bits or more and comes back in the common dtype of what was given, float16
too; whole numbers count as float64.
"""

import numpy as np

from attnfuse.own import course_version


@course_version
def softmax(scores: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Turn each row of scores into weights that are positive and sum to 1.

    Args:
        scores: float `(..., T, S)`, any finite size, or -inf for a closed key; the last axis are the keys.
        mask: optional bool, broadcastable to `scores`, True where attention is allowed.

    Returns:
        weights, `(..., T, S)`. A row without an allowed key is all zeros.

    Raises:
        ValueError: if there are no keys, or the mask is not bool or does not fit.

    Source: Bridle 1990, "Probabilistic Interpretation of Feedforward Classification Network
    Outputs"; each row is shifted by its own maximum so that no exponential overflows.
    """
    (scores,), dtype = widened(scores)
    if scores.shape[-1:] in ((), (0,)):
        raise ValueError("scores has no keys (axis -1 is empty): there is nothing to attend to")
    scores = np.where(_allowed(mask, scores.shape), scores, -np.inf)
    top = scores.max(axis=-1, keepdims=True)
    powers = np.exp(scores - np.where(top == -np.inf, 0, top))
    total = powers.sum(axis=-1, keepdims=True)
    return (powers / np.where(total == 0, 1, total)).astype(dtype)


def weighted_sum(weights: np.ndarray, value: np.ndarray) -> np.ndarray:
    """`weights @ value`, where a weight of 0 deletes what it meets, even NaN (0 × NaN would be NaN).

    Args:
        weights: float `(..., T, S)`.
        value: float `(..., S, V)`.

    Returns:
        `(..., T, V)`.
    """
    finite = np.isfinite(value)
    total = weights @ np.where(finite, value, 0)
    odd = np.where(finite, 0, value)
    with np.errstate(invalid="ignore"):
        for s in np.unique(np.nonzero(odd)[-2]):  # keys whose value is not finite
            weight = weights[..., s, None]  # (..., T, 1)
            total = total + np.where(weight == 0, 0, weight * odd[..., s, None, :])
    return total


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
        ValueError: if the number of values is not the number of keys, or the mask is not bool or does
            not fit.

    Source: Nadaraya 1964, "On Estimating Regression"; Watson 1964, "Smooth Regression Analysis".
    """
    (scores, value), dtype = widened(scores, value)
    must_have(1, scores=scores, value=value)
    _must_stretch(scores=scores, value=value)
    axis = -1 if value.ndim == 1 else -2
    if scores.shape[-1] != value.shape[axis]:
        raise ValueError(
            f"scores has {scores.shape[-1]} keys (axis -1), value has {value.shape[axis]} (axis {axis})"
        )
    weights = softmax(scores, mask)
    if value.ndim == 1:
        context = weighted_sum(weights, value[:, None])[..., 0]
    else:
        context = weighted_sum(weights, value)
    return context.astype(dtype), weights.astype(dtype)


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
    (query, key, value), dtype = widened(query, key, value)
    must_have(1, query=query)
    must_have(2, key=key)
    _must_stretch(query=query, key=key)
    width = query.shape[-1]
    if key.shape[-1] != width:
        raise ValueError(f"query is {width} wide (axis -1), key is {key.shape[-1]} wide")
    if key.shape[-2] == 0:
        raise ValueError("key has no rows (axis -2 is empty): there is nothing to attend to")
    with np.errstate(invalid="ignore"):  # a closed key may hold anything
        # the query first: a product can overflow where the score does not
        scores = (query / width**0.5) @ np.swapaxes(key, -1, -2)  # (..., T, S)
    context, weights = attention_pooling(scores, value, mask)
    return context.astype(dtype), weights.astype(dtype)


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
        ValueError: if lengths is not one row of whole numbers, or one is negative or larger than `S`.
    """
    lengths = np.asarray(lengths)
    if lengths.ndim != 1:
        raise ValueError(f"lengths must be (B,), one for each item; got shape {lengths.shape}")
    if lengths.size and lengths.dtype.kind not in "iu":
        raise ValueError(f"lengths must be whole numbers, got {lengths.dtype}")
    if ((lengths < 0) | (lengths > S)).any():
        raise ValueError(f"lengths must lie between 0 and {S}")
    return (np.arange(S) < lengths[:, None])[:, None, :]


# -- several heads ----------------------------------------------------------------------------------


@course_version
def split_heads(x: np.ndarray, heads: int) -> np.ndarray:
    """Cut the width into N heads: `(..., T, N·H)` → `(..., N, T, H)`.

    Head n gets columns n·H to (n+1)·H of every row; rows stay whole and in order.

    Args:
        x: float `(..., T, D)`.
        heads: N, a divisor of D.

    Raises:
        ValueError: if D is not a multiple of `heads`.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.2.
    """
    x = np.asarray(x)
    if x.ndim < 2:
        raise ValueError(f"x must be (..., T, D), got shape {x.shape}")
    if heads < 1 or x.shape[-1] % heads:
        raise ValueError(
            f"the width {x.shape[-1]} (axis -1) cannot be cut into {heads} equal heads"
        )
    apart = x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads)  # (..., T, N, H)
    return np.swapaxes(apart, -2, -3)


@course_version
def merge_heads(x: np.ndarray) -> np.ndarray:
    """Put the heads side by side again: `(..., N, T, H)` → `(..., T, N·H)`, undoing `split_heads`.

    Raises:
        ValueError: if `x` has fewer than three axes.
    """
    x = np.asarray(x)
    if x.ndim < 3:
        raise ValueError(f"x must be (..., N, T, H), got shape {x.shape}")
    apart = np.swapaxes(x, -2, -3)  # (..., T, N, H)
    return apart.reshape(*apart.shape[:-2], apart.shape[-2] * apart.shape[-1])


@course_version
def multi_head_attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    heads: int,
    mask: np.ndarray | None = None,
    rotate: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Let every head attend with its own part of the width, and put the results side by side.

    The projections before and after are matrix products and stay outside.

    Args:
        query: float `(..., T, N·H)`, projected.
        key: float `(..., S, N·H)`, projected.
        value: float `(..., S, N·V)`, projected.
        heads: N.
        mask: optional bool, broadcastable to `(..., T, S)`, the same for all heads; with one axis more
            than `query` it is `(..., N, T, S)`, a mask for each head. A row without any True gives zeros.
        rotate: turn queries and keys by their positions first (`rotary`), in every head alike.

    Returns:
        `(context, weights)`: `(..., T, N·V)` and `(..., N, T, S)`.

    Raises:
        ValueError: if the shapes do not fit; the message names the axis.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.2.
    """
    arrays, dtype = widened(query, key, value)
    axes = arrays[0].ndim
    query, key, value = (split_heads(x, heads) for x in arrays)
    if rotate:
        with np.errstate(invalid="ignore"):  # a closed key may hold anything
            query, key = rotary(query), rotary(key)
    if mask is not None and np.ndim(mask) <= axes:
        mask = np.asarray(mask)
        mask = np.expand_dims(mask.reshape((1,) * (axes - mask.ndim) + mask.shape), -3)
    context, weights = scaled_dot_product_attention(query=query, key=key, value=value, mask=mask)
    return merge_heads(context).astype(dtype), weights.astype(dtype)


# -- positions --------------------------------------------------------------------------------------


def _angles(positions, width: int, base: float) -> np.ndarray:
    """`(T, width/2)`: position times the speed of each pair, in radians."""
    if width < 2 or width % 2:
        raise ValueError(f"positions work on pairs of numbers: the width must be even, got {width}")
    positions = np.asarray(positions)
    if positions.ndim != 1:
        raise ValueError(f"positions must be (T,), got shape {positions.shape}")
    return positions[:, None] * float(base) ** (-np.arange(0, width, 2) / width)


@course_version
def sinusoidal_positions(positions, D: int, base: float = 10_000.0) -> np.ndarray:
    """A row of sines and cosines for each position, to be added to what stands there.

    Args:
        positions: a whole number T, for the positions 0 … T-1, or the positions themselves, `(T,)`.
        D: width, even. Columns 2i and 2i+1 hold the sine and the cosine of position / base^(2i/D).
        base: how slow the slowest pair is.

    Returns:
        float64 `(T, D)`.

    Raises:
        ValueError: if D is odd, or `positions` is neither a number nor one row of them.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.5.
    """
    positions = np.arange(positions) if np.ndim(positions) == 0 else positions
    angles = _angles(positions, D, base)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(len(angles), D)


@course_version
def rotary(x: np.ndarray, positions=None, base: float = 10_000.0) -> np.ndarray:
    """Turn each pair of neighbouring numbers by an angle that grows with the position.

    Used on queries and keys (never on values), it makes their dot products depend on the *difference*
    of their positions only.

    Args:
        x: float `(..., T, H)`, H even. The pair (2i, 2i+1) turns by position / base^(2i/H).
        positions: `(T,)`; 0 … T-1 if not given.
        base: how slow the slowest pair is.

    Returns:
        an array of the shape and dtype of `x` (float64 for whole numbers).

    Raises:
        ValueError: if H is odd or `positions` does not fit axis -2.

    Source: Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding", eq. 34.
    """
    (x,), dtype = widened(x)
    must_have(2, x=x)
    T, H = x.shape[-2:]
    positions = np.arange(T) if positions is None else np.asarray(positions)
    angles = _angles(positions, H, base)
    if len(angles) != T:
        raise ValueError(f"x has {T} rows (axis -2), positions has {len(angles)}")
    cos, sin = np.cos(angles), np.sin(angles)
    first, second = x[..., ::2], x[..., 1::2]
    turned = np.stack([first * cos - second * sin, first * sin + second * cos], axis=-1)
    return turned.reshape(x.shape).astype(dtype)


# -- other scores -----------------------------------------------------------------------------------


@course_version
def bilinear_scores(query: np.ndarray, key: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Score by a learnt matrix: `query @ matrix @ keyᵀ`; query and key may differ in width.

    Args:
        query: float `(..., T, Q)`.
        key: float `(..., S, K)`.
        matrix: float `(Q, K)`.

    Returns:
        scores, `(..., T, S)`.

    Raises:
        ValueError: if the shapes do not fit; the message names the axis.

    Source: Luong, Pham and Manning 2015, "Effective Approaches to Attention-based Neural Machine
    Translation", section 3.1, "general".
    """
    (query, key, matrix), dtype = widened(query, key, matrix)
    if matrix.ndim != 2:
        raise ValueError(f"matrix must be (Q, K), got shape {matrix.shape}")
    _must_fit(query, key, matrix.shape, "matrix")
    return (query @ matrix @ np.swapaxes(key, -1, -2)).astype(dtype)


@course_version
def additive_scores(
    query: np.ndarray,
    key: np.ndarray,
    query_matrix: np.ndarray,
    key_matrix: np.ndarray,
    vector: np.ndarray,
) -> np.ndarray:
    """Score by a small network: `tanh(query @ query_matrix + key @ key_matrix) @ vector`.

    Args:
        query: float `(..., T, Q)`.
        key: float `(..., S, K)`.
        query_matrix: float `(Q, A)`, A hidden units.
        key_matrix: float `(K, A)`.
        vector: float `(A,)`.

    Returns:
        scores, `(..., T, S)`. On the way there it holds `(..., T, S, A)` numbers.

    Raises:
        ValueError: if the shapes do not fit; the message names the axis.

    Source: Bahdanau, Cho and Bengio 2015, "Neural Machine Translation by Jointly Learning to Align
    and Translate", appendix A.1.2.
    """
    arrays, dtype = widened(query, key, query_matrix, key_matrix, vector)
    query, key, query_matrix, key_matrix, vector = arrays
    if (query_matrix.ndim, key_matrix.ndim, vector.ndim) != (2, 2, 1):
        shapes = f"{query_matrix.shape}, {key_matrix.shape}, {vector.shape}"
        raise ValueError(f"the weights must be (Q, A), (K, A) and (A,), got {shapes}")
    _must_fit(query, key, (len(query_matrix), len(key_matrix)), "matrices")
    hidden = {query_matrix.shape[-1], key_matrix.shape[-1], vector.shape[-1]}
    if len(hidden) > 1:
        raise ValueError(f"query_matrix, key_matrix (axis -1) and vector differ in size: {hidden}")
    asked = (query @ query_matrix)[..., :, None, :]  # (..., T, 1, A)
    offered = (key @ key_matrix)[..., None, :, :]  # (..., 1, S, A)
    return (np.tanh(asked + offered) @ vector).astype(dtype)


def _must_fit(query, key, widths, what: str) -> None:
    """Query and key have as many columns as the weights have rows for them; there is a key."""
    must_have(2, query=query, key=key)
    _must_stretch(query=query, key=key)
    for name, x, width in (("query", query, widths[0]), ("key", key, widths[1])):
        if x.shape[-1] != width:
            raise ValueError(f"{name} is {x.shape[-1]} wide (axis -1), the {what} expect {width}")
    if key.shape[-2] == 0:
        raise ValueError("key has no rows (axis -2 is empty): there is nothing to attend to")


# -- what is given ----------------------------------------------------------------------------------


def widened(*arrays) -> tuple[list[np.ndarray], np.dtype]:
    """The arrays with 32 bits or more for each number, and the dtype in which results go back.

    That is the common dtype of the arrays; whole numbers, also too long ones for NumPy, and bools count
    as float64.
    """
    arrays = [np.asarray(x) for x in arrays]
    dtype = np.result_type(*(float if x.dtype.kind in "biuO" else x.dtype for x in arrays))
    wide = np.result_type(dtype, np.float32)
    return [x.astype(wide, copy=False) for x in arrays], dtype


def _allowed(mask, shape: tuple[int, ...]) -> np.ndarray:
    """The mask, everything allowed without one, stretched to the scores' shape."""
    mask = np.asarray(True if mask is None else mask)
    if mask.dtype != bool:
        raise ValueError(
            f"mask must be bool, True may attend; got {mask.dtype}: write `mask == 1`?"
        )
    try:
        return np.broadcast_to(mask, shape)
    except ValueError:
        raise ValueError(
            f"mask has shape {mask.shape}, which does not broadcast to scores {shape}"
        ) from None


def must_have(axes: int, **arrays) -> None:
    """Raise ValueError unless every array has that many axes."""
    for name, x in arrays.items():
        if x.ndim < axes:
            raise ValueError(f"{name} must have {axes} axes or more, got shape {x.shape}")


def _must_stretch(**arrays) -> None:
    """Raise ValueError unless the axes before the last two broadcast."""
    try:
        np.broadcast_shapes(*(x.shape[:-2] for x in arrays.values()))
    except ValueError:
        shapes = " and ".join(f"{name} {x.shape}" for name, x in arrays.items())
        raise ValueError(f"{shapes} do not fit on the axes before the last two") from None
