"""The numerical gradient against slopes worked out by hand; the backward passes against both."""

import numpy as np
import pytest

from attnfuse import attention
from attnfuse.gradients import (
    attention_gradients,
    log_loss,
    numerical_gradient,
    softmax_gradient,
)


@pytest.mark.parametrize("shape", [(), (1,), (4,), (2, 3)])
def test_agrees_with_calculus(shape):
    values = np.random.default_rng(0).normal(size=shape)
    gradient = numerical_gradient(lambda v: np.sum(np.sin(v) * v), values)
    assert gradient.shape == shape
    np.testing.assert_allclose(gradient, np.cos(values) * values + np.sin(values), rtol=1e-7)


def test_leaves_the_values_alone_even_if_the_function_does_not():
    values = np.array([1.0, 2.0])

    def spoil(v):
        total = float(np.sum(v**2))
        v[:] = 99
        return total

    np.testing.assert_allclose(numerical_gradient(spoil, values), [2, 4], rtol=1e-6)
    assert values.tolist() == [1, 2]


def test_integers_are_not_rounded():
    np.testing.assert_allclose(numerical_gradient(lambda v: v[0] * v[1], [3, 5]), [5, 3])


def test_function_must_return_one_number():
    with pytest.raises(ValueError, match="one number"):
        numerical_gradient(lambda v: v, [1.0, 2.0])


def test_step_must_be_positive():
    with pytest.raises(ValueError, match="positive"):
        numerical_gradient(np.sum, [1.0], step=0)


def draw(*shapes, dtype=float, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def some_mask(T, S):
    mask = np.random.default_rng(1).random((2, T, S)) < 0.6
    mask[..., 0] = True
    mask[1, 1] = False  # item 1, query 1 may see no key
    return mask


def test_softmax_gradient_by_hand():
    d_scores = softmax_gradient(np.array([[0.5, 0.25, 0.25]]), np.array([[10.0, 20.0, 40.0]]))
    np.testing.assert_allclose(d_scores, [[-5, 0, 5]])


def test_softmax_gradient_is_the_jacobian_of_softmax():
    scores, d_weights = draw((3, 4), (3, 4))
    mask = some_mask(3, 4)[1]
    slopes = numerical_gradient(
        lambda s: np.sum(attention.softmax(s, mask) * d_weights), scores, step=1e-6
    )
    d_scores = softmax_gradient(attention.softmax(scores, mask), d_weights)
    np.testing.assert_allclose(d_scores, slopes, atol=1e-9)
    assert (d_scores[~mask] == 0).all()
    np.testing.assert_allclose(d_scores.sum(axis=-1), 0, atol=1e-15)


def test_softmax_gradient_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"\(3, 4\), d_weights \(4, 3\)"):
        softmax_gradient(np.ones((3, 4)), np.ones((4, 3)))
    with pytest.raises(ValueError, match="no keys"):
        softmax_gradient(np.ones((3, 0)), np.ones((3, 0)))
    with pytest.raises(ValueError, match="no keys"):
        softmax_gradient(1.0, 1.0)


