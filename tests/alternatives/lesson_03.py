"""Right answers written differently: every one must pass."""

import numpy as np

from attnfuse import attention, gradients
from attnfuse.gradients import numerical_gradient


def softmax_gradient_by_jacobian(weights, d_weights):
    """The whole table for each row, then a matrix product."""
    jacobian = np.einsum("ts,si->tsi", weights, np.eye(weights.shape[1])) - np.einsum(
        "ts,ti->tsi", weights, weights
    )
    return np.einsum("tsi,ti->ts", jacobian, d_weights)


def softmax_gradient_by_diag(weights, d_weights):
    return [(np.diag(w) - np.outer(w, w)) @ d for w, d in zip(weights, d_weights, strict=True)]


def softmax_gradient_split(weights, d_weights):
    product = weights * d_weights
    return product - weights * np.sum(product, axis=1)[:, None]


def softmax_gradient_by_pairs(weights, d_weights):
    """Each pair of keys trades weight: w·w' times the difference."""
    gap = d_weights[:, :, None] - d_weights[:, None, :]
    return (weights[:, :, None] * weights[:, None, :] * gap).sum(axis=2)


def backward_einsum(query, key, value, d_context, mask=None):
    root = query.shape[-1] ** 0.5
    weights = attention.softmax(np.einsum("bth,bsh->bts", query, key) / root, mask)
    d_scores = gradients.softmax_gradient(weights, np.einsum("btv,bsv->bts", d_context, value))
    return (
        np.einsum("bts,bsh->bth", d_scores, key) / root,
        np.einsum("bts,bth->bsh", d_scores, query) / root,
        np.einsum("bts,btv->bsv", weights, d_context),
    )


def backward_with_context(query, key, value, d_context, mask=None):
    """The row's mean is d_context · context; the weights come from the forward pass."""
    context, weights = attention.scaled_dot_product_attention(query, key, value, mask)
    mean = (d_context * context).sum(-1)[..., None]
    d_scores = weights * (d_context @ value.transpose(0, 2, 1) - mean) * key.shape[2] ** -0.5
    return (
        np.matmul(d_scores, key),
        np.matmul(d_scores.transpose(0, 2, 1), query),
        np.matmul(weights.transpose(0, 2, 1), d_context),
    )


def backward_by_items(query, key, value, d_context, mask=None):
    """Item by item, query by query, into lists."""
    B, T, S = len(query), query.shape[1], key.shape[1]
    allowed = np.broadcast_to(True if mask is None else mask, (B, T, S))
    root = np.sqrt(query.shape[2])
    out = [np.zeros(x.shape) for x in (query, key, value)]
    for b in range(B):
        for t in range(T):
            if not allowed[b, t].any():
                continue
            w = attention.softmax(key[b] @ query[b, t] / root, allowed[b, t])
            s = (np.diag(w) - np.outer(w, w)) @ (value[b] @ d_context[b, t]) / root
            out[0][b, t] = s @ key[b]
            out[1][b] += np.outer(s, query[b, t])
            out[2][b] += np.outer(w, d_context[b, t])
    return [x.tolist() for x in out]


def backward_scaled_query(query, key, value, d_context, mask=None):
    """The query is scaled before the product, so √H sits elsewhere."""
    short = query / np.sqrt(query.shape[-1])
    weights = attention.softmax(short @ np.swapaxes(key, 1, 2), mask)
    d_scores = gradients.softmax_gradient(weights, d_context @ np.swapaxes(value, 1, 2))
    return (
        d_scores @ key / np.sqrt(query.shape[-1]),
        np.swapaxes(d_scores, 1, 2) @ short,
        np.swapaxes(weights, 1, 2) @ d_context,
    )


def one_matrix_added(pictures, memory, W, value, d_context, mask=None):
    query, key = pictures @ W, memory @ W
    weights = attention.softmax(query @ key.T / np.sqrt(W.shape[1]), mask)
    d_scores = gradients.softmax_gradient(weights, d_context @ value.T) / np.sqrt(W.shape[1])
    return pictures.T @ (d_scores @ key) + memory.T @ (d_scores.T @ query)


