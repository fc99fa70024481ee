# ---
# jupyter:
#   attnfuse:
#     title: Scaled dot-product attention
#     sentence: The formula behind every Transformer, worked out by hand, tested from all sides, and used to read handwritten digits without any training.
#     you_will: [derive the dot product from lesson 01's kernel and see what it loses, "write softmax(QKᵀ/√d)·V with its masks and find the bug in somebody else's", read handwritten digits with attention that was never trained]
#     needs: [00_start_here, 01_attention_pooling]
#     minutes: 60
#     seconds: 12
#     keras: false
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% setup
from importlib.util import find_spec

import numpy as np

from attnfuse import attention, check, claim, hint, plot, quiet, quiz, settings
from attnfuse.data import digits

rng = np.random.default_rng(0)

# %% quiz="02-shift"

# %% quiz="02-own-day"

# %% quiz="02-copies"

# %% [markdown]
# ## 1 · A look-up that is soft
#
# A dictionary compares your *query* with its *keys* and returns the *value* of the one key that is equal. Attention does the same softly: every key gets a weight by how well it matches, and the answer is the weighted mean of all values.
#
# Our dictionary in this lesson: the keys are 1,000 pictures of handwritten digits, 8×8 pixels each. A value says which digit that is. The query is a new picture: what does it show?

# %%
split = digits.load(seed=0)
chosen = [np.flatnonzero(split.train_labels == digit)[0] for digit in range(2, 9)]
pictures = np.concatenate([split.test_images[:1], split.train_images[chosen]]).reshape(-1, 8, 8)
captions = ["a query\nvalue: ?"] + [f"a key\nvalue: {digit}" for digit in range(2, 9)]
fig = plot.pictures(pictures, captions, "Which of these keys does the query match?")
plot.show(fig, alt="A query picture without label, and seven labelled key pictures beside it.")

# %% [markdown]
# ## 2 · From nearness to the dot product
#
# In lesson 01 a key's score was its *nearness*, −|q−k|²/2τ (τ, the temperature, is the bandwidth squared). By hand, with pictures of two pixels, τ = 1 and the query (1, 1), split into three parts:
#
# | key | q·k | −\|k\|²/2 | −\|q\|²/2 | score |
# |---|---|---|---|---|
# | A (1, 1) | 2 | −1 | −1 | 0 |
# | B (3, 0) | **3** | −4.5 | −1 | −2.5 |
# | C (0, 2) | 2 | −2 | −1 | −1 |
#
# $$-\frac{|q-k|^2}{2\tau} = \frac{q\cdot k}{\tau} - \frac{|k|^2}{2\tau} - \frac{|q|^2}{2\tau}$$
#
# Nearness puts A first. The dot product alone prefers B, the farthest, because it is long. The last term is the same for all keys: softmax cancels it. The middle one cancels only where **all keys have the same length**.

# %%
query = np.array([[1.0, 1.0]])
key = np.array([[1.0, 1.0], [3.0, 0.0], [0.0, 2.0]])  # A, B, C
size = np.linalg.norm(key, axis=-1)
dot, distance = query @ key.T, np.linalg.norm(query[:, None] - key, axis=-1)
near, fixed = -(distance**2) / 2, dot - size**2 / 2
print("weights for:            A    B    C")
for name, scores in {"nearness": near, "dot product": dot, "dot product - |k|²/2": fixed}.items():
    print(f"{name:22s}", attention.softmax(scores)[0].round(2))
claim("with |k|²/2 off, only |q|²/2 = 1 is missing, for every key", np.allclose(fixed - near, 1))
alike = key / size[:, None]  # the same keys, brought to length 1
near = -(np.linalg.norm(query[:, None] - alike, axis=-1) ** 2) / 2
same = np.allclose(attention.softmax(query @ alike.T), attention.softmax(near))
claim("with keys of one length, dot product and nearness agree", same)

