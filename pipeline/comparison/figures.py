"""Sums over shared images to the figures that a person reads. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pipeline.comparison.changed import Candidate
from pipeline.comparison.class_sums import outcome_of
from pipeline.comparison.join import Stream
from pipeline.comparison.judge import AnyCounts, ErrorSums, PairCounts
from pipeline.comparison.quality import difference_of, qualities
from pipeline.comparison.shared_sums import SharedSums, by_folder
from pipeline.comparison.side import Side
from pipeline.comparison.tally import Basis, Tally, keys_of, label_text
from pipeline.comparison.verdict import outcome_of_all, sentence
from pipeline.formatting import counted
from pipeline.metrics.comparison_figures import (
    ChangedImage,
    ColumnChanges,
    ComparedRun,
    Comparison,
    Difference,
    JoinBy,
    PartChange,
)
from pipeline.metrics.headline import HEADLINES
from pipeline.metrics.paired import holm
from pipeline.metrics.proportions import interval_of_share, ratio
from pipeline.storage import key_of

MOST_PARTS = 200
"""Values of a column that are listed; those with the most images."""


def figures_of(
    tally: Tally,
    basis: Basis,
    sides: tuple[Side, Side],
    streams: tuple[Stream, Stream],
    join: JoinBy,
    pictures: Mapping[str, bytes],
    hints: Sequence[str],
) -> Comparison:
    """Return the figures, without the exit code.

    Args:
        tally: sums over the shared images, of which there are some.
        basis: what the verdict is based on.
        sides: A and B.
        streams: what was read of them; what waits there is not shared.
        join: by what images were found.
        pictures: key in A -> picture.
        hints: further remarks.
    """
    sums, unit, other = basis.sums, tally.unit, tally.other
    counts = sums.counts
    assert counts is not None
    seen_by = [tally.seen_by[name] if side.known is not None else None for name, side in zip("ab", sides, strict=True)]
    runs = [_run(*each, counts.images) for each in zip(sides, streams, sides[::-1], seen_by, strict=True)]
    images = {
        name: [_image(one, sides, tally) for one in some] for name, some in sums.candidates.shown(pictures).items()
    }
    changed = counts.changed if isinstance(counts, PairCounts) else None
    agreeing = None if changed is None else counts.scored - changed
    found = {
        "exit_code": 0,
        "reasons": [],
        "outcome": "not_measured",
        "verdict": "",
        "task": tally.task,
        "join": join,
        "remarks": [*_remarks(sides, runs, join), *hints],
        "a": runs[0],
        "b": runs[1],
        "shared": counts.images,
        "scored": counts.scored,
        "failed_in_both": other["failed_in_both"],
        "failed_in_a": other["failed_in_a"],
        "failed_in_a_examples": tally.failed_in_a,
        "failed_in_b": other["failed_in_b"],
        "failed_in_b_examples": tally.failed_in_b,
        "changed": changed,
        "agreement": None if agreeing is None else ratio(agreeing, counts.scored),
        "agreement_interval_95": None if agreeing is None else interval_of_share(agreeing, counts.scored),
        "labels_differ": other["labels_differ"],
        "labels_differ_examples": tally.labels_differ,
        "labelled_in_one": other["labelled_in_one"],
        "label_known_to_one": other["known_to_one"],
        "seen": None if seen_by == [None, None] else tally.seen_by["any"],
        "counted": basis.counted,
        "labelled": 0,
        "headline": HEADLINES[tally.task],
        "quality_a": None,
        "quality_b": None,
        "difference": None,
        "including_seen": None,
        "classes": sums.classes.changes(tally.task),
        "inputs": parts([(name, sums.by_input[name]) for name in sums.inputs if name in sums.by_input], unit),
        "folders": parts(sorted(by_folder(sums).items()), unit),
        "folder_depth": sums.by_folder.depth,
        "columns": [_column(name, sums, unit, sides[0]) for name in sums.by_value],
        **images,
    }
    headline = _headline(found, sums, unit)
    if basis.including_seen is not None:
        headline["including_seen"] = _headline({**found, "counted": "all"}, basis.including_seen, unit)
    return cast(Comparison, {**found, **headline})


def _headline(found: Mapping[str, Any], sums: SharedSums, unit: float) -> dict[str, Any]:
    """Return which is better on the labelled images, and how good both are.

    Args:
        found: all other figures.
        sums: over the images.
        unit: of absolute errors.
    """
    assert sums.counts is not None
    quality, difference = qualities(sums, unit), difference_of(sums.counts, unit)
    headline = {
        "labelled": sums.labelled,
        "outcome": outcome_of_all(difference, sums.task),
        "quality_a": quality[0],
        "quality_b": quality[1],
        "difference": difference,
    }
    return {**headline, "verdict": sentence(cast(Comparison, {**found, **headline}))}


def _run(side: Side, stream: Stream, other: Side, seen: int | None, shared: int) -> ComparedRun:
    """Return what is said of one OUTPUT."""
    stored = side.stored
    theirs = set(other.stored.run.spec.class_names)
    return {
        "output": key_of(side.output),
        "run": stored.run.id,
        "model": stored.run.spec.model_id,
        "complete": stored.is_complete,
        "images": stream.read,
        "failed": stream.failed,
        "seen": seen,
        "training_unknown": side.training_unknown or None,
        "shared": ratio(shared, stream.read),
        "not_shared": stream.rows,
        "not_shared_examples": keys_of(stream.waiting),
        "doubled": stream.doubled,
        "classes_of_its_own": [name for name in stored.run.spec.class_names if name not in theirs],
    }


def _remarks(sides: tuple[Side, Side], runs: Sequence[ComparedRun], join: JoinBy) -> list[str]:
    """Return what a person must know to read the figures."""
    remarks = [
        f"{name} is not complete: it is compared as far as it has come, {counted(run['images'], 'image')}"
        for name, run in zip("AB", runs, strict=True)
        if not run["complete"]
    ]
    what = {"name": "that have the name of another one", "pixel_hash": "that are copies of another one"}
    remarks += [
        f"{counted(run['doubled'], 'image')} of {name} {what[join]} are left out: the first one counts"
        for name, run in zip("AB", runs, strict=True)
        if run["doubled"]
    ]
    a, b = (side.stored.run for side in sides)
    if a.spec.model_id == b.spec.model_id and (a.output, a.id) != (b.output, b.id):
        remarks.append("A and B are of the same model")
    return remarks


def parts(named: Sequence[tuple[str | None, AnyCounts]], unit: float) -> list[PartChange]:
    """Return how parts of the archive fare; p-values are corrected for the number of parts that have changed (Holm)."""
    differences = [difference_of(counts, unit) for _, counts in named]
    p_values = [one["p"] if one is not None and one["value"] else None for one in differences]
    corrected = iter(holm([p for p in p_values if p is not None]))
    return [
        _part(name, counts, difference, None if p is None else next(corrected), unit)
        for (name, counts), difference, p in zip(named, differences, p_values, strict=True)
    ]


def _part(
    name: str | None, counts: AnyCounts, difference: Difference | None, p: float | None, unit: float
) -> PartChange:
    of_value = isinstance(counts, ErrorSums)
    a = b = None
    if isinstance(counts, ErrorSums) and counts.labelled:
        a, b = (error / counts.labelled * unit for error in (counts.error_a, counts.error_b))
    elif isinstance(counts, PairCounts):
        a, b = ratio(counts.right_a, counts.labelled), ratio(counts.right_b, counts.labelled)
    better_by = 0.0 if difference is None else difference["value"] * (-1 if of_value else 1)
    return {
        "name": name,
        "images": counts.images,
        "labelled": getattr(counts, "labelled", 0),
        "changed": getattr(counts, "changed", None),
        "a": a,
        "b": b,
        "difference": difference and difference["value"],
        "interval_95": difference and difference["interval_95"],
        "p": (1.0 if p is None else p) if difference else None,
        "outcome": outcome_of(better_by, 1.0 if p is None else p) if difference else "not_measured",
    }


def _column(name: str, sums: SharedSums, unit: float, side: Side) -> ColumnChanges:
    """Return the figures by the values of a column; those beyond MOST_PARTS are left out."""
    texts = side.values[name].texts
    most = sorted(sums.by_value[name].items(), key=lambda one: (-one[1].images, one[0]))[:MOST_PARTS]
    named = sorted(((texts[value] if value >= 0 else None, counts) for value, counts in most), key=_by_name)
    return {"column": name, "values": parts(named, unit)}


def _by_name(part: tuple[str | None, Any]) -> tuple[bool, str]:
    return part[0] is None, part[0] or ""


def _image(one: Candidate, sides: tuple[Side, Side], tally: Tally) -> ChangedImage:
    own, _ = sides
    return {
        "key": one.key,
        "key_in_b": one.key_in_b,
        "label": None if one.label is None else label_text(one.label, own, tally.task),
        "predicted_a": label_text(one.predicted_a, own, tally.task),
        "predicted_b": label_text(one.predicted_b, own, tally.task),
        "score_a": one.score_a,
        "score_b": one.score_b,
    }
