"""Returning questions of lesson 09."""

import numpy as np

from attnfuse.checking import Quiz
from attnfuse.exercises.common import softmax

QUIZZES = [
    Quiz(
        id="09-equal-scores",
        question="Attention over two keys, a picture and a text. Both get the same score. Which weight has the picture?",
        options={
            "1": "Nearly, if its score were far larger. Softmax spreads one unit of attention over both keys.",
            "0": "Every key that is not masked gets some weight (unless it is so small that it is rounded to 0).",
            "1/2": "Equal scores, equal weights, and they sum to 1. A *gate* below is this, per component.",
        },
        answer=lambda: [1, 0, 0.5].index(softmax(np.zeros(2))[0]),
    ),
    Quiz(
        id="09-long-keys",
        question="The query is (1, 1). Which key has the larger dot product with it?",
        options={
            "(1, 1), the query itself": "Its dot product is 2. The other key is further away but longer: 3.",
            "(3, 0)": "3 against 2. A dot product is nearness only for keys of one length: a modality with longer features may be heard more.",
        },
        answer=lambda: int(np.argmax(np.array([[1, 1], [3, 0]]) @ [1, 1])),
    ),
    Quiz(
        id="09-nothing-allowed",
        question="An emoji has no known keyword: every key of its text is masked. What is its context in this course?",
        options={
            "A row of zeros": "A fully masked row has weights 0 and the context 0. Our text encoder does the same.",
            "The mean of all values": "That is what `keras.layers.Attention` returns. Here nothing may leak from a masked key.",
        },
        answer=lambda: int(softmax(np.zeros(2), mask=False).any()),
    ),
]  # fmt: skip