# %% [markdown]
# ## 3 · The formula
#
# Why use the dot product at all? One matrix product gives all scores at once, and in later lessons query and key are *learnt*, so that their lengths may say something useful. Stack T queries as the rows of Q, S keys as the rows of K, S values as the rows of V:
#
# $$\text{context} = \text{softmax}\!\left(\frac{QK^\top}{\sqrt{d_k}}\right)V$$
#
# $d_k$ is the width of a query and of a key; in our letters H. Each row of the scores belongs to one query.

# %% [markdown] task="attend"
# Write `attend(query, key, value, mask=None)`.
#
# - `query` is `(B, T, H)`, `key` `(B, S, H)`, `value` `(B, S, V)`: B items, each with its own queries, keys and values.
# - `mask` is None or bool, broadcastable to `(B, T, S)`. True means: this query *may* attend to this key.
# - Return `(context, weights)`, of shapes `(B, T, V)` and `(B, T, S)`.
# - A query that may attend to no key gets weights 0 and the context 0.
#
# `attention.softmax(scores, mask)` from lesson 01 is yours to use.
#
# <details><summary>Hint</summary>
#
# For a batch, `key.T` turns *all* axes round. `np.swapaxes(key, -1, -2)` turns the last two.
#
# </details>


# %% exercise="attend"
def attend(query, key, value, mask=None):
    """Scaled dot-product attention: returns (context (B, T, V), weights (B, T, S))."""
    ### BEGIN SOLUTION
    scores = query @ np.swapaxes(key, -1, -2) / np.sqrt(query.shape[-1])  # (B, T, S)
    weights = attention.softmax(scores, mask)
    return weights @ value, weights
    ### END SOLUTION


# %% try="attend"
value = np.array([[10.0], [20.0], [40.0]])
context, weights = attend(query=query[None], key=key[None], value=value[None])
print("weights for A, B, C:", weights.round(3))
print("context:", context.round(3))

# %% check="attend"
check("attend", attend)

# %% [markdown]
# ## 4 · Why the square root?
#
# A score is a sum of d products. How large does such a sum get? Think first, then let the machine draw random numbers.

# %% [markdown] task="score_spread"
# Query and key have d = 64 components with mean 0. The *spread* is the standard deviation of q·k. Predict it three times:
#
# 1. All components are independent, each with variance 1.
# 2. The same, but all components of query *and* key are multiplied by 2.
# 3. Each component has variance 1 again, but the 64 components of a query are one and the same number (a plain grey picture). So are those of a key. Query and key are independent of each other.
#
# Answer with three numbers, such as `spread = (10, 20, 30)`.

# %% exercise="score_spread"
spread = None  # your answer: three numbers
### BEGIN SOLUTION
spread = (8, 32, 64)  # √64; 2·2 times that; 64 equal products, nothing cancels
### END SOLUTION

# %% check="score_spread"
check("score_spread", spread)

# %%
q, k = rng.standard_normal((2, 20_000, 64))
alike_q, alike_k = np.repeat(rng.standard_normal((2, 20_000, 1)), 64, axis=2)
for name, product in (
    ("independent", q * k),
    ("twice as wide", (2 * q) * (2 * k)),
    ("all components alike", alike_q * alike_k),
):
    sd = product.sum(axis=1).std()
    print(f"{name:21s} spread of q·k: {sd:4.0f}   after division by √64: {sd / 8:3.0f}")

# %% [markdown]
# Stated exactly: if the components of q and k are *independent, with mean 0 and variance 1*, each of the d products has mean 0 and variance 1, and variances of independent terms add up. So q·k has variance d, and (q·k)/√d has variance 1, for every d.
#
# That is all. Where components are larger, alike, or all positive (as pixels are), the variance is not 1 afterwards. √d is a sensible start, not a best temperature.

