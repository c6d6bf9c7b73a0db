"""MODEL/training/images.csv.gz: which set each image of a training was in, one row an image, in the order of the data.

The rows are written one after the other: ten million images take no more memory than a few.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

import numpy as np

from model_training.data.datasets import Dataset
from model_training.data.image_list import SPLITS, ImageList
from model_training.data.image_set import Labels
from pipeline.report.csv_file import write_csv
from pipeline.sources.label_values import joined

FILE = "images.csv.gz"
"""Name of the file in training/."""

HEADER = ("key", "set", "label", "reason")
"""Columns of the file."""

LEVEL = 6
"""Level of gzip."""

LabelText = Callable[[int], str]
"""Gives the label of an image of a set by its number there, as text."""


def write_images(dataset: Dataset, folder: str) -> None:
    """Write the file of all images of a training; the same data set gives the same bytes.

    Args:
        dataset: what was learned; nothing is written for one that does not list its images.
        folder: on disk; it exists.

    Raises:
        OSError: the file cannot be written.
    """
    if dataset.listed is None:
        return
    with (
        open(os.path.join(folder, FILE), "wb") as file,
        gzip.GzipFile("", "wb", LEVEL, file, mtime=0) as packed,  # without a name and a time
    ):
        write_csv(cast(BinaryIO, packed), HEADER, _rows(dataset, dataset.listed))


def _rows(dataset: Dataset, listed: ImageList) -> Iterator[tuple[str, str, str, str]]:
    """Yield the cells of each image."""
    texts = {split: _label_text(dataset, dataset.images(split).labels) for split in SPLITS}
    for key, split, number, reason in listed:
        yield (key, "", "", reason) if split is None else (key, split, texts[split](number), reason)


def _label_text(dataset: Dataset, labels: Labels) -> LabelText:
    """Return what gives the labels of a set as text, as a list of files may have them."""
    names = dataset.class_names
    if dataset.task == "labels":
        return lambda number: joined([names[i] for i in np.flatnonzero(labels[number]).tolist()])
    if dataset.task == "value":
        return lambda number: str(labels[number])  # the shortest text that reads back as the same number
    return lambda number: names[labels[number]]
