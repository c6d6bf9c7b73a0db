"""Google Cloud Storage: how many requests, what failures mean, who we are; against the emulator."""

from __future__ import annotations

import http.server
import json
import multiprocessing
import os
import pickle
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import gcs_emulator
import google_crc32c
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from gcs_emulator import Emulator

from pipeline import storage
from pipeline.errors import ChangedError, TransientError, UsageError
from pipeline.storage import gcs, gcs_client
from pipeline.storage.gcs import GcsStore

emulator_server = gcs_emulator.emulator_server
emulator = gcs_emulator.emulator
gcs_bucket = gcs_emulator.gcs_bucket

IMPATIENT = GcsStore(retry_seconds=0)
"""Gives up at the first failure."""

UPLOAD, DOWNLOAD, LIST = "POST /upload/", "GET /download/", "/o?"


def locations(pattern: str) -> list[str]:
    return [stored.location for stored in GcsStore().list(pattern)]


class TestListing:
    def test_tells_generation_and_crc32c(self, gcs_bucket: str) -> None:
        for data in (b"first", b"second"):
            storage.replace(gcs_bucket + "/x", data)
            (stored,) = storage.list_objects(gcs_bucket)
            assert stored.size == len(data)
            assert stored.crc32c == google_crc32c.value(data)
            assert storage.read(stored.location, version=stored.version) == data

    def test_comes_page_by_page_as_it_is_asked_for(self, gcs_bucket: str, emulator: Emulator) -> None:
        for i in range(25):
            storage.create(f"{gcs_bucket}/{i:02d}", b"")
        emulator.page_size = 10
        emulator.requests.clear()
        listing = GcsStore().list(gcs_bucket)
        first = [next(listing).location for _ in range(10)]
        assert emulator.count(LIST) == 1
        assert first + [stored.location for stored in listing] == [f"{gcs_bucket}/{i:02d}" for i in range(25)]
        assert emulator.count(LIST) == len(emulator.requests) == 3
        assert [location[-2:] for location in locations(gcs_bucket + "/1*")] == [str(i) for i in range(10, 20)]

    def test_of_what_must_be_a_folder_is_one_request(self, gcs_bucket: str, emulator: Emulator) -> None:
        storage.create(gcs_bucket + "/a/x", b"")
        emulator.requests.clear()
        assert locations(gcs_bucket + "/a/") == [gcs_bucket + "/a/x"]
        assert locations(gcs_bucket + "/b/") == []
        assert len(emulator.requests) == 2

    def test_asks_for_no_more_than_what_is_fixed_in_a_glob(self, gcs_bucket: str, emulator: Emulator) -> None:
        storage.create(gcs_bucket + "/a/2024-1/x", b"")
        emulator.requests.clear()
        assert locations(gcs_bucket + "/a/2024-*/x") == [gcs_bucket + "/a/2024-1/x"]
        assert emulator.count("prefix=a/2024-&") == 1
        assert emulator.count("prefix=&") == 0

    def test_shows_folder_placeholders_for_the_caller_to_count(self, gcs_bucket: str) -> None:
        for name in ("a/", "a/b/", "a/b/x.png", "a//y.png"):
            storage.create(f"{gcs_bucket}/{name}", b"")
        assert locations(gcs_bucket + "/a") == [f"{gcs_bucket}/a{rest}" for rest in ("/", "//y.png", "/b/", "/b/x.png")]
        assert locations(gcs_bucket + "/a/*") == [gcs_bucket + "/a/b/", gcs_bucket + "/a/b/x.png"]
        assert locations(gcs_bucket + "/**/*.png") == [gcs_bucket + "/a//y.png", gcs_bucket + "/a/b/x.png"]

    def test_of_a_name_that_is_object_and_folder_shows_both(self, gcs_bucket: str) -> None:
        for name in ("a", "a/x", "a-b"):
            storage.create(f"{gcs_bucket}/{name}", b"")
        assert locations(gcs_bucket + "/a") == [gcs_bucket + "/a", gcs_bucket + "/a/x"]

    def test_may_be_left_in_the_middle(self, gcs_bucket: str) -> None:
        for name in "ab":
            storage.create(f"{gcs_bucket}/{name}", b"")
        listing = iter(GcsStore().list(gcs_bucket))
        next(listing)
        listing.close()  # type: ignore[attr-defined]


