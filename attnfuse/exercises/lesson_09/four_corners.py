"""The four-corner difference: does the image's effect depend on the text?"""

import numpy as np

from attnfuse.checking import Case, Exercise
from attnfuse.driving import Handle, lesson_09
from attnfuse.exercises.common import draw, softmax


def by_loops(model, image, other_image, text, other_text):
    """The definition, corner by corner."""
    total = 0.0
    for i, x in enumerate((image, other_image)):
        for j, y in enumerate((text, other_text)):
            total = total + (-1) ** (i + j) * np.asarray(model(x, y), dtype=float)
    return total


def cases(rng):
    def case(B, D, E, name, model):
        inputs = draw(rng, image=(B, D), other_image=(B, D), text=(B, E), other_text=(B, E))
        return Case({"model": Handle(name, model), **inputs}, name)

    def relu(D, E, C):
        first, last = draw(rng, first=(D + E, 6), last=(6, C)).values()
        return lambda image, text: np.maximum(np.concatenate([image, text], 1) @ first, 0) @ last

    to_image, to_text, tensor = draw(rng, i=(2, 2), t=(3, 2), both=(2, 3, 4)).values()

    def additive(image, text):
        return np.maximum(image, 0) @ to_image + np.tanh(text) @ to_text

    def product(image, text):
        return np.einsum("bd,be,dec->bc", image, text, tensor)

    return [
        case(1, 2, 3, "an additive model, f(image) + g(text)", additive),
        case(2, 3, 3, "a hidden ReLU layer, both widths equal", relu(3, 3, 4)),
        case(3, 2, 3, "a product of image and text", product),
        case(4, 3, 2, "a hidden ReLU layer", relu(3, 2, 5)),
    ]


def sketch(
    model,
    image,
    other_image,
    text,
    other_text,
    *,
    call=lambda model, image, text: model(image, text),
    on=lambda logits: logits,
    signs=(1, -1, -1, 1),
    effect=lambda x: x,
    compare=np.subtract,
    scale=1,
    size=lambda x: x,
    over=lambda x: x,
):
    corners = [(image, text), (other_image, text), (image, other_text), (other_image, other_text)]
    a, b, c, d = (s * on(call(model, *at)) for s, at in zip(signs, corners, strict=True))
    return over(size(compare(effect(a + b), effect(-c - d)) / scale))


FOUR_CORNERS = Exercise(
    name="four_corners",
    lesson="09_fusion",
    title="Four corners",
    kind="explain",
    minutes=6,
    difficulty=2,
    points=0,
    reference=by_loops,
    cases=cases,
    run=lesson_09.corners,
    outputs={"difference": "B C"},
    sketch=sketch,
    says="""
    both changed at once | You compare (image, text) with (other image, other text). That says that the inputs matter, not that they interact: f(image) + g(text) changes too. All four corners are needed.
    one text only | The other text takes no part. What is left is the image's effect beside *one* text; interaction is how this effect differs beside another text.
    one image only | The other image takes no part. What is left is the text's effect beside *one* image; interaction is how this effect differs beside another image.
    sign of the last corner | The last corner counts with a plus: taking off the image's effect and the text's effect takes off l(a, b) twice and l(a′, b′) never.
    the image's effects added | You add the image's effects beside both texts. How far the effect *differs* from text to text is asked for: take one from the other.
    the text's effects added | You add the text's effects beside both images. How far the effect *differs* from image to image is asked for: take one from the other.
    the fourth corner forgotten | One corner is missing: l(a′, b′), with a plus.
    the first corner twice | l(a, b) counts twice, and l(a′, b′) not at all.
    everything added | You add all four corners. Those with one change, l(a′, b) and l(a, b′), count with a minus.
    all signs turned | All signs are turned: l(a, b) and l(a′, b′) count with a plus, the other two with a minus.
    probabilities | You use probabilities. Softmax divides by a sum over both effects, so even additive logits seem to interact. Compare logits.
    logarithms of probabilities | You use logarithms of probabilities. They hold the logarithm of a sum over both effects, so even additive logits seem to interact. Compare logits.
    text before image | You call `model(text, image)`. It takes the image first.
    absolute values of the parts | You drop the signs of the effects. Parts without their sign do not cancel where the whole does.
    squares of the parts | You square the effects. Compare them as they are.
    a ratio | You divide one effect by the other. The additive model must give 0, not 1: take the difference.
    the size of the difference | You return the size only. Keep the sign.
    squared | You square the difference. Asked for is the difference itself.
    the mean of four | You divide by 4. The difference is no mean.
    added up over the classes | You add up over the classes. Each class keeps its own difference: (B, C).
    the mean over the batch | You take the mean over the batch. Each item keeps its own difference: (B, C).
    arguments in another order | Your second and third input are exchanged: they come as `image, other_image, text, other_text`.
    """,
    choices={
        "signs": {
            "both changed at once": (1, 0, 0, -1),
            "one text only": (1, -1, 0, 0),
            "one image only": (1, 0, -1, 0),
            "sign of the last corner": (1, -1, -1, -1),
            "the image's effects added": (1, -1, 1, -1),
            "the text's effects added": (1, 1, -1, -1),
            "the fourth corner forgotten": (1, -1, -1, 0),
            "the first corner twice": (2, -1, -1, 0),
            "everything added": (1, 1, 1, 1),
            "all signs turned": (-1, 1, 1, -1),
        },
        "on": {
            "probabilities": softmax,
            "logarithms of probabilities": lambda logits: np.log(softmax(logits)),
        },
        "call": {"text before image": lambda model, image, text: model(text, image)},
        "effect": {"absolute values of the parts": np.abs, "squares of the parts": np.square},
        "compare": {"a ratio": np.divide},
        "scale": {"the mean of four": 4},
        "size": {"the size of the difference": np.abs, "squared": np.square},
        "over": {
            "added up over the classes": lambda x: x.sum(axis=-1),
            "the mean over the batch": lambda x: x.mean(axis=0),
        },
    },
    wholes={
        "arguments in another order": lambda model, image, other_image, text, other_text: sketch(
            model, image, text, other_image, other_text
        ),
    },
    own=["attnfuse.fusion.four_corners"],
    reread="section 4",
    hint="The image's effect beside one text is l(a, b) − l(a′, b). What is it beside the other text?",
)
