"""The check engine survives whatever an answer does, and its feedback is fit to read."""

import json
import sys
import time
import warnings

import numpy as np
import pytest

from attnfuse import attention, feedback
from attnfuse.checking import Case, Exercise, Mismatch, Property, properties
from attnfuse.exercises import EXERCISES, QUIZZES
from attnfuse.feedback import CheckFailed, check, hint, quiz, verdict_json
from attnfuse.own import course_version


def softmax_by_loops(scores):
    rows = [[np.exp(x - max(row)) for x in row] for row in scores]
    return np.array([[x / sum(row) for x in row] for row in rows])


def over_queries(scores):
    powers = np.exp(scores - scores.max())
    return powers / powers.sum(axis=0)


TOY = Exercise(
    name="toy",
    lesson="00_start_here",
    title="Toy",
    kind="write",
    minutes=1,
    difficulty=1,
    points=1,
    reference=softmax_by_loops,
    cases=lambda rng: [
        Case({"scores": rng.normal(size=(1, 3))}, "one query"),
        Case({"scores": rng.normal(size=(2, 5))}),
        Case({"scores": rng.normal(size=(4, 3)).astype("float32")}),
    ],
    outputs={"weights": "T S"},
    properties=[properties.finite(), properties.rows_sum_to_one()],
    says="axis | Over the keys, please.",
    wholes={"axis": over_queries},
    own=["attnfuse.attention.softmax"],
    reread="section 1",
    hint="think",
)


def changes_input(scores):
    scores -= scores.max()
    return softmax_by_loops(scores)


def ragged(scores):
    return [[1.0, 2.0], [3.0]]


def endless_recursion(scores):
    return endless_recursion(scores)


def tries_to_exit(scores):
    sys.exit(0)


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no")


def raises_unprintable(scores):
    raise Unprintable


def delegates(scores):
    return attention.softmax(scores)


def delegates_indirectly(scores):
    return attention.attention_pooling(scores, np.ones((scores.shape[-1], 1)))[1]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (None, "no answer yet"),
        (..., "no answer yet"),
        (lambda scores: None, "returns None"),
        (lambda: 1, "called with scores"),
        (lambda scores, mask: 1, "called with scores"),
        (lambda scores: scores.T, "shape (3, 1); expected (T, S) = (1, 3)"),
        (lambda scores: "weights", "must hold numbers"),
        (lambda scores: scores.astype(object), "must hold numbers"),
        (lambda scores: scores.astype(complex), "must hold numbers"),
        (ragged, "must hold numbers"),
        (lambda scores: scores * np.nan, "NaN"),
        (lambda scores: scores / 0, "NaN or infinite"),
        (lambda scores: 1 / 0, "ZeroDivisionError"),
        (lambda scores: undefined_name, "NameError"),  # noqa: F821
        (raises_unprintable, "cannot be printed"),
        (endless_recursion, "RecursionError"),
        (tries_to_exit, "SystemExit"),
        (changes_input, "changed its input `scores`"),
        (delegates, "Write your own"),
        (delegates_indirectly, "Write your own"),
        (softmax_by_loops(np.ones((2, 2))), "needs the function itself"),
        (3, "needs the function itself"),
        (over_queries, "Over the keys, please."),
        (lambda scores: (_ for _ in ()).throw(NotImplementedError), "no answer yet"),
    ],
)
def test_survives_and_says(answer, says):
    verdict = TOY.judge(answer, seed=3)
    assert not verdict.passed
    assert says in verdict.message
    assert "Traceback" not in verdict.message
    assert "Read again: section 1" in verdict.message


def test_accepts_lists_and_says_what_was_printed():
    def chatty(scores):
        print("hello\nworld")
        print("noise", file=sys.stderr)
        warnings.warn("a warning", stacklevel=1)
        return softmax_by_loops(scores).tolist()

    verdict = TOY.judge(chatty)
    assert verdict.passed, verdict.message
    assert "9 printed lines" in verdict.message or "printed lines not shown" in verdict.message


def test_endless_loop_can_be_interrupted():
    import _thread
    import signal
    import threading

    # A shell's background jobs ignore the interrupt; notebooks and terminals do not.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def endless(scores):
        while True:
            pass

    threading.Timer(0.3, _thread.interrupt_main).start()
    start = time.perf_counter()
    verdict = TOY.judge(endless)
    assert time.perf_counter() - start < 5
    assert "Stopped" in verdict.message


def test_tensor_from_keras_is_survived():
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return softmax_by_loops(self.scores)

    def tensor(scores):
        result = Tensor()
        result.scores = scores
        return result

    class Symbolic:
        def __array__(self, dtype=None, copy=None):
            raise TypeError("a symbolic tensor has no value")

    assert TOY.judge(tensor).passed
    assert "must hold numbers" in TOY.judge(lambda scores: Symbolic()).message


def test_seed_repeats_the_case():
    first = TOY.judge(over_queries)
    assert TOY.judge(over_queries, seed=first.seed).message == first.message
    assert f"seed={first.seed}" in first.message
    assert first.misconception == "axis"


