"""Tar archives: ustar, pax and GNU, plain or compressed; WebDataset samples and class folders.

A plain archive is entered at any member; nothing is extracted.
A sample, as in WebDataset, is a row of neighbors with one name up to its first dot: 0001.jpg, 0001.cls. The label is
what its .cls says, or the "label" or "cls" of its .json (https://github.com/webdataset/webdataset#the-webdataset-format).

What follows a broken header cannot be counted: it is one failed row, whose key is the archive's with "!". So is the
end of an archive that lacks its end mark, a block of zeros, or goes on behind it. A tar has no checksum of content and
long names: what is changed there and still is a name or an image, only the decoder may notice.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from pipeline.batches import EncodedBatch, Failure
from pipeline.sources.container import (
    Extent,
    Image,
    UniqueNames,
    container_unit,
    cut_container,
    fail_the_rest,
    make_batches,
    open_unit,
)
from pipeline.sources.labels import Label, as_label, folder_of
from pipeline.sources.names import has_image_suffix, is_sidecar_name
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.skipped import BESIDE, LABELS, Skipped
from pipeline.sources.tar_entries import HEAD, Entry, entries, is_compressed_tar, is_tar
from pipeline.storage import StoredObject, key_of
from pipeline.units import UNIT_BYTES, WorkUnit

__all__ = ["NAME", "SAMPLE_FILES", "SUFFIXES", "first_images", "index", "is_tar", "read", "sample"]

NAME = "tar"
SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
SAMPLE_FILES = 32
"""Files of a sample, at most; it also has at most a unit's bytes. More files of one stem are several samples."""


def index(found: StoredObject, unit_images: int, skipped: Skipped) -> Iterator[WorkUnit]:
    """Cut an archive between samples into units, by its headers; the units have no id yet.

    A compressed archive is one unit whose number of images is not known.
    """
    whole = container_unit(NAME, found)
    head = open_unit(whole).read(HEAD)
    if is_compressed_tar(head):
        yield whole
        return
    names = UniqueNames()
    renamed: dict[int, str] = {}

    def extents() -> Iterator[Extent]:
        number = 0
        for sample in _samples(entries(whole, load=False, skipped=skipped)):
            rows = _rows(sample)
            _count(sample, rows, whole, skipped)
            for number, entry in enumerate(rows, number):  # noqa: B020 - goes on counting
                if (unique := names.unique(entry.name)) != entry.name:
                    renamed[number] = unique
            number += bool(rows)
            if rows:
                yield Extent(sample[0].start, sample[-1].stop, len(rows))

    for unit in cut_container(whole, extents() if head else (), unit_images):
        last = unit.first + (unit.images or 0)
        mine = {number: name for number, name in renamed.items() if unit.first <= number < last}
        yield replace(unit, index={"number": tuple(mine), "name": tuple(mine.values())}) if mine else unit


def read(unit: WorkUnit, rule: ReadRule) -> Generator[EncodedBatch, None, None]:
    """Yield the unit's images in order, at most `unit.images` of them where that is known."""
    return make_batches(islice(fail_the_rest(unit, _images(unit), "!#"), unit.images), rule)


def _images(unit: WorkUnit) -> Iterator[Image]:
    archive = key_of(unit.locations[0])
    renamed = dict(zip(unit.index.get("number", ()), unit.index.get("name", ()), strict=True))
    names = UniqueNames() if unit.first == 0 else None  # with nothing before it, no plan is needed to tell names apart
    number = unit.first
    for sample in _samples(entries(unit, load=True)):
        rows = _rows(sample)
        label = _label(sample) if rows else None
        for entry in rows:
            name = names.unique(entry.name) if names else renamed.get(number, entry.name)
            data = Failure("read", "INTERNAL", "not loaded") if entry.data is None else entry.data
            yield Image(f"{archive}!{key_of(name)}", data, label, folder_of(f"/{entry.name}"))
            number += 1


def _samples(files: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Gather neighbors of one stem; a row of many is several samples."""
    sample: list[Entry] = []
    for entry in files:
        if sample and (entry.stem != sample[0].stem or len(sample) == SAMPLE_FILES or _is_far(entry, sample[0])):
            yield sample
            sample = []
        sample.append(entry)
    if sample:
        yield sample


def _rows(sample: Sequence[Entry]) -> list[Entry]:
    """Return the images of a sample; beside those that are named so, what only begins like one is a mask or the like.

    A name with an image's suffix in it is an image all the same: a.jpg~, a.png?w=640.
    """
    rows = [entry for entry in sample if entry.is_row]
    if all(entry.by_content for entry in rows):
        return rows
    return [entry for entry in rows if not entry.by_content or has_image_suffix(entry.name)]


def _count(sample: Sequence[Entry], rows: Sequence[Entry], whole: WorkUnit, skipped: Skipped) -> None:
    """Count the files of a sample that are no rows."""
    if len(rows) < len(sample):
        archive = key_of(whole.locations[0])
        for entry in sample:
            if entry not in rows:
                skipped.add(BESIDE if entry.is_row else LABELS, f"{archive}!{key_of(entry.name)}")


def _is_far(entry: Entry, first: Entry) -> bool:
    """Return whether so much stands between images that they are not kept side by side."""
    return entry.is_row and entry.start - first.start > UNIT_BYTES


def _label(sample: Sequence[Entry]) -> Label:
    """Return what a sample's files say: the first .cls or .json that has a label."""
    return next((label for label in map(_label_in, sample) if label is not None), None)


def _label_in(entry: Entry) -> Label:
    if not isinstance(entry.data, bytes) or not is_sidecar_name(entry.name):
        return None
    text = entry.data.decode("utf-8-sig", "replace").strip()
    if entry.name.lower().endswith(".cls"):
        return as_label(text)
    with contextlib.suppress(ValueError, RecursionError):
        content = json.loads(text)
        if isinstance(content, dict):
            return as_label(content.get("label", content.get("cls")))
    return None


def first_images(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of its first n images, or of as many as it has; a compressed one is read to count them."""
    if unit.images is not None:
        return replace(unit, images=min(n, unit.images))
    return replace(unit, images=sum(1 for _ in islice(fail_the_rest(unit, _images(unit), "!#"), n)))


def sample(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of at most n of its images, its first ones."""
    return replace(unit, images=n if unit.images is None else min(n, unit.images))
