"""tf.train.Example without TensorFlow, against TensorFlow's own."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import tensorflow as tf
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.sources.tf_example import parse_example

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
feature = st.one_of(
    st.lists(st.binary(max_size=20), max_size=4).map(lambda v: tf.train.Feature(bytes_list={"value": v})),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4).map(lambda v: tf.train.Feature(int64_list={"value": v})),
    st.lists(st.floats(width=32, allow_nan=False), max_size=4).map(lambda v: tf.train.Feature(float_list={"value": v})),
    st.just(tf.train.Feature()),
)

BROKEN = tf.train.Example(
    features={"feature": {"image": {"bytes_list": {"value": [b"pixels"]}}, "label": {"int64_list": {"value": [7, -1]}}}}
).SerializeToString(deterministic=True)


def content(features: Any) -> dict[str, Any]:
    """Return an Example's features as plain lists."""
    return {
        name: (list(f.bytes_list.value), list(f.float_list.value), list(f.int64_list.value))
        for name, f in features.items()
    }


@given(st.dictionaries(names, feature, max_size=5))
def test_features_are_those_that_tensorflow_wrote(features: dict[str, Any]) -> None:
    written = tf.train.Example(features=tf.train.Features(feature=features))
    assert content(parse_example(written.SerializeToString())) == content(written.features.feature)


def agree(data: bytes) -> bool:
    """Check that both parsers say the same of some bytes; return whether they are an Example."""
    try:
        expected = tf.train.Example.FromString(data)
    except DecodeError:
        with pytest.raises(ValueError, match=r"not a tf\.train\.Example"):
            parse_example(data)
        return False
    assert content(parse_example(data)) == content(expected.features.feature)
    return True


def test_of_every_flipped_bit_and_every_prefix_both_parsers_say_the_same() -> None:
    flips = [
        BROKEN[:i] + bytes([BROKEN[i] ^ 1 << bit]) + BROKEN[i + 1 :] for i in range(len(BROKEN)) for bit in range(8)
    ]
    accepted = [agree(data) for data in flips + [BROKEN[:end] for end in range(len(BROKEN))]]
    assert any(accepted)
    assert not all(accepted)


@given(st.binary(max_size=60))
@example(b"")
@example(b"\xff\xd8\xff\xe0\0\x10JFIF")
def test_of_any_bytes_both_parsers_say_the_same(data: bytes) -> None:
    agree(data)


def test_needs_no_tensorflow_and_leaves_its_descriptors_alone() -> None:
    program = (
        "import sys; from pipeline.sources.tf_example import parse_example;"
        f"assert parse_example({BROKEN!r})['image'].bytes_list.value == [b'pixels'];"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
