"""Lesson 09, fusion: what its exercises must satisfy."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, Misconception, Mismatch, Option, Property, Quiz

LESSON = "09_fusion"


# -- grouped_split --------------------------------------------------------------------------------


def split_by_loops(base, share, seed):
    """The definition: shuffle the bases, deal the first ones to the test, whole."""
    bases = sorted({int(b) for b in base})
    order = np.random.default_rng(seed).permutation(len(bases))
    chosen = {bases[i] for i in order[: round(share * len(bases))]}
    test = [row for row, b in enumerate(base) if int(b) in chosen]
    train = [row for row, b in enumerate(base) if int(b) not in chosen]
    return train, test


def split_cases(rng):
    return [
        Case(
            {"base": np.array([4, 4, 7, 7, 9, 9, 2, 2]), "share": 0.25, "seed": 1}, "4 bases of 2"
        ),
        Case(
            {"base": np.repeat(np.arange(30), 4), "share": 0.2, "seed": int(rng.integers(1000))},
            "30 bases of 4 near-twins",
        ),
        Case(
            {
                "base": rng.permutation(
                    np.repeat(rng.permutation(400)[:60], rng.integers(1, 6, 60))
                ),
                "share": 0.3,
                "seed": int(rng.integers(1000)),
            },
            "60 bases of 1 to 5, in any order",
        ),
    ]


def run_split(candidate, base, share, seed):
    """What a split must be, one fact after another; texts without numbers, so that slips are recognised."""
    parts = []
    for result in (candidate(base.copy(), share, seed), candidate(base.copy(), share, seed + 1)):
        if result is None:
            return None
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise Mismatch("Return two arrays of row numbers, (train, test).")
        parts.append([np.asarray(rows).ravel() for rows in result])
    train, test = parts[0]
    if any(rows.dtype.kind not in "iu" for rows in (train, test) if rows.size):
        raise Mismatch("Return row numbers: two arrays of integers.")
    if not train.size or not test.size:
        raise Mismatch("One part is empty.")
    if max(*train, *test) >= len(base):
        raise Mismatch("Return row numbers: they go from 0 to len(base) - 1.")
    if sorted([*train, *test]) != list(range(len(base))):
        raise Mismatch("Every row must be in exactly one of the two parts.")
    if set(base[train]) & set(base[test]):
        raise Mismatch("Near-twins, rows with the same number in `base`, are on both sides.")
    bases, dealt = len(set(base)), len(set(base[test]))
    largest = np.bincount(base).max()
    if abs(dealt - share * bases) > 1 and abs(len(test) - share * len(base)) > largest:
        raise Mismatch("The test part must hold about `share` of the bases.")
    if bases > 20 and sorted(test) == sorted(parts[1][1]):
        raise Mismatch("Another seed must deal other bases: shuffle them with the seed.")
    return True


def _by_rows(base, share, seed):
    rows = np.random.default_rng(seed).permutation(len(base))
    size = round(share * len(base))
    return np.sort(rows[size:]), np.sort(rows[:size])


def _not_shuffled(base, share, seed):
    bases = np.unique(base)
    test = np.isin(base, bases[: round(share * len(bases))])
    return np.flatnonzero(~test), np.flatnonzero(test)


def _one_per_base(base, share, seed):
    bases, first = np.unique(base, return_index=True)
    rows = first[np.random.default_rng(seed).permutation(len(bases))]
    size = round(share * len(bases))
    return np.sort(rows[size:]), np.sort(rows[:size])


def _too_many(base, share, seed):
    rows = np.random.default_rng(seed).permutation(len(base))
    test = np.isin(base, base[rows[: max(round(share * len(base)), 2)]])
    return np.flatnonzero(~test), np.flatnonzero(test)


def _swapped(base, share, seed):
    train, test = split_by_loops(base, share, seed)
    return np.array(test), np.array(train)


def _bases_for_rows(base, share, seed):
    bases = np.random.default_rng(seed).permutation(np.unique(base))
    size = round(share * len(bases))
    return np.sort(bases[size:]), np.sort(bases[:size])


GROUPED_SPLIT = Exercise(
    name="grouped_split",
    lesson=LESSON,
    title="Near-twins",
    kind="bug",
    minutes=8,
    difficulty=1,
    points=2,
    reference=lambda base, share, seed: True,
    cases=split_cases,
    run=run_split,
    outputs={"split": ""},
    misconceptions=[
        Misconception(
            "near-twins are harmless",
            "You deal single emoji. A running man lands in training and the running woman in the test, and the "
            "test then rewards remembering. Deal whole bases: shuffle `np.unique(base)`, not the rows.",
            _by_rows,
        ),
        Misconception(
            "bases in their order",
            "Every seed deals the same bases here. Unshuffled, they are sorted by class, and the test would hold "
            "two or three classes only. Shuffle the bases, with `default_rng(seed)`.",
            _not_shuffled,
        ),
        Misconception(
            "one emoji per base",
            "You keep one emoji of each base and lose the others. Nothing needs to be thrown away: near-twins may "
            "stay, together on one side.",
            _one_per_base,
        ),
        Misconception(
            "the bases of random rows",
            "You draw rows and then add all their near-twins. Large bases are drawn more often, and the test part "
            "grows far beyond its share. Draw bases, each once.",
            _too_many,
        ),
        Misconception(
            "train and test swapped",
            "`share` is the share of the *test* part, and the test part is returned second.",
            _swapped,
        ),
        Misconception(
            "bases instead of rows",
            "You return the numbers of the bases. Asked for are the numbers of the *rows* with these bases: "
            "`np.flatnonzero(np.isin(base, …))`.",
            _bases_for_rows,
        ),
    ],
    own=["attnfuse.data.emoji.split_by_base"],
    reread="section 2",
    hint="np.unique(base) lists every base once. Shuffle that list, cut it, then ask with np.isin which rows belong "
    "to the bases of each piece.",
)


# -- split_concatenation --------------------------------------------------------------------------


def contributions_by_loops(image, text, matrix):
    """The definition: add up each modality's products on its own."""
    B, C = len(image), matrix.shape[1]
    D = image.shape[1]
    from_image, from_text = np.zeros((B, C)), np.zeros((B, C))
    for b in range(B):
        for c in range(C):
            for d in range(D):
                from_image[b, c] += float(image[b, d]) * float(matrix[d, c])
            for d in range(text.shape[1]):
                from_text[b, c] += float(text[b, d]) * float(matrix[D + d, c])
    return from_image, from_text


