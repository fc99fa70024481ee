"""`attnfuse lab`: copy the lessons into a working folder and start JupyterLab on the first one."""

import contextlib
import errno
import importlib.util
import os
import socket
import subprocess
import sys
import webbrowser
from collections.abc import Iterable
from pathlib import Path

from .released import released_lessons
from .work import copy_lessons

CONFIG = Path(__file__).resolve().parent / "jupyter_config"
DEFAULT_PORT = 8888
FIRST = "lab/tree/00_start_here.ipynb"


class LabError(Exception):
    """A reason not to start, in one line."""


def lab(folder: str | Path = "work", port: int | None = None, browser: bool = True) -> int:
    """Copy the lessons into `folder`, then become JupyterLab, unless one already runs there."""
    if importlib.util.find_spec("jupyterlab") is None:
        raise LabError(
            'JupyterLab is not installed here; install it with: pip install "jupyterlab>=4.4"'
        )
    work = Path(folder).resolve()
    try:
        lessons = released_lessons()
    except FileNotFoundError as problem:
        raise LabError(str(problem)) from None
    try:
        messages = copy_lessons(lessons, work)
    except OSError as problem:
        raise LabError(f"cannot write to {folder}/: {problem.strerror}") from None
    messages.append(f"your notebooks are in {work}")
    trust(work, lessons.values())
    if address := running_server(work):
        messages.append(f"JupyterLab already runs there: {address}")
        tell(messages)
        if browser:
            webbrowser.open(address)
        return 0
    free = choose_port(port)
    if port is None and free != DEFAULT_PORT:
        messages.append(f"port {DEFAULT_PORT} is taken; using {free}")
    messages.append(f"JupyterLab starts on port {free}; Ctrl-C twice stops it")
    tell(messages)
    command = jupyter_command(work, free, browser)
    if os.name == "nt":
        return subprocess.call(command, env=environment())
    os.execve(command[0], command, environment())


def tell(messages: list[str]) -> None:
    for message in messages:
        print(f"attnfuse: {message}", flush=True)


def running_server(work: Path) -> str | None:
    """The address of the first lesson on a Jupyter server that already runs on this folder."""
    from jupyter_server.serverapp import list_running_servers

    for server in list_running_servers():
        folder = Path(server.get("root_dir", "/"))
        if folder.resolve() == work and not is_free(server["port"]):
            token = f"?token={server['token']}" if server.get("token") else ""
            return f"{server['url']}{FIRST}{token}"
    return None


def trust(work: Path, releases: Iterable[Path]) -> None:
    """Sign the lessons that are just as released, so that Jupyter does not call them untrusted."""
    import sqlite3

    from jupyter_core.paths import jupyter_data_dir
    from nbformat import NO_CONVERT, read
    from nbformat.sign import NotebookNotary

    data = Path(jupyter_data_dir())
    with contextlib.suppress(OSError, sqlite3.Error):  # then Jupyter says "not trusted", no more
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        notary = NotebookNotary(data_dir=str(data))
        try:
            for release in releases:
                if (work / release.name).read_bytes() == release.read_bytes():
                    notary.sign(read(release, NO_CONVERT))
        finally:
            notary.close()


def jupyter_command(work: Path, port: int, browser: bool) -> list[str]:
    command = [sys.executable, "-m", "jupyterlab", "--log-level=WARN"]
    command += [f"--ServerApp.root_dir={work}", f"--port={port}", "--ServerApp.port_retries=0"]
    command.append(
        f"--ServerApp.tornado_settings={dict(static_custom_path=[str(CONFIG / 'custom')])}"
    )
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
    folders = [str(CONFIG), os.environ.get("JUPYTER_CONFIG_PATH")]
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
