# ---
# jupyter:
#   attnfuse:
#     title: Start here
#     sentence: How the lessons work, how an exercise tells you what is wrong, and one small exercise that already is attention's last step.
#     you_will: [run a cell and see a picture, read what a failed check says, solve an exercise that grades itself]
#     needs: []
#     minutes: 10
#     seconds: 3
#     keras: false
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# ## 1 · Cells
#
# A lesson is made of text and of cells with code. Click into the next cell and press **Shift + Enter**: the code runs, its result appears below, and the cursor moves on. Run every cell in order. If something looks odd, choose *Restart Kernel and Run All Cells* in the menu; it is always safe.

# %% setup
import numpy as np

from attnfuse import check, claim, hint, plot, quiz
from attnfuse.exercises import EXERCISES

# %% [markdown]
# Three thermometers hang around a house: one in the garden, one on the balcony, one in the cellar. How warm is it outside?

# %%
place = ["garden", "balcony", "cellar"]
value = np.array([21.0, 23.0, 12.0])  # degrees Celsius
print(f"plain average: {value.mean():.2f} °C")

# %% [markdown]
# ## 2 · Not everybody counts the same
#
# The cellar pulls the average down, and nobody asked about the cellar. So give each thermometer a **weight**: how much it has to say about *outside*. By hand: the garden 2, the balcony 1, the cellar 1.
#
# Weight × value, added up: 2·21 + 1·23 + 1·12 = 77. The weights add up to 4. So the weighted average is 77 / 4 = 19.25.

# %%
weights = np.array([2.0, 1.0, 1.0])
share = weights / weights.sum()
print("shares:", share, " they add up to", share.sum())
claim("the shares of the three add up to 1", np.isclose(share.sum(), 1))

# %%
fig, ax = plot.figure()
bars = ax.bar(place, share, color=plot.COLOURS[0], edgecolor="black")
ax.bar_label(bars, [f"{v:.0f} °C × {s:.2f}" for v, s in zip(value, share, strict=True)])
ax.set(
    ylim=(0, 0.65),
    ylabel="share of the average",
    title="The garden has as much to say as both others",
)
plot.show(fig, alt="Bars of three shares: garden 0.50, balcony 0.25, cellar 0.25.")

# %% [markdown]
# The picture shows the three shares. *Attention* is this and one thing more: **the weights depend on the question.** Ask about the cellar, and the cellar's weight should grow. How a question makes its own weights is what the next lesson is about. The last step, mixing values by weights, is yours now.

# %% [markdown]
# ## 3 · How a check works
#
# Every exercise has a check. It tries your answer on fresh random numbers, compares it with the definition, and knows the wrong answers that people often give. Here somebody forgot the weights. Read what the check says before you solve the exercise yourself.


# %%
def forgetful(value, weights):
    return value.mean()


print(EXERCISES["weighted_average"].judge(forgetful, seed=1).message)

# %% [markdown]
# From top to bottom: what probably went wrong, what was checked, the smallest numbers that show it, and where to read again. With `seed=1` in the check you get the same numbers once more.

# %% [markdown] task="weighted_average"
# Write `weighted_average(value, weights)`. Both are arrays of shape `(S,)`, for S values; the weights are positive and need *not* add up to 1. Return one number. With a single value the result is that value.
#
# <details><summary>Hint</summary>
#
# NumPy multiplies arrays of one shape element by element; `.sum()` adds up.
#
# </details>


# %% exercise="weighted_average"
def weighted_average(value, weights):
    """Return the average of value (S,), each counted as much as its weight (S,) says."""
    ### BEGIN SOLUTION
    return (weights * value).sum() / weights.sum()
    ### END SOLUTION


# %% [markdown]
# Try it on the thermometers: 19.25 is what we had by hand.

# %% try="weighted_average"
print(f"{weighted_average(value, weights):.2f} °C")

# %% [markdown]
# Now the check. If it fails, change your answer, run its cell, then the check again, as often as you like. After three failures `hint("weighted_average")` helps: first a hint, then half of an answer, then all of it.

# %% check="weighted_average"
check("weighted_average", weighted_average)

# %% [markdown]
# ## 4 · Questions
#
# Lessons also ask questions. They carry no points: choose a letter, run the cell, and read why.

# %% quiz="00-doubling"

# %% [markdown]
# ## What to remember
#
# - Run the cells in order; *Restart and Run All* is always safe.
# - A check shows the smallest case that fails. `seed=` repeats it.
# - A weighted average divides by the sum of the weights.
# - Attention is a weighted average whose weights depend on the question.
#
# `attnfuse grade` in a terminal grades all of your notebooks at once. Next: [01 · Attention pooling](01_attention_pooling.ipynb), where the weights are no longer given but computed.
