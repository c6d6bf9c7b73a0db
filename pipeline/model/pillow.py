"""Open images with Pillow, safely: known formats only, the first frame only, no tag that fills the memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence

from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile, DibImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.WebPImagePlugin import WebPImageFile

from pipeline.image_kinds import HEAD, READ, advice, is_read, kind_of
from pipeline.model import fast_decoders, tiff
from pipeline.model.alpha import DEEP_KEY
from pipeline.model.foreign_formats import open_foreign
from pipeline.model.refused import Metered, RefusedError
from pipeline.options import MAX_PIXELS

_DIB_HEADERS = (40, 52, 56, 64, 108, 124)

JPEG = b"\xff\xd8\xff"
"""First bytes of JPEG files."""


class MeteredExif(Image.Exif):
    """EXIF data that is read through a meter."""

    def load(self, data: bytes) -> None:
        """Read the tags of an EXIF segment."""
        tags = data.removeprefix(b"Exif\0\0")
        if tags:
            self.load_from_fp(Metered(tags))


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
        self.info[DEEP_KEY] = any(tile.args == "RGB;16B" for tile in self.tile)

    def _seek(self, frame: int, rewind: bool = False) -> None:
        self.info["disposal"] = 0  # another needs a canvas, which Pillow fills before --max_pixels is looked at
        super()._seek(frame, rewind)


_LFS = b"version https://git-lfs.github.com/spec/"
"""What a file begins with that stands for another one: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md."""


def _is_dib(data: bytes) -> bool:
    """Return whether this is a BMP without its file header, as from a clipboard: a size, width, height, 1 plane."""
    size = int.from_bytes(data[:4], "little")
    return (size == 12 and data[8:10] == b"\1\0") or (size in _DIB_HEADERS and data[12:14] == b"\1\0")


def open_image(data: bytes, max_pixels: int = MAX_PIXELS, bands: Sequence[int] = ()) -> ImageFile.ImageFile:
    """Return an image whose header is parsed and whose pixels are not, found by its first bytes.

    The formats are named one by one, so that no other parser of Pillow's ever sees the bytes.
    """
    image = _opened(data, max_pixels, bands)
    if image.width * image.height > max_pixels:
        size = f"{image.width} x {image.height}"
        raise RefusedError("RESOURCE_EXHAUSTED", f"image of {size} pixels is larger than --max_pixels {max_pixels}")
    return image


def _unknown(data: bytes) -> RefusedError:
    """Return the error for bytes that are no image of a format that is read; it says what they are if that is known."""
    if not data:
        return RefusedError("INVALID_ARGUMENT", "empty file")
    if data.startswith(_LFS):
        return RefusedError("INVALID_ARGUMENT", "it is a pointer of Git LFS to an image: fetch it with git lfs pull")
    kind = kind_of(data[:HEAD])
    if kind is not None and not is_read(kind):
        return RefusedError("UNIMPLEMENTED", f"it is of the kind {kind}, whatever its name says: {advice(kind)}")
    formats = f"{', '.join(READ[:-1])} or {READ[-1]}"
    return RefusedError("INVALID_ARGUMENT", f"not a {formats} image: starts with {data[:12]!r}")


def _opened(data: bytes, max_pixels: int, bands: Sequence[int]) -> ImageFile.ImageFile:
    for magic, opener in _OPENERS.items():
        if data.startswith(magic):
            return opener(io.BytesIO(data))
    if data.startswith(tiff.MAGIC):
        return tiff.open_tiff(data, bands, max_pixels)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WebPImageFile(io.BytesIO(data))
    if _is_dib(data):
        return DibImageFile(io.BytesIO(data))
    image = open_foreign(data)
    if image is None:
        raise _unknown(data)
    return image


_OPENERS: Mapping[tuple[bytes, ...], Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    (fast_decoders.PNG,): _Png,
    (JPEG,): _Jpeg,
    (b"GIF87a", b"GIF89a"): GifImageFile,
    (b"BM",): BmpImageFile,
    (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"Pf"): PpmImageFile,
}
"""First bytes -> the parser of the format."""