def test_the_course_version_works_again_afterwards():
    TOY.judge(delegates)
    assert attention.softmax(np.zeros((1, 2))).tolist() == [[0.5, 0.5]]


def test_course_version_marks_methods():
    @course_version
    def f():
        return 1

    assert f() == 1
    assert f.__wrapped__() == 1


def test_check_prints_one_line_or_raises_without_traceback(capsys):
    check("weighted_average", lambda value, parts: (value * parts).sum() / parts.sum())
    assert capsys.readouterr().out == "✓ weighted_average · 9 cases · 2 points\n"
    with pytest.raises(CheckFailed) as failed:
        check("weighted_average", lambda value, parts: value.mean())
    lines = failed.value._render_traceback_()
    assert lines[0] == "✗ weighted_average"
    assert failed.value.__cause__ is None
    assert all("File " not in line for line in lines)


def test_unknown_names_are_answered():
    with pytest.raises(ValueError, match="Did you mean 'weighted_average'"):
        check("weigthed_average", None)
    with pytest.raises(ValueError, match="no question"):
        quiz("nothing", "a")


def test_hint_comes_in_three_steps_after_three_failures(capsys):
    name, first, last = "softmax", "exponentials = np.exp(", "return exponentials /"
    feedback._failures.clear()
    feedback._hints.clear()
    hint(name)
    assert "3 more times" in capsys.readouterr().out
    for _ in range(3):
        with pytest.raises(CheckFailed, match="not written yet: `softmax`"):
            check(name, None)
    hint(name)
    assert "3 more times" in capsys.readouterr().out
    for _ in range(3):
        with pytest.raises(CheckFailed) as failed:
            check(name, lambda scores: scores)
    assert f'hint("{name}")' in str(failed.value)
    steps = []
    for _ in range(4):
        hint(name)
        steps.append(capsys.readouterr().out)
    assert EXERCISES[name].hint in steps[0]
    assert [first in step for step in steps] == [False, True, True, True]
    assert [last in step for step in steps] == [False, False, True, True]


def test_every_exercise_has_an_answer_to_show():
    for name in EXERCISES:
        answer = feedback._answers()[name]
        assert "SOLUTION" not in answer["answer"]
        assert "…" in answer["half"] or answer["answer"].startswith(answer["half"] + "\n")


def test_numbers_are_printed_with_enough_digits_to_differ():
    message = TOY.judge(lambda scores: softmax_by_loops(scores) + np.array([[1e-4]]) * 0.01).message
    texts = [
        line.split("=")[1] for line in message.splitlines() if line.startswith(("  exp", "  yours"))
    ]
    assert len(texts) == 2
    assert texts[0] != texts[1]


def test_verdict_json_answers_for_missing_answers():
    verdict = json.loads(verdict_json("weighted_average", lambda: undefined))  # noqa: F821
    assert not verdict["passed"]
    assert "NameError" in verdict["message"]


# Slips


def kernel(query, key, *, near=lambda gap: gap**2, half=2.0, sign=-1, axis=1):
    gaps = np.abs(query[:, None] - key[None])
    powers = np.exp(sign * near(gaps) / half)
    return powers / powers.sum(axis=axis, keepdims=True)


def two_cases(rng):
    return [
        Case({"query": rng.normal(size=T), "key": rng.normal(size=S)}, f"{S} keys")
        for T, S in ((1, 2), (3, 4))
    ]


def positive(attempt, case, rng):
    if (attempt.result["weights"] < 0).any():
        raise Mismatch("Negative.")


KERNEL = Exercise(
    name="kernel",
    lesson="00_start_here",
    title="Kernel",
    kind="write",
    minutes=1,
    difficulty=1,
    points=1,
    reference=kernel,
    cases=two_cases,
    outputs={"weights": "T S"},
    properties=[Property("positive", positive), properties.rows_sum_to_one()],
    sketch=kernel,
    says="""
    not squared | The distance counts squared.
    root of the square | The distance counts squared!
    without the 2 | Divide by 2.
    doubled | You halve twice.
    wrong sign | Far keys get more.
    over queries | Over the keys.
    even | All equal.
    """,
    choices={
        "near": {
            "not squared": lambda gap: gap,
            "root of the square": lambda gap: (gap**2) ** 0.5,
        },
        "half": {"without the 2": 1.0, "doubled": 4.0},
        "sign": {"wrong sign": 1},
        "axis": {"over queries": 0},
    },
    wholes={"even": lambda query, key: kernel(query, 0 * key)},
    together={("without the 2", "wrong sign"): "Both at once."},
    reread="section 1",
    hint="think",
)


def found(**change):
    verdict = KERNEL.judge(lambda query, key: kernel(query, key, **change), seed=5)
    return verdict.misconception, verdict.message.splitlines()


def test_a_slip_is_recognised_alone():
    name, lines = found(sign=1)
    assert name == "wrong sign"
    assert lines[1] == "Far keys get more."
    assert "✓" not in "".join(lines)


