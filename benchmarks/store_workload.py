"""placeholder."""

from __future__ import annotations

from benchmarks.comparison import Comparison
from benchmarks.processes import BenchmarkError
from benchmarks.setting import Archive, Setting


def compare_store(workload: str, archive: Archive, peer: str, setting: Setting) -> Comparison:
    """Todo."""
    raise BenchmarkError("not yet")
