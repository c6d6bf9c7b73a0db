"""What a failure of obstore means, by the status and the code of the store's answer. Asks no store."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator

from obstore import exceptions

from pipeline.errors import TransientError, UsageError
from pipeline.text import redacted

_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_BROKEN_CONNECTION = re.compile(r"HTTP error|sending request|body|connection|timed out|timeout", re.IGNORECASE)
_PASSING = ("RequestTimeout", "SlowDown", "ServerBusy", "OperationTimedOut", "InternalError")
"""Codes that mean that trying again may help, whatever the status: S3 says RequestTimeout with status 400."""

_CREDENTIALS = ("ExpiredToken", "TokenRefreshRequired", "InvalidToken")
"""Codes that S3 gives with status 400, and that are about who asks."""


class ConflictError(TransientError):
    """S3 has refused a new object because somebody else was storing or deleting it at that moment."""


def _meaning(error: Exception, location: str) -> Exception:
    """Return what a failure of obstore means. Its text, which has times, addresses and answers, stays out of ours."""
    text = str(error).partition("\n\nDebug source")[0]
    found, code = _STATUS.search(text), _CODE.search(text)
    status = int(found[1]) if found else None
    named = code[1] if code else ""
    what = f"HTTP {status}{f' {named}' if named else ''}" if status else "ConnectionError"
    if status == 409 and named in ("ConditionalRequestConflict", "OperationAborted"):
        return ConflictError(f"{what} at {location!r}")
    if status is not None and (status in (408, 410, 429) or status >= 500 or named in _PASSING):
        return TransientError(f"HTTP {status} at {location!r}")
    if status == 404 or isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), location)
    if isinstance(error, (exceptions.AlreadyExistsError, exceptions.PreconditionError)):
        return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), location)
    if status == 416 or "Wanted range starting at" in text:  # Azure ignores a range behind the end, and obstore tells
        return EOFError(what)
    denied = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)
    if status in (401, 403) or isinstance(error, denied) or named in _CREDENTIALS:
        return PermissionError(errno.EACCES, what, location)
    if status in (301, 307) or "incorrectly configured region" in text:
        return UsageError(f"{location!r} is in another region: set AWS_REGION to the region of its bucket")
    if isinstance(error, exceptions.InvalidPathError):
        return UsageError(
            f"at {location!r} is a name with an empty folder, '.' or '..', which cannot be read: rename it"
        )
    if status is None and _BROKEN_CONNECTION.search(text):
        return TransientError(f"{what} at {location!r}")
    text = " ".join(re.sub(r"Error performing .*? - ", "", text).split())  # an address, and how long it took
    return UsageError(f"{location!r} cannot be read or written: {what if status else redacted(text[:200])}")


@contextlib.contextmanager
def explained(location: str) -> Iterator[None]:
    """Turn what obstore raises of a location into what it means."""
    try:
        yield
    except (exceptions.BaseError, FileNotFoundError) as error:
        raise _meaning(error, location) from error
