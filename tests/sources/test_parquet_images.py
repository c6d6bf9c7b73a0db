"""Parquet files with images: found by their schema, cut by row groups, read a few rows at a time."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archive_rows import messages_of, rows_of, units_of
from fuzz_corpus import IMAGES
from read_inputs import read_inputs
from table_files import features_of, write_hugging_face

from pipeline import sources, storage
from pipeline.errors import UsageError
from pipeline.options import ScoreOptions
from pipeline.sources import parquet_file, parquet_images
from pipeline.sources.inputs import list_columns, plan_units
from pipeline.sources.labels import LabelRule
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.search import require_input
from pipeline.sources.skipped import Skipped
from pipeline.storage.local import LocalStore
from pipeline.units import WorkUnit

PNG, GIF = IMAGES["PNG palette"], IMAGES["GIF"]
NAMES = ("dog", "cat")


def write(path: Path, n: int = 10, group: int = 3) -> Path:
    return write_hugging_face(path, [(PNG, GIF)[i % 2] for i in range(n)], [i % 2 for i in range(n)], NAMES, group)


def options(path: Path, **more: object) -> ScoreOptions:
    return ScoreOptions((str(path),), "m", "o", engine="litert", **more)  # type: ignore[arg-type]


def read(path: Path, unit_images: int = 2048, **keys: str) -> list[tuple[str, bytes, str | None, str | None]]:
    """Return key behind the file's, image, name of the label and why there is no image, of each row."""
    chosen = options(path, unit_images=unit_images, **keys)
    rule = ReadRule.of(chosen, ("cat", "dog"), (8, 8, 3))
    rows = []
    for unit in plan_units(chosen.input, chosen, "model", Skipped()):
        for batch in sources.read(WorkUnit.from_json(unit.to_json()), rule):
            for i, key in enumerate(batch.images.keys):
                failure = batch.images.failures.get(i)
                told = failure.message if failure else None
                rows.append((key.removeprefix(str(path)), batch.encoded[i], batch.images.label_names[i], told))
    return rows


@pytest.mark.parametrize("unit_images", [1, 2, 3, 4, 7, 2048])
@pytest.mark.parametrize("group", [1, 3, 10])
def test_every_row_is_in_one_unit_whose_rows_are_bounded(tmp_path: Path, unit_images: int, group: int) -> None:
    path = write(tmp_path / "a.parquet", 10, group)
    units = units_of("parquet", path, unit_images)
    assert all(0 < (unit.images or 0) <= unit_images for unit in units)
    rows = rows_of(path, units)
    assert [row[0] for row in rows] == [str(i) for i in range(10)]
    assert [row[1] for row in rows] == [PNG, GIF] * 5
    assert [row[3] for row in rows] == ["dog", "cat"] * 5, "mapped by the name in the schema, not by the model's order"
    assert sum(unit.bytes for unit in units) <= path.stat().st_size


