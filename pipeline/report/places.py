"""This module tells how a page names an image: by its path below the input, as the page says once where that lies.

Must not know what is said of an image.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from pipeline.image_kinds import READ_SUFFIXES
from pipeline.report.links import below, link
from pipeline.storage.locations import fixed_prefix, key_of, location_of

_MEMBER = re.compile(r"(.*?\.(?:tar|tgz|tbz2?|txz|zip|npz)(?:\.[a-z0-9]{2,4})?)!", re.IGNORECASE | re.DOTALL)
"""An archive, and the mark behind which a member's name follows."""

_NUMBER = re.compile(r"#\d+$")
"""Number of an image in a file that holds many."""

_SUFFIX = re.compile("[A-Za-z0-9]{1,10}")
"""What stands behind the last dot in the name of what is a file rather than a folder; if it is a folder all the same,
its name stands in every path."""


@dataclass(frozen=True)
class Root:
    """A folder below which a page names images by their paths.

    Attributes:
        location: of the folder.
        label: what stands before a path that begins there; "": it is the only folder.
    """

    location: str
    label: str = ""

    @property
    def start(self) -> str:
        """The location with a slash at its end."""
        return self.location.rstrip("/") + "/"


@dataclass(frozen=True)
class Places:
    """How a page names images.

    Attributes:
        roots: folders in which paths begin, those with the longest locations first; (): every path stays whole, and
            nothing has a link.
        base: address or location that takes the place in links of what the roots have in common; "": nothing does.

    >>> places = places_of(["/data/photos"])
    >>> places.name("/data/photos/cat/1.png"), places.name("/data/photos/x.tar!2.png"), places.name("/elsewhere/3.png")
    ('cat/1.png', 'x.tar!2.png', '/elsewhere/3.png')
    """

    roots: Sequence[Root] = ()
    base: str = ""

    def name(self, key: str) -> str:
        """Return what a page calls an image, or a folder: its path below an input, or the key itself."""
        file, member = split_key(key)
        location = location_of(file)
        for root in self.roots:
            if location == root.location:
                return (f"{root.label}: " if root.label else "") + (last_name(location) + member if member else ".")
            if location.startswith(root.start):
                path = key_of(location[len(root.start) :]) + member
                return f"{root.label}: {path}" if root.label else path
        return key

    def link(self, key: str) -> str | None:
        """Return the address of an image's original, or of the archive that holds it; None: no browser opens it."""
        if not self.roots:
            return None
        location = location_of(split_key(key)[0])
        shared = self._shared
        if self.base and location.startswith(shared):
            return below(self.base, location[len(shared) :])
        return link(location)

    @functools.cached_property
    def _shared(self) -> str:
        """What the locations of all roots begin with, up to a slash; if they have nothing in common, what none has."""
        names = zip(*(root.start.split("/")[:-1] for root in self.roots), strict=False)
        same = takewhile(lambda level: len(set(level)) == 1, names)
        return "/".join([*(level[0] for level in same), ""]) or "\0"


def places_of(inputs: Iterable[str], base: str = "") -> Places:
    """Return how images of inputs are named.

    Args:
        inputs: patterns of the inputs as keys, see `pipeline.storage.locations.key_of`.
        base: see `Places`.

    >>> [(root.label, root.location) for root in places_of(["gs://b/2025/*.jpg", "/data/2024", "/data/x.tar"]).roots]
    [('2025', 'gs://b/2025'), ('2024', '/data/2024'), ('data', '/data')]
    """
    locations = list(dict.fromkeys(root_of(location_of(pattern)) for pattern in inputs))
    names = [last_name(location) for location in locations]
    labels = [name if names.count(name) == 1 else f"{i + 1}" for i, name in enumerate(names)]
    if len(locations) == 1:
        labels = [""]
    roots = [Root(*pair) for pair in zip(locations, labels, strict=True)]
    return Places(sorted(roots, key=lambda root: -len(root.location)), base)


def root_of(location: str) -> str:
    """Return the folder in which the paths of an input's images begin.

    >>> root_of("/data/photos"), root_of("/data/2024-*/*.png"), root_of("/data/list.csv"), root_of("gs://bucket/*.png")
    ('/data/photos', '/data', '/data', 'gs://bucket')
    """
    fixed = fixed_prefix(location)
    stem, dot, suffix = last_name(location.partition("://")[2] or location).rpartition(".")
    is_file = bool(dot and stem.strip(".") and _SUFFIX.fullmatch(suffix)) and not location.endswith("/")
    if fixed == location and not is_file:
        return location
    folder = fixed.rpartition("/")[0]
    return location if folder.endswith(":/") else folder or "/"


def split_key(key: str) -> tuple[str, str]:
    """Return the key of the file that holds an image, and what the key says of the image's place in it.

    >>> split_key("/a/x.tar.gz!b/1.png"), split_key("/a/x.tfrecord#17"), split_key("/a/wow!.png")
    (('/a/x.tar.gz', '!b/1.png'), ('/a/x.tfrecord', '#17'), ('/a/wow!.png', ''))
    """
    if found := _MEMBER.match(key):
        return found[1], key[found.end(1) :]
    if (found := _NUMBER.search(key)) and not key[: found.start()].lower().endswith(tuple(READ_SUFFIXES)):
        return key[: found.start()], found[0]
    return key, ""


def last_name(location: str) -> str:
    """Return the last name of a location; of one that has none, the location.

    >>> last_name("/data/photos"), last_name("gs://bucket"), last_name("/")
    ('photos', 'bucket', '/')
    """
    return location.rstrip("/").rpartition("/")[2] or location


def headline(inputs: Sequence[str]) -> str:
    """Return what a page calls an input in its headline: from the last folder on that it names for sure.

    >>> headline(["/data/photos"]), headline(["/data/photos/2024-*/*.png"]), headline(["/data/x.tar"])
    ('photos', 'photos/2024-*/*.png', 'x.tar')
    """
    (pattern,) = inputs
    if fixed_prefix(pattern) == pattern:
        return last_name(pattern)
    root = root_of(pattern)
    return last_name(root).rstrip("/") + "/" + pattern[len(root) :].lstrip("/")
