"""Images as the bytes of a packed archive: what `tfrecord` and `tar_archive` read, with label, folder, key and columns.

Must not know which images there are, or where the archive lies.
"""

from __future__ import annotations

import json
import struct
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.batches import EncodedBatch, Failure, ImageColumns
from pipeline.image_kinds import HEAD, kind_of
from pipeline.sources.example_image import SOURCE_FOLDER
from pipeline.sources.label_values import Label
from pipeline.sources.labels import LabelRule
from pipeline.sources.names import IMAGE_SUFFIXES, suffix
from pipeline.sources.records import masked
from pipeline.sources.tf_example import Values, make_example

PackFormat = Literal["tfrecord", "tar"]

SOURCE_KEY = "source_key"
"""Name of the field, in each record, with the key that the image had where it was packed from."""

_OURS = frozenset(("cls", "height", "image", "image_raw", "depth", "label", "width", SOURCE_KEY, SOURCE_FOLDER))
_SUFFIXES = {
    "PNG": ".png", "JPEG": ".jpg", "GIF": ".gif", "TIFF": ".tif", "WebP": ".webp", "BMP": ".bmp", "PNM": ".pnm",
    "PFM": ".pfm", "AVIF": ".avif", "JPEG 2000": ".jp2", "HEIC": ".heic",
}  # fmt: skip
"""Kind of an image by its first bytes -> end of its name in a tar."""


@dataclass(frozen=True)
class KeptLabels(LabelRule):
    """A rule that decides nothing: it keeps what the archive says of each image, and its folder.

    >>> found = KeptLabels(()).columns(["a", "b"], own=["3", None], folders=["x", "cat"])
    >>> found.label_names
    ['["3", "x"]', '[null, "cat"]']
    """

    def columns(
        self,
        keys: Sequence[str],
        own: Sequence[Label],
        folders: Sequence[str],
        failures: Mapping[int, Failure] | None = None,
    ) -> ImageColumns:
        """Return the images; the name of the label of each is the JSON of [label, folder]."""
        found = [json.dumps([self._named(mine), folder]) for mine, folder in zip(own, folders, strict=True)]
        return replace(ImageColumns.of(keys), failures=failures or {}, label_names=found)

    def _named(self, label: Label) -> Label:
        """Return a label; a number that the archive itself has a name for stands beside that name."""
        number = label - self.offset if isinstance(label, int) else -1
        if 0 <= number < len(self.archive_names):
            return {"label": number + self.offset, "text": self.archive_names[number]}
        return label


@dataclass(frozen=True)
class PackedImage:
    """One image, as it is packed.

    Attributes:
        key: where it was packed from.
        encoded: its bytes as they were; b"": it could not be read.
        label: as its archive wrote it.
        folder: that it lay in.
        more: columns of its archive, by name; None where it has none.
    """

    key: str
    encoded: bytes
    label: Label
    folder: str
    more: Mapping[str, str | None]


def images_of(batch: EncodedBatch) -> list[PackedImage]:
    """Return the images of a batch that was read by KeptLabels."""
    columns = batch.images
    found = []
    for i, (key, encoded, name) in enumerate(zip(columns.keys, batch.encoded, columns.label_names, strict=True)):
        label, folder = json.loads(name or "[null, null]")
        more = {column: values[i] for column, values in columns.more.items()}
        found.append(PackedImage(key, encoded, label, folder or "", more))
    return found


def as_record(image: PackedImage) -> bytes:
    """Return an image as a framed record of a TFRecord file."""
    features: dict[str, Values] = {"image/encoded": [image.encoded], SOURCE_KEY: [_bytes(image.key)]}
    features[SOURCE_FOLDER] = [_bytes(image.folder)]
    features |= _label_features(image.label)
    for name, value in image.more.items():
        if value is not None:
            features[_column(name)] = [_bytes(value)]
    data = make_example(features)
    length = struct.pack("<Q", len(data))
    return b"".join((length, struct.pack("<I", masked(length)), data, struct.pack("<I", masked(data))))


def as_sample(image: PackedImage, number: int) -> bytes:
    """Return an image as two members of a tar, a sample of WebDataset: its bytes, and a .json that tells of it.

    Args:
        image: to be packed.
        number: of it in the tar; its name is made of it.
    """
    facts: dict[str, object] = {"label": image.label, SOURCE_KEY: image.key}
    facts |= {_column(name): value for name, value in image.more.items() if value is not None}
    if image.label is None:
        del facts["label"]
    folder = image.folder if image.folder not in ("", ".", "..") else "images"
    stem = f"{folder.replace('/', '_')}/{number:08d}"
    text = json.dumps(facts, ensure_ascii=False, sort_keys=True).encode("utf-8", "replace")
    return _member(stem + _suffix(image), image.encoded) + _member(stem + ".json", text)


END = {"tfrecord": b"", "tar": bytes(2 * tarfile.BLOCKSIZE)}
"""What ends a file of each format."""


def _member(name: str, data: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    padding = bytes(-len(data) % tarfile.BLOCKSIZE)
    return b"".join((info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"), data, padding))


def _suffix(image: PackedImage) -> str:
    """Return the suffix that an image's bytes ask for, else that of its key, else that of a JPEG: it is an image."""
    found = _SUFFIXES.get(kind_of(image.encoded[:HEAD]) or "")
    if found is not None:
        return found
    named = suffix(image.key.rpartition("!")[2].rpartition("/")[2])
    return named if named in IMAGE_SUFFIXES else ".jpg"


def _column(name: str) -> str:
    return f"column_{name}" if name in _OURS or name.startswith("image/") else name


def _label_features(label: Label) -> dict[str, Values]:
    if label is None:
        return {}
    if isinstance(label, dict):
        numbers = [value for value in label.values() if isinstance(value, int)]
        texts = [value for value in label.values() if isinstance(value, str)]
        found: dict[str, Values] = {"image/class/label": numbers[:1]} if numbers else {}
        return found | ({"image/class/text": [_bytes(texts[0])]} if texts else {})
    if not isinstance(label, list):
        label = [label]
    if all(isinstance(value, int) and -(2**63) <= value < 2**63 for value in label):
        return {"image/class/label": label}
    return {"image/class/label": [_bytes(str(value)) for value in label]}  # a feature's floats have 24 bits only


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
