"""JPEG files are decoded at a smaller scale where the model takes far fewer pixels than they have.

libjpeg can compute each block of 8 x 8 pixels as one of 4 x 4, 2 x 2 or 1 x 1 at once, which saves most of the time
that a photograph takes. The smaller image is then resized with the model's filter, as an image decoded in full is. Two
decoders give the same pixels at each scale to the bit: simplejpeg, and Pillow for the modes that simplejpeg does not
take.

Owns the choice of the scale. Must not know of other formats, nor how EXIF data are read.
"""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from pipeline.model import fast_decoders
from pipeline.model.fit import Box, place
from pipeline.model.input_rule import ANTIALIASED, InputSpec
from pipeline.model.refused import RefusedError

DENOMINATORS = (8, 4, 2)
"""Of the scales below 1, the smallest scale first."""

ENOUGH = 2
"""Times the model's side that a side of the decoded image is at least, if it is decoded at a scale below 1."""


class Picture(NamedTuple):
    """How an image that was decoded at a smaller scale relates to the picture.

    Attributes:
        size: (width, height) of the upright picture in full.
        by: the denominator of the scale.
        left: pixels of the smaller image that lie left of the picture.
        upper: pixels of the smaller image that lie above the picture.
    """

    size: tuple[int, int]
    by: int
    left: float
    upper: float

    def part(self, box: Box) -> Box:
        """Return where in the smaller image a part of the picture lies."""
        left, upper, right, lower = (side / self.by for side in box)
        return self.left + left, self.upper + upper, self.left + right, self.upper + lower


_MARGINS = {
    None: (0, 1, 2, 3),
    Image.Transpose.FLIP_LEFT_RIGHT: (2, 1, 0, 3),
    Image.Transpose.ROTATE_180: (2, 3, 0, 1),
    Image.Transpose.FLIP_TOP_BOTTOM: (0, 3, 2, 1),
    Image.Transpose.TRANSPOSE: (1, 0, 3, 2),
    Image.Transpose.ROTATE_270: (3, 0, 1, 2),
    Image.Transpose.TRANSVERSE: (3, 2, 1, 0),
    Image.Transpose.ROTATE_90: (1, 2, 3, 0),
}
"""Turn -> which of an image's left, upper, right and lower margins lies there afterwards."""

_ON_THEIR_SIDE = {
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
}
"""Turns that make the width the height."""


def load(
    data: bytes, image: JpegImageFile, rule: InputSpec, turn: Image.Transpose | None
) -> tuple[Image.Image, Picture | None]:
    """Decode a JPEG file at the scale that the rule asks for, and turn it.

    Args:
        data: the file.
        image: the same, opened and not yet loaded.
        rule: what the model takes.
        turn: how the image is turned to be upright; None: not at all.

    Returns:
        The image, in the file's own mode, or in mode "L" if the rule wants its luma; and how it relates to the
        picture. None: it is the picture.

    Raises:
        CorruptError: a part of the image is lost.
        Exception: of many kinds, where Pillow cannot decode it.
    """
    size = image.size
    by = denominator(size[::-1] if turn in _ON_THEIR_SIDE else size, rule)
    mode = mode_of(image, rule)
    if rule.jpeg_dct == "fast" and mode == "CMYK":
        pixels = fast_decoders.cmyk_jpeg(data, size, is_inverted="adobe" in image.info)
    else:
        pixels = fast_decoders.jpeg(data, mode, size, by, rule.jpeg_dct == "fast")
    if pixels is None and rule.jpeg_dct == "fast":
        raise RefusedError(
            "UNIMPLEMENTED", f"simplejpeg cannot decode this JPEG, in mode {mode}: needed for jpeg_dct fast"
        )
    loaded = _load_with_pillow(image, by, mode) if pixels is None else Image.fromarray(pixels)
    upright = loaded if turn is None else loaded.transpose(turn)
    return upright, None if by == 1 else picture(size, by, turn)


def mode_of(image: ImageFile.ImageFile, rule: InputSpec) -> str:
    """Return in which of Pillow's modes a JPEG file is decoded: its own, or "L" if the rule wants its luma."""
    wants_luma = rule.color_mode == "grayscale" and rule.gray_from == "jpeg_luma"
    return "L" if wants_luma and image.mode == "RGB" else image.mode


def denominator(size: tuple[int, int], rule: InputSpec) -> int:
    """Return 1, 2, 4 or 8: by how much the sides of a JPEG are divided as it is decoded.

    It is the largest by which both sides of the part that is resized are still at least twice what it is resized to.

    Args:
        size: (width, height) of the upright image.
        rule: what the model takes.

    >>> rule = InputSpec(224, 224, "rgb", decode="reduced")
    >>> denominator((4000, 3000), rule), denominator((3584, 3584), rule), denominator((500, 375), rule)
    (4, 8, 1)
    """
    if rule.decode == "full" or rule.resize not in ANTIALIASED:
        return 1
    (left, upper, right, lower), resized, *_ = place(rule.fit, size, (rule.width, rule.height), rule.crop)
    there = min((right - left) / resized[0], (lower - upper) / resized[1])
    return next((by for by in DENOMINATORS if there >= ENOUGH * by), 1)


def picture(size: tuple[int, int], by: int, turn: Image.Transpose | None) -> Picture:
    """Return how a reduced and turned image relates to the picture.

    A side that is no multiple of the denominator is rounded up. The last pixel then shows the picture in part, and for
    the rest what the encoder has filled its last block with.

    Args:
        size: (width, height) of the image as stored.
        by: the denominator.
        turn: that came afterwards.

    >>> picture((4001, 3000), 8, None).part((0, 0, 4001, 3000))
    (0.0, 0.0, 500.125, 375.0)
    >>> picture((4001, 3000), 8, Image.Transpose.ROTATE_90).part((0, 0, 3000, 4001))
    (0.0, 0.875, 375.0, 501.0)
    """
    margins = (0.0, 0.0, *(-(-side // by) - side / by for side in size))
    left, upper, _, _ = (margins[i] for i in _MARGINS[turn])
    return Picture(size[::-1] if turn in _ON_THEIR_SIDE else size, by, left, upper)


def _load_with_pillow(image: JpegImageFile, by: int, mode: str) -> Image.Image:
    """Load an image by Pillow, which picks the scale by a size: that which is wanted, or a little less."""
    width, height = image.size
    if by > 1 or mode != image.mode:
        image.draft(mode, (width // by, height // by))
        if image.size != (-(-width // by), -(-height // by)):
            raise RefusedError("INTERNAL", f"Pillow decodes {width} x {height} pixels to {image.size}, not to 1/{by}")
    image.load()
    return image
