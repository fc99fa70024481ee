"""Scenes in clutter, the layers and models of lesson 08."""

import numpy as np
import pytest

from attnfuse.data import clutter, digits
from attnfuse.exercises import EXERCISES

keras = pytest.importorskip("keras")
from attnfuse import vision  # noqa: E402
from attnfuse.experiments import pooling  # noqa: E402

KINDS = pytest.mark.parametrize("kind", list(vision.NAMES))


@pytest.fixture(scope="module")
def data():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ATTNFUSE_QUICK", raising=False)
        return clutter.load()


def whole(scenes):
    """The pictures in the boxes, `(B, 64)`."""
    return np.stack(
        [
            scene[t:b, left:r, 0].ravel()
            for scene, (t, left, b, r) in zip(scenes.images, scenes.boxes, strict=True)
        ]
    )


# -- the scenes


def test_sizes(data):
    assert [part.images.shape for part in data] == [
        (n, clutter.SIDE, clutter.SIDE, 1) for n in (3000, 600, 1000)
    ]
    for part in data:
        assert part.images.dtype == np.float32
        assert (part.images.min(), part.images.max()) == (0, 1)
        assert (part.boxes[:, 2:] - part.boxes[:, :2] == 8).all()
        assert part.boxes.min() == 0
        assert part.boxes.max() == clutter.SIDE
        assert set(part.labels) == set(range(10))


def test_the_box_holds_the_labelled_digit(data):
    split = digits.load(0)
    for scenes, images, labels in zip(data, split[::2], split[1::2], strict=True):
        known = {
            image.astype(np.float32).tobytes(): n for image, n in zip(images, labels, strict=True)
        }
        assert [known[x.tobytes()] for x in whole(scenes)] == scenes.labels.tolist()


def test_parts_are_made_of_their_own_digits(monkeypatch):
    """`compose` sees the pictures of one part only, and those of two parts never meet."""
    seen = []

    def spy(images, labels, *rest):
        seen.append({image.tobytes() for image in images})
        return compose(images, labels, *rest)

    compose = clutter.compose
    monkeypatch.setattr(clutter, "compose", spy)
    clutter._load.__wrapped__(0, True)
    assert len(seen) == 3
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]


def test_pieces_never_touch_the_box_and_come_from_others():
    images = np.repeat(np.array([[1.0], [0.5]]), 64, axis=1)  # all ink, and all grey
    scenes = clutter.compose(images, np.array([7, 3]), 40, np.random.default_rng(0))
    for scene, label, (t, left, b, r) in zip(*scenes, strict=True):
        ink = 1.0 if label == 7 else 0.5
        inside = scene[t:b, left:r, 0].copy()
        assert (inside == ink).all()
        scene[t:b, left:r, 0] = 0
        assert set(np.unique(scene)) == {0.0, 1.5 - ink}


def test_the_seed_decides_and_copies_are_safe():
    first = clutter.load(0)
    first.train.images[:] = 9
    again = clutter.load(0)
    assert again.train.images.max() == 1
    assert not np.array_equal(again.train.boxes, clutter.load(1).train.boxes)


def test_quick_mode(monkeypatch):
    monkeypatch.setenv("ATTNFUSE_QUICK", "1")
    assert [len(part.labels) for part in clutter.load()] == [300, 60, 100]


@pytest.mark.parametrize(
    ("images", "labels", "text"),
    [
        (np.zeros((3, 8, 8)), np.zeros(3, int), "images must be"),
        (np.zeros((1, 64)), np.zeros(1, int), "images must be"),
        (np.zeros((3, 64)), np.zeros(2, int), "labels must be"),
    ],
)
def test_compose_refuses(images, labels, text):
    with pytest.raises(ValueError, match=text):
        clutter.compose(images, labels, 1, np.random.default_rng(0))


