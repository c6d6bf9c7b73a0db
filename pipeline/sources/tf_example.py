"""tf.train.Example and SequenceExample without TensorFlow: tensorflow/core/example/{example,feature}.proto.

The two begin alike: what an Example calls features is the context of a sequence, whose lists of features follow.

https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/feature.proto
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = ".nightscore"

Values = Sequence[Any]
"""Values of a feature: all bytes, or all integers."""


@functools.cache
def _example_class() -> Any:
    """Return the class of the message, in a descriptor pool of its own, apart from TensorFlow's."""
    file = descriptor_pb2.FileDescriptorProto(name="nightscore/example.proto", package="nightscore", syntax="proto3")
    for name, kind in (("BytesList", _Field.TYPE_BYTES), ("FloatList", _Field.TYPE_FLOAT)):
        file.message_type.add(name=name).field.append(_field("value", 1, kind, repeated=True))
    file.message_type.add(name="Int64List").field.append(_field("value", 1, _Field.TYPE_INT64, repeated=True))
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("bytes_list", "float_list", "int64_list"), 1):
        kind_of_list = "".join(word.capitalize() for word in name.split("_"))
        member = _field(name, number, _Field.TYPE_MESSAGE, f"{_PACKAGE}.{kind_of_list}")
        member.oneof_index = 0
        feature.field.append(member)
    file.message_type.add(name="FeatureList").field.append(
        _field("feature", 1, _Field.TYPE_MESSAGE, f"{_PACKAGE}.Feature", repeated=True)
    )
    example = file.message_type.add(name="Example")
    for number, (name, entry, value) in enumerate(
        (("feature", "Features", "Feature"), ("list", "Lists", "FeatureList")), 1
    ):
        _add_map(file.message_type.add(name=entry), name, value, entry)
        example.field.append(_field(entry.lower(), number, _Field.TYPE_MESSAGE, f"{_PACKAGE}.{entry}"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("nightscore.Example"))


def _add_map(holder: Any, name: str, value: str, holder_name: str) -> None:
    """Add a map from text to messages to a message, as a field of number 1."""
    entry_name = f"{name.capitalize()}Entry"
    entry = holder.nested_type.add(name=entry_name)
    entry.options.map_entry = True
    entry.field.append(_field("key", 1, _Field.TYPE_STRING))
    entry.field.append(_field("value", 2, _Field.TYPE_MESSAGE, f"{_PACKAGE}.{value}"))
    whole = f"{_PACKAGE}.{holder_name}.{entry_name}"
    holder.field.append(_field(name, 1, _Field.TYPE_MESSAGE, whole, repeated=True))


def _field(name: str, number: int, kind: Any, type_name: str | None = None, repeated: bool = False) -> Any:
    label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    return _Field(name=name, number=number, type=kind, type_name=type_name, label=label)


class Record(NamedTuple):
    """What a record holds.

    Attributes:
        features: by name, each with `bytes_list`, `float_list` and `int64_list`; of a sequence, its context.
        lists: of a sequence, its lists by name, each with `feature`, one a step.
    """

    features: Mapping[str, Any]
    lists: Mapping[str, Any]


def parse_record(data: bytes) -> Record:
    """Return what an Example or a SequenceExample holds.

    Raises:
        ValueError: the bytes are not such a message.
    """
    try:
        parsed: Any = _example_class().FromString(data)
    except message.DecodeError as error:
        raise ValueError(f"not a tf.train.Example: {error}") from error
    return Record(parsed.features.feature, parsed.lists.list)


def parse_example(data: bytes) -> Mapping[str, Any]:
    """Return an Example's features by name, each with `bytes_list`, `float_list` and `int64_list`.

    Raises:
        ValueError: the bytes are not such a message.
    """
    return parse_record(data).features


def make_example(features: Mapping[str, Values]) -> bytes:
    """Return the message of an Example; the same features give the same bytes.

    >>> {name: feature.int64_list.value[0] for name, feature in parse_example(make_example({"label": [7]})).items()}
    {'label': 7}
    """
    made: Any = _example_class()()
    for name, values in features.items():
        feature = made.features.feature[name]
        kind = feature.bytes_list if all(isinstance(value, bytes) for value in values) else feature.int64_list
        kind.value.extend(values)
    data: bytes = made.SerializeToString(deterministic=True)
    return data
