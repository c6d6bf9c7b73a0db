"""Transparency is ignored, laid on a color, or told where it alone holds the picture."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pictures import ALPHA, GREY, HEIGHT, PICTURE, WIDTH, chunk, png
from PIL import Image

from pipeline.batches import EncodedBatch, ImageColumns
from pipeline.model.input_rule import InputSpec
from pipeline.model.preprocess import preprocess

RULE = InputSpec(HEIGHT, WIDTH, "rgb")
HIDDEN = "only its transparency shows a picture"
Pixels = npt.NDArray[np.uint8]


def read(data: bytes, **rule: Any) -> Pixels | str:
    made = preprocess(EncodedBatch(ImageColumns.of(["a"]), [data]), replace(RULE, **rule))
    return made.images.failures[0].message if made.images.failures else made.pixels[0]


def saved(pixels: Pixels, form: str = "PNG", **keywords: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **keywords)
    return buffer.getvalue()


def laid(colors: Pixels, alpha: Pixels, color: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    share = alpha[:, :, np.newaxis] / 255
    return np.asarray(colors * share + np.array(color) * (1 - share))


DRAWING = np.dstack([np.zeros((HEIGHT, WIDTH, 3), np.uint8), ALPHA])
INDEXED = Image.fromarray(ALPHA // 16)
INDEXED.putpalette([0, 0, 0] * 16)


def drawings() -> dict[str, bytes]:
    palette = io.BytesIO()
    INDEXED.save(palette, "PNG", transparency=bytes(range(0, 256, 16)))
    red = DRAWING.copy()
    red[:, :, 0] = 200
    return {
        "PNG": saved(DRAWING),
        "PNG in red": saved(red),
        "PNG grey": saved(np.dstack([np.zeros_like(ALPHA), ALPHA])),
        "PNG palette": palette.getvalue(),
        "PNG 16 bits": png(DRAWING.astype(np.uint16) * 257, 6),
        "WebP": saved(DRAWING, "WEBP", lossless=True, exact=True),
        "TIFF": saved(DRAWING, "TIFF"),
    }


@pytest.mark.parametrize("name", drawings())
class TestDrawing:
    def test_in_transparency_alone_is_a_failed_row_that_says_what_to_do(self, name: str) -> None:
        for color_mode in ("rgb", "grayscale"):
            found = read(drawings()[name], color_mode=color_mode)
            assert isinstance(found, str)
            assert HIDDEN in found
            assert "--background white" in found

    def test_with_drop_is_what_the_loaders_give(self, name: str) -> None:
        expected = np.asarray(Image.open(io.BytesIO(drawings()[name])).convert("RGBA"))[:, :, :3]
        assert np.array_equal(read(drawings()[name], background="drop"), expected)

    @pytest.mark.parametrize("color", ["white", "#1080f0"])
    def test_on_a_color_is_a_picture(self, name: str, color: str) -> None:
        rgb = (255, 255, 255) if color == "white" else (16, 128, 240)
        image = np.asarray(Image.open(io.BytesIO(drawings()[name])).convert("RGBA"))
        expected = laid(image[:, :, :3], image[:, :, 3], rgb)
        found = read(drawings()[name], background=color)
        assert np.abs(found - expected).max() <= 1
        assert len(np.unique(found)) > 4

    def test_is_told_in_grey_as_tensorflow_makes_it_as_well(self, name: str) -> None:
        rule: dict[str, Any] = {"color_mode": "grayscale", "gray_from": "jpeg_luma"}
        assert HIDDEN in str(read(drawings()[name], **rule))
        assert isinstance(read(drawings()[name], **rule, background="drop"), np.ndarray)
        white = read(drawings()[name], **rule, background="white")
        assert white.min() < 200 < white.max()


@pytest.mark.parametrize(
    "pixels",
    [
        np.dstack([PICTURE, ALPHA]),
        np.dstack([PICTURE, np.zeros_like(ALPHA)]),
        np.dstack([np.full((HEIGHT, WIDTH, 3), 9, np.uint8), np.full_like(ALPHA, 255)]),
        np.dstack([np.full((HEIGHT, WIDTH, 3), 9, np.uint8), np.zeros_like(ALPHA)]),
    ],
    ids=["picture", "all clear", "one color", "one clear color"],
)
def test_what_shows_without_transparency_is_as_ever(pixels: Pixels) -> None:
    assert np.array_equal(read(saved(pixels)), pixels[:, :, :3])
    assert np.array_equal(read(saved(pixels), background="drop"), pixels[:, :, :3])


def test_pictures_without_transparency_are_the_same_on_any_background() -> None:
    for data in (saved(PICTURE), saved(GREY), saved(PICTURE, "JPEG"), saved(GREY.astype(np.uint16) * 257)):
        assert np.array_equal(read(data, background="white"), read(data))


@pytest.mark.parametrize("color_mode", ["rgb", "grayscale"])
@pytest.mark.parametrize("depth", [8, 16])
def test_one_transparent_grey_is_laid_on_the_background(depth: int, color_mode: Any) -> None:
    values = GREY.astype(np.uint16) * 257 if depth == 16 else GREY
    key = int(values[3, 3])
    data = png(values, 0, False, chunk(b"tRNS", key.to_bytes(2, "big")))
    plain = read(png(values, 0), color_mode=color_mode)
    assert np.array_equal(read(data, color_mode=color_mode), plain)
    expected = np.where((values == key)[:, :, np.newaxis], 255, plain)
    assert np.array_equal(read(data, color_mode=color_mode, background="white"), expected)


def test_one_transparent_color_is_laid_on_the_background() -> None:
    key = PICTURE[2, 2]
    data = png(PICTURE, 2, False, chunk(b"tRNS", b"".join(bytes([0, value]) for value in key.tolist())))
    assert np.array_equal(read(data), PICTURE)
    expected = np.where((key == PICTURE).all(axis=2, keepdims=True), [16, 128, 240], PICTURE)
    assert np.array_equal(read(data, background="#1080f0"), expected)


def test_one_transparent_color_of_16_bits_is_not_guessed_at() -> None:
    data = png(PICTURE.astype(np.uint16) * 257, 2, False, chunk(b"tRNS", bytes(6)))
    assert np.array_equal(read(data), PICTURE)
    assert "a transparent color of 16 bits a sample" in str(read(data, background="white"))


@given(arrays.arrays(np.uint8, (5, 6, 4)), st.tuples(*[st.integers(0, 255)] * 3))
def test_laying_is_the_weighted_mean(pixels: Pixels, color: tuple[int, int, int]) -> None:
    text = "#{:02x}{:02x}{:02x}".format(*color)
    found = read(saved(pixels), background=text, height=5, width=6)
    assert np.abs(found - laid(pixels[:, :, :3], pixels[:, :, 3], color)).max() <= 0.51
