"""What comes along with the images of a list: facts about the files, columns, and figures by their values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from model_training.data.datasets import RawImages
from pipeline.cli import score as cli
from pipeline.model.directory import read_spec
from pipeline.model.pixel_hash import pixel_hashes, rule_id
from pipeline.model.preprocess import decode
from pipeline.output.rows import read_part
from pipeline.output.run import Run
from pipeline.output.verify import verify

IMAGES = 20
PIXEL = ("perceptual_hash", "brightness", "contrast", "entropy")
FORMS = pytest.mark.parametrize("form", ["parquet", "jsonl"])


@pytest.fixture
def archive(tmp_path: Path, digits: RawImages) -> Path:
    """Write images, one broken and two copies in another format, and a list with columns, one named like ours."""
    folder = tmp_path / "photos"
    folder.mkdir()
    lines = ["file_name,site,Status,note"]
    for i in range(IMAGES):
        path = folder / f"{i:03d}.png"
        path.write_bytes(b"no image" if i == 7 else digits.encoded(i))
        lines.append(f'{path.name},{"north" if i % 3 else ""},{i},"a, ü {i}"')
    with Image.open(folder / "003.png") as image:
        image.save(folder / "copy.bmp")
    lines.append("copy.bmp,south,x,")
    (folder / "list.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def score(archive: Path, model: Path | str, output: Path, *more: str) -> int:
    words = ["--input", str(archive / "list.csv"), "--model", str(model), "--output", str(output), "--quiet"]
    return cli.main([*words, "--max_failed_fraction", "0.5", "--unit_images", "8", *more])


def rows_in(output: Path) -> dict[str, dict[str, Any]]:
    run = Run.from_record(json.loads((output / "run.json").read_text()))
    parts = (output / "table.txt").read_text().split()
    tables = [read_part(Path(part).read_bytes(), run.options.format, run.schema) for part in parts]
    return {Path(row["key"]).name: row for table in tables for row in table.to_pylist()}


@pytest.mark.heavy
@FORMS
@pytest.mark.parametrize("task", ["labels", "value", "classes", "embedding"])
def test_rows_of_every_task_tell_of_the_files_and_of_the_columns(
    archive: Path,
    tmp_path: Path,
    task_models: Path,
    task: str,
    form: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    model, output = task_models / task, tmp_path / "night"
    flags = ("--format", form, "--columns", "all", "--slice", "site,format")
    assert score(archive, model, output, *flags) == 0
    rows, spec = rows_in(output), read_spec(str(model)).input
    assert len(rows) == IMAGES + 1
    for name, row in rows.items():
        data = (archive / name).read_bytes()
        assert row["bytes"] == len(data)
        if name == "007.png":
            assert [row[column] for column in ("width", "height", "format", "pixel_hash")] == [None] * 4
            continue
        with Image.open(archive / name) as image:
            assert (row["width"], row["height"], row["format"]) == (*image.size, image.format)
        (number,) = pixel_hashes(decode(data, spec)[None], rule_id(spec)).tolist()
        assert row["pixel_hash"] == f"{number:016x}"
    assert rows["copy.bmp"]["pixel_hash"] == rows["003.png"]["pixel_hash"]
    four = rows["004.png"]
    assert (four["site"], four["column_Status"], four["note"]) == ("north", "4", "a, ü 4")
    assert rows["003.png"]["site"] is rows["copy.bmp"]["note"] is None

    figures = json.loads((output / "summary.json").read_text())
    sites, formats = figures["slices"]
    assert sites["column"] == "site"
    told = {one["value"]: (one["images"], one["failed"]) for one in sites["values"]}
    assert told == {None: (7, 0), "north": (13, 1), "south": (1, 0)}
    assert [one["value"] for one in formats["values"]] == [None, "BMP", "PNG"]
    assert "By site, format" in (output / "report.html").read_text()

    record = json.loads((output / "run.json").read_text())
    assert (record["rules"], record["pixel_rule"]) == (2, rule_id(spec).hex())
    assert record["options"]["columns"] == "site,Status,note"
    assert not verify(str(output)).findings

    before = {path: path.read_bytes() for path in (output / "receipts").iterdir()}
    next(iter((output / "predictions").iterdir())).unlink()
    assert score(archive, model, output, *flags) == 0
    assert json.loads((output / "run.json").read_text())["units_scored"] == 1
    assert rows_in(output).keys() == rows.keys()
    assert {path.name for path in (output / "receipts").iterdir()} == {path.name for path in before}
    assert not verify(str(output)).findings


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
@pytest.mark.heavy
def test_other_columns_make_other_rows_in_the_same_output(
    archive: Path, tmp_path: Path, tiny_model: str, form: str
) -> None:
    output = tmp_path / "night"
    for flags, names in (
        (("--columns", "site"), {"site"}),
        ((), set()),
        (("--slice", "note"), {"note"}),
        (("--exif", "--pixel_facts", "--columns", "Status"), {"exif_time", "exif_camera", "column_Status", *PIXEL}),
    ):
        assert score(archive, tiny_model, output, "--format", form, *flags) == 0
        row = rows_in(output)["004.png"]
        every = {"site", "note", "exif_time", "exif_camera", "column_Status"}
        assert set(row) & {*every, *PIXEL} == names
        assert not verify(str(output)).findings  # so nothing of the run before is left
        assert len(list((output / "predictions").iterdir())) == len((output / "table.txt").read_text().split())


@pytest.mark.heavy
@FORMS
def test_a_damaged_part_with_columns_is_damaged_and_scored_again(
    archive: Path, tmp_path: Path, tiny_model: str, form: str
) -> None:
    output = tmp_path / "night"
    flags = ("--format", form, "--columns", "all", "--exif")
    assert score(archive, tiny_model, output, *flags) == 0
    rows = rows_in(output)
    part = next(iter((output / "predictions").iterdir()))
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(bytes(data))
    assert [one.kind for one in verify(str(output)).findings] == ["part_damaged"]
    assert score(archive, tiny_model, output, *flags) == 0
    assert not verify(str(output)).findings
    assert rows_in(output).keys() == rows.keys()


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (
            ("--columns", "sight"),
            "'sight', but no list of --input has this column: choose from site, Status, note",
        ),
        (("--slice", "sight"), "--slice names 'sight', but no list of --input has this column"),
        (("--slice", "exif_camera"), "--slice exif_camera needs --exif"),
    ],
)
def test_a_column_that_is_not_there_is_refused_in_one_line(
    archive: Path, tmp_path: Path, tiny_model: str, flags: tuple[str, ...], text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert score(archive, tiny_model, tmp_path / "night", *flags) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert text in line


@pytest.mark.heavy
def test_json_lines_and_parquet_lists_pass_the_same_columns(archive: Path, tmp_path: Path, tiny_model: str) -> None:
    listed = [{"file_name": "001.png", "day": 3.0}, {"file_name": "002.png", "day": 4.5, "camera": "k"}]
    (archive / "list.jsonl").write_text("\n".join(map(json.dumps, listed)))
    pq.write_table(pa.Table.from_pylist(listed[::-1]), archive / "list.parquet")
    found = []
    for name in ("list.jsonl", "list.parquet"):
        output = tmp_path / f"night-{name}"
        words = ["--input", str(archive / name), "--model", tiny_model, "--output", str(output), "--quiet"]
        assert cli.main([*words, "--columns", "all"]) == 0
        found.append({key: (row["camera"], row["day"]) for key, row in rows_in(output).items()})
    assert found[0] == found[1] == {"001.png": (None, "3"), "002.png": ("k", "4.5")}
