"""Small data sets for training, one of each task: digits of 12 x 12 pixels, and a list of the test images to score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from task_networks import LABELS, labels_of

from model_training.data.datasets import Dataset, RawImages
from model_training.data.image_set import HeldImages
from pipeline.batches import EncodedBatch
from pipeline.model.input_rule import InputSpec
from pipeline.model.preprocess import preprocess
from pipeline.task import Task

RULE = InputSpec(12, 12, "grayscale")
MEAN, STEP = 2020.0, 0.25
"""Value of the digit 0, and of the difference of a digit from the one before."""


def labels_for(task: Task, digits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the labels of digits as an image set of a task has them."""
    if task == "labels":
        return np.array([[name in labels_of(digit) for name in LABELS] for digit in digits.tolist()], np.float32)
    return (MEAN + STEP * digits).astype(np.float32) if task == "value" else digits.astype(np.int64)


def dataset_of(task: Task, raw: RawImages, images: int = 600) -> Dataset:
    """Return the first digits as a data set: six of ten are learned, two validate, two test."""
    encoded = [raw.encoded(i) for i in range(images)]
    pixels = preprocess(EncodedBatch.of(encoded), RULE).pixels
    labels = labels_for(task, np.asarray(raw.labels[:images]))

    def part(first: int, stop: int) -> HeldImages:
        rows = np.array([i for i in range(images) if first <= i % 10 < stop])
        return HeldImages(RULE, pixels, labels, rows, lambda i: f"digits#{i:04d}", lambda i: encoded[i])

    names = {"labels": LABELS, "value": ()}.get(task, tuple("0123456789"))
    return Dataset("digits", names, RULE, part(0, 6), part(6, 8), part(8, 10), task=task)


def write_test_images(dataset: Dataset, folder: Path) -> Path:
    """Write the test images as files and a list of them with their labels; returns the list."""
    folder.mkdir()
    lines = ["file_name,label"]
    for i in range(len(dataset.test)):
        (folder / f"{i:04d}.png").write_bytes(dataset.test.encoded(i))
        label = dataset.test.labels[i]
        if dataset.task == "labels":
            text = "|".join(name for name, has in zip(LABELS, label, strict=True) if has) or "[]"
        else:
            text = str(label)
        lines.append(f"{i:04d}.png,{text}")
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    return folder / "list.csv"
