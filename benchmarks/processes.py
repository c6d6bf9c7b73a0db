"""One command, measured as a whole process: seconds, CPU seconds, and the memory of its process tree.

Linux only. Must not know what the command does.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import proc

SAMPLE_SECONDS = 0.1
"""Seconds between two looks at the process tree, at least."""

SHARE = 20
"""A look that takes t seconds is followed by a pause of at least SHARE * t: looking costs 5 % of a core at most.

To add up the pages of a process with TensorFlow takes the kernel 13 ms, of one with LiteRT less than 1 ms."""

LAST_LINES = 15
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER


class BenchmarkError(Exception):
    """A benchmark cannot be run, or would compare different work."""


@dataclass(frozen=True)
class Run:
    """One run of a command.

    Attributes:
        wall: seconds from start to exit.
        user: CPU seconds in user mode, with all children.
        system: CPU seconds in the kernel, with all children.
        peak_bytes: most memory of the process tree at one time: its proportional set sizes (Pss), summed.
        others: CPU seconds that everything else on the machine took meanwhile; much of it spoils the figures.
        parent: CPU seconds of the command's own process, without its children; None in results that were stored
            before it was measured.
        exact: whether `peak_bytes` counts pages that processes share once. If False, it is an upper bound.

    >>> Run(2.0, 3.0, 0.5, 1 << 20, 0.1).cpu
    3.5
    """

    wall: float
    user: float
    system: float
    peak_bytes: int
    others: float
    parent: float | None = None
    exact: bool = True

    @property
    def cpu(self) -> float:
        """CPU seconds in all."""
        return self.user + self.system


def run(command: Sequence[str], log: Path, folder: Path, environment: Mapping[str, str] | None = None) -> Run:
    """Run a command to its end and return what it took; end what it left running.

    Args:
        command: its words.
        log: file for everything that it prints.
        folder: where it runs.
        environment: variables beside those of this process.

    Raises:
        BenchmarkError: its exit code is not 0; with the last lines that it printed.
    """
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)  # what outlives its parent becomes our child, not init's
    watch = _Watch(frozenset(proc.descendants(os.getpid())))
    busy = proc.busy_seconds()
    with open(log, "wb") as printed:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdout=printed,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, **(environment or {})},
        )
        watch.start()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        wall = time.perf_counter() - started
    parent = sum(proc.cpu_seconds(process.pid) or ())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    watch.stop()
    user, system = _ended(watch.before, usage.ru_utime, usage.ru_stime)
    seen_user, seen_system = watch.cpu()
    if seen_user + seen_system > user + system:  # a child that nobody waited for is in no parent's account
        user, system = seen_user, seen_system
    others = max(proc.busy_seconds() - busy - user - system, 0.0)
    if process.returncode:
        raise BenchmarkError(f"exit code {process.returncode} of {' '.join(command)}\n{_tail(log)}")
    return Run(wall, user, system, watch.peak_bytes, others, parent, watch.exact)


@dataclass
class _Watch:
    """A thread that looks at the process tree now and then.

    Attributes:
        before: processes of ours that were there already.
        peak_bytes: most memory so far.
        exact: whether that counts shared pages once.
    """

    before: frozenset[int]
    peak_bytes: int = 0
    exact: bool = True
    _times: dict[int, tuple[float, float]] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def cpu(self) -> tuple[float, float]:
        """Return the user and system seconds of all processes, as last seen."""
        return sum(user for user, _ in self._times.values()), sum(system for _, system in self._times.values())

    def _watch(self) -> None:
        took = 0.0
        while not self._stop.wait(max(SAMPLE_SECONDS, SHARE * took)):
            started = time.thread_time()
            self._look()
            took = time.thread_time() - started

    def _look(self) -> None:
        tree = set(proc.descendants(os.getpid())) - self.before
        for process in tree:
            seconds = proc.cpu_seconds(process)
            if seconds is not None:
                self._times[process] = seconds
        if sum(map(proc.resident, tree)) <= self.peak_bytes:  # never less than the proportional sizes, and cheaper
            return
        now = proc.memory(tree)
        if now.total > self.peak_bytes:
            self.peak_bytes, self.exact = now.total, now.exact


def _ended(before: frozenset[int], user: float, system: float) -> tuple[float, float]:
    """End what a command left running; return its CPU seconds with theirs."""
    for left in set(proc.descendants(os.getpid())) - before:
        try:
            os.kill(left, signal.SIGKILL)
            _, _, usage = os.wait4(left, 0)
        except (ProcessLookupError, ChildProcessError):  # gone, or to be waited for by a parent that is ended as well
            continue
        user, system = user + usage.ru_utime, system + usage.ru_stime
    return user, system


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:])
