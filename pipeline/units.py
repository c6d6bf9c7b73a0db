"""The work unit: a bounded, named piece of the archive that is planned, retried, committed, resumed and verified.

Owns its identity and its coding. Must not know how an archive is cut or read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.options import ScoreOptions

RULES = 2
"""Number of the rules by which rows are made of the same images, options and model; this version knows no later ones.

1: as the first versions read labels. 2: one meaning of a label, of a name and of "no image", whatever carries it.
"""

UNIT_BYTES = 256 << 20
"""Encoded bytes in a work unit, at most, unless one image alone is larger."""

FIRST_OPTIONS = ("label_source", "format", "top_k", "max_pixels", "image_key", "label_key", "label_offset", "precision")
"""The options of format 1 that change a row: they always enter the identity of a unit."""

LATER_OPTIONS: Mapping[str, Any] = {
    "engine": "tensorflow",
    "labels_are": "auto",
    "columns": "none",
    "slice": None,
    "exif": False,
    "pixel_facts": False,
    "file_column": None,
    "label_column": None,
    "zip_encoding": None,
    "bands": "",
    "background": "",
}
"""The options added later that change a row -> the value that older runs had.

One enters the identity of a unit only where it has another value, so older ids stay. A record without one was written
before the option was there, and means that value.
"""

ROW_OPTIONS = (*FIRST_OPTIONS, *LATER_OPTIONS)
"""The options that change a row, and so the identity of a unit."""


@dataclass(frozen=True)
class WorkUnit:
    """One piece of the archive: planned, read, scored, committed, retried and verified as a whole.

    A unit is either *image files* or *a stretch of one container*.

    Image files: `source` is "images". `locations`, `sizes` and `versions` are columns with one entry an image, in the
    order of the unit's rows. `images` is their length, `first` is 0 and `span` is (0, 0).

    >>> files = WorkUnit("", "images", ("/a/1.png", "/a/2.png"), (700, 900), (11, 12), images=2)
    >>> files.bytes
    1600

    A stretch of a container: `source` is "tfrecord", "tar", "zip", "idx", "parquet" or "numpy". The first entry of
    the columns is the container; an IDX file or a NumPy array may have a second one, the file of its labels. The unit
    reads the bytes `span` of the container, and its first row is image number `first` of the container, or of its array
    in a .npz. `images` is None if only reading the unit to its end tells how many there are, as in a compressed tar;
    `span` is then the whole container.

    >>> stretch = WorkUnit("", "tar", ("/a/x.tar",), (9000,), (13,), images=3, first=5, span=(2560, 7168))
    >>> stretch.bytes
    4608

    Planning gives a unit its id last. Whatever changes a row changes the id; the number of the input does not.

    >>> from dataclasses import replace
    >>> options = ScoreOptions(("/a",), "model", "night", engine="tensorflow")
    >>> def named(unit):
    ...     return replace(unit, id=unit_id(unit, "c0ffee", options))
    >>> named(files).id
    '15a8e2e81dd522382bcdaa1628ad7437'
    >>> named(files) == named(named(files)), named(files).id == named(replace(files, input=1)).id
    (True, True)
    >>> named(files).id == named(replace(files, versions=(11, 99))).id
    False

    A unit travels, and is pinned in the plan, as one line of JSON.

    >>> WorkUnit.from_json(named(stretch).to_json()) == named(stretch)
    True

    Attributes:
        id: 32 hex digits, see `unit_id`; "" until the unit has one.
        source: kind of the source that reads it.
        locations: the objects it reads.
        sizes: their bytes.
        versions: their mtime in ns, or their GCS generation; reading another version fails.
        images: number of its rows, None if that is not known.
        first: number in the container of its first image, from 0.
        span: bytes [start, stop) of the container.
        index: what its source noted while planning, as columns by name. Image files may have "label", and "more":
            the columns that pass through to the rows, as a mapping of their own from their names; of a container only
            the module of its kind knows the columns.
        input: number of the run's input that it comes from; not part of its identity.

    Raises:
        ValueError: the columns `locations`, `sizes` and `versions` are of different lengths.
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
        """Number of encoded bytes that it reads."""
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

    Those of format 1 are always there; a later one only where older runs had another value.

    Raises:
        ValueError: the engine is not chosen yet, see `pipeline.scoring.prepare`.
    """
    if options.engine == "auto":
        raise ValueError("units have no identity before the engine is chosen: it is still 'auto'")
    values = {name: getattr(options, name) for name in FIRST_OPTIONS}
    later = {name: getattr(options, name) for name in LATER_OPTIONS}
    return values | {name: value for name, value in later.items() if value != LATER_OPTIONS[name]}


def unit_id(unit: WorkUnit, model_id: str, options: ScoreOptions, rules: int = RULES) -> str:
    """Return the identity of a unit: 128 bits of a SHA-256, as hex.

    It covers the objects (full location, size, version), the piece of the container, the model, the options that
    change a row, and the rules: the same objects, unchanged, and the same model give the same id on any day.

    Args:
        unit: that is named; its own `id` and `input` do not count.
        model_id: of the model.
        options: of the run.
        rules: by which its rows are made; those of an older OUTPUT are 1, which does not enter the id.
    """
    identity = {
        "source": unit.source,
        "objects": [unit.locations, unit.sizes, unit.versions],
        "piece": [unit.first, unit.images, unit.span],
        "labels": unit.index.get("label"),
        "model": model_id,
        "options": row_options(options),
        **({"rules": rules} if rules > 1 else {}),
        **({"more": unit.index["more"]} if "more" in unit.index else {}),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode("ascii")).hexdigest()[:32]
