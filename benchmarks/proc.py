"""What /proc says of processes: who descends from whom, their CPU seconds, their memory. Linux only."""

from __future__ import annotations

import os
from dataclasses import dataclass

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Memory:
    """Memory of some processes at one time.

    Attributes:
        total: bytes.
        exact: whether a page that n processes share counts as an n-th in each. If False, the kernel did not tell that
            of at least one process, and its resident pages count in full: the true value is at most `total`.
    """

    total: int
    exact: bool


def descendants(process: int) -> list[int]:
    """Return the ids of all processes below a process."""
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


def cpu_seconds(process: int) -> tuple[float, float] | None:
    """Return the user and system seconds of a process itself, without its children; None if it is gone.

    A process that has ended and was not waited for yet still has them.
    """
    words = _stat(process)
    return (int(words[11]) / _TICKS, int(words[12]) / _TICKS) if words else None


def resident(process: int) -> int:
    """Return the bytes of a process that are in memory, shared pages in full; 0 if it is gone."""
    words = _read(f"/proc/{process}/statm").split()
    return int(words[1]) * _PAGE if words else 0


def memory(processes: set[int]) -> Memory:
    """Return the proportional set sizes of processes, summed; see `Memory`."""
    total, exact = 0, True
    for process in processes:
        size = proportional(process)
        if size is None:
            size = resident(process)
            exact = exact and size == 0  # one that has ended has no memory and no smaps_rollup
        total += size
    return Memory(total, exact)


def proportional(process: int) -> int | None:
    """Return the proportional set size (Pss) of a process in bytes; None if the kernel does not tell."""
    for line in _read(f"/proc/{process}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return None


def busy_seconds() -> float:
    """Return the CPU seconds that the whole machine has been busy since it started."""
    user, nice, system, _, _, irq, softirq, steal = map(int, _read("/proc/stat").split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICKS


def _stat(process: int) -> list[str]:
    """Return the words of /proc/N/stat behind the name, the first of them the state; none if it is gone."""
    return _read(f"/proc/{process}/stat").rpartition(") ")[2].split()


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
