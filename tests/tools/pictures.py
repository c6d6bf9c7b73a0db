"""Images of every kind that archives hold, made by Pillow or by hand, and what their pixels are."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[Any]

ORIENTATION = 0x0112

# The picture that most cases show: 24 x 16, six 8 x 8 blocks, none like another and no two rows or columns alike, so
# that JPEG and WebP keep it and every flip, turn or shift is seen.
BLOCKS = np.array(
    [[(250, 20, 30), (20, 240, 40)], [(10, 20, 230), (250, 250, 250)], [(0, 0, 0), (240, 230, 20)]], np.uint8
)
PICTURE: Pixels = BLOCKS.repeat(8, axis=0).repeat(8, axis=1)
HEIGHT, WIDTH = PICTURE.shape[:2]
INDICES: Pixels = np.arange(6, dtype=np.uint8).reshape(3, 2).repeat(8, axis=0).repeat(8, axis=1)
PALETTE = BLOCKS.reshape(-1, 3)
RAMP: Pixels = (np.arange(HEIGHT * WIDTH) * 171 % 65536).reshape(HEIGHT, WIDTH).astype(np.uint16)
ALPHA: Pixels = (np.arange(HEIGHT * WIDTH) % 256).reshape(HEIGHT, WIDTH).astype(np.uint8)


def luma(rgb: Pixels) -> Pixels:
    """ITU-R BT.601, as JPEG and television have it."""
    grey: Pixels = np.rint(rgb @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    return grey


def grey_as_rgb(grey: Pixels) -> Pixels:
    return np.repeat(grey[..., None], 3, axis=2)


GREY = luma(PICTURE)
SCALED = np.rint(RAMP / 257).astype(np.uint8)


def saved(pixels: Pixels | Image.Image, form: str, **how: Any) -> bytes:
    """Return a file as Pillow writes it."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, form, **how)
    return buffer.getvalue()


def palette_image() -> Image.Image:
    image = Image.fromarray(INDICES).convert("L")
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette(PALETTE.tobytes())
    return image


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels: Pixels, color_type: int, interlaced: bool = False, *chunks: bytes) -> bytes:
    """Return a PNG file written by hand: https://www.w3.org/TR/png-3/."""
    height, width = pixels.shape[:2]
    depth = pixels.dtype.itemsize * 8
    adam7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b""
    for top, left, down, right in adam7 if interlaced else [(0, 0, 1, 1)]:
        for row in pixels[top::down, left::right]:
            rows += b"\0" + row.astype(pixels.dtype.newbyteorder(">")).tobytes() if row.size else b""
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, interlaced)
    body = chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff(pixels: Pixels, order: Literal["<", ">"] = "<", **tags: int) -> bytes:
    """Return an uncompressed TIFF file of grey pixels written by hand."""
    height, width = pixels.shape
    sample_format = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    entries = {
        256: width,
        257: height,
        258: pixels.dtype.itemsize * 8,
        259: 1,
        262: 1,
        277: 1,
        278: height,
        279: pixels.nbytes,
        339: sample_format,
        **{int(tag.lstrip("t")): value for tag, value in tags.items()},
    }
    entries[273] = 8 + 2 + 12 * (len(entries) + 1) + 4
    directory = b"".join(struct.pack(order + "HHII", tag, 4, 1, entries[tag]) for tag in sorted(entries))
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, len(entries))
    return head + directory + bytes(4) + pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()


def cmyk(inks: Pixels) -> Pixels:
    """Return RGB of inks without a color profile: each ink takes away its share of what black leaves."""
    ink = inks / 255
    return np.rint(255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])).astype(np.uint8)


INKS: Pixels = np.concatenate([255 - PICTURE, (INDICES * 20)[..., None]], axis=2)


def ycck_jpeg() -> bytes:
    """Return a JPEG whose first three inks are stored as YCbCr, as Photoshop does."""
    ycc = np.asarray(Image.fromarray(INKS[..., :3]).convert("YCbCr"))
    stored = np.concatenate([ycc, 255 - INKS[..., 3:]], axis=2)
    data = saved(Image.frombytes("CMYK", (WIDTH, HEIGHT), (255 - stored).tobytes()), "JPEG", quality=100, subsampling=0)
    adobe = data.index(b"Adobe")
    assert data[adobe + 11] == 0
    return data[: adobe + 11] + b"\2" + data[adobe + 12 :]


def frames(form: str) -> bytes:
    return saved(PICTURE, form, save_all=True, append_images=[Image.fromarray(255 - PICTURE)], lossless=True)


@dataclass(frozen=True)
class Kind:
    """A kind of file, its pixels as RGB, and how far off a lossy codec may be."""

    data: bytes
    rgb: Pixels
    off: int = 0
    grey: Pixels | None = None


ONE_BIT = np.kron((np.indices((3, 2)).sum(axis=0) + np.array([[0], [1], [1]])) % 2, np.ones((8, 8))).astype(np.uint8)
LOSSLESS = {"lossless": True, "quality": 100}
FINE = {"quality": 100, "subsampling": 0}

