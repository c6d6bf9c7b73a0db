"""Engines on loopback, as fixtures: `flink` (JobManager, two TaskManagers) and `spark` (in one process).

Each with Beam's job server and pools of Python workers: one beside each TaskManager, which has a network namespace of
its own, one for Spark. The jars are those that tests/engines/fetch.sh has put into the folder TESTS_ENGINES. Job
servers listen on every interface, so an engine is started only where no interface leads outside: `make flink`.
"""

from __future__ import annotations

import json
import os
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
from engine_hosts import HERE, Host, strange_interfaces
from gcs_emulator import Emulator

from pipeline.storage import gcs_client

JARS = "TESTS_ENGINES"
REST = f"{HERE}:8081"
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

    def __init__(self, jars: Path, folder: Path, emulator: Emulator) -> None:
        self._jars = jars
        self._folder = folder
        self._emulator = emulator
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        raise NotImplementedError

    def flags(self) -> list[str]:
        """What sends a job to it."""
        endpoints = [f"--job_endpoint=localhost:{JOB_PORT}", f"--artifact_endpoint=localhost:{ARTIFACT_PORT}"]
        environment = ["--environment_type=EXTERNAL", f"--environment_config=localhost:{POOL_PORT}"]
        return ["--runner=PortableRunner", *endpoints, *environment, "--parallelism=2"]

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
        server = self.java(jars, "-Xmx1g", driver, *places, *ports)
        self.until(lambda: _listens(server, JOB_PORT), "the job server listens")

    def start_pool(self, host: Host | None = None) -> None:
        """Start a pool of workers that use the emulated Google Cloud Storage."""
        module = "apache_beam.runners.worker.worker_pool_main"
        variables = {
            gcs_client.EMULATOR: self._emulator.listen(HERE) if host else self._emulator.url,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # it starts workers as "python"
        }
        pool = self.run("pool", sys.executable, "-m", module, f"--service_port={POOL_PORT}", host=host, **variables)
        self.until(lambda: _listens(pool, POOL_PORT), "the worker pool listens")

    def java(self, jars: str, *words: str, host: Host | None = None) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(str(jar) for jar in sorted((self._jars / jars).glob("*.jar")))
        options = [word for word in words if word.startswith("-X")]
        rest = [word for word in words if not word.startswith("-X")]
        return self.run(rest[0].rpartition(".")[2], "java", *options, *OPENS, "-cp", path, *rest, host=host)

    def run(self, name: str, *words: str, host: Host | None = None, **variables: str) -> subprocess.Popen[bytes]:
        """Start a process, here or on another host, with more variables in its environment."""
        command, variables = host.words(*words) if host else words, {**os.environ, **variables}
        with open(self._folder / f"{len(self._processes)}-{name}.log", "wb") as log:
            process = subprocess.Popen(
                command, env=variables, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
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
        self._hosts = [Host(number) for number in range(2, 2 + TASK_MANAGERS)]
        shutil.copy(Path(__file__).parent / "flink.yaml", self._folder / "config.yaml")
        entry = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
        self.java("flink", "-Xmx448m", entry, "--configDir", str(self._folder), "--executionMode", "cluster")
        self.until(lambda: self.ask("overview") is not None, "the JobManager answers")
        self._task_managers = [self.start_task_manager(host) for host in self._hosts]
        for host in self._hosts:
            self.start_pool(host)
        driver = "org.apache.beam.runners.flink.FlinkJobServerDriver"
        self.start_job_server("flink-job-server", driver, f"--flink-master={REST}")

    def start_task_manager(self, host: Host) -> subprocess.Popen[bytes]:
        before = self._slots()
        entry = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
        memory = ("-Xmx500m", "-XX:MaxDirectMemorySize=400m")
        place = [word for name in ("host", "bind-host") for word in ("-D", f"taskmanager.{name}={host.address}")]
        started = self.java("flink", *memory, entry, "--configDir", str(self._folder), *place, host=host)
        self.until(lambda: self._slots() > before, "a TaskManager offers its slots")
        return started

    def close(self) -> None:
        super().close()
        for host in self._hosts:
            host.close()

    def kill_task_manager(self) -> None:
        """Kill the oldest one, as the kernel does where memory ran out."""
        self._task_managers.pop(0).kill()

    def ask(self, path: str) -> Any:
        """Return what Flink's REST API answers; None where nobody does."""
        try:
            with urllib.request.urlopen(f"http://{REST}/{path}", timeout=5) as answer:
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
        self.start_pool()


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    """Return whether somebody listens on a port of the network that a process is in.

    Raises:
        ChildProcessError: the process has ended: the log beside its name says why.
    """
    if process.poll() is not None:
        raise ChildProcessError(f"{process.args} has ended with {process.returncode} and does not listen on {port}")
    wanted = f":{port:04X}"
    tables = [Path(f"/proc/{process.pid}/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    return any(line.split()[1].endswith(wanted) and line.split()[3] == "0A" for table in tables for line in table)


E_ = TypeVar("E_", bound=Engine)


def _started(kind: type[E_], folder: Path, emulator: Emulator) -> Iterator[E_]:
    """Yield an engine whose workers use the emulated Google Cloud Storage; skip where its parts are not there."""
    jars = Path(os.environ.get(JARS, "/nonexistent"))
    if shutil.which("java") is None or not (jars / ".fetched").exists():
        pytest.skip(f"{kind.__name__}: no java, or its jars are not fetched: make flink")
    if strange_interfaces():
        pytest.skip(f"{kind.__name__}: this network has other interfaces than loopback: make flink")
    engine = kind(jars, folder, emulator)
    try:
        engine.start()
        yield engine
    finally:
        engine.close()


@pytest.fixture(scope="module")
def flink(tmp_path_factory: pytest.TempPathFactory, emulator_server: Emulator) -> Iterator[Flink]:
    yield from _started(Flink, tmp_path_factory.mktemp("flink"), emulator_server)


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory, emulator_server: Emulator) -> Iterator[Spark]:
    yield from _started(Spark, tmp_path_factory.mktemp("spark"), emulator_server)
