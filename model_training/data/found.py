"""What a first look at all images finds: which can be decoded, their labels, the hashes of their pixels.

All images are decoded once, in local processes. If their pixels fit into memory they stay there; else they are decoded
again when they are needed, and of each image some 20 bytes stay, and its compressed key. Must not know splits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from model_training.data.archive import Decoded
from model_training.data.compressed_texts import CompressedTexts
from model_training.data.found_labels import FoundLabels, LabelFinder
from model_training.data.image_set import Pixels
from model_training.data.plan import Plan, tell
from pipeline.batches import Code, Failure
from pipeline.sources.skipped import Skipped

EXAMPLES = 1_000
"""Images that are left out and named, at most; all are counted."""

_CHANGED: Mapping[Code, str] = {
    "NOT_FOUND": "removed while the data set was read",
    "FAILED_PRECONDITION": "modified while the data set was read",
}
"""Reasons why an image cannot be read, by their code, in other words than for a planned run."""


@dataclass
class LeftOut:
    """Images that cannot be learned from.

    Attributes:
        count: how many there are.
        examples: key -> why, of the first ones.
        reasons: of all images, in the order of the archive: why one is left out; "": it is not.
    """

    count: int = 0
    examples: dict[str, str] = field(default_factory=dict)
    reasons: CompressedTexts = field(default_factory=CompressedTexts)

    def add(self, keys: Sequence[str], why: Mapping[int, str]) -> None:
        """Take the next images.

        Args:
            keys: of these images.
            why: index of an image that is left out, in `keys` -> the reason.
        """
        self.count += len(why)
        self.reasons.add(why.get(i, "") for i in range(len(keys)))
        for i in sorted(why)[: EXAMPLES - len(self.examples)]:
            self.examples[keys[i]] = why[i]


@dataclass(frozen=True)
class Found:
    """All images of an archive after the first look; n of them, in the order of the archive.

    Attributes:
        plan: where they are from.
        starts: int64 [units + 1], number of the first image of each unit.
        hashes: uint64 [n], of the pixels; 0 where an image has none.
        keys: of all n images, as scoring the archive would call them.
        decoded: bool [n], whether an image could be decoded.
        labels: of all n images.
        left_out: images that cannot be decoded or have no label.
        skipped: counts what is no image: what the plan counted, and what only reading has shown.
        held: uint8 [usable, height, width, channels], the pixels of the images that are decoded and labelled, in their
            order; None: they are not in memory.
    """

    plan: Plan
    starts: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    keys: CompressedTexts
    decoded: npt.NDArray[np.bool_]
    labels: FoundLabels
    left_out: LeftOut
    skipped: Skipped
    held: Pixels | None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.hashes)

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """Which images are decoded and labelled, bool [n]."""
        return self.decoded & self.labels.labelled

    def of_input(self) -> npt.NDArray[np.int32]:
        """Return the number of the input that each image is from, int32 [n]."""
        return np.repeat(self.plan.inputs, np.diff(self.starts))


def find(plan: Plan, keep_bytes: int, seen: Callable[[int], None] | None = None) -> Found:
    """Decode all images once.

    Args:
        plan: what there is, with the model's input rule.
        keep_bytes: pixels are kept in memory as long as they take no more bytes than that.
        seen: is told of each number of images more that were looked at; None: nobody is.

    Raises:
        UsageError: a label cannot be understood.
        TransientError: storage fails for now.
    """
    finder, left_out, skipped = LabelFinder(plan), LeftOut(), Skipped()
    counts = np.zeros(len(plan.archive.units), np.int64)
    hashes: list[npt.NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
    decoded: list[npt.NDArray[np.bool_]] = [np.zeros(0, np.bool_)]
    keys, kept = CompressedTexts(), _Kept(keep_bytes)
    with closing(plan.archive.decode(skipped)) as batches:
        for found in batches:
            facts = found.batch.images.facts
            assert facts is not None
            counts[found.unit] += len(found.rows)
            if seen is not None:
                seen(len(found.rows))
            hashes.append(facts.hashes)
            keys.add(found.batch.images.keys)
            decoded.append(found.batch.images.ok)
            labelled = finder.add(found)
            kept.add(found.batch.pixels[labelled & decoded[-1]])
            left_out.add(found.batch.images.keys, _reasons(found, finder.why))
    tell(skipped)
    skipped.update(plan.skipped.counts, plan.skipped.examples)
    starts = np.concatenate([[0], np.cumsum(counts)])
    columns = np.concatenate(hashes), keys, np.concatenate(decoded)
    return Found(plan, starts, *columns, finder.labels(), left_out, skipped, kept.joined())


def _reasons(found: Decoded, without_label: Mapping[int, str]) -> dict[int, str]:
    """Return why images of a piece cannot be used, by their index in it."""
    return {i: _reason(failure) for i, failure in found.batch.images.failures.items()} | dict(without_label)


def _reason(failure: Failure) -> str:
    """Return why an image is left out; here nobody has planned what changed since it was listed."""
    return _CHANGED.get(failure.code, failure.message) if failure.stage == "read" else failure.message


class _Kept:
    """Pixels that are kept in memory as long as they fit."""

    def __init__(self, most: int) -> None:
        self._most, self._bytes = most, 0
        self._parts: list[Pixels] | None = []

    def add(self, pixels: Pixels) -> None:
        """Keep more; or nothing any more."""
        if self._parts is not None:
            self._parts.append(pixels)
            self._bytes += pixels.nbytes
            if self._bytes > self._most:
                self._parts = None

    def joined(self) -> Pixels | None:
        """Return all as one array, and keep nothing; memory holds no part twice."""
        parts, self._parts = self._parts, None
        if not parts:
            return None
        whole = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), np.uint8)
        stop = len(whole)
        while parts:
            part = parts.pop()
            whole[stop - len(part) : stop] = part
            stop -= len(part)
        return whole
