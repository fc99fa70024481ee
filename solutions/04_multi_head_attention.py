# ---
# jupyter:
#   attnfuse:
#     title: Multi-head attention and positions
#     sentence: Attention with several heads and a sense of place, put together by hand until it reads number words.
#     you_will: [split attention into heads and merge them without mixing up words, show what attention without positions cannot tell apart and repair it with turning vectors, set two heads by hand that read number words]
#     needs: [00_start_here, 01_attention_pooling, 02_scaled_dot_product]
#     minutes: 75
#     seconds: 8
#     keras: false
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% setup
from importlib.util import find_spec
from time import perf_counter

import numpy as np
from num2words import num2words

from attnfuse import attention, check, claim, hint, plot, quiet, quiz

rng = np.random.default_rng(0)

# %% [markdown]
# ## Warm-up: three questions on earlier lessons

# %% quiz="04-mixture"

# %% quiz="04-masked"

# %% quiz="04-scale"

# %% [markdown]
# ## 1 · Five words, four numbers
#
# Our example is reading: number words in, the number out. The next cell shows four numbers made of the same five words and a full stop.
#
# "Two" is worth 2, 2,000 or 200,000 in them: its noughts come from elsewhere. Is the **next** word "hundred"? Is there a **later** "thousand"?
#
# | in 203,000 | next "hundred" | later "thousand" | worth |
# |---|---|---|---|
# | two | 2 noughts | 3 noughts | 2 · 10⁵ |
# | three | – | 3 noughts | 3 · 10³ |
#
# So a reader has to fetch *two* things for each word. After that we check this rule on 2,000 random numbers.


# %%
def words(number):
    return [*num2words(number).replace("-", " ").replace(",", "").split(), "."]


for number in (203_000, 302_000, 200_003, 300_002):
    print(f"{number:7,}", *words(number))

# %%
small = [*range(20), *range(20, 100, 10)]
faces = {num2words(number): number for number in small}  # "three": 3, "forty": 40
numbers = rng.integers(1, 1_000_000, 2000)
text = np.array([(words(number) + [""] * 12)[:12] for number in numbers])  # (B, T), "" is padding
face = np.array([[faces.get(word, 0) for word in line] for line in text])
hundred, thousand = text == "hundred", text == "thousand"
next_hundred, later_thousand = np.zeros((2, *text.shape), bool)
next_hundred[:, :-1] = hundred[:, 1:]
later_thousand[:, :-1] = np.cumsum(thousand[:, ::-1], axis=1)[:, -2::-1] > 0  # from behind
noughts = 2 * next_hundred + 3 * later_thousand  # (B, T)
read = (face * 10.0**noughts).sum(axis=1)
claim("the rule reads all 2,000 numbers", np.array_equal(read, numbers))

# %% [markdown]
# ## 2 · One head, one mixture
#
# Let attention fetch the noughts: "hundred" has the value 2, "thousand" 3, every other word 0. In 203,000, "two" finds *both*. One **head**, that is one softmax with scores of its own, hands out **one** unit of attention, so they share it:
#
# | | for "two" | for "three" |
# |---|---|---|
# | one head | ½ · 2 + ½ · 3 = 2.5 | 1 · 3 = 3 |
# | first head, next "hundred" | 1 · 2 = 2 | finds nothing, rests on ".": 0 |
# | second head, later "thousand" | 1 · 3 = 3 | 1 · 3 = 3 |
# | both heads added | **5** | **3** |

# %%
line = words(203_000)
value = np.array([0.0, 2, 0, 0, 3, 0])[:, None]
both = 10.0 * np.array([[0, 1, 0, 0, 1, 0], [0, 0, 0, 0, 1, 0]])  # scores of "two" and "three"
first = 10.0 * np.array([[0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]])
second = 10.0 * np.array([[0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 1, 0]])
one, near, far = (attention.attention_pooling(s, value)[0] for s in (both, first, second))
print("one head:  two, three →", one[:, 0].round(2))
print("two heads: two, three →", (near + far)[:, 0].round(2))

# %% [markdown]
# Doubling 2.5 would make 5, but then "three" gets 6. Is one head hopeless? It could *whisper*: if most attention rests on the full stop, two finds hardly compete, and a later layer amplifies what arrives.
#
# By hand. The full stop has 1 part. We choose a find's parts so that *one* find leaves the share r at rest; *two* finds then compete with each other and with the stop:
#
# | at rest, r | parts of a find, 1/r − 1 | one find gets | each of two gets | two together |
# |---|---|---|---|---|
# | 0.1 | 9 | 9/10 = .90 | 9/19 = .47 | .95 |
# | 0.5 | 1 | 1/2 = .50 | 1/3 = .33 | .67 |
# | 0.9 | 1/9 | .10 | .091 | .18 |
#
# Speaking up, two finds get half each of what one gets. Whispering, nearly as much each.

