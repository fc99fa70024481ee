"""Does the map's largest weight stand in the box?"""

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property


def by_loops(weights, boxes, columns, stride):
    hits = np.zeros(len(weights), dtype=bool)
    for b, (row_of_weights, box) in enumerate(zip(weights, boxes, strict=True)):
        top, left, bottom, right = (float(x) for x in box)
        best = max(range(len(row_of_weights)), key=lambda s: row_of_weights[s])
        y = (best // columns + 0.5) * stride
        x = (best % columns + 0.5) * stride
        hits[b] = top <= y < bottom and left <= x < right
    return hits


def cases(rng):
    def case(rows, columns, stride, places, boxes, note):
        """Random weights whose largest stands at these places; boxes relative to their middles."""
        weights = rng.dirichlet(np.full(rows * columns, 0.4), len(places))
        each, best = np.arange(len(places)), weights.argmax(axis=1)
        weights[each, best], weights[each, places] = weights[each, places], weights[each, best]
        middle = (np.stack(np.divmod(places, columns), axis=1) + 0.5) * stride
        boxes = np.tile(middle, 2) + boxes
        inputs = {"weights": weights, "boxes": boxes, "columns": columns, "stride": stride}
        return Case(inputs, note)

    def anywhere(rows, columns, stride, size):
        """Boxes in whole pixels, near the place."""
        near = rng.integers(-size, 2, (40, 2))
        boxes = np.concatenate([near, near + size], axis=1)
        places = rng.integers(rows * columns, size=40)
        return case(rows, columns, stride, places, boxes, f"maps of {rows} × {columns} places")

    def edges(rows, columns, stride):
        """For every place every pair of intervals that end at, before or behind its middle."""
        half, wide = stride / 2, stride * max(rows, columns)
        ends = [(0, 2), (-2, 0), (-0.25, 0.25), (0.25, 2), (-2, -0.25), (-wide, wide)]
        ends += [(0.5 - half, half), (-half, half - 0.25), (-half - 1, 0.5 - half)]
        boxes = [(top, left, bottom, right) for top, bottom in ends for left, right in ends]
        places = np.repeat(np.arange(rows * columns), len(boxes))
        note = f"every edge of a box, in turn, at every place's middle; stride {stride}"
        return case(rows, columns, stride, places, boxes * (rows * columns), note)

    first = {"weights": np.array([[0.1, 0.1, 0.1, 0.1, 0.5, 0.1]]), "columns": 3, "stride": 4}
    return [
        Case({**first, "boxes": np.array([[3, 5, 8, 8]])}, "one map of 2 rows and 3 columns"),
        anywhere(5, 7, 4, 8),
        anywhere(6, 4, 6, 9),
        edges(2, 3, 4),
        edges(3, 2, 3),
    ]


def sketch(
    weights,
    boxes,
    columns,
    stride,
    *,
    find=lambda weights: weights.argmax(axis=1),
    divide=lambda place, S, columns: np.divmod(place, columns),
    pixels=lambda stride: stride,
    middle=lambda i, stride: (i + 0.5) * stride,
    turn=lambda y, x: (y, x),
    read=lambda *box: box,
    near=np.less_equal,
    far=np.less,
    join=np.logical_and,
    give=lambda hits: hits,
):
    step = pixels(stride)
    i, j = divide(find(weights), weights.shape[1], columns)
    y, x = turn(middle(i, step), middle(j, step))
    top, left, bottom, right = read(*boxes.T)
    return give(join(near(top, y) & far(y, bottom), near(left, x) & far(x, right)))


def middles(weights, columns, stride):
    return (np.stack(np.divmod(np.arange(weights.shape[1]), columns)) + 0.5) * stride


def inside(places, boxes):
    return ((boxes[:, :2] <= places) & (places < boxes[:, 2:])).all(axis=-1)


def mean_place(weights, boxes, columns, stride):
    return inside(weights @ middles(weights, columns, stride).T, boxes)


def mass(weights, boxes, columns, stride):
    places = middles(weights, columns, stride).T
    return (weights * inside(places[:, None], boxes).T).sum(axis=1) > 0.5


def overlapping(weights, boxes, columns, stride):
    patch = np.stack(np.divmod(weights.argmax(axis=1), columns), axis=1) * stride
    return ((patch < boxes[:, 2:]) & (patch + stride > boxes[:, :2])).all(axis=1)


def one_by_one(name, text, low=(), high=()):
    """Of all pictures show the first that is wrong; the `low` edges far out, the `high` ones, too."""

    def test(attempt, case, rng):
        boxes = case.inputs["boxes"].copy()
        boxes[:, list(low)], boxes[:, list(high)] = -1000, 1000
        inputs = {**case.inputs, "boxes": boxes}
        want, got = by_loops(**inputs), attempt(**inputs)["hits"]
        for b in np.flatnonzero(want != got)[:1]:
            one = {"weights": inputs["weights"][[b]], "boxes": boxes[[b]]}
            raise Mismatch(text, want[[b]], got[[b]], inputs={**inputs, **one})

    return Property(name, test)


def _pictures_apart(attempt, case, rng):
    b = len(case.inputs["weights"]) // 2
    alone = {name: case.inputs[name][[b]] for name in ("weights", "boxes")}
    got = attempt(**{**case.inputs, **alone})["hits"]
    if got[0] != attempt.result["hits"][b]:
        raise Mismatch(f"Picture {b} judged by itself gets another answer than among the others.")


ONE = "One of the pictures, with its box:"
ROWS = "A box as wide as can be, so that only top and bottom decide. One of the pictures:"
COLUMNS = "A box as high as can be, so that only left and right decide. One of the pictures:"

POINTS_AT_DIGIT = Exercise(
    name="points_at_digit",
    lesson="08_image_attention",
    title="Does it point at the digit?",
    kind="write",
    minutes=10,
    difficulty=3,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"hits": "B"},
    properties=[
        Property("pictures apart", _pictures_apart),
        one_by_one("top and bottom", ROWS, low=[1], high=[3]),
        one_by_one("left and right", COLUMNS, low=[0], high=[2]),
        one_by_one("both", ONE),
    ],
    sketch=sketch,
    says="""
    x and y swapped | Rows meet left and right, columns meet top and bottom: either row and column have changed places, or the numbers of the box. The row, `index // columns`, says how far *down* a place is; a box is (top, left, bottom, right).
    divided by the number of rows | You divide by the number of *rows*. Places are numbered row by row, and a row holds `columns` of them: `index // columns`.
    numbered column by column | You count the places column by column. They are numbered row by row: place 1 stands to the right of place 0.
    square map | You take the map for a square. A row holds `columns` places.
    counted from 1 | You are one place too far: `argmax` counts from 0, and so do rows and columns.
    row with a fraction | Your row has a fraction: `/` where `//` belongs. A row is a whole number.
    smallest weight | You take the *smallest* weight. The map points at the place with the largest.
    the batch's largest column | One place is taken for all pictures: `argmax` without an axis goes over all numbers at once. Every picture has its own largest weight: axis 1.
    largest over the batch | One place is taken for all pictures: `argmax` without an axis goes over all numbers at once. Every picture has its own largest weight: axis 1.
    the corner of the patch | You take the upper left corner of the patch, `row * stride`. Its middle is half a stride further.
    the far corner of the patch | Your hits are those of the patch's lower right corner, `(row + 1) * stride`. Its middle is half a stride before.
    half a pixel | You go half a *pixel* from the corner of the patch. Its middle is half a *stride* further: (i + ½) · stride.
    half a pixel early | Your middle is half a pixel too early: (i + ½) · stride, nothing taken off.
    middle rounded down | Your middles are rounded to whole pixels. With an odd stride a middle has a fraction, and so may the edge of a box.
    middle rounded | Your middles are rounded to whole pixels. With an odd stride a middle has a fraction, and so may the edge of a box.
    places compared with pixels | You compare a place's row and column with pixels. One place is `stride` pixels.
    middles counted in places | Your (row + ½) counts *places*, boxes count pixels. One place is `stride` pixels.
    stride 4 by heart | You take a stride of 4, as in this lesson's scenes. Use the argument `stride`.
    top, bottom, left, right | You read the box as top, bottom, left, right. It is (top, left, bottom, right), in this order.
    top, left, height, width | You read the box's last two numbers as its height and width. They are the bottom and the right edge, in pixels.
    near edges left out | The top and the left edge belong to the box: top ≤ y < bottom, left ≤ x < right.
    far edges included | The bottom and the right edge do not belong to the box: top ≤ y < bottom, left ≤ x < right.
    or | One direction is enough for you. Row *and* column must fit.
    rows only | You compare the vertical direction only. The other must fit, too: top ≤ y < bottom and left ≤ x < right.
    columns only | You compare the horizontal direction only. The other must fit, too: top ≤ y < bottom and left ≤ x < right.
    averaged | You return one number for all pictures. Return a bool for each; its mean is the share of hits.
    counted | You count the hits. Return a bool for each picture.
    turned round | You answer the wrong way round: True is a hit.
    numbers | Return True and False, not numbers.
    a column | Your result has an axis too many: bool `(B,)`, one for each picture.
    the mean place | You take the mean place, weighted. Two pieces of ink, left and right, have their mean on empty paper between them. Asked is where the *largest* weight stands.
    half of the weight | You ask whether more than half of the weight lies in the box. That is another measure; here the largest weight points.
    the patch touches the box | You ask whether the patch and the box overlap. Its *middle* must lie in the box.
    """,
    choices={
        "turn": {"x and y swapped": lambda y, x: (x, y)},
        "divide": {
            "divided by the number of rows": lambda i, S, w: np.divmod(i, S // w),
            "numbered column by column": lambda i, S, w: np.divmod(i, S // w)[::-1],
            "square map": lambda i, S, w: np.divmod(i, int(S**0.5)),
            "counted from 1": lambda i, S, w: np.divmod(i + 1, w),
            "row with a fraction": lambda i, S, w: (i / w, i % w),
        },
        "find": {
            "smallest weight": lambda weights: weights.argmin(axis=1),
            "largest over the batch": lambda weights: np.full(len(weights), weights.argmax()),
            "the batch's largest column": lambda weights: np.full(
                len(weights), weights.max(axis=0).argmax()
            ),
        },
        "middle": {
            "the corner of the patch": lambda i, stride: i * stride,
            "the far corner of the patch": lambda i, stride: (i + 1) * stride,
            "half a pixel": lambda i, stride: i * stride + 0.5,
            "half a pixel early": lambda i, stride: (i + 0.5) * stride - 0.5,
            "middle rounded down": lambda i, stride: np.floor((i + 0.5) * stride),
            "middle rounded": lambda i, stride: np.round((i + 0.5) * stride),
            "places compared with pixels": lambda i, stride: i,
            "middles counted in places": lambda i, stride: i + 0.5,
        },
        "pixels": {"stride 4 by heart": lambda stride: 4},
        "read": {
            "top, bottom, left, right": lambda a, b, c, d: (a, c, b, d),
            "top, left, height, width": lambda a, b, c, d: (a, b, a + c, b + d),
        },
        "near": {"near edges left out": np.less},
        "far": {"far edges included": np.less_equal},
        "join": {
            "or": np.logical_or,
            "rows only": lambda rows, columns: rows,
            "columns only": lambda rows, columns: columns,
        },
        "give": {
            "averaged": np.mean,
            "counted": np.sum,
            "turned round": np.logical_not,
            "numbers": lambda hits: hits.astype(int),
            "a column": lambda hits: hits[:, None],
        },
    },
    wholes={
        "the mean place": mean_place,
        "half of the weight": mass,
        "the patch touches the box": overlapping,
    },
    own=["attnfuse.vision.points_at"],
    reread="section 6",
    hint="`np.divmod(weights.argmax(axis=1), columns)` gives row and column. Middle: `(row + 0.5) * stride`. `top, left, bottom, right = boxes.T`, then four comparisons joined with `&`.",
)
