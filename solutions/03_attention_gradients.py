# ---
# jupyter:
#   attnfuse:
#     title: Gradients of attention
#     sentence: Work out by hand which way every query, key and value should move, check it to eight digits, and let attention learn to read digits with NumPy alone.
#     you_will: [derive the backward pass of softmax and of attention, "check a gradient, and see why a falling loss proves nothing", train an attention layer in NumPy and compare it fairly]
#     needs: [00_start_here, 01_attention_pooling, 02_scaled_dot_product]
#     minutes: 70
#     seconds: 33
#     keras: false
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% setup
import inspect
from importlib.util import find_spec

import numpy as np
from threadpoolctl import threadpool_limits

from attnfuse import attention, check, claim, gradients, hint, plot, quiet, quiz
from attnfuse.data import digits
from attnfuse.experiments import similarity
from attnfuse.gradients import numerical_gradient

pool = attention.scaled_dot_product_attention
threadpool_limits(1)  # one core will do for products this small
rng = np.random.default_rng(0)

# %% [markdown]
# ## Warm-up: three questions on earlier lessons

# %% quiz="03-calls"

# %% quiz="03-sharper"

# %% quiz="03-nobody"

# %% [markdown]
# ## 1 · A slope for every number
#
# In lesson 02 raw pixels made a poor score: long keys won, whatever they showed. Today the machine learns what "similar" means: two 64×64 matrices, 8,192 numbers. Which way should each of them move?
#
# The **backward pass** answers for all at once. We write `d_x` for the slope of the loss for every number of `x`: how fast the loss changes when it grows. `d_x` has the shape of `x`. We start at the end, at `d_context`, and walk to the front.

# %% [markdown]
# ## 2 · Through the softmax
#
# By hand first. Three keys have 2, 1 and 1 *parts* (their scores are ln 2, 0, 0), so the weights are ½, ¼, ¼. The first score rises by a tiny ε. Its parts grow by the factor e^ε ≈ 1+ε, to 2+2ε; all parts together are 4+2ε:
#
# | weight | before | after | slope |
# |---|---|---|---|
# | 1 | ½ | (2+2ε)/(4+2ε) ≈ ½ + ε/4 | **¼** = ½·(1−½) |
# | 2 | ¼ | 1/(4+2ε) ≈ ¼ − ε/8 | **−⅛** = −¼·½ |
# | 3 | ¼ | the same | **−⅛** = −¼·½ |
#
# The slopes sum to 0: what one key gains, the others lose.

# %% [markdown]
# The table of all slopes, every weight for every score, is the **Jacobian** of the softmax:
#
# $$\frac{\partial w_i}{\partial s_j} = w_i\,([i = j] - w_j)$$
#
# with $[i = j]$ equal to 1 on the diagonal, else 0. A common slip keeps the diagonal, $w(1-w)$, and forgets the rest.

# %%
scores = np.log([2.0, 1.0, 1.0])
weights = attention.softmax(scores)
table = [numerical_gradient(lambda s, i=i: attention.softmax(s)[i], scores) for i in range(3)]
print("row: a weight, column: the score that moves")
print(np.round(table, 4))
formula = np.diag(weights) - np.outer(weights, weights)
claim("w on the diagonal, minus w·w' everywhere", np.allclose(table, formula))

# %% [markdown] task="pull"
# The three keys carry the values 10, 20 and 40. With the weights ½, ¼, ¼ the context is 5 + 5 + 10 = 20.
#
# Nudge one score at a time. How fast does the *context* change? Predict three slopes: for score 1, score 2 and score 3.
#
# Answer such as `slope = (1, 2, 3)`, to 1 %.

# %% exercise="pull"
slope = None  # your answer: three numbers
### BEGIN SOLUTION
slope = (-5, 0, 5)  # weight × (value - context)
### END SOLUTION

# %% try="pull"
for s, moves in enumerate(slope, 1):
    print(f"you expect: score {s} up by 0.1 takes the context from 20 to {20 + 0.1 * moves:.2f}")

# %% check="pull"
check("pull", slope)

# %%
value = np.array([10.0, 20.0, 40.0])
pulls = numerical_gradient(lambda s: attention.softmax(s) @ value, scores)
print("slopes:", pulls.round(3) + 0.0)  # + 0.0 turns -0 into 0
print("value - context:", value - weights @ value, "  weights:", weights)

# %% [markdown]
# Key 3 pulls the context up, towards its 40. Key 1 pulls it down. Key 2 says what the context says already: its score does not matter at all.

