"""What is known of the stored images of a batch beside what the model says: their size, their format, their hash.

Must not know how any of it is found (`pipeline.model.stored_facts`), or in which columns of a row it stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class ImageFacts:
    """Facts about n images as they are stored, as columns.

    Attributes:
        widths: int32 [n], of the stored image, before it is turned or resized; 0: it was not decoded.
        heights: int32 [n], the same.
        formats: n names such as "JPEG"; None: its first bytes are those of no known format.
        sizes: int64 [n], bytes of the encoded image; -1: it was not read.
        hashes: uint64 [n], see `pipeline.model.pixel_hash`; 0 where there are no pixels.
        hashed: bool [n], whether the image has a hash.
        times: n times at which the images were taken, as ISO 8601; None instead of all: nobody asked.
        cameras: n names of the cameras that took them; None instead of all: nobody asked.
        perceptual: uint64 [n], hashes that near copies share but for a few bits, see `pipeline.model.pixel_facts`; 0
            where there are no pixels. None, here and in the columns that follow: nobody asked.
        brightness: float32 [n], mean of the luma, 0 to 1; 0 where there are no pixels.
        contrast: float32 [n], standard deviation of the luma, 0 to 0.5; the same.
        entropy: float32 [n], of the luma's histogram, in bits, 0 to 8; the same.

    >>> ImageFacts.joined([ImageFacts.unknown(2), ImageFacts.unknown(1)]).formats
    [None, None, None]
    """

    widths: npt.NDArray[np.int32]
    heights: npt.NDArray[np.int32]
    formats: Sequence[str | None]
    sizes: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    hashed: npt.NDArray[np.bool_]
    times: Sequence[str | None] | None = None
    cameras: Sequence[str | None] | None = None
    perceptual: npt.NDArray[np.uint64] | None = None
    brightness: npt.NDArray[np.float32] | None = None
    contrast: npt.NDArray[np.float32] | None = None
    entropy: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.sizes)

    @classmethod
    def unknown(cls, n: int) -> ImageFacts:
        """Return n images of which nothing is known."""
        zeros = np.zeros(n, np.int32)
        return cls(zeros, zeros, [None] * n, np.full(n, -1, np.int64), np.zeros(n, np.uint64), np.zeros(n, np.bool_))

    @classmethod
    def joined(cls, every: Sequence[ImageFacts]) -> ImageFacts:
        """Return the facts of several batches, at least one, as those of one."""
        return cls(*(_join([vars(facts)[name] for facts in every]) for name in cls.__dataclass_fields__))

    def pick(self, chosen: Sequence[int]) -> ImageFacts:
        """Return the facts of some of the images, by index, in the order given."""
        return ImageFacts(*(_pick(column, chosen) for column in vars(self).values()))

    def to_json(self) -> dict[str, Any]:
        """Return the columns as JSON values."""
        return {name: column.tolist() if isinstance(column, np.ndarray) else column for name, column in _there(self)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ImageFacts:
        """Return the facts that `to_json` wrote."""
        columns: dict[str, Any] = dict(content)
        arrays = {name: np.array(columns[name], dtype) for name, dtype in _DTYPES.items() if name in columns}
        return cls(**columns | arrays)


_DTYPES: Mapping[str, Any] = {
    "widths": np.int32,
    "heights": np.int32,
    "sizes": np.int64,
    "hashes": np.uint64,
    "hashed": np.bool_,
    "perceptual": np.uint64,
    "brightness": np.float32,
    "contrast": np.float32,
    "entropy": np.float32,
}


def _there(facts: ImageFacts) -> list[tuple[str, Any]]:
    return [(name, column) for name, column in vars(facts).items() if column is not None]


def _join(columns: Sequence[Any]) -> Any:
    if isinstance(columns[0], np.ndarray):
        return np.concatenate(columns)
    return None if columns[0] is None else [value for column in columns for value in column]


def _pick(column: Any, chosen: Sequence[int]) -> Any:
    if isinstance(column, np.ndarray):
        return column[np.asarray(chosen, np.intp)]
    return None if column is None else [column[i] for i in chosen]
