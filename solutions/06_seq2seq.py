# ---
# jupyter:
#   attnfuse:
#     title: Sequence to sequence
#     sentence: A small translator, German number words to English, first without attention, then with it, and what attention buys.
#     you_will: ["train an encoder and a decoder, with and without attention, and compare them fairly", read from a map of weights how the translator reorders words, "repair a published program step by step, and measure each step"]
#     needs: [00_start_here, 01_attention_pooling, 02_scaled_dot_product, 05_keras_attention_layers]
#     minutes: 65
#     seconds: 87
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
from attnfuse.data import number_words
from attnfuse.data.number_words import END, PAD, START

with quiet():  # TensorFlow greets the machine on stderr while it loads
    import keras
    import tensorflow as tf
    from keras import ops

    from attnfuse import models
    from attnfuse.experiments import translations

SEED = 0

# %% [markdown]
# ## Warm-up: three questions on earlier lessons
#
# The minutes above cover the text and the four exercises with points. The stretch exercise takes 12 more minutes.

# %% quiz="06-padding"

# %% quiz="06-shape"

# %% quiz="06-long-key"

# %% [markdown]
# ## 1 · A small translation
#
# German writes a number as one long word, in another order: *einundzwanzig* is "one-and-twenty". We translate 0 to 9,999 from German **letters** to English **words**. It is *translation-like*: few words, a regular grammar.
#
# 4,000 numbers are there to learn from, 500 to choose settings with (the *validation* numbers), 500 for the test.

# %%
data = number_words.load(seed=0)
one = number_words.pairs([21])  # our running example
some = number_words.pairs([7, 21, 1100, 4321])
parts = [set(part.number) for part in (data.train, data.validation, data.test)]
for number, german, english in zip(some.number, some.german, some.english, strict=True):
    print(f"{number:5}  {german} → {english}")
print("\nnumbers to learn from, to choose with, for the test:", *map(len, parts))
print("source (B, S):", data.train.source.shape, "  target (B, T):", data.train.target.shape)
print("target of 21:", one.target[0], "=", [data.words[token] for token in one.target[0]])
claim("no number is in two parts", len(set.union(*parts)) == sum(map(len, parts)))

# %% [markdown]
# Tokens are numbers: 0 is padding (PAD), 1 START, 2 END. Every target closes with END, because a translator must also know when to stop.

# %% [markdown]
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
# The rule holds behind END, too (padding is left out of the loss). NumPy is enough: the course's `shift_targets` is switched off while your answer is judged.
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
# A **GRU** reads token after token and carries a *state* along, a row of numbers that each token renews. What it keeps and what it replaces is learnt.
#
# The **encoder**, a GRU in each direction, reads the letters: one state of 64 numbers per letter. A dense layer turns its two last states into a **summary**, 64 numbers.
#
# The **decoder**, another GRU, begins with it and writes words. All it learns about up to 42 letters must pass through those 64 numbers.


# %%
def new_model(kind=None):
    """A translator; kind is "additive", "multiplicative" or None, for no attention."""
    keras.utils.set_random_seed(SEED)
    sizes = len(data.letters), len(data.words)
    return models.Seq2Seq(*sizes, attention=kind)


model = new_model()
memory = model.encode(one.source)
logits, _, state = model.decode(number_words.shift_targets(one.target), memory, memory.summary)
print("one state per letter:", memory.states.shape, "  summary:", memory.summary.shape)
print("a score for each word, at each position:", logits.shape, "  state:", state.shape)
counts = {kind: new_model(kind).count_params() for kind in (None, "additive", "multiplicative")}
print("parameters:", counts)

# %% [markdown]
# To be fair, this model gets what is known to help: both directions, the summary again at every step, about as many parameters as its rivals, a third more passes, and the learning rate that suited *it* best on the validation numbers (the docstring of `attnfuse.experiments.translations` lists those tried).

# %% [markdown]
# An old help is left out: Sutskever et al. (2014) let their one-way encoder read the source *backwards*. Ours reads both ways. There a reversed source is nothing new: exchange the two directions, and with them the two halves of the dense layer behind, and the scores are the same.