# -- layers


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")  # a case has one place
def test_query_pooling_equals_the_loops():
    exercise = EXERCISES["query_pooling"]
    for case in exercise.cases(np.random.default_rng(3)):
        inputs = dict(case.inputs)
        layer = vision.QueryPooling(len(inputs["query"]))
        layer(inputs["places"])
        for name in ("key_matrix", "bias", "query"):
            getattr(layer, name).assign(inputs[name])
        for got, want in zip(layer(inputs["places"]), exercise.reference(**inputs), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_attend_over_picture_equals_loops_and_keras():
    exercise = EXERCISES["whole_picture"]
    for case in exercise.cases(np.random.default_rng(3)):
        maps = case.inputs["maps"]
        got = np.asarray(vision.attend_over_picture(maps))
        np.testing.assert_allclose(got, exercise.reference(maps), rtol=1e-4, atol=1e-5)
        places = vision.to_sequence(maps)
        mixed = np.asarray(keras.layers.Attention()([places, places]))
        np.testing.assert_allclose(got, mixed.reshape(maps.shape), atol=1e-5)


def test_attention_given_maps_attends_within_each_row():
    """What lesson 08 says of the locked Keras, and writes out for versions that refuse maps."""
    maps = np.random.default_rng(3).normal(size=(2, 3, 4, 5)).astype("float32")
    rows = maps.reshape(6, 4, 5)
    expected = np.asarray(keras.layers.Attention()([rows, rows])).reshape(maps.shape)
    got = np.asarray(keras.layers.Attention()([maps, maps]))
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("policy", ["float32", "float16", "mixed_float16"])
def test_a_masked_place_counts_as_deleted_and_no_place_as_zero(policy):
    layer = vision.QueryPooling(4, dtype=policy)
    places = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    mask = np.array([[True, True, False, True, True], [False] * 5])
    context, weights = (np.asarray(x, "float32") for x in layer(places, mask=mask))
    kept, _ = layer(np.delete(places, 2, axis=1))
    np.testing.assert_allclose(context[0], np.asarray(kept, "float32")[0], atol=5e-3)
    assert (weights[1] == 0).all()
    assert (context[1] == 0).all()


def test_gradients_of_an_all_masked_picture_are_zero():
    import tensorflow as tf

    layer = vision.QueryPooling(4)
    places = tf.random.normal((1, 5, 3))
    with tf.GradientTape() as tape:
        tape.watch(places)
        context, _ = layer(places, mask=np.zeros((1, 5), bool))
        loss = tf.reduce_sum(context)
    for gradient in tape.gradient(loss, [places, *layer.trainable_variables]):
        assert np.isfinite(gradient).all()
        assert (np.asarray(gradient) == 0).all()


@pytest.mark.parametrize(
    "make", [lambda: vision.QueryPooling(4), lambda: vision.SelfAttention(4), vision.Positions]
)
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4, 5), (2, 0, 3)])
def test_layers_refuse_other_shapes(make, shape):
    with pytest.raises(ValueError, match="places must"):
        make()(np.zeros(shape, "float32"))


def test_refusals():
    with pytest.raises(ValueError, match="maps must be"):
        vision.to_sequence(np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="maps must be"):
        vision.attend_over_picture(np.zeros((2, 0, 3, 4), "float32"))
    with pytest.raises(ValueError, match="5 places"):
        vision.points_at(np.ones((2, 5)), np.zeros((2, 4)), columns=2, stride=4)
    with pytest.raises(ValueError, match="boxes must be"):
        vision.points_at(np.ones((2, 6)), np.zeros((3, 4)), columns=2, stride=4)
    with pytest.raises(ValueError, match="multiple of 4"):
        vision.occlusion_map(lambda x: np.ones((len(x), 2)), np.zeros((2, 10, 10, 1)))
    with pytest.raises(ValueError, match="kind must be"):
        vision.SceneModel("median")
    with pytest.raises(ValueError, match="images must be"):
        vision.SceneModel("average").encode(np.zeros((1, 20, 24, 1), "float32"))
    with pytest.raises(ValueError, match="square map"):
        vision.to_picture(np.zeros((2, 35)))
    with pytest.raises(ValueError, match="no attention"):
        vision.looks(vision.SceneModel("max"), np.zeros((1, 24, 24, 1), "float32"))


