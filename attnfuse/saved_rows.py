"""The rows that an experiment saves beside itself: one for each run and seed, as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path


def read(path: Path, names: Sequence[str]) -> dict[str, list[dict]]:
    """Name of the run → its seeds' rows.

    Raises:
        FileNotFoundError: if nothing was saved there.
    """
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {name: [row for row in rows if row["name"] == name] for name in names}


def add(path: Path, names: Sequence[str], row: dict) -> None:
    """Add a row, in the place of the same name and seed; the file keeps the order of `names`."""
    rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    rows = [one for one in rows if (one["name"], one["seed"]) != (row["name"], row["seed"])]
    rows = sorted([*rows, row], key=lambda one: (names.index(one["name"]), one["seed"]))
    lines = ",\n".join(json.dumps(one) for one in rows)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
