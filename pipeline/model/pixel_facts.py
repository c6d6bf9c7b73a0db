"""What the pixels of images tell besides the model's answer: a hash that near copies share, and how they look.

All of it is of the luma of the pixels that the model gets; where a side has 128 pixels or more, of every second, third
or so row and column. 64 to 127 of each are enough, and an image of 224 x 224 then costs 40 microseconds. The hash comes
of whole numbers alone, so it is the same on every CPU. Must not know files or rows.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.model.input_rule import ColorMode

SIDE = 64
"""Rows and columns that are looked at, at least, where an image has as many."""

FREQUENCIES = range(1, 9)
"""Frequencies of the cosine transform, in each direction, whose signs are the bits of the hash: 8 times 8."""

AT_ONCE = 1 << 16
"""Pixels of luma that are looked at together, about: more are slower, as they do not fit into a core's cache."""

_LUMA = (77, 150, 29)
"""Share of red, green and blue in the luma, of 256: that of ITU-R BT.601."""

_STEPS = 127
"""Size of the greatest weight of the cosine transform."""

_LEVELS = np.arange(256, dtype=np.int64)

Pixels = npt.NDArray[np.uint8]
Column = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PixelFacts:
    """What the pixels of n images tell, as columns.

    Attributes:
        hashes: uint64 [n], perceptual hashes: two of near copies differ in few of their 64 bits. 0: of one color.
        brightness: float32 [n], mean of the luma, 0 (black) to 1 (white).
        contrast: float32 [n], standard deviation of the luma, 0 to 0.5.
        entropy: float32 [n], Shannon entropy of the luma's histogram of 256 bins, in bits, 0 to 8.
    """

    hashes: npt.NDArray[np.uint64]
    brightness: Column
    contrast: Column
    entropy: Column


def pixel_facts(pixels: Pixels, color_mode: ColorMode) -> PixelFacts:
    """Return what the pixels of images tell.

    The hash is pHash (Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010): signs of the
    low frequencies of the cosine transform. The transform is of the image itself, not of one reduced to 32 x 32, and a
    bit says whether a coefficient is above 0, not above the median, which is 0 or near it.

    Args:
        pixels: uint8 [n, height, width, channels].
        color_mode: what the channels are.

    >>> found = pixel_facts(np.full((1, 8, 8, 1), 51, np.uint8), "grayscale")
    >>> int(found.hashes[0]), round(float(found.brightness[0]), 2), float(found.contrast[0]), float(found.entropy[0])
    (0, 0.2, 0.0, 0.0)
    """
    height, width = _sampled(pixels[:0]).shape[1:3]
    step = max(1, AT_ONCE // (height * width))
    starts = range(0, max(len(pixels), 1), step)
    parts = [_facts(_luma(_sampled(pixels[i : i + step]), color_mode)) for i in starts]
    return PixelFacts(*(np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])))


def _facts(luma: Pixels) -> PixelFacts:
    """Return what the luma of images tells, uint8 [n, height, width]."""
    n, area = len(luma), luma.shape[1] * luma.shape[2]
    places = luma.reshape(n, area) + (np.arange(n, dtype=np.int64) * 256)[:, np.newaxis]
    counts = np.bincount(places.ravel(), minlength=n * 256).reshape(n, 256)
    sums, squares = counts @ _LEVELS, counts @ _LEVELS**2
    spread = np.sqrt((area * squares - sums**2).astype(np.float64))
    terms = _entropies(area)
    bits = (terms[area] - terms[counts].sum(axis=1)) / area
    return PixelFacts(
        _hashes(luma),
        (sums / (255 * area)).astype(np.float32),
        (spread / (255 * area)).astype(np.float32),
        np.maximum(bits, 0).astype(np.float32),
    )


def _sampled(pixels: Pixels) -> Pixels:
    """Return every row and column of small images, of large ones evenly spread ones."""
    down, right = (max(1, side // SIDE) for side in pixels.shape[1:3])
    return np.ascontiguousarray(pixels[:, ::down, ::right])


def _luma(pixels: Pixels, color_mode: ColorMode) -> Pixels:
    """Return the luma of pixels, uint8 [n, height, width]."""
    if color_mode == "grayscale":
        return pixels[..., 0]
    shares = _LUMA if color_mode == "rgb" else _LUMA[::-1]
    first, second, third = (pixels[..., i] * np.uint16(share) for i, share in enumerate(shares))
    return np.asarray((first + second + third + np.uint16(128)) >> np.uint16(8), np.uint8)


def _hashes(luma: Pixels) -> npt.NDArray[np.uint64]:
    """Return the perceptual hashes of images.

    The weights are whole, and so are all sums, which neither type rounds: below 2^24 in the first, 2^53 in the second.
    """
    down, right = (_weights(side) for side in luma.shape[1:3])
    rows = np.matmul(down.astype(np.float32), luma.astype(np.float32))
    found = np.matmul(rows.astype(np.float64), right.astype(np.float64).T)
    packed = np.packbits(found.reshape(len(luma), len(FREQUENCIES) ** 2) > 0, axis=1)
    return np.ascontiguousarray(packed).view(">u8")[:, 0].astype(np.uint64)


@functools.lru_cache(maxsize=16)
def _weights(side: int) -> npt.NDArray[np.int64]:
    """Return the cosines of the frequencies at the pixels of a side, as whole numbers of which each row adds up to 0.

    So the transform of an image of one color is 0, not what rounding leaves.

    Args:
        side: number of pixels.

    Returns:
        int64 [frequencies, side].
    """
    places = (2 * np.arange(side) + 1) / (2 * side)
    exact = _STEPS * np.cos(np.pi * np.outer(FREQUENCIES, places))
    weights: npt.NDArray[np.int64] = np.rint(exact).astype(np.int64)
    for row, wanted in zip(weights, exact, strict=True):
        each, left = divmod(int(row.sum()), side)
        row -= each
        row[np.argsort(wanted - row, kind="stable")[:left]] -= 1
    return weights


@functools.lru_cache(maxsize=16)
def _entropies(area: int) -> npt.NDArray[np.float64]:
    """Return k * log2(k) for each number k of pixels up to all of an image."""
    numbers = np.arange(area + 1, dtype=np.float64)
    return np.asarray(numbers * np.log2(np.maximum(numbers, 1)))
