"""JSON files of any length, written in bounded memory: an object of lists, or a list."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO


def write_list(file: BinaryIO, items: Iterable[Any]) -> int:
    """Write a list, an item a line; return the number of items."""
    count = 0
    file.write(b"[")
    for item in items:
        file.write((b",\n" if count else b"\n") + json.dumps(item, ensure_ascii=False).encode("utf-8"))
        count += 1
    file.write(b"\n]")
    return count


def write_lists(file: BinaryIO, lists: Mapping[str, Iterable[Any]]) -> dict[str, int]:
    """Write an object of lists, one after the other; return the number of items of each."""
    counts = {}
    for n, (name, items) in enumerate(lists.items()):
        file.write((b",\n" if n else b"{\n") + json.dumps(name).encode("ascii") + b": ")
        counts[name] = write_list(file, items)
    file.write(b"\n}\n")
    return counts