# %%
backwards = new_model()  # the same weights as `model`, for the seed is the same; now exchange two
both_ways = model.encoder.forward_layer, model.encoder.backward_layer
backwards.encoder.forward_layer.set_weights(both_ways[1].get_weights())
backwards.encoder.backward_layer.set_weights(both_ways[0].get_weights())
kernel, bias = model.bridge.get_weights()  # reads both last states, side by side
backwards.bridge.set_weights([np.roll(kernel, 32, axis=0), bias])
letters, read = one.source[:, :13], number_words.shift_targets(one.target)
gap = np.abs(np.subtract(model([letters, read]), backwards([letters[:, ::-1], read]))).max()
print(f"largest difference of the scores: {gap:.0e}")
claim("reading giznawzdnunie with exchanged directions changes nothing", gap < 1e-6)

# %% [markdown]
# **Write down a guess before you run the next cell**: of 100 unseen numbers, how many will it translate without a mistake?


# %% measured
def train(kind, epochs):
    model = new_model(kind)
    name = kind or "no attention"
    return model, models.fit_pairs(model, data.train, data.validation, epochs=epochs, name=name)


runs = {"no attention": train(None, epochs=8)}

# %% [markdown]
# ## 4 · When is a translation right?
#
# One wrong word makes a wrong number. So we count **exact matches**: every word right, END included.
#
# `models.free_running` lets the model write alone: it reads back its own words. A colleague has a function that compares them with the target. Something is odd.


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
# - NumPy is enough: the course's `number_words.exact_match` is switched off while your answer is judged.
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
# Now let the decoder look back. It still begins with the summary, but no longer reads it at every step. For each word its state is the **query**; the encoder's states are **keys and values**.
#
# By hand, for the second word of *ein-und-zwanzig*, which is "one": states of two numbers, the query (1, 0), nothing learnt yet:
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
# $$\text{additive: } v\cdot\tanh(Wq + Uk) \qquad \text{multiplicative: } q\cdot Wk / \sqrt{\text{width of } q}$$
#
# The first is Bahdanau's (2015), the second Luong's (2015, there without the root).
#
# We place both as Luong did (without his "input feeding"): the context joins the state just before the word is chosen. In Bahdanau's model it also flows into the state, word by word. So we compare two *scores*, not two papers.

# %% [markdown] task="decoder_asks"
# Finish the layer with the additive score; `build` is given.
#
# - `decoder_states` `(B, T, wide)`, one per word; `encoder_states` `(B, S, D)`, one per letter; `is_letter` bool `(B, S)`, False at padding. Each source has one letter at least.
# - Return `(context, weights)`, `(B, T, D)` and `(B, T, S)`. Padding gets no weight. The values are the encoder's states as they are.
# - Write it with `ops`, which has NumPy's names (`ops.matmul`, `ops.tanh`, `ops.sum`, `ops.where`) and `ops.softmax`: through NumPy itself no gradient flows, and nothing is learnt. The course's `AdditiveAttention` is switched off.
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
on_letters, on_padding = np.sum(weights[..., :13]), np.sum(weights[..., 13:])  # einundzwanzig: 13
spread = f"{on_letters:.2f} on letters, {on_padding:.2f} on padding"
print("context:", context.shape, " two words spread their weight:", spread)

# %% check="decoder_asks"
check("decoder_asks", DecoderAsks)

# %% [markdown]
# ## 6 · What attention bought
#
# Train both kinds, with fewer passes than the model without attention. **Your guess first** (the lesson's longest cell): which share of unseen numbers will be exactly right?
#
# The table: exact match on the validation numbers after *3 passes*; then on the 500 test numbers, used only in sections 6 and 7. *Forced*: the model is shown the right words before each word. *Free*: it reads back what it wrote itself.

