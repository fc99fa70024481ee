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

from attnfuse.checking.own import course_version

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
    """
    gap = np.abs(np.asarray(query)[:, None] - np.asarray(key)[None, :]) % YEAR
    return np.minimum(gap, YEAR - gap)
