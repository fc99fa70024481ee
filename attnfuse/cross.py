"""Cross-modal attention in Keras 3: the words of a question look at the places of a picture.

Letters: B batch, T words, S patches, P numbers in a patch, D width, L latent queries, C classes. `text`
is int `(B, T)` with padding (0) behind the last word; `patches` is float `(B, S, P)`.

Two families. `AskModel` pools or attends once, and is small enough to look into. `JoinModel` puts the
picture into a small Transformer in one of four ways that today's models use.
"""

import numpy as np

from attnfuse.layers import (
    MultiHeadAttention,
    OfTwo,
    Positions,
    Saved,
    ScaledDotProductAttention,
    serialisable,
    to_numpy,
)
from attnfuse.own import course_version
from attnfuse.settings import quiet
from attnfuse.transformer import FeedForward

with quiet():
    import keras
    from keras import ops

WIDTH, HIDDEN = 64, 128


def word_vectors(vocabulary: int, width: int):
    """A learnt vector for each word, as large as the other inputs of a normalised network."""
    near = keras.initializers.RandomNormal(stddev=1.0)
    return keras.layers.Embedding(vocabulary, width, embeddings_initializer=near)


def mean_of_words(words, mask):
    """The mean over the real words: `(B, T, D)` and mask `(B, T)` → `(B, D)`; zero without any."""
    counts = ops.cast(mask, words.dtype)[..., None]
    return ops.sum(words * counts, axis=1) / ops.maximum(ops.sum(counts, axis=1), 1)


class _PictureAndText(OfTwo, keras.Model):
    """`[patches, text]` → logits; every layer is built at once."""

    KINDS: tuple[str, ...] = ()

    def __init__(self, kind: str, patch: int, vocabulary: int, classes: int, width: int, **options):
        super().__init__(**options)
        if kind not in self.KINDS:
            raise ValueError(f"kind must be one of {', '.join(self.KINDS)}, got {kind!r}")
        self.kind, self.patch, self.vocabulary = kind, patch, vocabulary
        self.classes, self.width = classes, width
        self.choose = keras.layers.Dense(classes)

    def _build_all(self):
        self([np.ones((1, 2, self.patch), np.float32), np.ones((1, 2), np.int32)])


@serialisable
class AskModel(_PictureAndText):
    """Answers a question about a picture.

    Args:
        kind: one of `AskModel.KINDS`: the question or the picture alone; the sum over the patches and the
            mean over the words, side by side or multiplied; or attention, in which each word mixes the
            patches by its own weights.
        patch: P.
        vocabulary, classes: how many words and answers there are.
        width: D.
        hidden: the width inside the patch encoder.

    Called with `[patches, text]`; returns logits `(B, C)`.
    """

    KINDS = ("question", "picture", "concatenation", "product", "attention")
    arguments = ("kind", "patch", "vocabulary", "classes", "width", "hidden")

    def __init__(self, kind, patch, vocabulary, classes=10, width=WIDTH, hidden=HIDDEN, **options):
        super().__init__(kind, patch, vocabulary, classes, width, **options)
        self.hidden = hidden
        if kind != "question":
            self.see = FeedForward(width, hidden)
            self.to_key = keras.layers.Dense(
                width, None if kind == "attention" else "relu", use_bias=False
            )
        if kind != "picture":
            self.read = word_vectors(vocabulary, width)
            self.to_query = keras.layers.Dense(width, use_bias=False)
        if kind == "attention":
            self.to_value = keras.layers.Dense(width, use_bias=False)
            self.attend = ScaledDotProductAttention()
        self.think = keras.layers.Dense(width, activation="relu")
        self._build_all()

    def _look(self, patches, text):
        places = self.see(patches)
        query = self.to_query(self.read(text))
        return self.attend(query, self.to_key(places), self.to_value(places))

    def looks(self, patches, text) -> np.ndarray:
        """The weights `(B, T, S)` of each word over the patches; only for attention."""
        return to_numpy(self._look(patches, text)[1])

    def scores(self, patches, text) -> np.ndarray:
        """The scores `(B, T, S)` before the softmax; only for attention."""
        query, key = self.to_query(self.read(text)), self.to_key(self.see(patches))
        return to_numpy(self.attend.scores(query, key))

    def call(self, inputs):
        patches, text = inputs
        mask = ops.not_equal(text, 0)
        if self.kind == "attention":
            return self._answer(mean_of_words(self._look(patches, text)[0], mask))
        picture = question = None
        if self.kind != "question":
            picture = ops.sum(self.to_key(self.see(patches)), axis=1)
        if self.kind != "picture":
            question = self.to_query(mean_of_words(self.read(text), mask))
        if self.kind == "product":
            return self._answer(picture * question)
        given = [x for x in (picture, question) if x is not None]
        return self._answer(ops.concatenate(given, axis=-1))

    def _answer(self, fused):
        return self.choose(self.think(fused))


