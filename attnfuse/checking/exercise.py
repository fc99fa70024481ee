"""An exercise: one declaration that drives the check, the grader, the tests and the feedback."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from attnfuse.driving import Answer, Local, Outcome, Raised, to_output
from attnfuse.marks import plain

if TYPE_CHECKING:
    from attnfuse.checking.attempt import Attempt

KINDS = {
    "write": "write it",
    "finish": "finish it",
    "bug": "find the bug",
    "predict": "predict, then run",
    "explain": "explain by experiment",
    "stretch": "stretch",
}


class Mismatch(Exception):
    """Raised by a property that does not hold: one sentence, and what was expected and got.

    `labels` name the two, such as `("before", "after")` where a change must have no effect;
    `inputs` are those that show it, where the property changed the case's own.
    """

    def __init__(self, text, expected=None, got=None, labels=("expected", "yours"), inputs=None):
        super().__init__(text)
        self.text, self.expected, self.got = text, expected, got
        self.labels, self.inputs = labels, inputs or {}


@dataclass(frozen=True)
class Case:
    """One set of inputs, passed by keyword; `note` tells the learner what is special about it.

    Functions among the inputs are `Handle`s.
    """

    inputs: dict[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, eq=False)
class Slip:
    """A choice in the sketch that people get wrong, or a wrong answer that does not decompose.

    Args:
        name: a short name, unique in the exercise.
        says: the sentence that helps whoever makes it.
        change: parameters of the sketch → what the slip makes of them; empty for a whole.
        whole: a function with the sketch's inputs, or a value where a value is asked for.
    """

    name: str
    says: str
    change: Mapping[str, Any] = field(default_factory=dict)
    whole: Any = None


@dataclass(frozen=True)
class Property:
    """One mechanism: `test(attempt, case, rng)` raises `Mismatch` where it does not hold.

    `name` is shown as `name ✓` or `name ✗`: a few words.
    """

    name: str
    test: Callable[["Attempt", Case, np.random.Generator], None]


@dataclass(frozen=True)
class Verdict:
    """What a judged answer gets.

    `misconception` is the name of the recognised slip, several names joined by " + ", or None.
    Printed, it is its message without Markdown's marks.
    """

    exercise: str
    passed: bool
    message: str
    misconception: str | None = None
    seed: int | None = None

    def __str__(self):
        return plain(self.message)


class Sketch(Answer):
    """A function of NumPy arrays, judged as the answer it sketches: no driver, no copies."""

    def __init__(self, function: Callable, several: bool, value: bool = False):
        self.function, self.several, self.value = function, several, value

    def __call__(self, inputs):
        try:
            with np.errstate(all="ignore"):
                raw = self.function(**inputs) if callable(self.function) else self.function
        except Raised as error:
            return Outcome(error=f"raised {error.type}", text=f"Your answer raised {error.type}")
        except Exception as error:
            kind = f"raised {type(error).__name__}"
            return Outcome(error=kind, text=f"Your answer {kind}: {error}")
        if self.several and isinstance(raw, tuple | list):
            return Outcome([to_output(x) for x in raw])
        return Outcome(to_output(raw))


@dataclass(frozen=True)
class Exercise:
    """What an answer must satisfy, and how people get it wrong.

    Args:
        name: unique in the course; the learner writes `check(name, answer)`.
        lesson: such as `"01_attention_pooling"`.
        title: shown in the lesson.
        kind: one of `KINDS`.
        minutes, difficulty: an estimate, and 1 to 3 stars.
        points: 0 for a stretch exercise.
        reference: the definition, in plain float64 loops. For a predicted value a function without
            arguments that computes it. With `seen`, any right answer.
        sketch: the answer in NumPy, with one keyword parameter, its right value the default, for each
            choice that people get wrong; takes a case's inputs, returns what `run` returns.
        choices: parameter of the sketch → name of a slip → what it makes of that parameter. A slip that
            changes two parameters stands under both. The engine tries slips alone and in pairs.
        wholes: name → a wrong answer that does not decompose: a function with the sketch's inputs, or a
            value where a value is asked for.
        says: a line `name | sentence` for each slip and each whole: what helps whoever makes it, true of
            every answer that behaves so, beside another slip, too.
        together: two slips' names → the sentence for both at once, where their own would mislead.
        cancel: pairs of slips that make a right answer.
        cases: random generator → list of `Case`, smallest first, all axes of different sizes.
        outputs: name of each output → its axis letters, such as `{"context": "T V"}`.
        properties: simplest first; agreement with the reference always comes last.
        seen: where right answers differ (they draw at random): `(attempt, case) -> dict` of what
            can be compared with a slip's. Then the properties alone judge.
        own: dotted names of the course's functions that are switched off meanwhile.
        run: the driver `(candidate, **inputs) -> outputs` for what is not a plain function. It only
            drives, and stands in `attnfuse.driving`.
        value: True if the answer is a value and not something to call.
        reread, hint: where to read again; what `hint(name)` says first.
        rtol, atol: how near is near enough (wider by itself for float32 inputs).
    """

    name: str
    lesson: str
    title: str
    kind: str
    minutes: int
    difficulty: int
    points: int
    reference: Callable
    reread: str
    hint: str
    sketch: Callable | None = None
    choices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    wholes: Mapping[str, Any] = field(default_factory=dict)
    says: str = ""
    slips: Sequence[Slip] = field(init=False)
    together: Mapping[tuple[str, str], str] = field(default_factory=dict)
    cancel: Sequence[tuple[str, str]] = ()
    cases: Callable[[np.random.Generator], Sequence[Case]] = lambda rng: [Case()]
    outputs: Mapping[str, str] = field(default_factory=lambda: {"result": ""})
    properties: Sequence[Property] = ()
    seen: Callable[["Attempt", Case], dict] | None = None
    own: Sequence[str] = ()
    run: Callable | None = None
    value: bool = False
    rtol: float = 1e-6
    atol: float = 1e-8

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"{self.name}: kind {self.kind!r} is not one of {', '.join(KINDS)}")
        object.__setattr__(self, "slips", self._read_slips())
        composed = {slip.name for slip in self.slips if slip.change}
        for pair in (*self.together, *self.cancel):
            if len(pair) != 2 or not set(pair) <= composed:
                raise ValueError(f"{self.name}: {pair} are not two of its slips")

    def _read_slips(self) -> list[Slip]:
        """Put names, sentences and changes together; every name has both."""
        says: dict[str, str] = {}
        for line in filter(None, map(str.strip, self.says.splitlines())):
            name, bar, sentence = (part.strip() for part in line.partition(" | "))
            if not bar or not sentence or name in says:
                raise ValueError(f"{self.name}: not `name | sentence`, or a second one: {line!r}")
            says[name] = sentence
        changes: dict[str, dict] = {}
        for parameter, slips in self.choices.items():
            for name, value in slips.items():
                changes.setdefault(name, {})[parameter] = value
        for name in says.keys() ^ (changes.keys() | self.wholes.keys()):
            raise ValueError(f"{self.name}: {name!r} has no sentence, or changes nothing")
        return [Slip(n, says[n], changes.get(n, {}), self.wholes.get(n)) for n in says]

    def judge(self, candidate, seed: int | None = None, recognise: bool = True) -> Verdict:
        """Judge an answer on fresh random cases; never raises, whatever the answer does.

        Args:
            candidate: the learner's object, or an `Answer` (one in another process, a sketch).
            seed: repeats the cases of an earlier run; drawn afresh if None.
            recognise: whether to look for slips behind a wrong answer.

        Returns:
            A `Verdict`.
        """
        from attnfuse.checking.attempt import judge

        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        return judge(self, self.answer(candidate), seed, recognise)

    def answer(self, candidate) -> Answer:
        """The learner's object as something to judge."""
        if isinstance(candidate, Answer):
            return candidate
        return Local(candidate, self.run, self.own, self.several, self.value)

    @property
    def several(self) -> bool:
        return len(self.outputs) > 1

    def drawn_cases(self, seed: int) -> list[Case]:
        return list(self.cases(np.random.default_rng(seed)))

    def tolerance(self, case: Case) -> tuple[float, float]:
        narrow = any(
            getattr(x, "dtype", None) in (np.float32, np.float16) for x in case.inputs.values()
        )
        return (max(self.rtol, 1e-4), max(self.atol, 1e-5)) if narrow else (self.rtol, self.atol)

    def sketched(self, *slips: Slip) -> Answer:
        """The sketch with these slips, as something to judge; without any, a right answer."""
        change = {name: value for slip in slips for name, value in slip.change.items()}
        whole = next((slip.whole for slip in slips if not slip.change), None)
        function = partial(self.sketch, **change) if whole is None else whole
        if self.value and callable(function):
            function = function()
        return Sketch(function, self.several, self.value)

    def wrong_answers(self) -> dict[str, Answer]:
        """Every slip by itself: its name → something to judge."""
        return {slip.name: self.sketched(slip) for slip in self.slips}

    def groups(self, size: int) -> list[tuple[Slip, ...]]:
        """Every `size` slips that change different parameters of the sketch."""
        composed = [slip for slip in self.slips if slip.change]
        return [
            group
            for group in combinations(composed, size)
            if len({name for slip in group for name in slip.change})
            == sum(len(slip.change) for slip in group)
        ]
