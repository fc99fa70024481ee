"""Judge one answer: run the cases, find the first mechanism that fails, say it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from attnfuse.checking.exercise import Case, Exercise, Mismatch, Property, Verdict
from attnfuse.checking.recognise import Found, recognise
from attnfuse.checking.show import same, show, show_both
from attnfuse.driving import Answer, Outcome, copy_of, to_output
from attnfuse.driving.answer import kind_of

# Failures that no inputs explain, and that no slip is looked for behind.
BARE = ("written", "none", "arity", "own", "stopped")


class Failure(Mismatch):
    """Any reason to reject an answer, with the case that shows it; `checked` is what was looked at."""

    def __init__(
        self, text, expected=None, got=None, labels=("expected", "yours"), inputs=None, checked=""
    ):
        super().__init__(text, expected, got, labels, inputs)
        self.checked, self.note, self.case = checked, "", 0


def judge(exercise: Exercise, answer: Answer, seed: int, recognising: bool) -> Verdict:
    attempt = Attempt(exercise, answer, exercise.drawn_cases(seed), seed)
    failure = attempt.first_failure()
    if failure is None:
        return Verdict(exercise.name, True, _praise(attempt), seed=seed)
    found, holds = None, ""
    if recognising and failure.checked not in BARE:
        found = recognise(exercise, attempt, failure.case)
        if found is None and not exercise.value:
            failure, holds = attempt.what_holds(failure)
    message = _message(attempt, failure, found, holds)
    return Verdict(exercise.name, False, message, found.name if found else None, seed)


class Attempt:
    """An answer on the cases of one seed. Calling it with inputs returns `{output name: array}`;
    `result` is that of the case being judged."""

    def __init__(self, exercise: Exercise, answer: Answer, cases: Sequence[Case], seed: int = 0):
        self.exercise, self.answer, self.cases, self.seed = exercise, answer, cases, seed
        self.result: dict[str, Any] = {}
        self.lines = 0
        self._results: dict[int, dict[str, Any] | Failure] = {}
        self._expected: dict[int, dict[str, Any]] = {}
        self._behaviours: dict[int, dict] = {}

    def __call__(self, **inputs) -> dict[str, Any]:
        outcome = self.answer(inputs)
        self.lines += outcome.lines
        if outcome.error:
            raise Failure(outcome.text, inputs=inputs, checked=outcome.error)
        if outcome.changed:
            raise Failure(
                f"Your function changed its input `{outcome.changed[0]}`. Work on a copy.",
                inputs=inputs,
                checked="inputs",
            )
        return self._named(outcome)

    def on(self, i: int) -> dict[str, Any]:
        """The outputs on case `i`, the answer being called once."""
        if i not in self._results:
            try:
                self._results[i] = self(**self.cases[i].inputs)
            except Failure as failure:
                self._results[i] = failure
        found = self._results[i]
        if isinstance(found, Failure):
            raise found
        return found

    def behaviour(self, i: int) -> dict:
        """What happens on case `i`, in a form that can be compared with another's."""
        if i not in self._behaviours:
            try:
                self.result = self.on(i)
                seen = self.exercise.seen
                found = seen(self, self.cases[i]) if seen else self.result
                if self.exercise.value:
                    found = {name: _truths_as_numbers(x) for name, x in found.items()}
                self._behaviours[i] = found
            except Failure as failure:
                self._behaviours[i] = {"failure": failure.checked}
        return self._behaviours[i]

    def first_failure(self) -> Failure | None:
        """The first thing wrong, on the smallest case."""
        for i in range(len(self.cases)):
            for _, test in self._mechanisms():
                failure = self._failure(test, i)
                if failure:
                    return failure
        return None

    def what_holds(self, failure: Failure) -> tuple[Failure, str]:
        """The first mechanism that fails on any case, and a line that says which ones hold."""
        held = []
        for name, test in self._mechanisms():
            for i, case in enumerate(self.cases):
                found = self._failure(test, i)
                if found is None:
                    continue
                if name == "runs":
                    return found, ""
                if name == "result":
                    right = [c.note for c in self.cases[:i] if c.note][-3:]
                    held += [f"{note} ✓" for note in right]
                    name = case.note or name
                return found, " · ".join([*held, f"{name} ✗"])
            if name != "runs":
                held.append(f"{name} ✓")
        return failure, ""

    def _mechanisms(self) -> list:
        tests = [("runs", self._runs)]
        if not self.exercise.seen:
            tests.append(("shape", self._shapes))
        tests += [(p.name, self._tester(p)) for p in self.exercise.properties]
        if not self.exercise.seen:
            tests.append(("result", self._compare))
        return tests

    def _failure(self, test, i: int) -> Failure | None:
        try:
            self.result = self.on(i)
            test(i)
        except Failure as failure:
            if failure.checked not in BARE:
                failure.inputs = failure.inputs or self.cases[i].inputs
                failure.note = failure.note or self.cases[i].note
            failure.case = i
            return failure
        return None

    def _named(self, outcome: Outcome) -> dict[str, Any]:
        names, raw = list(self.exercise.outputs), outcome.value
        if raw is None:
            raise Failure(
                "Your answer returns None: it is not written yet, or the `return` is missing.",
                checked="none",
            )
        if len(names) == 1:
            return {names[0]: raw}
        if isinstance(raw, np.ndarray) and raw.ndim:
            raw = [np.asarray(x) for x in raw]
        if not isinstance(raw, list) or len(raw) != len(names):
            got = (
                f"{len(raw)} thing{'s' * (len(raw) != 1)}"
                if isinstance(raw, list)
                else kind_of(raw)
            )
            raise Failure(
                f"Return {len(names)} things, ({', '.join(names)}); yours returns {got}.",
                checked="outputs",
            )
        for name, x in zip(names, raw, strict=True):
            if x is None:
                raise Failure(f"`{name}` is None.", checked="none")
        return dict(zip(names, raw, strict=True))

    def expected(self, i: int) -> dict[str, Any]:
        """What the definition gives on case `i`."""
        if i not in self._expected:
            inputs = {name: copy_of(x) for name, x in self.cases[i].inputs.items()}
            raw = self.exercise.reference(**inputs)
            parts = raw if self.exercise.several else [raw]
            named = zip(self.exercise.outputs, parts, strict=True)
            self._expected[i] = {name: to_output(x) for name, x in named}
        return self._expected[i]

    def _runs(self, i):
        """Calling it was enough."""

    def _shapes(self, i):
        for name, want in self.expected(i).items():
            got = self.result[name]
            if self.exercise.value:
                want, got = _truths_as_numbers(want), _truths_as_numbers(got)
                if kind_of(want) != kind_of(got):
                    raise Failure(
                        f"The answer is {kind_of(want)}; yours is {kind_of(got)}.", checked="shape"
                    )
            elif not isinstance(want, np.ndarray):
                both_rows = isinstance(got, list | tuple) and isinstance(want, list | tuple)
                if type(got) is not type(want) and not both_rows:
                    raise Failure(
                        f"`{name}` must be {kind_of(want)}; yours is {kind_of(got)}.",
                        checked="type",
                    )
            else:
                self._shape(name, want, got)

    def _shape(self, name, want, got):
        if not isinstance(got, np.ndarray) or got.dtype.kind not in "bifu":
            raise Failure(
                f"`{name}` must hold numbers; yours is {kind_of(got)}.", got=got, checked="type"
            )
        if got.shape != want.shape:
            letters = ", ".join(self.exercise.outputs[name].split())
            letters = f"({letters}) = " if letters else ""
            short = (want, got) if max(want.ndim, got.ndim) < 2 else (None, None)
            raise Failure(
                f"`{name}` has shape {got.shape}; expected {letters}{want.shape}.",
                *short,
                checked="shape",
            )
        if want.dtype.kind == "b" and got.dtype.kind != "b":
            raise Failure(
                f"`{name}` must be bool (True or False); yours has dtype {got.dtype}.",
                got=got,
                checked="dtype",
            )

    def _tester(self, prop: Property):
        def test(i):
            try:
                prop.test(self, self.cases[i], np.random.default_rng([self.seed, i]))
            except Failure:
                raise
            except Mismatch as mismatch:
                failure = Failure(
                    mismatch.text,
                    mismatch.expected,
                    mismatch.got,
                    mismatch.labels,
                    mismatch.inputs,
                    checked=prop.name,
                )
                wrong = None if self.exercise.seen or self.exercise.value else self._wrong(i)
                if (
                    wrong and not mismatch.inputs
                ):  # the result itself is wrong already: show it against the definition's
                    failure.expected, failure.got = self.expected(i)[wrong], self.result[wrong]
                    failure.labels = (f"expected {wrong}", f"your {wrong}")
                raise failure from None

        return test

    def _wrong(self, i: int) -> str | None:
        """The name of the first output that is not what the definition gives."""
        tolerance = self.exercise.tolerance(self.cases[i])
        named = self.expected(i).items()
        return next((n for n, x in named if not same(x, self.result[n], *tolerance)), None)

    def _compare(self, i: int):
        if self.exercise.value:
            return self._compare_value(i)
        name = self._wrong(i)
        if name is None:
            return
        want, got = self.expected(i)[name], self.result[name]
        text = f"`{name}` is not what the definition gives."
        if isinstance(got, np.ndarray) and got.dtype.kind == "f":
            bad = int((~np.isfinite(got)).sum() - (~np.isfinite(want)).sum())
            if bad > 0:
                text = f"`{name}` holds {bad} value{'s' * (bad != 1)} that are NaN or infinite."
        raise Failure(text, want, got, checked="definition")

    def _compare_value(self, i: int):
        """The right value is not shown."""
        tolerance = self.exercise.rtol, self.exercise.atol
        for name, want in self.expected(i).items():
            got = self.result[name]
            if not same(_truths_as_numbers(want), _truths_as_numbers(got), *tolerance):
                raise Failure(
                    "That is not what happens. Think it through again, then let the next cells show it.",
                    got=got,
                    checked="value",
                )


