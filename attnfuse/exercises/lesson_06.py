"""Lesson 06, sequence to sequence: what its exercises must satisfy."""

import math

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
from attnfuse.settings import quiet

LESSON = "06_seq2seq"
PAD, START, END = 0, 1, 2
WORDS = 34

# -- shift_targets --------------------------------------------------------------------------------


def shift_by_loops(target):
    B, T = target.shape
    decoder_input = np.zeros((B, T), dtype=target.dtype)
    for b in range(B):
        for t in range(T):
            decoder_input[b, t] = START if t == 0 else target[b, t - 1]
    return decoder_input


def _sentences(rng, lengths, T):
    """Random words, END, padding: one row per length."""
    target = np.zeros((len(lengths), T), dtype=np.int32)
    for row, length in zip(target, lengths, strict=True):
        row[:length] = rng.integers(3, WORDS, length)
        row[length] = END
    return target


def shift_cases(rng):
    return [
        Case({"target": np.array([[END]], dtype=np.int32)}, "nothing but END"),
        Case({"target": _sentences(rng, [2], 3)}, "one sentence of two words"),
        Case({"target": _sentences(rng, [4, 1, 2], 6)}, "three sentences with padding"),
        Case({"target": _sentences(rng, [3, 6], 7)}, "one of two fills its row"),
    ]


def _front(target, first, rest):
    """`first` in front of every row of `rest`."""
    return np.concatenate([np.full_like(target[:, :1], first), rest], axis=1)


def _test_no_future(attempt, case, rng):
    """Position t of the input must not depend on the target from t on."""
    target = case.inputs["target"]
    T = target.shape[1]
    t = int(rng.integers(T))
    other = target.copy()
    other[:, t:] = rng.integers(3, WORDS, other[:, t:].shape)
    before, after = attempt.result["decoder_input"], attempt(target=other)["decoder_input"]
    if not np.array_equal(before[:, : t + 1], after[:, : t + 1]):
        raise Mismatch(
            f"The target was changed from position {t} on, and what the decoder reads up to position {t} "
            "changed, too: it sees a word before it has written it.",
            expected=before[:, : t + 1],
            got=after[:, : t + 1],
        )


SHIFT_TARGETS = Exercise(
    name="shift_targets",
    lesson=LESSON,
    title="What the decoder may read",
    kind="write",
    minutes=6,
    difficulty=1,
    points=2,
    reference=shift_by_loops,
    cases=shift_cases,
    outputs={"decoder_input": "B T"},
    properties=[Property("no word is seen before it is written", _test_no_future)],
    misconceptions=[
        Misconception(
            "not shifted",
            "Your decoder reads at each position the very word that it is to write there. It will learn to copy, "
            "its accuracy will be near perfect, and that proves nothing.",
            lambda target: target.copy(),
        ),
        Misconception(
            "shifted the wrong way",
            "You shifted to the left: the decoder reads the *next* word before it writes this one. "
            "It may read what stands *before*.",
            lambda target: np.concatenate([target[:, 1:], np.zeros_like(target[:, :1])], axis=1),
        ),
        Misconception(
            "rolled",
            "`np.roll` puts the row's last token in front. The first thing to read is START.",
            lambda target: np.roll(target, 1, axis=1),
        ),
        Misconception(
            "START written over the first word",
            "You put START in the place of the first word and left the others where they were. "
            "From position 1 on the decoder still sees its answer.",
            lambda target: _front(target, START, target[:, 1:]),
        ),
        Misconception(
            "one column too many",
            "You put START in front and took nothing off the end. Input and target must have the same length.",
            lambda target: _front(target, START, target),
        ),
        Misconception(
            "padding in front",
            "Your rows begin with 0, which is padding. They begin with START.",
            lambda target: _front(target, PAD, target[:, :-1]),
        ),
        Misconception(
            "END in front",
            "Your rows begin with END. They begin with START.",
            lambda target: _front(target, END, target[:, :-1]),
        ),
        Misconception(
            "shifted along the batch",
            "You shifted the rows: each sentence now reads another sentence. The positions are axis 1.",
            lambda target: np.concatenate([np.full_like(target[:1], START), target[:-1]]),
        ),
    ],
    own=["attnfuse.data.number_words.shift_targets"],
    reread="section 2",
    hint="A column of START, `np.full((B, 1), START)`, then all columns of the target but the last: "
    "`np.concatenate` along axis 1.",
)

