"""Heads, positions and the other scores of attnfuse.attention."""

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnfuse import attention
from attnfuse.exercises.lesson_04 import many_heads, rotary_heads

seeds = st.integers(0, 2**32 - 1)


def draw(seed):
    """Projected query, key and value, a mask with an empty row now and then, and the number of heads."""
    rng = np.random.default_rng(seed)
    B, T, S, N, H, V = rng.integers(1, 5, 6)
    query, key = rng.normal(size=(B, T, N * 2 * H)), rng.normal(size=(B, S, N * 2 * H))
    return query, key, rng.normal(size=(B, S, N * V)), int(N), rng.random((B, T, S)) < 0.7


@given(seeds)
def test_multi_head_is_its_definition(seed):
    query, key, value, heads, mask = draw(seed)
    for got, expected in (
        (
            attention.multi_head_attention(query, key, value, heads, mask),
            many_heads.by_loops(query, key, value, heads, mask),
        ),
        (
            attention.multi_head_attention(query, key, value, heads, rotate=True),
            rotary_heads.by_loops(query, key, value, heads),
        ),
    ):
        for ours, loops in zip(got, expected, strict=True):
            np.testing.assert_allclose(ours, loops, atol=1e-12)


@given(seeds)
def test_merge_undoes_split_and_a_mask_may_have_any_axes(seed):
    query, key, value, heads, mask = draw(seed)
    np.testing.assert_array_equal(attention.merge_heads(attention.split_heads(query, heads)), query)
    context, _ = attention.multi_head_attention(query, key, value, heads, mask)
    per_head = np.repeat(mask[:, None], heads, axis=1)
    again, _ = attention.multi_head_attention(query, key, value, heads, per_head)
    np.testing.assert_array_equal(context, again)
    alone, weights = attention.multi_head_attention(query[0], key[0], value[0], heads, mask[0])
    np.testing.assert_allclose(alone, context[0], atol=1e-12)
    assert weights.shape == (heads, query.shape[1], key.shape[1])


@given(seeds, st.integers(-50, 10_000))
def test_rotary_keeps_lengths_and_sees_only_differences(seed, shift):
    rng = np.random.default_rng(seed)
    query, key = rng.normal(size=(2, 3, 4, 6))
    there = rng.integers(0, 100, 4)
    turned = attention.rotary(query, there)
    np.testing.assert_allclose(np.square(turned).sum(-1), np.square(query).sum(-1))

    def scores(by):
        return attention.rotary(query, there + by) @ attention.rotary(key, there + by).swapaxes(
            1, 2
        )

    np.testing.assert_allclose(scores(shift), scores(0), atol=1e-9)


def test_codes_of_two_positions_meet_in_their_difference():
    codes = attention.sinusoidal_positions(200, 8)
    np.testing.assert_allclose(codes[0], [0, 1] * 4)
    np.testing.assert_allclose(codes[3, :2], [np.sin(3), np.cos(3)])
    np.testing.assert_allclose(codes[3, 2:4], [np.sin(0.3), np.cos(0.3)])
    products = codes @ codes.T
    for gap in (1, 7, 60):
        assert np.ptp(np.diagonal(products, gap)) < 1e-9
    np.testing.assert_allclose(attention.sinusoidal_positions([5, 3], 8), codes[[5, 3]])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtype_stays_and_an_empty_row_is_zero(dtype):
    x = np.random.default_rng(0).normal(size=(2, 3, 8)).astype(dtype)
    mask = np.ones((2, 3, 3), bool)
    mask[1, 2] = False
    context, weights = attention.multi_head_attention(x, x, x, 2, mask, rotate=True)
    assert context.dtype == weights.dtype == attention.rotary(x).dtype == dtype
    assert (context[1, 2] == 0).all()
    assert np.isfinite(context).all()


@given(seeds)
def test_other_scores_are_their_definitions(seed):
    rng = np.random.default_rng(seed)
    T, S, Q, K, A = rng.integers(1, 5, 5)
    query, key = rng.normal(size=(2, T, Q)), rng.normal(size=(2, S, K))
    matrix, left, right = rng.normal(size=(Q, K)), rng.normal(size=(Q, A)), rng.normal(size=(K, A))
    vector = rng.normal(size=A)
    bilinear = attention.bilinear_scores(query, key, matrix)
    additive = attention.additive_scores(query, key, left, right, vector)
    assert bilinear.shape == additive.shape == (2, T, S)
    for b, t, s in np.ndindex(2, T, S):
        expected = sum(
            query[b, t, i] * matrix[i, j] * key[b, s, j] for i in range(Q) for j in range(K)
        )
        assert bilinear[b, t, s] == pytest.approx(expected)
        hidden = [np.tanh(query[b, t] @ left[:, a] + key[b, s] @ right[:, a]) for a in range(A)]
        assert additive[b, t, s] == pytest.approx(
            sum(v * h for v, h in zip(vector, hidden, strict=True))
        )


