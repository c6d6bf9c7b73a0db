"""Planning: names and headers to pinned units."""

from __future__ import annotations

import os
import pwd
import socket
from collections import Counter
from pathlib import Path

import pytest
from conftest import MakeRun, WriteImages
from read_inputs import read_inputs

from model_training.data.datasets import RawImages
from pipeline.errors import UsageError
from pipeline.scoring.planning import pin, units_of
from pipeline.sources import search
from pipeline.sources.skipped import NOWHERE, Skipped
from pipeline.units import WorkUnit


def names(units: list[WorkUnit]) -> list[str]:
    return [Path(location).name for unit in units for location in unit.locations]


def test_plan_holds_every_image_once_and_counts_what_is_none(make_run: MakeRun, write_images: WriteImages) -> None:
    archive = write_images(30)
    (archive / ".DS_Store").write_bytes(b"x")
    (archive / "__MACOSX").mkdir()
    (archive / "__MACOSX" / "a.png").write_bytes(b"x")
    (archive / "3" / "._00003.png").write_bytes(b"x")
    (archive / "notes.txt").write_text("no image")
    skipped = Skipped()
    units = list(units_of(make_run(archive, unit_images=8), skipped))
    assert sorted(names(units)) == [f"{i:05d}.png" for i in range(30)]
    assert skipped.counts == {"junk": 3, "other files": 1}
    assert max(len(unit.locations) for unit in units) <= 8


def test_junk_is_told_by_what_stands_below_the_input(
    make_run: MakeRun, write_images: WriteImages, tmp_path: Path
) -> None:
    inside = write_images(10, "__MACOSX")
    for pattern in (inside, tmp_path / "__MACOSX" / "*", tmp_path / "__MACOSX" / "**" / "*.png"):
        skipped = Skipped()
        assert len(names(list(units_of(make_run(pattern), skipped)))) == 10
        assert not skipped
    for pattern in (tmp_path, tmp_path / "*", tmp_path / "**" / "*.png"):
        assert next(search.find(str(pattern), skipped := Skipped()), None) is None
        assert skipped.counts == {"junk": 10}


def test_image_matched_by_several_inputs_is_planned_once(make_run: MakeRun, write_images: WriteImages) -> None:
    archive = write_images(30)
    run = make_run(archive, archive / "*" / "*.png", archive / "3" / "00003.png", archive)
    assert sorted(names(list(units_of(run, Skipped())))) == [f"{i:05d}.png" for i in range(30)]


def test_same_archive_gives_the_same_ids_on_any_day_and_a_touched_file_another(
    make_run: MakeRun, write_images: WriteImages
) -> None:
    archive = write_images(30)
    run = make_run(archive, unit_images=8)
    first = [unit.id for unit in units_of(run, Skipped())]
    assert [unit.id for unit in units_of(make_run(archive, unit_images=8, name="run-2"), Skipped())] == first
    os.utime(archive / "3" / "00003.png", ns=(1, 1))
    assert len(set(first) - {unit.id for unit in units_of(run, Skipped())}) == 1


def test_containers_stand_beside_images_in_one_plan(
    make_run: MakeRun, write_images: WriteImages, write_records: WriteImages, tmp_path: Path
) -> None:
    write_images(20)
    write_records(50, "archive/shards/train-00000-of-00001")
    write_records(10, "archive/shards/z.tfrecord.gz", "GZIP")
    run = make_run(tmp_path / "archive", unit_images=16)
    units = list(units_of(run, Skipped()))
    assert Counter(unit.source for unit in units)["tfrecord"] == 5
    assert sum(unit.images or 0 for unit in units) == 70
    assert [unit.images for unit in units if unit.locations[0].endswith("gz")] == [None]


def test_limit_cuts_the_last_unit_short(make_run: MakeRun, write_images: WriteImages) -> None:
    units = list(units_of(make_run(write_images(30), unit_images=8, limit=13), Skipped()))
    assert sum(unit.images or 0 for unit in units) == 13
    assert names(units) == names(list(units_of(make_run(write_images(30), unit_images=8), Skipped())))[:13]


