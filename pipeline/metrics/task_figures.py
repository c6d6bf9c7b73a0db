"""The types of summary.json for models of labels, of a value, and of an embedding; and of the examples in it.

`pipeline.metrics.figures` has those for models of classes. docs/schema.md describes every field.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from pipeline.metrics.figures import BySlices, FailureCount, FailureExample, Figures, LabelExamples


class Counted(TypedDict):
    """What every task counts."""

    images: int
    scored: int
    failed: int
    failures: list[FailureCount]


class Judged(Counted):
    """The same where images may have labels."""

    labelled: int
    unlabelled: int
    unknown_labels: int


class Result(BySlices):
    """What a summary tells of the run, whatever the task."""

    model: str
    precision: str
    engine: str
    units: int
    failure_examples: list[FailureExample]


class Scores(TypedDict):
    """Precision, recall and F1, over all classes."""

    precision: float | None
    recall: float | None
    f1: float | None


PerLabel = TypedDict(
    "PerLabel",
    {
        "class": str,
        "threshold": float,
        "support": int,
        "predicted": int,
        "precision": float | None,
        "recall": float | None,
        "f1": float | None,
        "unlabelled": int,
    },
)
"""The figures of one class of a model of labels."""


class UnknownKeys(TypedDict, total=False):
    """What an earlier version did not tell of labels that are no numbers."""

    unknown_label_keys: list[str] | None


class LabelComputed(Judged, LabelExamples):
    """The figures of a model of labels that follow from sums over all rows alone."""

    task: Literal["labels"]
    unknown_names: int
    exact_match: float | None
    exact_match_interval_95: list[float] | None
    micro: Scores
    macro: Scores
    per_class: list[PerLabel]
    top_k: int
    confidence_histogram: list[int]
    names_histogram: list[int]


class PartCounts(TypedDict):
    """What every task counts of a part of the archive."""

    images: int
    scored: int
    failed: int


class JudgedPart(PartCounts):
    """The same where images may have labels."""

    labelled: int
    unknown_labels: int


class LabelPart(JudgedPart):
    """The figures of a part of the archive, of a model of labels."""

    exact_match: float | None
    exact_match_interval_95: list[float] | None
    f1: float | None


class ValuePart(JudgedPart):
    """The figures of a part of the archive, of a model of a value."""

    mae: float | None
    mae_interval_95: list[float] | None
    mean_error: float | None


class InputName(TypedDict):
    """Which input a part of the archive is."""

    input: str


class FolderName(TypedDict):
    """Which folder a part of the archive is."""

    folder: str


class LabelInput(LabelPart, InputName):
    """The figures of one input, of a model of labels."""


class LabelFolder(LabelPart, FolderName):
    """The figures of one folder, of a model of labels."""


class ValueInput(ValuePart, InputName):
    """The figures of one input, of a model of a value."""


class ValueFolder(ValuePart, FolderName):
    """The figures of one folder, of a model of a value."""


class PlainInput(PartCounts, InputName):
    """The figures of one input, of a model of an embedding."""


class PlainFolder(PartCounts, FolderName):
    """The figures of one folder, of a model of an embedding."""


class LabelFolders(TypedDict):
    """The figures by folder, of a model of labels."""

    depth: int | None
    slices: list[LabelFolder]


class ValueFolders(TypedDict):
    """The figures by folder, of a model of a value."""

    depth: int | None
    slices: list[ValueFolder]


class PlainFolders(TypedDict):
    """The figures by folder, of a model of an embedding."""

    depth: int | None
    slices: list[PlainFolder]


class LabelExample(TypedDict):
    """An image that a person should look at, of a model of labels."""

    key: str
    label_names: list[str] | None
    predicted_names: list[str]
    score: float
    mistakes: int | None
    margin: float


class ValueExample(TypedDict):
    """An image that a person should look at, of a model of a value."""

    key: str
    label_value: float | None
    predicted_value: float


class EmbeddingExample(TypedDict):
    """An image that a person should look at, of a model of an embedding."""

    key: str
    norm: float


class LabelFigures(LabelComputed, Result):
    """summary.json of a model of labels."""

    inputs: list[LabelInput]
    folders: LabelFolders
    most_mistaken: list[LabelExample]
    least_certain: list[LabelExample]


Bin = TypedDict("Bin", {"from": float, "to": float, "images": int})
"""One bin of a histogram of numbers."""


class PairBin(TypedDict):
    """The labelled images whose label and prediction lie in one cell."""

    label: float
    prediction: float
    width: float
    images: int


class ValueComputed(Judged, UnknownKeys):
    """The figures of a model of a value that follow from sums over all rows alone."""

    task: Literal["value"]
    mae: float | None
    mae_interval_95: list[float] | None
    rmse: float | None
    r2: float | None
    mean_error: float | None
    mean_error_interval_95: list[float] | None
    mean_label: float | None
    label_deviation: float | None
    mean_prediction: float | None
    prediction_deviation: float | None
    residual_histogram: list[Bin]
    prediction_histogram: list[Bin]
    label_and_prediction: list[PairBin]


class ValueFigures(ValueComputed, Result):
    """summary.json of a model of a value."""

    inputs: list[ValueInput]
    folders: ValueFolders
    largest_residuals: list[ValueExample]
    highest_values: list[ValueExample]
    lowest_values: list[ValueExample]


class EmbeddingComputed(Counted):
    """The figures of a model of an embedding that follow from sums over all rows alone."""

    task: Literal["embedding"]
    zero_embeddings: int
    norm_histogram: list[Bin]


class EmbeddingFigures(EmbeddingComputed, Result):
    """summary.json of a model of an embedding."""

    inputs: list[PlainInput]
    folders: PlainFolders
    largest_norms: list[EmbeddingExample]
    smallest_norms: list[EmbeddingExample]


AnyFigures = Figures | LabelFigures | ValueFigures | EmbeddingFigures
"""summary.json; its type follows from the task."""
