"""Frames over a real pipe."""

from __future__ import annotations

import os
import threading
from typing import IO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.scoring.process_messages import GoneError, receive, send

Ends = tuple[IO[bytes], IO[bytes]]


def pipe() -> Ends:
    reading, writing = os.pipe()
    return os.fdopen(reading, "rb", buffering=0), os.fdopen(writing, "wb", buffering=0)


@given(
    content=st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.booleans())),
    body=st.lists(st.binary(max_size=50)),
)
@settings(deadline=None)
def test_what_is_sent_is_received(content: dict[str, object], body: list[bytes]) -> None:
    reading, writing = pipe()
    with reading, writing:
        send(writing, content, body)
        assert receive(reading) == (content, b"".join(body))


def test_a_body_larger_than_the_pipe_arrives() -> None:
    reading, writing = pipe()
    data = os.urandom(3 << 20)
    with reading, writing:
        sender = threading.Thread(target=send, args=(writing, {"n": 1}, [data, b"", data]))
        sender.start()
        assert receive(reading) == ({"n": 1}, data + data)
        sender.join()


def test_surrogates_survive() -> None:
    reading, writing = pipe()
    with reading, writing:
        send(writing, {"name": "\udcff"})
        assert receive(reading)[0] == {"name": "\udcff"}


@pytest.mark.parametrize("left", [0, 3, 16, 20, 30])
def test_a_frame_that_breaks_off_is_no_frame(left: int) -> None:
    reading, writing = pipe()
    with reading, writing:
        send(writing, {"name": "x"}, [bytes(50)])
        whole = os.read(reading.fileno(), 1000)
    reading, writing = pipe()
    with reading:
        writing.write(whole[:left])
        writing.close()
        with pytest.raises(GoneError):
            receive(reading)


def test_nobody_reads() -> None:
    reading, writing = pipe()
    reading.close()
    with writing, pytest.raises(GoneError):
        send(writing, {})
    with pytest.raises(GoneError):
        send(writing, {})
