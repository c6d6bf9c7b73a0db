"""Bytes on disk, in Google Cloud Storage, S3 or Azure Blob Storage, behind five verbs: see `base.Store`.

Each verb is tried again while a store fails for now (`patience`).
A location is an absolute path, or gs://, s3:// or az:// with a bucket and a name; `absolute` makes one from what a
user types. This module alone decides which store serves a location.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from pipeline.errors import UsageError
from pipeline.storage.base import NO_FILE, NoFileError, Store, StoredObject
from pipeline.storage.local import LocalStore, is_temporary
from pipeline.storage.locations import AZURE, GCS, S3, absolute, fixed_prefix, is_remote, join, key_of, location_of
from pipeline.storage.retry import PatientStore, patience
from pipeline.storage.stored_file import StoredFile

__all__ = [
    "GCS",
    "NO_FILE",
    "NoFileError",
    "Store",
    "StoredFile",
    "StoredObject",
    "absolute",
    "answers",
    "create",
    "delete",
    "fixed_prefix",
    "is_remote",
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


@functools.cache
def _cloud(scheme: str) -> PatientStore:
    try:
        from pipeline.storage.cloud import CloudStore  # of a package that is not needed for the others
    except ModuleNotFoundError as error:
        extra = "s3" if scheme == S3 else "azure"
        raise UsageError(f"{scheme} needs the package obstore: pip install 'nightscore[{extra}]'") from error
    return PatientStore(CloudStore(scheme))


def store_of(location: str) -> PatientStore:
    """Return the store that holds a location. It tries again while the store fails for now."""
    if location.startswith(GCS):
        return _gcs()
    return _cloud(location[: len(S3)]) if location.startswith((S3, AZURE)) else _local()


def answers(location: str) -> bool:
    """See `PatientStore.answers`."""
    return store_of(location).answers(location)


def list_objects(pattern: str) -> Iterator[StoredObject]:
    """See `Store.list`."""
    return store_of(pattern).list(pattern)


def list_long(pattern: str) -> Iterator[StoredObject]:
    """Yield the same as `list_objects`, where much may be found: of a disk, a copy of this process lists ahead.

    What on a disk is neither a file nor a folder is there as well, with NO_FILE as its version.
    """
    return list_objects(pattern) if is_remote(pattern) else _local().list_elsewhere(pattern, LocalStore().list_all)


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
