# ---
# jupyter:
#   attnfuse:
#     title: Attention over pictures
#     sentence: A digit among pieces of other digits, five ways to pool a picture into one answer, and a test of whether attention points where the digit is.
#     you_will: [find the fault in a repaired program that runs and learns, "compare attention pooling with baselines, each at its own best learning rate", measure how often attention points at the digit]
#     needs: [00_start_here, 01_attention_pooling, 02_scaled_dot_product, 05_keras_attention_layers]
#     minutes: 65
#     seconds: 94
#     keras: true
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% setup
import warnings

import numpy as np

from attnfuse import attention, check, claim, hint, plot, quiet, quiz
from attnfuse.data import clutter

with quiet():  # TensorFlow greets the machine on stderr while it loads
    import keras
    import tensorflow as tf
    from keras import ops

    from attnfuse import vision
    from attnfuse.experiments import pooling

keras.config.set_image_data_format("channels_last")  # also where a user's settings differ
SEED = 0

# %% [markdown]
# ## Warm-up: three questions on earlier lessons
#
# The minutes above cover the text and the four exercises with points. The two others take a quarter of an hour more.

# %% quiz="08-equal-scores"

# %% quiz="08-queries-shuffled"

# %% quiz="08-pooled"

# %% [markdown]
# ## 1 · A digit in clutter
#
# Each scene, 24×24 pixels, holds one **whole digit** of 8×8, anywhere, and six 5×5 **pieces** of other digits. Which digit is whole?
#
# We made the scenes from scikit-learn's handwritten digits, so we know the true *box* of each, and never tell a model. 3,000 scenes to learn from, 600 to choose settings with, 1,000 for the test. Each part has its own digits, but the same people wrote all of them.

# %%
data = clutter.load(seed=0)
some, boxes = data.validation.images[:7, :, :, 0], data.validation.boxes[:7]
title = "One digit is whole: framed, its class above"
fig = plot.picture_rows({"scene": some}, data.validation.labels[:7], title, boxes)
alt = "Seven scenes in grey: strokes in several places, and a frame around the one whole digit."
plot.show(fig, alt=alt)

# %% [markdown]
# ## 2 · A published program, repaired
#
# Two source articles are used here, both blog articles in Chinese, in no journal. The *first* is "Attention and multimodal fusion: a common language for the AI of tomorrow"; the *second*, on attention in multimodal learning, has no title in our copy.
#
# This program stands in the second, as printed but for comments and layout. It expects three colour channels. What will happen?


# %% long measured
def as_printed():
    model = tf.keras.Sequential(
        [
            tf.keras.layers.InputLayer(input_shape=(None, None, 3)),
            tf.keras.layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
            tf.keras.layers.MaxPooling2D(pool_size=(2, 2)),
            tf.keras.layers.Conv2D(64, kernel_size=(3, 3), activation="relu"),
            tf.keras.layers.MaxPooling2D(pool_size=(2, 2)),
            tf.keras.layers.Attention(),
        ]
    )
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=10, batch_size=32)


x_train = np.repeat(data.train.images, 3, axis=-1)
y_train = np.eye(10)[data.train.labels]
with warnings.catch_warnings():  # `input_shape` is an old name for `shape`
    warnings.simplefilter("ignore")
    try:
        as_printed()
    except ValueError as error:
        print(f"{type(error).__name__}: {error}")

# %% [markdown]
# `Attention` wants a list, query and value. A colleague gives it the map twice, `Attention()([x, x])`, averages over all places and adds the missing **head**, `Dense(10, softmax)`.
#
# A *map* is what a convolution returns: `(B, h, w, C)`, h rows and w columns of *places* with C channels each.
#
# Now it runs, and even learns. Something is still wrong with it. (`pooling.colleague` computes what that layer does; not every Keras takes maps.)


# %%
maps = np.zeros((1, 4, 4, 64), "float32")
changed = maps.copy()
changed[0, 3, 0] = 1.0  # another content at one place, bottom left
before, after = (np.asarray(pooling.colleague(x)) for x in (maps, changed))
moved = np.abs(after - before).max(axis=-1)[0]
print("map in:", maps.shape, " map out:", before.shape)
print("which places notice the change?\n", np.where(moved > 0, "yes", "-"))

