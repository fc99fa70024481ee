"""Right answers written differently: every one must pass."""

import numpy as np

from attnfuse import attention


def attend_einsum(query, key, value, mask=None):
    scores = np.einsum("bth,bsh->bts", query, key) / query.shape[-1] ** 0.5
    weights = attention.softmax(scores, mask)
    return np.einsum("bts,bsv->btv", weights, value), weights


def attend_query_first(query, key, value, mask=None):
    """The query is scaled before the product; masked scores are minus infinity."""
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(0, 2, 1)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    top = np.max(scores, axis=-1, keepdims=True)
    top = np.where(np.isinf(top), 0.0, top)
    powers = np.exp(scores - top)
    total = powers.sum(-1, keepdims=True)
    weights = np.divide(powers, total, out=np.zeros_like(powers), where=total > 0)
    return weights @ value, weights


def attend_loops_and_lists(query, key, value, mask=None):
    """Item by item, query by query, in lists."""
    weights, context = [], []
    for b in range(len(query)):
        weights.append([])
        context.append([])
        for t in range(query.shape[1]):
            scores = [float(np.dot(query[b, t], k)) / np.sqrt(query.shape[2]) for k in key[b]]
            shape = (len(query), query.shape[1], key.shape[1])
            row = [True] * len(scores) if mask is None else np.broadcast_to(mask, shape)[b, t]
            if not any(row):
                share = [0.0] * len(scores)
            else:
                top = max(s for s, ok in zip(scores, row, strict=True) if ok)
                share = [np.exp(s - top) if ok else 0.0 for s, ok in zip(scores, row, strict=True)]
                share = [x / sum(share) for x in share]
            weights[-1].append(share)
            context[-1].append(list(sum(w * v for w, v in zip(share, value[b], strict=True))))
    return [context, weights]


def attend_lowest_float(query, key, value, mask=None):
    """A very low score, then zeros for masked keys and the row divided again."""
    scores = query @ np.swapaxes(key, 1, 2) / np.sqrt(key.shape[2])
    if mask is not None:
        scores = np.where(mask, scores, -1e30)
    powers = np.exp(scores - scores.max(axis=2, keepdims=True))
    powers = powers if mask is None else powers * mask
    weights = powers / np.maximum(powers.sum(axis=2, keepdims=True), 1e-300)
    return weights @ value, weights


def mask_from_comparison(is_word):
    places = np.arange(is_word.shape[1])
    return is_word[:, None, :] & (places[None, :] <= places[:, None])


def mask_from_tril(is_word):
    return np.tril(np.repeat(is_word[:, None], is_word.shape[1], axis=1))


def mask_in_lists(is_word):
    size = is_word.shape[1]
    return [
        [[bool(row[s]) and s <= t for s in range(size)] for t in range(size)] for row in is_word
    ]


def mask_multiplied(is_word):
    return np.einsum("bs,ts->bts", is_word, attention.causal_mask(is_word.shape[1]))


def _arrays(seed, B, T, S, H, V):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) for shape in ((B, T, H), (B, S, H), (B, S, V)))


def check_one_item(attend):
    """One item, a loud value, contexts only; a key that counted would show in the share of the rest."""
    query, key, value = _arrays(0, 1, 4, 3, 2, 5)
    mask = np.array([[[True, False, True]]])
    loud = value.copy()
    loud[0, 1] = -1e8
    masked = attend(query=query, key=key, value=loud, mask=mask)[0]
    deleted = attend(query=query, key=key[:, [0, 2]], value=value[:, [0, 2]])[0]
    weights = attend(query=query, key=key, value=value, mask=mask)[1]
    return bool(np.allclose(masked, deleted) and np.allclose(weights.sum(-1), 1))


def check_by_assert(attend):
    query, key, value = _arrays(1, 2, 3, 6, 4, 1)
    mask = np.ones((2, 3, 6), dtype=bool)
    mask[..., -1] = False
    loud = value.copy()
    loud[:, -1] = 1e6
    masked = attend(query, key, loud, mask)
    deleted = attend(query, key[:, :-1], value[:, :-1], None)
    try:
        np.testing.assert_allclose(masked[0], deleted[0], rtol=1e-6)
        np.testing.assert_allclose(masked[1][..., :-1], deleted[1], rtol=1e-6)
    except AssertionError:
        return False
    return True


