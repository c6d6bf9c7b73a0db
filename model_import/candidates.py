"""The input rules that are tried, most plausible first: what loaders in use do. Scores nothing.

A rule has four parts that are tried apart, since each matters on its own: scaling, color, fit, and resizer. What a
resizer's library does when it decodes (EXIF, JPEG arithmetic, grey, 16 bits) comes with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, get_args

from model_import.declared_values import is_same
from model_import.rule_fields import decides
from model_import.scaling import SCALINGS, Scaling
from pipeline.errors import UsageError
from pipeline.model.fit import FITS, WITH_CROP, Fit
from pipeline.model.input_rule import InputSpec, Library, Resize, check_rule, library_of
from pipeline.model.presets import DECODES, Decoder

Values = Mapping[str, Any]
"""Fields of `InputSpec` -> their values."""

PARTS: Mapping[str, tuple[str, ...]] = {
    "scaling": ("scaling",),
    "color_mode": ("color_mode",),
    "fit": ("fit", "crop"),
    "resize": ("resize", "antialias"),
    "jpeg_dct": ("jpeg_dct",),
    "gray_from": ("gray_from",),
}
"""Part of a rule that is tried, by its first field -> the fields that say it."""

SCALING_ORDER = ("sign", "unit", "raw", "torch", "caffe")

_DECODERS: Mapping[Library, Decoder] = {"tf": "tensorflow", "cv2": "opencv", "pillow": "pillow"}
"""Library of a resizer -> whose decoding of files its usual loader has."""

_LOADERS: Sequence[tuple[Fit, float, Resize, bool]] = (
    ("stretch", 1.0, "tf.bilinear", False),  # image_dataset_from_directory, tf.image.resize
    ("stretch", 1.0, "nearest", False),  # load_img, flow_from_directory
    ("keras_crop", 1.0, "tf.bilinear", False),  # image_dataset_from_directory(crop_to_aspect_ratio=True)
    ("torch_shorter_side", 0.875, "bilinear", False),  # torchvision, 256 and 224
    ("torch_shorter_side", 0.875, "bicubic", False),  # timm
    ("stretch", 1.0, "bilinear", False),  # Pillow, transformers
    ("stretch", 1.0, "tf.bilinear", True),  # tf.image.resize(antialias=True)
    ("stretch", 1.0, "bicubic", False),
    ("tf_pad", 1.0, "tf.bilinear", False),  # resize_with_pad, pad_to_aspect_ratio=True
    ("teachable_machine", 1.0, "lanczos", False),
    ("pil_crop", 1.0, "nearest", False),  # load_img(keep_aspect_ratio=True)
    ("pil_crop", 1.0, "bilinear", False),
    ("stretch", 1.0, "cv2.linear", False),
    ("stretch", 1.0, "cv2.area", False),
    ("stretch", 1.0, "lanczos", False),
    ("torch_shorter_side", 1.0, "bicubic", False),  # CLIP
    ("torch_shorter_side", 1.0, "bilinear", False),
    ("tf_central_crop", 0.875, "tf.bilinear", False),  # TensorFlow's models, 2017 and later
    ("torch_shorter_side", 0.95, "bicubic", False),
    ("torch_shorter_side", 0.9, "bicubic", False),
    ("keras_hub_pad", 1.0, "tf.bilinear", False),
    ("keras_crop", 1.0, "tf.bicubic", False),
    ("stretch", 1.0, "tf.nearest", False),
    ("stretch", 1.0, "tf.bicubic", False),
    ("stretch", 1.0, "tf.area", False),
)
"""(fit, crop, resizer, antialias) of loaders that are in use: these count as more plausible than any other pair."""

_MORE_KERNELS: Sequence[tuple[Resize, bool]] = (
    ("tf.bicubic", True),
    ("tf.lanczos3", False),
    ("tf.lanczos3", True),
    ("cv2.cubic", False),
    ("cv2.nearest", False),
    ("pillow.box", False),
    ("pillow.hamming", False),
    ("tf.lanczos5", False),
    ("tf.mitchellcubic", False),
    ("tf.gaussian", False),
)

_FIELDS = frozenset(spec.name for spec in fields(InputSpec))


@dataclass(frozen=True)
class Candidate:
    """A rule to try: which pixels, and what values they become.

    Attributes:
        rule: of the pixels.
        scaling: of pixels to values.
    """

    rule: InputSpec
    scaling: Scaling

    def value(self, name: str) -> Any:
        """Return the value of a field of the rule, or the scaling's name."""
        return self.scaling.name if name == "scaling" else getattr(self.rule, name, None)

    def words(self, part: str) -> str:
        """Return one part of `PARTS` in words.

        >>> rule = InputSpec(224, 224, "rgb", "bicubic", fit="torch_shorter_side", crop=0.875)
        >>> Candidate(rule, SCALINGS["torch"]).words("fit"), Candidate(rule, SCALINGS["torch"]).words("resize")
        ('torch_shorter_side 0.875', 'bicubic')
        """
        if part == "fit":
            return self.rule.fit + ("" if self.rule.crop == 1 else f" {self.rule.crop:.4g}")
        if part == "resize":
            return self.rule.resize + (" antialiased" if self.rule.antialias else "")
        return str(self.value(PARTS[part][0]))

    def text(self) -> str:
        """Return the rule in words, without what comes with its resizer.

        >>> Candidate(InputSpec(224, 224, "rgb", "bilinear"), SCALINGS["sign"]).text()
        'sign rgb, stretch, bilinear'
        """
        return f"{self.words('scaling')} {self.words('color_mode')}, {self.words('fit')}, {self.words('resize')}"


