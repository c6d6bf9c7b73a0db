"""CSV files as spreadsheets and pandas read them: RFC 4180, UTF-8. Must not know what is in them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence


def csv_file(header: Sequence[str], lines: Iterable[Sequence[object]]) -> bytes:
    r"""Return a CSV file.

    >>> csv_file(["key", "images"], [["a,b", 1]])
    b'key,images\r\n"a,b",1\r\n'
    """
    data = io.BytesIO()
    with io.TextIOWrapper(data, "utf-8", "backslashreplace", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(header)
        writer.writerows(lines)
        text.flush()
        return data.getvalue()
