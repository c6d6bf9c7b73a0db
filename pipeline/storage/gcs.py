"""Google Cloud Storage as a store. Knows its client library and HTTP, nothing of what the bytes mean.

Bytes are those at rest: an object stored with `Content-Encoding: gzip` is read as it is stored, so that its size, its
ranges and its CRC32C are about the same bytes.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import http.client
import os
from collections.abc import Iterator, MutableSequence
from functools import partial
from typing import Any

import google_crc32c
import requests
import urllib3
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError
from google.auth.exceptions import TransportError as AuthTransportError
from google.cloud import storage  # type: ignore[import-untyped]
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from pipeline.errors import ChangedError, TransientError, UsageError
from pipeline.storage import buckets, gcs_client, gcs_listing
from pipeline.storage.base import StoredObject
from pipeline.storage.gcs_client import client
from pipeline.storage.globs import Glob
from pipeline.storage.locations import fixed_prefix
from pipeline.text import redacted

FIELDS = "items(name,size,generation,crc32c),nextPageToken"
FIRST_WAIT = 1.0
"""Seconds, at most, that the client library waits before its second try; the wait doubles with each try."""

TIMEOUT = 60.0
"""Seconds that a server may stay silent before its connection counts as broken."""

_BROKEN_CONNECTION = (
    AuthTransportError,
    ConnectionError,
    http.client.HTTPException,
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.HTTPError,
)
_ERRORS = (*_BROKEN_CONNECTION, GoogleAPICallError, RetryError, InvalidResponse, DataCorruption, GoogleAuthError)


class GcsStore:
    """The five verbs on Google Cloud Storage; may be pickled, and used in many threads and after a fork."""

    parallel_reads = 32

    def __init__(self, retry_seconds: float = 8) -> None:
        """Make a store whose requests are tried again for `retry_seconds`, with backoff and jitter.

        That is for what passes in a moment; `pipeline.storage.retry` goes on from there.
        """
        self._retry_seconds = retry_seconds

    def list(self, pattern: str) -> Iterator[StoredObject]:
        """Yield an object, the objects under a folder, or a glob's matches; sorted, few pages in memory.

        Empty objects whose names end in "/", which some tools leave as folders, are objects like others.
        """
        bucket, name = _split(pattern)
        is_folder, name = name.endswith("/"), name.rstrip("/")
        try:
            with _explained(pattern):
                found = self._listed(bucket, f"{name}/") if is_folder and name else self._named(bucket, name)
                first = next(found, None)
                if first is not None:
                    yield first
                    yield from found
                elif fixed_prefix(name) != name:
                    yield from self._matching(bucket, name)
        except FileNotFoundError as error:
            raise buckets.no_bucket(bucket, "gs://") from error

    def read(self, location: str, start: int = 0, stop: int | None = None, version: int | None = None) -> bytes:
        """Return bytes [start, stop) of one generation of an object, in one request."""
        last = None if stop is None else max(stop, start + 1) - 1  # HTTP has no empty range
        try:
            with _explained(location):
                data = self._bytes(location, start, last, version)
        except EOFError:
            return b""
        except FileNotFoundError as error:
            if version is None or not self._exists(location):
                raise
            raise ChangedError(f"{location!r} was replaced after it was planned") from error
        return data if stop is None else data[: max(stop - start, 0)]

    def _bytes(self, location: str, start: int, last: int | None, version: int | None) -> bytes:
        way, media = self._way(), gcs_client.media()
        if media is None:
            data: bytes = _blob(location, version).download_as_bytes(
                start=start or None, end=last, raw_download=True, **way
            )
            return data
        get = partial(media.get, *_object(location), start, last, version, TIMEOUT)
        return get() if self._retry_seconds == 0 else way["retry"](get)()

    def create(self, location: str, data: bytes) -> bool:
        """Upload an object that must not be there yet.

        An upload that was stored while its answer got lost is tried again and then meets itself. So after a
        failure on the way "it is there" is an answer only if it is not what we sent, by size and CRC32C. (If
        somebody else sent the very same bytes at that moment, both return True, and what is stored is as either says.)
        """
        failures: list[Exception] = []
        try:
            self._upload(location, data, self._way(failures), generation=0)
        except FileExistsError:
            return bool(failures) and self._holds(location, data)
        return True

    def replace(self, location: str, data: bytes) -> None:
        """Upload an object; readers see the old one or the new one."""
        self._upload(location, data, self._way())

    def delete(self, location: str, version: int | None = None) -> None:
        """Remove an object if it is there, and of this generation."""
        with contextlib.suppress(FileNotFoundError, FileExistsError), _explained(location):
            _blob(location).delete(if_generation_match=version, **self._way())

    def _way(self, failures: MutableSequence[Exception] | None = None) -> dict[str, Any]:
        """Return how long to wait, and the way to try again, which notes what failed on the way."""

        def note(error: Exception) -> None:
            if isinstance(error, InvalidResponse):
                error.response.close()  # nobody reads it, and unread it keeps its connection
            if failures is not None:
                failures.append(error)

        retry = Retry(predicate=_is_passing, initial=FIRST_WAIT, timeout=self._retry_seconds, on_error=note)
        return {"retry": retry, "timeout": TIMEOUT}

    def _listed(self, bucket: str, prefix: str, limit: int | None = None) -> Iterator[StoredObject]:
        blobs = client().list_blobs(bucket, prefix=prefix, max_results=limit, fields=FIELDS, **self._way())
        seen: list[str] = []
        for number, page in enumerate(blobs.pages, 1):
            for blob in page:
                yield _stored(blob)
                seen.append(blob.name)
            if number == gcs_listing.PAGES and blobs.next_page_token:
                yield from gcs_listing.in_order(partial(self._range, bucket, prefix), prefix, seen)
                return

    def _range(self, bucket: str, prefix: str, part: gcs_listing.Range) -> tuple[gcs_listing.Named, bool]:
        """Return the first objects of a range of names, and whether they are all."""
        where = {"start_offset": part.start, "end_offset": part.stop or None}
        found: list[tuple[str, StoredObject]] = []
        with _explained(f"gs://{bucket}/{prefix}"):
            blobs = client().list_blobs(bucket, prefix=prefix, fields=FIELDS, **where, **self._way())
            for number, page in enumerate(blobs.pages, 1):
                found += [(blob.name, _stored(blob)) for blob in page]
                if found and found[0][0] < part.start:
                    raise UsageError(f"the store at gs://{bucket} lists names that were not asked for (startOffset)")
                if number == gcs_listing.PAGES and blobs.next_page_token:
                    return found, False
        return found, True

    def _named(self, bucket: str, name: str) -> Iterator[StoredObject]:
        """Yield the object of a name, then what lies under it as under a folder; everything for no name."""
        if not name:
            yield from self._listed(bucket, "")
            return
        for stored in self._listed(bucket, name, limit=1):  # nothing with this prefix sorts before the name itself
            if stored.location == f"gs://{bucket}/{name}":
                yield stored
        yield from self._listed(bucket, name + "/")

    def _matching(self, bucket: str, pattern: str) -> Iterator[StoredObject]:
        glob = Glob(pattern)
        root = len(f"gs://{bucket}/")
        for stored in self._listed(bucket, fixed_prefix(pattern)):
            if glob.matches(stored.location[root:]):
                yield stored

    def _upload(self, location: str, data: bytes, way: dict[str, Any], generation: int | None = None) -> None:
        blob = _blob(location)
        content_type = buckets.content_type(blob.name)
        try:
            with _explained(location):
                blob.upload_from_string(data, content_type=content_type, if_generation_match=generation, **way)
        except FileNotFoundError as error:
            raise buckets.no_bucket(blob.bucket.name, "gs://") from error

    def _exists(self, location: str) -> bool:
        with _explained(location):
            return bool(_blob(location).exists(**self._way()))

    def _holds(self, location: str, data: bytes) -> bool:
        blob = _blob(location)
        with contextlib.suppress(FileNotFoundError), _explained(location):
            blob.reload(**self._way())
            return (blob.size, _crc32c_of(blob)) == (len(data), google_crc32c.value(data))
        return False


def _object(location: str) -> tuple[str, str]:
    """Return the bucket and the name of an object."""
    bucket, name = _split(location)
    buckets.require_name(location, name)
    return bucket, name


def _blob(location: str, generation: int | None = None) -> storage.Blob:
    bucket, name = _object(location)
    return client().bucket(bucket).blob(name, generation=generation)


def _stored(blob: storage.Blob) -> StoredObject:
    return StoredObject(f"gs://{blob.bucket.name}/{blob.name}", blob.size, blob.generation, _crc32c_of(blob))


def _crc32c_of(blob: storage.Blob) -> int | None:
    return int.from_bytes(base64.b64decode(blob.crc32c), "big") if blob.crc32c else None


def _split(location: str) -> tuple[str, str]:
    return buckets.split(location, "gs://", "Google Cloud Storage")


def _status(error: BaseException | None) -> int | None:
    if isinstance(error, GoogleAPICallError):
        return None if error.code is None else int(error.code)
    if isinstance(error, InvalidResponse):
        return int(error.response.status_code)
    return None


def _is_passing(error: BaseException) -> bool:
    """Return whether trying again may help."""
    status = _status(error)
    if status is not None:
        return status in (408, 429) or status >= 500
    return isinstance(error, _BROKEN_CONNECTION) or bool(isinstance(error, GoogleAuthError) and error.retryable)


def _meaning(error: Exception, location: str) -> Exception:
    """Return what a failure of the client library means."""
    cause = error.cause if isinstance(error, RetryError) and error.cause else error
    status = _status(cause)
    what = f"HTTP {status}" if status else type(cause).__name__
    if _is_passing(cause) or status == 410 or isinstance(cause, (RetryError, DataCorruption)):  # 410: a lost upload
        return TransientError(f"{what} at {location!r}")
    text = redacted(" ".join(f"{what}: {getattr(cause, 'message', cause)}".split()))
    if status == 404:
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), location)
    if status == 412:
        return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), location)
    if status == 416:
        return EOFError(text)
    if status in (401, 403) or isinstance(cause, GoogleAuthError):
        return PermissionError(errno.EACCES, text, location)
    return UsageError(f"{location!r} cannot be read or written: {text}") if status else error


@contextlib.contextmanager
def _explained(location: str) -> Iterator[None]:
    try:
        yield
    except _ERRORS as error:
        meaning = _meaning(error, location)
        if meaning is error:
            raise
        raise meaning from error
