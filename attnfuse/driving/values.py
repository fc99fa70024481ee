"""What goes into an answer and comes out of it: arrays, plain values, and functions by handle."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Number

import numpy as np

NUMBERS = "bifuc"  # kinds of dtype: bool, signed and unsigned integer, float, complex


@dataclass(frozen=True)
class Handle:
    """A function that a case hands to an answer. The function itself stays with the judge.

    Args:
        name: what a learner is shown.
        function: gets arrays and plain values, returns them.
    """

    name: str
    function: Callable

    def __call__(self, *args, **kwargs):
        args = [to_output(x) for x in args]
        return self.function(*args, **{name: to_output(x) for name, x in kwargs.items()})


@dataclass(frozen=True)
class Opaque:
    """Something returned that is neither numbers nor text: only its type is known."""

    type: str


def copy_of(x):
    """A copy of an array or of a container of arrays; functions, models and the like as they are."""
    if isinstance(x, np.ndarray):
        return x.copy()
    if isinstance(x, list | tuple | dict):
        return copy.deepcopy(x) if _plain(x) else x
    return x


def _plain(x) -> bool:
    if isinstance(x, dict):
        return all(map(_plain, x.values()))
    if isinstance(x, list | tuple):
        return all(map(_plain, x))
    return isinstance(x, np.ndarray | np.generic | int | float | str | bool | type(None))


def to_output(x):
    """Numbers, bools, nested lists and tensors become arrays; text, dicts and the rest stay."""
    if x is None or isinstance(x, str | bytes | dict):
        return dict(x) if isinstance(x, Mapping) else x
    try:
        array = np.asarray(x)
        if array.dtype.name == "bfloat16":  # no NumPy type
            array = array.astype(np.float32)
        if array.dtype.kind == "O" and not array.ndim and isinstance(x, Number):
            array = np.asarray(float(x))  # a Fraction, a Decimal
    except Exception:
        return x
    return array if array.dtype.kind in NUMBERS else x
