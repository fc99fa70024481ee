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
#     minutes: 60
#     seconds: 10
#     keras: false
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% setup
import numpy as np

from attnfuse import attention, check, claim, plot
from attnfuse.data import weather
from attnfuse.gradients import numerical_gradient

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. A record to ask
#
# How warm will it be in Seattle on 12 May 2015? We have a record: the highest temperature of every
# day of 2012, 2013 and 2014. Nothing else.
#
# Three words for the whole course. The day asked about is the **query**. Each recorded day is a
# **key**. The temperature stored with it is its **value**.
#
# There are 365 queries, the days of 2015, and 1,096 keys. The temperatures of 2015 only judge. They
# never choose anything.

# %%
train, test = weather.load()  # each: day of the year, year, temperature
fig, ax = plot.figure()
ax.scatter(train.day, train.temperature, s=3, color="0.6", label="the record")
ax.axhline(train.temperature.mean(), color=plot.COLOURS[0], label="its average")
ax.set(xlabel="day of the year", ylabel="highest temperature, °C")
ax.set(title="One average for all days misses the seasons")
ax.legend(loc="lower center")
plot.show(fig, alt="Dots rise from about 8 °C in January to 27 °C in July; the average is flat.")

# %% [markdown]
# ## 2. Average, nearest, and in between
#
# By hand, with three keys of 2013. The query is day 132, which is 12 May.
#
# | key | value | days apart |
# |---|---|---|
# | day 132 | 21.7 °C | 0 |
# | day 142 | 11.1 °C | 10 |
# | day 112 | 16.1 °C | 20 |
#
# *Average*: each key gets the weight 1/3. *Nearest*: day 132 gets 1, the others 0.
#
# *In between*: a day 0, 10 or 20 days away gets 1, 0.61 or 0.14 **parts**. Together 1.75 parts.
# Divide by that: the weights are 0.57, 0.35 and 0.08. A forecast is the sum of weight × value.

# %%
apart, value = np.array([0, 10, 20]), np.array([21.7, 11.1, 16.1])
parts = np.exp(-(apart**2) / (2 * 10**2))
ways = {"average": np.ones(3), "nearest": np.array([1, 0, 0]), "in between": parts}
for name, share in ways.items():
    by_hand = share / share.sum()
    print(f"{name:10}  weights {by_hand.round(2)}  forecast {by_hand @ value:.1f} °C")

# %% [markdown]
# The parts come from a **kernel**, here the Gaussian bell:
#
# $$\text{parts}(d) = e^{-d^2 / 2b^2}, \qquad
# \text{forecast} = \frac{\sum_j \text{parts}(d_j)\, y_j}{\sum_j \text{parts}(d_j)}$$
#
# Key $j$ is $d_j$ days from the query and has the value $y_j$. The **bandwidth** $b$ says how far
# "near" reaches: 10 days above. A tiny $b$ gives the nearest, a huge $b$ the average. Nadaraya and
# Watson each proposed this in 1964.
#
# ### Nearness on a circle
#
# What is $d$ between 31 December and 1 January? The year is a circle of 365 days.


# %%
def broken_days_apart(query, key):
    forwards = query[:, None] - key[None, :]  # (T, S)
    return np.minimum(abs(forwards), abs(forwards + 365))


for name, asked in (("1 January", 1), ("31 December", 365)):
    parts = np.exp(-(broken_days_apart(np.array([asked]), train.day)[0] ** 2) / (2 * 20**2))
    second_half = parts[train.day > 182].sum() / parts.sum()
    print(f"asked on {name:11}: {second_half:4.0%} of the weight lies on July to December")

