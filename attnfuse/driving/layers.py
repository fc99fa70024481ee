"""Make, weigh and call Keras layers: what the drivers of several lessons share."""

import contextlib

import numpy as np

from attnfuse.driving.answer import Unusable
from attnfuse.settings import quiet


def keras_module():
    """Keras, loaded without TensorFlow's greetings."""
    with quiet():
        import keras
    return keras


def make_layer(candidate, **options):
    """A layer from the class that a learner hands in."""
    if not isinstance(candidate, type):
        raise Unusable(
            "check needs the class itself, without parentheses, not a layer made from it."
        )
    return candidate(**options)


def set_weights(layer, **weights):
    """Put arrays into the weights of these names."""
    for name, value in weights.items():
        if not hasattr(layer, name):
            raise Unusable(f"The layer has no weight `{name}`. Keep `build` as it was given.")
        getattr(layer, name).assign(value)


# What TensorFlow says where learners slip → the same in plain words.
REFUSED = {
    "ndims must be >= 2": "TensorFlow refuses `@` with a vector on the right.",
    "must have compatible batch dimensions": "TensorFlow refuses the product: one array has an axis more.",
    "ConcatOp": "TensorFlow refuses to put arrays of different sizes side by side.",
}


@contextlib.contextmanager
def in_plain_words():
    """Turn the errors in `REFUSED`, which tell a learner little, into `Unusable`."""
    try:
        yield
    except Exception as error:
        for sign, text in REFUSED.items():
            if sign in str(error):
                raise Unusable(text) from None
        raise


def pair(outputs, names="(context, weights)", asked="`call`"):
    """Two outputs as arrays; None as it is."""
    if outputs is None or outputs is Ellipsis:
        return None
    if not isinstance(outputs, tuple | list) or len(outputs) != 2:
        raise Unusable(f"{asked} must return two things, {names}.")
    if any(x is None for x in outputs):
        return None
    return [np.asarray(x) for x in outputs]
