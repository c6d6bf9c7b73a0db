"""TIFF files of any layout, written by hand: depth, meaning, planes, compression, byte order, tiles and predictor."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

WHITE, BLACK, RGB, PALETTE, CMYK = 0, 1, 2, 3, 5
RAW, LZW, DEFLATE, PACKBITS = 1, 5, 8, 32773
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
WIDTH, HEIGHT = 37, 21


@dataclass(frozen=True)
class Tiff:
    """A layout; `samples` makes values that fit it and `data` the file."""

    bits: int = 8
    kind: int = UNSIGNED
    photometric: int = BLACK
    count: int = 1
    extra: tuple[int, ...] = ()
    is_planar: bool = False
    compression: int = RAW
    order: Literal["<", ">"] = "<"
    block: Literal["strip", "strips", "tiles"] = "strip"
    predictor: int = 1

    @property
    def name(self) -> str:
        words = [f"{'?uif'[self.kind]}{self.bits}", f"p{self.photometric}", f"{self.count}bands"]
        words += ["planes" if self.is_planar else "pixels", f"c{self.compression}", "II" if self.order == "<" else "MM"]
        return "-".join([*words, self.block, f"d{self.predictor}", *(f"x{number}" for number in self.extra)])

    def samples(self, seed: int = 7) -> npt.NDArray[Any]:
        """Return values over the whole range of the type, [HEIGHT, WIDTH, count]."""
        random = np.random.default_rng(seed)
        shape = (HEIGHT, WIDTH, self.count)
        if self.kind == FLOAT:
            return (random.integers(0, 256, shape) / 255).astype(f"f{self.bits // 8}")
        if self.kind == SIGNED or self.bits == 32:  # what is beyond 16 bits is refused
            return random.integers(0, 1 << min(self.bits - 1, 15), shape).astype(
                f"{'i' if self.kind == SIGNED else 'u'}{self.bits // 8}"
            )
        return random.integers(0, 1 << self.bits, shape).astype("u1" if self.bits <= 8 else "u2")

    def data(self, samples: npt.NDArray[Any], **tags: int | None) -> bytes:
        """Return a file with these samples; `t262=1` sets a tag after all others, `t262=None` leaves it out."""
        width, rows = {"strip": (WIDTH, HEIGHT), "strips": (WIDTH, 8), "tiles": (16, 16)}[self.block]
        planes = [samples[:, :, i : i + 1] for i in range(self.count)] if self.is_planar else [samples]
        blocks = [
            self._compressed(self._cut(plane, left, upper, width, rows))
            for plane in planes
            for upper in range(0, HEIGHT, rows)
            for left in range(0, WIDTH, width)
        ]
        place = 273 if self.block != "tiles" else 324
        sizes = (278, 279) if self.block != "tiles" else (322, 323, 325)
        entries: dict[int, tuple[int, ...]] = {
            256: (WIDTH,),
            257: (HEIGHT,),
            258: (self.bits,) * self.count,
            259: (self.compression,),
            262: (self.photometric,),
            277: (self.count,),
            284: (2 if self.is_planar else 1,),
            317: (self.predictor,),
            339: (self.kind,) * self.count,
            place: tuple(0 for _ in blocks),
            sizes[-1]: tuple(map(len, blocks)),
        }
        entries |= {278: (rows,)} if self.block != "tiles" else {322: (width,), 323: (rows,)}
        entries |= {338: self.extra} if self.extra else {}
        entries |= {320: tuple(np.arange(256) * 257) * 3} if self.photometric == PALETTE else {}
        given = {int(tag.lstrip("t")): (value,) for tag, value in tags.items() if value is not None}
        kept = {tag: values for tag, values in entries.items() if tags.get(f"t{tag}", 0) is not None}
        return _file(kept | given, place, blocks, self.order, given)

    def _cut(self, plane: npt.NDArray[Any], left: int, upper: int, width: int, rows: int) -> npt.NDArray[Any]:
        part = plane[upper : upper + rows, left : left + width]
        if self.block != "tiles":
            return part
        missing = ((0, rows - part.shape[0]), (0, width - part.shape[1]), (0, 0))
        return np.pad(part, missing)

    def _compressed(self, part: npt.NDArray[Any]) -> bytes:
        raw = self._differences(part)
        if self.compression == LZW:
            return lzw(raw)
        return {RAW: bytes, DEFLATE: zlib.compress, PACKBITS: packbits}[self.compression](raw)

    def _differences(self, part: npt.NDArray[Any]) -> bytes:
        rows, _, count = part.shape
        if self.predictor == 3:
            planes = part.astype(part.dtype.newbyteorder(">")).reshape(rows, -1, 1).view(np.uint8)
            lines = planes.transpose(0, 2, 1).reshape(rows, -1, count)
            return np.diff(lines, axis=1, prepend=np.zeros((rows, 1, count), np.uint8)).tobytes()
        if self.predictor == 2:
            numbers = part.view(f"u{part.dtype.itemsize}")
            part = np.diff(numbers, axis=1, prepend=np.zeros((rows, 1, count), numbers.dtype))
        if self.bits % 8:
            shifts = np.arange(self.bits - 1, -1, -1)
            bits = (part.reshape(rows, -1, 1) >> shifts & 1).astype(np.uint8)
            return np.packbits(bits.reshape(rows, -1), axis=1).tobytes()
        return part.astype(part.dtype.newbyteorder(self.order)).tobytes()


def _file(
    entries: dict[int, tuple[int, ...]], place: int, blocks: list[bytes], order: str, given: dict[int, tuple[int, ...]]
) -> bytes:
    def packed(values: tuple[int, ...]) -> bytes:
        return struct.pack(f"{order}{len(values)}I", *values)

    outside = 8 + 2 + 12 * len(entries) + 4
    apart = b""
    first = outside + sum(4 * len(values) for values in entries.values() if len(values) > 1)
    places = tuple(itertools.accumulate(map(len, blocks[:-1]), initial=first))
    directory = b""
    for tag, values in sorted({**entries, place: places, **given}.items()):
        value = packed(values)
        if len(values) > 1:
            value, apart = packed((outside + len(apart),)), apart + value
        directory += struct.pack(f"{order}HHI", tag, 4, len(values)) + value
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(entries))
    return head + directory + bytes(4) + apart + b"".join(blocks)


def packbits(raw: bytes) -> bytes:
    """Return bytes as PackBits has them, without runs but of what is 3 times or more the same."""
    coded = b""
    for value, same in itertools.groupby(raw):
        count = len(list(same))
        for first in range(0, count, 128):
            run = min(128, count - first)
            coded += bytes([0, value]) if run == 1 else bytes([257 - run, value])
    return coded


def lzw(raw: bytes) -> bytes:
    """Return bytes as LZW has them: each as its own code of 9 bits, cleared before codes grow."""
    codes: list[int] = []
    for first in range(0, len(raw), 200):
        codes += [256, *raw[first : first + 200]]
    bits = np.array([*codes, 257], np.uint16)[:, np.newaxis] >> np.arange(8, -1, -1) & 1
    return np.packbits(bits.astype(np.uint8).ravel()).tobytes()


DEPTHS = [
    *((bits, UNSIGNED) for bits in (1, 2, 4, 6, 8, 10, 12, 14, 16, 32)),
    *((bits, FLOAT) for bits in (16, 32, 64)),
    *((bits, SIGNED) for bits in (8, 16, 32)),
]
MEANINGS: list[tuple[int, int, tuple[int, ...]]] = [
    (WHITE, 1, ()),
    (BLACK, 1, ()),
    (BLACK, 2, (2,)),
    (BLACK, 2, (0,)),
    (BLACK, 3, (0, 0)),
    (BLACK, 4, (0, 0, 0)),
    (BLACK, 13, (0,) * 12),
    (RGB, 3, ()),
    (RGB, 4, (0,)),
    (RGB, 4, (2,)),
    (RGB, 5, (0, 0)),
    (CMYK, 4, ()),
    (PALETTE, 1, ()),
]


def matrix() -> Iterator[Tiff]:
    """Yield every combination that a TIFF may have of these, but predictors where none are defined."""
    ways = itertools.product(
        DEPTHS, MEANINGS, (False, True), (RAW, LZW, DEFLATE, PACKBITS), "<>", ("strip", "strips", "tiles"), (1, 2, 3)
    )
    for (bits, kind), (photometric, count, extra), is_planar, compression, order, block, predictor in ways:
        if predictor == 2 and (bits not in (8, 16, 32) or kind == FLOAT or compression not in (LZW, DEFLATE)):
            continue
        if predictor == 3 and (kind != FLOAT or compression not in (LZW, DEFLATE)):
            continue
        if photometric == PALETTE and (bits, kind) != (8, UNSIGNED):
            continue
        yield Tiff(bits, kind, photometric, count, extra, is_planar, compression, order, block, predictor)
