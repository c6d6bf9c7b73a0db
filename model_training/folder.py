"""A folder of class folders as labelled pixels, split into training and test images.

    PATH/cat/1.png        the class is the name of the folder that holds the image,
    PATH/more/dog/2.jpg   at any depth; images directly in PATH have none and are left out

Owns the split and the choice of the input rule. Must not know how networks are trained; decoding is `preprocess`'s.
"""

from __future__ import annotations

import logging
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
from PIL import Image

from model_training.network import LARGEST_SIDE, SMALLEST_SIDE
from pipeline import storage
from pipeline.batches import Code, EncodedBatch, Failure
from pipeline.errors import UsageError
from pipeline.model.colors import to_mode
from pipeline.model.input_rule import ColorMode, InputSpec
from pipeline.model.pillow import open_image
from pipeline.model.preprocess import preprocess
from pipeline.model.thumbnails import png
from pipeline.sources import images, inputs
from pipeline.sources.labels import folder_of
from pipeline.sources.names import same_name
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.skipped import JUNK, OTHER, Skipped
from pipeline.storage import StoredObject
from pipeline.text import brief

RuleOf = Callable[[int, int, ColorMode], InputSpec]
"""Makes an input rule of height, width and color mode."""

TEST_SHARE = 0.2
"""Share of the images that is kept for testing."""

LARGEST_OWN_SIDE = 256
"""Pixels of the longer side of images, at most, that are taken in their own size without --image_size."""

LARGEST_EXAMPLE = 512
"""Pixels of an example's longer side, at most."""

_ORIENTATION = 0x0112
_GREY_MODES = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F"}
_COLOR = InputSpec(1, 1, "rgb")

_CHANGED: Mapping[Code, str] = {
    "NOT_FOUND": "removed while the data set was read",
    "FAILED_PRECONDITION": "modified while the data set was read",
}
"""Reasons why an image cannot be read, by their code, in other words than for a planned run."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FolderImages:
    """What a folder of class folders holds; training images first, then test images.

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
        if not len(self.pixels) == len(self.labels) == len(self.locations):
            raise ValueError(f"{len(self.pixels)} images, {len(self.labels)} labels, {len(self.locations)} locations")


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
    train, test, unclassed = _listing(root)
    files = [*train, *test]
    class_names = sorted({_class_of(file.location) for file in files})
    if len(class_names) < 2:
        found = f"only one class, {class_names[0]!r}" if class_names else "no class folders with images"
        raise UsageError(f"data set {root!r} has {found}: put the images of each class into a folder of its own")
    spec = _input_spec(files, image_size, color_mode, rule_of)
    check_memory(len(files), spec)
    pixels, used, left_out = _decode(files, spec)
    left_out = {**unclassed, **left_out}
    _warn(left_out, len(files) + len(unclassed))
    locations = [file.location for file, use in zip(files, used, strict=True) if use]
    numbers = {name: i for i, name in enumerate(class_names)}
    labels = np.array([numbers[_class_of(location)] for location in locations], np.int64)
    test_start = int(used[: len(train)].sum())
    _check_split(root, class_names, labels, test_start)
    return FolderImages(class_names, spec, pixels, labels, locations, test_start, left_out)


def in_test_split(name: str) -> bool:
    """Return whether an image is for testing: every fifth or so, by a hash of its path relative to the folder.

    It depends on nothing else, so that an image never changes sides when others come or go.
    """
    digest = blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") < TEST_SHARE * 2**64


def example_png(location: str, spec: InputSpec) -> bytes:
    """Return an image as a PNG file: the file itself if it is a small PNG, else its pixels, reduced to 512."""
    data = storage.read(location)
    opened = open_image(data)
    if opened.format == "PNG" and max(opened.size) <= LARGEST_EXAMPLE:
        return data
    image = to_mode(opened, spec)
    image.thumbnail((LARGEST_EXAMPLE, LARGEST_EXAMPLE))
    return png(image)


def _listing(root: str) -> tuple[list[StoredObject], list[StoredObject], dict[str, str]]:
    """Return training files, test files, and the images that lie in no class folder."""
    if not storage.is_remote(root) and not os.path.isdir(root):
        what = "a file" if os.path.exists(root) else "nowhere to be found"
        raise UsageError(f"data set {root!r} is {what}: give mnist, digits or a folder of class folders")
    train: list[StoredObject] = []
    test: list[StoredObject] = []
    unclassed: dict[str, str] = {}
    skipped = Skipped()
    try:
        for kind, file in inputs.find(root, skipped):
            name = file.location[len(root) :].lstrip("/")
            if kind != images.NAME:
                continue
            if "/" in name:
                (test if in_test_split(name) else train).append(file)
            else:
                unclassed[storage.key_of(file.location)] = "lies in no class folder"
    except PermissionError as error:
        raise UsageError(f"data set {root!r} cannot be listed: {error.strerror or error}") from error
    for reason, n in skipped.counts.items():
        if reason not in (JUNK, OTHER):
            _log.warning("not read: %s %s, such as %s", f"{n:,}", reason, brief(skipped.examples[reason]))
    return train, test, unclassed


def _class_of(location: str) -> str:
    """Return the class of an image: its folder's name, which a Mac spells differently."""
    return same_name(folder_of(location))


