"""This module makes a unit's part, and the receipt that it deserves, from the rows of its pieces.

It runs in a local process: the run itself does not look into rows. Must not know where parts are stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.output.receipts import Extras, Receipt, receipt_of
from pipeline.output.rows import PartWriter, PatchWriter, read_part, row_schema
from pipeline.output.run import Run
from pipeline.scoring.piece import from_stream
from pipeline.units import WorkUnit


def make_part(
    unit: WorkUnit, streams: Sequence[bytes | memoryview], replaced: Sequence[int], run: Run
) -> tuple[bytes, Receipt]:
    """Return the bytes of a part and its receipt, which still lacks what the part does not tell.

    Args:
        unit: whose part it is.
        streams: the rows of its pieces, in their order, each as an Arrow stream; if rows are replaced, the first one is
            the part that is there, in its own file format.
        replaced: numbers of the rows that the new ones replace, sorted; empty: the new rows are the part.
        run: that it belongs to.

    Raises:
        DamagedPartError: there are not as many rows as the unit has images, or not those that are to be replaced.
    """
    schema, form = row_schema(run.spec.task, run.options), run.options.format
    writer: PartWriter | PatchWriter
    if replaced:
        there = read_part(bytes(streams[0]), form, schema, run.part(unit.id))
        writer, streams = PatchWriter(there, replaced, form, schema), streams[1:]
    else:
        writer = PartWriter(form, schema)
    for stream in streams:
        writer.add(from_stream(stream))
    part = writer.close()
    return part, receipt_of(unit, part, run, Extras())
