"""What a check cannot see in an object: that its cell is as it was released, or stopped half-way.

`watch()` follows the cells that this notebook's kernel runs (IPython's events), and does two things
with a cell before it runs: one whose answer is not written yet, or was never run, says so instead of
running, and in `quiz("id", b)` the letter gets its quotes. Outside IPython nothing is watched.
"""

import ast
import json
import keyword
import re
import symtable
import sys
import traceback
from dataclasses import dataclass
from functools import cache

from attnfuse.marks import plain
from attnfuse.released import code_cells, find_check, released_lessons

# What a cell would have bound, read off its lines where Python cannot read it: `dfe f(x):`, `f(x):`.
_NO_DEF = "|".join(["print", *(set(keyword.kwlist) - {"def", "class"})])
_BINDS = re.compile(
    rf"^(?:async +)?(?!(?:{_NO_DEF})\b)\w+ +(\w+)|^(\w+)\(.*\) *:\s*$|^(\w+(?: *, *\w+)*) *=(?!=)",
    re.M,
)
# Magics that run the rest of their cell as Python, in the notebook's own names.
_MAGIC = re.compile(r"\A(?:\s*%%(?:time|capture|prun)\b.*\n)+")
_MISSING = object()


@dataclass(frozen=True)
class Trouble:
    """Why the answer of this name must not be judged, as `why`; `unwritten` if nobody tried."""

    name: str
    why: str
    unwritten: bool = False


class Watch:
    """Follows one kernel's cells.

    `unwritten` and `stopped` hold the object that a name had when that was noted; they speak of no
    other, however it came there (`%run`, `import *`, `exec`).
    """

    def __init__(self, shell):
        self.shell = shell
        self.limit: float | None = None  # seconds after which a grader interrupts a cell
        self.unwritten: dict[str, object] = {}
        self.stopped: dict[str, tuple[object, str]] = {}
        self.read: set[str] = set()  # by the running cell, from cells before it
        self._before: dict[str, object] = {}
        shell.events.register("pre_run_cell", self.pre_run_cell)
        shell.events.register("post_run_cell", self.post_run_cell)
        shell.ast_transformers.append(self)

    def pre_run_cell(self, info) -> None:
        self.read = set()
        self._before = {name: self._now(name) for name in self._meant(info)}

    def post_run_cell(self, result) -> None:
        if result.info is None:
            return
        error = result.error_before_exec or result.error_in_exec
        stub = not error and form(self._python(result.info)) in stubs()
        for name in self._meant(result.info):
            now = self._now(name)
            if error and now is self._before.get(name, _MISSING):
                self.stopped[name] = (now, self._stop(result))
                continue
            self.stopped.pop(name, None)
            self.unwritten.pop(name, None)
            if stub:
                self.unwritten[name] = now
            elif now is _MISSING and not error:
                self.stopped[name] = (now, f"ran, but defined no `{name}`")

    def _now(self, name: str):
        return self.shell.user_ns.get(name, _MISSING)

    def _python(self, info) -> str:
        """A cell's code, as Python."""
        try:
            return self.shell.transform_cell(_MAGIC.sub("", info.raw_cell))
        except Exception:  # such as brackets too deep for IPython
            return info.raw_cell

    def _meant(self, info) -> set[str]:
        """The names that a cell binds; an answer's own cell, known by its id, is to bind its names."""
        return bound(self._python(info)) | _answers().get(str(info.cell_id), set())

    def _stop(self, result) -> str:
        error = result.error_before_exec or result.error_in_exec
        if isinstance(error, KeyboardInterrupt) and self.limit:
            return f"ran longer than {self.limit:g} s"
        if result.error_before_exec:
            line = getattr(error, "lineno", None)
        else:
            frames = traceback.extract_tb(error.__traceback__)
            own = (frame.lineno for frame in frames if "interactiveshell" not in frame.filename)
            line = next(own, None)
        where = f" (line {line})" if line else ""
        return f"stopped when it last ran: {describe(error)}{where}"

    def visit(self, tree: ast.Module) -> ast.Module:
        """The tree that IPython runs instead of a cell's own."""
        try:
            source = ast.unparse(tree)
            released = ast.dump(tree) in tries()
        except RecursionError:
            return tree
        self.read = names_read(source)
        quote_letters(tree, self.shell.user_ns.keys() | bound(source))
        if find_check({"source": source}):
            for statement in tree.body:
                self._let_check_see(statement)
            return tree
        alone = len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr)
        trouble = self.trouble(self.read) if alone or released else None
        return ast.parse(f"print({plain(trouble.why)!r})") if trouble else tree

    def _let_check_see(self, statement: ast.stmt) -> None:
        """Make `check("pool", pool)` speak where Python would say that it knows no `pool`."""
        match statement:
            case ast.Expr(ast.Call(ast.Name("check"), [_, ast.Name(name), *_])):
                if name in answer_names() and self._now(name) is _MISSING:
                    statement.value.args[1] = ast.copy_location(
                        ast.parse(f"globals().get({name!r})", mode="eval").body, statement.value
                    )
                    ast.fix_missing_locations(statement)

    def trouble(self, names) -> Trouble | None:
        for name in sorted(names):
            now = self._now(name)
            noted, why = self.stopped.get(name, (None, ""))
            if why and noted is now:
                return Trouble(name, f"The cell of `{name}` {why}. Mend it and run it again.")
            if now is _MISSING and name in answer_names():
                return Trouble(
                    name, f"`{name}` is not defined yet: run its cell first", unwritten=True
                )
            if name in self.unwritten and self.unwritten[name] is now:
                return Trouble(name, f"not written yet: `{name}`", unwritten=True)
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
def _released() -> tuple[dict, ...]:
    """Every code cell as it was released."""
    try:
        lessons = released_lessons()
    except FileNotFoundError:
        return ()
    notebooks = (json.loads(path.read_text(encoding="utf-8")) for path in lessons.values())
    return tuple(cell for notebook in notebooks for cell in code_cells(notebook))


