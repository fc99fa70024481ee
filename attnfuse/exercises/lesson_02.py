"""Lesson 02, scaled dot-product attention: what its exercises must satisfy."""

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

LESSON = "02_scaled_dot_product"


def _softmax(scores, mask=True, axis=-1):
    """Vectorised, for the wrong answers below; rows without an allowed key are zeros."""
    shifted = np.where(mask, scores, -np.inf)
    top = shifted.max(axis=axis, keepdims=True)
    powers = np.exp(shifted - np.where(np.isfinite(top), top, 0))
    total = powers.sum(axis=axis, keepdims=True)
    return powers / np.where(total > 0, total, 1)


def _scores(query, key):
    return np.einsum("...th,...sh->...ts", query, key)


def _allowed(mask):
    return True if mask is None else np.asarray(mask, dtype=bool)


# -- attend ---------------------------------------------------------------------------------------


def attend_by_loops(query, key, value, mask=None):
    """The definition: one weight at a time."""
    B, T, H = query.shape
    S, V = value.shape[1:]
    mask = np.broadcast_to(_allowed(mask), (B, T, S))
    weights, context = np.zeros((B, T, S)), np.zeros((B, T, V))
    for b in range(B):
        for t in range(T):
            keys = [s for s in range(S) if mask[b, t, s]]
            scores = {s: _dot(query[b, t], key[b, s]) / math.sqrt(H) for s in keys}
            top = max(scores.values(), default=0.0)
            total = sum(math.exp(scores[s] - top) for s in keys)
            for s in keys:
                weights[b, t, s] = math.exp(scores[s] - top) / total
                for v in range(V):
                    context[b, t, v] += weights[b, t, s] * float(value[b, s, v])
    return context, weights


def _dot(a, b):
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def _partial_mask(rng, *shape):
    """At least one key allowed and one forbidden in every row."""
    mask = rng.random(shape) < 0.5
    places = np.argsort(rng.random(shape), axis=-1)
    np.put_along_axis(mask, places[..., :1], True, axis=-1)
    np.put_along_axis(mask, places[..., 1:2], False, axis=-1)
    return mask


def _qkv(rng, B, T, S, H, V, dtype=float):
    shapes = {"query": (B, T, H), "key": (B, S, H), "value": (B, S, V)}
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


def attend_cases(rng):
    huge = _qkv(rng, 1, 2, 4, 5, 3)
    first = huge["key"][0, 0]
    huge["query"] *= 1e3
    huge["query"][0, 0] = (
        5e3 * math.sqrt(5) * first / (first @ first)
    )  # its score for key 0 is 5,000
    nothing = _partial_mask(rng, 2, 3, 5)
    nothing[1, 2] = False
    return [
        Case({**_qkv(rng, 1, 1, 1, 2, 3), "mask": None}, "one key"),
        Case({**_qkv(rng, 1, 2, 3, 4, 5), "mask": None}, "no mask"),
        Case({**_qkv(rng, 2, 3, 5, 4, 7), "mask": None}, "no mask, two items"),
        Case({**_qkv(rng, 2, 3, 5, 4, 7), "mask": _partial_mask(rng, 2, 3, 5)}, "a mask"),
        Case({**_qkv(rng, 3, 2, 4, 6, 5), "mask": _partial_mask(rng, 3, 1, 4)}, "mask (B, 1, S)"),
        Case({**huge, "mask": None}, "scores in the thousands"),
        Case({**_qkv(rng, 2, 3, 4, 5, 1, np.float32), "mask": None}, "float32"),
        Case({**_qkv(rng, 2, 3, 5, 4, 7), "mask": nothing}, "item 1, query 2 may see no key"),
    ]


def _scaled_by(divisor):
    def wrong(query, key, value, mask=None):
        weights = _softmax(_scores(query, key) / divisor(query, key, value), _allowed(mask))
        return weights @ value, weights

    return wrong


def _weighted_by(rule):
    """Attention whose weights come from `rule(scores, mask)`."""

    def wrong(query, key, value, mask=None):
        scores = _scores(query, key) / math.sqrt(query.shape[-1])
        weights = rule(scores, np.broadcast_to(_allowed(mask), scores.shape))
        return weights @ value, weights

    return wrong


def _hard(scores, mask):
    best = np.where(mask, scores, -np.inf).argmax(axis=-1)
    return np.eye(scores.shape[-1])[best] * mask.any(axis=-1, keepdims=True)


def _uniform(scores, mask):
    return mask / np.maximum(mask.sum(axis=-1, keepdims=True), 1)


def _no_shift(scores, mask):
    powers = np.where(mask, np.exp(scores), 0)
    total = powers.sum(axis=-1, keepdims=True)
    return powers / np.where(total == 0, 1, total)


def _keys_as_values(query, key, value, mask=None):
    weights = _softmax(_scores(query, key) / math.sqrt(query.shape[-1]), _allowed(mask))
    return weights @ key, weights


