# ---
# jupyter:
#   attnfuse:
#     title: Attention layers in Keras
#     sentence: Attention as Keras layers that mask, save and train as built-in ones do, compared with Keras's own, and a clinic of bugs that were published.
#     you_will: [write attention layers that keep their promises with masks and in half precision and when saved, say where Keras's own layers differ from each other and why, repair published attention code and prove it by behaviour]
#     needs: [00_start_here, 01_attention_pooling, 02_scaled_dot_product, 03_attention_gradients, 04_multi_head_attention]
#     minutes: 80
#     seconds: 28
#     keras: true
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% setup
import tempfile
import warnings

import numpy as np

from attnfuse import attention, check, claim, hint, plot, quiet, quiz
from attnfuse.data import spelled_numbers
from attnfuse.gradients import numerical_gradient
from attnfuse.settings import seeds

with quiet():  # TensorFlow greets the machine on stderr while it loads
    import keras
    import tensorflow as tf
    from keras import ops

    from attnfuse import layers, training

rng = np.random.default_rng(0)

# %% [markdown]
# ## Warm-up: three questions on earlier lessons

# %% quiz="05-permuted"

# %% quiz="05-saturated"

# %% quiz="05-heads"

# %% [markdown]
# ## 1 · A batch, and a mask that travels
#
# Lesson 04 set two heads by hand that read number words. Here a layer learns it. Each word gets a number, its **token**; 0 is padding. Our batch: 203,000, 40,007 and an empty row.
#
# `Embedding` turns tokens into vectors. With `mask_zero=True` it also hangs a **mask** on the result, True where there is a word, and Keras carries it along from layer to layer. How far?

# %%
tokens = np.pad(spelled_numbers.encode([203_000, 40_007], 6), ((0, 1), (0, 0)))  # (B, T)
x = keras.layers.Embedding(len(spelled_numbers.VOCABULARY), 8, mask_zero=True)(tokens)
print([[spelled_numbers.VOCABULARY[token] for token in row] for row in tokens], "→", x.shape)
for name, y in {"Embedding": x, "Dense": keras.layers.Dense(8)(x), "2 * x": 2 * x}.items():
    print(f"after {name:10} mask:", np.asarray(getattr(y, "_keras_mask", "lost")).tolist())

# %% [markdown]
# A layer passes the mask on unless it says otherwise. The plain operation `2 * x` loses it: put operations into layers.
#
# ## 2 · What a layer promises
#
# A layer is a class. `__init__` keeps its settings, `build` makes its weights at the first call, when the shapes are known, `call` computes, `get_config` returns the settings for saving.
#
# It respects masks and computes in the type it is told (`dtype`).
#
# How low a score closes a place? The second row may attend to nothing; the tape notes steps for a gradient:

# %%
allowed = np.array([[True, True, False], [False, False, False]])
for dtype in ("float32", "float16"):
    scores = tf.constant([[1.0, 2, 3], [1, 2, 3]], dtype)
    for low in ("-inf", "-1e9", "-1e4", "what we want"):
        with tf.GradientTape() as tape:
            tape.watch(scores)  # a layer's own weights are watched without this
            if low == "what we want":
                shares = layers.masked_softmax(scores, allowed)
            else:
                shares = ops.softmax(ops.where(allowed, scores, ops.cast(float(low), dtype)))
            loss = tf.reduce_sum(shares[:, 0]) ** 2  # it couples the rows: a sum, squared
        slope = tape.gradient(loss, scores).numpy()[0].round(2)
        first, second = shares.numpy().round(2)
        print(f"{dtype} {low:>12}: {first} {second} gradient of the first row {slope}")

# %% [markdown]
# Minus infinity makes NaN of the second row: softmax takes the largest score off each, and −∞ − (−∞) is NaN. One is enough: the loss is NaN, and with it, as this loss squares a sum over both rows, the gradient of the *first* row. In float16, -1e9 does the same: that type ends at -65,504, and what lies beyond is −∞.

# %% [markdown]
# With a low number that exists, a closed row becomes *uniform*: it attends to everything it must not see. Where a loss couples the rows, that reaches the first row: its gradient is .24 where it should be .11.
#
# Why? Our loss is the square of the first column's sum, so its slope is 2 · sum · w(1−w), with w = .27: 2 · .27 · .197 = **.11**. The closed row adds .33 to the sum: 2 · .60 · .197 = **.24**. (The picture after your answer asserts it.)

# %% [markdown] task="scaled_dot_layer"
# We want zeros in a closed row, and no trace of it in any gradient.
#
# Write `call` of a layer for scaled dot-product attention. `layer(…)` runs it.
#
# - `query` `(B, T, D)`, `key` `(B, S, D)`, `value` `(B, S, V)`. `mask` is None or bool, broadcastable to `(B, T, S)` (`(S,)`, too), True = may attend.
# - Return `(context, weights)`, `(B, T, V)` and `(B, T, S)`. The scores are divided by √D.
# - A query without an allowed key gets zero weights and a zero context. Scores may be in the thousands. No NaN anywhere, in float16 neither, and not in the gradient. (In which type you compute and return is left to you.)
#
# Use `keras.ops`. It has NumPy's names: `ops.matmul`, `ops.transpose`, `ops.where`, and `ops.softmax`. `attnfuse.layers` and `attnfuse.attention` are switched off.
#
# By hand: query (2, 0, 0, 0); keys (1, 0, 0, 0), (0, 1, 0, 0), (3, 0, 0, 0), the third closed. Scores 2/√4 = 1 and 0, weights **.73, .27, 0**. The cell after your answer tries it under three **dtype policies**: `mixed_float16` computes in float16 and learns in float32.
#
# <details><summary>Hint</summary>
#
# Use the mask twice: before the softmax and after it.
#
# </details>


