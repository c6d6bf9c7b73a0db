"""Bytes at rest, behind five verbs: list, read, create, replace, delete.

A location is an absolute path or gs://bucket/name; `absolute` makes one from what a user types. Which store serves
it is decided here and nowhere else.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator

from pipeline.errors import UsageError
from pipeline.storage.base import Store, StoredObject, fixed_prefix, key_of, location_of
from pipeline.storage.local import LocalStore
from pipeline.storage.reader import StoredFile

__all__ = [
    "Store",
    "StoredFile",
    "StoredObject",
    "absolute",
    "create",
    "delete",
    "fixed_prefix",
    "join",
    "key_of",
    "list_objects",
    "location_of",
    "read",
    "replace",
    "stat",
    "store_of",
]

GCS = "gs://"


@functools.cache
def _local() -> Store:
    return LocalStore()


@functools.cache
def _gcs() -> Store:
    from pipeline.storage.gcs import GcsStore  # half a second of imports that a local run does without

    return GcsStore()


def store_of(location: str) -> Store:
    """Return the store that holds a location."""
    return _gcs() if location.startswith(GCS) else _local()


def absolute(path: str) -> str:
    """Return what a user typed as a location.

    >>> absolute("gs://bucket/a/"), absolute("/data//photos/")
    ('gs://bucket/a', '/data/photos')

    Raises:
        UsageError: it is an address of a store that is not served here, such as s3://.
    """
    if path.startswith(GCS):
        return GCS + path[len(GCS) :].rstrip("/")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path):
        raise UsageError(f"{path!r} is neither {GCS}bucket/name nor a path on disk: copy it to one of them first")
    return os.path.abspath(os.path.expanduser(path))


def join(location: str, *names: str) -> str:
    """Return a location under another.

    >>> join("gs://bucket/night", "runs", "a.json")
    'gs://bucket/night/runs/a.json'
    """
    return "/".join((location.rstrip("/"), *names))


def list_objects(pattern: str) -> Iterator[StoredObject]:
    """See `Store.list`."""
    return store_of(pattern).list(pattern)


def stat(location: str) -> StoredObject | None:
    """Return what a listing says of one object; None where it is not there, or a folder."""
    found = next(iter(list_objects(location)), None)
    return found if found is not None and found.location == location else None


def read(location: str, start: int = 0, stop: int | None = None, version: int | None = None) -> bytes:
    """See `Store.read`."""
    return store_of(location).read(location, start, stop, version)


def create(location: str, data: bytes) -> bool:
    """See `Store.create`."""
    return store_of(location).create(location, data)


def replace(location: str, data: bytes) -> None:
    """See `Store.replace`."""
    store_of(location).replace(location, data)


def delete(location: str, version: int | None = None) -> None:
    """See `Store.delete`."""
    store_of(location).delete(location, version)
