"""Tar archives: ustar, pax and GNU, plain or compressed; WebDataset samples and class folders.

Headers are parsed by the standard library's tarfile. A plain archive is entered at any member; nothing is extracted.
A sample, as in WebDataset, is a row of neighbors with one name up to its first dot: 0001.jpg, 0001.cls. The label is
what its .cls says, or the "label" or "cls" of its .json (https://github.com/webdataset/webdataset#the-webdataset-format).

What follows a broken header cannot be counted: it is one failed row, whose key is the archive's with "!". So is the
end of an archive that lacks its end mark, a block of zeros, or goes on behind it. A tar has no checksum of content and
long names: what is changed there and still is a name or an image, only the decoder may notice.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
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

LONGEST_LABEL = 1 << 20
"""A label's file is not larger; a larger .json is not of one image."""

LONGEST_NAME = 1 << 20
LONGEST_END = 1 << 20
"""Bytes of a header's extension, and of zeros at the end; where there are more, the archive is damaged."""

_BLOCK = 512
_COMPRESSED: dict[bytes, Callable[[Any], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
_BROKEN = (
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    IndexError,
    OSError,
    OverflowError,
    RecursionError,
    ValueError,
)
"""What tarfile and the decompressors raise for damaged archives."""


def is_tar(head: bytes) -> bool:
    """Return whether a file whose first 512 bytes these are is a tar archive, or compressed and so may be one."""
    return head[257:262] == b"ustar" or _is_compressed(head)


def _is_compressed(head: bytes) -> bool:
    """Return whether a file that starts so is compressed, and not a tar archive whose first name starts so."""
    return head.startswith(tuple(_COMPRESSED)) and head[257:262] != b"ustar"


class _Headers:
    """What tarfile reads headers from: keeps the last block, and refuses what no header needs.

    Left alone, tarfile takes a broken header for the end, and reads a name of gigabytes.
    """

    def __init__(self, stream: Any) -> None:
        self._read, self.seek, self.tell = stream.read, stream.seek, stream.tell
        self.last = b""

    def read(self, size: int) -> bytes:
        if not 0 <= size <= LONGEST_NAME:
            raise tarfile.ReadError(f"a header says that {size:,} bytes follow")
        self.last = self._read(size)
        return self.last


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
    if _is_compressed(head):
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
    names = Names() if unit.first == 0 else None  # where nothing stands before, no plan is needed to tell names apart
    number = unit.first
    for sample in _samples(_entries(unit, load=True)):
        label = _label(sample) if any(entry.is_row for entry in sample) else None
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
    first, stop = unit.span
    stream = _stream(unit, load)
    headers: Any = _Headers(stream)
    end = 0
    try:
        with tarfile.open(fileobj=headers, mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
            for member in archive:
                archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps all of them
                if member.size < 0 or archive.offset <= end:
                    raise tarfile.ReadError(f"a header says that {member.size:,} bytes follow")
                start, end = member.offset, archive.offset
                if not member.isreg():
                    _count(skipped, "links, folders and devices in archives")
                elif is_image_name(member.name) or is_sidecar_name(member.name):
                    data = _content(archive, stream, member) if load else None
                    yield _Entry(member.name, first + start, min(first + end, stop), data)
                else:
                    _count(skipped, "junk" if is_junk_name(member.name) else "other files")
            damage = _flaw_of_end(headers.last, stream, is_piece=stop < unit.sizes[0])
    except (FileNotFoundError, PermissionError):
        raise
    except _BROKEN as error:
        damage = str(error) or type(error).__name__
    if damage is not None:
        text = f"archive is damaged at byte {first + end}: {damage}; what may follow is lost"
        yield _Entry("", min(first + end, stop), stop, Failure("read", "DATA_LOSS", text))


def _stream(unit: WorkUnit, load: bool) -> Any:
    """Return a unit's piece of its archive as a file, decompressed; one that reads ahead if its content is wanted."""
    file = open_unit(unit, *unit.span)
    head = file.read(_BLOCK)
    file.seek(0)
    stored = io.BufferedReader(file, BLOCK) if load else file
    if not _is_compressed(head):
        return stored
    return next(opened for magic, opened in _COMPRESSED.items() if head.startswith(magic))(stored)


def _flaw_of_end(block: bytes, stream: Any, is_piece: bool) -> str | None:
    """Return what is wrong with the end of an archive, or of a piece of it; None if nothing is.

    Args:
        block: what stands where a header would.
        stream: what follows it.
        is_piece: whether the archive goes on elsewhere.
    """
    if block.strip(b"\0"):
        return "not a header"
    if len(block) < _BLOCK:
        return None if is_piece else "there is no end mark, so it may be cut short"
    rest = stream.read(LONGEST_END + 1)
    return "it goes on behind its end mark" if rest.strip(b"\0") or len(rest) > LONGEST_END else None


def _content(archive: tarfile.TarFile, stream: Any, member: tarfile.TarInfo) -> bytes | Failure:
    longest = LONGEST if is_image_name(member.name) else LONGEST_LABEL
    if member.size > longest:
        return Failure("read", "RESOURCE_EXHAUSTED", f"member of {member.size:,} bytes is larger than {longest:,}")
    try:
        if member.issparse():
            data = _sparse_content(archive, member)
        else:
            stream.seek(member.offset_data)
            data = stream.read(member.size)
    except (FileNotFoundError, PermissionError):
        raise
    except _BROKEN as error:
        return Failure("read", "DATA_LOSS", f"archive is damaged within this member: {error}")
    if len(data) != member.size:
        text = f"archive ends within this member, after {len(data):,} of {member.size:,} bytes"
        return Failure("read", "DATA_LOSS", text)
    return data


def _sparse_content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return b"".join(iter(lambda: file.read(LONGEST_NAME), b"")) if file is not None else b""


def _label(sample: Sequence[_Entry]) -> int | str | None:
    """Return what a sample's files say: the first .cls or .json that has a label."""
    return next((label for label in map(_label_in, sample) if label is not None), None)


def _label_in(entry: _Entry) -> int | str | None:
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
