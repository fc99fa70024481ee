"""Lesson 07, a Transformer that pronounces: what its exercises must satisfy."""

import math
from functools import cache

import numpy as np

from attnfuse.checking import (
    Case,
    Exercise,
    Misconception,
    Mismatch,
    Option,
    Property,
    Quiz,
    properties,
)

LESSON = "07_transformer"
PAD, START, END = 0, 1, 2
SOUNDS = ("AA", "AE", "AH", "B", "D", "IY", "K", "L", "N", "R", "S", "T")

# -- edit_distance --------------------------------------------------------------------------------


def distance_by_recursion(said, right):
    """The definition: look at the first phonemes, try all three repairs, take the cheapest."""

    @cache
    def rest(i, j):
        if i == len(said):
            return len(right) - j  # insert what is missing
        if j == len(right):
            return len(said) - i  # delete what is too much
        if said[i] == right[j]:
            return rest(i + 1, j + 1)
        return 1 + min(rest(i + 1, j), rest(i, j + 1), rest(i + 1, j + 1))

    return rest(0, 0)


def _table(replacement=1, insertion=1, deletion=1, border="both", equal=0, swaps=False):
    """A table of distances with a slip."""

    def wrong(said, right):
        D = np.zeros((len(said) + 1, len(right) + 1))
        if border in ("both", "column"):
            D[:, 0] = np.arange(len(said) + 1)
        if border in ("both", "row"):
            D[0] = np.arange(len(right) + 1)
        for i in range(1, len(said) + 1):
            for j in range(1, len(right) + 1):
                same = said[i - 1] == right[j - 1]
                D[i, j] = min(
                    D[i - 1, j] + deletion,
                    D[i, j - 1] + insertion,
                    D[i - 1, j - 1] + (equal if same else replacement),
                )
                if swaps and i > 1 and j > 1:
                    crossed = said[i - 1] == right[j - 2] and said[i - 2] == right[j - 1]
                    if crossed and not same:
                        D[i, j] = min(D[i, j], D[i - 2, j - 2] + 1)
        return int(D[-1, -1])

    return wrong


def _position_by_position(said, right):
    differ = sum(a != b for a, b in zip(said, right, strict=False))
    return differ + abs(len(said) - len(right))


def _without_order(said, right):
    """Compare how often each phoneme occurs."""
    names = set(said) | set(right)
    more = [said.count(name) - right.count(name) for name in names]
    return max(sum(x for x in more if x > 0), -sum(x for x in more if x < 0))


def _by_rows(said, right):
    """The distance again, quicker than the definition: for the slips below."""
    row = list(range(len(right) + 1))
    for i, one in enumerate(said, 1):
        above, row = row, [i]
        for j, other in enumerate(right, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (one != other)))
    return row[-1]


def _forgets_the_last(said, right):
    return _by_rows(said[:-1], right[:-1])


def _from_the_left(said, right):
    """Greedy: walk along both and repair the first difference at hand by a deletion or an insertion."""
    i = j = edits = 0
    while i < len(said) and j < len(right):
        if said[i] == right[j]:
            i, j = i + 1, j + 1
        elif len(said) - i > len(right) - j:
            i, edits = i + 1, edits + 1
        elif len(said) - i < len(right) - j:
            j, edits = j + 1, edits + 1
        else:
            i, j, edits = i + 1, j + 1, edits + 1
    return edits + len(said) - i + len(right) - j


def _one_list(said, right):
    """Every row of the table is the same list."""
    D = [[0] * (len(right) + 1)] * (len(said) + 1)
    for i in range(len(said) + 1):
        D[i][0] = i
    for j in range(len(right) + 1):
        D[0][j] = j
    for i in range(1, len(said) + 1):
        for j in range(1, len(right) + 1):
            diagonal = D[i - 1][j - 1] + (said[i - 1] != right[j - 1])
            D[i][j] = min(D[i - 1][j] + 1, D[i][j - 1] + 1, diagonal)
    return D[-1][-1]


def _index_too_far(said, right):
    """Row i is taken for phoneme i, so the last one does not exist."""
    if said and right:
        return said[len(said)] != right[len(right)]
    return max(len(said), len(right))


DISTANCE_SLIPS = {
    "position by position": _position_by_position,
    "no replacement": _table(replacement=2),
    "order ignored": _without_order,
    "border of zeros": _table(border="neither"),
    "row of zeros": _table(border="column"),
    "column of zeros": _table(border="row"),
    "one list for all rows": _one_list,
    "equal and different exchanged": _table(equal=1, replacement=0),
    "the shorter one only": lambda said, right: sum(
        a != b for a, b in zip(said, right, strict=False)
    ),
    "index one too far": _index_too_far,
    "last phoneme forgotten": _forgets_the_last,
    "no way to insert": _table(insertion=99),
    "no way to delete": _table(deletion=99),
    "a match costs": _table(equal=1),
    "a swap is one edit": _table(swaps=True),
    "greedy": _from_the_left,
    "a rate": lambda said, right: _by_rows(said, right) / max(len(right), 1),
}


def _some_sounds(rng, length):
    return tuple(str(sound) for sound in rng.choice(SOUNDS, length))


def _misheard(rng, right, edits):
    """`right` with so many random edits."""
    said = list(right)
    for _ in range(edits):
        place = int(rng.integers(len(said) + 1))
        kind = rng.integers(3)
        if kind == 0 or place == len(said):
            said.insert(place, str(rng.choice(SOUNDS)))
        elif kind == 1:
            del said[place]
        else:
            said[place] = str(rng.choice(SOUNDS))
    return tuple(said)


def _told_apart(cases, rules) -> bool:
    """No two rules answer alike on all cases."""

    def answer(rule, case):
        try:
            return str(rule(**case.inputs))
        except IndexError:
            return "IndexError"

    def answers(rule):
        return tuple(answer(rule, case) for case in cases)

    return len({answers(rule) for rule in rules}) == len(rules)


def _draw(cases, rng, rules):
    """Draw cases until no two of the rules answer alike on all of them."""
    while not _told_apart(drawn := cases(rng), rules):
        pass
    return drawn


def distance_cases(rng):
    return _draw(_distance_cases, rng, [_by_rows, *DISTANCE_SLIPS.values()])


def _distance_cases(rng):
    def case(said, right, note):
        return Case({"said": tuple(said), "right": tuple(right)}, note)

    a, b, c, d, e = (str(sound) for sound in rng.choice(SOUNDS, 5, replace=False))
    cases = [
        case([a], [a], "the same phoneme"),
        case([a], [b], "one phoneme for another"),
        case([], [a, b], "nothing was said"),
        case([a, b, c], [], "nothing is right"),
        case([a, b], [b, a], "two phonemes in the wrong order"),
        case([a, b, c, d], [e, a, b, c, d], "one phoneme is missing in front"),
        case([e, a, b, c, d], [a, b, c, d], "one phoneme too many in front"),
        case([a, c, d], [a, b, c, d], "one phoneme is missing in the middle"),
        case([a, b, c, d], [a, c, d], "one phoneme too many in the middle"),
        case([e, a, b, c], [a, b, c, d], "too many in front, missing behind"),
    ]
    for length, edits in ((5, 2), (7, 3), (8, 4)):
        right = _some_sounds(rng, length)
        cases.append(case(_misheard(rng, right, edits), right, f"{length} phonemes"))
    return cases


