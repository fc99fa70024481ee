"""Change one thing in a right answer: does its check notice?

- `mutants.py`: every mutant of every right answer, in one process for each core
- `mutants.py --lesson 02 --exercise pool --share 0.05`: some of them
- `mutants.py --survivors FILE.json`: and write down those that no check rejects

Right answers are those of the lessons and of `tests/alternatives`. The generator is our own:
cosmic-ray and mutmut (seen in their sources) swap no arguments and know neither axes nor keepdims,
and both run a test command for each mutant, where a TensorFlow import costs more than a judge.
"""

import argparse
import ast
import builtins
import copy
import hashlib
import inspect
import json
import math
import multiprocessing
import os
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

try:
    import resource
except ImportError:  # Windows: only the clock cuts a mutant off
    resource = None

ROOT = Path(__file__).resolve().parent.parent
SEEDS = 5
MEMORY = 4 * 2**30  # what a mutant may add to its process
WORN = 3 * 2**30  # a process that ever held so much is replaced

# ---------------------------------------------------------------- one change to a source

COMPARISONS = {
    ast.Lt: (ast.LtE, ast.Gt, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt, ast.LtE),
    ast.Eq: (ast.NotEq, ast.LtE, ast.GtE),
    ast.NotEq: (ast.Eq, ast.Lt, ast.Gt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult, ast.FloorDiv),
    ast.FloorDiv: (ast.Div, ast.Mult),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.MatMult: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.BitXor: (ast.BitOr,),
}
FAMILIES = (
    "min max · minimum maximum · any all · argmin argmax · zeros ones · zeros_like ones_like · "
    "sum mean · reduce_sum reduce_mean · floor ceil round · sin cos · std var · tril triu · "
    "logical_and logical_or"
)
EXCHANGED = {
    name: [other for other in family.split() if other != name]
    for family in FAMILIES.split(" · ")
    for name in family.split()
}
# A call of these is also replaced by its first argument.
SKIPPED = {"exp", "log", "sqrt", "tanh", "abs", "softmax", "sorted", "logical_not"}
# Methods whose only argument may be left out; functions all of whose numbers are axes.
REDUCTIONS = {"sum", "mean", "max", "min", "all", "any", "argmax", "argmin", "std", "var", "prod"}
AXES = {"transpose", "swapaxes", "moveaxis", "expand_dims", "squeeze"}
# The order of these functions' arguments means nothing.
SYMMETRIC = {"min", "max", "minimum", "maximum", "logical_and", "logical_or", "add", "multiply"}
SYMMETRIC |= {"swapaxes"}
# Whatever passes is right: tests that learners write are tried on all their suspects, and a head that
# is set by hand need only find its word, by whatever numbers.
RIGHT_IF_PASSED = {"mask_test", "gradient_test", "set_head"}
# What the returned value is turned into: `as_int(…)` and so on.
KINDS = ("int", "float", "bool")  # float32 is near enough everywhere
UNTOUCHED = ("annotation", "returns", "decorator_list", "ctx", "type_params", "type_comment")


@dataclass(frozen=True)
class Change:
    """A mutated source, and the line that differs, as `ast.unparse` writes it."""

    operator: str
    before: str
    after: str
    source: str


def changes(source: str, lines: Iterable[int] | None = None) -> list[Change]:
    """Every first-order mutant of a source, each different text once.

    Args:
        source: one or more statements.
        lines: the numbers of the lines that may change; all if None.
    """
    tree = ast.parse(source)
    lines = None if lines is None else set(lines)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    seen, found = {ast.unparse(tree)}, []
    for slot in _slots(tree, None, "", 0):
        placed = slot.node.target if isinstance(slot.node, ast.comprehension) else slot.node
        if lines is not None and getattr(placed, "lineno", 0) not in lines:
            continue
        before = _head(slot.statement)
        for operator, new in _replacements(slot):
            slot.put(new)
            text = ast.unparse(ast.fix_missing_locations(tree))
            if text not in seen:
                seen.add(text)
                after = _head(new if slot.node is slot.statement else slot.statement)
                found.append(Change(operator, before, after, text))
            slot.put(slot.node)
    return found


@dataclass(frozen=True)
class _Slot:
    """A node and where it hangs; `role` is what it serves as, `depth` counts functions around it."""

    owner: ast.AST
    field: str
    index: int | None
    node: ast.AST
    statement: ast.AST
    role: str
    depth: int

    def put(self, new):
        if self.index is None:
            setattr(self.owner, self.field, new)
        else:
            getattr(self.owner, self.field)[self.index] = new


