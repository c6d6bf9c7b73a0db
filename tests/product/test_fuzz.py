"""Damaged files by the thousand through every decoder and every source: each has its rows, quickly, in little memory.

The inputs run in a process of their own (`fuzz.py`), so that one that kills or hangs it is told by its number and
kept as a file. Some hundreds run in every suite, a few thousand by `make heavy`, 200,000 by `make soak`.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fuzz_corpus import ARCHIVES, FORMATS, IMAGES
from mutations import CHANGES, mutated, mutated_fields

SOURCES = [*ARCHIVES, "folder"]
SOAK = {**dict.fromkeys(FORMATS, 11_500), **dict.fromkeys(SOURCES, 17_000)}
"""How many inputs of each target a soak runs: 205,500 in all."""


def fuzz(folder: Path, targets: Sequence[str], count: int, timeout: float) -> dict[str, Any]:
    """Run inputs 0 to count of each target; return what `fuzz.py` tells."""
    script = Path(__file__).parents[1] / "tools" / "fuzz.py"
    command = [sys.executable, str(script), str(folder), "0", str(count), *targets]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    now = (folder / "now").read_text() if (folder / "now").exists() else "the start"
    told = f"exit code {done.returncode} at {now}; its files are in {folder / 'work'}\n{done.stderr[-5_000:]}"
    assert done.returncode == 0, told
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def assert_all_ran(found: dict[str, Any], targets: Sequence[str], count: int) -> None:
    for target in targets:
        counts = found["done"][target]
        assert counts["inputs"] == count
        assert 0 < counts["failed"] < counts["rows"], f"{target}: damage that breaks nothing or all shows nothing"


@pytest.mark.parametrize("count", [40, pytest.param(250, marks=pytest.mark.heavy)])
def test_damaged_images_are_rows(tmp_path: Path, count: int) -> None:
    assert_all_ran(fuzz(tmp_path, FORMATS, count, 120), FORMATS, count)


@pytest.mark.heavy
@pytest.mark.parametrize("count", [40, 300])
def test_damaged_archives_lists_and_folders_have_the_rows_that_are_planned(tmp_path: Path, count: int) -> None:
    assert_all_ran(fuzz(tmp_path, SOURCES, count, 120), SOURCES, count)


@pytest.mark.soak
@pytest.mark.parametrize("target", SOAK)
def test_many_more_damaged_inputs(tmp_path: Path, target: str) -> None:
    found = fuzz(tmp_path, [target], SOAK[target], 3600)
    assert_all_ran(found, [target], SOAK[target])
    print(json.dumps(found))


def test_a_soak_is_of_two_hundred_thousand() -> None:
    assert sum(SOAK.values()) >= 200_000


def test_damage_is_the_same_for_the_same_seed_and_seldom_none() -> None:
    whole, other = IMAGES["PNG palette"], IMAGES["GIF"]
    first, again = ([mutated(whole, other, random.Random(seed)) for seed in range(500)] for _ in range(2))
    assert first == again
    assert len(set(first)) > 450
    assert first.count(whole) < 50
    assert b"" in [mutated(b"x", b"", random.Random(seed)) for seed in range(100)]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("whole", [b"", b"7", b"0123456789" * 200])
def test_every_kind_of_damage_takes_inputs_of_any_length(change: Any, whole: bytes) -> None:
    for seed in range(50):
        data = bytearray(whole)
        change(data, b"other", random.Random(seed))
        assert len(data) <= 2 * len(whole) + 600


def test_fields_are_damaged_doubled_moved_or_left_out() -> None:
    fields = [b"aaaa", b"bbbb", b"cccc"]
    found = [mutated_fields(fields, random.Random(seed)) for seed in range(200)]
    assert {len(changed) for changed in found} == {2, 3, 4}
    assert sorted(fields) in [sorted(changed) for changed in found if changed != fields]


@pytest.mark.heavy
def test_a_process_that_hangs_or_dies_is_told_with_its_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = "import fuzz, ctypes; fuzz.check_decoder = lambda *_: ctypes.string_at(0); fuzz.main"
    code = f"{broken}(__import__('pathlib').Path({str(tmp_path)!r}), 5, 1, ['GIF'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1] / "tools",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode < 0
    assert "Segmentation fault" in done.stderr
    assert (tmp_path / "now").read_text() == "input 5 of GIF"
