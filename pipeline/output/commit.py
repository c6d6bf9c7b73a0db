"""This module stores a unit's part and its receipt, each once, so that nothing is lost and nothing is there twice.

A part that is there stays; who comes second adopts it. The receipt is computed from the part as stored, so that it
can never contradict it, and the presence of both is the commit. Must not know how rows come about.

What is damaged is removed part first, receipt last: the receipt alone knows that a part of good form has wrong rows,
and whoever dies between the two must leave the witness. And only the versions that were seen together are removed,
never what an attempt that was faster has put in their place.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import replace

import google_crc32c

from pipeline import storage
from pipeline.concurrency import ahead, pools
from pipeline.errors import ChangedError, DamagedPartError, TransientError
from pipeline.output.receipts import Extras, Receipt, receipt_of
from pipeline.output.rows import check_part
from pipeline.output.run import Run
from pipeline.storage import StoredObject
from pipeline.units import WorkUnit

READS_AHEAD = 31
"""Number of receipts that `receipts` reads at once."""

RECALLS_AHEAD = 8
"""Number of receipts that are recalled while earlier ones are looked at."""

ATTEMPTS = 5
"""Number of times that a commit is tried while others remove what it finds."""

_UNIT = re.compile(r"[0-9a-f]{32}")


def committed(run: Run) -> set[str]:
    """Return the ids of all units that have a receipt and a part in OUTPUT, by fresh listings."""
    return _list_units(run, "receipts", run.receipt) & _list_units(run, "predictions", run.part)


def decided(run: Run) -> set[str]:
    """Return the ids of all units about whose predictions there are decisions in OUTPUT, by a fresh listing."""
    return _list_units(run, "decisions", run.decision)


def _list_units(run: Run, folder: str, location_of: Callable[[str], str]) -> set[str]:
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
        adopted = _adopt(unit, run, Extras())
        return replace(adopted, kept=adopted.rows, input=unit.input) if adopted else None
    except DamagedPartError:
        discard_unless_fit(unit, run)
        return None
    return replace(receipt, kept=receipt.rows, input=unit.input)


def commit(unit: WorkUnit, part: bytes, receipt: Receipt, run: Run) -> Receipt:
    """Store the unit's part and receipt, or adopt those of whoever was first; return what is stored.

    Args:
        unit: that was scored.
        part: its rows, in their file format.
        receipt: that `pipeline.output.receipts.receipt_of` makes of that part, with its extras.
        run: that it belongs to.

    Raises:
        NewerFormatError: what is there is of a newer format; it stays.
        TransientError: other runs remove what is stored as soon as it is.
    """
    for _ in range(ATTEMPTS):
        discard_unless_fit(unit, run)  # no part comes to lie beside a receipt that somebody may be about to remove
        stored = (
            _store(receipt, unit, run) if storage.create(run.part(unit.id), part) else _adopt(unit, run, receipt.extras)
        )
        if stored is not None:
            return replace(stored, input=unit.input)
    raise TransientError(f"part of unit {unit.id} is removed by another run into {run.output}")


def discard_unless_fit(unit: WorkUnit, run: Run) -> None:
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
            check_part(storage.read(part.location, version=part.version), run.options.format, part.location, run.rules)
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
    discard_unless_fit(unit, run)


def _adopt(unit: WorkUnit, run: Run, extras: Extras) -> Receipt | None:
    """Return the receipt of the part that is there; None where it is missing, or damaged and therefore removed."""
    part = storage.stat(run.part(unit.id))
    if part is None:
        return None
    try:
        receipt = receipt_of(unit, storage.read(part.location, version=part.version), run, extras)
    except (FileNotFoundError, ChangedError):
        return None
    except DamagedPartError:
        storage.delete(part.location, part.version)
        return None
    return _store(receipt, unit, run)


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
        discard_unless_fit(unit, run)
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


def receipts(run: Run, units: Iterable[str]) -> Generator[Receipt, None, None]:
    """Yield the receipts of units, by their ids and in this order, many of them read at once; none that is damaged.

    Raises:
        NewerFormatError: one is of a newer format.
        TransientError: storage fails for now.
    """

    def read(unit: str) -> Receipt | None:
        with contextlib.suppress(FileNotFoundError, DamagedPartError):  # whoever does the work mends it
            location = run.receipt(unit)
            return Receipt.from_json(storage.read(location), location)
        return None

    with closing(ahead(read, units, READS_AHEAD, pools().read)) as found:
        yield from (receipt for receipt in found if receipt is not None)
