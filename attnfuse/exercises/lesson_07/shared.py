"""What several exercises of lesson 07 share: tokens, pronunciations, their distance."""

from functools import cache, lru_cache

LESSON = "07_transformer"
PAD, START, END = 0, 1, 2


@lru_cache(maxsize=4096)
def distance(said, right):
    """The definition: look at the first phonemes, try all three repairs, take the cheapest."""

    @cache
    def rest(i, j):
        if i == len(said):
            return len(right) - j  # insert what is missing
        if j == len(right):
            return len(said) - i  # delete what is too much
        if said[i] == right[j]:
            return rest(i + 1, j + 1)
        return 1 + min(rest(i + 1, j), rest(i, j + 1), rest(i + 1, j + 1))

    return rest(0, 0)


def differ(said, right):
    """In how many places, up to the end of the shorter one."""
    return sum(a != b for a, b in zip(said, right, strict=False))


@cache
def phonemes() -> list[str]:
    """The names of the phoneme tokens."""
    from attnfuse.data.spelling import vocabulary

    return vocabulary()[1]
