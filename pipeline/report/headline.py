"""How a page shows the headline of a task: as a share in percent, or as a number; and which of two is worse.

Must not know how the page looks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from pipeline.formatting import between, number, percent
from pipeline.metrics.headline import HEADLINES, WORDS, headline_in
from pipeline.task import Task

LEAST_REACH = 0.02
"""Difference of a share that a drawing of intervals spans at least."""


class SliceRow(TypedDict):
    """A row of the table of inputs or of folders.

    Attributes:
        name: name of the input or folder.
        figures: its figures, as in summary.json.
        value: its headline, as text.
        interval: the 95 % interval of that, as text.
        left: distance of the drawn interval from the left edge, in percent; None: there is no interval.
        width: width of the drawn interval, in percent.
        is_worse: whether the headline is surely worse than that of all images.
    """

    name: str
    figures: Mapping[str, Any]
    value: str
    interval: str
    left: float | None
    width: float
    is_worse: bool


class SliceTable(TypedDict):
    """The table of inputs or of folders.

    Attributes:
        kind: "input" or "folder".
        rows: the rows of the table.
        low: headline at the left edge of the drawn intervals, as text.
        high: headline at the right edge, as text.
        whole: distance of the headline of all images from the left edge, in percent; None: there is none.
        depth: depth at which folders were cut; None: they were not.
    """

    kind: str
    rows: list[SliceRow]
    low: str
    high: str
    whole: float | None
    depth: int | None


@dataclass(frozen=True)
class Headline:
    """The headline of a task, as a page shows it.

    Attributes:
        task: what the model says of an image.
    """

    task: Task

    @property
    def word(self) -> str:
        """Name of the headline in words; "": the task has none."""
        return WORDS.get(HEADLINES[self.task], "")

    @property
    def is_error(self) -> bool:
        """Whether a larger one is worse."""
        return self.task == "value"

    @property
    def worse(self) -> str:
        """What is said of one that is surely worse."""
        return "larger" if self.is_error else "lower"

    def text(self, value: float | None) -> str:
        """Return a headline as text."""
        return number(value) if self.is_error else percent(value)

    def between(self, interval: Sequence[float] | None) -> str:
        """Return the interval of a headline as text."""
        if interval is None or not self.is_error:
            return between(list(interval) if interval else None)
        return f"{number(interval[0])} to {number(interval[1])}"

    def is_worse(self, part: Mapping[str, Any], whole: Mapping[str, Any]) -> bool:
        """Return whether the interval of a part of the archive lies beyond that of all images, on the worse side."""
        return self.is_interval_worse(headline_in(part, self.task)[1], headline_in(whole, self.task)[1])

    def is_interval_worse(self, own: Sequence[float] | None, other: Sequence[float] | None) -> bool:
        """Return whether an interval lies beyond another on the worse side; False if one is not known."""
        if own is None or other is None:
            return False
        return bool(own[0] > other[1] if self.is_error else own[1] < other[0])

    def table(
        self, kind: str, parts: Sequence[tuple[str, Mapping[str, Any]]], whole: Mapping[str, Any], depth: int | None
    ) -> SliceTable:
        """Return the table of inputs or of folders.

        Args:
            kind: "input" or "folder".
            parts: name and figures of each.
            whole: figures of all images.
            depth: depth at which folders were cut; None: they were not.
        """
        intervals = [headline_in(part, self.task)[1] for _, part in parts]
        low, high = self._edges([interval for interval in intervals if interval])
        scale = 100 / ((high - low) or 1)
        rows: list[SliceRow] = [
            {
                "name": name,
                "figures": part,
                "value": self.text(headline_in(part, self.task)[0]),
                "interval": self.between(interval),
                "left": (interval[0] - low) * scale if interval else None,
                "width": (interval[1] - interval[0]) * scale if interval else 0.0,
                "is_worse": self.is_worse(part, whole),
            }
            for (name, part), interval in zip(parts, intervals, strict=True)
        ]
        value = headline_in(whole, self.task)[0]
        edges = (number(low), number(high)) if self.is_error else (percent(low, 0), percent(high, 0))
        drawn = None if value is None else (value - low) * scale
        return {"kind": kind, "rows": rows, "low": edges[0], "high": edges[1], "whole": drawn, "depth": depth}

    def _edges(self, intervals: Sequence[Sequence[float]]) -> tuple[float, float]:
        """Return the headlines at the edges of a drawing of intervals."""
        if self.is_error:
            return 0.0, max((interval[1] for interval in intervals), default=1.0) or 1.0
        return math.floor(100 * min([1 - LEAST_REACH, *(interval[0] for interval in intervals)])) / 100, 1.0
