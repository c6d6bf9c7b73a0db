"""Model directories that tell nothing but which pixels their models have learned from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from written_output import MODEL_ID

from pipeline.model.input_rule import InputSpec
from pipeline.model.pixel_hash import rule_id
from pipeline.model.trained_on import FOLDER, TrainedOn


def write_model(
    folder: Path, hashes: Iterable[int], model_id: str = MODEL_ID, rule: InputSpec | None = None, of_set: str = "train"
) -> str:
    """Write a model directory without a network, and return its location.

    Args:
        folder: becomes the model directory.
        hashes: of the pixels that the model has learned from.
        model_id: of the model.
        rule: input rule that made the pixels; None: that of `write_output`.
        of_set: "train" or "validation", what the images were for.
    """
    column = np.array(sorted(hashes), np.uint64)
    learned = TrainedOn.of(
        {of_set: column},  # type: ignore[dict-item]  # a name of a set
        rule_id(rule or InputSpec(28, 28, "grayscale")),
        model_id,
    )
    place = folder / "training" / FOLDER
    place.mkdir(parents=True)
    for name, data in learned.files().items():
        (place / name).write_bytes(data)
    return str(folder)
