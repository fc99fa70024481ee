# ---
# jupyter:
#   attnfuse:
#     title: Attention over pictures
#     sentence: A digit among pieces of other digits, five ways to pool a picture into one answer, and a test of whether attention points where the digit is.
#     you_will: [repair a published image classifier until it learns, compare attention pooling with baselines that were given a fair chance, measure how often attention points at the digit]
#     needs: [00_start_here, 01_attention_pooling, 02_scaled_dot_product, 05_keras_attention_layers]
#     minutes: 60
#     seconds: 100
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

    from attnfuse import training, vision

SEED = 0

# %% [markdown]
# ## Warm-up: three questions on earlier lessons
#
# The hour covers the text and the four exercises with points. The two others take a quarter of an hour more.

# %% quiz="08-equal-scores"

# %% quiz="08-queries-shuffled"

# %% quiz="08-pooled"

# %% [markdown]
# ## 1 · A digit in clutter
#
# Each scene, 24×24 pixels, holds one **whole digit** of 8×8, anywhere, and six 5×5 **pieces** of other digits. Which digit is whole? We made the scenes from scikit-learn's handwritten digits, so we know the true *box* of each, and never tell a model.
#
# 3,000 scenes to learn from, 600 to choose settings with, 1,000 for the test. Each part is made of its own digits, pieces included; the same people wrote all of them.

# %%
data = clutter.load(seed=0)
some, boxes = data.validation.images[:7, :, :, 0], data.validation.boxes[:7]
fig = vision.draw({"scene": some}, data.validation.labels[:7], "One digit is whole", boxes)
plot.show(
    fig,
    alt="Seven scenes in grey: strokes in several places, and a frame around the one whole digit.",
)

# %% [markdown]
# ## 2 · A published program, repaired
#
# This model stands in an article that this course grew out of (its section 4), as printed but for comments and layout. It expects three colour channels. What will happen?


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
# `Attention` wants a list, query and value. A colleague gives it the map twice, `Attention()([x, x])`, averages over all places, and adds the missing **head**: `Dense(10, softmax)`. A *map* is what a convolution returns: `(B, h, w, C)`, h rows and w columns of *places* with C channels each.
#
# Now it runs, and even learns. Something is still wrong with it.


# %%
def colleague(maps):
    return keras.layers.Attention()([maps, maps])


maps = np.zeros((1, 4, 4, 64), "float32")
changed = maps.copy()
changed[0, 3, 0] = 1.0  # another content at one place, below on the left
moved = np.abs(np.asarray(colleague(changed)) - np.asarray(colleague(maps))).max(axis=-1)[0]
print("map in:", maps.shape, " map out:", colleague(maps).shape)
print("which places notice the change?\n", np.where(moved > 0, "yes", "-"))

# %% [markdown] task="whole_picture"
# Find the fault and write `whole_picture(maps)`.
#
# - `maps` is float `(B, h, w, C)`. Return the same shape: at each place the mixture of **all** h·w places of its own picture.
# - Queries, keys and values are the places themselves, scores are dot products without a scale: what `keras.layers.Attention()` does by default. You may use it, and `ops.reshape`.
#
# Places are numbered row by row. h and w differ in the check, and pictures must not read each other. (`vision.to_sequence` is switched off.)
#
# <details><summary>Hint</summary>
#
# Lesson 05: over which axis does the layer attend? Print the shape of its weights with `return_attention_scores=True`.
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
# Conv2D, pooling, *map → sequence*, attention, mean, head: the program as it was probably meant. We train it and the colleague's for the article's 10 epochs, and compare them on the validation scenes. Same parameters; the only difference is who may read whom.


# %% measured
def article_model(attend):
    keras.utils.set_random_seed(SEED)
    image = x = keras.Input((24, 24, 1))
    for channels in (32, 64):
        x = keras.layers.Conv2D(channels, kernel_size=(3, 3), activation="relu")(x)
        x = keras.layers.MaxPooling2D(pool_size=(2, 2))(x)
    x = keras.layers.GlobalAveragePooling2D()(attend(x))
    model = keras.Model(image, keras.layers.Dense(10, activation="softmax")(x))
    model.compile(optimizer="adam", loss="categorical_crossentropy", jit_compile=False)
    training.fit(model, data.train.images, y_train, epochs=10, name=attend.__name__)
    return vision.accuracy(model, data.validation)


