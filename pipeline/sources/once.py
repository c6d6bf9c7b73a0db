"""Each file is planned once, whatever names it again. Must not open a file."""

from __future__ import annotations

from hashlib import blake2b

from pipeline import storage
from pipeline.sources import images
from pipeline.sources.skipped import RELABELLED, TWICE, Skipped


class Once:
    """Remembers files and their labels, if there may be any twice, by digests of 16 bytes and by hashes."""

    def __init__(self, active: bool) -> None:
        """Start with none seen.

        Args:
            active: whether any file may be there twice; else none is remembered.
        """
        self._seen: dict[bytes, int] | None = {} if active else None
        self._n = 0

    def is_new(self, file: images.Listed, skipped: Skipped) -> bool:
        """Return whether a file was not there before; one that was is counted."""
        if self._seen is None:
            return True
        found, label = file[:2]
        mine = 0 if label is None else hash(repr(label))
        digest = blake2b(found.location.encode("utf-8", "surrogateescape"), digest_size=16).digest()
        first = self._seen.setdefault(digest, mine)
        if len(self._seen) > self._n:
            self._n += 1
            return True
        skipped.add(TWICE if first == mine else RELABELLED, storage.key_of(found.location))
        return False
