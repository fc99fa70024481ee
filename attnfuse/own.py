"""Switch the course's own functions off while a learner's version of them is judged."""

from collections.abc import Callable, Iterable
from contextlib import contextmanager
from functools import wraps

_switched_off: set[str] = set()


class WriteYourOwn(RuntimeError):
    """A learner's answer called the course's version of what it was asked to write."""


def course_version(function: Callable) -> Callable:
    """Mark a function (or a method) of the course as one that an exercise can switch off."""
    name = f"{function.__module__}.{function.__qualname__}"

    @wraps(function)
    def guarded(*args, **kwargs):
        if any(name == off or name.startswith(off + ".") for off in _switched_off):
            raise WriteYourOwn(f"{name} is the course's version of this exercise")
        return function(*args, **kwargs)

    return guarded


@contextmanager
def switched_off(names: Iterable[str]):
    """Inside the block, calling any of `names` (functions, or classes with all their methods) fails."""
    added = set(names) - _switched_off
    _switched_off.update(added)
    try:
        yield
    finally:
        _switched_off.difference_update(added)
