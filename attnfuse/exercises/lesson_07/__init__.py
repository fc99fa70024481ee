"""Lesson 07, a Transformer that pronounces: what its exercises must satisfy."""

from attnfuse.exercises.lesson_07 import (
    beam_search,
    cached_step,
    decoder,
    edit_distance,
    phoneme_error,
    quizzes,
    smoothing,
)

EXERCISES = [
    edit_distance.EDIT_DISTANCE,
    phoneme_error.PHONEME_ERROR,
    decoder.DECODER,
    smoothing.SMOOTHING,
    cached_step.CACHED_STEP,
    beam_search.BEAM_SEARCH,
]
QUIZZES = quizzes.QUIZZES
