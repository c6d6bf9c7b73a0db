"""What can be wrong with the files of an OUTPUT: `Finding`, its kinds, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

AGAIN = "run the same 'nightscore score' again"
"""What mends nearly everything that can be found."""

Kind = Literal[
    "run_unfinished",  # it has not ended, or not with all its units
    "record_missing",  # run.json, or what it repeats of runs/
    "record_damaged",
    "plan_missing",
    "plan_damaged",
    "unit_missing",  # neither receipt nor part
    "receipt_missing",  # but the part is there
    "receipt_damaged",  # not as it was written
    "receipt_foreign",  # of another unit
    "receipt_wrong",  # as it was written, but not what its part gives
    "part_missing",
    "part_damaged",  # not the bytes that its receipt was written for
    "part_wrong",  # unreadable, or of more or fewer rows than the unit has images
    "rows_unaccounted",
    "table_missing",
    "table_wrong",
    "summary_missing",
    "summary_wrong",
    "report_missing",
    "review_wrong",  # review.json, of other parts, or damaged
    "decision_missing",
    "decision_wrong",  # not what follows from the part
    "leftover",  # a part, receipt or temporary file that is no part of the result
]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        kind: what is wrong, by a name that stays.
        location: of the file that it is wrong with.
        text: one line: what was found, and what to do.
    """

    kind: Kind
    location: str
    text: str
