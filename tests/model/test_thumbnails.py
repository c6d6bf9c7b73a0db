"""Small pictures for reports, as a browser would get them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from pipeline.model.thumbnails import ENLARGED_BYTES, LARGEST, enlarged, jpeg, png, thumbnail
from pipeline.report.gallery import data_uri

GRAY, COLOR = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"


def test_small_gray_pixels_are_shown_as_they_are() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (28, 20, 1), np.uint8)
    data = thumbnail(pixels)
    picture = Image.open(io.BytesIO(data))
    assert data.startswith(GRAY)
    assert (picture.mode, picture.size) == ("L", (20, 28))
    assert np.array_equal(np.asarray(picture).reshape(pixels.shape), pixels)


def test_colors_are_shown_in_few_bytes() -> None:
    slope = np.linspace(0, 255, 64).astype(np.uint8)
    pixels = np.stack([np.tile(slope, (64, 1)), np.tile(slope, (64, 1)).T, np.full((64, 64), 99, np.uint8)], axis=2)
    data = thumbnail(pixels)
    picture = Image.open(io.BytesIO(data))
    assert data.startswith(COLOR)
    assert (picture.mode, picture.size) == ("RGB", (64, 64))
    assert np.abs(np.asarray(picture, np.int64) - pixels).mean() < 4
    assert len(data) < 2_000


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(224, 224, (64, 64)), (100, 200, (64, 32)), (200, 100, (32, 64)), (1000, 1, (1, 64)), (1, 1, (1, 1))],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_large_pixels_are_shrunk_and_keep_their_shape(
    height: int, width: int, size: tuple[int, int], channels: int
) -> None:
    picture = Image.open(io.BytesIO(thumbnail(np.full((height, width, channels), 77, np.uint8))))
    assert picture.size == size
    assert max(picture.size) <= LARGEST
    assert set(np.asarray(picture).flat) <= {76, 77, 78}


@pytest.mark.parametrize("channels", [1, 3])
def test_larger_picture_is_as_large_as_256_pixels_and_bounded(channels: int) -> None:
    slope = np.broadcast_to(np.linspace(0, 255, 600).astype(np.uint8)[:, None, None], (600, 300, channels))
    data = enlarged(np.ascontiguousarray(slope))
    assert data is not None
    picture = Image.open(io.BytesIO(data))
    assert (picture.format, picture.size, picture.mode) == ("JPEG", (128, 256), "L" if channels == 1 else "RGB")
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, channels), np.uint8)
    data = enlarged(noise)
    assert data is not None
    assert len(data) <= ENLARGED_BYTES
    assert max(Image.open(io.BytesIO(data)).size) < 256


def test_pixels_that_a_thumbnail_holds_need_no_larger_picture() -> None:
    assert enlarged(np.zeros((64, 20, 3), np.uint8)) is None
    assert enlarged(np.zeros((65, 20, 3), np.uint8)) is not None


def test_one_image_of_a_batch_gives_the_same_bytes_every_time() -> None:
    batch = np.random.default_rng(1).integers(0, 256, (3, 90, 70, 3), np.uint8)
    assert thumbnail(batch[1]) == thumbnail(batch[1].copy()) != thumbnail(batch[2])


@pytest.mark.parametrize(("write", "kind"), [(png, "png"), (jpeg, "jpeg")])
def test_a_data_uri_holds_the_file_and_says_what_it_is(write: Callable[[Image.Image], bytes], kind: str) -> None:
    data = write(Image.new("L", (2, 2)))
    told, _, text = data_uri(data).partition(",")
    assert told == f"data:image/{kind};base64"
    assert base64.b64decode(text, validate=True) == data
