"""The names that an archive itself has for the numbers of its classes, in files beside it or within it.

TFDS writes label.labels.txt, Hugging Face's datasets dataset_info.json and the schema of a Parquet file, others
classes.txt or labels.txt. Must not know the classes of a model.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline import storage
from pipeline.sources.label_values import NO_NAME, Label, number_in
from pipeline.sources.list_text import decoded
from pipeline.sources.names import IMAGE_SUFFIXES, suffix
from pipeline.storage import StoredObject

TEXT_FILES = ("{label}.labels.txt", "classes.txt", "class_names.txt", "labels.txt")
"""Files beside an archive or a list that may hold a name a line, "{label}" for the name of the label's column."""

JSON_FILE = "dataset_info.json"
"""File beside an archive that may hold the names of a ClassLabel."""

MOST_BYTES = 16 << 20
"""Bytes of such a file, at most."""

Names = tuple[str, ...]

_NUMBERED = re.compile(r"\s*(\d+)\s*[:,\t ]\s*(\S.*)")


def beside(location: str, label: str = "label") -> StoredObject | None:
    """Return the file beside an archive or a list that holds names of classes; None if there is none.

    Args:
        location: of the archive or the list.
        label: name of the column or the feature with the label.
    """
    found = within(location.rpartition("/")[0], label)
    return None if found is None or found.location == location else found


@functools.lru_cache(maxsize=1024)
def within(folder: str, label: str) -> StoredObject | None:
    """Return the file in a folder that holds names of classes; each folder is looked at once, while one run plans."""
    for form in (*TEXT_FILES, JSON_FILE):
        candidate = f"{folder}/{form.format(label=label)}"
        try:
            found = storage.stat(candidate)
        except PermissionError:
            continue
        if found is not None and found.size <= MOST_BYTES and read_names(found, label):
            return found
    return None


@functools.lru_cache(maxsize=64)
def read_names(found: StoredObject, label: str = "label") -> Names:
    """Return the names that a file holds, in the order of their numbers; () if it holds none."""
    data = storage.read(found.location, version=found.version)
    try:
        text = decoded(data, or_western=True)
    except ValueError:
        return ()
    if found.location.endswith(".json"):
        with contextlib.suppress(ValueError, RecursionError):
            return of_features(json.loads(text), label)
        return ()
    return of_lines(text)


def of_lines(text: str) -> Names:
    r"""Return the names of a text of one a line, or of a number and a name a line; () if it is no such text.

    >>> of_lines("cat\ndog\n"), of_lines("0:cat\n1:dog"), of_lines("a.png 1\nb.png 0"), of_lines("cat\ncat")
    (('cat', 'dog'), ('cat', 'dog'), (), ())
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if any(suffix(word) in IMAGE_SUFFIXES for line in lines for word in (line, line.split()[0])):
        return ()
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    pairs = [(int(one[1]), one[2]) for one in numbered if one]
    names = lines
    if pairs and len(pairs) == len(lines):
        first = min(number for number, _ in pairs)
        ordered = [name for _, name in sorted(pairs)]
        if sorted(number for number, _ in pairs) == list(range(first, first + len(pairs))) and first in (0, 1):
            names = ordered if first == 0 else [NO_NAME.format(0), *ordered]
    return tuple(names) if len(set(names)) == len(names) > 1 else ()


def of_features(content: Any, label: str = "label") -> Names:
    """Return the names of the ClassLabel in Hugging Face's features: of that column, or the only one; else ()."""
    features = dict(_class_labels(content))
    if label in features:
        return features[label]
    return next(iter(features.values())) if len(features) == 1 else ()


def _class_labels(content: Any, name: str = "") -> Iterator[tuple[str, Names]]:
    """Yield name and names of every ClassLabel in a JSON value."""
    if isinstance(content, Mapping):
        names = content.get("names")
        if isinstance(names, list) and names and all(isinstance(one, str) for one in names):
            yield name, tuple(names)
            return
        for key, value in content.items():
            yield from _class_labels(value, str(key) if key not in ("class_label", "feature") else name)


def of_schema(metadata: Mapping[bytes, bytes] | None, label: str) -> Names:
    """Return the names that the schema of a Parquet file has for a column, as Hugging Face's datasets write it."""
    with contextlib.suppress(ValueError, RecursionError, AttributeError):
        return dict(_class_labels(json.loads((metadata or {}).get(b"huggingface", b"null")))).get(label, ())
    return ()


def name_of(label: Label, names: Sequence[str], offset: int) -> Label:
    """Return a label with the archive's own names for its numbers; a number without one becomes a text of no class.

    >>> name_of(1, ("cat", "dog"), 0), name_of("0", ("cat", "dog"), 0), name_of([0, 1], ("cat", "dog"), 0)
    ('dog', 'cat', ['dog'])
    >>> name_of(7, ("cat", "dog"), 0), name_of("cow", ("cat", "dog"), 0)
    ('7, of which the archive has no name', 'cow')
    """
    if not names:
        return label
    if isinstance(label, list):
        if len(label) == len(names) and all(one in (0, 1) for one in label):
            return [name for name, one in zip(names, label, strict=True) if one]
        return [one for one in (name_of(one, names, offset) for one in label) if isinstance(one, str | float)]
    number = number_in(label) if isinstance(label, str) else label
    if not isinstance(number, int) or (isinstance(label, str) and label in names):
        return label
    known = 0 <= number - offset < len(names)
    return names[number - offset] if known else NO_NAME.format(number)