def contributions_cases(rng):
    def case(B, image, text, C, note):
        return Case(
            {
                "image": rng.standard_normal((B, image)),
                "text": rng.standard_normal((B, text)),
                "matrix": rng.standard_normal((image + text, C)),
            },
            note,
        )

    return [
        case(1, 2, 2, 3, "both modalities have the same width"),
        case(2, 3, 1, 4, "the image is wider"),
        case(3, 2, 5, 4, "the text is wider"),
    ]


def _other_modality_silent(attempt, case, rng):
    for other, output in (("text", "from_image"), ("image", "from_text")):
        inputs = dict(case.inputs)
        inputs[other] = inputs[other] + 1e4
        if not np.allclose(attempt(**inputs)[output], attempt.result[output]):
            raise Mismatch(f"Adding 10,000 to `{other}` changed `{output}`.")


def _sum_is_concatenation(attempt, case, rng):
    joined = np.concatenate([case.inputs["image"], case.inputs["text"]], axis=1)
    expected = joined @ case.inputs["matrix"]
    got = attempt.result["from_image"] + attempt.result["from_text"]
    if not np.allclose(got, expected):
        raise Mismatch(
            "from_image + from_text must equal concatenation @ matrix.", expected=expected, got=got
        )


def _split_in_the_middle(image, text, matrix):
    middle = len(matrix) // 2
    return image @ matrix[:middle], text @ matrix[middle:]


def _text_first(image, text, matrix):
    width = text.shape[1]
    return image @ matrix[width:], text @ matrix[:width]


def _all_to_image(image, text, matrix):
    logits = np.concatenate([image, text], axis=1) @ matrix
    return logits, np.zeros_like(logits)


def _half_each(image, text, matrix):
    logits = np.concatenate([image, text], axis=1) @ matrix
    return logits / 2, logits / 2


def _parts_swapped(image, text, matrix):
    width = image.shape[1]
    return text @ matrix[width:], image @ matrix[:width]


def _columns_by_width(image, text, matrix):
    width = image.shape[1]
    return image @ matrix[:, :width], text @ matrix[:, width:]


def _columns(image, text, matrix):
    half = matrix.shape[1] // 2
    joined = np.concatenate([image, text], axis=1)
    return joined @ matrix[:, :half], joined @ matrix[:, half:]


