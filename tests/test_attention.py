"""attnfuse.attention against slow loops, and its properties on random inputs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnfuse import attention

seeds = st.integers(0, 2**32 - 1)


def by_loops(query, key, value, mask):
    context = np.zeros((len(query), value.shape[1]))
    weights = np.zeros((len(query), len(key)))
    for t, q in enumerate(query):
        allowed = [s for s in range(len(key)) if mask[t, s]]
        if not allowed:
            continue
        scores = {
            s: sum(a * b for a, b in zip(q, key[s], strict=True)) / len(q) ** 0.5 for s in allowed
        }
        top = max(scores.values())
        total = sum(np.exp(x - top) for x in scores.values())
        for s, x in scores.items():
            weights[t, s] = np.exp(x - top) / total
            context[t] += weights[t, s] * value[s]
    return context, weights


@given(seeds)
def test_scaled_dot_product_is_its_definition(seed):
    rng = np.random.default_rng(seed)
    T, S, H, V = rng.integers(1, 6, 4)
    query, key = rng.normal(size=(T, H)), rng.normal(size=(S, H)) * rng.choice([1, 1e3])
    value, mask = rng.normal(size=(S, V)), rng.random((T, S)) < 0.7
    expected = by_loops(query, key, value, mask)
    got = attention.scaled_dot_product_attention(query, key, value, mask)
    np.testing.assert_allclose(got[0], expected[0], atol=1e-9)
    np.testing.assert_allclose(got[1], expected[1], atol=1e-9)


@given(seeds)
def test_masked_is_deleted_and_order_is_irrelevant(seed):
    rng = np.random.default_rng(seed)
    query, key, value = rng.normal(size=(3, 4)), rng.normal(size=(5, 4)), rng.normal(size=(5, 2))
    kept = rng.random(5) < 0.6
    kept[rng.integers(5)] = True
    masked, _ = attention.scaled_dot_product_attention(query, key, value, kept[None, :])
    deleted, _ = attention.scaled_dot_product_attention(query, key[kept], value[kept])
    np.testing.assert_allclose(masked, deleted, atol=1e-12)
    order = rng.permutation(5)
    permuted, _ = attention.scaled_dot_product_attention(
        query, key[order], value[order], kept[order]
    )
    np.testing.assert_allclose(permuted, masked, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_row_without_keys_and_huge_scores(dtype):
    mask = np.array([[False, False], [True, True]])
    weights = attention.softmax(np.array([[1e4, -1e4], [1e4, -1e4]], dtype), mask)
    assert weights.dtype == dtype
    assert weights.tolist() == [[0, 0], [1, 0]]


def test_batches_and_broadcast_masks():
    rng = np.random.default_rng(0)
    query, key, value = (rng.normal(size=s) for s in ((2, 3, 4), (2, 5, 4), (2, 5, 6)))
    mask = attention.padding_mask([5, 2], 5)
    context, weights = attention.scaled_dot_product_attention(query, key, value, mask)
    assert context.shape == (2, 3, 6)
    assert (weights[1, :, 2:] == 0).all()
    alone, _ = attention.scaled_dot_product_attention(query[1], key[1, :2], value[1, :2])
    np.testing.assert_allclose(context[1], alone)


def test_masks():
    assert attention.causal_mask(3).tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert attention.causal_mask(2, 3).shape == (2, 3)
    assert attention.padding_mask([2, 0], 3)[:, 0].tolist() == [[1, 1, 0], [0, 0, 0]]


def test_shapes_that_do_not_fit_name_the_axis():
    with pytest.raises(ValueError, match="axis -1"):
        attention.scaled_dot_product_attention(np.ones((2, 3)), np.ones((4, 5)), np.ones((4, 1)))
    with pytest.raises(ValueError, match="keys"):
        attention.attention_pooling(np.ones((2, 3)), np.ones((4, 1)))
    with pytest.raises(ValueError, match="nothing to attend to"):
        attention.scaled_dot_product_attention(np.ones((2, 3)), np.ones((0, 3)), np.ones((0, 1)))
    two, three = np.ones((2, 3, 4)), np.ones((3, 3, 4))
    for call in (
        lambda: attention.scaled_dot_product_attention(two, three, three),
        lambda: attention.scaled_dot_product_attention(two, two, three),
        lambda: attention.bilinear_scores(two, three, np.eye(4)),
    ):
        with pytest.raises(ValueError, match=r"\(2, 3, .\) and .*do not fit on the axes before"):
            call()
    with pytest.raises(ValueError, match="between 0 and 3"):
        attention.padding_mask([4], 3)
    with pytest.raises(ValueError, match="no keys"):
        attention.softmax(np.ones((2, 0)))
    with pytest.raises(ValueError, match=r"mask has shape \(2, 3\).*\(2, 4\)"):
        attention.softmax(np.ones((2, 4)), np.ones((2, 3), bool))


def test_a_product_that_float32_cannot_hold():
    """Four times 1e19 · 1e19 is 4e38, beyond float32; the score is half of that, within."""
    query = np.full((1, 4), 1e19, np.float32)
    key = np.stack([query[0], 0 * query[0]])
    context, weights = attention.scaled_dot_product_attention(query, key, np.array([[3.0], [5.0]]))
    assert weights.tolist() == [[1, 0]]
    assert context.tolist() == [[3]]
    context, weights = attention.scaled_dot_product_attention(query, key, key)  # all float32
    assert weights.dtype == np.float32
    assert weights.tolist() == [[1, 0]]


def test_whole_numbers_too_long_for_numpy():
    assert attention.softmax([[0, 10**30]]).tolist() == [[0, 1]]


def test_pooling_one_number_for_each_key():
    rng = np.random.default_rng(0)
    scores, value = rng.normal(size=(3, 5)), rng.normal(size=5)
    context, weights = attention.attention_pooling(scores, value)
    column, _ = attention.attention_pooling(scores, value[:, None])
    assert context.shape == (3,)
    np.testing.assert_allclose(context, column[:, 0])
    np.testing.assert_allclose(
        context, [sum(w * v for w, v in zip(row, value, strict=True)) for row in weights]
    )
    with pytest.raises(ValueError, match="4 \\(axis -1\\)"):
        attention.attention_pooling(scores, value[:4])


def test_whole_numbers_are_scaled_by_the_exact_root():
    query, key, value = np.array([[1, 2]]), np.array([[1, 1], [0, 3]]), np.eye(2, dtype=int)
    got = attention.scaled_dot_product_attention(query, key, value)[1]
    want = attention.scaled_dot_product_attention(query * 1.0, key * 1.0, value)[1]
    np.testing.assert_allclose(got, want)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("held", [np.nan, np.inf, -np.inf])
def test_a_closed_key_has_no_influence_whatever_it_holds(dtype, held):
    pooled, weights = attention.attention_pooling(
        np.zeros((1, 3), dtype), np.array([[1], [held], [3]], dtype), [True, False, True]
    )
    assert (pooled.item(), weights.tolist()) == (2, [[0.5, 0, 0.5]])
    assert pooled.dtype == weights.dtype == dtype
    one_each, _ = attention.attention_pooling([[0, -np.inf, 0]], [1, held, 3])
    assert one_each.tolist() == [2]
    rng = np.random.default_rng(0)
    query, key, value = (
        rng.normal(size=s).astype(dtype) for s in ((2, 3, 4), (2, 5, 4), (2, 5, 6))
    )
    query[0, 0, 0] = 0  # 0 × inf
    mask = attention.padding_mask([3, 5], 5)
    expected = attention.scaled_dot_product_attention(query, key, value, mask)
    key[0, 3:], value[0, 4] = held, held
    got = attention.scaled_dot_product_attention(query, key, value, mask)
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_array_equal(got[1], expected[1])


def test_under_masks_that_differ_by_query_a_nan_reaches_those_that_may_see_it():
    value = np.array([[1.0, 2], [np.nan, 4], [5, np.inf]])
    context, _ = attention.attention_pooling(np.zeros((3, 3)), value, attention.causal_mask(3))
    np.testing.assert_array_equal(context, [[1, 2], [np.nan, 3], [np.nan, np.inf]])


def test_half_precision_is_widened_inside():
    weights = attention.softmax(np.zeros((1, 70_000), np.float16))
    assert weights.dtype == np.float16
    np.testing.assert_allclose(weights[0, 0], 1 / 70_000, rtol=0.01)
    query, key = np.full((1, 64), 100, np.float16), np.full((2, 64), 100, np.float16)
    key[1, 0] = 99.5  # both products are far above 65,504, the scores differ by 6.25
    context, weights = attention.scaled_dot_product_attention(
        query, key, np.eye(2, dtype="float16")
    )
    assert context.dtype == weights.dtype == np.float16
    np.testing.assert_allclose(weights[0, 1], 1 / (1 + np.exp(6.25)), rtol=0.01)


@pytest.mark.parametrize("mask", [[[1, 1, 0]], [[1.0, 1, 0]], np.ones((1, 3), np.uint8)])
def test_a_mask_of_numbers_is_refused(mask):
    with pytest.raises(ValueError, match="mask must be bool, True may attend; got"):
        attention.softmax([[0.0, 1, 2]], mask)
    with pytest.raises(ValueError, match="mask must be bool"):
        attention.scaled_dot_product_attention([[1.0]], np.ones((3, 1)), np.ones((3, 1)), mask)


def test_whole_numbers_lists_and_closed_scores():
    expected = np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum()
    np.testing.assert_allclose(attention.softmax([[0, 1, 2]]), [expected])
    np.testing.assert_allclose(attention.softmax([[10**9, 10**9 + 1, 10**9 + 2]]), [expected])
    assert attention.softmax(np.array([[0, 200]], np.uint8)).dtype == float
    closed = [[-np.inf, -np.inf], [0, -np.inf], [-np.inf, 3]]
    assert attention.softmax(closed).tolist() == [[0, 0], [1, 0], [0, 1]]
    assert attention.softmax(closed, [[True, False]]).tolist() == [[0, 0], [1, 0], [0, 0]]
    context, _ = attention.scaled_dot_product_attention(
        [[0, 0]], [[1, 2], [3, 4]], [[1], [5]], [[True, True]]
    )
    assert context.tolist() == [[3]]


@pytest.mark.parametrize("lengths", [3, [[3], [2]], [2.5], [True]])
def test_lengths_are_one_row_of_whole_numbers(lengths):
    with pytest.raises(ValueError, match=r"lengths must be (\(B,\)|whole numbers)"):
        attention.padding_mask(lengths, 4)
    assert attention.padding_mask([], 4).shape == (0, 1, 4)


def test_arrays_without_an_axis_of_keys_are_refused():
    with pytest.raises(ValueError, match="no keys"):
        attention.softmax(3.0)
    with pytest.raises(ValueError, match="scores must have 1 axes"):
        attention.attention_pooling(3.0, [1.0])
    with pytest.raises(ValueError, match="key must have 2 axes"):
        attention.scaled_dot_product_attention([1.0], [1.0], [1.0])