# %%
widths, raw, scaled = [1, 4, 16, 64, 256, 1024], [], []
for d in widths:
    query, key = rng.normal(size=(1000, d)), rng.normal(size=(1000, 10, d))  # 10 keys for each
    for table, factor in ((raw, 1), (scaled, 1 / np.sqrt(d))):
        scores = factor * np.einsum("bh,bsh->bs", query, key)
        weights = attention.softmax(scores)
        best = weights == weights.max(axis=-1, keepdims=True)
        pull = np.einsum("bs,bsh->bh", 1.0 * best - weights, key)  # from the mean to the best key
        step = query + 1e-4 * pull / np.linalg.norm(pull, axis=-1, keepdims=True)
        moved = attention.softmax(factor * np.einsum("bh,bsh->bs", step, key))
        slope = (moved - weights)[best] / 1e-4
        table.append((scores.var(), weights[best].mean(), np.mean(slope < 0.01), slope.mean()))
raw, scaled = np.transpose(raw), np.transpose(scaled)
claim("at d = 1024, unscaled, more than half of the queries are stuck", raw[2, -1] > 0.5)
claim("and yet the mean slope is not smaller than the scaled one", raw[3, -1] > scaled[3, -1])

# %%
names = ("variance of a score", "largest of ten weights", "share of stuck queries")
fig, axes = plot.figure(3)
for i, (ax, name) in enumerate(zip(axes, names, strict=True)):
    curves = {"q·k": raw[i], "q·k / √d": scaled[i]}
    plot.lines(widths, curves, name, "width d", ax=ax, legend="upper left" if i == 0 else "")
    ax.set_xscale("log")
    ax.title.set_fontsize("medium")
axes[0].set_yscale("log")
fig.suptitle("Divided by √d, attention behaves alike at every width")
plot.show(
    fig,
    alt="Three curves over the width, 1 to 1024. Without scaling the variance grows to 1,000, the largest of ten weights to 0.97 and the share of stuck queries to two thirds. With scaling all three stay nearly flat.",
)

# %% [markdown]
# Unscaled scores grow, and softmax *saturates*: nearly all weight goes to one key of ten. We moved each query a little towards its favourite key and watched that key's weight. Where it moves by less than 0.01 per unit of the way, we call the query **stuck**: gradient descent learns next to nothing from it. At d = 1024 that holds for about two queries in three. The mean slope is *not* smaller: the few undecided queries get nearly all of it. (Lesson 03 works these gradients out.)

# %% [markdown]
# ## 5 · Masks
#
# Two masks occur everywhere; True means *may attend*.
#
# - **Padding.** Texts of one batch are filled up to one length. Nobody may look at the filling: `is_word`, `(B, S)`, becomes `(B, 1, S)`, one row for all queries.
# - **Causal.** Whoever predicts the next word must not see it: query t may attend to keys 0 … t, a lower triangle `(T, T)`.

# %%
numbers = rng.standard_normal((1, 5, 8))  # five positions that attend to each other
padding = attention.padding_mask([3], 5)[0]
causal = attention.causal_mask(5)
fig, axes = plot.figure(2)
for ax, mask, name in ((axes[0], padding, "padding: 3 words of 5"), (axes[1], causal, "causal")):
    pool = attention.scaled_dot_product_attention
    shares = pool(query=numbers, key=numbers, value=numbers, mask=mask)[1][0]
    plot.attention_map(shares, range(5), range(5), name, mask=mask, ax=ax, bar=ax is axes[1])
fig.suptitle("Padding closes columns, the causal mask a triangle")
plot.show(
    fig,
    alt="Two attention maps of five positions. Left the last two columns are hatched, right everything above the diagonal is; the open cells of each row sum to 1.",
)

# %% [markdown] task="decoder_mask"
# A text generator needs both masks at once. Write `decoder_mask(is_word)`.
#
# - `is_word` is bool `(B, S)`: True where a word stands, False at the filling.
# - Return bool `(B, S, S)`, True where query t of item b may attend to key s: key s is a word, and it does not lie ahead of t (a position may see itself).
# - Rows of padded queries follow the same rule. A row may end up without any True.
#
# <details><summary>Hint</summary>
#
# Is it enough if *one* of the masks allows a key?
#
# </details>


