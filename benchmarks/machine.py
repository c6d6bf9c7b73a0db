"""What the figures were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

_VERSIONED = ("tensorflow", "keras", "apache-beam", "numpy", "pillow", "pyarrow", "simplejpeg", "ai-edge-litert")
_FLAGS = ("avx", "amx", "fma", "asimd", "sve")
"""First letters of the CPU flags by which speed differs."""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def machine() -> dict[str, Any]:
    """Return processor, its flags, cores, memory, versions and date, as JSON values."""
    cpuinfo = Path("/proc/cpuinfo").read_text(errors="replace")
    return {
        "cpu": processor(cpuinfo),
        "flags": flags(cpuinfo),
        "cores": cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "versions": {"python": platform.python_version(), **_versions()},
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
    }


def processor(cpuinfo: str) -> str:
    r"""Return the CPU's name, and the family and model that a cloud's name for it leaves out.

    Args:
        cpuinfo: text of /proc/cpuinfo.

    >>> processor("processor : 0\ncpu family : 26\nmodel : 2\nmodel name : AMD EPYC\n\nprocessor : 1")
    'AMD EPYC (family 26, model 2)'
    """
    values = _values(cpuinfo)
    name = values.get("model name", platform.machine())
    numbers = [f"{word} {values[key]}" for word, key in (("family", "cpu family"), ("model", "model")) if key in values]
    return f"{name} ({', '.join(numbers)})" if numbers else name


def flags(cpuinfo: str) -> list[str]:
    """Return the CPU's flags by which speed differs.

    Args:
        cpuinfo: text of /proc/cpuinfo.

    >>> flags("flags : fpu avx2 avx512_bf16")
    ['avx2', 'avx512_bf16']
    """
    values = _values(cpuinfo)
    return sorted(flag for flag in values.get("flags", values.get("Features", "")).split() if flag.startswith(_FLAGS))


def _values(cpuinfo: str) -> dict[str, str]:
    """Return what stands there about the first core."""
    lines = [line.partition(":") for line in cpuinfo.partition("\n\n")[0].splitlines()]
    return {name.strip(): value.strip() for name, _, value in lines}


def _versions() -> dict[str, str]:
    found = {}
    for name in _VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
