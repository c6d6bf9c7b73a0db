"""Parquet files with images in them, as Hugging Face's datasets and pandas write them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def features_of(**features: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Return the metadata in which Hugging Face's datasets keep the kinds of their columns."""
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}


def write_hugging_face(
    path: Path,
    encoded: Sequence[bytes | None],
    labels: Sequence[int | None],
    names: Sequence[str],
    group: int = 100,
    image: str = "image",
    label: str = "label",
    **more: Sequence[Any],
) -> Path:
    """Write images as `datasets` does: a struct {bytes, path} and a ClassLabel whose names lie in the schema."""
    structs = [{"bytes": data, "path": f"{i}.png"} for i, data in enumerate(encoded)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {image: pa.array(structs, kind), label: pa.array(labels, pa.int64()), **more}
    table = pa.table(columns).replace_schema_metadata(
        features_of(**{image: {"_type": "Image"}, label: {"names": list(names), "_type": "ClassLabel"}})
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=group)
    return path
