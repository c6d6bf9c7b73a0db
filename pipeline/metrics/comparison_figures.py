"""The type of what `nightscore compare --json` prints; docs/schema.md describes every field.

One package computes it, another one shows it: so it lies here, below both, as that of summary.json does.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from pipeline.metrics.figures import CalibrationBin
from pipeline.task import Task

JoinBy = Literal["key", "name", "pixel_hash"]
"""By what an image of A is known to be the same as one of B."""

Outcome = Literal["better", "worse", "no_difference", "not_measured"]
"""What B is beside A, beyond chance."""

Counted = Literal["all", "unseen", "seen"]
"""Which shared labelled images count.

"all" = every one, as none of them is known to be seen; "unseen" = those that neither model has seen in training, as far
as that is known; "seen" = every one, as all of them were seen.
"""


class ComparedRun(TypedDict):
    """One of the two OUTPUTs."""

    output: str
    run: str
    model: str
    complete: bool
    images: int
    failed: int
    seen: int | None
    training_unknown: str | None
    shared: float | None
    not_shared: int
    not_shared_examples: list[str]
    doubled: int
    classes_of_its_own: list[str]


class Quality(TypedDict):
    """How good one of the two is on the labelled images that count."""

    value: float
    interval_95: list[float] | None
    log_loss: float | None
    expected_calibration_error: float | None
    calibration: list[CalibrationBin] | None


class Difference(TypedDict):
    """B minus A, on the labelled images that count."""

    value: float
    interval_95: list[float] | None
    gained: int | None
    lost: int | None
    p: float | None


class IncludingSeen(TypedDict):
    """The headline of a comparison on all shared labelled images, those that were seen in training included."""

    labelled: int
    outcome: Outcome
    verdict: str
    quality_a: Quality
    quality_b: Quality
    difference: Difference


ClassChange = TypedDict(
    "ClassChange",
    {
        "class": str,
        "images": int,
        "right_a": int,
        "right_b": int,
        "gained": int,
        "lost": int,
        "p": float,
        "outcome": Outcome,
    },
)
"""How a class fares with either model."""


class PartChange(TypedDict):
    """How a part of the archive fares with either model."""

    name: str | None
    images: int
    labelled: int
    changed: int | None
    a: float | None
    b: float | None
    difference: float | None
    interval_95: list[float] | None
    p: float | None
    outcome: Outcome


class ColumnChanges(TypedDict):
    """The parts of the archive by the values of a column."""

    column: str
    values: list[PartChange]


class ChangedImage(TypedDict):
    """An image whose prediction differs between A and B."""

    key: str
    key_in_b: str
    label: str | None
    predicted_a: str
    predicted_b: str
    score_a: float | None
    score_b: float | None


class LabelPair(TypedDict):
    """An image whose labels differ between A and B."""

    key: str
    label_a: str
    label_b: str


class OneFailed(TypedDict):
    """An image that failed in one of the two, and was scored in the other."""

    key: str
    reason: str


class Comparison(TypedDict):
    """What `nightscore compare` finds."""

    exit_code: int
    reasons: list[str]
    outcome: Outcome
    verdict: str
    task: Task
    join: JoinBy
    remarks: list[str]
    a: ComparedRun
    b: ComparedRun
    shared: int
    scored: int
    failed_in_both: int
    failed_in_a: int
    failed_in_a_examples: list[OneFailed]
    failed_in_b: int
    failed_in_b_examples: list[OneFailed]
    changed: int | None
    agreement: float | None
    agreement_interval_95: list[float] | None
    labels_differ: int
    labels_differ_examples: list[LabelPair]
    labelled_in_one: int
    label_known_to_one: int
    seen: int | None
    counted: Counted
    labelled: int
    headline: str
    quality_a: Quality | None
    quality_b: Quality | None
    difference: Difference | None
    including_seen: IncludingSeen | None
    classes: list[ClassChange]
    inputs: list[PartChange]
    folders: list[PartChange]
    folder_depth: int | None
    columns: list[ColumnChanges]
    right_to_wrong: list[ChangedImage]
    wrong_to_right: list[ChangedImage]
    other_changes: list[ChangedImage]
