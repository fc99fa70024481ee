"""Lesson 05, attention layers in Keras: what its exercises must satisfy."""

import contextlib
import inspect
import math

import numpy as np

from attnfuse.checking import (
    Case,
    Exercise,
    Misconception,
    Mismatch,
    Option,
    Property,
    Quiz,
    properties,
)

LESSON = "05_keras_attention_layers"
NARROW = {"rtol": 2e-3, "atol": 2e-3}  # some cases are in float16, with numbers exact there

# -- making, weighing and calling layers ------------------------------------------------------------


def _keras():
    """Keras, loaded without TensorFlow's greetings."""
    from attnfuse.settings import quiet

    with quiet():
        import keras
    return keras


def make_layer(candidate, **options):
    """A layer from the class that a learner hands in."""
    if not isinstance(candidate, type):
        raise Mismatch(
            "check needs the class itself, without parentheses, not a layer made from it."
        )
    return candidate(**options)


def set_weights(layer, **weights):
    for name, value in weights.items():
        if not hasattr(layer, name):
            raise Mismatch(f"The layer has no weight `{name}`. Keep `build` as it was given.")
        getattr(layer, name).assign(value)


# What TensorFlow says where learners slip → the same in plain words.
REFUSED = {
    "ndims must be >= 2": "TensorFlow refuses `@` with a vector on the right.",
    "must have compatible batch dimensions": "TensorFlow refuses the product: one array has an axis more.",
    "ConcatOp": "TensorFlow refuses to put arrays of different sizes side by side.",
}


@contextlib.contextmanager
def in_plain_words():
    """Turn the errors in `REFUSED`, which tell a learner little, into a `Mismatch`."""
    try:
        yield
    except Exception as error:
        for sign, text in REFUSED.items():
            if sign in str(error):
                raise Mismatch(text) from None
        raise


def pair(outputs, names="(context, weights)", asked="`call`"):
    """Two outputs as arrays; None as it is."""
    if outputs is None or outputs is Ellipsis:
        return None
    if not isinstance(outputs, tuple | list) or len(outputs) != 2:
        raise Mismatch(f"{asked} must return two things, {names}.")
    if any(x is None for x in outputs):
        return None
    return [np.asarray(x) for x in outputs]


def lazy_layer(call, build=None, arguments=(), get_config=None):
    """A class that makes a Keras layer with this `call` (defined only now, so that importing is fast)."""

    def new(cls, *args, **options):
        Layer = _keras().layers.Layer

        def __init__(self, *args, **options):
            for name in arguments:
                setattr(self, f"_{name}", options.pop(name))
            Layer.__init__(self, *args, **options)
            for name in arguments:
                setattr(self, name, getattr(self, f"_{name}"))

        body = {"call": call}
        if arguments:
            body["__init__"] = __init__
        if build:
            body["build"] = build
        if get_config:
            body["get_config"] = get_config
        return type("Mine", (Layer,), body)(*args, **options)

    return type(getattr(call, "__name__", "call"), (), {"__new__": new})


def softmax_rows(scores, mask=True, axis=-1):
    """NumPy softmax; a row without an allowed key is all zeros."""
    scores = np.where(mask, scores, -np.inf)
    top = scores.max(axis=axis, keepdims=True)
    powers = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = powers.sum(axis=axis, keepdims=True)
    return powers / np.where(total > 0, total, 1)


def uniform_if_closed(scores, mask):
    """Keras's `Attention`: a row without an allowed key gets the same weight everywhere."""
    closed = ~np.broadcast_to(mask, scores.shape).any(axis=-1, keepdims=True)
    return softmax_rows(np.where(closed, 0, scores), mask | closed)


def _draw(rng, **shapes):
    return {n: rng.standard_normal(shape).astype(np.float32) for n, shape in shapes.items()}


# -- scaled_dot_layer -----------------------------------------------------------------------------


def scaled_dot_by_loops(query, key, value, mask=None):
    """Context, weights and the gradient of the context's sum by the query."""
    query, key, value = (np.asarray(x, dtype=float) for x in (query, key, value))
    B, T, H = query.shape
    S, V = value.shape[1:]
    mask = np.ones((B, T, S), bool) if mask is None else np.broadcast_to(mask, (B, T, S))
    context, weights, gradient = np.zeros((B, T, V)), np.zeros((B, T, S)), np.zeros((B, T, H))
    for b in range(B):
        for t in range(T):
            keys = [s for s in range(S) if mask[b, t, s]]
            powers = {s: math.exp(float(query[b, t] @ key[b, s]) / math.sqrt(H)) for s in keys}
            for s in keys:
                weights[b, t, s] = powers[s] / sum(powers.values())
                context[b, t] += weights[b, t, s] * value[b, s]
            for s in keys:
                ahead = weights[b, t, s] * (value[b, s] - context[b, t]).sum()
                gradient[b, t] += ahead * key[b, s] / math.sqrt(H)
    return context, weights, gradient


def scaled_dot_cases(rng):
    def case(B, T, S, H, V, note, share=None, closed_row=False):
        inputs = _draw(rng, query=(B, T, H), key=(B, S, H), value=(B, S, V))
        inputs["mask"] = None
        if share is not None:
            mask = rng.random((B, T, S)) < share
            mask[0, 0] = np.arange(S) == S - 2
            mask[..., 0] |= ~mask.any(axis=-1)
            if closed_row:
                mask[-1, -1] = False
            inputs["mask"] = mask
        return Case(inputs, note)

    allowed = np.array([[[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0]]], bool)
    half = {
        "query": np.zeros((1, 3, 4), np.float16),
        "key": rng.integers(-1, 2, (1, 4, 4)).astype(np.float16),
        "value": np.array([[[1, -1], [0, 1], [-1, -1], [1, 0]]], np.float16),
        "mask": allowed[:, :, rng.permutation(4)],
    }
    return [
        case(1, 1, 2, 4, 3, "one query, two keys, no mask"),
        case(2, 3, 4, 2, 5, "a mask, every query has a key", 0.5),
        case(2, 3, 5, 4, 1, "the last query of the last item may attend to no key", 0.5, True),
        Case(half, "dtype float16; the last query may attend to no key"),
    ]


def run_scaled_dot(candidate, query, key, value, mask=None):
    """The layer's context and weights, and the gradient of the context's sum by the query."""
    if inspect.isfunction(candidate):
        return candidate(query=query, key=key, value=value, mask=mask)
    _keras()
    import tensorflow as tf

    layer = make_layer(candidate, dtype=str(query.dtype))
    query = tf.constant(query)
    with tf.GradientTape() as tape:
        tape.watch(query)
        outputs = layer(query, tf.constant(key), tf.constant(value), mask=mask)
        found = pair(outputs)
        if found is None:
            return None
        total = tf.reduce_sum(tf.cast(outputs[0], tf.float32))
    gradient = tape.gradient(total, query)
    if gradient is None:
        raise Mismatch(
            "No gradient reaches the query: somewhere `call` leaves TensorFlow. Use `ops`, not NumPy, and "
            "no bool array as a factor: `weights * mask` is NumPy's; `ops.where` is not."
        )
    return *found, np.asarray(gradient)


def _dot(rule=None, scale=None, closed=None, zero=False, axis=-1):
    """A layer that scores by dot product; `closed` is what stands in masked places."""

    def call(self, query, key, value, mask=None):
        from keras import ops

        scores = ops.matmul(query, ops.transpose(key, (0, 2, 1)))
        scores = scores / (query.shape[-1] ** 0.5 if scale is None else scale(query, key, value))
        if rule is not None:
            weights = rule(ops, scores, mask)
        elif mask is None:
            weights = ops.softmax(scores, axis=axis)
        else:
            low = ops.cast(closed if closed is not None else -1e4, scores.dtype)
            weights = ops.softmax(ops.where(mask, scores, low), axis=axis)
            if zero:
                weights = ops.where(mask, weights, ops.zeros_like(weights))
        return ops.matmul(weights, value), weights

    return lazy_layer(call)


def _right_rule(ops, scores, mask):
    if mask is None:
        return ops.softmax(scores, axis=-1)
    weights = ops.softmax(ops.where(mask, scores, ops.cast(-1e4, scores.dtype)), axis=-1)
    return ops.where(mask, weights, ops.zeros_like(weights))


def _after_softmax(ops, scores, mask):
    weights = ops.softmax(scores, axis=-1)
    return weights if mask is None else weights * ops.cast(mask, weights.dtype)


def _inverted(ops, scores, mask):
    return _right_rule(ops, scores, None if mask is None else ops.logical_not(mask))


def _inverted_uniform(ops, scores, mask):
    if mask is None:
        return ops.softmax(scores, axis=-1)
    return ops.softmax(ops.where(mask, ops.cast(-1e4, scores.dtype), scores), axis=-1)


