"""`TrainingRun` and `TaskRun`: everything that the report of a training tells of. Must not know how it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from model_training.data.datasets import Dataset
from model_training.data.image_list import Split
from model_training.data.image_set import ImageSet
from model_training.learning.evaluation import Evaluation
from model_training.learning.task_evaluation import TaskEvaluation
from model_training.learning.training import Trained
from model_training.report.runs import RunRow
from pipeline.model.directory import Golden
from pipeline.model.spec import ModelSpec

WORDS: Mapping[Split, str] = {"train": "training", "validation": "validation", "test": "test"}
"""Split -> what a page calls its images."""


@dataclass(frozen=True)
class Before:
    """What was there before a network was measured.

    Attributes:
        location: where the model directory is published.
        ended: when the training ended, UTC, ISO 8601.
        earlier: what was trained at this location before, the oldest first.
        uncalibrated: of the test images, before the logits were divided by a temperature; None: they were not.
    """

    location: str
    ended: str
    earlier: Sequence[RunRow] = ()
    uncalibrated: Evaluation | None = None


def now() -> str:
    """Return the time, UTC, ISO 8601, whole seconds."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass(frozen=True)
class BuiltModel:
    """A model that was trained, of any task, as its report tells of it.

    Attributes:
        dataset: what was learned.
        trained: by what recipe, with what course.
        golden: the images that every scoring machine must reproduce.
        spec: of the model directory.
        before: what was there before it was measured.
    """

    dataset: Dataset
    trained: Trained
    golden: Golden
    spec: ModelSpec
    before: Before

    def images(self, split: Split) -> ImageSet:
        """Return the images of a split."""
        return self.dataset.images(split)


@dataclass(frozen=True)
class TrainingRun(BuiltModel):
    """A model of classes that was trained.

    Attributes:
        evaluation: of the test images, by the exported network.
        validation: of the validation images, by the exported network.
    """

    evaluation: Evaluation
    validation: Evaluation


@dataclass(frozen=True)
class TaskRun(BuiltModel):
    """A model of another task that was trained.

    Attributes:
        evaluation: of the test images, by the exported network.
    """

    evaluation: TaskEvaluation
