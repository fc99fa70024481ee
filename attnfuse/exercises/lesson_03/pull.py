"""Predict which score moves the context where."""

import numpy as np

from attnfuse.checking import Exercise, properties
from attnfuse.exercises.common import softmax

SCORES, VALUES = np.log([2.0, 1.0, 1.0]), np.array([10.0, 20.0, 40.0])


def pulls():
    """Slope of the context for each score, by central differences."""
    slopes = []
    for s in range(3):
        nudge = 1e-5 * np.eye(3)[s]
        ahead, behind = (softmax(SCORES + sign * nudge) @ VALUES for sign in (1, -1))
        slopes.append((ahead - behind) / 2e-5)
    return tuple(slopes)


def sketch(
    *, weight=(0.5, 0.25, 0.25), rule=lambda w, v: w * (v - (w * v).sum()), sign=1, mean=None
):
    w, v = np.array(weight), VALUES
    return sign * (w * (v - mean) if mean is not None else rule(w, v))


PULL = Exercise(
    name="pull",
    lesson="03_attention_gradients",
    title="Which score moves the context where?",
    kind="predict",
    minutes=6,
    difficulty=1,
    points=2,
    reference=pulls,
    value=True,
    outputs={"slope": "three"},
    properties=[properties.each_number("slope")],
    sketch=sketch,
    says="""
    weight times value | You multiplied weight and value, as if only the key's own weight moved, and as fast as the weight itself. The other two weights shrink meanwhile: count what they take away.
    diagonal only | Your slopes are w(1 - w) × value: that is what the key's own weight brings. But the other two weights shrink, at -w·w' each, and take their values with them.
    diagonal of the distances | Your slopes are w(1 - w) × (value - context): one factor too many. Either all the weights' slopes times the values, or weight × (value - context).
    others only | You counted what the other keys lose and left out what the key itself gains: w(1 - w) × its value.
    weight forgotten | You have how far each value lies from the context: half of the truth. A score moves the context in proportion to its key's weight.
    slopes of the weights | Those are slopes of *weights*, one row of the table. The context is their sum with the values: multiply by 10, 20 and 40 and add up.
    values | Those are the values: slopes for the *weights*. A score moves all three weights; go through the table of slopes first.
    weights | Those are the weights. How much does the *context* change when a score grows?
    other direction | Your signs are turned round. More weight for the value 10 pulls a context of 20 *down*; more for 40 pulls it up.
    always upwards | A higher score of key 1 gives more weight to the value 10, below the context of 20. Which way does the context go?
    plain mean | You measured from the plain mean of the values, 23.3. The context is their mean *under the weights*: 20.
    a quarter for all | You used the weight 1/4 for key 1; its weight is 1/2.
    a half for all | You used the weight 1/2 for all keys; keys 2 and 3 have 1/4.
    """,
    choices={
        "rule": {
            "weight times value": lambda w, v: w * v,
            "diagonal only": lambda w, v: w * (1 - w) * v,
            "diagonal of the distances": lambda w, v: w * (1 - w) * (v - 20),
            "others only": lambda w, v: -w * ((w * v).sum() - w * v),
            "weight forgotten": lambda w, v: v - 20,
            "slopes of the weights": lambda w, v: w[0] * (np.eye(3)[0] - w),
            "values": lambda w, v: v,
            "weights": lambda w, v: w,
            "always upwards": lambda w, v: np.abs(w * (v - 20)),
        },
        "sign": {"other direction": -1},
        "mean": {"plain mean": 70 / 3, "a quarter for all": 20, "a half for all": 20},
        "weight": {"a quarter for all": (0.25, 0.25, 0.25), "a half for all": (0.5, 0.5, 0.5)},
    },
    cancel=[],
    reread="section 2",
    hint="Take one row of the table of slopes: key 1's score changes the three weights by 1/4, -1/8 and -1/8. Multiply by the three values and add. Then the other two rows.",
    rtol=1e-2,
    atol=1e-2,
)
