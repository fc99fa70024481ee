# ---
# jupyter:
#   attnfuse:
#     title: Scaled dot-product attention
#     sentence: The Transformer's attention formula, worked out by hand, tested from all sides, and used to read handwritten digits with nothing fitted but one temperature.
#     you_will: [derive the dot product from lesson 01's kernel and see what it loses, "write softmax(QKᵀ/√H)·V with its masks and find the bugs in somebody else's", read handwritten digits with attention that learns no weights]
#     needs: [00_start_here, 01_attention_pooling]
#     minutes: 75
#     seconds: 9
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

# %% [markdown]
# ## Warm-up: three questions on lesson 01
#
# The minutes above are for the text and the four exercises with points; the two stretch exercises take a quarter more.

# %% quiz="02-shift"

# %% quiz="02-own-day"

# %% quiz="02-copies"

# %% [markdown]
# ## 1 · A look-up that is soft
#
# A dictionary compares your *query* with its *keys* and returns the *value* of the equal one. Attention does so softly: every key gets a weight by its match; the answer is the weighted mean of all values.
#
# Our dictionary: the keys are 1,000 pictures of handwritten digits, 8×8 pixels from 0 (paper) to 1 (ink). A value is ten numbers: a 1 at the picture's digit, nine zeros. (Plain 3 and 5 would average to 4.) The query is a new picture.

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
# Lesson 01 scored a key by its *nearness*, −|q−k|²/2τ; τ, the *temperature*, is the bandwidth squared: the lower, the sharper. Two more words: the **dot product** q·k multiplies entry by entry and adds up, and |k| = √(k·k) is the *length* of k.
#
# By hand, with two pixels, τ = 1 and q = (1, 1). For B the dot product is 1·3 + 1·0 = 3.
#
# | key | q·k | −\|k\|²/2 | −\|q\|²/2 | score |
# |---|---|---|---|---|
# | A (1, 1) | 2 | −1 | −1 | 0 |
# | B (3, 0) | **3** | −4.5 | −1 | −2.5 |
# | C (0, 2) | 2 | −2 | −1 | −1 |
#
# $$-\frac{|q-k|^2}{2\tau} = \frac{q\cdot k}{\tau} - \frac{|k|^2}{2\tau} - \frac{|q|^2}{2\tau}$$

# %% [markdown]
# Nearness puts A first; the dot product prefers B, the farthest, because it is long. The last term is the same for all keys: softmax cancels it. The middle one cancels only where **all keys have the same length**.

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
# And the *query's* length? It is a factor of every dot product in its row: it cannot change which key is first, only how sharply. Nearness sees a place: a query that goes on and on is nearer to B in the end than to A.

# %%
for longer in (0.5, 1, 2, 4):
    q = longer * query
    near = -(np.linalg.norm(q[:, None] - key, axis=-1) ** 2) / 2
    by_dot, by_nearness = (attention.softmax(scores)[0].round(2) for scores in (q @ key.T, near))
    print(f"q = {q[0]!s:9}  dot product {by_dot}  nearness {by_nearness}")
twice, halved = (attention.softmax(x)[0] for x in (2 * query @ key.T, query @ key.T / 0.5))
claim("a query twice as long is one at half the temperature", np.allclose(twice, halved))

# %% [markdown]
# ## 3 · The formula
#
# Why then do Transformers use products? Vaswani et al. say: they are faster than lesson 01's small network, being one matrix product. But so is nearness (section 7), and Tsai et al., who tried it in Transformers, found it no worse. The product is simpler, and where keys are *learnt* a long key may mean: important. A choice, not a must.

# %% [markdown]
# Stack T queries, S keys and S values as rows:
#
# $$\text{context} = \text{softmax}\!\left(\frac{\text{query}\;\text{key}^\top}{\sqrt{H}}\right)\text{value}$$
#
# H is the width of a query and of a key. Each row of the scores belongs to one query. Papers write Q, K, V for the three arrays and $d_k$ for H.