def one_matrix_from_the_course(pictures, memory, W, value, d_context, mask=None):
    d_query, d_key, _ = gradients.attention_gradients(
        pictures @ W, memory @ W, value, d_context, mask
    )
    return np.concatenate([pictures, memory]).T @ np.concatenate([d_query, d_key])


def one_matrix_einsum(pictures, memory, W, value, d_context, mask=None):
    query, key = pictures @ W, memory @ W
    _, weights = attention.scaled_dot_product_attention(query, key, value, mask)
    d_scores = gradients.softmax_gradient(weights, d_context @ value.T) * W.shape[1] ** -0.5
    d_W = np.einsum("td,ts,sh->dh", pictures, d_scores, key)
    d_W += np.einsum("sd,ts,th->dh", memory, d_scores, query)
    return d_W


def _arrays(seed, B, T, S, H, V):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=x) for x in ((B, T, H), (B, S, H), (B, S, V), (B, T, V))]


def check_with_numerical_gradient(backward):
    query, key, value, d_context = _arrays(0, 1, 2, 3, 4, 2)
    mask = np.array([[[True, False, True], [True, True, True]]])
    got = backward(query=query, key=key, value=value, d_context=d_context, mask=mask)

    def loss(query, key, value):
        return np.sum(
            attention.scaled_dot_product_attention(query, key, value, mask)[0] * d_context
        )

    slopes = (
        numerical_gradient(lambda x: loss(x, key, value), query),
        numerical_gradient(lambda x: loss(query, x, value), key),
        numerical_gradient(lambda x: loss(query, key, x), value),
    )
    return all(np.allclose(a, b, rtol=1e-5, atol=1e-8) for a, b in zip(got, slopes, strict=True))


def check_along_directions(backward):
    """A few random directions through all inputs at once, instead of every number."""
    rng = np.random.default_rng(1)
    x = _arrays(2, 2, 3, 4, 2, 5)
    mask = rng.random((2, 3, 4)) < 0.7
    mask[..., 0] = True
    mask[..., 1] = False

    def loss(query, key, value):
        return np.sum(attention.scaled_dot_product_attention(query, key, value, mask)[0] * x[3])

    got = backward(*x, mask)
    for _ in range(5):
        way = [rng.normal(size=array.shape) for array in x[:3]]
        ahead = loss(*(a + 1e-5 * w for a, w in zip(x, way, strict=False)))
        behind = loss(*(a - 1e-5 * w for a, w in zip(x, way, strict=False)))
        slope = sum(np.sum(g * w) for g, w in zip(got, way, strict=True))
        if not np.isclose(slope, (ahead - behind) / 2e-5, rtol=1e-6):
            return False
    return True


def check_by_assert(backward):
    query, key, value, d_context = _arrays(3, 2, 2, 3, 3, 2)
    mask = np.array([True, True, False])
    inputs = {"query": query, "key": key, "value": value}
    got = backward(**inputs, d_context=d_context, mask=mask)
    try:
        for name, slope in zip(inputs, got, strict=True):

            def loss(x, name=name):
                context, _ = attention.scaled_dot_product_attention(
                    **{**inputs, name: x}, mask=mask
                )
                return (context * d_context).sum()

            np.testing.assert_allclose(
                slope, numerical_gradient(loss, inputs[name], step=1e-4), rtol=1e-4, atol=1e-6
            )
    except AssertionError:
        return False
    return True


ALTERNATIVES = {
    "pull": [[-5, 0, 5], (-5.0, 0.0, 5.0), np.array([-5.0, 0.0, 5.0])],
    "softmax_gradient": [
        softmax_gradient_by_jacobian,
        softmax_gradient_by_diag,
        softmax_gradient_split,
        softmax_gradient_by_pairs,
    ],
    "attend_backward": [
        backward_einsum,
        backward_with_context,
        backward_by_items,
        backward_scaled_query,
    ],
    "gradient_test": [check_with_numerical_gradient, check_along_directions, check_by_assert],
    "one_matrix": [one_matrix_added, one_matrix_from_the_course, one_matrix_einsum],
}
