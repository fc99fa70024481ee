"""Turn the pairs yourself: rotary positions."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property, properties

BASE = 10_000.0


def turned(row, position):
    """One row of width H at one position: each pair of neighbours turned by its own angle."""
    out, H = [0.0] * len(row), len(row)
    for i in range(H // 2):
        angle = position / BASE ** (2 * i / H)
        a, b = float(row[2 * i]), float(row[2 * i + 1])
        out[2 * i] = a * math.cos(angle) - b * math.sin(angle)
        out[2 * i + 1] = a * math.sin(angle) + b * math.cos(angle)
    return out


def by_loops(x, positions):
    B, T, H = x.shape
    result = np.zeros((B, T, H))
    for b in range(B):
        for t in range(T):
            result[b, t] = turned(x[b, t], float(positions[t]))
    return result


def cases(rng):
    def case(B, T, H, note, positions=None, dtype=float):
        positions = rng.permutation(30)[:T] if positions is None else positions
        x = rng.standard_normal((B, T, H)).astype(dtype)
        return Case({"x": x, "positions": np.asarray(positions)}, note)

    return [
        case(1, 1, 2, "one pair, position 1", [1]),
        case(1, 2, 4, "two pairs, positions 0 and 1", [0, 1]),
        case(2, 3, 4, "positions in any order"),
        case(2, 5, 6, "three pairs"),
        case(2, 3, 4, "positions with fractions", [0.5, 2.25, -1.75]),
        case(3, 4, 8, "float32", dtype=np.float32),
        case(1, 3, 4, "far away, and in front of the start", [5000, 17, -2]),
    ]


def neighbours(x):
    return x[..., ::2], x[..., 1::2]


def in_turns(a, b):
    return np.stack([a, b], axis=-1).reshape(*a.shape[:-1], -1)


def in_blocks(a, b):
    return np.concatenate([a, b], axis=-1)


def rotation(a, b, cos, sin):
    return a * cos - b * sin, a * sin + b * cos


def first_overwritten(a, b, cos, sin):
    a = a * cos - b * sin
    return a, a * sin + b * cos


def second_overwritten(a, b, cos, sin):
    b = a * sin + b * cos
    return a * cos - b * sin, b


def sketch(
    x,
    positions,
    *,
    base=BASE,
    exponent=lambda H: np.arange(0, H, 2) / H,
    where=lambda positions: positions,
    unit=1.0,
    pairs=neighbours,
    turn=rotation,
    put=in_turns,
    finish=lambda result, x: result,
):
    angles = unit * where(positions)[:, None] / base ** exponent(x.shape[-1])
    return finish(put(*turn(*pairs(x), np.cos(angles), np.sin(angles))), x)


def _lengths(attempt, case, rng):
    def lengths(x):
        return np.sqrt(x[..., ::2] ** 2 + x[..., 1::2] ** 2)

    before, after = lengths(case.inputs["x"]), lengths(attempt.result["turned"])
    if not np.allclose(before, after, rtol=1e-4, atol=1e-5):
        raise Mismatch(
            "Turning a pair leaves its length as it is. Lengths of the pairs:", before, after
        )


def _origin(attempt, case, rng):
    x = case.inputs["x"]
    got = attempt(x=x, positions=np.zeros(x.shape[1], int))["turned"]
    if not np.allclose(got, x, atol=1e-6):
        raise Mismatch("At position 0 nothing is turned.", x, got)


def _only_distance(attempt, case, rng):
    x, positions = case.inputs["x"], case.inputs["positions"]
    key = rng.standard_normal(x.shape)

    def scores(shift):
        q = attempt(x=x, positions=positions + shift)["turned"]
        k = attempt(x=key, positions=positions + shift)["turned"]
        return q @ np.swapaxes(k, -1, -2)

    if not np.allclose(scores(0), scores(7), rtol=1e-3, atol=1e-3):
        raise Mismatch("All positions were moved by 7: no distance changed, but the scores did.")


ROTATE = Exercise(
    name="rotate",
    lesson="04_multi_head_attention",
    title="Turn the pairs yourself",
    kind="stretch",
    minutes=12,
    difficulty=2,
    points=0,
    reference=by_loops,
    cases=cases,
    outputs={"turned": "B T H"},
    properties=[
        properties.finite(),
        Property("position 0 turns nothing", _origin),
        Property("a pair keeps its length", _lengths),
        Property("only the distance counts", _only_distance),
    ],
    sketch=sketch,
    says="""
    halves instead of neighbours | You pair column i with column i + H/2. Some models do (with their own weights that is as good). Here neighbours are a pair: columns 2i and 2i+1.
    pairs left apart | Your numbers stand in two blocks, all the first ones of the pairs, then all the second ones. Put them back in turns: columns 2i and 2i+1.
    exponent without the 2 | Your speeds fall too slowly: pair i turns at 10000^(-2i/H), and yours at 10000^(-i/H). With `np.arange(0, H, 2)` the 2 is in the range, with `np.arange(H // 2)` it is not.
    exponent with the 2 twice | Your speeds fall too fast. `np.arange(0, H, 2)` already counts 0, 2, 4, …: do not double it again.
    exponent without its minus | Your pairs turn faster and faster. The position is *divided* by 10000^(2i/H).
    one speed for all | All your pairs turn at the same speed. Pair i turns at 10000^(-2i/H): the first fast, the last slowly.
    pairs counted from 1 | Your pairs are counted from 1: the first turns at 10000^(-2/H). It is pair 0, and turns at 1.
    another base | Your speeds fall by another base than 10,000.
    in degrees | Your angles are degrees. `np.cos` and `np.sin` expect radians, and so does the formula: no factor π/180.
    positions ignored | You count 0, 1, 2, … yourself. Use `positions`: they may be any numbers.
    relative to the first | You count from the first position. Turn by `positions` as they are.
    counted from one | You turn by one position too many. Position 0 does not turn.
    turned backwards | You turn the other way: (a, b) becomes (a cos - b sin, a sin + b cos). (Distances would still count alone, but 'ahead' and 'behind' change places.)
    without a sign | You take positions without their sign. A negative one turns the other way.
    whole positions only | You round positions to whole numbers, or cut their fractions off. They may be any numbers.
    sign lost | Both your parts have a plus. A rotation has one minus: (a cos - b sin, a sin + b cos). Without it lengths change.
    two minuses | Both your parts have a minus. A rotation has one: (a cos - b sin, a sin + b cos).
    sine and cosine exchanged | Sine and cosine have changed places: (a cos - b sin, a sin + b cos).
    turned in place | You overwrite a before b has used it: the second part needs the *old* a. Compute both, then write.
    turned in place, b first | You overwrite b before a has used it: the first part needs the *old* b. Compute both, then write.
    parts exchanged | The two numbers of each pair have changed places.
    added | You add sines and cosines to x. That is the sinusoidal code; a rotary one multiplies.
    the last pair forgotten | The last pair is not turned.
    the first item only | Only the first item of the batch is turned.
    """,
    choices={
        "pairs": {"halves instead of neighbours": lambda x: np.split(x, 2, axis=-1)},
        "put": {
            "halves instead of neighbours": in_blocks,
            "pairs left apart": in_blocks,
            "parts exchanged": lambda a, b: in_turns(b, a),
        },
        "exponent": {
            "exponent without the 2": lambda H: np.arange(H // 2) / H,
            "exponent with the 2 twice": lambda H: 2 * np.arange(0, H, 2) / H,
            "exponent without its minus": lambda H: -np.arange(0, H, 2) / H,
            "one speed for all": lambda H: np.zeros(H // 2),
            "pairs counted from 1": lambda H: np.arange(2, H + 2, 2) / H,
        },
        "base": {"another base": 1000.0},
        "unit": {"in degrees": np.pi / 180},
        "where": {
            "positions ignored": lambda positions: np.arange(len(positions)),
            "relative to the first": lambda positions: positions - positions[0],
            "counted from one": lambda positions: positions + 1,
            "without a sign": np.abs,
            "whole positions only": np.trunc,
        },
        "turn": {
            "turned backwards": lambda a, b, cos, sin: rotation(a, b, cos, -sin),
            "sign lost": lambda a, b, cos, sin: (a * cos + b * sin, a * sin + b * cos),
            "two minuses": lambda a, b, cos, sin: (a * cos - b * sin, a * sin - b * cos),
            "sine and cosine exchanged": lambda a, b, cos, sin: rotation(a, b, sin, cos),
            "turned in place": first_overwritten,
            "turned in place, b first": second_overwritten,
            "added": lambda a, b, cos, sin: (a + sin, b + cos),
        },
        "finish": {
            "the last pair forgotten": lambda result, x: np.concatenate(
                [result[..., :-2], x[..., -2:]], axis=-1
            ),
            "the first item only": lambda result, x: np.concatenate([result[:1], x[1:]]),
        },
    },
    own=["attnfuse.attention.rotary"],
    reread="section 8",
    hint="`angles = positions[:, None] * 10000.0 ** (-np.arange(0, H, 2) / H)` is (T, H/2). `x[..., ::2]` and `x[..., 1::2]` are the first and the second number of each pair.",
)
