"""JSON files of any length, written in bounded memory: a list, or an object that has lists."""

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


def write_lists(file: BinaryIO, info: Mapping[str, Any], lists: Mapping[str, Iterable[Any]]) -> dict[str, int]:
    """Write an object: `info`, and then lists, one after the other; return the number of items of each list."""
    counts = {}
    file.write(b'{\n"info": ' + json.dumps(info, ensure_ascii=False).encode("utf-8"))
    for name, items in lists.items():
        file.write(b",\n" + json.dumps(name).encode("ascii") + b": ")
        counts[name] = write_list(file, items)
    file.write(b"\n}\n")
    return counts