SPLIT_CONCATENATION = Exercise(
    name="split_concatenation",
    lesson=LESSON,
    title="Cut the matrix in two",
    kind="write",
    minutes=6,
    difficulty=1,
    points=2,
    reference=contributions_by_loops,
    cases=contributions_cases,
    outputs={"from_image": "B C", "from_text": "B C"},
    properties=[
        Property("each part depends on its own modality only", _other_modality_silent),
        Property("the two parts add up", _sum_is_concatenation),
    ],
    misconceptions=[
        Misconception(
            "cut in the middle",
            "You cut the matrix in the middle. The cut belongs where the image features end: after "
            "`image.shape[1]` rows.",
            _split_in_the_middle,
        ),
        Misconception(
            "text first",
            "You give the first rows of the matrix to the text. The concatenation is [image, text]: the image's "
            "rows come first.",
            _text_first,
        ),
        Misconception(
            "everything from the image",
            "Your first part is the whole concatenation. It still moves when the text moves: cut the matrix.",
            _all_to_image,
        ),
        Misconception(
            "half each",
            "Two halves of the same logits add up, but each half depends on both modalities.",
            _half_each,
        ),
        Misconception(
            "cut the columns",
            "You cut the columns of the matrix. A column belongs to a class, a *row* to an input feature: cut "
            "the rows.",
            _columns,
        ),
        Misconception(
            "the parts swapped",
            "Both parts are right, in the wrong order: the image's comes first, (from_image, from_text).",
            _parts_swapped,
        ),
        Misconception(
            "a piece that does not fit",
            "A piece of the matrix does not fit its features. Rows belong to features, columns to classes: cut "
            "the *rows*, after `image.shape[1]` of them.",
            _columns_by_width,
        ),
    ],
    own=["attnfuse.fusion.split_concatenation"],
    reread="section 4",
    hint="Row d of the matrix multiplies feature d of the concatenation. Which rows meet the image features?",
)


# -- four_corners ---------------------------------------------------------------------------------


def corners_by_loops(model, image, other_image, text, other_text):
    """The definition, number by number."""
    corners = {}
    for i, x in enumerate((image, other_image)):
        for j, y in enumerate((text, other_text)):
            corners[i, j] = np.asarray(model(x, y), dtype=float)
    B, C = corners[0, 0].shape
    result = np.zeros((B, C))
    for b in range(B):
        for c in range(C):
            for (i, j), logits in corners.items():
                result[b, c] += (-1) ** (i + j) * logits[b, c]
    return result


def corners_cases(rng):
    def inputs(B, D, E):
        return {
            "image": rng.standard_normal((B, D)),
            "other_image": rng.standard_normal((B, D)),
            "text": rng.standard_normal((B, E)),
            "other_text": rng.standard_normal((B, E)),
        }

    def additive(D, E, C):
        to_image, to_text = rng.standard_normal((D, C)), rng.standard_normal((E, C))
        return lambda image, text: np.maximum(image, 0) @ to_image + np.tanh(text) @ to_text

    def bilinear(D, E, C):
        tensor = rng.standard_normal((D, E, C))
        return lambda image, text: np.einsum("bd,be,dec->bc", image, text, tensor)

    def relu(D, E, C):
        first, last = rng.standard_normal((D + E, 6)), rng.standard_normal((6, C))
        return lambda image, text: np.maximum(np.concatenate([image, text], 1) @ first, 0) @ last

    return [
        Case(
            {"model": additive(2, 3, 2), **inputs(1, 2, 3)}, "an additive model: f(image) + g(text)"
        ),
        Case({"model": bilinear(2, 3, 4), **inputs(3, 2, 3)}, "a product of image and text"),
        Case({"model": relu(4, 2, 3), **inputs(5, 4, 2)}, "a hidden ReLU layer"),
    ]


def _softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _corners_with(rule):
    def wrong(model, image, other_image, text, other_text):
        return rule(
            model(image, text),
            model(other_image, text),
            model(image, other_text),
            model(other_image, other_text),
        )

    return wrong


