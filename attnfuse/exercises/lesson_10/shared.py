"""What the exercises of lesson 10 share."""

from attnfuse.checking import Mismatch, Property
from attnfuse.driving import Raised

LESSON = "10_cross_modal_attention"


def refused(*_):
    """TensorFlow multiplies only what fits."""
    raise Raised("InvalidArgumentError")


def product(x, matrix):
    """`x @ matrix`, or TensorFlow's refusal."""
    return x @ matrix if x.shape[-1] == matrix.shape[0] else refused()


def learn(names):
    """A property: a gradient reaches each of these weights."""

    def test(attempt, case, rng):
        for name, found in zip(names, attempt.result["learns"], strict=True):
            if not found:
                raise Mismatch(f"No gradient reaches `{name}`: it would never be trained.")

    return Property("weights learn", test)
