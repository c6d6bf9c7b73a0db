"""The type of run.json, and of the record of each run in runs/ (`Record`).

docs/schema.md describes every field: its type, its unit, and when it is null or absent. `pipeline.output.records`
writes and reads records, and the report shows them: so the type lies here, below both.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from pipeline.metrics.recorded_run import RecordedRun
from pipeline.metrics.review import Accepted, Unseen
from pipeline.metrics.task_record import (
    EmbeddingDrift,
    EmbeddingNight,
    LabelNight,
    LabelQuality,
    ValueDrift,
    ValueNight,
    ValueQuality,
)


class TaskTraining(TypedDict, total=False):
    """The headline on the training's test images of a model of labels or of a value; absent if it was not told."""

    test_exact_match: float
    test_exact_match_interval_95: list[float]
    test_mean_absolute_error: float
    test_mean_absolute_error_interval_95: list[float]


class Training(TaskTraining):
    """What a record keeps of the model's training, as far as the model directory tells it."""

    dataset: str | None
    test_accuracy: float | None
    test_accuracy_interval_95: list[float] | None
    images_per_class: dict[str, int] | None
    confidence_histogram: list[int] | None


class StartedRun(RecordedRun):
    """What is known of a run when it starts."""

    started: str
    versions: dict[str, str]
    training: Training | None


class Verdict(TypedDict):
    """Whether a run's result is good enough, and why not."""

    exit_code: int
    reasons: list[str]


class NightFigures(TypedDict):
    """The figures of a run with which later runs are compared."""

    labelled: int
    accuracy: float | None
    accuracy_interval_95: list[float] | None
    predicted: dict[str, int]
    confidence_histogram: list[int]


class PreviousRun(TypedDict):
    """What a record keeps of the last complete run before it, whatever the task."""

    run: str
    ended: str
    images: int
    failed: int
    images_per_second: float | None


class Previous(PreviousRun):
    """The same, of a model of classes."""

    accuracy: float | None
    accuracy_interval_95: list[float] | None


class PreviousLabels(PreviousRun, LabelQuality):
    """The same, of a model of labels."""


class PreviousValue(PreviousRun, ValueQuality):
    """The same, of a model of a value."""


AnyPrevious = Previous | PreviousLabels | PreviousValue | PreviousRun
"""What a record keeps of the last complete run before it; its type follows from the task."""

AnyNight = NightFigures | LabelNight | ValueNight | EmbeddingNight
"""The figures of a run with which later runs are compared; their type follows from the task."""


ClassChange = TypedDict("ClassChange", {"class": str, "share": float, "reference_share": float})
"""A class whose share has changed."""


class ConfidenceDrift(TypedDict):
    """How far scores are from those of a reference."""

    psi: float | None


class ClassDrift(TypedDict):
    """How far predicted classes are from those of a reference."""

    psi: float | None
    most_changed: list[ClassChange]


class Drift(TypedDict):
    """How far a run is from one reference: the training, or the run before."""

    against: Literal["training", "previous"]
    classes: ClassDrift
    confidence: ConfidenceDrift


AnyDrift = Drift | ValueDrift | EmbeddingDrift
"""How far a run is from one reference; its type follows from the task."""


class Comparison(TypedDict):
    """A run beside the model's training and the run before."""

    night: AnyNight
    previous: AnyPrevious | None
    drift: list[AnyDrift]


class TimeShares(TypedDict):
    """The time of a run by step."""

    seconds: dict[str, float]
    shares: dict[str, float]
    decides: str
    advice: str
    course: list[list[float]]


class SkippedExamples(TypedDict, total=False):
    """What a run's plan tells of a file that is not scored, for each reason; an older record lacks it."""

    skipped_examples: dict[str, str]


class Plan(SkippedExamples):
    """What a run's plan adds up to, see `pipeline.output.plan_file.PlanTotals`."""

    run: str
    model: str
    units: int
    images: int
    open_units: int
    bytes: int
    skipped: dict[str, int]


class OpenRecord(StartedRun):
    """run.json of a run that has not ended: it is under way, was interrupted, or has died."""

    verdict: None
    complete: bool


class Interrupted(TypedDict):
    """Which signal ended a run before it was done, by its name, and when."""

    signal: str
    at: str


class InterruptedRecord(OpenRecord):
    """runs/<run>.json of a run that a signal ended; run.json does not say so."""

    interrupted: Interrupted


class Maker(TypedDict):
    """What made scores: name and version of the engine, and kind of the CPU; and how many work units it scored."""

    maker: str
    units: int


class MadeBy(TypedDict, total=False):
    """What made the scores of a result, in this run and in those before; an older record lacks it."""

    made_by: list[Maker]


class RecordedReview(TypedDict, total=False):
    """What a record repeats of the review; absent where that does not say it, and where the run is not complete."""

    accepted: Accepted
    unseen: Unseen
    decisions_removed: bool


class SkippedInside(TypedDict, total=False):
    """What a run found by reading in compressed containers and did not score; an older record lacks it."""

    skipped_inside: dict[str, int]
    skipped_inside_examples: dict[str, str]


class EndedRecord(StartedRun, Comparison, MadeBy, SkippedInside, RecordedReview):
    """run.json of a run that has ended."""

    verdict: Verdict
    complete: bool
    ended: str
    seconds: float
    images: int
    scored: int
    rescored: int
    kept: int
    units_scored: int
    units_kept: int
    images_per_second: float | None
    time: TimeShares | None
    failed: int
    unfinished_units: int
    plan: Plan


Record = OpenRecord | InterruptedRecord | EndedRecord
"""run.json, and runs/<run>.json."""
