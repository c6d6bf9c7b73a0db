"""The input rule: everything that decides which pixels of an image file the model sees. Knows no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, Literal, get_args

from pipeline.model.fit import FITS, WITH_CROP, Fit
from pipeline.model.resize_tf import WITH_ANTIALIAS
from pipeline.option_values import DROP, read_bands, read_color
from pipeline.storage.formats import Kind, check_names

ColorMode = Literal["grayscale", "rgb", "bgr"]
"""Channels of the model's input, in their order."""

Resize = Literal[
    "nearest",
    "bilinear",
    "bicubic",
    "lanczos",
    "pillow.box",
    "pillow.hamming",
    "tf.nearest",
    "tf.bilinear",
    "tf.bicubic",
    "tf.area",
    "tf.lanczos3",
    "tf.lanczos5",
    "tf.gaussian",
    "tf.mitchellcubic",
    "cv2.nearest",
    "cv2.linear",
    "cv2.cubic",
    "cv2.area",
]
"""Library and kernel: the same kernel has other weights and sample points in each. Without a dot: Pillow's filters."""

Library = Literal["pillow", "tf", "cv2"]
"""What defines a resizer: Pillow, TensorFlow or OpenCV."""

Decode = Literal["full", "reduced"]
"""How JPEG files are decoded: "full" = every pixel, "reduced" = at a smaller scale where the model needs no more."""

JpegDct = Literal["accurate", "fast"]
"""Which arithmetic decodes JPEG files: "accurate" = Pillow's and OpenCV's, "fast" = TensorFlow's default."""

GrayFrom = Literal["rgb", "jpeg_luma"]
"""What a color file's grey is made of: "rgb" = its colors, as in Pillow; "jpeg_luma" = what the file's decoder gives.

That is a JPEG's own luma, and libpng's grey of a PNG: TensorFlow's `channels=1` and OpenCV's `IMREAD_GRAYSCALE`.
"""

Deep = Literal["round", "high_byte", "clip", "clip_last"]
"""How 16-bit grey becomes 8 bits: "round" in proportion, "high_byte" as TensorFlow and OpenCV, "clip" as Pillow.

"clip_last" resizes before it clips, as `load_img` does for a model that takes grey.
"""

ANTIALIASED: tuple[Resize, ...] = ("bilinear", "bicubic", "lanczos", "pillow.box", "pillow.hamming")
"""Pillow's filters that weigh every pixel: the only ones that may follow reduced decoding."""


def library_of(resize: Resize) -> Library:
    """Return the library that defines a resizer.

    >>> library_of("tf.bilinear"), library_of("bilinear"), library_of("pillow.box"), library_of("cv2.area")
    ('tf', 'pillow', 'pillow', 'cv2')
    """
    return "tf" if resize.startswith("tf.") else "cv2" if resize.startswith("cv2.") else "pillow"


LARGEST_SIDE = 1 << 14
"""Pixels of the longer side of a model's input, at most."""


@dataclass(frozen=True)
class InputSpec:
    """How an image file becomes the model's pixels.

    Attributes:
        height: of the model's input, in pixels.
        width: of the model's input, in pixels.
        color_mode: "grayscale" (1 channel), "rgb" or "bgr" (3).
        resize: library and kernel, see `Resize`. Pillow's filters are always antialiased, but for "nearest".
        exif_orientation: whether the EXIF orientation is applied before resizing.
        decode: "full", or "reduced": a JPEG file is decoded at the smallest of the scales 1, 1/2, 1/4 and 1/8 at which
            both sides of the part that is resized are at least twice what it is resized to. Only with Pillow's
            antialiased filters, and only as Pillow decodes.
        fit: which part of an image is resized to what, and where that lies, see `pipeline.model.fit`.
        crop: share of each side that is kept, above 0 and at most 1; 1 unless the fit has one.
        antialias: that of `tf.image.resize`, for the kernels of TensorFlow that have it.
        jpeg_dct: "accurate" or "fast", see `JpegDct`.
        gray_from: "rgb" or "jpeg_luma", see `GrayFrom`; counts where color_mode is "grayscale".
        deep: "round", "high_byte", "clip" or "clip_last", see `Deep`.
        bands: numbers of the bands, from 1, of TIFFs with several, see `pipeline.option_values.read_bands`; "": as
            the tags say.
        background: what shows where an image is transparent: a color, see `pipeline.option_values.read_color`; "drop":
            transparency is ignored; "": the same, but a picture that is drawn in it alone is refused.
    """

    height: int
    width: int
    color_mode: ColorMode
    resize: Resize = "bilinear"
    exif_orientation: bool = True
    decode: Decode = "full"
    fit: Fit = "stretch"
    crop: float = 1.0
    antialias: bool = False
    jpeg_dct: JpegDct = "accurate"
    gray_from: GrayFrom = "rgb"
    deep: Deep = "round"
    bands: str = ""
    background: str = ""

    @property
    def channels(self) -> int:
        """1 or 3."""
        return 1 if self.color_mode == "grayscale" else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.height, self.width, self.channels

    def to_json(self) -> dict[str, Any]:
        """Return the rule as JSON values, as it is stored and enters the model's id.

        The fields of format 1 are always there; a later one only where it is not at its default, so older ids stay.
        """
        values = {spec.name: (getattr(self, spec.name), spec.default) for spec in fields(self)}
        return {name: value for name, (value, default) in values.items() if name in FIRST_FIELDS or value != default}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], kind: Kind = "model", location: str = "") -> InputSpec:
        """Return the rule that `to_json` wrote; a later field that it lacks is at its default.

        Args:
            content: that `to_json` wrote.
            kind: of the file that holds it, for the error's text.
            location: of that file.

        Raises:
            NewerFormatError: it has an unknown field.
            KeyError: it lacks a field that has no default.
        """
        known = {spec.name: spec.default for spec in fields(cls)}
        check_names(content, known, kind, location)
        needed = [name for name, default in known.items() if default is MISSING]
        return cls(**{**{name: content[name] for name in needed}, **content})


