"""Reduced decoding: the scale that is chosen, the same bits from two decoders, and pictures that stay what they are."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated
from pictures import ORIENTATION, png, saved
from PIL import Image
from sklearn.datasets import load_sample_images

from pipeline.batches import EncodedBatch, ImageColumns
from pipeline.model import fast_decoders
from pipeline.model.input_rule import InputSpec, Resize, may_reduce
from pipeline.model.pillow import open_image
from pipeline.model.preprocess import decode, preprocess
from pipeline.model.reduced_jpeg import Box, denominator

Pixels = npt.NDArray[np.uint8]

FULL = InputSpec(8, 8, "rgb")
REDUCED = replace(FULL, decode="reduced")

ENCODERS: dict[str, dict[str, Any]] = {
    "4:2:0": {"subsampling": "4:2:0"},
    "4:2:2": {"subsampling": "4:2:2"},
    "4:4:4": {"subsampling": "4:4:4"},
    "gray": {},
    "stored as RGB": {"keep_rgb": True},
    "restart markers": {"restart_marker_blocks": 2},
    "progressive 4:2:0": {"progressive": True, "subsampling": "4:2:0"},
    "progressive 4:2:2": {"progressive": True, "subsampling": "4:2:2"},
    "progressive 4:4:4": {"progressive": True, "subsampling": "4:4:4"},
    "progressive gray": {"progressive": True},
    "4:4:0": {"colorsubsampling": "440"},
    "4:1:1": {"colorsubsampling": "411"},
}
"""Kind of JPEG file -> how Pillow writes it, or simplejpeg where Pillow cannot."""


def photograph(width: int, height: int, number: int = 0) -> Image.Image:
    """Return a real photograph, enlarged or reduced to a size."""
    return Image.fromarray(load_sample_images().images[number]).resize((width, height), Image.Resampling.BICUBIC)


def jpeg(picture: Image.Image, kind: str = "4:2:0") -> bytes:
    how = ENCODERS[kind]
    if "colorsubsampling" in how:
        return bytes(simplejpeg.encode_jpeg(np.asarray(picture), quality=90, **how))
    return saved(picture.convert("L" if "gray" in kind else "RGB"), "JPEG", quality=90, **how)


def by_pillow(data: bytes, by: int) -> Image.Image:
    """Return a JPEG as Pillow decodes it at a scale."""
    image = open_image(data)
    width, height = image.size
    image.draft(image.mode, (width // by, height // by))
    image.load()
    assert image.size == (-(-width // by), -(-height // by))
    return image


class TestScale:
    @given(
        st.integers(1, 9000),
        st.integers(1, 9000),
        st.integers(1, 600),
        st.integers(1, 600),
        st.sampled_from(["bilinear", "bicubic", "lanczos"]),
    )
    def test_is_the_smallest_at_which_both_sides_are_at_least_twice_the_models(
        self, width: int, height: int, model_width: int, model_height: int, resize: Resize
    ) -> None:
        rule = InputSpec(model_height, model_width, "rgb", resize, decode="reduced")
        scales = [Fraction(1, by) for by in (1, 2, 4, 8)]
        enough = [by for by in scales if width * by >= 2 * model_width and height * by >= 2 * model_height]
        assert Fraction(1, denominator((width, height), rule)) == min(enough, default=1)

    @given(st.integers(1, 9000), st.integers(1, 9000))
    def test_is_1_for_a_rule_that_decodes_in_full_and_for_a_filter_that_is_not_antialiased(
        self, width: int, height: int
    ) -> None:
        assert denominator((width, height), FULL) == 1
        assert denominator((width, height), replace(REDUCED, resize="nearest")) == 1

    @pytest.mark.parametrize("by", [2, 4, 8])
    def test_is_the_only_one_of_libjpegs_with_its_size_where_it_is_used(self, by: int) -> None:
        """simplejpeg and TurboJPEG look for a scale by the size that it gives."""
        sizes = np.arange(max(8, 2 * by), 70_000)
        mine = -(-sizes // by)
        for eighths in set(range(1, 17)) - {8 // by}:
            assert (-(-sizes * eighths // 8) != mine).all()

    def test_of_a_turned_file_is_that_of_the_upright_image(self) -> None:
        rule = InputSpec(16, 64, "rgb", decode="reduced")  # 4 times the lying picture's sides
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        lying, standing = photograph(256, 64), photograph(64, 256)
        turned = saved(standing, "JPEG", exif=exif)
        assert np.array_equal(decode(jpeg(lying), rule), expected(jpeg(lying), rule, 2))
        assert np.array_equal(decode(turned, rule), expected(turned, rule, 2))
        upside = replace(rule, exif_orientation=False)  # as it is stored, the file is as wide as the model
        assert np.array_equal(decode(turned, upside), expected(turned, upside, 1))


class TestTwoDecoders:
    @pytest.mark.parametrize("kind", ENCODERS)
    def test_give_the_same_bits_at_every_scale_and_size(self, kind: str) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
        corner = np.asarray(photograph(300, 200))[60:100, 100:140]
        picture = Image.fromarray((noise // 4 + corner // 4 * 3).astype(np.uint8))
        for width in range(16, 40):
            for height in range(16, 24) if width % 2 else range(32, 40):
                data = jpeg(picture.crop((0, 0, width, height)), kind)
                for by in (1, 2, 4, 8):
                    shown = by_pillow(data, by)
                    found = fast_decoders.jpeg(data, shown.mode, (width, height), by)
                    assert found is not None
                    assert np.array_equal(found, np.asarray(shown)), (width, height, by)

    def test_give_the_same_bits_at_every_small_size(self) -> None:
        picture = photograph(60, 50)
        decoded = 0
        for width in range(1, 41):
            for height in range(1, 41):
                data = jpeg(picture.crop((3, 2, 3 + width, 2 + height)))
                for by in (2, 4, 8):
                    found = fast_decoders.jpeg(data, "RGB", (width, height), by)
                    assert (found is None) == (min(width, height) < max(8, 2 * by))
                    if found is not None:
                        decoded += 1
                        assert np.array_equal(found, np.asarray(by_pillow(data, by))), (width, height, by)
        assert decoded == 33**2 + 33**2 + 25**2

    def test_leave_a_file_of_another_size_than_its_header_said_to_pillow(self) -> None:
        assert fast_decoders.jpeg(jpeg(photograph(64, 48)), "RGB", (64, 32), 2) is None

    def test_without_vector_instructions_have_the_same_bits(self) -> None:
        """So that golden pixels are the same on every CPU; libjpeg-turbo reads the variable when it starts."""
        program = (
            "import hashlib, io, sys, numpy, simplejpeg; from PIL import Image\n"
            "data, digest = sys.stdin.buffer.read(), hashlib.sha256()\n"
            "for by in (1, 2, 4, 8):\n"
            "    image = Image.open(io.BytesIO(data))\n"
            "    image.draft(image.mode, (image.width // by, image.height // by))\n"
            "    height, width = -(-197 // by), -(-301 // by)\n"
            "    other = simplejpeg.decode_jpeg(data, 'RGB', min_height=height, min_width=width)\n"
            "    assert other.shape[:2] == (height, width)\n"
            "    digest.update(numpy.asarray(image).tobytes() + other.tobytes())\n"
            "print(digest.hexdigest())"
        )
        digests = set()
        for variables in ({}, {"JSIMD_FORCENONE": "1"}):
            done = subprocess.run(
                [sys.executable, "-c", program],
                input=jpeg(photograph(301, 197)),
                env={**os.environ, **variables},
                capture_output=True,
                check=True,
            )
            digests.add(done.stdout)
        assert len(digests) == 1


# --- an oracle that turns and cuts by itself

UPRIGHT = {
    1: lambda x, y, w, h: (x, y),
    2: lambda x, y, w, h: (w - x, y),
    3: lambda x, y, w, h: (w - x, h - y),
    4: lambda x, y, w, h: (x, h - y),
    5: lambda x, y, w, h: (y, x),
    6: lambda x, y, w, h: (h - y, x),
    7: lambda x, y, w, h: (h - y, w - x),
    8: lambda x, y, w, h: (y, w - x),
}
"""EXIF orientation -> where a point of a stored image of size w x h lies in the upright one."""


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Return pixels turned by moving each to its place."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[:height, :width]
    to_x, to_y = UPRIGHT[orientation](x, y, width - 1, height - 1)
    turned = np.empty((to_y.max() + 1, to_x.max() + 1, 3), np.uint8)
    turned[to_y, to_x] = pixels
    return turned


def expected(data: bytes, rule: InputSpec, by: int, box: bool = True) -> Pixels:
    """Return a JPEG's pixels by Pillow alone, decoded at 1/by.

    Args:
        data: the file.
        rule: what the model takes.
        by: the denominator.
        box: whether the picture's part is resized; else all of the decoded image.
    """
    stored = Image.open(io.BytesIO(data))
    orientation = stored.getexif().get(ORIENTATION, 1) if rule.exif_orientation else 1
    small = by_pillow(data, by).convert("RGB")
    corners = [(0.0, 0.0), (stored.width / by, stored.height / by)]
    (x0, y0), (x1, y1) = (UPRIGHT[orientation](x, y, *small.size) for x, y in corners)
    part: Box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
    image = Image.fromarray(upright(np.asarray(small), orientation))
    kernel = getattr(Image.Resampling, rule.resize.upper())
    return np.asarray(image.resize((rule.width, rule.height), kernel, part if box else None))


def orientations(width: int, height: int) -> Iterator[tuple[int, bytes]]:
    for orientation in UPRIGHT:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        yield orientation, saved(photograph(width, height), "JPEG", quality=90, exif=exif)


class TestPictures:
    @pytest.mark.parametrize("resize", ["bilinear", "bicubic", "lanczos"])
    @pytest.mark.parametrize(("side", "by"), [(8, 8), (12, 4), (30, 2), (70, 1)])
    def test_are_what_pillow_makes_of_the_part_of_the_small_image_that_is_the_picture(
        self, resize: Resize, side: int, by: int
    ) -> None:
        rule = InputSpec(side, side + 1, "rgb", resize, decode="reduced")
        for _, data in orientations(181, 163):
            for wanted in (rule, replace(rule, exif_orientation=False)):
                assert np.array_equal(decode(data, wanted), expected(data, wanted, by))

    @pytest.mark.parametrize("size", [(137, 145), (144, 141), (129, 136), (201, 193)])
    def test_of_files_that_are_turned_keep_their_place(self, size: tuple[int, int]) -> None:
        """At 1/8 up to 7/8 of a pixel at one edge or another is padding; a box at the wrong edge is worse than none."""
        rule = replace(REDUCED, height=4, width=4)
        for orientation, data in orientations(*size):
            whole = decode(data, replace(rule, decode="full")).astype(int)
            off = abs(decode(data, rule) - whole).mean()
            assert off < 1.3, orientation
            assert off < abs(expected(data, rule, 8, box=False) - whole).mean() / 3, orientation

    @pytest.mark.parametrize("kind", ["4:2:0", "progressive 4:2:0"])
    def test_of_12_megapixels_are_those_of_full_decoding_within_a_grey_level(self, kind: str) -> None:
        data = jpeg(photograph(3999, 3001), kind)
        rule = InputSpec(224, 224, "rgb", decode="reduced")
        whole = decode(data, replace(rule, decode="full")).astype(int)
        off = abs(decode(data, rule) - whole)
        assert off.mean() < 0.3
        assert (off > 8).mean() < 0.001
        assert abs(expected(data, rule, 4, box=False) - whole).mean() > 1.5 * off.mean()

    @pytest.mark.parametrize("mode", ["CMYK", "L", "RGB"])
    @pytest.mark.parametrize("color_mode", ["grayscale", "rgb"])
    def test_of_every_mode_are_decoded_in_the_files_own(self, mode: str, color_mode: Any) -> None:
        rule = InputSpec(9, 7, color_mode, decode="reduced")
        data = saved(photograph(131, 149).convert(mode), "JPEG", quality=95)
        small = by_pillow(data, 8).convert("L" if color_mode == "grayscale" else "RGB")
        shown = np.asarray(small.resize((7, 9), Image.Resampling.BILINEAR, (0, 0, 131 / 8, 149 / 8)))
        found = decode(data, rule)
        assert np.array_equal(found, shown.reshape(rule.shape))
        assert abs(found - decode(data, replace(rule, decode="full")).astype(int)).mean() < 2

    def test_of_a_few_pixels_are_those_that_pillow_gives(self) -> None:
        rule = replace(REDUCED, height=1, width=1)
        for width in range(4, 9):
            for height in range(4, 9):
                data = jpeg(photograph(60, 50).crop((20, 10, 20 + width, 10 + height)))
                by = 4 if width == height == 8 else 2
                assert np.array_equal(decode(data, rule), expected(data, rule, by)), (width, height)

    def test_of_other_formats_are_decoded_in_full(self) -> None:
        pixels = np.asarray(photograph(200, 160))
        encoded = [png(pixels, 2), *(saved(pixels, form) for form in ("BMP", "GIF", "TIFF", "WEBP", "PPM"))]
        for data in encoded:
            assert np.array_equal(decode(data, REDUCED), decode(data, FULL))

    def test_in_a_batch_are_those_of_each_alone(self) -> None:
        encoded = [jpeg(photograph(300, 200), kind) for kind in ENCODERS]
        batch = preprocess(EncodedBatch(ImageColumns.of(list(ENCODERS)), encoded), REDUCED)
        assert not batch.images.failures
        assert all(
            np.array_equal(found, decode(data, REDUCED)) for found, data in zip(batch.pixels, encoded, strict=True)
        )


class TestDamage:
    @pytest.mark.heavy
    @pytest.mark.parametrize("kind", ["4:2:0", "progressive 4:2:2", "gray", "CMYK"])
    def test_is_told_as_it_is_of_a_file_decoded_in_full(self, kind: str) -> None:
        choose = random.Random(kind)
        picture = photograph(71, 66)
        whole = saved(picture.convert("CMYK"), "JPEG") if kind == "CMYK" else jpeg(picture, kind)
        encoded = [mutated(whole, whole, choose) for _ in range(400)] + [
            whole[:end] for end in range(0, len(whole), 29)
        ]
        names = ImageColumns.of([str(i) for i in range(len(encoded))])
        for side in (1, 4, 8, 16):
            rule = replace(REDUCED, height=side, width=side)
            reduced, full = (
                preprocess(EncodedBatch(names, encoded), asked, 10**6) for asked in (rule, replace(rule, decode="full"))
            )
            assert reduced.images.failures == full.images.failures
            assert len(encoded) / 10 < len(full.images.failures) < len(encoded)

    def test_more_pixels_than_allowed_are_those_of_the_whole_file(self) -> None:
        data = jpeg(photograph(160, 100))
        names = ImageColumns.of(["a"])
        assert not preprocess(EncodedBatch(names, [data]), REDUCED, 16_000).images.failures
        assert preprocess(EncodedBatch(names, [data]), REDUCED, 15_999).images.failures[0].code == "RESOURCE_EXHAUSTED"


def test_only_a_rule_with_an_antialiased_filter_that_decodes_in_full_may_reduce() -> None:
    assert may_reduce(FULL)
    assert not may_reduce(REDUCED)
    assert not may_reduce(replace(FULL, resize="nearest"))
