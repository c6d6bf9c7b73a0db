"""Hashes of pixels: equal for equal images under one input rule, and for no others."""

from __future__ import annotations

from dataclasses import fields, replace
from hashlib import blake2b

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from pipeline.model.input_rule import InputSpec
from pipeline.model.pixel_hash import pixel_hashes, rule_id

RULE = InputSpec(28, 28, "grayscale")

pixels = st_np.arrays(np.uint8, st.tuples(*(st.integers(1, 3),) * 4), elements=st.integers(0, 2))


@given(pixels)
def test_a_hash_is_that_of_the_image_alone_and_differs_where_its_pixels_differ(images: np.ndarray) -> None:
    hashes = pixel_hashes(images, rule_id(RULE))
    assert hashes.dtype == np.uint64
    for image, number in zip(images, hashes.tolist(), strict=True):
        digest = blake2b(image.tobytes(), digest_size=8, person=rule_id(RULE)).hexdigest()
        assert f"{number:016x}" == digest
    of_bytes = {image.tobytes(): number for image, number in zip(images, hashes.tolist(), strict=True)}
    assert len(set(hashes.tolist())) == len(of_bytes)


def test_images_of_any_layout_in_memory_have_the_same_hash() -> None:
    images = np.random.default_rng(1).integers(0, 256, (4, 5, 6, 3), np.uint8)
    turned = np.asfortranarray(images)
    assert pixel_hashes(turned, b"x").tolist() == pixel_hashes(images, b"x").tolist()
    assert pixel_hashes(images[::2], b"x").tolist() == pixel_hashes(images, b"x").tolist()[::2]
    assert pixel_hashes(images[:0], b"x").tolist() == []


@pytest.mark.parametrize(
    "other",
    [
        replace(RULE, height=29),
        replace(RULE, color_mode="rgb"),
        replace(RULE, exif_orientation=not RULE.exif_orientation),
        replace(RULE, decode="reduced" if RULE.decode == "full" else "full"),
    ],
)
def test_another_rule_has_another_id_and_other_hashes(other: InputSpec) -> None:
    assert (
        rule_id(other) != rule_id(RULE) == rule_id(InputSpec(**{f.name: getattr(RULE, f.name) for f in fields(RULE)}))
    )
    image = np.zeros((1, 2, 2, 1), np.uint8)
    assert pixel_hashes(image, rule_id(other)).tolist() != pixel_hashes(image, rule_id(RULE)).tolist()