def _infinity_added(ops, scores, mask):
    if mask is None:
        return ops.softmax(scores, axis=-1)
    zeros = ops.zeros_like(scores)
    weights = ops.softmax(scores + ops.where(mask, zeros, zeros - np.inf), axis=-1)
    return ops.where(mask, weights, zeros)


def _lowest_times(ops, scores, mask):
    allowed = 1 if mask is None else ops.cast(mask, scores.dtype)
    return _lowest_uniform(ops, scores, mask) * allowed


def _lowest_uniform(ops, scores, mask):
    if mask is None:
        return ops.softmax(scores, axis=-1)
    lowest = ops.cast(-1e9, scores.dtype)
    return ops.softmax(scores + (1 - ops.cast(mask, scores.dtype)) * lowest, axis=-1)


def _low_where_open(ops, scores, mask):
    if mask is None:
        return ops.softmax(scores, axis=-1)
    weights = ops.softmax(ops.where(mask, -1e4, scores), axis=-1)
    return ops.where(mask, weights, 0.0)


def _zero_score(ops, scores, mask):
    weights = _times_mask(ops, scores, mask)
    return weights if mask is None else ops.where(mask, weights, 0.0)


def _mask_expected(ops, scores, mask):
    return ops.where(mask, ops.softmax(ops.where(mask, scores, -1e4), axis=-1), 0.0)


def _dot_of(product):
    """A right layer but for the product of query and key."""

    def call(self, query, key, value, mask=None):
        from keras import ops

        weights = _right_rule(ops, product(ops, query, key), mask)
        return ops.matmul(weights, value), weights

    return lazy_layer(call)


def _narrow_by_wide(ops, query, key):
    scores = ops.matmul(query, ops.transpose(key, (0, 2, 1)))
    return scores / ops.sqrt(query.shape[-1])


def _times_mask(ops, scores, mask):
    return ops.softmax(scores if mask is None else scores * ops.cast(mask, scores.dtype), axis=-1)


UNIFORM = (
    "A query that may attend to no key gets equal weights everywhere: all its scores are the same "
    "low number, and softmax only sees differences. Ours are zero: set closed places to zero "
    "*after* the softmax as well."
)

SCALED_DOT_LAYER = Exercise(
    name="scaled_dot_layer",
    lesson=LESSON,
    title="A layer for scaled dot products",
    kind="write",
    minutes=10,
    difficulty=2,
    points=2,
    reference=scaled_dot_by_loops,
    cases=scaled_dot_cases,
    outputs={"context": "B T V", "weights": "B T S", "gradient": "B T D"},
    run=run_scaled_dot,
    properties=[
        properties.finite("context", "weights"),
        properties.not_negative(),
        properties.rows_sum_to_one(zero_rows=True),
        properties.finite("gradient"),
    ],
    misconceptions=[
        Misconception(
            "not scaled",
            "Divide the scores by √D, the square root of the width of a query. Keras's own `Attention` does not "
            "unless told to; here it is asked for.",
            _dot(scale=lambda query, key, value: 1.0, zero=True),
        ),
        Misconception(
            "divided by D",
            "You divide by D. It is its square root, `query.shape[-1] ** 0.5`.",
            _dot(scale=lambda query, key, value: query.shape[-1], zero=True),
        ),
        Misconception(
            "scaled by the number of keys",
            "You divide by the root of the number of keys. The root is of the *width*: `query.shape[-1]`.",
            _dot(scale=lambda query, key, value: key.shape[1] ** 0.5, zero=True),
        ),
        Misconception(
            "softmax over the queries",
            "Your softmax runs over the queries (axis 1). Each query spreads one unit over the *keys*: axis -1.",
            _dot(axis=1, zero=True),
        ),
        Misconception(
            "mask ignored",
            "Your layer does not use `mask`.",
            _dot(rule=lambda ops, scores, mask: ops.softmax(scores, axis=-1)),
        ),
        Misconception(
            "mask inverted",
            "Your mask works the wrong way round. True means *may attend*.",
            _dot(rule=_inverted),
        ),
        Misconception(
            "mask inverted, closed rows uniform",
            "Your mask works the wrong way round. True means *may attend*.",
            _dot(rule=_inverted_uniform),
        ),
        Misconception(
            "mask inverted before the softmax",
            "Before the softmax your mask works the wrong way round: the low number goes where the mask is *False*, "
            "`ops.where(mask, scores, low)`.",
            _dot(rule=_low_where_open),
        ),
        Misconception(
            "mask None forgotten",
            "`mask` may be None, and then every key is open. Ask `if mask is not None` before you use it.",
            _dot(rule=_mask_expected),
        ),
        Misconception(
            "closed keys score 0",
            "A closed key gets the score 0 before the softmax, and e⁰ is 1, not nothing: it takes a share, which is then "
            "missing in the row. Give it a low score.",
            _dot(rule=_zero_score),
        ),
        Misconception(
            "keys not transposed",
            "Query is (B, T, D), key (B, S, D): for a product (B, T, S) the keys must be turned to (B, D, S).",
            _dot_of(lambda ops, query, key: ops.matmul(query, key) / query.shape[-1] ** 0.5),
        ),
        Misconception(
            "all axes transposed",
            "`ops.transpose(key)` turns all three axes, the batch, too. Only the last two change places: "
            "`ops.transpose(key, (0, 2, 1))`.",
            _dot_of(
                lambda ops, query, key: (
                    ops.matmul(query, ops.transpose(key)) / query.shape[-1] ** 0.5
                )
            ),
        ),
        Misconception(
            "root in float32",
            "The root comes out in float32, and TensorFlow does not divide float16 by it. A plain Python number goes "
            "with every type: `query.shape[-1] ** 0.5`.",
            _dot_of(_narrow_by_wide),
        ),
        Misconception(
            "mask after the softmax",
            "You set closed places to zero after the softmax only: what they took is missing in the row. Close them "
            "*before* it as well.",
            _dot(rule=_after_softmax),
        ),
        Misconception(
            "scores multiplied by the mask",
            "You multiply scores by the mask. A closed key then has the score 0, and e⁰ is 1, not nothing.",
            _dot(rule=_times_mask),
        ),
        Misconception(
            "closed rows uniform",
            UNIFORM,
            _dot(closed=-1e4),
        ),
        Misconception(
            "closed rows uniform, too low for float16",
            UNIFORM + " And -1e9 is minus infinity in float16: take a number that exists there.",
            _dot(closed=-1e9),
        ),
        Misconception(
            "minus infinity",
            "You close with minus infinity. Where a query may attend to nothing, the softmax is then 0/0, and NaN "
            "spreads from there. Take a low *finite* number.",
            _dot(closed=-np.inf),
        ),
        Misconception(
            "minus infinity added",
            "The weights are right, the gradient is not. Adding minus infinity makes NaN inside the softmax of a closed "
            "row. Setting the weights to zero afterwards hides it only forwards: backwards it passes the sum. Take a low "
            "*finite* number.",
            _dot(rule=_infinity_added),
        ),
        Misconception(
            "too low for float16",
            "In float16, -1e9 is minus infinity, and where you multiply it by 0 the result is NaN: open places, too. The "
            "lowest number there is -65,504; -1e4 will do.",
            _dot(rule=_lowest_times),
        ),
        Misconception(
            "too low for float16, closed rows uniform",
            "In float16, -1e9 is minus infinity, and where you multiply it by 0 the result is NaN: open places, too. The "
            "lowest number there is -65,504; -1e4 will do. Then look at a query that may attend to no key.",
            _dot(rule=_lowest_uniform),
        ),
    ],
    own=["attnfuse.layers", "attnfuse.attention"],
    reread="section 2",
    hint="`ops.transpose(key, (0, 2, 1))` turns the keys. Close with `ops.where(mask, scores, -1e4)`, take the "
    "softmax, then `ops.where(mask, weights, 0.0)`. Without a mask, neither.",
    **NARROW,
)

# -- additive_layer ---------------------------------------------------------------------------------


def _config(units):
    return {"units": units, "name": "mine", "dtype": "float16"}


def additive_by_loops(query, key, value, query_matrix, key_matrix, vector):
    query, key, value, W, U, v = (
        np.asarray(x, dtype=float) for x in (query, key, value, query_matrix, key_matrix, vector)
    )
    B, T, _ = query.shape
    S, V = value.shape[1:]
    weights, context = np.zeros((B, T, S)), np.zeros((B, T, V))
    for b in range(B):
        for t in range(T):
            scores = [float(v @ np.tanh(query[b, t] @ W + key[b, s] @ U)) for s in range(S)]
            total = sum(math.exp(score) for score in scores)
            for s in range(S):
                weights[b, t, s] = math.exp(scores[s]) / total
                context[b, t] += weights[b, t, s] * value[b, s]
    return context, weights, _config(len(v))


