"""The checks notice when one thing in a right answer changes, and the tool that shows it works."""

import ast
import os

import mutants
import numpy as np
import pytest
from equivalent_mutants import EQUIVALENT
from mutants import Answer, Change, Mutant, Report, changes, judged, stale

from attnfuse.checking.exercise import Case, Exercise
from attnfuse.exercises import EXERCISES as COURSE

FULL = bool(os.environ.get("ATTNFUSE_TEST_FULL"))
SHARE, SHARE_OF_LAYERS = 0.06, 0.03  # under two minutes on two cores
LAYERS = ("05", "06", "07", "08", "09")  # lessons with Keras

# ---------------------------------------------------------------- what is made


@pytest.mark.parametrize(
    ("source", "operator", "expected"),
    [
        ("a < b", "comparison", {"a <= b", "a > b", "a >= b"}),
        ("a <= b", "comparison", {"a < b", "a > b", "a >= b"}),
        ("a == b", "comparison", {"a != b", "a <= b", "a >= b"}),
        ("a != b", "comparison", {"a == b", "a < b", "a > b"}),
        ("a is None", "comparison", {"a is not None"}),
        ("0 < a < b", "comparison", {f"0 {x}" for x in ("<= a < b", "> a < b", ">= a < b")}
         | {f"0 < a {x} b" for x in ("<=", ">", ">=")}),
        ("f(7)", "number", {"f(8)", "f(6)", "f(0)"}),
        ("f(-1)", "number", {"f(0)", "f(-2)"}),
        ("f(0.5)", "number", {"f(1.5)", "f(-0.5)", "f(0.0)"}),
        ("f(2j)", "number", {"f(3j)", "f(1j)", "f(0j)"}),
        ("(-a) ** 2", "minus", {"a ** 2"}),
        ("f(-1)", "minus", {"f(1)"}),
        ("a @ b", "arithmetic", {"a * b"}),
        ("a / b", "arithmetic", {"a * b", "a // b"}),
        ("a += b", "arithmetic", {"a -= b", "a *= b"}),
        ("a += b", "operand", {"a = b"}),
        ("a + b * c", "operand", {"a", "b * c", "a + b", "a + c"}),
        ("a & b", "arithmetic", {"a | b"}),
        ("a and b or c", "and, or", {"(a or b) or c", "(a and b) and c"}),
        ("a and b and c", "operand", {"b and c", "a and c", "a and b"}),
        ("~a", "not", {"a"}),
        ("f(not a)", "not", {"f(a)"}),
        ("a.sum(axis=-1)", "axis", {"a.sum(axis=0)", "a.sum(axis=-2)"}),
        ("a.sum(axis=-1)", "minus", {"a.sum(axis=1)"}),
        ("f(a, axes=(0, 2))", "axis", {"f(a, axes=(2, 0))", "f(a, axes=(1, 2))", "f(a, axes=(-1, 2))",
                                       "f(a, axes=(0, 3))", "f(a, axes=(0, 1))", "f(a, axes=(0, 0))"}),
        ("a.swapaxes(1, 2)", "axis", {"a.swapaxes(2, 2)", "a.swapaxes(0, 2)", "a.swapaxes(1, 3)",
                                      "a.swapaxes(1, 1)", "a.swapaxes(1, 0)"}),
        ("np.einsum('bts,bsv->btv', a, b)", "axis", {"np.einsum('bts,bsv->tbv', a, b)",
                                                     "np.einsum('bts,bsv->bvt', a, b)"}),
        ("a.max(keepdims=True)", "keepdims", {"a.max(keepdims=False)", "a.max()"}),
        ("f(a, b, c)", "argument dropped", {"f(b, c)", "f(a, c)", "f(a, b)"}),
        ("f(a)", "argument dropped", set()),
        ("a.sum(b)", "argument dropped", {"a.sum()"}),
        ("f(a, b, c)", "arguments swapped", {"f(b, a, c)", "f(a, c, b)"}),
        ("f(x=a, y=b)", "arguments swapped", {"f(x=b, y=a)"}),
        ("min(a, b)", "arguments swapped", set()),
        ("f(a, x=b)", "keyword dropped", {"f(a)"}),
        ("np.where(a, b, c)", "where", {"np.where(a, c, b)"}),
        ("if a: f()", "condition", {"if not a:"}),
        ("while a(b): f()", "condition", {"while not a(b):"}),
        ("x = a if b else c", "condition", {"x = a if not b else c"}),
        ("[x for x in a if x]", "condition", {"[x for x in a if not x]", "[x for x in a]"}),
        ("if a < b: f()", "condition", set()),  # `if a >= b` is made already
        ("if not a: f()", "condition", set()),
        ("f()\ng()", "statement", {"pass"}),
        ("min(a, b)", "function", {"max(a, b)"}),
        ("a.argmin()", "function", {"a.argmax()"}),
        ("np.exp(a)", "function", {"a"}),
        ("np.floor(a)", "function", {"np.ceil(a)", "np.round(a)"}),
        ("np.zeros(a)", "function", {"np.ones(a)"}),
        ("mean - a", "function", set()),  # a name of one's own
        ("np.random.default_rng(seed)", "seed", {"np.random.default_rng(0)"}),
        ("f(x, random_state=seed)", "seed", {"f(x, random_state=0)"}),
        ("np.random.default_rng(7)", "number", set()),
        ("def f():\n    return a", "dtype", {f"return as_{kind}(a)" for kind in mutants.KINDS}),
        ("def f():\n    return a, b", "dtype", {f"return (as_{kind}(a), b)" for kind in mutants.KINDS}
         | {f"return (a, as_{kind}(b))" for kind in mutants.KINDS}),
        ("a[1:n]", "slice", {"a[2:n]", "a[0:n]", "a[:n]", "a[1:n + 1]", "a[1:n - 1]", "a[1:]"}),
        ("a[::2]", "slice", {"a[::3]", "a[::1]", "a[::0]", "a[:]"}),
        ("a[i]", "index", {"a[i + 1]", "a[i - 1]"}),
        ("a[:, -1]", "index", {"a[:, 0]", "a[:, -2]", "a[-1, :]"}),
        ("a[:, None]", "index", {"a[:]", "a[None, :]"}),
        ("a[None]", "index", {"a"}),
        ("range(n)", "range", {"range(n + 1)", "range(n - 1)"}),
        ("(a, b)", "order", {"(b, a)"}),
        ("a, b = c", "order", set()),
        ("x = True", "truth", {"x = False"}),
        ("for x in a:\n    break", "loop", {"continue"}),
        ("for x in a:\n    continue", "loop", {"break"}),
    ],
)  # fmt: skip
def test_operator(source, operator, expected):
    assert {change.after for change in changes(source) if change.operator == operator} == expected


