"""Zip archives: stored, deflated and otherwise compressed members, Zip64; entered anywhere, nothing is extracted.

The directory at an archive's end is parsed once, while planning; a unit carries its members' entries. An archive whose
directory cannot be read is one failed row, whose key is the archive's with "!". A directory has no checksum: an image
to which damage gave another suffix, or made it a link, counts as what it seems.

An archive that is a deflated member of another one is read twice, forward: to its directory, which is kept, and again.
"""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Generator, Iterator
from dataclasses import replace
from itertools import islice, zip_longest
from typing import IO, Any

from pipeline.batches import EncodedBatch, Failure
from pipeline.sources import images
from pipeline.sources.container import (
    Cut,
    Extent,
    Image,
    UniqueNames,
    count_if_empty,
    cut_container,
    extent_of,
    fail_the_rest,
    folder_in,
    inner_unit,
    is_deflated,
    is_inner,
    key_of_container,
    make_batches,
    open_stream,
    open_unit,
)
from pipeline.sources.container_names import ZIP_SUFFIXES, container_kind, unread_container
from pipeline.sources.inflate import BombError, StreamError
from pipeline.sources.limits import BLOCK, MEMBERS
from pipeline.sources.names import is_image_name, is_junk_name, may_be_image
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.skipped import EMPTY, JUNK, NO_FILES, OTHER, SYMBOLIC, Skipped
from pipeline.sources.zip_directory import HEADER, DirectoryError, enter, members_of, name_of
from pipeline.sources.zip_members import ENCRYPTED, INNER, OVERLAPS, content_of, head_of
from pipeline.sources.zip_tail import Tail
from pipeline.storage import key_of
from pipeline.units import WorkUnit

NAME = "zip"
SUFFIXES = ZIP_SUFFIXES
COLUMNS = ("name", "folder", "offset", "packed", "size", "crc", "method", "flaw")
"""Names of the columns that a unit's index has, one entry an image."""

Columns = dict[str, tuple[Any, ...]]


def is_zip(head: bytes) -> bool:
    """Return whether a file that starts so is a zip archive."""
    return head.startswith((b"PK\3\4", b"PK\5\6", b"PK\7\x08"))


def index(whole: WorkUnit, cut: Cut) -> Iterator[WorkUnit]:
    """Cut an archive into units by its directory, in the order of its bytes; the units have no id yet.

    A deflated one, within another archive, is one unit whose number of images is not known.
    """
    if is_deflated(whole):
        yield whole
        return
    columns = _columns(whole, cut)
    if "damage" in columns:
        yield replace(whole, images=1, index={**whole.index, **columns})
        return
    base = extent_of(whole)[0]
    ends = zip(columns["offset"], columns["packed"], strict=True)
    extents = (Extent(base + offset, base + offset + HEADER.size + packed) for offset, packed in ends)
    for unit in cut_container(whole, extents, cut.unit_images):
        mine = slice(unit.first, unit.first + (unit.images or 0))
        yield replace(unit, index={**whole.index, **{name: column[mine] for name, column in columns.items()}})


def _columns(whole: WorkUnit, cut: Cut) -> Columns:
    """Return what the directory says of an archive's images, in the order of their bytes; or "damage": why not."""
    file = open_unit(whole)
    file.read(1)  # raises if it is gone or forbidden: zipfile would say that it is no archive
    try:
        members, end = members_of(file, MEMBERS)
    except DirectoryError as error:
        return {"damage": (error.code, str(error))}
    content: Any = io.BufferedReader(open_unit(whole))
    return _rows_of(whole, members, end, cut, content)


def _rows_of(
    whole: WorkUnit, members: list[zipfile.ZipInfo], end: int | None, cut: Cut, content: IO[bytes] | None
) -> Columns:
    """Return the columns of members, and count those that are no rows.

    Args:
        whole: the archive.
        members: in the order of their bytes.
        end: where its directory ends, if others are lost.
        cut: see `Cut`.
        content: the archive, to look into members whose names do not tell what they are; None: it cannot be entered.
    """
    names = UniqueNames()
    rows = []
    is_windows = not any("/" in member.orig_filename for member in members)
    for member, follower in zip_longest(members, members[1:]):
        name = name_of(member, cut.rule.zip_encoding, is_windows)
        overlaps = follower is not None and _end_of(member) > follower.header_offset
        why, flaw = _why_none(whole, name, member, content), OVERLAPS if overlaps else member.flag_bits & ENCRYPTED
        if why is not None:
            cut.skipped.add(why, f"{key_of_container(whole)}!{key_of(name)}")
        elif is_image_name(name) or (kind := container_kind(name)) is None:
            rows.append(_row(names.unique(name), folder_in(whole, name), member, flaw))
        else:
            unique = names.unique(name)
            inner = _inner(whole, kind, unique, member, flaw, content)
            if inner is None:
                rows.append(_row(unique, "", member, flaw or INNER))
            else:
                cut.inner.append(inner)
    if end is not None:
        rows.append(("", "", end, 0, 0, 0, 0, 0))
    return {name: tuple(row[i] for row in rows) for i, name in enumerate(COLUMNS)}


