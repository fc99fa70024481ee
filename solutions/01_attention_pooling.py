# ---
# jupyter:
#   attnfuse:
#     title: Attention pooling
#     sentence: Forecast a day's temperature by averaging recorded days, and let each day asked about choose its own weights.
#     you_will:
#     - turn nearness into weights with softmax, and weights into a forecast
#     - find out by experiment why attention needs masks
#     - train an attention network of nine numbers and compare it with a formula
#     needs: [00_start_here]
#     minutes: 55
#     seconds: 9
#     keras: false
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% setup
import numpy as np

from attnfuse import attention, check, claim, hint, plot
from attnfuse.data import weather
from attnfuse.gradients import numerical_gradient

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1 · A record to ask
#
# How warm will it be in Seattle on 12 May 2015? We have a record: the highest temperature of every
# day of 2012, 2013 and 2014.
#
# Three words for the whole course. The day asked about is the **query**. Each recorded day is a
# **key**. The temperature stored with it is its **value**.

# %% [markdown]
# There are 365 queries, the days of 2015, and 1,096 keys. The temperatures of 2015 only judge; they
# choose nothing. (From NumPy you need broadcasting and boolean masks.)

# %%
train, test = weather.load()  # each: day of the year, year, temperature
fig, ax = plot.figure()
ax.scatter(train.day, train.temperature, s=3, color="0.6", label="the record")
ax.axhline(train.temperature.mean(), color=plot.COLOURS[0], label="its average")
ax.set(xlabel="day of the year", ylabel="highest temperature, °C")
ax.set(title="One average for all days misses the seasons")
ax.legend(loc="lower center")
plot.show(fig, alt="Dots rise from about 8 °C in January to 26 °C in August; the average is flat.")

# %% [markdown]
# ## 2 · Average, nearest, and in between
#
# By hand. The query is day 132, which is 12 May. Three keys of 2013:
#
# | key | value | days apart | **parts** |
# |---|---|---|---|
# | day 132 | 21.7 °C | 0 | 1 |
# | day 142 | 11.1 °C | 10 | 0.607 |
# | day 112 | 16.1 °C | 20 | 0.135 |
#
# Nearer keys get more parts. All parts together: 1.742. Divide by that, as in lesson 00, to get the
# **weights**: 0.574, 0.348 and 0.078, which sum to 1.
#
# The forecast is the sum of weight × value: 0.574·21.7 + 0.348·11.1 + 0.078·16.1 = 17.6.

# %%
three_apart, three_values = np.array([0, 10, 20]), np.array([21.7, 11.1, 16.1])
bell = np.exp(-(three_apart**2) / (2 * 10**2))
for name, parts in {"average": np.ones(3), "nearest": bell == 1, "in between": bell}.items():
    weights = parts / parts.sum()
    forecast = weights @ three_values  # @ multiplies pairwise and adds up
    print(f"{name:10}  weights {weights.round(3)}  forecast {forecast:.1f} °C")

# %% [markdown]
# The parts come from a **kernel**, here the Gaussian bell. Key $j$ is $d_j$ days from the query and
# has the value $v_j$:
#
# $$\text{parts}(d) = e^{-d^2 / 2h^2}, \qquad
# \text{forecast} = \frac{\sum_j \text{parts}(d_j)\, v_j}{\sum_j \text{parts}(d_j)}$$
#
# The **bandwidth** $h$ says how far "near" reaches: 10 days above. A tiny $h$ gives the nearest, a
# huge $h$ the average. Nadaraya and Watson proposed this in 1964, each alone.

# %% [markdown]
# ### Nearness on a circle
#
# What is $d$ between 31 December and 1 January? The year is a circle of 365 days. (We compare day
# *numbers*: in the leap year 2012, day 132 is 11 May.) In shapes, `T` is the number of queries and
# `S` the number of keys.


# %%
def broken_days_apart(query, key):
    forwards = query[:, None] - key[None, :]  # (T, S): a row per query, a column per key
    return np.minimum(abs(forwards), abs(forwards + 365))


