"""An exercise: one declaration that drives the check, the grader, the tests and the feedback."""

import contextlib
import inspect
import io
import linecache
import re
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from attnfuse.checking.own import WriteYourOwn, switched_off
from attnfuse.checking.show import copy_of, same, show, show_both, to_output

KINDS = {
    "write": "write it",
    "finish": "finish it",
    "bug": "find the bug",
    "predict": "predict, then run",
    "explain": "explain by experiment",
    "stretch": "stretch",
}


# Failures that no inputs explain, and that no misconception is looked for behind.
BARE = ("written", "none", "arity", "own", "stopped")


class Mismatch(Exception):
    """Raised by a property that does not hold: one sentence, and what was expected and got.

    `labels` name the two, such as `("before", "after")` where a change must have no effect.
    """

    def __init__(self, text: str, expected=None, got=None, labels=("expected", "yours")):
        super().__init__(text)
        self.text, self.expected, self.got, self.labels = text, expected, got, labels


class _Failure(Mismatch):
    """Any reason to reject an answer, with the inputs that show it."""

    def __init__(self, text, expected=None, got=None, inputs=None, note="", checked=""):
        super().__init__(text, expected, got)
        self.inputs, self.note, self.checked = inputs or {}, note, checked


@dataclass(frozen=True)
class Case:
    """One set of inputs, passed by keyword; `note` tells the learner what is special about it."""

    inputs: dict[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Misconception:
    """A wrong answer people really give.

    Args:
        name: a short name, unique in the exercise.
        says: the sentence that helps whoever gives it.
        wrong: an implementation with this slip (or the wrong value, where a value is asked for).
    """

    name: str
    says: str
    wrong: Any


@dataclass(frozen=True)
class Property:
    """One mechanism: `test(attempt, case, rng)` raises `Mismatch` where it does not hold."""

    name: str
    test: Callable[["Attempt", Case, np.random.Generator], None]


@dataclass(frozen=True)
class Verdict:
    """What a judged answer gets: `misconception` is the name of the recognised one, or None."""

    exercise: str
    passed: bool
    message: str
    misconception: str | None = None
    seed: int | None = None


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
            arguments that computes it.
        misconceptions: at least four where the answer is a function.
        cases: random generator → list of `Case`, smallest first, all axes of different sizes.
        outputs: name of each output → its axis letters, such as `{"context": "T V"}`.
        properties: simplest first; agreement with the reference always comes last.
        own: dotted names of the course's functions that are switched off meanwhile.
        run: adapter `(candidate, **inputs) -> outputs` for what is not a plain function.
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
    misconceptions: Sequence[Misconception]
    reread: str
    hint: str
    cases: Callable[[np.random.Generator], Sequence[Case]] = lambda rng: [Case()]
    outputs: Mapping[str, str] = field(default_factory=lambda: {"result": ""})
    properties: Sequence[Property] = ()
    own: Sequence[str] = ()
    run: Callable | None = None
    value: bool = False
    rtol: float = 1e-6
    atol: float = 1e-8

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"{self.name}: kind {self.kind!r} is not one of {', '.join(KINDS)}")
        names = [misconception.name for misconception in self.misconceptions]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name}: two misconceptions have the same name")

    def judge(self, candidate, seed: int | None = None) -> Verdict:
        """Judge an answer on fresh random cases; never raises, whatever the answer does.

        Args:
            candidate: the learner's object.
            seed: repeats the cases of an earlier run; drawn afresh if None.

        Returns:
            A `Verdict`.
        """
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        attempt = Attempt(self, candidate)
        try:
            number = attempt.examine(self._cases(seed), seed)
        except _Failure as failure:
            found = None if failure.checked in BARE else self._recognise(attempt, seed)
            return Verdict(
                self.name,
                False,
                self._message(failure, found, attempt, seed),
                found.name if found else None,
                seed,
            )
        worth = f" · {self.points} point{'s' * (self.points != 1)}" if self.points else ""
        cases = "" if self.value else f" · {number} case{'s' * (number != 1)}"
        return Verdict(
            self.name, True, f"✓ {self.name}{cases}{worth}{attempt.printed_note}", seed=seed
        )

    def _cases(self, seed: int) -> list[Case]:
        return list(self.cases(np.random.default_rng(seed)))

    def _recognise(self, attempt: "Attempt", seed: int) -> Misconception | None:
        """The first misconception that behaves as the answer does on every case, if any."""
        cases = self._cases(seed)
        seen: list = []
        for misconception in self.misconceptions:
            wrong = Attempt(self, misconception.wrong, own=())
            for i, case in enumerate(cases):
                if i == len(seen):
                    seen.append(attempt.behaviour(case))
                if not same(wrong.behaviour(case), seen[i], *self._tolerance(case)):
                    break
            else:
                return misconception
        return None

    def _tolerance(self, case: Case) -> tuple[float, float]:
        narrow = any(
            getattr(x, "dtype", None) in (np.float32, np.float16) for x in case.inputs.values()
        )
        return (max(self.rtol, 1e-4), max(self.atol, 1e-5)) if narrow else (self.rtol, self.atol)

    def _message(self, failure, found, attempt, seed) -> str:
        lines = [f"✗ {self.name}"]
        if found:
            lines += [found.says, ""]
        if failure.text:
            lines.append(failure.text)
        if failure.inputs:
            lines.append(f"On this case{failure.note and f' ({failure.note})'}:")
            lines += [show(name, x) for name, x in failure.inputs.items()]
        lines += show_both(failure.labels, failure.expected, failure.got)
        if attempt.printed_note:
            lines.append(attempt.printed_note.strip(" ·"))
        again = "" if self.value or not failure.inputs else f" Same case again: seed={seed}."
        lines += ["", f"Read again: {self.reread}.{again}"]
        return "\n".join(lines)


