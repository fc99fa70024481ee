"""Find the bug: every place attends to every place of its picture."""

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property, properties
from attnfuse.exercises.common import hard, softmax


def by_loops(maps):
    maps = np.asarray(maps, dtype=float)
    mixed = np.zeros_like(maps)
    places = list(np.ndindex(maps.shape[1:3]))
    for b, picture in enumerate(maps):
        for here in places:
            scores = [picture[here] @ picture[there] for there in places]
            powers = [np.exp(score - max(scores)) for score in scores]
            for power, there in zip(powers, places, strict=True):
                mixed[b, *here] += power / sum(powers) * picture[there]
    return mixed


def cases(rng):
    def case(B, h, w, C, note):
        return Case({"maps": (0.8 * rng.standard_normal((B, h, w, C))).astype("float32")}, note)

    long = rng.integers(-2, 3, (2, 2, 3, 4))
    long[0, 0, 0], long[1, 1, 2] = [2, 1, -1, 2], [1, 2, 2, -1]
    long[0, 1, 1], long[1, 0, 1] = [0, 0, 0, 0], [0, 0, 0, 0]
    return [
        case(1, 1, 1, 3, "one place"),
        case(1, 2, 3, 4, "one picture of 2 × 3 places"),
        case(2, 1, 4, 3, "one row"),
        case(2, 4, 1, 3, "one column"),
        case(2, 3, 4, 5, "two pictures"),
        case(3, 5, 2, 4, "three pictures, higher than wide"),
        Case({"maps": (60 * long).astype("float32")}, "long contents, scores in the thousands"),
    ]


def turned(maps):
    return np.swapaxes(maps, 1, 2)


def by_columns(maps, attend):
    return turned(attend(turned(maps)))


def reshaped(shape):
    return lambda maps, attend: attend(maps.reshape(shape(*maps.shape))).reshape(maps.shape)


in_sequence = reshaped(lambda B, h, w, C: (B, h * w, C))


def channels(maps, attend):
    x = maps.reshape(len(maps), -1, maps.shape[-1]).swapaxes(1, 2)
    return attend(x).swapaxes(1, 2).reshape(maps.shape)


def across(maps, attend):
    return np.moveaxis(attend(np.moveaxis(maps, 0, 2)), 2, 0)


def columns_in_rows_out(maps, attend):
    return in_sequence(turned(maps), attend).reshape(maps.shape)


def rows_in_columns_out(maps, attend):
    return turned(in_sequence(maps, attend).reshape(turned(maps).shape))


def sketch(
    maps,
    *,
    see=in_sequence,
    scale=lambda C, S: 1,
    weigh=softmax,
    allow=lambda S: True,
    heard=lambda x: x,
    finish=lambda mixed, maps: mixed,
):
    def attend(x):
        others = heard(x)
        mask = np.broadcast_to(allow(x.shape[-2]), (*x.shape[:-1], x.shape[-2]))
        return weigh(x @ np.swapaxes(others, -1, -2) / root, mask) @ others

    maps, (_, h, w, C) = maps.astype(float), maps.shape
    root = scale(C, h * w)
    return finish(see(maps, attend), maps)


def at_once(x, mask):
    flat = (*x.shape[:-2], -1)
    return softmax(x.reshape(flat), mask.reshape(flat)).reshape(x.shape)


def sees(name, axis):
    """A change at one end of the axis is heard at the other."""

    def test(attempt, case, rng):
        maps = np.zeros_like(case.inputs["maps"])
        if maps.shape[axis] < 2:
            return
        np.moveaxis(maps, axis, 0)[-1] = 1
        if not np.moveaxis(attempt(maps=maps)["mixed"], axis, 0)[0].any():
            text = f"All contents are zero but in the last {name}, and the first {name} hears nothing of it."
            raise Mismatch(text, inputs={"maps": maps})

    prop = Property(f"every {name} is seen", test)
    return prop


def _weights(attempt, case, rng):
    maps = case.inputs["maps"].copy()
    maps[..., 0] = 0.5
    got = attempt(maps=maps)["mixed"][..., 0]
    if not np.allclose(got, 0.5, rtol=1e-4):
        text = "The first channel is 0.5 at every place, so each mixture of it is 0.5: weights must sum to 1. Your mixtures:"
        raise Mismatch(text, got=got, inputs={"maps": maps})


