"""What a container's units are and give, as rows that tests compare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline import sources, storage
from pipeline.batches import Code
from pipeline.sources.labels import LabelRule
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.skipped import Skipped
from pipeline.units import WorkUnit

RULE = ReadRule(LabelRule(("cat", "dog")))

Row = tuple[str, bytes, int | None, str | None, Code | None]
"""Key behind the archive's "!" or "#", image, label, its name, and why there is none."""


def units_of(kind: str, path: Path, unit_images: int = 2048, skipped: Skipped | None = None) -> list[WorkUnit]:
    """Return the units of a container, as they come out of a pinned plan."""
    found = storage.stat(str(path))
    assert found is not None
    units = sources.index(kind, found, unit_images, Skipped() if skipped is None else skipped)
    return [WorkUnit.from_json(unit.to_json()) for unit in units]


def rows_of(path: Path, units: Sequence[WorkUnit], skipped: Skipped | None = None) -> list[Row]:
    """Return the rows of units; checks that each has as many as its plan says, and that no key is there twice.

    Args:
        path: of the container.
        units: of it.
        skipped: counts what is no row and only reading tells.
    """
    rows: list[Row] = []
    container = storage.key_of(str(path))
    for unit in units:
        start = len(rows)
        for batch in sources.read(unit, RULE, skipped):
            columns = batch.images
            for i, key in enumerate(columns.keys):
                failure = columns.failures.get(i)
                assert failure is None or (failure.stage == "read" and not batch.encoded[i])
                assert key == container or key.startswith((f"{container}!", f"{container}#"))
                name = key[len(container) + 1 :]
                label = int(columns.labels[i]) if columns.labelled[i] else None
                rows.append((name, batch.encoded[i], label, columns.label_names[i], failure.code if failure else None))
        assert unit.images in (None, len(rows) - start)
    assert len({row[0] for row in rows}) == len(rows)
    return rows


def messages_of(units: Sequence[WorkUnit]) -> list[str]:
    """Return why images of units cannot be read."""
    batches = [batch for unit in units for batch in sources.read(unit, RULE)]
    return [failure.message for batch in batches for failure in batch.images.failures.values()]
