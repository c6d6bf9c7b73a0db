"""The names of a model's classes, from a file that a user has: plain lines, "0 cat", JSON or CSV; or ImageNet's.

Must not know models: how many names are needed is an argument.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from model_import.check_folder import class_folders
from pipeline import storage
from pipeline.errors import NightscoreError, UsageError
from pipeline.text import brief, line

IMAGENET = "imagenet"
"""What --labels can be instead of a file: the 1,000 classes of ImageNet, or 1,001 with a background first."""

BACKGROUND = "background"
"""Name of the first of 1,001 classes."""

LARGEST_FILE = 16 << 20
"""Bytes of a file of names, at most."""

NAME_COLUMNS = ("name", "class_name", "label", "label_name", "class", "display_name")
"""Names of a CSV file's column with the names, the best first."""

INDEX_COLUMNS = ("index", "id", "class_id", "class_index", "label_id", "number")
"""Names of a CSV file's column with the numbers, the best first."""

FORMS = (
    "give a file (a name a line, '0 cat' a line, JSON or CSV), a folder with a folder for each class, or the word "
    "imagenet"
)
"""What --labels takes, as a phrase."""

_NUMBERED = re.compile(r"\s*(\d+)(?:\s*[:,;\t]\s*|\s+)(\S.*?)\s*")


@functools.cache
def imagenet() -> Sequence[tuple[str, str]]:
    """Return synset and name of ImageNet's 1,000 classes, in the order that every usual model has.

    >>> imagenet()[0], len(imagenet())
    (('n01440764', 'tench'), 1000)
    """
    text = resources.files("model_import").joinpath("imagenet.csv").read_text(encoding="utf-8")
    return [(row["synset"], row["name"]) for row in csv.DictReader(io.StringIO(text))]


def read_class_names(labels: str, classes: int) -> Sequence[str]:
    """Return the names of classes, in the order of the model's output; each is there once.

    Args:
        labels: path of a file, of a folder whose folders are the classes in the order of their names, or "imagenet".
        classes: number of names that the model needs.

    Raises:
        UsageError: it cannot be read, or has another number of names.
    """
    if labels == IMAGENET:
        names: Sequence[str] = [name for _, name in imagenet()]
        if classes == len(names) + 1:
            names = [BACKGROUND, *names]
        return checked_names(names, classes, "--labels imagenet", [synset for synset, _ in imagenet()])
    if os.path.isdir(labels):
        folders = class_folders(Path(labels))
        if not folders:
            raise UsageError(f"--labels {labels!r} is a folder without folders in it: {FORMS}")
        return checked_names(folders, classes, f"the folder --labels {labels!r}")
    location = storage.absolute(labels)
    try:
        data = storage.read(location)
    except (OSError, NightscoreError) as error:
        hint = f": {FORMS}"
        if isinstance(error, FileNotFoundError):
            raise UsageError(f"--labels {labels!r} is no file{hint}") from error
        raise UsageError(f"--labels {labels!r} cannot be read: {line(str(error))}{hint}") from error
    if len(data) > LARGEST_FILE:
        raise UsageError(f"--labels {labels!r} has more than {LARGEST_FILE >> 20} MiB: it is no list of names")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"--labels {labels!r} is no text in UTF-8") from error
    return checked_names(parse_names(text, labels), classes, f"--labels {labels!r}")


def checked_names(
    names: Sequence[str], classes: int, place: str, synsets: Sequence[str] = (), is_renamed: bool = False
) -> Sequence[str]:
    """Return names that are each there once.

    Args:
        names: in order.
        classes: number of names that are needed.
        place: where they come from, for the error's text.
        synsets: what stands behind a name that is there twice, instead of its number.
        is_renamed: whether a name that is there twice gets its number behind it, instead of being refused: for names
            that the user did not write, and cannot easily change.

    Raises:
        UsageError: there are more or fewer, one is empty, or one is there twice.

    >>> checked_names(["crane", "crane", "cat"], 3, "the model", is_renamed=True)
    ['crane (0)', 'crane (1)', 'cat']
    """
    if len(names) != classes:
        raise UsageError(f"{place} has {len(names):,} names, and the model has {classes:,} classes")
    if not all(names):
        raise UsageError(f"{place} has an empty name, number {list(names).index('')}")
    counts = Counter(names)
    twice = [name for name in counts if counts[name] > 1]
    if twice and not synsets and not is_renamed:
        where = [i for i, name in enumerate(names) if name == twice[0]]
        more = f", and {len(twice) - 1} other names" if len(twice) > 1 else ""
        hint = "; ImageNet's names, each of its own, are --labels imagenet" if classes in (1000, 1001) else ""
        raise UsageError(
            f"{place} has the name {brief(twice[0], 60)!r} {len(where)} times, for the classes "
            f"{', '.join(map(str, where[:4]))}{more}: give each class a name of its own{hint}"
        )
    marks = [*([""] * (classes - len(synsets))), *synsets] if synsets else [str(i) for i in range(classes)]
    unique = [f"{name} ({mark})" if counts[name] > 1 else name for name, mark in zip(names, marks, strict=True)]
    if len(set(unique)) != classes:
        raise UsageError(f"{place} has names that are there twice")
    return unique