# -- exact_match (a bug) --------------------------------------------------------------------------


def exact_by_loops(predicted, target):
    B, T = target.shape
    right = np.ones(B, dtype=bool)
    for b in range(B):
        for t in range(T):
            if target[b, t] != PAD and predicted[b, t] != target[b, t]:
                right[b] = False
    return right


def _other_word(rng, word):
    return 3 + (word - 3 + rng.integers(1, WORDS - 3)) % (WORDS - 3)


def exact_cases(rng):
    def case(T, note):
        """A row for each way to be right or wrong, in random order."""
        B = 8
        lengths = rng.integers(2, T - 2, B)
        target = _sentences(rng, lengths, T)
        behind = rng.integers(3, WORDS, target.shape)
        predicted = np.where(target == PAD, behind, target).astype(np.int32)
        predicted[1] = target[1]  # right, padding and all
        predicted[2, 0] = _other_word(rng, target[2, 0])
        predicted[3, lengths[3]] = rng.integers(3, WORDS)  # writes on instead of END
        predicted[4] = target[4]
        predicted[4, lengths[4] - 1] = PAD  # as if padding were a word
        predicted[5, lengths[5] - 1 :] = END  # stops one word early
        predicted[6] = rng.integers(3, WORDS, T)
        predicted[7, lengths[7] :] = PAD  # every word right, and no END
        order = rng.permutation(B)
        return Case({"predicted": predicted[order], "target": target[order]}, note)

    first = _sentences(rng, [1], 3)
    behind = np.array([[*first[0, :2], rng.integers(3, WORDS)]], dtype=np.int32)
    full = _sentences(rng, [4, 4], 5)
    wrong = full.copy()
    wrong[1, 3] = _other_word(rng, full[1, 3])
    return [
        Case(
            {"predicted": behind, "target": first}, "the right word, END, and something behind it"
        ),
        Case({"predicted": wrong, "target": full}, "no padding, one wrong word"),
        case(6, "eight sentences"),
        case(9, "eight sentences with T = 9"),
    ]


def _ends_early(predicted, target):
    return ((predicted == target) | (target == PAD) | (target == END)).all(axis=1)


def _to_its_own_end(predicted, target):
    """Compare up to the prediction's END, that one left out."""
    cuts = [list(p).index(END) if END in p else len(p) for p in predicted]
    rows = zip(predicted, target, cuts, strict=True)
    return np.array([(p[:n] == t[:n]).all() for p, t, n in rows])


def _same_text(predicted, target):
    """Compare what is left when END, padding and all behind them are taken away."""

    def text(row):
        return row[: next((i for i, x in enumerate(row) if x in (END, PAD)), len(row))].tolist()

    return np.array([text(p) == text(t) for p, t in zip(predicted, target, strict=True)])


def _share(predicted, target):
    counts = target != PAD
    return ((predicted == target) & counts).sum(axis=1) / counts.sum(axis=1)


def _test_behind_end(attempt, case, rng):
    predicted, target = case.inputs["predicted"].copy(), case.inputs["target"]
    behind = target == PAD
    predicted[behind] = rng.integers(0, WORDS, behind.sum())
    if not np.array_equal(
        attempt(predicted=predicted, target=target)["right"], attempt.result["right"]
    ):
        raise Mismatch("What is predicted behind END was changed, and your judgement with it.")


