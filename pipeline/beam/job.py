"""The scoring job: build the pipeline, run it, return the run's record.

This module makes Beam's options from ours and chooses the runner. It must not print.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from apache_beam import Pipeline as Pipeline
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions, SetupOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult, PipelineState

from pipeline import errors, storage
from pipeline.beam import dataflow
from pipeline.beam.notebook import as_in_a_program
from pipeline.beam.transforms import build
from pipeline.errors import JobFailedError, NightscoreError, UsageError
from pipeline.flag_names import HELP_ALL, JSON, QUIET, unknown_argument
from pipeline.machine import require_precision
from pipeline.metrics.record import EndedRecord
from pipeline.options import LOCAL_RUNNERS, ScoreOptions, add_arguments, from_arguments, refuse, rename_labels
from pipeline.output import records
from pipeline.output.remote_progress import follow
from pipeline.output.run import Run
from pipeline.scoring.prepare import begin_work

LOCAL_GROUP_UNITS = 1 << 40
"""Units in a group where one process scores all of them: at the end of a group it would have nothing to look ahead to.
"""

ANSWER_SECONDS = 10.0
"""Seconds that a job server may take to accept a connection."""

JOB_GOES_ON = "the job goes on where it runs"
"""Line for a person who stops waiting for a job on another engine than Dataflow."""

_RAISED = re.compile(r"pipeline\.errors\.(\w+): (.*?)(?: \[while running '[^']*'\])*$", re.MULTILINE)
_STEP = re.compile(r"(?: \[while running '[^']*'\])+\s*$")
_INTERRUPTED = re.compile(r"KeyboardInterrupt(?: \[while running '[^']*'\])+\s*$")


class ScoringOptions(PipelineOptions):
    """`ScoreOptions` as a class of Beam's options, made from the same fields."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        add_arguments(parser)


@dataclass(frozen=True)
class Job:
    """The options of one command line.

    Attributes:
        options: Nightscore's own.
        beam: all options, Nightscore's and Beam's, as a pipeline takes them.
    """

    options: ScoreOptions
    beam: PipelineOptions

    @property
    def is_on_dataflow(self) -> bool:
        """Whether the job runs on Google Cloud Dataflow."""
        return self.beam.view_as(StandardOptions).runner in dataflow.RUNNERS

    @property
    def is_local(self) -> bool:
        """Whether the job runs in this process."""
        return self.beam.view_as(StandardOptions).runner in LOCAL_RUNNERS


def parse(argv: Sequence[str]) -> Job:
    """Return the job that flags describe: Nightscore's own and Beam's.

    `--labels auto` is another name for `--label_source auto`; `--labels key=value` is Beam's (a label of a
    Dataflow job).

    Raises:
        UsageError: a flag is unknown, a value is missing or out of range, or the job is to run in this process in a
            precision that this machine's CPU lacks; on another engine the workers check their CPU.
    """
    flags = rename_labels(argv)
    parser = _parser()
    parser.error = refuse  # type: ignore[method-assign]
    values, unknown = parser.parse_known_args(flags)
    if unknown:
        known = (*parser._option_string_actions, QUIET, JSON, HELP_ALL)
        raise UsageError(f"{unknown_argument(unknown[0], known)}; see 'nightscore score --help'")
    options = from_arguments(vars(values))
    beam_options = PipelineOptions(flags)
    beam_options.view_as(SetupOptions).save_main_session = False
    job = Job(options, beam_options)
    if job.is_local:
        require_precision(options.precision)
    elif job.is_on_dataflow:
        dataflow.require_visible(options, beam_options)
        dataflow.tune(beam_options)
    return job


def flags() -> dict[str, bool]:
    """Return all flags, Nightscore's own and Beam's, each with whether it takes a value."""
    return {flag: action.nargs != 0 for action in _parser()._actions for flag in action.option_strings}


