"""Samples, as in WebDataset: the files of a tar that share a name, of which one is the image and others its label.

A sample shares the name up to the last suffix that is known: cam1.2024-05-01_000.png and cam1.2024-05-01_000.cls. Where
000.png or 000.cls is there as well, 000.left.png is the picture "left.png" of the sample 000. Which of several
pictures is the image is --image_key; without it, the one whose kind is a bare suffix (png), else each that is called no
mask.

Must not know how an archive is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import NamedTuple

from pipeline.sources.names import IMAGE_SUFFIXES, SIDECAR_SUFFIXES, has_image_suffix, suffix
from pipeline.sources.tar_entries import Entry
from pipeline.units import UNIT_BYTES

SAMPLE_FILES = 32
"""Files of neighbors that are looked at together, at most, but for those that go on with the last one's name."""

MOST_FILES = 256
"""Files that are looked at together, at most; they also have at most a unit's bytes."""

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
"""What a part of a name is that tells a kind of picture: left, seg, depth_0; not a date or a version."""

_MASK = re.compile(
    r"(.*[_-])?(seg|semseg|mask|masks|segmentation|segmap|matte|alpha|trimap|depth|disparity|disp|normals?|flow|"
    r"edges?|instances?|panoptic|semantic|annotations?|anno|labels?|labelids|gt|groundtruth)\d*([_-].*)?",
    re.IGNORECASE,
)
"""What a part of a name is that tells a picture of another picture's parts."""


class Picture(NamedTuple):
    """A row of a sample.

    Attributes:
        entry: the picture.
        sidecars: files that may hold its label.
        flaw: why it is none although it is the image; "" if it is.
    """

    entry: Entry
    sidecars: Sequence[Entry]
    flaw: str = ""


class Group(NamedTuple):
    """Neighbors of a tar.

    Attributes:
        files: all of them, in their order.
        pictures: those that are rows, in their order.
        left: the kinds of pictures beside the image that are not scored, each with the file.
    """

    files: Sequence[Entry]
    pictures: Sequence[Picture]
    left: Sequence[tuple[str, Entry]]


def keys_of(image_key: str | None) -> tuple[str, ...]:
    """Return the kinds of pictures that an --image_key chooses; (): it chooses none of a sample.

    >>> keys_of("jpg;left.PNG"), keys_of("image/encoded"), keys_of(None)
    (('jpg', 'left.png'), (), ())
    """
    if image_key is None or "/" in image_key:
        return ()
    return tuple(key.strip(" .").lower() for key in image_key.split(";") if key.strip(" ."))


def groups(files: Iterable[Entry], keys: Sequence[str]) -> Iterator[Group]:
    """Gather the neighbors that may be of one sample, and say which of them are rows.

    Damage and containers stand alone; they are yielded before the next file is asked for.

    Args:
        files: of a tar, in order.
        keys: kinds of pictures that are images, see `keys_of`.
    """
    waiting: list[Entry] = []
    root = ""
    words = frozenset(word for key in keys for word in key.split(".")[:-1])
    for entry in files:
        mine = _root(base_of(entry), words)
        if waiting and (mine != root or entry.kind or not entry.name or _ends(waiting, entry)):
            yield _resolved(waiting, keys)
            waiting = []
        waiting.append(entry)
        root = mine
        if entry.kind or not entry.name:
            yield Group(waiting, [Picture(entry, ())], ())
            waiting = []
    if waiting:
        yield _resolved(waiting, keys)


def _ends(waiting: Sequence[Entry], entry: Entry) -> bool:
    """Return whether files are too many or too far apart to be looked at together with one more."""
    if len(waiting) >= MOST_FILES or (entry.is_row and entry.start - waiting[0].start > UNIT_BYTES):
        return True
    return len(waiting) >= SAMPLE_FILES and base_of(waiting[-1]) != base_of(entry)


def base_of(entry: Entry) -> str:
    """Return a file's name without its last suffix, if that is one of an image or a label."""
    known = suffix(entry.name)
    return entry.name[: -len(known)] if known in IMAGE_SUFFIXES or known in SIDECAR_SUFFIXES else entry.name


def _parent(base: str) -> tuple[str, str]:
    """Return a name before its last dot, and what is behind it; ("", "") if no dot is in the file's name."""
    before, dot, word = base.rpartition(".")
    return (before, word) if dot and before and not before.endswith("/") and "/" not in word else ("", "")


