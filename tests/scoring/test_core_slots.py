"""Several workers of one machine share its cores."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import MakeRun, WriteImages
from encoded_batches import noise

from pipeline.output.run import Run
from pipeline.scoring import process_pool
from pipeline.scoring.core_slots import CoreSlots
from pipeline.scoring.process_messages import Request
from pipeline.scoring.process_pool import ProcessPool

IMAGE = noise(1)
PIXELS = Request("pixels", body="encoded", sizes=[len(IMAGE)])


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "slots")


def test_there_are_as_many_slots_as_cores_and_one_that_is_closed_is_free_again(folder: str) -> None:
    one, other = CoreSlots(2, folder), CoreSlots(2, folder)
    first, second = one.take(), other.take()
    assert first is not None
    assert second is not None
    assert one.take() is None
    os.close(second)
    third = one.take()
    assert third is not None
    for slot in (first, third):
        os.close(slot)


def test_slot_is_held_as_long_as_any_copy_of_its_file_is_open(folder: str) -> None:
    slots = CoreSlots(1, folder)
    slot = slots.take()
    assert slot is not None
    copy = os.dup(slot)
    os.close(slot)
    assert slots.take() is None
    os.close(copy)
    again = slots.take()
    assert again is not None
    os.close(again)


def test_worker_learns_that_another_waits_and_not_that_it_waits_itself(folder: str) -> None:
    one, other = CoreSlots(1, folder), CoreSlots(1, folder)
    slot = one.take()
    assert slot is not None
    assert not one.others_wait()
    assert one.take() is None
    assert not one.others_wait()
    assert other.take() is None
    assert one.others_wait()
    os.close(slot)
    slot = other.take()
    assert slot is not None
    assert not one.others_wait()
    os.close(slot)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch, folder: str) -> tuple[ProcessPool, ProcessPool]:
    """Two pools of a machine with two cores, as two workers on it have them."""
    monkeypatch.setattr(process_pool, "CoreSlots", lambda cores: CoreSlots(2, folder))
    pools = ProcessPool(), ProcessPool()
    for pool in pools:
        pool.arrange(2, 0)
        pool.share()
    return pools


@contextlib.contextmanager
def two_at_work(pool: ProcessPool, run: Run) -> Iterator[None]:
    """Both processes of a pool have answered, and none of them is idle."""
    with pool.borrow() as first, pool.borrow() as second:
        for process in (first, second):
            process.ask(PIXELS, [IMAGE], run, "")
        yield


@pytest.mark.heavy
def test_second_worker_has_one_process_until_the_first_makes_room(
    shared: tuple[ProcessPool, ProcessPool], make_run: MakeRun, write_images: WriteImages
) -> None:
    one, other = shared
    run = make_run(write_images(3))
    with two_at_work(one, run), other.borrow() as third:
        third.ask(PIXELS, [IMAGE], run, "")
        assert len(other._all) == 1, "one is started in any case"
        assert other._choose(scores=False, alone=False) is None
    one.make_room()
    assert len(one._all) == 1
    with two_at_work(other, run):
        assert len(other._all) == 2
    one.close()
    other.close()


def test_nobody_makes_room_where_nobody_waits(
    shared: tuple[ProcessPool, ProcessPool], make_run: MakeRun, write_images: WriteImages
) -> None:
    one, _ = shared
    with two_at_work(one, make_run(write_images(3))):
        pass
    one.make_room()
    assert len(one._all) == 2
    one.close()
