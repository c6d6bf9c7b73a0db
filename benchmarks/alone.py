"""What is measured without a peer: a rerun with nothing to do, one core beside all, archives of many sizes."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.agreement import agreement, read_ours
from benchmarks.commands import Command
from benchmarks.comparison import Comparison, in_turn
from benchmarks.machine import machine
from benchmarks.processes import BenchmarkError
from benchmarks.setting import Archive, Setting
from benchmarks.throughput import our_command

ONE_CORE = "one-core"


def rerun(workload: str, archive: Archive, setting: Setting) -> Comparison:
    """Score an archive once, then measure doing it again.

    Raises:
        BenchmarkError: it imports TensorFlow for that.
    """
    first = our_command(workload, archive, setting)
    first.measured(setting)
    again = replace(first, output=None)
    traced = replace(again, name=f"{workload}-imports", words=[sys.executable, "-X", "importtime", *first.words[1:]])
    traced.measured(setting)
    if imports((setting.work / f"{traced.name}.log").read_text(errors="replace"), "tensorflow"):
        raise BenchmarkError("a rerun with nothing to do imports TensorFlow")
    runs = [again.measured(setting) for _ in range(setting.pairs)]
    facts = {"tensorflow_imported": False, "commands": {"ours": shlex.join(first.words)}}
    return Comparison(workload, "", archive.images, runs, facts=facts, machine=machine())


def imports(log: str, package: str) -> bool:
    """Return whether a log of `python -X importtime` has a package in it.

    >>> imports("import time:  12 |  34 |   tensorflow", "tensorflow"), imports("import time: 1 | 2 | os", "tensorflow")
    (True, False)
    """
    lines = (line for line in log.splitlines() if line.startswith("import time:"))
    return any(line.rpartition("|")[2].strip() == package for line in lines)


def cores(workload: str, archive: Archive, setting: Setting) -> Comparison:
    """Measure us on all cores beside us on one.

    Raises:
        BenchmarkError: they do not give the same classes.
    """
    everywhere = our_command(workload, archive, setting)
    here = our_command(f"{workload}-{ONE_CORE}", archive, setting)
    pinned = replace(here, words=["taskset", "-c", str(min(os.sched_getaffinity(0))), *here.words])
    for command in (everywhere, pinned):
        command.measured(setting)
    found = agreement(*(read_ours(_output(command)) for command in (everywhere, pinned)))
    facts = {"agreement": asdict(found.require(archive.images, archive.tolerance, ONE_CORE))}
    first, second = in_turn(lambda: everywhere.measured(setting), lambda: pinned.measured(setting), setting.pairs)
    return Comparison(workload, ONE_CORE, archive.images, first, second, facts, machine())


def size(workload: str, archive: Archive, setting: Setting) -> Comparison:
    """Measure us on an archive of some size."""
    us = our_command(workload, archive, setting)
    us.measured(setting)
    runs = [us.measured(setting) for _ in range(setting.pairs)]
    return Comparison(workload, "", archive.images, runs, machine=machine())


def _output(command: Command) -> Path:
    if command.output is None:
        raise BenchmarkError(f"{command.name} has no folder of its own")
    return command.output