# %% [markdown] task="days_apart"
# The two dates are neighbours, so both should draw about half of their weight from each side of New
# Year. The second does not: there is a bug in `broken_days_apart`.
#
# Find it, and write `days_apart(query, key)`. It takes whole days of the year, `query (T,)` and
# `key (S,)`, and returns the distances `(T, S)`, the shorter way round. Day 366 of a leap year
# lies at the place of day 1.
#
# In shapes, `T` is the number of queries and `S` the number of keys, in the whole course.
# `query[:, None] - key[None, :]` is a table of differences, a row per query and a column per key.
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

# %% [markdown]
# Now ask for every day of 2015, with three bandwidths. (The course has its own
# `weather.days_apart`, so an open exercise stops nothing.)

# %%
fig, ax = plot.figure()
ax.scatter(train.day, train.temperature, s=2, color="0.75")
distances = weather.days_apart(test.day, train.day)  # (T, S)
for bandwidth, style, colour in zip((0.5, 18, 80), plot.STYLES, plot.COLOURS, strict=False):
    parts = np.exp(-(distances**2) / (2 * bandwidth**2))
    forecast = parts @ train.temperature / parts.sum(axis=1)
    ax.plot(test.day, forecast, style, color=colour, lw=1.2, label=f"{bandwidth} days")
ax.set(xlabel="day of the year", ylabel="forecast, °C")
ax.set(title="Narrow is nervous, wide is flat")
ax.legend(title="bandwidth", loc="lower center")
plot.show(
    fig, alt="At half a day the forecast jumps, at 18 days it is smooth, at 80 days too flat."
)

# %% [markdown]
# ## 3. Softmax
#
# A kernel does two things to a distance. It takes the **score** $-d^2/2b^2$, and puts it into an
# exponential. Then we divide by the sum. Those last two steps have a name, **softmax**:
#
# $$\text{softmax}(s)_j = \frac{e^{s_j}}{\sum_k e^{s_k}}$$
#
# Any score will do, negative ones too. A higher score is more weight, and the weights sum to 1.
# One thing goes wrong in a computer: far below zero, $e^s$ is rounded to 0.

# %%
by_softmax = attention.softmax(-(apart**2) / (2 * 10**2))
print("softmax of the scores:", by_softmax.round(2))

# Bandwidth 1, two keys. The first query is 1 and 2 days from them, the second 45 and 46 days.
far_scores = -(np.array([[1, 2], [45, 46]]) ** 2) / 2
parts = np.exp(far_scores)
with np.errstate(invalid="ignore"):
    print("scores:", far_scores.tolist())
    print("weights:", (parts / parts.sum(axis=1, keepdims=True)).round(2).tolist())

# %% [markdown] task="softmax"
# The second row of weights is 0/0, "not a number", although its first key is nearer.
#
# The way out: adding the same number $c$ to all scores of a row changes nothing, because
# $e^{s+c} = e^s e^c$ and $e^c$ cancels. So choose $c$ to make the exponentials harmless.
#
# Write `softmax(scores)`: `scores (T, S)` in, `weights (T, S)` out. Each row is positive and sums
# to 1. Scores may be ±1000, and rows may be thousands apart.
#
# <details><summary>Hint</summary>
#
# What is the largest exponent after you have subtracted the maximum? And is the maximum of *all*
# rows good for *each* row?
#
# </details>


# %% exercise="softmax"
def softmax(scores):
    """Weights (T, S) from scores (T, S): each row is positive and sums to 1."""
    ### BEGIN SOLUTION
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)
    ### END SOLUTION


# %% try="softmax"
print(softmax(far_scores).round(2))

# %% check="softmax"
check("softmax", softmax)

# %% [markdown]
# ## 4. Pooling
#
# The weight that query $i$ gives to key $j$ is an **attention weight** $\alpha_{ij}$. With $x_j$
# for the value of key $j$, the answer to query $i$ is
#
# $$a_i = \sum_{j=1}^{S} \alpha_{ij}\, x_j$$
#
# You did this by hand in section 2. Summing values under such weights is **attention pooling**. The
# answer is called the **context**. For all queries at once it is one matrix product: weights
# `(T, S)` times values `(S,)` give the context `(T,)`.

