"""Resizing is that of `cv2.resize`, within one level; it is not installed everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model.resize_cv2 import METHODS, resize

SIZES = [(640, 427), (448, 336), (448, 448), (672, 504), (100, 77), (31, 400), (5, 3), (1, 1), (223, 300), (224, 168)]


def rounded(
    found: np.ndarray[tuple[int, ...], np.dtype[np.uint8 | np.float32]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.rint(np.clip(found, 0, 255)).astype(np.int64)


@pytest.mark.parametrize("method", METHODS)
def test_gives_what_opencv_gives(method: str) -> None:
    cv2 = pytest.importorskip("cv2")
    chance = np.random.default_rng(0)
    seen = off = 0
    for channels in (1, 3):
        for width, height in SIZES:
            pixels = chance.integers(0, 256, (height, width, channels), np.uint8)
            for target in ((224, 168), (64, 64)):
                expected = cv2.resize(pixels, target, interpolation=getattr(cv2, f"INTER_{method.upper()}"))
                difference = abs(rounded(resize(pixels, target, method)) - expected.reshape(target[1], target[0], -1))
                assert difference.max() <= (0 if method == "nearest" else 1), (width, height, target)
                seen, off = seen + difference.size, off + int((difference > 0).sum())
    assert off < seen * (0.1 if method == "cubic" else 0.005)


@settings(max_examples=100)
@given(
    st.sampled_from(METHODS),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_an_image_of_one_color_keeps_it(method: str, size: tuple[int, int], target: tuple[int, int]) -> None:
    pixels = np.full((size[1], size[0], 3), (7, 99, 255), np.uint8)
    found = rounded(resize(pixels, target, method))
    assert np.array_equal(found, np.broadcast_to(pixels[0, 0], (target[1], target[0], 3)))


def test_halving_rounds_halves_up_in_both_linear_and_area() -> None:
    pixels = np.array([[0, 1], [0, 1]], np.uint8)[..., None]
    assert [int(rounded(resize(pixels, (1, 1), method))[0, 0, 0]) for method in ("linear", "area")] == [1, 1]
