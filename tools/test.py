"""Everything CI runs, in order; stops at the first failure and says how long each step took.

By default each lesson runs in full once (solved, in tests/test_lessons.py) and the other rounds are
quick; `--full` runs every round in full, for every lesson.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import browser
import colab

ROOT = Path(__file__).resolve().parent.parent
PYTEST = [sys.executable, "-m", "pytest"]


def steps(full: bool) -> list[tuple[str, list[str], dict[str, str]]]:
    """Name, command, and what is added to the environment."""
    rounds = {"ATTNFUSE_TEST_FULL": "1"} if full else {}
    two = ["-n", "2", "--dist", "worksteal"]
    on_colab = [sys.executable, "tools/colab.py", "--if-present", *(["--full"] if full else [])]
    return [
        ("lint", [sys.executable, "-m", "ruff", "check", "."], {}),
        ("format", [sys.executable, "-m", "ruff", "format", "--check", "."], {}),
        ("drift", [sys.executable, "tools/build.py", "--check"], {}),
        ("tests", [*PYTEST, "tests", *two, "--durations=10"], rounds),
        ("colab", on_colab, {}),
    ]


def left_out() -> list[str]:
    """What this machine cannot test, and why."""
    parts = []
    if lacking := browser.missing():
        parts.append(f"the first lesson in a browser, for want of {' and '.join(lacking)}")
    if colab.python_313() is None:
        parts.append("Colab's versions, as there is no Python 3.13")
    return parts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="every round in full")
    options = parser.parse_args()
    environment = {k: v for k, v in os.environ.items() if k != "ATTNFUSE_QUICK"}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    times = []
    for name, command, added in steps(options.full):
        print(f"\n=== {name}", flush=True)
        start = time.perf_counter()
        code = subprocess.call(command, cwd=ROOT, env=environment | added)
        times.append(f"{name} {time.perf_counter() - start:.0f} s")
        if code:
            print(f"\n{name} failed ({', '.join(times)})")
            return code
    print(f"\nall steps passed: {', '.join(times)}")
    for part in left_out():
        print(f"NOT TESTED: {part}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
