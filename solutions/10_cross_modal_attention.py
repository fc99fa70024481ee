# ---
# jupyter:
#   attnfuse:
#     title: Cross-modal attention
#     sentence: Words of a question look at the places of a picture. The table of relations between two sources, written, trained and looked at, and four ways in which today's models join a picture to a text.
#     you_will: [write attention from words to patches and see each word find its place, read one table of scores in both directions, "tell four ways to join a picture to a text apart: what each costs, and where it fails"]
#     needs: [02_scaled_dot_product, 05_keras_attention_layers, 09_fusion]
#     minutes: 65
#     seconds: 27
#     keras: true
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% setup
import numpy as np

from attnfuse import attention, check, claim, hint, plot, quiet, quiz
from attnfuse.data import tiles

with quiet():  # TensorFlow greets the machine on stderr while it loads
    import keras
    import tensorflow as tf
    from keras import ops

    from attnfuse import cross
    from attnfuse.experiments import joins

# %% [markdown]
# ## Warm-up: three questions on earlier lessons
#
# The minutes above cover the text and the four exercises with points. Exercise 3 comes on top.

# %% quiz="10-shapes"

# %% quiz="10-additive"

# %% quiz="10-zeros"

# %% [markdown]
# ## 1 · Ask the picture
#
# Six tiles, six inks, a digit in each; and a question: *the red one*? Whoever answers must read two sources, and must use the one to choose a place in the other.

# %%
data = tiles.load()
train, validation = data.train, data.validation
shown = [np.flatnonzero(train.text[:, 0] == word)[0] for word in (1, 3, 5)]  # three kinds
captions = [f"{' '.join(tiles.words(train.text[i]))}?\n{train.label[i]}" for i in shown]
framed = np.pad(train.image[shown], ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=0.8)
fig = plot.pictures(framed, captions, "A picture, a question, the answer", columns=3)
plot.show(
    fig,
    alt="Three pictures of six coloured digits, two rows of three; above each a question of three words or one that names an ink, and the digit in that ink.",
)

# %% [markdown]
# What can be had without looking? The commonest answer, always. And somebody who reads all six digits perfectly, but not the question, says the digit that occurs most often in the picture. These are the numbers to beat.

# %%
commonest = np.bincount(train.label).argmax()
majority = np.mean(validation.label == commonest)
blind = tiles.best_without_question(validation)
print(f"always {commonest}: {majority:.3f}")
print(f"all digits read, the question not: {blind:.3f}")
claim("who reads all digits and not the question is right on a third", 0.3 < blind < 0.36)

# %% [markdown]
# A blog article that this course grew out of (the one whose program lesson 08 repaired; in no journal) describes attention between sources in four steps: encoders bring both into one form; an n × m matrix holds the relation of each to each; a softmax makes them weights; the weights mix.
#
# Its program has one source only. So we take the four steps with two.

# %% [markdown]
# ## 2 · Words ask, patches answer
#
# By hand. A word is two numbers, how red and how blue it is: "red" is (4, 0). A tile (from now on: a **patch**) is three, how red, how blue, and its digit:
#
# | | red | blue | digit |
# |---|---|---|---|
# | patch 0 | 1 | 0 | 7 |
# | patch 1 | 0 | 1 | 2 |
#
# Keys are the first two columns, the value is the third. Scores of "red": 4·1 + 0·0 = 4 and 0. Over √2: 2.83 and 0. Weights: .944 and .056. Context: .944 · 7 + .056 · 2 = 6.72.

# %% [markdown]
# So the two sources need not be equally wide, nor equally long. Three matrices bring them together: words become queries, patches become keys and values,
#
# $$\mathrm{softmax}\!\left(\frac{(X\,W^Q)(Y\,W^K)^\top}{\sqrt H}\right) Y\,W^V$$
#
# with words $X$, T rows, and patches $Y$, S rows; H is the width in which both meet. The table of weights is T × S: the article's n × m matrix. This is **cross-attention**: lesson 02's formula, queries from one source, keys and values from another.

