"""Tar archives: ustar, pax and GNU, plain or compressed; WebDataset samples and class folders.

Headers are parsed by the standard library's tarfile. A plain archive is entered at any member; nothing is extracted.
A sample, as in WebDataset, is a row of neighbors with one name up to its first dot: 0001.jpg, 0001.cls. The label is
what its .cls says, or the "label" or "cls" of its .json (https://github.com/webdataset/webdataset#the-webdataset-format).

What follows a broken header cannot be counted: it is one failed row, whose key is the archive's with "!".
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import lzma
import tarfile
import zlib
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

from pipeline.batches import EncodedBatch, Failure
from pipeline.labels import as_label, folder_of
from pipeline.run import Run
from pipeline.sources.container import (
    BLOCK,
    LONGEST,
    Image,
    Names,
    Piece,
    batched,
    container_unit,
    cut_container,
    guarded,
    open_unit,
)
from pipeline.sources.names import is_image_name, is_junk_name, is_sidecar_name
from pipeline.storage import StoredObject, key_of
from pipeline.units import WorkUnit

NAME = "tar"
SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
SAMPLE_FILES = 32
"""A sample has at most so many files; a longer row of one stem is several samples."""

_BLOCK = 512
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")
_BROKEN = (tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, OverflowError)
"""What tarfile and its decompressors raise for damaged archives."""


def is_tar(head: bytes) -> bool:
    """Return whether a file whose first 512 bytes these are is a tar archive, or compressed and so may be one."""
    return head[257:262] == b"ustar" or head.startswith(_COMPRESSED)


class _Entry(NamedTuple):
    """A regular file of an archive; or, without a name, where and why the rest of it is lost.

    Attributes:
        name: of the member; "" for damage.
        start: its first header's first byte in the archive.
        stop: the byte after its last block.
        data: its content, or why there is none; None while an index is made.
    """

    name: str
    start: int
    stop: int
    data: bytes | Failure | None

    @property
    def is_row(self) -> bool:
        """Whether it gives a row: an image, or damage."""
        return not self.name or is_image_name(self.name)

    @property
    def stem(self) -> str:
        """Folder and name up to the first dot: what the files of a sample have in common."""
        folder, _, file = self.name.rpartition("/")
        return f"{folder}/{file.partition('.')[0]}"


def index(found: StoredObject, unit_images: int, skipped: Counter[str]) -> Iterator[WorkUnit]:
    """Cut an archive into units between samples by its headers; the units have no id yet.

    A compressed archive is one unit whose number of images is not known.
    """
    whole = container_unit(NAME, found)
    head = open_unit(whole).read(_BLOCK)
    if head.startswith(_COMPRESSED):
        yield whole
        return
    names = Names()
    renamed: dict[int, str] = {}

    def pieces() -> Iterator[Piece]:
        number = 0
        for sample in _samples(_entries(whole, load=False, skipped=skipped)):
            rows = [entry for entry in sample if entry.is_row]
            for number, entry in enumerate(rows, number):  # noqa: B020 - goes on counting
                if (unique := names.unique(entry.name)) != entry.name:
                    renamed[number] = unique
            number += bool(rows)
            if rows:
                yield Piece(sample[0].start, sample[-1].stop, len(rows))

    for unit in cut_container(whole, pieces() if head else (), unit_images):
        last = unit.first + (unit.images or 0)
        mine = {number: name for number, name in renamed.items() if unit.first <= number < last}
        yield replace(unit, index={"number": tuple(mine), "name": tuple(mine.values())}) if mine else unit


def read(unit: WorkUnit, run: Run) -> Generator[EncodedBatch, None, None]:
    """Yield the unit's images in order, at most `unit.images` of them where that is known."""
    return batched(islice(guarded(unit, _images(unit), "!#"), unit.images), run)


