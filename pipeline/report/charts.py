"""This module draws numbers as charts: pure functions that return SVG for a page.

The page's style sheet colors them: text is `currentColor`, and each shape has a class (`one`, `two`, `grid`, `ideal`,
...), so that a chart can be read on a light page, on a dark one and in print. Must not know what the page says about
it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.formatting import percent
from pipeline.metrics.figures import CalibrationBin
from pipeline.text import brief, plain

WIDTH, HEIGHT = 460, 260
"""Size of a chart in its own units; a page shows it as wide as there is room."""

FEWEST = 4
"""Number of points without which a course is not drawn."""

LONGEST_SHOWN = 60
"""Number of characters of a name that a chart shows."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 20, 12, 40
"""Widths of the margins around the area of a chart, in the chart's units."""

_LEAST = -4
"""Power of ten at which the shares of a histogram start: one image of 10,000."""


@dataclass(frozen=True)
class Frame:
    """The area of a chart.

    Attributes:
        across: the values at its left and right edge.
        up: the values at its lower and upper edge.

    >>> frame = Frame((0, 1), (0, 1))
    >>> round(frame.x(0)), round(frame.x(1)), round(frame.y(0)), round(frame.y(1))
    (52, 440, 220, 12)
    """

    across: tuple[float, float]
    up: tuple[float, float]

    def x(self, value: float) -> float:
        """Return the distance of a value from the left, in the chart's units."""
        low, high = self.across
        return _LEFT + (value - low) / ((high - low) or 1) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Return the distance of a value from the top, in the chart's units."""
        low, high = self.up
        return HEIGHT - _BOTTOM - (value - low) / ((high - low) or 1) * (HEIGHT - _TOP - _BOTTOM)

    def points(self, values: Sequence[tuple[float, float]]) -> str:
        """Return points in the notation of SVG."""
        return " ".join(f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in values)


def reliability(bins: Sequence[CalibrationBin]) -> Markup:
    """Return the reliability diagram: how often the model is right, by how sure it is.

    Args:
        bins: the bins of the winner's probability, as in summary.json.
    """
    frame = Frame((0, 1), (0, 1))
    most = max((b["images"] for b in bins), default=0)
    ticks = [(v / 4, percent(v / 4, 0)) for v in range(5)]
    body = draw_axes(frame, ticks, ticks, "score of the predicted class", "of these right")
    body += draw_line(frame, [(0, 0), (1, 1)], "ideal")
    for b in (b for b in bins if b["images"]):
        accuracy, confidence = b["accuracy"] or 0.0, b["confidence"] or 0.0
        text = f"score {percent(confidence)}: {percent(accuracy)} of {b['images']:,} images right"
        strong = 0.45 + 0.55 * math.sqrt(b["images"] / most)
        body += draw_bar(frame, (b["from"], b["to"]), 0, accuracy, "one", text, strong)
        middle, half = frame.x(confidence), 5
        y = frame.y(confidence)
        body += Markup('<path class="mark" d="M{:.1f} {:.1f}h{}"/>').format(middle - half, y, 2 * half)
    return draw_chart("Reliability diagram", "Bars: share of right predictions; dashed: perfectly calibrated.", body)


def histogram(counts: Sequence[int], reference: Sequence[int] | None = None) -> Markup:
    """Return the histogram of scores: the share of images in each bin, on a logarithmic scale.

    Args:
        counts: number of images in each bin; the bins are of equal width over [0, 1].
        reference: the same for other images, drawn as a line; None: there are no others.
    """
    frame = Frame((0, 1), (_LEAST, 0))
    ticks = [(v / 4, percent(v / 4, 0)) for v in range(5)]
    body = draw_axes(frame, ticks, [(p, f"{100 * 10.0**p:g} %") for p in range(_LEAST, 1)], "score", "of the images")
    total, n = max(1, sum(counts)), len(counts)
    for i, images in enumerate(counts):
        if images:
            text = (
                f"score {percent(i / n, 0)} to {percent((i + 1) / n, 0)}: {images:,} images, {percent(images / total)}"
            )
            body += draw_bar(frame, (i / n, (i + 1) / n), _LEAST, _log(images / total), "one", text)
    if reference and sum(reference):
        heights = [_log(images / sum(reference)) for images in reference]
        steps = [(x / n, height) for i, height in enumerate(heights) for x in (i, i + 1)]
        body += draw_line(frame, steps, "two")
    return draw_chart("Images by score", "Bars: share of the images, on a logarithmic scale.", body)


def course(points: Sequence[Sequence[float]]) -> Markup | None:
    """Return the chart of images per second over the time of a run; None if it has fewer than FEWEST points.

    Args:
        points: (seconds since 1970, images per second).
    """
    if len(points) < FEWEST:
        return None
    start = points[0][0]
    values = [(at - start, rate) for at, rate in points]
    longest, highest = values[-1][0], max(rate for _, rate in values)
    divide, unit = next(
        (d, u) for d, u in ((3600, "hours"), (60, "minutes"), (1, "seconds")) if longest >= 2 * d or d == 1
    )
    frame = Frame((0, longest), (0, round_above(highest)))
    across = [(v * divide, f"{v:g}") for v in round_ticks(0, longest / divide)]
    up = [(v, short_number(v)) for v in round_ticks(0, round_above(highest))]
    body = draw_axes(frame, across, up, unit, "images/s")
    area = frame.points([(0, 0), *values, (longest, 0)])
    body += Markup('<polygon class="area" points="{}"/>').format(area) + draw_line(frame, values, "line one")
    return draw_chart("Images per second", f"From the first committed images on; at most {highest:,.0f}.", body)