for name, asked in (("1 January", 1), ("31 December", 365)):
    parts = np.exp(-(broken_days_apart(np.array([asked]), train.day)[0] ** 2) / (2 * 20**2))
    second_half = parts[train.day > 182].sum() / parts.sum()
    print(f"asked on {name:11}: {second_half:4.0%} of the weight lies on July to December")

# %% [markdown] task="days_apart"
# Both dates should draw about half of their weight from each side of New Year. The second does
# not: there is a bug in `broken_days_apart`. Find it, and write `days_apart(query, key)`. It takes
# whole days of the year, 1 to 366, `query (T,)` and `key (S,)`, and returns the distances `(T, S)`,
# the shorter way round (integers or floats). Day 366 of a leap year lies at the place of day 1.
#
# The try-it cell should print the rows `0 9 6 1` and `1 10 5 0`. You can go on with an exercise
# unsolved: the lesson uses the course's own `weather.days_apart`.
#
# <details><summary>Hint</summary>
#
# Try `query = [365]`, `key = [1]` and `query = [1]`, `key = [365]`. Which one is wrong?
#
# </details>


# %% exercise="days_apart"
def days_apart(query, key):
    """Days between each query (T,) and each key (S,), the shorter way round: (T, S)."""
    ### BEGIN SOLUTION
    gap = abs(query[:, None] - key)
    return np.minimum(gap, 365 - gap)
    ### END SOLUTION


# %% try="days_apart"
print(days_apart(np.array([1, 365]), np.array([1, 10, 360, 365])))

# %% check="days_apart"
check("days_apart", days_apart)

# %%
# Now ask for every day of 2015, with three bandwidths.
distances = weather.days_apart(test.day, train.day)  # (T, S)
fig, ax = plot.figure()
ax.scatter(train.day, train.temperature, s=2, color="0.8")
for bandwidth, style, width in ((0.5, "-", 0.6), (10, "-", 2.5), (80, "--", 1.5)):
    parts = np.exp(-(distances**2) / (2 * bandwidth**2))
    forecast = parts @ train.temperature / parts.sum(axis=1)
    colour = {0.5: "0.35", 10: plot.COLOURS[1], 80: plot.COLOURS[0]}[bandwidth]
    ax.plot(test.day, forecast, style, color=colour, lw=width, label=f"{bandwidth} days")
ax.set(xlabel="day of the year", ylabel="forecast, °C")
ax.set(title="Narrow is nervous, wide is flat")
ax.legend(title="bandwidth", loc="lower center")
plot.show(
    fig, alt="At 0.5 days the forecast jumps, at 10 days it is smoother, at 80 days too flat."
)

# %% [markdown]
# ## 3 · Softmax
#
# A kernel does two things. It turns the distance into a **score**, $-d^2/2h^2$, and puts the score
# into an exponential. Then we divide by the sum. Those last two steps have a name, **softmax**:
#
# $$\text{softmax}(s)_j = \frac{e^{s_j}}{\sum_k e^{s_k}}$$
#
# The exponentials are the parts. Any score will do, negative ones too: parts are positive, a higher
# score has more of them, and the weights sum to 1.

# %% [markdown]
# But two things go wrong in a computer: below −745.13, $e^s$ is rounded to 0, and above 709.78 it is
# infinite.

# %%
print("our three keys:", attention.softmax(-(three_apart**2) / (2 * 10**2)).round(3))

# Bandwidth 1: keys at 1 and 2 days, then at 45 and 46 days. Last, two high scores.
hard_scores = np.array([[-0.5, -2.0], [-1012.5, -1058.0], [800.0, 801.0]])
with np.errstate(invalid="ignore", over="ignore"):
    parts = np.exp(hard_scores)
    print("parts:", parts.round(2).tolist())
    print("weights:", (parts / parts.sum(axis=1, keepdims=True)).round(2).tolist())

