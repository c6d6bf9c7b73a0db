"""How well an embedding tells images apart: the share of test images whose nearest neighbor is of their class.

Must not know what gives the embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model_training.data.image_set import Hashes, ImageSet
from model_training.learning.evaluation import Run, scoring_batches
from pipeline.metrics.proportions import wilson
from pipeline.model.engines.network import Vectors

SAMPLE = 2_000
"""Number of test images among which neighbors are looked for, at most."""


@dataclass(frozen=True)
class Neighbors:
    """How often the nearest neighbor of an image, among the others of a sample, is of its class.

    Attributes:
        images: how many images the sample has, no picture twice.
        right: how many of them have a nearest neighbor of their class, by the cosine of the angle between embeddings.
    """

    images: int
    right: int

    @property
    def accuracy(self) -> float:
        """Share of the images whose nearest neighbor is of their class."""
        return self.right / self.images if self.images else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % score interval of that share (Wilson)."""
        return wilson(self.right, self.images) or (0.0, 1.0)

    @property
    def figures(self) -> dict[str, float]:
        """What was measured, by name."""
        return {"neighbor_accuracy": self.accuracy, "neighbor_images": self.images}

    @property
    def lines(self) -> list[str]:
        """What a terminal shows of it."""
        low, high = self.interval
        return [
            f"test nearest-neighbor accuracy {self.accuracy:.4f} (95 % interval {low:.4f} to {high:.4f}) among "
            f"{self.images:,} images"
        ]


class NeighborSample:
    """The embeddings of a sample of images, as they come batch by batch."""

    def __init__(self, images: ImageSet) -> None:
        """Choose the sample: spread over all images, and of images with the same pixels only the first."""
        self._numbers = sampled(images.hashes)
        self._labels = images.labels
        self._vectors: list[Vectors] = []
        self._taken: list[npt.NDArray[np.int64]] = []

    def add(self, vectors: Vectors, numbers: npt.NDArray[np.int64]) -> None:
        """Take what a batch has of the sample: embeddings, float32 [n, d], and the numbers of their images."""
        is_in = np.isin(numbers, self._numbers)
        self._vectors.append(vectors[is_in])
        self._taken.append(numbers[is_in])

    def result(self) -> Neighbors:
        """Return how often the nearest neighbor is of the same class."""
        return nearest(np.concatenate(self._vectors), self._labels[np.concatenate(self._taken)])


def neighbors_of(run: Run, images: ImageSet) -> Neighbors:
    """Return how often the nearest neighbor of an image is of its class.

    Args:
        run: from `load_outputs`; gives an embedding.
        images: each of one class.
    """
    sample = NeighborSample(images)
    for pixels, numbers in scoring_batches(images):
        vectors = run(pixels).embedding
        assert vectors is not None
        sample.add(vectors, numbers)
    return sample.result()


def sampled(hashes: Hashes, n: int = SAMPLE) -> npt.NDArray[np.int64]:
    """Return the numbers of at most n images spread over all, the first of each picture, rising.

    >>> sampled(np.array([5, 5, 7, 9, 7], np.uint64)).tolist()
    [0, 2, 3]
    """
    _, first = np.unique(hashes, return_index=True)
    first.sort()
    return np.asarray(first[np.linspace(0, len(first) - 1, min(n, len(first))).astype(np.int64)], np.int64)


def nearest(vectors: Vectors, classes: npt.NDArray[np.int64] | Sequence[int]) -> Neighbors:
    """Return for how many vectors the nearest of the others is of the same class.

    Args:
        vectors: float32 [n, d]; one that is 0 everywhere has no direction, and is nearest to nothing.
        classes: int64 [n].

    >>> nearest(np.array([[1, 0], [2, 0.1], [0, 1]], np.float32), [0, 0, 1])
    Neighbors(images=3, right=2)
    """
    if len(vectors) < 2:
        return Neighbors(len(vectors), 0)
    labels = np.asarray(classes)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.where(lengths > 0, lengths, 1)
    cosines = units @ units.T
    np.fill_diagonal(cosines, -np.inf)
    right = (labels[cosines.argmax(axis=1)] == labels) & (lengths[:, 0] > 0)
    return Neighbors(len(vectors), int(right.sum()))
