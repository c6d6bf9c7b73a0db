"""An image that takes for ever, or too long, or long enough to be named."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from pipeline import watched
from pipeline.batches import EncodedBatch, ImageColumns
from pipeline.model_dir import InputSpec
from pipeline.options import MAX_PIXELS
from pipeline.preprocess import preprocess
from pipeline.watched import preprocess_watched

SPEC = InputSpec(4, 4, "grayscale")


def png(level: int, note: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (4, 4), level).save(buffer, "PNG")
    return buffer.getvalue() + note


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Makes Pillow wait in images that end with SLOW, until the test is over."""
    over = threading.Event()
    load = PngImageFile.load

    def waiting(self: PngImageFile) -> object:
        if self.fp is not None and self.fp.getvalue().endswith(b"SLOW"):
            over.wait()
        return load(self)

    monkeypatch.setattr(PngImageFile, "load", waiting)
    yield over
    over.set()


def batch(*encoded: bytes) -> EncodedBatch:
    return EncodedBatch(ImageColumns.of([f"{i}.png" for i in range(len(encoded))]), encoded)


def test_what_is_in_time_is_what_preprocess_gives() -> None:
    images = batch(png(10), b"broken", png(30))
    expected, found = preprocess(images, SPEC), preprocess_watched(images, SPEC, MAX_PIXELS, 60)
    assert np.array_equal(found.pixels, expected.pixels)
    assert found.images.failures == expected.images.failures


def test_images_that_never_end_are_failed_rows_and_the_others_are_decoded(slow: threading.Event) -> None:
    images = batch(png(10), png(20, b"SLOW"), png(30), png(40, b"SLOW"), png(50))
    found = preprocess_watched(images, SPEC, MAX_PIXELS, 0.2)
    assert {i: (f.stage, f.code) for i, f in found.images.failures.items()} == {
        1: ("preprocess", "DEADLINE_EXCEEDED"),
        3: ("preprocess", "DEADLINE_EXCEEDED"),
    }
    assert "--image_timeout 0.2 seconds" in found.images.failures[1].message
    assert found.pixels[:, 0, 0, 0].tolist() == [10, 0, 30, 0, 50]


def test_a_thread_that_was_given_up_ends_when_its_image_does(slow: threading.Event) -> None:
    before = set(threading.enumerate())
    with ThreadPoolExecutor(1) as pool:  # a thread of its own has decoders of its own
        pool.submit(preprocess_watched, batch(png(10, b"SLOW")), SPEC, MAX_PIXELS, 0.1).result()
    held_up, _ = (thread for thread in threading.enumerate() if thread not in before and thread.name == "decoder")
    slow.set()
    held_up.join(10)
    assert not held_up.is_alive()


def test_a_slow_image_is_named_once(
    slow: threading.Event, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watched, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(watched, "SLOW_SECONDS", 0.1)
    threading.Timer(0.5, slow.set).start()
    with caplog.at_level(logging.WARNING):
        found = preprocess_watched(batch(png(10), png(20, b"SLOW")), SPEC, MAX_PIXELS, 60)
    assert not found.images.failures
    assert caplog.messages == ["decoding 1.png takes more than 0.1 seconds"]


def test_an_error_that_is_no_images_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "preprocess", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        preprocess_watched(batch(png(10)), SPEC, MAX_PIXELS, 60)
