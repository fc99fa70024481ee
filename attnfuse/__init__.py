"""attnfuse: a course on attention and multimodal fusion that grades itself.

In a notebook: `from attnfuse import check`, then `check("softmax", softmax)`.
Importing this package loads neither NumPy nor TensorFlow; every name below is loaded on first use.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {
    "check": "attnfuse.feedback",
    "hint": "attnfuse.feedback",
    "quiz": "attnfuse.feedback",
    "claim": "attnfuse.settings",
    "quiet": "attnfuse.settings",
}
__all__ = ["check", "claim", "hint", "quiet", "quiz"]


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'attnfuse' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
