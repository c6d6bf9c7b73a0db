"""A long listing that goes on in a copy of this process is the listing that would come about here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import storage

PROGRAM = """if True:
    import os, sys, threading
    from pipeline import storage
    from pipeline.storage import elsewhere, local
    elsewhere.SHORT, elsewhere.BLOCK = 10, 7
    here, forks, walk = os.getpid(), [], local.walk
    fork = os.fork
    os.fork = lambda: forks.append(0) or fork()
    folder, how = sys.argv[1:]

    def breaks_in_the_copy(*start):
        for n, found in enumerate(walk(*start)):
            if n >= 25 and os.getpid() != here:
                raise OSError("only there") if how == "raises" else os.abort()
            yield found

    def forbidden(*start):
        for n, found in enumerate(walk(*start)):
            if n == 30:
                raise PermissionError(13, "forbidden", folder)
            yield found

    local.walk = {"raises": breaks_in_the_copy, "dies": breaks_in_the_copy, "forbidden": forbidden}.get(how, walk)
    if how == "threads":
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    listing = storage.list_long(folder)
    try:
        for n, found in enumerate(listing):
            print(tuple(found))
            if how == "left" and n == 20:
                listing.close()
    except PermissionError as error:
        print("forbidden:", error.filename == folder)
    print("copies", len(forks))
    try:
        os.wait()
    except ChildProcessError:
        print("nobody is left")
    sys.stdout.flush()
    os._exit(0)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(41):
        path = tmp_path / "archive" / f"f {i % 3}" / (f"ü{i}.png" if i % 5 else f"line\nbreak{i}\udcff.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * i)
    return tmp_path / "archive"


def printed(folder: Path, how: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, folder, how], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == "nobody is left"
    return lines[:-1]


@pytest.mark.parametrize("how", ["whole", "raises", "dies", "threads"])
def test_listing_is_the_same_wherever_it_is_made_and_whatever_becomes_of_the_copy(folder: Path, how: str) -> None:
    expected = [ascii(tuple(found)) for found in storage.list_objects(str(folder))]
    assert len(expected) == 41
    *lines, copies = printed(folder, how)
    assert [ascii(eval(line)) for line in lines] == expected
    assert copies == ("copies 0" if how == "threads" or sys.platform != "linux" else "copies 1")


def test_what_is_forbidden_there_is_met_here(folder: Path) -> None:
    *lines, forbidden, _ = printed(folder, "forbidden")
    assert len(lines) == 30
    assert forbidden == "forbidden: True"


def test_whoever_leaves_a_listing_leaves_no_process_behind(folder: Path) -> None:
    assert len(printed(folder, "left")) == 22


def test_short_listing_makes_no_copy(folder: Path) -> None:
    assert printed(folder / "f 0" / "ü3.png", "whole")[-1] == "copies 0"
