"""Resizing is that of `tf.image.resize`, to the bit where no sine or exponential is in it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model.resize_tf import METHODS, NEVER_EXACT, WITH_ANTIALIAS, resize

SIZES = [(640, 427), (224, 100), (97, 224), (31, 400), (5, 3), (1, 1), (1, 9), (448, 336), (223, 225)]
WAYS = [(method, False) for method in METHODS] + [(method, True) for method in WITH_ANTIALIAS]


@pytest.mark.parametrize(("method", "antialias"), WAYS)
def test_gives_what_tensorflow_gives(method: str, antialias: bool) -> None:
    import tensorflow as tf

    chance = np.random.default_rng(0)
    for channels in (1, 3):
        for width, height in SIZES:
            pixels = chance.integers(0, 256, (height, width, channels), np.uint8)
            for target in ((224, 168), (64, 64)):
                expected = tf.image.resize(pixels, target[::-1], method=method, antialias=antialias).numpy()
                found = resize(pixels, target, method, antialias)
                if method in ("lanczos3", "lanczos5", "gaussian"):
                    assert abs(found - expected).max() < 0.001, (width, height, target)
                else:
                    assert np.array_equal(found, expected), (width, height, target)


IN_HEAVY = (("bilinear", False), ("lanczos3", True))
"""Ways that the heavy tests try at every length; the others are for `make soak`."""


@pytest.mark.heavy
def test_gives_what_tensorflow_gives_at_every_length_of_a_side() -> None:
    check_sides("area", False)


@pytest.mark.parametrize(
    ("method", "antialias"),
    [pytest.param(*way, marks=pytest.mark.heavy if way in IN_HEAVY else pytest.mark.soak) for way in WAYS],
)
def test_gives_what_tensorflow_gives_at_every_length_of_a_side_by_every_method(method: str, antialias: bool) -> None:
    check_sides(method, antialias)


def check_sides(method: str, antialias: bool) -> None:
    """Compare at sides from 1 to 700, of which some end beyond the last pixel, by rounding."""
    import tensorflow as tf

    chance = np.random.default_rng(0)
    for side in range(1, 701):
        pixels = chance.integers(0, 256, (side, 701 - side, 1), np.uint8)
        expected = tf.image.resize(pixels, (224, 31), method=method, antialias=antialias).numpy()
        np.testing.assert_allclose(resize(pixels, (31, 224), method, antialias), expected, rtol=0, atol=0.001)


@settings(max_examples=100)
@given(
    st.sampled_from(WAYS),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_an_image_of_one_color_keeps_it(way: tuple[str, bool], size: tuple[int, int], target: tuple[int, int]) -> None:
    pixels = np.full((size[1], size[0], 3), (7, 99, 255), np.uint8)
    found = resize(pixels, target, *way)
    assert found.shape == (target[1], target[0], 3)
    np.testing.assert_allclose(found, np.broadcast_to(pixels[0, 0], found.shape), atol=0.01)


@pytest.mark.parametrize(("method", "antialias"), WAYS)
def test_an_image_of_the_wanted_size_stays_but_where_a_method_blurs(method: str, antialias: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    found = np.rint(resize(pixels, (30, 40), method, antialias))
    assert np.array_equal(found, pixels) == (method not in NEVER_EXACT)
