"""`ImageList`: the names of all images that a training had, in the order of its data, and the set of each.

Must not know labels, pixels, or where the list is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from model_training.data.compressed_texts import CompressedTexts

Split = Literal["train", "validation", "test"]
"""What the images of a set are for."""

SPLITS: tuple[Split, ...] = get_args(Split)

Numbers = npt.NDArray[np.int64]


class Listed(NamedTuple):
    """An image of the list.

    Attributes:
        key: of the image, as scoring its archive would call it.
        split: the set that it is in; None: it is left out.
        number: of the image in its set; 0 if it is left out.
        reason: why it is left out; "": it is not.
    """

    key: str
    split: Split | None
    number: int
    reason: str


@dataclass(frozen=True)
class ImageList:
    """All n images that a training had, in the order of its data.

    Attributes:
        keys: of the n images.
        places: set -> int64 [k], where each of its k images is in the list, by its number in the set.
        reasons: why each of the n images cannot be used; "": it can be.
        left_out: why an image that can be used is in no set, if there are such images.

    >>> reasons = CompressedTexts(["has no label", "", ""])
    >>> images = ImageList(CompressedTexts("abc"), {"train": np.array([1])}, reasons, "is not wanted")
    >>> [tuple(image) for image in images]
    [('a', None, 0, 'has no label'), ('b', 'train', 0, ''), ('c', None, 0, 'is not wanted')]
    """

    keys: CompressedTexts
    places: Mapping[Split, Numbers]
    reasons: CompressedTexts
    left_out: str = ""

    def __post_init__(self) -> None:
        """Check that there is a reason for each key."""
        if len(self.keys) != len(self.reasons):
            raise ValueError(f"{len(self.keys)} keys, {len(self.reasons)} reasons")

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.keys)

    def __iter__(self) -> Iterator[Listed]:
        """Yield all images; meanwhile this takes 9 bytes of memory an image."""
        codes, numbers = np.full(len(self), len(SPLITS), np.uint8), np.zeros(len(self), np.int64)
        for code, split in enumerate(SPLITS):
            places = self.places.get(split, np.zeros(0, np.int64))
            codes[places], numbers[places] = code, np.arange(len(places))
        splits: Sequence[Split | None] = (*SPLITS, None)
        start = 0
        for keys, reasons in zip(self.keys.blocks(), self.reasons.blocks(), strict=True):
            stop = start + len(keys)
            columns = zip(keys, codes[start:stop].tolist(), numbers[start:stop].tolist(), reasons, strict=True)
            for key, code, number, reason in columns:
                split = splits[code]
                yield Listed(key, split, number, "" if split else reason or self.left_out)
            start = stop
