"""Engines on loopback, as fixtures: `flink` (JobManager, two TaskManagers) and `spark` (in one process).

Each with Beam's job server. TaskManagers start their Python workers, Spark asks a pool for them. The jars are those
that tests/engines/fetch.sh has put into the folder NIGHTSCORE_ENGINES. Job servers listen on every interface, so an
engine is started only in a network namespace that has no other than loopback: `make flink`.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from gcs_emulator import Emulator

from pipeline.storage import gcs_client

JARS = "NIGHTSCORE_ENGINES"
REST = "http://localhost:8081"
JOB_PORT, ARTIFACT_PORT, POOL_PORT = 8099, 8098, 50000
TASK_MANAGERS = 2
PACKAGES = (
    *("lang", "lang.invoke", "lang.reflect", "net", "io", "nio", "text"),
    *("security", "util", "util.concurrent", "util.concurrent.atomic"),
)
OPENS = [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in PACKAGES]
OPENS += [f"--add-opens=java.base/sun.{name}=ALL-UNNAMED" for name in ("nio.ch", "nio.cs", "security.action")]
OPENS += ["--add-opens=java.base/sun.util.calendar=ALL-UNNAMED", "--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED"]


class Engine:
    """The processes of an engine, each in a group of its own, and their logs in a folder."""

    def __init__(self, jars: Path, folder: Path) -> None:
        self._jars = jars
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        raise NotImplementedError

    def flags(self) -> list[str]:
        """What sends a job to it."""
        endpoints = [f"--job_endpoint=localhost:{JOB_PORT}", f"--artifact_endpoint=localhost:{ARTIFACT_PORT}"]
        return ["--runner=PortableRunner", *endpoints, *self.workers(), "--parallelism=2"]

    def workers(self) -> list[str]:
        """What says where its Python workers come from."""
        raise NotImplementedError

    def close(self) -> None:
        for process in self._processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            process.wait()

    def start_job_server(self, jars: str, driver: str, master: str) -> None:
        ports = [f"--job-port={JOB_PORT}", f"--artifact-port={ARTIFACT_PORT}", "--expansion-port=0"]
        places = [master, "--job-host=localhost", f"--artifacts-dir={self._folder}/artifacts"]
        self.java(jars, "-Xmx1g", driver, *places, *ports)
        self.until(lambda: _listens(JOB_PORT), "the job server listens")

    def java(self, jars: str, *words: str) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(str(jar) for jar in sorted((self._jars / jars).glob("*.jar")))
        options = [word for word in words if word.startswith("-X")]
        rest = [word for word in words if not word.startswith("-X")]
        return self.run(rest[0].rpartition(".")[2], "java", *options, *OPENS, "-cp", path, *rest)

    def run(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        with open(self._folder / f"{len(self._processes)}-{name}.log", "wb") as log:
            process = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        self._processes.append(process)
        return process

    def until(self, holds: Callable[[], bool], what: str, seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                logs = {path.name: path.read_text(errors="replace")[-2000:] for path in self._folder.glob("*.log")}
                raise TimeoutError(f"not after {seconds:g} s: {what}; logs: {logs}")
            time.sleep(0.2)


class Flink(Engine):
    """A session cluster, and what it says of itself."""

    def start(self) -> None:
        self._task_managers: list[subprocess.Popen[bytes]] = []
        shutil.copy(Path(__file__).parent / "engines" / "flink.yaml", self._folder / "config.yaml")
        entry = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
        self.java("flink", "-Xmx448m", entry, "--configDir", str(self._folder), "--executionMode", "cluster")
        self.until(lambda: self.ask("overview") is not None, "the JobManager answers")
        for _ in range(TASK_MANAGERS):
            self.start_task_manager()
        driver = "org.apache.beam.runners.flink.FlinkJobServerDriver"
        self.start_job_server("flink-job-server", driver, "--flink-master=localhost:8081")

    def workers(self) -> list[str]:
        command = self._folder / "worker"
        script = Path(__file__).parent / "engines" / "worker.py"
        command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(script))} "$@"\n')
        command.chmod(0o755)
        return ["--environment_type=PROCESS", f"--environment_config={json.dumps({'command': str(command)})}"]

    def start_task_manager(self) -> None:
        before = self._slots()
        entry = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
        memory = ("-Xmx500m", "-XX:MaxDirectMemorySize=400m")
        self._task_managers.append(self.java("flink", *memory, entry, "--configDir", str(self._folder)))
        self.until(lambda: self._slots() > before, "a TaskManager offers its slots")

    def kill_task_manager(self) -> None:
        """Kill the oldest one, as the kernel does where memory ran out."""
        self._task_managers.pop(0).kill()

    def ask(self, path: str) -> Any:
        """Return what Flink's REST API answers; None where nobody does."""
        try:
            with urllib.request.urlopen(f"{REST}/{path}", timeout=5) as answer:
                return json.load(answer)
        except OSError:
            return None

    def last_job(self) -> dict[str, Any]:
        jobs = self.ask("jobs/overview")["jobs"]
        found: dict[str, Any] = max(jobs, key=lambda job: job["start-time"])
        return found

    def exceptions_of(self, job: str) -> list[dict[str, Any]]:
        """What made Flink start parts of a job again."""
        found: list[dict[str, Any]] = self.ask(f"jobs/{job}/exceptions")["exceptionHistory"]["entries"]
        return found

    def _slots(self) -> int:
        return int((self.ask("overview") or {"slots-total": 0})["slots-total"])


class Spark(Engine):
    """Spark in its job server's process."""

    def start(self) -> None:
        driver = "org.apache.beam.runners.spark.SparkJobServerDriver"
        self.start_job_server("spark-job-server", driver, "--spark-master-url=local[2]")
        pool = "apache_beam.runners.worker.worker_pool_main"
        self.run("pool", sys.executable, "-m", pool, f"--service_port={POOL_PORT}")
        self.until(lambda: _listens(POOL_PORT), "the worker pool listens")

    def workers(self) -> list[str]:
        return ["--environment_type=EXTERNAL", f"--environment_config=localhost:{POOL_PORT}"]


def _listens(port: int) -> bool:
    wanted = f":{port:04X}"
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    return any(line.split()[1].endswith(wanted) and line.split()[3] == "0A" for table in tables for line in table)


E_ = TypeVar("E_", bound=Engine)


def _started(kind: type[E_], folder: Path, emulator: Emulator) -> Iterator[E_]:
    """Yield an engine whose workers use the emulated Google Cloud Storage; skip where its parts are not there."""
    jars = Path(os.environ.get(JARS, "/nonexistent"))
    if shutil.which("java") is None or not (jars / ".fetched").exists():
        pytest.skip(f"{kind.__name__}: no java, or its jars are not fetched: make flink")
    interfaces = [line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]]
    if interfaces != ["lo"]:
        pytest.skip(f"{kind.__name__}: this network has other interfaces than loopback: make flink")
    os.environ[gcs_client.EMULATOR] = emulator.url  # for what is started from here on
    engine = kind(jars, folder)
    try:
        engine.start()
        yield engine
    finally:
        engine.close()
        del os.environ[gcs_client.EMULATOR]


@pytest.fixture(scope="module")
def flink(tmp_path_factory: pytest.TempPathFactory, emulator_server: Emulator) -> Iterator[Flink]:
    yield from _started(Flink, tmp_path_factory.mktemp("flink"), emulator_server)


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory, emulator_server: Emulator) -> Iterator[Spark]:
    yield from _started(Spark, tmp_path_factory.mktemp("spark"), emulator_server)
