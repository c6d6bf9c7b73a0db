"""What every store of buckets asks of a location, and tells of it. Knows no library of any store."""

from __future__ import annotations

import mimetypes

from pipeline.errors import UsageError
from pipeline.storage.locations import fixed_prefix


def split(location: str, scheme: str, store: str) -> tuple[str, str]:
    """Return the bucket and the name in it, "" for none.

    Args:
        location: begins with the scheme.
        scheme: such as "gs://".
        store: what a person calls the store.

    Raises:
        UsageError: there is no bucket in it, or the name is not UTF-8.

    >>> split("gs://bucket/a/b", "gs://", "a store"), split("gs://bucket", "gs://", "a store")
    (('bucket', 'a/b'), ('bucket', ''))
    """
    bucket, _, name = location.removeprefix(scheme).partition("/")
    if not bucket or fixed_prefix(bucket) != bucket:
        raise UsageError(f"{location!r} names no bucket: {scheme}bucket/name, with wildcards in the name only")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{location!r} is not UTF-8, as every name in {store} is") from error
    return bucket, name


def require_name(location: str, name: str) -> None:
    """Check that a location is an object's.

    Raises:
        UsageError: it is a bucket.
    """
    if not name:
        raise UsageError(f"{location!r} is a bucket, not an object in it")


def no_bucket(bucket: str, scheme: str) -> UsageError:
    """Return what is raised where there is no bucket of a name."""
    return UsageError(f"there is no bucket {scheme}{bucket}: create it, or correct its name")


def content_type(name: str) -> str:
    """Return what a store is told of an object's content, for browsers; compressed content is only bytes.

    >>> content_type("report.html"), content_type("plan.jsonl.gz")
    ('text/html', 'application/octet-stream')
    """
    kind, encoding = mimetypes.guess_type(name)
    return "application/octet-stream" if kind is None or encoding is not None else kind