def test_a_unit_reads_only_its_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = [GIF + random.Random(i).randbytes(100_000) for i in range(20)]
    path = write_hugging_face(tmp_path / "a.parquet", noise, [0] * 20, NAMES, 1)
    units = units_of("parquet", path, 1)
    fetched = 0
    original = LocalStore.read

    def counted(self: LocalStore, *args: object, **keywords: object) -> bytes:
        nonlocal fetched
        data = original(self, *args, **keywords)  # type: ignore[arg-type]
        fetched += len(data)
        return data

    monkeypatch.setattr(LocalStore, "read", counted)
    assert [row[1] for row in rows_of(path, units[7:8])] == [noise[7]]
    assert fetched < path.stat().st_size // 2


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_plain_binary_column_is_told_by_its_content(tmp_path: Path, kind: pa.DataType) -> None:
    table = pa.table(
        {"hash": pa.array([b"\1\2", b"\3"], kind), "content": pa.array([None, GIF], kind), "y": ["a", "cat"]}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    empty = "the row has no image; embed the images before writing Parquet"
    assert read(tmp_path / "a.parquet") == [("#0", b"", "a", empty), ("#1", GIF, "cat", None)]


def test_columns_of_any_name_and_other_columns_are_found_and_chosen(tmp_path: Path) -> None:
    one, two = pa.array([{"bytes": PNG, "path": None}]), pa.array([{"bytes": GIF, "path": None}])
    table = pa.table({"left": one, "right": two, "label": ["cat"], "species": ["dog"]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", image_key="right", label_key="species") == [("#0", GIF, "dog", None)]
    with pytest.raises(UsageError, match="columns left, right may hold the image; choose one with --image_key"):
        read(tmp_path / "a.parquet")
    with pytest.raises(UsageError, match="no column 'kind'; there is left, right, label, species"):
        read(tmp_path / "a.parquet", image_key="left", label_key="kind")
    pq.write_table(table.rename_columns(["mask", "img", "label", "x"]), tmp_path / "b.parquet")
    assert read(tmp_path / "b.parquet") == [("#0", GIF, "cat", None)]


def test_two_class_labels_are_not_guessed_between(tmp_path: Path) -> None:
    kind = {"_type": "ClassLabel", "names": ["cat", "dog"]}
    image = pa.array([{"bytes": PNG, "path": None}])
    table = pa.table({"img": image, "fine_label": [1], "coarse_label": [0]})
    table = table.replace_schema_metadata(features_of(img={"_type": "Image"}, fine_label=kind, coarse_label=kind))
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(
        UsageError, match="columns fine_label, coarse_label may hold the label; choose one with --label"
    ):
        read(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", label_key="fine_label") == [("#0", PNG, "dog", None)]
    table = table.drop_columns("coarse_label").rename_columns(["img", "breed"])
    table = table.replace_schema_metadata(features_of(img={"_type": "Image"}, breed=kind))
    pq.write_table(table, tmp_path / "b.parquet")
    assert read(tmp_path / "b.parquet") == [("#0", PNG, "dog", None)], "the only ClassLabel, whatever its name"


def test_column_that_is_there_twice_is_told(tmp_path: Path) -> None:
    one = pa.array([{"bytes": PNG, "path": None}])
    pq.write_table(pa.Table.from_arrays([one, one], ["image", "image"]), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match="column image is there 2 times; leave one of them"):
        read(tmp_path / "a.parquet")


def test_image_without_bytes_or_class_is_a_failed_row_or_one_without_label(tmp_path: Path) -> None:
    path = write_hugging_face(tmp_path / "a.parquet", [None, PNG], [0, -1], NAMES)
    no_bytes = "the row has no bytes, only the path '0.png'; embed the images before writing Parquet"
    assert read(path) == [("#0", b"", "dog", no_bytes), ("#1", PNG, None, None)]


def test_column_whose_name_has_a_dot(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a.png": [PNG], "a.label": ["cat"]}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", label_key="a.label") == [("#0", PNG, "cat", None)]


def test_folder_of_shards_and_of_other_tables(tmp_path: Path) -> None:
    write(tmp_path / "d" / "data" / "train-00000-of-00002.parquet")
    write(tmp_path / "d" / "data" / "train-00001-of-00002.parquet", 5)
    write(tmp_path / "d" / "noext-00000-of-00001", 4)
    pq.write_table(pa.table({"file_name": ["a.png"], "label": [1]}), tmp_path / "d" / "metadata.parquet")
    pq.write_table(pa.table({"hash": [b"abc"]}), tmp_path / "d" / "hashes.parquet")
    (tmp_path / "d" / "lfs.parquet").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "d" / "none.parquet").write_bytes(b"")
    given = read_inputs(tmp_path / "d", classes=("cat", "dog"))
    assert len(given.images) == 19
    assert [key.rpartition("/")[2] for key in given.failures] == ["lfs.parquet#0"]
    assert given.skipped.counts == {parquet_images.NO_IMAGES: 2, "empty containers": 1}


def test_list_is_a_list_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    pq.write_table(pa.table({"file_name": ["a.png"], "label": ["cat"]}), tmp_path / "list.parquet")
    assert list(read_inputs(tmp_path / "list.parquet").images) == [str(tmp_path / "a.png")]
    pq.write_table(pa.table({"file_name": ["a.png"], "thumbnail": [GIF]}), tmp_path / "both.parquet")
    assert list(read_inputs(tmp_path / "both.parquet").images.values()) == [GIF]
    chosen = options(tmp_path / "both.parquet", file_column="file_name")
    assert [unit.source for unit in plan_units(chosen.input, chosen, "model", Skipped())] == ["images"]


def test_damaged_file_that_is_named_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(write(tmp_path / "b.parquet").read_bytes()[:-9])
    with pytest.raises(UsageError, match=r"a.parquet' cannot be read: "):
        require_input(str(tmp_path / "a.parquet"))


def test_damaged_page_costs_its_row_group(tmp_path: Path) -> None:
    path = write_hugging_face(tmp_path / "a.parquet", [PNG + bytes([i]) for i in range(9)], [0] * 9, NAMES, 3)
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    data = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + 40] = b"\xff" * 40
    path.write_bytes(data)
    units = units_of("parquet", path)
    rows = rows_of(path, units)
    assert [row[4] for row in rows] == [None] * 3 + ["DATA_LOSS"] * 3 + [None] * 3
    assert all(message.startswith("row group 1 is damaged at row ") for message in messages_of(units))


def test_file_that_is_gone_or_replaced_has_its_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet")
    units = units_of("parquet", path, 5)
    write(path, 4)
    assert [row[4] for row in rows_of(path, units)] == ["FAILED_PRECONDITION"] * 10
    path.unlink()
    assert [row[4] for row in rows_of(path, units)] == ["NOT_FOUND"] * 10


def test_footer_that_claims_too_many_rows_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_file, "CREDIBLE", 5)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": [PNG] * 100_000}), path)
    assert messages_of(units_of("parquet", path)) == [
        f"Parquet file cannot be read: its footer says 100,000 rows in {path.stat().st_size:,} bytes"
    ]


def test_first_images_are_the_first_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet")
    unit = sources.first_images(units_of("parquet", path)[0], 4)
    assert [row[0] for row in rows_of(path, [unit])] == ["0", "1", "2", "3"]


def test_what_is_no_image_is_not_taken_for_one(tmp_path: Path) -> None:
    audio = pa.table({"audio": pa.array([{"bytes": b"RIFF", "path": None}])})
    audio = audio.replace_schema_metadata(features_of(audio={"_type": "Audio"}))
    pq.write_table(audio, tmp_path / "a.parquet")
    found = storage.stat(str(tmp_path / "a.parquet"))
    assert found is not None
    assert parquet_images.has_images(found) is False
    rule = ReadRule(LabelRule(()), image_key="audio")
    (unit,) = sources.index("parquet", found, 9, Skipped(), rule)
    assert [list(batch.encoded) for batch in sources.read(unit, rule)] == [[b"RIFF"]]


def test_columns_of_plain_values_come_along(tmp_path: Path) -> None:
    path = write_hugging_face(
        tmp_path / "a.parquet", [PNG, GIF], [0, 1], NAMES, site=["x", None], day=[1.0, 2.5], boxes=[[1], [2]]
    )
    assert list_columns([str(path)], options(path)) == (["site", "day"], True)
    rule = ReadRule(LabelRule(()), columns=("site", "day", "boxes", "no"))
    (unit,) = units_of("parquet", path)
    assert [batch.images.more for batch in sources.read(unit, rule)] == [{"site": ["x", None], "day": ["1", "2.5"]}]


def test_page_that_claims_two_gigabytes_costs_none(tmp_path: Path) -> None:
    """Arrow's buffered reader would take them, and 17 seconds, before it finds that they are not there."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": [PNG]}), path, use_dictionary=False, compression="none")
    data = bytearray(path.read_bytes())
    at = pq.ParquetFile(path).metadata.row_group(0).column(0).data_page_offset
    assert data[at] == 0x15, "the header of a page begins with its kind"
    sizes = data.index(0x15, at + 2)
    length = 2 if data[sizes + 1] & 0x80 else 1
    claimed = bytes([0x15]) + b"\xfe\xff\xff\xff\x0f"
    data[at:] = data[at : at + 2] + claimed + claimed + data[sizes + 2 * (1 + length) :]
    path.write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = storage.stat(str(path))
    assert found is not None
    parquet_images.has_images(found)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # KiB


@pytest.mark.parametrize("whole", [0, 1 << 30])
def test_row_groups_are_read_whole_or_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: int) -> None:
    monkeypatch.setattr(parquet_file, "WHOLE", whole)
    path = write(tmp_path / "a.parquet", 10, 4)
    assert [row[1] for row in rows_of(path, units_of("parquet", path, 3))] == [PNG, GIF] * 5


DAMAGED = """
import sys
from pathlib import Path
from pipeline import sources, storage
from pipeline.errors import UsageError
from pipeline.sources import parquet_images
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.skipped import Skipped

path, data = Path(sys.argv[1]), Path(sys.argv[1]).read_bytes()
footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
for at in range(footer, len(data), int(sys.argv[2])):
    for bit in (1, 2):
        path.write_bytes(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
        found = storage.stat(str(path))
        parquet_images.has_images(found)
        try:
            units = list(sources.index("parquet", found, 2, Skipped()))
        except UsageError:
            continue
        for unit in units[:3]:
            assert sum(len(batch.images) for batch in sources.read(unit, ReadRule())) == unit.images
print("all")
"""
"""Changes each byte of a file's footer, or each of several, in two ways, and plans and reads what is left."""


@pytest.mark.heavy
@pytest.mark.parametrize("step", [3, 1])
def test_damaged_footer_does_not_end_the_process(tmp_path: Path, step: int) -> None:
    """In pyarrow 25, to look at a column of the footer that contradicts the schema is an abort."""
    path = tmp_path / "a.parquet"
    table = pa.table({"image": pa.array([{"bytes": GIF, "path": "a"}] * 5), "label": [1] * 5, "tags": [["x"]] * 5})
    pq.write_table(table, path, row_group_size=3)
    done = subprocess.run(
        [sys.executable, "-c", DAMAGED, str(path), str(step)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("all\n", 0), done.stderr[-2000:]
