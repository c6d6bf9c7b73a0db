"""What an engine is: it makes a `Network`, a function from pixels to scores. Knows no engine."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from pipeline.options import Engine

Pixels = npt.NDArray[np.uint8]
Scores = npt.NDArray[np.float32]


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

    def __call__(self, pixels: Pixels) -> Scores:
        """Return the scores, float32 [n, classes], of images, uint8 [n, height, width, channels].

        Raises:
            MemoryError: memory does not suffice for so many images; later calls may succeed.
            Exception: one of `errors`.
        """
        ...
