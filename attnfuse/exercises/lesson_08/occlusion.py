"""Cover a patch and see what the favourite class loses."""

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property, properties
from attnfuse.driving import Handle
from attnfuse.exercises.common import softmax


def by_loops(predict, image, patch):
    before = np.asarray(predict(image[None]))[0]
    favourite = max(range(len(before)), key=lambda k: before[k])
    rows, columns = image.shape[0] // patch, image.shape[1] // patch
    drops = np.zeros((rows, columns))
    for i in range(rows):
        for j in range(columns):
            covered = image.copy()
            covered[i * patch : (i + 1) * patch, j * patch : (j + 1) * patch] = 0
            drops[i, j] = before[favourite] - np.asarray(predict(covered[None]))[0, favourite]
    return drops


def model(name, matrix):
    """Pictures `(B, height, width)` → probabilities, by one dense layer."""

    def predict(images):
        if np.ndim(images) != 3:
            raise ValueError(f"images must be (B, height, width), got {np.shape(images)}")
        return softmax(np.reshape(images, (len(images), -1)) @ matrix)

    return Handle(name, predict)


def cases(rng):
    def case(h, w, patch, classes, note):
        while (
            True
        ):  # until the favourite is a middle class, some covers change it, and one helps it
            image = rng.uniform(0.2, 1, (h * patch, w * patch))
            matrix = rng.standard_normal((image.size, classes)) * 2 / image.size**0.5
            inputs = {"predict": model("a small random model", matrix)}
            inputs |= {"image": image, "patch": patch}
            drops, favourite = by_loops(**inputs), inputs["predict"](image[None])[0].argmax()
            others = sketch(**inputs, choose=follow)
            told_apart = np.abs(drops - others).max() > 1e-3
            if 0 < favourite < classes - 1 and told_apart and (drops.min() < -1e-3 or h * w == 2):
                return Case(inputs, note)

    return [
        case(1, 2, 2, 3, "two patches side by side"),
        case(3, 4, 2, 5, "3 × 4 patches of 2 × 2 pixels"),
        case(5, 2, 3, 4, "5 × 2 patches of 3 × 3 pixels"),
        case(2, 3, 1, 4, "patches of one pixel"),
    ]


def patches(h, w, patch, step=None, stop=None, turned=False):
    """A mask `(height, width)` for every patch, row by row."""
    step, stop = step or patch, stop or patch
    masks = np.zeros((h * w, h * patch, w * patch), bool)
    for mask, place in zip(masks, np.ndindex(h, w), strict=True):
        y, x = np.multiply(place[::-1] if turned else place, step)
        mask[y : y + stop, x : x + stop] = True
    return masks


def favourite(before, after, first):
    return before[:, first], after[:, first]


def follow(before, after, first):
    return before.max(axis=1), after.max(axis=1)


def anew(before, after, first):
    each = np.arange(len(after)), after.argmax(axis=1)
    return before[each], after[each]


def sketch(
    predict,
    image,
    patch,
    *,
    cut=patches,
    cover=lambda masks: masks,
    fill=lambda image: 0.0,
    earlier=lambda before, after: np.broadcast_to(before, after.shape),
    choose=favourite,
    lost=np.subtract,
    signed=lambda drops: drops,
    finish=lambda drops, patch: drops,
):
    h, w = image.shape[0] // patch, image.shape[1] // patch
    masks = cover(cut(h, w, patch))
    after = predict(np.where(masks, fill(image), image))
    before = earlier(predict(image[None]), after)
    drops = lost(*choose(before, after, before[0].argmax()))
    return finish(signed(drops.reshape(h, w)), patch)


def _one_patch(attempt, case, rng):
    """A model that looks at one patch."""
    image, patch = case.inputs["image"], case.inputs["patch"]
    h, w = np.array(image.shape) // patch
    place = int(rng.integers(h)), int(rng.integers(w))
    seen = patches(h, w, patch)[place[0] * w + place[1]].ravel()
    predict = model(f"a model that sees only patch {place}", np.outer(seen, [1, 3, 0]))
    inputs = {**case.inputs, "predict": predict}
    want, drops = by_loops(**inputs), attempt(**inputs)["drops"]
    if not np.array_equal(abs(drops) > 1e-9, want > 1e-9):
        text = f"The model sees nothing but patch {place}: covering that one changes something, covering another nothing."
        raise Mismatch(text, want, drops, inputs=inputs)


def _order_of_classes(inputs, rng):
    predict = inputs["predict"]
    return {**inputs, "predict": Handle("classes reversed", lambda x: predict(x)[:, ::-1])}


REVERSED = "The classes were put in another order, and the map changed."

