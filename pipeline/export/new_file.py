"""Files that are written once: nobody sees one before it is whole, and it never replaces another.

Must not know what is in a file. What is already there is never touched.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import BinaryIO

from pipeline import storage
from pipeline.errors import NoSpaceError, TransientError, UsageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP}


def local_path(path: str, flag: str) -> str:
    """Return what a person typed as an absolute path on disk.

    Args:
        path: as typed.
        flag: that it was typed behind, for the error's text.

    Raises:
        UsageError: it is in a bucket.
    """
    location = storage.absolute(path)
    if storage.is_remote(location):
        raise UsageError(f"{flag} {path!r} is in a bucket: give a path on disk, and copy what is there to the bucket")
    return location


def require_new(path: str, flag: str) -> str:
    """Return the absolute path of a file that is still to be written.

    Args:
        path: as typed.
        flag: that it was typed behind, for the error's text.

    Raises:
        UsageError: something is there already, or it is in a bucket.
    """
    location = local_path(path, flag)
    if os.path.lexists(location):
        raise UsageError(f"{flag} {path!r} is there already: nothing is overwritten, so give another name or remove it")
    return location


@contextlib.contextmanager
def new_file(location: str) -> Iterator[BinaryIO]:
    """Give a file to write to; it gets its name when the body ends, and none if the body raises.

    Raises:
        UsageError: somebody else has written a file of this name meanwhile, or a file is where its folder should be.
        NoSpaceError: the disk is full.
        TransientError: the disk fails.
    """
    folder, name = os.path.split(location)
    temporary = os.path.join(folder, f".{name[:200]}.{os.getpid()}.tmp")
    with explained(location):
        make_folder(folder)
        try:
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if not give_name(temporary, location):
                raise UsageError(f"{location!r} was written by somebody else meanwhile: nothing is overwritten")
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)


def make_folder(folder: str) -> None:
    """Make a folder and those above it, unless they are there.

    Raises:
        UsageError: a file is where a folder should be.
    """
    try:
        os.makedirs(folder, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"a file is where {folder!r} should be a folder: give another name") from error


def give_name(temporary: str, location: str) -> bool:
    """Give a whole file its name; return False, changing nothing, if the name is taken.

    The temporary name may stay. On a disk without hard links the file is renamed, a moment after a look.
    """
    try:
        os.link(temporary, location)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(location):
            return False
        os.rename(temporary, location)
    return True


@contextlib.contextmanager
def explained(location: str) -> Iterator[None]:
    """Turn failures of the disk into errors that a command has a line for; PermissionError stays."""
    try:
        yield
    except PermissionError:
        raise
    except OSError as error:
        text = f"{error.strerror or error} at {location!r}"
        if error.errno in _FULL:
            raise NoSpaceError(f"{text}: free some space") from error
        raise TransientError(text) from error
