"""The input rule that fits the images of a folder: their own size, if they have one, and whether they are colored.

Must not know classes or splits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from PIL import Image

from model_training.learning.network import SMALLEST_SIDE
from pipeline.batches import EncodedBatch
from pipeline.errors import UsageError
from pipeline.model.colors import to_mode
from pipeline.model.input_rule import ColorMode, InputSpec
from pipeline.model.pillow import open_image
from pipeline.sources import images
from pipeline.sources.read_rule import ReadRule
from pipeline.storage import StoredObject

RuleOf = Callable[[int, int, ColorMode], InputSpec]
"""Makes an input rule of height, width and color mode."""

LARGEST_OWN_SIDE = 256
"""Pixels of the longer side of images, at most, that are taken in their own size without --image_size."""

_ORIENTATION = 0x0112
_GREY_MODES = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F"}
_COLOR = InputSpec(1, 1, "rgb")


def read_files(files: Sequence[StoredObject]) -> Iterator[EncodedBatch]:
    """Yield image files in order, as scoring reads them; labels are the caller's."""
    for unit in images.cut(((file, None) for file in files), unit_images=len(files)):
        yield from images.read(unit, ReadRule())


def input_spec(
    files: Sequence[StoredObject], image_size: int | None, color_mode: ColorMode | None, rule_of: RuleOf
) -> InputSpec:
    """Return the input rule: as given, else as the images are.

    Args:
        files: the images.
        image_size: side of the square that images are resized to; None takes their own size, which must be one.
        color_mode: None takes "grayscale" if every image is grey, else "rgb".
        rule_of: makes the input rule of its height, width and color mode.

    Raises:
        UsageError: they have several sizes, or one that is too large or too small.
    """
    if image_size is not None and color_mode is not None:
        return rule_of(image_size, image_size, color_mode)
    is_turned = rule_of(SMALLEST_SIDE, SMALLEST_SIDE, "rgb").exif_orientation
    sizes, colored = _survey(files, is_turned, look_for_color=color_mode is None)
    color_mode = color_mode or ("rgb" if colored else "grayscale")
    if image_size is not None:
        return rule_of(image_size, image_size, color_mode)
    width, height = _own_size(sizes)
    return rule_of(height, width, color_mode)


def _survey(
    files: Sequence[StoredObject], is_turned: bool, look_for_color: bool
) -> tuple[Counter[tuple[int, int]], bool]:
    """Return (width, height) -> images, and whether any image has color."""
    sizes: Counter[tuple[int, int]] = Counter()
    colored = False
    for batch in read_files(files):
        for data in batch.encoded:
            try:
                image = open_image(data)
                colored = colored or (look_for_color and _has_color(image))
                sizes[_upright_size(image) if is_turned else image.size] += 1
            except Exception:  # noqa: BLE001 - Pillow raises anything; `preprocess` meets it again and says why
                continue
    return sizes, colored


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    lies = image.format != "TIFF" and image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)  # a TIFF is upright at once
    return (height, width) if lies else (width, height)


def _has_color(image: Image.Image) -> bool:
    if image.mode in _GREY_MODES:
        return False
    red, green, blue = np.moveaxis(np.asarray(to_mode(image, _COLOR)), 2, 0)
    return not (np.array_equal(red, green) and np.array_equal(green, blue))


def _own_size(sizes: Counter[tuple[int, int]]) -> tuple[int, int]:
    """Return the one size of all images, (width, height)."""
    listed = [f"{width} x {height} ({count:,})" for (width, height), count in sizes.most_common()]
    if not sizes:
        raise UsageError("none of the images can be decoded: give a folder of PNG, JPEG, GIF, TIFF, WebP or BMP images")
    if len(sizes) > 1:
        more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
        raise UsageError(f"the images have different sizes, {', '.join(listed[:5])}{more}: give --image_size N")
    (size,) = sizes
    if max(size) > LARGEST_OWN_SIDE:
        raise UsageError(f"the images are large, {listed[0]}: give --image_size N to train on smaller ones")
    if min(size) < SMALLEST_SIDE:
        raise UsageError(f"the images are small, {listed[0]}: give --image_size N, at least {SMALLEST_SIDE}")
    return size