# %% [markdown] task="ask"
# Write `ask(words, patches, query_matrix, key_matrix, value_matrix, mask=None)`.
#
# - `words` is `(B, T, D)`, `patches` `(B, S, P)`; the matrices are `(D, H)`, `(P, H)`, `(P, V)`. All of them are float32 tensors.
# - `mask` is bool `(B, S)`, True where there is a patch (pictures may have fewer). It can be None: then all count. Patches that are padding get weight 0; where a picture has no patch at all, weights and context are zeros.
# - Return `(context, weights)`, `(B, T, V)` and `(B, T, S)`.
# - Use `keras.ops` and `@`, so that the matrices can be trained. Scores may be in the thousands. The course's layers are switched off in the check.
#
# <details><summary>Hint</summary>
#
# Which axis of the scores belongs to the patches? The mask needs an axis more.
#
# </details>


# %% exercise="ask"
def ask(words, patches, query_matrix, key_matrix, value_matrix, mask=None):
    """What each word finds in the picture: (context (B, T, V), weights (B, T, S))."""
    ### BEGIN SOLUTION
    query, key, value = words @ query_matrix, patches @ key_matrix, patches @ value_matrix
    scores = query @ ops.transpose(key, (0, 2, 1)) / query.shape[-1] ** 0.5  # (B, T, S)
    if mask is None:
        weights = ops.softmax(scores)
    else:
        there = mask[:, None]  # (B, 1, S)
        weights = ops.where(there, ops.softmax(ops.where(there, scores, -1e30)), 0.0)
    return weights @ value, weights
    ### END SOLUTION


# %% try="ask"
by_hand = [[[4.0, 0]]], [[[1.0, 0, 7], [0, 1, 2]]], np.eye(2), np.eye(3)[:, :2], np.eye(3)[:, 2:]
tensors = [ops.convert_to_tensor(x, "float32") for x in by_hand]
found, looks = ask(*tensors)
print("context", np.round(found, 2).ravel(), " weights", np.round(looks, 2).ravel())

# %% check="ask"
check("ask", ask)

# %% [markdown]
# ## 3 · Does it learn where to look?
#
# Now the matrices are learnt, by the course's `cross.AskModel`, which looks as your `ask` does. Patches pass two dense layers each, words get a vector each, every word asks, and the mean of the words' contexts goes to a head. The only teacher is the right digit: *where* it stands is never told.
#
# Before you run it: what share will be right? How often will the ink's word look most at the right tile?

# %% measured
asking = joins.train_asking(data, "attention")
right = joins.accuracy(asking, validation)
looks = asking.looks(*joins.inputs(validation))  # (B, T, S)
points = joins.pointing(looks, validation)
print(f"right on {right:.3f} of the validation questions; points at the tile in {points:.3f}")
claim("more than twice what can be had without the question", right > 2 * blind)
claim("the ink's word finds its tile nearly always", points > 0.95)

# %% [markdown]
# Here is the table of one question, beside the picture that it asks. Each row sums to 1.

# %%
i = int(np.flatnonzero((validation.text > 0).all(axis=1))[0])  # a question of three words
fig = joins.draw_question(validation, i, looks[i])
plot.show(
    fig,
    alt="Left a picture of six coloured digits; right the table of weights, words by tiles: the ink's word has one bright cell, at the tile of that ink.",
)

# %% [markdown]
# And the other words? They know no ink, so they cannot choose. Let us count where each word's largest weight falls, over all validation questions.

# %%
tile = np.arange(tiles.TILES) == validation.tile[:, None]  # (B, S)
share = {}
for number, word in enumerate(tiles.VOCABULARY[1:], 1):
    rows, places = np.nonzero(validation.text == number)
    share[word] = np.mean(tile[rows, looks[rows, places].argmax(axis=-1)])
print("  ".join(f"{word} {x:.2f}" for word, x in share.items()), "   by chance 0.17")
claim("words without an ink point no better than 0.4", max(list(share.values())[:4]) < 0.4)

# %% [markdown]
# Two rows in three of such a map point at nothing in particular. And they cost: they enter the mean of the contexts. Compare questions of one word with questions of three.

# %%
hits = np.asarray(asking.predict_on_batch(joins.inputs(validation))).argmax(-1) == validation.label
length = (validation.text > 0).sum(axis=1)
for words in (1, 3):
    print(f"questions of {words} word{'s' * (words > 1)}: {hits[length == words].mean():.3f} right")