FOUR_CORNERS = Exercise(
    name="four_corners",
    lesson=LESSON,
    title="Four corners",
    kind="explain",
    minutes=6,
    difficulty=2,
    points=0,
    reference=corners_by_loops,
    cases=corners_cases,
    outputs={"difference": "B C"},
    misconceptions=[
        Misconception(
            "both changed at once",
            "You compare (image, text) with (other image, other text). That says that the inputs matter, not that "
            "they interact: f(image) + g(text) changes too. All four corners are needed.",
            _corners_with(lambda a, b, c, d: a - d),
        ),
        Misconception(
            "sign of the last corner",
            "The last corner counts with a plus: taking off the image's effect and the text's effect takes off "
            "the start twice.",
            _corners_with(lambda a, b, c, d: a - b - c - d),
        ),
        Misconception(
            "probabilities",
            "You use probabilities. Softmax divides by a sum over both effects, so even additive logits seem to "
            "interact. Compare logits.",
            _corners_with(lambda a, b, c, d: _softmax(a) - _softmax(b) - _softmax(c) + _softmax(d)),
        ),
        Misconception(
            "one modality only",
            "You change the image only. That is the image's effect beside *one* text; interaction is how this "
            "effect differs beside another text.",
            _corners_with(lambda a, b, c, d: a - b),
        ),
        Misconception(
            "absolute values",
            "Keep the sign: absolute values of parts do not cancel where the whole does.",
            _corners_with(lambda a, b, c, d: abs(a - b) - abs(c - d)),
        ),
        Misconception(
            "the fourth corner forgotten",
            "One corner is missing: l(a′, b′), with a plus.",
            _corners_with(lambda a, b, c, d: a - b - c),
        ),
        Misconception(
            "everything added",
            "You add all four corners. Those with one change, l(a′, b) and l(a, b′), count with a minus.",
            _corners_with(lambda a, b, c, d: a + b + c + d),
        ),
        Misconception(
            "all signs turned",
            "All signs are turned: l(a, b) and l(a′, b′) count with a plus, the other two with a minus.",
            _corners_with(lambda a, b, c, d: b + c - a - d),
        ),
        Misconception(
            "the size of the difference",
            "You return the size only. Keep the sign.",
            _corners_with(lambda a, b, c, d: abs(a - b - c + d)),
        ),
    ],
    own=["attnfuse.fusion.four_corners"],
    reread="section 4",
    hint="The image's effect beside one text is l(a, b) − l(a′, b). What is it beside the other text?",
)


# -- mod_ten --------------------------------------------------------------------------------------


def mod_ten_answer():
    """Trained share, hand-set share, share of sum + ReLU: all computed on the table of 100 pairs."""
    a, b = np.divmod(np.arange(100), 10)
    label = (a + b) % 10
    # training: at equal probabilities the gradient of every weight of a one-hot digit is zero
    error = 0.1 - np.eye(10)[label]  # (100, 10): probability minus one-hot label
    gradient = np.concatenate([np.eye(10)[a], np.eye(10)[b]], axis=1).T @ error
    assert np.allclose(gradient, 0)  # convex: this is the minimum, and it says 1/10 for every class
    trained = 0.1
    # by hand: 2y(a + b) - y²
    y = np.arange(10)
    by_hand = np.mean(np.argmax(2 * y * (a + b)[:, None] - y**2, axis=1) == label)
    # ReLU units of the sum: a tent at y and one at y + 10
    total = (a + b)[:, None]
    bend = np.maximum(total - np.arange(-1, 20), 0.0)  # (100, 21)
    tent = bend[:, :-2] - 2 * bend[:, 1:-1] + bend[:, 2:]  # (100, 19): 1 where the sum is 0 … 18
    logits = tent[:, :10] + np.pad(tent[:, 10:], ((0, 0), (0, 1)))
    relu = np.mean(np.argmax(logits, axis=1) == label)
    return float(trained), float(by_hand), float(relu)


