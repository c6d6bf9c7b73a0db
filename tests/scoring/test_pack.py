"""A packed archive holds what was packed: bytes, labels, folders, keys, columns; it gives the same rows."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import WriteImages, rows_of
from hypothesis import given
from hypothesis import strategies as st
from s3_server import S3Server

from pipeline import storage
from pipeline.cli import pack as command
from pipeline.cli import score as score_command
from pipeline.errors import NoSpaceError, TransientError, UsageError
from pipeline.options import ScoreOptions
from pipeline.scoring import pack as packing
from pipeline.scoring.pack import Packed, PackOptions, pack
from pipeline.sources import example_image
from pipeline.sources.label_values import MISSING, as_label
from pipeline.sources.labels import LabelRule
from pipeline.sources.packed import PackedImage, PackFormat, as_record, as_sample
from pipeline.sources.skipped import NO_FILES, OTHER
from pipeline.sources.tf_example import parse_example
from pipeline.storage.local import LocalStore

FORMATS: Sequence[PackFormat] = ("tfrecord", "tar")


def packed(folder: Path | str, *inputs: Path | str, form: PackFormat = "tfrecord", size: int = 8000) -> Packed:
    reading = ScoreOptions(tuple(map(str, inputs)), "none", str(folder), engine="litert", columns="all")
    return pack(PackOptions(reading, form, size))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("part-*")}


def records(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what a packed archive says of each image, read by libraries that are not ours."""
    import tensorflow as tf

    for path in sorted(folder.glob("*.tfrecord")):
        for data in tf.data.TFRecordDataset(str(path)):
            features = tf.train.Example.FromString(data.numpy()).features.feature
            yield {name: (f.bytes_list.value or f.int64_list.value)[0] for name, f in features.items()}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
        for name, data in members.items():
            if not name.endswith(".json"):
                facts = json.loads(members[name.rpartition(".")[0] + ".json"])
                folder_name = name.rpartition("/")[0].encode()
                yield {"image/encoded": data, "source_folder": folder_name} | {
                    key: value.encode() if isinstance(value, str) else value for key, value in facts.items()
                }


@pytest.fixture
def archive(write_images: WriteImages) -> Path:
    """Class folders with an image that cannot be decoded, and an empty one."""
    folder = write_images(60)
    (folder / "3" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing of the kind")
    (folder / "3" / "empty.png").write_bytes(b"")
    return folder


@pytest.mark.parametrize("form", FORMATS)
class TestPacked:
    def test_holds_each_image_as_it_was_with_its_key_and_folder(
        self, archive: Path, tmp_path: Path, form: PackFormat
    ) -> None:
        found = packed(tmp_path / "packed", archive, form=form)
        assert (found.images, found.unreadable.total(), found.unfinished) == (62, 0, 0)
        assert found.parts == len(files(tmp_path / "packed")) > 1
        there = {record["source_key"].decode(): record for record in records(tmp_path / "packed")}
        assert there.keys() == {str(path) for path in archive.rglob("*.png")}
        for key, record in there.items():
            assert record["image/encoded"] == Path(key).read_bytes()
            assert record["source_folder"].decode() == Path(key).parent.name

    @pytest.mark.heavy
    @pytest.mark.parametrize("source", ["auto", "from_directory"])
    def test_gives_the_rows_of_what_was_packed(
        self, archive: Path, tmp_path: Path, tiny_model: str, form: PackFormat, source: str
    ) -> None:
        packed(tmp_path / "packed", archive, form=form)
        for name, place in (("before", archive), ("after", tmp_path / "packed")):
            flags = ["--model", tiny_model, "--output", str(tmp_path / name), "--input", str(place)]
            assert score_command.main([*flags, "--label_source", source, "--max_failed_fraction", "0.5"]) == 0
        before, after = (without_place(rows_of(tmp_path / name)) for name in ("before", "after"))
        assert len(before) == 62
        assert [row[:-1] for row in before] == [row[:-1] for row in after]
        assert [row[-1] for row in before] == pytest.approx([row[-1] for row in after], abs=1e-5)

    def test_is_left_as_it_is_by_the_same_command(self, archive: Path, tmp_path: Path, form: PackFormat) -> None:
        packed(tmp_path / "packed", archive, form=form)
        before = files(tmp_path / "packed")
        times = {path: path.stat().st_mtime_ns for path in (tmp_path / "packed").rglob("*.*") if path.is_file()}
        found = packed(tmp_path / "packed", archive, form=form)
        assert (found.images, found.kept) == (62, 62)
        assert files(tmp_path / "packed") == before
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "packed").rglob("*.*") if path.is_file()} == times

    def test_part_is_no_larger_than_asked_for_unless_an_image_is(
        self, archive: Path, tmp_path: Path, form: PackFormat
    ) -> None:
        packed(tmp_path / "packed", archive, form=form, size=8000)
        assert all(len(data) <= 8000 + 1024 for data in files(tmp_path / "packed").values())
        packed(tmp_path / "single", archive, form=form, size=1)
        assert len(files(tmp_path / "single")) == 62


