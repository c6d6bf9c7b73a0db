"""Grey TIFFs of radiography and microscopy: what their tags say of the values is heeded at any depth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tiffs import BLACK, DEFLATE, HEIGHT, LZW, WHITE, WIDTH, Tiff

from pipeline.batches import EncodedBatch, ImageColumns
from pipeline.model.input_rule import InputSpec
from pipeline.model.preprocess import preprocess

PICTURE = Tiff().samples()
BASE = Tiff()
KINDS = {
    f"{bits} bits, {word}, {way}": replace(layout, bits=bits, photometric=meaning)
    for bits in (8, 10, 12, 14, 16)
    for word, meaning in (("0 is white", WHITE), ("0 is black", BLACK))
    for way, layout in {
        "strips": replace(BASE, block="strips"),
        "tiles": replace(BASE, block="tiles", order=">"),
        "LZW": replace(BASE, compression=LZW),
        "deflate": replace(BASE, compression=DEFLATE, order=">"),
        "planes": replace(BASE, is_planar=True),
    }.items()
}


def file(layout: Tiff) -> bytes:
    full = 2**layout.bits - 1
    values = np.rint(PICTURE * (full / 255)).astype("u1" if layout.bits <= 8 else "u2")
    return layout.data((full - values).astype(values.dtype) if layout.photometric == WHITE else values)


def pixels(data: bytes, **rule: Any) -> npt.NDArray[np.uint8]:
    batch = EncodedBatch(ImageColumns.of(["a.tif"]), [data])
    made = preprocess(batch, InputSpec(HEIGHT, WIDTH, "grayscale", **rule))
    assert made.images.failures == {}
    return made.pixels[0]


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_show_the_same_picture(kind: str) -> None:
    assert np.array_equal(pixels(file(KINDS[kind])), PICTURE)
    assert np.array_equal(pixels(file(KINDS[kind]), resize="tf.bilinear"), PICTURE)


@pytest.mark.parametrize("kind", KINDS)
def test_no_loaders_rule_shows_a_negative(kind: str) -> None:
    for deep in ("round", "high_byte"):
        off = np.abs(pixels(file(KINDS[kind]), deep=deep).astype(int) - PICTURE)
        assert off.max() <= 1
