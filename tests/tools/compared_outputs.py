"""Comparisons for tests of their page: of OUTPUTs made of given rows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from example_nights import picture
from learned_pixels import write_model
from task_rows import value_row
from written_output import Row, class_row, failed_row, write_output

from pipeline.comparison.compare import Compared, compare
from pipeline.metrics.comparison_figures import Comparison

HOSTILE = (
    "<script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    '"onmouseover="alert(1)',
    "{{7*7}}{% if %}&amp;",
    "\x1b[2J\u202egpj.exe",
    "two\nlines\r\ttab",
    "50%41 ünï 猫",
    "]]></svg><svg onload=alert(1)>",
)
"""Names of classes, folders and values that a page shows as text."""

KINDS = ("changed", "no labels", "values", "same", "1,000 classes", "some seen", "all seen")


def compared(kind: str, folder: Path) -> Compared:
    """Return a comparison of two OUTPUTs that are written to a folder; one of KINDS."""
    if kind == "values":
        spec = {"task": "value", "value_unit": 2.0**-10}
        for name, off in (("a", 1.0), ("b", 2.0)):
            rows = [{"status": "ok", **value_row(f"/archive/{i}.png", i, i + off * (i % 5))} for i in range(60)]
            write_output(folder / name, [rows], spec=spec)
        return compare(str(folder / "a"), str(folder / "b"))
    if kind in ("some seen", "all seen"):
        learned = write_model(folder / "model", range(60) if kind == "some seen" else range(200))
        _write(folder / "a", _rows(1, 0.7, 150, True), learned)
        _write(folder / "b", _rows(2, 0.9, 140, True))
        return compare(str(folder / "a"), str(folder / "b"))
    labelled = kind != "no labels"
    _write(folder / "a", _rows(1, 0.7, 150, labelled))
    _write(folder / "b", _rows(1 if kind == "same" else 2, 0.7 if kind == "same" else 0.9, 140, labelled))
    found = compare(str(folder / "a"), str(folder / "b"))
    return with_many_classes(found) if kind == "1,000 classes" else found


def with_many_classes(found: Compared, classes: int = 1_000, columns: int = 40) -> Compared:
    """Return a comparison of as many classes, and of many columns with many values, all with long names."""
    one, part = found.figures["classes"][0], found.figures["folders"][0]
    long = "&" * 5_000
    many: dict[str, Any] = {
        "classes": [{**one, "class": f"{HOSTILE[c % 8]}{c}{long}"} for c in range(classes)],
        "folders": [{**part, "name": f"{HOSTILE[c % 8]}{c}{long}"} for c in range(200)],
        "columns": [
            {"column": f"{c}{long}", "values": [{**part, "name": f"{v}{long}"} for v in range(200)]}
            for c in range(columns)
        ],
        "remarks": [long] * 5,
    }
    return Compared(cast(Comparison, {**found.figures, **many}), found.pictures)


def _write(folder: Path, rows: Sequence[Row], model: str = "/model") -> None:
    thumbnails = {row["key"]: picture(number) for number, row in enumerate(rows) if number % 10}
    units = [rows[start : start + 50] for start in range(0, len(rows), 50)]
    write_output(folder, units, HOSTILE, thumbnails, model=model, columns="camera", slice="camera")


def _rows(seed: int, accuracy: float, n: int, labelled: bool) -> list[Row]:
    chance = random.Random(seed)
    rows: list[Row] = []
    for i in range(n):
        right = i % len(HOSTILE)
        said = right if chance.random() < accuracy else (right + 1) % len(HOSTILE)
        best = chance.uniform(0.5, 0.99)
        scores = [best if c == said else (1 - best) / 7 for c in range(len(HOSTILE))]
        label = HOSTILE[(right + (i == 3 and seed == 2)) % 8] if labelled else None
        key = f"/archive/{HOSTILE[right]}/{i}.png"
        more = {"camera": HOSTILE[i % 3] if i % 4 else None, "pixel_hash": f"{i:016x}"}
        rows.append(failed_row(key) if chance.random() < 0.05 else class_row(key, scores, HOSTILE, label, **more))
    return rows