def additive_cases(rng):
    def case(B, T, S, Q, K, V, units, note):
        shapes = {
            "query": (B, T, Q),
            "key": (B, S, K),
            "value": (B, S, V),
            "query_matrix": (Q, units),
            "key_matrix": (K, units),
            "vector": (units,),
        }
        return Case(_draw(rng, **shapes), note)

    return [
        case(1, 1, 2, 3, 4, 2, 5, "one query, two keys"),
        case(2, 3, 4, 5, 2, 6, 7, "two items, all sizes different"),
        case(3, 2, 5, 4, 6, 1, 3, "three items"),
    ]


def run_additive(candidate, query, key, value, **weights):
    """Context, weights, and what of the layer survives `get_config` and `from_config`."""
    if inspect.isfunction(candidate):
        return candidate(query=query, key=key, value=value, **weights)
    units = len(weights["vector"])
    layer = make_layer(candidate, units=units)
    with in_plain_words():
        layer(query, key, value)
        set_weights(layer, **weights)
        found = pair(layer(query, key, value))
    if found is None:
        return None
    saved = make_layer(candidate, units=units, name="mine", dtype="float16")
    return *found, _survives(saved)


def _survives(layer):
    config = layer.get_config()
    if not isinstance(config, dict):
        return {"get_config": f"returns {type(config).__name__}, not a dict"}
    try:
        again = type(layer).from_config(config)
    except Exception as error:
        return {"from_config": f"raises {type(error).__name__}"}
    units = getattr(again, "units", None)
    name = again.name if again.name == layer.name else "another"
    return {"units": units, "name": name, "dtype": again.dtype_policy.name}


def _additive(squash=np.tanh, rule=softmax_rows, mixes="value"):
    """Additive attention in NumPy; `squash(hidden, vector)` gives scores if it takes two."""

    def wrong(query, key, value, query_matrix, key_matrix, vector):
        hidden = (query @ query_matrix)[:, :, None] + (key @ key_matrix)[:, None]
        scores = squash(hidden) @ vector
        weights = rule(scores)
        mixed = {"value": value, "key": key}[mixes]
        return weights @ mixed, weights, _config(len(vector))

    return wrong


def _no_vector(query, key, value, query_matrix, key_matrix, vector):
    return _additive()(query, key, value, query_matrix, key_matrix, np.ones_like(vector))


def _tanh_last(query, key, value, query_matrix, key_matrix, vector):
    hidden = (query @ query_matrix)[:, :, None] + (key @ key_matrix)[:, None]
    weights = softmax_rows(np.tanh(hidden @ vector))
    return weights @ value, weights, _config(len(vector))


def _two_tanh(query, key, value, query_matrix, key_matrix, vector):
    hidden = np.tanh(query @ query_matrix)[:, :, None] + np.tanh(key @ key_matrix)[:, None]
    weights = softmax_rows(hidden @ vector)
    return weights @ value, weights, _config(len(vector))


def additive_build(self, query_shape, key_shape, value_shape):
    self.query_matrix = self.add_weight(shape=(query_shape[-1], self.units), name="query_matrix")
    self.key_matrix = self.add_weight(shape=(key_shape[-1], self.units), name="key_matrix")
    self.vector = self.add_weight(shape=(self.units,), name="vector")


def additive_call(self, query, key, value):
    from keras import ops

    hidden = (
        ops.matmul(query, self.query_matrix)[:, :, None] + ops.matmul(key, self.key_matrix)[:, None]
    )
    weights = ops.softmax(ops.sum(ops.tanh(hidden) * self.vector, axis=-1), axis=-1)
    return ops.matmul(weights, value), weights


def _additive_with(scores):
    """An additive layer whose `scores(ops, layer, query, key)` has a slip, q and k being projected."""

    def call(self, query, key, value):
        from keras import ops

        q, k = ops.matmul(query, self.query_matrix), ops.matmul(key, self.key_matrix)
        weights = ops.softmax(scores(ops, self.vector, q, k), axis=-1)
        return ops.matmul(weights, value), weights

    return lazy_layer(call, additive_build, ("units",), _config_of_units)


def _config_of_units(self):
    return {**_base_config(self), "units": self.units}


def _with_config(get_config):
    return lazy_layer(additive_call, additive_build, ("units",), get_config)


def _base_config(self):
    return _keras().layers.Layer.get_config(self)


ADDITIVE_LAYER = Exercise(
    name="additive_layer",
    lesson=LESSON,
    title="An additive layer that can be saved",
    kind="finish",
    minutes=8,
    difficulty=2,
    points=0,
    reference=additive_by_loops,
    cases=additive_cases,
    outputs={"context": "B T V", "weights": "B T S", "config": ""},
    run=run_additive,
    properties=[
        properties.finite("context", "weights"),
        properties.not_negative(),
        properties.rows_sum_to_one(),
    ],
    misconceptions=[
        Misconception(
            "no tanh",
            "The tanh is missing. What that costs is the next exercise.",
            _additive(lambda x: x),
        ),
        Misconception(
            "relu",
            "You bend with relu. Asked is tanh.",
            _additive(lambda x: np.maximum(x, 0)),
        ),
        Misconception(
            "a tanh for each",
            "You take the tanh of query and key apart and add then. Then each key's part of the score is the same for "
            "every query, and the query's part cancels in the softmax. Add first, then bend.",
            _two_tanh,
        ),
        Misconception(
            "tanh of the score",
            "You bend the finished score. The tanh comes before the vector v: v · tanh(…).",
            _tanh_last,
        ),
        Misconception(
            "vector not used",
            "You add up the hidden units without `self.vector`.",
            _no_vector,
        ),
        Misconception(
            "softmax over the queries",
            "Your softmax runs over the queries (axis 1). Each query spreads one unit over the *keys*: axis -1.",
            _additive(rule=lambda scores: softmax_rows(scores, axis=1)),
        ),
        Misconception(
            "keys mixed",
            "You mix the keys. Keys are asked, *values* are handed over.",
            _additive(mixes="key"),
        ),
        Misconception(
            "no softmax",
            "You mix with the scores themselves. The softmax that makes weights of them is missing.",
            _additive(rule=lambda scores: scores),
        ),
        Misconception(
            "scaled",
            "You divide by the root of `units`. This score is not divided by anything.",
            _additive(lambda x: np.tanh(x) / math.sqrt(x.shape[-1])),
        ),
        Misconception(
            "no axes for pairs",
            "You add query (B, T, units) and key (B, S, units) as they are: that pairs the first query with the first "
            "key at best. Every query meets every key if one gets an axis for S and the other one for T.",
            _additive_with(lambda ops, v, q, k: ops.sum(ops.tanh(q + k) * v, axis=-1)),
        ),
        Misconception(
            "a vector behind @",
            "In NumPy that works. Here use `ops.matmul(hidden, self.vector)`, or multiply and add: "
            "`ops.sum(hidden * self.vector, axis=-1)`.",
            _additive_with(lambda ops, v, q, k: ops.tanh(q[:, :, None] + k[:, None]) @ v),
        ),
        Misconception(
            "config not written",
            "`call` is right. `get_config` returns nothing yet.",
            _with_config(lambda self: None),
        ),
        Misconception(
            "config without units",
            "`call` is right. But your config does not hold `units`: a saved layer cannot be made again.",
            _with_config(_base_config),
        ),
        Misconception(
            "config of units alone",
            "`call` is right. But your config holds `units` only: name and dtype are lost, and a float16 layer "
            "comes back in float32. Begin with `super().get_config()`.",
            _with_config(lambda self: {"units": self.units}),
        ),
    ],
    own=["attnfuse.layers", "attnfuse.attention"],
    reread="section 3",
    hint="`[:, :, None]` and `[:, None]` give (B, T, 1, units) and (B, 1, S, units), which add up to (B, T, S, units). "
    'The config is `{**super().get_config(), "units": self.units}`.',
)

# -- forgets_query (a prediction) -------------------------------------------------------------------


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
    return tuple(not np.allclose(*softmax_rows(score)) for score in scores)


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
    misconceptions=[
        Misconception(
            "all listen",
            "You expect every score to listen, because the query stands in every formula. But softmax sees only "
            "*differences* between keys. In one of the four the query adds the same number to the score of each key.",
            (True, True, True, True),
        ),
        Misconception(
            "additive scores never listen",
            "A sum before the tanh does not separate into a part of the query and a part of the key: the tanh bends by "
            "where the sum lies. Only where nothing bends does the query cancel.",
            (True, False, False, False),
        ),
        Misconception(
            "only tanh bends",
            "relu bends, too: whether a hidden unit passes depends on query *and* key.",
            (True, True, False, False),
        ),
        Misconception(
            "the other way round",
            "You marked where the weights stay. Asked was where they *differ*.",
            (False, False, True, False),
        ),
        Misconception(
            "q·k forgets as well",
            "In q·k the query is multiplied with each key: another key, another number. Nothing there is the same for "
            "a whole row.",
            (False, True, False, True),
        ),
        Misconception(
            "only tanh listens",
            "Neither q·k nor relu separates into a part of the query and a part of the key: look for the one score "
            "that does.",
            (False, True, False, False),
        ),
        Misconception(
            "relu forgets",
            "Third and fourth exchanged? Without bending, v·(Wq + Uk) = v·Wq + v·Uk, and softmax cancels the first part. "
            "relu does not separate so.",
            (True, True, True, False),
        ),
    ],
    reread="section 3",
    hint="Write each score as (something of the query alone) + (something of the key alone), if you can. "
    "What does softmax do with a number that is added to every score of a row?",
)

