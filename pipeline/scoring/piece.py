"""This module makes the rows of a piece: a few images that were decoded are scored and become rows and pictures.

It is the same in a local process and, where the model runs on a GPU, in a thread of the run. Must not know where it
runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.batches import Failure, PixelBatch
from pipeline.metrics.task_examples import AnyCandidate
from pipeline.model.loaded import Model
from pipeline.model.predict import Range, predict
from pipeline.output.rows import to_table
from pipeline.output.run import Run
from pipeline.scoring.pictures import Pictures, choose, choose_rows, draw


@dataclass(frozen=True)
class PieceRows:
    """The rows of a piece, as a run keeps them until its unit is whole: it does not look into them.

    Attributes:
        stream: the rows as an Arrow stream, in the row schema of the run.
        count: number of rows.
        failures: index of an image -> why it has no prediction.
        pictures: of images that the report may show.
        examples: images that enter the lists of the unit.
        rescored: number of images that were scored a second time, in float32.
        seconds: seconds spent on it, by step.
    """

    stream: bytes | memoryview
    count: int
    failures: Mapping[int, Failure]
    pictures: Pictures
    examples: Sequence[AnyCandidate]
    rescored: int
    seconds: Mapping[str, float]


def make_rows(
    pixels: PixelBatch,
    model: Model,
    run: Run,
    examples: Sequence[AnyCandidate],
    begin: Callable[[int, int], None] = lambda first, stop: None,
    alone: Sequence[Range] = (),
    begin_picture: Callable[[int, int], None] = lambda first, stop: None,
) -> PieceRows:
    """Score a piece and return its rows.

    Args:
        pixels: the images, as the model takes them.
        model: of the run.
        run: whose options say what a row holds.
        examples: the images that the lists of the unit hold so far.
        begin: see `pipeline.model.predict.predict`.
        alone: see `pipeline.model.predict.predict`.
        begin_picture: see `pipeline.scoring.pictures.draw`.
    """
    started = time.monotonic()
    batch = predict(pixels, model, run.top_k, begin, alone)
    after_predict = time.monotonic()
    rows = to_table(batch, run.spec.class_names, run.schema, run.options.passed)
    is_of_classes = run.spec.task == "classes"
    chosen = choose(batch, examples) if is_of_classes else choose_rows(rows, run.metrics, batch, examples)
    pictured = [] if run.options.no_pictures else chosen.pictured
    pictures = draw(pixels, pictured, run.spec.input, begin_picture, chosen.enlarged)
    stream = to_stream(rows)
    seconds = {**pixels.seconds, "predict": after_predict - started, "commit": time.monotonic() - after_predict}
    n, failures = len(batch.images), batch.images.failures
    return PieceRows(stream, n, failures, pictures, chosen.entered, batch.rescored, seconds)


def measure(pixels: PixelBatch, model: Model, run: Run, seconds: float) -> float:
    """Score the same images again and again for so many seconds; return the seconds that one image takes."""
    images, started = 0, time.monotonic()
    while not images or time.monotonic() - started < seconds:
        predict(pixels, model, run.top_k)
        images += len(pixels.images)
    return (time.monotonic() - started) / images


def to_stream(rows: pa.Table) -> bytes:
    """Return rows as an Arrow stream (https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format)."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def from_stream(stream: bytes | memoryview) -> pa.Table:
    """Return the rows that `to_stream` wrote, without copying them."""
    with pa.ipc.open_stream(pa.py_buffer(stream)) as reader:
        return reader.read_all()