# %% measured
runs["additive"] = train("additive", epochs=6)
runs["multiplicative"] = train("multiplicative", epochs=6)
target, forced, free = data.test.target, {}, {}  # by model: the words it chose
print(f"{'':16}{'parameters':>10}{'seconds':>9}{'3 passes':>10}{'forced':>8}{'free':>7}")
for name, (model, history) in runs.items():
    forced[name] = models.teacher_forced(model, data.test)
    free[name] = models.free_running(model, data.test.source)
    exact = [number_words.exact_match(x[name], target).mean() for x in (forced, free)]
    numbers = f"{history['seconds'][-1]:9.0f}{history['val_exact'][:3][-1]:10.2f}"
    print(f"{name:16}{model.count_params():10}{numbers}{exact[0]:8.3f}{exact[1]:7.3f}")

# %% measured
right = {name: number_words.exact_match(words, target) for name, words in free.items()}
early = {name: history["val_exact"][:3][-1] for name, (_, history) in runs.items()}
with_attention = ("additive", "multiplicative")
least = min(right[name].mean() for name in with_attention)
claim("with attention 98 % or more of 500 unseen numbers right", least >= 0.98)
claim("after three passes nearly all", min(early[name] for name in with_attention) > 0.9)
claim("without it, after three passes, less than a third", early["no attention"] < 0.33)

# %% measured
fig, (curves, lengths) = plot.figure(columns=2, size=(9, 3.2))
groups, learnt = map(number_words.length_groups, (data.test, data.train))
names = [f"{name}\n({rows.mean():.0%})" for name, rows in learnt.items()]
for i, (name, (_, history)) in enumerate(runs.items()):
    look = {"color": plot.COLOURS[i], "label": name}
    curves.plot(history["seconds"], history["val_exact"], plot.STYLES[i], marker="os^"[i], **look)
    bars = [right[name][rows].mean() for rows in groups.values()]
    lengths.bar(np.arange(4) + 0.27 * (i - 1), bars, 0.25, hatch=["", "//", "xx"][i], **look)
curves.set(xlabel="seconds", ylabel="right, validation", title="Attention learns sooner", xlim=0)
lengths.set(xticks=range(4), xticklabels=names, xlabel="words (share in training)", ylim=(0, 1.25))
lengths.set(ylabel="right, test", title="Short numbers are rare and fail most")
curves.legend(fontsize="small")
lengths.legend(fontsize="small", ncols=3, loc="upper center")
alt = "Left: exact match on validation numbers by seconds; both curves with attention rise to nearly 1 within a few passes, the one without rises later. Right: exact match on test numbers by length; each model is right least often at up to four words, the one without attention least of all."
plot.show(fig, alt=alt)

# %% [markdown]
# After three passes attention is nearly perfect, and the other model has hardly begun. What the models with attention still get wrong are mostly numbers of up to four words, which are rare:

# %% measured
few = groups["up to 4"]
failed = [np.mean([~right[name][rows] for name in with_attention]) for rows in (few, ~few)]
print(f"up to four words: {learnt['up to 4'].mean():.0%} of the numbers to learn from")
print(f"with attention, wrong: of up to four words {failed[0]:.1%}, of more {failed[1]:.1%}")
claim("short numbers fail more often", failed[0] > failed[1])

# %% [markdown]
# But one seed is one draw. `python -m attnfuse.experiments.translations --save` trained more of them, and the model without attention for **40 passes** instead of 8, and saved the curves for the next picture. **Guess**: does it catch up?

# %%
longer = translations.saved()
fig, ax = plot.figure()
for i, name in enumerate(("additive", "no attention", "no attention, longer")):
    label = f"{name}, {len(longer[name])} seeds"
    for row in longer[name]:
        passes = range(1, len(row["curve"]) + 1)
        ax.plot(passes, row["curve"], plot.STYLES[i], color=plot.COLOURS[i], label=label)
        label = None  # one entry in the legend for all seeds
    print(f"{name:21}", *(f"{row['exact']:.3f}" for row in longer[name]), " right, test")
