"""Lesson 04, multi-head attention and positions: what its exercises must satisfy."""

from attnfuse.exercises.lesson_04 import (
    head_cost,
    many_heads,
    quizzes,
    rotary_heads,
    rotate,
    set_head,
    split_heads,
)

EXERCISES = [
    split_heads.SPLIT_HEADS,
    head_cost.HEAD_COST,
    many_heads.MANY_HEADS,
    rotary_heads.ROTARY_HEADS,
    set_head.SET_HEAD,
    rotate.ROTATE,
]
QUIZZES = quizzes.QUIZZES
