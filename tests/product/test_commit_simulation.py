"""The commit protocol and the last step, under thousands of random interleavings on a simulated disk and clock."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any

import google_crc32c
import pytest
from simulated_disk import SimulatedDisk
from simulated_nights import PLANS, Protocol, Weather, World

from pipeline import storage
from pipeline.errors import DamagedPartError
from pipeline.output import commit, finish, receipts, records, review_files, stored_rows, sweep
from pipeline.output.receipts import Extras, Receipt
from pipeline.output.run import Run
from pipeline.output.sweep import Claim
from pipeline.scoring import planning
from pipeline.units import WorkUnit

INTERLEAVINGS = 300
FEW = 40
"""Interleavings of the default suite, the first of them."""
SOAK = 50_000
FOUND_WITHIN = 2_000
"""A broken protocol must be found out in so many."""

GROUPS = (1, 3, sweep.GROUP)
"""Objects that a sweep removes after one look: one by one, a few, or all that there are."""

Simulate = Callable[..., World]


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulate]:
    """Play the scenario of a seed, in the place of disk and clock; what is slow and pure is remembered."""
    worlds: list[World] = []
    seconds = itertools.count()
    midnight = datetime(2026, 1, 1, tzinfo=timezone.utc)
    monkeypatch.setattr(storage, "_local", lambda: worlds[-1].disk)
    monkeypatch.setattr(storage, "absolute", functools.cache(storage.absolute))
    monkeypatch.setattr(planning, "units_of", lambda run, _: iter(worlds[-1].planned(run)))
    monkeypatch.setattr(commit, "receipt_of", remembered(receipts.receipt_of))
    monkeypatch.setattr(finish, "figures", lambda summary, _: worlds[-1].figures(summary))
    monkeypatch.setattr(finish, "report", lambda *_: "a page")
    for module in (stored_rows, review_files):  # an actor makes all of its calls itself
        monkeypatch.setattr(module, "ahead", lambda call, items, *_: (call(item) for item in items))
    monkeypatch.setattr(records, "versions", dict)
    monkeypatch.setattr(records, "now", lambda: (midnight + timedelta(seconds=next(seconds))).isoformat())
    monkeypatch.setattr(time, "sleep", lambda _: None)

    def play(seed: int, protocol: Protocol | None = None) -> World:
        worlds[:] = [World(seed, protocol)]
        monkeypatch.setattr(sweep, "GROUP", GROUPS[seed % len(GROUPS)])
        return _played(worlds[-1], Random(seed))

    with on_one_processor():
        yield play


@contextlib.contextmanager
def on_one_processor() -> Iterator[None]:
    """Keep all threads on one processor, where the system can: only one runs at a time, and they hand over faster."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, processors)


def _played(world: World, random: Random) -> World:
    """Play bad nights, alone and in pairs, with damage between them; then let all zombies end, and run once more."""
    try:
        for _ in range(random.choice((1, 1, 2))):
            plans = random.choices(PLANS, k=random.choice((1, 2, 2)))
            if random.random() < 0.4:
                plans = [plans[0]] * len(plans)
            world.play(*plans, weather=Weather.of(random))
            if random.random() < 0.4:
                world.damage()
        world.drain()
        (last,) = world.play(random.choice(PLANS))
        world.drain()
        if last.code == 0:
            world.violations += [f"after a plain rerun {p}" for p in world.problems(last, spotless=True)]
        else:
            world.violations.append(f"a plain rerun ends with {last.code}: {last.record}")
    finally:
        world.theater.close()
    return world


def remembered(receipt_of: Callable[..., Receipt]) -> Callable[..., Receipt]:
    """Return the same pure function, which computes each receipt, or finds each damage, once."""
    known: dict[tuple[str, bytes], Receipt | DamagedPartError] = {}

    def receipt(unit: WorkUnit, part: bytes, run: Run, extras: Extras) -> Receipt:
        key = unit.id, part
        if key not in known:
            try:
                known[key] = receipt_of(unit, part, run, extras)
            except DamagedPartError as error:
                known[key] = error
        found = known[key]
        if isinstance(found, DamagedPartError):
            raise DamagedPartError(str(found))
        return found

    return receipt


