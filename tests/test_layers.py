"""The layers of lesson 05: equal to Keras's where a key is allowed, and what they promise beyond."""

import numpy as np
import pytest

from attnfuse.data import spelled_numbers
from attnfuse.exercises import EXERCISES

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
from attnfuse import attention, layers  # noqa: E402

B, T, S, N, D = 3, 4, 5, 2, 6

MAKE = {
    "scaled": layers.ScaledDotProductAttention,
    "additive": lambda **options: layers.AdditiveAttention(7, **options),
    "multiplicative": layers.MultiplicativeAttention,
    "heads": lambda **options: layers.MultiHeadAttention(N, D, **options),
}
EVERY = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)


def draw(*shapes, dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def randomised(layer, seed=1):
    """The layer, its biases included, with random arrays."""
    layer.set_weights(draw(*(array.shape for array in layer.weights), seed=seed))
    return layer


@pytest.mark.parametrize("name", ["scaled", "additive", "heads"])
def test_equal_to_keras_where_a_key_is_allowed(name):
    query, key, value = draw((B, T, D), (B, S, D), (B, S, D))
    layer = MAKE[name]()
    layer(query, key, value)
    randomised(layer)
    real = np.arange(S) < np.array([5, 2, 0])[:, None]
    context, weights = layer(query, key, value, mask=real[:, None], return_weights=True)
    theirs, shares = layers.keras_twin(layer)(query, key, value, real)
    np.testing.assert_allclose(context[:2], theirs[:2], atol=1e-5)
    np.testing.assert_allclose(weights[:2], shares[:2], atol=1e-6)
    assert (np.asarray(weights)[2] == 0).all()
    np.testing.assert_allclose(shares[2], 0 if name == "heads" else 1 / S, atol=1e-6)
    if name == "heads":
        np.testing.assert_allclose(context[2], theirs[2], atol=1e-6)  # the output's bias
    else:
        assert (np.asarray(context)[2] == 0).all()


def test_heads_equal_keras_with_every_width_different():
    query, key, value = draw((B, T, 7), (B, S, 8), (B, S, 9))
    layer = layers.MultiHeadAttention(N, D)
    layer(query, key, value)
    randomised(layer)
    got = layer(query, key, value, return_weights=True)
    for ours, theirs in zip(got, layers.keras_twin(layer)(query, key, value), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_heads_equal_numpy(bias):
    (x,) = draw((B, T, D))
    layer = layers.MultiHeadAttention(N, D, bias=bias)
    layer(x, x)
    randomised(layer)
    mask = np.random.default_rng(2).random((B, T, T)) < 0.6
    output, weights = layer(x, x, mask=mask, causal=True, return_weights=True)
    matrices = layer.query_matrix, layer.key_matrix, layer.value_matrix, layer.output_matrix
    biases = layer.query_bias, layer.key_bias, layer.value_bias, layer.output_bias
    q, k, v = (x @ m.numpy() + (b.numpy() if bias else 0) for m, b in zip(matrices[:3], biases))  # noqa: B905
    mask = mask & attention.causal_mask(T)
    context, shares = attention.multi_head_attention(q, k, v, heads=N, mask=mask)
    np.testing.assert_allclose(weights, shares, atol=1e-6)
    expected = context @ matrices[3].numpy() + (biases[3].numpy() if bias else 0)
    np.testing.assert_allclose(output, expected, atol=1e-5)


@EVERY
@pytest.mark.parametrize("policy", ["float16", "bfloat16", "float32", "mixed_float16", "float64"])
def test_closed_rows_are_zero_forwards_and_backwards(make, policy):
    layer = make(dtype=policy)
    x = tf.constant(draw((2, T, D))[0])
    for mask in (np.zeros((2, T, T), bool), np.tri(T, k=-1, dtype=bool)[None]):
        with tf.GradientTape() as tape:
            tape.watch(x)
            context, weights = layer(x, x, mask=mask, return_weights=True)
            loss = tf.reduce_sum(tf.cast(context, tf.float32) ** 2)
        found = tape.gradient(loss, [x, *layer.trainable_variables])
        gradients = [np.asarray(tf.cast(g, tf.float32)) for g in found if g is not None]
        assert gradients
        assert all(np.isfinite(gradient).all() for gradient in gradients)
        assert (np.asarray(weights)[..., 0, :] == 0).all()
        assert (np.asarray(context)[:, 0] == 0).all()  # biases are zero here
        if not mask.any():
            assert all((gradient == 0).all() for gradient in gradients)


@EVERY
def test_closed_places_may_hold_large_numbers(make):
    query, key = draw((1, T, D), (1, S, D), dtype="float16")
    layer = make(dtype="float16")
    mask = np.arange(S) < 3
    before = layer(query, key, mask=mask, return_weights=False)
    key[:, 3:] = 1e3
    after = layer(query, key, mask=mask, return_weights=False)
    np.testing.assert_array_equal(before, after)


@EVERY
def test_causal_is_counted_from_the_start(make):
    query, key = draw((B, 2, D), (B, S, D))
    _, weights = make()(query, key, causal=True, return_weights=True)
    assert ((np.asarray(weights) > 0) == np.tri(2, S, dtype=bool)).all()


@EVERY
def test_masks_of_keys_arrive_and_those_of_queries_go_on(make):
    tokens = np.array([[1, 2, 0, 0], [3, 4, 5, 6]])
    x = keras.layers.Embedding(9, D, mask_zero=True)(tokens)
    layer = make()
    context, weights = layer(x, x, return_weights=True)
    assert (np.asarray(weights)[0][..., 2:] == 0).all()
    assert (np.asarray(context._keras_mask) == (tokens > 0)).all()
    alone = layer(x[:1, :2], x[:1, :2], return_weights=False)
    np.testing.assert_allclose(np.asarray(context)[0, :2], alone[0], atol=1e-5)


@EVERY
def test_explicit_and_propagated_masks_join(make):
    x = keras.layers.Masking()(np.pad(draw((1, 3, D))[0], ((0, 0), (0, 1), (0, 0))))
    mask = np.array([[[False, True, True, True]]])
    _, weights = make()(x, x, mask=mask, return_weights=True)
    assert ((np.asarray(weights) > 0) == [False, True, True, False]).all()


@EVERY
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"query": (B, 0, D)}, "query is an empty sequence"),
        ({"key": (B, 0, D)}, "key is an empty sequence"),
        ({"query": (T, D)}, "query must have three axes"),
        ({"key": (2, S, D)}, "key has 2 items .axis 0"),
        ({"value": (B, 3, D)}, "key has 5 positions .axis 1., value 3"),
        ({"key": (B, S, 5)}, "key is 5 wide .axis -1., expected 6"),
        ({"mask": (B, T, 4)}, "mask has 4 on the key axis .-1., expected 5"),
        ({"mask": (B, S)}, "mask has 3 on the query axis .-2., expected 4"),
        ({"mask": (1, 1, B, T, S)}, "mask must be"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(make, wrong, message):
    shapes = {"query": (B, T, D), "key": (B, S, D), "value": (B, S, D), "mask": (B, T, S)}
    layer = make()
    layer(*(np.zeros(shapes[name], "float32") for name in ("query", "key", "value")))
    shapes |= wrong
    inputs = {n: np.zeros(shape, bool if n == "mask" else "float32") for n, shape in shapes.items()}
    with pytest.raises(ValueError, match=message):
        layer(**inputs)


def test_a_mask_of_numbers_is_refused():
    (x,) = draw((1, T, D))
    with pytest.raises(ValueError, match="mask must be bool"):
        layers.ScaledDotProductAttention()(x, x, mask=np.ones((1, T, T), "float32"))


def test_a_width_must_be_cut_evenly():
    with pytest.raises(ValueError, match="cannot be cut into 4"):
        layers.MultiHeadAttention(4, 6)


def test_a_mask_for_each_head():
    (x,) = draw((B, T, D))
    mask = np.random.default_rng(0).random((B, N, T, T)) < 0.5
    _, weights = layers.MultiHeadAttention(N, D)(x, x, mask=mask, return_weights=True)
    assert ((np.asarray(weights) > 0) == mask).all()


@EVERY
def test_config_survives(make):
    layer = make(name="mine", dtype="mixed_float16")
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


@EVERY
def test_trains_and_saves(make, tmp_path):
    tokens = keras.Input((None,), dtype="int32")
    x = layers.Positions(5)(keras.layers.Embedding(9, D, mask_zero=True)(tokens))
    mixed = keras.layers.Add()([x, make()(x, x, return_weights=False)])
    model = keras.Model(tokens, keras.layers.Dense(1)(mixed))
    model.compile("adam", "mse")
    words = np.array([[1, 2, 3, 0], [4, 0, 0, 0], [0, 0, 0, 0]])
    model.fit(words, np.ones((3, 4, 1)), verbose=0)
    assert all(np.isfinite(array).all() for array in model.get_weights())
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    before, after = (m.predict_on_batch(words) for m in (model, again))
    np.testing.assert_array_equal(before, after)
    np.testing.assert_allclose(before[:, :3], model.predict_on_batch(words[:, :3]), atol=1e-5)


def test_stored_keys_give_the_same():
    query, memory = draw((B, T, 7), (B, S, 8))
    layer = layers.MultiHeadAttention(N, D)
    expected = layer(query, memory)
    keys, values = layer.project_memory(memory)
    for t in range(T):
        output, _ = layer.attend(layer.project_query(query[:, t : t + 1]), keys, values)
        np.testing.assert_allclose(output[:, 0], expected[:, t], atol=1e-5)


def test_dropout_only_in_training():
    (x,) = draw((B, T, D))
    layer = layers.MultiHeadAttention(N, D, dropout=0.5)
    np.testing.assert_array_equal(layer(x, x), layer(x, x))
    assert not np.allclose(layer(x, x), layer(x, x, training=True))


def test_the_key_bias_gets_no_gradient():
    (x,) = draw((B, T, D), dtype="float64")
    layer = layers.MultiHeadAttention(N, D, dtype="float64")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((layer(x, x) - 1) ** 2)
    found = dict(zip([v.name for v in layer.weights], tape.gradient(loss, layer.weights)))  # noqa: B905
    noise = np.abs(found.pop("key_bias")).max()
    assert noise < 1e-12
    assert all(np.abs(gradient).max() > 1e-4 for gradient in found.values())


def test_positions_refuse_what_is_too_long():
    with pytest.raises(ValueError, match="at most 4"):
        layers.Positions(4)(np.zeros((1, 5, D), "float32"))


def test_spelled_numbers_are_read_back():
    numbers = [0, 7, 20, 21, 100, 1000, 40_007, 203_000, 302_000, 200_003, 777_777, 999_999]
    tokens = spelled_numbers.encode(numbers)
    assert spelled_numbers.read(tokens, spelled_numbers.noughts(tokens)).tolist() == numbers
    train, test = spelled_numbers.load(seed=1, train=300, test=100)
    assert not set(train.number) & set(test.number)


def test_delegating_to_the_course_is_refused():
    class ScaledDot(keras.layers.Layer):
        def call(self, query, key, value, mask=None):
            return layers.ScaledDotProductAttention()(query, key, value, mask=mask)

    class MultiHead(keras.layers.Layer):
        def __init__(self, heads, width):
            super().__init__()
            self.inner = layers.MultiHeadAttention(heads, width)

        def call(self, query, key, value, mask=None, key_mask=None, return_weights=False):
            return self.inner(query, key, value, mask=mask, return_weights=return_weights)

    for name, answer in {"scaled_dot_layer": ScaledDot, "multi_head_layer": MultiHead}.items():
        verdict = EXERCISES[name].judge(answer, seed=0)
        assert not verdict.passed
        assert "Write your own" in verdict.message
