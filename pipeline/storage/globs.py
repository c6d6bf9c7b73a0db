"""Patterns with wildcards, and the names that they match. Knows no store."""

from __future__ import annotations

import fnmatch
import re


class Glob:
    """What a glob matches, name by name from the folder it starts in; the same for disk and cloud.

    A place is the set of positions in the pattern that the path of a folder or file may have reached.

    >>> glob = Glob("**/2024-*/x.png")
    >>> [glob.matches(name) for name in ("2024-01/x.png", "a/b/2024-02/x.png", "2024-01/y.png", ".a/2024-01/x.png")]
    [True, True, False, False]
    """

    start = frozenset({0})

    def __init__(self, pattern: str) -> None:
        """Take a glob that is relative to the folder it starts in."""
        self._patterns = pattern.split("/")
        self._names = [re.compile(fnmatch.translate(name)).match for name in self._patterns]
        self.end = frozenset({len(self._patterns)})

    def enter(self, place: frozenset[int], name: str) -> frozenset[int]:
        """Return the place of a name in a folder at `place`; an empty one is a dead end."""
        place = self._with_no_folders(place)
        if self.takes(place):
            return self.end  # in a folder that matched, everything matches
        return frozenset(i for at in place for i in self._steps(at, name))

    def takes(self, place: frozenset[int]) -> bool:
        """Return whether a file at `place` matches."""
        return self.end <= place

    def matches(self, path: str) -> bool:
        """Return whether a file's path from where the glob starts matches."""
        place = self.start
        for name in path.split("/"):
            place = self.enter(place, name)
            if not place:
                return False
        return self.takes(place)

    def _steps(self, at: int, name: str) -> tuple[int, ...]:
        pattern = self._patterns[at]
        if name.startswith(".") and not pattern.startswith("."):
            return ()
        if pattern == "**":
            return (at,)
        return (at + 1,) if self._names[at](name) and bool(name) == bool(pattern) else ()

    def _with_no_folders(self, place: frozenset[int]) -> frozenset[int]:
        """Add the positions behind each `**`, which may stand for no folder at all."""
        reached = set(place)
        for at in place:
            while at < len(self._patterns) and self._patterns[at] == "**":
                at += 1
                reached.add(at)
        return frozenset(reached)
