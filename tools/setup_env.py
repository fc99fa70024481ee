"""Make .venv from requirements.lock: the first thing `make lab` and `make test` do.

Standard library only. The syntax is plain enough for very old Pythons, so that a
wrong version ends in one clear line and not in a SyntaxError.
"""

# ruff: noqa: B904, RUF005, UP010, UP031
from __future__ import print_function

import hashlib
import os
import shutil
import subprocess
import sys
import time

OLDEST, NEWEST = (3, 11), (3, 13)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WINDOWS = os.name == "nt"
NO_NETWORK = (
    "NewConnectionError",
    "NameResolutionError",
    "Temporary failure in name resolution",
    "Failed to establish a new connection",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "Network is unreachable",
    "ProxyError",
)


class SetupError(Exception):
    """A reason to stop, in one line."""


def main():
    try:
        if OLDEST <= tuple(sys.version_info[:2]) <= NEWEST:
            set_up(ROOT)
            return 0
        python = other_python()
        if python is None:
            raise SetupError(wrong_version(sys.version_info))
        return subprocess.call([python, os.path.abspath(__file__)])
    except SetupError as problem:
        print("attnfuse set-up: " + str(problem), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nattnfuse set-up: stopped; run it again to go on.", file=sys.stderr)
        return 130


def set_up(root):
    """Create or refresh `root/.venv`; nothing to do if its stamp is current."""
    venv = os.path.join(root, ".venv")
    python = venv_python(venv)
    stamp = os.path.join(venv, "attnfuse.stamp")
    wanted = fingerprint(root)
    if os.path.exists(python) and read(stamp) == wanted:
        return
    start = time.time()
    usable = is_usable(venv)
    say("setting up .venv with Python %d.%d (once; some minutes)" % tuple(sys.version_info[:2]))
    if not usable:
        create(venv)
    log = os.path.join(venv, "attnfuse-setup.log")
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    run_pip(pip + ["-r", os.path.join(root, "requirements.lock")], log)
    run_pip(pip + ["--no-deps", "-e", root], log)
    with open(stamp, "w") as file:
        file.write(wanted)
    say("ready after %d s" % (time.time() - start))


def fingerprint(root):
    """What the environment depends on: the two files, this Python, this folder."""
    digest = hashlib.sha256(root.encode("utf-8"))
    for name in ("requirements.lock", "pyproject.toml"):
        try:
            with open(os.path.join(root, name), "rb") as file:
                digest.update(file.read())
        except OSError:
            raise SetupError("%s is missing; is the checkout complete?" % name)
    return digest.hexdigest()


def is_usable(venv):
    """Whether `venv` has a supported Python and pip; if not, an empty folder takes its place."""
    python = venv_python(venv)
    try:
        if version_of(python) and subprocess.call([python, "-c", "import pip"]) == 0:
            probe = os.path.join(venv, ".attnfuse-write-test")
            open(probe, "w").close()
            os.remove(probe)
            return True
        if os.path.isdir(venv):
            shutil.rmtree(venv)
        os.mkdir(venv)
        return False
    except OSError as problem:
        raise SetupError("no permission to write %s (%s)" % (venv, problem.strerror))


def create(venv):
    """A new environment of this Python in the empty folder `venv`."""
    if subprocess.call([sys.executable, "-c", "import venv, ensurepip"], stderr=subprocess.PIPE):
        raise SetupError(
            "this Python has no venv module; on Debian and Ubuntu: "
            "sudo apt install python%d.%d-venv" % tuple(sys.version_info[:2])
        )
    command = [sys.executable, "-m", "venv", venv]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = decode(job.communicate()[0]).strip()
    if job.returncode:
        raise SetupError("could not create .venv: " + output.splitlines()[-1])


def run_pip(command, log):
    """Run pip with one status line; its full output goes to `log`."""
    lines = []
    with open(log, "a") as file:
        job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for raw in job.stdout:
            line = decode(raw).rstrip()
            file.write(line + "\n")
            lines.append(line)
            status(line)
        job.wait()
    status(None)
    if job.returncode:
        raise SetupError("%s Details: %s" % (reason("\n".join(lines)), log))


def reason(output):
    """One sentence for a failed pip run."""
    for sign in NO_NETWORK:
        if sign in output:
            return "no network: pip could not reach the package index."
    if "No space left on device" in output:
        return "the disk is full (about 3 GB are needed)."
    if "Permission denied" in output:
        return "no permission to write into .venv."
    errors = [line for line in output.splitlines() if line.startswith("ERROR:")]
    return "pip failed: " + (errors[0][6:].strip() if errors else "no message.").rstrip(".") + "."


def status(line):
    """Show what pip is doing: one line that changes, or a few plain lines without a terminal."""
    terminal = sys.stderr.isatty()
    words = (line or "").split()
    if line is None:
        if terminal:
            sys.stderr.write("\r" + " " * 78 + "\r")
    elif line.startswith("Installing collected packages:") and len(words) > 4:
        sys.stderr.write(
            "\r" * terminal + ("  installing %d packages" % (len(words) - 3)).ljust(78)
        )
        sys.stderr.write("" if terminal else "\n")
    elif terminal and words and words[0] in ("Collecting", "Downloading"):
        sys.stderr.write("\r" + ("  " + " ".join(words[:2]))[:77].ljust(78))
    sys.stderr.flush()


def other_python():
    """A supported Python elsewhere on PATH, or None."""
    for minor in range(OLDEST[1], NEWEST[1] + 1):
        commands = [("python3.%d" % minor,)] + [("py", "-3.%d" % minor)] * WINDOWS
        for command in commands:
            python = version_of(*command)
            if python is not None:
                return python
    return None


def version_of(*command):
    """The path of the Python behind `command` if it runs and is supported, else None."""
    code = "import sys; print(sys.version_info[0], sys.version_info[1], sys.executable)"
    try:
        job = subprocess.Popen(
            list(command) + ["-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        major, minor, path = decode(job.communicate()[0]).strip().split(" ", 2)
        supported = OLDEST <= (int(major), int(minor)) <= NEWEST
    except (OSError, ValueError):
        return None
    return path if supported else None


def wrong_version(version):
    return (
        "attnfuse needs Python %d.%d to %d.%d; this is Python %d.%d and no other was found on PATH."
        % (OLDEST + NEWEST + tuple(version[:2]))
    )


def venv_python(venv):
    return os.path.join(venv, *(("Scripts", "python.exe") if WINDOWS else ("bin", "python")))


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return None


def decode(raw):
    return raw.decode("utf-8", "replace")


def say(text):
    print("attnfuse set-up: " + text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