# %% [markdown]
# So a slope is **weight × (value − context)**. In general, with `d_weights` as what each weight is worth to the loss (here 10, 20, 40):
#
# $$\texttt{d\_scores}_s = w_s\,\Big(\texttt{d\_weights}_s - \sum_i w_i\,\texttt{d\_weights}_i\Big)$$
#
# Why? Score $s$ moves every weight, and each weight moves the loss: multiply column $s$ of the Jacobian by `d_weights` and add up. The table itself is never built.

# %% [markdown] task="softmax_gradient"
# Write `softmax_gradient(weights, d_weights)`.
#
# - `weights` is `(T, S)`: each row came out of a softmax over S keys.
# - `d_weights` is `(T, S)`: the slope of the loss for each weight.
# - Return `d_scores`, `(T, S)`. Where a weight is 0 (a masked key, a query without keys), the slope is 0.
# - NumPy is all you need.
#
# <details><summary>Hint</summary>
#
# The sum belongs to its own row. What does `keepdims=True` do?
#
# </details>


# %% exercise="softmax_gradient"
def softmax_gradient(weights, d_weights):
    """Backward through a softmax over keys: d_scores (T, S)."""
    ### BEGIN SOLUTION
    row_mean = (weights * d_weights).sum(axis=-1, keepdims=True)
    return weights * (d_weights - row_mean)
    ### END SOLUTION


# %% try="softmax_gradient"
print(softmax_gradient(np.array([[0.5, 0.25, 0.25]]), np.array([[10.0, 20.0, 40.0]])))  # -5, 0, 5

# %% check="softmax_gradient"
check("softmax_gradient", softmax_gradient)

# %% [markdown]
# ## 3 · Through the whole layer
#
# By hand again, now with the query 1 and the keys ln 2, 0, 0, one number wide. The loss is the context itself, so `d_context` = 1. Forwards we go down, backwards up:
#
# | forwards | backwards |
# |---|---|
# | scores = query · key = (0.693, 0, 0) | `d_query` = −5·0.693 + 0 + 0 = −3.47, `d_key` = (−5, 0, 5)·1 |
# | weights = softmax = (½, ¼, ¼) | `d_scores` = (−5, 0, 5), as before |
# | context = ½·10 + ¼·20 + ¼·40 = 20 | `d_weights` = 1·(10, 20, 40), `d_value` = (½, ¼, ¼)·1 |
#
# Every product gives each factor the *other factor* as its slope. One query meets three keys, so its three slopes **add up**.

# %% [markdown]
# With many queries and keys, the same rule for matrices: if C = A·B, then `d_A = d_C · Bᵀ` and `d_B = Aᵀ · d_C`. You need not remember it: multiply `d_C` and the other factor, turned or not, in either order, and one of the eight products has the right shape, if all axes have different sizes. (A missing number such as 1/√H shows in no shape.)

# %%
A, B, d_C = np.ones((3, 4)), np.ones((4, 5)), np.ones((3, 5))
both = [(x, y) for x in (d_C, d_C.T) for y in (B, B.T)]
possible = [(x, y) for x, y in both + [pair[::-1] for pair in both] if x.shape[1] == len(y)]
fits = [(x.shape, y.shape) for x, y in possible if (x @ y).shape == A.shape]
print("of eight products, those that exist:", len(possible), " of the shape of A:", fits)
claim("only d_C · Bᵀ fits", fits == [(d_C.shape, B.T.shape)])

# %% [markdown]
# Three more rules:
#
# - A constant that the forward pass **divides** by, the backward pass divides by, too.
# - A number that is **used several times** adds up the slopes of all its uses.
# - A **mask** holds no numbers and gets no slope. A masked key has the weight 0, so its score has the slope 0.

# %% [markdown] task="attend_backward"
# Write `attend_backward(query, key, value, d_context, mask=None)` for `softmax(query keyᵀ / √H) value`.
#
# - `query` is `(B, T, H)`, `key` `(B, S, H)`, `value` `(B, S, V)`, `d_context` `(B, T, V)`.
# - `mask` is None or bool, broadcastable to `(B, T, S)`, so `(T, S)` or `(S,)` will do; True means *may attend*.
# - Return `(d_query, d_key, d_value)`, each of the shape of its input.
# - A query without any key adds nothing to any slope: zeros, never NaN.
#
# `attention.softmax(scores, mask)` and `gradients.softmax_gradient(weights, d_weights)` are yours to use.
#
# <details><summary>Hint</summary>
#
# Forwards: scores, weights, context. Backwards, one line each: `d_value`, `d_weights`, `d_scores`, `d_query`, `d_key`. Write the shape behind each line. `np.swapaxes(x, -1, -2)` turns the last two axes.
#
# </details>