class TestReading:
    @pytest.mark.parametrize(("start", "stop"), [(0, None), (0, 3), (2, 4), (4, 4), (9, None)])
    def test_is_one_request(self, gcs_bucket: str, emulator: Emulator, start: int, stop: int | None) -> None:
        storage.create(gcs_bucket + "/x", b"01234")
        (stored,) = storage.list_objects(gcs_bucket)
        emulator.requests.clear()
        storage.read(stored.location, start, stop, stored.version)
        assert len(emulator.requests) == 1
        assert emulator.count(DOWNLOAD) == emulator.count(f"generation={stored.version}") == 1

    def test_gives_what_is_stored_though_it_is_compressed(self, gcs_bucket: str) -> None:
        data = b"\x1f\x8b\x08 not to be unpacked"
        storage.create(gcs_bucket + "/x.json.gz", data)
        assert storage.read(gcs_bucket + "/x.json.gz") == data

    def test_is_made_again_where_the_connection_broke(self, gcs_bucket: str, emulator: Emulator) -> None:
        data = os.urandom(100_000)
        storage.create(gcs_bucket + "/x", data)
        emulator.fail(DOWNLOAD, cut=40_000)
        assert storage.read(gcs_bucket + "/x") == data
        assert emulator.count(DOWNLOAD) == 2

    def test_uses_as_many_connections_as_threads(
        self, gcs_bucket: str, emulator: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        for i in range(64):
            storage.create(f"{gcs_bucket}/{i}", str(i).encode())
        with ThreadPoolExecutor(GcsStore.parallel_reads) as pool:
            read = list(pool.map(lambda i: storage.read(f"{gcs_bucket}/{i}"), range(64)))
        assert read == [str(i).encode() for i in range(64)]
        assert "pool is full" not in caplog.text


class TestCreating:
    @pytest.mark.parametrize("size", [10, 9 << 20])  # one request, and a resumable upload
    def test_who_is_second_changes_nothing(self, gcs_bucket: str, emulator: Emulator, size: int) -> None:
        assert storage.create(gcs_bucket + "/x", b"1" * size)
        emulator.requests.clear()
        assert not storage.create(gcs_bucket + "/x", b"2" * size)
        assert len(emulator.requests) == 1
        assert storage.read(gcs_bucket + "/x") == b"1" * size

    def test_who_is_overtaken_in_a_long_upload_changes_nothing(self, gcs_bucket: str, emulator: Emulator) -> None:
        contents = [bytes([i]) * (9 << 20) for i in range(4)]
        with ThreadPoolExecutor(4) as pool:
            first = list(pool.map(lambda data: storage.create(gcs_bucket + "/x", data), contents))
        assert sum(first) == 1
        assert storage.read(gcs_bucket + "/x") == contents[first.index(True)]

    @pytest.mark.parametrize(("to", "size"), [(UPLOAD, 10), ("PUT /upload/", 9 << 20)])
    def test_who_was_first_but_did_not_hear_it_is_told(
        self, gcs_bucket: str, emulator: Emulator, to: str, size: int
    ) -> None:
        emulator.fail(to, status=0, carried_out=True)
        assert storage.create(gcs_bucket + "/x", b"x" * size)
        assert storage.read(gcs_bucket + "/x") == b"x" * size

    def test_who_failed_and_then_was_second_is_told(self, gcs_bucket: str, emulator: Emulator) -> None:
        storage.create(gcs_bucket + "/x", b"theirs")
        emulator.fail(UPLOAD, status=503)
        assert not storage.create(gcs_bucket + "/x", b"ours!!")
        assert storage.read(gcs_bucket + "/x") == b"theirs"

    def test_replace_tries_again(self, gcs_bucket: str, emulator: Emulator) -> None:
        emulator.fail(UPLOAD, status=429)
        storage.replace(gcs_bucket + "/x", b"x")
        assert storage.read(gcs_bucket + "/x") == b"x"

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("report.html", "text/html"),
            ("run.json", "application/json"),
            ("table.txt", "text/plain"),
            ("part-1.parquet", "application/octet-stream"),
            ("plan.jsonl.gz", "application/octet-stream"),
        ],
    )
    def test_says_what_a_browser_should_do(self, gcs_bucket: str, emulator: Emulator, name: str, kind: str) -> None:
        storage.create(f"{gcs_bucket}/{name}", b"x")
        assert emulator.storage.get_file_obj(gcs_bucket[5:], name)["contentType"] == kind


VERBS = {
    "list": lambda location: list(IMPATIENT.list(location)),
    "read": lambda location: IMPATIENT.read(location),
    "create": lambda location: IMPATIENT.create(location, b"x"),
    "replace": lambda location: IMPATIENT.replace(location, b"x"),
    "delete": lambda location: IMPATIENT.delete(location),
}


