"""OUTPUT folders made of given rows: complete, as a run leaves them, with no model, no image and no Beam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.model.input_rule import InputSpec
from pipeline.model.spec import ModelSpec
from pipeline.options import ScoreOptions
from pipeline.output import plan_file, records
from pipeline.output.commit import commit
from pipeline.output.finish import finish
from pipeline.output.receipts import Extras, receipt_of
from pipeline.output.rows import PartWriter
from pipeline.output.run import Run
from pipeline.output.summary import Summary
from pipeline.units import WorkUnit, unit_id

Row = Mapping[str, Any]

MODEL_ID = "c0ffee" * 10 + "f00d"


def class_row(
    key: str, scores: Sequence[float], names: Sequence[str], label: str | None = None, k: int = 5, **more: Any
) -> Row:
    """Return a row of a model of classes.

    Args:
        key: of the image.
        scores: probability of each class.
        names: of the classes.
        label: of the image; may be no class of the model.
        k: number of classes in top_k.
        more: further columns, such as pixel_hash or width.
    """
    p = np.asarray(scores, np.float32)
    order = np.argsort(-p, kind="stable")[:k]
    known = label in names
    return {
        "key": key,
        "label": names.index(label) if label is not None and known else None,
        "label_name": label,
        "label_score": float(p[names.index(label)]) if label is not None and known else None,
        "predicted": int(order[0]),
        "predicted_name": names[order[0]],
        "score": float(p[order[0]]),
        "top_k": [{"label": int(c), "name": names[c], "score": float(p[c])} for c in order],
        "status": "ok",
        **more,
    }


def failed_row(key: str, stage: str = "preprocess", code: str = "INVALID_ARGUMENT", message: str = "broken") -> Row:
    """Return the row of an image that has no prediction."""
    return {"key": key, "status": "failed", "error_stage": stage, "error_code": code, "error_message": message}


def write_output(
    folder: Path,
    units: Sequence[Sequence[Row]],
    class_names: Sequence[str] = (),
    thumbnails: Mapping[str, bytes] | None = None,
    run_id: str = "20260101T000000-run",
    input_name: str = "/archive",
    spec: Mapping[str, Any] | None = None,
    model: str = "/model",
    planned: Sequence[WorkUnit] | None = None,
    inputs: Sequence[str] = (),
    **options: Any,
) -> Run:
    """Write an OUTPUT whose units have given rows, and return its run.

    Args:
        folder: becomes OUTPUT.
        units: the rows of each unit, as `class_row` makes them, or of the columns of another task.
        class_names: of the model.
        thumbnails: key -> PNG or JPEG file, of images that the report may show.
        run_id: id of the run.
        input_name: location of the archive.
        spec: further fields of the `ModelSpec`, such as task.
        model: location of the model directory, which need not be there.
        inputs: locations of the archives, if they are several.
        planned: the units, of images that are there; None: of files that nobody looks for.
        options: further options of the run.
    """
    asked = ScoreOptions(tuple(inputs) or (input_name,), model, str(folder), **{"engine": "litert", **options})
    fields: dict[str, Any] = {"model_id": MODEL_ID, **(spec or {})}
    run = Run.of(run_id, asked, ModelSpec(InputSpec(28, 28, "grayscale"), class_names, **fields))
    planned = list(planned or ()) or [_unit(run, number, rows) for number, rows in enumerate(units)]
    records.start(run)
    plan_file.create(run, planned, {}, {})
    summary = Summary()
    for unit, rows in zip(planned, units, strict=True):
        writer = PartWriter(run.options.format, run.schema)
        writer.add(pa.Table.from_pylist([dict(row) for row in rows], run.schema))
        part = writer.close()
        pictures = {i: thumbnails[row["key"]] for i, row in enumerate(rows) if row["key"] in (thumbnails or {})}
        receipt = receipt_of(unit, part, run, Extras(1.0, pictures, "litert 2"))
        summary = summary.merge(Summary.of(commit(unit, part, receipt, run)))
    finish(summary, run)
    return run


def _unit(run: Run, number: int, rows: Sequence[Row]) -> WorkUnit:
    sizes = (100,) * len(rows)
    unit = WorkUnit("", "images", tuple(row["key"] for row in rows), sizes, (number + 1,) * len(rows), len(rows))
    return replace(unit, id=unit_id(unit, run.spec.model_id, run.options))
