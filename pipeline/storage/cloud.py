"""S3 and Azure Blob Storage as stores, by the package obstore. Knows HTTP, nothing of what the bytes mean.

What S3 and Azure lack, and what is done about it:

- They tell no generation. The version of an object is made of its ETag, see `version_of`; a read compares the version
  that came with the bytes, in one request.
- They delete an object whatever it is by then. `delete` of a version looks first: what replaces it between these two
  requests is deleted with it.
- obstore cannot name an object with an empty folder ("a//b"), "." or ".." as a folder, or a control character in its
  name. Such a location, and a listing that meets one, is refused in one line.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import re
import time
from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any

import obstore

from pipeline.errors import ChangedError, TransientError, UsageError
from pipeline.storage import buckets, cloud_clients, gcs_listing
from pipeline.storage.base import StoredObject
from pipeline.storage.cloud_errors import ConflictError, explained
from pipeline.storage.globs import Glob
from pipeline.storage.locations import AZURE, fixed_prefix

FIRST_WAIT = 0.5
"""Seconds, at most, before a new object is sent a second time; the wait doubles with each try."""

PAGE = 1_000
"""Objects that are taken of a listing at once."""

_UNNAMABLE = re.compile(r"(?:^|/)(?:\.{0,2})(?:/|$)|[\x00-\x1f\x7f]")


class CloudStore:
    """The five verbs on S3 or Azure; may be pickled and used in many threads, not after a fork."""

    parallel_reads = 32

    def __init__(self, scheme: str, retry_seconds: float = 8) -> None:
        """Make a store whose requests are tried again for `retry_seconds`, with backoff and jitter.

        That is for what passes in a moment; `pipeline.storage.retry` goes on from there.

        Args:
            scheme: "s3://" or "az://".
            retry_seconds: 0 tries once.
        """
        self._scheme = scheme
        self._retry_seconds = retry_seconds

    def list(self, pattern: str) -> Iterator[StoredObject]:
        """Yield an object, the objects under a folder, or a glob's matches; sorted.

        Of S3 few pages are in memory; of Azure, whose order depends on the account, all that is found.
        """
        bucket, name = self._split(pattern, of_listing=True)
        is_folder, name = name.endswith("/"), name.rstrip("/")
        try:
            found = self._listed(bucket, f"{name}/") if is_folder and name else self._named(bucket, name)
            first = next(found, None)
            if first is not None:
                yield from chain((first,), found)
            elif fixed_prefix(name) != name:
                yield from self._matching(bucket, name)
        except FileNotFoundError as error:
            raise buckets.no_bucket(bucket, self._scheme) from error

    def read(self, location: str, start: int = 0, stop: int | None = None, version: int | None = None) -> bytes:
        """Return bytes [start, stop) of one version of an object, in one request."""
        bucket, name = self._object(location)
        options: dict[str, Any] = {}
        if stop is not None:
            options["range"] = (start, max(stop, start + 1))  # HTTP has no empty range
        elif start:
            options["range"] = {"offset": start}
        try:
            with explained(location):
                found = obstore.get(self._client(bucket), name, options=options)  # type: ignore[arg-type]
                _check_version(location, found.meta, version)
                data = bytes(found.bytes())
        except EOFError:
            if version is not None:
                with explained(location):
                    _check_version(location, obstore.head(self._client(bucket), name), version)
            return b""
        return data if stop is None else data[: max(stop - start, 0)]

    def create(self, location: str, data: bytes) -> bool:
        """Upload an object that must not be there yet (If-None-Match: *).

        An upload that was stored while its answer got lost is tried again and then meets itself. So after a failure
        on the way "it is there" is an answer only if it is not what we sent. (If somebody else sent the very same
        bytes at that moment, both return True, and what is stored is as either says.)
        """
        until, wait, is_sure = time.monotonic() + self._retry_seconds, FIRST_WAIT, True
        while True:
            try:
                self._upload(location, data, "create", retry_seconds=0)
            except FileExistsError:
                return not is_sure and self._holds(location, data)
            except TransientError as error:
                is_sure = is_sure and isinstance(error, ConflictError)
                if time.monotonic() + wait > until:
                    raise
                time.sleep(random.uniform(0, wait))
                wait *= 2
            else:
                return True

    def replace(self, location: str, data: bytes) -> None:
        """Upload an object; readers see the old one or the new one."""
        self._upload(location, data, "overwrite", self._retry_seconds)

    def delete(self, location: str, version: int | None = None) -> None:
        """Remove an object if it is there, and of this version when it is looked at, one request before."""
        bucket, name = self._object(location)
        with contextlib.suppress(FileNotFoundError, ChangedError), explained(location):
            if version is not None:
                _check_version(location, obstore.head(self._client(bucket), name), version)
            obstore.delete(self._client(bucket), name)

    def _listed(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        """Yield the objects whose names begin with a prefix, sorted."""
        if self._scheme == AZURE:
            pages = self._pages(bucket, prefix, gcs_listing.Range(prefix, ""))
            yield from sorted(stored for page in pages for _, stored in page)
            return
        seen: deque[str] = deque()
        last = ""
        for number, page in enumerate(self._pages(bucket, prefix, gcs_listing.Range(prefix, "")), 1):
            for name, stored in page:
                self._check_order(bucket, last, name)
                yield stored
                last = name
            seen.extend(name for name, _ in page)
            if number == gcs_listing.PAGES and len(page) == PAGE:
                yield from gcs_listing.in_order(partial(self._range, bucket, prefix), prefix, tuple(seen))
                return

    def _range(self, bucket: str, prefix: str, part: gcs_listing.Range) -> tuple[gcs_listing.Named, bool]:
        """Return the first objects of a range of names, and whether they are all."""
        found: deque[tuple[str, StoredObject]] = deque()
        for number, page in enumerate(self._pages(bucket, prefix, part), 1):
            for name, stored in page:
                self._check_order(bucket, found[-1][0] if found else "", name)
                found.append((name, stored))
            if number >= gcs_listing.PAGES and found and found[-1][0] > part.start:
                return tuple(found), False
        return tuple(found), True

    def _pages(self, bucket: str, prefix: str, part: gcs_listing.Range) -> Iterator[gcs_listing.Named]:
        """Yield the objects of a range with a prefix, in pages, by name; in the order in which the store tells them.

        obstore takes whole folders as prefixes, and a name behind which a listing begins: both are made of ours.
        """
        folder = prefix.rpartition("/")[0]
        is_inside = part.start > (f"{folder}/" if folder else "")
        offset = _before(part.start) or None if is_inside and self._scheme != AZURE else None
        where = f"{self._scheme}{bucket}/{prefix}"
        with explained(where):
            pages = iter(obstore.list(self._client(bucket), folder or None, offset=offset, chunk_size=PAGE))
            while (page := next(pages, None)) is not None:
                named = [self._stored(bucket, meta) for meta in page]
                yield [one for one in named if one[0].startswith(prefix) and _is_within(one[0], part)]
                if self._scheme != AZURE and named and _is_behind(named[-1][0], prefix, part.stop):
                    return

    def _stored(self, bucket: str, meta: Mapping[str, Any]) -> tuple[str, StoredObject]:
        """Return what a listing shows, by name. An empty object may be "name/", which obstore shows as "name"."""
        name: str = meta["path"]
        if meta["size"] == 0 and self._head(bucket, name) is None:
            name += "/"
        version = version_of(meta)
        return name, StoredObject(f"{self._scheme}{bucket}/{name}", meta["size"], version)

    def _named(self, bucket: str, name: str) -> Iterator[StoredObject]:
        """Yield the object of a name, then what lies under it as under a folder; everything for no name."""
        if name:
            meta = self._head(bucket, name)
            if meta is not None:
                yield StoredObject(f"{self._scheme}{bucket}/{name}", meta["size"], version_of(meta))
            name += "/"
        yield from self._listed(bucket, name)

    def _matching(self, bucket: str, pattern: str) -> Iterator[StoredObject]:
        glob = Glob(pattern)
        root = len(f"{self._scheme}{bucket}/")
        for stored in self._listed(bucket, fixed_prefix(pattern)):
            if glob.matches(stored.location[root:]):
                yield stored

    def _head(self, bucket: str, name: str) -> Mapping[str, Any] | None:
        location = f"{self._scheme}{bucket}/{name}"
        with contextlib.suppress(FileNotFoundError), explained(location):
            return obstore.head(self._client(bucket), name)
        return None

    def _upload(self, location: str, data: bytes, mode: Any, retry_seconds: float) -> None:
        bucket, name = self._object(location)
        attributes = {"Content-Type": buckets.content_type(name)}
        try:
            with explained(location):
                client = self._client(bucket, retry_seconds)
                obstore.put(client, name, data, mode=mode, attributes=attributes)
        except FileNotFoundError as error:
            raise buckets.no_bucket(bucket, self._scheme) from error

    def _holds(self, location: str, data: bytes) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return self.read(location) == data
        return False

    def _client(self, bucket: str, retry_seconds: float | None = None) -> Any:
        return cloud_clients.client(
            self._scheme, bucket, self._retry_seconds if retry_seconds is None else retry_seconds
        )

    def _check_order(self, bucket: str, last: str, name: str) -> None:
        if name < last:
            raise UsageError(
                f"the store at {self._scheme}{bucket} lists names out of order ({name!r} after {last!r}): "
                "directory buckets (S3 Express One Zone) cannot be read"
            )

    def _object(self, location: str) -> tuple[str, str]:
        """Return the bucket and the name of an object."""
        bucket, name = self._split(location)
        buckets.require_name(location, name)
        return bucket, name

    def _split(self, location: str, of_listing: bool = False) -> tuple[str, str]:
        bucket, name = buckets.split(location, self._scheme, self._scheme)
        is_turned = self._scheme == AZURE and "\\" in name  # into a slash
        if name and (is_turned or _UNNAMABLE.search(name.rstrip("/") if of_listing else name)):
            raise UsageError(
                f"{location!r} is not a possible name in {self._scheme}: it has an empty folder, '.', '..'"
                f"{', a backslash' if self._scheme == AZURE else ''} or a control character; give another name"
            )
        return bucket, name


def version_of(meta: Mapping[str, Any]) -> int:
    """Return 63 bits of a hash of an object's ETag and size, or of its time and size where there is no ETag.

    S3 makes the ETag of the content (an MD5, of parts where it was sent in parts), or of the write where it encrypts;
    Azure makes a new one with each write. So content that changes has another version. S3 may give the same one to the
    same bytes stored again, which is no change. Quotes and a weak ETag's mark, which differ between a listing and a
    read of some stores, are left out; so are the fractions of a second of a time.
    """
    tag = (meta["e_tag"] or "").removeprefix("W/").strip('"')
    what = f"{tag or int(meta['last_modified'].timestamp())} {meta['size']}"
    return int.from_bytes(hashlib.blake2b(what.encode(), digest_size=8).digest(), "big") >> 1


def _check_version(location: str, meta: Mapping[str, Any], version: int | None) -> None:
    if version is not None and version_of(meta) != version:
        raise ChangedError(f"{location!r} was replaced after it was planned")


def _before(start: str) -> str:
    """Return a name before `start`, with few names between the two; a listing may begin behind it."""
    code = ord(start[-1])
    if code > 0x21 and code not in (0x80, 0xE000):  # before these come control characters and halves of characters
        return f"{start[:-1]}{chr(code - 1)}~"
    return start[:-1].rstrip("/.")


def _is_within(name: str, part: gcs_listing.Range) -> bool:
    return part.start <= name and (not part.stop or name < part.stop)


def _is_behind(name: str, prefix: str, stop: str) -> bool:
    return (name > prefix and not name.startswith(prefix)) or bool(stop and name >= stop)