# %% [markdown] task="attend"
# Write `attend(query, key, value, mask=None)`.
#
# - A *batch* holds B items, each with its own queries, keys and values: `query` is `(B, T, H)`, `key` `(B, S, H)`, `value` `(B, S, V)`. V is the width of a value.
# - `mask` is None or bool, broadcastable to `(B, T, S)`: `(T, S)`, `(B, 1, S)` or `(S,)` will do. True means: this query *may* attend to this key.
# - Return `(context, weights)`, of shapes `(B, T, V)` and `(B, T, S)`.
# - A query that may attend to no key gets weights 0 and the context 0. Scores may be in the thousands.
#
# `attention.softmax(scores, mask)` is yours to use: lesson 01's, with a mask.
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
one_query, keys_abc = np.array([[[1.0, 1.0]]]), np.array([[[1.0, 1.0], [3.0, 0.0], [0.0, 2.0]]])
your_context, your_weights = attend(one_query, keys_abc, np.array([[[10.0], [20.0], [40.0]]]))
print("A, B, C:", your_weights.round(2), "context:", your_context.round(2))
print("expected: 0.25 0.50 0.25 and 22.48; softer than in section 2, because of √2")

# %% check="attend"
check("attend", attend)

# %% [markdown]
# ## 4 · Why the square root?
#
# A score is a sum of H products. How large does such a sum get? Think first, then let the machine toss coins.

# %% [markdown] task="score_spread"
# Query and key have H = 64 components with mean 0. The *spread* is the standard deviation of q·k. Predict it three times:
#
# 1. All components are independent, each with variance 1.
# 2. The same, but all components of query *and* key are multiplied by 2.
# 3. Each component has variance 1 again, but the 64 components of a query are one and the same number (a plain grey picture). So are those of a key. Query and key are independent of each other.
#
# Answer with three numbers, such as `spread = (10, 20, 30)`; 3 % off is near enough.
#
# <details><summary>Hint</summary>
#
# A product of two independent numbers of mean 0 has the product of their spreads. Then add up: for independent terms, add the *variances*. Equal terms make 64 times one of them.
#
# </details>

# %% exercise="score_spread"
spread = None  # your answer: three numbers
### BEGIN SOLUTION
spread = (8, 32, 64)  # √64; 2·2 times that; 64 equal products, nothing cancels
### END SOLUTION

# %% try="score_spread"
for name, number in zip(("independent", "twice as wide", "all alike"), spread, strict=True):
    print(f"{name:13} spread {number:4g}, so the variance is {number**2:g}")

# %% check="score_spread"
check("score_spread", spread)

# %%
q, k = rng.choice([-1.0, 1.0], (2, 20_000, 64))  # coins: mean 0, variance 1
grey_q, grey_k = np.repeat(rng.choice([-1.0, 1.0], (2, 20_000, 1)), 64, axis=2)
for name, scores in {
    "independent": (q * k).sum(axis=1),
    "twice as wide": (2 * q * 2 * k).sum(axis=1),
    "all components alike": (grey_q * grey_k).sum(axis=1),
    "pixels of our digits": split.validation_images @ split.train_images.T,
}.items():
    after = np.var(scores / np.sqrt(64))
    print(f"{name:21s} spread of q·k: {scores.std():4.1f}   variance of q·k/√64: {after:5.2f}")

# %% [markdown]
# Stated exactly: for components that are *independent, with mean 0 and variance 1*, q·k has variance H and (q·k)/√H variance 1, for every H. Otherwise it need not be 1 (our pixels: 0.07). √H is a sensible start, not a best temperature.

# %% [markdown]
# What is bad about large scores? Queries and keys will be *learnt*, by small steps (lesson 03). A step teaches something only if the weights answer to it. So we take one: each query moves a tiny bit along the steepest way, from its keys' weighted mean towards its best key. The best weight's gain per unit of the way is the *slope*.

# %% [markdown]
# Below 0.01 we call the query **stuck**. That is bad where its best key is the wrong one: small steps will not correct it.
#
# For many queries at once there is `np.einsum("bh,bsh->bs", q, k)`: it multiplies where letters agree, and adds up over the letters that are gone behind the arrow, here h. So each query b meets its own keys s.

# %%
widths, found = (1, 4, 16, 64, 256, 1024), {"q·k": [], "q·k / √H": []}
for H in widths:
    q, k = rng.normal(size=(1000, H)), rng.normal(size=(1000, 10, H))  # ten keys for each query
    for name, factor in zip(found, (1, 1 / np.sqrt(H)), strict=True):
        scores = factor * np.einsum("bh,bsh->bs", q, k)
        weights = attention.softmax(scores)
        best = weights == weights.max(axis=-1, keepdims=True)
        way = np.einsum("bs,bsh->bh", best - weights, k)  # from the weighted mean to the best key
        step = 1e-4 * way / np.linalg.norm(way, axis=-1, keepdims=True)
        moved = attention.softmax(factor * np.einsum("bh,bsh->bs", q + step, k))
        found[name].append((scores.var(), weights[best], (moved[best] - weights[best]) / 1e-4))

