"""Lesson 09, fusion: what its exercises must satisfy."""

from attnfuse.exercises.lesson_09 import (
    four_corners,
    grouped_split,
    low_rank_fusion,
    mod_ten,
    paired_interval,
    quizzes,
    split_concatenation,
)

EXERCISES = [
    grouped_split.GROUPED_SPLIT,
    split_concatenation.SPLIT_CONCATENATION,
    four_corners.FOUR_CORNERS,
    mod_ten.MOD_TEN,
    low_rank_fusion.LOW_RANK_FUSION,
    paired_interval.PAIRED_INTERVAL,
]
QUIZZES = quizzes.QUIZZES
