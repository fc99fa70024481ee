# ---
# jupyter:
#   attnfuse:
#     title: Start here
#     sentence: How the lessons work, how an exercise tells you what is wrong, and one small exercise that already is attention's last step.
#     you_will: [run a cell and see a picture, read what a failed check says, solve an exercise that grades itself]
#     needs: []
#     minutes: 10
#     seconds: 2
#     keras: false
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# ## 1 · Cells
#
# A lesson is made of text and of cells with code. Click into the next cell and press **Shift + Enter**: the code runs, its result appears below, and the cursor moves on. Run every cell in order. If something looks odd, choose *Restart Kernel and Run All Cells* in the menu: it begins anew and changes nothing that you wrote. What you have not solved yet says "not written yet", and the next cells run; an error in the cell of an answer stops it.

# %% setup
import numpy as np

from attnfuse import check, claim, hint, plot, quiz
from attnfuse.exercises import EXERCISES

# %% [markdown]
# Three thermometers hang in and around a house: one in the garden, one on the balcony, one in the cellar. How warm is it outside?

# %%
place = ["garden", "balcony", "cellar"]
value = np.array([21.0, 23.0, 12.0])  # degrees Celsius
print(f"plain average: {value.mean():.2f} °C")

# %% [markdown]
# ## 2 · Not everybody counts the same
#
# The cellar pulls the average down: it feels the weather only through its walls. The balcony's thermometer hangs in the sun. So give each thermometer **parts**, as in a recipe: how much it has to say about *outside*. By hand: the garden gets 2 parts, the balcony 1, the cellar 1.
#
# Parts × value, added up, stands above the line, all parts together below. That is the **weighted average**:
#
# $$\frac{2\cdot 21 + 23 + 12}{2 + 1 + 1} = 19.25$$

# %% [markdown]
# The same in another order: divide the parts by their sum first. What comes out are the **weights**. Whatever positive parts you begin with, they sum to 1; the whole course means this when it says *weights*. (One exception, in lesson 01: where nothing may count, all are 0.)

# %%
parts = np.array([2.0, 1.0, 1.0])
weights = parts / parts.sum()
print("weights:", weights, " they sum to", weights.sum())
claim("weight × value, added up, is the same 19.25", np.isclose((weights * value).sum(), 19.25))

# %% [markdown]
# `claim` states something about what was just computed. If it is so, it prints the sentence with a ✓; if not, the lesson stops there. So you need not believe the sentences: you can see them hold on your machine.

# %%
fig, ax = plot.figure()
bars = ax.bar(place, weights, color=plot.COLOURS[0], edgecolor="black")
ax.bar_label(bars, [f"{v:.0f} °C × {w:.2f}" for v, w in zip(value, weights, strict=True)])
ax.set(ylim=(0, 0.65), ylabel="weight", title="The garden has as much to say as both others")
plot.show(fig, alt="Bars of three weights: garden 0.50, balcony 0.25, cellar 0.25.")

# %% [markdown]
# The picture shows the three weights. *Attention* is this and one thing more: **the weights depend on the question.** Ask about the cellar, and the cellar's weight should grow. How a question makes its own weights is what the next lesson is about. The last step, mixing values, is yours now.

# %% [markdown]
# ## 3 · How a check works
#
# Every exercise has a check. It tries a function on fresh random numbers and compares what comes out with the definition, mostly to six digits; a prediction it compares with the right one. If they differ, it looks whether your answer behaves like one of the wrong ones it has a sentence for. Here somebody forgot the parts. Read what the check says before you solve the exercise yourself.


# %%
def forgetful(value, parts):
    return value.mean()


exercise = EXERCISES["weighted_average"]
print(exercise.judge(forgetful, seed=1))
print(f"\nIt has a sentence for {len(exercise.slips)} wrong answers to this exercise.")

# %% [markdown]
# From top to bottom: what probably went wrong, what was checked, the first numbers that showed it (the cases begin small), and where to read again.
#
# The numbers are drawn anew each time. "Same case again" names their **seed**, the number that random numbers grow from: `check("weighted_average", weighted_average, seed=1)` tries the same cases once more.

# %% [markdown]
# Three rules hold in all lessons. A function gets NumPy arrays unless the task says otherwise. It may return a list where an array is asked for. It must not change what it was given.

# %% [markdown] task="weighted_average"
# Write `weighted_average(value, parts)`. Both are arrays of shape `(S,)`, for S values; the parts are positive and add up to anything. Return one number. With a single value the result is that value.
#
# <details><summary>Hint</summary>
#
# NumPy multiplies arrays of one shape element by element; `.sum()` adds up.
#
# </details>


# %% exercise="weighted_average"
def weighted_average(value, parts):
    """Return the average of value (S,), each counted as much as its parts (S,) say."""
    ### BEGIN SOLUTION
    return (parts * value).sum() / parts.sum()
    ### END SOLUTION


# %% [markdown]
# Try it on the thermometers: 19.25 is what we had by hand.

# %% try="weighted_average"
print(f"{weighted_average(value, parts):.2f} °C")

# %% [markdown]
# Now the check. If it fails, change your answer, run its cell, then the check again, as often as you like. After three failures `hint("weighted_average")` helps: first a hint, then half of an answer, then all of it.

# %% check="weighted_average"
check("weighted_average", weighted_average)

# %% [markdown]
# ## 4 · Questions
#
# Lessons also ask questions. They carry no points: write a letter between the quotes, run the cell, and read why.

# %% quiz="00-doubling"

# %%
quiz("00-doubling", "c")  # a wrong letter says why not

# %% [markdown]
# ## What to remember
#
# - Run the cells in order; *Restart and Run All* begins anew and keeps what you wrote.
# - A check shows a case that fails, small ones first. `seed=` repeats it.
# - Parts divided by their sum are weights; weights sum to 1.
# - Attention is a weighted average whose weights depend on the question.
#
# `attnfuse grade` in a terminal grades all of your notebooks at once. Next: [01 · Attention pooling](01_attention_pooling.ipynb), where the weights are no longer given but computed.
