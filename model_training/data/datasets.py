"""Data sets that a network learns from: labelled images in three splits, with the rule by which pixels are made.

    mnist    60,000 + 10,000 handwritten digits, 28 x 28, from IDX files or the Keras cache
    digits   1,797 handwritten digits, 8 x 8, bundled with scikit-learn, enlarged to 28 x 28
    PATH     any images that can be scored (`model_training.data.from_sources`)

Must not know how networks are trained. Imports TensorFlow nowhere, and Keras only to download MNIST.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from model_training.data import split
from model_training.data.from_sources import read_sources
from model_training.data.image_set import HeldImages, ImageSet
from model_training.data.options import DATASETS, DataOptions
from model_training.data.raw_images import DIGITS, RAW_SIDE, RawImages, raw_images
from model_training.data.sides import VALIDATION_SHARE
from model_training.publishing.publish import lie_in_one_another
from pipeline import storage
from pipeline.batches import EncodedBatch, ImageColumns
from pipeline.errors import UsageError
from pipeline.model.input_rule import ColorMode, InputSpec
from pipeline.model.preprocess import preprocess
from pipeline.model.resize import takes_exact
from pipeline.task import Task

__all__ = [
    "DATASETS",
    "EXAMPLES",
    "DataOptions",
    "Dataset",
    "RawImages",
    "check_apart",
    "from_raw",
    "load",
    "raw_images",
    "spread",
]

EXAMPLES = 10
"""Number of encoded test images that a data set hands out."""

RuleOf = Callable[[int, int, ColorMode], InputSpec]
"""Makes an input rule of height, width and color mode."""

REDUCED: RuleOf = partial(InputSpec, decode="reduced")
"""Makes the input rule of models that are trained here, if nothing else is asked for."""


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

    @property
    def test_copies(self) -> int:
        """How many test images are exact copies of an image that is learned or validates."""
        return int(np.isin(self.test.hashes, self.learned_hashes).sum())

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


def load(options: DataOptions, seen: Callable[[int], None] | None = None) -> Dataset:
    """Return a data set.

    Args:
        options: say what it is.
        seen: is told of each number of images more that were read for the first time; None: nobody is.

    Raises:
        UsageError: it cannot be had, or nothing can be learned from it; the text says what to do.
        TransientError: storage fails for now.
    """
    if options.name is not None:
        return replace(
            from_raw(raw_images(options.name, options.data_dir), options.rule, options.seed), task=options.task
        )
    found = read_sources(options, seen)
    dataset = Dataset(
        found.name,
        found.class_names,
        found.input,
        found.train,
        found.validation,
        found.test,
        found.left_out.examples,
        options.task,
        found.left_out.count,
    )
    _ = dataset.examples  # while they are there
    return dataset


def check_apart(options: DataOptions, output: str) -> None:
    """Check that images and the place of the new model do not lie in one another.

    Args:
        options: name the images.
        output: location of the new model, as `check_output` returns it.

    Raises:
        UsageError: they do: a model that is replaced would take images with it, or become some.
    """
    if options.name is not None:
        return
    for source in (*options.sources, *options.validation, *options.test):
        images = storage.absolute(source)
        fixed = storage.fixed_prefix(images)
        is_glob = fixed != images  # one that leads to images around the model may lead past it
        if f"{fixed}/".startswith(f"{output}/") if is_glob else lie_in_one_another(images, output):
            raise UsageError(f"--output {output!r} and --dataset {images!r} lie in one another: give folders apart")


def from_raw(raw: RawImages, rule_of: RuleOf = REDUCED, seed: int = 0) -> Dataset:
    """Return pictures as a data set: each one as if it were read from its PNG file.

    Their publishers tell which images test. Of the others, shuffled with the seed, the last tenth validates.

    Args:
        raw: the pictures.
        rule_of: makes the input rule of its height, width and color mode.
        seed: of the shuffle.
    """
    rule = rule_of(RAW_SIDE, RAW_SIDE, "grayscale")
    if (*raw.images.shape[1:], 1) == rule.shape and takes_exact(rule):
        pixels = raw.images[..., np.newaxis]  # PNG loses nothing and there is nothing to resize
    else:
        keys = [f"{raw.name}#{i}" for i in range(len(raw.images))]
        encoded = [raw.encoded(i) for i in range(len(raw.images))]
        pixels = preprocess(EncodedBatch(ImageColumns.of(keys), encoded), rule).pixels

    def images(rows: npt.NDArray[np.int64]) -> HeldImages:
        return HeldImages(rule, pixels, raw.labels, rows, lambda i: f"{raw.name}#{i}", raw.encoded)

    rest = np.random.default_rng(seed).permutation(np.flatnonzero(~raw.is_test))
    learned = int(len(rest) * (1.0 - VALIDATION_SHARE))  # as Keras' validation_split counts
    test = images(np.flatnonzero(raw.is_test))
    return Dataset(raw.name, DIGITS, rule, images(rest[:learned]), images(rest[learned:]), test)


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
