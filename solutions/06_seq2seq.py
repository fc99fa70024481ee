# ---
# jupyter:
#   attnfuse:
#     title: Sequence to sequence
#     sentence: A small translator, German number words to English, first without attention, then with it, and what attention buys in a minute of training.
#     you_will: [train an encoder and a decoder with and without attention and compare them fairly, read from a map of weights how the translator reorders words, repair a published program one measured fault at a time]
#     needs: [00_start_here, 01_attention_pooling, 02_scaled_dot_product]
#     minutes: 60
#     seconds: 100
#     keras: true
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% setup
import numpy as np

from attnfuse import attention, check, claim, hint, plot, quiet, quiz
from attnfuse.data import number_words
from attnfuse.data.number_words import END, PAD, START

with quiet():  # TensorFlow greets the machine on stderr while it loads
    import keras
    import tensorflow as tf
    from keras import ops

    from attnfuse import models

SEED = 0

# %% quiz="06-padding"

# %% quiz="06-shape"

# %% quiz="06-long-key"

# %% [markdown]
# ## 1 · A small translation
#
# German writes a number as one long word, and in another order: *einundzwanzig* is "one-and-twenty". We translate the numbers 0 to 9,999 from German **letters** to English **words**: 4,000 numbers to learn from, 500 to choose settings with, 500 for the test. No number is in two parts.
#
# It is *translation-like*: few words, a regular grammar. True translation does not fit into a minute of training.

# %%
data = number_words.load(seed=0)
one = number_words.pairs([21])  # our running example
some = number_words.pairs([7, 21, 1100, 4321])
for number, german, english in zip(some.number, some.german, some.english, strict=True):
    print(f"{number:5}  {german} → {english}")
print("\nsource (B, S):", data.train.source.shape, "  target (B, T):", data.train.target.shape)
print("target of 21:", one.target[0], "=", [data.words[token] for token in one.target[0]])

# %% [markdown]
# Tokens are numbers: 0 is padding (PAD), 1 START, 2 END. Every target closes with END, because a translator must also know when to stop.
#
# ## 2 · What the decoder reads while it learns
#
# The decoder writes word after word, and reads what it has written so far. While it learns, we show it the *right* words before, so that one slip does not spoil the rest: **teacher forcing**. For 21:
#
# | position | 0 | 1 | 2 |
# |---|---|---|---|
# | it reads | START | twenty | one |
# | it must write | twenty | one | END |

# %% [markdown] task="shift_targets"
# Write `shift(target)`. `target` is int `(B, T)`, such as `data.train.target`. Return what the decoder reads, int `(B, T)`: each row begins with START, and at position t stands the token that is to be written at t−1.
#
# Behind a sentence's END the row may hold whatever the rule gives; padding is left out of the loss.
#
# <details><summary>Hint</summary>
#
# Which column of the target is never read?
#
# </details>


# %% exercise="shift_targets"
def shift(target):
    """What the decoder reads while it learns to write target: int (B, T) → int (B, T)."""
    ### BEGIN SOLUTION
    first = np.full((len(target), 1), START)
    return np.concatenate([first, target[:, :-1]], axis=1)  # the last token is never read
    ### END SOLUTION


# %% try="shift_targets"
print("reads: ", [data.words[token] for token in shift(one.target)[0]])
print("writes:", [data.words[token] for token in one.target[0]])

# %% check="shift_targets"
check("shift_targets", shift)

# %% [markdown]
# ## 3 · An encoder and a decoder, without attention
#
# The **encoder**, a GRU in each direction, reads the letters: one state of 64 numbers per letter. Its two last states together make a **summary**, 64 numbers. The **decoder**, another GRU, begins with the summary and writes words. All that it learns about up to 42 letters has to pass through those 64 numbers.


# %%
def new_model(kind=None):
    """A translator; kind is "additive", "multiplicative" or None, for no attention."""
    keras.utils.set_random_seed(SEED)
    sizes = len(data.letters), len(data.words)
    return models.Seq2Seq(*sizes, attention=kind, reverse=kind is None)


