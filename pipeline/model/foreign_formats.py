"""Formats that Pillow reads only where it was built so, or by an extra: AVIF, JPEG 2000 and HEIC."""

from __future__ import annotations

import importlib
import io

from PIL import AvifImagePlugin, ImageFile, features
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

from pipeline.image_kinds import HEAD, kind_of
from pipeline.model.refused import RefusedError

AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # each core has a process of its own


def open_foreign(data: bytes) -> ImageFile.ImageFile | None:
    """Return an image whose header is parsed and whose pixels are not; None: it is of no format of these.

    Raises:
        RefusedError: it is, and cannot be read here; the message says what to do.
    """
    kind = kind_of(data[:HEAD])
    if kind == "AVIF":
        _require("avif", kind)
        return AvifImagePlugin.AvifImageFile(io.BytesIO(data))
    if kind == "JPEG 2000":
        _require("jpg_2000", kind)
        return Jpeg2KImageFile(io.BytesIO(data))
    return _open_heic(data) if kind == "HEIC" else None


def _require(feature: str, kind: str) -> None:
    if not features.check(feature):
        raise RefusedError("UNIMPLEMENTED", f"it is of the kind {kind}: install a Pillow that is built with it")


def _open_heic(data: bytes) -> ImageFile.ImageFile | None:
    try:
        plugin = importlib.import_module("pillow_heif.as_plugin")
    except ImportError:
        return None  # what to do is told where other kinds are that are not read
    importlib.import_module("pillow_heif").options.DECODE_THREADS = 1
    image: ImageFile.ImageFile = plugin.HeifImageFile(io.BytesIO(data))
    return image