KINDS = {
    "PNG 1 bit": Kind(saved(Image.fromarray(ONE_BIT * 255).convert("1"), "PNG"), grey_as_rgb(ONE_BIT * 255)),
    "PNG grey": Kind(png(GREY, 0), grey_as_rgb(GREY)),
    "PNG grey, a color transparent": Kind(png(GREY, 0, False, chunk(b"tRNS", b"\0\0")), grey_as_rgb(GREY)),
    "PNG grey and alpha": Kind(png(np.dstack([GREY, ALPHA]), 4), grey_as_rgb(GREY)),
    "PNG palette": Kind(saved(palette_image(), "PNG"), PICTURE),
    "PNG palette, one transparent": Kind(saved(palette_image(), "PNG", transparency=2), PICTURE),
    "PNG palette, all of some alpha": Kind(saved(palette_image(), "PNG", transparency=b"\0\x40\x80\xff\1\2"), PICTURE),
    "PNG RGB": Kind(png(PICTURE, 2), PICTURE),
    "PNG RGB, a color transparent": Kind(png(PICTURE, 2, False, chunk(b"tRNS", bytes(6))), PICTURE),
    "PNG RGB and alpha": Kind(png(np.dstack([PICTURE, ALPHA]), 6), PICTURE),
    "PNG RGB interlaced": Kind(png(PICTURE, 2, True), PICTURE),
    "PNG grey interlaced": Kind(png(GREY, 0, True), grey_as_rgb(GREY)),
    "PNG grey of 16 bits": Kind(png(RAMP, 0), grey_as_rgb(SCALED)),
    "PNG RGB of 16 bits": Kind(png(PICTURE.astype(np.uint16) * 257, 2), PICTURE),
    "APNG": Kind(frames("PNG"), PICTURE),
    "JPEG grey": Kind(saved(GREY, "JPEG", quality=100), grey_as_rgb(GREY), off=2),
    "JPEG": Kind(saved(PICTURE, "JPEG", **FINE), PICTURE, off=3),
    "JPEG progressive": Kind(saved(PICTURE, "JPEG", progressive=True, **FINE), PICTURE, off=3),
    "JPEG CMYK": Kind(saved(Image.frombytes("CMYK", (WIDTH, HEIGHT), INKS.tobytes()), "JPEG", **FINE), cmyk(INKS), 4),
    "JPEG YCCK": Kind(ycck_jpeg(), cmyk(INKS), off=5),
    "GIF": Kind(saved(palette_image(), "GIF"), PICTURE),
    "GIF, one transparent": Kind(saved(palette_image(), "GIF", transparency=2), PICTURE),
    "GIF animated": Kind(frames("GIF"), PICTURE),
    "WebP": Kind(saved(grey_as_rgb(GREY), "WEBP", quality=100), grey_as_rgb(GREY), off=5),
    "WebP lossless": Kind(saved(PICTURE, "WEBP", **LOSSLESS), PICTURE),
    "WebP with alpha": Kind(saved(np.dstack([PICTURE, ALPHA]), "WEBP", exact=True, **LOSSLESS), PICTURE),
    "WebP animated": Kind(frames("WEBP"), PICTURE),
    "BMP": Kind(saved(PICTURE, "BMP"), PICTURE),
    "BMP palette": Kind(saved(palette_image(), "BMP"), PICTURE),
    "BMP 1 bit": Kind(saved(Image.fromarray(ONE_BIT * 255).convert("1"), "BMP"), grey_as_rgb(ONE_BIT * 255)),
    "TIFF": Kind(saved(PICTURE, "TIFF"), PICTURE),
    "TIFF LZW": Kind(saved(PICTURE, "TIFF", compression="tiff_lzw"), PICTURE),
    "TIFF fax": Kind(
        saved(Image.fromarray(ONE_BIT * 255).convert("1"), "TIFF", compression="group4"), grey_as_rgb(ONE_BIT * 255)
    ),
    "TIFF RGBA": Kind(saved(np.dstack([PICTURE, ALPHA]), "TIFF"), PICTURE),
    "TIFF two pages": Kind(frames("TIFF"), PICTURE),
    "TIFF big": Kind(saved(PICTURE, "TIFF", big_tiff=True), PICTURE),
    "TIFF grey, little endian": Kind(tiff(GREY), grey_as_rgb(GREY)),
    "TIFF grey of 16 bits, little endian": Kind(tiff(RAMP), grey_as_rgb(SCALED)),
    "TIFF grey of 16 bits, big endian": Kind(tiff(RAMP, ">"), grey_as_rgb(SCALED)),
    "TIFF grey of 32 bits": Kind(tiff(RAMP.astype(np.int32)), grey_as_rgb(SCALED)),
    "TIFF float": Kind(tiff(GREY.astype(np.float32) / 255), grey_as_rgb(GREY)),
    "TIFF float, big endian": Kind(tiff(GREY.astype(np.float32) / 255, ">"), grey_as_rgb(GREY)),
}
