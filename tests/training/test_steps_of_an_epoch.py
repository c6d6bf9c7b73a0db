"""An epoch is as many batches as Keras takes, though images are lost while they are learned."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest

from model_training.data.image_set import HeldImages, Numbers, Pixels
from model_training.learning.feed import Feed
from pipeline.errors import ChangedError
from pipeline.model.input_rule import InputSpec


class Lossy(HeldImages):
    """Images of which the first ones have gone."""

    gone = 0

    def batches(self, size: int, seed: int | None = None) -> Iterator[tuple[Pixels, Numbers]]:
        numbers = np.arange(self.gone, len(self))
        for start in range(0, len(numbers), size):
            chosen = numbers[start : start + size]
            yield self.pixels(chosen.tolist()), chosen


def lossy(n: int, gone: int) -> Lossy:
    images = Lossy(
        InputSpec(2, 2, "grayscale"), np.zeros((n, 2, 2, 1), np.uint8), np.arange(n), np.arange(n), str, lambda _: b""
    )
    object.__setattr__(images, "gone", gone)
    return images


@pytest.mark.parametrize("gone", [0, 1, 3])
def test_each_epoch_has_every_image_once_though_some_are_lost(gone: int) -> None:
    feed = Feed(lossy(9, gone), size=4)
    batches = iter(feed._batches())
    for _ in range(3):
        labels = [labels for _, labels in islice(batches, feed.steps)]
        assert np.concatenate(labels).tolist() == list(range(gone, 9))
        assert all(map(len, labels))


@pytest.mark.parametrize("gone", [9, 7])
def test_epoch_of_too_few_images_is_an_error_and_no_loop(gone: int) -> None:
    feed = Feed(lossy(9, gone), size=4)
    with pytest.raises(ChangedError, match="too many images are gone or changed since the first look"):
        next(iter(feed._batches()))
    assert isinstance(feed.error, ChangedError)
