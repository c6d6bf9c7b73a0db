"""Images that are odd whatever the model says of them: dark, light, blank, of little information, of odd shape or size.

The rules are those of CleanVision (https://github.com/cleanlab/cleanvision), where the columns of a row allow them:

    dark             the 99th percentile of the luma is below 0.32
    light            the 5th percentile of the luma is above 0.95
    blank            contrast below 0.01, 2.5 grey levels: of one color but for noise; a rule of ours
    low_information  entropy below 1.5 bits, as cleanlab's Datalab asks; CleanVision alone asks for 3
    odd_aspect       the shorter side is less than 0.35 of the longer one
    odd_size         the square root of the area is more than 10 times the median's, or less than a tenth

A row has no percentiles: they are taken as those of a normal distribution with the luma's mean and deviation. What more
than a tenth of an archive is, is usual there and nothing odd: Datalab says so as well. Must not know where rows lie.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Kind = Literal["dark", "light", "blank", "low_information", "odd_aspect", "odd_size"]
KINDS: tuple[Kind, ...] = get_args(Kind)

DARK, LIGHT, BLANK, LOW_INFORMATION, ODD_ASPECT, ODD_SIZE = 0.32, 0.95, 0.01, 1.5, 0.35, 10.0
"""The limits of the rules, see the module."""

MOST_SHARE = 0.1
"""Share of the images, at most, that may be of a kind for it to be odd."""

EXAMPLES = 6
"""Images of a kind that are named, at most: those that are so most of all."""

COLUMNS = ("key", "width", "height", "brightness", "contrast", "entropy")
"""Names of the columns that are looked at; any but the first may be absent."""

_HIGH, _LOW = 2.3263, 1.6449
"""Deviations from the mean to the 99th percentile, and to the 5th, of a normal distribution."""

_STEPS = 32
"""Bins of the image's area an octave: the bins of the square root of the area are 1.1 % wide."""

Named = tuple[tuple[float, str], ...]
"""Images with how far they are of a kind, the smaller the more, and their keys; sorted."""

_Values = npt.NDArray[np.float64]


class OddKind(TypedDict):
    """How many images are odd in one way.

    `is_usual`: they are so many that this is what the archive is like. `examples`: keys, those first that are most so.
    """

    kind: Kind
    images: int
    measured: int
    is_usual: bool
    examples: list[str]


@dataclass(frozen=True)
class Found:
    """Images of one kind.

    Attributes:
        measured: images whose columns tell whether they are of it.
        images: how many of them are.
        named: some of them; of "odd_size" the smallest of all measured ones.
        largest: of "odd_size": the largest of all measured ones, by the negative of their size.
        areas: of "odd_size": bin of the area -> images.
    """

    measured: int = 0
    images: int = 0
    named: Named = ()
    largest: Named = ()
    areas: Mapping[int, int] = field(default_factory=dict)

    def merge(self, other: Found) -> Found:
        """Return both together."""
        return Found(
            self.measured + other.measured,
            self.images + other.images,
            _first((*self.named, *other.named)),
            _first((*self.largest, *other.largest)),
            dict(Counter(self.areas) + Counter(other.areas)),
        )


@dataclass(frozen=True)
class OddImages:
    """Sums over rows: which images are odd. `OddImages()` is the identity of `merge`.

    Attributes:
        found: kind -> its images; None: some rows lack the columns, so it was not measured, also after any merge.

    >>> rows = pa.table({"key": ["a", "b"], "width": [400, 40], "height": [100, 40]})
    >>> [(one["kind"], one["examples"]) for one in compute(measure(rows)) if one["images"]]
    [('odd_aspect', ['a'])]
    """

    found: Mapping[Kind, Found | None] = field(default_factory=dict)

    def merge(self, other: OddImages) -> OddImages:
        """Return the sums over both."""
        return OddImages({kind: _both(self.found, other.found, kind) for kind in {**self.found, **other.found}})


def _both(one: Mapping[Kind, Found | None], other: Mapping[Kind, Found | None], kind: Kind) -> Found | None:
    ours, theirs = one.get(kind, Found()), other.get(kind, Found())
    return None if ours is None or theirs is None else ours.merge(theirs)