# %% [markdown] task="whole_picture"
# Find the fault and write `whole_picture(maps)`.
#
# - `maps` is float `(B, h, w, C)`. Return the same shape: at each place the mixture of **all** h·w places of its own picture.
# - Queries, keys and values are the places themselves, scores are dot products without a scale: what `keras.layers.Attention()` does by default. You may use it, and `ops.reshape`. Scores may reach thousands.
#
# Places are numbered row by row. h and w differ in the check, and pictures must not read each other. (`vision.to_sequence` is switched off.)
#
# <details><summary>Hint</summary>
#
# Lesson 05: over which axis does the layer attend? The places of a picture must all stand on that one axis.
#
# </details>


# %% exercise="whole_picture"
def whole_picture(maps):
    """Every place attends to every place of its picture: float (B, h, w, C) → (B, h, w, C)."""
    ### BEGIN SOLUTION
    _, h, w, C = maps.shape
    places = ops.reshape(maps, (-1, h * w, C))  # one sequence for each picture
    mixed = keras.layers.Attention()([places, places])
    return ops.reshape(mixed, (-1, h, w, C))
    ### END SOLUTION


# %% try="whole_picture"
small = np.arange(12, dtype="float32").reshape(1, 2, 3, 2) / 10
print(np.asarray(whole_picture(small)).round(2))

# %% check="whole_picture"
check("whole_picture", whole_picture)

# %% [markdown]
# Conv2D, pooling, *map → sequence*, attention, mean, head: so the program was probably meant (`pooling.repaired_program`). We train it and the colleague's for its 10 epochs, and compare them on the validation scenes. Same parameters; the only difference is who may read whom.
#
# **Your guess first** (it takes a quarter of a minute): will the fault cost much? A guess at the commonest class gets about one scene in ten right.


# %% measured
ways = {"rows apart": pooling.colleague, "whole picture": vision.attend_over_picture}
models = {way: pooling.repaired_program(data, attend, SEED) for way, attend in ways.items()}
right = {way: vision.accuracy(model, data.validation) for way, model in models.items()}
majority = np.mean(data.validation.labels == np.bincount(data.train.labels).argmax())
print(f"majority class {majority:.2f}")
for way, model in models.items():
    print(f"{way:14} {right[way]:.2f}   {model.count_params():,} parameters")
claim("both learn: 0.1 above the majority class", min(right.values()) > majority + 0.1)
claim("the whole picture helps", right["rows apart"] < right["whole picture"])

# %% [markdown]
# From one run of each nothing follows. Three of each (`python -m attnfuse.experiments.pooling --repair`): rows apart .54, .54, .56; the whole picture .77, .76, .76. The fault costs far more than changing between these three seeds.

# %% [markdown]
# ## 3 · One vector from many places
#
# A classifier needs *one* vector.
#
# - **Average pooling** takes the mean of all places, digit and clutter alike.
# - **Flattening** strings them together, so that the head has weights of its own for each place.
# - **Attention pooling** takes a weighted mean.
#
# By hand, four places with two channels, and a query (2, 0) that likes the first channel:
#
# | place | content | score | weight |
# |---|---|---|---|
# | clutter | (0, 1) | 0 | 0.02 |
# | **digit** | (2, 1) | **4** | **0.95** |
# | paper | (0, 0) | 0 | 0.02 |
# | clutter | (0, 3) | 0 | 0.02 |

# %%
places = np.array([[0.0, 1], [2, 1], [0, 0], [0, 3]])
weights = attention.softmax((places @ [2.0, 0.0])[None])[0]
print("weights:        ", weights.round(2))
print("weighted mean:  ", (weights @ places).round(2))
print("average pooling:", places.mean(axis=0), " flattened:", places.ravel())

