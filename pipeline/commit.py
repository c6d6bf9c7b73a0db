"""Nothing lost, nothing twice: a unit's part and its receipt, each created once.

A part that is there stays; who comes second adopts it. The receipt is computed from the part as stored, so that it
can never contradict it, and its presence is the commit. Must not know how rows come about.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import google_crc32c
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.errors import DamagedPartError, TransientError
from pipeline.metrics import Metrics, measure
from pipeline.rows import read_part
from pipeline.run import Run
from pipeline.units import WorkUnit

EXAMPLES = 8
"""Most confident mistakes that a receipt names."""

ATTEMPTS = 3
"""How often a commit is tried while others remove what it finds."""

FAILURE_EXAMPLES = 3
"""Failed images that a receipt names, for each stage and code."""


@dataclass(frozen=True)
class Aside:
    """What a receipt carries that its part does not tell.

    Attributes:
        seconds: from the unit's first batch to its last.
        thumbnails: row -> PNG file, of some of the unit's mistakes.
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
        mistakes: the most confident ones: {row, key, label_name, predicted_name, score}.
        failures: examples: {key, stage, code, message}.
        aside: what is not a function of the part, and not compared: seconds, and PNG files of mistakes by row.
        kept: rows that were there before; not stored.
        input: which of the run's inputs its unit comes from; not stored.
    """

    unit: str
    rows: int
    crc32c: int
    metrics: Metrics
    mistakes: list[dict[str, Any]]
    failures: list[dict[str, Any]]
    aside: Aside = field(compare=False)
    kept: int = field(default=0, compare=False)
    input: int = field(default=0, compare=False)

    def to_json(self) -> bytes:
        """Return the contents of the receipt's file; its last field is a checksum of all before it."""
        content = {**self.__dict__, "metrics": self.metrics.to_json(), "aside": self.aside.to_json()}
        del content["kept"], content["input"]
        return _sealed(json.dumps(content, sort_keys=True).encode("ascii").removesuffix(b"}"))

    @classmethod
    def from_json(cls, data: bytes) -> Receipt:
        """Return the receipt that a file holds.

        Raises:
            DamagedPartError: it holds none, or one in which a bit has changed.
        """
        if data != _sealed(data[: -len(_sealed(b""))]):
            raise DamagedPartError("not a receipt, or not as it was written: its checksum is not that of its text")
        try:
            content = json.loads(data)
            del content["checksum"]
            metrics, aside = Metrics.from_json(content["metrics"]), Aside.from_json(content["aside"])
            return cls(**{**content, "metrics": metrics, "aside": aside})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedPartError(f"not a receipt: {error}") from error


def _sealed(text: bytes) -> bytes:
    """Return a JSON object that lacks its closing brace, closed with a checksum of itself."""
    return text + b', "checksum": "%08x"}\n' % google_crc32c.value(text)


_RECEIPT = re.compile(r"/receipts/([0-9a-f]{32})\.json$")


def committed(run: Run) -> set[str]:
    """Return the ids of all units that have a receipt in OUTPUT, by a fresh listing."""
    listed = (_RECEIPT.search(found.location) for found in storage.list_objects(run.result("receipts")))
    return {match[1] for match in listed if match}


def recall(unit: WorkUnit, run: Run) -> Receipt | None:
    """Return the unit's receipt if its part is there as the receipt says; adopt a part without a receipt.

    What is damaged is removed, receipt first, and the unit is to be scored anew: None.
    """
    try:
        receipt = Receipt.from_json(storage.read(run.receipt(unit.id)))
        _check(receipt, unit, run)
    except FileNotFoundError:
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
        TransientError: other runs remove what is stored as soon as it is.
    """
    receipt = receipt_of(unit, part, run, aside)
    for _ in range(ATTEMPTS):
        stored = _store(receipt, run) if storage.create(run.part(unit.id), part) else _adopt(unit, run, aside)
        if stored is not None:
            return replace(stored, input=unit.input)
    raise TransientError(f"part of unit {unit.id} is removed by another run into {run.output}")


def discard(unit: WorkUnit, run: Run) -> None:
    """Remove a unit's receipt, then its part."""
    storage.delete(run.receipt(unit.id))
    storage.delete(run.part(unit.id))


