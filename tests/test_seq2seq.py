"""Number words, the layers and the models of lesson 06."""

import numpy as np
import pytest

from attnfuse.data import number_words
from attnfuse.exercises import EXERCISES

keras = pytest.importorskip("keras")
from attnfuse import layers, models  # noqa: E402
from attnfuse.experiments import translations  # noqa: E402


@pytest.fixture(scope="module")
def data():
    return number_words.load()


def small(kind):
    keras.utils.set_random_seed(0)
    return models.Seq2Seq(22, 34, attention=kind, width=8)


KINDS = pytest.mark.parametrize("kind", [None, "additive", "multiplicative"])


def test_words_of_numbers():
    pairs = number_words.pairs([21, 1001])
    assert pairs.german == ["einundzwanzig", "eintausendeins"]
    assert pairs.english == ["twenty one", "one thousand and one"]
    assert [number_words.to_text(row) for row in pairs.target] == pairs.english
    assert (pairs.source > 0).sum(axis=1).tolist() == [13, 14]


def test_every_number_has_its_tokens():
    pairs = number_words.pairs(range(0, number_words.LIMIT, 7))
    assert [number_words.to_text(row) for row in pairs.target] == pairs.english


def test_no_number_is_in_two_parts(data):
    numbers = np.concatenate([part.number for part in data[:3]])
    assert len(set(numbers.tolist())) == len(numbers)


def test_shuffled_letters_keep_their_padding(data):
    source = data.validation.source
    shuffled = number_words.shuffle_letters(source)
    assert (np.sort(shuffled) == np.sort(source)).all()
    assert ((shuffled > 0) == (source > 0)).all()
    assert (shuffled != source).any()


def test_additive_attention_equals_the_loops():
    exercise = EXERCISES["decoder_asks"]
    for case in exercise.cases(np.random.default_rng(3)):
        names = ["query_matrix", "key_matrix", "vector"]
        inputs = dict(case.inputs)
        layer = layers.AdditiveAttention(len(inputs["vector"]))
        query, key = inputs["decoder_states"], inputs["encoder_states"]
        mask = inputs["is_letter"][:, None]
        layer(query, key, mask=mask)
        for name in names:
            getattr(layer, name).assign(inputs[name])
        context, weights, _ = exercise.reference(**inputs)
        for got, want in zip(layer(query, key, mask=mask), (context, weights), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_multiplicative_score_by_hand():
    layer = layers.MultiplicativeAttention()
    query, key = np.array([[[1.0, 2, 0, 0]]], "float32"), np.array([[[3.0], [5.0]]], "float32")
    layer(query, key)
    layer.matrix.assign(np.array([[1.0], [2], [9], [9]]))
    np.testing.assert_allclose(layer.scores(query, key), [[[7.5, 12.5]]])  # (1·1 + 2·2) · key / √4


@pytest.mark.parametrize(
    "make", [lambda: layers.AdditiveAttention(4), layers.MultiplicativeAttention]
)
def test_a_row_without_allowed_keys_is_zero(make):
    query, key = np.ones((1, 2, 4), "float32"), np.ones((1, 3, 4), "float32")
    mask = np.array([[[True, True, False], [False, False, False]]])
    context, weights = (np.asarray(x) for x in make()(query, key, mask=mask))
    np.testing.assert_allclose(weights[0], [[0.5, 0.5, 0], [0, 0, 0]], atol=1e-6)
    assert (context[0, 1] == 0).all()


@KINDS
def test_word_by_word_equals_all_at_once(kind, data):
    model, pairs = small(kind), number_words.pairs([4321, 8])
    read = number_words.shift_targets(pairs.target)
    memory = model.encode(pairs.source)
    state, logits = memory.summary, []
    for t in range(read.shape[1]):
        one, _, state = model.decode(read[:, t : t + 1], memory, state)
        logits.append(np.asarray(one)[:, 0])
    np.testing.assert_allclose(
        np.stack(logits, axis=1), model([pairs.source, read]), rtol=1e-4, atol=1e-5
    )


@KINDS
def test_more_padding_changes_nothing(kind):
    model, pairs = small(kind), number_words.pairs([4321, 8])
    read = number_words.shift_targets(pairs.target)
    wide = np.pad(pairs.source, ((0, 0), (0, 9)))
    np.testing.assert_allclose(model([pairs.source, read]), model([wide, read]), atol=1e-5)


def test_greedy_decoding_equals_free_running():
    model, pairs = small("additive"), number_words.pairs([4321, 8, 77])
    for source, row in zip(pairs.source, models.free_running(model, pairs.source), strict=True):
        end = np.flatnonzero(row == number_words.END)
        expected = row[: end[0]] if len(end) else row
        assert models.greedy_decode(*models.reader(model, source), longest=8) == expected.tolist()


def test_parameters_are_matched():
    counts = [models.Seq2Seq(22, 34, attention=kind).count_params() for kind in (None, "additive")]
    assert counts[0] == pytest.approx(counts[1], rel=0.01)


def test_alignment_rows_sum_to_one_over_letters():
    pairs = number_words.pairs([4321, 8])
    weights = models.alignment(small("multiplicative"), pairs.source, pairs.target)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
    assert (weights[1][:, len("acht") :] == 0).all()


def test_only_positions_see_order():
    pairs = number_words.pairs([4321, 8])
    read = number_words.shift_targets(pairs.target)
    shuffled = number_words.shuffle_letters(pairs.source)
    for positions in (False, True):
        model = translations.ArticleModel(22, 34, positions=positions, width=8)
        same = np.allclose(model([pairs.source, read]), model([shuffled, read]), atol=1e-5)
        assert same != positions


def test_delegating_to_the_course_is_refused():
    class DecoderAsks(keras.layers.Layer):
        def __init__(self, units):
            super().__init__()
            self.inner = layers.AdditiveAttention(units)

        def call(self, decoder_states, encoder_states, is_letter):
            return self.inner(decoder_states, encoder_states, mask=is_letter[:, None])

    answers = {
        "shift_targets": number_words.shift_targets,
        "exact_match": number_words.exact_match,
        "greedy_decode": models.greedy_decode,
        "decoder_asks": DecoderAsks,
    }
    for name, answer in answers.items():
        verdict = EXERCISES[name].judge(answer, seed=0)
        assert not verdict.passed
        assert "Write your own" in verdict.message