# %% exercise="attend_backward"
def attend_backward(query, key, value, d_context, mask=None):
    """Slopes for query (B, T, H), key (B, S, H) and value (B, S, V)."""
    ### BEGIN SOLUTION
    root = np.sqrt(query.shape[-1])
    weights = attention.softmax(query @ np.swapaxes(key, -1, -2) / root, mask)
    d_value = np.swapaxes(weights, -1, -2) @ d_context  # (B, S, V)
    d_weights = d_context @ np.swapaxes(value, -1, -2)  # (B, T, S)
    d_scores = gradients.softmax_gradient(weights, d_weights) / root
    d_query = d_scores @ key  # (B, T, H)
    d_key = np.swapaxes(d_scores, -1, -2) @ query  # (B, S, H)
    return d_query, d_key, d_value
    ### END SOLUTION


# %% try="attend_backward"
three_keys, three_values = np.log([2.0, 1.0, 1.0]), np.array([10.0, 20.0, 40.0])
small = {name: x.reshape(1, -1, 1) for name, x in (("key", three_keys), ("value", three_values))}
small_slopes = attend_backward(query=np.ones((1, 1, 1)), **small, d_context=np.ones((1, 1, 1)))
for name, d_x in zip(("query", "key", "value"), small_slopes, strict=True):
    print(f"d_{name:6s}", d_x.ravel().round(2) + 0.0)

# %% check="attend_backward"
check("attend_backward", attend_backward)

# %% [markdown]
# ## 4 · The gradient check
#
# How does anyone know that a hand-made backward pass is right? Nudge every number and compare: `numerical_gradient` from lesson 01, (f(x+h) − f(x−h))/2h, the **central difference**.
#
# The loss must be *one* number that uses the whole context, differently at each place: the sum of context × random `d_context`. The mask has holes, and query 2 sees nobody. "Eight digits" means: no slope is off by more than a hundred-millionth of the largest.

# %%
draw = {"query": (1, 3, 4), "key": (1, 5, 4), "value": (1, 5, 6)}
inputs = {name: rng.normal(size=shape) for name, shape in draw.items()}
d_context, mask = rng.normal(size=(1, 3, 6)), rng.random((1, 3, 5)) < 0.7
mask[0, 2] = False


def loss(name, x):
    return np.sum(pool(**{**inputs, name: x}, mask=mask)[0] * d_context)


by_hand = gradients.attention_gradients(**inputs, d_context=d_context, mask=mask)
for name, d_x in zip(inputs, by_hand, strict=True):
    gap = np.abs(numerical_gradient(lambda x, n=name: loss(n, x), inputs[name]) - d_x).max()
    claim(f"d_{name} agrees to eight digits", gap < 1e-8 * np.abs(d_x).max())
claim("query 2 sees nobody: its slope is exactly 0", (by_hand[0][0, 2] == 0).all())

# %% [markdown]
# The step there was 10⁻⁵. Why? A large step sees the curve bend: that error shrinks with h² (with h, if you nudge one way only). A tiny step drowns in rounding: the loss is stored to 16 digits, and the difference of two nearly equal numbers keeps few of them. That error *grows* like 10⁻¹⁶/h.

# %% [markdown]
# **Predict** before you run: where is the best step in float64? And in float32, which keeps 7 digits?

# %%
steps, exact = 10.0 ** -np.arange(1, 13), by_hand[0]


def nudged(step, ways, dtype):
    """Slope of the loss for every number of the query: both ways (1, -1) or one way (1, 0)."""
    moves = step * np.eye(exact.size).reshape(-1, *exact.shape)
    cast = {name: x.astype(dtype) for name, x in inputs.items()}

    def total(moved):
        context = pool(**{**cast, "query": moved.astype(dtype)}, mask=mask)[0]
        return np.sum(context * d_context.astype(dtype))

    rises = [
        total(inputs["query"] + ways[0] * m) - total(inputs["query"] + ways[1] * m) for m in moves
    ]
    return np.reshape(rises, exact.shape) / (step * (ways[0] - ways[1]))


# %%
errors, best = {}, {}
for name, ways, dtype in (
    ("one way, float64", (1, 0), "float64"),
    ("both ways, float64", (1, -1), "float64"),
    ("both ways, float32", (1, -1), "float32"),
):
    gaps = [np.abs(nudged(step, ways, dtype) - exact).max() for step in steps]
    errors[name] = gaps / np.abs(exact).max()
    best[name] = steps[np.argmin(gaps)]
