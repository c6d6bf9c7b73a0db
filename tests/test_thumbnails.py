"""Small pictures for reports, as a browser would get them."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from pipeline.thumbnails import LARGEST, data_uri, png, thumbnail


def opened(data: bytes) -> Image.Image:
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_small_pixels_are_shown_as_they_are(channels: int, mode: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (28, 20, channels), np.uint8)
    picture = opened(thumbnail(pixels))
    assert (picture.mode, picture.size) == (mode, (20, 28))
    assert np.array_equal(np.asarray(picture).reshape(pixels.shape), pixels)


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(224, 224, (64, 64)), (100, 200, (64, 32)), (200, 100, (32, 64)), (1000, 1, (1, 64)), (1, 1, (1, 1))],
)
def test_large_pixels_are_shrunk_and_keep_their_shape(height: int, width: int, size: tuple[int, int]) -> None:
    picture = opened(thumbnail(np.full((height, width, 3), 77, np.uint8)))
    assert picture.size == size
    assert max(picture.size) <= LARGEST
    assert set(np.asarray(picture).flat) == {77}


def test_one_image_of_a_batch_gives_the_same_bytes_every_time() -> None:
    batch = np.random.default_rng(1).integers(0, 256, (3, 90, 70, 3), np.uint8)
    assert thumbnail(batch[1]) == thumbnail(batch[1].copy()) != thumbnail(batch[2])


def test_a_data_uri_holds_the_png_file() -> None:
    data = png(Image.new("L", (2, 2)))
    kind, _, text = data_uri(data).partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(text, validate=True) == data