ax.set(xlabel="passes over the 4,000 numbers", ylabel="right, validation")
ax.set_title("Without attention: later, and by luck")
ax.legend(loc="lower right")
alt = "Exact match by passes, a line for each seed. With attention all lines are near 1 after three passes. Without it the lines spread widely after eight passes. Given forty passes they are near 1, too."
plot.show(fig, alt=alt)

# %%
exact = {name: [row["exact"] for row in rows] for name, rows in longer.items()}
claim("with attention every seed is above .98", min(exact["additive"]) > 0.98)
claim("without, seeds differ by more than .5", np.ptp(exact["no attention"]) > 0.5)
late = min(exact["no attention, longer"])
claim("without, but with 40 passes: every seed is above .98", late > 0.98)

# %% [markdown]
# So this task does not *need* attention: given time, a summary of 64 numbers is enough. Attention buys time, and its three seeds end alike; one short training without it could have "shown" almost anything. (The longer lines are no continuations: the learning rate falls over the whole of a training, so over 40 passes it falls more slowly.)
#
# Where does the model look?

# %% measured
model = runs["additive"][0]
number = data.test.number
turned = (number < 1000) & (number % 100 > 20) & (number % 10 > 0)  # ones before tens
row = np.argmax(turned & right["additive"])
german, english = data.test.german[row], data.test.english[row].split()
weights = models.alignment(model, data.test.source[[row]], target[[row]])[0]
weights = weights[: len(english) + 1, : len(german)]
fig, ax = plot.figure(size=(7, 3))
title = f"After '{english[-2]}' the weights step back for '{english[-1]}'"
plot.attention_map(weights, [*english, "END"], list(german), title, ax=ax)
ax.set(xlabel="key: a letter that it reads", ylabel="query: a word that it writes")
alt = "A map of weights, a row for each English word. The bright spots move to the right, except that the last word looks to the left of the word before it; the row of END is spread over several places."
plot.show(fig, alt=alt)

# %% [markdown]
# A row is a word the model writes; the columns are the letters it reads. For the tens it looks near the end; for the last word it jumps *back*; for END it looks here and there. Nobody told it where the tens stand.
#
# A bright cell may lie beside its letters: a GRU's state knows its neighbours, too. So the map shows where the model looks, not why. Does it hold for other numbers?

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
# In section 6 forced and free had the same exact matches. They must, but for scores that tie: if every word is right given the right words before, the model alone reads the same words. Where the *exact matches* differ, look for a fault: the forced model sees something that it lacks when it writes (section 8 has an example), or the loop that writes is wrong.

# %% [markdown]
# Counted word by word, the two may differ without any fault. A model that writes alone reads its own slips; in training it never did. This is called **exposure bias** (Ranzato et al. 2016). Against it one can train, now and then, on the model's own words (Bengio et al. 2015).

# %% measured
print(f"{'':16}{'words, forced':>15}{'free':>7}   the same numbers exactly right")
for name in runs:
    words = [number_words.token_accuracy(x[name], target) for x in (forced, free)]
    same = np.mean(number_words.exact_match(forced[name], target) == right[name])
    print(f"{name:16}{words[0]:15.3f}{words[1]:7.3f}   {same:.3f}")
    claim("the same numbers are exactly right, but for ties", same > 0.99)
    claim("forced, no fewer words are right", words[0] >= words[1] - 0.001)

# %% [markdown]
# Models that are nearly always right have few slips. So take the *weakest* of the script's six seeds without attention, position by position. **Guess**: where do forced and free part?

# %%
weakest = min(longer["no attention"], key=lambda row: row["exact"])
shown, alone = np.array(weakest["forced"]), np.array(weakest["free"])
curves = {"shown the right words before": shown, "reads its own words": alone}
title = f"One word in doubt; alone, those behind it, too (seed {weakest['seed']})"
ax = plot.lines(np.arange(8), curves, title, "position of the word", "right words, test")
ax.set_ylim(0, 1.05)
alt = "Share of right words by position for the weakest seed. Both curves are near 1 at the first words and drop to about a fifth at one position. Shown the right words the model is near 1 again behind it; reading its own it stays below, near .8, until the last position, where both are at 1."
plot.show(ax.figure, alt=alt)

