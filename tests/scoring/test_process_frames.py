"""Frames, over a real pipe."""

from __future__ import annotations

import os
import threading
from typing import IO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scoring.process_frames import GoneError, receive, send, split
from pipeline.scoring.process_messages import Answer, Request


def pipe() -> tuple[IO[bytes], IO[bytes]]:
    """Return the two ends of a pipe: for reading, for writing."""
    reading, writing = os.pipe()
    return os.fdopen(reading, "rb", buffering=0), os.fdopen(writing, "wb", buffering=0)


def test_frame_behind_a_refused_one_can_be_read() -> None:
    reading, writing = pipe()
    with reading, writing:
        send(writing, Request("pin"), [b"body"])
        send(writing, Answer(bug="x"), [b"another"])
        with pytest.raises(ValueError, match="no field 'want'"):
            receive(reading, Answer)
        assert receive(reading, Answer) == (Answer(bug="x"), b"another")


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


@given(st.lists(st.binary(max_size=50)))
def test_body_is_split_where_its_pieces_were_joined(pieces: list[bytes]) -> None:
    whole = memoryview(b"".join(pieces))
    assert [bytes(piece) for piece in split(whole, [len(piece) for piece in pieces])] == pieces


@given(st.lists(st.binary(max_size=50)))
def test_frames_follow_each_other_whatever_their_bodies_hold(pieces: list[bytes]) -> None:
    reading, writing = pipe()
    with reading, writing:
        for piece in pieces:
            send(writing, Answer("rows", [len(piece)]), [piece])
            assert receive(reading, Answer) == (Answer("rows", [len(piece)]), piece)


def test_body_of_an_array_is_its_bytes() -> None:
    reading, writing = pipe()
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4, 1)
    none = np.zeros((0, 3, 4, 1), np.uint8)
    with reading, writing:
        for array in (pixels, none):
            send(writing, Answer("pixels"), [array.data])
            assert receive(reading, Answer)[1] == array.tobytes()