repaired = [article_model(attend) for attend in (colleague, vision.attend_over_picture)]
majority = np.mean(data.validation.labels == np.bincount(data.train.labels).argmax())
print("majority class {:.2f}, rows apart {:.2f}, whole picture {:.2f}".format(majority, *repaired))
claim("both learn; reading the whole picture helps", majority + 0.1 < repaired[0] < repaired[1])

# %% [markdown]
# ## 3 · One vector from many places
#
# A classifier needs *one* vector. **Average pooling** takes the mean of all places, digit and clutter alike. **Flattening** strings them together, so that the head has weights of its own for each place. **Attention pooling** takes a weighted mean. By hand, four places with two channels, and a query (2, 0) that likes the first channel:
#
# | place | content | score | weight |
# |---|---|---|---|
# | clutter | (0, 1) | 0 | 0.02 |
# | **digit** | (2, 1) | **4** | **0.94** |
# | paper | (0, 0) | 0 | 0.02 |
# | clutter | (0, 3) | 0 | 0.02 |

# %%
places = np.array([[0.0, 1], [2, 1], [0, 0], [0, 3]])
weights = attention.softmax((places @ [2.0, 0.0])[None])[0]
print("weights:        ", weights.round(2))
print("weighted mean:  ", (weights @ places).round(2))
print("average pooling:", places.mean(axis=0), " flattened:", places.ravel())

# %% [markdown]
# An article of this course calls the part that makes the weights an **attention network**: a dense layer with an activation, and softmax. As in Yang et al. (2016), with a learnt matrix W, a learnt bias b and *one learnt query*, the same for all pictures:
#
# $$k_s = \tanh(x_s W + b) \qquad \alpha = \text{softmax}_s(k_s \cdot q) \qquad c = \sum_s \alpha_s x_s$$
#
# $x_s$ is the content of place s; c is the context, which goes to the head.

# %% [markdown] task="query_pooling"
# Finish the layer; `build` is given.
#
# - `places` is `(B, S, C)`, S places with C channels.
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

# %% check="shuffled_places"
check("shuffled_places", answer_changes)

# %% [markdown]
# ## 5 · A fair comparison
#
# Five models with one encoder: article 1's two convolutions, now with padding, so that a 24×24 scene gives a map of 6×6 places, and with *batch normalisation* after each. Each way to pool gets the learning rate that suited **it** best on the validation scenes, the same 4 epochs, and three seeds.
#
# **Write down a guess before you run the next cell** (about a minute): what share of the test scenes will average pooling, flattening and attention pooling get right?

# %% measured
kinds = ("average", "flatten", "query", "self", "self+places")
models = vision.train_all(data, kinds, seeds=3)

# %% measured
print(f"{'1,000 test scenes':22}{'parameters':>10}{'each seed':>19}   mean and 95 % interval")
right = {kind: [vision.accuracy(model, data.test) for model in models[kind]] for kind in kinds}
for kind in kinds:
    mean, half = vision.interval(right[kind])
    each = "  ".join(f"{share:.3f}" for share in right[kind])
    size = models[kind][0].count_params()
    print(f"{vision.NAMES[kind]:22}{size:10}{each:>19}   {mean:.3f} ± {half:.3f}")
majority = np.mean(data.test.labels == np.bincount(data.train.labels).argmax())
print(f"{'majority class':22}{majority:48.3f}")
mean = {kind: np.mean(shares) for kind, shares in right.items()}
claim("attention pooling: 9 of 10", mean["query"] > 0.9)
claim("far more than flattening", mean["query"] - mean["flatten"] > 0.3)
claim("but about as much as average pooling", abs(mean["query"] - mean["average"]) < 0.04)

