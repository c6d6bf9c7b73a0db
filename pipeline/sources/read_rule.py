"""The rule by which a run reads: where labels come from, which features hold images, how large a batch is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.batches import BATCH_IMAGES, batch_images
from pipeline.options import ScoreOptions
from pipeline.sources.labels import LabelRule
from pipeline.task import WITH_CLASSES, Task


@dataclass(frozen=True)
class ReadRule:
    """How a work unit becomes encoded images with labels.

    Attributes:
        labels: how the label of an image is found and numbered.
        image_key: TFRecord feature that holds the image, or suffix of the file of a sample that is the image; None
            takes the usual ones.
        label_key: TFRecord feature that holds the label; None takes the usual ones.
        batch_images: images in a batch, at most.
        columns: names of the columns that pass through to the rows; a container's own fields of these names do.
        zip_encoding: of the names in zip archives that do not tell theirs; None tells it from their bytes.

    >>> ReadRule.of(ScoreOptions(("photos",), "model", "night"), ["cat", "dog"], (512, 512, 3)).batch_images
    42
    """

    labels: LabelRule = field(default_factory=lambda: LabelRule(()))
    image_key: str | None = None
    label_key: str | None = None
    batch_images: int = BATCH_IMAGES
    columns: Sequence[str] = ()
    zip_encoding: str | None = None

    @classmethod
    def of_names(cls, options: ScoreOptions) -> ReadRule:
        """Return what planning needs of the rule of a run: which members and columns are images, and their names."""
        return cls(image_key=options.image_key, label_key=options.label_key, zip_encoding=options.zip_encoding)

    @classmethod
    def of(
        cls,
        options: ScoreOptions,
        class_names: Sequence[str],
        shape: tuple[int, int, int],
        task: Task = "classes",
    ) -> ReadRule:
        """Return the rule of a run.

        Args:
            options: of the run.
            class_names: of the model, in the order of its output; (): where the task has classes, their names are
                what labels are read for.
            shape: (height, width, channels) of the pixels that the model takes.
            task: of the model: it decides what a label means.
        """
        finds_names = task in WITH_CLASSES and not class_names
        labels = LabelRule(
            class_names, options.label_source, options.label_offset, task, options.labels_are, finds_names=finds_names
        )
        return cls(
            labels, options.image_key, options.label_key, batch_images(shape), options.passed, options.zip_encoding
        )
