"""Right answers to the exercises of lesson 01, written differently."""

import math

import numpy as np

# --- softmax


def softmax_in_lists(scores):
    rows = []
    for row in scores.tolist():
        parts = [math.exp(score - max(row)) for score in row]
        rows.append([part / sum(parts) for part in parts])
    return rows


def softmax_by_logarithms(scores):
    top = np.max(scores, axis=1)[:, None]
    return np.exp(scores - top - np.log(np.sum(np.exp(scores - top), axis=1, keepdims=True)))


def softmax_by_differences(scores):
    return 1 / np.exp(scores[:, None, :] - scores[:, :, None]).sum(axis=2)


def softmax_upright(scores):
    parts = np.exp((scores - scores.max(1, keepdims=True)).T)
    return (parts / parts.sum(0)).T


def softmax_in_place(scores):
    scores = np.array(scores, dtype=np.float64)
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


# --- days_apart


def days_apart_by_remainder(query, key):
    forwards = (query[:, None] - key) % 365
    return np.minimum(forwards, 365 - forwards)


def days_apart_in_three(query, key):
    gap = np.subtract.outer(query, key)
    return np.min([abs(gap), abs(gap + 365), abs(gap - 365)], axis=0)


def days_apart_in_lists(query, key):
    return [[min(abs(q - k), 365 - abs(q - k)) for k in key.tolist()] for q in query.tolist()]


def days_apart_by_angle(query, key):
    turn = np.exp(2j * np.pi * query / 365)[:, None] * np.exp(-2j * np.pi * key / 365)
    return abs(np.angle(turn)) * 365 / (2 * np.pi)


# --- pool


def _weights(scores):
    return softmax_in_place(scores)


def pool_einsum(scores, value):
    weights = _weights(scores)
    return np.einsum("ts,s->t", weights, value), weights


def pool_sum(scores, value):
    weights = _weights(scores)
    return [(weights * value).sum(axis=1), weights]


def pool_divided_last(scores, value):
    parts = np.exp(scores - scores.max(axis=1, keepdims=True))
    return (parts @ value) / parts.sum(axis=1), parts / parts.sum(axis=1, keepdims=True)


def pool_in_lists(scores, value):
    weights = softmax_in_lists(scores)
    context = [sum(w * x for w, x in zip(row, value, strict=True)) for row in weights]
    return context, weights


# --- other_years


def other_years_by_deleting(scores, value, query_year, key_year):
    weights = np.zeros(scores.shape)
    for t, year in enumerate(query_year):
        kept = np.flatnonzero(key_year != year)
        if kept.size:
            parts = np.exp(scores[t, kept] - scores[t, kept].max())
            weights[t, kept] = parts / parts.sum()
    return weights @ value, weights


def other_years_nan_to_zero(scores, value, query_year, key_year):
    masked = np.where(np.equal.outer(query_year, key_year), -np.inf, scores)
    parts = np.exp(masked - masked.max(axis=1, keepdims=True))
    weights = np.nan_to_num(parts / parts.sum(axis=1, keepdims=True))
    return (weights * value).sum(axis=1), weights


def other_years_billion_then_zero(scores, value, query_year, key_year):
    mask = query_year[:, None] != key_year
    weights = softmax_in_place(np.where(mask, scores, -1e9)) * mask
    return weights @ value, weights


def other_years_shift_before_the_mask(scores, value, query_year, key_year):
    allowed = (query_year[:, None] != key_year).astype(float)
    top = np.max(np.where(allowed > 0, scores, -1e300), axis=1, keepdims=True)
    parts = np.exp(np.minimum(scores - top, 0)) * allowed
    weights = parts / np.maximum(parts.sum(axis=1, keepdims=True), 1e-300)
    return np.einsum("ts,s->t", weights, value), weights


def other_years_with_the_course(scores, value, query_year, key_year):
    from attnfuse import attention

    mask = key_year != query_year[:, None]
    weights = attention.softmax(np.where(mask, scores, -np.inf))
    return [weights.dot(value), weights]


# --- year_out_errors


def _circle(day):
    gap = abs(day[:, None] - day)
    return np.minimum(gap, 365 - gap)


def errors_year_by_year(bandwidths, day, year, temperature):
    errors = []
    for bandwidth in bandwidths:
        squares = []
        for left_out in np.unique(year):
            asked, kept = year == left_out, year != left_out
            scores = -(_circle(day)[asked][:, kept] ** 2) / (2 * bandwidth**2)
            wrong = softmax_in_place(scores) @ temperature[kept] - temperature[asked]
            squares.extend(wrong**2)
        errors.append(math.sqrt(sum(squares) / len(squares)))
    return errors


def errors_all_at_once(bandwidths, day, year, temperature):
    scores = -(_circle(day) ** 2) / (2 * bandwidths[:, None, None] ** 2)
    scores = np.where(year[:, None] == year, -np.inf, scores)
    parts = np.exp(scores - scores.max(axis=-1, keepdims=True))
    pooled = parts @ temperature / parts.sum(axis=-1)
    return np.sqrt(((pooled - temperature) ** 2).mean(axis=1))


def errors_with_the_course(bandwidths, day, year, temperature):
    from attnfuse import attention
    from attnfuse.data import weather

    apart, mask = weather.days_apart(day, day), year[:, None] != year
    return [
        np.linalg.norm(
            attention.attention_pooling(-0.5 * (apart / b) ** 2, temperature, mask)[0] - temperature
        )
        / len(day) ** 0.5
        for b in bandwidths
    ]


ALTERNATIVES = {
    "softmax": [
        softmax_in_lists,
        softmax_by_logarithms,
        softmax_by_differences,
        softmax_upright,
        softmax_in_place,
    ],
    "days_apart": [
        days_apart_by_remainder,
        days_apart_in_three,
        days_apart_in_lists,
        days_apart_by_angle,
    ],
    "pool": [pool_einsum, pool_sum, pool_divided_last, pool_in_lists],
    "copies": [(12.5, 14), [12.5, 14.0], np.array([12.5, 14.0]), (0.75 * 10 + 0.25 * 20, 70 / 5)],
    "other_years": [
        other_years_by_deleting,
        other_years_nan_to_zero,
        other_years_billion_then_zero,
        other_years_shift_before_the_mask,
        other_years_with_the_course,
    ],
    "year_out_errors": [errors_year_by_year, errors_all_at_once, errors_with_the_course],
    "no_query": [1.0, np.int64(1)],
}
