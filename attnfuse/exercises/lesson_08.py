"""Lesson 08, attention over pictures: what its exercises must satisfy."""

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

LESSON = "08_image_attention"


def _softmax(scores, axis=-1):
    powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


# -- whole_picture (a bug) ------------------------------------------------------------------------


def whole_picture_by_loops(maps):
    maps = np.asarray(maps, dtype=float)
    B, h, w, _ = maps.shape
    mixed = np.zeros_like(maps)
    places = [(i, j) for i in range(h) for j in range(w)]
    for b in range(B):
        for i, j in places:
            powers = {p: np.exp(maps[b, i, j] @ maps[b, *p]) for p in places}
            total = sum(powers.values())
            for p in places:
                mixed[b, i, j] += powers[p] / total * maps[b, *p]
    return mixed


def whole_picture_cases(rng):
    def case(B, h, w, C, note):
        maps = 0.8 * rng.standard_normal((B, h, w, C))
        return Case({"maps": maps.astype(np.float32)}, note)

    return [
        case(1, 2, 3, 4, "one picture of 2 × 3 places"),
        case(2, 3, 4, 5, "two pictures"),
        case(3, 5, 2, 4, "three pictures, higher than wide"),
    ]


def _self_attend(x):
    """Attention of the last axis but one with itself, unscaled."""
    return _softmax(x @ np.swapaxes(x, -1, -2)) @ x


def _places(maps):
    B, h, w, C = maps.shape
    return maps.reshape(B, h * w, C)


def _scrambled(maps):
    B, h, w, C = maps.shape
    return _self_attend(maps.reshape(B, C, h * w)).reshape(maps.shape)


def _scaled(maps):
    x = _places(maps)
    scores = x @ np.swapaxes(x, -1, -2) / maps.shape[-1] ** 0.5
    return (_softmax(scores) @ x).reshape(maps.shape)


def _channels_attend(maps):
    x = np.swapaxes(_places(maps), -1, -2)
    return np.swapaxes(_self_attend(x), -1, -2).reshape(maps.shape)


def _columns_first(maps):
    """Places taken column by column, put back row by row."""
    x = np.swapaxes(maps, 1, 2).reshape(_places(maps).shape)
    return _self_attend(x).reshape(maps.shape)


def _across_batch(maps):
    x = np.swapaxes(_places(maps), 0, 1)
    return np.swapaxes(_self_attend(x), 0, 1).reshape(maps.shape)


def _one_place_changed(case, b, i):
    maps = case.inputs["maps"].copy()
    maps[b, i] += 1
    return maps


def _test_sees_other_rows(attempt, case, rng):
    if case.inputs["maps"].shape[1] < 2:
        return
    after = attempt(maps=_one_place_changed(case, 0, -1))["mixed"]
    if np.allclose(attempt.result["mixed"][0, 0], after[0, 0], atol=1e-5):
        raise Mismatch(
            "The last row of a picture was changed, and its first row did not notice: "
            "no place saw beyond its own row."
        )


def _test_pictures_do_not_mix(attempt, case, rng):
    if len(case.inputs["maps"]) < 2:
        return
    after = attempt(maps=_one_place_changed(case, -1, 0))["mixed"]
    if not np.allclose(attempt.result["mixed"][:-1], after[:-1], atol=1e-5):
        raise Mismatch("The last picture was changed, and the other pictures changed with it.")