def _test_same_is_nothing(attempt, case, rng):
    right = case.inputs["right"]
    got = attempt(said=right, right=right)["edits"]
    if got != 0:
        raise Mismatch(f"From {right} to itself it takes no edit; yours says {got}.")


def _test_both_ways(attempt, case, rng):
    said, right = case.inputs["said"], case.inputs["right"]
    back = attempt(said=right, right=said)["edits"]
    if back != attempt.result["edits"]:
        raise Mismatch(
            "Every edit can be undone by one, so the way back takes as many.",
            expected=attempt.result["edits"],
            got=back,
            labels=("there", "back"),
        )


EDIT_DISTANCE = Exercise(
    name="edit_distance",
    lesson=LESSON,
    title="How many repairs?",
    kind="write",
    minutes=12,
    difficulty=2,
    points=2,
    reference=distance_by_recursion,
    cases=distance_cases,
    outputs={"edits": ""},
    properties=[
        Property("what is right takes no edit", _test_same_is_nothing),
        Property("there and back are equally far", _test_both_ways),
    ],
    misconceptions=[
        Misconception(
            "position by position",
            "You compare position by position. One phoneme too many in front then makes everything behind it wrong; "
            "as an edit it counts once.",
            DISTANCE_SLIPS["position by position"],
        ),
        Misconception(
            "no replacement",
            "A replacement costs you two edits, a deletion and an insertion. It is one: the cell diagonally above, plus 1.",
            DISTANCE_SLIPS["no replacement"],
        ),
        Misconception(
            "order ignored",
            "You count how often each phoneme occurs, whatever its place. (AE, K) is not right for (K, AE).",
            DISTANCE_SLIPS["order ignored"],
        ),
        Misconception(
            "border of zeros",
            "The first row and the first column of your table are 0. From j phonemes to none it takes j deletions: "
            "they hold 0, 1, 2, …",
            DISTANCE_SLIPS["border of zeros"],
        ),
        Misconception(
            "row of zeros",
            "The first row of your table is 0, the first column is not. Both count up: 0, 1, 2, …",
            DISTANCE_SLIPS["row of zeros"],
        ),
        Misconception(
            "column of zeros",
            "The first column of your table is 0 (each new row begins with 0), the first row is not. Both count up: 0, "
            "1, 2, …",
            DISTANCE_SLIPS["column of zeros"],
        ),
        Misconception(
            "one list for all rows",
            "All rows of your table are one and the same list: `[[0] * n] * m` repeats a *reference*. Make each row "
            "anew: `[[0] * n for _ in range(m)]`.",
            DISTANCE_SLIPS["one list for all rows"],
        ),
        Misconception(
            "equal and different exchanged",
            "You add 1 on the diagonal where the two phonemes are *equal*, and 0 where they differ.",
            DISTANCE_SLIPS["equal and different exchanged"],
        ),
        Misconception(
            "the shorter one only",
            "You compare position by position, and `zip` stops at the shorter one. What is left over counts, and one "
            "phoneme too many in front is one edit only.",
            DISTANCE_SLIPS["the shorter one only"],
        ),
        Misconception(
            "index one too far",
            'An index is too large. If row i is "after i phonemes", its last phoneme is `said[i - 1]`.',
            DISTANCE_SLIPS["index one too far"],
        ),
        Misconception(
            "last phoneme forgotten",
            "You leave out the last phoneme of each. The table has one row and one column *more* than there are "
            "phonemes, and the answer is its last cell.",
            DISTANCE_SLIPS["last phoneme forgotten"],
        ),
        Misconception(
            "no way to insert",
            "Your table knows no insertion (the cell to the left, plus 1).",
            DISTANCE_SLIPS["no way to insert"],
        ),
        Misconception(
            "no way to delete",
            "Your table knows no deletion (the cell above, plus 1).",
            DISTANCE_SLIPS["no way to delete"],
        ),
        Misconception(
            "a match costs",
            "You add 1 on the diagonal even where the two phonemes are equal. Then nothing has to be done.",
            DISTANCE_SLIPS["a match costs"],
        ),
        Misconception(
            "a swap is one edit",
            "You count two neighbours in the wrong order as one edit. By the usual definition there are three edits: "
            "insert, delete, replace; so a swap takes two.",
            DISTANCE_SLIPS["a swap is one edit"],
        ),
        Misconception(
            "greedy",
            "You walk along both and repair the first difference at hand. What looks good there can cost more later; "
            "the smallest number needs all three ways from every cell.",
            DISTANCE_SLIPS["greedy"],
        ),
        Misconception(
            "a rate",
            "You divide by the number of phonemes. Asked is the number of edits.",
            DISTANCE_SLIPS["a rate"],
        ),
    ],
    own=["attnfuse.data.spelling.edit_distance", "attnfuse.data.spelling.errors"],
    reread="section 2",
    hint="Begin with `row = list(range(len(right) + 1))`, the distances from nothing. For each phoneme said make the "
    "next row: its first cell is one more, every other the smallest of above + 1, left + 1, and diagonal + (0 or 1).",
)

# -- phoneme_error (a bug) ------------------------------------------------------------------------


def _spoken(row):
    """Tokens up to END."""
    said = []
    for token in row:
        if token == END:
            break
        said.append(_name(token))
    return tuple(said)


@cache
def _names():
    from attnfuse.data.spelling import vocabulary

    return vocabulary()[1]


def _name(token):
    return _names()[int(token)]


def error_by_loops(written, sounds):
    edits = phonemes = 0
    for row, accepted in zip(written, sounds, strict=True):
        said = _spoken(row)
        nearest = accepted[0]
        for right in accepted[1:]:
            if distance_by_recursion(said, right) < distance_by_recursion(said, nearest):
                nearest = right
        edits += distance_by_recursion(said, nearest)
        phonemes += len(nearest)
    return edits / phonemes


def _error(
    first=False,
    of_words=False,
    width=0,
    whole=False,
    count="right",
    all_accepted=False,
    wrong_words=False,
    accuracy=False,
    ties="first",
    length_of_first=False,
    times=1,
    per_word=False,
):
    """The phoneme error with a slip."""

    def wrong(written, sounds):
        edits, counts = [], []
        for row, accepted in zip(written, sounds, strict=True):
            said = tuple(_name(t) for t in row) if whole else _spoken(row)
            accepted = accepted[:1] if first else accepted
            distances = [_by_rows(said, right) for right in accepted]
            ranks = {  # the first of the lowest is taken
                "first": distances,
                "last": [(d, -i) for i, d in enumerate(distances)],
                "shortest": [(d, len(r)) for d, r in zip(distances, accepted, strict=True)],
                "rate": [d / len(r) for d, r in zip(distances, accepted, strict=True)],
            }[ties]
            nearest = ranks.index(min(ranks))
            edits.append(sum(distances) if all_accepted else distances[nearest])
            lengths = {
                "right": len(accepted[0 if length_of_first else nearest]),
                "said": len(said),
                "row": len(row),
                "end": len(accepted[nearest]) + 1,
                "longer": max(len(said), len(accepted[nearest])),
                "all": sum(map(len, accepted)),
            }
            counts.append(lengths["all" if all_accepted else count])
        edits, counts = np.array(edits, float), np.array(counts, float)
        if wrong_words:
            return float((edits > 0).mean())
        if of_words:
            return float(np.mean(edits / counts))
        share = float(edits.sum() / (len(written) if per_word else counts.sum()))
        return 1 - share if accuracy else times * share

    return wrong


