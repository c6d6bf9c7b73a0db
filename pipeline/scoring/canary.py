"""A few images first: 64, spread over the plan, through the real path and into nothing.

Tells a wrong model, a wrong key or an archive of garbage from a night's work, before the night. The forecast looks at
the same images. Writes nothing.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from pipeline import sources
from pipeline.batches import EncodedBatch, Failure, ImageColumns, PixelBatch
from pipeline.errors import TransientError
from pipeline.model.predict import acquire, predict
from pipeline.output.plan_file import read_ids, read_units
from pipeline.output.run import Run
from pipeline.scoring.planning import read_rule
from pipeline.scoring.process_pool import preprocess_outside
from pipeline.text import brief
from pipeline.units import WorkUnit

CANARY_IMAGES = 64
"""Images that are tried before all others."""


@dataclass(frozen=True)
class Canary:
    """What became of the canary.

    Attributes:
        images: tried.
        failures: of those, as (key, why).
    """

    images: int
    failures: Sequence[tuple[str, Failure]]

    @property
    def alarming(self) -> bool:
        """Whether more than half failed."""
        return 2 * len(self.failures) > self.images

    def reason(self) -> str:
        """Return one line: how many failed, the most frequent reasons, an example of each."""
        counts = Counter((failure.stage, failure.code) for _, failure in self.failures)
        examples = {(failure.stage, failure.code): (key, failure.message) for key, failure in reversed(self.failures)}
        reasons = "; ".join(
            f"{n} x {code} in {stage}, such as {brief(examples[stage, code][0])}: {examples[stage, code][1]}"
            for (stage, code), n in counts.most_common(3)
        )
        return (
            f"canary: {len(self.failures)} of {self.images} images failed, so nothing was scored ({reasons}); "
            "check --input and --model, or score all the same with --no_canary"
        )

    def and_those(self, images: ImageColumns) -> Canary:
        """Return the same with the images of one more batch."""
        failed = [(images.keys[i], failure) for i, failure in sorted(images.failures.items())]
        return Canary(self.images + len(images), [*self.failures, *failed])


@dataclass(frozen=True)
class Tried:
    """A batch of images that went through the real path.

    Attributes:
        encoded: the images as they are stored.
        pixels: the images as the model took them.
        images: who they are, and which have failed at last.
    """

    encoded: EncodedBatch
    pixels: PixelBatch
    images: ImageColumns


def send_canary(run: Run, done: Container[str]) -> Canary:
    """Try a few images of the pinned plan, and say how many fail.

    Args:
        run: whose plan it is.
        done: ids of units that are committed, and so not tried.
    """
    canary = Canary(0, ())
    for tried in try_images(run, done):
        canary = canary.and_those(tried.images)
    return canary


def try_images(run: Run, done: Container[str]) -> Iterator[Tried]:
    """Read, decode and predict the images of the canary; what storage does not give for now is left out."""
    shares = spread([unit for unit in read_ids(run) if unit not in done])
    for unit in read_units(run, shares):
        for batch in read_sample(unit, shares[unit.id], run):
            pixels = preprocess_outside(batch, run)
            model = acquire(run.model, run.spec, run.options.precision)
            yield Tried(batch, pixels, predict(pixels, model, run.top_k).images)


def read_sample(unit: WorkUnit, images: int, run: Run) -> list[EncodedBatch]:
    """Return at most so many images of a unit; none if storage fails for now."""
    sample = sources.sample(unit, images)
    with contextlib.suppress(TransientError), closing(sources.read(sample, read_rule(run))) as batches:
        return list(batches)
    return []


def spread(ids: Sequence[str], n: int = CANARY_IMAGES) -> dict[str, int]:
    """Return how many images of which units make a sample of n: evenly spread units, equal shares.

    >>> spread(["a", "b", "c", "d"], 2), spread(["a", "b"], 5)
    ({'a': 1, 'c': 1}, {'a': 3, 'b': 2})
    """
    chosen = [ids[i * len(ids) // n] for i in range(n)] if len(ids) > n else list(ids)
    each, more = divmod(n, max(1, len(chosen)))
    return {unit: each + (i < more) for i, unit in enumerate(chosen)}
