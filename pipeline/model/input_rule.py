"""The input rule: everything that decides which pixels of an image file the model sees. Knows no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, get_args

from pipeline.model.fit import FITS, WITH_CROP, Fit
from pipeline.storage.formats import Kind, check_names

ColorMode = Literal["grayscale", "rgb"]


Resize = Literal["nearest", "bilinear", "bicubic", "lanczos"]


Decode = Literal["full", "reduced"]
"""How JPEG files are decoded: "full" = every pixel, "reduced" = at a smaller scale where the model needs no more."""


LARGEST_SIDE = 1 << 14
"""Pixels of the longer side of a model's input, at most."""


@dataclass(frozen=True)
class InputSpec:
    """How an image file becomes the model's pixels.

    Attributes:
        height: of the model's input, in pixels.
        width: of the model's input, in pixels.
        color_mode: "grayscale" (1 channel) or "rgb" (3).
        resize: Pillow's filter of that name, antialiased.
        exif_orientation: whether the EXIF orientation is applied before resizing.
        decode: "full", or "reduced": a JPEG file is decoded at the smallest of the scales 1, 1/2, 1/4 and 1/8 at which
            both sides of the part that is resized are at least twice what it is resized to. Only with a filter that is
            antialiased: not "nearest".
        fit: which part of an image is resized to what, and where that lies, see `pipeline.model.fit`.
        crop: share of each side that is kept, above 0 and at most 1; 1 unless the fit has one.
    """

    height: int
    width: int
    color_mode: ColorMode
    resize: Resize = "bilinear"
    exif_orientation: bool = True
    decode: Decode = "full"
    fit: Fit = "stretch"
    crop: float = 1.0

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
    if rule.decode not in get_args(Decode):
        raise ValueError(f"input has decode {rule.decode!r}, unknown here: expected 'full' or 'reduced'")
    if rule.fit not in FITS:
        raise ValueError(f"input has fit {rule.fit!r}, unknown here: expected one of {', '.join(FITS)}")
    if not (isinstance(rule.crop, float | int) and 0 < rule.crop <= 1):
        raise ValueError(f"input has crop {rule.crop!r}, expected a share above 0 and at most 1")
    if rule.crop != 1 and rule.fit not in WITH_CROP:
        raise ValueError(f"input has crop {rule.crop!r} with fit {rule.fit!r}: only {', '.join(WITH_CROP)} have one")
    if rule.fit == "torch_shorter_side" and rule.height != rule.width:
        raise ValueError(f"input is of {rule.height} x {rule.width} pixels with fit {rule.fit!r}, which is for squares")
    if rule.decode == "reduced" and rule.resize == "nearest":
        raise ValueError("input has decode 'reduced' with resize 'nearest': only antialiased filters can take it")


def may_reduce(rule: InputSpec) -> bool:
    """Return whether a rule decodes JPEG files in full and could decode them reduced instead.

    >>> may_reduce(InputSpec(224, 224, "rgb")), may_reduce(InputSpec(224, 224, "rgb", "nearest"))
    (True, False)
    >>> may_reduce(InputSpec(224, 224, "rgb", decode="reduced"))
    False
    """
    return rule.decode == "full" and rule.resize != "nearest"
