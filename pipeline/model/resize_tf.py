"""Resize as `tf.image.resize` does, without TensorFlow: its sample points, weights and order of operations in float32.

Five of its methods have a kernel of their own for images without antialiasing. All others, and antialiasing, go through
one kernel with a table of weights. The formulas are those of tensorflow/core/kernels/image/: `resize_bilinear_op.cc`,
`resize_nearest_neighbor_op.cc`, `resize_bicubic_op.cc`, `resize_area_op.cc`, `scale_and_translate_op.cc` and
`sampling_kernels.h`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.model.resize_weights import Floats, Weights, bell, sine_of_pi, weigh_columns, weigh_rows

Pixels = npt.NDArray[np.uint8]

METHODS = ("nearest", "bilinear", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic")
"""Names of `tf.image.ResizeMethod`."""

WITH_ANTIALIAS = ("bilinear", "bicubic", "lanczos3", "lanczos5", "gaussian", "mitchellcubic")
"""Methods that `antialias=True` changes."""

NEVER_EXACT = ("gaussian", "mitchellcubic")
"""Methods that blur an image that has the wanted size already."""

_TINY = 1000 * np.finfo(np.float32).tiny
_CUBIC_STEPS = 1 << 10


def resize(pixels: Pixels, size: tuple[int, int], method: str, antialias: bool) -> Pixels | Floats:
    """Return an image resized.

    Args:
        pixels: uint8 [height, width, channels].
        size: (width, height) that is wanted.
        method: one of `METHODS`.
        antialias: as `tf.image.resize` takes it.

    Returns:
        float32 (uint8 for "nearest") [height, width, channels], neither rounded nor clipped.
    """
    if method == "nearest":
        return _nearest(pixels, size)
    if method == "area":
        return _area(pixels, size)
    if method == "bilinear" and not antialias:
        return _bilinear(pixels, size)
    if method == "bicubic" and not antialias:
        return _bicubic(pixels, size)
    down = _spans(method, pixels.shape[0], size[1], antialias)
    return weigh_columns(weigh_rows(pixels, down), _spans(method, pixels.shape[1], size[0], antialias))


def _nearest(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    rows, columns = (
        np.minimum(np.floor((np.arange(to, dtype=np.float32) + np.float32(0.5)) * _scale(at, to)), at - 1).astype(int)
        for at, to in ((pixels.shape[0], size[1]), (pixels.shape[1], size[0]))
    )
    made: Pixels = pixels[rows[:, None], columns]
    return made


def _scale(there: int, wanted: int) -> np.float32:
    scale: np.float32 = np.float32(there) / np.float32(wanted)
    return scale


def _centers(there: int, wanted: int) -> Floats:
    """Return where the center of each wanted pixel lies among the centers of those that are there."""
    half = np.float32(0.5)
    centers: Floats = (np.arange(wanted, dtype=np.float32) + half) * _scale(there, wanted) - half
    return centers


def _bilinear(pixels: Pixels, size: tuple[int, int]) -> Floats:
    height, width, channels = pixels.shape
    flat = pixels.reshape(height * width, channels)
    (upper, lower, down), (left, right, across) = _between(height, size[1]), _between(width, size[0])
    across = across[:, None]
    rows = []
    for row in (upper, lower):
        at = (row * width)[:, None]
        first = flat.take(at + left, axis=0).astype(np.float32)
        rows.append(_lerp(first, flat.take(at + right, axis=0), across))
    return _lerp(rows[0], rows[1], down[:, None, None])


def _between(there: int, wanted: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    """Return the two pixels that each wanted one lies between, and how far from the first it lies."""
    centers = _centers(there, wanted)
    floor = np.floor(centers)
    first = np.maximum(floor.astype(np.int64), 0)
    return first, np.minimum(np.ceil(centers).astype(np.int64), there - 1), centers - floor


def _lerp(first: Floats, second: Pixels | Floats, far: Floats) -> Floats:
    made: Floats = np.subtract(second, first, dtype=np.float32)
    made *= far
    made += first
    return made


def _bicubic(pixels: Pixels, size: tuple[int, int]) -> Floats:
    height, width, channels = pixels.shape
    (rows, down), (columns, across) = _cubic_taps(height, size[1]), _cubic_taps(width, size[0])
    used, columns = np.unique(columns, return_inverse=True)
    narrow = pixels.take(used, axis=1).reshape(height, -1)
    tall = _four(narrow, rows, down[:, :, None], 0).reshape(size[1], len(used), channels)
    return _four(tall, columns.reshape(4, -1), across[:, :, None], 1)


def _four(pixels: Pixels | Floats, taps: npt.NDArray[np.int64], weights: Floats, axis: int) -> Floats:
    made: Floats = pixels.take(taps[0], axis=axis) * weights[0]
    for tap, weight in zip(taps[1:], weights[1:], strict=True):
        made += pixels.take(tap, axis=axis) * weight
    return made


def _cubic_taps(there: int, wanted: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return four pixels for each wanted one and their weights, each [4, wanted]. What lies outside weighs nothing."""
    centers = _centers(there, wanted)
    floor = np.floor(centers)
    step = np.rint((centers - floor) * np.float32(_CUBIC_STEPS)).astype(int)
    near, far = _cubic_table()
    weights = np.stack([far[step], near[step], near[_CUBIC_STEPS - step], far[_CUBIC_STEPS - step]])
    taps = floor.astype(np.int64) + np.array([[-1], [0], [1], [2]])
    within = np.clip(taps, 0, there - 1)
    weights = np.where(taps == within, weights, np.float32(0))
    total = weights[0] + weights[1] + weights[2] + weights[3]
    return within, np.where(np.abs(total) >= _TINY, weights * (np.float32(1) / total), weights)