def _batch_mixed(query, key, value, mask=None):
    scores = np.einsum("bth,csh->bts", query, key) / math.sqrt(query.shape[-1])
    weights = _softmax(scores, _allowed(mask))
    return weights @ value, weights


def _reshaped(query, key, value, mask=None):
    B, S, H = key.shape
    weights = _softmax(query @ key.reshape(B, H, S) / math.sqrt(H), _allowed(mask))
    return weights @ value, weights


ATTEND = Exercise(
    name="attend",
    lesson=LESSON,
    title="Scaled dot-product attention",
    kind="write",
    minutes=12,
    difficulty=2,
    points=2,
    reference=attend_by_loops,
    cases=attend_cases,
    outputs={"context": "B T V", "weights": "B T S"},
    properties=[
        properties.finite(),
        properties.not_negative(),
        properties.rows_sum_to_one(zero_rows=True),
        properties.batch_items_do_not_mix(),
        properties.key_order_is_irrelevant(),
        properties.duplicating_every_key_changes_nothing(),
        properties.no_leak_from_masked(),
        properties.masked_equals_deleted(),
    ],
    misconceptions=[
        Misconception(
            "scaled by the value width",
            "You divide by the square root of the *value* width. A score is a sum over the components of "
            "query and key, so their width H, `query.shape[-1]`, sets its size. Values take no part in it.",
            _scaled_by(lambda query, key, value: math.sqrt(value.shape[-1])),
        ),
        Misconception(
            "not scaled",
            "The scores are not divided by √H, the square root of the width of query and key.",
            _scaled_by(lambda query, key, value: 1.0),
        ),
        Misconception(
            "scaled by the number of keys",
            "You divide by the square root of the *number of keys*. A score adds up H products, however many "
            "keys there are: divide by √H, the last axis of the query.",
            _scaled_by(lambda query, key, value: math.sqrt(key.shape[-2])),
        ),
        Misconception(
            "scaled by the number of queries",
            "You divide by the square root of the *number of queries*: `query.shape[1]` is T. A score adds up H "
            "products: divide by √H, `query.shape[-1]`.",
            _scaled_by(lambda query, key, value: math.sqrt(query.shape[-2])),
        ),
        Misconception(
            "scaled by the width",
            "You divide by the width H; it is its square root.",
            _scaled_by(lambda query, key, value: query.shape[-1]),
        ),
        Misconception(
            "softmax over queries",
            "Your weights sum to 1 over the queries. Each *query* spreads one unit of attention over the *keys*: "
            "softmax over axis -1 of `(B, T, S)`.",
            _weighted_by(lambda scores, mask: _softmax(scores, mask, axis=-2)),
        ),
        Misconception(
            "argmax",
            "You give everything to the best key. That is a hard look-up; attention mixes, by softmax.",
            _weighted_by(_hard),
        ),
        Misconception(
            "uniform",
            "All your weights of a row are equal: the scores take no part.",
            _weighted_by(_uniform),
        ),
        Misconception(
            "mask ignored",
            "Your function takes a mask and does not use it.",
            _weighted_by(lambda scores, mask: _softmax(scores)),
        ),
        Misconception(
            "mask inverted",
            "Your mask works the wrong way round: True means that the query *may* attend.",
            _weighted_by(lambda scores, mask: _softmax(scores, True if mask.all() else ~mask)),
        ),
        Misconception(
            "mask after the softmax",
            "You set weights to zero after the softmax, so the rest of the row sums to less than 1. Mask the scores "
            "before the softmax, so that the allowed keys share the whole unit.",
            _weighted_by(lambda scores, mask: _softmax(scores) * mask),
        ),
        Misconception(
            "masked scores set to -10",
            "You give masked keys a score of -10. That is a small weight, not none: with a large value it shows, "
            "and beside scores of -20 it wins. Use minus infinity (and mind rows without any allowed key).",
            _weighted_by(lambda scores, mask: _softmax(np.where(mask, scores, -10))),
        ),
        Misconception(
            "without the max-shift",
            "Your exponentials overflow where scores are large. Subtract each row's maximum first, as in lesson 01.",
            _weighted_by(_no_shift),
        ),
        Misconception(
            "keys used as values",
            "You mix the keys. Keys only decide the weights; what is mixed is `value`.",
            _keys_as_values,
        ),
        Misconception(
            "batch items mixed",
            "Your scores use the keys of other items of the batch: each item's queries meet its own keys only. "
            "In an einsum, all inputs must carry the same batch letter.",
            _batch_mixed,
        ),
        Misconception(
            "reshaped instead of transposed",
            "You `reshape` the keys to (B, H, S). That deals the same numbers out again in another order; to turn "
            "axes round, use `np.swapaxes(key, -1, -2)`.",
            _reshaped,
        ),
        Misconception(
            "a row without keys is uniform",
            "A query that may see no key gets equal weights for all of them: the usual -1e9 for every score does "
            "that. In this course such a row is all zeros, and so is its context.",
            _weighted_by(lambda scores, mask: _softmax(np.where(mask, scores, -1e9))),
        ),
        Misconception(
            "a row without keys is NaN",
            "A query that may see no key divides 0 by 0. In this course such a row is all zeros: give "
            "`attention.softmax` the mask, or catch the case yourself.",
            _weighted_by(
                lambda scores, mask: np.where(
                    mask.any(axis=-1, keepdims=True), _softmax(scores, mask), np.nan
                )
            ),
        ),
    ],
    own=["attnfuse.attention.scaled_dot_product_attention"],
    reread="section 3",
    hint="Three lines: scores with a matrix product, divided by √H; softmax over the keys, with the mask; a matrix "
    "product with the values. `np.swapaxes(key, -1, -2)` turns (B, S, H) into (B, H, S).",
)