def test_file_without_a_telling_name_is_opened_where_it_is_named(
    make_run: MakeRun, write_records: WriteImages, digits: RawImages, tmp_path: Path
) -> None:
    (tmp_path / "picture").write_bytes(digits.encoded(0))
    records = write_records(3, "records")
    units = list(units_of(make_run(tmp_path / "picture", records), Skipped()))
    assert [unit.source for unit in units] == ["images", "tfrecord"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "nowhere", "does not exist or is empty"),
        (lambda folder: folder, "does not exist or is empty"),
        (lambda folder: folder / "*.png", "matches no file"),
        (
            lambda folder: (folder / "a.txt").write_text("x") and folder,
            "among its 1 file",
        ),
        (lambda folder: (folder / "a.bin").write_text("x") and folder / "a.bin", "no image or archive of"),
    ],
)
def test_input_without_an_image_is_one_clear_line(tmp_path: Path, make: object, said: str) -> None:
    with pytest.raises(UsageError, match="--input") as caught:
        search.require_input(str(make(tmp_path)))  # type: ignore[operator]
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_forbidden_folder_is_named_and_nothing_is_planned_without_it(
    make_run: MakeRun, write_images: WriteImages
) -> None:
    archive = write_images(20)
    run = make_run(archive)
    (archive / "5").chmod(0)
    nobody = pwd.getpwnam("nobody").pw_uid
    folder = archive
    while folder != folder.parent and os.geteuid() == 0:  # whoever runs as root reads everything: be somebody else
        folder.chmod(folder.stat().st_mode | 0o755)
        folder = folder.parent
    os.seteuid(nobody if os.geteuid() == 0 else os.geteuid())
    try:
        with pytest.raises(
            UsageError, match=rf"--input .*{archive}/5.*give yourself the right to read it, or leave it out"
        ):
            list(units_of(run, Skipped()))
    finally:
        os.seteuid(os.getuid())
        (archive / "5").chmod(0o755)


def test_only_empty_containers_make_an_empty_plan_that_says_so(make_run: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "a.tfrecord").write_bytes(b"")
    totals = pin(make_run(tmp_path / "a.tfrecord"))
    assert (totals.units, totals.images, totals.skipped) == (0, 0, {"empty containers": 1})


@pytest.mark.parametrize(
    ("option", "what"),
    [
        ("labels_file", "an IDX file of images, but --input has no IDX file"),
        ("file_column", "a list, but --input has no list"),
        ("label_column", "a list, but --input has no list"),
    ],
)
def test_option_that_says_where_labels_stand_is_not_passed_over(
    make_run: MakeRun, write_images: WriteImages, option: str, what: str
) -> None:
    run = make_run(write_images(3), **{option: "truth"})
    with pytest.raises(
        UsageError, match=f"^--{option} goes with {what}: leave --{option} out, or give one with --input$"
    ):
        pin(run)


def test_what_is_no_file_is_a_row_or_counted(tmp_path: Path) -> None:
    """As git-annex and DVC leave images that were not fetched."""
    (tmp_path / "1.png").write_bytes(b"an image")
    (tmp_path / "2.png").symlink_to(".git/annex/objects/SHA256E-s3--a.png")
    (tmp_path / "3.png").symlink_to("3.png")
    (tmp_path / "notes").symlink_to("nowhere")
    (tmp_path / "more.tar").symlink_to("nowhere")
    (tmp_path / "up").symlink_to(".")
    os.mkfifo(tmp_path / "4.png")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "5.png"))
    for pattern in ("", "*"):
        given = read_inputs(tmp_path / pattern)
        assert list(given.images) == [f"{tmp_path}/1.png"]
        link = "it is a link to {!r}, which is not there"
        assert given.failures == {
            f"{tmp_path}/2.png": link.format(".git/annex/objects/SHA256E-s3--a.png"),
            f"{tmp_path}/3.png": link.format("3.png"),
            f"{tmp_path}/4.png": "it is a pipe or a device, and no file",
            f"{tmp_path}/5.png": "it is a pipe or a device, and no file",
        }
        assert given.skipped.counts == {NOWHERE: 3}
