"""One command, measured as a whole process: seconds, CPU seconds, peak memory, all with its children.

Reads /proc, so this is Linux only. Must not know what the command does.
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

SAMPLE_SECONDS = 0.2
"""Between two looks at the process tree."""

GROWTH = 1.02
"""Shared pages are counted fairly, which costs time, only where the plain sum has grown by this factor."""

LAST_LINES = 15
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class BenchmarkError(Exception):
    """A benchmark cannot be run, or would compare different work."""


@dataclass(frozen=True)
class Run:
    """One run of a command.

    Attributes:
        wall: seconds from start to exit.
        user: CPU seconds in user mode, with all children.
        system: CPU seconds in the kernel, with all children.
        peak_bytes: most memory of the process tree at one time; pages that processes share count once.
        others: CPU seconds that everything else on the machine took meanwhile; much of it spoils the figures.

    >>> Run(2.0, 3.0, 0.5, 1 << 20, 0.1).cpu
    3.5
    """

    wall: float
    user: float
    system: float
    peak_bytes: int
    others: float

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
    watch = _Watch(frozenset(_descendants(os.getpid())))
    busy = _busy_seconds()
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
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    watch.stop()
    user, system = _ended(watch.before, usage.ru_utime, usage.ru_stime)
    seen_user, seen_system = watch.cpu()
    if seen_user + seen_system > user + system:  # a child that nobody waited for is in no parent's account
        user, system = seen_user, seen_system
    others = max(_busy_seconds() - busy - user - system, 0.0)
    if process.returncode:
        raise BenchmarkError(f"exit code {process.returncode} of {' '.join(command)}\n{_tail(log)}")
    return Run(wall, user, system, watch.peak_bytes, others)


@dataclass
class _Watch:
    """A thread that looks at the process tree now and then.

    Attributes:
        before: processes of ours that were there already.
        peak_bytes: most memory so far.
    """

    before: frozenset[int]
    peak_bytes: int = 0
    _largest_sum: int = 0
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
        while not self._stop.wait(SAMPLE_SECONDS):
            tree = set(_descendants(os.getpid())) - self.before
            for process in tree:
                words = _stat(process)
                if words:
                    self._times[process] = int(words[11]) / _TICKS, int(words[12]) / _TICKS
            plain = sum(map(_resident, tree))
            if plain > self._largest_sum * GROWTH:
                self._largest_sum = plain
                self.peak_bytes = max(self.peak_bytes, sum(map(_proportional, tree)))


def _descendants(process: int) -> list[int]:
    """Return the processes below one."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        words = _stat(int(name)) if name.isdigit() else []
        if words:
            parents.setdefault(int(words[1]), []).append(int(name))
    found, waiting = [], [process]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def _stat(process: int) -> list[str]:
    """Return the words of /proc/N/stat behind the name, the first of them the state; none if it is gone."""
    return _read(f"/proc/{process}/stat").rpartition(") ")[2].split()


def _resident(process: int) -> int:
    words = _read(f"/proc/{process}/statm").split()
    return int(words[1]) * _PAGE if words else 0


def _proportional(process: int) -> int:
    """Return the bytes of a process, a page that n processes share counted as an n-th in each."""
    for line in _read(f"/proc/{process}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""


def _busy_seconds() -> float:
    """Return the CPU seconds that the whole machine has been busy since it started."""
    user, nice, system, _, _, irq, softirq, steal = map(int, _read("/proc/stat").split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICKS


def _ended(before: frozenset[int], user: float, system: float) -> tuple[float, float]:
    """End what a command left running; return its CPU seconds with theirs."""
    for left in set(_descendants(os.getpid())) - before:
        try:
            os.kill(left, signal.SIGKILL)
            _, _, usage = os.wait4(left, 0)
        except (ProcessLookupError, ChildProcessError):  # gone, or to be waited for by a parent that is ended as well
            continue
        user, system = user + usage.ru_utime, system + usage.ru_stime
    return user, system


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:])
