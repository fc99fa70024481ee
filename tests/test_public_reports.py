"""Kinds of fault that users report of attention code elsewhere, tried on every layer and model here.

Saving, symbolic shapes, half precision, nested lists, closed places that hold NaN, pictures with their
channels first, batches of padding only. What belongs to one file alone is tested beside it.
"""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
from attnfuse import fusion, layers, models, training, transformer, vision  # noqa: E402
from attnfuse.experiments import pronunciations, translations  # noqa: E402

B, T, S, D = 2, 3, 4, 6
RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


def tokens(*shape):
    found = RNG.integers(3, 9, shape).astype("int32")
    found[0, -1] = 0  # padding
    return found


QUERY, KEY, VALUE, PLACES = floats(B, T, D), floats(B, S, D), floats(B, S, 5), floats(B, 9, D)
REAL, WORDS = np.array([[True, True, False, False], [True] * 4]), tokens(B, S)
SMALL = {"width": 8, "heads": 2, "depth": 1, "hidden": 12}

# name: (how it is made, what it is called with, shape of each output)
ATTENTION = {
    "scaled": (layers.ScaledDotProductAttention, [QUERY, KEY, VALUE], [(B, T, 5), (B, T, S)]),
    "additive": (
        lambda **o: layers.AdditiveAttention(7, **o),
        [QUERY, KEY, VALUE],
        [(B, T, 5), (B, T, S)],
    ),
    "multiplicative": (
        layers.MultiplicativeAttention,
        [QUERY, KEY, VALUE],
        [(B, T, 5), (B, T, S)],
    ),
    "heads": (lambda **o: layers.MultiHeadAttention(2, 8, **o), [QUERY, KEY, VALUE], [(B, T, 8)]),
}
SEQUENCE = ATTENTION | {
    "positions": (lambda **o: layers.Positions(5, **o), [KEY], [(B, S, D)]),
    "feed forward": (lambda **o: transformer.FeedForward(D, 7, **o), [KEY], [(B, S, D)]),
    "encoder layer": (
        lambda **o: transformer.EncoderLayer(D, 2, 7, **o),
        [KEY, REAL],
        [(B, S, D)],
    ),
    "decoder layer": (
        lambda **o: transformer.DecoderLayer(D, 2, 7, **o),
        [QUERY, KEY, REAL],
        [(B, T, D)],
    ),
    "query pooling": (lambda **o: vision.QueryPooling(4, **o), [PLACES], [(B, D), (B, 9)]),
    "rnn pooling": (vision.RNNPooling, [PLACES], [(B, D), (B, 9)]),
    "self-attention": (lambda **o: vision.SelfAttention(4, **o), [PLACES], [(B, 9, D), (B, 9, 9)]),
    "word mean": (lambda **o: fusion.WordMean(9, 5, **o), [WORDS], [(B, 5)]),
}
LAYERS = SEQUENCE | {
    "conv pooling": (lambda **o: vision.ConvPooling((3, 3), **o), [PLACES], [(B, D), (B, 9)]),
    "places": (vision.Positions, [PLACES], [(B, 9, D)]),
    "gate": (lambda **o: fusion.Gate(4, **o), [[floats(B, 3), floats(B, 5)]], [(B, 4)]),
    "sum": (lambda **o: fusion.Sum(4, **o), [[floats(B, 3), floats(B, 5)]], [(B, 4)]),
    "product": (lambda **o: fusion.Product(4, **o), [[floats(B, 3), floats(B, 5)]], [(B, 4)]),
    "side by side": (
        lambda **o: fusion.Concatenation(4, **o),
        [[floats(B, 3), floats(B, 5)]],
        [(B, 8)],
    ),
    "low rank": (
        lambda **o: fusion.LowRankBilinear(4, 2, **o),
        [[floats(B, 3), floats(B, 5)]],
        [(B, 4)],
    ),
}
IMAGES = RNG.random((B, 8, 8, 1)).astype("float32")
MODELS = {
    f"scenes, {kind}": (
        lambda kind=kind, **o: vision.SceneModel(kind, (2, 4), side=8, **o),
        [IMAGES],
        [(B, 10)],
    )
    for kind in vision.NAMES
} | {
    f"GRUs, {kind}": (
        lambda kind=kind, **o: models.Seq2Seq(9, 11, kind, width=8, **o),
        [[WORDS, tokens(B, T)]],
        [(B, T, 11)],
    )
    for kind in (None, "additive", "multiplicative")
}
MODELS |= {
    "transformer": (
        lambda **o: transformer.Transformer(9, 11, **SMALL, **o),
        [[WORDS, tokens(B, T)]],
        [(B, T, 11)],
    ),
    "norm after": (
        lambda **o: pronunciations.NormAfter(9, 11, **SMALL, **o),
        [[WORDS, tokens(B, T)]],
        [(B, T, 11)],
    ),
    "article": (
        lambda **o: translations.ArticleModel(9, 11, positions=True, width=8, **o),
        [[WORDS, tokens(B, T)]],
        [(B, T, 11)],
    ),
}
WRITERS = {name: row for name, row in MODELS.items() if name[:4] in ("GRUs", "tran")}


