"""Number words: the numbers 0 to 9,999, in German letters and in English words.

The words come from the installed package `num2words` (LGPL), nothing is downloaded. German reads
`einundzwanzig` ("one and twenty") where English reads `twenty one`: a small translation with real
reordering. It is translation-like, no more: the words are few and the grammar is regular.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from attnfuse import settings
from attnfuse.own import course_version

PAD, START, END = 0, 1, 2  # the first three word tokens; a letter token 0 is padding, too
LIMIT = 10_000
TRAIN, VALIDATION, TEST = 4000, 500, 500


class Pairs(NamedTuple):
    """Some numbers, one per row: as an int, as text, and as tokens.

    `number` int `(pairs,)`, `german` and `english` lists of text, `source` int32 `(pairs, S)` letters
    and `target` int32 `(pairs, T)` words with END behind the last one. Short rows end in padding (0).
    """

    number: np.ndarray
    german: list[str]
    english: list[str]
    source: np.ndarray
    target: np.ndarray


class NumberWords(NamedTuple):
    """Three parts without a common number, and the names of the tokens.

    `letters[i]` is the letter of source token i, `words[i]` the word of target token i.
    """

    train: Pairs
    validation: Pairs
    test: Pairs
    letters: list[str]
    words: list[str]


def german(number: int) -> str:
    """The number in German letters, one word: `german(21)` is `"einundzwanzig"`."""
    from num2words import num2words

    return num2words(number, lang="de")


def english(number: int) -> str:
    """The number in English words without commas and hyphens: `english(21)` is `"twenty one"`."""
    from num2words import num2words

    return num2words(number, lang="en").replace(",", "").replace("-", " ")


@cache
def _vocabulary() -> tuple[list[str], list[str]]:
    some = [*range(100), 101, 1000]  # every letter and every word of the numbers below 10,000
    letters = sorted({letter for number in some for letter in german(number)})
    words = sorted({word for number in some for word in english(number).split()})
    return ["", *letters], ["", "<start>", "<end>", *words]


def letter_tokens(texts) -> np.ndarray:
    """German texts → int32 `(texts, S)` letter tokens, padded with 0 to S = 42.

    Raises:
        KeyError: for a letter that no number word contains.
    """
    letters = _vocabulary()[0]
    token = {letter: i for i, letter in enumerate(letters) if letter}
    source = np.zeros((len(texts), _longest()[0]), np.int32)
    for row, text in zip(source, texts, strict=True):
        row[: len(text)] = [token[letter] for letter in text]
    return source


def word_tokens(texts) -> np.ndarray:
    """English texts → int32 `(texts, T)` word tokens, END behind the last, padded with 0 to T = 8."""
    words = _vocabulary()[1]
    token = {word: i for i, word in enumerate(words)}
    target = np.zeros((len(texts), _longest()[1]), np.int32)
    for row, text in zip(target, texts, strict=True):
        found = [token[word] for word in text.split()] + [END]
        row[: len(found)] = found
    return target


@cache
def _longest() -> tuple[int, int]:
    """Letters of the longest German number below 10,000, and words of the longest English one + 1."""
    return len(german(7777)), len(english(7777).split()) + 1


def to_text(tokens) -> str:
    """Word tokens `(T,)` → text, up to the first END or padding."""
    words = _vocabulary()[1]
    found = []
    for token in tokens:
        if token in (END, PAD):
            break
        found.append(words[token])
    return " ".join(found)


def pairs(numbers) -> Pairs:
    """The given numbers (below 10,000) as `Pairs`."""
    numbers = np.asarray(numbers)
    sources = [german(int(number)) for number in numbers]
    targets = [english(int(number)) for number in numbers]
    return Pairs(numbers, sources, targets, letter_tokens(sources), word_tokens(targets))


@cache
def load(seed: int = 0) -> NumberWords:
    """4,000 random numbers below 10,000 to train with, 500 to choose settings, 500 for the test.

    Args:
        seed: the split; another seed gives another one. Quick mode keeps 400, 50 and 50 of them.

    Returns:
        `NumberWords`; no number is in two parts.
    """
    order = np.random.default_rng(seed).permutation(LIMIT)
    sizes = (TEST, VALIDATION, TRAIN)
    parts = np.split(order[: sum(sizes)], np.cumsum(sizes)[:-1])
    if settings.quick():
        parts = [part[: size // 10] for part, size in zip(parts, sizes, strict=True)]
    test, validation, train = (pairs(part) for part in parts)
    return NumberWords(train, validation, test, *_vocabulary())


@course_version
def shift_targets(target: np.ndarray) -> np.ndarray:
    """What the decoder reads while it learns to write `target`: START, then all but the last token.

    Args:
        target: int `(B, T)`.

    Returns:
        int `(B, T)`: at position t the token that was to be written at t-1.

    Raises:
        ValueError: if `target` has not two axes.
    """
    target = np.asarray(target)
    if target.ndim != 2:
        raise ValueError(f"target must be (B, T), got shape {target.shape}")
    start = np.full_like(target[:, :1], START)
    return np.concatenate([start, target[:, :-1]], axis=1)


@course_version
def exact_match(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Which rows are right from the first word to END; what stands behind END does not count.

    Args:
        predicted, target: int `(B, T)`.

    Returns:
        bool `(B,)`.

    Raises:
        ValueError: if the two are not of one shape.
    """
    predicted, target = both_texts(predicted, target)
    return ((predicted == target) | (target == PAD)).all(axis=1)


def token_accuracy(predicted: np.ndarray, target: np.ndarray) -> float:
    """The share of right tokens, padding not counted. Both int `(B, T)`.

    Raises:
        ValueError: if the two are not of one shape, or `target` holds nothing but padding.
    """
    predicted, target = both_texts(predicted, target)
    if not (target != PAD).any():
        raise ValueError("target holds nothing but padding: no token can be right")
    return float((predicted == target)[target != PAD].mean())


def both_texts(predicted, target) -> tuple[np.ndarray, np.ndarray]:
    """The two as arrays; ValueError unless both are `(B, T)`."""
    predicted, target = np.asarray(predicted), np.asarray(target)
    if predicted.ndim != 2 or predicted.shape != target.shape:
        shapes = f"{predicted.shape} and {target.shape}"
        raise ValueError(f"predicted and target must both be (B, T), got {shapes}")
    return predicted, target


def length_groups(pairs: Pairs) -> dict[str, np.ndarray]:
    """Rows by the number of their English words: name of the group → bool `(pairs,)`."""
    words = (pairs.target != PAD).sum(axis=1) - 1  # END is no word
    return {"up to 4": words <= 4, "5": words == 5, "6": words == 6, "7": words == 7}


def shuffle_letters(source: np.ndarray, seed: int = 0) -> np.ndarray:
    """Every row's letters in random order; the padding stays behind them. int `(B, S)`."""
    rng = np.random.default_rng(seed)
    shuffled = np.array(source)
    for row in shuffled:
        length = np.count_nonzero(row)
        row[:length] = rng.permutation(row[:length])
    return shuffled
