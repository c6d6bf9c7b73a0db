"""What is measured otherwise: a rerun with nothing to do, one core beside all, archives of many sizes, our parent."""

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
from benchmarks.processes import BenchmarkError, Run
from benchmarks.setting import Archive, Setting
from benchmarks.throughput import check, our_command, pair

ONE_CORE = "one-core"
ASKING = """\
import sys, nightscore.__main__
code = nightscore.__main__.main(sys.argv[1:])
print("tensorflow" in sys.modules, flush=True)
sys.exit(code)
"""


def rerun(workload: str, archive: Archive, peer: str, setting: Setting) -> Comparison:
    """Let us and a peer score an archive once, then measure both doing it again.

    Raises:
        BenchmarkError: doing it again imports TensorFlow, or they do not give the same classes.
    """
    first = pair(workload, archive, peer, setting)
    for command in first:
        command.measured(setting)
    agreed = check(*first, archive)
    us, them = (replace(command, output=None) for command in first)
    if imports_tensorflow(us, setting):
        raise BenchmarkError("a rerun with nothing to do imports TensorFlow")
    us.measured(setting)
    them.measured(setting)
    ours, others = in_turn(lambda: us.measured(setting), lambda: them.measured(setting), setting.pairs)
    facts = {"agreement": agreed, "commands": {"ours": shlex.join(us.words), peer: shlex.join(them.words)}}
    return Comparison(workload, peer, archive.images, ours, others, facts, machine())


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


def parent(workload: str, archive: Archive, few: Archive, setting: Setting) -> Comparison:
    """Measure the CPU time of our parent process, start-up apart.

    Each run is followed by one over a few images; what the parent takes for these is its start-up, and is subtracted.

    Args:
        workload: its name.
        archive: to be scored.
        few: some images of the same kind, with the same model.
        setting: how.
    """
    many, start = our_command(workload, archive, setting), our_command(f"{workload}-start", few, setting)
    for command in (many, start):
        command.measured(setting)
    runs, starts = in_turn(lambda: many.measured(setting), lambda: start.measured(setting), setting.pairs)
    images = archive.images - few.images
    spent = [parent_seconds(run) - parent_seconds(begun) for run, begun in zip(runs, starts, strict=True)]
    facts = {
        "parent": {
            "microseconds_an_image": [round(1e6 * seconds / images, 3) for seconds in spent],
            "start_up_seconds": [parent_seconds(run) for run in starts],
            "start_up_images": few.images,
        },
        "commands": {"ours": shlex.join(many.words)},
    }
    return Comparison(workload, "", archive.images, runs, facts=facts, machine=machine())


def parent_seconds(run: Run) -> float:
    """Return the CPU seconds of a run's own process.

    Raises:
        BenchmarkError: they were not measured.
    """
    if run.parent is None:
        raise BenchmarkError("the CPU time of the command's own process is not known")
    return run.parent


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
