"""The images of a run, sorted into folders: copies of what was scored, or links to it.

A run of the same command goes on where an earlier one was killed: a file that is there and is right is kept, and none
has its name before it is whole. Nothing is overwritten. Knows no row but by its place, see `places`.

    FOLDER/<place>                  the images
    FOLDER/.nightscore/export.json  what was asked for: other images into the same FOLDER are refused
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pipeline import sources, storage
from pipeline.batches import EncodedBatch, Failure
from pipeline.errors import UsageError
from pipeline.export.decided_rows import DecidedRows, in_slices
from pipeline.export.new_file import explained, local_path, make_folder
from pipeline.export.places import RAW_SOURCES, By, Places, check, columns
from pipeline.export.put_file import OWN, Put, put_copy, put_link, write
from pipeline.formatting import size
from pipeline.model.thumbnails import as_png
from pipeline.output.plan_file import read_index, read_units
from pipeline.output.progress import tally
from pipeline.sources import images
from pipeline.sources.read_rule import ReadRule
from pipeline.text import brief
from pipeline.units import WorkUnit

How = Literal["copy", "link"]
"""Whether a folder gets copies of the images or symbolic links to them."""

Outcome = Literal["exported", "kept", "left_out", "failed", "not_found", "changed", "unreadable", "different"]
"""What became of an image.