# %% [markdown] task="pool"
# Fill the two blanks. `scores` is `(T, S)`, `value` is `(S,)`: one temperature for each key. For the
# first blank you may use the course's `attention.softmax`.


# %% exercise="pool"
def pool(scores, value):
    """Pool value (S,) under the softmax of scores (T, S): context (T,) and weights (T, S)."""
    weights = None  # blank 1: from the scores
    context = None  # blank 2: from the weights and the values
    ### BEGIN SOLUTION
    weights = attention.softmax(scores)
    context = weights @ value
    ### END SOLUTION
    return context, weights


# %% check="pool"
check("pool", pool)

# %% [markdown]
# Weights are easy to look at. Ask on the first of each month, let the keys be the firsts of the
# months of 2014, and choose 20 days as the bandwidth. Before you run the cell: where in the picture
# does 1 January look?

# %%
firsts = np.array([1, 32, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335])
months = list("JFMAMJJASOND")
scores = -(weather.days_apart(firsts, firsts) ** 2) / (2 * 20**2)
by_month = attention.softmax(scores)
ax = plot.attention_map(by_month, months, months, "January looks at December too")
ax.set(xlabel="key: first of the month, 2014", ylabel="query, 2015")
plot.show(
    ax.figure, alt="A bright diagonal; the corners glow, since January and December are near."
)

# %% [markdown]
# A row is a query, a column is a key, and each row sums to 1. The two bright corners are New Year.
# Every later lesson draws such maps.

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
prediction = (12.5, 14.0)
### END SOLUTION

# %% check="copies"
check("copies", prediction)

# %%
part_scores, small_value = np.log([[3.0, 1.0]]), np.array([10.0, 20.0])
for name, index in {"once": [0, 1], "all twice": [0, 0, 1, 1], "warm twice": [0, 1, 1]}.items():
    pooled, shares = attention.attention_pooling(part_scores[:, index], small_value[index])
    print(f"{name:11} weights {shares[0].round(3)}  context {pooled[0]:.1f}")

# %% [markdown]
# Copy everything: nothing changes. Copy one key: the context moves towards it, although no
# temperature is new. Softmax shares the weight among *entries*, so attention counts keys. A record
# with one crowded week is pulled towards that week.
#
# ## 5. A day may not see itself
#
# Which bandwidth is best? Try several on the years we have: each recorded day becomes a query, and
# its forecast is compared with its value, by the root of the mean squared error (RMSE). Before you
# run it: which one will win?

# %%
bandwidths = np.array([0.2, 0.5, 1, 2, 5, 10, 18, 30, 60])
apart = weather.days_apart(train.day, train.day)  # (1096, 1096)


def rmse(forecast, truth):
    return float(np.sqrt(np.mean((forecast - truth) ** 2)))


def pooled(distance, bandwidth, mask=None):
    scores = -(distance**2) / (2 * bandwidth**2)
    return attention.attention_pooling(scores, train.temperature, mask)[0]


for bandwidth in bandwidths:
    print(f"{bandwidth:5} days: {rmse(pooled(apart, bandwidth), train.temperature):.2f} °C")

# %% [markdown]
# The narrowest wins with 2.96 °C. It cheats. The nearest key of each day is *the day itself*, at
# distance 0. At 0.2 days only one date counts, once in each of the three years, and a third of the
# forecast is copied from the answer.
#
# A **mask** forbids that. It holds True or False for each query and key: True where the query *may*
# attend. Masked keys get the weight 0.
#
# Try two masks: everything but the day itself, and other years only.

