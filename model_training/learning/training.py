"""The training loop: a data set and a recipe to a network and its history. Must not know where the network is kept."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model_training.data.datasets import Dataset
from model_training.data.split import validation_split
from model_training.learning.network import build_network
from pipeline.errors import UsageError
from pipeline.model.engines import tensorflow
from pipeline.model.trained_on import LearnedSet


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        epochs: times every training image is seen.
        batch_size: images in a step.
        seed: of the weights, of the order of the images, and of which of them validate.
        validation_split: share of the training images that are kept for validation.
    """

    epochs: int = 5
    batch_size: int = 32
    seed: int = 0
    validation_split: float = 0.1


@dataclass(frozen=True)
class History:
    """What was measured after each epoch; the first axis of every column is the epoch.

    Attributes:
        loss: float64 [epochs], mean cross-entropy over the training images, in nats, while they were learned.
        accuracy: float64 [epochs], 0 to 1.
        val_loss: float64 [epochs], of the validation images, after the epoch.
        val_accuracy: float64 [epochs], 0 to 1.
        seconds: float64 [epochs].

    >>> one = np.ones(1)
    >>> History(one, one, one, one, one).to_json()["seconds"]
    [1.0]
    """

    loss: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    val_loss: npt.NDArray[np.float64]
    val_accuracy: npt.NDArray[np.float64]
    seconds: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check that all columns are of one length."""
        lengths = {len(column) for column in vars(self).values()}
        if len(lengths) != 1:
            raise ValueError(f"columns of different lengths: {sorted(lengths)}")

    def __len__(self) -> int:
        """Return the number of epochs."""
        return len(self.loss)

    def to_json(self) -> dict[str, list[float]]:
        """Return the columns as lists."""
        return {name: column.tolist() for name, column in vars(self).items()}


@dataclass(frozen=True)
class Trained:
    """A trained network and how it came about.

    Attributes:
        network: a keras.Sequential from `build_network`.
        recipe: as given.
        history: one entry an epoch.
        train_images: how many images it learned from.
        validation_images: how many validated.
    """

    network: Any
    recipe: Recipe
    history: History
    train_images: int
    validation_images: int

    @property
    def layers(self) -> list[tuple[str, str, str, int]]:
        """Name, kind, output shape and number of parameters of each layer."""
        return [
            (layer.name, type(layer).__name__, " x ".join(map(str, layer.output.shape[1:])), layer.count_params())
            for layer in self.network.layers
        ]


def train(dataset: Dataset, recipe: Recipe, progress: Any = None) -> Trained:
    """Train a new network.

    The training images are shuffled once with the seed; the last of them validate, so that all classes do, whatever
    order the data set has. Of a folder these are chosen by their pixels, so that none is a copy of one that is learned.
    The test images are not touched.

    Args:
        dataset: at least two training images.
        recipe: see `Recipe`.
        progress: a keras.callbacks.Callback that shows the progress, None for silence.
    """
    import keras

    keras.utils.set_random_seed(recipe.seed)
    order, learned = learning_order(dataset, recipe)
    network = build_network(dataset.input.shape, len(dataset.class_names))
    seconds: list[float] = []
    started: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: started.append(time.perf_counter()),
        on_epoch_end=lambda epoch, logs: seconds.append(time.perf_counter() - started[-1]),
    )
    images, labels = dataset.train_images[order], dataset.train_labels[order]
    held_out: dict[str, Any] = {"validation_split": recipe.validation_split}
    if dataset.by_content:
        held_out = {"validation_data": (images[learned:], labels[learned:])}
        images, labels = images[:learned], labels[:learned]
    fitted = network.fit(
        images,
        labels,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        **held_out,
        callbacks=[clock] if progress is None else [clock, progress],
        verbose=0,
    )
    return Trained(network, recipe, _history(fitted.history, seconds), learned, len(order) - learned)


def check_tensorflow() -> None:
    """Check that TensorFlow is installed, without importing it: nothing is trained or converted without it.

    Raises:
        UsageError: it is not.
    """
    if not tensorflow.is_installed():
        raise UsageError(
            "training needs the package tensorflow, which is not installed here: install it with "
            "'pip install tensorflow'"
        )


def start_tensorflow() -> None:
    """Import TensorFlow and look for devices: both write banners to stderr, which whoever calls may keep back."""
    import tensorflow as tf

    tf.config.list_logical_devices()


def learning_order(dataset: Dataset, recipe: Recipe) -> tuple[npt.NDArray[np.int64], int]:
    """Return the order in which the training images are learned, and how many are; those behind validate.

    Returns:
        int64 [n], numbers of the training images, and the number of those that are learned.
    """
    order = np.random.default_rng(recipe.seed).permutation(len(dataset.train_labels))
    validates = (
        validation_split(dataset.train_hashes, recipe.validation_split) if dataset.by_content else np.zeros(0, np.bool_)
    )
    if not validates.any():
        return order, learning_images(len(order), recipe)
    learned = int((~validates).sum())
    return order[np.argsort(validates[order], kind="stable")], learned


def learned_hashes(dataset: Dataset, recipe: Recipe) -> dict[LearnedSet, npt.NDArray[np.uint64]]:
    """Return the hashes of the pixels that a network learns from, of those that validate apart; of no test images.

    Returns:
        Set -> uint64, a hash for each image.
    """
    order, learned = learning_order(dataset, recipe)
    hashes = dataset.train_hashes[order]
    return {"train": hashes[:learned], "validation": hashes[learned:]}


def learning_images(images: int, recipe: Recipe) -> int:
    """Return how many of the training images are learned if their order decides; the others validate, as in Keras.

    >>> learning_images(60_000, Recipe())
    54000
    """
    return math.floor(images * (1.0 - recipe.validation_split))


def _history(logs: Mapping[str, list[float]], seconds: list[float]) -> History:
    columns = {name: np.array(logs[name], np.float64) for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    return History(**columns, seconds=np.array(seconds, np.float64))
