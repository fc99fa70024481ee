"""Predict: do shuffled letters change the context?"""

import numpy as np

from attnfuse.checking import Exercise
from attnfuse.exercises.common import softmax


def context_for(states, query):
    return softmax(query @ states.T) @ states


def recurrent(x, again):
    state, states = np.zeros(x.shape[1]), []
    for row in x:
        state = np.tanh(row + again @ state)
        states.append(state)
    return np.stack(states)


def shuffling_changes_context():
    """Four small random models read a word and the word shuffled; does the decoder get another context?"""
    rng = np.random.default_rng(0)
    letters, query = rng.standard_normal((6, 4)), rng.standard_normal((3, 4))
    places, again = rng.standard_normal((6, 4)), rng.standard_normal((4, 4))
    models = [
        lambda x: context_for(x, query),
        lambda x: context_for(x, recurrent(query, again)),
        lambda x: context_for(recurrent(x, again), query),
        lambda x: context_for(x + places, query),
    ]
    order = np.array([3, 0, 5, 1, 4, 2])
    return tuple(not np.allclose(model(letters), model(letters[order])) for model in models)


def sketch(*, plain=False, words=False, letters=True, places=True):
    return plain, words, letters, places


SHUFFLED_SOURCE = Exercise(
    name="shuffled_source",
    lesson="06_seq2seq",
    title="Shuffled letters",
    kind="predict",
    minutes=8,
    difficulty=3,
    points=2,
    reference=shuffling_changes_context,
    value=True,
    outputs={"changes": "four"},
    sketch=sketch,
    says="""
    the sum sees order | In the first model the context is a sum over letters, and a sum does not know in which order it was added up. Order gets in only where the *encoder's* states depend on it.
    any recurrence helps | In the second model the GRU reads *English* words. It knows their order; the German letters it only sees through the context, which is a sum.
    a GRU does not notice | In the third model the GRU reads the German letters. Its state at a letter says what came before it, and that has been shuffled.
    places move along | In the fourth model the same letter has another vector at another place: places stay, letters move. No recurrence is needed for that.
    attention knows order | You expect attention to notice the order in all four. Its context is a sum over letters, and a sum does not know in which order it was added up. Order gets in only where the *encoder's* states depend on it.
    the other way round | You answered which models stay the same. Asked was where the context *changes*.
    """,
    choices={
        "plain": {"the sum sees order": True},
        "words": {"any recurrence helps": True},
        "letters": {"a GRU does not notice": False},
        "places": {"places move along": False},
    },
    wholes={
        "attention knows order": (True, True, True, True),
        "the other way round": (True, True, False, False),
    },
    together={
        (
            "a GRU does not notice",
            "places move along",
        ): "The sum does not see the order, but the states that are added up may: a GRU's state says what came before the letter, a position says where it stands.",
        (
            "any recurrence helps",
            "a GRU does not notice",
        ): "The second model's GRU reads the English words, which stay. The third one's reads the German letters, which are shuffled.",
    },
    reread="section 8",
    hint="context = Σ weight · state over the letters. First ask whether each letter's *state* changes when the letters are shuffled, then whether the sum does.",
)
