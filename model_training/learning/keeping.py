"""What is kept while a network learns: each epoch's figures, a state to go on from, the weights of the best epoch.

All of it by Keras' own callbacks, in an order that matters: a state to go on from holds the weights that learn, and the
best weights are the averaged ones, if there are such. Imports Keras: import this module when training begins.
"""

from __future__ import annotations

import importlib.util
import math
import os
import time
import warnings
from collections.abc import Iterable, Mapping, MutableSequence, Sequence
from typing import Any

import keras

from model_training.learning.checkpoint import Checkpoint, note_whole
from model_training.learning.head import Head
from model_training.learning.recipe import LAST, Recipe
from pipeline.errors import UsageError

Rows = Sequence[Mapping[str, float]]
"""The figures of epochs, in their order."""


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds to the figures of an epoch its seconds and the learning rate at its end; it comes first."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note the time."""
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Add both."""
        logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        logs["seconds"] = time.perf_counter() - self._started


class RowKeeper(keras.callbacks.Callback):  # type: ignore[misc]
    """Appends the figures of each epoch to a list; it comes after all that change them."""

    def __init__(self, rows: MutableSequence[Mapping[str, float]]) -> None:
        """Append to these rows."""
        super().__init__()
        self._rows = rows

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Append them."""
        self._rows.append({name: float(value) for name, value in logs.items()})


class ResumedEarlyStopping(keras.callbacks.EarlyStopping):  # type: ignore[misc]
    """Keras' EarlyStopping that also knows the epochs before a training went on."""

    def __init__(self, rows: Rows, **values: Any) -> None:
        """Take the figures of the epochs that are over, and what EarlyStopping takes."""
        super().__init__(**values)
        self._before = list(rows)

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin as if the epochs that are over had been trained just now."""
        super().on_train_begin(logs)
        for epoch, row in enumerate(self._before):
            self.on_epoch_end(epoch, row)


class WholeState(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes that all of an epoch is stored; it comes last, after those that write state and best weights."""

    def __init__(self, state: str) -> None:
        """Note it in the folder of that state."""
        super().__init__()
        self._state = state

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note it."""
        note_whole(self._state)


class OldBest(keras.callbacks.Callback):  # type: ignore[misc]
    """Removes the weights of earlier best epochs when a later one is stored whole."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Remove in the folder of a checkpoint."""
        super().__init__()
        self._checkpoint = checkpoint

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Remove them."""
        for _, path in self._checkpoint.best()[1:]:
            os.remove(path)


def callbacks(
    stage: int, recipe: Recipe, head: Head, rows: Rows, checkpoint: Checkpoint, waits_from: int | None = 0
) -> list[Any]:
    """Return Keras' callbacks for a stage of a training, in their order.

    Args:
        stage: number of the stage, from 0.
        recipe: of the training.
        head: of the network.
        rows: figures of the epochs that are over.
        checkpoint: where things are kept.
        waits_from: number of the epoch from which on the recipe's patience counts; None: in a later stage.
    """
    known = keras.callbacks
    made: list[Any] = [
        known.CSVLogger(checkpoint.csv, append=True),
        known.BackupAndRestore(checkpoint.state(stage), double_checkpoint=True, delete_checkpoint=False),
    ]
    if recipe.averaging:
        made.append(known.SwapEMAWeights(swap_on_epoch=True))
    if recipe.monitor != LAST:
        mode = head.mode(recipe.monitor)
        made += [_best_weights(recipe.monitor, mode, rows, checkpoint), OldBest(checkpoint)]
        if recipe.patience is not None and waits_from is not None:
            earlier = rows[waits_from:]
            made.append(ResumedEarlyStopping(earlier, monitor=recipe.monitor, patience=recipe.patience, mode=mode))
    if importlib.util.find_spec("tensorboard") is not None:
        made.append(known.TensorBoard(checkpoint.tensorboard, write_graph=False))
    return [*made, WholeState(checkpoint.state(stage))]


def _best_weights(monitor: str, mode: str, rows: Rows, checkpoint: Checkpoint) -> Any:
    """Return the callback that stores weights which are better than all that are stored."""
    stored = [epoch for epoch, _ in checkpoint.best() if epoch < len(rows)]
    worst = math.inf if mode == "min" else -math.inf  # what is not a number is not better
    return keras.callbacks.ModelCheckpoint(
        checkpoint.best_path,
        monitor,
        save_best_only=True,
        save_weights_only=True,
        mode=mode,
        initial_value_threshold=rows[stored[0]][monitor] if stored else worst,
    )


def close(callbacks: Iterable[Any]) -> None:
    """Close the files of callbacks that did not see the end of a training."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.CSVLogger) and callback.csv_file is not None:
            callback.csv_file.close()


def take_best(network: Any, recipe: Recipe, rows: Rows, checkpoint: Checkpoint) -> int:
    """Give a network the weights of its best epoch; return the index of that epoch.

    Raises:
        UsageError: no epoch is better than another, as none has a figure.
    """
    if recipe.monitor == LAST:
        return len(rows) - 1
    for epoch, path in checkpoint.best():
        with warnings.catch_warnings():  # Keras stores the optimizer, too, which in another stage has other variables
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            network.load_weights(path)
        return epoch
    raise UsageError(
        f"{recipe.monitor} is not a number after any of {len(rows)} epochs: give a smaller --learning_rate"
    )
