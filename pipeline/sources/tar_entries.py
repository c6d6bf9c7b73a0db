"""The files of a tar archive, plain or compressed, one after the other; what is broken or a bomb among them.

A hard link is a file as well. Must not know of samples, labels or units' cuts.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from pipeline import image_kinds
from pipeline.batches import Code, Failure
from pipeline.sources import images
from pipeline.sources.compression import UnreadError
from pipeline.sources.container import PLACES, extent_of, is_inner, key_of_container
from pipeline.sources.container_names import container_kind, unread_container
from pipeline.sources.inflate import BombError, Inflated, StreamError
from pipeline.sources.limits import MEMBERS
from pipeline.sources.names import is_image_name, is_junk_name, is_sidecar_name, may_be_image
from pipeline.sources.skipped import EMPTY, JUNK, NO_FILES, OTHER, SYMBOLIC, Skipped
from pipeline.sources.tar_links import Links, Target
from pipeline.sources.tar_members import HEAD, PASSED_ON, Headers, Window, content_of, members_of, open_tar
from pipeline.sources.tar_stream import flaw_of_end, is_compressed_tar, open_piece
from pipeline.storage import key_of
from pipeline.units import WorkUnit

LINK = "link"
"""Column of a unit's index that says of its hard links where they lead, as [link's first byte, target's, its end]."""


class Entry(NamedTuple):
    """A file of an archive; or, without a name, where and why the rest of it is lost.

    Attributes:
        name: of the member; "" for damage.
        start: its first header's first byte in the archive.
        stop: the byte after its last block.
        data: its content, or why there is none; None while an index is made.
        by_content: whether its first bytes tell that it is an image, as its name does not.
        target: of a hard link, where its content lies.
        kind: of a container, what its name promises; else None.
        inner: of a container, its content's [start, stop) in the stored object while an index is made; while it is
            read, a stream of its content, which is gone when the next entry is asked for.
        is_row: whether it gives a row: an image, or damage, or an archive that is not opened.
    """

    name: str
    start: int
    stop: int
    data: bytes | Failure | None
    by_content: bool = False
    target: Target | None = None
    kind: str | None = None
    inner: Any = None
    is_row: bool = True


@dataclass
class _Archive:
    """An archive that is looked through.

    Attributes:
        unit: that is a piece of it, or holds it in one of its members.
        stream: the piece, decompressed.
        first: first byte of the piece in the stored object; 0 if that is not where it lies.
        base: first byte of the piece in the archive.
        stop: the byte behind the piece, counted as `first`.
        load: whether contents are wanted.
        is_piece: whether the archive goes on elsewhere.
        is_deep: whether it lies in another one, so that none in it is opened.
        is_planned: whether the containers in it are units of their own.
        links: its files by name, for hard links; None: it cannot be read twice.
        skipped: counts what is no row.
    """

    unit: WorkUnit
    stream: Any
    first: int
    base: int
    stop: int
    load: bool
    is_piece: bool = False
    is_deep: bool = False
    is_planned: bool = False
    links: Links | None = None
    skipped: Skipped = field(default_factory=Skipped)

    def count(self, reason: str, name: str) -> None:
        """Count a member that is no row."""
        self.skipped.add(reason, f"{key_of_container(self.unit)}!{key_of(name)}")


def entries(unit: WorkUnit, load: bool, skipped: Skipped | None = None) -> Iterator[Entry]:
    """Yield the files of a unit's piece of its archive, then its damage if it has any.

    Args:
        unit: the piece.
        load: whether contents are wanted.
        skipped: counts what is neither a row nor a label; None: nobody asks.
    """
    first, stop = unit.span
    start, end = extent_of(unit)
    try:
        stream = open_piece(unit, load)
    except (UnreadError, BombError, StreamError) as error:
        yield _unopened(error, first, stop)
        return
    planned = _planned(unit) if PLACES in unit.index and load else None
    whole = replace(unit, span=(start, end))
    links = Links(unit, lambda: open_piece(whole, load=False), planned)
    yield from _entries(
        _Archive(
            unit, stream, first, first - start, stop, load, stop < end, is_inner(unit), PLACES in unit.index, links,
            Skipped() if skipped is None else skipped,
        )
    )  # fmt: skip


def _unopened(error: Exception, start: int, stop: int) -> Entry:
    """Return why nothing of an archive can be read."""
    if isinstance(error, UnreadError):
        return Entry("", start, stop, Failure("read", "UNIMPLEMENTED", f"archive cannot be read: {error}"))
    code: Code = "RESOURCE_EXHAUSTED" if isinstance(error, BombError) else "DATA_LOSS"
    return Entry("", start, stop, Failure("read", code, f"archive is damaged at byte 0: {error}; all of it is lost"))


def entries_of_inner(entry: Entry, unit: WorkUnit, skipped: Skipped | None) -> Iterator[Entry]:
    """Yield the files of a tar archive that is a member of a compressed one.

    Args:
        entry: the member.
        unit: the archive within the other one, for its key.
        skipped: counts what is no row; None: nobody asks.
    """
    stream = entry.inner
    try:
        head = stream.read(HEAD)
        stream.seek(0)
        if is_compressed_tar(head):
            stream = Inflated(io.BufferedReader(stream))
    except (UnreadError, BombError, StreamError) as error:
        yield _unopened(error, 0, 0)
        return
    skipped = Skipped() if skipped is None else skipped
    yield from _entries(_Archive(unit, stream, 0, 0, entry.stop, load=True, is_deep=True, skipped=skipped))