@pytest.mark.parametrize("form", FORMATS)
def test_keys_and_columns_come_back_as_columns(
    write_images: WriteImages, tmp_path: Path, tiny_model: str, form: PackFormat
) -> None:
    archive = write_images(3)
    paths = sorted(archive.rglob("*.png"))
    lines = [f"{path},{site}\n" for path, site in zip(paths, ("north", "", "7.50"), strict=True)]
    (tmp_path / "list.csv").write_text("file_name,site\n" + "".join(lines))
    packed(tmp_path / "packed", tmp_path / "list.csv", form=form)
    flags = ["--input", str(tmp_path / "packed"), "--model", tiny_model, "--output", str(tmp_path / "night")]
    assert score_command.main([*flags, "--columns", "site,source_key,none", "--format", "jsonl"]) == 0
    parts = [json.loads(line) for path in tmp_path.glob("night/**/*.jsonl") for line in path.read_text().splitlines()]
    assert {(row["source_key"], row["site"], row["none"]) for row in (part["columns"] for part in parts)} == {
        (str(path), site, None) for path, site in zip(paths, ("north", None, "7.50"), strict=True)
    }


def without_place(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    names = ("label", "label_name", "predicted", "status", "error_stage", "error_code")
    return sorted(
        ((*(row[name] for name in names), round(row["score"] or 0, 3), row["score"] or 0) for row in rows), key=repr
    )


LIST = "file_name,label,site,label_name\na/1.png,cat,north,x\na/2.png,7,,y\nnone.png,1,south,z\n"


@pytest.mark.parametrize("form", FORMATS)
def test_a_list_s_labels_and_columns_go_along_and_a_missing_image_is_told(
    tmp_path: Path, form: PackFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").mkdir()
    for name in ("a/1.png", "a/2.png"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "list.csv").write_text(LIST)
    flags = ["--input", str(tmp_path / "list.csv"), "--output", str(tmp_path / "packed"), "--format", form]
    assert command.main(flags) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("nightscore pack: 1 unreadable image is packed as an empty one (")
    assert "none.png: there is no file 'none.png')" in line
    found = {Path(record["source_key"].decode()).name: record for record in records(tmp_path / "packed")}
    assert found["1.png"]["image/encoded"] == b"a/1.png"
    assert found["none.png"]["image/encoded"] == b""
    assert [found[name].get("site") or None for name in ("1.png", "2.png", "none.png")] == [b"north", None, b"south"]
    labels = {name: record.get("label", record.get("image/class/label")) for name, record in found.items()}
    assert labels["1.png"] == b"cat"
    assert as_label(labels["2.png"]) in (7, "7")


SCALARS = (
    st.integers(-(2**63), 2**63 - 1)
    | st.floats(-1e15, 1e15)
    | st.text(max_size=8)
    | st.text("ab|[]", max_size=6)
    | st.sampled_from(sorted(MISSING))
)


@given(SCALARS | st.lists(SCALARS, max_size=3) | st.none(), st.sampled_from(["classes", "value", "labels"]))
def test_a_label_means_the_same_when_it_is_packed(value: object, task: Any) -> None:
    label = as_label(value)
    image = PackedImage("/a/x.png", b"png", label, "folder", {})
    data = as_record(image)[12:-4]
    read = example_image._label(parse_example(data), None)
    rule = LabelRule(("cat", "7", "dog"), task=task)
    before, after = (rule.columns(["x"], [one], [""]) for one in (label, read))
    if isinstance(label, list) and len(label) != 1 and task != "labels":
        return  # several values are no label there, however they are written
    assert (before.label_names, before.label_lists) == (after.label_names, after.label_lists)
    assert (before.labels == after.labels).all()
    assert (before.labelled == after.labelled).all()
    if before.label_values is not None and after.label_values is not None:
        assert repr(before.label_values) == repr(after.label_values)


def test_a_sample_s_label_and_folder_are_those_of_the_image() -> None:
    data = as_sample(PackedImage("/a/é.png", b"GIF89a", ["a", 1], "v1.2/x", {"label": "theirs"}), 7)
    with tarfile.open(fileobj=io.BytesIO(data + bytes(1024))) as tar:
        assert tar.getnames() == ["v1.2_x/00000007.gif", "v1.2_x/00000007.json"]
        facts = json.load(tar.extractfile(tar.getnames()[1]))  # type: ignore[arg-type]
    assert facts == {"label": ["a", 1], "source_key": "/a/é.png", "column_label": "theirs"}


class TestGoingOn:
    def test_after_storage_failed_packs_the_rest_and_the_same_bytes(
        self, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        packed(tmp_path / "calm", archive, archive / "3", size=300)
        monkeypatch.setattr(packing, "_grouped", lambda units, size: ([unit] for unit in units))
        create = LocalStore.create
        calls: list[str] = []

        def failing(self: LocalStore, location: str, data: bytes) -> bool:
            calls.append(location)
            if len(calls) > 5 and "part-" in location:
                raise TransientError("HTTP 503")
            return create(self, location, data)

        monkeypatch.setattr(LocalStore, "create", failing)
        found = packed(tmp_path / "night", archive, archive / "3", size=300)
        assert found.unfinished == 1
        assert found.error == "HTTP 503"
        assert not list((tmp_path / "night" / ".pack").glob("[0-9a-f]*.json"))
        monkeypatch.undo()
        found = packed(tmp_path / "night", archive, archive / "3", size=300)
        assert (found.unfinished, found.images) == (0, 62)
        assert files(tmp_path / "night") == files(tmp_path / "calm")

    def test_after_it_was_killed_before_the_receipt_adopts_what_is_there(self, archive: Path, tmp_path: Path) -> None:
        packed(tmp_path / "night", archive)
        before = files(tmp_path / "night")
        for receipt in (tmp_path / "night" / ".pack").glob("[0-9a-f]*.json"):
            receipt.unlink()
        found = packed(tmp_path / "night", archive)
        assert (found.images, found.kept) == (62, 0)
        assert files(tmp_path / "night") == before

    def test_a_part_that_was_lost_or_cut_short_is_made_again(self, archive: Path, tmp_path: Path) -> None:
        packed(tmp_path / "night", archive)
        before = files(tmp_path / "night")
        first, second, *_ = sorted((tmp_path / "night").glob("part-*"))
        first.unlink()
        second.write_bytes(second.read_bytes()[:100])
        assert packed(tmp_path / "night", archive).kept == 0
        assert files(tmp_path / "night") == before

    def test_with_other_images_leaves_none_of_the_old_ones(self, archive: Path, tmp_path: Path) -> None:
        packed(tmp_path / "night", archive)
        (archive / "3" / "empty.png").unlink()
        assert packed(tmp_path / "night", archive).images == 61
        assert len(list(records(tmp_path / "night"))) == 61
        packed(tmp_path / "anew", archive)
        assert files(tmp_path / "night") == files(tmp_path / "anew")

    def test_on_a_full_disk_ends(self, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(self: LocalStore, location: str, data: bytes) -> bool:
            raise NoSpaceError("No space left on device")

        monkeypatch.setattr(LocalStore, "create", full)
        with pytest.raises(NoSpaceError):
            packed(tmp_path / "night", archive)


class TestRefused:
    def test_is_an_output_of_other_inputs(self, archive: Path, tmp_path: Path) -> None:
        packed(tmp_path / "night", archive)
        for inputs, size in (([archive / "3"], 8000), ([archive], 9000)):
            with pytest.raises(UsageError, match="holds an archive packed otherwise or of other inputs"):
                packed(tmp_path / "night", *inputs, size=size)

    @pytest.mark.parametrize("place", ["", "packed"])
    def test_is_an_output_within_an_input(self, archive: Path, place: str) -> None:
        with pytest.raises(UsageError, match="would be packed itself"):
            packed(archive / place, archive)

    @pytest.mark.parametrize(
        ("flags", "text"),
        [
            (["--output", "x"], "--input is missing"),
            (["--input", "no/such", "--output", "x"], "does not exist"),
            (["--input", ".", "--output", "x", "--part_size", "many"], "'many' is no size"),
            (["--input", ".", "--output", "x", "--format", "zip"], "invalid choice: 'zip'"),
        ],
    )
    def test_is_bad_usage_in_one_line(self, flags: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert command.main(flags) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("nightscore pack: ")
        assert text in line


def test_from_bucket_to_bucket(
    s3_bucket: str, s3_server: S3Server, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in archive.rglob("*.png"):
        storage.replace(f"{s3_bucket}/archive/{path.relative_to(archive)}", path.read_bytes())
    s3_server.fail("GET", status=503, times=3)
    flags = ["--input", f"{s3_bucket}/archive", "--output", f"{s3_bucket}/packed", "--json"]
    assert command.main(flags) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["images"], facts["parts"], facts["exit_code"]) == (62, 1, 0)
    (part,) = [found.location for found in storage.list_objects(f"{s3_bucket}/packed/part-*")]
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "x.tfrecord").write_bytes(storage.read(part))
    assert {record["source_key"].decode() for record in records(tmp_path / "copy")} == {
        f"{s3_bucket}/archive/{path.relative_to(archive)}" for path in archive.rglob("*.png")
    }


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_no_image_in_a_compressed_archive_is_counted_also_where_it_was_packed_before(
    write_images: WriteImages, tmp_path: Path, form: PackFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_images(6)
    (folder / "notes.txt").write_text("n")
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        archive.add(folder, "x")
    inputs = (tmp_path / "x.tar.gz", folder)
    flags = [flag for path in inputs for flag in ("--input", str(path))]
    for kept in (0, 12):
        found = packed(tmp_path / "packed", *inputs, form=form)
        folders = sum(path.is_dir() for path in (folder, *folder.rglob("*")))
        assert (found.images, found.kept) == (12, kept)
        assert found.skipped.counts == {OTHER: 2, NO_FILES: folders}
    assert command.main([*flags, "--output", str(tmp_path / "packed"), "--format", form, "--part_size", "8000"]) == 0
    assert "other files: 2 (" in capsys.readouterr().out


def test_receipts_of_groups_without_any_are_as_an_earlier_version_wrote_them() -> None:
    group = packing.Group({"part": 7}, 1, {}, "")
    assert json.loads(group.to_json()) == {"example": "", "images": 1, "parts": {"part": 7}, "unreadable": {}}
    assert packing.Group(**json.loads(group.to_json())) == group