def test_what_stays_as_it_is():
    source = (
        '@cached(1)\ndef f(x: int) -> "a b":\n    """1 + 1."""\n'
        '    g(zip(x, y, strict=True), name="softmax")'
    )
    after = {change.after for change in changes(source) if change.operator != "statement"}
    assert after == {
        "g(zip(y, x, strict=True), name='softmax')",
        "g(zip(x, strict=True), name='softmax')",
        "g(zip(y, strict=True), name='softmax')",
        "g(zip(x, y, strict=True))",
        "g(name='softmax')",
    }
    assert not changes("import a\nfrom b import c")


def test_each_mutant_is_another_program():
    source = "def f(a, b):\n    if a == 1:\n        return a + a\n    return max(a, b)[0]"
    found = changes(source)
    texts = [change.source for change in found]
    assert len({*texts, ast.unparse(ast.parse(source))}) == len(texts) + 1
    assert all(change.before != change.after for change in found)


def test_only_given_lines_change():
    found = changes("a = 1\nb = [x for x in c if x]\nd = 3", lines=[2])
    assert {change.before for change in found} == {"b = [x for x in c if x]"}
    assert "b = [x for x in c]" in {change.after for change in found}


def test_mutants_have_names_of_their_own():
    program = "def {}(a):\n    a = a + b\n    a = a + b\n    return a"
    one, two = (Answer("toy", name, "", program.format(name), name) for name in "fg")
    made = mutants.mutants([one])
    assert len({mutant.name for mutant in made}) == len(made)
    assert any(mutant.name.endswith("(2)") for mutant in made)
    assert mutants.mutants([one, two]) == made  # the same program under another name


# ---------------------------------------------------------------- judging

