"""The images that rules are tried on: a folder with a folder for each class, or a folder of images without labels.

Owns which folder is which class. Decodes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model_import.check_folder import class_folders, image_files
from pipeline.errors import UsageError
from pipeline.sources.names import same_name_in_any_case
from pipeline.text import shell_path

MOST_IMAGES = 400
"""Images that are taken from a folder, at most: the same number of each class as far as it has them."""

FEWEST_IMAGES = 100
"""With fewer labelled images nothing is decided."""

FEWEST_OF_A_CLASS = 5
"""With fewer images of any class nothing is decided."""

HELD_OUT = ("val", "test", "eval", "dev", "held")
"""Beginnings of the names of folders with images that a network was not trained with."""

LEFT_OUT = "folders that are no class of the model are left out"
"""How the note begins that is said first."""

_MEND = (
    "rename the folders, give the model's own class names with --labels, or pass --check_by_order if the folders, "
    "sorted by name, are the classes in the order of its output"
)

_SHOWN = 5


@dataclass(frozen=True)
class CheckImages:
    """Encoded images, in an order in which every beginning holds the classes in like shares.

    Attributes:
        names: path of each, relative to the folder.
        encoded: contents of the files.
        labels: int64 [n], number of the class of the model; None: the images have no labels.
        class_names: of the model, in the order of its output.
        notes: lines for a person: folders that are no class, classes without a folder.
    """

    names: Sequence[str]
    encoded: Sequence[bytes]
    labels: npt.NDArray[np.int64] | None
    class_names: Sequence[str]
    notes: Sequence[str] = ()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.encoded)

    def too_few(self) -> str:
        """Return why nothing can be decided with these images; "" if it can."""
        if self.labels is None:
            return "the images have no labels: put them in folders named by class, so that rules can be compared"
        numbers, counts = np.unique(self.labels, return_counts=True)
        if len(self) < FEWEST_IMAGES:
            return f"there are {len(self)} labelled images, and {FEWEST_IMAGES} are needed to tell rules apart"
        if len(numbers) < 2:
            return "all images are of one class: rules are told apart by two or more"
        if counts.min() < FEWEST_OF_A_CLASS:
            name = self.class_names[int(numbers[counts.argmin()])]
            return f"class {name!r} has {counts.min()} images, and {FEWEST_OF_A_CLASS} of each class are needed"
        return ""

    def without(self, failed: Sequence[int]) -> CheckImages:
        """Return the images without those that cannot be decoded, and a note of how many there were."""
        if not failed:
            return self
        left = np.setdiff1d(np.arange(len(self)), failed)
        note = f"{len(failed)} images cannot be decoded and are left out, {self.names[failed[0]]!r} among them"
        return CheckImages(
            [self.names[i] for i in left],
            [self.encoded[i] for i in left],
            None if self.labels is None else self.labels[left],
            self.class_names,
            (*self.notes, note),
        )


def read_check_folder(
    folder: Path, class_names: Sequence[str], aliases: Mapping[str, int] | None = None, by_order: bool = False
) -> CheckImages:
    """Return images of a folder, with the classes that its folders' names say.

    A folder's name is a class's own name, whatever its case and however its accents are spelled; else one that
    `aliases` knows. Numbers and the order of names count only if that is asked for.

    Args:
        folder: with a folder for each class; without folders its images have no labels.
        class_names: of the model, in the order of its output.
        aliases: other names of classes -> class number, see `read_aliases`.
        by_order: whether the folders, sorted by name, are the classes in their order.

    Raises:
        UsageError: there is no image, no folder is a class, or two folders are one.
    """
    if not folder.is_dir():
        raise UsageError(f"--check {str(folder)!r} is no folder")
    classes = [folder / name for name in class_folders(folder)]
    if not classes:
        files = image_files(folder)
        if not files:
            raise UsageError(f"--check {str(folder)!r} has no images in it")
        if _by_name([folder.absolute()], class_names, aliases or {}):
            name = folder.absolute().name
            raise UsageError(f"--check {str(folder)!r}: {name!r} is itself a class: did you mean its parent folder?")
        return _read(folder, [files], None, class_names, ())
    numbers = _in_order(classes, class_names) if by_order else _by_name(classes, class_names, aliases or {})
    chosen = {path: numbers[path.name] for path in classes if path.name in numbers}
    if not chosen:
        deeper = _deeper(classes, class_names, aliases or {})
        mend = f"did you mean --check {deeper}?" if deeper else _MEND
        raise UsageError(
            f"--check {str(folder)!r} has folders {_some([path.name for path in classes])}, and none is a class of "
            f"the model ({_some(class_names)}): {mend}"
        )
    if len(set(chosen.values())) < len(chosen):
        twice = [path.name for path in chosen if list(chosen.values()).count(chosen[path]) > 1]
        raise UsageError(f"--check {str(folder)!r} has several folders of one class: {_some(twice)}")
    found = {number: image_files(path) for path, number in chosen.items()}
    present = {number: paths for number, paths in found.items() if paths}
    return _read(folder, list(present.values()), list(present), class_names, _notes(classes, chosen, class_names))


def read_aliases(path: Path) -> Mapping[str, int]:
    """Return other names of classes -> class number, of a JSON index or of a synset file.

    The index is that of ImageNet in Keras, {"0": ["n01440764", "tench"], ...}, or {"0": "name"}; a synset file has
    one class a line, in order: "n01440764 tench, Tinca tinca".

    Raises:
        UsageError: it is neither.
    """
    text = path.read_text("utf-8")
    try:
        content = json.loads(text)
    except ValueError:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return {name: i for i, line in enumerate(lines) for name in _line_names(line)}
    try:
        pairs = content.items() if isinstance(content, dict) else enumerate(content)
        found: dict[str, int] = {}
        for number, names in pairs:
            for name in [names] if isinstance(names, str) else names:
                found.setdefault(str(name), int(number))
    except (TypeError, ValueError) as error:
        raise UsageError(f'{str(path)!r} is no index of classes: expected {{"0": ["n01440764", "tench"]}}') from error
    return found


def _line_names(line: str) -> Sequence[str]:
    synset, _, words = line.partition(" ")
    return [line, synset, *(word.strip() for word in words.split(",") if word.strip())]


def _by_name(folders: Sequence[Path], class_names: Sequence[str], aliases: Mapping[str, int]) -> Mapping[str, int]:
    exact = {name: number for number, name in enumerate(class_names)}
    loose: dict[str, int] = {}
    for name, number in [*exact.items(), *((name, number) for name, number in aliases.items())]:
        if 0 <= number < len(class_names):
            loose.setdefault(same_name_in_any_case(name), number)
    found = {}
    for folder in folders:
        known = exact.get(folder.name, loose.get(same_name_in_any_case(folder.name)))
        if known is not None:
            found[folder.name] = known
    return found


def _deeper(folders: Sequence[Path], class_names: Sequence[str], aliases: Mapping[str, int]) -> str:
    """Return the folder in which the classes are, best one that was not trained with; "": there is none."""
    found = [path for path in folders if _by_name([path / name for name in class_folders(path)], class_names, aliases)]
    found.sort(key=lambda path: (not path.name.lower().startswith(HELD_OUT), path.name.lower().startswith("train")))
    return shell_path(str(found[0])) if found else ""


def _in_order(folders: Sequence[Path], class_names: Sequence[str]) -> Mapping[str, int]:
    if len(folders) != len(class_names):
        raise UsageError(
            f"there are {len(folders)} folders and {len(class_names)} classes: folders are classes in their order only "
            "where there is one for each"
        )
    return {folder.name: number for number, folder in enumerate(folders)}


def _notes(folders: Sequence[Path], chosen: Mapping[Path, int], class_names: Sequence[str]) -> Sequence[str]:
    strange = [path.name for path in folders if path not in chosen]
    missing = len(class_names) - len(chosen)
    notes = [f"{LEFT_OUT}: {_some(strange)}"] if strange else []
    return [*notes, *([f"{missing} of the model's {len(class_names)} classes have no folder"] if missing else [])]


def _read(
    folder: Path,
    classes: Sequence[Sequence[Path]],
    numbers: Sequence[int] | None,
    class_names: Sequence[str],
    notes: Sequence[str],
) -> CheckImages:
    """Read the same number of files of each class, from all of it, one class after the other in turn."""
    kept = [_spread(files, len(chosen)) for files, chosen in zip(classes, _shares(classes), strict=True)]
    random = np.random.default_rng(0)  # a folder may hold series of like images
    turns = [[files[i] for i in random.permutation(len(files))] for files in kept]
    order = [
        (files[turn], k) for turn in range(max(map(len, turns))) for k, files in enumerate(turns) if turn < len(files)
    ]
    return CheckImages(
        [path.relative_to(folder).as_posix() for path, _ in order],
        [path.read_bytes() for path, _ in order],
        None if numbers is None else np.array([numbers[k] for _, k in order], np.int64),
        class_names,
        notes,
    )


def _shares(classes: Sequence[Sequence[Path]]) -> Sequence[range]:
    """Return how many files of each class are taken, as ranges: small classes whole, the rest shared evenly."""
    taken = [0] * len(classes)
    left = MOST_IMAGES
    while left > 0:
        open_ones = [k for k, files in enumerate(classes) if taken[k] < len(files)]
        if not open_ones:
            break
        each = max(1, left // len(open_ones))
        for k in open_ones[:left]:
            more = min(each, len(classes[k]) - taken[k], left)
            taken[k] += more
            left -= more
    return [range(count) for count in taken]


def _spread(files: Sequence[Path], count: int) -> Sequence[Path]:
    return [files[i * len(files) // count] for i in range(count)] if count else []


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(name) for name in names[:_SHOWN]) + more
