"""This module draws numbers that are no shares: histograms, counts, and predictions against labels.

Pure functions that return SVG for a page, as in `pipeline.report.charts`. Must not know what the page says about it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from pipeline.formatting import counted, percent
from pipeline.metrics.task_figures import Bin, PairBin
from pipeline.report.charts import (
    Frame,
    draw_axes,
    draw_bar,
    draw_chart,
    draw_line,
    round_above,
    round_ticks,
    short_number,
)

RARE = 0.002
"""Share of the images at each end of a histogram that may lie outside of it, so that a few do not hide the others."""

MOST_ACROSS = 48
"""Number of bars, or of cells on an axis, that a chart has room for; narrower ones could not be seen."""


def bins(histogram: Sequence[Bin], below: str) -> Markup | None:
    """Return the histogram of numbers; None of nothing.

    Bins far from all others are left out, and the description says how many images they hold.

    Args:
        histogram: the bins that hold images, the lowest first.
        below: name of the axis of the numbers.
    """
    if not histogram:
        return None
    shown = _wide_enough(_without_ends(histogram))
    total = sum(b["images"] for b in histogram)
    outside = total - sum(b["images"] for b in shown)
    low, high = shown[0]["from"], shown[-1]["to"]
    most = round_above(max(b["images"] for b in shown))
    frame = Frame((low, high), (0, most))
    across = [(v, f"{v:g}") for v in round_ticks(low, high)]
    body = draw_axes(frame, across, [(v, short_number(v)) for v in round_ticks(0, most)], below, "images")
    if low < 0 < high:
        body += draw_line(frame, [(0, 0), (0, most)], "ideal")
    for b in shown:
        text = f"{b['from']:.4g} to {b['to']:.4g}: {counted(b['images'], 'image')}, {percent(b['images'] / total)}"
        body += draw_bar(frame, (b["from"], b["to"]), 0, b["images"], "one", text)
    lowest, highest = histogram[0]["from"], histogram[-1]["to"]
    rest = f" {counted(outside, 'image')} more from {lowest:.4g} to {highest:.4g} not drawn." if outside else ""
    return draw_chart(f"Images by {below}", f"Bars: number of images.{rest}", body)


def counts(images: Sequence[int], below: str) -> Markup | None:
    """Return the chart of images by a number of things; None of nothing.

    Args:
        images: number of images that have 0, 1, 2, ... of the things.
        below: name of the things.
    """
    if not sum(images):
        return None
    most = round_above(max(images))
    frame = Frame((-0.5, len(images) - 0.5), (0, most))
    across = [(v, f"{v:g}") for v in round_ticks(0, len(images) - 1) if v == int(v)]
    body = draw_axes(frame, across, [(v, short_number(v)) for v in round_ticks(0, most)], below, "images")
    for i, n in enumerate(images):
        if n:
            text = f"{i} {below}: {counted(n, 'image')}, {percent(n / sum(images))}"
            body += draw_bar(frame, (i - 0.4, i + 0.4), 0, n, "one", text)
    return draw_chart(f"Images by number of {below}", "Bars: number of images.", body)


def pairs(cells: Sequence[PairBin]) -> Markup | None:
    """Return the chart of predictions against labels; None of nothing.

    Args:
        cells: the cells that hold images; a cell is as wide as it is high.
    """
    if not cells:
        return None
    cells = _cells_wide_enough(cells)
    low, high = _reach(cells)
    frame = Frame((low, high), (low, high))
    ticks = [(v, f"{v:g}") for v in round_ticks(low, high)]
    body = draw_axes(frame, ticks, ticks, "label", "prediction")
    most = max(cell["images"] for cell in cells)
    for cell in cells:
        left, bottom, width = cell["label"], cell["prediction"], cell["width"]
        text = f"label {left:.4g} to {left + width:.4g}, prediction {bottom:.4g} to {bottom + width:.4g}: "
        strong = 0.25 + 0.75 * math.sqrt(cell["images"] / most)
        across = (left, left + width)
        body += draw_bar(frame, across, bottom, bottom + width, "one", text + counted(cell["images"], "image"), strong)
    body += draw_line(frame, [(low, low), (high, high)], "ideal")
    return draw_chart("Predictions against labels", "Darker cells hold more images; dashed: as labelled.", body)


def _without_ends(histogram: Sequence[Bin]) -> Sequence[Bin]:
    """Return the bins without the few images far out at each end."""
    few = RARE * sum(b["images"] for b in histogram)
    first, last, left, right = 0, len(histogram), 0, 0
    while left + histogram[first]["images"] <= few:
        left, first = left + histogram[first]["images"], first + 1
    while right + histogram[last - 1]["images"] <= few:
        right, last = right + histogram[last - 1]["images"], last - 1
    return histogram[first:last]


def _wide_enough(histogram: Sequence[Bin]) -> Sequence[Bin]:
    """Return bins that can be seen: of few images, each may have a bin as narrow as the unit of the sums.

    Bins that are not of one width are none of a unit, and stay.
    """
    width = histogram[0]["to"] - histogram[0]["from"]
    if any(not math.isclose(b["to"] - b["from"], width) for b in histogram):
        return histogram
    step = _step(width, histogram[-1]["to"] - histogram[0]["from"])
    images: Counter[int] = Counter()
    for b in histogram:
        images[math.floor(b["from"] / step)] += b["images"]
    return [{"from": cell * step, "to": (cell + 1) * step, "images": n} for cell, n in sorted(images.items())]


def _cells_wide_enough(cells: Sequence[PairBin]) -> list[PairBin]:
    """Return cells that can be seen, likewise."""
    low, high = _reach(cells)
    step = _step(cells[0]["width"], high - low)
    images: Counter[tuple[int, int]] = Counter()
    for cell in cells:
        images[math.floor(cell["label"] / step), math.floor(cell["prediction"] / step)] += cell["images"]
    return [
        {"label": label * step, "prediction": predicted * step, "width": step, "images": n}
        for (label, predicted), n in sorted(images.items())
    ]


def _reach(cells: Sequence[PairBin]) -> tuple[float, float]:
    """Return the smallest and the largest number that cells reach, on either axis."""
    low = min(min(cell["label"], cell["prediction"]) for cell in cells)
    return low, max(max(cell["label"], cell["prediction"]) + cell["width"] for cell in cells)


def _step(width: float, reach: float) -> float:
    """Return a width, doubled until a reach has at most MOST_ACROSS of it.

    >>> _step(0.25, 10.0), _step(0.25, 100.0)
    (0.25, 4.0)
    """
    return width * 2.0 ** max(0, math.ceil(math.log2(reach / (MOST_ACROSS * width))))
