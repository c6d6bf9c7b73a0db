"""Compare two OUTPUTs: open both, find the images that they share, sum over them, and say what came out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.comparison.changed import pictures_of
from pipeline.comparison.figures import figures_of
from pipeline.comparison.join import Stream, pairs
from pipeline.comparison.names import relative_names
from pipeline.comparison.shared_sums import inputs_of
from pipeline.comparison.side import Side, Vocabulary
from pipeline.comparison.tally import Tally
from pipeline.comparison.training import on_training
from pipeline.comparison.verdict import Limits, apply
from pipeline.errors import UnfinishedError, UsageError
from pipeline.formatting import counted
from pipeline.metrics.comparison_figures import Comparison, JoinBy
from pipeline.output.stored_rows import StoredRows
from pipeline.text import brief, plain


@dataclass(frozen=True)
class Compared:
    """What came out of it.

    Attributes:
        figures: what `nightscore compare --json` prints.
        pictures: key in A -> PNG or JPEG file of a changed image; not every image has one.
    """

    figures: Comparison
    pictures: Mapping[str, bytes]


def compare(a: str, b: str, join: JoinBy = "key", limits: Limits = Limits()) -> Compared:  # noqa: B008 - it is frozen
    """Compare the results in two OUTPUTs.

    Args:
        a: the first OUTPUT, on disk or in a bucket.
        b: the second one, which is judged beside the first.
        join: by what an image of A is found in B: "key", its location; "name", its location relative to the input that
            holds it; "pixel_hash", the pixels that the model gets.
        limits: what makes the exit code 4.

    Raises:
        UsageError: one is no OUTPUT, they cannot be compared, or share no image.
        UnfinishedError: there are limits, and one of the OUTPUTs is not complete; or another run replaces its rows.
    """
    one, other = open_sides(a, b)
    _check(one, other, join, limits)
    streams = Stream(one.compact(join)), Stream(other.compact(join))
    unit = min(one.stored.run.spec.value_unit or 1.0, other.stored.run.spec.value_unit or 1.0)
    tally = Tally(one.task, unit, inputs_of(one))
    for found in pairs(*streams, are_unique=join == "key"):
        tally.add(found, one, other)
    basis = tally.basis()
    if basis.sums.counts is None:
        raise UsageError(_why_nothing(one, other, *streams, join))
    hint = _hint(one, other, *streams, join)
    pictures = pictures_of(basis.sums.candidates, one, other)
    remarks = [*([hint] if hint else []), *on_training(basis, one, other)]
    figures = figures_of(tally, basis, (one, other), streams, join, pictures, remarks)
    return Compared(apply(figures, limits), pictures)


def open_sides(a: str, b: str) -> tuple[Side, Side]:
    """Return two OUTPUTs, with vocabularies in common."""
    stored = [StoredRows.of_last_run(output) for output in (a, b)]
    names = dict.fromkeys(name for one in stored for name in one.run.slices)
    words, reasons = Vocabulary(), Vocabulary()
    values = {name: Vocabulary() for name in names}
    one, other = (Side.of(rows, words, reasons, values) for rows in stored)
    return one, other


def _check(a: Side, b: Side, join: JoinBy, limits: Limits) -> None:
    """Refuse what cannot be compared.

    Raises:
        UsageError: the tasks differ, a limit has no meaning for them, or there is nothing to join by.
        UnfinishedError: there are limits, and one of the OUTPUTs is not complete.
    """
    if a.task != b.task:
        raise UsageError(f"the models have different tasks, so nothing can be compared: A {a.task!r}, B {b.task!r}")
    limits.check(a.task)
    for name, side in (("A", a), ("B", b)):
        if limits and not side.stored.is_complete:
            raise UnfinishedError(
                f"{name} ({side.output!r}) is not complete, so --fail_if_worse and --max_flips cannot be decided: "
                "score again to finish it, or compare without them"
            )
        if join == "pixel_hash" and "pixel_hash" not in side.stored.run.schema.names:
            raise UsageError(
                f"--join pixel_hash: {name} ({side.output!r}) was made by a version that kept no pixel_hash"
            )
    if join == "pixel_hash" and a.stored.record.get("pixel_rule") != b.stored.record.get("pixel_rule"):
        raise UsageError(
            "--join pixel_hash: the models see images by different input rules, so that the same image has different "
            "hashes: give --join key or --join name"
        )


def _why_nothing(a: Side, b: Side, one: Stream, other: Stream, join: JoinBy) -> str:
    """Return why no image is shared, and what to do."""
    for name, side, stream in (("A", a, one), ("B", b, other)):
        if not stream.read:
            return (
                f"{name} ({side.output!r}) has no rows{'' if side.stored.is_complete else ' yet'}: nothing to compare"
            )
    text = f"A and B share no image by {join}: {counted(one.read, 'image')} in A, {counted(other.read, 'image')} in B"
    if join != "key":
        return text
    pair = _same_name(a, b, one, other)
    if pair is not None:
        n, first, second = pair
        return f"{text}; but {n:,} have the same name in their input, as {first!r} and {second!r}: give --join name"
    if n := _same_pixels(a, b):
        return f"{text}; but {n:,} have the same pixels: give --join pixel_hash"
    return f"{text}, as {_first(one)!r} and {_first(other)!r}"


def _hint(a: Side, b: Side, one: Stream, other: Stream, join: JoinBy) -> str:
    """Return a remark on images that are not shared by their keys, but by their names; "": there are none."""
    pair = _same_name(a, b, one, other) if join == "key" else None
    if pair is None:
        return ""
    n, first, second = pair
    return f"{n:,} more have the same name in their input, as {first} and {second}: --join name finds them"


def _same_name(a: Side, b: Side, one: Stream, other: Stream) -> tuple[int, str, str] | None:
    """Return how many of the images that are not shared have the same relative name, and the keys of the first."""
    rows, others = one.take_all(), other.take_all()
    if rows is None or others is None or not len(rows) or not len(others):
        return None
    names = relative_names(others["key"], b.stored.run.inputs)
    own = relative_names(rows["key"], a.stored.run.inputs).combine_chunks()
    found = pc.index_in(names, value_set=own)
    n = int(pc.count_distinct(found).as_py() or 0)
    if not n:
        return None
    place = pc.index(pc.is_valid(found), True).as_py()
    first, second = rows["key"][found[place].as_py()].as_py(), others["key"][place].as_py()
    return n, brief(plain(first), 60), brief(plain(second), 60)


def _same_pixels(a: Side, b: Side) -> int:
    """Return how many images of B have pixels that A has as well; 0 where hashes are not comparable."""
    rule = a.stored.record.get("pixel_rule")
    if rule is None or rule != b.stored.record.get("pixel_rule"):
        return 0
    own, others = (
        pa.chunked_array(
            [one for unit in side.read(["pixel_hash"]) for one in unit.rows["pixel_hash"].chunks], pa.string()
        )
        for side in (a, b)
    )
    return int(pc.sum(pc.is_in(others, value_set=own.combine_chunks(), skip_nulls=True)).as_py() or 0)


def _first(stream: Stream) -> str:
    return brief(plain(next(table["key"][0].as_py() for table in stream.waiting if len(table))), 60)
