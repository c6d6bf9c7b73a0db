"""Messages, over a real pipe."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import errors
from pipeline.batches import Code, Failure, ImageColumns, Stage
from pipeline.metrics.figures import Candidate
from pipeline.model.input_rule import InputSpec
from pipeline.model.spec import ModelSpec
from pipeline.options import ScoreOptions
from pipeline.output.run import Run
from pipeline.scoring.process_frames import receive, send
from pipeline.scoring.process_messages import Answer, Loaded, Request
from pipeline.units import WorkUnit

OURS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.NightscoreError)]

indexes = st.integers(0, 1 << 40)
failures = st.dictionaries(
    indexes, st.builds(Failure, st.sampled_from(get_args(Stage)), st.sampled_from(get_args(Code)), st.text())
)
surrogates = st.text(st.characters())  # names of files that are not UTF-8
runs = st.builds(
    Run.of,
    st.text(),
    st.builds(
        ScoreOptions,
        input=st.just(("/a", "/caf\udce9/*.png")),
        model=st.just("/m"),
        output=st.just("/o"),
        max_pixels=st.integers(1, 1 << 40),
    ),
    st.builds(
        ModelSpec, st.builds(InputSpec, st.integers(1, 99), st.just(2), st.just("rgb")), st.builds(lambda: ["a", "b"])
    ),
)
units = st.builds(
    lambda locations, numbers, index: WorkUnit(
        "id", "images", tuple(locations), (1,) * len(locations), (2,) * len(locations), numbers, index=index
    ),
    st.lists(surrogates, max_size=3),
    st.none() | indexes,
    st.dictionaries(st.text(), st.lists(st.none() | st.integers() | st.text())),
)


scores = st.floats(0, 1, width=32)
examples = st.builds(
    Candidate, key=surrogates, label=indexes, label_score=st.none() | scores, predicted=indexes, score=scores
)
ranges = st.tuples(indexes, indexes)


@st.composite
def images(draw: st.DrawFn) -> ImageColumns:
    keys = draw(st.lists(surrogates, max_size=4))
    n = len(keys)
    labels = np.array(draw(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=n, max_size=n)), np.int32)
    labelled = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), np.bool_)
    names = draw(st.lists(st.none() | st.text(), min_size=n, max_size=n))
    lists = draw(st.none() | st.lists(st.none() | st.lists(st.text(), max_size=2), min_size=n, max_size=n))
    values = draw(st.none() | st.lists(st.floats(), min_size=n, max_size=n))
    numbers = None if values is None else np.array(values, np.float64)
    more = draw(st.dictionaries(st.text(), st.lists(st.none() | st.text(), min_size=n, max_size=n), max_size=2))
    return ImageColumns(keys, labels, labelled, names, label_lists=lists, label_values=numbers, more=more)


def over_a_pipe(message: Any, body: list[bytes]) -> tuple[Any, bytes]:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as there, os.fdopen(writing, "wb", buffering=0) as here:
        send(here, message, body)
        received, whole = receive(there, type(message))
    return received, bytes(whole)


def same_images(actual: ImageColumns | None, expected: ImageColumns | None) -> bool:
    if actual is None or expected is None:
        return actual is expected
    assert (actual.label_values is None) == (expected.label_values is None)
    if actual.label_values is not None:
        np.testing.assert_array_equal(actual.label_values, expected.label_values)
    columns = [
        (one.labels.dtype, one.labels.tolist(), one.labelled.tolist(), one.label_lists) for one in (actual, expected)
    ]
    assert actual.more == expected.more
    return (actual.keys, actual.label_names, columns[0]) == (expected.keys, expected.label_names, columns[1])


@given(
    request=st.builds(Request, st.just("pin"), st.none() | runs, unit=st.none() | units, failures=failures)
    | st.builds(
        Request,
        st.sampled_from(["pixels", "rows", "measure"]),
        st.none() | runs,
        body=st.sampled_from(["encoded", "pixels"]),
        sizes=st.lists(indexes),
        images=st.none() | images(),
        failures=failures,
        examples=st.lists(examples, max_size=3),
        alone=st.lists(ranges, max_size=3),
        seconds=st.floats(0, 100),
    )
    | st.builds(
        Request, st.just("part"), unit=units, body=st.just("part"), sizes=st.lists(indexes), replaced=st.lists(indexes)
    ),
    body=st.lists(st.binary(max_size=50)),
)
def test_request_that_is_sent_is_received(request: Request, body: list[bytes]) -> None:
    received, whole = over_a_pipe(request, body)
    assert json.dumps(received.to_json()) == json.dumps(request.to_json())
    assert same_images(received.images, request.images)
    for name in ("sizes", "replaced", "examples", "alone"):
        assert list(getattr(received, name)) == list(getattr(request, name))
    plain = {"sizes": (), "replaced": (), "examples": (), "alone": (), "images": None}
    assert replace(received, **plain) == replace(request, **plain)
    assert whole == b"".join(body)


@pytest.mark.heavy
@given(
    answer=st.builds(
        Answer,
        st.sampled_from(["nothing", "pixels", "rows", "part"]),
        sizes=st.lists(indexes),
        images=st.none() | images(),
        count=indexes,
        failures=failures,
        seconds=st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)),
        pictured=st.lists(indexes),
        examples=st.lists(examples, max_size=3),
        rescored=indexes,
        loaded=st.none() | st.builds(Loaded),
        error=st.none() | st.builds(lambda kind, text: kind(text), st.sampled_from(OURS), st.text()),
        bug=st.text(),
    ),
    body=st.lists(st.binary(max_size=50)),
)
def test_answer_that_is_sent_is_received(answer: Answer, body: list[bytes]) -> None:
    received, whole = over_a_pipe(answer, body)
    assert json.dumps(received.to_json()) == json.dumps(answer.to_json())  # as text: NaN is not equal to itself
    assert (type(received.error), str(received.error)) == (type(answer.error), str(answer.error))
    assert same_images(received.images, answer.images)
    for name in ("sizes", "pictured", "examples"):
        assert list(getattr(received, name)) == list(getattr(answer, name))
    plain = {"sizes": (), "pictured": (), "examples": (), "images": None, "error": None}
    assert replace(received, **plain) == replace(answer, **plain)
    assert whole == b"".join(body)


@pytest.mark.parametrize(
    ("kind", "content", "text"),
    [
        (Request, {"want": "pixels", "by": 1, "at": 2}, "a Request has no field 'at', 'by': both sides must run the"),
        (
            Request,
            {"want": "sounds"},
            "the field 'want' of a Request is 'sounds', but it must be one of pin, load, look, pixels",
        ),
        (Request, {}, "a Request lacks the field 'want'"),
        (Answer, {"ready": True}, "an Answer has no field 'ready'"),
        (
            Answer,
            {"body": "sounds"},
            "the field 'body' of an Answer is 'sounds', but it must be one of nothing, encoded, pixels",
        ),
        (Answer, {"error": ["OSError", "disk"]}, "an Answer has an error of type 'OSError', which is none of ours"),
        (Answer, {"error": ["annotations", "x"]}, "an Answer has an error of type 'annotations'"),
    ],
)
def test_message_of_another_version_is_refused_with_what_it_has(kind: Any, content: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match="^" + text):
        kind.from_json(content)


def test_what_excludes_each_other_is_refused() -> None:
    unit = WorkUnit("u1", "images", (), (), (), 0)
    with pytest.raises(ValueError, match="a Request has a unit, 'u1', and a body with images: give only one"):
        Request("pixels", unit=unit, body="encoded", sizes=[1])
    broken = ImageColumns.of(["a"]).failed({0: Failure("read", "NOT_FOUND", "gone")})
    with pytest.raises(ValueError, match="belong in its field 'failures'"):
        Answer(images=broken)
    with pytest.raises(ValueError, match="the images of a Request have failures"):
        Request("rows", body="pixels", images=broken)


def test_error_of_a_private_type_crosses_as_the_one_it_is_made_of() -> None:
    class _SlowDownError(errors.TransientError):
        pass

    assert Answer(error=_SlowDownError("HTTP 429")).to_json() == {"error": ["TransientError", "HTTP 429"]}


def test_message_says_only_what_is_not_the_default() -> None:
    assert (
        json.dumps(Answer("pixels", seconds={"read": 0.5}).to_json()) == '{"body": "pixels", "seconds": {"read": 0.5}}'
    )
    assert Answer().to_json() == {}
