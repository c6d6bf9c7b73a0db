"""S3 on loopback, as fixtures: `s3_server`, and `s3_bucket`, the location of an empty bucket.

The PyPI package moto, in threads of this process, behind a proxy that can be told to fail, and that lets one request
that changes something pass at a time: moto looks and then stores, the real thing does both at once.
"""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote

import pytest
from failing_store import SLOW, FailingStore, Server

from pipeline.scoring.process_pool import processes

_numbers = itertools.count()

_NOT_PASSED = {"connection", "content-length", "date", "server", "transfer-encoding"}


class S3Server(FailingStore):
    """The proxy, what it was asked, and what it shall do wrong."""

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        self._moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._moto.start()
        self.behind = "{}:{}".format(*self._moto.get_host_and_port())
        super().__init__()
        self._server = Server(("127.0.0.1", 0), partial(_Handler, self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def reset(self) -> None:
        super().reset()
        self.ask("POST", "/moto-api/reset")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._moto.stop()

    def bucket(self) -> str:
        """Make an empty bucket and return its location."""
        name = f"bucket-{next(_numbers)}"
        self.ask("PUT", f"/{name}")
        return f"s3://{name}"

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Ask moto, without the proxy."""
        connection = http.client.HTTPConnection(self.behind, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def __init__(self, server: S3Server, *args: Any) -> None:
        self.s3 = server
        super().__init__(*args)

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(self.s3.latency)
        fault = self.s3.asked(f"{self.command} {unquote(self.path)}")
        if fault is not None:
            time.sleep(fault.seconds)
        answer = None
        if fault is None or fault is SLOW or fault.carried_out or fault.cut is not None:
            answer = self._carry_out(body)
        if answer is not None and (fault is None or fault is SLOW):
            self._answer(*answer)
            return
        self.close_connection = True
        if answer is not None and fault is not None and fault.cut is not None:
            self._answer(*answer, cut=fault.cut)
        elif fault is not None and fault.status:
            self._refuse(HTTPStatus(fault.status), fault.message)

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def _carry_out(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        path, headers = self.path, dict(self.headers.items())
        if "list-type=2" in path:
            path += f"&max-keys={self.s3.page_size}"
        if self.command in ("GET", "HEAD"):
            return self.s3.ask(self.command, path, body, headers)
        with self.s3.lock:
            return self.s3.ask(self.command, path, body, headers)

    def _answer(self, answer: http.client.HTTPResponse, body: bytes, cut: int | None = None) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _NOT_PASSED:
                self.send_header(name, value)
        length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(body[:cut])

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        body = f"<Error><Code>{message}</Code></Error>".encode() if message else b""
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)


@pytest.fixture(scope="session")
def s3_server_process() -> Iterator[S3Server]:
    pytest.importorskip("obstore", reason="the extra nightscore[s3] is not installed")
    pytest.importorskip("moto", reason="moto is not installed")
    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def s3_server(s3_server_process: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """The server, empty, in the place of S3."""
    from pipeline.storage import cloud, cloud_clients

    s3_server_process.reset()
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server_process.url,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cloud, "FIRST_WAIT", 0.01)
    cloud_clients.disconnect()
    processes().close()  # what is started from now on finds the server
    yield s3_server_process
    cloud_clients.disconnect()
    processes().close()


@pytest.fixture
def s3_bucket(s3_server: S3Server) -> str:
    """The location of an empty bucket."""
    return s3_server.bucket()
