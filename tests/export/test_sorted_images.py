"""Images in folders: from every kind of source, resumed, accounted for, nothing overwritten."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from archive_outputs import FILES, by_number, picture, write_archive_output, write_folder
from archives import tar, zipped
from decisions import decide
from label_inputs import write_records
from PIL import Image
from table_files import write_hugging_face
from task_rows import NAMES as LABELS
from task_rows import label_row, value_row
from written_output import write_output

from pipeline.errors import NoSpaceError, UsageError
from pipeline.export import put_file
from pipeline.export.decided_rows import DecidedRows
from pipeline.export.places import By
from pipeline.export.put_file import OWN
from pipeline.export.sorted_images import How, SortedImages, SortWish, sort_images


def write_tar(path: Path) -> Path:
    path.with_suffix(".tar").write_bytes(tar(FILES))
    return path.with_suffix(".tar")


def write_compressed(path: Path) -> Path:
    path.with_suffix(".tar.gz").write_bytes(gzip.compress(tar(FILES)))
    return path.with_suffix(".tar.gz")


def write_zip(path: Path) -> Path:
    path.with_suffix(".zip").write_bytes(zipped(FILES))
    return path.with_suffix(".zip")


def sorted_into(folder: Path, output: Path, by: By = "predicted", how: How = "copy") -> SortedImages:
    return sort_images(SortWish.of(DecidedRows.of(str(output)), str(folder), by, how))


def files_in(folder: Path) -> dict[str, bytes]:
    """Return path -> content of all files but ours."""
    found = (path for path in folder.rglob("*") if path.is_file() and OWN not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.parametrize("write", [write_folder, write_tar, write_zip])
def test_copies_are_those_of_a_naive_loop(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    archive = write(tmp_path / "photos")
    run = write_archive_output(tmp_path / "night", archive, unit_images=5)
    expected = {}
    for name, data in FILES.items():
        key = f"{archive}{'/' if archive.is_dir() else '!'}{name}"
        label = ("cat", "dog")[by_number(key)["scores"].index(0.75)]
        above = "" if archive.is_dir() else f"{archive.name}!"
        expected[f"{label}/{above}{name.replace('/', '__')}"] = data
    done = sorted_into(tmp_path / "sorted", tmp_path / "night")
    assert files_in(tmp_path / "sorted") == expected
    assert (done.images, done.counts, done.bad) == (len(FILES), {"exported": len(FILES)}, 0)
    again = sorted_into(tmp_path / "sorted", tmp_path / "night")
    assert again.counts == {"kept": len(FILES)}
    assert files_in(tmp_path / "sorted") == expected
    assert run.output == str(tmp_path / "night")


@pytest.mark.parametrize("channels", [1, 3])
def test_bare_pixels_become_png_files(tmp_path: Path, channels: int) -> None:
    pixels = np.arange(4 * 5 * 6 * channels, dtype=np.uint8).reshape(4, 5, 6, channels)
    np.save(tmp_path / "x.npy", pixels)
    write_archive_output(tmp_path / "night", tmp_path / "x.npy")
    sorted_into(tmp_path / "sorted", tmp_path / "night")
    found = {name.rpartition("/")[2]: data for name, data in files_in(tmp_path / "sorted").items()}
    assert sorted(found) == [f"x.npy#{n}.png" for n in range(4)]
    assert all(data.startswith(b"\x89PNG") for data in found.values())
    for n in range(4):
        with Image.open(io.BytesIO(found[f"x.npy#{n}.png"])) as image:
            assert np.array_equal(np.asarray(image).reshape(5, 6, channels), pixels[n])


def test_images_of_an_idx_file_become_png_files(tmp_path: Path) -> None:
    pixels = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    path = tmp_path / "t10k-images-idx3-ubyte"
    path.write_bytes(struct.pack(">IIII", 0x803, *pixels.shape) + pixels.tobytes())
    write_archive_output(tmp_path / "night", path)
    sorted_into(tmp_path / "sorted", tmp_path / "night")
    found = {name.rpartition("/")[2]: data for name, data in files_in(tmp_path / "sorted").items()}
    assert sorted(found) == ["t10k-images-idx3-ubyte#0.png", "t10k-images-idx3-ubyte#1.png"]
    with Image.open(io.BytesIO(found["t10k-images-idx3-ubyte#1.png"])) as image:
        assert np.array_equal(np.asarray(image), pixels[1])


@pytest.mark.parametrize("kind", ["tfrecord", "parquet"])
def test_images_without_a_name_get_the_suffix_of_their_format(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"x.{kind}"
    encoded = [picture(n) for n in range(3)]
    if kind == "tfrecord":
        write_records(path, [{"image": data} for data in encoded])
    else:
        write_hugging_face(path, encoded, [0, 1, 0], ["a", "b"])
    write_archive_output(tmp_path / "night", path)
    sorted_into(tmp_path / "sorted", tmp_path / "night")
    found = {name.rpartition("/")[2]: data for name, data in files_in(tmp_path / "sorted").items()}
    assert found == {f"x.{kind}#{n}.png": data for n, data in enumerate(encoded)}


def test_links_lead_to_the_images(tmp_path: Path) -> None:
    archive = write_folder(tmp_path / "photos")
    write_archive_output(tmp_path / "night", archive)
    assert sorted_into(tmp_path / "sorted", tmp_path / "night", how="link").counts == {"exported": len(FILES)}
    links = [path for path in (tmp_path / "sorted").glob("*/*") if OWN not in path.parts]
    assert {os.readlink(link) for link in links} == {str(archive / name) for name in FILES}
    assert all(path.is_symlink() for path in links)
    assert sorted_into(tmp_path / "sorted", tmp_path / "night", how="link").counts == {"kept": len(FILES)}


@pytest.mark.parametrize("how", ["copy", "link"])
def test_changed_and_missing_images_are_counted_and_named(tmp_path: Path, how: How) -> None:
    archive = write_folder(tmp_path / "photos")
    write_archive_output(tmp_path / "night", archive)
    changed, gone = archive / "site 0" / "größe 0.png", archive / "site 2" / "größe 2.png"
    changed.write_bytes(picture(99))
    os.utime(changed, ns=(1, 1))
    gone.unlink()
    done = sorted_into(tmp_path / "sorted", tmp_path / "night", how=how)
    assert done.counts == {"exported": len(FILES) - 2, "changed": 1, "not_found": 1}
    assert done.examples == {"changed": [str(changed)], "not_found": [str(gone)]}
    assert done.bad == 2
    assert len(files_in(tmp_path / "sorted")) == len(FILES) - 2


@pytest.mark.parametrize("change", ["replaced", "removed"])
@pytest.mark.parametrize("write", [write_tar, write_compressed])
def test_archive_that_has_changed_accounts_for_each_image(
    tmp_path: Path, change: str, write: Callable[[Path], Path]
) -> None:
    archive = write(tmp_path / "photos")
    write_archive_output(tmp_path / "night", archive, unit_images=5)
    archive.unlink()
    if change == "replaced":
        archive.write_bytes(tar(dict(list(FILES.items())[::-1])))
        os.utime(archive, ns=(1, 1))
    done = sorted_into(tmp_path / "sorted", tmp_path / "night")
    assert done.counts == {{"replaced": "changed", "removed": "not_found"}[change]: len(FILES)}
    assert files_in(tmp_path / "sorted") == {}


def test_archive_that_keeps_its_time_gives_no_other_image(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "photos")
    write_archive_output(tmp_path / "night", archive)
    time = archive.stat().st_mtime_ns
    archive.write_bytes(tar(dict(list(FILES.items())[::-1])))
    os.utime(archive, ns=(time, time))
    done = sorted_into(tmp_path / "sorted", tmp_path / "night")
    assert sum(done.counts.values()) == len(FILES)
    assert done.counts["changed"] > 0
    for name, data in files_in(tmp_path / "sorted").items():
        assert data == FILES[name.rpartition("!")[2].replace("__", "/")]


def test_what_lies_there_is_not_overwritten(tmp_path: Path) -> None:
    write_archive_output(tmp_path / "night", write_folder(tmp_path / "photos"))
    sorted_into(tmp_path / "sorted", tmp_path / "night")
    whole = files_in(tmp_path / "sorted")
    first, second, third, *_ = sorted(whole)
    mine = bytes(len(whole[first]))
    (tmp_path / "sorted" / first).write_bytes(mine)
    (tmp_path / "sorted" / second).unlink()
    (tmp_path / "sorted" / third).unlink()
    (tmp_path / "sorted" / third).symlink_to(tmp_path / "elsewhere.png")
    done = sorted_into(tmp_path / "sorted", tmp_path / "night")
    assert done.counts == {"kept": len(FILES) - 3, "different": 2, "exported": 1}
    assert sorted(done.examples["different"]) == [first, third]
    assert not (tmp_path / "elsewhere.png").exists()
    assert (tmp_path / "sorted" / first).read_bytes() == mine
    assert (tmp_path / "sorted" / second).read_bytes() == whole[second]


def test_killed_run_is_resumed(tmp_path: Path) -> None:
    """What a killed process leaves: some files, temporary ones, and maybe half a record."""
    write_archive_output(tmp_path / "night", write_folder(tmp_path / "photos"))
    sorted_into(tmp_path / "sorted", tmp_path / "night")
    whole = files_in(tmp_path / "sorted")
    for name in sorted(whole)[::2]:
        (tmp_path / "sorted" / name).unlink()
    (tmp_path / "sorted" / OWN / "1-7.tmp").write_bytes(b"half")
    counts = sorted_into(tmp_path / "sorted", tmp_path / "night").counts
    assert counts == {"exported": (len(whole) + 1) // 2, "kept": len(whole) // 2}
    assert files_in(tmp_path / "sorted") == whole
    assert [path.name for path in (tmp_path / "sorted" / OWN).iterdir()] == ["export.json"]


def test_file_has_its_name_only_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_archive_output(tmp_path / "night", write_folder(tmp_path / "photos"))
    write, written = put_file.write, []

    def fill_the_disk(location: str, data: bytes) -> None:
        written.append(location)
        write(location, data if len(written) < 4 else data[:9])
        if len(written) >= 4:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(put_file, "write", fill_the_disk)
    with pytest.raises(NoSpaceError, match="free some space"):
        sorted_into(tmp_path / "sorted", tmp_path / "night")
    monkeypatch.undo()
    left = files_in(tmp_path / "sorted")
    assert len(left) == 3
    assert set(left.values()) <= set(FILES.values())
    counts = sorted_into(tmp_path / "sorted", tmp_path / "night").counts
    assert counts == {"exported": len(FILES) - 3, "kept": 3}


def test_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    archive = write_folder(tmp_path / "photos")
    write_archive_output(tmp_path / "night", archive)
    sorted_into(tmp_path / "sorted", tmp_path / "night")
    with pytest.raises(UsageError, match="another export"):
        sorted_into(tmp_path / "sorted", tmp_path / "night", how="link")
    shutil.rmtree(tmp_path / "night")
    write_archive_output(tmp_path / "night", archive, predict=lambda key: {"scores": (0.9, 0.1)})
    with pytest.raises(UsageError, match="another export"):
        sorted_into(tmp_path / "sorted", tmp_path / "night")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something else"):
        sorted_into(tmp_path / "full", tmp_path / "night")
    with pytest.raises(UsageError, match="a file is where"):
        sorted_into(tmp_path / "full" / "note.txt", tmp_path / "night")
    with pytest.raises(UsageError, match="lies in the input"):
        sorted_into(archive / "sorted", tmp_path / "night")
    with pytest.raises(UsageError, match="is in a bucket"):
        SortWish.of(DecidedRows.of(str(tmp_path / "night")), "gs://bucket/sorted", "predicted", "copy")


def test_links_into_archives_are_refused(tmp_path: Path) -> None:
    write_archive_output(tmp_path / "night", write_tar(tmp_path / "photos"))
    with pytest.raises(UsageError, match=r"--link cannot link to images inside archives and tables \(tar\)"):
        sorted_into(tmp_path / "sorted", tmp_path / "night", how="link")
    assert not (tmp_path / "sorted").exists()


def test_too_small_a_disk_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_archive_output(tmp_path / "night", write_folder(tmp_path / "photos"))
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10, 0, 10))
    with pytest.raises(UsageError, match=r"the images take .* has 10 bytes left: .* --link"):
        sorted_into(tmp_path / "sorted", tmp_path / "night")
    assert sorted_into(tmp_path / "links", tmp_path / "night", how="link").counts == {"exported": len(FILES)}


def test_failed_images_go_where_a_person_sees_them(tmp_path: Path) -> None:
    archive = write_folder(tmp_path / "photos")
    unread = archive / "site 0" / "größe 3.png"
    unread.unlink()
    unread.symlink_to(tmp_path / "nowhere.png")
    run = write_archive_output(tmp_path / "night", archive)
    keys = [key for _, rows in DecidedRows.of(run.output).by_unit(["key"]) for key in rows["key"].to_pylist()]
    decide(run, {key: None if key == str(unread) else key.endswith("1.png") for key in keys})
    done = sorted_into(tmp_path / "sorted", tmp_path / "night", "accepted")
    assert done.counts == {"exported": len(FILES) - 1, "failed": 1}
    assert {name.split("/")[0] for name in files_in(tmp_path / "sorted")} == {"accepted", "review"}
    assert sum(name.startswith("accepted/") for name in files_in(tmp_path / "sorted")) == 2
    assert sorted_into(tmp_path / "predicted", tmp_path / "night").counts == done.counts


def test_tasks_that_have_no_class_are_refused(tmp_path: Path) -> None:
    write_output(
        tmp_path / "value", [[{"status": "ok", **value_row("/a", 1.0, 2.0)}]], spec={"task": "value", "value_unit": 0.5}
    )
    with pytest.raises(UsageError, match="gives a value"):
        sorted_into(tmp_path / "sorted", tmp_path / "value")
    rows = [{"status": "ok", **label_row("/a", ["cat"], [0.9, 0.8, 0.1, 0.1])}]
    write_output(tmp_path / "labels", [rows], LABELS, spec={"task": "labels", "thresholds": (0.5,) * 4})
    with pytest.raises(UsageError, match="--by confused needs a model that gives one class"):
        sorted_into(tmp_path / "sorted", tmp_path / "labels", "confused")


def test_record_of_an_export_tells_what_was_asked(tmp_path: Path) -> None:
    write_archive_output(tmp_path / "night", write_folder(tmp_path / "photos"))
    sorted_into(tmp_path / "sorted", tmp_path / "night")
    record = json.loads((tmp_path / "sorted" / OWN / "export.json").read_text())
    assert (record["format"], record["by"], record["how"], record["images"]) == (1, "predicted", "copy", len(FILES))
