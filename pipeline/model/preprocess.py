"""From encoded images to the model's pixels. Training and scoring both decode and resize here and nowhere else.

Archives contain images of many kinds. This is what becomes of each:

    grey, 1-bit, palette, RGB      converted as `Image.convert` does
    16-bit grey                    scaled by 255 / 65535, rounded; or its high byte; or cut off at 255, as the rule says
    16-bit color                   the high byte, as Pillow's parsers give it
    float                          taken as 0 to 1; other values are refused
    TIFF                           as its tags say: 9 to 15 bits, 0 is white, planes, bands; see `pipeline.model.tiff`
    alpha                          dropped, as `keras.utils.load_img` does, or laid on a color; a picture that is in it
                                   alone is refused; see `pipeline.model.alpha`
    CMYK, YCCK                     converted to RGB without a color profile
    EXIF orientation               applied; one that cannot be parsed is ignored, as browsers do
    animated, several pages        the first frame
    any size                       resized with the model's filter, see `pipeline.model.fit` and `pipeline.model.resize`
    JPEG                           decoded at a smaller scale if the rule says so, see `pipeline.model.reduced_jpeg`
    color that becomes grey        from red, green and blue, or from the file's own luma, as the rule says

Pillow is the reference decoder; faster decoders with the same pixels stand in front of it, see
`pipeline.model.fast_decoders`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from pipeline.batches import Code, EncodedBatch, Failure, PixelBatch
from pipeline.model import fast_decoders, reduced_jpeg
from pipeline.model.alpha import has_alpha, without_alpha
from pipeline.model.colors import cut_off, gray_of_deep_png, low_bytes, to_mode
from pipeline.model.input_rule import InputSpec
from pipeline.model.pillow import JPEG, MeteredExif, open_image
from pipeline.model.refused import RefusedError
from pipeline.model.resize import fitted, fitted_pixels, resizes_pixels, takes_exact
from pipeline.model.tiff import TURNS, TaggedTiff
from pipeline.option_values import read_bands
from pipeline.options import MAX_PIXELS

SMALL_PIXELS = 1 << 14
"""Pixels of an image, at most, that is decoded together with others. Larger ones gain nothing by it."""

_ORIENTATION = 0x0112
_PLANES = 0x011C
_TURN_BACK = {**TURNS, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
_EXIF_SOURCES = {"exif", "Raw profile type exif", "Raw profile type APP1", "XML:com.adobe.xmp", "xmp"}
_SAYS_ENOUGH = (OSError, ValueError, SyntaxError, Image.DecompressionBombError, fast_decoders.CorruptError)


def preprocess(
    batch: EncodedBatch,
    spec: InputSpec,
    max_pixels: int = MAX_PIXELS,
    begin: Callable[[int, int], None] = lambda first, stop: None,
    one_by_one: bool = False,
) -> PixelBatch:
    """Decode and resize a batch.

    An image that cannot be decoded fails in the stage "preprocess"; its pixels are zero. No image raises.

    Args:
        batch: images as they are stored.
        spec: what the model takes.
        max_pixels: a larger image fails.
        begin: called before images are decoded with their range: from the first index to before the second.
        one_by_one: whether each image is decoded alone, also where several at once would be faster.

    Returns:
        Pixels, uint8 [n, spec.height, spec.width, spec.channels].
    """
    pixels = np.zeros((len(batch.encoded), *spec.shape), np.uint8)
    failures: dict[int, Failure] = {}
    passed = set(batch.images.failures)
    if spec.height * spec.width <= min(max_pixels, SMALL_PIXELS) and not one_by_one and takes_exact(spec):
        begin(0, len(batch.encoded))
        waiting = [b"" if i in passed else data for i, data in enumerate(batch.encoded)]
        done, found = fast_decoders.pngs(waiting, spec.shape)
        pixels[done] = found[..., ::-1] if spec.color_mode == "bgr" else found
        passed.update(done)
    for i, data in enumerate(batch.encoded):
        if i in passed:
            continue
        begin(i, i + 1)
        try:
            pixels[i] = decode(data, spec, max_pixels)
        except Exception as error:  # noqa: BLE001 - Pillow's parsers raise whatever they stumble over
            failures[i] = _failure(error)
    return PixelBatch(batch.images.failed(failures), pixels)


def decode(data: bytes, spec: InputSpec, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8]:
    """Return one image as uint8 [spec.height, spec.width, spec.channels].

    Raises:
        Exception: of many kinds, where `data` is not an image that can be decoded whole.
    """
    pixels = _by_numpy(data, spec, max_pixels) if resizes_pixels(spec) else _by_pillow(data, spec, max_pixels)
    return pixels[:, :, ::-1] if spec.color_mode == "bgr" else pixels


def _by_pillow(data: bytes, spec: InputSpec, max_pixels: int) -> npt.NDArray[np.uint8]:
    image, picture = _loaded(data, spec, max_pixels)
    image = fitted(image, picture, spec)
    if image.mode not in ("L", "RGB"):
        image = cut_off(image)
    return np.frombuffer(image.tobytes(), np.uint8).reshape(spec.shape)


def _by_numpy(data: bytes, spec: InputSpec, max_pixels: int) -> npt.NDArray[np.uint8]:
    pixels = _jpeg_pixels(data, spec, max_pixels)
    if pixels is None:
        image, _ = _loaded(data, spec, max_pixels)
        pixels = np.asarray(image)
    made = fitted_pixels(pixels.reshape(*pixels.shape[:2], -1), spec)
    return made if made.shape == spec.shape else np.repeat(made, spec.channels, axis=2)


def _jpeg_pixels(data: bytes, spec: InputSpec, max_pixels: int) -> npt.NDArray[np.uint8] | None:
    """Return a JPEG's pixels without a copy in Pillow's memory, which takes as long as resizing; None: not this file.

    Grey stays grey, also if the model takes color.
    """
    if not data.startswith(JPEG):
        return None
    image = open_image(data, max_pixels)
    mode = reduced_jpeg.mode_of(image, spec)
    if mode not in ("L", "RGB")[: spec.channels] or _turn(image, spec) is not None:
        return None
    return fast_decoders.jpeg(data, mode, image.size, is_fast=spec.jpeg_dct == "fast")


def _loaded(data: bytes, spec: InputSpec, max_pixels: int) -> tuple[Image.Image, reduced_jpeg.Picture | None]:
    """Return an image in the model's mode, and how it relates to the picture; None: it is the picture."""
    is_png = data.startswith(fast_decoders.PNG)
    found = fast_decoders.png(data, max_pixels) if is_png else None
    loaded, picture = (found, None) if found else _oriented(data, spec, max_pixels)
    return to_mode(loaded, spec, is_png), picture


