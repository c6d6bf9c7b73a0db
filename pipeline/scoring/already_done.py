"""A run for which nothing is left to score: its result straight from what is there, by the pipeline's own steps.

Needs no engine, so that the rerun of a large archive on one machine takes as long as listing it. Knows no Beam.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

from pipeline import storage
from pipeline.concurrency import ahead, pools
from pipeline.errors import TransientError
from pipeline.output import plan_file
from pipeline.output.commit import RECALLS_AHEAD, committed, recall
from pipeline.output.finish import finish
from pipeline.output.progress import tally
from pipeline.output.run import Run
from pipeline.output.summary import Summary
from pipeline.scoring.planning import pin


def rerun(run: Run) -> dict[str, Any] | None:
    """Pin the run's plan; where every unit of it is done, finish the run and return its record, else None.

    After None the pipeline is to be run: it finds the plan pinned.
    """
    storage.patience().deadline = run.options.retry_deadline
    tally().start(pin(run).total)
    if run.options.retry_failed:
        return None
    try:
        summary = _kept(run)
    except TransientError:
        return None  # the pipeline tries again, and says of which units
    return None if summary is None else finish(summary, run)


def _kept(run: Run) -> Summary | None:
    """Return the summary of all planned units, None if there is one without its receipt and part."""
    units = plan_file.read_index(run).units
    if not committed(run).issuperset(unit.id for unit in units):
        return None
    summary = Summary()
    with closing(ahead(lambda unit: recall(unit, run), units, RECALLS_AHEAD, pools().read)) as receipts:
        for receipt in receipts:
            if receipt is None:
                return None
            tally().add(kept=receipt.rows)
            summary = summary.merge(Summary.of(receipt))
    return summary
