"""The augmentation as a picture: a few training images, and what the network is shown instead. For any task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_training.learning.augment import examples
from model_training.report.part import Part
from model_training.report.plots import draw_augmentation
from model_training.report.run import BuiltModel
from pipeline.model.thumbnails import thumbnail

IMAGES = 4
"""Number of training images that are shown, at most."""

COPIES = 5
"""Number of changed copies of each."""


@dataclass(frozen=True)
class AugmentationContent:
    """What the section shows.

    Attributes:
        name: of the augmentation in the recipe.
        rows: of each image, its key and the names of the pictures of its changed copies.
    """

    name: str
    rows: Sequence[tuple[str, Sequence[str]]]


def augmentation_part(run: BuiltModel) -> Part | None:
    """Return what the page shows of how training images are changed; None if they are not."""
    recipe, images = run.trained.recipe, run.dataset.train
    if recipe.augment == "none":
        return None
    numbers = np.unique(np.linspace(0, len(images) - 1, min(IMAGES, len(images))).astype(np.int64)).tolist()
    pixels = images.pixels(numbers)
    changed = examples(pixels, recipe.augment, COPIES, recipe.seed)
    pictures: dict[str, bytes] = {}
    rows = []
    for i, key in enumerate(map(images.key, numbers)):
        copies = [f"{key} (changed {c + 1})" for c in range(COPIES)]
        pictures |= {key: thumbnail(pixels[i])}
        pictures |= {name: thumbnail(changed[c, i]) for c, name in enumerate(copies)}
        rows.append((key, copies))
    files = {"augmentation.png": draw_augmentation(pixels, changed)}
    content = AugmentationContent(recipe.augment, rows)
    return Part("augmentation", "Augmentation", content, pictures=pictures, files=files)
