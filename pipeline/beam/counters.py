"""The job's Beam counters, which an engine's console shows while the job runs. Their names are stable.

They are for watching: if an engine repeats work, it counts it again. The exact figures are in `run.json` and
`summary.json`. docs/counters.md says what each counts.
"""

from __future__ import annotations

from collections import Counter

from apache_beam.metrics import Metrics as Beam

from pipeline.metrics.timing import STEPS
from pipeline.output.plan_file import PlanTotals
from pipeline.output.receipts import Receipt

NAMESPACE = "nightscore"
"""Namespace of all counters and distributions."""

COUNTERS = (
    "planned_units",
    "planned_images",
    "planned_bytes",
    "skipped_objects",
    "units_committed",
    "units_kept",
    "units_unfinished",
    "images_scored",
    "images_failed_read",
    "images_failed_preprocess",
    "images_failed_predict",
    "images_kept",
    "images_rescored",
    *(f"{step}_milliseconds" for step in STEPS),
)
"""Names of the counters, as they become series in a monitoring system."""

DISTRIBUTIONS = ("unit_milliseconds", "unit_images")
"""Names of the distributions, which have one value for each unit."""


class Counters:
    """The counters and distributions of a step.

    Touch them only in a bundle's thread: in any other, Beam does not know to which step they belong.
    """

    def __init__(self) -> None:
        """Make the counters; a copy that is pickled to another process counts there."""
        self._counters = {name: Beam.counter(NAMESPACE, name) for name in COUNTERS}
        self._rests: Counter[str] = Counter()  # microseconds of each step that are less than a millisecond
        self._distributions = {name: Beam.distribution(NAMESPACE, name) for name in DISTRIBUTIONS}

    def count_plan(self, totals: PlanTotals) -> None:
        """Count the units, images and bytes of a pinned plan."""
        self._add("planned_units", totals.units)
        self._add("planned_images", totals.images)
        self._add("planned_bytes", totals.bytes)
        self._add("skipped_objects", sum(totals.skipped.values()))

    def count_receipt(self, receipt: Receipt) -> None:
        """Count a committed unit, and what in it is no image; of one that was committed before only that it was kept.

        Of a unit whose failed images were scored again, the other rows were kept, and all of these have a prediction.
        """
        if receipt.extras.left_out:
            self._add("skipped_objects", receipt.extras.left_out.total)
        self._add("images_kept", receipt.kept)
        if receipt.kept == receipt.rows:
            self._add("units_kept", 1)
            return
        self._add("units_committed", 1)
        self._add("images_scored", receipt.metrics.scored - receipt.kept)
        self._add("images_rescored", receipt.rescored)
        for (stage, _), images in receipt.metrics.failures.items():
            self._add(f"images_failed_{stage}", images)
        for step in STEPS:
            whole, self._rests[step] = divmod(self._rests[step] + receipt.spent.steps.get(step, 0), 1000)
            self._add(f"{step}_milliseconds", whole)
        self._distributions["unit_milliseconds"].update(int(receipt.extras.seconds * 1000))
        self._distributions["unit_images"].update(receipt.rows)

    def count_unfinished(self) -> None:
        """Count a unit that could not be finished."""
        self._add("units_unfinished", 1)

    def _add(self, name: str, n: int) -> None:
        self._counters[name].inc(n)