EXACT_MATCH = Exercise(
    name="exact_match",
    lesson=LESSON,
    title="Right, and counted wrong",
    kind="bug",
    minutes=8,
    difficulty=1,
    points=2,
    reference=exact_by_loops,
    cases=exact_cases,
    outputs={"right": "B"},
    properties=[Property("what stands behind END does not count", _test_behind_end)],
    misconceptions=[
        Misconception(
            "padding counts",
            "This still behaves as the broken one does: a row is wrong as soon as something else than 0 stands "
            "behind END. Nobody asked the model for padding; leave those positions out.",
            lambda predicted, target: (predicted == target).all(axis=1),
        ),
        Misconception(
            "padding of the prediction",
            "You leave out the positions where the *prediction* holds 0. So a model that writes 0 for a hard word "
            "is right. What has to be there is for the target to say.",
            lambda predicted, target: ((predicted == target) | (predicted == PAD)).all(axis=1),
        ),
        Misconception(
            "padding on either side",
            "You leave out positions where target *or* prediction holds 0. A model that writes 0 for a hard word is "
            "then right. The target alone says what counts.",
            lambda predicted, target: (
                (predicted == target) | (predicted == PAD) | (target == PAD)
            ).all(axis=1),
        ),
        Misconception(
            "END does not count",
            "You leave out END as well. Then a model that writes three words too many is right. "
            "To stop is part of the answer.",
            _ends_early,
        ),
        Misconception(
            "and instead of or",
            "You ask that every position agrees *and* is no padding. So a row with padding can never be right. A "
            "position is fine if it agrees *or* is padding.",
            lambda predicted, target: ((predicted == target) & (target != PAD)).all(axis=1),
        ),
        Misconception(
            "to the prediction's END",
            "You compare up to the *prediction's* END. A model that stops too early is then right as far as it got. "
            "The target says where the sentence ends.",
            _to_its_own_end,
        ),
        Misconception(
            "the texts agree",
            "You compare texts from which END and padding have been cut off. A model that writes padding instead of END "
            "is then right. END is part of the answer.",
            _same_text,
        ),
        Misconception(
            "share of right words",
            "You return the share of right words. Exact match asks for every word of a row: True or False.",
            _share,
        ),
        Misconception(
            "over the batch",
            "You ask whether a *position* is right in all rows (axis 0). Ask whether a *row* is right at all its "
            "positions: axis 1.",
            lambda predicted, target: ((predicted == target) | (target == PAD)).all(axis=0),
        ),
        Misconception(
            "one word is enough",
            "`any` is True as soon as one position fits. Every position has to.",
            lambda predicted, target: ((predicted == target) & (target != PAD)).any(axis=1),
        ),
        Misconception(
            "averaged",
            "You return one number. Return a bool for each row; its mean is the exact match of all.",
            lambda predicted, target: ((predicted == target) | (target == PAD)).all(axis=1).mean(),
        ),
    ],
    own=["attnfuse.data.number_words.exact_match"],
    reread="section 4",
    hint="A position is fine if prediction and target agree, *or* if the target is padding. "
    "A row is right if all of its positions are fine.",
)

# -- decoder_asks ---------------------------------------------------------------------------------


def decoder_asks_by_loops(
    decoder_states, encoder_states, is_letter, query_matrix, key_matrix, vector
):
    q, k, v = (np.asarray(x, dtype=float) for x in (query_matrix, key_matrix, vector))
    B, T, _ = decoder_states.shape
    S, D = encoder_states.shape[1:]
    weights, context = np.zeros((B, T, S)), np.zeros((B, T, D))
    for b in range(B):
        for t in range(T):
            letters = [s for s in range(S) if is_letter[b, s]]
            asked = decoder_states[b, t] @ q
            scores = {s: float(v @ np.tanh(asked + encoder_states[b, s] @ k)) for s in letters}
            total = sum(math.exp(score) for score in scores.values())
            for s in letters:
                weights[b, t, s] = math.exp(scores[s]) / total
                context[b, t] += weights[b, t, s] * encoder_states[b, s]
    return context, weights


def decoder_asks_cases(rng):
    def case(B, T, S, wide, D, units, lengths, note):
        shapes = {
            "decoder_states": (B, T, wide),
            "encoder_states": (B, S, D),
            "query_matrix": (wide, units),
            "key_matrix": (D, units),
            "vector": (units,),
        }
        inputs = {
            name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()
        }
        inputs["is_letter"] = np.arange(S) < np.array(lengths)[:, None]
        return Case(inputs, note)

    return [
        case(1, 1, 2, 3, 4, 5, [2], "one word, two letters"),
        case(1, 3, 4, 2, 5, 6, [4], "three words, no padding"),
        case(3, 4, 6, 5, 2, 7, [6, 1, 3], "three sources with padding"),
    ]