exported, kept: it is in its folder, now or already; left_out: it is none of those that were asked for; failed: it has
no prediction; not_found, changed: since it was scored; unreadable: its store forbids it, or its archive is damaged;
different: something else is where it belongs, and stays.
"""

BAD: tuple[Outcome, ...] = ("not_found", "changed", "unreadable", "different")
"""Outcomes of images that should be in the folder and are not."""

EXAMPLES = 3
"""Images that are named for each of these."""

FORMAT = 1
"""Number of the form of export.json."""


@dataclass
class SortedImages:
    """What became of the images; each is counted once.

    Attributes:
        folder: into which they were sorted.
        by: what its folders say.
        how: whether they are copies or links.
        images: number of rows.
        counts: outcome -> number of images.
        examples: outcome that is bad -> keys of some of its images, or the path where something else lies.
    """

    folder: str
    by: By
    how: How
    images: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, outcome: Outcome, example: str) -> None:
        """Count an image."""
        self.images += 1
        self.counts[outcome] = self.counts.get(outcome, 0) + 1
        if outcome in BAD:
            named = self.examples.setdefault(outcome, [])
            if len(named) < EXAMPLES:
                named.append(example)

    @property
    def bad(self) -> int:
        """Number of images that should be in the folder and are not."""
        return sum(self.counts.get(outcome, 0) for outcome in BAD)


@dataclass(frozen=True)
class SortWish:
    """Images to be sorted into a folder, checked as far as that is possible without a look at the rows.

    Attributes:
        rows: of the run.
        folder: absolute path.
        by: what its folders say.
        how: whether it gets copies or links.
    """

    rows: DecidedRows
    folder: str
    by: By
    how: How

    @classmethod
    def of(cls, rows: DecidedRows, folder: str, by: By, how: How) -> SortWish:
        """Return the wish.

        Raises:
            UsageError: it cannot be fulfilled.
        """
        location = local_path(folder, "--sort_into")
        check(rows, by)
        if how == "link":
            _check_links(rows)
        for pattern in rows.run.inputs:
            place = storage.fixed_prefix(pattern).rstrip("/")
            if f"{location}/".startswith(f"{place}/"):
                raise UsageError(
                    f"--sort_into {folder!r} lies in the input {pattern!r}: the next run would score its images as "
                    "well; give a folder elsewhere"
                )
        return cls(rows, location, by, how)


def _check_links(rows: DecidedRows) -> None:
    others = sorted({unit.source for unit in read_index(rows.run).units} - {images.NAME})
    if others:
        raise UsageError(f"--link cannot link to images inside archives and tables ({', '.join(others)}): use --copy")
    if any(storage.is_remote(pattern) for pattern in rows.run.inputs):
        raise UsageError("--link cannot link to images in a bucket: use --copy")


def sort_images(wish: SortWish) -> SortedImages:
    """Sort the images of a run into a folder; each row is accounted for.

    Raises:
        UsageError: the folder holds something else, or its disk is too small.
    """
    rows, run = wish.rows, wish.rows.run
    places = Places.of(rows, wish.by)
    _open_folder(wish, places)
    done = SortedImages(wish.folder, wish.by, wish.how)
    tally().start(places.images)
    rule = ReadRule.of_names(run.options)
    with closing(rows.by_unit(columns(rows, wish.by))) as parts:  # type: ignore[type-var]  # a generator
        for unit, (_, table) in zip(read_units(run), parts, strict=True):
            placed = [
                _Placed(row["key"], row["status"] == "failed", places.of_row(unit, row))
                for some in in_slices(table)
                for row in some.to_pylist()
            ]
            for image in placed:
                if not image.paths:
                    done.add("failed" if image.is_failed else "left_out", image.key)
            wanted = [number for number, image in enumerate(placed) if image.paths]
            with explained(wish.folder):
                if wish.how == "link":
                    _link(unit, placed, wanted, done)
                else:
                    _copy(unit, placed, wanted, rule, done)
            tally().add(scored=done.images - tally().count().done)
    return done


def _open_folder(wish: SortWish, places: Places) -> None:
    """Make the folder ours, or find that it is ours already; remove what an earlier run was writing when it died."""
    marker = os.path.join(wish.folder, OWN, "export.json")
    asked = {"format": FORMAT, "by": wish.by, "how": wish.how, "images": places.images, "places": places.id}
    with explained(wish.folder):
        make_folder(wish.folder)
        there = set(os.listdir(wish.folder))
        try:
            with open(marker, "rb") as file:
                found = json.load(file)
        except (FileNotFoundError, ValueError):
            found = None
        if found is None and there - {OWN}:
            raise UsageError(f"--sort_into {wish.folder!r} holds something else: give a new or an empty folder")
        if found is None:
            _check_room(wish, places)
            make_folder(os.path.dirname(marker))
            write(marker, json.dumps(asked).encode("ascii"))
        elif found != asked:
            raise UsageError(
                f"--sort_into {wish.folder!r} holds the images of another export (other rows, --by, or --link and "
                "--copy): give a new folder, as files of both would be mixed"
            )
        for name in os.listdir(os.path.join(wish.folder, OWN)):
            if name.endswith(".tmp"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(wish.folder, OWN, name))


def _check_room(wish: SortWish, places: Places) -> None:
    free = shutil.disk_usage(wish.folder).free
    if wish.how == "copy" and places.bytes > free:
        text = f"the images take {size(places.bytes)}, and the disk of {wish.folder!r} has {size(free)} left"
        raise UsageError(f"{text}: free some space, give another disk, or take --link")


class _Placed(NamedTuple):
    """An image of a unit.

    Attributes:
        key: of the image.
        is_failed: whether it has no prediction.
        paths: in the folder, that it gets.
    """

    key: str
    is_failed: bool
    paths: Sequence[str]


def _link(unit: WorkUnit, placed: Sequence[_Placed], wanted: Sequence[int], done: SortedImages) -> None:
    for number in wanted:
        image = placed[number]
        location = unit.locations[number]
        if storage.is_remote(location):
            raise UsageError(f"--link cannot link to {image.key!r}, which is in a bucket: use --copy")
        try:
            status = os.stat(location)
        except FileNotFoundError:
            done.add("failed" if image.is_failed else "not_found", image.key)
            continue
        except OSError:
            done.add("failed" if image.is_failed else "unreadable", image.key)
            continue
        if status.st_mtime_ns != unit.versions[number]:
            done.add("changed", image.key)
            continue
        done.add(*_together([put_link(location, done.folder, path) for path in image.paths], image))


def _copy(unit: WorkUnit, placed: Sequence[_Placed], wanted: Sequence[int], rule: ReadRule, done: SortedImages) -> None:
    """Write the images of a unit; which of its images is read is known by its key."""
    found = _read(unit, wanted, rule)
    rest: Outcome = "not_found"
    for number in wanted:
        image = placed[number]
        key, data = next(found, (None, None))
        if isinstance(data, Failure):
            outcome = _meaning(data)
            rest = rest if key == image.key else outcome  # one failed image may stand for all of an archive
            done.add("failed" if image.is_failed else outcome, image.key)
        elif data is None:
            done.add(rest, image.key)
        elif key != image.key:
            done.add("changed", image.key)
        else:
            data = as_png(data) if unit.source in RAW_SOURCES else data
            outcomes = [put_copy(data, done.folder, path) for path in image.paths]
            done.add(*_together(outcomes, image))


def _read(unit: WorkUnit, wanted: Sequence[int], rule: ReadRule) -> Iterator[tuple[str, bytes | Failure]]:
    """Yield some images of a unit, in order: key, and bytes as they are stored."""
    if not wanted:
        return
    for piece in sources.some_pieces(unit, wanted, rule):
        batches = iter([piece]) if isinstance(piece, EncodedBatch) else sources.read(piece, rule)
        for batch in batches:
            for i, key in enumerate(batch.images.keys):
                yield key, batch.images.failures.get(i) or batch.encoded[i]


def _meaning(failure: Failure) -> Outcome:
    """Return what became of an image that was read when it was scored, and is not now."""
    codes: Mapping[str, Outcome] = {"NOT_FOUND": "not_found", "FAILED_PRECONDITION": "changed"}
    return codes.get(failure.code, "unreadable")


def _together(outcomes: Sequence[Put], image: _Placed) -> tuple[Outcome, str]:
    """Return what became of an image that goes into several folders, and what names it."""
    if "different" in outcomes:
        return "different", image.paths[outcomes.index("different")]
    return ("exported" if "exported" in outcomes else "kept"), image.key


def named(done: SortedImages, outcome: str) -> str:
    """Return examples of an outcome, as one text."""
    return ", ".join(map(brief, done.examples.get(outcome, ())))
