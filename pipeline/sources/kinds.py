"""What a file is: a kind of source, by its name and by its first bytes. Must not read more of it than HEAD bytes."""

from __future__ import annotations

import re

from pipeline.image_kinds import HEAD
from pipeline.sources import idx, images, manifest, numpy_arrays, parquet_images, tar_archive, tfrecord, zip_archive
from pipeline.sources.compression import compression_of, first_inflated, is_compressed
from pipeline.sources.container_names import container_kind
from pipeline.sources.names import IMAGE_SUFFIXES, suffix
from pipeline.storage import StoredObject, store_of

KNOWN = (
    f"images ({' '.join(sorted(IMAGE_SUFFIXES))}, or what begins like one)",
    "TFRecord (.tfrecord .tfrec, also with .gz .zz .bz2 .xz .zst)",
    f"tar ({' '.join(tar_archive.SUFFIXES)})",
    f"zip ({' '.join(zip_archive.SUFFIXES)})",
    "IDX (images-idx3-ubyte, also with .gz)",
    f"Parquet with images in its rows ({' '.join(parquet_images.SUFFIXES)})",
    f"NumPy arrays of uint8 images ({' '.join(numpy_arrays.SUFFIXES)})",
    f"and, where --input names it, a list of images ({' '.join(sorted(manifest.SUFFIXES))})",
)
"""Files that hold images, as a message lists them."""

_IMAGE_ENDINGS = tuple(IMAGE_SUFFIXES)
_SHARD = re.compile(r"-\d{5}-of-\d{5}(\.gz)?$")
_TABLES = {parquet_images.NAME: parquet_images.SUFFIXES, numpy_arrays.NAME: numpy_arrays.SUFFIXES}
_MAGIC = {
    images.NAME: images.is_image,
    tfrecord.NAME: tfrecord.is_plain,
    zip_archive.NAME: zip_archive.is_zip,
    idx.NAME: idx.is_idx,
    tar_archive.NAME: tar_archive.is_plain,
}
_COMPRESSED = (tfrecord.NAME, tar_archive.NAME, idx.NAME)
"""Kinds of containers that may be compressed as a whole."""


def kind_by_name(name: str) -> str | None:
    """Return the kind of source that a file's name promises, None if it promises none. The name is not junk.

    >>> kind_by_name("a/B.JPG"), kind_by_name("x.tfrecord-00000-of-00004"), kind_by_name("notes.txt")
    ('images', 'tfrecord', None)
    """
    if name.endswith(_IMAGE_ENDINGS) or suffix(name) in IMAGE_SUFFIXES:  # the first is fast
        return images.NAME
    return container_kind(name)


def table_by_name(name: str) -> str | None:
    """Return the kind of table that a file's name promises, None if it promises none. It may hold no images.

    >>> table_by_name("train-00000-of-00001.parquet"), table_by_name("mnist.npz"), table_by_name("a.csv")
    ('parquet', 'numpy', None)
    """
    return next((kind for kind, suffixes in _TABLES.items() if suffix(name) in suffixes), None)


def table_by_magic(head: bytes) -> str | None:
    """Return the kind of table of a file with these first HEAD bytes, None if it is none."""
    if parquet_images.is_parquet(head):
        return parquet_images.NAME
    return numpy_arrays.NAME if numpy_arrays.is_numpy(head) else None


def is_shard(name: str) -> bool:
    """Return whether a name looks like train-00000-of-00010, which may be anything."""
    return _SHARD.search(name) is not None


def head_of(found: StoredObject) -> bytes:
    """Return the first HEAD bytes of an object."""
    return store_of(found.location).read(found.location, 0, HEAD, found.version)


def kind_by_magic(head: bytes) -> str | None:
    """Return the kind of source that can read a file with these first HEAD bytes, None if none can."""
    if not is_compressed(head) or _is_plain(head):
        return _kind_of_plain(head)
    inside = first_inflated(head)
    found = _kind_of_plain(inside)
    if found is not None:
        return found if found in _COMPRESSED else None
    is_told = inside or compression_of(head) in ("gzip", "zlib")  # the first bytes of bzip2 and zstd do not tell
    return None if is_told else tar_archive.NAME


def confirmed(kind: str, head: bytes) -> str:
    """Return the kind of a container by its first bytes; its name decides where they do not tell."""
    if _MAGIC[kind](head):
        return kind
    if is_compressed(head) and not _is_plain(head):
        inside = _kind_of_plain(first_inflated(head))
        return inside if inside in _COMPRESSED else kind
    found = _kind_of_plain(head)
    return kind if found in (None, images.NAME) else str(found)


def _is_plain(head: bytes) -> bool:
    """Return whether bytes that may look compressed are a record's header, or a tar whose first name is so."""
    return tfrecord.is_plain(head) or tar_archive.is_plain(head)


def _kind_of_plain(head: bytes) -> str | None:
    return next((kind for kind, is_kind in _MAGIC.items() if is_kind(head)), None)