# -- four ways to join a picture to a text model ----------------------------------------------------


class Block(Saved, keras.layers.Layer):
    """A Transformer layer: look around (or only back, if `causal`), then think; both are added.

    Called with `x (B, T, D)` and the mask `(B, T)` of its keys.
    """

    def __init__(self, width: int, heads: int, hidden: int, causal: bool, **options):
        super().__init__(**options)
        self.causal = causal
        self.norms = [keras.layers.LayerNormalization(epsilon=1e-5) for _ in range(2)]
        self.look = MultiHeadAttention(heads, width)
        self.think = FeedForward(width, hidden)

    def call(self, x, mask):
        normed = self.norms[0](x)
        x = x + self.look(normed, normed, mask=mask[:, None], causal=self.causal)
        return x + self.think(self.norms[1](x))


class GatedCrossAttention(Saved, keras.layers.Layer):
    """Words look at the picture through a gate: `words + tanh(gate) · attention(words, picture)`.

    The gate is one learnt number that starts at 0, so that at first the picture changes nothing and a
    trained text model says what it always said.

    Args:
        width, heads: of the attention.
        start: where the gate starts.

    Called with `words (B, T, D)` and `picture (B, S, D)`; returns `(B, T, D)`.

    Source: Alayrac et al. 2022, "Flamingo: a Visual Language Model for Few-Shot Learning", section 2.2.
    """

    arguments = ("width", "heads", "start")

    def __init__(self, width: int, heads: int, start: float = 0.0, **options):
        super().__init__(**options)
        self.width, self.heads, self.start = width, heads, start
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5)
        self.look = MultiHeadAttention(heads, width)

    def build(self, words_shape, picture_shape):
        self.norm.build(words_shape)
        self.look.build(words_shape, picture_shape)
        begin = keras.initializers.Constant(self.start)
        self.gate = self.add_weight(shape=(), initializer=begin, name="gate")

    @course_version
    def call(self, words, picture):
        return words + ops.tanh(self.gate) * self.look(self.norm(words), picture)


class LatentQueries(Saved, keras.layers.Layer):
    """L learnt queries read the picture; what they found stands for it: `(B, S, D)` → `(B, L, D)`.

    Sources: Jaegle et al. 2021, "Perceiver: General Perception with Iterative Attention"; Li et al.
    2023, "BLIP-2: Bootstrapping Language-Image Pre-training" (there called Q-Former).
    """

    arguments = ("number", "width", "heads", "hidden")

    def __init__(self, number: int, width: int, heads: int, hidden: int, **options):
        super().__init__(**options)
        self.number, self.width, self.heads, self.hidden = number, width, heads, hidden
        self.look = MultiHeadAttention(heads, width)
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5)
        self.think = FeedForward(width, hidden)

    def build(self, picture_shape):
        shape, apart = (self.number, self.width), keras.initializers.RandomNormal(stddev=0.5)
        self.queries = self.add_weight(shape=shape, initializer=apart, name="queries")
        self.look.build((None, *shape), picture_shape)
        self.norm.build((None, *shape))
        self.think.build((None, *shape))

    def call(self, picture):
        shape = (ops.shape(picture)[0], self.number, self.width)
        queries = ops.broadcast_to(self.queries[None], shape)
        found = queries + self.look(queries, picture)
        return found + self.think(self.norm(found))