# %% [markdown] task="query_pooling"
# In a network the query is learnt: *one*, the same for all pictures. So are a matrix W and a bias b that turn contents into keys (Yang et al., 2016):
#
# $$k_s = \tanh(x_s W + b) \qquad \alpha = \text{softmax}_s(k_s \cdot q) \qquad c = \sum_s \alpha_s x_s$$
#
# $x_s$ is the content of place s; c is the context, which goes to the head. The part that makes the weights, here a dense layer and a softmax, is what the first article calls an **attention network**; section 7 has its relatives.
#
# Finish the layer; `build` is given.
#
# - `places` is `(B, S, C)`, S places with C channels. `units` is the width of a key.
# - Return `(context, weights)`, `(B, C)` and `(B, S)`: the formula above. In each picture the weights sum to 1.
#
# (`vision.QueryPooling` is switched off.)
#
# <details><summary>Hint</summary>
#
# Write the shape behind each line. Which axis counts the places when you come to the softmax?
#
# </details>


# %% exercise="query_pooling"
class QueryPooling(keras.layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, places_shape):
        C = places_shape[-1]
        self.key_matrix = self.add_weight(shape=(C, self.units), name="key_matrix")  # W
        self.bias = self.add_weight(shape=(self.units,), name="bias")  # b
        self.query = self.add_weight(shape=(self.units,), name="query")  # q

    def call(self, places):
        """Return context (B, C) and weights (B, S)."""
        ### BEGIN SOLUTION
        keys = ops.tanh(ops.matmul(places, self.key_matrix) + self.bias)  # (B, S, units)
        weights = ops.softmax(ops.sum(keys * self.query, axis=-1), axis=-1)  # (B, S)
        return ops.sum(weights[..., None] * places, axis=1), weights
        ### END SOLUTION


# %% try="query_pooling" measured=true
my_context, my_weights = QueryPooling(units=5)(np.ones((2, 4, 3), "float32"))
print("context:", my_context.shape, " weights:", np.asarray(my_weights).round(2).tolist())

# %% check="query_pooling"
check("query_pooling", QueryPooling)

# %% [markdown]
# What is learnt is W, b and q. The *weights* are computed for each picture, from what stands at its places.
#
# ## 4 · Who knows where?
#
# In **self-attention** every place asks every place: S queries, S keys. Each place *adds* the mixture it hears to its own content; then we average. **Positions** are a learnt vector for each place, added to its content, so that content can say where it stands.
#
# Which of these ways to pool knows *where* something is? Think first; section 5 measures it.

# %% [markdown] task="shuffled_places"
# The encoder has made a map of 36 places. We shuffle them, the same content at other places, and go on. For which of these networks does the **answer** change? (Fixed, random weights; the head after the pooling is a dense layer.)
#
# 1. Average pooling.
# 2. Flattening.
# 3. Attention pooling with a learnt query.
# 4. Self-attention, then the average.
# 5. Positions added, then self-attention, then the average.
# 6. Self-attention, then positions added, then the average.
#
# Answer with six of True (changes) and False (stays).
#
# <details><summary>Hint</summary>
#
# For number 6, write the mean of xₛ + pₛ as two means.
#
# </details>

# %% exercise="shuffled_places"
answer_changes = None  # your answer: six of True and False
### BEGIN SOLUTION
answer_changes = (False, True, False, False, True, False)  # in 6 the mean of p is a constant
### END SOLUTION

# %% try="shuffled_places"
for number, changes in enumerate(answer_changes, start=1):
    print(f"network {number}: the answer {'changes' if changes else 'stays'}")

# %% check="shuffled_places"
check("shuffled_places", answer_changes)

# %% [markdown]
# ## 5 · A fair comparison
#
# Five models with one encoder: the program's two convolutions, now with padding (a 24×24 scene gives 6×6 places), and *batch normalisation* after each: every channel gets mean 0 and spread 1 over a training batch, then a learnt mean and spread.
#
# Every way to pool has the learning rate that suits **it** best on validation scenes (`python -m attnfuse.experiments.pooling --settings` tries five), 4 epochs, three seeds. (Four epochs are too few for flattening; below it gets more.)

# %% [markdown]
# **Write down a guess before you run the next cell** (about a minute): what share of the test scenes will average pooling, flattening, attention pooling get right?

# %% measured
kinds = ("average", "flatten", "query", "self", "self+places")
models = pooling.train_all(data, kinds, seeds=3)

