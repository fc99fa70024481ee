"""Every exercise and every question of the course.

`EXERCISES` maps a name to its `Exercise`, `QUIZZES` an id to its `Quiz`; iterate over
`EXERCISES.values()` for all of them. A folder a lesson, a file an exercise; none loads TensorFlow
until it judges.
"""

import pkgutil
from collections.abc import Mapping
from importlib import import_module


class _Registry(Mapping):
    """Collects a module-level list from every lesson module, on first use."""

    def __init__(self, attribute: str, key: str):
        self._attribute, self._key = attribute, key
        self._items: dict | None = None

    def _load(self) -> dict:
        if self._items is None:
            items: dict = {}
            names = (m.name for m in pkgutil.iter_modules(__path__))
            for module in sorted(name for name in names if name.startswith("lesson_")):
                loaded = import_module(f"{__name__}.{module}")
                for item in getattr(loaded, self._attribute, []):
                    name = getattr(item, self._key)
                    if name in items:
                        raise ValueError(f"{module}: {name!r} is declared twice")
                    items[name] = item
            self._items = items
        return self._items

    def __getitem__(self, name):
        return self._load()[name]

    def __iter__(self):
        return iter(self._load())

    def __len__(self):
        return len(self._load())


EXERCISES = _Registry("EXERCISES", "name")
QUIZZES = _Registry("QUIZZES", "id")