class _Sink(io.TextIOBase):
    """Counts what an answer prints and keeps none of it."""

    def __init__(self):
        self.lines = 0

    def writable(self):
        return True

    def write(self, text):
        self.lines += text.count("\n")
        return len(text)


class Attempt:
    """A learner's answer, called safely: on copies, silenced, its result checked and converted.

    Calling it with inputs returns `{output name: array}`; `result` is that of the current case.
    """

    def __init__(self, exercise: Exercise, candidate, own=None):
        self.exercise, self.candidate = exercise, candidate
        self.own = exercise.own if own is None else own
        self.result: dict[str, Any] = {}
        self._sink = _Sink()

    @property
    def printed_note(self) -> str:
        lines = self._sink.lines
        return f" · {lines} printed line{'s' * (lines != 1)} not shown" if lines else ""

    def examine(self, cases: Sequence[Case], seed: int) -> int:
        """Judge on every case, smallest first; raise the first failure."""
        self._refuse_unwritten()
        if self.exercise.value:
            self._compare_value()
            return 1
        for i, case in enumerate(cases):
            try:
                self.result = self(**case.inputs)
                expected = self._expected(case)
                self._compare_shapes(expected)
                for prop in self.exercise.properties:
                    self._test(prop, expected, case, np.random.default_rng([seed, i]))
                self._compare(expected, case)
            except _Failure as failure:
                if failure.checked not in BARE:
                    failure.inputs = failure.inputs or case.inputs
                    failure.note = failure.note or case.note
                raise
        return len(cases)

    def __call__(self, **inputs) -> dict[str, Any]:
        given = {name: copy_of(x) for name, x in inputs.items()}
        raw = self._run(given)
        for name, x in inputs.items():
            if isinstance(x, np.ndarray) and not same(x, given[name], 0, 0):
                raise _Failure(
                    f"Your function changed its input `{name}`. Work on a copy.",
                    inputs=inputs,
                    checked="inputs",
                )
        return self._outputs(raw)

    def behaviour(self, case: Case):
        """What happens on a case, in a form that can be compared with another's."""
        try:
            return self(**case.inputs)
        except _Failure as failure:
            return {"failure": failure.checked}

    def _refuse_unwritten(self):
        if self.candidate is None or self.candidate is Ellipsis:
            raise _Failure("There is no answer yet.", checked="written")
        if self.exercise.value:
            return
        if not callable(self.candidate) and self.exercise.run is None:
            kind = _kind(to_output(self.candidate))
            raise _Failure(
                f"check needs the function itself, not {kind}: no parentheses after its name.",
                checked="written",
            )

    def _run(self, inputs):
        """Call the answer; turn whatever goes wrong into a failure."""
        exercise = self.exercise
        if exercise.value:
            return _truths_as_numbers(self.candidate)
        if exercise.run is None:
            self._bind(inputs)
        call = exercise.run or (lambda candidate, **given: candidate(**given))
        try:
            with (
                contextlib.redirect_stdout(self._sink),
                contextlib.redirect_stderr(self._sink),
                warnings.catch_warnings(),
                np.errstate(all="ignore"),
                switched_off(self.own),
            ):
                warnings.simplefilter("ignore")
                return call(self.candidate, **inputs)
        except Mismatch as mismatch:  # from the adapter: it says what is wrong
            raise _Failure(
                mismatch.text, mismatch.expected, mismatch.got, checked=f"adapter {mismatch.text}"
            ) from None
        except WriteYourOwn as error:
            raise _Failure(f"Write your own: {_short(error)}.", checked="own") from None
        except NotImplementedError:
            raise _Failure("There is no answer yet.", checked="written") from None
        except KeyboardInterrupt:
            raise _Failure(
                "Stopped. Your answer was still running: does a loop never end?", checked="stopped"
            ) from None
        except (Exception, SystemExit) as error:
            text = f"Your answer raised {type(error).__name__}: {_short(error)}{_where(error)}"
            raise _Failure(text, checked=f"raised {type(error).__name__}") from None

    def _bind(self, inputs):
        try:
            signature = inspect.signature(self.candidate)
        except (TypeError, ValueError):
            return
        try:
            signature.bind(**inputs)
        except TypeError:
            name = getattr(self.candidate, "__name__", "your function")
            raise _Failure(
                f"Your function is {name}{signature}; it is called with "
                f"{', '.join(inputs)}. Keep the names of the parameters.",
                checked="arity",
            ) from None

    def _outputs(self, raw) -> dict[str, Any]:
        names = list(self.exercise.outputs)
        if raw is None or raw is Ellipsis:
            raise _Failure(
                "Your answer returns None: it is not written yet, or the `return` is missing.",
                checked="none",
            )
        if len(names) == 1:
            return {names[0]: to_output(raw)}
        if not isinstance(raw, (tuple, list)) or len(raw) != len(names):
            got = f"{len(raw)} things" if isinstance(raw, (tuple, list)) else type(raw).__name__
            raise _Failure(
                f"Return {len(names)} things, ({', '.join(names)}); yours returns {got}.",
                checked="outputs",
            )
        outputs = {name: to_output(x) for name, x in zip(names, raw, strict=True)}
        for name, x in outputs.items():
            if x is None:
                raise _Failure(f"`{name}` is None.", checked="none")
        return outputs

    def _expected(self, case: Case) -> dict[str, Any]:
        raw = self.exercise.reference(**{k: copy_of(x) for k, x in case.inputs.items()})
        names = list(self.exercise.outputs)
        parts = [raw] if len(names) == 1 else raw
        return {name: to_output(x) for name, x in zip(names, parts, strict=True)}

    def _compare_shapes(self, expected):
        for name, want in expected.items():
            got = self.result[name]
            if not isinstance(want, np.ndarray):
                if type(got) is not type(want) and not (
                    isinstance(got, (list, tuple)) and isinstance(want, (list, tuple))
                ):
                    raise _Failure(
                        f"`{name}` must be {_kind(want)}; yours is {_kind(got)}.",
                        checked="type",
                    )
                continue
            if not isinstance(got, np.ndarray) or got.dtype.kind not in "bifu":
                raise _Failure(
                    f"`{name}` must hold numbers; yours is {_kind(got)}.", got=got, checked="type"
                )
            if got.shape != want.shape:
                letters = ", ".join(self.exercise.outputs[name].split())
                letters = f"({letters}) = " if letters else ""
                raise _Failure(
                    f"`{name}` has shape {got.shape}; expected {letters}{want.shape}.",
                    checked="shape",
                )
            if want.dtype.kind == "b" and got.dtype.kind != "b":
                raise _Failure(
                    f"`{name}` must be bool (True or False); yours has dtype {got.dtype}.",
                    got=got,
                    checked="dtype",
                )

    def _test(self, prop: Property, expected, case: Case, rng):
        try:
            prop.test(self, case, rng)
        except _Failure:
            raise
        except Mismatch as mismatch:
            failure = _Failure(
                f"Checked: {prop.name}. {mismatch.text}",
                mismatch.expected,
                mismatch.got,
                checked=prop.name,
            )
            failure.labels = mismatch.labels
            wrong = self._wrong(expected, case)
            if wrong:  # the result itself is wrong already: show it against the definition's
                failure.expected, failure.got = expected[wrong], self.result[wrong]
                failure.labels = (f"expected {wrong}", f"your {wrong}")
            raise failure from None

    def _wrong(self, expected, case: Case) -> str | None:
        """The name of the first output that is not what the definition gives."""
        tolerance = self.exercise._tolerance(case)
        return next(
            (n for n, x in expected.items() if not same(x, self.result[n], *tolerance)), None
        )

    def _compare(self, expected, case: Case):
        name = self._wrong(expected, case)
        if name is None:
            return
        want, got = expected[name], self.result[name]
        text = f"`{name}` is not what the definition gives."
        if isinstance(got, np.ndarray) and got.dtype.kind == "f":
            bad = int((~np.isfinite(got)).sum() - (~np.isfinite(want)).sum())
            if bad > 0:
                text = f"`{name}` holds {bad} value{'s' * (bad != 1)} that are NaN or infinite."
        raise _Failure(text, expected=want, got=got, checked="definition")

    def _compare_value(self):
        exercise = self.exercise
        want, got = to_output(exercise.reference()), to_output(self.candidate)
        numbers = _truths_as_numbers(want), _truths_as_numbers(got)
        if not same(*numbers, exercise.rtol, exercise.atol):
            text = (
                "That is not what happens. Think it through again, then let the next cells show it."
            )
            if _kind(want) != _kind(got):
                text = f"The answer is {_kind(want)}; yours is {_kind(got)}."
            raise _Failure(text, got=got, checked="value")


