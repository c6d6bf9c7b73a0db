"""Google Cloud Storage on loopback, as fixtures: `emulator`, and `gcs_bucket`, the location of an empty bucket.

The PyPI package gcp-storage-emulator, in threads of this process, made stricter where it is more lenient than the
real thing: preconditions and generations hold, listings come in pages, a range behind the end is refused, names are
exact, a finished upload answers again. And it can be told to fail.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from re import fullmatch
from typing import Any
from urllib.parse import unquote

import pytest
from failing_store import SLOW, FailingStore, Server
from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import buckets, objects
from gcp_storage_emulator.server import HANDLERS, Request, Response
from gcp_storage_emulator.storage import Storage, _FileStore

from pipeline import storage
from pipeline.scoring.process_pool import processes
from pipeline.storage import gcs, gcs_client

_numbers = itertools.count()


class Emulator(FailingStore):
    """The server, what it was asked, and what it shall do wrong."""

    def __init__(self) -> None:
        self.storage = _Memory()
        super().__init__()
        self._servers: list[Server] = []
        self.url = self.listen("127.0.0.1")

    def listen(self, address: str) -> str:
        """Answer at an address of this machine as well, and return the URL."""
        server = Server((address, 0), partial(_Handler, self))
        self._servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return f"http://{address}:{server.server_address[1]}"

    def reset(self) -> None:
        super().reset()
        self.finished: dict[str, Any] = {}
        self.storage.wipe()

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def bucket(self) -> str:
        """Make an empty bucket and return its location."""
        name = f"bucket-{next(_numbers)}"
        buckets.create_bucket(name, self.storage)
        return f"gs://{name}"


class _Memory(Storage):  # type: ignore[misc]
    """The package's store, with names kept as they are and without a dump of everything at each write."""

    def __init__(self) -> None:
        super().__init__(use_memory_fs=True)
        self._store = _Exact(use_memory=True)

    def _object_path(self, bucket_name: str, file_name: str) -> str:
        return f"{bucket_name}/{file_name}"

    def _write_config_to_file(self) -> None:
        pass


class _Exact(_FileStore):  # type: ignore[misc]
    @staticmethod
    def _norm(path: str) -> str:
        return path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece: in two, the second waits 40 ms for TCP

    def __init__(self, emulator: Emulator, *args: Any) -> None:
        self.emulator = emulator
        super().__init__(*args)

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def _answer(self, method: str) -> None:
        request, response = Request(self, method), Response(self)
        _ = request.data  # read the body in any case: the connection is used again
        time.sleep(self.emulator.latency)
        fault = self.emulator.asked(f"{method} {unquote(self.path)}")
        if fault is not None:
            time.sleep(fault.seconds)
        if fault is None or fault is SLOW or fault.carried_out or fault.cut is not None:
            self._carry_out(method, request, response)
        if fault is None or fault is SLOW:
            response.close()
            return
        self.close_connection = True
        if fault.cut is not None:
            self._cut_short(response, fault.cut)
        elif fault.status:
            _refuse(Response(self), HTTPStatus(fault.status), fault.message).close()

    def _carry_out(self, method: str, request: Request, response: Response) -> None:
        for pattern, handlers in HANDLERS:
            match = fullmatch(pattern, request.path)
            if match and method in handlers:
                request.set_match(match)
                with self.emulator.lock:
                    _strictly(handlers[method], request, response, self.emulator)
                return
        _refuse(response, HTTPStatus.NOT_IMPLEMENTED)

    def _cut_short(self, response: Response, size: int) -> None:
        content = response._content
        self.send_response(response.status.value)
        for name, value in response._headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:size])


def _strictly(handler: Callable[..., None], request: Request, response: Response, emulator: Emulator) -> None:
    """Carry out a request under the rules of the real thing."""
    session = request.query.get("upload_id", [""])[0]
    if session in emulator.finished:
        response.json(emulator.finished[session])
        return
    bucket, name = _target(request, emulator.storage)
    generation = _generation(emulator.storage, bucket, name)
    wanted = request.query.get("generation")
    if wanted and int(wanted[0]) != generation:
        _refuse(response, HTTPStatus.NOT_FOUND)
        return
    match = request.query.get("ifGenerationMatch")
    if match and int(match[0]) != generation:
        _refuse(response, HTTPStatus.PRECONDITION_FAILED)
        return
    handler(request, response, emulator.storage)
    if session and session not in emulator.storage.resumable and response.status == HTTPStatus.OK:
        emulator.finished[session] = json.loads(response._content)
    if handler is objects.ls and response.status == HTTPStatus.OK:
        _page(request, response, emulator.page_size)
    if response.status == HTTPStatus.PARTIAL_CONTENT and not response._content:
        _refuse(response, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)


def _target(request: Request, storage: Storage) -> tuple[str, str]:
    """Return the bucket and name that the preconditions of a request are about."""
    place = request.params
    if "upload_id" in request.query:
        session = storage.resumable.get(request.query["upload_id"][0], {})
        return session.get("bucket", ""), session.get("name", "")
    if "dest_object_id" in place:
        return place["dest_bucket_name"], place["dest_object_id"]
    if "object_id" in place:
        return place["bucket_name"], place["object_id"]
    data = request.data if isinstance(request.data, dict) else {}
    name = request.query.get("name", [data.get("meta", data).get("name")])[0]
    return place.get("bucket_name", ""), name or ""


def _generation(storage: Storage, bucket: str, name: str) -> int:
    try:
        return int(storage.get_file_obj(bucket, name)["generation"])
    except NotFound:
        return 0


def _page(request: Request, response: Response, page_size: int) -> None:
    listing = json.loads(response._content)
    after = request.query.get("pageToken", [""])[0]
    size = min(page_size, int(request.query.get("maxResults", [page_size])[0]))
    start, stop = (request.query.get(name, [""])[0] for name in ("startOffset", "endOffset"))
    inside = [item for item in listing["items"] if start <= item["name"] and (not stop or item["name"] < stop)]
    items = [item for item in inside if item["name"] > after]
    listing["items"] = items[:size]
    if len(items) > size:
        listing["nextPageToken"] = items[size - 1]["name"]
    response.json(listing)


def _refuse(response: Response, status: HTTPStatus, message: str = "") -> Response:
    response.status = status
    response.json({"error": {"code": status.value, "message": message or status.phrase, "errors": []}})
    return response


@pytest.fixture(scope="session")
def emulator_server() -> Iterator[Emulator]:
    server = Emulator()
    yield server
    server.close()


@pytest.fixture
def emulator(emulator_server: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The emulator, empty, in the place of Google Cloud Storage."""
    emulator_server.reset()
    monkeypatch.setenv(gcs_client.EMULATOR, emulator_server.url)
    monkeypatch.setattr(gcs, "FIRST_WAIT", 0.01)
    gcs_client.disconnect()
    processes().close()  # what is started from now on finds the emulator
    yield emulator_server
    gcs_client.disconnect()
    processes().close()


@pytest.fixture
def gcs_bucket(emulator: Emulator) -> str:
    """The location of an empty bucket."""
    return emulator.bucket()


def upload(folder: Path, location: str) -> None:
    """Store the files of a folder, and of the folders in it, below a location."""
    for path in folder.rglob("*"):
        if path.is_file():
            storage.create(f"{location}/{path.relative_to(folder)}", path.read_bytes())
