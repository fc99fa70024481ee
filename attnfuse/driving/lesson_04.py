"""Driver of lesson 04: a query set by hand, put to work in a head with rotary positions."""

import numpy as np

from attnfuse import attention
from attnfuse.driving.answer import Unusable


def set_head(candidate, steps, words):
    """Weights `(R, S)` of the R words of a text that have a word `steps` places on."""
    query = candidate(steps)
    if query is None:
        return None
    query = np.asarray(query, dtype=float)
    if query.shape != (8,):
        raise Unusable(f"Return eight numbers, an array (8,); yours has the shape {query.shape}.")
    hands = np.array([1.0, 0, 1, 0, 0, 0, 0, 0])
    query, key = (attention.rotary(np.tile(x, (words, 1))) for x in (query, hands))
    _, weights = attention.scaled_dot_product_attention(query=query, key=key, value=key)
    asked = np.arange(words) + steps
    return weights[(asked >= 0) & (asked < words)]
