"""This module writes summary and report anew from receipts: without the images, the model, or the machine that scored.

Changes nothing but these two files. Knows no Beam.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

from pipeline import storage
from pipeline.concurrency import ahead, pools
from pipeline.errors import ChangedError, DamagedPartError, UnfinishedError, UsageError
from pipeline.formatting import counted
from pipeline.output import records
from pipeline.output.commit import READS_AHEAD
from pipeline.output.finish import compare_with_others, pages, record_of
from pipeline.output.last_run import last_run
from pipeline.output.plan_file import Index, read_index
from pipeline.output.receipts import Receipt, Unfinished
from pipeline.output.review import Reviewed
from pipeline.output.review_files import make_review
from pipeline.output.run import Run
from pipeline.output.summary import Summary
from pipeline.units import WorkUnit

NOT_DONE = "not committed"
"""Error of a unit that has no receipt."""


def rebuild(output: str, to: str | None = None, no_pictures: bool = False, link_base: str | None = None) -> list[str]:
    """Write summary.json and report.html of the last run into OUTPUT anew, and return their locations.

    Args:
        output: of the run.
        to: another folder for them; then also of a run that has not ended, as far as it has come.
        no_pictures: whether the report has none, although the receipts may.
        link_base: what the links of the report begin with, see `ScoreOptions`; None: as the run was asked to.

    Raises:
        UsageError: it is no OUTPUT, or what was planned is unknown.
        UnfinishedError: receipts are missing, and the files would be written where those of a whole run belong.
    """
    output = storage.absolute(output)
    record = (records.under_way(output) if to is not None else None) or last_run(output).record
    run = Run.from_record(record).at(output)
    own = run.options
    shown = replace(own, no_pictures=no_pictures or own.no_pictures, link_base=link_base or own.link_base)
    run = replace(run, options=shown)
    try:
        index = read_index(run)
    except (FileNotFoundError, ValueError) as error:
        raise UsageError(f"the plan of run {run.id} in {output!r} cannot be read ({error}): score again") from error
    summary = Summary.merge_all(map(Summary.of, _outcomes(index, run)))
    if to is None and (summary.unfinished or not summary.units):
        raise UnfinishedError(
            f"{summary.unfinished:,} of {counted(len(index.units), 'work unit')} in {output!r} are not done: score "
            "again to finish them, or give --to FOLDER for a report of the others"
        )
    if summary.unfinished or not records.has_ended(record) or not record["complete"]:
        comparison = compare_with_others(summary, run, record.get("training"))
        record = record_of(summary, run, record, comparison, index.totals, len(index.units))
    reviewed = None if summary.unfinished else _review(summary, run, index)
    place = output if to is None else storage.absolute(to)
    written = pages(summary, run, record, reviewed.review if reviewed else None)
    written |= reviewed.files if reviewed else {}
    for name, data in written.items():
        storage.replace(storage.join(place, name), data)
    return [storage.join(place, name) for name in written]


def _review(summary: Summary, run: Run, index: Index) -> Reviewed | None:
    """Return the review of a whole result: the one that is there, or a new one; None where parts are gone."""
    units = list(dict.fromkeys(unit.id for unit in index.units))
    try:
        return make_review(run, units, summary.digest)
    except (ChangedError, DamagedPartError):
        return None  # `verify` tells of them; the report says that this was not measured


def _outcomes(index: Index, run: Run) -> Iterator[Receipt | Unfinished]:
    units = {unit.id: unit for unit in index.units}
    with closing(ahead(lambda unit: _outcome(unit, run), units.values(), READS_AHEAD, pools().read)) as outcomes:
        yield from outcomes


def _outcome(unit: WorkUnit, run: Run) -> Receipt | Unfinished:
    try:
        location = run.receipt(unit.id)
        receipt = Receipt.from_json(storage.read(location), location)
        if receipt.unit == unit.id:
            return replace(receipt, input=unit.input)
    except (FileNotFoundError, DamagedPartError):
        pass
    return Unfinished(unit.id, unit.images, NOT_DONE)