WHOLE_PICTURE = Exercise(
    name="whole_picture",
    lesson=LESSON,
    title="It runs, so it is right?",
    kind="bug",
    minutes=8,
    difficulty=2,
    points=2,
    reference=whole_picture_by_loops,
    cases=whole_picture_cases,
    outputs={"mixed": "B h w C"},
    properties=[
        properties.finite(),
        Property("every place sees every row", _test_sees_other_rows),
        Property("pictures do not mix", _test_pictures_do_not_mix),
    ],
    misconceptions=[
        Misconception(
            "along a row only",
            "This still does what the colleague's layer does. Attention works on the last two axes, (w, C): each *row* "
            "of a picture is a sequence of its own. Make one sequence of all h·w places first.",
            lambda maps: _self_attend(maps),
        ),
        Misconception(
            "along a column only",
            "Now each *column* is a sequence of its own. Make one sequence of all h·w places.",
            lambda maps: np.swapaxes(_self_attend(np.swapaxes(maps, 1, 2)), 1, 2),
        ),
        Misconception(
            "places and channels scrambled",
            "You reshaped to (B, C, h·w). A reshape moves no number: it cuts the same line of numbers elsewhere, so "
            "each of your rows holds bits of several places and channels. Keep the channels last: (B, h·w, C).",
            _scrambled,
        ),
        Misconception(
            "channels attend",
            "Your sequence is made of *channels*: C queries, each h·w wide. It is the places that attend: (B, h·w, C).",
            _channels_attend,
        ),
        Misconception(
            "whole rows attend",
            "Your sequence has h items, each a whole row of w·C numbers. It is the single places that attend: "
            "(B, h·w, C).",
            lambda maps: _self_attend(maps.reshape(*maps.shape[:2], -1)).reshape(maps.shape),
        ),
        Misconception(
            "across the batch",
            "Your places attend to the same place of *other pictures*: the batch stands where the sequence belongs.",
            _across_batch,
        ),
        Misconception(
            "one sequence of the whole batch",
            "You made one sequence of the places of all pictures, so they read each other. Keep the batch axis: "
            "`ops.reshape(maps, (-1, h * w, C))`.",
            lambda maps: _self_attend(maps.reshape(1, -1, maps.shape[-1])).reshape(maps.shape),
        ),
        Misconception(
            "not put back",
            "The attention is right; the result is still a sequence. Bring it back to (B, h, w, C).",
            lambda maps: _self_attend(_places(maps)),
        ),
        Misconception(
            "put back with h and w swapped",
            "The attention is right. On the way back h and w changed places: h comes first, (B, h, w, C).",
            lambda maps: _self_attend(_places(maps)).reshape(np.swapaxes(maps, 1, 2).shape),
        ),
        Misconception(
            "added to the map",
            "You added the mixture to the map. Asked is the mixture alone.",
            lambda maps: maps + _self_attend(_places(maps)).reshape(maps.shape),
        ),
        Misconception(
            "columns first, put back rows first",
            "You took the places column by column and put them back row by row: each landed somewhere else.",
            _columns_first,
        ),
        Misconception(
            "scaled",
            "You divided by √C. Often wise, but it is not what `keras.layers.Attention` does: leave the scores as they are.",
            _scaled,
        ),
        Misconception(
            "averaged",
            "You returned the mean of the places. Every place gets its own mixture.",
            lambda maps: np.broadcast_to(maps.mean(axis=(1, 2), keepdims=True), maps.shape),
        ),
    ],
    own=["attnfuse.vision.attend_over_picture", "attnfuse.vision.to_sequence"],
    reread="section 2",
    hint="Three lines: reshape to (-1, h·w, C), let `keras.layers.Attention()` work on that, reshape to (-1, h, w, C).",
)

# -- query_pooling --------------------------------------------------------------------------------


def query_pooling_by_loops(places, key_matrix, bias, query):
    B, S, C = places.shape
    context, weights = np.zeros((B, C)), np.zeros((B, S))
    for b in range(B):
        keys = [np.tanh(places[b, s].astype(float) @ key_matrix + bias) for s in range(S)]
        powers = [np.exp(keys[s] @ query) for s in range(S)]
        for s in range(S):
            weights[b, s] = powers[s] / sum(powers)
            context[b] += weights[b, s] * places[b, s]
    return context, weights


def query_pooling_cases(rng):
    def case(B, S, C, H, note):
        shapes = {"places": (B, S, C), "key_matrix": (C, H), "bias": (H,), "query": (H,)}
        inputs = {n: rng.standard_normal(shape).astype(np.float32) for n, shape in shapes.items()}
        return Case(inputs, note)

    return [
        case(1, 1, 2, 3, "one picture with one place"),
        case(1, 4, 3, 2, "one picture with four places"),
        case(3, 6, 4, 5, "three pictures"),
    ]


def run_query_pooling(candidate, places, key_matrix, bias, query):
    """Build the learner's layer, give it the weights, call it. A plain function gets everything."""
    weights = {"key_matrix": key_matrix, "bias": bias, "query": query}
    if not isinstance(candidate, type) and not hasattr(candidate, "build"):
        return candidate(places, **weights)
    if not isinstance(candidate, type):
        raise Mismatch("check needs the class itself, QueryPooling, not a layer made from it.")
    layer = candidate(units=len(query))
    layer(places)
    for name, value in weights.items():
        if not hasattr(layer, name):
            raise Mismatch(f"The layer has no weight `{name}`. Keep `build` as it was given.")
        getattr(layer, name).assign(value)
    outputs = layer(places)
    if isinstance(outputs, tuple | list):
        return tuple(None if x is None else np.asarray(x) for x in outputs)
    return outputs


