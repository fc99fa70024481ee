"""Which scores listen to the query? A prediction."""

import math

import numpy as np

from attnfuse.checking import Exercise
from attnfuse.exercises.common import softmax
from attnfuse.exercises.lesson_05.shared import LESSON


def query_matters():
    """For four scores: do two different queries get different weights over the same keys?"""
    rng = np.random.default_rng(0)
    query, key = rng.standard_normal((2, 5)), rng.standard_normal((4, 5))
    W, U, v = rng.standard_normal((5, 7)), rng.standard_normal((5, 7)), rng.standard_normal(7)
    hidden = (query @ W)[:, None] + (key @ U)[None]
    scores = [
        query @ key.T / math.sqrt(5),
        np.tanh(hidden) @ v,
        hidden @ v,
        np.maximum(hidden, 0) @ v,
    ]
    return tuple(not np.allclose(*softmax(score)) for score in scores)


def sketch(*, dot=True, tanh=True, linear=False, relu=True):
    return dot, tanh, linear, relu


FORGETS_QUERY = Exercise(
    name="forgets_query",
    lesson=LESSON,
    title="Who listens to the question?",
    kind="predict",
    minutes=5,
    difficulty=2,
    points=2,
    reference=query_matters,
    value=True,
    sketch=sketch,
    says="""
    q·k forgets | In q·k the query is multiplied with each key: another key, another number. Nothing there is the same for a whole row.
    tanh forgets | A sum inside the tanh does not separate into a part of the query and a part of the key: the tanh bends by where the sum lies.
    linear listens | Softmax sees only *differences* between keys. Take the formula in which nothing bends apart: a part of the query and a part of the key. What does the query's part do to the scores of one row?
    relu forgets | relu bends, too: whether a hidden unit passes depends on query *and* key.
    the other way round | You marked where the weights stay. Asked was where they *differ*.
    none listens | Not every score forgets: softmax cancels what is the *same* for all keys of a row. Where query and key are multiplied, or bent together, nothing is.
    linear and relu alone | Only one of the four is right. Softmax sees only *differences* between keys. Take the formula in which nothing bends apart: a part of the query and a part of the key. What does the query's part do to the scores of one row?
    tanh and linear alone | Only one of the four is right. Softmax sees only *differences* between keys. Take the formula in which nothing bends apart: a part of the query and a part of the key. What does the query's part do to the scores of one row?
    dot and linear alone | Only one of the four is right. Softmax sees only *differences* between keys. Take the formula in which nothing bends apart: a part of the query and a part of the key. What does the query's part do to the scores of one row?
    """,
    choices={
        "dot": {"q·k forgets": False},
        "tanh": {"tanh forgets": False},
        "linear": {"linear listens": True},
        "relu": {"relu forgets": False},
    },
    wholes={
        "the other way round": (False, False, True, False),
        "none listens": (False, False, False, False),
        "linear and relu alone": (False, False, True, True),
        "tanh and linear alone": (False, True, True, False),
        "dot and linear alone": (True, False, True, False),
    },
    reread="section 3",
    hint="Write each score as (something of the query alone) + (something of the key alone), if you can. What does softmax do with a number that is added to every score of a row?",
)
