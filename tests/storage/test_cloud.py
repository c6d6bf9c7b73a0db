"""S3 and Azure: how many requests, what failures mean, who we are; against moto behind a proxy that fails."""

from __future__ import annotations

import contextlib
import datetime
import os
import pickle
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from s3_server import S3Server

from pipeline import storage
from pipeline.errors import ChangedError, TransientError, UsageError
from pipeline.storage import gcs_listing

pytest.importorskip("obstore", reason="the extra nightscore[s3] is not installed")

from pipeline.storage import cloud, cloud_clients
from pipeline.storage.cloud import CloudStore

if TYPE_CHECKING:
    from collections.abc import Mapping

S3 = CloudStore("s3://")
IMPATIENT = CloudStore("s3://", retry_seconds=0)
"""Gives up at the first failure."""

LIST = "list-type=2"


def locations(pattern: str) -> list[str]:
    return [stored.location for stored in S3.list(pattern)]


def put(bucket: str, *names: str) -> None:
    for name in names:
        assert storage.create(f"{bucket}/{name}", b"x")


class TestListing:
    def test_comes_page_by_page_as_it_is_asked_for(
        self, s3_bucket: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(s3_bucket, *(f"{i:02d}" for i in range(25)))
        monkeypatch.setattr(cloud, "PAGE", 10)
        s3_server.page_size = 10
        s3_server.requests.clear()
        listing = S3.list(s3_bucket)
        first = [next(listing).location for _ in range(10)]
        assert s3_server.count(LIST) <= 2
        assert first + [stored.location for stored in listing] == [f"{s3_bucket}/{i:02d}" for i in range(25)]
        assert s3_server.count(LIST) == len(s3_server.requests) == 3

    def test_of_what_must_be_a_folder_is_one_request(self, s3_bucket: str, s3_server: S3Server) -> None:
        put(s3_bucket, "a/x")
        s3_server.requests.clear()
        assert locations(s3_bucket + "/a/") == [s3_bucket + "/a/x"]
        assert locations(s3_bucket + "/b/") == []
        assert len(s3_server.requests) == 2

    def test_begins_where_what_is_fixed_in_a_glob_begins_and_ends_behind_it(
        self, s3_bucket: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before, behind = [f"a/2023-{i:02d}/x" for i in range(30)], [f"a/2025-{i:02d}/x" for i in range(30)]
        put(s3_bucket, *before, "a/2024-1/x", *behind)
        monkeypatch.setattr(cloud, "PAGE", 10)
        s3_server.page_size = 10
        s3_server.requests.clear()
        assert locations(s3_bucket + "/a/2024-*/x") == [s3_bucket + "/a/2024-1/x"]
        assert s3_server.count("prefix=a/&") == s3_server.count("start-after=a/2024") == s3_server.count("") - 2 <= 2

    @pytest.mark.parametrize("many", [1, 7, 40])
    def test_in_ranges_leaves_nothing_out(
        self, s3_bucket: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, many: int
    ) -> None:
        choose = Random(many)
        letters = ["0", "1", "9", "a", "b", "f", "Z", "/", "-", " ", "é", "\x80", "\ue000", "~", "!"]
        words = {"".join(choose.choices(letters, k=choose.randrange(1, 7))).strip("/") for _ in range(many)}
        names = sorted(word for word in words if word and "//" not in word)
        put(s3_bucket, *(f"n/{name}" for name in names))
        monkeypatch.setattr(cloud, "PAGE", 4)
        monkeypatch.setattr(gcs_listing, "PAGES", 2)
        s3_server.page_size = 4
        assert locations(s3_bucket) == locations(s3_bucket + "/n/") == [f"{s3_bucket}/n/{name}" for name in names]

    def test_shows_folder_placeholders_for_the_caller_to_count(self, s3_bucket: str, s3_server: S3Server) -> None:
        for name in ("a/", "a/b/", "a-/", "a/b/empty", "a/b/x.png"):
            s3_server.ask("PUT", f"/{s3_bucket[5:]}/{name}", b"x" if name.endswith(".png") else b"")
        shown = [f"{s3_bucket}/{rest}" for rest in ("a-/", "a/", "a/b/", "a/b/empty", "a/b/x.png")]
        assert locations(s3_bucket) == shown
        assert locations(s3_bucket + "/a") == shown[1:]

    def test_of_a_name_that_is_object_and_folder_shows_both(self, s3_bucket: str) -> None:
        put(s3_bucket, "a", "a/x", "a-b")
        assert locations(s3_bucket + "/a") == [s3_bucket + "/a", s3_bucket + "/a/x"]

    def test_with_a_name_that_cannot_be_asked_for_is_refused_and_not_shortened(
        self, s3_bucket: str, s3_server: S3Server
    ) -> None:
        put(s3_bucket, "a/x")
        s3_server.ask("PUT", f"/{s3_bucket[5:]}/a//y.png", b"x")
        with pytest.raises(UsageError, match=f"at '{s3_bucket}/a/' is a name with an empty folder"):
            locations(s3_bucket + "/a")

    def test_out_of_order_is_refused(self, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
        page = [{"path": name, "size": 1, "e_tag": name, "last_modified": None} for name in ("b", "a")]
        monkeypatch.setattr(cloud.obstore, "list", lambda *args, **kwargs: iter([page]))
        with pytest.raises(UsageError, match=r"out of order \('a' after 'b'\)"):
            locations(s3_bucket + "/")


class TestReading:
    @pytest.mark.parametrize(("start", "stop"), [(0, None), (0, 3), (2, 4), (4, 4), (2, None)])
    def test_is_one_request(self, s3_bucket: str, s3_server: S3Server, start: int, stop: int | None) -> None:
        storage.create(s3_bucket + "/x", b"01234")
        (stored,) = storage.list_objects(s3_bucket)
        s3_server.requests.clear()
        assert storage.read(stored.location, start, stop, stored.version) == b"01234"[start:stop]
        assert s3_server.requests == [f"GET {s3_bucket[4:]}/x"]

    def test_behind_the_end_tells_what_has_changed_as_well(self, s3_bucket: str) -> None:
        storage.create(s3_bucket + "/x", b"01234")
        (stored,) = storage.list_objects(s3_bucket)
        assert storage.read(stored.location, 9, None, stored.version) == b""
        storage.replace(stored.location, b"0123")
        with pytest.raises(ChangedError):
            storage.read(stored.location, 9, None, stored.version)

    @pytest.mark.parametrize("store", [S3, IMPATIENT])
    def test_never_gives_half_of_what_there_is(self, s3_bucket: str, s3_server: S3Server, store: CloudStore) -> None:
        data = os.urandom(100_000)
        storage.create(s3_bucket + "/x", data)
        s3_server.fail("GET", cut=40_000)
        with contextlib.suppress(TransientError):
            assert store.read(s3_bucket + "/x") == data

    def test_works_in_many_threads(self, s3_bucket: str) -> None:
        put(s3_bucket, *map(str, range(64)))
        with ThreadPoolExecutor(S3.parallel_reads) as pool:
            assert list(pool.map(lambda i: storage.read(f"{s3_bucket}/{i}"), range(64))) == [b"x"] * 64


class TestCreating:
    @pytest.mark.parametrize("size", [10, 9 << 20])
    def test_who_is_second_changes_nothing(self, s3_bucket: str, s3_server: S3Server, size: int) -> None:
        assert storage.create(s3_bucket + "/x", b"1" * size)
        s3_server.requests.clear()
        assert not storage.create(s3_bucket + "/x", b"2" * size)
        assert len(s3_server.requests) == 1
        assert storage.read(s3_bucket + "/x") == b"1" * size

    @pytest.mark.parametrize("status", [0, 500, 503])
    def test_who_was_first_but_did_not_hear_it_is_told(self, s3_bucket: str, s3_server: S3Server, status: int) -> None:
        s3_server.fail("PUT", status=status, carried_out=True)
        assert storage.create(s3_bucket + "/x", b"ours")
        assert storage.read(s3_bucket + "/x") == b"ours"
        assert s3_server.count("PUT") == 2

    def test_who_failed_and_then_was_second_is_told(self, s3_bucket: str, s3_server: S3Server) -> None:
        storage.create(s3_bucket + "/x", b"theirs")
        s3_server.fail("PUT", status=503)
        assert not storage.create(s3_bucket + "/x", b"ours!!")
        assert storage.read(s3_bucket + "/x") == b"theirs"

    def test_a_conflict_is_no_answer(self, s3_bucket: str, s3_server: S3Server) -> None:
        s3_server.fail("PUT", status=409, message="ConditionalRequestConflict")
        assert storage.create(s3_bucket + "/x", b"ours")
        s3_server.fail("PUT", status=409, message="ConditionalRequestConflict")
        assert not storage.create(s3_bucket + "/x", b"ours"), "the other one's, though the bytes are the same"

    def test_replace_tries_again(self, s3_bucket: str, s3_server: S3Server) -> None:
        s3_server.fail("PUT", status=503)
        storage.replace(s3_bucket + "/x", b"x" * (6 << 20))
        assert storage.read(s3_bucket + "/x") == b"x" * (6 << 20)

    @pytest.mark.parametrize(
        ("name", "kind"), [("report.html", "text/html"), ("plan.jsonl.gz", "application/octet-stream")]
    )
    def test_says_what_a_browser_should_do(self, s3_bucket: str, s3_server: S3Server, name: str, kind: str) -> None:
        storage.create(f"{s3_bucket}/{name}", b"x")
        found = cloud.obstore.get(cloud_clients.client("s3://", s3_bucket[5:], 0), name)
        assert found.attributes["Content-Type"] == kind


VERBS: Mapping[str, Callable[[str], Any]] = {
    "list": lambda location: list(IMPATIENT.list(location)),
    "read": lambda location: IMPATIENT.read(location),
    "create": lambda location: IMPATIENT.create(location, b"x"),
    "replace": lambda location: IMPATIENT.replace(location, b"x"),
    "delete": lambda location: IMPATIENT.delete(location),
}


@pytest.mark.parametrize("verb", VERBS)
class TestFailing:
    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
    def test_of_the_store_is_transient(self, s3_bucket: str, s3_server: S3Server, verb: str, status: int) -> None:
        s3_server.fail("", status=status)
        with pytest.raises(TransientError, match=f"^HTTP {status} at '{s3_bucket}/x'$"):
            VERBS[verb](s3_bucket + "/x")

    def test_of_the_connection_is_transient(self, s3_bucket: str, s3_server: S3Server, verb: str) -> None:
        s3_server.fail("", status=0)
        with pytest.raises(TransientError, match=f"^ConnectionError at '{s3_bucket}/x'$"):
            VERBS[verb](s3_bucket + "/x")

    def test_of_the_network_is_transient(self, verb: str, monkeypatch: pytest.MonkeyPatch, s3_server: S3Server) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed_port()}")
        cloud_clients.disconnect()
        with pytest.raises(TransientError, match="ConnectionError at 's3://bucket/x'"):
            VERBS[verb]("s3://bucket/x")

    @pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (401, ""), (400, "ExpiredToken")])
    def test_of_our_rights_is_a_permission_error_without_what_was_sent(
        self, s3_bucket: str, s3_server: S3Server, verb: str, status: int, code: str
    ) -> None:
        secret = "<Code>AccessDenied</Code><AWSAccessKeyId>AKIDEXAMPLE</AWSAccessKeyId><Date>2026-11-29</Date>"
        s3_server.fail("", status=status, message=code if status != 403 else secret)
        if status == 400 and verb == "list":
            s3_server.faults.clear()  # the answer to HEAD has no body that tells why
            s3_server.fail("GET", status=status, message=code)
        with pytest.raises(PermissionError, match=f"HTTP {status}") as caught:
            VERBS[verb](s3_bucket + "/x")
        assert caught.value.filename.rstrip("/") == s3_bucket + "/x"
        assert not re.search(r"AKID|2026|\d\dms|http:", str(caught.value))

    def test_once_is_tried_again(self, s3_bucket: str, s3_server: S3Server, verb: str) -> None:
        storage.create(s3_bucket + "/x", b"x")
        s3_server.fail("", status=503)
        args = (b"x",) if verb in {"create", "replace"} else ()
        result = getattr(S3, verb)(s3_bucket + "/x", *args)
        list(result) if verb == "list" else result
        assert s3_server.faults[0].times == 0

    def test_of_a_missing_bucket(self, s3_server: S3Server, verb: str) -> None:
        if verb == "delete":
            storage.delete("s3://no-such-bucket/x")
            return
        expected = FileNotFoundError if verb == "read" else UsageError
        with pytest.raises(expected, match="s3://no-such-bucket"):
            VERBS[verb]("s3://no-such-bucket/x")

    @pytest.mark.parametrize(
        "location",
        [
            "s3://",
            "s3:///x",
            "s3://buck*/x",
            "s3://bucket/caf\udce9",
            "s3://bucket//x",
            "s3://bucket/a//b",
            "s3://bucket/../x",
            "s3://bucket/a/./x",
            "s3://bucket/a\x01",
        ],
    )
    def test_of_a_location_that_cannot_be(self, s3_server: S3Server, verb: str, location: str) -> None:
        with pytest.raises(
            UsageError, match=r"names no bucket|is not UTF-8|cannot be read or written|is not a possible name"
        ):
            VERBS[verb](location)
        assert s3_server.requests == []

    def test_of_another_region_says_what_to_set(self, s3_bucket: str, s3_server: S3Server, verb: str) -> None:
        s3_server.fail("", status=301, message="PermanentRedirect")
        with pytest.raises(UsageError, match="set AWS_REGION"):
            VERBS[verb](s3_bucket + "/x")


