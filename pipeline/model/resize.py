"""Put an image into the model's input: cut, resize, and lay it where the rule's fit says."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.model import resize_cv2, resize_tf
from pipeline.model.fit import Placement, place
from pipeline.model.input_rule import InputSpec, library_of
from pipeline.model.reduced_jpeg import Picture

Pixels = npt.NDArray[np.uint8]

_FILTER = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "pillow.box": Image.Resampling.BOX,
    "pillow.hamming": Image.Resampling.HAMMING,
}


def fitted(image: Image.Image, picture: Picture | None, spec: InputSpec) -> Image.Image:
    """Return an image as large as the model takes it, resized by Pillow.

    Args:
        image: of one channel, or in mode "RGB".
        picture: how an image that was decoded at a smaller scale relates to the picture; None: it is the picture.
        spec: what the model takes. Its channels' order does not count here.
    """
    target = (spec.width, spec.height)
    box, size, offset, is_cut = place(spec.fit, picture.size if picture else image.size, target, spec.crop)
    if is_cut and picture is None and box != (0, 0, *image.size):
        image = image.crop((int(box[0]), int(box[1]), int(box[2]), int(box[3])))
        box = (0, 0, *image.size)
    if image.size != size or box != (0, 0, *size):
        image = image.resize(size, _FILTER[spec.resize], picture.part(box) if picture else box)
    if size == target and offset == (0, 0):
        return image
    canvas = Image.new(image.mode, target)
    canvas.paste(image, offset)
    return canvas


def fitted_pixels(pixels: Pixels, spec: InputSpec) -> Pixels:
    """Do the same as TensorFlow or OpenCV do, where the rule says so.

    Args:
        pixels: uint8 [height, width, channels].
        spec: what the model takes. Its channels' order does not count here.

    Returns:
        uint8 [spec.height, spec.width, channels]: rounded half to even, and clipped.
    """
    target = (spec.width, spec.height)
    box, size, offset, _ = place(spec.fit, (pixels.shape[1], pixels.shape[0]), target, spec.crop)
    part = _cut(pixels, *map(int, box))
    method = spec.resize.partition(".")[2]
    if library_of(spec.resize) == "tf":
        made = resize_tf.resize(part, size, method, spec.antialias)
    else:
        made = resize_cv2.resize(part, size, method)
    if made.dtype != np.uint8:
        made = np.rint(np.clip(made, 0, 255))
    if size != target or offset != (0, 0):
        made = _cut(made, -offset[0], -offset[1], target[0] - offset[0], target[1] - offset[1])
    return made.astype(np.uint8)


def resizes_pixels(spec: InputSpec) -> bool:
    """Return whether a rule resizes with `fitted_pixels`, not with Pillow."""
    return library_of(spec.resize) != "pillow"


def _cut(pixels: npt.NDArray[Any], left: int, upper: int, right: int, lower: int) -> npt.NDArray[Any]:
    """Return a part of an image; what lies beside the image is black."""
    height, width = pixels.shape[:2]
    inside = pixels[max(upper, 0) : lower, max(left, 0) : right]
    beside = ((max(-upper, 0), max(lower - height, 0)), (max(-left, 0), max(right - width, 0)), (0, 0))
    return np.pad(inside, beside) if any(map(any, beside)) else np.ascontiguousarray(inside)


def takes_exact(spec: InputSpec) -> bool:
    """Return whether an image that is as large as the model's input is taken as it is."""
    target = (spec.width, spec.height)
    whole = Placement((0, 0, *target), target)[:3]
    is_exact = spec.resize not in [f"tf.{method}" for method in resize_tf.NEVER_EXACT]
    return is_exact and place(spec.fit, target, target, spec.crop)[:3] == whole
