"""Lesson 01, attention pooling: what its exercises must satisfy."""

from attnfuse.exercises.lesson_01 import (
    copies,
    days_apart,
    no_query,
    other_years,
    pool,
    softmax,
    year_out_errors,
)

EXERCISES = [
    softmax.SOFTMAX,
    days_apart.DAYS_APART,
    pool.POOL,
    copies.COPIES,
    other_years.OTHER_YEARS,
    year_out_errors.YEAR_OUT_ERRORS,
    no_query.NO_QUERY,
]
