"""Hard links of tar archives: names of files that are stored under another name before them.

Nobody knows that an archive has links before the first one comes; then the members before it are looked through again.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NamedTuple

from pipeline.batches import Failure
from pipeline.sources.container import extent_of, open_unit
from pipeline.sources.inflate import Inflated
from pipeline.sources.limits import BLOCK
from pipeline.sources.tar_members import PASSED_ON, Headers, Window, content_of, members_of, open_tar
from pipeline.units import WorkUnit

MOST_RETURNS = 64
"""How often a compressed archive is read again from its start, at most, for links that lead back."""


class Target(NamedTuple):
    """Where a file lies to which hard links lead.

    Attributes:
        start: first byte of its headers, counted from the archive's own.
        stop: the byte after its last block.
    """

    start: int
    stop: int


def _plain(name: str) -> str:
    """Return a member's name as links name it: "./a" and "a" are the same."""
    return name.lstrip("/").removeprefix("./")


class Links:
    """The files of an archive by name, from its first hard link on, and their contents.

    The contents are read once more: from a plain archive where they lie, from a compressed one forward from its start.
    """

    def __init__(self, unit: WorkUnit, opened: Callable[[], Any], planned: dict[int, Target] | None) -> None:
        """Know nothing yet.

        Args:
            unit: of the archive.
            opened: opens the whole archive as a file that is read forward.
            planned: the targets of a unit's links by the links' first bytes, as planning found them; None: look.
        """
        self._unit, self._opened, self.planned = unit, opened, planned
        self._by_name: dict[str, Target] | None = None
        self._follower: Any = None
        self._returns = 0
        self._last: tuple[Target, bytes | Failure] | None = None

    @property
    def is_looking(self) -> bool:
        """Whether files that come now may be targets that nobody knows yet."""
        return self._by_name is not None

    def add(self, name: str, target: Target) -> None:
        """Take note of a file that may be a link's target."""
        if self._by_name is not None:
            self._by_name[_plain(name)] = target

    def target(self, linked: str, at: int) -> Target | None:
        """Return the file that a link names, None if none such comes before it.

        Args:
            linked: its name.
            at: the link's first byte in the archive.
        """
        if self.planned is not None:
            return self.planned.get(at)
        if self._by_name is None:
            self._by_name = self._names_before(at)
        return self._by_name.get(_plain(linked))

    def _names_before(self, at: int) -> dict[str, Target]:
        stream = self._opened()
        headers = Headers(stream)
        names: dict[str, Target] = {}
        with open_tar(headers) as archive:
            for member, end in members_of(archive, headers):
                if member.offset >= at:
                    break
                if member.isreg():
                    names[_plain(member.name)] = Target(member.offset, end)
        return names

    def content(self, target: Target) -> bytes | Failure:
        """Return the bytes of a file, or why there are none."""
        if self._last is None or self._last[0] != target:
            self._last = target, self._read(target)
        return self._last[1]

    def _read(self, target: Target) -> bytes | Failure:
        if self._follower is None:
            self._follower = self._opened()
        if not isinstance(self._follower, Inflated):
            first = extent_of(self._unit)[0]
            return first_content(
                io.BufferedReader(open_unit(self._unit, first + target.start, first + target.stop), BLOCK)
            )
        if self._follower.tell() > target.start:
            self._returns += 1
            if self._returns > MOST_RETURNS:
                text = "hard link leads far back in a compressed archive that has many: decompress it"
                return Failure("read", "UNIMPLEMENTED", text)
            self._follower = self._opened()
        self._follower.seek(target.start)
        return first_content(Window(self._follower, target.stop - target.start))


def first_content(stream: Any) -> bytes | Failure:
    """Return the content of the first member of an archive, or why there is none."""
    headers = Headers(stream)
    try:
        with open_tar(headers) as archive:
            for member, _ in members_of(archive, headers):
                return content_of(archive, stream, member)
    except PASSED_ON:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a library raises for foreign bytes
        return Failure("read", "DATA_LOSS", f"archive is damaged where a hard link leads: {error}")
    return Failure("read", "DATA_LOSS", "archive is damaged where a hard link leads")
