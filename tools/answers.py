"""Judge a folder of answers that learners wrote: how many right ones pass, wrong ones fail, are named.

The folder holds `EXERCISE/right_*.py` and `EXERCISE/wrong_*.py`, each a complete answer cell, run after
the cells of the lesson that import and set up. A first comment line says how it is written or what
is wrong with it.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import build
from tqdm import tqdm

from attnfuse.exercises import EXERCISES
from attnfuse.released import release_checks, released_lessons

SEEDS = 3


def setup(lesson: str) -> dict:
    """The names that a lesson's setup cells define."""
    names = {"__name__": "__main__"}
    for cell in build.read(build.ROOT / "solutions" / f"{lesson}.py").cells:
        if cell.marks.get("setup"):
            exec(compile(cell.source, f"<{lesson}>", "exec"), names)
    return names


def judge(path: Path, names: dict, expression: str, exercise) -> dict:
    """The verdicts on one answer: passed on all seeds, and what the first failure said."""
    text = path.read_text(encoding="utf-8")
    report = {
        "exercise": exercise.name,
        "file": path.name,
        "mistake": text.splitlines()[0].lstrip("# "),
    }
    try:
        given = dict(names)
        exec(compile(text, str(path), "exec"), given)
        candidate = eval(expression, given)
    except Exception as error:
        return report | {"passed": False, "found": None, "message": f"cell raises {error!r}"}
    for seed in range(SEEDS):
        verdict = exercise.judge(candidate, seed)
        if not verdict.passed:
            break
    return report | {
        "passed": verdict.passed,
        "found": verdict.misconception,
        "message": verdict.message,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lesson", help="such as 02; all by default")
    parser.add_argument("--exercise")
    parser.add_argument("--json", type=Path, help="write every verdict there")
    options = parser.parse_args()
    reports = []
    for lesson, notebook in released_lessons().items():
        if options.lesson and not lesson.startswith(options.lesson):
            continue
        names = None
        for name, expression in release_checks(notebook).items():
            files = sorted((options.folder / name).glob("*.py"))
            if not files or (options.exercise and name != options.exercise):
                continue
            names = names or setup(lesson)
            for path in tqdm(files, desc=name, leave=False, file=sys.stderr):
                reports.append(judge(path, names, expression, EXERCISES[name]))
    if options.json:
        options.json.write_text(json.dumps(reports, indent=1, ensure_ascii=False))
    count: dict[str, Counter] = {}
    for report in reports:
        kind = report["file"].split("_")[0]
        for key in (report["exercise"], "all"):
            row = count.setdefault(key, Counter())
            row[kind] += 1
            row[f"{kind} accepted"] += report["passed"]
            row[f"{kind} named"] += bool(report["found"])
    print(f"{'exercise':<24} right accepted  wrong rejected  named")
    total = count.pop("all")
    for name, row in [*count.items(), ("all", total)]:
        wrong = row["wrong"]
        print(
            f"{name:<24} {row['right accepted']:>6}/{row['right']:<6}  {wrong - row['wrong accepted']:>6}/{wrong:<6}"
            f"  {row['wrong named']:>4}/{wrong}"
        )
    for report in reports:
        if report["passed"] != report["file"].startswith("right"):
            print(f"{report['exercise']}/{report['file']}: {report['mistake']}")
            if not report["passed"]:
                print("    " + report["message"].replace("\n", "\n    "))
    return 0


if __name__ == "__main__":
    sys.exit(main())