FIRST_FIELDS = ("height", "width", "color_mode", "resize", "exif_orientation")
"""The fields of `InputSpec` in format 1: they always enter the model's id."""


def check_rule(rule: InputSpec) -> None:
    """Check that an input rule contradicts neither itself nor what is known here.

    Raises:
        ValueError: it does.
    """
    sides = (rule.height, rule.width)
    if not all(type(side) is int and 1 <= side <= LARGEST_SIDE for side in sides):
        raise ValueError(f"input is of {rule.height!r} x {rule.width!r} pixels, expected 1 to {LARGEST_SIDE}")
    if rule.color_mode not in get_args(ColorMode) or rule.resize not in get_args(Resize):
        raise ValueError(f"input has color_mode {rule.color_mode!r} and resize {rule.resize!r}, unknown here")
    for name, choices in _CHOICES.items():
        value = getattr(rule, name)
        if value not in choices:
            *others, last = map(repr, choices)
            raise ValueError(f"input has {name} {value!r}, unknown here: expected {', '.join(others)} or {last}")
    if type(rule.antialias) is not bool:
        raise ValueError(f"input has antialias {rule.antialias!r}, expected true or false")
    read_bands(rule.bands)
    if rule.background not in ("", DROP):
        read_color(rule.background)
    _check_fit(rule)
    _check_resizer(rule)


_CHOICES: Mapping[str, tuple[str, ...]] = {
    "decode": get_args(Decode),
    "jpeg_dct": get_args(JpegDct),
    "gray_from": get_args(GrayFrom),
    "deep": get_args(Deep),
}


def _check_fit(rule: InputSpec) -> None:
    if rule.fit not in FITS:
        raise ValueError(f"input has fit {rule.fit!r}, unknown here: expected one of {', '.join(FITS)}")
    if not (isinstance(rule.crop, float | int) and 0 < rule.crop <= 1):
        raise ValueError(f"input has crop {rule.crop!r}, expected a share above 0 and at most 1")
    if rule.crop != 1 and rule.fit not in WITH_CROP:
        raise ValueError(f"input has crop {rule.crop!r} with fit {rule.fit!r}: only {', '.join(WITH_CROP)} have one")
    if rule.fit == "torch_shorter_side" and rule.height != rule.width:
        raise ValueError(f"input is of {rule.height} x {rule.width} pixels with fit {rule.fit!r}, which is for squares")


def _check_resizer(rule: InputSpec) -> None:
    with_antialias = [f"tf.{name}" for name in WITH_ANTIALIAS]
    if rule.antialias and rule.resize not in with_antialias:
        raise ValueError(f"input has antialias with resize {rule.resize!r}: only {', '.join(with_antialias)} have it")
    is_pillow = library_of(rule.resize) == "pillow"
    if rule.fit == "teachable_machine" and not is_pillow:
        raise ValueError(
            f"input has fit {rule.fit!r} with resize {rule.resize!r}: only Pillow resizes parts of a pixel"
        )
    if rule.deep == "clip_last" and not (is_pillow and rule.color_mode == "grayscale"):
        raise ValueError("input has deep 'clip_last', which is for grayscale and Pillow's filters: give deep 'clip'")
    if rule.decode == "full":
        return
    if rule.resize not in ANTIALIASED:
        raise ValueError(
            f"input has decode 'reduced' with resize {rule.resize!r}: only antialiased filters of Pillow can take it"
        )
    if rule.jpeg_dct == "fast" or rule.gray_from == "jpeg_luma":
        raise ValueError("input has decode 'reduced' with jpeg_dct 'fast' or gray_from 'jpeg_luma': give decode 'full'")
    if rule.fit == "keras_hub_pad":
        raise ValueError("input has decode 'reduced' with fit 'keras_hub_pad': give decode 'full'")


def may_reduce(rule: InputSpec) -> bool:
    """Return whether a rule decodes JPEG files in full and could decode them reduced instead.

    >>> may_reduce(InputSpec(224, 224, "rgb")), may_reduce(InputSpec(224, 224, "rgb", "nearest"))
    (True, False)
    >>> may_reduce(InputSpec(224, 224, "rgb", decode="reduced"))
    False
    """
    if rule.decode == "reduced":
        return False
    try:
        check_rule(replace(rule, decode="reduced"))
    except ValueError:
        return False
    return True