def _slots(owner, statement, role: str, depth: int) -> Iterator[_Slot]:
    for field, value in list(ast.iter_fields(owner)):
        if field in UNTOUCHED:
            continue
        many = isinstance(value, list)
        for index, node in enumerate(value if many else [value]):
            if not isinstance(node, ast.AST) or getattr(node, "arg", "") == "strict":
                continue  # zip's `strict` is an assertion, not behaviour
            below = node if isinstance(node, ast.stmt) else statement
            serves = _role(owner, field, node, role)
            yield _Slot(owner, field, index if many else None, node, below, serves, depth)
            if not _is_literal(node):
                yield from _slots(node, below, serves, depth + isinstance(node, ast.FunctionDef))


def _role(owner, field, node, role: str) -> str:
    if isinstance(owner, ast.keyword):
        return "axis" if owner.arg == "axes" else owner.arg or ""
    if isinstance(owner, ast.Subscript) and field == "slice":
        return "slice" if isinstance(node, ast.Slice) else "index"
    if isinstance(owner, ast.Slice):
        return "slice"
    if isinstance(owner, ast.Call) and field == "args":
        name = _name(owner.func)
        roles = {"range": "range", "default_rng": "seed", "reshape": "size"}
        return "axis" if name in AXES else roles.get(name, "")
    if isinstance(owner, ast.Tuple | ast.List | ast.UnaryOp):
        return "slice" if isinstance(node, ast.Slice) else role.replace("test", "")
    if isinstance(owner, ast.If | ast.While | ast.IfExp | ast.Assert) and field == "test":
        return "test"
    if isinstance(owner, ast.comprehension) and field == "ifs":
        return "test"
    return ""


def _name(node) -> str:
    return getattr(node, "attr", "") or getattr(node, "id", "")


def _number(node):
    """The number that a literal stands for, or None."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _number(node.operand)
        return None if value is None else -value
    value = node.value if isinstance(node, ast.Constant) else None
    return value if type(value) in (int, float, complex) else None


def _is_literal(node) -> bool:
    return isinstance(node, ast.UnaryOp) and _number(node) is not None


def _literal(value):
    if not isinstance(value, complex) and value < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)


def _with(node, **fields):
    new = copy.copy(node)
    for field, value in fields.items():
        setattr(new, field, value)
    return new


def _without(items: list, i: int) -> list:
    return items[:i] + items[i + 1 :]


def _swapped(items: list, i: int) -> list:
    return [*items[:i], items[i + 1], items[i], *items[i + 2 :]]


def _head(statement) -> str:
    """A statement's first line; of a compound one that is what stands before its block."""
    lines = ast.unparse(ast.fix_missing_locations(statement)).splitlines()
    return next(line for line in lines if not line.startswith("@"))


def _replacements(slot: _Slot) -> Iterator[tuple[str, ast.AST]]:
    """Operator and new node, for every change of this node itself."""
    node, role = slot.node, slot.role
    value = _number(node)
    if value is not None:
        if role != "seed":  # one written seed is as good as another
            label = role if role in ("axis", "index", "slice", "range") else "number"
            step = 1j if isinstance(value, complex) else 1
            for new in (value + step, value - step, type(value)(0)):
                if new != value and not (role == "size" and new < 0):  # all mean "the rest"
                    yield label, _literal(new)
        if isinstance(node, ast.UnaryOp):
            yield "minus", node.operand
        return
    if role == "test" and not _flips(node):
        yield "condition", ast.UnaryOp(ast.Not(), node)
    if role in ("index", "slice", "range") and _computed(node):
        for op in (ast.Add(), ast.Sub()):
            yield role, ast.BinOp(node, op, ast.Constant(1))
    if role == "seed" and not isinstance(node, ast.Constant):
        yield "seed", ast.Constant(0)
    rule = RULES.get(type(node))
    if rule:
        yield from rule(slot)
    if isinstance(node, ast.stmt) and not isinstance(node, KEPT):
        yield "statement", ast.Pass()


KEPT = (ast.Pass, ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Global)


def _flips(test) -> bool:
    """Whether the other rules negate this condition already."""
    if isinstance(test, ast.Compare):
        return len(test.ops) == 1
    return isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)