# -- multi_head_layer ---------------------------------------------------------------------------------

PARTS = ("query", "key", "value", "output")


def multi_head_by_loops(query, key, value, mask, heads, **weights):
    """Keys that are zero throughout are padding; `weights` are the eight arrays."""
    w = {name: np.asarray(x, dtype=float) for name, x in weights.items()}
    query, key, value = (np.asarray(x, dtype=float) for x in (query, key, value))
    B, T, _ = query.shape
    S, D = key.shape[1], w["output_matrix"].shape[1]
    H = w["query_matrix"].shape[1] // heads
    q = query @ w["query_matrix"] + w["query_bias"]
    k = key @ w["key_matrix"] + w["key_bias"]
    v = value @ w["value_matrix"] + w["value_bias"]
    output, shares = np.zeros((B, T, D)), np.zeros((B, heads, T, S))
    for b in range(B):
        for t in range(T):
            keys = [s for s in range(S) if key[b, s].any() and (mask is None or mask[b, t, s])]
            context = np.zeros(heads * H)
            for n in range(heads):
                columns = slice(n * H, (n + 1) * H)
                scores = {s: q[b, t, columns] @ k[b, s, columns] / math.sqrt(H) for s in keys}
                total = sum(math.exp(score) for score in scores.values())
                for s in keys:
                    shares[b, n, t, s] = math.exp(scores[s]) / total
                    context[columns] += shares[b, n, t, s] * v[b, s, columns]
            output[b, t] = context @ w["output_matrix"] + w["output_bias"]
    return output, shares


def multi_head_cases(rng):
    def case(B, T, S, N, H, wide, note, padding=(), share=None, closed_row=False):
        D = N * H
        shapes = dict(zip(("query", "key", "value"), ((B, T), (B, S), (B, S)), strict=True))
        inputs = _draw(rng, **{n: (*shape, w) for (n, shape), w in zip(shapes.items(), wide)})  # noqa: B905
        for name, rows in zip(PARTS, (*wide, D), strict=True):
            inputs |= _draw(rng, **{f"{name}_matrix": (rows, D), f"{name}_bias": (D,)})
        for b, length in enumerate(padding):
            inputs["key"][b, length:] = 0
        mask = None
        if share is not None:
            mask = rng.random((B, T, S)) < share
            mask[..., 0] |= ~mask[..., : min(padding, default=S)].any(axis=-1)
            if closed_row:
                mask[0, 1] = False
        return Case({**inputs, "mask": mask, "heads": N}, note)

    return [
        case(1, 1, 2, 1, 2, (3, 3, 3), "one head, no mask"),
        case(2, 3, 4, 3, 2, (5, 7, 8), "three heads, no mask"),
        case(2, 3, 5, 2, 3, (4, 5, 7), "padding that the keys announce themselves", (5, 2)),
        case(
            2,
            4,
            5,
            2,
            3,
            (4, 5, 7),
            "a mask and padding; one query may attend to no key",
            (3, 4),
            0.5,
            True,
        ),
    ]


def run_multi_head(candidate, query, key, value, mask, heads, **weights):
    """Build, weigh and call the layer; its keys carry a mask where they hold padding."""
    if inspect.isfunction(candidate):
        return candidate(query=query, key=key, value=value, mask=mask, heads=heads, **weights)
    keras = _keras()
    layer = make_layer(candidate, heads=heads, width=weights["output_matrix"].shape[1])
    marked = keras.layers.Masking()(key)  # all zeros: padding
    layer(query, marked, value)
    set_weights(layer, **weights)
    found = layer(query, marked, value, mask=mask, return_weights=True)
    found = pair(found, "(output, weights)", "With `return_weights=True`, `call`")
    alone = layer(query, marked, value, mask=mask)
    if found is not None and isinstance(alone, tuple | list):
        raise Mismatch("Without `return_weights=True` the layer must return the output alone.")
    return found


def _numpy_heads(
    scale="H",
    split="right",
    merge="right",
    closed=softmax_rows,
    padding=True,
    masked=True,
    biased=PARTS,
    projected=True,
    join=np.logical_and,
    flipped=False,
    values="value",
):
    """Multi-head attention in NumPy with a slip; `biased` names the projections that add a bias."""

    def wrong(query, key, value, mask, heads, **w):
        B, T, S = query.shape[0], query.shape[1], key.shape[1]
        D = w["output_matrix"].shape[1]
        H = D // heads

        def cut(x):
            if split == "right":
                return x.reshape(B, -1, heads, H).swapaxes(1, 2)
            if split == "no transpose":
                return x.reshape(B, heads, -1, H)
            return x.reshape(B, -1, H, heads).transpose(0, 3, 1, 2)

        allowed = np.ones((B, 1, T, S), bool)
        if masked and mask is not None:
            extra = mask if masked == "on the heads" else mask[:, None]
            allowed = allowed & (~extra if "inverted" in str(masked) else extra)
        if padding:
            real = key.any(axis=-1)[:, None, None]
            real = ~real if padding == "inverted" else real
            allowed = real & allowed if mask is None else join(allowed, real)
        allowed = ~allowed if flipped else allowed
        if values == "key" and key.shape[-1] != value.shape[-1]:
            import tensorflow as tf

            raise tf.errors.InvalidArgumentError(None, None, "as TensorFlow's product does")
        q, k, v = (
            cut(x @ w[f"{n}_matrix"] + (n in biased) * w[f"{n}_bias"])
            for n, x in zip(PARTS, (query, key, value if values == "value" else key))  # noqa: B905
        )
        scores = q @ k.swapaxes(-1, -2) / {"H": H, "D": D, "1": 1.0}[scale] ** 0.5
        weights = closed(scores, allowed)
        context = weights @ v
        if merge == "right":
            context = context.swapaxes(1, 2)
        merged = context.reshape(B, T, D)
        if not projected:
            return merged, weights
        return merged @ w["output_matrix"] + ("output" in biased) * w["output_bias"], weights

    return wrong


def _over_heads(scores, allowed):
    return softmax_rows(scores, allowed, axis=1)


def _masked_after(scores, allowed):
    return softmax_rows(scores) * allowed


def _test_batch(attempt, case, rng):
    """Changing the last item leaves the others alone."""
    if len(case.inputs["query"]) < 2:
        return
    inputs = {**case.inputs, "value": case.inputs["value"].copy()}
    inputs["value"][-1] += 1
    before, after = attempt.result["output"][:-1], attempt(**inputs)["output"][:-1]
    if not np.allclose(before, after, atol=1e-4):
        raise Mismatch("Changing the last item of the batch changed the other items.")


