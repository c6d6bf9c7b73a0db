"""The image files in a folder on disk that a model is tried with. Decodes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from pipeline.image_kinds import HEAD
from pipeline.sources.images import is_image
from pipeline.sources.names import is_junk_name

LISTED = 100_000
"""Files of a folder that are looked at, at most: those to try are chosen among them."""

LARGEST_FILE = 256 << 20
"""Bytes of an image file, at most."""


def class_folders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted, without hidden ones."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def image_files(folder: Path) -> Sequence[Path]:
    """Return the files in a folder, and in folders in it, that begin like an image, sorted.

    What is hidden, junk or larger than LARGEST_FILE is left out.
    """
    return sorted(path for path in islice(_files(folder), LISTED) if _is_image(path))


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(where, name)
            if not is_junk_name(path.relative_to(folder).as_posix()):
                yield path


def _is_image(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size > LARGEST_FILE:
        return False
    with path.open("rb") as file:
        return is_image(file.read(HEAD))
