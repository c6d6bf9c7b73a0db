"""Epochs of training batches, ours beside a tf.data pipeline's: both are ready before the first is measured."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from benchmarks import proc
from benchmarks.commands import PEERS, ROOT
from benchmarks.comparison import Comparison, in_turn
from benchmarks.machine import machine
from benchmarks.processes import BenchmarkError, Run
from benchmarks.setting import Archive, Setting

SIDES = {"png": 28, "jpeg": 224}
"""Pixels of each side of the batches, by kind of file."""

SHUFFLE_MB = 64
"""Megabytes of pixels in the buffer that images are drawn from, on both sides."""

EPOCH_PEERS = {"tfdata-epochs": "", "tfdata-epochs-accurate": "INTEGER_ACCURATE"}
"""Peer -> how it decodes JPEG files; ours are decoded accurately."""


class Server:
    """A program that goes through an epoch when it is asked to."""

    def __init__(self, words: Sequence[str], images: int) -> None:
        """Start a program, and wait until it is ready.

        Args:
            words: its command line.
            images: that an epoch has to have.
        """
        self._images = images
        self._process = subprocess.Popen(
            words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._answer()

    def epoch(self) -> Run:
        """Go through an epoch; return what it took.

        Raises:
            BenchmarkError: it did not have all images.
        """
        assert self._process.stdin is not None
        busy, before, started = proc.busy_seconds(), self._cpu(), time.perf_counter()
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer = self._answer()
        wall = time.perf_counter() - started
        user, system = (after - first for after, first in zip(self._cpu(), before, strict=True))
        if answer != str(self._images):
            raise BenchmarkError(f"an epoch has {answer or 'no'} images, expected {self._images}")
        memory = proc.memory(self._tree())
        others = max(proc.busy_seconds() - busy - user - system, 0.0)
        return Run(wall, user, system, memory.total, others, None, memory.exact)

    def close(self) -> None:
        """End the program."""
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _tree(self) -> set[int]:
        return {self._process.pid, *proc.descendants(self._process.pid)}

    def _cpu(self) -> tuple[float, float]:
        """Return the user and system seconds of the program and its processes."""
        found = [seconds for process in self._tree() if (seconds := proc.cpu_seconds(process)) is not None]
        return sum(user for user, _ in found), sum(system for _, system in found)


def compare_epochs(workload: str, archive: Archive, peer: str, setting: Setting) -> Iterator[Comparison]:
    """Measure epochs of both sides in turn, after one of each that does not count.

    Raises:
        BenchmarkError: an epoch did not have all images.
    """
    side = str(SIDES[archive.kind])
    shared = ["--input", archive.input, "--side", side, "--shuffle_mb", str(SHUFFLE_MB)]
    color = "grayscale" if archive.kind == "png" else "rgb"
    us = [sys.executable, "-m", "benchmarks.our_epochs", *shared, "--color_mode", color]
    them = [sys.executable, str(PEERS / "tfdata_epochs.py"), *shared, "--kind", archive.kind]
    them += ["--dct", EPOCH_PEERS[peer]]
    with (
        contextlib.closing(Server(us, archive.images)) as ours,
        contextlib.closing(Server(them, archive.images)) as other,
    ):
        ours.epoch()
        other.epoch()
        first, second = in_turn(ours.epoch, other.epoch, setting.pairs)
    facts = {"commands": {"ours": shlex.join(us), peer: shlex.join(them)}}
    yield Comparison(workload, peer, archive.images, first, second, facts, machine())
