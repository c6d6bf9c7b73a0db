"""CSV files as spreadsheets and pandas read them: RFC 4180, UTF-8. Must not know what is in them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import BinaryIO


def csv_file(header: Sequence[str], lines: Iterable[Sequence[object]]) -> bytes:
    r"""Return a CSV file.

    >>> csv_file(["key", "images"], [["a,b", 1]])
    b'key,images\r\n"a,b",1\r\n'
    """
    data = io.BytesIO()
    write_csv(data, header, lines)
    return data.getvalue()


def write_csv(file: BinaryIO, header: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    """Write a CSV file, a few lines at a time: for one that is too large to be held.

    Args:
        file: gets the bytes, and stays open.
        header: names of the columns.
        lines: the cells of each line.
    """
    text = io.TextIOWrapper(file, "utf-8", "backslashreplace", newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(lines)
    text.flush()
    text.detach()
