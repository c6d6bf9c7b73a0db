"""What a model says of its own input rule and classes, with from where, before anything is guessed or tried.

The network's own layers count first, then files beside it, then the network that it is built on, then a convention.
Where two of them contradict each other, the first counts and a note says what the other says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_import.declared_backbones import backbone_objects, backbone_says
from model_import.declared_files import files_say
from model_import.declared_layers import layers_say
from model_import.declared_values import Reading, Told, is_same, reading
from model_import.foreign import Foreign
from model_import.scaling import SCALINGS, Scaling


@dataclass(frozen=True)
class Declared:
    """What was read, and from where.

    Attributes:
        scaling: of pixels to values, None if nothing tells.
        rule: field of `InputSpec` -> its value, for those that something tells.
        class_names: in the order of the output, None if nothing tells.
        also: field, or "scaling", or "class_names" -> what others say of it that contradicts.
        notes: lines for a person: every contradiction, and what cannot be expressed.
    """

    scaling: Told[Scaling] | None
    rule: Mapping[str, Told[Any]]
    class_names: Told[Sequence[str]] | None
    also: Mapping[str, Sequence[Told[Any]]]
    notes: Sequence[str]


def declared(foreign: Foreign, beside: Path, inside: Sequence[Reading] = ()) -> Declared:
    """Return what a model's layers and the files beside it say of its input.

    Args:
        foreign: the model.
        beside: its folder, or its file: known files are looked for next to it.
        inside: what the model's file says apart from its layers; it counts after these.
    """
    layers = foreign.layers
    is_any_size = foreign.height is None or foreign.width is None
    readings = [_shape(foreign), *layers_say(layers, is_any_size), *inside, *files_say(beside)]
    backbone = backbone_says(layers)
    readings += [Reading(notes=backbone_objects(layers)), *([backbone] if backbone else [])]
    if foreign.may_be_hub and not layers and not is_any_size:
        source = "only if it comes from TF-Hub or Kaggle, by their convention"
        readings.append(reading(source, {"scaling": SCALINGS["unit"], "color_mode": _color(foreign.channels)}))
    return _merged(readings)


def _shape(foreign: Foreign) -> Reading:
    """Return what the shape of the model's input says."""
    values: dict[str, Any] = {"height": foreign.height, "width": foreign.width}
    if foreign.channels == 1:
        values["color_mode"] = "grayscale"
    return reading("from the shape of the model's input", values)


def _merged(readings: Sequence[Reading]) -> Declared:
    told: dict[str, list[Told[Any]]] = {}
    for one in readings:
        for name, value in one.told.items():
            told.setdefault(name, []).append(value)
    also: dict[str, list[Told[Any]]] = {}
    for name, (chosen, *others) in told.items():
        differing = [other for other in others if not _agree(chosen.value, other.value)]
        if differing:
            also[name] = differing
    notes = [note for one in readings for note in one.notes]
    for name, others in also.items():
        chosen = told[name][0]
        against = "; ".join(f"{_shown(other.value)} {other.source}" for other in others)
        notes.append(f"{name} is {_shown(chosen.value)} {chosen.source}, but {against}: the first is taken")
    first = {name: values[0] for name, values in told.items()}
    scaling, names = first.pop("scaling", None), first.pop("class_names", None)
    return Declared(scaling, first, names, also, notes)


def _agree(one: Any, other: Any) -> bool:
    if isinstance(one, Scaling) and isinstance(other, Scaling):
        return is_same(one, other)
    return bool(one == other)


def _shown(value: Any) -> str:
    if isinstance(value, Scaling):
        numbers = f"({', '.join(f'{part:.4g}' for part in (*value.scale, *value.offset))})"
        return repr(value.name) + (f" {numbers}" if value.name == "custom" else "")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"{len(value)} names"
    return repr(value)


def _color(channels: int) -> str:
    return "grayscale" if channels == 1 else "rgb"
