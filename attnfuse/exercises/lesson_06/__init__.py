"""Lesson 06, sequence to sequence: what its exercises must satisfy."""

from attnfuse.exercises.lesson_06 import (
    decoder_asks,
    exact_match,
    greedy_decode,
    quizzes,
    shift_targets,
    shuffled_source,
)

EXERCISES = [
    shift_targets.SHIFT_TARGETS,
    exact_match.EXACT_MATCH,
    decoder_asks.DECODER_ASKS,
    shuffled_source.SHUFFLED_SOURCE,
    greedy_decode.GREEDY_DECODE,
]
QUIZZES = quizzes.QUIZZES