model = new_model()
memory = model.encode(one.source)
logits, _, state = model.decode(number_words.shift_targets(one.target), memory, memory.summary)
print("one state per letter:", memory.states.shape, "  summary:", memory.summary.shape)
print("a score for each word, at each position:", logits.shape, "  state:", state.shape)
counts = {kind: new_model(kind).count_params() for kind in (None, "additive", "multiplicative")}
print("parameters:", counts)

# %% [markdown]
# To be fair to it, this model gets the help that is known to work: both directions, the source reversed, the summary again at every step, as many parameters as its rivals, a third more passes over the data (so at least as many seconds), and the learning rate that suited *it* best on the validation numbers.
#
# **Write down a guess before you run the next cell** (about 20 seconds): of 100 numbers it has never seen, how many will it translate without a mistake?


# %% measured
def train(kind, epochs):
    model = new_model(kind)
    name = kind or "no attention"
    return model, models.fit_pairs(model, data.train, data.validation, epochs=epochs, name=name)


runs = {"no attention": train(None, epochs=8)}

# %% [markdown]
# ## 4 · When is a translation right?
#
# One wrong word makes a wrong number. So we count **exact matches**: every word right, END included. A colleague has a function for it. Something is odd.


# %% measured
def colleagues_match(predicted, target):
    return (predicted == target).all(axis=1)


plain = runs["no attention"][0]
predicted = models.free_running(plain, data.validation.source)
right = colleagues_match(predicted, data.validation.target)
short = (data.validation.target == PAD).any(axis=1)
print(f"right: {right.mean():.2f}   right among the shorter numbers: {right[short].mean():.2f}")
row = np.argmax(number_words.exact_match(predicted, data.validation.target) & short)
print("target:   ", data.validation.target[row], "=", data.validation.english[row])
print("predicted:", predicted[row], "=", number_words.to_text(predicted[row]))

# %% [markdown] task="exact_match"
# Every number shorter than the longest counts as wrong, even where every word is right. Find the fault and write `match(predicted, target)`.
#
# - Both are int `(B, T)`. Return bool `(B,)`: which rows are right from the first word to END, END included.
# - What a model predicts behind the target's END has no meaning and does not count.
#
# <details><summary>Hint</summary>
#
# Which of the two arrays knows where the sentence ends?
#
# </details>


# %% exercise="exact_match"
def match(predicted, target):
    """Which rows are right, END included: two int (B, T) → bool (B,)."""
    ### BEGIN SOLUTION
    fine = (predicted == target) | (target == PAD)
    return fine.all(axis=1)
    ### END SOLUTION


# %% try="exact_match" measured=true
print(f"right: {match(predicted, data.validation.target).mean():.2f}")

# %% check="exact_match"
check("exact_match", match)

# %% [markdown]
# ## 5 · The decoder asks
#
# Now let the decoder look back. For each word its state is the **query**; the encoder's states are **keys and values**. By hand, for the second word of *ein-und-zwanzig* with states of two numbers, and the query (1, 0):
#
# | key | q·k | additive: v·tanh(q+k), v = (1, 1) |
# |---|---|---|
# | ein (2, 0) | **2** | tanh 3 + tanh 0 = **1.00** |
# | und (0, 0) | 0 | tanh 1 + tanh 0 = 0.76 |
# | zwanzig (0, −2) | 0 | tanh 1 + tanh −2 = −0.20 |
#
# Both scores favour *ein*. Softmax turns them into weights:

# %%
query = np.array([1.0, 0.0])
key = np.array([[2.0, 0.0], [0.0, 0.0], [0.0, -2.0]])  # ein, und, zwanzig
for name, scores in {"q·k": key @ query, "additive": np.tanh(query + key).sum(axis=-1)}.items():
    print(f"{name:9}", scores.round(2), "→ weights", attention.softmax(scores[None])[0].round(2))

