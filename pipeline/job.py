"""The scoring job: build the pipeline, run it, return the run's record.

Owns Beam's view of the options and the choice of the runner. Must not print.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipeline import cpu, errors, storage
from pipeline.errors import NightscoreError, UsageError
from pipeline.flags import LOCAL_RUNNERS, refuse, renamed
from pipeline.options import ScoreOptions, add_arguments, from_arguments
from pipeline.run import Run
from pipeline.transforms import build

LOCAL_GROUP_UNITS = 32
"""One process scores all there is: at the end of each group it waits for the last unit's images with nothing ahead."""

_RAISED = re.compile(r"pipeline\.errors\.(\w+): (.*?)(?: \[while running '[^']*'\])*$", re.MULTILINE)
_STEP = re.compile(r"(?: \[while running '[^']*'\])+\s*$")
_INTERRUPTED = re.compile(r"KeyboardInterrupt(?: \[while running '[^']*'\])+\s*$")


class ScoringOptions(PipelineOptions):
    """`ScoreOptions` as Beam sees them: made from the same fields."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        add_arguments(parser)


@dataclass(frozen=True)
class Job:
    """What a command line asks for.

    Attributes:
        options: the job's own.
        beam: all options, as a pipeline takes them.
    """

    options: ScoreOptions
    beam: PipelineOptions

    @property
    def is_local(self) -> bool:
        """Whether it runs in this process."""
        return self.beam.view_as(StandardOptions).runner in LOCAL_RUNNERS


def parse(argv: Sequence[str]) -> Job:
    """Return the job that flags describe: Nightscore's own and Beam's.

    `--labels auto` is another name for `--label_source auto`; `--labels key=value` is Beam's (a label of a
    Dataflow job).

    Raises:
        UsageError: a flag is unknown, a value is missing or out of range, or it is to run in this process in a
            precision that this machine's CPU lacks; elsewhere whoever loads the model finds out.
    """
    flags = renamed(argv)
    parsers: list[argparse.ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    parser = parsers[0]
    parser.error = refuse  # type: ignore[method-assign]
    values, unknown = parser.parse_known_args(flags)
    if unknown:
        raise UsageError(f"unknown argument {unknown[0]!r}; see 'nightscore score --help'")
    options = from_arguments(vars(values))
    beam_options = PipelineOptions(flags)
    beam_options.view_as(SetupOptions).save_main_session = False
    job = Job(options, beam_options)
    if job.is_local:
        cpu.require(options.precision)
    return job


def run_job(job: Job, run: Run) -> dict[str, Any]:
    """Run the pipeline to its end and return the run's record.

    Raises:
        KeyboardInterrupt: a person interrupted a local run; what was under way has ended.
        NightscoreError: a step raised one.
        RuntimeError: a step raised something else: a bug.
    """
    storage.patience().deadline = run.options.retry_deadline
    runner = FnApiRunner() if job.is_local else job.beam.view_as(StandardOptions).runner
    try:
        pipeline = beam.Pipeline(runner=runner, options=job.beam)
        build(pipeline, run, LOCAL_GROUP_UNITS if job.is_local else None)
        pipeline.run().wait_until_finish()
    except (RuntimeError, NightscoreError) as error:
        raise _original(error) from error
    record: dict[str, Any] = json.loads(storage.read(run.record))
    return record


def _original(error: Exception) -> BaseException:
    """Return the interrupt or the error of ours as it was raised, or the runner's own.

    A runner reports it as text, or raises it with the name of the step behind its text.
    """
    if isinstance(error, NightscoreError):
        return type(error)(_STEP.sub("", str(error)))
    if _INTERRUPTED.search(str(error)):
        return KeyboardInterrupt()
    found = _RAISED.findall(str(error))
    kind = getattr(errors, found[-1][0], None) if found else None
    return kind(found[-1][1]) if kind is not None and issubclass(kind, NightscoreError) else error