# -- score_spread ---------------------------------------------------------------------------------

WIDTH = 64


def _spread_of_sum(size: float, terms: int) -> float:
    """Standard deviation of a sum of `terms` fair coins that show +size or -size, all outcomes counted."""
    return math.sqrt(
        sum(
            math.comb(terms, heads) / 2**terms * (size * (2 * heads - terms)) ** 2
            for heads in range(terms + 1)
        )
    )


def spreads():
    """Components are fair coins ±1 (mean 0, variance 1), so that every product is a coin, too."""
    independent = _spread_of_sum(1, WIDTH)
    twice_as_wide = _spread_of_sum(2 * 2, WIDTH)
    all_the_same = _spread_of_sum(WIDTH, 1)  # 64 equal products: one coin that counts 64 times
    return independent, twice_as_wide, all_the_same


def _numbers_one_by_one(answer):
    """Say which of the three numbers is right, so that a learner can think the others through again."""
    right = spreads()
    try:
        given = np.asarray(answer, dtype=float)
    except (TypeError, ValueError):
        raise Mismatch("Three numbers are wanted, such as (10, 20, 30).") from None
    if given.shape != (len(right),):
        count = "one number" if given.size == 1 else f"{given.size} numbers"
        raise Mismatch(
            f"Three numbers are wanted, such as (10, 20, 30); yours is {count}"
            + (f" of shape {given.shape}." if given.ndim > 1 else ".")
        )
    near = np.isclose(given, right, rtol=0.03)
    verdicts = ["right" if near_enough else "not yet" for near_enough in near]
    if "not yet" in verdicts:
        each = zip((1, 2, 3), given, verdicts, strict=True)
        raise Mismatch(" ".join(f"Number {i}, {x:.3g}: {verdict}." for i, x, verdict in each))
    return given


SCORE_SPREAD = Exercise(
    name="score_spread",
    lesson=LESSON,
    title="How far do scores spread?",
    kind="predict",
    minutes=6,
    difficulty=2,
    points=2,
    reference=spreads,
    run=_numbers_one_by_one,
    outputs={"spread": "three"},
    misconceptions=[
        Misconception(
            "√H always",
            "√64 = 8 is right for the first alone. It holds for independent components of variance 1; the second "
            "changes the variance, the third the independence.",
            (8, 8, 8),
        ),
        Misconception(
            "one side stretched",
            "In the second, query *and* key are twice as wide: each product is 2 × 2 = 4 times as large.",
            (8, 16, 64),
        ),
        Misconception(
            "one side stretched, dependence ignored",
            "In the second, query *and* key are twice as wide: each product is 2 × 2 = 4 times as large. In the "
            "third all 64 products are the same number, so nothing cancels: the sum is 64 times one of them.",
            (8, 16, 8),
        ),
        Misconception(
            "width ignored",
            "In the second, each product is 2 × 2 = 4 times as large, and so is their sum.",
            (8, 8, 64),
        ),
        Misconception(
            "dependence ignored",
            "In the third all 64 products are the same number, so nothing cancels: the sum is 64 times one of them.",
            (8, 32, 8),
        ),
        Misconception(
            "variances",
            "Those are variances. The spread asked for is the standard deviation, their square root.",
            (64, 1024, 4096),
        ),
        Misconception(
            "spreads add up",
            "You let the spreads of 64 terms add up. For independent terms the *variances* add up (signs differ and "
            "partly cancel): 64 terms of spread 1 have spread √64.",
            (64, 256, 64),
        ),
        Misconception(
            "spreads add up, one side stretched",
            "You let the spreads of 64 terms add up. For independent terms the *variances* add up: 64 terms of "
            "spread 1 have spread √64. And in the second each product is 2 × 2 = 4 times as large.",
            (64, 128, 64),
        ),
        Misconception(
            "divided already",
            "You divided by √64 already. The spread of q·k itself is asked for.",
            (1, 4, 8),
        ),
    ],
    reread="section 4",
    hint="A score is a sum of 64 products, and two independent numbers of mean 0 have a product whose spread is "
    "the product of their spreads. Independent terms: add their variances, then take the root. Equal terms: the "
    "sum is 64 times one of them.",
    rtol=0.03,
)

# -- square_test (a bug) --------------------------------------------------------------------------