# %% [markdown] task="softmax"
# Above, the second row of weights is 0/0 and the third ∞/∞: "not a number", `nan`.
#
# The way out: adding the same number $c$ to all scores of a row changes nothing, because
# $e^{s+c} = e^s e^c$ and $e^c$ cancels. So choose $c$ to make the exponentials harmless.
#
# Write `softmax(scores)`: `scores (T, S)` in, `weights (T, S)` out. No weight is negative, each row
# sums to 1. Scores may be in the thousands, above or below 0, and as far apart, in a row or between
# rows.
#
# <details><summary>Hint</summary>
#
# What is the largest exponent after you have subtracted the maximum? And is the maximum of *all*
# rows good for *each* row?
#
# </details>


# %% exercise="softmax"
def softmax(scores):
    """Weights (T, S) from scores (T, S): none is negative, each row sums to 1."""
    ### BEGIN SOLUTION
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)
    ### END SOLUTION


# %% try="softmax"
print(softmax(hard_scores).round(2))

# %% check="softmax"
check("softmax", softmax)

# %% [markdown]
# ## 4 · Pooling
#
# The weight that query $i$ gives to key $j$ is an **attention weight** $\alpha_{ij}$. The answer to
# query $i$ is its **context**:
#
# $$a_i = \sum_{j=1}^{S} \alpha_{ij}\, v_j$$
#
# This is **attention pooling**; you did it by hand in section 2. For all queries at once it is one
# matrix product: weights `(T, S)` times values `(S,)` give the context `(T,)`.
#
# The formula stands, with $x_j$ for the value, in the article that this course grew from:
# 注意力机制与多模态融合, "Attention and multimodal fusion", a blog article, in no journal.

# %% [markdown] task="pool"
# Fill the two blanks. `scores` is `(T, S)`, `value` is `(S,)`: one temperature for each key. You may
# use the course's `attention.softmax`.


# %% exercise="pool"
def pool(scores, value):
    """Pool value (S,) under the softmax of scores (T, S): context (T,) and weights (T, S)."""
    weights = context = None
    # Blank 1: the weights, from the scores.
    ### BEGIN SOLUTION
    weights = attention.softmax(scores)
    ### END SOLUTION
    # Blank 2: the context, from the weights and the values.
    ### BEGIN SOLUTION
    context = weights @ value
    ### END SOLUTION
    return context, weights


# %% try="pool"
context, weights = pool(np.log([[3.0, 1.0]]), np.array([10.0, 20.0]))  # exp(log 3) = 3 parts
print("weights", weights, "context", context, " expected: 0.75, 0.25 and 12.5")

# %% check="pool"
check("pool", pool)

# %%
# Weights are easy to look at: ask on the first of each month, with a bandwidth of 20 days.
firsts = np.array([1, 32, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335])
months = list("JFMAMJJASOND")
by_month = attention.softmax(-(weather.days_apart(firsts, firsts) ** 2) / (2 * 20**2))
ax = plot.attention_map(by_month, months, months, "January looks at December too")
for t, s in np.argwhere(by_month > 0.05):
    ink = "black" if by_month[t, s] > 0.5 else "white"
    ax.text(s, t, f"{by_month[t, s]:.2f}", ha="center", va="center", fontsize=7, color=ink)
ax.set(xlabel="key: first of the month, 2014", ylabel="query, 2015")
plot.show(
    ax.figure,
    alt="A bright diagonal, about 0.6, faint cells beside it, and two faint corners: New Year.",
)

# %% [markdown]
# A row is a query, a column is a key, and each row sums to 1. The faint cells at the top right and
# at the bottom left are New Year: 1 January gives 1 December as much weight as 1 February.

# %% [markdown]
# **What no pooling can do.** Weights are never negative and sum to 1. So a context lies between the
# smallest and the largest value, and wide bandwidths stay far inside. Whatever the scores: no day
# will be forecast hotter than the hottest day of the record.

# %%
for name, days in {"the record": train, "2015": test}.items():
    print(f"{name:19}{days.temperature.min():5.1f} to {days.temperature.max():.1f} °C")