def upright(data: bytes, spec: InputSpec, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Return one image in full, turned as the spec says, in the mode of the spec's colors.

    Raises:
        Exception: of many kinds, where `data` is not an image that can be decoded whole.
    """
    image, _ = _oriented(data, replace(spec, decode="full"), max_pixels)
    made = to_mode(image, spec, data.startswith(fast_decoders.PNG))
    return made if made.mode in ("L", "RGB") else cut_off(made)


def _oriented(data: bytes, spec: InputSpec, max_pixels: int) -> tuple[Image.Image, reduced_jpeg.Picture | None]:
    """Return a decoded image, turned as the spec says, and how it relates to the picture; None: it is the picture."""
    image = open_image(data, max_pixels, read_bands(spec.bands))
    if isinstance(image, TaggedTiff):
        image.load()
        method = _TURN_BACK.get(image.orientation)
        return image if method is None or spec.exif_orientation else image.transpose(method), None
    if isinstance(image, TiffImageFile):
        return _oriented_tiff(image, spec), None
    if isinstance(image, JpegImageFile):  # its EXIF data lie before its pixels
        method = _turn(image, spec)
        return reduced_jpeg.load(data, image, spec, method)
    image.load()
    method = _turn(image, spec)
    wants_luma = spec.color_mode == "grayscale" and spec.gray_from == "jpeg_luma"
    shown: Image.Image = image
    if wants_luma and image.mode in ("RGB", "RGBA"):
        shown = without_alpha(image, spec.background) if has_alpha(image) else image
        low = low_bytes(data, max_pixels) if shown is image else None
        shown = shown if low is None else gray_of_deep_png(image, low)
    return shown if method is None else shown.transpose(method), None


def _turn(image: ImageFile.ImageFile, spec: InputSpec) -> Image.Transpose | None:
    """Return how an image is turned as its EXIF orientation and the spec say; None: not at all."""
    if not spec.exif_orientation or _EXIF_SOURCES.isdisjoint(image.info):
        return None
    image._exif = MeteredExif()
    try:
        return TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except (SyntaxError, ValueError, KeyError, TypeError, IndexError, OSError, struct.error, RefusedError):
        return None


def _oriented_tiff(image: TiffImageFile, spec: InputSpec) -> Image.Image:
    """Load a TIFF, which Pillow turns as it loads it; turn it back where the spec does not want that."""
    whole = [tile for tile in image.tile if tile.codec_name == "libtiff"]
    there = whole or [tile for tile in image.tile if tile.offset]  # at 0 is the header: such a strip is stored nowhere
    areas = [
        (right - left) * (lower - upper) for left, upper, right, lower in (t.extents or (0, 0, 0, 0) for t in there)
    ]
    planes = len(image.getbands()) if image.tag_v2.get(_PLANES) == 2 and not whole else 1
    wanted = image.width * image.height * planes
    if sum(areas) < wanted:  # Pillow would leave the rest black
        raise RefusedError("INVALID_ARGUMENT", f"only {sum(areas)} of the {wanted} pixels are stored")
    method = _TURN_BACK.get(image.getexif().get(_ORIENTATION, 1))
    image.load()
    return image if method is None or spec.exif_orientation else image.transpose(method)


def _failure(error: Exception) -> Failure:
    code: Code = "INVALID_ARGUMENT"
    if isinstance(error, RefusedError):
        code = error.code
    elif isinstance(error, (MemoryError, Image.DecompressionBombError)):
        code = "RESOURCE_EXHAUSTED"
    elif isinstance(error, NotImplementedError):
        code = "UNIMPLEMENTED"
    if isinstance(error, RefusedError):
        return Failure("preprocess", code, str(error))
    says_enough = isinstance(error, _SAYS_ENOUGH) and str(error)
    text = str(error) if says_enough else f"{type(error).__name__} {error}"
    return Failure("preprocess", code, f"cannot be decoded: {text}")
