"""Lesson 07 at full size: all of CMUdict, on the standard kind of split.

Every word of one letter or more, a-z, stress taken off, slurs left out: about 117,000 words. 12,000 random
words are the test, 2,670 are for validation, the rest is for training: the sizes that Yao and Zweig (2015)
and those after them report on. (Their list of words is another draw, and it keeps words with apostrophes.)
A second test of 12,000 words shares no word family with the training words; it is drawn first.

    python tools/full_cmudict_07.py                     # about two hours on two cores
    python tools/full_cmudict_07.py --epochs 2          # a try

It has not been run to its end; whoever runs it, please state the machine with the result.
"""

import argparse

import numpy as np

from attnfuse import transformer
from attnfuse.data import spelling

TEST, VALIDATION = 12_000, 2670
LETTERS, SOUNDS = 20, 23  # longer words and pronunciations are left out: a handful


def parts(seed: int) -> list[spelling.Words]:
    """Training, validation, random test and stem test."""
    rng = np.random.default_rng(seed)
    found = spelling.dictionary(1, LETTERS, SOUNDS)
    family = spelling.families(1, LETTERS, SOUNDS)
    texts, number = np.array(list(found)), np.array([family[word] for word in found])
    place = rng.permutation(number.max() + 1)[number]
    order = np.argsort(place, kind="stable")
    last = place[order[TEST - 1]]
    stem, rest = np.flatnonzero(place <= last), rng.permutation(np.flatnonzero(place > last))
    chosen = [rest[TEST + VALIDATION :], rest[TEST : TEST + VALIDATION], rest[:TEST], stem]
    return [_words([str(text) for text in texts[part]], found) for part in chosen]


def _words(texts, found) -> spelling.Words:
    sounds = [found[text] for text in texts]
    source = spelling.letter_tokens(texts, LETTERS)
    target = spelling.phoneme_tokens([spoken[0] for spoken in sounds], SOUNDS + 1)
    return spelling.Words(texts, sounds, source, target)


def measure(model, words: spelling.Words, width: int) -> spelling.Errors:
    written = [
        transformer.beam(model, words.source[i : i + 1000], width, SOUNDS + 1)[0]
        for i in range(0, len(words.word), 1000)
    ]
    return spelling.errors(np.concatenate(written), words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--peak", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--beam", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jit", action="store_true", help="compile with XLA, as a GPU likes it")
    parser.add_argument("--words", type=int, help="train on so many words only")
    options = parser.parse_args()

    train, validation, test, stem_test = parts(options.seed)
    if options.words:
        train = _words(
            train.word[: options.words], dict(zip(train.word, train.sounds, strict=True))
        )
    print("words:", *(len(part.word) for part in (train, validation, test, stem_test)))
    transformer.keras.utils.set_random_seed(options.seed)
    model = transformer.Transformer(
        *map(len, spelling.vocabulary()),
        width=options.width,
        heads=4,
        depth=options.depth,
        hidden=4 * options.width,
        dropout=options.dropout,
    )
    chosen = {"epochs": options.epochs, "peak": options.peak, "batch_size": options.batch}
    history = transformer.fit(model, train, **chosen, jit=options.jit)
    print(f"{model.count_params():,} parameters, {history['seconds'][-1]:.0f} s of training")
    named = {"validation": validation, "random test": test, "stem test": stem_test}
    for name, part in named.items():
        result = measure(model, part, options.beam)
        print(f"{name:12} phoneme error {result.phoneme:.4f}, word error {result.word:.4f}")


if __name__ == "__main__":
    main()
