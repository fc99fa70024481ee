"""How many repairs? The edit distance of two pronunciations."""

from collections import Counter
from difflib import SequenceMatcher
from itertools import groupby, product

from attnfuse.checking import Case, Exercise, Mismatch, Property
from attnfuse.exercises.lesson_07.shared import LESSON, differ, distance

# Two letters each, some in common: texts put together from them would differ by letters.
SOUNDS = ["AA", "AE", "AH", "AO", "AY", "CH", "EH", "ER", "IH", "IY", "NG", "SH", "TH", "UH", "ZH"]
WORDS = [
    ("a", "a", "the same phoneme"),
    ("", "", "nothing said, nothing right"),
    ("", "ab", "nothing was said"),
    ("abc", "", "nothing is right"),
    ("a", "b", "one phoneme for another"),
    ("ab", "ba", "two phonemes in the wrong order"),
    ("aab", "bb", "phonemes that repeat"),
    ("abcd", "eabcd", "one phoneme is missing in front"),
    ("eabcd", "abcd", "one phoneme too many in front"),
    ("abcex", "abcdex", "one phoneme is missing in the middle"),
    ("abcdex", "abcex", "one phoneme too many in the middle"),
    ("abc", "abcd", "one phoneme is missing at the end"),
    ("eabc", "abcd", "too many in front, missing behind"),
    ("abcde", "abxde", "one of five replaced"),
    ("abcdeab", "bcxdaeb", "seven phonemes"),
]


def cases(rng):
    names = dict(zip("abcdex", rng.choice(SOUNDS, 6, replace=False).tolist(), strict=True))
    words = [(*("".join(rng.choice(list("abcd"), n)) for n in (6, 5)), "drawn") for _ in range(3)]
    return [
        Case({"said": tuple(map(names.get, said)), "right": tuple(map(names.get, right))}, note)
        for said, right, note in [*WORDS, *words]
    ]


def sketch(
    said,
    right,
    *,
    read=lambda said, right: (said, right),
    empty=None,
    way=None,
    top=lambda j: j,
    left=lambda i: i,
    one_list=False,
    at=-1,
    until=1,
    diagonal=lambda D, i, j: D[i - 1][j - 1],
    insert=1,
    delete=1,
    replace=1,
    equal=0,
    swap=False,
    best=min,
    result=lambda D, n, m: D[-1][-1],
):
    said, right = read(said, right)
    n, m = len(said), len(right)
    if empty is not None and not n * m:
        return empty
    if way:
        return result([[way(said, right)]], n, m)
    D = [[0] * (m + 1)] * (n + 1) if one_list else [[0] * (m + 1) for _ in range(n + 1)]
    for i in range(n + 1):
        D[i][0] = left(i)
    for j in range(1, m + 1):
        D[0][j] = top(j)
    for i in range(1, n + until):
        for j in range(1, m + until):
            other = equal if said[i + at] == right[j + at] else replace
            D[i][j] = best(D[i - 1][j] + delete, D[i][j - 1] + insert, diagonal(D, i, j) + other)
            if swap and i > 1 < j and said[i - 2 : i] == right[j - 2 : j][::-1]:
                D[i][j] = min(D[i][j], D[i - 2][j - 2] + 1)
    return result(D, n, m)


def by_blocks(said, right):
    blocks = SequenceMatcher(None, said, right, autojunk=False).get_opcodes()
    return sum(max(b - a, d - c) for kind, a, b, c, d in blocks if kind != "equal")


def from_the_left(said, right):
    """Walk along both and repair the first difference at hand."""
    i = j = edits = 0
    while i < len(said) and j < len(right):
        more = (len(said) - i) - (len(right) - j)
        other = said[i] != right[j]
        edits += other
        i, j = i + (not other or more >= 0), j + (not other or more <= 0)
    return edits + len(said) - i + len(right) - j


def between_ends(said, right):
    """Cut off what both begin and end with; the longer rest is wrong."""
    for _ in range(2):
        while said and right and said[:1] == right[:1]:
            said, right = said[1:], right[1:]
        said, right = said[::-1], right[::-1]
    return max(len(said), len(right))


def longest_common(said, right):
    """The longer length less the longest common subsequence."""
    twice = len(said) + len(right) - sketch(said, right, replace=2)
    return max(len(said), len(right)) - twice // 2


