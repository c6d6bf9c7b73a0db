"""The columns that flow through `score`: encoded images, pixels, predictions.

Owns the batch types and the name of a failed image's reason. Every column of a batch has one entry an image, in
the order of the archive. Must not know where images come from, how they are decoded, or who predicts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pipeline.image_facts import ImageFacts
from pipeline.text import plain

Stage = Literal["read", "preprocess", "predict"]
Code = Literal[
    "DATA_LOSS",
    "DEADLINE_EXCEEDED",
    "FAILED_PRECONDITION",
    "INTERNAL",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "UNIMPLEMENTED",
]
"""Names of google.rpc.Code (https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto)."""

BATCH_IMAGES = 256
BATCH_BYTES = 32 << 20
"""A batch holds at most so many images, or so many bytes, encoded or as pixels (one image may exceed it alone)."""


def batch_images(shape: tuple[int, int, int]) -> int:
    """Return how many images of that shape a batch holds at most.

    >>> batch_images((28, 28, 1)), batch_images((512, 512, 3))
    (256, 42)
    """
    return max(1, min(BATCH_IMAGES, BATCH_BYTES // math.prod(shape)))


@dataclass(frozen=True)
class Failure:
    """Why one image has no prediction.

    Attributes:
        stage: the step that failed.
        code: a google.rpc code name.
        message: lower-case text for a person, one line.
    """

    stage: Stage
    code: Code
    message: str

    def __post_init__(self) -> None:
        """Keep the message on one line, of bounded length, and without characters that are not to be seen."""
        text = plain(" ".join(self.message.split()))
        object.__setattr__(self, "message", text if len(text) <= 300 else text[:297] + "...")


@dataclass(frozen=True)
class ImageColumns:
    """Who the images of a batch are: their keys, their labels, and which have failed so far.

    Attributes:
        keys: n stable, unique, valid UTF-8 strings.
        labels: int32 [n], the class number; 0 where `labelled` is False.
        labelled: bool [n], whether the image has a class number.
        label_names: n class names as found (a folder's name, say), None where there is none.
        failures: index in the batch -> why that image has no prediction.
        label_lists: of the task "labels": n lists of names, None where the image has no labels; else None.
        label_values: of the task "value": float64 [n], NaN where the label is no number; else None. `labelled` says
            which images have a label.
        more: columns that pass through to the rows: name -> n texts, None where the image has none.
        facts: about the images as they are stored; None: nobody has looked yet.

    Of the task "classes" the images have `labels` and `label_names`. Of another task these are 0 and None.

    >>> columns = ImageColumns.of(["a.png", "b.png"])
    >>> columns.failed({1: Failure("preprocess", "INVALID_ARGUMENT", "cut short")}).ok
    array([ True, False])
    """

    keys: Sequence[str]
    labels: npt.NDArray[np.int32]
    labelled: npt.NDArray[np.bool_]
    label_names: Sequence[str | None]
    failures: Mapping[int, Failure] = field(default_factory=dict)
    label_lists: Sequence[Sequence[str] | None] | None = None
    label_values: npt.NDArray[np.float64] | None = None
    more: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    facts: ImageFacts | None = None

    def __post_init__(self) -> None:
        """Check that all columns are of one length."""
        lengths = {len(self.keys), len(self.labels), len(self.labelled), len(self.label_names)}
        lengths |= {len(column) for column in (self.label_lists, self.label_values) if column is not None}
        lengths |= set(map(len, self.more.values())) | ({len(self.facts)} if self.facts is not None else set())
        if len(lengths) != 1:
            raise ValueError(f"columns of different lengths: {sorted(lengths)}")

    def __len__(self) -> int:
        """Return the number of images, failed ones included."""
        return len(self.keys)

    @classmethod
    def of(cls, keys: Sequence[str]) -> ImageColumns:
        """Return unlabelled images, none of them failed."""
        n = len(keys)
        return cls(keys, np.zeros(n, np.int32), np.zeros(n, np.bool_), [None] * n)

    def failed(self, more: Mapping[int, Failure]) -> ImageColumns:
        """Return the same images with more of them failed; an earlier failure of an image stays."""
        if not more:
            return self
        return replace(self, failures={**more, **self.failures})

    @classmethod
    def joined(cls, every: Sequence[ImageColumns]) -> ImageColumns:
        """Return the images of several batches of one task, at least one, as those of one."""
        starts = list(accumulate((len(images) for images in every), initial=0))
        lists = [images.label_lists for images in every if images.label_lists is not None]
        values = [images.label_values for images in every if images.label_values is not None]
        facts = [images.facts for images in every if images.facts is not None]
        return cls(
            [key for images in every for key in images.keys],
            np.concatenate([images.labels for images in every]),
            np.concatenate([images.labelled for images in every]),
            [name for images in every for name in images.label_names],
            {
                start + i: why
                for start, images in zip(starts, every, strict=False)
                for i, why in images.failures.items()
            },
            [names for column in lists for names in column] if lists else None,
            np.concatenate(values) if values else None,
            joined_columns([images.more for images in every], [len(images) for images in every]),
            ImageFacts.joined(facts) if len(facts) == len(every) else None,
        )

    def pick(self, chosen: Sequence[int]) -> ImageColumns:
        """Return some of the images, by index, in the order given."""
        rows = np.asarray(chosen, np.intp)
        return ImageColumns(
            [self.keys[i] for i in chosen],
            self.labels[rows],
            self.labelled[rows],
            [self.label_names[i] for i in chosen],
            {new: self.failures[old] for new, old in enumerate(chosen) if old in self.failures},
            None if self.label_lists is None else [self.label_lists[i] for i in chosen],
            None if self.label_values is None else self.label_values[rows],
            {name: [column[i] for i in chosen] for name, column in self.more.items()},
            None if self.facts is None else self.facts.pick(chosen),
        )

    @property
    def ok(self) -> npt.NDArray[np.bool_]:
        """Mask, bool [n]: True where the image has not failed."""
        mask = np.ones(len(self), np.bool_)
        mask[list(self.failures)] = False
        return mask


def joined_columns(
    every: Sequence[Mapping[str, Sequence[str | None]]], lengths: Sequence[int]
) -> dict[str, list[str | None]]:
    """Return the columns of several batches as those of one; a batch that lacks a column has None in it.

    >>> joined_columns([{"site": ["a"]}, {}], [1, 2])
    {'site': ['a', None, None]}
    """
    names = dict.fromkeys(name for columns in every for name in columns)
    return {
        name: [
            value
            for columns, n in zip(every, lengths, strict=True)
            for value in (columns[name] if name in columns else [None] * n)
        ]
        for name in names
    }


@dataclass(frozen=True)
class EncodedBatch:
    """Images as they are stored.

    Attributes:
        images: who they are.
        encoded: n files' contents; b"" where reading failed.
    """

    images: ImageColumns
    encoded: Sequence[bytes]

    def __post_init__(self) -> None:
        """Check that both columns are of one length."""
        _same_length(self.images, self.encoded)

    @classmethod
    def of(cls, encoded: Sequence[bytes]) -> EncodedBatch:
        """Return files without names or labels; their keys are their numbers.

        >>> EncodedBatch.of([b"GIF89a", b""]).images.keys
        ['0', '1']
        """
        return cls(ImageColumns.of([str(i) for i in range(len(encoded))]), encoded)

    @classmethod
    def joined(cls, batches: Sequence[EncodedBatch]) -> EncodedBatch:
        """Return one batch of the images of several, at least one."""
        if len(batches) == 1:
            return batches[0]
        columns = ImageColumns.joined([batch.images for batch in batches])
        return cls(columns, [data for batch in batches for data in batch.encoded])

    def pick(self, chosen: Sequence[int]) -> EncodedBatch:
        """Return some of the images, by index, in the order given."""
        return EncodedBatch(self.images.pick(chosen), [self.encoded[i] for i in chosen])


@dataclass(frozen=True)
class PixelBatch:
    """Images as the model takes them.

    Attributes:
        images: who they are.
        pixels: uint8 [n, height, width, channels]; zeros where the image failed; uint8 [n, 0, 0, 0] if the model takes
            encoded files.
        seconds: spent on it so far, by step.
        encoded: n files' contents, if the model takes these; None: it takes the pixels.
    """

    images: ImageColumns
    pixels: npt.NDArray[np.uint8]
    seconds: Mapping[str, float] = field(default_factory=dict)
    encoded: Sequence[bytes] | None = None

    @classmethod
    def of_files(cls, batch: EncodedBatch, seconds: Mapping[str, float] | None = None) -> PixelBatch:
        """Return images for a model that takes encoded files."""
        return cls(batch.images, np.zeros((len(batch.images), 0, 0, 0), np.uint8), seconds or {}, batch.encoded)

    @property
    def inputs(self) -> npt.NDArray[Any]:
        """The images as a network gets them: the pixels; or, if it takes encoded files, object [n], of bytes."""
        if self.encoded is None:
            return self.pixels
        files = np.empty(len(self.encoded), np.object_)
        files[:] = self.encoded
        return files

    def __post_init__(self) -> None:
        """Check length and type of the columns."""
        _same_length(self.images, self.pixels)
        if self.encoded is not None:
            _same_length(self.images, self.encoded)
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 4:
            raise ValueError(f"pixels must be uint8 [n, h, w, c], not {self.pixels.dtype} {self.pixels.shape}")


@dataclass(frozen=True)
class PredictionBatch:
    """What the model says of the images, best classes first. What the model's task does not give is empty, or None.

    Attributes:
        images: who they are.
        top_labels: int32 [n, k], the k most probable classes, most probable first; k is 0 where there are no classes.
        top_scores: float32 [n, k], their probabilities.
        label_scores: float32 [n], the probability of the image's own label; NaN where it has none.
        thumbnails: index in the batch -> PNG or JPEG file, of images that a report may show.
        seconds: spent on it so far, by step.
        rescored: images that were scored a second time, in float32.
        chosen: of the task "labels": bool [n, classes], whether the class is at or above its threshold.
        values: of the task "value": float32 [n].
        embedding: float32 or float16 [n, d], if the model gives one.

    Rows of failed images hold zeros (and NaN).
    """

    images: ImageColumns
    top_labels: npt.NDArray[np.int32]
    top_scores: npt.NDArray[np.float32]
    label_scores: npt.NDArray[np.float32]
    thumbnails: Mapping[int, bytes] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    rescored: int = 0
    chosen: npt.NDArray[np.bool_] | None = None
    values: npt.NDArray[np.float32] | None = None
    embedding: npt.NDArray[np.floating[Any]] | None = None

    def __post_init__(self) -> None:
        """Check that all columns are of one length."""
        for column in (self.top_labels, self.top_scores, self.label_scores, self.chosen, self.values, self.embedding):
            if column is not None:
                _same_length(self.images, column)


def _same_length(images: ImageColumns, column: Sequence[object] | npt.NDArray[np.generic]) -> None:
    if len(images) != len(column):
        raise ValueError(f"{len(images)} images but a column of {len(column)}")
