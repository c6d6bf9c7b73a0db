"""Decoding in a child: the same pixels, and a row for the image that kills it."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import isolated
from pipeline.batches import EncodedBatch, Failure, ImageColumns
from pipeline.isolated import preprocess_isolated
from pipeline.model_dir import InputSpec
from pipeline.options import MAX_PIXELS
from pipeline.preprocess import preprocess

SPEC = InputSpec(5, 4, "rgb")


def png(level: int, note: bytes = b"", size: tuple[int, int] = (8, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise(size, level).save(buffer, "PNG")
    return buffer.getvalue() + note


def batch(*encoded: bytes) -> EncodedBatch:
    return EncodedBatch(ImageColumns.of([f"{i}.png" for i in range(len(encoded))]), encoded)


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "poisoned"))


def test_rows_are_what_preprocess_gives() -> None:
    images = batch(png(10), b"broken", png(30, size=(700, 900)), b"", png(50, size=(5, 4)))
    images = EncodedBatch(images.images.failed({4: Failure("read", "NOT_FOUND", "gone")}), images.encoded)
    expected, found = preprocess(images, SPEC), preprocess_isolated(images, SPEC, MAX_PIXELS, 60)
    assert np.array_equal(found.pixels, expected.pixels)
    assert found.images.failures == expected.images.failures
    assert sorted(found.images.failures) == [1, 3, 4]


def test_limits_hold_in_the_child_as_well() -> None:
    found = preprocess_isolated(batch(png(10, size=(20, 20)), png(10)), SPEC, 100, 60)
    assert {i: f.code for i, f in found.images.failures.items()} == {0: "RESOURCE_EXHAUSTED"}


@pytest.mark.usefixtures("poisoned")
def test_images_that_kill_or_hold_up_the_child_are_failed_rows_and_the_others_are_decoded() -> None:
    images = batch(png(1), png(2, b"ABORT"), png(3), png(4, b"SLEEP"), png(5, b"ABORT"), png(6))
    found = preprocess_isolated(images, SPEC, MAX_PIXELS, 1.5)
    assert {i: (f.code, f.message) for i, f in found.images.failures.items()} == {
        1: ("INTERNAL", "the decoder died of this image (SIGABRT)"),
        3: ("DEADLINE_EXCEEDED", "not decoded within --image_timeout 1.5 seconds"),
        4: ("INTERNAL", "the decoder died of this image (SIGABRT)"),
    }
    expected = preprocess(batch(png(1)), SPEC)
    assert found.pixels[0].shape == expected.pixels[0].shape
    assert [bool(pixels.any()) for pixels in found.pixels] == [True, False, True, False, False, True]


def test_child_that_is_killed_between_two_images_costs_one_of_them() -> None:
    children = isolated._Children(SPEC, MAX_PIXELS, 60)
    try:
        assert isinstance(children.decode(png(1)), np.ndarray)
        assert children._child is not None
        children._child.kill()
        children._child.wait()
        killed = children.decode(png(2) + bytes(1 << 20))
        assert isinstance(killed, Failure)
        assert (killed.code, "SIGKILL" in killed.message) == ("RESOURCE_EXHAUSTED", True)
        assert isinstance(children.decode(png(3)), np.ndarray)
    finally:
        children.close()


def test_no_child_and_no_open_file_is_left() -> None:
    before = set(os.listdir("/proc/self/fd"))
    preprocess_isolated(batch(png(1), b"broken"), SPEC, MAX_PIXELS, 60)
    assert set(os.listdir("/proc/self/fd")) <= before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_child_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "_MODULE", "pipeline.no_such_module")
    started = time.monotonic()
    with pytest.raises(RuntimeError, match="no_such_module does not start: it ends with 1"):
        preprocess_isolated(batch(png(1)), SPEC, MAX_PIXELS, 60)
    assert time.monotonic() - started < 30
