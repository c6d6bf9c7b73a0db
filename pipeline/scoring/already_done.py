"""A run with nothing left to score is finished from the receipts that are there, without an engine.

The steps are the same as those of the Beam job. So a second run over a large archive takes one machine as long as
listing it. Knows no Beam.
"""

from __future__ import annotations

from contextlib import closing

from pipeline import storage
from pipeline.concurrency import ahead, pools
from pipeline.errors import TransientError
from pipeline.metrics.record import EndedRecord
from pipeline.output import plan_file
from pipeline.output.commit import RECALLS_AHEAD, committed, recall
from pipeline.output.finish import finish
from pipeline.output.progress import tally
from pipeline.output.receipts import Receipt
from pipeline.output.run import Run
from pipeline.output.summary import Summary
from pipeline.scoring.planning import pin


def finish_if_done(run: Run) -> EndedRecord | None:
    """Pin the run's plan; if every unit of it is committed, finish the run.

    Returns:
        The run's record; or None, if there are units to score: the Beam job is next, and finds the plan pinned.
    """
    storage.patience().deadline = run.options.retry_deadline
    tally().start(pin(run).total)
    if run.options.retry_failed:
        return None
    try:
        summary = _summarize_if_done(run)
    except TransientError:
        return None  # the Beam job tries again, and names the units
    return None if summary is None else finish(summary, run)


def _summarize_if_done(run: Run) -> Summary | None:
    """Return the summary of all planned units; None if one of them has no receipt or no part."""
    units = plan_file.read_index(run).units
    if not committed(run).issuperset(unit.id for unit in units):
        return None
    with closing(ahead(lambda unit: recall(unit, run), units, RECALLS_AHEAD, pools().read)) as receipts:
        try:
            return Summary.merge_all(map(_summary_of, receipts))
        except _NotDoneError:
            return None


class _NotDoneError(Exception):
    """A unit of the plan has no receipt."""


def _summary_of(receipt: Receipt | None) -> Summary:
    if receipt is None:
        raise _NotDoneError
    tally().add(kept=receipt.rows)
    return Summary.of(receipt)
