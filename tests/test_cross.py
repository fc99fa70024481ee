"""Cross-modal attention: pictures and questions, the models that join them, what they cost."""

import json

import numpy as np
import pytest

from attnfuse.data import tiles

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")
from attnfuse import cross  # noqa: E402
from attnfuse.experiments import joins  # noqa: E402

RNG = np.random.default_rng(0)
PATCHES = RNG.normal(size=(4, 6, 5)).astype("float32")
TEXT = np.array([[1, 5, 2], [7, 0, 0], [3, 4, 6], [8, 0, 0]], "int32")


def test_patches_are_the_tiles_row_by_row():
    asked = tiles.load().validation
    cut = tiles.patches(asked.image[:2])
    assert cut.shape == (2, 6, 192)
    np.testing.assert_array_equal(cut[1, 4].reshape(8, 8, 3), asked.image[1, 8:, 8:16])


def test_the_question_names_the_ink_of_the_tile_that_is_asked_for():
    asked = tiles.load().test
    inks = np.array(list(tiles.INKS.values()))
    darkest = tiles.patches(asked.image).reshape(-1, 6, 64, 3).min(axis=2)  # full ink, nearly
    nearest = np.square(darkest[:, :, None] - inks).sum(axis=-1).argmin(axis=-1)  # (B, 6)
    assert all(sorted(row) == list(range(6)) for row in nearest)  # every ink once
    named = [
        list(tiles.INKS).index(tiles.words(row)[-1 if row[0] != 1 else 1]) for row in asked.text
    ]
    rows = np.arange(len(named))
    np.testing.assert_array_equal(nearest[rows, asked.tile], named)
    np.testing.assert_array_equal(asked.digit[rows, asked.tile], asked.label)


def test_no_digit_of_a_test_picture_was_seen_in_training():
    def drawn(part):
        light = tiles.patches(part.image).reshape(-1, 64, 3)
        ink = (1 - light).max(axis=-1)
        return {row.tobytes() for row in np.round(ink / ink.max(axis=1, keepdims=True) * 16)}

    data = tiles.load()
    assert not drawn(data.train) & drawn(data.test)


def test_the_best_guess_without_the_question():
    one = tiles.Asked(*[None] * 4, digit=np.array([[7, 7, 7, 1, 2, 3], [0, 1, 2, 3, 4, 5]]))
    assert tiles.best_without_question(one) == pytest.approx((3 / 6 + 1 / 6) / 2)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="pictures, 64"):
        tiles.compose(np.zeros((3, 8, 8)), np.zeros(3, int), 2, RNG)
    for model in (cross.AskModel, cross.JoinModel):
        with pytest.raises(ValueError, match="kind must be one of"):
            model("guess", 5, 9)


@pytest.mark.parametrize("kind", cross.AskModel.KINDS)
def test_each_fusion_uses_what_it_says(kind):
    model = cross.AskModel(kind, 5, 9, width=8)
    logits = np.asarray(model([PATCHES, TEXT]))
    assert logits.shape == (4, 10)
    other_picture = np.asarray(model([PATCHES[::-1], TEXT]))
    other_text = np.asarray(model([PATCHES, TEXT[::-1]]))
    assert np.allclose(logits, other_picture) == (kind == "question")
    assert np.allclose(logits, other_text) == (kind == "picture")


@pytest.mark.parametrize("kind", cross.JoinModel.KINDS)
def test_padding_behind_a_question_changes_nothing(kind):
    model = cross.JoinModel(kind, 5, 9, width=8, hidden=8, gate=1.0, longest=5)
    longer = np.pad(TEXT, ((0, 0), (0, 2)))
    before, after = (np.asarray(model([PATCHES, text])) for text in (TEXT, longer))
    np.testing.assert_allclose(before, after, atol=1e-5)


def test_a_closed_gate_hides_the_picture_and_an_open_one_does_not():
    for gate, hidden in ((0.0, True), (1.0, False)):
        model = cross.JoinModel("gated", 5, 9, width=8, gate=gate)
        one, other = (np.asarray(model([x, TEXT])) for x in (PATCHES, PATCHES[::-1]))
        assert np.array_equal(one, other) == hidden


def test_weights_are_the_softmax_of_the_scores():
    model = cross.AskModel("attention", 5, 9, width=8)
    scores = model.scores(PATCHES, TEXT)
    powers = np.exp(scores)
    weights = powers / powers.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(model.looks(PATCHES, TEXT), weights, atol=1e-5)


@pytest.mark.parametrize("kind", cross.JoinModel.KINDS)
def test_costs_count_the_scores_of_a_real_model(kind, monkeypatch):
    """Every table of weights that a call makes, its heads counted once."""
    tables = []
    attend = cross.MultiHeadAttention.attend

    def counted(self, *inputs, **options):
        output, weights = attend(self, *inputs, **options)
        tables.append(weights.shape[2] * weights.shape[3])
        return output, weights

    model = cross.JoinModel(kind, 5, 9, width=8, heads=2, depth=2, latents=4)
    monkeypatch.setattr(cross.MultiHeadAttention, "attend", counted)
    model([PATCHES, TEXT])
    assert sum(tables) == cross.costs(kind, T=3, S=6, L=4, depth=2)[1]


def test_pointing_looks_at_the_word_of_the_ink():
    part = tiles.load().validation
    weights = np.zeros((len(part.text), 3, 6))
    ink = np.argmax(part.text >= tiles.VOCABULARY.index("red"), axis=1)
    weights[np.arange(len(ink)), ink, part.tile] = 1
    assert joins.pointing(weights, part) == 1
    weights[:50, :, :] = np.eye(6)[(part.tile[:50] + 1) % 6][:, None]
    assert joins.pointing(weights, part) == pytest.approx(1 - 50 / len(ink))


def test_saved_rows_are_of_the_models_that_are_named():
    rows = json.loads(joins.SAVED.read_text(encoding="utf-8"))
    names = [name for name in joins.NAMES for _ in range(3)]
    assert [(row["name"], row["seed"]) for row in rows] == [(n, i % 3) for i, n in enumerate(names)]
    sizes = {row["name"]: row["parameters"] for row in rows}
    for name in joins.JOINS:
        assert sizes[name] == pytest.approx(135_000, rel=0.01)


def test_training_one_of_each_runs(monkeypatch):
    monkeypatch.setenv("ATTNFUSE_QUICK", "1")
    data = tiles.load()
    for model in (joins.train_asking(data, "attention"), joins.train_joined(data, "gated")):
        assert 0 <= joins.accuracy(model, data.validation) <= 1
