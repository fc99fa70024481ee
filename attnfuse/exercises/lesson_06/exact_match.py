"""Find the bug: right, and counted wrong."""

import numpy as np

from attnfuse.checking import Case, Exercise, properties
from attnfuse.exercises.lesson_06.shift_targets import END, PAD, WORDS, sentences


def by_loops(predicted, target):
    B, T = target.shape
    right = np.ones(B, dtype=bool)
    for b in range(B):
        for t in range(T):
            if target[b, t] != PAD and predicted[b, t] != target[b, t]:
                right[b] = False
    return right


def another(rng, word):
    return 3 + (word - 3 + rng.integers(1, WORDS - 3)) % (WORDS - 3)


def cases(rng):
    def case(T, note):
        """A row for each way to be right or wrong, in random order."""
        B = 14
        lengths = rng.integers(3, T - 2, B)
        target = sentences(rng, lengths, T)
        target[8:10, :2] = [5, 9]
        behind = rng.integers(3, WORDS, target.shape)
        predicted = np.where(target == PAD, behind, target).astype(np.int32)
        predicted[1] = target[1]  # right, padding and all
        predicted[2, 0] = another(rng, target[2, 0])
        predicted[3, lengths[3]] = rng.integers(3, WORDS)  # writes on instead of END
        predicted[4] = target[4]
        predicted[4, lengths[4] - 1] = PAD  # as if padding were a word
        predicted[5, lengths[5] - 1 :] = END  # stops one word early
        predicted[6] = rng.integers(3, WORDS, T)
        predicted[7, lengths[7] :] = PAD  # every word right, and no END
        predicted[8, :2] = [9, 5]  # two words exchanged
        predicted[9, :2] = [6, 8]  # other words of the same sum
        target[12, :3], predicted[12, :3] = [5, 9, 5], [9, 5, 9]  # the same words, not as often
        predicted[13, 1] = another(rng, target[13, 1])  # a wrong word, and no END either
        predicted[13, lengths[13]] = rng.integers(3, WORDS)
        predicted[11, lengths[11] + 1] = PAD  # padding behind END, then something
        predicted[11, lengths[11] + 2 :] = rng.integers(3, WORDS)
        predicted[10, :2] = [another(rng, word) for word in target[10, :2]]
        order = rng.permutation(B)
        return Case({"predicted": predicted[order], "target": target[order]}, note)

    first = sentences(rng, [1], 3)
    behind = np.array([[*first[0, :2], rng.integers(3, WORDS)]], dtype=np.int32)
    full = sentences(rng, [4, 4], 5)
    wrong = full.copy()
    wrong[1, 3] = another(rng, full[1, 3])
    return [
        Case(
            {"predicted": behind, "target": first}, "the right word, END, and something behind it"
        ),
        Case({"predicted": wrong, "target": full}, "no padding, one wrong word"),
        case(7, "fourteen sentences"),
        case(10, "fourteen sentences with T = 10"),
    ]


def up_to(row, token):
    """True at the places before the first `token` of a row, or at all of them."""
    places = np.flatnonzero(row == token)
    return np.arange(len(row)) < (places[0] if len(places) else len(row))


def to_predicted_end(predicted, target):
    return np.array([up_to(row, END) for row in predicted])


def one_more(predicted, target):
    counts = target != PAD
    return counts | np.roll(counts, 1, axis=1)


def same_for_all(choose):
    def counts(predicted, target):
        return np.broadcast_to(
            np.arange(target.shape[1]) < choose((target != PAD).sum(axis=1)), target.shape
        )

    return counts


def last_two(predicted, target):
    end = (target == END).argmax(axis=1)[:, None]
    places = np.arange(target.shape[1])
    return (places == end) | (places == end - 1)


def sketch(
    predicted,
    target,
    *,
    counts=lambda predicted, target: target != PAD,
    fine=lambda agree, counts: agree | ~counts,
    over=lambda fine: fine.all(axis=1),
    finish=lambda right: right,
):
    return finish(over(fine(predicted == target, counts(predicted, target))))


def same_text(predicted, target):
    """Compare what is left when END, padding and all behind them are taken away."""

    def text(row):
        return row[up_to(np.where(row == PAD, END, row), END)].tolist()

    return np.array([text(p) == text(t) for p, t in zip(predicted, target, strict=True)])


def compared_by(measure):
    """Rows compared by a measure of the tokens that count."""

    def match(predicted, target):
        rows = zip(predicted, target, strict=True)
        return np.array([measure(p[t != PAD]) == measure(t[t != PAD]) for p, t in rows])

    return match


def share(predicted, target):
    counts = target != PAD
    return ((predicted == target) & counts).sum(axis=1) / counts.sum(axis=1)


