"""Metadata and files put into a .tflite file, as TensorFlow Lite Support does it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

OFFICIAL = bytes.fromhex(
    "140000004d3030310c000c0008000000000004000c000000080000000801000001000000100000000c000c0000000000080004000c000000"
    "0800000078000000010000001800000000001200080000000000000000000000000004001200000004000000020000003000000004000000"
    "e2ffffff00000002040000000d0000006c6162656c732d64652e747874000a000c000800000007000a00000000000002040000000a000000"
    "6c6162656c732e7478740000010000001400000000000e000c00080000000000000004000e0000000800000044000000010000000c000000"
    "08000c000b00040008000000100000000000000108000c000800040008000000080000000c000000010000000000ff42010000000000ff42"
    "05000000696d6167650000000100000078000000"
)
"""Metadata that the schema of tflite-support 0.4 wrote: one input with mean 127.5 and deviation 127.5, and one output
with the files labels.txt and labels-de.txt, which name its classes."""


def metadata(mean: Sequence[float], deviation: Sequence[float], files: Sequence[str] = ()) -> bytes:
    """Return metadata of a network of one input and one output; files name the output's classes."""
    import flatbuffers

    builder: Any = flatbuffers.Builder(0)

    def numbers(values: Sequence[float]) -> int:
        builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            builder.PrependFloat32(value)
        return int(builder.EndVector())

    def table(fields: int, **slots: tuple[str, int, Any]) -> int:
        builder.StartObject(fields)
        for kind, slot, value in slots.values():
            getattr(builder, f"Prepend{kind}Slot")(slot, value, 0)
        return int(builder.EndObject())

    def tables(places: Sequence[int]) -> int:
        builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            builder.PrependUOffsetTRelative(place)
        return int(builder.EndVector())

    sides = [numbers(values) for values in (mean, deviation)]
    names = [builder.CreateString(name) for name in files]
    normal = table(2, a=("UOffsetTRelative", 0, sides[0]), b=("UOffsetTRelative", 1, sides[1]))
    unit = table(2, a=("Uint8", 0, 1), b=("UOffsetTRelative", 1, normal))
    entries = [table(5, a=("UOffsetTRelative", 0, name), b=("Int8", 2, 2)) for name in names]
    source = table(7, a=("UOffsetTRelative", 4, tables([unit] if mean else [])))
    target = table(7, a=("UOffsetTRelative", 6, tables(entries)))
    part = table(9, a=("UOffsetTRelative", 2, tables([source])), b=("UOffsetTRelative", 3, tables([target])))
    builder.Finish(table(8, a=("UOffsetTRelative", 3, tables([part]))), b"M001")
    return bytes(builder.Output())


def with_metadata(data: bytes, content: bytes) -> bytes:
    """Return a .tflite file with metadata in it."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers)
    buffer.data = list(content)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder: Any = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def pack(path: Path, *files: tuple[str, str]) -> None:
    """Append files, name and text each, to a .tflite file as a zip archive."""
    held = io.BytesIO()
    held.write(path.read_bytes())
    with zipfile.ZipFile(held, "a") as archive:
        for name, text in files:
            archive.writestr(name, text)
    path.write_bytes(held.getvalue())
