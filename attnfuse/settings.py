"""What every lesson shares: quick mode, claims, a quiet TensorFlow, and one precision to judge in."""

import os
import sys
from contextlib import contextmanager


def quick() -> bool:
    """True while the course tests itself with `ATTNFUSE_QUICK=1`: little data, one seed."""
    return os.environ.get("ATTNFUSE_QUICK", "") not in ("", "0")


def seeds(n: int) -> range:
    """The seeds to train with: `range(n)`, or one seed in quick mode."""
    return range(1 if quick() else n)


def epochs(n: int) -> int:
    """The number of epochs to train: `n`, or one in quick mode."""
    return 1 if quick() else n


def claim(text: str, holds) -> None:
    """State something about this run and stop if it is not so.

    Args:
        text: the sentence; printed with a tick.
        holds: the condition, a bool.

    Raises:
        AssertionError: if `holds` is false (never in quick mode, where models are hardly trained).
    """
    if quick():
        print(f"· {text} (not judged: quick mode)")
    elif holds:
        print(f"✓ {text}")
    else:
        raise AssertionError(f"This run does not show it: {text}")


@contextmanager
def in_float32():
    """Whatever dtypes somebody chose for Keras, and whatever rounding for a GPU: float32, in full.

    Inside, new layers compute in float32, and products are not rounded to TF32's 10 bits; at the end
    everything is as it was. Does nothing where Keras is not loaded.
    """
    keras, tensorflow = sys.modules.get("keras"), sys.modules.get("tensorflow")
    if keras is None:
        yield
        return

    def compute(floatx, policy, rounded):
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)
        if tensorflow:
            tensorflow.config.experimental.enable_tensor_float_32_execution(rounded)

    rounded = tensorflow and tensorflow.config.experimental.tensor_float_32_execution_enabled()
    before = keras.config.floatx(), keras.config.dtype_policy(), rounded
    compute("float32", "float32", False)
    try:
        yield
    finally:
        compute(*before)


@contextmanager
def quiet():
    """Load TensorFlow without its greetings.

    TensorFlow writes to the process's standard error while it is imported and when its first
    operation runs. Inside this block that stream goes nowhere; at its end one small operation runs
    if TensorFlow was loaded, so that later cells stay silent too. An exception inside still shows.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # no standard error at all: nothing to silence
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
        if "tensorflow" in sys.modules:
            sys.modules["tensorflow"].get_logger().setLevel("ERROR")  # no advice about retracing
            sys.modules["tensorflow"].zeros(1).numpy()
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
