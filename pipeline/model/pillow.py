"""Open images with Pillow, safely: known formats only, the first frame only, no tag that fills the memory."""

from __future__ import annotations

import io

from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from pipeline.batches import Code
from pipeline.image_kinds import HEAD, advice, is_read, kind_of
from pipeline.model import fast_decoders
from pipeline.options import MAX_PIXELS

JPEG = b"\xff\xd8\xff"
"""First bytes of JPEG files."""


class RefusedError(Exception):
    """An image that is not scored, with its google.rpc code."""

    def __init__(self, code: Code, message: str) -> None:
        """Take the code and a message for a person."""
        super().__init__(message)
        self.code = code


class _Metered(io.BytesIO):
    """A file that may be read a few times over, not thousands: Pillow copies what tags share for each of them."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = 8 * len(data) + (64 << 20)

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._left -= len(data)
        if self._left < 0:
            raise RefusedError("RESOURCE_EXHAUSTED", "the tags claim far more data than the file holds")
        return data


class MeteredExif(Image.Exif):
    """EXIF data that is read through a meter."""

    def load(self, data: bytes) -> None:
        """Read the tags of an EXIF segment."""
        tags = data.removeprefix(b"Exif\0\0")
        if tags:
            self.load_from_fp(_Metered(tags))


class _Jpeg(JpegImageFile):
    """A JPEG whose resolution nobody asks for: Pillow would read all EXIF for it, without a meter."""

    def _read_dpi_from_exif(self) -> None:
        pass


class _Png(PngImageFile):
    """A PNG of which the first frame alone is read."""

    def _open(self) -> None:
        super()._open()
        if self.mode == "P" and self.palette is None:  # Pillow would take the indices for grey
            raise RefusedError("INVALID_ARGUMENT", "the palette is missing")

    def _seek(self, frame: int, rewind: bool = False) -> None:
        self.info["disposal"] = 0  # another needs a canvas, which Pillow fills before --max_pixels is looked at
        super()._seek(frame, rewind)


def open_image(data: bytes, max_pixels: int = MAX_PIXELS) -> ImageFile.ImageFile:
    """Return an image whose header is parsed and whose pixels are not, found by its first bytes.

    The formats are named one by one, so that no other parser of Pillow's ever sees the bytes.
    """
    if data.startswith(fast_decoders.PNG):
        image: ImageFile.ImageFile = _Png(io.BytesIO(data))
    elif data.startswith(JPEG):
        image = _Jpeg(io.BytesIO(data))
    elif data.startswith((b"GIF87a", b"GIF89a")):
        image = GifImageFile(io.BytesIO(data))
    elif data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        image = TiffImageFile(_Metered(data))
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        image = WebPImageFile(io.BytesIO(data))
    elif data.startswith(b"BM"):
        image = BmpImageFile(io.BytesIO(data))
    elif data.startswith((b"P5", b"P6")):
        image = PpmImageFile(io.BytesIO(data))
    else:
        raise _unknown(data)
    if image.width * image.height > max_pixels:
        size = f"{image.width} x {image.height}"
        raise RefusedError("RESOURCE_EXHAUSTED", f"image of {size} pixels is larger than --max_pixels {max_pixels}")
    return image


def _unknown(data: bytes) -> RefusedError:
    """Return the error for bytes that are no image of a format that is read; it says what they are if that is known."""
    if not data:
        return RefusedError("INVALID_ARGUMENT", "empty file")
    kind = kind_of(data[:HEAD])
    if kind is not None and not is_read(kind):
        return RefusedError("UNIMPLEMENTED", f"it is a {kind} image, whatever its name says: {advice(kind)}")
    formats = "a PNG, JPEG, GIF, TIFF, WebP, BMP, PGM or PPM image"
    return RefusedError("INVALID_ARGUMENT", f"not {formats}: starts with {data[:12]!r}")
