"""The canary scores a few images, spread over the plan, before all others, and throws their predictions away.

It tries 16 images, and if one of these fails, 64. If more than half of them fail, the model, a key or the archive is
wrong, and the night is better not begun. The forecast uses the 64. Writes nothing.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from pipeline import sources
from pipeline.batches import EncodedBatch, Failure, ImageColumns
from pipeline.concurrency import ahead, cores, pools
from pipeline.errors import TransientError
from pipeline.formatting import briefly_why
from pipeline.output.plan_file import read_ids, read_units
from pipeline.output.run import Run
from pipeline.scoring.planning import read_rule
from pipeline.scoring.requests import score_in_process
from pipeline.text import brief
from pipeline.units import WorkUnit

CANARY_IMAGES = 64
"""Number of images that are tried before all others, if one of the first fails."""

FIRST_IMAGES = 16
"""Number of images that are tried first.

If half of an archive is bad, all of them are good once in 65,000 times. Of 300 photographs, 64 are a fifth of the work.
"""


@dataclass(frozen=True)
class Canary:
    """The result of trying a few images.

    Attributes:
        images: number of images that were tried.
        failures: (key, why) of each of these that failed.
    """

    images: int
    failures: Sequence[tuple[str, Failure]]

    @property
    def alarming(self) -> bool:
        """Whether more than half of the images failed."""
        return 2 * len(self.failures) > self.images

    def reason(self) -> str:
        """Return one line: how many images failed, the most frequent reasons, and an example of each."""
        counts = Counter((failure.stage, failure.code) for _, failure in self.failures)
        examples = {(failure.stage, failure.code): (key, failure.message) for key, failure in reversed(self.failures)}
        reasons = "; ".join(
            f"{n} {briefly_why(stage, code)}, such as {brief(examples[stage, code][0])}: {examples[stage, code][1]}"
            for (stage, code), n in counts.most_common(3)
        )
        return (
            f"{len(self.failures)} of the {self.images} images that were tried first failed, so nothing was scored "
            f"({reasons}); check --input and --model, or score all the same with --no_canary"
        )

    def with_images(self, images: ImageColumns) -> Canary:
        """Return the result over the images of one more batch, too."""
        failures = [(images.keys[i], failure) for i, failure in sorted(images.failures.items())]
        return Canary(self.images + len(images), [*self.failures, *failures])


def send_canary(run: Run, done: Container[str]) -> Canary:
    """Try a few images of the pinned plan, and return how many fail.

    Args:
        run: the run that has pinned the plan.
        done: ids of the units that are committed; none of their images is tried.
    """
    canary = _try(run, done, FIRST_IMAGES)
    return _try(run, done, CANARY_IMAGES) if canary.failures else canary


def _try(run: Run, done: Container[str], n: int) -> Canary:
    canary, samples = Canary(0, ()), read_samples(run, done, n)
    with closing(ahead(lambda batch: try_batch(batch, run), samples, cores(), pools().score)) as tried:
        for images in tried:
            canary = canary.with_images(images)
    return canary


def read_samples(run: Run, done: Container[str], n: int = CANARY_IMAGES) -> Iterator[EncodedBatch]:
    """Yield n images of a plan, or fewer, in batches; a unit is left out if storage fails for now."""
    shares = spread([unit for unit in read_ids(run) if unit not in done], n)
    for unit in read_units(run, shares):
        yield from read_sample(unit, shares[unit.id], run)


def try_batch(batch: EncodedBatch, run: Run) -> ImageColumns:
    """Score a batch like any other; return its images with those marked that failed."""
    return batch.images.failed(score_in_process(batch, run, ()).failures)


def read_sample(unit: WorkUnit, images: int, run: Run) -> list[EncodedBatch]:
    """Return at most `images` images of a unit, in batches; none if storage fails for now."""
    sample = sources.sample(unit, images)
    with contextlib.suppress(TransientError), closing(sources.read(sample, read_rule(run))) as batches:
        return list(batches)
    return []


def spread(ids: Sequence[str], n: int = CANARY_IMAGES) -> dict[str, int]:
    """Return a sample of n images as unit -> number of its images: evenly spread units, equal shares.

    >>> spread(["a", "b", "c", "d"], 2), spread(["a", "b"], 5)
    ({'a': 1, 'c': 1}, {'a': 3, 'b': 2})
    """
    chosen = [ids[i * len(ids) // n] for i in range(n)] if len(ids) > n else list(ids)
    each, more = divmod(n, max(1, len(chosen)))
    return {unit: each + (i < more) for i, unit in enumerate(chosen)}