def test_a_bucket_is_no_object(s3_bucket: str, s3_server: S3Server) -> None:
    for verb in ("read", "create", "replace", "delete"):
        with pytest.raises(UsageError, match="is a bucket, not an object"):
            VERBS[verb](s3_bucket)


def test_delete_of_a_version_looks_first(s3_bucket: str, s3_server: S3Server) -> None:
    storage.create(s3_bucket + "/x", b"x")
    (stored,) = storage.list_objects(s3_bucket)
    s3_server.requests.clear()
    storage.delete(stored.location, stored.version + 1)
    assert [request.split()[0] for request in s3_server.requests] == ["HEAD"]
    storage.delete(stored.location, stored.version)
    assert [request.split()[0] for request in s3_server.requests] == ["HEAD", "HEAD", "DELETE"]


TAGS = st.text("0123456789abcdefABx-", min_size=1)


def meta(tag: str | None, size: int = 3, second: int = 5, fraction: int = 0) -> dict[str, Any]:
    when = datetime.datetime(2026, 1, 2, 3, 4, second, fraction, tzinfo=datetime.timezone.utc)
    return {"e_tag": tag, "size": size, "last_modified": when}


@given(
    st.text("0123456789abcdefABx-", min_size=1), st.text("0123456789abcdefABx-", min_size=1), st.integers(0, 999_999)
)
def test_a_version_is_that_of_the_etag_however_it_is_written(tag: str, other: str, fraction: int) -> None:
    version = cloud.version_of(meta(f'"{tag}"'))
    assert 0 <= version < 2**63
    assert version == cloud.version_of(meta(tag, fraction=fraction)) == cloud.version_of(meta(f'W/"{tag}"', second=6))
    assert (cloud.version_of(meta(other)) == version) == (other == tag)
    assert cloud.version_of(meta(tag, size=4)) != version


