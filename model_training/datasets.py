"""Data sets that a network learns from: labelled pixels in two splits, with the rule by which the pixels were made.

    mnist    60,000 + 10,000 handwritten digits, 28 x 28, from IDX files or the Keras cache
    digits   1,797 handwritten digits, 8 x 8, bundled with scikit-learn, enlarged to 28 x 28
    PATH     a folder of class folders (`model_training.folder`)

Must not know how networks are trained. Imports TensorFlow nowhere, and Keras only to download MNIST.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from model_training import idx
from model_training.folder import RuleOf, example_png, read_folder
from model_training.publish import lie_in_one_another
from pipeline import storage
from pipeline.batches import EncodedBatch, ImageColumns
from pipeline.errors import UsageError
from pipeline.model.input_rule import ColorMode, Decode, InputSpec
from pipeline.model.preprocess import preprocess
from pipeline.model.presets import preset_of, rule_like
from pipeline.model.resize import takes_exact
from pipeline.model.thumbnails import png

DATASETS = ("mnist", "digits")
"""The names that are no folders."""

EXAMPLES = 10
"""Number of encoded test images that a data set hands out."""

DIGITS = tuple("0123456789")
RAW_SIDE = 28
"""Pixels of each side of the input for mnist and digits."""

REDUCED: RuleOf = partial(InputSpec, decode="reduced")
"""Makes the input rule of models that are trained here, if nothing else is asked for."""

_MNIST_SPLITS = {"train": ("x_train", "y_train"), "t10k": ("x_test", "y_test")}


@dataclass(frozen=True)
class Dataset:
    """Labelled pixels for training and for testing.

    Attributes:
        name: "mnist", "digits", or the location of a folder.
        class_names: in the order of the labels.
        input: the rule that makes pixels like these from an image file.
        train_images: uint8 [n, height, width, channels].
        train_labels: int64 [n], from 0.
        test_images: uint8 [m, height, width, channels]; training never sees them.
        test_labels: int64 [m].
        examples: a few test images as PNG files, of different classes where possible.
        left_out: key of an image that could not be used -> why.
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

    def __post_init__(self) -> None:
        """Check types, lengths and shapes."""
        for images, labels in ((self.train_images, self.train_labels), (self.test_images, self.test_labels)):
            if images.dtype != np.uint8 or images.shape[1:] != self.input.shape or len(images) != len(labels):
                raise ValueError(
                    f"images {images.dtype} {images.shape}, {len(labels)} labels, input {self.input.shape}"
                )


