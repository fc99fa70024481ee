"""Write word after word, each the best one."""

import numpy as np

from attnfuse.checking import Case, Exercise, properties
from attnfuse.driving import Handle
from attnfuse.exercises.lesson_06.shift_targets import END, PAD, START

MOST_STEPS = 200  # after so many, a loop of the learner's is stopped


def by_loops(step, state, longest):
    written, token = [], START
    for _ in range(longest):
        logits, state = step(token, state)
        token = max(range(len(logits)), key=lambda word: logits[word])
        if token == END:
            break
        written.append(token)
    return written


def sketch(
    step,
    state,
    longest,
    *,
    first=START,
    carry=lambda begin, state: state,
    pick=np.argmax,
    stop=END,
    keep_end=False,
    reads=lambda word: word,
    more=0,
    warm=False,
    write=lambda best, logits: best,
    front=(),
    back=lambda written, ended: written,
):
    """Greedy decoding with its choices; `more=None` knows no longest."""
    state = step(START, state)[1] if warm else state
    begin, token, written, ended = state, first, [], False
    for _ in range(10 * MOST_STEPS if more is None else longest + more):
        logits, state = step(token, carry(begin, state))
        best = int(pick(logits))
        ended = best == stop
        if ended and not keep_end:
            break
        written.append(write(best, logits))
        if ended:
            break
        token = reads(best)
    return [*front, *back(written, ended)]


def writer(rng, words=9, width=5):
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
        logits[[PAD, START]] = logits.min() - 0.1  # never the best, nor the farthest from 0
        return logits, state

    return step, begin


def told_apart(inputs):
    """Every slip in what is read writes something else, and no two the same."""
    slips = [
        {},
        {"carry": lambda begin, state: begin},
        {"reads": lambda word: START},
        {"first": END},
        {"first": PAD},
        {"warm": True},
    ]
    texts = [tuple(sketch(**inputs, **slip)) for slip in slips]
    return len(set(texts)) == len(texts)


def cases(rng):
    def case(length, longest, note, apart=True):
        while True:
            step, state = writer(rng)
            inputs = {"step": step, "state": state, "longest": longest}
            if len(by_loops(**inputs)) != length:
                continue
            further = len(by_loops(**{**inputs, "longest": longest + 2}))
            if further == (length if length < longest else longest + 2) and (
                not apart or told_apart(inputs)
            ):
                return Case({**inputs, "step": Handle("a small random model", step)}, note)

    return [
        case(0, 4, "END comes at once: nothing is written", apart=False),
        case(3, 6, "three words, then END"),
        case(5, 8, "five words, then END"),
        case(4, 4, "no END within the four words allowed"),
    ]


GREEDY_DECODE = Exercise(
    name="greedy_decode",
    lesson="06_seq2seq",
    title="Write by yourself",
    kind="stretch",
    minutes=12,
    difficulty=2,
    points=0,
    reference=by_loops,
    cases=cases,
    outputs={"written": "T"},
    properties=[properties.whole_numbers("written")],
    sketch=sketch,
    says="""
    state reset | You hand the *first* state to every step. The state carries what has been written so far: take the one that `step` returns and hand it back.
    START every time | The decoder reads START at every step. After the first it must read the word that it has just written.
    END written | END is in your list. It is the sign to stop and no word.
    never stops | You write on behind END: the sign to stop.
    starts with END | The first token to read is START, not END.
    starts with padding | The first token to read is START, not padding.
    one word too few | Where END does not come you return one word less than `longest` allows. It counts written words, and START is none of them.
    one word too many | You write one word more than `longest` allows.
    longest ignored | Your loop waits for END, and a model may never write it. Stop after `longest` words.
    START written | START is in your list. It is read, never written.
    the lowest score | You take the word with the *lowest* score.
    scores written | You collect scores. Collect the words: the place of the highest score.
    the last word cut off | You cut off the last token, whether it is END or not.
    END filtered out | You write on behind END and strike END out afterwards. It is the sign to stop.
    read twice | START is read twice before the first word is written. Its state is then another one.
    nothing without END | You return nothing where END never came. What was written within `longest` counts.
    """,
    choices={
        "carry": {"state reset": lambda begin, state: begin},
        "reads": {"START every time": lambda word: START},
        "keep_end": {"END written": True},
        "stop": {"never stops": PAD, "END filtered out": PAD},
        "first": {"starts with END": END, "starts with padding": PAD},
        "more": {"one word too few": -1, "one word too many": 1, "longest ignored": None},
        "front": {"START written": (START,)},
        "warm": {"read twice": True},
        "pick": {"the lowest score": np.argmin},
        "write": {"scores written": lambda best, logits: logits[best]},
        "back": {
            "the last word cut off": lambda written, ended: written[:-1],
            "END filtered out": lambda written, ended: [word for word in written if word != END],
            "nothing without END": lambda written, ended: written if ended else [],
        },
    },
    own=["attnfuse.models.greedy_decode"],
    reread="section 7",
    hint="A loop of at most `longest` rounds: `logits, state = step(token, state)`, the new token is the argmax of the logits, END leaves the loop.",
)