def every(table):
    return pytest.mark.parametrize(
        ("make", "inputs", "shapes"), [pytest.param(*row, id=name) for name, row in table.items()]
    )


def array(x):
    return layers.to_numpy(keras.ops.convert_to_tensor(x))


def arrays(outputs):
    return [array(x) for x in (outputs if isinstance(outputs, tuple | list) else [outputs])]


def symbols(inputs, unknown=False):
    """A `keras.Input` for each array, its length unknown if asked."""

    def one(x):
        if isinstance(x, list):
            return [one(part) for part in x]
        shape = (None, *x.shape[2:]) if unknown and x.ndim > 1 else x.shape[1:]
        return keras.Input(shape, dtype=str(x.dtype))

    return [one(x) for x in inputs]


# -- shapes -----------------------------------------------------------------------------------------


@every(LAYERS | MODELS)
def test_symbolic_eager_and_predicted_agree(make, inputs, shapes):
    layer, entries = make(), symbols(inputs)
    changed = [x * 2.0 if x.dtype == "float32" else x for x in keras.tree.flatten(entries)]
    outputs = layer(*keras.tree.pack_sequence_as(entries, changed))
    promised = outputs if isinstance(outputs, tuple | list) else [outputs]
    assert [x.shape for x in promised] == [(None, *shape[1:]) for shape in shapes]
    assert all(x.dtype == "float32" for x in promised)
    flat = keras.tree.flatten(inputs)
    twice = [x * 2 if x.dtype == np.float32 else x for x in flat]
    eager = arrays(layer(*keras.tree.pack_sequence_as(inputs, twice)))
    predicted = arrays(keras.Model(keras.tree.flatten(entries), outputs).predict(flat, verbose=0))
    assert [x.shape for x in eager] == shapes
    for a, b in zip(eager, predicted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@every(SEQUENCE)
def test_unknown_lengths(make, inputs, shapes):
    layer, entries = make(), symbols(inputs, unknown=True)
    outputs = layer(*entries)
    assert all(x.shape[0] is None for x in (outputs if len(shapes) > 1 else [outputs]))
    predicted = arrays(keras.Model(entries, outputs).predict(inputs, verbose=0))
    for a, b in zip(arrays(layer(*inputs)), predicted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@every(ATTENTION)
def test_weights_asked_for_in_a_functional_model(make, inputs, shapes):
    entries = symbols(inputs, unknown=True)
    _, weights = make()(*entries, return_weights=True)
    assert weights.shape[-2:] == (None, None)
    assert keras.Model(entries, weights).predict(inputs, verbose=0).shape[-2:] == (T, S)


# -- saving -----------------------------------------------------------------------------------------

LOAD = """
import sys
from pathlib import Path
import attnfuse.fusion, attnfuse.models, attnfuse.transformer, attnfuse.vision
import attnfuse.experiments.pronunciations, attnfuse.experiments.translations
import keras, numpy as np
from attnfuse.layers import to_numpy
for path in sorted(Path(sys.argv[1]).glob("*.keras")):
    model, data = keras.models.load_model(path), np.load(path.with_suffix(".npz"))
    inputs = [data[f"x{i}"] for i in range(sum(name[0] == "x" for name in data.files))]
    outputs = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    for i, x in enumerate(outputs if isinstance(outputs, tuple | list) else [outputs]):
        np.testing.assert_array_equal(to_numpy(x), data[f"y{i}"], err_msg=path.stem)
    print(path.stem)
"""


def test_saved_models_and_layers_answer_the_same_in_a_fresh_process(tmp_path):
    """Every layer in a functional model, every model; the policy must reach all their parts, too."""
    saved = LAYERS | MODELS
    for name, (make, inputs, _) in saved.items():
        model, flat = make(dtype="mixed_float16"), keras.tree.flatten(inputs)
        if name in LAYERS:
            entries = symbols(inputs)
            several = keras.tree.flatten(entries)
            model = keras.Model(several if several[1:] else several[0], model(*entries))
        outputs = arrays(model(flat if len(flat) > 1 else flat[0], training=False))
        model.save(tmp_path / f"{name}.keras")
        parts = {f"x{i}": x for i, x in enumerate(flat)}
        np.savez(tmp_path / name, **parts, **{f"y{i}": x for i, x in enumerate(outputs)})
    code = [sys.executable, "-c", LOAD, str(tmp_path)]
    done = subprocess.run(code, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert set(done.stdout.splitlines()) == saved.keys()


@pytest.fixture
def eagerly(monkeypatch):
    """One pass, and no graphs: for a step or two they do not pay."""
    monkeypatch.setenv("ATTNFUSE_QUICK", "1")
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.usefixtures("eagerly")
def test_a_trained_transformer_goes_on_training_after_loading(tmp_path):
    model, target = transformer.Transformer(9, 11, **SMALL), tokens(B, T)
    transformer.fit(model, SimpleNamespace(source=WORDS, target=target), epochs=1)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.loss.get_config() == model.loss.get_config()
    steps = [one.train_on_batch([WORDS, target], target) for one in (model, again)]
    assert steps[0] == pytest.approx(steps[1], rel=1e-5)
    np.testing.assert_allclose(again([WORDS, target]), model([WORDS, target]), atol=1e-5)


# -- half precision ---------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "float64"])
@every(WRITERS)
def test_writing_under_other_dtypes(make, inputs, shapes, policy):
    """What works outside `__call__`: encode, decode, steps with a cache, greedy, beam, alignment."""
    model, source = make(dtype=policy), WORDS
    free = models.free_running(model, source, 3)
    if isinstance(model, transformer.Transformer):
        cached, anew = (transformer.greedy(model, source, 3, kept) for kept in (True, False))
        text, total = transformer.beam(model, source, 2, 3)
        assert text.shape == (B, 3)
        assert np.isfinite(total).all()
        assert cached.shape == anew.shape == free.shape
        return
    assert models.greedy_recurrent(model, source, 3).shape == free.shape
    assert len(models.greedy_decode(*models.reader(model, source[0]), longest=3)) <= 3
    if model.attend is not None:
        sums = models.alignment(model, source, inputs[0][1]).sum(axis=-1)
        np.testing.assert_allclose(sums, 1, atol=2e-2)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize("kind", list(vision.NAMES))
def test_looking_under_other_dtypes(kind, policy):
    model = vision.SceneModel(kind, (2, 4), side=8, dtype=policy)
    scenes = vision.Scenes(IMAGES, np.zeros(B, int), np.tile([0, 0, 4, 4], (B, 1)))
    assert vision.accuracy(model, scenes) in (0, 0.5, 1)
    np.testing.assert_allclose(vision.probabilities(model, IMAGES).sum(axis=1), 1, atol=1e-5)
    if kind == "average":
        assert vision.class_activation(model, IMAGES).shape == (B, 4)
    if vision.has_attention(kind):
        np.testing.assert_allclose(vision.looks(model, IMAGES).sum(axis=1), 1, atol=2e-2)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("additive", "float16"),
        ("multiplicative", "float32"),
        ("scaled", "float32"),
        ("query pooling", "float16"),
        ("conv pooling", "float16"),
    ],
)
def test_scores_can_be_asked_for_under_mixed_precision(name, dtype):
    make, inputs, _ = LAYERS[name]
    layer = make(dtype="mixed_float16")
    layer(*inputs)
    scores = layer.scores(*inputs[:2])
    assert keras.backend.standardize_dtype(scores.dtype) == dtype


@pytest.mark.parametrize(
    "make",
    [
        layers.ScaledDotProductAttention,
        layers.MultiplicativeAttention,
        lambda **o: layers.MultiHeadAttention(1, 8, **o),
        lambda **o: vision.SelfAttention(8, **o),
    ],
)
def test_scores_beyond_half_precision(make):
    """8 · 200² / √8 = 113,137; float16 ends at 65,504."""
    layer, x = make(dtype="float16"), np.full((1, 2, 8), 200.0)
    x[0, 1] = 199  # its score is lower by 566: no weight
    several = not isinstance(layer, vision.SelfAttention)
    options = {"return_weights": True} if several else {}
    inputs = [x, x] if several else [x]
    layer(*inputs, **options)
    layer.set_weights([np.eye(8) if len(w.shape) == 2 else 0 * w for w in layer.get_weights()])
    context, weights = layer(*inputs, **options)
    assert context.dtype == weights.dtype == "float16"
    assert array(weights).reshape(2, 2).tolist() == [[1, 0], [1, 0]]
    assert np.isfinite(array(context)).all()


# -- nested lists, numbers for masks ----------------------------------------------------------------


@every(LAYERS | {name: MODELS[name] for name in ("transformer", "GRUs, additive")})
def test_nested_lists_and_whole_numbers(make, inputs, shapes):
    layer = make()
    lists = keras.tree.map_structure(lambda x: x.tolist(), inputs)
    for a, b in zip(arrays(layer(*lists)), arrays(layer(*inputs)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    whole = keras.tree.map_structure(
        lambda x: np.round(x).astype(int) if x.dtype != bool else x, inputs
    )
    real = keras.tree.map_structure(lambda x: np.round(x) if x.dtype == np.float32 else x, inputs)
    for a, b in zip(arrays(layer(*whole)), arrays(layer(*real)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


MASKED = [*ATTENTION, "query pooling", "conv pooling", "rnn pooling"]


def masked(name):
    """A layer as `call(mask=…)`."""
    make, inputs, _ = LAYERS[name]
    layer, named = make(), ("query", "key", "value") if name in ATTENTION else ("places",)
    given = dict(zip(named, inputs, strict=True))
    return lambda **options: layer(**(given | options))


@pytest.mark.parametrize("name", MASKED)
def test_masks_of_numbers_or_of_another_size_are_refused(name):
    call = masked(name)
    shape = (B, T, S) if name in ATTENTION else (B, 9)
    with pytest.raises(ValueError, match="must be bool, True where attention is allowed, got"):
        call(mask=np.ones(shape, int))
    with pytest.raises(ValueError, match="must be bool"):
        call(mask=np.ones(shape).tolist())
    with pytest.raises(ValueError, match=f"mask has 7 on .*expected {shape[-1]}"):
        call(mask=np.ones((*shape[:-1], 7), bool))
    with pytest.raises(ValueError, match="got shape"):
        call(mask=np.ones((1, 1, 1, *shape), bool))
    call(mask=np.ones(shape, bool).tolist())


def test_masks_of_softmax_and_of_encoder_layers():
    with pytest.raises(ValueError, match="must be bool"):
        layers.masked_softmax([[0.0, 1, 2]], [[1, 1, 0]])
    with pytest.raises(ValueError, match="mask has 2 on the key axis"):
        layers.masked_softmax([[0.0, 1, 2]], [[True, False]])
    np.testing.assert_allclose(
        array(layers.masked_softmax([[0, 0, 2]], [[True, True, False]])), [[0.5, 0.5, 0]]
    )
    for name in ("encoder layer", "decoder layer"):
        make, inputs, _ = LAYERS[name]
        with pytest.raises(ValueError, match="must be bool"):
            make()(*inputs[:-1], REAL.astype("float32"))
        with pytest.raises(ValueError, match="mask has 3 on the key axis"):
            make()(*inputs[:-1], REAL[:, :3])
    with pytest.raises(ValueError, match="mask has 3 on the key axis"):
        layers.ScaledDotProductAttention()(QUERY, KEY, key_mask=REAL[:, :3])


# -- what a closed place holds ----------------------------------------------------------------------


@pytest.mark.parametrize("held", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("policy", ["float32", "float16", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", [*MASKED, "encoder layer", "decoder layer"])
def test_a_closed_place_has_no_influence_whatever_it_holds(name, policy, held):
    """Not on the outputs at the open places, not on any gradient."""
    make, inputs, _ = LAYERS[name]
    layer, found = make(dtype=policy), []
    for filling in (0.0, held):
        given = [x.copy() for x in inputs]
        open_to = np.array([[True, False, True, True], [True] * 4])
        if name in ATTENTION:
            options = {"mask": open_to[:, None]}
            given[1][0, 1], given[2][0, 1] = filling, filling
        elif "pooling" in name:
            options = {"mask": np.pad(open_to, ((0, 0), (0, 5)), constant_values=True)}
            given[0][0, 1] = filling
        else:
            options, given[-1] = {}, open_to
            given[-2][0, 1] = filling
        given = [tf.constant(x) for x in given]
        with tf.GradientTape() as tape:
            tape.watch(given[0])
            output = keras.tree.flatten(layer(*given, **options))[0]
            if name == "encoder layer":
                output = tf.boolean_mask(output, open_to)
            loss = tf.reduce_sum(tf.cast(output, tf.float32) ** 2)
        slopes = tape.gradient(loss, [given[0], *layer.trainable_variables])
        found.append([array(output), *(array(x) for x in slopes if x is not None)])
    for zero, other in zip(*found, strict=True):
        assert np.isfinite(zero).all()
        np.testing.assert_allclose(zero, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ATTENTION)
def test_a_query_without_any_key_has_no_influence_whatever_it_holds(name):
    make, (query, key, value), _ = ATTENTION[name]
    layer, found = make(), []
    mask = np.ones((B, T, S), bool)
    mask[0, 1] = False
    for held in (0.0, np.nan):
        query = query.copy()
        query[0, 1] = held
        given = [tf.constant(x) for x in (query, key, value)]
        with tf.GradientTape() as tape:
            tape.watch(given)
            output = keras.tree.flatten(layer(*given, mask=mask))[0]
            loss = tf.reduce_sum(output**2)
        found.append([output, *tape.gradient(loss, [*given, *layer.trainable_variables])])
    for zero, other in zip(*found, strict=True):
        assert np.isfinite(other).all()
        np.testing.assert_array_equal(zero, other)


def test_unknown_words_have_no_influence():
    layer = fusion.WordMean(5, 3)
    layer(np.array([[0, 1, 2]]))
    vectors = layer.vectors.get_weights()[0]
    vectors[:2] = np.nan
    layer.vectors.set_weights([vectors])
    np.testing.assert_allclose(
        array(layer(np.array([[0, 1, 2], [0, 0, 1]]))), [vectors[2], [0] * 3]
    )


# -- nothing at all ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_batch_of_padding_has_the_loss_0(dtype):
    logits = tf.constant(floats(B, T, 11), dtype)
    loss = transformer.SmoothedLoss(0.1, dtype=dtype)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        found = loss(np.zeros((B, T), int), logits)
    assert float(found) == 0
    assert (array(tape.gradient(found, logits)) == 0).all()
    target = tokens(B, T)
    holes = np.where((target == 0)[..., None], np.nan, logits.numpy())
    assert float(loss(target, holes)) == pytest.approx(float(loss(target, logits)), rel=1e-3)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("name", ["GRUs, additive", "transformer"])
def test_training_on_padding_only_leaves_numbers(name):
    model, nothing = MODELS[name][0](), np.zeros((B, S), np.int32)
    pairs = models.Pairs(np.arange(B), [], [], WORDS, nothing)
    if name == "transformer":
        history = transformer.fit(model, pairs, epochs=1)
    else:
        history = models.fit_pairs(model, pairs, pairs, epochs=1)
    assert history["loss"] == [0]
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_no_rows():
    none = np.zeros((0, S), np.int32)
    model = MODELS["transformer"][0]()
    assert transformer.greedy(model, none, 5).shape == (0, 5)
    text, total = transformer.beam(model, none, longest=5)
    assert (text.shape, total.shape) == ((0, 5), (0,))
    model = MODELS["GRUs, additive"][0]()
    for write in (models.greedy_recurrent, models.free_running):
        assert write(model, none, 5).shape == (0, 5)
        assert write(model, WORDS, 0).shape == (B, 0)
    for write in (models.greedy_recurrent, models.free_running):
        with pytest.raises(ValueError, match="source is an empty sequence"):
            write(model, WORDS[:, :0], 5)
    with pytest.raises(ValueError, match="decoder_input is an empty sequence"):
        model([WORDS, WORDS[:, :0]])
    pairs = models.Pairs(np.arange(B), [], [], WORDS, WORDS)
    empty = models.Pairs(np.arange(0), [], [], none, none)
    with pytest.raises(ValueError, match="validation holds no rows"):
        models.fit_pairs(model, pairs, empty, epochs=1)
    with pytest.raises(ValueError, match="train holds no rows"):
        models.fit_pairs(model, empty, pairs, epochs=1)
    with pytest.raises(ValueError, match="train holds no rows"):
        transformer.fit(None, empty, epochs=1)
    for kind in ("average", "query"):
        scenes = MODELS[f"scenes, {kind}"][0]()
        look = vision.class_activation if kind == "average" else vision.looks
        for call in (scenes, lambda x, look=look, scenes=scenes: look(scenes, x)):
            with pytest.raises(ValueError, match=r"images must be .*one at least"):
                call(IMAGES[:0])
    assert vision.probabilities(scenes, IMAGES[:0]).shape == (0, 10)
    with pytest.raises(ValueError, match="no scenes"):
        vision.accuracy(scenes, vision.Scenes(IMAGES[:0], np.zeros(0, int), np.zeros((0, 4))))
    with pytest.raises(ValueError, match="at least one"):
        vision.interval([])
    for x, y in ((np.zeros((0, 3)), np.zeros(0, int)), (np.zeros((3, 3)), np.zeros(2, int))):
        with pytest.raises(ValueError, match="same number of items"):
            training.fit_small(None, x, y, 1, seed=0)


def test_measures_of_other_shapes_are_refused():
    model = MODELS["scenes, average"][0]()
    with pytest.raises(ValueError, match=r"labels must be \(2,\)"):
        vision.accuracy(model, vision.Scenes(IMAGES, np.zeros((B, 1), int), np.zeros((B, 4))))
    with pytest.raises(ValueError, match=r"predict must return \(2, classes\)"):
        vision.occlusion_map(lambda x: np.ones((1, 10)), IMAGES)
    with pytest.raises(ValueError, match="targets must be int"):
        transformer.smoothed([1.0, 2.0], 4, 0.1)
    assert transformer.smoothed([], 4, 0.1).shape == (0, 4)
    assert vision.to_picture([[1.0, 2, 3, 4]], side=4).shape == (1, 4, 4)
    assert vision.in_box([[0, 0, 8, 8]]).sum() == 4
    assert model.encode(IMAGES.tolist()).shape == (B, 4, 4)
    assert vision.to_sequence(np.zeros((1, 2, 3, 1)).tolist()).shape == (1, 6, 1)


@pytest.mark.parametrize("name", ["gate", "sum", "product", "side by side", "low rank"])
def test_a_batch_of_another_size_is_not_stretched(name):
    layer = LAYERS[name][0]()
    with pytest.raises(ValueError, match=r"axis 0.*\[1, 2\] items"):
        layer([floats(1, 3), floats(2, 5)])


@pytest.mark.parametrize(
    ("target", "logits"),
    [((1, 2), (2, 2, 4)), ((1, 1), (1, 2, 4)), ((1, 2, 1), (1, 2, 4)), ((2,), (1, 2, 4))],
)
def test_targets_of_another_shape_are_not_stretched(target, logits):
    with pytest.raises(ValueError, match=r"targets .* do not fit logits"):
        transformer.SmoothedLoss()(np.ones(target, int), np.zeros(logits, "float32"))


def test_a_grid_of_other_places_is_refused():
    for places in (floats(B, 6, D), keras.Input((6, D)), floats(0, 4, D)):
        with pytest.raises(ValueError, match=r"places must be \(B, 4, C\)"):
            vision.ConvPooling((2, 2))(places)


@pytest.mark.parametrize("warm_up", [0, 10, 100])
def test_the_learning_rate_stays_at_its_ends(warm_up):
    schedule = transformer.WarmUp(100, 1.0, warm_up)
    for rate in (schedule, lambda step: transformer.learning_rate(step, 100, 1.0, warm_up)):
        assert float(rate(199)) == pytest.approx(float(rate(99)), rel=1e-6)
        assert float(rate(99)) > 0
        assert float(rate(-50)) == float(rate(-1)) == float(rate(0)) > 0


# -- the user's settings ----------------------------------------------------------------------------


def test_pictures_have_their_channels_last_whatever_the_settings_say(tmp_path):
    """`image_data_format` from `keras.json`, as a user may have set it long ago."""
    (tmp_path / "keras.json").write_text(json.dumps({"image_data_format": "channels_first"}))
    code = """
import keras, numpy as np
from attnfuse import fusion, vision
assert keras.config.image_data_format() == "channels_first"
images = np.random.default_rng(0).random((2, 8, 8, 1)).astype("float32")
for kind in vision.NAMES:
    model = vision.SceneModel(kind, (2, 4), side=8)
    assert model(images).shape == (2, 10), kind
    model.compile("sgd", "mse", run_eagerly=True)
    model.train_on_batch(images, np.zeros((2, 10)))
assert fusion.image_encoder(32, 5)(np.zeros((2, 32, 32, 3))).shape == (2, 5)
"""
    environment = {**os.environ, "KERAS_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
