"""Fusion: the data's split, what a model can express, the statistics, the layers."""

import numpy as np
import pytest

from attnfuse.data import digit_pairs, emoji


@pytest.fixture(scope="module")
def data():
    return emoji.load()


def test_near_twins_are_in_one_part_only(data):
    bases = [set(part.base) for part in (data.train, data.validation, data.test)]
    assert not bases[0] & bases[1]
    assert not bases[0] & bases[2]
    assert not bases[1] & bases[2]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("WOMAN RUNNING", "PERSON RUNNING FACING RIGHT"),
        ("BLACK CAT", "CAT FACE"),
        ("GREEN BOOK", "ORANGE BOOK"),
        ("UPWARDS BLACK ARROW", "RIGHTWARDS ARROW WITH HOOK"),
    ],
)
def test_near_twins_share_a_base(a, b):
    assert emoji.base_of(a) == emoji.base_of(b)


def test_different_things_have_different_bases():
    assert emoji.base_of("WOMAN RUNNING") != emoji.base_of("WOMAN SINGER")


def test_a_name_of_variant_words_only_keeps_its_words():
    assert emoji.base_of("OLDER MAN") == "older man"


def test_no_class_word_is_a_keyword(data):
    _, class_words = emoji._table()
    assert set(emoji.CLASSES) <= class_words
    for part in (data.train, data.validation, data.test):
        assert not class_words & {word for words in part.words for word in words}


def test_the_vocabulary_is_that_of_the_training_part(data):
    of_word = {}
    for words, base in zip(data.train.words, data.train.base, strict=True):
        for word in words:
            of_word.setdefault(word, set()).add(base)
    assert set(data.vocabulary) == {word for word, bases in of_word.items() if len(bases) > 1}
    for part in (data.train, data.test):
        assert part.text.max() < len(data.vocabulary) + 2
        first = part.words[0]
        expected = [data.vocabulary.get(word, emoji.UNKNOWN) for word in first]
        assert part.text[0, : len(first)].tolist() == expected


def test_pictures(data):
    image = data.train.image
    assert image.dtype == np.float32
    assert image.shape[1:] == (24, 24, 3)
    assert 0 <= image.min() < image.max() <= 1
    assert np.median(image[:, 0, 0]) == 1  # corners are paper
    assert len(np.unique(data.train.label)) == 10


def test_missing_package_is_named():
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        emoji.folder("no_such_package")


def test_split_by_base_shares():
    base = np.repeat(np.arange(50), 3)
    parts = emoji.split_by_base(base, (0.6, 0.2, 0.2), seed=4)
    assert [len(set(base[rows])) for rows in parts] == [30, 10, 10]
    assert sorted(np.concatenate(parts)) == list(range(150))


@pytest.mark.parametrize("kind", digit_pairs.KINDS)
def test_pairs_are_balanced_and_apart(kind):
    pairs = digit_pairs.load(kind, seed=1)
    assert len(set(np.bincount(pairs.train_label))) == 1
    assert len(set(np.bincount(pairs.test_label))) == 1
    seen = {row.tobytes() for row in np.concatenate([pairs.train_a, pairs.train_b])}
    repeated = np.mean([row.tobytes() in seen for row in pairs.test_a])
    assert repeated < 0.01


def test_unknown_kind_of_pairs():
    with pytest.raises(ValueError, match="redundant"):
        digit_pairs.load("surprising")


fusion = pytest.importorskip("attnfuse.fusion", exc_type=ImportError)


def test_emap_keeps_additive_logits_and_removes_products():
    rng = np.random.default_rng(0)
    f, g = rng.standard_normal((2, 6, 3))
    additive = f[:, None] + g[None, :]
    np.testing.assert_allclose(fusion.emap(additive), f + g)
    f, g = f - f.mean(axis=0), g - g.mean(axis=0)
    np.testing.assert_allclose(
        fusion.emap(additive + f[:, None] * g[None, :]), fusion.emap(additive)
    )