@dataclass(frozen=True)
class RawImages:
    """Small grey pictures as their publisher gave them, for whoever wants to write them as files.

    Attributes:
        name: "mnist" or "digits".
        images: uint8 [n, height, width].
        labels: int64 [n], 0 to 9.
        is_test: bool [n], True for the test split.
    """

    name: str
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    is_test: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Check that all columns are of one length."""
        if not len(self.images) == len(self.labels) == len(self.is_test):
            raise ValueError(f"{len(self.images)} images, {len(self.labels)} labels, {len(self.is_test)} splits")

    def encoded(self, i: int) -> bytes:
        """Return image i as a PNG file."""
        return png(Image.fromarray(self.images[i]))


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


def raw_images(name: str, data_dir: str | None = None) -> RawImages:
    """Return the pictures of "mnist" or "digits".

    Raises:
        UsageError: they cannot be had; the text says what to do.
    """
    if name == "mnist":
        return _raw_mnist(data_dir)
    if name != "digits":
        raise UsageError(f"no data set {name!r} of raw images: there are mnist and digits")
    if data_dir is not None:
        raise UsageError("--data_dir is for --dataset mnist; digits comes with scikit-learn")
    return _raw_digits()


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
    split = found.test_start
    examples = spread(found.labels[split:], EXAMPLES)
    return Dataset(
        name=storage.key_of(storage.absolute(path)),
        class_names=found.class_names,
        input=found.input,
        train_images=found.pixels[:split],
        train_labels=found.labels[:split],
        test_images=found.pixels[split:],
        test_labels=found.labels[split:],
        examples=[example_png(found.locations[split + i], found.input) for i in examples],
        left_out=found.left_out,
    )


def _raw_digits() -> RawImages:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UsageError("--dataset digits comes with scikit-learn: pip install 'nightscore[demo]'") from error
    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return RawImages("digits", images, digits.target.astype(np.int64), np.arange(len(images)) % 5 == 4)


def _raw_mnist(data_dir: str | None) -> RawImages:
    if data_dir is not None:
        splits = [_read_idx(storage.absolute(data_dir), split) for split in _MNIST_SPLITS]
    else:
        splits = _cached_mnist()
    images, labels = (np.concatenate(columns) for columns in zip(*splits, strict=True))
    is_test = np.arange(len(images)) >= len(splits[0][0])
    return RawImages("mnist", images, labels.astype(np.int64), is_test)


def _read_idx(folder: str, split: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return a split's images, uint8 [n, 28, 28], and labels, uint8 [n]."""
    columns = []
    for kind, dimensions in (("images", 3), ("labels", 1)):
        location, data = _find_idx(folder, f"{split}-{kind}-idx{dimensions}-ubyte")
        try:
            columns.append(idx.parse(data, dimensions))
        except ValueError as error:
            raise UsageError(f"{location!r} is damaged: {error}; fetch it again") from error
    images, labels = columns
    problem = _mnist_problem(images, labels)
    if problem:
        raise UsageError(f"the {split} files in {folder!r} are not MNIST's: {problem}")
    return images, labels


def _find_idx(folder: str, name: str) -> tuple[str, bytes]:
    for variant in (name, name + ".gz", name.replace("-idx", ".idx"), name.replace("-idx", ".idx") + ".gz"):
        location = storage.join(folder, variant)
        try:
            return location, storage.read(location)
        except FileNotFoundError:
            continue
        except PermissionError as error:
            raise UsageError(f"{location!r} cannot be read: {error.strerror or error}") from error
    raise UsageError(f"--data_dir {folder!r} lacks {name} or {name}.gz")


def _cached_mnist() -> list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]:
    """Return both splits from the Keras cache, downloading them into it first if they are not there."""
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    cache = os.path.join(home, "datasets", "mnist.npz")
    if not os.path.exists(cache):
        return _downloaded_mnist(cache)
    try:
        with open(cache, "rb") as file, np.load(file, allow_pickle=False) as stored:
            splits = [(stored[images], stored[labels]) for images, labels in _MNIST_SPLITS.values()]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"{cache!r} is damaged: {error}; remove it and it is downloaded anew") from error
    for images, labels in splits:
        problem = _mnist_problem(images, labels)
        if problem:
            raise UsageError(f"{cache!r} is not MNIST: {problem}; remove it and it is downloaded anew")
    return splits


def _downloaded_mnist(cache: str) -> list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]:
    import keras

    try:
        return list(keras.datasets.mnist.load_data())
    except Exception as error:  # Keras raises it bare
        raise UsageError(
            f"MNIST is not in {cache!r} and cannot be downloaded ({error}): give --data_dir with its four IDX files, "
            "or --dataset digits, which needs no network"
        ) from error


def _mnist_problem(images: npt.NDArray[np.generic], labels: npt.NDArray[np.generic]) -> str | None:
    if images.dtype != np.uint8 or images.shape[1:] != (RAW_SIDE, RAW_SIDE) or labels.ndim != 1:
        return f"images are {images.dtype} {images.shape}, labels {labels.shape}, expected uint8 (n, 28, 28) and (n,)"
    if len(images) != len(labels) or len(images) < 2:  # one to learn from, one to validate
        return f"{len(images):,} images, {len(labels):,} labels"
    highest = int(labels.max())
    return f"a label is {highest}, expected 0 to 9" if highest >= len(DIGITS) else None