# %% [markdown]
# With learnt matrices W and U and a learnt vector v, the two scores are
#
# $$\text{additive: } v\cdot\tanh(Wq + Uk) \qquad \text{multiplicative: } q\cdot Wk / \sqrt{D}$$
#
# The first is Bahdanau's (2015), the second Luong's (2015, there without the root). We place both as Luong did: the context joins the state just before the word is chosen, so all positions are computed at once. In Bahdanau's model the context also flows into the next state, word by word. So we compare two *scores*, not two papers.

# %% [markdown] task="decoder_asks"
# Finish the layer with the additive score; `build` is given.
#
# - `decoder_states` `(B, T, …)`, one per word; `encoder_states` `(B, S, D)`, one per letter; `is_letter` bool `(B, S)`, False at padding. Each source has one letter at least.
# - Return `(context, weights)`, `(B, T, D)` and `(B, T, S)`. Padding gets no weight.
#
# Who asks here: the letters, or the words?
#
# <details><summary>Hint</summary>
#
# Every query must meet every key: give one an axis for S and the other an axis for T, and let them broadcast to `(B, T, S, units)`.
#
# </details>


# %% exercise="decoder_asks"
class DecoderAsks(keras.layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, decoder_states_shape, encoder_states_shape):
        wide, D = decoder_states_shape[-1], encoder_states_shape[-1]
        self.query_matrix = self.add_weight(shape=(wide, self.units), name="query_matrix")  # W
        self.key_matrix = self.add_weight(shape=(D, self.units), name="key_matrix")  # U
        self.vector = self.add_weight(shape=(self.units,), name="vector")  # v

    def call(self, decoder_states, encoder_states, is_letter):
        """Return context (B, T, D) and weights (B, T, S)."""
        ### BEGIN SOLUTION
        asked = ops.matmul(decoder_states, self.query_matrix)[:, :, None]  # (B, T, 1, units)
        offered = ops.matmul(encoder_states, self.key_matrix)[:, None]  # (B, 1, S, units)
        scores = ops.sum(ops.tanh(asked + offered) * self.vector, axis=-1)  # (B, T, S)
        weights = ops.softmax(ops.where(is_letter[:, None], scores, -1e9), axis=-1)
        return ops.matmul(weights, encoder_states), weights
        ### END SOLUTION


# %% try="decoder_asks" measured=true
context, weights = DecoderAsks(units=8)(np.ones((1, 2, 4)), memory.states, memory.mask)
print("context:", context.shape, " sums of the weights:", np.sum(weights, axis=-1)[0].round(3))

# %% check="decoder_asks"
check("decoder_asks", DecoderAsks)

# %% [markdown]
# The course's own version is `attnfuse.layers.AdditiveAttention`. Now train both kinds, a little *shorter* than the model without attention. **Your guess first** (about 30 seconds): which share of unseen numbers will be exactly right?

# %% measured
runs["additive"] = train("additive", epochs=6)
runs["multiplicative"] = train("multiplicative", epochs=6)

# %% [markdown]
# ## 6 · What attention bought
#
# The 500 test numbers, used only here. *Forced*: the model is shown the right words before each word. *Free*: it reads back what it wrote itself.

# %% measured
written, right = {}, {}
print(f"{'':16}{'parameters':>10}{'seconds':>9}{'forced':>8}{'free':>7}")
for name, (model, history) in runs.items():
    written[name] = models.free_running(model, data.test.source)
    right[name] = number_words.exact_match(written[name], data.test.target)
    forced = number_words.exact_match(models.teacher_forced(model, data.test), data.test.target)
    numbers = f"{model.count_params():10}{history['seconds'][-1]:9.0f}"
    print(f"{name:16}{numbers}{forced.mean():8.3f}{right[name].mean():7.3f}")
for name in ("additive", "multiplicative"):
    claim(f"{name}: 98 % or more of 500 unseen numbers right", right[name].mean() >= 0.98)
gap = right["additive"].mean() - right["no attention"].mean()
claim("without attention at least 10 of 100 fewer", gap >= 0.1)