def _query_pooling(weigh=_softmax, squash=np.tanh, use_bias=True, scale=1.0, values="places"):
    """Attention pooling with a slip."""

    def wrong(places, key_matrix, bias, query):
        keys = squash(places @ key_matrix + bias * use_bias)  # (B, S, H)
        weights = weigh(keys @ query * scale)
        mixed = weights[..., None] * (keys if values == "keys" else places)
        if values == "mean":
            return mixed.mean(axis=1), weights
        return mixed if values == "not summed" else mixed.sum(axis=1), weights

    return wrong


def _root_scaled(places, key_matrix, bias, query):
    return _query_pooling(scale=len(query) ** -0.5)(places, key_matrix, bias, query)


def _test_batch(attempt, case, rng):
    places = case.inputs["places"].copy()
    if len(places) < 2:
        return
    places[-1] += 1
    after = attempt(**{**case.inputs, "places": places})["weights"]
    if not np.allclose(attempt.result["weights"][:-1], after[:-1], atol=1e-5):
        raise Mismatch("The last picture was changed, and the weights of other pictures changed.")


def _test_order(attempt, case, rng):
    places = case.inputs["places"]
    order = rng.permutation(places.shape[1])
    after = attempt(**{**case.inputs, "places": places[:, order]})["context"]
    if not np.allclose(attempt.result["context"], after, atol=1e-4):
        raise Mismatch("The places were put in another order, and the context changed.")


def _returned(change):
    """The right results, handed back in another form."""
    return lambda places, **rest: change(*query_pooling_by_loops(places, **rest))


QUERY_POOLING = Exercise(
    name="query_pooling",
    lesson=LESSON,
    title="One learnt query",
    kind="finish",
    minutes=10,
    difficulty=2,
    points=2,
    reference=query_pooling_by_loops,
    cases=query_pooling_cases,
    outputs={"context": "B C", "weights": "B S"},
    run=run_query_pooling,
    properties=[
        properties.finite(),
        properties.not_negative(),
        properties.rows_sum_to_one(),
        Property("pictures do not mix", _test_batch),
        Property("the order of the places does not matter", _test_order),
    ],
    misconceptions=[
        Misconception(
            "softmax over the batch",
            "Your weights sum to 1 over the *pictures* (axis 0). Each picture spreads one unit over its places: axis 1.",
            _query_pooling(weigh=lambda scores: _softmax(scores, axis=0)),
        ),
        Misconception(
            "softmax over an axis of length one",
            "Every weight is 1: your softmax did not go over the places. The last axis of (B, S, 1) has a single entry, "
            "and a softmax over one number is 1; a softmax over the units of a key sums to 1 at every place. One score "
            "for each place first; then the softmax over the places.",
            _query_pooling(weigh=np.ones_like),
        ),
        Misconception(
            "… and kept that axis",
            "Every weight is 1: the last axis of (B, S, 1) has a single entry, and a softmax over one number is 1. "
            "Take it over the places (axis 1), and drop that axis: weights are (B, S).",
            lambda places, key_matrix, bias, query: (
                places.sum(axis=1),
                np.ones((*places.shape[:2], 1)),
            ),
        ),
        Misconception(
            "softmax over the channels",
            "You took the softmax over the *channels* (axis -1), at each place by itself, so no place competes with "
            "another. One score for each place first; then the softmax over the places.",
            lambda places, key_matrix, bias, query: (
                (_softmax(places) * places).sum(axis=1),
                _softmax(places).mean(axis=-1) * places.shape[-1] / places.shape[1],
            ),
        ),
        Misconception(
            "no softmax",
            "These are scores, not weights: the softmax over the places is missing.",
            _query_pooling(weigh=lambda scores: scores),
        ),
        Misconception(
            "sigmoid",
            "A sigmoid judges each place by itself; the weights do not sum to 1 and the context grows with the number "
            "of places. Softmax makes the places compete.",
            _query_pooling(weigh=lambda scores: 1 / (1 + np.exp(-scores))),
        ),
        Misconception(
            "only the best place",
            "You took the best place alone (argmax). Nothing can be learnt through that: its slope is zero.",
            _query_pooling(weigh=lambda x: (x == x.max(axis=1, keepdims=True)) * 1.0),
        ),
        Misconception(
            "average pooling",
            "Your weights are all 1/S: this is average pooling, the query has no say.",
            _query_pooling(weigh=lambda scores: np.ones_like(scores) / scores.shape[1]),
        ),
        Misconception(
            "keys mixed instead of places",
            "The weights are right, but you mix the *keys*. Keys only decide who is heard; what is mixed are the places.",
            _query_pooling(values="keys"),
        ),
        Misconception(
            "mean of the weighted places",
            "You took the *mean* of the weighted places. The weights already sum to 1: take the sum.",
            _query_pooling(values="mean"),
        ),
        Misconception(
            "not summed",
            "You weighted the places and did not add them up: the context is one vector per picture.",
            _query_pooling(values="not summed"),
        ),
        Misconception(
            "no tanh",
            "The tanh is missing: keys = tanh(places · W + b).",
            _query_pooling(squash=lambda x: x),
        ),
        Misconception(
            "no bias",
            "The bias has no effect: it is missing, or stands outside the tanh. There it adds the same to every score, "
            "and a softmax does not notice. keys = tanh(places · W + b).",
            _query_pooling(use_bias=False),
        ),
        Misconception(
            "tanh after the query",
            "You took the tanh of the *scores*. It belongs to the keys, before they meet the query: "
            "keys = tanh(places · W + b).",
            _query_pooling(weigh=lambda scores: _softmax(np.tanh(scores)), squash=lambda x: x),
        ),
        Misconception(
            "context and weights swapped",
            "The two results have changed places: first the context, then the weights.",
            _returned(lambda context, weights: (weights, context)),
        ),
        Misconception(
            "an axis left in the context",
            "The numbers are right; the context still has an axis of length 1. Drop it: (B, C).",
            _returned(lambda context, weights: (context[:, None], weights)),
        ),
        Misconception(
            "an axis left in the weights",
            "The numbers are right; the weights still have an axis of length 1 at the end. Drop it: (B, S).",
            _returned(lambda context, weights: (context, weights[..., None])),
        ),
        Misconception(
            "scaled by the root of units",
            "You divided by √units. This score is the additive kind of lesson 05: tanh keeps it small, nothing is divided.",
            _root_scaled,
        ),
    ],
    own=["attnfuse.vision.QueryPooling", "attnfuse.vision.pool"],
    reread="section 3",
    hint="keys are (B, S, units). `ops.sum(keys * self.query, axis=-1)` gives the scores (B, S); softmax over axis -1. Then "
    "`weights[..., None] * places`, summed over axis 1.",
)

