"""A corpus of bad and odd images: one row a kind, made by Pillow or by hand, never read from a file.

A kind's name is "FORMAT, fault". It says what row `pipeline.model.preprocess.preprocess` gives:
`ok` with the pixels that the image shows, or `failed` with a google.rpc code and a fragment of the message.
"""

from __future__ import annotations

import base64
import gzip
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pictures import (
    ALPHA,
    FINE,
    GREY,
    HEIGHT,
    INDICES,
    INKS,
    LOSSLESS,
    ONE_BIT,
    PALETTE,
    PICTURE,
    RAMP,
    SCALED,
    WIDTH,
    Pixels,
    chunk,
    cmyk,
    frames,
    grey_as_rgb,
    palette_image,
    png,
    saved,
    tiff,
    ycck_jpeg,
)
from PIL import Image

from pipeline.batches import Code
from pipeline.sources.names import is_image_name


@dataclass(frozen=True)
class Ok:
    """The image is scored.

    Attributes:
        rgb: the pixels it shows, uint8 [height, width, 3]; None where no reader could know.
        off: how far off each may be, for lossy codecs.
    """

    rgb: Pixels | None
    off: int = 0


@dataclass(frozen=True)
class Failed:
    """The image is a failed row of the stage "preprocess"."""

    message: str
    code: Code = "INVALID_ARGUMENT"


@dataclass(frozen=True)
class Kind:
    """Bytes, and the row that they give.

    Attributes:
        make: returns the file, the same every time.
        row: what becomes of it.
    """

    make: Callable[[], bytes]
    row: Ok | Failed


TOO_LARGE = Failed("is larger than --max_pixels", "RESOURCE_EXHAUSTED")
BROKEN = Failed("broken data stream")
SHOWN = Ok(PICTURE)
NEAR = Ok(PICTURE, 3)
NOT_AN_IMAGE = Failed("not a PNG, JPEG, GIF, TIFF, WebP, BMP, PNM, PFM, AVIF")
HUGE = 60_000
MIB = 1 << 20


def not_read(kind: str) -> Failed:
    """Return the row of an image of a kind that is known and not read."""
    return Failed(f"it is of the kind {kind}, whatever its name says", "UNIMPLEMENTED")


NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
"""Hardly to be compressed, so that a tenth of a file is a tenth of its pixels."""


