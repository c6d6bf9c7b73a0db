"""Which columns of a Parquet file hold images and labels, by its schema. Must not open a file."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.sources import own_names
from pipeline.sources.list_columns import ListColumns

USUAL = (
    "image", "img", "jpg", "jpeg", "png", "webp", "picture", "photo", "pixel_values", "image_bytes", "img_bytes",
    "encoded", "image/encoded", "bytes", "content", "data",
)  # fmt: skip
"""Names of a column with images that are taken first if several may be it, in this order."""

BYTES, PATH = "bytes", "path"
"""Fields of the struct in which Hugging Face's datasets keep an image."""

NO_CLASS = -1
"""What Hugging Face's ClassLabel is where an image has no label."""


@dataclass(frozen=True)
class Columns:
    """The columns of a file that are read, as paths to leaves with dots.

    Attributes:
        image: path of the images' bytes.
        path: path of the images' names; None: there is none.
        label: path of the label; None: there is none.
        names: names that the schema has for the label's numbers, in their order; (): none.
        more: names of the columns that pass through to the rows.
    """

    image: str
    path: str | None
    label: str | None
    names: Sequence[str] = ()
    more: Sequence[str] = ()

    @property
    def paths(self) -> list[str]:
        """All of them."""
        return list(dict.fromkeys(p for p in (self.image, self.path, self.label, *self.more) if p is not None))


def holds_images(schema: Any, image_key: str | None) -> bool:
    """Return whether the schema alone tells that rows hold images: as Hugging Face's, or in the chosen column."""
    return bool(_structs(schema)) or (image_key is not None and _image_path(schema, image_key) is not None)


def binary(schema: Any) -> dict[str, str]:
    """Return name -> path of the plain binary columns: they may hold images, or anything else."""
    return {field.name: field.name for field in schema if _is_binary(field.type)}


def choose(
    schema: Any, image_key: str | None, label_key: str | None, plain: Sequence[str], more: Sequence[str] = ()
) -> Columns:
    """Return the columns that are read.

    Args:
        schema: of the file, as Arrow has it.
        image_key: name of the column with the image that a person chose; None: found.
        label_key: name of the column with the label that a person chose; None: found.
        plain: names of the binary columns that begin like images.
        more: names of the columns that pass through to the rows; those that hold plain values do.

    Raises:
        ValueError: it is not clear which; the text says what to do.
    """
    name = image_key or _only([*_structs(schema), *plain])
    _require_once(schema, (name, label_key))
    image = _image_path(schema, name)
    if image is None:
        there = ", ".join(schema.names[:12]) or "none"
        raise ValueError(f"no column of bytes {name!r}; there is {there}; choose one with --image_key")
    kind = _type_at(schema, name)
    struct = kind is not None and pa.types.is_struct(kind)
    path = f"{name}.{PATH}" if struct and _type_at(schema, f"{name}.{PATH}") is not None else None
    label = _label(schema, label_key, name)
    _require_once(schema, (label,))
    names = () if label is None else own_names.of_schema(schema.metadata, label)
    return Columns(image, path, label, names, [one for one in others(schema, name, label) if one in more])


def others(schema: Any, image: str | None = None, label: str | None = None) -> list[str]:
    """Return the names of the columns that hold plain values, once each, other than the image's and the label's."""
    once = [field for field in schema if schema.names.count(field.name) == 1]
    plain = [field.name for field in once if not pa.types.is_nested(field.type) and not _is_binary(field.type)]
    return [name for name in plain if name not in (image, label)]


def values_at(batch: Any, path: str) -> list[Any]:
    """Return the values of a column, of a field in a struct if the path says so.

    >>> values_at(pa.record_batch({"a": [{"b": 1}, None], "a.c": [3, 4]}), "a.b")
    [1, None]
    >>> values_at(pa.record_batch({"a": [{"b": 1}, None], "a.c": [3, 4]}), "a.c")
    [3, 4]
    """
    name, fields = _split(batch.schema, path)
    column = batch.column(batch.schema.get_field_index(name))
    for field in fields:
        column = column.flatten()[column.type.get_field_index(field)]
    found: list[Any] = column.to_pylist()
    return found


