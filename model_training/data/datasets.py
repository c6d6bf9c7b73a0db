"""Data sets that a network learns from: labelled pixels in two splits, with the rule by which the pixels were made.

    mnist    60,000 + 10,000 handwritten digits, 28 x 28, from IDX files or the Keras cache
    digits   1,797 handwritten digits, 8 x 8, bundled with scikit-learn, enlarged to 28 x 28
    PATH     a folder of class folders (`model_training.data.folder`)

Must not know how networks are trained. Imports TensorFlow nowhere, and Keras only to download MNIST.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import get_args

import numpy as np
import numpy.typing as npt

from model_training.data import split
from model_training.data.folder import example_png, read_folder
from model_training.data.raw_images import DIGITS, RAW_SIDE, RawImages, raw_images
from model_training.data.survey import RuleOf
from model_training.publishing.publish import lie_in_one_another
from pipeline import storage
from pipeline.batches import EncodedBatch, ImageColumns
from pipeline.errors import UsageError
from pipeline.model.input_rule import ColorMode, Decode, InputSpec
from pipeline.model.pixel_hash import pixel_hashes, rule_id
from pipeline.model.preprocess import preprocess
from pipeline.model.presets import preset_of, rule_like
from pipeline.model.resize import takes_exact

__all__ = ["DATASETS", "EXAMPLES", "Dataset", "RawImages", "check_apart", "from_raw", "load", "raw_images", "spread"]

DATASETS = ("mnist", "digits")
"""The names that are no folders."""

EXAMPLES = 10
"""Number of encoded test images that a data set hands out."""

REDUCED: RuleOf = partial(InputSpec, decode="reduced")
"""Makes the input rule of models that are trained here, if nothing else is asked for."""


@dataclass(frozen=True)
class Dataset:
    """Labelled pixels for training and for testing.

    Attributes:
        name: "mnist", "digits", or the location of a folder.
        class_names: in the order of the labels.
        input: the rule that makes pixels like these from an image file.
        train_images: uint8 [n, height, width, channels].
        train_labels: int64 [n], from 0.
        test_images: uint8 [m, height, width, channels]; training gets none of them.
        test_labels: int64 [m].
        examples: a few test images as PNG files, of different classes where possible.
        left_out: key of an image that could not be used -> why.
        by_content: whether the pixels decide which images are learned; else, as MNIST's, their order.
    """

    name: str
    class_names: Sequence[str]
    input: InputSpec
    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.int64]
    examples: Sequence[bytes]
    left_out: Mapping[str, str] = field(default_factory=dict)
    by_content: bool = False

    def __post_init__(self) -> None:
        """Check types, lengths and shapes."""
        for images, labels in ((self.train_images, self.train_labels), (self.test_images, self.test_labels)):
            if images.dtype != np.uint8 or images.shape[1:] != self.input.shape or len(images) != len(labels):
                raise ValueError(
                    f"images {images.dtype} {images.shape}, {len(labels)} labels, input {self.input.shape}"
                )

    @cached_property
    def train_hashes(self) -> npt.NDArray[np.uint64]:
        """Hashes of the training images' pixels, uint64 [n]."""
        return pixel_hashes(self.train_images, rule_id(self.input))

    @cached_property
    def test_hashes(self) -> npt.NDArray[np.uint64]:
        """Hashes of the test images' pixels, uint64 [m]."""
        return pixel_hashes(self.test_images, rule_id(self.input))

    @property
    def copies(self) -> int:
        """How many images repeat the pixels of another."""
        return split.copies(np.concatenate([self.train_hashes, self.test_hashes]))

    @property
    def test_copies(self) -> int:
        """How many test images are exact copies of a training image."""
        return int(np.isin(self.test_hashes, self.train_hashes).sum())


