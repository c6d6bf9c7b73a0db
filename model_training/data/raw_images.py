"""MNIST and scikit-learn's digits as their publishers gave them: small grey pictures with labels, in two splits.

Imports Keras only to download MNIST. Must not know networks or input rules.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from model_training.data import idx
from pipeline import storage
from pipeline.errors import UsageError
from pipeline.model.thumbnails import png

DIGITS = tuple("0123456789")
RAW_SIDE = 28
"""Pixels of each side of the input for mnist and digits."""

_MNIST_SPLITS = {"train": ("x_train", "y_train"), "t10k": ("x_test", "y_test")}


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


def _raw_digits() -> RawImages:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UsageError("--dataset digits comes with scikit-learn: pip install scikit-learn") from error
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
