"""This module makes the addresses under which a browser opens an original: on disk, in a bucket's console, on the web.

Must not know what is said of an image.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from pipeline.storage.locations import GCS, S3

GOOGLE = "https://console.cloud.google.com/storage/browser/_details/"
"""Address of an object in Google Cloud's console; bucket and name follow."""

AWS = "https://console.aws.amazon.com/s3/object/"
"""Address of an object in the console of AWS; bucket follows, and the name as ?prefix=."""

LONGEST = 2_000
"""Number of characters of an address that browsers and servers surely take."""

_WEB = re.compile(r"(?:https?|file)://", re.IGNORECASE)


def link(location: str) -> str | None:
    """Return the address under which a browser opens a file; None: there is none.

    A blob of Azure has none: its location does not tell the account.

    >>> link("/data/50% off?#1.png"), link("az://container/a.png")
    ('file:///data/50%25%20off%3F%231.png', None)
    >>> link("gs://bucket/a b.png")
    'https://console.cloud.google.com/storage/browser/_details/bucket/a%20b.png'
    """
    address = _address(location)
    return address if address and len(address) <= LONGEST else None


def below(base: str, path: str) -> str | None:
    """Return the address of a file below another place; None as in `link`.

    Args:
        base: address (https://, http://, file://) or location of a folder.
        path: of the file below it.

    >>> below("https://images.example.com/2026/", "cat/50%.png"), below("/mnt/copy", "1.png")
    ('https://images.example.com/2026/cat/50%25.png', 'file:///mnt/copy/1.png')
    """
    start = base.rstrip("/") + "/"
    if not _WEB.match(base):
        return link(start + path)
    address = start + _quoted(path)
    return address if len(address) <= LONGEST else None


def _address(location: str) -> str | None:
    if location.startswith(GCS):
        return GOOGLE + _quoted(location[len(GCS) :])
    if location.startswith(S3):
        bucket, _, name = location[len(S3) :].partition("/")
        return f"{AWS}{_quoted(bucket)}?prefix={_quoted(name)}"
    if location.startswith("/"):
        return "file://" + _quoted(location)
    if _WEB.match(location):
        return quote(location, safe=":/?#[]@!$&'()*+,;=%~", errors="surrogateescape")
    return None


def _quoted(path: str) -> str:
    return quote(path, safe="/", errors="surrogateescape")
