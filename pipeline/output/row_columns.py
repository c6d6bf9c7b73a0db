"""The columns of prediction rows: their types, and how a batch's predictions become them, for each task.

Must not know how rows are stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.batches import Failure, ImageColumns, PredictionBatch
from pipeline.image_facts import ImageFacts
from pipeline.metrics.hash_texts import to_texts
from pipeline.task import Embedding, Task

_Mask = npt.NDArray[np.bool_]

TOP_K = pa.list_(
    pa.struct([pa.field("label", pa.int32()), pa.field("name", pa.string()), pa.field("score", pa.float32())])
)

NAMES = pa.list_(pa.string())

_KEY = [pa.field("key", pa.string(), nullable=False)]
_STATUS = [
    pa.field("status", pa.string(), nullable=False),
    pa.field("error_stage", pa.string()),
    pa.field("error_code", pa.string()),
    pa.field("error_message", pa.string()),
]

IMAGE_COLUMNS = [
    pa.field("width", pa.int32()),
    pa.field("height", pa.int32()),
    pa.field("format", pa.string()),
    pa.field("bytes", pa.int64()),
    pa.field("pixel_hash", pa.string()),
]
"""The columns that tell of the stored image, in rows by rules 2; a failed row has what is known.

pixel_hash: 16 hex digits; a number of 64 bits would lose its last ones wherever a reader makes a float of it.
"""

EXIF_COLUMNS = [pa.field("exif_time", pa.string()), pa.field("exif_camera", pa.string())]
"""The columns that --exif adds: when the image was taken, as ISO 8601, and by which camera."""

PIXEL_COLUMNS = [
    pa.field("perceptual_hash", pa.string()),
    pa.field("brightness", pa.float32()),
    pa.field("contrast", pa.float32()),
    pa.field("entropy", pa.float32()),
]
"""The columns that --pixel_facts adds, see `pipeline.model.pixel_facts`; null where there are no pixels."""

PASSED = {b"nightscore": b"passed"}
"""Metadata of a column that passes through: it may have any name, so its name does not tell a newer version."""

LABEL_COLUMNS: Mapping[Task, Sequence[pa.Field]] = {
    "classes": [pa.field("label", pa.int32()), pa.field("label_name", pa.string())],
    "labels": [pa.field("label_names", NAMES)],
    "value": [pa.field("label_value", pa.float64())],
    "embedding": [],
}
"""Task -> the columns that say what the image's label is; a failed row has them, too.