@pytest.mark.parametrize("verb", VERBS)
class TestFailing:
    @pytest.mark.parametrize("status", [408, 410, 429, 500, 502, 503, 504])
    def test_of_the_store_is_transient(self, gcs_bucket: str, emulator: Emulator, verb: str, status: int) -> None:
        emulator.fail("", status=status)
        with pytest.raises(TransientError, match=f"^HTTP {status} at '{gcs_bucket}/x'$"):
            VERBS[verb](gcs_bucket + "/x")

    def test_of_the_connection_is_transient(self, gcs_bucket: str, emulator: Emulator, verb: str) -> None:
        emulator.fail("", status=0)
        with pytest.raises(TransientError, match=f"^ConnectionError at '{gcs_bucket}/x'$"):
            VERBS[verb](gcs_bucket + "/x")

    def test_of_the_network_is_transient(self, verb: str, monkeypatch: pytest.MonkeyPatch, emulator: Emulator) -> None:
        monkeypatch.setenv(gcs_client.EMULATOR, f"http://127.0.0.1:{closed_port()}")
        gcs_client.disconnect()
        with pytest.raises(TransientError, match="ConnectionError at 'gs://bucket/x'"):
            VERBS[verb]("gs://bucket/x")

    def test_of_our_rights_is_a_permission_error(self, gcs_bucket: str, emulator: Emulator, verb: str) -> None:
        emulator.fail("", status=403)
        with pytest.raises(PermissionError, match="HTTP 403") as caught:
            VERBS[verb](gcs_bucket + "/x")
        assert caught.value.filename == gcs_bucket + "/x"

    def test_once_is_tried_again(self, gcs_bucket: str, emulator: Emulator, verb: str) -> None:
        storage.create(gcs_bucket + "/x", b"x")
        emulator.fail("", status=503)
        args = (b"x",) if verb in {"create", "replace"} else ()
        result = getattr(GcsStore(), verb)(gcs_bucket + "/x", *args)
        list(result) if verb == "list" else result

    def test_of_a_missing_bucket(self, emulator: Emulator, verb: str) -> None:
        if verb == "delete":
            storage.delete("gs://no-such-bucket/x")
            return
        expected = FileNotFoundError if verb == "read" else UsageError
        with pytest.raises(expected, match="gs://no-such-bucket"):
            VERBS[verb]("gs://no-such-bucket/x")

    @pytest.mark.parametrize("location", ["gs://", "gs:///x", "gs://buck*/x", "gs://bucket/caf\udce9"])
    def test_of_a_location_that_cannot_be(self, emulator: Emulator, verb: str, location: str) -> None:
        with pytest.raises(UsageError, match=r"names no bucket|is not UTF-8"):
            VERBS[verb](location)
        assert emulator.requests == []


def test_a_missing_object_costs_a_second_request_only_where_a_version_was_planned(
    gcs_bucket: str, emulator: Emulator
) -> None:
    storage.create(gcs_bucket + "/x", b"x")
    emulator.requests.clear()
    for location, version, requests, error in [
        ("/y", None, 1, FileNotFoundError),
        ("/y", 12, 2, FileNotFoundError),
        ("/x", 12, 2, ChangedError),
    ]:
        emulator.requests.clear()
        with pytest.raises(error, match=gcs_bucket + location):
            storage.read(gcs_bucket + location, version=version)
        assert len(emulator.requests) == requests


def test_a_bucket_is_no_object(gcs_bucket: str, emulator: Emulator) -> None:
    for verb in ("read", "create", "replace", "delete"):
        with pytest.raises(UsageError, match="is a bucket, not an object"):
            VERBS[verb](gcs_bucket)
    assert emulator.requests == []


def test_a_damaged_download_is_transient(gcs_bucket: str, emulator: Emulator) -> None:
    storage.create(gcs_bucket + "/x", b"as it was")
    emulator.storage._store.write_bytes(f"{gcs_bucket[5:]}/x", b"as it is!")
    with pytest.raises(TransientError, match=f"DataCorruption at '{gcs_bucket}/x'"):
        IMPATIENT.read(gcs_bucket + "/x")


class TestProcess:
    def test_has_one_client_for_all_threads(self, gcs_bucket: str) -> None:
        start = threading.Barrier(16)

        def client(_: int) -> int:
            start.wait()
            return id(gcs_client.client())

        with ThreadPoolExecutor(16) as pool:
            assert len(set(pool.map(client, range(16)))) == 1

    def test_may_send_a_store_to_another(self, gcs_bucket: str) -> None:
        storage.create(gcs_bucket + "/x", b"x")
        store = pickle.loads(pickle.dumps(GcsStore(retry_seconds=7)))
        assert store.read(gcs_bucket + "/x") == b"x"

    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_may_fork_after_its_first_request(self, gcs_bucket: str) -> None:
        storage.create(gcs_bucket + "/x", b"x")
        child = multiprocessing.get_context("fork").Process(target=_read_in_child, args=(gcs_bucket + "/x",))
        child.start()
        assert storage.read(gcs_bucket + "/x") == b"x"
        child.join(30)
        assert child.exitcode == 7