def pool_by_loops(query, key, value, is_word):
    """Every item by itself, with its own padding."""
    mask = np.repeat(np.asarray(is_word, dtype=bool)[:, None, :], query.shape[1], axis=1)
    return attend_by_loops(query, key, value, mask)


def _padding(rng, B, S):
    """One to S-1 words, then padding; the first two items never have the same length."""
    lengths = rng.integers(1, S, size=B)
    if B > 1:
        lengths[:2] = rng.permutation(np.arange(1, S))[:2]
    return np.arange(S) < lengths[:, None]


def square_cases(rng):
    alike = np.repeat(_padding(rng, 1, 3), 3, axis=0)
    return [
        Case(
            {**_qkv(rng, 1, 1, 2, 4, 3), "is_word": np.array([[True, False]])},
            "one item, one query",
        ),
        Case({**_qkv(rng, 3, 3, 3, 3, 3), "is_word": alike}, "all sizes equal, same padding"),
        Case({**_qkv(rng, 3, 3, 3, 3, 3), "is_word": _padding(rng, 3, 3)}, "all sizes equal"),
        Case(
            {**_qkv(rng, 3, 3, 5, 2, 4), "is_word": _padding(rng, 3, 5)}, "as many items as queries"
        ),
        Case({**_qkv(rng, 2, 3, 5, 4, 6), "is_word": _padding(rng, 2, 5)}, "all sizes different"),
    ]


def _pool(divisor, mask):
    def wrong(query, key, value, is_word):
        scores = _scores(query, key) / math.sqrt(divisor(query, key))
        weights = _softmax(scores, mask(is_word))
        return weights @ value, weights

    return wrong


def _pool_after(query, key, value, is_word):
    weights = _softmax(_scores(query, key) / math.sqrt(query.shape[-1])) * is_word[:, None, :]
    return weights @ value, weights


def _pool_by_value_width(query, key, value, is_word):
    weights = _softmax(_scores(query, key) / math.sqrt(value.shape[-1]), _expanded(is_word))
    return weights @ value, weights


def _test_padding(attempt, case, rng):
    """Whatever stands in an item's padded places changes nothing."""
    inputs = dict(case.inputs)
    for name in ("key", "value"):
        inputs[name] = np.where(inputs["is_word"][:, :, None], inputs[name], 1e4)
    after = attempt(**inputs)["context"]
    before = attempt.result["context"]
    if not np.allclose(before, after, rtol=1e-5, atol=1e-5):
        raise Mismatch(
            "Padded places of an item were filled with 10,000, and `context` changed.",
            expected=before,
            got=after,
            labels=("before", "after"),
        )


def _as_is(is_word):
    return is_word


def _expanded(is_word):
    return is_word[:, None, :]


def _wrong_side(is_word):
    return is_word[:, :, None]


SQUARE_TEST = Exercise(
    name="square_test",
    lesson=LESSON,
    title="A square test proves little",
    kind="bug",
    minutes=10,
    difficulty=2,
    points=2,
    reference=pool_by_loops,
    cases=square_cases,
    outputs={"context": "B T V", "weights": "B T S"},
    properties=[
        properties.finite(),
        properties.rows_sum_to_one(),
        properties.batch_items_do_not_mix(),
        Property("padding of an item does not count", _test_padding),
    ],
    misconceptions=[
        Misconception(
            "nothing repaired",
            "This still behaves as the broken one does. It passes where all sizes are equal and all items padded "
            "alike, and fails elsewhere: look for an axis that only happens to fit.",
            _pool(lambda query, key: query.shape[1], _as_is),
        ),
        Misconception(
            "scale repaired only",
            "The scale is right now. The mask is not: beside (B, T, S), NumPy reads `is_word` (B, S) as (T, S), so "
            "query t of every item gets the padding of *item* t. It needs an axis of length 1 for the queries.",
            _pool(lambda query, key: query.shape[-1], _as_is),
        ),
        Misconception(
            "mask repaired only",
            "The mask is right now. The scale is not: `query.shape[1]` is T, the number of queries.",
            _pool(lambda query, key: query.shape[1], _expanded),
        ),
        Misconception(
            "scaled by the number of keys",
            "The mask is right now. The scale uses the number of keys; a score is a sum over the width H.",
            _pool(lambda query, key: key.shape[1], _expanded),
        ),
        Misconception(
            "not scaled",
            "The mask is right now. The scores are not divided at all: the colleague's root was right, what stands "
            "under it was not. It is the width H.",
            _pool(lambda query, key: 1, _expanded),
        ),
        Misconception(
            "scaled by the value width",
            "The mask is right now. The scale uses the width of the *values*; a score is a sum over the width H of "
            "query and key.",
            _pool_by_value_width,
        ),
        Misconception(
            "mask inverted",
            "Your mask lets the padding in and keeps the words out: `is_word` is True where attention is allowed.",
            _pool(lambda query, key: query.shape[-1], lambda is_word: ~_expanded(is_word)),
        ),
        Misconception(
            "axis on the wrong side",
            "You made `is_word` (B, S, 1): that closes whole *queries*. Padding closes *keys*, the last axis: (B, 1, S).",
            _pool(lambda query, key: query.shape[-1], _wrong_side),
        ),
        Misconception(
            "one padding for all",
            "You use the same padding for every item. Each item has its own length.",
            _pool(lambda query, key: query.shape[-1], lambda is_word: is_word[:1, None, :]),
        ),
        Misconception(
            "mask after the softmax",
            "You set the padded weights to zero after the softmax: the rest of the row no longer sums to 1.",
            _pool_after,
        ),
    ],
    own=["attnfuse.attention.scaled_dot_product_attention"],
    reread="section 6",
    hint="Write down the shape of every array for B=2, T=3, S=5, H=4. Two lines use an axis that is only right "
    "when sizes coincide.",
)

