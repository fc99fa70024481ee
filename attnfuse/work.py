"""The learner's folder `work/`: lessons are copied into it, and nothing of the learner's is lost."""

import difflib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from .released import work_digest

STATE = ".attnfuse.json"


class WorkError(Exception):
    """A reason to change nothing, in one line."""


def copy_lessons(lessons: dict[str, Path], work: Path) -> list[str]:
    """Bring `lessons` into `work` without ever overwriting what a learner changed.

    The state file holds the hash of every lesson's cells as they were released. A file whose cells
    still have that hash is unchanged, also if it was opened, run and saved, and follows the
    release. A changed one stays; a release newer than the one it came from lands beside it as
    `NAME.new.ipynb`.

    Returns:
        What to tell the learner, one line each.
    """
    work.mkdir(parents=True, exist_ok=True)
    state = read_state(work)
    before = json.dumps(state)
    copied, refreshed, messages = 0, 0, []
    for lesson, source in lessons.items():
        target = work / f"{lesson}.ipynb"
        release = source.read_bytes()
        if not target.exists():
            copied += 1
            write(target, release)
        elif work_digest(mine := target.read_bytes()) == work_digest(release):
            pass
        elif state.get(target.name) in hashes(mine):
            refreshed += 1
            write(target, release)
        else:  # changed by the learner
            seen = {state.get(target.name), state.get(f"{lesson} offered")}
            if not seen & hashes(release):
                beside = place_beside(work, lesson, release, state)
                state[f"{lesson} offered"] = work_digest(release)
                messages.append(f"you changed {target.name}; the newer release is {beside}")
            continue
        state[target.name] = work_digest(release)
    if json.dumps(state) != before:
        write_state(work, state)
    if refreshed:
        which = (
            "lesson replaced by a newer one" if refreshed == 1 else "lessons replaced by newer ones"
        )
        messages.insert(0, f"{refreshed} unchanged {which}")
    if copied:
        messages.insert(0, f"{copied} lesson{'s' * (copied > 1)} copied into {work.name}/")
    return messages


def reset(names: list[str], lessons: dict[str, Path], work: Path) -> list[str]:
    """Start lessons afresh; the learner's own stay beside them as `NAME.mine.ipynb`.

    Args:
        names: lessons by number, name or file name.
        lessons: the released notebooks, as lesson name -> path.
        work: the learner's folder.

    Returns:
        What to tell the learner, one line each.

    Raises:
        WorkError: if a name is no lesson's or there is no such folder; then nothing is changed.
    """
    chosen = list(dict.fromkeys(find_lesson(name, lessons) for name in names))
    require(work)
    state, messages = read_state(work), []
    for lesson in chosen:
        target = work / f"{lesson}.ipynb"
        release = lessons[lesson].read_bytes()
        mine = target.read_bytes() if target.exists() else None
        if mine == release:
            messages.append(f"{target.name} is as released; nothing to do")
            continue
        unchanged = {work_digest(release), state.get(target.name)}
        changed = mine is not None and not unchanged & hashes(mine)
        kept = keep(work, lesson, mine) if changed else None
        write(target, release)
        state[target.name] = work_digest(release)
        write_state(work, state)
        messages.append(f"{target.name} is fresh" + (f"; yours is now {kept}" if kept else ""))
    return messages


def default_folder() -> Path:
    """The learner's folder where none is named: here, where `attnfuse lab` made it here, else `work/`."""
    return Path.cwd() if Path(STATE).is_file() else Path("work")


def require(work: Path) -> None:
    """Raise WorkError if there is no such folder."""
    if not work.is_dir():
        raise WorkError(f"there is no folder {work}; `attnfuse lab` makes it")


def find_lesson(name: str, lessons: dict[str, Path]) -> str:
    """The lesson of a number ("5", "05"), a name with or without its number, or a file name."""
    wanted = Path(name).name.removesuffix(".ipynb")
    for lesson in lessons:
        number, _, slug = lesson.partition("_")
        if wanted in (lesson, slug) or (wanted.isdigit() and wanted.zfill(2) == number):
            return lesson
    near = difflib.get_close_matches(wanted, [*lessons, *(x[3:] for x in lessons)], n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(lessons)}"
    raise WorkError(f"no lesson {name!r}; {hint}")


def keep(work: Path, lesson: str, mine: bytes) -> str:
    """Write `mine` under the first name that is free, or that holds just that already."""
    for name in names_beside(lesson, "mine"):
        path = work / name
        if not path.exists():
            write(path, mine)
            return name
        if path.read_bytes() == mine:
            return name
    raise AssertionError("names_beside never ends")


def place_beside(work: Path, lesson: str, release: bytes, state: dict[str, str]) -> str:
    """Write `release` under the first name that holds nothing of the learner's."""
    for name in names_beside(lesson, "new"):
        path = work / name
        if not path.exists() or {state.get(name), work_digest(release)} & hashes(path.read_bytes()):
            write(path, release)
            state[name] = work_digest(release)
            return name
    raise AssertionError("names_beside never ends")


def names_beside(lesson: str, kind: str) -> Iterator[str]:
    number = 1
    while True:
        yield f"{lesson}.{kind}{number if number > 1 else ''}.ipynb"
        number += 1


def hashes(content: bytes) -> set[str]:
    """The hash of a notebook's cells, and of its bytes, which state files held before."""
    return {work_digest(content), hashlib.sha256(content).hexdigest()}


def read_state(work: Path) -> dict[str, str]:
    """The state file; empty if missing or unreadable, so that every file counts as changed."""
    try:
        state = json.loads((work / STATE).read_text(encoding="utf-8"))
        return {name: value for name, value in state.items() if isinstance(value, str)}
    except (OSError, ValueError, AttributeError):
        return {}


def write_state(work: Path, state: dict[str, str]) -> None:
    write(work / STATE, json.dumps(state, indent=1).encode())


def write(path: Path, content: bytes) -> None:
    """Write all of it or nothing."""
    scratch = path.with_name(f".{path.name}.tmp")
    scratch.write_bytes(content)
    os.replace(scratch, path)