def _colleagues(written, sounds):
    """As in the lesson: whole rows, the first pronunciation with END and padding, a mean of rates."""
    rates = []
    for row, accepted in zip(written, sounds, strict=True):
        right = [*accepted[0], _name(END)]
        right += [_name(PAD)] * (len(row) - len(right))
        said = [_name(token) for token in row]
        rates.append(sum(a != b for a, b in zip(said, right, strict=True)) / len(row))
    return float(np.mean(rates))


ERROR_SLIPS = {
    "as it was": _colleagues,
    "padding counts": _error(count="row"),
    "END counts": _error(count="end"),
    "not cut at END": _error(whole=True),
    "mean of the words' rates": _error(of_words=True),
    "first pronunciation only": _error(first=True),
    "divided by what was said": _error(count="said"),
    "divided by the longer one": _error(count="longer"),
    "all pronunciations at once": _error(all_accepted=True),
    "word error": _error(wrong_words=True),
    "accuracy": _error(accuracy=True),
    "last of the nearest": _error(ties="last"),
    "shortest of the nearest": _error(ties="shortest"),
    "nearest by rate": _error(ties="rate"),
    "length of the first": _error(length_of_first=True),
    "percent": _error(times=100),
    "per word": _error(per_word=True),
}


def error_cases(rng):
    return _draw(_error_cases, rng, [_error(), *ERROR_SLIPS.values()])


def _error_cases(rng):
    names = _names()

    def row_for(said, T, behind):
        tokens = [names.index(sound) for sound in said] + [END]
        rest = T - len(tokens)
        tail = rng.integers(3, len(names), rest) if behind else np.zeros(rest, int)
        return [*tokens, *tail.tolist()]

    def case(words, T, note, behind=True):
        """`words`: per word what was said, and the accepted pronunciations."""
        written = np.array([row_for(said, T, behind) for said, _ in words], np.int32)
        return Case({"written": written, "sounds": [accepted for _, accepted in words]}, note)

    def word(length, edits, others=0, right_is=0):
        accepted = [_some_sounds(rng, length + n) for n in range(others + 1)]
        return _misheard(rng, accepted[right_is], edits), accepted

    a, b, c, d, e = (str(sound) for sound in rng.choice(SOUNDS, 5, replace=False))
    short, long = (a, b), (a, b, c, d, e, a)
    second = [(a, b, c, d), (a, e, c, d, b)]
    return [
        case([((a, b, c), [(a, b, c)])], 5, "one word, said right", behind=False),
        case([((a, b, c), [(a, b, c, d)])], 6, "one phoneme is missing"),
        case([((a, b, d), [short]), (long, [long])], 8, "a short word wrong, a long one right"),
        case(
            [(second[1], second), (short, [short])], 7, "the second pronunciation is accepted, too"
        ),
        case([((a, b), [(a, b, c), (a,)])], 5, "two are equally near, the first is longer"),
        case([((a, b), [(a,), (a, b, c)])], 5, "two are equally near, the first is shorter"),
        case([((a, b), [(a,), (a, b, c, d, e, b)])], 5, "one near and short, one far and long"),
        case([((a, b), [(a, c), (d, b, c, e, a, d)])], 5, "a share"),
        case([((a, b, c, d, e), [(a,), (d, b, a, c, e, a, b, c, d, b, c, d)])], 8, "by rate"),
        case(
            [
                word(3, 1),
                word(6, 2, others=1, right_is=1),
                word(5, 0, others=2, right_is=2),
                word(4, 3),
                word(7, 1, others=1),
            ],
            11,
            "five words",
        ),
    ]


def _test_behind(attempt, case, rng):
    written = case.inputs["written"].copy()
    behind = np.cumsum(written == END, axis=1) - (written == END) > 0
    written[behind] = rng.integers(3, 40, behind.sum())
    after = attempt(written=written, sounds=case.inputs["sounds"])["error"]
    if not np.isclose(after, attempt.result["error"]):
        raise Mismatch(
            "What is written behind END was changed, and the error with it.",
            expected=attempt.result["error"],
            got=after,
            labels=("before", "after"),
        )


PHONEME_ERROR = Exercise(
    name="phoneme_error",
    lesson=LESSON,
    title="An error that is too kind, and too strict",
    kind="bug",
    minutes=10,
    difficulty=2,
    points=2,
    reference=error_by_loops,
    cases=error_cases,
    outputs={"error": ""},
    properties=[Property("what stands behind END does not count", _test_behind)],
    misconceptions=[
        Misconception(
            "as it was",
            "This still behaves as the broken one does: position by position, over whole rows with their padding, the "
            "first pronunciation only, a mean of rates.",
            ERROR_SLIPS["as it was"],
        ),
        Misconception(
            "padding counts",
            "You divide by the width of the rows, so END and padding count as phonemes that were right. Divide by the "
            "phonemes of the right pronunciation.",
            ERROR_SLIPS["padding counts"],
        ),
        Misconception(
            "END counts",
            "You count END as a phoneme. Every word then has one more to get right, and the error looks smaller.",
            ERROR_SLIPS["END counts"],
        ),
        Misconception(
            "not cut at END",
            "You compare the whole row, with what stands behind END. `spelling.to_sounds(row)` cuts it there.",
            ERROR_SLIPS["not cut at END"],
        ),
        Misconception(
            "mean of the words' rates",
            "You average the rates of the words, so one edit in a short word weighs more than one in a long word. "
            "Add up all edits, add up all phonemes, and divide once.",
            ERROR_SLIPS["mean of the words' rates"],
        ),
        Misconception(
            "first pronunciation only",
            "You compare with the first pronunciation only. Any of the accepted ones is right: take the nearest.",
            ERROR_SLIPS["first pronunciation only"],
        ),
        Misconception(
            "divided by what was said",
            "You divide by the number of phonemes that were *said*. Whoever says more would err less; the right "
            "pronunciation sets the measure.",
            ERROR_SLIPS["divided by what was said"],
        ),
        Misconception(
            "divided by the longer one",
            "You divide by the longer of the two. The standard divides by the right pronunciation, so an error above 1 is "
            "possible.",
            ERROR_SLIPS["divided by the longer one"],
        ),
        Misconception(
            "all pronunciations at once",
            "You add up the edits to *all* accepted pronunciations. Only the nearest counts.",
            ERROR_SLIPS["all pronunciations at once"],
        ),
        Misconception(
            "word error",
            "This is the word error, the share of words with an edit. Asked is the phoneme error.",
            ERROR_SLIPS["word error"],
        ),
        Misconception(
            "accuracy",
            "You return 1 minus the error.",
            ERROR_SLIPS["accuracy"],
        ),
        Misconception(
            "last of the nearest",
            "Two pronunciations are equally near, and you take the last. The first counts, and its length.",
            ERROR_SLIPS["last of the nearest"],
        ),
        Misconception(
            "shortest of the nearest",
            "Two pronunciations are equally near, and you take the shorter. The first counts, and its length.",
            ERROR_SLIPS["shortest of the nearest"],
        ),
        Misconception(
            "nearest by rate",
            "You take the pronunciation with the lowest *rate*. Nearest means the fewest edits.",
            ERROR_SLIPS["nearest by rate"],
        ),
        Misconception(
            "length of the first",
            "You count the edits to the nearest pronunciation, but the length of the first. Take both from one.",
            ERROR_SLIPS["length of the first"],
        ),
        Misconception(
            "percent",
            "You return percent. Asked is a share, such as 0.25.",
            ERROR_SLIPS["percent"],
        ),
        Misconception(
            "per word",
            "You divide by the number of words. Divide by the number of phonemes.",
            ERROR_SLIPS["per word"],
        ),
    ],
    own=["attnfuse.data.spelling.errors"],
    reread="section 2",
    hint="Two sums over all words: edits, and phonemes. For each word: `said = spelling.to_sounds(row)`, then the "
    "nearest of its pronunciations, `min(accepted, key=lambda right: spelling.edit_distance(said, right))`.",
)

