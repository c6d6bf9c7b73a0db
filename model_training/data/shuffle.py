"""A buffer of images from which they are drawn at random, so that an order with long runs of one class becomes mixed.

Must not know where images come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from model_training.data.image_set import Numbers, Pixels

Part = tuple[Pixels, Numbers]
"""Pixels, uint8 [k, height, width, channels], and their numbers, int64 [k]."""


def shuffled(parts: Iterable[Part], capacity: int, random: np.random.Generator) -> Iterator[Part]:
    """Yield the same images in another order, in parts of other sizes.

    When the buffer is full, each image that comes takes the place of one that is drawn at random and goes. In the end
    the rest goes in a random order.

    Args:
        parts: images.
        capacity: images in the buffer, at least 1.
        random: draws; the same numbers draw the same images.
    """
    pixels: Pixels | None = None
    numbers = np.zeros(capacity, np.int64)
    filled = 0
    for new, new_numbers in parts:
        if pixels is None:
            pixels = np.empty((capacity, *new.shape[1:]), np.uint8)  # memory is taken as it is filled
        free = min(capacity - filled, len(new))
        pixels[filled : filled + free], numbers[filled : filled + free] = new[:free], new_numbers[:free]
        filled += free
        for start in range(free, len(new), capacity):
            some = new[start : start + capacity]
            places = random.choice(capacity, len(some), replace=False)
            drawn = pixels[places], numbers[places]
            pixels[places], numbers[places] = some, new_numbers[start : start + capacity]
            yield drawn
    if pixels is not None:
        order = random.permutation(filled)
        for start in range(0, filled, _DRAIN):
            places = order[start : start + _DRAIN]
            yield pixels[places], numbers[places]


_DRAIN = 64
"""Images that leave the buffer together in the end: few, as each part is a copy."""


def in_batches(parts: Iterable[Part], size: int) -> Iterator[Part]:
    """Yield the same images in the same order, in batches of a size; the last one may have fewer.

    >>> parts = [(np.zeros((3, 1, 1, 1), np.uint8), np.arange(3)), (np.zeros((2, 1, 1, 1), np.uint8), np.arange(3, 5))]
    >>> [numbers.tolist() for _, numbers in in_batches(parts, 2)]
    [[0, 1], [2, 3], [4]]
    """
    batch: Pixels | None = None
    numbers = np.zeros(size, np.int64)
    filled = 0
    for new, new_numbers in parts:
        start = 0
        while start < len(new):
            if batch is None:
                batch, numbers, filled = np.empty((size, *new.shape[1:]), np.uint8), np.zeros(size, np.int64), 0
            taken = min(size - filled, len(new) - start)
            batch[filled : filled + taken] = new[start : start + taken]
            numbers[filled : filled + taken] = new_numbers[start : start + taken]
            filled, start = filled + taken, start + taken
            if filled == size:
                yield batch, numbers
                batch = None
    if batch is not None:
        yield batch[:filled], numbers[:filled]
