"""Inputs as images to learn from: planned, looked at once, labelled, divided.

Owns the order of these steps. Must not know how any of them is done.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from model_training.data.archive import PIECE_BYTES
from model_training.data.dataset import Dataset
from model_training.data.found import Found, LeftOut, find
from model_training.data.found_labels import NO_CLASS_FOLDER, NO_LABEL
from model_training.data.image_list import SPLITS, ImageList
from model_training.data.image_set import HeldImages, ImageSet
from model_training.data.labelled import check_folders, labelled_images
from model_training.data.options import DataOptions
from model_training.data.plan import plan
from model_training.data.sides import Images, sides, without_contradictions
from model_training.data.streamed import ArchiveImages, StreamedImages
from model_training.data.survey import input_rule
from pipeline import storage
from pipeline.scoring.arrangement import arrange_decoders
from pipeline.scoring.memory import allowed_bytes
from pipeline.text import brief

EXAMPLES = 3
"""Images that are left out and named, at most."""

PIECES = 64
"""The pixels of a piece take at most such a part of the memory: a dozen of pieces are under way at the same time."""

CONTRADICTION = "the same picture has another label, too"
"""Why an image is left out that could be used."""

Indices = npt.NDArray[np.int64]

_log = logging.getLogger(__name__)


def read_sources(options: DataOptions, seen: Callable[[int], None] | None = None) -> Dataset:
    """Read inputs and divide their images.

    Args:
        options: name the inputs.
        seen: see `model_training.data.found.find`.

    Raises:
        UsageError: nothing can be learned from them; the text says what to do.
        TransientError: storage fails for now.
    """
    memory = options.memory_mb << 20 if options.memory_mb else allowed_bytes(None) // 2
    name = ", ".join(storage.key_of(storage.absolute(source)) for source in options.sources)
    planned = plan(options, min(PIECE_BYTES, max(1, memory // PIECES)))
    check_folders(planned, name, options.read_as)
    rule = input_rule(planned.archive, options)
    found = find(replace(planned, archive=planned.archive.with_rule(rule)), memory, seen)
    _warn(found.left_out, len(found))
    images = without_contradictions(labelled_images(found, name, options.read_as), options.contradictions)
    divided = sides(images)
    places = {split: images.rows[side] for split, side in zip(SPLITS, divided, strict=True)}
    if found.held is None:
        buffer_bytes = min(options.shuffle_mb << 20, memory // 2)
        both = zip(divided, places.values(), strict=True)
        train, validation, test = (_streamed(found, images, side, rows, buffer_bytes) for side, rows in both)
    else:
        arrange_decoders(1)  # nobody decodes any more; one process stays for who loads the next data set
        train, validation, test = _held(found, images, divided)
    left_out = found.left_out
    return Dataset(
        name,
        images.class_names,
        rule,
        train,
        validation,
        test,
        left_out.examples,
        options.task,
        left_out.count,
        found.skipped,
        ImageList(found.keys, places, left_out.reasons, CONTRADICTION),
    )


def _streamed(found: Found, images: Images, side: Indices, rows: Indices, buffer_bytes: int) -> ImageSet:
    archived = ArchiveImages(found.plan.archive, found.starts, found.keys)
    return StreamedImages(archived, rows, images.labels[side], images.hashes[side], buffer_bytes)


def _held(found: Found, images: Images, sides: Sequence[Indices]) -> list[ImageSet]:
    """Return image sets that share the pixels in memory."""
    assert found.held is not None
    archived, numbers = ArchiveImages(found.plan.archive, found.starts, found.keys), np.flatnonzero(found.usable)
    places = np.searchsorted(numbers, images.rows)
    labels = np.zeros((len(numbers), *images.labels.shape[1:]), images.labels.dtype)
    labels[places] = images.labels

    def key(place: int) -> str:
        return archived.key(int(numbers[place]))

    def encoded(place: int) -> bytes:
        return archived.encoded(int(numbers[place]))

    rule = found.plan.archive.rule
    return [HeldImages(rule, found.held, labels, places[side], key, encoded) for side in sides]


def _warn(left_out: LeftOut, images: int) -> None:
    """Tell how many images are left out, and why a few are, of as many reasons as there are; without a label first."""
    if left_out.count:
        seen: Counter[str] = Counter()
        turns = []
        for place, (key, why) in enumerate(left_out.examples.items()):
            turns.append((seen[why], why not in (NO_LABEL, NO_CLASS_FOLDER), place, key, why))
            seen[why] += 1
        examples = [(key, why) for *_, key, why in sorted(turns)[:EXAMPLES]]
        first = "; ".join(f"{brief(key)}: {why}" for key, why in examples)
        rest = left_out.count - len(examples)
        more = f"; and {rest:,} more" if rest else ""
        _log.warning("left out %s of %s images: %s%s", f"{left_out.count:,}", f"{images:,}", first, more)
