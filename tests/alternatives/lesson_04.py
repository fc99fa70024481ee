"""Right answers written differently: every one must pass."""

import numpy as np

from attnfuse import attention


def split_by_np_split(x, heads):
    return np.stack(np.split(x, heads, axis=-1), axis=1)


def split_by_slices(x, heads):
    H = x.shape[-1] // heads
    return np.array([[item[:, n * H : (n + 1) * H] for n in range(heads)] for item in x])


def split_by_transpose(x, heads):
    B, T, _ = x.shape
    return np.transpose(x.reshape((B, T, heads, -1)), (0, 2, 1, 3))


def split_by_einsum(x, heads):
    return np.einsum("btnh->bnth", x.reshape(*x.shape[:2], heads, -1))


def split_in_lists(x, heads):
    return np.moveaxis(x.reshape(x.shape[0], x.shape[1], heads, -1), 2, 1).tolist()


def heads_by_loop(query, key, value, heads, mask=None):
    """One attention after another, each on its own columns."""
    H, V = query.shape[-1] // heads, value.shape[-1] // heads
    contexts, weights = [], []
    for n in range(heads):
        part = slice(n * H, (n + 1) * H)
        context, weight = attention.scaled_dot_product_attention(
            query[..., part], key[..., part], value[..., n * V : (n + 1) * V], mask
        )
        contexts.append(context)
        weights.append(weight)
    return np.concatenate(contexts, axis=-1), np.stack(weights, axis=1)


