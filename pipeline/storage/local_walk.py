"""The files of a folder on the local disk, and of all folders in it, in the order of their locations.

Knows POSIX, nothing of what is done with the files.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from pipeline.storage.base import NO_FILE, StoredObject
from pipeline.storage.globs import Glob

EVERYTHING = Glob("**")
"""Pattern that every file in a folder matches."""

MISSING = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.EISDIR,
    errno.EINVAL,
}
"""Error numbers of the system for "there is no such file"."""

_Found = tuple[str, os.stat_result | None, frozenset[int]]
"""A path, what is there, and its place in a glob."""


def walk(start: str, glob: Glob, place: frozenset[int], is_all: bool) -> Iterator[StoredObject]:
    """Yield a file, or every file in a folder, that matches a glob; sorted, symbolic links followed, no loops.

    The walk is a loop and not a recursion, in which each file would pass through a generator for each folder above it.

    Args:
        start: path of the file or folder.
        glob: that files have to match.
        place: of the start in the glob.
        is_all: whether to yield also what is neither a file nor a folder, with NO_FILE.

    Raises:
        OSError: something on the way cannot be read; its `filename` says what.
    """
    under_way, parents = [iter([(start, _status(start, start), place)])], [(-1, -1)]
    while under_way:
        for path, status, place in under_way[-1]:
            if status is None:
                if is_all and glob.takes(place) and os.path.islink(path):
                    yield StoredObject(path, 0, NO_FILE)
                continue
            if stat.S_ISREG(status.st_mode):
                if glob.takes(place):
                    yield StoredObject(path, status.st_size, status.st_mtime_ns)
            elif stat.S_ISDIR(status.st_mode) and (identity := (status.st_dev, status.st_ino)) not in parents:
                under_way.append(_inside(path, glob, place))
                parents.append(identity)
                break
            elif is_all and not stat.S_ISDIR(status.st_mode) and glob.takes(place):
                yield StoredObject(path, 0, NO_FILE)
        else:
            del under_way[-1], parents[-1]


def _inside(folder: str, glob: Glob, place: frozenset[int]) -> Iterator[_Found]:
    """Yield the files and folders in a folder that may match, in the order of locations: folder "a" sorts as "a/"."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name + "/" if _is_folder(entry) else entry.name for entry in entries)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return  # gone meanwhile
    start = os.path.join(folder, "")
    matches_whole = glob.takes(place)
    try:
        for name in names:
            name = name.rstrip("/")
            inner = place if matches_whole else glob.enter(place, name)
            if inner:
                yield start + name, _status(start + name, name, fd), inner
    finally:
        os.close(fd)


def _status(path: str, name: str, folder: int | None = None) -> os.stat_result | None:
    """Return what is at a path; None if it was never there, is gone, or is a dangling or looping link.

    It is looked up by its name in its open folder, which saves a walk from the root for each of many files.
    """
    try:
        return os.stat(name, dir_fd=folder)
    except OSError as error:
        if error.errno in MISSING:
            return None
        raise OSError(error.errno, error.strerror, path) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link that loops or leads where we may not go: `walk` finds out which