def parse_names(text: str, place: str) -> Sequence[str]:
    r"""Return the names in the text of a file.

    Raises:
        UsageError: it is none of the known forms, or its numbers have gaps.

    >>> parse_names("0 cat\n1 dog\n", "x"), parse_names("a b\nc\n", "x")
    (['cat', 'dog'], ['a b', 'c'])
    >>> parse_names('{"0": ["n02123045", "tabby"]}', "x")
    ['tabby']
    """
    start = text.lstrip()[:1]
    if start in ("{", "["):
        try:
            return _from_json(json.loads(text), place)
        except ValueError as error:
            raise UsageError(f"--labels {place!r} is no whole JSON: {line(str(error))}") from error
    lines = [entry for entry in text.splitlines() if entry.strip()]
    header = [cell.strip().lower() for cell in next(csv.reader(lines[:1]), [])]
    if set(header) & set(NAME_COLUMNS) and (len(header) > 1 or header[0] in ("name", "class_name", "label_name")):
        return _from_csv(lines, header, place)
    numbered = [_NUMBERED.fullmatch(entry) for entry in lines]
    if lines and all(numbered) and sorted(int(found[1]) for found in numbered if found)[0] in (0, 1):
        pairs = {int(found[1]): found[2].strip('"') for found in numbered if found}
        if len(pairs) == len(lines):
            first = min(pairs)
            return _in_order({number - first: name for number, name in pairs.items()}, place)
    return [entry.strip() for entry in lines]


def _from_csv(lines: Sequence[str], header: Sequence[str], place: str) -> Sequence[str]:
    rows = list(csv.reader(lines[1:]))
    name = next(header.index(column) for column in NAME_COLUMNS if column in header)
    numbers = [header.index(column) for column in INDEX_COLUMNS if column in header]
    if any(len(row) != len(header) for row in rows):
        raise UsageError(f"--labels {place!r} has a row with another number of cells than its header")
    if not numbers:
        return [row[name].strip() for row in rows]
    return _in_order({_number(row[numbers[0]], place): row[name].strip() for row in rows}, place)


def _from_json(content: Any, place: str) -> Sequence[str]:
    if isinstance(content, list):
        return [_name(entry, place) for entry in content]
    for key in ("id2label", "label_names", "class_names", "classes", "names", "labels"):
        if isinstance(content.get(key), dict | list):
            return _from_json(content[key], place)
    if all(re.fullmatch(r"\d+", str(key)) for key in content):  # Keras' class index, id2label
        return _in_order({int(key): _name(value, place) for key, value in content.items()}, place)
    if all(
        isinstance(value, int) and not isinstance(value, bool) for value in content.values()
    ):  # label2id, class_indices
        return _in_order({value: str(key) for key, value in content.items()}, place)
    raise UsageError(f"--labels {place!r} is JSON without names: expected a list, or numbers with names")


def _name(entry: Any, place: str) -> str:
    if isinstance(entry, str):
        return entry.strip()
    if isinstance(entry, list) and entry and all(isinstance(part, str) for part in entry):
        return str(entry[-1])  # [synset, name]
    if isinstance(entry, dict) and isinstance(entry.get("name"), str):
        return str(entry["name"])
    raise UsageError(f"--labels {place!r} has an entry that is no name: {brief(line(repr(entry)), 60)}")


def _number(text: str, place: str) -> int:
    if not re.fullmatch(r"\s*\d+\s*", text):
        raise UsageError(f"--labels {place!r} has {brief(line(text), 60)!r} where a number is expected")
    return int(text)


def _in_order(names: Mapping[int, str], place: str) -> Sequence[str]:
    if sorted(names) != list(range(len(names))):
        missing = next(i for i in range(len(names) + 1) if i not in names)
        raise UsageError(f"--labels {place!r} has no name for the number {missing}")
    return [names[i] for i in range(len(names))]
