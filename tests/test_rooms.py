"""Which part of attnfuse may import which, read off the syntax trees: imports inside functions count."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "attnfuse").rglob("*.py"))
}
CALLS = ("import_module", "__import__")


def within(name: str, *rooms: str) -> bool:
    return any(name == room or name.startswith(room + ".") for room in rooms)


JUDGES = tuple(
    f"attnfuse.{name}" for name in ("checking", "exercises", "feedback", "progress", "grade", "cli")
)
EXPERIMENTS = [name for name in MODULES if within(name, "attnfuse.experiments")]
LIBRARY = [name for name in MODULES if name not in ("attnfuse", *EXPERIMENTS)]
LIBRARY = [name for name in LIBRARY if not within(name, *JUDGES)]  # what a reader builds on


def imports(source: str, package: str) -> set[str]:
    """Every dotted name that the source imports: modules, and what is taken out of them."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = parts[: len(parts) + 1 - node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            found |= {base, *(f"{base}.{one.name}" for one in node.names)}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in CALLS:
            found |= {one.value for one in node.args[:1] if isinstance(one, ast.Constant)}
    return found


def broken(module: str, *rooms: str) -> list[str]:
    """What a module imports from rooms that are closed to it."""
    path = MODULES[module]
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    return sorted(
        x for x in imports(path.read_text(encoding="utf-8"), package) if within(x, *rooms)
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f():\n    from attnfuse.a import b", {"attnfuse.a", "attnfuse.a.b"}),
        ("class A:\n    def f(self):\n        import attnfuse.a as b", {"attnfuse.a"}),
        ("from .a import b", {"attnfuse.checking.a", "attnfuse.checking.a.b"}),
        ("from ..a import b", {"attnfuse.a", "attnfuse.a.b"}),
        ("from .. import a", {"attnfuse", "attnfuse.a"}),
        ("importlib.import_module('attnfuse.a')", {"attnfuse.a"}),
        ("__import__('attnfuse.a')", {"attnfuse.a"}),
    ],
)
def test_no_way_to_import_is_overlooked(source, expected):
    assert imports(source, "attnfuse.checking") == expected


def test_no_room_is_empty():
    assert {"attnfuse.attention", "attnfuse.layers", "attnfuse.vision"} <= set(LIBRARY)
    assert {"attnfuse.experiments.pooling", "attnfuse.experiments.fusions"} <= set(EXPERIMENTS)


@pytest.mark.parametrize("module", [name for name in MODULES if within(name, "attnfuse.checking")])
def test_checking_knows_no_exercise(module):
    assert not broken(module, "attnfuse.exercises")


@pytest.mark.parametrize("module", LIBRARY + EXPERIMENTS)
def test_what_a_reader_builds_on_knows_no_judge(module):
    """The mark of what an exercise switches off stands outside the judges, in `attnfuse.own`."""
    assert not broken(module, *JUDGES)


@pytest.mark.parametrize("module", MODULES)
def test_an_experiment_is_imported_by_nothing_in_the_package(module):
    """Not by another experiment either: what two lessons share belongs in the library."""
    assert not broken(module, "attnfuse.experiments")
