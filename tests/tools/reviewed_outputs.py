"""OUTPUT folders for tests of the review's part of report.html: of given rows, one of every kind of night."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from example_nights import HOSTILE, picture
from task_rows import NAMES, embedding_row, label_row, value_row
from written_output import MODEL_ID, Row, class_row, failed_row, write_output

from pipeline.model.input_rule import InputSpec
from pipeline.model.pixel_hash import rule_id
from pipeline.model.trained_on import FOLDER, TrainedOn
from pipeline.task import Embedding

LOOKS = tuple(int(n) for n in np.random.default_rng(7).integers(0, 1 << 62, 1_000))
"""Perceptual hashes that are far from each other."""


def class_rows(
    n: int,
    names: tuple[str, ...] = NAMES,
    labelled: int | None = None,
    wrong: int = 7,
    hostile: bool = False,
) -> list[Row]:
    """Return rows of a model of classes: among them copies with different labels, images that look alike, odd ones.

    Args:
        n: number of rows.
        names: of the classes.
        labelled: number of rows with a label, the first ones; None: all.
        wrong: each `wrong`-th prediction is none of the label; 0: all are right. Half of these are sure of it.
        hostile: whether keys are as bad as names get.
    """
    rows: list[Row] = []
    for i in range(n):
        label = i % len(names)
        is_wrong = wrong > 0 and i % wrong == 3
        predicted = (label + 1) % len(names) if is_wrong else label
        score = (0.6 if i % 2 else 0.97) if is_wrong else 0.9 + i % 100 / 1_010
        scores = np.full(len(names), (1 - score) / max(1, len(names) - 1))
        scores[predicted] = score
        key = f"/archive/{label}/{HOSTILE[i % 6] if hostile and i % 5 == 0 else ''}{i:04}.png"
        facts = {
            "pixel_hash": f"{1_000 + (i - 1 if i % 40 == 21 else i):016x}",
            "perceptual_hash": f"{LOOKS[i] if i % 50 != 11 else LOOKS[i - 1] ^ 1:016x}",
            "width": 28 if i % 150 != 4 else 2_000,
            "height": 28,
            "brightness": 0.01 if i % 150 == 5 else 0.5,
            "contrast": 0.0 if i % 150 == 6 else 0.2,
            "entropy": 6.0,
        }
        own = names[label] if labelled is None or i < labelled else None
        rows.append(class_row(key, scores, names, own, **facts))
    return rows


def _night(folder: Path, rows: list[Row], names: tuple[str, ...] = NAMES, **options: Any) -> None:
    failed = [failed_row(f"/archive/9/broken{i}.png") for i in range(2 if len(rows) > 1 else 0)]
    pictures = {row["key"]: picture(i) for i, row in enumerate(rows)}
    options = {"max_failed_fraction": 1.0, "pixel_facts": True, **options}
    write_output(folder, [[*rows[: len(rows) // 2], *failed], rows[len(rows) // 2 :]], names, pictures, **options)


def _learned(folder: Path, rows: list[Row], of: range, **options: Any) -> None:
    """Write a night whose model has learned from some images of `class_rows`."""
    hashes = np.array([1_000 + i for i in of], np.uint64)
    trained = TrainedOn.of({"train": hashes}, rule_id(InputSpec(28, 28, "grayscale")), MODEL_ID)
    place = folder / "model" / "training" / FOLDER
    place.mkdir(parents=True)
    for name, data in trained.files().items():
        (place / name).write_bytes(data)
    _night(folder, rows, model=str(folder / "model"), **options)


def _labels(folder: Path) -> None:
    rows = [label_row(f"/archive/{i}", [NAMES[i % 3]], [0.1 + i % 4 * 0.2, 0.6, 0.2, 0.1]) for i in range(40)]
    every = [{"status": "ok", **row, "pixel_hash": f"{i // 2:016x}"} for i, row in enumerate(rows)]
    write_output(folder, [every], NAMES, spec={"task": "labels", "thresholds": (0.5,) * 4})


def _values(folder: Path) -> None:
    rows = [value_row(f"/archive/{i}", float(i), i + i % 5 - 2.0) for i in range(40)]
    every = [{"status": "ok", **row, "pixel_hash": f"{i // 2:016x}"} for i, row in enumerate(rows)]
    write_output(folder, [every], spec={"task": "value", "value_unit": 2.0**-10})


def _embeddings(folder: Path) -> None:
    rows = [embedding_row(f"/archive/{i}", [i, 1.0]) for i in range(40)]
    every = [{"status": "ok", **row, "pixel_hash": f"{i // 2:016x}"} for i, row in enumerate(rows)]
    write_output(folder, [every], spec={"task": "embedding", "embedding": Embedding(2)})


MANY = tuple(f"class {c}{HOSTILE[c % 6]}" for c in range(1_000))

REVIEWED: Mapping[str, Callable[[Path], None]] = {
    "accepted": lambda folder: _night(folder, class_rows(450, hostile=True), accept_accuracy=0.9),
    "given score": lambda folder: _night(folder, class_rows(450), accept_score=0.95),
    "could be accepted": lambda folder: _night(folder, class_rows(450, wrong=0)),
    "not reached": lambda folder: _night(folder, class_rows(450), accept_accuracy=0.99),
    "few labels": lambda folder: _night(folder, class_rows(150, labelled=30)),
    "no labels": lambda folder: _night(folder, class_rows(150, labelled=0), accept_accuracy=0.9),
    "no labels, given score": lambda folder: _night(folder, class_rows(150, labelled=0), accept_score=0.95),
    "learned from some": lambda folder: _learned(folder, class_rows(450), range(150), accept_accuracy=0.9),
    "learned from all": lambda folder: _learned(folder, class_rows(150), range(150)),
    "one image": lambda folder: _night(folder, class_rows(1)),
    "one class": lambda folder: _night(folder, class_rows(100, NAMES[:1], wrong=0), NAMES[:1]),
    "all failed": lambda folder: _night(folder, [failed_row(f"/archive/{i}.png") for i in range(9)]),
    "labels": _labels,
    "values": _values,
    "embeddings": _embeddings,
    "1,000 classes": lambda folder: _night(folder, class_rows(1_000, MANY, wrong=4, hostile=True), MANY),
}
"""Name of a kind of night -> what writes such an OUTPUT to a folder."""


def reviewed_page(kind: str, folder: Path) -> str:
    """Write an OUTPUT of a kind of REVIEWED to a folder, and return its report.html."""
    REVIEWED[kind](folder)
    return (folder / "report.html").read_text(encoding="utf-8")