def check_by_largest_difference(attend):
    query, key, value = _arrays(2, 2, 3, 5, 4, 2)
    worst = 0.0
    for gone in range(5):
        mask = np.arange(5) != gone
        noisy = np.where(mask[None, :, None], value, 1e5)
        masked, weights = attend(query, key, noisy, np.broadcast_to(mask, (2, 3, 5)))
        deleted, fewer = attend(query, key[:, mask], value[:, mask])
        worst = max(worst, abs(masked - deleted).max(), abs(weights[..., mask] - fewer).max())
    return worst < 1e-6


def check_every_key(attend):
    """Hide one key after another; the result must be that of the shorter list of keys."""
    query, key, value = _arrays(7, 2, 3, 5, 4, 2)
    for gone in range(5):
        mask = np.ones((2, 3, 5), dtype=bool)
        mask[:, :, gone] = False
        loud = value.copy()
        loud[:, gone] = 1e6
        kept = [s for s in range(5) if s != gone]
        masked, weights = attend(query=query, key=key, value=loud, mask=mask)
        deleted, fewer = attend(query=query, key=key[:, kept], value=value[:, kept], mask=None)
        if not (
            np.allclose(masked, deleted, rtol=1e-7, atol=1e-7)
            and np.allclose(weights[..., kept], fewer)
        ):
            return False
    return True


def pool_item_by_item(query, key, value, is_word):
    """No mask at all: the padding is cut off."""
    context, weights = [], np.zeros((len(query), query.shape[1], key.shape[1]))
    for b, real in enumerate(is_word):
        scores = query[b] @ key[b][real].T / np.sqrt(query.shape[2])
        weights[b][:, real] = attention.softmax(scores)
        context.append(weights[b][:, real] @ value[b][real])
    return np.stack(context), weights


def pool_with_newaxis(query, key, value, is_word):
    scores = np.matmul(query, key.swapaxes(1, 2)) * query.shape[2] ** -0.5
    return attention.attention_pooling(scores, value, is_word[:, np.newaxis])


def pool_with_repeat(query, key, value, is_word):
    mask = np.stack([is_word] * query.shape[1], axis=1)
    weights = attention.softmax(
        np.einsum("bth,bsh->bts", query, key) / np.sqrt(key.shape[-1]), mask
    )
    return np.einsum("bts,bsv->btv", weights, value), weights


def pool_by_the_courses_attention(query, key, value, is_word):
    return attention.scaled_dot_product_attention(
        query=query, key=key, value=value, mask=is_word[:, None, :]
    )


def near_by_distance(query, key, value, temperature):
    distance2 = ((query[:, None, :] - key[None, :, :]) ** 2).sum(-1)
    weights = attention.softmax(-distance2 / (2 * temperature))
    return weights @ value, weights


def near_with_all_terms(query, key, value, temperature):
    scores = query @ key.T - (key**2).sum(1) / 2 - (query**2).sum(1, keepdims=True) / 2
    return attention.attention_pooling(scores / temperature, value)


def near_with_one_more_column(query, key, value, temperature):
    """One more number for each key, and a 1 for each query."""
    longer_query = np.c_[query, np.ones(len(query))]
    longer_key = np.c_[key, -np.sum(key * key, axis=1) / 2]
    weights = attention.softmax(longer_query @ longer_key.T / temperature)
    return weights @ value, weights


def near_with_the_courses_attention(query, key, value, temperature):
    """The same longer rows, given to the course's function, which divides by √H once more."""
    longer_key = np.c_[key, -np.sum(key * key, axis=1) / 2]
    longer_query = np.c_[query, np.ones(len(query))] * np.sqrt(longer_key.shape[1]) / temperature
    return attention.scaled_dot_product_attention(query=longer_query, key=longer_key, value=value)


def near_by_loops(query, key, value, temperature):
    weights = []
    for q in query:
        row = np.array([-sum((q - k) ** 2) / 2 / temperature for k in key])
        row = np.exp(row - row.max())
        weights.append(list(row / row.sum()))
    return (np.array(weights) @ value).tolist(), weights


ALTERNATIVES = {
    "attend": [attend_einsum, attend_query_first, attend_loops_and_lists, attend_lowest_float],
    "score_spread": [[8, 32, 64], (8.0, 32.0, 64.0), np.array([8.05, 31.9, 63.6])],
    "decoder_mask": [mask_from_comparison, mask_from_tril, mask_in_lists, mask_multiplied],
    "mask_test": [check_one_item, check_by_assert, check_by_largest_difference, check_every_key],
    "square_test": [
        pool_item_by_item,
        pool_with_newaxis,
        pool_with_repeat,
        pool_by_the_courses_attention,
    ],
    "nearness": [
        near_by_distance,
        near_with_all_terms,
        near_with_one_more_column,
        near_with_the_courses_attention,
        near_by_loops,
    ],
}