for bandwidth in (0.5, 10, 80):
    scores = -(distances**2) / (2 * bandwidth**2)
    context, _ = attention.attention_pooling(scores, train.temperature)  # the course's pool
    print(f"forecasts, {bandwidth:>3} days {context.min():5.1f} to {context.max():.1f} °C")
senseless = np.random.default_rng(1).normal(size=distances.shape, scale=1000)
context, _ = attention.attention_pooling(senseless, train.temperature)
inside = np.clip(context, train.temperature.min(), train.temperature.max())
claim("senseless scores do not leave the record either", np.allclose(inside, context))

# %% [markdown] task="copies"
# A small record: a cold day with value 10 and a warm day with value 20. For some query the cold day
# gets 3 parts and the warm day 1 part. The weights are 0.75 and 0.25, the context is 12.5.
#
# 1. By mistake the whole record is loaded twice, so each day is in it two times. What is the context?
# 2. Instead, only the warm day is in it two times. What is the context?
#
# Think first, then set `prediction = (first, second)`.

# %% exercise="copies"
prediction = None  # your two numbers, such as (11.0, 19.0)
### BEGIN SOLUTION
prediction = (12.5, 14.0)  # parts 3, 3, 1, 1 of 8 in the first; parts 3, 1, 1 of 5 in the second
### END SOLUTION

# %% try="copies"
first, second = prediction
for name, number in {"all twice": first, "warm twice": second}.items():
    side = "between" if 10 <= number <= 20 else "not between"
    print(f"{name}: {number} °C, {side} the two temperatures")

# %% check="copies"
check("copies", prediction)

# %%
part_scores, two_values = np.log([[3.0, 1.0]]), np.array([10.0, 20.0])
for name, index in {"once": [0, 1], "all twice": [0, 0, 1, 1], "warm twice": [0, 1, 1]}.items():
    context, weights = attention.attention_pooling(part_scores[:, index], two_values[index])
    print(f"{name:11} weights {weights[0].round(3)}  context {context[0]:.1f}")

# %% [markdown]
# Copy everything: the context stays. Copy one key: it moves towards it. Softmax shares the
# weight among *entries*, so attention counts keys.

# %% [markdown]
# ## 5 · A day may not see itself
#
# Which bandwidth is best? Try several on the record: each of its days becomes a query, and its
# forecast is compared with its value, by the root of the mean squared error (RMSE). Before you run
# it: which one will win?

# %%
bandwidths = np.array([0.2, 0.5, 1, 2, 5, 10, 14, 18, 22, 30, 60])
record_apart = weather.days_apart(train.day, train.day)  # (1096, 1096)


def rmse(forecast, truth):
    return float(np.sqrt(np.mean((forecast - truth) ** 2)))


def pooled(distance, bandwidth, mask=None):
    scores = -(distance**2) / (2 * bandwidth**2)
    return attention.attention_pooling(scores, train.temperature, mask)[0]


errors = [rmse(pooled(record_apart, h), train.temperature) for h in bandwidths]
print("\n".join(f"{h:5} days: {e:.2f} °C" for h, e in zip(bandwidths, errors, strict=True)))

# %% [markdown]
# The narrowest wins with 2.96 °C. It cheats. At 0.2 days only one day number counts: three entries,
# one a year, and one of them is *the day itself*. So a third of the forecast is copied from the
# answer. For two day numbers it is a quarter:

# %%
narrow = -(record_apart**2) / (2 * 0.2**2)
itself = attention.softmax(narrow).diagonal()  # the weight that each day gives to itself
for weight, count in zip(*np.unique(itself.round(4), return_counts=True), strict=True):
    dates = np.unique(train.day[itself.round(4) == weight])
    print(
        f"{weight:.3f} of itself on {count} days:", *(dates if len(dates) < 9 else ["all others"])
    )
claim("three entries of one number, four on days 1 and 366", set(itself.round(4)) == {0.3333, 0.25})

# %% [markdown]
# Day 366 of 2012 lies at the place of day 1: four entries for these two. Attention counts.

