"""The one request that is ours: what it sends, what it checks, what it does with a connection."""

from __future__ import annotations

import base64
import gzip
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gcs_emulator
import google_crc32c
import pytest
from gcs_emulator import Emulator
from test_gcs import IMPATIENT, service_account

from pipeline import storage
from pipeline.errors import TransientError
from pipeline.storage import gcs_client
from pipeline.storage.gcs import GcsStore

emulator_server = gcs_emulator.emulator_server
emulator = gcs_emulator.emulator
gcs_bucket = gcs_emulator.gcs_bucket

Answer = tuple[int, dict[str, str], bytes]


class Server:
    """Answers GETs one after another as it is told, and notes what it was asked, and over which connection.

    POSTs are for tokens: the first, the second, ...
    """

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.connections: set[int] = set()
        self.tokens = 0
        self.address = ""


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            server.connections.add(self.client_address[1])
            self._answer(*server.answers.pop(0))

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            server.tokens += 1
            token = {"access_token": f"token-{server.tokens}", "expires_in": 3600, "token_type": "Bearer"}
            self._answer(200, {"Content-Type": "application/json"}, json.dumps(token).encode())

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        server.address = f"http://127.0.0.1:{http.server_address[1]}"
        yield server
        http.shutdown()
        thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A server in the place of Google's, which wants a token."""
    with serving() as started:
        monkeypatch.delenv(gcs_client.EMULATOR, raising=False)
        monkeypatch.setenv("API_ENDPOINT_OVERRIDE", started.address)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
        (tmp_path / "key.json").write_text(service_account(f"{started.address}/token"))
        gcs_client.disconnect()
        yield started
        gcs_client.disconnect()


def good(body: bytes, **headers: str) -> Answer:
    return 200, {**headers}, body


def test_request_is_the_json_api_s_with_token_generation_and_quoted_name(server: Server) -> None:
    server.answers = [good(b"data")]
    assert storage.read("gs://bucket/a b/ü#?%.png", version=7) == b"data"
    ((path, headers),) = server.asked
    assert path == "/download/storage/v1/b/bucket/o/a%20b%2F%C3%BC%23%3F%25.png?alt=media&generation=7"
    assert headers["authorization"] == "Bearer token-1"
    assert headers["accept-encoding"] == "gzip"
    assert "range" not in headers


def test_connection_and_token_are_used_again(server: Server) -> None:
    server.answers = [good(b"1"), good(b"2"), (206, {}, b"3")]
    assert [storage.read("gs://b/x"), storage.read("gs://b/y"), storage.read("gs://b/z", 5, 6)] == [b"1", b"2", b"3"]
    assert len(server.connections) == server.tokens == 1
    assert server.asked[-1][1]["range"] == "bytes=5-5"


def test_token_that_is_refused_is_exchanged_once(server: Server) -> None:
    server.answers = [(401, {}, b"stale"), good(b"data")]
    assert storage.read("gs://b/x") == b"data"
    assert [headers["authorization"] for _, headers in server.asked] == ["Bearer token-1", "Bearer token-2"]
    server.answers = [(401, {}, b"stale"), (401, {}, b"who are you?")]
    with pytest.raises(PermissionError, match="who are you"):
        storage.read("gs://b/x")
    assert server.tokens == 3


def test_after_a_failure_the_connection_is_not_used_again(server: Server) -> None:
    server.answers = [(503, {}, b"busy"), good(b"data")]
    with pytest.raises(TransientError, match="HTTP 503 at 'gs://b/x'"):
        IMPATIENT.read("gs://b/x")
    assert IMPATIENT.read("gs://b/x") == b"data"
    assert len(server.connections) == 2


def hashes(data: bytes) -> str:
    return "md5=abc==,crc32c=" + base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


@pytest.mark.parametrize(
    ("told", "fits"), [(hashes(b"data"), True), (hashes(b"date"), False), ("md5=abc==", True), ("", True)]
)
def test_checksum_of_the_whole_object_is_compared(server: Server, told: str, fits: bool) -> None:
    server.answers = [good(b"data", **{"X-Goog-Hash": told})]
    if fits:
        assert IMPATIENT.read("gs://b/x") == b"data"
        return
    with pytest.raises(TransientError, match="DataCorruption at 'gs://b/x'"):
        IMPATIENT.read("gs://b/x")


def test_checksum_of_the_whole_is_not_compared_with_a_part(server: Server) -> None:
    server.answers = [(206, {"X-Goog-Hash": hashes(b"data")}, b"at")]
    assert storage.read("gs://b/x", 1, 3) == b"at"


def test_stored_compression_is_left_as_it_is(server: Server) -> None:
    data = gzip.compress(b"text")
    server.answers = [good(data, **{"Content-Encoding": "gzip", "X-Goog-Hash": hashes(data)})]
    assert storage.read("gs://b/x.txt") == data


def test_answer_that_is_cut_short_is_transient_and_made_again(server: Server) -> None:
    server.answers = [(200, {"Content-Length": "9", "Connection": "close"}, b"data"), good(b"whole")]
    assert GcsStore().read("gs://b/x") == b"whole"
    assert len(server.asked) == 2


def test_proxy_of_the_environment_is_asked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_ENDPOINT_OVERRIDE", "http://storage.invalid")
    monkeypatch.setenv("http_proxy", server.address)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    gcs_client.disconnect()
    server.answers = [good(b"data")] * 9  # a busy machine asks again
    assert storage.read("gs://b/x") == b"data"
    assert server.asked[0][0].startswith("http://storage.invalid/download/storage/v1/b/b/o/x")


def test_library_reads_where_it_alone_knows_how(
    gcs_bucket: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(1000)
    storage.create(gcs_bucket + "/x", data)
    monkeypatch.setattr(gcs_client, "media", lambda: None)
    assert storage.read(gcs_bucket + "/x") == data
    assert storage.read(gcs_bucket + "/x", 10, 20) == data[10:20]


def test_reading_costs_less_than_the_library_s(gcs_bucket: str, emulator: Emulator) -> None:
    storage.create(gcs_bucket + "/x", b"x" * 300)
    spent: dict[str, float] = {}
    blob = gcs_client.client().bucket(gcs_bucket[5:]).blob("x")
    ways: dict[str, Callable[[], bytes]] = {
        "ours": lambda: storage.read(gcs_bucket + "/x"),
        "library": lambda: blob.download_as_bytes(raw_download=True),
    }
    for _ in range(5):
        for name, read in ways.items():
            started = time.thread_time()
            for _ in range(30):
                read()
            spent[name] = min(spent.get(name, 9.0), time.thread_time() - started)
    assert 1.5 * spent["ours"] < spent["library"]
