"""A folder of class folders as labelled pixels, split into training and test images.

    PATH/cat/1.png        the class is the name of the folder that holds the image,
    PATH/more/dog/2.jpg   at any depth; images directly in PATH have none and are left out

Owns the split and the choice of the input rule. Must not know how networks are trained; decoding is `preprocess`'s.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model_training.data import split
from model_training.data.survey import RuleOf, input_spec, read_files
from model_training.learning.network import LARGEST_SIDE, SMALLEST_SIDE
from pipeline import storage
from pipeline.batches import Code, Failure
from pipeline.errors import UsageError
from pipeline.formatting import counted
from pipeline.model.colors import to_mode
from pipeline.model.input_rule import ColorMode, InputSpec
from pipeline.model.pillow import open_image
from pipeline.model.pixel_hash import pixel_hashes, rule_id
from pipeline.model.preprocess import preprocess
from pipeline.model.thumbnails import png
from pipeline.sources import images, search
from pipeline.sources.labels import folder_of
from pipeline.sources.names import same_name
from pipeline.sources.skipped import JUNK, OTHER, Skipped
from pipeline.storage import StoredObject
from pipeline.text import brief

LARGEST_EXAMPLE = 512
"""Pixels of an example's longer side, at most."""

_CHANGED: Mapping[Code, str] = {
    "NOT_FOUND": "removed while the data set was read",
    "FAILED_PRECONDITION": "modified while the data set was read",
}
"""Reasons why an image cannot be read, by their code, in other words than for a planned run."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FolderImages:
    """What a folder of class folders holds; training images first, then test images, each in the folder's order.

    Attributes:
        class_names: sorted.
        input: the rule by which the pixels were made.
        pixels: uint8 [n, height, width, channels].
        labels: int64 [n], index of the class.
        locations: n of them.
        test_start: index of the first test image.
        left_out: key of an image that could not be used -> why.
    """

    class_names: Sequence[str]
    input: InputSpec
    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    locations: Sequence[str]
    test_start: int
    left_out: Mapping[str, str]

    def __post_init__(self) -> None:
        """Check that all columns are of one length."""
        lengths = {len(column) for column in (self.pixels, self.labels, self.locations)}
        if len(lengths) != 1:
            raise ValueError(f"columns of different lengths: {sorted(lengths)}")


def read_folder(
    path: str, image_size: int | None = None, color_mode: ColorMode | None = None, rule_of: RuleOf = InputSpec
) -> FolderImages:
    """Read and decode a folder of class folders, local or gs://.

    Args:
        path: the folder.
        image_size: side of the square that images are resized to; None takes their own size, which must be one.
        color_mode: None takes "grayscale" if every image is grey, else "rgb".
        rule_of: makes the input rule of its height, width and color mode.

    Raises:
        UsageError: there is nothing to train on; the text says what to do.
    """
    root = storage.absolute(path)
    if image_size is not None and not SMALLEST_SIDE <= image_size <= LARGEST_SIDE:
        raise UsageError(f"--image_size {image_size}: the network takes {SMALLEST_SIDE} to {LARGEST_SIDE} pixels")
    files, unclassed = _listing(root)
    class_names = sorted({_class_of(file.location) for file in files})
    if len(class_names) < 2:
        found = f"only one class, {class_names[0]!r}" if class_names else "no class folders with images"
        raise UsageError(f"data set {root!r} has {found}: put the images of each class into a folder of its own")
    spec = input_spec(files, image_size, color_mode, rule_of)
    check_memory(len(files), spec)
    pixels, hashes, used, left_out = _decode(files, spec)
    left_out = {**unclassed, **left_out}
    _warn(left_out, len(files) + len(unclassed))
    locations = [file.location for file, use in zip(files, used, strict=True) if use]
    numbers = {name: i for i, name in enumerate(class_names)}
    labels = np.array([numbers[_class_of(location)] for location in locations], np.int64)
    is_test = _is_test(root, class_names, labels, hashes)
    order = np.argsort(is_test, kind="stable")
    placed = [locations[i] for i in order.tolist()]
    start = int((~is_test).sum())
    return FolderImages(class_names, spec, pixels[order], labels[order], placed, start, left_out)


def example_png(location: str, spec: InputSpec) -> bytes:
    """Return an image as a PNG file: the file itself if it is a small PNG, else its pixels, reduced to 512."""
    data = storage.read(location)
    opened = open_image(data)
    if opened.format == "PNG" and max(opened.size) <= LARGEST_EXAMPLE:
        return data
    image = to_mode(opened, spec)
    image.thumbnail((LARGEST_EXAMPLE, LARGEST_EXAMPLE))
    return png(image)


def _listing(root: str) -> tuple[list[StoredObject], dict[str, str]]:
    """Return the images in class folders, in order, and those that lie in none."""
    if not storage.is_remote(root) and not os.path.isdir(root):
        what = "a file" if os.path.exists(root) else "nowhere to be found"
        raise UsageError(f"data set {root!r} is {what}: give mnist, digits or a folder of class folders")
    files: list[StoredObject] = []
    unclassed: dict[str, str] = {}
    skipped = Skipped()
    try:
        for kind, file in search.find(root, skipped):
            name = file.location[len(root) :].lstrip("/")
            if kind != images.NAME:
                continue
            if "/" in name:
                files.append(file)
            else:
                unclassed[storage.key_of(file.location)] = "lies in no class folder"
    except PermissionError as error:
        raise UsageError(f"data set {root!r} cannot be listed: {error.strerror or error}") from error
    for reason, n in skipped.counts.items():
        if reason not in (JUNK, OTHER):
            _log.warning("not read: %s %s, such as %s", f"{n:,}", reason, brief(skipped.examples[reason]))
    return files, unclassed


def _class_of(location: str) -> str:
    """Return the class of an image: its folder's name, which a Mac spells differently."""
    return same_name(folder_of(location))


