"""Parts of images as batches: in their order, or drawn at random from a buffer, which mixes long runs of one class.

Must not know where images come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from model_training.data.image_set import Numbers, Pixels

Part = tuple[Pixels, Numbers]
"""Pixels, uint8 [k, height, width, channels], and their numbers, int64 [k]."""


def in_batches(parts: Iterable[Part], size: int) -> Iterator[Part]:
    """Yield the same images in the same order, in batches of a size; the last one may have fewer.

    >>> parts = [(np.zeros((3, 1, 1, 1), np.uint8), np.arange(3)), (np.zeros((2, 1, 1, 1), np.uint8), np.arange(3, 5))]
    >>> [numbers.tolist() for _, numbers in in_batches(parts, 2)]
    [[0, 1], [2, 3], [4]]
    """
    batch = _Batch(size)
    for pixels, numbers in parts:
        start = 0
        while start < len(pixels):
            stop = min(len(pixels), start + batch.free)
            if batch.add(pixels, numbers, slice(start, stop)):
                yield batch.take()
            start = stop
    if batch.filled:
        yield batch.take()


def shuffled(parts: Iterable[Part], capacity: int, size: int, random: np.random.Generator) -> Iterator[Part]:
    """Yield the same images in another order, in batches of a size; the last one may have fewer.

    When the buffer is full, each image that comes takes the place of one that is drawn at random and goes. In the end
    the rest goes in a random order.

    Args:
        parts: images.
        capacity: images in the buffer, at least 1.
        size: images in a batch.
        random: draws; the same numbers draw the same images.
    """
    batch, waiting, filled = _Batch(size), _Batch(capacity), 0
    for pixels, numbers in parts:
        start = min(capacity - filled, len(pixels))
        waiting.add(pixels, numbers, slice(0, start))
        filled += start
        while start < len(pixels):
            stop = min(len(pixels), start + min(batch.free, capacity))
            places = random.choice(capacity, stop - start, replace=False)
            if batch.add(waiting.pixels, waiting.numbers, places):
                yield batch.take()
            waiting.pixels[places], waiting.numbers[places] = pixels[start:stop], numbers[start:stop]
            start = stop
    order = random.permutation(filled)
    start = 0
    while start < filled:
        stop = min(filled, start + batch.free)
        if batch.add(waiting.pixels, waiting.numbers, order[start:stop]):
            yield batch.take()
        start = stop
    if batch.filled:
        yield batch.take()


class _Batch:
    """Room for images, which is taken when it is full.

    Attributes:
        pixels: uint8 [size, height, width, channels]; memory is taken as it is filled.
        numbers: int64 [size].
        filled: how many images are in it.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.pixels: Pixels = np.empty((0, 0, 0, 0), np.uint8)
        self.numbers: Numbers = np.empty(0, np.int64)
        self.filled = 0

    @property
    def free(self) -> int:
        """How many images there is room for."""
        return self._size - self.filled

    def add(self, pixels: Pixels, numbers: Numbers, chosen: slice | Numbers) -> bool:
        """Copy some images into it, as many as there is room for at most; return whether it is full."""
        if not self.filled:
            self.pixels = np.empty((self._size, *pixels.shape[1:]), np.uint8)
            self.numbers = np.empty(self._size, np.int64)
        new = numbers[chosen]
        stop = self.filled + len(new)
        if isinstance(chosen, slice):
            self.pixels[self.filled : stop] = pixels[chosen]
        else:
            np.take(pixels, chosen, axis=0, out=self.pixels[self.filled : stop], mode="clip")  # without a copy between
        self.numbers[self.filled : stop] = new
        self.filled = stop
        return not self.free

    def take(self) -> Part:
        """Return what is in it, and begin anew."""
        taken = self.pixels[: self.filled], self.numbers[: self.filled]
        self.filled = 0
        return taken
