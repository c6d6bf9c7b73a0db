"""The training loop: a data set and a recipe to a network and its history. Must not know where the network is kept."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from model_training.data.datasets import Dataset
from model_training.learning.base import Base
from model_training.learning.checkpoint import Checkpoint
from model_training.learning.head import LEARNED_AS_CLASSES, Head, head_of
from model_training.learning.history import History, history_of
from model_training.learning.network import build_network
from model_training.learning.optimizer import optimizer_of
from model_training.learning.precision import choose_precision, set_precision
from model_training.learning.rate_search import RateSearch, search_rate
from model_training.learning.recipe import LAST, Recipe, TrainingPrecision
from pipeline.errors import UsageError
from pipeline.machine import keep_freed_memory
from pipeline.model.engines import tensorflow

VALIDATION_BATCH = 256
"""Images of a validation batch."""


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """A part of a training: some epochs with one set of layers that learn, at one learning rate.

    Attributes:
        stop: number of the epoch before which it ends, counted from the first one of the training.
        learning_rate: of the optimizer, at its highest.
        unfreeze: called before the stage: says which layers learn; None: all do.
    """

    stop: int
    learning_rate: float
    unfreeze: Callable[[], None] | None = None


@dataclass(frozen=True)
class Trained:
    """A trained network and how it came about.

    Attributes:
        network: a Keras model that takes uint8 pixels.
        head: its end.
        recipe: as given.
        history: one entry an epoch.
        precision: that its layers computed in while they learned; now it is float32.
        rate_search: the search that found the learning rate; None: the recipe gave it.
        temperature: that divides its logits, see `model_training.learning.temperature`; None: nobody asked for it.
        base: that the network begins with; None: it was trained from scratch.
    """

    network: Any
    head: Head
    recipe: Recipe
    history: History
    precision: TrainingPrecision = "float32"
    rate_search: RateSearch | None = None
    temperature: float | None = None
    base: Base | None = None

    @property
    def has_graph(self) -> bool:
        """Whether its base is a graph without layers."""
        return self.base is not None and self.base.is_fixed

    @property
    def layers(self) -> list[tuple[str, str, str, int]]:
        """Name, kind, output shape and number of parameters of each layer."""
        return [
            (layer.name, type(layer).__name__, " x ".join(map(str, layer.output.shape[1:])), layer.count_params())
            for layer in self.network.layers
        ]


def train(
    dataset: Dataset,
    recipe: Recipe,
    checkpoint: Checkpoint | None = None,
    progress: Any = None,
    base: Base | None = None,
) -> Trained:
    """Train a network, or go on with a training that was broken off. The test images are not touched.

    Args:
        dataset: see `Dataset`.
        recipe: see `Recipe`.
        checkpoint: where each epoch is kept, `begin` was called; epochs that are over there are not trained again.
            None: nothing is kept.
        progress: a keras.callbacks.Callback that shows the progress, None for silence.
        base: that the network begins with, whose weights are changed; None: it is built from scratch.

    Raises:
        UsageError: the recipe asks for what the task does not have, or the disk of the checkpoint is full.
    """
    import keras

    from model_training.learning import keeping

    head = head_of(dataset.task, len(dataset.class_names), dataset.train.labels)
    if recipe.monitor not in (*head.monitors, LAST):
        raise UsageError(f"--monitor {recipe.monitor!r} is unknown: give {', '.join(head.monitors)} or {LAST}")
    if recipe.class_weight != "none" and head.task not in LEARNED_AS_CLASSES:
        raise UsageError(
            f"--class_weight {recipe.class_weight} is for images of one class each, and the task is {head.task}: leave "
            "it out"
        )
    keras.utils.set_random_seed(recipe.seed)
    if base is None:
        network = build_network(recipe.network, dataset.input.shape, head)
    else:
        network = base.network(head)
        base.unfreeze("none")
    used: TrainingPrecision = choose_precision() if recipe.precision == "auto" else recipe.precision
    set_precision(network, used)
    with tempfile.TemporaryDirectory(prefix="nightscore-train-") as temporary:
        kept = checkpoint or Checkpoint(temporary)
        rate, search = _rate(network, head, dataset, recipe, kept)
        stages = _stages(recipe, rate, base)
        rows = _fit(network, head, dataset, recipe, stages, kept, progress)
        chosen = keeping.take_best(network, recipe, rows, kept)
    set_precision(network, "float32")
    return Trained(network, head, recipe, history_of(rows, chosen), used, search, base=base)


def _stages(recipe: Recipe, rate: float, base: Base | None) -> Sequence[Stage]:
    """Return the stages of a training: with a base one in which it is frozen, and one in which it learns slowly."""
    if base is None:
        return [Stage(recipe.epochs, rate)]
    if base.is_fixed and recipe.fine_tune != "none":
        _log.warning(
            "%s is a graph without layers, which cannot be tuned: as with --fine_tune none, only the last layer learns",
            base.name,
        )
    if base.is_fixed or recipe.epochs_frozen >= recipe.epochs:
        return [Stage(recipe.epochs, rate, partial(base.unfreeze, "none"))]
    tuned = Stage(recipe.epochs, recipe.fine_tune_rate or rate / 10, partial(base.unfreeze, recipe.fine_tune))
    frozen = Stage(recipe.epochs_frozen, rate, partial(base.unfreeze, "none"))
    return [frozen, tuned] if frozen.stop else [tuned]


def _rate(
    network: Any, head: Head, dataset: Dataset, recipe: Recipe, checkpoint: Checkpoint
) -> tuple[float, RateSearch | None]:
    """Return the learning rate of a training, and the search that found it; a training that goes on keeps its own."""
    from model_training.learning.feed import Feed

    if not isinstance(recipe.learning_rate, str):
        return recipe.learning_rate, None
    search = checkpoint.rate_search()
    if search is None:
        search = search_rate(network, head, Feed(dataset.train, recipe.batch_size, recipe).dataset)
        checkpoint.keep_rate_search(search)
    return search.chosen, search


def _fit(
    network: Any,
    head: Head,
    dataset: Dataset,
    recipe: Recipe,
    stages: Sequence[Stage],
    checkpoint: Checkpoint,
    progress: Any,
) -> list[Mapping[str, float]]:
    """Train a network stage by stage; return the figures of all epochs, also of those that a checkpoint has."""
    from model_training.learning import keeping
    from model_training.learning.feed import Feed
    from model_training.learning.normalization import measured_averages

    rows: list[Mapping[str, float]] = list(checkpoint.epochs())
    classes = head.outputs if recipe.label_smoothing and head.task in LEARNED_AS_CLASSES else None
    loss = head.loss if classes is None else "categorical_crossentropy"
    validation = Feed(dataset.validation, VALIDATION_BATCH, classes=classes)
    averages = measured_averages(network, recipe, dataset.train)
    start = 0
    for number, stage in enumerate(stages):
        is_last = number == len(stages) - 1
        if len(rows) <= stage.stop or is_last:  # one that has just ended gives its weights to the next
            network._initial_epoch = None  # Keras keeps that from which an earlier stage went on
            if stage.unfreeze is not None:
                stage.unfreeze()
            feed = Feed(dataset.train, recipe.batch_size, recipe, len(rows), classes)
            optimizer = optimizer_of(recipe, stage.learning_rate, feed.steps, stage.stop - start)
            network.compile(optimizer, loss, loss_weights=head.loss_weight, metrics=[head.keras_metric()])
            kept = keeping.callbacks(number, recipe, head, rows, checkpoint, start if is_last else None)
            shown = [] if progress is None else [progress]
            followed = [keeping.Clock(), *kept, *averages, keeping.RowKeeper(rows), *shown]
            weights = _class_weight(recipe, dataset)
            _fit_stage(network, stage, feed, validation, len(rows), weights, followed, checkpoint)
        start = stage.stop
    return rows


def _fit_stage(
    network: Any,
    stage: Stage,
    feed: Any,
    validation: Any,
    epoch: int,
    weights: Mapping[int, float] | None,
    callbacks: Sequence[Any],
    checkpoint: Checkpoint,
) -> None:
    """Train the epochs of a stage from number `epoch` on, at least none."""
    import tensorflow as tf

    from model_training.learning import keeping
    from model_training.learning.feed import raise_own

    try:
        network.fit(
            feed.dataset,
            epochs=stage.stop,
            initial_epoch=epoch,
            steps_per_epoch=feed.steps,
            validation_data=validation.dataset,
            validation_steps=validation.steps,
            class_weight=weights,
            callbacks=callbacks,
            shuffle=False,  # the feed has shuffled them
            verbose=0,
        )
    except tf.errors.OpError as error:
        raise_own(error, feed, validation)
    except OSError as error:
        raise UsageError(
            f"{checkpoint.folder!r} cannot be written: {error}; make room and go on with --resume"
        ) from error
    finally:
        keeping.close(callbacks)


def _class_weight(recipe: Recipe, dataset: Dataset) -> dict[int, float] | None:
    """Return class -> weight of its images in the loss; None: all weigh the same.

    The balanced weight is that of scikit-learn: images / (classes * images of the class).
    """
    if recipe.class_weight == "none":
        return None
    counts = np.bincount(dataset.train.labels, minlength=len(dataset.class_names))
    weights = len(dataset.train) / (len(counts) * np.maximum(counts, 1))
    return dict(enumerate(weights.tolist()))


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
    keep_freed_memory()
    import tensorflow as tf

    tf.config.list_logical_devices()