@pytest.mark.parametrize("masked", [False, True])
def test_attention_gradients_agree_with_central_differences(masked):
    query, key, value, d_context = draw((2, 3, 4), (2, 5, 4), (2, 5, 6), (2, 3, 6))
    mask = some_mask(3, 5) if masked else None
    inputs = {"query": query, "key": key, "value": value}
    ours = attention_gradients(**inputs, d_context=d_context, mask=mask)
    for name, d_x in zip(inputs, ours, strict=True):

        def loss(x, name=name):
            changed = {**inputs, name: x}
            context, _ = attention.scaled_dot_product_attention(**changed, mask=mask)
            return np.sum(context * d_context)

        np.testing.assert_allclose(d_x, numerical_gradient(loss, inputs[name]), atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_without_a_key_give_zero_slopes(dtype):
    query, key, value, d_context = draw((3, 4), (5, 4), (5, 6), (3, 6), dtype=dtype)
    query = query * dtype(1000)
    mask = np.zeros((3, 5), bool)
    for d_x in attention_gradients(query, key, value, d_context, mask):
        assert d_x.dtype == dtype
        assert (d_x == 0).all()
    mask[0] = True
    d_query, d_key, d_value = attention_gradients(query, key, value, d_context, mask)
    assert all(np.isfinite(d_x).all() for d_x in (d_query, d_key, d_value))
    assert (d_query[1:] == 0).all()


def test_what_was_broadcast_is_summed():
    query, key, value, d_context = draw((2, 3, 4), (5, 4), (1, 5, 6), (2, 3, 6))
    together = attention_gradients(query, key, value, d_context)
    alone = [attention_gradients(query[b], key, value[0], d_context[b]) for b in range(2)]
    assert [x.shape for x in together] == [(2, 3, 4), (5, 4), (1, 5, 6)]
    np.testing.assert_allclose(together[1], alone[0][1] + alone[1][1])
    np.testing.assert_allclose(together[2][0], alone[0][2] + alone[1][2])


def test_attention_gradients_refuse_what_does_not_fit():
    query, key, value, d_context = draw((3, 4), (5, 4), (5, 6), (3, 6))
    with pytest.raises(ValueError, match=r"d_context has shape \(3, 5\)"):
        attention_gradients(query, key, value, d_context[:, :5])
    with pytest.raises(ValueError, match="axis -1"):
        attention_gradients(query[:, :3], key, value, d_context)
    with pytest.raises(ValueError, match="query must have 2 axes"):
        attention_gradients(query[0], key, value, d_context[0])
    with pytest.raises(ValueError, match="value must have 2 axes"):
        attention_gradients(query, key, value[:, 0], d_context[:, 0])
    with pytest.raises(ValueError, match="nothing to attend to"):
        attention_gradients(query, key[:0], value[:0], d_context)


def test_agree_with_the_gradient_tape():
    tf = pytest.importorskip("tensorflow")
    query, key, value, d_context = draw((2, 3, 4), (2, 5, 4), (2, 5, 6), (2, 3, 6))
    mask = np.arange(5) < 3
    inputs = [tf.constant(x) for x in (query, key, value)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        scores = tf.matmul(inputs[0], inputs[1], transpose_b=True) / 2.0
        context = tf.matmul(tf.nn.softmax(tf.where(mask, scores, -1e30)), inputs[2])
    theirs = tape.gradient(context, inputs, output_gradients=tf.constant(d_context))
    for ours, slopes in zip(
        attention_gradients(query, key, value, d_context, mask), theirs, strict=True
    ):
        np.testing.assert_allclose(ours, slopes, atol=1e-12)


def test_log_loss_and_its_slope():
    share, labels = np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]), np.array([0, 1])
    loss, d_share = log_loss(share, labels)
    assert loss == pytest.approx((np.log(2) + np.log(10)) / 2)
    slopes = numerical_gradient(lambda x: log_loss(x, labels)[0], share, step=1e-6)
    np.testing.assert_allclose(d_share, slopes, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_log_loss_of_nothing_is_finite_and_keeps_the_dtype(dtype):
    loss, d_share = log_loss(np.zeros((2, 3), dtype), np.array([0, 2]))
    assert np.isfinite(loss)
    assert np.isfinite(d_share).all()
    assert d_share.dtype == dtype


def test_log_loss_needs_a_label_for_each_row():
    with pytest.raises(ValueError, match="axis 0"):
        log_loss(np.ones((2, 3)), np.array([1]))
    with pytest.raises(ValueError, match="no rows"):
        log_loss(np.ones((0, 3)), np.array([], int))
    with pytest.raises(ValueError, match="between 0 and 2"):
        log_loss(np.ones((2, 3)), np.array([1, 3]))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("held", [np.nan, np.inf])
def test_a_closed_key_has_no_influence_on_slopes_whatever_it_holds(dtype, held):
    query, key, value, d_context = draw((3, 4), (5, 4), (5, 6), (3, 6), dtype=dtype)
    mask = np.ones((3, 5), bool)
    mask[:, 1] = False
    mask[2] = False  # a query without keys
    query[2] = held
    expected = attention_gradients(np.where(query == query, query, 0), key, value, d_context, mask)
    key[1] = value[1] = held
    got = attention_gradients(query, key, value, d_context, mask)
    for ours, clean in zip(got, expected, strict=True):
        assert ours.dtype == dtype
        np.testing.assert_array_equal(ours, clean)
    assert (got[1][1] == 0).all()
    assert (got[2][1] == 0).all()


def test_half_precision_is_widened_inside():
    query, key, value, d_context = draw((3, 64), (5, 64), (5, 6), (3, 6))
    given = [x.astype(np.float16) for x in (query * 100, key * 100, value, d_context)]
    got = attention_gradients(*given)
    expected = attention_gradients(*[x.astype(np.float64) for x in given])
    for half, exact in zip(got, expected, strict=True):
        assert half.dtype == np.float16
        np.testing.assert_allclose(half, exact, rtol=2e-3, atol=1e-6)
    d_scores = softmax_gradient(np.full((1, 4), 0.25, np.float16), np.full((1, 4), 6e4, np.float16))
    assert d_scores.tolist() == [[0, 0, 0, 0]]


def test_lists_have_gradients_and_labels_are_whole_numbers():
    loss, d_share = log_loss([[0.5, 0.5]], [1])
    assert loss == pytest.approx(np.log(2))
    assert d_share.tolist() == [[0, -2]]
    d_query, d_key, d_value = attention_gradients([[0]], [[1], [2]], [[1], [3]], [[1]])
    np.testing.assert_allclose(d_query, [[0.5]])
    np.testing.assert_allclose(d_value, [[0.5], [0.5]])
    assert d_key.tolist() == [[0], [0]]
    with pytest.raises(ValueError, match="whole numbers"):
        log_loss([[0.5, 0.5]], [0.5])
    with pytest.raises(ValueError, match=r"share must be \(T, C\)"):
        log_loss([0.5, 0.5], [1, 0])