wide, narrow = best["both ways, float64"], best["both ways, float32"]
claim("both ways: best near 1e-5, in float32 near 1e-2", 1e-7 < wide < 1e-3 < narrow < 1)
ax = plot.lines(steps, errors, "Too far bends, too near rounds", "step h", "relative error")
ax.set(xscale="log", yscale="log", ylim=(1e-12, 1e5))
alt = "Error over step size, three curves with a valley. Both ways in float64 is lowest, about 1e-11, near a step of 1e-5; one way is lowest near 1e-7, at about 1e-8; float32 near 1e-2, at about 1e-5, and below 1e-7 it is flat at 1: nothing moves."
plot.show(ax.figure, alt=alt)

# %% [markdown]
# The valleys lie where the two errors meet: near the cube root of 10⁻¹⁶ for both ways, near its square root for one way. In float32 (10⁻⁷) the best step is near 10⁻², and even it leaves few digits. So **check in float64, both ways, h near 10⁻⁵, and expect eight digits**.
#
# Rounding counts against the *loss*. If that is huge, fewer digits are left, and no bug is to blame:

# %%
largest = np.abs(by_hand[0]).max()
for extra in (0, 1e3, 1e6):
    differences = numerical_gradient(lambda x, e=extra: loss("query", x) + e, inputs["query"])
    apart = np.abs(differences - by_hand[0]).max() / largest
    print(f"loss + {extra:>9,.0f}: slopes differ by {apart:.0e} of the largest")
claim("a loss near a million leaves five or six digits", 5e-7 < apart < 1e-5)

# %% [markdown] task="gradient_test"
# Write `gradient_is_right(backward)`: True if the function returns the true slopes, False if not. It is called as `backward(query=…, key=…, value=…, d_context=…, mask=…)`, with shapes `(B, T, H)`, `(B, S, H)`, `(B, S, V)`, `(B, T, V)`, `(B, T, S)`, and returns `(d_query, d_key, d_value)`.
#
# It is tried on right functions and on broken ones: no 1/√H · only the softmax's diagonal · no mask · 1/√H at `d_value` · `d_key` 1 % too large, or too small · `d_context` ignored · NaN.
#
# `pool` and `numerical_gradient` are yours to use.
#
# <details><summary>Hint</summary>
#
# Which inputs would *hide* each fault? √1 is 1.
#
# </details>


# %% exercise="gradient_test"
def gradient_is_right(backward):
    """True if `backward` returns the slopes of attention for query, key and value."""
    ### BEGIN SOLUTION
    random = np.random.default_rng(1)
    sizes = {"query": (1, 2, 4), "key": (1, 3, 4), "value": (1, 3, 2)}
    arrays = {name: random.normal(size=size) for name, size in sizes.items()}
    behind, allowed = random.normal(size=(1, 2, 2)), np.array([[[True, False, True], [True] * 3]])
    agree = []
    for name, d_x in zip(arrays, backward(**arrays, d_context=behind, mask=allowed), strict=True):

        def total(x, name=name):
            return np.sum(pool(**{**arrays, name: x}, mask=allowed)[0] * behind)

        agree.append(np.allclose(d_x, numerical_gradient(total, arrays[name]), rtol=1e-5))
    return all(agree)
    ### END SOLUTION


# %% try="gradient_test"
print("the course's backward pass:", gradient_is_right(gradients.attention_gradients))
print(
    "zeros:", gradient_is_right(lambda query, key, value, **rest: (0 * query, 0 * key, 0 * value))
)

# %% check="gradient_test"
check("gradient_test", gradient_is_right)

# %% [markdown]
# ## 5 · TensorFlow's tape, and a trap
#
# `tf.GradientTape` records the forward pass and walks it backwards, by these same rules. (Where TensorFlow is missing, the cells below print nothing.)

# %% [markdown]
# In many programs a mask *adds* −∞ to closed scores. For a query that sees nobody, the softmax then takes −∞, its largest score, off −∞: NaN. A common repair overwrites that row afterwards: `tf.where(somebody, weights, 0)`. The forward pass is clean then. Are the gradients?
#
# We try it, and beside it another way to close: `tf.where(allowed, scores, -inf)`, which leads to the same NaN. In item 0 query 2 sees nobody; in item 1 everybody sees key 0.

# %%
if find_spec("tensorflow"):
    with quiet():  # TensorFlow greets the machine on stderr while it loads
        import tensorflow as tf
