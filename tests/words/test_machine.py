"""Which CPUs compute in bfloat16, by the text of /proc/cpuinfo, and what becomes of a run on one that does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import MakeRun, WriteImages

from pipeline import machine
from pipeline.cli import plan, score
from pipeline.errors import UsageError
from pipeline.machine import require_precision

GRANITE = "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu sse4_2 avx512f amx_bf16 amx_tile\n\n"
TURIN = "processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16 avx512vbmi\n"
SKYLAKE = "processor\t: 0\nmodel name\t: avx512_bf16 would be fine\nflags\t\t: fpu avx2 avx512f avx512bw\n"
GRAVITON = "processor\t: 0\nFeatures\t: fp asimd svebf16 bf16\n"


@pytest.mark.parametrize("cpuinfo", [GRANITE, TURIN, SKYLAKE + TURIN])
def test_cpu_with_avx512_bf16_or_amx_is_fast_in_either_precision(cpuinfo: str) -> None:
    require_precision("float32", cpuinfo)
    require_precision("bfloat16", cpuinfo)


@pytest.mark.parametrize("cpuinfo", [SKYLAKE, GRAVITON, ""])
def test_any_other_is_refused_in_one_line_that_says_what_to_do(cpuinfo: str) -> None:
    require_precision("float32", cpuinfo)
    with pytest.raises(UsageError, match=r"^--precision bfloat16 needs [^\n]+; leave it out to score in float32$"):
        require_precision("bfloat16", cpuinfo)


PAGES_TAKEN = """
import resource, sys
import numpy as np
from pipeline.machine import keep_freed_memory
if "keep" in sys.argv and not keep_freed_memory():
    sys.exit(77)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    blocks = [np.ones(2**18) for _ in range(8)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
"""A program that takes 8 blocks of 2 MB and frees them, a hundred times, and prints how many pages it was given."""


def test_freed_memory_is_used_again_and_not_taken_anew_from_the_system() -> None:
    taken = {}
    for how in ("return", "keep"):
        done = subprocess.run([sys.executable, "-c", PAGES_TAKEN, how], capture_output=True, text=True, check=False)
        if done.returncode == 77:
            pytest.skip("this system's C library cannot be told so")
        assert done.returncode == 0, done.stderr
        taken[how] = int(done.stdout)
    assert taken["keep"] < taken["return"] / 5, taken


def test_system_without_cpuinfo_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "CPUINFO", str(tmp_path / "cpuinfo"))
    with pytest.raises(UsageError):
        require_precision("bfloat16")


@pytest.mark.parametrize("command", [score, plan])
def test_job_is_refused_before_anything_is_touched(
    make_run: MakeRun,
    write_images: WriteImages,
    tiny_model: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    command: object,
) -> None:
    (tmp_path / "cpuinfo").write_text(SKYLAKE)
    monkeypatch.setattr(machine, "CPUINFO", str(tmp_path / "cpuinfo"))
    flags = ["--input", str(write_images(3)), "--model", tiny_model, "--output", str(tmp_path / "night")]
    assert command.main([*flags, "--precision", "bfloat16"]) == 2  # type: ignore[attr-defined]
    (line,) = capfd.readouterr().err.splitlines()
    assert "--precision bfloat16 needs a CPU with AVX512_BF16 or AMX" in line
    assert not (tmp_path / "night").exists()


def test_worker_that_lacks_it_refuses_the_model(
    tiny_model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from pipeline.model.directory import read_spec
    from pipeline.model.loaded import Model

    (tmp_path / "cpuinfo").write_text(SKYLAKE)
    monkeypatch.setattr(machine, "CPUINFO", str(tmp_path / "cpuinfo"))
    with pytest.raises(UsageError, match="AVX512_BF16"):
        Model(tiny_model, read_spec(tiny_model), "tensorflow", "bfloat16")
