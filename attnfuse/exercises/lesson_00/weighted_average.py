"""A weighted average."""

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property, properties
from attnfuse.exercises.common import softmax


def by_loop(value, weights):
    total = mixture = 0.0
    for x, weight in zip(value, weights, strict=True):
        total += weight
        mixture += weight * x
    return mixture / total


def cases(rng):
    def case(n, note, low=0.5, high=3.0, total=None):
        weights = rng.uniform(low, high, n)
        weights *= 1 if total is None else total / weights.sum()
        return Case({"value": rng.normal(15, 5, n), "weights": weights}, note)

    frost = case(4, "values below zero")
    frost.inputs["value"] -= 30
    return [
        case(1, "one value", low=1.5),
        case(1, "one value, a small weight", 0.2, 0.6),
        case(2, "two values"),
        case(3, "weights that add up to less than 1", total=0.6),
        case(5, "weights that add up to 1", total=1.0),
        case(7, "seven values"),
        frost,
        case(3, "weights in the hundreds", 100, 600),
        case(3, "weights near 0", total=1e-6),
    ]


def sketch(
    value,
    weights,
    *,
    count=lambda weights: weights,
    product=np.multiply,
    items=lambda products: products,
    add=np.sum,
    below=lambda weights, value: weights.sum(),
    finish=lambda average: average,
):
    counts = count(weights)
    return finish(add(items(product(counts, value))) / below(counts, value))


def _between(attempt, case, rng):
    result, value = attempt.result["average"], case.inputs["value"]
    if not value.min() - 1e-9 <= result <= value.max() + 1e-9:
        raise Mismatch(
            f"An average lies between the smallest value, {value.min():.4g}, and the largest, {value.max():.4g}.",
            got=result,
        )


WEIGHTED_AVERAGE = Exercise(
    name="weighted_average",
    lesson="00_start_here",
    title="A weighted average",
    kind="write",
    minutes=5,
    difficulty=1,
    points=2,
    reference=by_loop,
    cases=cases,
    outputs={"average": ""},
    properties=[
        Property("between the values", _between),
        properties.stays(
            "only ratios of weights count",
            "Every weight was doubled, and the average changed.",
            lambda inputs, rng: inputs | {"weights": 2 * inputs["weights"]},
            "average",
        ),
    ],
    sketch=sketch,
    says="""
    plain mean | Every value counts the same in your average, whatever its weight.
    softmax of the weights | You take exponentials of the weights. Here the weights themselves say how much each value counts: divide them by their sum.
    weights squared above only | Each value is multiplied by its weight twice.
    weights below the line only | You add up the values without their weights. Multiply each value by its weight first.
    divided by the weights | You divide each value by its weight. Multiply: a value with weight 2 counts as two values.
    the first is left out | The first value is left out. Python counts from 0.
    the last is left out | The last value is left out: `range(n)` ends at n - 1 by itself.
    only the first | Only the first value gets into your average. Does a `return` stand inside the loop? It ends the function at once.
    only the last | Only the last value gets into your average. In a loop, `total = …` starts anew each time; `total += …` adds up.
    only the first, and its weight | Only the first value gets into your average. Does a `return` stand inside the loop? It ends the function at once.
    only the last, and its weight | Only the last value gets into your average. In a loop, `total = …` starts anew each time; `total += …` adds up.
    only the first product | Only the first value gets into your average. Does a `return` stand inside the loop? It ends the function at once. And divide by the sum of the weights.
    sum of the values | You add up the values. Multiply each by its weight first, and divide by the sum of the weights.
    mean of the products | You take the mean of weight × value: that divides by the number of values. Add up instead.
    products not added up | You return one number for each value. Add them up: one number is asked for.
    divided by each weight | You divide by the weights one by one. Divide by their sum, one number: `weights.sum()`.
    not divided | You add up weight × value, and stop there. Divide by the sum of the weights, or the result grows with them.
    divided by the number | You divide by the number of values. Divide by the sum of the weights: a value with weight 2 counts as two values.
    divided by the sum of the values | You divide by the sum of the *values*: that averages the weights. Divide by the sum of the weights.
    divided by the largest weight | You divide by the largest weight. Shares must add up to 1: divide by the *sum* of the weights.
    divided by the length | You divide by the root of the sum of squares. Shares must add up to 1: divide by the plain sum of the weights.
    divided by 4 | You divide by 4, the sum of the thermometers' weights. Other weights have another sum: `weights.sum()`.
    multiplied by the sum | You multiply by the sum of the weights; divide by it.
    divided above 1 only | You divide only where the weights add up to more than 1. Divide always: a sum below 1 makes the average too small as well.
    one value not divided | A single value gets its weight as a factor. The result is that value, whatever its weight.
    a small number below | You add a small number below the line. Where the weights themselves are small it shows, and positive weights never add up to 0.
    rounded down | Your average is rounded down to a whole number: `/` divides, `//` rounds as well.
    the thermometers | You return the average of the three thermometers, whatever goes in. Use the function's own `value` and `weights`.
    largest weight wins | You return the value with the largest weight. The others count too, each as much as its weight says.
    rounded to two places | You round the result to two places. Return it as it is; rounding is for the print.
    upside down | You divide the wrong way round: weight × value stands above the line, the sum of the weights below.
    rounded | Your average is rounded to a whole number.
    """,
    choices={
        "count": {
            "plain mean": np.ones_like,
            "softmax of the weights": softmax,
        },
        "product": {
            "weights squared above only": lambda weights, value: weights**2 * value,
            "weights below the line only": lambda weights, value: value,
            "divided by the weights": lambda weights, value: value / weights,
            "sum of the values": lambda weights, value: value,
        },
        "items": {
            "the first is left out": lambda products: products[1:],
            "the last is left out": lambda products: products[:-1],
            "only the first": lambda products: products[:1],
            "only the last": lambda products: products[-1:],
            "only the first, and its weight": lambda products: products[:1],
            "only the last, and its weight": lambda products: products[-1:],
            "only the first product": lambda products: products[:1],
        },
        "below": {
            "only the first, and its weight": lambda weights, value: weights[0],
            "only the last, and its weight": lambda weights, value: weights[-1],
            "only the first product": lambda weights, value: 1.0,
            "sum of the values": lambda weights, value: 1.0,
            "divided by each weight": lambda weights, value: weights,
            "not divided": lambda weights, value: 1.0,
            "divided by the number": lambda weights, value: len(weights),
            "divided by the sum of the values": lambda weights, value: value.sum(),
            "divided by the largest weight": lambda weights, value: weights.max(),
            "divided by the length": lambda weights, value: np.linalg.norm(weights),
            "divided by 4": lambda weights, value: 4.0,
            "multiplied by the sum": lambda weights, value: 1 / weights.sum(),
            "divided above 1 only": lambda weights, value: max(weights.sum(), 1.0),
            "one value not divided": lambda w, value: w.sum() if len(w) > 1 else 1.0,
            "a small number below": lambda weights, value: weights.sum() + 1e-9,
        },
        "add": {
            "mean of the products": lambda products: products.sum() / len(products),
            "products not added up": lambda products: products,
        },
        "finish": {
            "rounded down": np.floor,
            "rounded": np.round,
            "rounded to two places": lambda average: np.round(average, 2),
            "upside down": lambda average: 1 / average,
        },
    },
    wholes={
        "largest weight wins": lambda value, weights: value[np.argmax(weights)],
        "the thermometers": lambda value, weights: 19.25,
    },
    reread="section 2",
    hint="Multiply value by weights, add up, and divide by the sum of the weights.",
)
