"""A unit that was scored has a receipt, or it is `Unfinished`. This module knows no storage."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, cast

import google_crc32c

from pipeline.errors import DamagedPartError
from pipeline.metrics.by_value import ByValue
from pipeline.metrics.cells import COLUMNS, PICTURED, cells_of
from pipeline.metrics.examples import failures_of
from pipeline.metrics.figures import CellRow, ExampleRow, FailureRow
from pipeline.metrics.headline import task_in
from pipeline.metrics.left_out import LeftOut
from pipeline.metrics.slices import Folders
from pipeline.metrics.sums import Sums
from pipeline.metrics.task_examples import AnyExample
from pipeline.metrics.tasks import COUNTS, EXAMPLE_FIELDS, SUMS, pick_enlarged, read_sums
from pipeline.metrics.timing import Spent
from pipeline.output.rows import read_part
from pipeline.output.run import Run
from pipeline.storage.formats import FIELD, check_format, check_names, numbered
from pipeline.units import WorkUnit


@dataclass(frozen=True)
class Extras:
    """What a receipt carries beside the facts that follow from its part. No result depends on it.

    Attributes:
        seconds: seconds from the first rows of the unit until its part is made.
        thumbnails: row -> PNG or JPEG file of an image that the receipt names; such an image may have none.
        maker: what made the scores: name and version of the engine, and kind of the CPU; "": not known, as of an
            earlier version, or of a run that was killed before it could tell.
        left_out: what was found in a compressed container and is no image; nothing, where planning has counted it, and
            in receipts of an earlier version, or made anew from a part.
    """

    seconds: float = 0.0
    thumbnails: Mapping[int, bytes] = field(default_factory=dict)
    maker: str = ""
    left_out: LeftOut = field(default_factory=LeftOut)

    def to_json(self) -> dict[str, Any]:
        """Return the seconds, the thumbnails in base64, and the maker and what was left out where there is any."""
        pictures = {str(row): base64.b64encode(png).decode("ascii") for row, png in sorted(self.thumbnails.items())}
        maker = {"maker": self.maker} if self.maker else {}
        counts, examples = dict(self.left_out.counts), dict(self.left_out.examples)
        left_out = {"skipped": counts, "skipped_examples": examples} if self.left_out else {}
        return {"seconds": round(self.seconds, 3), "thumbnails": pictures, **maker, **left_out}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Extras:
        """Return what `to_json` wrote."""
        pictures = {int(row): base64.b64decode(text) for row, text in content["thumbnails"].items()}
        left_out = LeftOut(dict(content.get("skipped", {})), dict(content.get("skipped_examples", {})))
        return cls(content["seconds"], pictures, content.get("maker", ""), left_out)

    def only(self, rows: Iterable[int]) -> Extras:
        """Return the same with the thumbnails of some rows only."""
        thumbnails = {row: self.thumbnails[row] for row in rows if row in self.thumbnails}
        return replace(self, thumbnails=thumbnails)


@dataclass(frozen=True)
class Receipt:
    """A receipt says that a unit is done, and sums up its part.

    The receipt lies beside the part, in a file of its own, and each is created once. The two together are the commit:
    a unit with a part and no receipt is not done, nor is one with a receipt and no part.

    A receipt has four kinds of fields:

    - Facts: `unit`, `rows`, `crc32c`, `metrics`, `folders`, `slices`, `examples` and `failures` follow from the part's
      bytes alone. Two receipts are equal if these are.
    - `extras`, which only the process that scored the unit knows. They are stored and not compared.
    - `cells` follows from the part, too. It is stored within `aside` and not compared, as earlier versions lack it.
    - What this run did: `kept`, `rescored`, `input` and `spent`. They are neither stored nor compared. A receipt that
      is read from its file has them at their defaults.

    What excludes what: `rows` is `metrics.images`. An image is in `examples` if it has a prediction, in `failures` if
    it has none, so in one of them at most. `kept` is 0 or `rows`, except where failed images were scored again: then
    it is the number of the other rows. Rows that are kept cost no time, so a receipt that is kept whole has no
    `spent`.

    Attributes:
        unit: id of the unit.
        rows: number of rows in its part.
        crc32c: CRC-32C of its part's bytes.
        metrics: sums over its rows.
        examples: images that a person should look at, see `pipeline.metrics.examples`.
        failures: the first failed images of each stage and code.
        extras: what the part does not tell.
        folders: sums over its rows by folder.
        slices: column of --slice -> sums over its rows by the values of the column.
        cells: mistakes of each cell of the confusion matrix, see `pipeline.metrics.cells`; (): there are none, or an
            earlier version wrote the receipt.
        kept: number of rows that were there before this run.
        rescored: number of images that this run scored a second time, in float32.
        input: number of the run's input that the unit comes from, from 0.
        spent: time that this process spent on its rows.

    A receipt is written as JSON whose last field is a checksum, and read again; what is not as it was written is
    refused:

    >>> from pipeline.metrics.accuracy import Metrics
    >>> metrics = Metrics(images=2, scored=2)
    >>> receipt = Receipt("f" * 32, 2, 0xC0FFEE, metrics, [], [], Extras(seconds=1.5), kept=2)
    >>> data = receipt.to_json()
    >>> Receipt.from_json(data) == receipt, Receipt.from_json(data).kept
    (True, 0)
    >>> Receipt.from_json(data.replace(b"1.5", b"1.6"))
    Traceback (most recent call last):
    pipeline.errors.DamagedPartError: not a receipt, or not as it was written: its checksum is not that of its text
    """

    unit: str
    rows: int
    crc32c: int
    metrics: Sums
    examples: Sequence[ExampleRow | AnyExample]
    failures: list[FailureRow]
    extras: Extras = field(compare=False)
    folders: Folders = field(default_factory=Folders)
    slices: Mapping[str, ByValue] = field(default_factory=dict)
    cells: Sequence[CellRow] = field(default=(), compare=False)
    kept: int = field(default=0, compare=False)
    rescored: int = field(default=0, compare=False)
    input: int = field(default=0, compare=False)
    spent: Spent = field(default_factory=Spent, compare=False)

    @property
    def pictured(self) -> list[int]:
        """Numbers of the rows that the receipt names and that may have a thumbnail, each once."""
        named = (*self.examples, *self.failures, *self.cells[:PICTURED])
        return list(dict.fromkeys(example["row"] for example in named))

    @property
    def enlarged(self) -> frozenset[int]:
        """Numbers of the rows whose thumbnails are larger than others."""
        return frozenset(example["row"] for example in pick_enlarged(self.metrics.task or "classes", self.examples))

    def to_json(self) -> bytes:
        """Return the contents of the receipt's file; its last field is a checksum of all before it."""
        sums = {name: getattr(self, field).to_json() for name, field in _SUMS.items()}
        facts = {name: getattr(self, name) for name in _FACTS}
        slices = {"slices": {name: one.to_json() for name, one in self.slices.items()}} if self.slices else {}
        if self.cells:
            sums["aside"]["cells"] = [[one[name] for name in COLUMNS] for one in self.cells]  # type: ignore[literal-required]
        content = {**facts, **sums, **slices, **numbered("receipt")}
        return _seal(json.dumps(content, sort_keys=True).encode("ascii").removesuffix(b"}"))

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
        is_whole = data == _seal(data[: -len(_seal(b""))])
        try:
            content = json.loads(data) if is_whole else _open(data)
            check_format(content, "receipt", location)
            if not is_whole:
                raise DamagedPartError("not a receipt, or not as it was written: its checksum is not that of its text")
            _check_fields(content, location)
            return cls(
                **{name: content[name] for name in _FACTS},
                metrics=read_sums(content["metrics"]),
                folders=Folders.from_json(content["folders"], COUNTS[task_in(content["metrics"])]),
                slices={
                    name: ByValue.from_json(one, COUNTS[task_in(content["metrics"])])
                    for name, one in content.get("slices", {}).items()
                },
                extras=Extras.from_json(content["aside"]),
                cells=[
                    cast(CellRow, dict(zip(COLUMNS, one, strict=True))) for one in content["aside"].get("cells", ())
                ],
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DamagedPartError(f"not a receipt: {error}") from error


_FACTS = ("unit", "rows", "crc32c", "examples", "failures")
"""Names of the fields that a file holds as they are."""

_SUMS = {"metrics": "metrics", "folders": "folders", "aside": "extras"}
"""Name in the file -> name of the field, of those that have a form of their own there."""

_FIELDS = frozenset((*_FACTS, *_SUMS, "slices", "checksum", FIELD))
"""Names of all fields of a file."""

_FAILURE = frozenset(("row", "key", "stage", "code", "message"))
_FOLDERS = frozenset(spec.name for spec in fields(Folders))
"""Names within these: of a failure, and of the folders."""


def _check_fields(content: Any, location: str) -> None:
    """Raise NewerFormatError if a whole receipt has more than this version knows.

    A field of "aside" may be unknown: no result depends on it.
    """
    check_names(content, _FIELDS, "receipt", location)
    task = task_in(content["metrics"])
    check_names({f"task {task!r}": None}, (f"task {known!r}" for known in SUMS), "receipt", location)
    of_metrics = {"task", *(spec.name for spec in fields(SUMS[task]))} - ({"task"} if task == "classes" else set())
    for name, known in (("metrics", of_metrics), ("folders", _FOLDERS)):
        check_names(content[name], known, "receipt", location)
    for name, known in (("examples", {*EXAMPLE_FIELDS[task], "row"}), ("failures", _FAILURE)):
        for example in content[name]:
            check_names(example, known, "receipt", location)
    longest = 1 + len(COUNTS[task]._fields)
    for sums in content["folders"]["slices"]:
        check_names(dict.fromkeys(f"slices[{i}]" for i in range(longest, len(sums))), (), "receipt", location)


def _open(data: bytes) -> Any:
    """Return the JSON value that a damaged receipt holds; None if it holds none."""
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(data)
    return None


def _seal(text: bytes) -> bytes:
    """Return a JSON object that lacks its closing brace, closed with a checksum of itself."""
    return text + b', "checksum": "%08x"}\n' % google_crc32c.value(text)


def receipt_of(unit: WorkUnit, part: bytes, run: Run, extras: Extras) -> Receipt:
    """Return the receipt that a part's bytes deserve.

    Raises:
        NewerFormatError: they are a part of a newer format.
        DamagedPartError: they are no part, or not of as many rows as the unit has images.
    """
    schema = run.schema
    rows = read_part(part, run.options.format, schema, run.part(unit.id))
    if unit.images is not None and len(rows) != unit.images:
        raise DamagedPartError(f"unit {unit.id} has {unit.images} images but its part has {len(rows)} rows")
    receipt = Receipt(
        unit=unit.id,
        rows=len(rows),
        crc32c=google_crc32c.value(part),
        metrics=run.metrics.measure(rows),
        examples=run.metrics.examples(rows),
        failures=list(failures_of(rows)),
        extras=extras,
        folders=run.metrics.folders(rows),
        slices={name: ByValue.count(rows[column], rows, run.metrics) for name, column in run.slices.items()},
        cells=cells_of(rows) if run.spec.task == "classes" else (),
    )
    return replace(receipt, extras=extras.only(receipt.pictured))


@dataclass(frozen=True)
class Unfinished:
    """A unit without a receipt, because storage failed for longer than the run waits.

    Attributes:
        unit: id of the unit.
        images: number of rows that its part would have; None: only reading tells.
        error: what failed, as one line.
    """

    unit: str
    images: int | None
    error: str


Outcome = Receipt | Unfinished
"""The two ends of a unit that is scored."""
