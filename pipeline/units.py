"""The work unit: a bounded, named piece of the archive that is planned, retried, committed, resumed and verified.

Owns its identity and its coding. Must not know how an archive is cut or read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from pipeline.options import ScoreOptions

UNIT_BYTES = 256 << 20
"""A work unit holds at most so many encoded bytes, unless one image alone is larger."""

FIRST_OPTIONS = ("label_source", "format", "top_k", "max_pixels", "image_key", "label_key", "label_offset", "precision")
"""The options of format 1 that change a row: they always enter the identity of a unit."""

LATER_OPTIONS: tuple[str, ...] = ()
"""The options added later that change a row: one enters only where it is not at its default, so older ids stay."""

ROW_OPTIONS = (*FIRST_OPTIONS, *LATER_OPTIONS)
"""The options that change a row, and so the identity of a unit."""


@dataclass(frozen=True)
class WorkUnit:
    """One piece of the archive.

    Attributes:
        id: 32 hex digits, see `unit_id`.
        source: name of the source that reads it ("images", "tfrecord").
        locations: the objects it reads, in the order of its rows.
        sizes: their bytes.
        versions: their mtime in ns, or GCS generation.
        images: how many rows it gives; None where only reading it to its end can tell.
        first: index in the container of its first image; 0 for image files.
        span: bytes [start, stop) of the container that it reads; (0, 0) for image files.
        index: what its source noted while planning, as columns by name: one entry an image, or as the source says.
        input: which of the run's inputs it comes from; not part of its identity.
    """

    id: str
    source: str
    locations: tuple[str, ...]
    sizes: tuple[int, ...]
    versions: tuple[int, ...]
    images: int | None
    first: int = 0
    span: tuple[int, int] = (0, 0)
    index: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    input: int = 0

    def __post_init__(self) -> None:
        """Check that the columns are of one length."""
        if not len(self.locations) == len(self.sizes) == len(self.versions):
            raise ValueError(f"unit {self.id!r}: columns of different lengths")

    @property
    def bytes(self) -> int:
        """How many encoded bytes it reads."""
        return self.span[1] - self.span[0] if self.span[1] else sum(self.sizes)

    def to_json(self) -> str:
        """Return the unit as one line of JSON."""
        return json.dumps(vars(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> WorkUnit:
        """Return the unit that `to_json` wrote."""
        return cls.from_dict(json.loads(text))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> WorkUnit:
        """Return the unit from parsed JSON."""
        columns = ("locations", "sizes", "versions", "span")
        values: dict[str, Any] = {k: tuple(v) if k in columns else v for k, v in content.items()}
        return cls(**values)


def row_options(options: ScoreOptions) -> dict[str, Any]:
    """Return the options that change a row and enter the identity of a unit, by name.

    Those of format 1 are always there; a later one only where it is not at its default.
    """
    values = {name: getattr(options, name) for name in FIRST_OPTIONS}
    later = ((spec, getattr(options, spec.name)) for spec in fields(options) if spec.name in LATER_OPTIONS)
    return values | {spec.name: value for spec, value in later if value != spec.default}


def unit_id(unit: WorkUnit, model_id: str, options: ScoreOptions) -> str:
    """Return the identity of a unit: 128 bits of a SHA-256, as hex.

    It covers the objects (full location, size, version), the piece of the container, the model, and the options
    that change a row: the same objects, unchanged, and the same model give the same id on any day.
    """
    identity = {
        "source": unit.source,
        "objects": [unit.locations, unit.sizes, unit.versions],
        "piece": [unit.first, unit.images, unit.span],
        "labels": unit.index.get("label"),
        "model": model_id,
        "options": row_options(options),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode("ascii")).hexdigest()[:32]
