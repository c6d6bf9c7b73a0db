"""Images of several splits that are the same picture: such a test image does not show how good a network is.

The automatic split puts all copies of a picture into one split; splits of one's own may share some.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from model_training.data.datasets import Dataset
from model_training.data.image_list import SPLITS, Split
from model_training.data.image_set import Hashes, Labels
from model_training.data.split import are_in, each_once
from model_training.report.part import Part, Shown, TrustLine
from model_training.report.run import WORDS, TrainingRun
from pipeline.metrics.duplicates import copies
from pipeline.report.csv_file import csv_file

LISTED = 100_000
"""Number of images in copies.csv, at most."""

SHOWN = 9
"""Number of pictures that the page shows, at most."""

SHOWN_IMAGES = 6
"""Number of images of one picture that the page names, at most."""


@dataclass(frozen=True)
class PairOfSplits:
    """What two splits have in common.

    Attributes:
        first: the split that comes first in SPLITS.
        second: the other one.
        pictures: different pictures that both have.
        first_images: images of the first split that are one of these.
        second_images: images of the second split that are.
    """

    first: Split
    second: Split
    pictures: int
    first_images: int
    second_images: int

    @property
    def words(self) -> tuple[str, str]:
        """What a page calls the images of both."""
        return WORDS[self.first], WORDS[self.second]


@dataclass(frozen=True, eq=False)
class SharedPictures:
    """Images of pictures that more than one split has, picture by picture; those with different labels come first.

    Attributes:
        pairs: what each two splits have in common, also where that is nothing.
        splits: int64 [n], index in SPLITS of each of these images.
        numbers: int64 [n], their numbers there.
        starts: int64 [pictures + 1], where each picture begins in these columns, and the end.
        conflicts: bool [pictures], whether its images have different labels.
    """

    pairs: Sequence[PairOfSplits]
    splits: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    conflicts: npt.NDArray[np.bool_]


def shared_pictures(hashes: Mapping[Split, Hashes], labels: Mapping[Split, Labels]) -> SharedPictures:
    """Return the images whose picture another split has, too.

    Args:
        hashes: of the pixels of each split's images, uint64 [n].
        labels: of the same images.
    """
    pictures = {split: each_once(hashes[split]) for split in SPLITS}
    pairs, shared = [], [np.zeros(0, np.uint64)]
    for first, second in combinations(SPLITS, 2):
        common = pictures[second][are_in(pictures[first], pictures[second])]
        images = [int(are_in(common, hashes[split]).sum()) for split in (first, second)]
        pairs.append(PairOfSplits(first, second, len(common), *images))
        shared.append(common)
    wanted = each_once(np.concatenate(shared))
    places = [np.flatnonzero(are_in(wanted, hashes[split])) for split in SPLITS]
    splits = np.repeat(np.arange(len(SPLITS)), [len(one) for one in places])
    numbers = np.concatenate(places).astype(np.int64)
    codes = _codes(np.concatenate([labels[split][one] for split, one in zip(SPLITS, places, strict=True)]))
    found = copies(np.concatenate([hashes[split][one] for split, one in zip(SPLITS, places, strict=True)]), codes)
    return SharedPictures(pairs, splits[found.places], numbers[found.places], found.starts, found.conflicts)


def _codes(labels: Labels) -> npt.NDArray[np.uint64]:
    """Return a code of each label, from 1, uint64 [n]: the same for the same label, of any task."""
    if not len(labels):
        return np.zeros(0, np.uint64)
    return (np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1) + 1).astype(np.uint64)


@dataclass(frozen=True)
class NamedCopy:
    """An image as the page names it.

    Attributes:
        split: what its split is called.
        key: of the image.
        label: its label, as text.
    """

    split: str
    key: str
    label: str


@dataclass(frozen=True)
class SharedPicture:
    """A picture that several splits have.

    Attributes:
        images: how many images show it.
        labels_differ: whether these have different labels.
        key: of the image whose picture is shown.
        first: some of the images.
    """

    images: int
    labels_differ: bool
    key: str
    first: Sequence[NamedCopy]


@dataclass(frozen=True)
class CopiesContent:
    """What the section shows.

    Attributes:
        pairs: those pairs of splits that have pictures in common.
        pictures: different pictures that several splits have.
        conflicts: those of them whose images have different labels.
        images: number of their images.
        listed: number of these that copies.csv lists.
        first: some of the pictures.
    """

    pairs: Sequence[PairOfSplits]
    pictures: int
    conflicts: int
    images: int
    listed: int
    first: Sequence[SharedPicture]


def copies_part(run: TrainingRun, without: str = "") -> Part:
    """Return what the page shows of images of several splits that are the same picture; no section if there are none.

    Args:
        run: that the page tells of.
        without: how good the network is on the test images that are no copies, as a phrase; "": nobody tells.
    """
    hashes = {split: run.images(split).hashes for split in SPLITS}
    found = shared_pictures(hashes, {split: run.images(split).labels for split in SPLITS})
    lines = list(copies_lines(found.pairs, {split: len(run.images(split)) for split in SPLITS}, without))
    if not len(found.numbers):
        return Part("copies", lines=lines)
    header = ("picture", "labels_differ", "split", "key", "label")
    shown = [_shown(found, i) for i in range(min(SHOWN, len(found.conflicts)))]
    content = CopiesContent(
        [pair for pair in found.pairs if pair.pictures],
        len(found.conflicts),
        int(found.conflicts.sum()),
        len(found.numbers),
        min(LISTED, len(found.numbers)),
        [_picture(run, found, i, one) for i, one in enumerate(shown)],
    )
    files = {"copies.csv": csv_file(header, _listed(run, found))}
    return Part("copies", "The same picture in several splits", content, lines, shown, files=files)


def copies_lines(pairs: Sequence[PairOfSplits], images: Mapping[Split, int], without: str = "") -> Iterator[TrustLine]:
    """Yield what pictures in several splits say of whether the model can be trusted.

    Args:
        pairs: of `SharedPictures`.
        images: number of images of each split.
        without: see `copies_part`.
    """
    common = [pair for pair in pairs if pair.pictures]
    why: Mapping[tuple[Split, Split], str] = {
        ("train", "validation"): "they say little of which epoch is the best one",
        ("train", "test"): without or "they do not show how good the network is on new images",
        ("validation", "test"): "the epoch was chosen by them, so they flatter it",
    }
    for pair in common:
        first, second = pair.words
        what = "are the same pictures" if pair.second_images != 1 else "is the same picture"
        text = f"{pair.second_images:,} of {images[pair.second]:,} {second} images {what} as {first} images: "
        both = pair.first, pair.second
        yield TrustLine("bad" if both == ("train", "test") else "doubt", text + why[both], "copies")
    if not common:
        yield TrustLine("good", "No validation or test image is the same picture as an image of another split", "data")


def _shown(found: SharedPictures, picture: int) -> Shown:
    """Return the image whose picture is shown: the last one, as a page shows other pictures of test images, too."""
    last = int(found.starts[picture + 1]) - 1
    return SPLITS[int(found.splits[last])], int(found.numbers[last])


def _picture(run: TrainingRun, found: SharedPictures, picture: int, shown: Shown) -> SharedPicture:
    start, stop = int(found.starts[picture]), int(found.starts[picture + 1])
    places = range(start, stop)
    kept = sorted({*places[: SHOWN_IMAGES - 1], places[-1]})
    key = run.images(shown[0]).key(shown[1])
    return SharedPicture(len(places), bool(found.conflicts[picture]), key, [_named(run, found, i) for i in kept])


def _named(run: TrainingRun, found: SharedPictures, place: int) -> NamedCopy:
    split, number = SPLITS[int(found.splits[place])], int(found.numbers[place])
    images = run.images(split)
    return NamedCopy(WORDS[split], images.key(number), label_text(run.dataset, images.labels[number]))


def _listed(run: TrainingRun, found: SharedPictures) -> Iterator[Sequence[object]]:
    for picture in range(len(found.conflicts)):
        differ = "true" if found.conflicts[picture] else "false"
        for place in range(int(found.starts[picture]), int(found.starts[picture + 1])):
            if place >= LISTED:
                return
            one = _named(run, found, place)
            yield picture + 1, differ, one.split, one.key, one.label


def label_text(dataset: Dataset, label: object) -> str:
    """Return a label of a data set as a person reads it."""
    if dataset.task == "classes":
        return dataset.class_names[int(np.asarray(label))]
    if dataset.task == "labels":
        return ", ".join(dataset.class_names[i] for i in np.flatnonzero(np.asarray(label)).tolist())
    return f"{float(np.asarray(label)):g}"
