"""Where the page of a comparison is written: never over a file that is no such page."""

from __future__ import annotations

import os

from pipeline import storage
from pipeline.comparison.compare import Compared
from pipeline.errors import UsageError
from pipeline.report.comparison_page import MARK, comparison_page

_HEAD = 4_096
"""Bytes at the start of a page among which its mark is."""


def check_place(to: str) -> str:
    """Return the location of the page, after a look that nothing is there, or an older page.

    Raises:
        UsageError: there is a folder, or another file.
    """
    location = storage.absolute(to)
    if to.endswith("/") or (not storage.is_remote(location) and os.path.isdir(location)):
        raise UsageError(f"--to {to!r} is a folder: give the name of a file, such as {to.rstrip('/')}/comparison.html")
    try:
        head = storage.read(location, 0, _HEAD)
    except storage.NoFileError as error:
        raise UsageError(f"--to {to!r}: {error.strerror}; give another name") from error
    except FileNotFoundError:
        return location
    if head and MARK.encode() not in head:
        raise UsageError(f"--to {to!r} exists and is no page of nightscore compare: it stays; give another name")
    return location


def write_page(location: str, compared: Compared) -> None:
    """Write the page of a comparison."""
    page = comparison_page(compared.figures, compared.pictures)
    storage.replace(location, page.encode("utf-8"))
