"""Cut the matrix in two: what each modality adds to the logits."""

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property, properties
from attnfuse.exercises.common import dot, draw, softmax


def by_loops(image, text, matrix):
    """The definition: add up each modality's products on its own."""
    D, columns = image.shape[1], range(matrix.shape[1])
    from_image = [[dot(x, matrix[:D, c]) for c in columns] for x in image]
    return np.array(from_image), np.array([[dot(y, matrix[D:, c]) for c in columns] for y in text])


def cases(rng):
    def case(B, D, E, C, note):
        return Case(draw(rng, image=(B, D), text=(B, E), matrix=(D + E, C)), note)

    return [
        case(1, 2, 2, 3, "both modalities have the same width"),
        case(2, 3, 3, 4, "the same width, two items"),
        case(3, 4, 1, 3, "the image is wider"),
        case(3, 2, 5, 4, "the text is wider"),
        case(4, 1, 2, 1, "one class"),
    ]


def hears_one(output, other):
    """A modality's part stays where the other modality is changed."""
    text = f"Adding 10,000 to `{other}` changed `{output}`."

    def change(inputs, rng):
        return {**inputs, other: inputs[other] + 1e4}

    return properties.stays(f"{output} without the {other}", text, change, output)


def parts_add_up(attempt, case, rng):
    image, text, matrix = case.inputs.values()
    logits = np.concatenate([image, text], axis=1) @ matrix
    got = attempt.result["from_image"] + attempt.result["from_text"]
    if not np.allclose(got, logits):
        raise Mismatch("from_image + from_text must equal concatenation @ matrix.", logits, got)


def pieces(both, matrix, D):
    return both[:, :D] @ matrix[:D], both[:, D:] @ matrix[D:]


def sketch(
    image,
    text,
    matrix,
    *,
    joined=(0, 1),
    cut=lambda first, D, E, B: first,
    alone=pieces,
    item=lambda x: x,
    bend=lambda x, width: x,
    order=(0, 1),
):
    given = [item(image), item(text)]
    widths = image.shape[1], text.shape[1]
    both = np.concatenate([given[i] for i in joined], axis=1)
    found = alone(both, matrix, cut(widths[joined[0]], *widths, len(image)))
    parts = [bend(found[i], widths[i]) for i in joined]
    return parts[order[0]], parts[order[1]]


def fails(*_):
    raise ValueError


def beside_ones(both, matrix, D):
    (image, text), (top, bottom) = pieces(both, matrix, D), pieces(np.ones_like(both), matrix, D)
    return image + bottom, text + top


SPLIT_CONCATENATION = Exercise(
    name="split_concatenation",
    lesson="09_fusion",
    title="Cut the matrix in two",
    kind="write",
    minutes=6,
    difficulty=1,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"from_image": "B C", "from_text": "B C"},
    properties=[
        hears_one("from_image", other="text"),
        hears_one("from_text", other="image"),
        Property("the two add up", parts_add_up),
        properties.last_item_apart("image", "from_image"),
        properties.last_item_apart("text", "from_text"),
    ],
    sketch=sketch,
    says="""
    a piece that does not fit | An error is all that comes back. Rows of the matrix belong to features, columns to classes: cut the *rows*, after `image.shape[1]` of them.
    fits where the widths are equal | It works only where both widths are equal. The cut belongs where the image features end: after `image.shape[1]` rows.
    cut in the middle | You cut in the middle. The cut belongs where the image features end: after `image.shape[1]` rows.
    cut after the text's width | You cut after as many rows as the *text* has features. The rows of the image come first, `image.shape[1]` of them.
    cut after the batch | You cut after as many rows as there are *items*. How many rows the image has is `image.shape[1]`; `len(image)` is the batch.
    cut a row early | The cut is one row too early: `[:D]` takes the first D rows.
    cut a row late | The cut is one row too late: after D rows, counted from 0, comes row D.
    text first | The first rows of the matrix meet the text. The concatenation is [image, text]: the image's rows come first.
    everything from the image | One of your parts is the whole concatenation, the other zero. The whole still moves when either modality moves: cut the matrix.
    the whole, and the text again | One of your parts is the whole concatenation. It may hold its own modality's products only.
    the text at the first rows | The text's features meet the first rows of the matrix, which are the image's. Theirs come after these, from row `image.shape[1]` on.
    half each | Each of your parts is half of the logits. They add up, but each depends on both modalities.
    the whole twice | Each of your parts is all of the logits. Each may hold its own modality's products only.
    ones for the other | In each part the other modality counts as if its features were 1: its rows are still added. With 0 in their place, or with a cut, they are not.
    cut the columns | You cut the columns of the matrix. A column belongs to a class, a *row* to an input feature: cut the rows.
    not added up | The products are there, feature by feature. A logit is their *sum* over the features: a matrix product.
    the first item for all | Every item gets the logits of the first one. Each has its own features.
    divided by the width | You divide by the number of features. A dense layer adds its products up; it takes no mean.
    a ReLU | Negative values have become 0. A logit may be negative, and the parts must add up to the logits.
    a softmax | You return probabilities. Only logits add up.
    added up over the classes | You add up over the classes, too. Each class keeps its own logit: (B, C).
    the mean over the batch | You take the mean over the batch. Each item keeps its own logits: (B, C).
    turned round | Your parts are turned round, (C, B). Items come first: (B, C).
    the parts swapped | The image's part comes first: (from_image, from_text).
    """,
    choices={
        "alone": {
            "a piece that does not fit": fails,
            "everything from the image": lambda both, W, D: (both @ W, 0 * both @ W),
            "the whole, and the text again": lambda both, W, D: (both @ W, both[:, D:] @ W[D:]),
            "the text at the first rows": lambda both, W, D: (
                both[:, :D] @ W[:D],
                both[:, D:] @ W[: both.shape[1] - D],
            ),
            "half each": lambda both, W, D: (both @ W / 2, both @ W / 2),
            "the whole twice": lambda both, W, D: (both @ W, both @ W),
            "ones for the other": beside_ones,
            "cut the columns": lambda both, W, D: [
                both @ half for half in np.array_split(W, 2, axis=1)
            ],
            "not added up": lambda both, W, D: np.split(both[:, :, None] * W, [D], axis=1),
        },
        "cut": {
            "fits where the widths are equal": lambda first, D, E, B: first if D == E else fails(),
            "cut in the middle": lambda first, D, E, B: (D + E) // 2,
            "cut after the text's width": lambda first, D, E, B: E,
            "cut after the batch": lambda first, D, E, B: B,
            "cut a row early": lambda first, D, E, B: first - 1,
            "cut a row late": lambda first, D, E, B: first + 1,
        },
        "joined": {"text first": (1, 0)},
        "item": {"the first item for all": lambda x: np.broadcast_to(x[:1], x.shape)},
        "bend": {
            "divided by the width": lambda x, width: x / width,
            "a ReLU": lambda x, width: np.maximum(x, 0),
            "a softmax": lambda x, width: softmax(x),
            "added up over the classes": lambda x, width: x.sum(axis=-1),
            "the mean over the batch": lambda x, width: x.mean(axis=0),
            "turned round": lambda x, width: x.T,
        },
        "order": {"the parts swapped": (1, 0)},
    },
    own=["attnfuse.fusion.split_concatenation"],
    reread="section 4",
    hint="Row d of the matrix multiplies feature d of the concatenation. Which rows meet the image features?",
)