def edited(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def inserted(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at:]


def flipped(data: bytes, at: int) -> bytes:
    return edited(data, at, bytes([data[at] ^ 0xFF]))


# JPEG: https://www.w3.org/Graphics/JPEG/itu-t81.pdf

SOF, DHT, EOI, SOS, DQT, APP1, APP2 = 0xC0, 0xC4, 0xD9, 0xDA, 0xDB, 0xE1, 0xE2


def jpeg(**how: Any) -> bytes:
    return saved(PICTURE, "JPEG", **FINE, **how)


def segment(data: bytes, marker: int) -> slice:
    """Return where a marker's first segment lies, from its 0xFF to its end."""
    start = data.index(bytes([0xFF, marker]))
    (length,) = struct.unpack_from(">H", data, start + 2)
    return slice(start, start + 2 + length)


def changed(marker: int, offset: int, new: bytes) -> bytes:
    """Return a JPEG with bytes changed in a segment, counted from its 0xFF."""
    data = jpeg()
    return edited(data, segment(data, marker).start + offset, new)


def without(marker: int) -> bytes:
    data = jpeg()
    while bytes([0xFF, marker]) in data:
        found = segment(data, marker)
        data = data[: found.start] + data[found.stop :]
    return data


def with_segment(marker: int, *contents: bytes) -> bytes:
    segments = [struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content for content in contents]
    return inserted(jpeg(), 2, b"".join(segments))


def in_scan(offset: int, new: bytes, **how: Any) -> bytes:
    data = jpeg(**how)
    return edited(data, segment(data, SOS).stop + offset, new)


def ended_early(**how: Any) -> bytes:
    data = saved(NOISE, "JPEG", **how)
    return data[:-42] + data[-2:]


def arithmetic_coded() -> bytes:
    """Return an 8 x 8 JPEG of SOF9, all of it 184: its two bytes were searched for with libjpeg."""
    quantization = b"\xff\xdb" + struct.pack(">HB", 67, 0) + b"\x08" * 64
    frame = b"\xff\xc9" + struct.pack(">HBHHB3B", 11, 8, 8, 8, 1, 1, 0x11, 0)
    return b"\xff\xd8" + quantization + frame + b"\xff\xda" + struct.pack(">HB2B3B", 8, 1, 1, 0, 0, 63, 0) + ARITHMETIC


ARITHMETIC = b"\xd2\x94\xff\xd9"


def interval_lost() -> bytes:
    data = jpeg(restart_marker_blocks=1)
    return data[: data.index(b"\xff\xd1")] + data[data.index(b"\xff\xd2") :]


# EXIF: https://www.cipa.jp/std/documents/e/DC-008-Translation-2023-E.pdf


def exif(*entries: tuple[int, int, int, int], after: int = 0, padding: int = 0) -> bytes:
    """Return a little-endian TIFF header and one directory of (tag, type, count, value)."""
    return (
        struct.pack("<2sHIH", b"II", 42, 8, len(entries))
        + b"".join(struct.pack("<HHII", *entry) for entry in entries)
        + struct.pack("<I", after)
        + bytes(padding)
    )


UPSIDE_DOWN = (0x0112, 3, 1, 3)
POINTS_AT_ITSELF = exif(UPSIDE_DOWN, (0x8769, 4, 1, 8), (0x8825, 4, 1, 8), after=8)
ALIASED = exif(*[(1000 + i, 7, MIB, 8) for i in range(2000)], padding=MIB)
"""2,000 tags of a megabyte each, all of them the same megabyte."""


# PNG: https://www.w3.org/TR/png-3/

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ROWS = b"".join(b"\0" + row.tobytes() for row in PICTURE)
PIXEL_DATA = zlib.compress(ROWS)


def png_of(
    data: bytes = PIXEL_DATA,
    *chunks: bytes,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    depth: int = 8,
    color: int = 2,
    after: Sequence[bytes] = (),
) -> bytes:
    """Return a PNG file whose parts need not fit each other."""
    header = struct.pack(">IIBBBBB", *size, depth, color, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", data), *after, chunk(b"IEND", b"")]
    return SIGNATURE + b"".join(parts)


def bad_sum(data: bytes, kind: bytes) -> bytes:
    """Return a PNG whose chunk of a kind has a wrong check sum."""
    at = data.index(kind)
    (length,) = struct.unpack_from(">I", data, at - 4)
    return flipped(data, at + 4 + length)


def packed(values: Pixels, depth: int) -> bytes:
    """Return a PNG's compressed rows of values of 1, 2 or 4 bits."""
    bits = (values[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    rows = np.packbits(bits.reshape(len(values), -1).astype(np.uint8), axis=1)
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))


def small_palette(depth: int) -> bytes:
    return png_of(packed(INDICES, depth), chunk(b"PLTE", PALETTE.tobytes()), depth=depth, color=3)


def animated_png(frame: tuple[int, int], disposal: int) -> bytes:
    control = struct.pack(">IIIIIHHBB", 0, *frame, 0, 0, 1, 1, disposal, 0)
    return png_of(
        PIXEL_DATA, chunk(b"acTL", struct.pack(">II", 2, 0)), chunk(b"fcTL", control), size=frame
    )  # fmt: skip


ZEROS = zlib.compress(bytes(32 * MIB))
PROFILE = b"icc\0\0" + zlib.compress(b"no profile")


# GIF: https://www.w3.org/Graphics/GIF/spec-gif89a.txt


def gif(**how: Any) -> bytes:
    return saved(palette_image(), "GIF", **how)


FRAME = struct.pack("<cHHHH", b",", 0, 0, WIDTH, HEIGHT)


def gif_of(canvas: tuple[int, int], frame: tuple[int, int], disposal: int = 0) -> bytes:
    """Return a GIF with another canvas and frame than its pixels fill."""
    data = gif()
    at = data.index(FRAME)
    control = struct.pack("<BBBBHBB", 0x21, 0xF9, 4, disposal << 2, 0, 0, 0) if disposal else b""
    data = data[:at] + control + struct.pack("<cHHHH", b",", 0, 0, *frame) + data[at + len(FRAME) :]
    return edited(data, 6, struct.pack("<HH", *canvas))


def gif_data(offset: int, new: bytes) -> bytes:
    """Return a GIF with bytes changed behind its frame's header: code size, length of a block, block."""
    return edited(gif(), gif().index(FRAME) + len(FRAME) + 1 + offset, new)


# TIFF: https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf

WIDE, HIGH, BITS, COMPRESSION, OFFSETS, SAMPLES, STRIP, SIZES, PLANES, COLORS = (
    256, 257, 258, 259, 273, 277, 278, 279, 284, 320
)  # fmt: skip


def tagged(data: bytes, tag: int, value: int, count: int = 1, kind: int = 4) -> bytes:
    """Return a little-endian TIFF with one of its tags changed."""
    (at,) = struct.unpack_from("<I", data, 4)
    (n,) = struct.unpack_from("<H", data, at)
    (entry,) = (i for i in range(at + 2, at + 2 + 12 * n, 12) if struct.unpack_from("<H", data, i) == (tag,))
    return edited(data, entry + 2, struct.pack("<HII", kind, count, value))


def strips(offsets: Sequence[int], planes: int = 1, rows: int = HEIGHT) -> bytes:
    """Return an RGB TIFF of strips that lie at offsets behind the directory; stored nowhere where an offset is -1."""
    entries = {
        WIDE: (4, 1, WIDTH),
        HIGH: (4, 1, HEIGHT),
        BITS: (3, 1, 8),
        COMPRESSION: (3, 1, 1),
        262: (3, 1, 2),
        OFFSETS: (4, len(offsets), 0),
        SAMPLES: (3, 1, 3),
        STRIP: (4, 1, rows),
        PLANES: (3, 1, planes),
    }
    start = 8 + 2 + 12 * len(entries) + 4
    places = [0 if offset < 0 else start + 4 * len(offsets) + offset for offset in offsets]
    entries[OFFSETS] = (4, len(offsets), start if len(offsets) > 1 else places[0])
    head = exif(*((tag, *entry) for tag, entry in entries.items()))
    pixels = PICTURE if planes == 1 else PICTURE.transpose(2, 0, 1)
    return head + (struct.pack(f"<{len(places)}I", *places) if len(places) > 1 else bytes(4)) + pixels.tobytes()


def compressed_tiff(compression: str) -> bytes:
    return saved(PICTURE, "TIFF", compression=compression)


ROW_BYTES = WIDTH * 3
FLOATS = GREY.astype(np.float32) / 255
NAN_AT_ONE = np.where(np.arange(GREY.size).reshape(GREY.shape) == 5, np.nan, FLOATS).astype(np.float32)


def aliased_tiff() -> bytes:
    """Return a TIFF with 2,000 tags that share a megabyte."""
    n = 2000
    fields = [struct.unpack_from("<HHII", tiff(GREY), 10 + 12 * i) for i in range(9 + 1)]
    start = 8 + 2 + 12 * (len(fields) + n) + 4
    kept = [(tag, kind, count, start if tag == OFFSETS else value) for tag, kind, count, value in fields]
    return exif(*kept, *((50_000 + i, 7, MIB, 8) for i in range(n))) + GREY.tobytes() + bytes(MIB)


# WebP: https://developers.google.com/speed/webp/docs/riff_container


def webp(pixels: Pixels = PICTURE, **how: Any) -> bytes:
    return saved(pixels, "WEBP", exact=True, **LOSSLESS, **how)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def extended(flags: int, size: tuple[int, int], *chunks: tuple[bytes, bytes]) -> bytes:
    """Return a WebP of the extended format with a canvas of that size around the picture."""
    sides = b"".join(struct.pack("<I", side - 1)[:3] for side in size)
    return riff((b"VP8X", bytes([flags, 0, 0, 0]) + sides), *chunks)


def picture_chunk() -> tuple[bytes, bytes]:
    data = webp()
    return data[12:16], data[20:]


def animated_webp(canvas: tuple[int, int]) -> bytes:
    kind, data = picture_chunk()
    inner = kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
    sides = b"".join(struct.pack("<I", side - 1)[:3] for side in (WIDTH, HEIGHT))
    frame = bytes(6) + sides + struct.pack("<I", 100)[:3] + b"\0" + inner
    return extended(2, canvas, (b"ANIM", bytes(6)), (b"ANMF", frame))


# BMP: https://learn.microsoft.com/windows/win32/gdi/bitmap-storage


def bmp(
    data: bytes,
    bits: int = 24,
    compression: int = 0,
    palette: bytes = b"",
    size: tuple[int, int] = (WIDTH, HEIGHT),
    header: int = 40,
) -> bytes:
    """Return a BMP file; its rows run upward."""
    if header == 12:
        info = struct.pack("<IHHHH", header, *size, 1, bits)
    else:
        info = struct.pack("<IiiHHIIIIII", header, *size, 1, bits, compression, len(data), 0, 0, len(palette) // 4, 0)
        info += bytes(max(0, header - 40))
    start = 14 + len(info) + len(palette)
    return struct.pack("<2sIII", b"BM", start + len(data), 0, start) + info + palette + data


UPWARD = PICTURE[::-1, :, ::-1].tobytes()
BMP_PALETTE = b"".join(bytes([b, g, r, 0]) for r, g, b in PALETTE.tolist())
CORE_PALETTE = b"".join(bytes([b, g, r]) for r, g, b in PALETTE.tolist())
RUNS = b"".join(bytes([8, left, 8, right, 0, 0]) for left, right in INDICES[::-1, ::8].tolist())
RUNS_4 = b"".join(bytes([8, left * 17, 8, right * 17, 0, 0]) for left, right in INDICES[::-1, ::8].tolist())
FIVE_BITS = (PICTURE.astype(np.uint16) >> 3) @ np.array([1 << 10, 1 << 5, 1], np.uint16)
FROM_FIVE_BITS = ((PICTURE.astype(int) >> 3) * 255 // 31).astype(np.uint8)


# PGM and PPM: https://netpbm.sourceforge.net/doc/ppm.html


def pnm(head: str, pixels: Pixels | bytes = PICTURE) -> bytes:
    return head.encode() + (pixels if isinstance(pixels, bytes) else pixels.tobytes())


SIZE = f"{WIDTH} {HEIGHT}"
WORDS = RAMP.astype(">u2")


# Cut short

WHOLE: dict[str, tuple[Callable[[], bytes], str]] = {
    "JPEG": (lambda: saved(NOISE, "JPEG"), ""),
    "JPEG progressive": (lambda: saved(NOISE, "JPEG", progressive=True), ""),  # depends on whether a table is cut
    "PNG": (lambda: saved(NOISE, "PNG"), "image file is truncated"),
    "GIF": (lambda: saved(NOISE[..., 0], "GIF"), ""),  # as does this: palette, frame's header, data
    "TIFF": (lambda: saved(NOISE, "TIFF"), "image file is truncated"),
    "TIFF LZW": (
        lambda: saved(NOISE, "TIFF", compression="tiff_lzw"),
        "the directory of tags is",
    ),  # tags are at the end
    "WebP": (lambda: saved(NOISE, "WEBP"), "could not create decoder object"),
    "BMP": (lambda: saved(NOISE, "BMP"), "image file is truncated"),
    "PPM": (lambda: saved(NOISE, "PPM"), "image file is truncated"),
}


def cut(whole: Callable[[], bytes], tenths: int) -> Callable[[], bytes]:
    return lambda: whole()[: len(whole()) * tenths // 10]


CUT_SHORT = {
    f"{form}, cut after {tenths} tenths": Kind(cut(whole, tenths), Failed(message))
    for form, (whole, message) in WHOLE.items()
    for tenths in range(1, 10)
}
"""Never scored as what is there, filled up with grey."""


# What is not an image of a supported format

OTHERS = {
    "Nothing, zero bytes": Kind(lambda: b"", Failed("empty file")),
    "Nothing, one byte": Kind(lambda: b"\xff", NOT_AN_IMAGE),
    "Nothing, a kilobyte of zeros": Kind(lambda: bytes(1000), NOT_AN_IMAGE),
    "Nothing, a signature only of JPEG": Kind(lambda: b"\xff\xd8\xff", Failed("a buffer of")),
    "Nothing, a signature only of PNG": Kind(lambda: SIGNATURE, Failed("a buffer of")),
    "Nothing, a signature only of GIF": Kind(lambda: b"GIF89a", Failed("a buffer of")),
    "Nothing, a signature only of TIFF": Kind(lambda: b"II*\0", Failed("a buffer of")),
    "Nothing, a signature only of WebP": Kind(lambda: b"RIFF\0\0\0\0WEBP", Failed("not a WEBP file")),
    "Nothing, a signature only of BMP": Kind(lambda: b"BM", Failed("a buffer of")),
    "Nothing, a signature only of PPM": Kind(lambda: b"P6", Failed("Reached EOF")),
    "Text, HTML": Kind(lambda: b"<!DOCTYPE html><html><title>404 Not Found</title></html>", NOT_AN_IMAGE),
    "Text, XML of a store's error": Kind(
        lambda: b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", NOT_AN_IMAGE
    ),
    "Text, SVG": Kind(lambda: b"<svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'/>", not_read("SVG")),
    "Text, base64 of a JPEG": Kind(lambda: base64.b64encode(jpeg()), NOT_AN_IMAGE),
    "Text, a pointer of Git LFS": Kind(
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:00",
        Failed("it is a pointer of Git LFS to an image", "INVALID_ARGUMENT"),
    ),
    "Text, UTF-16": Kind(lambda: "\ufeffimage".encode("utf-16-le"), NOT_AN_IMAGE),
    "Other, PDF": Kind(lambda: b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n", NOT_AN_IMAGE),
    "Other, JPEG XL": Kind(lambda: b"\xff\x0a" + bytes(100), not_read("JPEG XL")),
    "Other, ICO": Kind(lambda: saved(PICTURE, "ICO", sizes=[(16, 16)]), NOT_AN_IMAGE),
    "Other, TGA": Kind(lambda: saved(PICTURE, "TGA"), NOT_AN_IMAGE),
    "Other, PCX": Kind(lambda: saved(PICTURE, "PCX"), NOT_AN_IMAGE),
    "Other, gzip of a PNG": Kind(lambda: gzip.compress(png(PICTURE, 2), mtime=0), NOT_AN_IMAGE),
    "JPEG, named .png": Kind(lambda: jpeg(), NEAR),
    "PNG, named .jpg": Kind(lambda: png(PICTURE, 2), SHOWN),
    "PNG, through a text mode": Kind(lambda: png(PICTURE, 2).replace(b"\r\n", b"\n"), NOT_AN_IMAGE),
    "JPEG, behind a newline": Kind(lambda: b"\n" + jpeg(), NOT_AN_IMAGE),
    "PNG, behind a byte order mark": Kind(lambda: b"\xef\xbb\xbf" + png(PICTURE, 2), NOT_AN_IMAGE),
}

JPEGS = {
    "JPEG, grey": Kind(lambda: saved(GREY, "JPEG", quality=100), Ok(grey_as_rgb(GREY), 2)),
    "JPEG, progressive": Kind(lambda: jpeg(progressive=True), NEAR),
    "JPEG, CMYK": Kind(
        lambda: saved(Image.frombytes("CMYK", (WIDTH, HEIGHT), INKS.tobytes()), "JPEG", **FINE), Ok(cmyk(INKS), 4)
    ),
    "JPEG, YCCK": Kind(ycck_jpeg, Ok(cmyk(INKS), 5)),
    "JPEG, arithmetic-coded": Kind(arithmetic_coded, Ok(np.full((8, 8, 3), 184, np.uint8))),
    "JPEG, of 12 bits": Kind(lambda: changed(SOF, 4, b"\x0c"), Failed("cannot handle 12-bit layers")),
    "JPEG, of 2 components": Kind(lambda: changed(SOF, 9, b"\x02"), Failed("cannot handle 2-layer images")),
    "JPEG, lossless": Kind(lambda: changed(SOF, 1, b"\xc3"), BROKEN),
    "JPEG, hierarchical": Kind(lambda: changed(SOF, 1, b"\xc5"), BROKEN),
    "JPEG, height 0": Kind(lambda: changed(SOF, 5, b"\0\0"), Failed("not identified by this driver")),
    "JPEG, width 0": Kind(lambda: changed(SOF, 7, b"\0\0"), Failed("not identified by this driver")),
    "JPEG, frame of another kind than its data": Kind(lambda: changed(SOF, 1, b"\xc2"), BROKEN),
    "JPEG, frame's length 0": Kind(lambda: changed(SOF, 2, b"\0\0"), Failed("requires a buffer")),
    "JPEG, frame's sampling 0": Kind(lambda: changed(SOF, 11, b"\0"), BROKEN),
    "JPEG, frame's table unknown": Kind(lambda: changed(SOF, 12, b"\3"), BROKEN),
    "JPEG, no frame": Kind(lambda: without(SOF), Failed("not identified by this driver")),
    "JPEG, scan's component unknown": Kind(lambda: changed(SOS, 5, b"\x09"), BROKEN),
    "JPEG, scan's Huffman table unknown": Kind(lambda: changed(SOS, 6, b"\x33"), BROKEN),
    "JPEG, scan's length 3": Kind(lambda: changed(SOS, 2, b"\0\3"), BROKEN),
    "JPEG, no scan": Kind(lambda: jpeg()[: segment(jpeg(), SOS).start] + b"\xff\xd9", Failed("index out of range")),
    "JPEG, Huffman table of too many codes": Kind(lambda: changed(DHT, 5, b"\xff" * 16), BROKEN),
    "JPEG, Huffman table's length 5": Kind(lambda: changed(DHT, 2, b"\0\5"), BROKEN),
    "JPEG, no Huffman tables": Kind(lambda: without(DHT), NEAR),  # as in Motion JPEG: those of the standard's Annex K
    "JPEG, quantization table's length 16": Kind(lambda: changed(DQT, 2, b"\0\x10"), Failed("bad quantization table")),
    "JPEG, no quantization tables": Kind(lambda: without(DQT), BROKEN),
    "JPEG, no end": Kind(lambda: jpeg()[:-2], Failed("Premature end of JPEG file")),
    "JPEG, half an end": Kind(lambda: jpeg()[:-1], Failed("Premature end of JPEG file")),
    "JPEG, junk between segments": Kind(lambda: inserted(jpeg(), segment(jpeg(), DHT).start, b"junk"), NEAR),
    "JPEG, fill bytes between segments": Kind(lambda: inserted(jpeg(), segment(jpeg(), DHT).start, b"\xff" * 9), NEAR),
    "JPEG, a marker in the scan": Kind(lambda: in_scan(40, b"\xff\xc0\xff\xfe"), BROKEN),
    # libjpeg fills what is missing with grey and warns, which Pillow does not pass on.
    "JPEG, ended in the scan": Kind(ended_early, Failed("premature end of data")),
    "JPEG, ended in the last of the progressive scans": Kind(
        lambda: ended_early(progressive=True), Failed("premature end of data")
    ),
    "JPEG, zeros in the scan": Kind(lambda: in_scan(5, bytes(20)), Failed("premature end of data")),
    "JPEG, a restart interval lost": Kind(lambda: interval_lost(), Failed("instead of RST1")),
    "JPEG, zeros in a quantization table": Kind(lambda: changed(DQT, 5, bytes(64)), Ok(None)),
    "JPEG, frame arithmetic and data not": Kind(lambda: changed(SOF, 1, b"\xc9"), Ok(None)),
    "JPEG, junk behind it": Kind(lambda: jpeg() + b"junk" * 1000, NEAR),
    "JPEG, another behind it": Kind(lambda: jpeg() + saved(255 - PICTURE, "JPEG"), NEAR),
    "JPEG, two pictures of a camera": Kind(
        lambda: saved(PICTURE, "MPO", save_all=True, append_images=[Image.fromarray(255 - PICTURE)], **FINE), NEAR
    ),
    "JPEG, claims 60,000 x 60,000": Kind(lambda: changed(SOF, 5, struct.pack(">HH", HUGE, HUGE)), TOO_LARGE),
    "JPEG, 65,000 wide": Kind(
        lambda: saved(np.full((1, 65_000, 3), 99, np.uint8), "JPEG"), Ok(np.full((1, 65_000, 3), 99, np.uint8))
    ),
    "JPEG, broken EXIF": Kind(lambda: with_segment(APP1, b"Exif\0\0II*\0\xff\xff\xff\x7f"), NEAR),
    "JPEG, EXIF without a directory": Kind(lambda: with_segment(APP1, b"Exif\0\0"), NEAR),
    "JPEG, EXIF that points at itself": Kind(
        lambda: with_segment(APP1, b"Exif\0\0" + POINTS_AT_ITSELF), Ok(PICTURE[::-1, ::-1], 3)
    ),
    "JPEG, EXIF of 2**32 - 1 orientations": Kind(
        lambda: with_segment(APP1, b"Exif\0\0" + exif((0x0112, 3, 2**32 - 1, 3))), NEAR
    ),
    "JPEG, EXIF of 2,000 tags that share a megabyte": Kind(
        lambda: with_segment(APP1, *(b"Exif\0\0" + ALIASED[i : i + 65_000] for i in range(0, len(ALIASED), 65_000))),
        NEAR,
    ),
    "JPEG, broken XMP": Kind(lambda: with_segment(APP1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta"), NEAR),
    "JPEG, broken ICC profile": Kind(lambda: with_segment(APP2, b"ICC_PROFILE\0\1\1no profile"), NEAR),
    "JPEG, an ICC profile's second part only": Kind(lambda: with_segment(APP2, b"ICC_PROFILE\0\2\2no profile"), NEAR),
    "JPEG, an ICC profile cut off": Kind(lambda: with_segment(APP2, b"ICC_PROFILE\0"), Failed("index out of range")),
    "JPEG, an empty Adobe segment": Kind(lambda: with_segment(0xEE, b"Adobe"), Failed("unpack_from")),
    "JPEG, a comment of 64 kB": Kind(lambda: with_segment(0xFE, bytes(65_533)), NEAR),
    "JPEG, a comment's length 1": Kind(lambda: inserted(jpeg(), 2, b"\xff\xfe\0\1"), NEAR),
}

PNGS = {
    "PNG, 1 bit": Kind(lambda: png_of(packed(ONE_BIT, 1), depth=1, color=0), Ok(grey_as_rgb(ONE_BIT * 255))),
    "PNG, grey of 2 bits": Kind(
        lambda: png_of(packed(INDICES % 4, 2), depth=2, color=0), Ok(grey_as_rgb(INDICES % 4 * 85))
    ),
    "PNG, grey of 4 bits": Kind(lambda: png_of(packed(INDICES, 4), depth=4, color=0), Ok(grey_as_rgb(INDICES * 17))),
    "PNG, grey of 16 bits": Kind(lambda: png(RAMP, 0), Ok(grey_as_rgb(SCALED))),
    "PNG, RGB of 16 bits": Kind(lambda: png(PICTURE.astype(np.uint16) * 257, 2), SHOWN),
    "PNG, grey and alpha": Kind(lambda: png(np.dstack([GREY, ALPHA]), 4), Ok(grey_as_rgb(GREY))),
    "PNG, RGB and alpha": Kind(lambda: png(np.dstack([PICTURE, ALPHA]), 6), SHOWN),
    "PNG, grey and alpha of 16 bits": Kind(
        lambda: png(np.dstack([GREY, ALPHA]).astype(np.uint16) * 257, 4), Ok(grey_as_rgb(GREY))
    ),
    "PNG, palette of 1 bit": Kind(
        lambda: png_of(packed(ONE_BIT, 1), chunk(b"PLTE", PALETTE[:2].tobytes()), depth=1, color=3),
        Ok(PALETTE[ONE_BIT]),
    ),
    "PNG, palette of 2 bits": Kind(
        lambda: png_of(packed(INDICES % 4, 2), chunk(b"PLTE", PALETTE[:4].tobytes()), depth=2, color=3),
        Ok(PALETTE[INDICES % 4]),
    ),
    "PNG, palette of 4 bits": Kind(lambda: small_palette(4), SHOWN),
    "PNG, palette of 8 bits": Kind(lambda: saved(palette_image(), "PNG"), SHOWN),
    "PNG, palette with a transparent color": Kind(lambda: saved(palette_image(), "PNG", transparency=2), SHOWN),
    "PNG, palette with alpha": Kind(lambda: saved(palette_image(), "PNG", transparency=b"\0\x40\x80\xff\1\2"), SHOWN),
    "PNG, more alpha than palette": Kind(lambda: saved(palette_image(), "PNG", transparency=bytes(256)), SHOWN),
    "PNG, RGB with a transparent color": Kind(lambda: png(PICTURE, 2, False, chunk(b"tRNS", bytes(6))), SHOWN),
    "PNG, no palette": Kind(lambda: png_of(packed(INDICES, 8), color=3), Failed("palette")),
    "PNG, palette shorter than its indices": Kind(
        lambda: png_of(packed(INDICES, 8), chunk(b"PLTE", PALETTE[:3].tobytes()), color=3),
        Ok(np.concatenate([PALETTE[:3], np.zeros((3, 3), np.uint8)])[INDICES]),  # black, as in browsers
    ),
    "PNG, interlaced": Kind(lambda: png(PICTURE, 2, True), SHOWN),
    "PNG, interlaced and 1 x 1": Kind(lambda: png(PICTURE[:1, :1], 2, True), Ok(PICTURE[:1, :1])),
    "PNG, animated": Kind(lambda: frames("PNG"), SHOWN),
    "PNG, animation of no frames": Kind(lambda: png_of(PIXEL_DATA, chunk(b"acTL", bytes(8))), SHOWN),
    "PNG, animation's frame outside": Kind(
        lambda: png_of(
            PIXEL_DATA,
            chunk(b"acTL", struct.pack(">II", 2, 0)),
            chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, WIDTH, HEIGHT, 1, 1, 1, 1, 0, 0)),
        ),
        Failed("APNG contains invalid frames"),
    ),
    "PNG, 1 x 300": Kind(lambda: png(RAMP.reshape(-1, 1)[:300], 0), Ok(grey_as_rgb(SCALED.reshape(-1, 1)[:300]))),
    "PNG, 300 x 1": Kind(lambda: png(RAMP.reshape(1, -1)[:, :300], 0), Ok(grey_as_rgb(SCALED.reshape(1, -1)[:, :300]))),
    "PNG, 65,000 wide": Kind(
        lambda: png(np.full((1, 65_000), 99, np.uint8), 0), Ok(np.full((1, 65_000, 3), 99, np.uint8))
    ),
    "PNG, 65,000 high": Kind(
        lambda: png(np.full((65_000, 1), 99, np.uint8), 0), Ok(np.full((65_000, 1, 3), 99, np.uint8))
    ),
    "PNG, width 0": Kind(lambda: png_of(size=(0, HEIGHT)), Failed("not identified by this driver")),
    "PNG, depth 3": Kind(lambda: png_of(depth=3), Failed("not identified by this driver")),
    "PNG, color type 5": Kind(lambda: png_of(color=5), Failed("not identified by this driver")),
    "PNG, filter 9": Kind(lambda: png_of(zlib.compress(b"\x09" + ROWS[1:])), Failed("unrecognized data stream")),
    "PNG, header's sum wrong": Kind(lambda: bad_sum(png_of(), b"IHDR"), Failed("bad header checksum in b'IHDR'")),
    "PNG, palette's sum wrong": Kind(
        lambda: bad_sum(small_palette(8), b"PLTE"), Failed("bad header checksum in b'PLTE'")
    ),
    "PNG, data's sum wrong": Kind(
        lambda: bad_sum(png_of(), b"IDAT"), SHOWN
    ),  # zlib's own sum holds: the pixels are right
    "PNG, end's sum wrong": Kind(lambda: bad_sum(png_of(), b"IEND"), SHOWN),
    "PNG, text's sum wrong": Kind(
        lambda: bad_sum(png_of(PIXEL_DATA, chunk(b"tEXt", b"a\0b")), b"tEXt"), Failed("bad header checksum in b'tEXt'")
    ),
    "PNG, zlib's header damaged": Kind(lambda: png_of(flipped(PIXEL_DATA, 0)), BROKEN),
    "PNG, zlib's stream damaged": Kind(lambda: png_of(flipped(PIXEL_DATA, 20)), BROKEN),
    "PNG, a stored byte damaged": Kind(lambda: png_of(flipped(zlib.compress(ROWS, 0), 100)), BROKEN),
    "PNG, zlib's sum wrong": Kind(lambda: png_of(flipped(PIXEL_DATA, -1 % len(PIXEL_DATA))), BROKEN),
    "PNG, zlib's sum missing": Kind(lambda: png_of(PIXEL_DATA[:-4]), SHOWN),
    # Pillow takes the end of zlib's stream for the image's end, if it comes behind a whole row; the rest stays black.
    "PNG, a row missing": Kind(lambda: png_of(zlib.compress(ROWS[: -ROW_BYTES - 1])), Ok(None)),
    "PNG, a row too many": Kind(lambda: png_of(zlib.compress(ROWS + ROWS[: ROW_BYTES + 1])), SHOWN),
    "PNG, data of many chunks": Kind(
        lambda: png_of(PIXEL_DATA[:9], after=[chunk(b"IDAT", bytes([b])) for b in PIXEL_DATA[9:]]), SHOWN
    ),
    "PNG, a chunk of data lost": Kind(lambda: png_of(PIXEL_DATA[:9], after=[chunk(b"IDAT", PIXEL_DATA[20:])]), BROKEN),
    "PNG, a chunk's length 2**31": Kind(lambda: edited(png_of(), 33, b"\x80\0\0\0"), SHOWN),
    "PNG, no data": Kind(lambda: png_of()[:33] + png_of()[-12:], Failed("cannot load this image")),
    "PNG, no end": Kind(lambda: png_of()[:-12], SHOWN),  # every pixel is there, and zlib's sum holds
    "PNG, half an end": Kind(lambda: png_of()[:-6], SHOWN),
    "PNG, no header": Kind(lambda: SIGNATURE + png_of()[33:], Failed("not identified by this driver")),
    "PNG, junk behind it": Kind(lambda: png_of() + b"junk" * 1000, SHOWN),
    "PNG, another behind it": Kind(lambda: png_of() + png(255 - PICTURE, 2), SHOWN),
    "PNG, claims 60,000 x 60,000": Kind(lambda: png_of(size=(HUGE, HUGE)), TOO_LARGE),
    "PNG, claims 2**31 - 1 x 2**31 - 1": Kind(lambda: png_of(size=(2**31 - 1, 2**31 - 1)), TOO_LARGE),
    "PNG, claims 60,000 x 60,000 in a second header": Kind(
        lambda: png_of(PIXEL_DATA, chunk(b"IHDR", struct.pack(">IIBBBBB", HUGE, HUGE, 8, 2, 0, 0, 0))), TOO_LARGE
    ),
    "PNG, animated, claims 20,000 x 20,000 and is wiped": Kind(
        lambda: animated_png((20_000, 20_000), disposal=1), TOO_LARGE
    ),
    "PNG, inflates to 32 MiB behind its pixels": Kind(lambda: png_of(zlib.compress(ROWS + bytes(32 * MIB))), SHOWN),
    "PNG, a zTXt bomb": Kind(
        lambda: png_of(PIXEL_DATA, chunk(b"zTXt", b"a\0\0" + ZEROS)), Failed("Decompressed data too large")
    ),
    "PNG, an iTXt bomb": Kind(
        lambda: png_of(PIXEL_DATA, chunk(b"iTXt", b"a\0\1\0\0\0" + ZEROS)), Failed("Decompressed data too large")
    ),
    "PNG, an iCCP bomb": Kind(
        lambda: png_of(PIXEL_DATA, chunk(b"iCCP", b"a\0\0" + ZEROS)), Failed("Decompressed data too large")
    ),
    "PNG, a zTXt bomb behind its pixels": Kind(
        lambda: png_of(after=[chunk(b"zTXt", b"a\0\0" + ZEROS)]), Failed("Decompressed data too large")
    ),
    "PNG, broken zTXt": Kind(lambda: png_of(PIXEL_DATA, chunk(b"zTXt", b"a\0\0no zlib")), SHOWN),
    "PNG, broken ICC profile": Kind(lambda: png_of(PIXEL_DATA, chunk(b"iCCP", PROFILE)), SHOWN),
    "PNG, ICC profile that is no zlib": Kind(lambda: png_of(PIXEL_DATA, chunk(b"iCCP", b"a\0\0no zlib")), SHOWN),
    "PNG, broken EXIF": Kind(lambda: png_of(PIXEL_DATA, chunk(b"eXIf", b"II*\0\xff\xff\xff\x7f")), SHOWN),
    "PNG, EXIF that points at itself": Kind(
        lambda: png_of(PIXEL_DATA, chunk(b"eXIf", POINTS_AT_ITSELF)), Ok(PICTURE[::-1, ::-1])
    ),
    "PNG, EXIF of 2,000 tags that share a megabyte": Kind(lambda: png_of(PIXEL_DATA, chunk(b"eXIf", ALIASED)), SHOWN),
    "PNG, old EXIF of 2,000 tags that share a megabyte": Kind(
        lambda: png_of(
            PIXEL_DATA,
            chunk(
                b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n0\n" + ALIASED[:480_000].hex().encode())
            ),
        ),
        SHOWN,
    ),
}

GIFS = {
    "GIF, interlaced": Kind(lambda: gif(interlace=1), SHOWN),
    "GIF, not interlaced": Kind(lambda: gif(interlace=0), SHOWN),
    "GIF, a transparent color": Kind(lambda: gif(transparency=2), SHOWN),
    "GIF, animated": Kind(lambda: frames("GIF"), SHOWN),
    "GIF, grey": Kind(lambda: saved(GREY, "GIF"), Ok(grey_as_rgb(GREY))),
    "GIF, no end": Kind(lambda: gif()[:-1], SHOWN),  # every pixel is there
    "GIF, no frame": Kind(lambda: gif()[: gif().index(FRAME)] + b";", Failed("no more images")),
    "GIF, data ended early": Kind(lambda: gif()[: gif().index(FRAME) + 16] + b"\0;", Failed("truncated")),
    "GIF, code size 13": Kind(lambda: gif_data(0, b"\x0d"), Failed("codec configuration error")),
    "GIF, code size 0": Kind(lambda: gif_data(0, b"\0"), Ok(None)),  # a damaged byte like any other: nothing sums it
    "GIF, data damaged": Kind(lambda: gif_data(10, b"\xff\xff\xff"), Failed("broken data stream")),
    "GIF, frame larger than its canvas": Kind(lambda: gif_of((4, 4), (WIDTH, HEIGHT)), SHOWN),
    "GIF, frame smaller than its canvas": Kind(
        lambda: gif_of((WIDTH + 2, HEIGHT), (WIDTH, HEIGHT)),
        Ok(np.hstack([PICTURE, PALETTE[np.zeros((HEIGHT, 2), int)]])),
    ),
    "GIF, canvas 0 x 0": Kind(lambda: gif_of((0, 0), (WIDTH, HEIGHT)), SHOWN),
    "GIF, frame 0 x 0": Kind(lambda: gif_of((WIDTH, HEIGHT), (0, 0)), Failed("tile cannot extend outside image")),
    "GIF, junk behind it": Kind(lambda: gif() + b"junk" * 1000, SHOWN),
    "GIF, another behind it": Kind(lambda: gif() + saved(255 - GREY, "GIF"), SHOWN),
    "GIF, a comment of 256 kB": Kind(
        lambda: inserted(gif(), gif().index(FRAME), b"!\xfe" + (b"\xff" + bytes(255)) * 1000 + b"\0"), SHOWN
    ),
    "GIF, claims 60,000 x 60,000": Kind(lambda: gif_of((HUGE, HUGE), (WIDTH, HEIGHT)), TOO_LARGE),
    "GIF, frame claims 60,000 x 60,000": Kind(
        lambda: gif_of((WIDTH, HEIGHT), (HUGE, HUGE)), Failed("decompression bomb", "RESOURCE_EXHAUSTED")
    ),
    "GIF, frame claims 60,000 x 60,000 and is wiped": Kind(
        lambda: gif_of((HUGE, HUGE), (HUGE, HUGE), disposal=2), Failed("decompression bomb", "RESOURCE_EXHAUSTED")
    ),
    "GIF, frame claims 10,000 x 10,000 and is wiped": Kind(
        lambda: gif_of((10_000, 10_000), (10_000, 10_000), disposal=2), TOO_LARGE
    ),
}

TIFFS = {
    "TIFF, LZW": Kind(lambda: compressed_tiff("tiff_lzw"), SHOWN),
    "TIFF, deflate": Kind(lambda: compressed_tiff("tiff_adobe_deflate"), SHOWN),
    "TIFF, PackBits": Kind(lambda: compressed_tiff("packbits"), SHOWN),
    "TIFF, JPEG": Kind(lambda: saved(PICTURE, "TIFF", compression="jpeg", quality=100), Ok(PICTURE, 60)),
    "TIFF, big": Kind(lambda: saved(PICTURE, "TIFF", big_tiff=True), SHOWN),
    "TIFF, two pages": Kind(lambda: frames("TIFF"), SHOWN),
    "TIFF, RGBA": Kind(lambda: saved(np.dstack([PICTURE, ALPHA]), "TIFF"), SHOWN),
    "TIFF, palette": Kind(lambda: saved(palette_image(), "TIFF"), SHOWN),
    "TIFF, palette missing": Kind(
        lambda: tagged(saved(palette_image(), "TIFF"), COLORS, 0, 0, 3), Failed("the palette (tag 320) is missing")
    ),
    "TIFF, palette of 16 colors": Kind(
        lambda: tagged(saved(palette_image(), "TIFF"), COLORS, 8, 48, 3), Failed("48 of 768 values are there")
    ),
    "TIFF, CMYK": Kind(
        lambda: saved(Image.frombytes("CMYK", (WIDTH, HEIGHT), INKS.tobytes()), "TIFF"), Ok(cmyk(INKS), 1)
    ),
    "TIFF, planes": Kind(lambda: strips([0, GREY.size, 2 * GREY.size], planes=2), SHOWN),
    "TIFF, float from 0 to 1": Kind(lambda: tiff(FLOATS), Ok(grey_as_rgb(GREY))),
    "TIFF, float from 0 to 255": Kind(lambda: tiff(GREY.astype(np.float32)), Failed("expected 0 to 1 in mode F")),
    "TIFF, float below 0": Kind(lambda: tiff(FLOATS - 1), Failed("expected 0 to 1 in mode F")),
    "TIFF, float with a NaN": Kind(lambda: tiff(NAN_AT_ONE), Failed("pixels from nan to nan")),
    "TIFF, grey of 16 bits": Kind(lambda: tiff(RAMP), Ok(grey_as_rgb(SCALED))),
    "TIFF, grey of 16 bits with a sign": Kind(
        lambda: tiff((RAMP // 2).astype(np.int16) - 1), Failed("pixels from -1 to 32745")
    ),
    "TIFF, float of 64 bits from 0 to 255": Kind(
        lambda: tiff(GREY.astype(np.float64)), Failed("expected 0 to 1 in mode F")
    ),
    "TIFF, compression unknown": Kind(
        lambda: tiff(GREY, t259=65_000), Failed("1 band of 8 bits in compression 65000 are not read", "UNIMPLEMENTED")
    ),
    "TIFF, compression not there": Kind(
        lambda: tagged(strips([0]), COMPRESSION, 34_661, kind=3),
        Failed("3 bands of 8 bits in compression 34661 are not read", "UNIMPLEMENTED"),
    ),
    "TIFF, data not as compressed": Kind(
        lambda: tagged(strips([0]), COMPRESSION, 5, kind=3), Failed("decoder error -2")
    ),
    "TIFF, strip past the end": Kind(lambda: tiff(GREY, t273=10**6), Failed("image file is truncated")),
    "TIFF, strips in reverse order": Kind(
        lambda: strips([ROW_BYTES * y for y in range(HEIGHT)][::-1], rows=1), Ok(PICTURE[::-1])
    ),
    "TIFF, a strip missing": Kind(
        lambda: strips([0, ROW_BYTES * 8], rows=8), Failed("only 256 of the 384 pixels are stored")
    ),
    "TIFF, a strip stored nowhere": Kind(
        lambda: strips([0, -1, ROW_BYTES * 16], rows=8), Failed("only 256 of the 384 pixels are stored")
    ),
    "TIFF, a plane missing": Kind(
        lambda: strips([0, GREY.size], planes=2), Failed("2 of 3 blocks of pixels are stored")
    ),
    "TIFF, strips of no rows": Kind(
        lambda: tagged(strips([0]), STRIP, 0), Failed("an image of 16 x 24 pixels in strips of 0 rows")
    ),
    "TIFF, width 0": Kind(lambda: tagged(strips([0]), WIDE, 0), Failed("an image of 0 x 24 pixels")),
    "TIFF, width a text": Kind(
        lambda: tagged(strips([0]), WIDE, 0x3631, kind=2),
        Failed("the width (tag 256): expected whole numbers, not type 2"),
    ),
    "TIFF, 2**31 strips": Kind(
        lambda: tagged(strips([0]), OFFSETS, 8, count=2**31),
        Failed("the places of the strips (tag 273): 2147483648 values are claimed, more than the file holds"),
    ),
    "TIFF, 2**31 bits a sample": Kind(
        lambda: tagged(strips([0]), BITS, 8, count=2**31, kind=3),
        Failed("the bits of a band (tag 258): 2147483648 values are claimed, more than the file holds"),
    ),
    "TIFF, 2**31 samples a pixel": Kind(lambda: tagged(strips([0]), SAMPLES, 2**31), Failed("2147483648 bands")),
    "TIFF, one band as color": Kind(
        lambda: tagged(strips([0]), SAMPLES, 1),
        Failed("1 band of 8 bits as red, green and blue are not", "UNIMPLEMENTED"),
    ),
    "TIFF, a tag's type unknown": Kind(lambda: tagged(tiff(GREY), SIZES, 0, kind=99), Ok(grey_as_rgb(GREY))),
    "TIFF, 2,000 tags that share a megabyte": Kind(
        aliased_tiff, Failed("tags claim far more data", "RESOURCE_EXHAUSTED")
    ),
    "TIFF, directory past the end": Kind(
        lambda: b"II*\0" + struct.pack("<I", 10**6) + bytes(100), Failed("the directory of tags is not in the file")
    ),
    "TIFF, directory empty": Kind(lambda: exif(), Failed("the width (tag 256) is missing")),
    "TIFF, directory cut in the middle": Kind(
        lambda: strips([0])[: 8 + 2 + 12 * 6], Failed("the directory of tags is cut short")
    ),
    "TIFF, directory followed by itself": Kind(
        lambda: edited(strips([0]), 8 + 2 + 12 * 9, struct.pack("<I", 8)), SHOWN
    ),
    "TIFF, EXIF that points at the image": Kind(lambda: tiff(GREY, t34665=8), Ok(grey_as_rgb(GREY))),
    "TIFF, EXIF past the end": Kind(lambda: tiff(GREY, t34665=2**32 - 1), Ok(grey_as_rgb(GREY))),
    "TIFF, junk behind it": Kind(lambda: strips([0]) + b"junk" * 1000, SHOWN),
    "TIFF, another behind it": Kind(lambda: strips([0]) + saved(255 - PICTURE, "TIFF"), SHOWN),
    "TIFF, claims 60,000 x 60,000": Kind(lambda: tiff(GREY, t256=HUGE, t257=HUGE), TOO_LARGE),
    "TIFF LZW, claims 60,000 x 60,000": Kind(
        lambda: tagged(tagged(compressed_tiff("tiff_lzw"), WIDE, HUGE), HIGH, HUGE), TOO_LARGE
    ),
    "TIFF, claims 60,000 x 60,000 with one tile": Kind(
        lambda: tiff(GREY, t256=HUGE, t257=HUGE, t322=16, t323=16), TOO_LARGE
    ),
}

WEBPS = {
    "WebP, lossy": Kind(lambda: saved(grey_as_rgb(GREY), "WEBP", quality=100), Ok(grey_as_rgb(GREY), 5)),
    "WebP, lossless with alpha": Kind(lambda: webp(np.dstack([PICTURE, ALPHA])), SHOWN),
    "WebP, lossy with alpha": Kind(
        lambda: saved(np.dstack([grey_as_rgb(GREY), ALPHA]), "WEBP", quality=100, exact=True), Ok(grey_as_rgb(GREY), 5)
    ),
    "WebP, animated": Kind(lambda: frames("WEBP"), SHOWN),
    "WebP, animated by hand": Kind(lambda: animated_webp((WIDTH, HEIGHT)), SHOWN),
    "WebP, animated and without a frame": Kind(
        lambda: extended(2, (WIDTH, HEIGHT), (b"ANIM", bytes(6))), Failed("could not create decoder object")
    ),
    "WebP, extended": Kind(lambda: extended(0, (WIDTH, HEIGHT), picture_chunk()), SHOWN),
    "WebP, canvas unlike its picture": Kind(
        lambda: extended(0, (WIDTH + 1, HEIGHT), picture_chunk()), Failed("could not create decoder object")
    ),
    "WebP, file's size 0": Kind(lambda: edited(webp(), 4, bytes(4)), Failed("could not create decoder object")),
    "WebP, file's size too large": Kind(
        lambda: edited(webp(), 4, b"\xff\xff\xff\x7f"), Failed("could not create decoder object")
    ),
    "WebP, picture damaged": Kind(lambda: edited(webp(), 30, b"\xff" * 20), Failed("failed to read next frame")),
    "WebP, of no known chunk": Kind(lambda: riff((b"ABCD", bytes(20))), Failed("not a WEBP file")),
    "WebP, broken EXIF": Kind(
        lambda: extended(8, (WIDTH, HEIGHT), picture_chunk(), (b"EXIF", b"II*\0\xff\xff\xff\x7f")), SHOWN
    ),
    "WebP, EXIF of 2,000 tags that share a megabyte": Kind(
        lambda: extended(8, (WIDTH, HEIGHT), picture_chunk(), (b"EXIF", ALIASED)), SHOWN
    ),
    "WebP, broken ICC profile": Kind(
        lambda: extended(32, (WIDTH, HEIGHT), (b"ICCP", b"no profile"), picture_chunk()), SHOWN
    ),
    "WebP, junk behind it": Kind(lambda: webp() + b"junk" * 1000, SHOWN),
    "WebP, another behind it": Kind(lambda: webp() + webp(255 - PICTURE), SHOWN),
    "WebP, animated, claims 60,000 x 60,000": Kind(lambda: animated_webp((HUGE, HUGE)), TOO_LARGE),
    "WebP, claims 16,384 x 16,384": Kind(lambda: edited(webp(), 21, b"\xff\xff\xff\x0f"), TOO_LARGE),
}

BMPS = {
    "BMP, by hand": Kind(lambda: bmp(UPWARD), SHOWN),
    "BMP, downward": Kind(lambda: bmp(PICTURE[..., ::-1].tobytes(), size=(WIDTH, -HEIGHT)), SHOWN),
    "BMP, OS/2": Kind(lambda: bmp(UPWARD, header=12), SHOWN),
    "BMP, OS/2 with a palette": Kind(
        lambda: bmp(INDICES[::-1].tobytes(), 8, 0, CORE_PALETTE + bytes(3 * 250), header=12), SHOWN
    ),
    "BMP, OS/2 version 2": Kind(lambda: bmp(UPWARD, header=64), SHOWN),
    "BMP, Windows version 5": Kind(lambda: bmp(UPWARD, header=124), SHOWN),
    "BMP, palette": Kind(lambda: bmp(INDICES[::-1].tobytes(), 8, 0, BMP_PALETTE), SHOWN),
    "BMP, palette run-length encoded": Kind(lambda: bmp(RUNS + b"\0\1", 8, 1, BMP_PALETTE), SHOWN),
    "BMP, palette of 4 bits run-length encoded": Kind(lambda: bmp(RUNS_4 + b"\0\1", 4, 2, BMP_PALETTE), SHOWN),
    "BMP, run-length encoding ended early": Kind(
        lambda: bmp(RUNS[: len(RUNS) // 2] + b"\0\1", 8, 1, BMP_PALETTE), Failed("not enough image data")
    ),
    "BMP, run-length encoding cut": Kind(
        lambda: bmp(RUNS[: len(RUNS) // 2], 8, 1, BMP_PALETTE), Failed("not enough image data")
    ),
    "BMP, 16 bits": Kind(lambda: bmp(FIVE_BITS[::-1].astype("<u2").tobytes(), 16), Ok(FROM_FIVE_BITS, 1)),
    "BMP, 32 bits": Kind(lambda: bmp(np.dstack([PICTURE[::-1, :, ::-1], ALPHA]).tobytes(), 32), SHOWN),
    "BMP, 7 bits": Kind(lambda: bmp(UPWARD, 7), Failed("Unsupported BMP pixel depth (7)")),
    "BMP, a JPEG inside": Kind(lambda: bmp(jpeg(), 24, 4), Failed("Unsupported BMP compression (4)")),
    "BMP, header of 41": Kind(lambda: bmp(UPWARD, header=41), Failed("Unsupported BMP header type (41)")),
    "BMP, width 0": Kind(lambda: bmp(UPWARD, size=(0, HEIGHT)), Failed("not identified by this driver")),
    "BMP, width negative": Kind(lambda: bmp(UPWARD, size=(-WIDTH, HEIGHT)), TOO_LARGE),
    "BMP, pixels past the end": Kind(lambda: edited(bmp(UPWARD), 10, struct.pack("<I", 10**6)), Failed("truncated")),
    "BMP, junk behind it": Kind(lambda: bmp(UPWARD) + b"junk" * 1000, SHOWN),
    "BMP, claims 60,000 x 60,000": Kind(lambda: bmp(UPWARD, size=(HUGE, HUGE)), TOO_LARGE),
    "BMP, run-length encoded, claims 60,000 x 60,000": Kind(
        lambda: bmp(RUNS, 8, 1, BMP_PALETTE, size=(HUGE, HUGE)), TOO_LARGE
    ),
}

PNMS = {
    "PPM, by hand": Kind(lambda: pnm(f"P6\n{SIZE}\n255\n"), SHOWN),
    "PPM, maxval 65535": Kind(lambda: pnm(f"P6 {SIZE} 65535\n", (PICTURE.astype(">u2") * 257).astype(">u2")), SHOWN),
    "PPM, maxval 15": Kind(lambda: pnm(f"P6 {SIZE} 15\n", PICTURE // 17), Ok(PICTURE // 17 * 17)),
    "PPM, maxval 0": Kind(lambda: pnm(f"P6 {SIZE} 0\n"), Failed("maxval must be greater than 0")),
    "PPM, maxval 65536": Kind(lambda: pnm(f"P6 {SIZE} 65536\n"), Failed("maxval must be greater than 0")),
    "PPM, maxval negative": Kind(lambda: pnm(f"P6 {SIZE} -1\n"), Failed("maxval must be greater than 0")),
    "PPM, maxval a word": Kind(lambda: pnm(f"P6 {SIZE} many\n"), Failed("invalid literal for int()")),
    "PPM, comments": Kind(lambda: pnm(f"P6 # made\n# by hand\r{SIZE} # so\n255\n"), SHOWN),
    "PPM, a comment of a megabyte": Kind(lambda: pnm(f"P6 #{'c' * MIB}\n{SIZE} 255\n"), SHOWN),
    "PPM, a comment without an end": Kind(lambda: pnm(f"P6 #{'c' * MIB}", b""), Failed("Reached EOF")),
    "PPM, spaces of a megabyte": Kind(lambda: pnm(f"P6{' ' * MIB}{SIZE} 255\n"), SHOWN),
    "PPM, width of a million digits": Kind(lambda: pnm(f"P6 {'9' * MIB} 1 255\n"), Failed("Token too long")),
    "PPM, width negative": Kind(lambda: pnm(f"P6 -{SIZE} 255\n"), Failed("not identified by this driver")),
    "PPM, no size": Kind(lambda: pnm("P6\n"), Failed("Token too long")),
    "PPM, another behind it": Kind(lambda: pnm(f"P6 {SIZE} 255\n") * 2, SHOWN),
    "PPM, claims 60,000 x 60,000": Kind(lambda: pnm(f"P6 {HUGE} {HUGE} 255\n"), TOO_LARGE),
    "PPM, claims 60,000 x 60,000 of 16 bits": Kind(lambda: pnm(f"P6 {HUGE} {HUGE} 65535\n"), TOO_LARGE),
    "PPM, plain": Kind(lambda: pnm("P3 1 1 255 1 2 3", b""), Ok(np.array([[[1, 2, 3]]], np.uint8))),
    "PPM, arbitrary map": Kind(
        lambda: pnm(f"P7\nWIDTH {WIDTH}\nHEIGHT {HEIGHT}\nDEPTH 3\nMAXVAL 255\nENDHDR\n"), not_read("PAM")
    ),
    "PGM, grey": Kind(lambda: pnm(f"P5 {SIZE} 255\n", GREY), Ok(grey_as_rgb(GREY))),
    "PGM, maxval 65535": Kind(lambda: pnm(f"P5 {SIZE} 65535\n", WORDS), Ok(grey_as_rgb(SCALED))),
    "PGM, maxval 1023": Kind(
        lambda: pnm(f"P5 {SIZE} 1023\n", (RAMP >> 6).astype(">u2")),
        Ok(grey_as_rgb(np.rint((RAMP >> 6) / 1023 * 255).astype(np.uint8)), 1),
    ),
    "PGM, value above maxval": Kind(
        lambda: pnm(f"P5 {SIZE} 100\n", np.full((HEIGHT, WIDTH), 200, np.uint8)),
        Ok(np.full((HEIGHT, WIDTH, 3), 255, np.uint8)),
    ),
}


def avif() -> bytes:
    return saved(PICTURE, "AVIF", quality=100, subsampling="4:4:4")


def jpeg_2000(**how: Any) -> bytes:
    return saved(PICTURE, "JPEG2000", **how)


def resized(data: bytes, name: bytes, offset: int) -> bytes:
    """Return an image that claims to be huge, by two numbers that lie at an offset behind a name."""
    return edited(data, data.index(name) + offset, struct.pack(">II", HUGE, HUGE))


NEWER = {
    "AVIF, lossy": Kind(avif, Ok(PICTURE, 5)),
    "AVIF, cut in the middle": Kind(lambda: avif()[: len(avif()) // 2], Failed("cannot be decoded")),
    "AVIF, junk behind it": Kind(lambda: avif() + b"junk" * 1000, Ok(PICTURE, 5)),
    "AVIF, claims 60,000 x 60,000": Kind(lambda: resized(avif(), b"ispe", 8), Failed("cannot be decoded")),
    "JP2, lossless": Kind(jpeg_2000, SHOWN),
    "JP2, codestream alone": Kind(lambda: jpeg_2000(no_jp2=True), SHOWN),
    "JP2, cut in the middle": Kind(lambda: jpeg_2000()[: len(jpeg_2000()) // 2], BROKEN),
    "JP2, claims 60,000 x 60,000": Kind(lambda: resized(resized(jpeg_2000(), b"ihdr", 4), b"\xff\x51", 6), TOO_LARGE),
    "JP2, codestream alone, claims 60,000 x 60,000": Kind(
        lambda: resized(jpeg_2000(no_jp2=True), b"\xff\x51", 6), TOO_LARGE
    ),
}

KINDS: dict[str, Kind] = {**CUT_SHORT, **OTHERS, **JPEGS, **PNGS, **GIFS, **TIFFS, **WEBPS, **BMPS, **PNMS, **NEWER}


def suffix_of(name: str) -> str:
    """Return what the file of a kind is called: by its format, or as the kind says."""
    if " named ." in name:
        return "." + name.rpartition(".")[2]
    form = name.partition(",")[0].partition(" ")[0].lower()
    return f".{form}" if is_image_name(f"x.{form}") else ".jpg"
