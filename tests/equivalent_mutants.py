"""Mutants of right answers that are right answers themselves, each with its proof in a line.

`EQUIVALENT[exercise][mutant]` is the reason; `mutant` is written as `make mutants` prints it:
`answer: line before → line after`. At most one mutant in twenty may stand here.
"""

FLOAT32 = "the task leaves the dtype open, and float32 is near enough"

EQUIVALENT: dict[str, dict[str, str]] = {
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
