"""`attnfuse lab`: JupyterLab really starts, once for a folder, or one line says why not."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import pytest
import websocket

from attnfuse import lab
from attnfuse.cli import main
from attnfuse.released import released_lessons

# Reasons not to start: one line each


@contextmanager
def taken_port():
    with socket.socket() as server:
        server.bind(("localhost", 0))
        server.listen()
        yield server.getsockname()[1]


def one_line(capsys) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("attnfuse lab: ")
    return line


def test_an_asked_port_that_is_taken(tmp_path, capsys):
    with taken_port() as port:
        assert main(["lab", "--dir", str(tmp_path), "--port", str(port), "--no-browser"]) == 1
    assert f"port {port} is taken" in one_line(capsys)


def test_the_default_port_taken_means_the_next_free_one(tmp_path, capsys, monkeypatch):
    started = []
    monkeypatch.setattr(os, "execve", lambda path, command, env: started.extend(command))
    with taken_port() as port:
        monkeypatch.setattr(lab, "DEFAULT_PORT", port)
        main(["lab", "--dir", str(tmp_path), "--no-browser"])
    (used,) = (int(word.split("=")[1]) for word in started if word.startswith("--port="))
    assert used > port
    assert f"port {port} is taken; using {used}\n" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "work").write_text("a file, not a folder")
    assert main(["lab", "--dir", str(tmp_path / "work")]) == 1
    assert "cannot write to" in one_line(capsys)


def test_a_folder_that_cannot_be_made(tmp_path, capsys, monkeypatch):
    def refuse(*_, **__):  # as /proc does
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    assert main(["lab", "--dir", "nowhere"]) == 1
    assert "cannot write to nowhere/: No such file or directory" in one_line(capsys)


def test_a_folder_without_permission(tmp_path, capsys, monkeypatch):
    def refuse(path, content):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("attnfuse.work.write", refuse)
    assert main(["lab", "--dir", str(tmp_path / "work")]) == 1
    assert "Permission denied" in one_line(capsys)


def test_jupyterlab_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["lab", "--dir", str(tmp_path)]) == 1
    assert "JupyterLab is not installed" in one_line(capsys)


@pytest.mark.parametrize("port", ["0", "70000", "x"])
def test_a_port_that_is_none(port, capsys):
    with pytest.raises(SystemExit):
        main(["lab", "--port", port])


def test_a_server_that_runs_on_the_folder_is_found_and_no_second_one_started(
    tmp_path, capsys, monkeypatch
):
    work, opened = tmp_path / "work", []
    with taken_port() as port:
        gone = {"root_dir": str(work), "url": "http://localhost:1/", "port": 1, "token": "x"}
        elsewhere = {"root_dir": str(tmp_path), "url": "http://other/", "port": port, "token": "x"}
        here = {
            "root_dir": str(work),
            "url": f"http://localhost:{port}/",
            "port": port,
            "token": "abc",
        }
        monkeypatch.setattr(
            "jupyter_server.serverapp.list_running_servers", lambda: [gone, elsewhere, here]
        )
        monkeypatch.setattr("webbrowser.open", opened.append)
        monkeypatch.setattr(os, "execve", None)
        assert main(["lab", "--dir", str(work)]) == 0
    address = f"http://localhost:{port}/lab/tree/00_start_here.ipynb?token=abc"
    assert opened == [address]
    printed = capsys.readouterr().out
    assert f"attnfuse: your notebooks are in {work}\n" in printed
    assert f"already runs there: {address}\n" in printed


# For real


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A running `attnfuse lab`: its address and token."""
    folder = tmp_path_factory.mktemp("learner")
    with taken_port() as port:
        pass
    command = [sys.executable, "-m", "attnfuse.cli", "lab", "--no-browser", "--port", str(port)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    for kind in ("CONFIG", "DATA", "RUNTIME"):  # nothing of this user's, and nothing left behind
        environment[f"JUPYTER_{kind}_DIR"] = str(folder / kind.lower())
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        for _ in range(600):
            found = re.search(r"http://localhost:(\d+)(\S*)\?token=(\w+)", log.read_text())
            if found or process.poll() is not None:
                break
            time.sleep(0.1)
        assert found, log.read_text()
        assert found[2] == "/lab/tree/00_start_here.ipynb"
        yield f"localhost:{found[1]}", found[3]
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert re.findall(r"(?m)^\[[WE] .*", log.read_text()) == []  # no warning that is none


def call(server, path: str, post: dict | None = None):
    address, token = server
    request = urllib.request.Request(
        f"http://{address}/{path}",
        data=json.dumps(post).encode() if post is not None else None,
        headers={"Authorization": f"token {token}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode()


@pytest.mark.slow
def test_the_lessons_are_listed(server):
    listed = json.loads(call(server, "api/contents"))["content"]
    assert {entry["name"] for entry in listed} >= {f"{name}.ipynb" for name in released_lessons()}


@pytest.mark.slow
def test_the_page_asks_the_network_for_nothing_and_shows_no_teachers_tools(server):
    page = call(server, "lab/tree/00_start_here.ipynb")
    assert '"news": {"disabled": true}' in page
    (disabled,) = re.findall(r'"disabledExtensions": \[(.*?)\]', page)
    assert "@jupyter/nbgrader" in disabled
    assert "@jupyterlab/apputils-extension:announcements" in disabled


@pytest.mark.slow
def test_a_lessons_cells_run_through_the_kernel_api(server):
    lesson = json.loads(call(server, "api/contents/00_start_here.ipynb"))["content"]
    sources = [cell["source"] for cell in lesson["cells"] if cell["cell_type"] == "code"]
    kernel = json.loads(call(server, "api/kernels", post={"name": "python3"}))
    address, token = server
    channel = websocket.create_connection(
        f"ws://{address}/api/kernels/{kernel['id']}/channels?token={token}&session_id=test",
        timeout=60,
    )
    try:
        for source in sources[:3]:
            status, printed = execute(channel, source)
            assert status == "ok", printed
        assert "18.67" in printed  # the plain average of the three thermometers
        which = execute(channel, "import sys, attnfuse; print(sys.prefix)")
        assert which == ("ok", sys.prefix + "\n")  # this environment's Python, no other kernel's
    finally:
        channel.close()


def execute(channel, source: str) -> tuple[str, str]:
    """Run source; its status and what it printed."""
    content = {"code": source, "silent": False, "allow_stdin": False}
    content |= {"store_history": True, "user_expressions": {}}
    identity = f"{time.monotonic_ns()}"
    header = {"msg_id": identity, "msg_type": "execute_request", "session": "test"}
    header |= {"username": "test", "version": "5.3", "date": "2026-01-01T00:00:00Z"}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
    channel.send(json.dumps(message | {"channel": "shell", "buffers": []}))
    printed, status, idle = "", None, False
    while status is None or not idle:
        reply = json.loads(channel.recv())
        if reply["parent_header"].get("msg_id") != identity:
            continue
        kind, content = reply["header"]["msg_type"], reply["content"]
        if kind == "execute_reply":
            status = content["status"]
        elif kind == "stream":
            printed += content["text"]
        elif kind == "status":
            idle = content["execution_state"] == "idle"
    return status, printed
