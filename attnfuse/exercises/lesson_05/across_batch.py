"""Each item's image asks its own image and text, and no other item's."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, properties
from attnfuse.exercises.common import draw, softmax
from attnfuse.exercises.lesson_05.shared import LESSON, floats


def by_loops(image, text):
    image, text = floats(image, text)
    fused = np.zeros(image.shape)
    for b in range(len(image)):
        offered = [image[b], text[b]]
        powers = [math.exp(float(image[b] @ vector)) for vector in offered]
        for power, vector in zip(powers, offered, strict=True):
            fused[b] += power / sum(powers) * vector
    return fused


def cases(rng):
    def case(B, D, note):
        arrays = draw(rng, np.float32, image=(B, D), text=(B, D))
        return Case({name: x / np.float32(math.sqrt(D)) for name, x in arrays.items()}, note)

    fits = case(3, 4, "three items; the first image's text fits it better than it fits itself")
    fits.inputs["text"][0] = 2 * fits.inputs["image"][0]
    fits.inputs["text"][1] = -fits.inputs["image"][1]
    return [
        case(1, 3, "one item"),
        fits,
        case(2, 2, "B = D = 2, as many as the vectors of an item"),
        case(5, 2, "five items"),
        case(3, 1, "vectors of one number"),
    ]


def both(image, text):
    return np.stack([image, text], axis=1)


def dot(query, keys):
    return np.einsum("btd,bsd->bts", query, keys)


def sketch(
    image,
    text,
    *,
    ask=lambda image, text: image[:, None],
    offer=both,
    score=dot,
    weigh=softmax,
    take=lambda context: context[:, 0],
):
    query, keys = ask(image, text), offer(image, text)
    return take(weigh(score(query, keys)) @ keys)


def for_all(x):
    """The first item's in every item's place."""
    return np.broadcast_to(x[:1], x.shape)


def shared(image, *offered):
    """Every item has all that is offered: (B, B·n, D)."""
    offered = np.concatenate(offered)
    return np.broadcast_to(offered, (len(image), *offered.shape))


def cosine(query, keys):
    lengths = [np.linalg.norm(x, axis=-1) for x in (query, keys)]
    return dot(query, keys) / lengths[0][:, :, None] / lengths[1][:, None]


def columns(image, text):
    """Each of the D numbers a position."""
    return (softmax(image[..., None] * text[:, None]) @ text[..., None])[..., 0]


ACROSS_BATCH = Exercise(
    name="across_batch",
    lesson=LESSON,
    title="Strangers in the batch",
    kind="bug",
    minutes=6,
    difficulty=2,
    points=0,
    reference=by_loops,
    cases=cases,
    outputs={"fused": "B D"},
    properties=[
        properties.finite(),
        properties.stays(
            "an item alone gets the same",
            "The first item was sent alone, and its result changed: the items attend to each other.",
            lambda inputs, rng: {name: x[:1] for name, x in inputs.items()},
            "fused",
            lambda fused: fused[:1],
            1e-4,
        ),
    ],
    sketch=sketch,
    says="""
    all texts | This still attends across the batch: the keys of an item are the texts of *all* items. Give each item an axis of positions of its own: query (B, 1, D), keys (B, 2, D).
    all images | This attends across the batch: the keys of an item are the images of *all* items. Give each item an axis of positions of its own: query (B, 1, D), keys (B, 2, D).
    all of the batch | The keys of an item are the images and texts of *all* items: image and text are joined along the batch axis, or the batch serves as positions. Stack them on a new axis 1: (B, 2, D).
    the first item's vectors | Every image meets the image and text of item 0. Each item has its own two.
    dealt out by reshape | You put the texts behind the images and `reshape` to (B, 2, D): an item then gets the vectors of its neighbours. `ops.stack([image, text], axis=1)` pairs them.
    the text alone | What you mix is the text alone; with one key, a softmax gives it the weight 1, whatever the image asks. Offer both vectors, as keys and as values.
    the image alone | What you mix is the image alone; with one key, a softmax gives it the weight 1. Offer both vectors, as keys and as values.
    the text asks | Your query is the text. The image is to ask.
    the first image asks | The image of item 0 asks for everyone: `image[None]` has the items as positions of one item. Each image is a query of its own: `image[:, None]`, (B, 1, D).
    the mean asks | Your query is the mean of image and text. The image alone is to ask.
    both ask, averaged | You let image and text ask and average the two answers. Only the image is to ask.
    both ask | Your result holds what the text asked as well. Only the image is to ask: one query for each item, (B, 1, D).
    both ask, added up | You let image and text ask and add the two answers. Only the image is to ask.
    scaled | You divide the scores by √D. Here the plain dot product is asked for, as Keras's `Attention` has it.
    divided by the width | You divide the scores by D. Here the plain dot product is asked for, as Keras's `Attention` has it.
    cosine | You score by the cosine. Here the plain dot product is asked for: long vectors count for more.
    weights the wrong way round | Your weights are the wrong way round: what fits the query better gets the smaller one.
    averaged | What you mix is averaged, whatever fits better. The weights are to depend on how well each vector fits the image.
    all weights 1 | What you mix is added up in full, as with weights of 1 (a softmax over an axis of size 1 gives them). Softmax runs over the keys: axis -1 of (B, 1, 2).
    softmax over the batch | Your softmax runs over the batch, axis 0: the items share one unit. It runs over the keys: axis -1.
    no softmax | The scores serve as weights: no softmax makes them positive and sum to 1.
    sigmoid | You weigh each vector by a sigmoid of its score, by itself. The two weights are to sum to 1: softmax.
    the better one alone | Everything goes to the vector that fits better. Attention mixes, by softmax.
    axis of positions kept | Your result still has the axis of the one query, (B, 1, D): take `[:, 0]`.
    every axis of size 1 squeezed | `squeeze` without an axis drops every axis of size 1: with one item, the batch as well. Take `[:, 0]`.
    columns as positions | The D numbers of a vector serve as positions, (B, D, 1). Positions are the vectors: query (B, 1, D), keys (B, 2, D).
    side by side | You put image and text side by side, (B, 2D), so they make one long vector. They are two positions: `ops.stack([image, text], axis=1)`.
    """,
    choices={
        "offer": {
            "all texts": lambda image, text: shared(image, text),
            "all images": lambda image, text: shared(image, image),
            "all of the batch": lambda image, text: shared(image, image, text),
            "the first item's vectors": lambda image, text: for_all(both(image, text)),
            "dealt out by reshape": lambda *x: np.concatenate(x).reshape(both(*x).shape),
            "the text alone": lambda image, text: text[:, None],
            "the image alone": lambda image, text: image[:, None],
        },
        "ask": {
            "the text asks": lambda image, text: text[:, None],
            "the first image asks": lambda image, text: for_all(image)[:, None],
            "the mean asks": lambda image, text: (image + text)[:, None] / 2,
            "both ask, averaged": both,
            "both ask": both,
            "both ask, added up": both,
        },
        "take": {
            "both ask, averaged": lambda context: context.mean(axis=1),
            "both ask": lambda context: context,
            "both ask, added up": lambda context: context.sum(axis=1),
            "axis of positions kept": lambda context: context,
            "every axis of size 1 squeezed": np.squeeze,
        },
        "score": {
            "scaled": lambda query, keys: dot(query, keys) / query.shape[-1] ** 0.5,
            "divided by the width": lambda query, keys: dot(query, keys) / query.shape[-1],
            "cosine": cosine,
        },
        "weigh": {
            "weights the wrong way round": lambda scores: softmax(-scores),
            "averaged": lambda scores: np.full(scores.shape, 1 / scores.shape[-1]),
            "all weights 1": np.ones_like,
            "softmax over the batch": lambda scores: softmax(scores, axis=0),
            "no softmax": lambda scores: scores,
            "sigmoid": lambda scores: 1 / (1 + np.exp(-scores)),
            "the better one alone": lambda scores: np.eye(scores.shape[-1])[scores.argmax(axis=-1)],
        },
    },
    wholes={
        "columns as positions": columns,
        "side by side": lambda image, text: np.concatenate([image, text], axis=1),
    },
    reread="section 8",
    hint="`ops.stack([image, text], axis=1)` gives (B, 2, D), `image[:, None]` (B, 1, D). The layer takes `[query, value]`; of its result (B, 1, D) take `[:, 0]`.",
    rtol=1e-4,
    atol=1e-5,
)
