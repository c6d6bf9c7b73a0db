"""How an image of any size fits the model's input: which part of it is resized, to what size, and where that lies.

Each fit is that of one loader, with the loader's own rounding: a box that is off by half a pixel changes most pixels.
Must not know how an image is decoded or resized.

    stretch              all of the image, whatever its shape: `tf.image.resize`, `load_img`
    keras_crop           the largest part in the middle with the input's shape, in whole pixels:
                         `keras.utils.image_dataset_from_directory(crop_to_aspect_ratio=True)`, `smart_resize`
    pil_crop             the same with the rounding of `keras.utils.load_img(keep_aspect_ratio=True)`
    teachable_machine    the same in fractions of a pixel: `PIL.ImageOps.fit`, as Teachable Machine's code uses it
    tf_central_crop      the middle of each side, of which `crop` says how much: `tf.image.central_crop`
    torch_shorter_side   resized to shorter side / `crop`, then the middle of that: torchvision's `Resize` and
                         `CenterCrop`, timm with `crop_pct`
    tf_pad               all of the image, with a border: `tf.image.resize_with_pad`, and
                         `image_dataset_from_directory(pad_to_aspect_ratio=True)`
    keras_hub_pad        the same, but the border is added before the image is resized, in its own pixels:
                         `keras.layers.Resizing(pad_to_aspect_ratio=True)`, `keras_hub`'s `ImageConverter`
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, get_args

import numpy as np

Fit = Literal[
    "stretch",
    "keras_crop",
    "pil_crop",
    "teachable_machine",
    "tf_central_crop",
    "torch_shorter_side",
    "tf_pad",
    "keras_hub_pad",
]
"""Name of a fit, after who defines its rounding."""

FITS: tuple[Fit, ...] = get_args(Fit)

WITH_CROP: tuple[Fit, ...] = ("tf_central_crop", "torch_shorter_side")
"""The fits that keep a share of each side."""

Box = tuple[float, float, float, float]
"""Part of an image in pixels, (left, upper, right, lower); fractions of a pixel count."""

Size = tuple[int, int]
"""(width, height) in pixels."""


class Placement(NamedTuple):
    """Where an image goes.

    Attributes:
        box: the part of the image that is resized. It may be larger than an image that is cut: the rest is black.
        size: (width, height) that it is resized to.
        offset: (x, y) of its upper left corner in the model's input; negative where it is cut off. What it does not
            cover is black.
        is_cut: whether the box is cut out before it is resized; else what lies beside it counts for pixels at its edge.
    """

    box: Box
    size: Size
    offset: tuple[int, int] = (0, 0)
    is_cut: bool = False


def place(fit: Fit, size: Size, target: Size, crop: float = 1.0) -> Placement:
    """Return where an image goes.

    Args:
        fit: name of the fit.
        size: of the upright image.
        target: size of the model's input.
        crop: share of each side that is kept, above 0 and at most 1, for the fits that have one.

    >>> place("stretch", (640, 427), (224, 224))
    Placement(box=(0, 0, 640, 427), size=(224, 224), offset=(0, 0), is_cut=False)
    >>> place("keras_crop", (640, 427), (224, 224)).box
    (106, 0, 533, 427)
    >>> place("torch_shorter_side", (640, 427), (224, 224), crop=0.875)
    Placement(box=(0, 0, 640, 427), size=(383, 256), offset=(-80, -16), is_cut=False)
    >>> place("tf_pad", (640, 427), (224, 224))
    Placement(box=(0, 0, 640, 427), size=(224, 149), offset=(0, 37), is_cut=False)
    """
    return _FITS[fit](size, target, crop)


def _stretch(size: Size, target: Size, crop: float) -> Placement:
    return Placement((0, 0, *size), target)


def _keras_crop(size: Size, target: Size, crop: float) -> Placement:
    """Follow `smart_resize` of keras 3, keras/src/utils/image_utils.py: float32, cut to whole pixels."""
    (width, height), (target_width, target_height) = size, target
    kept_height = max(min(height, int(np.float32(width * target_height) / np.float32(target_width))), 1)
    kept_width = max(min(width, int(np.float32(height * target_width) / np.float32(target_height))), 1)
    return _middle(size, target, (kept_width, kept_height), is_cut=True)


def _pil_crop(size: Size, target: Size, crop: float) -> Placement:
    """Follow `load_img` of keras 3, keras/src/utils/image_utils.py: whole numbers."""
    (width, height), (target_width, target_height) = size, target
    kept_height = min(height, width * target_height // target_width)
    kept_width = min(width, height * target_width // target_height)
    return _middle(size, target, (max(kept_width, 1), max(kept_height, 1)))


def _teachable_machine(size: Size, target: Size, crop: float) -> Placement:
    """Follow `ImageOps.fit` of Pillow, PIL/ImageOps.py, in the same order of operations."""
    width, height = size
    shape = target[0] / target[1]
    kept_width, kept_height = float(width), float(height)
    if width / height > shape:
        kept_width = shape * height
    elif width / height < shape:
        kept_height = width / shape
    left, upper = (width - kept_width) * 0.5, (height - kept_height) * 0.5
    return Placement((left, upper, left + kept_width, upper + kept_height), target)


def _tf_central_crop(size: Size, target: Size, crop: float) -> Placement:
    """Follow `central_crop` of TensorFlow, tensorflow/python/ops/image_ops_impl.py: float64."""
    left, upper = (int((side - side * crop) / 2) for side in map(float, size))
    return Placement((left, upper, size[0] - left, size[1] - upper), target, is_cut=True)


def _torch_shorter_side(size: Size, target: Size, crop: float) -> Placement:
    """Follow `Resize` and `CenterCrop` of torchvision, torchvision/transforms/functional.py.

    The size is timm's: `math.floor(img_size / crop_pct)`.
    """
    shorter = math.floor(min(target) / crop)
    width, height = size
    resized = (shorter, int(shorter * height / width)) if width <= height else (int(shorter * width / height), shorter)
    x, y = (-round((there - wanted) / 2.0) for there, wanted in zip(resized, target, strict=True))
    return Placement((0, 0, *size), resized, (x, y))


def _tf_pad(size: Size, target: Size, crop: float) -> Placement:
    """Follow `resize_with_pad` of TensorFlow, tensorflow/python/ops/image_ops_impl.py: float32.

    The border is half of what the size leaves before it is rounded down. This is what happens in tf.data, and without a
    graph. Within a `tf.function` TensorFlow multiplies by the reciprocal of the input's side instead of dividing by it,
    which makes some images a row or a column smaller.
    """
    sides, wanted = np.array(size, np.float32), np.array(target, np.float32)
    resized = sides / np.max(sides / wanted)
    x, y = np.maximum(np.floor((wanted - resized) / np.float32(2)), 0).astype(int).tolist()
    width, height = np.floor(resized).astype(int).tolist()
    return Placement((0, 0, *size), (max(width, 1), max(height, 1)), (x, y))


def _keras_hub_pad(size: Size, target: Size, crop: float) -> Placement:
    """Follow `resize` of keras 3, keras/src/backend/tensorflow/image.py: float32, cut to whole pixels."""
    (width, height), (target_width, target_height) = size, target
    tall = max(height, int(np.float32(width * target_height) / np.float32(target_width)))
    wide = max(width, int(np.float32(height * target_width) / np.float32(target_height)))
    x, y = (wide - width) // 2, (tall - height) // 2
    return Placement((-x, -y, width + x, height + y), target, is_cut=True)


def _middle(size: Size, target: Size, kept: Size, is_cut: bool = False) -> Placement:
    left, upper = ((side - part) // 2 for side, part in zip(size, kept, strict=True))
    return Placement((left, upper, left + kept[0], upper + kept[1]), target, is_cut=is_cut)


_FITS: Mapping[Fit, Callable[[Size, Size, float], Placement]] = {
    "stretch": _stretch,
    "keras_crop": _keras_crop,
    "pil_crop": _pil_crop,
    "teachable_machine": _teachable_machine,
    "tf_central_crop": _tf_central_crop,
    "torch_shorter_side": _torch_shorter_side,
    "tf_pad": _tf_pad,
    "keras_hub_pad": _keras_hub_pad,
}
