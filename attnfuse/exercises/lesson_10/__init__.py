"""Lesson 10, cross-modal attention: what its exercises must satisfy."""

from attnfuse.exercises.lesson_10 import ask, both_ways, dead_gate, join_cost, modalities, quizzes

EXERCISES = [
    ask.ASK,
    both_ways.BOTH_WAYS,
    modalities.MODALITIES,
    join_cost.JOIN_COST,
    dead_gate.DEAD_GATE,
]
QUIZZES = quizzes.QUIZZES
