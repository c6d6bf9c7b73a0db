"""A list of shards: TFRecords, tars and zips, one a line; and images among them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from label_inputs import PGM, labels_of, write_pictures, write_records
from read_inputs import read_inputs

from pipeline.errors import UsageError


def write_shards(folder: Path) -> list[str]:
    for s in range(2):
        with tarfile.open(folder / f"shard-{s:06d}.tar", "w") as archive:
            for d in range(3):
                for suffix, data in (("pgm", PGM), ("cls", str(d).encode())):
                    member = tarfile.TarInfo(f"{s}{d}.{suffix}")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
    with zipfile.ZipFile(folder / "x.zip", "w") as packed:
        packed.writestr("7/a.pgm", PGM)
    write_records(folder / "x.tfrecord", [{"label": 5}, {"label": 6}])
    return ["shard-000000.tar", "shard-000001.tar", "x.zip", "x.tfrecord"]


@pytest.mark.parametrize("form", ["{}\n", '"{}"\r\n'])
def test_archives_of_a_list_are_read(tmp_path: Path, form: str) -> None:
    names = write_shards(tmp_path)
    (tmp_path / "shards.txt").write_text("".join(form.format(name) for name in names))
    assert labels_of(tmp_path / "shards.txt") == ["0", "1", "2", "0", "1", "2", "7", "5", "6"]


def test_images_and_archives_may_be_in_one_list(tmp_path: Path) -> None:
    write_shards(tmp_path)
    write_pictures(tmp_path, ["9/x.pgm"])
    (tmp_path / "all.csv").write_text("file_name,label\nx.zip,\n9/x.pgm,3\nx.zip,\n")
    given = read_inputs(tmp_path / "all.csv", classes=("3", "7"))
    assert list(given.labels.values()) == ["3", "7"]
    assert given.skipped.total == 1


def test_a_missing_shard_is_a_failed_row(tmp_path: Path) -> None:
    (tmp_path / "shards.txt").write_text("shard-000000.tar\n")
    (message,) = read_inputs(tmp_path / "shards.txt").failures.values()
    assert message == "there is no file 'shard-000000.tar'"


def test_an_archive_with_a_label_is_refused(tmp_path: Path) -> None:
    write_shards(tmp_path)
    (tmp_path / "shards.txt").write_text("x.zip 3\n")
    with pytest.raises(UsageError, match=r"gives the archive .*x\.zip' the label '3'; list archives without labels"):
        read_inputs(tmp_path / "shards.txt")
