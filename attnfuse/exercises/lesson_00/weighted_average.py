"""A weighted average: the parts of each value are given, its weight is parts / all parts."""

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property, properties
from attnfuse.exercises.common import softmax


def by_loop(value, parts):
    total = mixture = 0.0
    for x, part in zip(value, parts, strict=True):
        total += part
        mixture += part * x
    return mixture / total


def cases(rng):
    def case(n, note, low=0.5, high=3.0, total=None):
        parts = rng.uniform(low, high, n)
        parts *= 1 if total is None else total / parts.sum()
        return Case({"value": rng.normal(15, 5, n), "parts": parts}, note)

    frost = case(4, "values below zero")
    frost.inputs["value"] -= 30
    return [
        case(1, "one value", low=1.5),
        case(1, "one value, less than a part", 0.2, 0.6),
        case(2, "two values"),
        case(3, "parts that add up to less than 1", total=0.6),
        case(5, "parts that add up to 1", total=1.0),
        case(7, "seven values"),
        frost,
        case(3, "parts in the hundreds", 100, 600),
        case(3, "parts near 0", total=1e-6),
    ]


def sketch(
    value,
    parts,
    *,
    count=lambda parts: parts,
    product=np.multiply,
    items=lambda products: products,
    add=np.sum,
    below=lambda parts, value: parts.sum(),
    finish=lambda average: average,
):
    counts = count(parts)
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
            "only ratios of parts count",
            "All parts were doubled, and the average changed.",
            lambda inputs, rng: inputs | {"parts": 2 * inputs["parts"]},
            "average",
        ),
    ],
    sketch=sketch,
    says="""
    plain mean | Every value counts the same in your average, whatever its parts.
    softmax of the parts | You take exponentials of the parts. Here the parts themselves say how much each value counts: divide them by their sum.
    parts squared above only | Each value is multiplied by its parts twice.
    parts below the line only | You add up the values without their parts. Multiply each value by its parts first.
    divided by the parts | You divide each value by its parts. Multiply: a value with 2 parts counts as two values.
    the first is left out | The first value is left out. Python counts from 0.
    the last is left out | The last value is left out: `range(n)` ends at n - 1 by itself.
    only the first | Only the first value gets into your average. Does a `return` stand inside the loop? It ends the function at once.
    only the last | Only the last value gets into your average. In a loop, `total = …` starts anew each time; `total += …` adds up.
    only the first, and its parts | Only the first value gets into your average. Does a `return` stand inside the loop? It ends the function at once.
    only the last, and its parts | Only the last value gets into your average. In a loop, `total = …` starts anew each time; `total += …` adds up.
    only the first product | Only the first value gets into your average. Does a `return` stand inside the loop? It ends the function at once. And divide by the sum of the parts.
    sum of the values | You add up the values. Multiply each by its parts first, and divide by the sum of the parts.
    mean of the products | You take the mean of parts × value: that divides by the number of values. Add up instead.
    products not added up | You return one number for each value. Add them up: one number is asked for.
    divided by each part | You divide by the parts one by one. Divide by their sum, one number: `parts.sum()`.
    not divided | You add up parts × value, and stop there. Divide by the sum of the parts, or the result grows with them.
    divided by the number | You divide by the number of values. Divide by the sum of the parts: a value with 2 parts counts as two values.
    divided by the sum of the values | You divide by the sum of the *values*: that averages the parts. Divide by the sum of the parts.
    divided by the most parts | You divide by the largest number of parts. Weights add up to 1: divide by the *sum* of the parts.
    divided by the length | You divide by the root of the sum of squares. Weights add up to 1: divide by the plain sum of the parts.
    divided by 4 | You divide by 4, the sum of the thermometers' parts. Other parts have another sum: `parts.sum()`.
    multiplied by the sum | You multiply by the sum of the parts; divide by it.
    divided above 1 only | You divide only where the parts add up to more than 1. Divide always: a sum below 1 makes the average too small as well.
    one value not divided | A single value gets its parts as a factor. The result is that value, whatever its parts.
    a small number below | You add a small number below the line. Where the parts themselves are small it shows, and positive parts never add up to 0.
    rounded down | Your average is rounded down to a whole number: `/` divides, `//` rounds as well.
    the thermometers | You return the average of the three thermometers, whatever goes in. Use the function's own `value` and `parts`.
    most parts win | You return the value with the most parts. The others count too, each as much as its parts say.
    rounded to two places | You round the result to two places. Return it as it is; rounding is for the print.
    upside down | You divide the wrong way round: parts × value stands above the line, the sum of the parts below.
    rounded | Your average is rounded to a whole number.
    """,
    choices={
        "count": {
            "plain mean": np.ones_like,
            "softmax of the parts": softmax,
        },
        "product": {
            "parts squared above only": lambda parts, value: parts**2 * value,
            "parts below the line only": lambda parts, value: value,
            "divided by the parts": lambda parts, value: value / parts,
            "sum of the values": lambda parts, value: value,
        },
        "items": {
            "the first is left out": lambda products: products[1:],
            "the last is left out": lambda products: products[:-1],
            "only the first": lambda products: products[:1],
            "only the last": lambda products: products[-1:],
            "only the first, and its parts": lambda products: products[:1],
            "only the last, and its parts": lambda products: products[-1:],
            "only the first product": lambda products: products[:1],
        },
        "below": {
            "only the first, and its parts": lambda parts, value: parts[0],
            "only the last, and its parts": lambda parts, value: parts[-1],
            "only the first product": lambda parts, value: 1.0,
            "sum of the values": lambda parts, value: 1.0,
            "divided by each part": lambda parts, value: parts,
            "not divided": lambda parts, value: 1.0,
            "divided by the number": lambda parts, value: len(parts),
            "divided by the sum of the values": lambda parts, value: value.sum(),
            "divided by the most parts": lambda parts, value: parts.max(),
            "divided by the length": lambda parts, value: np.linalg.norm(parts),
            "divided by 4": lambda parts, value: 4.0,
            "multiplied by the sum": lambda parts, value: 1 / parts.sum(),
            "divided above 1 only": lambda parts, value: max(parts.sum(), 1.0),
            "one value not divided": lambda p, value: p.sum() if len(p) > 1 else 1.0,
            "a small number below": lambda parts, value: parts.sum() + 1e-9,
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
        "most parts win": lambda value, parts: value[np.argmax(parts)],
        "the thermometers": lambda value, parts: 19.25,
    },
    reread="section 2",
    hint="Multiply value by parts, add up, and divide by the sum of the parts.",
)
