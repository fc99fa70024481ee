"""Several beginnings at once: the best text of a beam search by its mean log-probability."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise
from attnfuse.driving import Handle, lesson_07
from attnfuse.exercises.lesson_07.shared import END, LESSON, START


def by_loops(step, width, longest):
    """The definition, in plain loops."""
    beginnings, finished = [([], 0.0)], []
    for _ in range(longest):
        longer = []
        for tokens, total in beginnings:
            for token, p in enumerate(step(tokens)):
                if p > 0:
                    longer.append(([*tokens, token], total + math.log(p)))
        longer.sort(key=lambda one: -one[1])
        beginnings = []
        for tokens, total in longer[:width]:
            (finished if tokens[-1] == END else beginnings).append((tokens, total))
        if not beginnings:
            break
    tokens, _ = max(finished or beginnings, key=lambda one: one[1] / len(one[0]))
    return str([token for token in tokens if token != END])


def table(at_first, later, after_a=""):
    """A `step` from words such as `"A .9 END .1"`; what is left goes evenly to the tokens not named."""

    def probabilities(words):
        words = words.split()
        p = dict(zip(map(NAMES.index, words[::2]), map(float, words[1::2]), strict=True))
        rest = max(round(1 - sum(p.values()), 6), 0) / (len(NAMES) - len(p))
        return np.array([p.get(token, rest) for token in range(len(NAMES))])

    def step(written):
        if len(written) and after_a and written[-1] == NAMES.index("A"):
            return probabilities(after_a)
        return probabilities(later if len(written) else at_first)

    name = f"A is 3, B is 4. At first {at_first}; then {later}"
    return Handle(f"{name}; but after A {after_a}" if after_a else name, step)


def speller(seed, names=7, width=4):
    """A random `step`: what was written so far → probabilities of the next token, each asked once."""
    rng = np.random.default_rng(seed)
    read, again = rng.standard_normal((names, width)) * 1.5, rng.standard_normal((width, width))
    choose, first = rng.standard_normal((names, width)) * 1.2, rng.standard_normal(width)
    known = {}

    def step(written):
        written = tuple(int(token) for token in written)
        if written not in known:
            state = first
            for token in written:
                state = np.tanh(read[token] + again @ state)
            powers = np.exp(choose @ state)
            powers[START] = 0
            known[written] = powers / powers.sum()
        return known[written].copy()

    return Handle(f"a random speller of {names} tokens", step)


NAMES = ["0", "START", "END", "A", "B"]
EXAMPLES = [
    ("A leads astray", table("A .56 B .40 END .02", "END .90 B .08", "END .4 A .3 B .28"), 2, 3),
    ("a poor text is finished first", table("A .95 END .05", "END .9 A .1"), 2, 3),
    ("B ends better than A", table("A .6 B .4", "END .9 A .1", "END .1 A .9"), 2, 4),
    ("END is impossible, and few tokens possible", table("A .7 B .3", "A .7 B .3"), 5, 2),
    ("unfinished, token 0 last", table("0 .6 A .4", "0 .6 A .4"), 2, 2),
    ("the best text is empty", table("END .9 A .1", "END .5 A .5"), 2, 3),
]
# (width, longest) → seeds by which, between them, nearly all slips write something of their own.
DRAWS = {(2, 4): (729, 421, 702), (2, 5): (291,), (3, 4): (577, 952, 979, 13), (4, 4): (4,)}


def cases(rng):
    def case(note, step, width, longest):
        return Case({"step": step, "width": width, "longest": longest}, note)

    one, *others = rng.integers(1000, 2**31, 3)
    return [
        *(case(*example) for example in EXAMPLES),
        case("width 1 is greedy", speller(one), 1, 3),
        *(case("", speller(seed), *sizes) for sizes, seeds in DRAWS.items() for seed in seeds),
        *(case("", speller(seed), 3, 4) for seed in others),
    ]


def sketch(
    step,
    width,
    longest,
    *,
    reads=lambda tokens: tokens,
    add=lambda total, p, token: total + math.log(p),
    possible=lambda p: p > 0,
    each=lambda width: None,
    low=False,
    places=lambda width, finished: width,
    end=END,
    ended="set aside",
    rounds=0,
    stop=lambda finished, alive, width: False,
    pool=lambda finished, alive: finished or alive,
    measure=lambda total, n: total / n,
    pick=max,
    cut=lambda tokens, end: [token for token in tokens if token != end],
):
    alive, finished = [([], 0.0)], []
    for _ in range(longest + rounds):
        grown = []
        for tokens, total in alive:
            own = [
                ([*tokens, token], add(total, p, token))
                for token, p in enumerate(step(reads(tokens)))
                if possible(p)
            ]
            grown += sorted(own, key=lambda one: -one[1])[: each(width)]
        grown += finished if ended == "in place" else []
        grown.sort(key=lambda one: one[1] if low else -one[1])
        chosen = grown[: max(places(width, finished), 1)]
        done = [one for one in chosen if one[0][-1] == end]
        alive = [one for one in chosen if one[0][-1] != end or ended in ("grow", "copied")]
        if ended in ("refilled", "all"):
            alive = [one for one in grown if one[0][-1] != end][:width]
        if ended == "all":
            done = [one for one in grown if one[0][-1] == end]
        kept = [] if ended in ("in place", "forgotten") else finished
        finished = [] if ended == "grow" else kept + done
        if not alive or stop(finished, alive, width):
            break
    texts = pool(finished, alive) or [([], 0.0)]
    return str(cut(pick(texts, key=lambda one: measure(one[1], max(len(one[0]), 1)))[0], end))


def from_the_end(tokens, end):
    return tokens[:-1] if tokens[-1:] == [end] else tokens


BEAM_SEARCH = Exercise(
    name="beam_search",
    lesson=LESSON,
    title="Several beginnings at once",
    kind="stretch",
    minutes=15,
    difficulty=3,
    points=0,
    reference=by_loops,
    cases=cases,
    outputs={"written": ""},
    run=lesson_07.write,
    sketch=sketch,
    says="""
    greedy | This is greedy writing: one beginning is kept. Keep the `width` best of all.
    beam shrinks | Your beam shrinks by every finished text, for good. In each round the best `width` of the new texts are kept.
    one place too many | You keep one text more than `width`.
    width for each | You keep `width` continuations of *each* beginning, so they multiply from step to step. `width` are kept in all.
    lowest kept | You keep the *lowest* totals.
    START is read | You ask `step` with START in front. At the start it gets `[]`.
    the last token only | You ask `step` with the last token only. It gets the whole list.
    probabilities added | You add up probabilities. Those of tokens in a row are *multiplied*; it is their logarithms that add.
    total not carried on | Only the last token's log p is in your total. It is the sum over all tokens.
    END is free | END's log p is missing in your total. END was chosen with a probability, too.
    log of 0 | You take the logarithm of p = 0, too. Leave those tokens out.
    p = 0 is kept | You extend by tokens with p = 0, too. Leave them out: their logarithm is minus infinity.
    finished texts grow | You go on writing behind END. A text that ends in END is finished: set it aside and extend the others.
    finished texts grow, first END cut | You go on writing behind END. A text that ends in END is finished: set it aside and extend the others.
    finished texts grow, too | You set finished texts aside, and go on writing behind their END all the same. Extend the others only.
    finished texts grow, too, last END cut | You set finished texts aside, and go on writing behind their END all the same. Extend the others only.
    finished texts keep their place | A finished text keeps its place in the beam and can be pushed out of it. Set it aside for good.
    finished ones forgotten | Texts finished in earlier rounds are forgotten. Set them aside for good.
    beam refilled | You fill the places of finished texts with further beginnings. Choose the `width` best of all first, then set the finished ones of them aside; fewer go on.
    all that end | Every text that ends counts as finished in yours, also where it is not among the `width` best of its round.
    first one finished | You return the text that is finished first. One that is finished later may have a higher mean.
    width finished | You stop when `width` texts are finished. A better one may still be on its way.
    better total finished | You stop when no beginning has a higher total than a finished text. A longer text has a lower total and can still have the higher mean.
    one round too few | You write one round too few. There are `longest` rounds.
    one round too many | You write one round too many. There are `longest` rounds.
    unfinished compete | Unfinished beginnings compete with finished texts. They count only if nothing is finished.
    nothing unfinished | If no text is finished you return nothing. Asked is the best unfinished one.
    lengths not evened out | You compare totals of unequal length: every token makes a total smaller, so short texts tend to win. In the end divide each by its number of tokens.
    END not counted | You divide by the number of tokens without END. END was chosen with a probability, too, and counts.
    one too many counted | You divide by one token too many: START is not written, and END counts once.
    divided by the root | You divide by the root of the number of tokens. Divide by the number itself.
    times the length | You multiply by the number of tokens. Divide by it.
    product divided | You divide a product of probabilities by the length. It is the *sum of logarithms* that is divided.
    lowest mean | You return the text with the *lowest* mean. Logarithms of probabilities are negative: the highest is next to 0.
    START written | START is in your list. It is not written.
    END written | END is in your list. It is the sign to stop and no phoneme.
    last one cut | You cut the last token of an unfinished text, too. It has no END to cut.
    token 0 ends | You take token 0 for END. END is token 2.
    """,
    choices={
        "places": {
            "greedy": lambda width, finished: 1,
            "beam shrinks": lambda width, finished: width - len(finished),
            "one place too many": lambda width, finished: width + 1,
            "width for each": lambda width, finished: 10**6,
        },
        "each": {"width for each": lambda width: width},
        "low": {"lowest kept": True},
        "reads": {
            "START is read": lambda tokens: [START, *tokens],
            "the last token only": lambda tokens: tokens[-1:],
        },
        "add": {
            "probabilities added": lambda total, p, token: total + p,
            "total not carried on": lambda total, p, token: math.log(p),
            "END is free": lambda total, p, token: total + math.log(p) * (token != END),
            "p = 0 is kept": lambda total, p, token: total + math.log(max(p, 1e-12)),
        },
        "possible": {"log of 0": lambda p: True, "p = 0 is kept": lambda p: True},
        "ended": {
            "finished texts grow": "grow",
            "finished texts grow, first END cut": "grow",
            "finished texts grow, too": "copied",
            "finished texts grow, too, last END cut": "copied",
            "finished texts keep their place": "in place",
            "finished ones forgotten": "forgotten",
            "beam refilled": "refilled",
            "all that end": "all",
        },
        "stop": {
            "width finished": lambda finished, alive, width: len(finished) >= width,
            "better total finished": lambda finished, alive, width: (
                finished and max(f[1] for f in finished) >= alive[0][1]
            ),
        },
        "rounds": {"one round too few": -1, "one round too many": 1},
        "pool": {
            "unfinished compete": lambda finished, alive: finished + alive,
            "nothing unfinished": lambda finished, alive: finished,
        },
        "measure": {
            "lengths not evened out": lambda total, n: total,
            "END not counted": lambda total, n: total / max(n - 1, 1),
            "one too many counted": lambda total, n: total / (n + 1),
            "divided by the root": lambda total, n: total / math.sqrt(n),
            "times the length": lambda total, n: total * n,
            "product divided": lambda total, n: math.exp(total) / n,
        },
        "pick": {
            "first one finished": lambda texts, key: texts[0],
            "lowest mean": min,
        },
        "cut": {
            "finished texts grow": from_the_end,
            "finished texts grow, first END cut": lambda tokens, end: [*tokens, end][
                : [*tokens, end].index(end)
            ],
            "finished texts grow, too, last END cut": from_the_end,
            "START written": lambda tokens, end: [START, *(t for t in tokens if t != end)],
            "END written": lambda tokens, end: tokens,
            "last one cut": lambda tokens, end: tokens[:-1],
        },
        "end": {"token 0 ends": 0},
    },
    own=["attnfuse.transformer.beam"],
    reread="section 7",
    hint="A list of pairs (tokens, total). Each round: extend every beginning by every token (total + log p), sort, keep the best `width`; those that end in END move to a second list. In the end: the highest total / number of tokens.",
)
