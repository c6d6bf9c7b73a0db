"""The progress that a person sees while a network is trained. Must not know what is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from model_training.learning.recipe import Recipe


class TrainingProgress:
    """A line for each epoch when it is over, and a bar until then on a terminal; `callback` is what Keras calls."""

    def __init__(self, console: Console, steps: int, epochs: int) -> None:
        """Draw on a console, `epochs` times a bar of so many `steps`."""
        self._console = console
        self._steps = steps
        self._epochs = epochs
        self._bars: Progress | None = None
        self._bar = TaskID(0)
        self.callback = keras.callbacks.LambdaCallback(
            on_train_begin=lambda logs: self._begin(),
            on_epoch_begin=lambda epoch, logs: self._begin_epoch(epoch),
            on_train_batch_end=lambda step, logs: self._step(step, logs),
            on_epoch_end=lambda epoch, logs: self._end_epoch(epoch, logs),
            on_train_end=lambda logs: self.close(),
        )

    def close(self) -> None:
        """Leave the terminal as it should be; call it also when training was broken off."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def _begin(self) -> None:
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bars = Progress(*columns, TextColumn("{task.fields[figures]}"), console=self._console, transient=True)
            self._bars.start()

    def _begin_epoch(self, epoch: int) -> None:
        if self._bars is not None:
            self._bar = self._bars.add_task(self._name(epoch), total=self._steps, figures="")

    def _step(self, step: int, logs: Mapping[str, Any]) -> None:
        if self._bars is not None:
            self._bars.update(self._bar, completed=step + 1, figures=_figures(logs))

    def _end_epoch(self, epoch: int, logs: Mapping[str, Any]) -> None:
        if self._bars is not None:
            self._bars.remove_task(self._bar)
        text = f"{self._name(epoch)}  {_figures(logs)}  validation {_figures(logs, 'val_')}"
        self._console.print(text, highlight=False, soft_wrap=True)

    def _name(self, epoch: int) -> str:
        return f"epoch {epoch + 1}/{self._epochs}"


def progress_on_stderr(images: int, recipe: Recipe) -> TrainingProgress:
    """Return what shows on stderr how a network learns from so many images."""
    return TrainingProgress(Console(stderr=True), recipe.steps(images), recipe.epochs)


def _figures(logs: Mapping[str, Any], prefix: str = "") -> str:
    """Return the figures of training, or with the prefix "val_" of validation: loss and metric, as Keras has them."""
    rest = ("learning_rate", "seconds")
    names = [name.removeprefix("val_") for name in logs if name.startswith("val_") == bool(prefix) and name not in rest]
    return "  ".join(f"{name.replace('_', ' ')} {logs[prefix + name]:.4f}" for name in sorted(names, key="loss".__ne__))