# %%
raw, scaled = (
    list(zip(*rows, strict=True)) for rows in found.values()
)  # variances, weights, slopes
slope, decided = raw[2][-1], raw[1][-1]  # H = 1024, unscaled
steep, stuck = np.argsort(-slope)[:100], slope < 0.01
claim("at H = 1024, unscaled, more than half of the queries are stuck", stuck.mean() > 0.5)
claim("all of them give their best key more than 0.999", decided[stuck].min() > 0.999)
claim(
    "yet the mean slope is more than 3 times the scaled one",
    slope.mean() > 3 * scaled[2][-1].mean(),
)
claim("100 of the 1,000 queries hold two thirds of it", slope[steep].sum() > 2 / 3 * slope.sum())
claim("they are undecided: the best key has less than 0.9", decided[steep].max() < 0.9)

# %%
fig, axes = plot.figure(3)
rows = {
    "variance of a score": [raw[0], scaled[0]],
    "largest of ten weights": [[w.mean() for w in kind[1]] for kind in (raw, scaled)],
    "part of stuck queries": [[np.mean(x < 0.01) for x in kind[2]] for kind in (raw, scaled)],
}
for i, (name, curves) in enumerate(rows.items()):
    curves, place = dict(zip(found, curves, strict=True)), "upper left" if i == 0 else ""
    plot.lines(widths, curves, name, "width H", ax=axes[i], legend=place, ticks=(1, 16, 256))
axes[0].set_yscale("log")
axes[1].axhline(0.1, color="black", lw=0.8)
axes[1].text(1, 0.12, "all ten alike", fontsize="small")
fig.suptitle("Divided by √H, attention behaves alike at every width")
alt = "Three curves over the width, 1 to 1024. Without scaling the variance grows to 1,000, the largest of ten weights to 0.97 and the part of stuck queries to 0.63. With scaling all three stay nearly flat, the largest weight near 0.3."
plot.show(fig, alt)

# %% [markdown]
# Unscaled scores grow with H, and softmax *saturates*: nearly all weight goes to one key of ten. At H = 1024 more than half of the queries are stuck; they have decided, and a small step hardly moves them.
#
# The mean slope hides that: it is even larger than the scaled one, because a tenth of the queries, the undecided ones, hold most of it. (Lesson 03 works these gradients out.)

# %% [markdown]
# ## 5 · Masks
#
# Two masks come back in later lessons; True means *may attend*.
#
# - **Padding.** Texts of one batch are filled up to the same number of words. Nobody may look at the filling: `is_word`, `(B, S)`, becomes `(B, 1, S)`, one row for all queries.
# - **Causal.** Whoever predicts the next word must not see it: query t may attend to keys 0 … t, a triangle `(T, T)`. Word t itself is there already; word t + 1 is asked for.

# %% [markdown]
# Below, query and key are the same numbers. So a position scores itself |x|² and another one x·y, and most of the open diagonal is bright. Left, rows 3 and 4 are filling; their results are thrown away.

# %%
numbers = rng.standard_normal((1, 5, 8))  # five positions
padding = attention.padding_mask([3], 5)[0]  # item 0 of the batch: its first 3 of 5 are words
causal = attention.causal_mask(5)
fig, axes = plot.figure(2)
for ax, mask, name in ((axes[0], padding, "padding: 3 words of 5"), (axes[1], causal, "causal")):
    pool = attention.scaled_dot_product_attention
    weights = pool(query=numbers, key=numbers, value=numbers, mask=mask)[1][0]
    plot.attention_map(weights, range(5), range(5), name, mask=mask, ax=ax, bar=ax is axes[1])
fig.suptitle("Padding closes columns, the causal mask a triangle")
alt = "Two attention maps of five positions. Left the last two columns are hatched, right everything above the diagonal is; the open cells of each row sum to 1, and the open diagonal is bright."
plot.show(fig, alt)

# %% [markdown]
# Must the diagonal be the brightest? No: a long neighbour scores higher, as key B did in section 2. Many such tables, without a mask:

