"""A few images through the real path, to see what becomes of them and what they cost. Writes nothing but a tally."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from pipeline import sources
from pipeline.batches import EncodedBatch, Failure, ImageColumns
from pipeline.concurrency import cores
from pipeline.errors import TransientError
from pipeline.model.engines.tensorflow import Pixels
from pipeline.model.predict import MODEL_BATCH, Model, predict
from pipeline.output.run import Run
from pipeline.scoring.canary import CANARY_IMAGES, Canary
from pipeline.scoring.planning import read_rule
from pipeline.scoring.process_pool import preprocess_outside
from pipeline.sources import images
from pipeline.units import WorkUnit

KEPT_BYTES = 64 << 20
DECODE_SECONDS = 0.3
PREDICT_SECONDS = 0.5
ROUNDS = 3
"""Each precision is measured so often, in turn, and the best counts: others may use this machine as well."""


@dataclass(frozen=True)
class Rehearsal:
    """What became of a few images.

    Attributes:
        canary: how many, and which failed.
        pixels: of those that were decoded.
        encoded: some of those, as they are stored.
    """

    canary: Canary
    pixels: Pixels
    encoded: Sequence[bytes]


def rehearse(units: Iterable[WorkUnit], model: Model, run: Run) -> Rehearsal:
    """Read, decode and predict the images of a few small units; what storage does not give for now is left out."""
    tried, kept = 0, 0
    failures: list[tuple[str, Failure]] = []
    pixels = [np.zeros((0, *run.spec.input.shape), np.uint8)]
    encoded: list[bytes] = []
    for unit in units:
        for batch in _read(unit, run):
            decoded = preprocess_outside(batch, run)
            who = predict(decoded, model, run.top_k).images
            tried += len(who)
            failures += [(who.keys[i], failure) for i, failure in sorted(who.failures.items())]
            good = np.flatnonzero(decoded.images.ok)
            pixels.append(decoded.pixels[good])
            for i in good.tolist():
                kept += len(batch.encoded[i])
                if kept <= KEPT_BYTES or not encoded:
                    encoded.append(batch.encoded[i])
    return Rehearsal(Canary(tried, failures), np.concatenate(pixels), encoded)


def _read(unit: WorkUnit, run: Run) -> list[EncodedBatch]:
    with contextlib.suppress(TransientError), closing(sources.read(unit, read_rule(run))) as batches:
        return list(batches)
    return []


def read_cost(unit: WorkUnit, run: Run) -> float:
    """Return the seconds that one reader takes for an image of a unit, many of which it reads one after the other."""
    some = sources.sample(unit, CANARY_IMAGES)
    started = time.monotonic()
    n = sum(len(batch.images) for batch in _read(some, run))
    return (time.monotonic() - started) / max(1, n)


def readers(unit: WorkUnit) -> int:
    """Return how many processes read a unit: each of those that decode, or the one that holds a container open."""
    return cores() if unit.source == images.NAME else 1


def decode_cost(encoded: Sequence[bytes], run: Run) -> float:
    """Return the seconds that one decoder takes for an image of these."""
    together = EncodedBatch(ImageColumns.of([str(i) for i in range(len(encoded))]), encoded)
    return _repeated([lambda: preprocess_outside(together, run)], DECODE_SECONDS) / len(encoded)


def predict_costs(models: Sequence[Model], pixels: Pixels) -> list[float]:
    """Return for each model the seconds that an image takes with all cores at work."""
    batch = np.resize(pixels, (MODEL_BATCH, *pixels.shape[1:]))  # these images over and over
    best = [float("inf")] * len(models)
    for _ in range(ROUNDS):
        for i, model in enumerate(models):
            calls = [_call(model, batch)] * cores()
            best[i] = min(best[i], _repeated(calls, PREDICT_SECONDS) / MODEL_BATCH / cores())
    return best


def _call(model: Model, batch: Pixels) -> Callable[[], object]:
    return lambda: model.try_score(batch)


def _repeated(calls: Sequence[Callable[[], object]], seconds: float) -> float:
    """Make calls side by side, each again and again for so many seconds, and return how long each took a time."""

    def again(call: Callable[[], object]) -> int:
        times = 0
        while not times or time.monotonic() < end:
            call()
            times += 1
        return times

    with ThreadPoolExecutor(len(calls), "measure") as pool:
        list(pool.map(lambda call: call(), calls))  # the first time is not like the others
        started = time.monotonic()
        end = started + seconds
        times = sum(pool.map(again, calls))
        return (time.monotonic() - started) * len(calls) / times