# -- shuffled_places (a prediction) ----------------------------------------------------------------


def shuffling_changes_answer():
    """Six small random networks read a map's places and the places shuffled; is the answer another?"""
    rng = np.random.default_rng(0)
    S, C = 6, 4
    x, p = (rng.standard_normal((S, C)) for _ in range(2))
    query, head = rng.standard_normal(C), rng.standard_normal((S * C, 3))
    matrices = rng.standard_normal((2, C, C))

    def mix(x):
        return x + _softmax(x @ matrices[0] @ (x @ matrices[1]).T) @ x

    networks = [
        lambda x: x.mean(axis=0),
        lambda x: x.ravel() @ head,
        lambda x: _softmax(x @ query) @ x,
        lambda x: mix(x).mean(axis=0),
        lambda x: mix(x + p).mean(axis=0),
        lambda x: (mix(x) + p).mean(axis=0),
    ]
    order = np.array([3, 0, 5, 1, 4, 2])
    return tuple(not np.allclose(network(x), network(x[order])) for network in networks)


SHUFFLED_PLACES = Exercise(
    name="shuffled_places",
    lesson=LESSON,
    title="Shuffled places",
    kind="predict",
    minutes=7,
    difficulty=2,
    points=2,
    reference=shuffling_changes_answer,
    value=True,
    misconceptions=[
        Misconception(
            "positions help anywhere",
            "Look at number 6 again. The positions are added *after* the attention and then averaged: "
            "the mean of x + p is the mean of x plus the mean of p, and the latter is the same for every picture.",
            (False, True, False, False, True, True),
        ),
        Misconception(
            "self-attention sees order",
            "You expect self-attention to notice the order. Shuffle the places, and the *same* mixtures come out, in "
            "shuffled order; the mean that follows does not see order, either.",
            (False, True, False, True, True, True),
        ),
        Misconception(
            "self-attention sees order, late positions do not help",
            "Number 4: shuffle the places, and the *same* mixtures come out, in shuffled order. Their mean is the same.",
            (False, True, False, True, True, False),
        ),
        Misconception(
            "the query remembers a place",
            "Number 3: the learnt query is compared with what *is* at a place, not with where it is. A weighted sum does "
            "not see the order.",
            (False, True, True, False, True, False),
        ),
        Misconception(
            "attention sees order",
            "Attention compares contents, not places: numbers 3 and 4 are sums over places, in whatever order. And in "
            "number 6 the positions come too late: averaged, they are one constant.",
            (False, True, True, True, True, True),
        ),
        Misconception(
            "flattening does not care",
            "Number 2: after flattening, every place has weights of its own in the head. Put its content elsewhere, and "
            "other weights read it.",
            (False, False, False, False, True, False),
        ),
        Misconception(
            "positions never help",
            "Number 5: the positions stay where they are, so each content gets another one added. Queries and keys "
            "differ, so the scores do, and the mixtures. (Without attention in between, the mean would be the same.)",
            (False, True, False, False, False, False),
        ),
        Misconception(
            "late positions instead of early ones",
            "Numbers 5 and 6: only positions that are there *before* the attention can change its scores. Added "
            "afterwards, they average to one constant.",
            (False, True, False, False, False, True),
        ),
        Misconception(
            "a mean sees order",
            "Number 1: a mean adds up and divides. The order of the terms does not matter.",
            (True, True, False, False, True, False),
        ),
        Misconception(
            "everything changes",
            "A mean is the same in any order, and so is a weighted sum whose weights depend on contents alone.",
            (True, True, True, True, True, True),
        ),
        Misconception(
            "the other way round",
            "You answered which stay the same. Asked was which answers *change*.",
            (True, False, True, True, False, True),
        ),
    ],
    reread="section 4",
    hint="Go through each network and ask: does any number in it belong to a place, rather than to what is there? "
    "And if so, is it still tied to the content when the places are added up?",
)

