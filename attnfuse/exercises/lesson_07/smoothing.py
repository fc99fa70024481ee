"""Too sure: which of two models has the lower loss, without and with label smoothing?"""

import math

from attnfuse.checking import Exercise, Mismatch, Property
from attnfuse.exercises.lesson_07.shared import LESSON


def by_loops(classes=42, epsilon=0.1):
    """The better of A and B without and with smoothing; can the smoothed loss become 0?"""

    def loss(sure, epsilon):
        others = (1 - sure) / (classes - 1)
        asked = [(1 - epsilon) + epsilon / classes] + [epsilon / classes] * (classes - 1)
        given = [sure] + [others] * (classes - 1)
        return -sum(a * math.log(g) for a, g in zip(asked, given, strict=True))

    a, b = 0.9, 0.999
    lowest = loss((1 - epsilon) + epsilon / classes, epsilon)  # no answer beats the target itself
    plain, smooth = ("A" if loss(a, e) < loss(b, e) else "B" for e in (0.0, epsilon))
    return plain, smooth, lowest < 1e-9


def sketch(*, plain="B", smoothed="A", zero=False, spell=str):
    return spell(plain), spell(smoothed), zero


def capitals(attempt, case, rng):
    for got in list(attempt.result.values())[:2]:
        if got not in ("A", "B"):
            raise Mismatch(f'Numbers 1 and 2 are "A" or "B"; one of yours is {got!r}.')


def which_are_right(attempt, case, rng):
    pairs = zip(by_loops(), attempt.result.values(), strict=True)
    right = [i for i, (want, got) in enumerate(pairs, 1) if want == got]
    if 0 < len(right) < 3:
        numbers = " and ".join(map(str, right))
        raise Mismatch(
            f"Right already: {numbers}. Think the rest through again, then let the next cells show it."
        )


SMOOTHING = Exercise(
    name="smoothing",
    lesson=LESSON,
    title="Too sure",
    kind="predict",
    minutes=5,
    difficulty=1,
    points=2,
    reference=by_loops,
    value=True,
    outputs={"number 1": "", "number 2": "", "number 3": ""},
    properties=[Property("A or B", capitals), Property("which are right", which_are_right)],
    sketch=sketch,
    says="""
    caution pays without smoothing | Number 1: without smoothing only the right token's probability counts. Compare −log .9 and −log .999.
    surer is better | Number 2: the target itself gives the right token .902 only, and .0024 to each other one. Who gives .999 leaves too little for the others. What do they cost?
    zero can be reached | Number 3: the cross-entropy is lowest where the model gives exactly what the target asks, and is then the target's own entropy. How large is that where the target is spread out?
    small letters | The letters are capitals.
    two of three | Asked are three things: a letter, a letter, and True or False.
    """,
    choices={
        "plain": {"caution pays without smoothing": "A"},
        "smoothed": {"surer is better": "B"},
        "zero": {"zero can be reached": True},
        "spell": {"small letters": str.lower},
    },
    wholes={"two of three": ("B", "A")},
    reread="section 4",
    hint="Without smoothing the loss is −log of the right phoneme's probability. With it the target gives .902 to the right one and .0024 to each of the other 41, and the loss is the sum of −target · log(given).",
)
