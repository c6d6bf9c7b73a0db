"""The facts about stored images that a row tells: width, height, format, bytes, the hash of their pixels, EXIF data.

Width and height of a PNG and of a JPEG are read from their first bytes, which costs less than a microsecond and a few;
other formats are opened again by Pillow. Must not know in which columns of a row the facts stand.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.batches import PixelBatch
from pipeline.image_facts import ImageFacts
from pipeline.model.input_rule import InputSpec
from pipeline.model.pillow import JPEG, MeteredExif, open_image
from pipeline.model.pixel_facts import pixel_facts
from pipeline.model.pixel_hash import pixel_hashes, rule_id
from pipeline.model.tiff import MAGIC
from pipeline.model.tiff_layout import read_layout
from pipeline.text import brief, plain

_STARTS = {
    b"\x89P": "PNG",
    b"\xff\xd8": "JPEG",
    b"GI": "GIF",
    b"BM": "BMP",
    b"II": "TIFF",
    b"MM": "TIFF",
    b"P1": "PBM",
    b"P4": "PBM",
    b"P2": "PGM",
    b"P5": "PGM",
    b"P3": "PPM",
    b"P6": "PPM",
    b"PF": "PFM",
    b"Pf": "PFM",
    b"\xffO": "JPEG2000",
}
"""First two bytes -> name of the format."""

_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"heim": "HEIC"}
"""Bytes 8 to 12 of a file of the ISO base media format -> name of the format."""

_SIZE = struct.Struct(">II")
_SEGMENT = struct.Struct(">BBH")
_FRAME = struct.Struct(">HH")
_NO_FRAME = (0xC4, 0xC8, 0xCC)
"""Markers from C0 to CF that begin no frame."""

_EXIF, _TAKEN, _CHANGED, _OFFSET, _MAKE, _MODEL = 0x8769, 0x9003, 0x0132, 0x9011, 0x010F, 0x0110
"""Tags of TIFF and EXIF."""

_TIME = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_ZONE = re.compile(r"[+-]\d\d:\d\d")


def with_facts(
    pixels: PixelBatch,
    encoded: Sequence[bytes],
    spec: InputSpec,
    wants_exif: bool = False,
    wants_pixel_facts: bool = False,
) -> PixelBatch:
    """Return the same images with the facts that their rows tell of them; see `facts_of`."""
    facts = facts_of(encoded, pixels, spec, wants_exif, wants_pixel_facts)
    return replace(pixels, images=replace(pixels.images, facts=facts))


def facts_of(
    encoded: Sequence[bytes],
    pixels: PixelBatch,
    spec: InputSpec,
    wants_exif: bool = False,
    wants_pixel_facts: bool = False,
) -> ImageFacts:
    """Return the facts about the images of a batch.

    Args:
        encoded: n files; b"" where reading failed.
        pixels: the same images, decoded as far as they could be; without pixels if the model takes encoded files.
        spec: the rule by which they were decoded.
        wants_exif: whether the time and the camera are read.
        wants_pixel_facts: whether the facts of `pipeline.model.pixel_facts` are computed.
    """
    failures = pixels.images.failures
    has_pixels = pixels.pixels.size > 0
    decoded = pixels.images.ok if has_pixels else np.zeros(len(encoded), np.bool_)
    sizes = np.fromiter(map(len, encoded), np.int64, len(encoded))
    for i, failure in failures.items():
        if failure.stage == "read":
            sizes[i] = -1
    widths, heights = _sides(encoded, decoded)
    hashes = np.zeros(len(encoded), np.uint64)
    more = _no_pixel_facts(len(encoded)) if wants_pixel_facts else {}
    if has_pixels:
        chosen = pixels.pixels if decoded.all() else pixels.pixels[decoded]
        hashes[decoded] = pixel_hashes(chosen, rule_id(spec))
        if wants_pixel_facts:
            found = pixel_facts(chosen, spec.color_mode)
            columns = (found.hashes, found.brightness, found.contrast, found.entropy)
            for column, values in zip(more.values(), columns, strict=True):
                column[decoded] = values
    taken = list(map(_taken, encoded)) if wants_exif else None
    return ImageFacts(
        widths,
        heights,
        list(map(format_of, encoded)),
        sizes,
        hashes,
        decoded,
        None if taken is None else [time for time, _ in taken],
        None if taken is None else [camera for _, camera in taken],
        **more,
    )


def _no_pixel_facts(n: int) -> dict[str, Any]:
    """Return the columns of `pipeline.model.pixel_facts` of n images without pixels, by their names in `ImageFacts`."""
    names = ("brightness", "contrast", "entropy")
    return {"perceptual": np.zeros(n, np.uint64), **{name: np.zeros(n, np.float32) for name in names}}


def format_of(data: bytes) -> str | None:
    """Return the name of an image's format by its first bytes; None: no known one.

    >>> format_of(b"GIF89a"), format_of(b"RIFF....WEBP"), format_of(b"")
    ('GIF', 'WEBP', None)
    """
    name = _STARTS.get(data[:2])
    if name is not None:
        return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12])
    return "JPEG2000" if data[4:8] == b"jP  " else None


def _sides(encoded: Sequence[bytes], decoded: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int32], ...]:
    """Return widths and heights, int32 [n] each; 0 where an image was not decoded."""
    sides = [
        (_SIZE.unpack_from(data, 16) if data[12:16] == b"IHDR" else _side(data)) if is_decoded else (0, 0)
        for data, is_decoded in zip(encoded, decoded.tolist(), strict=True)
    ]
    both = np.array(sides, np.int32).reshape(len(encoded), 2)
    return both[:, 0], both[:, 1]


def _side(data: bytes) -> tuple[int, int]:
    """Return width and height of an image that could be decoded; (0, 0) where it cannot be told."""
    found = _jpeg_sides(data) if data.startswith(JPEG) else None
    if found is not None:
        return found
    try:
        if data.startswith(MAGIC):  # Pillow tells the sides of the turned one
            layout = read_layout(data)
            return layout.width, layout.height
        image = open_image(data)
        return image.width, image.height
    except Exception:  # noqa: BLE001 - Pillow's parsers raise whatever they stumble over
        return 0, 0


def _jpeg_sides(data: bytes) -> tuple[int, int] | None:
    """Return width and height as the first frame of a JPEG tells them; None where its segments are not as usual."""
    place = 2
    while place + 9 <= len(data):
        start, marker, length = _SEGMENT.unpack_from(data, place)
        if start != 0xFF or marker < 0xC0 or 0xD0 <= marker <= 0xD9:
            return None
        if marker <= 0xCF and marker not in _NO_FRAME:
            height, width = _FRAME.unpack_from(data, place + 5)
            return (width, height) if width and height else None
        place += 2 + length
    return None


def _taken(data: bytes) -> tuple[str | None, str | None]:
    """Return when an image was taken, as ISO 8601, and by which camera, as its EXIF data say; no other of its tags."""
    try:
        image = open_image(data)
        image._exif = MeteredExif()
        tags = image.getexif()
        more = tags.get_ifd(_EXIF) if _EXIF in tags else {}
        time = _time(more.get(_TAKEN) or tags.get(_CHANGED), more.get(_OFFSET))
        return time, _camera(tags.get(_MAKE), tags.get(_MODEL))
    except Exception:  # noqa: BLE001 - Pillow's parsers raise whatever they stumble over
        return None, None


def _time(taken: object, offset: object) -> str | None:
    r"""Return a time of EXIF as ISO 8601.

    >>> _time("2024:05:01 12:30:00", "+02:00"), _time("2024:05:01 12:30:00\0", None), _time("    :  :", None)
    ('2024-05-01T12:30:00+02:00', '2024-05-01T12:30:00', None)
    """
    match = _TIME.match(taken) if isinstance(taken, str) else None
    if match is None or match[1] == "0000":
        return None
    zone = offset if isinstance(offset, str) and _ZONE.fullmatch(offset) else ""
    return "{}-{}-{}T{}:{}:{}".format(*match.groups()) + zone


def _camera(make: object, model: object) -> str | None:
    r"""Return the name of a camera by its maker's name and its model's.

    >>> _camera("Canon\0", "Canon EOS R5"), _camera("NIKON CORPORATION", "D850 "), _camera(None, "")
    ('Canon EOS R5', 'NIKON CORPORATION D850', None)
    """
    maker, name = (" ".join(plain(one.strip("\0 ")).split()) if isinstance(one, str) else "" for one in (make, model))
    whole = name if name.lower().startswith(maker.lower()) and maker else f"{maker} {name}".strip()
    return brief(whole) if whole else None
