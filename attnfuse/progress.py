"""What a learner has solved, when, and after how many tries: a diary beside the notebooks.

Every judged check appends one line of JSON to `.attnfuse-progress.jsonl`; lines that cannot be read
are passed over. Short lines are appended whole, so that two kernels may write at once. It is kept
only where a learner works: in a folder that `attnfuse lab` made, and on Colab. Grades never depend
on it.
"""

import json
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from attnfuse.work import STATE

FILE = ".attnfuse-progress.jsonl"


@dataclass
class Record:
    """One exercise: tries until it was solved (or until now), and when (None if not yet)."""

    tries: int = 0
    solved: datetime | None = None


def kept(folder: Path) -> bool:
    """Whether progress is kept in this folder."""
    return (folder / STATE).is_file() or "google.colab" in sys.modules


def record(exercise: str, passed: bool, folder: Path | None = None) -> None:
    """Append one try, in the notebook's own folder; what cannot be written is let go."""
    folder = folder or Path()
    if not kept(folder):
        return
    now = datetime.now().isoformat(timespec="seconds")
    line = json.dumps({"exercise": exercise, "passed": passed, "when": now})
    try:
        with (folder / FILE).open("ab") as file:
            file.write(f"\n{line}\n".encode())  # on its own line, whatever stands before it
    except OSError:
        pass


def read(folder: Path) -> dict[str, Record]:
    """Exercise → its record, of those that were tried."""
    try:
        lines = (folder / FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    found: dict[str, Record] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            name, passed, when = entry["exercise"], entry["passed"], entry["when"]
            when = datetime.fromisoformat(when)
            one = found.setdefault(name, Record())
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
        if one.solved is None:
            one.tries += 1
            one.solved = when if passed is True else None
    return found


def so_far(lesson: str, folder: Path | None = None) -> list[str]:
    """The line after a passed check, such as `3 of 4 in this lesson · 9 of 74 points`; [] if not kept."""
    folder = folder or Path()
    if not kept(folder):
        return []
    from attnfuse.exercises import EXERCISES

    records = read(folder)
    solved = [one for one in EXERCISES.values() if _solved(records, one.name)]
    here = [one for one in EXERCISES.values() if one.lesson == lesson]
    most = sum(one.points for one in EXERCISES.values())
    return [
        f"{len([one for one in solved if one in here])} of {len(here)} in this lesson"
        f" · {sum(one.points for one in solved)} of {most} points"
    ]


def _solved(records: dict[str, Record], name: str) -> bool:
    return name in records and records[name].solved is not None


def status(folder: str | Path) -> str:
    """What is solved in a folder of notebooks, as text for a terminal; runs nothing.

    Args:
        folder: where the notebooks lie.

    Returns:
        one line for each lesson, below it one for each exercise that was tried.
    """
    from attnfuse.exercises import EXERCISES

    records = read(Path(folder))
    if not records:
        return f"No check has run yet in {folder}."
    lines = []
    for lesson in sorted({one.lesson for one in EXERCISES.values()}):
        here = [one for one in EXERCISES.values() if one.lesson == lesson]
        lines.append(f"{lesson:26} {_sum(here, records)}")
        for one in here:
            if tried := records.get(one.name):
                mark = "✓" if tried.solved else "·"
                when = f"{tried.solved:%Y-%m-%d %H:%M}" if tried.solved else "not yet"
                tries = f"{tried.tries} tr{'y' if tried.tries == 1 else 'ies'}"
                lines.append(f"  {mark} {one.name:22} {when:16}  {tries}")
    lines.append(f"{'all lessons':26} {_sum(list(EXERCISES.values()), records)}")
    return "\n".join(lines)


def _sum(exercises: list, records: dict[str, Record]) -> str:
    solved = [one for one in exercises if _solved(records, one.name)]
    points, most = (sum(one.points for one in some) for some in (solved, exercises))
    return f"{len(solved):2} of {len(exercises):2} solved · {points:2} of {most} points"
