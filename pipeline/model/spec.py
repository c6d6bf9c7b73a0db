"""The content of model_spec.json, and the id of a model. Knows no files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from pipeline.model.fit import FITS, WITH_CROP, Fit
from pipeline.storage.formats import NEWEST, Kind, check_names, check_number

SCALING = "divided by 255 inside the graph"
"""Text in model_spec.json that says where pixels are scaled; there is no other way."""


FORMAT_VERSION = "format_version"
"""Name of the field of model_spec.json that holds its format number; unlike others it is written for number 1, too."""


ColorMode = Literal["grayscale", "rgb"]


Resize = Literal["nearest", "bilinear", "bicubic", "lanczos"]


Decode = Literal["full", "reduced"]
"""How JPEG files are decoded: "full" = every pixel, "reduced" = at a smaller scale where the model needs no more."""


Task = Literal["classes"]
"""What a model says of an image: "classes" = one of its classes is right, and each has a probability."""


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


GOLDEN_TOLERANCE = 1e-3
"""Difference of golden outputs in float32, at most, as `pipeline.model.agreement` measures it, by default."""

LARGEST_TOLERANCE = 1e-2
"""The largest tolerance that a model may ask for: beyond it, a wrong model would pass for the right one."""


@dataclass(frozen=True)
class Conversion:
    """How saved_model/ became model.tflite, or why it did not.

    Attributes:
        sha256: SHA-256 of model.tflite, as hex; "": there is no such file.
        bytes: size of model.tflite.
        difference: largest difference of its outputs from those of saved_model/, see `pipeline.model.agreement`.
        images: number of images by which the two were compared.
        converter: library that converted, with its version.
        missing: why there is no model.tflite, as one line; "": there is one.
    """

    sha256: str = ""
    bytes: int = 0
    difference: float = 0.0
    images: int = 0
    converter: str = ""
    missing: str = ""


_LATER_FIELDS = ("litert", "golden_tolerance")
"""Fields of a model_spec.json that format 1 did not have: they are absent if nothing else is new either."""


@dataclass(frozen=True)
class ModelSpec:
    """The content of model_spec.json.

    Attributes:
        input: the input rule.
        class_names: one name a class, in the order of the model's output.
        model_id: SHA-256 over saved_model/ and the fields that change a row (`model_id`), as hex.
        versions: library -> version at training time.
        training: data set, recipe and test metrics, for people.
        litert: how model.tflite was made; None: nobody tried, as in a model directory of an earlier version.
        golden_tolerance: difference of golden outputs in float32, at most, see `pipeline.model.agreement`.
    """

    input: InputSpec
    class_names: Sequence[str]
    model_id: str
    versions: Mapping[str, str] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    litert: Conversion | None = None
    golden_tolerance: float = GOLDEN_TOLERANCE

    @property
    def has_litert(self) -> bool:
        """Whether the model directory has a model.tflite."""
        return self.litert is not None and bool(self.litert.sha256)

    @property
    def task(self) -> Task:
        """What the model says of an image."""
        return "classes"

    def to_json(self) -> str:
        """Return the text of model_spec.json."""
        rule = self.input.to_json()
        later = {spec.name: spec.default for spec in fields(self) if spec.name in _LATER_FIELDS}
        is_first = rule.keys() <= set(FIRST_FIELDS) and all(getattr(self, name) == later[name] for name in later)
        number = {FORMAT_VERSION: 1 if is_first else NEWEST["model"]}
        content = {**number, **asdict(self), "scaling": SCALING, "input": rule, "class_names": list(self.class_names)}
        told = {name: value for name, value in content.items() if not (is_first and name in later)}
        return json.dumps(told, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, location: str = "") -> ModelSpec:
        """Return the spec that the text of a model_spec.json holds.

        Raises:
            NewerFormatError: its format is newer, or it has an unknown field.
            ValueError: it is not JSON, or lacks a field.
        """
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("it is no JSON object")
        check_number(content.pop(FORMAT_VERSION, 1), "model", location)
        if content.pop("scaling", None) != SCALING:
            raise ValueError(f"scaling is not {SCALING!r}")
        check_names(content, (spec.name for spec in fields(cls)), "model", location)
        try:
            rule = InputSpec.from_json(content["input"], "model", location)
            litert = _conversion(content.get("litert"), location)
            spec = cls(**{**content, "input": rule, "litert": litert})
        except (KeyError, TypeError) as error:
            raise ValueError(f"fields are missing: {error}") from error
        _check_names(spec.class_names)
        _check_rule(spec.input)
        if not isinstance(spec.model_id, str):
            raise ValueError("model_id is no text")
        if not (isinstance(spec.golden_tolerance, float) and 0 < spec.golden_tolerance <= LARGEST_TOLERANCE):
            raise ValueError(f"golden_tolerance is {spec.golden_tolerance!r}, expected 0 to {LARGEST_TOLERANCE:g}")
        return spec


def _conversion(content: Any, location: str) -> Conversion | None:
    """Return how model.tflite was made; None if the spec does not tell."""
    if content is None:
        return None
    check_names(content, (spec.name for spec in fields(Conversion)), "model", location)
    conversion = Conversion(**content)
    if not isinstance(conversion.sha256, str) or not isinstance(conversion.missing, str):
        raise ValueError("litert has a sha256 or a reason that is no text")
    if bool(conversion.sha256) == bool(conversion.missing):
        raise ValueError("litert tells neither of a file nor why there is none")
    return conversion


def _check_names(names: Any) -> None:
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not is_list or not names or len(set(names)) != len(names):
        raise ValueError("class_names are not distinct names")
    "".join(names).encode()  # raises ValueError where one is not UTF-8, as every row with it must be


def _check_rule(rule: InputSpec) -> None:
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


def model_id(spec_input: InputSpec, class_names: Sequence[str], files: Iterable[tuple[str, bytes]]) -> str:
    """Return the SHA-256 over what changes a row: the input rule, the class names, and saved_model/ in name order."""
    digest = hashlib.sha256()
    rule = {"format_version": 1, "input": spec_input.to_json(), "class_names": list(class_names)}  # 1 for ever
    digest.update(json.dumps({**rule, "scaling": SCALING}, sort_keys=True).encode())
    for name, data in sorted(files):
        digest.update(f"\n{name}\n{len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()
