"""Right answers written differently: every one must pass."""

import numpy as np


def split_isin(base, share, seed):
    bases = np.random.default_rng(seed).permutation(np.unique(base))
    is_test = np.isin(base, bases[: round(share * len(bases))])
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)


def split_scikit_learn(base, share, seed):
    from sklearn.model_selection import GroupShuffleSplit

    splitter = GroupShuffleSplit(test_size=share, random_state=seed)
    return next(splitter.split(base, groups=base))


def split_by_rank(base, share, seed):
    """A random number for each base; the smallest, rounded down, are dealt to the test. Lists."""
    names, family = np.unique(base, return_inverse=True)
    rank = np.random.default_rng(seed).random(len(names)).argsort().argsort()
    test = [row for row in range(len(base)) if rank[family[row]] < int(share * len(names))]
    return list(set(range(len(base))) - set(test)), test


def contributions_slices(image, text, matrix):
    width = image.shape[1]
    return image @ matrix[:width], text @ matrix[width:]


def contributions_zeros(image, text, matrix):
    """The other modality's features set to zero; the whole matrix."""
    zeros = np.zeros_like
    from_image = np.concatenate([image, zeros(text)], axis=1) @ matrix
    return from_image, np.concatenate([zeros(image), text], axis=1) @ matrix


def contributions_remainder(image, text, matrix):
    """The text's part is what the image's part leaves."""
    from_image = np.einsum("bd,dc->bc", image, matrix[: image.shape[1]])
    return [from_image, np.hstack([image, text]) @ matrix - from_image]


def corners_in_two_steps(model, image, other_image, text, other_text):
    beside_text = model(image, text) - model(other_image, text)
    return beside_text - (model(image, other_text) - model(other_image, other_text))


def corners_in_one_batch(model, image, other_image, text, other_text):
    images = np.concatenate([image, other_image, image, other_image])
    texts = np.concatenate([text, text, other_text, other_text])
    ab, cb, ad, cd = np.split(np.asarray(model(images, texts)), 4)
    return ab - cb - ad + cd


def corners_by_signs(model, image, other_image, text, other_text):
    total = 0
    for sign_x, x in ((1, image), (-1, other_image)):
        for sign_y, y in ((1, text), (-1, other_text)):
            total = total + sign_x * sign_y * model(x, y)
    return total.tolist()


def _layer(rule):
    """A layer as the lesson gives it, with `rule(ops, image, text, U, V)` as its `call`."""
    from attnfuse.driving.layers import keras_module

    keras = keras_module()

    class LowRank(keras.layers.Layer):
        def __init__(self, units, rank=4, **options):
            super().__init__(**options)
            self.units, self.rank = units, rank

        def build(self, shapes):
            image, text = ((self.rank, shape[-1] + 1, self.units) for shape in shapes)
            self.image_factors = self.add_weight(shape=image, name="image_factors")
            self.text_factors = self.add_weight(shape=text, name="text_factors")

        def call(self, inputs):
            return rule(keras.ops, *inputs, self.image_factors, self.text_factors)

    return LowRank


def low_rank_einsum(ops, image, text, U, V):
    image = ops.concatenate([image, ops.ones_like(image[:, :1])], axis=-1)
    text = ops.concatenate([text, ops.ones((ops.shape(text)[0], 1))], axis=-1)
    return ops.einsum("bd,rdf,be,ref->bf", image, U, text, V)


def low_rank_loop(ops, image, text, U, V):
    image, text = (ops.pad(x, [[0, 0], [0, 1]], constant_values=1.0) for x in (image, text))
    return sum(ops.matmul(image, U[r]) * ops.matmul(text, V[r]) for r in range(U.shape[0]))


def low_rank_bias(ops, image, text, U, V):
    """The last row of the factors as a bias instead of an appended 1."""
    image = ops.matmul(image, U[:, :-1]) + U[:, -1:]
    text = ops.matmul(text, V[:, :-1]) + V[:, -1:]
    return ops.sum(image * text, axis=0)


def interval_arrays(right_a, right_b):
    gain = right_a.mean(axis=0) - right_b.mean(axis=0)
    margin = 1.96 * gain.std(ddof=1) / len(gain) ** 0.5
    return gain.mean() - margin, gain.mean() + margin


def interval_variance(right_a, right_b):
    gain = (right_a.astype(int) - right_b.astype(int)).sum(axis=0) / len(right_a)
    error = np.sqrt(np.sum((gain - gain.mean()) ** 2) / (gain.size - 1) / gain.size)
    return tuple(np.mean(gain) + np.array([-1.96, 1.96]) * error)


def interval_one_array(right_a, right_b):
    seeds, items = np.shape(right_a)
    gain = np.einsum("si->i", np.where(right_a == right_b, 0, np.where(right_a, 1, -1))) / seeds
    return gain.mean() + np.array([-1.96, 1.96]) * np.sqrt(gain.var(ddof=1) / items)


def interval_list(right_a, right_b):
    gains = [float(np.mean(a) - np.mean(b)) for a, b in zip(right_a.T, right_b.T, strict=True)]
    half = 1.96 * np.std(gains, ddof=1) / np.sqrt(len(gains))
    return [np.mean(gains) - half, np.mean(gains) + half]


ALTERNATIVES = {
    "grouped_split": [split_isin, split_scikit_learn, split_by_rank],
    "split_concatenation": [contributions_slices, contributions_zeros, contributions_remainder],
    "four_corners": [corners_in_two_steps, corners_in_one_batch, corners_by_signs],
    "mod_ten": [[0.1, 0.55, 1], np.array([0.1, 0.55, 1.0])],
    "low_rank_fusion": [_layer(low_rank_einsum), _layer(low_rank_loop), _layer(low_rank_bias)],
    "paired_interval": [interval_arrays, interval_variance, interval_list, interval_one_array],
}
