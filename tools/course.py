"""`make course DIR=...`: lay the lessons out as an nbgrader course.

nbgrader wants a folder per assignment. This writes DIR/source and DIR/release from solutions/ and
notebooks/, a configuration and a README. Run again it refreshes those and nothing else:
submissions, grades and a changed configuration stay.
"""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MARK = "# A course laid out by attnfuse's tools/course.py."
README = """\
# The attnfuse course, for nbgrader

Run the commands in this folder, in a terminal that finds attnfuse's environment first:

```
export PATH="{programs}:$PATH"
```

One lesson is one assignment; `{example}` stands for any of them.

1. **Release**: `nbgrader generate_assignment {example} --force` registers the lesson in the
   gradebook and writes `release/{example}/`. Give that folder to the class.
   Students install the course by `make lab` or with pip; no file but the notebook is needed.
2. **Collect**: put each notebook at `submitted/STUDENT/{example}/{example}.ipynb`.
   `nbgrader zip_collect --help` says how to unpack what a learning platform hands you.
3. **Grade**: `nbgrader autograde {example}`, then `nbgrader generate_feedback {example}`: pages for
   `feedback/STUDENT/{example}/` that name the exercises and show formulas without a network.
   attnfuse must be importable where you grade, else every score is 0.
4. **Scores**: `nbgrader export` writes `grades.csv`.

**Formgrader**, the same in a browser: run `jupyter lab` in this folder and choose *Nbgrader >
Formgrader* in the menu. (`attnfuse lab` is for students and hides nbgrader.) If there is no such
menu: `jupyter server extension enable --sys-prefix --py nbgrader` and
`jupyter labextension enable --level=sys_prefix @jupyter/nbgrader`, then start again.

**Exchange**: steps 1 to 4 need none. `nbgrader release_assignment`, `list`, `fetch_assignment`,
`submit`, `collect`, `release_feedback`, and formgrader's buttons for them, move files through a
folder that teacher and students share on one machine (a JupyterHub). To use them, set
`c.Exchange.root` in `nbgrader_config.py` to a folder that all may write to.

`source/` and `release/` are overwritten by the next `make course`: change a lesson in
`solutions/*.py` of the attnfuse repository. Settings are in `nbgrader_config.py`; yours are kept.

Grading runs the students' code on this machine as you. Grade classes you do not know in a
container or a virtual machine.

Lessons: {lessons}
"""


class CourseError(Exception):
    """A reason not to write, in one line."""


def make_course(folder: Path, root: Path = ROOT, course_id: str = "attnfuse") -> list[str]:
    """Write or refresh a course in `folder`; returns the names of its lessons."""
    config = folder / "nbgrader_config.py"
    if folder.exists() and not folder.is_dir():
        raise CourseError(f"{folder} is a file")
    ours = config.exists() and MARK in config.read_text(encoding="utf-8")
    if folder.is_dir() and any(folder.iterdir()) and not ours:
        raise CourseError(f"{folder} is not empty and not an attnfuse course; nothing written")
    lessons = sorted(path.stem for path in (root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not lessons:
        raise CourseError("no lessons in notebooks/; run `make build` first")
    for lesson in lessons:
        solved = read(root / "solutions" / f"{lesson}.ipynb")
        released = read(root / "notebooks" / f"{lesson}.ipynb")
        for stage, notebook in (("source", source(solved, released)), ("release", released)):
            write(folder / stage / lesson / f"{lesson}.ipynb", as_json(cleared(notebook)))
    settings = (root / "nbgrader_config.py").read_text(encoding="utf-8")
    settings = f'{MARK}\n{settings.rstrip()}\n\nc.CourseDirectory.course_id = "{course_id}"\n'
    if not config.exists() or config.read_text(encoding="utf-8") == settings:
        write(config, settings)
    else:
        write(folder / "nbgrader_config.new.py", settings)
        print("nbgrader_config.py differs from ours and was kept; ours: nbgrader_config.new.py")
    write(folder / "README.md", readme(lessons))
    return lessons


def readme(lessons: list[str]) -> str:
    programs = Path(sys.executable).parent
    return README.format(example=lessons[-1], lessons=", ".join(lessons), programs=programs)


def source(solved: dict, released: dict) -> dict:
    """The notebook nbgrader releases from: the release itself, with the answers to be cut out.

    nbgrader cuts out answers only. The rest (what quiz cells say, which cells may raise) is
    therefore taken from the release.
    """
    cells = []
    for answered, cell in zip(solved["cells"], released["cells"], strict=True):
        if "nbgrader" in answered["metadata"]:
            metadata = cell["metadata"] | {"nbgrader": answered["metadata"]["nbgrader"]}
            cell = cell | {"source": answered["source"], "metadata": metadata}
        cells.append(cell)
    return released | {"cells": cells}


def cleared(notebook: dict) -> dict:
    """Without outputs, attachments and widget state: nbgrader would release those."""
    notebook["metadata"].pop("widgets", None)
    for cell in notebook["cells"]:
        cell.pop("attachments", None)
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    return notebook


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def as_json(notebook: dict) -> str:
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dir", help="a new or empty folder, or a course made before")
    parser.add_argument("--course-id", default="attnfuse")
    options = parser.parse_args()
    if not options.dir:
        parser.error("name a folder: make course DIR=my_course")
    folder = Path(options.dir)
    try:
        lessons = make_course(folder, course_id=options.course_id)
    except (CourseError, OSError) as problem:
        print(f"make course: {problem}", file=sys.stderr)
        return 1
    print(f"{folder}: {len(lessons)} lessons; read {folder / 'README.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