def measure(rows: pa.Table) -> OddImages:
    """Return the sums over rows.

    Args:
        rows: with COLUMNS. A column that is absent is not measured; a row in which one is null counts for no kind that
            needs it.
    """
    rules: Mapping[Kind, tuple[Sequence[str], Callable[..., _Values], float]] = {
        "dark": (("brightness", "contrast"), lambda mean, deviation: mean + _HIGH * deviation, DARK),
        "light": (("brightness", "contrast"), lambda mean, deviation: _LOW * deviation - mean, -LIGHT),
        "blank": (("contrast",), lambda deviation: deviation, BLANK),
        "low_information": (("entropy",), lambda bits: bits, LOW_INFORMATION),
        "odd_aspect": (("width", "height"), lambda w, h: np.minimum(w, h) / np.maximum(w, h), ODD_ASPECT),
    }
    found: dict[Kind, Found | None] = {}
    for kind, (names, value, limit) in rules.items():
        columns = _columns(rows, names)
        if columns is None:
            found[kind] = None
            continue
        keys, numbers = columns
        values = value(*numbers)
        chosen = np.flatnonzero(values < limit)
        found[kind] = Found(len(values), len(chosen), _named(values[chosen], keys.take(pa.array(chosen))))
    return OddImages({**found, "odd_size": _sizes(rows)})


def _sizes(rows: pa.Table) -> Found | None:
    columns = _columns(rows, ("width", "height"))
    if columns is None:
        return None
    keys, (widths, heights) = columns
    areas = widths * heights
    bins, counts = np.unique(np.floor(_STEPS * np.log2(areas)).astype(np.int64), return_counts=True)
    by_bin = dict(zip(bins.tolist(), counts.tolist(), strict=True))
    return Found(len(areas), 0, _named(areas, keys), _named(-areas, keys), by_bin)


def _columns(rows: pa.Table, names: Sequence[str]) -> tuple[pa.ChunkedArray, list[_Values]] | None:
    """Return the keys of the rows in which no column is null, and these columns; None: one is absent."""
    if not set(names) <= set(rows.column_names):
        return None
    known = rows.select(["key", *names]).drop_null()
    numbers = [np.asarray(pc.cast(known[name], pa.float64()), np.float64) for name in names]
    return known["key"], numbers


def _named(values: _Values, keys: pa.ChunkedArray) -> Named:
    """Return the images with the smallest values, EXAMPLES at most; of equal ones those whose keys come first."""
    if len(values) > EXAMPLES:
        limit = np.partition(values, EXAMPLES - 1)[EXAMPLES - 1]
        chosen = np.flatnonzero(values <= limit)
        values, keys = values[chosen], keys.take(pa.array(chosen))
    return _first(tuple(zip(values.tolist(), keys.to_pylist(), strict=True)))


def _first(named: Named) -> Named:
    return tuple(sorted(named)[:EXAMPLES])


def compute(sums: OddImages) -> list[OddKind]:
    """Return what is odd, in the order of KINDS; a kind that was not measured is not there."""
    odd: list[OddKind] = []
    for kind in KINDS:
        found = sums.found.get(kind)
        if found is None:
            continue
        images, named = _odd_sizes(found) if kind == "odd_size" else (found.images, [key for _, key in found.named])
        is_usual = images > MOST_SHARE * found.measured
        odd.append(
            {"kind": kind, "images": images, "measured": found.measured, "is_usual": is_usual, "examples": named}
        )
    return odd


def _odd_sizes(found: Found) -> tuple[int, list[str]]:
    """Return how many images are far from the median's size, and the keys of some: the farthest first."""
    if not found.areas:
        return 0, []
    middle, seen = 0, 0
    for one in sorted(found.areas):
        seen += found.areas[one]
        if 2 * seen >= found.measured:
            middle = one
            break
    far = 2 * math.log2(ODD_SIZE) * _STEPS  # of the area, which is the square
    images = sum(count for one, count in found.areas.items() if abs(one - middle) > far)
    every = {key: abs(area) for area, key in (*found.named, *found.largest)}
    distances = {key: abs(math.floor(_STEPS * math.log2(area)) - middle) for key, area in every.items()}
    named = sorted((-distance, key) for key, distance in distances.items() if distance > far)
    return images, [key for _, key in named[:EXAMPLES]]
