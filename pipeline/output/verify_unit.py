"""Check the two files of a work unit: is its part as its receipt says, and its receipt what the part gives?"""

from __future__ import annotations

from dataclasses import replace

import google_crc32c

from pipeline import storage
from pipeline.errors import DamagedPartError
from pipeline.formatting import counted
from pipeline.output.findings import AGAIN, Finding
from pipeline.output.receipts import Extras, Receipt, receipt_of
from pipeline.output.rows import check_part
from pipeline.output.run import Run
from pipeline.units import WorkUnit


def verify_unit(unit: WorkUnit, run: Run) -> tuple[Receipt | None, list[Finding]]:
    """Return the receipt that a unit should have, as far as one of its two files tells, and what is wrong with them."""
    location = run.part(unit.id)
    try:
        part = storage.read(location)
    except FileNotFoundError:
        part = None
    receipt, findings = _read_receipt(unit, run, part is not None)
    if part is None:
        if not findings or findings[0].kind != "unit_missing":
            findings.append(Finding("part_missing", location, f"{_images(unit)} have no row; {AGAIN} to score them"))
        return receipt, findings
    crc = google_crc32c.value(part)
    if receipt is not None and crc != receipt.crc32c:
        check_part(part, run.options.format, location, run.rules)
        text = f"its checksum is {crc:08x}, its receipt says {receipt.crc32c:08x}; {AGAIN} to score {_images(unit)}"
        return receipt, [Finding("part_damaged", location, text)]
    try:
        extras = Extras() if receipt is None else receipt.extras
        measured = replace(receipt_of(unit, part, run, extras), input=unit.input)
    except DamagedPartError as error:
        return None, [*findings, Finding("part_wrong", location, f"{error}; remove it, and {AGAIN}")]
    if receipt is not None:
        measured = replace(measured, metrics=measured.metrics.without_later(receipt.metrics))
    if receipt is not None and measured != receipt:
        text = f"its figures are not those of its part; remove it, and {AGAIN} to have it written anew"
        findings.append(Finding("receipt_wrong", run.receipt(unit.id), text))
    return measured, findings


def _read_receipt(unit: WorkUnit, run: Run, has_part: bool) -> tuple[Receipt | None, list[Finding]]:
    """Return the unit's receipt, if it is one, else what is wrong."""
    location = run.receipt(unit.id)
    try:
        receipt = Receipt.from_json(storage.read(location), location)
    except FileNotFoundError:
        if not has_part:
            text = f"{_images(unit)} have neither a receipt nor a part; {AGAIN} to score them"
            return None, [Finding("unit_missing", location, text)]
        text = f"the part is there without it; {AGAIN} to have it written anew"
        return None, [Finding("receipt_missing", location, text)]
    except DamagedPartError as error:
        return None, [Finding("receipt_damaged", location, f"{error}; {AGAIN} to score {_images(unit)}")]
    if receipt.unit != unit.id:
        text = f"it is that of unit {receipt.unit}; {AGAIN} to score {_images(unit)}"
        return None, [Finding("receipt_foreign", location, text)]
    return replace(receipt, input=unit.input), []


def _images(unit: WorkUnit) -> str:
    return "its images" if unit.images is None else f"its {counted(unit.images, 'image')}"