# %% exercise="scaled_dot_layer"
class ScaledDot(keras.layers.Layer):
    def compute_mask(self, query, previous_mask):
        return None  # given: which mask travels on from here (none)

    def call(self, query, key, value, mask=None):
        """Return context (B, T, V) and weights (B, T, S)."""
        ### BEGIN SOLUTION
        scores = ops.matmul(query, ops.transpose(key, (0, 2, 1))) / query.shape[-1] ** 0.5
        if mask is not None:
            scores = ops.where(mask, scores, -1e4)
        weights = ops.softmax(scores, axis=-1)
        if mask is not None:
            weights = ops.where(mask, weights, 0.0)
        return ops.matmul(weights, value), weights
        ### END SOLUTION


# %% try="scaled_dot_layer"
asked = np.array([[[2.0, 0, 0, 0], [2, 0, 0, 0]]])
listed = np.array([[[1.0, 0, 0, 0], [0, 1, 0, 0], [3, 0, 0, 0]]])
shut = np.array([[[True, True, False], [False, False, False]]])
for policy in ("float32", "float16", "mixed_float16"):
    layer = ScaledDot(dtype=policy)
    print(f"{policy}: computes in {layer.compute_dtype}, learns in {layer.variable_dtype}; weights")
    print(np.asarray(layer(asked, listed, listed, mask=shut)[1]).round(2))

# %% check="scaled_dot_layer"
check("scaled_dot_layer", ScaledDot)

# %% [markdown]
# Many programs set closed weights to 0 *after* the softmax. Does it matter how the scores were closed before? Four ways, weights above, gradients below:

# %%
panels = {}
ways = "-1e9 chosen", "-1e9 added, then 0", "-inf added, then 0", "-inf chosen, then 0"
for way in ways:
    low = np.float32(way.split()[0])
    with tf.GradientTape() as tape:
        tape.watch(scores := tf.constant([[1.0, 2, 3], [1, 2, 3]]))
        plus, pick = scores + np.where(allowed, 0, low), tf.where(allowed, scores, low)
        shares = tf.nn.softmax(plus if "added" in way else pick)
        shares = tf.where(allowed | ("then 0" not in way), shares, 0)
        loss = tf.reduce_sum(shares[:, 0]) ** 2
    panels[way] = shares.numpy(), tape.gradient(loss, scores).numpy()
w, slopes = 1 / (1 + np.e), [gradient[0, 0] for _, gradient in panels.values()]
claim("by hand: .24, .11", np.allclose(slopes, 2 * (w + np.eye(4)[0] / 3) * w * (1 - w)))
spoilt = [np.isnan(panels[way]).any() for way in ways]
claim("NaN only where -inf is added", spoilt == [False, False, True, False])

# %%
fig, axes = plot.figure(4, 2, size=(8, 3.6), sharex=True, sharey=True)
for column, (way, pair) in zip(axes.T, panels.items(), strict=True):
    column[0].set_title(way.replace(", ", ",\n"), fontsize="medium")
    for ax, table in zip(column, pair, strict=True):
        ax.imshow(np.abs(table), vmin=0, vmax=1, cmap="viridis", aspect="auto")
        for (row, place), x in np.ndenumerate(table):
            colour = "white" if abs(x) < 0.6 else "black"  # NaN cells stay white
            ax.text(place, row, f"{x + 0.0:.2f}", ha="center", va="center", color=colour)
        ax.set(xticks=range(3), yticks=range(2), yticklabels=["open", "closed"])
for ax, name in zip(axes[:, 0], ("weights", "gradient"), strict=True):
    ax.set_ylabel(name)
fig.suptitle("A clean forward pass may hide a spoilt backward pass")
alt = "Four columns, weights above and gradients below. -1e9 chosen: the closed row has the weights 0.33, and the open row the gradient 0.24 and -0.24. -1e9 added, then 0: weights 0, gradient 0.11 and -0.11 in the open row. Minus infinity added, then 0: weights 0, but the closed row's gradient is NaN. Minus infinity chosen, then 0: as with -1e9 added."
plot.show(fig, alt=alt)

# %% [markdown]
# In the third the weights are as they should be, and the gradient is NaN: the softmax met −∞ − (−∞), its slope is NaN, and addition hands that on (lesson 03). `where` hands 0 to every score that it did not choose. A number that exists may be added, −∞ not: choose it.
#
# ## 3 · Adding instead of multiplying
#
# Bahdanau's score adds query and key and bends the sum. With numbers instead of vectors, and all weights 1, the score is tanh(q + k):
#
# | | key 0 | key 2 | weights |
# |---|---|---|---|
# | query 0 | tanh 0 = 0 | tanh 2 = .96 | .28, .72 |
# | query 3 | tanh 3 = .995 | tanh 5 = .9999 | .50, .50 |
#
# With learnt matrices W and U and a learnt vector v:
#
# $$\text{score}(q, k) = v \cdot \tanh(Wq + Uk)$$

# %% [markdown] task="additive_layer"
# Finish the layer: `call` and `get_config`. `build` is given.
#
# - `query` `(B, T, …)`, `key` `(B, S, …)`, `value` `(B, S, V)`; all three widths may differ. Return `(context, weights)`. No mask this time.
# - `get_config` returns a dict with every argument of `__init__`, so that Keras can make the same layer again: `units`, and what every layer has, such as name and dtype. `super().get_config()` holds the latter.
#
# (Without this method Keras 3 notes plain numbers by itself. Arguments such as functions or other layers need it. The line above the class tells Keras by which name to find it when a file is loaded.)
#
# `attnfuse.layers` is switched off.
#
# <details><summary>Hint</summary>
#
# Every query must meet every key: give one an axis for S and the other an axis for T, and let them broadcast to `(B, T, S, units)`.
#
# </details>