# %% measured
fig, (curves, lengths) = plot.figure(columns=2, size=(9, 3.2))
groups, learnt = map(number_words.length_groups, (data.test, data.train))
names = [f"{name}\n({rows.mean():.0%})" for name, rows in learnt.items()]
for i, (name, (_, history)) in enumerate(runs.items()):
    look = {"color": plot.COLOURS[i], "label": name}
    curves.plot(history["seconds"], history["val_exact"], plot.STYLES[i], marker="o", **look)
    bars = [right[name][rows].mean() for rows in groups.values()]
    lengths.bar(np.arange(4) + 0.27 * (i - 1), bars, 0.25, hatch=["", "//", "xx"][i], **look)
curves.set(xlabel="seconds", ylabel="exactly right", title="With attention it is learnt sooner")
lengths.set_xticks(range(4), names)
lengths.set(xlabel="words (share in training)", title="With attention, mostly rare ones fail")
curves.legend()
alt = "Left: exact match on validation numbers by seconds; both curves with attention rise to nearly 1 within a few passes, the one without stays far below. Right: exact match on test numbers by length; with attention nearly all are right, but for a few of the rare short ones."
plot.show(fig, alt=alt)

# %% [markdown]
# At equal size and time, attention is nearly perfect after two or three passes. What it still gets wrong are *short* numbers, *eins* or *siebentausend*: few are among the 4,000.
#
# One seed is one draw. `tools/long_run_06.py` drew three: .34, .59, .55 right without attention, .99 each time with it. Given **five times as long, the model without attention reaches .99, too.** So this task does not need attention. Attention buys time.

# %% measured
model = runs["additive"][0]
number, target = data.test.number, data.test.target
turned = (number < 1000) & (number % 100 > 20) & (number % 10 > 0)  # ones before tens
row = np.argmax(turned & right["additive"])
german, english = data.test.german[row], data.test.english[row].split()
weights = models.alignment(model, data.test.source[[row]], target[[row]])[0]
weights = weights[: len(english) + 1, : len(german)]
fig, ax = plot.figure(size=(7, 3))
title = f"After '{english[-2]}' the weights step back for '{english[-1]}'"
plot.attention_map(weights, [*english, "END"], list(german), title, ax=ax)
plot.show(
    fig,
    alt="A map of weights, a row for each English word. The bright spots move to the right, except that the last word looks to the left of the word before it.",
)

# %% [markdown]
# A row is a word the model writes; the columns are the letters it reads. For the tens it looks near the end; for the last word it jumps *back*. Nobody told it where the tens stand. A bright cell may lie beside its letters: a GRU's state knows its neighbours, too. So the map shows where the model looks, not why.
#
# Does it hold for other numbers?

# %% measured
turned = np.flatnonzero((number % 100 > 20) & (number % 10 > 0))
peaks = models.alignment(model, data.test.source[turned], target[turned]).argmax(axis=-1)
last = (target[turned] != PAD).sum(axis=1) - 2  # END stands behind the last word
before, after = (peaks[np.arange(len(turned)), last - i] for i in (1, 0))
back = np.mean(after < before)
print(f"{len(turned)} numbers; the last word looks to the left of the one before: {back:.2f}")
claim("in at least 9 of 10 the weights step back", back >= 0.9)

# %% [markdown]
# ## 7 · Writing alone
#
# In section 6 **forced and free agree to the last digit**. They must: if every word is right given the right words before, the model alone reads the same words, and the other way round. Where the two exact matches differ, something leaks. Section 8 has an example.
#
# `models.free_running` computed everything anew for every word. A translator in use goes on from its state, one word at a time.

# %% [markdown] task="greedy_decode"
# Write `greedy(step, state, longest)`, which returns the list of written tokens, without START and END.
#
# `step(token, state)` reads one token and returns `(logits, state)`: a score for every word as the next one, and the state to go on from. Begin with START and the given state; take the word with the highest score; stop at END, or after `longest` words.
#
# <details><summary>Hint</summary>
#
# Two things travel from step to step. Which?
#
# </details>


