"""From the dot product back to nearness."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, properties
from attnfuse.exercises.common import draw, softmax


def by_loops(query, key, value, temperature):
    """The Gaussian kernel of lesson 01, from distances."""
    T, S, V = len(query), len(key), value.shape[1]
    weights, context = np.zeros((T, S)), np.zeros((T, V))
    for t in range(T):
        distances = [
            sum((float(a) - float(b)) ** 2 for a, b in zip(query[t], k, strict=True)) for k in key
        ]
        scores = [-distance / (2 * temperature) for distance in distances]
        total = sum(math.exp(score - max(scores)) for score in scores)
        for s in range(S):
            weights[t, s] = math.exp(scores[s] - max(scores)) / total
            for v in range(V):
                context[t, v] += weights[t, s] * float(value[s, v])
    return context, weights


def cases(rng):
    def case(T, S, D, V, temperature, note, size=1.0):
        inputs = draw(rng, query=(T, D), key=(S, D), value=(S, V))
        inputs["query"] *= size
        inputs["key"] *= size * rng.uniform(0.3, 2, (S, 1))
        return Case({**inputs, "temperature": temperature}, note)

    by_hand = {
        "query": np.array([[1.0, 1.0]]),
        "key": np.array([[1.0, 1.0], [3.0, 0.0], [0.0, 2.0]]),
        "value": np.eye(3),
        "temperature": 0.4,
    }
    large = case(2, 4, 5, 3, 1.5, "numbers in the hundreds", size=300.0)
    large.inputs["query"][0] = large.inputs["key"][0] + 1  # q·k - |k|²/2 is far above 0 here
    return [
        case(1, 1, 2, 3, 0.5, "one key"),
        Case(by_hand, "the three keys of section 2"),
        case(3, 5, 4, 2, 2.0, "keys of different lengths"),
        case(2, 6, 3, 4, 0.3, "a low temperature"),
        case(1, 4, 5, 3, 1.5, "one query, far from every key", size=300.0),
        large,
    ]


def squared(x):
    return (x**2).sum(axis=-1)


def distance2(query, key):
    return squared(query[:, None] - key[None])


def dot_product(query, key, term, temperature):
    return (query @ key.T - term(query, key)) / temperature


def by_distance(power, half=2.0):
    """Scores from distances: what is left beside `term` when someone starts from there."""
    return lambda query, key, term, t: -(distance2(query, key) ** (power / 2)) / (half * t)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def sketch(
    query,
    key,
    value,
    temperature,
    *,
    score=dot_product,
    term=lambda query, key: squared(key) / 2,
    sharpness=lambda t, H: t,
    weigh=softmax,
    give=lambda context, weights, scores: (context, weights),
):
    scores = score(query, key, term, sharpness(temperature, key.shape[1]))
    weights = weigh(scores)
    return give(weights @ value, weights, scores)


def _moved(inputs, rng):
    shift = rng.standard_normal(inputs["key"].shape[1])
    return {**inputs, "query": inputs["query"] + shift, "key": inputs["key"] + shift}


def _not_normalised(scores):
    return np.exp(scores)


NEARNESS = Exercise(
    name="nearness",
    lesson="02_scaled_dot_product",
    title="From dot product back to nearness",
    kind="write",
    minutes=12,
    difficulty=2,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"context": "T V", "weights": "T S"},
    properties=[
        properties.finite(),
        properties.not_negative(),
        properties.rows_sum_to_one(),
        properties.key_order_is_irrelevant(),
        properties.stays(
            "only distances count",
            "Query and keys were all moved by the same vector. No distance changed, but your weights did.",
            _moved,
            "weights",
        ),
    ],
    sketch=sketch,
    says="""
    a dot product is nearness | A term in |k|² is missing: your weights are those of the dot product alone, so a long key wins although it is far away. Take off |k|²/2 of each *key*. (The query's own term changes nothing: it is the same in the whole row.)
    length not squared | You take off the key's length; the distance has |k|²/2.
    whole square | You take off |k|² where |k|²/2 belongs: the distance |q-k|² holds 2q·k, so beside one q·k stands *half* of |k|².
    wrong sign | You *add* |k|²/2: long keys win even more. It has to come off.
    wrong sign, whole square | You *add* |k|²: long keys win even more. It has to come off, and half of it.
    unit length | You bring query and keys to length 1. That compares directions and is often a fine choice, but the kernel asked for compares places: keys must keep their length.
    half divided | The temperature divides q·k but not |k|²/2. It divides the whole score.
    distance not squared | Your weights fall with the distance; the Gaussian kernel uses its square.
    farthest wins | Your weights grow with the distance: a minus is missing.
    square of the sum | You add the differences up and square the sum; a squared distance is the sum of the *squares*.
    without the 2 | Your weights are sharper than the kernel's: it is |q-k|² divided by 2τ, which leaves q·k - |k|²/2 divided by τ.
    twice the 2 | Your weights are softer than the kernel's: q·k - |k|²/2 is half of the squared distance already and is divided by τ alone.
    temperature squared | You square the temperature. τ already is the square of lesson 01's bandwidth.
    temperature ignored | The temperature takes no part.
    multiplied | You multiply by the temperature. It divides.
    √H as well | You divide by √H on top of the temperature. Here the temperature alone sets the sharpness.
    √H instead | You divide by √H. Here the temperature alone sets the sharpness.
    one maximum for all | You take off the largest score of the *whole array*. In a row far below it all exponentials are 0, and 0/0 is NaN. Take each row's own.
    not normalised | Your weights are not divided by their row's sum.
    softmax over queries | Your weights sum to 1 over the queries; each *query* spreads one unit over the keys, the last axis.
    outputs exchanged | You return (weights, context). Asked is (context, weights).
    scores returned | You return the scores where the weights belong.
    no context | You return the weights alone. Asked is (context, weights).
    distances without the max-shift | Far from every key all exponentials are 0, and 0/0 is NaN. Use `attention.softmax`, or take off each row's maximum before the exponential.
    dot products without the max-shift | Your exponentials overflow. Use `attention.softmax`, or take off each row's maximum before the exponential.
    """,
    choices={
        "term": {
            "a dot product is nearness": lambda query, key: 0.0,
            "length not squared": lambda query, key: np.sqrt(squared(key)) / 2,
            "whole square": lambda query, key: squared(key),
            "wrong sign": lambda query, key: -squared(key) / 2,
            "wrong sign, whole square": lambda query, key: -squared(key),
        },
        "score": {
            "unit length": lambda query, key, term, t: unit(query) @ unit(key).T / t,
            "half divided": lambda query, key, term, t: query @ key.T / t - term(query, key),
            "distance not squared": by_distance(1),
            "farthest wins": lambda query, key, term, t: distance2(query, key) / (2 * t),
            "square of the sum": lambda query, key, term, t: (
                -((query[:, None] - key[None]).sum(axis=-1) ** 2) / (2 * t)
            ),
        },
        "sharpness": {
            "without the 2": lambda t, H: t / 2,
            "twice the 2": lambda t, H: 2 * t,
            "temperature squared": lambda t, H: t**2,
            "temperature ignored": lambda t, H: 1.0,
            "multiplied": lambda t, H: 1 / t,
            "√H as well": lambda t, H: t * math.sqrt(H),
            "√H instead": lambda t, H: math.sqrt(H),
        },
        "weigh": {
            "one maximum for all": lambda scores: softmax(scores, shift="all"),
            "not normalised": _not_normalised,
            "softmax over queries": lambda scores: softmax(scores, axis=0),
        },
        "give": {
            "outputs exchanged": lambda context, weights, scores: (weights, context),
            "scores returned": lambda context, weights, scores: (context, scores),
            "no context": lambda context, weights, scores: weights,
        },
    },
    wholes={
        "distances without the max-shift": lambda query, key, value, temperature: sketch(
            query,
            key,
            value,
            temperature,
            score=by_distance(2),
            weigh=lambda scores: softmax(scores, shift=None),
        ),
        "dot products without the max-shift": lambda query, key, value, temperature: sketch(
            query, key, value, temperature, weigh=lambda scores: softmax(scores, shift=None)
        ),
    },
    reread="sections 2 and 7",
    hint="Start from section 2: the score is q·k - |k|²/2, all of it divided by the temperature. `(key**2).sum(axis=-1)` has shape (S,) and lines up with the columns of `query @ key.T`.",
)