@dataclass(frozen=True)
class Space:
    """The rules that may be tried.

    Attributes:
        base: what is not tried is as in this rule.
        given: field, or "scaling" -> the value that was asked for: it is not tried.
        declared: field, or "scaling" -> the values that the model or files tell: these come first.
    """

    base: InputSpec
    given: Values
    declared: Mapping[str, Sequence[Any]]

    def open_fields(self, part: str, rule: InputSpec) -> tuple[str, ...]:
        """Return the fields of one part of `PARTS` that are tried: not given, and able to change a pixel."""
        names = (name for name in PARTS[part] if name not in self.given)
        return tuple(name for name in names if name == "scaling" or decides(rule, name))

    def scalings(self) -> Sequence[Scaling]:
        """Return the scalings to try, the declared ones first."""
        if "scaling" in self.given:
            return [self.given["scaling"]]
        channels = self.base.channels
        usual = [SCALINGS[name] for name in SCALING_ORDER if len(SCALINGS[name].offset) in (1, channels)]
        first = list(self.declared.get("scaling", ()))
        return [*first, *(one for one in usual if not any(is_same(one, other, 1e-4) for other in first))]

    def colors(self) -> Sequence[str]:
        """Return the orders of channels to try."""
        if "color_mode" in self.given or self.base.channels == 1:
            return [self.base.color_mode]
        return list(dict.fromkeys([*self.declared.get("color_mode", ()), "rgb", "bgr"]))

    def fits(self) -> Sequence[Values]:
        """Return the fits to try, with their crops."""
        usual = [{"fit": fit, "crop": crop} for fit, crop, _, _ in _LOADERS]
        crop = next(iter(self.declared.get("crop", ())), 1.0)
        told = [{"fit": fit, "crop": crop if fit in WITH_CROP else 1.0} for fit in self.declared.get("fit", ())]
        return self._open([*told, *usual])

    def resizers(self) -> Sequence[Values]:
        """Return the resizers to try, each with how its library decodes."""
        if "resize" in self.given:
            name = self.given["resize"]
            return self._open([_with_library(name, antialias) for antialias in (False, True)])
        usual = [*[(name, antialias) for _, _, name, antialias in _LOADERS], *_MORE_KERNELS]
        told = [(name, self._declared_antialias()) for name in self.declared.get("resize", ())]
        return self._open([_with_library(name, antialias) for name, antialias in (*told, *usual)])

    def loaders(self) -> Sequence[Values]:
        """Return what loaders in use do, fit and resizer together: a right fit may lose with a wrong resizer."""
        return self._open(
            [{"fit": fit, "crop": crop, **_with_library(name, antialias)} for fit, crop, name, antialias in _LOADERS]
        )

    def with_parts(self, candidate: Candidate, values: Values) -> Candidate | None:
        """Return a candidate with other values, None where no such rule can be; what is given stays."""
        changes = {name: value for name, value in values.items() if name in _FIELDS and name not in self.given}
        if candidate.rule.channels == 3:
            changes.pop("gray_from", None)
        rule = replace(candidate.rule, **changes)
        try:
            check_rule(rule)
        except (ValueError, UsageError):
            return None
        return Candidate(rule, values.get("scaling", candidate.scaling))

    def tier(self, candidate: Candidate) -> tuple[int, bool]:
        """Return how many declared fields a candidate contradicts, and whether it is a mixture of loaders.

        A mixture is what no loader in use does, as far as that is known here.
        """
        rule = candidate.rule
        known = [name for name in self.declared if name in _FIELDS or name == "scaling"]
        against = sum(self._contradicts(candidate, name) for name in known)
        is_mixture = _pair(rule) not in _LOADERS or _strange_decoding(rule) > 0 or not _usual_color(candidate)
        return against, is_mixture

    def rank(self, candidate: Candidate) -> tuple[Any, ...]:
        """Return how plausible a candidate is, the smallest being the most: "the declared order".

        First its tier, then how usual its scaling is, then its fit and resizer.
        """
        rule, pair = candidate.rule, _pair(candidate.rule)
        order = [one.name for one in self.scalings()]
        number = order.index(candidate.scaling.name) if candidate.scaling.name in order else len(order)
        place = _LOADERS.index(pair) if pair in _LOADERS else len(_LOADERS)
        return (*self.tier(candidate), number, _strange_decoding(rule), place, FITS.index(rule.fit), rule.resize)

    def _contradicts(self, candidate: Candidate, name: str) -> bool:
        first = self.declared[name][0]
        if name == "scaling":
            return not is_same(candidate.scaling, first, 1e-4)
        return bool(getattr(candidate.rule, name, None) != first)

    def _declared_antialias(self) -> bool:
        return bool(next(iter(self.declared.get("antialias", ())), False))

    def _open(self, choices: Sequence[Values]) -> Sequence[Values]:
        """Return different choices that are known here, without the fields that are given."""
        left = []
        for choice in choices:
            if choice.get("fit", "stretch") not in FITS or choice.get("resize", "nearest") not in get_args(Resize):
                continue
            values = {name: value for name, value in choice.items() if name in _FIELDS and name not in self.given}
            if "fit" in self.given and not choice.get("fit") == self.given["fit"] in WITH_CROP:
                values.pop("crop", None)
            if values not in left:
                left.append(values)
        return left or [{}]


