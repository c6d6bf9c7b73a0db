"""What files beside a model say of its input and of its classes, as other libraries write them.

    preprocessor_config.json              Hugging Face transformers
    config.json                           timm (pretrained_cfg), transformers (id2label)
    open_clip_config.json                 open_clip
    preprocessor.json, image_converter.json   keras_hub

A file that is no JSON object says nothing, and a note says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from model_import.declared_values import Reading, from_mean, named, reading

LARGEST_FILE = 16 << 20
"""Bytes of a file that is read, at most."""

_PILLOW = ("nearest", "lanczos", "bilinear", "bicubic", "pillow.box", "pillow.hamming")
"""Our name of a resizer, at Pillow's number of it."""

_SQUASHED_FROM = 384
"""Pixels from which ConvNeXt's processor of transformers resizes without a crop."""


def files_say(beside: Path) -> Sequence[Reading]:
    """Return what each known file says, in the order in which they count.

    Args:
        beside: the model's folder, or its file.
    """
    folder = beside if beside.is_dir() else beside.parent
    said = []
    for name, read in _READERS.items():
        path = folder / name
        if not path.is_file():
            continue
        content = _json(path)
        if content is None:
            said.append(Reading(notes=(f"{name} beside the model is no JSON object: not read",)))
            continue
        try:
            said.append(read(f"from {name} beside the model", content))
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            said.append(Reading(notes=(f"{name} beside the model is not understood: {error!r}",)))
    return said


def _json(path: Path) -> Mapping[str, Any] | None:
    if path.stat().st_size > LARGEST_FILE:
        return None
    try:
        content = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _hugging_face(source: str, content: Mapping[str, Any]) -> Reading:
    """Read transformers' image processor: resized, cut in the middle, scaled, normalized, in this order."""
    values: dict[str, Any] = {"color_mode": "rgb", **_hugging_face_fit(content)}
    if content.get("do_resize", True) and content.get("resample") is not None:
        values["resize"] = _PILLOW[int(content["resample"])]
    mean, deviation = content.get("image_mean"), content.get("image_std")
    factor = float(content.get("rescale_factor", 1 / 255)) if content.get("do_rescale", True) else 1.0
    if not content.get("do_normalize", mean is not None):
        values["scaling"] = named([factor], [0.0])
    elif mean is not None and deviation is not None:
        values["scaling"] = from_mean(factor, _sequence(mean), _sequence(deviation))
    if isinstance(content.get("do_flip_channel_order"), bool) and content["do_flip_channel_order"]:
        values["color_mode"] = "bgr"
    return reading(source, values)


def _hugging_face_fit(content: Mapping[str, Any]) -> dict[str, Any]:
    if not content.get("do_resize", True):
        return {}
    size = content.get("size")
    shorter = size.get("shortest_edge") if isinstance(size, Mapping) else size
    cut = _two(content["crop_size"]) if content.get("do_center_crop") and content.get("crop_size") else None
    if isinstance(size, Mapping) and "height" in size:
        sides, whole = cut or _two(size), _two(size)
        crops = {"fit": "stretch"} if sides == whole else {}  # a cut out of what was stretched: no fit does that
        return {"height": sides[0], "width": sides[1], **crops}
    if shorter is None:
        return {}
    if content.get("crop_pct") is not None and cut is None:  # ConvNeXt's and its like
        share = 1.0 if shorter >= _SQUASHED_FROM else float(content["crop_pct"])
        fit = {"fit": "stretch"} if shorter >= _SQUASHED_FROM else {"fit": "torch_shorter_side", "crop": share}
        return {"height": int(shorter), "width": int(shorter), **fit}
    if cut is None:
        is_square = not isinstance(size, Mapping)  # an old file: one number is both sides
        return {"height": int(shorter), "width": int(shorter), "fit": "stretch"} if is_square else {}
    crop = min(cut) / int(shorter)
    return {"height": cut[0], "width": cut[1], "fit": "torch_shorter_side", "crop": crop}


def _config(source: str, content: Mapping[str, Any]) -> Reading:
    """Read config.json: timm's has `pretrained_cfg`, transformers' may have `id2label`."""
    names = _class_names(content)
    chosen = content.get("pretrained_cfg")
    values = _timm(chosen) if isinstance(chosen, Mapping) else {}
    return reading(source, {**values, "class_names": names})