MOD_TEN = Exercise(
    name="mod_ten",
    lesson=LESSON,
    title="(a + b) mod 10",
    kind="predict",
    minutes=6,
    difficulty=2,
    points=2,
    reference=mod_ten_answer,
    value=True,
    rtol=1e-3,
    misconceptions=[
        Misconception(
            "chance means inexpressible",
            "You conclude from the trained model that no such logits are right more often than chance. Try it: for "
            "a = 2, b = 3 the logits 2y·5 − y² are largest at y = 5, which is right. Training does not end there, "
            "because it lowers the loss over *all* pairs.",
            (0.1, 0.1, 1.0),
        ),
        Misconception(
            "a sum forgets",
            "Right for the first two. But the sum a + b decides the label, and a hidden ReLU layer can draw any "
            "bent line over it: up at y, down again, and up at y + 10.",
            (0.1, 0.55, 0.1),
        ),
        Misconception(
            "only additive things",
            "A dense layer on a sum with a hidden ReLU layer between is no longer additive in a and b; and the "
            "hand-set logits are right wherever a + b is below 10.",
            (0.1, 0.1, 0.1),
        ),
        Misconception(
            "training finds what exists",
            "Logits that are right on 55 % exist, and training walks away from them: on the other 45 % they are "
            "confidently wrong, and the loss counts that. On balanced data its lowest point says 1/10 for each class.",
            (0.55, 0.55, 1.0),
        ),
        Misconception(
            "networks can do anything",
            "The first model has no layer that sees both digits before the logits are added: it cannot be right on all pairs.",
            (1.0, 0.55, 1.0),
        ),
        Misconception(
            "the hand-set logits are always right",
            "2y(a + b) − y² is largest at the y nearest to a + b. There is no y above 9: what happens when a + b is 12?",
            (0.1, 1.0, 1.0),
        ),
        Misconception(
            "the sum plus ReLU stops at 9",
            "Nine is where y ends, not where ReLU units end: units that bend at 10, 11, … lift y − 10 again.",
            (0.1, 0.55, 0.55),
        ),
        Misconception(
            "the first two turned round",
            "The second and the first are turned round: the hand-set logits are right wherever a + b is below 10; "
            "training prefers the lower loss of equal probabilities.",
            (0.55, 0.1, 1.0),
        ),
        Misconception(
            "only the ReLU layer gets past chance",
            "The hand-set logits are right wherever a + b is below 10, on 55 of 100 pairs. And a hidden ReLU layer "
            "can bend once more above 9.",
            (0.1, 0.1, 0.55),
        ),
    ],
    reread="section 5",
    hint="Count: for how many of the 100 pairs is a + b at most 9? And what does a model lose that bets on those pairs?",
)


# -- low_rank_fusion ------------------------------------------------------------------------------


def low_rank_by_loops(image, text, image_factors, text_factors):
    """The definition: sum over r of (image with a 1) · U_r times (text with a 1) · V_r."""
    B, (R, _, F) = len(image), image_factors.shape
    fused = np.zeros((B, F))
    for b in range(B):
        x = [float(v) for v in image[b]] + [1.0]
        y = [float(v) for v in text[b]] + [1.0]
        for f in range(F):
            for r in range(R):
                from_image = sum(
                    v * float(w) for v, w in zip(x, image_factors[r, :, f], strict=True)
                )
                from_text = sum(v * float(w) for v, w in zip(y, text_factors[r, :, f], strict=True))
                fused[b, f] += from_image * from_text
    return fused


def low_rank_cases(rng):
    def case(B, D, E, R, F, note, image=1.0, text=1.0):
        return Case(
            {
                "image": (image * rng.standard_normal((B, D))).astype(np.float32),
                "text": (text * rng.standard_normal((B, E))).astype(np.float32),
                "image_factors": rng.standard_normal((R, D + 1, F)).astype(np.float32),
                "text_factors": rng.standard_normal((R, E + 1, F)).astype(np.float32),
            },
            note,
        )

    return [
        case(1, 2, 3, 1, 2, "rank 1"),
        case(3, 4, 2, 3, 5, "rank 3"),
        case(2, 3, 4, 2, 5, "a text of zeros: the image must still count", text=0.0),
    ]


def run_low_rank(candidate, image, text, image_factors, text_factors):
    """Build the layer, set its two weights by their names, call it on the two inputs."""
    from attnfuse.settings import quiet

    with quiet():
        import keras

    if not (isinstance(candidate, type) and issubclass(candidate, keras.layers.Layer)):
        raise Mismatch("check needs the layer's class itself, without parentheses after its name.")
    layer = candidate(image_factors.shape[-1], rank=image_factors.shape[0])
    layer.build([image.shape, text.shape])
    named = {weight.name: weight for weight in layer.weights}
    if set(named) != {"image_factors", "text_factors"}:
        raise Mismatch("Keep build() as it is given: weights image_factors and text_factors.")
    layer.image_factors.assign(image_factors)
    layer.text_factors.assign(text_factors)
    fused = layer.call([keras.ops.convert_to_tensor(image), keras.ops.convert_to_tensor(text)])
    return None if fused is None else keras.ops.convert_to_numpy(fused)