def _planned(unit: WorkUnit) -> dict[int, Target]:
    return {link: Target(start, stop) for link, start, stop in unit.index.get(LINK, ())}


def _entries(it: _Archive) -> Iterator[Entry]:
    headers = Headers(it.stream)
    end = rows = 0
    code: Code = "DATA_LOSS"
    try:
        with open_tar(headers) as archive:
            for member, end in members_of(archive, headers):
                entry = _entry(it, archive, member, end)
                if entry is not None:
                    rows += 1
                    if rows > MEMBERS and isinstance(it.stream, Inflated):
                        raise BombError(f"it has more than {MEMBERS:,} members; make several archives of it")
                    yield entry
            damage = flaw_of_end(headers.last, it.stream, it.is_piece)
    except BombError as error:
        damage, code = str(error), "RESOURCE_EXHAUSTED"
    except PASSED_ON:
        raise
    except Exception as error:  # noqa: BLE001 - whatever tarfile or a decompressor raises for foreign bytes
        damage = str(error) or type(error).__name__
    if damage is not None:
        text = f"archive is damaged at byte {it.base + end}: {damage}; what may follow is lost"
        yield Entry("", min(it.first + end, it.stop), it.stop, Failure("read", code, text))


def _entry(it: _Archive, archive: Any, member: tarfile.TarInfo, end: int) -> Entry | None:
    """Return a member as an entry; None if it is no row and no label, which is counted."""
    name, start, stop = member.name, it.first + member.offset, min(it.first + end, it.stop)
    if member.islnk():
        return _linked(it, member, start, stop)
    if not member.isreg():
        it.count(SYMBOLIC if member.issym() and is_image_name(name) else NO_FILES, name)
        return None
    is_image = is_image_name(name)
    is_told = is_image or is_sidecar_name(name)
    kind = None if is_told or is_junk_name(name) else container_kind(name)
    if kind is not None:
        return _container(it, member, kind, start, stop)
    head = b"" if is_told else _head(it.stream, member)
    why = None if is_told else _why_none(name, head)
    if it.links is not None and it.links.is_looking:
        it.links.add(name, Target(it.base + member.offset, it.base + end))
    if why is not None:
        it.count(why, name)
        return None
    data = content_of(archive, it.stream, member, head) if it.load else None
    return Entry(name, start, stop, data, not is_told, is_row=is_image or not is_told)


def _linked(it: _Archive, member: tarfile.TarInfo, start: int, stop: int) -> Entry | None:
    """Return a hard link as the file to which it leads."""
    name, at = member.name, it.base + member.offset
    is_image = is_image_name(name)
    is_told = is_image or is_sidecar_name(name)
    may_be = is_told or (may_be_image(name) and not is_junk_name(name))
    target = it.links.target(member.linkname, at) if may_be and it.links is not None else None
    by_content = not is_told and may_be and target is not None and _is_image(it, target)
    if not is_told and not by_content:
        it.count(_why_none(name, b"") or OTHER, name)
        return None
    data: bytes | Failure | None = None
    if it.links is None:
        text = "hard link in an archive in a compressed one is not followed: unpack the outer one"
        data = Failure("read", "UNIMPLEMENTED", text)
    elif target is None:
        data = Failure("read", "NOT_FOUND", f"hard link to {member.linkname!r}, which does not come before it")
    else:
        it.links.add(name, target)
        data = it.links.content(target) if it.load else None
    return Entry(name, start, stop, data, by_content, target, is_row=is_image or by_content)


def _is_image(it: _Archive, target: Target) -> bool:
    """Return whether a file to which a link leads begins like an image."""
    data = it.links.content(target) if it.links is not None else b""
    return isinstance(data, bytes) and images.is_image(data[: image_kinds.HEAD])


def _container(it: _Archive, member: tarfile.TarInfo, kind: str, start: int, stop: int) -> Entry | None:
    """Return a container within the archive; None if it is empty, or is a unit of its own."""
    if not member.size:
        it.count(EMPTY, member.name)
        return None
    is_opened = not it.is_deep and kind != "idx" and not member.issparse()
    is_streamed = it.load and (isinstance(it.stream, Inflated) or not it.is_planned)
    if is_opened and it.is_planned and it.load and not is_streamed:
        return None
    if not is_opened or (is_streamed and kind != "tar"):
        text = f"it is {_A[kind]} in an archive, which is not opened there: unpack the outer one"
        return Entry(member.name, start, stop, Failure("read", "UNIMPLEMENTED", text), kind=kind)
    at = it.first + member.offset_data
    inner: Any = (at, at + member.size)
    if it.load:
        it.stream.seek(member.offset_data)
        inner = Window(it.stream, member.size)
    return Entry(member.name, start, stop, None, kind=kind, inner=inner)


_A = {"tar": "a tar", "zip": "a zip archive", "tfrecord": "a TFRecord file", "idx": "an IDX file"}


def _head(stream: Any, member: tarfile.TarInfo) -> bytes:
    """Return the first bytes of a member if only they tell whether it is an image, else none."""
    if is_junk_name(member.name) or not may_be_image(member.name) or member.issparse() or not member.size:
        return b""
    stream.seek(member.offset_data)
    data: bytes = stream.read(min(image_kinds.HEAD, member.size))
    return data


def _why_none(name: str, head: bytes) -> str | None:
    if is_junk_name(name):
        return JUNK
    unread = unread_container(name)
    if unread is not None:
        return unread
    return images.why_none(name, head) if may_be_image(name) else OTHER