def test_a_version_without_an_etag_is_that_of_the_second() -> None:
    version = cloud.version_of(meta(None))
    assert version == cloud.version_of(meta(None, fraction=567_000)) != cloud.version_of(meta(None, second=6))


def test_a_store_may_be_sent_to_another_process(s3_bucket: str) -> None:
    put(s3_bucket, "x")
    assert pickle.loads(pickle.dumps(CloudStore("s3://", 7))).read(s3_bucket + "/x") == b"x"


def test_a_server_that_says_nothing_is_not_waited_for_for_ever(
    s3_bucket: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3_bucket, "x")
    monkeypatch.setattr(cloud_clients, "SILENCE", 0.1)
    cloud_clients.disconnect()
    s3_server.fail("GET", seconds=0.5)
    assert S3.read(s3_bucket + "/x") == b"x"
    s3_server.fail("GET", seconds=0.5)
    with pytest.raises(TransientError, match=f"ConnectionError at '{s3_bucket}/x'"):
        IMPATIENT.read(s3_bucket + "/x")


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A process without credentials."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setattr(cloud_clients, "AZURE_TAG", str(tmp_path / "tag"))
    cloud_clients.disconnect()
    return monkeypatch


def closed_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


class TestCredentials:
    @pytest.mark.parametrize(
        ("scheme", "cure"), [("s3://", "AWS_ACCESS_KEY_ID"), ("az://", "AZURE_STORAGE_ACCOUNT_NAME")]
    )
    def test_missing_are_told_at_once(self, stranger: pytest.MonkeyPatch, scheme: str, cure: str) -> None:
        with pytest.raises(UsageError, match=f"no credentials for {scheme}: set {cure}"):
            storage.read(f"{scheme}bucket/x")

    def test_without_an_account_are_told_in_one_line(self, stranger: pytest.MonkeyPatch) -> None:
        stranger.setenv("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0")
        with pytest.raises(
            UsageError, match="az://bucket cannot be opened with the settings in your environment variables"
        ) as caught:
            storage.read("az://bucket/x")
        assert "\n" not in str(caught.value)
        assert "c2VjcmV0" not in str(caught.value)

    def test_of_a_profile_are_used(
        self, s3_server: S3Server, stranger: pytest.MonkeyPatch, tmp_path: Path, s3_bucket: str
    ) -> None:
        (tmp_path / ".aws").mkdir()
        (tmp_path / ".aws" / "credentials").write_text("[night]\naws_access_key_id = AK\naws_secret_access_key = SK\n")
        (tmp_path / ".aws" / "config").write_text("[profile night]\nregion = eu-west-1\n")
        stranger.setenv("AWS_PROFILE", "night")
        stranger.setenv("AWS_ENDPOINT_URL_S3", s3_server.url)
        assert cloud_clients._profile() == {
            "access_key_id": "AK",
            "secret_access_key": "SK",
            "region": "eu-west-1",
        }
        assert storage.create(s3_bucket + "/x", b"x")
        (tmp_path / ".aws" / "credentials").write_text("no section")
        cloud_clients.disconnect()
        with pytest.raises(UsageError, match="cannot be read as the AWS command line writes them"):
            storage.read(s3_bucket + "/x")


@pytest.mark.parametrize(("scheme", "extra"), [("s3", "s3"), ("az", "azure")])
def test_without_the_package_one_line_says_what_to_install(scheme: str, extra: str) -> None:
    program = (
        "import sys; sys.modules['obstore'] = None; from pipeline.cli.verify import main; "
        f"sys.exit(main(['{scheme}://bucket/night']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.endswith(f"{scheme}:// needs the package obstore: pip install 'nightscore[{extra}]'")
