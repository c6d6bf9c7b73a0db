"""Resizing by a table of weights for each of the two axes, in plain float32 additions and multiplications.

No library for linear algebra and no sine of the machine's: their last bits differ between processors, and golden pixels
must not. Must not know which library a table follows.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Weights(NamedTuple):
    """Which pixels of one axis make each pixel of the resized axis, and how much of each.

    Attributes:
        starts: int64 [n]: the first of them.
        stops: int64 [n]: behind the last of them.
        weights: float32 [n, most]: of the pixels from the first on; 0 behind the last.
    """

    starts: npt.NDArray[np.int64]
    stops: npt.NDArray[np.int64]
    weights: Floats


def weigh_rows(pixels: npt.NDArray[np.uint8] | Floats, by: Weights) -> Floats:
    """Return each row of the resized axis: the weighted rows added one after the other, from the first on.

    Args:
        pixels: [height, width, channels].
        by: weights of the first axis.

    Returns:
        float32 [n, width, channels].

    >>> two = Weights(np.array([0]), np.array([2]), np.array([[0.25, 0.75]], np.float32))
    >>> weigh_rows(np.array([[[0]], [[100]]], np.uint8), two).tolist()
    [[[75.0]]]
    """
    height, width, channels = pixels.shape
    rows = pixels.reshape(height, width * channels)
    made = np.empty((len(by.starts), width * channels), np.float32)
    for i, (start, stop) in enumerate(zip(by.starts.tolist(), by.stops.tolist(), strict=True)):
        weighted = np.multiply(rows[start:stop], by.weights[i, : stop - start, None], dtype=np.float32)
        np.add.reduce(weighted, axis=0, out=made[i])
    return made.reshape(-1, width, channels)


def weigh_columns(pixels: Floats, by: Weights) -> Floats:
    """Do the same along the second axis: float32 [height, width, channels] -> [height, n, channels]."""
    made: Floats = weigh_rows(np.ascontiguousarray(pixels.swapaxes(0, 1)), by).swapaxes(0, 1)
    return made


def sine_of_pi(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return sin(pi * x) for x from 0, in additions and multiplications alone.

    >>> sine_of_pi(np.array([0.0, 0.5, 1.25, 2.25])).round(12).tolist()
    [0.0, 1.0, -0.707106781187, 0.707106781187]
    """
    turned = x - 2 * np.floor(x / 2)
    sign = np.where(turned < 1, 1.0, -1.0)
    within = turned - np.floor(turned)
    angle = np.minimum(within, 1 - within) * math.pi
    square, series = angle * angle, np.zeros_like(angle)
    for n in range(21, 1, -2):
        series = (1 + series) * (-square / (n * (n - 1)))
    made: npt.NDArray[np.float64] = sign * angle * (1 + series)
    return made


def bell(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return exp(-x) for x from 0 to 16, in additions and multiplications alone.

    >>> bell(np.array([0.0, 1.0, 4.5])).round(12).tolist()
    [1.0, 0.367879441171, 0.011108996538]
    """
    part, series = -x / 32, np.zeros_like(x)
    for n in range(16, 0, -1):
        series = (1 + series) * part / n
    power = 1 + series
    for _ in range(5):
        power = power * power
    return power
