"""Training images are changed at random, as much as is asked for, and stay images."""

from __future__ import annotations

import numpy as np
import pytest

from model_training.data.raw_images import RawImages
from model_training.learning.augment import examples
from model_training.learning.recipe import Augment


def pixels(digits: RawImages) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.kron(digits.images[:20], np.ones((1, 4, 4), np.uint8))[..., np.newaxis]


def test_without_augmentation_images_stay_as_they_are(digits: RawImages) -> None:
    assert (examples(pixels(digits), "none", 2) == pixels(digits)).all()


@pytest.mark.parametrize("name", ["light", "strong"])
def test_each_copy_is_changed_in_another_way_and_shows_the_same(digits: RawImages, name: Augment) -> None:
    before = pixels(digits)
    changed = examples(before, name, 3, seed=1)
    assert (changed.shape, changed.dtype) == ((3, *before.shape), np.uint8)
    assert len({copy.tobytes() for copy in changed}) == 3
    assert all((copy[i] != before[i]).any() for copy in changed for i in range(len(before)))
    ink = changed.mean(axis=(2, 3, 4)) / before.mean(axis=(1, 2, 3))  # a digit that left the image has none
    assert 0.5 < np.median(ink) < 2
    assert ink.min() > 0.2


def test_same_seed_changes_in_the_same_way(digits: RawImages) -> None:
    first, again, other = (examples(pixels(digits), "strong", 1, seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_only_strong_augmentation_mirrors() -> None:
    half = np.zeros((200, 20, 20, 1), np.uint8)
    half[:, :, 12:] = 200
    for name, is_mirrored in (("light", False), ("strong", True)):
        (changed,) = examples(half, name, 1)  # type: ignore[arg-type]
        to_the_left = changed[..., :10, :].mean(axis=(1, 2, 3)) > changed[..., 10:, :].mean(axis=(1, 2, 3))
        assert to_the_left.any() == is_mirrored
