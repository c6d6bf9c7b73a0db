"""NumPy arrays of images: .npy files, and .npz archives such as Keras' own mnist.npz.

Images are uint8 [n, height, width], or [n, height, width, channels] with 1 or 3 channels, first or last; labels are an
array of as many entries whose name says so. Nothing is unpickled. What is not compressed is entered in the middle; a
compressed array is one unit. Pixels travel as binary PGM and PPM files. Arrays of other types are counted, not read:
what their numbers mean as brightness is nobody's guess.

A file that ends too early has a failed row for each image that it lacks, or one for all if those are very many.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from pipeline.batches import EncodedBatch, Failure
from pipeline.errors import ChangedError, UsageError
from pipeline.sources import numpy_header
from pipeline.sources.container import (
    Extent,
    Image,
    container_unit,
    cut_container,
    fail_the_rest,
    make_batches,
)
from pipeline.sources.foreign_file import DamagedError
from pipeline.sources.labels import Label, as_entry, folder_of
from pipeline.sources.limits import too_large
from pipeline.sources.numpy_file import StoredArray, arrays_of, values_of
from pipeline.sources.numpy_header import NO_IMAGES, PICKLED, Array, is_label_word
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.skipped import LABELS, Skipped
from pipeline.storage import StoredObject, key_of, stat
from pipeline.units import WorkUnit

NAME = "numpy"
SUFFIXES: tuple[str, ...] = (".npy", ".npz")
NUMBER = "number"
"""Column of a unit's index: which of the arrays in its file it reads."""

LONGEST_LABEL = 1 << 20
"""Bytes of a label, at most."""

_GONE = (FileNotFoundError, PermissionError, ChangedError)


def is_numpy(head: bytes) -> bool:
    """Return whether a file that starts so is a NumPy array, or a zip archive that begins with one."""
    return head.startswith(numpy_header.MAGIC) or (head.startswith(b"PK\3\4") and _first_name(head).endswith(b".npy"))


def _first_name(head: bytes) -> bytes:
    length = int.from_bytes(head[26:28], "little")
    return head[30 : 30 + length]


def why_none(found: StoredObject, image_key: str | None = None) -> str | None:
    """Return the reason why a file holds no images that are read; None if it holds some, or cannot be read.

    Args:
        found: as listed.
        image_key: name of the array that is meant, which changes nothing here: planning says if it is not there.
    """
    try:
        arrays = arrays_of(container_unit(NAME, found), Skipped())
    except (DamagedError, FileNotFoundError, ChangedError):
        return None
    reasons = [numpy_header.why_none(stored.array) for stored in arrays]
    if None in reasons:
        return None
    file = found.location.rpartition("/")[2]
    if arrays and not arrays[0].array.name and arrays[0].array.is_labels and is_label_word(file):
        return LABELS
    return next((reason for reason in reasons if reason not in (NO_IMAGES, PICKLED)), NO_IMAGES)


def index(found: StoredObject, unit_images: int, skipped: Skipped, rule: ReadRule | None = None) -> Iterator[WorkUnit]:
    """Cut the arrays of a file into units by their headers; the units have no id yet. A damaged file is one row.

    Raises:
        UsageError: it is not clear which arrays are the images.
    """
    whole = container_unit(NAME, found)
    rule = rule or ReadRule()
    try:
        arrays = arrays_of(whole, skipped)
    except DamagedError:
        yield replace(whole, images=1)
        return
    chosen = _chosen(whole, arrays, rule.image_key)
    _count(whole, arrays, chosen, rule, skipped)
    for number in chosen:
        unit = replace(_with_labels(whole, arrays[number], rule), index={NUMBER: [number]})
        if arrays[number].member is not None:
            span = (arrays[number].at, arrays[number].at + arrays[number].packed)
            if arrays[number].rows:
                yield replace(unit, images=arrays[number].rows, span=span)
            continue
        for part in cut_container(unit, _extents(arrays[number]), unit_images):
            yield replace(part, index=unit.index)


def _extents(stored: StoredArray) -> Iterator[Extent]:
    end = stored.at + stored.size
    for number in range(stored.rows):
        start = min(stored.at + number * stored.array.entry, end)
        yield Extent(start, min(start + stored.array.entry, end) if number < stored.images else end)


def _chosen(whole: WorkUnit, arrays: Sequence[StoredArray], image_key: str | None) -> list[int]:
    """Return the numbers of the arrays that are images: those whose names say so, else the only one.

    Raises:
        UsageError: it is not clear which.
    """
    able = [i for i, stored in enumerate(arrays) if stored.array.layout is not None]
    location = whole.locations[0]
    if not location.lower().endswith(".npy") and image_key is not None:
        chosen = [i for i in able if arrays[i].array.name == image_key]
        there = ", ".join(stored.array.name for stored in arrays[:12]) or "none"
        if not chosen:
            raise UsageError(f"{location!r} has no array of images {image_key!r}; there is {there}; see --image_key")
        return chosen
    said = [i for i in able if numpy_header.is_image_word(arrays[i].array.name)]
    if len(able) > 1 and not said:
        names = ", ".join(arrays[i].array.name for i in able[:12])
        raise UsageError(f"{location!r}: arrays {names} may hold the images; choose one with --image_key")
    return said or able


def _count(
    whole: WorkUnit, arrays: Sequence[StoredArray], chosen: Sequence[int], rule: ReadRule, skipped: Skipped
) -> None:
    """Count the arrays that are neither images nor their labels."""
    labels = {_labels_of(arrays[i].array, arrays, rule.label_key) for i in chosen}
    for number, stored in enumerate(arrays):
        array = stored.array
        if number in chosen or number in labels:
            continue
        why = numpy_header.why_none(array) or numpy_header.BESIDE
        of_images = any(array.name in numpy_header.label_names(arrays[i].array.name) for i in chosen)
        if of_images and array.is_labels:
            why = numpy_header.OF_OTHER_LENGTH
        name = f"!{key_of(array.name)}" if array.name else ""
        skipped.add(why, f"{key_of(whole.locations[0])}{name}")