# %% exercise="greedy_decode"
def greedy(step, state, longest):
    """Write the most probable word, again and again, until END: a list of tokens."""
    ### BEGIN SOLUTION
    token, tokens = START, []
    for _ in range(longest):
        logits, state = step(token, state)
        token = int(np.argmax(logits))
        if token == END:
            break
        tokens.append(token)
    return tokens
    ### END SOLUTION


# %% try="greedy_decode" measured=true
step, state = models.reader(runs["additive"][0], one.source[0])
print(one.german[0], "→", number_words.to_text(greedy(step, state, longest=8)))

# %% check="greedy_decode"
check("greedy_decode", greedy)

# %% [markdown]
# ## 8 · A published program, repaired
#
# Here is the sequence-to-sequence program of an article that this course grew out of (its section 4.1), as printed but for comments and layout. We give it our numbers. What will happen?


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


class Seq2SeqModel(tf.keras.Model):
    def __init__(self, input_dim, output_dim, hidden_dim, attention_dim):
        super(Seq2SeqModel, self).__init__()
        self.encoder = tf.keras.layers.Embedding(input_dim, hidden_dim)
        self.decoder = tf.keras.layers.Embedding(output_dim, hidden_dim)
        self.attention = Attention(attention_dim)
        self.fc = tf.keras.layers.Dense(output_dim)

    def call(self, inputs, targets):
        encoder_outputs = self.encoder(inputs)
        decoder_outputs = self.decoder(targets)
        attention_weights = self.attention(encoder_outputs, decoder_outputs)
        context_vector = tf.reduce_sum(attention_weights * encoder_outputs, axis=1)
        outputs = self.fc(context_vector)
        return outputs, attention_weights


inputs, targets = data.train.source, data.train.target
model = Seq2SeqModel(input_dim=100, output_dim=10, hidden_dim=128, attention_dim=64)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
try:
    model.fit(inputs, targets, epochs=10)
except TypeError as error:
    print(f"\n{type(error).__name__}: {error}")

# %% [markdown]
# It stops at once: `fit(inputs, targets)` hands `call` one argument, not two. The way out is `fit([inputs, targets], targets)`. Behind that waits a loss that expects probabilities and gets raw scores; our loss takes scores. The layer's own faults belong to lesson 05; here a working layer takes its place. What is left are the faults of the *system*. First: what the program calls `attention_weights`.

# %%
keras.utils.set_random_seed(SEED)
sizes = len(data.letters), len(data.words)
model = models.ArticleModel(*sizes, context_as_weights=True, masked=False)
called_weights, output = map(np.asarray, model.as_printed(one.source, one.target))
print(
    "called weights:", called_weights.shape, " some are negative:", bool((called_weights < 0).any())
)
print("scores it returns:", output.shape, " for a target of shape", one.target.shape)
_, weights = models.ArticleModel(*sizes).read(one.source, one.target)
print(
    "weights:", weights.shape, " each row adds up to 1:", np.allclose(ops.sum(weights, axis=-1), 1)
)

# %% [markdown]
# What it calls weights is a *context*: the letters ask, and mix words. And summing over the letters leaves one answer for a whole sentence. Repair: the words ask, and the weights mix the letters, once for every word.
#
# Three faults remain: targets are not shifted, padding is open, and neither recurrence nor positions tell where a letter stands. What can that last one cost?

# %% [markdown] task="shuffled_source"
# Shuffle the letters of every source, *einundzwanzig* to *zinwandueigzn*, and translate again, without training anew. In which of these models does the **context** of a word change? (Weights are fixed, only the source is shuffled; padding stays where it was, and the English words read so far are the same.)
#
# 1. The article's: an embedding for letters, an embedding for words, attention.
# 2. The same, and a GRU that reads the English *words*.
# 3. As 1, and a GRU that reads the German *letters*.
# 4. As 1, and a vector for each *place*, added to the letter that stands there.
#
# Answer with four of True (changes) and False (stays), such as `changes = (True, True, True, True)`.
#
# <details><summary>Hint</summary>
#
# Lesson 02: what did another order of the keys do to the context?
#
# </details>

