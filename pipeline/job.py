"""The scoring job: check everything, build the pipeline, run it, return the run's record.

Owns Beam's view of the options and the choice of the runner. Must not print.
"""

from __future__ import annotations

import argparse
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, NoReturn

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipeline import cpu, errors, storage
from pipeline.errors import NightscoreError, NoSpaceError, TransientError, UsageError
from pipeline.finish import start
from pipeline.model_dir import check_model, local_copy, read_spec
from pipeline.options import LABEL_SOURCES, ScoreOptions, add_arguments, from_arguments
from pipeline.plan import require_input
from pipeline.run import Run
from pipeline.transforms import build

CHECK_SECONDS = 30.0
"""How long storage that fails is tried again before anything has started and somebody is looking on."""

LOCAL_RUNNERS = (None, "DirectRunner", "FnApiRunner", "BundleBasedDirectRunner", "SwitchingDirectRunner")
"""All of them mean Beam's FnApiRunner in this process: no download, no socket."""

_RAISED = re.compile(r"pipeline\.errors\.(\w+): (.*?)(?: \[while running '[^']*'\])*$", re.MULTILINE)
_STEP = re.compile(r"(?: \[while running '[^']*'\])+\s*$")
_UNNAMABLE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]")
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
    ours = [flag for pair in _pairs(argv) for flag in _renamed(pair)]
    parsers: list[argparse.ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    parser = parsers[0]
    parser.error = _refuse  # type: ignore[method-assign]
    values, unknown = parser.parse_known_args(ours)
    if unknown:
        raise UsageError(f"unknown argument {unknown[0]!r}; see 'nightscore score --help'")
    options = from_arguments(vars(values))
    beam_options = PipelineOptions(ours)
    beam_options.view_as(SetupOptions).save_main_session = False
    job = Job(options, beam_options)
    if job.is_local:
        cpu.require(options.precision)
    return job


def _pairs(argv: Sequence[str]) -> list[list[str]]:
    """Return the arguments with `--labels X` kept together."""
    pairs: list[list[str]] = []
    for argument in argv:
        if pairs and pairs[-1] == ["--labels"]:
            pairs[-1].append(argument)
        else:
            pairs.append([argument])
    return pairs


def _renamed(pair: list[str]) -> list[str]:
    text = "=".join(pair)
    value = text.partition("=")[2]
    is_ours = text.startswith("--labels=") and ("=" not in value and not value.startswith("{"))
    if is_ours and value not in LABEL_SOURCES:
        raise UsageError(f"--labels {value!r} is unknown: choose from {', '.join(LABEL_SOURCES)}")
    return [f"--label_source={value}"] if is_ours else pair


def _refuse(message: str) -> NoReturn:
    raise UsageError(f"{message}; see 'nightscore score --help'")


def prepare(options: ScoreOptions) -> Run:
    """Check inputs, model and OUTPUT, cheaply, and return the run; only its record is written.

    Raises:
        UsageError: something is missing, damaged or forbidden.
    """
    run = check(options)
    try:
        start(run)
    except (OSError, TransientError, NoSpaceError) as error:
        raise UsageError(f"--output {options.output!r} cannot be written: {error}; choose another") from error
    return run


def check(options: ScoreOptions) -> Run:
    """Return the run that options describe, if inputs, model and OUTPUT allow it; nothing is written.

    A damaged model is found here by the first run into an OUTPUT, which will need it. Later runs may have nothing to
    score, and do not read it for that; the canary, or whoever loads it, checks it in any case.

    Raises:
        UsageError: something is missing, damaged or forbidden.
    """
    storage.patience().start(min(CHECK_SECONDS, options.retry_deadline))
    spec = read_spec(storage.absolute(options.model))
    for pattern in options.input:
        require_input(pattern)
    name = f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    run = Run(name, options, spec)
    _check_output(run)
    if next(iter(storage.list_objects(run.result("runs"))), None) is None:
        check_model(local_copy(run.model), spec, name=run.model)
    return run


def _check_output(run: Run) -> None:
    """Check that OUTPUT can be named in a table, is not a file and holds no results of another model."""
    if _UNNAMABLE.search(run.output):
        raise UsageError(
            f"--output {run.options.output!r} is not UTF-8 or has a line break or another control character in it, and "
            "the table of the result has a line for each of its files; choose another"
        )
    first = next(iter(storage.list_objects(run.output)), None)
    if first is not None and first.location == run.output:
        raise UsageError(f"--output {run.options.output!r} is a file; give a folder")
    record = next(iter(storage.list_objects(run.result("runs"))), None)
    if record is None:
        return
    try:
        model = json.loads(storage.read(record.location))["model"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{record.location!r} is damaged ({error}); remove it or choose another --output") from error
    if model != run.spec.model_id:
        raise UsageError(
            f"--output {run.options.output!r} holds results of model {model[:12]}, but --model {run.options.model!r} "
            f"is {run.spec.model_id[:12]}; choose another --output, or remove that one"
        )


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
        build(pipeline, run)
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
