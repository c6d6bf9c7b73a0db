"""Damage to bytes, the same for the same seed: what disks, networks, broken writers and strangers do to files."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

INTERESTING_BYTES = (0, 1, 0x0A, 0x20, 0x22, 0x2C, 0x2F, 0x7F, 0x80, 0xC3, 0xFE, 0xFF)
INTERESTING_NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 1 << 24, 1 << 29, 1 << 30, 0x7FFFFFFF, 1 << 31)
LARGEST = (0xFFFFFFFE, 0xFFFFFFFF)
STEPS = (1, 1, 1, 2, 2, 4, 8, 32)
"""How many changes one input has; most have one, so that what it breaks is not hidden by another."""

LONGEST = 1 << 16
"""What is put in, doubled or taken from another input has at most so many bytes."""

Change = Callable[[bytearray, bytes, random.Random], None]


def mutated(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Return `data` with a few changes, some of which take bytes from `other`."""
    changed = bytearray(data)
    for _ in range(rng.choice(STEPS)):
        rng.choice(CHANGES)(changed, other, rng)
    return bytes(changed)


def mutated_fields(fields: Sequence[bytes], rng: random.Random) -> list[bytes]:
    """Return fields (lines, records, names) of which one is damaged, left out, doubled or moved."""
    changed = list(fields)
    at = rng.randrange(len(changed))
    kind = rng.randrange(5)
    if kind == 0:
        changed.insert(rng.randrange(len(changed) + 1), changed[at])
    elif kind == 1:
        changed.insert(rng.randrange(len(changed)), changed.pop(at))
    elif kind == 2:
        del changed[at]
    else:
        changed[at] = mutated(changed[at], rng.choice(fields), rng)
    return changed


def _place(data: bytearray, rng: random.Random, width: int = 1) -> int:
    """Return where to change: anywhere, or near the start or the end, where headers and directories stand."""
    last = max(len(data) - width, 0)
    near = min(last, 512)
    return rng.choice((rng.randint(0, last), rng.randint(0, near), last - rng.randint(0, near)))


def _piece(data: bytes | bytearray, rng: random.Random) -> bytes:
    start = rng.randrange(len(data) + 1)
    length = rng.choice((1, 2, 4, 16, rng.randrange(1, 600), LONGEST))
    return bytes(data[start : start + length])


def flip_bit(data: bytearray, other: bytes, rng: random.Random) -> None:
    if data:
        data[_place(data, rng)] ^= 1 << rng.randrange(8)


def set_byte(data: bytearray, other: bytes, rng: random.Random) -> None:
    if data:
        data[_place(data, rng)] = rng.choice((*INTERESTING_BYTES, rng.randrange(256)))


def set_number(data: bytearray, other: bytes, rng: random.Random) -> None:
    """Write 0, 2^31, 2^32 - 1 and their like in 1, 2, 4 or 8 bytes of either order."""
    form = rng.choice(("<H", ">H", "<I", ">I", "<I", ">I", "<Q", ">Q"))
    width = struct.calcsize(form)
    number = rng.choice((*INTERESTING_NUMBERS, *LARGEST, len(data), -rng.randrange(1, 1 << 20)))
    if width == 8:
        number = rng.choice((number, 1 << 40, 1 << 62, (1 << 63) - 1, 1 << 63, -1))
    at = _place(data, rng, width)
    data[at : at + width] = struct.pack(form, number % (1 << 8 * width))


def set_digits(data: bytearray, other: bytes, rng: random.Random) -> None:
    """Write a number in digits, as tar headers and PNM files have them, over one that is there."""
    places = [i for i, byte in enumerate(data[:4096]) if byte in b"0123456789"]
    if places:
        at = rng.choice(places)
        digits = rng.choice((b"0", b"-1", b"7" * 11, b"9" * 20, b"2147483648", b"4294967295", b"1e9", b"\x80\xff"))
        data[at : at + len(digits)] = digits


def truncate(data: bytearray, other: bytes, rng: random.Random) -> None:
    del data[_place(data, rng) :]


def insert(data: bytearray, other: bytes, rng: random.Random) -> None:
    at = _place(data, rng)
    data[at:at] = rng.choice((rng.randbytes(rng.randrange(1, 9)), bytes(rng.choice((1, 4, 512))), b"\xff" * 4))


def delete(data: bytearray, other: bytes, rng: random.Random) -> None:
    at = _place(data, rng)
    del data[at : at + rng.choice((1, 2, 4, 512, rng.randrange(1, 600)))]


def duplicate(data: bytearray, other: bytes, rng: random.Random) -> None:
    at = _place(data, rng)
    data[at:at] = _piece(data, rng)


def overwrite(data: bytearray, other: bytes, rng: random.Random) -> None:
    """Write bytes from another place of the same input over others."""
    piece, at = _piece(data, rng), _place(data, rng)
    data[at : at + len(piece)] = piece


def splice(data: bytearray, other: bytes, rng: random.Random) -> None:
    """Put a piece of the other input in, or go on as it does."""
    at = _place(data, rng)
    if rng.random() < 0.5:
        data[at:at] = _piece(other, rng)
    else:
        data[at:] = other[at : at + LONGEST]


CHANGES: tuple[Change, ...] = (
    flip_bit, flip_bit, set_byte, set_byte, set_number, set_number, set_number, set_digits, truncate, insert, delete,
    duplicate, overwrite, splice,
)  # fmt: skip