def _images(unit: WorkUnit) -> Iterator[Image]:
    archive = key_of(unit.locations[0])
    renamed = dict(zip(unit.index.get("number", ()), unit.index.get("name", ()), strict=True))
    names = Names() if unit.images is None else None
    number = unit.first
    for sample in _samples(_entries(unit, load=True)):
        label = _label(sample)
        for entry in sample:
            if entry.is_row:
                name = names.unique(entry.name) if names else renamed.get(number, entry.name)
                data = Failure("read", "INTERNAL", "not loaded") if entry.data is None else entry.data
                yield Image(f"{archive}!{key_of(name)}", data, label, folder_of(f"/{entry.name}"))
                number += 1


def _samples(entries: Iterable[_Entry]) -> Iterator[list[_Entry]]:
    """Gather neighbors of one stem; a row of many is several samples."""
    sample: list[_Entry] = []
    for entry in entries:
        if sample and (entry.stem != sample[0].stem or len(sample) == SAMPLE_FILES):
            yield sample
            sample = []
        sample.append(entry)
    if sample:
        yield sample


def _entries(unit: WorkUnit, load: bool, skipped: Counter[str] | None = None) -> Iterator[_Entry]:
    """Yield the regular files of a unit's piece of its archive, then its damage if it has any."""
    size = unit.span[1] - unit.span[0]
    file = open_unit(unit, *unit.span)
    plain = not file.read(_BLOCK).startswith(_COMPRESSED)
    file.seek(0)
    end = 0
    damage: str | None = None
    try:
        archive: Any
        with tarfile.open(
            fileobj=io.BufferedReader(file, BLOCK) if load else file,
            mode="r:" if plain else "r|*",
            encoding="utf-8",
            errors="surrogateescape",
        ) as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # tarfile keeps all of them
                start, end = member.offset, member.offset_data + -(-member.size // _BLOCK) * _BLOCK
                if not member.isreg():
                    _count(skipped, "links, folders and devices in archives")
                elif is_image_name(member.name) or is_sidecar_name(member.name):
                    data = _content(archive, member) if load else None
                    yield _Entry(member.name, unit.span[0] + start, unit.span[0] + end, data)
                else:
                    _count(skipped, "junk" if is_junk_name(member.name) else "other files")
        if plain:
            file.seek(end)
            damage = None if file.read(_BLOCK).strip(b"\0") == b"" else "a header is damaged"
    except _BROKEN as error:
        damage = str(error) or type(error).__name__
    if damage is not None and (end < size or not plain):
        text = f"archive is damaged at byte {unit.span[0] + end}: {damage}; the rest is lost"
        yield _Entry("", unit.span[0] + end, unit.span[1], Failure("read", "DATA_LOSS", text))


def _content(archive: Any, member: tarfile.TarInfo) -> bytes | Failure:
    if member.size > LONGEST:
        return Failure("read", "RESOURCE_EXHAUSTED", f"member of {member.size:,} bytes is larger than {LONGEST:,}")
    try:
        stream = archive.extractfile(member)
        data = stream.read() if stream is not None else b""
    except _BROKEN as error:
        return Failure("read", "DATA_LOSS", f"archive ends within this member: {error}")
    if len(data) != member.size:
        return Failure(
            "read", "DATA_LOSS", f"archive ends within this member, after {len(data)} of {member.size} bytes"
        )
    return data


def _label(sample: Sequence[_Entry]) -> int | str | None:
    """Return what a sample's .cls or .json says."""
    for entry in sample:
        if not isinstance(entry.data, bytes) or not is_sidecar_name(entry.name):
            continue
        text = entry.data.decode("utf-8", "replace").strip()
        if entry.name.lower().endswith(".cls"):
            return as_label(text)
        with contextlib.suppress(ValueError, RecursionError):
            content = json.loads(text)
            if isinstance(content, dict):
                return as_label(content.get("label", content.get("cls")))
    return None


def _count(skipped: Counter[str] | None, reason: str) -> None:
    if skipped is not None:
        skipped[reason] += 1


def shortened(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of its first n images, or of as many as it has; a compressed one is read to count them."""
    if unit.images is not None:
        return replace(unit, images=min(n, unit.images))
    return replace(unit, images=sum(1 for _ in islice(guarded(unit, _images(unit), "!#"), n)))


def sample(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of at most n of its images, its first ones."""
    return replace(unit, images=n if unit.images is None else min(n, unit.images))