twice = {name: np.concatenate([x, x]) for name, x in inputs.items()}  # the same item twice
arrived = np.concatenate([d_context, d_context])
allowed = np.concatenate([mask, mask | (np.arange(5) == 0)])  # in item 1 everybody sees key 0
somebody = allowed.any(axis=-1, keepdims=True)
theirs = {}

# %% measured
for way in ("added", "where") if find_spec("tensorflow") else ():
    given = [tf.Variable(x) for x in twice.values()]
    with tf.GradientTape() as tape:
        raw = tf.matmul(given[0], given[1], transpose_b=True) / 2.0  # √4
        plus, pick = raw + np.where(allowed, 0, -np.inf), tf.where(allowed, raw, -np.inf)
        shares = tf.nn.softmax(plus if way == "added" else pick)
        context = tf.matmul(tf.where(somebody, shares, 0), given[2])
    theirs[way] = tape.gradient(context, given, output_gradients=tf.constant(arrived))
    print(f"{way}: NaN in the context: {np.isnan(context).any()}; share of NaN in items 0 and 1:")
    for name, d_x in zip(twice, theirs[way], strict=True):
        print(f"    d_{name:5}", np.isnan(d_x).mean(axis=(1, 2)).round(2))

# %% measured
if theirs:
    ours = gradients.attention_gradients(**twice, d_context=arrived, mask=allowed)
    gaps = [np.abs(a - b).max() for a, b in zip(ours, theirs["where"], strict=True)]
    claim("where: both items agree with us to twelve digits", max(gaps) < 1e-12)
    all_nan, clean = np.isnan(theirs["added"][1][0]).all(), np.isfinite(theirs["added"][1][1]).all()
    claim("added: d_key is NaN all over item 0, and clean in item 1", all_nan and clean)

# %% [markdown]
# Both ways, the overwritten row gets the slope 0 from behind, and the softmax makes NaN of it: 0 × NaN is NaN. Here the ways part.
#
# - **Addition** hands on what it gets, so all scores of the row get NaN. `d_key` adds up over queries: one query that sees nobody spoils all keys *of its item*. A matrix that makes the keys of all items adds up over items, too.
# - **`where`** sends 0 to the scores that it did not take, whatever arrives. The NaN ends there.

# %% [markdown]
# So close scores with `where`, before the softmax. (If the NaN got into the loss, no `where` would help: lesson 05.) Ours makes no NaN in the first place: it divides such a row by 1, so weights and slopes are zero.

# %% [markdown]
# ## 6 · Saturation, seen in the gradient
#
# A softmax is *saturated* where one weight is nearly 1. Two keys, scores g apart: how fast does the smaller weight, w, grow with its score? Its slope is w(1−w):
#
# | gap g | 0 | 2 | 5 | 10 | 20 |
# |---|---|---|---|---|---|
# | w | 0.5 | 0.12 | 0.0067 | 0.000045 | 2·10⁻⁹ |
# | slope of w | 0.25 | 0.105 | 0.0066 | 0.000045 | 2·10⁻⁹ |
#
# At 20 the score moves its weight a hundred million times less than at 0. Has learning stopped? That depends on what the weight is worth. If the loss is −log w, a tiny w is worth a lot: `d_weights` is −1/w.

# %%
print("gap   slope of w   slope of -log w")
for gap in (0, 2, 5, 10, 20):
    pair = attention.softmax(np.array([[0.0, gap]]))
    of_w, of_log = (
        gradients.softmax_gradient(pair, np.array([[worth, 0]]))[0, 0]
        for worth in (1, -1 / pair[0, 0])
    )
    print(f"{gap:3}   {of_w:10.1e}   {of_log:10.2f}")
claim("at 20 -log w still has nearly the slope -1", abs(of_log + 1) < 1e-8)

# %% [markdown]
# w(1−w)·(−1/w) = −(1−w): the logarithm takes back what the softmax took. That is why the two belong together at the *end* of a network (in section 7 the loss is −log of a sum of weights). *Inside* a network, where contexts are mixed and sent on, nobody promises that.

# %% [markdown]
# Without 1/√d, scores of random vectors have the spread √d (lesson 02). Below, the exact `d_query` of 1,000 queries with ten keys each and random `d_weights`. Will its *mean* size shrink as the width grows, its *median*, or both?

