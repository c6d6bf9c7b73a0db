"""`nightscore.score`: an archive, a model and an OUTPUT in, a Night out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypedDict

from nightscore.night import Night, expected_errors, night_of
from nightscore.quiet import be_impatient, one_run, settings_kept
from pipeline import api
from pipeline.errors import UsageError
from pipeline.option_values import TopK
from pipeline.options import LOCAL_RUNNERS, EngineChoice, LabelsAre, LabelSource, PartFormat, Precision, ScoreOptions
from pipeline.text import plain

if TYPE_CHECKING:
    from typing_extensions import Unpack

Path = str | os.PathLike[str]


class ScoreKeywords(TypedDict, total=False):
    """The other options of `score`: as the flags of `nightscore score --help_all`, which tells of each."""

    label_source: LabelSource
    format: PartFormat
    top_k: TopK
    precision: Precision
    engine: EngineChoice
    max_failed_fraction: float
    min_accuracy: float | None
    accept_score: float | None
    accept_accuracy: float | None
    unit_images: int
    limit: int | None
    max_pixels: int
    image_timeout: float
    memory_mb: int | None
    retry_deadline: float
    retry_failed: bool
    no_canary: bool
    no_wait: bool
    on_end: str | None
    accelerator: str | None
    image_key: str | None
    labels_file: str | None
    zip_encoding: str | None
    file_column: str | None
    label_column: str | None
    labels_are: LabelsAre
    label_key: str | None
    label_offset: int
    columns: str
    slice: str | None
    exif: bool
    pixel_facts: bool
    bands: str
    background: str
    no_pictures: bool
    link_base: str | None


def score(
    input: Path | Sequence[Path],  # noqa: A002 - the flag's name
    model: Path,
    output: Path,
    *,
    runner: str | None = None,
    beam_args: Sequence[str] = (),
    progress: bool = False,
    **options: Unpack[ScoreKeywords],
) -> Night:
    """Score an archive of images with a model; what is in OUTPUT already is not scored again.

    A bad verdict raises nothing: too many failed images, unfinished units or an accuracy below `min_accuracy` are in
    `Night.verdict`. Calls from several threads follow one another.

    Args:
        input: images: a file, folder, glob, TFRecord, tar, zip, IDX or list of images, on disk or gs://; or several.
        model: model directory.
        output: folder for the results, on disk or gs://.
        runner: Beam's runner, such as "DataflowRunner"; default: this process.
        beam_args: Beam's own flags, such as ["--region=us-central1"].
        progress: whether to show progress on stderr: a bar on a terminal, elsewhere a line every 30 seconds. A line
            about a job that is submitted to an engine elsewhere goes to stdout.
        options: see `ScoreKeywords`.

    Raises:
        UsageError: an option, an input, the model, OUTPUT or a flag of Beam's is not as it should be.
        GoldenMismatchError: this machine does not reproduce the model's golden images.
        JobFailedError: a job elsewhere has ended without a verdict.
        TransientError: storage fails for now, before anything was scored.
        StoreDownError: a store answers no request.
        NoSpaceError: a disk is full.
        KeyboardInterrupt: a person interrupted the run, and what was under way has ended; what is committed stays, and
            the same call goes on from there.
    """
    inputs = [input] if isinstance(input, str | os.PathLike) else input
    chosen = ScoreOptions(tuple(os.fspath(one) for one in inputs), os.fspath(model), os.fspath(output), **options)
    if isinstance(beam_args, str):
        raise UsageError(f"beam_args {beam_args!r} is a string: give a list of flags")
    if runner not in LOCAL_RUNNERS:
        beam_args = [f"--runner={runner}", *beam_args]
    with expected_errors(), one_run, settings_kept(), _shown(progress) as announce:
        scored = api.score(chosen, beam_args, announce)
    be_impatient()
    return night_of(scored.run, scored.record)


@contextlib.contextmanager
def _shown(progress: bool) -> Iterator[Callable[[str], None]]:
    """Show progress if that is asked for; yields what takes a line about a job elsewhere."""
    if not progress:
        yield lambda _: None
        return
    from pipeline.cli import terminal

    with terminal.progress():
        yield lambda text: print(plain(text), flush=True)
