"""What a store is: five verbs over named, immutable pieces of bytes. Knows neither disk nor cloud."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from typing import NamedTuple, Protocol
from urllib.parse import quote_from_bytes, unquote_to_bytes


class StoredObject(NamedTuple):
    """One file or object, as a listing shows it.

    Attributes:
        location: absolute path, or gs://bucket/name.
        size: bytes.
        version: mtime in ns on disk, generation on GCS; changes when the content does (on disk: by the clock's tick).
        crc32c: of the content where the listing tells it (GCS), else None.
    """

    location: str
    size: int
    version: int
    crc32c: int | None = None


class Store(Protocol):
    """The five verbs.

    All of them raise TransientError when the store fails for now, PermissionError when it forbids; those that write
    raise NoSpaceError when it is full.
    """

    parallel_reads: int
    """How many reads at once this store is made for: 1 for a disk, dozens where each costs a round trip."""

    def list(self, pattern: str) -> Iterator[StoredObject]:
        """Yield the object, what lies under the folder, or what a glob matches; sorted by location.

        `**` matches any folders, `*`, `?` and `[...]` stay within a name; folders that match are walked. As in a
        shell, a name that starts with a dot is matched by a pattern that starts with one. A pattern that is the
        name of something is that name. One that ends in "/" is that of folders: what is no folder is left out, and a
        store without folders has one request less to make. Yields nothing where there is nothing.
        """
        ...

    def read(self, location: str, start: int = 0, stop: int | None = None, version: int | None = None) -> bytes:
        """Return the bytes [start, stop) of an object; fewer where it ends before.

        Raises:
            FileNotFoundError: there is no such object.
            ChangedError: it is not `version` any more.
        """
        ...

    def create(self, location: str, data: bytes) -> bool:
        """Store a new object, whole or not at all; return False, changing nothing, if somebody was first."""
        ...

    def replace(self, location: str, data: bytes) -> None:
        """Store an object, whole or not at all, in place of what is there."""
        ...

    def delete(self, location: str, version: int | None = None) -> None:
        """Remove an object; nothing happens if it is not there, or not `version` any more."""
        ...


_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_WILDCARD = re.compile(r"[*?\[]")


def key_of(location: str) -> str:
    r"""Return a location as a valid UTF-8 string that names it alone.

    It is the location itself, unless that is not UTF-8 or looks percent-encoded: then "%" and the bytes that are
    not UTF-8 are percent-encoded.

    >>> key_of("/data/50% off.png"), key_of("/data/%41.png"), key_of("/data/\udcff.png")
    ('/data/50% off.png', '/data/%2541.png', '/data/%FF.png')
    """
    try:
        location.encode("utf-8")
        if not _ESCAPE.search(location):
            return location
    except UnicodeEncodeError:
        pass
    return "".join(
        quote_from_bytes(c.encode("utf-8", "surrogateescape"), safe="") if c == "%" or "\udc80" <= c <= "\udcff" else c
        for c in location
    )


def location_of(key: str) -> str:
    r"""Return the location that `key_of` made the key from.

    >>> location_of(key_of("/data/%41 \udcff.png")) == "/data/%41 \udcff.png"
    True
    """
    if not _ESCAPE.search(key):
        return key
    return unquote_to_bytes(key).decode("utf-8", "surrogateescape")


def fixed_prefix(pattern: str) -> str:
    """Return what stands before the first wildcard of a glob.

    >>> fixed_prefix("gs://b/photos/2024-*/x.png")
    'gs://b/photos/2024-'
    """
    found = _WILDCARD.search(pattern)
    return pattern[: found.start()] if found else pattern


class Glob:
    """What a glob matches, name by name from the folder it starts in; the same for disk and cloud.

    A place is the set of positions in the pattern that the way to a folder or file may have reached.

    >>> glob = Glob("**/2024-*/x.png")
    >>> [glob.matches(name) for name in ("2024-01/x.png", "a/b/2024-02/x.png", "2024-01/y.png", ".a/2024-01/x.png")]
    [True, True, False, False]
    """

    start = frozenset({0})

    def __init__(self, pattern: str) -> None:
        """Take a glob that is relative to the folder it starts in."""
        self._patterns = pattern.split("/")
        self._names = [re.compile(fnmatch.translate(name)).match for name in self._patterns]
        self.end = frozenset({len(self._patterns)})

    def enter(self, place: frozenset[int], name: str) -> frozenset[int]:
        """Return the place of a name in a folder at `place`; an empty one is a dead end."""
        place = self._with_no_folders(place)
        if self.takes(place):
            return self.end  # in a folder that matched, everything matches
        return frozenset(i for at in place for i in self._steps(at, name))

    def takes(self, place: frozenset[int]) -> bool:
        """Return whether a file at `place` matches."""
        return self.end <= place

    def matches(self, path: str) -> bool:
        """Return whether a file's path from where the glob starts matches."""
        place = self.start
        for name in path.split("/"):
            place = self.enter(place, name)
            if not place:
                return False
        return self.takes(place)

    def _steps(self, at: int, name: str) -> tuple[int, ...]:
        pattern = self._patterns[at]
        if name.startswith(".") and not pattern.startswith("."):
            return ()
        if pattern == "**":
            return (at,)
        return (at + 1,) if self._names[at](name) and bool(name) == bool(pattern) else ()

    def _with_no_folders(self, place: frozenset[int]) -> frozenset[int]:
        """Add the positions behind each `**`, which may stand for no folder at all."""
        reached = set(place)
        for at in place:
            while at < len(self._patterns) and self._patterns[at] == "**":
                at += 1
                reached.add(at)
        return frozenset(reached)