# %%
widths, sizes, last = [1, 4, 16, 64, 256, 1024], {}, {}
for d in widths:
    query, key, d_weights = (rng.normal(size=(1000, n, m)) for n, m in ((1, d), (10, d), (1, 10)))
    for name, factor in (("q·k", 1), ("q·k / √d", d**-0.5)):
        shares = attention.softmax(factor * query @ np.swapaxes(key, 1, 2))
        d_query = factor * gradients.softmax_gradient(shares, d_weights) @ key
        last[name] = size = np.linalg.norm(d_query, axis=-1)
        sizes.setdefault(f"{name}, mean", []).append(np.mean(size))
        sizes.setdefault(f"{name}, median", []).append(np.median(size))
larger, most = np.mean(last["q·k"] > last["q·k / √d"]), sizes["q·k, median"][-1]
claim("d = 1024: without 1/√d a fifth is larger, most vanish", 0.1 < larger < 0.3 and most < 0.001)
ax = plot.lines(widths, sizes, "Very wide, no 1/√d: most slopes vanish, a fifth grows", "width d")
ax.set(xscale="log", yscale="log", ylabel="size of d_query")
alt = "Four curves over the width, 1 to 1024. With 1/√d mean and median stay near 0.3 from width 4 on. Without it the mean rises to about 1; the median is above 0.3 at widths 4 and 16 and falls below 0.001 at 1024."
plot.show(ax.figure, alt=alt)

# %% [markdown]
# "Without 1/√d the gradients vanish" is half true. At widths 4 and 16 the median even grows. At 1,024 slopes vanish for *most* queries, while one query in five gets a larger one, since √d no longer shrinks it.

# %% [markdown]
# ## 7 · A falling loss proves nothing
#
# Lesson 02's dictionary again: 1,000 pictures are keys, their one-hot labels values. A context holds each digit's share. A mask hides each picture's own key.
#
# The loss is the mean of −log(share of the right digit). Its slope is −1/share there, over the number of pictures, and 0 elsewhere.


# %%
def colleagues_slope(pictures, memory, W, value, d_context, mask):
    query, key = pictures @ W, memory @ W
    weights = attention.softmax(query @ key.T / np.sqrt(W.shape[1]), mask)
    d_scores = gradients.softmax_gradient(weights, d_context @ value.T)
    slope = pictures.T @ (d_scores @ key)
    slope = memory.T @ (d_scores.T @ query)
    return slope


# %% measured
split = digits.load(seed=0)
pictures, labels = split.train_images.astype("float32"), split.train_labels
rows, others = digits.one_hot(labels).astype("float32"), ~np.eye(len(labels), dtype=bool)
W, losses = 5 * np.eye(64, dtype="float32"), []  # 25 q·k / √64: the dot product at τ = 0.32
for _ in range(41):
    context, _ = pool(query=pictures @ W, key=pictures @ W, value=rows, mask=others)
    number, d_rows = gradients.log_loss(context, labels)
    losses.append(number)
    W = W - 0.03 * colleagues_slope(pictures, pictures, W, rows, d_rows, others)
print("loss after 0, 10, 20, 30, 40 steps:", np.round(losses[::10], 2))
claim("the colleague's loss falls by more than half", losses[-1] < losses[0] / 2)

# %% [markdown] task="one_matrix"
# A colleague projects pictures and keys with *one* matrix, W, by `colleagues_slope` above. "The loss falls. It works." **Two faults** are in it. Neither stops the training, and all shapes are right.
#
# Write `matrix_slope(pictures, memory, W, value, d_context, mask=None)`, which returns the true `d_W`, `(D, H)`.
#
# - `pictures` is `(T, D)`, `memory` `(S, D)`, `W` `(D, H)`, `value` `(S, V)`, `d_context` `(T, V)`, `mask` None or `(T, S)`.
# - Forwards: queries are `pictures @ W`, keys are `memory @ W`; then attention as ever.
#
# <details><summary>Hint</summary>
#
# Section 3 had three rules. Which two are broken?
#
# </details>


# %% exercise="one_matrix"
def matrix_slope(pictures, memory, W, value, d_context, mask=None):
    """Slope of the loss for a matrix that projects queries and keys: d_W (D, H)."""
    ### BEGIN SOLUTION
    query, key, root = pictures @ W, memory @ W, np.sqrt(W.shape[1])
    shares = attention.softmax(query @ key.T / root, mask)
    d_products = gradients.softmax_gradient(shares, d_context @ value.T) / root  # divide here, too
    return pictures.T @ (d_products @ key) + memory.T @ (d_products.T @ query)  # both uses of W
    ### END SOLUTION