# %% [markdown]
# A **mask** closes keys. It holds True or False for each query and key: True where the query *may*
# attend. Other keys get the weight 0. Try two masks: all but the day itself, and other years only.

# %%
own_day, own_year = np.eye(len(train.day), dtype=bool), train.year[:, None] == train.year
masks = {"no mask": None, "not itself": ~own_day, "other years only": ~own_year}
fig, ax = plot.figure()
best = {}  # by mask: the winning bandwidth, and its error
for (name, mask), style, colour in zip(masks.items(), plot.STYLES, plot.COLOURS, strict=False):
    errors = [rmse(pooled(record_apart, h, mask), train.temperature) for h in bandwidths]
    best[name] = bandwidths[np.argmin(errors)], min(errors)
    ax.plot(bandwidths, errors, style, marker=".", color=colour, label=name)
    ax.plot(*best[name], "o", color=colour)
ax.set(xscale="log", xlabel="bandwidth, days", ylabel="RMSE on 2012-14, °C", ylim=(2.8, 4.7))
ax.set_xticks(bandwidths, [f"{h:g}" for h in bandwidths], fontsize=8)
ax.set(title="The mask decides who wins: {:g}, {:g} or {:g} days".format(*dict(best.values())))
ax.legend()
plot.show(fig, alt="Minima at 0.2, 2 and 18 days; the fewer keys, the higher the minimum.")
claim("other years only: 14, 18 and 22 days differ by at most 0.02 °C", np.ptp(errors[6:9]) < 0.02)

# %% [markdown]
# Without the day itself, 2 days win. That still cheats: weather lasts, so yesterday and tomorrow give
# the answer away, and for 2015 nobody will tell us tomorrow.
#
# With other years only, 18 days win, and a few days more or less hardly matter. That is nearly the
# case of 2015, which has three years to ask, all earlier; here a day has two, some later. **A
# mask must hide what will not be there when it counts.**

# %% [markdown] task="other_years"
# Write `other_years(scores, value, query_year, key_year)`, a pooling with a mask. From `scores (T, S)`,
# `value (S,)` and the years `(T,)` and `(S,)` make `(context, weights)`, `(T,)` and `(T, S)`.
#
# - Keys of the query's own year get the weight 0.
# - The remaining weights of each row sum to 1, even when the keys of its own year, or other rows,
#   score thousands higher.
# - A query without any key of another year gets zero weights and a zero context.
#
# You may use `attention.softmax(scores)`; the masking is yours. Set *weights* to 0 after the softmax,
# or *scores* to minus infinity (`-np.inf`), whose exponential is 0, before it? One is right. A row of
# nothing but minus infinity gets zeros from `attention.softmax`, and `nan` from one that only takes
# off the maximum, since −∞ − (−∞) is not a number.
#
# <details><summary>Hint</summary>
#
# `query_year[:, None] != key_year` is a table `(T, S)` of True and False. `np.where(mask, a, b)`
# takes `a` where the mask is True, else `b`.
#
# </details>


# %% exercise="other_years"
def other_years(scores, value, query_year, key_year):
    """Pool value (S,) over keys of other years: context (T,) and weights (T, S)."""
    ### BEGIN SOLUTION
    mask = query_year[:, None] != key_year  # (T, S)
    weights = attention.softmax(np.where(mask, scores, -np.inf))
    return weights @ value, weights
    ### END SOLUTION


# %% try="other_years"
three_years = np.array([2012, 2013, 2014])
same_scores = np.log([[3.0, 2.0, 1.0]] * 3)  # every query would give 3, 2 and 1 parts
print(other_years(same_scores, three_values, three_years, three_years)[1].round(2))

# %% check="other_years"
check("other_years", other_years)

# %% [markdown]
# Now 2015. It is not in the record, so no mask is needed. Beside the three bandwidths stand the
# average and the nearest day. (Three lie at distance 0, on 1 January four; we take that of 2012.)
#
# And a rival that is not attention: a curve made of waves that go once, twice … round the year,
# fitted for the least squared error. How many waves? By the bandwidth's rule: for each
# recorded year the curve is fitted to the two others. For 2015 it is fitted to all three.

