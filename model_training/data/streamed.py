"""`StreamedImages`: an image set that is decoded whenever it is asked for, and `ArchiveImages`, what it reads from.

Must not know splits or what learns from the images.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from model_training.data.archive import Archive, Decoded, Rows
from model_training.data.compressed_texts import CompressedTexts
from model_training.data.image_set import Hashes, Labels, Numbers, Pixels
from model_training.data.shuffle import Part, in_batches, shuffled
from pipeline.batches import EncodedBatch
from pipeline.errors import ChangedError
from pipeline.formatting import counted
from pipeline.model.colors import to_mode
from pipeline.model.input_rule import InputSpec
from pipeline.model.pillow import open_image
from pipeline.model.thumbnails import png
from pipeline.option_values import read_bands
from pipeline.text import brief

LARGEST_EXAMPLE = 512
"""Pixels of an example's longer side, at most."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ArchiveImages:
    """The images of an archive by their numbers, in the order in which they were planned.

    Attributes:
        archive: that holds them.
        starts: int64 [units + 1], number of the first image of each unit.
        keys: of all images.
    """

    archive: Archive
    starts: Numbers
    keys: CompressedTexts

    def key(self, number: int) -> str:
        """Return the key of an image, as scoring the archive would call it."""
        return self.keys[number]

    def encoded(self, number: int) -> bytes:
        """Return an image as a PNG file: the file itself if it is a small PNG, else its pixels, reduced to 512.

        Raises:
            ChangedError: it is no longer there.
        """
        batch = self.archive.read(*self._place(number))
        why = _why_gone(batch)
        if why is not None:
            raise ChangedError(f"{self.key(number)} cannot be read again: {why}")
        return as_example(batch.encoded[0], self.archive.rule)

    def pixels(self, numbers: Sequence[int]) -> Pixels:
        """Return the pixels of a few images, in that order.

        Raises:
            ChangedError: one is no longer there.
            TransientError: storage fails for now.
        """
        wanted = np.unique(np.asarray(numbers, np.int64))
        made = np.empty((len(wanted), *self.archive.rule.shape), np.uint8)
        with closing(self.decode(wanted, None)) as parts:
            for decoded, places in parts:
                for i, failure in decoded.batch.images.failures.items():
                    raise ChangedError(f"{decoded.batch.images.keys[i]} cannot be read again: {failure.message}")
                made[places] = decoded.batch.pixels
        return made[np.searchsorted(wanted, np.asarray(numbers, np.int64))]

    def decode(
        self, wanted: Numbers, random: np.random.Generator | None
    ) -> Generator[tuple[Decoded, Numbers], None, None]:
        """Yield some images, each part with the places of its images in `wanted`; failed ones are there as such.

        Args:
            wanted: int64 [n], sorted.
            random: draws the order of the units; None: that of the archive.
        """
        units = np.unique(np.searchsorted(self.starts, wanted, side="right") - 1)
        order = units if random is None else random.permutation(units)

        def first(unit: int) -> int:
            return int(np.searchsorted(wanted, self.starts[unit]))

        def rows(unit: int) -> Rows:
            mine = wanted[first(unit) : np.searchsorted(wanted, self.starts[unit + 1])]
            return np.asarray(mine - self.starts[unit])

        with closing(self.archive.decode_some(order.tolist(), rows, random)) as parts:
            for decoded in parts:
                yield decoded, np.searchsorted(wanted, decoded.rows + self.starts[decoded.unit])

    def _place(self, number: int) -> tuple[int, int]:
        """Return the unit of an image, and its row there."""
        unit = int(np.searchsorted(self.starts, number, side="right")) - 1
        return unit, number - int(self.starts[unit])


class StreamedImages:
    """An image set whose pixels are decoded in local processes for each epoch; see `ImageSet`.

    An image that has vanished or changed since the first look is left out of an epoch; the first epoch with such images
    tells how many there are. If storage fails, the epoch ends with an error.
    """

    def __init__(self, images: ArchiveImages, rows: Rows, labels: Labels, hashes: Hashes, buffer_bytes: int) -> None:
        """Make an image set.

        Args:
            images: of the archive.
            rows: int64 [n], which of them are in this set, sorted.
            labels: of these n images.
            hashes: uint64 [n], of their pixels.
            buffer_bytes: of pixels that wait to be drawn at random, at most.
        """
        self._images, self._rows = images, rows
        self.labels, self.hashes = labels, hashes
        self._capacity = max(1, min(len(rows), buffer_bytes // math.prod(images.archive.rule.shape)))
        self._has_told = False

    def __len__(self) -> int:
        """See `ImageSet`."""
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        """See `ImageSet`."""
        return self._images.archive.rule.shape

    def batches(self, size: int, seed: int | None = None) -> Iterator[tuple[Pixels, Numbers]]:
        """See `ImageSet`: a random order is that of units, and a random draw from a buffer of decoded images.

        Raises:
            TransientError: storage fails for now, or this process is being interrupted.
        """
        random = None if seed is None else np.random.default_rng(seed)
        if random is None:
            return in_batches(self._parts(None), size)
        return shuffled(self._parts(random), self._capacity, size, random)

    def _parts(self, random: np.random.Generator | None) -> Iterator[Part]:
        """Yield all images that can be had, a piece at a time."""
        lost, example = 0, ""
        for decoded, numbers in self._images.decode(self._rows, random):
            columns = decoded.batch.images
            for i, failure in columns.failures.items():
                lost, example = lost + 1, example or f"{brief(columns.keys[i])}: {failure.message}"
            ok = columns.ok
            yield (decoded.batch.pixels, numbers) if ok.all() else (decoded.batch.pixels[ok], numbers[ok])
        if lost and not self._has_told:
            self._has_told = True
            what = counted(lost, "image is", "images are")
            _log.warning("%s left out, changed or gone since the first look: %s", what, example)

    def pixels(self, numbers: Sequence[int]) -> Pixels:
        """See `ImageSet`."""
        return self._images.pixels(self._rows[np.asarray(numbers, np.int64)].tolist())

    def key(self, number: int) -> str:
        """See `ImageSet`."""
        return self._images.key(int(self._rows[number]))

    def encoded(self, number: int) -> bytes:
        """See `ImageSet`."""
        return self._images.encoded(int(self._rows[number]))


def as_example(data: bytes, rule: InputSpec) -> bytes:
    """Return an image as a PNG file: the file itself if it is a small PNG, else its pixels, reduced to 512."""
    opened = open_image(data, bands=read_bands(rule.bands))
    if opened.format == "PNG" and max(opened.size) <= LARGEST_EXAMPLE:
        return data
    image = to_mode(opened, rule)
    image.thumbnail((LARGEST_EXAMPLE, LARGEST_EXAMPLE))
    return png(image)


def _why_gone(batch: EncodedBatch) -> str | None:
    """Return why the one image of a batch is not there."""
    if not batch.encoded:
        return "it is no longer in its archive"
    failure = batch.images.failures.get(0)
    return None if failure is None else failure.message
