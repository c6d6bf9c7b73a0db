"""The type of summary.json (`Figures`), and of the examples in it and in receipts.

docs/schema.md describes every field: its type, its unit, and when it is null or absent. One package computes a figure,
another one shows it, and mypy checks each field from the one to the other: so the type lies here, below both.
"""

from __future__ import annotations

from typing import TypedDict

FIRST_FIGURES = (
    "model",
    "precision",
    "units",
    "images",
    "scored",
    "failed",
    "failures",
    "labelled",
    "unlabelled",
    "unknown_labels",
    "accuracy",
    "accuracy_interval_95",
    "top_k",
    "top_k_accuracy",
    "log_loss",
    "expected_calibration_error",
    "per_class",
    "confusion_matrix",
    "calibration",
    "confidence_histogram",
    "unlabelled_predicted",
    "inputs",
    "folders",
    "most_confident_mistakes",
    "confused",
    "least_certain",
    "failure_examples",
)
"""Names of the figures that summary.json has had from the first version on: only later ones may be absent."""

NO_LONGER = "doubtful_labels"
"""Name of a list that only an earlier version wrote: it did not leave out the images that were seen in training."""


class FailureReason(TypedDict):
    """Why an image has no prediction: the step that refused it, and a code."""

    stage: str
    code: str


class FailureText(TypedDict):
    """A failed image and one line about it."""

    key: str
    message: str


class FailureExample(FailureReason, FailureText):
    """A failed image that is named as an example."""


class FailureRow(FailureExample):
    """The same in a receipt: with the number of its row in the part."""

    row: int


class CellExample(TypedDict):
    """An image of one cell of the confusion matrix: the numbers of its class and of the predicted one."""

    key: str
    label: int | None
    predicted: int


class Candidate(CellExample):
    """What decides whether an image is an example that a person should look at."""

    label_score: float | None
    score: float


class CellRow(Candidate):
    """The same in a receipt: with the number of its row in the part."""

    row: int


class Example(Candidate):
    """An image that a person should look at: columns of its row."""

    label_name: str | None
    predicted_name: str


class ExampleRow(Example):
    """The same in a receipt: with the number of its row in the part."""

    row: int


class FailureCount(FailureReason):
    """How many images failed for one reason."""

    images: int


class FailureSummary(FailureCount):
    """The same, with the first of these images."""

    examples: list[FailureText]


class LabelCount(TypedDict):
    """How many images have a label."""

    label: str
    images: int


PerClass = TypedDict(
    "PerClass",
    {
        "class": str,
        "support": int,
        "predicted": int,
        "precision": float | None,
        "recall": float | None,
        "f1": float | None,
        "unlabelled": int,
    },
)
"""The figures of one class."""


CalibrationBin = TypedDict(
    "CalibrationBin",
    {"from": float, "to": float, "images": int, "accuracy": float | None, "confidence": float | None},
)
"""The labelled images whose winner's probability lies in one bin."""


class Slice(TypedDict):
    """The figures of a part of the archive."""

    images: int
    scored: int
    failed: int
    labelled: int
    unknown_labels: int
    accuracy: float | None
    accuracy_interval_95: list[float] | None


class InputSlice(Slice):
    """The figures of one input."""

    input: str


class FolderSlice(Slice):
    """The figures of one folder."""

    folder: str


class FolderSlices(TypedDict):
    """The figures by folder, and the depth at which folders were cut."""

    depth: int | None
    slices: list[FolderSlice]


class ColumnValue(TypedDict):
    """The figures of the images that have one value of a column."""

    value: str | None
    images: int
    scored: int
    failed: int
    labelled: int | None
    quality: float | None
    quality_interval_95: list[float] | None
    drift: float | None


class ColumnSlices(TypedDict):
    """The figures by the values of one column."""

    column: str
    values: list[ColumnValue]
    beyond: ColumnValue | None


class BySlices(TypedDict, total=False):
    """The figures by the columns of --slice; absent where nobody asked."""

    slices: list[ColumnSlices]


class LabelExamples(TypedDict, total=False):
    """What the first version did not tell of labels that are no class."""

    unknown_label_examples: list[LabelCount] | None


class Agreement(TypedDict):
    """The figures of a confusion matrix that people look for by name."""

    macro_f1: float | None
    weighted_f1: float | None
    balanced_accuracy: float | None
    cohen_kappa: float | None
    mcc: float | None


class LaterAgreement(TypedDict, total=False):
    """The same; absent in a summary.json of an earlier version."""

    macro_f1: float | None
    weighted_f1: float | None
    balanced_accuracy: float | None
    cohen_kappa: float | None
    mcc: float | None


class Computed(LabelExamples, LaterAgreement):
    """The figures that follow from sums over all rows alone."""

    images: int
    scored: int
    failed: int
    failures: list[FailureCount]
    labelled: int
    unlabelled: int
    unknown_labels: int
    accuracy: float | None
    accuracy_interval_95: list[float] | None
    top_k: int
    top_k_accuracy: float | None
    log_loss: float | None
    expected_calibration_error: float | None
    per_class: list[PerClass]
    confusion_matrix: list[list[int]] | None
    calibration: list[CalibrationBin]
    confidence_histogram: list[int]
    unlabelled_predicted: dict[str, int]


class LaterFigures(TypedDict, total=False):
    """Figures that the first version did not write."""

    engine: str


class EarlierFigures(TypedDict, total=False):
    """Figures that this version no longer writes."""

    doubtful_labels: list[Example]


class Figures(Computed, LaterFigures, EarlierFigures, BySlices):
    """summary.json: the figures of a result, a pure function of its receipts."""

    model: str
    precision: str
    units: int
    inputs: list[InputSlice]
    folders: FolderSlices
    most_confident_mistakes: list[Example]
    confused: list[Example]
    least_certain: list[Example]
    failure_examples: list[FailureExample]
