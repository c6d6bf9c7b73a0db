"""Check the files of a review: is it of these parts, and are the decisions those that follow from the rows?

Changes nothing. An OUTPUT of an earlier version has no review, which is no fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.concurrency import ahead, pools
from pipeline.errors import ChangedError, DamagedPartError
from pipeline.metrics.record import EndedRecord
from pipeline.output.review_files import NAME, decisions_of, identity, stored_review
from pipeline.output.run import Run
from pipeline.output.stored_rows import rows_of

UNITS_AHEAD = 16
"""Number of units whose decisions are in memory at once."""

Fault = Literal["review_wrong", "decision_missing", "decision_wrong"]


class Faulty(NamedTuple):
    """A file of a review that is not as it should be.

    Attributes:
        fault: what is wrong.
        location: of the file.
        text: what was found.
    """

    fault: Fault
    location: str
    text: str


def check_review(run: Run, record: EndedRecord, units: Sequence[str], digest: int) -> Iterator[Faulty]:
    """Yield what is wrong with the review of a complete run.

    Args:
        run: whose result it is.
        record: of that run.
        units: ids of its units, each with its part and its receipt.
        digest: of their parts, see `pipeline.output.summary.Summary`.
    """
    location = run.result(NAME)
    if storage.stat(location) is not None:
        review = stored_review(run)
        if review is None:
            yield Faulty("review_wrong", location, "it is damaged, or lists that it tells of are gone")
        elif not review["of"].startswith(identity(run, digest, None)):
            yield Faulty("review_wrong", location, "it is of other parts")
    accepted = record.get("accepted")
    if accepted is None:
        return
    score = accepted["score"]
    with closing(ahead(lambda unit: _check_decisions(run, unit, score), units, UNITS_AHEAD, pools().read)) as checked:
        yield from (fault for fault in checked if fault is not None)


def _check_decisions(run: Run, unit: str, score: float | None) -> Faulty | None:
    location = run.decision(unit)
    try:
        wanted = decisions_of(rows_of(run, unit, ["key", "status", "score"]).rows, score)
    except (ChangedError, DamagedPartError):
        return None  # that is told of the part
    try:
        stored = pq.read_table(pa.BufferReader(storage.read(location)), page_checksum_verification=True)
    except FileNotFoundError:
        return Faulty("decision_missing", location, "nothing says which predictions of this part are accepted")
    except (pa.ArrowException, OSError, ValueError) as error:
        return Faulty("decision_wrong", location, f"it cannot be read: {error}")
    return None if stored.equals(wanted) else Faulty("decision_wrong", location, "it does not follow from the part")