class _LayerLike:
    """Makes a Keras layer class from a NumPy rule, only when it is asked for (no import of Keras here)."""

    def __init__(self, rule):
        self.rule = rule

    def __call__(self):
        from attnfuse.settings import quiet

        with quiet():
            import keras
        rule = self.rule

        class Wrong(keras.layers.Layer):
            def __init__(self, units, rank=4, **options):
                super().__init__(**options)
                self.units, self.rank = units, rank

            def build(self, shapes):
                image, text = (shape[-1] + 1 for shape in shapes)
                add = self.add_weight
                self.image_factors = add(shape=(self.rank, image, self.units), name="image_factors")
                self.text_factors = add(shape=(self.rank, text, self.units), name="text_factors")

            def call(self, inputs):
                image, text = inputs
                return rule(keras.ops, image, text, self.image_factors, self.text_factors)

        return Wrong


def _run_low_rank(candidate, **inputs):
    return run_low_rank(candidate() if isinstance(candidate, _LayerLike) else candidate, **inputs)


def _projected(ops, x, factors):
    return ops.einsum("bd,rdf->brf", x, factors)


def _append_one(ops, x, first=False):
    one = ops.ones_like(x[:, :1])
    return ops.concatenate([one, x] if first else [x, one], axis=-1)


def _no_one(ops, image, text, U, V):
    image, text = _projected(ops, image, U[:, :-1]), _projected(ops, text, V[:, :-1])
    return ops.sum(image * text, axis=1)


def _no_one_shape(ops, image, text, U, V):
    return ops.sum(_projected(ops, image, U) * _projected(ops, text, V), axis=1)


def _one_first(ops, image, text, U, V):
    image = _projected(ops, _append_one(ops, image, True), U)
    return ops.sum(image * _projected(ops, _append_one(ops, text, True), V), axis=1)


def _sums_before_product(ops, image, text, U, V):
    image = ops.sum(_projected(ops, _append_one(ops, image), U), axis=1)
    return image * ops.sum(_projected(ops, _append_one(ops, text), V), axis=1)


def _added(ops, image, text, U, V):
    image = _projected(ops, _append_one(ops, image), U)
    return ops.sum(image + _projected(ops, _append_one(ops, text), V), axis=1)


def _no_sum(ops, image, text, U, V):
    return _projected(ops, _append_one(ops, image), U) * _projected(ops, _append_one(ops, text), V)


def _zero_padded(ops, image, text, U, V):
    image, text = (ops.pad(x, [[0, 0], [0, 1]]) for x in (image, text))
    return ops.sum(_projected(ops, image, U) * _projected(ops, text, V), axis=1) * 1.0


def _mean_over_rank(ops, image, text, U, V):
    image = _projected(ops, _append_one(ops, image), U)
    return ops.mean(image * _projected(ops, _append_one(ops, text), V), axis=1)


def _one_for_the_image(ops, image, text, U, V):
    image = _projected(ops, _append_one(ops, image), U)
    return ops.sum(image * _projected(ops, text, V[:, :-1]), axis=1)


def _over_features(ops, image, text, U, V):
    return ops.sum(_no_sum(ops, image, text, U, V), axis=-1)


LOW_RANK_FUSION = Exercise(
    name="low_rank_fusion",
    lesson=LESSON,
    title="Low-rank bilinear fusion",
    kind="write",
    minutes=12,
    difficulty=3,
    points=2,
    reference=low_rank_by_loops,
    cases=low_rank_cases,
    run=_run_low_rank,
    outputs={"fused": "B F"},
    misconceptions=[
        Misconception(
            "no appended 1",
            "Your products use the features alone (or a 0 in place of the 1). Where the text is all zeros the "
            "result is zero, and the image is lost with it. Append a 1 to both before projecting.",
            _LayerLike(_no_one),
        ),
        Misconception(
            "no appended 1, widths do not fit",
            "The factors have one row more than there are features: that row meets the appended 1.",
            _LayerLike(_no_one_shape),
        ),
        Misconception(
            "the 1 comes first",
            "You put the 1 in front. Here it is appended: the *last* row of the factors belongs to it.",
            _LayerLike(_one_first),
        ),
        Misconception(
            "summed before the product",
            "You sum over the ranks first and multiply then. That is rank 1 again. Multiply within each rank, "
            "then sum over the ranks.",
            _LayerLike(_sums_before_product),
        ),
        Misconception(
            "added instead of multiplied",
            "You add the two projections. That is sum fusion, in which nothing interacts: multiply them.",
            _LayerLike(_added),
        ),
        Misconception(
            "the ranks are not summed",
            "The products are right. One thing is missing: sum them over the ranks, so that (B, R, F) becomes (B, F).",
            _LayerLike(_no_sum),
        ),
        Misconception(
            "the mean over the ranks",
            "You take the mean over the ranks; the definition sums them.",
            _LayerLike(_mean_over_rank),
        ),
        Misconception(
            "a 1 for the image only",
            "Only the image got its 1. Without the text's 1 the image is not heard where the text is zero.",
            _LayerLike(_one_for_the_image),
        ),
        Misconception(
            "summed over the features",
            "You sum over the last axis, the features F. Sum over the ranks R: axis 1.",
            _LayerLike(_over_features),
        ),
    ],
    own=["attnfuse.fusion.LowRankBilinear"],
    reread="section 6",
    hint="Three steps: ops.concatenate the features with a column of ones; project both with "
    'ops.einsum("bd,rdf->brf", …); multiply and sum over axis 1.',
    rtol=1e-4,
    atol=1e-4,
)


