"""The laws of a store, the same for disk and clouds; and names, keys and globs, which need no store."""

from __future__ import annotations

import glob
import os
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gcs_emulator
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline import storage
from pipeline.errors import ChangedError, UsageError
from pipeline.storage.globs import Glob
from pipeline.storage.locations import fixed_prefix, key_of, location_of

emulator_server = gcs_emulator.emulator_server
emulator = gcs_emulator.emulator
gcs_bucket = gcs_emulator.gcs_bucket

AWKWARD = [
    "é ü/日本.png",
    " a b ",
    "a#b?c&d=e+f",
    "50% off",
    "%41",
    "a%2Fb",
    "q\"'`$;|",
    "back\\slash",
    "x[1].png",
    "*",
]


@pytest.fixture(params=["disk", "gcs", "s3", pytest.param("az", marks=pytest.mark.heavy)])
def folder(request: pytest.FixtureRequest) -> str:
    if request.param == "disk":
        return str(request.getfixturevalue("tmp_path"))
    return str(request.getfixturevalue(f"{request.param}_bucket")) + "/folder"


def put(folder: str, *names: str) -> None:
    for name in names:
        assert storage.create(storage.join(folder, name), name.encode())


def tick() -> None:
    """Let the clock of the disk go on, which may count in hundredths of a second."""
    time.sleep(0.02)


def names(folder: str, pattern: str = "") -> list[str]:
    """List a pattern, with the folder's name cut off."""
    found = storage.list_objects(storage.join(folder, pattern) if pattern else folder)
    return [stored.location.removeprefix(folder).removeprefix("/") for stored in found]


class TestReading:
    def test_gives_back_what_was_stored(self, folder: str) -> None:
        data = bytes(range(256)) * 5 + b"\r\n--\r\n"
        storage.create(folder + "/x", data)
        assert storage.read(folder + "/x") == data

    def test_a_range_ends_where_the_object_ends(self, folder: str) -> None:
        storage.create(folder + "/x", b"0123456789")
        ranges = [
            (0, 3, b"012"),
            (0, 10, b"0123456789"),
            (2, 5, b"234"),
            (7, None, b"789"),
            (7, 99, b"789"),
            (0, 0, b""),
            (4, 4, b""),
            (5, 3, b""),
            (10, None, b""),
            (99, 100, b""),
        ]
        found = [(start, stop, storage.read(folder + "/x", start, stop)) for start, stop, _ in ranges]
        assert found == ranges

    def test_an_empty_object_is_empty(self, folder: str) -> None:
        storage.create(folder + "/x", b"")
        assert storage.read(folder + "/x") == storage.read(folder + "/x", 0, 9) == b""

    @pytest.mark.parametrize("stop", [None, 5, 0])
    def test_nothing_there_is_file_not_found(self, folder: str, stop: int | None) -> None:
        put(folder, "y")
        with pytest.raises(FileNotFoundError) as caught:
            storage.read(folder + "/x", 0, stop)
        assert caught.value.filename == folder + "/x"

    def test_the_planned_version_is_read_and_no_other(self, folder: str) -> None:
        put(folder, "x")
        (planned,) = storage.list_objects(folder)
        assert storage.read(planned.location, 0, None, planned.version) == b"x"
        tick()
        storage.replace(planned.location, b"later")
        with pytest.raises(ChangedError, match="after it was planned"):
            storage.read(planned.location, 0, None, planned.version)
        storage.delete(planned.location)
        with pytest.raises(FileNotFoundError):
            storage.read(planned.location, 0, None, planned.version)


