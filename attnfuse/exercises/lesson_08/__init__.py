"""Lesson 08, attention over pictures: what its exercises must satisfy."""

from attnfuse.exercises.lesson_08 import (
    occlusion,
    pointing_by_chance,
    points_at_digit,
    query_pooling,
    quizzes,
    shuffled_places,
    whole_picture,
)

EXERCISES = [
    whole_picture.WHOLE_PICTURE,
    query_pooling.QUERY_POOLING,
    shuffled_places.SHUFFLED_PLACES,
    pointing_by_chance.POINTING_BY_CHANCE,
    points_at_digit.POINTS_AT_DIGIT,
    occlusion.OCCLUSION,
]
QUIZZES = quizzes.QUIZZES
