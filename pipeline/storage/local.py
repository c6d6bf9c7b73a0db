"""The local disk as a store. Knows POSIX, nothing of what the bytes mean."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import stat
import threading
from collections.abc import Callable, Iterator

from pipeline.errors import ChangedError, NoSpaceError, TransientError, UsageError
from pipeline.storage.base import NoFileError, StoredObject
from pipeline.storage.globs import Glob
from pipeline.storage.local_walk import EVERYTHING, MISSING, walk
from pipeline.storage.locations import fixed_prefix

TEMPORARY = ".tmp"
"""Last suffix of a temporary file's name."""

WRITES = 5
"""Times that a file is written if somebody else removes its temporary file each time."""

SMALL = 1 << 16
"""Bytes of a file that are read before its size is known."""

_NO_FILE = {errno.ESPIPE, errno.ENXIO, errno.ENODEV}
"""A pipe, a socket, a device."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP}
_NO_FOLDER_SYNC = {errno.EACCES, errno.EINVAL, errno.EOPNOTSUPP}
_serial = itertools.count()
_TEMPORARY_NAME = re.compile(rf"\.[^/]+\.\d+-\d+-\d+{re.escape(TEMPORARY)}")


def is_temporary(name: str) -> bool:
    """Return whether a file's name, without its folder, is one that `LocalStore` gives to a file it is still writing.

    >>> is_temporary(".part-0.parquet.7-140-0.tmp"), is_temporary("part-0.parquet"), is_temporary("notes.tmp")
    (True, False, False)
    """
    return _TEMPORARY_NAME.fullmatch(name) is not None


class LocalStore:
    """The five verbs on a POSIX file system with hard links."""

    parallel_reads = 1

    def list(self, pattern: str) -> Iterator[StoredObject]:
        """Yield a file, the files under a folder, or a glob's matches; sorted, symbolic links followed, no loops."""
        return self._list(pattern, is_all=False)

    def list_all(self, pattern: str) -> Iterator[StoredObject]:
        """Yield the same, and what is neither a file nor a folder: links that lead nowhere, pipes, with NO_FILE."""
        return self._list(pattern, is_all=True)

    def _list(self, pattern: str, is_all: bool) -> Iterator[StoredObject]:
        is_folder, pattern = pattern.endswith("/"), pattern.rstrip("/") or "/"
        try:
            if is_folder and os.path.isfile(pattern):
                return
            if fixed_prefix(pattern) == pattern or os.path.lexists(pattern):
                yield from walk(pattern, EVERYTHING, EVERYTHING.end, is_all)
                return
            folder = os.path.dirname(fixed_prefix(pattern))
            glob = Glob("/".join(name for name in pattern[len(folder) :].split("/") if name))
            yield from walk(folder, glob, glob.start, is_all)
        except OSError as error:
            raise _meaning(error, error.filename or pattern) from error

    def read(self, location: str, start: int = 0, stop: int | None = None, version: int | None = None) -> bytes:
        """Return bytes [start, stop) of a file whose mtime in ns is still `version`."""
        try:
            fd = os.open(location, os.O_RDONLY | os.O_NONBLOCK)  # or a pipe without a writer would keep us waiting
            try:
                data, status = _pread(fd, start, stop)
                if not stat.S_ISREG(status.st_mode):
                    raise NoFileError
                if version is not None and status.st_mtime_ns != version:
                    raise ChangedError(f"{location!r} was modified after it was planned")
                return data
            finally:
                os.close(fd)
        except OSError as error:  # not `_explained`, which takes a tenth of the time of a small read
            raise _meaning(error, location) from error

    def create(self, location: str, data: bytes) -> bool:
        """Write a temporary file, then link it to its name, which fails if the name is taken."""
        with _explained(location):
            try:
                _put(os.link, location, data)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                text = f"{location!r} is on a disk without hard links, which keep what is stored first: write elsewhere"
                raise UsageError(text) from error
            _sync_folder(location)
            return True

    def replace(self, location: str, data: bytes) -> None:
        """Write a temporary file, then rename it over its name."""
        with _explained(location):
            _put(os.replace, location, data)
            _sync_folder(location)

    def delete(self, location: str, version: int | None = None) -> None:
        """Unlink a file if it is there; that it is still `version` is seen a system call before."""
        with _explained(location):
            try:
                if version in (None, os.stat(location).st_mtime_ns):
                    os.unlink(location)
            except (FileNotFoundError, NotADirectoryError):
                return


def _pread(fd: int, start: int, stop: int | None) -> tuple[bytes, os.stat_result]:
    """Return bytes of a file, and what it is once they are read, as it may change under our eyes.

    A small file takes two system calls: each costs as much as a tenth of its image's decoding.
    """
    data = os.pread(fd, SMALL if stop is None else max(min(SMALL, stop - start), 0), start)
    status = os.fstat(fd)
    left = (status.st_size if stop is None else min(stop, status.st_size)) - start - len(data)
    if left <= 0 or not stat.S_ISREG(status.st_mode):
        return data, status
    pieces = [data]
    while left > 0 and (more := os.pread(fd, left, start + sum(map(len, pieces)))):
        pieces.append(more)
        left -= len(more)
    return b"".join(pieces), os.fstat(fd)


def _meaning(error: OSError, location: str) -> Exception:
    """Return the exception for a failure of the disk: no such file, forbidden, full; any other (EIO) may pass."""
    text = error.strerror or str(error)
    if isinstance(error, NoFileError) or error.errno in _NO_FILE:
        return NoFileError(errno.ENOENT, "it is a pipe or a device, and no file", location)
    if error.errno in MISSING:
        if os.path.islink(location):
            return NoFileError(error.errno, f"it is a link to {os.readlink(location)!r}, which is not there", location)
        return FileNotFoundError(error.errno, text, location)
    if error.errno in _FORBIDDEN:
        return PermissionError(error.errno, text, location)
    if error.errno in _FULL:
        return NoSpaceError(f"{text} at {location!r}: free some space")
    return TransientError(f"{text} at {location!r}")


@contextlib.contextmanager
def _explained(location: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _meaning(error, location) from error


def _put(name: Callable[[str, str], None], location: str, data: bytes) -> None:
    """Write a temporary file and name it; write it anew where somebody cleared it away for a dead writer's."""
    for _ in range(WRITES):
        temporary = _write_temporary(location, data)
        try:
            name(temporary, location)
            return
        except FileNotFoundError:
            continue
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    raise TransientError(f"temporary files for {location!r} are removed while they are written")


def _write_temporary(location: str, data: bytes) -> str:
    temporary, fd = _open_temporary(*os.path.split(location))
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    finally:
        os.close(fd)
    return temporary


def _open_temporary(folder: str, name: str) -> tuple[str, int]:
    try:
        os.makedirs(folder, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"a file is where {folder!r} should be a folder: remove it or write elsewhere") from error
    while True:
        temporary = f".{name}.{os.getpid()}-{threading.get_ident()}-{next(_serial)}{TEMPORARY}"
        path = os.path.join(folder, temporary)
        try:
            return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            continue  # left behind by a process that had our number


def _sync_folder(location: str) -> None:
    """Write a folder's new name to the disk, so that a power cut does not lose it.

    Some file systems cannot do this, and a folder that we may not read cannot be opened: then the name is written when
    the system gets to it.
    """
    try:
        fd = os.open(os.path.dirname(location), os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
