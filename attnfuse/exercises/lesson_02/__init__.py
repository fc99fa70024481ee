"""Lesson 02, scaled dot-product attention: what its exercises must satisfy."""

from attnfuse.exercises.lesson_02 import (
    attend,
    decoder_mask,
    mask_test,
    nearness,
    quizzes,
    score_spread,
    square_test,
)

EXERCISES = [
    attend.ATTEND,
    score_spread.SCORE_SPREAD,
    decoder_mask.DECODER_MASK,
    mask_test.MASK_TEST,
    square_test.SQUARE_TEST,
    nearness.NEARNESS,
]
QUIZZES = quizzes.QUIZZES
