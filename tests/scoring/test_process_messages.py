"""Messages and frames, over a real pipe."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace
from typing import IO, Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import errors
from pipeline.batches import Code, Failure, ImageColumns, Stage
from pipeline.model.spec import InputSpec, ModelSpec
from pipeline.options import ScoreOptions
from pipeline.output.run import Run
from pipeline.scoring.process_messages import Answer, GoneError, Request, receive, send
from pipeline.units import WorkUnit

Ends = tuple[IO[bytes], IO[bytes]]

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


@st.composite
def images(draw: st.DrawFn) -> ImageColumns:
    keys = draw(st.lists(surrogates, max_size=4))
    n = len(keys)
    labels = np.array(draw(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=n, max_size=n)), np.int32)
    labelled = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), np.bool_)
    return ImageColumns(keys, labels, labelled, draw(st.lists(st.none() | st.text(), min_size=n, max_size=n)))


def pipe() -> Ends:
    reading, writing = os.pipe()
    return os.fdopen(reading, "rb", buffering=0), os.fdopen(writing, "wb", buffering=0)


def over_a_pipe(message: Any, body: list[bytes]) -> tuple[Any, bytes]:
    reading, writing = pipe()
    with reading, writing:
        send(writing, message, body)
        received, whole = receive(reading, type(message))
    return received, bytes(whole)


@given(
    request=st.builds(Request, st.just("pin"), st.none() | runs, st.none() | units, failures=failures)
    | st.builds(Request, st.just("pixels"), st.none() | runs, sizes=st.lists(indexes), failures=failures),
    body=st.lists(st.binary(max_size=50)),
)
@settings(deadline=None)
def test_request_that_is_sent_is_received(request: Request, body: list[bytes]) -> None:
    received, whole = over_a_pipe(request, body)
    assert received.to_json() == request.to_json()
    assert replace(received, sizes=()) == replace(request, sizes=())
    assert list(received.sizes) == list(request.sizes)
    assert whole == b"".join(body)


@given(
    answer=st.builds(
        Answer,
        st.sampled_from(["nothing", "pixels"]),
        st.none() | images(),
        failures,
        st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)),
        st.none() | st.builds(lambda kind, text: kind(text), st.sampled_from(OURS), st.text()),
        st.text(),
    ),
    body=st.lists(st.binary(max_size=50)),
)
@settings(deadline=None)
def test_answer_that_is_sent_is_received(answer: Answer, body: list[bytes]) -> None:
    received, whole = over_a_pipe(answer, body)
    assert received.to_json() == answer.to_json()
    assert (received.body, received.failures, received.seconds, received.bug) == (
        answer.body,
        answer.failures,
        answer.seconds,
        answer.bug,
    )
    assert (type(received.error), str(received.error)) == (type(answer.error), str(answer.error))
    assert (received.images is None) == (answer.images is None)
    if answer.images is not None:
        assert received.images.keys == answer.images.keys
        assert received.images.label_names == answer.images.label_names
        for name in ("labels", "labelled"):
            column, expected = getattr(received.images, name), getattr(answer.images, name)
            assert column.dtype == expected.dtype
            assert np.array_equal(column, expected)
    assert whole == b"".join(body)


@pytest.mark.parametrize(
    ("kind", "content", "text"),
    [
        (Request, {"want": "pixels", "by": 1, "at": 2}, "a Request has no field 'at', 'by': both sides must run the"),
        (Request, {"want": "sounds"}, "the field 'want' of a Request is 'sounds', but it must be one of pixels, pin"),
        (Request, {}, "a Request lacks the field 'want'"),
        (Answer, {"ready": True}, "an Answer has no field 'ready'"),
        (
            Answer,
            {"body": "sounds"},
            "the field 'body' of an Answer is 'sounds', but it must be one of nothing, pixels",
        ),
        (Answer, {"error": ["OSError", "disk"]}, "an Answer has an error of type 'OSError', which is none of ours"),
        (Answer, {"error": ["annotations", "x"]}, "an Answer has an error of type 'annotations'"),
    ],
)
def test_message_of_another_version_is_refused_with_what_it_has(kind: Any, content: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match="^" + text):
        kind.from_json(content)


def test_frame_behind_a_refused_one_can_be_read() -> None:
    reading, writing = pipe()
    with reading, writing:
        send(writing, Request("pin"), [b"body"])
        send(writing, Answer(bug="x"), [b"another"])
        with pytest.raises(ValueError, match="no field 'want'"):
            receive(reading, Answer)
        assert receive(reading, Answer) == (Answer(bug="x"), b"another")


def test_what_excludes_each_other_is_refused() -> None:
    unit = WorkUnit("u1", "images", (), (), (), 0)
    with pytest.raises(ValueError, match="a Request has a unit, 'u1', and sizes of images"):
        Request("pixels", unit=unit, sizes=[1])
    broken = ImageColumns.of(["a"]).failed({0: Failure("read", "NOT_FOUND", "gone")})
    with pytest.raises(ValueError, match="belong in its field 'failures'"):
        Answer(images=broken)


def test_error_of_a_private_type_crosses_as_the_one_it_is_made_of() -> None:
    class _SlowDownError(errors.TransientError):
        pass

    assert Answer(error=_SlowDownError("HTTP 429")).to_json() == {"error": ["TransientError", "HTTP 429"]}


def test_message_says_only_what_is_not_the_default() -> None:
    assert (
        json.dumps(Answer("pixels", seconds={"read": 0.5}).to_json()) == '{"body": "pixels", "seconds": {"read": 0.5}}'
    )
    assert Answer().to_json() == {}


def test_a_body_larger_than_the_pipe_arrives() -> None:
    reading, writing = pipe()
    data = os.urandom(3 << 20)
    with reading, writing:
        sender = threading.Thread(target=send, args=(writing, Answer("pixels"), [data, b"", data]))
        sender.start()
        assert receive(reading, Answer) == (Answer("pixels"), data + data)
        sender.join()


@pytest.mark.parametrize("left", [0, 3, 16, 20, 30])
def test_a_frame_that_breaks_off_is_no_frame(left: int) -> None:
    reading, writing = pipe()
    with reading, writing:
        send(writing, Answer("pixels"), [bytes(50)])
        whole = os.read(reading.fileno(), 1000)
    reading, writing = pipe()
    with reading:
        writing.write(whole[:left])
        writing.close()
        with pytest.raises(GoneError):
            receive(reading, Answer)


def test_nobody_reads() -> None:
    reading, writing = pipe()
    reading.close()
    with writing, pytest.raises(GoneError):
        send(writing, Answer())
    with pytest.raises(GoneError):
        send(writing, Answer())
