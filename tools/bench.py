"""Print the run times and sizes the course holds itself to: medians, beside their limits."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import build

from attnfuse.exercises import EXERCISES

ROOT = build.ROOT
sys.path.insert(0, str(ROOT / "tests"))


def median(action, times: int = 3) -> float:
    """Seconds of the median run."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def row(what: str, value: str, limit: str) -> None:
    print(f"{what:<44} {value:>12} {limit:>12}", flush=True)


def checks() -> None:
    """The slowest check of each lesson, judging the solved answer in this process."""
    from test_kill_matrix import right_answers

    slowest: dict[str, tuple[float, str]] = {}
    for exercise in EXERCISES.values():
        answer = right_answers(exercise)[0]
        exercise.judge(answer)
        seconds = median(lambda e=exercise, a=answer: e.judge(a))
        slowest[exercise.lesson] = max(
            slowest.get(exercise.lesson, (0, "")), (seconds, exercise.name)
        )
    for lesson, (seconds, name) in slowest.items():
        keras = build.read(ROOT / "solutions" / f"{lesson}.py").front["keras"]
        row(
            f"slowest check of {lesson[:2]}: {name}",
            f"{1000 * seconds:.0f} ms",
            "1000 ms" if keras else "100 ms",
        )


def main() -> int:
    row("what", "median", "limit")
    code = "import time; t = time.perf_counter(); import attnfuse; print(time.perf_counter() - t)"
    imports = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
        for _ in range(5)
    ]
    row("import attnfuse", f"{statistics.median(imports):.3f} s", "0.2 s")
    checks()
    row("make check", f"{median(lambda: build.drift(build.all_lessons())):.1f} s", "15 s")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--no-isolation",
            "-o",
            folder,
            str(ROOT),
        ]
        subprocess.run(command, check=True, capture_output=True)
        size = next(Path(folder).glob("*.whl")).stat().st_size
    row("wheel", f"{size / 1e6:.2f} MB", "1 MB")
    size = sum(path.stat().st_size for path in (ROOT / "solutions").glob("*.ipynb"))
    row("solved notebooks together", f"{size / 1e6:.2f} MB", "5 MB")
    times = 1 if os.environ.get("CI") else 3
    for lesson in build.all_lessons():
        solved = build.notebook(lesson)
        seconds = median(lambda nb=solved: build.execute(nb), times)
        row(f"run {lesson.slug}", f"{seconds:.1f} s", "120 s" if lesson.front["keras"] else "45 s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