# -- pointing_by_chance (a prediction, no points) ---------------------------------------------------


def chance_of_pointing():
    """How many of the 36 middles lie in a box, averaged over all boxes."""
    middles = 4 * np.arange(6) + 2
    inside = [np.sum((top <= middles) & (middles < top + 8)) for top in range(24 - 8 + 1)]
    return float(np.mean(np.outer(inside, inside)) / 36)


POINTING_BY_CHANCE = Exercise(
    name="pointing_by_chance",
    lesson=LESSON,
    title="Pointing by chance",
    kind="predict",
    minutes=3,
    difficulty=1,
    points=0,
    reference=chance_of_pointing,
    value=True,
    rtol=0.02,
    misconceptions=[
        Misconception(
            "one place in 36",
            "1/36 would be the chance to hit one certain place. The box holds several middles: count them.",
            1 / 36,
        ),
        Misconception(
            "one class in ten",
            "1/10 is the chance to guess the *class*. Here a place is guessed.",
            1 / 10,
        ),
        Misconception(
            "one in two", "In the box or not are two cases, but not equally likely ones.", 1 / 2
        ),
        Misconception(
            "8 of 24",
            "8 of 24 is the share in *one* direction. Row and column must both fit.",
            1 / 3,
        ),
        Misconception(
            "three in each direction",
            "You count 3 middles in each direction. Middles are 4 pixels apart, and the far edge does not belong to "
            "the box.",
            9 / 36,
        ),
        Misconception(
            "added instead of multiplied",
            "You count 2 places. There are 2 rows *and* 2 columns whose middles lie in the box: how many places?",
            2 / 36,
        ),
        Misconception("percent", "Right in percent. Asked was a share, between 0 and 1.", 100 / 9),
        Misconception(
            "a count",
            "That is the number of places in the box. Asked was their share of all 36.",
            4,
        ),
    ],
    reread="section 6",
    hint="Middles stand at pixels 2, 6, 10, … How many of them does an interval of 8 pixels hold?",
)

# -- points_at_digit ------------------------------------------------------------------------------


