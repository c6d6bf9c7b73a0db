"""`Sums` are what every task counts of prediction rows; each task adds sums of its own in a subclass.

Sums form an algebra: empty, measured from rows, merged. Every sum is an integer, so that `merge` is exact, associative
and commutative. Must not know what a person reads of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.metrics.figures import FailureCount
from pipeline.metrics.grid import Grid
from pipeline.metrics.texts import Texts
from pipeline.task import Task

S = TypeVar("S", bound="Sums")


@dataclass(frozen=True)
class Sums:
    """Integer sums over prediction rows that every task has; `Sums()` is the identity of `merge` for each task.

    Attributes:
        images: number of rows.
        scored: number of rows with a prediction.
        failures: (stage, code) -> number of rows without a prediction.

    >>> Sums(images=2, scored=2).merge(Sums(images=1, failures={("read", "NOT_FOUND"): 1})).failed
    1
    """

    task: ClassVar[Task | None] = None
    """The task whose rows a subclass sums; None: of `Sums` itself, which holds what all tasks have."""

    later: ClassVar[frozenset[str]] = frozenset()
    """Names of the sums that earlier versions did not know. From a receipt without it, such a sum is None, which means
    that it was not measured, and so it is after any merge."""

    images: int = 0
    scored: int = 0
    failures: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Number of rows without a prediction."""
        return self.images - self.scored

    def failure_counts(self) -> list[FailureCount]:
        """Return how many rows failed for each reason, sorted by stage and code."""
        failures = sorted(self.failures.items())
        return [{"stage": stage, "code": code, "images": count} for (stage, code), count in failures]

    def merge(self: S, other: Sums) -> S:
        """Return the sums over both.

        Raises:
            TypeError: they are of rows of different tasks.
        """
        if type(self) is Sums and type(other) is not Sums:
            return other.merge(self)  # type: ignore[return-value]
        if type(other) not in (Sums, type(self)):
            raise TypeError(f"sums of the tasks {self.task!r} and {other.task!r} have nothing in common")
        return type(self)(
            **{f.name: _add(getattr(self, f.name), getattr(other, f.name, _NOTHING)) for f in fields(self)}
        )

    def without_later(self: S, older: Sums) -> S:
        """Return the sums without those later ones that other sums of the same task lack."""
        lacking: dict[str, Any] = {name: None for name in self.later if getattr(older, name, None) is None}
        return replace(self, **lacking)

    def to_json(self) -> dict[str, Any]:
        """Return the sums as JSON values: numbers, and sorted lists of [*key, count].

        Of classes the task is left out; a later sum that was not measured is, too.
        """
        task = {} if self.task in (None, "classes") else {"task": self.task}
        every = {f.name: getattr(self, f.name) for f in fields(self)}
        return task | {
            name: _to_json(value) for name, value in every.items() if value is not None or name not in self.later
        }

    @classmethod
    def from_json(cls: type[S], content: Mapping[str, Any]) -> S:
        """Return the sums that `to_json` wrote.

        Raises:
            KeyError: a sum is missing that every version has written.
        """
        return cls(**{f.name: cls._read(f.name, content) for f in fields(cls)})

    @classmethod
    def _read(cls, name: str, content: Mapping[str, Any]) -> Any:
        """Return one sum of those that `to_json` wrote; None if an earlier version has not measured it."""
        if name in cls.later and name not in content:
            return None
        return _from_json(content[name])


_NOTHING: Any = object()
"""Stands for a sum that the other side does not have, because it is the identity."""


def failures_in(rows: pa.Table) -> dict[tuple[str, str], int]:
    """Return (stage, code) -> number of the rows without a prediction."""
    if rows["error_code"].null_count == len(rows):
        return {}
    failed = rows.select(["error_stage", "error_code"]).filter(pc.invert(pc.equal(rows["status"], "ok")))
    return dict(Counter(zip(failed["error_stage"].to_pylist(), failed["error_code"].to_pylist(), strict=True)))


def _add(a: Any, b: Any) -> Any:
    if b is _NOTHING:
        return a
    if a is None or b is None:
        return None
    if isinstance(a, int):
        return a + b
    if isinstance(a, Mapping):
        return {key: a.get(key, 0) + b.get(key, 0) for key in a.keys() | b.keys()}
    return a.merge(b)


def _to_json(value: Any) -> Any:
    """Return a number as it is, a mapping as a sorted list of [*key, count], and what has a JSON of its own as that."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, Mapping):
        return [[*(key if isinstance(key, tuple) else (key,)), count] for key, count in sorted(value.items())]
    return value.to_json()


def _from_json(value: Any) -> Any:
    """Return what `_to_json` was given."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, Mapping):
        return Texts.from_json(value) if "texts" in value else Grid.from_json(value)
    return {tuple(row[:-1]) if len(row) > 2 else row[0]: row[-1] for row in value}