def _decode(
    files: Sequence[StoredObject], spec: InputSpec
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint64], npt.NDArray[np.bool_], dict[str, str]]:
    """Return the pixels of the images that can be decoded, their hashes, which those are, and why the others cannot."""
    pixels = np.empty((len(files), *spec.shape), np.uint8)
    hashes = np.empty(len(files), np.uint64)
    used = np.zeros(len(files), np.bool_)
    left_out: dict[str, str] = {}
    start = filled = 0
    for batch in read_files(files):
        made = preprocess(batch, spec)
        ok = made.images.ok
        more = int(ok.sum())
        pixels[filled : filled + more] = made.pixels[ok]
        hashes[filled : filled + more] = pixel_hashes(pixels[filled : filled + more], rule_id(spec))
        used[start : start + len(ok)] = ok
        left_out.update({made.images.keys[i]: _reason(failure) for i, failure in made.images.failures.items()})
        start, filled = start + len(ok), filled + more
    return pixels[:filled], hashes[:filled], used, left_out


def _reason(failure: Failure) -> str:
    """Return why an image is left out; here nobody has planned what changed since it was listed."""
    return _CHANGED.get(failure.code, failure.message) if failure.stage == "read" else failure.message


def check_memory(images: int, spec: InputSpec) -> None:
    """Raise a UsageError if so many images would take more than half of this machine's memory."""
    needed = images * math.prod(spec.shape)
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there // 2:
        raise UsageError(
            f"{images:,} images of {spec.width} x {spec.height} pixels take {needed / 1e9:.1f} GB, more than half of "
            f"this machine's memory of {there / 1e9:.1f} GB: give a smaller --image_size or fewer images"
        )


def _is_test(
    root: str, class_names: Sequence[str], labels: npt.NDArray[np.int64], hashes: npt.NDArray[np.uint64]
) -> npt.NDArray[np.bool_]:
    """Return which images are for testing, and tell what a person may not expect of it.

    Raises:
        UsageError: a class has no image, or no image is for testing.
    """
    there = np.bincount(labels, minlength=len(class_names))
    without = np.flatnonzero(there == 0).tolist()
    if without:
        raise UsageError(
            f"class {class_names[without[0]]!r} of {root!r} has no images that can be decoded: add some or remove the "
            "folder"
        )
    is_test, ranked = split.split(hashes, labels, len(class_names))
    if not is_test.any():
        raise UsageError(f"none of the {len(labels)} images of {root!r} falls to the test split: add more images")
    tested = np.bincount(labels[is_test], minlength=len(class_names))
    alone = np.flatnonzero(tested == 0).tolist()
    if ranked:
        told = split.named(class_names, ranked)
        _log.warning("split by rank, as all of their images would be on one side: %s", told)
    if alone:
        _log.warning("not tested, as there is only one picture to learn from: %s", split.named(class_names, alone))
    twice = split.contradictions(hashes, labels)
    if twice:
        _log.warning(
            "%s: look for images in wrong folders", counted(twice, "picture is", "pictures are") + " in several classes"
        )
    return is_test


def _warn(left_out: Mapping[str, str], images: int) -> None:
    if left_out:
        first = "; ".join(f"{brief(key)}: {why}" for key, why in list(left_out.items())[:3])
        more = f"; and {len(left_out) - 3:,} more" if len(left_out) > 3 else ""
        _log.warning("left out %d of %d images: %s%s", len(left_out), images, first, more)