claim("one word alone is answered better", hits[length == 1].mean() > hits[length == 3].mean())

# %% [markdown]
# So the word that knows finds its tile, and still one answer in ten is wrong: some for the other words' sake, the rest in reading the digit. A right place is not yet a right answer. (Lesson 15 will ask what such maps explain.)

# %% [markdown]
# ## 4 · Is looking needed?
#
# Lesson 09's fusions never look: they take one vector for the picture and one for the question. Here: the sum over the patches of their features (after a ReLU), and the mean of the words, projected. The two are put side by side or multiplied; a hidden ReLU layer and the answer follow.
#
# Can a *product* choose a place? Let us train it for as many passes as attention.

# %% measured
pooled = cross.AskModel("product", tiles.PATCH, len(tiles.VOCABULARY))
joins.train(data, pooled, rate=2e-3, epochs=10, name="product")
short = joins.accuracy(pooled, validation)
print(f"product, as many passes: {short:.3f}; attention: {right:.3f}")
claim("after as many passes the product is about blind", short < blind + 0.1)

# %% [markdown]
# It would be easy to stop here and say that pooling cannot bind a digit to its ink. That would be false. If a patch's features say "a 7 in red", all at once (60 such features for 6 inks and 10 digits), then their sum over the patches still holds every pair, and the question can switch on the red ones. That is much to learn.

# %% [markdown]
# `python -m attnfuse.experiments.joins --save` trained each of these with three seeds; learning rates and passes were chosen on the validation questions.

# %%
rows = joins.saved()
mean = {name: np.mean([row["test"] for row in runs]) for name, runs in rows.items()}
print(f"{'':22s} parameters  passes  seconds   test: mean   seeds")
for name, (*_, passes) in joins.ASKS.items():
    runs = rows[name]
    seconds = np.mean([row["seconds"] for row in runs])
    seeds = "  ".join(f"{row['test']:.3f}" for row in runs)
    start = f"{name:22s} {runs[0]['parameters']:10,d}  {passes:6d}  {seconds:7.1f}"
    print(f"{start}        {mean[name]:.3f}   {seeds}")
blind_test = tiles.best_without_question(data.test)
print(f"{'all digits read, the question not':58s}{blind_test:.3f}")
claim("a pooled product binds", mean["product"] > 2 * blind_test)
claim("attention is ahead of it at its size", mean["attention"] > mean["product"])
claim("a wider product passes attention", mean["product, wider"] > mean["attention, longer"])

# %% [markdown]
# (Seconds of processor time, on the machine named in the README.) So pooling *can* choose a place. At about the same size attention is better and needs less than half the time; a product of six times the parameters, in twice the time, beats attention that got as many passes. Even side by side, the hidden layer behind can choose a little, and more if it is wide. What attention has for itself here is size, time, and a map that can be checked.

# %% [markdown]
# ## 5 · Both ways
#
# The table of scores has two readings. By rows: what does each word see? By columns: which words concern each patch? Models that let both sources ask are said to use **co-attention** (Lu et al. 2019, "ViLBERT", with a table for each direction).
#
# The scores may be shared. The weights cannot: a row of weights sums to 1, a column does not.

# %% [markdown] task="both_ways"
# Write `both_ways(scores, words, patches, word_mask, patch_mask)`.
#
# - `scores` is `(B, T, S)`; `words` `(B, T, D)` and `patches` `(B, S, P)` are the values; the masks are bool, `(B, T)` and `(B, S)`, True where a word or patch is real, in any places.
# - Return `(seen, read)`: `seen` `(B, T, P)` is each word's mixture of the patches, `read` `(B, S, D)` each patch's mixture of the words, both by softmax.
# - Padding gets no weight, and what is padding itself gets zeros. So does a word where there is no patch, and a patch where there is no word.
# - Use NumPy and `attention.softmax(scores, mask)`. Scores may be in the thousands.


# %% exercise="both_ways"
def both_ways(scores, words, patches, word_mask, patch_mask):
    """What words see of the picture, (B, T, P), and what patches read of the question, (B, S, D)."""
    ### BEGIN SOLUTION
    pairs = word_mask[:, :, None] & patch_mask[:, None]  # (B, T, S)
    seen = attention.softmax(scores, pairs) @ patches
    read = attention.softmax(np.swapaxes(scores, 1, 2), np.swapaxes(pairs, 1, 2)) @ words
    return seen, read
    ### END SOLUTION


