"""The job's Beam counters, by stable names: what an engine's console shows while it runs.

They are for watching: an engine that repeats work counts it again. What is exact is in `run.json` and `summary.json`.
"""

from __future__ import annotations

from apache_beam.metrics import Metrics as Beam

from pipeline.metrics.timing import STEPS
from pipeline.output.plan_file import PlanTotals
from pipeline.output.receipts import Receipt

NAMESPACE = "nightscore"
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
DISTRIBUTIONS = ("unit_milliseconds", "unit_images")


class Counters:
    """All of them; to be touched in a bundle's thread only, or Beam does not know whose they are."""

    def __init__(self) -> None:
        """Make them; a copy that is pickled to another process counts there."""
        self._counters = {name: Beam.counter(NAMESPACE, name) for name in COUNTERS}
        self._distributions = {name: Beam.distribution(NAMESPACE, name) for name in DISTRIBUTIONS}

    def planned(self, totals: PlanTotals) -> None:
        """Count a plan that is pinned."""
        self._add("planned_units", totals.units)
        self._add("planned_images", totals.images)
        self._add("planned_bytes", totals.bytes)
        self._add("skipped_objects", sum(totals.skipped.values()))

    def committed(self, receipt: Receipt) -> None:
        """Count a unit that is done; of one that was done before, only that."""
        self._add("images_kept", receipt.kept)
        if receipt.kept == receipt.rows:
            self._add("units_kept", 1)
            return
        self._add("units_committed", 1)
        self._add("images_scored", receipt.metrics.scored)
        self._add("images_rescored", receipt.rescored)
        for (stage, _), images in receipt.metrics.failures.items():
            self._add(f"images_failed_{stage}", images)
        for step in STEPS:
            self._add(f"{step}_milliseconds", receipt.spent.steps.get(step, 0) // 1000)
        self._distributions["unit_milliseconds"].update(int(receipt.aside.seconds * 1000))
        self._distributions["unit_images"].update(receipt.rows)

    def unfinished(self) -> None:
        """Count a unit that could not be done."""
        self._add("units_unfinished", 1)

    def _add(self, name: str, n: int) -> None:
        self._counters[name].inc(n)
