"""What is there instead of a file that a list names: the same name spelled otherwise, or one that is like it.

Looks at names alone. Folders that hold very much are not looked through.
"""

from __future__ import annotations

import threading
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice

from pipeline import storage
from pipeline.sources.names import same_name, same_name_in_any_case
from pipeline.storage import StoredObject

LISTED = 100_000
"""Files, at most, that are looked through for a name in another spelling."""

NAMES = 5_000
"""Files of a folder, at most, whose names are kept."""

COMPARED = 200
"""Files of a folder, at most, each of which is compared with a name: that takes a millisecond."""

ALIKE = 0.75
"""Share of two names, at least, that is alike, for one to be told instead of the other."""


class Spellings:
    """Finds files of which a list writes the name in another form of Unicode than the disk; lists each folder once."""

    def __init__(self) -> None:
        """Start with nothing listed."""
        self._lock = threading.Lock()
        self._listed: dict[str, dict[str, StoredObject]] = {}

    def find(self, location: str) -> StoredObject | None:
        """Return the file of the same name in another spelling, None if there is none."""
        if location.isascii() or storage.fixed_prefix(location) != location:
            return None
        with self._lock:
            pattern = _any_spelling(location)
            if pattern not in self._listed:
                files = islice(storage.list_objects(pattern), LISTED)
                self._listed[pattern] = {_same(found.location): found for found in files}
            return self._listed[pattern].get(_same(location))


def nearest(location: str) -> str | None:
    """Return the name of the file in a folder that is most like one that is not there; None if none is like it.

    Args:
        location: of the file that is not there.
    """
    folder, _, name = location.rpartition("/")
    whole, stems, plain = *_names_in(folder), same_name_in_any_case(name)
    found = whole.get(plain) or stems.get(_stem(plain))
    if found is None and len(whole) <= COMPARED:
        found = next(iter(get_close_matches(name, whole.values(), 1, ALIKE)), None)
    return found


@lru_cache(16)
def _names_in(folder: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the names in a folder, by themselves and by their stems, in lower case; none if they are very many."""
    if storage.fixed_prefix(folder) != folder:
        return {}, {}
    try:
        files = islice(storage.list_objects(f"{folder}/*"), NAMES + 1)
        names = [found.location[len(folder) + 1 :] for found in files]
    except PermissionError:
        return {}, {}
    if len(names) > NAMES:
        return {}, {}
    whole = {same_name_in_any_case(name): name for name in names}
    return whole, {_stem(plain): name for plain, name in whole.items()}


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _same(location: str) -> str:
    return "/".join(map(same_name, location.split("/")))


def _any_spelling(location: str) -> str:
    r"""Return a glob of which a location in any spelling is a match; it matches little more.

    >>> _any_spelling("/data/caf\u00e9/1.png")
    '/data/*/1.png'
    """
    return "/".join(part if part.isascii() else "*" for part in location.split("/"))
