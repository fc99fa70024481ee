"""An error that is too kind, and too strict: find the faults of the colleague's measure."""

from functools import partial
from types import SimpleNamespace

import numpy as np

from attnfuse.checking import Case, Exercise, properties
from attnfuse.exercises.lesson_07.shared import END, LESSON, PAD, differ, distance, phonemes

SOUNDS = ("AA", "AE", "AH", "B", "D", "IY", "K", "L", "N", "R", "S", "T")
T = 10  # positions, as in the lesson's data; a pronunciation has at most nine phonemes


def up_to_end(tokens):
    """Those before the first END; all of them without one."""
    return tokens[: tokens.index(END)] if END in tokens else tokens


def by_loops(written, sounds):
    edits = count = 0
    for row, accepted in zip(written.tolist(), sounds, strict=True):
        said = tuple(phonemes()[token] for token in up_to_end(row))
        nearest = accepted[0]
        for right in accepted[1:]:
            if distance(said, right) < distance(said, nearest):
                nearest = right
        edits += distance(said, nearest)
        count += len(nearest)
    return edits / count


# Per word: what was said, and the accepted pronunciations.
WORDS = [
    ("one word, said right", [("abc", ["abc"])]),
    ("one phoneme is missing", [("abc", ["abcd"])]),
    ("a short word wrong, a long one right", [("abd", ["ab"]), ("abcdea", ["abcdea"])]),
    ("one phoneme too many in front", [("eabcd", ["abcd"]), ("ab", ["ab"])]),
    ("nothing was said, then something", [("", ["abcd", "abc"]), ("", ["ab"]), ("ac", ["ab"])]),
    ("more edits than phonemes", [("dcbae", ["a"]), ("b", ["b"])]),
    ("the second pronunciation is accepted, too", [("aecdb", ["abcd", "aecdb"]), ("ab", ["ab"])]),
    ("the second is nearer and longer", [("abcd", ["ae", "abcde"])]),
    ("two are equally near, the first is longer", [("ab", ["abc", "a"])]),
    ("two are equally near, the first is shorter", [("ab", ["a", "abc"])]),
    ("of four two are equally near", [("ab", ["abcde", "a", "abc", "de"]), ("abc", ["b", "acb"])]),
    ("one near and short, one far and long", [("ab", ["a", "abcdeb"])]),
    ("one near and short, one far with the lower rate", [("abc", ["a", "ebacde"])]),
]


def cases(rng):
    tokens = [phonemes().index(name) for name in rng.permutation(SOUNDS)[:5]]

    def case(note, words, behind, end=(END,)):
        """`behind(n)`: the n tokens that follow END."""
        rows = [[*(tokens["abcde".index(c)] for c in said), *end] for said, _ in words]
        written = np.array([[*row, *behind(T - len(row))] for row in rows], np.int32)
        sounds = [
            [tuple(phonemes()[tokens["abcde".index(c)]] for c in right) for right in accepted]
            for _, accepted in words
        ]
        return Case({"written": written, "sounds": sounds}, note)

    def drawn(n):
        return ["".join(rng.choice(list("abcde"), rng.integers(2, 8))) for _ in range(n)]

    def junk(n):
        return rng.choice(tokens, n)

    def padding(n):
        return [PAD] * n

    six = [("abc", ["abd", "abce"]), ("cab", ["cab"])]
    full = [("abcdeabcde", ["abcdeabcd"]), ("edcbaedcbe", ["dcbaedcba"])]
    return [
        *(case(note, words, padding) for note, words in WORDS),
        case("phonemes behind END", six, junk),
        case("phonemes and a second END behind END", six, lambda n: [*junk(n)[1:], END]),
        case("rows without END", full, padding, end=()),
        case("five words", [(drawn(1)[0], drawn(n)) for n in (1, 2, 3, 1, 2)], junk),
    ]


def sketch(
    written,
    sounds,
    *,
    cut=up_to_end,
    compare=lambda said, right, row: distance(said, right),
    rank=lambda edits, right, i: edits,
    keep=lambda word: True,
    edit=lambda word: word.edits,
    count=lambda word: len(word.right),
    total=lambda edits, counts: edits.sum() / max(counts.sum(), 1),
    result=lambda error: error,
):
    words = []
    for tokens, accepted in zip(written.tolist(), sounds, strict=True):
        row = tuple(phonemes()[token] for token in tokens)
        said = tuple(phonemes()[token] for token in cut(tokens))
        found = [compare(said, right, row) for right in accepted]
        ranks = [rank(found[i], right, i) for i, right in enumerate(accepted)]
        best = ranks.index(min(ranks))
        word = {"said": said, "row": row, "accepted": accepted, "found": found}
        words.append(SimpleNamespace(**word, right=accepted[best], edits=found[best]))
    words = [word for word in words if keep(word)]
    edits, counts = (np.array([part(word) for word in words], float) for part in (edit, count))
    return float(result(total(edits, counts)))


