"""What the decoder may read."""

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property, properties

PAD, START, END = 0, 1, 2
WORDS = 34


def by_loops(target):
    B, T = target.shape
    decoder_input = np.zeros((B, T), dtype=target.dtype)
    for b in range(B):
        for t in range(T):
            decoder_input[b, t] = START if t == 0 else target[b, t - 1]
    return decoder_input


def sentences(rng, lengths, T):
    """Random words, END, padding: one row per length."""
    target = np.zeros((len(lengths), T), dtype=np.int32)
    for row, length in zip(target, lengths, strict=True):
        row[:length] = rng.integers(3, WORDS, length)
        row[length] = END
    return target


def cases(rng):
    return [
        Case({"target": np.array([[END]], dtype=np.int32)}, "nothing but END"),
        Case({"target": sentences(rng, [2], 3)}, "one sentence of two words"),
        Case({"target": sentences(rng, [4, 1, 2], 6)}, "three sentences with padding"),
        Case({"target": sentences(rng, [3, 6], 7)}, "one of two fills its row"),
        Case({"target": sentences(rng, [2, 4, 1, 3], 5)}, "nearly as many sentences as positions"),
    ]


def later(target, axis=1, by=1):
    return np.roll(target, by, axis=axis)


def start_in_column_0(rows, token):
    rows = rows.copy()
    rows[:, 0] = token
    return rows


def start_in_row_0(rows, token):
    rows = rows.copy()
    rows[0] = token
    return rows


def start_at_the_front(rows, token):
    rows = rows.copy()
    rows[0, 0] = token
    return rows


def earlier(target):
    return np.concatenate([target[:, 1:], np.zeros_like(target[:, :1])], axis=1)


def sketch(target, *, move=later, first=START, put=start_in_column_0, finish=lambda rows: rows):
    return finish(put(move(target), first))


def _no_future(attempt, case, rng):
    """Position t of the input must not depend on the target from t on."""
    target = case.inputs["target"]
    t = int(rng.integers(target.shape[1]))
    other = target.copy()
    other[:, t:] = rng.integers(3, WORDS, other[:, t:].shape)
    before, after = attempt.result["decoder_input"], attempt(target=other)["decoder_input"]
    if not np.array_equal(before[:, : t + 1], after[:, : t + 1]):
        raise Mismatch(
            f"The target was changed from position {t} on, and what the decoder reads up to position {t} changed, too: it sees a word before it has written it.",
            before[:, : t + 1],
            after[:, : t + 1],
        )


SHIFT_TARGETS = Exercise(
    name="shift_targets",
    lesson="06_seq2seq",
    title="What the decoder may read",
    kind="write",
    minutes=6,
    difficulty=1,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"decoder_input": "B T"},
    properties=[
        properties.whole_numbers("decoder_input"),
        Property("no word seen before it is written", _no_future),
    ],
    sketch=sketch,
    says="""
    not shifted | Your decoder reads at each position the very word that it is to write there. It will learn to copy, its accuracy will be near perfect, and that proves nothing. The row begins with START, and every token moves one place back.
    shifted the wrong way | You shifted to the left: the decoder reads the *next* word before it writes this one. It may read what stands *before*.
    rolled to the left | You rolled to the left: the decoder reads the *next* word before it writes this one. It may read what stands *before*.
    the row's end in front | The row's last token stands in front. The first thing to read is START.
    START written over the first word | You put START in the place of the first word and left the others where they were. From position 1 on the decoder still sees its answer.
    shifted by two | Your tokens moved two places. One is enough: at position t stands the token of t-1.
    START twice | START stands at the first two positions. At position 1 the decoder reads the first word.
    shifted along the batch | You shifted the rows: each sentence now reads another sentence. The positions are axis 1.
    rolled through all rows | You rolled the flattened array: the end of one sentence runs into the next. The positions are axis 1.
    padding in front | Your rows begin with 0, which is padding. They begin with START.
    END in front | Your rows begin with END. They begin with START.
    START in the first row only | The whole first row is START. Every *row* begins with it: that is the first column.
    one column too many | You put START in front and took nothing off the end. Input and target must have the same length.
    one column too few | A column is missing. Input and target must have the same length.
    the first sentence only | You return the first sentence alone. Return a row for each.
    not whole numbers | Your tokens are no whole numbers any more. Return int.
    backwards | Your rows stand in reverse order.
    START behind | You shifted to the left and put START at the end. It stands in front, and the decoder may read what stands *before*.
    the first column dropped | You dropped the first column: the decoder reads the *next* word before it writes this one, and a column is missing.
    START everywhere | START stands everywhere. Do you read from the array that you are writing into?
    """,
    choices={
        "move": {
            "shifted the wrong way": earlier,
            "rolled to the left": lambda target: later(target, by=-1),
            "START behind": earlier,
            "START written over the first word": lambda target: target,
            "not shifted": lambda target: target,
            "shifted by two": lambda target: later(target, by=2),
            "shifted along the batch": lambda target: later(target, axis=0),
            "rolled through all rows": lambda target: np.roll(target, 1),
            "backwards": lambda target: later(target[:, ::-1]),
        },
        "put": {
            "not shifted": lambda rows, token: rows,
            "shifted the wrong way": lambda rows, token: rows,
            "rolled to the left": lambda rows, token: rows,
            "the row's end in front": lambda rows, token: rows,
            "START behind": lambda rows, token: np.where(
                np.arange(rows.shape[1]) == rows.shape[1] - 1, token, rows
            ),
            "START twice": lambda rows, token: np.where(np.arange(rows.shape[1]) < 2, token, rows),
            "rolled through all rows": start_at_the_front,
            "START in the first row only": start_in_row_0,
            "START everywhere": np.full_like,
        },
        "first": {"padding in front": PAD, "END in front": END},
        "finish": {
            "one column too few": lambda rows: rows[:, : max(1, rows.shape[1] - 1)],
            "the first sentence only": lambda rows: rows[:1],
            "not whole numbers": lambda rows: rows.astype(float),
        },
    },
    wholes={
        "the first column dropped": lambda target: target[:, 1:],
        "one column too many": lambda target: np.concatenate(
            [np.full_like(target[:, :1], START), target], axis=1
        ),
    },
    own=["attnfuse.data.number_words.shift_targets"],
    reread="section 2",
    hint="A column of START, `np.full((B, 1), START)`, then all columns of the target but the last: `np.concatenate` along axis 1.",
)
