"""Before a run, this module checks that inputs, model and OUTPUT allow it, cheaply. Knows no Beam."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from datetime import datetime, timezone

from pipeline import storage
from pipeline.errors import NoSpaceError, TransientError, UsageError
from pipeline.formatting import counted
from pipeline.metrics.by_value import OWN_SLICES
from pipeline.model.directory import check_model, check_tflite, local_copy, read_spec
from pipeline.model.engines.choice import choose
from pipeline.model.trained_on import read_hashes
from pipeline.option_values import ALL, as_names
from pipeline.options import Engine, ScoreOptions
from pipeline.output import records
from pipeline.output.finish import go_to_work
from pipeline.output.run import Run
from pipeline.scoring.stored_before import keep_stored_rows
from pipeline.sources.inputs import list_columns
from pipeline.sources.search import require_input
from pipeline.task import WITH_CLASSES

CHECK_SECONDS = 30.0
"""Seconds for which failing storage is tried again before the run has started: a person is waiting at the terminal."""

_UNNAMABLE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]")


def prepare(options: ScoreOptions) -> Run:
    """Check inputs, model and OUTPUT, write the run's record, and return the run.

    Raises:
        UsageError: something is missing, damaged or forbidden.
    """
    run = check(options)
    try:
        records.start(run)
    except (OSError, TransientError, NoSpaceError) as error:
        raise UsageError(f"--output {options.output!r} cannot be written: {error}; choose another") from error
    return run


def check(options: ScoreOptions) -> Run:
    """Return the run that options describe, if inputs, model and OUTPUT allow it; write nothing.

    The first run into an OUTPUT reads the whole model here, and finds damage: it will need the model. A later run may
    have nothing to score, so it does not; loading the model checks it in any case.

    Raises:
        UsageError: something is missing, damaged or forbidden.
    """
    storage.patience().start(min(CHECK_SECONDS, options.retry_deadline))
    spec = read_spec(storage.absolute(options.model))
    for pattern in options.input:
        require_input(pattern, options)
    if options.min_accuracy is not None and spec.task not in WITH_CLASSES:
        raise UsageError(
            f"--min_accuracy {options.min_accuracy:g} cannot be checked: the model gives "
            f"{'a number' if spec.task == 'value' else 'an embedding'}, which has no accuracy; leave the option out"
        )
    read_hashes(storage.absolute(options.model))  # damage is told now, not in the morning
    if options.accepts and spec.task != "classes":
        name = "accept_score" if options.accept_score is not None else "accept_accuracy"
        raise UsageError(
            f"--{name} needs a model that says which one of its classes is right, and the task of this one is "
            f"{spec.task}; leave the option out"
        )
    if spec.takes == "encoded":
        _check_values(options)
    run = Run.of(new_id(datetime.now(timezone.utc)), options, spec)
    begun_with = _check_output(run)
    choice = choose(options, spec, begun_with)
    options = replace(options, engine=choice.engine, columns=as_names(_passed(run)))
    run = keep_stored_rows(replace(run, options=options, why_engine=choice.why))
    if begun_with is not None:
        _check_limit(run)
    else:
        check_files(run)
    return run


def _check_values(options: ScoreOptions) -> None:
    """Raise a UsageError if an option says how images are decoded, or asks for pixels: both are the model's own."""
    for name, value in (("bands", options.bands), ("background", options.background)):
        if value:
            raise UsageError(
                f"--{name} {value} changes nothing: the model decodes the files itself; leave the option out"
            )
    if options.pixel_facts:
        raise UsageError("--pixel_facts has nothing to tell: the model decodes the files itself; leave the option out")


def _passed(run: Run) -> tuple[str, ...]:
    """Return the names of the columns that pass through, so that the rows' schema follows from the options alone.

    Those of --slice that are no columns of every row are among them. Names of lists' columns are looked for there.

    Raises:
        UsageError: no list has such a column, and there is nothing but lists; or --exif is missing.
    """
    options = run.options
    if "exif_camera" in options.slices and not options.exif:
        raise UsageError("--slice exif_camera needs --exif, which reads the camera; give both")
    sliced = tuple(name for name in options.slices if name not in OWN_SLICES)
    chosen = tuple(dict.fromkeys((*options.passed, *sliced)))
    if options.columns != ALL and not chosen:
        return ()
    there, is_all = list_columns(run.inputs, options)
    for name in chosen:
        top = name if name in there else name.partition(".")[0]
        if is_all and top not in there:
            option = "columns" if name in options.passed else "slice"
            raise UsageError(
                f"--{option} names {name!r}, but no list of --input has this column: "
                + (f"choose from {', '.join(there)}" if there else f"they have no others: leave --{option} out")
            )
    return tuple(dict.fromkeys((*there, *chosen))) if options.columns == ALL else chosen