# %%
own_day, own_year = np.eye(len(train.day), dtype=bool), train.year[:, None] == train.year
masks = {"no mask": None, "not itself": ~own_day, "other years only": ~own_year}
fig, ax = plot.figure()
best = {}
for (name, mask), style, colour in zip(masks.items(), plot.STYLES, plot.COLOURS, strict=False):
    errors = [rmse(pooled(apart, b, mask), train.temperature) for b in bandwidths]
    best[name] = bandwidths[np.argmin(errors)]
    ax.plot(bandwidths, errors, style, color=colour, label=name)
    ax.plot(best[name], min(errors), "o", color=colour)
ax.set(xscale="log", xlabel="bandwidth, days", ylabel="RMSE on 2012-14, °C", ylim=(2.3, 4.7))
ax.set_xticks(bandwidths, [f"{bandwidth:g}" for bandwidth in bandwidths])
ax.set(title="The mask decides who wins: {:g}, {:g} or {:g} days".format(*best.values()))
ax.legend()
plot.show(fig, alt="Three curves with minima at 0.2, 2 and 18 days; the fewer keys, the higher.")

# %% [markdown]
# Without the day itself, 2 days win. That still cheats: weather lasts, so yesterday and tomorrow give
# the answer away, and for 2015 nobody will tell us tomorrow. With other years only, as it will be
# for 2015, 18 days win. The curve is flat there: a few days more or less hardly matter.
#
# The lower the winner's error, the more it had peeked. **A mask must hide what will not be there
# when it counts.**

# %% [markdown] task="other_years"
# Write the last pooling yourself, mask included.
#
# `other_years(scores, value, query_year, key_year)` gets `scores (T, S)`, `value (S,)` and the years
# `(T,)` and `(S,)`. It returns `(context, weights)`, `(T,)` and `(T, S)`. Keys of the query's own
# year get the weight 0, exactly. The other keys of the row share a whole unit, however near the own
# year is. If a query has no key of another year, its weights and its context are 0.
#
# <details><summary>Hint</summary>
#
# Which score has the exponential 0? Put it where the mask is False, *before* the softmax. Take the
# maximum over allowed keys.
#
# </details>


# %% exercise="other_years"
def other_years(scores, value, query_year, key_year):
    """Pool value (S,) over keys of other years: context (T,) and weights (T, S)."""
    ### BEGIN SOLUTION
    mask = query_year[:, None] != key_year  # (T, S)
    top = np.where(mask, scores, -np.inf).max(axis=-1, keepdims=True)
    exponentials = np.exp(np.where(mask, scores - top, -np.inf))
    total = exponentials.sum(axis=-1, keepdims=True)
    weights = exponentials / np.where(total > 0, total, 1)
    return weights @ value, weights
    ### END SOLUTION


# %% try="other_years"
three_years = np.array([2012, 2013, 2014])
_, weights = other_years(np.array([[0.0, -1.0, -2.0]] * 3), value, three_years, three_years)
ax = plot.attention_map(weights, three_years, three_years, "Each year looks at the other two")
plot.show(ax.figure, alt="A three by three map with a diagonal of zeros.")

# %% check="other_years"
check("other_years", other_years)

# %% [markdown]
# Zeros put in *after* the softmax would leave rows that do not sum to 1. A score of minus infinity
# *before* it lets the other keys share the whole unit.
#
# Now 2015. It is not in the record, so no mask is needed. Beside the three bandwidths stand the
# average, the nearest day, and a rival that is not attention: a curve made of waves that go once,
# twice or three times round the year, fitted to the record by least squares.

# %%
def waves(day, count):
    angles = 2 * np.pi / weather.YEAR * day[:, None] * np.arange(1, count + 1)
    return np.hstack([np.ones((len(day), 1)), np.sin(angles), np.cos(angles)])


nearest = train.temperature[distances.argmin(axis=1)]
forecasts = {
    "average": np.full(365, train.temperature.mean()),
    "nearest (same day of 2012)": nearest,
}
for name, bandwidth in best.items():
    forecasts[f"{bandwidth:g} days ({name})"] = pooled(distances, bandwidth)
