"""Measures stretch nothing in silence, and a mean over nothing is an error that says so."""

import numpy as np
import pytest

from attnfuse.data import (
    digit_pairs,
    digits,
    emoji,
    number_words,
    spelled_numbers,
    spelling,
    weather,
)

pytest.importorskip("keras")
from attnfuse import fusion, models, vision
from attnfuse.data.clutter import Scenes
from attnfuse.experiments import translations

TOKENS = np.full((2, 3), 3)
WORDS = spelling.words(["cat", "dog"])
SAID = WORDS.target
LABEL = np.arange(3)
GRID = np.zeros((3, 3, 2))
DAYS = np.zeros(24)
SCENES = np.zeros((3, 24, 24, 1))


def emptied(part):
    return part._replace(**{name: x[:0] for name, x in part._asdict().items()})


REFUSED = {
    "accuracy, labels in a column": (lambda: fusion.accuracy(np.eye(3), LABEL[:, None]), "axis 0"),
    "accuracy, one label for all": (lambda: fusion.accuracy(np.eye(3), 0), "axis 0"),
    "accuracy of nothing": (lambda: fusion.accuracy(np.eye(3)[:0], []), "one row at least"),
    "accuracy of NaN": (lambda: fusion.accuracy([[np.nan, 1]], [0]), "NaN"),
    "accuracy, no such class": (lambda: fusion.accuracy(np.eye(3), LABEL + 1), "between 0 and 2"),
    "log_softmax without classes": (lambda: fusion.log_softmax(np.ones((2, 0))), "axis -1"),
    "emap of diagonals": (lambda: fusion.emap(GRID[:1]), r"\(B, B, C\).*\(1, 3, 2\)"),
    "emap without classes": (lambda: fusion.emap(GRID[..., 0]), r"\(B, B, C\)"),
    "emap of nothing": (lambda: fusion.emap(GRID[:0, :0]), r"\(B, B, C\)"),
    "interval, one model's items": (
        lambda: fusion.paired_interval(np.ones((2, 5)), np.ones((2, 1))),
        r"right_b has shape \(2, 1\)",
    ),
    "interval, one item": (lambda: fusion.paired_interval([[True]], [[False]]), "two items"),
    "interval, no seed": (lambda: fusion.paired_interval(TOKENS[:0], TOKENS[:0]), "a seed"),
    "interval, no axis of seeds": (lambda: fusion.paired_interval(LABEL, LABEL), r"\(seeds, B\)"),
    "corners, another number of images": (
        lambda: fusion.four_corners(np.add, GRID[0], GRID[0, :1], GRID[0], GRID[0]),
        r"other_image has shape \(1, 2\)",
    ),
    "corners, logits of several shapes": (
        lambda: fusion.four_corners(lambda x, y: y[: x[0][0]], [[1]], [[2]], TOKENS, TOKENS),
        "logits",
    ),
    "matrix too short": (lambda: fusion.split_concatenation(np.eye(3), 4), "D_image = 4"),
    "pairs of unequal numbers": (lambda: fusion.all_pairs(None, TOKENS, TOKENS[:1]), "2 images"),
    "pairs of nothing": (lambda: fusion.all_pairs(None, TOKENS[:0], TOKENS[:0]), "no rows"),
    "words by position, one text": (
        lambda: translations.by_position(TOKENS[:1], TOKENS),
        r"\(1, 3\) and \(2, 3\)",
    ),
    "words by position, one of padding": (
        lambda: translations.by_position(TOKENS, TOKENS * [1, 1, 0]),
        "nothing but padding",
    ),
    "words by position, no rows": (
        lambda: translations.by_position(TOKENS[:0], TOKENS[:0]),
        "nothing but padding",
    ),
    "alignment without attention": (
        lambda: models.alignment(models.Seq2Seq(9, 9, width=4), TOKENS, TOKENS),
        "without attention",
    ),
    "exact_match, one target": (
        lambda: number_words.exact_match(TOKENS, TOKENS[:1]),
        r"\(2, 3\) and \(1, 3\)",
    ),
    "exact_match, one step": (
        lambda: number_words.exact_match(TOKENS[:, :1], TOKENS),
        r"\(2, 1\) and \(2, 3\)",
    ),
    "token_accuracy, one target": (
        lambda: number_words.token_accuracy(TOKENS, TOKENS[:1]),
        r"\(2, 3\) and \(1, 3\)",
    ),
    "token_accuracy of padding": (
        lambda: number_words.token_accuracy(TOKENS, TOKENS * 0),
        "nothing but padding",
    ),
    "shift_targets, one text": (lambda: number_words.shift_targets(LABEL), r"\(B, T\)"),
    "numbers, noughts of one": (lambda: spelled_numbers.read(TOKENS, TOKENS[:1]), r"\(B, T\)"),
    "noughts of one number": (lambda: spelled_numbers.noughts(LABEL), r"\(B, T\)"),
    "no numbers": (
        lambda: spelled_numbers.share_read(None, emptied(spelled_numbers.load(test=2)[1])),
        "no numbers",
    ),
    "errors, a row too few": (lambda: spelling.errors(SAID[:1], WORDS), "1 rows .axis 0. for 2"),
    "errors of no words": (lambda: spelling.errors(SAID[:0], emptied(WORDS)), "no phonemes"),
    "errors of silence": (
        lambda: spelling.errors(SAID, WORDS._replace(sounds=[[()], [()]])),
        "no phonemes",
    ),
    "days in a column": (
        lambda: weather.days_apart(LABEL[:, None], LABEL),
        r"query must be \(T,\)",
    ),
    "a single day": (lambda: weather.days_apart(1, LABEL), r"query must be \(T,\)"),
    "gap, one forecast": (lambda: weather.gap(DAYS[:1], DAYS, DAYS), r"\(T,\)"),
    "gap of eleven days": (lambda: weather.gap(*[DAYS[:11]] * 3), "at least 12"),
    "scenes, labels in a column": (
        lambda: vision.accuracy(None, Scenes(SCENES, LABEL[:, None], None)),
        r"labels must be \(3,\), got \(3, 1\)",
    ),
    "no scenes": (lambda: vision.accuracy(None, Scenes(SCENES[:0], LABEL[:0], None)), "no scenes"),
    "places in a single box": (lambda: vision.in_box([0, 0, 8, 8]), r"\(B, 4\)"),
    "one map that points": (
        lambda: vision.points_at(np.ones(4), np.zeros((1, 4)), 2, 4),
        r"weights must be \(B, S\)",
    ),
    "rows without columns": (
        lambda: vision.points_at(np.ones((1, 4)), np.zeros((1, 4)), 0, 4),
        "rows of 0",
    ),
    "picture of no places": (lambda: vision.to_picture(np.zeros((2, 0))), "S = 0"),
    "no runs": (lambda: vision.interval([]), "at least one"),
    "one-hot of no digit": (lambda: digits.one_hot([0, -1]), "from 0 to 9"),
    "one-hot of half a digit": (lambda: digits.one_hot([0.5]), "from 0 to 9"),
    "label of one digit": (lambda: digit_pairs.label_of("unique", LABEL, LABEL[:1]), "b has shape"),
    "label of an unknown kind": (lambda: digit_pairs.label_of("odd", LABEL, LABEL), "redundant"),
    "pairs that cannot be balanced": (lambda: digit_pairs.load("unique", train=50), "of 100"),
    "shares of more than all": (lambda: emoji.split_by_base(LABEL, (0.6, 0.6)), "sum to 1"),
}