def check(simulate: Simulate, seeds: range) -> Counter[str]:
    """Play all seeds; nothing may go wrong. Returns how often what happened."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        world = simulate(seed)
        assert not world.violations, f"seed {seed}: " + "; ".join(world.violations)
        seen.update(f"exit {night.code}" for night in world.nights)
        reasons = [reason for n in world.nights if n.record for reason in n.record["verdict"]["reasons"]]
        seen["superseded"] += sum("has started into" in reason for reason in reasons)
        seen["gone"] += sum("are gone" in reason for reason in reasons)
    return seen


@pytest.mark.parametrize("seeds", [FEW, pytest.param(INTERLEAVINGS, marks=pytest.mark.heavy)])
def test_no_interleaving_loses_doubles_or_mixes_anything(simulate: Simulate, seeds: int) -> None:
    seen = check(simulate, range(seeds))
    for what in ("exit 0", "exit 3", "exit None", "superseded"):
        assert seen[what] > seeds / 50, f"the scenarios are too tame: {seen}"


@pytest.mark.soak
def test_no_interleaving_of_a_great_many_does(simulate: Simulate) -> None:
    check(simulate, range(INTERLEAVINGS, INTERLEAVINGS + SOAK))


def test_a_seed_tells_the_whole_story(simulate: Simulate) -> None:
    first, second = ({**simulate(7).disk.files} for _ in range(2))
    assert first.keys() == second.keys()
    parts = [location for location in first if "/predictions/" in location]
    assert [first[part] for part in parts] == [second[part] for part in parts]


def overwrite(unit: WorkUnit, part: bytes, receipt: Receipt, run: Run) -> Receipt:
    storage.replace(run.part(unit.id), part)
    storage.replace(run.receipt(unit.id), receipt.to_json())
    return receipt


def trust_own_bytes(unit: WorkUnit, part: bytes, receipt: Receipt, run: Run) -> Receipt:
    """Take the receipt from what was to be stored, not from what is."""
    storage.create(run.part(unit.id), part)
    storage.create(run.receipt(unit.id), receipt.to_json())
    return receipt


@pytest.mark.heavy
@pytest.mark.parametrize("broken", [overwrite, trust_own_bytes])
def test_simulation_finds_a_broken_commit(simulate: Simulate, broken: Callable[..., Receipt]) -> None:
    assert any(simulate(seed, Protocol(commit=broken)).violations for seed in range(FOUND_WITHIN))


def whatever_is_there(disk: SimulatedDisk, location: str, version: int | None = None) -> None:
    """Delete as a store does that knows no versions."""
    delete(disk, location)


delete = SimulatedDisk.delete


def receipt_first(unit: WorkUnit, run: Run) -> None:
    """Remove the witness before the part that it is about."""
    try:
        receipt = Receipt.from_json(storage.read(run.receipt(unit.id)))
        if receipt.crc32c == google_crc32c.value(storage.read(run.part(unit.id))):
            return
    except FileNotFoundError:
        return
    except DamagedPartError:
        pass
    storage.delete(run.receipt(unit.id))
    storage.delete(run.part(unit.id))


@pytest.mark.parametrize(
    ("owner", "name", "broken"),
    [
        pytest.param(SimulatedDisk, "delete", whatever_is_there, marks=pytest.mark.heavy),
        pytest.param(commit, "discard_unless_fit", receipt_first, marks=pytest.mark.soak),
        pytest.param(commit, "_check", lambda *_: None, marks=pytest.mark.heavy),
        pytest.param(Claim, "superseded_by", lambda _: "", marks=pytest.mark.heavy),
    ],
    ids=["delete whatever is there", "receipt first", "trust any part", "publish at any time"],
)
def test_simulation_finds_a_broken_step(
    simulate: Simulate, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, broken: Any
) -> None:
    monkeypatch.setattr(owner, name, broken)
    assert any(simulate(seed).violations for seed in range(FOUND_WITHIN))