# %% measured
print(f"{'1,000 test scenes':22}{'parameters':>10}{'each seed':>23}   mean  ± mean  ± seed")
right = {kind: [vision.accuracy(model, data.test) for model in models[kind]] for kind in kinds}
for kind in kinds:
    mean, half = vision.interval(right[kind])
    each = "  ".join(f"{share:.3f}" for share in right[kind])
    row = f"{vision.NAMES[kind]:22}{models[kind][0].count_params():10}{each:>23}"
    print(f"{row}  {mean:.3f}   {half:.3f}   {half * (3 + 1) ** 0.5:.3f}")
majority = np.mean(data.test.labels == np.bincount(data.train.labels).argmax())
print(f"{'majority class':22}{majority:40.3f}")
mean = {kind: np.mean(shares) for kind, shares in right.items()}
claim("attention pooling: more than 9 of 10", mean["query"] > 0.9)
claim("far more than flattening after 4 epochs", mean["query"] - mean["flatten"] > 0.3)
claim("average pooling is within 0.04 of it", abs(mean["query"] - mean["average"]) < 0.04)
claim("self-attention is no better", max(mean["self"], mean["self+places"]) < mean["query"] + 0.02)

# %% [markdown]
# Two 95 % intervals: "± mean" for the *mean* of very many seeds, "± seed" for *one more seed*. With n seeds the second is √(n + 1) times as wide: twice, for three. Both are for these scenes.
#
# **Three seeds cannot tell average pooling from attention pooling**: their means differ by less than one more seed may change. Max pooling, which takes each channel's largest value and has no weights either, gets .93, .95, .94 (same script without `--settings`). Self-attention has more parameters and is no better.

# %% [markdown]
# How can a plain mean read one digit among six pieces? We look at the places in the digit's box, and at all others: how *long* are their contents, as vectors, and how much do they weigh? Then we *erase* contents, setting them to zero between encoder and pooling.

# %% measured
found = {}
for kind in ("average", "query"):
    rows = [pooling.reliance(model, data.validation) for model in models[kind]]
    long, short, heavy, light, only, without = found[kind] = np.mean(rows, axis=0)
    print(vision.NAMES[kind])
    print(f"  mean length of a content: {long:6.1f} in the box, {short:6.1f} elsewhere")
    print(f"  mean weight of a place:   {heavy:6.3f} in the box, {light:6.3f} elsewhere")
    print(f"  right, all but the box erased: {only:.2f};  the box erased: {without:.2f}")
both = np.array(list(found.values()))
claim("both live on the places in the box", both[:, 4].min() > 0.9 and both[:, 5].max() < 0.3)
claim("average pooling by long contents", found["average"][0] > 2.5 * found["average"][1])
claim("attention pooling by large weights", found["query"][2] > 10 * found["query"][3])

# %% [markdown]
# Both answer from the places in the box and lose next to nothing without the others. (A place has read more than its own 4×4 pixels, as section 6 shows.) Attention turns the others down with *weights*. Under average pooling, **the encoder does that itself**: contents are long where the digit is, short elsewhere, and the mean is still readable.

# %% [markdown]
# Without batch normalisation average pooling falls behind, one seed less than the others. Each way at its best rate and three times as many epochs, three seeds (`python -m attnfuse.experiments.pooling`): average pooling .58, .56, .75; attention .92, .92, .94; max pooling .95, .95, .93.

# %% measured
print(f"{'validation scenes':22}  in order   shuffled   answers changed")
shuffled = {}
for kind in kinds:
    rows = [pooling.shuffle_places(model, data.validation) for model in models[kind]]
    before, after, changed = shuffled[kind] = np.mean(rows, axis=0)
    print(f"{vision.NAMES[kind]:22}{before:10.3f}{after:11.3f}{changed:18.3f}")
most = max(shuffled[kind][2] for kind in ("average", "query", "self"))
claim("without positions the order does not matter", most < 0.005)
claim("flattening answers otherwise", shuffled["flatten"][2] > 0.2)
before, after, changed = shuffled["self+places"]
claim("with positions some answers change, few scenes are lost", abs(before - after) < 0.05)

