"""What the model sees of one image, beside the image: as pictures for a person. Computes no pixels of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from pipeline.model.fit import Box, place
from pipeline.model.input_rule import InputSpec
from pipeline.model.preprocess import decode, upright
from pipeline.model.thumbnails import png
from pipeline.options import MAX_PIXELS

SHOWN = 512
"""Pixels of the longer side of either picture, at most, unless the model's input is larger."""

GAP = 16
"""Pixels between the two pictures."""

FRAME = (255, 64, 64)
"""Color of the frame around what the model sees of an image."""

Picture = npt.NDArray[np.uint8]
"""Red, green and blue, uint8 [height, width, 3]."""


@dataclass(frozen=True)
class Look:
    """An image and what the model sees of it.

    Attributes:
        size: (width, height) of the upright image.
        kept: the part of the upright image that lies in the model's input, in pixels.
        original: the upright image, at most SHOWN pixels wide and high, uint8 [height, width, 3].
        pixels: what the model takes, uint8 [height, width, channels].
        seen: the same as a person sees it: red, green and blue, uint8 [height, width, 3].
    """

    size: tuple[int, int]
    kept: Box
    original: Picture
    pixels: npt.NDArray[np.uint8]
    seen: Picture

    @property
    def share(self) -> float:
        """Share of the image's area that lies in the model's input."""
        left, upper, right, lower = self.kept
        return (right - left) * (lower - upper) / (self.size[0] * self.size[1])


def look(data: bytes, rule: InputSpec, max_pixels: int = MAX_PIXELS) -> Look:
    """Return what a model sees of an image.

    Args:
        data: content of the image file.
        rule: input rule of the model.
        max_pixels: a larger image is refused.

    Raises:
        Exception: of many kinds, where `data` is not an image that can be decoded whole.
    """
    pixels = decode(data, rule, max_pixels)
    image = upright(data, replace(rule, color_mode="rgb"), max_pixels)
    size = image.size
    image.thumbnail((SHOWN, SHOWN))
    return Look(size, _kept(size, rule), np.asarray(image), pixels, _natural(pixels, rule))


def draw(shown: Look) -> bytes:
    """Return both pictures side by side as a PNG file: the image with a frame around what is kept; the pixels."""
    height, width = shown.seen.shape[:2]
    times = max(1, SHOWN // max(width, height))
    right = Image.fromarray(shown.seen).resize((width * times, height * times), Image.Resampling.NEAREST)
    left = _framed(shown)
    canvas = Image.new("RGB", (left.width + GAP + right.width, max(left.height, right.height)), "white")
    canvas.paste(left, (0, 0))
    canvas.paste(right, (left.width + GAP, 0))
    return png(canvas)


def shrink(shown: Look, size: tuple[int, int]) -> tuple[Picture, Picture]:
    """Return both pictures as large as they can be within a size; the image has its frame.

    Args:
        shown: the image and its pixels.
        size: (width, height) in pixels.
    """
    return _within(_framed(shown), size), _within(Image.fromarray(shown.seen), size)


def _kept(size: tuple[int, int], rule: InputSpec) -> Box:
    """Return the part of an upright image that lies in the model's input, in pixels of the image."""
    target = (rule.width, rule.height)
    placement = place(rule.fit, size, target, rule.crop)
    box = placement.box
    ends: list[tuple[float, float]] = []
    for axis in (0, 1):
        first, scale = box[axis], (box[axis + 2] - box[axis]) / placement.size[axis]
        at = placement.offset[axis]
        start, stop = max(0, -at), min(placement.size[axis], target[axis] - at)
        ends.append((max(0.0, first + start * scale), min(float(size[axis]), first + stop * scale)))  # without a border
    (left, right), (upper, lower) = ends
    return left, upper, right, lower


def _natural(pixels: npt.NDArray[np.uint8], rule: InputSpec) -> Picture:
    if rule.channels == 1:
        return np.repeat(pixels, 3, axis=2)
    return pixels[:, :, ::-1] if rule.color_mode == "bgr" else pixels


def _framed(shown: Look) -> Image.Image:
    image = Image.fromarray(shown.original)
    if shown.share < 1:
        scale = image.width / shown.size[0]
        left, upper, right, lower = (round(side * scale) for side in shown.kept)
        corner = (max(left, right - 1), max(upper, lower - 1))
        ImageDraw.Draw(image).rectangle(((left, upper), corner), outline=FRAME, width=max(1, image.width // 128))
    return image


def _within(image: Image.Image, size: tuple[int, int]) -> Picture:
    scale = min(size[0] / image.width, size[1] / image.height)
    sides = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return np.asarray(image.resize(sides, Image.Resampling.BOX))