# -- models


@KINDS
def test_models_run_and_weights_sum_to_one(kind, data):
    model = vision.SceneModel(kind, channels=(4, 8))
    images = data.test.images[:3]
    logits, weights = model.read(model.encode(images))
    assert logits.shape == (3, 10)
    np.testing.assert_allclose(model(images), logits, atol=1e-5)
    assert (weights is not None) == vision.has_attention(kind)
    if weights is not None:
        np.testing.assert_allclose(np.sum(weights, axis=1), 1, atol=1e-5)


@KINDS
def test_who_sees_the_order_of_places(kind, data):
    keras.utils.set_random_seed(0)
    model = vision.SceneModel(kind, channels=(4, 8))
    if kind == "self+places":
        model.positions.vectors.assign(np.random.default_rng(0).normal(size=(36, 8)))
    places = np.asarray(model.encode(data.test.images[:3]))
    logits, _ = model.read(places)
    shuffled, _ = model.read(places[:, np.random.default_rng(1).permutation(36)])
    same = np.allclose(logits, shuffled, atol=1e-5)
    assert same == (kind in ("average", "max", "query", "self"))


def test_intervals():
    assert vision.interval([0.5]) == (0.5, 0.0)
    mean, half = vision.interval([0.1, 0.2, 0.3])
    assert mean == pytest.approx(0.2)
    assert half == pytest.approx(4.303 * 0.1 / 3**0.5, rel=1e-3)


def test_points_at_equals_the_loops():
    exercise = EXERCISES["points_at_digit"]
    for case in exercise.cases(np.random.default_rng(5)):
        got = vision.points_at(**case.inputs)
        np.testing.assert_array_equal(got, exercise.reference(**case.inputs))


def test_two_middles_in_each_direction():
    for top in range(17):
        y = vision.centres((6, 6), 4)[::6, 0]
        assert ((top <= y) & (y < top + 8)).sum() == 2


def test_in_box_agrees_with_pointing(data):
    boxes = data.test.boxes[:50]
    inside = vision.in_box(boxes)
    assert (inside.sum(axis=1) == 4).all()
    for place in range(36):
        one_hot = np.eye(36)[[place] * len(boxes)]
        hits = vision.points_at(one_hot, boxes, 6, vision.STRIDE)
        np.testing.assert_array_equal(inside[:, place], hits)


def test_reliance(data):
    """Contents that are 30 long in the box and 1 elsewhere; the answer is what the box says."""
    scenes = clutter.Scenes(*(array[:20] for array in data.test))
    inside = vision.in_box(scenes.boxes)
    places = np.zeros((20, 36, 10), np.float32)
    places[..., 0] = 1
    places[inside] = 0
    for content, box, label in zip(places, inside, scenes.labels, strict=True):
        content[box, label] = 30

    class Model:
        kind, side = "average", 24

        def encode(self, images):
            return places

        def read(self, contents):
            return np.asarray(contents).mean(axis=1), None

    *means, only, without = pooling.reliance(Model(), scenes)
    assert means == pytest.approx([30, 1, 1 / 36, 1 / 36])
    assert only == 1
    assert without == np.mean(scenes.labels == 0)


def test_occlusion_finds_the_only_pixel_that_counts():
    def predict(images):
        p = images[:, 13, 6, 0]
        return np.stack([1 - p, p], axis=1)

    images = np.ones((2, 24, 24, 1), np.float32)
    drops = vision.occlusion_map(predict, images, patch=4)
    assert drops.shape == (2, 36)
    assert drops.argmax(axis=1).tolist() == [3 * 6 + 1] * 2
    assert (np.count_nonzero(drops, axis=1) == 1).all()
    assert (images == 1).all()


