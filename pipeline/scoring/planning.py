"""This module makes the plan of a run from its inputs, and pins it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pipeline.output.plan_file import PlanTotals, create, read_totals
from pipeline.output.run import Run
from pipeline.sources.inputs import plan_units
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.skipped import Skipped
from pipeline.units import WorkUnit


def read_rule(run: Run) -> ReadRule:
    """Return the rule by which a run reads its work units."""
    return ReadRule.of(run.options, run.spec.class_names, run.spec.input.shape, run.spec.task)


def units_of(run: Run, skipped: Skipped) -> Iterator[WorkUnit]:
    """Yield the work units of a run's inputs, and count in `skipped`, by reason, the objects that are no images."""
    return plan_units(run.inputs, run.options, run.spec.model_id, skipped)


def pin(run: Run) -> PlanTotals:
    """Write the run's plan, unless it is there already; return the totals of the plan that is there."""
    with contextlib.suppress(FileNotFoundError):
        return read_totals(run)
    skipped = Skipped()
    return create(run, units_of(run, skipped), skipped.counts, skipped.examples)