# %%
nearest = train.temperature[distances.argmin(axis=1)]  # argmin takes the first of equals
forecasts = {"average": np.full(365, train.temperature.mean()), "nearest day, of 2012": nearest}
chosen_by = {}  # the error on 2012-14
for mask_name, (bandwidth, error) in best.items():
    name = f"{bandwidth:g} days, {mask_name}"
    forecasts[name], chosen_by[name] = pooled(distances, bandwidth), f"{error:.2f}"
for count in range(1, 6):
    name = f"{count} wave{'s' * (count > 1)}, other years only"
    forecasts[name] = weather.waves(train, test, count)
    chosen_by[name] = f"{rmse(weather.waves(train, train, count), train.temperature):.2f}"
print(f"{'RMSE in °C':26} 2012-14   2015")
for name, forecast in forecasts.items():
    print(f"{name:26} {chosen_by.get(name, ''):>7}   {rmse(forecast, test.temperature):.2f}")

# %%
asked = test.day == 132  # 12 May 2015, the first question of this lesson
print(f"forecast: {forecasts['18 days, other years only'][asked][0]:.1f} °C")
print(f"measured: {test.temperature[asked][0]:.1f} °C")

# %% [markdown]
# One day says little; the whole year says more. The stricter the mask, the worse in the first column
# and the better in 2015. The rule chooses three waves, by 3.65 against 3.66 nearly a draw with two.
# In 2015 three have 3.91, and pooling 3.88. With hindsight two waves reach 3.77, but 2015 may not
# choose.

# %% [markdown]
# Is that chance? Cut 2015 into twelve stretches of 30 or 31 days, and in each compare the squared
# errors of two forecasts. The scatter of the twelve gaps, divided by √12, is the **standard
# error** of their mean (`weather.gap`). Twelve are few: the first line below says how often random
# gaps, without any difference, have a mean beyond two standard errors, and beyond three.

# %%
gaps = np.random.default_rng(2).normal(size=(100_000, 12))
chance = abs(gaps.mean(axis=1)) / (gaps.std(axis=1, ddof=1) / np.sqrt(12))
print(f"by chance: beyond two {np.mean(chance > 2):.1%}, beyond three {np.mean(chance > 3):.1%}")
no_mask, not_itself, wide, _, two_waves, three_waves = list(forecasts)[2:8]
pairs = [(no_mask, not_itself), (not_itself, wide), (three_waves, wide), (wide, two_waves)]
ratios = []
for worse, better in pairs:
    gap, error = weather.gap(forecasts[worse], forecasts[better], test.temperature)
    ratios.append(gap / error)
    print(f"{worse:25} less {better:25}: {gap:.1f} ± {error:.1f} °C²")
claim("both stricter masks gain more than three standard errors", min(ratios[:2]) > 3)
claim("pooling against waves, two or three: less than two", max(np.abs(ratios[2:])) < 2)

# %% [markdown]
# The masks helped. Between waves and pooling this year cannot decide, even with hindsight. That does
# not make them equal: more years might tell them apart.

# %% [markdown]
# So what is pooling for? The waves were told the shape of a year, pooling which days are near and
# how far near reaches. It learns a new day by storing it, and its weights show where an answer came
# from. Above all, a key can be anything that can be scored: a word, a picture. Nobody knows *their*
# waves.

# %% [markdown] task="year_out_errors"
# How wide, for any record? Write `year_out_errors(bandwidths, day, year, temperature)`. The last
# three are a record, `(S,)` each; every day becomes a query and sees the keys of other years only.
# Return the RMSE of each bandwidth, in the order given; bandwidths are any positive numbers, in an
# array. Here you may use `weather.days_apart` and `attention.attention_pooling(scores, value, mask)`.