for count, name in enumerate(("one wave", "two waves", "three waves"), 1):
    fitted = np.linalg.lstsq(waves(train.day, count), train.temperature, rcond=None)[0]
    forecasts[name] = waves(test.day, count) @ fitted
for name, forecast in forecasts.items():
    print(f"{name:26} {rmse(forecast, test.temperature):5.2f} °C")

# %%
tested = {name: rmse(forecast, test.temperature) for name, forecast in forecasts.items()}
narrow, middle, wide = (f"{bandwidth:g} days ({name})" for name, bandwidth in best.items())
claim("each stricter mask chose better for 2015", tested[wide] < tested[middle] < tested[narrow])
claim("two waves beat every pooling", tested["two waves"] < tested[wide])
gap = (forecasts[wide] - test.temperature) ** 2 - (forecasts["two waves"] - test.temperature) ** 2
monthly = np.array([month.mean() for month in np.array_split(gap, 12)])
error = monthly.std(ddof=1) / np.sqrt(12)
print(f"Squared error, pooling less two waves: {monthly.mean():.1f} ± {error:.1f} (standard error)")
claim("that is less than two standard errors", monthly.mean() < 2 * error)

# %% [markdown]
# The stricter the mask, the better in 2015. But two waves are better still. Their lead is within the
# noise of twelve months, yet pooling did not win.
#
# So what is pooling for? The waves were told the shape of a year, pooling only which days are near.
# It learns a new day by storing it, and its weights show where an answer came from. Above all, a key
# can be anything that can be scored: a word, a picture. Nobody knows *their* waves.

# %% [markdown] task="year_out_errors"
# How wide, for any record? Write `year_out_errors(bandwidths, day, year, temperature)`. The last
# three are a record, `(S,)` each; every day becomes a query and sees the keys of other years only.
# Return the RMSE of each bandwidth, in the order given. Here you may use `weather.days_apart` and
# `attention.attention_pooling(scores, value, mask)`.


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


# %% check="year_out_errors"
check("year_out_errors", year_out_errors)

# %% [markdown]
# ## 6. An attention network
#
# So far we chose the scores. The article this course grew from lets an **attention network** learn
# them, in two steps. One: a dense layer and an activation turn each element $x_j$ into a weight.
# Two: sum the elements under their weights. As a formula, with a softmax,
#
# $$s_j = u \cdot \tanh(w\, k_j + b)$$
#
# It adds that the network is usually an RNN or a CNN. In Bahdanau et al. (2015) an RNN *reads* the
# sequence and so makes the keys. The scores come from a small network like this one.

# %% [markdown] task="no_query"
# Take that network as written: step one gets each key $k_j$, a recorded day of the year, and gives
# its weight. Whatever its numbers $w$, $b$ and $u$ are: when you ask it about all 365 days of 2015,
# how many different forecasts do you get?

# %% exercise="no_query"
prediction = None  # a whole number
### BEGIN SOLUTION
prediction = 1
### END SOLUTION

# %% check="no_query"
check("no_query", prediction)


# %%
def network_scores(parameters, x):
    """A dense layer with three hidden units, tanh, and a weighted sum; parameters are (3, 3)."""
    w, b, u = parameters
    return np.tanh(x[..., None] * w + b) @ u


key_scores = network_scores(rng.normal(size=(3, 3)), train.day / 30)  # (S,): no query in sight
every_query = np.broadcast_to(key_scores, distances.shape)  # (T, S)
answers, _ = attention.attention_pooling(every_query, train.temperature)
print(f"different forecasts for 365 days: {len(set(answers.round(9)))}")
print(f"the best that one number can do on 2015: {test.temperature.std():.2f} °C")

