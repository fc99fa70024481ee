"""Predict: does the answer change when places are shuffled?"""

import numpy as np

from attnfuse.checking import Exercise
from attnfuse.exercises.common import softmax


def shuffling_changes_answer():
    """Six small random networks read a map's places and the places shuffled; is the answer another?"""
    rng = np.random.default_rng(0)
    S, C = 6, 4
    x, p = rng.standard_normal((2, S, C))
    query, head = rng.standard_normal(C), rng.standard_normal((S * C, 3))
    matrices = rng.standard_normal((2, C, C))

    def mix(x):
        return x + softmax(x @ matrices[0] @ (x @ matrices[1]).T) @ x

    networks = [
        lambda x: x.mean(axis=0),
        lambda x: x.ravel() @ head,
        lambda x: softmax(x @ query) @ x,
        lambda x: mix(x).mean(axis=0),
        lambda x: mix(x + p).mean(axis=0),
        lambda x: (mix(x) + p).mean(axis=0),
    ]
    order = np.array([3, 0, 5, 1, 4, 2])
    return tuple(not np.allclose(network(x), network(x[order])) for network in networks)


def sketch(*, mean=False, flatten=True, query=False, attend=False, early=True, late=False):
    return mean, flatten, query, attend, early, late


SHUFFLED_PLACES = Exercise(
    name="shuffled_places",
    lesson="08_image_attention",
    title="Shuffled places",
    kind="predict",
    minutes=7,
    difficulty=2,
    points=2,
    reference=shuffling_changes_answer,
    value=True,
    outputs={"changes": "six"},
    sketch=sketch,
    says="""
    a mean sees order | Number 1: a mean adds up and divides. The order of the terms does not matter.
    flattening does not care | Number 2: after flattening, every place has weights of its own in the head. Put its content elsewhere, and other weights read it.
    the query remembers a place | Number 3: the learnt query is compared with what *is* at a place, not with where it is. A weighted sum does not see the order.
    self-attention sees order | Number 4: shuffle the places, and the *same* mixtures come out, in shuffled order. Their mean is the same.
    early positions do not help | Number 5: the positions stay where they are, so each content gets another one added. Queries and keys differ, so the scores do, and the mixtures. (Without attention in between, the mean would be the same.)
    late positions help | Number 6: the positions are added *after* the attention and then averaged. The mean of x + p is the mean of x plus the mean of p, and the latter is the same for every picture.
    attention sees order | Numbers 3 and 4: attention compares contents, not places. Shuffle them, and the same weights and mixtures come out in another order, which a sum does not see.
    late positions instead of early ones | Numbers 5 and 6: only positions that are there *before* the attention can change its scores. Added afterwards, they average to one constant.
    the mean instead of flattening | Numbers 1 and 2: which of the two has weights of its own for each place, and which adds up whatever comes?
    nothing changes | In two of these networks something belongs to a *place*, whatever stands there, and meets the contents before they are added up. Find these two.
    everything changes | A mean is the same in any order, and so is a weighted sum whose weights depend on contents alone.
    the other way round | You answered which stay the same. Asked was which answers *change*.
    """,
    choices={
        "mean": {"a mean sees order": True, "the mean instead of flattening": True},
        "flatten": {"flattening does not care": False, "the mean instead of flattening": False},
        "query": {"the query remembers a place": True, "attention sees order": True},
        "attend": {"self-attention sees order": True, "attention sees order": True},
        "early": {
            "early positions do not help": False,
            "late positions instead of early ones": False,
        },
        "late": {"late positions help": True, "late positions instead of early ones": True},
    },
    wholes={
        "nothing changes": (False,) * 6,
        "everything changes": (True,) * 6,
        "the other way round": (True, False, True, True, False, True),
    },
    reread="section 4",
    hint="Go through each network and ask: does any number in it belong to a place, rather than to what is there? And if so, is it still tied to the content when the places are added up?",
)