def test_what_does_not_fit_is_refused_by_name():
    x = np.ones((2, 3, 6))
    with pytest.raises(ValueError, match=r"width 6 \(axis -1\) cannot be cut into 4"):
        attention.split_heads(x, 4)
    with pytest.raises(ValueError, match="heads"):
        attention.split_heads(x, 0)
    with pytest.raises(ValueError, match="N, T, H"):
        attention.merge_heads(x[0])
    with pytest.raises(ValueError, match="axis -1"):
        attention.multi_head_attention(x, x[..., :4], x, 2)
    with pytest.raises(ValueError, match="nothing to attend to"):
        attention.multi_head_attention(x, x[:, :0], x[:, :0], 2)
    with pytest.raises(ValueError, match="even"):
        attention.rotary(np.ones((2, 3)))
    with pytest.raises(ValueError, match="3 rows"):
        attention.rotary(x, [0, 1])
    with pytest.raises(ValueError, match="even"):
        attention.sinusoidal_positions(4, 5)
    with pytest.raises(ValueError, match="positions"):
        attention.sinusoidal_positions(np.ones((2, 2)), 4)
    with pytest.raises(ValueError, match="key is 6 wide"):
        attention.bilinear_scores(x, x, np.ones((6, 5)))
    with pytest.raises(ValueError, match="differ in size"):
        attention.additive_scores(x, x, np.ones((6, 2)), np.ones((6, 3)), np.ones(3))
    with pytest.raises(ValueError, match="nothing to attend to"):
        attention.additive_scores(x, x[:, :0], np.ones((6, 3)), np.ones((6, 3)), np.ones(3))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("tensorflow") is None, reason="TensorFlow is not installed")
def test_keras_multi_head_attention_returns_the_same():
    from attnfuse import quiet

    with quiet():
        import keras
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 4, 7)), rng.normal(size=(2, 6, 5))
    mask = rng.random((2, 4, 6)) < 0.6
    mask[1, 2] = False
    layer = keras.layers.MultiHeadAttention(num_heads=3, key_dim=4, value_dim=2)
    layer.build(x.shape, y.shape, y.shape)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    theirs, shares = layer(x, y, attention_mask=mask, return_attention_scores=True)
    W_Q, b_Q, W_K, b_K, W_V, b_V, W_O, b_O = layer.get_weights()
    projected = [
        inputs @ W.reshape(inputs.shape[-1], -1) + b.ravel()
        for inputs, W, b in ((x, W_Q, b_Q), (y, W_K, b_K), (y, W_V, b_V))
    ]
    context, weights = attention.multi_head_attention(*projected, heads=3, mask=mask)
    np.testing.assert_allclose(context @ W_O.reshape(6, 7) + b_O, theirs, atol=1e-4)
    np.testing.assert_allclose(weights, shares, atol=1e-5)


def test_half_precision_is_widened_inside_heads_and_scores():
    x = np.full((2, 64), 100, np.float16)
    context, weights = attention.multi_head_attention(x, x, x, heads=2)
    assert context.dtype == weights.dtype == np.float16
    assert (context == 100).all()
    scores = attention.bilinear_scores(x, x, np.eye(64, dtype=np.float16) / 100)
    assert scores.dtype == np.float16
    np.testing.assert_allclose(scores, 6400, rtol=2e-3)  # 64 · 100 · 100 / 100
    eye = np.eye(64, dtype=np.float16)
    ones = np.ones(64, np.float16)
    scores = attention.additive_scores(x * 600, x * 600, eye, eye, ones)
    assert scores.dtype == np.float16
    assert (scores == 64).all()
    turned = attention.rotary(np.array([[0, 0], [300, 100]], np.float16))
    assert turned.dtype == np.float16
    by_hand = [300 * np.cos(1) - 100 * np.sin(1), 300 * np.sin(1) + 100 * np.cos(1)]
    np.testing.assert_allclose(turned[1], by_hand, rtol=1e-3)
    assert attention.rotary(np.array([[1, 2]], np.int8)).dtype == float


def test_heads_ignore_closed_keys_whatever_they_hold_and_refuse_masks_of_numbers():
    rng = np.random.default_rng(0)
    query, key, value = (rng.normal(size=s) for s in ((2, 3, 8), (2, 5, 8), (2, 5, 6)))
    mask = attention.padding_mask([4, 2], 5)
    expected, _ = attention.multi_head_attention(query, key, value, 2, mask, rotate=True)
    for held in (np.nan, np.inf):
        key[:, -1] = value[:, -1] = held
        with np.errstate(invalid="raise"):
            got, _ = attention.multi_head_attention(query, key, value, 2, mask, rotate=True)
        np.testing.assert_array_equal(got, expected)
    with pytest.raises(ValueError, match="mask must be bool"):
        attention.multi_head_attention(query, key, value, 2, mask.astype(int))


def test_weights_of_scores_have_their_axes():
    x = np.ones((3, 2))
    with pytest.raises(ValueError, match=r"matrix must be \(Q, K\)"):
        attention.bilinear_scores(x, x, np.ones((2, 2, 2)))
    with pytest.raises(ValueError, match=r"\(A,\), got .*\(1, 1\)"):
        attention.additive_scores(x, x, np.ones((2, 1)), np.ones((2, 1)), np.ones((1, 1)))
