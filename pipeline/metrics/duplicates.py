"""Images that an archive has more than once: the same pixels, as the model gets them. Must not know where rows lie.

Two images of one hash are copies; 64 bits are enough: of ten million different images two share a hash with a
probability of 3 in a million.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.metrics.hash_texts import from_texts
from pipeline.metrics.odd_images import BLANK
from pipeline.task import Task

NO_LABEL = 0
"""Code of an image without a label: it contradicts none."""


@dataclass(frozen=True, eq=False)
class Hashed:
    """Images that have a hash, in the order of their rows.

    Attributes:
        rows: int32 [n], number of the row.
        hashes: uint64 [n], hash of the pixels.
        labels: uint64 [n], a code of the label; NO_LABEL: it has none.
        looks: uint64 [n], perceptual hash, 0 where there is none; empty: the rows have none.
        has_look: bool [n], whether there is one that means something; empty as above.
    """

    rows: npt.NDArray[np.int32]
    hashes: npt.NDArray[np.uint64]
    labels: npt.NDArray[np.uint64]
    looks: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    has_look: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))


def hashed(rows: pa.Table, task: Task) -> Hashed:
    """Return the images of rows that have a hash.

    Args:
        rows: with the column pixel_hash, and those of the label, see LABEL_COLUMNS; and perceptual_hash and contrast,
            if the run has written them.
        task: of the model.
    """
    hashes, known = from_texts(rows["pixel_hash"])
    numbers = np.flatnonzero(known).astype(np.int32)
    chosen = rows.take(pa.array(numbers))
    found = Hashed(numbers, hashes[numbers], _label_codes(chosen, task))
    if "perceptual_hash" not in rows.column_names:
        return found
    looks, has_look = from_texts(chosen["perceptual_hash"])
    contrast = np.asarray(pc.fill_null(chosen["contrast"], 0.0), np.float64)
    return replace(found, looks=looks, has_look=has_look & (contrast >= BLANK))


def label_texts(rows: pa.Table, task: Task) -> list[str | None]:
    """Return the label of each row as a person reads it; None where it has none.

    The rows have the columns `label` and `label_name`, or `label_names`, or `label_value`, as their task says.
    """
    if task == "classes":
        pairs = zip(rows["label_name"].to_pylist(), rows["label"].to_pylist(), strict=True)
        return [name if name is not None else (None if number is None else str(number)) for name, number in pairs]
    if task == "labels":
        return [None if names is None else ", ".join(sorted(names)) for names in rows["label_names"].to_pylist()]
    if task == "value":
        return [None if value is None else f"{value:g}" for value in rows["label_value"].to_pylist()]
    return [None] * len(rows)


LABEL_COLUMNS: dict[Task, tuple[str, ...]] = {
    "classes": ("label", "label_name"),
    "labels": ("label_names",),
    "value": ("label_value",),
    "embedding": (),
}
"""Task -> columns that `label_texts` reads."""


def _label_codes(rows: pa.Table, task: Task) -> npt.NDArray[np.uint64]:
    """Return a code of each row's label, uint64 [n]: the same for the same label, in every part."""
    texts = label_texts(rows, task)
    codes: dict[str | None, int] = {None: NO_LABEL}
    for text in texts:
        if text not in codes:
            digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() if text is not None else b""
            codes[text] = int.from_bytes(digest, "big") or 1
    return np.array([codes[text] for text in texts], np.uint64)


@dataclass(frozen=True, eq=False)
class Copies:
    """Images that are there more than once, group by group.

    Attributes:
        places: int64 [n], index of each of these images among all hashed ones; the images of a group follow each other.
        starts: int64 [groups + 1], where each group begins in `places`, and the end.
        conflicts: bool [groups], whether images of the group have different labels.

    Groups with a conflict come first, then the larger ones.
    """

    places: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    conflicts: npt.NDArray[np.bool_]


def copies(hashes: npt.NDArray[np.uint64], labels: npt.NDArray[np.uint64]) -> Copies:
    """Return the images that have the hash of another one.

    Args:
        hashes: uint64 [n].
        labels: uint64 [n], code of the label.
    """
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    is_first = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(ordered) else np.zeros(0, np.bool_)
    first = np.flatnonzero(is_first)
    sizes = np.diff(np.append(first, len(ordered)))
    several = np.flatnonzero(sizes > 1)
    first, sizes = first[several], sizes[several]
    group = np.repeat(np.arange(len(sizes)), sizes)
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    at = first[group] + np.arange(len(group)) - starts[group]
    places = order[at]
    conflicts = _conflicts(group, labels[places], len(sizes))
    rank = np.lexsort((first, -sizes, ~conflicts))
    moved = np.concatenate([[0], np.cumsum(sizes[rank])]).astype(np.int64)
    chosen = np.repeat(starts[rank] - moved[:-1], sizes[rank]) + np.arange(len(places))
    return Copies(places[chosen], moved, conflicts[rank])


def _conflicts(group: npt.NDArray[np.int64], labels: npt.NDArray[np.uint64], groups: int) -> npt.NDArray[np.bool_]:
    """Return for each group whether its images have different labels, bool [groups]; one without a label agrees."""
    has_one = labels != NO_LABEL
    group, labels = group[has_one], labels[has_one]
    low = np.full(groups, np.iinfo(np.uint64).max, np.uint64)
    high = np.zeros(groups, np.uint64)
    np.minimum.at(low, group, labels)
    np.maximum.at(high, group, labels)
    return low < high
