"""This module makes report.html from the figures of a run: one file, which needs no network.

It prepares what the templates in `pages/` draw. The page stays small, whatever the archive holds: lists are cut, and
each picture is embedded once, the most important ones first, up to a limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple, cast

from pipeline.formatting import NOTHING, count, counted, moment, rate
from pipeline.metrics.drift import indices_of
from pipeline.metrics.figures import Candidate, FailureCount, Figures
from pipeline.metrics.headline import headline_in, headline_of_training, task_in
from pipeline.metrics.left_out import left_out
from pipeline.metrics.record import EndedRecord
from pipeline.metrics.recorded_run import RecordedOptions
from pipeline.metrics.review import Review, Unseen
from pipeline.metrics.task_figures import AnyFigures, EmbeddingFigures, LabelFigures, ValueFigures
from pipeline.options import ScoreOptions
from pipeline.report import charts
from pipeline.report.class_page import class_part
from pipeline.report.gallery import gallery
from pipeline.report.headline import Headline, SliceTable
from pipeline.report.highlights import look_first
from pipeline.report.html import render
from pipeline.report.label_page import label_part
from pipeline.report.places import headline as headline_of
from pipeline.report.places import places_of
from pipeline.report.review_part import ReviewPart, counted_too, review_part, unseen_text, unseen_tile
from pipeline.report.task_part import TaskPart, Tile
from pipeline.report.value_page import embedding_part, value_part
from pipeline.storage.locations import location_of
from pipeline.text import brief, plain, shell_command, shell_word

SHOWN_INPUTS = 200
"""Number of rows of the table of inputs."""

SHOWN_REASONS = 20
"""Number of reasons for failures that are shown with their examples."""

SHOWN_VALUES = 10
"""Number of values that are shown of an option that has many."""

LONGEST_COMMAND = 8_000
"""Number of characters of the command that made the run; a longer command is not shown."""

PAGE_BYTES = 1_950_000
"""Bytes of a page, about. If its texts are long, it has fewer pictures than `PICTURE_BYTES` allows."""

WITH_SEEN = frozenset({"confusion", "classes", "scores", "labels", "residuals", "inputs", "folders", "slices"})
"""Names of the sections whose figures count all labelled images, also those that were seen in training."""

SHOWN_NAME = 60
"""Number of characters of the name of a data set that is shown."""


class NightRow(NamedTuple):
    """A row of the table of this run and what it is compared with: texts.

    Attributes:
        title: what it is.
        images: number of images.
        failed: number of those without a prediction.
        value: the headline of the task.
        interval: its 95 % interval.
        rate: images per second.
    """

    title: str
    images: str
    failed: str
    value: str
    interval: str
    rate: str


def report(
    figures: AnyFigures,
    record: EndedRecord,
    pictures: Mapping[str, bytes],
    review: Review | None = None,
    link_base: str | None = None,
    cells: Sequence[Candidate] = (),
) -> str:
    """Return report.html.

    Args:
        figures: the content of summary.json.
        record: the content of run.json.
        pictures: key -> PNG or JPEG file of at most 256 x 256 pixels; an image that the figures name may have none.
        review: the content of review.json; None: nobody looked at all rows.
        link_base: what takes the place of the input's location in links to originals; None: nothing does.
        cells: mistakes of each cell of the confusion matrix; (): those of summary.json are shown.
    """
    part, headline, looked = _part(figures, record, cells), Headline(task_in(figures)), review_part(review)
    unseen = (review or {}).get("unseen")
    slices = _slices(figures, headline)
    inputs = [one["input"] for one in figures["inputs"]]
    keys = [*looked.keys, *part.keys, *(example["key"] for example in figures["failure_examples"])]
    content: dict[str, Any] = dict(
        figures=figures,
        record=record,
        left_out=left_out(record),
        first=[*look_first(figures, record, part.rules), *looked.pointers],
        sections=list(_sections(figures, record, part, looked, slices)),
        counted_too=counted_too(unseen),
        with_seen=WITH_SEEN,
        tiles=_tiles(part, looked, unseen, headline),
        sentence=_sentence(part, unseen, headline),
        headline=headline,
        nights=_nights(figures, record, headline, unseen),
        indices=indices_of,
        slices=slices,
        headline_name=headline_of(inputs) if len(inputs) == 1 else "",
        course=charts.course(record["time"]["course"]) if record["time"] else None,
        command=_command(record["options"]),
        output=shell_word(location_of(record["options"]["output"])),
        failures=sorted(figures["failures"], key=_failure_images, reverse=True),
        shown_inputs=SHOWN_INPUTS,
        shown_reasons=SHOWN_REASONS,
        shown_values=SHOWN_VALUES,
        **part.content,
        **looked.content,
    )
    places = places_of(inputs, link_base or "")
    shown = gallery(keys, pictures, places)
    page = render("report.html.j2", gallery=shown, **content)
    excess = len(page.encode()) - PAGE_BYTES
    if excess > 0:
        fewer = gallery(keys, pictures, places, room=sum(map(len, shown.addresses.values())) - excess)
        page = render("report.html.j2", gallery=fewer, **content)
    return page


def _part(figures: AnyFigures, record: EndedRecord, cells: Sequence[Candidate]) -> TaskPart:
    """Return what the page shows that depends on the task."""
    task = task_in(figures)
    if task == "labels":
        return label_part(cast(LabelFigures, figures), record)
    if task == "value":
        return value_part(cast(ValueFigures, figures), record)
    if task == "embedding":
        return embedding_part(cast(EmbeddingFigures, figures), record)
    return class_part(cast(Figures, figures), record, cells)


def _tiles(part: TaskPart, looked: ReviewPart, unseen: Unseen | None, headline: Headline) -> list[Tile]:
    """Return the numbers of the summary that say how good the result is, the most important first."""
    first, of_all = unseen_tile(unseen, headline) if unseen else None, part.tile
    if of_all and unseen and unseen["seen_labelled"]:
        note = f"{counted(unseen['seen_labelled'], 'labelled image')} seen in training included"
        of_all = of_all._replace(title=f"{of_all.title} on all images", note=note)
    return [tile for tile in (first, of_all, looked.tile) if tile]


def _sentence(part: TaskPart, unseen: Unseen | None, headline: Headline) -> str:
    """Return what the summary says of how good the result is, and how far that can be believed."""
    if not unseen:
        return part.sentence
    text = unseen_text(unseen, headline)
    return text if unseen["seen_labelled"] and headline.task == "classes" else f"{part.sentence} {text}".strip()


def _sections(
    figures: AnyFigures, record: EndedRecord, part: TaskPart, looked: ReviewPart, slices: Mapping[str, SliceTable]
) -> Iterator[tuple[str, str]]:
    """Yield the name and the title of each section that has something to say; `pages/report_<name>` draws it."""
    for name, title, is_there in (
        *looked.first,
        *looked.with_label_errors(part.sections),
        *looked.last,
        ("failures", "Failures", figures["failures"]),
        ("inputs", "By input", "inputs" in slices),
        ("folders", "By folder", "folders" in slices),
        ("slices", "By " + ", ".join(one["column"] for one in figures.get("slices", [])), figures.get("slices")),
        ("drift", "Drift", record["drift"] or record["previous"] or record["training"]),
        ("speed", "Speed", record["time"]),
        ("ran", "What ran", True),
        ("next", "What to do next", True),
    ):
        if is_there:
            yield name, title


def _slices(figures: AnyFigures, headline: Headline) -> dict[str, SliceTable]:
    """Return the tables "inputs" and "folders"; a table with a single row is left out."""
    inputs: list[tuple[str, Mapping[str, Any]]] = [(part["input"], part) for part in figures["inputs"]]
    folders: list[tuple[str, Mapping[str, Any]]] = [(part["folder"], part) for part in figures["folders"]["slices"]]
    tables = {
        "inputs": headline.table("input", inputs, figures, None),
        "folders": headline.table("folder", folders, figures, figures["folders"]["depth"]),
    }
    return {name: table for name, table in tables.items() if len(table["rows"]) > 1}


def _nights(figures: AnyFigures, record: EndedRecord, headline: Headline, unseen: Unseen | None) -> list[NightRow]:
    """Return the rows of the table of this run and what it is compared with."""
    rate_now = rate(record["images_per_second"]) if record["scored"] else NOTHING
    rows = [_night_row("this run", figures, headline, rate_now)]
    if unseen and unseen["seen_labelled"] and unseen["headline"] is not None:
        texts = (headline.text(unseen["headline"]), headline.between(unseen["headline_interval_95"]))
        rows.append(NightRow("its unseen images", count(unseen["images"]), NOTHING, *texts, NOTHING))
    before, training = record["previous"], record["training"]
    if before:
        title = f"the run before, {moment(before['ended'])}"
        rows.append(_night_row(title, before, headline, rate(before["images_per_second"] or None)))
    if training:
        on = f" on {brief(plain(training['dataset']), SHOWN_NAME)}" if training["dataset"] else ""
        value, interval = headline_of_training(training, headline.task)
        texts = (headline.text(value), headline.between(interval))
        rows.append(NightRow(f"the test images of the training{on}", NOTHING, NOTHING, *texts, NOTHING))
    return rows


def _night_row(title: str, night: Mapping[str, Any], headline: Headline, speed: str) -> NightRow:
    value, interval = headline_in(night, headline.task)
    images, failed = count(night["images"]), count(night["failed"])
    return NightRow(title, images, failed, headline.text(value), headline.between(interval), speed)


def _failure_images(failure: FailureCount) -> int:
    return failure["images"]


def _command(options: RecordedOptions) -> str | None:
    """Return the command that made this run; None if it is longer than LONGEST_COMMAND."""
    words = ["nightscore", "score"]
    for pattern in options["input"]:
        words += ["--input", location_of(pattern)]
    for option in fields(ScoreOptions):
        value = options.get(option.name, option.default)
        if option.name not in ("input", "retry_failed") and value != option.default:
            text = location_of(str(value)) if option.name in ("model", "output") else str(value)
            words += [f"--{option.name}"] if value is True else [f"--{option.name}", text]
    command = shell_command(words)
    return command if len(command) <= LONGEST_COMMAND else None
