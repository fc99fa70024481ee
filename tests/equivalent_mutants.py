"""Mutants of right answers that are right answers themselves, each with its proof in a line.

`EQUIVALENT[exercise][mutant]` is the reason; `mutant` is written as `make mutants` prints it:
`answer: line before → line after`. At most one mutant in twenty may stand here.
"""

FLOAT32 = "the task leaves the dtype open, and float32 is near enough"

EQUIVALENT: dict[str, dict[str, str]] = {
    "weighted_average": {
        "as_an_array: return np.array(np.einsum('s,s->', value, weights) / np.einsum('s->', weights)) → return np.array(np.einsum('s,s->', weights, value) / np.einsum('s->', weights))": "multiplication commutes",
    },
    "softmax": {
        "solution: exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True)) → exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))": "axis 1 is the last one of (T, S)",
        "solution: return exponentials / exponentials.sum(axis=-1, keepdims=True) → return as_float32(exponentials / exponentials.sum(axis=-1, keepdims=True))": FLOAT32,
        "solution: return exponentials / exponentials.sum(axis=-1, keepdims=True) → return exponentials / exponentials.sum(axis=1, keepdims=True)": "axis 1 is the last one of (T, S)",
        "softmax_in_lists: return rows → return as_float32(rows)": FLOAT32,
        "softmax_by_logarithms: return np.exp(scores - top - np.log(np.sum(np.exp(scores - top), axis=1, keepdims=True))) → return as_float32(np.exp(scores - top - np.log(np.sum(np.exp(scores - top), axis=1, keepdims=True))))": FLOAT32,
        "softmax_by_differences: return 1 / np.exp(scores[:, None, :] - scores[:, :, None]).sum(axis=2) → return as_float32(1 / np.exp(scores[:, None, :] - scores[:, :, None]).sum(axis=2))": FLOAT32,
        "softmax_upright: return (parts / parts.sum(0)).T → return as_float32((parts / parts.sum(0)).T)": FLOAT32,
        "softmax_in_place: scores = np.array(scores, dtype=np.float64) → scores = np.array(scores)": "a copy in float32 where scores are, float64 elsewhere",
        "softmax_in_place: return scores → return as_float32(scores)": FLOAT32,
    },
    "days_apart": {
        "solution: return np.minimum(gap, 365 - gap) → return as_float(np.minimum(gap, 365 - gap))": "the task accepts integers and floats",
        "days_apart_by_remainder: return np.minimum(forwards, 365 - forwards) → return as_float(np.minimum(forwards, 365 - forwards))": "the task accepts integers and floats",
        "days_apart_in_three: return np.min([abs(gap), abs(gap + 365), abs(gap - 365)], axis=0) → return as_float(np.min([abs(gap), abs(gap + 365), abs(gap - 365)], axis=0))": "the task accepts integers and floats",
        "days_apart_in_three: return np.min([abs(gap), abs(gap + 365), abs(gap - 365)], axis=0) → return np.min([abs(gap + 365), abs(gap), abs(gap - 365)], axis=0)": "a minimum knows no order",
        "days_apart_in_three: return np.min([abs(gap), abs(gap + 365), abs(gap - 365)], axis=0) → return np.min([abs(gap), abs(gap - 365), abs(gap + 365)], axis=0)": "a minimum knows no order",
        "days_apart_in_three: return np.min([abs(gap), abs(gap + 365), abs(gap - 365)], axis=0) → return np.min([abs(gap), gap + 365, abs(gap - 365)], axis=0)": "no gap is below -365, so the sum has no sign to lose",
        "days_apart_in_lists: return [[min(abs(q - k), 365 - abs(q - k)) for k in key.tolist()] for q in query.tolist()] → return as_float([[min(abs(q - k), 365 - abs(q - k)) for k in key.tolist()] for q in query.tolist()])": "the task accepts integers and floats",
        "days_apart_by_angle: return abs(np.angle(turn)) * 365 / (2 * np.pi) → return as_float32(abs(np.angle(turn)) * 365 / (2 * np.pi))": FLOAT32,
    },
    "year_out_errors": {
        "solution: return errors → return as_float32(errors)": FLOAT32,
        "errors_year_by_year: return errors → return as_float32(errors)": FLOAT32,
        "errors_all_at_once: return np.sqrt(((pooled - temperature) ** 2).mean(axis=1)) → return as_float32(np.sqrt(((pooled - temperature) ** 2).mean(axis=1)))": FLOAT32,
        "errors_with_the_course: return [np.linalg.norm(attention.attention_pooling(-0.5 * (apart / b) ** 2, temperature, mask)[0] - temperature) / len(day) ** 0.5 for b in bandwidths] → return as_float32([np.linalg.norm(attention.attention_pooling(-0.5 * (apart / b) ** 2, temperature, mask)[0] - temperature) / len(day) ** 0.5 for b in bandwidths])": FLOAT32,
    },
    "pool": {
        "pool_einsum: return (np.einsum('ts,s->t', weights, value), weights) → return (as_float32(np.einsum('ts,s->t', weights, value)), weights)": FLOAT32,
        "pool_einsum: return (np.einsum('ts,s->t', weights, value), weights) → return (np.einsum('ts,s->t', weights, value), as_float32(weights))": FLOAT32,
        "pool_sum: return [(weights * value).sum(axis=1), weights] → return as_float32([(weights * value).sum(axis=1), weights])": FLOAT32,
        "pool_divided_last: return (parts @ value / parts.sum(axis=1), parts / parts.sum(axis=1, keepdims=True)) → return (as_float32(parts @ value / parts.sum(axis=1)), parts / parts.sum(axis=1, keepdims=True))": FLOAT32,
        "pool_divided_last: return (parts @ value / parts.sum(axis=1), parts / parts.sum(axis=1, keepdims=True)) → return (parts @ value / parts.sum(axis=1), as_float32(parts / parts.sum(axis=1, keepdims=True)))": FLOAT32,
        "pool_in_lists: context = [sum((w * x for w, x in zip(row, value, strict=True))) for row in weights] → context = [sum((w * x for w, x in zip(value, row, strict=True))) for row in weights]": "multiplication commutes",
        "pool_in_lists: return (context, weights) → return (as_float32(context), weights)": FLOAT32,
        "pool_in_lists: return (context, weights) → return (context, as_float32(weights))": FLOAT32,
    },
    "other_years": {
        "solution: return (weights @ value, weights) → return (as_float32(weights @ value), weights)": FLOAT32,
        "solution: return (weights @ value, weights) → return (weights @ value, as_float32(weights))": FLOAT32,
        "other_years_by_deleting: return (weights @ value, weights) → return (as_float32(weights @ value), weights)": FLOAT32,
        "other_years_by_deleting: return (weights @ value, weights) → return (weights @ value, as_float32(weights))": FLOAT32,
        "other_years_nan_to_zero: return ((weights * value).sum(axis=1), weights) → return (as_float32((weights * value).sum(axis=1)), weights)": FLOAT32,
        "other_years_nan_to_zero: return ((weights * value).sum(axis=1), weights) → return ((weights * value).sum(axis=1), as_float32(weights))": FLOAT32,
        "other_years_billion_then_zero: weights = softmax_in_place(np.where(mask, scores, -1000000000.0)) * mask → weights = softmax_in_place(np.where(mask, scores, -999999999.0)) * mask": "far below any score, as -1e9 is",
        "other_years_billion_then_zero: weights = softmax_in_place(np.where(mask, scores, -1000000000.0)) * mask → weights = softmax_in_place(np.where(mask, scores, -1000000001.0)) * mask": "far below any score, as -1e9 is",
        "other_years_billion_then_zero: return (weights @ value, weights) → return (as_float32(weights @ value), weights)": FLOAT32,
        "other_years_billion_then_zero: return (weights @ value, weights) → return (weights @ value, as_float32(weights))": FLOAT32,
        "other_years_shift_before_the_mask: parts = np.exp(np.minimum(scores - top, 0)) * allowed → parts = np.exp(np.minimum(scores - top, 1)) * allowed": "no allowed score is above the maximum of the allowed ones",
        "other_years_shift_before_the_mask: weights = parts / np.maximum(parts.sum(axis=1, keepdims=True), 1e-300) → weights = parts / np.maximum(parts.sum(axis=1, keepdims=True), 1.0)": "axis 1 is the last one of (T, S)",
        "other_years_shift_before_the_mask: return (np.einsum('ts,s->t', weights, value), weights) → return (as_float32(np.einsum('ts,s->t', weights, value)), weights)": FLOAT32,
        "other_years_shift_before_the_mask: return (np.einsum('ts,s->t', weights, value), weights) → return (np.einsum('ts,s->t', weights, value), as_float32(weights))": FLOAT32,
        "other_years_with_the_course: return [weights.dot(value), weights] → return as_float32([weights.dot(value), weights])": FLOAT32,
    },
    "grouped_split": {
        "split_by_rank: test = [row for row in range(len(base)) if rank[family[row]] < int(share * len(names))] → test = [row for row in range(len(base)) if rank[family[row] - 1] < int(share * len(names))]": "each base takes the random number of the one before: random all the same",
    },
    "split_concatenation": {
        "solution: return (image @ matrix[:width], text @ matrix[width:]) → return (as_float32(image @ matrix[:width]), text @ matrix[width:])": FLOAT32,
        "solution: return (image @ matrix[:width], text @ matrix[width:]) → return (image @ matrix[:width], as_float32(text @ matrix[width:]))": FLOAT32,
        "contributions_zeros: return (from_image, np.concatenate([zeros(image), text], axis=1) @ matrix) → return (as_float32(from_image), np.concatenate([zeros(image), text], axis=1) @ matrix)": FLOAT32,
        "contributions_zeros: return (from_image, np.concatenate([zeros(image), text], axis=1) @ matrix) → return (from_image, as_float32(np.concatenate([zeros(image), text], axis=1) @ matrix))": FLOAT32,
        "contributions_remainder: return [from_image, np.hstack([image, text]) @ matrix - from_image] → return as_float32([from_image, np.hstack([image, text]) @ matrix - from_image])": FLOAT32,
    },
    "four_corners": {
        "solution: return effect_beside_text - (model(image, other_text) - model(other_image, other_text)) → return as_float32(effect_beside_text - (model(image, other_text) - model(other_image, other_text)))": FLOAT32,
        "corners_in_two_steps: return beside_text - (model(image, other_text) - model(other_image, other_text)) → return as_float32(beside_text - (model(image, other_text) - model(other_image, other_text)))": FLOAT32,
        "corners_in_one_batch: return ab - cb - ad + cd → return as_float32(ab - cb - ad + cd)": FLOAT32,
        "corners_by_signs: for sign_x, x in ((1, image), (-1, other_image)): → for sign_x, x in ((-1, other_image), (1, image)):": "the four corners are added in another order",
        "corners_by_signs: for sign_y, y in ((1, text), (-1, other_text)): → for sign_y, y in ((-1, other_text), (1, text)):": "the four corners are added in another order",
        "corners_by_signs: total = total + sign_x * sign_y * model(x, y) → total = total + sign_x / sign_y * model(x, y)": "dividing by 1 or −1 is multiplying by it",
        "corners_by_signs: return total.tolist() → return as_float32(total.tolist())": FLOAT32,
    },
    "low_rank_fusion": {
        "solution: with_one = ops.concatenate([x, ops.ones_like(x[:, :1])], axis=-1) → with_one = ops.concatenate([x, ops.ones_like(x[:, :1])], axis=1)": "axis 1 is the last one of (B, D)",
        "low_rank_einsum: image = ops.concatenate([image, ops.ones_like(image[:, :1])], axis=-1) → image = ops.concatenate([image, ops.ones_like(image[:, :1])], axis=1)": "axis 1 is the last one of (B, D)",
        "low_rank_einsum: text = ops.concatenate([text, ops.ones((ops.shape(text)[0], 1))], axis=-1) → text = ops.concatenate([text, ops.ones((ops.shape(text)[0], 1))], axis=1)": "axis 1 is the last one of (B, D)",
    },
    "paired_interval": {
        "solution: return (gain.mean() - 1.96 * error, gain.mean() + 1.96 * error) → return (as_float32(gain.mean() - 1.96 * error), gain.mean() + 1.96 * error)": FLOAT32,
        "solution: return (gain.mean() - 1.96 * error, gain.mean() + 1.96 * error) → return (gain.mean() - 1.96 * error, as_float32(gain.mean() + 1.96 * error))": FLOAT32,
        "interval_arrays: return (gain.mean() - margin, gain.mean() + margin) → return (as_float32(gain.mean() - margin), gain.mean() + margin)": FLOAT32,
        "interval_arrays: return (gain.mean() - margin, gain.mean() + margin) → return (gain.mean() - margin, as_float32(gain.mean() + margin))": FLOAT32,
        "interval_variance: return tuple(np.mean(gain) + np.array([-1.96, 1.96]) * error) → return as_float32(tuple(np.mean(gain) + np.array([-1.96, 1.96]) * error))": FLOAT32,
        "interval_list: return [np.mean(gains) - half, np.mean(gains) + half] → return as_float32([np.mean(gains) - half, np.mean(gains) + half])": FLOAT32,
        "interval_one_array: return gain.mean() + np.array([-1.96, 1.96]) * np.sqrt(gain.var(ddof=1) / items) → return as_float32(gain.mean() + np.array([-1.96, 1.96]) * np.sqrt(gain.var(ddof=1) / items))": FLOAT32,
    },
}
