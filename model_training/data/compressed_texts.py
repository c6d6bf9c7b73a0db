"""`CompressedTexts`: many texts in little memory, such as the keys of all images. Must not know what they say."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator

BLOCK = 256
"""Number of texts that are compressed together."""


class CompressedTexts:
    """Texts in the order in which they were added. Names of files take 3 to 25 bytes each, empty texts none.

    >>> texts = CompressedTexts(["a.png", "b.png"])
    >>> texts.add(["c.png"])
    >>> len(texts), texts[1], list(texts.blocks())
    (3, 'b.png', [['a.png', 'b.png', 'c.png']])
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """Start with some texts."""
        self._blocks: list[bytes] = []
        self._last: list[str] = []
        self.add(texts)

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self._blocks) * BLOCK + len(self._last)

    def __getitem__(self, number: int) -> str:
        """Return a text by its number, from 0."""
        block, place = divmod(number, BLOCK)
        return (self._last if block == len(self._blocks) else _texts(self._blocks[block]))[place]

    def add(self, texts: Iterable[str]) -> None:
        """Add texts behind the others."""
        for text in texts:
            self._last.append(text)
            if len(self._last) == BLOCK:
                self._blocks.append(zlib.compress(json.dumps(self._last).encode("ascii")))
                self._last = []

    def blocks(self) -> Iterator[list[str]]:
        """Yield all texts, BLOCK at a time; the last ones may be fewer."""
        yield from map(_texts, self._blocks)
        if self._last:
            yield list(self._last)


def _texts(block: bytes) -> list[str]:
    texts: list[str] = json.loads(zlib.decompress(block))
    return texts