# -- nearness -------------------------------------------------------------------------------------


def nearness_by_loops(query, key, value, temperature):
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


def nearness_cases(rng):
    def case(T, S, D, V, temperature, note, size=1.0):
        return Case(
            {
                "query": rng.standard_normal((T, D)) * size,
                "key": rng.standard_normal((S, D)) * size * rng.uniform(0.3, 2, (S, 1)),
                "value": rng.standard_normal((S, V)),
                "temperature": temperature,
            },
            note,
        )

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
        large,
    ]


def _near(score):
    def wrong(query, key, value, temperature):
        weights = _softmax(score(query, key, temperature))
        return weights @ value, weights

    return wrong


def _near_unshifted(score):
    def wrong(query, key, value, temperature):
        powers = np.exp(score(query, key, temperature))
        weights = powers / powers.sum(axis=-1, keepdims=True)
        return weights @ value, weights

    return wrong


def _length2(x):
    return (x**2).sum(axis=-1)


def _unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _distance2(query, key):
    return _length2(query[:, None] - key[None])


def _test_shift(attempt, case, rng):
    shift = rng.standard_normal(case.inputs["key"].shape[1])
    moved = {
        **case.inputs,
        "query": case.inputs["query"] + shift,
        "key": case.inputs["key"] + shift,
    }
    after, before = attempt(**moved)["weights"], attempt.result["weights"]
    if not np.allclose(before, after, rtol=1e-5, atol=1e-6):
        raise Mismatch(
            "Query and keys were all moved by the same vector. No distance changed, but your weights did.",
            expected=before,
            got=after,
            labels=("before", "after"),
        )


NEARNESS = Exercise(
    name="nearness",
    lesson=LESSON,
    title="From dot product back to nearness",
    kind="write",
    minutes=12,
    difficulty=2,
    points=2,
    reference=nearness_by_loops,
    cases=nearness_cases,
    outputs={"context": "T V", "weights": "T S"},
    properties=[
        properties.finite(),
        properties.not_negative(),
        properties.rows_sum_to_one(),
        properties.key_order_is_irrelevant(),
        Property("only distances count", _test_shift),
    ],
    misconceptions=[
        Misconception(
            "a dot product is nearness",
            "Your weights are those of the dot product alone, so a long key wins although it is far away. Take off "
            "|k|²/2 of each *key* before you divide by the temperature. (The query's own term changes nothing: "
            "it is the same in the whole row.)",
            _near(lambda query, key, t: query @ key.T / t),
        ),
        Misconception(
            "length not squared",
            "You take off the key's length |k|; the distance has |k|²/2.",
            _near(lambda query, key, t: (query @ key.T - np.sqrt(_length2(key)) / 2) / t),
        ),
        Misconception(
            "whole square",
            "You take off |k|²; the distance |q-k|² holds 2q·k, so beside one q·k stands *half* of |k|².",
            _near(lambda query, key, t: (query @ key.T - _length2(key)) / t),
        ),
        Misconception(
            "wrong sign",
            "You *add* |k|²/2: long keys win even more. It has to come off.",
            _near(lambda query, key, t: (query @ key.T + _length2(key) / 2) / t),
        ),
        Misconception(
            "unit length",
            "You bring query and keys to length 1. That compares directions and is often a fine choice, but the "
            "kernel asked for compares places: keys must keep their length.",
            _near(lambda query, key, t: _unit(query) @ _unit(key).T / t),
        ),
        Misconception(
            "half divided",
            "The temperature divides q·k but not |k|²/2. It divides the whole score.",
            _near(lambda query, key, t: query @ key.T / t - _length2(key) / 2),
        ),
        Misconception(
            "distance not squared",
            "Your weights fall with the distance; the Gaussian kernel uses its square.",
            _near(lambda query, key, t: -np.sqrt(_distance2(query, key)) / (2 * t)),
        ),
        Misconception(
            "without the 2",
            "Your weights are sharper than the kernel's: it is |q-k|² divided by 2τ.",
            _near(lambda query, key, t: -_distance2(query, key) / t),
        ),
        Misconception(
            "temperature squared",
            "You square the temperature. τ already is the square of lesson 01's bandwidth.",
            _near(lambda query, key, t: -_distance2(query, key) / (2 * t**2)),
        ),
        Misconception(
            "√H as well",
            "You divide by √H on top of the temperature. Here the temperature alone sets the sharpness.",
            _near(
                lambda query, key, t: -_distance2(query, key) / (2 * t * math.sqrt(key.shape[1]))
            ),
        ),
        Misconception(
            "distances without the max-shift",
            "Far from every key all exponentials are 0, and 0/0 is NaN. Use `attention.softmax`, or take off each "
            "row's maximum before the exponential.",
            _near_unshifted(lambda query, key, t: -_distance2(query, key) / (2 * t)),
        ),
        Misconception(
            "dot products without the max-shift",
            "Your exponentials overflow. Use `attention.softmax`, or take off each row's maximum before the "
            "exponential.",
            _near_unshifted(lambda query, key, t: (query @ key.T - _length2(key) / 2) / t),
        ),
    ],
    reread="sections 2 and 7",
    hint="Start from section 2: the score is q·k - |k|²/2, all of it divided by the temperature. "
    "`(key**2).sum(axis=-1)` has shape (S,) and lines up with the columns of `query @ key.T`.",
)

