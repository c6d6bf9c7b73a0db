"""The shorter ways give Pillow's pixels to the bit, or nothing; over a corpus, and over damaged files."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from bad_images import KINDS
from PIL import Image
from sklearn.datasets import load_sample_images

from model_training.datasets import RawImages
from pipeline import native
from pipeline.options import MAX_PIXELS
from pipeline.preprocess import open_image

DAMAGED = 20_000


def natively(data: bytes) -> npt.NDArray[np.uint8] | None:
    """Return the pixels of a shorter way; None where it takes none, also where it says that a part is lost."""
    if data.startswith(native.PNG):
        image = native.png(data, MAX_PIXELS)
        return None if image is None else np.asarray(image)
    try:
        return native.jpeg(data, open_image(data).mode)
    except Exception:  # noqa: BLE001 - what Pillow's parser stumbles over never comes this far
        return None


def agrees(data: bytes) -> bool:
    """Return whether a shorter way was taken, after comparing its pixels with Pillow's."""
    found = natively(data)
    if found is None:
        return False
    image = open_image(data)
    image.load()  # raises where Pillow refuses what was taken
    expected = np.asarray(image)
    assert found.dtype == expected.dtype == np.uint8
    assert np.array_equal(found, expected)
    return True


def photographs(choose: random.Random) -> Iterator[bytes]:
    for i in range(40):
        picture = Image.fromarray(load_sample_images().images[i % 2])
        for mode in ("L", "RGB"):
            small = picture.resize((choose.randrange(1, 90), choose.randrange(1, 90))).convert(mode)
            for form, how in (
                ("PNG", {"optimize": choose.random() < 0.5, "dpi": choose.choice([(72, 72), (0, 0)])}),
                ("JPEG", {"quality": choose.randrange(1, 100), "progressive": choose.random() < 0.5}),
            ):
                buffer = io.BytesIO()
                small.save(buffer, form, **how)
                yield buffer.getvalue()


def test_whole_images_take_the_shorter_way(digits: RawImages) -> None:
    assert all(agrees(digits.encoded(i)) for i in range(200))
    assert all(agrees(data) for data in photographs(random.Random(1)))


def test_every_kind_of_image_agrees_with_pillow_where_it_takes_the_shorter_way() -> None:
    taken = Counter(kind.split(",")[0] for kind, made in KINDS.items() if agrees(made.make()))
    assert taken["PNG"] > 5
    assert taken["JPEG"] > 5


def damaged(data: bytes, choose: random.Random) -> bytes:
    spoilt = bytearray(data)
    for _ in range(choose.choice([1, 1, 2, 5])):
        at, more = choose.randrange(len(spoilt) + 1), choose.randbytes(choose.randrange(1, 9))
        how = choose.randrange(4)
        if how == 0:
            spoilt[at : at + 1] = more[:1]
        elif how == 1:
            del spoilt[at : at + len(more)]
        elif how == 2:
            spoilt[at:at] = more
        else:
            del spoilt[at:]
    return bytes(spoilt)


def with_right_sums(data: bytes) -> bytes:
    """Return a PNG whose chunks, as they are, have the checksums that they should."""
    whole, position = data[:8], 8
    while position + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        body = data[position + 4 : position + 8 + length]
        whole += struct.pack(">I", length) + body + struct.pack(">I", zlib.crc32(body))
        position += 12 + length
    return whole


@pytest.mark.parametrize("seed", range(2))
def test_damaged_files_agree_with_pillow_or_are_left_to_it(seed: int) -> None:
    choose = random.Random(seed)
    whole = list(photographs(choose))
    taken = 0
    for _ in range(DAMAGED):
        data = damaged(choose.choice(whole), choose)
        taken += agrees(with_right_sums(data) if data.startswith(native.PNG) and choose.random() < 0.8 else data)
    assert taken > DAMAGED / 50


def test_jpeg_that_ends_early_is_told_although_it_ends_as_it_should() -> None:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(buffer, "JPEG")
    with pytest.raises(native.CorruptError, match="premature end of data segment"):
        native.jpeg(buffer.getvalue()[:-400] + b"\xff\xd9", "L")


def test_larger_than_allowed_is_left_to_pillow(digits: RawImages) -> None:
    data = digits.encoded(0)
    pixels = digits.images[0].size
    assert native.png(data, pixels) is not None
    assert native.png(data, pixels - 1) is None
