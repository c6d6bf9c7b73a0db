"""Preprocessing in a child process, image by image: the image that kills its decoder becomes a row.

For what took two processes with it. The child speaks through its standard streams, in frames of a length (8 bytes,
big-endian) and so many bytes: no socket, no pickle. It gets a task, says that it is ready, and answers each image
with a frame of JSON and one of pixels. An alarm of its own ends it where an image takes too long.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
from dataclasses import asdict
from typing import IO

import numpy as np
import numpy.typing as npt

from pipeline.batches import EncodedBatch, Failure, ImageColumns, PixelBatch
from pipeline.model_dir import InputSpec
from pipeline.preprocess import preprocess

_LENGTH = struct.Struct(">Q")
_MODULE = "pipeline.isolated"


def preprocess_isolated(batch: EncodedBatch, spec: InputSpec, max_pixels: int, timeout: float) -> PixelBatch:
    """Do what `preprocess` does; an image whose decoder dies, or takes longer than `timeout` seconds, fails."""
    pixels = np.zeros((len(batch.encoded), *spec.shape), np.uint8)
    failures: dict[int, Failure] = {}
    with contextlib.closing(_Children(spec, max_pixels, timeout)) as children:
        for i, data in enumerate(batch.encoded):
            if i in batch.images.failures:
                continue
            result = children.decode(data)
            if isinstance(result, Failure):
                failures[i] = result
            else:
                pixels[i] = result
    return PixelBatch(batch.images.failed(failures), pixels)


class _GoneError(Exception):
    """The other side has closed its stream."""


class _Children:
    """A child that decodes; the next one, where it died."""

    def __init__(self, spec: InputSpec, max_pixels: int, timeout: float) -> None:
        self._shape, self._timeout = spec.shape, timeout
        self._task = json.dumps({"spec": asdict(spec), "max_pixels": max_pixels, "timeout": timeout})
        self._child: subprocess.Popen[bytes] | None = None

    def decode(self, data: bytes) -> npt.NDArray[np.uint8] | Failure:
        """Return an image's pixels, or why there are none."""
        child = self._child or self._start()
        try:
            _send(child.stdin, data)
            answer, pixels = json.loads(_receive(child.stdout)), _receive(child.stdout)
        except (_GoneError, BrokenPipeError):
            return self._ending(child.wait())
        if answer is not None:
            return Failure("preprocess", answer["code"], answer["message"])
        return np.frombuffer(pixels, np.uint8).reshape(self._shape)

    def close(self) -> None:
        """End the child, if there is one."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            with contextlib.suppress(BrokenPipeError), child:  # what it did not read is still in our buffer
                pass

    def _start(self) -> subprocess.Popen[bytes]:
        paths = os.pathsep.join(os.path.abspath(path) for path in sys.path)
        self._child = child = subprocess.Popen(
            [sys.executable, "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,  # Ctrl-C is for us; it would look as if an image had killed it
        )
        try:
            _send(child.stdin, self._task.encode("ascii"))
            _receive(child.stdout)
        except (_GoneError, BrokenPipeError) as error:
            raise RuntimeError(f"{sys.executable} -m {_MODULE} does not start: it ends with {child.wait()}") from error
        return child

    def _ending(self, code: int) -> Failure:
        self.close()
        if code == -signal.SIGALRM:
            text = f"not decoded within --image_timeout {self._timeout:g} seconds"
            return Failure("preprocess", "DEADLINE_EXCEEDED", text)
        if code == -signal.SIGKILL:
            return Failure(
                "preprocess", "RESOURCE_EXHAUSTED", "the decoder was killed, as for want of memory (SIGKILL)"
            )
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return Failure("preprocess", "INTERNAL", f"the decoder died of this image ({how})")


def _send(stream: IO[bytes] | None, frame: bytes) -> None:
    assert stream is not None
    stream.write(_LENGTH.pack(len(frame)))
    stream.write(frame)
    stream.flush()


def _receive(stream: IO[bytes] | None) -> bytes:
    """Return the next frame.

    Raises:
        _GoneError: there is none.
    """
    assert stream is not None
    head = stream.read(_LENGTH.size)
    length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 1
    frame = stream.read(length)
    if len(frame) < length:
        raise _GoneError
    return frame


def _serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Decode what comes until nothing more comes."""
    task = json.loads(_receive(requests))
    spec = InputSpec(**task["spec"])
    _send(answers, b"ready")
    while True:
        data = _receive(requests)
        signal.setitimer(signal.ITIMER_REAL, task["timeout"])
        batch = preprocess(EncodedBatch(ImageColumns.of(["image"]), [data]), spec, task["max_pixels"])
        signal.setitimer(signal.ITIMER_REAL, 0)
        failure = batch.images.failures.get(0)
        _send(answers, json.dumps(failure and {"code": failure.code, "message": failure.message}).encode("ascii"))
        _send(answers, batch.pixels.tobytes())


def _main() -> None:
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
        score.write("1000")  # where memory runs out, let it be this process that goes
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    with contextlib.suppress(_GoneError, BrokenPipeError):
        _serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    _main()
