"""Data sets that a network learns from: labelled images in three splits, with the rule by which pixels are made.

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
from model_training.data.image_set import HeldImages, ImageSet
from model_training.data.raw_images import DIGITS, RAW_SIDE, RawImages, raw_images
from model_training.data.survey import RuleOf
from model_training.publishing.publish import lie_in_one_another
from pipeline import storage
from pipeline.batches import EncodedBatch, ImageColumns
from pipeline.errors import UsageError
from pipeline.model.input_rule import ColorMode, Decode, InputSpec
from pipeline.model.preprocess import preprocess
from pipeline.model.presets import preset_of, rule_like
from pipeline.model.resize import takes_exact
from pipeline.task import Task

__all__ = ["DATASETS", "EXAMPLES", "Dataset", "RawImages", "check_apart", "from_raw", "load", "raw_images", "spread"]

DATASETS = ("mnist", "digits")
"""The names that are no folders."""

EXAMPLES = 10
"""Number of encoded test images that a data set hands out."""

VALIDATION_SHARE = 0.1
"""Share of the training images that validate, if nothing else is asked for."""

REDUCED: RuleOf = partial(InputSpec, decode="reduced")
"""Makes the input rule of models that are trained here, if nothing else is asked for."""


@dataclass(frozen=True)
class Dataset:
    """Labelled images to learn from, to validate with and to test with.

    Attributes:
        name: "mnist", "digits", or the location of a folder.
        class_names: in the order of the labels.
        input: the rule that makes pixels like these from an image file.
        train: the images that are learned; at least one.
        validation: the images that watch over the training and choose its best epoch; at least one.
        test: the images that say how good the network is; training gets none of them. At least one.
        left_out: key of an image that could not be used -> why.
        task: what the network is to say of an image.
    """

    name: str
    class_names: Sequence[str]
    input: InputSpec
    train: ImageSet
    validation: ImageSet
    test: ImageSet
    left_out: Mapping[str, str] = field(default_factory=dict)
    task: Task = "classes"

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


def load(
    name: str,
    data_dir: str | None = None,
    image_size: int | None = None,
    color_mode: ColorMode | None = None,
    decode: Decode | None = None,
    like: str | None = None,
    seed: int = 0,
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
        seed: of mnist and digits: decides which images validate.

    Raises:
        UsageError: it cannot be had, or two of these contradict each other; the text says what to do.
    """
    rule_of = _rule_of(decode, like)
    if name in DATASETS:
        if image_size is not None or color_mode is not None:
            raise UsageError(f"--image_size and --color_mode are for folders: {name} is 28 x 28 and grayscale")
        return from_raw(raw_images(name, data_dir), rule_of, seed)
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


def from_raw(raw: RawImages, rule_of: RuleOf = REDUCED, seed: int = 0) -> Dataset:
    """Return pictures as a data set: each one as if it were read from its PNG file.

    Their publishers tell which images test. Of the others, shuffled with the seed, the last tenth validates.

    Args:
        raw: the pictures.
        rule_of: makes the input rule of its height, width and color mode.
        seed: of the shuffle.
    """
    rule = rule_of(RAW_SIDE, RAW_SIDE, "grayscale")
    if raw.images.shape[1:] == rule.shape[:2] and takes_exact(rule):
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


def _from_folder(path: str, image_size: int | None, color_mode: ColorMode | None, rule_of: RuleOf) -> Dataset:
    found = read_folder(path, image_size, color_mode, rule_of)
    everything = np.arange(len(found.labels))
    rest = everything[: found.test_start]

    def images(rows: npt.NDArray[np.int64]) -> HeldImages:
        return HeldImages(
            found.input,
            found.pixels,
            found.labels,
            rows,
            lambda i: storage.key_of(found.locations[i]),
            lambda i: example_png(found.locations[i], found.input),
        )

    validates = split.validation_split(images(rest).hashes, VALIDATION_SHARE)
    if not validates.any():
        raise UsageError(f"data set {path!r} has one picture to learn from and none to validate with: add more images")
    return Dataset(
        name=storage.key_of(storage.absolute(path)),
        class_names=found.class_names,
        input=found.input,
        train=images(rest[~validates]),
        validation=images(rest[validates]),
        test=images(everything[found.test_start :]),
        left_out=found.left_out,
    )