# %% exercise="additive_layer"
@keras.saving.register_keras_serializable(package="lesson_05")
class Additive(keras.layers.Layer):
    def __init__(self, units, **options):
        super().__init__(**options)
        self.units = units

    def build(self, query_shape, key_shape, value_shape):
        wide, width = query_shape[-1], key_shape[-1]
        self.query_matrix = self.add_weight(shape=(wide, self.units), name="query_matrix")  # W
        self.key_matrix = self.add_weight(shape=(width, self.units), name="key_matrix")  # U
        self.vector = self.add_weight(shape=(self.units,), name="vector")  # v

    def call(self, query, key, value):
        """Return context (B, T, V) and weights (B, T, S)."""
        ### BEGIN SOLUTION
        asked = ops.matmul(query, self.query_matrix)[:, :, None]  # (B, T, 1, units)
        offered = ops.matmul(key, self.key_matrix)[:, None]  # (B, 1, S, units)
        scores = ops.sum(ops.tanh(asked + offered) * self.vector, axis=-1)  # (B, T, S)
        weights = ops.softmax(scores, axis=-1)
        return ops.matmul(weights, value), weights
        ### END SOLUTION

    def get_config(self):
        ### BEGIN SOLUTION
        return super().get_config() | {"units": self.units}
        ### END SOLUTION


# %% try="additive_layer"
layer = Additive(units=1)
layer.build((1, 2, 1), (1, 2, 1), (1, 2, 1))
layer.set_weights([np.ones(w.shape) for w in layer.get_weights()])
one = np.array([[[0.0], [2.0]]])  # keys 0 and 2; queries 0 and 3
print(np.asarray(layer(np.array([[[0.0], [3.0]]]), one, one)[1]).round(2))  # the table above
again = Additive.from_config(layer.get_config())
print("made again:", again.name, "with", again.units, "units")

# %% check="additive_layer"
check("additive_layer", Additive)

# %% [markdown] task="forgets_query"
# Two different queries ask the same keys. For which scores do their **weights** differ? (All matrices and vectors are random.)
#
# 1. q·k / √D
# 2. v · tanh(Wq + Uk)
# 3. v · (Wq + Uk): somebody thought the tanh was decoration
# 4. v · relu(Wq + Uk): somebody prefers relu
#
# Answer with four of True (differ) and False (the same for every query), such as `differ = (True, True, True, True)`.

# %% exercise="forgets_query"
differ = None  # your answer: four of True and False
### BEGIN SOLUTION
differ = (True, True, False, True)  # 3: v·Wq is the same for every key and cancels
### END SOLUTION

# %% try="forgets_query"
for name, yes in zip(("q·k", "tanh", "no bend", "relu"), differ, strict=True):
    print(f"{name:8} you expect the two rows of weights to be {'different' if yes else 'the same'}")

# %% check="forgets_query"
check("forgets_query", differ)

# %%
q, k = rng.normal(size=(2, 5)), rng.normal(size=(4, 5))
W, U, v = rng.normal(size=(5, 7)), rng.normal(size=(5, 7)), rng.normal(size=7)
hidden = (q @ W)[:, None] + k @ U  # (T, S, units)
table = {
    "q·k / √D": q @ k.T / 5**0.5,
    "v·tanh(Wq + Uk)": np.tanh(hidden) @ v,
    "v·(Wq + Uk)": hidden @ v,
    "v·relu(Wq + Uk)": np.maximum(hidden, 0) @ v,
    "relu, all units on": np.maximum(hidden + 20, 0) @ v,
}
for name, scores in table.items():
    first, second = np.asarray(ops.softmax(scores))
    print(
        f"{name:18} {first.round(2)}  {second.round(2)}  differ: {not np.allclose(first, second)}"
    )

# %% [markdown]
# Without a bend, v·(Wq + Uk) = v·Wq + v·Uk. The first part is the same for every key, and softmax sees differences only: it cancels. Every query gets one and the same row.
#
# The bend must happen where query and key *meet*. relu bends at 0: it will do if a unit is on for one key and off for another. The last line adds 20 to every unit, so all are on, nothing bends, and the query is forgotten again.

# %% [markdown]
# ## 4 · Several heads
#
# Our layer has eight arrays, as Keras's has: a matrix and a bias for query, key, value and output. Its call gets two masks: `mask` is explicit, `key_mask` comes by itself. Keras fills a parameter called `<argument>_mask` with the mask which that argument carries.

# %% [markdown] task="multi_head_layer"
# Write `call`; the rest is given.
#
# - `query` `(B, T, …)`, `key` and `value` `(B, S, …)`. Project each: matrix, then bias, to `(B, T, D)` or `(B, S, D)`, D = `self.width`.
# - Split into N = `self.heads` heads, each H = D/N wide; head n gets columns n·H up to (n+1)·H. In each head, scores are divided by √H.
# - `mask` is None or bool `(B, T, S)`; `key_mask` is None or bool `(B, S)`. Both may come. A key is open if neither closes it. Where nothing is open, weights are zero (the output's bias stays).
# - Merge the heads, apply the output's matrix and bias. Return the output `(B, T, D)`; with `return_weights=True` return `(output, weights)`, weights `(B, N, T, S)`.
#
# `layers.masked_softmax(scores, mask)` does section 2 for you. `layers.MultiHeadAttention` is switched off.
#
# <details><summary>Hint</summary>
#
# Write a helper that splits `(B, T, D)` into `(B, N, T, H)`. Which axes must each mask get to fit `(B, N, T, S)`?
#
# </details>


