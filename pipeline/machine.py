"""This process: CPU flags, memory, versions of libraries, and imports of these without what they drag along."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

from pipeline.concurrency import cores
from pipeline.errors import UsageError
from pipeline.options import Precision
from pipeline.text import line

CPUINFO = "/proc/cpuinfo"
"""File that names the CPU's flags on Linux."""

BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
"""CPU flags, of which a CPU has at least one if it computes in bfloat16. Others emulate it, slower than float32."""

TELLING_FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
"""CPU flags by which TensorFlow chooses how to compute. Speed and the last bits of scores depend on them."""

LIBRARIES = ("nightscore", "apache-beam", "ai-edge-litert", "tensorflow", "numpy", "pillow", "simplejpeg", "pyarrow")
"""Names of the packages whose versions a result may depend on."""


M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
"""Numbers of the parameters of glibc's mallopt, see its manual page mallopt(3)."""

LARGEST_MMAP_THRESHOLD = 32 * 2**20
"""Bytes: the largest M_MMAP_THRESHOLD that glibc takes on a machine of 64 bits."""


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, for its next use; return whether the C library can be told so.

    glibc gives large blocks back to the system as soon as they are freed. A training step takes and frees the same
    megabytes again and again, and the system clears each page anew: that took a third to half of the time. From
    then on the process holds as much as it once needed, and up to 64 MB more.
    """
    import ctypes  # which --help does without

    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):  # macOS, or a Linux with another C library
        return False
    values = {M_MMAP_THRESHOLD: LARGEST_MMAP_THRESHOLD, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 64 * 2**20}
    return all(library.mallopt(name, value) for name, value in values.items())


def versions(libraries: Sequence[str] = LIBRARIES) -> dict[str, str]:
    """Return the versions that a result may depend on, name -> version, without importing the libraries."""
    from importlib import metadata  # with its parsers of e-mail and zip, which --help does without

    found = {"python": platform.python_version()}
    for name in libraries:
        with contextlib.suppress(metadata.PackageNotFoundError):  # a worker may run our code without its metadata
            found[name] = metadata.version(name)
    return found


def describe() -> str:
    """Return one line about this process: its libraries, its machine and its CPU.

    Speed depends on these, and so do the last bits of scores.
    """
    found = [f"{name} {version}" for name, version in versions().items()]
    flags = " ".join(telling_flags()) or "none that matter"
    return line(f"{', '.join(found)}; {platform.node()}, {platform.machine()}, {cores()} threads, CPU flags: {flags}")


def import_path() -> str:
    """Return what this process imports from, as PYTHONPATH of a child process: absolute, for any working folder."""
    return os.pathsep.join(os.path.abspath(path) for path in sys.path)


def cpu_kind(cpuinfo: str | None = None) -> str:
    r"""Return the kind of a machine's CPU, as one line: this one's, or that of the text of a /proc/cpuinfo.

    >>> cpu_kind("model name : AMD EPYC\nflags : fpu avx2")
    'AMD EPYC (avx2)'
    """
    text = _cpuinfo() if cpuinfo is None else cpuinfo
    rows = (row.partition(":") for row in text.splitlines())
    name = next((value for name, _, value in rows if name.strip() == "model name"), platform.machine()).strip()
    return line(f"{name} ({' '.join(telling_flags(text)) or 'no flags that matter'})")


def telling_flags(cpuinfo: str | None = None) -> list[str]:
    """Return which of TELLING_FLAGS a machine has: this one, or the one with the text of a /proc/cpuinfo.

    >>> telling_flags("flags : fpu avx2 avx512_bf16")
    ['avx2', 'avx512_bf16']
    """
    named = set((_cpuinfo() if cpuinfo is None else cpuinfo).split())
    return [flag for flag in TELLING_FLAGS if flag in named]


def has_bfloat16(cpuinfo: str) -> bool:
    """Return whether the text of a /proc/cpuinfo names instructions for bfloat16.

    >>> has_bfloat16("flags : fpu avx512f avx512_bf16"), has_bfloat16("flags : fpu avx2"), has_bfloat16("")
    (True, False, False)
    """
    return any(
        name.strip() == "flags" and BFLOAT16_FLAGS & set(flags.split())
        for name, _, flags in (row.partition(":") for row in cpuinfo.splitlines())
    )


def require_precision(precision: Precision, cpuinfo: str | None = None) -> None:
    """Check that this machine computes fast in a precision.

    Args:
        precision: in which the model is to compute.
        cpuinfo: text of a /proc/cpuinfo; None reads this machine's.

    Raises:
        UsageError: the machine computes slowly in it, or its CPU cannot be told.
    """
    if precision == "bfloat16" and not has_bfloat16(_cpuinfo() if cpuinfo is None else cpuinfo):
        raise UsageError(
            "--precision bfloat16 needs a CPU with AVX512_BF16 or AMX, and this one's flags name neither; "
            "leave it out to score in float32"
        )


def _cpuinfo() -> str:
    """Return the text of /proc/cpuinfo; "" on a system without one."""
    try:
        return Path(CPUINFO).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


@contextlib.contextmanager
def without(*names: str) -> Iterator[None]:
    """Hide modules that are not imported yet, so that importing them fails within the context.

    TensorFlow imports Keras, for optimizers in SavedModels: 40 % of its import, and 120 MB. Apache Beam imports pandas
    where that is installed, for types of its data frames: a fifth of its import.
    """
    modules: dict[str, Any] = sys.modules  # None in there means that there is no such module
    hidden = [name for name in names if name not in modules]
    modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del modules[name]


class _Refusal(MetaPathFinder):
    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == self._name:
            raise ModuleNotFoundError(f"No module named {fullname!r}: it is not wanted here", name=fullname)


def refuse_import(name: str) -> None:
    """Let every import of a module fail from now on in this process, also those of compiled code such as Arrow's.

    Arrow imports pandas for the first array that it makes of a list, in case it is one of pandas': 40 MB.
    """
    sys.meta_path.insert(0, _Refusal(name))
