"""Four years of daily weather in Seattle, from the installed package `vega-datasets`.

The measurements are NOAA's (public domain); the package that carries them is under the MIT licence.
The file is read by its path: the package itself is never imported, because it would need pandas.
"""

import csv
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attnfuse.own import course_version

YEAR = 365  # days around the circle; 31 December of the leap year 2012 is day 366, at day 1's place


class Days(NamedTuple):
    """One row per day: `day` of the year (int, 1 to 366), `year` (int), `temperature` (float).

    All three have the shape `(days,)`; the temperature is the day's maximum in degrees Celsius.
    """

    day: np.ndarray
    year: np.ndarray
    temperature: np.ndarray


def _path() -> Path:
    spec = find_spec("vega_datasets")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "The weather comes with the package vega-datasets: pip install vega-datasets"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "_data" / "seattle-weather.csv"


def load() -> tuple[Days, Days]:
    """Read the daily maximum temperatures.

    Returns:
        `(train, test)`, two `Days`: 2012 to 2014 (1,096 days) and 2015 (365 days), in order.

    Raises:
        ModuleNotFoundError: if `vega-datasets` is not installed; the message says how to get it.

    Source: NOAA daily summaries of Seattle-Tacoma airport, `seattle-weather.csv` of vega-datasets.
    """
    with open(_path(), encoding="utf-8", newline="") as file:
        rows = [
            (date.fromisoformat(row["date"].replace("/", "-")), float(row["temp_max"]))
            for row in csv.DictReader(file)
        ]
    days = Days(
        day=np.array([when.timetuple().tm_yday for when, _ in rows]),
        year=np.array([when.year for when, _ in rows]),
        temperature=np.array([temperature for _, temperature in rows]),
    )
    early = days.year < 2015
    return Days(*(column[early] for column in days)), Days(*(column[~early] for column in days))


@course_version
def days_apart(query, key) -> np.ndarray:
    """How many days apart two days of the year are, the shorter way round the circle.

    Args:
        query: days of the year `(T,)`.
        key: days of the year `(S,)`.

    Returns:
        `(T, S)`, 0 to 182.5; integers if both are integers.

    Raises:
        ValueError: if the days are not one row each.
    """
    query, key = np.asarray(query), np.asarray(key)
    if query.ndim != 1 or key.ndim != 1:
        raise ValueError(f"query must be (T,) and key (S,), got {query.shape} and {key.shape}")
    gap = np.abs(query[:, None] - key[None, :]) % YEAR
    return np.minimum(gap, YEAR - gap)


def waves(record: Days, asked: Days, count: int) -> np.ndarray:
    """Forecast with a curve of waves that go 1, 2, … `count` times round the year.

    The curve is a constant and, for each wave, a sine and a cosine. Their sizes make the squared
    error on the record smallest. A year is never forecast from its own days: for each year asked
    about, the curve is fitted to the record's other years.

    Args:
        record: the days to fit.
        asked: the days to forecast; their temperatures are not looked at.
        count: how many waves, at least 1.

    Returns:
        One temperature for each day asked about, `(T,)`.

    Raises:
        ValueError: if `count` is less than 1, or if the record has no other year.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    forecast = np.empty(len(asked.day))
    for year in np.unique(asked.year):
        kept, now = record.year != year, asked.year == year
        if not kept.any():
            raise ValueError(f"the record has no other year than {year}")
        sizes = np.linalg.lstsq(
            _round_the_year(record.day[kept], count), record.temperature[kept], rcond=None
        )[0]
        forecast[now] = _round_the_year(asked.day[now], count) @ sizes
    return forecast


def gap(forecast: np.ndarray, rival: np.ndarray, temperature: np.ndarray) -> tuple[float, float]:
    """By how much a forecast's mean squared error exceeds a rival's, and how far that may be off.

    The days are cut into twelve stretches (a warm week is one event, not seven), and the two
    forecasts are compared in each.

    Args:
        forecast, rival, temperature: `(T,)` each, the days in order, at least 12.

    Returns:
        `(gap, error)`: the mean of the twelve gaps, and its standard error, the standard deviation
        of the twelve divided by √12.

    Raises:
        ValueError: if the three are not of one length, or of less than 12.
    """
    shapes = {np.shape(x) for x in (forecast, rival, temperature)}
    if len(shapes) > 1 or np.ndim(forecast) != 1 or len(forecast) < 12:
        raise ValueError(
            f"forecast, rival and temperature must be (T,), T at least 12; got {sorted(shapes)}"
        )
    forecast, rival, temperature = map(np.asarray, (forecast, rival, temperature))
    extra = (forecast - temperature) ** 2 - (rival - temperature) ** 2
    gaps = np.array([stretch.mean() for stretch in np.array_split(extra, 12)])
    return float(gaps.mean()), float(gaps.std(ddof=1) / np.sqrt(12))


def _round_the_year(day: np.ndarray, count: int) -> np.ndarray:
    angles = 2 * np.pi / YEAR * day[:, None] * np.arange(1, count + 1)  # (days, count)
    return np.hstack([np.ones((len(day), 1)), np.sin(angles), np.cos(angles)])
