"""An additive layer that can be saved and made again."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property, properties
from attnfuse.driving import Raised, lesson_05
from attnfuse.exercises.common import draw, softmax
from attnfuse.exercises.lesson_05.shared import LESSON, floats


def by_loops(query, key, value, query_matrix, key_matrix, vector):
    query, key, value, W, U, v = floats(query, key, value, query_matrix, key_matrix, vector)
    (B, T, _), (_, S, V) = query.shape, value.shape
    weights, context = np.zeros((B, T, S)), np.zeros((B, T, V))
    for b in range(B):
        for t in range(T):
            scores = [float(v @ np.tanh(query[b, t] @ W + key[b, s] @ U)) for s in range(S)]
            total = sum(math.exp(score) for score in scores)
            for s in range(S):
                weights[b, t, s] = math.exp(scores[s]) / total
                context[b, t] += weights[b, t, s] * value[b, s]
    return context, weights, facts({"units": len(v), "name": "mine", "dtype": "float16"})


def facts(config):
    """What `attnfuse.driving.lesson_05.made_again` reports of a config."""
    if not isinstance(config, dict):
        return {"get_config": type(config).__name__}
    lacks = [name for name in ("units", "name", "dtype") if name not in config]
    extra = sorted(config.keys() - {"units", "name", "dtype"})
    found = {"lacks": lacks, "has too much": extra}
    if extra or "units" in lacks:
        return found | {"made again": "an error"}
    lost = {"name": "another", "dtype": "float32"}
    return found | lost | {name: config[name] for name in config}


def cases(rng):
    def case(B, T, S, Q, K, V, units, note):
        inputs = draw(
            rng, np.float32, query=(B, T, Q), key=(B, S, K), value=(B, S, V), vector=(units,)
        )
        matrices = draw(rng, np.float32, query_matrix=(Q, units), key_matrix=(K, units))
        return Case(inputs | matrices, note)

    return [
        case(1, 1, 2, 3, 4, 2, 5, "one query, two keys"),
        case(2, 3, 4, 5, 2, 6, 7, "two items, all sizes different"),
        case(3, 2, 5, 4, 6, 1, 8, "three items"),
        case(2, 3, 3, 4, 4, 4, 6, "as many queries as keys, all equally wide"),
    ]


def sketch(
    query,
    key,
    value,
    query_matrix,
    key_matrix,
    vector,
    *,
    projected=lambda query, key, W, U: (query @ W, key @ U),
    each=lambda x: x,
    meet=lambda q, k: q[:, :, None] + k[:, None],
    bend=np.tanh,
    sum_up=lambda hidden, vector: hidden @ vector,
    score=lambda scores, units: scores,
    weigh=softmax,
    mix=lambda weights, key, value: weights @ value,
    order=("context", "weights"),
    config=lambda units, rest: rest | {"units": units},
):
    try:
        q, k = projected(query, key, query_matrix, key_matrix)
        weights = weigh(score(sum_up(bend(meet(each(q), each(k))), vector), len(vector)))
        found = {"context": mix(weights, key, value), "weights": weights}
    except ValueError:
        raise Raised("InvalidArgumentError") from None
    saved = config(len(vector), {"name": "mine", "dtype": "float16"})
    return found[order[0]], found[order[1]], facts(saved)


def refuse(*arrays):
    raise ValueError


def test_units(attempt, case, rng):
    """The config's `units` are the layer's own."""
    units, found = len(case.inputs["vector"]), attempt.result["config"].get("units")
    if found is not None and found != units:
        raise Mismatch(f"A layer of {units} units is made again with `units` {found!r}.")


def test_config(attempt, case, rng):
    config = attempt.result["config"]
    if "get_config" in config:
        raise Mismatch(f"`get_config` must return a dict; yours returns a {config['get_config']}.")
    for name in config["lacks"]:
        raise Mismatch(f"Your config holds no `{name}`.")
    for name in config["has too much"]:
        raise Mismatch(f"Your config holds {name!r}, which `__init__` does not take.")
    if config.get("name") != "mine" or config["dtype"] != "float16":
        raise Mismatch("A layer made from your config has another name or dtype.")


ADDITIVE_LAYER = Exercise(
    name="additive_layer",
    lesson=LESSON,
    title="An additive layer that can be made again",
    kind="finish",
    minutes=8,
    difficulty=2,
    points=0,
    reference=by_loops,
    cases=cases,
    outputs={"context": "B T V", "weights": "B T S", "config": ""},
    run=lesson_05.additive,
    properties=[
        properties.finite("context", "weights"),
        properties.not_negative(),
        properties.rows_sum_to_one(),
        properties.key_order_is_irrelevant(tolerance=1e-4),
        Property("config", test_config),
        Property("units", test_units),
    ],
    sketch=sketch,
    says="""
    no tanh | The tanh is missing. What that costs is the next exercise.
    relu | You bend with relu. Asked is tanh.
    sigmoid for tanh | You bend with a sigmoid. Asked is tanh.
    a tanh for each | Every query gets the same weights, those by v · tanh(Uk): the query is not used, or has a tanh of its own, and then softmax cancels what it adds to each score of a row. Add first, then bend: v · tanh(Wq + Uk).
    tanh before and after | You take the tanh of query and key apart, before they meet. One tanh, of the sum, is asked for.
    tanh of the score | You bend the finished score. The tanh comes before the vector v: v · tanh(…).
    tanh of the score as well | You bend the finished score. The tanh comes before the vector v, and nothing after it.
    scaled | You divide by the root of `units`. This score is not divided by anything.
    averaged | You average over the hidden units, or divide by their number. This score is a sum: v · tanh(…).
    multiplied | You multiply query and key. This score adds them: Wq + Uk.
    subtracted | You subtract where query and key are to be added: Wq + Uk.
    no axes for pairs | You add query (B, T, units) and key (B, S, units) as they are: that pairs the first query with the first key at best. Every query meets every key if one gets an axis for S and the other one for T.
    axes exchanged | Your table of pairs is (B, S, T, units): the query got the axis of the keys. With `[:, :, None]` for the query and `[:, None]` for the key it is (B, T, S, units).
    vector not used | You add up the hidden units without `self.vector`.
    shapes refused | TensorFlow refuses your shapes on every case. Hidden units are (B, T, S, units). And `@` with a vector behind it, fine in NumPy, is not here: `ops.matmul(hidden, self.vector)`, or `ops.sum(hidden * self.vector, axis=-1)`.
    one matrix for both | Keys go through `self.query_matrix`. Theirs is `self.key_matrix`.
    key_matrix for both | Queries go through `self.key_matrix`. Theirs is `self.query_matrix`.
    matrices exchanged | The matrices are exchanged: `self.query_matrix` belongs to the query, `self.key_matrix` to the key.
    softmax over the queries | Your softmax runs over the queries (axis 1). Each query spreads one unit over the *keys*: axis -1.
    softmax over the batch | Your softmax runs over the batch (axis 0). Each query spreads one unit over the *keys*: axis -1.
    no softmax | You mix with the scores themselves. The softmax that makes weights of them is missing.
    sigmoid for softmax | You weigh each key by itself, with a sigmoid. In a softmax the keys *share* one unit.
    keys mixed | You mix the keys. Keys are asked, *values* are handed over.
    order of outputs | You return (weights, context). Asked is (context, weights).
    config not written | `get_config` returns nothing yet. (A dict's `update` returns None, too.)
    config without units | Your config does not hold `units`: a saved layer cannot be made again.
    config of units alone | Your config holds `units` only: name and dtype are lost, and a float16 layer comes back in float32. Begin with `super().get_config()`.
    config without dtype | Your config has lost the dtype: a float16 layer comes back in float32. Begin with `super().get_config()`.
    empty config | Your config is empty: neither `units` nor what `super().get_config()` holds.
    units under the name unit | Your config holds `unit` where `__init__` takes `units`: `from_config` hands the keys on by name.
    units under the name n_units | Your config holds `n_units` where `__init__` takes `units`: `from_config` hands the keys on by name.
    units under the name width | Your config holds `width` where `__init__` takes `units`: `from_config` hands the keys on by name.
    """,
    choices={
        "bend": {
            "no tanh": lambda x: x,
            "relu": lambda x: np.maximum(x, 0),
            "sigmoid for tanh": lambda x: 1 / (1 + np.exp(-x)),
            "a tanh for each": lambda x: x,
            "tanh before and after": np.tanh,
            "tanh of the score": lambda x: x,
        },
        "each": {"a tanh for each": np.tanh, "tanh before and after": np.tanh},
        "score": {
            "tanh of the score": lambda scores, units: np.tanh(scores),
            "tanh of the score as well": lambda scores, units: np.tanh(scores),
            "scaled": lambda scores, units: scores / math.sqrt(units),
            "averaged": lambda scores, units: scores / units,
        },
        "meet": {
            "multiplied": lambda q, k: q[:, :, None] * k[:, None],
            "subtracted": lambda q, k: q[:, :, None] - k[:, None],
            "no axes for pairs": lambda q, k: q + k,
            "axes exchanged": lambda q, k: q[:, None] + k[:, :, None],
        },
        "sum_up": {
            "vector not used": lambda hidden, vector: hidden.sum(axis=-1),
            "shapes refused": refuse,
        },
        "projected": {
            "one matrix for both": lambda query, key, W, U: (query @ W, key @ W),
            "key_matrix for both": lambda query, key, W, U: (query @ U, key @ U),
            "matrices exchanged": lambda query, key, W, U: (query @ U, key @ W),
        },
        "weigh": {
            "softmax over the queries": lambda scores: softmax(scores, axis=1),
            "softmax over the batch": lambda scores: softmax(scores, axis=0),
            "no softmax": lambda scores: scores,
            "sigmoid for softmax": lambda scores: 1 / (1 + np.exp(-scores)),
        },
        "mix": {"keys mixed": lambda weights, key, value: weights @ key},
        "order": {"order of outputs": ("weights", "context")},
        "config": {
            "config not written": lambda units, rest: None,
            "config without units": lambda units, rest: rest,
            "config of units alone": lambda units, rest: {"units": units},
            "config without dtype": lambda units, rest: {"units": units, "name": "mine"},
            "empty config": lambda units, rest: {},
            "units under the name unit": lambda units, rest: rest | {"unit": units},
            "units under the name n_units": lambda units, rest: rest | {"n_units": units},
            "units under the name width": lambda units, rest: rest | {"width": units},
        },
    },
    own=["attnfuse.layers", "attnfuse.attention"],
    reread="section 3",
    hint='`[:, :, None]` and `[:, None]` give (B, T, 1, units) and (B, 1, S, units), which add up to (B, T, S, units). The config is `{**super().get_config(), "units": self.units}`.',
    rtol=1e-4,
    atol=1e-5,
)