MULTI_HEAD_LAYER = Exercise(
    name="multi_head_layer",
    lesson=LESSON,
    title="Multi-head attention as a layer",
    kind="write",
    minutes=14,
    difficulty=3,
    points=2,
    reference=multi_head_by_loops,
    cases=multi_head_cases,
    outputs={"output": "B T D", "weights": "B N T S"},
    run=run_multi_head,
    properties=[
        properties.finite(),
        properties.not_negative(),
        properties.rows_sum_to_one(zero_rows=True),
        Property("items of a batch do not mix", _test_batch),
    ],
    misconceptions=[
        Misconception(
            "split without transpose",
            "You reshape to (B, N, T, H) at once: a head then gets *positions* from the front or the back instead of "
            "columns. Reshape to (B, T, N, H), then exchange two axes.",
            _numpy_heads(split="no transpose"),
        ),
        Misconception(
            "split without transpose, merged the same way",
            "You reshape to (B, N, T, H) and back without exchanging axes. So a head gets *positions* from the front "
            "or the back instead of columns. Reshape to (B, T, N, H), then exchange two axes.",
            _numpy_heads(split="no transpose", merge="no transpose"),
        ),
        Misconception(
            "every N-th column",
            "You cut the width into (H, N): head n then gets every N-th column. Its columns are neighbours: (N, H).",
            _numpy_heads(split="every N-th"),
        ),
        Misconception(
            "merged without transpose",
            "You merge (B, N, T, H) by reshape alone, and heads and positions mix. Exchange the axes back first.",
            _numpy_heads(merge="no transpose"),
        ),
        Misconception(
            "scaled by the whole width",
            "You divide by √D, the whole width. The dot products are of heads, H = D/N wide.",
            _numpy_heads(scale="D"),
        ),
        Misconception(
            "not scaled",
            "Divide the scores by √H.",
            _numpy_heads(scale="1"),
        ),
        Misconception(
            "softmax over the heads",
            "Your softmax runs over the heads (axis 1). Each head spreads one unit over the *keys*: axis -1.",
            _numpy_heads(closed=_over_heads),
        ),
        Misconception(
            "propagated mask ignored",
            "You use `mask` only. The keys announce their padding themselves: Keras hands it to `key_mask`, bool "
            "(B, S). A key is open if both say so.",
            _numpy_heads(padding=False),
        ),
        Misconception(
            "explicit mask ignored",
            "You use `key_mask` only. A key is open if `mask` says so, too.",
            _numpy_heads(masked=False),
        ),
        Misconception(
            "no mask at all",
            "Neither `mask` nor `key_mask` has an effect.",
            _numpy_heads(masked=False, padding=False),
        ),
        Misconception(
            "explicit mask inverted",
            "`mask` works the wrong way round. True means *may attend*.",
            _numpy_heads(masked="inverted"),
        ),
        Misconception(
            "both masks inverted",
            "Your masks work the wrong way round. True means *may attend*.",
            _numpy_heads(masked="inverted", padding="inverted"),
        ),
        Misconception(
            "the joined mask inverted",
            "The mask you hand to the softmax works the wrong way round: True means *may attend* there, too.",
            _numpy_heads(flipped=True),
        ),
        Misconception(
            "one mask is enough",
            "You open a key if `mask` *or* `key_mask` says so. Both must: `ops.logical_and`.",
            _numpy_heads(join=np.logical_or),
        ),
        Misconception(
            "key mask only without a mask",
            "Where `mask` is given you forget `key_mask`. Both may come, and then both must agree.",
            _numpy_heads(join=lambda allowed, real: allowed),
        ),
        Misconception(
            "mask on the axis of heads",
            "`mask` is (B, T, S), the scores are (B, N, T, S): without an axis for the heads, `mask[:, None]`, its items "
            "are taken for heads. (Where B and N differ, it raises an error.)",
            _numpy_heads(masked="on the heads"),
        ),
        Misconception(
            "closed rows uniform",
            "A query that may attend to no key gets equal weights everywhere. They are to be zero, so that its output "
            "is the bias: `layers.masked_softmax` does that.",
            _numpy_heads(closed=uniform_if_closed),
        ),
        Misconception(
            "mask after the softmax",
            "You mask after the softmax only: what closed keys took is missing in the row.",
            _numpy_heads(closed=_masked_after),
        ),
        Misconception(
            "biases forgotten",
            "You do not add the biases. There is one after each of the four projections.",
            _numpy_heads(biased=()),
        ),
        *(
            Misconception(
                f"no {name} bias",
                f"`self.{name}_bias` is not added after the {name}'s matrix.",
                _numpy_heads(biased=tuple(part for part in PARTS if part != name)),
            )
            for name in ("query", "value", "output")
        ),
        Misconception(
            "output bias alone",
            "You add the output's bias only. Query, key and value have one each.",
            _numpy_heads(biased=("output",)),
        ),
        Misconception(
            "keys as values",
            "You project `key` where `value` belongs: values go through `value_matrix`.",
            _numpy_heads(values="key"),
        ),
        Misconception(
            "no output projection",
            "The heads stand side by side, but the output projection is missing.",
            _numpy_heads(projected=False),
        ),
    ],
    own=["attnfuse.layers.MultiHeadAttention", "attnfuse.attention"],
    reread="section 4",
    hint="A helper `split` turns (B, T, D) into (B, N, T, H): `ops.reshape(x, (-1, ops.shape(x)[1], N, H))`, then "
    "`ops.transpose(x, (0, 2, 1, 3))`. The weights are (B, N, T, S), so `mask[:, None]` and "
    "`key_mask[:, None, None]` fit; `ops.logical_and` joins them. The same transpose merges.",
    rtol=1e-4,
    atol=1e-4,
)

# -- key_bias (a finding) -----------------------------------------------------------------------------


def array_without_gradient():
    """Of the eight arrays, the one whose change does not change the output."""
    rng = np.random.default_rng(0)
    (case,) = multi_head_cases(rng)[1:2]
    before, _ = multi_head_by_loops(**case.inputs)
    for name in (f"{part}_{what}" for part in PARTS for what in ("matrix", "bias")):
        array = case.inputs[name]
        moved = {**case.inputs, name: array + rng.standard_normal(array.shape)}
        if np.allclose(multi_head_by_loops(**moved)[0], before):
            return name
    return "none"


KEY_BIAS = Exercise(
    name="key_bias",
    lesson=LESSON,
    title="The array that never learns",
    kind="explain",
    minutes=6,
    difficulty=2,
    points=0,
    reference=array_without_gradient,
    value=True,
    misconceptions=[
        Misconception(
            "query bias",
            "The query's bias b adds b·k to the score of key k: another number for each key. That does change weights. "
            "Which bias adds the *same* number to a whole row of scores?",
            "query_bias",
        ),
        Misconception(
            "value bias",
            "The value's bias arrives in every context, since a row of weights sums to 1. It changes the output.",
            "value_bias",
        ),
        Misconception(
            "output bias",
            "The output's bias is added at the very end. Nothing cancels it.",
            "output_bias",
        ),
        Misconception(
            "key matrix",
            "The key's matrix decides what each key looks like. That is the heart of the scores.",
            "key_matrix",
        ),
        *(
            Misconception(
                f"{name} matrix",
                "A matrix decides what is compared and what is handed over. Print its gradient: it learns.",
                f"{name}_matrix",
            )
            for name in ("query", "value", "output")
        ),
        *(
            Misconception(
                f"written otherwise: {name}",
                'Write the name as in the list, such as `"query_matrix"`.',
                name,
            )
            for name in ("key bias", "bias", "self.key_bias")
        ),
        Misconception(
            "none",
            "You expect all eight to learn. Print the largest gradient of each once more: one is rounding noise.",
            "none",
        ),
    ],
    reread="section 4",
    hint="A score is (query + its bias) · (key + its bias). Multiply it out into four products. Which of them are the "
    "same for every key?",
)

# -- article_layer (a bug) ----------------------------------------------------------------------------


def article_by_loops(query, values, W1_kernel, W1_bias, W2_kernel, W2_bias):
    """score = W2(W1([query; value])), W1 with relu."""
    query, values, A, a, C, c = (
        np.asarray(x, dtype=float) for x in (query, values, W1_kernel, W1_bias, W2_kernel, W2_bias)
    )
    B, T, _ = query.shape
    S, D = values.shape[1:]
    context, weights = np.zeros((B, T, D)), np.zeros((B, T, S))
    for b in range(B):
        for t in range(T):
            scores = []
            for s in range(S):
                both = np.concatenate([query[b, t], values[b, s]])
                scores.append(float(np.maximum(both @ A + a, 0) @ C[:, 0] + c[0]))
            total = sum(math.exp(score) for score in scores)
            for s in range(S):
                weights[b, t, s] = math.exp(scores[s]) / total
                context[b, t] += weights[b, t, s] * values[b, s]
    return context, weights


def article_cases(rng):
    def case(B, T, S, Q, D, units, note):
        shapes = {
            "query": (B, T, Q),
            "values": (B, S, D),
            "W1_kernel": (Q + D, units),
            "W1_bias": (units,),
            "W2_kernel": (units, 1),
            "W2_bias": (1,),
        }
        return Case(_draw(rng, **shapes), note)

    return [
        case(2, 4, 4, 4, 4, 3, "T = S = D, where even the printed layer runs"),
        case(1, 2, 3, 4, 4, 6, "two queries, three values"),
        case(3, 4, 2, 5, 7, 6, "three items, all sizes different"),
    ]


def run_article(candidate, query, values, W1_kernel, W1_bias, W2_kernel, W2_bias):
    if inspect.isfunction(candidate):
        return candidate(query, values, W1_kernel, W1_bias, W2_kernel, W2_bias)
    layer = make_layer(candidate, units=len(W1_bias))
    with in_plain_words():
        if layer(query, values) is None:
            return None
    for name in ("W1", "W2"):
        if getattr(layer, name, None) is None:
            raise Mismatch(f"The layer has no `{name}`. Keep `__init__` as it was printed.")
        if not getattr(layer, name).weights:
            raise Mismatch(f"`{name}` is never used, so it has no weights.")
    for name, arrays in {"W1": (W1_kernel, W1_bias), "W2": (W2_kernel, W2_bias)}.items():
        dense = getattr(layer, name)
        if dense.kernel.shape != arrays[0].shape:
            raise Mismatch(
                f"`{name}` meets {dense.kernel.shape[0]} numbers at a time; a query and a value side by side "
                f"are {query.shape[-1] + values.shape[-1]}."
                if name == "W1"
                else f"`{name}` meets {dense.kernel.shape[0]} numbers at a time; `W1` makes {len(W1_bias)}."
            )
        dense.set_weights(list(arrays))
    return pair(layer(query, values))


