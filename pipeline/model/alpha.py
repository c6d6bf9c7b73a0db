"""What becomes of transparency: it is ignored, as loaders do, or the image is laid on a color.

A drawing whose shape is in its transparency alone (canvas, signature pads, icon sets) is of one color once that is
ignored. It is refused in words, unless the rule says which of both is wanted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from pipeline.model.refused import RefusedError
from pipeline.option_values import DROP, read_color

DEEP_KEY = "deep_transparency"
"""Key in an image's info: its transparent color has 16 bits a sample, of which only one half is at hand."""

_KEY = "transparency"
_WITH_ALPHA = ("LA", "RGBA", "PA")


def has_alpha(image: Image.Image) -> bool:
    """Return whether an image may be transparent anywhere."""
    return image.mode in _WITH_ALPHA or _KEY in image.info


def without_alpha(image: Image.Image, background: str) -> Image.Image:
    """Return an image that `convert` takes as if it had no transparency.

    Args:
        image: decoded, in any mode.
        background: see `InputSpec.background`.

    Raises:
        RefusedError: the picture is in the transparency alone, and the background is not chosen.
    """
    if background not in ("", DROP):
        return _laid_on(image, read_color(background))
    if background == "":
        _check_shown(image)
    image.info.pop(_KEY, None)  # `convert` would warn and look for a color instead
    return image


def _check_shown(image: Image.Image) -> None:
    if image.mode not in (*_WITH_ALPHA, "P"):
        return  # one color is transparent: what differs in transparency differs in color
    if image.mode in ("LA", "RGBA") and _is_colorful(image):
        return
    shown = image if image.mode in ("LA", "RGBA") else image.convert("RGBA")
    *colors, alpha = np.array(shown.getextrema()).tolist()
    if alpha[0] != alpha[1] and all(low == high for low, high in colors):
        raise RefusedError(
            "INVALID_ARGUMENT",
            "the image has one color, and only its transparency shows a picture: give --background white to show it on "
            "white, or --background drop to ignore transparency, as TensorFlow and Keras do",
        )


def _is_colorful(image: Image.Image) -> bool:
    """Return whether a few pixels differ in color, which saves looking at all of most images."""
    width, height = image.size
    places = [(width * i // 4, height * j // 4) for i, j in ((0, 0), (2, 2), (1, 3), (3, 1))]
    pixels: list[Any] = [image.getpixel(place) for place in places]
    colors = {pixel[:-1] for pixel in pixels}
    return len(colors) > 1


def _laid_on(image: Image.Image, color: tuple[int, int, int]) -> Image.Image:
    if image.info.get(DEEP_KEY):
        raise RefusedError("UNIMPLEMENTED", "a transparent color of 16 bits a sample is not laid on a background")
    key = image.info.get(_KEY)
    if image.mode.startswith("I"):
        values = np.asarray(image)
        grey = np.asarray(Image.new("RGB", (1, 1), color).convert("L")).astype(np.int32)[0, 0] * 257
        return Image.fromarray(np.where(values == key, grey, values.astype(np.int32)))
    red, green, blue = color
    if image.mode in ("1", "L", "LA") and red == green == blue:
        layers = image.convert("LA")
        canvas = Image.new("L", image.size, red)
        canvas.paste(layers.getchannel("L"), mask=layers.getchannel("A"))
        return canvas
    layers = image.convert("RGBA")
    canvas = Image.new("RGB", image.size, color)
    canvas.paste(layers.convert("RGB"), mask=layers.getchannel("A"))
    return canvas
