"""Every exercise accepts right answers, and rejects and recognises slips, alone and in pairs."""

import time
from importlib import import_module

import pytest
import slips

from attnfuse.checking.recognise import shared
from attnfuse.driving import Handle
from attnfuse.exercises import EXERCISES, QUIZZES

ALL = list(EXERCISES.values())


def alternatives(exercise) -> list:
    module = import_module(f"alternatives.lesson_{exercise.lesson[:2]}")
    return module.ALTERNATIVES.get(exercise.name, [])


def right_answers(exercise) -> list:
    """The definition, where it can be called as an answer is, and the alternatives."""
    given = exercise.drawn_cases(0)[0].inputs.values()
    if exercise.run or any(isinstance(x, Handle) for x in given):
        return alternatives(exercise)
    own = exercise.reference() if exercise.value else exercise.reference
    return [own, *alternatives(exercise)]


NAMES = [f"{e.lesson[:2]}-{e.name}" for e in ALL]


@pytest.mark.parametrize("exercise", ALL, ids=NAMES)
def test_kill_matrix(exercise, record_property):
    answers = right_answers(exercise) + ([exercise.sketched()] if exercise.sketch else [])
    wrong = exercise.wrong_answers()
    says = {one.name: one.says for one in exercise.slips}
    first = exercise.judge(answers[0])
    assert first.passed, first.message
    start = time.perf_counter()
    exercise.judge(answers[0])
    seconds = time.perf_counter() - start
    seeds = 1 if exercise.value else 20 if seconds < 0.1 else 3
    for seed in range(seeds):
        for answer in answers:
            verdict = exercise.judge(answer, seed)
            assert verdict.passed, f"seed {seed}, {answer!r}:\n{verdict.message}"
        for name, answer in wrong.items():
            verdict = exercise.judge(answer, seed)
            assert not verdict.passed, f"seed {seed}: {name!r} is accepted"
            assert verdict.misconception == name, (
                f"seed {seed}: {name!r} was taken for {verdict.misconception!r}\n{verdict.message}"
            )
            assert says[name] in verdict.message
    count = (seeds, len(wrong), len(alternatives(exercise)))
    record_property("kill", (exercise.lesson, exercise.name, *count))


@pytest.mark.parametrize("exercise", [e for e in ALL if e.groups(2)], ids=lambda e: e.name)
def test_pairs_of_slips(exercise, record_property):
    """Two slips at once are rejected unless they cancel, and no sentence is said that neither has."""
    both = one = as_one = 0
    for seed in range(2):
        table = slips.Behaviours(exercise, seed)
        for pair in table.pairs:
            names = {slip.name for slip in pair}
            cancels = any(set(listed) == names for listed in exercise.cancel)
            assert table.is_right(pair) == cancels, f"seed {seed}: {slips.names(pair)}"
            if seed or cancels:
                continue
            singles, pairs = table.like_pair(pair)
            found = None if singles else shared(exercise, pairs)
            as_one += bool(singles)
            both += bool(found) and len(pairs) == 1
            one += bool(found) and len(pairs) > 1
    count = (len(table.pairs), len(exercise.cancel), as_one, both, one)
    record_property("pairs", (exercise.lesson, exercise.name, *count))


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
    assert len(exercise.wrong_answers()) >= (1 if exercise.value else 4)
    assert len(alternatives(exercise)) >= (0 if exercise.value else 2)
    assert all(one.says.strip() for one in exercise.slips)


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
    assert quiz.reply(None).startswith("Write a letter")
    assert "not one of the options" in quiz.reply("z")
