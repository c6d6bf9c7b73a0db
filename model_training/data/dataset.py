"""`Dataset`: labelled images in three splits, with the rule by which their pixels are made.

Must not know where images come from, or what learns from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from model_training.data import split
from model_training.data.image_list import ImageList, Split
from model_training.data.image_set import ImageSet
from pipeline.model.input_rule import InputSpec
from pipeline.sources.skipped import Skipped
from pipeline.task import Task

EXAMPLES = 10
"""Number of encoded test images that a data set hands out."""


@dataclass(frozen=True)
class Dataset:
    """Labelled images to learn from, to validate with and to test with.

    Attributes:
        name: "mnist", "digits", or the locations of inputs.
        class_names: in the order of the labels.
        input: the rule that makes pixels like these from an image file.
        train: the images that are learned; at least one.
        validation: the images that watch over the training and choose its best epoch; at least one.
        test: the images that say how good the network is; training gets none of them. At least one.
        left_out: key of an image that could not be used -> why; of the first thousand.
        task: what the network is to say of an image.
        left_out_count: how many images could not be used, if they are more than `left_out` names.
        skipped: counts the files of the inputs that are no images, or none that can be read.
        listed: names all images, also those that could not be used; None: nobody can list them.
    """

    name: str
    class_names: Sequence[str]
    input: InputSpec
    train: ImageSet
    validation: ImageSet
    test: ImageSet
    left_out: Mapping[str, str] = field(default_factory=dict)
    task: Task = "classes"
    left_out_count: int = 0
    skipped: Skipped = field(default_factory=Skipped)
    listed: ImageList | None = None

    def images(self, split: Split) -> ImageSet:
        """Return the images of a split."""
        sets: Mapping[Split, ImageSet] = {"train": self.train, "validation": self.validation, "test": self.test}
        return sets[split]

    @property
    def left_out_images(self) -> int:
        """How many images could not be used."""
        return max(self.left_out_count, len(self.left_out))

    @cached_property
    def learned_hashes(self) -> npt.NDArray[np.uint64]:
        """Hashes of the pixels of all images that are learned or validate, uint64."""
        return np.concatenate([self.train.hashes, self.validation.hashes])

    @property
    def copies(self) -> int:
        """How many images repeat the pixels of another."""
        return split.copies(np.concatenate([self.learned_hashes, self.test.hashes]))

    @cached_property
    def test_known(self) -> npt.NDArray[np.bool_]:
        """Which test images are exact copies of an image that is learned or validates, bool [n]."""
        return split.are_in(split.each_once(self.learned_hashes), self.test.hashes)

    @property
    def test_copies(self) -> int:
        """How many test images are exact copies of an image that is learned or validates."""
        return int(self.test_known.sum())

    @cached_property
    def examples(self) -> list[bytes]:
        """A few test images as files, of different classes or values where possible."""
        labels, n = self.test.labels, min(EXAMPLES, len(self.test))
        if self.task in ("classes", "embedding"):
            numbers = spread(labels, EXAMPLES)
        else:
            order = np.argsort(labels, kind="stable") if self.task == "value" else np.arange(len(labels))
            numbers = order[np.linspace(0, len(labels) - 1, n).astype(np.int64)].tolist()
        return [self.test.encoded(number) for number in numbers]


def spread(labels: npt.NDArray[np.int64], n: int) -> list[int]:
    """Return the indices of at most n images, the first of each class before the second of any.

    >>> spread(np.array([5, 5, 7, 7, 9]), 4)
    [0, 2, 4, 1]
    """
    seen: Counter[int] = Counter()
    rank = []
    for label in labels.tolist():
        rank.append(seen[label])
        seen[label] += 1
    order = sorted(range(len(labels)), key=lambda i: (rank[i], labels[i]))
    return [order[i * len(seen) // n] for i in range(n)] if len(seen) > n else order[:n]