def run_decoder_asks(
    candidate, decoder_states, encoder_states, is_letter, query_matrix, key_matrix, vector
):
    """Build the learner's layer, give it the weights, call it. A plain function gets everything."""
    inputs = (decoder_states, encoder_states, is_letter)
    weights = {"query_matrix": query_matrix, "key_matrix": key_matrix, "vector": vector}
    if not isinstance(candidate, type) and not hasattr(candidate, "build"):
        return candidate(*inputs, **weights)
    if not isinstance(candidate, type):
        raise Mismatch("check needs the class itself, DecoderAsks, not a layer made from it.")
    layer = candidate(units=len(vector))
    layer(*inputs)  # builds it
    for name, value in weights.items():
        if not hasattr(layer, name):
            raise Mismatch(f"The layer has no weight `{name}`. Keep `build` as it was given.")
        getattr(layer, name).assign(value)
    import tensorflow as tf

    with tf.GradientTape() as tape:
        outputs = layer(*inputs)
    if not isinstance(outputs, tuple | list):
        return outputs
    arrays = tuple(None if x is None else np.asarray(x) for x in outputs)
    if arrays and arrays[0] is not None and arrays[0].dtype.kind == "f":
        context = tf.convert_to_tensor(outputs[0])
        if tape.gradient(context, layer.query_matrix.value) is None:
            raise Mismatch(
                "No gradient gets from `context` back to `query_matrix`, so nothing can be learnt: the matrix is "
                "not used, or NumPy stands in between. Write it with `ops`."
            )
    return arrays


