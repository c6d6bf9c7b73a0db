"""GeoTIFFs of satellites and drones: bands, planes, floats and reflectances are read as what they are, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import rows_of
from tiffs import BLACK, CMYK, DEFLATE, FLOAT, HEIGHT, LZW, RGB, SIGNED, WIDTH, Tiff

from nightscore import score
from pipeline.batches import EncodedBatch, ImageColumns
from pipeline.errors import UsageError
from pipeline.model.input_rule import InputSpec
from pipeline.model.preprocess import preprocess

COLOR = Tiff(photometric=RGB, count=3).samples()


def read(layout: Tiff, samples: np.ndarray, **rule: Any) -> np.ndarray | str:
    batch = EncodedBatch(ImageColumns.of(["a.tif"]), [layout.data(samples)])
    made = preprocess(batch, InputSpec(HEIGHT, WIDTH, "rgb", **rule))
    return made.images.failures[0].message if made.images.failures else made.pixels[0]


@pytest.mark.parametrize("is_planar", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("photometric", "extra"), [(RGB, (0,)), (BLACK, (0, 0, 0)), (RGB, ())])
def test_four_bands_show_the_first_three(bits: int, photometric: int, extra: tuple[int, ...], is_planar: bool) -> None:
    count = 4 if extra else 3
    layout = Tiff(bits, photometric=photometric, count=count, extra=extra, is_planar=is_planar)
    infrared = np.full((HEIGHT, WIDTH, 1), 77, np.uint8)
    bands = np.concatenate([COLOR, infrared], axis=2)[:, :, :count]
    samples = bands if bits == 8 else bands.astype(np.uint16) * 257
    assert np.array_equal(read(layout, samples), COLOR)


@pytest.mark.parametrize("is_planar", [False, True])
@pytest.mark.parametrize("count", [5, 7, 13, 30])
@pytest.mark.parametrize(("bits", "kind"), [(8, 1), (16, 1), (16, SIGNED), (32, FLOAT)])
def test_more_bands_are_told_by_number_and_depth(count: int, bits: int, kind: int, is_planar: bool) -> None:
    layout = Tiff(bits, kind, count=count, extra=(0,) * (count - 1), is_planar=is_planar)
    words = {1: "", SIGNED: "signed ", FLOAT: "floating-point "}[kind]
    expected = f"{count} bands of {bits} {words}bits: choose three with --bands"
    assert read(layout, layout.samples()) == expected


@pytest.mark.parametrize("compression", [1, LZW, DEFLATE])
def test_planes_of_16_bits_are_no_other_pixels(compression: int) -> None:
    layout = Tiff(16, photometric=RGB, count=3, is_planar=True, compression=compression, block="tiles")
    assert np.array_equal(read(layout, COLOR.astype(np.uint16) * 257), COLOR)


def test_two_bands_of_radar_are_not_taken_for_grey_and_alpha() -> None:
    for bits, kind in ((8, 1), (16, 1), (32, FLOAT)):
        layout = Tiff(bits, kind, count=2, extra=(0,))
        assert "choose one or three with --bands" in str(read(layout, layout.samples()))
    layout = Tiff(count=2, extra=(0,))
    samples = layout.samples()
    assert np.array_equal(read(layout, samples, bands="2"), samples[:, :, [1, 1, 1]])
    assert np.array_equal(read(layout, samples, bands="1,2,2"), samples[:, :, [0, 1, 1]])


def test_floats_are_0_to_1_and_nothing_else() -> None:
    for bits in (16, 32, 64):
        layout = Tiff(bits, FLOAT, RGB, 3)
        assert np.array_equal(read(layout, layout.samples()), np.rint(layout.samples().astype(float) * 255))
        assert "expected 0 to 1" in str(read(layout, layout.samples() * 2))
        grey = Tiff(bits, FLOAT)
        nothing = np.where(grey.samples() == 0, np.nan, grey.samples()).astype(grey.samples().dtype)
        assert "pixels from nan to nan" in str(read(grey, nothing))


def test_elevations_below_0_are_told() -> None:
    layout = Tiff(16, SIGNED)
    samples = layout.samples()
    samples[2, 2] = -9
    assert "pixels from -9 to" in str(read(layout, samples))


def test_inks_of_16_bits_in_planes_are_those_of_8_bits() -> None:
    inks = Tiff(photometric=CMYK, count=4).samples()
    eight = read(Tiff(photometric=CMYK, count=4), inks)
    deep = Tiff(16, photometric=CMYK, count=4, is_planar=True)
    assert np.array_equal(read(deep, inks.astype(np.uint16) * 257), eight)


@pytest.mark.heavy
def test_bands_are_chosen_by_an_option_that_reaches_the_rows(tmp_path: Path, tiny_model: str) -> None:
    layout = Tiff(16, count=13, extra=(0,) * 12)
    (tmp_path / "bands").mkdir()
    (tmp_path / "grey").mkdir()
    for number in range(4):
        samples = layout.samples(number)
        (tmp_path / "bands" / f"{number}.tif").write_bytes(layout.data(samples))
        (tmp_path / "grey" / f"{number}.tif").write_bytes(Tiff(16).data(samples[:, :, 7:8]))
    score(tmp_path / "bands", tiny_model, tmp_path / "chosen", bands="8")
    score(tmp_path / "grey", tiny_model, tmp_path / "plain")
    chosen, plain = rows_of(tmp_path / "chosen"), rows_of(tmp_path / "plain")
    assert [row["status"] for row in chosen] == ["ok"] * 4
    assert [row["score"] for row in chosen] == [row["score"] for row in plain]


@pytest.mark.parametrize("bands", ["0,1,2", "4,3", "R,G,B", "-1"])
def test_what_chooses_no_bands_is_refused(bands: str, tmp_path: Path, tiny_model: str) -> None:
    with pytest.raises(UsageError, match="is no choice of bands: give one number or three, as 4,3,2"):
        score(tmp_path, tiny_model, tmp_path / "night", bands=bands)
