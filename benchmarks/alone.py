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
ASKING = """\
import sys, nightscore.__main__
code = nightscore.__main__.main(sys.argv[1:])
print("tensorflow" in sys.modules, flush=True)
sys.exit(code)
"""


def rerun(workload: str, archive: Archive, setting: Setting) -> Comparison:
    """Score an archive once, then measure doing it again.

    Raises:
        BenchmarkError: doing it again imports TensorFlow, or the first time does not, as far as can be seen.
    """
    first = our_command(workload, archive, setting)
    again = replace(first, output=None)
    imported = [imports_tensorflow(command, setting) for command in (first, again)]
    if imported != [True, False]:
        raise BenchmarkError(f"TensorFlow imported by the first run: {imported[0]}, by the second: {imported[1]}")
    runs = [again.measured(setting) for _ in range(setting.pairs)]
    facts = {"tensorflow_imported": imported[1], "commands": {"ours": shlex.join(first.words)}}
    return Comparison(workload, "", archive.images, runs, facts=facts, machine=machine())


def imports_tensorflow(command: Command, setting: Setting) -> bool:
    """Run ours and return whether TensorFlow was imported by its end.

    Asked of the process itself: `-X importtime` writes to stderr, which the command closes while it imports TensorFlow.
    """
    start = command.words.index("score")
    asking = replace(
        command, name=f"{command.name}-imports", words=[sys.executable, "-c", ASKING, *command.words[start:]]
    )
    asking.measured(setting)
    return (setting.work / f"{asking.name}.log").read_text(errors="replace").splitlines()[-1] == "True"


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
    facts = {"agreement": asdict(found.require(archive, ONE_CORE))}
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
