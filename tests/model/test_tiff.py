"""TIFFs of every layout give the pixels that their tags say, or a failed row that says what is not read."""

from __future__ import annotations

import io
import re
import struct
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image
from tiffs import (
    BLACK,
    CMYK,
    DEFLATE,
    FLOAT,
    HEIGHT,
    LZW,
    PACKBITS,
    PALETTE,
    RAW,
    RGB,
    SIGNED,
    UNSIGNED,
    WHITE,
    WIDTH,
    Tiff,
    matrix,
)

from pipeline.batches import EncodedBatch, Failure, ImageColumns
from pipeline.model.input_rule import InputSpec
from pipeline.model.preprocess import preprocess

RULE = InputSpec(HEIGHT, WIDTH, "rgb", background="drop")
LAYOUTS = list(matrix())
SOME = [tiff for tiff in LAYOUTS if zlib.crc32(tiff.name.encode()) % 149 == 0]
MANY = [tiff for tiff in LAYOUTS if zlib.crc32(tiff.name.encode()) % 9 == 0]
IN_WORDS = re.compile(r"(not read|choose (one or )?three with --bands)$")


def read(data: bytes, **rule: Any) -> npt.NDArray[np.uint8] | str:
    """Return the pixels, or the message of the failed row."""
    made = preprocess(EncodedBatch(ImageColumns.of(["a.tif"]), [data]), replace(RULE, **rule))
    return made.images.failures[0].message if made.images.failures else made.pixels[0]