def _adopt(unit: WorkUnit, run: Run, aside: Aside) -> Receipt | None:
    """Return the receipt of the part that is there; None, and nothing left, where it is missing or damaged."""
    try:
        return _store(receipt_of(unit, storage.read(run.part(unit.id)), run, aside), run)
    except FileNotFoundError:
        return None
    except DamagedPartError:
        discard(unit, run)
        return None


def receipt_of(unit: WorkUnit, part: bytes, run: Run, aside: Aside) -> Receipt:
    """Return the receipt that a part's bytes deserve.

    Raises:
        DamagedPartError: they are no part, or not of as many rows as the unit has images.
    """
    rows = read_part(part, run.options.format)
    if unit.images is not None and len(rows) != unit.images:
        raise DamagedPartError(f"unit {unit.id} has {unit.images} images but its part has {len(rows)} rows")
    mistakes = _mistakes(rows)
    return Receipt(
        unit=unit.id,
        rows=len(rows),
        crc32c=google_crc32c.value(part),
        metrics=measure(rows),
        mistakes=mistakes,
        failures=list(_failures(rows)),
        aside=aside.only(mistake["row"] for mistake in mistakes),
    )


def _store(receipt: Receipt, run: Run) -> Receipt | None:
    """Create a receipt and return the one that is there then; None if it is removed meanwhile, or damaged."""
    location = run.receipt(receipt.unit)
    if storage.create(location, receipt.to_json()):
        return receipt
    try:
        there = Receipt.from_json(storage.read(location))
    except FileNotFoundError:
        return None
    except DamagedPartError:
        there = None
    if there != receipt:  # not the receipt of the part that is there
        storage.delete(location)
        return None
    return there


def _check(receipt: Receipt, unit: WorkUnit, run: Run) -> None:
    if receipt.unit != unit.id or unit.images not in (None, receipt.rows):
        raise DamagedPartError(f"receipt of unit {unit.id} is that of another")
    location = run.part(unit.id)
    listed = next(iter(storage.list_objects(location)), None)
    if listed is None:
        raise DamagedPartError(f"part of unit {unit.id} is gone")
    crc = google_crc32c.value(storage.read(location)) if listed.crc32c is None else listed.crc32c
    if crc != receipt.crc32c:
        raise DamagedPartError(f"part of unit {unit.id} has checksum {crc:08x}, its receipt says {receipt.crc32c:08x}")


def _mistakes(rows: pa.Table) -> list[dict[str, Any]]:
    """Return the labelled rows that are predicted wrong, most confident first, then by key."""
    numbered = rows.append_column("row", pa.array(range(len(rows)), pa.int64()))
    wrong = numbered.filter(pc.and_(pc.is_valid(rows["label_score"]), pc.not_equal(rows["label"], rows["predicted"])))
    worst = wrong.sort_by([("score", "descending"), ("key", "ascending")]).slice(0, EXAMPLES)
    # in the order of a receipt's file, so that a summary of new and kept receipts is the same to the byte
    found: list[dict[str, Any]] = worst.select(["key", "label_name", "predicted_name", "row", "score"]).to_pylist()
    return found


def _failures(rows: pa.Table) -> Iterator[dict[str, Any]]:
    failed = rows.filter(pc.equal(rows["status"], "failed"))
    shown: dict[tuple[str, str], int] = {}
    for row in failed.select(["error_code", "key", "error_message", "error_stage"]).to_pylist():
        reason = (row["error_stage"], row["error_code"])
        shown[reason] = shown.get(reason, 0) + 1
        if shown[reason] <= FAILURE_EXAMPLES:
            yield {name.removeprefix("error_"): value for name, value in row.items()}
