"""Bytes on disk or in Google Cloud Storage, behind five verbs: list, read, create, replace, delete.

Each verb is tried again while a store fails for now (`patience`).
A location is an absolute path or gs://bucket/name; `absolute` makes one from what a user types. This module alone
decides which store serves a location.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from pipeline.storage.base import Store, StoredObject
from pipeline.storage.local import LocalStore, is_temporary
from pipeline.storage.locations import GCS, absolute, fixed_prefix, join, key_of, location_of
from pipeline.storage.retry import PatientStore, patience
from pipeline.storage.stored_file import StoredFile

__all__ = [
    "GCS",
    "Store",
    "StoredFile",
    "StoredObject",
    "absolute",
    "answers",
    "create",
    "delete",
    "fixed_prefix",
    "is_temporary",
    "join",
    "key_of",
    "list_long",
    "list_objects",
    "location_of",
    "patience",
    "read",
    "replace",
    "stat",
    "store_of",
]


@functools.cache
def _local() -> PatientStore:
    return PatientStore(LocalStore())


@functools.cache
def _gcs() -> PatientStore:
    from pipeline.storage.gcs import GcsStore  # half a second of imports that a local run does without

    return PatientStore(GcsStore())


def store_of(location: str) -> PatientStore:
    """Return the store that holds a location. It tries again while the store fails for now."""
    return _gcs() if location.startswith(GCS) else _local()


def answers(location: str) -> bool:
    """See `PatientStore.answers`."""
    return store_of(location).answers(location)


def list_objects(pattern: str) -> Iterator[StoredObject]:
    """See `Store.list`."""
    return store_of(pattern).list(pattern)


def list_long(pattern: str) -> Iterator[StoredObject]:
    """Yield the same as `list_objects`, where much may be found: of a disk, a copy of this process lists ahead."""
    return list_objects(pattern) if pattern.startswith(GCS) else _local().list_elsewhere(pattern)


def stat(location: str) -> StoredObject | None:
    """Return what a listing says of one object; None where it is not there, or a folder."""
    if fixed_prefix(location) != location:
        try:
            read(location, 0, 1)
        except FileNotFoundError:
            return None  # a listing would go through all that the name matches as a glob
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
