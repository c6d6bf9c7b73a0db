"""OUTPUT folders of archives that are there: planned and read as a run does, with predictions that a test chooses."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from written_output import MODEL_ID, Row, class_row, failed_row, write_output

from pipeline import sources
from pipeline.model.input_rule import InputSpec
from pipeline.model.spec import ModelSpec
from pipeline.model.stored_facts import format_of
from pipeline.options import ScoreOptions
from pipeline.output.run import Run
from pipeline.scoring.planning import units_of
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.skipped import Skipped

NAMES = ("cat", "dog")


def picture(n: int) -> bytes:
    """Return a small PNG file of one gray."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((2, 3), n, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


FILES: Mapping[str, bytes] = {f"site {n % 3}/größe {n}.png": picture(n) for n in range(12)} | {
    "site 1/broken.jpg": b"\xff\xd8\xff no"
}
"""Name of an image in an archive -> its bytes, one of them broken."""


def write_folder(folder: Path) -> Path:
    """Write `FILES` into a folder, and return it."""
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


Predict = Callable[[str], Mapping[str, Any]]
"""Takes the key of an image and returns arguments of `class_row` besides its key and the names."""


def by_number(key: str) -> Mapping[str, Any]:
    """Return the prediction of an image: a dog if the bytes of its key add up to an even number."""
    return {"scores": (0.25, 0.75) if sum(key.encode()) % 2 == 0 else (0.75, 0.25)}


def write_archive_output(
    folder: Path, *inputs: Path, predict: Predict = by_number, names: Sequence[str] = NAMES, **options: Any
) -> Run:
    """Write the OUTPUT of inputs; an image that cannot be read has a failed row.

    Args:
        folder: becomes OUTPUT.
        inputs: files or folders.
        predict: says what the model gives.
        names: of the classes.
        options: further options of the run.
    """
    asked = ScoreOptions(tuple(map(str, inputs)), "/model", str(folder), **{"engine": "litert", **options})
    spec = ModelSpec(InputSpec(28, 28, "grayscale"), names, model_id=MODEL_ID)
    run = Run.of("20260101T000000-run", asked, spec)
    planned = list(units_of(run, Skipped()))
    rows = [list(_rows(replace(unit), run, predict, names)) for unit in planned]
    more = {name: value for name, value in vars(asked).items() if name not in ("input", "model", "output")}
    return write_output(
        folder, rows, names, input_name=str(inputs[0]), planned=planned, inputs=tuple(map(str, inputs)), **more
    )


def _rows(unit: Any, run: Run, predict: Predict, names: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    for batch in sources.read(unit, ReadRule.of_names(run.options)):
        for i, key in enumerate(batch.images.keys):
            if i in batch.images.failures:
                rows.append(failed_row(key, "read", batch.images.failures[i].code))
            else:
                data = batch.encoded[i]
                about = {"names": names, "format": format_of(data), "bytes": len(data), **predict(key)}
                rows.append(class_row(key, **about))
    return rows
