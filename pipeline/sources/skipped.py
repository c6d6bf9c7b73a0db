"""Files that are skipped, by the reason and with an example of each: they get no row. Must not decide what is an image.

A reason is words that a person reads, with what to do where something can be done: "HEIC images: convert them".
"""

from __future__ import annotations

from collections.abc import Mapping

JUNK = "junk"
"""Reason of files that a desktop, a console or a NAS left behind, see `pipeline.sources.names.is_junk_name`."""

OTHER = "other files"
"""Reason of files that are no images and of no kind that is known."""

FORBIDDEN = "files that may not be opened: allow it if they are images"
"""Reason of files whose names do not tell what they are, and that cannot be opened to see."""

NOWHERE = "links that lead nowhere, pipes and devices: fetch what is missing"
"""Reason of what is neither a file nor a folder, and has no image's name: one that has is a failed row."""

TWICE = "images named more than once: each is scored once"
"""Reason of what several inputs find, or several rows of a list name."""

RELABELLED = "images named again with another label: the first one counts"
"""Reason of rows of lists whose image was there before, with another label or with none."""

BESIDE = "images beside that of a sample: give them an image's suffix to score them"
"""Reason of members of a sample that begin like an image, where another has the name of one."""

LABELS = "files of labels"
"""Reason of files that hold labels of images, which are read with those."""

EMPTY = "empty containers"
"""Reason of containers that hold no image."""

NO_FILES = "links, folders and devices in archives"
"""Reason of members of archives that are no files."""

SYMBOLIC = "symbolic links in archives: unpack them to score what they lead to"
"""Reason of members of archives that are symbolic links with the name of an image."""


def pictures_beside(kind: str) -> str:
    """Return the reason of pictures of samples that are not the image, by their kind: seg.png.

    >>> pictures_beside("seg.png")
    'pictures of samples beside the image (.seg.png): choose them with --image_key'
    """
    return f"pictures of samples beside the image (.{kind}): choose them with --image_key"


class Skipped:
    """Files and members of containers that are skipped: they get no row.

    Attributes:
        counts: reason -> number of them.
        examples: reason -> key of the first one.

    >>> skipped = Skipped()
    >>> skipped.add(JUNK, "/a/Thumbs.db")
    >>> skipped.add(JUNK, "/b/Thumbs.db", 2)
    >>> skipped
    Skipped({'junk': 3}, {'junk': '/a/Thumbs.db'})
    """

    def __init__(self) -> None:
        """Start with none."""
        self.counts: dict[str, int] = {}
        self.examples: dict[str, str] = {}

    def add(self, reason: str, example: str, n: int = 1) -> None:
        """Count n more.

        Args:
            reason: why they are skipped.
            example: key of one of them.
            n: how many they are.
        """
        if reason in self.counts:
            self.counts[reason] += n
        else:
            self.counts[reason], self.examples[reason] = n, example

    def update(self, counts: Mapping[str, int], examples: Mapping[str, str]) -> None:
        """Count what was counted elsewhere, too.

        Args:
            counts: reason -> how many more there are.
            examples: reason -> key of one of those.
        """
        for reason, n in counts.items():
            self.add(reason, examples[reason], n)

    @property
    def total(self) -> int:
        """How many there are of all reasons."""
        return sum(self.counts.values())

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self.counts)

    def __repr__(self) -> str:
        """Return counts and examples."""
        return f"Skipped({self.counts}, {self.examples})"