# %% [markdown]
# As exercise 3 says: where nothing belongs to a place, no answer changes. With positions some do, but about as many are right: here a digit's place says nothing about its class.
#
# Flattening's head has weights for each place, so it has to learn each digit at each place anew. More time helps: after 12 epochs (same script, mean of three seeds) it is right on .63 of the test scenes. Average and attention pooling then stand at .96.

# %% [markdown]
# ## 6 · Does attention point at the digit?
#
# From here on a *map* has one number for each place. The weights of attention pooling are such a map, 6×6, with a place every 4 pixels. The place in row i and column j has its **middle** at pixel (4i + 2, 4j + 2). The map **points at** the place with the largest weight. It hits if the middle of that place lies in the true box. (Self-attention has 36 rows of weights; its map is their mean.)

# %% [markdown]
# A place has *read* more than 4×4 pixels. We change one pixel after the other: when does the content of place (2, 2) move?

# %% measured
paper = np.random.default_rng(0).random((1, 24, 24, 1), dtype="float32")
dots = paper + 9 * np.eye(576, dtype="float32").reshape(576, 24, 24, 1)  # one pixel each
contents = [np.asarray(models["query"][0].encode(x))[:, 2 * 6 + 2] for x in (paper, dots)]
moves = np.abs(contents[1] - contents[0]).max(axis=1) > 1e-3
seen = np.argwhere(moves.reshape(24, 24))
print("from pixel", seen.min(axis=0), "to", seen.max(axis=0))
claim("10×10 pixels, their middle at 10", (seen.min(axis=0) == 5).all() and seen.max() == 14)

# %% [markdown]
# So the map is blunter than it looks. How often would a *blind* map hit?

# %% [markdown] task="pointing_by_chance"
# A map points at one of its 36 places, each as likely as any other. The box is 8×8 pixels, at any whole pixel of the 24×24 scene: top ≤ y < bottom, left ≤ x < right. What share of the maps hits? One number.
#
# <details><summary>Hint</summary>
#
# One direction first: how many of the middles 2, 6, 10, 14, 18, 22 lie in 5 ≤ y < 13? Does it depend on the 5?
#
# </details>

# %% exercise="pointing_by_chance"
chance = None  # your answer: a share
### BEGIN SOLUTION
chance = 4 / 36  # two middles in each direction, wherever the box is
### END SOLUTION

# %% try="pointing_by_chance"
print(f"of 900 such maps you expect {900 * chance:.0f} to hit")

# %% check="pointing_by_chance"
check("pointing_by_chance", chance)

# %% [markdown]
# The best blind map draws no lots: it points always at the place that lies in most boxes of the training scenes. Boxes cover the middle of a scene more often than its border. **That** is the number to beat.

# %%
often = vision.in_box(data.train.boxes).mean(axis=0)  # for each place: in how many boxes?
print(often.reshape(6, 6).round(2))
constant = vision.in_box(data.test.boxes)[:, often.argmax()].mean()
print(f"always place {often.argmax()}: hits in {constant:.3f} of the test scenes")
print(f"expected, 8 of 17 positions in each direction: {(8 / 17) ** 2:.3f}")
claim("above 0.18: well above a map that points at random", constant > 0.18)

# %% [markdown] task="points_at_digit"
# Write `points_at_digit(weights, boxes, columns, stride)`.
#
# - `weights` `(B, S)`: a weight for each place, numbered row by row. `columns` places make a row.
# - `boxes` `(B, 4)`: top, left, bottom, right in pixels, maybe with fractions; top and left belong to the box, bottom and right do not.
# - `stride`: pixels from one place to the next. The middle of row i is at y = (i + ½) · stride, that of column j at x = (j + ½) · stride.
#
# Return bool `(B,)`: does the middle of the place with the largest weight lie in the box? The check uses maps that are not square; no map has two largest weights.
#
# <details><summary>Hint</summary>
#
# With 6 columns, place 7 stands in row 1, column 1. `np.divmod` gives both at once.
#
# </details>