# %% exercise="multi_head_layer"
@keras.saving.register_keras_serializable(package="lesson_05")
class MultiHead(keras.layers.Layer):
    def __init__(self, heads, width, **options):
        super().__init__(**options)
        self.heads, self.width = heads, width

    def build(self, query_shape, key_shape, value_shape):
        D = self.width
        shapes = {"query": query_shape, "key": key_shape, "value": value_shape, "output": (D,)}
        for name, shape in shapes.items():  # self.query_matrix, self.query_bias, …
            matrix = self.add_weight(shape=(shape[-1], D), name=f"{name}_matrix")
            bias = self.add_weight(shape=(D,), name=f"{name}_bias", initializer="zeros")
            setattr(self, f"{name}_matrix", matrix)
            setattr(self, f"{name}_bias", bias)

    def get_config(self):
        return {**super().get_config(), "heads": self.heads, "width": self.width}

    def compute_mask(self, query, previous_mask):
        return getattr(query, "_keras_mask", None)  # the output has the query's positions

    def call(self, query, key, value, mask=None, key_mask=None, return_weights=False):
        """Return the output (B, T, D), and the weights (B, N, T, S) on request."""
        ### BEGIN SOLUTION
        N, H = self.heads, self.width // self.heads

        def split(x):  # (B, T, D) → (B, N, T, H)
            return ops.transpose(ops.reshape(x, (-1, ops.shape(x)[1], N, H)), (0, 2, 1, 3))

        q = split(ops.matmul(query, self.query_matrix) + self.query_bias)
        k = split(ops.matmul(key, self.key_matrix) + self.key_bias)
        v = split(ops.matmul(value, self.value_matrix) + self.value_bias)
        open_to = None if mask is None else mask[:, None]  # (B, 1, T, S)
        if key_mask is not None:
            real = key_mask[:, None, None]  # (B, 1, 1, S)
            open_to = real if mask is None else ops.logical_and(open_to, real)
        scores = ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) / H**0.5
        weights = layers.masked_softmax(scores, open_to)
        merged = ops.transpose(ops.matmul(weights, v), (0, 2, 1, 3))  # (B, T, N, H)
        merged = ops.reshape(merged, (-1, ops.shape(query)[1], self.width))
        output = ops.matmul(merged, self.output_matrix) + self.output_bias
        return (output, weights) if return_weights else output
        ### END SOLUTION


# %% try="multi_head_layer" measured=true
read = keras.Input((6,), dtype="int32")  # section 1's batch, the empty row included
embedded = keras.layers.Embedding(len(spelled_numbers.VOCABULARY), 8, mask_zero=True)(read)
layer = MultiHead(2, 8)
assert layer(*np.ones((3, 1, 6, 8))) is not None, "call returns nothing yet"
table = keras.Model(read, layer(embedded, embedded, embedded, return_weights=True)[1])
small = keras.Model(read, layer(embedded, embedded, embedded))
small.compile("adam", "mse", jit_compile=False)
small.fit(tokens, np.zeros((3, 6, 8)), verbose=0)
shares = table(tokens)[:, 0, 0].numpy().round(2)
print("the last place is padding, its weight 0:", shares[1], "empty row:", shares[2])
with tempfile.TemporaryDirectory() as folder:
    small.save(f"{folder}/small.keras")
    again = keras.models.load_model(f"{folder}/small.keras")
print("saved and loaded, the same output:", np.allclose(small(tokens), again(tokens)))

# %% check="multi_head_layer"
check("multi_head_layer", MultiHead)

# %% [markdown] task="key_bias"
# In a layer like this one of the eight arrays learns nothing, however long it is trained. Which?
#
# Find out. Take `layers.MultiHeadAttention(2, 8)` and random inputs, compute any loss of the output inside a `tf.GradientTape`, and print the name and the largest gradient of each of `layer.trainable_variables` (`tape.gradient` takes the whole list). Section 2 has a tape to copy from. Then say why.
#
# **The twist.** Lesson 04's rotary positions turn queries and keys by their places, *after* matrix and bias. Which of the eight learns nothing then?
#
# Answer with two names, for the layer as it is and for one with rotary positions, such as `("query_matrix", "value_bias")`. The names are `"query_matrix"`, `"query_bias"`, `"key_matrix"`, `"key_bias"`, `"value_matrix"`, `"value_bias"`, `"output_matrix"`, `"output_bias"`, or `"none"`.

# %% exercise="key_bias"
learns_nothing = None  # your answer: two names
### BEGIN SOLUTION
learns_nothing = ("key_bias", "none")  # q·b is the same for every key, unless each key is turned
### END SOLUTION

# %% try="key_bias"
plain, rotary = learns_nothing
print(f"you say: learns nothing as it is: {plain}; with rotary positions: {rotary}")

# %% check="key_bias"
check("key_bias", learns_nothing)

# %%
parts, inputs = ("query", "key", "value", "output"), rng.normal(size=(2, 5, 8))
matrix, bias = rng.normal(size=(4, 8, 8)) / 8**0.5, rng.normal(size=(4, 8))


def output(matrix, bias, rotate):
    """Two heads, with a matrix (4, 8, 8) and a bias (4, 8) for each part, in float64."""
    projected = {f"{p}": inputs @ m + b for p, m, b in zip(parts[:3], matrix, bias, strict=False)}
    context, _ = attention.multi_head_attention(**projected, heads=2, rotate=rotate)
    return context @ matrix[3] + bias[3]


def largest_slopes(rotate):
    """The largest slope of a loss for each of the eight arrays, by small steps (lesson 03)."""
    by_matrix = numerical_gradient(lambda x: np.mean(output(x, bias, rotate) ** 2), matrix)
    by_bias = numerical_gradient(lambda x: np.mean(output(matrix, x, rotate) ** 2), bias)
    return np.stack([np.abs(by_matrix).max(axis=(1, 2)), np.abs(by_bias).max(axis=1)], 1).ravel()


