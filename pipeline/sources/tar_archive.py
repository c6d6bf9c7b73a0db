"""Tar archives: ustar, pax and GNU, plain or compressed; WebDataset samples, class folders, archives in them.

A plain archive is entered at any member; nothing is extracted.
The label of a sample, see `pipeline.sources.tar_samples`, is what its .cls says, or the "label" or "cls" of its .json
(https://github.com/webdataset/webdataset#the-webdataset-format).

What follows a broken header cannot be counted: it is one failed row, whose key is the archive's with "!". So is the
end of an archive that lacks its end mark, a block of zeros, or goes on behind it. A tar has no checksum of content and
long names: what is changed there and still is a name or an image, only the decoder may notice.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from pipeline.batches import EncodedBatch, Failure
from pipeline.sources.container import (
    NONE,
    Cut,
    Extent,
    Image,
    UniqueNames,
    cut_container,
    extent_of,
    fail_the_rest,
    folder_in,
    inner_unit,
    is_deflated,
    key_of_container,
    make_batches,
    open_unit,
)
from pipeline.sources.container_names import TAR_SUFFIXES
from pipeline.sources.label_values import BLANK
from pipeline.sources.labels import Label, as_entry
from pipeline.sources.list_columns import as_passed, value_at
from pipeline.sources.names import is_sidecar_name
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.skipped import BESIDE, EMPTY, LABELS, Skipped, pictures_beside
from pipeline.sources.tar_entries import LINK, Entry, entries, entries_of_inner
from pipeline.sources.tar_members import HEAD
from pipeline.sources.tar_samples import Group, groups, keys_of
from pipeline.sources.tar_stream import is_compressed_tar, is_plain
from pipeline.storage import key_of
from pipeline.units import WorkUnit

__all__ = ["NAME", "SUFFIXES", "first_images", "index", "is_plain", "read", "sample"]

NAME = "tar"
SUFFIXES = TAR_SUFFIXES


def index(whole: WorkUnit, cut: Cut) -> Iterator[WorkUnit]:
    """Cut an archive between samples into units, by its headers; the units have no id yet.

    A compressed archive is one unit whose number of images is not known.
    """
    head = b"" if is_deflated(whole) else open_unit(whole).read(HEAD)
    if is_deflated(whole) or is_compressed_tar(head):
        yield whole
        return
    names = UniqueNames()
    renamed: dict[int, str] = {}
    links: list[tuple[int, int, int]] = []

    def extents() -> Iterator[Extent]:
        number = 0
        for group in groups(entries(whole, load=False, skipped=cut.skipped), keys_of(cut.rule.image_key)):
            _count(group, whole, cut.skipped)
            if group.files[0].inner is not None:
                _put_aside(group.files[0], names, whole, cut)
                continue
            if any(entry.target for entry in group.files):
                links.extend(_links_of(group, whole))
            for number, picture in enumerate(group.pictures, number):  # noqa: B020 - goes on counting
                if (unique := names.unique(picture.entry.name)) != picture.entry.name:
                    renamed[number] = unique
            number += bool(group.pictures)
            if group.pictures:
                yield Extent(group.files[0].start, group.files[-1].stop, len(group.pictures))

    for unit in cut_container(whole, extents() if head else (), cut.unit_images):
        last = unit.first + (unit.images or 0)
        mine = {number: name for number, name in renamed.items() if unit.first <= number < last}
        index = {"number": tuple(mine), "name": tuple(mine.values())} if mine else {}
        start, stop = (byte - extent_of(whole)[0] for byte in unit.span)
        here = [list(link) for link in links if start <= link[0] < stop]
        yield replace(unit, index={**unit.index, **index, **({LINK: here} if here else {})})


def _put_aside(entry: Entry, names: UniqueNames, whole: WorkUnit, cut: Cut) -> None:
    """Take note of a container in an archive, which is cut later."""
    cut.inner.append(inner_unit(whole, str(entry.kind), names.unique(entry.name), entry.inner))


def _links_of(group: Group, whole: WorkUnit) -> Iterator[tuple[int, int, int]]:
    """Yield where the hard links among files lead, as in the column LINK."""
    for entry in group.files:
        if entry.target is not None:
            yield (entry.start - extent_of(whole)[0], entry.target.start, entry.target.stop)


def _count(group: Group, whole: WorkUnit, skipped: Skipped) -> None:
    """Count the files of a group that are no rows."""
    if len(group.pictures) == len(group.files):
        return
    archive = key_of_container(whole)
    for kind, entry in group.left:
        skipped.add(pictures_beside(kind) if kind else BESIDE, f"{archive}!{key_of(entry.name)}")
    for entry in group.files:
        if not entry.is_row:
            skipped.add(LABELS, f"{archive}!{key_of(entry.name)}")


def read(unit: WorkUnit, rule: ReadRule, skipped: Skipped | None = None) -> Generator[EncodedBatch, None, None]:
    """Yield the unit's images in order, at most `unit.images` of them where that is known.

    Args:
        unit: the archive, or a piece of it.
        rule: how it is read.
        skipped: counts what is no row, by the same rules as `index`; None: `index` has counted it.
    """
    return make_batches(islice(fail_the_rest(unit, _images(unit, rule, skipped), "!#"), unit.images), rule)


def _images(unit: WorkUnit, rule: ReadRule, skipped: Skipped | None) -> Iterator[Image]:
    renamed = dict(zip(unit.index.get("number", ()), unit.index.get("name", ()), strict=True))
    # with nothing before it, no plan is needed to tell names apart; but containers have names, too
    names = UniqueNames() if unit.first == 0 and "places" not in unit.index else None
    return _images_in(entries(unit, load=True, skipped=skipped), unit, rule, names, renamed, skipped)


def _images_in(
    files: Iterator[Entry],
    unit: WorkUnit,
    rule: ReadRule,
    names: UniqueNames | None,
    renamed: dict[int, str],
    skipped: Skipped | None,
) -> Iterator[Image]:
    """Yield the images among the files of an archive, and of the archives in it that are read with it.

    Args:
        files: of the archive, in order.
        unit: whose container it is.
        rule: by which it is read.
        names: makes names distinct; None: `renamed` does.
        renamed: other names of images by their numbers in the archive.
        skipped: counts what is no row; None: nobody asks.
    """
    archive, number, is_empty = key_of_container(unit), unit.first, True
    for group in groups(files, keys_of(rule.image_key)):
        is_empty = is_empty and not group.pictures
        if skipped is not None:
            _count(group, unit, skipped)
        first = group.files[0]
        if first.inner is not None:
            name = names.unique(first.name) if names else first.name
            inner = inner_unit(unit, NAME, name, (0, first.stop))
            inner_files = entries_of_inner(first, inner, skipped)
            yield from _images_in(inner_files, inner, rule, UniqueNames(), {}, skipped)
            continue
        for entry, sidecars, flaw in group.pictures:
            name = names.unique(entry.name) if names else renamed.get(number, entry.name)
            data = Failure("read", "INTERNAL", "not loaded") if entry.data is None else entry.data
            if flaw:
                data = Failure("read", "INVALID_ARGUMENT", flaw)
            more = _passed(sidecars, rule.columns) if rule.columns else NONE
            yield Image(f"{archive}!{key_of(name)}", data, _label(sidecars), folder_in(unit, entry.name), more)
            number += 1
    if is_empty and skipped is not None:
        skipped.add(EMPTY, archive)


def _label(sidecars: Sequence[Entry]) -> Label:
    """Return what a sample's files say: the first .cls or .json that has a label; none if one is there twice."""
    found: dict[str, Label] = {}
    for entry in sidecars:
        label = _label_in(entry)
        if label is not None and found.setdefault(entry.name, label) != label:
            return None
    return next((label for label in found.values() if label != BLANK), BLANK if found else None)


