"""The pull generator that scores work units: read, preprocess, predict, commit.

It is what a script calls, where a debugger starts, and what the DoFn runs. Batches, not units, are looked ahead: a
pool reads and decodes the next ones while Python threads predict and one thread commits the last unit. Knows no Beam.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from pipeline import sources
from pipeline.batches import EncodedBatch, PixelBatch, PredictionBatch
from pipeline.commit import Aside, Receipt, commit, recall
from pipeline.concurrency import ahead, pools
from pipeline.errors import TransientError
from pipeline.predict import Model, acquire, predict
from pipeline.preprocess import preprocess
from pipeline.progress import tally
from pipeline.rows import PartWriter, to_table
from pipeline.run import Run
from pipeline.units import WorkUnit

RECALLS_AHEAD = 8
DECODES_AHEAD = 4
PREDICTIONS_AHEAD = 4
COMMITS_AHEAD = 1
SMALL_IMAGE = 8 << 10
"""Below so many encoded bytes an image, two decoding threads are slower than one (Pillow holds the GIL)."""


@dataclass(frozen=True)
class Unfinished:
    """A unit without a part and a receipt, because storage failed for longer than it was waited for.

    Attributes:
        unit: its id.
        images: rows it would have, None where unknown.
        error: what failed, one line.
    """

    unit: str
    images: int | None
    error: str


@dataclass(frozen=True)
class _End:
    """After a unit's last batch; with an error where reading it broke off."""

    error: TransientError | None = None


@dataclass
class _Open:
    """A unit whose rows are being collected."""

    unit: WorkUnit
    writer: PartWriter
    thumbnails: dict[int, bytes] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)


_Step = tuple[WorkUnit, EncodedBatch | PixelBatch | PredictionBatch | _End]
"""A unit with its next batch, or with its end."""


def score(units: Iterable[WorkUnit], run: Run) -> Iterator[Receipt | Unfinished]:
    """Yield one receipt a unit: the one that is there, or that of scoring it now.

    Calling it again, here or anywhere, is safe at any time: parts and receipts are created once. The model is
    acquired when the first unit needs it. Leaving the generator ends all that is under way.

    Raises:
        GoldenMismatchError: this machine does not reproduce the model's golden images.
    """
    todo: list[WorkUnit] = []
    with closing(ahead(lambda unit: _recall(unit, run), units, RECALLS_AHEAD, pools().read)) as recalled:
        for unit, found in recalled:
            if found is None:
                todo.append(unit)
                continue
            if isinstance(found, Receipt):
                tally().add(kept=found.rows)
            yield found
    if todo:
        yield from _score_new(todo, run)


def _recall(unit: WorkUnit, run: Run) -> tuple[WorkUnit, Receipt | Unfinished | None]:
    try:
        return unit, recall(unit, run)
    except TransientError as error:
        return unit, Unfinished(unit.id, unit.images, str(error))


def _score_new(units: Sequence[WorkUnit], run: Run) -> Iterator[Receipt | Unfinished]:
    model = acquire(run.model, run.spec)
    pool = pools()
    decoder = pool.decode_one if _mean_size(units) < SMALL_IMAGE else pool.decode
    pixels = ahead(lambda step: _preprocess(step, run), _read(units, run), DECODES_AHEAD, decoder)
    predictions = ahead(lambda step: _predict(step, model, run), pixels, PREDICTIONS_AHEAD, pool.predict)
    with closing(
        ahead(lambda done: _commit(*done, run), _collect(predictions, run), COMMITS_AHEAD, pool.commit)
    ) as done:
        yield from done


def _mean_size(units: Sequence[WorkUnit]) -> float:
    """Return the mean encoded bytes of an image, as far as the plan tells."""
    counted = [unit for unit in units if unit.images]
    return sum(unit.bytes for unit in counted) / max(1, sum(unit.images or 0 for unit in counted))


def _read(units: Iterable[WorkUnit], run: Run) -> Iterator[_Step]:
    for unit in units:
        end = _End()
        try:
            with closing(sources.read(unit, run)) as batches:
                for batch in batches:
                    yield unit, batch
        except TransientError as error:
            end = _End(error)
        yield unit, end


def _preprocess(step: _Step, run: Run) -> _Step:
    unit, batch = step
    return unit, preprocess(batch, run.spec.input, run.options.max_pixels) if isinstance(batch, EncodedBatch) else batch


def _predict(step: _Step, model: Model, run: Run) -> _Step:
    unit, batch = step
    return unit, predict(batch, model, run.top_k) if isinstance(batch, PixelBatch) else batch


def _collect(steps: Generator[_Step, None, None], run: Run) -> Iterator[tuple[_Open, TransientError | None]]:
    """Gather each unit's batches into its part."""
    current: _Open | None = None
    with closing(steps):
        for unit, batch in steps:
            if current is None:
                current = _Open(unit, PartWriter(run.options.format))
            if isinstance(batch, PredictionBatch):
                current.thumbnails |= {current.writer.rows + i: png for i, png in batch.thumbnails.items()}
                current.writer.add(to_table(batch, run.spec.class_names))
                tally().add(scored=len(batch.images), failed=len(batch.images.failures))
            elif isinstance(batch, _End):
                yield current, batch.error
                current = None


def _commit(done: _Open, error: TransientError | None, run: Run) -> Receipt | Unfinished:
    unit = done.unit
    if error is None:
        try:
            return commit(unit, done.writer.close(), run, Aside(time.monotonic() - done.started, done.thumbnails))
        except TransientError as failed:
            error = failed
    return Unfinished(unit.id, unit.images, str(error))
