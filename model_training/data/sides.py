"""Which images are learned, which validate and which test; images that cannot be divided so are refused.

Must not know how images are decoded, or where their labels are from.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model_training.data import split
from model_training.data.image_set import Hashes, Labels
from model_training.data.options import Contradictions
from model_training.data.plan import Role
from pipeline.errors import UsageError
from pipeline.formatting import counted
from pipeline.text import brief

VALIDATION_SHARE = 0.1
"""Share of the images that are not for testing that validate, if there are none of their own."""

Rows = npt.NDArray[np.int64]
"""Numbers of images, sorted."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Images:
    """The n images that can be learned from, as far as it matters on which side they are.

    Attributes:
        where: the name of the data set, for messages.
        rows: int64 [n], their numbers in the archive.
        hashes: uint64 [n], of their pixels.
        labels: of these, see `model_training.data.image_set.Labels`.
        class_names: names of the classes; () where the task has none.
        roles: what each role has: bool [n].
        key_of: gives the key of an image, by its number in the archive.
    """

    where: str
    rows: Rows
    hashes: Hashes
    labels: Labels
    class_names: Sequence[str]
    roles: Mapping[Role, npt.NDArray[np.bool_]]
    key_of: Callable[[int], str]

    @property
    def has_classes(self) -> bool:
        """Whether each image is of one class."""
        return np.issubdtype(self.labels.dtype, np.integer)

    def pick(self, mask: npt.NDArray[np.bool_]) -> Images:
        """Return some of the images."""
        roles = {role: found[mask] for role, found in self.roles.items()}
        columns = (self.rows[mask], self.hashes[mask], self.labels[mask])
        return Images(self.where, *columns, self.class_names, roles, self.key_of)


class Sides(NamedTuple):
    """Indices of images: int64 each, sorted."""

    train: Rows
    validation: Rows
    test: Rows


def without_contradictions(images: Images, how: Contradictions) -> Images:
    """Return the images without those that are the same picture with different labels, which are refused or left out.

    Raises:
        UsageError: there are some, and they are not to be left out.
    """
    if images.labels.ndim == 1 and not images.has_classes:
        return images  # two measurements of one thing need not be equal
    wrong = contradicting(images.hashes, images.labels)
    if not wrong.any():
        return images
    first = np.flatnonzero(wrong)[0]
    twins = np.flatnonzero(images.hashes == images.hashes[first])
    other = next(i for i in twins.tolist() if not np.array_equal(images.labels[i], images.labels[first]))
    pictures = len(np.unique(images.hashes[wrong]))
    text = (
        f"{counted(pictures, 'picture has', 'pictures have')} copies with different labels, such as "
        f"{_labelled(images, int(first))} and {_labelled(images, other)}"
    )
    if how == "refuse":
        raise UsageError(f"{text}: correct the labels, or leave out all of them with --contradictions leave_out")
    _log.warning("%s: left out %s", text, counted(int(wrong.sum()), "image"))
    return images.pick(~wrong)


def contradicting(hashes: Hashes, labels: Labels) -> npt.NDArray[np.bool_]:
    """Return which images have a copy with another label, or are such a copy, bool [n].

    >>> contradicting(np.array([7, 5, 7, 5], np.uint64), np.array([0, 0, 1, 0])).tolist()
    [True, False, True, False]
    """
    order = np.argsort(hashes, kind="stable")
    same = hashes[order][1:] == hashes[order][:-1]
    unlike = labels[order][1:] != labels[order][:-1]
    unlike = unlike.any(axis=1) if unlike.ndim == 2 else unlike
    wrong = np.unique(hashes[order][1:][same & unlike])
    return np.isin(hashes, wrong)


def _labelled(images: Images, i: int) -> str:
    """Return the name of an image with its label, for a message."""
    label = images.labels[i]
    numbers = [int(label)] if images.has_classes else np.flatnonzero(label).tolist()
    return f"{brief(images.key_of(int(images.rows[i])))} ({split.named(images.class_names, numbers) or 'none'})"


def sides(images: Images) -> Sides:
    """Divide images: by what the inputs are for, else by the hashes of their pixels.

    Raises:
        UsageError: a side has no images, or a class is missing on one.
    """
    mine, classes = images.roles["dataset"], len(images.class_names)
    numbers = images.labels if images.has_classes else np.zeros(len(images.rows), np.int64)
    if images.has_classes:
        _check_classes(images)
    validation, test = images.roles["validation"].copy(), images.roles["test"].copy()
    rest = mine.copy()
    if not test.any():
        test[mine], ranked = split.split(images.hashes[mine], numbers[mine], classes if images.has_classes else 1)
        rest &= ~test
        if not test.any():
            raise UsageError(
                f"none of the {int(mine.sum()):,} images of {images.where!r} falls to the test split: add more images"
            )
        if ranked and images.has_classes:
            told = split.named(images.class_names, ranked)
            text = "a fifth of the pictures of each of these classes are for the test, else all or none would be"
            _log.warning("%s: %s", text, told)
    if not validation.any():
        validation[rest] = split.validation_split(images.hashes[rest], VALIDATION_SHARE, numbers[rest])
        rest &= ~validation
        if not validation.any():
            raise UsageError(
                f"data set {images.where!r} has too few pictures to learn from and none to validate with: add more "
                "images, or give --validation images"
            )
    return Sides(*map(np.flatnonzero, (rest, validation, test)))


def _check_classes(images: Images) -> None:
    """Check that each class can be learned and tested.

    Raises:
        UsageError: one cannot.
    """
    names, hashes, labels = images.class_names, images.hashes, images.labels
    for role, mask in images.roles.items():
        there = np.bincount(labels[mask], minlength=len(names))
        without = np.flatnonzero(there == 0).tolist()
        if without and role == "dataset":
            raise UsageError(
                f"class {names[without[0]]!r} of {images.where!r} has no images that can be decoded: add some or "
                "remove the folder"
            )
        if without and mask.any():
            raise UsageError(f"--{role} has no images of {split.named(names, without)}: add some of each class")
    if images.roles["test"].any():
        return
    mine = images.roles["dataset"]
    pairs = np.unique(np.stack([labels[mine].astype(np.uint64), hashes[mine]], axis=1), axis=0)
    alone = np.flatnonzero(np.bincount(pairs[:, 0].astype(np.int64), minlength=len(names)) == 1).tolist()
    if alone:
        what = "class has" if len(alone) == 1 else "classes have"
        raise UsageError(
            f"{len(alone):,} {what} one picture only, so that none is left to test with: {split.named(names, alone)}; "
            "add more images of each, or give --test images"
        )