def _masked(scores, mask, axis=-1):
    shifted = np.where(mask, scores, -np.inf)
    powers = np.exp(shifted - shifted.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def _additive(query, key, squash=np.tanh):
    """A function of the weights that scores every query against every key."""

    def scores(query_matrix, key_matrix, vector):
        hidden = (query @ query_matrix)[:, :, None] + (key @ key_matrix)[:, None]
        return squash(hidden) @ vector

    return scores


def _decoder(rule, squash=np.tanh):
    """Attention asked by the decoder; `rule(scores, is_letter)` makes the weights."""

    def wrong(decoder_states, encoder_states, is_letter, **matrices):
        scores = _additive(decoder_states, encoder_states, squash)(**matrices)
        weights = rule(scores, np.broadcast_to(is_letter[:, None], scores.shape))
        return weights @ encoder_states, weights

    return wrong


def _encoder_asks(decoder_states, encoder_states, is_letter, query_matrix, key_matrix, vector):
    """Query and key change places (each with its own matrix, so that the shapes fit)."""
    weights = _masked(
        _additive(encoder_states, decoder_states)(key_matrix, query_matrix, vector), True
    )
    return weights @ decoder_states, weights


def _last_state_asks(decoder_states, encoder_states, is_letter, **matrices):
    same_for_all = np.repeat(decoder_states[:, -1:], decoder_states.shape[1], axis=1)
    return _decoder(_masked)(same_for_all, encoder_states, is_letter, **matrices)


def _closed_with(value):
    def rule(scores, mask):
        return _masked(np.where(mask, scores, value), True)

    return rule


def _scored_by(score):
    """Attention asked by the decoder; `score(asked, offered, vector)` makes the scores `(B, T, S)`."""

    def wrong(decoder_states, encoder_states, is_letter, query_matrix, key_matrix, vector):
        scores = score(decoder_states @ query_matrix, encoder_states @ key_matrix, vector)
        weights = _masked(scores, np.broadcast_to(is_letter[:, None], scores.shape))
        return weights @ encoder_states, weights

    return wrong


def _mixes_projected_keys(decoder_states, encoder_states, is_letter, **matrices):
    right = _decoder(_masked)(decoder_states, encoder_states, is_letter, **matrices)[1]
    return right @ (encoder_states @ matrices["key_matrix"]), right


def _mask_without_axis(decoder_states, encoder_states, is_letter, **matrices):
    """The mask `(B, S)` meets scores `(B, T, S)`: that works by chance, or fails as in TensorFlow."""
    B, S = is_letter.shape
    T = decoder_states.shape[1]
    if B not in (1, T):
        with quiet():
            import tensorflow as tf

        raise tf.errors.InvalidArgumentError(None, None, f"({B}, {S}) against ({B}, {T}, {S})")
    return _decoder(lambda scores, _: _masked(scores, np.broadcast_to(is_letter, scores.shape)))(
        decoder_states, encoder_states, is_letter, **matrices
    )


def _test_each_word_asks(attempt, case, rng):
    states = case.inputs["decoder_states"].copy()
    if states.shape[1] < 2:
        return
    states[:, -1] += 1
    before = attempt.result["weights"]
    after = attempt(**{**case.inputs, "decoder_states": states})["weights"]
    if not np.allclose(before[:, :-1], after[:, :-1], atol=1e-5):
        raise Mismatch(
            "Only the last decoder state was changed, and the weights of other words changed.",
            expected=before[:, :-1],
            got=after[:, :-1],
        )


def _test_padding_closed(attempt, case, rng):
    inputs = dict(case.inputs)
    padded = ~inputs["is_letter"]
    if not padded.any():
        return
    inputs["encoder_states"] = inputs["encoder_states"].copy()
    inputs["encoder_states"][padded] = 1e3
    before, after = attempt.result["context"], attempt(**inputs)["context"]
    if not np.allclose(before, after, atol=1e-4):
        raise Mismatch(
            "The states of the padding were set to 1,000, and the context changed.",
            expected=before,
            got=after,
        )


DECODER_ASKS = Exercise(
    name="decoder_asks",
    lesson=LESSON,
    title="The decoder asks",
    kind="finish",
    minutes=12,
    difficulty=2,
    points=2,
    reference=decoder_asks_by_loops,
    cases=decoder_asks_cases,
    outputs={"context": "B T D", "weights": "B T S"},
    run=run_decoder_asks,
    properties=[
        properties.finite(),
        properties.not_negative(),
        properties.rows_sum_to_one(),
        Property("each word asks for itself", _test_each_word_asks),
        Property("padding is closed", _test_padding_closed),
    ],
    misconceptions=[
        Misconception(
            "the encoder asks",
            "Your queries are the encoder's states: each *letter* asks which words it fits. It is the *decoder* that "
            "wants something, for every word it writes: its states are the queries, the encoder's the keys and "
            "values.",
            _encoder_asks,
        ),
        Misconception(
            "one query for all words",
            "You ask with the decoder's last state for every word. Each word has its own state and asks for itself.",
            _last_state_asks,
        ),
        Misconception(
            "softmax over the words",
            "Your weights sum to 1 over the words (axis 1). Each *word* spreads one unit over the *letters*: axis -1.",
            _decoder(lambda scores, mask: _masked(scores, True, axis=1) * mask),
        ),
        Misconception(
            "softmax over the words, padding open",
            "Your weights sum to 1 over the words (axis 1). Each *word* spreads one unit over the *letters*: axis -1. "
            "And `is_letter` is not used yet.",
            _decoder(lambda scores, mask: _masked(scores, True, axis=1)),
        ),
        Misconception(
            "padding attends",
            "You do not use `is_letter`: part of the attention goes to padding.",
            _decoder(lambda scores, mask: _masked(scores, True)),
        ),
        Misconception(
            "mask inverted",
            "Your mask works the wrong way round: `is_letter` is True where attention *may* go.",
            _decoder(lambda scores, mask: _closed_with(-1e9)(scores, ~mask)),
        ),
        Misconception(
            "mask after the softmax",
            "You set the padding's weights to zero after the softmax, so the rest of the row sums to less than 1.",
            _decoder(lambda scores, mask: _masked(scores, True) * mask),
        ),
        Misconception(
            "scores multiplied by the mask",
            "You multiply scores by the mask: padding gets the score 0, and e⁰ is 1, not nothing.",
            _decoder(lambda scores, mask: _masked(scores * mask, True)),
        ),
        Misconception(
            "no tanh",
            "Without the tanh a score is v·Wq + v·Uk. The first part is the same for every letter, and softmax "
            "cancels it: the question has no say.",
            _decoder(_masked, squash=lambda x: x),
        ),
        Misconception(
            "dot product",
            "That is a *dot product* of Wq and Uk. The additive score adds them, bends the sum by tanh and multiplies "
            "by v.",
            _scored_by(lambda q, k, v: q @ k.swapaxes(1, 2)),
        ),
        Misconception(
            "scaled dot product",
            "That is lesson 02's scaled *dot product* of Wq and Uk. The additive score adds them, bends the sum by "
            "tanh and multiplies by v.",
            _scored_by(lambda q, k, v: q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1])),
        ),
        Misconception(
            "v left out",
            "You add up the hidden numbers as they are. Each counts as much as v says: multiply by `self.vector` first.",
            _scored_by(lambda q, k, v: np.tanh(q[:, :, None] + k[:, None]).sum(axis=-1)),
        ),
        Misconception(
            "mixes what it scored",
            "You mix Uk, which served for the score. The values are the encoder's states as they are.",
            _mixes_projected_keys,
        ),
        Misconception(
            "the mask lacks an axis",
            "`is_letter` is (B, S) and the scores are (B, T, S): lined up from the right, B meets T. Give the mask an "
            "axis for the words: `is_letter[:, None]`.",
            _mask_without_axis,
        ),
    ],
    own=["attnfuse.layers.AdditiveAttention"],
    reread="section 5",
    hint="Multiply states and matrices first: (B, T, units) and (B, S, units). To meet each other they need "
    "an axis more: `[:, :, None]` and `[:, None]` give (B, T, S, units). After tanh, `ops.sum(… * self.vector, "
    "axis=-1)` leaves (B, T, S). Close padding with `ops.where(is_letter[:, None], scores, -1e9)`.",
)

