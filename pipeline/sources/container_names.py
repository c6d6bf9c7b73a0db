"""Names of files that hold images, and what they promise: TFRecords, a tar, a zip, IDX. Must not open a file."""

from __future__ import annotations

import re

from pipeline.image_kinds import READ_SUFFIXES
from pipeline.sources.names import suffix

TAR_SUFFIXES = (
    ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst", ".tar.zz", ".tar.lzma",
)  # fmt: skip
ZIP_SUFFIXES = (".zip",)
UNREAD_SUFFIXES = (".rar", ".7z", ".tar.lz4", ".tar.lz", ".tar.lzo", ".tar.Z", ".tar.br")
"""Ends of names of archives that are not read, as messages write them."""

_TFRECORD = re.compile(r"\.(tfrecords?|tfrec)(-\d+-of-\d+)?(\.(gz|zz|zlib|bz2|xz|lzma|zst))?$")
_IDX = re.compile(r"images([-.])idx3([-.]ubyte(?:\.gz)?)$")
_UNREAD = tuple(suffix.lower() for suffix in UNREAD_SUFFIXES)
_PART = re.compile(r"\.z\d\d$|\.(zip|tar|t[bx]?z2?|tgz|tar\.\w{2,4}|7z|rar)\.?(part)?[-_]?(\d{2,3}|[a-z]{2})$")


_COMPRESSED_IMAGE = re.compile(
    rf"\.({'|'.join(sorted(ending[1:] for ending in READ_SUFFIXES))})\.(gz|zz|bz2|xz|lzma|zst|z|lz4|br)$"
)


_DATA = {
    ".arrow": "Arrow files: write Parquet to score images in them",
    ".feather": "Arrow files: write Parquet to score images in them",
    ".h5": "HDF5 files: write arrays of images in them as .npz",
    ".hdf5": "HDF5 files: write arrays of images in them as .npz",
    ".mat": "MATLAB files: write arrays of images in them as .npz",
    ".mdb": "LMDB files: write the images in them as TFRecords or files",
    ".rec": "RecordIO files: write the images in them as TFRecords or files",
}
"""End of the name of a file of data that often holds images and is not read -> why it is skipped."""


def container_kind(name: str) -> str | None:
    """Return the kind of container that a file's name promises, None if it promises none.

    >>> [container_kind(name) for name in ("a.TAR", "b.tar.zst", "x.tfrecord-00000-of-00004", "c.zip", "notes.txt")]
    ['tar', 'tar', 'tfrecord', 'zip', None]
    """
    lower = name.lower()
    if _TFRECORD.search(lower):
        return "tfrecord"
    if lower.endswith(TAR_SUFFIXES):
        return "tar"
    if lower.endswith(ZIP_SUFFIXES):
        return "zip"
    return "idx" if _IDX.search(lower) else None


def unread_container(name: str) -> str | None:
    """Return why a file with such a name is not read although it may hold images; None if its name does not say so.

    >>> unread_container("a.z01"), unread_container("a.tar.gz.partaa") == unread_container("a.zip.001")
    ('parts of split archives: join them', True)
    >>> unread_container("a.7z"), unread_container("a.tar"), unread_container("a.tar.gz")
    ('archives that are not read (.7z): unpack them', None, None)
    >>> unread_container("a.PNG.gz"), unread_container("data-00000-of-00001.arrow")
    ('compressed images (.png.gz): decompress them', 'Arrow files: write Parquet to score images in them')
    """
    lower = name.lower()
    if lower.endswith(_UNREAD):
        ending = next(suffix for suffix in UNREAD_SUFFIXES if lower.endswith(suffix.lower()))
        return f"archives that are not read ({ending}): unpack them"
    if suffix(lower) in _DATA:
        return _DATA[suffix(lower)]
    if container_kind(name) is None and _PART.search(lower):
        return "parts of split archives: join them"
    if found := _COMPRESSED_IMAGE.search(lower):
        return f"compressed images ({found[0]}): decompress them"
    return None


def stem_of(name: str) -> str:
    """Return the name of a container without its folder and its suffix, as its images' folder would be called.

    >>> stem_of("train/n01440764.tar"), stem_of("cat.tar.gz"), stem_of("x")
    ('n01440764', 'cat', 'x')
    """
    file = name.rpartition("/")[2]
    lower = file.lower()
    endings = [suffix for suffix in (*TAR_SUFFIXES, *ZIP_SUFFIXES) if lower.endswith(suffix)]
    found = _TFRECORD.search(lower)
    return file[: -len(max(endings, key=len))] if endings else file[: found.start()] if found else file