def _split(schema: Any, path: str) -> tuple[str, list[str]]:
    """Return the name of a column, which may have dots itself, and the fields that lead on from it."""
    parts = path.split(".")
    for n in range(len(parts), 0, -1):
        name = ".".join(parts[:n])
        if name in schema.names:
            return name, parts[n:]
    return parts[0], parts[1:]


def _type_at(schema: Any, path: str) -> Any:
    """Return the type at a path, None if nothing is there."""
    name, fields = _split(schema, path)
    if schema.names.count(name) == 0:
        return None
    kind = schema.field(schema.names.index(name)).type
    for field in fields:
        if not pa.types.is_struct(kind) or kind.get_field_index(field) < 0:
            return None
        kind = kind.field(field).type
    return kind


def _image_path(schema: Any, name: str) -> str | None:
    """Return the path of the bytes in a column, None if it has none."""
    kind = _type_at(schema, name)
    if kind is None:
        return None
    if _is_binary(kind):
        return name
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        found = [field.name for field in fields if _is_binary(field.type)]
        if BYTES in found or len(found) == 1:
            return f"{name}.{BYTES if BYTES in found else found[0]}"
    return None


def _structs(schema: Any) -> list[str]:
    """Return the names of the columns that are images of Hugging Face: by their type, or as the metadata say."""
    by_type = [
        field.name
        for field in schema
        if pa.types.is_struct(field.type)
        and field.type.get_field_index(PATH) >= 0
        and _is_binary(_type_at(pa.schema([field]), f"{field.name}.{BYTES}"))
    ]
    features = dict(_features(schema.metadata))
    said = [name for name in by_type if features.get(name) == "Image"]
    others = [name for name in by_type if features.get(name, "Image") == "Image"]  # an Audio has the same struct
    return said or others


def _features(metadata: Mapping[bytes, bytes] | None) -> Iterator[tuple[str, str]]:
    """Yield name and kind of the features in the metadata that Hugging Face's datasets write."""
    with contextlib.suppress(ValueError, KeyError, RecursionError, AttributeError, TypeError):
        features = json.loads((metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        for name, feature in features.items():
            if isinstance(feature, dict) and isinstance(feature.get("_type"), str):
                yield name, feature["_type"]


def _is_binary(kind: Any) -> bool:
    return kind is not None and (
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    )


def _only(names: Sequence[str]) -> str:
    """Return the one column that holds images: of several the one with a usual name."""
    if len(names) == 1:
        return names[0]
    usual = next((name for name in USUAL if name in names), None)
    if usual is not None:
        return usual
    if not names:
        raise ValueError("no column holds images; choose one with --image_key")
    raise ValueError(f"columns {', '.join(names)} may hold the image; choose one with --image_key")


def _label(schema: Any, label_key: str | None, image: str) -> str | None:
    """Return the path of the label, None if there is none."""
    if label_key is not None:
        if _type_at(schema, label_key) is None:
            raise ValueError(f"no column {label_key!r}; there is {', '.join(schema.names[:12])}; see --label_key")
        return label_key
    names = [name for name in schema.names if name != image]
    labels = [name for name, kind in _features(schema.metadata) if kind == "ClassLabel" and name in names]
    if "label" not in names and labels:
        if len(labels) > 1:
            raise ValueError(f"columns {', '.join(labels)} may hold the label; choose one with --label_key")
        return labels[0]
    try:
        return ListColumns().of_label(names)
    except ValueError as error:
        raise ValueError(str(error).replace("--label_column", "--label_key")) from error


def _require_once(schema: Any, chosen: Sequence[str | None]) -> None:
    for name, n in Counter(schema.names).items():
        if n > 1 and any(one is not None and _split(schema, one)[0] == name for one in chosen):
            raise ValueError(f"column {name} is there {n} times; leave one of them")
