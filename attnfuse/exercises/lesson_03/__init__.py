"""Lesson 03, gradients of attention: what its exercises must satisfy."""

from attnfuse.exercises.lesson_03 import (
    attend_backward,
    gradient_test,
    one_matrix,
    pull,
    quizzes,
    softmax_gradient,
)

EXERCISES = [
    pull.PULL,
    softmax_gradient.SOFTMAX_GRADIENT,
    attend_backward.ATTEND_BACKWARD,
    gradient_test.GRADIENT_TEST,
    one_matrix.ONE_MATRIX,
]
QUIZZES = quizzes.QUIZZES