def _timm(chosen: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if chosen.get("input_size"):
        channels, values["height"], values["width"] = map(int, chosen["input_size"])
        values["color_mode"] = "rgb" if channels == 3 else "grayscale"
    if chosen.get("mean") and chosen.get("std"):
        values["scaling"] = from_mean(1 / 255, _sequence(chosen["mean"]), _sequence(chosen["std"]))
    if chosen.get("interpolation"):
        values["resize"] = _pillow_name(chosen["interpolation"])
    mode = chosen.get("crop_mode") or "center"
    if mode == "squash":
        values["fit"] = "stretch"
    elif mode == "center" and chosen.get("crop_pct"):
        values |= {"fit": "torch_shorter_side", "crop": float(chosen["crop_pct"])}
    return values


def _open_clip(source: str, content: Mapping[str, Any]) -> Reading:
    scaled, vision = content.get("preprocess_cfg") or {}, (content.get("model_cfg") or {}).get("vision_cfg") or {}
    values: dict[str, Any] = {"color_mode": "rgb"}
    if vision.get("image_size"):
        values["height"], values["width"] = _two(vision["image_size"])
    if scaled.get("mean") and scaled.get("std"):
        values["scaling"] = from_mean(1 / 255, _sequence(scaled["mean"]), _sequence(scaled["std"]))
    if scaled.get("interpolation"):
        values["resize"] = _pillow_name(scaled["interpolation"])
    mode = scaled.get("resize_mode", "shortest")
    if mode == "squash":
        values["fit"] = "stretch"
    elif mode == "shortest":
        values |= {"fit": "torch_shorter_side", "crop": 1.0}
    return reading(source, values)


def _keras_hub(source: str, content: Mapping[str, Any]) -> Reading:
    """Read keras_hub's ImageConverter: resized, then pixel * scale + offset."""
    config = content.get("config") or {}
    if isinstance(config.get("image_converter"), Mapping):
        config = config["image_converter"].get("config") or {}
    values: dict[str, Any] = {}
    if config.get("image_size"):
        values["height"], values["width"] = _two(config["image_size"])
        values["fit"] = "keras_crop" if config.get("crop_to_aspect_ratio", True) else "stretch"
        if config.get("pad_to_aspect_ratio"):
            values["fit"] = "keras_hub_pad"
        values["resize"] = f"tf.{config.get('interpolation', 'bilinear')}"
        values["antialias"] = bool(config.get("antialias", False))
    if "scale" in config or "offset" in config:
        scale, offset = config.get("scale"), config.get("offset")
        values["scaling"] = named(
            _sequence(1.0 if scale is None else scale), _sequence(0.0 if offset is None else offset)
        )
    return reading(source, values)


def _class_names(content: Mapping[str, Any]) -> Sequence[str] | None:
    """Return the names of `label_names` or `id2label`; None if there are none, or only "LABEL_0" and so on."""
    listed, numbered = content.get("label_names"), content.get("id2label")
    if isinstance(listed, list) and listed:
        return [str(name) for name in listed]
    if not isinstance(numbered, Mapping) or not numbered:
        return None
    by_number = {int(number): str(name) for number, name in numbered.items()}
    names = [by_number[number] for number in range(len(by_number))]
    return None if all(name == f"LABEL_{number}" for number, name in enumerate(names)) else names


def _pillow_name(name: str) -> str:
    return {"box": "pillow.box", "hamming": "pillow.hamming"}.get(str(name).lower(), str(name).lower())


def _sequence(value: Any) -> Sequence[float]:
    return [float(part) for part in value] if isinstance(value, Sequence) else [float(value)]


def _two(size: Any) -> tuple[int, int]:
    """Return (height, width) of one number, of two, or of an object with both."""
    if isinstance(size, Mapping):
        return int(size["height"]), int(size["width"])
    return (int(size[0]), int(size[1])) if isinstance(size, Sequence) else (int(size), int(size))


_READERS: Mapping[str, Callable[[str, Mapping[str, Any]], Reading]] = {
    "preprocessor_config.json": _hugging_face,
    "preprocessor.json": _keras_hub,
    "image_converter.json": _keras_hub,
    "config.json": _config,
    "open_clip_config.json": _open_clip,
}
