"""Merge receipts to one summary, and compute its figures. Knows no Beam and no storage."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import cast

from pipeline.metrics.by_value import ByValue, merge_columns
from pipeline.metrics.cells import is_mistake, merge_cells
from pipeline.metrics.complete_lists import Place, cut, ends_of, merge_ends
from pipeline.metrics.examples import first_of_each
from pipeline.metrics.figures import NO_LONGER, Candidate, ColumnSlices, FailureExample
from pipeline.metrics.left_out import LeftOut
from pipeline.metrics.slices import AnyCounts, Folders, add
from pipeline.metrics.sums import Sums
from pipeline.metrics.task_examples import AnyExample
from pipeline.metrics.task_figures import AnyFigures
from pipeline.metrics.tasks import COUNTS, count, merge_examples
from pipeline.metrics.timing import Spent
from pipeline.output.receipts import Receipt, Unfinished
from pipeline.output.run import Run
from pipeline.storage import key_of

UNFINISHED_EXAMPLES = 10
"""Number of unfinished units that a summary names, at most."""


@dataclass(frozen=True)
class Summary:
    """What many units have in common; `merge` is associative and commutative, `Summary()` its identity.

    Attributes:
        units: that have a receipt.
        kept: rows of those that had it before.
        kept_units: those that had it before.
        rescored: images that were scored again in float32.
        metrics: sums over their rows.
        inputs: number of an input of the run -> sums over its rows.
        folders: sums by folder.
        slices: column of --slice -> sums by its values.
        examples: images that a person should look at, as in `Receipt`, without `row`.
        ends: where the lists of the examples are cut, as in `pipeline.metrics.complete_lists`.
        cells: mistakes of each cell of the confusion matrix.
        failures: examples for every reason, the first by key.
        thumbnails: key -> PNG or JPEG file of one of these.
        makers: what made scores, as in `Extras` -> number of units that it scored.
        left_out: what was found in them by reading and is no image, as in `Extras`.
        unfinished: units without a receipt.
        unfinished_examples: (unit, error) of some of those, the first by unit.
        unfinished_images: their rows, as far as known.
        spent: by the processes of this run.
        stopped: why nothing was scored, where the canary says so.
        digest: of which parts it is: the sum of a hash of each of them, modulo 2^64.
    """

    units: int = 0
    kept: int = 0
    kept_units: int = 0
    rescored: int = 0
    metrics: Sums = field(default_factory=Sums)
    inputs: Mapping[int, AnyCounts] = field(default_factory=dict)
    folders: Folders = field(default_factory=Folders)
    slices: Mapping[str, ByValue] = field(default_factory=dict)
    examples: Sequence[AnyExample] = ()
    ends: Mapping[str, Place] = field(default_factory=dict)
    cells: Sequence[Candidate] = field(default_factory=list)
    failures: Sequence[FailureExample] = ()
    thumbnails: Mapping[str, bytes] = field(default_factory=dict)
    makers: Mapping[str, int] = field(default_factory=dict)
    left_out: LeftOut = field(default_factory=LeftOut)
    unfinished: int = 0
    unfinished_examples: Sequence[tuple[str, str]] = ()
    unfinished_images: int = 0
    spent: Spent = field(default_factory=Spent)
    stopped: str = ""
    digest: int = 0

    @classmethod
    def of(cls, outcome: Receipt | Unfinished) -> Summary:
        """Return the summary of one unit."""
        if isinstance(outcome, Unfinished):
            example = (outcome.unit, outcome.error)
            return cls(unfinished=1, unfinished_examples=(example,), unfinished_images=outcome.images or 0)
        pictures, shown = outcome.extras.thumbnails, (*outcome.examples, *outcome.failures, *outcome.cells)
        return cls(
            units=1,
            kept=outcome.kept,
            kept_units=int(0 < outcome.kept == outcome.rows),
            rescored=outcome.rescored,
            metrics=outcome.metrics,
            inputs={outcome.input: count(outcome.metrics)},
            folders=outcome.folders,
            slices=outcome.slices,
            examples=[_without_row(example) for example in outcome.examples],
            ends=ends_of(outcome.metrics.task or "classes", outcome.examples),
            cells=_cells(outcome),
            failures=[cast(FailureExample, _without_row(failure)) for failure in outcome.failures],
            spent=outcome.spent,
            makers={outcome.extras.maker: 1},
            left_out=outcome.extras.left_out,
            digest=_digest(outcome),
            thumbnails={one["key"]: pictures[one["row"]] for one in shown if one["row"] in pictures},
        )

    @classmethod
    def merge_all(cls, summaries: Iterable[Summary]) -> Summary:
        """Return the summary of all.

        Neighbors of equal weight are merged first: one after the other, a summary that has grown large, as with many
        classes, would be copied for each unit.
        """
        stack: list[tuple[int, Summary]] = []
        for summary in summaries:
            weight = 1
            while stack and stack[-1][0] == weight:
                summary, weight = stack.pop()[1].merge(summary), 2 * weight
            stack.append((weight, summary))
        merged = cls()
        for _, summary in reversed(stack):
            merged = summary.merge(merged)
        return merged

    def merge(self, other: Summary) -> Summary:
        """Return the summary of both."""
        metrics = self.metrics.merge(other.metrics)
        examples = merge_examples(metrics.task, self.examples, other.examples)
        failures = list(first_of_each(sorted([*self.failures, *other.failures], key=_by_reason)))
        cells = merge_cells(self.cells, other.cells)
        thumbnails = {**self.thumbnails, **other.thumbnails}
        shown = [one["key"] for one in (*examples, *cells, *failures) if one["key"] in thumbnails]
        return Summary(
            units=self.units + other.units,
            kept=self.kept + other.kept,
            kept_units=self.kept_units + other.kept_units,
            rescored=self.rescored + other.rescored,
            metrics=metrics,
            inputs=_add_inputs(self.inputs, other.inputs),
            folders=self.folders.merge(other.folders),
            slices=merge_columns(self.slices, other.slices),
            examples=examples,
            ends=merge_ends(self.ends, other.ends),
            cells=cells,
            failures=failures,
            thumbnails={key: thumbnails[key] for key in shown},
            makers=dict(Counter(self.makers) + Counter(other.makers)),
            left_out=self.left_out.merge(other.left_out),
            unfinished=self.unfinished + other.unfinished,
            unfinished_examples=heapq.nsmallest(
                UNFINISHED_EXAMPLES, [*self.unfinished_examples, *other.unfinished_examples]
            ),
            unfinished_images=self.unfinished_images + other.unfinished_images,
            spent=self.spent.merge(other.spent),
            stopped=max(self.stopped, other.stopped),
            digest=(self.digest + other.digest) % (1 << 64),
        )


def _digest(receipt: Receipt) -> int:
    """Return a hash of a part, 64 bits."""
    part = f"{receipt.unit} {receipt.crc32c}".encode("ascii")
    return int.from_bytes(blake2b(part, digest_size=8).digest(), "big")


def _cells(receipt: Receipt) -> list[Candidate]:
    """Return the mistakes that a receipt names; one of an earlier version has those among its examples."""
    if receipt.metrics.task != "classes":
        return []
    named = {example["row"]: cast(Candidate, _without_row(example)) for example in (*receipt.cells, *receipt.examples)}
    return [example for example in named.values() if is_mistake(example)]


def _by_reason(failure: FailureExample) -> tuple[str, str, str]:
    return failure["stage"], failure["code"], failure["key"]


def _add_inputs(one: Mapping[int, AnyCounts], other: Mapping[int, AnyCounts]) -> dict[int, AnyCounts]:
    both = {number: add(one[number], other[number]) for number in one.keys() & other.keys()}
    return {**one, **other, **both}


def _without_row(one: Mapping[str, object]) -> dict[str, object]:
    """Return what a summary, in which many parts meet, keeps of an image; the fields stay in their order."""
    return {name: value for name, value in one.items() if name != "row"}


def figures(summary: Summary, run: Run) -> AnyFigures:
    """Return the content of summary.json: a pure function of the receipts."""
    metrics, empty = run.metrics, COUNTS[run.spec.task]()
    content = {
        "model": run.spec.model_id,
        "precision": run.options.precision,
        "engine": run.engine,
        "units": summary.units,
        **metrics.compute(metrics.empty.merge(summary.metrics)),
        "inputs": [
            {"input": key_of(pattern), **metrics.part(summary.inputs.get(number, empty))}
            for number, pattern in enumerate(run.inputs)
        ],
        "folders": {
            "depth": summary.folders.depth,
            "slices": [
                {"folder": folder, **metrics.part(counts)} for folder, counts in sorted(summary.folders.slices.items())
            ],
        },
        **_slices(summary, run),
        **_lists(summary, run),
        "failure_examples": list(summary.failures),
    }
    return cast(AnyFigures, content)


def _lists(summary: Summary, run: Run) -> dict[str, list[AnyExample]]:
    """Return name of a list -> the images that surely belong there."""
    lists = cut(run.spec.task, run.metrics.lists(summary.examples), summary.ends)
    return {name: images for name, images in lists.items() if name != NO_LONGER}


def earlier_figures(summary: Summary, run: Run) -> AnyFigures:
    """Return the content of summary.json as an earlier version wrote it: its lists of examples were not cut."""
    return cast(AnyFigures, {**figures(summary, run), **run.metrics.lists(summary.examples)})


def _slices(summary: Summary, run: Run) -> dict[str, list[ColumnSlices]]:
    """Return the figures by the values of the columns of --slice; nothing where there are none."""
    slices: list[ColumnSlices] = []
    for name in run.slices:
        values, beyond = summary.slices.get(name, ByValue()).figures(run.metrics)
        slices.append({"column": name, "values": values, "beyond": beyond})
    return {"slices": slices} if slices else {}