def shown(layout: Tiff, samples: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return what these samples show, as red, green and blue, by rule and without our reader."""
    values = samples.astype(np.float64)
    full = 1.0 if layout.kind == FLOAT else 2.0**layout.bits - 1
    if layout.bits == 32 or layout.kind == SIGNED:  # which are not scaled: 65535 is white, as of 16 bits
        full = {FLOAT: 1.0}.get(layout.kind, 255.0 if layout.bits == 8 else 65535.0)
    is_color = layout.photometric in (RGB, CMYK) or layout.count > 1
    if is_color and layout.kind == UNSIGNED and layout.bits > 8:
        eight = np.floor(values / 2 ** (layout.bits - 8))
    else:
        eight = np.rint((full - values if layout.photometric == WHITE else values) * 255 / full)
    if layout.photometric == CMYK:
        ink, black = eight[:, :, :3], eight[:, :, 3:]
        return np.clip(np.rint((255 - ink) * (255 - black) / 255), 0, 255).astype(np.uint8)
    bands = [0, 1, 2] if is_color and layout.count > 2 else [0, 0, 0]
    return eight[:, :, bands].astype(np.uint8)


def fault(layout: Tiff) -> str | None:
    """Return what is wrong with the pixels of a layout; None: they are right, or refused in words."""
    samples = layout.samples()
    found = read(layout.data(samples))
    if isinstance(found, str):
        return None if IN_WORDS.search(found) else f"{layout.name}: {found}"
    off = int(np.abs(found.astype(int) - shown(layout, samples)).max())
    return f"{layout.name}: off by {off}" if off > (layout.photometric == CMYK) else None


def test_some_layouts_are_read_as_their_tags_say_or_refused_in_words() -> None:
    assert len(SOME) > 50
    assert [text for tiff in SOME if (text := fault(tiff))] == []


@pytest.mark.heavy
def test_many_layouts_are_read_as_their_tags_say_or_refused_in_words() -> None:
    assert len(MANY) >= 600
    assert [text for tiff in MANY if (text := fault(tiff))] == []


@pytest.mark.heavy
def test_many_layouts_are_what_a_second_reader_finds_in_them() -> None:
    other = []
    for layout in MANY:
        samples = layout.samples()
        stored = tifffile.imread(io.BytesIO(layout.data(samples)), key=0)
        stored = stored.reshape(-1, HEIGHT, WIDTH).transpose(1, 2, 0) if layout.is_planar else stored
        if not np.array_equal(stored.reshape(samples.shape), samples):
            other.append(layout.name)
    assert other == []


@pytest.mark.parametrize("compression", [RAW, LZW, DEFLATE, PACKBITS])
@pytest.mark.parametrize("block", ["strip", "strips", "tiles"])
@pytest.mark.parametrize("sizes", [None, 0])
def test_blocks_are_read_whose_sizes_no_tag_tells(compression: int, block: Any, sizes: int | None) -> None:
    layout = Tiff(photometric=RGB, count=3, is_planar=True, compression=compression, block=block)
    samples, tag = layout.samples(), "t325" if block == "tiles" else "t279"
    assert np.array_equal(read(layout.data(samples, **{tag: sizes})), samples)


@pytest.mark.filterwarnings("ignore:::PIL")  # Pillow's remark; that a person never sees it is held elsewhere
def test_a_tag_before_those_that_are_needed_is_told_if_its_values_are_not_in_the_file() -> None:
    data = Tiff(photometric=RGB, count=3).data(Tiff(photometric=RGB, count=3).samples(), t270=0, t40000=0)
    for tag, message in ((270, "tag 270: 2147483647 values are claimed, more than the file holds"), (40000, None)):
        at = data.index(struct.pack("<HHI", tag, 4, 1))
        found = read(data[: at + 4] + struct.pack("<I", 2**31 - 1) + data[at + 8 :])
        assert found == message if message else not isinstance(found, str)


@pytest.mark.parametrize("is_big", [False, True])
def test_a_directory_cut_anywhere_is_told(is_big: bool) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(buffer, "TIFF", big_tiff=is_big)
    head, entry = (16 + 8, 20) if is_big else (8 + 2, 12)
    for length in range(head, head + 9 * entry):
        assert read(buffer.getvalue()[:length]) == "the directory of tags is cut short"
    assert read(buffer.getvalue()[: head - 1]) == "the directory of tags is not in the file"


GREY16 = Tiff(16, photometric=WHITE)
BANDS13 = Tiff(16, count=13, extra=(0,) * 12)


class TestBands:
    @pytest.mark.parametrize("is_planar", [False, True])
    @pytest.mark.parametrize("compression", [1, LZW, DEFLATE])
    def test_three_of_many_are_red_green_and_blue(self, is_planar: bool, compression: int) -> None:
        layout = replace(BANDS13, is_planar=is_planar, compression=compression, block="tiles")
        samples = layout.samples()
        found = read(layout.data(samples), bands="4,3,2")
        assert np.array_equal(found, samples[:, :, [3, 2, 1]] >> 8)

    def test_one_of_many_is_grey_of_its_depth(self) -> None:
        samples = BANDS13.samples()
        found = read(BANDS13.data(samples), bands="13", color_mode="grayscale")
        assert np.array_equal(found[:, :, 0], np.rint(samples[:, :, 12] / 257))

    def test_they_may_be_chosen_of_four_as_well_and_one_may_be_taken_twice(self) -> None:
        layout = Tiff(photometric=RGB, count=4, extra=(0,))
        samples = layout.samples()
        assert np.array_equal(read(layout.data(samples), bands="4,4,1"), samples[:, :, [3, 3, 0]])

    def test_too_many_in_a_block_are_told_with_the_option_that_allows_them(self) -> None:
        batch = EncodedBatch(ImageColumns.of(["a.tif"]), [BANDS13.data(BANDS13.samples())])
        rule = replace(RULE, bands="4,3,2")
        assert preprocess(batch, rule, max_pixels=HEIGHT * WIDTH).images.failures[0] == Failure(
            "preprocess",
            "RESOURCE_EXHAUSTED",
            "13 bands of 16 bits in blocks of 37 x 21 pixels: too many values at once; raise --max_pixels",
        )
        assert preprocess(batch, rule, max_pixels=13 * HEIGHT * WIDTH // 4 + 1).images.failures == {}

    def test_one_that_is_not_there_is_told(self) -> None:
        assert read(BANDS13.data(BANDS13.samples()), bands="14,1,2") == (
            "there is no band 14: the image has 13 bands of 16 bits"
        )

    def test_many_are_a_failed_row_that_says_what_to_do(self) -> None:
        assert read(BANDS13.data(BANDS13.samples())) == "13 bands of 16 bits: choose three with --bands"

    @pytest.mark.parametrize("layout", [Tiff(), Tiff(16), GREY16, Tiff(photometric=PALETTE)], ids=lambda t: t.name)
    def test_images_of_one_band_are_as_without_the_option(self, layout: Tiff) -> None:
        data = layout.data(layout.samples())
        assert np.array_equal(read(data, bands="4,3,2"), read(data))


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("is_applied", [True, False])
def test_what_pillow_cannot_read_is_turned_as_what_it_can(turn: int, is_applied: bool) -> None:
    eight, sixteen = Tiff(photometric=BLACK), Tiff(16, photometric=WHITE)
    values = eight.samples()
    rule: dict[str, Any] = {"exif_orientation": is_applied, "resize": "nearest"}
    negative = 65535 - values.astype(np.uint16) * 257
    turned = read(eight.data(values, t274=turn), **rule)
    assert np.array_equal(read(sixteen.data(negative, t274=turn), **rule), turned)


@pytest.mark.parametrize("deep", ["round", "high_byte", "clip"])
def test_twelve_bits_are_as_bright_as_eight(deep: Any) -> None:
    values = Tiff().samples()
    twelve = np.rint(values * (4095 / 255)).astype(np.uint16)
    found = read(Tiff(12).data(twelve), deep=deep)
    expected = np.minimum(twelve, 255) if deep == "clip" else values
    assert np.abs(found.astype(int) - expected).max() <= (deep == "high_byte")


class TestRefusing:
    @pytest.mark.parametrize(
        ("layout", "tags", "message"),
        [
            (Tiff(count=3, photometric=8), {}, "its colors are CIE Lab: not read"),
            (Tiff(16, count=3, photometric=6), {}, "3 bands of 16 bits with YCbCr in compression 1 are not read"),
            (Tiff(), {"t259": 34887}, "1 band of 8 bits in LERC are not read"),
            (Tiff(photometric=32803), {}, "its colors are a camera's color filter array (raw): not read"),
            (Tiff(count=2, extra=(0,)), {}, "2 bands of 8 bits: choose one or three with --bands"),
            (GREY16, {"t256": 70_000, "t257": 70_000}, "image of 70000 x 70000 pixels is larger than --max_pixels"),
            (GREY16, {"t256": 900}, "block 0 of the pixels is cut short"),
            (GREY16, {"t278": 3}, "1 of 7 blocks of pixels are stored"),
            (GREY16, {"t273": 0}, "block 0 of the pixels is not in the file"),
            (GREY16, {"t273": 1 << 30}, "block 0 of the pixels is not in the file"),
            (GREY16, {"t277": 60_000}, "60000 bands: at most 64 are read"),
            (GREY16, {"t256": None}, "the width (tag 256) is missing"),
            (GREY16, {"t257": None}, "the height (tag 257) is missing"),
            (Tiff(block="tiles"), {"t322": None}, "the width of a tile (tag 322) is missing"),
            (Tiff(block="tiles"), {"t323": 0}, "an image of 37 x 21 pixels in tiles of 16 x 0 pixels"),
            (Tiff(photometric=PALETTE), {"t320": None}, "the palette (tag 320) is missing"),
            (Tiff(photometric=PALETTE), {"t320": 7}, "the palette (tag 320): 1 of 768 values are there"),
            (Tiff(photometric=RGB), {}, "1 band of 8 bits as red, green and blue are not read"),
            (Tiff(photometric=CMYK, count=5, is_planar=True), {}, "5 bands of 8 bits as inks are not read"),
        ],
        ids=str,
    )
    def test_says_what_is_not_read(self, layout: Tiff, tags: dict[str, int | None], message: str) -> None:
        found = read(layout.data(layout.samples(), **tags))
        assert isinstance(found, str)
        assert message in found

    @pytest.mark.parametrize("compression", [1, LZW, DEFLATE, 32773])
    def test_a_file_cut_short_anywhere_is_a_failed_row(self, compression: int) -> None:
        layout = replace(GREY16, compression=compression, block="strips")
        data = layout.data(layout.samples())
        for length in range(0, len(data) - 1, max(1, len(data) // 97)):
            assert isinstance(read(data[:length]), str), length

    def test_negative_values_are_not_shown_as_bright_ones(self) -> None:
        layout = Tiff(8, kind=SIGNED)
        assert read(layout.data(layout.samples() - 100)) == (
            "1 band of 8 signed bits with values from -100 on: expected 0 or more"
        )

    def test_floats_that_are_no_numbers_are_told(self) -> None:
        layout = Tiff(32, kind=FLOAT, photometric=RGB, count=3)
        samples = layout.samples()
        samples[3, 3, 1] = np.nan
        assert read(layout.data(samples)) == "pixels from nan to nan: expected 0 to 1 in floats"