def _label_in(entry: Entry) -> Label:
    if not isinstance(entry.data, bytes) or not is_sidecar_name(entry.name):
        return None
    if entry.name.lower().endswith(".cls"):
        return as_entry(_text_of(entry.data))
    content = _fields_of(entry.data)
    key = next((key for key in ("label", "cls") if key in content), None)
    return None if key is None else as_entry(content[key])


def _passed(sidecars: Sequence[Entry], columns: Sequence[str]) -> Mapping[str, str]:
    """Return the fields of a sample's .json that pass through to its row, as text by name."""
    found: dict[str, str] = {}
    for entry in sidecars:
        if isinstance(entry.data, bytes) and entry.name.lower().endswith(".json"):
            content = _fields_of(entry.data)
            texts = ((name, as_passed(value_at(content, name))) for name in columns)
            found |= {name: text for name, text in texts if text is not None}
    return found


def _text_of(data: bytes) -> str:
    return data.decode("utf-8-sig", "replace").strip()


def _fields_of(data: bytes) -> dict[str, Any]:
    """Return the fields of a JSON object; none if it is something else."""
    with contextlib.suppress(ValueError, RecursionError):
        content = json.loads(_text_of(data))
        if isinstance(content, dict):
            return content
    return {}


def first_images(unit: WorkUnit, n: int, rule: ReadRule | None = None, skipped: Skipped | None = None) -> WorkUnit:
    """Return a unit of its first n images, or of as many as it has; a compressed one is read to count them."""
    if unit.images is not None:
        return replace(unit, images=min(n, unit.images))
    images = fail_the_rest(unit, _images(unit, rule or ReadRule(), skipped), "!#")
    return replace(unit, images=sum(1 for _ in islice(images, n)))


def sample(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of at most n of its images, its first ones."""
    return replace(unit, images=n if unit.images is None else min(n, unit.images))
