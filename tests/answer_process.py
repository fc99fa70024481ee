"""An answer's own process, for tests: serves right answers and ones that are a little off.

With an argument, such as `mixed_float16`, that is the process's dtype policy from the start.
"""

import functools
import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tools")]


def find(name: str):
    """`attend 0` is the first right answer to `attend`; `attend 0 off` gives -1.1 times its numbers."""
    exercise, number, *off = name.split()
    from test_kill_matrix import right_answers

    from attnfuse.exercises import EXERCISES

    answer = right_answers(EXERCISES[exercise])[int(number)]
    return (off_value if EXERCISES[exercise].value else a_little_off)(answer) if off else answer


def off_value(answer):
    if isinstance(answer, str):
        return answer[::-1] + "?"
    return [off_value(x) for x in answer] if isinstance(answer, list | tuple) else answer + 1


def more(x):
    if isinstance(x, list | tuple):
        return type(x)(more(part) for part in x)
    try:
        return x * -1.1
    except Exception:
        return x


def a_little_off(answer):
    if isinstance(answer, type) and hasattr(answer, "call"):
        call = functools.wraps(answer.call)(lambda self, *a, **k: more(answer.call(self, *a, **k)))
        return type(answer.__name__, (answer,), {"call": call})
    return functools.wraps(answer)(lambda *a, **k: more(answer(*a, **k)))


if __name__ == "__main__":
    to, back = sys.stdout.buffer, sys.stdin.buffer
    sys.stdout = sys.stderr
    if sys.argv[1:]:
        import_module("keras").config.set_dtype_policy(sys.argv[1])
    module = import_module("attnfuse.driving.wire")
    module.serve(find, to, back)
