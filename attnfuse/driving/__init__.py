"""The answer's side of a check: call an answer on arrays, hand back arrays or what stopped it.

Nothing here knows what is right, and nothing here imports an exercise, so that an answer can be
driven in a process of its own. A *driver*, `run(candidate, **inputs) -> outputs`, says how an answer
that is not a plain function is called; drivers of one lesson stand in `attnfuse.driving.lesson_NN`.
"""

from attnfuse.driving.answer import Answer, Local, Outcome, Raised, Unusable
from attnfuse.driving.values import Handle, Opaque, copy_of, to_output

__all__ = [
    "Answer",
    "Handle",
    "Local",
    "Opaque",
    "Outcome",
    "Raised",
    "Unusable",
    "copy_of",
    "to_output",
]
