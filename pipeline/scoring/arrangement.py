"""How this process's local processes share the work of a run: which of them load the model, and which decode.

Must not know what they are asked to do.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field

from pipeline.concurrency import cores
from pipeline.machine import cpu_kind, describe
from pipeline.model.directory import local_copy
from pipeline.model.engines.choice import sees_gpu
from pipeline.model.loaded import Model, acquire
from pipeline.output.run import Run
from pipeline.scoring.deaths import Deaths
from pipeline.scoring.local_process import DeadError
from pipeline.scoring.memory import allowed_bytes, count_scorers, private_bytes
from pipeline.scoring.pace import Pace
from pipeline.scoring.process_messages import Loaded, Request
from pipeline.scoring.process_pool import processes

_arranging = threading.Lock()
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Arrangement:
    """How this process's local processes share the work of a run.

    Attributes:
        run: that they work for.
        most: number of local processes, at most.
        maker: what makes scores here: the engine's version and the kind of CPU, as receipts carry it.
        in_threads: whether the model runs in threads of this process, as on a GPU.
        pace: how long an image takes.
    """

    run: Run
    most: int
    maker: str
    in_threads: bool
    pace: Pace = field(default_factory=Pace, compare=False)


_arranged: list[Arrangement] = []
"""The last arrangement; empty before the first."""


def arrange(run: Run, most: int | None = None) -> Arrangement:
    """Load the model in a first local process, and settle from its memory how many load it, too.

    Returns at once where that is done already.

    Args:
        run: to work for.
        most: number of local processes, at most; None: as many as there are for this run already, else one a core.

    Raises:
        UsageError: the model cannot be loaded.
        GoldenMismatchError: this machine does not reproduce the golden images.
    """
    with _arranging:
        if _arranged and _is_of(_arranged[0], run) and most in (None, _arranged[0].most):
            return _arranged[0]
        arrangement = _arrange(run, most or cores())
        _arranged[:] = [arrangement]
        return arrangement


def _is_of(arrangement: Arrangement, run: Run) -> bool:
    return arrangement.run is run or arrangement.run == run


def _network(run: Run) -> tuple[str, str, str]:
    """Return what a process has to load for a run: processes that have loaded something else have no room for it."""
    return run.spec.model_id, run.engine, run.options.precision


def _arrange(run: Run, most: int) -> Arrangement:
    pool = processes()
    if _arranged and _network(_arranged[0].run) != _network(run):
        pool.close()
    if run.engine == "tensorflow" and run.spec.takes == "pixels" and sees_gpu():
        model = model_here(run)
        pool.arrange(0, most)
        _log(run, model.version)
        return Arrangement(run, most, f"{model.version} on {model.device}, {cpu_kind()}", in_threads=True)
    pool.arrange(1, max(1, most - 1))
    loaded = _load_first(run)
    if run.spec.takes == "encoded":
        pool.arrange(1, 0)  # files that its decoder may die of are read and scored there, in threads, and nowhere else
    elif run.engine == "tensorflow":
        pool.arrange(1, most)  # it computes in as many threads as there are cores
    else:
        allowed = allowed_bytes(run.options.memory_mb)
        scorers = count_scorers(allowed, private_bytes(), loaded.before, loaded.after, most)
        pool.arrange(scorers, most - scorers)
    _log(run, loaded.version, f", in {pool.scorers} of {pool.size} local processes")
    return Arrangement(run, most, f"{loaded.version}, {loaded.cpu}", in_threads=False)


def _log(run: Run, version: str, where: str = "") -> None:
    """Say what scores a run."""
    if _logger.isEnabledFor(logging.INFO):  # to look up the versions of libraries takes a tenth of a process's start
        model, precision = run.spec.model_id[:12], run.options.precision
        _logger.info("scores with model %s by %s in %s%s: %s", model, version, precision, where, describe())


def model_here(run: Run) -> Model:
    """Return the run's model in this process, which loads it once."""
    return acquire(local_copy(run.model), run.spec, run.engine, run.options.precision)


def _load_first(run: Run) -> Loaded:
    deaths = Deaths(run)
    while True:
        try:
            with processes().borrow(scores=True, alone=deaths.is_alone) as process:
                answer, _ = process.ask(Request("load"), (), run, local_copy(run.model))
                assert answer.loaded is not None
                return answer.loaded
        except DeadError as death:
            deaths.note(death)


def arrange_decoders(most: int) -> None:
    """Let local processes do nothing but read and decode, for somebody who scores nothing.

    Args:
        most: number of local processes, at most.
    """
    with _arranging:
        _arranged.clear()
        processes().arrange(0, most)