# %% try="both_ways"
table = np.array([[[4.0, 0, 0], [0, 0, 0]]])  # two words, three patches
seen, read = both_ways(
    table, np.eye(2)[None], np.eye(3)[None], np.ones((1, 2), bool), np.ones((1, 3), bool)
)
print("words × patches\n", seen[0].round(2), "\npatches × words\n", read[0].round(2))

# %% check="both_ways"
check("both_ways", both_ways)

# %% [markdown]
# Look at the second table. No word asks for patch 1 or 2 in particular, and still each spreads one unit over the words: (½, ½). A softmax over the *words* cannot say "nobody asked for me". It can tell patches apart, though: here is what the trained model's patches give the ink's word.

# %%
real = validation.text > 0
columns = asking.scores(*joins.inputs(validation)).swapaxes(1, 2)  # (B, S, T)
three = real.all(axis=1)  # questions of three words
reading = attention.softmax(columns, real[:, None])[three]
ink = np.argmax(validation.text[three] >= tiles.VOCABULARY.index("red"), axis=1)
to_ink = reading[np.arange(len(ink)), :, ink]  # what each patch gives the ink's word, (b, S)
asked, others = to_ink[tile[three]].mean(), to_ink[~tile[three]].mean()
print(f"weight of the ink's word: at the tile asked for {asked:.2f}, at the others {others:.2f}")
claim("every column sums to 1, asked for or not", np.allclose(reading.sum(axis=-1), 1))
claim("the tile asked for gives the ink's word more", asked > others)

# %% [markdown]
# ## 6 · A table of modalities
#
# If each source is *one* vector, the table is small: modality × modality. A picture, a text and a sound make 3 × 3. It answers "how much does the picture listen to the text?", and it is where a mistake of lesson 05 comes back.

# %% [markdown] task="modalities"
# A colleague has `image`, `text` and `sound`, each `(B, D)`, and writes
#
# ```python
# weights = softmax(image @ text.T / np.sqrt(D))
# ```
#
# It runs, and it is `(B, B)`: every item attends to every *other item's* text. (An attention layer that is given two-dimensional inputs does the same: lesson 05.) Find the bug, and write `relations(image, text, sound, present)`.
#
# - Return weights `(B, 3, 3)`: in each item every modality asks all three (itself included), in the order image, text, sound. Scores are dot products over √D.
# - `present` is bool `(B, 3)`: a modality that is missing gets no weight and asks nothing; its row is zeros.
# - Use NumPy and `attention`. Scores may be in the thousands.


# %% exercise="modalities"
def relations(image, text, sound, present):
    """How much each modality of an item listens to each: (B, 3, 3)."""
    ### BEGIN SOLUTION
    vectors = np.stack([image, text, sound], axis=1)  # (B, 3, D)
    scores = vectors @ np.swapaxes(vectors, 1, 2) / np.sqrt(vectors.shape[-1])
    return attention.softmax(scores, present[:, :, None] & present[:, None])
    ### END SOLUTION


# %% try="modalities"
rng = np.random.default_rng(0)
print(relations(*rng.normal(size=(3, 1, 4)), np.array([[True, False, True]])).round(2))

# %% check="modalities"
check("modalities", relations)

# %% [markdown]
# ## 7 · Four ways to join a picture to a text
#
# Today's models start from a Transformer that reads text. How does a picture get in?
#
# | as in | the sequence, built small here | who looks at the picture |
# |---|---|---|
# | **prefix** (LLaVA) | patches, then words; each looks back | every later token |
# | **gated** (Flamingo) | words only | words, by cross-attention before each layer, through a gate |
# | **latents** (Perceiver, Q-Former) | a few latent vectors, then words | the latents, once, before any word |
# | **one sequence** (UNITER) | patches and words, marked by type | everything at everything |
#
# The models named do more: Flamingo's words look at latents, and not before every layer; the Perceiver's latents read again and again.

