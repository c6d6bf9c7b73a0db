"""The forecast measures what an image costs on this machine, and tells how long the night will take.

Writes nothing into OUTPUT.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from pipeline.batches import EncodedBatch, ImageColumns, PixelBatch
from pipeline.concurrency import cores
from pipeline.errors import GoldenMismatchError, UsageError
from pipeline.model.engines.choice import choose
from pipeline.model.engines.network import Pixels
from pipeline.model.input_rule import may_reduce
from pipeline.options import Engine
from pipeline.output import plan_file, records
from pipeline.output.commit import committed
from pipeline.output.plan_file import PlanTotals
from pipeline.output.run import Run
from pipeline.scoring.arrangement import arrange
from pipeline.scoring.canary import CANARY_IMAGES, Canary, read_sample, read_samples
from pipeline.scoring.piece import from_stream
from pipeline.scoring.planning import pin
from pipeline.scoring.process_pool import processes
from pipeline.scoring.requests import measure_in_process, preprocess_in_process, score_in_process
from pipeline.scoring.stored_before import images_before
from pipeline.scoring.ways import WAYS, Costs, Way
from pipeline.sources import images
from pipeline.task import WITH_CLASSES
from pipeline.units import WorkUnit

KEPT_BYTES = 64 << 20
"""Bytes of encoded images that stay in memory to measure the decoder with."""

DECODE_SECONDS = 0.3
"""Seconds for which decoding is measured."""

PREDICT_SECONDS = 0.5
"""Seconds for which predicting is measured, in each round."""

ROUNDS = 3
"""Number of times that each way is measured; the best counts, as other programs may run here, too."""

MEASURED_IMAGES = 64
"""Number of images that are scored again and again to measure a way."""


@dataclass(frozen=True)
class Work:
    """The units of a plan, and those of them that are committed.

    Attributes:
        totals: the totals of the plan.
        done: ids of the units that are committed.
        done_images: number of images in these.
        before: number of images that earlier runs into the same OUTPUT had stored; 0: none.
    """

    totals: PlanTotals
    done: frozenset[str]
    done_images: int
    before: int

    @classmethod
    def of(cls, scratch: Run, run: Run) -> Work:
        """Pin the plan of `scratch`, and look up which of its units are committed in the OUTPUT of `run`.

        Args:
            scratch: the run with another OUTPUT, into which the plan is written.
            run: the run with its own OUTPUT, into which nothing is written.
        """
        totals = pin(scratch)
        done = frozenset(committed(run).intersection(plan_file.read_ids(scratch)))
        done_images = sum(unit.images or 0 for unit in plan_file.read_units(scratch, done))
        night = records.night_before(run)
        before = max(images_before(run), night["images"] if night else 0)
        return cls(totals, done, done_images, before)

    @property
    def left(self) -> int:
        """Number of images to score, as far as it is known before reading."""
        return self.totals.images - self.done_images


@dataclass(frozen=True)
class Rehearsal:
    """The result of the canary, and its images to measure with.

    Attributes:
        canary: how many images were tried, and which failed.
        inputs: the images that could be decoded, or scored, as the model takes them.
        encoded: the files of the first of these, KEPT_BYTES in all.
    """

    canary: Canary
    inputs: Pixels
    encoded: Sequence[bytes]


def rehearse(run: Run, done: frozenset[str]) -> Rehearsal:
    """Try the images of the canary, and return those that can be decoded to measure with."""
    canary, kept_bytes = Canary(0, ()), 0
    inputs: list[Pixels] = []
    encoded: list[bytes] = []
    for batch in read_samples(run, done):
        scored = batch.images.failed(score_in_process(batch, run, ()).failures)
        canary = canary.with_images(scored)
        if run.spec.takes == "encoded":
            taken = PixelBatch.of_files(EncodedBatch(scored, batch.encoded))
        else:
            taken = preprocess_in_process(batch, run)
        good = np.flatnonzero(taken.images.ok)
        inputs.append(taken.inputs[good])
        for i in good.tolist():
            kept_bytes += len(batch.encoded[i])
            if kept_bytes <= KEPT_BYTES or not encoded:
                encoded.append(batch.encoded[i])
    return Rehearsal(canary, np.concatenate(inputs) if inputs else np.zeros(0, np.uint8), encoded)


@dataclass(frozen=True)
class Reduction:
    """What decoding JPEG files at a smaller scale would change, for a model that decodes them in full.

    Attributes:
        images: number of images that were tried.
        changed: number of these that get another class, or other labels.
        full: seconds that one process takes to decode an image in full.
        reduced: the same, at a smaller scale.
    """

    images: int
    changed: int
    full: float
    reduced: float


def try_reduced(rehearsal: Rehearsal, run: Run) -> Reduction | None:
    """Score the images of the canary once more, decoded at a smaller scale; None if that is no choice for the model.

    Of a value or an embedding nothing would tell whether it has changed too much.
    """
    if not may_reduce(run.spec.input) or run.spec.task not in WITH_CLASSES:
        return None
    column = "predicted" if run.spec.task == "classes" else "predicted_names"
    rule = replace(run.spec.input, decode="reduced")
    other = replace(run, spec=replace(run.spec, input=rule))
    batch = EncodedBatch.of(rehearsal.encoded)
    arrange(run)
    classes = from_stream(score_in_process(batch, run, ()).stream)[column].to_pylist()
    full = decode_cost(rehearsal.encoded, run)
    arrange(other)
    others = from_stream(score_in_process(batch, other, ()).stream)[column].to_pylist()
    changed = sum(one != another for one, another in zip(classes, others, strict=True))
    return Reduction(len(classes), changed, full, decode_cost(rehearsal.encoded, other))


def measure_ways(
    rehearsal: Rehearsal, scratch: Run, run: Run, begun_with: Engine | None
) -> tuple[dict[Way, float], dict[Way, str]]:
    """Return for each way the seconds that an image takes while all cores predict, and why others are impossible.

    Args:
        rehearsal: images to measure with, at least one.
        scratch: the run with another OUTPUT, into which the plan is written.
        run: the run with its own OUTPUT.
        begun_with: the engine that made what is in that OUTPUT, which rules out others; None: nothing is there.
    """
    costs: dict[Way, float] = {}
    absent: dict[Way, str] = {}
    for way in WAYS:
        if begun_with not in (None, way.engine):
            continue
        try:
            choose(replace(run.options, engine=way.engine, precision=way.precision), run.spec, begun_with)
            options = replace(scratch.options, engine=way.engine, precision=way.precision)
            costs[way] = predict_cost(replace(scratch, options=options), rehearsal.inputs)
        except (UsageError, GoldenMismatchError) as error:
            absent[way] = str(error)
    return costs, absent


def measure_costs(rehearsal: Rehearsal, work: Work, predict: Mapping[Way, float], start: float, scratch: Run) -> Costs:
    """Measure what else an image costs on this machine.

    Args:
        rehearsal: images to measure with, at least one.
        work: the units to score, at least one.
        predict: what an image costs in the model, by way.
        start: seconds that loading the model took.
        scratch: the run with the OUTPUT that holds the plan.
    """
    unit = _middle_unit(work, scratch)
    return Costs(
        start=start,
        read=read_cost(unit, scratch),
        readers=count_readers(unit),
        decode=decode_cost(rehearsal.encoded, scratch),
        predict=predict,
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
    """Return the seconds that one decoder takes for one of these images, on average; 0 if the model decodes them."""
    if run.spec.takes == "encoded":
        return 0.0
    batch = EncodedBatch.of(encoded)
    return _repeat(lambda: preprocess_in_process(batch, run), DECODE_SECONDS) / len(encoded)


def predict_cost(run: Run, inputs: Pixels) -> float:
    """Return the seconds that an image takes while all cores predict; the best of a few rounds."""
    many = np.resize(inputs, (MEASURED_IMAGES, *inputs.shape[1:]))  # these images over and over
    if run.spec.takes == "encoded":
        batch = PixelBatch.of_files(EncodedBatch.of(many.tolist()))
    else:
        batch = PixelBatch(ImageColumns.of([str(i) for i in range(len(many))]), many)
    arrange(run)
    at_once = max(1, processes().scorers)
    rates = [0.0]
    with ThreadPoolExecutor(at_once, "measure") as pool:
        for _ in range(ROUNDS):
            taken = pool.map(lambda _: measure_in_process(batch, run, PREDICT_SECONDS), range(at_once))
            rates.append(sum(1 / seconds for seconds in taken))
    return 1 / max(rates)


def _repeat(call: Callable[[], object], seconds: float) -> float:
    """Repeat a call for at least so many seconds; return the seconds that one call takes."""
    call()  # the first time is not like the others
    times, started = 0, time.monotonic()
    while not times or time.monotonic() < started + seconds:
        call()
        times += 1
    return (time.monotonic() - started) / times
