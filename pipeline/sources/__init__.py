"""Where encoded images come from, one file a kind of source.

Each source cuts what it finds into work units from names and headers alone (`cut`, `index`), reads a unit as
encoded batches (`read`), and makes smaller units of one (`sample`, `shortened`). Must not know what pixels are.
"""

from __future__ import annotations

import re
from collections.abc import Generator

from pipeline.batches import EncodedBatch
from pipeline.run import Run
from pipeline.sources import images, tfrecord
from pipeline.units import WorkUnit

_TFRECORD = re.compile(r"\.(tfrecords?|tfrec)(-\d+-of-\d+)?(\.gz)?$", re.IGNORECASE)
_SHARD = re.compile(r"-\d{5}-of-\d{5}(\.gz)?$")


_READ = {images.NAME: images.read, tfrecord.NAME: tfrecord.read}
_SAMPLE = {images.NAME: images.sample, tfrecord.NAME: tfrecord.sample}
_SHORTENED = {images.NAME: images.shortened, tfrecord.NAME: tfrecord.shortened}


def read(unit: WorkUnit, run: Run) -> Generator[EncodedBatch, None, None]:
    """Yield a unit's images in order; what cannot be read is a failed image.

    Raises:
        TransientError: the store fails for now.
    """
    return _READ[unit.source](unit, run)


def sample(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of at most n of its images."""
    return _SAMPLE[unit.source](unit, n)


def shortened(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of its first n images, or of all it has if those are fewer."""
    return _SHORTENED[unit.source](unit, n)


def kind_by_name(name: str) -> str | None:
    """Return the source that a file's name promises, None where it promises none.

    >>> kind_by_name("a/B.JPG"), kind_by_name("x.tfrecord-00000-of-00004"), kind_by_name("notes.txt")
    ('images', 'tfrecord', None)
    """
    if name[name.rfind(".") :].lower() in images.EXTENSIONS:
        return images.NAME
    return tfrecord.NAME if _TFRECORD.search(name) else None


def is_shard(name: str) -> bool:
    """Return whether a name looks like train-00000-of-00010, which may be anything."""
    return _SHARD.search(name) is not None


def kind_by_magic(head: bytes) -> str | None:
    """Return the source that can read a file whose first bytes these are, None if none can."""
    if images.is_image(head):
        return images.NAME
    return tfrecord.NAME if tfrecord.is_tfrecord(head) else None