# -- decoder --------------------------------------------------------------------------------------


class Weights(dict):
    """Name of a weight → array; printed short."""

    def __repr__(self):
        return f"random weights, {len(self)} arrays"


def _norm(x, gamma, beta):
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta


def _weigh(scores, allowed):
    closed = np.where(allowed, scores, -np.inf)
    powers = np.exp(closed - closed.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _heads(query, key, w, name, allowed, heads):
    """Multi-head attention of one row, head by head: query (T, D), key (S, D) → (T, D)."""
    q, k, v = (
        x @ w[f"{name}.{part}_matrix"] + w[f"{name}.{part}_bias"]
        for x, part in ((query, "query"), (key, "key"), (key, "value"))
    )
    H = q.shape[-1] // heads
    context = np.zeros_like(q)
    for n in range(heads):
        own = slice(n * H, (n + 1) * H)
        context[:, own] = _weigh(q[:, own] @ k[:, own].T / math.sqrt(H), allowed) @ v[:, own]
    return context @ w[f"{name}.output_matrix"] + w[f"{name}.output_bias"]


def _decoder(
    positions="before",
    causal=True,
    letters="open",
    residual=(True, True, True),
    norms="before",
    order=("back", "letters"),
    from_input=False,
    shifted=False,
    norm_of=(1, 2, 3),
    skipped=None,
):
    """A decoder layer as the exercise defines it, or with a slip."""

    def decode(tokens, letter_states, is_letter, weights, heads):
        w = {name: np.asarray(x, float) for name, x in weights.items()}
        B, T = tokens.shape
        outputs = []
        for b in range(B):
            reads = np.concatenate([[START], tokens[b, :-1]]) if shifted else tokens[b]
            x = w["embed.embeddings"][reads]
            places, states = w["positions"][:T], np.asarray(letter_states[b], float)
            if positions == "by token":
                x = x + w["positions"][tokens[b]]
            elif positions == "from 1":
                x = x + w["positions"][1 : T + 1]
            elif positions == "one row":
                x = x + w["positions"][T]
            x = x + places if positions == "before" else x
            letter = {"open": is_letter[b], "closed": ~is_letter[b], "all": is_letter[b] | True}
            seen = letter[letters] if letter[letters].any() else is_letter[b] | True
            before = np.tri(T, dtype=bool)
            before = {
                True: before,
                False: before | True,
                "turned": before.T,
                "not itself": np.tri(T, k=-1, dtype=bool) | (np.arange(T) == 0)[:, None],
            }[causal]

            def back(y, before=before):
                return _heads(y, y, w, "look_back", before, heads)

            def look(y, states=states, seen=seen):
                return _heads(y, states, w, "look_at_letters", seen[None], heads)

            def think(y):
                hidden = np.maximum(y @ w["widen.kernel"] + w["widen.bias"], 0)
                return hidden @ w["narrow.kernel"] + w["narrow.bias"]

            embedded = x
            parts = {"back": back, "letters": look}
            steps = [*(parts[name] for name in order), think]
            for i, (part, keep) in enumerate(zip(steps, residual, strict=True)):
                if skipped == i:
                    continue
                gamma, beta = (w[f"norm_{norm_of[i]}.{name}"] for name in ("gamma", "beta"))
                base = embedded if from_input else x
                if norms == "before":
                    x = part(_norm(x, gamma, beta)) + base * keep
                elif norms == "after":
                    x = _norm(part(x) + base * keep, gamma, beta)
                elif norms == "of the part":
                    x = base * keep + _norm(part(x), gamma, beta)
                elif norms == "of both":
                    normed = _norm(x, gamma, beta)
                    x = normed + part(normed)
                else:
                    x = part(x) + base * keep
                if i == 0 and positions == "after":
                    x = x + places
            outputs.append(x)
        return np.stack(outputs)

    return decode


def _swapped_roles(tokens, letter_states, is_letter, weights, heads):
    """The letters ask, the tokens answer: as many rows as there are letters."""
    return np.zeros_like(np.asarray(letter_states, float))


DECODER_PARTS = ("look_back", "look_at_letters")


def _decoder_weights(rng, names, D, hidden, longest):
    weights = Weights()
    weights["embed.embeddings"] = rng.standard_normal((names, D))
    weights["positions"] = rng.standard_normal((longest, D))
    for i in (1, 2, 3):
        weights[f"norm_{i}.gamma"] = rng.uniform(0.5, 1.5, D)
        weights[f"norm_{i}.beta"] = 0.3 * rng.standard_normal(D)
    for name in DECODER_PARTS:
        for part in ("query", "key", "value", "output"):
            weights[f"{name}.{part}_matrix"] = rng.standard_normal((D, D)) / math.sqrt(D) * 1.5
            weights[f"{name}.{part}_bias"] = 0.3 * rng.standard_normal(D)
    for name, shape in (("widen", (D, hidden)), ("narrow", (hidden, D))):
        weights[f"{name}.kernel"] = rng.standard_normal(shape) / math.sqrt(shape[0])
        weights[f"{name}.bias"] = 0.3 * rng.standard_normal(shape[1])
    return Weights({name: x.astype(np.float32) for name, x in weights.items()})


def decoder_cases(rng):
    def case(B, T, S, D, heads, hidden, lengths, note):
        inputs = {
            "tokens": rng.integers(3, 9, (B, T)).astype(np.int32),
            "letter_states": rng.standard_normal((B, S, D)).astype(np.float32),
            "is_letter": np.arange(S) < np.array(lengths)[:, None],
            "weights": _decoder_weights(rng, 9, D, hidden, 12),
            "heads": heads,
        }
        inputs["tokens"][:, 0] = START
        return Case(inputs, note)

    return [
        case(1, 3, 2, 4, 1, 5, [2], "one word, no padding, one head"),
        case(2, 4, 5, 6, 2, 7, [5, 3], "two words, two heads, padding in the second"),
    ]


def run_decoder(candidate, tokens, letter_states, is_letter, weights, heads):
    """Build the learner's layer, give it the weights, call it. A plain function gets everything."""
    if not isinstance(candidate, type):
        if hasattr(candidate, "build"):
            raise Mismatch("check needs the class itself, Decoder, not a layer made from it.")
        return candidate(tokens, letter_states, is_letter, weights, heads)
    D, hidden = weights["widen.kernel"].shape
    layer = candidate(names=len(weights["embed.embeddings"]), width=D, heads=heads, hidden=hidden)
    if not hasattr(layer, "positions"):
        raise Mismatch("The layer has no `positions`. Keep `__init__` as it was given.")
    layer.positions = weights["positions"]
    _make_weights(layer, tokens, letter_states)
    for name, value in weights.items():
        if name != "positions":
            part, _, weight = name.partition(".")
            getattr(getattr(layer, part), weight).assign(value)
    output = layer(tokens, letter_states, is_letter)
    return None if output is None else np.asarray(output)


def _make_weights(layer, tokens, letter_states):
    """Build the given parts by themselves, whatever `call` does."""
    wide, letters = (*tokens.shape, letter_states.shape[-1]), letter_states.shape
    shapes = {
        "embed": (tokens.shape,),
        "norm_1": (wide,),
        "norm_2": (wide,),
        "norm_3": (wide,),
        "look_back": (wide, wide),
        "look_at_letters": (wide, letters),
        "widen": (wide,),
    }
    for name, shape in shapes.items():
        part = getattr(layer, name, None)
        if part is None:
            raise Mismatch(f"The layer has no `{name}`. Keep `__init__` as it was given.")
        if not part.built:
            part.build(*shape)
            part.built = True
    if not layer.narrow.built:
        layer.narrow.build((*tokens.shape, layer.widen.units))


def _test_no_look_ahead(attempt, case, rng):
    inputs = dict(case.inputs)
    T = inputs["tokens"].shape[1]
    if T < 2:
        return
    t = int(rng.integers(1, T))
    inputs["tokens"] = inputs["tokens"].copy()
    inputs["tokens"][:, t:] = 3 + (inputs["tokens"][:, t:] - 2) % 6
    before, after = attempt.result["x"][:, :t], attempt(**inputs)["x"][:, :t]
    if not np.allclose(before, after, atol=1e-4):
        raise Mismatch(
            f"The tokens from position {t} on were changed, and what comes out before them changed, too: "
            "the decoder looks ahead.",
            expected=before,
            got=after,
            labels=("before", "after"),
        )


def _test_padding_closed(attempt, case, rng):
    inputs = dict(case.inputs)
    padded = ~inputs["is_letter"]
    if not padded.any():
        return
    inputs["letter_states"] = inputs["letter_states"].copy()
    inputs["letter_states"][padded] = 100.0
    before, after = attempt.result["x"], attempt(**inputs)["x"]
    if not np.allclose(before, after, atol=1e-3):
        raise Mismatch(
            "The states of the padding were set to 100, and the output changed.",
            expected=before,
            got=after,
            labels=("before", "after"),
        )


def _test_letters_seen(attempt, case, rng):
    inputs = dict(case.inputs)
    inputs["letter_states"] = inputs["letter_states"] + rng.standard_normal(
        inputs["letter_states"].shape
    ).astype(np.float32)
    before, after = attempt.result["x"], attempt(**inputs)["x"]
    if np.allclose(before, after, atol=1e-6):
        raise Mismatch("Other letters leave the output as it was: the decoder does not read.")


DECODER = Exercise(
    name="decoder",
    lesson=LESSON,
    title="A decoder",
    kind="finish",
    minutes=15,
    difficulty=3,
    points=2,
    reference=_decoder(),
    cases=decoder_cases,
    outputs={"x": "B T D"},
    run=run_decoder,
    rtol=1e-3,
    atol=1e-4,
    properties=[
        properties.finite(),
        Property("the letters are read", _test_letters_seen),
        Property("no token sees a later one", _test_no_look_ahead),
        Property("padding is closed", _test_padding_closed),
    ],
    misconceptions=[
        Misconception(
            "no positions",
            "The positions are not added: the same phonemes in another order look the same to it.",
            _decoder(positions="none"),
        ),
        Misconception(
            "positions after attention",
            "You add the positions *after* the first attention. While it attends, it does not know where anything "
            "stands. Add them to the embedded tokens, before everything else.",
            _decoder(positions="after"),
        ),
        Misconception(
            "shifted twice",
            "You shift the tokens. They come shifted already, START first: position t reads what position t−1 had to write.",
            _decoder(shifted=True),
        ),
        Misconception(
            "looks ahead",
            "Nothing keeps a token from looking at later tokens, which are the answer: `causal=True` in the first "
            "attention.",
            _decoder(causal=False),
        ),
        Misconception(
            "looks ahead only",
            "Your causal mask is turned around: each token sees itself and what comes *later*.",
            _decoder(causal="turned"),
        ),
        Misconception(
            "mask inverted",
            "Your mask for the letters works the wrong way round: True means *may attend*, and `is_letter` is True at "
            "letters.",
            _decoder(letters="closed"),
        ),
        Misconception(
            "padding open",
            "`is_letter` is not used: attention goes to padding, too. It needs an axis for the queries: "
            "`mask=is_letter[:, None]`.",
            _decoder(letters="all"),
        ),
        Misconception(
            "no residuals",
            "You replace `x` by what each part returns. It is *added*: `x = x + …`, three times.",
            _decoder(residual=(False, False, False)),
        ),
        *(
            Misconception(
                f"residual {i + 1} forgotten",
                f"After {name} `x` is replaced, not added to: `x = x + …`, three times.",
                _decoder(residual=tuple(j != i for j in range(3))),
            )
            for i, name in enumerate(("look_back", "look_at_letters", "the feed-forward layers"))
        ),
        *(
            Misconception(
                f"no {name}",
                f"One of the three parts is missing: {name}.",
                _decoder(skipped=i),
            )
            for i, name in enumerate(("look_back", "look_at_letters", "widen and narrow"))
        ),
        Misconception(
            "norm_1 three times",
            "You use `norm_1` for every part. Each part has a norm with weights of its own: norm_1, norm_2, norm_3.",
            _decoder(norm_of=(1, 1, 1)),
        ),
        Misconception(
            "norm of the part",
            "You normalise what a part returns. The norm stands before the part: `x = x + part(norm(x))`.",
            _decoder(norms="of the part"),
        ),
        Misconception(
            "positions of tokens",
            "You look up positions by *token*. They follow the place: rows 0 to T−1 of `self.positions`.",
            _decoder(positions="by token"),
        ),
        Misconception(
            "positions from 1",
            "Your first token gets the positions' row 1. Rows count from 0: `self.positions[:T]`.",
            _decoder(positions="from 1"),
        ),
        Misconception(
            "one row of positions",
            "`self.positions[T]` is one row, added everywhere. Take the first T rows: `self.positions[:T]`.",
            _decoder(positions="one row"),
        ),
        Misconception(
            "does not see itself",
            "A token does not see itself in your mask. It may look at itself and at what came before.",
            _decoder(causal="not itself"),
        ),
        Misconception(
            "the embedding added each time",
            "You add each part to the *embedded tokens*, so the part before it is lost. Add it to `x` as it is by then.",
            _decoder(from_input=True),
        ),
        Misconception(
            "normalised afterwards",
            "You normalise the sum (as Vaswani et al. did in 2017). Here the layer norm stands *before* each part, "
            "inside: `x = x + part(norm(x))`.",
            _decoder(norms="after"),
        ),
        Misconception(
            "residual of the normalised",
            "You overwrite `x` by its norm, and add to that. The residual carries `x` itself: "
            "`x = x + part(norm(x))`.",
            _decoder(norms="of both"),
        ),
        Misconception(
            "no norms",
            "The three layer norms are not used.",
            _decoder(norms="none"),
        ),
        Misconception(
            "letters first",
            "You look at the letters first and back at the tokens afterwards. The order is: back, letters, "
            "feed-forward.",
            _decoder(order=("letters", "back")),
        ),
        Misconception(
            "the letters ask",
            "Your output has a row per *letter*: the letters ask. The decoder's tokens ask (first argument), the "
            "letters' states are keys and values.",
            _swapped_roles,
        ),
    ],
    own=["attnfuse.transformer.DecoderLayer", "attnfuse.transformer.Transformer"],
    reread="section 3",
    hint="Five lines: embed and add `self.positions[: tokens.shape[1]]`; three times `x = x + part(norm(x))`; return x. "
    "The first attention gets the normalised x twice and `causal=True`, the second the letters' states and "
    "`mask=is_letter[:, None]`.",
)

# -- smoothing (a prediction) ---------------------------------------------------------------------


def smoothing_by_loops(classes=42, epsilon=0.1):
    """Which of two models has the lower loss, without and with smoothing; can the loss become 0?"""

    def loss(sure, epsilon):
        others = (1 - sure) / (classes - 1)
        asked = [(1 - epsilon) + epsilon / classes] + [epsilon / classes] * (classes - 1)
        given = [sure] + [others] * (classes - 1)
        return -sum(a * math.log(g) for a, g in zip(asked, given, strict=True))

    a, b = 0.9, 0.999
    lowest = loss((1 - epsilon) + epsilon / classes, epsilon)  # no answer beats the target itself
    plain, smooth = ("A" if loss(a, e) < loss(b, e) else "B" for e in (0.0, epsilon))
    return plain, smooth, lowest < 1e-9


SMOOTHING = Exercise(
    name="smoothing",
    lesson=LESSON,
    title="Too sure",
    kind="predict",
    minutes=5,
    difficulty=1,
    points=2,
    reference=smoothing_by_loops,
    value=True,
    misconceptions=[
        Misconception(
            "surer is better",
            "Without smoothing a surer model has the lower loss. With it, the target itself gives the right phoneme .902 "
            "only: who gives .999 leaves too little for the others and pays for it.",
            ("B", "B", False),
        ),
        Misconception(
            "surer is better, down to nothing",
            "With smoothing the target gives the right phoneme .902 only; giving .999 costs. And a target that is spread "
            "out cannot be matched at no cost: its own entropy is left.",
            ("B", "B", True),
        ),
        Misconception(
            "zero can be reached",
            "The two models are right. But the cross-entropy is lowest where the model gives exactly what the target "
            "asks, and is then the target's entropy, which is not 0.",
            ("B", "A", True),
        ),
        Misconception(
            "caution always pays",
            "Without smoothing only the right phoneme's probability counts, −log .9 against −log .999: B is ahead.",
            ("A", "A", False),
        ),
        Misconception(
            "the other way round",
            "You have the two the wrong way round: smoothing is what punishes being too sure.",
            ("A", "B", False),
        ),
        Misconception(
            "caution always pays, down to nothing",
            "Look at the parts one by one. Without smoothing −log .9 is more than −log .999. And a target that is "
            "spread out always leaves its own entropy.",
            ("A", "A", True),
        ),
        Misconception(
            "all the other way round",
            "All three are the other way round: smoothing is what punishes being too sure, and its loss never "
            "becomes 0.",
            ("A", "B", True),
        ),
        Misconception(
            "small letters",
            'All three are right; write the letters as "A" and "B".',
            ("b", "a", False),
        ),
        Misconception(
            "two of three",
            "Asked are three things: a letter, a letter, and True or False.",
            ("B", "A"),
        ),
    ],
    reread="section 4",
    hint="Without smoothing the loss is −log of the right phoneme's probability. With it the target gives .902 to the "
    "right one and .0024 to each of the other 41, and the loss is the sum of −target · log(given).",
)

# -- cached_step (stretch) ------------------------------------------------------------------------


def causal_by_loops(x, query_matrix, key_matrix, value_matrix):
    """What one head gives if all positions are there at once: `(B, T, D)` → `(B, T, H)`."""
    B, T, _ = x.shape
    context = np.zeros((B, T, value_matrix.shape[1]))
    for b in range(B):
        for t in range(T):
            query = x[b, t] @ query_matrix
            scores = [
                float(query @ (x[b, s] @ key_matrix)) / math.sqrt(len(query)) for s in range(t + 1)
            ]
            top = max(scores)
            total = sum(math.exp(score - top) for score in scores)
            for s in range(t + 1):
                context[b, t] += math.exp(scores[s] - top) / total * (x[b, s] @ value_matrix)
    return context


def cached_cases(rng):
    def case(B, T, D, H, V, note):
        return Case(
            {
                "x": rng.standard_normal((B, T, D)),
                "query_matrix": rng.standard_normal((D, H)),
                "key_matrix": rng.standard_normal((D, H)),
                "value_matrix": rng.standard_normal((D, V)),
            },
            note,
        )

    return [
        case(1, 1, 2, 3, 4, "the first position"),
        case(1, 2, 3, 2, 4, "two positions"),
        case(3, 5, 4, 2, 6, "three words, five positions"),
    ]


def run_cached(candidate, x, query_matrix, key_matrix, value_matrix):
    """Feed the positions one by one, handing back what the last step returned."""
    past, contexts = None, []
    for t in range(x.shape[1]):
        new = x[:, t : t + 1].copy()
        result = candidate(new, past, query_matrix, key_matrix, value_matrix)
        if result is None:
            return None
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise Mismatch("Return two things, `context` and `past`.")
        context, past = result
        if context is None or isinstance(context, tuple | list):
            raise Mismatch(
                "Your first output must be the context, one array. `scaled_dot_product_attention` returns a pair, "
                "`(context, weights)`: take the first; and return the context before the past."
            )
        contexts.append(np.asarray(context))
        if contexts[-1].shape != (len(x), 1, value_matrix.shape[1]):
            raise Mismatch(
                f"At step {t} your context has shape {contexts[-1].shape}; expected (B, 1, V) = "
                f"{(len(x), 1, value_matrix.shape[1])}."
            )
    result = np.concatenate(contexts, axis=1)
    if x.shape[1] > 1 and np.allclose(
        result, causal_by_loops(x, query_matrix, key_matrix, value_matrix)
    ):
        _old_keys_are_kept(candidate, x, query_matrix, key_matrix, value_matrix)
    return result


def _old_keys_are_kept(candidate, x, query_matrix, key_matrix, value_matrix):
    """At the last step the key matrix is another one: only the new key may change."""
    past, other = None, key_matrix[::-1].copy()
    for t in range(x.shape[1] - 1):
        _, past = candidate(x[:, t : t + 1].copy(), past, query_matrix, key_matrix, value_matrix)
    last = x[:, -1:].copy()
    context, _ = candidate(last, past, query_matrix, other, value_matrix)
    keys = np.concatenate([x[:, :-1] @ key_matrix, last @ other], axis=1)
    if not np.allclose(context, _attend_now(last @ query_matrix, keys, x @ value_matrix)):
        raise Mismatch(
            "The answer is right, but old keys are computed again at every step: another `key_matrix` at the last "
            "step changed them. Keep the keys and values themselves, and project only the new position."
        )


def _attend_now(query, key, value, scale=True):
    scores = query @ key.swapaxes(-1, -2) / (math.sqrt(query.shape[-1]) if scale else 1)
    return _weigh(scores, True) @ value


def _cached(keep="all", itself=True, scale=True, mean=False):
    """A step with a cache and a slip."""

    def wrong(x, past, query_matrix, key_matrix, value_matrix):
        query, key, value = x @ query_matrix, x @ key_matrix, x @ value_matrix
        if past is None:
            return _attend_now(query, key, value, scale), (key, value)
        keys, values = past
        if keep == "last two":  # remembers one step, then forgets
            both = [
                np.concatenate(z, axis=1) for z in ((keys[:, -1:], key), (values[:, -1:], value))
            ]
        elif keep == "first":  # never adds to the cache
            both = [np.concatenate(z, axis=1) for z in ((keys, key), (values, value))]
            return _attend_now(query, *both, scale), past
        elif keep == "values late":
            both = [np.concatenate(z, axis=1) for z in ((keys, key), (value, values))]
        else:
            both = [np.concatenate(z, axis=1) for z in ((keys, key), (values, value))]
        seen = both if itself else (keys, values)
        if mean:
            return np.broadcast_to(both[1].mean(axis=1, keepdims=True), value.shape), tuple(both)
        return _attend_now(query, *seen, scale), tuple(both)

    return wrong


def _only_itself(x, past, query_matrix, key_matrix, value_matrix):
    query, key, value = x @ query_matrix, x @ key_matrix, x @ value_matrix
    return _attend_now(query, key, value), (key, value)


def _all_anew(x, past, query_matrix, key_matrix, value_matrix):
    """Keeps the inputs and projects all of them at every step."""
    kept = x if past is None else np.concatenate([past, x], axis=1)
    return _attend_now(x @ query_matrix, kept @ key_matrix, kept @ value_matrix), kept


def _pair(x, past, query_matrix, key_matrix, value_matrix):
    """Hands on the pair that attention returns."""
    return (x, x), (x, x)


def _scaled_by_width(x, past, query_matrix, key_matrix, value_matrix):
    H = query_matrix.shape[1]
    query_matrix = query_matrix * math.sqrt(H / x.shape[-1])
    return _cached()(x, past, query_matrix, key_matrix, value_matrix)


def _first_query(x, past, query_matrix, key_matrix, value_matrix):
    """Caches the queries, too, and asks with the first of them."""
    query, key, value = x @ query_matrix, x @ key_matrix, x @ value_matrix
    if past is not None:
        query, keys, values = past
        key, value = (np.concatenate(z, axis=1) for z in ((keys, key), (values, value)))
    return _attend_now(query, key, value), (query, key, value)


CACHED_STEP = Exercise(
    name="cached_step",
    lesson=LESSON,
    title="A step with a memory",
    kind="stretch",
    minutes=10,
    difficulty=2,
    points=0,
    reference=causal_by_loops,
    cases=cached_cases,
    outputs={"context": "B T V"},
    run=run_cached,
    misconceptions=[
        Misconception(
            "forgets the past",
            "Each position attends to itself only: what came before is not used. Put the new key behind the old ones.",
            _only_itself,
        ),
        Misconception(
            "forgets earlier keys",
            "Your cache holds the last key only, so everything before it is forgotten. Return *all* keys and values so far.",
            _cached(keep="last two"),
        ),
        Misconception(
            "cache not extended",
            "You use the new key and value, but return the past as it came. The next step will not know this one.",
            _cached(keep="first"),
        ),
        Misconception(
            "does not see itself",
            "A position attends to what came before and not to itself. In causal attention it may see itself: add its key "
            "and value *before* attending.",
            _cached(itself=False),
        ),
        Misconception(
            "keys and values out of step",
            "You put new keys behind the old ones and new values in front: each weight meets another position's value.",
            _cached(keep="values late"),
        ),
        Misconception(
            "not scaled",
            "The scores are not divided by √H.",
            _cached(scale=False),
        ),
        Misconception(
            "scaled by the width of x",
            "You divide by √D, the width of x. It is √H, the width of a key.",
            _scaled_by_width,
        ),
        Misconception(
            "all computed anew",
            "You keep x and project all of it again at every step: that is what the cache is to save. Keep keys and "
            "values.",
            _all_anew,
        ),
        Misconception(
            "context not unpacked",
            "Attention returns `(context, weights)`. Take the context alone, and return it first.",
            _pair,
        ),
        Misconception(
            "asks with the first query",
            "You keep queries in the cache and ask with the first. Every step asks with its own, new query.",
            _first_query,
        ),
        Misconception(
            "plain mean",
            "You average the values so far. Weigh them by softmax of query·key/√H.",
            _cached(mean=True),
        ),
    ],
    reread="section 6",
    hint="Project x three times. If there is a past, `np.concatenate([old, new], axis=1)` for keys and for values. "
    "Attend with the one new query over all of them; return the context and the pair (keys, values).",
)

# -- beam_search (stretch) ------------------------------------------------------------------------


def best_by_mean(step, width, longest):
    """The definition of the exercise, in plain loops."""
    beginnings, finished = [([], 0.0)], []
    for _ in range(longest):
        longer = []
        for tokens, total in beginnings:
            probabilities = step(list(tokens))
            for token, p in enumerate(probabilities):
                if p > 0:
                    longer.append(([*tokens, token], total + math.log(p)))
        longer.sort(key=lambda one: -one[1])
        beginnings = []
        for tokens, total in longer[:width]:
            (finished if tokens[-1] == END else beginnings).append((tokens, total))
        if not beginnings:
            break
    pool = finished or beginnings
    tokens = max(pool, key=lambda one: one[1] / len(one[0]))[0]
    return [token for token in tokens if token != END]


def _beam(
    add=math.log,
    power=1.0,
    uncounted=0,
    aside="yes",
    stop=None,
    each=False,
    keep=lambda width, finished: width,
    compete=False,
    multiply=False,
    cut="END",
):
    """Beam search with a slip."""

    def wrong(step, width, longest):
        beginnings, finished = [([], 1.0 if multiply else 0.0)], []
        for _ in range(longest):
            longer = []
            for tokens, total in beginnings:
                own = [
                    ([*tokens, token], total * p if multiply else total + add(p))
                    for token, p in enumerate(step(list(tokens)))
                    if p > 0
                ]
                own.sort(key=lambda one: -one[1])
                longer += own[:width] if each else own
            longer += finished if aside == "in place" else []
            longer.sort(key=lambda one: -one[1])
            chosen = longer if each else longer[: max(keep(width, finished), 1)]
            ended = [one for one in chosen if one[0][-1] == END]
            finished = {"no": [], "in place": ended}.get(aside, finished + ended)
            beginnings = [one for one in chosen if one[0][-1] != END or aside in ("no", "copied")]
            if aside == "refilled":
                beginnings = [one for one in longer if one[0][-1] != END][:width]
            if not beginnings or (stop and len(finished) >= stop(width)):
                break
        pool = finished + beginnings if compete else finished or beginnings
        tokens = max(pool, key=lambda one: one[1] / max(len(one[0]) - uncounted, 1) ** power)[0]
        if cut == "last":
            return tokens[:-1]
        return tokens if cut == "nothing" else [token for token in tokens if token != END]

    return wrong


BEAM_SLIPS = {
    "greedy": (
        _beam(keep=lambda width, finished: 1),
        "This is greedy writing: one beginning is kept. Keep `width` of them.",
    ),
    "probabilities added": (
        _beam(add=lambda p: p),
        "You add up probabilities. Those of tokens in a row are *multiplied*; it is their logarithms that add.",
    ),
    "product divided": (
        _beam(multiply=True),
        "You divide a product of probabilities by the length. It is the *sum of logarithms* that is divided.",
    ),
    "lengths not evened out": (
        _beam(power=0.0),
        "You compare sums of logarithms of unequal length: every token makes the sum smaller, so the shortest text "
        "tends to win. In the end divide each by its number of tokens.",
    ),
    "END not counted": (
        _beam(uncounted=1),
        "You divide by the number of tokens without END. END was chosen with a probability, too, and counts.",
    ),
    "finished texts grow": (
        _beam(aside="no"),
        "You go on writing behind END. A text that ends in END is finished: set it aside and extend the others.",
    ),
    "finished texts grow, too": (
        _beam(aside="copied"),
        "You set finished texts aside, and go on writing behind their END all the same. Extend the others only.",
    ),
    "finished texts keep their place": (
        _beam(aside="in place"),
        "A finished text keeps its place in the beam and can be pushed out of it. Set it aside for good.",
    ),
    "beam refilled": (
        _beam(aside="refilled"),
        "You fill the places of finished texts with further beginnings. Choose the `width` best of all first, then set "
        "the finished ones of them aside; fewer go on.",
    ),
    "beam shrinks": (
        _beam(keep=lambda width, finished: width - len(finished)),
        "Your beam shrinks by every finished text, for good. In each round the best `width` of the new texts are kept.",
    ),
    "first one finished": (
        _beam(stop=lambda width: 1),
        "You stop as soon as one text is finished. A better one may still be on its way.",
    ),
    "width finished": (
        _beam(stop=lambda width: width),
        "You stop when `width` texts are finished. A better one may still be on its way.",
    ),
    "unfinished compete": (
        _beam(compete=True),
        "Unfinished beginnings compete with finished texts. They count only if nothing is finished.",
    ),
    "width for each": (
        _beam(each=True),
        "You keep `width` continuations of *each* beginning, so they multiply from step to step. `width` are kept "
        "in all.",
    ),
    "END written": (
        _beam(cut="nothing"),
        "END is in your list. It is the sign to stop and no phoneme.",
    ),
    "last one cut": (
        _beam(cut="last"),
        "You cut the last token of an unfinished text, too. It has no END to cut.",
    ),
}


def _speller(rng, names=7, width=4):
    """A random `step`: what was written so far → probabilities of the next token."""
    read = rng.standard_normal((names, width)) * 1.5
    again = rng.standard_normal((width, width))
    choose = rng.standard_normal((names, width)) * 1.2
    first = rng.standard_normal(width)

    def step(written):
        state = first
        for token in written:
            state = np.tanh(read[int(token)] + again @ state)
        logits = choose @ state
        logits[[PAD, START]] = -np.inf
        powers = np.exp(logits - logits.max())
        return powers / powers.sum()

    return step


# Draws of `_speller` on which, between them, each slip writes something else than every other rule.
BEAM_DRAWS = ((1, 3, 4), (315, 3, 5), (443, 3, 5), (707, 3, 5))


def beam_cases(rng):
    fixed = [
        Case({"step": _speller(np.random.default_rng(draw)), "width": width, "longest": longest})
        for draw, width, longest in BEAM_DRAWS
    ]
    return [
        Case({"step": _speller(rng), "width": 1, "longest": 3}, "width 1 is greedy"),
        *fixed,
        *(Case({"step": _speller(rng), "width": 3, "longest": 4}) for _ in range(3)),
    ]


def _mean(step, text, longest):
    """Mean log-probability of a written text, END included unless it filled all rounds."""
    tokens, total = [*text, END][:longest], 0.0
    for t, token in enumerate(tokens):
        p = step(tokens[:t])
        total += math.log(max(p[token], 1e-300)) if 0 <= token < len(p) else -math.inf
    return total / len(tokens)


def _test_best(attempt, case, rng):
    """The same as agreement with the reference, but it says what is better about the other text."""
    step, _, longest = case.inputs.values()
    right = best_by_mean(**case.inputs)
    written = [int(token) for token in np.ravel(attempt.result["written"])]
    if written != right:
        means = [_mean(step, text, longest) for text in (right, written)]
        raise Mismatch(
            f"Asked is {right}, of mean log-probability {means[0]:.2f}; you wrote {written}, {means[1]:.2f}."
        )


BEAM_SEARCH = Exercise(
    name="beam_search",
    lesson=LESSON,
    title="Several beginnings at once",
    kind="stretch",
    minutes=15,
    difficulty=3,
    points=0,
    reference=best_by_mean,
    cases=beam_cases,
    outputs={"written": "T"},
    properties=[Property("the best text of the beam", _test_best)],
    misconceptions=[Misconception(name, says, slip) for name, (slip, says) in BEAM_SLIPS.items()],
    own=["attnfuse.transformer.beam"],
    reread="section 7",
    hint="A list of pairs (tokens, total). Each round: extend every beginning by every token (total + log p), sort, keep "
    "the best `width`; those that end in END move to a second list. In the end: the highest total / number of tokens.",
)

EXERCISES = [EDIT_DISTANCE, PHONEME_ERROR, DECODER, SMOOTHING, CACHED_STEP, BEAM_SEARCH]

# -- questions ------------------------------------------------------------------------------------


def _positions_matter_for():
    """Options: two letters exchanged change the state of every letter, of those two only, of none."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 3))
    order = np.array([1, 0, 2, 3])
    states = [_weigh(y @ y.T, True) @ y for y in (x, x[order])]
    if np.allclose(*states):
        return 2
    return 1 if np.allclose(states[0][order], states[1]) else 0


def _parameters_of_heads():
    """Parameters of the projections of 1 and of 8 heads at width 64: more, as many, fewer?"""
    counts = [3 * heads * 64 * (64 // heads) + 64 * 64 for heads in (1, 8)]
    return 0 if counts[1] > counts[0] else 1 if counts[1] == counts[0] else 2


def _what_is_read():
    """What the decoder reads at position 1 while it learns K AE T: START, K, AE?"""
    target = ["K", "AE", "T", "END"]
    read = ["START", *target[:-1]]
    return ["START", "K", "AE"].index(read[1])


QUIZZES = [
    Quiz(
        id="07-order",
        question="Lesson 04: self-attention without positions reads *tac* instead of *cat*. What happens to the state "
        "of the letter c?",
        options=[
            Option(
                "It changes: c now stands at the end",
                "Nothing tells it where it stands. Its state is a mixture of the same values with the same weights.",
            ),
            Option(
                "It is the same, at another place",
                "Without positions the states change places with their letters, and that is all.",
            ),
            Option(
                "Nothing changes, in no row",
                "The *rows* change places: the state of c now stands in the last one.",
            ),
        ],
        answer=_positions_matter_for,
    ),
    Quiz(
        id="07-heads",
        question="Lesson 04: one head of width 64 becomes eight heads of width 8. The layer now has …",
        options=[
            Option(
                "more parameters",
                "Eight heads, but each an eighth as wide: 8 · (64 · 8) = 64 · 64.",
            ),
            Option(
                "as many parameters", "Heads share the width out; they cost nothing extra here."
            ),
            Option("fewer parameters", "Each head is narrower, but there are eight of them."),
        ],
        answer=_parameters_of_heads,
    ),
    Quiz(
        id="07-shift",
        question="Lesson 06: the target is K AE T END, the decoder learns with teacher forcing. What does it read last "
        "before it must write AE, at position 1?",
        options=[
            Option("START", "START stands at position 0, where K is to be written."),
            Option("K", "Shifted by one: at position 1 it reads the token of position 0."),
            Option("AE", "This is what it must write. Reading it, it would learn to copy."),
        ],
        answer=_what_is_read,
    ),
]
