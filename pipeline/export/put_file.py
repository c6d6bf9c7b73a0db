"""One file in a sorted folder: a copy or a link that is there whole or not at all, and never in place of another.

Must not know which image it is. Failures of the disk are OSErrors, which `new_file.explained` turns into ours.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from typing import Literal

from pipeline.export.new_file import give_name, make_folder

OWN = ".nightscore"
"""Folder in the sorted folder that holds what is ours."""

Put = Literal["exported", "kept", "different"]
"""What became of a file: it is there now, it was there already, or something else is there and stays."""

_serial = itertools.count()


def put_copy(data: bytes, folder: str, path: str) -> Put:
    """Write a file whole or not at all; keep one that is there."""
    location = os.path.join(folder, path)
    with contextlib.suppress(FileNotFoundError):
        return "kept" if _holds(location, data) else "different"
    make_folder(os.path.dirname(location))
    temporary = os.path.join(folder, OWN, f"{os.getpid()}-{next(_serial)}.tmp")
    write(temporary, data)
    try:
        if give_name(temporary, location):
            return "exported"
        return "kept" if _holds(location, data) else "different"
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def put_link(target: str, folder: str, path: str) -> Put:
    """Make a symbolic link; keep one that is there and leads to the same file."""
    location = os.path.join(folder, path)
    make_folder(os.path.dirname(location))
    try:
        os.symlink(target, location)
    except FileExistsError:
        return "kept" if os.path.islink(location) and os.readlink(location) == target else "different"
    return "exported"


def write(location: str, data: bytes) -> None:
    """Write a file, which may be left half-way."""
    with open(location, "wb") as file:
        file.write(data)


def _holds(location: str, data: bytes) -> bool:
    """Return whether a file has this content; a link never is our copy.

    Raises:
        FileNotFoundError: nothing is there.
    """
    if os.lstat(location).st_size != len(data) or os.path.islink(location) or not os.path.isfile(location):
        return False
    with open(location, "rb") as file:
        return file.read() == data
