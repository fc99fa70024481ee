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
        """What to print when somebody answers."""
        wanted = "Choose " + ", ".join(f'"{letter}"' for letter in self.letters) + "."
        if answer is None or answer is Ellipsis:
            return wanted
        letter = str(answer).strip().lower()
        if len(letter) != 1 or letter not in self.letters:
            return f"{answer!r} is not one of the options. {wanted}"
        explanation = list(self.options.values())[self.letters.index(letter)]
        mark = "✓" if letter == self.key else "✗"
        return f"{mark} {letter}) {explanation}"
