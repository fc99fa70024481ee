"""Call an answer safely: on copies, silenced, and with every way to fail turned into words."""

import contextlib
import inspect
import io
import linecache
import re
import traceback
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attnfuse.driving.values import Handle, copy_of, to_output
from attnfuse.own import WriteYourOwn, switched_off
from attnfuse.settings import in_float32

_PACKAGE = str(Path(__file__).resolve().parent.parent)


class Unusable(Exception):
    """Raised by a driver: the answer cannot be called as it is; the text tells the learner why."""


class Raised(Exception):
    """Raised by a sketch: here the slip makes TensorFlow or Keras raise an error of this `type`."""

    def __init__(self, type: str):
        super().__init__(type)
        self.type = type


@dataclass(frozen=True)
class Outcome:
    """What an answer did with its inputs.

    Args:
        value: what it returned: arrays, plain values, or a list of them where several are asked for.
        error: empty, or the kind of failure: `"written"`, `"arity"`, `"own"`, `"stopped"`,
            `"unusable …"`, `"raised ValueError"`.
        text: the failure in words.
        changed: names of the inputs that it changed.
        lines: how many lines it printed.
    """

    value: Any = None
    error: str = ""
    text: str = ""
    changed: Sequence[str] = ()
    lines: int = 0


class Answer(ABC):
    """Something that can be judged: inputs go in, an `Outcome` comes out."""

    @abstractmethod
    def __call__(self, inputs: Mapping[str, Any]) -> Outcome: ...


class Local(Answer):
    """An answer in this process, called in float32 whatever dtype policy it was written under.

    Args:
        candidate: the learner's object.
        run: the driver, or None for a plain function called by keyword.
        own: dotted names of the course's functions that are switched off meanwhile.
        several: whether more than one output is asked for.
        value: whether the answer is a value and not something to call.
    """

    def __init__(self, candidate, run: Callable | None = None, own=(), several=False, value=False):
        self.candidate, self.run, self.own = candidate, run, own
        self.several, self.value = several, value

    def __call__(self, inputs):
        sink = _Sink()
        try:
            self._refuse_unwritten()
            if self.value:
                return Outcome(self._converted(self.candidate))
            given = {name: copy_of(x) for name, x in inputs.items()}
            raw = self._call({name: _function(x) for name, x in given.items()}, sink)
        except _Stop as stop:
            return Outcome(error=stop.error, text=stop.text, lines=sink.lines)
        changed = [
            n for n, x in inputs.items() if isinstance(x, np.ndarray) and differ(x, given[n])
        ]
        return Outcome(self._converted(raw), changed=changed, lines=sink.lines)

    def _refuse_unwritten(self):
        if self.candidate is None or self.candidate is Ellipsis:
            raise _Stop("written", "There is no answer yet.")
        if not self.value and not callable(self.candidate) and self.run is None:
            kind = kind_of(to_output(self.candidate))
            raise _Stop(
                "written",
                f"check needs the function itself, not {kind}: no parentheses after its name.",
            )

    def _call(self, inputs, sink):
        if self.run is None:
            self._bind(inputs)
        call = self.run or (lambda candidate, **given: candidate(**given))
        try:
            with (
                contextlib.redirect_stdout(sink),
                contextlib.redirect_stderr(sink),
                warnings.catch_warnings(),
                np.errstate(all="ignore"),
                switched_off(self.own),
                in_float32(),
            ):
                warnings.simplefilter("ignore")
                return call(self.candidate, **inputs)
        except Unusable as error:
            raise _Stop(f"unusable {error}", str(error)) from None
        except WriteYourOwn as error:
            raise _Stop("own", f"Write your own: {_short(error)}.") from None
        except NotImplementedError:
            raise _Stop("written", "There is no answer yet.") from None
        except KeyboardInterrupt:
            text = "Stopped. Your answer was still running: does a loop never end?"
            raise _Stop("stopped", text) from None
        except (Exception, SystemExit) as error:
            text = f"Your answer raised {type(error).__name__}: {_short(error)}{_where(error)}"
            raise _Stop(f"raised {type(error).__name__}", text) from None

    def _bind(self, inputs):
        try:
            signature = inspect.signature(self.candidate)
        except (TypeError, ValueError):
            return
        try:
            signature.bind(**inputs)
        except TypeError:
            name = getattr(self.candidate, "__name__", "your function")
            raise _Stop(
                "arity",
                f"Your function is {name}{signature}; it is called with "
                f"{', '.join(inputs)}. Keep the names of the parameters.",
            ) from None

    def _converted(self, raw):
        if self.several and isinstance(raw, tuple | list):
            return [to_output(x) for x in raw]
        return None if raw is Ellipsis else to_output(raw)


class _Stop(Exception):
    def __init__(self, error: str, text: str):
        super().__init__(text)
        self.error, self.text = error, text


class _Sink(io.TextIOBase):
    """Counts what an answer prints and keeps none of it."""

    def __init__(self):
        self.lines = 0

    def writable(self):
        return True

    def write(self, text):
        self.lines += text.count("\n")
        return len(text)


def _function(x):
    """A handle as a plain function: it shows neither its name nor what is behind it."""
    if not isinstance(x, Handle):
        return x
    return lambda *args, **kwargs: x(*args, **kwargs)


def differ(before: np.ndarray, after) -> bool:
    same_form = before.shape == after.shape and before.dtype == after.dtype
    return not same_form or not np.array_equal(before, after, equal_nan=before.dtype.kind in "fc")


def kind_of(x) -> str:
    """`an array`, `3 numbers`, `a str`: what a learner handed over."""
    if isinstance(x, np.ndarray):
        if x.dtype.kind not in "bifu":
            return f"an array of {x.dtype}"
        if x.ndim == 0:
            return "one number"
        if x.ndim > 1:
            return f"an array of shape {x.shape}"
        return f"a list of {x.shape[0]} number{'s' * (x.shape[0] != 1)}"
    name = getattr(x, "type", None) or type(x).__name__
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
