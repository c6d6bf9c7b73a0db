"""What an engine is: it makes a `Network`, a function from pixels to scores and embeddings. Knows no engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.options import Engine

Pixels = npt.NDArray[Any]
"""Images as a network takes them: uint8 [n, height, width, channels]; or object [n], of bytes: encoded files."""

Scores = npt.NDArray[np.float32]
Vectors = npt.NDArray[np.float32]

EMBEDDING = "embedding"
"""Name of the output that is an embedding. Another one, whatever its name, is the scores."""


class Outputs(NamedTuple):
    """What a network gives for images.

    Attributes:
        scores: float32 [n, k]: a probability of each of k classes, or one value; k is 0 if there is an embedding alone.
        embedding: float32 [n, d]; None: the network gives none.
    """

    scores: Scores
    embedding: Vectors | None = None

    @classmethod
    def joined(cls, calls: Sequence[Outputs]) -> Outputs:
        """Return the outputs of several calls, at least one, as those of one."""
        vectors = [call.embedding for call in calls if call.embedding is not None]
        return cls(np.concatenate([call.scores for call in calls]), np.concatenate(vectors) if vectors else None)


def arranged(names: Sequence[str]) -> tuple[int | None, int | None]:
    """Return the places of the scores and of the embedding among a network's outputs; None: it has no such output.

    >>> arranged(["probabilities"]), arranged(["embedding", "scores"]), arranged(["embedding"])
    ((0, None), (1, 0), (None, 0))

    Raises:
        ValueError: the network has other outputs.
    """
    vectors = [i for i, name in enumerate(names) if name == EMBEDDING]
    scores = [i for i, name in enumerate(names) if name != EMBEDDING]
    if not names or len(scores) > 1 or len(vectors) > 1:
        told = ", ".join(map(repr, names)) or "none"
        raise ValueError(f"its outputs are {told}, expected scores, {EMBEDDING!r}, or both")
    return (scores[0] if scores else None), (vectors[0] if vectors else None)


class Network(Protocol):
    """A network that an engine has loaded, in one precision.

    Attributes:
        engine: name of the engine.
        version: name and version of its library.
        device: "cpu" or "gpu".
        threads: number of calls that are best made at once.
        call_images: number of images that are best in one call, at most.
        errors: exceptions that a call may raise if the network cannot take these images.
    """

    engine: Engine
    version: str
    device: str
    threads: int
    call_images: int
    errors: tuple[type[Exception], ...]

    def __call__(self, pixels: Pixels) -> Outputs:
        """Return the outputs for images, uint8 [n, height, width, channels].

        Raises:
            MemoryError: memory does not suffice for so many images; later calls may succeed.
            Exception: one of `errors`.
        """
        ...


def in_calls(network: Network, images: Pixels, size: int) -> Outputs:
    """Return a network's outputs for any number of images, at least one.

    Args:
        network: that is called.
        images: as it takes them.
        size: number of images in a call, at most.

    Raises:
        Exception: as a call of the network does.
    """
    return Outputs.joined([network(np.array(images[i : i + size])) for i in range(0, len(images), size)])
