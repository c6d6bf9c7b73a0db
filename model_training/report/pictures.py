"""The pictures of the page: of each split, all that are shown are fetched at once, as a set may be read from files."""

from __future__ import annotations

import math
from collections.abc import Iterable

from model_training.data.image_list import SPLITS
from model_training.report.part import Shown
from model_training.report.run import BuiltModel
from pipeline.model.thumbnails import thumbnail

MOST = 400
"""Number of pictures of a split, at most; a page has no room for more."""

PIXEL_BYTES = 128 * 2**20
"""Bytes of the pixels of a split that are fetched, at most."""


def pictures_of(run: BuiltModel, shown: Iterable[Shown]) -> dict[str, bytes]:
    """Return key -> picture, a PNG or JPEG file, of images that the page shows.

    Args:
        run: that the page tells of.
        shown: the images, the most important first; of too many, the last ones get no picture.
    """
    wanted = list(dict.fromkeys(shown))
    most = max(1, min(MOST, PIXEL_BYTES // math.prod(run.dataset.input.shape)))
    pictures: dict[str, bytes] = {}
    for split in SPLITS:
        numbers = sorted([number for one, number in wanted if one == split][:most])
        if numbers:
            images = run.images(split)
            made = map(thumbnail, images.pixels(numbers))
            pictures |= dict(zip(map(images.key, numbers), made, strict=True))
    return pictures