def _computed(node) -> bool:
    return isinstance(node, ast.Name | ast.BinOp | ast.Call | ast.Attribute | ast.Subscript)


def _compare(slot):
    for i, op in enumerate(slot.node.ops):
        for other in COMPARISONS[type(op)]:
            yield (
                "comparison",
                _with(slot.node, ops=[*slot.node.ops[:i], other(), *slot.node.ops[i + 1 :]]),
            )


def _arithmetic(slot):
    node = slot.node
    for other in ARITHMETIC.get(type(node.op), ()):
        yield "arithmetic", _with(node, op=other())
    yield "operand", node.left
    yield "operand", node.right


def _augmented(slot):
    node = slot.node
    for other in ARITHMETIC.get(type(node.op), ()):
        yield "arithmetic", _with(node, op=other())
    yield "operand", ast.Assign([node.target], node.value)


def _logic(slot):
    node = slot.node
    yield "and, or", _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    for i in range(len(node.values)):
        rest = _without(node.values, i)
        yield "operand", rest[0] if len(rest) == 1 else _with(node, values=rest)


def _unary(slot):
    names = {ast.Not: "not", ast.Invert: "not", ast.USub: "minus", ast.UAdd: "minus"}
    yield names[type(slot.node.op)], slot.node.operand


def _constant(slot):
    if isinstance(slot.node.value, bool):
        label = "keepdims" if slot.role == "keepdims" else "truth"
        yield label, ast.Constant(not slot.node.value)


def _names(slot):
    node = slot.node
    if not isinstance(node.ctx, ast.Load):
        return
    field = "attr" if isinstance(node, ast.Attribute) else "id"
    for other in EXCHANGED.get(_name(node), ()):
        if field == "attr" or (hasattr(builtins, node.id) and hasattr(builtins, other)):
            yield "function", _with(node, **{field: other})
    if field == "id" and node.id == "seed":
        yield "seed", ast.Constant(0)


def _call(slot):
    node, name = slot.node, _name(slot.node.func)
    args, keywords = node.args, node.keywords
    if name in SKIPPED and args:
        yield "function", args[0]
    for i in range(len(args)):
        if len(args) + len(keywords) > 1 or name in REDUCTIONS:
            yield "argument dropped", _with(node, args=_without(args, i))
        if i + 1 < len(args):
            label = "where" if name == "where" and i == 1 else "arguments swapped"
            if name not in SYMMETRIC:
                yield label, _with(node, args=_swapped(args, i))
    named = [i for i, keyword in enumerate(keywords) if keyword.arg != "strict"]
    for i in named:
        label = "keepdims" if keywords[i].arg == "keepdims" else "keyword dropped"
        yield label, _with(node, keywords=_without(keywords, i))
        if i + 1 in named:
            one, two = keywords[i : i + 2]
            new = [_with(one, value=two.value), _with(two, value=one.value)]
            yield (
                "arguments swapped",
                _with(node, keywords=[*keywords[:i], *new, *keywords[i + 2 :]]),
            )
    if name == "einsum" and args and "->" in str(getattr(args[0], "value", "")):
        read, written = args[0].value.split("->")
        for i in range(len(written) - 1):
            text = f"{read}->{''.join(_swapped(list(written), i))}"
            yield "axis", _with(node, args=[ast.Constant(text), *args[1:]])


def _display(slot):
    node = slot.node
    if isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
        for i in range(len(node.elts) - 1):
            label = slot.role if slot.role in ("axis", "index") else "order"
            yield label, _with(node, elts=_swapped(node.elts, i))


def _subscript(slot):
    node = slot.node
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    for i, part in enumerate(parts):
        if isinstance(part, ast.Constant) and part.value is None:
            rest = _without(parts, i)
            left = rest[0] if len(rest) == 1 else ast.Tuple(rest, ast.Load())
            yield "index", _with(node, slice=left) if rest else node.value


def _slice(slot):
    for field in ("lower", "upper", "step"):
        if getattr(slot.node, field) is not None:
            yield "slice", _with(slot.node, **{field: None})


def _comprehension(slot):
    for i in range(len(slot.node.ifs)):
        yield "condition", _with(slot.node, ifs=_without(slot.node.ifs, i))


def _loop_exit(slot):
    yield "loop", ast.Continue() if isinstance(slot.node, ast.Break) else ast.Break()


