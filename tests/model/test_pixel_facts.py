"""What pixels tell: near copies of photographs share their hash but for a few bits, and figures are those of NumPy."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np
from photographs import photograph
from PIL import Image

from pipeline.batches import EncodedBatch
from pipeline.model.input_rule import ColorMode, InputSpec
from pipeline.model.pixel_facts import FREQUENCIES, _weights, pixel_facts
from pipeline.model.preprocess import preprocess

Pixels = npt.NDArray[np.uint8]


def files_of(image: Image.Image) -> list[bytes]:
    """A picture at several sizes and qualities; first as it is."""
    made = [(image, "PNG", 0), *((image, "JPEG", quality) for quality in (30, 60, 90))]
    for scale in (0.5, 0.75, 2.0):
        size = tuple(int(side * scale) for side in image.size)
        made.append((image.resize(size, Image.Resampling.LANCZOS), "JPEG", 85))
    buffers = [io.BytesIO() for _ in made]
    for (one, form, quality), buffer in zip(made, buffers, strict=True):
        one.save(buffer, form, quality=quality)
    return [buffer.getvalue() for buffer in buffers]


def distances(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    return np.array([[bin(int(one ^ other)).count("1") for other in hashes] for one in hashes])


@pytest.mark.parametrize(
    "rule", [InputSpec(224, 224, "rgb"), InputSpec(96, 128, "bgr", "nearest"), InputSpec(28, 28, "grayscale")]
)
def test_a_picture_at_another_size_or_quality_is_at_most_10_bits_away_and_others_are_more(rule: InputSpec) -> None:
    pictures = [Image.fromarray(photograph(seed)) for seed in range(14)]
    pictures = [one for one in pictures if np.asarray(one.convert("L")).std() > 30]  # not a piece of sky
    assert len(pictures) >= 8
    copies = [files_of(picture) for picture in pictures]
    pixels = preprocess(EncodedBatch.of([data for files in copies for data in files]), rule).pixels
    hashes = pixel_facts(pixels, rule.color_mode).hashes
    found = distances(hashes).reshape(len(copies), len(copies[0]), len(copies), len(copies[0]))
    own = np.array([found[i, 0, i] for i in range(len(copies))])
    assert own.max() <= 10
    assert (own <= 4).mean() >= 0.9
    assert min(found[i, :, j].min() for i in range(len(copies)) for j in range(i)) > 10


@given(
    st_np.arrays(np.uint8, st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.just(3))),
    st.sampled_from(["grayscale", "rgb", "bgr"]),
)
def test_figures_are_those_of_the_luma(images: Pixels, mode: ColorMode) -> None:
    pixels = images[..., :1] if mode == "grayscale" else images
    found = pixel_facts(pixels, mode)
    shares = {"grayscale": [256.0], "rgb": [77.0, 150.0, 29.0], "bgr": [29.0, 150.0, 77.0]}[mode]
    luma = np.floor(pixels @ np.array(shares) / 256 + 0.5).reshape(len(pixels), -1)
    for i, one in enumerate(luma):
        shares_of_levels = np.unique(one, return_counts=True)[1] / one.size
        assert found.brightness[i] == pytest.approx(one.mean() / 255, abs=1e-6)
        assert found.contrast[i] == pytest.approx(one.std() / 255, abs=1e-6)
        assert found.entropy[i] == pytest.approx(-(shares_of_levels * np.log2(shares_of_levels)).sum(), abs=1e-5)
    assert (found.hashes.dtype, found.brightness.dtype) == (np.uint64, np.float32)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 255))
def test_an_image_of_one_color_has_the_hash_0(height: int, width: int, level: int) -> None:
    found = pixel_facts(np.full((2, height, width, 1), level, np.uint8), "grayscale")
    assert found.hashes.tolist() == [0, 0]
    assert (found.contrast.tolist(), found.entropy.tolist()) == ([0, 0], [0, 0])


@given(st.integers(1, 127))
def test_weights_are_cosines_that_add_up_to_0(side: int) -> None:
    weights = _weights(side)
    assert weights.sum(axis=1).tolist() == [0] * len(FREQUENCIES)
    assert np.abs(weights).max(initial=0) * 255 * side < 2**24
    if side >= 28:
        exact = 127 * np.cos(np.pi * np.outer(FREQUENCIES, (2 * np.arange(side) + 1) / (2 * side)))
        assert np.abs(weights - exact).max() < 1.5


def test_an_image_has_the_same_facts_alone_and_among_others() -> None:
    images = np.random.default_rng(3).integers(0, 256, (5, 200, 130, 3), np.uint8)
    together = pixel_facts(images, "rgb")
    for i in range(len(images)):
        alone = pixel_facts(images[i : i + 1], "rgb")
        for name, column in vars(together).items():
            assert vars(alone)[name][0] == column[i]
    none = pixel_facts(images[:0], "rgb")
    assert [len(column) for column in vars(none).values()] == [0] * 4
