"""How many processes load the model follows from what each takes and from what a run may take."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scoring import memory
from pipeline.scoring.memory import SHARE, allowed_bytes, count_scorers, private_bytes

sizes = st.integers(0, 1 << 40)


@given(sizes, sizes, sizes, sizes, st.integers(1, 64))
def test_scorers_fit_into_what_is_allowed_unless_it_is_one_and_one_more_would_not(
    allowed: int, parent: int, bare: int, more: int, most: int
) -> None:
    scorers = count_scorers(allowed, parent, bare, bare + more, most)
    assert 1 <= scorers <= most

    def needed(scorers: int) -> int:
        return parent + most * bare + scorers * more

    assert scorers == 1 or needed(scorers) <= allowed
    assert scorers == most or more == 0 or needed(scorers + 1) > allowed


@given(sizes, sizes, sizes, sizes, st.integers(1, 64), sizes)
def test_more_memory_is_never_fewer_scorers(
    allowed: int, parent: int, bare: int, more: int, most: int, extra: int
) -> None:
    few, many = (count_scorers(size, parent, bare, bare + more, most) for size in (allowed, allowed + extra))
    assert few <= many


def test_process_that_got_smaller_counts_as_one_that_takes_nothing() -> None:
    assert count_scorers(1000, 0, 100, 60, 4) == 4


def test_what_a_process_has_taken_is_seen() -> None:
    program = """if True:
        from pipeline.scoring.memory import private_bytes
        before = private_bytes()
        data = bytearray(100 << 20)
        data[::4096] = b"x" * len(data[::4096])
        print(before, private_bytes() - before)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    before, more = map(int, done.stdout.split())
    assert 1 << 20 < before < 1 << 30
    assert 99 << 20 < more < 130 << 20


def test_where_nothing_is_told_it_is_the_most_the_process_ever_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_ROLLUP", "/nowhere")
    assert 10 << 20 < private_bytes() < 1 << 40


def test_megabytes_that_are_asked_for_are_what_is_allowed() -> None:
    assert allowed_bytes(300) == 300 * 1024 * 1024


def test_half_of_the_machine_or_of_its_container_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    kilobytes = int(Path("/proc/meminfo").read_text().split()[1])
    assert 0 < allowed_bytes(None) <= SHARE * 1024 * kilobytes

    def limits() -> Iterator[int]:
        yield from (5 << 20, 3 << 20)

    monkeypatch.setattr(memory, "_container_limits", limits)
    assert allowed_bytes(None) == 3 << 19


@pytest.mark.parametrize(
    ("content", "limits"), [("1048576\n", [1 << 20]), ("max\n", []), ("", []), ("\xff", []), (None, [])]
)
def test_limit_of_a_control_group_is_a_number_or_none(tmp_path: Path, content: str | None, limits: list[int]) -> None:
    file = tmp_path / "memory.max"
    if content is not None:
        file.write_text(content, encoding="latin-1")
    assert list(memory._limit(file)) == limits