# %%
behind = (shown - alone)[np.argmin(shown) + 1 :].mean()  # the positions behind the hardest one
claim("at the first word both have read the same: they are equal", shown[0] == alone[0])
wrong = 1 - alone[np.argmin(shown) + 1 :].mean()
print(f"alone, behind the hardest position, wrong: {wrong:.2f} (mean over positions)")
claim("behind the hardest position free is worse by more than .1", behind > 0.1)
gaps = [np.sum(row["forced"]) - np.sum(row["free"]) for row in longer["no attention"]]
claim("in no seed is free better", min(gaps) > -0.01)

# %% [markdown]
# At one position this seed has learnt next to nothing. Shown the right word there, it goes on well. Alone it reads its slip, and about one word in five behind it is wrong as well.
#
# `models.free_running` computed everything anew for every word. A translator in use goes on from its state, one word at a time.

# %% [markdown] task="greedy_decode"
# Write `greedy(step, state, longest)`, which returns the list of written tokens (int), without START and END.
#
# `step(token, state)` reads one token and returns `(logits, state)`: a score for every word as the next one, and the state to go on from. Begin with START and the given state; take the word with the highest score; stop at END, or after `longest` words. (`models.greedy_decode`, the course's, is switched off while your answer is judged.)
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
# Here is the sequence-to-sequence program of a blog article that this course grew out of, "Attention and multimodal fusion: a common language for the AI of tomorrow" (its section 4.1; it stands in no journal). It is as printed but for comments and layout. We give it our numbers. What will happen?


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
# It stops at once: `fit(inputs, targets)` hands `call` one argument, not two. Does a pair help, `fit([inputs, targets], targets)`? Or must `call` take it apart?


# %% measured
class TakesAPair(Seq2SeqModel):
    def call(self, pair):
        return super().call(*pair)


stopped = []
for kind in (Seq2SeqModel, TakesAPair):
    model = kind(input_dim=100, output_dim=10, hidden_dim=128, attention_dim=64)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    try:
        with warnings.catch_warnings(action="ignore"):  # the error says enough
            model.fit([inputs[:32], targets[:32]], targets[:32], verbose=0)
    except Exception as error:
        stopped.append(type(error))
        print(f"{kind.__name__:13}", f"{type(error).__name__}: {error}".splitlines()[0])
claim("a list is one argument, too: the same TypeError", stopped[0] is TypeError)
claim("taken apart, it gets further: into the layer", stopped[1] not in (TypeError, None))

# %% [markdown]
# The layer's own faults (here it multiplies an axis of 42 letters with one of 8 words) belong to lesson 05; here a working layer takes its place. Behind those wait 10 words where we have 34, and a loss that expects probabilities and gets raw scores.
#
# Left are the faults of the *system*. First: what the program calls `attention_weights`.

# %%
keras.utils.set_random_seed(SEED)
sizes = len(data.letters), len(data.words)
model = translations.ArticleModel(*sizes, context_as_weights=True, masked=False)
called_weights, output = map(np.asarray, model.as_printed(one.source, one.target))
print(
    "called weights:", called_weights.shape, " some are negative:", bool((called_weights < 0).any())
)
print("scores it returns:", output.shape, " for a target of shape", one.target.shape)
_, weights = translations.ArticleModel(*sizes).read(one.source, one.target)
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
# 1. The article's, with the words asking: an embedding for letters, an embedding for words, attention.
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

# %% try="shuffled_source"
four_models = ("1 embeddings", "2 + GRU reads words", "3 + GRU reads letters", "4 + places")
for name, change in zip(four_models, changes, strict=True):
    print(f"{name:22} you say: the context", "changes" if change else "stays")

# %% check="shuffled_source"
check("shuffled_source", changes)

