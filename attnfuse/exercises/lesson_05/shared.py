"""What several exercises of lesson 05 share: multi-head attention by loops and in NumPy."""

import math

import numpy as np

from attnfuse.exercises.common import draw, softmax

LESSON = "05_keras_attention_layers"
PARTS = ("query", "key", "value", "output")
AXIS = "Your softmax runs over the queries (axis 1). Each query spreads one unit over the *keys*: axis -1."


def floats(*arrays):
    return [np.asarray(x, dtype=float) for x in arrays]


def eight_arrays(rng, widths, D):
    """`query_matrix`, `query_bias`, …: float32, for inputs of these three widths and output width D."""
    shapes = {}
    for name, width in zip(PARTS, (*widths, D), strict=True):
        shapes |= {f"{name}_matrix": (width, D), f"{name}_bias": (D,)}
    return draw(rng, np.float32, **shapes)


def multi_head_by_loops(query, key, value, mask, heads, **weights):
    """Output `(B, T, D)` and weights `(B, N, T, S)`.

    Args:
        mask: None or bool `(B, T, S)`, True where open.
        heads: N.
        weights: the eight arrays.
    """
    w = {name: np.asarray(x, dtype=float) for name, x in weights.items()}
    query, key, value = floats(query, key, value)
    (B, T, _), S = query.shape, key.shape[1]
    D = len(w["output_bias"])
    H = D // heads
    q, k, v = (
        x @ w[f"{name}_matrix"] + w[f"{name}_bias"]
        for name, x in zip(PARTS, (query, key, value), strict=False)
    )
    output, shares = np.zeros((B, T, D)), np.zeros((B, heads, T, S))
    for b in range(B):
        for t in range(T):
            keys = [s for s in range(S) if mask is None or mask[b, t, s]]
            context = np.zeros(D)
            for n in range(heads):
                columns = slice(n * H, (n + 1) * H)
                scores = {s: q[b, t, columns] @ k[b, s, columns] / math.sqrt(H) for s in keys}
                top = max(scores.values(), default=0.0)
                total = sum(math.exp(score - top) for score in scores.values())
                for s in keys:
                    shares[b, n, t, s] = math.exp(scores[s] - top) / total
                    context[columns] += shares[b, n, t, s] * v[b, s, columns]
            output[b, t] = context @ w["output_matrix"] + w["output_bias"]
    return output, shares


def cut(x, N):
    """`(B, T, D)` → `(B, N, T, H)`, each head neighbouring columns."""
    return x.reshape(*x.shape[:2], N, -1).swapaxes(1, 2)


def merge(x):
    """`(B, N, T, H)` → `(B, T, D)`."""
    x = x.swapaxes(1, 2)
    return x.reshape(*x.shape[:2], -1)


def numpy_heads(query, key, value, allowed, heads, weigh=softmax, **w):
    """The same as `multi_head_by_loops`, fast; `allowed` is bool, broadcastable to `(B, N, T, S)`."""
    q, k, v = (
        cut(x @ w[f"{name}_matrix"] + w[f"{name}_bias"], heads)
        for name, x in zip(PARTS, (query, key, value), strict=False)
    )
    weights = weigh(q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1]), allowed)
    return merge(weights @ v) @ w["output_matrix"] + w["output_bias"], weights