# %% [markdown]
# **Average pooling ties with attention pooling.** The digit needs no spotlight here: behind a good encoder the features of clutter can fall silent, and a mean of silence and a digit is still readable. Self-attention has more parameters and is no better.
#
# (benchmark)

# %% measured
print(f"{'validation scenes':22}  in order   shuffled   answers changed")
for kind in kinds:
    rows = [vision.shuffle_places(model, data.validation) for model in models[kind]]
    before, after, changed = np.mean(rows, axis=0)
    print(f"{vision.NAMES[kind]:22}{before:10.3f}{after:11.3f}{changed:18.3f}")
    if kind in ("average", "query", "self"):
        claim("order does not matter", changed < 0.005)
    if kind == "flatten":
        claim("flattening answers otherwise", changed > 0.2)

# %% [markdown]
# As predicted: where nothing belongs to a place, no answer changes. With positions, some do, but just as many scenes are right: in this task a digit's place says nothing about its class, so positions have nothing to add. (To be exact, the encoder does see a little of where a place is: its padding lies at the border.)
#
# Flattening fails for the opposite reason. It has to learn each digit at each place anew, and 3,000 scenes are too few.

# %% [markdown]
# ## 6 · Does attention point at the digit?
#
# The weights of attention pooling are a map, 6×6. Each place stands for a patch of 4×4 pixels; its **middle** is at pixel 2, 6, 10, … in both directions. The map **points at** the patch with the largest weight. It hits if that middle lies in the true box.
#
# How often would a blind map hit?

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

# %% check="pointing_by_chance"
check("pointing_by_chance", chance)

# %% [markdown] task="points_at_digit"
# Write `points_at_digit(weights, boxes, columns, stride)`.
#
# - `weights` `(B, S)`: a weight for each place, numbered row by row. `columns` places make a row.
# - `boxes` `(B, 4)`: top, left, bottom, right in pixels; bottom and right do not belong to the box.
# - `stride`: pixels from one place to the next. The middle of row i is at y = (i + ½) · stride, that of column j at x = (j + ½) · stride.
#
# Return bool `(B,)`: does the middle of the place with the largest weight lie in the box? The check uses maps that are not square.
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

# %% [markdown] task="occlusion"
# A rival that needs no attention is the **occlusion map**: cover a patch of the scene with paper and note how much probability the model's favourite class loses. Where it loses most, it needed to see. It works for average pooling, too. Ours covers 8×8 pixels around each of the 36 middles.
#
# Write `occlusion(predict, image, patch)` for one picture, with patches side by side.
#
# - `predict` takes pictures `(B, height, width)` and returns probabilities `(B, classes)`.
# - `image` is `(height, width)`; both are multiples of `patch`.
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
print(
    occlusion(lambda x: vision.probabilities(models["query"][0], x[..., None]), first, 8).round(2)
)

# %% check="occlusion"
check("occlusion", occlusion)

# %% measured
images, boxes, hits = data.test.images, data.test.boxes, {}
for kind in ("query", "self", "self+places"):
    hits[f"{vision.NAMES[kind]}: weights"] = [
        vision.points_at(vision.looks(model, images), boxes, 6, 4) for model in models[kind]
    ]
for kind in ("query", "average"):
    model = models[kind][0]
    drops = vision.occlusion_map(lambda x, m=model: vision.probabilities(m, x), images)
    hits[f"{vision.NAMES[kind]}: occlusion, seed 0"] = [vision.points_at(drops, boxes, 6, 4)]
hits["always the middle of the scene"] = [
    vision.points_at(np.eye(36)[np.full(len(images), 14)], boxes, 6, 4)
]
for name, rows in hits.items():
    print(f"{name:38}" + "  ".join(f"{row.mean():.3f}" for row in rows))
print(f"{'by chance':38}{4 / 36:.3f}")

# %% [markdown]
# POINTING

