"""Nothing lost, nothing twice: a unit's part and its receipt, each created once.

A part that is there stays; who comes second adopts it. The receipt is computed from the part as stored, so that it
can never contradict it, and the presence of both is the commit. Must not know how rows come about.

What is damaged is removed part first, receipt last: the receipt alone knows that a part of good form has wrong rows,
and whoever dies between the two must leave the witness. And only the versions that were seen together are removed,
never what an attempt that was faster has put in their place.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import google_crc32c

from pipeline import storage
from pipeline.errors import ChangedError, DamagedPartError, TransientError
from pipeline.metrics.accuracy import Metrics, measure
from pipeline.metrics.examples import COLUMNS, examples_of, failures_of
from pipeline.metrics.slices import Counts, Folders
from pipeline.metrics.timing import Spent
from pipeline.rows import check_part, read_part, row_schema
from pipeline.run import Run
from pipeline.storage import StoredObject
from pipeline.storage.formats import FIELD, check_format, check_names, numbered
from pipeline.units import WorkUnit

RECALLS_AHEAD = 8
"""Receipts that are read while earlier ones are looked at."""

ATTEMPTS = 5
"""How often a commit is tried while others remove what it finds."""


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


_UNIT = re.compile(r"[0-9a-f]{32}")


def committed(run: Run) -> set[str]:
    """Return the ids of all units that have a receipt and a part in OUTPUT, by fresh listings."""
    return _listed(run, "receipts", run.receipt) & _listed(run, "predictions", run.part)


def _listed(run: Run, folder: str, location_of: Callable[[str], str]) -> set[str]:
    found = [stored.location for stored in storage.list_objects(run.folder(folder))]
    units = {match[0]: location for location in found if (match := _UNIT.search(location, len(run.result(folder))))}
    return {unit for unit, location in units.items() if location == location_of(unit)}


def recall(unit: WorkUnit, run: Run) -> Receipt | None:
    """Return the unit's receipt if its part is there as the receipt says; adopt a part without a receipt.

    What is damaged is removed and the unit is to be scored anew: None.

    Raises:
        NewerFormatError: the part or the receipt is of a newer format; it stays.
    """
    try:
        receipt = _read_receipt(unit, run)
        _check(receipt, unit, run)
    except (FileNotFoundError, ChangedError):
        adopted = _adopt(unit, run, Aside())
        return replace(adopted, kept=adopted.rows, input=unit.input) if adopted else None
    except DamagedPartError:
        discard(unit, run)
        return None
    return replace(receipt, kept=receipt.rows, input=unit.input)


def commit(unit: WorkUnit, part: bytes, run: Run, aside: Aside) -> Receipt:
    """Store the unit's part and receipt, or adopt those of whoever was first; return what is stored.

    Raises:
        DamagedPartError: rows and images differ in number; nothing is stored.
        NewerFormatError: what is there is of a newer format; it stays.
        TransientError: other runs remove what is stored as soon as it is.
    """
    receipt = receipt_of(unit, part, run, aside)
    for _ in range(ATTEMPTS):
        discard(unit, run)  # no part comes to lie beside a receipt that somebody may be about to remove
        stored = _store(receipt, unit, run) if storage.create(run.part(unit.id), part) else _adopt(unit, run, aside)
        if stored is not None:
            return replace(stored, input=unit.input)
    raise TransientError(f"part of unit {unit.id} is removed by another run into {run.output}")


def discard(unit: WorkUnit, run: Run) -> None:
    """Remove a unit's part and its receipt, in this order, unless they fit; a receipt alone goes, a part alone not.

    Raises:
        NewerFormatError: one of them is of a newer format; both stay.
        TransientError: others change them all the time.
    """
    for _ in range(ATTEMPTS):
        receipt = storage.stat(run.receipt(unit.id))
        if receipt is None:
            return
        part = storage.stat(run.part(unit.id))
        try:
            if _fits(receipt, part, unit, run):
                return
            if part is None:
                storage.delete(receipt.location, receipt.version)
                return
            check_part(storage.read(part.location, version=part.version), run.options.format, part.location)
        except (FileNotFoundError, ChangedError):
            continue
        if storage.stat(receipt.location) == receipt:  # it lay beside this part, not beside one before or after
            storage.delete(part.location, part.version)  # once it is gone, the receipt is alone
    raise TransientError(f"results of unit {unit.id} are changed by other runs into {run.output} again and again")


def _fits(receipt: StoredObject, part: StoredObject | None, unit: WorkUnit, run: Run) -> bool:
    """Return whether a receipt is that of the part that is there.

    Raises:
        NewerFormatError: it is of a newer format.
        FileNotFoundError: one of them is gone.
        ChangedError: one of them is another by now.
    """
    try:
        crc32c = _read_receipt(unit, run, receipt.version).crc32c
    except DamagedPartError:
        return False
    return part is not None and crc32c == _crc32c(part)


def withdraw(unit: WorkUnit, run: Run) -> None:
    """Remove a unit's part and its receipt although they fit: it is to be scored anew."""
    storage.delete(run.part(unit.id))
    discard(unit, run)


def _adopt(unit: WorkUnit, run: Run, aside: Aside) -> Receipt | None:
    """Return the receipt of the part that is there; None where it is missing, or damaged and therefore removed."""
    part = storage.stat(run.part(unit.id))
    if part is None:
        return None
    try:
        receipt = receipt_of(unit, storage.read(part.location, version=part.version), run, aside)
    except (FileNotFoundError, ChangedError):
        return None
    except DamagedPartError:
        storage.delete(part.location, part.version)
        return None
    return _store(receipt, unit, run)


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


def _store(receipt: Receipt, unit: WorkUnit, run: Run) -> Receipt | None:
    """Create a receipt and return the one that is there then, beside its part; None if they are not both there."""
    there = receipt
    try:
        if not storage.create(run.receipt(unit.id), receipt.to_json()):
            there = _read_receipt(unit, run)
        _check(there, unit, run)  # the part may be gone since it was read
    except (FileNotFoundError, ChangedError):
        return None
    except DamagedPartError:
        discard(unit, run)
        return None
    return there


def _read_receipt(unit: WorkUnit, run: Run, version: int | None = None) -> Receipt:
    location = run.receipt(unit.id)
    receipt = Receipt.from_json(storage.read(location, version=version), location)
    if receipt.unit != unit.id or unit.images not in (None, receipt.rows):
        raise DamagedPartError(f"receipt of unit {unit.id} is that of another")
    return receipt


def _check(receipt: Receipt, unit: WorkUnit, run: Run) -> None:
    part = storage.stat(run.part(unit.id))
    if part is None:
        raise DamagedPartError(f"part of unit {unit.id} is gone")
    crc = _crc32c(part)
    if crc != receipt.crc32c:
        raise DamagedPartError(f"part of unit {unit.id} has checksum {crc:08x}, its receipt says {receipt.crc32c:08x}")


def _crc32c(part: StoredObject) -> int:
    """Return the checksum that a listing tells, else that of the bytes.

    Raises:
        FileNotFoundError: they are gone.
        ChangedError: there are others.
    """
    if part.crc32c is not None:
        return part.crc32c
    return int(google_crc32c.value(storage.read(part.location, version=part.version)))
