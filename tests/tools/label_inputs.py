"""Small inputs for tests of labels: pictures, records and lists; and the labels that they give."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import google_crc32c
from read_inputs import read_inputs

DIGITS = tuple(map(str, range(10)))

PGM = b"P5 2 2 255\n\x00\x10\x20\x30"
"""An image."""


def write_pictures(folder: Path, names: Sequence[str]) -> None:
    """Write images of these names into a folder."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PGM)


def labels_of(*inputs: Path, classes: Sequence[str] = DIGITS, **options: Any) -> list[str | None]:
    """Return the names of the labels of all images, in order; no image may fail."""
    given = read_inputs(*inputs, classes=classes, **options)
    assert given.failures == {}
    return list(given.labels.values())


def record(**features: Any) -> bytes:
    """Return a record of an Example with a picture; "__" in a name stands for "/"."""
    entries = b""
    for name, value in {"image": PGM, **features}.items():
        entry = _field(1, name.replace("__", "/").encode()) + _field(2, _feature(value))
        entries += _field(1, entry)
    data = _field(1, entries)
    header = struct.pack("<Q", len(data))
    return header + _crc(header) + data + _crc(data)


def write_records(path: Path, examples: Sequence[Mapping[str, Any]]) -> Path:
    """Write a TFRecord file of Examples with these features."""
    path.write_bytes(b"".join(record(**example) for example in examples))
    return path


def _feature(value: Any) -> bytes:
    values = value if isinstance(value, list) else [value]
    if isinstance(values[0], float):
        return _field(2, _field(1, struct.pack(f"<{len(values)}f", *values)))
    if isinstance(values[0], int):
        return _field(3, _field(1, b"".join(map(_varint, values))))
    texts = [text.encode() if isinstance(text, str) else text for text in values]
    return _field(1, b"".join(_field(1, text) for text in texts))


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    number %= 1 << 64
    data = bytearray()
    while number > 127:
        data.append(number & 127 | 128)
        number >>= 7
    return bytes((*data, number))


def _crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
