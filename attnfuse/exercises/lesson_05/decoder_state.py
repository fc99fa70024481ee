"""A decoder whose state goes into the attention, but never into the GRU."""

import math

import numpy as np

from attnfuse.checking import Case, Exercise, Mismatch, Property, properties
from attnfuse.driving import Raised, lesson_05
from attnfuse.exercises.common import draw, softmax
from attnfuse.exercises.lesson_05.shared import LESSON, floats


def by_loops(words, memory, summary, query_matrix, key_matrix, vector, **cell):
    words, memory, states = *floats(words, memory), np.asarray(summary, dtype=float)[:, None]
    for t in range(words.shape[1]):
        new = np.zeros(summary.shape)
        for b, state in enumerate(states[:, -1]):
            hidden = [np.tanh(state @ query_matrix + key @ key_matrix) for key in memory[b]]
            powers = [math.exp(h @ vector) for h in hidden]
            context = sum(p * key for p, key in zip(powers, memory[b], strict=True)) / sum(powers)
            new[b] = gru(np.concatenate([context, words[b, t]]), state, **cell)
        states = np.concatenate([states, new[:, None]], axis=1)
    return states[:, 1:], states[:, 1:]


def gru(x, state, kernel, recurrent, bias):
    """One step of Keras's GRU (reset after the product)."""
    ahead, back = x @ kernel + bias[0], state @ recurrent + bias[1]
    ahead, back = (np.split(part, 3, axis=-1) for part in (ahead, back))
    update, reset = (1 / (1 + np.exp(-ahead[i] - back[i])) for i in (0, 1))
    return update * state + (1 - update) * np.tanh(ahead[2] + reset * back[2])


def cases(rng):
    def case(B, T, S, D, W, units, note):
        shapes = {"words": (B, T, W), "memory": (B, S, D), "summary": (B, D)}
        shapes |= {"query_matrix": (D, units), "key_matrix": (D, units), "vector": (units,)}
        shapes |= {"kernel": (D + W, 3 * D), "recurrent": (D, 3 * D), "bias": (2, 3 * D)}
        return Case(draw(rng, np.float32, **shapes), note)

    return [
        case(1, 1, 2, 3, 4, 5, "one step"),
        case(2, 3, 1, 3, 2, 4, "a memory of one position"),
        case(3, 3, 4, 2, 5, 6, "three steps, three items"),
    ]


def sketch(
    words,
    memory,
    summary,
    *,
    ask=lambda state: state,
    read=lambda weights, memory: np.einsum("bs,bsd->bd", weights, memory),
    feed=lambda context, word, state: [context, word],
    begin=lambda state, context, memory: state,
    runs=1,
    after=lambda new, state: (new, new),
    form=lambda output, state: (output, state),
    query_matrix,
    key_matrix,
    vector,
    **cell,
):
    state, steps, keys = summary.astype(float), [], memory @ key_matrix
    for t in range(words.shape[1]):
        if state.ndim > 2:
            raise Raised("ValueError")  # the course's attention, of a state with an axis more
        hidden = np.tanh((ask(state) @ query_matrix)[:, None] + keys)
        context = read(softmax(hidden @ vector), memory)
        x = np.concatenate(feed(context, words[:, t], state), axis=-1)
        new = begin(state, context, memory)
        for _ in range(runs):
            new = gru(x, new, **cell)
        steps.append(form(*after(new, state)))
        if len(steps[-1]) < 2:
            return steps[-1]
        state = steps[-1][1]
    return [np.stack(parts, axis=1) for parts in zip(*steps, strict=True)]


def test_remembers(attempt, case, rng):
    """With a memory of one position whoever asks reads the same; the first word must have an effect later."""
    if case.inputs["memory"].shape[1] > 1:
        return
    words = case.inputs["words"] + np.eye(3, dtype=np.float32)[0][:, None]
    after = attempt(**case.inputs | {"words": words})["output"][:, -1]
    if np.allclose(attempt.result["output"][:, -1], after, atol=1e-6):
        raise Mismatch(
            "The first word was changed, and the last output did not notice: the state is lost between the steps."
        )