# -- decoder_mask (stretch) -----------------------------------------------------------------------


def decoder_mask_by_loops(is_word):
    B, S = np.shape(is_word)
    mask = np.zeros((B, S, S), dtype=bool)
    for b in range(B):
        for t in range(S):
            for s in range(S):
                mask[b, t, s] = is_word[b, s] and s <= t
    return mask


def decoder_mask_cases(rng):
    leading = _padding(rng, 3, 5)[:, ::-1].copy()
    return [
        Case({"is_word": np.array([[True]])}, "one word"),
        Case({"is_word": _padding(rng, 2, 4)}, "two texts"),
        Case({"is_word": _padding(rng, 3, 7)}, "three texts"),
        Case({"is_word": leading}, "padding in front: its first rows have no key"),
    ]


def _causal(is_word):
    return np.tri(is_word.shape[1], dtype=bool)


def _repeated(is_word):
    return np.repeat(is_word[:, None, :], is_word.shape[1], axis=1)


DECODER_MASK = Exercise(
    name="decoder_mask",
    lesson=LESSON,
    title="Padding and causal mask together",
    kind="stretch",
    minutes=5,
    difficulty=1,
    points=0,
    reference=decoder_mask_by_loops,
    cases=decoder_mask_cases,
    outputs={"mask": "B S S"},
    misconceptions=[
        Misconception(
            "or",
            "You join the two masks with *or*: a key is open as soon as one of them allows it. It must be a word "
            "*and* not lie ahead: `&`.",
            lambda is_word: _repeated(is_word) | _causal(is_word),
        ),
        Misconception(
            "polarity",
            "Your mask is True where attention is *blocked*. Here True means: may attend.",
            lambda is_word: ~(_repeated(is_word) & _causal(is_word)),
        ),
        Misconception(
            "looks ahead",
            "Your positions see what comes later. Row t may see keys 0 … t: the lower triangle.",
            lambda is_word: _repeated(is_word) & _causal(is_word).T,
        ),
        Misconception(
            "not itself",
            "Your positions may not see themselves. In a causal mask they may: s ≤ t.",
            lambda is_word: _repeated(is_word) & np.tri(is_word.shape[1], k=-1, dtype=bool),
        ),
        Misconception(
            "padding closes queries",
            "You close the *rows* of padded places. Padding must close *columns*: nobody may look at it.",
            lambda is_word: np.swapaxes(_repeated(is_word), 1, 2) & _causal(is_word),
        ),
        Misconception(
            "padded queries closed as well",
            "You close the rows of padded queries, too. Keep them: what they return is thrown away later, and the "
            "task asks for `is_word` of the *key* only.",
            lambda is_word: (
                _repeated(is_word) & np.swapaxes(_repeated(is_word), 1, 2) & _causal(is_word)
            ),
        ),
        Misconception(
            "causal only",
            "Your mask is causal and forgets the padding.",
            lambda is_word: np.repeat(_causal(is_word)[None], len(is_word), axis=0),
        ),
        Misconception(
            "padding only",
            "Your mask hides the padding and forgets that a position may not look ahead.",
            lambda is_word: _repeated(is_word),
        ),
    ],
    reread="section 5",
    hint="`is_word[:, None, :]` has shape (B, 1, S) and `attention.causal_mask(S)` has shape (S, S). "
    "NumPy stretches the first over the queries, the second over the batch.",
)

# -- mask_test (stretch) --------------------------------------------------------------------------


def right(query, key, value, mask=None):
    """The definition: what is masked is left out of every sum, so that not a bit depends on it."""
    return attend_by_loops(query, key, value, mask)


def right_with_other_digits(query, key, value, mask=None):
    """Right, but its last digits depend on the number of keys, as where sums are split up."""
    context, weights = right(query, key, value, mask)
    rounding = 1 + 1e-14 * key.shape[-2]
    return context * rounding, weights * rounding


