"""Charts of numbers show every image, however few there are and however far apart their numbers lie."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from test_charts import parse

from pipeline.metrics.grid import Grid
from pipeline.metrics.value import MOST_BINS, MOST_PAIRS, histogram_of, pair_bins
from pipeline.report import number_charts

UNIT = 2.0**-20

NUMBERS = st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=40)


def bars_of(chart: Markup | None) -> list[ElementTree.Element]:
    """Return the bars of a well-formed chart; each can be seen."""
    bars = [one for one in parse(chart).iter("rect") if "bar" in one.get("class", "")]
    assert all(float(bar.get("width", 0)) >= 1 and float(bar.get("height", 0)) >= 1 for bar in bars)
    return bars


def images_of(bars: list[ElementTree.Element]) -> int:
    texts = [bar.findtext("title", "") for bar in bars]
    return sum(int(found[1].replace(",", "")) for text in texts if (found := re.search(r"([0-9,]+) images?", text)))


@given(NUMBERS)
def test_histogram_shows_every_image(steps: list[int]) -> None:
    grid = Grid.of(np.array(steps, np.int64)[:, None], MOST_BINS)
    assert images_of(bars_of(number_charts.bins(histogram_of(grid, UNIT), "prediction"))) == len(steps)


@given(st.lists(st.tuples(*[st.integers(-(2**40), 2**40)] * 2), min_size=1, max_size=40))
def test_predictions_against_labels_show_every_image(points: list[tuple[int, int]]) -> None:
    grid = Grid.of(np.array(points, np.int64), MOST_PAIRS)
    assert images_of(bars_of(number_charts.pairs(pair_bins(grid, UNIT)))) == len(points)


@pytest.mark.parametrize("n", [1, 2, 10, 286])
def test_few_predictions_are_as_visible_as_many(n: int) -> None:
    """Each has a cell of its own then, as narrow as the unit."""
    random = np.random.default_rng(n)
    label = random.uniform(0, 80, n)
    points = np.rint(np.stack([label, label + random.normal(0, 3, n)], 1) / UNIT).astype(np.int64)
    bars = bars_of(number_charts.pairs(pair_bins(Grid.of(points, MOST_PAIRS), UNIT)))
    assert images_of(bars) == n
    if n > 2:
        assert min(float(bar.get("width", 0)) for bar in bars) > 3


def test_bins_of_a_norm_stay_as_they_are_and_can_be_seen() -> None:
    bins = [{"from": 2.0**i, "to": 2.0 ** (i + 1), "images": i + 11} for i in range(-10, 11)]
    bars = bars_of(number_charts.bins(bins, "norm"))  # type: ignore[arg-type]
    assert len(bars) == len(bins)
