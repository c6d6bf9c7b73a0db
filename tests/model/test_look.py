"""What `look` shows is what the model sees: its pixels, and the part of the image that they come from."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.model.fit import FITS, WITH_CROP, Fit
from pipeline.model.input_rule import InputSpec
from pipeline.model.look import FRAME, draw, look, shrink
from pipeline.model.preprocess import decode


def ramp(width: int, height: int) -> bytes:
    """Return a PNG file whose red grows from left to right and whose green grows downwards."""
    red = np.broadcast_to(np.linspace(0, 255, width)[None, :], (height, width))
    green = np.broadcast_to(np.linspace(0, 255, height)[:, None], (height, width))
    file = io.BytesIO()
    Image.fromarray(np.stack([red, green, np.zeros_like(red)], 2).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("fit", FITS)
def test_pixels_are_those_of_scoring_and_come_from_the_part_that_is_kept(fit: Fit) -> None:
    rule = InputSpec(64, 64, "rgb", fit=fit, crop=0.5 if fit in WITH_CROP else 1.0)
    data = ramp(400, 200)
    shown = look(data, rule)
    assert np.array_equal(shown.pixels, decode(data, rule))
    assert shown.size == (400, 200)
    left, upper, right, lower = shown.kept
    inside = shown.pixels[shown.pixels.any(axis=2)]  # without a border
    ends = [left * 255 / 400, right * 255 / 400, upper * 255 / 200, lower * 255 / 200]
    seen = [inside[:, 0].min(), inside[:, 0].max(), inside[:, 1].min(), inside[:, 1].max()]
    assert np.abs(np.array(ends) - seen).max() < 14  # of 255: the ends are averages, also with the border


@settings(max_examples=50)
@given(st.sampled_from(FITS), st.integers(1, 300), st.integers(1, 300), st.floats(0.1, 1))
def test_kept_part_lies_in_the_image(fit: Fit, width: int, height: int, crop: float) -> None:
    shown = look(ramp(width, height), InputSpec(9, 9, "rgb", fit=fit, crop=crop if fit in WITH_CROP else 1.0))
    left, upper, right, lower = shown.kept
    assert -1e-6 <= left < right <= width + 1e-6
    assert -1e-6 <= upper < lower <= height + 1e-6
    assert 0 < shown.share <= 1 + 1e-9


def test_image_that_exif_turns_is_shown_upright() -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20), "red").save(file, "JPEG", exif=exif)
    assert look(file.getvalue(), InputSpec(8, 8, "rgb")).size == (20, 40)
    assert look(file.getvalue(), InputSpec(8, 8, "rgb", exif_orientation=False)).size == (40, 20)


def test_picture_frames_what_is_kept_and_enlarges_the_pixels() -> None:
    shown = look(ramp(400, 200), InputSpec(28, 28, "rgb", fit="keras_crop"))
    picture = np.asarray(Image.open(io.BytesIO(draw(shown))))
    assert picture.shape == (504, 400 + 16 + 504, 3)
    assert tuple(picture[100, 100]) == FRAME  # the left end of the 200 x 200 pixels in the middle
    assert tuple(picture[100, 50]) != FRAME
    assert np.array_equal(picture[:504:18, 416::18], shown.pixels)


def test_grey_model_is_shown_grey() -> None:
    shown = look(ramp(60, 60), InputSpec(20, 20, "grayscale"))
    assert shown.pixels.shape == (20, 20, 1)
    assert np.array_equal(shown.seen, np.repeat(shown.pixels, 3, 2))


def test_colors_are_shown_as_they_are_whatever_their_order() -> None:
    red, blue = look(ramp(60, 60), InputSpec(20, 20, "rgb")), look(ramp(60, 60), InputSpec(20, 20, "bgr"))
    assert np.array_equal(red.seen, blue.seen)
    assert not np.array_equal(red.pixels, blue.pixels)


def test_pictures_for_a_terminal_fit_into_it() -> None:
    for size in ((4000, 10), (10, 4000), (1, 1), (640, 480)):
        for picture in shrink(look(ramp(*size), InputSpec(28, 28, "rgb")), (39, 40)):
            assert picture.shape[0] <= 40
            assert picture.shape[1] <= 39
            assert min(picture.shape[:2]) >= 1