def _read_in_child(location: str) -> None:
    os._exit(7 if storage.read(location) == b"x" else 1)


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """A process without credentials, on a machine that is not Google's."""
    for name in (gcs_client.EMULATOR, "GOOGLE_APPLICATION_CREDENTIALS", "NO_GCE_CHECK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("GCE_METADATA_IP", f"127.0.0.1:{closed_port()}")
    monkeypatch.setattr(gcs_client, "PRODUCT_NAME", str(tmp_path / "product_name"))
    gcs_client.disconnect()
    yield monkeypatch
    gcs_client.disconnect()


def closed_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


class TestCredentials:
    def test_missing_are_told_at_once(self, stranger: pytest.MonkeyPatch) -> None:
        started = time.monotonic()
        with pytest.raises(UsageError, match="gcloud auth application-default login"):
            storage.read("gs://bucket/x")
        assert time.monotonic() - started < 2

    @pytest.mark.parametrize("text", [None, "", "{}"])
    def test_unusable_are_told_in_one_line(
        self, stranger: pytest.MonkeyPatch, tmp_path: Path, text: str | None
    ) -> None:
        if text is not None:
            (tmp_path / "key.json").write_text(text)
        stranger.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
        with pytest.raises(UsageError, match=r"key\.json") as caught:
            storage.read("gs://bucket/x")
        assert "\n" not in str(caught.value)

    def test_are_looked_for_on_google_s_machines(self, stranger: pytest.MonkeyPatch, tmp_path: Path) -> None:
        assert not gcs_client.on_google_cloud()
        (tmp_path / "product_name").write_text("Google Compute Engine\n")
        assert gcs_client.on_google_cloud()
        stranger.setenv("NO_GCE_CHECK", "true")
        assert not gcs_client.on_google_cloud()

    def test_are_looked_for_where_a_metadata_server_answers(self, stranger: pytest.MonkeyPatch) -> None:
        with loopback(200, {"Metadata-Flavor": "Google"}) as address:
            stranger.setenv("GCE_METADATA_IP", address)
            assert gcs_client.on_google_cloud()
        with loopback(200, {}) as address:
            stranger.setenv("GCE_METADATA_IP", address)
            assert not gcs_client.on_google_cloud()

    @pytest.mark.parametrize(
        ("status", "answer", "error", "text"),
        [
            (200, {"access_token": "token", "expires_in": 3600, "token_type": "Bearer"}, None, ""),
            (400, {"error": "invalid_grant", "error_description": "key revoked"}, PermissionError, "key revoked"),
            (503, {"error": "unavailable"}, TransientError, "RefreshError at 'gs://"),
        ],
    )
    def test_are_exchanged_for_a_token(
        self,
        stranger: pytest.MonkeyPatch,
        emulator: Emulator,
        tmp_path: Path,
        status: int,
        answer: dict[str, object],
        error: type[Exception] | None,
        text: str,
    ) -> None:
        bucket = emulator.bucket()
        stranger.delenv(gcs_client.EMULATOR)
        stranger.setenv("API_ENDPOINT_OVERRIDE", emulator.url)
        stranger.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
        stranger.setattr("google.auth._exponential_backoff.time.sleep", lambda seconds: None)
        with loopback(status, {}, json.dumps(answer).encode()) as address:
            (tmp_path / "key.json").write_text(service_account(f"http://{address}/token"))
            if error is None:
                IMPATIENT.replace(bucket + "/x", b"x")
                assert locations(bucket) == [bucket + "/x"]
            else:
                with pytest.raises(error, match=text):
                    IMPATIENT.read(bucket + "/x")
                assert emulator.requests == []


@contextmanager
def loopback(status: int, headers: dict[str, str], body: bytes = b"") -> Iterator[str]:
    """Serve one answer to everything."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def service_account(token_uri: str) -> str:
    """Return a key file for a token server on loopback."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": "1",
            "private_key": pem,
            "client_email": "scorer@project.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": token_uri,
        }
    )


def test_a_server_that_says_nothing_is_not_waited_for_for_ever(
    gcs_bucket: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.create(gcs_bucket + "/x", b"x")
    monkeypatch.setattr(gcs, "TIMEOUT", 0.1)
    emulator.fail("GET", seconds=0.5, times=1)
    assert GcsStore().read(gcs_bucket + "/x") == b"x"
    emulator.fail("GET", seconds=0.5, times=1)
    with pytest.raises(TransientError, match=f"Timeout at '{gcs_bucket}/x'"):
        IMPATIENT.read(gcs_bucket + "/x")