# %%
parts = new_model("additive")  # untrained: what the context depends on is a matter of construction
words = parts.embed_word(number_words.shift_targets(one.target))
places = np.random.default_rng(SEED).normal(0, 0.05, (42, 64)).astype("float32")
four = {
    "1 embeddings": (words, parts.embed_letter),
    "2 + GRU reads words": (parts.decoder(words)[0], parts.embed_letter),
    "3 + GRU reads letters": (words, lambda source: parts.encode(source).states),
    "4 + places": (words, lambda source: parts.embed_letter(source) + places),
}
mixed = number_words.shuffle_letters(one.source)
for name, (query, read) in four.items():
    keys = [read(source) for source in (one.source, mixed)]
    before, after = (parts.attend(query, key, mask=memory.mask[:, None])[0] for key in keys)
    change = np.linalg.norm(before - after) / np.linalg.norm(before)
    print(f"{name:22} the context changes by {change:.1%} of its length")

# %% [markdown]
# The query was held fixed, and a sum knows no order: the context changed only where the letters' own *states* did. By how much says nothing: the weights are untrained. (In section 3's model the query changes, too: its decoder begins with a summary of the letters.)

# %% [markdown]
# Now the repairs, step by step, on the validation numbers: exact matches forced and free, and how many answers change, writing alone, when 20 more columns of padding are added, or when the letters are shuffled. In the first row the one answer for the sentence stands at every position. The last row is the trained model of section 6.
#
# **Write down before you run it**: in which row will forced and free be far apart?

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
    model = translations.ArticleModel(*sizes, **options)
    settings = {"epochs": 5, "learning_rate": 0.02, "shifted": shifted, "name": name}
    models.fit_pairs(model, data.train, data.validation, **settings)
    table[name] = translations.measure_repair(model, data, shifted=shifted)
table["GRUs (section 6)"] = translations.measure_repair(runs["additive"][0], data)

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
seeds = [table["+ positions"][1], *(row["exact"] for row in longer["positions, no GRU"])]
print("+ positions, free, and on the test numbers in the script's three seeds:", np.round(seeds, 2))
claim("positions alone: in each seed well over half are right", min(seeds) > 0.6)
claim("with a place for each letter, shuffling changes answers", table["+ positions"][3] > 0.5)
claim("with fewer than a third of their parameters", model.count_params() < counts[None] / 3)

# %% [markdown]
# - **Targets not shifted**: forced, the model copies the word it is shown; alone, it has nothing to copy. The forced score proved nothing.
# - **Padding open**: the answer depends on how much padding follows the letters: where a batch is padded to its longest number, on the *others* in it. Closed or open, hardly any number is right.
# - **No order**: a bag of letters. Positions repair most, in four seeds, without any GRU and with fewer than a third of the parameters. Lesson 07 builds on that.

# %% [markdown]
# ## What to remember
#
# - The decoder's state asks; the encoder's states are keys and values. Padding is closed, targets are shifted.
# - Print the exact match forced *and* free: if they differ, something leaks or the writing loop is wrong. Words right may differ: a model alone reads its own slips.
# - With attention .99 exactly right, nearly all within three passes. Without it, after 8 passes, from .17 to .98 by seed; after 40, .99.
# - Attention is a sum and knows no order. Recurrence or positions must put it into the states.
#
# | | |
# |---|---|
# | sources | Sutskever et al. 2014, "Sequence to Sequence Learning with Neural Networks"; Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder"; Bahdanau et al. 2015, "Neural Machine Translation by Jointly Learning to Align and Translate"; Luong et al. 2015, "Effective Approaches to Attention-based Neural Machine Translation"; Ranzato et al. 2016, "Sequence Level Training with Recurrent Neural Networks"; Bengio et al. 2015, "Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks"; section 8's program: 注意力机制与多模态融合：未来人工智能的共享语言, a blog article on juejin.cn, in no journal |
# | data | `num2words` (LGPL) |
# | in Keras | `keras.layers.GRU`, `Bidirectional`; `AdditiveAttention` (without W and U) |
# | in attnfuse | `models.Seq2Seq`, `layers.AdditiveAttention`, `data.number_words` |
# | next | [07 · A Transformer that pronounces](07_transformer.ipynb), without recurrence |
