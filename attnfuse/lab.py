"""`attnfuse lab`: copy the lessons into a working folder and start JupyterLab on the first one."""

import errno
import hashlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .released import released_lessons

DEFAULT_PORT = 8888
STATE = ".attnfuse.json"


class LabError(Exception):
    """A reason not to start, in one line."""


def lab(folder: str = "work", port: int | None = None, browser: bool = True) -> int:
    """Copy the lessons into `folder`, then become JupyterLab; returns only if that fails."""
    if importlib.util.find_spec("jupyterlab") is None:
        raise LabError(
            'JupyterLab is not installed here; install it with: pip install "jupyterlab>=4.4"'
        )
    work = Path(folder).resolve()
    try:
        messages = copy_lessons(released_lessons(), work)
    except FileNotFoundError as problem:
        raise LabError(str(problem)) from None
    except OSError as problem:
        raise LabError(f"cannot write to {folder}/: {problem.strerror}") from None
    free = choose_port(port)
    if port is None and free != DEFAULT_PORT:
        messages.append(f"port {DEFAULT_PORT} is taken; using {free}")
    for message in messages:
        print(f"attnfuse: {message}", flush=True)
    print(f"attnfuse: JupyterLab starts on port {free}; Ctrl-C twice stops it", flush=True)
    command = jupyter_command(work, free, browser)
    if os.name == "nt":
        return subprocess.call(command, env=environment())
    os.execve(command[0], command, environment())


def jupyter_command(work: Path, port: int, browser: bool) -> list[str]:
    command = [sys.executable, "-m", "jupyterlab", "--log-level=WARN"]
    command += [f"--ServerApp.root_dir={work}", f"--port={port}", "--ServerApp.port_retries=0"]
    if not browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # in a container; the server listens on this machine only
    return command


def environment() -> dict[str, str]:
    """The environment for JupyterLab: our settings first, kernels of this Python before others.

    The settings open the first lesson, ask the network for nothing, and leave out nbgrader's
    buttons, which are for teachers.
    """
    folders = [str(Path(__file__).parent / "jupyter_config"), os.environ.get("JUPYTER_CONFIG_PATH")]
    ours = {
        "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, folders)),
        "JUPYTER_PREFER_ENV_PATH": "1",
    }
    return os.environ | ours


def choose_port(port: int | None) -> int:
    """The port asked for, or the first free one from the default upwards."""
    if port is not None:
        if not is_free(port):
            raise LabError(
                f"port {port} is taken or not permitted; choose another, or leave --port out"
            )
        return port
    for candidate in range(DEFAULT_PORT, DEFAULT_PORT + 100):
        if is_free(candidate):
            return candidate
    raise LabError(f"no free port from {DEFAULT_PORT} to {DEFAULT_PORT + 99}")


def is_free(port: int) -> bool:
    for family, kind, _, _, address in socket.getaddrinfo(
        "localhost", port, type=socket.SOCK_STREAM
    ):
        try:
            with socket.socket(family, kind) as probe:
                if os.name == "posix":  # as the server does: a port just left counts as free
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as problem:
            if problem.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                return False
    return True


def copy_lessons(lessons: dict[str, Path], work: Path) -> list[str]:
    """Bring `lessons` into `work` without ever overwriting what a learner changed.

    The state file holds the hash of every file as it was copied. A file that still has its hash
    is unchanged and follows the release. A changed one stays; a release newer than the one it
    came from lands beside it as `NAME.new.ipynb`.

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
        mine, known = file_hash(target), state.get(target.name)
        if mine is None:
            copied += 1
        elif mine == digest(release):
            pass
        elif mine == known:
            refreshed += 1
        else:  # changed by the learner
            if digest(release) not in (known, state.get(f"{lesson} offered")):
                beside = place_beside(work, lesson, release, state)
                state[f"{lesson} offered"] = digest(release)
                messages.append(f"you changed {target.name}; the newer release is {beside}")
            continue
        if mine != digest(release):
            write(target, release)
        state[target.name] = digest(release)
    if json.dumps(state) != before:
        write(work / STATE, json.dumps(state, indent=1).encode())
    if refreshed:
        which = (
            "lesson replaced by a newer one" if refreshed == 1 else "lessons replaced by newer ones"
        )
        messages.insert(0, f"{refreshed} unchanged {which}")
    if copied:
        messages.insert(0, f"{copied} lesson{'s' * (copied > 1)} copied into {work.name}/")
    return messages


def place_beside(work: Path, lesson: str, release: bytes, state: dict[str, str]) -> str:
    """Write `release` under the first name that holds nothing of the learner's."""
    for name in names_beside(lesson):
        mine = file_hash(work / name)
        if mine in (None, digest(release), state.get(name)):
            write(work / name, release)
            state[name] = digest(release)
            return name
    raise AssertionError("names_beside never ends")


def names_beside(lesson: str) -> Iterator[str]:
    number = 1
    while True:
        yield f"{lesson}.new{number if number > 1 else ''}.ipynb"
        number += 1


def read_state(work: Path) -> dict[str, str]:
    """The state file; empty if missing or unreadable, so that every file counts as changed."""
    try:
        state = json.loads((work / STATE).read_text(encoding="utf-8"))
        return state if isinstance(state, dict) else {}
    except (OSError, ValueError):
        return {}


def write(path: Path, content: bytes) -> None:
    """Write all of it or nothing."""
    scratch = path.with_name(f".{path.name}.tmp")
    scratch.write_bytes(content)
    os.replace(scratch, path)


def file_hash(path: Path) -> str | None:
    return digest(path.read_bytes()) if path.exists() else None


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