# %% [markdown] task="join_cost"
# A picture has 196 patches, a question 20 words, and there are 8 latents. How many **scores** does *one* layer compute? Count every pair of a query and a key, those under a causal mask included; for the gated way the cross-attention before the layer counts, too, and for the latents the reading of the picture, in which they look at the patches only.
#
# Answer with three numbers: prefix, gated, latents. (One sequence has as many as the prefix.)

# %% exercise="join_cost"
scores_computed = None  # your answer: three numbers, for example (100, 200, 300)
### BEGIN SOLUTION
scores_computed = (216 * 216, 20 * 20 + 20 * 196, 8 * 196 + 28 * 28)
### END SOLUTION

# %% try="join_cost"
print("prefix {:,} · gated {:,} · latents {:,}".format(*scores_computed))

# %% check="join_cost"
check("join_cost", scores_computed)

# %% [markdown]
# Scores are not all. Here is the whole bill of two layers: tokens in the sequence, scores, and multiplications in matrix products, for a real picture and for ours.

# %%
for T, S, L in ((20, 196, 8), (3, 6, 8)):
    print(f"{T} words, {S} patches, {L} latents")
    for kind in cross.JoinModel.KINDS:
        tokens, scores_, products = cross.costs(kind, T=T, S=S, L=L)
        print(
            f"  {kind:13s} {tokens:4d} tokens {scores_:8,d} scores {products:12,d} multiplications"
        )
prefix, latents = (cross.costs(kind, T=20, S=196, L=8)[2] for kind in ("prefix", "latents"))
claim("with 196 patches the prefix multiplies six times as much as 8 latents", prefix > 6 * latents)

# %% [markdown]
# With six patches all are cheap (and 8 latents the dearest), so we compare what they *learn*: at about equal parameters, each with as many passes as fit into some 12 to 16 seconds. One seed of the prefix here (about a quarter of a minute), the table of three seeds from the script.

# %% measured
prefix_model = joins.train_joined(data, "prefix")
prefix_right = joins.accuracy(prefix_model, validation)
print(f"prefix: {prefix_right:.3f} right")
claim("the prefix answers, too", prefix_right > 0.85)

# %%
print(f"{'':26s} parameters passes seconds   test: mean   seeds")
for name, (_, _, epochs, _) in (joins.JOINS | joins.LONGER).items():
    seconds = np.mean([row["seconds"] for row in rows[name]])
    seeds = "  ".join(f"{row['test']:.3f}" for row in rows[name])
    size = rows[name][0]["parameters"]
    print(f"{name:26s} {size:10,d} {epochs:6d} {seconds:7.1f}        {mean[name]:.3f}   {seeds}")
claim("in about equal seconds 8 latents are far behind", mean["8 latents"] < mean["prefix"] - 0.2)
claim(
    "with three times the passes two of three seeds catch up",
    np.median([row["test"] for row in rows["8 latents, longer"]]) > 0.95,
)
claim("two latents do not", mean["2 latents, longer"] < 0.9)

# %% [markdown]
# The latents read the picture *before* they know the question. So all that anybody may ask, six digits and six inks, must fit through them. Two are too few, at this size and in this time. Eight are more than there are patches, so nothing need be lost; but with three times the passes only two seeds of three came up to the others.

# %% [markdown]
# The others read with the question in hand. With 196 patches that costs, against the latents, six times the multiplications where every patch passes every layer, and one and a half times in the gated way.

# %% [markdown]
# ## 8 · A gate that starts at zero
#
# Look at the rows of the gated way. In equal seconds one seed of three stayed at chance; with gates that start at 1 no seed did, and with three times the passes the others had caught up.
#
# Why start at 0? Flamingo adds `tanh(gate) · cross-attention` to the words of a text model that is *already trained*. With closed gates it says, at first, exactly what it always said; the picture comes in slowly.

# %%
silent = cross.JoinModel("gated", tiles.PATCH, len(tiles.VOCABULARY))
patches, text = joins.inputs(validation)
other = np.roll(patches, 1, axis=0)  # another item's picture
change = np.abs(np.asarray(silent([patches, text])) - np.asarray(silent([other, text]))).max()
print("another picture changes the logits by", change)
claim("before training the picture changes nothing", change == 0)

# %% [markdown]
# Our text model is *not* trained. There is nothing to protect, and a closed gate hides the picture from everything behind it. One seed of three is little evidence; but nothing was gained either.

