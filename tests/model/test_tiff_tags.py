"""Tags are what Pillow finds in the same file; a damaged directory ends in the reader's own error."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from tiffs import DEFLATE, RGB, Tiff, matrix

from pipeline.model.refused import RefusedError
from pipeline.model.tiff_layout import Layout, read_layout
from pipeline.model.tiff_tags import read_tags

SOME = [tiff for tiff in matrix() if (tiff.bits, tiff.kind) == (8, 1) and zlib.crc32(tiff.name.encode()) % 29 == 0]
SMALL = Tiff(photometric=RGB, count=3, compression=DEFLATE, block="strips")
DATA = SMALL.data(SMALL.samples())


@pytest.mark.parametrize("layout", SOME, ids=lambda layout: layout.name)
def test_numbers_are_those_that_pillow_finds(layout: Tiff) -> None:
    data = layout.data(layout.samples())
    directory = ImageFileDirectory_v2(data[:8])
    file = io.BytesIO(data)
    file.seek(directory.next)
    directory.load(file)
    tags = read_tags(data)
    assert set(tags.places) <= set(directory)
    for tag in tags.places:
        values = directory[tag] if isinstance(directory[tag], tuple) else (directory[tag],)
        assert tuple(tags.column(tag).tolist()) == values
        assert tags.numbers(tag, ()) == values[:64]
        assert tags.number(tag) == values[0]


@pytest.mark.parametrize("is_big", [False, True])
def test_big_files_have_the_same_tags(is_big: bool) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (7, 5)).save(buffer, "TIFF", big_tiff=is_big)
    tags = read_tags(buffer.getvalue())
    assert (tags.number(256), tags.number(257), tags.numbers(258, ())) == (7, 5, (8, 8, 8))
    assert not tags.has(322)
    assert tags.number(322, 9) == 9


@given(st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=4)), max_size=4), st.integers(16, 400))
def test_damaged_tags_are_a_layout_or_the_readers_own_error(changes: list[tuple[int, bytes]], length: int) -> None:
    data = bytearray(DATA)
    for at, new in changes:
        data[at : at + len(new)] = new
    for damaged in (bytes(data), bytes(data[:length])):
        layout: Layout | None = None
        with contextlib.suppress(RefusedError):
            layout = read_layout(damaged)
        assert layout is None or min(layout.width, layout.height, *layout.block) > 0


@pytest.mark.parametrize("length", range(8))
def test_less_than_a_header_is_no_tiff(length: int) -> None:
    with pytest.raises(struct.error):
        read_tags(DATA[:length])
