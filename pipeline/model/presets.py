"""Input rules by the name of the loader that they follow: `keras.image_dataset_from_directory`, `torchvision`, ...

A preset decides every field of an input rule but its size and its color: how files are decoded, which part of an image
is resized, by what, and where it lies. tests/model/test_presets.py holds each to its loader's own output.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pipeline.errors import UsageError
from pipeline.model.fit import Fit
from pipeline.model.input_rule import ColorMode, InputSpec, Resize, check_rule, library_of

Decoder = Literal["nightscore", "load_img", "pillow", "tensorflow", "opencv"]
"""Whose decoding of files a loader has."""


_PILLOW: Mapping[str, Any] = {"exif_orientation": False, "jpeg_dct": "accurate", "gray_from": "rgb", "deep": "clip"}

DECODES: Mapping[Decoder, Mapping[str, Any]] = {
    "nightscore": {},
    "load_img": _PILLOW,
    "pillow": _PILLOW,
    "tensorflow": {"exif_orientation": False, "jpeg_dct": "fast", "gray_from": "jpeg_luma", "deep": "high_byte"},
    "opencv": {"exif_orientation": True, "jpeg_dct": "accurate", "gray_from": "jpeg_luma", "deep": "high_byte"},
}
"""Decoder -> fields of a rule that are as it decodes; `gray_from` for models that take grey."""


@dataclass(frozen=True)
class Preset:
    """An input rule without its size and color.

    Attributes:
        about: what it follows, in a phrase.
        decoder: whose decoding of files it has.
        resize: library and kernel.
        antialias: that of TensorFlow's kernels.
        fit: which part of an image is resized to what.
        crop: share of each side that is kept, for the fits that have one.
        color: "bgr" where the loader gives that instead of "rgb".
    """

    about: str
    decoder: Decoder
    resize: Resize
    antialias: bool = False
    fit: Fit = "stretch"
    crop: float = 1.0
    color: Literal["rgb", "bgr"] = "rgb"


_DIRECTORY = "keras.image_dataset_from_directory"
_LOAD = "keras.load_img"
_RESIZED = "tf.image.resize"
_CONVERTER = "keras_hub.ImageConverter"

_KERAS_METHODS: tuple[tuple[str, Resize], ...] = (
    ("nearest", "tf.nearest"),
    ("bicubic", "tf.bicubic"),
    ("area", "tf.area"),
    ("lanczos3", "tf.lanczos3"),
    ("lanczos5", "tf.lanczos5"),
    ("gaussian", "tf.gaussian"),
    ("mitchellcubic", "tf.mitchellcubic"),
)
_PILLOW_METHODS: tuple[tuple[str, Resize], ...] = (
    ("bilinear", "bilinear"),
    ("bicubic", "bicubic"),
    ("lanczos", "lanczos"),
    ("box", "pillow.box"),
    ("hamming", "pillow.hamming"),
)
_PILLOW_FILTERS: tuple[tuple[str, Resize], ...] = (
    ("nearest", "nearest"),
    ("bilinear", "bilinear"),
    ("lanczos", "lanczos"),
    ("box", "pillow.box"),
    ("hamming", "pillow.hamming"),
)

PRESETS: Mapping[str, Preset] = {
    "nightscore": Preset("what models trained here see, but for `--decode reduced`", "nightscore", "bilinear"),
    _DIRECTORY: Preset("its default: bilinear, stretched", "tensorflow", "tf.bilinear"),
    f"{_DIRECTORY}:crop_to_aspect_ratio": Preset(
        "cut to the input's shape", "tensorflow", "tf.bilinear", fit="keras_crop"
    ),
    f"{_DIRECTORY}:pad_to_aspect_ratio": Preset("with a border", "tensorflow", "tf.bilinear", fit="tf_pad"),
    **{
        f"{_DIRECTORY}:{name}": Preset("that method, stretched", "tensorflow", method)
        for name, method in _KERAS_METHODS
    },
    _LOAD: Preset("its default: nearest, stretched", "load_img", "nearest"),
    **{f"{_LOAD}:{name}": Preset("that filter, stretched", "load_img", method) for name, method in _PILLOW_METHODS},
    f"{_LOAD}:keep_aspect_ratio": Preset("nearest, cut to the input's shape", "load_img", "nearest", fit="pil_crop"),
    f"{_LOAD}:bilinear,keep_aspect_ratio": Preset(
        "bilinear, cut to the input's shape", "load_img", "bilinear", fit="pil_crop"
    ),
    _RESIZED: Preset("`tf.io.decode_image` and bilinear, stretched", "tensorflow", "tf.bilinear"),
    f"{_RESIZED}:antialias": Preset("the same, antialiased", "tensorflow", "tf.bilinear", antialias=True),
    "tf.image.resize_with_pad": Preset("bilinear, with a border", "tensorflow", "tf.bilinear", fit="tf_pad"),
    "tf.image.central_crop": Preset(
        "the middle 87.5 %, then bilinear: Inception's evaluation",
        "tensorflow",
        "tf.bilinear",
        fit="tf_central_crop",
        crop=0.875,
    ),
    "tfds": Preset("`tfds.load` and `tf.image.resize`, stretched", "tensorflow", "tf.bilinear"),
    "torchvision": Preset(
        "Resize(256), CenterCrop(224), bilinear", "pillow", "bilinear", fit="torch_shorter_side", crop=0.875
    ),
    "torchvision:bicubic": Preset(
        "Resize(256), CenterCrop(224), bicubic", "pillow", "bicubic", fit="torch_shorter_side", crop=0.875
    ),
    "torchvision.Resize": Preset("Resize((h, w)), bilinear: stretched", "pillow", "bilinear"),
    "timm": Preset("crop_pct 0.875, bicubic: its default", "pillow", "bicubic", fit="torch_shorter_side", crop=0.875),
    "pillow": Preset('`Image.open(f).convert("RGB").resize((w, h))`: bicubic, stretched', "pillow", "bicubic"),
    **{f"pillow:{name}": Preset("that filter, stretched", "pillow", method) for name, method in _PILLOW_FILTERS},
    "teachable_machine": Preset("ImageOps.fit, LANCZOS", "pillow", "lanczos", fit="teachable_machine"),
    "cv2.resize": Preset("cv2.imread and INTER_LINEAR, BGR", "opencv", "cv2.linear", color="bgr"),
    "cv2.resize:area": Preset("cv2.imread and INTER_AREA, BGR", "opencv", "cv2.area", color="bgr"),
    "cv2.resize:rgb": Preset("the same as cv2.resize after COLOR_BGR2RGB", "opencv", "cv2.linear"),
    _CONVERTER: Preset("`load_img` and its default: cut, bilinear", "pillow", "tf.bilinear", fit="keras_crop"),
    f"{_CONVERTER}:stretch": Preset("the same, stretched", "pillow", "tf.bilinear"),
    f"{_CONVERTER}:pad_to_aspect_ratio": Preset("the same with a border", "pillow", "tf.bilinear", fit="keras_hub_pad"),
}
"""Name -> what it decides, as the field would type it."""


def rule_like(preset: str, height: int, width: int, color_mode: ColorMode = "rgb") -> InputSpec:
    """Return the input rule of a loader.

    Args:
        preset: name of the loader, one of `PRESETS`; its arguments may also be written as Python has them.
        height: of the model's input, in pixels.
        width: of the model's input, in pixels.
        color_mode: of the model's input. "rgb" is that of the loader: "bgr" where it gives that.

    Raises:
        UsageError: there is no such preset, or it cannot have this size; one line.

    >>> rule_like("keras.load_img", 64, 96).resize
    'nearest'
    >>> rule_like("keras.load_img(interpolation='box', keep_aspect_ratio=False)", 64, 96).resize
    'pillow.box'
    >>> rule_like("cv2.resize", 64, 96).color_mode
    'bgr'
    """
    found = preset_of(preset)
    rule = InputSpec(
        height,
        width,
        found.color if color_mode == "rgb" else color_mode,
        found.resize,
        fit=found.fit,
        crop=found.crop,
        antialias=found.antialias,
    )
    rule = _decoded_as(found.decoder, rule)
    try:
        check_rule(rule)
    except ValueError as error:
        raise UsageError(f"preset {preset!r} cannot be taken: {error}") from error
    return rule


def preset_of(name: str) -> Preset:
    """Return a preset by its name.

    Raises:
        UsageError: there is none; one line with those whose names are nearest.
    """
    known = {_plain(known): preset for known, preset in PRESETS.items()}
    asked = _plain(_with_library(name))
    if asked in known:
        return known[asked]
    raise UsageError(f"unknown loader {name!r}: {_suggestion(asked)}; docs/input_rules.md lists all")


def _suggestion(asked: str) -> str:
    """Return which loaders a person may mean, as a phrase: those of a library, of a known word, or of a like name.

    >>> _suggestion("opencv")
    'for opencv give cv2.resize, cv2.resize:area or cv2.resize:rgb'
    >>> _suggestion("keras.load_image")
    'did you mean keras.load_img?'
    """
    loader, _, variant = asked.partition(":")
    variants: dict[str, list[str]] = {}
    for name in PRESETS:
        variants.setdefault(name.partition(":")[0], []).append(name)
    names = {name.lower(): name for name in variants}
    if variant and loader in names:
        return f"it may be {_either(variants[names[loader]])}"
    words = loader.replace("_", ".").split(".")
    for word, meant in _OTHER_WORDS.items():
        if word == loader or word in words:
            return f"for {word} give {_either(meant)}"
    near = difflib.get_close_matches(loader, names, n=2, cutoff=0.85)
    first, last = loader.partition(".")[0], loader.rpartition(".")[2]
    same = [name for one, name in names.items() if one.endswith(f".{last}")]
    same = same or [name for one, name in names.items() if one.partition(".")[0] == first]
    if same and not near:
        return f"it may be {_either(same if len(same) > 1 else variants[same[0]])}"
    near = near or difflib.get_close_matches(loader, names, n=2, cutoff=0.7)
    return f"did you mean {_either([names[one] for one in near])}?" if near else f"give one of {', '.join(variants)}"


def _either(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


_OTHER_WORDS: Mapping[str, Sequence[str]] = {
    "opencv": ("cv2.resize", "cv2.resize:area", "cv2.resize:rgb"),
    "cv": ("cv2.resize", "cv2.resize:area", "cv2.resize:rgb"),
    "image.resize": ("pillow", "tf.image.resize"),
    "pytorch": ("torchvision", "torchvision.Resize", "timm"),
    "torch": ("torchvision", "torchvision.Resize", "timm"),
    "transforms": ("torchvision", "torchvision.Resize"),
    "imagefolder": ("torchvision", "torchvision.Resize"),
    "imagedatagenerator": (_LOAD,),
    "flow_from_directory": (_LOAD,),
    "flow_from_dataframe": (_LOAD,),
    "img_to_array": (_LOAD,),
    "tensorflow": (_RESIZED, _DIRECTORY, "tfds"),
    "tf": (_RESIZED, "tf.image.resize_with_pad", "tf.image.central_crop"),
    "tensorflow_datasets": ("tfds",),
    "image_dataset": (_DIRECTORY,),
    "teachable": ("teachable_machine",),
}
"""Word of another library or function, in small letters -> the loaders with its pixels."""


def _with_library(name: str) -> str:
    """Return a name with the library before its loader, where that was left out and only one library has it.

    >>> _with_library("image_dataset_from_directory(interpolation='area')"), _with_library("resize")
    ("keras.image_dataset_from_directory(interpolation='area')", 'resize')
    """
    loader = name.replace("(", ":").partition(":")[0].strip(" \"'")
    loaders = {known.partition(":")[0] for known in PRESETS}
    whole = [known for known in loaders if known.lower().endswith(f".{loader.lower()}")]
    is_known = loader.lower() in {known.lower() for known in loaders}
    may_be_two = loader.lower() in _OTHER_WORDS
    return name.replace(loader, whole[0], 1) if len(whole) == 1 and not (is_known or may_be_two) else name


def _plain(name: str) -> str:
    """Return a name without what may be written in more than one way.

    >>> _plain("keras.image_dataset_from_directory(interpolation='area', crop_to_aspect_ratio=False)")
    'keras.image_dataset_from_directory:area'
    """
    loader, _, rest = name.lower().replace("(", ":").partition(":")
    arguments = [_ARGUMENT.sub("", part.strip(" \"')")).strip("\"'").removesuffix("=true") for part in rest.split(",")]
    loader = loader.strip(" \"'")
    loader = _PLACES.sub(r"\1.", _ALIASES.get(loader, loader))
    left_out = ("", _DEFAULTS.get(loader))
    kept = sorted(part for part in arguments if part not in left_out and not part.endswith("=false"))
    return f"{loader}:{','.join(kept)}" if kept else loader


_ARGUMENT = re.compile(
    r"^(?:interpolation=|resample=)?(?:cv2\.inter_|interpolationmode\.|(?:pil\.)?image\.(?:resampling\.)?|resampling\.)?"
)
"""What may stand before the name of a method, in small letters."""

_PLACES = re.compile(r"^(?:tf\.)?(keras|torchvision)\.(?:(?:utils|transforms|preprocessing\.image|preprocessing)\.)?")
"""Where a library has its loaders, in small letters."""

_ALIASES: Mapping[str, str] = dict.fromkeys(
    ("pil", "pil.image", "pil.image.open", "pil.image.resize", "image.open", "pillow.image"), "pillow"
)
"""Other name of a loader -> its name, in small letters."""

_DEFAULTS: Mapping[str, str] = {
    _DIRECTORY: "bilinear",
    _LOAD: "nearest",
    _RESIZED: "bilinear",
    _CONVERTER.lower(): "bilinear",
    "torchvision": "bilinear",
    "torchvision.resize": "bilinear",
    "timm": "bicubic",
    "cv2.resize": "linear",
    "pillow": "bicubic",
}
"""Loader in small letters -> its own method, which may be written and need not."""


def _decoded_as(decoder: Decoder, rule: InputSpec) -> InputSpec:
    """Return the rule with a loader's way of decoding files."""
    values = dict(DECODES[decoder])
    if rule.color_mode != "grayscale":
        values.pop("gray_from", None)
    elif decoder == "load_img" and library_of(rule.resize) == "pillow":
        values["deep"] = "clip_last"
    return replace(rule, **values)