# %% [markdown] task="dead_gate"
# A colleague wants to be doubly sure that nothing changes at the start:
#
# ```python
# zeros = {"initializer": "zeros"}
# self.output_matrix = self.add_weight(shape=(P, D), **zeros)
# self.gate = self.add_weight(shape=(), **zeros)
# ```
#
# and `words + tanh(gate) * (context @ output_matrix)` in `call`. After a day of training *no weight of the layer has moved*. Find out why, and write the layer's missing lines: two weights with these names, and what is returned.
#
# - Before training the layer must return `words`, and yet a gradient other than 0 must reach at least one weight.
# - With other values in the weights it returns `words + tanh(gate) · (context @ output_matrix)`.
# - Use `keras.ops` and `@`. The course's `cross.GatedCrossAttention` is switched off in the check.


# %% exercise="dead_gate"
class Gated(keras.layers.Layer):
    """Words (B, T, D) look at a picture (B, S, P) through a gate: (B, T, D)."""

    def __init__(self, units, **options):
        super().__init__(**options)
        self.units = units

    def build(self, words_shape, picture_shape):
        D, P = words_shape[-1], picture_shape[-1]
        self.query_matrix = self.add_weight(shape=(D, self.units), name="query_matrix")
        self.key_matrix = self.add_weight(shape=(P, self.units), name="key_matrix")
        ### BEGIN SOLUTION
        self.output_matrix = self.add_weight(shape=(P, D), name="output_matrix")  # not zeros
        self.gate = self.add_weight(initializer="zeros", name="gate")  # one number
        ### END SOLUTION

    def call(self, words, picture):
        query, key = words @ self.query_matrix, picture @ self.key_matrix
        weights = ops.softmax(query @ ops.transpose(key, (0, 2, 1)) / self.units**0.5)
        context = weights @ picture
        ### BEGIN SOLUTION
        return words + ops.tanh(self.gate) * (context @ self.output_matrix)
        ### END SOLUTION


# %% try="dead_gate"
x, picture = (ops.convert_to_tensor(rng.normal(size=s), "float32") for s in ((1, 2, 3), (1, 4, 5)))
layer = Gated(4)
with tf.GradientTape() as tape:
    output = layer(x, picture)
    loss = ops.sum(output**2)
print("added at the start:", np.abs(output - x).max())
for weight, slope in zip(layer.weights, tape.gradient(loss, layer.trainable_weights), strict=True):
    print(f"{weight.name:14s} largest slope", 0 if slope is None else np.abs(slope).max())

# %% check="dead_gate"
check("dead_gate", Gated)

# %% [markdown]
# Two zeros in a product keep each other at zero: the slope of each factor is the other factor. One zero is enough for silence, and the other factor then moves it. (LoRA and many residual branches start one of two matrices at zero, for this reason: Hu et al. 2022.)

# %% [markdown]
# ## What to remember
#
# - Cross-attention is lesson 02's formula with two sources: queries from one, keys and values from the other; weights are words × patches.
# - It finds the place without being told. A pooled product binds, too, and pays in size and passes.
# - One table of scores, two softmaxes. Rows say what is looked at; columns cannot say "nobody asked".
# - Latents that read before the question must keep everything. A gate at zero lets a trained text model speak as before; two zeros stop it for good.
#
# | | |
# |---|---|
# | sources | Liu et al. 2023, "Visual Instruction Tuning" (LLaVA); Alayrac et al. 2022, "Flamingo"; Jaegle et al. 2021, "Perceiver"; Li et al. 2023, "BLIP-2" (Q-Former); Nagrani et al. 2021, "Attention Bottlenecks for Multimodal Fusion"; Chen et al. 2020, "UNITER"; Lu et al. 2019, "ViLBERT"; Hu et al. 2022, "LoRA" |
# | data | scikit-learn's digits (UCI; Alpaydin & Kaynak 1998, CC BY 4.0), tinted |
# | in Keras | `keras.layers.MultiHeadAttention(…)(query, value, key)` with two sources |
# | in attnfuse | `cross.AskModel`, `JoinModel`, `GatedCrossAttention`, `LatentQueries`, `costs`; `data.tiles` |
# | next (planned) | 11 · Missing modalities |
