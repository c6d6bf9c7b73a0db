"""What the metadata of a .tflite file say: how pixels are scaled, and which packed files are class names.

Its makers (Model Maker, TensorFlow Lite Support) write them as a table of their own within the file. The numbers here
are those of the schemas: tensorflow/lite/schema/schema.fbs and tflite-support's metadata_schema.fbs.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from model_import.flat_tables import Table

NAME = "TFLITE_METADATA"
"""Name under which the file lists them."""

_BUFFERS, _METADATA = 4, 6  # of Model
_SUBGRAPHS = 3  # of ModelMetadata
_INPUTS, _OUTPUTS = 2, 3  # of SubGraphMetadata
_UNITS, _FILES = 4, 6  # of TensorMetadata
_NORMALIZATION = 1  # of ProcessUnitOptions
_AXIS_LABELS = 2  # of AssociatedFileType


@dataclass(frozen=True)
class Metadata:
    """What a file's metadata say.

    Attributes:
        mean: of pixels, one for all channels or one a channel; (): they do not tell, or not plainly.
        deviation: likewise; a value is (pixel - mean) / deviation.
        label_files: names of packed files that hold the names of an output's classes, in order.
    """

    mean: Sequence[float] = ()
    deviation: Sequence[float] = ()
    label_files: Sequence[str] = ()


def read_metadata(data: bytes | memoryview) -> Metadata:
    """Return what the metadata of a .tflite file say; nothing where there are none.

    Raises:
        ValueError: they are damaged.
    """
    model = Table.root(data)
    numbers = [one.number(1) for one in model.tables(_METADATA) if one.text(0) == NAME]
    buffers = model.tables(_BUFFERS)
    if len(numbers) != 1 or numbers[0] >= len(buffers):
        return Metadata()
    content = buffers[numbers[0]].values(0, 1)
    if len(content) < 8:
        return Metadata()
    parts = Table.root(content).tables(_SUBGRAPHS)
    if not parts:
        return Metadata()
    inputs, outputs = parts[0].tables(_INPUTS), parts[0].tables(_OUTPUTS)
    files = [file for output in outputs for file in output.tables(_FILES)]
    names = [file.text(0) for file in files if file.number(2, "<b") == _AXIS_LABELS]
    mean, deviation = _normalization(inputs[0]) if len(inputs) == 1 else ((), ())
    return Metadata(mean, deviation, tuple(dict.fromkeys(names)))


def _normalization(tensor: Table) -> tuple[Sequence[float], Sequence[float]]:
    """Return mean and deviation of an input that is normalized once, by numbers that can be."""
    units = [unit.table(1) for unit in tensor.tables(_UNITS) if unit.number(0, "<B") == _NORMALIZATION]
    if len(units) != 1 or units[0] is None:
        return (), ()
    mean, deviation = (_floats(units[0], field) for field in (0, 1))
    can_be = mean and deviation and all(map(math.isfinite, [*mean, *deviation])) and min(deviation) > 0
    fits = {len(mean), len(deviation)} <= {1, 3}
    return (mean, deviation) if can_be and fits else ((), ())


def _floats(table: Table, field: int) -> Sequence[float]:
    content = table.values(field, 4)
    return struct.unpack(f"<{len(content) // 4}f", content)