# %% [markdown]
# We measure it. Each word sees only its finds and the full stop. The finds arrive in two columns, and a *read-out* (a factor for each, and a constant) makes noughts of them. Least squares fits it on 1,000 numbers; the others test it, with and without noise (spread 0.05).


# %%
def share_read(context, noise):
    """Noughts from the context by the best linear read-out; the share of test numbers read right."""
    context = context + noise * np.random.default_rng(1).normal(size=context.shape)
    inputs = np.concatenate([context, np.ones((*text.shape, 1))], axis=-1)
    half = np.arange(len(text)) < len(text) // 2
    known = half[:, None] & (face > 0)
    read_out = np.linalg.lstsq(inputs[known], noughts[known], rcond=None)[0]
    guess = (face * 10.0 ** (inputs @ read_out).round()).sum(axis=1)
    return np.mean((guess == numbers)[~half])


found = np.stack([next_hundred, later_thousand, np.ones(text.shape, bool)], axis=-1)  # (B, T, 3)
fetch = np.array([[2.0, 0], [0, 3], [0, 0]])  # what "hundred", "thousand" and "." hand over
sees = np.array([[True, False, True], [False, True, True]])  # what each of two heads looks for
rest = np.array([0.001, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98])  # share left for the stop

# %%
print("at rest   one find   each of two")
left = np.array([0.1, 0.5, 0.9])
parts = np.stack([1 / left - 1, 1 / left - 1, np.ones(3)], axis=-1)  # two finds and the stop
alone, each = (attention.softmax(np.log(parts), [[m, True, True]])[:, 1] for m in (False, True))
for row in zip(left, alone, each, strict=True):
    print("{:7}   {:8.3f}   {:11.3f}".format(*row))
claim("one find gets 1 - r", np.allclose(alone, 1 - left))
claim("each of two gets .47, .33, .091", np.allclose(each, [9 / 19, 1 / 3, 1 / 11]))

# %%
curves = {"one head": [], "one head, noisy": [], "two heads, noisy": []}
for left in rest:
    scores = np.broadcast_to(np.log([1 / left - 1, 1 / left - 1, 1]), found.shape)
    mixed = attention.softmax(scores, found) @ fetch
    apart = sum(attention.softmax(scores, found & only) @ fetch for only in sees)
    for name, context, noise in zip(curves, (mixed, mixed, apart), (0, 0.05, 0.05), strict=True):
        curves[name].append(share_read(context, noise))
clean, noisy, two = curves.values()
claim("one head: few up to 0.5, all from 0.8", max(clean[:4]) < 0.05 and min(clean[5:]) == 1)
claim("one head, noisy: at its best between .1 and .2", 0.1 < max(noisy) < 0.2)
claim("two, noisy: nearly all up to 0.5, then few", min(two[:4]) > 0.95 and max(two[7:]) < 0.05)
ax = plot.lines(rest, curves, "Read out linearly, one head must whisper, two may speak up", "")
ax.set(xlabel="share of attention at rest when one thing is found", ylabel="numbers read right")
alt = "Share of numbers read right over the share of attention at rest. One head is near 0 up to 0.5 and at 1 from 0.8 on; with noise it never passes 0.2. Two heads with noise stay near 1 up to 0.5, then fall to 0."
plot.show(ax.figure, alt=alt)

# %% [markdown]
# Left, a decisive head reads almost no number. Once 0.8 of its attention rests, it reads all of them, but with noise hardly one in five at its best. Two noisy heads read nearly all while they speak up; where they whisper, noise drowns them, too.

# %% [markdown]
# So "one head cannot" would be too strong. What is certain: all finds of one head share one unit. A second head has a second unit to spend.

# %% [markdown]
# ## 3 · Split, attend, merge
#
# A **projection** is a matrix product: $xW^Q$ makes queries of the words x, $xW^K$ keys, $xW^V$ values. All three from the same words: that is **self-attention**.

# %% [markdown]
# Each head has its own projections; side by side in one matrix they give the width D = N·H. **Split** it into N heads of width H, let each attend, **merge** the results, and mix them by an output projection:
#
# $$\text{head}_n = \text{attention}(xW^Q_n,\ xW^K_n,\ xW^V_n) \qquad \text{output} = [\text{head}_0 \ldots \text{head}_{N-1}]\,W^O$$
#
# Heads are an axis *before* the words, `(B, N, T, H)`: `@` sees one head at a time.

# %% [markdown] task="split_heads"
# Write `split(x, heads)`.
#
# - `x` is `(B, T, D)`: B texts, T words, D = N·H columns. `heads` is N, a divisor of D.
# - Return `(B, N, T, H)`: head n holds the columns n·H to (n+1)·H of every word.
# - With one head it only adds an axis of length 1.
# - The course's `attention.split_heads` is switched off in the check.
#
# By hand, for two words and D = 4: `[[0, 1, 2, 3], [4, 5, 6, 7]]` gives head 0 `[[0, 1], [4, 5]]` and head 1 `[[2, 3], [6, 7]]`.
#
# <details><summary>Hint</summary>
#
# Which numbers does `reshape` put next to each other? Cut the last axis first, then move axes.
#
# </details>