# %% try="one_matrix"
tiny = [rng.normal(size=size) for size in ((3, 4), (5, 4), (4, 2), (5, 6), (3, 6))]


def tiny_loss(W):
    return np.sum(pool(query=tiny[0] @ W, key=tiny[1] @ W, value=tiny[3])[0] * tiny[4])


true = numerical_gradient(tiny_loss, tiny[2])
print("colleague, largest error:", np.abs(colleagues_slope(*tiny, None) - true).max().round(2))
print("yours, largest error:    ", np.abs(matrix_slope(*tiny) - true).max().round(8))

# %% check="one_matrix"
check("one_matrix", matrix_slope)

# %% measured
ends = {}
for rate in (0.03, 0.24):
    M = 5 * np.eye(64, dtype="float32")
    for _ in range(41):
        projected = {"query": pictures @ M, "key": pictures @ M, "value": rows}
        number, d_rows = gradients.log_loss(pool(**projected, mask=others)[0], labels)
        d_query, d_key, _ = gradients.attention_gradients(
            **projected, d_context=d_rows, mask=others
        )
        M = M - rate * pictures.T @ (d_query + d_key)  # here both uses meet the same pictures
    ends[rate] = number
    print(f"the true slope, rate {rate}: loss {number:.3f} after 40 steps")
print(f"the colleague's, rate 0.03: loss {losses[-1]:.3f}")
claim("at one rate the wrong slope ends lower", losses[-1] < ends[0.03])
claim("eight times that rate, and the true slope ends lowest", ends[0.24] < losses[-1])

# %% [markdown]
# At the same rate the *wrong* slope ends lower than the true one. The half of the slope that it keeps is eight times too long, without 1/√64, and here longer steps were better. A missing factor alone would be exactly another rate: no curve shows it. The gradient check does.

# %% [markdown]
# ## 8 · Attention that learns to compare
#
# Now two matrices, one for queries and one for keys. Both start as a multiple of the identity, so that training starts at lesson 02's dot product with some temperature τ. Each step takes 200 pictures and asks for two slopes, by the chain you built:

# %%
print(inspect.getsource(similarity.slopes))

# %% [markdown]
# It walks down the slope with *momentum*, a running sum of slopes of which a tenth is forgotten each step: `speed = 0.9 * speed + slope`, `W = W - 0.3 * speed`. Every ten steps the validation pictures are read; the best moment is kept. (The loop, 15 lines, is `train` in `attnfuse/experiments/similarity.py`.)

# %% [markdown]
# **Predict** before you run (about fifteen seconds): raw pixels read .88 at their best in lesson 02, unit-length pixels .98. Where will learning from raw pixels end? And does it help to learn on top of unit length?

# %% [markdown]
# Ten random splits. Temperatures, the start and the number of steps are chosen on the validation pictures of each split; so were rate and batch size, by a few runs beforehand. The test pictures are read once for each row of the table. Three rows know no attention: the commonest digit, a linear classifier, the nearest picture. (`python -m attnfuse.experiments.similarity` prints it, too.)

# %% measured
tests, curves, kept = similarity.compare()
print(*similarity.rows(tests), sep="\n")

# %%
mean = {name: np.mean(right) for name, right in tests.items()}
gain = np.subtract(tests["raw pixels, learnt"], tests["raw pixels"])
claim("raw pixels: learning gains more than .05 in every split", gain.min() > 0.05)
claim("it ends above a linear classifier", mean["raw pixels, learnt"] > mean["linear classifier"])
short, more = (mean[f"{x}, learnt"] - mean["unit length"] for x in ("raw pixels", "unit length"))
claim("and within .01 of unit length, which learnt nothing", abs(short) < 0.01)
claim("learning on top of unit length changes less than .01", abs(more) < 0.01)
title = "Sharper starts, with longer steps, end higher"
ends = [np.mean(runs, axis=0)[-1] for runs in curves.values()]
claim("from raw pixels: the sharper the start, the higher the end", ends[0] < ends[1] < ends[2])
names = {"xlabel": "step", "ylabel": "right on validation data", "runs": "splits"}
ax = plot.lines(10 * np.arange(len(next(iter(curves.values()))[0])), curves, title, **names)
ax.set_ylim(0.6, 1)
alt = "Validation accuracy over 100 steps, mean and range of ten splits. From raw pixels, the start at temperature 0.3 rises from 0.77 to 0.95 in ten steps and to 0.98; those at 2 and 8 first dip or stay, then rise more slowly, to about 0.97 and 0.95. From unit length the curve starts and stays near 0.985."
plot.show(ax.figure, alt=alt)

