"""The input rule that fits the images of an archive: their own size, if they have one, and whether they are colored.

Must not know classes or splits.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing

from model_training.data.archive import Archive
from model_training.data.options import DataOptions
from model_training.learning.network import SMALLEST_SIDE
from pipeline.errors import UsageError
from pipeline.model.input_rule import InputSpec

LARGEST_OWN_SIDE = 256
"""Pixels of the longer side of images, at most, that are taken in their own size without --image_size."""


def first_rule(options: DataOptions) -> InputSpec:
    """Return the input rule as far as it is known before an image is read: size and color may be others."""
    side = options.image_size or SMALLEST_SIDE
    return options.rule(side, side, options.color_mode or "rgb")


def input_rule(archive: Archive, options: DataOptions) -> InputSpec:
    """Return the input rule: as given, else as the images are, which are then read once.

    Args:
        archive: the images, with a rule that turns them as the model's will.
        options: what is given.

    Raises:
        UsageError: they have several sizes, or one that is too large or too small.
    """
    side, color_mode = options.image_size, options.color_mode
    if options.own_rule is not None:
        return archive.rule
    if side is not None and color_mode is not None:
        return options.rule(side, side, color_mode)
    sizes: Counter[tuple[int, int]] = Counter()
    colored = False
    with closing(archive.look()) as looks:
        for sides, has_color in looks:
            sizes.update(sides)
            colored = colored or has_color
            if colored and side is not None:
                break
    color_mode = color_mode or ("rgb" if colored else "grayscale")
    if side is not None:
        return options.rule(side, side, color_mode)
    width, height = _own_size(sizes)
    return options.rule(height, width, color_mode)


def _own_size(sizes: Counter[tuple[int, int]]) -> tuple[int, int]:
    """Return the one size of all images, (width, height)."""
    del sizes[0, 0]  # of what cannot be decoded
    listed = [f"{width} x {height} ({count:,})" for (width, height), count in sizes.most_common()]
    if not sizes:
        raise UsageError("none of the images can be decoded: give PNG, JPEG, GIF, TIFF, WebP or BMP images")
    if len(sizes) > 1:
        more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
        raise UsageError(f"the images have different sizes, {', '.join(listed[:5])}{more}: give --image_size N")
    (size,) = sizes
    if max(size) > LARGEST_OWN_SIDE:
        raise UsageError(f"the images are large, {listed[0]}: give --image_size N to train on smaller ones")
    if min(size) < SMALLEST_SIDE:
        raise UsageError(f"the images are small, {listed[0]}: give --image_size N, at least {SMALLEST_SIDE}")
    return size
