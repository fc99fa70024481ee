"""The decoder asks: additive attention over the letters."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property, properties
from attnfuse.driving import Raised, lesson_06
from attnfuse.exercises.common import draw, softmax, weights_by


def by_loops(decoder_states, encoder_states, is_letter, query_matrix, key_matrix, vector):
    q, k, v = (np.asarray(x, dtype=float) for x in (query_matrix, key_matrix, vector))
    B, T, _ = decoder_states.shape
    S, D = encoder_states.shape[1:]
    weights, context = np.zeros((B, T, S)), np.zeros((B, T, D))
    for b in range(B):
        for t in range(T):
            letters = [s for s in range(S) if is_letter[b, s]]
            asked = decoder_states[b, t] @ q
            scores = {s: float(v @ np.tanh(asked + encoder_states[b, s] @ k)) for s in letters}
            total = sum(math.exp(score) for score in scores.values())
            for s in letters:
                weights[b, t, s] = math.exp(scores[s]) / total
                context[b, t] += weights[b, t, s] * encoder_states[b, s]
    return context, weights, True


def cases(rng):
    def case(B, T, S, wide, D, units, lengths, note):
        inputs = draw(
            rng,
            np.float32,
            decoder_states=(B, T, wide),
            encoder_states=(B, S, D),
            query_matrix=(wide, units),
            key_matrix=(D, units),
            vector=(units,),
        )
        inputs["is_letter"] = np.arange(S) < np.array(lengths)[:, None]
        return Case(inputs, note)

    return [
        case(1, 1, 2, 3, 4, 5, [2], "one word, two letters"),
        case(1, 3, 4, 2, 5, 6, [4], "three words, no padding"),
        case(2, 1, 3, 4, 2, 5, [3, 2], "two sources, one word each"),
        case(3, 4, 6, 5, 2, 7, [6, 1, 3], "three sources with padding"),
        case(2, 3, 4, 5, 5, 3, [2, 4], "states of one width"),
    ]


def additive(q, k, v, squash=np.tanh):
    return squash(q[:, :, None] + k[:, None]) @ v


def meets(mask, scores):
    """A mask of fewer axes lined up from the right, as TensorFlow does."""
    try:
        return np.broadcast_to(mask, scores.shape)
    except ValueError:
        raise Raised("InvalidArgumentError") from None


def sketch(
    decoder_states,
    encoder_states,
    is_letter,
    query_matrix,
    key_matrix,
    vector,
    *,
    asks=lambda states: states,
    score=additive,
    scale=lambda units: 1.0,
    allow=lambda mask: mask,
    place=lambda mask: mask[:, None],
    weigh=softmax,
    empty=0.0,
    values=lambda states, keys, mask: states,
    finish=lambda context, mask: context,
    give=lambda context, weights: (context, weights),
    learns=True,
):
    keys = encoder_states @ key_matrix
    scores = score(asks(decoder_states) @ query_matrix, keys, vector) / scale(len(vector))
    mask = meets(place(allow(is_letter)), scores)
    weights = weights_by(weigh, scores, mask, empty)
    context = weights @ values(encoder_states, keys, is_letter)
    return *give(finish(context, is_letter), weights), learns


def encoder_asks(decoder_states, encoder_states, is_letter, query_matrix, key_matrix, vector):
    """Query and key change places (each with its own matrix, so that the shapes fit)."""
    weights = softmax(additive(encoder_states @ key_matrix, decoder_states @ query_matrix, vector))
    return weights @ decoder_states, weights, True


def _learns(attempt, case, rng):
    if not attempt.result["learns"]:
        raise Mismatch(
            "No gradient gets from `context` back to `query_matrix`, so nothing can be learnt: the matrix is not used, or NumPy stands in between. Write it with `ops`."
        )


def _other_last_word(inputs, rng):
    states = inputs["decoder_states"].copy()
    if states.shape[1] < 2:
        return None
    states[:, -1] += 1
    return {**inputs, "decoder_states": states}


def _loud_padding(inputs, rng):
    padded, states = ~inputs["is_letter"], inputs["encoder_states"].copy()
    states[padded] = 1e6
    return {**inputs, "encoder_states": states} if padded.any() else None


DECODER_ASKS = Exercise(
    name="decoder_asks",
    lesson="06_seq2seq",
    title="The decoder asks",
    kind="finish",
    minutes=12,
    difficulty=2,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"context": "B T D", "weights": "B T S", "learns": ""},
    run=lesson_06.decoder_asks,
    properties=[
        properties.finite("context", "weights"),
        properties.not_negative(),
        properties.rows_sum_to_one(),
        Property("gradients flow", _learns),
        properties.stays(
            "each word asks",
            "Only the last decoder state was changed, and the weights of other words changed.",
            _other_last_word,
            "weights",
            lambda x: x[:, :-1],
        ),
        properties.stays(
            "padding",
            "The states of the padding were set to a million, and the context changed.",
            _loud_padding,
            "context",
            tolerance=1e-4,
        ),
    ],
    sketch=sketch,
    says="""
    the encoder asks | Your queries are the encoder's states: each *letter* asks which words it fits. It is the *decoder* that wants something, for every word it writes: its states are the queries, the encoder's the keys and values.
    one query for all words | You ask with the decoder's last state for every word. Each word has its own state and asks for itself.
    the mean of all words asks | You ask with the mean of the decoder's states. Each word has its own state and asks for itself.
    no tanh | Without the tanh a score is v·Wq + v·Uk. The first part is the same for every letter, and softmax cancels it: the question has no say.
    a tanh for each | You take the tanh of query and key apart and add then. The query's part is the same for every letter, and softmax cancels it: add first, then bend.
    tanh of the score | You bend the finished score. The tanh comes before the vector v: v · tanh(…).
    relu | You bend with relu. Asked is tanh.
    difference | You take the key off the query. The additive score *adds* them.
    dot product | That is a *dot product* of Wq and Uk. The additive score adds them, bends the sum by tanh and multiplies by v.
    v left out | You add up the hidden numbers as they are. Each counts as much as v says: multiply by `self.vector`.
    v inside the tanh | You multiply by v before the tanh. It comes after: v · tanh(…).
    scaled | You divide by the root of `units`. This score is not divided by anything.
    padding attends | You do not use `is_letter`: part of the attention goes to padding.
    mask inverted | Your mask works the wrong way round: `is_letter` is True where attention *may* go.
    the first source's padding for all | You use the first source's padding for all. Each has its own.
    the mask lacks an axis | `is_letter` is (B, S) and the scores are (B, T, S): lined up from the right, B meets T. Give the mask an axis for the words: `is_letter[:, None]`.
    mask after the softmax | You set the padding's weights to zero after the softmax, so the rest of the row sums to less than 1.
    scores multiplied by the mask | Padding still has the score 0 (or next to it), and e⁰ is 1, not nothing.
    closed with -1 only | Padding has the score -1: that is less, not nothing.
    closed with -10 only | Padding has a score near -10: that is less, not nothing.
    softmax over the words | Your weights sum to 1 over the words (axis 1). Each *word* spreads one unit over the *letters*: axis -1.
    softmax over the words, padding open | Your weights sum to 1 over the words (axis 1). Each *word* spreads one unit over the *letters*: axis -1.
    softmax over everything | Your weights sum to 1 over words *and* letters. Each *word* spreads one unit over the letters: axis -1.
    sigmoid | You weigh with a sigmoid. Each word spreads one unit over the letters: softmax.
    no softmax | You mix with the scores themselves. The softmax that makes weights of them is missing.
    mixes what it scored | You mix Uk, which served for the score. The values are the encoder's states as they are.
    padding taken out of the values only | You strike out the padding's states and leave it its weight. The weights of the letters must sum to 1.
    divided by the letters | You divide the context by the number of letters. The weights sum to 1 already.
    outputs exchanged | You return (weights, context). Asked is (context, weights).
    through NumPy | No gradient gets from `context` back to `query_matrix`: the matrix is not used, or NumPy stands in between, and nothing can be learnt. Write it with `ops`.
    """,
    choices={
        "asks": {
            "one query for all words": lambda states: np.broadcast_to(states[:, -1:], states.shape),
            "the mean of all words asks": lambda states: np.broadcast_to(
                states.mean(axis=1, keepdims=True), states.shape
            ),
        },
        "score": {
            "no tanh": lambda q, k, v: additive(q, k, v, lambda x: x),
            "a tanh for each": lambda q, k, v: additive(np.tanh(q), np.tanh(k), v, lambda x: x),
            "tanh of the score": lambda q, k, v: np.tanh(additive(q, k, v, lambda x: x)),
            "relu": lambda q, k, v: additive(q, k, v, lambda x: np.maximum(x, 0)),
            "difference": lambda q, k, v: additive(q, -k, v),
            "dot product": lambda q, k, v: q @ k.swapaxes(1, 2),
            "v left out": lambda q, k, v: additive(q, k, np.ones_like(v)),
            "v inside the tanh": lambda q, k, v: additive(q * v, k * v, np.ones_like(v)),
        },
        "scale": {"scaled": lambda units: math.sqrt(units)},
        "allow": {
            "padding taken out of the values only": np.ones_like,
            "padding attends": np.ones_like,
            "mask inverted": np.logical_not,
            "the first source's padding for all": lambda mask: np.broadcast_to(
                mask[:1], mask.shape
            ),
        },
        "place": {"the mask lacks an axis": lambda mask: mask},
        "weigh": {
            "mask after the softmax": lambda scores, mask: softmax(scores, mask, late=True),
            "scores multiplied by the mask": lambda scores, mask: softmax(
                np.where(mask, scores, 0)
            ),
            "closed with -1 only": lambda scores, mask: softmax(np.where(mask, scores, -1)),
            "closed with -10 only": lambda scores, mask: softmax(np.where(mask, scores, -10)),
            "softmax over the words": lambda scores, mask: softmax(scores, mask, axis=1),
            "softmax over the words, padding open": lambda scores, mask: softmax(
                np.where(mask, scores, -1e9), axis=1
            ),
            "softmax over everything": lambda scores, mask: (
                softmax(scores.reshape(len(scores), 1, -1), mask.reshape(len(mask), 1, -1))
            ).reshape(scores.shape),
            "sigmoid": lambda scores, mask: mask / (1 + np.exp(-scores)),
            "no softmax": lambda scores, mask: scores * mask,
        },
        "empty": {"mask inverted": None},
        "values": {
            "mixes what it scored": lambda states, keys, mask: keys,
            "padding taken out of the values only": lambda states, keys, mask: (
                states * mask[..., None]
            ),
        },
        "finish": {
            "divided by the letters": lambda context, mask: (
                context / mask.sum(axis=1)[:, None, None]
            ),
        },
        "give": {"outputs exchanged": lambda context, weights: (weights, context)},
        "learns": {"through NumPy": False},
    },
    wholes={"the encoder asks": encoder_asks},
    own=["attnfuse.layers.AdditiveAttention"],
    reread="section 5",
    hint="Multiply states and matrices first: (B, T, units) and (B, S, units). To meet each other they need an axis more: `[:, :, None]` and `[:, None]` give (B, T, S, units). After tanh, `ops.sum(… * self.vector, axis=-1)` leaves (B, T, S). Close padding with `ops.where(is_letter[:, None], scores, -1e9)`.",
)
