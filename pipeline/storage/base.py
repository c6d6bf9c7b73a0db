"""The interface of a store: five verbs over named, immutable pieces of bytes. Knows neither disk nor cloud."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol


class StoredObject(NamedTuple):
    """One file or object, as a listing shows it.

    Attributes:
        location: absolute path, or gs://bucket/name (or s3://, az://).
        size: bytes.
        version: changes when the content does. On disk the mtime in ns (by the clock's tick), in Google Cloud Storage
            the generation, in S3 and Azure 63 bits of a hash of the ETag, see `pipeline.storage.cloud.version_of`.
        crc32c: of the content where the listing tells it (GCS), else None.
    """

    location: str
    size: int
    version: int
    crc32c: int | None = None


NO_FILE = -1
"""Version of what a listing of all finds and is no file: a link that leads nowhere, a pipe, a socket."""


class NoFileError(FileNotFoundError):
    """A name at which there is something, and no file: a link that leads nowhere, a pipe, a device."""


class Store(Protocol):
    """The five verbs.

    All of them raise TransientError when the store fails for now, PermissionError when it forbids; those that write
    raise NoSpaceError when it is full.
    """

    parallel_reads: int
    """Number of reads that this store serves well at once: 1 for a disk, dozens where each costs a round trip."""

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
