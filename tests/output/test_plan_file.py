"""The pinned plan: created once, read in pieces, the same units whoever reads how much of it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from conftest import MakeRun, WriteImages
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.output import plan_file
from pipeline.scoring import planning
from pipeline.scoring.planning import pin
from pipeline.units import WorkUnit

names = st.text(st.characters(exclude_categories=[]), max_size=9)
units = st.builds(
    lambda number, names, images: WorkUnit(
        f"{number:032x}", "images", tuple(names), (1,) * len(names), (2,) * len(names), images, input=number % 3
    ),
    number=st.integers(0, 1 << 40),
    names=st.lists(names, max_size=4),
    images=st.none() | st.integers(1, 5000),
)


def test_pinned_plan_is_created_once_and_read_by_whoever_comes_second(
    make_run: MakeRun, write_images: WriteImages
) -> None:
    archive = write_images(30)
    run = make_run(archive, unit_images=8)
    totals = pin(run)
    stored = Path(run.plan).read_bytes()
    write_images(5, start=50)
    assert pin(run) == totals == plan_file.read_totals(run)
    assert Path(run.plan).read_bytes() == stored
    units = list(plan_file.read_units(run))
    assert (totals.units, totals.images, totals.total) == (len(units), 30, 30)
    assert totals.bytes == sum(unit.bytes for unit in units)
    assert len(gzip.decompress(stored).splitlines()) == len(units) + 1


def test_total_is_unknown_with_a_compressed_stream(make_run: MakeRun, write_records: WriteImages) -> None:
    assert pin(make_run(write_records(5, "a.tfrecord.gz", "GZIP"))).total is None


@pytest.fixture
def plan_of(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a run whose plan is of given units."""
    numbers = iter(range(1_000_000))

    def make(some: list[WorkUnit]) -> Any:
        run = replace(make_run("x"), id=f"run-{next(numbers)}")
        monkeypatch.setattr(planning, "units_of", lambda *_: iter(some))
        pin(run)
        return run

    return make


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(some=st.lists(units, max_size=20, unique_by=lambda unit: unit.id), data=st.data())
def test_any_units_come_back_in_order_whatever_their_names(plan_of: Any, some: list[WorkUnit], data: Any) -> None:
    run = plan_of(some)
    assert list(plan_file.read_units(run)) == some
    wanted = data.draw(st.sets(st.sampled_from([unit.id for unit in some]))) if some else set()
    assert [unit.id for unit in plan_file.read_units(run, wanted)] == [u.id for u in some if u.id in wanted]
    index = plan_file.read_index(run)
    assert [(u.id, u.source, u.images, u.input) for u in index.units] == [
        (u.id, u.source, u.images, u.input) for u in some
    ]
    size = data.draw(st.integers(1, 25))
    groups = [list(plan_file.read_span(run, span)) for span in index.groups(size)]
    assert [unit for group in groups for unit in group] == some
    assert all(len(group) == size for group in groups[:-1])


def large(n: int) -> Iterator[WorkUnit]:
    random = Random(1)
    for number in range(n):
        yield WorkUnit(
            id=f"{random.getrandbits(128):032x}",
            source="images",
            locations=tuple(f"/archive/camera-{i % 7}/IMG_{number * 2048 + i:08d}.jpg" for i in range(2048)),
            sizes=tuple(random.randrange(100_000, 150_000) for _ in range(2048)),
            versions=tuple(1_795_000_000_000_000_000 + random.randrange(10**15) for _ in range(2048)),
            images=2048,
        )


def test_index_and_units_that_are_longer_than_a_block_are_read(plan_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    some = list(large(20))
    run = plan_of(some)
    assert Path(run.plan).stat().st_size > 2 * plan_file.BLOCK
    assert list(plan_file.read_units(run)) == some
    monkeypatch.setattr(plan_file, "BLOCK", 100)
    assert list(plan_file.read_units(run)) == some
    assert plan_file.read_totals(run).images == 20 * 2048


def test_file_takes_at_most_20_bytes_an_image(plan_of: Any) -> None:
    run = plan_of(list(large(10)))
    assert Path(run.plan).stat().st_size < 20 * 2048 * 10


def test_little_is_read_for_a_few_units(plan_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    some = list(large(60))
    run = plan_of(some)
    read, spans = plan_file.storage.read, []
    monkeypatch.setattr(plan_file.storage, "read", lambda *span: spans.append(span[1:]) or read(*span))
    assert [unit.id for unit in plan_file.read_units(run, {some[50].id})] == [some[50].id]
    (first, second) = spans
    assert first == (0, plan_file.BLOCK)
    assert second[1] - second[0] < 50_000


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:40],
        lambda data: b"broken" + data,
        lambda data: gzip.compress(b"[]"),
        lambda data: gzip.compress(json.dumps({"totals": {}, "id": ["a"]}).encode()),
    ],
)
def test_damaged_plan_is_a_value_error(make_run: MakeRun, write_images: WriteImages, damage: Any) -> None:
    run = make_run(write_images(30), unit_images=8)
    pin(run)
    path = Path(run.plan)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"."):
        plan_file.read_index(run)


def test_groups_grow_with_the_plan(plan_of: Any) -> None:
    def sizes(n: int, size: int) -> list[int]:
        run = plan_of([WorkUnit(f"{i:032x}", "images", (), (), (), 0) for i in range(n)])
        return [len(list(plan_file.read_span(run, span))) for span in plan_file.read_index(run).groups(size)]

    assert sizes(3, plan_file.group_units(3)) == [1, 1, 1]
    assert sizes(9, plan_file.group_units(4_000)) == [4, 4, 1]
    assert plan_file.group_units(1_000_000) == 8
