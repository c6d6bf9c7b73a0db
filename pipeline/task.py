"""What a model says of an image, in a word: its task. Knows neither models nor rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Task = Literal["classes", "labels", "value", "embedding"]
"""What a model says of an image.

"classes": one of its classes is right, and each has a probability. "labels": any number of its classes are right, and
each has a probability of its own. "value": a number. "embedding": a vector, and nothing else.
"""

TASKS: tuple[Task, ...] = get_args(Task)

WITH_CLASSES: tuple[Task, ...] = ("classes", "labels")
"""The tasks of models that have class names."""

EmbeddingType = Literal["float32", "float16"]

LARGEST_EMBEDDING = 1 << 16
"""Numbers in an embedding, at most."""


@dataclass(frozen=True)
class Embedding:
    """The vector that a model gives for an image, alone or beside its scores.

    Attributes:
        size: number of its numbers.
        dtype: their type in the rows; the network gives float32.

    Raises:
        ValueError: it is no such size or type.

    >>> Embedding(1280, "float16").size
    1280
    """

    size: int
    dtype: EmbeddingType = "float32"

    def __post_init__(self) -> None:
        """Check both."""
        if type(self.size) is not int or not 1 <= self.size <= LARGEST_EMBEDDING:
            raise ValueError(f"embedding has the size {self.size!r}, expected 1 to {LARGEST_EMBEDDING}")
        if self.dtype not in get_args(EmbeddingType):
            raise ValueError(f"embedding has the type {self.dtype!r}, expected float32 or float16")
