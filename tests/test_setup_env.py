"""tools/setup_env.py: one clear line when it cannot, nothing to do when all is current."""

import ast
import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import setup_env

SCRIPT = Path(setup_env.__file__)
posix = pytest.mark.skipif(os.name == "nt", reason="fake interpreters are shell scripts")


@pytest.fixture
def checkout(tmp_path):
    """A copy of the script with a small lock, and a current .venv around this Python."""
    root = tmp_path / "checkout"
    (root / "tools").mkdir(parents=True)
    shutil.copy(SCRIPT, root / "tools")
    (root / "requirements.lock").write_text("numpy==2.0\n")
    (root / "pyproject.toml").write_text("[project]\n")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / ".venv"], check=True)
    (root / ".venv" / "attnfuse.stamp").write_text(setup_env.fingerprint(str(root)))
    return root


def run(root: Path, **environment) -> subprocess.CompletedProcess:
    command = [sys.executable, "-S", root / "tools" / "setup_env.py"]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=60
    )


def fake(path: Path, script: str) -> Path:
    """An executable shell script that plays a Python or its pip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_current_environment_is_left_alone_and_fast(checkout):
    start = time.perf_counter()
    done = run(checkout)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.perf_counter() - start < 2  # some 0.1 s; slack for a busy machine


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_the_stamp_follows_both_files_and_the_folder(checkout, name):
    before = setup_env.fingerprint(str(checkout))
    moved = checkout.with_name("moved")
    shutil.copytree(checkout, moved, symlinks=True)
    assert setup_env.fingerprint(str(moved)) != before
    with (checkout / name).open("a") as file:
        file.write("# changed\n")
    assert setup_env.fingerprint(str(checkout)) != before


@posix
def test_a_stale_environment_gets_the_lock_then_the_package_then_its_stamp(checkout):
    calls = checkout / "calls"
    pretend(checkout, f'echo "$@" >> {calls}')
    done = run(checkout)
    assert done.returncode == 0, done.stderr
    first, second = calls.read_text().splitlines()
    assert first.endswith(f"-r {checkout}/requirements.lock")
    assert second.endswith(f"--no-deps -e {checkout}")
    calls.unlink()
    assert run(checkout).returncode == 0
    assert not calls.exists()


@posix
@pytest.mark.parametrize(
    ("pip_says", "line"),
    [
        ("WARNING: Retrying after NewConnectionError('...')", "no network"),
        ("ERROR: No matching distribution found for numpy", "No matching distribution found"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
    ],
)
def test_a_failing_pip_ends_in_one_line_and_without_a_stamp(checkout, pip_says, line):
    pretend(checkout, f'echo "{pip_says}"; exit 1')
    done = run(checkout)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("attnfuse set-up: ")
    assert line in last
    assert "Traceback" not in done.stderr
    assert pip_says in (checkout / ".venv" / "attnfuse-setup.log").read_text()
    assert run(checkout).returncode == 1  # not taken for done


def pretend(checkout: Path, pip: str) -> None:
    """Make the checkout's environment stale, and its Python one that only plays pip."""
    (checkout / "requirements.lock").write_text("numpy==2.1\n")
    python = checkout / ".venv" / "bin" / "python"
    python.unlink()
    fake(python, f'if [ "$1" = -c ]; then exec {sys.executable} "$@"; fi\n{pip}')


def test_no_permission_to_write(checkout, monkeypatch):
    def refuse(path):
        raise OSError(errno.EACCES, "Permission denied")

    shutil.rmtree(checkout / ".venv")
    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(setup_env.SetupError, match=r"no permission to write .*Permission denied"):
        setup_env.set_up(str(checkout))


def test_an_incomplete_checkout(checkout):
    (checkout / "requirements.lock").unlink()
    done = run(checkout)
    assert done.returncode == 1
    assert "requirements.lock is missing" in done.stderr


# Python versions


@pytest.mark.parametrize("version", [(2, 7), (3, 6), (3, 10), (3, 14)])
def test_a_wrong_python_alone_is_told_so(version, monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (*version, 0, "final", 0))
    monkeypatch.setattr(setup_env, "other_python", lambda: None)
    assert setup_env.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"needs Python 3.11 to 3.13; this is Python {version[0]}.{version[1]}" in line


@posix
def test_a_wrong_python_hands_over_to_a_right_one_on_path(tmp_path, monkeypatch):
    fake(tmp_path / "python3.11", "echo 'pyenv: python3.11: command not found' >&2; exit 127")
    fake(tmp_path / "python3.12", 'echo "3 12 $0"')
    fake(tmp_path / "python3.13", "echo 3 10 /liar")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert setup_env.other_python() == str(tmp_path / "python3.12")
    (tmp_path / "python3.12").unlink()
    assert setup_env.other_python() is None


def old_pythons():
    """Old interpreters of this machine, to try the line for real."""
    places = Path.home().glob(".pyenv/versions/*/bin/python")
    return sorted(path for path in places if path.parts[-3].startswith(("2.7", "3.6", "3.10")))


@posix
def test_old_interpreters_say_it_in_one_line(tmp_path):
    for python in old_pythons():
        done = subprocess.run(
            [python, SCRIPT], env={"PATH": str(tmp_path)}, capture_output=True, text=True
        )
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert "attnfuse needs Python 3.11 to 3.13" in line


def test_the_syntax_stays_old():
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 4))
    modern = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.AsyncFunctionDef, ast.Nonlocal)
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, modern)] == []
    starred = [node for node in ast.walk(tree) if isinstance(node, ast.List | ast.Tuple)]
    assert not any(isinstance(item, ast.Starred) for node in starred for item in node.elts)
    annotated = [node for node in ast.walk(tree) if isinstance(node, ast.arg) and node.annotation]
    assert annotated == []
    assert all(node.cause is None for node in ast.walk(tree) if isinstance(node, ast.Raise))
