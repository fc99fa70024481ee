"""What a check cannot see in an object: that its cell is as it was released, or stopped half-way.

`watch()` follows the cells that this notebook's kernel runs (IPython's events), and does two things
with a cell before it runs: one whose answer is not written yet, or was never run, says so instead of
running, and in `quiz("id", b)` the letter gets its quotes. Outside IPython nothing is watched.
"""

import ast
import json
import re
import symtable
import sys
import traceback
from dataclasses import dataclass
from functools import cache

from attnfuse.released import code_cells, find_check, released_lessons

# What a cell would have bound, read off its lines where Python cannot read it.
_BINDS = re.compile(r"^(?:(?:async +)?def|class) +(\w+)|^(\w+(?: *, *\w+)*) *=(?!=)", re.M)


@dataclass(frozen=True)
class Trouble:
    """Why an answer must not be judged: its name, and what stopped its cell ("" if never written)."""

    name: str
    stopped: str = ""


class Watch:
    """Follows one kernel's cells; `unwritten` and `stopped` hold names of this moment."""

    def __init__(self, shell):
        self.shell = shell
        self.unwritten: set[str] = set()
        self.stopped: dict[str, str] = {}
        self.read: set[str] = set()  # by the running cell, from cells before it
        self._before: dict[str, object] = {}
        shell.events.register("pre_run_cell", self.pre_run_cell)
        shell.events.register("post_run_cell", self.post_run_cell)
        shell.ast_transformers.append(self)

    def pre_run_cell(self, info) -> None:
        self.read = set()
        names = bound(self.shell.transform_cell(info.raw_cell))
        self._before = {name: self.shell.user_ns.get(name) for name in names}

    def post_run_cell(self, result) -> None:
        if result.info is None:
            return
        source = self.shell.transform_cell(result.info.raw_cell)
        error = result.error_before_exec or result.error_in_exec
        for name in bound(source):
            if error and self.shell.user_ns.get(name) is self._before.get(name):
                self.stopped[name] = describe(error)
                continue
            self.stopped.pop(name, None)
            self.unwritten.discard(name)
            if not error and form(source) in stubs():
                self.unwritten.add(name)

    def visit(self, tree: ast.Module) -> ast.Module:
        """The tree that IPython runs instead of a cell's own."""
        quote_letters(tree)
        source = ast.unparse(tree)
        self.read = names_read(source)
        never = sorted(self.read & answer_names() - self.shell.user_ns.keys())
        missing = sorted(self.unwritten & self.read)
        if never:
            text = f"run the cell of {', '.join(never)} first"
        elif missing and not find_check({"source": source}):
            text = f"not written yet: {', '.join(missing)}"
        else:
            return tree
        stop = "__import__('attnfuse.feedback').feedback.stop"
        return ast.parse(f"{stop if find_check({'source': source}) else 'print'}({text!r})")

    def trouble(self, names) -> Trouble | None:
        for name in sorted(names):
            if name in self.stopped:
                return Trouble(name, self.stopped[name])
            if name in self.unwritten:
                return Trouble(name)
        return None


def watch() -> Watch | None:
    """This kernel's watch, begun at the first call; None outside IPython."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    shell = get_ipython()
    return _watch(shell) if shell else None


_watch = cache(Watch)


def trouble(names=None) -> Trouble | None:
    """What is the matter with one of these names, or with those that the running cell reads."""
    watching = watch()
    if watching is None:
        return None
    return watching.trouble(watching.read if names is None else names)


@cache
def _released() -> tuple[str, ...]:
    """Every answer's cell as it was released."""
    try:
        lessons = released_lessons()
    except FileNotFoundError:
        return ()
    notebooks = (json.loads(path.read_text(encoding="utf-8")) for path in lessons.values())
    cells = (cell for notebook in notebooks for cell in code_cells(notebook))
    answers = (cell for cell in cells if cell["metadata"].get("nbgrader", {}).get("solution"))
    return tuple(cell["source"] for cell in answers)


@cache
def stubs() -> frozenset[str]:
    """The form of every answer's cell as it was released."""
    return frozenset(map(form, _released()))


@cache
def answer_names() -> frozenset[str]:
    """The names that answers have."""
    return frozenset(name for source in _released() for name in bound(source))


def form(source: str) -> str:
    """A cell without its comments and blank lines."""
    try:
        return ast.dump(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""


def bound(source: str) -> set[str]:
    """The names that a cell binds; of one that is not Python, those that it seems to."""
    try:
        table = symtable.symtable(source, "cell", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        found = (one or many for one, many in _BINDS.findall(source))
        return {name for names in found for name in re.findall(r"\w+", names)}
    return {one.get_name() for one in table.get_symbols() if one.is_assigned() or one.is_imported()}


def names_read(source: str) -> set[str]:
    """The global names that a cell reads and does not bind itself."""
    try:
        top = symtable.symtable(source, "cell", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    found, tables = set(), [top]
    for table in tables:
        tables += table.get_children()
        for one in table.get_symbols():
            if one.is_referenced() and (table is top or one.is_global()):
                found.add(one.get_name())
    return found - bound(source)


def describe(error: BaseException) -> str:
    """`SyntaxError: invalid syntax (line 3)`: the error, and the line of the cell that it stopped at."""
    if isinstance(error, SyntaxError):
        text, line = error.msg, error.lineno
    else:
        lines = [x for x in _text(error).splitlines() if x.strip()]
        frames = traceback.extract_tb(error.__traceback__)
        own = (frame.lineno for frame in frames if "interactiveshell" not in frame.filename)
        text, line = (lines or [""])[0][:200], next(own, None)
    where = f" (line {line})" if line else ""
    return f"{type(error).__name__}{text and f': {text}'}{where}"


def _text(error) -> str:
    try:
        return str(error)
    except Exception:
        return ""


def quote_letters(tree: ast.Module) -> None:
    """Make `quiz("id", b)` `quiz("id", "b")`."""
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "quiz":
            for i, argument in enumerate(call.args):
                if isinstance(argument, ast.Name) and len(argument.id) == 1:
                    call.args[i] = ast.copy_location(ast.Constant(argument.id), argument)
