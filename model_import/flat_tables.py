"""Tables of FlatBuffers, the format of .tflite files, read without a library. Knows no schema.

Bytes from elsewhere may lead anywhere: what lies outside of them is an error, and so is what is too long.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

MOST_ENTRIES = 1 << 16
"""Entries of a list that is read, at most."""


@dataclass(frozen=True)
class Table:
    """A table: its fields are known by their numbers in the schema.

    Attributes:
        data: all bytes.
        place: where in them the table begins.
    """

    data: bytes | memoryview
    place: int

    @classmethod
    def root(cls, data: bytes | memoryview) -> Table:
        """Return the outermost table.

        Raises:
            ValueError: the bytes are too few.
        """
        return cls(data, _number("<I", data, 0))

    def _field(self, field: int) -> int:
        """Return where the value of a field stands; 0: the table does not have it."""
        fields = self.place - _number("<i", self.data, self.place)
        offset = 4 + 2 * field
        if offset >= _number("<H", self.data, fields):
            return 0
        inside = _number("<H", self.data, fields + offset)
        return self.place + inside if inside else 0

    def number(self, field: int, kind: str = "<I") -> int:
        """Return a whole number, by its kind as `struct` writes it; 0 where there is none.

        Raises:
            ValueError: the bytes are damaged.
        """
        place = self._field(field)
        return _number(kind, self.data, place) if place else 0

    def table(self, field: int) -> Table | None:
        """Return a table within; None where there is none.

        Raises:
            ValueError: the bytes are damaged.
        """
        place = self._field(field)
        return Table(self.data, place + _number("<I", self.data, place)) if place else None

    def text(self, field: int) -> str:
        """Return a text; "" where there is none.

        Raises:
            ValueError: the bytes are damaged.
        """
        return bytes(self.values(field, 1)).decode("utf-8")

    def values(self, field: int, size: int) -> memoryview:
        """Return the bytes of a list of numbers of a size each; b"" where there is none.

        Raises:
            ValueError: the bytes are damaged.
        """
        start, count = self._list(field)
        if start + count * size > len(self.data):
            raise ValueError(f"a list of {count} numbers does not end within the file")
        return memoryview(self.data)[start : start + count * size]

    def tables(self, field: int) -> Sequence[Table]:
        """Return a list of tables; () where there is none.

        Raises:
            ValueError: the bytes are damaged.
        """
        start, count = self._list(field)
        if count > MOST_ENTRIES:
            raise ValueError(f"a list has {count} tables, more than {MOST_ENTRIES}")
        places = [start + 4 * i for i in range(count)]
        return [Table(self.data, place + _number("<I", self.data, place)) for place in places]

    def _list(self, field: int) -> tuple[int, int]:
        """Return where the entries of a list begin, and how many there are."""
        place = self._field(field)
        if not place:
            return 0, 0
        start = place + _number("<I", self.data, place)
        return start + 4, _number("<I", self.data, start)


def _number(kind: str, data: bytes | memoryview, place: int) -> int:
    if place < 0:
        raise ValueError("an offset leads out of the file")
    try:
        return int(struct.unpack_from(kind, data, place)[0])
    except struct.error as error:
        raise ValueError(f"an offset leads out of the file: {error}") from error