def _return(slot):
    """The returned value in another dtype; of several, one after the other."""
    value = slot.node.value
    if slot.depth > 1 or value is None or isinstance(value, ast.Constant):
        return
    several = isinstance(value, ast.Tuple)
    for i, part in enumerate(value.elts if several else [value]):
        for kind in KINDS:
            new = ast.Call(ast.Name(f"as_{kind}", ast.Load()), [part], [])
            if several:
                new = _with(value, elts=[*value.elts[:i], new, *value.elts[i + 1 :]])
            yield "dtype", _with(slot.node, value=new)


RULES = {
    ast.Compare: _compare,
    ast.BinOp: _arithmetic,
    ast.AugAssign: _augmented,
    ast.BoolOp: _logic,
    ast.UnaryOp: _unary,
    ast.Constant: _constant,
    ast.Name: _names,
    ast.Attribute: _names,
    ast.Call: _call,
    ast.Tuple: _display,
    ast.List: _display,
    ast.Set: _display,
    ast.Subscript: _subscript,
    ast.Slice: _slice,
    ast.comprehension: _comprehension,
    ast.Break: _loop_exit,
    ast.Continue: _loop_exit,
    ast.Return: _return,
}

# ---------------------------------------------------------------- the right answers


@dataclass(frozen=True)
class Answer:
    """A right answer: after `setup` and `program` have run, `expression` gives it.

    `lines` of the program may change (all if None); `module` is the `__name__` it sees.
    """

    exercise: str
    name: str
    setup: str
    program: str
    expression: str
    lines: tuple[int, ...] | None = None
    module: str = "__main__"


@dataclass(frozen=True)
class Mutant:
    answer: Answer
    change: Change
    name: str

    def __str__(self):
        return f"{self.answer.exercise}: {self.name} ({self.change.operator})"

    @property
    def share(self) -> float:
        """A number in [0, 1) that depends on nothing but the mutant's text."""
        text = f"{self.answer.exercise}: {self.name}".encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:4], "big") / 2**32


def solutions() -> list[Answer]:
    """The answers in the lessons: only what stands between the solution's markers may change."""
    from build import all_lessons

    found = []
    for lesson in all_lessons():
        setup = "\n".join(cell.source for cell in lesson.cells if "setup" in cell.marks)
        programs = {c.marks["exercise"]: c.source for c in lesson.cells if "exercise" in c.marks}
        for cell in lesson.cells:
            if "check" in cell.marks:
                name = cell.marks["check"]
                expression = ast.unparse(ast.parse(cell.source).body[0].value.args[1])
                lines = tuple(_inside(programs[name]))
                found.append(Answer(name, "solution", setup, programs[name], expression, lines))
    return found


def _inside(program: str) -> Iterator[int]:
    inside = False
    for number, line in enumerate(program.splitlines(), 1):
        if "### BEGIN SOLUTION" in line or "### END SOLUTION" in line:
            inside = not inside
        elif inside:
            yield number


def alternatives() -> tuple[list[Answer], list[str]]:
    """The callables of `tests/alternatives`, and the names of those that have no own source.

    Of `_layer(_with_where)` it is `_with_where` that changes.
    """
    from attnfuse.exercises import EXERCISES

    found, rest = [], []
    for path in sorted((ROOT / "tests" / "alternatives").glob("lesson_*.py")):
        text = path.read_text(encoding="utf-8")
        body = ast.parse(text).body
        own = {node.name: ast.unparse(node) for node in body if hasattr(node, "name")}
        table = next(
            node.value
            for node in body
            if isinstance(node, ast.Assign) and _name(node.targets[0]) == "ALTERNATIVES"
        )
        for key, row in zip(table.keys, table.values, strict=True):
            for item in row.elts:
                if EXERCISES[key.value].value or EXERCISES[key.value].kind == "predict":
                    continue  # the lesson's own answer stands for it
                parts = item.args if isinstance(item, ast.Call) else [item]
                names = [part.id for part in parts if isinstance(part, ast.Name) and part.id in own]
                if not names:
                    rest.append(f"{key.value}: {ast.unparse(item)}")
                    continue
                program = "\n\n".join(own[name] for name in names)
                module = f"alternatives.{path.stem}"
                found.append(
                    Answer(key.value, names[0], text, program, ast.unparse(item), module=module)
                )
    return found, rest


