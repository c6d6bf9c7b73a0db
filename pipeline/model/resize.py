"""Put an image into the model's input: cut, resize, and lay it where the rule's fit says."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.model import resize_cv2, resize_tf
from pipeline.model.fit import Placement, place
from pipeline.model.input_rule import InputSpec
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
    """Return an image as large as the model takes it.

    Args:
        image: of one channel, or in mode "RGB".
        picture: how an image that was decoded at a smaller scale relates to the picture; None: it is the picture.
        spec: what the model takes. Its channels' order does not count here.
    """
    target = (spec.width, spec.height)
    box, size, offset, is_cut = place(spec.fit, picture.size if picture else image.size, target, spec.crop)
    is_ours = spec.resize not in _FILTER
    if (is_cut or is_ours) and picture is None and box != (0, 0, *image.size):
        image = image.crop((int(box[0]), int(box[1]), int(box[2]), int(box[3])))
        box = (0, 0, *image.size)
    if is_ours:
        image = Image.fromarray(_resized(image, size, spec))
    elif image.size != size or box != (0, 0, *size):
        image = image.resize(size, _FILTER[spec.resize], picture.part(box) if picture else box)
    if size == target and offset == (0, 0):
        return image
    canvas = Image.new(image.mode, target)
    canvas.paste(image, offset)
    return canvas


def takes_exact(spec: InputSpec) -> bool:
    """Return whether an image that is as large as the model's input is taken as it is."""
    target = (spec.width, spec.height)
    whole = Placement((0, 0, *target), target)[:3]
    library, _, method = spec.resize.partition(".")
    is_exact = library != "tf" or method not in resize_tf.NEVER_EXACT
    return is_exact and place(spec.fit, target, target, spec.crop)[:3] == whole


def _resized(image: Image.Image, size: tuple[int, int], spec: InputSpec) -> Pixels:
    """Resize as TensorFlow or OpenCV do; round half to even, and clip."""
    pixels = np.asarray(image)
    shaped = pixels.reshape(*pixels.shape[:2], -1)
    library, _, method = spec.resize.partition(".")
    if library == "tf":
        made = resize_tf.resize(shaped, size, method, spec.antialias)
    else:
        made = resize_cv2.resize(shaped, size, method)
    rounded = made if made.dtype == np.uint8 else np.rint(np.clip(made, 0, 255))
    whole: Pixels = np.ascontiguousarray(rounded, np.uint8)
    return whole[:, :, 0] if pixels.ndim == 2 else whole
