"""This module starts the program of a local process, also before anybody has anything to ask of it.

It imports little, so that a command can call it first: the program's imports take a quarter of a second, and so do the
command's own. Must not know what a process is asked.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

from pipeline.machine import import_path

PROGRAM = "pipeline.scoring.process_main"
"""Module that a local process runs."""

PIPE_BYTES = 1 << 20
"""Bytes that the pipe to or from a process holds, so that a piece of small images passes without waiting."""

ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",  # more threads: nothing here gains
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # Arrow's own keeps 10 MB for itself
}
"""Environment variables of a local process."""

Stage = Literal["idle", "load", "read", "decode", "predict", "encode"]
"""What a process may be at."""

STAGES: tuple[Stage, ...] = get_args(Stage)
"""All of these; the cursor holds the number of one."""

CURSOR = struct.Struct("<qqq")
"""The layout of the memory that both sides share: number of the stage, first image, and the one after the last."""


class Started(NamedTuple):
    """A process that was started.

    Attributes:
        process: its requests and answers pass through its standard input and output.
        cursor: memory that both sides share.
    """

    process: subprocess.Popen[bytes]
    cursor: mmap.mmap


_early: list[Started] = []
"""Processes that were started, and that nobody has taken."""


@contextlib.contextmanager
def early() -> Iterator[None]:
    """Start a process that the next `take` returns; in the end, it is ended unless somebody has taken it.

    If it does not start, this is passed over: `take` meets the same.
    """
    with contextlib.suppress(OSError):
        _early.append(_start(None))
    try:
        yield
    finally:
        for started in _early:
            started.process.kill()
            started.process.communicate()
        _early.clear()


def take(slot: int | None = None) -> Started:
    """Return a process that was started early, or start one; it imports its modules while others work.

    Args:
        slot: descriptor of a file that the process keeps open as long as it lives, and that is closed here.
    """
    return _early.pop() if _early and slot is None else _start(slot)


def _start(slot: int | None) -> Started:
    with tempfile.TemporaryFile() as file:
        file.write(bytes(CURSOR.size))
        file.flush()
        cursor = mmap.mmap(file.fileno(), CURSOR.size)
        process = subprocess.Popen(
            [sys.executable, "-m", PROGRAM, str(file.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            pipesize=PIPE_BYTES,
            pass_fds=[file.fileno(), *([] if slot is None else [slot])],
            env={**os.environ, **ENVIRONMENT, "PYTHONPATH": import_path()},
            start_new_session=True,  # Ctrl-C is for us; it would look as if an image had killed it
        )
    if slot is not None:
        os.close(slot)
    return Started(process, cursor)
