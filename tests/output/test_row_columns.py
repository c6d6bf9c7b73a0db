"""The rows of labels, values and embeddings: whatever is written comes back, and another task's rows are refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batches import Failure, ImageColumns, PredictionBatch
from pipeline.errors import DamagedPartError, NewerFormatError
from pipeline.options import PartFormat, ScoreOptions
from pipeline.output.rows import PartWriter, read_part, row_schema, to_table
from pipeline.task import TASKS, WITH_CLASSES, Embedding, Task

CLASSES = ("cat", "dog ☃", "eel")
OPTIONS = ScoreOptions(("a",), "model", "night", engine="litert")
FORMATS = pytest.mark.parametrize("form", ["parquet", "jsonl"])

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
number = st.floats(allow_nan=False, allow_infinity=False, width=32)
failure = st.none() | st.builds(Failure, st.just("predict"), st.just("INTERNAL"), text)
image = st.fixed_dictionaries(
    {
        "names": st.none() | st.lists(text | st.sampled_from(CLASSES), max_size=3),
        "value": st.none() | st.just(float("nan")) | st.floats(allow_nan=False, allow_infinity=False),
        "failure": failure,
        "scores": st.tuples(*[st.floats(0, 1, width=32)] * len(CLASSES)),
        "predicted": number,
        "vector": st.tuples(*[st.floats(-6e4, 6e4, width=16)] * 2),
    }
)
embeddings = st.none() | st.builds(Embedding, st.just(2), st.sampled_from(["float32", "float16"]))


def batch_of(task: Task, images: list[dict[str, Any]], embedding: Embedding | None) -> PredictionBatch:
    n, k = len(images), 2 if task in WITH_CLASSES else 0
    failures = {i: one["failure"] for i, one in enumerate(images) if one["failure"]}
    columns = ImageColumns(
        [str(i) for i in range(n)],
        np.zeros(n, np.int32),
        np.array([one["value"] is not None for one in images], np.bool_),
        [None] * n,
        failures,
        [one["names"] for one in images] if task == "labels" else None,
        np.array([np.nan if one["value"] is None else one["value"] for one in images], np.float64)
        if task == "value"
        else None,
    )
    scores = np.array([one["scores"] for one in images], np.float32).reshape(n, len(CLASSES))
    top = np.argsort(-scores, axis=1, kind="stable").astype(np.int32)[:, :k]
    ok = columns.ok
    return PredictionBatch(
        columns,
        top,
        np.take_along_axis(scores, top, axis=1),
        np.full(n, np.nan, np.float32),
        chosen=(scores >= 0.5) & ok[:, None] if task == "labels" else None,
        values=np.array([one["predicted"] for one in images], np.float32) if task == "value" else None,
        embedding=None
        if embedding is None
        else np.array([one["vector"] for one in images], embedding.dtype).reshape(n, 2),
    )


def part_of(form: PartFormat, schema: pa.Schema, *tables: pa.Table) -> bytes:
    writer = PartWriter(form, schema)
    for table in tables:
        writer.add(table)
    return writer.close()


@FORMATS
@given(st.sampled_from(TASKS), st.lists(image, max_size=6), embeddings, st.lists(st.integers(0, 6), max_size=2))
@settings(max_examples=60)
def test_rows_of_any_task_come_back_however_many_come_at_once(
    form: PartFormat, task: Task, images: list[dict[str, Any]], embedding: Embedding | None, cuts: list[int]
) -> None:
    embedding = embedding or (Embedding(2) if task == "embedding" else None)
    schema = row_schema(task, OPTIONS, embedding)
    class_names = CLASSES if task in WITH_CLASSES else ()
    table = to_table(batch_of(task, images, embedding), class_names, schema)
    bounds = [0, *sorted(min(cut, len(table)) for cut in cuts), len(table)]
    data = part_of(form, schema, *(table[start:stop] for start, stop in pairwise(bounds)))
    assert data == part_of(form, schema, table)
    found = read_part(data, form, schema)
    assert found.schema.equals(schema)
    for row, expected, one in zip(found.to_pylist(), table.to_pylist(), images, strict=True):
        np.testing.assert_equal(row, expected)
        is_ok = one["failure"] is None
        assert row["status"] == ("ok" if is_ok else "failed")
        if task == "labels":
            assert row["label_names"] == one["names"]
            names = [name for name, score in zip(CLASSES, one["scores"], strict=True) if score >= 0.5]
            assert row["predicted_names"] == (names if is_ok else None)
            assert (row["top_k"] is not None) == is_ok
        if task == "value":
            np.testing.assert_equal(row["label_value"], one["value"])
            assert row["predicted_value"] == (one["predicted"] if is_ok else None)
        if embedding is not None:
            vector = np.array(one["vector"], embedding.dtype).tolist()
            assert row["embedding"] == (vector if is_ok else None)


@FORMATS
def test_part_of_another_task_or_size_is_damaged(form: PartFormat) -> None:
    images = [
        {"names": None, "value": None, "failure": None, "scores": (0.1, 0.2, 0.7), "predicted": 1.0, "vector": (1, 2)}
    ]
    kinds: list[tuple[Task, Embedding | None]] = [
        ("classes", None),
        ("classes", Embedding(2)),
        ("labels", None),
        ("value", None),
        ("embedding", Embedding(2)),
        ("embedding", Embedding(2, "float16")),
    ]
    schemas = [row_schema(task, OPTIONS, embedding) for task, embedding in kinds]
    parts = []
    for (task, embedding), schema in zip(kinds, schemas, strict=True):
        names = CLASSES if task in WITH_CLASSES else ()
        parts.append(part_of(form, schema, to_table(batch_of(task, images, embedding), names, schema)))
    for i, schema in enumerate(schemas):
        for j, part in enumerate(parts):
            same_lines = form == "jsonl" and {i, j} == {4, 5}  # lines do not tell of what type a number is
            if i == j or same_lines:
                assert len(read_part(part, form, schema)) == 1
            else:
                with pytest.raises(DamagedPartError):
                    read_part(part, form, schema)
    with pytest.raises(DamagedPartError):
        read_part(parts[4], form, row_schema("embedding", OPTIONS, Embedding(3)))


def test_part_with_an_unknown_column_beside_those_of_a_task_is_newer() -> None:
    for task in TASKS:
        schema = row_schema(task, OPTIONS, Embedding(2) if task == "embedding" else None)
        more = pa.schema([*schema, pa.field("rank", pa.int32())])
        data = part_of("parquet", more, more.empty_table())
        with pytest.raises(NewerFormatError, match="unknown field 'rank'"):
            read_part(data, "parquet", schema)