@cache
def _stubs() -> dict[str, str]:
    """Id → source of every answer's cell as it was released."""
    cells = {cell["id"]: cell for cell in _released()}
    nbgrader = {id: cell["metadata"].get("nbgrader", {}) for id, cell in cells.items()}
    return {id: cell["source"] for id, cell in cells.items() if nbgrader[id].get("solution")}


@cache
def stubs() -> frozenset[str]:
    """The form of every answer's cell as it was released."""
    return frozenset(map(form, _stubs().values()))


@cache
def tries() -> frozenset[str]:
    """The form of every try-it cell as it was released."""
    return frozenset(form(cell["source"]) for cell in _released() if cell["id"].endswith("-try"))


@cache
def _answers() -> dict[str, set[str]]:
    """Id → the names of every answer's cell."""
    return {id: bound(source) for id, source in _stubs().items()}


@cache
def answer_names() -> frozenset[str]:
    """The names that answers have."""
    return frozenset().union(*_answers().values())


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
        found = " ".join("".join(names) + " " for names in _BINDS.findall(source))
        return set(re.findall(r"\w+", found))
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
    """`SyntaxError: invalid syntax`: the error, and the first line of what it says."""
    text = error.msg if isinstance(error, SyntaxError) else _text(error)
    lines = [x for x in str(text).splitlines() if x.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def _text(error) -> str:
    try:
        return str(error)
    except Exception:
        return ""


def quote_letters(tree: ast.Module, taken) -> None:
    """Make `quiz("id", b)` `quiz("id", "b")`, unless the name `b` is taken."""

    def quoted(argument: ast.expr) -> ast.expr:
        match argument:
            case ast.Name(id=letter) if len(letter) == 1 and letter not in taken:
                return ast.copy_location(ast.Constant(letter), argument)
        return argument

    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "quiz":
            call.args = list(map(quoted, call.args))
            for one in call.keywords:
                one.value = quoted(one.value)