# %% measured
scenes, boxes = data.validation.images[:7], data.validation.boxes[:7]
looked = vision.looks(models["query"][0], scenes)
drops = vision.occlusion_map(lambda x: vision.probabilities(models["query"][0], x), scenes)
rows = {
    "scene": scenes[..., 0],
    "attention": vision.to_picture(looked),
    "occlusion": vision.to_picture(np.maximum(drops, 0)),
}
fig = vision.draw(rows, data.validation.labels[:7], "Attention is sharper than occlusion", boxes)
alt = "Seven scenes, and below each its attention map and its occlusion map; in nearly all, the darkest patches lie in the frame of the true digit."
plot.show(fig, alt=alt)

# %% measured
model, found = models["query"][0], hits[f"{vision.NAMES['query']}: weights"][0]
correct = vision.probabilities(model, data.test.images).argmax(axis=1) == data.test.labels
print(f"it points at the digit, given a right answer: {found[correct].mean():.2f}")
print(f"                        given a wrong answer: {found[~correct].mean():.2f}")
erased = data.test.images.copy()
for scene, (top, left, bottom, right_edge) in zip(erased, data.test.boxes, strict=True):
    scene[top:bottom, left:right_edge] = 0  # now there is no digit at all
for name, x in {"with the digit": data.test.images, "digit erased": erased}.items():
    peak, sure = vision.looks(model, x).max(axis=1), vision.probabilities(model, x).max(axis=1)
    print(f"{name:15} largest weight {peak.mean():.2f}   favourite's probability {sure.mean():.2f}")
claim(
    "with nothing to point at, it still points",
    vision.looks(model, erased).max(axis=1).mean() > 0.2,
)

# %% [markdown]
# The map says where the model looked. It is **no explanation**, and no proof that something is there. Most wrong answers come from looking at the right place: it saw the digit and misread it. With the digit erased, softmax still has to spend its whole unit somewhere. And a place's content comes from 10×10 pixels, so a dark patch may speak for its neighbours.

# %% [markdown]
# ## 7 · The other attention networks
#
# "Attention networks", says our other article (section 3.1), "usually consist of an RNN or a CNN". Ours was a dense layer. They differ only in what a *score* may read:

# %%
maps = [vision.scores_that_move(kind, row=2, column=2) for kind in ("query", "conv", "rnn")]
dense, near, after = (int(moved.sum()) for moved in maps)
claim("dense: one score moves, CNN 3×3: nine", (dense, near) == (1, 9))
claim("RNN: this one and those that are read later", after > 9 and not maps[2][:2].any())
captions = ["dense", "CNN 3×3", "RNN"]
fig = vision.draw({"moved": np.array(maps)}, captions, "One place changes: which scores move?")
alt = "Three 6 by 6 maps: one dark cell; a dark 3 by 3 square around it; all cells from that place on, row by row."
plot.show(fig, alt=alt)

# %% [markdown]
# The dense one judges a place by itself. A CNN sees its neighbours too, which helps to tell a whole digit from a piece. An RNN has read all places before: an order that pictures do not have. (networks)

# %% [markdown]
# ## What to remember
#
# - Map → sequence: `(B, h·w, C)`, channels last. Attention works on the last two axes of whatever it gets, and never complains.
# - Attention pooling is average pooling with learnt weights: one query, a softmax over places.
# - Compare fairly. With normalisation and a learning rate of its own, average pooling ties.
# - Attention pointed at the digit in 96 of 100 scenes; chance is 11. It also points when nothing is there.
#
# | | |
# |---|---|
# | sources | Xu et al. 2015, "Show, Attend and Tell"; Yang et al. 2016, "Hierarchical Attention Networks for Document Classification"; Vaswani et al. 2017, "Attention Is All You Need"; Zeiler & Fergus 2014, "Visualizing and Understanding Convolutional Networks" (occlusion); Ioffe & Szegedy 2015, "Batch Normalization" |
# | data | scikit-learn's digits (UCI; Alpaydin & Kaynak 1998, CC BY 4.0) |
# | in Keras | `keras.layers.Attention`, `GlobalAveragePooling2D`, `Reshape` |
# | in attnfuse | `vision.SceneModel`, `vision.QueryPooling`, `vision.occlusion_map`, `data.clutter` |
# | next | [09 · Fusion](09_fusion.ipynb), where two kinds of input meet |
