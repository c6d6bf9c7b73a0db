"""What archives contain, decoded and resized: each kind against pixels that were worked out by hand or by NumPy."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pictures import (
    FINE,
    GREY,
    HEIGHT,
    KINDS,
    LOSSLESS,
    ORIENTATION,
    PICTURE,
    RAMP,
    SCALED,
    WIDTH,
    Pixels,
    chunk,
    luma,
    png,
    saved,
    tiff,
)
from PIL import Image, ImageFile

from pipeline.batches import EncodedBatch, Failure, ImageColumns
from pipeline.model.input_rule import InputSpec, Resize
from pipeline.model.preprocess import decode, preprocess
from pipeline.options import MAX_PIXELS

PILLOW_WARNS = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
"""Of TIFF ("Truncated File Read", "Corrupt EXIF data", "Metadata Warning") and of APNG ("Invalid APNG")."""


def spec_of(pixels: Pixels, color_mode: str = "rgb", **rules: Any) -> InputSpec:
    """Return a spec with which the pixels need no resizing."""
    mode: Any = color_mode
    return InputSpec(pixels.shape[0], pixels.shape[1], mode, **rules)


def run(*encoded: bytes, spec: InputSpec) -> tuple[npt.NDArray[np.uint8], dict[int, Failure]]:
    columns = ImageColumns.of([str(i) for i in range(len(encoded))])
    batch = preprocess(EncodedBatch(columns, encoded), spec)
    assert batch.pixels.shape == (len(encoded), spec.height, spec.width, spec.channels)
    return batch.pixels, dict(batch.images.failures)


def pixels_of(data: bytes, spec: InputSpec) -> npt.NDArray[np.uint8]:
    pixels, failures = run(data, spec=spec)
    assert failures == {}
    found: npt.NDArray[np.uint8] = pixels[0]
    return found


def failure_of(data: bytes, spec: InputSpec) -> Failure:
    """Return why an image failed; its pixels are zero, and its message is the same every time."""
    pixels, failures = run(data, spec=spec)
    assert not pixels.any()
    assert failures == run(data, spec=spec)[1]
    assert failures[0].stage == "preprocess"
    assert failures[0].message
    return failures[0]


def assert_close(found: Pixels, expected: Pixels, off: int) -> None:
    np.testing.assert_allclose(found.astype(int), expected.astype(int), rtol=0, atol=off)


class TestKinds:
    @pytest.mark.parametrize("name", KINDS)
    def test_become_the_rgb_pixels_that_they_show(self, name: str) -> None:
        kind = KINDS[name]
        assert_close(pixels_of(kind.data, spec_of(PICTURE)), kind.rgb, kind.off)

    @pytest.mark.parametrize("name", KINDS)
    def test_become_the_grey_pixels_that_they_show(self, name: str) -> None:
        kind = KINDS[name]
        off = 1 if kind.off == 0 else kind.off
        assert_close(pixels_of(kind.data, spec_of(PICTURE, "grayscale"))[..., 0], luma(kind.rgb), off)

    def test_16_bits_are_scaled_and_rounded_and_not_cut_off(self) -> None:
        values = np.array([[0, 128, 129, 256, 257, 32767, 32768, 65406, 65407, 65535]], np.uint16)
        found = pixels_of(tiff(values), spec_of(values, "grayscale"))[..., 0]
        assert found.tolist() == [[0, 0, 1, 1, 1, 127, 128, 254, 255, 255]]

    @pytest.mark.parametrize(
        ("pixels", "message"),
        [
            (np.array([[0.0, 1.5]], np.float32), "pixels from 0 to 1.5: expected 0 to 1 in mode F"),
            (np.array([[-0.5, 1.0]], np.float32), "pixels from -0.5 to 1"),
            (np.array([[0.0, np.nan]], np.float32), "pixels from nan to nan"),
            (np.array([[0.0, np.inf]], np.float32), "pixels from 0 to inf"),
            (np.array([[0, 65536]], np.int32), "pixels from 0 to 65536: expected 0 to 65535 in mode I"),
            (np.array([[-1, 5]], np.int32), "pixels from -1 to 5"),
        ],
    )
    def test_values_out_of_range_are_refused_and_told(self, pixels: Pixels, message: str) -> None:
        failure = failure_of(tiff(pixels), spec_of(pixels, "grayscale"))
        assert failure.code == "INVALID_ARGUMENT"
        assert failure.message.startswith(message)


class TestOrientation:
    UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {  # noqa: RUF012 - what CIPA DC-008 says of the tag's values
        1: lambda stored: stored,
        2: lambda stored: stored[:, ::-1],
        3: lambda stored: stored[::-1, ::-1],
        4: lambda stored: stored[::-1],
        5: lambda stored: stored.swapaxes(0, 1),
        6: lambda stored: np.rot90(stored, -1),
        7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
        8: lambda stored: np.rot90(stored),
    }
    FORMATS: dict[str, dict[str, Any]] = {"JPEG": FINE, "PNG": {}, "TIFF": {}, "WEBP": LOSSLESS}  # noqa: RUF012

    @pytest.mark.parametrize("orientation", UPRIGHT)
    @pytest.mark.parametrize("form", FORMATS)
    @pytest.mark.parametrize("wanted", [True, False])
    def test_is_applied_where_the_spec_says_so_and_nowhere_else(
        self, form: str, orientation: int, wanted: bool
    ) -> None:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        data = saved(PICTURE, form, exif=exif, **self.FORMATS[form])
        expected = self.UPRIGHT[orientation](PICTURE) if wanted else PICTURE
        assert_close(pixels_of(data, spec_of(expected, exif_orientation=wanted)), expected, 3)

    @pytest.mark.parametrize("wanted", [True, False])
    def test_of_a_16_bit_tiff_is_applied_as_well(self, wanted: bool) -> None:
        expected = np.rot90(SCALED) if wanted else SCALED
        spec = spec_of(expected, "grayscale", exif_orientation=wanted)
        assert_close(pixels_of(tiff(RAMP, ">", t274=8), spec)[..., 0], expected, 0)

    def test_is_applied_before_resizing(self) -> None:
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        half = InputSpec(WIDTH // 2, HEIGHT // 2, "rgb", "nearest")
        found = pixels_of(saved(PICTURE, "PNG", exif=exif), half)
        assert_close(found, np.rot90(PICTURE, -1)[::2, ::2], 0)

    @given(st.binary(max_size=80))
    @example(b"")
    @example(b"Exif\0\0")
    @example(b"Exif\0\0II*\0")
    @example(b"Exif\0\0II*\0\xff\xff\xff\x7f")
    @example(b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x09\0\0\0\0\0\0")  # orientation 9
    @example(b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04six\0\0\0\0\0")  # orientation "six"
    @example(b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x05\0\0\0\x01\0\0\0\x1a" + bytes(12))  # orientation 0/0
    @example(b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\xff\xff\xff\xff\0\0\0\0\0\0\0\0")  # 2**32 - 1 of them
    @example(b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12\0\x0d\0\0\0\x01\0\0\0\x08")  # points at itself
    @PILLOW_WARNS
    def test_that_cannot_be_read_is_ignored(self, exif: bytes) -> None:
        for form in ("JPEG", "PNG", "WEBP"):
            how = {**self.FORMATS[form], "exif": exif} if exif else self.FORMATS[form]
            shown = pixels_of(saved(PICTURE, form, **how), InputSpec(8, 8, "grayscale"))
            assert shown.any(), form

    @PILLOW_WARNS
    @pytest.mark.parametrize("profile", ["", "\nexif\n", "\nexif\n 4\nzz", "\nexif\n 8\n4949"])
    def test_in_an_old_text_chunk_that_cannot_be_read_is_ignored(self, profile: str) -> None:
        text = chunk(b"tEXt", b"Raw profile type exif\0" + profile.encode())
        assert_close(pixels_of(png(PICTURE, 2, False, text), spec_of(PICTURE)), PICTURE, 0)

    @PILLOW_WARNS
    @pytest.mark.parametrize("pointer", [0, 1, 7, 10_000, 2**32 - 1])
    def test_next_to_broken_camera_tags_is_still_applied(self, pointer: int) -> None:
        found = pixels_of(tiff(GREY, t274=3, t34665=pointer), spec_of(GREY, "grayscale"))[..., 0]
        assert_close(found, GREY[::-1, ::-1], 0)


class TestResizing:
    KERNELS: dict[Resize, tuple[float, Callable[[Pixels], Pixels]]] = {  # noqa: RUF012
        "bilinear": (1, lambda x: np.clip(1 - abs(x), 0, None)),
        "bicubic": (
            2,
            lambda x: (
                np.where(
                    abs(x) < 1, 1.5 * abs(x) ** 3 - 2.5 * x**2 + 1, -0.5 * abs(x) ** 3 + 2.5 * x**2 - 4 * abs(x) + 2
                )
                * (abs(x) < 2)
            ),
        ),
        "lanczos": (3, lambda x: np.sinc(x) * np.sinc(x / 3) * (abs(x) < 3)),
    }

    def resized(self, pixels: Pixels, n: int, axis: int, resize: Resize) -> Pixels:
        """Weigh every source pixel by the filter, stretched by the scale where that is above 1 (antialiasing)."""
        support, kernel = self.KERNELS[resize]
        scale = pixels.shape[axis] / n
        wide = max(scale, 1)
        centers = (np.arange(n) + 0.5) * scale
        distance = np.arange(pixels.shape[axis]) + 0.5 - centers[:, None]
        weights = np.where(abs(distance) < support * wide, kernel(distance / wide), 0)
        weights /= weights.sum(axis=1, keepdims=True)
        return np.moveaxis(np.tensordot(weights, pixels, (1, axis)), 0, axis)

    @pytest.mark.parametrize("resize", KERNELS)
    @pytest.mark.parametrize("size", [(5, 7), (12, 8), (64, 40), (3, 50), (24, 5), (1, 1)])
    def test_is_antialiased_and_does_not_keep_the_aspect_ratio(self, resize: Resize, size: tuple[int, int]) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, PICTURE.shape).astype(np.uint8)
        across = np.clip(np.rint(self.resized(pixels, size[1], 1, resize)), 0, 255)
        expected = np.clip(np.rint(self.resized(across, size[0], 0, resize)), 0, 255)
        found = pixels_of(png(pixels, 2), InputSpec(*size, "rgb", resize))
        assert_close(found, expected, 2)

    @pytest.mark.parametrize("size", [(12, 8), (16, 32), (48, 64), (1, 1)])
    def test_to_the_nearest_takes_the_pixel_under_each_center(self, size: tuple[int, int]) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, PICTURE.shape).astype(np.uint8)
        rows, columns = ([int((i + 0.5) * n / m) for i in range(m)] for n, m in zip(pixels.shape, size, strict=False))
        assert_close(pixels_of(png(pixels, 2), InputSpec(*size, "rgb", "nearest")), pixels[np.ix_(rows, columns)], 0)

    @pytest.mark.parametrize("shape", [(1, 300), (300, 1), (1, 1), (1, 20_000)])
    def test_takes_images_one_pixel_wide_or_high(self, shape: tuple[int, int]) -> None:
        found = pixels_of(png(np.full(shape, 99, np.uint8), 0), InputSpec(4, 5, "rgb"))
        assert set(found.flat) == {99}


def claiming(width: int, height: int) -> Iterator[tuple[str, bytes]]:
    """Yield small files whose headers claim such a size."""
    yield (
        "PNG",
        png(np.zeros((1, 1), np.uint8), 0).replace(
            chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)),
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        ),
    )
    jpeg = bytearray(saved(GREY, "JPEG"))
    struct.pack_into(">HH", jpeg, jpeg.index(b"\xff\xc0") + 5, height, width)
    yield "JPEG", bytes(jpeg)
    gif = bytearray(saved(GREY, "GIF"))
    struct.pack_into("<HH", gif, 6, width, height)
    yield "GIF", bytes(gif)
    bmp = bytearray(saved(GREY, "BMP"))
    struct.pack_into("<ii", bmp, 18, width, height)
    yield "BMP", bytes(bmp)
    yield "TIFF", tiff(GREY, t256=width, t257=height)
    webp = bytearray(saved(PICTURE, "WEBP", **LOSSLESS))
    at = webp.index(b"VP8L") + 9
    (sizes,) = struct.unpack_from("<I", webp, at)
    struct.pack_into("<I", webp, at, sizes & ~0xFFFFFFF | (width - 1) | (height - 1) << 14)
    yield "WebP", bytes(webp)


CLAIMING = dict(claiming(16_000, 16_000))


class TestRefusing:
    def test_image_of_a_kind_that_is_not_read_is_told_by_its_name(self) -> None:
        failure = failure_of(b"\xff\x0a\x10", spec_of(PICTURE))
        assert failure.code == "UNIMPLEMENTED"
        assert failure.message == "it is of the kind JPEG XL, whatever its name says: convert it to JPEG or PNG"

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"", "empty file"),
            (b"<!DOCTYPE html><html>", "image: starts with b'<!DOCTYPE ht'"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7\nsize 9\n", "fetch it with git lfs pull"),
            (b"\x89PNG", "not a PNG"),
            (b"%PDF-1.7", "not a PNG"),
            (b"RIFF\0\0\0\0WAVE", "not a PNG"),
            (b"\0\0\0\x1cftypisom", "not a PNG"),
            (b"\0\0\0\x1cftypavif", "cannot be decoded"),
            (b"\x1f\x8b\x08\0", "not a PNG"),
        ],
    )
    def test_what_is_no_image_is_told(self, data: bytes, message: str) -> None:
        failure = failure_of(data, spec_of(PICTURE))
        assert failure.code == "INVALID_ARGUMENT"
        assert message in failure.message

    @pytest.mark.parametrize("form", CLAIMING)
    def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(self, form: str) -> None:
        data = CLAIMING[form]
        started = time.process_time()
        failure = failure_of(data, spec_of(PICTURE))
        assert failure.code == "RESOURCE_EXHAUSTED"
        assert "16000 x 16000" in failure.message
        assert f"--max_pixels {MAX_PIXELS}" in failure.message
        assert time.process_time() - started < 0.5

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_limit_of_pixels_is_the_largest_that_is_decoded(self, kind: str) -> None:
        data, spec = KINDS[kind].data, spec_of(PICTURE)
        assert decode(data, spec, WIDTH * HEIGHT).any()
        batch = preprocess(EncodedBatch(ImageColumns.of(["a"]), [data]), spec, WIDTH * HEIGHT - 1)
        assert batch.images.failures[0].code == "RESOURCE_EXHAUSTED"

    def test_a_first_frame_of_too_many_pixels_is_refused_before_it_is_decoded(self) -> None:
        data, frame = saved(GREY, "GIF"), struct.pack("<cHHHH", b",", 0, 0, WIDTH, HEIGHT)
        assert data.count(frame) == 1
        data = data.replace(frame, struct.pack("<cHHHH", b",", 0, 0, 60_000, 60_000))
        assert failure_of(data, spec_of(PICTURE)).code == "RESOURCE_EXHAUSTED"

    def test_a_format_that_pillow_knows_and_we_do_not_is_never_parsed(self) -> None:
        assert failure_of(saved(PICTURE, "PCX"), spec_of(PICTURE)).message.startswith("not a PNG")

    def test_one_image_leaves_the_others_as_they_are(self) -> None:
        spec = spec_of(PICTURE)
        pixels, failures = run(KINDS["PNG RGB"].data, b"", KINDS["GIF"].data, b"BM", spec=spec)
        assert list(failures) == [1, 3]
        assert np.array_equal(pixels[0], PICTURE)
        assert np.array_equal(pixels[2], PICTURE)
        assert not pixels[1].any()
        assert not pixels[3].any()

    def test_what_failed_before_is_not_looked_at_and_keeps_its_reason(self) -> None:
        gone = Failure("read", "NOT_FOUND", "gone")
        columns = ImageColumns.of(["a", "b"]).failed({0: gone})
        batch = preprocess(EncodedBatch(columns, [KINDS["PNG RGB"].data, b""]), spec_of(PICTURE))
        assert batch.images.failures[0] is gone
        assert batch.images.failures[1].message == "empty file"
        assert not batch.pixels.any()

    def test_a_batch_of_nothing_is_a_batch_of_nothing(self) -> None:
        assert len(run(spec=spec_of(PICTURE))[0]) == 0


DAMAGED_KINDS = [name for name in KINDS if name not in {"TIFF big", "PNG grey", "BMP", "TIFF float, big endian"}]


@PILLOW_WARNS
class TestDamage:
    @pytest.mark.parametrize("name", DAMAGED_KINDS)
    def test_a_truncated_file_fails_or_shows_the_whole_image(self, name: str) -> None:
        """The missing part is never painted black and scored."""
        assert not ImageFile.LOAD_TRUNCATED_IMAGES
        data, spec = KINDS[name].data, spec_of(PICTURE)
        whole = pixels_of(data, spec)
        ends = sorted({*range(0, len(data), max(1, len(data) // 100)), *range(max(0, len(data) - 20), len(data))})
        pixels, failures = run(*(data[:end] for end in ends), spec=spec)
        assert len(failures) > len(ends) // 3
        for i, end in enumerate(ends):
            if i not in failures:
                assert np.array_equal(pixels[i], whole), f"{end} of {len(data)} bytes"

    @pytest.mark.parametrize("claimed", [{"t256": 2 * WIDTH, "t322": WIDTH, "t323": HEIGHT}, {"t257": HEIGHT + 1}])
    def test_a_tiff_that_lacks_strips_is_not_completed_in_black(self, claimed: dict[str, int]) -> None:
        failure_of(tiff(GREY, **claimed), spec_of(PICTURE))

    @pytest.mark.parametrize("name", DAMAGED_KINDS)
    def test_mutated_files_are_rows_and_take_no_time(self, name: str) -> None:
        rng = random.Random(name)
        data = KINDS[name].data
        damaged = [mutated(data, rng) for _ in range(250)]
        spec = InputSpec(8, 8, "rgb")
        started = time.process_time()
        pixels, failures = run(*damaged, spec=spec)
        assert time.process_time() - started < 20
        assert {failure.stage for failure in failures.values()} == {"preprocess"}
        for i, failure in failures.items():
            assert failure.message
            assert " at 0x" not in failure.message, "the same image must give the same row"
            assert not pixels[i].any()


def mutated(whole: bytes, rng: random.Random) -> bytes:
    """Return bytes with a few of them changed, cut out or put in."""
    data = bytearray(whole)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        at, kind = rng.randrange(len(data)), rng.random()
        if kind < 0.7:
            data[at] = rng.choice([0, 255, rng.randrange(256), data[at] ^ 1 << rng.randrange(8)])
        elif kind < 0.85:
            del data[at : at + rng.randrange(1, 8)]
        else:
            data[at:at] = rng.randbytes(rng.randrange(1, 6))
        if not data:
            data = bytearray(b"x")
    return bytes(data)
