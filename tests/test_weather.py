"""The weather as lesson 01 relies on it."""

import subprocess
import sys

import numpy as np
import pytest

from attnfuse.data import weather


def test_three_years_to_learn_from_and_one_to_test_on():
    train, test = weather.load()
    assert [len(column) for column in train] == [1096] * 3
    assert [len(column) for column in test] == [365] * 3
    assert sorted(set(train.year.tolist())) == [2012, 2013, 2014]
    assert set(test.year.tolist()) == {2015}


def test_days_run_through_each_year_in_order():
    train, test = weather.load()
    np.testing.assert_array_equal(train.day[train.year == 2012], np.arange(1, 367))
    for year in (2013, 2014):
        np.testing.assert_array_equal(train.day[train.year == year], np.arange(1, 366))
    np.testing.assert_array_equal(test.day, np.arange(1, 366))


def test_temperatures_are_those_of_the_file():
    train, test = weather.load()
    assert train.temperature[0] == 12.8
    assert np.isfinite(train.temperature).all()
    assert -5 < train.temperature.min() < train.temperature.max() < 40
    assert test.temperature.std() == pytest.approx(7.31, abs=0.005)


def test_loading_needs_no_pandas():
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "from attnfuse.data import weather; weather.load()\n"
        "assert 'vega_datasets' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(weather, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install vega-datasets"):
        weather.load()


@pytest.mark.parametrize(
    ("query", "key", "apart"),
    [(1, 1, 0), (1, 365, 1), (365, 1, 1), (1, 366, 0), (366, 1, 0), (10, 200, 175), (1, 183, 182)],
)
def test_days_apart_goes_the_shorter_way(query, key, apart):
    assert weather.days_apart([query], [key]).tolist() == [[apart]]


def test_days_apart_of_many():
    rng = np.random.default_rng(0)
    query, key = rng.integers(1, 367, 4), rng.integers(1, 367, 7)
    apart = weather.days_apart(query, key)
    assert apart.shape == (4, 7)
    assert apart.min() >= 0
    assert apart.max() <= 182
    for turn in (-365, 365):
        np.testing.assert_array_equal(weather.days_apart(query + turn, key), apart)


def test_waves_are_recovered_and_never_see_their_own_year():
    day = np.tile(np.arange(1, 366), 2)
    year = np.repeat([2001, 2002], 365)
    angle = 2 * np.pi * day / weather.YEAR
    temperature = 10 + 3 * np.sin(angle) - 2 * np.cos(2 * angle)
    record = weather.Days(day, year, temperature)
    np.testing.assert_allclose(weather.waves(record, record, 2), temperature, atol=1e-9)
    spoiled = weather.Days(day, year, np.where(year == 2001, 99.0, temperature))
    forecast = weather.waves(spoiled, record, 2)
    np.testing.assert_allclose(forecast[year == 2001], temperature[year == 2001], atol=1e-9)
    with pytest.raises(ValueError, match="at least 1"):
        weather.waves(record, record, 0)


def test_gap_is_the_mean_of_twelve_stretches():
    truth = np.zeros(24)
    gap, error = weather.gap(np.full(24, 2.0), np.ones(24), truth)
    assert (gap, error) == (3.0, 0.0)
    uneven = np.repeat([1.0, 2.0], 12)
    gap, error = weather.gap(uneven, truth, truth)
    assert gap == 2.5
    assert error == pytest.approx(np.std([1, 4] * 6, ddof=1) / 12**0.5)