def _root(base: str, words: Set[str]) -> str:
    """Return what the names of the files of a sample have in common, at least.

    Args:
        base: a file's name without its last suffix.
        words: parts of names that tell kinds of pictures that are images.
    """
    if "." not in base:
        return base
    numbered = any(word.isdigit() for word in words)
    while True:
        before, word = _parent(base)
        is_kind = _WORD.fullmatch(word) or word.lower() in words or (numbered and word.isdigit())
        if not before or not is_kind:
            return base
        base = before


class _Sample:
    """The files of one sample: pictures by kind, and what may hold the label."""

    def __init__(self) -> None:
        self.pictures: list[tuple[str, Entry]] = []
        self.sidecars: list[Entry] = []
        self.others: list[Entry] = []


def _resolved(files: Sequence[Entry], keys: Sequence[str]) -> Group:
    """Say of neighbors which are rows."""
    if len(files) == 1 and not keys:
        return Group(files, [Picture(files[0], ())] if files[0].is_row else (), ())
    owners = {base_of(entry) for entry in files if not entry.is_row}
    bases = {base_of(entry) for entry in files if entry.is_row}
    samples: dict[str, _Sample] = {}
    for entry in files:
        base, kind = _place(entry, owners, bases, keys)
        sample = samples.setdefault(base, _Sample())
        if entry.is_row:
            sample.pictures.append((kind, entry))
        elif kind == suffix(entry.name)[1:]:
            sample.sidecars.append(entry)
        else:
            sample.others.append(entry)
    chosen: dict[int, Picture] = {}
    left: dict[int, str] = {}
    for sample in samples.values():
        _choose(sample, keys, chosen, left)
    pictures = [chosen[entry.start] for entry in files if entry.start in chosen]
    return Group(files, pictures, [(left[entry.start], entry) for entry in files if entry.start in left])


def _place(entry: Entry, owners: set[str], bases: set[str], keys: Sequence[str]) -> tuple[str, str]:
    """Return the name of the sample that a file is of, and its kind there: png, left.png, cls.

    Args:
        entry: the file.
        owners: names without suffix of files of labels.
        bases: names without suffix of pictures.
        keys: kinds of pictures that are images.
    """
    lower, base = entry.name.lower(), base_of(entry)
    bare = suffix(entry.name)[1:]
    key = next((key for key in sorted(keys, key=len, reverse=True) if "." in key and lower.endswith(f".{key}")), None)
    if entry.is_row and key is not None:
        return entry.name[: -len(key) - 1], key
    if entry.is_row and base in owners:
        return base, bare
    before, extra = base, ""
    while True:
        before, word = _parent(before)
        if not before or not _WORD.fullmatch(word):
            return base, bare
        extra = f"{word}.{extra}"
        is_mask = _MASK.fullmatch(word) is not None
        if before in owners - {base} or (before in bases and (is_mask or not entry.is_row)):
            return before, f"{extra}{bare}"
        if is_mask and entry.is_row and any(other.startswith(f"{before}.") and other != base for other in bases):
            return before, f"{extra}{bare}"


def _choose(sample: _Sample, keys: Sequence[str], chosen: dict[int, Picture], left: dict[int, str]) -> None:
    """Say which pictures of a sample are rows, by their first bytes in the archive."""
    sidecars = [*sample.sidecars, *sample.others]
    wanted, flaw = sample.pictures, ""
    if keys:
        wanted = [(kind, entry) for kind, entry in sample.pictures if kind.lower() in keys]
    elif not all(entry.by_content for _, entry in sample.pictures):
        wanted = [(kind, entry) for kind, entry in wanted if not entry.by_content or has_image_suffix(entry.name)]
        bare = [(kind, entry) for kind, entry in wanted if "." not in kind]
        wanted = bare or [(kind, entry) for kind, entry in wanted if not _is_mask(kind)]
        kinds = sorted({kind.lower() for kind, entry in bare if not entry.by_content})
        if len(kinds) > 1 and sidecars:
            flaw = f"sample has a {' and a '.join(kinds)}: choose the image with --image_key"
    for _, entry in wanted:
        chosen[entry.start] = Picture(entry, sidecars, flaw)
    for kind, entry in sample.pictures:
        if entry.start not in chosen:
            left[entry.start] = "" if entry.by_content and not keys else kind


def _is_mask(kind: str) -> bool:
    return any(_MASK.fullmatch(word) for word in kind.split(".")[:-1])
