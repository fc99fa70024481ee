"""The check engine: run an exercise's cases, compare, name the misconception, show the counterexample."""

from attnfuse.checking import properties
from attnfuse.checking.exercise import (
    Attempt,
    Case,
    Exercise,
    Misconception,
    Mismatch,
    Property,
    Verdict,
)
from attnfuse.checking.feedback import CheckFailed, check, hint, quiz, verdict_json
from attnfuse.checking.own import course_version
from attnfuse.checking.quizzes import Option, Quiz

__all__ = [
    "Attempt",
    "Case",
    "CheckFailed",
    "Exercise",
    "Misconception",
    "Mismatch",
    "Option",
    "Property",
    "Quiz",
    "Verdict",
    "check",
    "course_version",
    "hint",
    "properties",
    "quiz",
    "verdict_json",
]