def ignores_the_mask(query, key, value, mask=None):
    return right(query, key, value)


def inverts_the_mask(query, key, value, mask=None):
    return right(query, key, value, None if mask is None else ~np.asarray(mask, dtype=bool))


def masks_after_the_softmax(query, key, value, mask=None):
    return _weighted_by(lambda scores, mask: _softmax(scores) * mask)(query, key, value, mask)


def scores_masked_keys_minus_10(query, key, value, mask=None):
    return _weighted_by(lambda scores, mask: _softmax(np.where(mask, scores, -10)))(
        query, key, value, mask
    )


def scores_masked_keys_zero(query, key, value, mask=None):
    return _weighted_by(lambda scores, mask: _softmax(scores * mask))(query, key, value, mask)


def zeroes_masked_values(query, key, value, mask=None):
    scores = _scores(query, key) / math.sqrt(query.shape[-1])
    weights = _softmax(scores)
    return (weights * _allowed(mask)) @ value, weights


SUSPECTS = [
    (right, True, "right: the definition itself"),
    (right_with_other_digits, True, "right, but its last digits depend on the number of keys"),
    (ignores_the_mask, False, "it ignores the mask"),
    (inverts_the_mask, False, "it attends where the mask is False"),
    (masks_after_the_softmax, False, "it sets weights to zero after the softmax"),
    (zeroes_masked_values, False, "it multiplies the values by the mask"),
    (scores_masked_keys_zero, False, "it sets masked scores to 0"),
    (scores_masked_keys_minus_10, False, "it sets masked scores to -10"),
]


def _a_test(judge):
    """A learner's test that hides key 2 of 5 and decides by `judge`."""

    def wrong(attend):
        query, key, value = _qkv(np.random.default_rng(11), 2, 3, 5, 4, 2).values()
        mask = np.ones((2, 3, 5), dtype=bool)
        mask[..., 2] = False
        return bool(judge(attend, query, key, value, mask))

    return wrong


def _without(key, value, gone=2):
    kept = [s for s in range(key.shape[1]) if s != gone]
    return key[:, kept], value[:, kept]


def _too_loose(attend, query, key, value, mask):
    masked, _ = attend(query=query, key=key, value=value, mask=mask)
    fewer = _without(key, value)
    deleted, _ = attend(query=query, key=fewer[0], value=fewer[1], mask=None)
    return np.allclose(masked, deleted, atol=1e-2)


def _bit_by_bit(attend, query, key, value, mask):
    masked, _ = attend(query=query, key=key, value=value, mask=mask)
    fewer = _without(key, value)
    deleted, _ = attend(query=query, key=fewer[0], value=fewer[1], mask=None)
    return (masked == deleted).all()


def _weight_is_zero(attend, query, key, value, mask):
    _, weights = attend(query=query, key=key, value=value, mask=mask)
    return (weights[..., 2] == 0).all()


def _rows_sum_to_one(attend, query, key, value, mask):
    _, weights = attend(query=query, key=key, value=value, mask=mask)
    return np.allclose(weights.sum(axis=-1), 1)


def _value_does_not_matter(attend, query, key, value, mask):
    loud = value.copy()
    loud[:, 2] = 1e6
    before, _ = attend(query=query, key=key, value=value, mask=mask)
    after, _ = attend(query=query, key=key, value=loud, mask=mask)
    return np.allclose(before, after)


def _something_changes(attend, query, key, value, mask):
    with_mask, _ = attend(query=query, key=key, value=value, mask=mask)
    without, _ = attend(query=query, key=key, value=value, mask=None)
    return not np.allclose(with_mask, without)


def _other_polarity(attend, query, key, value, mask):
    masked, _ = attend(query=query, key=key, value=value, mask=~mask)
    fewer = _without(key, value)
    deleted, _ = attend(query=query, key=fewer[0], value=fewer[1], mask=None)
    return np.allclose(masked, deleted)


def _test_verdict(attempt, case, rng):
    found, right = bool(attempt.result["verdict"]), case.note.startswith("right")
    if found and not right:
        raise Mismatch("Your test lets a broken function pass.")
    if right and not found:
        raise Mismatch("Your test rejects a right function.")


