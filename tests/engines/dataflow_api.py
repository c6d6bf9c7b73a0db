"""Google Cloud Dataflow on loopback, as a fixture: `dataflow`. Its REST API is a fake, the work is done.

A job that is created is taken from where it was staged (the pipeline's proto) and run by Beam's own runner in a process
of its own, which gets nothing else from the one that submitted it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from apache_beam.runners.dataflow import dataflow_runner
from gcs_emulator import Emulator

WORKER = Path(__file__).parent / "dataflow_worker.py"
TERMINAL = ("JOB_STATE_DONE", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED")


@dataclass
class Job:
    """A job as the service knows it.

    Attributes:
        request: the body that created it.
        state: of the job.
        log: what its process wrote.
        process: that does the work.
    """

    request: dict[str, Any]
    state: str = "JOB_STATE_PENDING"
    log: str = ""
    process: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> dict[str, Any]:
        found: dict[str, Any] = self.request["environment"]
        return found


@dataclass
class Dataflow:
    """The service.

    Attributes:
        jobs: by id.
        works: whether jobs are carried out; else they stay as they are.
        refuses: what it answers instead of taking a job: (status, message).
    """

    jobs: dict[str, Job] = field(default_factory=dict)
    works: bool = True
    refuses: tuple[int, str] | None = None
    url: str = ""

    def flags(self, bucket: str) -> list[str]:
        return [
            "--runner=DataflowRunner",
            "--project=night",
            "--region=us-central1",
            f"--temp_location={bucket}/tmp",
            f"--dataflow_endpoint={self.url}",
            "--no_auth",
            "--sdk_container_image=example.com/nightscore",
        ]

    def create(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.refuses is not None:
            return self.refuses[0], {"error": {"code": self.refuses[0], "message": self.refuses[1]}}
        name = f"2026-11-22_00_00_00-{len(self.jobs) + 1}"
        self.jobs[name] = job = Job(request)
        if self.works:
            threading.Thread(target=_work, args=(job,), daemon=True).start()
        return 200, self.shown(name)

    def shown(self, name: str) -> dict[str, Any]:
        job = self.jobs[name]
        return {
            **{key: job.request[key] for key in ("name", "type", "clientRequestId") if key in job.request},
            "id": name,
            "projectId": "night",
            "location": "us-central1",
            "currentState": job.state,
            "createTime": "2026-11-22T00:00:00Z",
        }

    def messages(self, name: str) -> list[dict[str, Any]]:
        job = self.jobs[name]
        if job.state != "JOB_STATE_FAILED":
            return []
        return [
            {
                "id": "1",
                "time": "2026-11-22T00:00:01Z",
                "messageText": job.log,
                "messageImportance": "JOB_MESSAGE_ERROR",
            }
        ]

    def ask(self, name: str, state: str) -> None:
        job = self.jobs[name]
        job.state = state
        if job.process is not None:
            job.process.kill()


def _work(job: Job) -> None:
    """Run a job from what was staged."""
    staged = next(
        option["value"]
        for option in job.environment["sdkPipelineOptions"]["display_data"]
        if option["key"] == "staging_location"
    )
    job.process = subprocess.Popen(
        [sys.executable, str(WORKER), f"{staged}/pipeline.pb"],
        cwd="/",
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(WORKER.parents[2]), *sys.path])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    job.state = "JOB_STATE_RUNNING"
    job.log = job.process.communicate()[0]
    if job.state not in TERMINAL:
        job.state = "JOB_STATE_FAILED" if job.process.returncode else "JOB_STATE_DONE"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def __init__(self, service: Dataflow, *args: Any) -> None:
        self._service = service
        super().__init__(*args)

    def _send(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        return body

    def do_POST(self) -> None:
        body = self._body()
        if re.fullmatch(r"/v1b3/projects/night/locations/us-central1/jobs(\?.*)?", self.path):
            self._send(*self._service.create(body))
        else:
            self._send(404, {"error": {"code": 404, "message": f"no {self.path}"}})

    def do_PUT(self) -> None:
        body = self._body()
        name = self.path.split("/jobs/")[1].split("?")[0]
        self._service.ask(name, body["requestedState"])
        self._send(200, self._service.shown(name))

    def do_GET(self) -> None:
        found = re.match(r"/v1b3/projects/night/locations/us-central1/jobs/([^/?]+)(/messages|/metrics)?", self.path)
        if not found or found[1] not in self._service.jobs:
            self._send(404, {"error": {"code": 404, "message": f"no {self.path}"}})
        elif found[2] == "/messages":
            self._send(200, {"jobMessages": self._service.messages(found[1])})
        elif found[2] == "/metrics":
            self._send(200, {"metrics": []})
        else:
            self._send(200, self._service.shown(found[1]))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def dataflow(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dataflow]:
    """The service, without jobs; it and its workers use the emulated Google Cloud Storage. Beam asks it often."""
    monkeypatch.setattr(dataflow_runner, "time", SimpleNamespace(time=time.time, sleep=lambda s: time.sleep(s / 50)))
    service = Dataflow()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, service))
    service.url = f"http://localhost:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield service
    for job in service.jobs.values():
        if job.process is not None:
            job.process.kill()
    server.shutdown()
    server.server_close()