def mutants(answers: Iterable[Answer]) -> list[Mutant]:
    """All mutants; two of one exercise that differ only in the answer's name count once."""
    found, seen = [], set()
    for answer in answers:
        if answer.exercise in RIGHT_IF_PASSED:
            continue
        own = answer.expression if answer.name == "solution" else answer.name
        times: Counter = Counter()
        for change in changes(answer.program, answer.lines):
            text = (answer.exercise, re.sub(rf"\b{re.escape(own)}\b", "answer", change.source))
            if text in seen:
                continue
            seen.add(text)
            name = f"{answer.name}: {change.before} → {change.after}"
            times[name] += 1
            found.append(Mutant(answer, change, name + f" ({times[name]})" * (times[name] > 1)))
    return found


# ---------------------------------------------------------------- judging, in another process

_cast_changed = False  # whether a cast made a difference since a mutant's judging began


def _cast(x, kind: str):
    """`x` with its numbers turned into `kind`, in lists and tuples, arrays and tensors."""
    global _cast_changed
    if isinstance(x, list | tuple):
        return type(x)([_cast(part, kind) for part in x])
    before = str(getattr(getattr(x, "dtype", None), "name", getattr(x, "dtype", type(x).__name__)))
    if kind in before or not re.match("bool|u?int|float", before):
        return x
    if kind == "float32" and "float" not in before:
        return x
    _cast_changed = True
    if isinstance(x, bool | int | float):
        new = np.dtype(kind).type(x)
        return new if kind == "float32" else new.item()
    if isinstance(x, np.ndarray | np.generic):
        return x.astype(kind)
    from keras import ops

    return ops.cast(x, {"int": "int32", "float": "float32"}.get(kind, kind))


CASTS = {f"as_{kind}": lambda x, kind=kind: _cast(x, kind) for kind in KINDS}


class _Bench:
    """Judges mutants one after the other; keeps what their lessons import."""

    def __init__(self, registry: str, seeds: int, spare: float):
        self.exercises = import_module(registry).EXERCISES
        self.seeds, self.spare = seeds, spare
        self.setups: dict = {}
        self.seconds: dict = {}

    def candidate(self, answer: Answer, source: str):
        key = (answer.module, answer.setup)
        if key not in self.setups:
            self.setups[key] = {"__name__": answer.module, **CASTS}
            exec(answer.setup, self.setups[key])
        namespace = dict(self.setups[key])
        exec(source, namespace)
        return eval(answer.expression, namespace)

    def judge(self, exercise, candidate, seed: int):
        plain = "recognise" in inspect.signature(exercise.judge).parameters
        return exercise.judge(candidate, seed, **({"recognise": False} if plain else {}))

    def confirm(self, answer: Answer):
        """Raise AssertionError unless this right answer passes."""
        candidate = self.candidate(answer, answer.program)
        verdict = self.judge(self.exercises[answer.exercise], candidate, 0)
        if not verdict.passed:
            raise AssertionError(f"{answer.exercise}: {answer.name}:\n{verdict.message}")

    def limit(self, answer: Answer) -> float:
        """CPU seconds that a mutant of this answer may take, measured on the answer itself."""
        if answer not in self.seconds:
            self.confirm(answer)  # imports and warms up
            start = time.process_time()
            self.confirm(answer)
            self.seconds[answer] = time.process_time() - start
        return 10 * self.seeds * self.seconds[answer] + self.spare

    def outcome(self, mutant: Mutant) -> str:
        global _cast_changed
        _cast_changed = False
        exercise = self.exercises[mutant.answer.exercise]
        stillborn = False
        try:
            candidate = self.candidate(mutant.answer, mutant.change.source)
        except Exception:
            candidate, stillborn = None, True
        for seed in range(1 if exercise.value else self.seeds):
            if not self.judge(exercise, candidate, seed).passed:
                return "stillborn" if stillborn else "rejected"
        void = mutant.change.operator == "dtype" and not _cast_changed
        return "void" if void else "survived"


def _work(pipe, *bench):
    """The other process: takes mutants from `pipe`, sends back the limit, then the outcome.

    After None it judges all right answers once more: had a mutant left something behind, then what
    was rejected after it would prove nothing.
    """
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    # One thread each: the arrays are small, and the limit counts the time of all threads.
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    threadpool_limits(1)
    bench = _Bench(*bench)
    for mutant in iter(pipe.recv, None):
        try:
            limit = bench.limit(mutant.answer)
        except BaseException:
            pipe.send(traceback.format_exc())
            return
        pipe.send(limit)
        _bound(limit)
        try:
            outcome = bench.outcome(mutant)
        except BaseException as error:  # `judge` promises never to raise
            outcome = f"raised {error!r}"
        _bound(None)
        worn = resource and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > WORN
        pipe.send((outcome, bool(worn)))
    try:
        for answer in bench.seconds:
            bench.confirm(answer)
    except AssertionError:
        pipe.send(traceback.format_exc())


