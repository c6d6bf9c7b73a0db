"""The images that were found, with the labels that a network learns: numbers of classes, rows of 0 and 1, values.

Must not know how images are divided.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from model_training.data import split
from model_training.data.classes import NO_CLASS, class_names_of, numbers_of
from model_training.data.found import Found
from model_training.data.image_set import Labels
from model_training.data.plan import ROLES, Plan, Role
from model_training.data.sides import Images
from pipeline.errors import UsageError
from pipeline.task import Task
from pipeline.text import brief

Mask = npt.NDArray[np.bool_]


def check_folders(plan: Plan, name: str, task: Task) -> None:
    """Check that there are classes, where the names of folders are all that tells them: before an image is read.

    Raises:
        UsageError: there are none, or there is but one.
    """
    if task == "classes" and plan.folders is not None:
        _check_number(sorted(plan.folders), name, "no class folders with images")


def labelled_images(found: Found, name: str, task: Task) -> Images:
    """Return the images that can be learned from, with their labels.

    Args:
        found: all images.
        name: of the data set, for messages.
        task: what the network is to say of an image.

    Raises:
        UsageError: there are no labels, but one, or some that cannot be.
    """
    roles: dict[Role, Mask] = {role: np.repeat(found.plan.units_of(role), np.diff(found.starts)) for role in ROLES}
    usable = found.usable
    class_names: list[str] = []
    if task == "value":
        labels = _values(found, usable & roles["dataset"], name)[usable]
    elif task == "labels":
        class_names, labels = _rows(found, usable, roles, name)
    else:
        class_names, labels = _classes(found, usable, roles, name)
    rows = np.flatnonzero(usable)
    chosen = {role: mask[rows] for role, mask in roles.items()}
    for role, mask in chosen.items():
        if roles[role].any() and not mask.any():
            raise UsageError(f"no image of --{role} can be decoded and has a label: give others")
    return Images(name, rows, found.hashes[rows], labels, class_names, chosen, found.keys.__getitem__)


def _check_number(class_names: Sequence[str], name: str, nothing: str) -> None:
    """Check that there are two classes."""
    if len(class_names) < 2:
        what = f"only one class, {class_names[0]!r}" if class_names else nothing
        raise UsageError(f"data set {name!r} has {what}: put the images of each class into a folder of its own")


def _there(found: Found, mask: Mask) -> Mask:
    """Return which names some images have, bool [names]."""
    there = np.zeros(len(found.labels.names), np.bool_)
    there[found.labels.numbers[np.repeat(mask, found.labels.counts)]] = True
    return there


def _numbers(found: Found, usable: Mask, roles: dict[Role, Mask], class_names: Sequence[str]) -> npt.NDArray[np.int32]:
    """Return the class of each name, int32 [names].

    Raises:
        UsageError: an image that validates or tests has a label that no image has which is learned from.
    """
    numbers = numbers_of(found.labels.names, class_names)
    for role in ROLES[1:]:
        unknown = np.flatnonzero(_there(found, usable & roles[role]) & (numbers == NO_CLASS)).tolist()
        if unknown:
            names = [one.name for one in found.labels.names]
            raise UsageError(
                f"--{role} has labels that the images to learn from do not have: {split.named(names, unknown)}, as of "
                f"{brief(found.labels.examples[unknown[0]])}"
            )
    return numbers


def _classes(found: Found, usable: Mask, roles: dict[Role, Mask], name: str) -> tuple[list[str], Labels]:
    """Return the class names, and the class of each usable image, int64."""
    class_names = class_names_of(found.labels, _there(found, roles["dataset"]))
    _check_number(class_names, name, "no images with labels")
    numbers = _numbers(found, usable, roles, class_names)
    classes = np.full(len(found), NO_CLASS, np.int64)
    classes[found.labels.labelled] = numbers[found.labels.numbers]
    return class_names, classes[usable]


def _rows(found: Found, usable: Mask, roles: dict[Role, Mask], name: str) -> tuple[list[str], Labels]:
    """Return the names of the labels, and a row of 0 and 1 for each usable image, float32 [n, names]."""
    class_names = class_names_of(found.labels, _there(found, usable & roles["dataset"]))
    if not class_names:
        raise UsageError(f"data set {name!r} has no images with labels: see docs/inputs.md for where labels may stand")
    numbers = _numbers(found, usable, roles, class_names)
    made = np.zeros((int(usable.sum()), len(class_names)), np.float32)
    counts = np.where(usable, found.labels.counts, 0)
    mine = np.repeat(usable, found.labels.counts)
    made[np.repeat(np.arange(len(made)), counts[usable]), numbers[found.labels.numbers[mine]]] = 1
    return class_names, made


def _values(found: Found, mine: Mask, name: str) -> Labels:
    """Return the value of each image, float32; NaN where it has none."""
    values = found.labels.values
    if values is None or not mine.any():
        raise UsageError(f"data set {name!r} has no images with numbers as labels: --task value learns numbers")
    if np.ptp(values[mine]) == 0:
        raise UsageError(
            f"all images of data set {name!r} have the same value, {values[mine][0]:g}: there is nothing to learn"
        )
    return values