def _article_layer(call):
    """A layer with the printed `__init__` and this `call`."""

    def new(cls, units):
        keras = _keras()

        class Attention(keras.layers.Layer):
            def __init__(self, units):
                super().__init__()
                self.units = units
                self.W1 = keras.layers.Dense(units, activation="relu")
                self.W2 = keras.layers.Dense(1)

        Attention.call = call
        return Attention(units)

    return type(call.__name__, (), {"__new__": new})


def _as_printed(self, query, values):
    """Article 0, section 4.1: the query is reshaped twice, W2 is never used."""
    import tensorflow as tf

    x = self.W1(query)
    x = tf.reshape(x, (-1, x.shape[1], 1))
    x = tf.reshape(x, (-1, x.shape[0], x.shape[1]))
    return tf.matmul(tf.nn.softmax(tf.matmul(x, values), axis=1), values)


def _both_forgotten(self, query, values):
    from keras import ops

    scores = ops.matmul(self.W1(query), ops.transpose(self.W1(values), (0, 2, 1)))
    weights = ops.softmax(scores, axis=-1)
    return ops.matmul(weights, values), weights


def _added(self, query, values):
    from keras import ops

    scores = self.W2(self.W1(query)[:, :, None] + self.W1(values)[:, None])[..., 0]
    weights = ops.softmax(scores, axis=-1)
    return ops.matmul(weights, values), weights


def _side_by_side(query, values):
    from keras import ops

    T, S = query.shape[1], values.shape[1]
    every = ops.repeat(query[:, :, None], S, axis=2), ops.repeat(values[:, None], T, axis=1)
    return ops.concatenate(every, axis=-1)


def _last_axis_kept(self, query, values):
    from keras import ops

    weights = ops.softmax(self.W2(self.W1(_side_by_side(query, values))), axis=2)
    return ops.matmul(weights, values), weights


def _not_repeated(self, query, values):
    from keras import ops

    pairs = ops.concatenate([query[:, :, None], values[:, None]], axis=-1)
    weights = ops.softmax(self.W2(self.W1(pairs))[..., 0], axis=-1)
    return ops.matmul(weights, values), weights


def _article_numpy(rule=softmax_rows, bend=lambda x: np.maximum(x, 0), swapped=False, mixed=True):
    def wrong(query, values, W1_kernel, W1_bias, W2_kernel, W2_bias):
        B, T, Q = query.shape
        S, D = values.shape[1:]
        asked = np.broadcast_to(query[:, :, None], (B, T, S, Q))
        offered = np.broadcast_to(values[:, None], (B, T, S, D))
        both = np.concatenate([offered, asked] if swapped else [asked, offered], axis=-1)
        scores = (bend(both @ W1_kernel + W1_bias) @ W2_kernel + W2_bias)[..., 0]
        weights = rule(scores)
        return weights @ values, weights

    return wrong


def _mean_over_batch(query, values, *weights):
    together = np.broadcast_to(values.mean(axis=0), values.shape)
    return _article_numpy()(query, together, *weights)


def _first_query(query, values, *weights):
    return _article_numpy()(np.broadcast_to(query[:, :1], query.shape), values, *weights)


def _test_own_item(attempt, case, rng):
    """Changing the last item leaves the others alone."""
    if len(case.inputs["query"]) < 2:
        return
    inputs = {**case.inputs, "query": case.inputs["query"].copy()}
    inputs["query"][-1] += 1
    before, after = attempt.result["weights"][:-1], attempt(**inputs)["weights"][:-1]
    if not np.allclose(before, after, atol=1e-4):
        raise Mismatch("Changing the last item of the batch changed the weights of the others.")


ARTICLE_LAYER = Exercise(
    name="article_layer",
    lesson=LESSON,
    title="A published layer, fault by fault",
    kind="bug",
    minutes=12,
    difficulty=3,
    points=2,
    reference=article_by_loops,
    cases=article_cases,
    outputs={"context": "B T D", "weights": "B T S"},
    run=run_article,
    properties=[
        properties.finite(),
        properties.not_negative(),
        properties.rows_sum_to_one(),
        Property("items of a batch do not mix", _test_own_item),
    ],
    misconceptions=[
        Misconception(
            "as printed",
            "This still behaves as the printed layer does: W1 sees the query alone, W2 nothing, and the reshapes mix "
            "items of the batch. Begin with pairs: every query next to every value, (B, T, S, …).",
            _article_layer(_as_printed),
        ),
        Misconception(
            "dot product of projections",
            "You score by the dot product of two projections; W2 is still never used. The score of a pair is "
            "W2(W1([query; value])).",
            _article_layer(_both_forgotten),
        ),
        Misconception(
            "projections added",
            "You send query and value through W1 apart and add. W1 is to see the two side by side, as one longer "
            "vector: concatenate first.",
            _article_layer(_added),
        ),
        Misconception(
            "not repeated",
            "`ops.concatenate` does not broadcast, as + does: give both the full shape (B, T, S, …) first, with "
            "`ops.repeat` or `ops.broadcast_to`.",
            _article_layer(_not_repeated),
        ),
        Misconception(
            "last axis kept",
            "W2 leaves an axis of size 1: (B, T, S, 1). Take `[..., 0]` of it before the softmax.",
            _article_layer(_last_axis_kept),
        ),
        Misconception(
            "softmax over the queries",
            "Your softmax still runs over axis 1, which holds the queries. The values stand on the last axis.",
            _article_numpy(rule=lambda scores: softmax_rows(scores, axis=1)),
        ),
        Misconception(
            "value before query",
            "You put the value in front of the query. W1's first rows are for the query.",
            _article_numpy(swapped=True),
        ),
        Misconception(
            "relu lost",
            "The relu of W1 got lost. Without it the query cancels in the softmax: section 3.",
            _article_numpy(bend=lambda x: x),
        ),
        Misconception(
            "one query for all",
            "Every position asks with the first query. Each has its own.",
            _first_query,
        ),
        Misconception(
            "the batch shares its values",
            "You average over the batch. Each item attends to its own values.",
            _mean_over_batch,
        ),
    ],
    own=["attnfuse.layers", "attnfuse.attention"],
    reread="section 7",
    hint="`ops.repeat(query[:, :, None], S, axis=2)` and `ops.repeat(values[:, None], T, axis=1)` are both (B, T, S, …). "
    "Put them side by side with `ops.concatenate(…, axis=-1)`, then W1, then W2, and take `[..., 0]`.",
    rtol=1e-4,
    atol=1e-4,
)

# -- across_batch (a bug) -----------------------------------------------------------------------------


def fuse_by_loops(image, text):
    image, text = np.asarray(image, dtype=float), np.asarray(text, dtype=float)
    context = np.zeros(image.shape)
    for b in range(len(image)):
        offered = [image[b], text[b]]
        powers = [math.exp(float(image[b] @ vector)) for vector in offered]
        for power, vector in zip(powers, offered, strict=True):
            context[b] += power / sum(powers) * vector
    return context


def fuse_cases(rng):
    def case(B, D, note):
        inputs = _draw(rng, image=(B, D), text=(B, D))
        return Case({name: x / math.sqrt(D) for name, x in inputs.items()}, note)

    return [case(1, 3, "one item"), case(3, 4, "three items"), case(5, 2, "five items")]


def _across(image, text):
    return softmax_rows(image @ text.T) @ text


def _fuse(make_keys, scale=1.0, asks="image"):
    def wrong(image, text):
        keys = make_keys(image, text)
        query = image if asks == "image" else text
        scores = np.einsum("bd,bsd->bs", query, keys) / scale
        return np.einsum("bs,bsd->bd", softmax_rows(scores), keys)

    return wrong


def _both(image, text):
    return np.stack([image, text], axis=1)


def _all_of_batch(image, text):
    keys = np.concatenate([image, text])
    return softmax_rows(image @ keys.T) @ keys


def _asked_by_the_first(image, text):
    """What `ops.expand_dims(image, 0)` as the query gives: image 0 asks everywhere."""
    keys = _both(image, text)
    weights = softmax_rows(np.einsum("d,bsd->bs", image[0], keys))
    return np.einsum("bs,bsd->bd", weights, keys)


