"""Ours in bfloat16 beside a peer in float32: no class may change by it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict, replace

from benchmarks.agreement import agreement, read_ours
from benchmarks.commands import ROOT
from benchmarks.comparison import Comparison
from benchmarks.processes import BenchmarkError
from benchmarks.setting import Archive, Setting
from benchmarks.throughput import compare, our_command

OPTION = "--precision=bfloat16"


def compare_bfloat16(workload: str, archive: Archive, peer: str, setting: Setting) -> Comparison:
    """Measure us in bfloat16 beside a peer in float32.

    Raises:
        BenchmarkError: there is no such option, or a class changes by it.
    """
    shown = subprocess.run(
        [sys.executable, "-m", "nightscore", "score", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    if "--precision" not in shown.stdout:
        raise BenchmarkError("'nightscore score' has no --precision in this checkout")
    exact, fast = (our_command(f"{workload}-{name}", archive, setting) for name in ("float32", "bfloat16"))
    fast = replace(fast, words=[*fast.words, OPTION])
    exact.measured(setting)
    fast.measured(setting)
    if exact.output is None or fast.output is None:
        raise BenchmarkError("no output to compare")
    found = agreement(read_ours(exact.output), read_ours(fast.output))
    print(f"{workload}: {found.differing} of {archive.images:,} classes differ from float32's", flush=True)
    if found.differing:
        raise BenchmarkError(f"bfloat16 changes the class of {found.differing} of {found.images} images")
    result = compare(workload, archive, peer, setting, options=[OPTION])
    return replace(result, facts={**result.facts, "differs_from_float32": asdict(found)})
