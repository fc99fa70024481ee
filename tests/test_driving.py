"""An answer in another process gets the verdicts that it gets here: arrays cross, judgements do not.

And whatever precision a learner has chosen, answers are judged in float32.
"""

import contextlib
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from answer_process import find
from test_kill_matrix import right_answers

from attnfuse.driving import Handle, Opaque, Outcome, wire
from attnfuse.driving.answer import Local
from attnfuse.exercises import EXERCISES
from attnfuse.settings import in_float32

ALL = list(EXERCISES.values())
IN_KERAS = [e for e in ALL if "05" <= e.lesson[:2] <= "09" and not e.value]


@contextlib.contextmanager
def started(*options):
    script = Path(__file__).with_name("answer_process.py")
    with subprocess.Popen(
        [sys.executable, str(script), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        yield child.stdin, child.stdout
        child.stdin.close()


@pytest.fixture(scope="module")
def process():
    with started() as streams:
        yield streams


@pytest.fixture(scope="module")
def narrow_process():
    with started("mixed_float16") as streams:
        yield streams


@pytest.mark.parametrize("exercise", ALL, ids=lambda e: e.name)
def test_the_same_verdict_from_another_process(process, exercise):
    last = len(right_answers(exercise)) - 1
    for name, passes in ((f"{exercise.name} {last}", True), (f"{exercise.name} {last} off", False)):
        here = exercise.judge(find(name), seed=7)
        there = exercise.judge(wire.Remote(*process, name, exercise), seed=7)
        assert there == here
        assert here.passed == passes, here.message


@pytest.mark.parametrize("exercise", IN_KERAS, ids=lambda e: e.name)
def test_another_process_with_another_precision(narrow_process, exercise):
    name = f"{exercise.name} {len(right_answers(exercise)) - 1}"
    verdict = exercise.judge(wire.Remote(*narrow_process, name, exercise), seed=7)
    assert verdict.passed, verdict.message


@pytest.fixture
def keras():
    """Keras; its settings are put back."""
    keras = pytest.importorskip("keras")
    before = keras.config.floatx(), keras.config.dtype_policy()
    yield keras
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])


@pytest.mark.parametrize(
    ("floatx", "policy"),
    [
        ("float32", "mixed_float16"),
        ("float32", "mixed_bfloat16"),
        ("float16", "float16"),
        ("float64", "float64"),
    ],
)
def test_judged_in_float32_whatever_the_learner_chose(keras, floatx, policy):
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)
    for exercise in IN_KERAS:
        for answer in right_answers(exercise):
            verdict = exercise.judge(answer, seed=7)
            assert verdict.passed, verdict.message
    assert keras.config.floatx() == floatx
    assert keras.config.dtype_policy().name == policy


def test_on_a_gpu_products_are_not_rounded_while_judging(keras):
    """TF32 would leave three digits; a layer of another dtype, asked for by name, stays what it is."""
    import tensorflow as tf

    rounding = tf.config.experimental.tensor_float_32_execution_enabled
    assert rounding()

    def answer(x):
        return [rounding(), keras.layers.Layer().dtype == keras.config.floatx() == "float32"]

    keras.config.set_dtype_policy("mixed_float16")
    assert Local(answer)({"x": np.ones(2)}).value.tolist() == [False, True]
    with pytest.raises(KeyboardInterrupt), in_float32():  # restored however the answer ends
        raise KeyboardInterrupt
    assert rounding()
    assert keras.config.dtype_policy().name == "mixed_float16"


def test_bfloat16_results_are_numbers(keras):
    def answer(x):
        return keras.ops.cast(x, "bfloat16")

    assert Local(answer)({"x": np.array([1.5, -2.0])}).value.tolist() == [1.5, -2]


@pytest.mark.parametrize("exercise", [e for e in ALL if e.run], ids=lambda e: e.name)
def test_drivers_know_no_judgement(exercise):
    assert exercise.run.__module__.startswith("attnfuse.driving.")


def test_the_answers_side_loads_no_exercise():
    code = (
        "import sys, pkgutil, importlib, attnfuse.driving as d\n"
        "for m in pkgutil.iter_modules(d.__path__): importlib.import_module(d.__name__ + '.' + m.name)\n"
        "bad = [m for m in sys.modules if m.startswith(('attnfuse.exercises', 'attnfuse.checking'))]\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


VALUES = [
    None,
    True,
    3,
    2.5,
    float("nan"),
    "text",
    [1, [2.0, None]],
    (1, "a"),
    {"a": 1, 2: (3,)},
    Opaque("Tensor"),
]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_plain_values_cross(value):
    assert str(wire.unpack(wire.pack(value))) == str(value)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16, np.float64, complex])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_arrays_cross_to_the_bit(dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    got = wire.unpack(wire.pack({"x": array}))["x"]
    assert got.dtype == array.dtype
    assert np.array_equal(got, array)
    assert got.shape == shape


def test_other_objects_do_not_cross():
    assert wire.unpack(wire.pack([object(), np.array([object()]), len])) == [
        Opaque("object"),
        Opaque("ndarray"),
        Opaque("builtin_function_or_method"),
    ]


def test_what_is_no_message_is_refused():
    for message in (b"", b"hello", np.array([{}], dtype=object).dumps()):
        with pytest.raises(wire.WireError):
            wire.unpack(message)
    with pytest.raises(wire.WireError, match="bytes"):
        wire.receive(io.BytesIO((2**40).to_bytes(8, "little")))
    with pytest.raises(wire.WireError, match="ended"):
        wire.receive(io.BytesIO(b"\x09" + b"\0" * 7 + b"short"))


def test_a_function_handed_over_shows_neither_name_nor_code():
    def secret(x):
        return 2 * x

    seen = Local(lambda f: (f.__name__, f(3.0)) and [f.__name__ == "secret", f(3.0)])(
        {"f": Handle("a function", secret)}
    )
    assert list(seen.value) == [0, 6]


def test_changed_inputs_are_reported():
    def doubles(x, y):
        y *= 2
        return x

    outcome = Local(doubles)({"x": np.ones(2), "y": np.ones(2)})
    assert outcome == Outcome(outcome.value, changed=["y"])
