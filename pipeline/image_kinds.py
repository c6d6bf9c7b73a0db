"""Kinds of image files: which are read, what tells them by their first bytes, and what to do with those not read.

Must not open a file. `pipeline.model.pillow` decodes what is read; `pipeline.sources` looks for it.
"""

from __future__ import annotations

import importlib.util
import re
from typing import NamedTuple

HEAD = 512
"""Bytes at the start of a file that tell what it is."""

_HEIC_SUFFIXES = (".heic", ".heif", ".hif", ".heics", ".heifs")
_WITH_HEIC = importlib.util.find_spec("pillow_heif") is not None

READ_SUFFIXES = frozenset(
    {
        ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp",
        ".pgm", ".ppm", ".pbm", ".pnm", ".pfm", ".avif", ".avifs",
        ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".jpm",
        *(_HEIC_SUFFIXES if _WITH_HEIC else ()),
    }
)  # fmt: skip
"""Ends of names, in lower case, of images that are read."""


class Kind(NamedTuple):
    """A kind of image that is not read.

    Attributes:
        name: as a person calls it.
        suffixes: ends of names, in lower case.
        advice: what to do.
    """

    name: str
    suffixes: tuple[str, ...]
    advice: str = "convert them to PNG"


_PHOTO = "convert them to JPEG or PNG"
_RAW = "export them as JPEG or TIFF"

UNREAD = (
    Kind("HEIC", _HEIC_SUFFIXES, "install nightscore[heic]"),
    Kind("JPEG XL", (".jxl",), _PHOTO),
    Kind("JPEG XR", (".jxr", ".wdp", ".hdp"), _PHOTO),
    Kind("DNG", (".dng",), _RAW),
    Kind("raw camera", (
        ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".erf", ".fff", ".gpr", ".iiq", ".k25", ".kdc", ".mef", ".mos",
        ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
    ), _RAW),
    Kind("Photoshop", (".psd", ".psb"), "export them as PNG"),
    Kind("GIMP", (".xcf",), "export them as PNG"),
    Kind("SVG", (".svg", ".svgz"), "render them as PNG"),
    Kind("EPS", (".eps", ".epsf"), "render them as PNG"),
    Kind("OpenEXR", (".exr",)),
    Kind("Radiance HDR", (".rgbe",)),
    Kind("DICOM", (".dcm", ".dicom")),
    Kind("FITS", (".fits", ".fts")),
    Kind("Targa", (".tga",)),
    Kind("DDS", (".dds",)),
    Kind("icon", (".ico", ".cur", ".icns")),
    Kind("QOI", (".qoi",)),
    Kind("BPG", (".bpg",)),
    Kind("PCX", (".pcx",)),
    Kind("SGI", (".sgi",)),
    Kind("PAM", (".pam",)),
    Kind("color PFM", ()),
    Kind("XBM or XPM", (".xbm", ".xpm")),
)  # fmt: skip
"""Kinds of images that are known and not read."""

_BY_NAME = {kind.name: kind for kind in UNREAD}
_BY_SUFFIX = {suffix: kind for kind in UNREAD for suffix in kind.suffixes}

_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"IIRO\x08\0\0\0", "raw camera"),
    (b"IIRS\x08\0\0\0", "raw camera"),
    (b"IIU\0\x18\0\0\0", "raw camera"),
    (b"FUJIFILMCCD-RAW", "raw camera"),
    (b"FOVb", "raw camera"),
    (b"8BPS\0", "Photoshop"),
    (b"gimp xcf ", "GIMP"),
    (b"%!PS-Adobe", "EPS"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE\n", "Radiance HDR"),
    (b"#?RGBE\n", "Radiance HDR"),
    (b"SIMPLE  =", "FITS"),
    (b"DDS |\0\0\0", "DDS"),
    (b"icns", "icon"),
    (b"qoif", "QOI"),
    (b"BPG\xfb", "BPG"),
    (b"\x01\xda\0\1", "SGI"),
    (b"\x01\xda\1\1", "SGI"),
)
"""First bytes that tell a kind for sure."""

READ = (
    *("PNG", "JPEG", "GIF", "TIFF", "WebP", "BMP", "PNM", "PFM", "AVIF", "JPEG 2000"),
    *(["HEIC"] if _WITH_HEIC else []),
)
"""Kinds of images that are read here."""

_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "HEIC"),
    **dict.fromkeys((b"jp2 ", b"jpx ", b"jpm "), "JPEG 2000"),
    b"crx ": "raw camera",
}
_ANY_BRAND = (b"mif1", b"mif2", b"msf1", b"miaf")
"""Brands of files of ISO's image file format, whatever codec the images have."""

_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
"""Bytes that a BMP's second header may have, as it says itself."""

_PNM = re.compile(rb"P([1-7Ff])(?:\s+|#[^\n]*\n)+(?:-?\d|#|WIDTH|HEIGHT|DEPTH|MAXVAL|TUPLTYPE)")
_SVG = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>|<!--.*?-->|<!DOCTYPE\s+svg[^>]*>|\s)*<svg[\s>:]", re.DOTALL)


def kind_of(head: bytes) -> str | None:
    r"""Return the kind of image that a file with these first HEAD bytes is; None if it is none that is known.

    Two letters alone tell none: a text may begin with BM or P5.

    >>> kind_of(b"\xff\xd8\xff\xe0\0\x10JFIF"), kind_of(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), kind_of(b"BMW")
    ('JPEG', 'HEIC', None)
    """
    for start, kind in _STARTS:
        if head.startswith(start):
            return "raw camera" if kind == "TIFF" and head[8:10] == b"CR" else kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if head[4:8] == b"ftyp":
        return _of_brands(head)
    if (pnm := _PNM.match(head)) is not None:
        return {b"7": "PAM", b"F": "color PFM", b"f": "PFM"}.get(pnm[1], "PNM")
    if head[128:132] == b"DICM":
        return "DICOM"
    return "SVG" if _SVG.match(head) else None


def _of_brands(head: bytes) -> str | None:
    """Return the kind of a file of boxes, as MP4 films are as well."""
    end = min(int.from_bytes(head[:4], "big"), HEAD)
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))]
    if brands[0] in _BRANDS:
        return _BRANDS[brands[0]]
    if brands[0] not in _ANY_BRAND:
        return None
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), "HEIC")


def is_read(kind: str | None) -> bool:
    """Return whether images of a kind are read."""
    return kind in READ


def unread_by_suffix(suffix: str) -> str | None:
    """Return the kind of image, of those that are not read, that a suffix in lower case promises; None if none.

    >>> unread_by_suffix(".jxl"), unread_by_suffix(".png")
    ('JPEG XL', None)
    """
    kind = None if suffix in READ_SUFFIXES else _BY_SUFFIX.get(suffix)
    return kind and kind.name


def reason(kind: str) -> str:
    """Return why images of a kind that is not read are skipped, and what to do.

    >>> reason("JPEG XL")
    'JPEG XL images: convert them to JPEG or PNG'
    """
    return f"{kind} images: {_BY_NAME[kind].advice}"


def advice(kind: str) -> str:
    """Return what to do with one image of a kind that is not read.

    >>> advice("JPEG XL")
    'convert it to JPEG or PNG'
    """
    return _BY_NAME[kind].advice.replace("them", "it")