class TestWriting:
    def test_the_first_stays(self, folder: str) -> None:
        assert storage.create(folder + "/x", b"first")
        assert not storage.create(folder + "/x", b"second")
        assert storage.read(folder + "/x") == b"first"

    def test_of_many_at_once_one_is_first_and_its_content_whole(self, folder: str) -> None:
        contents = [bytes([65 + i]) * 100_000 for i in range(16)]
        start = threading.Barrier(len(contents))

        def race(data: bytes) -> bool:
            start.wait()
            return storage.create(folder + "/x", data)

        with ThreadPoolExecutor(len(contents)) as pool:
            first = list(pool.map(race, contents))
        assert sum(first) == 1
        assert storage.read(folder + "/x") == contents[first.index(True)]
        assert names(folder) == ["x"]

    def test_of_many_with_the_same_content_one_is_first(self, folder: str) -> None:
        with ThreadPoolExecutor(16) as pool:
            assert sum(pool.map(lambda _: storage.create(folder + "/x", b"same"), range(16))) == 1

    def test_replace_stores_and_stores_again(self, folder: str) -> None:
        storage.replace(folder + "/deep/x", b"one")
        storage.replace(folder + "/deep/x", b"two")
        assert storage.read(folder + "/deep/x") == b"two"
        assert names(folder) == ["deep/x"]

    def test_delete_removes_and_does_not_mind_nothing(self, folder: str) -> None:
        put(folder, "x", "y")
        for _ in range(2):
            storage.delete(folder + "/x")
        storage.delete(folder + "/no/such/x")
        storage.delete(folder + "/y/z")
        assert names(folder) == ["y"]
        assert storage.create(folder + "/x", b"again")

    def test_delete_of_a_version_leaves_any_other_alone(self, folder: str) -> None:
        put(folder, "x")
        (seen,) = storage.list_objects(folder)
        tick()
        storage.replace(seen.location, b"later")
        storage.delete(seen.location, seen.version)
        assert storage.read(seen.location) == b"later"
        (seen,) = storage.list_objects(folder)
        for _ in range(2):
            storage.delete(seen.location, seen.version)
        assert names(folder) == []

    @pytest.mark.parametrize("name", AWKWARD)
    def test_any_name_is_itself(self, folder: str, name: str) -> None:
        location = storage.join(folder, name)
        if folder.startswith("az://") and "\\" in name:
            with pytest.raises(UsageError, match="a backslash or a control character"):
                put(folder, name)
            return
        put(folder, name, "other")
        assert [stored.location for stored in storage.list_objects(location)] == [location]
        assert location in {stored.location for stored in storage.list_objects(folder)}
        assert storage.read(location) == name.encode()
        storage.delete(location)
        assert names(folder) == ["other"]


class TestListing:
    def test_shows_location_size_and_a_version_that_changes(self, folder: str) -> None:
        put(folder, "sub/four")
        (first,) = storage.list_objects(folder)
        assert (first.location, first.size) == (folder + "/sub/four", len("sub/four"))
        tick()
        storage.replace(first.location, b"")
        (second,) = storage.list_objects(folder)
        assert second.size == 0
        assert second.version != first.version

    def test_is_in_the_order_of_the_locations(self, folder: str) -> None:
        put(folder, "a/z", "a b", "a-b", "a.b", "a0", "A", "é", "z", "a!/x", "日本/x", "😀")
        if not folder.startswith("az://"):  # in no XML may this be, and Azurite fails of it
            put(folder, "\uffff")
        found = names(folder)
        assert found == sorted(found)
        assert len(found) == (11 if folder.startswith("az://") else 12)
        assert names(folder, "*") == found

    def test_of_a_folder_leaves_out_what_only_begins_like_it(self, folder: str) -> None:
        put(folder, "ab/x", "ab-c/x", "ab.png", "abc", "a/ab/x")
        assert names(folder, "ab") == ["ab/x"]
        assert names(folder, "ab/") == ["ab/x"]

    def test_of_folders_leaves_out_what_is_none(self, folder: str) -> None:
        put(folder, "file", "a/x")
        assert names(folder, "file") == ["file"]
        assert names(folder, "file/") == names(folder, "missing/") == []
        assert names(folder, "a/") == ["a/x"]

    def test_of_nothing_is_empty(self, folder: str) -> None:
        put(folder, "file")
        patterns = ["x", "x/y", "file/x", "*.gif", "no*/x", "**/x", "file/**", "file/*"]
        assert {pattern: names(folder, pattern) for pattern in patterns} == {pattern: [] for pattern in patterns}

    def test_of_a_glob(self, folder: str) -> None:
        put(folder, "a.png", "b.jpg", "x1.png", "x[1].png", ".c/z.png")
        put(folder, "2024-1/x.png", "2024-1/s/y.png", "2024-1/s/.png", "2024-1/.h.png", "2025/x.png")
        globs = [
            ("*.png", ["a.png", "x1.png", "x[1].png"]),
            ("?.*", ["a.png", "b.jpg"]),
            ("x[0-9].png", ["x1.png"]),
            ("x[[]1].png", ["x[1].png"]),
            ("x[1].png", ["x[1].png"]),  # it is there, so it is no pattern
            ("x[!a].png", ["x1.png"]),
            ("20*", ["2024-1/.h.png", "2024-1/s/.png", "2024-1/s/y.png", "2024-1/x.png", "2025/x.png"]),
            ("20*/", ["2024-1/.h.png", "2024-1/s/.png", "2024-1/s/y.png", "2024-1/x.png", "2025/x.png"]),
            ("20*/*", ["2024-1/s/.png", "2024-1/s/y.png", "2024-1/x.png", "2025/x.png"]),
            ("20*/x.png", ["2024-1/x.png", "2025/x.png"]),
            ("**/x.png", ["2024-1/x.png", "2025/x.png"]),
            ("**/*.png", ["2024-1/s/y.png", "2024-1/x.png", "2025/x.png", "a.png", "x1.png", "x[1].png"]),
            ("20*/**/*.png", ["2024-1/s/y.png", "2024-1/x.png", "2025/x.png"]),
            ("2024-*/**", ["2024-1/.h.png", "2024-1/s/.png", "2024-1/s/y.png", "2024-1/x.png"]),
            (".*/*", [".c/z.png"]),
            ("[.]c/*", []),
            ("**/.h*", ["2024-1/.h.png"]),
            ("**/s", ["2024-1/s/.png", "2024-1/s/y.png"]),
            ("**/**/s/**/y.png", ["2024-1/s/y.png"]),
        ]
        assert {pattern: names(folder, pattern) for pattern, _ in globs} == dict(globs)