# %% exercise="year_out_errors"
def year_out_errors(bandwidths, day, year, temperature):
    """RMSE of each bandwidth when a day may see other years only."""
    ### BEGIN SOLUTION
    nearness = -0.5 * weather.days_apart(day, day) ** 2
    allowed = year[:, None] != year
    errors = []
    for width in bandwidths:
        context, _ = attention.attention_pooling(nearness / width**2, temperature, allowed)
        errors.append(np.sqrt(np.mean((context - temperature) ** 2)))
    return errors
    ### END SOLUTION


# %% try="year_out_errors"
print("yours:          ", np.round(year_out_errors(bandwidths[[3, 7, 10]], *train), 2), "°C")
print("the curve above:", np.round(errors, 2)[[3, 7, 10]], "°C")  # 2, 18 and 60 days

# %% check="year_out_errors"
check("year_out_errors", year_out_errors)

# %% [markdown]
# ## 6 · An attention network
#
# So far we chose the scores. Our article lets an **attention network** learn them. Step one turns
# each key $k_j$ into a number, by a *dense layer* (multiply by learned numbers, add others) and an
# *activation* (a bend, here tanh). Step two sums the values under these numbers.

# %% [markdown]
# The article calls the numbers weights. Nothing makes them sum to 1, so we take them as scores and
# put a softmax behind:
#
# $$s_j = u \cdot \tanh(w\, k_j + b)$$
#
# $w$, $b$ and $u$ hold three numbers each, one for each of three *hidden units*: nine parameters. $u$
# says how much each unit counts, for or against; the dot adds the three up to one score.

# %% [markdown] task="no_query"
# Take that network as written, whatever its numbers $w$, $b$ and $u$ are. You ask it about all 365
# days of 2015. How many different forecasts do you get?

# %% exercise="no_query"
how_many = None  # a whole number
### BEGIN SOLUTION
how_many = 1  # no score depends on the day asked about
### END SOLUTION

# %% try="no_query"
print(f"You expect {how_many:g} different forecasts for the {len(test.day)} days of 2015.")

# %% check="no_query"
check("no_query", how_many)


# %%
def network_scores(parameters, days):
    """One score for each entry of `days`; parameters (3, 3) are the rows w, b, u."""
    w, b, u = parameters
    months = days[..., None] / 30  # 0 to 12.2; the new axis meets the three units
    return np.tanh(months * w + b) @ u


parameters = rng.normal(size=(3, 3))  # random numbers
key_scores = network_scores(parameters, train.day)  # (S,)
every_query = np.broadcast_to(key_scores, distances.shape)  # (T, S)
answers, _ = attention.attention_pooling(every_query, train.temperature)
print(f"different forecasts for 365 days: {len(set(answers.round(9)))}")
with_hindsight = rmse(np.full(365, test.temperature.mean()), test.temperature)
print(f"the best that one number can do on 2015: {with_hindsight:.2f} °C")
by_hand = rmse(forecasts[wide], test.temperature)
claim("nearly twice the error of 18 days", with_hindsight > 1.8 * by_hand)

# %% [markdown]
# As written there is **no query**: each day asked about gets the same weights, whatever $w$, $b$ and
# $u$ are. Training can change which one number is answered, and nothing else.
#
# So give it what the kernel had, the distance between query and key:
#
# $$s_{ij} = u \cdot \tanh(w\, d_{ij} + b)$$
#
# (The code counts days in units of 30.)

# %% [markdown]
# We learn by **gradient descent**. `numerical_gradient` moves each number a little and sees by how
# much the error grows: its slope. A minus sign means that a larger number lowers the error. Then all
# take a step downhill: 0.05, the *learning rate*, times the slope. Sixty steps are enough here.

# %%
weekly = np.arange(0, len(train.day), 7)  # every seventh day asks: a seventh of the work


def loss(parameters, asked=weekly):
    """Mean squared error on recorded days; each may see other years only."""
    by_distance = network_scores(parameters, np.arange(183))  # a score for 0 to 182 days
    scores, mask = by_distance[record_apart[asked]], ~own_year[asked]  # (T, S)
    context, _ = attention.attention_pooling(scores, train.temperature, mask)
    return np.mean((context - train.temperature[asked]) ** 2)