# %%
tables = rng.standard_normal((10_000, 5, 8))
scores = tables @ np.swapaxes(tables, -1, -2)  # (10000, 5, 5)
outshone = scores.argmax(axis=-1) != np.arange(5)  # rows where another key scores highest
print(
    f"rows that look elsewhere: {outshone.mean():.3f}, that is {outshone.sum(axis=-1).mean():.2f} a table"
)
claim("one table in five has such a row", abs(outshone.any(axis=-1).mean() - 0.2) < 0.02)

# %% [markdown] task="decoder_mask"
# A text generator needs both masks at once. Write `decoder_mask(is_word)`.
#
# - `is_word` is bool `(B, S)`: True where a word stands, False at the filling, which may stand anywhere.
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
# How do you know that a mask works? **A masked key must act like a deleted key.** Write the test: `mask_works(attend)` calls the function it gets as `attend(query=…, key=…, value=…, mask=…)`, and returns True if its mask is right, else False. It is tried on right functions (in one, the last digits depend on the number of keys) and on broken ones, where the mask is
#
# ignored · inverted · applied after the softmax · applied to the values · or sets scores to 0 · or to −10.
#
# Arrays are `(B, T, H)`, `(B, S, H)`, `(B, S, V)`, the mask `(B, T, S)` or None; the function returns `(context, weights)`. `mask_works(attention.scaled_dot_product_attention)` must be True.
#
# <details><summary>Hint</summary>
#
# e⁻¹⁰ is 0.00005. Beside values near 1 the leak is about as small as what `np.allclose` lets pass. Beside a value of a million it is plain.
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
def without_a_mask(query, key, value, mask=None):
    return attention.scaled_dot_product_attention(query=query, key=key, value=value)


print("the course's attention:", mask_works(attention.scaled_dot_product_attention))
print("one that ignores the mask:", mask_works(without_a_mask))

# %% check="mask_test"
check("mask_test", mask_works)

# %% [markdown]
# ## 6 · What the formula guarantees
#
# Some things hold whatever the numbers are. They make good tests, because they need no expected result:
#
# - Without a mask, another order of the keys (with their values) leaves the context as it is: attention knows no positions. With one, the mask's columns must move along.
# - Another order of the queries (and of the mask's rows) reorders the context in the same way.
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


# %% [markdown]
# A colleague pools a batch of padded texts with the next function; `is_word` is `(B, S)`, True at words. It passes its test.


# %%
def colleagues_pool(query, key, value, is_word):
    scores = np.einsum("bth,bsh->bts", query, key)
    scores = scores / np.sqrt(query.shape[1])
    return attention.attention_pooling(scores, value, mask=is_word)


names = ("query", "key", "value")
square = dict(zip(names, rng.normal(size=(3, 4, 4, 4)), strict=True))  # B = T = S = H = V = 4
is_word = np.tile([True, True, True, False], (4, 1))
got, _ = colleagues_pool(**square, is_word=is_word)
expected, _ = attention.scaled_dot_product_attention(**square, mask=is_word[0])
claim("the colleague's function passes its test", np.allclose(got, expected))


# %% [markdown] task="square_test"
# In the colleague's test all sizes are 4, and all items are padded alike.
#
# On real data it stops with an error or, worse, returns something wrong. **There are two faults.** Find them and write `pool_batch(query, key, value, is_word)`, which returns `(context, weights)` for any sizes. Each item has one word at least; the filling may stand in front, too. `attention` is yours to use.
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
ones_query, ones_key, ones_value = np.ones((2, 3, 4)), np.ones((2, 5, 4)), np.ones((2, 5, 6))
words_2_and_4 = np.array([[True, True, False, False, False], [True, True, True, True, False]])
print(pool_batch(ones_query, ones_key, ones_value, words_2_and_4)[1])  # rows of 1/2, rows of 1/4

# %% check="square_test"
check("square_test", pool_batch)

# %% [markdown]
# ## 7 · Reading digits with nothing to learn but τ
#
# Back to our dictionary. Values are one-hot labels: a 1 at the digit, nine zeros. So the context of a query holds the weight of every digit, that of all its keys together, and we read off the heaviest.
#
# First the dot product as it is, softmax(q·k/τ). The formula's τ is √64 = 8. A lower τ makes attention sharper. Does sharper read better? We count the keys that matter as 1/Σ(weight²): n equal weights give n.


