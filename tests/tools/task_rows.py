"""Rows of models of labels, of a value, and of an embedding, made by hand: what `pipeline.output.rows` would write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.options import ScoreOptions
from pipeline.output.rows import row_schema
from pipeline.task import Embedding, Task

OPTIONS = ScoreOptions(input=("archive",), model="model", output="night")
FAILED = {"status": "failed", "error_stage": "read", "error_code": "NOT_FOUND", "error_message": "gone"}
NAMES = ("cat", "dog", "eel", "fox")

Scores = npt.NDArray[np.float32]


def table(task: Task, rows: Iterable[Mapping[str, Any]], embedding: Embedding | None = None) -> pa.Table:
    """Return rows of a task; a column that a row does not name is null, and its status is "ok"."""
    schema = row_schema(task, OPTIONS, embedding)
    nothing = dict.fromkeys(schema.names)
    return pa.Table.from_pylist([{**nothing, "status": "ok", **row} for row in rows], schema)


def label_row(
    key: str, own: Sequence[str] | None, scores: Sequence[float] | None, thresholds: Sequence[float] = (0.5,) * 4
) -> dict[str, Any]:
    """Return a row of a model of labels; its scores are those of NAMES, None: it failed."""
    if scores is None:
        return {"key": key, "label_names": own, **FAILED}
    best = sorted(range(len(NAMES)), key=lambda c: (-scores[c], c))[:3]
    return {
        "key": key,
        "label_names": own,
        "predicted_names": [name for name, s, least in zip(NAMES, scores, thresholds, strict=True) if s >= least],
        "top_k": [{"label": c, "name": NAMES[c], "score": scores[c]} for c in best],
    }


def value_row(key: str, label: float | None, predicted: float | None) -> dict[str, Any]:
    """Return a row of a model of a value; None: it has no label, or it failed."""
    if predicted is None:
        return {"key": key, "label_value": label, **FAILED}
    return {"key": key, "label_value": label, "predicted_value": predicted}


def embedding_row(key: str, embedding: Sequence[float] | None) -> dict[str, Any]:
    """Return a row of a model of an embedding; None: it failed."""
    return {"key": key, **FAILED} if embedding is None else {"key": key, "embedding": list(embedding)}


def random_labels(n: int, seed: int = 0) -> tuple[pa.Table, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return labelled rows, and [n, classes]: which labels they have, and which were predicted."""
    random = np.random.default_rng(seed)
    own = random.random((n, len(NAMES))) < [0.5, 0.3, 0.1, 0.0]
    scores = np.clip(own * 0.5 + random.random((n, len(NAMES))) * 0.6, 0, 1).astype(np.float32)
    rows = [
        label_row(
            f"/a/{i % 3}/{i}.png", [name for name, has in zip(NAMES, own[i], strict=True) if has], scores[i].tolist()
        )
        for i in range(n)
    ]
    return table("labels", rows), own, scores >= 0.5


def random_values(n: int, seed: int = 0) -> tuple[pa.Table, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return labelled rows, their labels, and what is predicted."""
    random = np.random.default_rng(seed)
    labels = random.normal(40, 12, n)
    predicted = (labels + random.normal(0.5, 3, n)).astype(np.float32).astype(np.float64)
    pairs = zip(labels.tolist(), predicted.tolist(), strict=True)
    rows = [value_row(f"/a/{i % 3}/{i}.png", *pair) for i, pair in enumerate(pairs)]
    return table("value", rows), labels, predicted