# %% exercise="points_at_digit"
def points_at_digit(weights, boxes, columns, stride):
    """Whether the largest weight stands in the box: (B, S), (B, 4) → bool (B,)."""
    ### BEGIN SOLUTION
    i, j = np.divmod(np.argmax(weights, axis=1), columns)
    middle = np.stack([i + 0.5, j + 0.5], axis=1) * stride  # (B, 2): y, x
    return ((boxes[:, :2] <= middle) & (middle < boxes[:, 2:])).all(axis=1)
    ### END SOLUTION


# %% try="points_at_digit" measured=true
my_hits = points_at_digit(
    vision.looks(models["query"][0], data.validation.images), data.validation.boxes, 6, 4
)
print(f"on {len(my_hits)} validation scenes: {np.mean(my_hits):.3f}")

# %% check="points_at_digit"
check("points_at_digit", points_at_digit)

# %% [markdown]
# Two rivals need no attention. The first belongs to average pooling (Zhou et al., 2016). Its head is linear, so the logit of class k is a mean over places:
#
# $$l_k = b_k + \frac{1}{S} \sum_s x_s \cdot w_k$$
#
# $w_k$ is the head's column for class k. Each place brings its own $x_s \cdot w_k$. For the model's favourite class, these S numbers are the **class activation map**. By hand, for one scene:

# %% measured
model, scene = models["average"][0], data.validation.images[:1]
logits = np.asarray(model(scene))[0]
favourite = logits.argmax()
column, bias = (np.asarray(x)[..., favourite] for x in (model.head.kernel, model.head.bias))
added = np.asarray(model.encode(scene))[0] @ column  # what each place brings, (36,)
print(added.reshape(6, 6).round().astype(int))
print(f"mean {added.mean():.2f} + bias {bias:.2f}: the logit is {logits[favourite]:.2f}")
claim("the map's mean and the bias are the logit", abs(added.mean() + bias - logits.max()) < 1e-3)
course = vision.class_activation(model, scene)[0]
claim("this is `vision.class_activation`", np.allclose(course, added, atol=1e-3))


# %% measured
def ink(images):
    """The ink in each place's 4×4 pixels: (B, 24, 24, 1) → (B, 36)."""
    return images.reshape(-1, 6, 4, 6, 4).sum(axis=(2, 4)).reshape(-1, 36)


inside, inked = vision.in_box(data.validation.boxes), ink(data.validation.images) > 0
added = vision.class_activation(model, data.validation.images)
brings = [added[some].mean() for some in (inside, ~inside & inked, ~inside & ~inked)]
print(
    "on average a place brings: in the box {:.1f}, other ink {:.1f}, paper {:.1f}".format(*brings)
)
claim("clutter brings little: less than a tenth", brings[1] < brings[0] / 10)

# %% [markdown] task="occlusion"
# The second rival is the **occlusion map** (Zeiler and Fergus, 2014): cover a patch of 4×4 pixels with paper and note how much probability the favourite class loses.
#
# Write `occlusion(predict, image, patch)` for one picture, with patches side by side.
#
# - `predict` takes pictures `(B, height, width)` and returns probabilities `(B, classes)`.
# - `image` is `(height, width)`; both are multiples of `patch`. Leave it as it is.
# - Return float `(height / patch, width / patch)`: the probability of the picture's favourite class, before minus after this patch is set to 0.
#
# <details><summary>Hint</summary>
#
# The favourite is chosen once, from the whole picture.
#
# </details>