def _bound(seconds: float | None):
    """Let this process end after so much more CPU time or memory; None lifts both."""
    if resource is None:
        return
    bounds = {}
    if seconds is not None:
        bounds[resource.RLIMIT_CPU] = math.ceil(time.process_time() + seconds)
        pages = Path("/proc/self/statm")  # Linux
        if pages.exists():
            mapped = int(pages.read_text().split()[0]) * resource.getpagesize()
            bounds[resource.RLIMIT_AS] = mapped + MEMORY
    for what in (resource.RLIMIT_CPU, resource.RLIMIT_AS):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (bounds.get(what, hard), hard))


class _Worker:
    """A process that judges, and what it is judging."""

    def __init__(self, *bench):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, *bench), daemon=True)
        self.process.start()
        theirs.close()
        self.worn = False

    def give(self, mutant: Mutant | None):
        self.mutant, self.until = mutant, math.inf
        self.pipe.send(mutant)

    def hear(self) -> str | None:
        """The outcome, if there is one: "cut off" where the process has ended instead."""
        try:
            heard = self.pipe.recv()
        except (EOFError, ConnectionError):
            if self.mutant is None:
                return "done"
            if self.until == math.inf:
                raise RuntimeError(f"{self.mutant.answer.name} ended its process") from None
            return "cut off"
        if isinstance(heard, str):
            raise RuntimeError(heard)
        if isinstance(heard, float):  # the limit: a wall clock stands behind it
            self.until = time.monotonic() + 60 * heard
            return None
        outcome, self.worn = heard
        return outcome

    def stop(self):
        self.process.kill()
        self.process.join()
        self.pipe.close()


def judged(
    jobs: Iterable[Mutant],
    registry: str = "attnfuse.exercises",
    seeds: int = SEEDS,
    workers: int | None = None,
    spare: float = 5,
) -> Iterator[tuple[Mutant, str]]:
    """Judge mutants in processes of their own.

    Args:
        jobs: mutants; neighbours should share an answer.
        registry: the module whose `EXERCISES` holds the exercises.
        seeds: a mutant is accepted if it passes with each of so many.
        workers: how many processes; one for each core if None.
        spare: CPU seconds beyond ten times what the right answer takes, after which a mutant is
            cut off.

    Yields:
        Each mutant with its outcome, as they come: "rejected", "stillborn" (it cannot even be
        defined, and is rejected), "cut off" (it never ended, or ate the memory), "survived", or
        "void" (a dtype was asked for that the answer has anyhow).
    """
    waiting = iter(jobs)
    pool: list[_Worker] = []

    def start(mutant):
        pool.append(_Worker(registry, seeds, spare))
        pool[-1].give(mutant)

    try:
        for mutant in islice(waiting, workers or os.cpu_count() or 1):
            start(mutant)
        while pool:
            ready = wait([worker.pipe for worker in pool], timeout=5)
            for worker in [*pool]:
                late = time.monotonic() > worker.until
                outcome = worker.hear() if worker.pipe in ready else "cut off" if late else None
                if outcome is None:
                    continue
                if outcome in ("cut off", "done"):
                    pool.remove(worker)
                    worker.stop()
                if outcome == "done":
                    continue
                yield worker.mutant, outcome
                following = next(waiting, None)
                fit = worker in pool and not worker.worn
                if worker in pool:
                    worker.give(following if fit else None)
                if following is not None and not fit:
                    start(following)
    finally:
        for worker in pool:
            worker.stop()


# ---------------------------------------------------------------- the report

COLUMNS = ("made", "rejected", "cut off", "equivalent", "survived")


