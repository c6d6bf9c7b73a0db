"""The end of a network, as its task wants it: its last layer, its loss, and what is measured while it learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.task import Task


@dataclass(frozen=True)
class Head:
    """The end of a network.

    Attributes:
        task: what the network says of an image.
        outputs: numbers that it gives for an image.
        activation: of its last layer.
        loss: name of the loss in Keras.
        loss_unit: unit of the loss, for people; "": it has none.
        metric: what is measured besides the loss, a name of a Keras metric.
        is_share: whether the metric is a share from 0 to 1, of which more is better; else less is better.
        output: name of the output in the SavedModel.
    """

    task: Task
    outputs: int
    activation: str
    loss: str
    loss_unit: str
    metric: str
    is_share: bool
    output: str

    def last_layer(self) -> Any:
        """Return the last layer of the network; it computes in float32 also where others do not."""
        import keras

        return keras.layers.Dense(self.outputs, activation=self.activation, dtype="float32", name=self.output)

    @property
    def monitors(self) -> tuple[str, ...]:
        """What may say which epoch is the best one: names in Keras' history."""
        return ("val_loss", f"val_{self.metric}")

    def mode(self, monitor: str) -> str:
        """Return whether the best value of a monitor is the largest, "max", or the smallest, "min"."""
        return "max" if self.is_share and monitor == f"val_{self.metric}" else "min"


def head_of(task: Task, classes: int) -> Head:
    """Return the end of a network for a task.

    Args:
        task: of the data set.
        classes: how many class names it has.

    >>> head_of("classes", 10).monitors
    ('val_loss', 'val_accuracy')
    """
    if task != "classes":
        raise ValueError(f"no network is trained for the task {task!r}")
    return Head(task, classes, "softmax", "sparse_categorical_crossentropy", "nats", "accuracy", True, "probabilities")
