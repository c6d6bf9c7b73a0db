"""This module draws numbers that are no shares: histograms, counts, and predictions against labels.

Pure functions that return SVG for a page, as in `pipeline.report.charts`. Must not know what the page says about it.
"""

from __future__ import annotations

import math
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


def bins(histogram: Sequence[Bin], below: str) -> Markup | None:
    """Return the histogram of numbers; None of nothing.

    Bins far from all others are left out, and the description says how many images they hold.

    Args:
        histogram: the bins that hold images, the lowest first.
        below: name of the axis of the numbers.
    """
    if not histogram:
        return None
    shown = _without_ends(histogram)
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
    low = min(min(cell["label"], cell["prediction"]) for cell in cells)
    high = max(max(cell["label"], cell["prediction"]) + cell["width"] for cell in cells)
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