# %% exercise="shuffled_source"
changes = None  # your answer: four of True and False
### BEGIN SOLUTION
changes = (False, False, True, True)  # order must be in the states: a sum has none
### END SOLUTION

# %% check="shuffled_source"
check("shuffled_source", changes)

# %% [markdown]
# Now all repairs, one at a time, each trained for a few seconds and measured on the validation numbers: exact matches forced and free, and how many answers change when 20 more columns of padding are added, or when the letters are shuffled.

# %% measured
repairs = {
    "context as weights": ({"context_as_weights": True, "masked": False}, False),
    "the words ask": ({"masked": False}, False),
    "+ targets shifted": ({"masked": False}, True),
    "+ padding closed": ({}, True),
    "+ positions": ({"positions": True}, True),
}
table = {}
for name, (options, shifted) in repairs.items():
    keras.utils.set_random_seed(SEED)
    model = models.ArticleModel(*sizes, **options)
    settings = {"epochs": 5, "learning_rate": 0.02, "shifted": shifted, "name": name}
    models.fit_pairs(model, data.train, data.validation, **settings)
    table[name] = models.measure_repair(model, data, shifted=shifted)
table["GRUs (section 5)"] = models.measure_repair(runs["additive"][0], data)

# %% measured
print(f"{'':20}{'forced':>8}{'free':>8}{'padded':>8}{'shuffled':>10}")
for name, (forced, free, padded, shuffled) in table.items():
    print(f"{name:20}{forced:8.2f}{free:8.2f}{padded:8.2f}{shuffled:10.2f}")
forced, free, _, _ = table["the words ask"]
claim("targets not shifted: near perfect when forced, hopeless when free", forced - free > 0.9)
claim("padding open: more of it changes answers", table["+ targets shifted"][2] > 0.05)
claim("padding closed: answers stay", table["+ padding closed"][2] < 0.02)
claim("without order in the states, answers survive shuffling", table["+ padding closed"][3] < 0.02)
claim("and hardly any number is right", table["+ padding closed"][1] < 0.05)
claim("positions alone: well over half are right", table["+ positions"][1] > 0.6)
claim("more than GRUs without attention", table["+ positions"][1] > right["no attention"].mean())

# %% [markdown]
# - **Targets not shifted**: forced, the model copies the word it is shown; alone, it has nothing to copy. Accuracy alone proved nothing.
# - **Padding open**: the answer depends on how long the *other* numbers are.
# - **No order**: the model sees a bag of letters. Positions repair most of it, without any GRU and with fewer than a third of the parameters: more than the GRUs of section 3 get *without* attention. Lesson 07 builds on that.

# %% [markdown]
# ## What to remember
#
# - The decoder's state asks; the encoder's states are keys and values. Padding is closed, targets are shifted.
# - Print the exact match forced *and* free. If they differ, something leaks.
# - At equal size and time: .99 exactly right with attention, .3 to .6 without. Given five times as long, the model without catches up.
# - Attention is a sum and knows no order. Recurrence or positions must put it into the states.
#
# | | |
# |---|---|
# | sources | Sutskever et al. 2014, "Sequence to Sequence Learning with Neural Networks"; Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder"; Bahdanau et al. 2015, "Neural Machine Translation by Jointly Learning to Align and Translate"; Luong et al. 2015, "Effective Approaches to Attention-based Neural Machine Translation" |
# | data | `num2words` (LGPL) |
# | in Keras | `keras.layers.GRU`, `Bidirectional`; `AdditiveAttention` (without W and U) |
# | in attnfuse | `models.Seq2Seq`, `layers.AdditiveAttention`, `data.number_words` |
# | next | [09 · Fusion](09_fusion.ipynb), where two kinds of input meet |
