"""The type of review.json (`Review`): what a person decides in the morning, from one look at all rows.

docs/schema.md describes every field. `pipeline.output.review` computes it, and the report shows it: so the type lies
here, below both.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from pipeline.metrics.odd_images import OddKind


class AcceptedImages(TypedDict):
    """How many images are accepted, how right these are, and what is left."""

    images: int
    labelled: int
    accuracy: float | None
    accuracy_interval_95: list[float] | None
    left: int
    left_mistakes: int


class ThresholdRow(AcceptedImages):
    """What it means to accept the predictions from a score on."""

    score: float
    share: float | None


ClassThreshold = TypedDict(
    "ClassThreshold",
    {
        "class": str,
        "images": int,
        "mistakes": int,
        "score": float | None,
        "accepted": int,
        "accuracy": float | None,
        "left_mistakes": int,
    },
)
"""The score from which on the predictions of one class are as accurate as wanted."""


class Acceptance(TypedDict):
    """The table of thresholds."""

    wanted_accuracy: float
    seen: int | None
    score: float | None
    rows: list[ThresholdRow]
    per_class: list[ClassThreshold]


class Accepted(AcceptedImages):
    """How many predictions are accepted."""

    score: float | None
    wanted_accuracy: float | None


Curve = TypedDict(
    "Curve",
    {
        "class": str,
        "support": int,
        "average_precision": float | None,
        "roc_auc": float | None,
        "score": list[float],
        "recall": list[float],
        "precision": list[float],
        "false_positive_rate": list[float],
    },
)
"""Precision, recall and false positive rate of one class against all others, by falling score."""


class Curves(TypedDict):
    """The curves of the classes; below the score `exact_from` they are an estimate."""

    exact_from: float
    classes: list[Curve]
    more: int


class Suspect(TypedDict):
    """An image whose label looks wrong."""

    key: str
    label_name: str
    suggested_name: str
    label_score: float
    score: float


class LabelErrors(TypedDict):
    """How many labels are wrong, estimated, and which look so."""

    labelled: int
    seen: int | None
    estimate: float | None
    estimate_interval_95: list[float] | None
    listed: int
    suspects: int
    trust: Literal["good", "training unknown", "too few", "too many", "trained on these"]
    first: list[Suspect]


class Copy(TypedDict):
    """One of several images with the same pixels."""

    key: str
    label_name: str | None


class CopyGroup(TypedDict):
    """Images with the same pixels."""

    images: int
    is_conflict: bool
    first: list[Copy]


class Duplicates(TypedDict):
    """Images that are there more than once."""

    hashed: int
    groups: int
    images: int
    conflicts: int
    conflict_images: int
    listed: int
    first: list[CopyGroup]


class NearDuplicates(Duplicates):
    """Images that look alike without being copies."""

    distance: int
    is_complete: bool


class Unseen(TypedDict, total=False):
    """The figures of the images of which the model's training had no exact copy."""

    seen: int
    images: int
    labelled: int
    headline: float | None
    headline_interval_95: list[float] | None
    seen_labelled: int
    seen_headline: float | None


class EmbeddingFacts(TypedDict):
    """Where the embeddings of a sample of images lie."""

    images: int
    mean: list[float]
    deviation: list[float]


class Embeddings(TypedDict):
    """What a sample of the embeddings shows."""

    facts: EmbeddingFacts
    from_before: float | None
    unlike: list[str]


class Review(TypedDict, total=False):
    """review.json. A part that was not measured is absent."""

    of: str
    model: str
    acceptance: Acceptance
    accepted: Accepted
    curves: Curves
    unseen: Unseen
    training_unknown: str
    label_errors: LabelErrors
    duplicates: Duplicates
    near_duplicates: NearDuplicates
    odd: list[OddKind]
    embeddings: Embeddings