# -- shuffled_source (a prediction) ---------------------------------------------------------------


def _context_for(states, query):
    scores = query @ states.T
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ states


def _recurrent(x, again):
    state, states = np.zeros(x.shape[1]), []
    for row in x:
        state = np.tanh(row + again @ state)
        states.append(state)
    return np.stack(states)


def shuffling_changes_context():
    """Four small random models read a word and the word shuffled; does the decoder get another context?"""
    rng = np.random.default_rng(0)
    letters, query = rng.standard_normal((6, 4)), rng.standard_normal((3, 4))
    places, again = rng.standard_normal((6, 4)), rng.standard_normal((4, 4))
    models = [
        lambda x: _context_for(x, query),
        lambda x: _context_for(x, _recurrent(query, again)),
        lambda x: _context_for(_recurrent(x, again), query),
        lambda x: _context_for(x + places, query),
    ]
    order = np.array([3, 0, 5, 1, 4, 2])
    return tuple(not np.allclose(model(letters), model(letters[order])) for model in models)


SHUFFLED_SOURCE = Exercise(
    name="shuffled_source",
    lesson=LESSON,
    title="Shuffled letters",
    kind="predict",
    minutes=8,
    difficulty=3,
    points=2,
    reference=shuffling_changes_context,
    value=True,
    misconceptions=[
        Misconception(
            "attention knows order",
            "You expect attention to notice the order. Its context is a sum over letters, and a sum does not know in "
            "which order it was added up. Order gets in only where the *encoder's* states depend on it.",
            (True, True, True, True),
        ),
        Misconception(
            "any recurrence helps",
            "In the second model the GRU reads *English* words. It knows their order; the German letters it only sees "
            "through the context, which is a sum.",
            (False, True, True, True),
        ),
        Misconception(
            "order needs recurrence",
            "In the fourth model the same letter has another vector at another place. No recurrence is needed for that.",
            (False, False, True, False),
        ),
        Misconception(
            "recurrence only, anywhere",
            "The GRU of the second model reads English words, not letters; and in the fourth the same letter has "
            "another vector at another place.",
            (False, True, True, False),
        ),
        Misconception(
            "a sum never sees order",
            "The sum does not see the order, but the states that are added up may: a GRU's state says what came before "
            "the letter, a position says where it stands.",
            (False, False, False, False),
        ),
        Misconception(
            "places, but no recurrence",
            "The GRU of the third model reads the German letters. Its state at a letter says what came before it, and "
            "that has been shuffled.",
            (False, False, False, True),
        ),
        Misconception(
            "the GRUs mixed up",
            "The second model's GRU reads the English words, which stay. The third one's reads the German letters, "
            "which are shuffled.",
            (False, True, False, True),
        ),
        Misconception(
            "the other way round",
            "You answered which models stay the same. Asked was where the context *changes*.",
            (True, True, False, False),
        ),
    ],
    reread="section 8",
    hint="context = Σ weight · state over the letters. First ask whether each letter's *state* changes when the "
    "letters are shuffled, then whether the sum does.",
)