def _other_behind(inputs, rng):
    predicted, behind = inputs["predicted"].copy(), inputs["target"] == PAD
    predicted[behind] = rng.integers(0, WORDS, behind.sum())
    return {**inputs, "predicted": predicted}


EXACT_MATCH = Exercise(
    name="exact_match",
    lesson="06_seq2seq",
    title="Right, and counted wrong",
    kind="bug",
    minutes=8,
    difficulty=1,
    points=2,
    reference=by_loops,
    cases=cases,
    outputs={"right": "B"},
    properties=[
        properties.stays(
            "behind END",
            "What is predicted behind END was changed, and your judgement with it.",
            _other_behind,
            "right",
        )
    ],
    sketch=sketch,
    says="""
    padding counts | This still behaves as the broken one does: a row is wrong as soon as something else than 0 stands behind END. Nobody asked the model for padding; leave those positions out.
    padding of the prediction | You leave out the positions where the *prediction* holds 0. So a model that writes 0 for a hard word is right. What has to be there is for the target to say.
    padding on either side | You leave out positions where target *or* prediction holds 0. A model that writes 0 for a hard word is then right. The target alone says what counts.
    END does not count | You leave out END as well. Then a model that writes three words too many is right. To stop is part of the answer.
    END forgiven, padding not | You leave out END where you should leave out padding.
    to the prediction's END | You compare up to the *prediction's* END. A model that stops too early is then right as far as it got. The target says where the sentence ends.
    one position too many | The token behind END counts, too.
    the shortest for all | You compare all rows as far as the shortest goes. Each sentence has its own end.
    the longest for all | You compare all rows as far as the longest goes, padding included. Each sentence has its own end.
    the end only | You compare the last word and END only. Every word counts.
    and instead of or | You ask that every position agrees *and* is no padding. So a row with padding can never be right. A position is fine if it agrees *or* is padding.
    one word is enough | `any` is True as soon as one position fits. Every position has to.
    one word that counts is enough | `any` is True as soon as one position fits. Every position has to.
    one mistake forgiven | You forgive one wrong word. Every word has to be right.
    over the batch | You ask whether a *position* is right in all rows (axis 0). Ask whether a *row* is right at all its positions: axis 1.
    averaged | You return one number. Return a bool for each row; its mean is the exact match of all.
    one bool for all | You return one bool. Return one for each row.
    wrong rows | You return which rows are *wrong*.
    once wrong, always wrong | After the first wrong row all are wrong. Each row is judged by itself: start afresh for each.
    the texts agree | You compare texts from which END and padding have been cut off. A model that writes padding instead of END is then right. END is part of the answer.
    share of right words | You return the share of right words. Exact match asks for every word of a row: True or False.
    words without order | You compare which words there are, not where they stand. Two words exchanged are a mistake.
    words as a set | You compare which words there are, not where they stand or how often.
    sums | You compare sums of tokens. Other words may have the same sum.
    """,
    choices={
        "counts": {
            "padding counts": lambda predicted, target: np.ones_like(target, bool),
            "padding of the prediction": lambda predicted, target: predicted != PAD,
            "padding on either side": lambda predicted, target: (
                (predicted != PAD) & (target != PAD)
            ),
            "END does not count": lambda predicted, target: (target != PAD) & (target != END),
            "END forgiven, padding not": lambda predicted, target: target != END,
            "to the prediction's END": to_predicted_end,
            "one position too many": one_more,
            "the shortest for all": same_for_all(np.min),
            "the longest for all": same_for_all(np.max),
            "the end only": last_two,
        },
        "fine": {"and instead of or": lambda agree, counts: agree & counts},
        "over": {
            "one word is enough": lambda fine: fine.any(axis=1),
            "one mistake forgiven": lambda fine: (~fine).sum(axis=1) <= 1,
            "over the batch": lambda fine: fine.all(axis=0),
            "averaged": lambda fine: fine.all(axis=1).mean(),
            "one bool for all": np.all,
            "once wrong, always wrong": lambda fine: np.logical_and.accumulate(fine.all(axis=1)),
        },
        "finish": {"wrong rows": np.logical_not},
    },
    wholes={
        "one word that counts is enough": lambda predicted, target: (
            (predicted == target) & (target != PAD)
        ).any(axis=1),
        "the texts agree": same_text,
        "share of right words": share,
        "words without order": compared_by(lambda tokens: sorted(tokens.tolist())),
        "words as a set": compared_by(lambda tokens: set(tokens.tolist())),
        "sums": compared_by(np.sum),
    },
    own=["attnfuse.data.number_words.exact_match"],
    reread="section 4",
    hint="A position is fine if prediction and target agree, *or* if the target is padding. A row is right if all of its positions are fine.",
)
