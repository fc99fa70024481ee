"""Right answers to lesson 00, written differently."""

import numpy as np


def normalised_first(value, parts):
    return (parts / parts.sum()) @ value


def by_numpy(value, parts):
    return np.average(value, weights=parts)


def in_plain_python(value, parts):
    pairs = list(zip(value.tolist(), parts.tolist(), strict=True))
    return sum(x * p for x, p in pairs) / sum(p for _, p in pairs)


def as_an_array(value, parts):
    return np.array(np.einsum("s,s->", value, parts) / np.einsum("s->", parts))


ALTERNATIVES = {
    "weighted_average": [normalised_first, by_numpy, in_plain_python, as_an_array],
}
