"""This module makes the page of a comparison of two OUTPUTs: one file of the report's family, without a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from pipeline.formatting import NOTHING, between, counted, number, percent
from pipeline.metrics.comparison_figures import ChangedImage, Comparison, PartChange, Quality
from pipeline.metrics.headline import WORDS
from pipeline.report import charts
from pipeline.report.gallery import gallery
from pipeline.report.html import render
from pipeline.report.task_part import Tile

MARK = '<meta name="generator" content="nightscore compare">'
"""Stands near the start of each page, so that a page is known as one when it would be overwritten."""

SHOWN_PARTS = 200
SHOWN_VALUES = 50
SHOWN_CLASSES = 1_000
"""Rows of a table of inputs or folders, of values of a column, and of classes, at most."""

SHOWN_COLUMNS = 20
"""Columns that have a table, at most."""


class ImageList(NamedTuple):
    """Changed images of one kind.

    Attributes:
        title: what kind.
        text: which of them are shown.
        images: the images.
    """

    title: str
    text: str
    images: Sequence[ChangedImage]


class PartTable(NamedTuple):
    """A table of parts of the archive.

    Attributes:
        name: of the table, in addresses.
        kind: what a part is, such as "folder".
        caption: what is to be said of it.
        parts: all rows.
        shown: number of rows that are shown, at most.
    """

    name: str
    kind: str
    caption: str
    parts: Sequence[PartChange]
    shown: int = SHOWN_PARTS


def comparison_page(figures: Comparison, pictures: Mapping[str, bytes]) -> str:
    """Return the page of a comparison.

    Args:
        figures: what `nightscore compare --json` prints.
        pictures: key in A -> PNG or JPEG file of a changed image; an image may have none.
    """
    lists, tables = list(_lists(figures)), list(_tables(figures))
    qualities = [(name, quality) for name, quality in _qualities(figures) if quality["calibration"] is not None]
    return render(
        "comparison.html.j2",
        mark=Markup(MARK),
        figures=figures,
        sides=(("A", figures["a"]), ("B", figures["b"])),
        sections=list(_sections(figures, lists, tables, qualities)),
        tiles=list(_tiles(figures)),
        seen_text=seen_text(figures),
        lists=lists,
        tables=tables,
        gallery=gallery((image["key"] for one in lists for image in one.images), pictures),
        calibration=[(name, quality, charts.reliability(quality["calibration"] or ())) for name, quality in qualities],
        headline=WORDS.get(figures["headline"], ""),
        value=_value_of(figures),
        difference=_difference_of(figures),
        interval=_interval_of(figures),
        p_text=text_of_p,
        shown_classes=SHOWN_CLASSES,
    )


def _sections(
    figures: Comparison,
    lists: Sequence[ImageList],
    tables: Sequence[PartTable],
    qualities: Sequence[tuple[str, Quality]],
) -> Iterator[tuple[str, str]]:
    """Yield the name and the title of each section that has something to say."""
    one_failed = figures["failed_in_a"] or figures["failed_in_b"] or figures["failed_in_both"]
    left_out = figures["labels_differ"] or figures["labelled_in_one"] or figures["label_known_to_one"]
    for name, title, is_there in (
        ("classes", "Classes", bool(figures["classes"])),
        ("parts", "Parts of the archive", bool(tables)),
        ("changed", "Changed images", bool(lists)),
        ("calibration", "Calibration", bool(qualities)),
        ("labels", "Labels that do not count", bool(left_out)),
        ("failed", "Failed images", bool(one_failed)),
        ("compared", "What was compared", True),
    ):
        if is_there:
            yield name, title


def _qualities(figures: Comparison) -> Iterator[tuple[str, Quality]]:
    for name, quality in (("A", figures["quality_a"]), ("B", figures["quality_b"])):
        if quality is not None:
            yield name, quality


def _tiles(figures: Comparison) -> Iterator[Tile]:
    """Yield the numbers of the summary."""
    value, interval = _value_of(figures), _interval_of(figures)
    word = WORDS.get(figures["headline"], "").capitalize()
    on = {"all": "", "unseen": " on unseen images", "seen": " on images seen in training"}[figures["counted"]]
    for name, quality in _qualities(figures):
        yield Tile(
            f"{word} of {name}{on}", value(quality["value"]), f"95 % interval {interval(quality['interval_95'])}"
        )
    difference = figures["difference"]
    if difference is not None:
        bounds = difference["interval_95"]
        note = "" if bounds is None else f"95 % interval {_bounds(figures, bounds)}"
        yield Tile("B minus A", _difference_of(figures)(difference["value"]), note)
    if figures["changed"] is not None:
        share = percent(figures["changed"] / figures["scored"]) if figures["scored"] else NOTHING
        yield Tile(
            "Changed predictions", f"{figures['changed']:,}", f"{share} of {counted(figures['scored'], 'image')}"
        )
    shares = " and ".join(
        f"{percent(run['shared'], 1)} of {name}" for name, run in (("A", figures["a"]), ("B", figures["b"]))
    )
    yield Tile("Shared images", f"{figures['shared']:,}", shares)


def seen_text(figures: Comparison) -> str:
    """Return which labelled images do not count as a model has seen them in training; "": all of them count."""
    every = figures["including_seen"]
    if every is None:
        return ""
    seen = every["labelled"] - figures["labelled"]
    by = [(name, n) for name, n in (("A", figures["a"]["seen"]), ("B", figures["b"]["seen"])) if n is not None]
    each = " and ".join(f"{n:,} by the model of {name}" for name, n in by)
    return (
        f"{seen:,} of the {every['labelled']:,} labelled images {'was' if seen == 1 else 'were'} seen in training, "
        f"{each}: a training had an exact copy. {'It does' if seen == 1 else 'They do'} not count, except for the "
        f"agreement, and {'is' if seen == 1 else 'are'} not shown among the changed images. On all "
        f"{every['labelled']:,} shared labelled images, those of the training included: {every['verdict']}."
    )


def _lists(figures: Comparison) -> Iterator[ImageList]:
    """Yield the lists of changed images that have any."""
    lists = {
        "right_to_wrong": ("Right to wrong", "Only A is right. Images of which B is most sure come first."),
        "wrong_to_right": ("Wrong to right", "Only B is right. Images of which A was most sure come first."),
        "other_changes": ("Changed otherwise", "Both are wrong, or no label tells which is right."),
    }
    if figures["task"] == "value":
        lists = {
            "right_to_wrong": ("Farther from the label", "The images whose error has grown most."),
            "wrong_to_right": ("Nearer to the label", "The images whose error has shrunk most."),
            "other_changes": ("Changed, without a label", "No label tells which is nearer."),
        }
    if figures["task"] == "labels":
        lists = {name: (title, text.split(". ")[0].rstrip(".") + ".") for name, (title, text) in lists.items()}
    for name, (title, text) in lists.items():
        images: list[ChangedImage] = figures[name]  # type: ignore[literal-required]
        if images:
            yield ImageList(title, f"{text} Those with a picture come before the others.", images)


def _tables(figures: Comparison) -> Iterator[PartTable]:
    """Yield the tables of parts of the archive that have more than one row."""
    depth = figures["folder_depth"]
    deep = "" if depth is None else f" Folders below level {depth} count with the one that holds them."
    tables = [
        PartTable("inputs", "input", "By input of A.", figures["inputs"]),
        PartTable("folders", "folder", f"By folder of A.{deep}", figures["folders"]),
        *(
            PartTable(f"column-{i}", "value", f"By {column['column']}.", column["values"], SHOWN_VALUES)
            for i, column in enumerate(figures["columns"][:SHOWN_COLUMNS], 1)
        ),
    ]
    yield from (table for table in tables if len(table.parts) > 1)


def _value_of(figures: Comparison) -> Any:
    """Return what writes a headline: a share in percent, or a number."""
    return number if figures["task"] == "value" else percent


def _interval_of(figures: Comparison) -> Any:
    """Return what writes the interval of a headline."""
    return _numbers if figures["task"] == "value" else between


def _numbers(interval: Sequence[float] | None) -> str:
    return NOTHING if interval is None else f"{number(interval[0])} to {number(interval[1])}"


def _difference_of(figures: Comparison) -> Any:
    """Return what writes a difference of headlines."""
    return _signed if figures["task"] == "value" else _points


def _signed(value: float | None) -> str:
    return NOTHING if value is None else f"{value:+.4g}"


def _points(share: float | None) -> str:
    return NOTHING if share is None else f"{100 * share:+.2f}"


def _bounds(figures: Comparison, bounds: Sequence[float]) -> str:
    write = _difference_of(figures)
    unit = "" if figures["task"] == "value" else " points"
    return f"{write(bounds[0])} to {write(bounds[1])}{unit}"


def text_of_p(p: float | None) -> str:
    """Return a p-value in a table.

    >>> text_of_p(0.03125), text_of_p(1e-30), text_of_p(1.0)
    ('0.031', '< 0.0001', '1')
    """
    if p is None:
        return NOTHING
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"
