"""What was measured after each epoch of a training. Knows no Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[np.float64]


@dataclass(frozen=True)
class History:
    """What was measured after each epoch; the first axis of every column is the epoch.

    Attributes:
        columns: name in Keras -> float64 [epochs]: "loss" and the metric of the task over the training images, while
            they were learned; "val_loss" and "val_" with the metric over the validation images, after the epoch; maybe
            "learning_rate".
        seconds: float64 [epochs].
        chosen: index of the epoch whose weights are the network's.

    >>> History({"loss": np.ones(2), "val_loss": np.ones(2)}, np.ones(2), 1).to_json()
    {'loss': [1.0, 1.0], 'val_loss': [1.0, 1.0], 'seconds': [1.0, 1.0]}
    """

    columns: Mapping[str, Column]
    seconds: Column
    chosen: int

    def __post_init__(self) -> None:
        """Check that all columns are of one length."""
        lengths = {len(column) for column in (*self.columns.values(), self.seconds)}
        if len(lengths) != 1:
            raise ValueError(f"columns of different lengths: {sorted(lengths)}")
        if not 0 <= self.chosen < len(self.seconds):
            raise ValueError(f"epoch {self.chosen} of {len(self.seconds)} is chosen")

    def __len__(self) -> int:
        """Return the number of epochs."""
        return len(self.seconds)

    def to_json(self) -> dict[str, list[float]]:
        """Return the columns as lists."""
        return {name: column.tolist() for name, column in self.columns.items()} | {"seconds": self.seconds.tolist()}


def history_of(rows: Sequence[Mapping[str, float]], chosen: int) -> History:
    """Return the history of epochs, at least one, each with the same figures and its "seconds"."""
    names = [name for name in rows[0] if name not in ("epoch", "seconds")]
    columns = {name: np.array([row[name] for row in rows], np.float64) for name in names}
    return History(columns, np.array([row["seconds"] for row in rows], np.float64), chosen)
