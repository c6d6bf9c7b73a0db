"""What a record of a TFRecord file says of an image, if it is a tf.train.Example: the image, its label, its columns.

A record is one row, whatever it holds: one that has several images, or is a sequence of them, is a failed row that says
so. Must not know how records are framed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.batches import Failure
from pipeline.sources.container import NONE, Image
from pipeline.sources.label_values import BLANK
from pipeline.sources.labels import Label, as_label
from pipeline.sources.list_columns import as_passed
from pipeline.sources.read_rule import ReadRule

IMAGE_KEYS = ("image/encoded", "image")
LABEL_KEYS = ("image/class/label", "label")
NAME_KEYS = {"image/class/text": "text", "image/class/synset": "synset"}
"""Feature with the name of a record's class -> name of the field of a label that it becomes."""

RAW_KEY = "image_raw"
SOURCE_FOLDER = "source_folder"
"""Feature with the folder that an image lay in before `nightscore pack`; it may name the image's class."""

RAW_SHAPE = ("height", "width", "depth")


def image_of(key: str, record: bytes | Failure, folder: str, rule: ReadRule) -> Image:
    """Return a record's encoded image, its label as found, the folder that it was packed from, else its file's."""
    if isinstance(record, Failure):
        return Image(key, record, None, folder)
    from pipeline.sources.tf_example import parse_record  # protobuf, which other archives do without

    try:
        features, lists = parse_record(record)
    except ValueError as error:
        return Image(key, Failure("read", "INVALID_ARGUMENT", str(error)), None, folder)
    label = _label(features, rule.label_key)
    wanted = (rule.image_key,) if rule.image_key else IMAGE_KEYS
    image = None if wanted == (RAW_KEY,) else _image(features, lists, wanted)
    if image is None and rule.image_key in (None, RAW_KEY):
        image = _raw_pixels(features)
    if image is None:
        names = ", ".join(sorted(features)[:8]) or "none"
        more = f", and a sequence of {', '.join(sorted(lists)[:8])}" if lists else ""
        text = f"record has no bytes feature {' or '.join(map(repr, wanted))}; it has {names}{more}; see --image_key"
        image = Failure("read", "INVALID_ARGUMENT", text)
    if SOURCE_FOLDER in features:
        folder = str(next(iter(_values(features, (SOURCE_FOLDER,)) or ()), ""))
    return Image(key, image, label, folder, _passed(features, rule.columns) if rule.columns else NONE)


def _passed(features: Mapping[str, Any], columns: Sequence[str]) -> Mapping[str, str]:
    """Return the features that pass through to a row: a value as text, several as a JSON list."""
    found: dict[str, str] = {}
    for name in columns:
        values = _values(features, (name,)) or []
        text = as_passed(values[0] if len(values) == 1 else values or None)
        if text is not None:
            found[name] = text
    return found


def _image(features: Mapping[str, Any], lists: Mapping[str, Any], wanted: tuple[str, ...]) -> bytes | Failure | None:
    """Return the image in the first of some features or lists of a sequence that has one, or why none."""
    for name in wanted:
        if name in features and (values := features[name].bytes_list.value):
            what = f"record has {len(values)} images in {name!r}"
        elif name in lists and (values := [v for step in lists[name].feature for v in step.bytes_list.value]):
            what = f"record is a SequenceExample of {len(values)} images in {name!r}"
        elif name in features and features[name].int64_list.value:
            return None
        else:
            continue
        if len(values) == 1:
            image: bytes = values[0]
            return image
        return Failure("read", "UNIMPLEMENTED", f"{what}, and a row is of one: write a tf.train.Example for each")
    return None


def _raw_pixels(features: Mapping[str, Any]) -> bytes | None:
    """Return `image_raw`, uint8 of `height` x `width` x `depth`, as a PGM or PPM file; None where it is not that."""
    pixels = _first(features, (RAW_KEY,))
    height, width, depth = (_first(features, (name,)) for name in RAW_SHAPE)
    depth = 1 if depth is None else depth
    if not (isinstance(pixels, bytes) and isinstance(height, int) and isinstance(width, int) and depth in (1, 3)):
        return None
    if height < 1 or width < 1 or len(pixels) != height * width * depth:
        return None
    return f"P{5 if depth == 1 else 6} {width} {height} 255\n".encode("ascii") + pixels


def _first(features: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """Return the first value of the first of these features that has one."""
    for name in names:
        if name in features:
            for values in (features[name].bytes_list.value, features[name].int64_list.value):
                if values:
                    return values[0]
    return None


def _label(features: Mapping[str, Any], key: str | None) -> Label:
    """Return all that a record says of its label: also its names, unless a key is given."""
    values = _values(features, (key,) if key else LABEL_KEYS)
    known = _names(features) if key is None else {}
    if known and (values is None or len(values) <= 1):
        return as_label({**known, "label": values[0]} if values else known)
    if values and type(values[0]) is int:
        return values  # integers mean what they are
    label = as_label(values)
    return BLANK if values and label == [] else label


def _names(features: Mapping[str, Any]) -> dict[str, int | float | str]:
    """Return the names of its class that a record says, each by the field of a label that it becomes."""
    found = {}
    for feature, name in NAME_KEYS.items():
        if feature in features and (texts := _values(features, (feature,))) is not None and len(texts) == 1:
            found[name] = texts[0]
    return found


def _values(features: Mapping[str, Any], names: tuple[str, ...]) -> list[int | float | str] | None:
    """Return all values of the first of these features that has one; [] if those that are there have none."""
    is_there = False
    for name in names:
        if name not in features:
            continue
        is_there, feature = True, features[name]
        if numbers := feature.int64_list.value:
            return list(numbers)
        if texts := feature.bytes_list.value:
            return [text.decode("utf-8", "replace") for text in texts]
        if numbers := feature.float_list.value:
            return list(numbers)
    return [] if is_there else None