# -- greedy_decode (stretch) ----------------------------------------------------------------------


def greedy_by_loops(step, state, longest):
    written, token = [], START
    for _ in range(longest):
        logits, state = step(token, state)
        token = max(range(len(logits)), key=lambda word: logits[word])
        if token == END:
            break
        written.append(token)
    return written


MOST_STEPS = 200  # after so many, a loop of the learner's is stopped


def _greedy(
    first=START, reset=False, own_words=True, keep_end=False, stop=True, less=0, front=False
):
    """Greedy decoding with a slip; `less=None` knows no longest."""

    def wrong(step, state, longest):
        begin, token, written = state, first, [START] if front else []
        for _ in range(longest - less if less is not None else 10 * MOST_STEPS):
            logits, state = step(token, begin if reset else state)
            best = int(np.argmax(logits))
            if stop and best == END:
                if keep_end:
                    written.append(best)
                break
            written.append(best)
            token = best if own_words else first
        return written

    return wrong


GREEDY_SLIPS = {
    "state reset": _greedy(reset=True),
    "START every time": _greedy(own_words=False),
    "END written": _greedy(keep_end=True),
    "never stops": _greedy(stop=False),
    "starts with END": _greedy(first=END),
    "one word too few": _greedy(less=1),
    "one word too many": _greedy(less=-1),
    "longest ignored": _greedy(less=None),
    "START written": _greedy(front=True),
}


def _writer(rng, words=9, width=5):
    """A random recurrent `step` and the state to begin with."""
    read = rng.standard_normal((words, width)) * 1.5
    again = rng.standard_normal((width, width))
    choose = rng.standard_normal((words, width))
    choose[[PAD, START]] = 0
    begin, steps = rng.standard_normal(width), 0

    def step(token, state):
        nonlocal steps
        steps = 1 if token == START and np.array_equal(state, begin) else steps + 1
        if steps > MOST_STEPS:
            raise RuntimeError(f"{MOST_STEPS} steps, and your loop goes on")
        state = np.tanh(read[int(token)] + again @ np.asarray(state))
        logits = choose @ state
        logits[[PAD, START]] = -9
        return logits, state

    return step, begin


def _told_apart(inputs):
    """Every slip writes something else, and no two the same (but for those that need END or a limit)."""
    texts = [tuple(greedy_by_loops(**inputs))]
    texts += [
        tuple(GREEDY_SLIPS[n](**inputs))
        for n in ("state reset", "START every time", "starts with END")
    ]
    return len(set(texts)) == len(texts)


def greedy_cases(rng):
    def case(length, longest, note, told_apart=True):
        while True:
            step, state = _writer(rng)
            inputs = {"step": step, "state": state, "longest": longest}
            if len(greedy_by_loops(**inputs)) != length:
                continue
            further = len(greedy_by_loops(**{**inputs, "longest": longest + 2}))
            if further == (length if length < longest else longest + 2) and (
                not told_apart or _told_apart(inputs)
            ):
                return Case(inputs, note)

    return [
        case(0, 4, "END comes at once: nothing is written", told_apart=False),
        case(3, 6, "three words, then END"),
        case(5, 8, "five words, then END"),
        case(4, 4, "no END within the four words allowed"),
    ]