CALM = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For machines that have other things to do."""

NAMES = st.text("ab.", min_size=1, max_size=2).filter(lambda name: name not in {".", ".."})
PARTS = NAMES | st.sampled_from(["*", "**", "a*", "?", "[ab]", "[!a]*", "*.*", ".*"])


@settings(max_examples=150, deadline=None)
@given(
    st.sets(st.lists(NAMES, min_size=1, max_size=3).map("/".join), max_size=8), st.lists(PARTS, min_size=1, max_size=3)
)
def test_a_glob_means_what_it_means_in_python(paths: set[str], parts: list[str]) -> None:
    pattern = "/".join(parts)
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(paths):
            if not any((Path(folder) / above).is_file() for above in Path(path).parents):
                put_file(Path(folder) / path)
        found = [stored.location.removeprefix(folder + "/") for stored in storage.list_objects(f"{folder}/{pattern}")]
        assert found == sorted(oracle(folder, pattern))
        if fixed_prefix(pattern) != pattern:
            everything = [stored.location.removeprefix(folder + "/") for stored in storage.list_objects(folder)]
            assert found == [path for path in everything if Glob(pattern).matches(path)]


def put_file(path: Path) -> None:
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def oracle(folder: str, pattern: str) -> set[str]:
    """What Python's glob finds, and all files under the folders among it."""
    found = set()
    for match in glob.iglob(f"{folder}/{pattern}", recursive=True):
        inside = [os.path.join(root, file) for root, _, files in os.walk(match) for file in files]
        found.update(inside if os.path.isdir(match) else filter(os.path.exists, [match]))
    return {os.path.relpath(path, folder) for path in found}


# File names as the disk has them: any bytes but / and NUL, decoded as Python decodes them.
LOCATIONS = st.one_of(
    st.text(st.sampled_from("/%25aAfF0é日\udcff\udcc3\udca9")).map(os.fsencode),
    st.binary(max_size=12),
).map(lambda name: os.fsdecode(b"/" + name))


@CALM
@given(LOCATIONS)
@example("/data/%41 \udcff.png")
@example("/%\udcff41")
def test_a_key_is_utf8_and_leads_back(location: str) -> None:
    key = key_of(location)
    key.encode("utf-8")
    assert location_of(key) == location


@CALM
@given(st.lists(LOCATIONS, unique=True, min_size=2, max_size=5))
@example(["/%25", "/%", "/%2525", "/%FF", "/\udcff"])
def test_no_two_locations_share_a_key(locations: list[str]) -> None:
    assert len({key_of(location) for location in locations}) == len(locations)


@CALM
@given(st.text(st.characters(exclude_categories=["Cs"])).filter(lambda name: "%" not in name))
def test_an_ordinary_location_is_its_key(location: str) -> None:
    assert key_of(location) == location


@pytest.mark.parametrize("pattern", ["a*b", "a?b", "a[b"])
def test_what_is_fixed_ends_at_the_first_wildcard(pattern: str) -> None:
    assert fixed_prefix(pattern) == "a"


def test_a_location_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert storage.absolute("photos/../x") == f"{tmp_path}/x"
    assert storage.absolute("~/x") == "/home/somebody/x"
    assert storage.absolute("gs://bucket/x//") == "gs://bucket/x"


@pytest.mark.parametrize("path", ["s3a://bucket/x", "https://example.org/x.png", "file:///data"])
def test_other_stores_are_refused_in_one_line(path: str) -> None:
    with pytest.raises(UsageError, match=r"neither gs://bucket/name, s3://bucket/name, az://.* nor a path"):
        storage.absolute(path)
