"""One archive, scored by us and by a peer in turn: the shape of most benchmarks."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks import before, commands, limit
from benchmarks.agreement import agreement, read_ours, read_theirs
from benchmarks.commands import Command
from benchmarks.comparison import Comparison, in_turn
from benchmarks.machine import machine
from benchmarks.processes import BenchmarkError
from benchmarks.setting import Archive, Setting


def compare(
    workload: str, archive: Archive, peer: str, setting: Setting, options: Sequence[str] = (), own: bool = False
) -> Comparison:
    """Measure us beside a peer.

    Args:
        workload: its name.
        archive: what both score.
        peer: name of the other command.
        setting: how.
        options: of ours.
        own: beside `before`, score with a model of today's code; see `benchmarks.before.both`.

    Raises:
        BenchmarkError: one of them fails, or they do not give the same classes.
    """
    us, them = pair(workload, archive, peer, setting, options, own)
    us.measured(setting)
    them.measured(setting)
    agreed = check(us, them, archive)
    print(f"{workload}: {agreed['differing']} of {archive.images:,} classes differ from {peer}'s", flush=True)
    facts: dict[str, Any] = {
        "agreement": agreed,
        "commands": {"ours": shlex.join(us.words), peer: shlex.join(them.words)},
    }
    first, second = in_turn(lambda: us.measured(setting), lambda: them.measured(setting), setting.pairs)
    return Comparison(workload, peer, archive.images, first, second, facts, machine())


def pair(
    workload: str, archive: Archive, peer: str, setting: Setting, options: Sequence[str] = (), own: bool = False
) -> tuple[Command, Command]:
    """Return our command and a peer's; see `compare`.

    Raises:
        BenchmarkError: what one of them needs cannot be made.
    """
    if peer != before.BEFORE:
        return our_command(workload, archive, setting, options), peer_command(workload, archive, peer, setting)
    ours, theirs = before.both(archive, setting, own)
    return our_command(workload, ours, setting, options), before.command(workload, theirs, setting)


def our_command(workload: str, archive: Archive, setting: Setting, options: Sequence[str] = ()) -> Command:
    """Return ours, into a folder of its own."""
    output = setting.work / "outputs" / f"{workload}-ours"
    return Command(f"{workload}-ours", commands.ours(archive, str(output), options), output)


def peer_command(workload: str, archive: Archive, peer: str, setting: Setting) -> Command:
    """Return a peer's, into a folder of its own."""
    if peer == limit.LIMIT:
        return limit.command(workload, archive, setting)
    output = setting.work / "outputs" / f"{workload}-{peer}"
    return Command(f"{workload}-{peer}", commands.peer(peer, archive, str(output), setting), output)


def check(us: Command, them: Command, archive: Archive) -> Mapping[str, Any]:
    """Return how far the outputs of two commands agree, as JSON values.

    Raises:
        BenchmarkError: they do not.
    """
    if us.output is None or them.output is None:
        raise BenchmarkError("outputs that are no folders cannot be compared")
    found = agreement(read_ours(us.output), read_theirs(them.output))
    return asdict(found.require(archive, them.name))