def _truths_as_numbers(x):
    """A value in which True is 1 and False is 0, so that either may be written."""
    if isinstance(x, list | tuple):
        return [_truths_as_numbers(part) for part in x]
    x = to_output(x)
    return x.astype(int) if isinstance(x, np.ndarray) and x.dtype.kind == "b" else x


def _kind(x) -> str:
    if isinstance(x, np.ndarray):
        if x.dtype.kind not in "bifu":
            return f"an array of {x.dtype}"
        return (
            "one number" if x.ndim == 0 else f"{x.shape[0]} numbers" if x.ndim == 1 else "an array"
        )
    name = type(x).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _short(error) -> str:
    try:
        text = str(error)
    except Exception:
        return "(an error that cannot be printed)"
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)  # Keras prints in bold
    inner = re.match(r"Exception encountered when calling .*?\n\n(.*?)\n\nArguments", text, re.S)
    text = inner[1] if inner else text
    text = re.sub(
        r"\{\{function_node .*?\}\} ?| ?\[Op:\w+\]( name: ?)?", "", text
    )  # TensorFlow's own
    return text if len(text) <= 300 else text[:300] + " …"


_PACKAGE = str(Path(__file__).resolve().parent.parent)


def _where(error) -> str:
    """The learner's own line that raised, if it can be found."""
    try:
        frames = traceback.extract_tb(error.__traceback__)
    except Exception:
        return ""
    for frame in reversed(frames):
        if "site-packages" in frame.filename or frame.filename.startswith(_PACKAGE):
            continue
        line = linecache.getline(frame.filename, frame.lineno or 0).strip()
        return f"\n  in line {frame.lineno} of your cell: {line}" if line else ""
    return ""
