"""Names of files and objects: absolute, joined, as keys. Knows no store."""

from __future__ import annotations

import os
import re
from urllib.parse import quote_from_bytes, unquote_to_bytes

from pipeline.errors import UsageError
from pipeline.text import address

GCS, S3, AZURE = "gs://", "s3://", "az://"
"""What a location starts with in Google Cloud Storage, in S3 (and what speaks like it), and in Azure Blob Storage."""

REMOTE = (GCS, S3, AZURE)
"""What a location that is not on disk starts with. A bucket or container follows, "/", and a name."""

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


def is_remote(location: str) -> bool:
    """Return whether a location is in a bucket or container, not on disk.

    >>> is_remote("s3://bucket/a"), is_remote("/data/a")
    (True, False)
    """
    return location.startswith(REMOTE)


def absolute(path: str) -> str:
    """Return what a user typed as a location.

    >>> absolute("gs://bucket/a/"), absolute("s3://bucket/"), absolute("/data//photos/")
    ('gs://bucket/a', 's3://bucket', '/data/photos')

    Raises:
        UsageError: it is an address of a store that is not served here, such as https://, or one with a password.
    """
    if is_remote(path):
        scheme, name = path[:5], path[5:]
        if "@" in name.partition("/")[0]:  # an address is told in records and logs
            raise UsageError(f"{address(path)!r} was given with a user or a password: give the bucket's name alone")
        return scheme + name.rstrip("/")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path):
        where = address(path)  # a signed address, or one with a password, is not for a terminal or a log
        kinds = ", ".join(f"{scheme}bucket/name" for scheme in REMOTE)
        raise UsageError(f"{where!r} is neither {kinds} nor a path on disk: copy it to one of them first")
    return os.path.abspath(os.path.expanduser(path))


def join(location: str, *names: str) -> str:
    """Return a location under another.

    >>> join("gs://bucket/night", "runs", "a.json")
    'gs://bucket/night/runs/a.json'
    """
    return "/".join((location.rstrip("/"), *names))