# %% exercise="occlusion"
def occlusion(predict, image, patch):
    """What the favourite class loses when a patch is covered: (height, width) → (h, w)."""
    ### BEGIN SOLUTION
    whole = np.asarray(predict(image[None]))[0]
    losses = np.zeros((image.shape[0] // patch, image.shape[1] // patch))
    for i, j in np.ndindex(losses.shape):
        holed = image.copy()
        holed[i * patch : (i + 1) * patch, j * patch : (j + 1) * patch] = 0
        losses[i, j] = whole.max() - np.asarray(predict(holed[None]))[0, whole.argmax()]
    return losses
    ### END SOLUTION


# %% try="occlusion" measured=true
first = data.validation.images[0, :, :, 0]
my_losses = occlusion(lambda x: vision.probabilities(models["average"][0], x[..., None]), first, 4)
print(my_losses.round(2))

# %% check="occlusion"
check("occlusion", occlusion)

# %% measured
maps = pooling.pointing(models, data.test)
hits = {name: pooling.hits(several, data.test) for name, several in maps.items()}
share = {name: found.mean() for name, found in hits.items()}
print(f"{'points at the digit':35}mean    each seed")
for name, found in hits.items():
    each = "  ".join(f"{row.mean():.3f}" for row in found)
    print(f"{name:35}{share[name]:.3f}   {each}")
print(f"{'always the same place':35}{constant:.3f}")
print(
    f"{'the place with most ink':35}{pooling.hits([ink(data.test.images)], data.test).mean():.3f}"
)
weights, _, _, activation, covered = share.values()
claim("attention pooling points at the digit in more than 9 of 10", weights > 0.9)
claim("class activation about as often", abs(weights - activation) < 0.05)
claim("occlusion less often, but in more than 8 of 10", 0.8 < covered < weights)

# %% [markdown]
# Attention points at the digit in more than 9 of 10 test scenes; the best blind map in about 2 of 9, and whoever points at the most ink hardly more often. But average pooling has **no attention at all**, and three seeds cannot tell its class activation map from attention. Its occlusion map points a little less often. To find the digit, attention's weights were not needed.

# %% [markdown]
# Here are maps of the first seed, each in its own scale, negative values as 0.

# %% measured
scenes, boxes = data.validation.images[:7], data.validation.boxes[:7]
attending, averaging = models["query"][0], models["average"][0]
drops = vision.occlusion_map(lambda x: vision.probabilities(averaging, x), scenes)
rows = {
    "scene": scenes[..., 0],
    "attention:\nweights": vision.to_picture(vision.looks(attending, scenes)),
    "average:\nactivation": vision.to_picture(vision.class_activation(averaging, scenes)),
    "average:\nocclusion": vision.to_picture(drops),
}
rows = {name: np.maximum(pictures, 0) for name, pictures in rows.items()}
title = "The maps are mostly darkest where the digit is"
fig = plot.picture_rows(rows, data.validation.labels[:7], title, boxes)
alt = "Seven scenes, and below each the attention map of one model and two maps of another without attention, class activation and occlusion; in nearly all, the darkest patches lie in the frame of the true digit."
plot.show(fig, alt=alt)

# %% [markdown]
# Does the answer *rest* on the marked place? Then the map is **faithful**. A test: cover 4×4 pixels at the largest place, at a random one, or at another in the same box. How much probability does the favourite class lose?

# %% measured
print(f"{'probability lost':35}largest   random   same box")
for kind, name in (("query", "weights"), ("average", "class activation")):
    name = f"{vision.NAMES[kind]}: {name}"
    pairs = zip(models[kind], maps[name], strict=True)
    each = [pooling.covering(model, marked, data.test) for model, marked in pairs]
    largest, random, beside = np.mean(each, axis=0)
    print(f"{name:35}{largest:7.2f}{random:9.2f}{beside:11.2f}")
    claim("the largest place costs more than five random ones", largest > 5 * random)
    claim("and more than another place of the digit", largest > beside + 0.1)

# %% [markdown]
# Both pass: covering the marked place costs more, on average, than covering another place of the digit. So the largest weight marks a place that this model rests on; so does the map without attention. (The smaller weights were not tested.) Whether that *explains* an answer is disputed (Jain and Wallace 2019; Wiegreffe and Pinter 2019). Two things it does not tell:

# %% measured
pointed = hits["attention pooling: weights"]  # (3, 1,000)
guesses = [vision.probabilities(m, data.test.images).argmax(axis=1) for m in models["query"]]
correct = np.array(guesses) == data.test.labels
for name, some in (("at the digit", pointed), ("elsewhere", ~pointed)):
    wrong = np.sum(some & ~correct)
    print(
        f"it points {name:12}: {wrong:3} of {some.sum():4} answers wrong ({wrong / some.sum():.2f})"
    )
claim(
    "fewer wrong where it points at the digit", correct[pointed].mean() > correct[~pointed].mean()
)
claim("more than 4 of 10 errors are made there", pointed[~correct].mean() > 0.4)

# %% measured
erased = data.test.images.copy()
for scene, (top, left, bottom, end) in zip(erased, data.test.boxes, strict=True):
    scene[top:bottom, left:end] = 0  # now there is no digit at all
peaks = [
    np.mean([vision.looks(model, images).max(axis=1) for model in models["query"]])
    for images in (data.test.images, erased)
]
print("the largest of 36 weights, on average: with the digit {:.2f}, erased {:.2f}".format(*peaks))
largest = np.transpose([vision.looks(m, erased).argmax(axis=1) for m in models["query"]])
clutter_hit = np.mean(np.take_along_axis(ink(erased), largest, axis=1) > 0)
print(f"erased, the largest weight stands on ink: {clutter_hit:.2f}")
claim("without a digit it points at clutter", peaks[1] > 0.3 and clutter_hit > 0.8)
claim("though with less weight", peaks[1] < peaks[0] - 0.1)

# %% [markdown]
# The map says where the model looked, not what it read. Where it points elsewhere, nearly half of the answers are wrong; but more than half of all errors are made while it points at the digit. And it is no proof that a digit is there: with the digit erased the largest weight falls, and stands on clutter.

# %% [markdown]
# ## 7 · The other attention networks
#
# "Attention networks", says the first article (section 3.1), "usually consist of an RNN or a CNN". Ours was a dense layer. What differs is what a *score* may read: we change one place.

# %%
moves = [pooling.scores_that_move(kind, row=2, column=2) for kind in ("query", "conv", "rnn")]
dense, near, after = (int(moved.sum()) for moved in moves)
claim("dense: one score moves, CNN 3×3: nine", (dense, near) == (1, 9))
claim("RNN: this one and those that are read later", after > 9 and not moves[2][:2].any())
captions, place = ["dense", "CNN 3×3", "RNN"], np.array([2, 2, 3, 3])
title = "The framed place changes: dark scores move"
fig = plot.picture_rows({"6×6 scores": np.array(moves)}, captions, title, [place] * 3)
alt = "Three 6 by 6 maps: one dark cell; a dark 3 by 3 square around it; all cells from that place on, row by row."
plot.show(fig, alt=alt)

# %% [markdown]
# A CNN sees a place's neighbours too. An RNN has read all places before, in an order that pictures do not have.
#
# On the test scenes three seeds cannot tell them apart (`python -m attnfuse.experiments.pooling`; mean and its interval): CNN .940 ± .034, RNN .942 ± .021, dense .952 ± .020. (The encoder is a CNN itself: even the dense one's places know their neighbours.)

# %% [markdown]
# ## What to remember
#
# - Map → sequence: `(B, h·w, C)`, channels last. Attention works on the last two axes.
# - Attention pooling: one learnt query; weights computed for each picture, by a softmax over places.
# - Compare fairly. With normalisation, average and max pooling could not be told from attention pooling; max pooling kept up without, too.
# - Attention points at the digit in more than 9 of 10 scenes (the best blind map: 2 of 9); class activation about as often, occlusion a little less. With the digit erased, it points at clutter.
#
# | | |
# |---|---|
# | sources | Xu et al. 2015, "Show, Attend and Tell"; Yang et al. 2016, "Hierarchical Attention Networks for Document Classification"; Vaswani et al. 2017, "Attention Is All You Need"; Zeiler & Fergus 2014, "Visualizing and Understanding Convolutional Networks" (occlusion); Zhou et al. 2016, "Learning Deep Features for Discriminative Localization" (class activation); Jain & Wallace 2019, "Attention is not Explanation"; Wiegreffe & Pinter 2019, "Attention is not not Explanation"; Ioffe & Szegedy 2015, "Batch Normalization" |
# | data | scikit-learn's digits (UCI; Alpaydin & Kaynak 1998, CC BY 4.0) |
# | in Keras | `keras.layers.Attention`, `GlobalAveragePooling2D`, `Reshape` |
# | in attnfuse | `vision.SceneModel`, `vision.QueryPooling`, `vision.occlusion_map`, `data.clutter` |
# | next | [09 · Fusion](09_fusion.ipynb), where two kinds of input meet |