def _labels_of(images: Array, arrays: Sequence[StoredArray], label_key: str | None) -> int | None:
    """Return the number of the array that holds the labels of an array of images, None if there is none."""
    for name in (label_key,) if label_key is not None else numpy_header.label_names(images.name):
        for number, stored in enumerate(arrays):
            array = stored.array
            if array.name == name and array.is_labels and array.shape[0] == images.shape[0]:
                return number
    return None


def _with_labels(unit: WorkUnit, stored: StoredArray, rule: ReadRule) -> WorkUnit:
    """Return the unit of a .npy file with the file of its labels as a second object, if there is one beside it."""
    if stored.array.name:
        return unit
    folder, _, file = unit.locations[0].rpartition("/")
    for name in numpy_header.label_names(file[: -len(".npy")]):
        found = stat(f"{folder}/{name}.npy")
        if found is None:
            continue
        try:
            array = arrays_of(container_unit(NAME, found), Skipped())[0].array
        except (DamagedError, *_GONE):
            continue
        if array.is_labels and array.shape[0] == stored.array.shape[0]:
            return replace(
                unit,
                locations=(*unit.locations, found.location),
                sizes=(*unit.sizes, found.size),
                versions=(*unit.versions, found.version),
            )
    return unit


def read(unit: WorkUnit, rule: ReadRule) -> Generator[EncodedBatch, None, None]:
    """Yield the unit's images in order, as PGM or PPM files."""
    stored: StoredArray | Exception
    rest = "#"
    try:
        stored, rest = _array_of(unit)
        labels = _labels(unit, rule)
    except (DamagedError, *_GONE) as error:
        stored, labels = error, []
    images = _images(unit, stored, rest, labels)
    return make_batches(islice(fail_the_rest(unit, images, rest), unit.images), rule)


def _array_of(unit: WorkUnit) -> tuple[StoredArray, str]:
    """Return the array that a unit reads, and what stands between its file's key and an image's number."""
    arrays = arrays_of(unit, Skipped())
    number = unit.index[NUMBER][0] if NUMBER in unit.index else 0
    if number >= len(arrays) or arrays[number].array.layout is None:
        raise DamagedError("it holds no array of images any more")
    name = arrays[number].array.name
    return arrays[number], f"!{key_of(name)}#" if name else "#"


def _images(unit: WorkUnit, stored: StoredArray | Exception, rest: str, labels: Sequence[Label]) -> Iterator[Image]:
    location, folder = key_of(unit.locations[0]), folder_of(unit.locations[0])
    numbers = range(unit.first, unit.first + (1 if unit.images is None else unit.images))
    if isinstance(stored, _GONE):
        raise stored
    if isinstance(stored, Exception):
        failure = Failure("read", "DATA_LOSS", f"NumPy file cannot be read: {stored}")
        yield from (Image(f"{location}{rest}{number}", failure, None, "") for number in numbers)
        return
    encoded = _encoded(unit, stored, numbers)
    for number, data in zip(numbers, encoded, strict=True):
        label = labels[number - unit.first] if number - unit.first < len(labels) else None
        yield Image(f"{location}{rest}{number}", data, label, folder)


def _encoded(unit: WorkUnit, stored: StoredArray, numbers: range) -> Iterator[bytes | Failure]:
    """Yield some images, or what became of them."""
    layout = stored.array.layout
    assert layout is not None
    packed = stored.packed // max(stored.rows, 1) if stored.member else None
    refused = too_large(layout.pixels, packed, "image")
    if refused is not None:
        yield from (refused for _ in numbers)
        return
    values = values_of(unit, stored, numbers.start)
    why = ""
    for number in numbers:
        try:
            data = b"" if why or number >= stored.images else next(values)
            if number == stored.images:
                why = f"its size is not that of the {stored.array.shape[0]:,} images in its header"
            elif len(data) < layout.pixels:
                why = why or "it ends"
        except DamagedError as error:
            why = str(error)
        yield Failure("read", "DATA_LOSS", f"array is damaged at image {number}: {why}") if why else layout.encode(data)


def _labels(unit: WorkUnit, rule: ReadRule) -> list[Label]:
    """Return the labels of the unit's images; [] if there are none, or they are damaged."""
    if rule.labels.source != "auto":
        return []
    if len(unit.locations) > 1:
        unit = replace(unit, locations=unit.locations[1:], sizes=unit.sizes[1:], versions=unit.versions[1:])
        number: int | None = 0
        arrays = arrays_of(unit, Skipped())
    else:
        arrays = arrays_of(unit, Skipped())
        own = arrays[unit.index[NUMBER][0] if NUMBER in unit.index else 0].array
        number = _labels_of(own, arrays, rule.label_key) if own.name else None
    if number is None:
        return []
    return list(_decoded(unit, arrays[number], unit.images or 0))


def _decoded(unit: WorkUnit, stored: StoredArray, n: int) -> Iterator[Label]:
    array = stored.array
    if not array.is_labels or array.entry > LONGEST_LABEL:
        return
    try:
        for data in islice(values_of(unit, stored, unit.first), n):
            if len(data) < array.entry:
                return
            yield as_entry(np.frombuffer(data, array.dtype).reshape(array.shape[1:]).tolist())
    except DamagedError:
        return


def first_images(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of its first n images."""
    return replace(unit, images=min(n, 1 if unit.images is None else unit.images))


sample = first_images