def left_over(said, right):
    """How many phonemes are too many, how many too few, whatever their order."""
    said, right = Counter(said), Counter(right)
    return (said - right).total(), (right - said).total()


def itself(attempt, case, rng):
    right = case.inputs["right"]
    got = attempt(said=right, right=right)["edits"]
    if got != 0:
        raise Mismatch(f"From {right} to itself it takes no edit; yours says {got}.")


def all_short_ones(attempt, case, rng):
    """Once: all pairs of at most three phonemes, of which there are two."""
    if case is not attempt.cases[-1]:
        return
    short = [word for n in range(4) for word in product(("AA", "IY"), repeat=n)]
    for said, right in product(short, short):
        want, got = distance(said, right), attempt(said=said, right=right)["edits"]
        if got != want:
            text = "`edits` is not the smallest number."
            raise Mismatch(text, want, got, inputs={"said": said, "right": right})


EDIT_DISTANCE = Exercise(
    name="edit_distance",
    lesson=LESSON,
    title="How many repairs?",
    kind="write",
    minutes=12,
    difficulty=2,
    points=2,
    reference=distance,
    cases=cases,
    outputs={"edits": ""},
    properties=[
        Property("from a word to itself: 0", itself),
        Property("all words of up to three phonemes", all_short_ones),
    ],
    sketch=sketch,
    says="""
    row of zeros | Where nothing was said you count no edits (the first row of a table). Each right phoneme takes one: 0, 1, 2, …
    column of zeros | Where nothing is right you count no edits (the first column of a table). Each phoneme said takes one: 0, 1, 2, …
    border of zeros | Where one of the two is nothing you count no edits (the border of a table). Each phoneme of the other takes one: 0, 1, 2, …
    border of ones | However many phonemes stand against none, you count one edit. It is one for *each*: the border counts up.
    border from 1 | Your border counts 1, 2, 3, …: from nothing to nothing it takes 0 edits, so it begins with 0.
    nothing for empty ones | If either tuple is empty you return 0. Each phoneme of the other one takes an edit.
    one list for all rows | All rows of your table are one and the same list: `[[0] * n] * m` repeats a *reference*. Make each row anew: `[[0] * n for _ in range(m)]`.
    diagonal overwritten | What you take for the cell diagonally above is the cell to the left: the old one is overwritten already where a single row is kept.
    index one too far | An index is too large. The table has one row and one column *more* than there are phonemes; if row i is "after i phonemes", its last phoneme is `said[i - 1]`.
    loops stop early | Your loops stop before the last row or column, so the last cell is never filled: `range(1, len(said) + 1)`.
    no insertion | You know no insertion: the cell to the left, plus 1.
    insertions are free | An insertion (from the cell to the left) costs you nothing. It is one edit.
    no deletion | You know no deletion: the cell above, plus 1.
    deletions are free | A deletion (from the cell above) costs you nothing. It is one edit.
    no replacement | A replacement costs you two edits, a deletion and an insertion. It is one: the cell diagonally above, plus 1.
    replacements are free | As if a replacement cost nothing: only the lengths count. Where two phonemes differ, the diagonal costs 1.
    a match costs | Equal phonemes save nothing in yours: as if 1 were added on the diagonal there, too, the longer length comes out. Where the two are equal nothing has to be done.
    equal and different exchanged | You add 1 on the diagonal where the two phonemes are *equal*, and 0 where they differ.
    a swap is one edit | You count two neighbours in the wrong order as one edit. There are three edits: insert, delete, replace; so a swap takes two.
    the largest | Yours is always the sum of both lengths: the way along the diagonal, a match or a replacement, never wins. Either it is missing, or you take the largest of the three ways instead of the smallest.
    last phoneme forgotten | You leave out the last phoneme of each. The table has one row and one column *more* than there are phonemes, and the answer is its last cell.
    first phoneme forgotten | You leave out the first phoneme of each. The table's border stands *before* the first phonemes: it has one row and one column more than there are phonemes.
    letters compared | You put the phonemes together to one text and compare *letters*. AA is one phoneme: compare the tuples.
    repeats joined | Several equal phonemes in a row count as one for you. Each stands by itself.
    a rate | You divide by the number of right phonemes. Asked is the number of edits.
    a rate of what was said | You divide by the number of phonemes said. Asked is the number of edits.
    a rate of the longer | You divide by the longer length. Asked is the number of edits.
    smallest of the last row | You return the smallest cell of the last row. All of both words counts: return the last cell.
    whole row | You return the whole last row. The distance is its last cell.
    whole table | You return the whole table. The distance is its last cell.
    position by position | You compare position by position. One phoneme too many in front then makes everything behind it wrong; as an edit it counts once.
    the shorter one only | You compare position by position, and stop at the end of the shorter one. What is left over counts, and one phoneme too many in front is one edit only.
    order ignored | You count how often each phoneme occurs, whatever its place. (AE, K) is not right for (K, AE).
    order ignored, both added | You count how often each phoneme occurs, whatever its place, and add up those too many and those too few. (AE, K) is not right for (K, AE), and a replacement is one edit.
    sets | You compare which phonemes occur, whatever their place and number. (AE, K) is not right for (K, AE).
    sets, both added | You compare which phonemes occur, whatever their place and number, and add up both sides. (AE, K) is not right for (K, AE), and a replacement is one edit.
    longest common part | You return the longer length less the longest common subsequence. Where phonemes left over in both do not stand against each other, that is too few: (AE, K) to (K, AE) takes 2.
    blocks | You keep the longest blocks in common and count what is left. The longest first is not always the cheapest.
    between the ends | You cut off what both begin and end with, and count all that is between as wrong. Phonemes can be right there, too.
    greedy | You walk along both and repair the first difference at hand. What looks good there can cost more later; the smallest number needs all three ways from every cell.
    """,
    choices={
        "top": {
            "row of zeros": lambda j: 0,
            "border of zeros": lambda j: 0,
            "border of ones": lambda j: 1,
            "border from 1": lambda j: j + 1,
        },
        "left": {
            "column of zeros": lambda i: 0,
            "border of zeros": lambda i: 0,
            "border of ones": lambda i: min(i, 1),
            "border from 1": lambda i: i + 1,
        },
        "empty": {"nothing for empty ones": 0},
        "one_list": {"one list for all rows": True},
        "diagonal": {"diagonal overwritten": lambda D, i, j: D[i][j - 1]},
        "at": {"index one too far": 0},
        "until": {"loops stop early": 0},
        "insert": {"no insertion": 99, "insertions are free": 0},
        "delete": {"no deletion": 99, "deletions are free": 0},
        "replace": {
            "no replacement": 2,
            "replacements are free": 0,
            "equal and different exchanged": 0,
        },
        "equal": {"a match costs": 1, "equal and different exchanged": 1},
        "swap": {"a swap is one edit": True},
        "best": {"the largest": max},
        "read": {
            "last phoneme forgotten": lambda *both: [one[:-1] for one in both],
            "first phoneme forgotten": lambda *both: [one[1:] for one in both],
            "letters compared": lambda *both: ["".join(one) for one in both],
            "repeats joined": lambda *both: [[name for name, _ in groupby(x)] for x in both],
        },
        "result": {
            "a rate": lambda D, n, m: D[-1][-1] / max(m, 1),
            "a rate of what was said": lambda D, n, m: D[-1][-1] / max(n, 1),
            "a rate of the longer": lambda D, n, m: D[-1][-1] / max(n, m, 1),
            "smallest of the last row": lambda D, n, m: min(D[-1]),
            "whole row": lambda D, n, m: list(D[-1]),
            "whole table": lambda D, n, m: D,
        },
        "way": {
            "position by position": lambda a, b: differ(a, b) + abs(len(a) - len(b)),
            "the shorter one only": differ,
            "order ignored": lambda said, right: max(left_over(said, right)),
            "order ignored, both added": lambda said, right: sum(left_over(said, right)),
            "sets": lambda said, right: max(left_over(set(said), set(right))),
            "sets, both added": lambda said, right: sum(left_over(set(said), set(right))),
            "longest common part": longest_common,
            "blocks": by_blocks,
            "between the ends": between_ends,
            "greedy": from_the_left,
        },
    },
    own=["attnfuse.data.spelling.edit_distance", "attnfuse.data.spelling.errors"],
    reread="section 2",
    hint="Begin with `row = list(range(len(right) + 1))`, the distances from nothing. For each phoneme said make the "
    "next row: its first cell is one more, every other the smallest of above + 1, left + 1, and diagonal + (0 or 1).",
)
