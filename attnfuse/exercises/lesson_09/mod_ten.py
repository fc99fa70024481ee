"""Predict which shares of the synergistic label models get right."""

import numpy as np

from attnfuse.checking import Exercise, properties


def shares():
    """Trained share, hand-set share, share of sum + ReLU: all computed on the table of 100 pairs."""
    a, b = np.divmod(np.arange(100), 10)
    label = (a + b) % 10
    # training: at equal probabilities the gradient of every weight of a one-hot digit is zero
    error = 0.1 - np.eye(10)[label]  # (100, 10): probability minus one-hot label
    gradient = np.concatenate([np.eye(10)[a], np.eye(10)[b]], axis=1).T @ error
    assert np.allclose(gradient, 0)  # convex: this is the minimum, and it says 1/10 for every class
    y = np.arange(10)
    by_hand = np.mean(np.argmax(2 * y * (a + b)[:, None] - y**2, axis=1) == label)
    # ReLU units of the sum: a tent at y and one at y + 10
    bend = np.maximum((a + b)[:, None] - np.arange(-1, 20), 0.0)  # (100, 21)
    tent = bend[:, :-2] - 2 * bend[:, 1:-1] + bend[:, 2:]  # (100, 19): 1 where the sum is 0 … 18
    logits = tent[:, :10] + np.pad(tent[:, 10:], ((0, 0), (0, 1)))
    return 0.1, float(by_hand), float(np.mean(np.argmax(logits, axis=1) == label))


def sketch(*, trained=0.1, by_hand=0.55, relu=1.0, unit=1):
    return np.array([trained, by_hand, relu]) * unit


MOD_TEN = Exercise(
    name="mod_ten",
    lesson="09_fusion",
    title="(a + b) mod 10",
    kind="predict",
    minutes=6,
    difficulty=2,
    points=2,
    reference=shares,
    outputs={"shares": "3"},
    properties=[properties.each_number("shares")],
    value=True,
    rtol=1e-3,
    sketch=sketch,
    says="""
    training finds what exists | Number 1: logits that are right more often than chance do exist, and training walks away from them: on the other pairs they are confidently wrong, and the loss counts that. What has the lowest loss on balanced data?
    networks can do anything | Number 1: no layer of this model sees both digits before the logits are added. What one digit contributes is the same whatever the other is, so it cannot be right on all pairs.
    chance means inexpressible | Number 2: nobody trained these logits, so do not conclude from training; try one. For a = 2, b = 3 they are 2y·5 − y², largest at y = 5, which is right. For how many pairs does that work?
    the hand-set logits are always right | Number 2: 2y(a + b) − y² is largest at the y nearest to a + b. There is no y above 9: what happens when a + b is 12?
    a sum forgets | Number 3: the sum a + b decides the label, and a dense layer with a hidden ReLU layer before it is no longer additive. It can draw any bent line over the sum: up at y, down again, and up at y + 10.
    the sum plus ReLU stops at 9 | Number 3: nine is where y ends, not where ReLU units end. Units that bend at 10, 11, … lift y − 10 again.
    in percent | Answer with shares between 0 and 1, not in percent.
    """,
    choices={
        "trained": {"training finds what exists": 0.55, "networks can do anything": 1.0},
        "by_hand": {"chance means inexpressible": 0.1, "the hand-set logits are always right": 1.0},
        "relu": {"a sum forgets": 0.1, "the sum plus ReLU stops at 9": 0.55},
        "unit": {"in percent": 100},
    },
    reread="section 5",
    hint="Count: for how many of the 100 pairs is a + b at most 9? And what does a model lose that bets on those pairs?",
)
