"""What this machine's CPU can do, as /proc/cpuinfo tells it. Knows no TensorFlow."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import UsageError
from pipeline.options import Precision

CPUINFO = "/proc/cpuinfo"
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
"""Without one of them bfloat16 is emulated, several times slower than float32."""


TELLING_FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
"""By these TensorFlow's kernels choose how to compute, and so how fast, and to which last bits."""


def told_flags(cpuinfo: str | None = None) -> list[str]:
    """Return which of TELLING_FLAGS this machine has, or that of a /proc/cpuinfo's text.

    >>> told_flags("flags : fpu avx2 avx512_bf16")
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


def require(precision: Precision, cpuinfo: str | None = None) -> None:
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
