"""Resize as `cv2.resize` does to 8-bit images, without OpenCV.

OpenCV interpolates 8-bit images in whole numbers: weights are multiples of 1/2048. The formulas are those of
modules/imgproc/src/resize.cpp.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.model.resize_weights import Floats, Weights, weigh_columns, weigh_rows

Pixels = npt.NDArray[np.uint8]

METHODS = ("nearest", "linear", "cubic", "area")
"""Of `cv2.INTER_NEAREST`, `cv2.INTER_LINEAR`, `cv2.INTER_CUBIC` and `cv2.INTER_AREA`."""

_ONE = 1 << 11
"""Of the weights in whole numbers."""

_HALF_UP = np.float32(1 / 8)
"""Added to a mean of four pixels, it makes halves round up."""

_LEAST = 1e-3
"""Share of a pixel, below which `INTER_AREA` leaves it out."""


class _Taps(NamedTuple):
    """Pixels of one axis for each pixel of the resized axis, and their weights in 1/2048: both [taps, n]."""

    at: npt.NDArray[np.int64]
    weights: npt.NDArray[np.int32]


def resize(pixels: Pixels, size: tuple[int, int], method: str) -> Pixels | Floats:
    """Return an image resized.

    Args:
        pixels: uint8 [height, width, channels].
        size: (width, height) that is wanted.
        method: one of `METHODS`.

    Returns:
        [height, width, channels]: uint8, or float32 that is neither rounded nor clipped.
    """
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    if method == "nearest":
        rows, columns = _nearest(height, size[1]), _nearest(width, size[0])
        taken: Pixels = pixels[rows[:, None], columns]
        return taken
    is_half = (width, height) == (2 * size[0], 2 * size[1])
    if (method == "area" and width >= size[0] and height >= size[1]) or (method == "linear" and is_half):
        made = weigh_columns(weigh_rows(pixels, _covered(height, size[1])), _covered(width, size[0]))
        made += _HALF_UP if is_half else 0
        return made
    if method == "cubic":
        return _cubic(pixels, size)
    return _linear(pixels, size, is_area=method == "area")


def _nearest(there: int, wanted: int) -> npt.NDArray[np.int64]:
    scale = 1.0 / (wanted / there)
    nearest: npt.NDArray[np.int64] = np.minimum(np.floor(np.arange(wanted) * scale).astype(np.int64), there - 1)
    return nearest


def _linear(pixels: Pixels, size: tuple[int, int], is_area: bool) -> Pixels:
    height, width, channels = pixels.shape
    down, across = _linear_taps(height, size[1], is_area), _linear_taps(width, size[0], is_area)
    flat, weights = pixels.reshape(height * width, channels), across.weights[:, :, None]
    made = np.full((size[1], size[0], channels), 2, np.int32)
    for rows, weight in zip(down.at, down.weights, strict=True):
        at = (rows * width)[:, None]
        row = flat.take(at + across.at[0], axis=0) * weights[0]
        row += flat.take(at + across.at[1], axis=0) * weights[1]
        row >>= 4
        row *= weight[:, None, None]
        row >>= 16
        made += row
    return (made >> 2).astype(np.uint8)


@lru_cache(maxsize=16)
def _linear_taps(there: int, wanted: int, is_area: bool) -> _Taps:
    inverse = wanted / there
    scale = 1.0 / inverse
    at = np.arange(wanted)
    if is_area:
        first = np.floor(at * scale).astype(np.int64)
        far = ((at + 1) - (first + 1) * inverse).astype(np.float32)
        far = np.where(far <= 0, np.float32(0), far - np.floor(far))
    else:
        center = ((at + 0.5) * scale - 0.5).astype(np.float32)
        first = np.floor(center).astype(np.int64)
        far = center - first.astype(np.float32)
    far = np.where((first < 0) | (first >= there - 1), np.float32(0), far)
    first = np.clip(first, 0, there - 1)
    weights = np.rint(np.stack([np.float32(1) - far, far]) * np.float32(_ONE)).astype(np.int32)
    return _Taps(np.stack([first, np.minimum(first + 1, there - 1)]), weights)


def _cubic(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    height, width, channels = pixels.shape
    down, across = _cubic_taps(height, size[1]), _cubic_taps(width, size[0])
    used, rows = np.unique(down.at, return_inverse=True)
    flat = pixels[used]
    narrow = np.zeros((len(used), size[0], channels), np.int32)
    for at, weight in zip(across.at, across.weights, strict=True):
        narrow += flat.take(at, axis=1) * weight[:, None]
    made = np.full((size[1], size[0], channels), 1 << 21, np.int64)
    for row, weight in zip(rows.reshape(4, -1), down.weights, strict=True):
        made += narrow.take(row, axis=0) * weight[:, None, None].astype(np.int64)
    clipped: Pixels = np.clip(made >> 22, 0, 255).astype(np.uint8)
    return clipped


@lru_cache(maxsize=16)
def _cubic_taps(there: int, wanted: int) -> _Taps:
    center = ((np.arange(wanted) + 0.5) * (1.0 / (wanted / there)) - 0.5).astype(np.float32)
    first = np.floor(center).astype(np.int64)
    x, a, one = center - first.astype(np.float32), np.float32(-0.75), np.float32(1)
    far = x + one
    rest = one - x
    weights = np.stack(
        [
            ((a * far - 5 * a) * far + 8 * a) * far - 4 * a,
            ((a + 2) * x - (a + 3)) * x * x + 1,
            ((a + 2) * rest - (a + 3)) * rest * rest + 1,
        ]
    )
    weights = np.concatenate([weights, one - weights[:1] - weights[1:2] - weights[2:]])
    at = np.clip(first + np.array([[-1], [0], [1], [2]]), 0, there - 1)
    return _Taps(at, np.rint(weights * np.float32(_ONE)).astype(np.int32))


@lru_cache(maxsize=16)
def _covered(there: int, wanted: int) -> Weights:
    """Return which share of each wanted pixel comes from which of those that are there."""
    scale = 1.0 / (wanted / there)
    begin = np.arange(wanted) * scale
    end = begin + scale
    cell = np.minimum(scale, there - begin)
    first = np.minimum(np.ceil(begin).astype(np.int64), there - 1)
    last = np.minimum(np.floor(end).astype(np.int64), there - 1)
    first = np.minimum(first, last)
    at = (first - 1)[:, None] + np.arange((last - first).max() + 2)
    weights = np.where((at >= first[:, None]) & (at < last[:, None]), 1 / cell[:, None], 0)
    before, after = first - begin, np.minimum(np.minimum(end - last, 1), cell)
    weights[:, 0] = np.where(before > _LEAST, before / cell, 0)
    rows = np.arange(wanted)
    weights[rows, last - first + 1] = np.where(end - last > _LEAST, after / cell, 0)
    starts = first - 1
    lacking = starts < 0
    weights[lacking] = np.roll(weights[lacking], -1, axis=1)
    starts = np.maximum(starts, 0)
    return Weights(starts, np.minimum(last + 1, there), weights.astype(np.float32))