def _inner(
    whole: WorkUnit, kind: str, name: str, member: zipfile.ZipInfo, flaw: int, content: IO[bytes] | None
) -> WorkUnit | None:
    """Return the container that a member is as one unit, None if it is not opened."""
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if is_inner(whole) or kind == "idx" or flaw or content is None or member.compress_type not in methods:
        return None
    if not enter(content, member.header_offset):
        return None
    start = extent_of(whole)[0] + content.tell()
    span = (start, start + member.compress_size)
    return inner_unit(whole, kind, name, span, member.compress_type == zipfile.ZIP_DEFLATED)


def _why_none(whole: WorkUnit, name: str, member: zipfile.ZipInfo, content: IO[bytes] | None) -> str | None:
    """Return why a member is neither an image nor a container; None if it is one."""
    if name.endswith("/"):
        return NO_FILES
    if stat.S_ISLNK(member.external_attr >> 16):
        return SYMBOLIC if is_image_name(name) else NO_FILES
    if is_image_name(name):
        return None
    if is_junk_name(name):
        return JUNK
    if container_kind(name) is not None:
        return None if member.file_size else EMPTY
    unread = unread_container(name)
    if unread is not None or not may_be_image(name):
        return unread or OTHER
    return images.why_none(name, b"" if content is None else head_of(content, member))


def _end_of(member: zipfile.ZipInfo) -> int:
    """Return the byte before which a member does not end; how long its own header is, only that header says."""
    return member.header_offset + HEADER.size + member.compress_size


def _row(name: str, folder: str, member: zipfile.ZipInfo, flaw: int) -> tuple[Any, ...]:
    sizes = (member.header_offset, member.compress_size, member.file_size)
    return (name, folder, *sizes, member.CRC, member.compress_type, flaw)


def read(unit: WorkUnit, rule: ReadRule, skipped: Skipped | None = None) -> Generator[EncodedBatch, None, None]:
    """Yield the unit's members in order.

    Args:
        unit: the archive, or some of its members.
        rule: how it is read.
        skipped: counts what is no row, by the same rules as `index`; None: `index` has counted it.
    """
    return make_batches(islice(fail_the_rest(unit, _rows(unit, rule, skipped), "!#"), unit.images), rule)


def _rows(unit: WorkUnit, rule: ReadRule, skipped: Skipped | None) -> Iterator[Image]:
    return count_if_empty(unit, _images(unit, Cut(0, Skipped() if skipped is None else skipped, rule)), skipped)


def _images(unit: WorkUnit, cut: Cut) -> Iterator[Image]:
    archive = key_of_container(unit)
    if is_deflated(unit):
        yield from _images_of_deflated(unit, cut)
        return
    columns: Any = unit.index
    if "name" not in columns and "damage" not in columns:  # an archive that could not be read when it was planned
        columns = _columns(unit, cut)
        for inner in cut.inner:
            text = "archive in an archive that could not be opened when it was planned; score it again"
            yield Image(key_of_container(inner), Failure("read", "FAILED_PRECONDITION", text), None, "")
    if "damage" in columns:
        code, text = columns["damage"]
        yield Image(f"{archive}!", Failure("read", code, f"zip archive cannot be read: {text}"), None, "")
        return
    yield from _images_in(archive, io.BufferedReader(open_unit(unit), BLOCK), columns)


def _images_in(archive: str, file: Any, columns: Columns) -> Iterator[Image]:
    for name, folder, *entry in zip(*(columns[column] for column in COLUMNS), strict=True):
        lost = "the directory has not as many members as it says; others may be lost"
        data = content_of(file, *entry) if name else Failure("read", "DATA_LOSS", lost)
        yield Image(f"{archive}!{key_of(name)}", data, None, folder)


def _images_of_deflated(unit: WorkUnit, cut: Cut) -> Iterator[Image]:
    """Yield the images of an archive that is a deflated member of another one."""
    archive = key_of_container(unit)
    try:
        members, end = members_of(Tail.of(open_stream(unit)), MEMBERS)
        columns = _rows_of(unit, members, end, cut, None)
        yield from _images_in(archive, open_stream(unit), columns)
    except DirectoryError as error:
        yield Image(f"{archive}!", Failure("read", error.code, f"zip archive cannot be read: {error}"), None, "")
    except BombError as error:
        yield Image(
            f"{archive}!", Failure("read", "RESOURCE_EXHAUSTED", f"archive inflates too far: {error}"), None, ""
        )
    except StreamError as error:
        text = f"archive is damaged: {error}; what may follow is lost"
        yield Image(f"{archive}!", Failure("read", "DATA_LOSS", text), None, "")


def first_images(unit: WorkUnit, n: int, rule: ReadRule | None = None, skipped: Skipped | None = None) -> WorkUnit:
    """Return a unit of its first n members, or of as many as it has; a deflated one is read to count them."""
    if is_deflated(unit) and unit.images is None:
        images = fail_the_rest(unit, _rows(unit, rule or ReadRule(), skipped), "!#")
        return replace(unit, images=sum(1 for _ in islice(images, n)))
    return _picked(unit, range(min(n, unit.images or 1)))


def sample(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of at most n of its members, evenly spread; of a deflated one, its first ones."""
    if is_deflated(unit):
        return replace(unit, images=n if unit.images is None else min(n, unit.images))
    total = unit.images or 1
    return _picked(unit, [i * total // n for i in range(n)] if n < total else range(total))


def _picked(unit: WorkUnit, chosen: Any) -> WorkUnit:
    columns = unit.index
    if "name" in columns:
        columns = {**columns, **{name: tuple(columns[name][i] for i in chosen) for name in COLUMNS}}
    return replace(unit, images=len(chosen), index=columns)