# %%
plain, rotary = largest_slopes(False), largest_slopes(True)
print(f"key_bias: {plain[3]:.0e} without positions, {rotary[3]:.2f} with rotary ones")
claim("as it is: 0 but for rounding", plain[3] < 1e-8 < 1e-3 < np.delete(plain, 3).min())
claim("with rotary positions all eight learn", rotary.min() > 1e-3)
fig, ax = plot.figure()
places, floor = np.arange(8), 1e-11  # a bar of height 0 has no place on this axis
ax.bar(places - 0.2, np.maximum(plain, floor), 0.4, label="as it is", color="#0072b2")
ax.bar(places + 0.2, rotary, 0.4, label="rotary positions", color="#d55e00", hatch="//")
ax.set_xticks(places, [f"{part}\n{what}" for part in parts for what in ("matrix", "bias")])
ax.set(yscale="log", ylim=(1e-12, 1e3), ylabel="largest slope")
ax.set_title("The key's bias learns only where keys are turned")
ax.legend(loc="upper right", ncols=2, fontsize="small")
alt = "Pairs of bars on a logarithmic scale, for eight arrays. All are between 0.01 and 10, but for the key's bias without positions: 1e-10 or less."
plot.show(fig, alt=alt)

# %% [markdown]
# A key with bias is k + b, its score q·k + q·b, and q·b is the same for *every* key: section 3 again. What is left is rounding noise.
#
# With rotary positions the key at place s brings b turned by s: another number for every key. Now the bias says which *distances* a query likes. There no array is carried for nothing.

# %% [markdown]
# ## 5 · Beside Keras's own layers
#
# Keras has all three. They get our weights and the same inputs. (Its `Attention` does not scale, its `AdditiveAttention` has neither W nor U: we do both before.) The second item has no allowed key.

# %% measured
query, key, value = (rng.normal(size=(2, n, 8)).astype("float32") for n in (3, 5, 5))
real = np.array([[True, True, False, True, False], [False] * 5])  # (B, S)
heads, twin = layers.MultiHeadAttention(2, 8), keras.layers.MultiHeadAttention(2, 4)
print(f"{'':28}largest difference   no key allowed: theirs, ours")
for layer in (layers.ScaledDotProductAttention(), layers.AdditiveAttention(8), heads):
    ours = layer(query, key, value, mask=real[:, None], return_weights=True)
    theirs = layers.keras_twin(layer)(query, key, value, real)
    apart = max(np.abs(a[0] - b[0]).max() for a, b in zip(theirs, ours, strict=True))
    closed = [np.asarray(weights[1]).reshape(-1, 5)[0] for _, weights in (theirs, ours)]
    print(f"{type(layer).__name__:28}{apart:12.0e}         {closed[0]}  {closed[1]}")
    claim("the same, where a key is allowed", apart < 1e-5)
given = {"query": query, "value": value, "key": key, "attention_mask": real[:, None]}
apart = np.abs(twin(**given)[1] - twin(0 * query, value, key)[1]).max()  # zeros: equal weights
claim("Keras's heads, no key: as with equal weights", apart < 1e-5)
print("asked for its weights:", twin(**given, return_attention_scores=True)[0][1, 0, :4].numpy())

# %% [markdown]
# Where a key is allowed, the layers agree to rounding. Where none is, Keras differs from itself (3.13.2, 3.15.1). Two layers give **equal** weights: the query attends to all that it must not see. So does the third, *unless you ask for its weights*: then they are **zero**, and the output is the bias, here 0.
#
# Equal weights come from rounding: Keras takes 1e9 off a closed score, and in float32 no score below 32 survives that. In float64 it does, and nothing is closed:

# %%
wide = [x.astype("float64") for x in (query, value, key)]
layer = keras.layers.Attention(dtype="float64")
_, kept = layer(wide, mask=[None, real], return_attention_scores=True)
_, without = layer(wide, return_attention_scores=True)
print("float64, no key allowed:", kept[1, 0].numpy().round(2))
claim("the same as without any mask", np.allclose(kept[1], without[1], atol=1e-5))

# %% [markdown]
# A decoder that has stored five keys asks for its last *two* positions. What does Keras's causal mask allow?

# %%
zeros = np.zeros((1, 2, 8)), np.zeros((1, 5, 8))  # all scores 0: a row shows what is allowed
options = {"use_causal_mask": True, "return_attention_scores": True}
_, from_start = keras.layers.MultiHeadAttention(2, 4)(*zeros, **options)
from_end = np.tri(2, 5, k=3, dtype=bool)
_, wanted = heads(*zeros, mask=from_end, return_weights=True)
fig, axes = plot.figure(2, sharey=True)
panels = {"Keras": from_start, "wanted here": wanted}
for ax, (name, weights) in zip(axes, panels.items(), strict=True):
    row, labels = np.asarray(weights)[0, 0], (["position 3", "position 4"], range(5))
    plot.attention_map(row, *labels, name, mask=row > 0, ax=ax, bar=ax is axes[1])
fig.suptitle("Two queries, five keys: a causal mask can mean two things")
alt = "Two maps, two queries and five keys. Left, the first query sees key 0 only, the second keys 0 and 1. Right, the first sees keys 0 to 3, the second all five."
plot.show(fig, alt=alt)

# %% [markdown]
# Keras counts both from the start. (So does `causal=True` in our layers.) With stored keys, pass an explicit mask.
#
# ## 6 · In a model
#
# The task of lesson 04: how many noughts does each word's neighbourhood add, 0, 2, 3 or 5? If all are right, so is the number. The mask travels from `Embedding` to the loss; only Keras's heads drop it.
#
# **Guess first** (training takes half a minute): of 100 unseen numbers, how many does a model read that sees words and positions, without attention?

# %%
train, test = spelled_numbers.load(seed=0)


def new_model(attend):
    """Tokens (B, T) → scores (B, T, 4); `attend` is a layer, or None for no attention."""
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(len(spelled_numbers.VOCABULARY), 64, mask_zero=True)(tokens)
    x = layers.Positions(12)(x)  # adds a learnt vector for each of 12 places
    if attend is not None:
        x = keras.layers.Add()([x, attend(x, x, x)])  # the word, and what it found
    return keras.Model(tokens, keras.layers.Dense(4)(keras.layers.Dense(64, "relu")(x)))