@serialisable
class JoinModel(_PictureAndText):
    """A picture and a question in a small Transformer, joined in one of four ways.

    Args:
        kind: one of `JoinModel.KINDS`:

            - `"prefix"`: the patches stand before the words, and every token looks back (Liu et al. 2023,
              "Visual Instruction Tuning": LLaVA);
            - `"gated"`: words look back at words; before each layer they look at the patches through a
              gate (Flamingo);
            - `"latents"`: a few latent queries read the picture first and stand before the words in its
              place (Perceiver, Q-Former; as bottleneck tokens: Nagrani et al. 2021);
            - `"one sequence"`: patches and words in one sequence, each with a learnt vector for its type,
              and everything looks at everything (Chen et al. 2020, "UNITER").
        patch: P.
        vocabulary, classes: how many words and answers there are.
        width, heads, hidden, depth: D, and the sizes of the Transformer.
        latents: L.
        gate: where the gates start.
        longest: the most words of a question.

    Called with `[patches, text]`; returns logits `(B, C)`, read at the last real word.
    """

    KINDS = ("prefix", "gated", "latents", "one sequence")
    arguments = (
        "kind", "patch", "vocabulary", "classes", "width", "heads", "hidden", "depth", "latents", "gate",
        "longest",
    )  # fmt: skip

    def __init__(
        self,
        kind,
        patch,
        vocabulary,
        classes=10,
        width=WIDTH,
        heads=4,
        hidden=HIDDEN,
        depth=2,
        latents=4,
        gate=0.0,
        longest=3,
        **options,
    ):
        super().__init__(kind, patch, vocabulary, classes, width, **options)
        self.heads, self.hidden, self.depth = heads, hidden, depth
        self.latents, self.gate, self.longest = latents, gate, longest
        self.see, self.read = FeedForward(width, HIDDEN), word_vectors(vocabulary, width)
        self.place = Positions(longest)
        causal = kind != "one sequence"
        self.blocks = [Block(width, heads, hidden, causal) for _ in range(depth)]
        self.norms = [keras.layers.LayerNormalization(epsilon=1e-5) for _ in range(2)]
        if kind == "gated":
            self.gates = [GatedCrossAttention(width, heads, gate) for _ in range(depth)]
        elif kind == "latents":
            self.query = LatentQueries(latents, width, heads, hidden)
        elif kind == "one sequence":
            self.type = self.add_weight(shape=(2, width), name="type")
        self._build_all()

    def call(self, inputs):
        patches, text = inputs
        picture, words = self.norms[0](self.see(patches)), self.place(self.read(text))
        mask = ops.not_equal(text, 0)
        last = ops.sum(ops.cast(mask, "int32"), axis=1) - 1
        if self.kind == "gated":
            for gate, block in zip(self.gates, self.blocks, strict=True):
                words = block(gate(words, picture), mask)
        else:
            if self.kind == "latents":
                picture = self.query(picture)
            elif self.kind == "one sequence":
                picture, words = picture + self.type[0], words + self.type[1]
            words = ops.concatenate([picture, words], axis=1)
            mask = ops.concatenate([ops.ones_like(picture[..., 0], "bool"), mask], axis=1)
            last = last + picture.shape[1]
            for block in self.blocks:
                words = block(words, mask)
        answer = ops.take_along_axis(words, last[:, None, None], axis=1)[:, 0]
        return self.choose(self.norms[1](answer))


def costs(
    kind: str, T: int, S: int, L: int = 4, depth: int = 2, D: int = WIDTH, hidden: int = HIDDEN
) -> tuple[int, int, int]:
    """What a way to join costs for one picture and one question, without encoders and answer.

    Args:
        kind: one of `JoinModel.KINDS`.
        T, S, L: words, patches, latent queries.
        depth, D, hidden: of the Transformer.

    Returns:
        `(tokens, scores, products)`: positions in the sequence; pairs of a query and a key that are
        scored, those under a mask included; multiplications in matrix products. Over all layers.

    >>> costs("prefix", T=3, S=6, depth=1)[:2], costs("gated", T=3, S=6, depth=1)[:2]
    ((9, 81), (3, 27))
    """
    tokens = {"gated": T, "latents": L + T}.get(kind, S + T)
    looks = [(tokens, tokens)] * depth
    looks += {"gated": [(T, S)] * depth, "latents": [(L, S)]}.get(kind, [])
    thinks = tokens * depth + L * (kind == "latents")
    scores = sum(q * k for q, k in looks)
    projections = sum(2 * (q + k) * D * D for q, k in looks)  # query and output, key and value
    return tokens, scores, projections + 2 * scores * D + 2 * thinks * D * hidden
