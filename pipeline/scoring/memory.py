"""How much memory a run may take on this machine, how much a process takes, and how many processes follow from that.

Reads what Linux tells in /proc and /sys; elsewhere it uses what Python tells.
"""

from __future__ import annotations

import os
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

SHARE = 0.5
"""Share of the memory of the machine, or of the container, that a run may take by default."""

_ROLLUP = "/proc/self/smaps_rollup"
_PRIVATE = re.compile(r"^Private_(?:Clean|Dirty|Hugetlb):\s+(\d+) kB", re.MULTILINE)


def private_bytes() -> int:
    """Return the bytes of memory that this process alone has; where they are not told, the most it ever had."""
    try:
        found = _PRIVATE.findall(Path(_ROLLUP).read_text(encoding="ascii"))
    except OSError:
        found = []
    if found:
        return 1024 * sum(map(int, found))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def allowed_bytes(memory_mb: int | None) -> int:
    """Return the bytes of memory that a run may take on this machine.

    Args:
        memory_mb: as the option says; None: half of what the machine, or its container, has.
    """
    if memory_mb is not None:
        return memory_mb << 20
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(SHARE * min([there, *_container_limits()]))


def _container_limits() -> Iterator[int]:
    """Yield the limits of the control groups that this process is in, in bytes (cgroups(7))."""
    root = Path("/sys/fs/cgroup")
    try:
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for row in groups.splitlines():
        _, _, path = row.split(":", 2)
        folder = root / path.lstrip("/")
        for place in (folder, *folder.parents):
            if place.is_relative_to(root):
                yield from _limit(place / "memory.max")
    yield from _limit(root / "memory" / "memory.limit_in_bytes")


def _limit(file: Path) -> Iterator[int]:
    try:
        text = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return
    if text.isdigit():
        yield int(text)


def count_scorers(allowed: int, parent: int, bare: int, loaded: int, most: int) -> int:
    """Return how many local processes load the model: as many as fit, at least one, at most `most`.

    The others of `most` only read and decode.

    Args:
        allowed: bytes that the run may take.
        parent: bytes that the process of the run has.
        bare: bytes that a local process has without a model.
        loaded: bytes that one has with the model.
        most: number of local processes.

    >>> count_scorers(1000, parent=200, bare=50, loaded=150, most=4)
    4
    >>> count_scorers(1000, parent=200, bare=50, loaded=400, most=4), count_scorers(300, 200, 50, 400, most=4)
    (1, 1)
    """
    left = allowed - parent - most * bare
    return max(1, min(most, left // max(1, loaded - bare)))
