"""Print run times and sizes: medians, beside their limits and what the titles of lessons say."""

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
WORDS_A_MINUTE = 150  # of text and code
sys.path.insert(0, str(ROOT / "tests"))


def median(action, times: int = 3) -> float:
    """Seconds of the median run."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def row(what: str, value: str, limit: str, said: str = "") -> None:
    print(f"{what:<44} {value:>12} {limit:>12} {said:>12}".rstrip(), flush=True)


def minutes(lesson) -> float:
    """To read the lesson's text and to solve the exercises that carry points."""
    words = sum(len(cell.source.split()) for cell in build.notebook(lesson).cells)
    solving = (x.minutes for x in EXERCISES.values() if x.lesson == lesson.slug and x.points)
    return words / WORDS_A_MINUTE + sum(solving)


def latencies(exercise) -> dict[str, float]:
    """Seconds to judge a right answer, one with a slip, and one that no slip explains."""
    from answer_process import a_little_off, off_value
    from test_kill_matrix import right_answers

    right = right_answers(exercise)[-1]
    off = (off_value if exercise.value else a_little_off)(right)
    slip = next(iter(exercise.wrong_answers().values()))
    exercise.judge(right, 0)
    answers = {"passed": right, "a slip": slip, "no slip": off}
    return {name: median(lambda a=answer: exercise.judge(a, 0)) for name, answer in answers.items()}


def checks() -> None:
    """Latencies of the checks: the median exercise and the slowest, with NumPy and with Keras."""
    found: dict[bool, dict[str, dict[str, float]]] = {False: {}, True: {}}
    for exercise in EXERCISES.values():
        in_keras = exercise.run is not None
        for name, seconds in latencies(exercise).items():
            found[in_keras].setdefault(name, {})[exercise.name] = seconds
    for in_keras, kinds in found.items():
        for name, rows in kinds.items():
            slowest = max(rows, key=rows.get)
            what = f"check, {'Keras' if in_keras else 'NumPy'}, {name}"
            row(f"{what}: median", f"{1000 * statistics.median(rows.values()):.0f} ms", "")
            limit = "1000 ms" if in_keras else "100 ms"
            row(
                f"  slowest: {slowest}",
                f"{1000 * rows[slowest]:.0f} ms",
                limit * (name == "passed"),
            )


def main() -> int:
    row("what", "median", "limit", "title says")
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
        limit, front = "120 s" if lesson.front["keras"] else "45 s", lesson.front
        row(f"run {lesson.slug}", f"{seconds:.1f} s", limit, f"{front['seconds']} s")
        row("  to read and solve", f"{minutes(lesson):.0f} min", "", f"{front['minutes']} min")
    return 0


if __name__ == "__main__":
    sys.exit(main())