print("slopes of the random numbers (rows w, b, u):")
print(numerical_gradient(loss, parameters).round(2))

# %% measured
networks = []
for _ in range(3):
    parameters = rng.normal(size=(3, 3))
    start = loss(parameters, slice(None)) ** 0.5
    for _ in range(60):
        parameters = parameters - 0.05 * numerical_gradient(loss, parameters)
    networks.append(parameters)
    print(f"network: {start:.2f} → {loss(parameters, slice(None)) ** 0.5:.2f} °C on 2012-14")
print(f"18 days, chosen by us: {best['other years only'][1]:.2f} °C on 2012-14")

# %% [markdown]
# They start at random and end with errors near our kernel's. And in 2015? The same test as for the
# waves:

# %% measured
learned, ties = [], []
for parameters in networks:
    scores = network_scores(parameters, np.arange(183))[distances]
    forecast, _ = attention.attention_pooling(scores, train.temperature)
    learned.append(rmse(forecast, test.temperature))
    gap, error = weather.gap(forecast, forecasts[wide], test.temperature)
    ties.append(abs(gap) / error)
    print(
        f"{learned[-1]:.2f} °C on 2015; squared error less that of 18 days: {gap:.2f} ± {error:.2f} °C²"
    )
print(f"{by_hand:.2f} °C on 2015 for 18 days, {with_hindsight:.2f} for one number without a query")
claim("no network is two standard errors from our bandwidth", max(ties) < 2)

# %% measured
fig, ax = plot.figure()
days, far = np.arange(61), []
ax.plot(days, np.exp(-(days**2) / (2 * 18**2)), color="black", lw=2, label=f"kernel, {by_hand:.2f}")
for i, (parameters, error) in enumerate(zip(networks, learned, strict=True)):
    parts = np.exp(network_scores(parameters, days))
    style, colour = plot.STYLES[i + 1], plot.COLOURS[i]
    label = f"network {i + 1}, {error:.2f}"
    ax.plot(days, parts / parts[0], style, color=colour, label=label)
    far.append(parts[-1] / parts[0])
ax.set(xlabel="days apart", ylabel="parts, 1 at distance 0")
ax.set(title="Three runs: near days count; how near, they disagree")
ax.legend(title="RMSE on 2015, °C")
claim("60 days away is less than a tenth of a part", max(far) < 0.1)
plot.show(fig, alt="Four curves fall from 1 to nearly 0 at 60 days, some sooner, some later.")

# %% [markdown]
# In 2015 the networks cannot be told apart from the kernel: no gap reaches two standard errors. Their
# bells differ, their errors hardly do. We told them how far apart two days are. That closer should
# count more, and how much, they learned.
#
# Bahdanau et al. gave such a network query and key themselves: lesson 06.

# %% [markdown]
# ## What to remember
#
# - In attention, each query averages the values under weights of its own.
# - Scores → softmax over the keys → weights → context, which lies among the values.
# - Weights are shared among entries: attention counts keys.
# - Mask scores before the softmax, and hide what will not be there when it counts.

# %% [markdown]
# **Sources.** Our article: 注意力机制与多模态融合：未来人工智能的共享语言 ("Attention and multimodal
# fusion: the shared language of future AI"), sections 3.1-3.3; a blog article of juejin.cn, in no
# journal. Nadaraya 1964, "On Estimating Regression". Watson 1964, "Smooth Regression Analysis".
# Bahdanau, Cho and Bengio 2015, "Neural Machine Translation by Jointly Learning to Align and
# Translate". Weather: NOAA (public domain), through vega-datasets (MIT).

# %% [markdown]
# **Where this lives.** attnfuse: `attention.softmax`, `attention.attention_pooling`. Keras:
# `keras.ops.softmax`; section 6's network is the idea behind `keras.layers.AdditiveAttention`.
#
# **Next.** In lesson 02 the score becomes a product of query and key, and untrained attention reads
# handwritten digits.