@lru_cache(maxsize=1)
def _cubic_table() -> tuple[Floats, Floats]:
    """Return Keys' kernel in steps of 1/1024: from 0 to 1, and from 1 to 2."""
    a, x = -0.5, np.arange(_CUBIC_STEPS + 1) / _CUBIC_STEPS
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    x = x + 1.0
    return near.astype(np.float32), (((a * x - 5 * a) * x + 8 * a) * x - 4 * a).astype(np.float32)


def _area(pixels: Pixels, size: tuple[int, int]) -> Floats:
    height, width, channels = pixels.shape
    down, across = _covered(height, size[1]), _covered(width, size[0])
    last = width - 1
    narrow = np.zeros((height, size[0], channels), np.float32)
    for i in range(across.weights.shape[1]):
        weight = across.weights[:, i, None]
        narrow += pixels.take(np.minimum(across.starts + i, last), axis=1) * weight
    beyond = int(down.stops.max()) - height  # by rounding: the last pixel counts again
    if beyond > 0:
        narrow = np.concatenate([narrow, np.repeat(narrow[-1:], beyond, axis=0)])
    made = weigh_rows(narrow, down)
    made *= np.float32(1) / (_scale(height, size[1]) * _scale(width, size[0]))
    return made


@lru_cache(maxsize=16)
def _covered(there: int, wanted: int) -> Weights:
    """Return how much of each pixel every wanted one covers, in pixels."""
    scale = _scale(there, wanted)
    begin = np.arange(wanted, dtype=np.float32) * scale
    end = np.arange(1, wanted + 1, dtype=np.float32) * scale
    starts, stops = np.floor(begin).astype(np.int64), np.ceil(end).astype(np.int64)
    at = (starts[:, None] + np.arange((stops - starts).max())).astype(np.float32)
    one, begin, end = np.float32(1), begin[:, None], end[:, None]
    weights = np.where(
        at < begin,
        np.where(at + one > end, scale, at + one - begin),
        np.where(at + one > end, end - at, one),
    )
    weights[at >= stops[:, None]] = 0
    return Weights(starts, stops, weights)


class _Kernel(NamedTuple):
    radius: float
    weigh: Callable[[Floats], Floats]


def _triangle(x: Floats) -> Floats:
    weights: Floats = np.where(x < 1, np.float32(1) - x, np.float32(0))
    return weights


def _keys(x: Floats) -> Floats:
    one = ((np.float32(1.5) * x - np.float32(2.5)) * x) * x + np.float32(1)
    two = ((np.float32(-0.5) * x + np.float32(2.5)) * x - np.float32(4)) * x + np.float32(2)
    weights: Floats = np.where(x >= 2, np.float32(0), np.where(x >= 1, two, one))
    return weights


def _mitchell(x: Floats) -> Floats:
    f = np.float32
    one = (((f(7) / f(6)) * x - f(2)) * x) * x + f(8) / f(9)
    two = ((f(-7) / f(18) * x + f(2)) * x - f(10) / f(3)) * x + f(16) / f(9)
    weights: Floats = np.where(x >= 2, f(0), np.where(x >= 1, two, one))
    return weights


def _gaussian(x: Floats) -> Floats:
    sigma = 0.5
    exact = x.astype(np.float64)
    return np.where(x >= 3 * sigma, 0, bell(np.minimum(exact * exact / (2 * sigma * sigma), 16))).astype(np.float32)


def _lanczos(radius: float) -> Callable[[Floats], Floats]:
    def weigh(x: Floats) -> Floats:
        exact = np.maximum(x.astype(np.float64), 1e-3)
        waves = radius * sine_of_pi(exact) * sine_of_pi(exact / radius) / (np.pi * np.pi * exact * exact)
        return np.where(x > radius, 0, np.where(x <= 1e-3, 1, waves)).astype(np.float32)

    return weigh


_KERNELS: Mapping[str, _Kernel] = {
    "bilinear": _Kernel(1, _triangle),
    "bicubic": _Kernel(2, _keys),
    "lanczos3": _Kernel(3, _lanczos(3)),
    "lanczos5": _Kernel(5, _lanczos(5)),
    "gaussian": _Kernel(1.5, _gaussian),
    "mitchellcubic": _Kernel(2, _mitchell),
}


@lru_cache(maxsize=16)
def _spans(method: str, there: int, wanted: int, antialias: bool) -> Weights:
    """Follow `ComputeSpansCore` of scale_and_translate_op.cc: float32 throughout."""
    f, kernel = np.float32, _KERNELS[method]
    inverse = f(1) / (f(wanted) / f(there))
    stretch = max(inverse, f(1)) if antialias else f(1)
    centers = (np.arange(wanted, dtype=np.float32) + f(0.5)) * inverse
    reach = f(kernel.radius) * stretch
    starts = np.clip(np.ceil(centers - reach - f(0.5)), 0, there - 1).astype(np.int64)
    stops = np.clip(np.floor(centers + reach - f(0.5)), 0, there - 1).astype(np.int64) + 1
    at = starts[:, None] + np.arange((stops - starts).max())
    distance = at.astype(np.float32) + f(0.5) - centers[:, None]
    weights = np.where(at < stops[:, None], kernel.weigh(np.abs(distance * (f(1) / stretch))), f(0))
    total = np.zeros(wanted, np.float32)
    for column in weights.T:
        total += column
    used = np.abs(total) >= _TINY
    weights = np.where(used[:, None], weights * (f(1) / np.where(used, total, f(1)))[:, None], f(0))
    return Weights(starts, stops, weights.astype(np.float32))
