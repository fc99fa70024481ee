"""What the two poolings of lesson 01 share: how people weigh, mix and return."""

import numpy as np

from attnfuse.checking import Mismatch, Property
from attnfuse.checking.show import same
from attnfuse.exercises.common import hard, softmax

LESSON = "01_attention_pooling"


def one_sum(scores, mask):
    powers = np.where(mask, np.exp(scores - scores.max()), 0)
    return powers / powers.sum()


WEIGH = {
    "normalised over queries": lambda scores, mask: softmax(scores, mask, axis=0),
    "normalised over everything": one_sum,
    "one maximum for all rows": lambda scores, mask: softmax(scores, mask, shift="all"),
    "no shift": lambda scores, mask: softmax(scores, mask, shift=None),
    "exponentials as weights": lambda scores, mask: np.where(mask, np.exp(scores), 0),
    "scores as weights": lambda scores, mask: np.where(mask, scores, 0),
    "farthest wins": lambda scores, mask: softmax(-scores, mask),
    "only the best key": hard,
    "every key alike": lambda scores, mask: mask / np.maximum(mask.sum(axis=1, keepdims=True), 1),
}
MIX = {
    "the value first": lambda w, value, scores: value @ w,
    "mean of the products": lambda w, value, scores: (w * value).mean(axis=1),
    "added up over queries": lambda w, value, scores: (w * value).sum(axis=0),
    "products not summed": lambda w, value, scores: w * value,
    "one number for all": lambda w, value, scores: (w @ value).mean(),
    "one sum for all": lambda w, value, scores: (w @ value).sum(),
    "an axis too many": lambda w, value, scores: w @ value[:, None],
    "context from the scores": lambda w, value, scores: scores @ value,
    "the best key's value": lambda w, value, scores: value[w.argmax(axis=1)],
    "plain mean": lambda w, value, scores: np.full(len(w), value.mean()),
    "weights added up": lambda w, value, scores: w.sum(axis=1),
}
GIVE = {
    "returned the other way round": lambda context, weights: (weights, context),
    "context only": lambda context, weights: context,
    "weights only": lambda context, weights: weights,
}
SAYS = """
    normalised over queries | Your weights sum to 1 over the queries. Then a day's forecast depends on which other days are asked for. Each query (row) spreads one unit over the keys: axis -1.
    normalised over everything | All your weights together sum to 1, so the queries have one unit of attention together. Each query has a whole unit of its own.
    one maximum for all rows | You take the same number off all rows. In a row thousands below it every exponential is rounded to 0. Each row needs its own maximum, or `attention.softmax`.
    no shift | `np.exp(1000)` is infinite and `np.exp(-1000)` is 0. Take off each row's maximum first, or use `attention.softmax`.
    exponentials as weights | Your weights are the exponentials of the scores. Divide each row by its sum.
    scores as weights | Your weights are raw scores. They may be negative and do not sum to 1: softmax first.
    farthest wins | Higher scores get less weight in your answer: take the softmax of the scores as they are.
    only the best key | The best key gets all the weight: that is the nearest neighbour. In pooling every key has a say, according to its score.
    every key alike | All weights of a row are equal: the scores take no part.
    the value first | Mind the order of the product. `weights @ value` sums over the keys: (T, S) with (S,) gives (T,). The other way round, or transposed, the axes do not fit.
    mean of the products | You average weight × value over the keys. The weights of a row sum to 1 by themselves: add up the products, do not divide again.
    added up over queries | You add up weight × value over the queries: one number for each key. Add up over the keys, the last axis, so that one is left for each query.
    products not summed | You have weight × value for each key; now add them up over the keys, so that one number is left for each query.
    one number for all | Your context is one number in all. Each query has its own: (T,).
    one sum for all | Your context is one number in all. Each query has its own: (T,).
    an axis too many | Your context has an axis too many: asked is (T,). `weights @ value` gives that where `value` keeps its shape (S,).
    context from the scores | Your context is made from the scores. Multiply the *weights* with the values.
    the best key's value | Your context is the value of the best key: that is the nearest neighbour. In pooling every key has a say, according to its weight.
    plain mean | Your context is the plain average of the values: the weights take no part in it.
    weights added up | You add up the weights without the values.
    returned the other way round | Return the context first, then the weights.
    context only | Return both: `return context, weights`.
    weights only | Return both: `return context, weights`.
"""


def mixed_by_its_weights() -> Property:
    """The context is the sum of the answer's own weights × values."""

    def test(attempt, case, rng):
        context, weights = attempt.result["context"], attempt.result["weights"]
        if not same(weights @ case.inputs["value"], context, 1e-6, 1e-8):
            raise Mismatch("Your `context` is not what your own `weights` make of the values.")

    return Property("context from the weights", test)