def _both_ask(image, text):
    return (_fuse(_both)(image, text) + _fuse(_both, asks="text")(image, text)) / 2


def _fuse_scaled(image, text):
    return _fuse(_both, scale=math.sqrt(image.shape[1]))(image, text)


def _test_alone(attempt, case, rng):
    """The first item alone gets what it gets in company."""
    inputs = {name: x[:1] for name, x in case.inputs.items()}
    alone, company = attempt(**inputs)["fused"], attempt.result["fused"][:1]
    if not np.allclose(alone, company, atol=1e-4):
        raise Mismatch(
            "The first item was sent alone, and its result changed: the items attend to each other.",
            alone,
            company,
            labels=("alone", "in the batch"),
        )


ACROSS_BATCH = Exercise(
    name="across_batch",
    lesson=LESSON,
    title="Strangers in the batch",
    kind="bug",
    minutes=6,
    difficulty=2,
    points=0,
    reference=fuse_by_loops,
    cases=fuse_cases,
    outputs={"fused": "B D"},
    properties=[properties.finite(), Property("an item alone gets the same", _test_alone)],
    misconceptions=[
        Misconception(
            "as given",
            "This still attends across the batch: the keys of an item are the texts of *all* items. Give each item an "
            "axis of positions of its own: query (B, 1, D), keys (B, 2, D).",
            _across,
        ),
        Misconception(
            "stacked along the batch",
            "You joined image and text along the batch axis. Stack them on a new axis 1: (B, 2, D).",
            _all_of_batch,
        ),
        Misconception(
            "one key",
            "Your only key is the text. With one key the weight is 1, whatever the image asks: the result is the text. "
            "Offer both vectors.",
            lambda image, text: text.copy(),
        ),
        Misconception(
            "only itself",
            "Your only key is the image itself, so the result is the image. Offer both vectors.",
            lambda image, text: image.copy(),
        ),
        Misconception(
            "the text asks",
            "Your query is the text. The image is to ask.",
            _fuse(_both, asks="text"),
        ),
        Misconception(
            "the first image asks",
            "The image of item 0 asks for everyone: `image[None]` has the items as positions of one item. Each image is a "
            "query of its own: `image[:, None]`, (B, 1, D).",
            _asked_by_the_first,
        ),
        Misconception(
            "both ask",
            "You let image and text ask and average the two answers. Only the image is to ask.",
            _both_ask,
        ),
        Misconception(
            "axis of positions kept",
            "Your result still has the axis of the one query, (B, 1, D): take `[:, 0]`.",
            lambda image, text: _fuse(_both)(image, text)[:, None],
        ),
        Misconception(
            "averaged",
            "You average the two vectors. The weights are to depend on how well each fits the image.",
            lambda image, text: (image + text) / 2,
        ),
        Misconception(
            "scaled",
            "You divide the scores by √D. Here the plain dot product is asked for, as Keras's `Attention` has it.",
            _fuse_scaled,
        ),
    ],
    reread="section 8",
    hint="`ops.stack([image, text], axis=1)` gives (B, 2, D), `image[:, None]` (B, 1, D). The layer takes "
    "`[query, value]`; of its result (B, 1, D) take `[:, 0]`.",
    rtol=1e-4,
    atol=1e-5,
)

# -- leaky_mask (a bug) -------------------------------------------------------------------------------


def leaky_mask_by_loops(x, future, padding, **weights):
    """Multi-head attention of x to itself, closed where future or padding is 1."""
    T = x.shape[1]
    mask = (np.broadcast_to(future, (len(x), T, T)) < 0.5) & (padding[:, None] < 0.5)
    return multi_head_by_loops(x, x, x, mask, 2, **weights)[0]


def leaky_mask_cases(rng):
    def case(B, T, H, lengths, note):
        D = 2 * H
        inputs = _draw(rng, x=(B, T, D))
        for name in PARTS:
            inputs |= _draw(rng, **{f"{name}_matrix": (D, D), f"{name}_bias": (D,)})
        inputs["future"] = 1 - np.tri(T, dtype=np.float32)
        inputs["padding"] = (np.arange(T) >= np.array(lengths)[:, None]).astype(np.float32)
        return Case(inputs, note)

    return [
        case(1, 3, 2, [3], "three words, no padding"),
        case(2, 4, 3, [4, 2], "two sentences, one with padding"),
        case(3, 5, 2, [2, 5, 1], "three sentences"),
    ]