def _truths_as_numbers(x):
    """A value in which True is 1 and False is 0, so that either may be written."""
    if isinstance(x, list | tuple):
        return [_truths_as_numbers(part) for part in x]
    x = to_output(x)
    return x.astype(int) if isinstance(x, np.ndarray) and x.dtype.kind == "b" else x


def _praise(attempt: Attempt) -> str:
    exercise, number = attempt.exercise, len(attempt.cases)
    worth = f" · {exercise.points} point{'s' * (exercise.points != 1)}" if exercise.points else ""
    cases = "" if exercise.value else f" · {number} case{'s' * (number != 1)}"
    return f"✓ {exercise.name}{cases}{worth}{_printed(attempt)}"


def _printed(attempt: Attempt) -> str:
    lines = attempt.lines
    return f" · {lines} printed line{'s' * (lines != 1)} not shown" if lines else ""


def _message(attempt: Attempt, failure: Failure, found: Found | None, holds: str) -> str:
    lines = [f"✗ {attempt.exercise.name}"]
    if found:
        lines += [*found.says, ""]
    if holds:
        lines += [holds, ""]
    if failure.text:
        lines.append(failure.text)
    if failure.inputs:
        lines.append(f"On this case{failure.note and f' ({failure.note})'}:")
        lines += [show(name, x) for name, x in failure.inputs.items()]
    lines += show_both(failure.labels, failure.expected, failure.got)
    if attempt.lines:
        lines.append(_printed(attempt).strip(" ·"))
    again = (
        ""
        if attempt.exercise.value or not failure.inputs
        else f" Same case again: seed={attempt.seed}."
    )
    lines += ["", f"Read again: {attempt.exercise.reread}.{again}"]
    return "\n".join(lines)
