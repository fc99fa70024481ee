"""The check engine: run an exercise's cases, compare, name the slips, show the counterexample."""

from attnfuse.checking import properties
from attnfuse.checking.exercise import (
    Case,
    Exercise,
    Misconception,
    Mismatch,
    Property,
    Slip,
    Verdict,
)
from attnfuse.checking.quizzes import Option, Quiz

__all__ = [
    "Case",
    "Exercise",
    "Misconception",
    "Mismatch",
    "Option",
    "Property",
    "Quiz",
    "Slip",
    "Verdict",
    "properties",
]
