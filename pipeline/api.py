"""A scoring run from options to its record: what `nightscore score` does, without its flags and its screen.

Must not print, exit, or touch signals; whoever calls it decides what a person sees.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.machine import require_precision
from pipeline.metrics.record import EndedRecord
from pipeline.options import ScoreOptions, to_flags
from pipeline.output.interrupted import interruption_noted
from pipeline.output.on_end import End, told
from pipeline.output.progress import tally
from pipeline.output.run import Run
from pipeline.scoring.already_done import finish_if_done
from pipeline.scoring.prepare import is_first, prepare

if TYPE_CHECKING:
    from pipeline.beam.job import Pipeline

PLAN_SECONDS = 0.5
"""Seconds for which a model that is loaded in a moment, as by LiteRT, waits for the process that plans.

A small archive is planned by then, and one local process is enough for the run: to start another one takes a fifth of a
second of CPU time. Apache Beam's import takes longer than both.
"""

_logger = logging.getLogger(__name__)

Imports = Callable[[], AbstractContextManager[None]]
"""Makes a context in which Apache Beam is imported."""


@dataclass(frozen=True)
class Scored:
    """What became of a run.

    Attributes:
        run: its id, its options, its model.
        record: the content of its run.json; None if a job was submitted and nobody waits for it.
    """

    run: Run
    record: EndedRecord | None


def score(
    options: ScoreOptions,
    beam_arguments: Sequence[str] = (),
    announce: Callable[[str], None] = lambda _: None,
    while_importing: Imports = contextlib.nullcontext,
    complain: Callable[[str], None] = _logger.error,
) -> Scored:
    """Score an archive and return the run's record; a bad verdict is in the record and raises nothing.

    Without arguments for Beam the run is in this process. Then Beam is imported only if there is something
    to score.

    Args:
        options: of the job.
        beam_arguments: Beam's own flags, such as "--runner=FlinkRunner".
        announce: called with a line about a job on an engine elsewhere, as soon as it is submitted.
        while_importing: makes the context in which Apache Beam is imported, as a command wants it.
        complain: called with a line if the command of --on_end fails.

    Raises:
        UsageError: an option, an input, the model, OUTPUT or a flag of Beam's is not as it should be.
        GoldenMismatchError: this machine does not reproduce the model's golden images.
        JobFailedError: a job elsewhere has ended without a verdict.
        StoreDownError: a store answers no request.
        NoSpaceError: a disk is full.
        KeyboardInterrupt: a person interrupted the run; what is committed stays.
    """
    tally().note(())
    with told(options.on_end, options.output, complain) as ends:
        scored = _score(options, beam_arguments, announce, while_importing)
        if scored.record is not None:
            ends.append(End.of(scored.record, options.output))
    return scored


def _score(
    options: ScoreOptions, beam_arguments: Sequence[str], announce: Callable[[str], None], while_importing: Imports
) -> Scored:
    if beam_arguments:
        with while_importing():
            from pipeline.beam import job
        asked = job.parse([*to_flags(options), *beam_arguments])
        run = _prepare(options)
        with interruption_noted(run) if asked.is_local else contextlib.nullcontext():  # one elsewhere goes on
            return Scored(run, job.run_job(asked, run, announce))
    require_precision(options.precision)
    run = _prepare(options)
    with interruption_noted(run):
        pipeline = head_start(run, while_importing) if is_first(run) else None
        record = finish_if_done(run)
        if record is None:
            with while_importing():
                from pipeline.beam import job
            record = job.run_job(job.parse(to_flags(options)), run, pipeline=pipeline)
    return Scored(run, record)


def _prepare(options: ScoreOptions) -> Run:
    """Return the run that options describe, and let progress show what becomes of rows that OUTPUT holds."""
    run = prepare(options)
    tally().note(run.note)
    return run


def head_start(run: Run, while_importing: Imports = contextlib.nullcontext) -> Pipeline:
    """Assemble the run's Beam pipeline here while a local process pins its plan, and it or another loads the model.

    The first run into an OUTPUT needs all three. Planning is Python's work, and so is most of an import: in one process
    they would take turns.

    Raises:
        UsageError: the model cannot be loaded.
        GoldenMismatchError: this machine does not reproduce the model's golden images.
    """
    from pipeline.concurrency import pools
    from pipeline.scoring.arrangement import arrange
    from pipeline.scoring.requests import pin_in_process

    def load() -> None:
        if run.engine == "litert":
            wait([plan], PLAN_SECONDS)
        arrange(run)

    plan = pools().read.submit(pin_in_process, run)
    started = [plan, pools().read.submit(load)]
    try:
        with while_importing():
            from pipeline.beam import job  # Apache Beam, which a run with nothing to do goes without
        pipeline = job.assemble(job.parse(to_flags(run.options)), run)
    finally:
        wait(started)
    for work in started:
        work.result()
    return pipeline
