"""The forecast measures what an image costs on this machine, and tells how long the night will take.

Writes nothing into OUTPUT.
"""

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
from pipeline.scoring.process_pool import preprocess_in_process
from pipeline.sources import images
from pipeline.units import WorkUnit

WORTH_IT = 1.1
"""Factor by which the model must be faster in bfloat16 for it to be recommended: less may be an error of measuring."""

ROW_COST = 3e-5
"""Seconds that one core needs for the rest of the work on an image, above all its row; measured 3e-5 to 4e-5."""

KEPT_BYTES = 64 << 20
"""Bytes of encoded images that stay in memory to measure the decoder with."""

DECODE_SECONDS = 0.3
"""Seconds for which decoding is measured."""

PREDICT_SECONDS = 0.5
"""Seconds for which predicting is measured, in each round."""

ROUNDS = 3
"""Number of times that each precision is measured, in turn; the best counts, as other programs may run here, too."""


@dataclass(frozen=True)
class Costs:
    """The seconds that an image costs on this machine, by step.

    Attributes:
        start: seconds before the first image: importing, and loading the model.
        read: seconds that one reader waits for storage, an image.
        readers: number of readers that work at the same time.
        decode: seconds that one decoder takes, an image.
        decoders: number of decoders that work at the same time.
        predict: precision -> seconds that all cores together take, an image; float32 is always there.
        cores: number of cores of this machine.
    """

    start: float
    read: float
    readers: int
    decode: float
    decoders: int
    predict: Mapping[Precision, float]
    cores: int

    def seconds(self, images: int, precision: Precision) -> tuple[float, float]:
        """Return the shortest and the longest time for a number of images, in seconds.

        The shortest holds if all steps run side by side and no core is ever idle; the longest, if each step waits for
        the one before.
        """
        read, decode, predict = self.read / self.readers, self.decode / self.decoders, self.predict[precision]
        best = max(read, decode, predict + (self.decode + ROW_COST) / self.cores)
        return self.start + images * best, self.start + images * (read + decode + predict + ROW_COST)

    @property
    def gain(self) -> float:
        """Speed of the model in bfloat16, divided by that in float32; 0 if this machine has no bfloat16."""
        coarse = self.predict.get("bfloat16")
        return self.predict["float32"] / coarse if coarse else 0.0


def recommend(costs: Costs) -> str:
    """Return one line: which precision to use, and why."""
    if not costs.gain:
        return "--precision float32"
    if costs.gain < WORTH_IT:
        return f"--precision float32: with bfloat16 the model is {costs.gain:.1f} times as fast here"
    return f"--precision bfloat16: the same classes, and the model is {costs.gain:.1f} times as fast here"


@dataclass(frozen=True)
class Work:
    """The units of a plan, and those of them that are committed.

    Attributes:
        totals: the totals of the plan.
        done: ids of the units that are committed.
        done_images: number of images in these.
    """

    totals: PlanTotals
    done: frozenset[str]
    done_images: int

    @classmethod
    def of(cls, scratch: Run, run: Run) -> Work:
        """Pin the plan of `scratch`, and look up which of its units are committed in the OUTPUT of `run`.

        Args:
            scratch: the run with another OUTPUT, into which the plan is written.
            run: the run with its own OUTPUT, into which nothing is written.
        """
        totals = pin(scratch)
        done = frozenset(committed(run).intersection(plan_file.read_ids(scratch)))
        return cls(totals, done, sum(unit.images or 0 for unit in plan_file.read_units(scratch, done)))

    @property
    def left(self) -> int:
        """Number of images to score, as far as it is known before reading."""
        return self.totals.images - self.done_images


@dataclass(frozen=True)
class Rehearsal:
    """The result of the canary, and its images to measure with.

    Attributes:
        canary: how many images were tried, and which failed.
        pixels: uint8 [n, height, width, channels], the images that could be decoded.
        encoded: the files of the first of these, KEPT_BYTES in all.
    """

    canary: Canary
    pixels: Pixels
    encoded: Sequence[bytes]


def rehearse(run: Run, done: frozenset[str]) -> Rehearsal:
    """Try the images of the canary, and return those that can be decoded to measure with."""
    canary, kept_bytes = Canary(0, ()), 0
    pixels = [np.zeros((0, *run.spec.input.shape), np.uint8)]
    encoded: list[bytes] = []
    for trial in try_images(run, done):
        canary = canary.with_images(trial.images)
        good = np.flatnonzero(trial.pixels.images.ok)
        pixels.append(trial.pixels.pixels[good])
        for i in good.tolist():
            kept_bytes += len(trial.encoded.encoded[i])
            if kept_bytes <= KEPT_BYTES or not encoded:
                encoded.append(trial.encoded.encoded[i])
    return Rehearsal(canary, np.concatenate(pixels), encoded)


def load_models(run: Run) -> tuple[dict[Precision, Model], str]:
    """Return the model in each precision that this machine has, and why it lacks one; "" if it has all."""
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
    """Measure what an image costs on this machine.

    Args:
        rehearsal: images to measure with, at least one.
        work: the units to score, at least one.
        models: precision -> the model, loaded in it.
        start: seconds that loading these took.
        scratch: the run with the OUTPUT that holds the plan.
    """
    unit = _middle_unit(work, scratch)
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


def _middle_unit(work: Work, scratch: Run) -> WorkUnit:
    """Return a unit from the middle of those that are not committed."""
    ids = [unit for unit in plan_file.read_ids(scratch) if unit not in work.done]
    return next(plan_file.read_units(scratch, {ids[len(ids) // 2]}))


def read_cost(unit: WorkUnit, run: Run) -> float:
    """Return the seconds that one reader takes for an image of a unit, if it reads many one after the other."""
    started = time.monotonic()
    n = sum(len(batch.images) for batch in read_sample(unit, CANARY_IMAGES, run))
    return (time.monotonic() - started) / max(1, n)


def count_readers(unit: WorkUnit) -> int:
    """Return how many readers work at the same time: one a core for image files, a single one for a container."""
    return cores() if unit.source == images.NAME else 1


def decode_cost(encoded: Sequence[bytes], run: Run) -> float:
    """Return the seconds that one decoder takes for one of these images, on average."""
    batch = EncodedBatch(ImageColumns.of([str(i) for i in range(len(encoded))]), encoded)
    return _repeat([lambda: preprocess_in_process(batch, run)], DECODE_SECONDS) / len(encoded)


def predict_costs(models: Sequence[Model], pixels: Pixels) -> list[float]:
    """Return for each model the seconds that an image takes while all cores predict."""
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
    """Repeat calls side by side, for at least so many seconds each; return the seconds that one call takes."""

    def repeat(call: Callable[[], object]) -> int:
        times = 0
        while not times or time.monotonic() < end:
            call()
            times += 1
        return times

    with ThreadPoolExecutor(len(calls), "measure") as pool:
        list(pool.map(lambda call: call(), calls))  # the first time is not like the others
        started = time.monotonic()
        end = started + seconds
        times = sum(pool.map(repeat, calls))
        return (time.monotonic() - started) * len(calls) / times
