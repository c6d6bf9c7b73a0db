"""What the metadata in a .tflite file say of the input's scaling. Reads no file."""

from __future__ import annotations

from collections.abc import Sequence

from model_import.declared_values import Reading, from_mean, reading
from model_import.foreign import Foreign
from model_import.tflite_file import TfliteModel

SOURCE = "from the metadata in the file"


def metadata_says(model: Foreign) -> Sequence[Reading]:
    """Return what the metadata of a model say; () for models of other kinds, and where they say nothing."""
    if not isinstance(model, TfliteModel):
        return ()
    if model.damage:
        return [Reading(notes=(f"the metadata in the file are damaged and not read: {model.damage}",))]
    mean, deviation = model.metadata.mean, model.metadata.deviation
    if not mean:
        return ()
    if not {len(mean), len(deviation)} <= {1, model.channels}:
        note = f"the metadata in the file have a mean of {len(mean)} channels, and its images have {model.channels}"
        return [Reading(notes=(note,))]
    return [reading(SOURCE, {"scaling": from_mean(1.0, mean, deviation)})]