def heads_by_einsum(query, key, value, heads, mask=None):
    B, T, D = query.shape
    S = key.shape[1]
    q, k = query.reshape(B, T, heads, -1), key.reshape(B, S, heads, -1)
    v = value.reshape(B, S, heads, -1)
    scores = np.einsum("btnh,bsnh->bnts", q, k) / np.sqrt(D // heads)
    weights = attention.softmax(scores, None if mask is None else np.expand_dims(mask, 1))
    return np.einsum("bnts,bsnv->btnv", weights, v).reshape(B, T, -1), weights


def heads_in_the_batch(query, key, value, heads, mask=None):
    """Heads folded into the batch, the mask repeated for each."""
    B, T, _ = query.shape
    q, k, v = (
        attention.split_heads(x, heads).reshape(B * heads, x.shape[1], -1)
        for x in (query, key, value)
    )
    repeated = None if mask is None else np.repeat(mask, heads, axis=0)
    context, weights = attention.scaled_dot_product_attention(q, k, v, repeated)
    context = context.reshape(B, heads, T, -1).swapaxes(1, 2).reshape(B, T, -1)
    return context, weights.reshape(B, heads, T, -1)


def heads_scaled_first(query, key, value, heads, mask=None):
    q = attention.split_heads(query * (query.shape[-1] / heads) ** -0.5, heads)
    k, v = attention.split_heads(key, heads), attention.split_heads(value, heads)
    scores = np.matmul(q, k.transpose(0, 1, 3, 2))
    wide = None if mask is None else np.stack([mask] * heads, axis=1)
    context, weights = attention.attention_pooling(scores, v, wide)
    return attention.merge_heads(context), weights


def heads_by_the_formula(query, key, value, heads, mask=None):
    """The one-head function on four axes, the mask repeated by hand."""
    parts = [attention.split_heads(x, heads) for x in (query, key, value)]
    if mask is not None:
        mask = np.repeat(mask, heads, axis=0).reshape(-1, heads, *mask.shape[1:])
    context, weights = attention.scaled_dot_product_attention(*parts, mask=mask)
    return np.concatenate([context[:, n] for n in range(heads)], axis=-1), weights


def rotary_head_by_head(query, key, value, heads):
    contexts, weights = [], []
    parts = [np.split(x, heads, axis=-1) for x in (query, key, value)]
    for q, k, v in zip(*parts, strict=True):
        q, k = attention.rotary(q), attention.rotary(k)
        scores = np.einsum("bth,bsh->bts", q, k) / q.shape[-1] ** 0.5
        weights.append(attention.softmax(scores))
        contexts.append(weights[-1] @ v)
    return np.concatenate(contexts, axis=2), np.stack(weights, axis=1)


def rotary_by_complex_numbers(query, key, value, heads):
    """A pair is a complex number; its place is a factor of length 1."""

    def turned(x):
        x = x.astype(float).reshape(x.shape[0], x.shape[1], heads, -1, 2)
        pairs = x[..., 0] + 1j * x[..., 1]  # (B, T, N, H/2)
        speeds = 10000.0 ** (-np.arange(pairs.shape[-1]) / pairs.shape[-1])
        return pairs * np.exp(1j * np.arange(x.shape[1])[:, None, None] * speeds)

    width = query.shape[-1] // heads
    scores = np.einsum("btnp,bsnp->bnts", turned(query), turned(key).conj()).real
    weights = attention.softmax(scores / np.sqrt(width))
    values = value.reshape(*value.shape[:2], heads, -1)
    context = np.einsum("bnts,bsnv->btnv", weights, values)
    return context.reshape(*context.shape[:2], -1), weights


def rotary_with_positions(query, key, value, heads):
    q, k, v = (attention.split_heads(x, heads) for x in (query, key, value))
    q = attention.rotary(q, np.arange(100, 100 + query.shape[1]))  # only differences count
    k = attention.rotary(k, np.arange(100, 100 + key.shape[1]))
    context, weights = attention.scaled_dot_product_attention(q, k, v)
    return [attention.merge_heads(context), weights]


def rotate_by_complex_numbers(x, positions):
    pairs = x[..., ::2] + 1j * x[..., 1::2]
    H = x.shape[-1]
    turned = pairs * np.exp(1j * np.outer(positions, 10000.0 ** (-np.arange(0, H, 2) / H)))
    return np.stack([turned.real, turned.imag], axis=-1).reshape(x.shape)


def rotate_by_two_products(x, positions):
    """x · cos + (x with each pair swapped and one sign changed) · sin."""
    H = x.shape[-1]
    angles = np.repeat(positions[:, None] / 10000 ** (np.arange(0, H, 2) / H), 2, axis=-1)
    swapped = np.empty_like(x)
    swapped[..., ::2], swapped[..., 1::2] = -x[..., 1::2], x[..., ::2]
    return x * np.cos(angles) + swapped * np.sin(angles)


def rotate_by_matrices(x, positions):
    turned = np.array(x, dtype=float)
    for i in range(x.shape[-1] // 2):
        for t, position in enumerate(positions):
            angle = position * 10000 ** (-2 * i / x.shape[-1])
            c, s = np.cos(angle), np.sin(angle)
            turned[:, t, 2 * i : 2 * i + 2] = x[:, t, 2 * i : 2 * i + 2] @ [[c, s], [-s, c]]
    return turned


def rotate_with_the_codes(x, positions):
    codes = attention.sinusoidal_positions(positions, x.shape[-1])
    sin, cos = codes[:, ::2], codes[:, 1::2]
    a, b = x[..., ::2], x[..., 1::2]
    turned = np.empty(x.shape)
    turned[..., ::2] = a * cos - b * sin
    turned[..., 1::2] = a * sin + b * cos
    return turned


def look_with_angles(steps):
    return [80 * f(speed * steps) for speed in (1, 0.1) for f in (np.cos, np.sin)] + [0] * 4


def look_with_uneven_hands(steps):
    asked = np.array([[150.0, 0, 300, 0, 0, 0, 0, 0]])
    return attention.rotary(asked, np.array([steps]))[0]


ALTERNATIVES = {
    "split_heads": [
        split_by_np_split,
        split_by_slices,
        split_by_transpose,
        split_by_einsum,
        split_in_lists,
    ],
    "head_cost": [[1, 1, 8], (1.0, 1.0, 8.0), np.array([1, 1, 8])],
    "many_heads": [
        heads_by_loop,
        heads_by_einsum,
        heads_in_the_batch,
        heads_scaled_first,
        heads_by_the_formula,
    ],
    "rotary_heads": [rotary_head_by_head, rotary_by_complex_numbers, rotary_with_positions],
    "set_head": [look_with_angles, look_with_uneven_hands],
    "rotate": [
        rotate_by_complex_numbers,
        rotate_by_two_products,
        rotate_by_matrices,
        rotate_with_the_codes,
    ],
}
