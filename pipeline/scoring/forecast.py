"""What an image costs on this machine, and how long the night will take with that. Writes nothing into OUTPUT."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from pipeline.batches import EncodedBatch, ImageColumns
from pipeline.concurrency import cores
from pipeline.errors import GoldenMismatchError, UsageError
from pipeline.model.engines.tensorflow import Pixels
from pipeline.model.predict import MODEL_BATCH, Model, acquire
from pipeline.options import Precision
from pipeline.output import plan_file
from pipeline.output.commit import committed
from pipeline.output.plan_file import PlanTotals
from pipeline.output.run import Run
from pipeline.scoring.canary import CANARY_IMAGES, Canary, read_sample, try_images
from pipeline.scoring.planning import pin
from pipeline.scoring.process_pool import preprocess_outside
from pipeline.sources import images
from pipeline.units import WorkUnit

WORTH_IT = 1.1
"""bfloat16 is recommended if the model is so many times as fast with it: less is within what measuring is off by."""

ROW_COST = 3e-5
"""Seconds of one core for all else that happens to an image, its row above all; measured 3e-5 to 4e-5 on two cores."""

KEPT_BYTES = 64 << 20
"""Bytes of encoded images that are kept to measure the decoder with."""

DECODE_SECONDS = 0.3
PREDICT_SECONDS = 0.5
"""Seconds for which decoding and predicting are measured."""

ROUNDS = 3
"""Times that each precision is measured, in turn; the best counts, as others may use this machine as well."""


@dataclass(frozen=True)
class Costs:
    """What an image costs on this machine, in seconds.

    Attributes:
        start: before the first image: importing, loading the model.
        read: for which storage is waited, by each of those who read at once.
        readers: who read at once.
        decode: of one decoder.
        decoders: at work at once.
        predict: precision -> of all cores together at work on nothing else; float32 is always there.
        cores: of this machine.
    """

    start: float
    read: float
    readers: int
    decode: float
    decoders: int
    predict: Mapping[Precision, float]
    cores: int

    def seconds(self, images: int, precision: Precision) -> tuple[float, float]:
        """Return the shortest and the longest time for so many images.

        The shortest, if every step goes on beside the others and no core is ever idle; the longest, if the steps
        wait for each other.
        """
        read, decode, predict = self.read / self.readers, self.decode / self.decoders, self.predict[precision]
        best = max(read, decode, predict + (self.decode + ROW_COST) / self.cores)
        return self.start + images * best, self.start + images * (read + decode + predict + ROW_COST)

    @property
    def gain(self) -> float:
        """How many times as fast the model is in bfloat16; 0 where it cannot be had."""
        coarse = self.predict.get("bfloat16")
        return self.predict["float32"] / coarse if coarse else 0.0


def recommend(costs: Costs) -> str:
    """Return one line: which precision, and why."""
    if not costs.gain:
        return "--precision float32"
    if costs.gain < WORTH_IT:
        return f"--precision float32: with bfloat16 the model is {costs.gain:.1f} times as fast here"
    return f"--precision bfloat16: the same classes, and the model is {costs.gain:.1f} times as fast here"


@dataclass(frozen=True)
class Work:
    """What there is to do.

    Attributes:
        totals: of the plan.
        done: ids of the units that are committed.
        done_images: images in those.
    """

    totals: PlanTotals
    done: frozenset[str]
    done_images: int

    @classmethod
    def of(cls, scratch: Run, run: Run) -> Work:
        """Plan into another place than OUTPUT, and see what OUTPUT holds of it."""
        totals = pin(scratch)
        done = frozenset(committed(run).intersection(plan_file.read_ids(scratch)))
        return cls(totals, done, sum(unit.images or 0 for unit in plan_file.read_units(scratch, done)))

    @property
    def left(self) -> int:
        """Images to score, as far as known."""
        return self.totals.images - self.done_images


@dataclass(frozen=True)
class Rehearsal:
    """What became of the images of the canary, and what they leave to measure with.

    Attributes:
        canary: how many were tried, and which failed.
        pixels: uint8 [n, height, width, channels], of those that were decoded.
        encoded: some of those, as they are stored.
    """

    canary: Canary
    pixels: Pixels
    encoded: Sequence[bytes]


def rehearse(run: Run, done: frozenset[str]) -> Rehearsal:
    """Try the images of the canary, and keep those that can be decoded."""
    canary, kept = Canary(0, ()), 0
    pixels = [np.zeros((0, *run.spec.input.shape), np.uint8)]
    encoded: list[bytes] = []
    for tried in try_images(run, done):
        canary = canary.and_those(tried.images)
        good = np.flatnonzero(tried.pixels.images.ok)
        pixels.append(tried.pixels.pixels[good])
        for i in good.tolist():
            kept += len(tried.encoded.encoded[i])
            if kept <= KEPT_BYTES or not encoded:
                encoded.append(tried.encoded.encoded[i])
    return Rehearsal(canary, np.concatenate(pixels), encoded)


def load_models(run: Run) -> tuple[dict[Precision, Model], str]:
    """Return the model in the precisions that can be had, and why one of them cannot; "" where all can."""
    models = {run.options.precision: acquire(run.model, run.spec, run.options.precision)}
    try:
        for precision in ("float32", "bfloat16"):
            models[precision] = acquire(run.model, run.spec, precision)
    except (UsageError, GoldenMismatchError) as error:
        return models, str(error)
    return models, ""


def measure_costs(
    rehearsal: Rehearsal, work: Work, models: Mapping[Precision, Model], start: float, scratch: Run
) -> Costs:
    """Measure what an image costs here.

    Args:
        rehearsal: images to measure with, at least one.
        work: what there is to do.
        models: precision -> the model in it.
        start: seconds that loading these took.
        scratch: the run, at the place of its plan.
    """
    unit = _typical(work, scratch)
    predict = predict_costs(list(models.values()), rehearsal.pixels)
    return Costs(
        start=start,
        read=read_cost(unit, scratch),
        readers=count_readers(unit),
        decode=decode_cost(rehearsal.encoded, scratch),
        decoders=cores(),
        predict=dict(zip(models, predict, strict=True)),
        cores=cores(),
    )


def _typical(work: Work, scratch: Run) -> WorkUnit:
    """Return a unit from the middle of those that are not committed."""
    left = [unit for unit in plan_file.read_ids(scratch) if unit not in work.done]
    return next(plan_file.read_units(scratch, {left[len(left) // 2]}))


def read_cost(unit: WorkUnit, run: Run) -> float:
    """Return the seconds that one reader takes for an image of a unit, many of which it reads one after the other."""
    started = time.monotonic()
    n = sum(len(batch.images) for batch in read_sample(unit, CANARY_IMAGES, run))
    return (time.monotonic() - started) / max(1, n)


def count_readers(unit: WorkUnit) -> int:
    """Return how many processes read a unit: each of those that decode, or the one that holds a container open."""
    return cores() if unit.source == images.NAME else 1


def decode_cost(encoded: Sequence[bytes], run: Run) -> float:
    """Return the seconds that one decoder takes for an image of these."""
    together = EncodedBatch(ImageColumns.of([str(i) for i in range(len(encoded))]), encoded)
    return _repeat([lambda: preprocess_outside(together, run)], DECODE_SECONDS) / len(encoded)


def predict_costs(models: Sequence[Model], pixels: Pixels) -> list[float]:
    """Return for each model the seconds that an image takes with all cores at work."""
    batch = np.resize(pixels, (MODEL_BATCH, *pixels.shape[1:]))  # these images over and over
    best = [float("inf")] * len(models)
    for _ in range(ROUNDS):
        for i, model in enumerate(models):
            calls = [_call(model, batch)] * cores()
            best[i] = min(best[i], _repeat(calls, PREDICT_SECONDS) / MODEL_BATCH / cores())
    return best


def _call(model: Model, batch: Pixels) -> Callable[[], object]:
    return lambda: model.try_score(batch)


def _repeat(calls: Sequence[Callable[[], object]], seconds: float) -> float:
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