def points_by_loops(weights, boxes, columns, stride):
    hits = np.zeros(len(weights), dtype=bool)
    for b, (row_of_weights, box) in enumerate(zip(weights, boxes, strict=True)):
        top, left, bottom, right = (float(x) for x in box)
        best = max(range(len(row_of_weights)), key=lambda s: row_of_weights[s])
        y = (best // columns + 0.5) * stride
        x = (best % columns + 0.5) * stride
        hits[b] = top <= y < bottom and left <= x < right
    return hits


def points_cases(rng):
    def case(B, rows, columns, stride, size, note):
        weights = rng.dirichlet(np.full(rows * columns, 0.3), B)
        peak = weights.argmax(axis=1)
        middle = (np.stack(np.divmod(peak, columns), axis=1) + 0.5) * stride
        shift = rng.integers(-size - 1, 2, (B, 2))
        some = np.arange(B) % 4 == 0  # the middle stands on the edge that does not count
        shift[some] = np.stack(
            [np.full(some.sum(), -size), np.full(some.sum(), -size // 2)], axis=1
        )
        corner = np.floor(middle).astype(int) + shift
        boxes = np.concatenate([corner, corner + size], axis=1)
        return Case(
            {"weights": weights, "boxes": boxes, "columns": columns, "stride": stride}, note
        )

    first = np.array([[0.1, 0.1, 0.1, 0.1, 0.5, 0.1]])  # 2 rows, 3 columns
    return [
        Case(
            {"weights": first, "boxes": np.array([[3, 5, 8, 8]]), "columns": 3, "stride": 4},
            "one map of 2 rows and 3 columns",
        ),
        case(40, 5, 7, 4, 8, "maps of 5 rows and 7 columns"),
        case(40, 6, 4, 6, 9, "maps of 6 rows and 4 columns"),
    ]


def _hit(y, x, boxes, near=np.less_equal, far=np.less):
    """Whether (y, x) lies in the box; `near` compares with top and left, `far` with bottom and right."""
    top, left, bottom, right = np.transpose(boxes)
    return near(top, y) & far(y, bottom) & near(left, x) & far(x, right)


def _pointing(middle=0.5, swap=False, by_rows=False, scale=True, **edges):
    """Pointing with a slip."""

    def wrong(weights, boxes, columns, stride):
        per_row = weights.shape[1] // columns if by_rows else columns
        row, column = np.divmod(weights.argmax(axis=1), per_row)
        if swap:
            row, column = column, row
        size = stride if scale else 1
        return _hit((row + middle) * size, (column + middle) * size, boxes, **edges)

    return wrong


def _middles(weights, columns, stride):
    rows, across = np.divmod(np.arange(weights.shape[1]), columns)
    return (rows + 0.5) * stride, (across + 0.5) * stride


def _mean_place(weights, boxes, columns, stride):
    y, x = _middles(weights, columns, stride)
    return _hit(weights @ y, weights @ x, boxes)


def _mass(weights, boxes, columns, stride):
    y, x = _middles(weights, columns, stride)
    inside = np.array([_hit(y, x, np.broadcast_to(box, (len(y), 4))) for box in boxes])
    return (weights * inside).sum(axis=1) > 0.5


def _overlapping(weights, boxes, columns, stride):
    row, column = np.divmod(weights.argmax(axis=1), columns)
    top, left, bottom, right = boxes.T / stride
    return (row < bottom) & (row + 1 > top) & (column < right) & (column + 1 > left)


POINTS_AT_DIGIT = Exercise(
    name="points_at_digit",
    lesson=LESSON,
    title="Does it point at the digit?",
    kind="write",
    minutes=10,
    difficulty=3,
    points=2,
    reference=points_by_loops,
    cases=points_cases,
    outputs={"hits": "B"},
    misconceptions=[
        Misconception(
            "x and y swapped",
            "Row and column have changed places. The row, `index // columns`, says how far *down* (top to bottom); the "
            "column, `index % columns`, how far to the right.",
            _pointing(swap=True),
        ),
        Misconception(
            "divided by the number of rows",
            "You divided by the number of *rows*. Places are numbered row by row, and a row holds `columns` of them: "
            "`index // columns`.",
            _pointing(by_rows=True),
        ),
        Misconception(
            "the mean place",
            "You took the mean place, weighted. Two pieces of ink, left and right, have their mean on empty paper "
            "between them. Asked is where the *largest* weight stands.",
            _mean_place,
        ),
        Misconception(
            "the corner of the patch",
            "You took the upper left corner of the patch, `row * stride`. Its middle is half a stride further.",
            _pointing(middle=0),
        ),
        Misconception(
            "the far corner of the patch",
            "You took the lower right corner of the patch, `(row + 1) * stride`. Its middle is half a stride before.",
            _pointing(middle=1),
        ),
        Misconception(
            "no edge included",
            "The top and the left edge belong to the box: top ≤ y < bottom, left ≤ x < right.",
            _pointing(near=np.less),
        ),
        Misconception(
            "the patch touches the box",
            "You asked whether the patch and the box overlap. Its *middle* must lie in the box.",
            _overlapping,
        ),
        Misconception(
            "top, bottom, left, right",
            "A box is (top, left, bottom, right), in this order.",
            lambda weights, boxes, columns, stride: _pointing()(
                weights, boxes[:, [0, 2, 1, 3]], columns, stride
            ),
        ),
        Misconception(
            "rows only",
            "You compare the row only. The column must fit, too: left ≤ x < right.",
            lambda weights, boxes, columns, stride: _pointing()(
                weights, boxes * [1, 0, 1, 0] + [0, -999, 0, 999], columns, stride
            ),
        ),
        Misconception(
            "columns only",
            "You compare the column only. The row must fit, too: top ≤ y < bottom.",
            lambda weights, boxes, columns, stride: _pointing()(
                weights, boxes * [0, 1, 0, 1] + [-999, 0, 999, 0], columns, stride
            ),
        ),
        Misconception(
            "stride 4 by heart",
            "You took a stride of 4, as in this lesson's scenes. Use the argument `stride`.",
            lambda weights, boxes, columns, stride: _pointing()(weights, boxes, columns, 4),
        ),
        Misconception(
            "edges included",
            "The bottom and the right edge do not belong to the box: top ≤ y < bottom, left ≤ x < right.",
            _pointing(far=np.less_equal),
        ),
        Misconception(
            "places compared with pixels",
            "You compared a place's row and column with pixels. One place is `stride` pixels.",
            _pointing(scale=False),
        ),
        Misconception(
            "half of the weight",
            "You asked whether more than half of the weight lies in the box. That is another measure; here the "
            "largest weight points.",
            _mass,
        ),
        Misconception(
            "averaged",
            "You returned one number for all pictures. Return a bool for each; its mean is the share of hits.",
            lambda **inputs: points_by_loops(**inputs).mean(),
        ),
        Misconception(
            "largest over the batch",
            "`argmax` went over the pictures, or over all numbers at once. Every picture has its own largest weight: "
            "axis 1.",
            lambda weights, boxes, columns, stride: _pointing()(
                np.broadcast_to(weights.reshape(1, -1), (len(weights), weights.size)),
                boxes,
                columns,
                stride,
            ),
        ),
    ],
    own=["attnfuse.vision.points_at"],
    reread="section 6",
    hint="`np.divmod(weights.argmax(axis=1), columns)` gives row and column. Middle: `(row + 0.5) * stride`. "
    "`top, left, bottom, right = boxes.T`, then four comparisons joined with `&`.",
)

# -- occlusion (stretch) --------------------------------------------------------------------------


def occlusion_by_loops(predict, image, patch):
    before = np.asarray(predict(image[None]))[0]
    favourite = max(range(len(before)), key=lambda k: before[k])
    rows, columns = image.shape[0] // patch, image.shape[1] // patch
    drops = np.zeros((rows, columns))
    for i in range(rows):
        for j in range(columns):
            covered = image.copy()
            covered[i * patch : (i + 1) * patch, j * patch : (j + 1) * patch] = 0
            drops[i, j] = before[favourite] - np.asarray(predict(covered[None]))[0, favourite]
    return drops


def _random_model(rng, pixels, classes):
    matrix = rng.standard_normal((pixels, classes)) * 2 / pixels**0.5

    def predict(images):
        if np.ndim(images) != 3:
            raise ValueError(f"images must be (B, height, width), got {np.shape(images)}")
        return _softmax(np.reshape(images, (len(images), -1)) @ matrix)

    return predict


def occlusion_cases(rng):
    def case(h, w, patch, classes, note):
        while True:  # until some cover changes the favourite
            image = rng.uniform(0.2, 1, (h * patch, w * patch))
            predict = _random_model(rng, image.size, classes)
            inputs = {"predict": predict, "image": image, "patch": patch}
            if not np.allclose(_occlusion(follow=True)(**inputs), occlusion_by_loops(**inputs)):
                return Case(inputs, note)

    return [
        case(1, 2, 2, 3, "two patches side by side"),
        case(3, 4, 2, 5, "3 × 4 patches of 2 × 2 pixels"),
        case(5, 2, 3, 4, "5 × 2 patches of 3 × 3 pixels"),
    ]


def _occlusion(
    sign=1, fill=0.0, restore=True, follow=False, anew=False, minus=True, transposed=False
):
    """An occlusion map with a slip; a new favourite is taken after covering, or before and after (anew)."""

    def wrong(predict, image, patch):
        before = predict(image[None])[0]
        best = before.argmax()
        rows, columns = image.shape[0] // patch, image.shape[1] // patch
        drops, covered = np.zeros((rows, columns)), image.copy()
        for i, j in np.ndindex(rows, columns):
            if restore:
                covered = image.copy()
            covered[i * patch : (i + 1) * patch, j * patch : (j + 1) * patch] = fill
            after = predict(covered[None])[0]
            first = after.argmax() if anew else best
            drops[i, j] = before[first] * minus - after[after.argmax() if follow else first]
        return sign * (drops.T if transposed else drops)

    return wrong


OCCLUSION = Exercise(
    name="occlusion",
    lesson=LESSON,
    title="Cover it and see",
    kind="stretch",
    minutes=10,
    difficulty=2,
    points=0,
    reference=occlusion_by_loops,
    cases=occlusion_cases,
    outputs={"drops": "h w"},
    properties=[properties.finite()],
    misconceptions=[
        Misconception(
            "after minus before",
            "The sign is the other way round: before minus after, so that what the model *needs* gets a large value.",
            _occlusion(sign=-1),
        ),
        Misconception(
            "what is left",
            "You return the probability that is *left*. Return what was lost: before minus after.",
            _occlusion(sign=-1, minus=False),
        ),
        Misconception(
            "covers pile up",
            "Each patch stays covered while the next is tried. Cover a fresh copy each time.",
            _occlusion(restore=False),
        ),
        Misconception(
            "another favourite",
            "You take the largest probability of the covered picture, which may belong to another class. Stay with the "
            "favourite of the whole picture.",
            _occlusion(follow=True),
        ),
        Misconception(
            "a favourite for each patch",
            "You choose a favourite anew for each covered picture. Stay with the favourite of the whole picture.",
            _occlusion(anew=True),
        ),
        Misconception(
            "without sign",
            "You dropped the sign. Where a cover *helps* the favourite, the number is negative.",
            lambda **inputs: np.abs(occlusion_by_loops(**inputs)),
        ),
        Misconception(
            "one row of patches after the other",
            "The numbers are right, but in one line. Return a map, (height / patch, width / patch).",
            lambda **inputs: occlusion_by_loops(**inputs).ravel(),
        ),
        Misconception(
            "covered with ink",
            "You cover with 1, which is ink. Paper is 0.",
            _occlusion(fill=1.0),
        ),
        Misconception(
            "rows and columns swapped",
            "Your map is turned round: the first axis counts the patches downwards.",
            _occlusion(transposed=True),
        ),
    ],
    own=["attnfuse.vision.occlusion_map"],
    reread="section 6",
    hint="`predict(image[None])[0]` is one row of probabilities; its argmax is the favourite. Two loops; in each a "
    "`copy`, a slice set to 0, and a difference.",
)

EXERCISES = [
    WHOLE_PICTURE,
    QUERY_POOLING,
    SHUFFLED_PLACES,
    POINTING_BY_CHANCE,
    POINTS_AT_DIGIT,
    OCCLUSION,
]

# -- questions ------------------------------------------------------------------------------------


def _equal_scores():
    """Options: the first value, the mean, the sum. Four values, all scores alike."""
    value = np.array([2.0, 4.0, 6.0, 12.0])
    got = _softmax(np.zeros(4)) @ value
    return int(np.argmin(np.abs(np.array([value[0], value.mean(), value.sum()]) - got)))


def _queries_shuffled():
    """Options: nothing, the rows are shuffled likewise, the columns are."""
    rng = np.random.default_rng(0)
    query, key, order = rng.normal(size=(3, 2)), rng.normal(size=(4, 2)), [2, 0, 1]
    before, after = _softmax(query @ key.T), _softmax(query[order] @ key.T)
    if np.allclose(before, after):
        return 0
    return 1 if np.allclose(before[order], after) else 2


def _pooled_weights():
    """Which shape do the weights have when two (B, C) tensors attend?"""
    B, C = 32, 64
    weights = np.zeros((B, C)) @ np.zeros((B, C)).T
    return [(32, 64), (64, 64), (32, 32)].index(weights.shape)


QUIZZES = [
    Quiz(
        id="08-equal-scores",
        question="(Lesson 01.) Four keys have the same score. What does attention return?",
        options=[
            Option("the first value", "No key is first: attention knows no order, only scores."),
            Option("the mean of the values", "Each weight is 1/4. So the mean is a special case."),
            Option("the sum of the values", "Weights sum to 1: with 1/4 each it is the mean."),
        ],
        answer=_equal_scores,
    ),
    Quiz(
        id="08-queries-shuffled",
        question="(Lesson 02.) You put the *queries* in another order. What happens to the rows of the weights?",
        options=[
            Option("nothing", "Each row belongs to a query, and moves with it."),
            Option(
                "they move along, otherwise unchanged",
                "Each query asks for itself: its row is the same, elsewhere.",
            ),
            Option("their columns move", "Columns belong to keys, and these stayed."),
        ],
        answer=_queries_shuffled,
    ),
    Quiz(
        id="08-pooled",
        question="(Lesson 05.) Two tensors `(32, 64)`, batch and channels, go into `keras.layers.Attention`. "
        "Which shape do its weights have, and so who attends to whom?",
        options=[
            Option("(32, 64)", "Weights hold one number for each pair of query and key."),
            Option("(64, 64)", "The channels are multiplied away in the dot product."),
            Option(
                "(32, 32)",
                "The batch stands where the sequence belongs: every example reads the others. Keras 3.15 raises no error.",
            ),
        ],
        answer=_pooled_weights,
    ),
]
