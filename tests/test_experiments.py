"""The longer tables that lessons quote: each prints its rows (with little data and few variants)."""

import re
import sys

import numpy as np
import pytest

pytest.importorskip("keras")
from attnfuse.experiments import fusions, pooling, pronunciations, translations

SHARE = r"[01]\.\d{3}"


@pytest.fixture
def printed(monkeypatch, capsys):
    """Run the experiment's command in quick mode with these options and names replaced; its lines."""

    def run(experiment, *options, **replaced):
        monkeypatch.setenv("ATTNFUSE_QUICK", "1")
        monkeypatch.setattr(sys, "argv", ["", *options])
        for name, value in replaced.items():
            monkeypatch.setattr(experiment, name, value)
        experiment.main()
        return re.split(r"[\r\n]+", capsys.readouterr().out)

    return run


def row(lines, pattern: str) -> bool:
    return any(re.match(pattern, line) for line in lines)


def test_translations(printed):
    lines = printed(translations, RUNS=[("plain", None, 1, 3), ("places", "positions", 1, 3)])
    for name in ("plain", "places"):
        assert row(lines, rf"{name} +1 +\d+   {SHARE}$")


def test_pronunciations(printed):
    lines = printed(pronunciations, "--seeds", "0", "--only", "norm after")
    assert row(lines, r"norm after +0 +\d+: \d\.\d{4} \d\.\d{4} \|")


def test_saved_curves_of_translations():
    saved = translations.saved()
    for name, _, epochs, seeds in translations.RUNS:
        assert [one["seed"] for one in saved[name]] == list(range(seeds)), name
        assert all(len(one["curve"]) == epochs for one in saved[name])
        assert all(len(one["forced"]) == len(one["free"]) == 8 for one in saved[name])


def test_right_words_by_position():
    target = np.array([[5, 6, 2, 0], [7, 2, 0, 0]])
    written = np.array([[5, 9, 2, 4], [7, 2, 5, 0]])
    assert translations.by_position(written[:, :3], target[:, :3]) == [1.0, 0.5, 1.0]


def test_saved_rows_replace_their_like(monkeypatch, tmp_path):
    for experiment, name in ((translations, "additive"), (pronunciations, "norm after")):
        monkeypatch.setattr(experiment, "SAVED", tmp_path / f"{name}.json")
        for row in (
            {"seed": 1, "exact": 0.5},
            {"seed": 0, "exact": 0.4},
            {"seed": 1, "exact": 0.6},
        ):
            experiment.save({"name": name, **row})
        assert [row["exact"] for row in experiment.saved()[name]] == [0.4, 0.6]


def test_pooling(printed):
    lines = printed(pooling, RUNS=[("query", 1, True), ("average", 1, False)])
    assert row(lines, rf"attention pooling +1 +\d+ +\d+   {SHARE}   {SHARE} ± 0.000   {SHARE}$")
    assert row(lines, rf"average pooling, plain +1 +\d+ +\d+   {SHARE}   {SHARE} ± ")
    lines = printed(pooling, "--settings", "--plain", TRIED=(0.01,), PLAIN={"max": 0.01})
    assert row(lines, rf"max pooling +{SHARE}$")
    assert row(printed(pooling, "--repair"), rf"colleague +{SHARE}$")


def test_fusions(printed):
    lines = printed(fusions, "1")
    assert row(lines, rf"sum \+ ReLU +({SHARE} \[{SHARE}, {SHARE}\] *){{3}}$")
    for name in ("early, words only", "gate + ReLU", "together, twice as long"):
        assert row(lines, rf"{re.escape(name)} +[\d,]+  {SHARE} ± ")