# -- paired_interval ------------------------------------------------------------------------------


def interval_by_loops(right_a, right_b):
    """The definition: one difference per item, then mean and standard error over the items."""
    seeds, B = len(right_a), len(right_a[0])
    differences = []
    for item in range(B):
        gains = [float(right_a[s][item]) - float(right_b[s][item]) for s in range(seeds)]
        differences.append(sum(gains) / seeds)
    mean = sum(differences) / B
    variance = sum((d - mean) ** 2 for d in differences) / (B - 1)
    margin = 1.96 * math.sqrt(variance / B)
    return mean - margin, mean + margin


def interval_cases(rng):
    def pair(seeds, B, twins):
        difficulty = rng.random(B)
        right_a = rng.random((seeds, B)) < difficulty
        right_b = np.where(rng.random((seeds, B)) < twins, right_a, rng.random((seeds, B)) < 0.5)
        right_a[:, 0], right_b[:, 0], right_a[0, 1] = True, False, True
        right_a[1:, 1], right_b[:, 1] = False, False  # one item on which the seeds disagree
        right_a[0, 2], right_b[0, 2] = False, True  # the seeds differ in how often each is right
        return {"right_a": right_a, "right_b": right_b}

    return [
        Case(
            {
                "right_a": np.array(
                    [[True, True, True, False, True], [True, False, True, False, True]]
                ),
                "right_b": np.array(
                    [[True, False, False, False, True], [True, False, True, True, True]]
                ),
            },
            "2 seeds, 5 items",
        ),
        Case(pair(3, 40, 0.8), "3 seeds, 40 items"),
        Case(pair(4, 150, 0.9), "4 seeds, 150 items"),
    ]


def _interval(values, count=None):
    values = np.asarray(values, float).ravel()
    margin = 1.96 * values.std(ddof=1) / np.sqrt(count or values.size)
    return values.mean() - margin, values.mean() + margin


def _differences(right_a, right_b):
    return np.asarray(right_a, float) - np.asarray(right_b, float)


def _best_seed(right_a, right_b):
    a = right_a[np.argmax(right_a.mean(axis=1))]
    return _interval(_differences(a, right_b[np.argmax(right_b.mean(axis=1))]))


def _unpaired(right_a, right_b):
    a, b = right_a.mean(axis=0), right_b.mean(axis=0)
    error = np.sqrt(a.var(ddof=1) / a.size + b.var(ddof=1) / b.size)
    return a.mean() - b.mean() - 1.96 * error, a.mean() - b.mean() + 1.96 * error


def _every_seed_a_new_item(right_a, right_b):
    return _interval(_differences(right_a, right_b))


def _no_root(right_a, right_b):
    return _interval(_differences(right_a, right_b).mean(axis=0), count=1)


def _seeds_only(right_a, right_b):
    return _interval(_differences(right_a, right_b).mean(axis=1))


def _b_minus_a(right_a, right_b):
    return _interval(_differences(right_b, right_a).mean(axis=0))


def _bools_subtracted(right_a, right_b):
    return _interval((np.asarray(right_a) - np.asarray(right_b)).mean(axis=0))


def _divided_by_items(right_a, right_b):
    values = _differences(right_a, right_b).mean(axis=0)
    margin = 1.96 * values.std() / np.sqrt(values.size)
    return values.mean() - margin, values.mean() + margin


def _one_error(right_a, right_b):
    low, high = _interval(_differences(right_a, right_b).mean(axis=0))
    middle, margin = (low + high) / 2, (high - low) / 2 / 1.96
    return middle - margin, middle + margin


def _high_first(right_a, right_b):
    low, high = _interval(_differences(right_a, right_b).mean(axis=0))
    return high, low


