"""The lessons as they are handed out: in the wheel, or in the repository around this package."""

import ast
import hashlib
import json
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def released_lessons() -> dict[str, Path]:
    """The released notebooks, as lesson name -> path, in the order of the course.

    Raises:
        FileNotFoundError: if neither the package nor the repository has any.
    """
    for folder in (PACKAGE / "lessons", PACKAGE.parent / "notebooks"):
        found = {path.stem: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
        if found:
            return found
    raise FileNotFoundError("no lessons found: neither in the package nor in notebooks/")


class Malformed(ValueError):
    """Why a file is no notebook that can be run, in a few words."""


def code_cells(notebook: dict) -> list[dict]:
    """The code cells of a notebook read from JSON, each with its `source` as one string.

    Raises:
        Malformed: if it is no notebook, or Python cannot hold a cell's text; the message names the cell.
    """
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise Malformed("not a notebook: it has no list of cells")
    return [
        _code_cell(cell, number)
        for number, cell in enumerate(cells, start=1)
        if _is_code(cell, number)
    ]


def _is_code(cell, number: int) -> bool:
    if not isinstance(cell, dict):
        raise Malformed(f"cell {number} is no cell")
    return cell.get("cell_type") == "code"


def _code_cell(cell: dict, number: int) -> dict:
    lines = cell.get("source", "")
    lines = [lines] if isinstance(lines, str) else lines
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise Malformed(f"the source of cell {number} is no text")
    if not isinstance(cell.get("metadata", {}), dict):
        raise Malformed(f"the metadata of cell {number} is no table of names")
    source = "".join(lines)
    try:
        source.encode("utf-8")
        ast.parse(source)
    except UnicodeEncodeError:
        raise Malformed(f"cell {number} holds half a character (a lone surrogate)") from None
    except (RecursionError, MemoryError):
        raise Malformed(f"cell {number} is nested too deeply for Python") from None
    except (SyntaxError, ValueError):
        pass  # it will say so itself when it runs
    return cell | {"source": source}


def find_check(cell: dict) -> tuple[str, str, bool] | None:
    """What a code cell checks: `(exercise, expression of the candidate, nothing else in it)`.

    None if the cell has no line `check("name", candidate)`.
    """
    try:
        statements = ast.parse(cell["source"]).body
    except SyntaxError:
        return None
    for statement in statements:
        match statement:
            case ast.Expr(
                value=ast.Call(
                    func=ast.Name(id="check"),
                    args=[ast.Constant(value=str(name)), candidate, *_],
                )
            ):
                return name, ast.unparse(candidate), len(statements) == 1
    return None


def release_checks(path: Path) -> dict[str, str]:
    """The check cells of a released notebook, in order: exercise -> expression of the candidate."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    checks = (find_check(cell) for cell in code_cells(notebook))
    return {name: candidate for name, candidate, _ in filter(None, checks)}


def work_digest(content: bytes) -> str:
    """A hash of what a learner can change in a notebook: kind, text and pasted files of its cells.

    Opening, running and saving change outputs and metadata, which do not count. What is no
    notebook is hashed as it is.
    """
    try:
        cells = [
            [cell["cell_type"], "".join(cell["source"]), cell.get("attachments") or {}]
            for cell in json.loads(content)["cells"]
        ]
        content = json.dumps(cells, sort_keys=True).encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return hashlib.sha256(content).hexdigest()
