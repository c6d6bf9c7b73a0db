"""Nights of models of labels, of a value, and of an embedding: what a report is made from. None was scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from example_nights import HOSTILE, Night, picture, record_of
from task_rows import (
    NAMES,
    embedding_row,
    label_row,
    random_labels,
    random_values,
    table,
    value_row,
)

from pipeline.metrics.examples import failures_of
from pipeline.metrics.headline import HEADLINES, headline_in
from pipeline.metrics.task_metrics import TaskMetrics
from pipeline.metrics.tasks import count, metrics_of
from pipeline.task import Embedding, Task

UNIT = 2.0**-16


def metrics_for(task: Task, names: Sequence[str] = NAMES) -> TaskMetrics[Any]:
    return metrics_of(task, names, 3, (), UNIT)


def night_of_rows(task: Task, rows: pa.Table, names: Sequence[str] = NAMES) -> Night:
    """Return a complete run that has these rows."""
    metrics = metrics_for(task, names)
    sums, examples = metrics.measure(rows), metrics.examples(rows)
    part = metrics.part(count(sums))
    folders = sorted(metrics.folders(rows).slices.items())
    failures = [{name: value for name, value in one.items() if name != "row"} for one in failures_of(rows)]
    figures: dict[str, Any] = {
        "model": "7e12ae1b" * 8,
        "precision": "float32",
        "engine": "litert",
        "units": 7,
        **metrics.compute(sums),
        "inputs": [{"input": "/archive", **part}, {"input": "/other", **part}],
        "folders": {"depth": None, "slices": [{"folder": name, **metrics.part(c)} for name, c in folders]},
        **metrics.lists([{k: v for k, v in e.items() if k != "row"} for e in examples]),
        "failure_examples": failures,
    }
    record = record_of({**figures, "accuracy": None, "accuracy_interval_95": None}, [])
    night = metrics.night(sums)
    record |= {"training": None, "night": night, "drift": metrics.drift(night, None, night)}
    previous = {name: value for name, value in record["previous"].items() if not name.startswith("accuracy")}
    if HEADLINES[task]:
        previous[HEADLINES[task]], previous[f"{HEADLINES[task]}_interval_95"] = headline_in(figures, task)
    record["previous"] = previous
    return Night(figures, record, {e["key"]: picture(i) for i, e in enumerate(examples)})


def labels_night(n: int = 600) -> Night:
    """A labelled night, with two failures and a label that is no class."""
    failed = [label_row("/a/0/gone.png", ["cat"], None), label_row("/a/0/also.png", None, None)]
    unknown = label_row("/a/0/gnu.png", ["gnu", "cat"], [0.9, 0.1, 0.1, 0.1])
    return night_of_rows("labels", pa.concat_tables([random_labels(n)[0], table("labels", [*failed, unknown])]))


def values_night(n: int = 600) -> Night:
    """A labelled night, with a failure, a label that is no number, and an outlier."""
    more = [value_row("/a/0/gone.png", 1.0, None), value_row("/a/1/nan.png", float("nan"), 30.0)]
    more.append(value_row("/a/2/far.png", 40.0, 9_000.0))
    return night_of_rows("value", pa.concat_tables([random_values(n)[0], table("value", more)]))


def embeddings_night() -> Night:
    """A night with an embedding that is 0 everywhere, and a failure."""
    rows = [embedding_row(f"/a/{i}.png", [i, 1.0, 0.5]) for i in range(40)]
    rows += [embedding_row("/a/zero.png", [0, 0, 0]), embedding_row("/a/gone.png", None)]
    return night_of_rows("embedding", table("embedding", rows, Embedding(3)))


def hostile_night() -> Night:
    """A night of labels with names that are as bad as names get."""
    names = HOSTILE[:4]
    rows = random_labels(60)[0].to_pylist()
    swap = dict(zip(NAMES, names, strict=True))
    for i, row in enumerate(rows):
        row["key"] = f"/{HOSTILE[i % len(HOSTILE)]}/{i}{'&' * 300}"
        for column in ("label_names", "predicted_names"):
            row[column] = [swap[name].encode("utf-8", "replace").decode() for name in row[column]]
    rows = [{**row, "key": row["key"].encode("utf-8", "replace").decode()} for row in rows]
    return night_of_rows("labels", table("labels", rows), [name.encode("utf-8", "replace").decode() for name in names])


TASK_NIGHTS = {
    "labels": labels_night,
    "values": values_night,
    "embeddings": embeddings_night,
    "unlabelled labels": lambda: night_of_rows(
        "labels", table("labels", [label_row("/a/b.png", None, [0.9, 0, 0, 0])])
    ),
    "unlabelled values": lambda: night_of_rows("value", table("value", [value_row("/a/b.png", None, 1.5)])),
    "no labels": lambda: night_of_rows("labels", table("labels", [])),
    "no values": lambda: night_of_rows("value", table("value", [])),
    "no embeddings": lambda: night_of_rows("embedding", table("embedding", [], Embedding(3))),
    "one value": lambda: night_of_rows("value", table("value", [value_row("/a/b.png", 1.0, 1.5)])),
    "hostile": hostile_night,
}
