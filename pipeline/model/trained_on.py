"""The pixels that a model has learned from, as 8 bytes a picture: who scores can tell which images it has seen before.

    MODEL/training/pixel_hashes/    or MODEL/import/pixel_hashes/
      facts.json        the id of the input rule, the id of the model, what was hashed, how many images
      train.npy         uint64, sorted, each picture once: what the network was fitted to
      validation.npy    the same, of the images that watched over the training

The hashes are those of the rows' column `pixel_hash`, and can be compared with rows by the same input rule only. They
are no part of a model's id. A model directory of an earlier version has none, which means: not known.
Must not know where the images come from.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from pipeline import storage
from pipeline.errors import NewerFormatError, UsageError

FOLDER = "pixel_hashes"
"""Name of the folder, in training/ or import/."""

FACTS = "facts.json"

PLACES = ("training", "import")
"""Folders of a model directory that may hold it: what training, or importing, left for people."""

FORMAT = 1
"""Number of the form of these files; this version knows no later one."""

LearnedSet = Literal["train", "validation"]
SETS: tuple[LearnedSet, ...] = get_args(LearnedSet)
"""What an image was for: "train" = the network was fitted to it, "validation" = it watched over that."""

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class TrainedOn:
    """The pixels that a model has learned from.

    Attributes:
        rule: id of the input rule that made the pixels, as hex: see `pipeline.model.pixel_hash.rule_id`.
        model_id: of the model that learned from them.
        hashes: set -> uint64 [n], sorted, each picture once.
        images: set -> images that were hashed, copies counted.
        sources: names of the data sets or locations of the inputs, as keys.
        left_out: images of them that could not be decoded, and so have no hash.

    >>> trained = TrainedOn.of({"train": np.array([7, 5, 7], np.uint64)}, b"rule", "c0ffee")
    >>> trained.contains(np.array([5, 6, 7], np.uint64))
    array([ True, False,  True])
    >>> trained.images, len(trained)
    ({'train': 3, 'validation': 0}, 2)
    """

    rule: str
    model_id: str
    hashes: Mapping[LearnedSet, Hashes]
    images: Mapping[LearnedSet, int]
    sources: Sequence[str] = field(default_factory=tuple)
    left_out: int = 0

    @classmethod
    def of(
        cls,
        hashes: Mapping[LearnedSet, Hashes],
        rule: bytes,
        model_id: str,
        sources: Sequence[str] = (),
        left_out: int = 0,
    ) -> TrainedOn:
        """Return what was learned from the hashes of all images.

        Args:
            hashes: set -> uint64 [n] in any order, with copies; a set that is absent has no images.
            rule: id of the input rule that made the pixels.
            model_id: of the model that learned from them.
            sources: see the class.
            left_out: see the class.
        """
        every = {name: hashes.get(name, np.zeros(0, np.uint64)) for name in SETS}
        different = {name: np.unique(one).astype("<u8") for name, one in every.items()}
        counts = {name: len(one) for name, one in every.items()}
        return cls(rule.hex(), model_id, different, counts, tuple(sources), left_out)

    def __len__(self) -> int:
        """Return the number of different pictures, one that is in both sets counted twice."""
        return sum(map(len, self.hashes.values()))

    @property
    def digest(self) -> str:
        """What tells these hashes from others, 16 hex digits."""
        ends = {name: (len(one), one[:1].tolist(), one[-1:].tolist()) for name, one in self.hashes.items()}
        facts = json.dumps([self.rule, self.model_id, dict(self.images), list(self.sources), ends])
        return hashlib.sha256(facts.encode("utf-8")).hexdigest()[:16]

    def contains(self, hashes: Hashes, sets: Sequence[LearnedSet] = SETS) -> npt.NDArray[np.bool_]:
        """Return which hashes are those of an image that was learned from, bool [n].

        Args:
            hashes: uint64 [n], of pixels by the same rule.
            sets: in which to look.
        """
        found = np.zeros(len(hashes), np.bool_)
        order = np.argsort(hashes)  # near ones are looked for after each other: a file of 80 MB is read once
        wanted = hashes[order]
        for known in (self.hashes[name] for name in sets):
            if len(known):
                places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
                found[order] |= known[places] == wanted
        return found

    def files(self) -> dict[str, bytes]:
        """Return the contents of the folder `FOLDER`, by name."""
        facts = {
            "format": FORMAT,
            "rule": self.rule,
            "model_id": self.model_id,
            "images": dict(self.images),
            "pictures": {name: len(one) for name, one in self.hashes.items()},
            "sha256": {name: _sha256(one) for name, one in self.hashes.items()},
            "sources": list(self.sources),
            "left_out": self.left_out,
        }
        arrays = {_array(name): _npy(one) for name, one in self.hashes.items()}
        return {**arrays, FACTS: (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode()}


def read_hashes(model: str) -> TrainedOn | None:
    """Return what is known of the pixels that a model has learned from; None: its model directory does not tell.

    From a disk the hashes are not read but mapped into memory: 10 million are 80 MB.

    Args:
        model: location of the model directory.

    Raises:
        NewerFormatError: a newer version has written it.
        UsageError: it is damaged.
    """
    for place in PLACES:
        folder = storage.join(model, place, FOLDER)
        try:
            facts = storage.read(storage.join(folder, FACTS))
        except FileNotFoundError:
            continue
        try:
            return _read(folder, json.loads(facts.decode("utf-8")))
        except (KeyError, TypeError, AttributeError, ValueError, OSError, EOFError) as error:
            raise UsageError(
                f"model {model!r} is damaged: {place}/{FOLDER}/: {error}; train, import or copy it again"
            ) from error
    return None


def _read(folder: str, facts: Any) -> TrainedOn:
    if facts.get("format", 1) > FORMAT:
        raise NewerFormatError(f"{folder!r} has format {facts['format']}: made by a newer Nightscore: update it")
    hashes = {
        name: _load(storage.join(folder, _array(name)), facts["pictures"][name], facts["sha256"][name]) for name in SETS
    }
    images = {name: int(facts["images"][name]) for name in SETS}
    return TrainedOn(facts["rule"], facts["model_id"], hashes, images, tuple(facts["sources"]), facts["left_out"])


def _load(location: str, pictures: int, sha256: str) -> Hashes:
    """Return the hashes of one set.

    Raises:
        ValueError: the file is not as it was written.
    """
    if storage.is_remote(location):
        hashes = np.load(io.BytesIO(storage.read(location)), allow_pickle=False)
    else:
        hashes = np.load(location, mmap_mode="r" if pictures else None, allow_pickle=False)
    if hashes.dtype != np.dtype("<u8") or hashes.shape != (pictures,):
        raise ValueError(f"{location!r} holds {hashes.dtype} {hashes.shape}, expected {pictures:,} hashes of uint64")
    if _sha256(hashes) != sha256:
        raise ValueError(f"{location!r} has changed: its SHA-256 is another than {FACTS} says")
    return np.asarray(hashes)


def _sha256(hashes: Hashes) -> str:
    return hashlib.sha256(np.ascontiguousarray(hashes).data).hexdigest()


def _npy(hashes: Hashes) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, hashes.astype("<u8"), allow_pickle=False)
    return buffer.getvalue()


def _array(name: LearnedSet) -> str:
    return f"{name}.npy"
