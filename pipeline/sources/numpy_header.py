"""What the header of a NumPy array says: whether it holds images or labels, by type, shape and name, without pickle."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MAGIC = b"\x93NUMPY"
HEADER = 1 << 16
"""Bytes of a header, at most."""

NO_IMAGES = "NumPy arrays that are no images"
"""Reason of arrays of another shape."""

FLOATS = "NumPy arrays of floats: save images as uint8, 0 to 255"
"""Reason of arrays that may be images, of which nothing tells what is white."""

OTHER_TYPES = "NumPy arrays of other types than uint8: save images as uint8, 0 to 255"
"""Reason of arrays of images in other integers."""

UNCLEAR = "NumPy arrays with unclear axes: give them the shape [n, height, width] or [n, height, width, 3]"
"""Reason of arrays of a single picture, or of other numbers of channels than 1 and 3."""

FORTRAN = "NumPy arrays in Fortran order: save them with numpy.ascontiguousarray"
"""Reason of arrays of which no image lies in one piece."""

PICKLED = "NumPy arrays of Python objects, which are not read: save labels as numbers or as text (dtype=str)"
"""Reason of arrays that only pickle reads, which runs what a stranger wrote."""

OF_OTHER_LENGTH = "NumPy arrays of labels, of another length than their images"
"""Reason of labels that cannot be those of the images."""

BESIDE = "NumPy arrays beside those named as images: choose with --image_key"
"""Reason of arrays that may be images, in an archive with others whose names say so."""

_CHANNELS = (1, 3)
_LABELS_OF = {
    "x": ("y", "label", "labels", "target", "targets"),
    "image": ("label", "labels", "target", "class", "y"),
    "images": ("labels", "label", "targets", "target", "classes", "class", "y"),
    "img": ("label", "labels", "target", "y"),
    "imgs": ("labels", "label", "targets", "y"),
    "data": ("labels", "label", "targets", "target", "y"),
    "features": ("labels", "label", "targets", "target", "y"),
    "pixels": ("labels", "label", "targets", "target", "y"),
    "pictures": ("labels", "label", "classes"),
    "arr_0": ("arr_1",),
}
"""Word in the name of an array of images -> words that stand there in the name of its labels."""

_LABEL_WORDS = frozenset(word for words in _LABELS_OF.values() for word in words) - {"arr_1"}
_WORDS = re.compile(r"arr_\d+|[A-Za-z]+")


@dataclass(frozen=True)
class Array:
    """What a header says.

    Attributes:
        name: of the array in its archive; "" of a file of its own.
        dtype: of its values.
        shape: of it.
        is_fortran: whether the first axis is the fastest.
        start: bytes of the header, behind which the values begin.
    """

    name: str
    dtype: Any
    shape: tuple[int, ...]
    is_fortran: bool
    start: int

    @property
    def entry(self) -> int:
        """Bytes of one entry along the first axis."""
        return int(self.dtype.itemsize) * math.prod(self.shape[1:])

    @property
    def layout(self) -> Layout | None:
        """How its images lie in it; None if it holds none."""
        return None if why_none(self) else _axes(self.shape)

    @property
    def is_labels(self) -> bool:
        """Whether it may hold labels, one an entry: numbers, text, or a vector for each."""
        return self.dtype.kind in "biufSU" and 1 <= len(self.shape) <= 2 and not self.is_fortran and self.entry > 0


@dataclass(frozen=True)
class Layout:
    """How images lie in an array.

    Attributes:
        height: of each, in pixels.
        width: of each, in pixels.
        channels: 1 or 3.
        is_planar: whether the channels are the first axis of an image.
    """

    height: int
    width: int
    channels: int
    is_planar: bool = False

    @property
    def pixels(self) -> int:
        """Bytes of an image."""
        return self.height * self.width * self.channels

    def encode(self, data: bytes) -> bytes:
        """Return an image as a PGM or PPM file."""
        if self.is_planar and self.channels > 1:
            planes = np.frombuffer(data, np.uint8).reshape(self.channels, self.height, self.width)
            data = planes.transpose(1, 2, 0).tobytes()
        return f"P{5 if self.channels == 1 else 6} {self.width} {self.height} 255\n".encode("ascii") + data


def parse(name: str, head: bytes) -> Array:
    """Return what a header says.

    Args:
        name: of the array.
        head: the first bytes of the file.

    Raises:
        ValueError: it is none.

    >>> file = io.BytesIO()
    >>> np.save(file, np.zeros((5, 4, 3), np.uint8))
    >>> parse("x", file.getvalue()).shape
    (5, 4, 3)
    """
    file = io.BytesIO(head)
    try:
        major, _ = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read(file, max_header_size=HEADER)
    except Exception as error:  # Python's parser raises anything
        raise ValueError(f"its header cannot be read: {error}") from error
    if any(n < 0 for n in shape):
        raise ValueError(f"its header says the shape {shape}")
    return Array(name, dtype, shape, is_fortran and len(shape) > 1, file.tell())


def why_none(array: Array) -> str | None:
    """Return the reason why an array holds no images that are read; None if it holds some."""
    if array.dtype.hasobject:
        return PICKLED
    if len(array.shape) not in (3, 4) or 0 in array.shape[1:]:
        return NO_IMAGES
    if array.dtype.kind == "f":
        return FLOATS
    if array.dtype != np.uint8:
        return OTHER_TYPES if array.dtype.kind in "iub" else NO_IMAGES
    if _axes(array.shape) is None:
        return UNCLEAR
    return FORTRAN if array.is_fortran else None


def _axes(shape: Sequence[int]) -> Layout | None:
    """Return how images lie in an array of a shape, None if that is not clear.

    >>> _axes((9, 28, 28)), _axes((480, 640, 3)), _axes((9, 3, 32, 32))
    (Layout(height=28, width=28, channels=1, is_planar=False), None, \
Layout(height=32, width=32, channels=3, is_planar=True))
    """
    if len(shape) == 3:
        return None if shape[2] <= 4 else Layout(shape[1], shape[2], 1)
    if shape[3] in _CHANNELS:
        return Layout(shape[1], shape[2], shape[3])
    return Layout(shape[2], shape[3], shape[1], True) if shape[1] in _CHANNELS else None


def is_image_word(name: str) -> bool:
    """Return whether a name says that an array holds images.

    >>> is_image_word("x_train"), is_image_word("test_images"), is_image_word("masks")
    (True, True, False)
    """
    return any(word.lower() in _LABELS_OF for word in _WORDS.findall(name))


def is_label_word(name: str) -> bool:
    """Return whether a name says that an array holds labels."""
    return any(word.lower() in _LABEL_WORDS for word in _WORDS.findall(name))


def label_names(name: str) -> Iterator[str]:
    """Yield the names that the labels of an array of images may have, likeliest first.

    >>> next(label_names("x_train")), next(label_names("X")), list(label_names("arr_0"))
    ('y_train', 'Y', ['arr_1'])
    """
    for found in _WORDS.finditer(name):
        word = found[0]
        for other in _LABELS_OF.get(word.lower(), ()):
            spelled = other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other
            for one in dict.fromkeys((spelled, other)):
                yield name[: found.start()] + one + name[found.end() :]
