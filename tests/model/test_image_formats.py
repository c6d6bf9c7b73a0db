"""Formats beyond the usual ones: portable maps in all forms, DIB, AVIF, JPEG 2000, HEIC."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pictures import GREY, HEIGHT, ONE_BIT, PICTURE, WIDTH
from PIL import Image

from pipeline.batches import EncodedBatch, ImageColumns
from pipeline.image_kinds import is_read
from pipeline.model.input_rule import InputSpec
from pipeline.model.preprocess import preprocess

RULE = InputSpec(HEIGHT, WIDTH, "rgb")
Pixels = npt.NDArray[np.uint8]


def read(data: bytes, **rule: Any) -> Pixels | str:
    made = preprocess(EncodedBatch(ImageColumns.of(["a"]), [data]), replace(RULE, **rule))
    return made.images.failures[0].message if made.images.failures else made.pixels[0]


def grey(values: Pixels) -> Pixels:
    return np.repeat(values[:, :, np.newaxis], 3, axis=2)


def text(values: npt.NDArray[Any]) -> bytes:
    return b"\n".join(b" ".join(str(value).encode() for value in row) for row in values.reshape(len(values), -1))


def head(magic: str, *more: int) -> bytes:
    return f"{magic}\n# a comment\n{WIDTH} {HEIGHT}\n{''.join(f'{number}' + chr(10) for number in more)}".encode()


FLOATS = (GREY / 255).astype("<f4")[::-1]
MAPS: dict[str, tuple[bytes, Pixels]] = {
    "P1": (head("P1") + text(1 - ONE_BIT), grey(ONE_BIT * 255)),
    "P2": (head("P2", 255) + text(GREY), grey(GREY)),
    "P2 of 16 bits": (head("P2", 65535) + text(GREY.astype(int) * 257), grey(GREY)),
    "P3": (head("P3", 255) + text(PICTURE), PICTURE),
    "P4": (head("P4") + np.packbits(1 - ONE_BIT, axis=1).tobytes(), grey(ONE_BIT * 255)),
    "P5": (head("P5", 255) + GREY.tobytes(), grey(GREY)),
    "P5 of 16 bits": (head("P5", 65535) + (GREY.astype(">u2") * 257).tobytes(), grey(GREY)),
    "P6": (head("P6", 255) + PICTURE.tobytes(), PICTURE),
    "Pf": (f"Pf\n{WIDTH} {HEIGHT}\n-1.0\n".encode() + FLOATS.tobytes(), grey(GREY)),
    "Pf, big endian": (f"Pf\n{WIDTH} {HEIGHT}\n1.0\n".encode() + FLOATS.astype(">f4").tobytes(), grey(GREY)),
}


@pytest.mark.parametrize("name", MAPS)
def test_a_portable_map_is_read(name: str) -> None:
    data, expected = MAPS[name]
    assert np.array_equal(read(data), expected)


@pytest.mark.parametrize("name", MAPS)
def test_a_portable_map_cut_short_is_a_failed_row(name: str) -> None:
    data, _ = MAPS[name]
    for length in range(0, len(data) - 4, max(1, len(data) // 50)):
        assert isinstance(read(data[:length]), str)


@pytest.mark.parametrize("magic", ["P1", "P2", "P3", "P4", "P5", "P6"])
def test_a_portable_map_that_claims_to_be_huge_is_a_failed_row(magic: str) -> None:
    found = read(f"{magic}\n99999 99999\n255\n".encode() + b"1 " * 50)
    assert isinstance(found, str)
    assert "larger than --max_pixels" in found


@pytest.mark.parametrize("pixels", [PICTURE, GREY], ids=["color", "grey"])
def test_a_bmp_without_its_file_header_is_read(pixels: Pixels) -> None:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "BMP")
    assert np.array_equal(read(buffer.getvalue()[14:]), pixels if pixels.ndim == 3 else grey(pixels))


def test_numbers_that_only_look_like_a_bmps_header_are_no_image() -> None:
    assert "not a PNG" in str(read(struct.pack("<IIIHH", 40, 8, 8, 2, 8) + bytes(100)))


def encoded(form: str, **keywords: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).resize((64, 48)).save(buffer, form, **keywords)
    return buffer.getvalue()


NEWER = {"AVIF": {"quality": 95}, "JPEG2000": {}, "JPEG2000 codestream": {"no_jp2": True}}


@pytest.mark.parametrize("name", NEWER)
def test_avif_and_jpeg_2000_are_as_pillow_reads_them(name: str) -> None:
    data = encoded(name.split()[0], **NEWER[name])
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.array_equal(read(data, height=48, width=64), expected)
    for length in range(16, len(data) * 2 // 3, max(1, len(data) // 30)):
        assert isinstance(read(data[:length]), str), length


def test_heic_is_read_where_its_extra_is_installed_and_else_says_so() -> None:
    if not is_read("HEIC"):
        found = read(b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(40))
        assert found == "it is of the kind HEIC, whatever its name says: install nightscore[heic]"
        return
    plugin = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    plugin.from_pillow(Image.fromarray(PICTURE).resize((64, 48))).save(buffer, quality=-1, chroma=444)
    expected = np.asarray(plugin.open_heif(buffer.getvalue()).to_pillow().convert("RGB"))
    assert np.array_equal(read(buffer.getvalue(), height=48, width=64), expected)
    assert isinstance(read(buffer.getvalue()[: len(buffer.getvalue()) // 2]), str)
