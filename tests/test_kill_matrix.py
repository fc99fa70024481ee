"""Every exercise accepts right answers and rejects, and recognises, every listed misconception."""

import time
from importlib import import_module

import pytest

from attnfuse.exercises import EXERCISES, QUIZZES

ALL = list(EXERCISES.values())


def alternatives(exercise) -> list:
    module = import_module(f"alternatives.lesson_{exercise.lesson[:2]}")
    return module.ALTERNATIVES.get(exercise.name, [])


def right_answers(exercise) -> list:
    own = [] if exercise.run else [exercise.reference() if exercise.value else exercise.reference]
    return own + alternatives(exercise)


@pytest.mark.parametrize(
    "exercise", ALL, ids=[f"{e.lesson[:2]}-lesson_{e.lesson[:2]}-{e.name}" for e in ALL]
)
def test_kill_matrix(exercise, record_property):
    answers = right_answers(exercise)
    assert exercise.judge(answers[0]).passed, exercise.judge(
        answers[0]
    ).message  # warm up, then time
    start = time.perf_counter()
    exercise.judge(answers[0])
    seconds = time.perf_counter() - start
    seeds = 1 if exercise.value else 20 if seconds < 0.1 else 3
    for seed in range(seeds):
        for answer in answers:
            verdict = exercise.judge(answer, seed)
            assert verdict.passed, f"seed {seed}, {answer!r}:\n{verdict.message}"
        for misconception in exercise.misconceptions:
            verdict = exercise.judge(misconception.wrong, seed)
            assert not verdict.passed, f"seed {seed}: {misconception.name!r} is accepted"
            assert verdict.misconception == misconception.name, (
                f"seed {seed}: {misconception.name!r} was taken for {verdict.misconception!r}\n"
                + verdict.message
            )
            assert misconception.says in verdict.message
    wrong = len(exercise.misconceptions)
    accepted = len(alternatives(exercise))
    record_property("kill", (exercise.lesson, exercise.name, seeds, wrong, wrong, wrong, accepted))


@pytest.mark.parametrize("exercise", ALL, ids=lambda e: e.name)
def test_untouched_stub_is_rejected(exercise):
    for stub in (None, Ellipsis):
        assert not exercise.judge(stub).passed
    if not exercise.value and exercise.run is None:
        assert not exercise.judge(lambda **inputs: None).passed


@pytest.mark.parametrize("exercise", ALL, ids=lambda e: e.name)
def test_declaration_is_complete(exercise):
    assert exercise.hint.strip()
    assert exercise.reread.strip()
    assert len(exercise.misconceptions) >= (1 if exercise.value else 4)
    assert len(alternatives(exercise)) >= (0 if exercise.value else 2)
    assert all(misconception.says.strip() for misconception in exercise.misconceptions)


@pytest.mark.parametrize("lesson", sorted({e.lesson for e in ALL}))
def test_core_of_a_lesson(lesson):
    core = [e for e in ALL if e.lesson == lesson and e.points]
    if lesson == "00_start_here":
        assert len(core) == 1
        return
    assert len(core) == 4
    assert {"bug", "predict"} <= {e.kind for e in core}


@pytest.mark.parametrize("quiz", list(QUIZZES.values()), ids=lambda q: q.id)
def test_quiz(quiz):
    assert quiz.reply(quiz.key).startswith("✓")
    for letter in quiz.letters:
        assert quiz.reply(letter.upper())[0] == ("✓" if letter == quiz.key else "✗")
    assert quiz.reply(None).startswith("Choose")
    assert "not one of the options" in quiz.reply("z")
