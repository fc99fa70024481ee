"""Train a Keras model with one line of progress."""

import sys
import time

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
