"""Low-rank bilinear fusion as a Keras layer."""

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property
from attnfuse.driving import Raised, lesson_09
from attnfuse.exercises.common import dot, draw


def by_loops(image, text, image_factors, text_factors):
    """The definition: sum over r of (image with a 1) · U_r times (text with a 1) · V_r."""
    R, _, F = image_factors.shape
    fused = np.zeros((len(image), F))
    for b, f, r in np.ndindex(len(image), F, R):
        from_image = dot([*image[b], 1.0], image_factors[r, :, f])
        fused[b, f] += from_image * dot([*text[b], 1.0], text_factors[r, :, f])
    return fused, np.ones(2)


def cases(rng):
    def case(B, D, E, R, F, note, image=1, text=1):
        factors = {"image_factors": (R, D + 1, F), "text_factors": (R, E + 1, F)}
        inputs = draw(rng, np.float32, image=(B, D), text=(B, E), **factors)
        inputs |= {"image": inputs["image"] * image, "text": inputs["text"] * text}
        return Case(inputs, note)

    return [
        case(1, 2, 3, 1, 2, "rank 1"),
        case(2, 3, 3, 2, 4, "rank 2, both widths equal"),
        case(3, 4, 2, 6, 5, "rank 6"),
        case(2, 3, 4, 3, 5, "a text of zeros: the image must still count", text=0),
        case(2, 4, 3, 2, 5, "an image of zeros: the text must still count", image=0),
    ]


def weights_learn(attempt, case, rng):
    if not attempt.result["learns"].all():
        raise Mismatch("A weight would never be trained: no gradient reaches it.")


def appended(x, factors):
    return without(x, factors) + factors[:, -1]


def in_front(x, factors):
    return np.einsum("bd,rdf->brf", x, factors[:, 1:]) + factors[:, 0]


def without(x, factors):
    return np.einsum("bd,rdf->brf", x, factors[:, :-1])


def does_not_fit(*_):
    raise Raised("InvalidArgumentError")


def sketch(
    image,
    text,
    image_factors,
    text_factors,
    *,
    with_one=(appended, appended),
    factors=lambda U, V: (U, V),
    bend=lambda u: u,
    join=lambda u, v: u * v,
    over=lambda p: p.sum(axis=1),
    give=lambda fused: fused,
    learns=(1, 1),
):
    U, V = factors(image_factors, text_factors)
    if U.shape[1] != image.shape[1] + 1 or V.shape[1] != text.shape[1] + 1:
        does_not_fit()
    u, v = bend(with_one[0](image, U)), bend(with_one[1](text, V))
    return give(over(join(u, v))), np.array(learns)


LOW_RANK_FUSION = Exercise(
    name="low_rank_fusion",
    lesson="09_fusion",
    title="Low-rank bilinear fusion",
    kind="write",
    minutes=12,
    difficulty=3,
    points=2,
    reference=by_loops,
    cases=cases,
    run=lesson_09.low_rank,
    outputs={"fused": "B F", "learns": "2"},
    properties=[Property("weights learn", weights_learn)],
    sketch=sketch,
    says="""
    does not fit | TensorFlow refuses. The factors have one row more than their modality has features: that row meets the 1, which is appended to *each* modality, (B, D + 1) and (B, E + 1).
    no appended 1 | Nothing of the last row of the factors reaches the result. Append a 1 (not a 0) to both before projecting: in a product with a text of zeros the image is lost without it.
    the 1 comes first | You put the 1 in front. Here it is appended: the *last* row of the factors belongs to it.
    a 1 for the image only | The text has no 1: the last row of its factors does not count. In a product with a text of zeros the image is lost.
    a 1 for the text only | The image has no 1: the last row of its factors does not count. In a product with an image of zeros the text is lost.
    the other's factors | The image is projected by the text's factors, and the text by the image's. `image_factors` belong to the image.
    the image's factors twice | Both are projected by the image's factors. The text has its own, `text_factors`.
    a tanh on the projections | You put a tanh on the projections. They are multiplied as they are.
    a ReLU on the projections | You put a ReLU on the projections. They are multiplied as they are.
    added instead of multiplied | You add the two projections. That is sum fusion, in which nothing interacts: multiply them.
    the projections added once more | Beside the product of the projections you add the projections themselves. The appended 1 sees to that: it makes the last row of the factors count.
    summed before the product | You combine the ranks first and multiply then. That is rank 1 again. Multiply within each rank, then sum over the ranks.
    the ranks are not summed | The ranks are still apart, (B, R, F). Sum over them: (B, F).
    the mean over the ranks | You take the mean over the ranks; the definition sums them.
    divided by the root of the rank | You divide by the square root of the rank; the definition only sums.
    the product over the ranks | You multiply over the ranks. Within a rank image and text are multiplied; the ranks are summed.
    the largest rank | You take the largest over the ranks; the definition sums them.
    the first rank only | The first rank alone reaches the result. Sum over all of them.
    the last rank only | The last rank alone reaches the result. Sum over all of them: in a loop, add up before the `return`.
    summed over the features | You sum over the last axis, the features F. Sum over the ranks R: axis 1 of (B, R, F).
    summed over the batch | Items are added up, and the ranks are still apart, (R, F). Sum over the ranks: (B, F).
    a ReLU at the end | Negative results have become 0. The sum of products is returned as it is; a head may bend it later.
    a tanh at the end | You put a tanh on the result. The sum of products is returned as it is.
    NumPy in the layer | No gradient reaches the factors, so they would never be trained: NumPy leaves no trace of what it computes. Use `ops`.
    """,
    choices={
        "with_one": {
            "does not fit": (does_not_fit, does_not_fit),
            "no appended 1": (without, without),
            "the 1 comes first": (in_front, in_front),
            "a 1 for the image only": (appended, without),
            "a 1 for the text only": (without, appended),
        },
        "factors": {
            "the other's factors": lambda U, V: (V, U),
            "the image's factors twice": lambda U, V: (U, U),
        },
        "learns": {"the image's factors twice": (1, 0), "NumPy in the layer": (0, 0)},
        "bend": {
            "a tanh on the projections": np.tanh,
            "a ReLU on the projections": lambda u: np.maximum(u, 0),
        },
        "join": {
            "added instead of multiplied": np.add,
            "the projections added once more": lambda u, v: u * v + u + v,
            "summed before the product": lambda u, v: (
                u.sum(1, keepdims=True) * v.sum(1, keepdims=True)
            ),
        },
        "over": {
            "the ranks are not summed": lambda p: p,
            "the mean over the ranks": lambda p: p.mean(axis=1),
            "divided by the root of the rank": lambda p: p.sum(axis=1) / p.shape[1] ** 0.5,
            "the product over the ranks": lambda p: p.prod(axis=1),
            "the largest rank": lambda p: p.max(axis=1),
            "the first rank only": lambda p: p[:, 0],
            "the last rank only": lambda p: p[:, -1],
            "summed over the batch": lambda p: p.sum(axis=0),
            "summed over the features": lambda p: p.sum(axis=-1),
        },
        "give": {
            "a ReLU at the end": lambda fused: np.maximum(fused, 0),
            "a tanh at the end": np.tanh,
        },
    },
    own=["attnfuse.fusion.LowRankBilinear"],
    reread="section 6",
    hint="Three steps: ops.concatenate the features with a column of ones; project both with "
    'ops.einsum("bd,rdf->brf", …); multiply and sum over axis 1.',
    rtol=1e-4,
    atol=1e-4,
)