def _pair(rule: InputSpec) -> tuple[Fit, float, Resize, bool]:
    return rule.fit, rule.crop, rule.resize, rule.antialias


def _strange_decoding(rule: InputSpec) -> int:
    """Return how many fields of decoding are not those of the resizer's library."""
    usual = dict(DECODES[_DECODERS[library_of(rule.resize)]])
    if rule.channels == 3:
        usual.pop("gray_from")
    return sum(getattr(rule, name) != value for name, value in usual.items())


def _usual_color(candidate: Candidate) -> bool:
    """Return whether channels are in the order that goes with the scaling: ImageNet's mean alone goes with bgr.

    OpenCV gives bgr, and many turn it.
    """
    rule = candidate.rule
    if rule.channels == 1 or library_of(rule.resize) == "cv2":
        return True
    return (rule.color_mode == "bgr") == (candidate.scaling.name == "caffe")


def _with_library(name: Resize, antialias: bool) -> Values:
    return {"resize": name, "antialias": antialias, **DECODES[_DECODERS[library_of(name)]]}


def other_decoding(space: Space, candidate: Candidate) -> Sequence[Candidate]:
    """Return the candidate with the other JPEG arithmetic, and on grey networks with the other grey."""
    rule = candidate.rule
    changes: list[Values] = [{"jpeg_dct": "fast" if rule.jpeg_dct == "accurate" else "accurate"}]
    if rule.channels == 1:
        changes.append({"gray_from": "rgb" if rule.gray_from == "jpeg_luma" else "jpeg_luma"})
    found = [space.with_parts(candidate, change) for change in changes]
    return [one for one in found if one is not None and one != candidate]


def apart(one: Candidate, other: Candidate) -> set[str]:
    """Return the names of the parts in which two candidates differ; decoding comes with another resizer.

    >>> rule = InputSpec(8, 8, "rgb")
    >>> apart(Candidate(rule, SCALINGS["unit"]), Candidate(rule, SCALINGS["sign"]))
    {'scaling'}
    """
    names = {name for name, parts in PARTS.items() if any(one.value(field) != other.value(field) for field in parts)}
    if one.scaling != other.scaling:
        names.add("scaling")
    return names - {"jpeg_dct", "gray_from"} if "resize" in names else names