OCCLUSION = Exercise(
    name="occlusion",
    lesson="08_image_attention",
    title="Cover it and see",
    kind="stretch",
    minutes=10,
    difficulty=2,
    points=0,
    reference=by_loops,
    cases=cases,
    outputs={"drops": "h w"},
    properties=[
        properties.finite(),
        Property("one patch covered", _one_patch),
        properties.stays("order of classes", REVERSED, _order_of_classes, "drops"),
    ],
    sketch=sketch,
    says="""
    covers pile up | Each patch stays covered while the next is tried. Cover a fresh copy each time.
    everything else covered | You cover everything *but* the patch. Cover the patch, and leave the rest.
    steps of one pixel | Steps of one pixel: your patches overlap. The next patch begins `patch` pixels further, at `i * patch`.
    a pixel short | Your cover is one pixel short: a slice ends *before* its second number, so it is `i * patch : (i + 1) * patch`.
    one pixel covered | You cover one pixel of each patch. It is patch × patch pixels.
    covers placed with rows and columns swapped | You cover with row and column swapped. The first axis of the picture counts downwards: `covered[i · patch …, j · patch …]`.
    covered with ink | You cover with 1, which is ink. Paper is 0.
    covered with the mean | You cover with the mean of the picture. Paper is 0.
    nothing covered | Your map is zero everywhere. Are the pictures that you hand to `predict` covered, and do the differences get into the map?
    the step before | Before each cover you take the probabilities of the cover before it. Compare with the *whole* picture, always.
    what is left | You return the probability that is *left*. Return what was lost: before minus after.
    another favourite | You take the largest probability of the covered picture, which may belong to another class. Stay with the favourite of the whole picture.
    a favourite for each patch | You choose a favourite anew for each covered picture. Stay with the favourite of the whole picture.
    the first class | You follow class 0 (or the probability that stands first). The favourite is the class with the largest probability: `argmax`.
    the last class | You follow the last class. The favourite is the class with the largest probability: `argmax`.
    the least likely class | You follow the *least* likely class. The favourite has the largest probability.
    relative | You divide by the probability before. Asked is the difference, before minus after.
    a ratio | You divide before by after. Asked is the difference, before minus after.
    logarithms | You compare logarithms of probabilities. Asked is the difference of the probabilities themselves.
    squared | You square the differences. Where a cover *helps* the favourite, the number is negative, and no number is squared.
    after minus before | The sign is the other way round: before minus after, so that what the model *needs* gets a large value.
    without sign | You drop the sign. Where a cover *helps* the favourite, the number is negative.
    gains cut off | Where a cover *helps* the favourite you put 0. That number is negative: keep it.
    one row of patches after the other | Your numbers stand in one line. Return a map, (height / patch, width / patch).
    rows and columns swapped | Your map is turned round: the first axis counts the patches downwards.
    in pixels | Your map has a number for every pixel. Asked is one for every patch, (height / patch, width / patch).
    divided by the largest | You divide the map by its largest value. Asked are differences of probabilities, as they are.
    last row forgotten | The last row of your map is 0: a range that ends one early.
    last column forgotten | The last column of your map is 0: a range that ends one early.
    all classes | You add up what all classes lose or gain, without sign. Asked is the favourite alone.
    """,
    choices={
        "cover": {
            "covers pile up": lambda masks: np.logical_or.accumulate(masks, axis=0),
            "everything else covered": np.logical_not,
            "nothing covered": np.zeros_like,
        },
        "cut": {
            "steps of one pixel": lambda *size: patches(*size, step=1),
            "a pixel short": lambda h, w, patch: patches(h, w, patch, stop=patch - 1),
            "one pixel covered": lambda *size: patches(*size, stop=1),
            "covers placed with rows and columns swapped": lambda *size: patches(
                *size, turned=True
            ),
        },
        "fill": {
            "covered with ink": lambda image: 1.0,
            "covered with the mean": np.mean,
        },
        "earlier": {
            "the step before": lambda before, after: np.concatenate([before, after[:-1]]),
        },
        "choose": {
            "another favourite": follow,
            "a favourite for each patch": anew,
            "the first class": lambda before, after, first: (before[:, 0], after[:, 0]),
            "the last class": lambda before, after, first: (before[:, -1], after[:, -1]),
            "the least likely class": lambda before, after, first: favourite(
                before, after, before[0].argmin()
            ),
            "all classes": lambda before, after, first: (np.abs(before - after).sum(axis=1), 0),
        },
        "lost": {
            "what is left": lambda before, after: after,
            "relative": lambda before, after: (before - after) / before,
            "a ratio": lambda before, after: before / after,
            "logarithms": lambda before, after: np.log(before) - np.log(after),
        },
        "signed": {
            "squared": np.square,
            "after minus before": np.negative,
            "without sign": np.abs,
            "gains cut off": lambda drops: np.maximum(drops, 0),
        },
        "finish": {
            "one row of patches after the other": lambda drops, patch: drops.ravel(),
            "rows and columns swapped": lambda drops, patch: drops.T,
            "in pixels": lambda drops, patch: np.kron(drops, np.ones((patch, patch))),
            "divided by the largest": lambda drops, patch: drops / drops.max(),
            "last row forgotten": lambda drops, patch: np.pad(drops[:-1], ((0, 1), (0, 0))),
            "last column forgotten": lambda drops, patch: np.pad(drops[:, :-1], ((0, 0), (0, 1))),
        },
    },
    own=["attnfuse.vision.occlusion_map"],
    reread="section 6",
    hint="`predict(image[None])[0]` is one row of probabilities; its argmax is the favourite. Two loops; in each a `copy`, a slice set to 0, and a difference.",
)
