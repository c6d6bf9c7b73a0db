"""This module makes a unit's part, and the receipt that it deserves: from the rows of its pieces, or from its images.

It runs in a local process: the run itself does not look into rows. Must not know where parts are stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from pipeline.batches import Failure, PixelBatch
from pipeline.model.loaded import Model
from pipeline.model.predict import Range, predict
from pipeline.output.receipts import Extras, Receipt, receipt_of
from pipeline.output.rows import PartWriter, PatchWriter, read_part, to_table
from pipeline.output.run import Run
from pipeline.scoring.pictures import draw
from pipeline.scoring.piece import from_stream
from pipeline.units import WorkUnit


@dataclass(frozen=True)
class ScoredUnit:
    """A unit that was scored as a whole, and is to be committed.

    Attributes:
        part: its rows, in their file format.
        receipt: of that part, with the pictures of the images that it names.
        failures: number of a row -> why it has no prediction.
        rescored: number of images that were scored a second time, in float32.
        seconds: seconds spent on it, by step.
    """

    part: bytes | memoryview
    receipt: Receipt
    failures: Mapping[int, Failure]
    rescored: int
    seconds: Mapping[str, float]


def make_part(
    unit: WorkUnit, streams: Sequence[bytes | memoryview], replaced: Sequence[int], run: Run
) -> tuple[bytes, Receipt]:
    """Return the bytes of a part and its receipt, which still lacks what the part does not tell.

    Args:
        unit: whose part it is.
        streams: the rows of its pieces, in their order, each as an Arrow stream; if rows are replaced, the first one is
            the part that is there, in its own file format.
        replaced: numbers of the rows that the new ones replace, sorted; empty: the new rows are the part.
        run: that it belongs to.

    Raises:
        DamagedPartError: there are not as many rows as the unit has images, or not those that are to be replaced.
    """
    schema, form = run.schema, run.options.format
    if not replaced:
        return _finished(unit, PartWriter(form, schema), map(from_stream, streams), run)
    there = read_part(bytes(streams[0]), form, schema, run.part(unit.id))
    return _finished(unit, PatchWriter(there, replaced, form, schema), map(from_stream, streams[1:]), run)


def make_unit(
    unit: WorkUnit,
    pixels: PixelBatch,
    model: Model,
    run: Run,
    begin: Callable[[int, int], None] = lambda first, stop: None,
    alone: Sequence[Range] = (),
    begin_picture: Callable[[int, int], None] = lambda first, stop: None,
) -> ScoredUnit:
    """Score all images of a unit, and make its part: the same bytes as of its pieces.

    Args:
        unit: whose images they are.
        pixels: the images, as the model takes them.
        model: of the run.
        run: whose options say what a row holds.
        begin: see `pipeline.model.predict.predict`.
        alone: see `pipeline.model.predict.predict`.
        begin_picture: see `pipeline.scoring.pictures.draw`.

    Raises:
        DamagedPartError: there are not as many images as the unit has.
    """
    started = time.monotonic()
    batch = predict(pixels, model, run.top_k, begin, alone)
    after_predict = time.monotonic()
    schema, failures = run.schema, batch.images.failures
    rows = to_table(batch, run.spec.class_names, schema, run.options.passed)
    part, receipt = _finished(unit, PartWriter(run.options.format, schema), [rows], run)
    has_pixels = (row for row in receipt.pictured if row not in failures or failures[row].stage == "predict")
    chosen = [] if run.options.no_pictures else sorted(has_pixels)
    pictures = draw(pixels, chosen, run.spec.input, begin_picture, receipt.enlarged)
    receipt = replace(receipt, extras=Extras(thumbnails={**pictures.small, **pictures.large}))
    seconds = {**pixels.seconds, "predict": after_predict - started, "commit": time.monotonic() - after_predict}
    return ScoredUnit(part, receipt, failures, batch.rescored, seconds)


def _finished(
    unit: WorkUnit, writer: PartWriter | PatchWriter, tables: Iterable[pa.Table], run: Run
) -> tuple[bytes, Receipt]:
    for rows in tables:
        writer.add(rows)
    part = writer.close()
    return part, receipt_of(unit, part, run, Extras())