def load(
    name: str,
    data_dir: str | None = None,
    image_size: int | None = None,
    color_mode: ColorMode | None = None,
    decode: Decode | None = None,
    like: str | None = None,
) -> Dataset:
    """Return a data set.

    Args:
        name: "mnist", "digits" or a folder of class folders, local or gs://.
        data_dir: for mnist, where the four IDX files lie; None takes the Keras cache, or downloads into it.
        image_size: for a folder, see `read_folder`.
        color_mode: for a folder, see `read_folder`.
        decode: how JPEG files are decoded, in training and in scoring: "reduced" or "full". None takes "reduced", but
            with a preset "full".
        like: name of a preset whose input rule the model gets, one of `pipeline.model.presets.PRESETS`; None takes the
            rule of Nightscore.

    Raises:
        UsageError: it cannot be had, or two of these contradict each other; the text says what to do.
    """
    rule_of = _rule_of(decode, like)
    if name in DATASETS:
        if image_size is not None or color_mode is not None:
            raise UsageError(f"--image_size and --color_mode are for folders: {name} is 28 x 28 and grayscale")
        return from_raw(raw_images(name, data_dir), rule_of)
    if data_dir is not None:
        raise UsageError(f"--data_dir is for --dataset mnist, not for {name!r}")
    return _from_folder(name, image_size, color_mode, rule_of)


def _rule_of(decode: Decode | None, like: str | None) -> RuleOf:
    """Return what makes the input rule, of its height, width and color mode."""
    if decode is not None and decode not in get_args(Decode):
        raise UsageError(f"--decode {decode!r} is unknown: give reduced or full")
    if like is None:
        return REDUCED if decode is None else partial(InputSpec, decode=decode)
    preset_of(like)
    if decode == "reduced":
        raise UsageError(
            f"--decode reduced contradicts --like {like}, which decodes every pixel: leave one of them out"
        )
    return partial(rule_like, like)


def check_apart(name: str, output: str) -> None:
    """Check that a data set and the place of the new model do not lie in one another.

    Args:
        name: as `load` takes it.
        output: location of the new model, as `check_output` returns it.

    Raises:
        UsageError: they do: a model that is replaced would take images with it, or become some.
    """
    if name in DATASETS:
        return
    images = storage.absolute(name)
    if lie_in_one_another(images, output):
        raise UsageError(f"--output {output!r} and --dataset {images!r} lie in one another: give folders apart")


def from_raw(raw: RawImages, rule_of: RuleOf = REDUCED) -> Dataset:
    """Return pictures as a data set: each one as if it were read from its PNG file.

    Args:
        raw: the pictures.
        rule_of: makes the input rule of its height, width and color mode.
    """
    rule = rule_of(RAW_SIDE, RAW_SIDE, "grayscale")
    if raw.images.shape[1:] == rule.shape[:2] and takes_exact(rule):
        pixels = raw.images[..., np.newaxis]  # PNG loses nothing and there is nothing to resize
    else:
        keys = [f"{raw.name}#{i}" for i in range(len(raw.images))]
        encoded = [raw.encoded(i) for i in range(len(raw.images))]
        pixels = preprocess(EncodedBatch(ImageColumns.of(keys), encoded), rule).pixels
    test = np.flatnonzero(raw.is_test)
    return Dataset(
        name=raw.name,
        class_names=DIGITS,
        input=rule,
        train_images=pixels[~raw.is_test],
        train_labels=raw.labels[~raw.is_test],
        test_images=pixels[test],
        test_labels=raw.labels[test],
        examples=[raw.encoded(int(test[i])) for i in spread(raw.labels[test], EXAMPLES)],
    )


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


def _from_folder(path: str, image_size: int | None, color_mode: ColorMode | None, rule_of: RuleOf) -> Dataset:
    found = read_folder(path, image_size, color_mode, rule_of)
    start = found.test_start
    examples = spread(found.labels[start:], EXAMPLES)
    return Dataset(
        name=storage.key_of(storage.absolute(path)),
        class_names=found.class_names,
        input=found.input,
        train_images=found.pixels[:start],
        train_labels=found.labels[:start],
        test_images=found.pixels[start:],
        test_labels=found.labels[start:],
        examples=[example_png(found.locations[start + i], found.input) for i in examples],
        left_out=found.left_out,
        by_content=True,
    )