def _parser() -> argparse.ArgumentParser:
    """Return the parser of all flags, Nightscore's own and Beam's."""
    parsers: list[argparse.ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    return parsers[0]


def assemble(job: Job, run: Run) -> Pipeline:
    """Return the pipeline of a run, which is not started; it takes a quarter of a second, and needs no plan."""
    runner = FnApiRunner() if job.is_local else job.beam.view_as(StandardOptions).runner
    pipeline = Pipeline(runner=runner, options=job.beam)
    group_units = LOCAL_GROUP_UNITS if job.is_local else None
    with as_in_a_program():
        build(pipeline, run, group_units, enforce=run.options.no_wait and not job.is_local)
    return pipeline


def start(job: Job, run: Run, pipeline: Pipeline | None = None) -> PipelineResult:
    """Start the pipeline; a local one has ended on return, one on another engine goes on by itself.

    Args:
        job: the job, as `parse` returned it.
        run: the run to do.
        pipeline: of both, as `assemble` returned it; None: it is still to be assembled.

    Raises:
        KeyboardInterrupt: a person interrupted a local run; its work has ended.
        NightscoreError: a step raised one.
        UsageError: the engine does not take the job.
        RuntimeError: a step raised something else: a bug.
    """
    _require_job_server(job)
    storage.patience().deadline = run.options.retry_deadline
    try:
        with dataflow.explain_refusal() if job.is_on_dataflow else contextlib.nullcontext():
            pipeline = pipeline or assemble(job, run)
            begin_work(run)
            return pipeline.run()
    except (RuntimeError, ValueError, NightscoreError) as error:
        original = _original_error(error)
        if original is error and not job.is_local:
            raise UsageError(f"the --runner does not start the job: {' '.join(str(error).split())}") from error
        raise original from error


def _require_job_server(job: Job) -> None:
    """Check that the job server of `--job_endpoint` accepts a connection: Beam would wait for it for many minutes.

    Raises:
        UsageError: it does not.
    """
    endpoint = job.beam.view_as(PortableOptions).job_endpoint
    host, _, port = (endpoint or "").rpartition(":")
    if job.is_local or not port.isdecimal():
        return  # no job server is needed, or Beam starts it ("embed")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except OSError as error:
        text = f"--job_endpoint {endpoint!r} does not answer ({error}): start Beam's job server there, or correct it"
        raise UsageError(text) from error


def run_job(
    job: Job, run: Run, announce: Callable[[str], None] = lambda _: None, pipeline: Pipeline | None = None
) -> EndedRecord | None:
    """Run the pipeline to its end and return the run's record.

    With `--no_wait`, or with a Dataflow template, nobody waits for a job on another engine, and the record is None.

    Args:
        job: the job, as `parse` returned it.
        run: the run to do, as `pipeline.scoring.prepare.prepare` returned it.
        announce: called with a line about a Dataflow job, as soon as it is submitted.
        pipeline: see `start`.

    Raises:
        KeyboardInterrupt: a person interrupted a local run, and its work has ended; or a person interrupted the wait
            for a job on another engine, which goes on, and the text says so.
        JobFailedError: a job on another engine has ended without a verdict.
        NightscoreError: a step raised one.
        RuntimeError: a step raised something else: a bug.
    """
    result = start(job, run, pipeline)
    is_submitted = True
    if job.is_on_dataflow:
        is_submitted = result.has_job  # with --template_location a template is written and no job is submitted
        announce(dataflow.describe_job(result, job.beam))
    if not job.is_local:
        if run.options.no_wait or not is_submitted:
            return None
        try:
            with follow(run):
                failure = _wait_for_failure(result)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                dataflow.describe_cancel(result, job.beam) if job.is_on_dataflow else JOB_GOES_ON
            ) from None
        if failure is not None and not records.has_ended(records.read(run.record)):
            raise failure
    return records.read_ended(run)


def _wait_for_failure(result: PipelineResult) -> NightscoreError | None:
    """Wait until a job on another engine ends; return why it failed, or None."""
    try:
        state = result.wait_until_finish()
    except Exception as error:  # noqa: BLE001 - each runner raises another kind
        original = _original_error(error)
        if isinstance(original, NightscoreError):
            return original
        lines = [line for line in str(error).splitlines() if line.strip()]
        return JobFailedError(f"the job has ended as {result.state}: {lines[-1] if lines else type(error).__name__}")
    return None if state == PipelineState.DONE else JobFailedError(f"the job has ended as {state}")


def _original_error(error: Exception) -> BaseException:
    """Return the error that a step raised, an interrupt or one of ours; otherwise the runner's own error.

    A runner reports a step's error as text, or raises it with the name of the step behind its text.
    """
    if isinstance(error, NightscoreError):
        return type(error)(_STEP.sub("", str(error)))
    if _INTERRUPTED.search(str(error)):
        return KeyboardInterrupt()
    raised = _RAISED.findall(str(error))
    kind = getattr(errors, raised[-1][0], None) if raised else None
    return kind(raised[-1][1]) if kind is not None and issubclass(kind, NightscoreError) else error
