"""What a model or a file beside it says of the input rule, each value with where it was read. Reads nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, get_args

import numpy as np

from model_import.scaling import SCALINGS, Scaling
from pipeline.model.fit import FITS
from pipeline.model.input_rule import Resize

T = TypeVar("T")


@dataclass(frozen=True)
class Told(Generic[T]):
    """A value that was read.

    Attributes:
        value: what was read.
        source: from where, as a phrase: "from the layer Rescaling 'rescaling'".
    """

    value: T
    source: str


@dataclass(frozen=True)
class Reading:
    """What one place says.

    Attributes:
        told: field -> its value: a field of `InputSpec`, "scaling", or "class_names".
        notes: lines for a person: what was seen there and cannot be expressed.
    """

    told: Mapping[str, Told[Any]] = field(default_factory=dict)
    notes: Sequence[str] = ()


def reading(source: str, values: Mapping[str, Any], notes: Sequence[str] = ()) -> Reading:
    """Return what one place says, without values that are None and without names that are unknown here."""
    known: dict[str, Sequence[str]] = {"resize": get_args(Resize), "fit": FITS}
    said = {name: value for name, value in values.items() if value is not None}
    unknown = [name for name in said if name in known and said[name] not in known[name]]
    lines = [f"{name} {said[name]!r} {source} is unknown here and was left out" for name in unknown]
    told = {name: Told(value, source) for name, value in said.items() if name not in unknown}
    return Reading(told, (*notes, *lines))


def named(scale: Sequence[float], offset: Sequence[float]) -> Scaling:
    """Return a scaling under its usual name where it has one, else as "custom".

    >>> named([1 / 127.5], [-1]).name, named([1 / 255] * 3, [0.0]).name, named([1 / 128], [-1]).name
    ('sign', 'unit', 'custom')
    """
    asked = Scaling("custom", tuple(map(float, scale)), tuple(map(float, offset)))
    return next((known for known in SCALINGS.values() if is_same(known, asked, 1e-4)), asked)


def from_mean(factor: float, mean: Sequence[float], deviation: Sequence[float]) -> Scaling:
    """Return the scaling (pixel * factor - mean) / deviation.

    >>> from_mean(1 / 255, [0.5] * 3, [0.5] * 3).name
    'sign'
    >>> from_mean(1 / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]).name
    'torch'
    """
    means, deviations = np.broadcast_arrays(np.asarray(mean, float), np.asarray(deviation, float))
    scale, offset = np.atleast_1d(factor / deviations), np.atleast_1d(-means / deviations)
    if len(set(scale.tolist())) == len(set(offset.tolist())) == 1:
        scale, offset = scale[:1], offset[:1]
    return named(scale.tolist(), offset.tolist())


def is_same(one: Scaling, other: Scaling, tolerance: float = 0.01) -> bool:
    """Return whether two scalings give the same values, within a share of their range.

    >>> is_same(SCALINGS["sign"], Scaling("custom", (1 / 128,), (-1.0,))), is_same(SCALINGS["sign"], SCALINGS["unit"])
    (True, False)
    """
    try:
        ends = [_ends(scaling) for scaling in (one, other)]
        low, high = (np.abs(ends[0][i] - ends[1][i]) for i in (0, 1))
    except ValueError:  # for other numbers of channels
        return False
    return bool(max(low.max(), high.max()) <= tolerance * np.abs(ends[0][1] - ends[0][0]).min())


def _ends(scaling: Scaling) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    scale, offset = np.array(scaling.scale), np.array(scaling.offset)
    return scale * 0 + offset, scale * 255 + offset