def curves(
    name: str, series: Mapping[str, Sequence[float]], are_shares: bool = False, marked: int | None = None
) -> Markup:
    """Return the chart of one or two lines over epochs, which count from 1.

    Args:
        name: name of what is measured.
        series: name of a line -> one value for each epoch; at most two lines of the same length.
        are_shares: True: the values are shares, and the axis is in percent; False: they are plain numbers.
        marked: number of an epoch, from 1, at which an upright line stands; None: there is no such line.
    """
    name, series = _short_name(name), {_short_name(title): line for title, line in series.items()}
    values = [v for line in series.values() for v in line if math.isfinite(v)] or [0.0]
    low, high = min(values), max(values)
    margin = 0.06 * ((high - low) or abs(high) or 1)
    low = max(0.0, low - margin)
    high = min(1.0, high + margin) if are_shares else high + margin
    epochs = max(len(line) for line in series.values())
    frame = Frame((0.5, epochs + 0.5), (low, high))
    across = [(v, f"{v:g}") for v in round_ticks(1, epochs) if v == int(v)]
    up = [(v, f"{100 * v:.4g} %" if are_shares else f"{v:.4g}") for v in round_ticks(low, high)]
    body = draw_axes(frame, across, up, "epoch", name)
    if marked is not None:
        body += draw_line(frame, [(marked, low), (marked, high)], "ideal")
    for kind, (title, line) in zip(("one", "two"), series.items(), strict=False):
        points = [(i, v) for i, v in enumerate(line, 1) if math.isfinite(v)]
        body += draw_line(frame, points, f"line {kind}")
        for i, v in points if epochs <= 60 else ():
            text = percent(v) if are_shares else f"{v:.4f}"
            place = (frame.x(i), frame.y(v))
            dot = '<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="3"><title>{}, epoch {}: {}</title></circle>'
            body += Markup(dot).format(kind, *place, title, i, text)
    return draw_chart(name, "By epoch: " + ", ".join(series) + ".", body)


def _short_name(name: str) -> str:
    return brief(plain(name), LONGEST_SHOWN)


def draw_chart(title: str, description: str, body: Markup) -> Markup:
    """Return a chart around what is drawn in it."""
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img"><title>{}</title><desc>{}</desc>{}</svg>').format(
        WIDTH, HEIGHT, title, description, body
    )


def draw_axes(
    frame: Frame, across: Sequence[tuple[float, str]], up: Sequence[tuple[float, str]], below: str, beside: str
) -> Markup:
    """Return the grid, the ticks and the names of the axes."""
    parts = []
    for value, text in up:
        y = frame.y(value)
        parts.append(Markup('<path class="grid" d="M{} {:.1f}H{}"/>').format(_LEFT, y, WIDTH - _RIGHT))
        parts.append(Markup('<text class="end" x="{}" y="{:.1f}">{}</text>').format(_LEFT - 6, y + 4, text))
    for value, text in across:
        x = frame.x(value)
        parts.append(Markup('<text class="middle" x="{:.1f}" y="{}">{}</text>').format(x, HEIGHT - _BOTTOM + 16, text))
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(Markup('<text class="middle" x="{}" y="{}">{}</text>').format(middle, HEIGHT - 5, below))
    title = '<text class="middle" transform="translate(11 {}) rotate(-90)">{}</text>'
    parts.append(Markup(title).format((_TOP + HEIGHT - _BOTTOM) / 2, beside))
    return Markup("").join(parts)


def draw_bar(
    frame: Frame, across: tuple[float, float], bottom: float, top: float, kind: str, text: str, opacity: float = 1
) -> Markup:
    """Return a bar between two values of each axis, whose text appears when it is pointed at."""
    x, width = frame.x(across[0]) + 1, max(1, frame.x(across[1]) - frame.x(across[0]) - 2)
    y, base = min(frame.y(top), frame.y(bottom) - 1), frame.y(bottom)
    place = 'x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" opacity="{:.2f}"'
    bar = f'<rect class="bar {{}}" {place}><title>{{}}</title></rect>'
    return Markup(bar).format(kind, x, y, width, base - y, opacity, text)


def draw_line(frame: Frame, points: Sequence[tuple[float, float]], kind: str) -> Markup:
    """Return a line through points."""
    return Markup('<polyline class="{}" points="{}"/>').format(kind, frame.points(points))


def _log(share: float) -> float:
    return max(_LEAST, math.log10(share)) if share > 0 else _LEAST


def round_ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers between two.

    >>> round_ticks(0, 100), round_ticks(1, 5)
    ([0, 20, 40, 60, 80, 100], [1, 2, 3, 4, 5])
    """
    step = _round_step((high - low) / 5) if high > low else 1.0
    first = math.ceil(low / step - 1e-9)
    ticks = [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]
    return [int(v) if v == int(v) else v for v in ticks]


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return float(next(m * power for m in (1, 2, 5, 10) if m * power >= least * 0.999))


def round_above(value: float) -> float:
    """Return a round number that is at least the value."""
    step = _round_step((value or 1) / 4)
    return math.ceil((value or 1) / step) * step


def short_number(value: float) -> str:
    """Return a number as text of few characters.

    >>> short_number(25000), short_number(1500000), short_number(12)
    ('25k', '1.5M', '12')
    """
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
