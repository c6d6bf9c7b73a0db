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

from model_training.data.datasets import RawImages
from pipeline.model import fast_decoders
from pipeline.model.pillow import open_image
from pipeline.options import MAX_PIXELS

DAMAGED = 20_000


def natively(data: bytes) -> npt.NDArray[np.uint8] | None:
    """Return the pixels of a shorter way; None where it takes none, also where it says that a part is lost."""
    if data.startswith(fast_decoders.PNG):
        image = fast_decoders.png(data, MAX_PIXELS)
        return None if image is None else np.asarray(image)
    try:
        image = open_image(data)
        return fast_decoders.jpeg(data, image.mode, image.size)
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


@pytest.mark.heavy
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


@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(2))
def test_damaged_files_agree_with_pillow_or_are_left_to_it(seed: int) -> None:
    choose = random.Random(seed)
    whole = list(photographs(choose))
    taken = 0
    for _ in range(DAMAGED):
        data = damaged(choose.choice(whole), choose)
        taken += agrees(with_right_sums(data) if data.startswith(fast_decoders.PNG) and choose.random() < 0.8 else data)
    assert taken > DAMAGED / 50


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_small_images_of_one_size_that_are_decoded_together_agree_with_pillow(mode: str) -> None:
    choose = random.Random(3)
    photograph = Image.fromarray(load_sample_images().images[0])
    whole = []
    for _ in range(300):
        size = choose.choice([(20, 30), (20, 30), (30, 20)])
        buffer = io.BytesIO()
        corner = choose.randrange(300), choose.randrange(300)
        box = (*corner, corner[0] + size[0], corner[1] + size[1])
        photograph.crop(box).convert(choose.choice([mode, mode, "L", "RGB", "P"])).save(buffer, "PNG")
        whole.append(buffer.getvalue())
    spoilt = [damaged(data, choose) if choose.random() < 0.3 else data for data in whole]
    summed = [with_right_sums(data) if choose.random() < 0.5 else data for data in spoilt]
    channels = 1 if mode == "L" else 3
    for encoded in (whole, [*whole, b"", b"\x89PNG"], summed):
        found, pixels = fast_decoders.pngs(encoded, (30, 20, channels))
        assert len(found) > 50
        assert pixels.shape == (len(found), 30, 20, channels)
        for i, shown in zip(found, pixels, strict=True):
            image = open_image(encoded[i])  # which refuses what is no PNG any more
            image.load()
            assert image.mode == mode
            assert np.array_equal(shown.squeeze(-1) if channels == 1 else shown, np.asarray(image))
    assert fast_decoders.pngs(whole, (31, 20, channels))[0] == fast_decoders.pngs([], (30, 20, 1))[0] == []


def test_a_filter_that_does_not_exist_leaves_all_to_pillow(digits: RawImages) -> None:
    data = digits.encoded(0)
    height, width = digits.images[0].shape
    rows = bytes([9]) + bytes((width + 1) * height - 1)
    bad = (
        data[:33] + struct.pack(">I", len(zlib.compress(rows))) + b"IDAT" + zlib.compress(rows) + bytes(4) + data[-12:]
    )
    assert fast_decoders.pngs([data], (height, width, 1))[0] == [0]
    assert fast_decoders.pngs([data, bad], (height, width, 1))[0] == []


def test_jpeg_that_ends_early_is_told_although_it_ends_as_it_should() -> None:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(buffer, "JPEG")
    with pytest.raises(fast_decoders.CorruptError, match="premature end of data segment"):
        fast_decoders.jpeg(buffer.getvalue()[:-400] + b"\xff\xd9", "L", (64, 64))


def test_larger_than_allowed_is_left_to_pillow(digits: RawImages) -> None:
    data = digits.encoded(0)
    pixels = digits.images[0].size
    assert fast_decoders.png(data, pixels) is not None
    assert fast_decoders.png(data, pixels - 1) is None
