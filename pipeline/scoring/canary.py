"""A few images first: 64, spread over the plan, through the real path and into nothing.

Tells a wrong model, a wrong key or an archive of garbage from a night's work, before the night.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipeline import sources
from pipeline.batches import Failure, ImageColumns
from pipeline.errors import TransientError
from pipeline.model.predict import acquire, predict
from pipeline.output.run import Run
from pipeline.scoring.planning import read_rule
from pipeline.scoring.process_pool import preprocess_outside
from pipeline.text import brief
from pipeline.units import WorkUnit

CANARY_IMAGES = 64


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


def send_canary(units: Iterable[WorkUnit], run: Run) -> Canary:
    """Try images of these units, as `spread` chose them; those that storage does not give for now are left out."""
    tried = 0
    failures: list[tuple[str, Failure]] = []
    for unit in units:
        with contextlib.suppress(TransientError):
            for images in _tried(unit, run):
                tried += len(images)
                failures += [(images.keys[i], failure) for i, failure in sorted(images.failures.items())]
    return Canary(tried, failures)


def _tried(unit: WorkUnit, run: Run) -> Iterator[ImageColumns]:
    for piece in sources.pieces(unit, read_rule(run)):
        pixels = preprocess_outside(piece, run)
        yield predict(pixels, acquire(run.model, run.spec, run.options.precision), run.top_k).images


def spread(ids: Sequence[str], n: int = CANARY_IMAGES) -> dict[str, int]:
    """Return how many images of which units make a sample of n: evenly spread units, equal shares.

    >>> spread(["a", "b", "c", "d"], 2), spread(["a", "b"], 5)
    ({'a': 1, 'c': 1}, {'a': 3, 'b': 2})
    """
    chosen = [ids[i * len(ids) // n] for i in range(n)] if len(ids) > n else list(ids)
    each, more = divmod(n, max(1, len(chosen)))
    return {unit: each + (i < more) for i, unit in enumerate(chosen)}
