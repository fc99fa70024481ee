"""Judge an answer that lives in another process: inputs go out as arrays, an outcome comes back.

A message is JSON beside arrays in NumPy's own format: nothing is unpickled. While an answer is called
it may call the functions of its case; those calls come back to the judge, who alone has the functions.
"""

import builtins
import io
import json
from collections.abc import Callable
from importlib import import_module
from typing import Any, BinaryIO

import numpy as np

from attnfuse.driving.answer import Answer, Local, Outcome
from attnfuse.driving.values import NUMBERS, Handle, Opaque

LIMIT = 256 * 2**20  # bytes of one message


class WireError(Exception):
    """The other side has ended, or sent something that is no message."""


def pack(value, hand: Callable[[Handle], int] | None = None) -> bytes:
    """Turn arrays, plain values, lists, tuples, dicts and handles into bytes.

    Args:
        value: what is sent. Anything else becomes `Opaque`.
        hand: gives a handle its number; without it, functions become `Opaque`, too.
    """
    arrays: list[np.ndarray] = []

    def tree(x):
        if x is None or isinstance(x, bool | int | float | str):
            return x
        if isinstance(x, np.ndarray | np.generic) and np.asarray(x).dtype.kind in NUMBERS:
            arrays.append(np.asarray(x))
            return {"array": len(arrays) - 1}
        if isinstance(x, list):
            return [tree(part) for part in x]
        if isinstance(x, tuple):
            return {"tuple": [tree(part) for part in x]}
        if isinstance(x, dict):
            return {"dict": [[tree(key), tree(part)] for key, part in x.items()]}
        if isinstance(x, Handle) and hand:
            return {"handle": hand(x), "name": x.name}
        return {"opaque": x.type if isinstance(x, Opaque) else type(x).__name__}

    text = json.dumps(tree(value))
    buffer = io.BytesIO()
    np.savez(buffer, text=np.array(text), **{f"a{i}": x for i, x in enumerate(arrays)})
    return buffer.getvalue()


def unpack(message: bytes, function: Callable[[int, str], Any] | None = None):
    """The value that was packed; `function(number, name)` makes what stands for a handle."""
    try:
        with np.load(io.BytesIO(message), allow_pickle=False) as parts:
            arrays = {name: parts[name] for name in parts.files}
        text = json.loads(arrays.pop("text").item())
    except Exception as error:
        raise WireError(f"not a message: {error}") from None

    def value(x):
        if isinstance(x, list):
            return [value(part) for part in x]
        if not isinstance(x, dict):
            return x
        if "array" in x:
            return arrays[f"a{x['array']}"]
        if "tuple" in x:
            return tuple(value(part) for part in x["tuple"])
        if "dict" in x:
            return {value(key): value(part) for key, part in x["dict"]}
        if "handle" in x and function:
            return function(x["handle"], x["name"])
        return Opaque(x.get("opaque", "function"))

    return value(text)


def send(stream: BinaryIO, message: bytes) -> None:
    try:
        stream.write(len(message).to_bytes(8, "little") + message)
        stream.flush()
    except (OSError, ValueError) as error:
        raise WireError(f"the other side has ended: {error}") from None


def receive(stream: BinaryIO) -> bytes:
    size = int.from_bytes(_exactly(stream, 8), "little")
    if size > LIMIT:
        raise WireError(f"a message of {size} bytes")
    return _exactly(stream, size)


def _exactly(stream, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = stream.read(size - len(parts))
        if not part:
            raise WireError("the other side has ended")
        parts += part
    return bytes(parts)


class Remote(Answer):
    """An answer in another process that runs `serve`.

    Args:
        to, back: streams to and from that process.
        name: which answer is meant.
        exercise: gives driver, switched-off names and form; none of its judgements is sent.
    """

    def __init__(self, to: BinaryIO, back: BinaryIO, name: str, exercise):
        self.to, self.back = to, back
        run = exercise.run and [exercise.run.__module__, exercise.run.__qualname__]
        self.call = {
            "name": name,
            "run": run,
            "own": list(exercise.own),
            "several": exercise.several,
            "value": exercise.value,
        }

    def __call__(self, inputs):
        handles: list[Handle] = []

        def hand(handle):
            handles.append(handle)
            return len(handles) - 1

        send(self.to, pack(self.call | {"inputs": dict(inputs)}, hand))
        while True:
            reply = unpack(receive(self.back))
            if "outcome" in reply:
                return Outcome(**reply["outcome"])
            try:
                result = handles[reply["handle"]](*reply["args"], **reply["kwargs"])
                answer = {"result": result}
            except Exception as error:
                answer = {"error": type(error).__name__, "text": str(error)}
            send(self.to, pack(answer))


def serve(find: Callable[[str], Any], to: BinaryIO, back: BinaryIO) -> None:
    """Call answers for a judge in another process until the stream ends.

    Args:
        find: name → the answer.
        to, back: streams to and from the judge.
    """

    def function(number, name):
        def handed(*args, **kwargs):
            send(to, pack({"handle": number, "args": list(args), "kwargs": kwargs}))
            reply = unpack(receive(back))
            if "error" in reply:
                raise _error(reply["error"])(reply["text"])
            return reply["result"]

        return Handle(name, handed)

    while True:
        try:
            call = unpack(receive(back), function)
        except WireError:
            return
        module, name = call["run"] or (None, None)
        run = getattr(import_module(module), name) if module else None
        answer = Local(find(call["name"]), run, call["own"], call["several"], call["value"])
        send(to, pack({"outcome": vars(answer(call["inputs"]))}))


def _error(name: str) -> type[Exception]:
    """The built-in error of this name, as a learner's `except` would expect it."""
    found = getattr(builtins, name, None)
    fits = isinstance(found, type) and issubclass(found, Exception)
    return found if fits else RuntimeError
