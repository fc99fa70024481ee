"""Find the bug: one vector per modality in an attention layer."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, properties
from attnfuse.exercises.common import dot, draw, partial_mask, softmax, weights_by
from attnfuse.exercises.lesson_10.shared import LESSON


def by_loops(image, text, sound, present):
    B, D = image.shape
    weights = np.zeros((B, 3, 3))
    for b in range(B):
        vectors = [image[b], text[b], sound[b]]
        there = [m for m in range(3) if present[b, m]]
        for m in there:
            scores = {n: dot(vectors[m], vectors[n]) / math.sqrt(D) for n in there}
            powers = {n: math.exp(x - max(scores.values())) for n, x in scores.items()}
            for n, power in powers.items():
                weights[b, m, n] = power / sum(powers.values())
    return weights


def cases(rng):
    def case(B, D, note, present=None, size=1.0):
        inputs = draw(rng, image=(B, D), text=(B, D), sound=(B, D))
        inputs = {name: size * x for name, x in inputs.items()}
        inputs["present"] = np.ones((B, 3), bool) if present is None else np.array(present, bool)
        return Case(inputs, note)

    return [
        case(1, 2, "one item, everything there"),
        case(4, 5, "four items, everything there"),
        case(3, 4, "three items, as many as modalities"),
        case(3, 2, "item 0 has no text, item 2 only a sound", [[1, 0, 1], [1, 1, 1], [0, 0, 1]]),
        case(2, 3, "item 1 has nothing", [[1, 1, 0], [0, 0, 0]]),
        case(4, 5, "some are missing", partial_mask(rng, 4, 3)),
        case(2, 3, "scores in the thousands", [[1, 1, 1], [0, 1, 1]], 60.0),
    ]


def stacked(*vectors):
    return np.stack(vectors, axis=1)


def sketch(
    image,
    text,
    sound,
    present,
    *,
    there=lambda x, present: x,
    stack=stacked,
    score=lambda x: x @ x.swapaxes(-1, -2),
    itself=lambda mask: mask,
    first=lambda present: present,
    scale=lambda x: math.sqrt(x.shape[-1]),
    keys=lambda present: present[:, None],
    queries=lambda present: present[:, :, None],
    weigh=softmax,
    empty=0.0,
    give=lambda weights: weights,
):
    x = there(stack(image, text, sound), present)
    scores, present = score(x) / scale(x), first(present)
    mask = itself(np.broadcast_to(keys(present) & queries(present), scores.shape))
    return give(weights_by(weigh, scores, mask, empty))


def across_the_batch(image, text, sound, present):
    """What an attention layer makes of two axes: every item of the batch is a key."""
    return softmax(image @ text.T / math.sqrt(image.shape[1]))


def everything(present):
    return np.ones((1, 1, 1), bool)


MODALITIES = Exercise(
    name="modalities",
    lesson=LESSON,
    title="Three vectors in an attention layer",
    kind="bug",
    minutes=8,
    difficulty=2,
    points=0,
    reference=by_loops,
    cases=cases,
    outputs={"weights": "B 3 3"},
    properties=[
        properties.finite(),
        properties.not_negative(),
        properties.rows_sum_to_one(zero_rows=True),
        properties.last_item_apart("text", "weights"),
    ],
    sketch=sketch,
    says="""
    items mixed | Your keys are the items of the batch, as the colleague's are. Put the three vectors of *one* item on an axis of their own, (B, 3, D): they are the keys.
    stacked in front | You stacked the modalities in front, (3, B, D). Then positions are items. The batch stays first: `np.stack(…, axis=1)`.
    reshaped to three | Your modalities are not rows of (B, 3, D): vectors put end to end over the *batch* and then reshaped mix items. `np.stack(…, axis=1)`.
    another order | The order is image, text, sound.
    reshaped to (B, D, 3) | You stacked the vectors along the last axis, or put them side by side, and then reshaped: that mixes them. `np.stack(…, axis=1)` is (B, 3, D).
    cosines | You divide by the vectors' lengths. Scores are dot products over √D.
    nobody asks itself | You closed the diagonal. Every modality asks all three, itself included.
    missing ones are zero vectors | You set what is missing to zeros. Its scores are then 0, and e⁰ is 1: it still takes weight, and asks. Close its column and its row.
    the first item's for all | You use the first item's `present` for all items.
    not scaled | Your scores are not divided by √D.
    divided by D | You divide by D. The spread of a sum of D products is √D.
    root of three | You divide by √3, the number of modalities. A score's size comes from its number of terms, D.
    missing ones are looked at | A modality that is missing still gets weight: close its column, `present[:, None]`.
    missing ones look | A modality that is missing still looks at others. Its row is zero: `present[:, :, None]`.
    present ignored | Your answer never uses `present`.
    present inverted | Your mask is the wrong way round: True means that the modality is there.
    missing ones score 0 | A missing modality still has the score 0 in the softmax, and e⁰ is 1: it takes weight. Zeros are not nothing.
    closed after the softmax | You set weights to zero after the softmax only: what missing ones took there is lost.
    softmax down the columns | Your *columns* sum to 1. Each modality that asks, a row, spreads one unit.
    nothing there: NaN | An item without any modality gets 0/0, NaN. Its weights are zeros.
    without the max-shift | Your exponentials overflow where scores are large.
    no softmax | You return scores. Weights are their softmax.
    """,
    choices={
        "stack": {
            "reshaped to three": lambda i, t, s: np.concatenate([i, t, s]).reshape(
                len(i), 3, i.shape[1]
            ),
            "another order": lambda i, t, s: np.stack([t, i, s], axis=1),
            "reshaped to (B, D, 3)": lambda i, t, s: (
                np.concatenate([i, t, s], axis=1).reshape(len(i), -1, 3).swapaxes(1, 2)
            ),
        },
        "there": {"missing ones are zero vectors": lambda x, present: x * present[..., None]},
        "score": {
            "cosines": lambda x: (
                x
                @ x.swapaxes(-1, -2)
                / (n := np.linalg.norm(x, axis=-1, keepdims=True))
                / n.swapaxes(-1, -2)
                * x.shape[-1] ** 0.5
            )
        },
        "itself": {"nobody asks itself": lambda mask: mask & ~np.eye(3, dtype=bool)},
        "first": {"the first item's for all": lambda p: np.broadcast_to(p[:1], p.shape)},
        "scale": {
            "not scaled": lambda x: 1.0,
            "divided by D": lambda x: x.shape[-1],
            "root of three": lambda x: math.sqrt(3),
        },
        "keys": {
            "missing ones are looked at": everything,
            "missing ones are zero vectors": everything,
            "present ignored": everything,
            "present inverted": lambda present: ~present[:, None],
        },
        "queries": {
            "missing ones look": everything,
            "missing ones are zero vectors": everything,
            "present ignored": everything,
            "present inverted": lambda present: ~present[:, :, None],
        },
        "weigh": {
            "missing ones score 0": lambda scores, mask: softmax(np.where(mask, scores, 0)),
            "closed after the softmax": lambda scores, mask: softmax(scores, mask, late=True),
            "softmax down the columns": lambda scores, mask: softmax(scores, mask, axis=1),
            "without the max-shift": lambda scores, mask: softmax(scores, mask, shift=None),
            "no softmax": lambda scores, mask: np.where(mask, scores, 0),
        },
        "empty": {"nothing there: NaN": np.nan},
    },
    wholes={
        "items mixed": across_the_batch,
        "stacked in front": lambda image, text, sound, present: sketch(
            image,
            text,
            sound,
            present,
            stack=lambda *v: np.stack(v),
            keys=everything,
            queries=everything,
        ),
    },
    own=["attnfuse.cross", "attnfuse.layers"],
    reread="section 6",
    hint="`np.stack([image, text, sound], axis=1)` is (B, 3, D); scores are (B, 3, 3). Open are the pairs in which both are present; `attention.softmax(scores, mask)` does the rest.",
)