def _read(files: Sequence[StoredObject]) -> Iterator[EncodedBatch]:
    """Yield the files in order, as scoring reads them; labels are the caller's."""
    for unit in images.cut(((file, None) for file in files), unit_images=len(files)):
        yield from images.read(unit, ReadRule())


def _decode(
    files: Sequence[StoredObject], spec: InputSpec
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_], dict[str, str]]:
    """Return the pixels of the images that can be decoded, which those are, and why the others cannot."""
    pixels = np.empty((len(files), *spec.shape), np.uint8)
    used = np.zeros(len(files), np.bool_)
    left_out: dict[str, str] = {}
    start = filled = 0
    for batch in _read(files):
        made = preprocess(batch, spec)
        ok = made.images.ok
        more = int(ok.sum())
        pixels[filled : filled + more] = made.pixels[ok]
        used[start : start + len(ok)] = ok
        left_out.update({made.images.keys[i]: _reason(failure) for i, failure in made.images.failures.items()})
        start, filled = start + len(ok), filled + more
    return pixels[:filled], used, left_out


def _reason(failure: Failure) -> str:
    """Return why an image is left out; here nobody has planned what changed since it was listed."""
    return _CHANGED.get(failure.code, failure.message) if failure.stage == "read" else failure.message


def _input_spec(
    files: Sequence[StoredObject], image_size: int | None, color_mode: ColorMode | None, rule_of: RuleOf
) -> InputSpec:
    if image_size is not None and color_mode is not None:
        return rule_of(image_size, image_size, color_mode)
    is_turned = rule_of(SMALLEST_SIDE, SMALLEST_SIDE, "rgb").exif_orientation
    sizes, colored = _survey(files, is_turned, look_for_color=color_mode is None)
    color_mode = color_mode or ("rgb" if colored else "grayscale")
    if image_size is not None:
        return rule_of(image_size, image_size, color_mode)
    width, height = _own_size(sizes)
    return rule_of(height, width, color_mode)


def _survey(
    files: Sequence[StoredObject], is_turned: bool, look_for_color: bool
) -> tuple[Counter[tuple[int, int]], bool]:
    """Return (width, height) -> images, and whether any image has color."""
    sizes: Counter[tuple[int, int]] = Counter()
    colored = False
    for batch in _read(files):
        for data in batch.encoded:
            try:
                image = open_image(data)
                colored = colored or (look_for_color and _has_color(image))
                sizes[_upright_size(image) if is_turned else image.size] += 1
            except Exception:  # noqa: BLE001 - Pillow raises anything; `preprocess` meets it again and says why
                continue
    return sizes, colored


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    lies = image.format != "TIFF" and image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)  # a TIFF is upright at once
    return (height, width) if lies else (width, height)


def _has_color(image: Image.Image) -> bool:
    if image.mode in _GREY_MODES:
        return False
    red, green, blue = np.moveaxis(np.asarray(to_mode(image, _COLOR)), 2, 0)
    return not (np.array_equal(red, green) and np.array_equal(green, blue))


def _own_size(sizes: Counter[tuple[int, int]]) -> tuple[int, int]:
    """Return the one size of all images, (width, height)."""
    listed = [f"{width} x {height} ({count:,})" for (width, height), count in sizes.most_common()]
    if not sizes:
        raise UsageError("none of the images can be decoded: give a folder of PNG, JPEG, GIF, TIFF, WebP or BMP images")
    if len(sizes) > 1:
        more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
        raise UsageError(f"the images have different sizes, {', '.join(listed[:5])}{more}: give --image_size N")
    (size,) = sizes
    if max(size) > LARGEST_OWN_SIDE:
        raise UsageError(f"the images are large, {listed[0]}: give --image_size N to train on smaller ones")
    if min(size) < SMALLEST_SIDE:
        raise UsageError(f"the images are small, {listed[0]}: give --image_size N, at least {SMALLEST_SIDE}")
    return size


def check_memory(images: int, spec: InputSpec) -> None:
    """Raise a UsageError if so many images would take more than half of this machine's memory."""
    needed = images * math.prod(spec.shape)
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there // 2:
        raise UsageError(
            f"{images:,} images of {spec.width} x {spec.height} pixels take {needed / 1e9:.1f} GB, more than half of "
            f"this machine's memory of {there / 1e9:.1f} GB: give a smaller --image_size or fewer images"
        )


def _check_split(root: str, class_names: Sequence[str], labels: npt.NDArray[np.int64], test_start: int) -> None:
    trained = np.bincount(labels[:test_start], minlength=len(class_names))
    without = [name for name, count in zip(class_names, trained, strict=True) if not count]
    if without:
        raise UsageError(
            f"class {without[0]!r} of {root!r} has no training images that can be decoded "
            f"(one in five is kept for testing): add some or remove the folder"
        )
    if test_start == len(labels):
        raise UsageError(f"none of the {len(labels)} images of {root!r} falls to the test split: add more images")


def _warn(left_out: Mapping[str, str], images: int) -> None:
    if left_out:
        first = "; ".join(f"{brief(key)}: {why}" for key, why in list(left_out.items())[:3])
        more = f"; and {len(left_out) - 3:,} more" if len(left_out) > 3 else ""
        _log.warning("left out %d of %d images: %s%s", len(left_out), images, first, more)
