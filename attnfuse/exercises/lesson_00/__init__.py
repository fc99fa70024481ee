"""Lesson 00: one tiny exercise, to see how a check works."""

from attnfuse.exercises.lesson_00 import quizzes, weighted_average

EXERCISES = [weighted_average.WEIGHTED_AVERAGE]
QUIZZES = quizzes.QUIZZES