PAIRED_INTERVAL = Exercise(
    name="paired_interval",
    lesson=LESSON,
    title="Real, or noise?",
    kind="stretch",
    minutes=8,
    difficulty=2,
    points=0,
    reference=interval_by_loops,
    cases=interval_cases,
    outputs={"low": "", "high": ""},
    misconceptions=[
        Misconception(
            "the best seed wins",
            "You compare the best seed of each model. The best of several is always flattering. Use all seeds: "
            "average each item's difference over them.",
            _best_seed,
        ),
        Misconception(
            "unpaired",
            "You treat the two models as if they had been tested on different items. Both saw the same ones: easy "
            "items are easy for both, and that cancels in the difference, item by item.",
            _unpaired,
        ),
        Misconception(
            "every seed counts as new items",
            "You count seeds × items as that many independent items. Three models on 262 items have seen 262 items: "
            "average over the seeds first.",
            _every_seed_a_new_item,
        ),
        Misconception(
            "no root of the number of items",
            "That is the spread of single items. The mean of B items varies less: divide by √B.",
            _no_root,
        ),
        Misconception(
            "over the seeds",
            "Your interval says how far the seeds differ. It leaves out that another test set would hold other items.",
            _seeds_only,
        ),
        Misconception(
            "B minus A",
            "Your interval is for B − A. Asked for is how much more often *A* is right.",
            _b_minus_a,
        ),
        Misconception(
            "bools cannot be subtracted",
            "NumPy does not subtract True and False. Make numbers first: `right_a.astype(float)`, or the mean "
            "over the seeds.",
            _bools_subtracted,
        ),
        Misconception(
            "std without ddof=1",
            "Your standard deviation divides by B. Use `std(ddof=1)`, which divides by B − 1.",
            _divided_by_items,
        ),
        Misconception(
            "one standard error",
            "You go one standard error each way. A 95 % interval goes 1.96 of them.",
            _one_error,
        ),
        Misconception(
            "high before low",
            "Return (low, high): the mean minus the margin comes first.",
            _high_first,
        ),
    ],
    own=["attnfuse.fusion.paired_interval"],
    reread="section 7",
    hint="First one number per item: the difference, averaged over the seeds. Then mean ± 1.96 · std(ddof=1) / √B.",
)


EXERCISES = [
    GROUPED_SPLIT,
    SPLIT_CONCATENATION,
    FOUR_CORNERS,
    MOD_TEN,
    LOW_RANK_FUSION,
    PAIRED_INTERVAL,
]


# -- returning questions --------------------------------------------------------------------------


def _first_of_two_copies():
    weights = np.exp([0.0, 0.0]) / np.exp([0.0, 0.0]).sum()
    return [1.0, 0.5, 0.0].index(weights[0])


def _longest_wins():
    query, keys = np.array([1.0, 1.0]), np.array([[1.0, 1.0], [3.0, 0.0]])
    return int(np.argmax(keys @ query))


def _no_allowed_key():
    weights = np.where([False, False], 1.0, 0.0)
    return [True, False].index(bool((weights == 0).all()))


QUIZZES = [
    Quiz(
        id="09-equal-scores",
        question="Attention over two keys, a picture and a text. Both get the same score. Which weight has the picture?",
        options=[
            Option("1", "Only if its score were far larger. Softmax spreads one unit of attention over both keys."),
            Option("1/2", "Equal scores, equal weights, and they sum to 1. A *gate* below is this, per component."),
            Option("0", "No weight of a softmax is exactly 0 unless the key is masked."),
        ],
        answer=_first_of_two_copies,
    ),
    Quiz(
        id="09-long-keys",
        question="The query is (1, 1). Which key has the larger dot product with it?",
        options=[
            Option("(1, 1), the query itself", "Its dot product is 2. The other key is further away but longer: 3."),
            Option("(3, 0)", "3 against 2. A dot product is nearness only for keys of one length: a modality with "
                   "longer features is heard more."),
        ],
        answer=_longest_wins,
    ),
    Quiz(
        id="09-nothing-allowed",
        question="An emoji has no known keyword: every key of its text is masked. What is its context in this course?",
        options=[
            Option("A row of zeros", "A fully masked row has weights 0 and the context 0. Our text encoder does the same."),
            Option("The mean of all values", "That is what `keras.layers.Attention` returns. Here nothing may leak from a masked key."),
        ],
        answer=_no_allowed_key,
    ),
]  # fmt: skip