ours, theirs = layers.MultiHeadAttention(2, 64), keras.layers.MultiHeadAttention(2, key_dim=32)
print("parameters:", [new_model(layer).count_params() for layer in (None, ours, theirs)])
arrived = [hasattr(new_model(layer)(tokens), "_keras_mask") for layer in (None, ours, theirs)]
print("the mask arrives at the output:", arrived)


# %% measured
def fit(name, seed):
    keras.utils.set_random_seed(seed)
    own, builtin = layers.MultiHeadAttention(2, 64), keras.layers.MultiHeadAttention(2, 32)
    model = new_model({"ours": own, "Keras's": builtin}.get(name))
    rate = keras.optimizers.schedules.CosineDecay(5e-3, 5 * len(train.tokens) // 64)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, jit_compile=False)
    options = {"epochs": 5, "batch_size": 64, "name": f"{name}, seed {seed}"}
    training.fit(model, train.tokens, train.noughts, **options)
    return model


same = [np.full_like(test.noughts, c) for c in range(4)]  # the same noughts for every word
best = max(np.mean(spelled_numbers.read(test.tokens, c) == test.number) for c in same)
print(f"{'best constant':13} of 1,000 unseen numbers right: {best:.3f}")
names = "no attention", "ours", "Keras's"
models = {name: [fit(name, seed) for seed in seeds(3)] for name in names}

# %% measured
right = {}
for name, found in models.items():
    right[name] = [spelled_numbers.share_read(model, test) for model in found]
    print(f"{name:13} of 1,000, three seeds:", np.round(right[name], 3))
claim("with attention 95 of 100 or more", min(right["ours"] + right["Keras's"]) > 0.95)
claim("without it fewer than half", max(right["no attention"]) < 0.5)
with tempfile.TemporaryDirectory() as folder:
    models["ours"][0].save(f"{folder}/reader.keras")
    loaded = keras.models.load_model(f"{folder}/reader.keras")
short = test.tokens[(test.tokens[:, 8:] == 0).all(axis=1)]
before, after = (model.predict_on_batch(short)[:, :8] for model in (models["ours"][0], loaded))
claim("saved and loaded: the same scores", np.allclose(before, after, atol=1e-5))
claim("less padding: the same scores", np.allclose(before, loaded(short[:, :8]), atol=1e-3))

# %% [markdown]
# With attention nearly every number is read, without it fewer than half. On this task ours and Keras's do not differ; with the same weights they are the same (section 5).
#
# Lesson 04 set two heads by hand: one looked at the next word, one at a later "thousand". What did ours learn to find for "two"? (The first of its three seeds.)

# %% measured
reader = models["ours"][0]
heads = next(layer for layer in reader.layers if isinstance(layer, layers.MultiHeadAttention))
words = keras.Model(reader.input, heads.input[0])(spelled_numbers.encode([203_000], 6))
_, weights = heads(words, words, words, return_weights=True)
line = ["two", "hundred", "and", "three", "thousand", "."]
fig, axes = plot.figure(2, size=(7, 3), sharey=True)
for ax, table, name in zip(axes, np.asarray(weights)[0], ("head 0", "head 1"), strict=True):
    plot.attention_map(table, line, line, name, ax=ax, bar=ax is axes[1])
    ax.set_xticks(range(6), line, rotation=40, ha="right", rotation_mode="anchor")
axes[1].set_ylabel("")
first, second = (line[key] for key in np.asarray(weights)[0, :, 0].argmax(axis=-1))
fig.suptitle(f"Trained, one head of 'two' finds '{first}', the other '{second}'")
alt = f"Two attention maps of 'two hundred and three thousand .', from a trained model. 'two' looks most at '{first}' with head 0 and at '{second}' with head 1; words that have nothing to find look here and there."
plot.show(fig, alt=alt)

# %% [markdown]
# ## 7 · Debug clinic: a published layer
#
# Now a layer that does not work: the one of "Attention and multimodal fusion" (section 4.1), a blog article in no journal that this course grew out of, as printed but for comments and layout. Lesson 06 repairs the program around it. Read it, then run it: what do you find? The picture after it shows how far each item of a batch moves when one of them is changed.


# %% long measured
class Attention(tf.keras.layers.Layer):
    def __init__(self, units):
        super(Attention, self).__init__()
        self.units = units
        self.W1 = tf.keras.layers.Dense(units, activation="relu")
        self.W2 = tf.keras.layers.Dense(1)

    def call(self, query, values):
        query_with_same_dim = self.W1(query)
        query_with_same_dim = tf.reshape(query_with_same_dim, (-1, query_with_same_dim.shape[1], 1))
        query_with_same_dim = tf.reshape(
            query_with_same_dim, (-1, query_with_same_dim.shape[0], query_with_same_dim.shape[1])
        )
        scores = tf.matmul(query_with_same_dim, values)
        attention_weights = tf.nn.softmax(scores, axis=1)
        context_vector = tf.matmul(attention_weights, values)
        return context_vector


printed = Attention(units=3)
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    for T, S, D in ((4, 4, 4), (3, 4, 4), (4, 5, 4), (4, 4, 5)):
        try:
            shape = printed(rng.normal(size=(2, T, 4)), rng.normal(size=(2, S, D))).shape
            print(f"T={T} S={S} D={D}: context {tuple(shape)}; expected {(2, T, D)}")
        except (tf.errors.InvalidArgumentError, ValueError) as error:
            print(f"T={T} S={S} D={D}: {type(error).__name__}")
query, values = rng.normal(size=(2, 2, 4, 4))
changed = query + np.array([0, 1])[:, None, None]  # item 1 only
moved = np.abs(printed(query, values)[0] - printed(changed, values)[0]).max()
print("only item 1 was changed; item 0 moved:", bool(moved > 1e-3))
print("arrays in W1:", len(printed.W1.weights), " in W2:", len(printed.W2.weights))
print("Keras warned:", any("unbuilt" in str(warning.message) for warning in warned))

# %% measured
batch, push = rng.normal(size=(2, 2, 4, 4, 4))  # queries and values of four items


def influence(layer):
    """Row: the item that is watched, column: the item that was changed; 1 is the largest move."""
    moves = []
    for item in range(4):
        changed = batch + push * (np.arange(4) == item)[:, None, None]
        moves.append(np.abs(layer(*changed) - layer(*batch)).max(axis=(1, 2)))
    return np.transpose(moves) / np.max(moves)


dot = layers.ScaledDotProductAttention()
panels = {"as printed": influence(printed), "dot product": influence(lambda q, v: dot(q, v)[0])}
off = ~np.eye(4, dtype=bool)
claim("as printed: every item moves every item", panels["as printed"].min() > 1e-3)
claim("dot product: each moves itself alone", panels["dot product"][off].max() < 1e-5)

# %% measured
fig, axes = plot.figure(2, sharey=True)
for ax, (name, table) in zip(axes, panels.items(), strict=True):
    plot.attention_map(table, range(4), range(4), name, ax=ax, bar=False)
    for (watched, changed), x in np.ndenumerate(table):
        colour = "white" if x < 0.6 else "black"
        ax.text(changed, watched, f"{x:.3f}", ha="center", va="center", color=colour)
    ax.set(xlabel="item that was changed", ylabel="item that was watched")
axes[1].set_ylabel("")
fig.suptitle("In the printed layer, items of a batch move each other")
alt = "Two maps, four items by four. As printed, none of the sixteen numbers is 0: each item moves all. With the dot product only the diagonal is not 0."
plot.show(fig, alt=alt)

# %% [markdown] task="article_layer"
# Repair `call`. Its `__init__` declares two layers, `W1` and `W2`. Use both for the score of query t and value s:
#
# $$\text{score}_{ts} = W_2(W_1([\,q_t;\, v_s\,]))$$
#
# `W1` sees query and value side by side (the query first), bends by its relu; `W2` makes one number of the result. The values are keys, too.
#
# - `query` `(B, T, …)`, `values` `(B, S, D)`; every size may be any. Return `(context, weights)`, `(B, T, D)` and `(B, T, S)`.
# - Keep `__init__` as printed. No masks here. `attnfuse.layers` is switched off.
#
# Collect the symptoms first: five things are wrong.
#
# <details><summary>Hint</summary>
#
# Begin with the pairs: an array `(B, T, S, …)` that holds every query next to every value. A Dense layer works on the last axis and leaves the others alone.
#
# </details>


# %% exercise="article_layer"
class Repaired(keras.layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.units = units
        self.W1 = keras.layers.Dense(units, activation="relu")
        self.W2 = keras.layers.Dense(1)

    def call(self, query, values):
        """Return context (B, T, D) and weights (B, T, S)."""
        ### BEGIN SOLUTION
        T, S = query.shape[1], values.shape[1]
        every_query = ops.repeat(query[:, :, None], S, axis=2)  # (B, T, S, …)
        every_value = ops.repeat(values[:, None], T, axis=1)  # (B, T, S, D)
        pairs = ops.concatenate([every_query, every_value], axis=-1)
        weights = ops.softmax(self.W2(self.W1(pairs))[..., 0], axis=-1)
        return ops.matmul(weights, values), weights
        ### END SOLUTION


# %% try="article_layer"
repaired = Repaired(units=3)
for T, S, D in ((4, 4, 4), (3, 4, 4), (4, 5, 4), (3, 5, 6)):
    context, weights = repaired(rng.normal(size=(2, T, 4)), rng.normal(size=(2, S, D)))
    print(f"T={T} S={S} D={D}: context {tuple(context.shape)}, weights {tuple(weights.shape)}")
    repaired = Repaired(units=3)  # another width makes other arrays

# %% check="article_layer"
check("article_layer", Repaired)

# %% [markdown]
# | fault | symptom |
# |---|---|
# | two reshapes throw batch, positions and features together | items of a batch influence each other; six rows for four queries |
# | values where transposed keys belong in the product | it runs only if T = S = D |
# | softmax over axis 1 of that array | no row of weights belongs to a query |
# | `W2` never used | it has no arrays, and Keras (3.13.2, 3.15.1) warns of "unbuilt state" |
# | returns a context alone | the caller takes it for weights (lesson 06) |
#
# Where the sizes happen to agree, nothing raises an error. So test with **sizes that all differ**, and change one item and watch the others.
#
# ## 8 · Debug clinic: three incidents
#
# Three more from the wild, retold in our own code, for no points. First Keras's `Attention` on **pooled** vectors, one per item, as in a published fusion recipe.

# %% [markdown] task="across_batch"
# `image` and `text` are `(B, D)`, without an axis for positions. Let each image ask, every item apart:
#
# ```python
# def colleagues_fuse(image, text):
#     return keras.layers.Attention()([ops.convert_to_tensor(image), ops.convert_to_tensor(text)])
# ```
#
# In Keras 3.15.1 the shape is right, there is no error, and item 0 changes with its neighbours (the cell after your answer shows it): the batch axis serves as positions. At test time, results depend on who else is in the batch. (Keras 3.13.2 stops with an error. Our layers refuse such input, and say why.)
#
# Write `fuse(image, text)`: in each item the image asks (dot product, not scaled), and its own two vectors, image and text, are keys and values. Return `(B, D)`.
#
# <details><summary>Hint</summary>
#
# Attention needs three axes. What are T and S here?
#
# </details>


# %% exercise="across_batch"
def fuse(image, text):
    """Each item's image asks its own image and text: two (B, D) → (B, D)."""
    ### BEGIN SOLUTION
    both = ops.stack([image, text], axis=1)  # (B, 2, D)
    query = ops.convert_to_tensor(image)[:, None]  # (B, 1, D)
    return keras.layers.Attention()([query, both])[:, 0]
    ### END SOLUTION


# %% try="across_batch"
def colleagues_fuse(image, text):
    return keras.layers.Attention()([ops.convert_to_tensor(image), ops.convert_to_tensor(text)])


image, text = rng.normal(size=(2, 3, 4)).astype("float32")
ours = layers.ScaledDotProductAttention()
for name, function in {"our layer": ours, "colleague": colleagues_fuse, "you": fuse}.items():
    for B in (3, 2):
        try:
            print(f"{name}, item 0 of {B}:", np.asarray(function(image[:B], text[:B]))[0].round(2))
        except (ValueError, tf.errors.InvalidArgumentError) as error:
            print(f"{name} refuses:", str(error).split("\x1b[1m")[-1].split("\x1b")[0])

# %% check="across_batch"
check("across_batch", fuse)

# %% [markdown] task="leaky_mask"
# A tutorial had its own multi-head layer, whose mask was 1 where a word must **not** look. A reader replaced the layer by Keras's and kept the mask. Soon it had 100 % accuracy: each word saw exactly what it was to predict (told in tensorflow/text#894).
#
# ```python
# def colleagues_attention(layer, x, future, padding):
#     closed = np.maximum(future, padding[:, None])
#     return layer(x, x, attention_mask=closed)
# ```
#
# `layer` is a `keras.layers.MultiHeadAttention`, `x` is `(B, T, D)`. `future` `(T, T)` is 1.0 where the key comes later than the query, `padding` `(B, T)` is 1.0 at padding; both 0.0 elsewhere. Write `masked_attention` so that words see neither; what comes out at padding does not count.
#
# <details><summary>Hint</summary>
#
# In Keras, True = may attend.
#
# </details>


# %% exercise="leaky_mask"
def masked_attention(layer, x, future, padding):
    """Self-attention (B, T, D) that sees neither future nor padding."""
    ### BEGIN SOLUTION
    allowed = (1 - future) * (1 - padding)[:, None]  # (B, T, T), 1 where both are 0
    return layer(x, x, attention_mask=allowed > 0)
    ### END SOLUTION


# %% try="leaky_mask"
x, future = rng.normal(size=(1, 4, 8)).astype("float32"), 1 - np.tri(4)
layer = keras.layers.MultiHeadAttention(2, 4)
before = masked_attention(layer, x, future, np.zeros((1, 4)))
x[:, 3] += 1  # the last word is changed
moved = np.abs(masked_attention(layer, x, future, np.zeros((1, 4))) - before).max(axis=(0, 2))
print("words that moved with the last one:", np.flatnonzero(moved > 1e-4))

# %% check="leaky_mask"
check("leaky_mask", masked_attention)

# %% [markdown] task="decoder_state"
# A well-known translation tutorial trained its decoder word by word. For a year at least, its GRU began from zeros at every step (reported in 2019, tensorflow#26990, and again in 2020, #38248). The state did reach the attention.
#
# ```python
# def colleagues_step(gru, attend, word, state, memory):
#     context, _ = attend(state[:, None], memory)
#     x = ops.concatenate([context, word[:, None]], axis=-1)
#     output, new = gru(x)
#     return output[:, 0], new
# ```
#
# `gru` returns its outputs `(B, 1, D)` and its state; `attend` is `layers.AdditiveAttention`; `word` is `(B, W)`, `state` `(B, D)`, `memory` `(B, S, D)`. Write `step`, so that the decoder remembers.
#
# <details><summary>Hint</summary>
#
# Follow `state` through the four lines. Where does it go, and where not?
#
# </details>


# %% exercise="decoder_state"
def step(gru, attend, word, state, memory):
    """One word further: returns output (B, D) and the new state (B, D)."""
    ### BEGIN SOLUTION
    found, _ = attend(state[:, None], memory)
    both = ops.concatenate([found, word[:, None]], axis=-1)  # (B, 1, D + W)
    output, state = gru(both, initial_state=state)
    return output[:, 0], state
    ### END SOLUTION


# %% try="decoder_state"
gru = keras.layers.GRU(3, return_sequences=True, return_state=True)
attend = layers.AdditiveAttention(4)
memory = rng.normal(size=(1, 1, 3)).astype("float32")  # one place: every state finds the same
word = rng.normal(size=(1, 2)).astype("float32")
for state in np.zeros((1, 3), "float32"), np.ones((1, 3), "float32"):
    print("state", state[0], "→ output", np.asarray(step(gru, attend, word, state, memory)[0])[0])

# %% check="decoder_state"
check("decoder_state", step)

# %% [markdown]
# ## What to remember
#
# - A layer promises: weights from shapes, masks, dtype, config.
# - Close scores by choosing; never add −∞: a clean forward pass may hide NaN gradients.
# - Softmax sees differences only. What is the same for every key cancels: the key's bias (unless keys are turned), an additive score's query where nothing bends.
# - Keras: a row without a key is uniform, zero or (float64) open; causal masks count from the start; True = may attend; without a position axis it may attend across the batch.
# - Change one input; see what moves.
#
# | | |
# |---|---|
# | sources | Bahdanau et al. 2015, "Neural Machine Translation by Jointly Learning to Align and Translate"; Vaswani et al. 2017, "Attention Is All You Need"; issues tensorflow#38248 and #26990, tensorflow/text#894. The printed layer: 注意力机制与多模态融合：未来人工智能的共享语言 ("Attention and multimodal fusion: a common language for the AI of tomorrow"), a blog article of juejin.cn, in no journal |
# | data | number words by num2words (LGPL) |
# | in Keras | `keras.layers.Attention`, `AdditiveAttention`, `MultiHeadAttention` |
# | in attnfuse | `layers.ScaledDotProductAttention`, `AdditiveAttention`, `MultiHeadAttention`, `masked_softmax` |
# | next | [06 · Sequence to sequence](06_seq2seq.ipynb) |