def test_two_slips_are_recognised_together_with_both_sentences():
    name, lines = found(sign=1, axis=0)
    assert name == "wrong sign + over queries"
    assert lines[1:3] == ["Far keys get more.", "Over the keys."]


def test_a_pair_may_have_a_sentence_of_its_own():
    name, lines = found(sign=1, half=1.0)
    assert name == "without the 2 + wrong sign"
    assert lines[1] == "Both at once."
    assert "Divide by 2." not in lines


def test_candidates_that_behave_alike_say_only_what_they_share():
    assert found(near=np.abs)[0] is None  # two slips, two sentences, one behaviour
    name, lines = found(near=np.abs, sign=1)
    assert name == "wrong sign"
    assert lines[1] == "Far keys get more."
    assert lines[2].startswith("That is not all")
    assert not any("squared" in line for line in lines)


def test_a_whole_misconception_stands_beside_the_slips():
    verdict = KERNEL.judge(lambda query, key: np.full((len(query), len(key)), 1 / len(key)))
    assert verdict.misconception == "even"


def test_without_a_slip_the_mechanisms_are_told():
    def odd(query, key):
        return np.sqrt(kernel(query, key)) if len(query) > 1 else kernel(query, key)

    verdict = KERNEL.judge(odd, seed=5)
    assert verdict.misconception is None
    lines = verdict.message.splitlines()
    assert lines[1] == "shape ✓ · positive ✓ · rows sum to 1 ✗"
    assert "On this case (4 keys):" in lines
    last = KERNEL.judge(lambda query, key: kernel(query, key, half=3.0), seed=5)
    assert last.message.splitlines()[1] == "shape ✓ · positive ✓ · rows sum to 1 ✓ · 2 keys ✗"
    assert KERNEL.judge(odd, seed=5, recognise=False).message.splitlines()[1] != lines[1]


def test_slips_and_pairs_are_declared_soundly():
    names = {" + ".join(slip.name for slip in pair) for pair in KERNEL.groups(2)}
    assert "not squared + root of the square" not in names  # the same choice
    assert "not squared + over queries" in names
    fields = KERNEL.__dataclass_fields__.values()
    parts = {field.name: getattr(KERNEL, field.name) for field in fields if field.init}
    for change, complaint in (
        ({"says": KERNEL.says + "doubled | again"}, "a second one"),
        ({"says": KERNEL.says + "a name alone"}, "not `name"),
        ({"says": KERNEL.says + "new | changes nothing"}, "'new' has no sentence, or"),
        ({"wholes": {"even": 1, "odd": 2}}, "'odd' has no sentence"),
        ({"cancel": [("doubled", "unknown")]}, "not two of its slips"),
    ):
        with pytest.raises(ValueError, match=complaint):
            Exercise(**parts | change)


def test_the_mask_that_was_used_is_shown():
    def leaks(query, key, value, mask=None):
        scores = query @ key.swapaxes(-1, -2) / query.shape[-1] ** 0.5
        mask = np.broadcast_to(True if mask is None else mask, scores.shape)
        low = np.where(mask, scores, -13)
        weights = attention.softmax(low) * mask.any(axis=-1, keepdims=True)
        return weights @ value, weights

    text = EXERCISES["attend"].judge(leaks, seed=1).message
    assert " ✓ · masked keys ✗" in text
    shown = text.split("On this case")[1]
    assert "mask (" in shown
    assert "False" in shown


def test_registry():
    assert all(exercise.name == name for name, exercise in EXERCISES.items())
    assert len(QUIZZES) >= 1
    with pytest.raises(KeyError):
        EXERCISES["nothing"]


@pytest.mark.parametrize("closed", ["where -inf", "plus -inf", "where -1e9", "plus -1e9"])
@pytest.mark.parametrize("shift", [True, False])
def test_no_second_or_third_fault_hides_the_missing_root(closed, shift):
    """Rows without a key go wrong in every form of the mask, large scores without the shift."""

    def attend(query, key, value, mask=None):
        scores = query @ np.swapaxes(key, -1, -2)  # not scaled
        if mask is not None:
            how, low = closed.split()
            low = float(low)
            scores = np.where(mask, scores, low if how == "where" else scores + low)
        if shift:
            scores = scores - scores.max(axis=-1, keepdims=True)
        weights = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
        return weights @ value, weights

    verdict = EXERCISES["attend"].judge(attend, seed=1)
    assert "not divided by √H" in verdict.message
    second = {"where -1e9": "is uniform", "plus -1e9": "is not masked"}.get(closed, "is NaN")
    found = f"not scaled + a row without keys {second}" if shift else "not scaled"
    assert verdict.misconception == found


def test_what_no_slip_explains_is_not_blamed_on_one():
    def attend(query, key, value, mask=None):
        return np.cumsum(value, axis=1)[:, : query.shape[1]], np.ones((1, 1, 1))

    assert EXERCISES["attend"].judge(attend, seed=1).misconception is None
