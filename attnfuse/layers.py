"""Keras 3 layers: the finished versions that later lessons build on.

Letters: B batch, T query positions, S key positions, D width. `mask` is bool, True where a query may
attend to a key; a row without any True gives zero weights and a zero context.
"""

from attnfuse.checking.own import course_version
from attnfuse.settings import quiet

with quiet():
    import keras
    from keras import ops


def masked_softmax(scores, mask=None):
    """Weights from scores `(..., T, S)`; `mask` bool, broadcastable, True where allowed."""
    if mask is None:
        return ops.softmax(scores, axis=-1)
    allowed = ops.cast(mask, scores.dtype)
    weights = ops.softmax(scores - 1e9 * (1 - allowed), axis=-1)
    return weights * ops.max(allowed * ops.ones_like(scores), axis=-1, keepdims=True)


class Attend(keras.layers.Layer):
    """Scores → weights → context; a subclass says how a query is scored against a key.

    Called with `query (B, T, D)`, `key (B, S, D)` (which is the value, too) and an optional bool
    `mask`, broadcastable to `(B, T, S)`. Returns `(context, weights)`, `(B, T, D)` and `(B, T, S)`.
    """

    supports_masking = True  # it takes a mask and hands none on

    def scores(self, query, key):
        """Scores `(B, T, S)`."""
        raise NotImplementedError

    def compute_mask(self, *args, **options):
        return None

    def call(self, query, key, mask=None):
        weights = masked_softmax(self.scores(query, key), mask)
        return ops.matmul(weights, key), weights


class AdditiveAttention(Attend):
    """score(q, k) = v · tanh(W q + U k).

    Args:
        units: the width of the hidden layer in which query and key meet.

    Source: Bahdanau, Cho & Bengio 2015, "Neural Machine Translation by Jointly Learning to Align
    and Translate", appendix A.1.2. (Keras's layer of this name has neither W nor U.)
    """

    def __init__(self, units: int, **options):
        super().__init__(**options)
        self.units = units

    def build(self, query_shape, key_shape=None):
        width = query_shape[-1]
        wide = width if key_shape is None else key_shape[-1]
        self.query_matrix = self.add_weight(shape=(width, self.units), name="query_matrix")
        self.key_matrix = self.add_weight(shape=(wide, self.units), name="key_matrix")
        self.vector = self.add_weight(
            shape=(self.units,), name="vector", initializer=keras.initializers.RandomNormal(0, 0.1)
        )

    @course_version
    def scores(self, query, key):
        q = ops.matmul(query, self.query_matrix)[:, :, None]  # (B, T, 1, units)
        k = ops.matmul(key, self.key_matrix)[:, None]  # (B, 1, S, units)
        return ops.sum(self.vector * ops.tanh(q + k), axis=-1)


class MultiplicativeAttention(Attend):
    """score(q, k) = q · W k / √D, "general" in Luong's words; the √D is lesson 02's.

    Source: Luong, Pham & Manning 2015, "Effective Approaches to Attention-based Neural Machine
    Translation", section 3.1 (there without the √D).
    """

    def build(self, query_shape, key_shape=None):
        width = query_shape[-1]
        wide = width if key_shape is None else key_shape[-1]
        self.matrix = self.add_weight(shape=(width, wide), name="matrix")

    @course_version
    def scores(self, query, key):
        scale = query.shape[-1] ** 0.5
        turned = ops.transpose(key, (0, 2, 1))
        return ops.matmul(ops.matmul(query, self.matrix), turned) / scale