@dataclass
class Report:
    """What became of mutants, beside the list of those known to be right."""

    equivalent: dict[str, dict[str, str]]
    outcomes: list[tuple[Mutant, str]]

    def __post_init__(self):
        def final(mutant, outcome):
            known = outcome == "survived" and self.listed(mutant)
            return "equivalent" if known else "rejected" if outcome == "stillborn" else outcome

        self.outcomes = [
            (m, final(m, outcome)) for m, outcome in self.outcomes if outcome != "void"
        ]

    def listed(self, mutant: Mutant) -> bool:
        return mutant.name in self.equivalent.get(mutant.answer.exercise, {})

    @property
    def survivors(self) -> list[Mutant]:
        return [mutant for mutant, outcome in self.outcomes if outcome == "survived"]

    @property
    def raised(self) -> list[str]:
        return [f"{m}: {outcome}" for m, outcome in self.outcomes if outcome.startswith("raised")]

    @property
    def refuted(self) -> list[Mutant]:
        """Listed as equivalent, and rejected all the same."""
        return [m for m, outcome in self.outcomes if outcome != "equivalent" and self.listed(m)]

    def table(self, by) -> str:
        """Rows of `COLUMNS`: one for each value of `by(mutant)`, then all of them."""
        rows: dict[str, Counter] = {}
        for mutant, outcome in self.outcomes:
            for name in (by(mutant), "all"):
                rows.setdefault(name, Counter()).update([outcome, "made"])
        rows["all"] = rows.pop("all", Counter())
        lines = [f"{'':<24}" + "".join(f"{name:>12}" for name in COLUMNS)]
        for name, row in rows.items():
            lines.append(f"{name:<24}" + "".join(f"{row[column]:>12}" for column in COLUMNS))
        return "\n".join(lines)


def stale(equivalent: dict[str, dict[str, str]], made: Iterable[Mutant]) -> list[str]:
    """Entries of the list that no mutant bears."""
    names = {(mutant.answer.exercise, mutant.name) for mutant in made}
    return [
        f"{exercise}: {name}"
        for exercise, entries in equivalent.items()
        for name in entries
        if (exercise, name) not in names
    ]


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exercise", help="one exercise only")
    parser.add_argument("--lesson", help="one lesson only, such as 02")
    parser.add_argument(
        "--share", type=float, default=1, help="of the mutants, always the same ones"
    )
    parser.add_argument("--survivors", type=Path, help="write those that survive to this JSON file")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="a survivor passes with so many")
    parser.add_argument("--workers", type=int, help="processes; one for each core if not given")
    parser.add_argument("--list", action="store_true", help="print the mutants, judge none")
    options = parser.parse_args(argv)
    sys.path.insert(0, str(ROOT / "tests"))
    from equivalent_mutants import EQUIVALENT

    from attnfuse.exercises import EXERCISES

    others, rest = alternatives()
    answers = sorted(
        [answer for answer in solutions() + others if _asked(answer, EXERCISES, options)],
        key=lambda answer: list(EXERCISES).index(answer.exercise),
    )
    made = mutants(answers)
    chosen = [mutant for mutant in made if mutant.share < options.share]
    print(f"{len(chosen)} of {len(made)} mutants of {len(answers)} right answers", flush=True)
    if options.list:
        print(*chosen, sep="\n")
        return 0
    jobs = judged(chosen, seeds=options.seeds, workers=options.workers)
    outcomes = dict(tqdm(jobs, total=len(chosen), smoothing=0))
    report = Report(EQUIVALENT, [(mutant, outcomes[mutant]) for mutant in chosen])
    print("\n" + report.table(lambda mutant: mutant.answer.exercise))
    print("\n" + report.table(lambda mutant: mutant.change.operator))
    asked = {answer.exercise for answer in answers}
    old = stale({name: EQUIVALENT[name] for name in EQUIVALENT if name in asked}, made)
    for title, lines in (
        ("Survived", report.survivors),
        ("The check itself raised", report.raised),
        ("Listed as equivalent, but rejected", report.refuted),
        ("Listed as equivalent, but not made", old),
        ("Right answers without a source of their own", rest),
    ):
        if lines:
            print(f"\n{title}: {len(lines)}", *lines, sep="\n")
    if options.survivors:
        survivors = [
            {
                "exercise": mutant.answer.exercise,
                "answer": mutant.answer.name,
                "operator": mutant.change.operator,
                "mutant": mutant.name,
                "source": mutant.change.source,
            }
            for mutant in report.survivors
        ]
        options.survivors.write_text(json.dumps(survivors, indent=1, ensure_ascii=False) + "\n")
    return bool(report.survivors or report.raised or report.refuted or old)


def _asked(answer: Answer, exercises, options) -> bool:
    lesson = exercises[answer.exercise].lesson
    return options.exercise in (None, answer.exercise) and lesson.startswith(options.lesson or "")


if __name__ == "__main__":
    sys.exit(main())
