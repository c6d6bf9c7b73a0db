"""This process: CPU flags, versions of libraries, and imports of these without what they drag along."""

from __future__ import annotations

import contextlib
import platform
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline import machine
from pipeline.concurrency import cores
from pipeline.errors import UsageError
from pipeline.options import Precision
from pipeline.text import line

CPUINFO = "/proc/cpuinfo"

BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
"""Without one of them bfloat16 is emulated, several times slower than float32."""

TELLING_FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
"""By these TensorFlow's kernels choose how to compute, and so how fast, and to which last bits."""


LIBRARIES = ("nightscore", "apache-beam", "tensorflow", "numpy", "pillow", "simplejpeg", "pyarrow")


def versions(libraries: Sequence[str] = LIBRARIES) -> dict[str, str]:
    """Return what a result may depend on, name -> version, without importing it."""
    from importlib import metadata  # with its parsers of e-mail and zip, which --help does without

    found = {"python": platform.python_version()}
    for name in libraries:
        with contextlib.suppress(metadata.PackageNotFoundError):  # a worker may run our code without its metadata
            found[name] = metadata.version(name)
    return found


def describe() -> str:
    """Return one line: what this process runs on and with.

    What scores depend on in their last bits, and speed in all of them.
    """
    found = [f"{name} {version}" for name, version in versions().items()]
    flags = " ".join(machine.telling_flags()) or "none that matter"
    return line(f"{', '.join(found)}; {platform.node()}, {platform.machine()}, {cores()} threads, CPU flags: {flags}")


def telling_flags(cpuinfo: str | None = None) -> list[str]:
    """Return which of TELLING_FLAGS this machine has, or that of a /proc/cpuinfo's text.

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
        for name, _, flags in (line.partition(":") for line in cpuinfo.splitlines())
    )


def require_precision(precision: Precision, cpuinfo: str | None = None) -> None:
    """Check that this machine computes fast in a precision.

    Args:
        precision: that is asked for.
        cpuinfo: the text of its /proc/cpuinfo, where that is not to be read here.

    Raises:
        UsageError: it does not, or does not tell.
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
def without(name: str) -> Iterator[None]:
    """Let a module seem not to be installed, unless it is imported already; who imports it later finds it.

    TensorFlow imports Keras, for optimizers in SavedModels: 40 % of its import, and 120 MB. Apache Beam imports pandas
    where that is installed, for types of its data frames: a fifth of its import.
    """
    modules: dict[str, Any] = sys.modules  # None in there means that there is no such module
    if name in modules:
        yield
        return
    modules[name] = None
    try:
        yield
    finally:
        del modules[name]
