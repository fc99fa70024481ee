"""Find the bug: the loss falls, the gradient is wrong."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, properties
from attnfuse.exercises.common import draw, partial_mask, softmax, weights_by
from attnfuse.exercises.lesson_03.attend_backward import by_loops as attend_backward_by_loops
from attnfuse.exercises.lesson_03.softmax_gradient import through_softmax


def by_loops(pictures, memory, W, value, d_context, mask=None):
    """Each number of W, through each query and each key that uses it."""
    query, key = pictures @ W, memory @ W
    (T, D), S, H = pictures.shape, len(memory), W.shape[1]
    mask = None if mask is None else np.broadcast_to(mask, (T, S))[None]
    d_query, d_key, _ = attend_backward_by_loops(
        query[None], key[None], value[None], d_context[None], mask
    )
    d_W = np.zeros((D, H))
    for d in range(D):
        for h in range(H):
            for t in range(T):
                d_W[d, h] += float(pictures[t, d]) * d_query[0, t, h]
            for s in range(S):
                d_W[d, h] += float(memory[s, d]) * d_key[0, s, h]
    return d_W


def cases(rng):
    def case(T, S, D, H, V, note, mask=None, same=False):
        inputs = draw(rng, pictures=(T, D), memory=(S, D), W=(D, H), value=(S, V), d_context=(T, V))
        if same:
            inputs["memory"] = inputs["pictures"].copy()
        return Case({**inputs, "mask": mask}, note)

    nobody = partial_mask(rng, 3, 5)
    nobody[1] = False
    without = case(2, 3, 5, 4, 1, "called without `mask`")
    del without.inputs["mask"]
    itself = "pictures look at each other, not at themselves"
    return [
        case(1, 2, 3, 1, 4, "one query, width 1"),
        case(2, 3, 4, 5, 1, "no mask"),
        without,
        case(3, 5, 4, 2, 6, "a mask", mask=partial_mask(rng, 3, 5)),
        case(4, 4, 3, 2, 5, itself, ~np.eye(4, dtype=bool), True),
        case(3, 5, 2, 4, 6, "query 1 may see no key", mask=nobody),
    ]


def root(pictures, memory, W):
    return math.sqrt(W.shape[1])


def sketch(
    pictures,
    memory,
    W,
    value,
    d_context,
    mask=None,
    *,
    forwards=root,
    backwards=root,
    part_roots=(1, 1),
    allow=lambda mask: mask,
    weigh=softmax,
    empty=0.0,
    through=through_softmax,
    turn=lambda d_scores: d_scores.T,
    to_key=lambda memory, pictures: memory,
    join=np.add,
    sign=1,
):
    query, key = pictures @ W, memory @ W
    scores = query @ key.T / forwards(pictures, memory, W)
    mask = (
        np.ones_like(scores, bool) if mask is None else allow(np.broadcast_to(mask, scores.shape))
    )
    weights = weights_by(weigh, scores, mask, empty)
    d_scores = through(weights, d_context @ value.T)
    by = backwards(pictures, memory, W)
    parts = pictures.T @ (d_scores @ key), to_key(memory, pictures).T @ (turn(d_scores) @ query)
    return sign * join(*(x / by**times for x, times in zip(parts, part_roots, strict=True)))


def number_one(pictures, memory, W):
    return 1.0


ONE_MATRIX = Exercise(
    name="one_matrix",
    lesson="03_attention_gradients",
    title="The loss falls, the gradient is wrong",
    kind="bug",
    minutes=10,
    difficulty=2,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"d_W": "D H"},
    properties=[properties.finite()],
    sketch=sketch,
    says="""
    key's part only | W is used twice, for the queries and for the keys. The key's part counts alone, as in the colleague's second `slope = …`, which throws the first away.
    query's part only | The query's part counts alone; the key's was thrown away. W is used twice; both uses count.
    averaged | You average the two parts. A number that is used twice moves the loss twice: add them.
    subtracted | You take one part off the other. A number that is used twice moves the loss twice: add them.
    √H still missing | A step of the forward pass has no counterpart: it divides the scores by √H, the backward pass does not.
    √H missing forwards | Your scores are not divided by √H: that step of the forward pass is gone.
    no √H anywhere | Your scores are not divided by √H, forwards or backwards.
    query's part divided only | The query's part is divided by √H, the key's part is not. Both come from `d_scores`: divide that.
    key's part divided only | The key's part is divided by √H, the query's part is not. Both come from `d_scores`: divide that.
    root of D | You divide by √D, the number of pixels. H is the width of a projected query: `W.shape[1]`.
    root of D backwards | Backwards you divide by √D, the number of pixels. H is the width of a projected query: `W.shape[1]`.
    root of T backwards | Backwards you divide by √T, the number of pictures. H is the width of a projected query: `W.shape[1]`.
    divided by H | You divide by H; the forward pass divides by its square root, once.
    multiplied by √H | You multiply by √H. Where the forward pass divides by a number, so does the backward pass.
    key product not transposed | The slope of the keys has a row for each key: `d_scores.T @ query`, as it was.
    pictures for keys | The slope of the keys' use meets `memory`, what the keys were made of, not `pictures`.
    mask lost | Your weights do not use the mask any more.
    mask inverted | Your mask works the wrong way round: True means *may attend*.
    mask after the softmax | You set weights to zero after the softmax: the others keep too little. Mask before it.
    a row without keys is uniform | A picture that may see no key spreads its slope over all of them. It must add nothing.
    a row without keys is not masked | Taking the same large number off *every* score of a row changes nothing: a picture that may see no key gets weights as if there were no mask. It must add nothing.
    a row without keys is NaN | A picture that may see no key gives NaN: 0/0, or −∞ − (−∞). `attention.softmax` with its mask gives zeros there.
    diagonal only | You go through the softmax with w(1 - w). That step was right before: `gradients.softmax_gradient`.
    softmax left out | You hand `d_weights` on as `d_scores`. That step was right before: `gradients.softmax_gradient`.
    sign turned round | The sign is turned round: asked is the slope, not a step downhill.
    """,
    choices={
        "join": {
            "key's part only": lambda a, b: b,
            "query's part only": lambda a, b: a,
            "averaged": lambda a, b: (a + b) / 2,
            "subtracted": np.subtract,
        },
        "backwards": {
            "√H still missing": number_one,
            "no √H anywhere": number_one,
            "root of D": lambda pictures, memory, W: math.sqrt(len(W)),
            "root of D backwards": lambda pictures, memory, W: math.sqrt(len(W)),
            "root of T backwards": lambda pictures, memory, W: math.sqrt(len(pictures)),
        },
        "forwards": {
            "√H missing forwards": number_one,
            "no √H anywhere": number_one,
            "root of D": lambda pictures, memory, W: math.sqrt(len(W)),
        },
        "part_roots": {
            "query's part divided only": (1, 0),
            "key's part divided only": (0, 1),
            "divided by H": (2, 2),
            "multiplied by √H": (-1, -1),
        },
        "turn": {"key product not transposed": lambda d_scores: d_scores},
        "to_key": {"pictures for keys": lambda memory, pictures: pictures},
        "allow": {"mask lost": np.ones_like, "mask inverted": np.logical_not},
        "weigh": {"mask after the softmax": lambda scores, mask: softmax(scores, mask, late=True)},
        "empty": {
            "a row without keys is uniform": None,
            "a row without keys is not masked": softmax,
            "a row without keys is NaN": np.nan,
        },
        "through": {
            "diagonal only": lambda w, d: w * (1 - w) * d,
            "softmax left out": lambda weights, d_weights: d_weights,
        },
        "sign": {"sign turned round": -1},
    },
    reread="sections 3 and 7",
    hint="Walk through the forward pass line by line and ask for each: where is it in the backward pass? Then count how often W is used.",
)
