"""The end of a network, as its task wants it: its last layers, its loss, and what is measured while it learns.

classes    softmax, cross-entropy, accuracy
labels     a sigmoid for each label, binary cross-entropy, F1 over all labels at a probability of 0.5
value      one number; squared error as a share of the variance of the training values, mean absolute error
embedding  learned as classes are; the embedding is what enters the softmax layer
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import UsageError
from pipeline.task import Task

if TYPE_CHECKING:
    from model_training.data.image_set import Labels

LEARNED_AS_CLASSES: tuple[Task, ...] = ("classes", "embedding")
"""The tasks whose images have one class each."""


@dataclass(frozen=True)
class Head:
    """The end of a network.

    Attributes:
        task: what the network says of an image.
        outputs: numbers that it gives for an image.
        activation: of its dense layer.
        loss: name of the loss in Keras.
        loss_unit: unit of the loss, for people; "": it has none.
        metric: what is measured besides the loss, its name in Keras' history.
        is_share: whether the metric is a share from 0 to 1, of which more is better; else less is better.
        output: name of the last layer, and of the output in the SavedModel.
        scale: of the task "value": standard deviation of the training values, in their unit; else 1.
        offset: of the task "value": mean of the training values; else 0.
    """

    task: Task
    outputs: int
    activation: str
    loss: str
    loss_unit: str
    metric: str
    is_share: bool
    output: str
    scale: float = 1.0
    offset: float = 0.0

    @property
    def dense(self) -> str:
        """Name of the dense layer; what enters it is the embedding."""
        return f"standardized_{self.output}" if self.task == "value" else self.output

    def last_layers(self) -> list[Any]:
        """Return the last layers of the network; they compute in float32 also where others do not.

        Of a value they are two: one tells how many standard deviations it is from the mean, one brings it back to its
        unit.
        """
        import keras

        dense = keras.layers.Dense(self.outputs, activation=self.activation, dtype="float32", name=self.dense)
        if self.task != "value":
            return [dense]
        return [dense, keras.layers.Rescaling(self.scale, self.offset, dtype="float32", name=self.output)]

    @property
    def loss_weight(self) -> float | None:
        """Factor of the loss; None: it is taken as it is.

        Of a value the loss is a squared error in its unit. Divided by the variance it is that of standardized values,
        so that values of any size are learned alike.
        """
        return self.scale**-2 if self.task == "value" else None

    def keras_metric(self) -> Any:
        """Return a new metric, as Keras' `compile` takes it."""
        if self.task != "labels":
            return self.metric
        import keras

        return keras.metrics.F1Score(average="micro", threshold=0.5, name=self.metric)

    @property
    def monitors(self) -> tuple[str, ...]:
        """What may say which epoch is the best one: names in Keras' history."""
        return ("val_loss", f"val_{self.metric}")

    def mode(self, monitor: str) -> str:
        """Return whether the best value of a monitor is the largest, "max", or the smallest, "min"."""
        return "max" if self.is_share and monitor == f"val_{self.metric}" else "min"


def head_of(task: Task, classes: int, labels: Labels | None = None) -> Head:
    """Return the end of a network for a task.

    Args:
        task: of the data set.
        classes: how many class names it has.
        labels: of the task "value": the training values, float32 [n].

    Raises:
        UsageError: the values are all the same, or not all of them are numbers.

    >>> head_of("classes", 10).monitors, head_of("labels", 3).monitors
    (('val_loss', 'val_accuracy'), ('val_loss', 'val_f1'))
    >>> head = head_of("value", 0, np.array([2.0, 4.0], np.float32))
    >>> head.offset, head.scale, head.monitors
    (3.0, 1.0, ('val_loss', 'val_mean_absolute_error'))
    """
    if task == "labels":
        return Head(task, classes, "sigmoid", "binary_crossentropy", "nats", "f1", True, "probabilities")
    if task == "value":
        scale, offset = _spread(labels)
        unit, metric = "share of the variance", "mean_absolute_error"
        return Head(task, 1, "linear", "mean_squared_error", unit, metric, False, "value", scale, offset)
    return Head(task, classes, "softmax", "sparse_categorical_crossentropy", "nats", "accuracy", True, "probabilities")


def check_smoothing(task: Task) -> None:
    """Check that labels of a task can be smoothed.

    Raises:
        UsageError: an image has not one class.
    """
    if task not in LEARNED_AS_CLASSES:
        raise UsageError(f"--label_smoothing is for images of one class each, and the task is {task}: leave it out")


def _spread(values: Labels | None) -> tuple[float, float]:
    """Return the standard deviation and the mean of the training values."""
    if values is None:
        raise ValueError("the training values are missing")
    known = np.asarray(values, np.float64)
    if not np.isfinite(known).all():
        raise UsageError(f"{int((~np.isfinite(known)).sum()):,} of {len(known):,} training values are no numbers")
    scale = float(known.std())
    if scale <= 1e-6 * float(np.abs(known).max()):  # float32 does not tell such values apart
        raise UsageError(f"all {len(known):,} training values are about {known.mean():.6g}: there is nothing to learn")
    return scale, float(known.mean())
