"""The facts about stored images: those that Pillow tells, of every format, turned or not, and none of a failed one."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.batches import EncodedBatch, Failure, PixelBatch
from pipeline.image_facts import ImageFacts
from pipeline.model.input_rule import InputSpec
from pipeline.model.pixel_facts import pixel_facts
from pipeline.model.pixel_hash import pixel_hashes, rule_id
from pipeline.model.preprocess import preprocess
from pipeline.model.stored_facts import facts_of, format_of

RULE = InputSpec(8, 8, "rgb")


def encoded(form: str, width: int = 13, height: int = 7, mode: str = "RGB", **options: Any) -> bytes:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


def exif(orientation: int = 1, **tags: Any) -> Image.Exif:
    made = Image.Exif()
    made[0x0112] = orientation
    for name, value in tags.items():
        made[{"make": 0x010F, "model": 0x0110, "changed": 0x0132}[name]] = value
    return made


@pytest.mark.parametrize(
    ("form", "name", "options"),
    [
        ("PNG", "PNG", {}),
        ("JPEG", "JPEG", {}),
        ("JPEG", "JPEG", {"progressive": True, "exif": exif(6), "comment": b"x" * 300}),
        ("GIF", "GIF", {}),
        ("BMP", "BMP", {}),
        ("WEBP", "WEBP", {"lossless": True}),
        ("TIFF", "TIFF", {}),
        ("TIFF", "TIFF", {"exif": exif(6)}),
        ("PPM", "PPM", {}),
    ],
)
def test_sides_and_format_are_those_of_the_stored_image(form: str, name: str, options: dict[str, Any]) -> None:
    data = encoded(form, **options)
    pixels = preprocess(EncodedBatch.of([data]), RULE)
    facts = facts_of([data], pixels, RULE)
    assert (facts.widths.tolist(), facts.heights.tolist(), facts.formats) == ([13], [7], [name])
    assert facts.sizes.tolist() == [len(data)]
    assert facts.hashes.tolist() == pixel_hashes(pixels.pixels, rule_id(RULE)).tolist()


def test_of_what_failed_is_known_what_was_read() -> None:
    files = [encoded("PNG"), b"", encoded("JPEG")[:300], b"no image", encoded("JPEG")]
    batch = EncodedBatch.of(files)
    batch = EncodedBatch(batch.images.failed({1: Failure("read", "NOT_FOUND", "gone")}), files)
    facts = facts_of(files, preprocess(batch, RULE), RULE)
    assert facts.widths.tolist() == [13, 0, 0, 0, 13]
    assert facts.formats == ["PNG", None, "JPEG", None, "JPEG"]
    assert facts.sizes.tolist() == [len(files[0]), -1, 300, 8, len(files[4])]
    assert facts.hashed.tolist() == [True, False, False, False, True]


def test_copies_have_one_hash_whatever_their_files_look_like() -> None:
    small, large = encoded("PNG", compress_level=9), encoded("PNG", compress_level=0)
    files = [small, large, encoded("BMP"), encoded("PNG", 14)]
    facts = facts_of(files, preprocess(EncodedBatch.of(files), RULE), RULE)
    assert len(set(facts.hashes[:3].tolist())) == 1
    assert facts.hashes[3] != facts.hashes[0]


def test_a_model_that_takes_files_has_no_hashes_and_no_sides() -> None:
    batch = EncodedBatch.of([encoded("PNG"), encoded("JPEG")])
    facts = facts_of(batch.encoded, PixelBatch.of_files(batch), RULE)
    assert (facts.hashed.any(), facts.widths.any(), facts.formats) == (False, False, ["PNG", "JPEG"])


@pytest.mark.parametrize("form", ["JPEG", "TIFF", "WEBP", "PNG"])
def test_time_and_camera_are_read_where_they_are_asked_for(form: str) -> None:
    files = [
        encoded(form, exif=exif(make="Canon", model="EOS R5", changed="2024:05:01 12:30:00")),
        encoded("PNG"),
        b"no",
    ]
    pixels = preprocess(EncodedBatch.of(files), RULE)
    facts = facts_of(files, pixels, RULE, wants_exif=True)
    assert facts.times == ["2024-05-01T12:30:00", None, None]
    assert facts.cameras == ["Canon EOS R5", None, None]
    assert facts_of(files, pixels, RULE).times is None


def test_what_the_pixels_tell_is_there_where_it_is_asked_for() -> None:
    files = [encoded("PNG"), b"no", encoded("JPEG", 14)]
    pixels = preprocess(EncodedBatch.of(files), RULE)
    assert facts_of(files, pixels, RULE).perceptual is None
    facts = facts_of(files, pixels, RULE, wants_pixel_facts=True)
    expected = pixel_facts(pixels.pixels[[0, 2]], "rgb")
    assert facts.perceptual is not None
    assert facts.perceptual.tolist() == [expected.hashes[0], 0, expected.hashes[1]]
    for name in ("brightness", "contrast", "entropy"):
        assert vars(facts)[name].tolist() == [vars(expected)[name][0], 0, vars(expected)[name][1]]
    assert ImageFacts.from_json(json.loads(json.dumps(facts.to_json()))).to_json() == facts.to_json()
    assert ImageFacts.joined([facts.pick([2]), facts.pick([0, 1])]).to_json() == facts.pick([2, 0, 1]).to_json()
    batch = EncodedBatch.of(files)
    without = facts_of(files, PixelBatch.of_files(batch), RULE, wants_pixel_facts=True)
    assert (without.hashed.any(), vars(without)["entropy"].any()) == (False, False)


def test_no_bytes_make_it_raise() -> None:
    random = np.random.default_rng(7)
    for data in (encoded("JPEG"), encoded("TIFF"), encoded("PNG"), encoded("WEBP")):
        for _ in range(200):
            mutated = bytearray(data)
            for place in random.integers(0, len(data), 4):
                mutated[place] = random.integers(0, 256)
            batch = EncodedBatch.of([bytes(mutated)])
            facts_of(batch.encoded, preprocess(batch, RULE), RULE, wants_exif=True)
    assert format_of(b"") is format_of(b"\xff") is None
