"""Charts are well-formed SVG, and what they draw is what the numbers say."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from pipeline.report.charts import HEIGHT, WIDTH, course, curves, histogram, reliability

SVG = {"svg", "title", "desc", "path", "text", "rect", "circle", "polyline", "polygon"}


def parse(chart: Markup | None) -> ElementTree.Element:
    """Parse a chart; everything in it lies within it and has the page's colors."""
    assert chart is not None
    root = ElementTree.fromstring(chart)
    assert {element.tag for element in root.iter()} <= SVG
    assert root.find("title") is not None
    assert root.find("desc") is not None
    assert root.get("role") == "img"
    assert not re.search(r"fill=|stroke=|style=|#[0-9a-f]{3}|nan|inf", chart)
    for element in root.iter():
        for name, most in (("x", WIDTH), ("cx", WIDTH), ("y", HEIGHT), ("cy", HEIGHT)):
            assert 0 <= float(element.get(name, 0)) <= most
        assert float(element.get("x", 0)) + float(element.get("width", 0)) <= WIDTH
        assert float(element.get("y", 0)) + float(element.get("height", 0)) <= HEIGHT
        for x, y in points(element):
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT
    return root


def points(element: ElementTree.Element) -> list[tuple[float, float]]:
    pairs = [pair.split(",") for pair in element.get("points", "").split()]
    return [(float(x), float(y)) for x, y in pairs]


def heights(root: ElementTree.Element) -> list[float]:
    return [float(bar.get("height", 0)) for bar in root.iter("rect")]


def titles(root: ElementTree.Element) -> list[str]:
    return [(title.text or "").replace("\xa0", " ") for title in root.iter("title")][1:]


def texts(root: ElementTree.Element) -> list[str]:
    return [(text.text or "").replace("\xa0", " ") for text in root.iter("text")]


def test_reliability_draws_a_bar_for_each_bin_with_images() -> None:
    bins = [
        {"from": 0.0, "to": 0.25, "images": 0, "accuracy": None, "confidence": None},
        {"from": 0.5, "to": 0.75, "images": 100, "accuracy": 0.25, "confidence": 0.7},
        {"from": 0.75, "to": 1.0, "images": 1, "accuracy": 1.0, "confidence": 0.9},
    ]
    root = parse(reliability(bins))
    low, high = heights(root)
    assert low == pytest.approx(high / 4, abs=0.1)
    strong, weak = (float(bar.get("opacity", 1)) for bar in root.iter("rect"))
    assert strong == 1 > weak
    assert titles(root) == [
        "score 70.00 %: 25.00 % of 100 images right",
        "score 90.00 %: 100.00 % of 1 images right",
    ]


def test_reliability_of_nothing_has_axes_only() -> None:
    assert heights(parse(reliability([]))) == []


def test_histogram_draws_shares_on_a_logarithmic_scale() -> None:
    root = parse(histogram([0, 1, 0, 10, 100, 9_889]))
    lowest, tenth, most = (heights(root)[i] for i in (0, 1, 3))
    assert lowest <= 1
    assert tenth == pytest.approx(most / 4, rel=0.01)
    assert titles(root)[0] == "score 17 % to 33 %: 1 images, 0.01 %"
    assert {"100 %", "1 %", "0.01 %"} <= set(texts(root))


def test_histogram_draws_its_reference_as_a_line() -> None:
    root = parse(histogram([1, 9], [5, 5]))
    (line,) = root.iter("polyline")
    assert len({y for _, y in points(line)}) == 1
    assert [x for x, _ in points(line)] == sorted(x for x, _ in points(line))
    assert list(parse(histogram([1, 9], [0, 0])).iter("polyline")) == []
    assert list(parse(histogram([0, 0])).iter("rect")) == []


@pytest.mark.parametrize(
    ("step", "n", "unit"), [(1, 10, "seconds"), (1, 100, "seconds"), (4, 100, "minutes"), (256, 86, "hours")]
)
def test_course_runs_from_its_start_in_a_fitting_unit(step: int, n: int, unit: str) -> None:
    root = parse(course([(1_795_416_907 + step * i, 100.0 * (i % 3)) for i in range(n)]))
    (line,) = root.iter("polyline")
    assert len(points(line)) == n
    assert unit in texts(root)
    assert points(line)[0][1] > points(line)[2][1]


def test_course_of_few_points_is_no_chart() -> None:
    assert course([(1_795_416_907 + i, 100.0) for i in range(3)]) is None
    assert course([]) is None
    parse(course([(i, 0.0) for i in range(4)]))


@pytest.mark.parametrize("epochs", [1, 2, 5, 200])
def test_curves_have_a_point_an_epoch(epochs: int) -> None:
    falling = [1 / (i + 1) for i in range(epochs)]
    root = parse(curves("loss", {"training": falling, "validation": [v + 0.1 for v in falling]}))
    one, two = root.iter("polyline")
    assert len(points(one)) == len(points(two)) == epochs
    assert [y for _, y in points(one)] == sorted(y for _, y in points(one))
    assert all(b < a for (_, a), (_, b) in zip(points(one), points(two), strict=True))
    if epochs == 5:
        assert titles(root)[0] == "training, epoch 1: 1.0000"
        assert texts(root).count("5") == 1


def test_curves_of_shares_are_in_percent_and_stay_below_all() -> None:
    root = parse(curves("accuracy", {"training": [0.5, 1.0]}, are_shares=True))
    assert "100 %" in texts(root)
    assert not {text for text in texts(root) if text.endswith("%") and float(text[:-2]) > 100}


def test_curves_leave_out_what_is_no_number() -> None:
    root = parse(curves("loss", {"training": [1.0, math.nan, math.inf, 0.5]}))
    (line,) = root.iter("polyline")
    assert len(points(line)) == 2


def test_hostile_name_is_text() -> None:
    root = parse(curves("</svg><script>\x1b", {"<b>": [1.0]}))
    assert "</svg><script>" in (root.findtext("title") or "")