# %% exercise="decoder_mask"
def decoder_mask(is_word):
    """Padding and causal mask together: bool (B, S) → bool (B, S, S), True = may attend."""
    ### BEGIN SOLUTION
    return is_word[:, None, :] & attention.causal_mask(is_word.shape[1])
    ### END SOLUTION


# %% try="decoder_mask"
print(decoder_mask(np.array([[True, True, True, False]])).astype(int))

# %% check="decoder_mask"
check("decoder_mask", decoder_mask)

# %% [markdown] task="mask_test"
# How do you know that a mask works? **A masked key must act like a deleted key.** Write the test: `mask_works(attend)` gets a function, calls it as often as you like, as `attend(query=…, key=…, value=…, mask=…)`, and returns True if its mask is right, False if not. It is tried on right functions (one adds up in another order) and on broken ones:
#
# the mask is ignored · inverted · applied after the softmax · applied to the values · masked scores are set to 0 · or to −10.
#
# Arrays are `(B, T, H)`, `(B, S, H)`, `(B, S, V)`, the mask `(B, T, S)`; the function returns `(context, weights)`.
#
# <details><summary>Hint</summary>
#
# e⁻¹⁰ is 0.00005: too little to see beside values near 1, plenty beside a value of a million.
#
# </details>


# %% exercise="mask_test"
def mask_works(attend):
    """True if masking a key has the same effect as deleting it."""
    ### BEGIN SOLUTION
    draw = np.random.default_rng(1)
    q, k, v = draw.normal(size=(2, 3, 4)), draw.normal(size=(2, 5, 4)), draw.normal(size=(2, 5, 6))
    v[:, 2] = 1e6  # whatever leaks, shows
    keep = np.array([True, True, False, True, True])
    masked, some = attend(query=q, key=k, value=v, mask=np.broadcast_to(keep, (2, 3, 5)))
    deleted, fewer = attend(query=q, key=k[:, keep], value=v[:, keep], mask=None)
    return np.allclose(masked, deleted) and np.allclose(some[..., keep], fewer)
    ### END SOLUTION


# %% try="mask_test"
def blind(query, key, value, mask=None):
    return attention.scaled_dot_product_attention(query=query, key=key, value=value)


print("the course's attention:", mask_works(attention.scaled_dot_product_attention))
print("one without any mask:  ", mask_works(blind))

# %% check="mask_test"
check("mask_test", mask_works)

# %% [markdown]
# ## 6 · What the formula guarantees
#
# Some things hold for every attention, whatever the numbers. They make good tests, because they need no expected result:
#
# - Another order of the keys (with their values) changes nothing. Attention knows no positions.
# - Another order of the queries reorders the context in the same way.
# - Items of a batch do not meet: one alone gives what it gives among others.

# %%
query, key, value = (rng.normal(size=size) for size in ((2, 3, 4), (2, 5, 4), (2, 5, 6)))
pool = attention.scaled_dot_product_attention
context, _ = pool(query=query, key=key, value=value)
order = rng.permutation(5)
again, _ = pool(query=query, key=key[:, order], value=value[:, order])
claim("keys in another order: the same context", np.allclose(again, context))
again, _ = pool(query=query[:, ::-1], key=key, value=value)
claim("queries in reverse: the context in reverse", np.allclose(again, context[:, ::-1]))
alone, _ = pool(query=query[:1], key=key[:1], value=value[:1])
claim("an item alone: the same context", np.allclose(alone, context[:1]))


# %%
def colleagues_pool(query, key, value, is_word):
    scores = np.einsum("bth,bsh->bts", query, key)
    scores = scores / np.sqrt(query.shape[1])
    return attention.attention_pooling(scores, value, mask=is_word)


names = ("query", "key", "value")
square = dict(zip(names, rng.normal(size=(3, 4, 4, 4)), strict=True))  # B = T = S = H = 4
is_word = np.tile([True, True, True, False], (4, 1))
got, _ = colleagues_pool(**square, is_word=is_word)
expected, _ = attention.scaled_dot_product_attention(**square, mask=is_word[0])
claim("the colleague's function passes its test", np.allclose(got, expected))


