"""Run every lesson as Colab would: Python 3.13, Colab's versions, only the wheel, an empty folder.

    python tools/colab.py [--full] [--if-present] [LESSON ...]

Each lesson runs twice: as released (only try-it and check cells may raise) and solved (no cell
may). Quick unless --full. The environment is kept in .venv-colab between runs.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-colab"
CONSTRAINTS = ROOT / "tests" / "colab_constraints.txt"
# What Colab has of what the course uses; the wheel must add to it without changing it.
WATCHED = ["numpy", "tensorflow", "keras", "matplotlib", "scikit-learn", "ipython"]
PREINSTALLED = [*WATCHED, "pandas", "pillow", "tqdm", "ipykernel", "nbclient"]

RUNNER = """
import sys, time, nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
notebook = nbformat.read(sys.argv[1], as_version=4)
start = time.monotonic()
try:
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": "."}}).execute()
    problem = ""
except CellExecutionError as error:
    problem = f"{error.ename}: {error.evalue}".split(chr(10))[0]
noise = [o for c in notebook.cells for o in c.get("outputs", []) if o.get("name") == "stderr"]
if noise and not problem:
    problem = "stderr: " + noise[0]["text"].strip().split(chr(10))[0]
print(f"{time.monotonic() - start:.1f}\\t{problem}")
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("lessons", nargs="*", help="default: all")
    parser.add_argument("--full", action="store_true", help="all data and seeds")
    parser.add_argument("--if-present", action="store_true", help="without Python 3.13, succeed")
    options = parser.parse_args()
    python = python_313()
    if python is None:
        print("Colab's versions: no Python 3.13 found; not run")
        return 0 if options.if_present else 1
    try:
        prepare(python)
    except subprocess.CalledProcessError as problem:
        print(f"colab: failed: {' '.join(problem.cmd)}\n{problem.stderr}", file=sys.stderr)
        return 1
    lessons = options.lessons or sorted(
        path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")
    )
    print(f"{'lesson':28} {'form':9} {'seconds':>7}  on Colab's versions, wheel only")
    forms = {"released": "notebooks", "solved": "solutions"}
    rounds = [(lesson, form) for lesson in lessons for form in forms]
    good = True
    # Two at a time; one in full, so that the seconds are those of a machine of its own.
    with ThreadPoolExecutor(1 if options.full else 2) as pool:
        paths = (ROOT / forms[form] / f"{lesson}.ipynb" for lesson, form in rounds)
        results = pool.map(lambda path: run_lesson(path, options.full), paths)
        for (lesson, form), (seconds, problem) in zip(rounds, results, strict=True):
            good &= not problem
            print(f"{lesson:28} {form:9} {seconds:>7}  {problem or 'ok'}", flush=True)
    return int(not good)


def python_313() -> str | None:
    """A Python 3.13 that runs: on PATH, or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = ["python3.13", *sorted(pyenv.glob("versions/3.13*/bin/python"), reverse=True)]
    for candidate in candidates:
        try:
            command = [candidate, "-c", "import sys; print(sys.version_info[:2] == (3, 13))"]
            if subprocess.run(command, capture_output=True, text=True).stdout.strip() == "True":
                return str(candidate)
        except OSError:
            continue
    return None


def prepare(python: str) -> None:
    """Colab's packages (kept until the constraints change), then a fresh wheel and only that."""
    stamp = VENV / "attnfuse.stamp"
    wanted = hashlib.sha256(CONSTRAINTS.read_bytes() + " ".join(PREINSTALLED).encode()).hexdigest()
    constrained = ["-qq", "--disable-pip-version-check", "-c", str(CONSTRAINTS)]
    if not stamp.exists() or stamp.read_text() != wanted:
        print("colab: installing Colab's versions into .venv-colab (once)", flush=True)
        shutil.rmtree(VENV, ignore_errors=True)
        run(python, "-m", "venv", VENV)
        run(venv_python(), "-m", "pip", "install", *constrained, *PREINSTALLED)
        stamp.write_text(wanted)
    with tempfile.TemporaryDirectory() as folder:
        build = ("-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
        run(sys.executable, *build)
        wheel = next(Path(folder).glob("attnfuse-*.whl"))
        size = wheel.stat().st_size
        run(venv_python(), "-m", "pip", "uninstall", "-qq", "-y", "attnfuse")
        run(venv_python(), "-m", "pip", "install", *constrained, wheel)
    pins, found = pinned(), versions()
    changed = [
        f"{name} {pins[name]} -> {found[name]}" for name in WATCHED if pins[name] != found[name]
    ]
    if changed:
        raise SystemExit(f"colab: installing the wheel changed {', '.join(changed)}")
    added = sorted(found.keys() - pins.keys() - {"attnfuse"})
    print(f"wheel {size / 1024:.0f} kB; new on Colab: {', '.join(added)}; nothing there changes")


def run_lesson(notebook: Path, full: bool) -> tuple[str, str]:
    """Seconds and the first problem ('' if none) of one notebook, run from an empty folder."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    environment.pop("PYTHONPATH", None)
    environment["ATTNFUSE_QUICK"] = "" if full else "1"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [venv_python(), "-c", RUNNER, notebook],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )
    if done.returncode:
        return "-", (done.stderr.strip().splitlines() or ["no message"])[-1]
    seconds, _, problem = done.stdout.rstrip("\n").splitlines()[-1].partition("\t")
    return seconds, problem


def pinned() -> dict[str, str]:
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    pins = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {normal(name): version for name, version in pins}


def versions() -> dict[str, str]:
    command = [venv_python(), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {normal(package["name"]): package["version"] for package in json.loads(listing)}


def normal(name: str) -> str:
    return name.lower().replace("_", "-")


def venv_python() -> Path:
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run(*command) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)


if __name__ == "__main__":
    sys.exit(main())
