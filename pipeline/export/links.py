"""Addresses of images for programs that show them: where they lie, or a web address in place of that.

Must not know what an address is for, nor open anything.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from urllib.parse import quote

from pipeline.output.run import Run
from pipeline.storage.locations import AZURE, fixed_prefix, is_remote, location_of

LOCAL_FILES = "/data/local-files/?d="
"""What Label Studio puts before the path of a file on its own disk, below LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT."""


@dataclass(frozen=True)
class Links:
    """Makes addresses of keys.

    Attributes:
        place: folder that the address stands for; ends in "/".
        base: address of that folder.

    >>> Links("/data/photos/", "https://host/p").of("/data/photos/cat/a b.png")
    'https://host/p/cat/a%20b.png'
    """

    place: str
    base: str

    @classmethod
    def of_base(cls, run: Run, base: str) -> Links:
        """Return the addresses below an address that stands for the input of a run, or the folder of its inputs."""
        return cls(place_of(run.inputs), base.rstrip("/"))

    @classmethod
    def of_local_files(cls, run: Run) -> Links:
        """Return the addresses that Label Studio serves of files on disk; those of buckets stay as they are."""
        place = place_of(run.inputs)
        above, _, name = place.rstrip("/").rpartition("/")
        return cls(f"{above}/", LOCAL_FILES) if name and not is_remote(place) else cls(place, LOCAL_FILES)

    def of(self, key: str) -> str | None:
        """Return the address of an image; None if it does not lie in the folder.

        Args:
            key: of an image that is a file or an object of its own.
        """
        location = location_of(key)
        if location.startswith(self.place):
            path = quote(os.fsencode(location[len(self.place) :].lstrip("/")))
            return f"{self.base}{'' if self.base == LOCAL_FILES else '/'}{path}"
        return None

    def of_anywhere(self, key: str) -> str | None:
        """Return the same; of an image in a bucket, what Label Studio's connection to the bucket opens."""
        location = location_of(key)
        if self.base != LOCAL_FILES or not is_remote(location):
            return self.of(key)
        return f"azure-blob://{location[len(AZURE) :]}" if location.startswith(AZURE) else location


def place_of(inputs: Sequence[str]) -> str:
    """Return the folder that holds all images of some inputs, as far as their names tell; ends in "/".

    >>> place_of(["/data/photos"]), place_of(["/data/a/*.png", "/data/b"]), place_of(["gs://b/photos"])
    ('/data/photos/', '/data/', 'gs://b/photos/')
    """
    folders = [_folder(pattern).split("/") for pattern in inputs]
    common = [names[0] for names in takewhile(lambda names: len(set(names)) == 1, zip(*folders, strict=False))]
    return "/".join(common).rstrip("/") + "/"


def _folder(pattern: str) -> str:
    fixed = fixed_prefix(pattern)
    if fixed != pattern:
        return fixed.rpartition("/")[0]
    is_file = os.path.isfile(pattern) if not is_remote(pattern) else "." in pattern.rpartition("/")[2]
    return pattern.rpartition("/")[0] if is_file else pattern.rstrip("/")
