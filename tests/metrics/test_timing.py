"""Sums of time, and what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import WriteImages
from hypothesis import given
from hypothesis import strategies as st

from pipeline.beam import job
from pipeline.concurrency import cores
from pipeline.metrics.timing import POINTS, STEPS, Spent, shares
from pipeline.scoring.prepare import prepare
from pipeline.scoring.process_pool import processes

spents = st.builds(
    Spent.of,
    st.dictionaries(st.sampled_from(STEPS), st.floats(0, 1e5)),
    st.integers(0, 1 << 20),
    st.integers(0, 2048),
) | st.builds(lambda capacity: Spent(capacity=capacity), st.integers(0, 1 << 40))


def merged(some: list[Spent]) -> Spent:
    total = Spent()
    for one in some:
        total = total.merge(one)
    return total


@given(st.lists(spents, max_size=5), st.lists(spents, max_size=5), st.lists(spents, max_size=5))
def test_merge_is_associative_and_commutative_with_an_identity(
    some: list[Spent], others: list[Spent], rest: list[Spent]
) -> None:
    a, b, c = merged(some), merged(others), merged(rest)
    assert a.merge(b) == b.merge(a)
    assert a.merge(b).merge(c) == a.merge(b.merge(c))
    assert a.merge(Spent()) == Spent().merge(a) == a


def test_a_long_night_has_a_course_of_few_points_and_loses_no_image() -> None:
    night = merged([Spent.of({}, 7 * second, 10) for second in range(5_000)])
    assert POINTS / 2 <= len(night.course) <= POINTS
    assert sum(night.course.values()) == 50_000
    course = shares(night, 35_000, 2)["course"]
    assert course[0][0] == 0
    assert all(abs(rate - 10 / 7) < 0.1 for _, rate in course[:-1])


@pytest.mark.parametrize("step", STEPS)
def test_what_takes_most_of_what_it_could_decides(step: str) -> None:
    seconds = {**dict.fromkeys(STEPS, 1.0), step: 90.0}
    figures = shares(Spent.of(seconds, 0, 10).merge(Spent(capacity=100_000_000)), 55, 2)
    assert figures["decides"] == step
    assert figures["shares"][step] == 0.9
    assert figures["shares"]["waiting"] == pytest.approx(1 - 0.93)
    assert figures["seconds"][step] == seconds[step]


def test_a_run_of_a_moment_is_decided_by_its_start() -> None:
    assert shares(Spent.of({"predict": 1.0}, 0, 10).merge(Spent(capacity=2_000_000)), 10, 2)["decides"] == "start"
    assert shares(Spent(), 1, 2)["decides"] == "start"


@pytest.mark.heavy
def test_run_whose_decoder_is_slow_says_so(
    write_images: WriteImages, tiny_model: str, tmp_path: Path, poisoned: pytest.MonkeyPatch
) -> None:
    poisoned.setenv("DECODE_SECONDS", "0.02")
    processes().close()
    flags = ["--input", str(write_images(500)), "--model", tiny_model, "--output", str(tmp_path / "night")]
    job_options = job.parse([*flags, "--unit_images", "50", "--no_canary"])
    job.run_job(job_options, prepare(job_options.options))
    time: dict[str, Any] = json.loads((tmp_path / "night" / "run.json").read_text())["time"]
    assert time["decides"] == "decode"
    assert 500 * 0.02 <= time["seconds"]["decode"] < 2 * 500 * 0.02
    assert sum(rate for _, rate in time["course"]) == pytest.approx(500)
    again = job.run_job(job_options, prepare(job_options.options))
    assert again["time"] is None
    assert cores() >= 1


def test_shares_are_of_the_whole_also_where_steps_overlap() -> None:
    """A part is stored while all processors score."""
    night = Spent.of({"predict": 2.0, "commit": 1.0}, 0, 10).merge(Spent(capacity=2_000_000))
    figures = shares(night, 1, 2)["shares"]
    assert (figures["predict"], figures["commit"], figures["waiting"]) == (0.667, 0.333, 0.0)
