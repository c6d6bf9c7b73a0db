"""The local disk: what can stand in a folder, and what can go wrong with a disk."""

from __future__ import annotations

import errno
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from permissions import nobody

from pipeline import storage
from pipeline.errors import ChangedError, NoSpaceError, TransientError, UsageError
from pipeline.storage.local import TEMPORARY, LocalStore


def locations(pattern: Path | str) -> list[str]:
    return [stored.location for stored in LocalStore().list(str(pattern))]


def everything_in(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def failing(number: int) -> Callable[..., Any]:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


class TestListing:
    def test_follows_links_to_files_and_folders(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "real/x").write_bytes(b"four")
        (tmp_path / "data").mkdir()
        (tmp_path / "data/file").symlink_to("../real/x")
        (tmp_path / "data/folder").symlink_to("../real")
        assert locations(tmp_path / "data") == [f"{tmp_path}/data/file", f"{tmp_path}/data/folder/x"]
        assert {stored.size for stored in LocalStore().list(str(tmp_path / "data"))} == {4}
        assert locations(tmp_path / "da*/f*/x") == [f"{tmp_path}/data/folder/x"]

    @pytest.mark.parametrize("pattern", ["", "**", "**/x", "*"])
    def test_does_not_follow_loops_or_links_to_nothing(self, tmp_path: Path, pattern: str) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a/x").touch()
        (tmp_path / "a/up").symlink_to("..")
        (tmp_path / "a/self").symlink_to("self")
        (tmp_path / "a/ping").symlink_to("pong")
        (tmp_path / "a/pong").symlink_to("ping")
        (tmp_path / "a/gone").symlink_to("nowhere/at/all")
        assert locations(tmp_path / pattern) == [f"{tmp_path}/a/x"]

    def test_of_a_link_to_nothing_is_empty(self, tmp_path: Path) -> None:
        (tmp_path / "gone").symlink_to("nowhere")
        (tmp_path / "loop").symlink_to("loop")
        assert locations(tmp_path / "gone") == locations(tmp_path / "loop") == []

    def test_leaves_out_what_is_no_file(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(tmp_path / "socket"))
        (tmp_path / "empty folder").mkdir()
        (tmp_path / "x").touch()
        assert locations(tmp_path) == locations(tmp_path / "*") == [f"{tmp_path}/x"]
        assert locations(tmp_path / "pipe") == []

    @pytest.mark.parametrize("name", ["new\nline", "caf\udce9", "\udcff\udcfe", "~", "-rf", " ", "a\\b"])
    def test_shows_any_name_that_a_disk_takes(self, tmp_path: Path, name: str) -> None:
        location = f"{tmp_path}/{name}"
        assert storage.create(location, b"x")
        assert locations(tmp_path) == locations(location) == locations(tmp_path / "*") == [location]
        assert storage.read(storage.location_of(storage.key_of(location))) == b"x"

    def test_goes_on_when_files_vanish_meanwhile(self, tmp_path: Path) -> None:
        for name in "abc":
            (tmp_path / name).mkdir()
            (tmp_path / name / "x").touch()
        listing = LocalStore().list(str(tmp_path))
        assert next(listing).location == f"{tmp_path}/a/x"
        (tmp_path / "b/x").unlink()
        (tmp_path / "b").rmdir()
        assert [stored.location for stored in listing] == [f"{tmp_path}/c/x"]

    @pytest.mark.parametrize("pattern", ["", "*/*", "**/x"])
    def test_of_a_closed_folder_is_refused_and_not_cut_short(self, open_folder: Path, pattern: str) -> None:
        (open_folder / "closed").mkdir()
        (open_folder / "closed/x").touch()
        (open_folder / "closed").chmod(0)
        with nobody(), pytest.raises(PermissionError) as caught:
            locations(open_folder / pattern)
        assert caught.value.filename == str(open_folder / "closed")

    def test_of_a_folder_in_which_nothing_may_be_looked_up_is_refused(self, open_folder: Path) -> None:
        (open_folder / "names only").mkdir()
        (open_folder / "names only/x").touch()
        (open_folder / "names only").chmod(0o744)
        with nobody(), pytest.raises(PermissionError) as caught:
            locations(open_folder)
        assert caught.value.filename == str(open_folder / "names only/x")

    def test_keeps_no_folder_open(self, tmp_path: Path) -> None:
        for name in ("a", "b", "c/d"):
            (tmp_path / name).mkdir(parents=True)
            (tmp_path / name / "x").touch()
        before = set(os.listdir("/dev/fd"))
        listing = LocalStore().list(str(tmp_path))
        next(listing)
        del listing
        assert len(locations(tmp_path)) == 3
        assert set(os.listdir("/dev/fd")) == before

    def test_does_not_look_into_folders_where_nothing_can_match(self, open_folder: Path) -> None:
        (open_folder / "closed").mkdir()
        (open_folder / "closed").chmod(0)
        (open_folder / "a").mkdir()
        (open_folder / "a/x").touch()
        with nobody():
            assert locations(open_folder / "a*/x") == [f"{open_folder}/a/x"]

    def test_of_a_failing_disk_is_transient(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "scandir", failing(errno.EIO))
        with pytest.raises(TransientError, match=f"Input/output error at '{tmp_path}"):
            locations(tmp_path)


class TestReading:
    def test_a_file_changed_since_it_was_planned_is_not_read(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(b"x")
        (planned,) = LocalStore().list(str(tmp_path))
        os.utime(tmp_path / "x", ns=(planned.version, planned.version + 1))
        with pytest.raises(ChangedError, match=f"{tmp_path}/x' was modified after it was planned"):
            storage.read(planned.location, version=planned.version)
        assert storage.read(planned.location) == b"x"

    def test_a_file_changed_while_it_is_read_is_not_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "x").write_bytes(b"before")
        (planned,) = LocalStore().list(str(tmp_path))
        pread = os.pread

        def interrupted(fd: int, size: int, start: int) -> bytes:
            data = pread(fd, size, start)
            (tmp_path / "x").write_bytes(b"after")
            os.utime(tmp_path / "x", ns=(0, planned.version + 1))
            return data

        monkeypatch.setattr(os, "pread", interrupted)
        with pytest.raises(ChangedError):
            storage.read(planned.location, version=planned.version)

    def test_a_large_file_comes_whole_though_the_system_gives_pieces(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "x").write_bytes(bytes(range(200)))
        pread = os.pread
        monkeypatch.setattr(os, "pread", lambda fd, size, start: pread(fd, min(size, 7), start))
        assert storage.read(f"{tmp_path}/x", 3, 150) == bytes(range(3, 150))

    def test_a_folder_is_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            storage.read(str(tmp_path))

    @pytest.mark.parametrize("name", ["file/x", "n" * 300, "loop"])
    def test_a_name_that_cannot_be_there_is_not_there(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "loop").symlink_to("loop")
        with pytest.raises(FileNotFoundError):
            storage.read(f"{tmp_path}/{name}")
        assert locations(tmp_path / name) == []

    def test_a_closed_file_is_listed_and_refused(self, open_folder: Path) -> None:
        (open_folder / "x").touch(0)
        with nobody():
            assert locations(open_folder) == [f"{open_folder}/x"]
            with pytest.raises(PermissionError, match=f"{open_folder}/x"):
                storage.read(f"{open_folder}/x")

    @pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.ETIMEDOUT])
    def test_a_failing_disk_is_transient(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        (tmp_path / "x").write_bytes(b"x")
        monkeypatch.setattr(os, "pread", failing(number))
        with pytest.raises(TransientError, match=f"{os.strerror(number)} at '{tmp_path}/x'"):
            storage.read(f"{tmp_path}/x")


class TestWriting:
    @pytest.mark.parametrize("write", [storage.create, storage.replace])
    def test_makes_folders_and_leaves_nothing_else(self, tmp_path: Path, write: Callable[[str, bytes], Any]) -> None:
        for _ in range(2):
            write(f"{tmp_path}/a/b/x", b"x")
        assert everything_in(tmp_path / "a/b") == ["x"]
        assert (tmp_path / "a/b/x").stat().st_nlink == 1

    @pytest.mark.parametrize("write", [storage.create, storage.replace])
    def test_of_more_than_a_file_may_hold_leaves_nothing(
        self, tmp_path: Path, write: Callable[[str, bytes], Any]
    ) -> None:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # a real failure in the middle of a write
        try:
            with pytest.raises(NoSpaceError, match=f"File too large at '{tmp_path}/x'"):
                write(f"{tmp_path}/x", bytes(300_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert everything_in(tmp_path) == []

    @pytest.mark.parametrize(
        ("write", "call"),
        [(storage.create, call) for call in ("write", "fsync", "link")]
        + [(storage.replace, call) for call in ("write", "fsync", "replace")],
    )
    def test_that_fails_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[str, bytes], Any], call: str
    ) -> None:
        (tmp_path / "y").write_bytes(b"y")
        monkeypatch.setattr(os, call, failing(errno.ENOSPC))
        with pytest.raises(NoSpaceError, match=f"No space left on device at '{tmp_path}/x'"):
            write(f"{tmp_path}/x", b"x")
        assert everything_in(tmp_path) == ["y"]

    @pytest.mark.parametrize("write", [storage.create, storage.replace])
    def test_that_is_interrupted_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[str, bytes], Any]
    ) -> None:
        def interrupt(fd: int) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write(f"{tmp_path}/x", b"x")
        assert everything_in(tmp_path) == []

    @pytest.mark.parametrize(("write", "call"), [(storage.create, "link"), (storage.replace, "replace")])
    def test_goes_on_when_its_temporary_file_is_cleared_away(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[str, bytes], Any], call: str
    ) -> None:
        times, name = iter(range(3)), getattr(os, call)

        def clear_away(temporary: str, location: str) -> None:
            assert storage.is_temporary(os.path.basename(temporary))
            if next(times, None) is not None:
                os.unlink(temporary)
            name(temporary, location)

        monkeypatch.setattr(os, call, clear_away)
        write(f"{tmp_path}/x", b"x")
        assert (tmp_path / "x").read_bytes() == b"x"
        assert everything_in(tmp_path) == ["x"]
        times = iter(range(99))
        with pytest.raises(TransientError, match="temporary files"):
            write(f"{tmp_path}/y", b"y")
        assert everything_in(tmp_path) == ["x"]

    def test_in_the_place_of_a_folder_fails_and_leaves_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "x/y").mkdir(parents=True)
        with pytest.raises(FileNotFoundError):
            storage.replace(f"{tmp_path}/x", b"x")
        assert not storage.create(f"{tmp_path}/x", b"x")
        assert everything_in(tmp_path) == ["x"]

    @pytest.mark.parametrize("name", ["file/x", "file/deep/x"])
    def test_under_a_file_is_a_mistake_told_in_one_line(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "file").touch()
        for write in (storage.create, storage.replace):
            with pytest.raises(UsageError, match=r"a file is where .* should be a folder"):
                write(f"{tmp_path}/{name}", b"x")

    def test_where_we_may_not_is_refused(self, open_folder: Path) -> None:
        with nobody(), pytest.raises(PermissionError, match=f"{open_folder}/x"):
            storage.create(f"{open_folder}/x", b"x")
        (open_folder / "y").touch()
        with nobody(), pytest.raises(PermissionError, match=f"{open_folder}/y"):
            storage.delete(f"{open_folder}/y")

    def test_create_on_a_disk_without_hard_links_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "link", failing(errno.EPERM))
        with pytest.raises(UsageError, match="without hard links"):
            storage.create(f"{tmp_path}/x", b"x")
        assert everything_in(tmp_path) == []

    def test_create_is_not_stopped_by_what_a_crash_left(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pipeline.storage.local._serial", iter([7, 7, 8]))
        left = f".x.{os.getpid()}-{threading.get_ident()}-7{TEMPORARY}"
        (tmp_path / left).touch()
        assert storage.create(f"{tmp_path}/x", b"x")
        assert everything_in(tmp_path) == [left, "x"]

    def test_create_and_replace_respect_the_umask(self, tmp_path: Path) -> None:
        before = os.umask(0o027)
        try:
            storage.create(f"{tmp_path}/x", b"x")
            storage.replace(f"{tmp_path}/y", b"y")
        finally:
            os.umask(before)
        assert {oct((tmp_path / name).stat().st_mode & 0o777) for name in "xy"} == {"0o640"}

    def test_who_reads_during_replace_sees_the_old_or_the_new(self, tmp_path: Path) -> None:
        location = f"{tmp_path}/x"
        contents = [bytes([48 + i]) * 50_000 for i in range(10)]
        storage.replace(location, contents[0])
        done = threading.Event()

        def watch() -> set[bytes]:
            seen = set()
            while not done.is_set():
                seen.add(storage.read(location))
            return seen

        with ThreadPoolExecutor(4) as pool:
            watchers = [pool.submit(watch) for _ in range(4)]
            for content in contents * 5:
                storage.replace(location, content)
            done.set()
            assert set().union(*(watcher.result() for watcher in watchers)) <= set(contents)
        assert everything_in(tmp_path) == ["x"]

    def test_of_many_processes_one_creates(self, tmp_path: Path) -> None:
        script = "import sys; from pipeline import storage; sys.exit(storage.create(sys.argv[1], bytes(100_000)))"
        racers = [subprocess.Popen([sys.executable, "-c", script, f"{tmp_path}/x"]) for _ in range(4)]
        assert sorted(racer.wait(timeout=60) for racer in racers) == [0, 0, 0, 1]
        assert everything_in(tmp_path) == ["x"]
        assert (tmp_path / "x").read_bytes() == bytes(100_000)


def test_a_local_run_does_not_import_the_cloud(tmp_path: Path) -> None:
    script = "import sys, pipeline.storage as s; s.read(sys.argv[1]); print('google.cloud.storage' in sys.modules)"
    (tmp_path / "x").touch()
    done = subprocess.run([sys.executable, "-c", script, f"{tmp_path}/x"], check=True, timeout=60, capture_output=True)
    assert done.stdout == b"False\n"