# %% exercise="split_heads"
def split(x, heads):
    """(B, T, D) → (B, N, T, H)."""
    ### BEGIN SOLUTION
    B, T, D = x.shape
    return x.reshape(B, T, heads, D // heads).swapaxes(1, 2)
    ### END SOLUTION


# %% try="split_heads"
counted = np.arange(8).reshape(1, 2, 4)  # one text, two words
print(split(counted, 2)[0])
print("merged again:", attention.merge_heads(split(counted, 2)).tolist())

# %% check="split_heads"
check("split_heads", split)

# %% [markdown]
# ## 4 · What do heads cost?
#
# The first Transformer had width 512 and eight heads of width 64 (Vaswani et al. 2017). Is that eight times the work? Four things to count: the three projections, the scores, the mixtures, the output projection.

# %% [markdown] task="head_cost"
# A self-attention layer of width D = 512 reads 100 words (T = S = 100). You replace its one head of width 512 by eight heads of width 64. By which **factor** change
#
# 1. the number of parameters (the matrices $W^Q$, $W^K$, $W^V$, $W^O$, no biases),
# 2. the number of multiplications in these matrix products,
# 3. the number of attention weights, that is, of entries after the softmax?
#
# Answer with three numbers, such as `factors = (2, 2, 0.5)`.

# %% exercise="head_cost"
factors = None  # your answer: three numbers
### BEGIN SOLUTION
factors = (1, 1, 8)  # the width is shared; each head has a table of weights of its own
### END SOLUTION

# %% try="head_cost"
for name, factor in zip(("parameters", "multiplications", "weights"), factors, strict=True):
    print(f"you expect {factor:g} times as many {name}")

# %% check="head_cost"
check("head_cost", factors)

# %%
D, T = 512, 100
print("heads  width  parameters  multiplications  weights  rank of a head's scores")
for N in (1, 8, 64):
    H = D // N
    parameters = N * 3 * D * H + D * D
    products = N * (3 * T * D * H + T * H * T + T * T * H) + T * D * D
    q, k = rng.normal(size=(2, T, H))
    rank = np.linalg.matrix_rank(q @ k.T)
    print(f"{N:5} {H:6} {parameters:11,} {products:16,} {N * T * T:8,} {rank:7}")

# %% [markdown]
# N heads of width D/N have the parameters and the multiplications of one head. They have N tables of weights instead of one, with the exponentials and the memory.
#
# One price is hidden: a head's scores are products of rows of width H, so their table has at most **rank H** (H independent rows). Very narrow heads can express fewer patterns (Bhojanapalli et al. 2020).

# %% [markdown]
# ## 5 · All heads at once, and a bug
#
# Multi-head attention, as a colleague wrote it. All inputs come projected; $W^O$ is left to the caller. It passes its test, and that test has one head and one text.


# %%
def colleagues_heads(query, key, value, heads, mask=None):
    q, k, v = (attention.split_heads(x, heads) for x in (query, key, value))
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(query.shape[-1])  # (B, N, T, S)
    context, weights = attention.attention_pooling(scores, v, mask=mask)
    return context.reshape(*query.shape[:2], -1), weights


names = ("query", "key", "value")
single = dict(zip(names, rng.normal(size=(3, 1, 4, 6)), strict=True))
single["mask"] = attention.causal_mask(4)[None]
got, _ = colleagues_heads(**single, heads=1)
expected, _ = attention.scaled_dot_product_attention(**single)
claim("the colleague's function passes its test", np.allclose(got, expected))

# %%
for B, heads, masked in ((2, 3, False), (2, 3, True), (3, 3, True), (1, 3, True)):
    arrays = dict(zip(names, np.ones((3, B, 4, 6)), strict=True))
    arrays["mask"] = np.ones((B, 4, 4), bool) if masked else None
    try:
        said = f"context {colleagues_heads(**arrays, heads=heads)[0].shape}"
    except ValueError as error:
        said = f"{type(error).__name__}"
    print(f"{B} text{'s' * (B > 1)}, {heads} heads, {'a mask' if masked else 'no mask'}: {said}")

# %% [markdown] task="many_heads"
# With several heads, or several texts and a mask, the function above is wrong, and, as you see, it says so only where a mask meets another number of texts than heads (and not one text). **There are three faults.** Find them and write `many_heads(query, key, value, heads, mask=None)`.
#
# - `query` is `(B, T, N·H)`, `key` `(B, S, N·H)`, `value` `(B, S, N·V)`; `heads` is N.
# - `mask` is None or bool `(B, T, S)`: the same for all heads of an item.
# - Return `(context, weights)`: `(B, T, N·V)`, each head's V columns side by side, and `(B, N, T, S)`.
# - A query that may see no key gets zeros. Scores may be in the thousands.
#
# Of the course's functions only `multi_head_attention` is switched off in the check; `split_heads`, `merge_heads`, `attention_pooling` and `scaled_dot_product_attention` from `attention` are yours to use.
#
# <details><summary>Hint</summary>
#
# Write down the shape of every array for B=2, N=3, T=4, S=5, H=6. Which lines are right only because an axis has length 1, or because N·H equals H?
#
# </details>


# %% exercise="many_heads"
def many_heads(query, key, value, heads, mask=None):
    """Multi-head attention: returns (context (B, T, N·V), weights (B, N, T, S))."""
    ### BEGIN SOLUTION
    asked, offered, sent = [attention.split_heads(x, heads) for x in (query, key, value)]
    products = asked @ np.swapaxes(offered, -1, -2) / np.sqrt(asked.shape[-1])  # √H
    for_all_heads = None if mask is None else mask[:, None]  # (B, 1, T, S)
    mixed, weights = attention.attention_pooling(products, sent, mask=for_all_heads)
    return attention.merge_heads(mixed), weights  # (B, N, T, V) → (B, T, N·V)
    ### END SOLUTION


# %% try="many_heads"
trial = np.random.default_rng(1)
given = dict(zip(names, trial.normal(size=(3, 2, 4, 6)), strict=True))
given["mask"] = trial.random((2, 4, 4)) < 0.7  # two texts of four words, two heads
right, _ = attention.multi_head_attention(**given, heads=2)
for name, function in {"colleague's": colleagues_heads, "yours": many_heads}.items():
    difference = np.abs(function(**given, heads=2)[0] - right).max()
    print(f"{name:12s} largest difference from the course's version: {difference:.2f}")

# %% check="many_heads"
check("many_heads", many_heads)

# %% [markdown]
# ## 6 · Attention does not know where words stand
#
# Lesson 02 showed it: another order of the keys changes nothing, another order of the queries only reorders the rows. For reading, that hurts.
#
# Give each word a random vector and let the words of our four numbers attend to each other, with three heads and random projections. What does "two" learn about its sentence?


# %%
def project(x, matrices):
    """Query, key and value of the words x."""
    return {name: x @ matrix for name, matrix in zip(names, matrices, strict=True)}


vocabulary = [*faces, "hundred", "thousand", "and", "."]
vectors = {word: rng.normal(size=12) for word in vocabulary}
projections = rng.normal(size=(3, 12, 12)) / np.sqrt(12)
learned = []
for number in (203_000, 302_000, 200_003, 300_002):
    x = np.array([vectors[word] for word in words(number)])
    context, _ = attention.multi_head_attention(**project(x, projections), heads=3)
    learned.append(context[words(number).index("two")])
    print(f"{number:7,}: 'two' gets", learned[-1][:4].round(3), "…")
claim("the same in all four", np.allclose(learned, learned[0]))

# %% [markdown]
# The same numbers, whether "two" means 2, 2,000 or 200,000. Whatever attention layers follow: without positions (and without a causal mask, which betrays the order, too), a reader sees only *which* words there are, and how often.
#
# How bad is that? It can be right for at most **one** number out of each group with the same words. So let us count the groups among all numbers below one million.

# %%
ticket = {word: int(rng.integers(2**50)) for word in vocabulary}  # the sum stands for the group
below = np.array([sum(ticket[word] for word in words(number)[:-1]) for number in range(1000)])
below[0] = 0  # the "zero" of 200,000 is not spoken
front, back = np.divmod(np.arange(1, 1_000_000), 1000)
group = below[front] + below[back] + (front > 0) * ticket["thousand"]
group += (front > 0) * (back > 0) * (back < 100) * ticket["and"]  # one thousand *and* five
spelled = [sum(ticket[word] for word in words(number)[:-1]) for number in numbers]
claim("that is how num2words spells our 2,000 numbers", np.array_equal(group[numbers - 1], spelled))
_, sizes = np.unique(group, return_counts=True)
print(f"{len(group):,} numbers, {len(sizes):,} groups, the largest of {sizes.max()}")
print(f"a reader without positions is right for at most {len(sizes) / len(group):.1%}")

# %% [markdown]
# ## 7 · Clock hands
#
# Nine numbers in a hundred, at best: a word has to say where it stands. How can a vector do that? Take the hand of a clock that turns a quarter from word to word, clockwise, (sin, cos):
#
# | place | 0 | 1 | 2 | 3 | 4 |
# |---|---|---|---|---|---|
# | code | (0, 1) | (1, 0) | (0, −1) | (−1, 0) | (0, 1) |
# | · code of place 1 | 0 | **1** | 0 | −1 | 0 |
#
# The dot product of two places is the cosine of the angle between them, so only their *distance* counts. But place 4 looks like place 0. So take several hands, each slower than the one before. Place t gets D columns, two for each hand i = 0, 1, …: **sinusoidal positions**,
#
# $$p_{t,2i} = \sin(t/10000^{2i/D}) \qquad p_{t,2i+1} = \cos(t/10000^{2i/D})$$

# %%
codes, gaps = attention.sinusoidal_positions(200, 16), np.arange(-40, 41)
fig, (left, right) = plot.figure(2)
left.imshow(codes[:40], aspect="auto", cmap="viridis", vmin=-1, vmax=1, interpolation="nearest")
left.set_title("sixteen columns, eight hands", fontsize="medium")
left.set(xlabel="column", ylabel="place")
products = {f"place {t}": codes[t] @ codes[t + gaps].T for t in (50, 150)}
plot.lines(gaps, products, "the same from two places", "distance in words", "dot product", ax=right)
near, far = products.values()
claim("only the distance counts", np.allclose(near, far))
claim("most alike at 0", near[40] == near.max())
claim("6 and 19 words off are more alike than 13", near[46] > near[53] < near[59])
fig.suptitle("How alike two codes are depends on the distance alone")
alt = "Left, the codes of 40 places: the first columns alternate fast, the last hardly change. Right, the dot product with places at a distance of -40 to 40: highest at 0, with ripples, the same curve for place 50 and place 150."
plot.show(fig, alt=alt)

# %% [markdown]
# Left, fast hands change from row to row, slow ones hardly. Right, both curves are one: highest at distance 0, ripples from the fastest hand (round in 2π ≈ 6 words), wider waves from the second (20 words). One matrix moves *every* place five words ahead (the next code cell finds it): a projection can learn that.

# %% [markdown]
# The codes are **added** to the words before the projections. A score is then word · word + word · place + place · word + place · place; the middle two depend on absolute places (after projections the last one, too).
#
# Added to the *context* they come too late: "two" stands first in 203,000 and in 200,003, and the same code on the same context leaves the two alike.

# %%
ahead = np.linalg.lstsq(codes[:100], codes[5:105], rcond=None)[0]  # (16, 16), from places 0 to 99
claim("one matrix moves any place 5 ahead", np.allclose(codes[100:195] @ ahead, codes[105:200]))
late, early = [], []
for number in (203_000, 200_003):
    x = np.array([vectors[word] for word in words(number)])
    code = attention.sinusoidal_positions(len(x), 12)
    context, _ = attention.multi_head_attention(**project(x, projections), heads=3)
    late.append(context[0] + code[0])
    context, _ = attention.multi_head_attention(**project(x + code, projections), heads=3)
    early.append(context[0])
claim("codes added to the context: 'two' is the same in both", np.allclose(*late))
claim("codes added to the words: it is not", np.abs(early[0] - early[1]).max() > 0.1)

# %% [markdown]
# ## 8 · Turn instead of add
#
# **Rotary** positions make the query and the key themselves the hands. Each pair of their numbers is one hand and turns by the angle of its place; hands have the speeds of section 7. By hand: a quarter turn per word, counter-clockwise this time, which makes (−b, a) of (a, b). The query is (1, 0), the key (0, 1):
#
# | places | distance | query | key | product |
# |---|---|---|---|---|
# | 1 and 2 | 1 | (0, 1) | (0, −1) | **−1** |
# | 2 and 3 | 1 | (−1, 0) | (1, 0) | **−1** |
# | 1 and 3 | 2 | (0, 1) | (1, 0) | 0 |

# %% [markdown]
# $R_t$ turns by place t. Only the distance counts: $R_t q \cdot R_s k = q \cdot R_{s-t}\, k$. Values are never turned: they are cargo.

# %%
q, k = rng.normal(size=(2, 16))
gaps, added, turned = np.arange(-10, 11), {}, {}
for t in (20, 40, 60):
    added[f"query at {t}"] = (k + codes[t + gaps]) @ (q + codes[t])
    keys = attention.rotary(np.tile(k, (21, 1)), t + gaps)
    turned[f"query at {t}"] = keys @ attention.rotary(q[None], [t])[0]
fig, axes = plot.figure(2, sharey=True)
for ax, table, name in zip(axes, (added, turned), ("codes added", "turned"), strict=True):
    plot.lines(gaps, table, name, "distance to the key", "score", ax=ax, legend="")
    ax.legend(loc="upper left", fontsize="x-small")
axes[0].set_ylim(-5, 14)
fig.suptitle("Turned, the same words at the same distance score the same")
spread = [np.ptp(list(table.values()), axis=0).max() for table in (added, turned)]
claim("the curves differ when codes are added, and only then", spread[0] > 0.5 > 1e-9 > spread[1])
plot.show(fig, alt="Scores over the distance: three curves when codes are added, one when turned.")

# %% [markdown]
# The same query vector and key vector, at three places. Left, with codes added, the curves differ by place, although the distance is the same. Right, turned, the three curves lie on one another.

# %% [markdown] task="rotary_heads"
# Put it together. Write `rotary_heads(query, key, value, heads)`: multi-head attention whose heads know the places.
#
# - `query` is `(B, T, N·H)`, `key` `(B, S, N·H)`, `value` `(B, S, N·V)`, all projected. H is even; scores may be in the thousands.
# - In *every head*, the pairs of query and key are turned by their place, 0, 1, 2, …
# - Return `(context, weights)`: `(B, T, N·V)` and `(B, N, T, S)`.
#
# `attention.rotary(x)` turns the rows of `(..., T, H)`, the first row by place 0. `split_heads`, `merge_heads` and `scaled_dot_product_attention` from `attention` are yours to use, too; all take further axes in front. `multi_head_attention` is switched off in the check.
#
# <details><summary>Hint</summary>
#
# What to turn, and before or after the split? Each head should have fast and slow hands.
#
# </details>


# %% exercise="rotary_heads"
def rotary_heads(query, key, value, heads):
    """Multi-head attention with rotary positions: returns (context, weights)."""
    ### BEGIN SOLUTION
    query, key, value = (attention.split_heads(each, heads) for each in (query, key, value))
    query, key = attention.rotary(query), attention.rotary(key)  # not the value
    context, weights = attention.scaled_dot_product_attention(query, key, value)
    return attention.merge_heads(context), weights
    ### END SOLUTION


# %% try="rotary_heads"
seen = []
for number in (203_000, 302_000, 200_003, 300_002):  # as in section 6, now with positions
    x = np.array([[vectors[word] for word in words(number)]])
    context, _ = rotary_heads(**project(x, projections), heads=3)
    seen.append(context[0, words(number).index("two"), :4].round(3))
    print(f"{number:7,}: 'two' gets", seen[-1], "…")
print("four different vectors:", len(np.unique(seen, axis=0)) == 4)

# %% check="rotary_heads"
check("rotary_heads", rotary_heads)

# %% [markdown]
# ## 9 · Two heads that read
#
# Now we set weights by hand. A word's vector is (1, "hundred"?, "thousand"?, "."?), 1 for yes. Each of our two heads has the width 8: four hands, the first with 1 radian a word, each next ten times slower. Two hands score the cosine of their angle, times both lengths.

# %% [markdown]
# - **First: next word.** Keys are alike; the query is turned one word ahead.
# - **Second: later "thousand".** Its key hangs a quarter turn back: the cosine becomes sin(distance/10). That is positive for a word up to 31 places *later*, negative up to 31 earlier; our texts have twelve words at most. Otherwise "." wins, on the slowest hand.

# %%
matrices = query_matrix, key_matrix, value_matrix = [np.zeros((4, size)) for size in (16, 16, 2)]
two_hands = np.array([[1.0, 0, 1, 0, 0, 0, 0, 0]])
key_matrix[0, :8] = two_hands  # first head: every word offers the same
query_matrix[0, :8] = 100 * attention.rotary(two_hands, [1])  # one ahead: 71; elsewhere: below 64
query_matrix[0, [10, 14]] = 1  # the second head asks with its second and fourth hand
key_matrix[2, 11] = -600  # "thousand", a quarter turn behind: 21 or more if later, else 0 or less
key_matrix[3, 14] = 30  # ".", the slowest hand: 11 from everywhere, so between the two
value_matrix[1, 0], value_matrix[2, 1] = 2, 3  # the noughts they bring: one column for each head
flags = np.stack([np.ones(text.shape), hundred, thousand, text == "."], axis=-1)  # (B, T, 4)
share, extra = {}, {"heads": 2, "mask": (text != "")[:, None]}  # nobody looks at padding
for rotate in (True, False):
    fetched, _ = attention.multi_head_attention(**project(flags, matrices), **extra, rotate=rotate)
    share[rotate] = np.mean((face * 10 ** fetched.sum(axis=-1).round()).sum(axis=1) == numbers)
    print(f"positions: {rotate!s:5}  numbers read right: {share[rotate]:.1%}")
claim("all with positions, next to none without", share[True] == 1 and share[False] < 0.01)

# %%
x = np.array([[1, word == "hundred", word == "thousand", word == "."] for word in line])
context, weights = attention.multi_head_attention(**project(x, matrices), heads=2, rotate=True)
claim("noughts for 'two' and 'three': 5 and 3", context.sum(-1).round()[[0, 3]].tolist() == [5, 3])
fig, axes = plot.figure(2, size=(7, 3), sharey=True)
panels = "first: the next word", "second: a later 'thousand'"
for ax, table, name in zip(axes, weights, panels, strict=True):
    plot.attention_map(table, line, line, name, ax=ax, bar=ax is axes[1])
    ax.set_xticks(range(6), line, rotation=40, ha="right", rotation_mode="anchor")
axes[1].set_ylabel("")
fig.suptitle("One head looks one word on, the other for a later 'thousand'")
plot.show(
    fig,
    alt="Two attention maps of 'two hundred and three thousand .'. In the first head each word looks at the word after it, the full stop at the first word; in the second the four words before 'thousand' look at 'thousand', the last two at the full stop.",
)

# %% [markdown]
# Left, each word looks at the next; right, four look at "thousand", two rest. (The full stop has no next: the fast hand, once round, leads it to "two". Nothing is read there.) All 2,000 numbers come out right, without positions next to none. Nobody trained this: *such weights exist*.

# %% [markdown] task="set_head"
# Set a head yourself. Every word offers the same key, `[1, 0, 1, 0, 0, 0, 0, 0]`: its first two hands. Query and key are turned by their places, and scores are divided by √8.
#
# Write `look(steps)`: the query of a head in which every word attends to the word `steps` places further on, for −3 to 3 steps (negative: earlier; 0: itself).
#
# - Return eight numbers, the same for every word, not turned by any place yet.
# - In a text of up to fifty words the right word gets a weight above .9, wherever there is one.
#
# `attention.rotary(x, positions)` turns the rows of x, `(T, 8)`, by any places, also by negative ones.
#
# <details><summary>Hint</summary>
#
# The first head above asks one word ahead. How long is its query, and why?
#
# </details>


# %% exercise="set_head"
def look(steps):
    """A query of eight numbers that finds the word `steps` places further on."""
    ### BEGIN SOLUTION
    # long: the nearest rival is six words off, where the first hand is nearly round
    return 200 * attention.rotary(np.array([[1.0, 0, 1, 0, 0, 0, 0, 0]]), [steps])[0]
    ### END SOLUTION


# %% try="set_head"
alike = np.tile([1.0, 0, 1, 0, 0, 0, 0, 0], (12, 1))
fig, axes = plot.figure(3, size=(7, 2.6), sharey=True)
for ax, steps in zip(axes, (-1, 0, 2), strict=True):
    asking = np.tile(look(steps), (12, 1))
    _, table = attention.multi_head_attention(asking, alike, alike, heads=1, rotate=True)
    plot.attention_map(table[0], [], [], f"steps = {steps}", ax=ax, bar=ax is axes[2])
    ax.set(xticks=range(0, 12, 4), yticks=range(0, 12, 4))
fig.suptitle("Each word looks as many places on as you told it, where there is one")
plot.show(fig, alt="Three maps of twelve words: what your query attends to for -1, 0 and 2 steps.")

# %% check="set_head"
check("set_head", look)

# %% [markdown]
# Trained models have similar heads: in BERT some look at the next word, and many rest on separators, probably when they find nothing (Clark et al. 2019).

# %% [markdown] task="rotate"
# Write the turning yourself: `turn(x, positions)`.
#
# - `x` is `(B, T, H)`, H even; `positions` is `(T,)`, any numbers, also negative ones and fractions.
# - The pair of columns (2i, 2i+1) is turned by the angle φ = position / 10000^(2i/H): (a, b) becomes (a cos φ − b sin φ, a sin φ + b cos φ).
# - Return `(B, T, H)`; do not change `x`. The course's `attention.rotary` is switched off in the check.
#
# <details><summary>Hint</summary>
#
# `x[..., ::2]` takes the first of each pair. Compute both new halves before you write either.
#
# </details>


# %% exercise="rotate"
def turn(x, positions):
    """Turn each pair of neighbouring columns by its place's angle: (B, T, H) → (B, T, H)."""
    ### BEGIN SOLUTION
    H = x.shape[-1]
    angles = positions[:, None] / 10_000 ** (np.arange(0, H, 2) / H)  # (T, H/2)
    a, b = x[..., ::2], x[..., 1::2]
    result = np.empty(x.shape)
    result[..., ::2] = a * np.cos(angles) - b * np.sin(angles)
    result[..., 1::2] = a * np.sin(angles) + b * np.cos(angles)
    return result
    ### END SOLUTION


# %% try="rotate"
quarter = np.array([[[1.0, 0], [0, 1]]])
print(turn(quarter, np.array([np.pi / 2, np.pi / 2])).round(2) + 0.0)  # (0, 1) and (-1, 0)

# %% check="rotate"
check("rotate", turn)

# %% [markdown]
# ## 10 · Other ways to score
#
# T queries and S keys of width D; A hidden units, as in lesson 01's attention network.
#
# | score | parameters | multiplications | when |
# |---|---|---|---|
# | dot product q·k | 0 | TSD | equal widths; one matrix product |
# | bilinear qᵀWk | D² | TD² + TSD | widths differ, or "alike" is not what you look for |
# | additive u·tanh(W₁q + W₂k) | 2DA + A | (T+S)DA + TSA, and TSA tanh | a score that bends; needs T×S×A numbers of memory |
#
# By hand: query 2, keys 1, 2, 3. Which score finds the key that is *equal*? q·k prefers 3, and q·w·k only rises or only falls with k: it prefers 3 or 1 (or none), whatever w is.
#
# An additive score can do it with two hidden units: tanh(2(q−k)+1) − tanh(2(q−k)−1) is a hill over q = k. (For the +1 and −1 the query brings a 1 along, in a second column.)

# %%
asked, listed = np.array([[2.0, 1]]), np.array([[1.0], [2], [3]])  # the 1 serves as a bias
hill = np.array([[2.0, 2], [1, -1]]), np.array([[-2.0, -2]]), np.array([1.0, -1])
scores = attention.additive_scores(asked, listed, *hill)[0]
print("dot product:", (asked[:, :1] @ listed.T)[0], "additive:", scores.round(2))
claim("the additive score finds the equal key", scores.argmax() == 1)
found = {int((2 * w * listed[:, 0]).argmax()) for w in (-2, -0.1, 0.1, 2)}
claim("q·w·k finds the first or the last, never the equal one", found == {0, 2})

# %% measured
q, k, W = rng.normal(size=(3, 256, 256))
W_query, W_key = W[:, :64], W[:, 64:128]
bilinear = attention.bilinear_scores(q, k, W_query @ W_key.T)
claim("bilinear: projected dot product", np.allclose(bilinear, (q @ W_query) @ (k @ W_key).T))
start = perf_counter()
attention.bilinear_scores(q, k, W)
middle = perf_counter()
attention.additive_scores(q, k, W_query, W_key, W[0, :64])
times = 1e3 * np.diff([start, middle, perf_counter()])
print("256 queries and keys: bilinear {:.0f} ms, additive {:.0f} ms".format(*times))

# %% [markdown]
# A bilinear score *is* a dot product after projections ($W = W_Q W_K^\top$), so heads get by with dot products. Additive scores bend, and took longer here although they multiply less (A = 64): each of T×S×A numbers is written, bent and read, in no matrix product. That both do equally well at small widths, and that dot products lag at large ones unless divided by √d, Vaswani et al. (2017) report from Britz et al. (2017), who trained translators with either.

# %% [markdown]
# ## 11 · The same in Keras
#
# `keras.layers.MultiHeadAttention` holds its projections as (D, N, H): the split is built in. Reshaped, they fit our function. Item 1 may see nothing: asked for its weights, the layer shows zeros. (Not asked, it does something else: lesson 05.)

# %% measured
# Where Keras is not installed, this prints nothing.
if find_spec("keras") and find_spec("tensorflow"):
    with quiet():  # TensorFlow greets the machine on stderr while it loads
        import keras
    x, mask = rng.normal(size=(2, 5, 12)), attention.padding_mask([3, 0], 5)
    layer = keras.layers.MultiHeadAttention(num_heads=3, key_dim=4)
    layer.build(x.shape, x.shape)
    layer.set_weights([rng.normal(size=w.shape) / 3 for w in layer.get_weights()])
    theirs, shares = layer(x, x, attention_mask=mask, return_attention_scores=True)
    W_Q, b_Q, W_K, b_K, W_V, b_V, W_O, b_O = [w.reshape(-1, 12) for w in layer.get_weights()]
    inputs = dict(zip(names, (x @ W_Q + b_Q, x @ W_K + b_K, x @ W_V + b_V), strict=True))
    context, weights = attention.multi_head_attention(**inputs, heads=3, mask=mask)
    print(f"largest difference: {np.abs(context @ W_O + b_O - theirs).max():.0e}")
    claim("Keras returns our output", np.allclose(context @ W_O + b_O, theirs, atol=1e-4))
    claim("and our weights, head by head", np.allclose(weights, shares, atol=1e-5))
    claim("in item 1 all weights are zero in both", not weights[1].any() and not np.any(shares[1]))

# %% [markdown]
# ## What to remember
#
# - One softmax gives one mixture. Each head has a unit of attention of its own. N heads of width D/N have the parameters and products of one of width D, and N times its weights.
# - Split the last axis, then swap; swap back, then merge. Divide by √H.
# - Without positions attention sees a bag of words. Codes are added to the words; rotary ones turn query and key, never the value.
# - A test with one head proves nothing about several.
#
# | | |
# |---|---|
# | sources | Vaswani et al. 2017, "Attention Is All You Need"; Su et al. 2021, "RoFormer"; Luong et al. 2015 (bilinear); Bahdanau et al. 2015 (additive); Clark et al. 2019, "What Does BERT Look At?"; Bhojanapalli et al. 2020, "Low-Rank Bottleneck in Multi-head Attention Models"; Britz et al. 2017, "Massive Exploration of Neural Machine Translation Architectures" |
# | data | number words by num2words (LGPL) |
# | in Keras | `keras.layers.MultiHeadAttention`, `keras.layers.AdditiveAttention` |
# | in attnfuse | `attention.multi_head_attention`, `split_heads`, `merge_heads`, `sinusoidal_positions`, `rotary`, `additive_scores`, `bilinear_scores` |
# | next | [05 · Attention layers in Keras](05_keras_attention_layers.ipynb) |