WHOLE_PICTURE = Exercise(
    name="whole_picture",
    lesson="08_image_attention",
    title="It runs, so it is right?",
    kind="bug",
    minutes=8,
    difficulty=2,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"mixed": "B h w C"},
    properties=[
        properties.finite(),
        Property("weights sum to 1", _weights),
        sees("row", 1),
        sees("column", 2),
        properties.last_item_apart("maps", "mixed"),
    ],
    sketch=sketch,
    says="""
    along a row only | Each *row* of a picture is a sequence of its own, as in the colleague's layer: attention works on the last two axes, (w, C). Make one sequence of all h·w places first.
    along a column only | Each *column* of a picture is a sequence of its own. Make one sequence of all h·w places.
    rows, then columns | Attention runs along rows, and its result along columns. That reaches every place, but with other weights: make *one* sequence of all h·w places, so that one softmax spreads over them all.
    mean of rows and columns | You average attention along rows and attention along columns. A place then hears its own row and column, nobody else. Make one sequence of all h·w places.
    places and channels scrambled | You reshape to (B, C, h·w). A reshape moves no number: it cuts the same line of numbers elsewhere, so each of your rows holds bits of several places and channels. Keep the channels last: (B, h·w, C).
    channels attend | Your sequence is made of *channels*: C queries, each h·w wide. It is the places that attend: (B, h·w, C).
    whole rows attend | Your sequence has h items, each a whole row of w·C numbers. It is the single places that attend: (B, h·w, C).
    across the batch | Your places attend to the same place of *other pictures*: the batch stands where the sequence belongs.
    one sequence of the whole batch | You made one sequence of the places of all pictures, so they read each other. Keep the batch axis: `ops.reshape(maps, (-1, h * w, C))`.
    columns first, put back rows first | You take the places column by column and put them back row by row: most land somewhere else.
    rows first, put back columns first | You take the places row by row and put them back column by column: most land somewhere else.
    scaled | You divide by √C. Often wise, but it is not what `keras.layers.Attention` does by default: leave the scores as they are.
    divided by C | You divide the scores by the number of channels. `keras.layers.Attention` leaves them as they are by default.
    divided by the number of places | You divide the scores by the number of places. `keras.layers.Attention` leaves them as they are.
    softmax over the queries | The weights with which one place hears the others do not sum to 1: the softmax runs over the *queries*, or the weights are turned round afterwards. A row of the scores belongs to a query: softmax over the last axis, then `weights @ places`.
    one softmax for the whole picture | One softmax runs over queries and keys at once. Each place spreads a unit of its own over the places: softmax over the last axis.
    no softmax | Scores stand where weights belong: the softmax is missing.
    sigmoid | You weigh by a sigmoid, place by place. Only a softmax makes weights that sum to 1.
    argmax | You give everything to the best place. Attention mixes, by softmax.
    averaged | All your weights are equal, so that a place gets a plain mean. Every place gets its own mixture.
    without the max-shift | Your exponentials overflow where contents are long. Subtract each row's maximum first (lesson 01), or let `ops.softmax` do it.
    one maximum for all | You subtract *one* maximum from all rows of scores. Where a row's own scores are far below, all of its exponentials are rounded to 0. Each row needs its own maximum; `ops.softmax` takes care of that.
    looks back only | A place hears only itself and places before it. There is no causal mask here: it hears all.
    not itself | A place does not hear itself. All h·w places count, its own, too.
    the first picture for all | Keys and values of all pictures come from the first one. Each picture reads itself.
    not put back | The result is still a sequence. Bring it back to (B, h, w, C).
    put back with h and w swapped | On the way back h and w changed places: h comes first, (B, h, w, C).
    returned turned round | Rows and columns of your result have changed places: h comes first, (B, h, w, C).
    added to the map | You add the mixture to the map. Asked is the mixture alone.
    one vector for the picture | You average over the places. That is the next step of the model; here every place keeps its own mixture, (B, h, w, C).
    """,
    choices={
        "see": {
            "along a row only": lambda maps, attend: attend(maps),
            "along a column only": by_columns,
            "rows, then columns": lambda maps, attend: by_columns(attend(maps), attend),
            "mean of rows and columns": lambda maps, attend: (
                (attend(maps) + by_columns(maps, attend)) / 2
            ),
            "places and channels scrambled": reshaped(lambda B, h, w, C: (B, C, h * w)),
            "channels attend": channels,
            "whole rows attend": reshaped(lambda B, h, w, C: (B, h, w * C)),
            "across the batch": across,
            "one sequence of the whole batch": reshaped(lambda B, h, w, C: (B * h * w, C)),
            "columns first, put back rows first": columns_in_rows_out,
            "rows first, put back columns first": rows_in_columns_out,
        },
        "scale": {
            "scaled": lambda C, S: C**0.5,
            "divided by C": lambda C, S: C,
            "divided by the number of places": lambda C, S: S,
        },
        "weigh": {
            "softmax over the queries": lambda x, mask: softmax(x, mask, axis=-2),
            "one softmax for the whole picture": at_once,
            "no softmax": lambda x, mask: x * mask,
            "sigmoid": lambda x, mask: mask / (1 + np.exp(-x)),
            "argmax": hard,
            "averaged": lambda x, mask: softmax(0 * x, mask),
            "without the max-shift": lambda x, mask: softmax(x, mask, shift=None),
            "one maximum for all": lambda x, mask: softmax(x, mask, shift="all"),
        },
        "allow": {
            "looks back only": lambda S: np.tri(S, dtype=bool),
            "not itself": lambda S: ~np.eye(S, dtype=bool),
        },
        "heard": {"the first picture for all": lambda x: np.broadcast_to(x[:1], x.shape)},
        "finish": {
            "not put back": lambda mixed, maps: mixed.reshape(len(maps), -1, maps.shape[-1]),
            "put back with h and w swapped": lambda mixed, maps: mixed.reshape(turned(maps).shape),
            "returned turned round": lambda mixed, maps: turned(mixed),
            "added to the map": lambda mixed, maps: mixed + maps,
            "one vector for the picture": lambda mixed, maps: mixed.mean(axis=(1, 2)),
        },
    },
    own=["attnfuse.vision.attend_over_picture", "attnfuse.vision.to_sequence"],
    reread="section 2",
    hint="Three lines: reshape to (-1, h·w, C), let `keras.layers.Attention()` work on that, reshape to (-1, h, w, C).",
)
