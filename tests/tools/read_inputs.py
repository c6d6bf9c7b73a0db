"""What inputs give when they are planned and read, without a model: rows, and what is left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline import sources
from pipeline.options import ScoreOptions
from pipeline.sources.inputs import plan_units
from pipeline.sources.labels import LabelRule
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.skipped import Skipped
from pipeline.units import WorkUnit


class Given(NamedTuple):
    """What inputs give.

    Attributes:
        images: key -> bytes of an image that can be read.
        labels: key -> its label's name.
        failures: key -> why an image cannot be read.
        skipped: what is left out, in compressed containers, too.
    """

    images: dict[str, bytes]
    labels: dict[str, str | None]
    failures: dict[str, str]
    skipped: Skipped

    @property
    def rows(self) -> int:
        """Number of rows, which have keys of their own."""
        return len(self.images) + len(self.failures)


def read_inputs(
    *inputs: Path | str,
    classes: Sequence[str] = (),
    unit_images: int = 2048,
    label_source: str = "auto",
    **more: Any,
) -> Given:
    """Plan and read inputs. Checks that each unit has as many rows as the plan says, and that no key is there twice.

    More options of a run may be given by name.
    """
    options = ScoreOptions(tuple(map(str, inputs)), "model", "output", engine="litert", unit_images=unit_images, **more)
    labels = LabelRule(classes, label_source, options.label_offset, "classes", options.labels_are)  # type: ignore[arg-type]
    rule = ReadRule(labels, options.image_key, options.label_key, zip_encoding=options.zip_encoding)
    given = Given({}, {}, {}, Skipped())
    for planned in plan_units(options.input, options, "model", given.skipped):
        unit = WorkUnit.from_json(planned.to_json())
        before = given.rows
        for batch in sources.read(unit, rule, given.skipped):
            for i, key in enumerate(batch.images.keys):
                assert key not in given.labels
                given.labels[key] = batch.images.label_names[i]
                failure = batch.images.failures.get(i)
                if failure is None:
                    given.images[key] = batch.encoded[i]
                else:
                    given.failures[key] = failure.message
        assert unit.images in (None, given.rows - before)
    return given
