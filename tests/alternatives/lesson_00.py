"""Right answers to lesson 00, written differently."""

import numpy as np


def normalised_first(value, weights):
    return (weights / weights.sum()) @ value


def by_numpy(value, weights):
    return np.average(value, weights=weights)


def in_plain_python(value, weights):
    pairs = list(zip(value.tolist(), weights.tolist(), strict=True))
    return sum(x * w for x, w in pairs) / sum(w for _, w in pairs)


def as_an_array(value, weights):
    return np.array(np.einsum("s,s->", value, weights) / np.einsum("s->", weights))


ALTERNATIVES = {
    "weighted_average": [normalised_first, by_numpy, in_plain_python, as_an_array],
}
