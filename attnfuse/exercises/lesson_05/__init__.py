"""Lesson 05, attention layers in Keras: what its exercises must satisfy."""

from attnfuse.exercises.lesson_05 import (
    across_batch,
    additive_layer,
    article_layer,
    decoder_state,
    forgets_query,
    key_bias,
    leaky_mask,
    multi_head_layer,
    quizzes,
    scaled_dot_layer,
)

EXERCISES = [
    scaled_dot_layer.SCALED_DOT_LAYER,
    additive_layer.ADDITIVE_LAYER,
    forgets_query.FORGETS_QUERY,
    multi_head_layer.MULTI_HEAD_LAYER,
    key_bias.KEY_BIAS,
    article_layer.ARTICLE_LAYER,
    across_batch.ACROSS_BATCH,
    leaky_mask.LEAKY_MASK,
    decoder_state.DECODER_STATE,
]
QUIZZES = quizzes.QUIZZES