DECODER_STATE = Exercise(
    name="decoder_state",
    lesson=LESSON,
    title="The decoder that forgets",
    kind="bug",
    minutes=6,
    difficulty=2,
    points=0,
    reference=by_loops,
    cases=cases,
    outputs={"output": "B T D", "state": "B T D"},
    run=lesson_05.decoder_state,
    properties=[properties.finite(), Property("a word is remembered", test_remembers)],
    sketch=sketch,
    says="""
    from zeros | The GRU starts from zeros at every step, as in the broken one: the state never gets into it. It takes it as `initial_state`.
    context as state | You start the GRU from the context. (So did one who reported this bug.) The context is what is read; where the decoder stands is its *state*.
    the memory's last | You start the GRU from the memory's last position at every step. It is the decoder's own state that goes on.
    the memory's first | You start the GRU from the memory's first position at every step. It is the decoder's own state that goes on.
    the memory's mean | You start the GRU from the mean of the memory at every step. It is the decoder's own state that goes on.
    state and context added | You start the GRU from state *plus* context. The context is part of its input already; it starts from the state.
    tanh of the state | You bend the state before the GRU starts from it. It takes the state as it is.
    one state for all | All items start from the mean of the batch's states. Each has its own.
    the first item's state | All items start from the first item's state. Each has its own.
    two runs | The GRU runs twice over the same word, the second time from where the first ended. One step is one run.
    zeros ask | The attention is asked with zeros, not with the state.
    the memory's mean read | The context is the mean of the memory: all weights are even. Let the state ask: `attend(state[:, None], memory)`.
    the memory's last read | The context is the memory's last position. Let the state ask: `attend(state[:, None], memory)`.
    word before context | The GRU reads the word first. Its weights are for context, then word.
    word left out | The word got lost: the GRU reads zeros for it. It reads context *and* word.
    context left out | The context got lost: the GRU reads zeros for it. It reads context *and* word.
    state read | The GRU reads the state in the context's place. It reads context and word, and *starts* from the state: `initial_state`.
    old state handed on | You hand back the state that came in. Hand back the GRU's new one.
    old state put out | Your output is the state that came in. It is what the GRU makes of it.
    old state added | You add the old state to what the GRU returns. The GRU mixes old and new by itself, once it has the old: `initial_state`.
    old state added to the new | You add the old state to the new one. The GRU mixes old and new by itself, once it has the old: `initial_state`.
    old and new averaged | You average the old state and the new one. The GRU mixes old and new by itself, once it has the old: `initial_state`.
    zeros handed on | The state you hand back is zeros. Hand back the GRU's new one.
    axis of positions kept | Your output still has the axis of the one word, (B, 1, D): take `[:, 0]`.
    state with an axis more | Your second thing has the axis of the one word, (B, 1, D): that is the GRU's output. Return `output[:, 0]`, then the state.
    one thing | A step returns two things, output and state.
    """,
    choices={
        "begin": {
            "from zeros": lambda state, context, memory: 0 * state,
            "context as state": lambda state, context, memory: context,
            "the memory's last": lambda state, context, memory: memory[:, -1],
            "the memory's first": lambda state, context, memory: memory[:, 0],
            "the memory's mean": lambda state, context, memory: memory.mean(axis=1),
            "state and context added": lambda state, context, memory: state + context,
            "tanh of the state": lambda state, context, memory: np.tanh(state),
            "one state for all": lambda state, context, memory: 0 * state + state.mean(axis=0),
            "the first item's state": lambda state, context, memory: 0 * state + state[0],
        },
        "runs": {"two runs": 2},
        "ask": {"zeros ask": np.zeros_like},
        "read": {
            "the memory's mean read": lambda weights, memory: memory.mean(axis=1),
            "the memory's last read": lambda weights, memory: memory[:, -1],
        },
        "feed": {
            "word before context": lambda context, word, state: [word, context],
            "word left out": lambda context, word, state: [context, 0 * word],
            "context left out": lambda context, word, state: [0 * context, word],
            "state read": lambda context, word, state: [state, word],
        },
        "after": {
            "old state handed on": lambda new, state: (new, state),
            "old state put out": lambda new, state: (state, new),
            "old state added": lambda new, state: (new + state, new + state),
            "old state added to the new": lambda new, state: (new, new + state),
            "old and new averaged": lambda new, state: (new, (new + state) / 2),
            "zeros handed on": lambda new, state: (new, np.zeros_like(new)),
        },
        "form": {
            "axis of positions kept": lambda output, state: (output[:, None], state),
            "state with an axis more": lambda output, state: (output, state[:, None]),
            "one thing": lambda output, state: [output],
        },
    },
    reread="section 8",
    hint="Which of the arguments does the GRU never see? `gru(x, initial_state=…)`.",
    rtol=1e-4,
    atol=1e-4,
)