# %% [markdown] task="square_test"
# A colleague pools a batch of padded texts with the function above; `is_word` is `(B, S)`, True at words. Its test passes. There all sizes are 4, and all items are padded alike.
#
# On real data it stops with an error or, worse, returns something wrong. **There are two faults.** Find them and write `pool_batch(query, key, value, is_word)`, which returns `(context, weights)` for any sizes. Each item has one word at least.
#
# <details><summary>Hint</summary>
#
# Write the shape of every array on paper, for B=2, T=3, S=5, H=4. NumPy lines shapes up from the right.
#
# </details>


# %% exercise="square_test"
def pool_batch(query, key, value, is_word):
    """Attention in a padded batch: returns (context (B, T, V), weights (B, T, S))."""
    ### BEGIN SOLUTION
    products = np.einsum("bth,bsh->bts", query, key)
    products = products / np.sqrt(query.shape[-1])  # the width, not the number of queries
    return attention.attention_pooling(products, value, mask=is_word[:, None, :])  # (B, 1, S)
    ### END SOLUTION


# %% try="square_test"
first_two = np.array([[True, True, False, False, False], [True, True, True, True, False]])
print(pool_batch(query=query, key=key, value=value, is_word=first_two)[1].round(2))  # (2, 3, 5)

# %% check="square_test"
check("square_test", pool_batch)

# %% [markdown]
# ## 7 · Reading digits without any training
#
# Back to our dictionary. Values are one-hot labels: a 1 at the digit, nine zeros. So the context of a query holds a share for every digit, and we read off the largest.
#
# First the dot product as it is, softmax(q·k/τ). The formula's τ is √64 = 8. A lower τ makes attention sharper: towards the single best key. Does sharper read better? And which keys get the attention then?


# %%
def read(query, key, labels, temperature):
    """The digit with the largest share of attention (T,), and the weights (T, S)."""
    query = query * np.sqrt(query.shape[-1]) / temperature  # our function divides by √d again
    rows = digits.one_hot(labels)
    context, weights = attention.scaled_dot_product_attention(query=query, key=key, value=rows)
    return context.argmax(axis=-1), weights


for tau in (8, 2, 0.03):
    seen, weights = read(split.validation_images, split.train_images, split.train_labels, tau)
    print(f"τ = {tau:4}  right {np.mean(seen == split.validation_labels):.2f}")