def test_covering_the_only_patch_that_counts():
    """A model that is sure of class 0 as long as the ink at pixel (13, 6), place (3, 1), shows."""

    class Model:
        side, grid = 24, (6, 6)

        def predict_on_batch(self, images):
            shows = 20.0 * images[:, 13, 6, 0]
            return np.stack([shows, np.zeros(len(images))], axis=1)

    boxes = np.tile([[12, 4, 20, 12]], (200, 1))  # places (3, 1), (3, 2), (4, 1), (4, 2)
    scenes = clutter.Scenes(np.ones((200, 24, 24, 1), np.float32), np.zeros(200, int), boxes)
    images = scenes.images.copy()
    largest, random, beside = pooling.covering(Model(), np.eye(36)[[19] * 200], scenes)
    assert largest == pytest.approx(0.5, abs=1e-4)
    assert random == pytest.approx(0.5 / 36, abs=0.03)
    assert beside == 0
    largest, _, beside = pooling.covering(Model(), np.eye(36)[[20] * 200], scenes)
    assert largest == 0
    assert beside == pytest.approx(0.5 / 3, abs=0.08)
    np.testing.assert_array_equal(scenes.images, images)


def test_pointing_has_a_map_of_every_kind_for_each_seed(data):
    models = {kind: [vision.SceneModel(kind, channels=(4, 8))] * 2 for kind in ("average", "query")}
    scenes = clutter.Scenes(*(array[:5] for array in data.test))
    maps = pooling.pointing(models, scenes)
    assert list(maps) == [
        "attention pooling: weights",
        "average pooling: class activation",
        "average pooling: occlusion",
    ]
    for several in maps.values():
        assert np.shape(several) == (2, 5, 36)
        assert pooling.hits(several, scenes).shape == (2, 5)


def test_the_best_place_to_point_at_always(data):
    """Eight of the 17 positions of a box in each direction hold a middle place."""
    often = vision.in_box(data.train.boxes).mean(axis=0)
    assert np.unravel_index(often.argmax(), (6, 6)) in [(2, 2), (2, 3), (3, 2), (3, 3)]
    assert often.max() == pytest.approx((8 / 17) ** 2, abs=0.03)
    every = np.array([(t, left, t + 8, left + 8) for t in range(17) for left in range(17)])
    assert vision.in_box(every).mean(axis=0).max() == pytest.approx((8 / 17) ** 2)
    assert vision.in_box(every).mean() == pytest.approx(4 / 36)


def test_a_place_reads_ten_by_ten_pixels():
    keras.utils.set_random_seed(0)
    model = vision.SceneModel("average")
    paper = np.random.default_rng(0).random((1, 24, 24, 1), dtype="float32")
    dots = paper + 9 * np.eye(576, dtype="float32").reshape(576, 24, 24, 1)
    contents = [np.asarray(model.encode(x))[:, 14] for x in (paper, dots)]
    moves = np.abs(contents[1] - contents[0]).max(axis=1) > 1e-4
    seen = np.argwhere(moves.reshape(24, 24))
    assert seen.min(axis=0).tolist() == [5, 5]
    assert seen.max(axis=0).tolist() == [14, 14]


def test_the_colleague_reads_one_row_only():
    maps = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype("float32")
    rows = maps.reshape(6, 1, 4, 5)
    want = np.asarray(vision.attend_over_picture(rows)).reshape(maps.shape)
    np.testing.assert_allclose(pooling.colleague(maps), want, rtol=1e-4, atol=1e-5)


def test_to_picture():
    picture = vision.to_picture(np.arange(4.0)[None], side=4)
    assert picture[0].tolist() == [[0, 0, 1, 1]] * 2 + [[2, 2, 3, 3]] * 2


def test_delegating_to_the_course_is_refused():
    class QueryPooling(keras.layers.Layer):
        def __init__(self, units):
            super().__init__()
            self.inner = vision.QueryPooling(units)

        def call(self, places):
            return self.inner(places)

    def points(weights, boxes, columns, stride):
        return vision.points_at(weights, boxes, columns, stride)

    answers = {
        "whole_picture": vision.attend_over_picture,
        "query_pooling": QueryPooling,
        "points_at_digit": points,
    }
    for name, answer in answers.items():
        verdict = EXERCISES[name].judge(answer, seed=0)
        assert not verdict.passed
        assert "Write your own" in verdict.message