# %% [markdown]
# As written there is **no query**: each day gets the same weights. No training can help, because no
# single number comes nearer to 2015 than its standard deviation.
#
# So give it what the kernel had, the difference between query and key:
#
# $$s_{ij} = u \cdot \tanh(w\, d_{ij} + b)$$
#
# $w$, $b$ and $u$ hold three numbers each: nine parameters. We learn them by **gradient descent**.
# `numerical_gradient` moves each a little and sees by how much the error grows. Then all take a step
# downhill. The training error chose the length and number of the steps.

# %%
weekly = np.arange(0, len(train.day), 7)  # every seventh day asks: seven times faster


def loss(parameters, asked=weekly):
    """Mean squared error on recorded days; each may see other years only."""
    by_distance = network_scores(parameters, np.arange(183) / 30)  # a score for each distance
    scores, mask = by_distance[apart[asked]], ~own_year[asked]  # (T, S)
    context, _ = attention.attention_pooling(scores, train.temperature, mask)
    return np.mean((context - train.temperature[asked]) ** 2)


slope = numerical_gradient(loss, np.ones((3, 3)))
print("the slope for each parameter, all of them 1 (rows w, b, u):")
print(slope.round(3))

# %% measured
networks, learned = [], []
for _ in range(3):
    parameters = rng.normal(size=(3, 3))
    start = loss(parameters, slice(None)) ** 0.5
    for _ in range(60):
        parameters = parameters - 0.05 * numerical_gradient(loss, parameters)
    scores = network_scores(parameters, np.arange(183) / 30)[distances]
    forecast, _ = attention.attention_pooling(scores, train.temperature)
    networks.append(parameters)
    learned.append(rmse(forecast, test.temperature))
    end = loss(parameters, slice(None)) ** 0.5
    print(f"network: {start:.2f} → {end:.2f} °C on 2012-14, {learned[-1]:.2f} °C on 2015")
print(f"18 days, chosen by us: {tested[wide]:.2f} °C on 2015")
claim("each network comes within 0.1 °C of our bandwidth", max(learned) < tested[wide] + 0.1)

# %% measured
fig, ax = plot.figure()
days, far = np.arange(61), []
ax.plot(days, np.exp(-(days**2) / (2 * 18**2)), color="black", lw=2, label="kernel, 18 days")
for parameters, style, colour in zip(networks, plot.STYLES[1:], plot.COLOURS, strict=False):
    parts = np.exp(network_scores(parameters, days / 30))
    ax.plot(days, parts / parts[0], style, color=colour, label="network")
    far.append(parts[-1] / parts[0])
ax.set(xlabel="days apart", ylabel="parts, 1 at distance 0")
ax.set(title="All learn that near days count; how near, they disagree")
ax.legend()
claim("60 days away is less than a tenth of a part", max(far) < 0.1)
plot.show(fig, alt="Four curves fall from 1 to nearly 0 at 60 days, some sooner, some later.")

# %% [markdown]
# From random starts the networks learn that near days count. They are no better than the kernel,
# and their bells differ while their errors hardly do. But nobody had to say what "near" means.
# Bahdanau et al. put just such a network into a translator; lesson 06 builds it.

# %% [markdown]
# ## What to remember
#
# - In attention, each query averages the values under weights of its own.
# - Scores → softmax over the keys → weights → context.
# - Weights are shared among entries: attention counts keys.
# - Mask scores before the softmax, and hide what will not be there when it counts.

# %% [markdown]
# **Sources.** Nadaraya 1964, "On Estimating Regression". Watson 1964, "Smooth Regression Analysis".
# Bahdanau, Cho and Bengio 2015, "Neural Machine Translation by Jointly Learning to Align and
# Translate". Weather: NOAA (public domain), through the package vega-datasets (MIT).
#
# **Where this lives.** attnfuse: `attention.softmax`, `attention.attention_pooling`,
# `gradients.numerical_gradient`. Keras: `keras.ops.softmax`; section 6's network is the idea behind
# `keras.layers.AdditiveAttention`.
#
# **Next.** In lesson 02 the score becomes a product of query and key, and attention reads
# handwritten digits without any training.
