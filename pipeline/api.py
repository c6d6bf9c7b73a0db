"""What the first run into an OUTPUT needs in any case, side by side: its plan, Beam, and the model.

Planning is Python's work, and so is most of an import: in one process they would take turns. A later run may have
nothing to score, and goes without the last two.
"""

from __future__ import annotations

from pipeline.concurrency import pools
from pipeline.machine import without
from pipeline.model.predict import acquire
from pipeline.output.run import Run
from pipeline.scoring.process_pool import pin_in_process


def head_start(run: Run) -> None:
    """Load Beam and the model while the run's plan is pinned in a local process.

    Raises:
        UsageError: the model cannot be loaded.
        GoldenMismatchError: this machine does not reproduce the model's golden images.
    """
    pinned = pools().read.submit(pin_in_process, run)
    try:
        with without("pandas"):
            from pipeline.beam import job  # noqa: F401 - Apache Beam, which a run with nothing to do goes without

        acquire(run.model, run.spec, run.options.precision)
    finally:
        pinned.result()
