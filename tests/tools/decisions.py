"""Decisions on the images of an OUTPUT that a test chooses, where a run with --accept_score leaves its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.output.run import Run
from pipeline.output.stored_rows import StoredRows


def decide(run: Run, accepted: Mapping[str, bool | None]) -> None:
    """Write decisions: key -> whether the prediction is accepted, None: there is none."""
    for unit, rows in StoredRows.of_last_run(run.output).by_unit(["key"]):
        keys = rows["key"].to_pylist()[::-1]  # a reader goes by the key
        table = pa.table({"key": keys, "accepted": pa.array([accepted[key] for key in keys], pa.bool_())})
        path = Path(run.result("decisions", f"part-{unit}.parquet"))
        path.parent.mkdir(exist_ok=True)
        pq.write_table(table, path)
    for record in (Path(run.result("run.json")), Path(run.record)):
        record.write_text(json.dumps({**json.loads(record.read_text()), "accepted": {"score": 0.5}}))