MASK_TEST = Exercise(
    name="mask_test",
    lesson=LESSON,
    title="Write the test yourself",
    kind="stretch",
    minutes=10,
    difficulty=2,
    points=0,
    reference=lambda attend: next(verdict for f, verdict, _ in SUSPECTS if f is attend),
    cases=lambda rng: [Case({"attend": function}, note) for function, _, note in SUSPECTS],
    outputs={"verdict": ""},
    properties=[Property("right functions pass, broken ones do not", _test_verdict)],
    misconceptions=[
        Misconception(
            "-10 is enough",
            "Your test is too forgiving: it lets an attention pass that only pushes masked scores down to -10. "
            "Give the masked key a value of a million, so that the smallest leak shows, and compare strictly.",
            _a_test(_too_loose),
        ),
        Misconception(
            "equal to the last bit",
            "Your test rejects a right function whose last digits differ, as they do where sums are added up in "
            "another order. Compare with `np.allclose`.",
            _a_test(_bit_by_bit),
        ),
        Misconception(
            "a zero weight is enough",
            "Your test lets a mask pass that comes too late, after the softmax. It zeroes the masked weight as "
            "well (all of them where everything is masked), but the other weights no longer sum to 1. Mask one "
            "key of several and compare with the result for fewer keys.",
            _a_test(_weight_is_zero),
        ),
        Misconception(
            "rows that sum to one are enough",
            "Your test only looks at the sums of the rows. They are 1 without any mask, too.",
            _a_test(_rows_sum_to_one),
        ),
        Misconception(
            "no leak is enough",
            "Your test lets functions pass whose masked *value* counts for nothing while its key still takes a "
            "share of the weights. Mask one key of several and compare with the result for fewer keys.",
            _a_test(_value_does_not_matter),
        ),
        Misconception(
            "some effect is enough",
            "Your test only checks that the mask changes something. A wrong mask does that, too.",
            _a_test(_something_changes),
        ),
        Misconception(
            "other polarity",
            "Your test expects True to hide a key. Here True means: may attend.",
            _a_test(_other_polarity),
        ),
        Misconception(
            "everything passes",
            "Your test lets every function pass, the broken ones included. Try it on one that ignores the mask.",
            lambda attend: True,
        ),
        Misconception(
            "nothing passes",
            "Your test rejects every function, the right ones included. Try it on "
            "`attention.scaled_dot_product_attention`. Are masked and deleted compared in the same shape?",
            lambda attend: False,
        ),
    ],
    reread="section 5",
    hint="Call `attend` twice: with key 2 masked, and with key 2 deleted from `key` and `value`. Give the masked key "
    "a value of a million first. Compare the two contexts, and the weights of the keys that stay.",
)

EXERCISES = [ATTEND, SCORE_SPREAD, DECODER_MASK, MASK_TEST, SQUARE_TEST, NEARNESS]

# -- returning questions --------------------------------------------------------------------------


def _shifted_scores() -> int:
    before, after = (_softmax(np.array([1.0, 2.0, 3.0]) + shift) for shift in (0, 100))
    return 0 if np.allclose(before, after) else 1


BANDWIDTHS = (0.2, 2.0, 20.0)


def _best_on_its_own_keys() -> int:
    """Which bandwidth has the lowest error on the very days that are its keys?"""
    from attnfuse.data import weather

    days, _ = weather.load()
    asked, truth = days.day[::10], days.temperature[::10]
    gaps = weather.days_apart(asked, days.day)
    errors = [
        np.mean((_softmax(-((gaps / width) ** 2) / 2) @ days.temperature - truth) ** 2)
        for width in BANDWIDTHS
    ]
    return int(np.argmin(errors))


def _share_of_the_copied_key() -> int:
    scores = np.zeros(5)  # four keys that fit equally well; the first is listed twice
    share = _softmax(scores)[:2].sum()
    return int(np.argmin(np.abs(np.array([1 / 4, 2 / 5, 1 / 2]) - share)))


QUIZZES = [
    Quiz(
        id="02-shift",
        question="You add 100 to every score of a row. What happens to that row's weights?",
        options=[
            Option(
                "Nothing.",
                "e¹⁰⁰ is a factor of every term, above and below: softmax only sees differences.",
            ),
            Option(
                "They get sharper.",
                "Multiplying scores does that. Adding the same number cancels out.",
            ),
            Option(
                "They get more even.",
                "Dividing scores does that. Adding the same number cancels out.",
            ),
            Option(
                "They overflow.",
                "They would without the shift by the row's maximum. Our softmax takes it off first.",
            ),
        ],
        answer=_shifted_scores,
    ),
    Quiz(
        id="02-own-day",
        question="You choose the bandwidth for the weather by the error on the very days that serve as keys, "
        "without a mask. Which one wins?",
        options=[
            Option(
                "0.2 days",
                "Each day gives nearly all its attention to its own date, itself included, and copies. "
                "The error is low and says little about a new year.",
            ),
            Option(
                "2 days", "This wins when a day may not see itself: then it copies its neighbours."
            ),
            Option(
                "20 days",
                "This is good on a new year, and that is why the mask must hide the own year.",
            ),
        ],
        answer=_best_on_its_own_keys,
    ),
    Quiz(
        id="02-copies",
        question="Four keys fit a query equally well. Now the first one is listed twice. "
        "Which share of the attention do its two copies get together?",
        options=[
            Option(
                "1/4",
                "Attention does not know that two keys are copies. Each of the five gets a fifth.",
            ),
            Option(
                "2/5",
                "Five equal scores, five equal weights, two of them for the copies: attention counts.",
            ),
            Option(
                "1/2",
                "The first key is listed twice, but there are three others beside its two copies: two of five.",
            ),
        ],
        answer=_share_of_the_copied_key,
    ),
]
