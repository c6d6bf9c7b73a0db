"""What became of a unit: a receipt, or why it is unfinished. Knows no storage."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import google_crc32c

from pipeline.errors import DamagedPartError
from pipeline.metrics.accuracy import Metrics, measure
from pipeline.metrics.examples import COLUMNS, examples_of, failures_of
from pipeline.metrics.slices import Counts, Folders
from pipeline.metrics.timing import Spent
from pipeline.output.rows import read_part, row_schema
from pipeline.output.run import Run
from pipeline.storage.formats import FIELD, check_format, check_names, numbered
from pipeline.units import WorkUnit


@dataclass(frozen=True)
class Aside:
    """What a receipt carries that its part does not tell.

    Attributes:
        seconds: from the unit's first batch to its last.
        thumbnails: row -> PNG or JPEG file, of some of the images that the receipt names.
    """

    seconds: float = 0.0
    thumbnails: Mapping[int, bytes] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the seconds, and the pictures in base64."""
        pictures = {str(row): base64.b64encode(png).decode("ascii") for row, png in sorted(self.thumbnails.items())}
        return {"seconds": round(self.seconds, 3), "thumbnails": pictures}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Aside:
        """Return what `to_json` wrote."""
        pictures = {int(row): base64.b64decode(text) for row, text in content["thumbnails"].items()}
        return cls(content["seconds"], pictures)

    def only(self, rows: Iterable[int]) -> Aside:
        """Return the same with the pictures of some rows only."""
        return Aside(self.seconds, {row: self.thumbnails[row] for row in rows if row in self.thumbnails})


@dataclass(frozen=True)
class Receipt:
    """That a unit is done, and what came out.

    Attributes:
        unit: its id.
        rows: in its part.
        crc32c: of its part's bytes.
        metrics: sums over its rows.
        examples: images that a person should look at, see `pipeline.metrics.examples`.
        failures: examples: {row, key, stage, code, message}.
        aside: what is not a function of the part, and not compared: seconds, and pictures by row.
        folders: sums by folder.
        kept: rows that were there before; not stored.
        rescored: images that were scored again in float32 just now; not stored.
        input: which of the run's inputs its unit comes from; not stored.
        spent: on its rows by this process; not stored.
    """

    unit: str
    rows: int
    crc32c: int
    metrics: Metrics
    examples: list[dict[str, Any]]
    failures: list[dict[str, Any]]
    aside: Aside = field(compare=False)
    folders: Folders = field(default_factory=Folders)
    kept: int = field(default=0, compare=False)
    rescored: int = field(default=0, compare=False)
    input: int = field(default=0, compare=False)
    spent: Spent = field(default_factory=Spent, compare=False)

    def to_json(self) -> bytes:
        """Return the contents of the receipt's file; its last field is a checksum of all before it."""
        sums = {name: getattr(self, name).to_json() for name in ("metrics", "folders", "aside")}
        content = {**self.__dict__, **sums, **numbered("receipt")}
        for name in _NOT_STORED:
            del content[name]
        return _sealed(json.dumps(content, sort_keys=True).encode("ascii").removesuffix(b"}"))

    @classmethod
    def from_json(cls, data: bytes, location: str = "") -> Receipt:
        """Return the receipt that a file holds.

        Args:
            data: all bytes of the file.
            location: of the file, for the error's text.

        Raises:
            NewerFormatError: its format is newer, or it is whole and has an unknown field.
            DamagedPartError: it holds none, or one in which a bit has changed.
        """
        is_whole = data == _sealed(data[: -len(_sealed(b""))])
        try:
            content = json.loads(data) if is_whole else _unsealed(data)
            check_format(content, "receipt", location)
            if not is_whole:
                raise DamagedPartError("not a receipt, or not as it was written: its checksum is not that of its text")
            _check_fields(content, location)
            content = {name: value for name, value in content.items() if name not in ("checksum", FIELD)}
            kinds: dict[str, Any] = {"metrics": Metrics, "folders": Folders, "aside": Aside}
            return cls(**{**content, **{name: kind.from_json(content[name]) for name, kind in kinds.items()}})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DamagedPartError(f"not a receipt: {error}") from error


_NOT_STORED = ("kept", "rescored", "input", "spent")


_FIELDS = frozenset(spec.name for spec in fields(Receipt)) - set(_NOT_STORED) | {"checksum", FIELD}


_METRICS = frozenset(spec.name for spec in fields(Metrics))


_EXAMPLE = frozenset((*COLUMNS, "row"))


_FAILURE = frozenset(("row", "key", "stage", "code", "message"))


_FOLDERS = frozenset(spec.name for spec in fields(Folders))


_SLICE = ("folder", *Counts._fields)


def _check_fields(content: Any, location: str) -> None:
    """Raise NewerFormatError if a whole receipt has more than this version knows.

    A field of `aside` may be unknown: no result depends on it.
    """
    check_names(content, _FIELDS, "receipt", location)
    for name, known in (("metrics", _METRICS), ("folders", _FOLDERS)):
        check_names(content[name], known, "receipt", location)
    for name, known in (("examples", _EXAMPLE), ("failures", _FAILURE)):
        for example in content[name]:
            check_names(example, known, "receipt", location)
    for sums in content["folders"]["slices"]:
        check_names(dict.fromkeys(f"slices[{i}]" for i in range(len(_SLICE), len(sums))), (), "receipt", location)


def _unsealed(data: bytes) -> Any:
    """Return what JSON a damaged receipt holds, None if none."""
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(data)
    return None


def _sealed(text: bytes) -> bytes:
    """Return a JSON object that lacks its closing brace, closed with a checksum of itself."""
    return text + b', "checksum": "%08x"}\n' % google_crc32c.value(text)


def receipt_of(unit: WorkUnit, part: bytes, run: Run, aside: Aside) -> Receipt:
    """Return the receipt that a part's bytes deserve.

    Raises:
        NewerFormatError: they are a part of a newer format.
        DamagedPartError: they are no part, or not of as many rows as the unit has images.
    """
    schema = row_schema(run.spec.task, run.options)
    rows = read_part(part, run.options.format, schema, run.part(unit.id))
    if unit.images is not None and len(rows) != unit.images:
        raise DamagedPartError(f"unit {unit.id} has {unit.images} images but its part has {len(rows)} rows")
    examples, failures = examples_of(rows), list(failures_of(rows))
    return Receipt(
        unit=unit.id,
        rows=len(rows),
        crc32c=google_crc32c.value(part),
        metrics=measure(rows),
        examples=examples,
        failures=failures,
        aside=aside.only(example["row"] for example in (*examples, *failures)),
        folders=Folders.of(rows),
    )


@dataclass(frozen=True)
class Unfinished:
    """A unit without a part and a receipt, because storage failed for longer than it was waited for.

    Attributes:
        unit: its id.
        images: rows it would have, None where unknown.
        error: what failed, one line.
    """

    unit: str
    images: int | None
    error: str


Outcome = Receipt | Unfinished
"""What becomes of a unit that is scored."""
