"""Train Keras models with one line of progress."""

import sys
import time
from collections.abc import Iterable, Iterator

import numpy as np

from attnfuse import settings
from attnfuse.settings import quiet

with quiet():
    import keras


def show_line(text: str, handle=None):
    """Print a line, or replace the one that `handle` stands for; returns the handle."""
    if not _in_notebook():
        sys.stdout.write(f"\r{text:<79}" if handle else text)
        sys.stdout.flush()
        return True
    from IPython.display import display

    line = {"text/plain": text}
    if handle is None:
        return display(line, raw=True, display_id=True)
    handle.update(line, raw=True)
    return handle


def _in_notebook() -> bool:
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return type(get_ipython()).__name__ not in ("NoneType", "TerminalInteractiveShell")


def announce(items: Iterable[tuple], text: str, done: str) -> Iterator[tuple]:
    """The items, each after one line of progress has been rewritten: `text.format(*item)`, at the end `done`."""
    line = None
    for item in items:
        line = show_line(text.format(*item), line)
        yield item
    show_line(done, line)


class Progress(keras.callbacks.Callback):
    """One line that is rewritten after every epoch: name, bar, epoch, loss, seconds."""

    def __init__(self, name: str = "training"):
        super().__init__()
        self.name, self.handle, self.seconds = name, None, 0.0

    def on_train_begin(self, logs=None):
        self.start = time.perf_counter()
        self.handle = show_line(f"{self.name}: starting …")

    def on_epoch_end(self, epoch, logs=None):
        done, total = epoch + 1, self.params["epochs"]
        self.seconds = time.perf_counter() - self.start
        bar = "█" * round(20 * done / total)
        loss = f" · loss {logs['loss']:.3f}" if logs and "loss" in logs else ""
        self.handle = show_line(
            f"{self.name} {bar:░<20} epoch {done}/{total}{loss} · {self.seconds:.0f} s", self.handle
        )

    def on_train_end(self, logs=None):
        if self.handle is True:
            print()


def compile_for_logits(model, steps: int, rate: float, rise: int, **options) -> None:
    """Compile a model that returns logits: cross-entropy and Adam.

    Args:
        steps: of the whole training.
        rate: the highest learning rate, reached after `rise` steps from a tenth of it; then it falls to
            0 along a cosine.
        options: Adam's.
    """
    rates = keras.optimizers.schedules.CosineDecay(
        rate / 10, steps, warmup_target=rate, warmup_steps=rise
    )
    model.compile(
        optimizer=keras.optimizers.Adam(rates, **options),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,  # on a CPU a GRU is then twice as fast
        steps_per_execution=10,  # fewer returns to Python; the result is the same
    )


def must_hold_rows(**parts) -> None:
    """Raise ValueError if a part is empty: there is nothing to learn from, or to take a mean of."""
    for name, part in parts.items():
        if not len(part):
            raise ValueError(f"{name} holds no rows (axis 0 is empty)")


def build_optimizer(model) -> None:
    """Make a compiled model's optimizer variables now: made in its first step, they cost a second tracing."""
    if model.built and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def fit(model, x, y, *, epochs: int, name: str = "training", **options) -> dict[str, list[float]]:
    """`model.fit` with one line of progress instead of Keras's own output.

    Args:
        model: a compiled Keras model.
        x, y: what `model.fit` takes.
        epochs: how many passes (one in quick mode).
        name: the word in front of the progress line.
        options: passed to `model.fit` (batch_size, validation_data, …).

    Returns:
        Keras's history (name of the metric → value per epoch), and the training time so far per
        epoch under `"seconds"`.
    """
    seconds: list[float] = []
    progress = Progress(name)
    clock = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seconds.append(progress.seconds)
    )
    callbacks = [progress, clock, *options.pop("callbacks", [])]
    build_optimizer(model)
    history = model.fit(
        x, y, epochs=settings.epochs(epochs), verbose=0, callbacks=callbacks, **options
    )
    return {**history.history, "seconds": seconds}


def fit_small(
    model, x, y, epochs: int, seed: int, rate: float = 5e-3, batch_size: int = 64
) -> None:
    """Train for logits with cross-entropy: Adam, a learning rate that falls to zero along a cosine.

    For models so small that most of the time of `model.fit` goes into its bookkeeping per epoch: this
    loop over `train_on_batch` takes half of it.

    Args:
        model: a Keras model that returns logits.
        x: an array, or a list of arrays for several inputs; `y`: int labels.
        epochs: passes over the data (one in quick mode).
        seed: the order of the items.
        rate, batch_size: first learning rate; items per step (an incomplete batch is left out).

    Raises:
        ValueError: if there are no items, or not one label for each.
    """
    if not len(y) or any(len(part) != len(y) for part in (x if isinstance(x, list) else [x])):
        raise ValueError("x and y must have the same number of items (axis 0), at least one")
    epochs, batch_size = settings.epochs(epochs), min(batch_size, len(y))
    steps = len(y) // batch_size
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, epochs * steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
        run_eagerly=settings.quick(),  # for a step or two a compiled graph does not pay
    )
    build_optimizer(model)
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(y))[: steps * batch_size]
        for rows in order.reshape(steps, batch_size):
            batch = [part[rows] for part in x] if isinstance(x, list) else x[rows]
            model.train_on_batch(batch, y[rows])