# A weak check: it never sees a negative number, nor a list that is not sorted.
EXERCISES = {
    "largest": Exercise(
        name="largest",
        lesson="00_toy",
        title="Largest",
        kind="write",
        minutes=1,
        difficulty=1,
        points=1,
        reference=lambda value: float(max(value)),
        cases=lambda rng: [Case({"value": np.sort(rng.random(n))}) for n in (1, 4)],
        reread="section 1",
        hint="",
    )
}
RIGHT = Answer(
    "largest", "solution", "import numpy as np", "def f(value):\n    return value.max()", "f"
)
WRITTEN = {
    "last": ("value[-1]", "survived"),
    "first": ("value[0]", "rejected"),
    "dtype": ("as_float(value.max())", "void"),
    "never ends": ("[0 for _ in iter(int, 1)]", "cut off"),
    "eats memory": ("np.ones(10**11).max()", "rejected"),
    "ends its process": ("__import__('os')._exit(0)", "cut off"),
    "raises": ("1 / 0", "rejected"),
}


def written(name: str, body: str, operator: str = "") -> Mutant:
    operator = "dtype" if "as_" in body else operator
    change = Change(operator, "before", body, f"def f(value):\n    return {body}")
    return Mutant(RIGHT, change, f"solution: {name}")


def test_outcomes():
    """One process judges them all, and is replaced where a mutant took it down."""
    jobs = [written(name, body) for name, (body, _) in WRITTEN.items()]
    unborn = Change("", "", "", "def f(value=1 / 0):\n    return value.max()")
    jobs.append(Mutant(RIGHT, unborn, "solution: not even defined"))
    found = {m.name: outcome for m, outcome in judged(jobs, __name__, workers=1, spare=1)}
    assert found.pop("solution: not even defined") == "stillborn"
    assert found == {f"solution: {name}": outcome for name, (_, outcome) in WRITTEN.items()}


def test_a_weak_check_is_shown():
    """`max` → `min` is noticed; what only negative numbers would show is not."""
    answer = Answer(
        "largest", "solution", "", "def f(value):\n    return max(abs(x) for x in value)", "f"
    )
    made = mutants.mutants([answer])
    report = Report({}, list(judged(made, __name__, workers=2)))
    survivors = {mutant.change.after for mutant in report.survivors}
    assert "return max((x for x in value))" in survivors
    assert "return min((abs(x) for x in value))" not in survivors
    assert {mutant for mutant, _ in report.outcomes} <= set(made)


def test_a_right_answer_must_pass():
    wrong = Answer("largest", "solution", "", "def f(value):\n    return 2", "f")
    job = Mutant(wrong, Change("", "", "", wrong.program), "solution: itself")
    with pytest.raises(RuntimeError, match="largest: solution"):
        list(judged([job], __name__, workers=1))


def test_a_mutant_that_leaves_something_behind():
    job = written("greedy", "(__builtins__.update(max=min), value.max())[1]")
    with pytest.raises(RuntimeError, match="largest: solution"):
        list(judged([job], __name__, workers=1))


def test_report():
    one, two, three = (written(name, "0") for name in ("one", "two", "three"))
    listed = {"largest": {"solution: one": "proof", "solution: two": "proof", "solution: old": ""}}
    outcomes = [(one, "survived"), (two, "rejected"), (three, "survived"), (three, "void")]
    report = Report(listed, outcomes)
    assert report.survivors == [three]
    assert report.refuted == [two]
    numbers = report.table(lambda mutant: mutant.answer.exercise).splitlines()[1].split()
    assert numbers == ["largest", "3", "1", "0", "1", "1"]
    assert stale(listed, [one, two]) == ["largest: solution: old"]


# ---------------------------------------------------------------- the course


@pytest.fixture(scope="module")
def made() -> list[Mutant]:
    return mutants.mutants(mutants.solutions() + mutants.alternatives()[0])


def test_every_exercise_has_mutants(made):
    assert {mutant.answer.exercise for mutant in made} == set(COURSE) - mutants.RIGHT_IF_PASSED


def test_equivalent_mutants_are_few_and_current(made):
    listed = [reason for entries in EQUIVALENT.values() for reason in entries.values()]
    assert len(listed) <= len(made) / 20
    assert all(reason.strip() for reason in listed)
    assert stale(EQUIVALENT, made) == []


def share(mutant: Mutant) -> float:
    if FULL:
        return 1
    return SHARE_OF_LAYERS if COURSE[mutant.answer.exercise].lesson[:2] in LAYERS else SHARE


@pytest.mark.slow
def test_mutants_are_rejected(made):
    """A fixed share of them, all where ATTNFUSE_TEST_FULL is set."""
    chosen = [mutant for mutant in made if mutant.share < share(mutant)]
    report = Report(EQUIVALENT, list(judged(chosen)))
    assert [str(mutant) for mutant in report.survivors] == []
    assert [str(mutant) for mutant in report.refuted] == []
    assert report.raised == []