GREEDY_DECODE = Exercise(
    name="greedy_decode",
    lesson=LESSON,
    title="Write by yourself",
    kind="stretch",
    minutes=12,
    difficulty=2,
    points=0,
    reference=greedy_by_loops,
    cases=greedy_cases,
    outputs={"written": "T"},
    misconceptions=[
        Misconception(
            "state reset",
            "You hand the *first* state to every step. The state carries what has been written so far: take the one "
            "that `step` returns and hand it back.",
            GREEDY_SLIPS["state reset"],
        ),
        Misconception(
            "START every time",
            "The decoder reads START at every step. After the first it must read the word that it has just written.",
            GREEDY_SLIPS["START every time"],
        ),
        Misconception(
            "END written",
            "END is in your list. It is the sign to stop and no word.",
            GREEDY_SLIPS["END written"],
        ),
        Misconception(
            "never stops",
            "You write on behind END.",
            GREEDY_SLIPS["never stops"],
        ),
        Misconception(
            "starts with END",
            "The first token to read is START, not END.",
            GREEDY_SLIPS["starts with END"],
        ),
        Misconception(
            "one word too few",
            "`longest` counts written words, and START is none of them: you stop one word early.",
            GREEDY_SLIPS["one word too few"],
        ),
        Misconception(
            "one word too many",
            "You write one word more than `longest` allows.",
            GREEDY_SLIPS["one word too many"],
        ),
        Misconception(
            "longest ignored",
            "Your loop waits for END, and a model may never write it. Stop after `longest` words.",
            GREEDY_SLIPS["longest ignored"],
        ),
        Misconception(
            "START written",
            "START is in your list. It is read, never written.",
            GREEDY_SLIPS["START written"],
        ),
    ],
    own=["attnfuse.models.greedy_decode"],
    reread="section 7",
    hint="A loop of at most `longest` rounds: `logits, state = step(token, state)`, the new token is the argmax of "
    "the logits, END leaves the loop.",
)

EXERCISES = [SHIFT_TARGETS, EXACT_MATCH, DECODER_ASKS, SHUFFLED_SOURCE, GREEDY_DECODE]

# -- questions ------------------------------------------------------------------------------------


def _right_of_softmax_over_two():
    """Scores 0, 0 and a padded third: which weight does the first key get?"""
    options = [1 / 3, 1 / 2, 0.0]
    scores = np.array([0.0, 0.0, -np.inf])
    weights = np.exp(scores) / np.exp(scores).sum()
    return int(np.argmin(np.abs(np.array(options) - weights[0])))


def _effect_of_a_longer_key():
    """Options: a gains, b gains, nothing changes. Key b is doubled; the query is (1, 1)."""
    query = np.ones(2)
    before, after = (np.exp(np.array([[1, 0], [0, long]]) @ query) for long in (1.0, 2.0))
    a, b = after / after.sum() - before / before.sum()
    return 0 if a > 1e-9 else 1 if b > 1e-9 else 2


def _shape_of_context():
    B, T, S, V = 2, 3, 5, 7
    context = np.zeros((B, T, S)) @ np.zeros((B, S, V))
    return [(B, T, S), (B, T, V), (B, S, V)].index(context.shape)


QUIZZES = [
    Quiz(
        id="06-padding",
        question="Three keys have the same score; the third is padding, and a mask closes it before the softmax. "
        "Which weight does the first key get?",
        options=[
            Option(
                "1/3",
                "That would leave the row with 2/3: so it is when a mask comes *after* the softmax.",
            ),
            Option("1/2", "The two open keys share the whole unit."),
            Option("0", "Only the closed key gets 0."),
        ],
        answer=_right_of_softmax_over_two,
    ),
    Quiz(
        id="06-shape",
        question="3 queries meet 5 keys of width 4, whose values are 7 wide, in a batch of 2. "
        "Which shape has the context?",
        options=[
            Option("(2, 3, 5)", "These are the weights: one for each pair of query and key."),
            Option("(2, 3, 7)", "One row per *query*, as wide as a *value*."),
            Option(
                "(2, 5, 7)", "These are the values. There is one context per query, not per key."
            ),
        ],
        answer=_shape_of_context,
    ),
    Quiz(
        id="06-long-key",
        question="Two keys score the same by dot product. Now the second is made twice as long, in the same "
        "direction; its score was positive. Who gains attention?",
        options=[
            Option("The first", "Its score stays; the other's has doubled."),
            Option(
                "The second",
                "Its score doubles. A dot product rewards long keys, near or not: lesson 02's trap.",
            ),
            Option("Nobody", "So it would be with keys brought to unit length first."),
        ],
        answer=_effect_of_a_longer_key,
    ),
]