classes: a label that is a class of the model has both columns; any other has one of them. labels: null is an image
without labels; a name may be no class of the model. value: NaN is a label that is no number.
"""

SCORE_COLUMNS: Mapping[Task, Sequence[pa.Field]] = {
    "classes": [
        pa.field("label_score", pa.float32()),
        pa.field("predicted", pa.int32()),
        pa.field("predicted_name", pa.string()),
        pa.field("score", pa.float32()),
        pa.field("top_k", TOP_K),
    ],
    "labels": [pa.field("predicted_names", NAMES), pa.field("top_k", TOP_K)],
    "value": [pa.field("predicted_value", pa.float64())],
    "embedding": [],
}
"""Task -> the columns that say what the model gives for the image; they are null in a failed row."""


RESERVED = frozenset(
    column.name
    for columns in (
        *(_KEY, _STATUS, IMAGE_COLUMNS, EXIF_COLUMNS, PIXEL_COLUMNS),
        *LABEL_COLUMNS.values(),
        *SCORE_COLUMNS.values(),
    )
    for column in columns
) | {"embedding"}
"""Names of all columns of ours, of whatever task."""


def is_passed(column: pa.Field) -> bool:
    """Return whether a column passes through from a list or a table."""
    return column.metadata is not None and PASSED.items() <= column.metadata.items()


def embedding_type(embedding: Embedding) -> pa.DataType:
    """Return the type of the column of embeddings: lists of a fixed size."""
    return pa.list_(pa.float16() if embedding.dtype == "float16" else pa.float32(), embedding.size)


def row_names(columns: Sequence[str]) -> dict[str, str]:
    """Return the names in the rows of columns that pass through: their own, with a prefix where that is taken.

    Readers such as DuckDB and BigQuery do not tell A from a, so neither does this.

    >>> row_names(["camera", "Label", "label"])
    {'camera': 'camera', 'Label': 'column_Label', 'label': 'column_label_2'}
    """
    names: dict[str, str] = {}
    taken = set(RESERVED)
    for column in columns:
        first = column if column.lower() not in taken else f"column_{column}"
        name, n = first, 1
        while name.lower() in taken:
            n += 1
            name = f"{first}_{n}"
        names[column] = name
        taken.add(name.lower())
    return names


def schema_of(
    task: Task,
    embedding: Embedding | None,
    rules: int,
    exif: bool = False,
    passed: Sequence[str] = (),
    pixel_facts: bool = False,
) -> pa.Schema:
    """Return the columns of the rows of a task.

    Args:
        task: what the model says of an image.
        embedding: the vector that the model gives for an image; None: it gives none.
        rules: by which the rows are made; those by rules 1 tell nothing of the stored image.
        exif: whether there are the columns of EXIF data.
        passed: names of the columns that pass through.
        pixel_facts: whether there are the columns of what the pixels tell.
    """
    vector = [] if embedding is None else [pa.field("embedding", embedding_type(embedding))]
    image = [*(IMAGE_COLUMNS if rules > 1 else []), *(EXIF_COLUMNS if exif else [])]
    image += PIXEL_COLUMNS if pixel_facts else []
    more = [pa.field(name, pa.string(), metadata=PASSED) for name in row_names(passed).values()]
    return pa.schema([*_KEY, *LABEL_COLUMNS[task], *SCORE_COLUMNS[task], *vector, *_STATUS, *image, *more])


def stored_schema(schema: pa.Schema) -> pa.Schema:
    """Return the columns as a Parquet file has them; the same object where there are no embeddings.

    Parquet knows no lists of a fixed size, and Arrow does not read back those among which one is null.
    """
    place = schema.get_field_index("embedding")
    if place < 0:
        return schema
    return schema.set(place, pa.field("embedding", pa.list_(schema.field(place).type.value_type)))


def predicted_columns(batch: PredictionBatch, class_names: Sequence[str]) -> dict[str, pa.Array]:
    """Return the columns of the labels and of the predictions of a batch, by name, but for those of its images.

    Which they are follows from what the batch has.
    """
    failed = ~batch.images.ok
    names = pa.array(class_names, pa.string())
    if batch.values is not None:
        columns = _value_columns(batch, batch.values, failed)
    elif batch.chosen is not None:
        columns = _labels_columns(batch, batch.chosen, names, failed)
    elif len(class_names):
        columns = _classes_columns(batch, names, failed)
    else:
        columns = {}
    if batch.embedding is not None:
        columns["embedding"] = _vectors(batch.embedding, failed)
    return columns


def _classes_columns(batch: PredictionBatch, names: pa.Array, failed: _Mask) -> dict[str, pa.Array]:
    images = batch.images
    predicted = pa.array(batch.top_labels[:, 0], pa.int32(), mask=failed)
    return {
        "label": pa.array(images.labels, pa.int32(), mask=~images.labelled),
        "label_name": pa.array(images.label_names, pa.string()),
        "label_score": pa.array(batch.label_scores, pa.float32(), mask=failed | np.isnan(batch.label_scores)),
        "predicted": predicted,
        "predicted_name": names.take(predicted),
        "score": pa.array(batch.top_scores[:, 0], pa.float32(), mask=failed),
        "top_k": _top_k(batch, names, failed),
    }


def _labels_columns(
    batch: PredictionBatch, chosen: npt.NDArray[np.bool_], names: pa.Array, failed: _Mask
) -> dict[str, pa.Array]:
    offsets = np.concatenate([[0], np.cumsum(chosen.sum(axis=1))]).astype(np.int32)
    flat = names.take(pa.array(np.nonzero(chosen)[1].astype(np.int32)))
    predicted = pa.ListArray.from_arrays(pa.array(offsets), flat, NAMES, mask=pa.array(failed))
    return {
        "label_names": pa.array(batch.images.label_lists, NAMES),
        "predicted_names": predicted,
        "top_k": _top_k(batch, names, failed),
    }


def _value_columns(batch: PredictionBatch, values: npt.NDArray[np.float32], failed: _Mask) -> dict[str, pa.Array]:
    images = batch.images
    return {
        "label_value": pa.array(images.label_values, pa.float64(), mask=~images.labelled, from_pandas=False),
        "predicted_value": pa.array(values.astype(np.float64), pa.float64(), mask=failed),
    }


def _vectors(vectors: npt.NDArray[np.floating[Any]], failed: _Mask) -> pa.Array:
    flat = pa.array(vectors.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1], mask=pa.array(failed))


def _top_k(batch: PredictionBatch, names: pa.Array, failed: _Mask) -> pa.Array:
    n, k = batch.top_labels.shape
    labels, scores = batch.top_labels, batch.top_scores
    starts = np.arange(0, n * k + 1, k, dtype=np.int32)
    if failed.any():  # nothing lies behind a null, as in what is read from a file
        labels, scores = labels[~failed], scores[~failed]
        starts = np.concatenate([[0], np.cumsum(k * ~failed)]).astype(np.int32)
    flat = pa.array(labels.reshape(-1), pa.int32())
    structs = pa.StructArray.from_arrays(
        [flat, names.take(flat), pa.array(scores.reshape(-1))], fields=list(TOP_K.value_type)
    )
    offsets = pa.array(starts, pa.int32())
    return pa.ListArray.from_arrays(offsets, structs, TOP_K, mask=pa.array(failed))


def image_columns(facts: ImageFacts) -> dict[str, pa.Array]:
    """Return the columns that tell of the stored images, by name."""
    return {
        "width": pa.array(facts.widths, pa.int32(), mask=facts.widths == 0),
        "height": pa.array(facts.heights, pa.int32(), mask=facts.heights == 0),
        "format": pa.array(facts.formats, pa.string()),
        "bytes": pa.array(facts.sizes, pa.int64(), mask=facts.sizes < 0),
        "pixel_hash": to_texts(facts.hashes, facts.hashed),
        "exif_time": pa.array(facts.times or [None] * len(facts), pa.string()),
        "exif_camera": pa.array(facts.cameras or [None] * len(facts), pa.string()),
        **_pixel_columns(facts),
    }


def _pixel_columns(facts: ImageFacts) -> dict[str, pa.Array]:
    """Return the columns that tell of the pixels, by name; without any if nobody asked."""
    if facts.perceptual is None:
        return {column.name: pa.nulls(len(facts), column.type) for column in PIXEL_COLUMNS}
    figures = {"brightness": facts.brightness, "contrast": facts.contrast, "entropy": facts.entropy}
    return {
        "perceptual_hash": to_texts(facts.perceptual, facts.hashed),
        **{name: pa.array(column, pa.float32(), mask=~facts.hashed) for name, column in figures.items()},
    }


def passed_columns(images: ImageColumns, passed: Sequence[str]) -> dict[str, pa.Array]:
    """Return the columns that pass through, by their names in the rows."""
    none = [None] * len(images)
    return {name: pa.array(images.more.get(column, none), pa.string()) for column, name in row_names(passed).items()}


def error_columns(failures: Mapping[int, Failure], n: int) -> dict[str, pa.Array]:
    """Return the columns that say why images have no prediction, by name, of n images."""
    columns: dict[str, list[str | None]] = {name: [None] * n for name in ("stage", "code", "message")}
    for i, failure in failures.items():
        columns["stage"][i], columns["code"][i], columns["message"][i] = failure.stage, failure.code, failure.message
    return {f"error_{name}": pa.array(column, pa.string()) for name, column in columns.items()}