# %%
def read(query, key, labels, temperature):
    """The digit whose keys have the most weight (T,), and the weights (T, S)."""
    scores = query @ key.T / temperature
    context, weights = attention.attention_pooling(scores, digits.one_hot(labels))
    return context.argmax(axis=-1), weights


for tau in (8, 2, 0.03):
    seen, sharp = read(split.validation_images, split.train_images, split.train_labels, tau)
    right, matter = np.mean(seen == split.validation_labels), np.mean(1 / (sharp**2).sum(axis=-1))
    print(f"τ = {tau:4}   right {right:.2f}   keys that matter to a query: {matter:.1f}")

# %%
drawn = sharp.mean(axis=0)  # the weight that a key draws from the mean query, τ = 0.03
order, length = np.argsort(-drawn), np.linalg.norm(split.train_images, axis=1)
hubs, shown = order[: len(order) // 100], [*order[:5], np.argsort(length)[len(length) // 2]]
claim("1 % of the keys draw more than a third of the weight", drawn[hubs].sum() > 1 / 3)
claim("they are long: all in the longest tenth", length[hubs].min() > np.quantile(length, 0.9))
liked = np.mean(sharp[:, hubs] > np.quantile(sharp, 0.75, axis=1, keepdims=True))
claim("in 85 of 100 pairs, query and hub, it is in the query's best quarter of keys", liked > 0.85)
claim("less than a quarter longer than the median", length[hubs].max() < 1.25 * np.median(length))
captions = [f"a {split.train_labels[s]}: {drawn[s]:.0%}\nlength {length[s]:.1f}" for s in shown]
captions[-1] = captions[-1].replace("a ", "ordinary ")
title = f"{len(hubs)} of {len(order)} keys draw {drawn[hubs].sum():.0%} of the weight; five of them"
fig = plot.pictures(split.train_images[shown].reshape(-1, 8, 8), captions, title, columns=6)
alt = "Five training pictures with much dark ink, each with 5 to 9 % of all weight, and a picture of median length that draws next to none."
plot.show(fig, alt)

# %% [markdown]
# Soft attention averages over hundreds of keys; sharp attention falls for these **hubs**: so much ink that their dot product is large with most queries. Key B of section 2, in the wild. They are less than a quarter longer than an ordinary key; a low τ makes much of that.

# %% [markdown] task="nearness"
# Two repairs: bring query and keys to length 1, or put the lost term back. The second is yours. Write `pool_by_nearness(query, key, value, temperature)` with lesson 01's kernel: the weight of a key is proportional to exp(−|q−k|²/2τ), where τ is `temperature`.
#
# - `query` is `(T, H)`, `key` `(S, H)`, `value` `(S, V)`. Return `(context, weights)`: `(T, V)`, `(T, S)`.
# - Numbers may be in the hundreds: no overflow. Everything in `attention` is yours to use.
# - One matrix product and section 2 are enough; an array of shape `(T, S, H)` would be 32 million numbers for the digits.
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
by_digit, _ = pool_by_nearness(split.validation_images, split.train_images, label_rows, 0.3)
print(f"right: {np.mean(by_digit.argmax(axis=-1) == split.validation_labels):.2f}")

# %% check="nearness"
check("nearness", pool_by_nearness)

# %% [markdown]
# Now the comparison, fairly: ten random splits; for each split and each kind of attention one of nine τ is chosen on the 300 validation pictures; the 497 test pictures are read with that τ and choose nothing. Beside them the plain nearest neighbour.


# %%
def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def with_length(query, key):
    """One more column, 1 for queries and -|k|²/2 for keys, makes nearness a dot product."""
    return np.c_[query, np.ones(len(query))], np.c_[key, -np.square(key).sum(axis=-1) / 2]


kinds = {
    "raw dot product": lambda query, key: (query, key),
    "unit length": lambda query, key: (unit(query), unit(key)),
    "Gaussian kernel": with_length,
}
temperatures = [0.003, 0.01, 0.03, 0.1, 0.3, 1, 2, 4, 8]

# %% measured
curves, best, tests = ({name: [] for name in kinds} for _ in range(3))
tests["nearest neighbour"], best["nearest neighbour"], differ = [], ["none"], []
for seed in settings.seeds(10):
    train, labels, validation, truth, test, answers = digits.load(seed)
    for name, prepare in kinds.items():
        pair = prepare(validation, train)
        seen = np.array([read(*pair, labels, tau)[0] for tau in temperatures])
        curves[name].append(np.mean(seen == truth, axis=-1))
        best[name].append(temperatures[np.argmax(curves[name][-1])])  # the sharpest of equals
        seen, _ = read(*prepare(test, train), labels, best[name][-1])
        tests[name].append(np.mean(seen == answers))
    seen, weights = read(*with_length(test, train), labels, temperatures[0])
    nearest = labels[weights.argmax(axis=-1)]  # the heaviest key is the nearest
    differ.append(np.sum(seen != nearest))
    tests["nearest neighbour"].append(np.mean(nearest == answers))

# %% measured
for name, right in tests.items():
    spread = f"{np.mean(right):.3f}, sd over splits {np.std(right):.3f}"
    print(f"{name:17s} test accuracy {spread}; τ chosen:", *np.unique(best[name]))
claim("at the lowest τ the kernel reads all as the nearest neighbour does", sum(differ) == 0)

# %%
mean = {name: np.mean(right) for name, right in tests.items()}
claim("raw dot product: below 0.92, at the best of nine τ", mean["raw dot product"] < 0.92)
ties = np.array([mean["unit length"], mean["Gaussian kernel"]]) - mean["nearest neighbour"]
claim("the others tie the nearest neighbour: within 0.01", np.abs(ties).max() < 0.01)
lowest = np.mean(np.array(best["unit length"] + best["Gaussian kernel"]) == temperatures[0])
claim("for these two, most often the lowest τ was taken", lowest > 0.5)
title = "The dot product at its best stays below the others at theirs"
names = {"ylabel": "right on validation data", "legend": "lower left", "runs": "splits"}
ax = plot.lines(temperatures, curves, title, "temperature τ", ticks=temperatures, **names)
ax.set(ylim=(0, 1.02), xlim=(0.002, 20))
ax.axvline(8, color="black", lw=1)
ax.text(8.6, 0.05, "√64")
alt = "Validation accuracy over temperature, mean and range of ten splits. Unit length and Gaussian kernel are near 0.98 at low temperatures; the raw dot product is near 0.73 there, peaks below 0.9 at τ = 2 and falls again. At τ = 8 the kernel and the dot product are near 0.7, unit length below 0.2."
plot.show(ax.figure, alt)

# %% [markdown]
# Nothing is fitted but τ; the 1,000 labelled pictures are the memory. Attention reads 98 digits of 100, *if* its score means nearness; the raw dot product, at its best, 88.
#
# The plain nearest neighbour does as well, and at the lowest τ the kernel *is* the nearest neighbour: no test picture is read differently. Of equally good τ the sharpest was taken, mostly the lowest of all: here, softness gains less than 0.01.

# %% [markdown]
# At τ = √64 all three read worse than at their best. (Unit keys score at most 1: weights are nearly equal there.) Below, two of them read at τ = 0.1, which is not the dot product's best. And a caution: the same people wrote training and test pictures. Strangers may be harder.

# %%
seen, _ = read(split.test_images, split.train_images, split.train_labels, 0.1)
first = np.argmax(seen != split.test_labels)  # the first picture that the raw dot product misreads
one, digit = split.test_images[[first]], split.test_labels[first]
shown, captions = [], []
for name in ("raw dot product", "Gaussian kernel"):
    weights = read(*kinds[name](one, split.train_images), split.train_labels, 0.1)[1][0]
    top = np.argsort(-weights)[:4]
    shown += [one[0], *split.train_images[top]]
    found = [f"a {split.train_labels[s]}: {weights[s]:.1%}" for s in top]
    captions += [f"query: a {digit}", *found]
title = f"At τ = 0.1 the dot product likes long keys, nearness finds other {digit}s"
rows = ["dot product", "nearness"]
fig = plot.pictures(np.reshape(shown, (-1, 8, 8)), captions, title, columns=5, rows=rows)
alt = "At τ = 0.1: one query, a 2, and the four keys that get most of its weight. By the dot product a dark 1 takes 99 %, another 1 and two 2s get the rest; by nearness all four are 2s, the first with 43 %."
plot.show(fig, alt)

# %% [markdown]
# Hubs got their name where nearness rules (Radovanović et al., "Hubs in Space"). There it can be the other way round: in many dimensions *short* keys, close to the middle of all, are near to everybody. Random numbers show it. Our digits, moved until their mean is 0, do not: their ten most asked keys are nearest hardly more often than chance has it.


# %%
def most_asked(query, key):
    """The 1 % of keys that are nearest to most queries: to how many, and how many keys are shorter."""
    asked, offered = with_length(query, key)
    count = np.bincount((asked @ offered.T).argmax(axis=-1), minlength=len(key))
    top, length = np.argsort(-count)[: len(key) // 100], np.linalg.norm(key, axis=-1)
    return count[top].sum() / len(query), np.mean(length[:, None] < length[top])


asked, middle = len(split.test_images), split.train_images.mean(axis=0)
pairs = {"random": (rng.normal(size=(asked, 64)), rng.normal(size=(1000, 64)))}
pairs["digits"] = split.test_images - middle, split.train_images - middle
luck = np.sort(rng.multinomial(asked, np.ones(1000) / 1000, 100))[:, -10:].sum(axis=1) / asked
print(
    f"by chance the 10 most asked of 1,000 keys are nearest to {luck.mean():.0%} of {asked} queries"
)
for name, pair in pairs.items():
    print(f"{name}: to {{:.0%}}, and {{:.0%}} of all keys are shorter".format(*most_asked(*pair)))

# %% [markdown]
# ## 8 · The same in Keras
#
# Keras has the same formula and names it differently. Its positional order is query, ***value***, key; we always pass names. It calls our weights "attention scores". `keras.layers.Attention` does **not** divide by √H unless you do.

# %% measured
query, key, value = (rng.normal(size=size) for size in ((2, 3, 4), (2, 5, 4), (2, 5, 6)))
mask = attention.padding_mask([3, 0], 5)  # item 1 has no word at all
ours, weights = attention.scaled_dot_product_attention(query=query, key=key, value=value, mask=mask)
inputs, masks = [query / np.sqrt(4), value, key], [None, mask[:, 0]]  # the value comes second
theirs = {}
if find_spec("keras") and find_spec("tensorflow"):
    with quiet():  # TensorFlow greets the machine on stderr while it loads
        import keras
    for kind in ("float32", "float64"):
        layer = keras.layers.Attention(dtype=kind)
        theirs[kind] = layer(inputs, mask=masks, return_attention_scores=True)
    context, scores = theirs["float32"]
    claim("item 0: Keras returns our context", np.allclose(context[0], ours[0], atol=1e-5))
    claim("its 'attention scores' are our weights", np.allclose(scores[0], weights[0], atol=1e-5))

# %% [markdown]
# And item 1, whose queries may see no key? We return zeros. Keras takes 10⁹ off the score of a closed key. In float32 numbers of that size are 64 apart: all scores become the same, the weights equal. In float64 the differences survive, and with them the weights: **as if there were no mask.**

# %% measured
claim("item 1: zeros here", (weights[1] == 0).all())
if theirs:
    no_mask = attention.scaled_dot_product_attention(query=query, key=key, value=value)[1]
    claim("equal weights in Keras, in float32", np.allclose(theirs["float32"][1][1], 1 / 5))
    claim(
        "in float64 those without a mask",
        np.allclose(theirs["float64"][1][1], no_mask[1], atol=1e-5),
    )
else:
    print("Keras is not installed here: nothing to compare with.")

# %% [markdown]
# ## What to remember
#
# - Attention is a soft look-up: `softmax(QKᵀ/√H)V`, softmax over the keys.
# - A dot product is nearness only for keys of one length; otherwise long keys can become hubs. The query's length is a temperature.
# - √H keeps the variance of a score near 1 for independent components of variance 1. The best temperature is another matter.
# - A masked key must act like a deleted one, and tests need axes of different sizes.
#
# | | |
# |---|---|
# | sources | Vaswani et al. 2017, "Attention Is All You Need"; Vinyals et al. 2016, "Matching Networks for One Shot Learning" (attention over labelled examples); Radovanović, Nanopoulos and Ivanović 2010, "Hubs in Space" (hubs of distances); Tsai et al. 2019, "Transformer Dissection" (attention as a kernel) |
# | data | Alpaydin and Kaynak 1998, UCI, CC BY 4.0, from scikit-learn |
# | in Keras | `keras.layers.Attention`, `keras.layers.MultiHeadAttention` |
# | in attnfuse | `attention.scaled_dot_product_attention`, `padding_mask`, `causal_mask` |
# | next | [03 · Gradients](03_attention_gradients.ipynb): how query and key are learnt |
