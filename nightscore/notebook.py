"""A Night as a notebook shows it: HTML of few lines, whole without any other file. Every text in it is escaped."""

from __future__ import annotations

import html
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, cast
from urllib.parse import quote

from pipeline import storage
from pipeline.cli.facts import of_task, worst_classes
from pipeline.formatting import counted, duration, percent, reasons
from pipeline.metrics.headline import task_in
from pipeline.metrics.task_figures import AnyFigures
from pipeline.output.commit import receipts
from pipeline.output.run import Run
from pipeline.output.status import status
from pipeline.report.gallery import data_uri
from pipeline.text import brief, plain

RECEIPTS = 64
"""Receipts that are read for pictures, so that a large OUTPUT is shown as soon as a small one."""

PICTURES = 6
"""Pictures of a class that are shown at most."""

NAME = 40
"""Characters of a class's name that are shown."""

SHOWN_LISTS = ("most_mistaken", "largest_residuals", "largest_norms", "highest_values")
"""Names of the lists of summary.json whose first images are shown, of models that are not of classes."""

CELL = "padding:2px 12px 2px 0;text-align:left;vertical-align:middle"


def page(run: Run, record: Mapping[str, Any], figures: Mapping[str, Any] | None, units: Sequence[str]) -> str:
    """Return the HTML of a run.

    Args:
        run: to be shown.
        record: the content of its run.json.
        figures: the content of summary.json; None if the run is not complete.
        units: that are done, in the plan's order.
    """
    facts = _progress(run) if figures is None else _facts(figures, record)
    rows = [("output", run.output), *facts]
    body = f"<p><b>{_text(_verdict(record))}</b></p>{_table([(name, _text(value)) for name, value in rows])}"
    if figures is not None:
        body += _classes(figures, run, units) if task_in(figures) == "classes" else _first(figures, run, units)
        body += f"<p>{_link(run.result('report.html'))}</p>"
    return f'<div class="nightscore">{body}</div>'


def _verdict(record: Mapping[str, Any]) -> str:
    verdict = record.get("verdict")
    if not verdict:
        return "The run has not ended: status() tells how far it is"
    if not verdict["exit_code"]:
        return "All good"
    return f"Exit code {verdict['exit_code']}: {'; '.join(verdict['reasons'])}"


def _progress(run: Run) -> Iterator[tuple[str, str]]:
    """Yield how a run stands that is not complete."""
    now = status(run.output, time.time())
    yield "state", now.state.replace("_", " ")
    yield "images", f"{now.done:,}" + (f" of {now.images:,}" if now.images is not None else "")
    yield "failed", f"{now.failed:,}"


def _facts(figures: Mapping[str, Any], record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a run came to."""
    yield "images", f"{figures['images']:,} in {duration(record['seconds'])}"
    counts = {(one["stage"], one["code"]): one["images"] for one in figures["failures"]}
    yield "failed", f"{figures['failed']:,}" + (f" ({reasons(counts)})" if counts else "")
    task = task_in(figures)
    if task != "classes":
        yield from of_task(cast(AnyFigures, figures))
    elif figures["labelled"]:
        low, high = figures["accuracy_interval_95"]
        yield "accuracy", f"{figures['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f})"


def _classes(figures: Mapping[str, Any], run: Run, units: Sequence[str]) -> str:
    """Return a table of the worst classes, each with pictures of its images that were taken for another class."""
    worst = worst_classes(figures["per_class"])
    if not worst:
        return ""
    pictures = _mistakes({one["class"] for one in worst}, run, units)
    rows = [
        (
            _text(brief(one["class"], NAME)),
            _text(f"{percent(one['recall'])} of {counted(one['support'], 'image')} recognized"),
            "".join(_picture(*shown) for shown in pictures[one["class"]]),
        )
        for one in worst
    ]
    return f"<p>Worst classes</p>{_table(rows)}"


def _first(figures: Mapping[str, Any], run: Run, units: Sequence[str]) -> str:
    """Return a table of the images to look at first, of a model of another task: the first list that has any."""
    lists = [(name, figures[name]) for name in SHOWN_LISTS if figures.get(name)]
    if not lists:
        return ""
    name, examples = lists[0]
    keys = [one["key"] for one in examples[:PICTURES]]
    shown: dict[str, bytes] = {}
    with closing(receipts(run, islice(units, RECEIPTS))) as found:
        for receipt in found:
            pictures = receipt.extras.thumbnails
            shown |= {
                e["key"]: pictures[e["row"]] for e in receipt.examples if e["key"] in keys and e["row"] in pictures
            }
            if len(shown) == len(keys):
                break
    pictures_of = "".join(_picture(shown[key], key) for key in keys if key in shown)
    return f"<p>{_text(name.replace('_', ' ').capitalize())}</p><p>{pictures_of}</p>" if pictures_of else ""


def _mistakes(classes: set[str], run: Run, units: Sequence[str]) -> dict[str, list[tuple[bytes, str]]]:
    """Return for each class some images that were taken for another: a picture, and what is said of it."""
    shown: dict[str, list[tuple[bytes, str]]] = {name: [] for name in classes}
    with closing(receipts(run, islice(units, RECEIPTS))) as found:
        for receipt in found:
            for one in receipt.examples:
                pictures = shown.get(one["label_name"] or "")
                picture = receipt.extras.thumbnails.get(one["row"])
                is_wrong = one["label"] != one["predicted"]
                if pictures is not None and picture is not None and is_wrong and len(pictures) < PICTURES:
                    pictures.append((picture, f"{one['key']}: taken for {one['predicted_name']}, {one['score']:.2f}"))
            if all(len(pictures) == PICTURES for pictures in shown.values()):
                break
    return shown


def _picture(data: bytes, text: str) -> str:
    style = "height:40px;margin-right:4px;image-rendering:pixelated"
    return f'<img src="{data_uri(data)}" title="{_text(text)}" alt="{_text(text)}" style="{style}">'


def _table(rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose cells are HTML."""
    lines = ("".join(f'<td style="{CELL}">{cell}</td>' for cell in row) for row in rows)
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _link(location: str) -> str:
    """Return a link to the report on disk; of a report in a bucket only its name, as no browser opens that."""
    name = _text(location)
    if storage.is_remote(location):
        return f"report: {name}"
    address = "file://" + quote(location, safe="/", errors="surrogateescape")
    return f'<a href="{address}" target="_blank">{name}</a>'


def _text(text: str) -> str:
    return html.escape(plain(text))
