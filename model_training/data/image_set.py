"""The images of one split with their labels: `ImageSet`, and `HeldImages`, which keeps all pixels in memory.

Must not know where images come from or what learns from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.model.input_rule import InputSpec
from pipeline.model.pixel_hash import pixel_hashes, rule_id

Pixels = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Labels = npt.NDArray[Any]
"""Labels of n images, as the task wants them.

"classes": int64 [n], the class, from 0. "labels": float32 [n, classes], 1 where the image has the label, else 0.
"value": float32 [n].
"""


class ImageSet(Protocol):
    """The images of one split: those that are learned, those that validate, or those that test.

    Its n images have the numbers from 0 to n - 1. Pixels are uint8, as the input rule makes them.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of each image."""

    @property
    def labels(self) -> Labels:
        """Labels of all n images."""

    @property
    def hashes(self) -> Hashes:
        """Hashes of the pixels of all n images, uint64 [n], as `pipeline.model.pixel_hash` makes them."""

    def __len__(self) -> int:
        """Return the number of images."""

    def batches(self, size: int, seed: int | None = None) -> Iterator[tuple[Pixels, Numbers]]:
        """Yield every image once, in batches: pixels, uint8 [k, height, width, channels], and numbers, int64 [k].

        Args:
            size: images in a batch; the last one may have fewer.
            seed: of the order; None: in the order of their numbers.
        """

    def pixels(self, numbers: Sequence[int]) -> Pixels:
        """Return the pixels of a few images, in that order."""

    def key(self, number: int) -> str:
        """Return the name of an image, as scoring an archive would call it."""

    def encoded(self, number: int) -> bytes:
        """Return an image as a file that scoring can decode to the same pixels."""


@dataclass(frozen=True)
class HeldImages:
    """An image set whose pixels are in memory, possibly in one array with those of other sets.

    Attributes:
        rule: the input rule that made the pixels.
        all_pixels: uint8 [m, height, width, channels].
        all_labels: labels of these m images.
        rows: int64 [n], which of them are in this set, in the order of their numbers.
        name_of: gives the name of one of the m images.
        file_of: gives one of the m images as a file.
    """

    rule: InputSpec
    all_pixels: Pixels
    all_labels: Labels
    rows: Numbers
    name_of: Callable[[int], str]
    file_of: Callable[[int], bytes]

    def __post_init__(self) -> None:
        """Check types, lengths and shapes."""
        pixels, labels = self.all_pixels, self.all_labels
        if pixels.dtype != np.uint8 or pixels.shape[1:] != self.rule.shape or len(pixels) != len(labels):
            raise ValueError(f"images {pixels.dtype} {pixels.shape}, {len(labels)} labels, input {self.rule.shape}")

    def __len__(self) -> int:
        """See `ImageSet`."""
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        """See `ImageSet`."""
        return self.rule.shape

    @cached_property
    def labels(self) -> Labels:
        """See `ImageSet`."""
        return self.all_labels[self.rows]

    @cached_property
    def hashes(self) -> Hashes:
        """See `ImageSet`."""
        return pixel_hashes(self.all_pixels[self.rows], rule_id(self.rule))

    def batches(self, size: int, seed: int | None = None) -> Iterator[tuple[Pixels, Numbers]]:
        """See `ImageSet`: the order is a permutation of all images."""
        n = len(self)
        order = np.arange(n) if seed is None else np.random.default_rng(seed).permutation(n)
        for start in range(0, n, size):
            numbers = order[start : start + size]
            yield self.all_pixels[self.rows[numbers]], numbers

    def pixels(self, numbers: Sequence[int]) -> Pixels:
        """See `ImageSet`."""
        return self.all_pixels[self.rows[np.asarray(numbers, np.int64)]]

    def key(self, number: int) -> str:
        """See `ImageSet`."""
        return self.name_of(int(self.rows[number]))

    def encoded(self, number: int) -> bytes:
        """See `ImageSet`."""
        return self.file_of(int(self.rows[number]))
