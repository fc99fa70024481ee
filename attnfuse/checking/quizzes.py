"""Ungraded questions with an explanation for every option."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Quiz:
    """A question with options a, b, c, …

    Args:
        id: unique in the course.
        question: Markdown.
        options: two or more: the text → what is said to whoever chooses it.
        answer: the index of the right option, or a function that computes it.
    """

    id: str
    question: str
    options: Mapping[str, str]
    answer: int | Callable[[], int]

    @property
    def letters(self) -> str:
        return "abcdefgh"[: len(self.options)]

    @property
    def key(self) -> str:
        """The letter of the right option."""
        index = self.answer() if callable(self.answer) else self.answer
        return self.letters[int(index)]

    def reply(self, answer) -> str:
        """What to say when somebody answers: a letter, small or large, alone or in a list."""
        *others, last = self.letters
        wanted = f"Write a letter between the quotes: {', '.join(others)} or {last}."
        if isinstance(answer, list | tuple | set) and len(answer) == 1:
            (answer,) = answer
        letter = str(answer).strip(" .)(").lower()
        if answer is None or answer is Ellipsis or not letter:
            return wanted
        if letter not in list(self.letters):
            return f"{answer!r} is not one of the options. {wanted}"
        explanation = list(self.options.values())[self.letters.index(letter)]
        mark = "✓" if letter == self.key else "✗"
        return f"{mark} {letter}) {explanation}"
