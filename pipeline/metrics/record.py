"""The type of run.json, and of the record of each run in runs/ (`Record`).

docs/schema.md describes every field: its type, its unit, and when it is null or absent. `pipeline.output.records`
writes and reads records, and the report shows them: so the type lies here, below both.
"""

from __future__ import annotations

from typing import Literal, TypedDict

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


class Numbered(TypedDict, total=False):
    """The format number of a file; a file without one has number 1."""

    format: int


class RecordedOptions(TypedDict, total=False):
    """The options of a run, see `pipeline.options.ScoreOptions`; an older record lacks later ones."""

    input: list[str]
    model: str
    output: str
    label_source: str
    format: str
    top_k: int | str
    precision: str
    engine: str
    max_failed_fraction: float
    min_accuracy: float | None
    accept_score: float | None
    accept_accuracy: float | None
    unit_images: int
    limit: int | None
    max_pixels: int
    image_timeout: float
    memory_mb: int | None
    retry_deadline: float
    retry_failed: bool
    no_canary: bool
    no_wait: bool
    on_end: None
    accelerator: str | None
    image_key: str | None
    label_key: str | None
    label_offset: int
    labels_file: str | None
    zip_encoding: str | None
    file_column: str | None
    label_column: str | None
    labels_are: str
    columns: str
    slice: str | None
    exif: bool
    pixel_facts: bool
    bands: str
    background: str
    no_pictures: bool
    link_base: str | None


class FirstInputRule(TypedDict):
    """The fields of the input rule that every record has."""

    height: int
    width: int
    color_mode: str
    resize: str
    exif_orientation: bool


class RecordedInputRule(FirstInputRule, total=False):
    """How the model wants its images: `pipeline.model.input_rule`; a later field at its default is absent."""

    decode: str
    fit: str
    crop: float
    antialias: bool
    jpeg_dct: str
    gray_from: str
    deep: str
    bands: str
    background: str


class RecordedEmbedding(TypedDict):
    """The vector that a model gives for an image."""

    size: int
    dtype: str


class RecordedOutputs(TypedDict, total=False):
    """What the model's output is, see `pipeline.model.spec.ModelSpec`; a field at its default is absent."""

    task: str
    thresholds: list[float]
    value_unit: float
    embedding: RecordedEmbedding
    takes: str


class RecordedSpec(RecordedOutputs):
    """What a record repeats of the model directory."""

    input: RecordedInputRule
    class_names: list[str]


class RecordedEngine(TypedDict, total=False):
    """Why the engine of the options was chosen, as a phrase; an older record lacks it."""

    why_engine: str


class RecordedRules(TypedDict, total=False):
    """By which rules the run makes its rows; a record of rules 1 lacks it all.

    `pixel_rule` is the id of the input rule, in hex: pixel hashes are comparable between runs of one id only.
    """

    rules: int
    pixel_rule: str


class RecordedRun(Numbered, RecordedEngine, RecordedRules):
    """What tells a run without its inputs and its model at hand."""

    run: str
    model: str
    options: RecordedOptions
    model_spec: RecordedSpec


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
    """run.json of a run that has not ended: it is under way, or it has died."""

    verdict: None
    complete: bool


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


Record = OpenRecord | EndedRecord
"""run.json, and runs/<run>.json."""