@pytest.mark.parametrize(("call", "says"), REFUSED.values(), ids=REFUSED)
def test_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_lists_are_measured_as_arrays_are():
    assert fusion.accuracy([[2.0, 1.0], [0.0, 3.0]], [0, 0]) == 0.5
    assert number_words.exact_match([[3, 2], [3, 2]], [[3, 2], [4, 2]]).tolist() == [True, False]
    assert fusion.paired_interval([[True, False]], [[True, False]]) == (0, 0, 0)
    np.testing.assert_allclose(fusion.log_softmax([[0, 0]]), np.log([[0.5, 0.5]]))
    assert fusion.accuracy([[0, 10**30]], [1]) == 1
    assert np.isneginf(fusion.log_softmax([[-np.inf, -np.inf]])).all()
    corners = fusion.four_corners(lambda x, y: [[x[0] * y[0]]], [1], [3], [2], [5])
    assert corners.tolist() == [[6]]  # (1 - 3)(2 - 5)
    assert spelled_numbers.noughts([[1]]).tolist() == [[0]]
    assert digits.one_hot([]).shape == (0, 10)
    half = fusion.log_softmax(np.zeros((1, 70_000), np.float16))
    assert half.dtype == np.float16
    np.testing.assert_allclose(half[0, 0], -np.log(70_000), rtol=1e-3)


def test_edits_from_and_to_nothing():
    assert spelling.edit_distance("", "cat") == spelling.edit_distance("cat", "") == 3
    assert spelling.edit_distance("", "") == 0