def padded(right, row):
    return (*right, phonemes()[END], *[phonemes()[PAD]] * (len(row) - len(right) - 1))


def all_at_once(word):
    return sum(map(len, word.accepted))


def scramble(inputs, rng):
    """Other tokens behind END."""
    written = inputs["written"] = inputs["written"].copy()
    behind = np.cumsum(written == END, axis=1) - (written == END) > 0
    written[behind] = rng.integers(END, 40, behind.sum())
    return inputs


# Of the colleague's four faults three are repaired one by one; all rows are equally wide, so that
# their mean changes nothing where the width divides.
BY_POSITION = {"compare": lambda said, right, row: differ(row, padded(right, row))}
FIRST = {"rank": lambda edits, right, i: i}
BY_WIDTH = {"count": lambda word: len(word.row)}
MEAN = {"total": lambda edits, counts: (edits / counts).sum() / max(len(edits), 1)}

PHONEME_ERROR = Exercise(
    name="phoneme_error",
    lesson=LESSON,
    title="An error that is too kind, and too strict",
    kind="bug",
    minutes=10,
    difficulty=2,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"error": ""},
    properties=[
        properties.stays(
            "what stands behind END",
            "What is written behind END was changed, and the error with it.",
            scramble,
            "error",
        ),
    ],
    sketch=sketch,
    says="""
    as it was | This still behaves as the broken one does: position by position, over whole rows with their padding, the first pronunciation only.
    first, by position, mean of rates | You compare position by position with whole rows, with the first pronunciation only, and average the rates of the words. Count edits to the nearest one, and divide the sums.
    position by position | You compare rows position by position. One phoneme too many in front then makes everything behind it wrong. Count edits: `spelling.edit_distance`.
    phonemes by position | You compare position by position, what is left over being wrong. One phoneme too many in front then makes everything behind it wrong. Count edits: `spelling.edit_distance`.
    the shorter one only | You compare position by position, and what is left over of the longer one counts nothing. Count edits: `spelling.edit_distance`.
    whole rows | You count the edits of whole rows, END, padding and what stands behind END included. `spelling.to_sounds(row)` gives the phonemes before END.
    numbers against names | You compare the numbers of tokens with the names of phonemes: nothing is ever equal. `spelling.to_sounds(row)` gives the names, up to END.
    not cut at END | You compare all that is written, with what stands behind END. `spelling.to_sounds(row)` cuts it there.
    cut at the last END | You cut a row at its *last* END. What stands behind the first one does not count.
    END and padding left out | You leave out END and padding, but phonemes behind END stay. The row ends at its first END.
    last one cut | You cut the last phoneme of a row without END, too. All its phonemes were said.
    first pronunciation only | You compare with the first pronunciation only. Any of the accepted ones is right: take the nearest.
    last pronunciation only | You compare with the last pronunciation only. Any of the accepted ones is right: take the nearest.
    shortest pronunciation only | You compare with the shortest pronunciation. Any of the accepted ones is right: take the nearest.
    the farthest | You take the pronunciation that is *farthest* from what was said.
    last of the nearest | Where several pronunciations are equally near you take the last. The first counts, and its length.
    shortest of the nearest | Where several pronunciations are equally near you take the shortest. The first counts, and its length.
    nearest by rate | You take the pronunciation with the lowest *rate*. Nearest means the fewest edits.
    silence left out | You leave out words for which nothing was said. Each of their phonemes is missing.
    right words left out | You leave out words that were said right. Their phonemes count, too.
    at most all wrong | You cut a word's edits off at its number of phonemes. More edits than phonemes are possible, and all count.
    silence is one edit | Where nothing was said you count one edit. Every phoneme is missing: that many insertions.
    silence is right | Where nothing was said you count no edit. Every phoneme is missing.
    one edit a word | A word with several edits counts as one with one edit. The phoneme error adds up all edits.
    mean of all edits | You average the edits to all accepted pronunciations. Only the nearest counts.
    sum of all edits | You add up the edits to all accepted pronunciations. Only the nearest counts.
    all pronunciations at once | You add up edits and phonemes of *all* accepted pronunciations. Only the nearest counts.
    padding counts | You divide by the width of the rows, so END and padding count as phonemes that were right. Divide by the phonemes of the right pronunciation.
    END counts | You count END as a phoneme of the word. Every word then has one more to get right, and the error looks smaller.
    divided by what was said | You divide by the number of phonemes that were *said*. Whoever says more would err less; the right pronunciation sets the measure.
    divided by what was said, or 1 | You divide by the number of phonemes that were *said*. Whoever says more would err less; the right pronunciation sets the measure.
    divided by the longer one | You divide by the longer of what was said and what is right. The standard divides by the right pronunciation, so an error above 1 is possible.
    length of the first | You count the phonemes of the first pronunciation, whichever is nearest. Take edits and length from one.
    length of the last | You count the phonemes of the last pronunciation, whichever is nearest. Take edits and length from one.
    length of the shortest | You count the phonemes of the shortest pronunciation, whichever is nearest. Take edits and length from one.
    length of the longest | You count the phonemes of the longest pronunciation, whichever is nearest. Take edits and length from one.
    length of all | You count the phonemes of *all* accepted pronunciations. Only those of the nearest count.
    mean of the words' rates | You average the rates of the words, so one edit in a short word weighs more than one in a long word. Add up all edits, add up all phonemes, and divide once.
    per word | You divide by the number of words. Divide by the number of phonemes.
    not divided | You return the sum of edits. Divide it by the number of phonemes.
    share of wrong words | You return the share of words with an edit, the word error. Asked is the phoneme error.
    last word only | Only the last word counts: are the sums begun anew for each word?
    first word only | Only the first word counts: does a `return` stand inside the loop?
    accuracy | You return 1 minus the error.
    percent | You return percent. Asked is a share, such as 0.25.
    at most 1 | You cut the error off at 1. It can be larger: more edits than phonemes.
    """,
    choices={
        "compare": {
            "position by position": BY_POSITION["compare"],
            "phonemes by position": lambda a, b, row: differ(a, b) + abs(len(a) - len(b)),
            "the shorter one only": lambda said, right, row: differ(said, right),
            "numbers against names": lambda said, right, row: max(len(row), len(right)),
            "whole rows": lambda said, right, row: distance(row, padded(right, row)),
        },
        "cut": {
            "not cut at END": lambda tokens: tokens,
            "cut at the last END": lambda tokens: (
                up_to_end(tokens) if tokens.count(END) < 2 else tokens[:-1]
            ),
            "END and padding left out": lambda tokens: [t for t in tokens if t > END],
            "last one cut": lambda tokens: up_to_end(tokens) if END in tokens else tokens[:-1],
        },
        "rank": {
            "first pronunciation only": FIRST["rank"],
            "last pronunciation only": lambda edits, right, i: -i,
            "shortest pronunciation only": lambda edits, right, i: len(right),
            "the farthest": lambda edits, right, i: -edits,
            "last of the nearest": lambda edits, right, i: (edits, -i),
            "shortest of the nearest": lambda edits, right, i: (edits, len(right)),
            "nearest by rate": lambda edits, right, i: edits / len(right),
        },
        "keep": {
            "silence left out": lambda word: word.said,
            "right words left out": lambda word: word.edits,
        },
        "edit": {
            "at most all wrong": lambda word: min(word.edits, len(word.right)),
            "silence is one edit": lambda word: word.edits if word.said else 1,
            "silence is right": lambda word: word.edits if word.said else 0,
            "one edit a word": lambda word: min(word.edits, 1),
            "mean of all edits": lambda word: np.mean(word.found),
            "sum of all edits": lambda word: sum(word.found),
            "all pronunciations at once": lambda word: sum(word.found),
        },
        "count": {
            "padding counts": BY_WIDTH["count"],
            "END counts": lambda word: len(word.right) + 1,
            "divided by what was said": lambda word: len(word.said),
            "divided by what was said, or 1": lambda word: max(len(word.said), 1),
            "divided by the longer one": lambda word: max(len(word.said), len(word.right)),
            "length of the first": lambda word: len(word.accepted[0]),
            "length of the last": lambda word: len(word.accepted[-1]),
            "length of the shortest": lambda word: min(map(len, word.accepted)),
            "length of the longest": lambda word: max(map(len, word.accepted)),
            "length of all": all_at_once,
            "all pronunciations at once": all_at_once,
        },
        "total": {
            "mean of the words' rates": MEAN["total"],
            "per word": lambda edits, counts: edits.sum() / max(len(edits), 1),
            "not divided": lambda edits, counts: edits.sum(),
            "share of wrong words": lambda edits, counts: (edits > 0).sum() / max(len(edits), 1),
            "last word only": lambda edits, counts: edits[-1] / counts[-1],
            "first word only": lambda edits, counts: edits[0] / counts[0],
        },
        "result": {
            "accuracy": lambda error: 1 - error,
            "percent": lambda error: 100 * error,
            "at most 1": lambda error: min(error, 1),
        },
    },
    wholes={
        "as it was": partial(sketch, **BY_POSITION, **FIRST, **BY_WIDTH),
        "first, by position, mean of rates": partial(sketch, **BY_POSITION, **FIRST, **MEAN),
    },
    own=["attnfuse.data.spelling.errors"],
    reread="section 2",
    hint="Two sums over all words: edits, and phonemes. For each word: `said = spelling.to_sounds(row)`, then the nearest of its pronunciations, `min(accepted, key=lambda right: spelling.edit_distance(said, right))`.",
)