def run_leaky_mask(candidate, x, future, padding, **weights):
    """Call the function with a real `keras.layers.MultiHeadAttention`."""
    keras = _keras()
    D = x.shape[-1]
    layer = keras.layers.MultiHeadAttention(2, D // 2)
    layer.build(x.shape, x.shape)
    arrays = [weights[f"{n}_{what}"] for n in PARTS for what in ("matrix", "bias")]
    layer.set_weights([a.reshape(w.shape) for a, w in zip(arrays, layer.weights)])  # noqa: B905
    return candidate(layer=layer, x=x, future=future, padding=padding)


def _open_where(rule):
    """Attention with `rule(future, padding)`, bool, as the mask: Keras decides about closed rows."""

    def wrong(layer, x, future, padding):
        future, padding = future[None] > 0.5, padding[:, None] > 0.5
        mask = np.broadcast_to(rule(future, padding), (len(x), x.shape[1], x.shape[1]))
        return layer(x, x, attention_mask=mask)

    return wrong


def _test_no_future(attempt, case, rng):
    """Changing the last word must not move what stands before it."""
    x = case.inputs["x"].copy()
    x[:, -1] += 1
    before = attempt.result["output"][:, :-1]
    after = attempt(**{**case.inputs, "x": x})["output"][:, :-1]
    if not np.allclose(before, after, atol=1e-4):
        raise Mismatch(
            "The last word was changed, and the outputs *before* it changed with it: it leaks.",
            before,
            after,
            labels=("before", "after"),
        )


LEAKY_MASK = Exercise(
    name="leaky_mask",
    lesson=LESSON,
    title="The mask that leaks",
    kind="bug",
    minutes=6,
    difficulty=2,
    points=0,
    reference=leaky_mask_by_loops,
    cases=leaky_mask_cases,
    outputs={"output": "B T D"},
    run=run_leaky_mask,
    properties=[properties.finite(), Property("nothing comes from the future", _test_no_future)],
    misconceptions=[
        Misconception(
            "as given",
            "This still behaves as the broken one: 1 means *closed* in these two arrays, and Keras's layer reads "
            "everything that is not 0 as *may attend*. (So it reads -1e9, too.) Every word sees the future alone.",
            _open_where(lambda future, padding: future | padding),
        ),
        Misconception(
            "one of the two is enough",
            "You open a place if it is not future *or* not padding. It must be neither: `and` between open masks, or "
            "`maximum` between closed ones before you turn them round.",
            _open_where(lambda future, padding: ~future | ~padding),
        ),
        Misconception(
            "padding forgotten",
            "The future is closed, padding is open.",
            _open_where(lambda future, padding: ~future),
        ),
        Misconception(
            "future forgotten",
            "Padding is closed, the future is open.",
            _open_where(lambda future, padding: ~padding),
        ),
        Misconception(
            "padding on the axis of queries",
            "`padding[:, :, None]` closes what padding *asks*, and leaves it open as a key. Keys stand on the last axis: "
            "`padding[:, None]`.",
            _open_where(lambda future, padding: ~future & ~padding.swapaxes(1, 2)),
        ),
        Misconception(
            "turned along the wrong axis",
            "You transposed `future`: that opens the future and closes the past, padding apart.",
            _open_where(lambda future, padding: future.swapaxes(1, 2) | padding),
        ),
        Misconception(
            "not itself",
            "A word may not attend to itself in your version: the first has nothing left.",
            _open_where(
                lambda future, padding: ~future & ~padding & ~np.eye(future.shape[-1], dtype=bool)
            ),
        ),
        Misconception(
            "padding turned only",
            "You turned `padding` round and left `future` as it was.",
            _open_where(lambda future, padding: future & ~padding),
        ),
    ],
    reread="section 8",
    hint="`padding[:, None]` is (B, 1, T) and fits `future`. Join the two closed masks, then turn the result round: "
    "`closed == 0` is bool and True where attention is allowed.",
    rtol=1e-4,
    atol=1e-4,
)

# -- decoder_state (a bug) ----------------------------------------------------------------------------


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru_step(x, state, kernel, recurrent, bias):
    """One step of Keras's GRU (reset after the product)."""
    D = state.shape[-1]
    ahead, back = x @ kernel + bias[0], state @ recurrent + bias[1]
    update = _sigmoid(ahead[:, :D] + back[:, :D])
    reset = _sigmoid(ahead[:, D : 2 * D] + back[:, D : 2 * D])
    candidate = np.tanh(ahead[:, 2 * D :] + reset * back[:, 2 * D :])
    return update * state + (1 - update) * candidate


def _decoder(begin="state", query="state", hand_on="new", word=True):
    """A decoder in NumPy; the arguments name what goes where."""

    def steps(words, memory, summary, query_matrix, key_matrix, vector, **gru):
        state, states = np.asarray(summary, dtype=float), []
        for t in range(words.shape[1]):
            asked = state if query == "state" else summary
            hidden = np.tanh((asked @ query_matrix)[:, None] + memory @ key_matrix)
            weights = softmax_rows(hidden @ vector)
            context = np.einsum("bs,bsd->bd", weights, memory)
            x = np.concatenate([context, words[:, t] * word], axis=-1)
            start = {
                "state": state,
                "zeros": np.zeros_like(state),
                "context": context,
                "summary": summary,
                "memory": memory[:, -1],
            }[begin]
            new = gru_step(x, start, **gru)
            states.append(new)
            state = new if hand_on == "new" else state
        return np.stack(states, axis=1)

    steps.in_numpy = True
    return steps


def decoder_by_loops(words, memory, summary, **weights):
    return _decoder()(
        *(np.asarray(x, dtype=float) for x in (words, memory, summary)),
        **{name: np.asarray(x, dtype=float) for name, x in weights.items()},
    )


def decoder_cases(rng):
    def case(B, T, S, D, W, units, note):
        shapes = {
            "words": (B, T, W),
            "memory": (B, S, D),
            "summary": (B, D),
            "query_matrix": (D, units),
            "key_matrix": (D, units),
            "vector": (units,),
            "kernel": (D + W, 3 * D),
            "recurrent": (D, 3 * D),
            "bias": (2, 3 * D),
        }
        return Case(_draw(rng, **shapes), note)

    return [
        case(1, 1, 2, 3, 4, 5, "one step"),
        case(2, 3, 4, 3, 2, 5, "three steps"),
        case(3, 4, 2, 2, 5, 6, "four steps, three items"),
    ]


def run_decoder(candidate, words, memory, summary, query_matrix, key_matrix, vector, **gru):
    """T steps with a real GRU and the course's additive attention; returns all outputs."""
    weights = {"query_matrix": query_matrix, "key_matrix": key_matrix, "vector": vector}
    if getattr(candidate, "in_numpy", False):
        return candidate(words, memory, summary, **weights, **gru)
    keras = _keras()
    from attnfuse import layers

    B, T, W = words.shape
    D = summary.shape[-1]
    cell = keras.layers.GRU(D, return_sequences=True, return_state=True)
    cell.build((B, 1, D + W))
    cell.set_weights([gru["kernel"], gru["recurrent"], gru["bias"]])
    attend = layers.AdditiveAttention(len(vector))
    attend.build((B, 1, D), memory.shape)
    set_weights(attend, **weights)
    memory, state = (keras.ops.convert_to_tensor(x) for x in (memory, summary))
    outputs = []
    for t in range(T):
        word = keras.ops.convert_to_tensor(words[:, t])
        step = candidate(gru=cell, attend=attend, word=word, state=state, memory=memory)
        if step is None or step is Ellipsis:
            return None
        if not isinstance(step, tuple | list) or len(step) != 2:
            raise Mismatch("A step must return two things, (output, state).")
        output, state = step
        outputs.append(np.asarray(output))
        if outputs[-1].shape != (B, D):
            raise Mismatch(f"`output` has shape {outputs[-1].shape}; expected (B, D) = {(B, D)}.")
    return np.stack(outputs, axis=1)


def _test_remembers(attempt, case, rng):
    """The first word must still have an effect at the last step, with the attention held still."""
    words = case.inputs["words"]
    if words.shape[1] < 2:
        return
    still = {"vector": np.zeros_like(case.inputs["vector"])}  # the same weights whoever asks
    other = words.copy()
    other[:, 0] += 1
    before, after = (
        attempt(**{**case.inputs, **still, "words": x})["outputs"][:, -1] for x in (words, other)
    )
    if np.allclose(before, after, atol=1e-6):
        raise Mismatch(
            "The first word was changed, and the last output did not notice: the state is lost "
            "between the steps."
        )


DECODER_STATE = Exercise(
    name="decoder_state",
    lesson=LESSON,
    title="The decoder that forgets",
    kind="bug",
    minutes=6,
    difficulty=2,
    points=0,
    reference=decoder_by_loops,
    cases=decoder_cases,
    outputs={"outputs": "B T D"},
    run=run_decoder,
    properties=[properties.finite(), Property("a word is remembered", _test_remembers)],
    misconceptions=[
        Misconception(
            "as given",
            "This still behaves as the broken one: the GRU starts from zeros at every step. The state goes into the "
            "attention, but never into the GRU. It takes it as `initial_state`.",
            _decoder(begin="zeros"),
        ),
        Misconception(
            "context as state",
            "You start the GRU from the context. (So did one who reported this bug.) The context is what is read; "
            "where the decoder stands is its *state*.",
            _decoder(begin="context"),
        ),
        Misconception(
            "the encoder's last state",
            "You start the GRU from the encoder's last state at every step. After the first it is the decoder's own "
            "state that goes on.",
            _decoder(begin="memory"),
        ),
        Misconception(
            "old state handed on",
            "You hand back the state that came in. Hand back the GRU's new one.",
            _decoder(hand_on="old"),
        ),
        Misconception(
            "as given, old state handed on",
            "The GRU starts from zeros, and you hand back the state that came in. It needs `initial_state=state`, "
            "and its new state goes on.",
            _decoder(begin="zeros", hand_on="old"),
        ),
        Misconception(
            "word left out",
            "The word got lost: the GRU reads context *and* word.",
            _decoder(word=False),
        ),
    ],
    reread="section 8",
    hint="Which of the arguments does the GRU never see? `gru(x, initial_state=…)`.",
    rtol=1e-4,
    atol=1e-4,
)

EXERCISES = [
    SCALED_DOT_LAYER,
    ADDITIVE_LAYER,
    FORGETS_QUERY,
    MULTI_HEAD_LAYER,
    KEY_BIAS,
    ARTICLE_LAYER,
    ACROSS_BATCH,
    LEAKY_MASK,
    DECODER_STATE,
]

# -- questions --------------------------------------------------------------------------------------


def _parameters_of_heads():
    """Matrices of one head of width 512 against eight of width 64: more, fewer, the same?"""
    one, eight = (N * 3 * 512 * (512 // N) + 512 * 512 for N in (1, 8))
    return 0 if eight > one else 1 if eight < one else 2


def _gradient_of_large_scores():
    """The largest entry of the softmax's Jacobian for scores (0, 1) and for ten times those."""

    def largest(scores):
        p = softmax_rows(np.array(scores, dtype=float))
        return np.abs(np.diag(p) - np.outer(p, p)).max()

    small, large = largest([0, 1]), largest([0, 10])
    return 0 if large > small else 1 if large < small else 2


def _permuted_keys():
    """What changes if keys and values are permuted together: context, weights' order, nothing?"""
    rng = np.random.default_rng(0)
    query, key, value = rng.standard_normal((3, 4, 4))
    order = np.array([2, 0, 3, 1])
    before, after = softmax_rows(query @ key.T), softmax_rows(query @ key[order].T)
    if not np.allclose(before @ value, after @ value[order]):
        return 0
    return 1 if np.allclose(before[:, order], after) else 2


QUIZZES = [
    Quiz(
        id="05-permuted",
        question="You put keys and values into another order, both the same way. What changes?",
        options=[
            Option("The context", "It is a sum over the keys, and a sum has no order."),
            Option(
                "Only the order of the weights' columns",
                "Each weight moves with its key, and the context stays.",
            ),
            Option("Nothing at all", "The context stays, but each weight moves with its key."),
        ],
        answer=_permuted_keys,
    ),
    Quiz(
        id="05-saturated",
        question="The scores of a row are (0, 1). You multiply them by ten. What happens to the gradient that passes "
        "back through the softmax?",
        options=[
            Option(
                "It grows", "The *scores* grow; the weights hardly move any more when scores do."
            ),
            Option(
                "It nearly vanishes",
                "The softmax is saturated: lesson 03. The √D keeps scores from growing with the width.",
            ),
            Option("It stays", "It would if softmax were linear."),
        ],
        answer=_gradient_of_large_scores,
    ),
    Quiz(
        id="05-heads",
        question="One head of width 512 is replaced by eight of width 64. The number of parameters (all four matrices) …",
        options=[
            Option("grows", "Eight times as many matrices, each an eighth as wide."),
            Option("shrinks", "The matrices are narrower, but there are eight times as many."),
            Option(
                "stays the same", "They are the same matrices, cut into eight strips: lesson 04."
            ),
        ],
        answer=_parameters_of_heads,
    ),
]