# %% [markdown]
# Learning nearly closed the gap: 8,192 numbers, moved by our own backward pass, bring the raw dot product from .88 to .98. That ties with the nearest neighbour, and with dividing by the length, one line that learnt nothing. On top of unit length learning changes a few pictures in a thousand.

# %% [markdown]
# With 100 steps the start decided much. (A sharper one has larger matrices, and each matrix's slope is multiplied by the other: its steps are longer, too. Which of the two helped, we did not ask.) At τ = 8, the formula's √64, attention begins as an average over nearly everything. And yet it reads three of four pictures. How?

# %%
memory, asking = split.train_images, split.validation_images
shares = attention.softmax(asking @ memory.T / 8)
spread = np.exp(-(shares * np.log(shares)).sum(axis=1)).mean()  # 1,000 equal weights make 1,000
context = shares @ digits.one_hot(labels)
print(
    f"as if {spread:.0f} of {len(memory)} keys got equal weights; the largest: {shares.max():.4f}"
)
lean = digits.one_hot(labels).T @ (memory - memory.mean(axis=0)) / len(memory)  # (10, 64)
almost = digits.one_hot(labels).mean(axis=0) + asking @ lean.T / 8  # a straight line in the picture
agree = np.mean(almost.argmax(axis=1) == context.argmax(axis=1))
hit, line = (np.mean(x.argmax(axis=1) == split.validation_labels) for x in (context, almost))
print(f"right: {hit:.2f}, the straight line: {line:.2f}; the same answer: {agree:.2f}")
claim("nearly all keys, none above .003", spread > 950 and shares.max() < 0.003)
claim("and about three of four right", 0.65 < hit < 0.85)
claim("nine of ten answers are those of a linear rule", agree > 0.9)

# %% [markdown]
# No key gets three thousandths, but a digit's share adds up a hundred keys, and only *which* share is largest is asked. With weights so even, softmax is nearly a straight line: each digit's share is its frequency plus a bit of the picture · (that digit's mean picture − the mean of all). So blunt an attention answers mostly as a linear rule that nobody fitted, unlike the table's. The next query is *chosen* because the sharp start misreads it: see what learning mended, not how often.

# %%
raw = similarity.prepared(split)
context, _ = pool(**similarity.given(raw, similarity.start(0.3), raw.test_images))
first = np.argmax(context.argmax(axis=-1) != raw.test_labels)  # misread before learning
shown, captions = [], []
for name, W in (("before", similarity.start(0.3)), ("after", kept[0, "raw pixels, learnt"])):
    one = raw.test_images[first]
    shares = pool(query=one[None] @ W[0], key=pictures @ W[1], value=rows)[1][0]
    top = np.argsort(-shares)[:5]
    shown += [one, *pictures[top]]
    captions += [f"query\n{name}"] + [f"a {labels[t]}\n{shares[t]:.0%}" for t in top]
title = f"A {raw.test_labels[first]} that the start at τ = 0.3 misreads, before and after learning"
fig = plot.pictures(np.reshape(shown, (-1, 8, 8)), captions, title, columns=6)
alt = "The same picture twice with its five heaviest keys. Before learning the heaviest two are dark pictures of another digit; after learning most or all show its own digit."
plot.show(fig, alt=alt)

# %% [markdown]
# ## What to remember
#
# - Through a softmax: weight × (what the key is worth − the row's mean). Never w(1−w) alone.
# - Used twice, added twice; divided by a constant forwards, divided backwards; weight 0, slope 0.
# - A falling loss proves nothing: a wrong slope can even fall faster. Central differences in float64, h near 10⁻⁵: eight digits.
# - One row without a key can turn a whole gradient into NaN: close scores with `where` before the softmax, and let no NaN arise.
#
# | | |
# |---|---|
# | sources | Rumelhart, Hinton and Williams 1986, "Learning Representations by Back-Propagating Errors"; Bridle 1990, "Training Stochastic Model Recognition Algorithms as Networks"; Goldberger et al. 2004, "Neighbourhood Components Analysis" (a learnt similarity, own picture left out); Vaswani et al. 2017 |
# | data | Alpaydin and Kaynak 1998, UCI, CC BY 4.0, from scikit-learn |
# | in Keras | `tf.GradientTape`; `model.fit` calls it for every batch |
# | in attnfuse | `gradients.softmax_gradient`, `attention_gradients`, `log_loss`, `numerical_gradient`; `experiments.similarity` |
# | next | [04 · Multi-head attention](04_multi_head_attention.ipynb) |