def new_id(now: datetime) -> str:
    """Return an id for a run that starts now, in UTC: ids sort by time, also those of one second.

    >>> new_id(datetime(2026, 1, 2, 3, 4, 5, 750_000))[:20]
    '20260102T030405Z-c00'
    """
    return f"{now:%Y%m%dT%H%M%SZ}-{now.microsecond * 4096 // 1_000_000:03x}{secrets.randbelow(4096):03x}"


def check_files(run: Run) -> None:
    """Check that the model's files are those that its spec tells of: saved_model/, and model.tflite if that scores.

    Raises:
        UsageError: files are missing or changed.
    """
    folder = local_copy(run.model)
    check_model(folder, run.spec, name=run.model)
    if run.engine == "litert":
        check_tflite(folder, run.spec, name=run.model)


def find_engine(run: Run) -> Engine | None:
    """Return the engine that made the results which OUTPUT holds; None if it holds none.

    Raises:
        UsageError: the results are of another model or by older rules, or the record of the run that began them is
            damaged.
    """
    return _check_output(run)


def begin_work(run: Run) -> None:
    """Check the model, then let run.json say that this run is under way.

    Called once, before the first image is scored, by whoever starts the pipeline. A model that is refused leaves
    run.json as it is.

    Raises:
        UsageError: the model is damaged.
    """
    check_files(run)
    go_to_work(run)


def is_first(run: Run) -> bool:
    """Return whether this is the first run into its OUTPUT."""
    return not set(records.names(run.output)) - {run.id}


def _check_output(run: Run) -> Engine | None:
    """Check that OUTPUT can be named, is a folder, and of no other model or rules; return its engine.

    It is None if no run has begun there.
    """
    if _UNNAMABLE.search(run.output):
        raise UsageError(
            f"--output {run.options.output!r} is not UTF-8 or has a line break or another control character in it, and "
            "the table of the result has a line for each of its files; choose another"
        )
    first = next(iter(storage.list_objects(run.output)), None)
    if first is not None and first.location == run.output:
        raise UsageError(f"--output {run.options.output!r} is a file; give a folder")
    runs = records.names(run.output)
    if not runs:
        return None
    oldest, newest = (records.location_in(run.output, name) for name in (runs[0], runs[-1]))
    for location in (run.result("run.json"), newest):
        records.read_if_sound(location)  # one of a newer format is refused; `verify` tells of damaged ones
    try:
        record = records.read(oldest)
        model = record["model"]
        begun = Run.from_record(record, oldest)
    except ValueError as error:
        raise UsageError(f"{oldest!r} is damaged ({error}); remove it or choose another --output") from error
    if model != run.spec.model_id:
        raise UsageError(
            f"--output {run.options.output!r} holds results of model {model[:12]}, but --model {run.options.model!r} "
            f"is {run.spec.model_id[:12]}; choose another --output, or remove that one"
        )
    if begun.rules != run.rules:
        raise UsageError(
            f"--output {run.options.output!r} was written by an earlier version, which read some labels differently "
            f"(rules {begun.rules}, now {run.rules}): score into another --output"
        )
    return begun.engine


def _check_limit(run: Run) -> None:
    """Refuse a trial with --limit in an OUTPUT that holds the results of more images: it would replace them.

    Looked at are the last complete run, and those that came after it and may have results of their own.
    """
    limit = run.options.limit
    if limit is None:
        return
    for record in records.newest_first(run.output):
        earlier = Run.from_record(record).options.limit
        images = record.get("images") if records.has_ended(record) else None
        if (earlier is None or earlier > limit) and _has_more(run, images, limit):
            held = counted(images, "image") if images is not None else f"run {record['run']}, which is not finished"
            raise UsageError(
                f"--output {run.options.output!r} holds results of {held}; a run with --limit {limit} would replace "
                "them: choose another --output"
            )
        if record.get("complete"):
            return


def _has_more(run: Run, images: int | None, limit: int) -> bool:
    """Return whether a run of so many images, None of one that has not ended, has results beyond the limit."""
    if images is not None:
        return images > limit
    return next(iter(storage.list_objects(run.folder("receipts"))), None) is not None