# %%
drawn = weights.sum(axis=0) / weights.sum()  # share of all attention that each key draws, τ = 0.03
hubs = np.argsort(-drawn)[: len(drawn) // 100]
size = np.linalg.norm(split.train_images, axis=1)
claim("1 % of the keys draw more than a third of the attention", drawn[hubs].sum() > 1 / 3)
claim("these hubs are long: each in the longest tenth", size[hubs].min() > np.quantile(size, 0.9))
captions = [f"a {split.train_labels[h]}: {drawn[h]:.0%}" for h in hubs]
title = f"These {len(hubs)} of {len(size)} keys draw {drawn[hubs].sum():.0%} of the attention"
fig = plot.pictures(split.train_images[hubs].reshape(-1, 8, 8), captions, title, columns=5)
plot.show(
    fig, alt="Ten training pictures with much dark ink and the share of attention each draws."
)

# %% [markdown] task="nearness"
# Soft attention averages over hundreds of keys; sharp attention falls for these **hubs**. They hold so much ink that their dot product is large with *everything*: key B of section 2, in the wild. The formula is not wrong. It expects keys of comparable length, and pixels are not made that way.
#
# Two repairs: bring query and keys to length 1, or put the lost term back. The second is yours. Write `pool_by_nearness(query, key, value, temperature)` with lesson 01's kernel: the weight of a key is proportional to exp(−|q−k|²/2τ), where τ is `temperature`.
#
# - `query` is `(T, D)`, `key` `(S, D)`, `value` `(S, V)`. Return `(context, weights)`: `(T, V)`, `(T, S)`.
# - Keys may have any length, the numbers may be in the hundreds: no overflow.
# - Try it without an array of shape `(T, S, D)`: with 497 queries and 1,000 keys that would be 32 million numbers. One matrix product and section 2 are enough.
#
# <details><summary>Hint</summary>
#
# Which term does softmax cancel, and which one must you take off yourself?
#
# </details>


# %% exercise="nearness"
def pool_by_nearness(query, key, value, temperature):
    """Gaussian-kernel attention: returns (context (T, V), weights (T, S))."""
    ### BEGIN SOLUTION
    half_square = (key**2).sum(axis=-1) / 2  # (S,): one number for each key
    scores = (query @ key.T - half_square) / temperature
    return attention.attention_pooling(scores, value)
    ### END SOLUTION


# %% try="nearness"
label_rows = digits.one_hot(split.train_labels)
context, _ = pool_by_nearness(split.validation_images, split.train_images, label_rows, 0.3)
print(f"right: {np.mean(context.argmax(axis=-1) == split.validation_labels):.3f}")

# %% check="nearness"
check("nearness", pool_by_nearness)

# %% [markdown]
# Now the comparison, fairly: ten random splits; for each split and each kind of attention the temperature is chosen on the 300 validation pictures; the 497 test pictures are used once, with that temperature. Beside them the plain nearest neighbour.
#
# The Gaussian kernel needs no new function: give every key one more number, −|k|²/2, and every query a 1. Their dot product is q·k − |k|²/2.


# %%
def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def with_length(query, key):
    """One more column: 1 for queries, -|k|²/2 for keys."""
    return np.c_[query, np.ones(len(query))], np.c_[key, -np.square(key).sum(axis=-1) / 2]


kinds = {
    "raw dot product": lambda query, key: (query, key),
    "unit length": lambda query, key: (unit(query), unit(key)),
    "Gaussian kernel": with_length,
}
temperatures = [0.003, 0.01, 0.03, 0.1, 0.3, 1, 2, 4, 8]

# %% measured
curves, tests = {name: [] for name in kinds}, {name: [] for name in [*kinds, "nearest neighbour"]}
for seed in settings.seeds(10):
    part = digits.load(seed)
    for name, prepare in kinds.items():
        pair = prepare(part.validation_images, part.train_images)
        seen = np.array([read(*pair, part.train_labels, tau)[0] for tau in temperatures])
        curves[name].append(np.mean(seen == part.validation_labels, axis=-1))
        best = temperatures[np.argmax(curves[name][-1])]
        pair = prepare(part.test_images, part.train_images)
        seen, weights = read(*pair, part.train_labels, best)
        tests[name].append(np.mean(seen == part.test_labels))
    nearest = part.train_labels[weights.argmax(axis=-1)]  # the kernel's heaviest key is the nearest
    tests["nearest neighbour"].append(np.mean(nearest == part.test_labels))
for name, right in tests.items():
    print(f"{name:18s} test accuracy {np.mean(right):.3f}, sd over splits {np.std(right):.3f}")

# %%
mean = {name: np.mean(right) for name, right in tests.items()}
claim("raw dot product: below 0.92, at its best τ", mean["raw dot product"] < 0.92)
ties = np.array([mean["unit length"], mean["Gaussian kernel"]]) - mean["nearest neighbour"]
claim("the others tie the nearest neighbour: within 0.01", np.abs(ties).max() < 0.01)
title = "The dot product at its best stays below the others at theirs"
ax = plot.lines(temperatures, curves, title, "temperature τ", legend="lower left")
ax.set(xscale="log", ylim=(0.5, 1), ylabel="right on validation data")
ax.axvline(8, color="black", lw=1)
ax.annotate("√d", (8, 0.55), (-18, 0), textcoords="offset points")
plot.show(
    ax.figure,
    alt="Validation accuracy over temperature, mean and range of ten splits. Unit length and Gaussian kernel are near 0.98 at low temperatures; the raw dot product is near 0.73 there, peaks below 0.9 near 2 and falls again.",
)

# %% [markdown]
# Without a single trained number, attention reads 98 digits of 100, *if* its score means nearness. It beats nothing: at low τ the kernel *is* the nearest neighbour, and the two tie. What later lessons add is learning: projections that decide what "near" and "long" should mean.
#
# At τ = √d all three are poor: they average over too many keys. And one caution: the same people wrote training and test pictures. Strangers' handwriting is likely to be harder.

# %%
seen, _ = read(split.test_images, split.train_images, split.train_labels, 0.1)
first = np.argmax(seen != split.test_labels)  # the first picture that the raw dot product misreads
one = split.test_images[[first]]
shown, captions = [], []
for name in ("raw dot product", "Gaussian kernel"):
    weights = read(*kinds[name](one, split.train_images), split.train_labels, 0.1)[1][0]
    top = np.argsort(-weights)[:5]
    shown += [one[0], *split.train_images[top]]
    captions += [f"query\n{name}"] + [f"a {split.train_labels[t]}\n{weights[t]:.0%}" for t in top]
title = f"Which keys a {split.test_labels[first]} attends to, by dot product and by nearness"
fig = plot.pictures(np.reshape(shown, (-1, 8, 8)), captions, title, columns=6)
plot.show(
    fig,
    alt="The same query twice. Above, the dot product picks dark pictures of other digits; below, nearness picks pictures of the same digit.",
)

# %% [markdown]
# ## 8 · The same in Keras
#
# Where Keras is installed, it agrees, in other words. Its positional order is query, ***value***, key; we always pass names. It calls our weights "attention scores". `keras.layers.Attention` does **not** divide by √d unless you do. And a query that may see no key gets equal weights there, zeros here: item 1 below has no word at all.

# %% measured
query, key, value = (rng.normal(size=size) for size in ((2, 3, 4), (2, 5, 4), (2, 5, 6)))
mask = attention.padding_mask([3, 0], 5)
ours, weights = attention.scaled_dot_product_attention(query=query, key=key, value=value, mask=mask)
if find_spec("keras") and find_spec("tensorflow"):
    with quiet():  # TensorFlow greets the machine on stderr while it loads
        import keras
    inputs = [query / np.sqrt(4), value, key]  # divided by √d here; the value comes second
    theirs, scores = keras.layers.Attention()(
        inputs, mask=[None, mask[:, 0]], return_attention_scores=True
    )
    claim("item 0: Keras returns our context", np.allclose(theirs[0], ours[0], atol=1e-5))
    claim("its 'attention scores' are our weights", np.allclose(scores[0], weights[0], atol=1e-5))
    claim("item 1: equal weights in Keras, zeros here", np.ptp(scores[1]) == weights[1].max() == 0)
else:
    print("Keras is not installed here: nothing to compare with.")

# %% [markdown]
# ## What to remember
#
# - Attention is a soft look-up: `softmax(QKᵀ/√d)V`, softmax over the keys.
# - A dot product is nearness only for keys of one length; otherwise long keys become hubs.
# - √d keeps the variance of a score near 1 for independent components of variance 1. The best temperature is another question.
# - A masked key must act like a deleted one, and tests need axes of different sizes.
#
# | | |
# |---|---|
# | sources | Vaswani et al. 2017, "Attention Is All You Need"; Vinyals et al. 2016, "Matching Networks for One Shot Learning" (attention over labelled examples); Radovanović, Nanopoulos and Ivanović 2010, "Hubs in Space"; Tsai et al. 2019, "Transformer Dissection" (attention as a kernel) |
# | data | Alpaydin and Kaynak 1998, UCI, CC BY 4.0, from scikit-learn |
# | in Keras | `keras.layers.Attention`, `keras.layers.MultiHeadAttention` |
# | in attnfuse | `attention.scaled_dot_product_attention`, `padding_mask`, `causal_mask` |
# | next | [06 · Sequence to sequence](06_seq2seq.ipynb), where query and key are learnt |