def test_paired_interval_of_equal_models_is_zero():
    right = np.random.default_rng(0).random((3, 50)) < 0.7
    assert fusion.paired_interval(right, right) == (0, 0, 0)


def test_paired_interval_covers():
    """The 95 % interval holds the true difference in about 95 of 100 draws of the test items."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        easy = rng.random(200)
        a, b = (rng.random((3, 200)) < np.clip(easy + gain, 0, 1) for gain in (0.1, 0.0))
        low, _, high = fusion.paired_interval(a, b)
        held += low <= 0.095 <= high  # clipping at 1 costs 0.1² / 2
    assert 0.91 < held / 400 < 0.985


def _arrays(*shapes):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype("float32") for shape in shapes]


@pytest.mark.parametrize("name", fusion.FUSIONS)
@pytest.mark.parametrize("head", fusion.HEADS)
def test_every_fusion_meets_the_budget(name, head):
    parameters = fusion.fusion_model(name, head, 10).count_params()
    assert abs(parameters - fusion.BUDGET) < 0.05 * fusion.BUDGET


@pytest.mark.parametrize("name", fusion.FUSIONS)
def test_which_fusions_are_additive_behind_a_linear_head(name):
    model = fusion.fusion_model(name, "linear", 10)
    a, other_a, b, other_b = _arrays(*[(5, fusion.WIDTH)] * 4)
    corners = fusion.four_corners(
        lambda x, y: fusion.outputs(model, [x, y]), a, other_a, b, other_b
    )
    assert (np.abs(corners).max() < 1e-4) == (name in ("concatenation", "sum"))


def test_a_linear_dense_layer_behind_a_concatenation_is_a_sum():
    image, text, matrix = _arrays((4, 3), (4, 2), (5, 6))
    to_image, to_text = fusion.split_concatenation(matrix, 3)
    joined = np.concatenate([image, text], axis=1) @ matrix
    np.testing.assert_allclose(image @ to_image + text @ to_text, joined, rtol=1e-4, atol=1e-5)


def test_low_rank_keeps_each_modality():
    layer = fusion.LowRankBilinear(4, rank=2)
    image, text = _arrays((3, 5), (3, 6))
    zeros = np.zeros_like(text)
    assert np.abs(layer([image, zeros])).max() > 1e-3
    assert not np.allclose(layer([image, zeros]), layer([image, text]))


def test_words_that_are_unknown_or_absent_say_nothing():
    layer = fusion.WordMean(10, width=4)
    text = np.array([[2, 3, 0], [2, 3, 1], [0, 1, 1]], "int32")
    got = np.asarray(layer(text))
    np.testing.assert_allclose(got[0], got[1])
    np.testing.assert_allclose(got[2], 0)


def test_a_fully_hidden_text_is_zero_and_finite_in_training():
    layer = fusion.WordMean(10, width=4, hide=1.0)
    assert np.asarray(layer(np.full((2, 3), 5, "int32"), training=True)).tolist() == [[0] * 4] * 2


def test_all_pairs_holds_the_true_pairs_on_its_diagonal():
    model = fusion.fusion_model("low rank", "ReLU", 10)
    image, text = _arrays((4, fusion.WIDTH), (4, fusion.WIDTH))
    grid = fusion.all_pairs(model, image, text)
    np.testing.assert_allclose(
        np.einsum("bbc->bc", grid), fusion.outputs(model, [image, text]), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        grid[0, 3], fusion.outputs(model, [image[:1], text[3:]])[0], rtol=1e-4, atol=1e-5
    )


def test_fit_learns_and_repeats():
    import keras

    from attnfuse import training

    x = np.random.default_rng(0).standard_normal((200, 5)).astype("float32")
    y = (x[:, 0] > 0).astype(int)
    got = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])
        training.fit_small(model, x, y, 40, seed=0, rate=0.05)
        got.append(fusion.outputs(model, x))
    np.testing.assert_allclose(*got, rtol=1e-5)
    assert fusion.accuracy(got[0], y) > 0.9
