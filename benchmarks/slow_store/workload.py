"""Many small objects in a store that takes 30 ms for each request: who keeps enough of them under way."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import commands
from benchmarks.agreement import agreement, read_ours, read_theirs
from benchmarks.commands import ROOT, Command
from benchmarks.comparison import Comparison, in_turn
from benchmarks.machine import machine
from benchmarks.processes import BenchmarkError, Run
from benchmarks.setting import Archive, Setting
from benchmarks.slow_store.server import BUCKET
from pipeline.storage.gcs_client import CONNECTIONS

LATENCY = 0.03
"""Seconds."""


@dataclass(frozen=True)
class SlowStore:
    """A store that runs.

    Attributes:
        url: where it listens.
        mirror: folder in which what clients wrote is found.
        credentials: file with an account for it.
    """

    url: str
    mirror: Path
    credentials: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes Google's libraries use it."""
        return {
            "STORAGE_EMULATOR_HOST": self.url,
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.credentials),
            "GOOGLE_CLOUD_PROJECT": "benchmark",
            "NO_GCE_CHECK": "true",
        }

    def asked(self) -> dict[str, Any]:
        """Return how many requests came since this was last called, and how many waited at once at most."""
        with urllib.request.urlopen(f"{self.url}/stats") as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@contextlib.contextmanager
def slow_store(folder: Path, work: Path) -> Iterator[SlowStore]:
    """Serve a folder as gs://archive until the body ends."""
    mirror, credentials = work / "store", work / "store-account.json"
    shutil.rmtree(mirror, ignore_errors=True)
    words = [sys.executable, "-m", "benchmarks.slow_store.server", "--folder", str(folder), "--mirror", str(mirror)]
    words += ["--credentials", str(credentials), "--latency", str(LATENCY)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = server.stdout.readline().strip() if server.stdout else ""
            if not port:
                raise BenchmarkError("the store did not start")
            yield SlowStore(f"http://127.0.0.1:{port}", mirror, credentials)
        finally:
            server.kill()


def compare_store(workload: str, archive: Archive, peer: str, setting: Setting) -> Comparison:
    """Measure us beside a peer; both read from the store and write to it, each time to a place where nothing is.

    Every run counts: a peer that asks for one object after the other takes half an hour.

    Raises:
        BenchmarkError: one of them fails, or they do not give the same classes.
    """
    with slow_store(Path(archive.input), setting.work) as store:
        remote = replace(archive, input=f"gs://{BUCKET}")
        runs: dict[str, list[Run]] = {"ours": [], peer: []}
        asked: dict[str, dict[str, Any]] = {}

        def once(name: str) -> Run:
            place = f"{len(runs[name])}-{name}"
            runs[name].append(_command(workload, name, remote, place, store, setting).measured(setting))
            asked[name] = store.asked()
            return runs[name][-1]

        store.asked()
        first, second = in_turn(lambda: once("ours"), lambda: once(peer), setting.pairs)
        found = agreement(
            read_ours(store.mirror / "output" / "0-ours"), read_theirs(store.mirror / "output" / f"0-{peer}")
        )
        agreed = found.require(archive, peer)
        words = {name: shlex.join(_command(workload, name, remote, "OUTPUT", store, setting).words) for name in runs}
        facts = {"agreement": asdict(agreed), "store": {"latency": LATENCY, **asked}, "commands": words}
        facts["limit"] = _limit(asked["ours"], archive.images)
        return Comparison(workload, peer, archive.images, first, second, facts, machine())


def _command(workload: str, name: str, archive: Archive, place: str, store: SlowStore, setting: Setting) -> Command:
    output = f"gs://output/{place}"
    words = commands.ours(archive, output) if name == "ours" else commands.peer(name, archive, output, setting)
    return Command(f"{workload}-{name}", words, None, store.environment)


def _limit(asked: Mapping[str, Any], images: int) -> dict[str, float]:
    """Return what our requests take at least, on all the connections that our client may keep open."""
    seconds = asked["requests"] * LATENCY / CONNECTIONS
    return {"seconds": seconds, "connections": CONNECTIONS, "whole_process_images_per_second": images / seconds}
