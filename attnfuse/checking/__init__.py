"""The check engine: run an exercise's cases, compare, name the slips, show the counterexample."""

from attnfuse.checking import properties
from attnfuse.checking.exercise import (
    Case,
    Exercise,
    Mismatch,
    Property,
    Verdict,
)
from attnfuse.checking.quizzes import Quiz

__all__ = [
    "Case",
    "Exercise",
    "Mismatch",
    "Property",
    "Quiz",
    "Verdict",
    "properties",
]
